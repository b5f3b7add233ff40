"""`legato refit`: priors fitted to the codes of runs, kept beside weights that nobody touches, and used everywhere."""

from __future__ import annotations

import hashlib
import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

import legato
from legato import cli, refits
from legato.errors import Mistake
from legato.explorer.catalogue import Catalogue
from legato.explorer.models import Member
from legato.explorer.session import Session
from legato.explorer.worker import finished
from legato.fitted import fits
from legato.fitted.matching import Way
from legato.measures import evaluate
from legato.refits import refit
from legato.streams import random_stream

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
    + [("conditional_vae", "flow-matching"), ("m2_vae", "gaussian")]
    + [(name, "autoregressive") for name in ("vq_vae", "grid", "fsq_vae")]
    + [(name, "flow-matching") for name in ("vq_vae", "fsq_vae")],
)
def test_a_refit_touches_nothing_else_and_is_drawn_from_by_its_name(name, kind, copied, tmp_path, capsys, monkeypatch):
    if kind == "flow-matching":  # the law is the same of a small net
        small = {"classes": 0, "width": 16, "depth": 1}
        monkeypatch.setattr(fits, "sizes_of", lambda kind, codes: small)
    run = copied(name)
    before = digests(run)
    words = ["refit", str(run), "--prior", kind, "--steps", str(STEPS), "--device", "cpu"]
    assert cli.run(words) == 0
    told = capsys.readouterr()
    assert "fitted to the codes" in told.out + told.err
    assert digests(run) == before
    stored = json.loads((run / f"priors/{kind}.json").read_text())
    assert stored["kind"] == kind
    space, chosen = legato.load(run, device="cpu", prior=kind), kind == "flow-matching" and name in ("vq_vae", "fsq_vae")
    assert chosen or np.isfinite(stored["told"]["log_density"]["value"])
    if space.model.needs_class:
        assert "of one class at a time" in told.out + told.err
        space = space.of_class(space.classes[0])
        assert np.isfinite(space.sample(5, origin="prior")).all()
        return
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


def test_one_gaussian_has_the_moments_of_the_population_whatever_the_unit_of_the_codes():
    rng = np.random.default_rng(0)
    mu, sigma = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 3)), rng.uniform(0.1, 1, (400, 3))
    for unit in (1e-6, 1.0, 1e3):
        codes = fits.Codes(np.float32(unit * mu), np.float32(unit * sigma), (3,))
        found = fits.one_gaussian(codes, codes)
        np.testing.assert_allclose(found.means[0], unit * mu.mean(0), rtol=1e-5, atol=1e-6 * unit)
        expected = unit**2 * (np.cov(mu.T) + np.diag(np.square(sigma).mean(0)))
        np.testing.assert_allclose(found.covariances[0], expected, rtol=1e-5, atol=1e-6 * unit**2)


def test_few_codes_of_many_dimensions_have_a_mixture_that_is_no_worse_than_one_gaussian():
    rng = np.random.default_rng(0)
    codes, held = (fits.Codes(*np.float32([rng.standard_normal((n, 50)), np.full((n, 50), 0.1)]), (50,)) for n in (60, 300))
    several, one = fits.several(codes, held, 0), fits.one_gaussian(codes, held)
    normal = -0.5 * 50 * (np.log(2 * np.pi) + 1)  # nats; N(0, I) of itself
    assert several.held_out >= one.held_out > normal - 5


def test_codes_held_out_have_noise_of_their_own():
    # Where every posterior is N(0, I) a mixture chosen by the noise that it was fitted to is a point on each code.
    codes, held = (
        fits.Codes(np.zeros((n, 4), np.float32), np.ones((n, 4), np.float32), (4,), split=split)
        for n, split in ((240, "train"), (60, "validation"))
    )
    assert not np.isclose(codes.drawn("fit")[:60], held.drawn("fit")).any()
    found = fits.as_gaussians(fits.several(codes, held, 0), (4,))
    _, density, _ = fits.log_density(found, held)
    exact = -0.5 * (4 * np.log(2 * np.pi) + np.square(held.drawn("judged")).sum(1))
    assert density.mean() == pytest.approx(exact.mean(), abs=0.3)


def test_a_figure_that_cannot_be_had_costs_no_prior(copied, monkeypatch, capsys):
    run = copied("vae")

    def none(*_):
        raise Mistake("half-samples need 4 examples or more of each kind, got 2")

    monkeypatch.setattr(refits, "likenesses", none)
    assert cli.run(["refit", str(run), "--prior", "gaussian", "--device", "cpu"]) == 0
    assert "distances of samples were not measured: half-samples need 4" in "".join(capsys.readouterr())
    assert cli.run(["sample", str(run), "--from", "gaussian", "--out", str(run / "s.png"), "--device", "cpu"]) == 0


def test_an_index_given_those_before_it_is_likelier_than_one_of_all(copied):
    found = refit(copied("grid"), "autoregressive", steps=60)
    assert found.told["gained"]["low"] > 0


def test_what_cannot_be_is_told_in_a_line(copied, runs, capsys):
    run = copied("vae")
    for words, said in {
        ("refit", str(run), "--prior", "autoregressive", "--steps", "2"): "one of indices",
        ("refit", str(run), "--prior", "flow", "--steps", "0"): "1 or more; got 0",
        ("sample", str(run), "--from", "nothing"): "`nothing`",
        ("evaluate", str(run), "--from", "nothing"): "none was fitted",
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
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert ("fit it anew: legato refit" in said) == (damage in ("cut", "sizes"))


def test_the_explorer_draws_from_them_and_shows_how_noise_becomes_a_sample(copied):
    run = copied("vae")
    refit(run, "mixture")
    refit(run, "flow-matching", name="flows", steps=STEPS)
    session = Session([Member(run, legato.load)], Catalogue(legato.load(run, device="cpu").data(), 100))
    told = finished(session.description())["models"][0]["priors"]
    assert told == [{"name": "flows", "kind": "flow-matching"}, {"name": "mixture", "kind": "mixture"}]
    for name in ("mixture", "flows"):
        codes = finished(session.prior(0, None, 3, 6, 1.0, name))
        under = legato.load(run, device="cpu", prior=name)
        np.testing.assert_array_equal(codes, under.draw_prior(6, random_stream(3, "samples")))
    film = finished(session.ways_from_noise(0, "flows", 3, 6, 1.0, 17)).reshape(17, 6, -1)
    np.testing.assert_allclose(film[-1], codes, atol=1e-5)
    prior, noise = under.model.latent.p, random_stream(3, "samples").standard_normal((6, under.latent_dim), dtype=np.float32)
    np.testing.assert_allclose(film[0], noise @ prior.root.numpy().T + prior.centre.numpy(), atol=1e-5)
    with pytest.raises(Mistake, match="no way that could be shown"):
        finished(session.ways_from_noise(0, "mixture", 3, 6, 1.0, 17))
    with pytest.raises(Mistake, match="not of a snapshot's"):
        finished(session.prior(0, told_step(session), 3, 6, 1.0, "mixture"))


def told_step(session: Session) -> int:
    return finished(session.description())["models"][0]["snapshots"][0]


def test_a_class_is_drawn_of_though_the_model_reads_no_label(copied, tmp_path, capsys):
    run = copied("vae")
    refit(run, "flow-matching", steps=200)
    space = legato.load(run, device="cpu", prior="flow-matching")
    first = json.loads((run / "data.json").read_text())["classes"][0]
    one = space.of_class(first)
    codes = {
        of: legato.load(run, device="cpu").encode(space.data().dataset.take(rows), rows)[0].mean(0)
        for of, rows in by_class(space).items()
    }
    drawn = {of: some.draw(400, seed=0, origin="prior").mean(0) for of, some in {"one": one, "all": space}.items()}
    assert np.linalg.norm(drawn["one"] - codes[0]) < np.linalg.norm(drawn["all"] - codes[0])
    assert not one.classes
    shares = space.model.latent.p.shares
    train = space.data().split("train").all()
    own = np.bincount(space.data().dataset.labels[train], minlength=len(shares)) / len(train)
    np.testing.assert_allclose(shares.numpy(), own, rtol=1e-5)  # drawn by class, in the classes' shares
    words = ["sample", str(run), "--from", "flow-matching", "--label", first, "--device", "cpu"]
    assert cli.run([*words, "--guidance", "2", "--out", str(tmp_path / "s.png")]) == 0
    capsys.readouterr()
    assert cli.run(["sample", str(run), "--label", first, "--device", "cpu"]) == 2
    assert "reads no label" in capsys.readouterr().err
    assert cli.run(["sample", str(run), "--guidance", "2", "--device", "cpu"]) == 2
    assert "of a fitted prior" in capsys.readouterr().err


def by_class(space):
    """The training rows of each class."""
    data = space.data()
    rows = data.split("train").draw(2000, "test")
    return {int(of): rows[data.dataset.labels[rows] == of] for of in np.unique(data.dataset.labels[rows])}


def test_a_model_is_pickled_with_its_fitted_prior(copied):
    run = copied("vae")
    refit(run, "flow-matching", steps=STEPS)
    space = legato.load(run, device="cpu", prior="flow-matching", way=Way(steps=8))
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(space)).draw(9, origin="prior"), space.draw(9, origin="prior"))


def test_a_report_has_a_section_of_them(copied, tmp_path):
    run = copied("vae")
    refit(run, "mixture")
    assert (
        cli.run(["report", str(run), "--out", str(tmp_path / "report.html"), "--limit", "100", "--k", "2", "--device", "cpu"])
        == 0
    )
    page = (tmp_path / "report.html").read_text()
    assert "Samples from priors fitted to the codes" in page
    assert "vae, mixture" in page
