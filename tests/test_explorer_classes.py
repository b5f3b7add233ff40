"""The explorer of a class-conditional model: a session for each class, by its rows, its model and its address."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from websockets.sync.client import connect

import legato
from legato.errors import Mistake
from legato.explorer.by_class import Sessions
from legato.explorer.fields import Grid
from legato.explorer.offline import Offline
from legato.explorer.opening import prepare
from legato.explorer.worker import finished
from legato.loading import load
from made_runs import SMALL, blobs
from patience import PATIENCE
from test_explorer_server import Served, asks, right, serving

LOAD = partial(load, device="cpu", threads=1)
Z = np.array([[0.5, -0.5, 0.1]], np.float32)


@pytest.fixture(scope="module")
def sessions(runs) -> Sessions:
    return prepare([runs["conditional_vae"], runs["vae"]], None, 10_000, LOAD, None)


@pytest.fixture(scope="module")
def quadrants() -> np.ndarray:
    return blobs()[1]


def test_each_class_has_its_own_images_its_own_model_and_its_own_colours(sessions, runs, quadrants):
    assert (sessions.names, sessions.first, sessions.now) == (("0", "1", "2", "3"), 0, sessions.of(0))
    space = load(runs["conditional_vae"], device="cpu")
    for k in range(4):
        session, one = sessions.of(k), space.of_class(str(k))
        assert sorted(session.catalogue.shown) == np.flatnonzero(quadrants == k).tolist()
        np.testing.assert_allclose(finished(session.decode(0, None, Z)), one.decode(Z), atol=1e-5)
        np.testing.assert_allclose(finished(session.decode(1, None, Z)), load(runs["vae"]).decode(Z), atol=1e-5)
        codes = finished(session.codes(0, None))
        rows = session.catalogue.shown
        np.testing.assert_allclose(codes.mu, one.encode(np.asarray(one.data().dataset.rows)[rows], rows)[0], atol=1e-5)
        told = finished(session.description())
        assert told["classes"] == {"names": ["0", "1", "2", "3"], "rows": np.bincount(quadrants).tolist(), "one": k}
        assert told["data"]["among"] == len(rows)
        assert not told["data"]["sampled"]
        np.testing.assert_allclose(told["models"][0]["mean"], one.codes()[0], atol=1e-6)
        assert len(finished(session.quality(0, None, "error"))) == len(rows)
        json.dumps(told, allow_nan=False)


def test_an_image_of_another_class_is_encoded_as_what_it_is_and_decoded_as_the_pages_class(sessions, runs, quadrants):
    space, row = load(runs["conditional_vae"], device="cpu"), int(np.flatnonzero(quadrants == 3)[0])
    found = finished(sessions.of(1).code(row, [None, None]))["models"][0]["mu"]
    x, own = np.asarray(space.data().dataset.rows)[[row]], np.array([3])
    np.testing.assert_allclose(found, space.encode(x, np.array([row]), own)[0][0], atol=1e-5)
    assert not np.allclose(found, space.of_class("1").encode(x, np.array([row]))[0][0], atol=1e-3)


def test_a_field_of_a_class_is_of_its_own_decoder(sessions):
    grid, found = Grid((-2, 2, -2, 2), 5), []
    for k in (0, 3):
        session = sessions.of(k)
        found.append(finished(session.field(0, None, "speed", finished(session.axes(0, None, 0, 1)), grid)).values)
    assert not np.allclose(*found)


def test_the_first_class_is_chosen_by_its_name(runs):
    opened = prepare([runs["conditional_vae"]], None, 10_000, LOAD, None, "2")
    assert opened.first == 2
    with pytest.raises(Mistake, match="no class `lion`: the classes are 0, 1, 2, 3"):
        prepare([runs["conditional_vae"]], None, 10_000, LOAD, None, "lion")
    with pytest.raises(Mistake, match="reads no label"):
        prepare([runs["vae"]], None, 10_000, LOAD, None, "2")
    assert prepare([runs["vae"]], None, 10_000, LOAD, None).names == ()


def test_a_class_with_too_few_images_is_told_and_not_opened_with(runs, tmp_path):
    images, labels = blobs(60, 5)
    rare = np.where((labels == 1) & (np.cumsum(labels == 1) > 1), 2, labels)  # one image of class 1 is left
    keep = labels != 0
    np.savez(tmp_path / "rare.npz", images=images[keep], labels=rare[keep])
    opened = prepare([runs["conditional_vae"]], str(tmp_path / "rare.npz"), 10_000, LOAD, None)
    assert (opened.first, opened.counts[:2]) == (2, [0, 1])
    with pytest.raises(Mistake, match="has 1 rows of the class `1`, and a map needs 2"):
        opened.of(1)
    with pytest.raises(Mistake, match="no class 4"):
        opened.of(4)


def test_unlabelled_images_count_as_of_any_class(runs, tmp_path):
    np.savez(tmp_path / "plain.npz", images=blobs(30, 6)[0])
    opened = prepare([runs["conditional_vae"]], str(tmp_path / "plain.npz"), 10_000, LOAD, None)
    assert opened.counts == [30] * 4
    space = load(runs["conditional_vae"], device="cpu")
    for k in (0, 2):
        codes = finished(opened.of(k).codes(0, None))
        rows = opened.of(k).catalogue.shown
        x = np.asarray(opened.prepared.dataset.rows)[rows]
        np.testing.assert_allclose(codes.mu, space.of_class(str(k)).encode(x, rows)[0], atol=1e-5)


def test_two_runs_that_know_different_classes_are_not_shown_side_by_side(runs, sources, tmp_path):
    images, labels = blobs()
    np.savez(tmp_path / "named.npz", images=images, labels=np.array(["a", "b", "c", "d"])[labels])
    legato.train("conditional_vae", str(tmp_path / "named.npz"), tmp_path / "r", **SMALL)
    with pytest.raises(Mistake, match="different classes"):
        prepare([runs["conditional_vae"], tmp_path / "r"], str(sources["grey"]), 10_000, LOAD, None)


@pytest.fixture(scope="module")
def served(runs):
    with serving(runs["conditional_vae"]) as found:
        yield found


def got(served: Served, path: str) -> bytes:
    status, _, content = served.ask(path)
    assert status == 200, content
    return content


def test_each_class_has_an_address_where_everything_is_of_it(served: Served, runs):
    space = load(runs["conditional_vae"], device="cpu")
    first = json.loads(got(served, "session.json"))["classes"]["one"]
    assert first == 0
    for k in range(4):
        below = f"class/{k}/"
        assert got(served, below) == got(served, "")
        assert json.loads(got(served, f"{below}session.json"))["classes"]["one"] == k
        with connect(f"ws://{served.host}/{served.token}/{below}socket", open_timeout=PATIENCE) as ws:
            assert right(asks(ws, Z[0]), Z[0], space.of_class(str(k)))


def test_an_address_of_no_class_is_a_mistake_in_one_line_and_none_gets_past_the_token(served: Served):
    assert "no class 9" in served.mistake("class/9/session.json", None)
    for path in ("class/", "class/x/", "class/-1/", "class/1", "class/1/2/"):
        assert served.ask(path)[0] == 404
    assert served.ask("class/1/session.json", below="x" * 22)[0] == 403


def test_a_report_to_drag_on_is_of_one_class(sources, tmp_path):
    out = Path(tmp_path / "two")
    legato.train("conditional_vae", str(sources["grey"]), out, **{**SMALL, "latent_dim": 2})
    one = load(out, label="3")
    told = Offline([out], one.data(), LOAD).to_json()
    assert told["session"]["data"]["among"] == len(one.data().split("all"))
    mean = told["session"]["models"][0]["mean"]
    np.testing.assert_allclose(mean, one.codes()[0], atol=1e-6)
