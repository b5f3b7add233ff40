"""The work of the ranks that tests/test_ranks.py starts: several trainings in one group, since starting one takes seconds."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, suppress

import torch

import legato
from legato.errors import Stopped
from legato.ranks import joined
from legato.training import sharded
from stopped_runs import stopping_after

if __name__ == "__main__":
    sharded.LARGE = 1  # tiny models have no large layers
    with joined(torch.device("cpu")):
        for recipe, source, out, chosen in json.loads(sys.argv[1]):
            steps = chosen.pop("stopped_after", None)
            with suppress(Stopped), nullcontext() if steps is None else stopping_after(steps):
                legato.train(recipe, source, out, **chosen)
