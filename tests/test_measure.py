"""`legato.measure`: functions, torch modules and other libraries' models through the same survey as a RUN's."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.distributions import Independent, Laplace, Normal

import legato
from legato.errors import Mistake
from legato.measured import EFFORTS
from legato.measures.geometry import stretch_by_differences
from legato.measures.likelihood import importance_curve
from legato.measures.whitening import Whitening
from legato.survey import Effort, survey
from legato.survey.adaptors import subject_of
from legato.survey.functions import Functions
from legato.survey.likelihood import widths
from legato.survey.material import material
from legato.survey.subject import Trained
from made_runs import blobs

TINY = Effort(
    train=250,
    test=120,
    samples=200,
    outer=100,
    paths=20,
    places=20,
    noisy=30,
    halves=2,
    judged=60,
    weighted=10,
    draws=30,
    annealed=2,
)
IMAGES = (blobs(40)[0][:, None] / 255).astype(np.float32)  # (40, 1, 8, 8)
EXAMPLE = IMAGES[:4]
MATRIX = np.random.default_rng(0).standard_normal((64, 3)).astype(np.float32) / 8


def encode(x):
    return x.reshape(len(x), -1) @ MATRIX


def decode(z):
    return (z @ MATRIX.T).reshape(-1, 1, 8, 8)


class Linear(nn.Module):
    """The same map, as a module; with `sigma` an encoder of clouds."""

    def __init__(self, weight, shape, sigma=None):
        super().__init__()
        self.weight, self.shape, self.sigma = nn.Parameter(torch.from_numpy(weight)), shape, sigma

    def forward(self, x):
        found = (x.flatten(1) @ self.weight).reshape(-1, *self.shape)
        return found if self.sigma is None else (found, torch.full_like(found, self.sigma))


def functions(encoder=encode, decoder=decode, **other):
    return Functions(encoder, decoder, EXAMPLE, **other)


# ------------------------------------------------------------------------------------------------ the law


@pytest.fixture(scope="module")
def of_a_run(runs):
    """A RUN's own survey, its latent space, and the path of its data."""
    space = legato.load(runs["vae"], device="cpu")
    prepared = space.data()
    return space, survey(Trained(space), material(prepared, TINY.train, TINY.test), TINY), prepared.dataset.source


def test_a_runs_own_functions_have_the_figures_of_the_run(of_a_run):
    space, expected, source = of_a_run
    found = legato.measure(space.encode, space.decode, source, effort=TINY)
    without = same_figures(found, expected)
    assert without >= {"distortion", "elbo", "bias of the score function", "distance to own"}
    for name, values in found.curves.items():
        assert values == (pytest.approx(expected.curves[name]) if isinstance(values, list) else expected.curves[name])


def test_the_elbo_beside_the_nll_is_of_the_very_same_rows_and_draws(of_a_run):
    space, found, _ = of_a_run
    x = torch.from_numpy(material(space.data(), TINY.train, TINY.test).test.x[: TINY.weighted])
    curve = importance_curve(space.model, [x], (1, TINY.draws))
    elbo, nll, share = (found.figures[name] for name in ("elbo of the weighted rows", "nll", "untrusted share"))
    assert elbo.value == pytest.approx(curve.bounds[:, 0].mean())
    assert nll.value == pytest.approx(-curve.bounds[:, 1].mean())
    assert share.value == (curve.k_hat > 0.7).mean()
    assert elbo.n == nll.n == share.n == TINY.weighted
    assert nll.value < -elbo.value


@pytest.mark.parametrize("name", ["autoencoder", "binary", "colour"])
def test_so_have_those_of_points_of_binary_and_of_coloured_pictures(name, runs):
    space = legato.load(runs[name], device="cpu")
    expected = legato.measure(space, effort=TINY)
    encoder = space.posterior if space.has_density else lambda x: space.posterior(x)[0]  # `encode` refuses grey bits
    found = legato.measure(encoder, space.decode, space.data().dataset.source, effort=TINY)
    assert "distortion" in same_figures(found, expected)


def same_figures(found, expected):
    """Asserts that all figures but those that need a likelihood are the same; the names of these."""
    assert list(found.figures) == list(expected.figures)
    lost = {name for name, one in expected.figures.items() if one.value is not None and found.figures[name].value is None}
    assert [name for name in lost if not found.figures[name].why.startswith("needs a likelihood")] == []
    shared = {name: one.value for name, one in expected.figures.items() if one.value is not None and name not in lost}
    assert len(shared) > 40
    for name, value in shared.items():
        near = 5e-2 if name.startswith("stretch") else 1e-5  # differences in the place of derivatives
        assert found.figures[name].value == pytest.approx(value, rel=near, abs=1e-5), name
    return lost


def test_a_runs_own_tensor_functions_have_its_stretch_by_derivatives(of_a_run):
    space, expected, source = of_a_run

    def infer(x):
        return space.model.latent.posterior(x)

    def log_px(x, z):
        return space.model.likelihood(z).log_prob(x)

    found = legato.measure(infer, space.decoder, source, effort=TINY, log_px=log_px)
    for name, one in expected.figures.items():
        if name.startswith("stretch"):
            assert found.figures[name].value == pytest.approx(one.value, rel=1e-4), name
            assert found.figures[name].method == one.method
    assert found.figures["rate"].value == pytest.approx(expected.figures["rate"].value, rel=1e-5)
    for name in ("distortion", "elbo"):  # other draws of z
        one = expected.figures[name]
        assert found.figures[name].value == pytest.approx(one.value, abs=0.2 * (one.high - one.low))
    assert found.figures["detached gradient"].why == "needs a likelihood in a model of Legato's own"


def test_a_run_is_measured_by_its_path_on_its_own_data(runs, of_a_run, tmp_path):
    found = legato.measure(runs["vae"], effort=TINY, out=tmp_path / "found")
    stored = json.loads((tmp_path / "found" / "survey.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(found.to_json()))
    assert found.figures == of_a_run[1].figures


# ------------------------------------------------------------------------------------------------ functions


def test_arrays_tensors_and_modules_are_fed_as_they_want_to_be():
    plain, modules = functions(), functions(Linear(MATRIX, (3,)), Linear(MATRIX.T.copy(), (1, 8, 8)))
    weight = torch.from_numpy(MATRIX)
    tensors = functions(lambda x: x.flatten(1) @ weight, lambda z: torch.relu(z @ weight.T).view(-1, 1, 8, 8))
    for one in (plain, modules, tensors):
        mu, sigma = one.encode(IMAGES)
        assert mu == pytest.approx(encode(IMAGES), rel=1e-5)
        assert mu.dtype == np.float32
        assert sigma is None
    assert modules.decode(mu) == pytest.approx(decode(mu), rel=1e-5, abs=1e-6)
    assert plain.decoder is None
    assert modules.decoder is not None
    assert tensors.decoder is not None
    assert plain.cycle(mu) == pytest.approx(encode(decode(mu)), rel=1e-5)


@pytest.mark.parametrize(
    "answer",
    [
        lambda mu: (mu, 0.5 + 0 * mu),
        lambda mu: Independent(Normal(torch.from_numpy(mu), 0.5), 1),
        lambda mu: SimpleNamespace(mean=mu, stddev=0.5 + 0 * mu),
        lambda mu: SimpleNamespace(mean=torch.from_numpy(mu), std=0.5 + 0 * mu),
    ],
)
def test_every_form_of_a_posterior_is_read(answer):
    mu, sigma = functions(lambda x: answer(encode(x))).encode(IMAGES)
    assert mu == pytest.approx(encode(IMAGES))
    assert (sigma == 0.5).all()
    assert sigma.shape == mu.shape


def test_a_decoded_distribution_counts_by_its_mean():
    one = functions(decoder=lambda z: Laplace(torch.from_numpy(decode(z)), 1.0))
    assert one.decode(encode(IMAGES)) == pytest.approx(decode(encode(IMAGES)))


def test_latents_with_a_shape_are_flattened_and_restored():
    wide = np.random.default_rng(1).standard_normal((64, 8)).astype(np.float32) / 8
    encoder, decoder = Linear(wide, (2, 2, 2), 0.1), Linear(wide.T.copy(), (1, 8, 8))
    seen = []

    def log_px(x, z):
        seen.append(z.shape)
        return -((x - decoder(torch.as_tensor(z)).detach().numpy()) ** 2).sum((1, 2, 3))

    def prior(n, seed):
        return np.random.default_rng(seed).standard_normal((n, 2, 2, 2))

    one = functions(encoder, decoder, prior=prior, log_px=log_px)
    mu, sigma = one.encode(IMAGES)
    assert one.latent_dim == 8
    assert mu.shape == sigma.shape == (40, 8)
    assert mu == pytest.approx(IMAGES.reshape(40, -1) @ wide, rel=1e-4, abs=1e-5)
    assert one.decode(mu) == pytest.approx((mu @ wide.T).reshape(-1, 1, 8, 8), rel=1e-4, abs=1e-5)
    assert one.log_px(IMAGES, mu) == pytest.approx(-((IMAGES - one.decode(mu)) ** 2).sum((1, 2, 3)), rel=1e-4)
    assert set(seen) == {(4, 2, 2, 2), (40, 2, 2, 2)}  # the example's, then all
    first, same, other = one.prior(5, 0), one.prior(5, 0), one.prior(5, 0, "holes")
    assert first.shape == (5, 8)
    assert (first == same).all()
    assert not (first == other).any()


def test_modules_and_generators_are_left_as_they_were():
    encoder, decoder = Linear(MATRIX, (3,)), nn.Sequential(Linear(MATRIX.T.copy(), (1, 8, 8)), nn.Dropout(0.5))
    decoder[1].eval()
    before, images = torch.get_rng_state(), IMAGES.copy()
    one = functions(encoder, decoder)
    one.cycle(one.encode(IMAGES)[0])
    assert (torch.get_rng_state() == before).all()
    assert encoder.training
    assert decoder.training
    assert not decoder[1].training
    assert encoder.weight.grad is None
    functions(lambda x: encode(np.multiply(x, 2, out=x)))  # one that writes into its input
    assert (images == IMAGES).all()


def test_dropout_is_off_while_a_module_is_called():
    encoder = nn.Sequential(nn.Dropout(0.5), Linear(MATRIX, (3,)))
    assert functions(encoder).encode(IMAGES)[0] == pytest.approx(encode(IMAGES), rel=1e-5)


def test_a_module_of_double_precision_gets_doubles():
    one = functions(Linear(MATRIX.astype(np.float64), (3,)), Linear(MATRIX.T.astype(np.float64), (1, 8, 8)))
    assert one.encode(IMAGES)[0] == pytest.approx(encode(IMAGES), rel=1e-5)
    assert one.decoder is not None


@pytest.mark.parametrize("cut", [lambda z: z.detach(), lambda z: torch.from_numpy(z.numpy()), lambda z: z.round()])
def test_a_decoder_without_derivatives_is_a_plain_function(cut):
    weight = torch.from_numpy(MATRIX.T)
    assert functions(decoder=lambda z: (cut(torch.mul(z, 1)) @ weight).view(-1, 1, 8, 8)).decoder is None


@pytest.mark.parametrize(
    ("encoder", "decoder", "told"),
    [
        (3, decode, "`encode` is a int: expected a function"),
        (lambda x: None, decode, "`encode` gave a NoneType"),
        (lambda x: (1, 2, 3), decode, "`encode` gave 3 things"),
        (lambda x: (encode(x), encode(x)[:, :2]), decode, "both alike"),
        (lambda x: (encode(x), -1 + 0 * encode(x)), decode, "`encode` gave a σ below 0"),
        (lambda x: Laplace(torch.from_numpy(encode(x)), 1.0), decode, "`encode` gave a Laplace"),
        (lambda x: encode(x) * np.nan, decode, "`encode` gave NaN or infinite values in 4 of 4 rows"),
        (lambda x: encode(x)[:, 0], decode, r"`encode` gave μ \(4,\)"),
        (lambda x: encode(x)[:2], decode, "`encode` gave 2 rows for 4"),
        (lambda x: np.random.standard_normal((len(x), 3)), decode, "`encode` gives another answer each time"),  # noqa: NPY002
        (lambda x: encode(x) - encode(x).mean(0), decode, "`encode` answers for a row otherwise beside other rows"),
        (lambda x: x.no_such_thing(), decode, "`encode` takes neither an array"),
        (encode, lambda z: decode(z)[:, 0], r"`decode` gave \(4, 8, 8\) where images are \(n, 1, 8, 8\)"),
        (encode, lambda z: 255 * np.ones((len(z), 1, 8, 8)), "divide bytes by 255"),
        (encode, lambda z: decode(z)[1:], "`decode` gave 3 rows for 4"),
        (encode, lambda z: ["image"] * len(z), "`decode` gave a list"),
    ],
)
def test_what_no_measure_could_use_is_refused_in_a_line(encoder, decoder, told):
    with pytest.raises(Mistake, match=told) as refused:
        functions(encoder, decoder)
    assert "\n" not in str(refused.value)


def test_a_prior_a_width_and_a_likelihood_of_wrong_shapes_are_refused():
    one = functions(prior=lambda n, seed: np.zeros((n, 2)), log_px=lambda x, z: np.zeros((len(x), 1)))
    with pytest.raises(Mistake, match=r"`prior` gave \(7, 2\)"):
        one.prior(7, 0)
    with pytest.raises(Mistake, match=r"`log_px` gave \(40, 1\)"):
        one.log_px(IMAGES, encode(IMAGES))
    with pytest.raises(Mistake, match="no `log_px`"):
        functions().log_px(IMAGES, encode(IMAGES))
    with pytest.raises(Mistake, match="σ of 0 in some places"):
        functions(lambda x: (encode(x), encode(x) > 0)).encode(IMAGES)


# ------------------------------------------------------------------------------------------------ data


def test_a_point_encoder_is_measured_on_arrays_with_labels_and_a_test_set():
    images, labels = blobs(310)
    ready = images[:, None].astype(np.float32) / 255
    found = legato.measure(
        encode, decode, ready[:200], labels=(labels[:200], labels[200:]), test=torch.from_numpy(ready[200:]), effort=TINY
    )
    assert found.figures["sigma"].why == "the posterior is a point: it has no width"
    assert found.figures["distortion"].why == "needs a likelihood"
    assert found.figures["purity"].n == 110
    values = np.linalg.svd(MATRIX @ _root(ready[:200]), compute_uv=False)
    assert found.figures["stretch prior"].value == pytest.approx(values[0], rel=1e-2)  # linear: the same everywhere
    assert "central differences" in found.figures["stretch prior"].method


def _root(images):
    values, vectors = np.linalg.eigh(np.cov(encode(images).T.astype(np.float64), bias=True))
    return (vectors * np.sqrt(values)) @ vectors.T


def test_against_a_prior_of_ones_own_no_formula_for_the_standard_normal_is_used():
    images, _ = blobs(310)
    encoder = Linear(MATRIX, (3,), 0.2)
    found = legato.measure(
        encoder, decode, images, effort=TINY, prior=lambda n, seed: 3 + np.random.default_rng(seed).standard_normal((n, 3)),
        log_px=lambda x, z: -((x - decode(z)) ** 2).sum((1, 2, 3)),
    )  # fmt: skip
    for name in ("rate", "elbo", "marginal KL", "norm distance"):
        assert found.figures[name].why == "the prior is not N(0, I)"
    assert found.figures["mutual information"].value is not None
    assert found.figures["distortion"].value > 0
    assert found.figures["two-sample accuracy"].value > 0.9  # the prior given lies far off


@pytest.mark.parametrize(
    ("data", "other", "told"),
    [
        (None, {}, "`data` is missing"),
        (IMAGES, {}, "there are 32 rows to refer to: expected 100 or more"),
        (2 * IMAGES - 1, {}, r"leave \[0, 1\]"),
        (IMAGES, {"effort": "quik"}, "did you mean `quick`"),
        (IMAGES, {"labels": [1, 2]}, "expected 40 labels"),
        (IMAGES, {"labels": [1] * 40, "test": IMAGES}, "expected 40 and 40 labels, as a pair"),
        (IMAGES, {"test": IMAGES.repeat(2, 2)}, "expected one shape"),
    ],
)
def test_data_that_cannot_be_measured_on_are_refused(data, other, told):
    with pytest.raises(Mistake, match=told):
        legato.measure(encode, decode, data, **{"effort": TINY, **other})


# ------------------------------------------------------------------------------------------------ other libraries' models


class FakePythae(nn.Module):
    """`encoder` and `decoder` as Pythae's: `log_covariance` is log σ²."""

    def __init__(self, name="VAE", log_variance=None):
        super().__init__()
        self.log_variance = log_variance
        self.__class__ = type(name, (FakePythae,), {"__module__": "pythae.models.fake"})

    def encoder(self, x):
        mu = x.flatten(1) @ torch.from_numpy(MATRIX)
        wide = {} if self.log_variance is None else {"log_covariance": torch.full_like(mu, self.log_variance)}
        return SimpleNamespace(embedding=mu, **wide)

    def decoder(self, z):
        return SimpleNamespace(reconstruction=(z @ torch.from_numpy(MATRIX.T)).view(-1, 1, 8, 8))


class FakeDiffusers(nn.Module):
    """encode(x).latent_dist and decode(z).sample, images in [−1, 1]."""

    def encode(self, x):
        half = nn.functional.avg_pool2d(x, 2)
        return SimpleNamespace(latent_dist=SimpleNamespace(mean=half, std=torch.full_like(half, 0.3)))

    def decode(self, z):
        return SimpleNamespace(sample=nn.functional.interpolate(z, scale_factor=2))


FakeDiffusers.__module__, FakeDiffusers.__name__ = "diffusers.models.fake", "AutoencoderKL"


def test_pythaes_log_covariance_is_read_as_a_log_variance():
    one = subject_of(FakePythae(log_variance=float(np.log(0.25))), EXAMPLE)
    mu, sigma = one.encode(IMAGES)
    assert mu == pytest.approx(encode(IMAGES), rel=1e-5)
    assert sigma == pytest.approx(np.full((40, 3), 0.5))
    assert one.decode(mu) == pytest.approx(decode(mu), rel=1e-5, abs=1e-6)


def test_a_plain_autoencoder_of_pythaes_has_no_width_and_other_posteriors_are_refused():
    assert subject_of(FakePythae("AE"), EXAMPLE).encode(IMAGES)[1] is None
    with pytest.raises(Mistake, match="Pythae's VAE_IAF is no diagonal Gaussian"):
        subject_of(FakePythae("VAE_IAF"), EXAMPLE)
    with pytest.raises(Mistake, match="prior of Pythae's VAMP"):
        subject_of(FakePythae("VAMP"), EXAMPLE)
    assert subject_of(FakePythae("VAMP"), EXAMPLE, prior=lambda n, seed: np.ones((n, 3))).prior(2, 0).sum() == 6


def test_diffusers_images_are_scaled_on_both_sides():
    one = subject_of(FakeDiffusers(), EXAMPLE)
    mu, sigma = one.encode(IMAGES)
    pooled = IMAGES.reshape(40, 1, 4, 2, 4, 2).mean((3, 5))
    assert one.event == (1, 4, 4)
    assert mu == pytest.approx((2 * pooled - 1).reshape(40, -1), rel=1e-4, abs=1e-6)
    assert sigma == pytest.approx(np.full((40, 16), 0.3))
    assert one.decode(mu) == pytest.approx(pooled.repeat(2, 2).repeat(2, 3), rel=1e-4, abs=1e-6)


def test_an_object_with_encode_and_decode_is_a_model_and_anything_else_is_refused(runs):
    one = subject_of(SimpleNamespace(encode=encode, decode=decode), EXAMPLE)
    assert one.latent_dim == 3
    assert subject_of(one, EXAMPLE) is one
    with pytest.raises(Mistake, match="a dict is no model"):
        subject_of({}, EXAMPLE)
    with pytest.raises(Mistake, match="a RUN has a prior and a likelihood of its own"):
        subject_of(runs["vae"], EXAMPLE, log_px=encode)


def test_attention_is_differentiated_too():
    weight = torch.from_numpy(MATRIX.T)

    def attending(z):
        tokens = (z @ weight).view(-1, 1, 8, 8)
        return nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)

    assert functions(decoder=attending).decoder is not None


def test_differences_in_many_dimensions_are_taken_in_small_blocks():
    matrix, sizes = np.random.default_rng(0).standard_normal((100, 150)), []

    def plain(z):
        sizes.append(len(z))
        return z @ matrix

    white = Whitening.of(np.zeros(100), np.eye(100))
    found = stretch_by_differences(plain, np.zeros((90, 100), np.float32), white)
    assert found.largest == pytest.approx(np.full(90, np.linalg.svd(matrix, compute_uv=False)[0]), rel=1e-3)
    assert set(sizes) == {40, 10}  # 64 codes of 64 dimensions are as much as 40 of 100


def test_where_training_images_are_not_among_test_images_realism_has_no_unit():
    dark = np.random.default_rng(0).random((200, 1, 8, 8)).astype(np.float32) / 10
    found = legato.measure(encode, decode, dark, test=1 - dark, effort=TINY)
    assert found.figures["realism prior"].why == "no training image lies among test images either"


# ------------------------------------------------------------------------------------------------ files


class FakeSession:
    """An onnxruntime session of a linear model: encoders' files say so in their name, and fix the batch at 3."""

    def __init__(self, path, providers):
        self.encoder, self.second = "encoder" in path, path.removesuffix(".onnx").rpartition("-")[2]
        if "broken" in path:
            raise RuntimeError("no protobuf\nat all")

    def get_inputs(self):
        return [SimpleNamespace(name="x", type="tensor(float)", shape=[3 if self.encoder else "n", 1])]

    def get_outputs(self):
        return [SimpleNamespace(name=name) for name in (["mu", self.second] if self.encoder else ["images"])]

    def run(self, _, values):
        x = values["x"]
        assert not self.encoder or len(x) == 3
        return [encode(x), encode(x) * 0 + np.float32(np.log(0.25))] if self.encoder else [decode(x)]


@pytest.mark.parametrize(("second", "sigma"), [("log_var", 0.5), ("log_sigma", 0.25)])
def test_an_onnx_pair_is_read_by_the_names_of_its_outputs(second, sigma, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=FakeSession))
    files = [tmp_path / f"encoder-{second}.onnx", tmp_path / "decoder-.onnx"]
    for file in files:
        file.touch()
    one = subject_of(tuple(files), EXAMPLE)
    mu, found = one.encode(IMAGES)
    assert mu == pytest.approx(encode(IMAGES), rel=1e-5)
    assert found == pytest.approx(np.full((40, 3), sigma))
    assert one.decode(mu) == pytest.approx(decode(mu), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "told"), [("encoder-what", "gives mu, what: expected"), ("encoder-broken-", "is no ONNX model")]
)
def test_onnx_files_that_cannot_be_read_are_refused_in_a_line(name, told, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=FakeSession))
    (tmp_path / f"{name}.onnx").touch()
    with pytest.raises(Mistake, match=told) as refused:
        subject_of((tmp_path / f"{name}.onnx", tmp_path / "decoder.onnx"), EXAMPLE)
    assert "\n" not in str(refused.value)
    with pytest.raises(Mistake, match="there is no file"):
        subject_of((tmp_path / "no.onnx", tmp_path / "no.onnx"), EXAMPLE)


def test_without_onnxruntime_its_name_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    (tmp_path / "encoder.onnx").touch()
    with pytest.raises(Mistake, match="pip install onnxruntime"):
        subject_of((tmp_path / "encoder.onnx", tmp_path / "decoder.onnx"), EXAMPLE)


# ------------------------------------------------------------------------------------------------ the libraries themselves


def test_a_pair_of_real_onnx_files(tmp_path):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    helper, number = onnx.helper, onnx.TensorProto.FLOAT

    def save(name, nodes, given, found, **weights):
        ends = [[helper.make_tensor_value_info(key, number, shape) for key, shape in side.items()] for side in (given, found)]
        held = [onnx.numpy_helper.from_array(value, key) for key, value in weights.items()]
        model = helper.make_model(helper.make_graph(nodes, name, *ends, held), opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.save(model, tmp_path / f"{name}.onnx")

    node = helper.make_node
    inward = [node("Flatten", ["x"], ["flat"]), node("MatMul", ["flat", "w"], ["mu"]), node("Abs", ["mu"], ["log_var"])]
    save("encoder", inward, {"x": ["n", 1, 8, 8]}, {"mu": ["n", 3], "log_var": ["n", 3]}, w=MATRIX)
    outward = [node("MatMul", ["z", "w"], ["flat"]), node("Reshape", ["flat", "shape"], ["y"])]
    shape = np.array([-1, 1, 8, 8])
    save("decoder", outward, {"z": [7, 3]}, {"y": [7, 1, 8, 8]}, w=np.ascontiguousarray(MATRIX.T), shape=shape)
    one = subject_of((tmp_path / "encoder.onnx", tmp_path / "decoder.onnx"), EXAMPLE)
    mu, sigma = one.encode(IMAGES)
    assert mu == pytest.approx(encode(IMAGES), rel=1e-4, abs=1e-5)
    assert sigma == pytest.approx(np.exp(np.abs(mu) / 2), rel=1e-4)
    assert one.decode(mu) == pytest.approx(decode(mu), rel=1e-4, abs=1e-5)


@pytest.mark.filterwarnings("ignore")  # of Pythae's own
def test_a_vae_of_pythaes_itself():
    models = pytest.importorskip("pythae.models")
    model = models.VAE(models.VAEConfig(input_dim=(1, 8, 8), latent_dim=3))
    one, said = subject_of(model, EXAMPLE), model.encoder(torch.from_numpy(IMAGES))
    mu, sigma = one.encode(IMAGES)
    assert mu == pytest.approx(said.embedding.detach().numpy(), rel=1e-4, abs=1e-5)
    assert sigma == pytest.approx(said.log_covariance.exp().sqrt().detach().numpy(), rel=1e-4)
    assert one.decode(mu) == pytest.approx(model.decoder(said.embedding).reconstruction.detach().numpy(), rel=1e-4, abs=1e-5)
    assert one.decoder is not None
    plain = models.AE(models.AEConfig(input_dim=(1, 8, 8), latent_dim=3))
    assert subject_of(plain, EXAMPLE).encode(IMAGES)[1] is None


@pytest.mark.filterwarnings("ignore")  # of diffusers' own
def test_an_autoencoder_of_diffusers_itself():
    diffusers = pytest.importorskip("diffusers")
    model = diffusers.AutoencoderKL(
        in_channels=1, out_channels=1, block_out_channels=(4,), norm_num_groups=2, latent_channels=2
    )
    one, signed = subject_of(model, EXAMPLE), torch.from_numpy(2 * IMAGES - 1)
    mu, sigma = one.encode(IMAGES)
    said = model.encode(signed).latent_dist
    assert one.event == (2, 8, 8)
    assert mu == pytest.approx(said.mean.detach().flatten(1).numpy(), rel=1e-3, abs=1e-4)
    assert sigma == pytest.approx(said.std.detach().flatten(1).numpy(), rel=1e-3)
    assert one.decode(mu) == pytest.approx((model.decode(said.mean).sample.detach().numpy() + 1) / 2, rel=1e-3, abs=1e-4)


# ------------------------------------------------------------------------------------------------ the page


def test_the_page_runs_from_top_to_bottom(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EFFORTS, "quick", TINY)
    page = (Path(__file__).parent.parent / "docs" / "measure.md").read_text(encoding="utf-8")
    blocks, names = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL), {"__name__": "page"}
    assert len(blocks) == 3
    with torch.random.fork_rng():
        for block in blocks:
            exec(compile(block, "docs/measure.md", "exec"), names)
    purity, stretch, _, titled, said, elbo = capsys.readouterr().out.splitlines()
    assert "central differences" in stretch
    assert "[" in purity
    assert titled in page
    assert said in page
    assert elbo.endswith("nats")
    figures = json.loads((tmp_path / "measured" / "survey.json").read_text(encoding="utf-8"))["figures"]
    assert figures["rate"]["why"] == "needs a likelihood"


def test_a_mean_that_never_moves_has_no_noise_ratio_and_costs_no_other_width():
    found = widths_of(mu=np.zeros((10, 3)), sigma=np.ones((10, 3)))
    assert "one mean for all images" in str(found["noise ratio"].why)
    assert found["sigma"].value == 1.0


def widths_of(mu, sigma):
    codes = SimpleNamespace(mu=mu, widths=sigma)
    return widths(SimpleNamespace(test=codes))[0]
