"""Pairs of images that share factors: which rows make one, which latents they share, and a run that learns from them."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch.testing import assert_close

import legato
from legato.cli import run
from legato.data.batches import TrainingBatches
from legato.data.factors import TRAINING, factors_of
from legato.data.factors import combinations as drawn
from legato.data.partners import Partners
from legato.data.preparation import Preparation
from legato.definition import define
from legato.errors import Mistake, Stopped
from legato.loading import load
from legato.posteriors import PairedGaussian, mean_of_two, product_of_two, shared_latents
from legato.recipe import Recipe
from legato.setting import DataSpec
from legato.training.resident import Resident
from stopped_runs import assert_same, resume, stopping_after

SMALL = {"latent_dim": 3, "net": "mlp", "width": 16, "depth": 1, "batch_size": 32, "steps": 12, "size": 8,
         "device": "cpu", "threads": 1}  # fmt: skip


def clouds(pairs: int, dims: int = 4) -> tuple[Tensor, Tensor]:
    """μ and log σ of pairs, (pairs, 2, dims)."""
    generator = torch.Generator().manual_seed(3)
    mu, log_sigma = (torch.randn(pairs, 2, dims, generator=generator, dtype=torch.float64) for _ in range(2))
    return mu, 0.5 * log_sigma


def built(shared: str = "ada_gvae", **chosen) -> Recipe:
    """A tiny recipe in float64, in training."""
    torch.manual_seed(1)
    data = DataSpec((6,), "reals", "gaussian", factors=True)
    made = define(shared, data, **{"latent_dim": 4, "width": 8, "depth": 1, **chosen}).build(data)
    made.model.double().train()
    return made


def examples(n: int) -> Tensor:
    return torch.randn(n, 6, generator=torch.Generator().manual_seed(5), dtype=torch.float64)


def loss(made: Recipe, x: Tensor) -> Tensor:
    torch.manual_seed(4)
    return made.objective(made.model(x), made.objective.at(0, 1)).total


# ------------------------------------------------------------------------------------------------ two Gaussians made one


def test_the_mean_of_a_cloud_with_itself_is_itself_and_its_product_is_narrower():
    mu, log_sigma = (one[:, :1].expand(-1, 2, -1) for one in clouds(5))
    for found, expected in zip(mean_of_two(mu, log_sigma), (mu[:, :1], log_sigma[:, :1]), strict=True):
        assert_close(found, expected)
    found = product_of_two(mu, log_sigma)
    assert_close(found[0], mu[:, :1])
    assert_close(found[1].exp() ** 2, log_sigma[:, :1].exp() ** 2 / 2)


def test_the_mean_is_of_the_means_and_of_the_variances():
    mu, log_sigma = clouds(5)
    found, log_found = mean_of_two(mu, log_sigma)
    assert_close(found[:, 0], (mu[:, 0] + mu[:, 1]) / 2)
    assert_close(log_found[:, 0].exp() ** 2, (log_sigma[:, 0].exp() ** 2 + log_sigma[:, 1].exp() ** 2) / 2)


def test_the_product_is_the_normalised_product_of_the_densities():
    """On a grid, whose sum stands for the integral."""
    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64)
    mu, log_sigma = clouds(6, 1)
    found, log_found = (one.reshape(6, 1) for one in product_of_two(mu, log_sigma))
    both = torch.stack([Normal(mu[:, i], log_sigma[:, i].exp()).log_prob(grid) for i in (0, 1)]).sum(0).exp()
    density = both / (both.sum(1, keepdim=True) * (grid[1] - grid[0]))
    assert_close(Normal(found, log_found.exp()).log_prob(grid).exp(), density, atol=1e-9, rtol=1e-9)


def test_widths_beyond_what_their_squares_can_hold_leave_no_infinity():
    mu, log_sigma = torch.zeros(2, 2, 1), torch.tensor([[[80.0], [-80.0]], [[70.0], [80.0]]])
    for one in (mean_of_two, product_of_two):
        assert all(part.isfinite().all() for part in one(mu, log_sigma))


# ------------------------------------------------------------------------------------------------ which are shared


@pytest.mark.parametrize(("shared", "recipe"), [("mean", "ada_gvae"), ("product", "ml_vae")])
@torch.no_grad()
def test_shared_latents_are_those_that_an_enumeration_finds_and_others_stay(shared, recipe):
    model, x = built(recipe).model, examples(12)
    single = model.eval().latent.posterior(x)
    found = model.train().latent.posterior(x)
    mask = shared_latents(single.mean.reshape(6, 2, 4), single.stddev.log().reshape(6, 2, 4))
    counts = []
    for pair in range(6):
        a, b = (Normal(single.mean[row], single.stddev[row]) for row in (2 * pair, 2 * pair + 1))
        cost = kl_divergence(a, b).tolist()
        threshold = (max(cost) + min(cost)) / 2
        for j in range(4):
            of = [float(one[j]) for one in (a.mean, b.mean, a.stddev, b.stddev)]
            precision = of[2] ** -2 + of[3] ** -2
            one = {
                "mean": ((of[0] + of[1]) / 2, ((of[2] ** 2 + of[3] ** 2) / 2) ** 0.5),
                "product": ((of[0] * of[2] ** -2 + of[1] * of[3] ** -2) / precision, precision**-0.5),
            }[shared]
            expected = [one, one] if cost[j] < threshold else [(of[0], of[2]), (of[1], of[3])]
            assert bool(mask[pair, 0, j]) == (cost[j] < threshold)
            for i in (0, 1):
                here = float(found.mean[2 * pair + i, j]), float(found.stddev[2 * pair + i, j])
                assert here == pytest.approx(expected[i], rel=1e-10)
        counts.append(int(mask[pair].sum()))
    assert min(counts) >= 1  # the nearest is always shared, the farthest never
    assert max(counts) <= 3


@pytest.mark.parametrize("recipe", ["ada_gvae", "ml_vae"])
def test_with_nothing_shared_it_is_the_plain_bound(recipe):
    """Twice one image: all latents are equally near, none nearer than midway. So too where all differ by as much."""
    made, x = built(recipe), examples(4).repeat_interleave(2, 0)
    paired = loss(made, x)
    made.model.eval()
    assert torch.equal(paired, loss(made, x))
    theta = torch.zeros(2, 2, 4, dtype=torch.float64)
    theta[1, 0] = 1.0
    family = PairedGaussian("mean", 1)
    assert torch.equal(family(theta, (4,)).mean, theta[:, 0])
    theta[1, 0, 2] = 0.5  # now one is nearer than the others
    assert family(theta, (4,)).mean.tolist() == [[0, 0, 0.25, 0], [1, 1, 0.25, 1]]


@pytest.mark.parametrize("recipe", ["ada_gvae", "ml_vae"])
def test_no_pair_knows_of_another_and_the_rate_is_that_of_what_is_drawn(recipe):
    made, x = built(recipe), examples(6)
    other = x.clone()
    other[2:4] += 1
    traces = []
    for batch in (x, other):
        torch.manual_seed(2)
        traces.append(made.model(batch, 2))
    for name in ("log_px", "kl", "code"):
        one, two = (getattr(trace, name) for trace in traces)
        one, two = (value if value.ndim == 1 else value.transpose(0, 1) for value in (one, two))
        assert torch.equal(one[[0, 1, 4, 5]], two[[0, 1, 4, 5]])
        assert not torch.equal(one[2:4], two[2:4])
    q = made.model.latent.posterior(x)
    assert_close(traces[0].kl, kl_divergence(Normal(q.mean, q.stddev), Normal(0.0, 1.0)).sum(1))


@pytest.mark.parametrize("recipe", ["ada_gvae", "ml_vae"])
def test_gradients_are_those_of_finite_differences(recipe):
    made, x = built(recipe), examples(8)
    weights = list(made.model.parameters())
    ways = [torch.randn(w.shape, dtype=w.dtype, generator=torch.Generator().manual_seed(9)) for w in weights]
    loss(made, x).backward()
    slope = sum(float((w.grad * way).sum()) for w, way in zip(weights, ways, strict=True))
    values = []
    for h in (1e-6, -2e-6):
        with torch.no_grad():
            for w, way in zip(weights, ways, strict=True):
                w.add_(h * way)
            values.append(float(loss(made, x)))
    assert slope == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-5)


# ------------------------------------------------------------------------------------------------ which rows make a pair


def table(n: int = 30) -> np.ndarray:
    """n different combinations of three factors of 4, 3 and 5 values."""
    chosen = np.random.default_rng(2).permutation(60)[:n]
    return np.stack(np.unravel_index(chosen, (4, 3, 5)), 1)


@pytest.mark.parametrize("differ", [1, 2, 3])
def test_partners_are_drawn_as_an_enumeration_says(differ):
    """For a row: a choice of factors that may differ, each alike of those that leave a partner; then a partner, each alike."""
    factors, rng = table(), np.random.default_rng(0)
    partners, counts, firsts = Partners(factors, differ), np.zeros((30, 30)), np.zeros(30)
    for _ in range(1500):
        first, second = partners.order(rng).reshape(-1, 2).T
        np.add.at(counts, (first, second), 1)
        np.add.at(firsts, first, 1)
        assert len(set(first)) == 15  # each at most once in a pass
    chances = np.zeros((30, 30))
    for row in range(30):
        groups = []
        for some in combinations(range(3), differ):
            kept = [j for j in range(3) if j not in some]
            same = (factors[:, kept] == factors[row, kept]).all(1)
            same[row] = False
            groups += [same / same.sum()] if same.any() else []
        if groups:
            chances[row] = np.mean(groups, 0)
    found = chances.sum(1) > 0
    assert (counts.sum(1) > 0).tolist() == found.tolist()
    assert (counts[chances == 0] == 0).all()
    differing = (factors[:, None] != factors[None]).sum(2)
    assert set(differing[counts > 0]) == set(range(1, differ + 1))
    there = chances > 0
    expected = (firsts[:, None] * chances)[there]
    assert chisquare(counts[there], expected * counts[there].sum() / expected.sum()).pvalue > 1e-3


def test_an_order_is_that_of_its_seed_and_has_every_row_in_pairs():
    partners = Partners(table(31), 2)
    one, again, other = (partners.order(np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert len(one) == 30


@pytest.mark.parametrize(("differ", "told"), [(0, "1 to 3; got 0"), (4, "1 to 3; got 4"), (1, "raise `differ`")])
def test_what_makes_no_pairs_is_refused_in_one_line(differ, told):
    factors = np.array([[0, 0, 0], [1, 1, 0], [2, 2, 2]])
    with pytest.raises(Mistake, match=told) as mistake:
        Partners(factors, differ)
    assert "\n" not in str(mistake.value)


def test_batches_come_in_pairs_whole_on_every_rank_and_on_a_card():
    factors = drawn(300)
    rows = np.random.default_rng(1).integers(0, 256, (300, 1, 4, 4), dtype=np.uint8)
    chosen = np.arange(20, 300)
    partners = Partners(factors[chosen], 3)
    batches = TrainingBatches(rows, chosen, Preparation("bytes"), 24, 0, partners=partners)
    resident = Resident(TrainingBatches(rows, chosen, Preparation("bytes"), 24, 0, partners=partners), torch.device("cpu"))
    model = built().model
    for step in (0, 1, batches.per_epoch, 3 * batches.per_epoch + 2):
        whole = batches.at(step)
        first, second = factors[whole.rows[0::2]], factors[whole.rows[1::2]]
        assert set((first != second).sum(1)) <= {1, 2, 3}
        resident.fill(step)
        assert torch.equal(resident.cut().rows, whole.rows)
        parts = [batches.at(step, rank, 3) for rank in range(3)]
        assert torch.equal(torch.cat([part.rows for part in parts]), whole.rows)
        x = whole.x.double().flatten(1)[:, :6]
        q = model.latent.posterior(x)
        of_parts = [model.latent.posterior(part.x.double().flatten(1)[:, :6]).mean for part in parts]
        assert_close(torch.cat(of_parts), q.mean)


# ------------------------------------------------------------------------------------------------ a run


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--data", "mnist"], "only `factors` knows any: --data factors"),
        (["--data", "factors", "--size", "8", "--batch-size", "33"], "`batch_size` must be a multiple of 2, got 33"),
        (["--data", "factors", "--size", "8", "--differ", "7"], "1 to 6; got 7"),
        (["--data", "factors", "--size", "8", "--differ", "0"], "1 factor or more; got 0"),
    ],
)
def test_what_cannot_be_trained_in_pairs_is_refused_before_anything_is_written(words, told, tmp_path, capsys):
    assert run(["train", "ada_gvae", *words, "--steps", "2", "--out", str(tmp_path / "r")]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert told in line
    assert not (tmp_path / "r").exists()


def test_an_odd_number_of_rows_is_no_pairs():
    with pytest.raises(Mistake, match="needs an even number of rows; got 3"):
        built().model(examples(3))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("pairs") / "run"
    legato.train("ml_vae", "factors", out, differ=2, **SMALL)
    return out


def test_stopped_and_resumed_it_ends_with_the_same_bits(trained, tmp_path):
    with stopping_after(7), pytest.raises(Stopped):
        legato.train("ml_vae", "factors", tmp_path / "resumed", differ=2, **SMALL)
    assert resume(tmp_path / "resumed") == 0
    assert_same(tmp_path / "resumed", trained)


def test_a_trained_model_is_used_as_any_other(trained, tmp_path):
    space = load(trained)
    data = space.data()
    assert data.spec.factors
    rows = np.arange(TRAINING, TRAINING + 5)
    x = data.dataset.take(rows)
    mu, _ = space.encode(x, rows)  # an odd number
    alone = np.concatenate([space.encode(x[i : i + 1], rows[i : i + 1])[0] for i in range(5)])
    assert np.allclose(mu, alone, atol=1e-6)
    assert space.sample(3).shape == (3, 1, 8, 8)
    assert space.score(x, k=3).shape == (5,)
    assert legato.evaluate(space, k=3, limit=7)["elbo"]["value"] is not None
    assert factors_of([data.dataset.ids[int(row)] for row in rows]).shape == (5, 6)
    assert run(["encode", str(trained), "--split", "validation", "--out", str(tmp_path / "codes.csv")]) == 0
