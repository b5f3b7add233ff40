"""A run of an earlier commit (40495ce) that was stopped at step 151 of 300: it loads, gives its numbers, and goes on.

tests/before/expected.json holds what that commit gave: codes of three pictures by the stopped model, and after 300 steps.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from legato import cli, load
from made_runs import metrics

BEFORE = Path(__file__).parent / "before"
EXPECTED = json.loads((BEFORE / "expected.json").read_text())


@pytest.fixture
def run(tmp_path):
    return shutil.copytree(BEFORE / "vae", tmp_path / "vae")


@pytest.fixture(scope="module")
def pictures():
    return np.load(BEFORE / "blobs.npz")["images"][:3, None]


def test_an_earlier_run_gives_its_numbers(run, pictures):
    mu, sigma = load(run, device="cpu").encode(pictures)
    np.testing.assert_allclose(mu, EXPECTED["mu"], atol=2e-5)
    np.testing.assert_allclose(sigma, EXPECTED["sigma"], atol=2e-5)


def test_an_earlier_run_goes_on_from_its_checkpoint_to_the_same_end(run, pictures, capsys):
    assert cli.run(["train", "--resume", "--data", str(BEFORE / "blobs.npz"), "--out", str(run)]) == 0
    assert "resuming" in "".join(capsys.readouterr())
    lines = metrics(run)
    assert [line["step"] for line in lines] == sorted(line["step"] for line in lines)
    assert lines[-1]["step"] == 300
    last = [line["validation"]["elbo"] for line in lines if "validation" in line][-1]
    assert last == pytest.approx(EXPECTED["elbo at the end"], rel=1e-4)  # 149 steps on, whatever the chip
    mu, _ = load(run, device="cpu").encode(pictures)
    np.testing.assert_allclose(mu, EXPECTED["mu at the end"], atol=5e-3)
