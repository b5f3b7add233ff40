"""Output of the commands: figures on the terminal and in JSON, pictures of images, tables of rows that are no images."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from legato.classes import listed
from legato.commands.tables import Columns, write_table
from legato.data.preparation import Units
from legato.data.prepared import Prepared
from legato.errors import Mistake
from legato.files import whole_file, write_json
from legato.latent_space import LatentSpace
from legato.pictures import grid, save_gif, save_png, strips, to_pillow
from legato.terminal import one_line, speaks_unicode
from legato.types import Integers


def say(line: str) -> None:
    """One line on stdout, whatever the names in it."""
    print(one_line(line), flush=True)  # flushed, since a program that reads the lines waits for each


def in_a_name(label: str) -> str:
    """A class's name as a part of a file's: a folder's name may be long, or hold what paths give a meaning to."""
    return re.sub(r"[^\w-]+", "-", label)[:60]


def write_figures(content: Mapping[str, Any], path: Path) -> None:
    """JSON to a file, whole or not at all; `-` is stdout."""
    if str(path) == "-":
        # Escapes where the terminal has no Unicode: σ in a name must not end the command. NaN is no JSON, and would be refused.
        json.dump(content, sys.stdout, indent=2, ensure_ascii=not speaks_unicode(), allow_nan=False)
        print()
    else:
        write_json(path, content)


def chosen_rows(data: Prepared, names: Sequence[str], split: str | None, n: int, seed: int) -> np.ndarray:
    """The rows that were named (ids or row numbers); without names, n drawn at random from the split, in order."""
    if names:  # ids and row numbers alike, in the order in which they were named
        return np.array([data.dataset.find(name) for name in names], np.int64)
    split = split or data.default_split
    rows = data.split(split)
    if n < 1 or not len(rows):
        raise Mistake(f"there is nothing to show: --n is {n}, the split `{split}` has {len(rows)} rows")
    return np.sort(rows.draw(n, "shown", seed))  # in the source's order, in which a disk reads them


def of_one(space: LatentSpace, labels: Integers | None) -> LatentSpace:
    """The model of the class that all of these are of, where one is needed to decode. Raises `Mistake` where they differ."""
    if labels is None or not space.model.needs_class:
        return space
    names = [space.classes[number] for number in np.unique(labels)]
    if len(names) > 1:
        raise Mistake(f"these are of several classes ({listed(names)}), and what lies between is decoded as one: --label NAME")
    return space.of_class(names[0])


def write_grid(values: Units, path: Path, space: LatentSpace) -> Path:
    """One sheet of images; rows of a table as .parquet or .csv under its columns' names, or as .npy."""
    if len(space.shape) == 1:
        return _table([("", values)], path, space)
    _say_range(space)
    return save_png(grid(space.preparation.seen(values)), _named(path, ".png"))


def write_rows(
    rows: Sequence[tuple[str, Units]], path: Path, space: LatentSpace, ids: Sequence[str] | None = None, *, shown: bool = False
) -> Path:
    """Labelled strips of images; rows of a table as .parquet or .csv, a strip's after another's, or as .npy (strips, n, D).

    `ids`: of the rows of every strip, where they are of a source. `shown`: the images are as a person sees them, in [0, 1].
    """
    if len(space.shape) == 1:
        return _table(rows, path, space, ids)
    _say_range(space)
    seen = [(label, values if shown else space.preparation.seen(values)) for label, values in rows]
    return save_png(strips(seen), _named(path, ".png"))


def _say_range(space: LatentSpace) -> None:
    low, high = space.preparation.screen
    # Only where it is not 0 to 1: a sheet whose grey levels are others than the file's must say so.
    if (low, high) != (0, 1):
        say(f"shown from {low:g} (black) to {high:g} (white), the range of the training pictures")


def check_animation(path: Path | None, space: LatentSpace) -> None:
    """Refuses an animation that could not be written, before anything else is."""
    if path is not None and len(space.shape) == 1:
        raise Mistake("an animation needs images, and this run is of a table: leave out --gif")
    if path is not None and _named(path, ".gif").suffix.lower() != ".gif":
        raise Mistake(f"`{path}` must end in .gif: --gif writes an animation")


def write_path(images: Units, path: Path, space: LatentSpace) -> Path:
    """An animation there and back."""
    scale = max(1, 256 // max(space.shape[-2:]))  # enlarged by a whole number, so that no pixel is blurred
    return save_gif(to_pillow(space.preparation.seen(images), scale=scale), _named(path, ".gif"))


def _table(rows: Sequence[tuple[str, Units]], path: Path, space: LatentSpace, ids: Sequence[str] | None = None) -> Path:
    """Columns go by name where they have names: a table's own, `line` and the place in it, or the row's id."""
    named = bool(space.run.stored("data").get("columns"))
    path = _named(path, ".parquet" if named else ".npy")
    if path.suffix == ".npy":
        return _array(rows, path)
    if path.suffix not in (".parquet", ".csv"):
        raise Mistake(f"`{path}` must end in .parquet, .csv or .npy: the run is of a table, whose rows are no pictures")
    columns = _columns(rows, space.columns, ids)
    write_table(path, np.arange(len(next(iter(columns.values())))), lambda some: _cut(columns, some), (path.suffix,), "writing")
    return path


def _columns(rows: Sequence[tuple[str, Units]], names: Sequence[str], ids: Sequence[str] | None) -> Columns:
    values = np.concatenate([values for _, values in rows])
    there = ~np.isnan(values).all(1)  # the places between the stops of a path are no rows
    lead: Columns = {}
    # A single strip needs no name.
    if len(rows) > 1:
        lead["line"] = [label for label, some in rows for _ in some]
        lead["id" if ids else "place"] = [*ids] * len(rows) if ids else np.concatenate([np.arange(len(v)) for _, v in rows])
    # Names of ours give way to the table's own.
    lead = {f"{name}_" if name in names else name: column for name, column in lead.items()}
    return _cut({**lead, **{name: values[:, i] for i, name in enumerate(names)}}, np.flatnonzero(there))


def _cut(columns: Columns, rows: np.ndarray) -> Columns:
    return {name: c[rows] if isinstance(c, np.ndarray) else [c[row] for row in rows] for name, c in columns.items()}


def _array(rows: Sequence[tuple[str, Units]], path: Path) -> Path:
    values = [values for _, values in rows]
    with whole_file(path) as file:
        # allow_pickle=False: what is written must be readable without running code
        np.save(file, values[0] if len(rows) == 1 else np.stack(values), allow_pickle=False)
    return path


def _named(path: Path, suffix: str) -> Path:
    # A name without an ending gets the one that fits, and any other is kept for its writer to judge.
    return path if path.suffix else path.with_suffix(suffix)
