"""Classes as a person says them: a name looked up among those that a run knows, numbers held to them.

Not covered: the labels of a source (data/), what a model makes of them (label.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.arguments import one_for_each
from legato.errors import Mistake
from legato.types import Integers

NAMED = 20  # classes that one line tells: there may be thousands


def number_of(name: str, classes: Sequence[str], of: str) -> int:
    """The number of a class. Raises `Mistake` where there is none of that name, and where `of`, a model, reads no label."""
    if not classes:
        raise Mistake(f"{of} reads no label and has no class `{name}`: leave --label out (`conditional_vae` has classes)")
    if name not in classes:
        raise Mistake(f"{of} knows no class `{name}`: the classes are {listed(classes)}")
    return list(classes).index(name)


def unlabelled(of: str, classes: Sequence[str]) -> Mistake:
    """The mistake where a class must be known and is not."""
    return Mistake(
        f"`{of}` is class-conditional: say which class, --label NAME (in Python of_class(NAME), or a `label` of each example); "
        f"the classes are {listed(classes)}"
    )


def listed(classes: Sequence[str]) -> str:
    """Their names in a line, the first of many."""
    more = f" and {len(classes) - NAMED:,} more" if len(classes) > NAMED else ""
    return f"{', '.join(classes[:NAMED])}{more}"


def check_labels(label: NDArray[Any], count: int, classes: int, inferred: bool = False) -> Integers:
    """The class numbers of `count` examples; −1 is one too where what is not known is `inferred`.

    Raises `Mistake` where they are none of a model with so many classes.
    """
    if not classes:
        raise Mistake("the model reads no labels: leave `label` out")
    found = one_for_each(label, count, "label", "class number")
    if count and not (found.min() >= (-1 if inferred else 0) and found.max() < classes):
        unknown = ", and −1 is a class not known" if inferred else ""
        raise Mistake(f"`label` holds {found.min()} … {found.max()}: the model's classes are 0 … {classes - 1}{unknown}")
    return np.asarray(found, np.int64)
