"""Which columns of a Parquet file are rows: told by their types, or by the person.

Covered: bytes, Hugging Face's {bytes, path}, numbers, lists of numbers. Not covered: reading them (`parquet`).
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import types

from legato.data.options import DataOptions, RunOptions, named_columns
from legato.errors import Mistake, unknown

SHOWN = 8  # names in one line
PICTURES = ("image", "img", "picture", "photo", "bytes")


def is_picture(kind: pa.DataType) -> bool:
    """Bytes, or Hugging Face's struct of bytes and path."""
    if types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        return "bytes" in names and is_picture(kind.field(names.index("bytes")).type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether a cell is one number."""
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def is_vector(kind: pa.DataType) -> bool:
    """Whether a cell is a list of numbers."""
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(listed and is_number(kind.value_type))


def choose(schema: pa.Schema, label: str | None, options: DataOptions, path: Path) -> list[str]:
    """The column of pictures, the column of vectors, or the columns of numbers. Raises `Mistake`."""
    kinds: dict[str, pa.DataType] = {field.name: field.type for field in schema}
    asked = named_columns(options)
    if asked is not None:
        _refuse_missing(asked, kinds, options, path)
        return _named(asked, kinds, path)
    pictures = [name for name, kind in kinds.items() if is_picture(kind)]
    named = [name for name in PICTURES if name in pictures]
    vectors = [name for name, kind in kinds.items() if is_vector(kind) and name != label]
    aside = {label, "id", "index", "__index_level_0__"}  # numbers that name a row and say nothing of it
    numbers = [name for name, kind in kinds.items() if is_number(kind) and name not in aside]
    for choice in (named[:1], pictures, vectors, numbers):
        if len(choice) == 1 or (choice and choice is numbers):
            return choice
        if choice:
            raise Mistake(f"`{path}` has several columns of pictures or vectors, {', '.join(choice)}: say which by --column")
    raise Mistake(
        f"`{path}` has no column of pictures or numbers, only {', '.join(kinds)}: expected bytes of pictures, numbers, or "
        "lists of numbers"
    )


def _refuse_missing(names: list[str], kinds: dict[str, pa.DataType], options: DataOptions, path: Path) -> None:
    missing = [name for name in names if name not in kinds]
    if not missing:
        return
    if not isinstance(options, RunOptions):
        raise unknown(f"column of `{path}`", missing[0], kinds)
    others = [name for name in kinds if name not in names]
    raise Mistake(
        f"`{path}` lacks {_some(missing)}, which the run was trained on ({_some(names)})"
        f"{f', and has {_some(others)}' if others else ''}: give a table that has the run's columns under their names"
    )


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:SHOWN]) + more


def _named(names: list[str], kinds: dict[str, pa.DataType], path: Path) -> list[str]:
    for name in names:
        alone = len(names) == 1 and (is_picture(kinds[name]) or is_vector(kinds[name]))
        if not alone and not is_number(kinds[name]):
            raise Mistake(
                f"the column `{name}` of `{path}` holds {kinds[name]}: expected one column of pictures (bytes) or of lists "
                "of numbers, or columns of numbers joined by commas"
            )
    return names
