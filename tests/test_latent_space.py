"""What people do with a trained model: encode, decode, sample, interpolate, traverse, score; each against a formula."""

from __future__ import annotations

import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch.distributions import Bernoulli, Normal

import legato
from legato import checkpoint
from legato.codes import lerp, slerp
from legato.codes import path as path_of
from legato.errors import Mistake
from legato.latent_space import BATCH, LatentSpace
from legato.run import Run
from legato.tensors import read_tensors
from made_runs import RUNS, blobs, train


@pytest.fixture(autouse=True)
def _alone():
    """One thread: the tensors are tiny, and other processes want the cores."""
    torch.set_num_threads(1)


def load(path: Path, **how) -> LatentSpace:
    return legato.load(path, device="cpu", **how)


def rows_of(space: LatentSpace, n: int = 310) -> tuple[np.ndarray, np.ndarray]:
    """Stored rows and their numbers."""
    return np.asarray(space.data().dataset.rows)[:n], np.arange(min(n, 310))


def everything(space: LatentSpace) -> dict[str, np.ndarray]:
    """Every output of a space on fixed inputs."""
    x, rows = rows_of(space, 40)
    mu, sigma = space.encode(x, rows)
    return {
        "mu": mu,
        "sigma": sigma,
        "decoded": space.decode(mu),
        "sampled": space.sample(5, seed=3),
        "distortion": space.distortion(x, rows),
        **({"score": space.score(x, rows, k=3, seed=1)} if space.has_density else {}),
    }


# ---------------------------------------------------------------------------------------------- encode and decode


@pytest.mark.parametrize("name", RUNS)
def test_encoding_is_deterministic_in_order_of_full_length_and_without_a_graph(name, runs):
    space = load(runs[name])
    x, rows = rows_of(space)
    mu, sigma = space.encode(x, rows)
    assert mu.shape == sigma.shape == (310, space.latent_dim)
    assert mu.dtype == sigma.dtype == np.float32
    assert all(np.array_equal(a, b) for a, b in zip(space.encode(x, rows), (mu, sigma), strict=True))
    assert not any(p.requires_grad or p.grad is not None for p in space.model.parameters())
    order = np.random.default_rng(0).permutation(310)
    again = space.encode(x[order], rows[order])
    assert np.allclose(again[0], mu[order], rtol=1e-5, atol=1e-5)
    assert np.allclose(again[1], sigma[order], rtol=1e-5, atol=1e-5)
    assert len(np.unique(mu, axis=0)) > (1 if space.model.latent.has_choice else 150)
    assert (sigma > 0).all() == space.has_width
    assert (sigma == 0).all() == (not space.has_width)


@pytest.mark.parametrize("n", [1, BATCH - 1, BATCH, BATCH + 1, 2 * BATCH + 3])
def test_the_borders_of_batches_change_nothing(n, runs):
    space = load(runs["bernoulli"])
    x = np.resize(blobs()[0], (n, 8, 8))
    mu, _ = space.encode(x)
    assert len(mu) == n
    some = sorted({0, n // 2, n - 1, min(BATCH - 1, n - 1), min(BATCH, n - 1)})
    alone = np.concatenate([space.encode(x[[i]], np.array([i]))[0] for i in some])
    assert np.allclose(mu[some], alone, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["vae", "table", "autoencoder"])
def test_the_number_that_a_device_computes_at_once_changes_nothing(name, runs, monkeypatch):
    space = load(runs[name])
    x, rows = rows_of(space)
    asked: list[int] = []

    def found(most: int) -> list[np.ndarray]:
        def together(device: torch.device, values: int, on_cpu: int) -> int:
            asked.append(values)
            return most

        monkeypatch.setattr("legato.model.together", together)
        mu, sigma = space.encode(x, rows)
        return [mu, sigma, space.decode(mu), space.reconstruct(x, rows), space.distortion(x, rows)]

    few, many = found(7), found(100_000)
    assert all(np.allclose(a, b, rtol=1e-4, atol=1e-4) for a, b in zip(few, many, strict=True))
    assert set(asked) == {int(np.prod(space.shape))}


def test_importance_weighting_decodes_as_many_at_once_as_the_device_says(runs, monkeypatch):
    space, passes = load(runs["vae"]), []
    x = torch.from_numpy(space.prepare(*rows_of(space)))[:10]
    space.model.likelihood.register_forward_hook(lambda _, given, __: passes.append(given[0].shape[0]))
    for most, draws in ((20, [2] * 50), (640, [64, 36]), (10**6, [100])):
        monkeypatch.setattr("legato.model.together", lambda device, values, on_cpu, most=most: most)
        passes.clear()
        assert space.model.log_likelihood(x, 100).shape == (10,)
        assert passes == draws


def test_the_encoder_and_the_decoder_never_see_a_graph(runs, monkeypatch):
    space, modes = load(runs["vae"]), []
    for module in (space.model.latent, space.model.likelihood):
        module.register_forward_hook(lambda *_: modes.append((torch.is_grad_enabled(), space.model.training)))
    space.model.likelihood.net.register_forward_hook(lambda *_: modes.append((torch.is_grad_enabled(), space.model.training)))
    everything(space)
    assert set(modes) == {(False, False)}


@pytest.mark.parametrize(
    "name", [name for name in RUNS if name not in ("flow_vae", "fsq_vae", "ladder_vae", "vq_vae", "lfq_vae", "grid")]
)
def test_a_code_is_what_the_network_says_of_the_prepared_rows(name, runs):
    space = load(runs[name])
    x, rows = rows_of(space, 20)
    prepared = space.data().rows(rows)
    assert np.array_equal(space.prepare(x, rows), prepared)
    theta = space.model.latent.q.net(torch.from_numpy(prepared)).detach()
    mu, sigma = space.encode(x, rows)
    if name == "fixed_noise_autoencoder":  # a mean alone: its width is an option
        assert np.allclose(sigma, 1.0)
        assert np.allclose(mu, theta.reshape(20, -1), rtol=1e-4, atol=1e-5)
    elif space.has_density:
        theta = theta.reshape(20, 2, -1)
        assert np.allclose(sigma, theta[:, 1].exp(), rtol=1e-5)
        assert np.allclose(mu, theta[:, 0], rtol=1e-4, atol=1e-5)
    else:
        assert np.allclose(mu, theta.reshape(20, -1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", RUNS)
def test_reconstructing_is_decoding_what_was_encoded(name, runs):
    space = load(runs[name])
    x, rows = rows_of(space, 30)
    assert np.array_equal(space.reconstruct(x, rows), space.decode(space.encode(x, rows)[0]))
    assert space.reconstruct(x, rows).shape == x.shape


def test_a_tables_decoded_rows_are_in_its_own_units(runs):
    space = load(runs["table"])
    x, rows = rows_of(space)
    theta = space.model.likelihood.net(torch.from_numpy(space.encode(x, rows)[0])).detach().numpy()
    scale, shift = np.array(space.preparation.scale), np.array(space.preparation.shift)
    assert np.allclose(space.reconstruct(x, rows), theta * scale + shift, rtol=1e-4, atol=1e-4)
    assert np.abs(space.reconstruct(x, rows)[:, 2] + 100).max() < 20  # the column that lies around −100


@pytest.mark.parametrize("name", ["bernoulli", "vae", "colour", "sigma_vae"])
def test_decoded_pictures_of_probabilities_lie_within_0_and_1(name, runs):
    decoded = load(runs[name]).sample(50, seed=0, temperature=5.0)
    if name != "sigma_vae":  # a Gaussian's mean is free
        assert decoded.min() >= 0
        assert decoded.max() <= 1
    assert np.ptp(decoded) > 0.01


def test_images_without_a_channel_axis_and_prepared_floats_are_the_same_images(runs):
    space = load(runs["vae"])
    x = blobs(20)[0]
    expected = space.encode(x[:, None])[0]
    assert np.array_equal(space.encode(x)[0], expected)
    assert np.allclose(space.encode(x.astype(np.int64))[0], expected)
    assert np.allclose(space.encode(x / 255)[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "x", "words"),
    [
        ("vae", np.zeros((3, 9, 8), np.uint8), ["(N, 1, 8, 8)", "(3, 9, 8)"]),
        ("vae", np.zeros((8, 8), np.uint8), ["(8, 8)"]),
        ("vae", np.zeros((0, 8, 8), np.uint8), ["no examples"]),
        ("vae", np.full((2, 8, 8), 90.5), ["90.5", "0 to 1", "bytes"]),
        ("bernoulli", np.full((2, 8, 8), 0.5), ["0 and 1", "bytes"]),
        ("vae", np.full((2, 8, 8), np.nan), ["NaN"]),
        ("table", np.zeros((2, 5)), ["(N, 4)", "(2, 5)"]),
        ("colour", np.zeros((2, 8, 8), np.uint8), ["(N, 3, 8, 8)"]),
    ],
)
def test_what_is_no_data_of_the_run_is_refused(name, x, words, runs):
    space = load(runs[name])
    for use in (space.encode, space.reconstruct, space.score, space.distortion):
        with pytest.raises(Mistake) as caught:
            use(x)
        assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize("z", [np.zeros((2, 4)), np.zeros(3), np.zeros((1, 2, 3))])
def test_codes_of_another_shape_are_refused(z, runs):
    with pytest.raises(Mistake, match=r"\(N, 3\)"):
        load(runs["vae"]).decode(z)


# ---------------------------------------------------------------------------------------------- save and load


@pytest.mark.parametrize("name", RUNS)
def test_a_loaded_run_gives_bit_for_bit_what_the_averaged_weights_gave_in_memory(name, runs, sources, tmp_path):
    trained = train(name, sources, tmp_path / "r")
    loaded, stored = load(tmp_path / "r"), load(runs[name])
    newest = checkpoint.read(checkpoint.existing(tmp_path / "r" / "checkpoint")[-1])
    for key, value in loaded.model.state_dict().items():
        assert torch.equal(value, newest.tensors[f"average.{key}"])
    for other in (trained, stored):
        found, expected = everything(other), everything(loaded)
        assert found.keys() == expected.keys()
        assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_the_model_is_the_average_and_not_the_last_weights(runs):
    tensors = checkpoint.read(checkpoint.existing(runs["vae"] / "checkpoint")[-1]).tensors
    moving = {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
    kept = read_tensors(Run(runs["vae"]).model)
    assert kept.keys() == moving.keys()
    assert not all(torch.equal(kept[name], moving[name]) for name in kept)


@pytest.mark.parametrize(("asked", "given"), [(1, 1), (3, 3), (10_000, 40), (36, 40), (0, 1)])
def test_a_step_is_the_snapshot_nearest_to_it(asked, given, runs):
    space = load(runs["vae"], step=asked)
    kept = read_tensors(Run(runs["vae"]).snapshots / f"step-{given:09d}.safetensors")
    assert all(torch.equal(value, kept[name]) for name, value in space.model.state_dict().items())


def test_a_run_without_snapshots_says_so(sources, tmp_path):
    train("vae", sources, tmp_path / "r", steps=2, snapshots=0)
    with pytest.raises(Mistake, match="--snapshots"):
        load(tmp_path / "r", step=1)


def test_a_run_can_be_moved(runs, tmp_path):
    shutil.copytree(runs["vae"], tmp_path / "elsewhere")
    found, expected = everything(load(tmp_path / "elsewhere")), everything(load(runs["vae"]))
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


OWN = '''
from pathlib import Path
from legato import Distortion, Rate, Recipe
from legato.vocabulary import flat
Path({witness!r}).touch()

def tiny(data, latent_dim=2):
    """My own."""
    return Recipe(flat(data, latent_dim), Distortion() + 0.5 * Rate())
'''


def test_code_of_ones_own_is_imported_only_where_its_module_is_named(sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    witness = tmp_path / "witness"
    (tmp_path / "own_models.py").write_text(OWN.format(witness=str(witness)))
    import own_models

    by_name = legato.train("own_models:tiny", str(sources["grey"]), "by-name", steps=3, width=8, depth=1, device="cpu")
    as_function = legato.train(own_models.tiny, str(sources["grey"]), "function", steps=3, width=8, depth=1, device="cpu")
    assert json.loads(Path("function/recipe.json").read_text())["recipe"] == "own_models:tiny"
    assert np.array_equal(by_name.sample(3), as_function.sample(3))
    monkeypatch.delitem(sys.modules, "own_models")
    witness.unlink()
    for module in (None, "os", "own_models_too"):
        with pytest.raises(Mistake, match="--module own_models"):
            load(tmp_path / "by-name", module=module)
    assert not witness.exists()
    assert "own_models" not in sys.modules
    assert np.array_equal(load(tmp_path / "by-name", module="own_models").sample(3), by_name.sample(3))
    assert witness.exists()
    monkeypatch.delitem(sys.modules, "own_models")


@pytest.mark.parametrize("name", ["vae", "autoencoder", "bernoulli"])
def test_using_a_model_leaves_every_global_generator_alone(name, runs):
    torch.manual_seed(11)
    np.random.seed(11)  # noqa: NPY002  (the global one, which must not move)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    first = everything(load(runs[name]))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002
    torch.manual_seed(12)
    second = everything(load(runs[name]))
    assert all(np.array_equal(first[key], second[key]) for key in first)


# ---------------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("name", ["vae", "autoencoder", "noisy_autoencoder", "table"])
def test_samples_are_decoded_draws_the_same_for_a_seed_and_others_for_another(name, runs):
    space = load(runs[name])
    drawn = space.draw(6, seed=4)
    assert drawn.dtype == np.float32
    assert np.array_equal(space.draw(6, seed=4), drawn)
    assert not np.isclose(space.draw(6, seed=5), drawn).any()
    assert np.array_equal(space.sample(6, seed=4), space.decode(drawn))


def assert_moments(drawn: np.ndarray, mean: np.ndarray, covariance: np.ndarray) -> None:
    """Mean and covariance of normal draws, each entry within 5 standard errors."""
    n, variance = len(drawn), np.diag(covariance)
    assert (np.abs(drawn.mean(0) - mean) < 5 * np.sqrt(variance / n)).all()
    error = np.sqrt((np.outer(variance, variance) + covariance**2) / n)
    assert (np.abs(np.cov(drawn.T) - covariance) < 5 * error).all()


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_draws_from_the_prior_are_standard_normal(temperature, runs):
    drawn = load(runs["vae"]).draw(40_000, origin="prior", temperature=temperature)
    assert_moments(drawn.astype(np.float64), np.zeros(3), temperature**2 * np.eye(3))


@pytest.mark.parametrize("name", ["autoencoder", "noisy_autoencoder", "vae"])
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_draws_from_the_codes_have_the_mean_and_covariance_of_the_training_codes(name, temperature, runs):
    space = load(runs[name])
    data = space.data()
    train_rows = data.split("train").all()
    mu, sigma = (v.astype(np.float64) for v in space.encode(data.dataset.rows[train_rows], train_rows))
    mean, covariance = mu.mean(0), np.cov(mu.T, bias=True) + np.diag((sigma**2).mean(0))
    for found, expected in zip(space.codes(), (mean, covariance, (sigma**2).mean(0)), strict=True):
        assert np.allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert_moments(space.draw(40_000, origin="codes", temperature=temperature).astype(float), mean, temperature**2 * covariance)


@pytest.mark.parametrize(("name", "trained"), [("vae", True), ("beta_vae", True), ("warmup_vae", True), ("sigma_vae", True),
                                               ("autoencoder", False), ("noisy_autoencoder", False)])  # fmt: skip
def test_auto_draws_from_the_prior_where_training_charged_for_leaving_it(name, trained, runs):
    space = load(runs[name])
    assert space.prior_was_trained == trained
    assert np.array_equal(space.draw(5), space.draw(5, origin="prior" if trained else "codes"))


def test_no_samples_are_refused(runs):
    with pytest.raises(Mistake, match="1 or more, got 0"):
        load(runs["vae"]).sample(0)


# ---------------------------------------------------------------------------------------------- paths


CODES = hnp.arrays(np.float32, st.tuples(st.integers(2, 5), st.just(3)), elements=st.floats(-1e3, 1e3, width=32))


@given(stops=CODES, steps=st.integers(2, 12), spherical=st.booleans())
@settings(deadline=None, derandomize=True, max_examples=150)
def test_a_path_passes_through_its_stops_exactly(stops, steps, spherical):
    found = path_of(stops.astype(np.float64), steps, spherical).astype(np.float32)
    assert found.shape == ((len(stops) - 1) * (steps - 1) + 1, 3)
    assert np.array_equal(found[:: steps - 1], stops)
    assert np.isfinite(found).all()


def test_a_linear_path_is_even():
    stops = np.array([[0, 0, 0], [1, 2, 4], [1, 2, -4]], np.float32)
    found = path_of(stops, 5, False)
    assert np.allclose(found[:5], np.outer([0, 0.25, 0.5, 0.75, 1], [1, 2, 4]))
    assert np.allclose(np.diff(found[4:], axis=0), [0, 0, -2])


@given(CODES.filter(lambda codes: (np.linalg.norm(codes, axis=1) > 1e-2).all()), st.floats(0, 1))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_a_spherical_path_of_equal_norms_keeps_the_norm_and_the_angle(codes, alpha):
    a, b = codes[:2].astype(np.float64) / np.linalg.norm(codes[:2].astype(np.float64), axis=1, keepdims=True)
    omega = math.acos(np.clip(a @ b, -1, 1))
    if 1e-3 < omega < math.pi - 1e-3:
        between = slerp(a, b, alpha)
        assert np.linalg.norm(between) == pytest.approx(1, abs=1e-6)
        assert math.acos(np.clip(a @ between, -1, 1)) == pytest.approx(alpha * omega, abs=1e-4)


def test_a_spherical_path_is_shoemakes_formula_and_leaves_the_chord():
    a, b = np.array([2.0, 0.0]), np.array([0.0, 2.0])
    assert np.allclose(slerp(a, b, 1 / 3), [2 * math.cos(math.pi / 6), 2 * math.sin(math.pi / 6)])
    assert np.linalg.norm(lerp(a, b, 0.5)) == pytest.approx(math.sqrt(2))
    c = np.array([3.0, 4.0])
    omega = math.acos(0.6)
    assert np.allclose(slerp(a, c, 0.3), (math.sin(0.7 * omega) * a + math.sin(0.3 * omega) * c) / math.sin(omega))


@pytest.mark.parametrize("factor", [-1.0, -3.0, 1.0, 2.5])
def test_where_the_great_circle_is_not_one_the_path_is_straight(factor):
    for seed in range(20):
        a = np.random.default_rng(seed).normal(size=8).astype(np.float32).astype(np.float64)
        assert np.array_equal(slerp(a, factor * a, 0.3), lerp(a, factor * a, 0.3))
    zero = np.zeros(3)
    assert np.array_equal(slerp(zero, np.ones(3), 0.5), np.full(3, 0.5))


@pytest.mark.parametrize(("stops", "steps"), [(1, 9), (2, 1), (0, 9)])
def test_a_path_needs_two_stops_and_two_steps(stops, steps, runs):
    with pytest.raises(Mistake, match="2 stops and 2 steps"):
        load(runs["vae"]).interpolate(np.zeros((stops, 3)), steps=steps)


def test_a_traversal_moves_only_its_dimension_over_the_spread_of_the_codes(runs):
    space = load(runs["vae"])
    mean, covariance, _ = space.codes()
    anchor = np.array([0.5, -1.0, 2.0])
    dims, codes = space.traverse(anchor, dims=[2, 0], steps=5, span=2.0)
    assert dims == [2, 0]
    assert codes.shape == (2, 5, 3)
    for dim, line in zip(dims, codes, strict=True):
        others = [i for i in range(3) if i != dim]
        assert np.array_equal(line[:, others], np.tile(anchor[others], (5, 1)).astype(np.float32))
        sigma = math.sqrt(covariance[dim, dim])
        assert np.allclose(line[:, dim], mean[dim] + sigma * np.array([-2, -1, 0, 1, 2]), atol=1e-6)
    _, codes = space.traverse(dims=[1], steps=3)
    assert np.allclose(codes[0, 1], mean, atol=1e-6)


@pytest.mark.parametrize("name", ["vae", "autoencoder", "noisy_autoencoder"])
def test_dimensions_are_ranked_by_kl_or_where_no_rate_was_charged_by_their_spread(name, runs):
    space = load(runs[name])
    last = [line["validation"] for line in Run(runs[name]).read_metrics() if "validation" in line][-1]
    by = np.array(last["kl" if name == "vae" else "std_mu"])
    assert sorted(space.ranking()) == [0, 1, 2]
    assert (np.diff(by[space.ranking()]) <= 0).all()
    assert space.traverse()[0] == space.ranking()


@pytest.mark.parametrize(
    ("dims", "steps", "words"), [([3], 5, "z0 … z2"), ([-1], 5, "-1"), ([0], 1, "2 steps"), ([0], 0, "2 steps")]
)
def test_a_traversal_that_does_not_exist_is_refused(dims, steps, words, runs):
    with pytest.raises(Mistake, match=words):
        load(runs["vae"]).traverse(dims=dims, steps=steps)


# ---------------------------------------------------------------------------------------------- scores


def bound_by_hand(space: LatentSpace, x: np.ndarray, k: int, seed: int) -> np.ndarray:
    """log (1/k)Σ p(x|z) p(z)/q(z|x) of a Bernoulli model by torch's own densities, a loop over the draws."""
    torch.manual_seed(seed)
    found = []
    with torch.no_grad():
        for batch in torch.from_numpy(x).split(100):
            mu, log_sigma = space.model.latent.q.net(batch).reshape(len(batch), 2, 3).unbind(1)
            q, total = Normal(mu, log_sigma.exp()), []
            noise = torch.normal(torch.zeros(k, len(batch), 3), torch.ones(k, len(batch), 3))
            for epsilon in noise:
                z = mu + log_sigma.exp() * epsilon
                logits = space.model.likelihood.net(z).reshape(batch.shape)
                log_px = Bernoulli(logits=logits).log_prob(batch).flatten(1).double().sum(1)
                total.append(log_px + Normal(0, 1).log_prob(z).sum(1) - q.log_prob(z).sum(1))
            found.append(torch.logsumexp(torch.stack(total), 0) - math.log(k))
    return torch.cat(found).numpy()


@pytest.mark.parametrize(("name", "k"), [("bernoulli", 1), ("bernoulli", 7), ("binary", 30)])
def test_a_score_is_the_importance_weighted_bound_computed_by_hand(name, k, runs):
    space = load(runs[name])
    x, rows = rows_of(space, 230)  # more than two batches
    expected = bound_by_hand(space, space.prepare(x, rows), k, seed=5)
    assert np.allclose(space.score(x, rows, k=k, seed=5), expected, rtol=1e-5, atol=1e-3)
    assert not np.allclose(space.score(x, rows, k=k, seed=6), expected, rtol=1e-5, atol=1e-3)


def test_a_score_rises_with_k_on_average(runs):
    space = load(runs["bernoulli"])
    x, rows = rows_of(space)
    means = [np.mean([space.score(x, rows, k=k, seed=s).mean() for s in range(4)]) for k in (1, 4, 32)]
    assert means[0] < means[1] < means[2]


def test_an_autoencoder_has_a_distortion_and_no_score(runs):
    space = load(runs["autoencoder"])
    x, rows = rows_of(space, 20)
    with pytest.raises(Mistake, match="no density") as caught:
        space.score(x, rows)
    assert "\n" not in str(caught.value)
    assert space.distortion(x, rows).shape == (20,)
    assert not space.has_density


@pytest.mark.parametrize("name", ["bernoulli", "binary"])
def test_a_distortion_is_the_cross_entropy_at_the_code(name, runs):
    space = load(runs[name])
    x, rows = rows_of(space, 50)
    p, bits = space.reconstruct(x, rows).astype(np.float64), space.prepare(x, rows)
    by_hand = -(bits * np.log(p) + (1 - bits) * np.log1p(-p)).sum((1, 2, 3))
    assert np.allclose(space.distortion(x, rows), by_hand, rtol=1e-4)


@pytest.mark.parametrize("name", ["vae", "sigma_vae", "bernoulli", "binary", "table"])
def test_typical_rows_score_higher_than_noise(name, runs):
    space = load(runs[name])
    x, rows = rows_of(space, 60)
    rng = np.random.default_rng(0)
    noise = rng.permuted(x.reshape(60, -1), axis=1).reshape(x.shape) if x.ndim > 2 else x + 6 * rng.normal(size=x.shape)
    assert space.score(x, rows, k=5).mean() > space.score(noise, rows, k=5).mean()


def test_no_draws_are_refused(runs):
    with pytest.raises(Mistake, match="1 or more"):
        load(runs["vae"]).score(blobs(3)[0], k=0)


def test_another_source_is_prepared_as_the_runs_own_was(runs, tmp_path):
    space = load(runs["table"])
    other = np.random.default_rng(1).normal(size=(20, 4)) * 7
    np.save(tmp_path / "other.npy", other)
    opened = space.data(str(tmp_path / "other.npy"))
    assert opened.preparation == space.preparation
    expected = (other - space.preparation.shift) / space.preparation.scale
    assert np.allclose(opened.rows(np.arange(20)), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("array", "word"), [(np.zeros((9, 8, 9), np.uint8), "shape"), (np.zeros((9, 8, 8)) + 0.5, "reals")])
def test_another_source_of_another_kind_is_refused(array, word, runs):
    with pytest.raises(Mistake, match=word):
        load(runs["vae"]).data(array)
