"""`legato refit`: priors fitted to the codes of runs, kept beside weights that nobody touches, and used everywhere."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import legato
from legato import cli
from legato.errors import Mistake
from legato.measures import evaluate
from legato.refits import refit

STEPS = 30


@pytest.fixture
def copied(runs, tmp_path):
    """A run to write into."""

    def copy(name: str) -> Path:
        return Path(shutil.copytree(runs[name], tmp_path / name))

    return copy


def digests(run: Path) -> dict[str, str]:
    """Every file of a run but the priors and the lock."""
    files = (path for path in sorted(run.rglob("*")) if path.is_file() and path.name != ".lock" and "priors" not in path.parts)
    return {str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.mark.parametrize(
    ("name", "kind"),
    [("vae", kind) for kind in ("gaussian", "mixture", "flow", "flow-matching")]
    + [("autoencoder", "flow-matching"), ("shaped", "flow-matching"), ("shaped", "gaussian")]
    + [(name, "autoregressive") for name in ("vq_vae", "grid", "fsq_vae")],
)
def test_a_refit_touches_nothing_else_and_is_drawn_from_by_its_name(name, kind, copied, tmp_path, capsys):
    run = copied(name)
    before = digests(run)
    words = ["refit", str(run), "--prior", kind, "--steps", str(STEPS), "--device", "cpu"]
    assert cli.run(words) == 0
    told = capsys.readouterr()
    assert "nats" in told.out + told.err
    assert digests(run) == before
    stored = json.loads((run / f"priors/{kind}.json").read_text())
    assert stored["kind"] == kind
    assert np.isfinite(stored["told"]["log_density"]["value"])
    space = legato.load(run, device="cpu", prior=kind)
    drawn = space.draw(20, seed=1, origin="prior")
    assert drawn.shape == (20, space.latent_dim)
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(drawn, legato.load(run, device="cpu").under(kind).draw(20, seed=1, origin="prior"))
    picture = tmp_path / "s.png"
    assert cli.run(["sample", str(run), "--from", kind, "--n", "9", "--out", str(picture), "--device", "cpu"]) == 0
    assert picture.read_bytes()[:4] == b"\x89PNG"
    assert f"drawn from `{kind}`" in "".join(capsys.readouterr())


def test_what_it_gains_is_what_the_evidence_bound_gains(copied):
    run = copied("vae")
    found = refit(run, "mixture")
    gained = found.told["gained"]
    both = [
        evaluate(legato.load(run, device="cpu", prior=prior), split="validation", k=50)["elbo"]["value"]
        for prior in (None, "mixture")
    ]
    assert both[1] - both[0] == pytest.approx(gained["value"], abs=0.25)  # draws differ, rows do not


def test_an_index_given_those_before_it_is_likelier_than_one_of_all(copied):
    found = refit(copied("grid"), "autoregressive", steps=60)
    assert found.told["gained"]["low"] > 0


def test_what_cannot_be_is_told_in_a_line(copied, runs, capsys):
    run = copied("vae")
    for words, said in {
        ("refit", str(run), "--prior", "autoregressive", "--steps", "2"): "one of indices",
        ("refit", str(run), "--prior", "flow", "--steps", "0"): "1 or more; got 0",
        ("sample", str(run), "--from", "nothing"): "no prior was fitted",
        ("evaluate", str(run), "--from", "nothing"): "no prior was fitted",
        ("refit", str(run), "--prior", "mixture", "--name", "../x"): "letters, digits, - and _",
    }.items():
        assert cli.run([*words, "--device", "cpu"]) == 2
        line = capsys.readouterr().err
        assert said in line
        assert line.count("\n") == 1
    assert not (run / "priors").exists()
    refit(run, "gaussian")
    with pytest.raises(Mistake, match=r"did you mean `gaussian`"):
        legato.load(run, device="cpu", prior="gausian")
    with pytest.raises(Mistake, match="a prior for each level"):
        refit(copied("ladder_vae"), "gaussian")


@pytest.mark.parametrize("damage", ["cut", "kind", "sizes", "json"])
def test_a_damaged_prior_is_a_line(damage, copied, capsys):
    run = copied("vae")
    refit(run, "mixture")
    path = run / "priors/mixture.json"
    stored = json.loads(path.read_text())
    if damage == "cut":
        tensors = path.with_suffix(".safetensors")
        tensors.write_bytes(tensors.read_bytes()[:-9])
    elif damage == "json":
        path.write_text("{")
    else:
        changed = {"kind": "magic"} if damage == "kind" else {"options": {"components": 60_000}}
        path.write_text(json.dumps({**stored, **changed}))
    assert cli.run(["sample", str(run), "--from", "mixture", "--device", "cpu"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
