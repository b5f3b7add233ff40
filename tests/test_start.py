"""Trainings that begin at weights which are there, and models that go to diffusers and come back."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import legato
from legato import cli
from legato.autoencoder_kl import config_of, state_of
from legato.definition import define
from legato.errors import Mistake, Stopped
from legato.exported import write_diffusers
from legato.run import Run
from legato.setting import DataSpec
from legato.tensors import read_tensors
from legato.training.start import start_of
from made_runs import SMALL
from stopped_runs import assert_same, resume, stopping_after

TOKENS: dict[str, Any] = {**SMALL, "latent_dim": 2, "downsampling": 2, "width": 4, "depth": 1, "steps": 12, "snapshots": 2}
COLOUR = DataSpec((3, 8, 8), "bytes", "discretized-logistic")

pytestmark = pytest.mark.usefixtures("alone")


def trained(sources: dict[str, Path], out: Path, recipe: str = "tokenizer_kl", **other: Any) -> Path:
    legato.train(recipe, str(sources["colour"]), out, **{**TOKENS, "net": "diffusers", **other})
    return out


@pytest.fixture(scope="module")
def first(sources, tmp_path_factory) -> Path:
    return trained(sources, tmp_path_factory.mktemp("first") / "r")


@pytest.fixture(scope="module")
def words(sources, tmp_path_factory) -> Path:
    """A codebook, whose rows follow the encoder without a gradient."""
    return trained(sources, tmp_path_factory.mktemp("words") / "r", "tokenizer_vq", net="strided", codebook_size=16)


def pictures(sources: dict[str, Path]) -> np.ndarray:
    return np.load(sources["colour"])["images"][:20].transpose(0, 3, 1, 2)


# ------------------------------------------------------------------------------------------------- the decoder alone


@pytest.mark.parametrize("name", ["first", "words"])
def test_a_frozen_encoder_gives_the_same_codes_to_the_last_bit(name, request, sources, tmp_path):
    begun = request.getfixturevalue(name)
    made = legato.load(begun, device="cpu").definition
    other = {"net": made.words.net, **({"codebook_size": 16} if name == "words" else {})}
    out = trained(sources, tmp_path / "r", made.name, start=str(begun), freeze="encoder", learning_rate=0.01, **other)
    before, after = (read_tensors(Run(path).model) for path in (begun, out))
    still = {key for key in before if torch.equal(before[key], after[key])}
    assert {key for key in before if key.startswith("latent.")} <= still
    assert {key for key in before if key.startswith("likelihood.net.") and key.endswith("weight")}.isdisjoint(still)
    one, other = (legato.load(path, device="cpu") for path in (begun, out))
    assert all(map(np.array_equal, one.encode(pictures(sources)), other.encode(pictures(sources))))
    assert other.distortion(pictures(sources)).mean() < one.distortion(pictures(sources)).mean()
    stored = Run(out).stored("training")
    assert (stored["freeze"], stored["start"]) == ("encoder", str(begun))
    assert stored["asked"]["start"] == str(begun)


def test_a_start_is_the_very_weights_of_model_and_average(first, sources, tmp_path):
    """A step of no length leaves all as it was."""
    out = trained(sources, tmp_path / "r", start=str(first), steps=1, learning_rate=1e-12)
    before, after = (read_tensors(Run(path).model) for path in (first, out))
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[key], after[key], atol=1e-9) for key in before)


@pytest.mark.parametrize("kept", [True, False])
def test_what_was_stopped_goes_on_as_if_it_never_had_been(kept, first, sources, tmp_path):
    """From a checkpoint, or from the start again where none was written before the process was killed."""
    said = {"start": str(first), "freeze": "encoder"}
    whole = trained(sources, tmp_path / "whole", **said)
    with stopping_after(5), pytest.raises(Stopped):
        trained(sources, tmp_path / "r", **said)
    if not kept:
        shutil.rmtree(tmp_path / "r" / "checkpoint")
    assert resume(tmp_path / "r") == 0
    assert_same(tmp_path / "r", whole)


def test_weights_that_are_no_longer_those_are_refused_where_a_run_begins_again(first, sources, tmp_path):
    begun = tmp_path / "begun"
    shutil.copytree(first, begun)
    with stopping_after(1), pytest.raises(Stopped):
        trained(sources, tmp_path / "r", start=str(begun))
    shutil.rmtree(tmp_path / "r" / "checkpoint")
    shutil.rmtree(begun)
    trained(sources, begun, seed=4)
    assert resume(tmp_path / "r") == 2


def test_resuming_with_another_start_is_refused(first, words, sources, tmp_path, capsys):
    with stopping_after(1), pytest.raises(Stopped):
        trained(sources, tmp_path / "r", start=str(first))
    assert resume(tmp_path / "r", "--start", str(words)) == 2
    assert "--start is" in capsys.readouterr().err


def test_a_decoder_on_which_codes_hang_cannot_be_trained_alone(sources, tmp_path):
    with pytest.raises(Mistake, match="codes of this recipe hang on its decoder"):
        legato.train("hamiltonian_vae", str(sources["grey"]), tmp_path / "r", **SMALL, freeze="encoder")
    assert not (tmp_path / "r").exists()


# ------------------------------------------------------------------------------------------------- what cannot begin


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        ({"width": 8}, "cannot begin this model: `.*` has the shape .* there and .* here"),
        ({"net": "strided"}, "cannot begin this model: it (lacks|has) `.*`, and .* more differ"),
    ],
)
def test_names_and_shapes_that_differ_are_told_in_one_sentence(other, sentence, first, sources, tmp_path):
    with pytest.raises(Mistake, match=sentence) as refusal:
        trained(sources, tmp_path / "r", start=str(first), **other)
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "r").exists()


def test_what_is_no_run_and_no_autoencoder_is_refused(tmp_path):
    for content, sentence in (
        (None, "no RUN and no folder of diffusers'"),
        ({"_class_name": "UNet2DModel"}, "holds a UNet2DModel: expected an AutoencoderKL"),
        ({"_class_name": "AutoencoderKL", "in_channels": "three"}, "is damaged"),
        ("[" * 5000, "is damaged"),
    ):
        folder = tmp_path / "some"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        if content is not None:
            (folder / "config.json").write_text(content if isinstance(content, str) else json.dumps(content))
            (folder / "diffusion_pytorch_model.safetensors").write_bytes(b"\x08\0\0\0\0\0\0\0{}      ")
        with pytest.raises(Mistake, match=sentence) as refusal:
            start_of(str(folder))
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"latent_channels": 3}, "its `latent_channels` is 3, here it is 2: give --latent-dim"),
        ({"norm_num_groups": 2}, "its `norm_num_groups` is 2, here it is 4"),
        ({"act_fn": "relu"}, "its `act_fn` is relu, here it is silu"),
        ({"down_block_types": ["AttnDownEncoderBlock2D"]}, "it has blocks `AttnDownEncoderBlock2D`"),
    ],
)
def test_an_autoencoder_of_another_make_is_refused_by_what_differs(said, sentence, first, sources, tmp_path):
    write_diffusers(legato.load(first, device="cpu"), tmp_path / "d")
    config = json.loads((tmp_path / "d" / "config.json").read_text())
    (tmp_path / "d" / "config.json").write_text(json.dumps(config | said))
    with pytest.raises(Mistake, match=sentence):
        trained(sources, tmp_path / "r", start=str(tmp_path / "d"))


# ------------------------------------------------------------------------------------------------- diffusers, there and back


def linked(folder: Path, to: Path) -> Path:
    """A folder of links to blobs elsewhere, as a hub's cache is."""
    to.mkdir()
    for number, file in enumerate(sorted(folder.iterdir())):
        blob = to.parent / f"blob{number}"
        shutil.copy(file, blob)
        (to / file.name).symlink_to(blob)
    return to


@pytest.mark.parametrize("likelihood", ["gaussian", "discretized-logistic"])
def test_a_folder_that_was_exported_is_the_model_again(likelihood, sources, tmp_path):
    """Through links; of a likelihood that has a scale for each value only the mean goes there, and so nothing comes back."""
    one = trained(sources, tmp_path / "one", likelihood=likelihood)
    write_diffusers(legato.load(one, device="cpu"), tmp_path / "d")
    start = str(linked(tmp_path / "d", tmp_path / "links"))
    if likelihood != "gaussian":
        with pytest.raises(Mistake, match="has the shape"):
            trained(sources, tmp_path / "r", start=start, likelihood=likelihood)
        return
    out = trained(sources, tmp_path / "r", start=start, steps=1, learning_rate=1e-12)
    before, after = (legato.load(path, device="cpu") for path in (one, out))
    x = pictures(sources)
    for a, b in zip(before.encode(x), after.encode(x), strict=True):
        assert np.abs(a - b).max() < 1e-5
    assert np.abs(before.reconstruct(x) - after.reconstruct(x)).max() < 1e-5


@pytest.mark.parametrize(
    ("recipe", "chosen", "sentence"),
    [
        ("tokenizer_kl", {"net": "strided"}, "a net of its own, and this model has another: train it with --net diffusers"),
        ("tokenizer_vq", {}, "codes of this model are no such: use tokenizer_kl"),
        ("tokenizer_kl", {"likelihood": "bernoulli"}, "--likelihood gaussian"),
        ("vae", {"downsampling": None}, "--net diffusers"),
    ],
)
def test_what_diffusers_has_no_class_for_is_refused_in_a_sentence(recipe, chosen, sentence):
    words = {"latent_dim": 2, "downsampling": 2, "width": 4, "net": "diffusers", **chosen}
    words = {name: value for name, value in words.items() if value is not None}
    model = define(recipe, COLOUR, **(words if recipe != "vae" else {"latent_dim": 2})).build(COLOUR).model
    with pytest.raises(Mistake, match=sentence) as refusal:
        state_of(model)
    assert "\n" not in str(refusal.value)


def test_the_net_of_diffusers_asks_for_images_on_both_sides_and_even_halves():
    for recipe, chosen, sentence in (
        ("vae", {}, "needs images, .* on both sides"),
        ("tokenizer_kl", {"depth": 0, "downsampling": 2}, "`depth` of `diffusers` is 1 or more"),
        ("vae", {"latent_shape": (2, 3, 3), "latent_dim": None}, "8,8 does not come to 3,3"),
    ):
        words = {name: value for name, value in {"latent_dim": 2, "net": "diffusers", **chosen}.items() if value is not None}
        with pytest.raises(Mistake, match=sentence):
            define(recipe, COLOUR, **words).build(COLOUR)


@pytest.mark.filterwarnings("ignore")  # of diffusers' own
@pytest.mark.parametrize("likelihood", ["gaussian", "discretized-logistic"])
def test_diffusers_loads_the_folder_and_says_what_the_model_does(likelihood, sources, tmp_path, capsys):
    diffusers = pytest.importorskip("diffusers")
    run = trained(sources, tmp_path / "r", likelihood=likelihood, downsampling=4)
    assert cli.run(["export", str(run), "--format", "diffusers", "--out", str(tmp_path / "d")]) == 0
    assert "scaling_factor" in capsys.readouterr().out
    theirs, missing = diffusers.AutoencoderKL.from_pretrained(tmp_path / "d", output_loading_info=True)
    assert not any(missing[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    space, x = legato.load(run, device="cpu"), torch.from_numpy(pictures(sources) / np.float32(255))
    with torch.no_grad():
        q, mine = theirs.eval().encode(2 * x - 1).latent_dist, space.model.latent.posterior(x)
        assert (q.mean - mine.mean).abs().max() < 1e-5
        assert (q.std / mine.stddev - 1).abs().max() < 1e-5
        decoded = (theirs.decode(q.mean).sample + 1) / 2
        # a logistic's middle is told within the range of pixels
        decoded = decoded.clamp(0, 1) if likelihood == "discretized-logistic" else decoded
        assert (decoded - space.model.reconstruct(x)).abs().max() < 1e-5
    known = read_tensors(Run(run).codes)
    square = known["covariance"].diagonal().mean() + known["mean"].var(correction=0)
    assert theirs.config.scaling_factor == pytest.approx(1 / math.sqrt(square), rel=1e-6)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("plain", [{}, {"use_quant_conv": False, "use_post_quant_conv": False}])
def test_a_training_begins_at_an_autoencoder_that_diffusers_made(plain, sources, tmp_path):
    """Of one that has no convolutions at its code, too, as newer ones have not."""
    diffusers = pytest.importorskip("diffusers")
    model = define("tokenizer_kl", COLOUR, latent_dim=2, downsampling=4, width=4, depth=1, net="diffusers").build(COLOUR).model
    config = {name: value for name, value in config_of(model).items() if name != "_class_name"} | plain
    torch.manual_seed(3)
    theirs = diffusers.AutoencoderKL(**config).eval()
    theirs.save_pretrained(tmp_path / "d")
    out = trained(sources, tmp_path / "r", start=str(tmp_path / "d"), steps=1, learning_rate=1e-12, downsampling=4)
    space, x = legato.load(out, device="cpu"), torch.from_numpy(pictures(sources) / np.float32(255))
    with torch.no_grad():
        q, mine = theirs.encode(2 * x - 1).latent_dist, space.model.latent.posterior(x)
        assert (q.mean - mine.mean).abs().max() < 1e-5
        assert (q.std / mine.stddev - 1).abs().max() < 1e-5
        assert ((theirs.decode(q.mean).sample + 1) / 2 - space.model.reconstruct(x)).abs().max() < 1e-5
