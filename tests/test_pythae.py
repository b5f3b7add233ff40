"""Models of Pythae's own classes, saved by its own `save`, and what Legato makes of them: equal outputs, to rounding.

What is refused is refused of files written here, so that these tests need no Pythae.
"""

from __future__ import annotations

import json
import math
import os
import warnings
import zipfile
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.special import logsumexp
from scipy.stats import norm

import legato
from legato import cli
from legato.errors import Mistake
from legato.explorer.catalogue import Catalogue
from legato.explorer.progression import state
from legato.explorer.session import Member, Session
from legato.latent_space import LatentSpace
from legato.loading import load
from legato.pythae.saved import CLASSES, shapes
from legato.report.trained.training import loss_figure, training_table
from legato.trace import NOTHING

SHAPE, D, VALUES = (1, 8, 8), 3, 64
ROUNDING = 1e-6
OWN: dict[str, dict[str, Any]] = {
    "AE": {},
    "VAE": {},
    "VAE bce": {"reconstruction_loss": "bce"},
    "BetaVAE": {"beta": 2.5},
    "BetaVAE bce": {"beta": 2.5, "reconstruction_loss": "bce"},
    "VAMP": {"number_components": 6},
    "VAMP bce": {"number_components": 6, "reconstruction_loss": "bce"},
    "VQVAE": {"num_embeddings": 7},
    "VQVAE averaged": {"num_embeddings": 7, "use_ema": True},
}
GAUSSIAN = [name for name in OWN if name.split()[0] not in ("AE", "VQVAE")]


@pytest.fixture(scope="module")
def models() -> Any:
    """The classes of Pythae itself, whose import warns."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("pythae.models", reason="no Pythae: make peers, PYTHONPATH=.venv/peers")


@pytest.fixture(scope="module")
def theirs(models, tmp_path_factory):
    """name -> the model and its folder; weights so large that every unit is on for some images and off for others."""
    folder = tmp_path_factory.mktemp("pythae")

    def make(name: str) -> tuple[Any, Path]:
        kind = name.split()[0]
        torch.manual_seed(1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = getattr(models, f"{kind}Config")(input_dim=SHAPE, latent_dim=D, **OWN[name])
            model = getattr(models, kind)(said).eval()
            with torch.no_grad():
                for one in model.state_dict().values():
                    one.copy_(2 * one + 0.02 * torch.randn_like(one))
                if kind == "VQVAE":
                    rows = model.quantizer.embeddings
                    getattr(rows, "weight", rows).copy_(0.3 * torch.randn(7, 1))
            model.save(str(folder / name))
        return model, folder / name

    return make


def images(name: str = "") -> np.ndarray:
    """(40, 1, 8, 8), grey in [0, 1]; where a cross-entropy was trained, 0 and 1."""
    grey = np.random.default_rng(0).random((40, *SHAPE)).astype(np.float32)
    return (grey > 0.5).astype(np.float32) if "bce" in name else grey


@pytest.mark.parametrize("name", OWN)
@torch.no_grad()
def test_codes_and_pictures_are_pythaes_own(name, theirs):
    model, folder = theirs(name)
    space, x = legato.from_pythae(folder), images(name)
    said = model.encoder(torch.from_numpy(x))
    mu, sigma = space.encode(x)
    if not name.startswith("VQVAE"):
        assert_allclose(mu, said.embedding, atol=ROUNDING)
        assert mu.std(0).min() > 0.05  # no image's code is another's
    if "log_covariance" in said:
        assert_allclose(2 * np.log(sigma), said.log_covariance, atol=ROUNDING)
    else:
        assert not sigma.any()
    assert_allclose(space.decode(mu), model.decoder(torch.from_numpy(mu)).reconstruction, atol=ROUNDING)
    if space.has_width:
        return  # Pythae's `reconstruct` decodes a draw
    with torch.random.fork_rng():
        assert_allclose(space.reconstruct(x), model.reconstruct(torch.from_numpy(x)), atol=ROUNDING)


@pytest.mark.parametrize("name", ["VQVAE", "VQVAE averaged"])
@torch.no_grad()
def test_the_words_that_are_chosen_are_pythaes_own(name, theirs):
    model, folder = theirs(name)
    space, x = legato.from_pythae(folder), torch.from_numpy(images())
    chosen = model.forward({"data": x}).quantized_indices.flatten(1)
    assert len(chosen.unique()) > 3
    encoded = space.model.latent.encode(x)
    assert torch.equal(encoded.index.flatten(1), chosen)
    # Each of D numbers is a word of 7, all as likely: Pythae has no such price.
    assert_allclose(space.model(x).kl, D * math.log(7), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in OWN if not name.startswith("VQVAE")])
@torch.no_grad()
def test_nats_are_pythaes_losses_but_for_a_gaussians_constant(name, theirs):
    model, folder = theirs(name)
    space, x = legato.from_pythae(folder), torch.from_numpy(images(name))
    said = model.encoder(x)
    if name == "AE":
        loss = model.loss_function(model.decoder(said.embedding).reconstruction, x)
        found = -space.model.likelihood(said.embedding, NOTHING).log_prob(x).mean()
        assert_allclose(found, loss + VALUES / 2 * math.log(math.pi), rtol=1e-6)  # −log N(x; x̂, ½)
        return
    noise = torch.randn(len(x), D, generator=torch.Generator().manual_seed(3))
    z = said.embedding + (0.5 * said.log_covariance).exp() * noise
    given = {"epoch": 1} if name.startswith("VAMP") else {}
    parts = model.loss_function(model.decoder(z).reconstruction, x, said.embedding, said.log_covariance, z, **given)
    constant = 0 if "bce" in name else VALUES / 2 * math.log(2 * math.pi)
    assert_allclose(-space.model.likelihood(z, NOTHING).log_prob(x).mean(), parts[1] + constant, rtol=1e-6)
    if not name.startswith("VAMP"):
        assert_allclose(space.model(x).kl.mean(), parts[2], rtol=1e-4, atol=1e-5)
        assert space.beta == OWN[name].get("beta", 1.0)


@pytest.mark.parametrize("name", ["VAMP", "VAMP bce"])
@torch.no_grad()
def test_a_vamps_prior_is_the_mean_of_pythaes_posteriors_of_its_pseudo_inputs(name, theirs):
    model, folder = theirs(name)
    space = legato.from_pythae(folder)
    inputs = model.pseudo_inputs(model.idle_input).reshape(6, *SHAPE)
    assert inputs.min() == 0 < inputs.max()  # some are cut off
    assert_allclose(space.model.latent.p.examples, inputs, atol=ROUNDING)
    said = model.encoder(inputs)
    mu, sigma = said.embedding.double().numpy(), (0.5 * said.log_covariance.double()).exp().numpy()
    z = np.random.default_rng(0).normal(size=(50, D))
    by_formula = logsumexp(norm.logpdf(z[:, None], mu, sigma).sum(2), axis=1) - math.log(6)
    assert_allclose(space.log_prior(z), by_formula, rtol=1e-5, atol=1e-5)
    # Pythae leaves the constant out, as of log q: its difference of the two is the same.
    assert_allclose(by_formula, model._log_p_z(torch.from_numpy(z).float()) - D / 2 * math.log(2 * math.pi), rtol=1e-5)


@pytest.mark.parametrize("name", ["AE", "VAE bce", "VAMP", "VQVAE"])
def test_a_run_of_it_is_one_that_every_command_takes(name, theirs, sources, tmp_path, capsys):
    model, folder = theirs(name)
    run, data = str(tmp_path / "run"), str(sources["grey"])
    command = ["convert", str(folder), "--data", data, "--out", run]
    assert cli.run(command) == 0, capsys.readouterr().err
    assert cli.run(command) == 2  # it holds a run already
    assert cli.run([*command, "--overwrite"]) == 0
    for asked in (["sample"], ["reconstruct"], ["traverse"], ["encode"], ["evaluate", "--k", "25", "--limit", "40"]):
        assert cli.run([asked[0], run, *asked[1:]]) == 0, capsys.readouterr().err
    assert cli.run(["train", "--resume", "--out", run]) == 2
    assert "is finished: all 0 steps are done" in capsys.readouterr().err
    space = load(run)
    rows = space.data().split("test").all()
    mu, _ = space.encode(space.data().dataset.take(rows), rows)
    if name != "VQVAE":
        with torch.no_grad():  # pixels are drawn where the likelihood is of drawn ones
            assert_allclose(mu, model.encoder(torch.from_numpy(space.data().rows(rows))).embedding, atol=ROUNDING)
    assert space.moments().mean.shape == (D,)
    assert state(space.run) == "finished"
    session = Session([Member(tmp_path / "run", load)], Catalogue(space.data(), 100))
    assert session.description() is not None


def test_a_report_says_whose_model_it_was_and_draws_no_training(theirs, sources, tmp_path):
    _, folder = theirs("VAE")
    space = legato.from_pythae(folder, sources["grey"], tmp_path / "run")
    subject = SimpleNamespace(space=space, title="one")
    assert loss_figure([subject]) is None
    assert f"Pythae's VAE of `{folder}`" in str(training_table([subject]).rows)
    assert f"Pythae's VAE of `{folder}`" in repr(space)


def test_an_array_in_memory_becomes_a_run_that_knows_its_data(theirs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, folder = theirs("AE")
    grey = (255 * images()).round().astype(np.uint8)
    space = legato.from_pythae(folder, grey)
    assert str(space.run) == "runs/autoencoder-1"
    assert space.sample(3).shape == (3, *SHAPE)  # from the codes, since no prior was trained for
    assert_allclose(space.encode(space.data().dataset.take(np.arange(5)))[0], space.encode(grey[:5])[0], atol=ROUNDING)


# ------------------------------------------------------------------------------------------------ files written here


def written(folder: Path, kind: str = "VAE", said: dict[str, Any] | None = None, **changed: Any) -> Path:
    """A folder as Pythae writes it, of small random weights; `changed`: weights by name, None: left out."""
    torch.manual_seed(0)
    folder.mkdir()
    more: dict[str, Any] = {"reconstruction_loss": "mse"}
    more |= {"AE": {}, "VAMP": {**more, "number_components": 4}, "BetaVAE": {**more, "beta": 2.0}}.get(kind, more)
    if kind == "VQVAE":
        more = {"num_embeddings": 5, "use_ema": False, "commitment_loss_factor": 0.25}
    content = {"name": f"{kind}Config", "input_dim": SHAPE, "latent_dim": D, **more}
    content |= {"uses_default_encoder": True, "uses_default_decoder": True}
    weights = {name: 0.1 * torch.randn(shape) for name, shape in shapes(kind, content).items()} if kind in CLASSES else {}
    weights = {name: one for name, one in (weights | changed).items() if one is not None}
    (folder / "model_config.json").write_text(json.dumps(content | (said or {})), encoding="utf-8")
    torch.save({"model_state_dict": weights}, folder / "model.pt")
    return folder


class Planted:
    """A pickle that runs a command when it is read."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.place),)


def spoil(folder: Path, how: str) -> None:
    """One thing of a good folder is made bad."""
    weights, config = folder / "model.pt", folder / "model_config.json"
    whole = torch.load(weights, weights_only=True)
    if how == "planted":
        torch.save({**whole, "extra": Planted(folder / "was here")}, weights)
    elif how == "planted, an old file":
        torch.save({**whole, "extra": Planted(folder / "was here")}, weights, _use_new_zipfile_serialization=False)
    elif how == "cut short":
        weights.write_bytes(weights.read_bytes()[:-500])
    elif how == "packed":
        with zipfile.ZipFile(weights) as old, zipfile.ZipFile(folder / "new", "w", zipfile.ZIP_DEFLATED) as new:
            for name in old.namelist():
                new.writestr(name, old.read(name))
        (folder / "new").rename(weights)
    elif how == "far too large":
        torch.save({**whole, "extra": torch.zeros(1_000_000)}, weights)
    elif how == "no weights":
        weights.unlink()
    elif how == "a list":
        torch.save([1, 2], weights)
    elif how == "no configuration":
        config.unlink()
    elif how == "no JSON":
        config.write_text("{", encoding="utf-8")
    elif how == "a net of one's own":
        (folder / "encoder.pkl").write_bytes(b"")


@pytest.mark.parametrize(
    ("how", "told"),
    {
        "planted": "holds no weights as Pythae saves them",
        "planted, an old file": "File is not a zip file",
        "cut short": "holds no weights as Pythae saves them",
        "packed": "its parts are compressed",
        "far too large": "bytes, where its configuration needs",
        "no weights": "is missing",
        "a list": "it holds no `model_state_dict`",
        "no configuration": "holds no model_config.json",
        "no JSON": "is damaged",
        "a net of one's own": "no code is unpickled",
    }.items(),
)
def test_a_folder_that_is_none_is_refused_in_a_line_and_nothing_in_it_is_run(how, told, tmp_path, capsys):
    folder = written(tmp_path / "saved")
    legato.from_pythae(folder)  # before it is spoilt
    spoil(folder, how)
    assert cli.run(["convert", str(folder), "--data", "mnist", "--out", str(tmp_path / "run")]) == 2
    line = capsys.readouterr().err
    assert told in line
    assert line.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["saved"]
    assert not (folder / "was here").exists()


def test_what_is_planted_does_run_where_a_pickle_is_trusted(tmp_path):
    """Without this the test above could pass of a pickle that does nothing."""
    folder = written(tmp_path / "saved")
    spoil(folder, "planted")
    torch.load(folder / "model.pt", weights_only=False)
    assert (folder / "was here").is_dir()


def test_a_file_with_a_byte_that_is_another_is_read_or_refused_in_a_line(tmp_path):
    folder = written(tmp_path / "saved", kind="AE")
    whole, rng = (folder / "model.pt").read_bytes(), np.random.default_rng(0)
    names = [at for at in range(len(whole)) if whole[at : at + 2] == b"PK"]  # of the archive's own records
    refused = []
    for trial in range(150):
        at = int(rng.choice(names) + rng.integers(0, 60)) if trial % 2 else int(rng.integers(0, 3000))
        at = min(at, len(whole) - 1)
        (folder / "model.pt").write_bytes(whole[:at] + bytes([rng.integers(0, 256)]) + whole[at + 1 :])
        try:
            legato.from_pythae(folder)
        except Mistake as refusal:
            refused.append(str(refusal))
    assert len(refused) > 100
    assert not [line for line in refused if "\n" in line]


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (partial(written, kind="HVAE"), "is Pythae's HVAE, and AE, VAE, BetaVAE, VAMP, VQVAE are converted"),
        (partial(written, said={"latent_dim": 4}), "of shape (3, 512), expected real numbers of (4, 512)"),
        (partial(written, said={"latent_dim": 0}), "`latent_dim` must be a whole number from 1"),
        (partial(written, said={"input_dim": None}), "`input_dim` must be a list"),
        (partial(written, said={"reconstruction_loss": "l1"}), "must be one of mse, bce"),
        (partial(written, said={"uses_default_decoder": False}), "a net of one's own"),
        (partial(written, **{"encoder.log_var.bias": None}), "`encoder.log_var.bias` is not in it"),
        (partial(written, more=torch.zeros(3)), "`more` is no part of such a model"),
        (partial(written, **{"encoder.log_var.bias": torch.zeros(4)}), "of shape (4,), expected real numbers of (3,)"),
        (partial(written, **{"encoder.log_var.bias": torch.zeros(3, dtype=torch.int64)}), "is torch.int64"),
        (partial(written, **{"encoder.log_var.bias": torch.full((3,), math.nan)}), "holds NaN or infinite values"),
        (partial(written, **{"encoder.log_var.bias": "text"}), "is no plain tensor"),
        (partial(written, kind="VAMP", said={"number_components": 5}), "pseudo_inputs.0.weight"),
        (partial(written, kind="VQVAE", said={"use_ema": True}), "`quantizer.cluster_size` is not in it"),
    ],
)
def test_what_does_not_fit_is_told_by_its_name(make, told, tmp_path):
    folder = make(tmp_path / "saved")
    with pytest.raises(Mistake) as refusal:
        legato.from_pythae(folder)
    line = str(refusal.value)
    assert "\n" not in line
    assert told in line


def test_the_folder_that_its_trainer_made_is_told_of(tmp_path):
    written(tmp_path / "trained")
    (tmp_path / "trained").rename(tmp_path / "final_model")
    with pytest.raises(Mistake, match=r"its trainer put the model into `.*final_model`"):
        legato.from_pythae(tmp_path)


def test_data_of_another_shape_or_kind_leave_no_run(sources, tmp_path):
    folder = written(tmp_path / "saved")
    for data, told in (("mnist", r"is of shape \(1, 8, 8\), `mnist` has \(1, 28, 28\)"), (images(), "holds real numbers")):
        with pytest.raises(Mistake, match=told):
            legato.from_pythae(folder, data, tmp_path / "run")
    with pytest.raises(Mistake, match="option of data"):
        legato.from_pythae(folder, sources["grey"], tmp_path / "run", latent_dim=3)
    with pytest.raises(Mistake, match="give `data`"):
        legato.from_pythae(folder, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_cross_entropy_is_of_drawn_pixels_or_a_density_of_grey_ones(tmp_path):
    folder = written(tmp_path / "saved", said={"reconstruction_loss": "bce"})
    drawn, grey = legato.from_pythae(folder), legato.from_pythae(folder, likelihood="continuous-bernoulli")
    with pytest.raises(Mistake, match="expected 0 and 1"):
        drawn.encode(images())
    assert_allclose(grey.encode(images("bce"))[0], drawn.encode(images("bce"))[0])
    assert grey.encode(images())[0].shape == (40, D)
    logits = torch.randn(5, D)
    assert torch.equal(drawn.model.likelihood.net(logits), grey.model.likelihood.net(logits))
    with pytest.raises(Mistake, match="trained on squared errors"):
        legato.from_pythae(written(tmp_path / "squared"), likelihood="bernoulli")


def test_a_model_in_memory_draws_from_its_prior_and_asks_for_what_it_lacks(tmp_path):
    space = legato.from_pythae(written(tmp_path / "saved"))
    assert isinstance(space, LatentSpace)
    assert space.sample(4).shape == (4, *SHAPE)
    assert space.score(images(), k=5).shape == (40,)
    # bytes are divided by 255, as Pythae's users do
    whole = (255 * images()).round().astype(np.uint8)
    assert_allclose(space.encode(whole)[0], space.encode(whole / np.float32(255))[0], atol=ROUNDING)
    with pytest.raises(Mistake, match="nothing tells how its codes are spread: give `data`"):
        space.draw(3, origin="codes")
    with pytest.raises(Mistake, match="say which data to use"):
        space.data()


# ------------------------------------------------------------------------------------------------ what the page says of Pythae


@pytest.fixture
def made(models):
    """One of Pythae's models at its start, in double precision."""

    def make(name: str, config: str = "", **said: Any) -> Any:
        torch.manual_seed(0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return getattr(models, name)(getattr(models, config or f"{name}Config")(input_dim=SHAPE, **said)).double()

    return make


def drawn_images() -> torch.Tensor:
    return torch.from_numpy(images()).double()


def test_there_a_critics_loss_reaches_the_encoder(made):
    def of_the_encoder(model: Any) -> float:
        loss = model.float()({"data": drawn_images().float()}).discriminator_loss
        found = torch.autograd.grad(loss, [*model.encoder.parameters()], allow_unused=True)
        return sum(float(one.abs().sum()) for one in found if one is not None)

    assert of_the_encoder(made("FactorVAE", latent_dim=D)) > 0.1
    assert of_the_encoder(made("Adversarial_AE", "Adversarial_AE_Config", latent_dim=D)) == 0


def test_there_a_vae_gans_decoder_helps_the_critic(made):
    model = made("VAEGAN", latent_dim=D)
    found, weights = model.float()({"data": drawn_images().float()}), [*model.decoder.parameters()]
    critics = torch.autograd.grad(found.discriminator_loss, weights, retain_graph=True)
    # In the order of its trainer, whose optimisers forget their own side's gradients alone.
    for loss, side in ((found.encoder_loss, model.encoder), (found.decoder_loss, model.decoder)):
        side.zero_grad()
        loss.backward(retain_graph=True)
    own = sum(float((w.grad * g).sum()) for w, g in zip(weights, critics, strict=True))
    model.discriminator.zero_grad()
    found.discriminator_loss.backward()
    whole = sum(float((w.grad * g).sum()) for w, g in zip(weights, critics, strict=True))
    assert own < 0 < whole


def test_there_the_leapfrog_does_not_keep_the_volume(made):
    model = made("HVAE", latent_dim=2, n_lf=1, eps_lf=0.3, beta_zero=1.0)
    with torch.no_grad():
        for weight in model.parameters():
            weight.mul_(3)
    x = drawn_images()[:1]

    def step(state: torch.Tensor) -> torch.Tensor:
        """Its `forward`, line by line."""
        z, rho = state[None, :2].requires_grad_(), state[None, 2:]
        half = rho - (model.eps_lf / 2) * model._dU_dz(z, x)
        further = z + model.eps_lf * rho  # not of `half`
        return torch.cat([further, half - (model.eps_lf / 2) * model._dU_dz(further, x)], 1)[0].detach()

    start, each = torch.randn(4).double(), 1e-5 * torch.eye(4).double()
    jacobian = torch.stack([(step(start + one) - step(start - one)) / 2e-5 for one in each], 1)
    assert abs(torch.linalg.det(jacobian).item() - 1) > 0.1


def test_there_stratified_weights_lie_down_a_column(made):
    weights = made("BetaTCVAE", latent_dim=D)._log_importance_weight_matrix(5, 100).exp()
    assert_allclose(weights[[0, 1, 2, 4], 0], 1 / 100, rtol=1e-5)  # of N = 100; one is set by itself
    assert_allclose(weights.diagonal()[2:], 1 / 4, rtol=1e-5)


def test_there_an_iwaes_loss_is_no_bound(made):
    model = made("IWAE", latent_dim=D, number_samples=8)
    log_w = torch.randn(3, 8).double()
    # A pixel's half square of −2 log w, at a code whose rate is 0.
    x, flat = torch.zeros(3, *SHAPE).double(), torch.zeros(3, 8, VALUES).double()
    flat[:, :, 0] = (-2 * (log_w - log_w.max())).sqrt()
    nothing = torch.zeros(3, 8, D).double()
    loss, *_ = model.loss_function(flat, x, nothing, nothing, nothing)
    shares = torch.softmax(log_w, 1)
    assert_allclose(-loss, (shares * (log_w - log_w.max())).sum(1).mean())
    bound = torch.logsumexp(log_w - log_w.max(), 1).mean() - math.log(8)
    assert -loss > bound + 0.1


def test_there_a_vamps_samples_take_pseudo_inputs_in_order(made, models, monkeypatch):
    from pythae.samplers import VAMPSampler

    model = made("VAMP", latent_dim=D, number_components=6).float()
    asked = []
    encode = model.encoder.forward
    monkeypatch.setattr(model.encoder, "forward", lambda x: (asked.append(x), encode(x))[1])
    sampler = VAMPSampler(model)
    sampler.sample(2)
    sampler.sample(2)
    assert torch.equal(asked[0], asked[1])
