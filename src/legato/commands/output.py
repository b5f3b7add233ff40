"""What the commands write: figures on the terminal and in JSON, pictures of images, tables of rows that are no images."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from legato.data.prepared import Prepared
from legato.errors import Mistake
from legato.files import whole_file, write_json
from legato.latent_space import LatentSpace
from legato.pictures import grid, save_gif, save_png, strips, to_pillow

Floats = np.ndarray


def say(line: str) -> None:
    """One line on stdout."""
    print(line, flush=True)


def write_figures(content: Mapping[str, Any], path: Path) -> None:
    """JSON to a file, whole or not at all; `-` is stdout."""
    if str(path) == "-":
        json.dump(content, sys.stdout, indent=2, ensure_ascii=False, allow_nan=False)
        print()
    else:
        write_json(path, content)


def chosen_rows(data: Prepared, names: Sequence[str], split: str | None, n: int, seed: int) -> np.ndarray:
    """The rows that were named (ids or row numbers); without names, n drawn at random from the split, in order."""
    if names:
        return np.array([data.dataset.find(name) for name in names], np.int64)
    split = split or data.default_split
    rows = data.split(split)
    if n < 1 or not len(rows):
        raise Mistake(f"there is nothing to show: --n is {n}, the split `{split}` has {len(rows)} rows")
    return np.sort(rows.draw(n, "shown", seed))


def write_grid(images: Floats, path: Path, space: LatentSpace) -> Path:
    """One sheet of images; rows of a table as .npy."""
    if len(space.shape) == 1:
        return _array(images, path)
    return save_png(grid(images), _named(path, ".png"))


def write_rows(rows: Sequence[tuple[str, Floats]], path: Path, space: LatentSpace) -> Path:
    """Labelled strips of images; rows of a table as one .npy, (strips, n, D)."""
    if len(space.shape) == 1:
        return _array(np.stack([values for _, values in rows]), path)
    return save_png(strips(rows), _named(path, ".png"))


def check_animation(path: Path | None, space: LatentSpace) -> None:
    """Refuses an animation that could not be written, before anything else is."""
    if path is not None and len(space.shape) == 1:
        raise Mistake("an animation needs images, and this run is of a table: leave out --gif")
    if path is not None and _named(path, ".gif").suffix.lower() != ".gif":
        raise Mistake(f"`{path}` must end in .gif: --gif writes an animation")


def write_path(images: Floats, path: Path, space: LatentSpace) -> Path:
    """An animation there and back."""
    scale = max(1, 256 // max(space.shape[-2:]))
    return save_gif(to_pillow(images, scale=scale), _named(path, ".gif"))


def _array(values: Floats, path: Path) -> Path:
    path = _named(path, ".npy")
    if path.suffix != ".npy":
        raise Mistake(f"`{path}` must end in .npy: the run is of a table, whose rows are no pictures")
    with whole_file(path) as file:
        np.save(file, values, allow_pickle=False)
    return path


def _named(path: Path, suffix: str) -> Path:
    return path if path.suffix else path.with_suffix(suffix)
