"""The experiment from start to end on a tiny source: what it writes, what it keeps, what it refuses."""

from __future__ import annotations

import html
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from legato.claims import CLAIMS, Verdict, combined, table_hash, word
from legato.data import DataOptions
from legato.errors import Mistake
from legato.experiment import Experiment, Protocol, conclude, conduct
from legato.experiment.conclusion import CONTROLS
from legato.experiment.members import BETAS, QUICK_BETAS, Member, beta_name, family
from legato.experiment.scales import declared
from legato.experiment.survey import effort_of
from legato.report import claims as claims_report
from legato.report.claims import write_claims_report
from legato.report.conclusions import concluded
from legato.survey.likelihood import ANNEALED, WEIGHTED

NAMES = ("autoencoder", "noise", "pull", "beta-1")


def tiny_family(quick: bool, seeds: int) -> list[Member]:
    """Four sentences instead of six, and two of them with 2 latents."""
    everyone = family(True, seeds)
    return [m for m in everyone if m.name in (NAMES if m.latent_dim > 2 else ("noise", "beta-1"))]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bars at one of three angles on 8 × 8 pixels, with their labels."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 600)
    images = np.zeros((600, 8, 8), np.uint8)
    for image, label, at in zip(images, labels, rng.integers(1, 7, 600), strict=True):
        steps = np.arange(8)
        image[(steps, at) if label == 0 else (at, steps) if label == 1 else (steps, (steps + at) % 8)] = 255
    noise = rng.integers(0, 40, images.shape)
    path = tmp_path_factory.mktemp("bars") / "bars.npz"
    np.savez(path, images=np.clip(images.astype(int) + noise, 0, 255).astype(np.uint8), labels=labels)
    return path


@pytest.fixture(scope="module")
def done(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Experiment]:
    """A finished experiment, with one thread in each of two workers."""
    patch = pytest.MonkeyPatch()
    patch.setattr("legato.experiment.run.family", tiny_family)
    patch.setenv("OMP_NUM_THREADS", "1")
    protocol = Protocol(str(source), DataOptions(), 0.01, device="cpu")
    experiment = Experiment(protocol, tmp_path_factory.mktemp("claims") / "out", quick=True, seeds=2)
    threads = torch.get_num_threads()
    conduct(experiment)
    yield experiment
    torch.set_num_threads(threads)
    patch.undo()


@pytest.fixture(scope="module")
def found(done: Experiment) -> dict:
    return conclude(done)


def test_there_are_fourteen_verdicts_each_with_its_primary_measure_its_rules_and_controls(done, found):
    stored = json.loads((done.out / "claims.json").read_text(encoding="utf-8"))
    assert stored == json.loads(json.dumps(found))
    assert [claim["id"] for claim in stored["claims"]] == list(range(1, 15))
    for claim, said in zip(stored["claims"], CLAIMS, strict=True):
        assert claim["verdict"] in set(Verdict)
        assert [rule["measure"] for rule in claim["rule"]] == [rule.measure for rule in said.rules]
        assert set(claim["primary"]) <= {*NAMES, "family"}
        for one in claim["primary"].values():
            assert len(one["seeds"]) == 2
    assert stored["protocol"]["rules_hash"] == table_hash(declared())
    assert stored["protocol"]["steps"] >= 1


def test_a_verdict_follows_from_its_stored_p_values_alone(found):
    """And these agree with the stored interval, where a row is not adjusted and has one side."""
    for claim, said in zip(found["claims"], CLAIMS, strict=True):
        assert claim["verdict"] == combined([Verdict(stored["verdict"]) for stored in claim["rule"]])
        for rule, stored in zip(said.rules, claim["rule"], strict=True):
            p, low, high = stored["p"], stored["estimate"]["low"], stored["estimate"]["high"]
            assert (p is None) == (low is None)
            assert stored["verdict"] == word(None if p is None else list(stored.get("adjusted p", p).values()))
            if low is not None and "adjusted p" not in stored and rule.upto is None:
                holds = low >= rule.holds if rule.holds > rule.fails else high <= rule.holds
                assert (stored["verdict"] == "holds") == holds


def test_what_this_family_has_not_trained_is_said_of_every_rule_that_reads_it(found):
    rules = [rule for claim in found["claims"] for rule in claim["rule"]]
    missing = [rule for rule in rules if {"beta-0.1", "beta-4"} & {rule["of"], rule["beside"]}]
    assert len(missing) == 5
    for rule in missing:
        assert (rule["verdict"], rule["p"], "adjusted p" in rule) == ("cannot tell", None, False)
        assert "is not in this family" in rule["estimate"]["why"]


def test_labels_and_controls_are_measured(found):
    purity = found["claims"][6]
    assert {"untrained", "pca"} <= set(purity["controls"])
    assert purity["primary"]["beta-1"]["value"] > 0.4  # three classes, of which chance gives a third
    assert "cross-fade" in found["claims"][5]["controls"]


def test_every_member_was_trained_for_the_same_number_of_steps(done, found):
    plans = [json.loads((m.path(done.out) / "training.json").read_text(encoding="utf-8")) for m in done.members]
    assert {plan["total"] for plan in plans} == {found["protocol"]["steps"]}


def test_a_second_start_trains_and_measures_nothing_again(done):
    files = [path for path in done.out.rglob("*") if path.is_file() and path.name not in ("work.log", "protocol.json", ".lock")]
    before = {path: path.stat().st_mtime_ns for path in files}
    conduct(done)
    assert {path: path.stat().st_mtime_ns for path in files} == before


def test_an_experiment_from_before_an_option_was_there_goes_on(done):
    path = done.out / "protocol.json"
    stored = json.loads(path.read_text(encoding="utf-8"))
    newer = ("window", "values")
    old = {**stored, "data": {name: value for name, value in stored["data"].items() if name not in newer}}
    path.write_text(json.dumps(old), encoding="utf-8")
    assert conduct(done) == stored["steps"]
    assert json.loads(path.read_text(encoding="utf-8")) == stored
    path.write_text(json.dumps({**old, "data": {**old["data"], "channels": 3}}), encoding="utf-8")
    with pytest.raises(Mistake, match="says data = "):
        conduct(done)
    path.write_text(json.dumps(stored), encoding="utf-8")


def test_an_experiment_of_other_terms_is_refused_in_a_line(done):
    other = Experiment(Protocol(done.protocol.source, DataOptions(), 0.02, device="cpu"), done.out, quick=True, seeds=2)
    with pytest.raises(Mistake, match=r"says minutes = 0\.01, this asks for 0\.02"):
        conduct(other)


def test_a_folder_of_something_else_is_refused(tmp_path, source):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(Mistake, match="no experiment of Legato's"):
        conduct(Experiment(Protocol(str(source), DataOptions(), 0.01, device="cpu"), tmp_path, quick=True, seeds=1))


def test_the_report_is_one_file_that_asks_for_nothing(done, found):
    path = write_claims_report(done, found)
    page = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 3_000_000
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    for claim in CLAIMS:
        assert page.count(f"{claim.id}. ") >= 1
    for verdict in {claim["verdict"] for claim in found["claims"]}:
        assert verdict in page


def test_each_claim_begins_with_its_conclusion_and_nothing_is_said_fourteen_times(done, found):
    page = write_claims_report(done, found).read_text(encoding="utf-8")
    sections = re.split(r"<h2[^>]*>", page)
    for claim in found["claims"]:
        (own,) = (part for part in sections if part.startswith(f"{claim['id']}. ") and "<p>" in part)
        first = html.unescape(re.search(r"<p>(.*?)</p>", own, re.S)[1]).replace("\u00a0", " ")
        first = re.sub("</?code>", "`", first)
        assert first == f"<strong>{claim['verdict'].capitalize()}.</strong> {concluded(claim)}"
    assert max(Counter(re.findall(r"<p>(.*?)</p>", page, re.S)).values()) <= 2


def test_a_report_that_is_too_large_has_fewer_places_to_drag_on(done, found, monkeypatch):
    large = write_claims_report(done, found).stat().st_size
    monkeypatch.setattr(claims_report, "MOST", large - 5_000)
    monkeypatch.setattr(claims_report, "LEAST_DRAG", 20_000)
    path = write_claims_report(done, found)
    assert path.stat().st_size <= large - 5_000
    assert 'id="legato-space-data"' in path.read_text(encoding="utf-8")


def test_the_full_family_has_eleven_sentences_and_the_quick_one_six():
    for quick, large, small, betas in ((True, 6, 4, QUICK_BETAS), (False, 11, 6, BETAS)):
        members = family(quick, 3)
        assert len({m.name for m in members if m.latent_dim == 16}) == large
        assert len([m for m in members if m.latent_dim == 16]) == 3 * large
        assert len([m for m in members if m.latent_dim == 2]) == small
        assert [m.beta for m in members if m.beta is not None and m.latent_dim == 16 and m.seed == 0] == list(betas)
        assert len({m.path(Path("out")) for m in members}) == len(members)


def test_every_member_that_a_rule_reads_is_trained_in_either_family_and_every_other_is_a_control():
    read = {name for claim in CLAIMS for rule in claim.rules for name in (rule.of, rule.beside)} - {None}
    for quick in (True, False):
        trained = {m.name for m in family(quick, 1) if m.latent_dim == 16}
        assert read - trained - {"family"} == {"cross-fade", "pca"} < set(CONTROLS)
    assert {m.recipe for m in family(False, 1) if m.name == "pull"} == {"pulled_autoencoder"}
    assert [beta_name(beta) for beta in (0.01, 1.0, 4.0)] == ["beta-0.01", "beta-1", "beta-4"]


def test_seeds_beyond_the_first_are_measured_alike_but_for_weighed_and_annealed_likelihoods():
    first, later = effort_of(False, 0).to_json(), effort_of(False, 1).to_json()
    assert {name for name in first if first[name] != later[name]} == {"weighted", "annealed"}
    decisive = {rule.measure for claim in CLAIMS for rule in claim.rules}
    assert not decisive & {*WEIGHTED.measures, *ANNEALED.measures}
