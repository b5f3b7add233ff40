"""Roles of a table's columns: used, left out and why, or the label. The one rule, whatever file the table came in.

Covered: the rule, from names, sorts and, where a name calls for it, values. Not covered: telling sorts from a file's types
(`columns`), reading values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from legato.errors import Mistake, unknown

Sort = Literal["picture", "vector", "integer", "real", "text", "other"]
NUMBERS: tuple[Sort, ...] = ("integer", "real")
PICTURES = ("image", "img", "picture", "photo", "bytes")
LABELS = ("label", "labels", "class", "y")
NONE = "none"  # of `labels`: nothing is a label
SHOWN = 12  # names in one line: a table may have thousands of columns
FEW = 20  # rows up to which `y` may differ in all and still be a class
OWNERS = (  # of an `…id` written in one word: `paid` and `valid` end so, too
    "case client customer device employee item object order participant passenger patient product record respondent row sample "
    "subject user"
)
IDENTIFIER = re.compile(
    rf"(?i:(.*[\W_])?(id|ids|idx|index|uuid|guid|rownames?)|({'|'.join(OWNERS.split())})id|unnamed: ?\d+|)"
    r"|.*[a-z0-9]I[dD]"
)


@dataclass(frozen=True)
class Column:
    """A column before it is read: its name, what sort of values it has, its type in words, whether it is a frame's index."""

    name: str
    sort: Sort
    type: str
    index: bool = False


@dataclass(frozen=True)
class Roles:
    """The columns used, in the order of a row's values; those left out and why; the label's, if one is."""

    used: tuple[str, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    label: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The roles as `data.json` keeps them under `columns`."""
        return {"used": list(self.used), "left_out": dict(self.left_out), "label": self.label}

    def lines(self) -> dict[str, str]:
        """Lines for a person: `columns`, `left out` and `label`, where there is something to say."""
        found = {"columns": f"{len(self.used):,}: {some(self.used)}"}
        if self.left_out:
            found["left out"] = some([f"{name} ({why})" for name, why in self.left_out.items()])
        if self.label is not None:
            found["label"] = f"{self.label} (--labels none: it is no label)"
        return found


def some(items: Sequence[str], most: int = SHOWN) -> str:
    """The first of them, and how many more there are."""
    more = f", and {len(items) - most:,} more (`legato data --json` lists all)" if len(items) > most else ""
    return f"{', '.join(items[:most])}{more}"


def roles(
    columns: Sequence[Column],
    values: Callable[[str], np.ndarray],
    name: str,
    *,
    asked: Sequence[str] | None = None,
    labels: str | None = None,
) -> Roles:
    """The roles of a table's columns. `values` reads a column of numbers (N,), missing ones as NaN; it is called for few.

    asked: the columns that a person named (--column); labels: what a person said of labels, a column, a file or `none`.
    Rows are, in this order: what was asked for; the one column of pictures; the one column of lists; all columns of numbers but
    those that name a row. A label holds classes: text or whole numbers. Raises `Mistake` where rows cannot be told.
    """
    by_name = {column.name: column for column in columns}
    label = _label(by_name, values, labels, asked or ())
    used, why = _asked(by_name, asked, name) if asked is not None else _found(columns, label, values, name)
    taken = set(used)
    left_out = {n: why.get(n) or _why(by_name[n], used, by_name) for n in by_name if n not in taken and n != label}
    if label is not None and labels is not None and label != labels:
        return Roles(tuple(used), {**left_out, label: "a label by its name, and labels were named elsewhere"})
    return Roles(tuple(used), left_out, label)


def refuse_missing(names: Sequence[str], known: Sequence[str], name: str) -> None:
    """Raises `Mistake` where a source lacks a column that a run was trained on: columns go by name, never by their order."""
    there, wanted = set(known), set(names)
    missing = [each for each in names if each not in there]
    if missing:
        others = [each for each in known if each not in wanted]
        raise Mistake(
            f"`{name}` lacks {_quoted(missing)}, which the run was trained on ({_quoted(names)})"
            f"{f', and has {_quoted(others)}' if others else ''}: give a table that has the run's columns under their names"
        )


def _quoted(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(f"`{name}`" for name in names[:SHOWN]) + more


def _label(
    columns: Mapping[str, Column], values: Callable[[str], np.ndarray], said: str | None, asked: Sequence[str]
) -> str | None:
    if said == NONE and said not in columns:
        return None
    if said in columns:
        return said
    return next((n for n in LABELS if n in columns and n not in asked and _holds_classes(columns[n], values)), None)


def _holds_classes(column: Column, values: Callable[[str], np.ndarray]) -> bool:
    """Text or whole numbers; `y` may also be a measurement, which differs in most rows."""
    if column.sort not in NUMBERS:
        return column.sort == "text"
    if column.sort == "integer" and column.name != "y":
        return True
    known = _known(values(column.name))
    # a measurement hardly repeats; a class has two rows or more, on average
    return _whole(known) and (column.name != "y" or len(known) <= FEW or 2 * len(np.unique(known)) <= len(known))


def _names_rows(column: Column, values: Callable[[str], np.ndarray]) -> bool:
    """True for a column of numbers that is an identifier: named like one, and a whole number that is another in every row."""
    if not IDENTIFIER.fullmatch(column.name):
        return False
    known = _known(values(column.name))  # read only now: few columns are named so
    return _whole(known) and len(np.unique(known)) == len(known)


def _known(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)] if values.dtype.kind == "f" else values


def _whole(values: np.ndarray) -> bool:
    return values.dtype.kind != "f" or bool((np.trunc(values) == values).all())


def _found(
    columns: Sequence[Column], label: str | None, values: Callable[[str], np.ndarray], name: str
) -> tuple[list[str], dict[str, str]]:
    others = [column for column in columns if column.name != label and not column.index]
    pictures = [column.name for column in others if column.sort == "picture"]
    named = [n for n in PICTURES if n in pictures]
    for choice in (named[:1], pictures, [column.name for column in others if column.sort == "vector"]):
        if len(choice) > 1:
            raise Mistake(f"`{name}` has several columns of pictures or vectors, {some(choice)}: say which by --column")
        if choice:
            return choice, {}
    numbers = [column for column in others if column.sort in NUMBERS]
    why = {c.name: "another whole number in every row: it names the row" for c in numbers if _names_rows(c, values)}
    used = [column.name for column in numbers if column.name not in why]
    if not used:
        hint = f"; --column {next(iter(why))} takes what looks like the row's own number" if why else ""
        there = f", only {some([c.name for c in columns])}" if columns else ""
        raise Mistake(
            f"`{name}` has no column of pictures or numbers{there}: expected bytes of pictures, numbers, or lists of "
            f"numbers{hint}"
        )
    return used, why


def _asked(columns: Mapping[str, Column], asked: Sequence[str], name: str) -> tuple[list[str], dict[str, str]]:
    for each in asked:
        if each not in columns:
            raise unknown(f"column of `{name}`", each, columns)
        alone = len(asked) == 1 and columns[each].sort in ("picture", "vector")
        if not alone and columns[each].sort not in NUMBERS:
            raise Mistake(
                f"the column `{each}` of `{name}` holds {columns[each].type}: expected one column of pictures (bytes) or of "
                "lists of numbers, or columns of numbers joined by commas"
            )
    return list(asked), {n: "not among the columns that were named" for n in columns if n not in asked}


def _why(column: Column, used: Sequence[str], columns: Mapping[str, Column]) -> str:
    """The reason why a column that nobody ruled out is not used."""
    if column.index:
        return "the index of a frame: it names the row"
    sort = columns[used[0]].sort
    if sort in ("picture", "vector"):
        return f"rows are the {'pictures' if sort == 'picture' else 'lists'} in `{used[0]}`"
    return f"it holds {column.type}, no numbers"
