"""What a machine costs that becomes busy in the middle of a training, the line that tells of it, and what its advice gains.

    python benchmarks/busy.py [--threads 2 1] [--burners 2] [--quiet 10] [--busy 45] [--batch-size 512] [--json FILE]

For each number of threads a training (`vae` on `mnist`, an MLP 784-512-20, float32) runs in a process of its own; after some
seconds as many processes as the machine has cores begin to count, and end after a while. Milliseconds of a step before, during
and after are those of the lines of metrics.jsonl. With more than one thread the run is then stopped by Ctrl-C and goes on with
one, while the others count again: what the line advises. To be run on a machine that does nothing else.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STEPS = 6_000  # of a run that is never finished: a line of metrics for each 30
SETTLED = 2.0  # seconds that no phase counts: burners begin, threads wake


def burn() -> None:
    """Counts for ever."""
    at = 0
    while True:
        at += 1


@contextmanager
def burners(count: int) -> Iterator[None]:
    """A block beside which so many processes count."""
    processes = [multiprocessing.Process(target=burn, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


@contextmanager
def training(run: Path, words: list[str], said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A training in a process of its own, past its first line; at the end it is stopped by Ctrl-C and saves."""
    before = len(lines(run))
    with said.open("ab") as out, subprocess.Popen([sys.executable, "-m", "legato", "train", *words], stderr=out) as process:
        while len(lines(run)) <= before and process.poll() is None:
            time.sleep(0.1)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait()


def lines(run: Path) -> list[dict[str, Any]]:
    """The whole lines of the run's metrics so far that tell of steps."""
    file = run / "metrics.jsonl"
    found = file.read_text().splitlines(keepends=True) if file.is_file() else []
    return [line for line in map(json.loads, (text for text in found if text.endswith("\n"))) if "train" in line]


def pace(run: Path, seconds: float) -> float:
    """Milliseconds of a step over so many seconds from now, after `SETTLED`, by at least one line more."""
    time.sleep(SETTLED)
    first, until = lines(run)[-1], time.monotonic() + seconds
    while time.monotonic() < until or lines(run)[-1] == first:
        time.sleep(0.1)
    last = lines(run)[-1]
    return 1e3 * (last["clock"]["seconds"] - first["clock"]["seconds"]) / (last["step"] - first["step"])


def measured(threads: int, asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The phases of one training: milliseconds of a step, and the line that came."""
    run, said = folder / f"threads-{threads}", folder / f"said-{threads}.txt"
    net = ["--net", "mlp", "--width", "512", "--depth", "1", "--latent-dim", "20", "--precision", "float32"]
    length = ["--steps", str(STEPS), "--batch-size", str(asked.batch_size), "--device", "cpu"]
    begin = ["vae", "--data", "mnist", "--out", str(run), "--threads", str(threads), *net, *length]
    found: dict[str, Any] = {"threads": threads}
    with training(run, begin, said):
        found["before"] = pace(run, asked.quiet)
        with burners(asked.burners):
            found["during"] = pace(run, asked.busy)
        found["after"] = pace(run, asked.quiet)
    told = [line for line in said.read_text().splitlines() if "times as long" in line]
    found["told"] = told[0] if told else None
    if threads > 1:
        with burners(asked.burners), training(run, ["--resume", "--out", str(run), "--threads", "1"], said):
            found["as advised"] = pace(run, asked.quiet)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[2, 1])
    parser.add_argument("--burners", type=int, default=os.cpu_count() or 1, help="processes that count")
    parser.add_argument("--quiet", type=float, default=10.0, help="seconds of each quiet phase")
    parser.add_argument("--busy", type=float, default=45.0, help="seconds of the busy phase")
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = [measured(threads, asked, Path(folder)) for threads in asked.threads]
    for row in rows:
        spent = ", ".join(f"{name} {row[name]:.1f}" for name in ("before", "during", "after", "as advised") if name in row)
        print(f"{row['threads']} threads, {asked.burners} others: ms a step {spent}\n    {row['told'] or 'no line came'}")
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
