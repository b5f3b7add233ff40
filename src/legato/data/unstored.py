"""Arrays as datasets that nothing is written of: every row is for training, in the array's own order.

Covered: which axis is what and which kind of values they are, told once; later arrays held to it; rows put back into the form
of the array that they came from. Not covered: sources that are opened by name and kept in the store (sources.py).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.data.arrays import as_rows, channels_last, check_shape, survey
from legato.data.as_trained import RANGES, Form
from legato.data.dataset import LIKELIHOOD, Dataset
from legato.data.options import DataOptions
from legato.data.rows import RowNumbers
from legato.data.splits import NAMES, Split
from legato.errors import Mistake
from legato.setting import Kind
from legato.types import Shape

NAME = "X"


def unstored(array: NDArray[Any], options: DataOptions) -> Dataset:
    """The rows (N, D) or (N, C, H, W) of an array (N, D), (N, H, W), (N, H, W, C) or (N, C, H, W). Raises `Mistake`.

    The dataset's options say which axis holds the channels, where there are four.
    """
    if array.ndim == 4 and 0 not in array.shape:
        options = replace(options, layout="NHWC" if channels_last(array.shape, options.layout, NAME) else "NCHW")
    rows = as_rows(array, options.layout, NAME)
    check_shape(rows, NAME)
    kind, dtype = survey([rows], NAME, options.values)
    return _dataset(np.ascontiguousarray(rows, dtype), kind, array.shape, options)


def more(array: NDArray[Any], form: Form, options: DataOptions) -> Dataset:
    """An array in the form of an earlier one. Raises `Mistake` for another shape, or values that its kind does not have."""
    rows = as_rows(array, options.layout, NAME)
    if rows.shape[1:] != form.shape:
        raise Mistake(
            f"the model was fitted on rows of shape {form.shape}, `{NAME}` has {rows.shape[1:]}: give rows of that shape"
        )
    try:
        _, dtype = survey([rows], NAME, form.kind)
    except Mistake:
        raise Mistake(
            f"the model was fitted on {form.kind} ({RANGES[form.kind]}), and `{NAME}` holds values from {rows.min():g} to "
            f"{rows.max():g}: give values of the same kind, or fit with values='reals'"
        ) from None
    return _dataset(np.ascontiguousarray(rows, dtype), form.kind, array.shape, options)


def as_given(rows: NDArray[Any], example: Shape, options: DataOptions) -> NDArray[Any]:
    """Rows (N, D) or (N, C, H, W) in the form of the array that they came from: (N, *example)."""
    last = len(example) == 3 and options.layout == "NHWC"
    return (rows.transpose(0, 2, 3, 1) if last else rows).reshape(len(rows), *example)


def _dataset(rows: NDArray[Any], kind: Kind, given: Shape, options: DataOptions) -> Dataset:
    every = np.arange(len(rows))
    return Dataset(
        source=f"array of {given}",
        options=options,
        rows=rows,
        labels=None,
        label_names=(),
        ids=RowNumbers([("", range(len(rows)))]),
        # none is held out: whoever calls `fit` has split already
        splits={name: Split(every if name == "train" else every[:0]) for name in NAMES},
        kind=kind,
        likelihood=LIKELIHOOD[kind],
        problems=(),
        notes=(),
        fingerprint="",  # nothing is stored under it
        store=None,
    )
