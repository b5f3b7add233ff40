"""UMAP layouts of the explorer's map: each made once in a process of its own, for whom somebody waits, and killed for nobody.

All but the last two tests have a stand-in for umap-learn, with its interface, in that process.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from legato.errors import Mistake
from legato.explorer import layout
from legato.explorer.embedding import packed
from legato.explorer.layout import EXTRA, MOST, Layouts, laid_out, obstacle
from legato.explorer.opening import prepare
from legato.explorer.points import NO_LABEL, Points
from legato.explorer.worker import finished
from patience import PATIENCE
from test_explorer_server import AXES, BASE, FIELD, LOAD, asks, right, serving

STAND_IN = """
import os, time
class UMAP:
    def __init__(self, *, n_neighbors, init, random_state, n_jobs):
        assert (n_neighbors, init, random_state, n_jobs) == (15, "pca", 0, 1)
    def fit_transform(self, codes):
        print("what a library says")
        folder, mode = os.environ["STAND_IN"], os.environ["STAND_IN_MODE"]
        def note(word):
            with open(f"{folder}/notes", "a") as file:
                file.write(f"{word} {os.getpid()}\\n")
        note("begun")
        if mode == "slow":
            time.sleep(600)
        if mode == "broken":
            raise ValueError("first line\\nthe last line")
        if mode == "missing":
            raise ImportError("no numba")
        time.sleep(0.2)
        note("ended")
        return 2 * codes[:, [1, 0]] if mode == "quick" else codes[:, :2] + float("nan")
"""
UMAP = pytest.mark.skipif(find_spec("umap") is None, reason="no UMAP: pip install umap-learn, or make peers")
CODES = np.random.default_rng(0).normal(size=(40, 5)).astype(np.float32)


class StandIn:
    """How the stand-in behaves, and what it did."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        (folder / "umap.py").write_text(STAND_IN)
        monkeypatch.syspath_prepend(folder)
        monkeypatch.setenv("STAND_IN", str(folder))
        self.be("quick")

    def be(self, mode: str) -> None:
        self._patch.setenv("STAND_IN_MODE", mode)

    @property
    def notes(self) -> list[tuple[str, int]]:
        file = self.folder / "notes"
        lines = file.read_text().splitlines() if file.exists() else []
        return [(line.split()[0], int(line.split()[1])) for line in lines]


@pytest.fixture
def stand_in(tmp_path, monkeypatch) -> StandIn:
    return StandIn(tmp_path, monkeypatch)


def eventually(look: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < end
        time.sleep(0.05)


async def eventually_so(look: Callable[[], bool]) -> None:
    await asyncio.to_thread(eventually, look)


def lives(pid: int) -> bool:
    """Whether a process computes still; one that nobody has asked about since it ended does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_layout_is_made_once_for_all_who_ask(stand_in):
    async def ask() -> list[np.ndarray]:
        layouts = Layouts()
        first = await asyncio.gather(*(layouts.of("a", CODES) for _ in range(3)))
        return [*first, await layouts.of("a", CODES)]

    for places in asyncio.run(ask()):
        np.testing.assert_array_equal(places, 2 * CODES[:, [1, 0]])
    assert [word for word, _ in stand_in.notes] == ["begun", "ended"]


def test_one_layout_is_made_at_a_time(stand_in):
    async def ask() -> None:
        layouts = Layouts()
        await asyncio.gather(*(layouts.of(key, CODES) for key in "abc"))

    asyncio.run(ask())
    assert [word for word, _ in stand_in.notes] == ["begun", "ended"] * 3


def test_a_layout_that_nobody_waits_for_is_killed_and_the_next_begins(stand_in):
    stand_in.be("slow")

    async def ask() -> None:
        layouts = Layouts()
        one, other = (asyncio.create_task(layouts.of("a", CODES)) for _ in range(2))
        await eventually_so(lambda: bool(stand_in.notes))
        (_, pid), stand = stand_in.notes[0], stand_in
        one.cancel()
        await asyncio.sleep(0.3)
        assert lives(pid)
        assert not other.done()
        other.cancel()
        await eventually_so(lambda: not lives(pid))
        stand.be("quick")
        np.testing.assert_array_equal(await layouts.of("a", CODES), 2 * CODES[:, [1, 0]])

    asyncio.run(ask())


@pytest.mark.parametrize(("mode", "line"), [("broken", "the last line"), ("missing", "needs the extra"), ("odd", "not finite")])
def test_what_goes_wrong_is_one_line(stand_in, mode, line):
    stand_in.be(mode)
    with pytest.raises(Mistake, match=line):
        asyncio.run(laid_out(CODES))


def test_a_layout_ends_with_who_asked_for_it(stand_in):
    stand_in.be("slow")
    code = "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdin=0); p.wait()"
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, "-c", code, *layout.COMMAND], stdin=subprocess.PIPE, env=env) as parent:
        parent.stdin.write(packed(CODES))
        parent.stdin.close()
        eventually(lambda: bool(stand_in.notes))
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not lives(stand_in.notes[0][1]))


def test_why_there_is_no_layout(stand_in, monkeypatch):
    assert obstacle(MOST) is None
    assert "20,000" in obstacle(MOST + 1)
    assert "5 images" in obstacle(4)
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    assert obstacle(MOST) == EXTRA


@pytest.fixture
def served(runs, stand_in):
    with serving(runs["vae"], runs["autoencoder"]) as found:
        yield found


def plane(served, model: int = 0) -> dict:
    return json.loads(served.post("plane", {**BASE, "model": model, "kind": "umap"}))


def test_the_page_is_served_a_layout(served, runs, stand_in):
    assert json.loads(served.ask("session.json")[2])["limits"]["no_umap"] is None
    there = prepare([runs["vae"], runs["autoencoder"]], None, 10_000, LOAD, None).now
    principal = json.loads(served.post("plane", {**BASE, "kind": "pca"}))
    assert plane(served) == {**principal, "layout": "umap"}
    shown = there.catalogue.shown
    for model in (0, 1, 0):
        points = Points.read(served.post("points", {**BASE, "model": model, "plane": plane(served, model)}))
        white = finished(there.codes(model, None)).white
        np.testing.assert_allclose(points.xy, 2 * white[:, [1, 0]], rtol=1e-4, atol=1e-5)
        assert points.rows.tolist() == shown.tolist()
        assert points.labels.tolist() == there.catalogue.dataset.labels[shown].tolist()
        assert NO_LABEL not in points.labels
        assert not points.off.any()
        assert not points.covariance.any()
    assert len(stand_in.notes) == 4
    snapshot = there.members[0].to_json("")["snapshots"][0]
    served.post("points", {**BASE, "step": snapshot, "plane": plane(served)})
    assert len(stand_in.notes) == 6
    assert "no inverse" in served.mistake("field", {**FIELD, "plane": plane(served)})
    assert "layout" in served.mistake("points", {**BASE, "plane": {**AXES, "layout": "tsne"}})


def test_a_cursor_goes_first_and_a_page_that_leaves_ends_its_layout(served, runs, stand_in):
    stand_in.be("slow")
    body = json.dumps({**BASE, "plane": plane(served)})
    leaving = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE)
    leaving.request("POST", f"/{served.token}/points", body)
    eventually(lambda: bool(stand_in.notes))
    z = np.ones(3, np.float32)
    with served.drag() as ws:
        assert right(asks(ws, z), z, LOAD(runs["vae"]))
    assert lives(stand_in.notes[0][1])
    leaving.close()
    eventually(lambda: not lives(stand_in.notes[0][1]))


def test_a_server_that_ends_ends_its_layouts(served, stand_in):
    stand_in.be("slow")
    body, told = {**BASE, "plane": plane(served)}, []
    page = threading.Thread(target=lambda: told.append(served.ask("points", body)[0]))
    page.start()
    eventually(lambda: bool(stand_in.notes))
    served.opening.server.should_exit = True
    page.join(PATIENCE)
    assert told == [503]
    eventually(lambda: not lives(stand_in.notes[0][1]))


def test_without_umap_the_page_is_told_how_to_get_it(runs, monkeypatch):
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    with serving(runs["vae"]) as served:
        assert json.loads(served.ask("session.json")[2])["limits"]["no_umap"] == EXTRA
        assert served.mistake("plane", {**BASE, "kind": "umap"}) == EXTRA
        assert served.mistake("points", {**BASE, "plane": {**AXES, "layout": "umap"}}) == EXTRA


def clusters(n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, n)
    return (6 * np.eye(8)[labels] + rng.normal(size=(n, 8))).astype(np.float32), labels


SIZES = ("5", "400", "4200")  # from 4,096 on neighbours are found by a search of its own
LAY_OUT = """
import sys
import numpy as np
from legato.explorer.embedding import places
np.savez(sys.argv[2], **{n: places(codes) for n, codes in np.load(sys.argv[1]).items()})
"""


@pytest.fixture(scope="module")
def twice(tmp_path_factory) -> list[dict[str, np.ndarray]]:
    """Layouts of some codes, in two processes: each compiles UMAP, most of a minute, so that all sizes share one."""
    folder = tmp_path_factory.mktemp("laid")
    np.savez(folder / "codes.npz", **{n: clusters(int(n))[0] for n in SIZES})
    found = [folder / "first.npz", folder / "second.npz"]
    words, env = [sys.executable, "-c", LAY_OUT, folder / "codes.npz"], {**os.environ, **layout.ONE_THREAD}
    both = [subprocess.Popen([*words, out], env=env, stderr=subprocess.PIPE) for out in found]
    for one in both:
        told = one.communicate()[1]
        assert one.returncode == 0, told.decode(errors="replace")
    return [dict(np.load(out)) for out in found]


@UMAP
def test_what_is_near_in_latent_space_is_near_in_the_layout(twice):
    codes, labels = clusters()
    places = twice[0]["400"]
    assert places.shape == (400, 2)
    near = cKDTree(places).query(places, 11)[1][:, 1:]
    assert (labels[near] == labels[:, None]).mean() > 0.97
    kept = cKDTree(codes).query(codes, 31)[1][:, 1:]
    shares = [len(set(a) & set(b)) / 10 for a, b in zip(near.tolist(), kept.tolist(), strict=True)]
    assert np.mean(shares) > 0.5  # of ten neighbours on the map, half are among thirty in latent space; at random 0.08


@UMAP
@pytest.mark.parametrize("n", SIZES)
def test_the_same_codes_have_the_same_layout(n, twice):
    first, second = (found[n] for found in twice)
    assert first.shape == (int(n), 2)
    np.testing.assert_array_equal(first, second)
