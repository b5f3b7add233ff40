"""`legato doctor`: the table, the page and the JSON of a RUN and of others' models; advice and answers by their rules."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace

import audits
import doctor_page
import numpy as np
import pytest
import torch

import legato
from faulted import healthy, pictures
from legato import cli
from legato.doctor.advice import advice, advised
from legato.doctor.checkup import checkup
from legato.doctor.diagnosis import Kind, diagnosis
from legato.doctor.examinations import EXAMINATIONS
from legato.doctor.found import Found
from legato.doctor.known import RULES
from legato.doctor.patient import QUICK, Patient
from legato.errors import Mistake
from legato.measured import parts_of, rows_of
from legato.measures.estimate import Estimate
from legato.survey.adaptors import space_of, subject_of
from legato.survey.named import named

SMALL = replace(QUICK, train=240, test=100, samples=120, outer=100, noisy=30, places=6, halves=3, judged=100)
KEYS = [key for one in EXAMINATIONS for key in one.keys]


@pytest.fixture(autouse=True, scope="module")
def _alone():
    torch.set_num_threads(1)


def figure(value, low=None, high=None) -> Estimate:
    return Estimate(value, low, high, 100, "", "")


# ------------------------------------------------------------------------------------------------ advice


def test_every_figure_has_a_rule_and_every_rule_a_figure():
    assert sorted(RULES) == sorted(set(KEYS))
    assert len(KEYS) == len(set(KEYS))


def test_the_whole_interval_decides():
    tones = {ends: advice("dead channels", figure(sum(ends) / 2, *ends)).tone for ends in ((0, 0), (1, 2), (0, 1), (0.2, 0.8))}
    assert tones == {(0, 0): "good", (1, 2): "bad", (0, 1): "unknown", (0.2, 0.8): "part"}
    more = {ends: advice("trustworthiness", figure(sum(ends) / 2, *ends)).tone for ends in ((0.9, 1), (0.4, 0.5), (0.7, 0.9))}
    assert more == {(0.9, 1): "good", (0.4, 0.5): "bad", (0.7, 0.9): "part"}


def test_what_is_judged_over_a_control_takes_the_widest_of_both_intervals():
    control = figure(1.0, 0.5, 2.0)
    assert advice("uneven density", figure(3.1, 3.0, 3.2), control).tone == "unknown"
    assert advice("uneven density", figure(3.1, 3.0, 3.2), figure(1.0, 1.0, 1.0)).tone == "bad"
    assert advice("uneven density", figure(3.1, 3.0, 3.2)).tone is None
    assert advice("probe", figure(0.9, 0.85, 0.95), figure(0.1)).tone == "good"
    assert advice("probe", figure(0.12, 0.1, 0.13), figure(0.1)).tone == "bad"


def told(figures, **kind):
    found = Found({key: figure(*ends) for key, ends in figures.items()})
    return diagnosis(Kind(**kind), found, advised(found))


def test_the_answers_follow_the_samples():
    well = told({"samples of the prior": (1.2, 1.1, 1.3)})
    assert (well.tone, well.prior.split(":")[0]) == ("good", "N(0, I), as it is")
    fitted = told(
        {"samples of the prior": (40, 30, 50), "samples of a Gaussian": (1.5, 1.4, 1.6), "told from prior": (1, 1, 1)}, run="r"
    )
    assert fitted.tone == "bad"
    assert "A classifier tells codes from the prior's draws" in fitted.sampled
    assert fitted.prior.startswith("A Gaussian fitted to the codes")
    assert "`legato refit r --prior gaussian`" in fitted.prior
    figures = {"samples of the prior": (40, 30, 50), "samples of a Gaussian": (1.5, 1.4, 1.6)}
    assert told(figures, chosen=True, run="r").prior.endswith("`legato refit r --prior autoregressive`.")  # that which is taken
    blurred = told({"samples of the prior": (1.2, 1.1, 1.3), "reconstructions": (20, 15, 25)})
    assert blurred.tone == "part"
    assert "reconstructions themselves lie 20 [15, 25] times" in blurred.sampled
    assert blurred.prior.startswith("Reconstruct better first")
    in_part = told({"samples of the prior": (1.2, 1.1, 1.3), "reconstructions": (6, 5, 8)})
    assert all(one.training[0].startswith("Reconstruct better first") for one in (blurred, in_part))  # as the answer above it
    none = {"samples of the prior": (40, 30, 50), "samples of a Gaussian": (9, 8, 10)}
    assert "Flow matching over the grid" in told(none, spatial=True).prior
    perhaps = {**none, "samples of a Gaussian": (1.11, 0.61, 2.46)}
    assert told(perhaps, spatial=True).prior.startswith(
        "Perhaps by a Gaussian fitted to the codes, at 1.11 [0.61, 2.46] times: more"
    )
    assert "Else flow matching over the grid" in told(perhaps, spatial=True).prior
    poor = {**none, "samples of a Gaussian": (2.8, 2.1, 3.4)}
    assert told(poor).prior.startswith("Not by those tried: the best, a Gaussian fitted to the codes, is at 2.8")
    assert "autoregressive" in told(none, chosen=True, run="r").prior
    assert told({"told from prior": (0.5, 0.48, 0.52)}).tone == "good"
    assert told({}).tone == "unknown"


def test_what_to_change_is_told_once_and_at_most_five_times():
    found = told(dict.fromkeys(("equivariance to scale", "equivariance to flip", "dead channels"), (5.0, 5.0, 5.0)))
    assert len(found.training) == 2
    assert found.lines()[-2].startswith("What to change in training?")
    everything = {key: (0.0 if rule.fine > rule.poor else 1e6,) * 3 for key, rule in RULES.items() if rule.fine is not None}
    assert len(told(everything).training) == 5


def test_the_tables_of_the_page_are_those_of_the_code():
    page = doctor_page.PAGE.read_text("utf-8")
    assert doctor_page.filled(page) == page


def test_the_audits_find_every_fault_and_raise_no_alarm_on_what_is_right():
    rows = json.loads(audits.RECORD.read_text("utf-8"))["models"]
    assert {name: bool(one["alarms"]) for name, one in rows.items()} == {n: one["kind"] == "fault" for n, one in rows.items()}
    assert [one["alone"] for one in rows.values() if one["kind"] == "right"] == [[], []]
    assert len(rows) == 7
    page = audits.PAGE.read_text("utf-8")
    assert audits.filled(page, rows) == page


# ------------------------------------------------------------------------------------------------ whole


def test_the_command_writes_a_table_a_page_and_json_of_a_run(runs, tmp_path, capsys):
    page, figures = tmp_path / "page.html", tmp_path / "found.json"
    assert cli.run(["doctor", str(runs["shaped"]), "--threads", "1", "--out", str(page), "--json", str(figures)]) == 0
    said = capsys.readouterr().out
    assert "Can it be sampled as it is?" in said
    assert "What to change in training?" in said
    content = json.loads(figures.read_text())
    assert set(content["figures"]) == set(KEYS)
    for key, one in content["figures"].items():
        assert ("why" in one) == (one["value"] is None), key
        assert one["says"]
    assert content["model"]["code"] == [2, 4, 4]
    text = page.read_text("utf-8")
    assert not re.search(r"https?:|url\(|@import|<script", text)
    assert "NaN" not in re.sub(r"base64,[^\"]*", "", text)
    for words in ("Can it be sampled as it is?", "What each prior draws", "Codes as pictures", "The spectrum of the code"):
        assert words in text


@pytest.fixture(scope="module")
def of_functions():
    images = pictures(400)
    model = healthy(images)
    return legato.doctor(
        model.encode, model.decode, images, effort=SMALL, loss=lambda x, rebuilt, mu, v: plain(x, rebuilt, mu, v)
    )


def plain(x, rebuilt, mu, log_variance):
    apart = (rebuilt - x).flatten(1).square()
    kl = 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance)
    return apart.shape[1] * 0.5 * apart.mean().log() + kl.flatten(1).sum(1).mean()


def test_a_pair_of_functions_is_examined_whole(of_functions, tmp_path):
    figures = of_functions.figures
    missing = {key: one.why for key, one in figures.items() if one.value is None}
    few = {"hole 5%", "kernel hole 5%"}  # 400 held-out images or more
    assert set(missing) == {"unused codes", "codes in use", "purity", "probe", "samples of a mixture", *few}
    assert figures["effective beta"].value == pytest.approx(1, rel=1e-6)
    assert all(figures[f"equivariance to {move}"].value < 1e-6 for move in ("scale", "flip", "shift", "turn"))
    assert figures["unsteady encode"].value == 0
    assert "Can it be sampled" in repr(of_functions)
    assert of_functions.report(tmp_path / "page.html", title="functions") < 2_000_000
    assert "functions, examined" in (tmp_path / "page.html").read_text("utf-8")


def taken(model, *titles: str, data=None):
    """Some examinations of a model."""
    space = space_of(model)
    shared = rows_of(parts_of(space, data, None, None), SMALL)
    subject = subject_of(model if space is None else space, shared.test.x[:4], steady=False)
    return checkup(Patient(subject, shared, SMALL, 0), examinations=tuple(one for one in EXAMINATIONS if one.title in titles))


def test_an_encoder_that_draws_is_examined_and_not_refused():
    images = pictures(400)
    drawing = replace(healthy(images), noise=0.3)
    found = taken((drawing.encode, drawing.decode), "steadiness", data=images)
    assert found.advice["unsteady encode"].tone == "bad"
    assert found.diagnosis.training == ()


def test_codes_without_places_and_rows_of_a_table_say_what_does_not_apply(runs):
    titles = "spectrum", "the encoder's equivariance", "samples", "the charge", "gap to the prior"
    found = taken(runs["table"], *titles)
    assert found.figures["high share"].why == "these codes have no places: a spectrum is of a grid"
    assert found.figures["equivariance to scale"].why == "these codes have no places"
    assert found.figures["samples of the prior"].why == "needs pictures"
    assert found.figures["effective beta"].value == 1
    assert found.diagnosis.sampled.split(",")[0].lower() in ("yes", "in part", "no", "cannot tell")


def test_a_codebook_is_counted(runs):
    found = taken(runs["grid"], "codebook", "stretch")
    used, unused = found.figures["codes in use"], found.figures["unused codes"]
    assert 1 / 8 <= used.value <= 1 - unused.value + 1e-9
    assert (8 * unused.value) == pytest.approx(round(8 * unused.value))
    assert found.kind.chosen
    assert found.figures["stretch posterior"].value > 0


# ------------------------------------------------------------------------------------------------ others' models


def of_diffusers(name: str):
    diffusers = pytest.importorskip("diffusers")
    torch.manual_seed(0)
    block = {
        "block_out_channels": (8, 8), "latent_channels": 2, "norm_num_groups": 4, "layers_per_block": 1,
        "down_block_types": ("DownEncoderBlock2D",) * 2, "up_block_types": ("UpDecoderBlock2D",) * 2,
    }  # fmt: skip
    kinds = {
        "AutoencoderKL": block,
        "VQModel": {**block, "num_vq_embeddings": 16},
        "AutoencoderTiny": {
            "encoder_block_out_channels": (8, 8), "decoder_block_out_channels": (8, 8), "latent_channels": 2,
            "num_encoder_blocks": (1, 1), "num_decoder_blocks": (1, 1),
        },
    }  # fmt: skip
    return getattr(diffusers, name)(**kinds[name]).eval()


X = pictures(6)


@pytest.mark.parametrize("name", ["AutoencoderKL", "AutoencoderTiny", "VQModel"])
def test_autoencoders_of_diffusers_are_subjects(name, tmp_path):
    model = of_diffusers(name)
    subject = subject_of(model, X[:4])
    x = 2 * torch.from_numpy(X) - 1
    with torch.no_grad():
        encoded = model.encode(x)
        mu = encoded.latent_dist.mean if name == "AutoencoderKL" else encoded.latents
        mu = model.quantize(mu)[0] if name == "VQModel" else mu
        images = (model.decode(mu).sample + 1) / 2
    found, sigma = subject.encode(X)
    assert (sigma is None) == (name != "AutoencoderKL")
    np.testing.assert_allclose(found, mu.flatten(1).numpy(), atol=1e-5)
    np.testing.assert_allclose(subject.decode(found), images.numpy(), atol=1e-5)
    assert subject.scale == model.config.scaling_factor
    chosen = subject.choices(X)
    if name == "VQModel":
        rows = model.quantize.embedding.weight.detach().numpy()[chosen.index]  # (n, tokens, channels)
        np.testing.assert_allclose(rows.transpose(0, 2, 1).reshape(len(X), -1), found, atol=1e-5)
        assert (chosen.books, chosen.size) == (1, 16)
    else:
        assert chosen is None
    model.save_pretrained(tmp_path / "saved")
    again = subject_of(named([str(tmp_path / "saved")]), X[:4])
    np.testing.assert_array_equal(again.encode(X)[0], found)


def test_models_are_named_by_a_module_a_folder_or_two_files(tmp_path, monkeypatch):
    (tmp_path / "mine_of_doctor.py").write_text("def model():\n    return (lambda x: x, lambda z: z)\n\nnumber = 3\n")
    monkeypatch.chdir(tmp_path)
    assert len(named(["mine_of_doctor:model"])) == 2
    with pytest.raises(Mistake, match="no function `number`"):
        named(["mine_of_doctor:number"])
    with pytest.raises(Mistake, match="no module named `nowhere`"):
        named(["nowhere:model"])
    assert [path.name for path in named(["a.onnx", "b.onnx"])] == ["a.onnx", "b.onnx"]
    for file in ("encoder.onnx", "decoder.onnx"):
        (tmp_path / file).write_bytes(b"")
    assert [path.name for path in named([str(tmp_path)])] == ["encoder.onnx", "decoder.onnx"]
    with pytest.raises(Mistake, match="got 3 words"):
        named(["a", "b", "c"])
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"_class_name": "UNet2DModel"}')
    if "diffusers" in sys.modules:
        with pytest.raises(Mistake, match="holds a UNet2DModel"):
            named([str(tmp_path / "other")])


def test_mistakes_are_told_in_one_line(capsys, tmp_path):
    assert cli.run(["doctor"]) == 2
    assert cli.run(["doctor", str(tmp_path / "nothing")]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2
