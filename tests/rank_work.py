"""The work of the ranks that tests/test_ranks.py starts: several trainings in one group, since starting one takes seconds."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import nullcontext
from pathlib import Path

import torch

import legato
from legato.errors import Stopped
from legato.ranks import joined
from legato.training import sharded
from stopped_runs import stopping_after

if __name__ == "__main__":
    sharded.LARGE = 1  # tiny models have no large layers
    try:
        with joined(torch.device("cpu")):
            for recipe, source, out, chosen in json.loads(sys.argv[1]):
                steps = chosen.pop("stopped_after", None)  # the last one's
                with nullcontext() if steps is None else stopping_after(steps):
                    legato.train(recipe, source, out, **chosen)
    except (Stopped, SystemExit) as end:
        if isinstance(end, SystemExit) and end.code != 128 + signal.SIGTERM:
            raise
    # A thread of the group that lets go of its last tensor while the interpreter ends would abort the process.
    if (tasks := Path("/proc/self/task")).is_dir():
        left = {(task / "comm").read_text().strip() for task in tasks.iterdir()}
        assert "pt_gloo_runloop" not in left, left
