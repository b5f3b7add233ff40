"""What an interruption costs: runs, experiments and preparations that are killed, stopped, out of disk or shared.

    python records/crashes.py [--seed 0] [--out records/crashes.md]

Every run is the real `legato train` in a process of its own, interrupted from outside: the product has no hook for it. A kill
counts as inside a checkpoint only where an unfinished one is found on disk afterwards. An interrupted and resumed run is
compared with one that nobody interrupted: every tensor, every file, every line of metrics, bit for bit; only clocks may differ.
About ten minutes on two cores. The tables go to stdout and to --out; exit code 1 if a row is not as it must be. Rows that a
machine cannot try (a full disk needs root, for a small file system of its own) say `skipped`. Not covered: a loss of power.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from families import SOON, families
from kills import PICTURES, counted, kills, store
from trials import (
    OFTEN,
    STEPS,
    TRAIN,
    Legato,
    Reference,
    Row,
    Table,
    compare,
    differing,
    legato,
    lines,
    newest_whole,
    page,
    resume,
    step_of,
    uninterrupted,
    verdict,
)

AT_ONCE = 2.0  # seconds within which a signal must end a run


# ------------------------------------------------------------------------------------------------- controls


def controls(reference: Reference) -> Iterator[Row]:
    """What the comparison says of runs that nobody interrupts: of the same one, and of one that is hardly another."""
    out = Path("control")
    row = Row({"uninterrupted": "the same, one checkpoint at its end"})
    legato(*TRAIN, "--out", str(out))
    compare(row, out, reference.contents)
    yield row
    row = Row({"uninterrupted": "its learning rate larger by a millionth"})
    legato(*TRAIN, "--learning-rate", "0.001000001", "--overwrite", "--out", str(out))
    found = differing(out, reference.contents)
    row.cells["identical"] = "no" if found else "yes"
    kinds = {*(f"checkpoint {kind}" for kind in ("model", "average", "optimiser")), "model", "codes", "metrics"}
    unseen = kinds - {name.split(".")[0] for name in found}
    row.must(not unseen, f"the comparison sees no difference in {', '.join(sorted(unseen))}")
    yield row
    shutil.rmtree(out)


# ------------------------------------------------------------------------------------------------- signals


def some_steps(child: Legato, out: Path, rng: random.Random) -> None:
    """Waits for a random step, early enough that the run cannot end before what follows."""
    step = rng.randrange(STEPS * 3 // 4)
    child.waits_for(lambda: lines(out) > step)


def signals(rng: random.Random, reference: Reference) -> Iterator[Row]:
    """Ctrl-C and SIGTERM after a random step, two each."""
    for number in (signal.SIGINT, signal.SIGTERM) * 2:
        row, out = Row({"signal": number.name}), Path("stopped")
        with Legato([*TRAIN, *OFTEN, "--out", str(out)]) as child:
            some_steps(child, out, rng)
            began = time.monotonic()
            code, _, err = child.end(number)
            seconds = time.monotonic() - began
        whole, step = newest_whole(out), step_of(out)
        row.cells |= {"seconds": f"{seconds:.2f}", "exit code": code, "line": " ".join(err), "whole checkpoint": whole}
        row.must(seconds < AT_ONCE, f"took {seconds:.2f} s")
        row.must(code == 128 + number, f"exit code {code}")
        row.must(len(err) == 1 and err[0].startswith(f"legato: stopped at step {whole} of {STEPS}, all saved"), f"said {err}")
        row.must(whole == step, f"the checkpoint is of step {whole}, the metrics are of {step}")
        resume(row, out, whole or 0, reference.contents)
        shutil.rmtree(out)
        yield row


# ------------------------------------------------------------------------------------------------- a full disk


@contextmanager
def small_disk(size: int) -> Iterator[Path | None]:
    """A file system of its own of so many bytes; None where this machine does not allow one."""
    place = Path("disk")
    place.mkdir(exist_ok=True)
    mounted = sys.platform == "linux" and os.geteuid() == 0 and mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield place if mounted else None
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def mount(*words: str) -> bool:
    """Whether it went well."""
    return shutil.which("mount") is not None and subprocess.run(["mount", *words], capture_output=True).returncode == 0


def full_disk(rng: random.Random, reference: Reference) -> Iterator[Row]:
    """A disk that the run itself fills, and one that another file fills while the run goes on; then room is made."""
    for what, room in (("the run itself", 3), ("another file", 40)):
        row = Row({"filled by": what})
        with small_disk(room * reference.size) as place:
            if place is None:
                row.skipped, row.cells["line"] = True, "no small file system can be mounted: needs root on Linux"
            else:
                fills_up(row, place, rng if what == "another file" else None)
                (place / "other").unlink(missing_ok=True)
                mount("-o", f"remount,size={100 * reference.size}", str(place))
                resume(row, place / "RUN", row.cells["whole checkpoint"] or 0, reference.contents)
        yield row


def fills_up(row: Row, place: Path, rng: random.Random | None) -> None:
    """Trains on a small disk until it is full; with `rng`, after a random step another file takes all that is free."""
    out = place / "RUN"
    with Legato([*TRAIN, *OFTEN, "--out", str(out)]) as child:
        if rng is not None:
            some_steps(child, out, rng)
            pour(child, place / "other")
        code, _, err = child.end()
    row.cells |= {"exit code": code, "line": " ".join(err), "step": step_of(out), "whole checkpoint": newest_whole(out)}
    row.must(code == 2, f"exit code {code}")
    row.must(len(err) == 1 and "the disk is full" in err[0], f"said {err}")
    row.must(newest_whole(out) is not None, "no whole checkpoint is there")


def pour(child: Legato, file: Path) -> None:
    """Writes zeros for as long as the run lives: whatever it frees is taken."""
    with open(file, "wb", buffering=0) as other:
        while child.process.poll() is None:
            try:
                other.write(bytes(2**20))
            except OSError:
                time.sleep(0.001)


# ------------------------------------------------------------------------------------------------- two at once


def shared(reference: Reference) -> Iterator[Row]:
    """A second writer is refused, a reader is not, and the first writer's run is what it would have been."""
    for what, words, wanted in (
        ("train --overwrite", [*TRAIN, "--overwrite", "--out"], 2),
        ("train --resume", ["train", "--resume", "--out"], 2),
        ("sample", ["sample", "--n", "4", "--out", "samples.png", "--device", "cpu", "--threads", "1"], 0),
        ("evaluate", ["evaluate", "--k", "1", "--limit", "100", "--device", "cpu", "--threads", "1"], 0),
    ):
        for _ in range(3):  # a first run that ended before the second was answered says nothing
            row, in_time = together(what, words, wanted)
            if in_time:
                break
        compare(row, Path("shared"), reference.contents)
        shutil.rmtree("shared")
        yield row


def together(what: str, words: Sequence[str], wanted: int) -> tuple[Row, bool]:
    """A second process on a run that is being trained; whether the run went on until it was answered."""
    row, out = Row({"second process": what}), Path("shared")
    shutil.rmtree(out, ignore_errors=True)
    with Legato([*TRAIN, *OFTEN, "--out", str(out)]) as first:
        there = first.waits_for((out / "model.safetensors").is_file)
        code, _, err = legato(*words, str(out))
        in_time = row.must(there and first.process.poll() is None, "the first run ended before the second was answered")
        row.cells |= {"exit code": code, "line": " ".join(err)}
        row.must(code == wanted, f"exit code {code}")
        row.must(len(err) == (1 if wanted else 0), f"said {err}")
        row.must(not wanted or f"is being written by process {first.process.pid}:" in " ".join(err), f"said {err}")
        row.must(first.end()[0] == 0, "the first run failed")
    return row, in_time


# ------------------------------------------------------------------------------------------------- all of it


def try_all(seed: int) -> Iterator[Table]:
    """Every table, tried in the folder that is current."""
    rng = random.Random(seed)
    reference = uninterrupted(Path("reference"))

    def table(title: str, text: str, rows: Iterator[Row]) -> Table:
        found = []
        for row in rows:
            found.append(row)
            print(f"{title}: {verdict(row)}: {row.cells}", file=sys.stderr, flush=True)
        return Table(title, text, found)

    yield table("Controls", "What the comparison says of runs that nobody interrupts.", controls(reference))
    killed = table(
        "kill -9",
        f"{STEPS} steps, a checkpoint of {reference.size / 1e6:.1f} MB 60 ms after the one before. *hit*: inside a checkpoint "
        "only where an unfinished one was found. *step*: the last in metrics.jsonl; *whole checkpoint*: the newest that loads.",
        kills(rng, reference),
    )
    killed.rows.append(counted(killed.rows))
    yield killed
    yield table("Ctrl-C and SIGTERM", f"After a random step; at most {AT_ONCE:g} seconds.", signals(rng, reference))
    yield table(
        "A full disk", "A small file system in memory; room is made before the run is resumed.", full_disk(rng, reference)
    )
    yield table("Two at once", "A second process on a RUN that is being trained. *identical*: the first.", shared(reference))
    yield table(
        "legato claims",
        f"Two workers. *seconds*: until the last process is gone, at most {SOON:g}. *identical*: the first member, brought to "
        "its end by the same command, and what `legato train` makes alone.",
        families(),
    )
    yield table("The store", f"Killed while {PICTURES} PNG files are prepared; then the same command again.", store(rng))


@contextmanager
def elsewhere() -> Iterator[None]:
    """In an empty folder with a store of its own; names are relative to it, so the record shows no place of this machine."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        os.environ["LEGATO_CACHE"] = str(Path(folder, "cache"))
        try:
            yield
        finally:
            os.chdir(before)


def main() -> None:
    """Tries everything, prints and writes the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the moments at which runs are killed")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".md"))
    chosen, began = parser.parse_args(), time.monotonic()
    out = chosen.out.absolute()
    with elsewhere():
        tables = list(try_all(chosen.seed))
    text = page(chosen.seed, tables, time.monotonic() - began)
    out.write_text(text, encoding="utf-8")
    print(text)
    wrong = [f"{table.title}: {verdict(row)}: {row.cells}" for table in tables for row in table.rows if row.wrong]
    print(*wrong, sep="\n", end="\n" if wrong else "", file=sys.stderr)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
