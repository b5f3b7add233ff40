"""Mistakes a person can make, and the one line that mends each.

Covered: the exception that every command turns into one line and exit code 2, the nearest name, and the remedies that
a person copies: paths quoted for a shell, how an extra is installed.
Not covered: bugs of ours, which stay tracebacks so that they can be reported.
"""

from __future__ import annotations

import difflib
import shlex
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path


class Mistake(Exception):
    """A person's mistake, what was expected, what to do: one line, shown without a traceback, exit code 2."""


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


def quoted(path: object) -> str:
    """A path as a shell reads it in a command that a person may copy."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith("-") else text)  # else a shell's command would read it as an option


def install(extra: str) -> str:
    """The command that adds an extra to the Python that runs: from the checkout that it lies in, else by the package's name."""
    checkout = Path(__file__).resolve().parents[2]
    own = (checkout / "pyproject.toml").is_file() and (checkout / "src" / "legato").is_dir()
    source = f"{'.' if checkout == Path.cwd() else checkout}[{extra}]" if own else f"legato-vae[{extra}]"
    return f"{_pip()} install '{source}'"


def _pip() -> str:
    """pip of the Python that runs, which is not the one on PATH where a virtual environment was not activated."""
    found, here = shutil.which("pip"), Path(sys.executable)
    if found is not None and Path(found).parent == here.parent:
        return "pip"
    return f"{quoted(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)} -m pip"


def tell(line: str) -> None:
    """One line on stderr, of something that a person should know and that is no mistake."""
    print(f"legato: {line}", file=sys.stderr, flush=True)
