"""ONNX files say what the model does: every net, family and kind of data, in full and in half, for any number of rows."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import legato
from legato import cli
from legato.errors import Mistake, install
from legato.exported import decoder_bytes, encoder_bytes, needs, write_onnx
from legato.exported import graph as graphs
from legato.exported.check import HALF, Agreement, agreement
from legato.exported.parts import Decoder, mean, parts
from legato.families import ContinuousBernoulli
from legato.latent_space import LatentSpace
from legato.survey.adaptors import subject_of
from legato.survey.effort import QUICK
from made_runs import train

CPU = ["--device", "cpu", "--threads", "1"]
LIKELIHOODS = ("bernoulli", "continuous-bernoulli", "discretized-logistic", "gaussian", "optimal-gaussian")


@pytest.fixture
def onnx():
    for name in ("onnxscript", "onnxruntime"):
        pytest.importorskip(name)
    return pytest.importorskip("onnx")


def load(path) -> LatentSpace:
    return legato.load(path, device="cpu")


def answers(content: bytes, given: np.ndarray) -> dict[str, np.ndarray]:
    """What onnxruntime makes of the bytes, by the outputs' names."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {session.get_inputs()[0].name: given}), strict=True))


def seen(space: LatentSpace, n: int) -> np.ndarray:
    rows = np.arange(n)
    data = space.data()
    return data.preparation.evaluation(data.dataset.rows[rows], rows)


# ------------------------------------------------------------------------------------------------ agreement


@pytest.fixture(scope="module")
def made(tmp_path_factory, sources):
    """A short run of each net, likelihood and recipe asked for."""
    folder, known = tmp_path_factory.mktemp("exported"), {}

    def of(name: str, **other) -> LatentSpace:
        key = "-".join([name, *map(str, other.values())])
        if key not in known:
            known[key] = train(name, sources, folder / key, steps=15, **other)
        return known[key]

    return of


@pytest.mark.parametrize("net", ["mlp", "residual", "conv", "strided"])
@pytest.mark.parametrize("recipe", ["vae", "autoencoder"])
def test_both_files_agree_with_the_model_for_any_number_of_rows(recipe, net, made, onnx):
    space = made(recipe, net=net)
    encoder, decoder = encoder_bytes(space), decoder_bytes(space, half=False)
    for n in (1, 7):
        x = seen(space, n)
        mu, sigma = space.posterior(x)
        told = answers(encoder, x)
        assert list(told) == (["mu"] if recipe == "autoencoder" else ["mu", "sigma"])
        assert told["mu"] == pytest.approx(mu, abs=1e-5)
        assert told.get("sigma", sigma) == pytest.approx(sigma, abs=1e-5)
        assert answers(decoder, mu)["x_mean"] == pytest.approx(space.decode_prepared(mu), abs=1e-5)


@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_has_its_mean_in_the_file(likelihood, made, onnx):
    space = made("vae", likelihood=likelihood)
    z = 3 * space.draw(7, seed=1)
    assert answers(decoder_bytes(space, half=False), z)["x_mean"] == pytest.approx(space.decode_prepared(z), abs=1e-5)


@pytest.mark.parametrize("name", ["colour", "table", "binary", "fixed_noise_autoencoder", "shaped"])
def test_other_data_and_other_posteriors(name, made, onnx):
    space = made(name)
    x = seen(space, 7)
    told, (mu, sigma) = answers(encoder_bytes(space), x), space.posterior(x)
    assert told["mu"] == pytest.approx(mu, abs=1e-5)
    assert told["sigma"] == pytest.approx(sigma, abs=1e-5)
    assert answers(decoder_bytes(space, half=False), mu)["x_mean"] == pytest.approx(space.decode_prepared(mu), abs=1e-5)


@pytest.mark.parametrize("name", ["hierarchy_vae", "vmf_vae"])
def test_a_hierarchy_and_directions_are_written_too(name, made, onnx):
    """A hierarchy for any number of rows; directions without σ, which no operators of the runtime's make."""
    space = made(name)
    encoder, decoder = encoder_bytes(space), decoder_bytes(space, half=False)
    for n in (1, 7):
        x = seen(space, n)
        told, (mu, _) = answers(encoder, x), space.posterior(x)
        assert list(told) == (["mu"] if name == "vmf_vae" else ["mu", "sigma"])
        assert told["mu"] == pytest.approx(mu, abs=1e-5)
        assert answers(decoder, mu)["x_mean"] == pytest.approx(space.decode_prepared(mu), abs=1e-5)


@pytest.mark.parametrize("net", ["mlp", "residual", "conv", "strided"])
def test_half_precision_halves_the_file_and_stays_within_a_grey_level(net, made, onnx):
    space = made("vae", net=net, width=48, likelihood="bernoulli")
    z = space.draw(7, seed=1)
    half = decoder_bytes(space)
    assert len(half) < 0.55 * sum(4 * p.numel() for p in space.model.likelihood.parameters()) + 12_000  # the nodes' own bytes
    for n in (1, 7):
        apart = np.abs(answers(half, z[:n])["x_mean"] - space.decode_prepared(z[:n])).max()
        assert 0 < apart < HALF
    assert agreement(encoder_bytes(space, half=True), parts(space)[0], seen(space, 7)).within(HALF)


def test_the_mean_of_a_continuous_bernoulli_in_operators_that_onnx_has():
    logits = torch.cat([torch.linspace(-60, 60, 2401), torch.tensor([0.0, 1e-6, -1e-6, 0.0999, 0.1, -0.1001])])
    t = logits.double()
    exact = torch.where(t.abs() < 1e-3, 0.5 + t / 12, -1 / torch.expm1(-t) - 1 / t)
    found = mean(ContinuousBernoulli()(logits[None], (len(logits),)))[0]
    assert found.numpy() == pytest.approx(exact.numpy(), abs=2e-6)


# ------------------------------------------------------------------------------------------------ the files


def test_a_file_is_one_file_with_a_free_batch_and_no_word_of_the_machine(made, onnx, tmp_path):
    space = made("vae", net="conv")
    write_onnx(space, tmp_path / "e")
    assert sorted(path.name for path in (tmp_path / "e").iterdir()) == ["decoder.onnx", "encoder.onnx", "export.json"]
    for name in ("encoder", "decoder"):
        content = (tmp_path / "e" / f"{name}.onnx").read_bytes()
        proto = onnx.load_from_string(content)
        onnx.checker.check_model(proto, full_check=True)
        assert [(one.domain, one.version) for one in proto.opset_import] == [("", 20)]
        assert all(t.data_location == onnx.TensorProto.DEFAULT for t in proto.graph.initializer)
        assert not [word for word in (b"/work", b"site-packages", b".py", b"forward") if word in content]


def test_export_json_says_what_goes_in_and_comes_out(made, onnx, tmp_path):
    space = made("table")
    write_onnx(space, tmp_path)
    said = json.loads((tmp_path / "export.json").read_text())
    assert said["encoder"]["inputs"] == {"x": ["batch", 4]}
    assert said["encoder"]["outputs"] == {"mu": ["batch", 3], "sigma": ["batch", 3]}
    assert said["decoder"]["inputs"] == {"z": ["batch", 3]}
    assert said["decoder"]["outputs"] == {"x_mean": ["batch", 4]}
    assert max(said["encoder"]["max_abs_error"].values()) < 1e-5
    shift, scale = (np.array(said["preparation"][word]) for word in ("shift", "scale"))
    raw = space.data().dataset.rows[:5]
    x = ((raw - shift) / scale).astype(np.float32)  # as `units` says
    mu, _ = space.encode(raw)
    assert answers((tmp_path / "encoder.onnx").read_bytes(), x)["mu"] == pytest.approx(mu, abs=1e-5)
    back = answers((tmp_path / "decoder.onnx").read_bytes(), mu)["x_mean"] * scale + shift
    assert back == pytest.approx(space.decode(mu), rel=1e-5, abs=1e-4)


def test_the_same_run_gives_the_same_bytes_in_another_process(runs, onnx, tmp_path):
    code = "import sys; from legato import cli; sys.exit(cli.run(sys.argv[1:]))"
    for name, seed in (("a", "1"), ("b", "2")):
        words = ["export", runs["vae"], "--out", tmp_path / name, *CPU]
        told = subprocess.run(
            [sys.executable, "-c", code, *map(str, words)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (told.returncode, told.stderr) == (0, ""), told.stderr
    for file in ("encoder.onnx", "decoder.onnx", "export.json"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_measure_reads_what_export_wrote(made, onnx, tmp_path):
    space = made("vae", net="conv")
    write_onnx(space, tmp_path)
    x = seen(space, 7)
    subject = subject_of((tmp_path / "encoder.onnx", tmp_path / "decoder.onnx"), x[:4])
    mu, sigma = subject.encode(x)
    expected_mu, expected_sigma = space.posterior(x)
    assert mu == pytest.approx(expected_mu, abs=1e-5)
    assert sigma == pytest.approx(expected_sigma, abs=1e-5)
    assert subject.decode(mu) == pytest.approx(space.decode_prepared(mu), abs=1e-5)


def test_a_survey_of_the_pair_is_that_of_the_run(made, onnx, tmp_path, sources):
    space = made("vae", likelihood="gaussian")
    write_onnx(space, tmp_path)
    few = {"samples": 40, "outer": 40, "paths": 6, "places": 3, "noisy": 10, "halves": 3, "judged": 40}
    small = replace(QUICK, train=150, test=40, weighted=8, draws=8, annealed=0, **few)
    pair = legato.measure(tmp_path / "encoder.onnx", tmp_path / "decoder.onnx", sources["grey"], effort=small)
    run = legato.measure(space.run.path, effort=small)
    for name in ("sigma", "spread of means", "noise ratio"):
        assert run.figures[name].n > 0
        assert pair.figures[name].value == pytest.approx(run.figures[name].value, rel=1e-3), name


# ------------------------------------------------------------------------------------------------ the command, and its refusals


def test_the_command_writes_into_the_run_and_tells_the_largest_differences(made, onnx, capsys):
    space = made("autoencoder", net="residual")
    before = torch.random.get_rng_state()
    assert cli.run(["export", str(space.run.path), "--format", "onnx", "--half", *CPU]) == 0
    assert torch.equal(torch.random.get_rng_state(), before)
    told = capsys.readouterr()
    folder = space.run.path / "export"
    first, second, third = told.out.splitlines()
    assert first.startswith(f"wrote {folder}/encoder.onnx, 0.0")
    assert "largest difference from the model: mu " in first
    assert "x_mean" in second
    assert third == f"wrote {folder / 'export.json'}"
    assert told.err == ""
    assert json.loads((folder / "export.json").read_text())["weights"].startswith("float16")


MISTAKES = {
    "no run": (["export", "nowhere"], "no run"),
    "another format": (["export", "RUN", "--format", "tflite"], "onnx"),
    "a file for a folder": (["export", "RUN", "--out", "FILE"], "cannot be written"),
}


@pytest.mark.parametrize("words", MISTAKES)
def test_a_mistake_is_one_line(words, runs, tmp_path, capsys, onnx):
    (tmp_path / "file").touch()
    put = {"RUN": str(runs["vae"]), "FILE": str(tmp_path / "file")}
    arguments, expected = MISTAKES[words]
    assert cli.run([*(put.get(word, word) for word in arguments), *CPU]) == 2
    told = capsys.readouterr().err
    assert expected in told
    assert told.count("\n") == 1


@pytest.mark.parametrize("name", ["onnx", "onnxscript", "onnxruntime"])
def test_a_missing_package_is_told_with_its_remedy(name, runs, tmp_path, monkeypatch, capsys):
    for before in needs.PACKAGES[: needs.PACKAGES.index(name)]:
        pytest.importorskip(before)
    monkeypatch.setitem(sys.modules, name, None)
    assert cli.run(["export", str(runs["vae"]), "--out", str(tmp_path / "e"), *CPU]) == 2
    expected = f"legato: an ONNX export needs {name}, which is not installed: {install('onnx')}\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "e").exists()


def test_a_file_that_says_something_else_is_never_written(made, onnx, tmp_path, monkeypatch):
    space = made("vae")

    def wrong(proto):
        last = next(t for t in reversed(proto.graph.initializer) if t.dims and t.data_type == onnx.TensorProto.FLOAT)
        last.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(last) + 0.01, last.name))
        return proto

    monkeypatch.setattr(graphs, "bare", wrong)
    with pytest.raises(Mistake, match="does not say what the model does, mu by"):
        write_onnx(space, tmp_path / "e")
    assert not (tmp_path / "e").exists()


def test_an_operator_that_onnx_lacks_is_told(made, onnx):
    class Digamma(Decoder):
        def forward(self, z):
            return (torch.special.gammainc(z.abs() + 1, z.abs()),)

    space = made("vae")
    with pytest.raises(Mistake, match=r"cannot be written as ONNX: .*igamma"):
        graphs.graph_of(Digamma(space.model).eval(), torch.randn(3, 3))


def test_agreement_is_in_units_of_values_above_one_and_nan_is_none():
    assert Agreement({"mu": 0.9e-3}, {"mu": 100.0}).within(1e-5)
    assert not Agreement({"mu": 2e-5}, {"mu": 0.1}).within(1e-5)
    assert not Agreement({"mu": float("inf")}, {"mu": 0.1}).within(1e-5)


def test_a_weight_that_a_half_cannot_hold_stays_whole(onnx):
    helper, number = onnx.helper, onnx.TensorProto.FLOAT
    held = {"big": np.full((2, 2), 1e5, np.float32), "small": np.full((2, 2), 0.1, np.float32), "bias": np.ones(2, np.float32)}
    weights = [onnx.numpy_helper.from_array(value, name) for name, value in held.items()]
    proto = SimpleNamespace(graph=helper.make_graph([], "g", [], [], weights))
    kept = {t.name: t.data_type for t in graphs.halved(proto).graph.initializer}
    assert kept == {"big": number, "small_half": onnx.TensorProto.FLOAT16, "bias": number}
    assert [(n.op_type, list(n.output)) for n in proto.graph.node] == [("Cast", ["small"])]


def test_the_exporters_log_level_comes_back():
    before = logging.getLogger("torch.onnx").level
    with pytest.raises(ZeroDivisionError), needs.quiet():
        _ = 1 / 0
    assert logging.getLogger("torch.onnx").level == before
