"""Assertion 16: a report opened as a file asks for nothing else, and its map drags; a live one decodes what Python decodes."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from browser import filed, models
from browser.models import decoded
from legato.data import DataOptions
from legato.experiment import Experiment, Protocol, conclude
from legato.experiment.family import train_member
from legato.experiment.members import LARGE, family
from legato.experiment.survey import evidence_path
from legato.files import write_json
from legato.loading import load
from legato.measures import evaluate
from legato.report.claims import write_claims_report
from test_experiment import NAMES

BUDGET, CLAIMS_BUDGET, LIVE_BUDGET = 2_000_000, 3_000_000, 10_000_000  # bytes
NEEDED = ("onnx", "onnxscript", "onnxruntime")
SPOTS = [(0.3, 0.35), (0.62, 0.4), (0.55, 0.6), (0.42, 0.72), (0.7, 0.55), (0.35, 0.5)]
STEPS = 60


@pytest.fixture(scope="module")
def written(trained, tmp_path_factory):
    """A file that `legato report RUN RUN` writes, with options."""

    def report(*options):
        path = tmp_path_factory.mktemp("report") / "report.html"
        filed.command("report", trained("vae"), trained("autoencoder"), "--out", path, "--limit", 60, "--k", 5, *options)
        return path

    return report


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    """A small family on shapes, trained for a few steps, and of its measures the three that are cheap."""
    folder = tmp_path_factory.mktemp("claims")
    found = Experiment(Protocol(str(models.write(folder)), DataOptions(), 0.01, device="cpu"), folder / "out", True, 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("legato.experiment.run.family", lambda quick, seeds: [m for m in family(quick, seeds) if m.name in NAMES])
        write_json(found.out / "protocol.json", found.stored(STEPS))
        for member in found.members:
            train_member(member, found.protocol, (1, models.SIDE, models.SIDE), STEPS, found.out, torch.device("cpu"))
            if member.latent_dim == LARGE:
                measured = evaluate(load(member.path(found.out), device="cpu"), k=2, limit=20)
                figures = {name: measured[name] for name in ("elbo", "rate", "distortion")}
                write_json(evidence_path(found.out, member.name, LARGE, 0), {"figures": figures, "curves": {}})
        yield found


def drags(browser, file):
    """Each map shows another image where the hand lets go, of either model."""
    with filed.opened(browser, file) as page:
        for model in (0, 1):
            images = [filed.drag_to(page, spot, model).tobytes() for spot in SPOTS[:3]]
            assert len(set(images)) == 3
            assert page.page.get_by_role("button", name="copy link").count() == 0


def test_16_a_report_is_one_file_and_drags(browser, written):
    file = written()
    assert file.stat().st_size < BUDGET
    drags(browser, file)


def test_16_a_reports_points_are_coloured_pictured_and_chosen(browser, written):
    with filed.opened(browser, written()) as page:
        page.page.get_by_role("combobox", name="Colour of the points").select_option(label="reconstruction error")
        assert page.page.get_by_role("group", name="Colours: reconstruction error").count() == 2
        before = page.still_map()
        page.page.get_by_role("button", name="thumbnails").click()
        page.eventually(lambda: not np.array_equal(page.shot(), before), "pictures on the map")
        page.page.get_by_role("application").first.focus()
        page.page.keyboard.press("v")
        with page.page.expect_download() as download:
            page.page.get_by_role("button", name="Save as CSV").click()
        lines = Path(download.value.path()).read_text().splitlines()
        assert lines[0] == "row,id,label,z0,z1"
        assert len(lines) > 500
        _, labels = models.pictures()
        table = np.array([[float(word) for word in line.split(",")] for line in lines[1:]])
        assert (table[:, 2] == labels[table[:, 0].astype(int)]).all()


def test_16_the_claims_report_is_one_file_and_drags(browser, experiment):
    file = write_claims_report(experiment, conclude(experiment))
    print(f"claims report: {file.stat().st_size:,} bytes")
    assert file.stat().st_size < CLAIMS_BUDGET
    drags(browser, file)


def test_16_a_live_report_decodes_what_python_decodes(browser, written, space):
    if lacking := [name for name in NEEDED if find_spec(name) is None]:
        pytest.skip(f"no {', '.join(lacking)}: make peers, then PYTHONPATH=.venv/peers")
    file = written("--live")
    with filed.opened(browser, file) as page:
        for model, name in enumerate(("vae", "autoencoder")):
            off, places = [], set()
            for spot in SPOTS:
                drawn = filed.drag_to(page, spot, model)
                places.add(z := tuple(filed.cursor(page)))
                expected = decoded(space(name), [z])[0]
                assert drawn.shape == expected.shape
                off.append(int(np.abs(drawn.astype(int) - expected).max()))
            assert len(places) == len(SPOTS)
            assert max(off) <= 3, off
            print(
                f"live report: {file.stat().st_size:,} bytes; {name}: at most {max(off)} of 255 levels off at {len(off)} places"
            )
        assert page.page.get_by_role("button", name="copy link").count() == 0
    assert file.stat().st_size < LIVE_BUDGET
