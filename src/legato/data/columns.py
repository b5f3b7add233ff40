"""The sort of values in each column of an Arrow schema: Parquet's, or any other table's.

Covered: bytes, Hugging Face's {bytes, path}, numbers, lists of numbers, text. Not covered: what a column is for (`roles`),
reading it (`parquet`).
"""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
from pyarrow import types

from legato.data.roles import Column, Sort


def is_picture(kind: pa.DataType) -> bool:
    """Bytes, or Hugging Face's struct of bytes and path."""
    if types.is_struct(kind):
        names = [kind.field(i).name for i in range(kind.num_fields)]
        return "bytes" in names and is_picture(kind.field(names.index("bytes")).type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))


def is_number(kind: pa.DataType) -> bool:
    """True where a cell is one number."""
    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind))


def is_vector(kind: pa.DataType) -> bool:
    """True where a cell is a list of numbers."""
    listed = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(listed and is_number(kind.value_type))


def columns_of(schema: pa.Schema) -> list[Column]:
    """The columns of an Arrow schema, by what `roles` asks of each."""
    index = _pandas_index(schema)
    return [Column(field.name, _sort(field.type), str(field.type), field.name in index) for field in schema]


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """The numbers of a column (N,), as integers where all are, NaN where there is none."""
    return np.asarray(column.to_numpy())


def _sort(kind: pa.DataType) -> Sort:
    if is_picture(kind):
        return "picture"
    if is_vector(kind):
        return "vector"
    if is_number(kind):
        return "real" if types.is_floating(kind) else "integer"
    return "text" if _is_text(kind) else "other"


def _is_text(kind: pa.DataType) -> bool:
    if types.is_dictionary(kind):
        # a category of whole numbers is a class like one of texts
        return _is_text(kind.value_type) or bool(types.is_integer(kind.value_type))
    return bool(types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind))


def _pandas_index(schema: pa.Schema) -> set[str]:
    """The columns that pandas says were a frame's index."""
    try:
        said = json.loads((schema.metadata or {}).get(b"pandas", b"{}"))
        # pandas' own name for an index without one
        return {name for name in said.get("index_columns", []) if isinstance(name, str)} | {"__index_level_0__"}
    except (ValueError, AttributeError, TypeError, RecursionError):  # anyone may write such a note
        return {"__index_level_0__"}
