"""Mistakes a person can make, and the one line that mends each.

Covered: the exception that every command turns into one line and exit code 2, and the nearest-name suggestion.
Not covered: bugs of ours, which stay tracebacks so that they can be reported.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterable


class Mistake(Exception):
    """What is wrong, what was expected, what to do: one line, shown without a traceback, exit code 2."""


class Stopped(Exception):
    """A signal ended a run between two steps; everything is on disk. `number` is the signal's."""

    def __init__(self, line: str, number: int) -> None:
        super().__init__(line)
        self.number = number


def unknown(what: str, name: str, known: Iterable[str]) -> Mistake:
    """The mistake of naming a `what` that does not exist, with the nearest name that does."""
    return Mistake(f"no {what} is named `{name}`: {near(name, known)}")


def near(name: str, known: Iterable[str]) -> str:
    """The nearest name that exists, as a question, and all that exist."""
    names = sorted(known)
    alike = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return f"{f'did you mean `{alike[0]}`? ' if alike else ''}there are {', '.join(names)}"


def tell(line: str) -> None:
    """One line on stderr, of something that a person should know and that is no mistake."""
    print(f"legato: {line}", file=sys.stderr, flush=True)
