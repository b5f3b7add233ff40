"""Defaults where nobody says: one table of networks, its rows chosen for what is seen after 2 and after 10 minutes.

`python records/first_minutes.py` compares each row with its rivals on a folder of colour pictures and on MNIST; a change of
this table must not worsen them (docs/numbers.md). No torch here: `legato train --help` reads this file.
"""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A network's size, the images in a step, and AdamW's learning rate at its peak."""

    width: int
    depth: int
    batch_size: int
    learning_rate: float


# Convolutions take their time per image, dense layers per step, so that small batches cost a dense net most of its speed.
NETS = {
    "mlp": Row(width=512, depth=2, batch_size=256, learning_rate=1e-3),
    "residual": Row(width=512, depth=2, batch_size=256, learning_rate=1e-3),
    "conv": Row(width=24, depth=1, batch_size=64, learning_rate=1e-3),
    "strided": Row(width=32, depth=0, batch_size=32, learning_rate=2e-3),
    "diffusers": Row(width=32, depth=1, batch_size=32, learning_rate=1e-3),
}
DENSE_LIMIT = 32 * 32  # values: above this a dense layer spends most of its weights on pixels far from each other
