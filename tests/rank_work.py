"""The work of the ranks that tests/test_ranks.py starts: several trainings in one group, since starting one takes seconds."""

from __future__ import annotations

import json
import sys

import torch

import legato
from legato.ranks import joined

if __name__ == "__main__":
    with joined(torch.device("cpu")):
        for recipe, source, out, chosen in json.loads(sys.argv[1]):
            legato.train(recipe, source, out, **chosen)
