"""Counts: their likelihoods against scipy, enumeration, draws and each other; tables of counts from the file to the sample."""

from __future__ import annotations

import json
import math
import shutil
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy import stats
from torch.distributions import Independent

import legato
from legato import nets
from legato.batch import Batch
from legato.conditional import Conditional
from legato.counts import STEEP, Multinomial, NegativeBinomial, Poisson, ZeroInflated, slope, tamed
from legato.data.description import describe
from legato.data.options import DataOptions
from legato.data.sources import open_source
from legato.definition import define, find
from legato.devices import drawing
from legato.distributions import counts
from legato.errors import Mistake, Stopped
from legato.measures.comparison import check_same_units
from legato.priors import StandardNormal
from legato.recipe import RECIPES
from legato.setting import DataSpec
from legato.trace import Given
from legato.training.compiled import CompiledStep, Lowered, captured
from legato.training.learner import Learner
from legato.training.options import TrainingOptions, plan
from legato.training.replayed import replayed
from legato.vocabulary import LIKELIHOODS
from made_runs import OF_IMAGES
from stopped_runs import assert_same, resume, stopping_after

find("vae")  # fills RECIPES

WORDS = [word for word, (_, kinds, _) in LIKELIHOODS.items() if kinds == ("counts",)]
DATA = DataSpec((6,), "counts", "negative-binomial", classes=("no", "yes"), factors=True, means=(0.0, 0.3, 2.0, 20.0, 5e3, 1e6))
TINY = {"latent_dim": 2, "width": 16, "depth": 1}
PRECISIONS = [torch.float32, torch.float64]
# counts of 0 and of a million beside rates from a millionth to a million, near and far off
X = [0, 0, 0, 1, 1, 3, 40, 1000, 10**6, 10**6, 10**6, 10**6]
RATES = [1e-6, 1.0, 8.0, 1e-6, 1.0, 2.5, 25.0, 1100.0, 10**6, 10**6 - 700, 8e5, 1.0]
DRAWS = 100_000


def log_of(values: list[float], dtype: torch.dtype) -> torch.Tensor:
    """Logarithms as float32 or float64 holds them: what a reference is asked about."""
    return torch.tensor(values, dtype=torch.float64).log().to(dtype)


def exactly(log: torch.Tensor) -> np.ndarray:
    """e to it, in double precision."""
    return np.exp(log.double().numpy())


def table(n: int = 300, seed: int = 0) -> np.ndarray:
    """(n, 6) counts that two factors explain, the means those of DATA."""
    rng = np.random.default_rng(seed)
    z, w = rng.standard_normal((n, 2)), 0.5 * rng.standard_normal((2, 6))
    rows = rng.poisson(rng.gamma(4.0, np.exp(z @ w) * np.maximum(DATA.means, 0) / 4.0))
    return np.asarray(rows, np.int64)


# ------------------------------------------------------------------------------------------- probabilities, to 10⁻⁵ and better


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_the_poisson_is_scipys_from_a_millionth_to_a_million(dtype):
    log_rate, x = log_of(RATES, dtype), torch.tensor(X, dtype=dtype)
    expected = stats.poisson.logpmf(np.array(X), exactly(log_rate))
    found = counts.Poisson(log_rate).log_prob(x)
    assert found.dtype == dtype
    assert found.double().numpy() == pytest.approx(expected, rel=1e-5 if dtype == torch.float32 else 1e-9)


@pytest.mark.parametrize("dtype", PRECISIONS)
@pytest.mark.parametrize("r", [0.01, 0.7, 30.0, 1e4, 1e6])
def test_the_negative_binomial_is_scipys(dtype, r):
    log_mean, log_r, x = log_of(RATES, dtype), log_of([r], dtype), torch.tensor(X, dtype=dtype)
    mu, exact_r = exactly(log_mean), exactly(log_r)
    # scipy is asked by p = r/(r + μ), which rounds to 1 at means far below r: there by the terms themselves
    expected = np.where(
        mu < 1e-3 * exact_r, _by_terms(np.array(X), mu, exact_r), stats.nbinom.logpmf(X, exact_r, exact_r / (exact_r + mu))
    )
    found = counts.NegativeBinomial(log_mean, log_r).log_prob(x)
    assert found.dtype == dtype
    assert found.double().numpy() == pytest.approx(expected, rel=1e-5 if dtype == torch.float32 else 1e-7)


def _by_terms(x: np.ndarray, mu: np.ndarray, r: np.ndarray) -> np.ndarray:
    """log ∏_{i<x} (r + i)/(r + μ) μ/(i + 1) + r log r/(r + μ), factor by factor, up to a thousand of them; else scipy's."""
    found = stats.nbinom.logpmf(x, r, r / (r + mu))
    for n, (count, m) in enumerate(zip(x, mu, strict=True)):
        if count <= 1000:
            i = np.arange(count)
            found[n] = float((np.log1p((i - m) / (r + m)) + np.log(m / (i + 1))).sum() - r[0] * np.log1p(m / r[0]))
    return found


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_the_multinomial_is_scipys_with_its_coefficient(dtype):
    rows = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 2], [10**6, 3, 0, 250_000], [7, 8, 9, 0]], dtype=dtype)
    logits = torch.tensor([[0.0, 1.0, -2.0, 0.5], [0.3, 0.3, -30.0, 1.0], [3.0, -9.0, -14.0, 1.6], [0.0, 0.0, 0.0, -13.0]])
    logits = logits.to(dtype)
    chances = torch.softmax(logits.double(), -1).numpy()
    expected = [
        float(stats.multinomial.logpmf(x, int(x.sum()), p)) for x, p in zip(rows.numpy().astype(int), chances, strict=True)
    ]
    found = counts.Multinomial(logits, torch.tensor(1.0)).log_prob(rows)
    assert found[0] == 0  # nothing counted is certain where the total is 0
    assert found.double().numpy() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_zeros_beside_counts_are_the_mixture_of_both(dtype):
    log_rate, x = log_of(RATES, dtype), torch.tensor(X, dtype=dtype)
    logit = torch.linspace(-4, 4, len(X), dtype=dtype)
    chance, rate = torch.sigmoid(logit.double()).numpy(), exactly(log_rate)
    plain = (np.array(X) == 0) * chance + (1 - chance) * stats.poisson.pmf(X, rate)
    there = plain > 0  # where the plain formula has a number
    found = counts.ZeroInflated(counts.Poisson(log_rate), logit).log_prob(x).double().numpy()
    assert there.sum() >= 10
    assert found[there] == pytest.approx(np.log(plain[there]), rel=1e-5)
    assert np.isfinite(found).all()


MEANS, INFLATED = torch.tensor([0.2, 3.0, 9.0]).log(), torch.tensor([-2.0, 0.0, 1.5])
DISTRIBUTIONS = {
    "poisson": counts.Poisson(MEANS),
    "negative binomial": counts.NegativeBinomial(MEANS, torch.tensor([-0.5, 0.5, 1.5])),
    "inflated poisson": counts.ZeroInflated(counts.Poisson(MEANS), INFLATED),
    "inflated negative binomial": counts.ZeroInflated(counts.NegativeBinomial(MEANS, torch.tensor([-0.5, 0.5, 1.5])), INFLATED),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_probabilities_sum_to_one_and_give_the_mean_and_the_variance(name):
    of = DISTRIBUTIONS[name]
    x = torch.arange(2000.0)[:, None].expand(-1, 3)
    chances = of.log_prob(x).double().exp()
    assert chances.sum(0).numpy() == pytest.approx(1, abs=1e-6)
    mean = (x * chances).sum(0)
    assert of.mean.numpy() == pytest.approx(mean.numpy(), rel=1e-5)
    assert of.variance.numpy() == pytest.approx((x.square() * chances).sum(0).numpy() - mean.numpy() ** 2, rel=1e-4)


def test_the_multinomials_probabilities_sum_to_one_and_give_the_mean_and_the_variance():
    of = counts.Multinomial(torch.tensor([0.5, -1.0, 0.2]), torch.tensor(6.0))
    rows = torch.tensor([row for row in product(range(7), repeat=3) if sum(row) == 6], dtype=torch.float32)
    chances = of.log_prob(rows).double().exp()[:, None]
    assert chances.sum().item() == pytest.approx(1, abs=1e-6)
    mean = (rows * chances).sum(0)
    assert of.mean.numpy() == pytest.approx(mean.numpy(), rel=1e-5)
    assert of.variance.numpy() == pytest.approx(((rows - mean).square() * chances).sum(0).numpy(), rel=1e-5)


@pytest.mark.parametrize("name", [*DISTRIBUTIONS, "multinomial"])
def test_draws_are_whole_numbers_of_that_mean_and_variance(name):
    torch.manual_seed(0)
    of = DISTRIBUTIONS.get(name) or counts.Multinomial(torch.tensor([0.5, -1.0, 0.2]), torch.tensor(6.0))
    drawn = of.sample((DRAWS,)).double()
    assert drawn.shape == (DRAWS, 3)
    assert torch.equal(drawn, drawn.round())
    assert (drawn >= 0).all()
    centred = drawn - drawn.mean(0)
    off = (drawn.mean(0) - of.mean) / (centred.std(0) / math.sqrt(DRAWS))
    assert (off.abs() < 4.5).all()
    squares = centred.square()
    off = (squares.mean(0) - of.variance) / (squares.std(0) / math.sqrt(DRAWS))
    assert (off.abs() < 4.5).all()


def test_a_multinomials_draws_have_the_total_that_was_asked_for():
    torch.manual_seed(0)
    drawn = counts.Multinomial(torch.tensor([[-40.0, 2.0, 0.0, -50.0], [0.0] * 4]), torch.tensor(10.0**6)).sample((50,))
    assert (drawn.sum(-1) == 10**6).all()


# --------------------------------------------------------------------------------------------------- limits and identities


def test_without_dispersion_a_negative_binomial_is_the_poisson():
    """The difference of log P falls as ((x − μ)² − x)/2r."""
    log_mean, x = torch.tensor([0.5, 3.0, 40.0], dtype=torch.float64).log(), torch.tensor([2.0, 3.0, 55.0]).double()
    poisson = counts.Poisson(log_mean).log_prob(x)
    first = ((x - log_mean.exp()).square() - x) / 2
    for r in (1e4, 1e6):
        apart = counts.NegativeBinomial(log_mean, torch.tensor(r, dtype=torch.float64).log()).log_prob(x) - poisson
        assert (apart * r).numpy() == pytest.approx(first.numpy(), rel=0.02, abs=1e-3)


@pytest.mark.parametrize("dtype", PRECISIONS)
def test_without_zeros_beside_them_counts_are_the_plain_ones(dtype):
    plain = counts.NegativeBinomial(log_of(RATES, dtype), log_of([2.0], dtype))
    x = torch.tensor(X, dtype=dtype)
    assert torch.equal(counts.ZeroInflated(plain, torch.full((len(X),), -1e4, dtype=dtype)).log_prob(x), plain.log_prob(x))


def test_poissons_whose_total_is_known_are_the_multinomial():
    """∏ Poisson(x_j|λ_j) = Poisson(Σ x|Σ λ) · Multinomial(x|Σ x, λ/Σ λ), for any x and λ."""
    torch.manual_seed(0)
    log_rate = 3 * torch.randn(50, 7, dtype=torch.float64)
    x = torch.poisson(log_rate.exp().clamp(max=1e5))
    both = Independent(counts.Poisson(log_rate), 1).log_prob(x)
    total = counts.Poisson(torch.logsumexp(log_rate, -1)).log_prob(x.sum(-1))
    given = counts.Multinomial(log_rate, torch.tensor(1.0)).log_prob(x)
    assert (total + given).numpy() == pytest.approx(both.numpy(), rel=1e-9)


def test_a_sum_of_gamma_rates_is_the_negative_binomial():
    """P(x) = ∫ Poisson(x|λ) Gamma(λ; r, r/μ) dλ, by quadrature over λ."""
    mu, r, x = 4.0, 1.7, np.arange(12)
    rates = np.linspace(1e-6, 80, 400_001)
    weight = stats.gamma.pdf(rates, r, scale=mu / r)
    expected = [np.trapezoid(stats.poisson.pmf(count, rates) * weight, rates) for count in x]
    found = counts.NegativeBinomial(torch.full((12,), mu).log(), torch.tensor(r).log()).log_prob(torch.tensor(x).float())
    assert found.exp().numpy() == pytest.approx(np.array(expected), rel=1e-4)


# --------------------------------------------------------------------------------------------------------------- gradients


def family(word: str) -> Poisson | NegativeBinomial | ZeroInflated | Multinomial:
    """The likelihood of that word for DATA, in double precision."""
    return LIKELIHOODS[word][0](DATA).double()


def rows_of_data() -> torch.Tensor:
    """A row of zeros, of ones, of the means, and of a million each."""
    means = torch.tensor(DATA.means, dtype=torch.float64).round()
    return torch.stack([torch.zeros(6).double(), torch.ones(6).double(), means, torch.full((6,), 1e6).double()])


@pytest.mark.parametrize("word", WORDS)
def test_gradients_are_finite_differences(word):
    of = family(word)
    torch.manual_seed(0)
    x = rows_of_data()[:3]
    theta = (2 * torch.randn(3, *of.shape((6,)), dtype=torch.float64)).requires_grad_()
    # two numbers on the far side of where a mean is tamed
    with torch.no_grad():
        theta.view(3, -1)[:, 0] = STEEP + 3
    assert torch.autograd.gradcheck(lambda t: of(t, (6,)).log_prob(x), (theta,), eps=1e-6, atol=1e-3, rtol=1e-5)
    for parameter in of.parameters():

        def at(value, parameter=parameter):
            return torch.func.functional_call(of, {_name(of, parameter): value}, (theta.detach(), (6,))).log_prob(x)

        assert torch.autograd.gradcheck(at, (parameter.detach().clone().requires_grad_(),), eps=1e-6, atol=1e-3, rtol=1e-5)


def _name(of: torch.nn.Module, wanted: torch.nn.Parameter) -> str:
    return next(name for name, parameter in of.named_parameters() if parameter is wanted)


@pytest.mark.parametrize("word", WORDS)
@pytest.mark.parametrize("far", [0.0, 30.0, -30.0, 1e4, -1e4])
def test_no_output_of_a_net_and_no_count_gives_what_is_no_number(word, far):
    of = LIKELIHOODS[word][0](DATA)
    x = rows_of_data().float()
    theta = torch.full((4, *of.shape((6,))), far, requires_grad=True)
    log_px = of(theta, (6,)).log_prob(x)
    log_px.sum().backward()
    assert log_px.isfinite().all()
    assert theta.grad.isfinite().all()
    assert all(p.grad.isfinite().all() for p in of.parameters())
    assert of(theta, (6,)).mean.isfinite().all()


def test_a_mean_is_tamed_without_a_step():
    t = torch.linspace(-5, 40, 2001, dtype=torch.float64, requires_grad=True)
    (by,) = torch.autograd.grad(tamed(t).sum(), t)
    assert torch.equal(tamed(t)[t < STEEP], t[t < STEEP])
    assert by.numpy() == pytest.approx(slope(t).detach().numpy())
    assert (by.diff().abs() < 0.03).all()
    assert (by > 0).all()


@pytest.mark.parametrize("word", [word for word in WORDS if not word.startswith("zero")])
def test_the_information_is_the_expected_square_of_the_score(word):
    data = DataSpec((3,), "counts", word, means=(0.4, 2.0, 12.0))
    of = LIKELIHOODS[word][0](data).double()
    torch.manual_seed(0)
    theta, tangent = torch.randn(1, 3, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64)
    form = of.information(theta, (3,))(tangent).item()
    wide = theta.expand(DRAWS, 3).clone().requires_grad_()
    x = of(wide.detach(), (3,)).sample()
    (score,) = torch.autograd.grad(of(wide, (3,)).log_prob(x).sum(), wide)
    squares = (score * tangent).sum(1).square()
    # a multinomial's draws have a whole total, and W is at the mean one
    form *= x.sum(1).mean().item() / of.total.item() if word == "multinomial" else 1
    assert abs(form - squares.mean()) < 5 * squares.std() / math.sqrt(DRAWS)


# ---------------------------------------------------------------------------------------------------------------- in a model


@pytest.mark.parametrize("word", WORDS)
def test_a_family_begins_at_the_columns_means(word):
    of = LIKELIHOODS[word][0](DATA)
    theta = torch.zeros(1, *of.shape((6,)))
    zeros = 1 / (1 + math.exp(3)) if word.startswith("zero") else 0
    assert of(theta, (6,)).mean[0].numpy() == pytest.approx((1 - zeros) * np.maximum(DATA.means, 1e-6), rel=1e-4)


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in OF_IMAGES])
def test_every_recipe_takes_counts_or_says_what_fits(name):
    definition = define(name, DATA, **TINY)
    x = torch.from_numpy(table(8)).float()
    if definition.words.likelihood not in WORDS:
        with pytest.raises(Mistake, match=r"no likelihood of counts: .*--values reals.*; `negative-binomial` fits"):
            definition.build(DATA)
        definition = define(name, DATA, **TINY, likelihood="poisson")
    made = definition.build(DATA)
    loss = made.objective(made.model(x, made.objective.draws, Given(torch.arange(8) % 2)), made.objective.at(1, 10)).total
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.model.parameters())


@pytest.mark.parametrize(("word", "kind"), [(word, kind) for word in LIKELIHOODS for kind in ("binary", "bytes", "reals")])
def test_counts_likelihoods_are_of_counts_alone_and_a_refusal_is_one_line(word, kind):
    fits = {"binary": "bernoulli", "bytes": "discretized-logistic", "reals": "gaussian"}[kind]
    data, chosen = DataSpec((6,), kind, fits), {"likelihood": word}
    if word in WORDS:
        with pytest.raises(Mistake, match=f"`{word}` is no likelihood of .*--values counts.*; `{fits}` fits") as refusal:
            define("vae", data, **TINY, **chosen).build(data)
    else:
        chosen |= {"scale": 1.0} if word == "fixed-gaussian" else {}
        with pytest.raises(Mistake, match=f"`{word}` is no likelihood of counts: .*; `negative-binomial` fits") as refusal:
            define("vae", DATA, **TINY, **chosen).build(DATA)
    assert "\n" not in str(refusal.value)


def learner(word: str, precision: str) -> Learner:
    """A tiny model of counts under training, at weights of one seed."""
    with drawing(torch.device("cpu"), 1):
        options = TrainingOptions(batch_size=16, precision=precision, clip=5.0)
        made = define("vae", DATA, **TINY, likelihood=word).build(DATA)
        return Learner(made, plan(options, 100, 16), torch.device("cpu"))


# the first holds the operations of the other independent ones
@pytest.mark.parametrize(("word", "precision"), [("zero-inflated-negative-binomial", "float32"), ("multinomial", "bfloat16")])
def test_a_replayed_step_and_a_captured_one_are_the_plain_one_bit_for_bit(word, precision):
    x = torch.from_numpy(table(64)).float().view(4, 16, 6)
    plain, rehearsed = learner(word, precision), learner(word, precision)
    replay, (graph, _) = replayed(rehearsed, Batch(x[0])), captured(rehearsed, Batch(x[0]))
    assert replay is not None
    expected = [plain.step(Batch(some), step) for step, some in enumerate(x)]
    assert all(one is not None for one in expected)  # no step is left out
    for found in (replay, Lowered(graph)):
        other = learner(word, precision)
        make = CompiledStep(other, found)
        assert all(torch.equal(make(Batch(some), step), one) for (step, some), one in zip(enumerate(x), expected, strict=True))
        for (key, value), twin in zip(plain.tensors().items(), other.tensors().values(), strict=True):
            assert torch.equal(value, twin), key


def test_the_encoder_reads_logarithms_and_the_likelihood_counts():
    made = define("vae", DATA, **TINY).build(DATA)
    x = torch.from_numpy(table(5)).float()
    plain = made.model.latent.q.net[1]  # the net behind the logarithm
    assert torch.equal(made.model.latent.q.net(x), plain(torch.log1p(x)))
    trace = made.model(x)
    assert trace.log_px.shape == (1, 5)
    assert torch.equal(trace.log_px, trace.likelihood.log_prob(x))


def test_a_linear_model_of_one_latent_meets_its_evidence_by_quadrature():
    """log p(x) of a Poisson whose log rates are linear in z, by importance weighting and by a sum over a grid of z."""
    torch.manual_seed(0)
    means = (2.0, 8.0, 0.5)
    likelihood = Conditional(lambda given, out: nets.mlp(given, out, depth=0), Poisson(means), (1,), (3,))
    posterior = Conditional(lambda given, out: nets.mlp(given, out, depth=0), legato.families.Gaussian(), (3,), (1,))
    model = legato.LatentVariableModel(legato.Flat(posterior, StandardNormal((1,))), likelihood).double()
    with torch.no_grad():  # a posterior that covers: only its tails matter
        for parameter in posterior.net.parameters():
            parameter.zero_()
    x = torch.tensor([[1.0, 9.0, 0.0], [4.0, 20.0, 2.0]], dtype=torch.float64)
    z = torch.linspace(-9, 9, 20_001, dtype=torch.float64)[:, None, None]
    terms = likelihood(z).log_prob(x) - 0.5 * z[..., 0].square() - 0.5 * math.log(2 * math.pi)
    exact = torch.logsumexp(terms, 0) + math.log(18 / 20_000)
    assert model.log_likelihood(x, 20_000).numpy() == pytest.approx(exact.detach().numpy(), abs=0.05)


# ------------------------------------------------------------------------------------------------------ from a file to a sample


def places(rows: np.ndarray, folder: Path) -> dict[str, object]:
    """The same rows as an array, a frame, and files."""
    frame = pa.table({f"column {i}": column for i, column in enumerate(rows.T)})
    np.save(folder / "a.npy", rows)
    (folder / "a.csv").write_text(csv(rows))
    pq.write_table(frame, folder / "a.parquet")
    return {
        "array": rows,
        "floats": rows.astype(float),
        "frame": frame,
        **{s: folder / f"a.{s}" for s in ("npy", "csv", "parquet")},
    }


def test_auto_reads_whole_numbers_as_before_and_counts_only_where_that_is_said(tmp_path):
    rows = table()
    for source in places(rows, tmp_path).values():
        plain, told = open_source(source, DataOptions()), open_source(source, DataOptions(values="counts"))
        assert (plain.kind, plain.likelihood) == ("reals", "gaussian")
        assert (told.kind, told.likelihood) == ("counts", "negative-binomial")
        assert plain.fingerprint != told.fingerprint
        assert np.array_equal(told.rows, rows)
        assert ("--values counts" in str(describe(plain)["why"])) == (plain.rows.dtype.kind == "i")
        assert "--values" not in str(describe(told)["why"])


WRONG = {
    "halves": (np.array([[0.0, 1.5]] * 30), "not all whole"),
    "negative": (np.array([[0, -1]] * 30), "from -1 to 0"),
    "missing": (np.array([[0.0, np.nan]] * 30), "NaN"),
    "too large": (np.array([[0, 2 * 10**9]] * 30), "a thousand million"),
    "pictures": (np.zeros((30, 8, 8), np.uint8), "takes the rows of a table"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_count_is_told_in_one_line(name):
    rows, expected = WRONG[name]
    with pytest.raises(Mistake, match=expected) as refusal:
        open_source(rows, DataOptions(values="counts"))
    assert "\n" not in str(refusal.value)
    if name not in ("missing", "pictures"):
        assert "give --values reals" in str(refusal.value)


def csv(rows: np.ndarray) -> str:
    """A table whose columns have names, one with a unit."""
    names = ["visits (per day)", *(f"gene {i}" for i in range(1, rows.shape[1]))]
    return "\n".join([",".join(names), *(",".join(map(str, row)) for row in rows)])


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A table of counts as CSV, and a run on it."""
    folder = tmp_path_factory.mktemp("counts")
    (folder / "a.csv").write_text(csv(table()))
    legato.train(
        "vae", data=folder / "a.csv", out=folder / "run", values="counts", steps=20, batch_size=32, warmup_steps=2, **TINY
    )
    return folder


def test_a_run_gives_counts_back_in_their_own_units(run):
    space, rows = legato.load(run / "run"), table()
    assert space.definition.words.likelihood == "negative-binomial"
    stored = json.loads((run / "run" / "data.json").read_text())
    training = space.data().split("train").all()
    assert stored["preparation"]["means"] == pytest.approx(rows[training].mean(0))
    mu, _ = space.encode(rows[:7])
    assert space.encode(rows[:7].astype(float))[0].tolist() == mu.tolist()  # a count is the same in any type
    theta = space.model.likelihood.net(torch.from_numpy(mu))
    by_hand = (theta + torch.tensor(np.maximum(stored["preparation"]["means"], 1e-6)).log()).exp()
    assert space.decode(mu) == pytest.approx(by_hand.numpy(), rel=1e-4)
    assert space.reconstruct(rows[:7]) == pytest.approx(space.decode(mu))
    drawn = space.sample(200, seed=1)
    assert np.array_equal(drawn, drawn.round())
    assert drawn[:, 5].max() > 1e5
    assert space.score(rows[:7], k=5).shape == (7,)


@pytest.mark.parametrize(("x", "expected"), [(-1, "from 0 on"), (0.5, "from 0 on"), (np.nan, "NaN")])
def test_a_run_refuses_what_is_no_count(run, x, expected):
    with pytest.raises(Mistake, match=expected):
        legato.load(run / "run").encode(np.full((2, 6), x, np.float64))


def test_a_run_whose_means_are_gone_or_too_many_is_refused_in_a_line(run, tmp_path):
    shutil.copytree(run / "run", tmp_path / "run")
    for means, expected in ((None, "where its values are counts"), ([1.0, 2.0], "is of 2 columns, the shape of 6")):
        stored = json.loads((run / "run" / "data.json").read_text())
        stored["preparation"].pop("means")
        stored["preparation"] |= {} if means is None else {"means": means}
        (tmp_path / "run" / "data.json").write_text(json.dumps(stored))
        with pytest.raises(Mistake, match=expected) as refusal:
            legato.load(tmp_path / "run")
        assert "\n" not in str(refusal.value)


def test_another_table_is_read_as_counts_or_refused(run, tmp_path):
    space = legato.load(run / "run")
    (tmp_path / "b.csv").write_text(csv(table(40, 1) // 10**6))  # all 0 or nearly: they are counts all the same
    assert space.data(tmp_path / "b.csv").dataset.kind == "counts"
    (tmp_path / "c.csv").write_text(csv(table(40, 1) + 0.5))
    with pytest.raises(Mistake, match="not all whole"):
        space.data(tmp_path / "c.csv")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of each likelihood on columns of scale 10⁶ beside columns of zeros, at a learning rate of 10⁻²."""
    folder = tmp_path_factory.mktemp("words")
    for word in WORDS:
        shared = {"values": "counts", "likelihood": word, "steps": 15, "learning_rate": 1e-2, **TINY}
        legato.train("vae", data=table(), out=folder / word, **shared)
    return folder


@pytest.mark.parametrize("word", WORDS)
def test_training_on_counts_of_millions_takes_every_step(runs, word):
    lines = legato.load(runs / word).run.read_metrics()
    assert math.isfinite(next(line for line in reversed(lines) if "validation" in line)["validation"]["elbo"])
    assert not any(line.get("skipped") for line in lines)


def test_a_run_that_was_stopped_and_resumed_is_the_one_that_was_not(runs, tmp_path):
    shared = {"values": "counts", "likelihood": "negative-binomial", "steps": 15, "learning_rate": 1e-2, **TINY}
    np.save(tmp_path / "a.npy", table())
    legato.train("vae", data=tmp_path / "a.npy", out=tmp_path / "whole", **shared)
    with stopping_after(6), pytest.raises(Stopped):
        legato.train("vae", data=tmp_path / "a.npy", out=tmp_path / "cut", **shared)
    assert resume(tmp_path / "cut") == 0
    assert_same(tmp_path / "cut", tmp_path / "whole")


def test_nats_of_a_row_whose_total_is_given_are_compared_with_no_others(runs):
    spaces = {word: legato.load(runs / word) for word in WORDS}
    check_same_units([spaces["poisson"], spaces["negative-binomial"], spaces["zero-inflated-poisson"]])
    with pytest.raises(Mistake, match="one takes each row's total as given"):
        check_same_units([spaces["poisson"], spaces["multinomial"]])


def test_a_linear_poisson_finds_the_planted_rates_that_a_gaussian_does_not():
    """Rates that are log linear in one factor: a linear decoder's logarithms can be theirs, its means cannot."""
    rng = np.random.default_rng(3)
    rates = 4 * np.exp(rng.standard_normal((600, 1)) @ np.array([[1.0, -1.0, 0.8, -0.8, 0.6, 1.2]]))
    rows = rng.poisson(rates)
    shared = {"latent_dim": 1, "net": "mlp", "width": 8, "depth": 0, "steps": 150, "learning_rate": 2e-2, "batch_size": 128}
    off = {}
    for values, word in (("counts", "poisson"), ("reals", "gaussian")):
        found = legato.VAE(values=values, likelihood=word, **shared).fit(rows)
        back = np.asarray(found.inverse_transform(found.transform(rows)))
        off[word] = np.abs(np.log(np.maximum(back, 1e-2)) - np.log(rates)).mean()
    assert off["poisson"] < 0.6 * off["gaussian"]
