"""Schemas: what a file may say, declared as Python types and checked before anything is used.

A kind is `int`, `float` (finite), `str`, `bool`, `None`, a `Literal`, `X | None`, `list[X]`, `tuple[X, ...]`, `dict[str, X]`,
a record, `Any`, or `Annotated[kind, Within(…)]` of any of these. A record is a TypedDict, which may say more than it must (a
newer file), or a dataclass, which may not, and may lack what has a default. Covered: types, ranges, lengths. Not covered: what
two values mean together.
"""

from __future__ import annotations

import reprlib
import sys
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NotRequired, Union, get_args, get_origin, get_type_hints, is_typeddict

from legato.errors import near

NAMES: dict[Any, str] = {
    int: "a whole number",
    float: "a finite number",
    str: "text",
    bool: "true or false",
    NoneType: "nothing",
}


@dataclass(frozen=True)
class Within:
    """The least and the most of a number, or of how many items or characters there are; both may be met."""

    least: float
    most: float

    def holds(self, value: Any) -> bool:
        """True where it does."""
        return self.least <= (len(value) if isinstance(value, str | list | dict) else value) <= self.most


def fault(kind: Any, value: Any, at: str = "") -> str | None:
    """The reason why `value` is none of `kind`, in words that name the place; None where it is one."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return fault(inner[0], value, at) or (None if inner[1].holds(value) else _told(kind, value, at))
    if origin is NotRequired:
        return fault(inner[0], value, at)
    if origin in (UnionType, Union):
        some = [one for one in inner if one is not NoneType]
        if len(some) == 1 and value is not None:  # of `X | None` the fault lies within X, and is named there
            return fault(some[0], value, at)
        return None if any(fault(one, value, at) is None for one in inner) else _told(kind, value, at)
    if is_dataclass(kind) or is_typeddict(kind):
        return _record(kind, value, at)
    if origin in (list, tuple):
        # JSON has no tuples
        return _first(inner[0], enumerate(value), at) if isinstance(value, list) else _told(kind, value, at)
    if origin is dict:
        return _first(inner[1], value.items(), at) if isinstance(value, dict) else _told(kind, value, at)
    return None if _is(kind, value) else _told(kind, value, at)


def _is(kind: Any, value: Any) -> bool:
    if get_origin(kind) is Literal:
        # of the very type: in Python True equals 1
        return any(type(value) is type(one) and value == one for one in get_args(kind))
    if kind is float:
        # not NaN, not infinite, and no whole number that is too large for a float
        return type(value) in (int, float) and abs(value) <= sys.float_info.max
    return kind is Any or type(value) is kind


def _record(kind: Any, value: Any, at: str) -> str | None:
    if not isinstance(value, dict):
        return _told(kind, value, at)
    known, spared = _hints(kind), _spared(kind)
    if lacking := [name for name in known if name not in spared and name not in value]:
        return f"it does not say `{_below(at, lacking[0])}`"
    if is_dataclass(kind) and (foreign := [name for name in value if name not in known]):
        return f"nothing is named `{_below(at, foreign[0])}`: {near(foreign[0], known)}"
    found = (fault(known[name], one, _below(at, name)) for name, one in value.items() if name in known)
    return next(filter(None, found), None)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


@cache
def _spared(kind: Any) -> set[str]:
    """The names that may be absent. (A TypedDict's own `__optional_keys__` does not see through postponed annotations.)"""
    if is_typeddict(kind):
        return {name for name, hint in _hints(kind).items() if get_origin(hint) is NotRequired}
    return {field.name for field in fields(kind) if not (field.default is MISSING and field.default_factory is MISSING)}


def _first(kind: Any, items: Any, at: str) -> str | None:
    return next(filter(None, (fault(kind, one, _below(at, name)) for name, one in items)), None)


def _below(at: str, name: object) -> str:
    return f"{at}[{name}]" if isinstance(name, int) else f"{at}.{name}" if at else str(name)


def _told(kind: Any, value: Any, at: str) -> str:
    return f"{f'`{at}`' if at else 'it'} must be {expected(kind)}, got {reprlib.repr(value)}"


def expected(kind: Any) -> str:
    """A kind in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin is Annotated:
        what, bounds = expected(inner[0]), f"{_number(inner[1].least)} to {_number(inner[1].most)}"
        return f"{what} from {bounds}" if inner[0] in (int, float) else f"{what} of {bounds}"
    if origin in (UnionType, Union):
        return " or ".join(map(expected, inner))
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin in (list, tuple):
        return "a list"
    return NAMES.get(kind, "an object")


def _number(value: float) -> str:
    """A bound with all its digits where it is whole."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def holding(kind: Mapping[str, Any], value: Mapping[str, Any], at: str = "") -> str | None:
    """The reason why the values are not of the kinds that stand beside their names; None where they are."""
    return next(filter(None, (fault(kind[name], one, _below(at, name)) for name, one in value.items())), None)
