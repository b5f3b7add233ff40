"""The scikit-learn estimators: scikit-learn's own checks, laws of what they score, and what people plug them into."""

from __future__ import annotations

import json
import os
import pickle
import pickletools
import subprocess
import sys
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import safetensors.torch
import torch
from scipy.stats import multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import legato
from legato.data.unstored import unstored
from legato.definition import find
from legato.estimator import DEFAULTS
from legato.recipe import RECIPES, options_of
from legato.training.chosen import OfRecipes
from made_runs import OF_IMAGES, OF_PAIRS, blobs

find("vae")  # fills RECIPES
SIZE: dict[str, Any] = {
    "latent_dim": 2,
    "net": "mlp",
    "width": 16,
    "depth": 1,
    "steps": 30,
    "learning_rate": 0.01,
    "device": "cpu",
}
TINY = {**SIZE, "score_draws": 5}
X = np.random.default_rng(5).normal(size=(120, 2)) @ [[1, 2, 0, 3], [0, 1, 1, -2]] + [5, 0, -100, 1]
IMAGES = blobs(60)[0]


def vae(**other: Any) -> legato.VAE:
    return legato.VAE(**{**TINY, **other})


def mine(data: Any, latent_dim: int = 2, much: float = 1.0) -> legato.Recipe:
    """A recipe of one's own, which is found by its module's name."""
    return find("vae")(data, latent_dim, beta=much)


def weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return dict(model.state_dict())


def same(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# ------------------------------------------------------------------------------------------- scikit-learn's own checks

CHECKS = """
import json, warnings, legato
from sklearn.utils.estimator_checks import check_estimator
warnings.simplefilter("ignore")
small = dict(latent_dim=2, net="mlp", width=8, depth=1, steps=20, score_draws=5)
for kind in (legato.VAE, legato.Autoencoder):
    for one in check_estimator(kind(**small), on_fail=None):
        print(json.dumps([kind.__name__, one["check_name"], one["status"], repr(one["exception"])]))
"""


def test_both_pass_check_estimator_whole():
    """In a process of its own: one check runs only where SCIPY_ARRAY_API is set before SciPy is imported."""
    done = subprocess.run(
        [sys.executable, "-c", CHECKS], env={**os.environ, "SCIPY_ARRAY_API": "1"}, capture_output=True, text=True, check=True
    )
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [one for one in told if one[2] != "passed"] == []
    assert len(told) >= 80


# ----------------------------------------------------------------------------------------------------------- the laws


@pytest.mark.parametrize(
    ("recipe", "data"), [("vae", X), ("sigma_vae", X), ("vae", IMAGES), ("autoencoder", IMAGES), ("vq_vae", X)]
)
def test_the_same_rows_seed_and_steps_give_the_weights_of_legato_train(recipe, data, tmp_path):
    said = {name: value for name, value in SIZE.items() if name != "latent_dim"} | {
        "batch_size": 16,
        "precision": "float32",
        "device": "cpu",
    }
    trained = legato.train(recipe, data, tmp_path / "run", threads=1, seed=3, **said)
    rows = data[trained.data(data).split("train").all()]
    kind = legato.Autoencoder if recipe == "autoencoder" else legato.VAE
    fitted = kind(recipe, random_state=3, **said).fit(rows)
    assert same(fitted.space_.model, trained.model)
    assert fitted.space_.preparation == trained.preparation
    for one, other in zip(fitted.space_.codes(), trained.codes(), strict=True):
        assert np.array_equal(one, other)
    assert np.array_equal(fitted.transform(rows), trained.encode(rows)[0])


def test_transform_and_its_inverse_are_those_of_the_latent_space():
    fitted = vae().fit(X)
    codes = fitted.transform(X)
    assert codes.dtype == np.float32
    assert np.array_equal(codes, fitted.space_.encode(X)[0])
    assert np.array_equal(fitted.inverse_transform(codes), fitted.space_.decode(codes))
    assert np.array_equal(fitted.fit_transform(X), codes)


def test_a_linear_model_is_scored_as_its_exact_density_in_the_units_of_the_data():
    """p(x) = N(b, WWᵀ + σ²) of standardised columns, and of the columns themselves with their means and scales."""
    fitted = vae(depth=0, steps=300, score_draws=4000).fit(X)
    model, preparation = fitted.space_.model, fitted.space_.preparation
    with torch.no_grad():
        at = model.decode(torch.cat([torch.zeros(1, 2), torch.eye(2)])).double().numpy()
        noise = model.likelihood.family.scale.double().numpy()
    matrix, scale = (at[1:] - at[0]).T, np.array(preparation.scale)
    mean = at[0] * scale + preparation.shift
    covariance = (matrix @ matrix.T + np.diag(noise**2)) * np.outer(scale, scale)
    exact = multivariate_normal(mean, covariance).logpdf(X[:20])
    found = fitted.score_samples(X[:20])
    assert np.abs(found - exact).max() < 0.1
    assert abs(found.mean() - exact.mean()) < 0.02


def test_a_density_in_other_units_moves_by_the_logarithm_of_the_unit_and_a_fit_does_not_move():
    fitted, in_grams = vae().fit(X), vae().fit(1000 * X)
    assert np.allclose(fitted.transform(X), in_grams.transform(1000 * X), atol=1e-4)
    assert np.allclose(fitted.score_samples(X), in_grams.score_samples(1000 * X) + 4 * np.log(1000), atol=1e-2)


@pytest.mark.parametrize(
    ("likelihood", "volume"), [("gaussian", 64 * np.log(255)), ("discretized-logistic", 0), ("bernoulli", 0)]
)
def test_a_density_of_bytes_is_one_of_a_grey_level_and_a_probability_has_no_unit(likelihood, volume):
    fitted = vae(likelihood=likelihood).fit(IMAGES)
    row = fitted.space_.score(IMAGES[:1, None], np.zeros(1, np.int64), k=5)
    assert fitted.score_samples(IMAGES[:1])[0] == pytest.approx(float(row[0]) - volume, abs=1e-3)


def test_a_grid_of_bytes_holds_no_more_probability_than_one():
    """Densities of grey levels, added up over all 256² pairs of bytes, come to 1; densities on [0, 1] would come to 255²."""
    pairs = np.stack(np.meshgrid(np.arange(0, 256, 16), np.arange(0, 256, 16)), -1).reshape(-1, 2).astype(np.uint8)
    data = np.random.default_rng(0).normal([[100, 150]], [[20, 10]], (300, 2)).clip(0, 255).astype(np.uint8)
    fitted = vae(values="bytes", likelihood="gaussian", latent_dim=1, steps=400, score_draws=100).fit(data)
    assert 256 * np.exp(fitted.score_samples(pairs)).sum() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_the_score_of_a_row_does_not_depend_on_its_neighbours(likelihood):
    data = X if likelihood == "gaussian" else IMAGES
    fitted = vae(likelihood=likelihood).fit(data)
    together = fitted.score_samples(data[:30])
    order = np.random.default_rng(0).permutation(30)
    assert np.array_equal(fitted.score_samples(data[order]), together[order])
    assert np.array_equal(np.concatenate([fitted.score_samples(data[i : i + 7]) for i in range(0, 28, 7)]), together[:28])
    assert np.allclose(fitted.transform(data[order]), fitted.transform(data[:30])[order], atol=1e-5)
    assert fitted.score(data[:30]) == together.mean()


def test_an_autoencoder_is_scored_by_its_distortion_and_says_that_this_is_no_likelihood():
    fitted = legato.Autoencoder(**TINY).fit(X)
    volume = np.log(fitted.space_.preparation.scale).sum()
    assert np.allclose(fitted.score_samples(X), -fitted.space_.distortion(X) - volume)
    assert "no likelihood" in " ".join((legato.Autoencoder.score_samples.__doc__ or "").split())
    better = legato.Autoencoder(**{**TINY, "steps": 300}).fit(X)
    assert better.score(X) > fitted.score(X)


def test_samples_are_fixed_by_their_seed_and_come_from_the_prior_where_it_was_charged_for():
    fitted = vae().fit(X)
    assert np.array_equal(fitted.sample(5), fitted.sample(5))
    assert np.array_equal(fitted.sample(5, random_state=4), fitted.space_.sample(5, seed=4, origin="prior"))
    assert not np.array_equal(fitted.sample(5, random_state=4), fitted.sample(5, random_state=5))
    points = legato.Autoencoder(**TINY).fit(X)
    assert np.array_equal(points.sample(5), points.space_.sample(5, origin="codes"))


# -------------------------------------------------------------------------------------------------------- partial_fit


def test_partial_fit_keeps_the_preparation_of_its_first_call_and_learns():
    model = vae()
    first, later = X[:60], X[60:] + 3
    model.partial_fit(first)
    before, preparation = model.score(X), model.space_.preparation
    assert np.allclose(preparation.shift, first.mean(0))
    for _ in range(40):
        model.partial_fit(first).partial_fit(later)
    assert model.space_.preparation == preparation
    assert model.score(np.concatenate([first, later])) > before + 1
    assert model.transform(X).shape == (120, 2)


def test_partial_fit_goes_on_bit_for_bit_after_it_was_pickled():
    one, other = vae(batch_size=16).partial_fit(X[:50]), vae(batch_size=16).partial_fit(X[:50])
    other = pickle.loads(pickle.dumps(other))
    for rows in (X[50:90], X[90:], X[:50]):
        one.partial_fit(rows)
        other = pickle.loads(pickle.dumps(other.partial_fit(rows)))
    assert same(one.space_.model, other.space_.model)
    assert np.array_equal(one.score_samples(X), other.score_samples(X))
    # 4 + 3 + 2 + 4 batches, so that no row is left out of a pass
    assert one.space_.kept.stored("training")["total"] == 13


def test_every_row_is_seen_once_in_a_pass(monkeypatch):
    seen: list[np.ndarray] = []
    step = legato.training.learner.Learner.step
    monkeypatch.setattr(
        legato.training.learner.Learner, "step", lambda self, x, number: (seen.append(x.x.numpy()), step(self, x, number))[1]
    )
    model = vae(batch_size=16).partial_fit(X)
    rows = np.concatenate(seen) * model.space_.preparation.scale + model.space_.preparation.shift
    assert max(map(len, seen)) <= 16
    assert np.allclose(np.sort(rows[:, 0]), np.sort(X[:, 0]), atol=1e-4)


def test_partial_fit_trains_at_the_peak_rate_and_with_weights_that_have_arrived():
    learner = vae(recipe="warmup_vae", warmup_steps=0).partial_fit(X)._fitted.learner
    assert [learner.plan.rate(step) for step in (0, 100, 100_000)] == pytest.approx([0.01] * 3, rel=1e-6)
    assert learner.objective.at(0, learner.plan.total) == [1.0, 1.0]


def test_partial_fit_goes_on_from_what_was_fitted():
    fitted = vae(steps=200).fit(X)
    before, parameters = fitted.score(X), weights(fitted.space_.model)
    fitted.set_params(learning_rate=1e-5).partial_fit(X)
    assert fitted.score(X) == pytest.approx(before, abs=0.05)
    assert not same(fitted.space_.model, vae(steps=200).fit(X).space_.model)
    assert all(torch.allclose(parameters[name], value, atol=1e-3) for name, value in weights(fitted.space_.model).items())


# ------------------------------------------------------------------------------------------------------------ pickles


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_a_pickle_holds_no_object_of_ours_but_the_estimators_class(way):
    table = pa.table({f"c{i}": column for i, column in enumerate(X.T)})
    fitted = getattr(vae(), way)(table)
    content = pickle.dumps(fitted)
    ours = {
        arg for op, arg, _ in pickletools.genops(content) if isinstance(arg, str) and arg.split(".")[0] in ("legato", "torch")
    }
    assert ours == {"legato.estimator"}
    state = fitted.__getstate__()
    assert safetensors.torch.load(state["_tensors"]).keys() >= {"codes.mean"}
    assert json.loads(state["_told"])["files"]["recipe"]["recipe"] == "vae"
    again = pickle.loads(content)
    assert np.array_equal(again.transform(table), fitted.transform(table))
    assert np.array_equal(again.score_samples(table), fitted.score_samples(table))
    assert np.array_equal(again.sample(3), fitted.sample(3))
    assert again.feature_names_in_.tolist() == ["c0", "c1", "c2", "c3"]


def test_a_damaged_state_is_refused():
    state = vae().fit(X).__getstate__()
    content = bytearray(state["_tensors"])
    content[-1] ^= 1
    with pytest.raises(legato.Mistake, match="checksum"):
        legato.VAE().__setstate__({**state, "_tensors": bytes(content)})


def test_an_estimator_that_was_not_fitted_is_pickled_and_cloned_by_its_parameters():
    model = vae(beta=2.0)
    assert pickle.loads(pickle.dumps(model)).get_params() == model.get_params() == clone(model).get_params()
    with pytest.raises(NotFittedError, match="fit"):
        model.transform(X)


# ----------------------------------------------------------------------------------------------- what it is plugged into


def test_in_a_pipeline_a_grid_and_workers():
    flowers, kinds = load_iris(return_X_y=True)
    classify = make_pipeline(StandardScaler(), vae(steps=150), LogisticRegression())
    assert classify.fit(flowers, kinds).score(flowers, kinds) > 0.8
    search = GridSearchCV(vae(), {"steps": [2, 150], "recipe": ["vae"]}, cv=KFold(2, shuffle=True, random_state=0), n_jobs=2)
    search.fit(flowers)
    assert search.best_params_ == {"steps": 150, "recipe": "vae"}
    alone = vae(steps=150).fit(flowers)
    assert np.array_equal(search.best_estimator_.transform(flowers), alone.transform(flowers))


def test_names_of_columns_are_kept_and_compared():
    names = ["a", "b", "c", "d"]
    table = pa.table(dict(zip(names, X.T, strict=True)))
    fitted = vae().fit(table)
    assert fitted.feature_names_in_.tolist() == names
    assert fitted.get_feature_names_out().tolist() == ["vae0", "vae1"]
    assert np.array_equal(fitted.transform(table), vae().fit(X).transform(X))
    with pytest.raises(legato.Mistake, match="feature names"):
        fitted.transform(table.rename_columns(["b", "a", "c", "d"]))


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_come_out_where_they_are_asked_for(library):
    frames = pytest.importorskip(library)
    data = frames.DataFrame(dict(zip("abcd", X.T, strict=True)))
    found = vae().set_output(transform=library).fit(data).transform(data)
    assert isinstance(found, frames.DataFrame)
    assert list(found.columns) == ["vae0", "vae1"]


FORMS = {
    "grey": IMAGES,
    "colour, channels last": np.stack([IMAGES, IMAGES[::-1], 255 - IMAGES], -1),
    "colour, channels first": np.stack([IMAGES, IMAGES[::-1], 255 - IMAGES], 1),
    "real numbers": IMAGES / 51 - 3,
    "binary": (IMAGES > 90).astype(np.uint8),
}


@pytest.mark.parametrize("form", FORMS)
def test_pictures_come_back_as_they_were_given(form):
    pictures = FORMS[form]
    fitted = vae(steps=150).fit(pictures)
    decoded = fitted.inverse_transform(fitted.transform(pictures))
    assert decoded.shape == pictures.shape
    assert fitted.sample(3).shape == (3, *pictures.shape[1:])
    assert fitted.n_features_in_ == pictures[0].size
    mean = pictures.mean(0, keepdims=True)
    assert np.square(decoded - pictures).mean() < np.square(mean - pictures.astype(float)).mean()
    assert np.array_equal(pickle.loads(pickle.dumps(fitted)).inverse_transform(fitted.transform(pictures)), decoded)


def test_whole_floats_are_the_bytes_that_they_were():
    fitted = vae().fit(IMAGES)
    assert np.array_equal(fitted.transform(IMAGES.astype(np.float64)), fitted.transform(IMAGES))


# ---------------------------------------------------------------------------------------------------- recipes, mistakes


LIKENESSES = ("log_cosh_vae", "vae_gan")  # whose objective is no likelihood
POINTS = ("autoencoder", "pulled_autoencoder", "wae_mmd", "swae", "wae_gan", "rae_l2", "rae_gp", "rae_sn", "topk_autoencoder")


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_fits_encodes_and_samples_or_says_why_it_cannot(recipe):
    own = {name: value for name, value in TINY.items() if name != "latent_dim" or "latent_dim" in options_of(RECIPES[recipe])}
    if recipe in ("conditional_vae", "m2_vae"):
        with pytest.raises(legato.Mistake, match="label"):
            legato.VAE(recipe, **own).fit(X)
        return
    if recipe in OF_PAIRS:
        with pytest.raises(legato.Mistake, match="pairs of images that share factors"):
            legato.VAE(recipe, **own).fit(X)
        return
    if recipe in OF_IMAGES:
        with pytest.raises(legato.Mistake, match=r"has shape \(4,\)"):
            legato.VAE(recipe, **own).fit(X)
        return
    if recipe in POINTS + LIKENESSES:
        with pytest.raises(legato.Mistake, match=rf"legato.Autoencoder\(recipe='{recipe}'\)"):
            legato.VAE(recipe, **own).fit(X)
        model = legato.Autoencoder(recipe, **own).fit(X)
    else:
        model = legato.VAE(recipe, **own).fit(X)
    codes = model.transform(X)
    assert codes.shape == (120, len(model.get_feature_names_out()))
    assert model.inverse_transform(codes).shape == X.shape
    assert np.isfinite(model.sample(4)).all()
    assert np.isfinite(model.score(X))
    assert np.array_equal(pickle.loads(pickle.dumps(model)).transform(X), codes)


def test_what_every_recipe_takes_is_a_parameter():
    own = {name for sentence in RECIPES.values() for name in options_of(sentence)}
    assert own <= set(OfRecipes.__annotations__) <= set(DEFAULTS) == set(legato.VAE().get_params()) - {"recipe"}
    assert legato.VAE().get_params()["recipe"] == "vae"
    assert legato.Autoencoder().get_params()["recipe"] == "autoencoder"


def test_a_recipe_of_ones_own_takes_its_options():
    fitted = legato.VAE(mine, **TINY, options={"much": 3.0}).fit(X)
    assert same(fitted.space_.model, vae(beta=3.0).fit(X).space_.model)


MISTAKES: dict[str, tuple[Any, list[str]]] = {
    "a parameter that does not exist": (lambda: legato.VAE(latent_dims=2), ["latent_dims", "did you mean `latent_dim`?"]),
    "a recipe that does not exist": (lambda: vae(recipe="vaee").fit(X), ["vaee", "did you mean `vae`?"]),
    "another recipe's option": (lambda: vae(levels=3).fit(X), ["`levels`", "`vae`"]),
    "text for a whole number": (lambda: vae(latent_dim="3").fit(X), ["latent_dim", "a whole number", "'3'"]),
    "text for steps": (lambda: vae(steps="10").fit(X), ["steps", "a whole number or None", "'10'"]),
    "two lengths": (lambda: vae(epochs=2).fit(X), ["--steps", "--epochs"]),
    "no thread": (lambda: vae(threads=0).fit(X), ["threads", "0"]),
    "a seed in words": (lambda: vae(random_state="one").fit(X), ["random_state", "'one'"]),
    "a net that does not exist": (lambda: vae(net="cnn").fit(X), ["cnn", "did you mean `conv`?"]),
    "a model without a likelihood": (lambda: vae(recipe="autoencoder").fit(X), ["log p(x)", "legato.Autoencoder"]),
    "missing values": (lambda: vae().fit(np.where(X > 5, np.nan, X)), ["NaN", "fill them in"]),
    "words": (lambda: vae().fit([["a", "b"]]), ["numeric"]),
    "a row alone": (lambda: vae().fit(X[0]), ["2D array", "Reshape"]),
    "rows of several lengths": (lambda: vae().fit([[1, 2], [3]]), ["all of one shape"]),
    "other columns": (lambda: vae().fit(X).transform(X[:, :3]), ["3 features", "4 features"]),
    "pictures of another size": (lambda: vae().fit(IMAGES).transform(IMAGES[:, :7]), ["(1, 8, 8)", "(1, 7, 8)"]),
    "fractions of bytes": (lambda: vae().fit(IMAGES).transform(IMAGES / 2), ["bytes", "values='reals'"]),
    "codes of another width": (lambda: vae().fit(X).inverse_transform(np.zeros((3, 4))), ["`z`", "(N, 2)", "(3, 4)"]),
    "no samples": (lambda: vae().fit(X).sample(0), ["samples", "1 or more"]),
    "a mixture": (lambda: vae().fit(X).sample(2, origin="mixture"), ["origin", "codes"]),
    "a RUN of what has none": (lambda: vae().fit(X).space_.run, ["in memory", "legato.train"]),
    "data of what kept none": (lambda: vae().fit(X).space_.data(), ["in memory"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_that_says_how_to_mend_it(name):
    call, words = MISTAKES[name]
    with pytest.raises(legato.Mistake) as told:
        call()
    line = str(told.value)
    assert "\n" not in line
    assert [word for word in words if word not in line] == [], line


def test_torchs_generators_and_the_array_stay_as_they_were():
    data, before = X.copy(), torch.random.get_rng_state()
    vae().fit(data).partial_fit(data).score(data)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert np.array_equal(data, X)


def test_a_random_state_is_a_seed_or_a_generator():
    one = vae(random_state=np.random.RandomState(7)).fit(X).transform(X)
    assert np.array_equal(one, vae(random_state=np.random.RandomState(7)).fit(X).transform(X))
    assert not np.array_equal(one, vae(random_state=1).fit(X).transform(X))


def test_the_length_of_a_fit_is_20_epochs_and_at_least_300_steps():
    def steps(rows: int, **said: Any) -> int:
        task = legato.training.fitting.begin(
            "vae", unstored(np.random.default_rng(0).normal(size=(rows, 3)), legato.DataOptions()),
            legato.training.TrainingOptions(**said), {"width": 8, "depth": 1}, torch.device("cpu"), 1,
        )  # fmt: skip
        return task.plan.total

    assert [steps(120), steps(2560, batch_size=32), steps(5000, epochs=3), steps(10, steps=7)] == [300, 1600, 57, 7]
