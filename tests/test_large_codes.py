"""Codes too large for a covariance: what is told of channels is what is told of dimensions, and memory stays bounded."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import legato
from legato import moments
from legato.batch import Batch
from legato.definition import define
from legato.measures.rate import active_units, kl_per_dimension
from legato.setting import DataSpec
from legato.survey import survey
from legato.survey.evaluation import Evaluation
from legato.training.validation import validate
from made_runs import blobs, small
from patience import PATIENCE

PICTURES = DataSpec((3, 16, 16), "bytes", "discretized-logistic")
BOUND = 1500  # MB above what imports and pictures take: a covariance of 65,536 dimensions would be 34,000

# What one process does with codes of 65,536 numbers, and the memory that it took at most after each step, MB.
CHILD = """
import json, resource, sys
import numpy as np, torch, pyarrow.parquet, matplotlib.pyplot
import legato
from legato import cli

def most():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

torch.set_num_threads(1)
rng = np.random.default_rng(0)
np.savez("x.npz", images=rng.integers(0, 256, (160, 64, 64, 3)).astype(np.uint8))
start, found = most(), {}
options = "--net strided --width 4 --depth 0 --batch-size 8 --steps 3 --snapshots 0 --threads 1 --device cpu".split()
steps = {
    "train": ["vae", "--data", "x.npz", "--latent-shape", "64,32,32", *options, "--out", "r"],
    "encode": ["r"],
    "sample": ["r", "--from", "codes"],
    "evaluate": ["r", "--k", "2"],
    "traverse": ["r"],
    "interpolate": ["r"],
    "score": ["r", "--k", "2"],
}
for name, words in steps.items():
    assert cli.run([name, *words]) == 0, name
    found[name] = most() - start

def done(job):
    try:
        while True:
            next(job)
    except StopIteration as end:
        return end.value

from pathlib import Path
from types import SimpleNamespace
from legato.explorer.fields import Grid
from legato.explorer.opening import prepare
from legato.loading import load

session = prepare([Path("r")], None, 20_000, load, None).now
about = done(session.description())["models"][0]
plane = done(session.principal(0, None))
assert (about["latent_dim"], about["shape"], len(about["mean"])) == (65_536, [64, 32, 32], 65_536)
assert done(session.points(0, None, plane)).xy.shape == (160, 2)
assert len(done(session.dimensions(0, None))) == 256
assert len(done(session.locate(0, None, np.zeros(65_536), 5))["distances"]) == 5
assert np.isfinite(done(session.field(0, None, "density", plane, Grid((-1, 1, -1, 1), 4))).values).all()
assert done(session.decode(0, None, plane.at(np.zeros((2, 2))))).shape == (2, 3, 64, 64)
try:
    done(session.local(0, None, np.zeros(65_536)))
except legato.Mistake as mistake:
    assert "use the principal plane" in str(mistake)
else:
    raise AssertionError
found["explore"] = most() - start
print(json.dumps(found))
"""


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


def batches() -> list[Batch]:
    torch.manual_seed(1)
    return [Batch(torch.rand(n, 3, 16, 16)) for n in (8, 8, 5)]


def test_what_validation_tells_of_channels_is_what_it_tells_of_their_dimensions(monkeypatch):
    torch.manual_seed(0)
    model = define("vae", PICTURES, latent_shape=(4, 8, 8), width=8, depth=0).build(PICTURES).model.eval()
    exact = validate(model, batches())
    monkeypatch.setattr(moments, "LARGEST", 10)
    found = validate(model, batches())
    for name in ("distortion", "rate", "elbo"):
        assert found[name] == exact[name]
    kl, sigma, spread = (np.reshape(exact[name], (4, 64)) for name in ("kl", "sigma", "std_mu"))
    assert np.allclose(found["kl"], kl.sum(1), rtol=1e-4)
    assert np.allclose(found["sigma"], np.exp(np.log(sigma).mean(1)), rtol=1e-4)
    assert np.allclose(found["std_mu"], np.sqrt(np.square(spread).mean(1)), rtol=1e-4)


def test_a_run_whose_codes_are_large_gives_the_figures_of_one_whose_are_not(tmp_path, monkeypatch):
    """The same training; what is kept of it is a sketch, whose values are those of the whole: 12 dimensions are few."""
    pictures, options = blobs()[0], small(latent_shape=(3, 2, 2))
    exact = legato.train("vae", pictures, tmp_path / "exact", **options)
    figures = legato.evaluate(exact, k=5)
    known, order = exact.moments(), exact.ranking()
    monkeypatch.setattr(moments, "LARGEST", 10)
    found = legato.train("vae", pictures, tmp_path / "large", **options)
    assert np.array_equal(found.encode(pictures[:9])[0], exact.encode(pictures[:9])[0])
    sketch = found.moments()
    assert np.allclose(sketch.factors.T @ sketch.factors + np.diag(sketch.rest), known.matrix(), rtol=1e-5, atol=1e-6)
    assert np.allclose(sketch.noise, known.noise, rtol=1e-6)
    assert sketch.nats_from_prior() == pytest.approx(known.nats_from_prior(), rel=1e-4)
    assert set(found.ranking()) == set(order)
    assert np.allclose(found.traverse(dims=[5])[1], exact_traversal(exact, monkeypatch), atol=1e-5)
    again = legato.evaluate(found, k=5)
    for name in ("elbo", "rate", "distortion", "nll"):
        assert again[name]["value"] == figures[name]["value"]
    channels = [sum(one["value"] for one in figures["kl_per_dimension"][at : at + 4]) for at in (0, 4, 8)]
    assert np.allclose([one["value"] for one in again["kl_per_dimension"]], channels, rtol=1e-6)
    assert "of a channel" in again["kl_per_dimension"][0]["method"]
    assert again["active_units"]["0.01"]["why"]
    with pytest.raises(legato.Mistake, match="too large at 12 dimensions: use --from codes"):
        found.sample(3, origin="mixture")
    with pytest.raises(legato.Mistake, match="no covariance of 12 × 12"):
        found.codes()
    assert found.sample(3, origin="codes").shape == (3, 1, 8, 8)


def exact_traversal(space, monkeypatch):
    with monkeypatch.context() as before:
        before.setattr(moments, "LARGEST", 4096)
        return space.traverse(dims=[5])[1]


def test_dimensions_are_not_counted_where_no_means_were_kept():
    assert active_units(np.zeros((5, 0)), 0.1).value is None
    assert kl_per_dimension(None).value is None


def test_codes_of_65_536_numbers_take_bounded_memory(tmp_path: Path):
    done = subprocess.run([sys.executable, "-c", CHILD], cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 8
    assert max(found.values()) < BOUND, found


def test_what_no_survey_can_tell_of_large_codes_is_said():
    with pytest.raises(legato.Mistake, match=r"65,536 dimensions are not surveyed \(at most 4,096\): `legato evaluate`"):
        survey(SimpleNamespace(latent_dim=65_536), None)
    found = [Evaluation(SimpleNamespace(latent_dim=d), None, None, 0).no_mixture for d in (250, 256)]
    assert found == [None, "10 Gaussians of 256 × 256 numbers cannot be told from 5,000 codes"]
