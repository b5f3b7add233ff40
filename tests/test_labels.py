"""Labels: laws of a model that is told each example's class, and every command on a run of one.

The linear-Gaussian model x = W_y z + b_y + σ ε has a closed form for everything: log p(x|y) and p(z|x, y) are Gaussian.
"""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal
from torch import Tensor, nn
from torch.testing import assert_close

import legato
from legato.batch import Batch
from legato.cli import run
from legato.commands.output import in_a_name
from legato.conditional import Conditional
from legato.data import open_source
from legato.data.batches import TrainingBatches
from legato.data.preparation import Preparation, prepare
from legato.data.prepared import Prepared, spec_of
from legato.definition import define
from legato.errors import Mistake, Stopped
from legato.families import Gaussian, Homoscedastic
from legato.label import Beside
from legato.latents import Flat
from legato.loading import load
from legato.measures.as_needed import score_as_needed
from legato.measures.likelihood import score
from legato.model import LatentVariableModel
from legato.nets import mlp
from legato.objectives import Distortion, Rate
from legato.priors import GaussianOfEachClass, StandardNormal
from legato.recipe import Recipe
from legato.run import Run
from legato.setting import DataSpec
from legato.trace import Given
from made_runs import SMALL, blobs
from stopped_runs import assert_same, resume, stopping_after

CLASSES = 3
NAMES = ("cat", "dog", "owl")


def affine(given: tuple[int, ...], out: tuple[int, ...]) -> nn.Module:
    """One affine map."""
    return mlp(given, out, depth=0)


def labels(n: int) -> Tensor:
    return torch.arange(n) % CLASSES


def built(shape: tuple[int, ...] = (6,), kind: str = "reals", **chosen) -> Recipe:
    """A tiny conditional VAE of three classes, in float64."""
    torch.manual_seed(1)
    fits = {"reals": "gaussian", "bytes": "discretized-logistic"}
    data = DataSpec(shape, kind, fits[kind], classes=NAMES)
    made = define("conditional_vae", data, **{"latent_dim": 2, "width": 8, "depth": 1, **chosen}).build(data)
    made.model.double()
    return made


# ------------------------------------------------------------------------------------------------ the closed form


SCALE = 0.5
WEIGHTS = np.random.default_rng(0).normal(size=(4, 2))
WEIGHTS[:, 1] -= WEIGHTS[:, 0] * (WEIGHTS[:, 0] @ WEIGHTS[:, 1]) / (WEIGHTS[:, 0] @ WEIGHTS[:, 0])  # a diagonal posterior
OFFSETS = np.random.default_rng(1).normal(size=(CLASSES, 4))
MEANS = np.random.default_rng(2).normal(size=(CLASSES, 2))
SCALES = np.exp(np.random.default_rng(3).normal(size=(CLASSES, 2)) / 3)


def linear(learnt: bool) -> LatentVariableModel:
    """p(x|z, y) = N(W z + b_y, σ² I), p(z) = N(0, I), q(z|x, y) the exact posterior; an affine map's one-hot columns are b_y.

    `learnt`: p(z|y) = N(m_y, diag s_y²) under the same q, twice as wide.
    """
    prior = GaussianOfEachClass((2,), CLASSES) if learnt else StandardNormal((2,))
    q = Conditional(affine, Gaussian(), (4,), (2,), CLASSES)
    p = Conditional(affine, Homoscedastic(SCALE), (2,), (4,), CLASSES)
    model = LatentVariableModel(Flat(q, prior), p).double()
    if learnt:
        prior.means.data, prior.log_scales.data = torch.tensor(MEANS), torch.tensor(np.log(SCALES))
    decoder, encoder = p.net.layers[0], q.net.layers[0]
    p.family.log_scale.fill_(math.log(SCALE))
    decoder.weight.data, decoder.bias.data = torch.tensor(np.hstack([WEIGHTS, OFFSETS.T])), torch.zeros(4).double()
    variance = 1 / (1 + (WEIGHTS**2).sum(0) / SCALE**2)
    gain = variance[:, None] * WEIGHTS.T / SCALE**2
    encoder.weight.data = torch.tensor(np.vstack([np.hstack([gain, -(gain @ OFFSETS.T)]), np.zeros((2, 4 + CLASSES))]))
    log_sigma = 0.5 * np.log(variance) + math.log(2) * learnt
    encoder.bias.data = torch.tensor(np.concatenate([np.zeros(2), log_sigma]))
    return model


def evidence(x: np.ndarray, y: int, learnt: bool) -> np.ndarray:
    """log p(x|y) = log N(b_y + W m_y, W diag(s_y²) Wᵀ + σ² I), (n,), nats."""
    mean, scale = (MEANS[y], SCALES[y]) if learnt else (np.zeros(2), np.ones(2))
    covariance = WEIGHTS @ np.diag(scale**2) @ WEIGHTS.T + SCALE**2 * np.eye(4)
    return np.asarray(multivariate_normal(OFFSETS[y] + WEIGHTS @ mean, covariance).logpdf(x))


def exact(x: Tensor, y: Tensor, learnt: bool) -> Tensor:
    return torch.from_numpy(np.array([evidence(row, int(k), learnt) for row, k in zip(x.numpy(), y, strict=True)]))


def test_the_bound_of_each_class_is_its_exact_evidence_where_the_posterior_is_exact():
    model, x, y = linear(learnt=False), torch.randn(30, 4, dtype=torch.float64), labels(30)
    expected = exact(x, y, learnt=False)
    trace = model(x, 3, Given(y))
    assert_close(trace.log_w, expected.expand(3, -1))
    assert_close(-(Distortion()(model(x, 4000, Given(y))) + Rate()(trace)), expected, atol=0.15, rtol=0)
    assert_close(model.log_likelihood(x, 7, given=Given(y)), expected)
    found = score(model, [Batch(x, y)], 5)
    assert np.allclose(found.log_px, expected, atol=1e-9)
    assert np.allclose(score_as_needed(model, [Batch(x, y)[:15], Batch(x, y)[15:]]).log_px, expected, atol=1e-9)


def test_a_class_by_itself_is_the_same_model_with_that_label_everywhere():
    model, x = linear(learnt=False), torch.randn(9, 4, dtype=torch.float64)
    for k in range(CLASSES):
        one, given = model.of_class(k), Given(torch.full((9,), k))
        assert_close(one.log_likelihood(x, 5), exact(x, given.label, learnt=False))
        assert torch.equal(one.summary(x).mu, model.summary(x, given).mu)
        assert torch.equal(one.reconstruct(x), model.reconstruct(x, given))
        assert one.classes == CLASSES
        assert not one.needs_label
        assert all(a is b for a, b in zip(one.parameters(), model.parameters(), strict=True))
    assert torch.equal(model.of_class(0).of_class(2).reconstruct(x), model.of_class(2).reconstruct(x))
    assert torch.equal(model.of_class(0).summary(x, Given(torch.full((9,), 1))).mu, model.of_class(1).summary(x).mu)


def test_a_prior_for_each_class_meets_the_exact_evidence_by_importance_weighting():
    """q is not exact here: the bound comes from below, and its error with 20,000 draws is told by their spread."""
    model, x, y = linear(learnt=True), torch.randn(6, 4, dtype=torch.float64), labels(6)
    torch.manual_seed(0)
    log_w = torch.cat([trace.log_w for trace in model.chunks(x, 20_000, given=Given(y))])
    weights = (log_w - log_w.max(0).values).exp()
    error = weights.std(0) / weights.mean(0) / math.sqrt(len(log_w))
    assert ((torch.logsumexp(log_w, 0) - math.log(len(log_w)) - exact(x, y, learnt=True)).abs() < 5 * error).all()
    (rung,) = model(x, 1, Given(y)).rungs
    q = rung.q.base_dist
    m, s = torch.tensor(MEANS)[y], torch.tensor(SCALES)[y]
    kl = (torch.log(s / q.scale) + (q.scale**2 + (q.loc - m) ** 2) / (2 * s**2) - 0.5).sum(1)
    assert_close(rung.kl, kl)


def test_draws_of_a_prior_for_each_class_have_its_moments():
    model = linear(learnt=True)
    torch.manual_seed(0)
    for k in range(CLASSES):
        drawn = model.of_class(k).latent.draw_prior(40_000, np.random.default_rng(0))
        cold = model.of_class(k).latent.draw_prior(40_000, np.random.default_rng(0), 0.5)
        assert np.allclose(drawn.mean(0), MEANS[k], atol=5 * SCALES[k].max() / 200)
        assert np.allclose(drawn.std(0), SCALES[k], rtol=0.02)
        assert np.allclose(cold - MEANS[k], (drawn - MEANS[k]) / 2, atol=1e-5)
    y = labels(60_000)
    z = model.latent.sample(len(y), Given(y))  # one of each label, not 60,000 of each
    assert z.shape == (60_000, 2)
    assert np.allclose([z[y == k].mean(0).tolist() for k in range(CLASSES)], MEANS, atol=0.05)


# ------------------------------------------------------------------------------------------------ laws of any net


NETS = [
    ("residual", (6,), "reals"),
    ("mlp", (1, 8, 8), "bytes"),
    ("conv", (3, 8, 8), "bytes"),
    ("strided", (3, 16, 16), "bytes"),
]


@pytest.mark.parametrize(("net", "shape", "kind"), NETS)
def test_a_net_that_ignores_its_label_gives_the_unconditional_model(net, shape, kind):
    """The label's weights of every first layer at 0: then all labels give one answer, that of a net without them."""
    made = built(shape, kind, net=net, width=4)
    x = torch.rand(6, *shape, dtype=torch.float64)
    x = (x * 255).round() / 255 if kind == "bytes" else x
    for part in (made.model.latent.q, made.model.likelihood):
        first = next(module for module in part.net.modules() if isinstance(module, nn.Linear | nn.Conv2d))
        put = part.beside.shape if isinstance(first, nn.Conv2d) else (math.prod(part.beside.shape),)
        first.weight.data[:, -(put[0] - (part.given[0] if len(put) > 1 else math.prod(part.given))) :] = 0
    results = []
    for given in (Given(labels(6)), Given(labels(6).flip(0)), Given(torch.tensor(1))):
        torch.manual_seed(3)
        trace = made.model(x, 2, given)
        results.append(torch.stack([made.objective(trace, made.objective.at(0, 1)).total, trace.log_w.sum()]))
    assert torch.equal(results[0], results[1])
    assert_close(results[0], results[2])
    torch.manual_seed(3)
    plain = made.model(x, 2, Given(labels(6)))
    q, p = made.model.latent.q, made.model.likelihood
    bare = Conditional(lambda given, out: _without(q, given), Gaussian(), shape, (2,)).double()
    assert_close(bare(x).mean, plain.rungs[0].q.mean)
    bare = Conditional(lambda given, out: _without(p, given), p.family, (2,), shape).double()
    assert_close(bare(plain.code).log_prob(x), plain.log_px)


def _without(part: Conditional, given: tuple[int, ...]) -> nn.Module:
    """The net of a conditional with zeros where its label stands."""

    class Bare(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            image = part.beside.channel is not None
            zeros = torch.zeros(len(x), 1, *x.shape[2:]) if image else torch.zeros(len(x), CLASSES)
            return part.net(torch.cat([x if image else x.flatten(1), zeros.to(x)], 1))

    return Bare()


@pytest.mark.parametrize(("shape", "kind", "net"), [((6,), "reals", "mlp"), ((3, 8, 8), "bytes", "conv")])
def test_every_example_has_its_own_label_and_another_one_gives_another_posterior(shape, kind, net):
    made, y = built(shape, kind, net=net, width=4), labels(6)
    x = torch.rand(1, *shape, dtype=torch.float64).expand(6, *shape)
    mu = made.model.summary(x, Given(y)).mu
    assert_close(mu[:3], mu[3:])  # the same picture, the same label
    assert (torch.pdist(mu[:3]) > 1e-3).all()
    order = [4, 0, 5, 1]
    assert_close(made.model.summary(x[order], Given(y[order])).mu, mu[order])
    z = torch.randn(5, 6, 2, dtype=torch.float64)  # each draw of an example is decoded through its label
    whole = made.model.decode(z, Given(y))
    for i in range(6):
        assert_close(made.model.decode(z[:, i], Given(y[i])), whole[:, i])


def test_a_label_is_one_hot_beside_a_vector_and_a_channel_beside_an_image():
    flat, image = Beside((2,), CLASSES), Beside((3, 4, 5), CLASSES)
    x = torch.tensor([[0.1, 0.2], [0.3, 0.4]])
    assert flat(x, torch.tensor([2, 0])).tolist() == [[*x[0].tolist(), 0, 0, 1], [*x[1].tolist(), 1, 0, 0]]
    assert image.shape == (4, 4, 5)
    put = image(torch.zeros(2, 3, 4, 5), torch.tensor([2, 0]))
    assert torch.equal(put[:, 3].flatten(1), image.channel.weight[[2, 0]])
    assert not put[:, :3].any()


def test_the_channel_of_a_class_is_learnt_by_examples_of_that_class_alone():
    made, y = built((1, 8, 8), "bytes", net="conv", width=4), torch.tensor([0, 2, 2])
    made.model(torch.rand(3, 1, 8, 8).double(), 1, Given(y)).log_px.sum().backward()
    gradient = made.model.latent.q.beside.channel.weight.grad
    assert gradient[[0, 2]].abs().sum(1).min() > 0
    assert not gradient[1].any()


# ------------------------------------------------------------------------------------------------ batches


def test_the_parts_of_all_ranks_in_a_row_are_the_batch_with_its_labels_and_rows():
    rows = np.random.default_rng(0).integers(0, 256, (70, 1, 4, 4), dtype=np.uint8)
    chosen, y = np.arange(5, 70), np.arange(70) % CLASSES
    batches = TrainingBatches(rows, chosen, Preparation("bytes", binarise=True), 22, 0, y)
    for step in (0, 1, 2, 7):
        whole = batches.at(step)
        assert torch.equal(whole.label, torch.from_numpy(y)[whole.rows])
        assert set(whole.rows.tolist()) <= set(chosen)
        for world in (2, 3, 5):
            parts = [batches.at(step, rank, world) for rank in range(world)]
            assert max(map(len, parts)) - min(map(len, parts)) <= 1
            for name in ("x", "label", "rows"):
                assert torch.equal(torch.cat([getattr(part, name) for part in parts]), getattr(whole, name))
    grey = TrainingBatches(rows, chosen, Preparation("bytes"), 22, 0)
    assert np.allclose(grey.at(3).x, rows[grey.at(3).rows] / 255)
    assert grey.at(3).label is None
    assert grey.at(3).given.rows is not None


# ------------------------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: define("conditional_vae", DataSpec((6,), "reals", "gaussian")).build(DataSpec((6,), "reals", "gaussian")),
         ["needs a label for every row", "have none", "--labels"]),
        (lambda: _partly(1), ["1 row has none"]),
        (lambda: _partly(7), ["7 rows have none", "take them out"]),
        (lambda: built().model(torch.zeros(2, 6).double()), ["class-conditional", "choose one class"]),
        (lambda: built(learnt=True).model.latent.sample(3), ["class-conditional"]),
        (lambda: built().model.of_class(3), ["no class 3", "0 … 2"]),
        (lambda: linear(False).latent.q and _plain().of_class(0), ["reads no label"]),
    ],
)  # fmt: skip
def test_what_has_no_label_is_refused_in_one_line(make: Callable[[], object], told: list[str]):
    with pytest.raises(Mistake) as mistake:
        make()
    assert all(word in str(mistake.value) for word in told)
    assert "\n" not in str(mistake.value)


def _partly(unlabelled: int) -> Recipe:
    data = DataSpec((6,), "reals", "gaussian", classes=NAMES, unlabelled=unlabelled)
    return define("conditional_vae", data).build(data)


def _plain() -> LatentVariableModel:
    data = DataSpec((6,), "reals", "gaussian")
    return define("vae", data).build(data).model


@pytest.fixture(scope="module")
def animals(tmp_path_factory) -> dict[str, Path]:
    """Blobs whose classes have names; some with a label missing, some with a stranger, some without labels."""
    folder = tmp_path_factory.mktemp("animals")
    images, quadrant = blobs(120, 3)
    names = np.array(["cat", "dog", "owl", "elk"])[quadrant]
    files = {name: folder / f"{name}.npz" for name in ("all", "missing", "stranger", "plain", "turned")}
    np.savez(files["all"], images=images, labels=names)
    np.savez(files["missing"], images=images, labels=np.where(np.arange(120) == 7, "", names))
    np.savez(files["stranger"], images=images[:50], labels=np.where(np.arange(50) == 7, "yak", names[:50]))
    np.savez(files["plain"], images=images[:40])
    np.savez(files["turned"], images=images[60:100], labels=np.where(names[60:100] == "cat", "cat", "owl"))
    return files


@pytest.fixture(scope="module")
def zoo(animals, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("zoo") / "run"
    legato.train("conditional_vae", str(animals["all"]), out, **SMALL)
    return out


def refused(arguments: list[str], capsys) -> str:
    """The one line of a command that is refused."""
    assert run(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.strip().splitlines()
    return line


def test_unlabelled_data_are_refused_before_anything_is_written(animals, tmp_path, capsys):
    line = refused(["train", "conditional_vae", "--data", str(animals["missing"]), "--out", str(tmp_path / "r")], capsys)
    assert "needs a label for every row, and 1 row has none" in line
    line = refused(["train", "conditional_vae", "--data", str(animals["plain"]), "--out", str(tmp_path / "r")], capsys)
    assert "these data have none" in line
    assert not (tmp_path / "r").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["sample", "RUN"], "say which class, --label NAME"),
        (["sample", "RUN"], "the classes are cat, dog, elk, owl"),
        (["sample", "RUN", "--label", "lion"], "no class `lion`: the classes are cat, dog, elk, owl"),
        (["traverse", "RUN"], "say which class"),
        (["export", "RUN"], "say which class"),
        (["report", "RUN"], "say which class"),
        (["explore", "RUN", "--label", "lion", "--no-browser"], "knows no class `lion`"),
        (["interpolate", "RUN", "0", "1", "2", "3", "4", "5", "6"], "of several classes"),
        (["encode", "RUN", "--data", "plain"], "has no labels, and the model reads them"),
        (["evaluate", "RUN", "--data", "stranger"], "row `7` of"),
        (["evaluate", "RUN", "--data", "stranger"], "has the label `yak`, and the model reads it: expected one of cat, dog"),
    ],
)
def test_a_class_that_is_missing_or_unknown_is_told_in_one_line(words, told, zoo, animals, capsys):
    words = [{"RUN": str(zoo)}.get(word, str(animals.get(word, word))) for word in words]
    assert told in refused(words, capsys)


def test_a_label_asked_of_a_model_without_classes_is_told_in_one_line(runs, capsys):
    assert "reads no label and has no class `cat`" in refused(["sample", str(runs["vae"]), "--label", "cat"], capsys)


# ------------------------------------------------------------------------------------------------ a run


def test_the_classes_are_kept_by_name_and_numbered_by_the_run(zoo, animals):
    space = load(zoo)
    assert space.classes == ("cat", "dog", "elk", "owl")
    assert json.loads((zoo / "data.json").read_text())["classes"] == list(space.classes)
    other = space.data(str(animals["turned"]))
    assert other.dataset.label_names == ("cat", "owl")
    rows = np.arange(40)
    names = [space.classes[k] for k in other.labels(rows)]
    assert names == [other.dataset.label_names[k] for k in other.dataset.labels]


def test_one_class_has_its_own_rows_its_own_codes_and_its_own_pictures(zoo):
    space = load(zoo)
    owls, data = space.of_class("owl"), space.data()
    rows = data.split("all").all()
    chosen = owls.data().split("all").all()
    assert set(data.labels(chosen)) == {3}
    assert sum(len(space.of_class(name).data().split("train")) for name in space.classes) == len(data.split("train"))
    train = owls.data().split("train").all()
    mu, sigma = space.encode(np.asarray(data.dataset.rows)[train], train, data.labels(train))
    mean, covariance, noise = owls.codes()
    assert np.allclose(mean, mu.mean(0), atol=1e-5)
    assert np.allclose(noise, (sigma**2).mean(0), rtol=1e-4)
    assert np.allclose(covariance, np.cov(mu.T, bias=True) + np.diag((sigma**2).mean(0)), atol=1e-5)
    assert all(a is b for a, b in zip(owls.model.parameters(), space.model.parameters(), strict=True))
    z = owls.draw(5, seed=1)
    assert np.array_equal(owls.decode(z), space.decode(z, np.full(5, 3)))
    assert not np.allclose(owls.decode(z), space.of_class("cat").decode(z))
    assert np.array_equal(owls.draw(5, seed=1), space.of_class("cat").draw(5, seed=1))  # N(0, I) is every class's
    assert len(rows) == 120
    assert owls.mixture is not space.of_class("cat").mixture


def test_a_recipe_is_told_the_same_of_open_data_and_of_what_a_run_keeps_of_them(zoo, animals, runs):
    spec = load(zoo).data().spec
    assert (spec.count, spec.classes, spec.unlabelled) == (96, ("cat", "dog", "elk", "owl"), 0)
    assert spec_of(Run(zoo).stored("data")) == spec
    data = open_source(str(animals["missing"]))
    assert Prepared(data, prepare(data.kind, data.likelihood, data.rows, data.splits["train"].all())).spec.unlabelled == 1
    told = {name: value for name, value in Run(runs["vae"]).stored("data").items() if name not in ("classes", "unlabelled")}
    assert spec_of(told).classes == ()  # a run of before classes were kept


def test_a_snapshot_is_looked_at_one_class_at_a_time_too(zoo):
    first, last = (load(zoo, step=step, label="owl") for step in (1, 40))
    assert first.one == last.one == 3
    z = first.draw(2, seed=0, origin="prior")
    assert not np.array_equal(first.decode(z), last.decode(z))
    assert np.array_equal(last.decode(z), load(zoo).decode(z, np.full(2, 3)))


def test_a_source_without_labels_is_taken_as_one_class(zoo, animals):
    owls = load(zoo, label="owl")
    plain = owls.data(str(animals["plain"]))
    rows = plain.split("all").all()
    assert len(rows) == 40
    assert set(plain.labels(rows)) == {3}
    x = np.asarray(plain.dataset.rows)
    assert np.array_equal(owls.encode(x)[0], load(zoo).encode(x, label=np.full(40, 3))[0])


def test_a_model_of_one_class_is_pickled_as_such(zoo):
    owls = load(zoo, label="owl")
    again = pickle.loads(pickle.dumps(owls))
    assert again.one == owls.one
    assert np.array_equal(again.sample(2), owls.sample(2))


def test_labels_for_each_example_are_held_to_the_models_classes(zoo, runs):
    space, x = load(zoo), blobs(3)[0]
    for label in ([0, 1], [0.0, 1, 2], [0, 1, 4], [-1, 0, 1]):
        with pytest.raises(Mistake, match="`label`"):
            space.encode(x, label=np.array(label))
    with pytest.raises(Mistake, match="reads no labels"):
        load(runs["vae"]).encode(x, label=np.array([0, 1, 1]))


def test_evaluate_takes_each_rows_own_label_and_one_class_those_of_its_rows(zoo):
    space = load(zoo)
    whole = legato.evaluate(space, split="all", k=30)
    parts = [legato.evaluate(space.of_class(name), split="all", k=30) for name in space.classes]
    assert sum(part["data"]["n"] for part in parts) == whole["data"]["n"] == 120
    rates = sum(part["data"]["n"] * part["rate"]["value"] for part in parts) / 120
    assert whole["rate"]["value"] == pytest.approx(rates, rel=1e-5)  # in closed form: no draw is in it
    rows = space.data().split("all").all()
    x, y = np.asarray(space.data().dataset.rows), space.data().labels(rows)
    wrong = space.distortion(x, rows, (y + 1) % 4).mean()
    assert wrong > space.distortion(x, rows, y).mean() + 1


@pytest.mark.parametrize(
    ("words", "wrote"),
    [
        (["sample", "--label", "cat", "--from", "codes", "--out", "FILE.png"], "FILE.png"),
        (["encode", "--out", "FILE.csv"], "120 codes"),
        (["encode", "--label", "cat", "--out", "FILE.csv"], "COUNT codes"),
        (["reconstruct", "--out", "FILE.png"], "FILE.png"),
        (["reconstruct", "3", "4", "--label", "cat", "--out", "FILE.png"], "FILE.png"),
        (["interpolate", "3", "4", "--label", "cat", "--out", "FILE.png"], "FILE.png"),
        (["traverse", "5", "--out", "FILE.png"], "FILE.png"),
        (["traverse", "--label", "cat", "--out", "FILE.png"], "FILE.png"),
        (["score", "--k", "3", "--out", "FILE.csv"], "12 rows"),
        (["evaluate", "--k", "3", "--label", "cat"], "the model is told the class (cat)"),
        (["evaluate", "--k", "3"], "the model is told the class (each row's own)"),
        (["report", "--label", "cat", "--k", "3", "--out", "FILE.html"], "FILE.html"),
    ],
)
def test_every_command_on_a_run_looks_at_one_class_or_takes_each_rows_own(words, wrote, zoo, tmp_path, capsys):
    words = [words[0], str(zoo), *(word.replace("FILE", str(tmp_path / "file")) for word in words[1:])]
    assert run(words) == 0, capsys.readouterr().err
    cats = len(load(zoo, label="cat").data().split("all"))
    assert wrote.replace("FILE", str(tmp_path / "file")).replace("COUNT", str(cats)) in capsys.readouterr().out


def test_the_sheets_of_two_classes_lie_beside_each_other(zoo):
    for name in ("cat", "dog"):
        assert run(["sample", str(zoo), "--label", name]) == 0
    assert {f"samples-{name}.png" for name in ("cat", "dog")} <= {path.name for path in (zoo / "figures").iterdir()}
    assert in_a_name("../Käuze & Co.") == "-Käuze-Co-"


def test_a_named_image_is_encoded_by_its_own_label_and_decoded_as_another(zoo, monkeypatch):
    """The picture that `reconstruct 3 --label cat` writes."""
    space, shown = load(zoo), []
    data, row = space.data(), np.array([3])
    monkeypatch.setattr("legato.commands.reconstruct.write_rows", lambda rows, *_, **__: shown.extend(rows))
    other = next(name for k, name in enumerate(space.classes) if k != data.labels(row)[0])
    assert run(["reconstruct", str(zoo), "3", "--label", other]) == 0
    mu, _ = space.encode(np.asarray(data.dataset.rows)[row], row, data.labels(row))
    assert np.array_equal(shown[-1][1], space.of_class(other).decode(mu))


def test_models_that_are_told_other_classes_are_not_compared(zoo, animals, tmp_path):
    legato.train("vae", str(animals["all"]), tmp_path / "plain", **SMALL)
    with pytest.raises(Mistake, match="not told the same classes"):
        legato.compare([load(zoo), load(tmp_path / "plain")], k=2)
    found = legato.compare([load(zoo), load(zoo)], k=2)
    assert found["data"]["n"] == 12


def test_stopped_and_resumed_it_ends_with_the_same_bits(animals, tmp_path):
    straight, resumed = tmp_path / "straight", tmp_path / "resumed"
    chosen = {**SMALL, "learnt": True}
    legato.train("conditional_vae", str(animals["all"]), straight, **chosen)
    with stopping_after(17), pytest.raises(Stopped):
        legato.train("conditional_vae", str(animals["all"]), resumed, **chosen)
    assert resume(resumed) == 0
    assert_same(resumed, straight)
    for k in range(4):
        name = f"codes/class-0000{k}.safetensors"
        assert (straight / name).read_bytes() == (resumed / name).read_bytes()
