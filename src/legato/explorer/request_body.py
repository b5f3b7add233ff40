"""Request bodies in JSON, read with suspicion: types, shapes and sizes, each wrong one a `Mistake` in one line.

Covered: finite numbers only, none beyond 10⁹, whose squares would overflow somewhere. Not covered: whether a model, a step or
a row exists (session.py).
"""

from __future__ import annotations

import json
import math
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.explorer.planes import UMAP, Plane

LARGEST = 1e9  # its square is 10¹⁸, far from overflow: sums of squares are what most answers take
WIDEST = 65_536  # numbers of one code, as many as a run may have latents
C = TypeVar("C", bound=str)


class RequestBody:
    """A JSON object whose fields are read by name."""

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    @staticmethod
    def read(body: bytes) -> RequestBody:
        """Raises `Mistake` for what is no JSON object."""
        try:
            content = json.loads(body, parse_constant=_refused)  # NaN and Infinity are no JSON, but Python reads them
        except (ValueError, RecursionError):  # RecursionError: a body of a million brackets is short, and no stack holds it
            raise Mistake("the body must be a JSON object of finite numbers") from None
        if not isinstance(content, dict):
            raise Mistake("the body must be a JSON object")
        return RequestBody(content)

    def whole(self, name: str, low: int = 0, high: int = 2**31) -> int:
        """A whole number within these bounds."""
        return _whole(name, self._content.get(name), low, high)

    def step(self) -> int | None:
        """A snapshot's step, or null."""
        return _step(self._content.get("step"))

    def steps(self) -> list[int | None]:
        """A step for each model."""
        return [_step(one) for one in self._list("step", 2)]

    def wholes(self, name: str, most: int) -> list[int]:
        """A list of 1 to `most` whole numbers."""
        return [_whole(name, one, 0, 2**31) for one in self._list(name, most)]

    def pairs(self, name: str, most: int) -> list[list[int]]:
        """A list of 1 to `most` pairs of whole numbers."""
        found = self._list(name, most)
        if not all(isinstance(one, list) and len(one) == 2 for one in found):
            raise Mistake(f"`{name}` must hold pairs")
        return [[_whole(name, one, 0, 2**31) for one in pair] for pair in found]

    def flag(self, name: str) -> bool:
        """true or false."""
        value = self._content.get(name)
        if not isinstance(value, bool):
            raise Mistake(f"`{name}` must be true or false")
        return value

    def word(self, name: str, known: tuple[C, ...]) -> C:
        """One of these words."""
        # The known word is given back and not what came: its type is the narrower.
        for word in known:
            if self._content.get(name) == word:
                return word
        raise Mistake(f"`{name}` must be one of {', '.join(known)}")

    def has(self, name: str) -> bool:
        """True where it is said and not null."""
        return self._content.get(name) is not None

    def text(self, name: str) -> str:
        """Some text."""
        value = self._content.get(name)
        if not isinstance(value, str):
            raise Mistake(f"`{name}` must be text")
        return value

    def numbers(self, name: str, count: int | None = None) -> NDArray[np.float64]:
        """A list of finite numbers, `count` of them."""
        return _numbers(name, self._content.get(name), count)

    def codes(self, name: str, most: int) -> NDArray[np.float64]:
        """1 to `most` lists of equally many numbers, (n, d)."""
        rows = [_numbers(name, one, None) for one in self._list(name, most)]
        if len({len(row) for row in rows}) != 1:
            raise Mistake(f"`{name}` must hold lists of equally many numbers")
        return np.stack(rows)

    def plane(self) -> Plane:
        """{u, v, anchor}, and `layout` where the points have one."""
        content = self._content.get("plane")
        if not isinstance(content, dict):
            raise Mistake("`plane` must be {u, v, anchor}")
        u = _numbers("u", content.get("u"), None)
        v, anchor = (_numbers(name, content.get(name), len(u)) for name in ("v", "anchor"))
        if content.get("layout") not in (None, UMAP):
            raise Mistake(f"`layout` of a plane must be {UMAP}, or not be there")
        return Plane(u, v, anchor, UMAP if content.get("layout") else None)

    def extent(self) -> tuple[float, float, float, float]:
        """[a0, a1, b0, b1]."""
        a0, a1, b0, b1 = self.numbers("extent", 4).tolist()
        return a0, a1, b0, b1

    def _list(self, name: str, most: int) -> list[Any]:
        value = self._content.get(name)
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            raise Mistake(f"`{name}` must be a list of 1 to {most}")
        return value


def _refused(constant: str) -> float:
    raise ValueError(constant)


def _step(value: Any) -> int | None:
    return None if value is None else _whole("step", value, 0, 2**53)


def _whole(name: str, value: Any, low: int, high: int) -> int:
    # True is an int in Python, and a page that sends it is wrong
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise Mistake(f"`{name}` must be a whole number from {low} to {high}")
    return value


def _numbers(name: str, value: Any, count: int | None) -> NDArray[np.float64]:
    if not isinstance(value, list) or not 1 <= len(value) <= WIDEST or count not in (None, len(value)):
        raise Mistake(f"`{name}` must be a list of {count or 'as many numbers as there are latents'}")
    for one in value:
        if isinstance(one, bool) or not isinstance(one, int | float) or not (math.isfinite(one) and abs(one) <= LARGEST):
            raise Mistake(f"`{name}` must hold finite numbers, at most {LARGEST:g} in size")
    return np.array(value, np.float64)
