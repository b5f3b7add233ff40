"""One pass over many pictures, in processes: it gives what the passes give; a build that was ended goes on, bit for bit."""

from __future__ import annotations

import contextlib
import io
import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from legato.data import DataOptions, Dataset, decoders, folder, open_source, picture_rows, picture_writer, store
from legato.data import fingerprint as fingerprints
from legato.data.pictures import PictureForm, decode
from legato.errors import Mistake
from made_sources import table

HEIGHT, WIDTH = 8, 9


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many pictures as there are count as many."""
    many(monkeypatch, 1)


def many(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    for module in (folder, picture_writer):
        monkeypatch.setattr(module, "MANY", count)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes that are kept from one opening to the next: each takes 0.2 seconds to start."""
    idle: queue.SimpleQueue[decoders.Decoder] = queue.SimpleQueue()
    begin = decoders.Decoders.__init__

    def begun(self: decoders.Decoders, *given: Any, **named: Any) -> None:
        begin(self, *given, **named)
        self._idle = idle

    monkeypatch.setattr(decoders.Decoders, "__init__", begun)
    monkeypatch.setattr(decoders.Decoders, "__exit__", lambda *_: None)
    monkeypatch.setattr(folder, "begun", contextlib.nullcontext)
    yield
    while not idle.empty():
        idle.get().end()


def encoded(picture: Image.Image, kind: str = "PNG", **said: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **said)
    return target.getvalue()


def turned(picture: Image.Image, kind: str, orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(picture, kind, exif=exif)


def colour(rng: np.random.Generator, *shape: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, (*(shape or (HEIGHT, WIDTH)), 3), dtype=np.uint8))


def grey(rng: np.random.Generator, *shape: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, 256, shape or (HEIGHT, WIDTH), dtype=np.uint8))


def deep(rng: np.random.Generator, high: int) -> Image.Image:
    return Image.fromarray(rng.integers(0, high, (HEIGHT, WIDTH)).astype(np.uint16))


Maker = Callable[[np.random.Generator], bytes]
USUAL: dict[str, Maker] = {
    "a.png": lambda rng: encoded(colour(rng)),
    "b.jpg": lambda rng: encoded(colour(rng), "JPEG"),
    "c.png": lambda rng: encoded(grey(rng)),
    "d.jpg": lambda rng: encoded(grey(rng), "JPEG"),
}
ODD: dict[str, Maker] = {
    "deep.png": lambda rng: encoded(deep(rng, 4096)),
    "deep.tif": lambda rng: encoded(deep(rng, 60_000), "TIFF"),
    "real.tif": lambda rng: encoded(Image.fromarray(rng.random((HEIGHT, WIDTH)).astype(np.float32)), "TIFF"),
    "turned.jpg": lambda rng: turned(colour(rng, WIDTH, HEIGHT), "JPEG", int(rng.integers(5, 9))),
    "turned.png": lambda rng: turned(colour(rng), "PNG", int(rng.integers(1, 5))),
    "askew.png": lambda rng: turned(colour(rng), "PNG", 6),
    "turned.webp": lambda rng: turned(colour(rng, WIDTH, HEIGHT), "WEBP", 8),
    "cut.png": lambda rng: encoded(colour(rng))[:100],
    "cut.jpg": lambda rng: encoded(colour(rng, 64, 64), "JPEG")[:900],
    "cut.bmp": lambda rng: encoded(colour(rng), "BMP")[:150],
    "cut.tif": lambda rng: encoded(colour(rng), "TIFF")[:60],
    "empty.png": lambda rng: b"",
    "text.png": lambda rng: b"no picture",
    "cmyk.jpg": lambda rng: encoded(colour(rng).convert("CMYK"), "JPEG"),
    "moves.gif": lambda rng: encoded(colour(rng), "GIF", save_all=True, append_images=[colour(rng)]),
    "phone.jpg": lambda rng: encoded(colour(rng), "MPO", save_all=True, append_images=[colour(rng)]),
    "clear.png": lambda rng: encoded(Image.fromarray(rng.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8))),
    "greys.png": lambda rng: encoded(grey(rng).convert("P")),
    "palette.png": lambda rng: encoded(colour(rng).quantize(16)),
    "bits.png": lambda rng: encoded(grey(rng).convert("1")),
    "other.png": lambda rng: encoded(colour(rng, 10, 10)),
    "tiny.png": lambda rng: encoded(colour(rng, 2, 3)),
}


def mixed(rng: np.random.Generator) -> dict[str, bytes]:
    """Files of one or two usual kinds, with none to three odd ones among them."""
    usual = rng.choice(list(USUAL), int(rng.integers(1, 3)), replace=False)
    odd = rng.choice(list(ODD), int(rng.integers(0, 4)), replace=False)
    files = {f"{int(i)}{name}": USUAL[name](rng) for name in usual for i in rng.permutation(20)[:4]}
    return {**files, **{f"{int(rng.integers(0, 20))}{name}": ODD[name](rng) for name in odd}}


def drawn(rng: np.random.Generator) -> DataOptions:
    return DataOptions(
        size=[None, None, 8][rng.integers(3)],
        channels=(["auto"] * 4 + [1, 3, 4])[rng.integers(7)],  # type: ignore[arg-type]
        window=[None, None, None, "0,4095"][rng.integers(4)],
        background=["white", "white", "red"][rng.integers(3)],
        strict=bool(rng.integers(4) == 0),
    )


def outcome(source: Path, options: DataOptions, cache: Path) -> object:
    """All that an opening says, and the bytes of the entry; or the mistake."""
    os.environ["LEGATO_CACHE"] = str(cache)
    try:
        data = open_source(source, options)
    except Mistake as mistake:
        assert not [place for place in cache.iterdir() if place.name != "memo"]
        return str(mistake)
    return said(data)


def said(data: Dataset) -> tuple[object, ...]:
    assert data.store is not None
    files = {file.name: file.read_bytes() for file in sorted(data.store.iterdir())}
    return data.rows.tobytes(), list(data.ids), data.problems, data.notes, data.fingerprint, data.options.window, files


@pytest.mark.parametrize("start", range(0, 64, 16))
def test_one_pass_says_what_the_passes_say(
    start: int, kept: None, fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(start, start + 16):
        rng = np.random.default_rng(seed)
        files, options = mixed(rng), drawn(rng)
        source = tmp_path / str(seed)
        source.mkdir()
        for name, content in files.items():
            (source / name).write_bytes(content)
        if seed % 4 == 3:  # as a column, in the order of their names
            cells = [files[name] for name in sorted(files)]
            source = table(tmp_path / f"{seed}.parquet", {"image": cells, "label": [i % 2 for i in range(len(cells))]})
        found = []
        for count in (10**9, 1):
            many(monkeypatch, count)
            monkeypatch.setattr(picture_rows, "MARKED", 3)
            monkeypatch.setattr("legato.data.at_once.SAMPLE", (256, 2)[seed % 2])  # of two pictures, much turns out later
            found.append(outcome(source, options, tmp_path / f"cache-{seed}-{count}"))
        assert found[0] == found[1], f"seed {seed}: {sorted(files)} {options}"


def generated(place: Path, count: int = 200) -> Path:
    """Pictures in colour, in sub-folders, of which every twentieth is broken."""
    rng = np.random.default_rng(0)
    some = [encoded(colour(rng)) for _ in range(7)]
    for label in "ab":
        (place / label).mkdir(parents=True)
    for i in range(count):
        (place / "ab"[i % 2] / f"{i:03}.png").write_bytes(some[i % 7] if i % 20 else b"broken")
    return place


def test_processes_threads_and_one_by_one_give_the_same(at_once: None, fresh_cache: Path, tmp_path: Path) -> None:
    source = generated(tmp_path / "p", 150)
    data = open_source(source)
    form = PictureForm(3, None, True, "white")
    assert np.array_equal(data.rows, np.stack([decode(str(source / name), form).pixels for name in data.ids]))
    assert len(data.problems) == 8


def test_what_is_known_is_not_decoded_again(
    at_once: None, fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = generated(tmp_path / "p", 30)
    monkeypatch.setattr(fingerprints, "RACY", -1.0)
    monkeypatch.setattr(fingerprints, "digest_file", lambda path: pytest.fail("read twice"))
    first = open_source(source)
    monkeypatch.setattr(decoders, "Decoder", lambda: pytest.fail("decoded again"))
    assert said(open_source(source)) == said(first)
    with pytest.raises(pytest.fail.Exception, match="decoded again"):  # another size is another entry
        open_source(source, DataOptions(size=8))


def test_a_copy_of_what_is_known_is_not_decoded(
    at_once: None, fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = generated(tmp_path / "p", 30)
    first = open_source(source)
    monkeypatch.setattr(decoders, "Decoder", lambda: pytest.fail("decoded again"))
    assert said(open_source(shutil.copytree(source, tmp_path / "q"))) == said(first)


BUILD = """
import os, signal, sys, time
from legato.data import decoders, folder, open_source, picture_rows, picture_writer
for module in (folder, picture_writer):
    module.MANY = 1
picture_rows.MARKED, decoders.EACH = 16, 8
begin, add = decoders.Decoder.__init__, picture_rows.PictureRows.add
def begun(self):
    begin(self)
    print(self._process.pid, flush=True)
def added(self, results):
    add(self, results)
    if self.done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
decoders.Decoder.__init__, picture_rows.PictureRows.add = begun, added
open_source(sys.argv[1])
"""


def killed(source: Path, after: int) -> list[int]:
    """A build that is killed after so many pictures; the processes that it had started."""
    told = subprocess.run([sys.executable, "-c", BUILD, str(source), str(after)], capture_output=True, text=True, check=False)
    assert told.returncode == -signal.SIGKILL, told.stderr
    return [int(line) for line in told.stdout.split()]


def halves() -> list[Path]:
    return [place for place in Path(os.environ["LEGATO_CACHE"]).iterdir() if place.name.startswith(store.BUILDING)]


def decoded_from(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many pictures each later opening decodes."""
    seen: list[int] = []
    results = decoders.Decoders.results

    def counted(self: decoders.Decoders, items: Any, size: int) -> Any:
        seen.append(0)
        for some in results(self, items, size):
            seen[-1] += some.number
            yield some

    monkeypatch.setattr(decoders.Decoders, "results", counted)
    return seen


@pytest.fixture
def small_marks(at_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture_rows, "MARKED", 16)
    monkeypatch.setattr(decoders, "EACH", 8)


@pytest.mark.parametrize("kind", ["folder", "column"])
def test_a_killed_build_goes_on_where_it_was(
    kind: str,
    small_marks: None,
    fresh_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    source = generated(tmp_path / "p")
    if kind == "column":
        source = table(tmp_path / "a.parquet", {"image": [file.read_bytes() for file in sorted(source.rglob("*.png"))]})
    whole = outcome(source, DataOptions(), tmp_path / "other-cache")
    os.environ["LEGATO_CACHE"] = str(fresh_cache)
    children = killed(source, 100)
    assert children
    until = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < until, "a decoder outlives its parent"
        time.sleep(0.05)
    assert len(halves()) == 1
    assert killed(source, 150)  # again, and it goes on from there as well
    seen = decoded_from(monkeypatch)
    capfd.readouterr()
    assert said(open_source(source)) == whole
    assert f"{source}: goes on at picture 144 of 200" in capfd.readouterr().err
    assert seen == [200 - 144]
    assert halves() == []


def test_what_was_damaged_meanwhile_begins_anew(
    small_marks: None, kept: None, fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = generated(tmp_path / "p")
    whole = outcome(source, DataOptions(), tmp_path / "other-cache")
    os.environ["LEGATO_CACHE"] = str(fresh_cache)
    killed(source, 100)
    left = shutil.copytree(halves()[0], tmp_path / "left")
    seen = decoded_from(monkeypatch)

    def flipped(file: Path) -> None:
        content = bytearray(file.read_bytes())
        content[len(content) // 3] ^= 4
        file.write_bytes(content)

    def cut(file: Path) -> None:
        os.truncate(file, file.stat().st_size // 2)

    for harm, name, done in [
        (flipped, "rows.bin", 200), (cut, "rows.bin", 200), (Path.unlink, "rows.bin", 200),
        (flipped, "journal/mark.json", 200), (cut, "journal/mark.json", 200),
        (flipped, "journal/digests", 200), (cut, "journal/digests", 200), (Path.unlink, "journal/problems", 200),
        (lambda file: file.write_bytes(file.read_bytes() + b"more"), "rows.bin", 200 - 96),  # written after the mark
        (lambda file: file.write_bytes(file.read_bytes() + b"more"), "journal/problems", 200 - 96),
    ]:  # fmt: skip
        shutil.rmtree(fresh_cache)
        shutil.copytree(left, fresh_cache / halves_name())
        harm(fresh_cache / halves_name() / name)
        assert said(open_source(source)) == whole, (harm, name)
        assert seen.pop() == done, (harm, name)


def halves_name() -> str:
    return store._own_folder(store.NOBODY).name[:-8] + "0" * 8


def test_hashes_that_nobody_asked_for_are_missed(
    small_marks: None, kept: None, fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = generated(tmp_path / "p")
    whole = outcome(source, DataOptions(), tmp_path / "other-cache")
    os.environ["LEGATO_CACHE"] = str(fresh_cache)
    monkeypatch.setattr(fingerprints, "RACY", -1.0)
    fingerprints.digest_files(folder.pictures_below(source)[0], lambda name: str(source / name))
    killed(source, 100)  # they were known
    shutil.rmtree(fresh_cache / "memo")  # and are no more
    seen = decoded_from(monkeypatch)
    assert said(open_source(source)) == whole
    assert seen == [200]


def test_another_source_or_other_options_begin_anew(
    small_marks: None, kept: None, fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = generated(tmp_path / "p")
    killed(source, 100)
    seen = decoded_from(monkeypatch)
    open_source(source, DataOptions(size=8))
    open_source(generated(tmp_path / "q"))
    assert seen == [200, 200]
    assert len(halves()) == 1
    (source / "a" / "002.png").write_bytes(encoded(colour(np.random.default_rng(9))))
    assert np.array_equal(
        open_source(source).rows[0], decode(str(source / "a/002.png"), PictureForm(3, None, True, "white"))[0]
    )
    assert seen[2:] == [200]


@pytest.mark.parametrize("error", [KeyboardInterrupt, Mistake, RuntimeError])
def test_an_interruption_leaves_what_can_be_gone_on_with(
    error: type[BaseException],
    small_marks: None,
    kept: None,
    fresh_cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source, add = generated(tmp_path / "p"), picture_rows.PictureRows.add

    def added(self: picture_rows.PictureRows, results: Any) -> None:
        add(self, results)
        if self.done >= 100:
            raise error("stopped")

    with monkeypatch.context() as patched:
        patched.setattr(picture_rows.PictureRows, "add", added)
        with pytest.raises(error, match="stopped"):
            open_source(source)
    assert len(halves()) == (error is KeyboardInterrupt)
    seen = decoded_from(monkeypatch)
    assert len(open_source(source)) == 190
    assert seen == [200 - 96 * (error is KeyboardInterrupt)]
    assert halves() == []


def test_what_can_be_gone_on_with_is_kept_for_a_day(small_marks: None, kept: None, fresh_cache: Path, tmp_path: Path) -> None:
    source = generated(tmp_path / "p")
    killed(source, 100)
    store.remove_stale()
    left = halves()
    assert len(left) == 1
    copy = shutil.copytree(left[0], tmp_path / "left")
    for place in (*left[0].rglob("*"), left[0]):
        os.utime(place, (0, time.time() - 2 * store.ABANDONED))
    store.remove_stale()
    assert halves() == []
    shutil.copytree(copy, left[0])
    store.purge()
    assert halves() == []


DIES = """
import os, signal
from PIL import Image
decoded = Image.frombytes
def ends(mode, size, *rest):
    if size == (13, 13):
        os.kill(os.getpid(), signal.SIGNAL)
    return decoded(mode, size, *rest)
Image.frombytes = ends
"""


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL"])
def test_a_picture_that_ends_its_decoder_is_a_problem_and_one_who_ends_it_is_told(
    name: str, small_marks: None, fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    source = tmp_path / "p"
    source.mkdir()
    for i in range(130):
        (source / f"{i:03}.png").write_bytes(encoded(colour(rng, 13, 13) if i == 70 else colour(rng)))
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(DIES.replace("SIGNAL", name))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"), prepend=os.pathsep)
    monkeypatch.setattr("legato.data.at_once.SAMPLE", 7)  # it would end this process
    if name == "SIGKILL":
        with pytest.raises(Mistake, match=r"was ended by SIGKILL at `070\.png`.*it goes on from there"):
            open_source(source)
        assert len(halves()) == 1
        (tmp_path / "site" / "sitecustomize.py").write_text("")
        assert len(open_source(source, DataOptions(size=8))) == 130
        return
    for _ in range(2):
        data = open_source(source)
        assert [problem.id for problem in data.problems] == ["070.png"]
        assert data.problems[0].reason == "its decoder was ended by SIGSEGV"
        assert len(data) == 129


def test_a_decoder_that_cannot_start_is_told(
    at_once: None, fresh_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = generated(tmp_path / "p", 30)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(Mistake, match="a process that decodes pictures ended with 1"):
        open_source(source)
    assert halves() == []


def test_a_script_without_a_guard_runs_once(fresh_cache: Path, tmp_path: Path) -> None:
    source = generated(tmp_path / "p", 30)
    script = tmp_path / "mine.py"
    script.write_text(
        "from legato.data import folder, open_source\n"
        f"print('begins')\nfolder.MANY = 1\nprint(len(open_source({str(source)!r})))\n"
    )
    (tmp_path / "numpy.py").write_text("raise SystemExit('taken for a module')")
    code = [sys.executable, "-P", str(script)]
    done = subprocess.run(code, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.stdout, done.returncode) == ("begins\n28\n", 0), done.stderr


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak of memory from /proc")
def test_memory_stays_flat_in_the_number_of_many_pictures(fresh_cache: Path, tmp_path: Path) -> None:
    code = (
        "import os, sys; from legato.data import folder, open_source, DataOptions\n"
        "folder.MANY = 1\n"
        "os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])\n"
        "assert len(open_source(sys.argv[1], DataOptions(size=128))) == int(sys.argv[2])\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    picture = colour(np.random.default_rng(0), 16, 16)
    peaks = []
    for count in (300, 900):
        source = tmp_path / str(count)
        source.mkdir()
        picture.save(source / "0.png")
        for i in range(1, count):
            os.link(source / "0.png", source / f"{i}.png")
        done = subprocess.run([sys.executable, "-c", code, source, str(count)], capture_output=True, check=True)
        peaks.append(int(done.stdout) / 1024)
    assert peaks[1] - peaks[0] < 8
