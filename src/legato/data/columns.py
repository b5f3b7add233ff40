"""Which columns of a Parquet file are rows: told by their types, or by the person.

Covered: bytes, Hugging Face's {bytes, path}, numbers, lists of numbers. Not covered: reading them (`parquet`).
"""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from pyarrow import types

from legato.errors import Mistake, unknown

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


def choose(schema: pa.Schema, label: str | None, column: str | None, path: Path) -> list[str]:
    """The column of pictures, the column of vectors, or the columns of numbers. Raises `Mistake`."""
    kinds: dict[str, pa.DataType] = {field.name: field.type for field in schema}
    if column is not None:
        return _named([name.strip() for name in column.split(",")], kinds, path)
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


def _named(names: list[str], kinds: dict[str, pa.DataType], path: Path) -> list[str]:
    for name in names:
        if name not in kinds:
            raise unknown(f"column of `{path}`", name, kinds)
        alone = len(names) == 1 and (is_picture(kinds[name]) or is_vector(kinds[name]))
        if not alone and not is_number(kinds[name]):
            raise Mistake(
                f"the column `{name}` of `{path}` holds {kinds[name]}: expected one column of pictures (bytes) or of lists "
                "of numbers, or columns of numbers joined by commas"
            )
    return names
