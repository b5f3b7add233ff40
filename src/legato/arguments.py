"""Arguments that a person passes in Python, held to what a signature says: a `Mistake` at the door, no traceback from within.

Covered: names that a function does not have; numbers, text, words of a list, paths; parts of a sentence by their type; arrays
of numbers. NumPy's and torch's scalars become Python's, and 1e4 a whole number where one is wanted. Not covered: shapes, and
what values mean together, which the functions themselves know. No torch and no NumPy before an array comes.
"""

from __future__ import annotations

import inspect
import os
import reprlib
from collections.abc import Callable
from dataclasses import fields
from functools import cache, wraps
from pathlib import Path
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, ParamSpec, TypeVar, Union, get_args, get_origin, get_type_hints

from legato.errors import Mistake, near
from legato.schema import Within, expected, fault

if TYPE_CHECKING:
    from numpy.typing import NDArray

P = ParamSpec("P")
R = TypeVar("R")

Seed = Annotated[int, Within(0, 2**31 - 1)]
PLAIN = (int, float, str, bool, NoneType)
CALLS = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """The same function, which refuses names that its signature lacks and values of another type than it says.

    Types that are neither plain (int, float, str, bool, None, Literal, Path, unions of these) nor classes of Legato are let by.
    Raises `Mistake`.
    """
    signature = inspect.signature(function)
    name = function.__qualname__.removesuffix(".__init__").rpartition(".")[2]

    @wraps(function)
    def door(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            bound = signature.bind(*args, **kwargs)
        except TypeError as error:
            raise _misnamed(signature, name, kwargs, error) from None
        for parameter, kind in _kinds(function).items():
            if parameter in bound.arguments:
                bound.arguments[parameter] = held(kind, bound.arguments[parameter], f"`{parameter}` of `{name}`")
        return function(*bound.args, **bound.kwargs)

    return door


def check_fields(options: Any) -> None:
    """Holds the fields of a frozen dataclass to their types, in its `__post_init__`. Raises `Mistake`."""
    kinds = get_type_hints(type(options), include_extras=True)
    for field in fields(options):
        value = getattr(options, field.name)
        # frozen, and still being made
        object.__setattr__(options, field.name, held(kinds[field.name], value, f"`{field.name}`"))


def signature_with(function: Callable[..., Any], chosen: type) -> inspect.Signature:
    """The function's signature with the keys of a TypedDict in the place of its `**chosen`: what an editor can complete."""
    before = inspect.signature(function)
    *plain, rest = before.parameters.values()
    keys = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=..., annotation=kind)
        for name, kind in chosen.__annotations__.items()
    ]
    return before.replace(parameters=[*plain, *keys, rest])


def held(kind: Any, value: Any, what: str) -> Any:
    """`value` as a `kind`, or `Mistake` in words that begin with `what`."""
    if get_origin(kind) is tuple and _known(get_args(kind)[0]):
        return _several(get_args(kind)[0], value, what)
    plain = _plain(value)
    leaves = _leaves(kind)
    if (Path in leaves and isinstance(plain, os.PathLike)) or not all(map(_known, leaves)):
        return value
    own = tuple(leaf for leaf in leaves if _is_ours(leaf))
    if own and isinstance(value, own):
        return value
    # 1e4 is a float to Python and a count to people
    if int in leaves and float not in leaves and isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    rest = tuple(leaf for leaf in leaves if leaf is not Path and leaf not in own)
    if any(fault(leaf, plain) is None for leaf in rest):
        return plain
    words = [word for leaf in leaves if get_origin(leaf) is Literal for word in get_args(leaf)]
    if isinstance(plain, str) and words and not {int, float}.intersection(leaves):
        raise Mistake(f"{what} is `{plain}`: {near(plain, map(str, words))}")
    raise Mistake(f"{what} must be {' or '.join(dict.fromkeys(map(_said, leaves)))}, got {_shown(value)}")


def _several(kind: Any, value: Any, what: str) -> tuple[Any, ...]:
    if not isinstance(value, tuple | list):
        raise Mistake(f"{what} must be a tuple, each {expected(kind)}, got {reprlib.repr(value)}")
    return tuple(held(kind, one, f"{what}, at {place},") for place, one in enumerate(value))


def numbers(value: Any, name: str) -> NDArray[Any]:
    """An array of numbers of what a person gave: an array, a list, a tensor, a frame. Raises `Mistake` for what is none."""
    import numpy as np

    given = value.detach().cpu() if hasattr(value, "detach") else value  # NumPy refuses what lies on a device or in a graph
    try:
        found = np.asarray(given)
    except (TypeError, ValueError, RuntimeError) as error:
        raise Mistake(f"`{name}` is no array of numbers ({str(error).splitlines()[0]}): give rows of one shape") from None
    if found.dtype.kind not in "biuf":
        raise Mistake(f"`{name}` must be an array of numbers, got {type(value).__name__} of {found.dtype}")
    return found


def one_for_each(value: Any, count: int, name: str, what: str) -> NDArray[Any]:
    """Whole numbers, (count,): a row number or a class number of each example. Raises `Mistake` for anything else."""
    found = numbers(value, name)
    if found.shape != (count,) or found.dtype.kind not in "iu":
        raise Mistake(f"`{name}` must be the {what} of each example, ({count},), got {found.dtype} of shape {found.shape}")
    return found


def _shown(value: Any) -> str:
    """The value that was given, in few letters: of what is no plain value its type alone."""
    return reprlib.repr(value) if isinstance(value, (*PLAIN, list, tuple, dict)) else f"a {type(value).__name__}"


def _plain(value: Any) -> Any:
    """A scalar of NumPy or torch as Python's own."""
    return value.item() if getattr(value, "shape", None) == () and hasattr(value, "item") else value


@cache
def _hints(kind: Callable[..., Any]) -> dict[str, Any]:  # cached: annotations are text, which is evaluated at each look
    return get_type_hints(kind, include_extras=True)


@cache
def _kinds(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters that are looked at, with their types; read at the first call, when the whole package can be imported."""
    parameters, hints = inspect.signature(function).parameters, _hints(function)
    found = {name: hints[name] for name, one in parameters.items() if name in hints and one.kind not in CALLS}
    return {name: kind for name, kind in found.items() if all(map(_known, _leaves(kind)))}


def _leaves(kind: Any) -> tuple[Any, ...]:
    """The members of a union, or the kind itself."""
    return tuple(leaf for one in get_args(kind) for leaf in _leaves(one)) if get_origin(kind) in (UnionType, Union) else (kind,)


def _known(leaf: Any) -> bool:
    if get_origin(leaf) is Annotated:
        return _known(get_args(leaf)[0])
    if get_origin(leaf) is tuple:
        return _known(get_args(leaf)[0])
    return leaf in (*PLAIN, Path) or get_origin(leaf) is Literal or _is_ours(leaf)


def _is_ours(leaf: Any) -> bool:
    return isinstance(leaf, type) and leaf.__module__.partition(".")[0] == "legato"


def _said(leaf: Any) -> str:
    if leaf in (Path, str):
        return "text" if leaf is str else "a path"
    return f"an instance of {leaf.__name__}" if _is_ours(leaf) else "None" if leaf is NoneType else expected(leaf)


def _misnamed(signature: inspect.Signature, name: str, given: dict[str, Any], error: TypeError) -> Mistake:
    known = [one.name for one in signature.parameters.values() if one.name != "self" and one.kind not in CALLS]
    if foreign := [one for one in given if one not in known]:
        return Mistake(f"`{name}` takes nothing named `{foreign[0]}`: {near(foreign[0], known)}")
    return Mistake(f"`{name}` cannot be called so ({error}): it takes {', '.join(known)}")
