"""An alarm: what has gone wrong with a part of a model, and what to do, in one line."""

from __future__ import annotations

from typing import NamedTuple

ALONE = 1.25  # effective number of weighted draws, of however many: below it the largest weight is nine tenths of all


class Alarm(NamedTuple):
    """`name`: the same whenever it sounds, since it is told once for a run; `says`: the line."""

    name: str
    says: str
