"""Pictures opened for the first time and streamed, beside Pillow's decoding alone: a second, peak memory, what a kill costs.

    python benchmarks/pictures.py [--folder PLACE] [--counts 50000,200000] [--kinds png,jpeg] [--sources folder,shards]

The pictures are 64×64, in colour, smooth noise of a seed; they are kept in --folder for the next time. "Pillow" reads each
file, opens it, converts it to RGB and makes an array of it, in as many processes as there are cores, and keeps nothing;
"opened" is `open_source` in a fresh process with an empty cache, from its first import to the rows. Both count the start of
their processes. The CPU's time tells more than the clock where others compute beside it. Then a first opening is killed (-9)
halfway and asked for again: how far it went on from, and whether the entry's bytes are those of one that was not killed. Of
what is streamed (a folder, tar shards, a Parquet folder by datasets) an epoch of training's batches follows, in a process that
has torch in it and opens the source for the first time, too: seconds of the batches alone, and the peak of all. `hub` needs
datasets (`PYTHONPATH=.venv/peers`).
"""

from __future__ import annotations

import argparse
import filecmp
import io
import json
import multiprocessing
import os
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from legato.data.parallel import workers

SIDE, ROUGH = 64, 8
SUFFIX = {"png": ".png", "jpeg": ".jpg"}
AT_ONCE = 500  # pictures of a task, and of a Parquet file's row group
SHARD, BATCH = 5_000, 128


@dataclass(frozen=True)
class Pictures:
    """So many pictures of one kind, and the folder for what is made of them."""

    kind: str
    count: int
    place: Path

    @property
    def root(self) -> Path:
        """The folder of their files."""
        return self.place / self.kind / str(self.count)

    def files(self, numbers: Iterable[int]) -> Iterator[str]:
        """A hundred sub-folders: their names are the labels."""
        root, suffix = str(self.root), SUFFIX[self.kind]
        return (f"{root}/{number % 100:02}/{number:07}{suffix}" for number in numbers)


@dataclass(frozen=True)
class Took:
    """What a command took; the peaks are those of the largest process, bytes."""

    seconds: float
    cpu: float
    own: int
    child: int
    said: str = ""


# ---------------------------------------------------------------------------------------------------------- the sources


def folder(pictures: Pictures) -> Path:
    """Files in sub-folders."""
    root = pictures.root
    if not (root / ".whole").exists():
        for label in range(min(100, pictures.count)):
            (root / f"{label:02}").mkdir(parents=True, exist_ok=True)
        with multiprocessing.get_context("spawn").Pool(workers()) as pool:
            tasks = [(pictures, start) for start in range(0, pictures.count, AT_ONCE)]
            pool.starmap(_made, tasks, chunksize=1)
        (root / ".whole").touch()
    return root


def parquet(pictures: Pictures) -> Path:
    """The same files in a column."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder(pictures)
    target = pictures.place / f"{pictures.kind}-{pictures.count}.parquet"
    if not target.exists():
        schema = pa.schema({"image": pa.binary(), "label": pa.int64()})
        with pq.ParquetWriter(target.with_suffix(".partial"), schema, compression="none") as writer:
            for start in range(0, pictures.count, AT_ONCE):
                numbers = range(start, min(start + AT_ONCE, pictures.count))
                cells = [Path(file).read_bytes() for file in pictures.files(numbers)]
                writer.write_table(pa.table({"image": cells, "label": [number % 100 for number in numbers]}, schema=schema))
        target.with_suffix(".partial").rename(target)
    return target


def shards(pictures: Pictures) -> Path:
    """The same files in tar archives of 5,000, with a class each."""
    folder(pictures)
    target = pictures.place / f"{pictures.kind}-{pictures.count}-shards"
    if not (target / ".whole").exists():
        target.mkdir(exist_ok=True)
        for start in range(0, pictures.count, SHARD):
            with tarfile.open(target / f"{start // SHARD:06}.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
                numbers = range(start, min(start + SHARD, pictures.count))
                for number, file in zip(numbers, pictures.files(numbers), strict=True):
                    content = {SUFFIX[pictures.kind]: Path(file).read_bytes(), ".cls": b"%d" % (number % 100)}
                    for suffix, some in content.items():
                        member = tarfile.TarInfo(f"{number:07}{suffix}")
                        member.size = len(some)
                        tar.addfile(member, io.BytesIO(some))
        (target / ".whole").touch()
    return target


def hub(pictures: Pictures) -> str:
    """The column, in a folder that `datasets` reads."""
    target = pictures.place / f"{pictures.kind}-{pictures.count}-hub"
    target.mkdir(exist_ok=True)
    if not (file := target / "train-00000-of-00001.parquet").exists():
        os.link(parquet(pictures), file)
    return f"hub:{target}"


SOURCES: dict[str, Callable[[Pictures], Path | str]] = {
    "folder": folder,
    "parquet": parquet,
    "streamed": folder,
    "shards": shards,
    "hub": hub,
}
STREAMED = ("streamed", "shards", "hub")


def _made(pictures: Pictures, start: int) -> None:
    numbers = range(start, min(start + AT_ONCE, pictures.count))
    for number, file in zip(numbers, pictures.files(numbers), strict=True):
        rng = np.random.default_rng(number)
        rough = Image.fromarray(rng.integers(0, 256, (ROUGH, ROUGH, 3), dtype=np.uint8)).resize(
            (SIDE, SIDE), Image.Resampling.BICUBIC
        )
        noisy = np.asarray(rough, np.int16) + rng.integers(-4, 5, (SIDE, SIDE, 3), dtype=np.int16)
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file)


# ------------------------------------------------------------------------------------------------------------- measured


def pillow(pictures: Pictures) -> Took:
    """Decoding alone."""
    began, cpu = time.perf_counter(), _cpu()
    with multiprocessing.get_context("spawn").Pool(workers()) as pool:
        tasks = [(pictures, start) for start in range(0, pictures.count, AT_ONCE)]
        assert sum(pool.starmap(_decoded, tasks, chunksize=1)) == pictures.count
        pool.close()
        pool.join()  # so that their time counts
    return Took(time.perf_counter() - began, _cpu() - cpu, *_peaks())


def _decoded(pictures: Pictures, start: int) -> int:
    numbers = range(start, min(start + AT_ONCE, pictures.count))
    for path in pictures.files(numbers):
        with open(path, "rb") as file:
            content = file.read()
        with Image.open(io.BytesIO(content)) as image:
            assert np.asarray(image.convert("RGB")).shape == (SIDE, SIDE, 3)
    return len(numbers)


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _peaks() -> tuple[int, int]:
    """Bytes, of this process and of its largest child. (A child's is never less than its parent's was when it began.)"""
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss << 10
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM")), child


def one(source: str, stream: bool, turn: bool) -> dict[str, object]:
    """An opening in this process, which has imported nothing of Legato but this file's own needs; perhaps an epoch after it."""
    from legato.data.options import DataOptions
    from legato.data.sources import open_source

    data, seconds = open_source(source, DataOptions(stream=stream)), 0.0
    if turn:
        from legato.data.batches import TrainingBatches
        from legato.data.preparation import Preparation

        batches = TrainingBatches(data.rows, np.arange(len(data)), Preparation("bytes"), BATCH, seed=0)
        began = time.perf_counter()
        for step in range(batches.per_epoch):
            batches.at(step)
        seconds = time.perf_counter() - began
    own, child = _peaks()
    return {"cpu": _cpu(), "own": own, "child": child, "rows": len(data), "store": str(data.store), "turn": seconds}


def epoch(source: Path | str, cache: Path, stream: bool) -> Took:
    """A first opening and the batches of an epoch in a fresh process: the seconds of the batches, and its peak."""
    process = _begun(source, cache, stream, "--turn")
    told, said = process.communicate()
    if process.returncode:
        sys.exit(said)
    found = json.loads(told.splitlines()[-1])
    return Took(found["turn"], 0.0, found["own"], found["child"], said)


def _begun(source: Path | str, cache: Path, stream: bool, *more: str) -> subprocess.Popen[str]:
    run = [sys.executable, __file__, "--one", str(source), *(["--stream"] if stream else []), *more]
    environment = {**os.environ, "LEGATO_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(run, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def opened(source: Path | str, cache: Path, stream: bool) -> tuple[Took, Path]:
    """A first opening in a fresh process, and its entry."""
    began = time.perf_counter()
    process = _begun(source, cache, stream)
    told, said = process.communicate()
    if process.returncode:
        sys.exit(said)
    found = json.loads(told.splitlines()[-1])
    took = Took(time.perf_counter() - began, found["cpu"], found["own"], found["child"], said)
    return took, Path(found["store"])


def killed(source: Path | str, cache: Path, stream: bool, count: int) -> int:
    """A first opening that is killed halfway: the pictures that were whole by then, as its journal says."""
    process, done = _begun(source, cache, stream), 0
    while done < count // 2 and process.poll() is None:
        time.sleep(0.01)
        for mark in cache.glob(".building-*/journal/mark.json"):
            done = json.loads(mark.read_bytes())["state"]["done"]
    process.kill()
    process.communicate()
    return done


def same(one: Path, other: Path) -> bool:
    """True where two entries have the same files of the same bytes."""
    names = sorted(file.name for file in one.iterdir())
    return names == sorted(file.name for file in other.iterdir()) and all(
        filecmp.cmp(one / name, other / name, shallow=False) for name in names
    )


# -------------------------------------------------------------------------------------------------------------- printed


def line(what: str, took: Took, count: int, plain: Took | None = None) -> str:
    of_cpu = f"{plain.cpu / took.cpu:6.2f}" if plain is not None and took.cpu else " " * 6
    ratio = "" if plain is None else f"{plain.seconds / took.seconds:6.2f} {of_cpu}"
    memory = f"{took.own / 2**20:7,.0f} {took.child / 2**20:7,.0f}"
    return f"{what:28} {count / took.seconds:9,.0f} {1e6 * took.cpu / count:8.0f} {memory} {ratio:>13}"


def measured(pictures: Pictures, sources: list[str]) -> None:
    folder(pictures)
    count = pictures.count
    print(f"\n{count:,} {pictures.kind.upper()}s")
    print(f"{'':28} {'a second':>9} {'CPU, µs':>8} {'own MiB':>7} {'child':>7} {'ratio':>6} {'of CPU':>6}")
    plain = pillow(pictures)
    print(line("Pillow", plain, count), flush=True)
    for name in sources:
        source, stream = SOURCES[name](pictures), name == "streamed"
        with tempfile.TemporaryDirectory(dir=pictures.place) as temporary:
            whole, halved = Path(temporary) / "whole", Path(temporary) / "halved"
            took, entry = opened(source, whole, stream)
            print(line(f"{name}, opened", took, count, plain), flush=True)
            if name in STREAMED:
                print(line(f"{name}, an epoch", epoch(source, Path(temporary) / "new", stream), count, plain), flush=True)
            done = killed(source, halved, stream, count)
            again, other = opened(source, halved, stream)
            told = re.search(r"goes on at picture ([\d,]+)", again.said)
            print(line(f"{name}, again after a kill", again, count))
            equal = "the same" if same(entry, other) else "NOT the same"
            far = told[1] if told else "nothing"
            print(f"  killed at {done:,} or later, went on from {far}; the entry's bytes are {equal}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path(tempfile.gettempdir()) / "legato-pictures")
    parser.add_argument("--counts", default="50000,200000")
    parser.add_argument("--kinds", default="png,jpeg")
    parser.add_argument("--sources", default=",".join(SOURCES))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--stream", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--turn", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.one:
        print(json.dumps(one(chosen.one, chosen.stream, chosen.turn)))
        return
    chosen.folder.mkdir(parents=True, exist_ok=True)
    print(f"{workers()} cores, Pillow {Image.__version__}, NumPy {np.__version__}")
    for count in map(int, chosen.counts.split(",")):
        for kind in chosen.kinds.split(","):
            measured(Pictures(kind, count, chosen.folder), chosen.sources.split(","))


if __name__ == "__main__":
    main()
