"""The explorer's server, a real one on a port of its own: who may ask, what is refused, and that nobody harms another page."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from legato.errors import Mistake
from legato.explorer import assets, frames, tiles
from legato.explorer.fields import Field
from legato.explorer.frames import ERROR, RGBA, Answered, CursorRequest
from legato.explorer.guard import Guard
from legato.explorer.opening import Opening, listen, prepare
from legato.explorer.points import Points
from legato.explorer.server import JSON
from legato.explorer.session import UPLOAD
from legato.loading import load
from patience import PATIENCE

LOAD = partial(load, device="cpu", threads=1)
AXES = {"u": [1, 0, 0], "v": [0, 1, 0], "anchor": [0, 0, 0]}
BASE: dict[str, Any] = {"model": 0, "step": None}
DRAWS: dict[str, Any] = {**BASE, "seed": 0, "n": 2, "temperature": [1.0]}
FIELD = {**BASE, "kind": "support", "plane": AXES, "extent": [-2, 2, -1, 1], "size": 8}


@dataclass
class Served:
    """A server and how to ask it."""

    opening: Opening
    port: int
    token: str

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def ask(
        self, path: str, body: Any = None, method: str | None = None, below: str | None = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        content = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        target = f"/{self.token if below is None else below}/{path}"
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method or ("GET" if body is None else "POST"), target, content, told)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def post(self, path: str, body: Any) -> bytes:
        status, _, content = self.ask(path, body)
        assert status == 200, content
        return content

    def mistake(self, path: str, body: Any) -> str:
        status, _, content = self.ask(path, body)
        assert status == 400, (status, content)
        line = json.loads(content)["error"]
        assert line
        assert "\n" not in line
        return line

    def drag(self, **more: Any) -> ClientConnection:
        return connect(f"ws://{self.host}/{self.token}/socket", **{"open_timeout": PATIENCE, **more})


@contextmanager
def serving(*runs: Any) -> Iterator[Served]:
    listener = listen("127.0.0.1", 0)
    opening = Opening(prepare(runs, None, 10_000, LOAD, None), listener)
    thread = threading.Thread(target=opening.run)
    thread.start()
    port, token = re.fullmatch(r"http://127\.0\.0\.1:(\d+)/([\w-]{22})/", opening.url).groups()
    try:
        yield Served(opening, int(port), token)
    finally:
        opening.server.should_exit = True
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def served(runs) -> Iterator[Served]:
    with serving(runs["vae"], runs["autoencoder"]) as found:
        yield found


def asks(ws: ClientConnection, z: Any, seq: int = 1, model: int = 0, step: int = 0) -> Answered:
    ws.send(CursorRequest(seq, 1, model, step, np.asarray(z, np.float32)).pack())
    return Answered.read(ws.recv(timeout=PATIENCE))


def right(answered: Answered, z: Any, space: Any) -> bool:
    expected = tiles.rgba(space.decode(np.asarray([z], np.float32)))[0].astype(int)
    shown = np.frombuffer(answered.picture.payload, np.uint8).reshape(8, 8, 4)
    return answered.picture.fmt == RGBA and np.abs(shown - expected).max() <= 2


def test_a_page_is_there_with_its_headers(served):
    status, headers, content = served.ask("")
    assert status == 200
    assert content == assets.read()["index.html"]
    assert headers["Content-Type"].startswith("text/html")
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert served.ask("session.json")[1]["Cache-Control"] == "no-store"


@pytest.mark.parametrize("below", ["", "x", "a" * 22, "%00", "..", "tök%C3%A9n"])
def test_another_token_is_403(served, below):
    for path in ("", "session.json", "assets/app.js", "image/0.png"):
        assert served.ask(path, below=below.encode("ascii", "ignore").decode())[0] == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"}, {"Host": "evil.example:{port}"}, {"Host": "127.0.0.1"}, {"Host": "127.0.0.1:1"}, {"Host": ""},
        {"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:1"}, {"Origin": "https://{host}"},
    ],
)  # fmt: skip
def test_a_foreign_host_or_origin_is_403(served, headers):
    told = {name: value.format(port=served.port, host=served.host) for name, value in headers.items()}
    assert served.ask("session.json", **told)[0] == 403
    assert served.ask("decode", {**BASE, "z": [[0, 0, 0]]}, **told)[0] == 403
    if "Origin" in told:
        with pytest.raises(InvalidStatus, match="403"):
            served.drag(origin=told["Origin"])


def test_the_page_itself_may_ask(served):
    for name in ("127.0.0.1", "localhost"):
        own = {"Host": f"{name}:{served.port}", "Origin": f"http://{name}:{served.port}"}
        assert served.ask("session.json", **own)[0] == 200
    with served.drag(origin=f"http://{served.host}") as ws:
        assert asks(ws, [0, 0, 0]).picture.fmt == RGBA
    with pytest.raises(InvalidStatus, match="403"):
        connect(f"ws://{served.host}/{'a' * 22}/socket")


@pytest.mark.parametrize(
    "path",
    [
        "nope",
        "assets/",
        "assets/nope.js",
        "assets/../index.html",
        "assets/%2e%2e/%2e%2e/server.py",
        "image/x.png",
        "row/x",
        "find/",
    ],
)
def test_what_is_not_there_is_404(served, path):
    status, _, content = served.ask(path)
    assert status == 404
    assert "error" in json.loads(content)


def test_no_path_of_a_request_reaches_the_disk(served):
    secret = "/../../../../../../../../etc/passwd"
    for path in ("assets" + secret, "assets/" + secret.replace("/", "%2f"), "image" + secret, secret):
        assert served.ask(path)[0] in (403, 404)


def test_a_missing_page_says_how_to_build_it(monkeypatch, tmp_path):
    monkeypatch.setattr(assets, "files", lambda package: tmp_path)
    assert b"npm run build" in assets.read()["index.html"]
    (tmp_path / "_ui/assets").mkdir(parents=True)
    (tmp_path / "_ui/index.html").write_text("<p>page")
    (tmp_path / "_ui/assets/app.js").write_text("1")
    assert assets.read() == {"index.html": b"<p>page", "assets/app.js": b"1"}
    assert assets.answer(b"1", "assets/app.js").media_type.startswith("text/javascript")


def test_every_question_has_its_answer(served, runs):
    space = load(runs["vae"])
    assert json.loads(served.ask("session.json")[2])["version"] == 1
    for kind in ({"kind": "axes", "i": 0, "j": 2}, {"kind": "pca"}, {"kind": "local", "at": [0.1, 0, 0]}):
        plane = json.loads(served.post("plane", {**BASE, **kind}))
        assert np.dot(plane["u"], plane["v"]) == pytest.approx(0, abs=1e-9)
    assert len(Points.read(served.post("points", {**BASE, "plane": AXES})).rows) == 310
    z = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    content = served.post("decode", {**BASE, "z": z.tolist()})
    n, w, h, c, fmt, _ = tiles.HEADER.unpack_from(content)
    assert (n, w, h, c, fmt) == (40, 8, 8, 4, RGBA)
    shown = np.frombuffer(content, np.uint8, offset=12 + 40).reshape(40, 8, 8, 4)
    assert np.abs(shown.astype(int) - tiles.rgba(space.decode(z))).max() <= 1
    for kind in ("density", "holes", "support", "speed"):
        field = Field.read(served.post("field", {**FIELD, "kind": kind}))
        assert field.values.shape == (4, 8)
        assert np.isfinite(field.threshold) == (kind in ("holes", "support"))
    assert len(json.loads(served.post("locate", {**BASE, "z": [0, 0, 0], "k": 5}))["rows"]) == 5
    assert len(json.loads(served.post("dimensions", BASE))["dimensions"]) == 3
    assert len(json.loads(served.post("code", {"row": 3, "step": [None, 1]}))["models"]) == 2
    assert len(json.loads(served.post("mean", {**BASE, "rows": [1, 2]}))["mu"]) == 3
    assert json.loads(served.post("examples", {"step": [None, 1]}))["by"]
    ways = json.loads(served.post("ways", {**BASE, "rows": [[1, 2], [3, 4]], "cells": 5}))
    assert (np.shape(ways["errors"]), np.shape(ways["inside"])) == ((2, 5), (2, 5))
    assert json.loads(served.ask("find?q=train")[2])["rows"] is not None
    assert json.loads(served.ask("curves/1?after=2")[2])["state"] == "finished"
    image = Image.open(BytesIO(served.ask("image/3.png")[2]))
    assert image.size == (8, 8)
    own = np.frombuffer(served.ask("row/3")[2], np.uint8, offset=16).reshape(8, 8, 4)
    assert np.array_equal(own, np.asarray(image.convert("RGBA")))
    brought = json.loads(served.post("encode", served.ask("image/3.png")[2]))
    assert brought["image"].startswith("data:image/png;base64,")
    np.testing.assert_allclose(brought["models"][0]["mu"], space.encode(np.asarray(image)[None, None])[0][0], atol=1e-5)
    small = served.post("thumbnails", {"rows": [3, 5]})
    assert tiles.HEADER.unpack_from(small) == (2, 8, 8, 4, RGBA, 0)
    assert np.array_equal(np.frombuffer(small, np.uint8, 256, 16).reshape(8, 8, 4), own)
    values = np.frombuffer(served.post("quality", {**BASE, "key": "z1"}), "<f4")
    np.testing.assert_allclose(values, Points.read(served.post("points", {**BASE, "plane": AXES})).xy[:, 1], atol=1e-6)
    table = served.post("selection.csv", {**BASE, "rows": [4, 1]}).decode().splitlines()
    assert table[0] == "row,id,label,z0,z1,z2"
    assert [line.split(",")[0] for line in table[1:]] == ["4", "1"]
    assert {each["name"] for each in brought["findings"]} == {"nearest", "brightness", "contrast"}
    assert {each["name"] for each in brought["models"][1]["findings"]} == {"error", "support"}
    told = json.loads(served.post("rows", {"rows": [3, 0]}))
    assert (told["rows"], told["ids"], told["values"]) == ([3, 0], ["3", "0"], None)
    gif = served.post("path.gif", {**BASE, "stops": [[0, 0, 0], [1, 1, 1]], "spherical": True, "frames": 4})
    assert gif.startswith(b"GIF89a")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("decode", {**BASE, "z": []}), ("decode", {**BASE, "z": [[0, 0, 0]] * 257}), ("decode", {**BASE, "z": [[0, 0]]}),
        ("decode", {**BASE, "z": [[0, 0, 0], [0]]}), ("decode", {**BASE, "z": [[0, 0, "1"]]}), ("decode", {**BASE, "z": 3}),
        ("decode", {**BASE, "z": [[0, 0, True]]}), ("decode", {**BASE, "z": [[0, 0, 1e10]]}), ("decode", {"z": [[0, 0, 0]]}),
        ("decode", {**BASE, "model": 2, "z": [[0, 0, 0]]}), ("decode", {**BASE, "model": -1, "z": [[0, 0, 0]]}),
        ("decode", {**BASE, "model": 0.0, "z": [[0, 0, 0]]}), ("decode", {**BASE, "step": 999, "z": [[0, 0, 0]]}),
        ("decode", {**BASE, "step": "1", "z": [[0, 0, 0]]}), ("decode", b""), ("decode", b"[]"), ("decode", b"{"),
        ("decode", b'{"model":0,"z":[[NaN,0,0]]}'), ("decode", b'{"model":0,"z":[[1e999,0,0]]}'), ("decode", b"\xff\xfe"),
        ("decode", b'{"model":0,"z":[[1' + b"0" * 5000 + b",0,0]]}"), ("decode", b"[" * 100_000), ("decode", b" " * (JSON + 1)),
        ("field", {**FIELD, "size": 0}), ("field", {**FIELD, "size": 513}), ("field", {**FIELD, "extent": [0, 0, 0, 1]}),
        ("field", {**FIELD, "extent": [0, 1]}), ("field", {**FIELD, "kind": "beauty"}), ("field", {**FIELD, "plane": [1]}),
        ("field", {**FIELD, "plane": {**AXES, "v": [1, 0, 0]}}), ("field", {**FIELD, "plane": {**AXES, "v": [0, 1]}}),
        ("points", {**BASE, "plane": {"u": [1, 0], "v": [0, 1], "anchor": [0, 0]}}), ("points", BASE),
        ("plane", {**BASE, "kind": "axes", "i": 0, "j": 3}), ("plane", {**BASE, "kind": "local", "at": [0]}),
        ("plane", {**BASE, "kind": "tsne"}), ("locate", {**BASE, "z": [0, 0, 0], "k": 0}), ("locate", {**BASE, "k": 3}),
        ("code", {"row": 310, "step": [None, None]}), ("code", {"row": 0, "step": [None]}), ("code", {"row": 0, "step": None}),
        ("mean", {**BASE, "rows": []}), ("mean", {**BASE, "rows": [0.5]}), ("mean", {**BASE, "rows": [999]}),
        ("selection.csv", {**BASE, "rows": []}), ("selection.csv", {**BASE, "rows": [310]}),
        ("selection.csv", {**BASE, "rows": [True]}),
        ("thumbnails", {"rows": [0] * 257}), ("thumbnails", {"rows": [310]}), ("thumbnails", {"rows": 3}),
        ("quality", {**BASE, "key": "beauty"}), ("quality", {**BASE, "key": ["z0"]}),
        ("path.gif", {**BASE, "stops": [[0, 0, 0]], "spherical": False, "frames": 4}),
        ("path.gif", {**BASE, "stops": [[0, 0, 0]] * 9, "spherical": False, "frames": 900}),
        ("path.gif", {**BASE, "stops": [[0, 0, 0]] * 2, "spherical": 1, "frames": 9}),
        ("examples", {"step": [None]}), ("examples", {"step": [None, 999]}), ("examples", {}),
        ("ways", {**BASE, "rows": [[1]], "cells": 5}), ("ways", {**BASE, "rows": [[1, 310]], "cells": 5}),
        ("ways", {**BASE, "rows": [[1, 2]] * 65, "cells": 5}), ("ways", {**BASE, "rows": [[1, 2]], "cells": 0}), ("ways", BASE),
        ("prior", {**DRAWS, "n": 257}), ("prior", {**DRAWS, "name": "../x"}), ("prior", {**DRAWS, "temperature": 1}),
        ("film", {**DRAWS, "name": "none", "frames": 9}), ("film", {**DRAWS, "name": "none", "frames": 66}), ("film", DRAWS),
        ("rows", {"rows": []}), ("rows", {"rows": [310]}), ("rows", {"rows": [0] * 201}), ("rows", {"rows": 3}),
        ("encode", b""), ("encode", b"GIF89a"), ("encode", bytes(UPLOAD + 1)),
    ],
)  # fmt: skip
def test_a_bad_question_is_one_line(served, path, body):
    served.mistake(path, body)


@pytest.mark.parametrize("path", ["image/310.png", "row/310", "curves/2", "curves/0?after=x", "curves/0?after=-1"])
def test_a_bad_address_is_one_line(served, path):
    served.mistake(path, None)


NAMES = ["model", "step", "z", "k", "kind", "plane", "extent", "size", "rows", "row", "stops", "frames", "cells"]
NAMES += ["seed", "n", "temperature", "name"]
PATHS = ["decode", "field", "locate", "plane", "points", "mean", "code", "path.gif", "dimensions", "examples", "ways", "rows"]
PATHS += ["prior", "film"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5)
VALUES = st.recursive(LEAVES, st.lists, max_leaves=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(PATHS), st.dictionaries(st.sampled_from(NAMES), VALUES))
def test_no_question_is_an_error_of_ours(served, path, body):
    assert served.ask(path, body)[0] in (200, 400)


def test_a_picture_that_would_be_huge_is_refused_unread(served):
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(1000)))
    for bomb in (png, b"P5 60000 60000 255\n" + bytes(100), b"P5 9000 9000 255\n" + bytes(100)):
        assert "absurdly large" in served.mistake("encode", bomb)


def test_a_body_is_counted_while_it_arrives(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as raw:
        raw.sendall(
            f"POST /{served.token}/decode HTTP/1.1\r\nHost: {served.host}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        part = b"10000\r\n" + b" " * 65536 + b"\r\n"
        answer = b""
        try:
            for _ in range(64):  # four megabytes, of which one is allowed
                raw.sendall(part)
            raw.sendall(b"0\r\n\r\n")
        except OSError:
            pass  # it was refused already
        answer = raw.recv(4096)
    assert b" 400 " in answer.split(b"\r\n")[0]


def test_a_drag_shows_what_the_models_decode(served, runs):
    spaces = [load(runs["vae"]), load(runs["autoencoder"])]
    rng = np.random.default_rng(0)
    with served.drag() as ws:
        for seq in range(40):
            z, model = rng.normal(size=3).astype(np.float32), seq % 2
            answered = asks(ws, z, seq, model)
            assert (answered.seq, answered.op, answered.model) == (seq, 1, model)
            assert right(answered, z, spaces[model])
        early = load(runs["vae"], step=1)
        assert right(asks(ws, z, 99, 0, 1), z, early)


def test_a_mistake_on_the_socket_is_told_there(served):
    with served.drag() as ws:
        for z, step in (([0, 0], 0), ([np.nan, 0, 0], 0), ([0, 0, 0], 999)):
            answered = asks(ws, z, 5, 0, step)
            assert (answered.seq, answered.picture.fmt) == (5, ERROR)
            assert answered.picture.payload.decode()
        assert asks(ws, [0, 0, 0], 6).picture.fmt == RGBA


NO_OP, NO_MODEL = struct.pack("<IBBHf", 0, 7, 0, 0, 0), struct.pack("<IBBHf", 0, 1, 9, 0, 0)


@pytest.mark.parametrize("garbage", [b"", b"x", bytes(11), bytes(13), NO_OP, NO_MODEL, "text"])
def test_what_is_no_frame_ends_its_own_socket(served, garbage):
    with served.drag() as other, served.drag() as ws:
        ws.send(garbage)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=PATIENCE)
        assert closed.value.rcvd.code == 1007
        assert asks(other, [0, 0, 0]).picture.fmt == RGBA


def test_a_frame_that_is_too_long_ends_its_own_socket(served):
    with served.drag() as other, served.drag() as ws:
        ws.send(bytes(1 << 20))
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=PATIENCE)
        assert closed.value.rcvd.code == 1009
        assert asks(other, [0, 0, 0]).picture.fmt == RGBA


def test_of_a_flood_the_newest_is_answered_and_little_else(served, runs):
    space, count = load(runs["vae"]), 3000
    rng = np.random.default_rng(1)
    zs = rng.normal(size=(count, 3)).astype(np.float32)
    with served.drag(max_queue=None) as ws:
        for seq, z in enumerate(zs):
            ws.send(CursorRequest(seq, 1, 0, 0, z).pack())
        answers = []
        while not answers or answers[-1].seq != count - 1:
            answers.append(Answered.read(ws.recv(timeout=PATIENCE)))
    seqs = [answer.seq for answer in answers]
    assert seqs == sorted(set(seqs))
    assert right(answers[-1], zs[-1], space)
    assert all(right(answer, zs[answer.seq], space) for answer in answers[:: max(1, len(answers) // 20)])


def test_nobody_harms_another_page(served, runs):
    """One page floods, one sends garbage, one goes away in the middle of a frame, one of an answer, one asks for much."""
    over, space = threading.Event(), load(runs["vae"])
    failures: list[BaseException] = []
    rng = np.random.default_rng(2)

    def harm(act: Any) -> None:
        while not over.is_set():
            try:
                act()
            except (OSError, ConnectionClosed, TimeoutError, http.client.HTTPException):
                continue
            except BaseException as error:
                failures.append(error)
                return

    def flood() -> None:
        with served.drag() as ws:
            for seq in range(500):
                ws.send(CursorRequest(seq, 1, seq % 2, 0, np.zeros(3)).pack())

    def garbage() -> None:
        with served.drag() as ws:
            ws.send(os.urandom(50))
            ws.recv(timeout=PATIENCE)

    def half() -> None:
        with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as raw:
            raw.sendall(
                f"GET /{served.token}/socket HTTP/1.1\r\nHost: {served.host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            raw.recv(1024)
            raw.sendall(b"\x82\x94\0\0")  # a binary frame of 20 bytes, of which nothing comes
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # and a reset instead of an end

    def vanish() -> None:
        content = json.dumps({**FIELD, "size": 256, "kind": "holes"}).encode()
        with socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE) as raw:
            raw.sendall(
                f"POST /{served.token}/field HTTP/1.1\r\nHost: {served.host}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
                + content
            )
            time.sleep(0.02)

    def much() -> None:
        served.ask("decode", {**BASE, "z": [[0, 0, 0]] * 256})

    threads = [threading.Thread(target=harm, args=(act,)) for act in (flood, garbage, half, vanish, much)]
    for thread in threads:
        thread.start()
    try:
        with served.drag() as ws:
            for seq in range(150):
                z = rng.normal(size=3).astype(np.float32)
                answered = asks(ws, z, seq)
                assert answered.seq == seq
                assert right(answered, z, space)
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert not failures
    assert served.ask("session.json")[0] == 200


def test_a_table_is_served_as_numbers(runs):
    with serving(runs["table"]) as served, served.drag() as ws:
        answered = asks(ws, [0, 0, 0])
        np.testing.assert_allclose(
            np.frombuffer(answered.picture.payload, "<f4"), load(runs["table"]).decode(np.zeros((1, 3)))[0], rtol=1e-5
        )
        served.mistake("image/0.png", None)
        own = np.asarray(load(runs["table"]).data().dataset.rows[7], np.float32)
        status, _, content = served.ask("row/7")
        assert status == 200
        assert tiles.HEADER.unpack_from(content) == (1, 4, 1, 1, frames.VALUES, 0)
        assert np.array_equal(np.frombuffer(content, "<f4", offset=16), own)


def test_a_server_that_ends_lets_its_pages_go(runs):
    with serving(runs["vae"]) as served, served.drag() as ws:
        assert asks(ws, [0, 0, 0]).picture.fmt == RGBA
        served.opening.server.should_exit = True
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=PATIENCE)
    with pytest.raises(OSError, match="refused"):
        socket.create_connection(("127.0.0.1", served.port), timeout=PATIENCE)


def test_a_port_that_is_taken_is_a_mistake():
    with listen("127.0.0.1", 0) as taken, pytest.raises(Mistake, match="choose another --port"):
        listen("127.0.0.1", taken.getsockname()[1])
    for host, port in (("127.0.0.1", 65536), ("203.0.113.7", 0), ("no such host", 0)):
        with pytest.raises(Mistake):
            listen(host, port)


def test_everywhere_numbers_are_hosts_and_names_are_not():
    guard = Guard(None, "t", ["127.0.0.1:80", "machine:80"], anywhere=True)
    assert [guard._known(host) for host in ("192.0.2.1:80", "[2001:db8::1]:80", "machine:80")] == [True] * 3
    assert [guard._known(host) for host in ("evil.example:80", "1.2.3.4.evil:80", "192.0.2.1", "")] == [False] * 4
