"""What fuzz.py damages and who reads it: sources and a RUN, made anew from a seed, and every command, route and frame.

A case is a number: `case(base, seed, number)` draws what is damaged, how, and who reads it. The same numbers, the same case.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import mutations
import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
from PIL import Image

import legato
from legato import cli
from legato.data import DataOptions
from legato.experiment import Experiment, Protocol
from legato.experiment import run as conducted
from legato.explorer.frames import CursorRequest
from legato.explorer.guard import Guard
from legato.explorer.layout import Layouts
from legato.explorer.opening import prepare
from legato.explorer.server import Routes
from legato.explorer.session import Session
from legato.explorer.worker import Worker, finished
from legato.files import write_json
from legato.loading import load

ROWS, SIDE = 60, 8
CPU = ["--device", "cpu", "--threads", "1"]
TINY = {"latent_dim": 2, "net": "mlp", "width": 8, "depth": 1, "batch_size": 8, "steps": 3}
HOST, TOKEN = "127.0.0.1:8000", "fuzz-fuzz-fuzz-fuzz"


@dataclass(frozen=True)
class Case:
    """One input: what it is of, what was done to it, who reads it. `read` does it; it may raise `Mistake`.

    `told`: what it refuses is told on stderr.
    """

    kind: str
    damage: str
    reader: str
    read: Callable[[Path], int | None]
    told: bool = True

    def __str__(self) -> str:
        return f"{self.kind}, {self.damage}, {self.reader}"


@dataclass(frozen=True)
class Base:
    """A folder of what is whole: sources, a RUN of pictures and one of a table, their store."""

    path: Path

    @property
    def cache(self) -> Path:
        """The store."""
        return self.path / "cache"

    def source(self, name: str) -> Path:
        """A source by its file's name."""
        return self.path / "sources" / name

    def run(self, name: str) -> Path:
        """A RUN."""
        return self.path / name


# ------------------------------------------------------------------------------------------------- what is whole


def make(path: Path) -> Base:
    """Writes sources and trains on two of them."""
    base = Base(path)
    os.environ["LEGATO_CACHE"] = str(base.cache)
    base.source("").mkdir(parents=True)
    write_sources(base)
    for name, source in (("pictures", "a.npz"), ("table", "t.parquet")):
        legato.train("vae", str(base.source(source)), base.run(name), device="cpu", threads=1, **TINY)
    return base


def write_sources(base: Base) -> None:
    """One file, folder or pair of every kind that is read, or may one day be."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (ROWS, SIDE, SIDE), dtype=np.uint8), rng.integers(0, 3, ROWS)
    np.save(base.source("a.npy"), images)
    np.save(base.source("labels.npy"), labels)
    np.savez(base.source("a.npz"), images=images, labels=labels)
    base.source("labels.csv").write_text("\n".join(map(str, labels)) + "\n")
    for name, values in (("a-images-idx3-ubyte", images), ("a-labels-idx1-ubyte", labels.astype(np.uint8))):
        content = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape) + values.tobytes()
        base.source(name).write_bytes(content)
        base.source(f"{name}.gz").write_bytes(gzip.compress(content, 1))
    for i, image in enumerate(images[:12]):
        place = base.source(f"folder/{'ab'[i % 2]}/{i}.{('png', 'jpg', 'tiff', 'bmp', 'gif', 'webp')[i // 2]}")
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place)
    numbers = {name: rng.normal(size=ROWS) for name in "abcd"} | {"label": labels}
    table = pa.table(numbers)
    pa.parquet.write_table(table, base.source("t.parquet"))
    pa.feather.write_feather(table, str(base.source("t.feather")), compression="uncompressed")
    rows = [",".join(map(str, row)) for row in zip(*numbers.values(), strict=True)]
    base.source("t.csv").write_text("\n".join([",".join(numbers), *rows]) + "\n")


# kind -> the file that is damaged, the source that is given, how much it is worth
SOURCES: dict[str, tuple[str, str, list[str]]] = {
    "npy": ("a.npy", "a.npy", []),
    "npz": ("a.npz", "a.npz", []),
    "IDX": ("a-images-idx3-ubyte", "a-images-idx3-ubyte", []),
    "IDX labels": ("a-labels-idx1-ubyte", "a-images-idx3-ubyte", []),
    "IDX gzip": ("a-images-idx3-ubyte.gz", "a-images-idx3-ubyte.gz", []),
    "Parquet": ("t.parquet", "t.parquet", []),
    "Feather": ("t.feather", "t.feather", []),
    "CSV": ("t.csv", "t.csv", []),
    "labels npy": ("labels.npy", "a.npy", ["--labels", "labels.npy"]),
    "labels text": ("labels.csv", "a.npy", ["--labels", "labels.csv"]),
    "PNG": ("folder/a/0.png", "folder", []),
    "JPEG": ("folder/a/2.jpg", "folder", []),
    "TIFF": ("folder/a/4.tiff", "folder", []),
    "BMP": ("folder/a/6.bmp", "folder", []),
    "GIF": ("folder/a/8.gif", "folder", []),
    "WebP": ("folder/a/10.webp", "folder", []),
}


# ------------------------------------------------------------------------------------------------- who reads


def command(*words: object) -> Callable[[Path], int | None]:
    """A command line, with `{W}` for the folder of the case."""
    return lambda work: cli.run([str(word).replace("{W}", str(work)) for word in words])


def on_source(source: str, options: list[str], rng: random.Random) -> tuple[str, Callable[[Path], int | None]]:
    """A command that reads a source, `data` more often than others."""
    place, run = f"{{W}}/sources/{source}", "{W}/table" if source.startswith("t.") else "{W}/pictures"
    said = [word if word.startswith("--") else f"{{W}}/sources/{word}" for word in options]
    words = [word for name, value in TINY.items() for word in (f"--{name.replace('_', '-')}", value)]
    lines: dict[str, list[object]] = {
        "data": ["data", place, *said],
        "data --json": ["data", place, *said, "--json", "-"],
        "train": ["train", "vae", "--data", place, *said, *words, "--out", "{W}/new", *CPU],
        "encode --data": ["encode", run, "--data", place, "--out", "{W}/c.parquet", *CPU],
        "score --data": ["score", run, "--data", place, "--k", 1, "--out", "{W}/s.csv", *CPU],
        "evaluate --data": ["evaluate", run, "--data", place, "--k", 1, "--json", "-", *CPU],
        "compare --data": ["compare", run, run, "--data", place, "--k", 1, "--json", "-", *CPU],
        "reconstruct --data": ["reconstruct", run, "--data", place, "--n", 2, "--out", "{W}/r", *CPU],
    }
    name = rng.choice(("data",) * 6 + ("data --json", "train", "train", *list(lines)[3:]))
    return name, command(*lines[name])


def on_run(run: str, rng: random.Random) -> tuple[str, Callable[[Path], int | None]]:
    """A command that reads a RUN; the slow ones seldom."""
    place = f"{{W}}/{run}"
    lines: dict[str, tuple[int, list[object]]] = {
        "sample": (30, ["sample", place, "--n", 2, "--out", "{W}/o", *CPU]),
        "sample --from codes": (20, ["sample", place, "--n", 2, "--from", "codes", "--out", "{W}/o", *CPU]),
        "encode": (30, ["encode", place, "--split", "test", "--out", "{W}/o.npz", *CPU]),
        "score": (20, ["score", place, "--k", 1, "--out", "{W}/o.csv", *CPU]),
        "reconstruct": (20, ["reconstruct", place, "--n", 2, "--out", "{W}/o", *CPU]),
        "interpolate": (20, ["interpolate", place, "--steps", 3, "--out", "{W}/o", *CPU]),
        "traverse": (20, ["traverse", place, "--steps", 3, "--out", "{W}/o", *CPU]),
        "evaluate": (10, ["evaluate", place, "--k", 1, "--limit", 4, *CPU]),
        "compare": (10, ["compare", place, place, "--k", 1, "--limit", 4, *CPU]),
        "train --resume": (20, ["train", "--resume", "--out", place, *CPU]),
        "report": (1, ["report", place, "--k", 1, "--limit", 4, "--out", "{W}/o.html", *CPU]),
        "export": (1, ["export", place, "--out", "{W}/o", *CPU]),
    }
    if rng.random() < 0.15:
        return "explore", lambda work: opened(work / run)
    (name,) = rng.choices(list(lines), [weight for weight, _ in lines.values()])
    return name, command(*lines[name][1])


def opened(run: Path) -> None:
    """What a page asks first, of a RUN that may be damaged."""
    session = prepare([run], None, 50, partial(load, device="cpu", threads=1), None).now
    finished(session.description())
    finished(session.decode(0, None, np.zeros((1, 2))))
    plane = finished(session.principal(0, None))
    finished(session.points(0, None, plane))
    legato.explorer.progression.curves(session.member(0).run, 0)


# ------------------------------------------------------------------------------------------------- cases


def case(base: Base, seed: int, number: int) -> Case:
    """The case of a number."""
    rng = random.Random(f"{seed} {number}")
    kinds = (of_source, of_names, of_columns, of_run, of_claims, of_store, of_route, of_frame)
    return rng.choices(kinds, (36, 3, 3, 29, 1, 5, 18, 5))[0](base, rng)


def of_source(base: Base, rng: random.Random) -> Case:
    """A damaged source."""
    kind = rng.choice(list(SOURCES))
    file, source, options = SOURCES[kind]
    damage, apply = damaging(file, rng)
    reader, read = on_source(source, options, rng)

    def tried(work: Path) -> int | None:
        shutil.copytree(base.source(""), work / "sources")
        with_runs(base, work)
        apply(work / "sources" / file)
        return read(work)

    return Case(kind, damage, reader, tried)


def of_names(base: Base, rng: random.Random) -> Case:
    """Pictures whose folder, class or own name is odd."""
    which, name = rng.choice(("", "a", "a/0.png")), rng.choice(mutations.ODD_NAMES).replace("/", "")
    suffix = Path(which).suffix
    reader, read = on_source("folder" if which else name, [], rng)
    new = Path(which or "folder").with_name(name + suffix)

    def tried(work: Path) -> int | None:
        with_runs(base, work)
        shutil.copytree(base.source("folder"), work / "sources" / "folder")
        root = work / "sources" / ("folder" if which else "")
        os.rename(root / (which or "folder"), root / new)
        return read(work)

    return Case("name", f"{which or 'source'} named {name!r}", reader, tried)


def of_columns(base: Base, rng: random.Random) -> Case:
    """A table whose columns are of odd types and hold odd values."""
    suffix, seed = rng.choice((".parquet", ".feather", ".csv")), rng.getrandbits(32)
    reader, read = on_source(f"t{suffix}", [], rng)

    def tried(work: Path) -> int | None:
        with_runs(base, work)
        (work / "sources").mkdir()
        table, path = odd_table(random.Random(seed)), work / "sources" / f"t{suffix}"
        if suffix == ".feather":
            pa.feather.write_feather(table, str(path))
        elif suffix == ".parquet":
            pa.parquet.write_table(table, path, row_group_size=7)
        else:
            lines = zip(*(column.to_pylist() for column in table.columns), strict=True)
            path.write_text("\n".join(",".join(map(str, row)) for row in (table.column_names, *lines)))
        return read(work)

    return Case("columns", suffix, reader, tried)


COLUMNS: dict[str, list[Any]] = {
    "int64": [1, -(2**63), 2**63 - 1, 0], "uint64": [0, 2**64 - 1], "float64": [0.0, 1e308, -1e308, 1e-320, 1.5],
    "float32": [float("nan"), float("inf"), 1.0], "bool_": [True, False], "string": ["", "a", "1", "\x1b[2J", "é" * 100],
    "binary": [b"", b"\xff", b"\x89PNG\r\n\x1a\n"], "int8": [-128, 127], "uint8": [0, 255], "null": [None],
    "float16": [np.float16(1), np.float16(np.inf)],
}  # fmt: skip


def odd_table(rng: random.Random) -> pa.Table:
    """One to five columns; some lists, some with missing values, some under one name."""
    rows = rng.choice((0, 1, 2, 3, 12, 40))
    names, columns = [], []
    for i in range(rng.randint(1, 5)):
        kind = rng.choice(list(COLUMNS))
        values = [rng.choice(COLUMNS[kind]) for _ in range(rows)]
        values = [None if rng.random() < 0.1 else value for value in values] if rng.random() < 0.3 else values
        column = pa.array(values, getattr(pa, kind)())
        if rng.random() < 0.3:
            lists = [[one] * rng.randint(0, 3) for one in values]
            column = pa.array(lists, pa.list_(column.type))
        names.append(rng.choice(("label", "image", "id", f"x{i}", f"x{i}", f"x{i}", "x", *mutations.ODD_NAMES[:4])))
        columns.append(column)
    return pa.Table.from_arrays(columns, names)


def with_runs(base: Base, work: Path) -> None:
    """Links to the whole RUNs, to be read only."""
    for run in ("pictures", "table"):
        (work / run).symlink_to(base.run(run))


def of_run(base: Base, rng: random.Random) -> Case:
    """A RUN in which a file is damaged."""
    run = rng.choice(("pictures", "pictures", "table"))
    files = sorted(str(path.relative_to(base.run(run))) for path in base.run(run).rglob("*") if path.is_file())
    kinds: dict[str, list[str]] = {}
    for name in files:
        folder, _, last = name.partition("/")
        kinds.setdefault(f"{folder} {Path(last).name}" if folder == "checkpoint" else folder, []).append(name)
    kind = rng.choice([name for name in kinds if name != ".lock"])
    file = rng.choice(kinds[kind])
    damage, apply = damaging(file, rng)
    reader, read = on_run(run, rng)

    def tried(work: Path) -> int | None:
        shutil.copytree(base.run(run), work / run)
        apply(work / run / file)
        return read(work)

    return Case(f"RUN {kind}", damage, reader, tried)


def of_claims(base: Base, rng: random.Random) -> Case:
    """A damaged protocol of an experiment, as far as `legato claims` reads it before it trains."""
    damage, apply = damaging("protocol.json", rng)

    def tried(work: Path) -> int | None:
        asked = Protocol(str(base.source("a.npz")), DataOptions(), None, 3, device="cpu")
        experiment = Experiment(asked, work / "claims", True, 1)
        write_json(work / "claims" / "protocol.json", experiment.stored(3))
        apply(work / "claims" / "protocol.json")
        pool: Any = None  # the steps are said: nothing is probed
        conducted._steps(experiment, (1, SIDE, SIDE), pool)
        return 0

    return Case("protocol.json", damage, "claims", tried)


def of_store(base: Base, rng: random.Random) -> Case:
    """A damaged entry of the store."""
    there = [path for path in base.cache.rglob("*") if path.is_file()]  # a memo's name tells of where the source lies
    there.sort(key=lambda path: (path.parent.name == "memo", path.stat().st_size, path.name))
    files = [str(path.relative_to(base.cache)) for path in there]
    file = rng.choice(files)
    damage, apply = damaging(file, rng)
    reader, read = on_run(rng.choice(("pictures", "table")), rng) if rng.random() < 0.7 else on_source("a.npz", [], rng)

    def tried(work: Path) -> int | None:
        for name in ("pictures", "table", "sources"):
            shutil.copytree(base.path / name, work / name)
        apply(work / "cache" / file)
        return read(work)

    return Case(f"store {Path(file).name if not file.startswith('memo') else 'memo'}", damage, reader, tried)


def damaging(file: str, rng: random.Random) -> tuple[str, Callable[[Path], None]]:
    """What is done to a file: mostly to its content, seldom to its place."""
    if rng.random() < 0.04:
        place = rng.choice(mutations.PLACES)
        return place.__name__, place
    known = mutations.of(Path(file).suffix.removeprefix("."))
    name = rng.choice(list(known))
    seed = rng.getrandbits(32)

    def apply(path: Path) -> None:
        path.write_bytes(known[name](path.read_bytes(), random.Random(seed)))

    return name.partition(" ")[0], apply


# ------------------------------------------------------------------------------------------------- the explorer

AXES = {"u": [1, 0], "v": [0, 1], "anchor": [0, 0]}
PLACE: dict[str, Any] = {"model": 0, "step": None}
ASKED: dict[str, Any] = {
    "plane": {**PLACE, "kind": "axes", "i": 0, "j": 1},
    "points": {**PLACE, "plane": AXES},
    "decode": {**PLACE, "z": [[0, 0], [1, 1]]},
    "field": {**PLACE, "kind": "support", "plane": AXES, "extent": [-2, 2, -1, 1], "size": 4},
    "locate": {**PLACE, "z": [0, 0], "k": 3},
    "dimensions": PLACE,
    "code": {"row": 3, "step": [None]},
    "mean": {**PLACE, "rows": [0, 1, 2]},
    "path.gif": {**PLACE, "stops": [[0, 0], [1, 1]], "spherical": False, "frames": 3},
}
GIVEN = ("", "session.json", "curves/0", "curves/0?after=1", "image/0.png", "row/0", "find?q=1", "tour.json", "assets/x")


class Served:
    """The explorer's application on whole runs, asked without a network."""

    def __init__(self, base: Base) -> None:
        self.loop = asyncio.new_event_loop()
        session: Session = prepare([base.run("pictures")], None, 50, partial(load, device="cpu", threads=1), None).now
        self.worker = Worker()
        self.app = Guard(Routes(session, self.worker, Layouts()).app(), TOKEN, [HOST])

    def ask(self, path: str, body: bytes | None, headers: list[tuple[bytes, bytes]]) -> int:
        """The status of an answer."""
        address, _, query = path.partition("?")
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http", "root_path": "",
            "method": "GET" if body is None else "POST", "path": f"/{TOKEN}/{address}", "raw_path": b"",
            "query_string": query.encode("utf-8", "surrogatepass"), "headers": [(b"host", HOST.encode()), *headers],
            "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        answers = self._told(scope, [{"type": "http.request", "body": body or b"", "more_body": False}])
        return next(one["status"] for one in answers if one["type"] == "http.response.start")

    def drag(self, frames: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """What a socket is answered."""
        scope = {
            "type": "websocket", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "ws", "root_path": "",
            "path": f"/{TOKEN}/socket", "raw_path": b"", "query_string": b"", "headers": [(b"host", HOST.encode())],
            "subprotocols": [], "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1),
        }  # fmt: skip
        gone = {"type": "websocket.disconnect", "code": 1001}
        return self._told(scope, [{"type": "websocket.connect"}, *frames, gone])

    def _told(self, scope: dict[str, Any], asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
        left, answers = list(asked), []

        async def receive() -> dict[str, Any]:
            if left:
                return left.pop(0)
            return await asyncio.Future()  # a page that waits

        async def send(message: dict[str, Any]) -> None:
            answers.append(message)

        self.loop.run_until_complete(self.app(scope, receive, send))
        return answers


SERVED: dict[Path, Served] = {}


def served(base: Base) -> Served:
    """One for all cases of a process."""
    if base.path not in SERVED:
        SERVED[base.path] = Served(base)
    return SERVED[base.path]


class Failed(Exception):
    """The server's answer is none that it may give."""


def of_route(base: Base, rng: random.Random) -> Case:
    """A question of the page with odd values, or bytes; an upload that is damaged; an address that is none."""
    how, seed = rng.random(), rng.getrandbits(32)
    if how < 0.55:
        path = rng.choice(list(ASKED))
        content = json.dumps(ASKED[path]).encode()
        damage = rng.choice((mutations.json_node,) * 4 + tuple(mutations.BYTES.values()))
        body: bytes | None = damage(content, random.Random(seed))
        kind = "question"
    elif how < 0.8:
        path, kind = "encode", "upload"
        picture = rng.choice(sorted(base.source("folder").rglob("*.*")))
        known = mutations.of(picture.suffix.removeprefix("."))
        damage = known[rng.choice(list(known))]
        body = damage(picture.read_bytes(), random.Random(seed))
    else:
        damage, body, kind = mutations.flipped, None if rng.random() < 0.8 else b"{}", "address"
        path = rng.choice((*GIVEN, *ASKED))
        odd = str(rng.choice((*mutations.ODD_VALUES, *mutations.ODD_NUMBERS, *mutations.ODD_NAMES)))[:300]
        path = rng.choice((f"{path}{odd}", path.replace("0", odd, 1), f"{path}?q={odd}&after={odd}", odd))

    def tried(work: Path) -> int | None:
        status = served(base).ask(path, body, [])
        if status >= 500:
            raise Failed(f"{path} answered {status}")
        return 0 if status < 400 else 2

    return Case(kind, damage.__name__, path.partition("?")[0] if kind != "address" else "GET", tried, told=False)


def of_frame(base: Base, rng: random.Random) -> Case:
    """Frames of the socket, of which some are damaged."""
    frames = []
    for i in range(rng.randint(1, 4)):
        frame = CursorRequest(i, 1, 0, rng.randrange(3), np.zeros(2, np.float32)).pack()
        content = rng.choice(list(mutations.BYTES.values()))(frame, rng)
        frames.append(rng.choice(({"bytes": content}, {"bytes": content}, {"text": "x"}, {"bytes": None, "text": "{}"})))

    def tried(work: Path) -> int | None:
        answers = served(base).drag([{"type": "websocket.receive", **frame} for frame in frames])
        closed = [one.get("code") for one in answers if one["type"] == "websocket.close"]
        if 1011 in closed:
            raise Failed("the socket was closed for an error of Legato's own")
        return 2 if closed else 0

    return Case("frame", "bytes", "socket", tried, told=False)


@contextmanager
def folder_of(base: Base, place: Path) -> Iterator[Path]:
    """An empty folder with a copy of the store, for one case."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    shutil.copytree(base.cache, place / "cache")
    os.environ["LEGATO_CACHE"] = str(place / "cache")
    try:
        yield place
    finally:
        with suppress(OSError):
            shutil.rmtree(place)
