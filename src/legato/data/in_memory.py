"""Data given in Python: arrays, lists, tensors, frames; told by what they can do, so that none of their libraries is needed.

Covered: NumPy arrays, nested lists, what has `__array__` (tensors on any device, xarray, JAX), frames (pandas, polars, Arrow).
Not covered: data sets and loaders, which have no rows until they are asked; sparse matrices.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from legato.errors import Mistake

if TYPE_CHECKING:
    from legato.data.tables import Table

ACCEPTED = "a NumPy array, a list of numbers, a tensor, or a pandas, polars or Arrow frame"


def as_array(source: Any, name: str = "the data") -> np.ndarray | None:
    """The values as an array; None where they are a frame, or nothing that has values. Raises `Mistake` on ragged lists."""
    if is_frame(source):
        return None
    if isinstance(source, np.ma.MaskedArray) and np.ma.is_masked(source):  # else NumPy gives what lies under the mask
        raise Mistake(
            f"{name} have {int(np.count_nonzero(np.ma.getmaskarray(source)))} masked values: fill them in or leave the rows out"
        )
    if isinstance(source, np.ndarray):
        return np.asarray(source)
    if hasattr(source, "detach"):
        return _of_tensor(source)
    if not isinstance(source, list | tuple) and not hasattr(source, "__array__"):
        return None
    try:
        # Tensors in a list: NumPy refuses those on a device or in a graph.
        return np.asarray([_of_tensor(row) if hasattr(row, "detach") else row for row in source] if _listed(source) else source)
    except (ValueError, TypeError) as error:
        raise Mistake(
            f"{name} are no array ({' '.join(str(error).split())}): give rows of numbers, all of one shape"
        ) from error


def _listed(source: Any) -> bool:
    return isinstance(source, list | tuple)


def _of_tensor(tensor: Any) -> np.ndarray:
    """Off its device and its graph; what NumPy has no type for (bfloat16) as float32."""
    plain = tensor.detach().cpu()
    try:
        return np.asarray(plain.numpy())
    except TypeError:
        return np.asarray(plain.float().numpy())


def is_hub(source: Any) -> bool:
    """True for an object of `datasets`, which need not be imported to tell."""
    names = {"Dataset", "IterableDataset", "DatasetDict", "IterableDatasetDict"}
    return any(kind.__module__.partition(".")[0] == "datasets" and kind.__name__ in names for kind in type(source).__mro__)


def is_frame(source: Any) -> bool:
    """True for what has named columns."""
    return hasattr(source, "__dataframe__") or (hasattr(source, "__arrow_c_stream__") and hasattr(source, "columns"))


def as_table(frame: Any) -> Table:
    """A frame's columns. Raises `Mistake` where Arrow cannot take them."""
    import pyarrow as pa
    import pyarrow.interchange

    # Here, for arrays need no Arrow, which takes long to load.
    from legato.data.tables import in_memory

    try:
        table = pa.table(frame) if hasattr(frame, "__arrow_c_stream__") else pyarrow.interchange.from_dataframe(frame)
    except (pa.ArrowException, ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        why = " ".join(str(error).split())[:200]
        raise Mistake(f"the frame cannot be read ({why}): give its numbers, such as frame.to_numpy()") from error
    return in_memory(table, f"array of ({table.num_rows}, {table.num_columns}) in a frame")


def digest_table(table: Table) -> str:
    """Hash of a frame's columns, their names, types and cells."""
    import pyarrow as pa

    total = hashlib.blake2b(digest_size=20)
    for place, field in enumerate(table.schema):
        total.update(f"{field.name}\0{field.type}\0".encode())
        for batch in table.frame.to_batches() if table.frame is not None else []:
            column = pa.record_batch([batch.column(place)], names=["column"])
            total.update(column.serialize().to_pybytes())
    return total.hexdigest()
