"""Names of a table's columns, and the unit that a name tells: `petal width (cm)` is a width in cm.

Covered: units in round or square brackets at a name's end. Not covered: units told otherwise: `mass_kg` stands whole.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

# A unit is short, and begins with what no remark begins with: `speed (m/s)`, `price [€]`, `yield (%)`, but not `(log)`.
BRACKETS = re.compile(r"(?P<plain>.*\S)\s*(?:\((?P<round>[^()\[\]]{1,16})\)|\[(?P<square>[^()\[\]]{1,16})\])")
# in brackets, and yet no units
REMARKS = ("log", "ln", "log10", "log2", "mean", "std", "sd", "se", "min", "max", "raw", "n", "y", "sqrt")


def named(used: Sequence[str], width: int) -> list[str]:
    """The names of a row's values: its columns' own where there is one for each, else numbered."""
    if len(used) == width:
        return [str(name) for name in used]
    return [f"{used[0] if len(used) == 1 else 'x'}_{i}" for i in range(width)]


def unit_of(name: str) -> tuple[str, str]:
    """The name without its unit, and the unit; the whole name and nothing where it tells none."""
    found = BRACKETS.fullmatch(name)
    if found is None:
        return name, ""
    unit = (found["round"] or found["square"]).strip()
    return (name, "") if not unit or unit.casefold() in REMARKS or unit.isdigit() else (found["plain"], unit)
