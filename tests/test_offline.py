"""The part of a report that drags: its tiles are the decoder's, no word breaks out of it, it is small and asks for nothing."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import lzma
import re
from collections.abc import Generator
from functools import partial
from html import unescape
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from legato.errors import Mistake
from legato.explorer import offline
from legato.explorer.fields import Field
from legato.explorer.offline import Offline, pack, places, reach, small
from legato.explorer.points import Points
from legato.explorer.session import Session
from legato.explorer.sheet import LEVELS, Sheet, sheet
from legato.explorer.worker import finished
from legato.latent_space import LatentSpace
from legato.loading import load
from legato.pictures import to_bytes
from legato.report import drag
from legato.report.decoding import BINARY, Decoding, decoding, packed
from legato.report.drag import as_text, drag_section, draggable, live
from legato.report.html import Section, write_report
from made_runs import train, write_sources

WASM = "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2"  # of onnxruntime-web 1.30.0
LOAD = partial(load, device="cpu", threads=1)
SCRIPT, STYLE = 'const s = "</script><!-- é";', ":root { --a: '</style>' }"


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> list[LatentSpace]:
    """An autoencoder and a VAE of two latents, an autoencoder of three, a VAE of a table's two and of colour's two."""
    folder = tmp_path_factory.mktemp("offline")
    sources = write_sources(folder)
    two: dict[str, Any] = {"latent_dim": 2}
    wanted = [("autoencoder", two), ("vae", two), ("vae", {}), ("table", two), ("colour", two)]
    return [train(name, sources, folder / f"{i}-{name}", **words) for i, (name, words) in enumerate(wanted)]


@pytest.fixture(scope="module")
def found(spaces: list[LatentSpace]) -> dict[str, Any]:
    """What a file holds of the first two."""
    return Offline([space.run.path for space in spaces[:2]], spaces[0].data(), LOAD, titles=["A", "B"]).to_json()


def pixels(address: str) -> np.ndarray:
    """The picture of a data address, (h, w, 3)."""
    content = base64.b64decode(address.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


def tile(atlas: dict[str, Any], i: int, j: int) -> np.ndarray:
    """Tile in column i and row j."""
    w, h = atlas["width"], atlas["height"]
    return pixels(atlas["image"])[j * h : (j + 1) * h, i * w : (i + 1) * w]


@pytest.mark.parametrize("model", [0, 1])
@pytest.mark.parametrize(("i", "j"), [(0, 0), (31, 0), (0, 31), (31, 31), (7, 20)])
def test_a_tile_is_what_the_decoder_makes_of_its_place(
    spaces: list[LatentSpace], found: dict[str, Any], model: int, i: int, j: int
) -> None:
    one = found["models"][model]
    a0, a1, b0, b1 = one["extent"]
    z = np.array([[a0 + (a1 - a0) * i / 31, b0 + (b1 - b0) * j / 31]], np.float32)
    expected = to_bytes(spaces[model].decode(z))[0].astype(int)
    assert one["atlas"]["columns"] == one["atlas"]["rows"] == 32
    assert np.abs(tile(one["atlas"], i, j).astype(int) - expected).max() <= 3


def test_points_and_thumbnails_are_the_images_own(spaces: list[LatentSpace], found: dict[str, Any]) -> None:
    data = spaces[0].data()
    stored, rows = np.asarray(data.dataset.rows), np.array(found["thumbnails"]["rows"])
    assert found["thumbnails"]["ids"] == [data.dataset.ids[row] for row in rows]
    for model, space in enumerate(spaces[:2]):
        points = Points.read(base64.b64decode(found["models"][model]["points"]))
        np.testing.assert_array_equal(points.rows[: len(rows)], rows)
        mu, sigma = space.encode(stored[points.rows], points.rows.astype(np.int64))
        np.testing.assert_allclose(points.xy, mu, atol=1e-5)
        np.testing.assert_allclose(points.covariance[:, [0, 2]], sigma**2, rtol=2e-3, atol=1e-6)
    w, h, columns = (found["thumbnails"][name] for name in ("width", "height", "columns"))
    whole, n = pixels(found["thumbnails"]["image"]), 40
    shown = whole[n // columns * h :][:h, n % columns * w :][:, :w]
    original = to_bytes(data.preparation.original(stored[rows[n : n + 1]]))[0]
    assert np.abs(shown.astype(int) - original).max() <= 3


def test_measures_are_the_explorers_to_a_half_float(spaces: list[LatentSpace], found: dict[str, Any]) -> None:
    """Of latents the axes tell; every other that is offered is held."""
    session = Offline([space.run.path for space in spaces[:2]], spaces[0].data(), LOAD).session
    for model, held in enumerate(found["models"]):
        told = [one["key"] for one in found["session"]["models"][model]["colours"]]
        assert list(held["qualities"]) == told
        assert ("rate" in told) == (model == 1)
        for key in told:
            values = np.frombuffer(base64.b64decode(held["qualities"][key]), "<f2")
            np.testing.assert_allclose(values, finished(session.quality(model, None, key)), rtol=1e-3, atol=1e-4)


def test_fields_are_the_explorers(spaces: list[LatentSpace], found: dict[str, Any]) -> None:
    from legato.explorer.fields import Grid
    from legato.explorer.planes import Plane

    session = Offline([spaces[1].run.path], spaces[1].data(), LOAD).session
    one = found["models"][1]
    plane = Plane(*(np.array(one["plane"][name]) for name in ("u", "v", "anchor")))
    expected: Field = offline.finished(session.field(0, None, "support", plane, Grid(tuple(one["extent"]), offline.CELLS)))
    packed = one["fields"]["support"]
    steps = np.frombuffer(base64.b64decode(packed["values"]), "<u2").reshape(packed["height"], packed["width"])
    read = packed["low"] + steps / 65534 * (packed["high"] - packed["low"])
    np.testing.assert_allclose(read, expected.values, atol=(packed["high"] - packed["low"]) / 60000)
    assert packed["threshold"] == pytest.approx(expected.threshold)


def test_a_packed_field_marks_what_is_no_number() -> None:
    packed = pack(Field(np.array([[0.0, np.nan], [1.0, 4.0]], np.float32), float("nan")))
    steps = np.frombuffer(base64.b64decode(packed["values"]), "<u2")
    assert steps.tolist() == [0, 65535, round(65534 / 4), 65534]
    assert (packed["low"], packed["high"], packed["threshold"]) == (0.0, 4.0, None)
    assert pack(Field(np.full((1, 2), np.nan, np.float32), 1.0))["low"] == 0.0


def test_the_plane_reaches_around_codes_and_a_trained_priors_rings() -> None:
    xy = np.random.default_rng(0).normal([5, 0], [0.1, 2], (4000, 2))
    a0, a1, b0, b1 = reach(xy, False)
    assert a1 - a0 == pytest.approx(b1 - b0)
    assert (b0 < xy[:, 1]).mean() > 0.99
    around = reach(xy * 0.01, True)
    assert around[0] < -3
    assert around[3] > 3
    square = places((0, 3, 10, 13), 4)
    assert square[[0, 3, 4, 15]].tolist() == [[0, 10], [3, 10], [0, 11], [3, 13]]


@pytest.mark.parametrize("step", LEVELS)
def test_a_sheet_gives_up_levels_before_it_gives_up_pixels(step: int) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (16, 8, 8, 1), np.uint8)
    sizes = [len(sheet_of.content) for sheet_of in _sheets(noise)]
    assert sizes == sorted(sizes, reverse=True)
    budget = sizes[LEVELS.index(step)]
    one = sheet(noise, 4, budget)
    assert one is not None
    assert one.error <= step // 2
    assert len(one.content) <= budget


def _sheets(noise: np.ndarray) -> list[Any]:
    """A sheet for each of the lossless steps, by a budget just below the one before."""
    found, budget = [], 10**9
    for _ in LEVELS:
        one = sheet(noise, 4, budget)
        assert one is not None
        found.append(one)
        budget = len(one.content) - 1
    return found


def test_a_sheet_that_cannot_fit_is_none() -> None:
    assert sheet(np.random.default_rng(1).integers(0, 256, (16, 8, 8, 3), np.uint8), 4, 100) is None


def test_where_tiles_do_not_fit_fewer_are_taken(spaces: list[LatentSpace], monkeypatch: pytest.MonkeyPatch) -> None:
    def tight(pictures: np.ndarray, columns: int, budget: int) -> Sheet | None:
        return None if len(pictures) > 400 else sheet(pictures, columns, budget)

    monkeypatch.setattr(offline, "sheet", tight)
    one = Offline([spaces[0].run.path], spaces[0].data(), LOAD)
    found = one.to_json()
    assert one.sides == [16]
    assert found["models"][0]["atlas"]["rows"] == found["models"][0]["atlas"]["columns"] == 16
    assert len(found["thumbnails"]["rows"]) == 310  # the source has no more


def test_large_pictures_become_small_and_grey_ones_stay_grey() -> None:
    assert small(np.random.default_rng(0).random((2, 3, 100, 200)).astype(np.float32)).shape == (2, 32, 64, 3)
    assert small(np.full((2, 3, 8, 8), 0.5, np.float32)).shape == (2, 8, 8, 1)


def test_a_colour_run_is_one_too(spaces: list[LatentSpace]) -> None:
    one = Offline([spaces[4].run.path], spaces[4].data(), LOAD)
    atlas = one.to_json()["models"][0]["atlas"]
    assert tile(atlas, 3, 5).shape == (8, 8, 3)
    assert one.errors[0] <= 3


def test_a_decoder_that_fails_somewhere_says_where(spaces: list[LatentSpace], monkeypatch: pytest.MonkeyPatch) -> None:
    real = Session.decode

    def broken(self: Session, model: int, step: int | None, z: np.ndarray) -> Generator[None, None, np.ndarray]:
        decoded = yield from real(self, model, step, z)
        decoded[5] = np.nan
        return decoded

    monkeypatch.setattr(Session, "decode", broken)
    atlas = Offline([spaces[0].run.path], spaces[0].data(), LOAD).to_json()["models"][0]["atlas"]
    assert atlas["failed"] == [5]
    assert tile(atlas, 5, 0).max() == 0


def test_pictures_that_hardly_pack_are_smaller_rather_than_missing(
    spaces: list[LatentSpace], monkeypatch: pytest.MonkeyPatch
) -> None:
    def noise(self: Session, model: int, step: int | None, z: np.ndarray) -> Generator[None, None, np.ndarray]:
        return np.random.default_rng(0).random((len(z), 3, 64, 64), np.float32)
        yield

    monkeypatch.setattr(Session, "decode", noise)
    one = Offline([spaces[4].run.path], spaces[4].data(), LOAD, budget=100_000)
    atlas = one.to_json()["models"][0]["atlas"]
    assert atlas["rows"] == 16
    assert tile(atlas, 3, 5).shape in ((32, 32, 3), (16, 16, 3))
    assert one.taken <= 100_000


def test_no_text_of_a_person_ends_its_element() -> None:
    nasty = {"title": "</script><img src=x onerror=alert(1)>", "label": "<!--<script>", "line": "\u2028 & é"}
    text = as_text(nasty)
    assert "<" not in text
    assert json.loads(text) == nasty
    with pytest.raises(ValueError, match="JSON"):
        as_text({"x": float("nan")})


def test_the_script_is_allowed_by_its_hash_alone_and_ends_where_it_ends() -> None:
    block = live({"title": "</script>"}, SCRIPT, STYLE)
    (script,) = re.findall(r"<script>(.*?)</script>", block.markup, re.S)
    assert script == SCRIPT.replace("</script", "<\\/script").replace("<!--", "<\\!--")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert block.policy == f"script-src 'sha256-{digest}'"
    assert block.markup.count("</script>") == 3
    assert "<!--" not in block.markup
    data, style = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', block.markup, re.S)
    assert json.loads(data) == {"title": "</script>"}
    assert json.loads(style) == STYLE


def test_who_can_be_dragged_through(spaces: list[LatentSpace]) -> None:
    assert draggable(spaces) == spaces[:2]
    assert draggable(spaces[2:4]) == []
    assert drag_section([], spaces[0].data(), LOAD) is None


def test_without_the_script_it_is_said_in_words(spaces: list[LatentSpace], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drag, "script_and_style", lambda: None)
    section = drag_section(spaces[:1], spaces[0].data(), LOAD)
    assert section is not None
    assert section.live is None
    assert "npm run build" in section.text


def test_the_page_is_one_file_that_asks_for_nothing(
    spaces: list[LatentSpace], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(drag, "script_and_style", lambda: ("1", ":root {}"))
    section = drag_section(spaces[:2], spaces[0].data(), LOAD, titles=["A", "<b>"])
    assert section is not None
    assert "pictures of your data" in section.text
    assert "32 × 32" in section.text
    size = write_report(tmp_path / "page.html", "T", "L", [section])
    page = (tmp_path / "page.html").read_text("utf-8")
    assert size < 1_500_000
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert unescape(policy[1]).startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "unsafe-eval" not in policy[1]
    assert not re.findall(r'(?:src|href)="(?!data:|#)[^"]*"', page)
    assert not re.findall(r"https?://", page)


def test_a_page_without_it_allows_no_script(tmp_path: Path) -> None:
    write_report(tmp_path / "page.html", "T", "L", [Section("S", "words")])
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "script-src" not in page
    assert "<script" not in page


def test_a_live_page_carries_its_runtime_and_allows_it_and_no_more() -> None:
    carried = Decoding("open()", packed(b"\0asm"), (packed(b"one"), packed(b"two")))
    block = live({}, SCRIPT, STYLE, carried)
    wasm, decoders = (
        re.findall(rf'id="legato-space-{name}">(.*?)</script>', block.markup, re.S)[0] for name in ("wasm", "decoders")
    )
    assert gzip.decompress(base64.b64decode(wasm)) == b"\0asm"
    assert [gzip.decompress(base64.b64decode(each)) for each in json.loads(decoders)] == [b"one", b"two"]
    scripts = re.findall(r"<script>(.*?)</script>", block.markup, re.S)
    assert scripts[0] == "open()"  # the runtime first: the other asks whether it is there
    hashes = [base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in scripts]
    assert block.policy == f"script-src 'sha256-{hashes[0]}' 'sha256-{hashes[1]}' 'wasm-unsafe-eval'"


def test_the_shipped_binary_is_webassembly_of_the_pinned_runtime() -> None:
    root = Path(__file__).parent.parent
    content = lzma.decompress((root / "src/legato/explorer/_ort" / BINARY).read_bytes())
    assert content[:8] == b"\0asm\1\0\0\0"
    assert hashlib.sha256(content).hexdigest() == WASM
    assert json.loads((root / "ui/package.json").read_text())["devDependencies"]["onnxruntime-web"] == "1.30.0"


def test_live_refuses_pictures_that_the_page_cannot_draw(spaces: list[LatentSpace]) -> None:
    odd = SimpleNamespace(shape=(4, 8, 8), run=SimpleNamespace(path="RUN"))
    with pytest.raises(Mistake, match="1 or 3 channels, `RUN` has 4"):
        decoding([odd])  # type: ignore[list-item]
