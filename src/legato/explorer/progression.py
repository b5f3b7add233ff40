"""How far a run is, read from its files alone: its lines, its snapshots, its state. A run is never locked by who looks in.

A shared lock, however briefly held, would refuse a writer that starts in that instant, so none is taken: a run is being
trained where the process that its lock file names lives and wrote a line lately.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, Literal

from legato.run import Run

State = Literal["training", "finished", "stopped"]
SILENT = 600.0  # seconds without a line after which a living process of that number is taken for another one


def snapshots(run: Run) -> list[int]:
    """The steps of which snapshots are kept, in order."""
    return sorted(int(path.stem.removeprefix("step-")) for path in run.snapshots.glob("step-*.safetensors"))


def curves(run: Run, after: int) -> dict[str, Any]:
    """The lines of metrics.jsonl from number `after` on, and how far the run is.

    `next` is how many lines there are: fewer than `after` where the run was resumed from an earlier step.
    """
    whole = _whole_lines(run)
    return {
        "lines": [json.loads(line) for line in whole[after:]],
        "next": len(whole),
        "snapshots": snapshots(run),
        "total": total(run),
        "state": state(run),
    }


def total(run: Run) -> int:
    """The steps that the run is to take."""
    return int(run.stored("training")["total"])


def state(run: Run) -> State:
    """training: a living process writes it; finished: the last step is done and the model there; else stopped."""
    lines = _whole_lines(run)
    done = int(json.loads(lines[-1])["step"]) if lines else 0
    if done >= total(run) and run.model.is_file():
        return "finished"
    return "training" if _is_written(run) else "stopped"


def _whole_lines(run: Run) -> list[bytes]:
    """A line that is being written is left for the next reader."""
    if not run.metrics.is_file():
        return []
    return [line for line in run.metrics.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]


def _is_written(run: Run) -> bool:
    """Signal 0 asks whether a process lives without touching it."""
    lock = run.path / ".lock"
    try:
        owner = int(lock.read_text(encoding="utf-8"))
        newest = max(path.stat().st_mtime for path in (lock, run.metrics) if path.exists())
        os.kill(owner, 0)
    except PermissionError:  # it lives, and is another person's
        return True
    except (OSError, ValueError, OverflowError):
        return False
    return time.time() - newest < SILENT
