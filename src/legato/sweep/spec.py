"""The specification of a sweep: a TOML file of words for `legato train`, some of them with several values.

    data = "mnist"
    recipe = "vae"        # or a list: then it is one of the words that differ
    steps = 2000          # any word of `legato train`, with underscores

    [grid]                # a run for each combination
    latent_dim = [2, 16]
    beta = [1.0, 4.0]
    seed = [0, 1]

Covered: reading, names, combinations. Not covered: training (trial.py).
"""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legato.errors import Mistake
from legato.files import read_bytes

MOST = 10_000  # runs: more were never meant
LARGEST = 1 << 20  # bytes of a specification
PLAIN = (str, int, float, bool)


@dataclass(frozen=True)
class Trial:
    """One run: its name, and its words."""

    name: str
    words: dict[str, Any]
    differing: dict[str, Any]  # those of the grid


@dataclass(frozen=True)
class Spec:
    """The words that all runs share, and the values of those that differ."""

    shared: dict[str, Any]
    grid: dict[str, list[Any]]

    @property
    def trials(self) -> list[Trial]:
        """Every combination, the last word of the grid changing first."""
        found = [dict(zip(self.grid, values, strict=True)) for values in itertools.product(*self.grid.values())]
        return [Trial(_name(one), {**self.shared, **one}, one) for one in found]


def read_spec(path: Path) -> Spec:
    """The specification that lies there. Raises `Mistake` for what is none."""
    try:
        said = tomllib.loads(read_bytes(path, LARGEST).decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Mistake(f"`{path}` is no TOML: {error}") from None
    grid = said.pop("grid", {})
    if not isinstance(grid, Mapping):
        raise Mistake(f"`grid` of `{path}` must be a table of lists, such as `latent_dim = [2, 16]` under [grid]")
    if isinstance(said.get("recipe"), list):  # the word that people vary first
        grid = {"recipe": said.pop("recipe"), **grid}
    return _checked(path, said, dict(grid))


def _checked(path: Path, shared: dict[str, Any], grid: dict[str, Any]) -> Spec:
    for word in ("recipe", "data"):
        if word not in shared and word not in grid:
            raise Mistake(f'`{path}` lacks `{word}`: {word} = "{"vae" if word == "recipe" else "mnist"}", say')
    for word, value in shared.items():
        if not isinstance(value, PLAIN):
            raise Mistake(
                f"`{word}` of `{path}` must be text, a number, true or false; several values of it belong under [grid]"
            )
    for word, values in grid.items():
        if not isinstance(values, list) or not values or not all(isinstance(value, PLAIN) for value in values):
            raise Mistake(f"`{word}` of [grid] in `{path}` must be a list of values, such as [2, 16]")
        if word in shared:
            raise Mistake(f"`{word}` of `{path}` is said twice, for all runs and under [grid]: leave one out")
        if len(set(map(repr, values))) < len(values):
            raise Mistake(f"`{word}` of [grid] in `{path}` holds a value twice")
    if (count := math.prod(map(len, grid.values()))) > MOST:
        raise Mistake(f"`{path}` asks for {count:,} runs: at most {MOST:,}")
    for word in ("out", "resume", "overwrite", "device", "threads"):
        if word in shared or word in grid:
            raise Mistake(
                f"`{word}` is no word of a sweep's runs: `legato sweep` itself is told where and how they are trained"
            )
    return Spec(shared, grid)


def _name(words: Mapping[str, Any]) -> str:
    """`latent_dim-2,beta-4,seed-0`: a folder's name that says what differs."""
    parts = [f"{word}-{_told(value)}" for word, value in words.items()]
    return re.sub(r"[^\w.,=-]+", "-", ",".join(parts))[:200] or "run"


def _told(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
