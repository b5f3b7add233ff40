"""The terminal: its streams and its signals. What is said arrives or does no harm; Ctrl-C and SIGTERM are heard.

Streams may be closed, full, narrow, gone halfway, or of an encoding that lacks our signs: none of that ends the work, and a
failure is told once, at the end. What a name smuggles in (escape sequences, characters that turn text around) is shown as
`\\u001b`, which in JSON is the same text still.

Covered: processes of `legato …`. Not covered: Python sessions, whose streams are theirs. No torch here.
"""

from __future__ import annotations

import codecs
import io
import os
import re
import select
import signal
import sys
from types import FrameType
from typing import Any, TextIO

LEAST_COLUMNS, MOST_COLUMNS = 40, 1_000  # narrower than this a table cannot be read, wider it fills the memory
PLAIN = {  # for encodings that lack them
    "▷": "|>", "×": "x", "·": "-", "…": "...", "“": '"', "”": '"', "’": "'", "–": "-", "—": "-", "−": "-", "→": "->",
    "≤": "<=", "≥": ">=", "±": "+/-", "α": "alpha", "β": "beta", "μ": "mu", "σ": "sigma", "λ": "lambda", "é": "e",
}  # fmt: skip
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
# What Rich itself sends to a terminal: styles; and for a bar the cursor's moves.
STYLE, MOVES = r"\x1b\[[0-9;]*m", r"\x1b\[[0-9;]*[AK]|\x1b\[\?25[hl]|\r"


class Interrupted(KeyboardInterrupt):
    """Ctrl-C or SIGTERM; its first argument is the signal's number."""


class Descriptor(io.RawIOBase):
    """A stream's end. From the first failure on, which `failure` holds, what is written is dropped."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.failure: OSError | None = None

    def fileno(self) -> int:
        """The number itself."""
        return self.number

    def isatty(self) -> bool:
        """True where it is a terminal."""
        return os.isatty(self.number)

    def writable(self) -> bool:
        """Always."""
        return True

    def write(self, content: Any) -> int:
        """All of it, or a part where the reader is slow."""
        while self.failure is None:
            try:
                return os.write(self.number, content)
            except BlockingIOError:  # whoever gave us this pipe does not wait; we do
                select.select([], [self.number], [])
            except OSError as error:
                self.failure = error
        return len(content)  # as if it had been written: whoever prints goes on


class Stream(io.TextIOWrapper):
    """Text to a descriptor, harmless; `own` are the sequences that we send ourselves."""

    def __init__(self, raw: Descriptor, before: TextIO, own: str) -> None:
        buffer = io.BufferedWriter(raw)
        direct = getattr(before, "line_buffering", True) or getattr(before, "write_through", False)
        super().__init__(buffer, before.encoding, "legato", line_buffering=direct)
        self.raw = raw
        self._harmful = re.compile(f"({own})|{HARMFUL.pattern}") if own else HARMFUL

    def write(self, text: str) -> int:
        """Returns the number of characters, as they were given."""
        super().write(self._harmful.sub(_kept_or_escaped, text))
        return len(text)


def prepare() -> None:
    """The process's streams and signals, as this module says. Once: what others have put in their place stays."""
    for number in (0, 1, 2):
        _reserve(number)
    codecs.register_error("legato", _written_otherwise)
    coloured = any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))
    for name, number, moves in (("stdout", 1, ""), ("stderr", 2, f"|{MOVES}")):
        before = getattr(sys, name)
        if before is None:
            before = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  (for as long as the process lives)
        elif before is not getattr(sys, f"__{name}__") or isinstance(before, Stream):
            continue
        raw = Descriptor(number)
        setattr(sys, name, Stream(raw, before, STYLE + moves if coloured or raw.isatty() else ""))
    for name in ("COLUMNS", "LINES"):
        _sensible(name)
    listen()


def failure() -> OSError | None:
    """The reason why stdout could not be written; None where it could, and where its reader had seen enough (`| head`)."""
    sys.stdout.flush()  # what is still buffered may fail, too
    found = sys.stdout.raw.failure if isinstance(sys.stdout, Stream) else None
    return None if isinstance(found, BrokenPipeError) else found


def listen() -> dict[int, Any]:
    """Makes Ctrl-C and SIGTERM raise `Interrupted`; the next one ends the process. Returns who listened before."""
    return {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}


def signal_of(interruption: KeyboardInterrupt) -> int:
    """The number of the signal that it came by."""
    return int(interruption.args[0]) if isinstance(interruption, Interrupted) else signal.SIGINT


def one_line(text: str) -> str:
    """Text in one line, and harmless, whatever its names would make of it."""
    return HARMFUL.sub(_kept_or_escaped, text.replace("\n", "\\n"))


def speaks_unicode() -> bool:
    """True where stdout can be given any character."""
    return (getattr(sys.stdout, "encoding", None) or "utf-8").lower().startswith("utf")


def _interrupt(number: int, frame: FrameType | None) -> None:
    for known in (signal.SIGINT, signal.SIGTERM):  # first, so that a second one ends what the first cannot
        signal.signal(known, signal.SIG_DFL)
    raise Interrupted(number)


def _reserve(number: int) -> None:
    """A closed stream's number would go to the next file that is opened, and what is said would be written into that."""
    try:
        os.fstat(number)
    except OSError:
        os.dup2(handle := os.open(os.devnull, os.O_RDWR), number)
        if handle != number:
            os.close(handle)


def _sensible(name: str) -> None:
    said = os.environ.get(name)
    if said is None:
        return
    least, most = (LEAST_COLUMNS, MOST_COLUMNS) if name == "COLUMNS" else (1, MOST_COLUMNS)
    if not (said.isascii() and said.isdigit() and least <= int(said[:9]) <= most):  # `int` refuses thousands of digits
        del os.environ[name]


def _kept_or_escaped(found: re.Match[str]) -> str:
    return found[1] if found.lastindex else _escaped(found[0])


def _escaped(text: str) -> str:
    """Text escaped as JSON would."""
    return "".join(f"\\u{pair.hex()}" for pair in _pairs(text))


def _pairs(text: str) -> list[bytes]:
    wide = text.encode("utf-16-be", "surrogatepass")  # a file's name may hold lone surrogates
    return [wide[i : i + 2] for i in range(0, len(wide), 2)]


def _written_otherwise(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "".join(PLAIN.get(sign) or _escaped(sign) for sign in error.object[error.start : error.end]), error.end
