"""What crashes.py is made of: rows and tables, `legato` in a process of its own, what lies on disk, the reference."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch

from legato import __version__, checkpoint
from legato.errors import Mistake
from legato.run import Run

STEPS = 399  # the longest run with a line of metrics for every step
WORDS = f"train vae --data mnist --net mlp --width 256 --depth 1 --latent-dim 8 --threads 1 --device cpu --steps {STEPS}"
TRAIN = WORDS.split()
OFTEN = ["--checkpoint-minutes", "0.001"]  # 60 ms after the one before
LIMIT = 120  # seconds that any process may take


# ------------------------------------------------------------------------------------------------- rows and tables


@dataclass
class Row:
    """One thing tried: the cells of its table, and what was not as it must be. `skipped`: it could not be tried."""

    cells: dict[str, Any] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    skipped: bool = False

    def must(self, holds: bool, otherwise: str) -> bool:
        """Notes what does not hold."""
        if not holds:
            self.wrong.append(otherwise)
        return holds


@dataclass(frozen=True)
class Table:
    """Rows under a title, with a sentence on how they were made."""

    title: str
    text: str
    rows: list[Row]

    def __str__(self) -> str:
        names = list(dict.fromkeys(name for row in self.rows for name in row.cells))
        names.sort(key=lambda name: name == "identical")
        heads = [*names, "as it must be"]
        body = [[*(cell(row.cells.get(name)) for name in names), verdict(row)] for row in self.rows]
        table = [" | ".join(words) for words in (heads, ["---"] * len(heads), *body)]
        return "\n".join([f"## {self.title}", "", self.text, "", *(f"| {line} |" for line in table), ""])


def cell(value: object) -> str:
    """A value in a Markdown table."""
    return "" if value is None else str(value).replace("|", "\\|")


def verdict(row: Row) -> str:
    """What the last column says."""
    return "skipped" if row.skipped else f"**no**: {cell('; '.join(row.wrong))}" if row.wrong else "yes"


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    found = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in found if line.startswith("model name")), "unknown processor")


def page(seed: int, tables: Sequence[Table], seconds: float) -> str:
    """The record: where and when, how many rows were as they must be, the tables."""
    rows = [row for table in tables for row in table.rows]
    wrong, skipped = sum(bool(row.wrong) for row in rows), sum(row.skipped for row in rows)
    return "\n".join(
        [
            "# What an interruption costs",
            "",
            f"`python records/crashes.py --seed {seed}`, {date.today()}, {seconds:.0f} seconds on {os.cpu_count()} cores of "
            f"{processor()}, {platform.system()}; legato {__version__}, torch {torch.__version__}, NumPy {np.__version__}, "
            f"Python {platform.python_version()}.",
            "",
            f"**{len(rows)} rows: {len(rows) - wrong - skipped} as they must be, {wrong} not, {skipped} skipped.** "
            "*identical*: every tensor, file and line of metrics has the bits of the uninterrupted run; clocks aside.",
            "",
            *map(str, tables),
        ]
    )


# ------------------------------------------------------------------------------------------------- processes


class Legato:
    """`legato …` in a process of its own, never left behind; with `group` it leads a group of processes, as in a terminal."""

    def __init__(self, words: Sequence[str], group: bool = False, **environment: str) -> None:
        program = [str(Path(sys.executable).with_name("legato")), *words]
        self.group = group
        self.process = subprocess.Popen(
            program,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
            process_group=0 if group else None,
        )

    def __enter__(self) -> Legato:
        return self

    def __exit__(self, *_: object) -> None:
        if self.group:
            with suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def waits_for(self, there: Callable[[], bool], then: float = 0.0) -> bool:
        """Polls until something is there, and sleeps for `then` seconds more; False where the process ended before."""
        until = time.monotonic() + LIMIT
        while not there():
            if self.process.poll() is not None or time.monotonic() > until:
                return False
            time.sleep(0.0001)
        time.sleep(then)
        return True

    def end(self, number: int = 0, to_all: bool = False) -> tuple[int, str, list[str]]:
        """Sends a signal, if any, to it or its whole group, and waits: exit code, stdout, the lines of stderr but progress."""
        if number and to_all:
            os.killpg(self.process.pid, number)
        elif number:
            self.process.send_signal(number)
        out, err = self.process.communicate(timeout=LIMIT)
        return self.process.returncode, out, [line for line in err.splitlines() if not line.startswith("training ")]


def legato(*words: str, **environment: str) -> tuple[int, str, list[str]]:
    """Runs a command to its end."""
    with Legato(words, **environment) as child:
        return child.end()


def resume(row: Row, out: Path, at: int, reference: dict[str, Any]) -> None:
    """Goes on with a run, from step `at` and no other, and compares its end with the run that was never interrupted."""
    code, told, err = legato("train", "--resume", "--out", str(out))
    found = re.match(r"resuming .* at step ([\d,]+) of", told)
    step = int(found[1].replace(",", "")) if found else None
    row.cells["resumed at"] = step
    if row.must(code == 0, f"the resumed run ended with {code}: {err[-1:]}"):
        row.must(step == at, f"resumed at step {step}, not {at}")
        compare(row, out, reference)


def compare(row: Row, out: Path, reference: dict[str, Any]) -> None:
    """Whether a finished run is, bit for bit, the one that was never interrupted, and nothing else lies in its folder."""
    found = differing(out, reference)
    row.cells["identical"] = "no" if found else "yes"
    row.must(not found, f"differs in {', '.join(found[:5])}")
    left = sorted(path.name for path in out.rglob(".*") if path.name != ".lock")
    row.must(not left, f"left lying: {left}")
    kept = checkpoint.existing(out / "checkpoint")
    row.must(len(kept) <= checkpoint.KEPT, f"{len(kept)} checkpoints were kept")


def differing(out: Path, reference: dict[str, Any]) -> list[str]:
    """The names of what differs in a finished run."""
    found = contents(out)
    return sorted(key for key in found.keys() | reference.keys() if found.get(key) != reference.get(key))


# ------------------------------------------------------------------------------------------------- what is on disk


def contents(out: Path) -> dict[str, Any]:
    """Everything of a finished run but what a clock says; tensors and files by checksum."""
    run = Run(out)
    newest = checkpoint.existing(run.checkpoints)[-1]
    saved = checkpoint.read(newest)
    files = [run.model, run.codes, run.recipe, run.data, *sorted(run.snapshots.iterdir())]
    training = {key: value for key, value in run.stored("training").items() if key != "asked"}
    clocks = ("clock", "metrics_bytes")  # the bytes count a clock's digits
    metrics = [{key: value for key, value in line.items() if key != "clock"} for line in run.read_metrics()]
    return {
        **{f"checkpoint {name}": digest(value) for name, value in saved.tensors.items()},
        **{f"checkpoint {name}": value for name, value in saved.state.items() if name not in clocks},
        **{file.name: hashlib.blake2b(file.read_bytes()).hexdigest() for file in files},
        "training.json": training,
        "metrics.jsonl": metrics,
    }


def digest(tensor: torch.Tensor) -> str:
    """Every bit of a tensor, its type and its shape."""
    return f"{tensor.dtype} {tuple(tensor.shape)} {hashlib.blake2b(tensor.numpy().tobytes()).hexdigest()}"


def lines(out: Path) -> int:
    """Lines of metrics: one per step here, and some for validations."""
    with suppress(FileNotFoundError):
        return (out / "metrics.jsonl").read_bytes().count(b"\n")
    return 0


def step_of(out: Path) -> int:
    """The step of the last whole line of metrics."""
    known = Run(out).read_metrics()
    return known[-1]["step"] if known else 0


def halves(out: Path) -> list[Path]:
    """Folders of checkpoints that are being written, or were when the writer died."""
    with suppress(FileNotFoundError):
        return [Path(entry.path) for entry in os.scandir(out / "checkpoint") if entry.name.endswith(".partial")]
    return []


def newest_whole(out: Path) -> int | None:
    """The step of the newest checkpoint that loads, its checksum right."""
    for path in reversed(checkpoint.existing(out / "checkpoint")):
        with suppress(Mistake):
            checkpoint.read(path)
            return int(path.name.removeprefix("step-"))
    return None


def left_behind(out: Path, size: int) -> str:
    """What a killed writer left half done, in words; `size` is that of a checkpoint's tensors."""
    said = []
    for half in halves(out):
        share = sum(file.stat().st_size for file in half.glob("*tensors*")) / size
        state = "a state" if any(half.glob("*state*")) else "no state"
        said.append(f"unfinished checkpoint {int(half.name.split('-')[1].split('.')[0])}: {share:.0%} of its tensors, {state}")
    olds = checkpoint.existing(out / "checkpoint")[:-1]
    said += ["an old checkpoint half deleted" for old in olds if len(list(old.iterdir())) < 2]
    said += [f"unfinished {'.'.join(path.name.split('.')[1:3])}" for path in out.glob(".*.partial")]
    said += ["unfinished snapshot" for _ in out.glob("snapshots/.*.partial")]
    said += [f"no {name}.json" for name in ("recipe", "data", "training") if not (out / f"{name}.json").is_file()]
    return "; ".join(said) or "nothing unfinished"


# ------------------------------------------------------------------------------------------------- the reference


@dataclass(frozen=True)
class Reference:
    """The run that was never interrupted: what it made, its seconds from the first step on, the bytes of its checkpoint."""

    contents: dict[str, Any]
    seconds: float
    size: int


def uninterrupted(out: Path) -> Reference:
    """Trains it, with as many checkpoints as the others write."""
    with Legato([*TRAIN, *OFTEN, "--out", str(out)]) as child:
        child.waits_for(lambda: lines(out) > 0)
        began = time.monotonic()
        code, _, err = child.end()
    if code:
        sys.exit(f"the uninterrupted run ended with {code}: {err}")
    size = (checkpoint.existing(out / "checkpoint")[-1] / "tensors.safetensors").stat().st_size
    return Reference(contents(out), time.monotonic() - began, size)
