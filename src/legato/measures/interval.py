"""An estimate in a few letters: its value and its interval, with the digits that the interval leaves it.

Covered: cells of a table and names in a legend. Not covered: intervals that are drawn (`forest`).
"""

from __future__ import annotations

import math
from typing import Protocol


class Figure(Protocol):
    """A value with the ends of its interval, each None where there is none."""

    @property
    def value(self) -> float | None:
        """The estimate."""

    @property
    def low(self) -> float | None:
        """The lower end."""

    @property
    def high(self) -> float | None:
        """The upper end."""


def bracketed(estimate: Figure) -> str:
    """`1.83 [1.79, 1.87]`, with a true minus sign; a dash where there is no value, no brackets where there is no interval."""
    if estimate.value is None:
        return "–"
    # the largest of all three: one end in powers beside two that are not would be unreadable
    size = max(abs(end) for end in (estimate.value, estimate.low, estimate.high) if end is not None)
    if size != 0 and not 1e-4 <= size < 1e6:
        return _powers(estimate)
    digits = _digits(estimate)
    if estimate.low is None or estimate.high is None:
        return _number(estimate.value, digits)
    low, high = _number(estimate.low, digits), _number(estimate.high, digits)
    return f"{_number(estimate.value, digits)} [{low}, {high}]"


def signed(difference: Figure) -> str:
    """`bracketed` with the sign written out: a difference without one is easily read as a value."""
    sign = "+" if difference.value is not None and difference.value > 0 else ""
    return f"{sign}{bracketed(difference)}"


def _powers(estimate: Figure) -> str:
    """3.2e−7 [2.1e−7, 4.8e−7]: what would else be a row of zeros."""
    ends = (estimate.value, estimate.low, estimate.high)
    # Python writes e-07 and e+06; a page writes −7 and 6.
    value, low, high = (
        None if end is None else f"{end:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("-", "−") for end in ends
    )
    return f"{value}" if low is None or high is None else f"{value} [{low}, {high}]"


def _digits(estimate: Figure) -> int:
    """Decimals: two digits of half the interval's width, else three of the value; 0 to 6 of them, none of whole numbers."""
    assert estimate.value is not None
    if all(end is None or float(end).is_integer() for end in (estimate.value, estimate.low, estimate.high)):
        return 0  # a count: decimals would claim that halves of it exist
    width = 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2
    size, wanted = (width, 2) if width > 0 else (abs(estimate.value), 3)
    # Rounded first: a half-width of 0.1 computed as 0.0999… has no digit more.
    return 2 if size == 0 else min(max(wanted - 1 - math.floor(math.log10(float(f"{size:.2e}"))), 0), 6)


def _number(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    # A value that rounds to 0 loses its sign: −0.00 reads as if it were below 0.
    return text.replace("-", "−") if float(text.replace(",", "")) != 0 else text.replace("-", "")
