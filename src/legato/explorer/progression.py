"""Progress of a run, read from its files alone: its lines, its snapshots, its state. A reader never locks a run.

A shared lock, however briefly held, would refuse a writer that starts in that instant, so none is taken: a run is being
trained where the process that its lock file names lives and wrote a line lately.
"""

from __future__ import annotations

import os
import time
from typing import Any, Literal

from legato.errors import Mistake
from legato.files import read_bytes
from legato.run import LOCK, Run

State = Literal["training", "finished", "stopped"]
SILENT = 600.0  # seconds without a line after which the number is taken for another process's: numbers are used again


def snapshots(run: Run) -> list[int]:
    """The steps of which snapshots are kept, in order."""
    return list(run.kept_snapshots())


def curves(run: Run, after: int) -> dict[str, Any]:
    """The lines of metrics.jsonl from number `after` on, and how far the run is.

    `next` is how many lines there are: fewer than `after` where the run was resumed from an earlier step.
    """
    lines = run.read_metrics(after)
    return {
        "lines": lines,
        # Where no line is new the run may go on from an earlier step, with fewer lines than the page knows: they are counted.
        "next": after + len(lines) if lines else min(after, len(run.metrics_lines())),
        "snapshots": snapshots(run),
        "total": total(run),
        "state": state(run),
    }


def total(run: Run) -> int:
    """The steps that the run is to take."""
    return int(run.stored("training")["total"])


def state(run: Run) -> State:
    """training: a living process writes it; finished: the last step is done and the model there; else stopped."""
    last = run.read_metrics(-1)
    done = last[0]["step"] if last else 0
    # both: a run that was stopped after its last step and before its model was written is not finished
    if done >= total(run) and run.model.is_file():
        return "finished"
    return "training" if _is_written(run) else "stopped"


def _is_written(run: Run) -> bool:
    """Signal 0 asks whether a process lives without touching it."""
    lock = run.path / LOCK
    try:
        owner = int(read_bytes(lock, 20))
        # whichever was written last: a run writes no line before its first steps
        newest = max(path.stat().st_mtime for path in (lock, run.metrics) if path.exists())
        os.kill(owner, 0)  # signal 0 asks whether it lives, and does nothing to it
    except PermissionError:  # it lives, and is another person's
        return True  # alive, and another person's
    except (OSError, Mistake, ValueError, OverflowError):
        return False
    # Wall-clock, as the files' times are.
    return time.time() - newest < SILENT
