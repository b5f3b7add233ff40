"""Semi-supervised models: laws of sums over classes that are not known, and every command on a run of them.

The linear-Gaussian classes of tests/test_labels.py have an exact log p(x|y); their covariance is one, so that p(y|x) is
a softmax of an affine map, which a classifier without hidden layers holds exactly.
"""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

import legato
from legato.batch import Batch
from legato.classifier import Classifier
from legato.cli import run
from legato.conditional import Conditional
from legato.definition import define
from legato.errors import Mistake, Stopped
from legato.families import Bernoulli, Gaussian, Homoscedastic
from legato.latents import Flat
from legato.loading import load
from legato.measures.likelihood import score
from legato.model import LatentVariableModel
from legato.nets import mlp
from legato.objectives import Classification, Dependence, Distortion, Pull, Rate
from legato.priors import StandardNormal
from legato.recipe import Recipe
from legato.setting import DataSpec
from legato.trace import Given, Trace
from made_runs import SMALL, blobs, train
from stopped_runs import assert_same, resume, stopping_after
from test_labels import CLASSES, OFFSETS, SCALE, WEIGHTS, affine, evidence, linear

NAMES = ("cat", "dog", "owl")
COVARIANCE = WEIGHTS @ WEIGHTS.T + SCALE**2 * np.eye(4)


def exact(x: Tensor) -> Tensor:
    """log p(x, y) of each class under uniform classes, (B, K), nats."""
    each = [evidence(x.numpy(), y, learnt=False) for y in range(CLASSES)]
    return torch.from_numpy(np.stack(each, 1)) - math.log(CLASSES)


def inferring(knows: bool) -> LatentVariableModel:
    """The exact model of each class with a classifier: p(y|x) itself, or some other one."""
    torch.manual_seed(2)
    told = linear(learnt=False)
    model = LatentVariableModel(told.latent, told.likelihood, Classifier(affine, (4,), CLASSES)).double()
    if knows:
        gain = np.linalg.solve(COVARIANCE, OFFSETS.T)  # log p(x|y) = xᵀ C⁻¹ b_y − ½ b_yᵀ C⁻¹ b_y + what is one for all y
        layer = model.classifier.net.layers[0]
        layer.weight.data, layer.bias.data = torch.tensor(gain.T), torch.tensor(-0.5 * (OFFSETS * gain.T).sum(1))
    return model


def spread(n: int) -> Tensor:
    """Examples near all classes, (n, 4)."""
    torch.manual_seed(0)
    return torch.tensor(OFFSETS)[torch.arange(n) % CLASSES] + torch.randn(n, 4, dtype=torch.float64)


def small(shape: tuple[int, ...] = (5,), width: int = 6) -> LatentVariableModel:
    """A tiny model with one latent and nets that nobody has trained, in float64."""
    torch.manual_seed(4)

    def net(given: tuple[int, ...], out: tuple[int, ...]) -> torch.nn.Module:
        return mlp(given, out, width=width, depth=1)

    q, p = Conditional(net, Gaussian(), shape, (1,), CLASSES), Conditional(net, Bernoulli(), (1,), shape, CLASSES)
    return LatentVariableModel(Flat(q, StandardNormal((1,))), p, Classifier(net, shape, CLASSES)).double()


def bits(n: int, d: int = 5) -> Tensor:
    return torch.bernoulli(torch.full((n, d), 0.4, dtype=torch.float64), generator=torch.Generator().manual_seed(7))


def bound(trace: Trace) -> Tensor:
    """The evidence bound of each example, (B,), nats."""
    return -(Distortion()(trace) + Rate()(trace))


# ------------------------------------------------------------------------------------------------ the closed form


def test_log_px_is_the_exact_sum_over_classes_whatever_the_classifier_says():
    x = spread(12)
    expected = torch.logsumexp(exact(x), 1)
    for knows in (True, False):
        model = inferring(knows)
        assert_close(model(x, 3).log_w, expected.expand(3, -1))
        assert_close(model.log_likelihood(x, 7), expected)
        assert_close(model.log_likelihood(x, 7, chunk=CLASSES * 12), expected)  # a draw at a time
        assert np.allclose(score(model, [Batch(x[:5]), Batch(x[5:])], 5).log_px, expected, atol=1e-9)


def test_the_bound_lies_below_the_evidence_by_what_the_classifier_gets_wrong():
    """log p(x) − U(x) = KL(q(y|x) ‖ p(y|x)) where q(z|x, y) is exact; 0 where the classifier is exact, too."""
    x = spread(12)
    log_p = torch.log_softmax(exact(x), 1)
    for knows in (True, False):
        model = inferring(knows)
        log_q = model.classifier(x)
        gap = (log_q.exp() * (log_q - log_p)).sum(1)
        found = bound(model(x, 20_000))  # the rate in closed form, the distortion by draws
        assert_close(found, torch.logsumexp(exact(x), 1) - gap, atol=0.06, rtol=0)
        assert (gap.abs().max() < 1e-12) == knows


def test_a_label_makes_it_log_p_of_x_and_y_and_one_class_log_p_of_x_given_y():
    x, y = spread(12), torch.arange(12) % CLASSES
    joint = exact(x).gather(1, y[:, None])[:, 0]
    model = inferring(knows=False)
    assert_close(model(x, 2, Given(y)).log_w, joint.expand(2, -1))
    assert_close(bound(model(x, 20_000, Given(y))), joint, atol=0.06, rtol=0)
    for k in range(CLASSES):
        one = model.of_class(k)
        assert_close(one.log_likelihood(x, 3), exact(x)[:, k] + math.log(CLASSES))
        assert not one.infers_class
        assert not one.needs_class
    mixed = torch.where(torch.arange(12) < 6, y, -1)
    expected = torch.cat([joint[:6], torch.logsumexp(exact(x), 1)[6:]])
    assert_close(model(x, 2, Given(mixed)).log_w, expected.expand(2, -1))


def test_draws_come_of_the_classes_as_the_classifier_weighs_them():
    """z ~ Σ_y q(y|x) q(z|x, y): the mixture's mean and variance, by 40,000 draws."""
    x, model = spread(3), inferring(knows=False)
    with torch.no_grad():
        model.classifier.net.layers[0].weight.mul_(0.2)
        trace = model(x, 40_000)
        share = model.classifier(x).exp()
        parts = [model.latent.posterior(x, Given(torch.full((3,), k))) for k in range(CLASSES)]
    means, variances = torch.stack([p.mean for p in parts], 1), torch.stack([p.variance for p in parts], 1)
    mean = (share[..., None] * means).sum(1)
    variance = (share[..., None] * (variances + means**2)).sum(1) - mean**2
    assert_close(trace.code.mean(0), mean, atol=5 * float(variance.max().sqrt()) / 200, rtol=0)
    assert_close(trace.code.var(0), variance, rtol=0.05, atol=0)
    chosen = (
        trace.likelihood.mean[:, :, None] - trace.code[:, :, None] @ torch.tensor(WEIGHTS.T) - torch.tensor(OFFSETS)
    ).abs()
    assert (chosen.sum(-1).min(-1).values < 1e-9).all()  # each is decoded as one class


# ------------------------------------------------------------------------------------------------ any net


def test_the_bound_is_below_the_enumerated_evidence_and_is_its_own_integral():
    """One latent: every ∫ dz is a sum over a grid, of each class."""
    model, x = small(), bits(8)
    grid = torch.linspace(-9, 9, 4001, dtype=torch.float64)[:, None]
    step = float(grid[1] - grid[0])
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(grid)
    evidences, inner = [], []
    with torch.no_grad():
        log_q = model.classifier(x)
        for k in range(CLASSES):
            y = torch.full((8,), k)
            log_px = model.likelihood(grid[:, None].expand(-1, 8, -1), Given(y)).log_prob(x)
            q = model.latent.posterior(x, Given(y)).base_dist
            log_qz = torch.distributions.Normal(q.loc[:, 0], q.scale[:, 0]).log_prob(grid)
            evidences.append(torch.logsumexp(log_px + log_prior, 0) + math.log(step))
            inner.append((log_qz.exp() * (log_px + log_prior - log_qz)).sum(0) * step)
        expected = (log_q.exp() * (torch.stack(inner, 1) - math.log(CLASSES) - log_q)).sum(1)
        evidence = torch.logsumexp(torch.stack(evidences, 1), 1) - math.log(CLASSES)
        torch.manual_seed(1)
        found = bound(model(x, 40_000))
        assert_close(found, expected, atol=0.02, rtol=0)
        assert (expected < evidence).all()
        tighter = model.log_likelihood(x, 5000)
    assert_close(tighter, evidence, atol=0.02, rtol=0)


def test_with_all_labels_and_no_alpha_it_is_the_conditional_vae_and_the_price_of_a_class():
    model, x, y = small(), bits(9), torch.arange(9) % CLASSES
    told = LatentVariableModel(model.latent, model.likelihood)
    trace = model(x, 4, Given(y))
    own = torch.arange(9) * CLASSES + y
    plain = told.trace(x, told.encode(x, Given(y)), 4, Given(y))
    assert_close(trace.kl, plain.kl + math.log(CLASSES))
    assert_close(trace.kl_per_dimension, plain.kl_per_dimension)
    assert_close(trace.log_px, told.likelihood(trace.classes.each.code[:, own], Given(y)).log_prob(x))
    assert torch.equal(trace.code, trace.classes.each.code[:, own])
    total, parts = Recipe(model, Distortion() + Rate() + 0.0 * Classification()).objective(trace, [1.0, 1.0, 0.0])
    assert_close(total, parts["distortion"] + plain.kl.mean() + math.log(CLASSES))
    (-trace.log_px.mean() + trace.kl.mean()).backward()
    assert all(not p.grad.any() for p in model.classifier.parameters() if p.grad is not None)  # nothing is inferred


def test_gradients_of_all_nets_are_those_of_finite_differences():
    model, x, y = small(), bits(6), torch.tensor([0, 2, -1, -1, 1, -1])
    objective = Recipe(model, Distortion() + Rate() + 0.7 * Classification()).objective

    def loss() -> Tensor:
        torch.manual_seed(3)
        return objective(model(x, 2, Given(y)), objective.at(0, 1)).total

    loss().backward()
    for part in (model.latent, model.likelihood, model.classifier):
        weights = list(part.parameters())
        ways = [torch.randn(w.shape, dtype=w.dtype, generator=torch.Generator().manual_seed(11)) for w in weights]
        slope = sum(float((w.grad * way).sum()) for w, way in zip(weights, ways, strict=True))
        values = []
        for h in (1e-5, -2e-5):
            with torch.no_grad():
                for w, way in zip(weights, ways, strict=True):
                    w.add_(h * way)
                values.append(float(loss()))
        with torch.no_grad():
            for w, way in zip(weights, ways, strict=True):
                w.add_(1e-5 * way)
        assert slope == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-6)
        assert abs(slope) > 1e-3


def test_no_example_knows_of_the_others():
    model, x, y = small(), bits(6), torch.tensor([0, 2, -1, 1, -1, 1])
    others = x.clone()
    others[[1, 3, 5]] = 1 - others[[1, 3, 5]]
    found = []
    for batch, label in ((x, y), (others, torch.tensor([0, -1, -1, 2, -1, -1]))):
        torch.manual_seed(5)
        trace = model(batch, 3, Given(label))
        found.append([Distortion()(trace), Rate()(trace), Classification()(trace), *trace.log_w])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one[[0, 2, 4]], other[[0, 2, 4]])
        assert not torch.equal(one, other)
    assert_close(found[0][2], torch.where(y < 0, 0.0, -model.classifier(x).gather(1, y.clamp(min=0)[:, None])[:, 0]))


def test_a_class_that_the_classifier_rules_out_leaves_no_infinity():
    model, x = small(), bits(4).requires_grad_()
    with torch.no_grad():
        model.classifier.net.layers[-1].bias.add_(torch.tensor([0.0, -4000.0, 0.0]))
        model.likelihood.net.layers[-1].weight.mul_(1e200)
    for label in (None, torch.tensor([1, -1, 0, 1])):
        trace = model(x, 2, Given(label))
        loss = Recipe(model, Distortion() + Rate() + 1.0 * Classification()).objective(trace, [0.0, 1.0, 1.0]).total
        assert loss.isfinite()
        loss.backward()
        assert all(p.grad.isfinite().all() for p in model.classifier.parameters())


def test_a_scale_that_is_solved_counts_each_class_by_its_share():
    """σ² = Σ_y share(y) · error(y): of labelled rows their own class's error alone; the slope by σ is then 0."""
    told = linear(learnt=False)
    torch.manual_seed(2)
    p = Conditional(affine, Homoscedastic("solved"), (2,), (4,), CLASSES)
    model = LatentVariableModel(told.latent, p, Classifier(affine, (4,), CLASSES)).double().train()
    x, y = spread(9), torch.arange(9) % CLASSES
    trace = model(x, 3, Given(y))
    own = torch.arange(9) * CLASSES + y
    assert_close(trace.log_px, p(trace.classes.each.code[:, own], Given(y)).log_prob(x))
    trace = model(x, 3)
    error = ((x.repeat_interleave(CLASSES, 0) - trace.classes.each.likelihood.mean) ** 2).unflatten(1, (9, CLASSES))
    variance = (error * model.classifier(x).exp()[None, :, :, None]).sum(2).mean()
    assert_close(-trace.log_px.mean(), 4 / 2 * (1 + torch.log(2 * math.pi * variance)))


@pytest.mark.parametrize(("shape", "kind", "net"), [((6,), "reals", "mlp"), ((3, 8, 8), "bytes", "conv")])
def test_what_is_shown_is_of_the_known_class_and_else_of_the_likeliest(shape, kind, net):
    model = built(shape, kind, net=net, width=4).model
    x = (torch.rand(6, *shape) * 255).round() / 255
    likeliest = model.classifier(x).argmax(1)
    plain = LatentVariableModel(model.latent, model.likelihood)
    assert torch.equal(model.summary(x).mu, plain.summary(x, Given(likeliest)).mu)
    assert torch.equal(model.reconstruct(x), plain.reconstruct(x, Given(likeliest)))
    label = torch.tensor([0, -1, 2, 1, -1, 0])
    mixed = Given(torch.where(label < 0, likeliest, label))
    assert torch.equal(model.summary(x, Given(label)).mu, plain.summary(x, mixed).mu)
    assert torch.equal(model(x, 1, Given(label)).summary.mu, plain.summary(x, mixed).mu)
    assert model.sample(5).shape == (5, *shape)
    assert model.needs_class
    assert not model.needs_label


# ------------------------------------------------------------------------------------------------ the recipe


def built(shape: tuple[int, ...] = (6,), kind: str = "reals", rows: int = 100, unlabelled: int = 90, **chosen) -> Recipe:
    torch.manual_seed(1)
    fits = {"reals": "gaussian", "bytes": "discretized-logistic"}
    data = DataSpec(shape, kind, fits[kind], classes=NAMES, rows=rows, unlabelled=unlabelled)
    return define("m2_vae", data, **{"latent_dim": 2, "width": 8, "depth": 1, **chosen}).build(data)


def test_alpha_is_charged_for_each_row_that_a_label_stands_for():
    """The paper's weight is α times the mean over labelled rows: so many more for each, the fewer have one."""
    assert built().objective.at(0, 1) == pytest.approx([1, 1, 0.1 * 10])
    assert built(unlabelled=0).objective.at(0, 1) == [1, 1, 0.1]
    assert built(alpha=2.0, unlabelled=50).objective.at(0, 1) == [1, 1, 4]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: built(unlabelled=100), ["needs a label for some rows", "have none", "--labels"]),
        (lambda: built(condition="nets"), ["leave `condition` out"]),
        (lambda: Recipe(linear(False), Distortion() + Rate() + 0.1 * Classification()), ["has none", "`m2_vae`"]),
        (lambda: Recipe(small(), Distortion() + Dependence(100)), ["one for each class"]),
        (lambda: Recipe(small(), Distortion() + 0.1 * Pull()), ["one for each class"]),
        (lambda: Rate(0.1)(small()(bits(3))), ["free bits", "one for each class"]),
        (lambda: small().decode(torch.zeros(2, 1, dtype=torch.float64)), ["class-conditional and no class is given"]),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, told):
    with pytest.raises(Mistake) as mistake:
        make()
    assert all(word in str(mistake.value) for word in told)
    assert "\n" not in str(mistake.value)


# ------------------------------------------------------------------------------------------------ a run


@pytest.fixture(scope="module")
def animals(tmp_path_factory) -> dict[str, Path]:
    """Blobs whose classes have names, of which two of three are missing; some without labels, and none labelled."""
    folder = tmp_path_factory.mktemp("animals")
    images, quadrant = blobs(150, 3)
    names = np.array(["cat", "dog", "elk", "owl"])[quadrant]
    files = {name: folder / f"{name}.npz" for name in ("some", "plain", "lost")}
    np.savez(files["some"], images=images, labels=np.where(np.arange(150) % 3, "", names))
    np.savez(files["plain"], images=images[:40])
    np.savez(files["lost"], images=images, labels=np.full(150, -1))
    return files


@pytest.fixture(scope="module")
def zoo(animals, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("zoo") / "run"
    legato.train("m2_vae", str(animals["some"]), out, **SMALL)
    return out


def test_rows_without_a_label_train_it_and_are_counted(zoo):
    space = load(zoo)
    spec = space.data().spec
    assert (spec.rows, spec.unlabelled, spec.labelled) == (150, 100, pytest.approx(1 / 3))
    assert space.recipe.objective.at(0, 1) == pytest.approx([1, 1, 0.3])
    lines = [json.loads(line) for line in (zoo / "metrics.jsonl").read_text().splitlines()]
    assert {name for line in lines if "train" in line for name in line["train"]} == {"distortion", "rate", "classification"}


@pytest.mark.parametrize("source", ["plain", "lost"])
def test_data_without_any_label_are_refused(source, animals, tmp_path, capsys):
    assert run(["train", "m2_vae", "--data", str(animals[source]), "--out", str(tmp_path / "r")]) == 2
    assert "needs a label for some rows, and these data have none" in capsys.readouterr().err
    assert not (tmp_path / "r").exists()


def test_stopped_and_resumed_it_ends_with_the_same_bits(sources, tmp_path):
    train("m2_vae", sources, tmp_path / "straight")
    with stopping_after(17), pytest.raises(Stopped):
        train("m2_vae", sources, tmp_path / "resumed")
    assert resume(tmp_path / "resumed") == 0
    assert_same(tmp_path / "resumed", tmp_path / "straight")


def test_in_python_classes_are_inferred_and_labels_may_say_more(zoo):
    space, x = load(zoo), blobs(150, 3)[0][:30]
    shares = space.classify(x)
    assert shares.shape == (30, 4)
    assert np.allclose(shares.sum(1), 1, atol=1e-6)
    likeliest, own = shares.argmax(1), (shares.argmax(1) + 1) % 4
    assert np.array_equal(space.encode(x)[0], space.encode(x, label=likeliest)[0])
    assert np.array_equal(space.encode(x, label=np.full(30, -1))[0], space.encode(x)[0])
    assert not np.allclose(space.encode(x, label=own)[0], space.encode(x)[0])
    assert np.array_equal(space.reconstruct(x), space.decode(space.encode(x)[0], likeliest))
    half = np.where(np.arange(30) < 15, own, -1)
    filled = np.where(half < 0, likeliest, half)
    assert np.array_equal(space.reconstruct(x, label=half), space.decode(space.encode(x, label=filled)[0], filled))
    assert np.array_equal(space.labels(space.data(), np.arange(30)), likeliest)
    # log p(x, y) adds up to log p(x), and is log p(y) below log p(x|y): means of 30 rows, each by draws of its own
    each = np.stack([space.score(x, label=np.full(30, k), k=300) for k in range(4)])
    assert abs(np.mean(np.logaddexp.reduce(each, 0) - space.score(x, k=300))) < 0.7
    assert abs(np.mean(each[2] + math.log(4) - space.of_class("elk").score(x, k=300))) < 0.7
    for wrong, call in (("-1 … -1", lambda: space.decode(np.zeros((1, 3)), label=np.array([-1]))),
                        ("-2 … 0", lambda: space.encode(x[:2], label=np.array([0, -2]))),
                        ("say which class", lambda: space.decode(np.zeros((1, 3))))):  # fmt: skip
        with pytest.raises(Mistake, match=wrong):
            call()


def test_samples_are_of_classes_drawn_alike(zoo):
    space = load(zoo)
    assert np.array_equal(space.sample(6, seed=3), space.sample(6, seed=3))
    z, pictures = space.draw(40, seed=3), space.sample(40, seed=3)
    each = np.stack([space.decode(z, np.full(40, k)) for k in range(4)])
    of = np.abs(each - pictures).reshape(4, 40, -1).max(2)
    assert (of.min(0) < 1e-6).all()
    assert len(set(of.argmin(0))) == 4
    drawn = space.model.classifier.draw(40_000, np.random.default_rng(0))
    assert np.abs(np.bincount(drawn) / 10_000 - 1).max() < 0.05


def test_evaluate_sums_over_classes_and_says_so_and_one_class_is_told(zoo, animals, capsys):
    whole = legato.evaluate(zoo, k=20)
    assert whole["run"]["classes"] == 4
    assert "label" not in whole["run"]
    assert whole["data"]["n"] == 15
    assert legato.evaluate(zoo, str(animals["plain"]), k=3)["data"]["n"] == 40
    assert legato.evaluate(zoo, k="auto", limit=3)["nll"]["value"] is not None
    assert run(["evaluate", str(zoo), "--k", "3"]) == 0
    assert "the model infers the class: log p(x) is the sum over all 4, and no label is read" in capsys.readouterr().out
    assert legato.evaluate(load(zoo, label="cat"), split="all", k=3)["run"]["label"] == "cat"


def test_it_is_compared_with_a_model_that_knows_no_classes(zoo, animals, tmp_path):
    legato.train("vae", str(animals["some"]), tmp_path / "plain", **SMALL)
    assert legato.compare([load(zoo), load(tmp_path / "plain")], k=2)["data"]["n"] == 15
    with pytest.raises(Mistake, match="not told the same classes"):
        legato.compare([load(zoo), load(zoo, label="cat")], k=2)


def test_encode_writes_the_likeliest_class_and_the_probability_of_each(zoo, tmp_path):
    assert run(["encode", str(zoo), "--out", str(tmp_path / "codes.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "codes.csv").read_text().splitlines()))
    space, x = load(zoo), blobs(150, 3)[0]
    shares = space.classify(x, np.arange(150))
    assert np.allclose([[float(row[f"q_y_{k}"]) for k in range(4)] for row in rows], shares, atol=1e-6)
    assert [row["class"] for row in rows] == [space.classes[k] for k in shares.argmax(1)]
    assert [row["label"] == "" for row in rows] == [i % 3 > 0 for i in range(150)]


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["sample", "--out", "FILE.png"], 0, "FILE.png"),
        (["sample", "--label", "cat", "--out", "FILE.png"], 0, "FILE.png"),
        (["encode", "--data", "plain", "--out", "FILE.parquet"], 0, "40 codes"),
        (["reconstruct", "--out", "FILE.png"], 0, "FILE.png"),
        (["reconstruct", "4", "--label", "cat", "--out", "FILE.png"], 0, "FILE.png"),
        (["interpolate", "3", "4", "--label", "cat", "--out", "FILE.png"], 0, "FILE.png"),
        (["interpolate", *map(str, range(40))], 2, "of several classes"),
        (["traverse", "5", "--out", "FILE.png"], 0, "FILE.png"),
        (["traverse"], 2, "say which class"),
        (["score", "--k", "3", "--out", "FILE.csv"], 0, "15 rows"),
        (["score", "--k", "3", "--data", "plain", "--out", "FILE.csv"], 0, "40 rows"),
        (["report"], 2, "say which class"),
    ],
)
def test_every_command_on_a_run(words, code, told, zoo, animals, tmp_path, capsys):
    given = [str(animals.get(word, word)).replace("FILE", str(tmp_path / "file")) for word in words[1:]]
    assert run([words[0], str(zoo), *given]) == code
    said = capsys.readouterr()
    assert told.replace("FILE", str(tmp_path / "file")) in said.out + said.err
