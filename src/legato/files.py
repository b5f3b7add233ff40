"""Files written whole or not at all, JSON read with suspicion, and what the system refuses told in one line. No torch here."""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from legato import partials
from legato.errors import Mistake
from legato.schema import fault

MOST_JSON = 1 << 26  # bytes: what is larger is no JSON of ours, and would fill the memory while it is parsed
DEEPEST = 64  # brackets within brackets: ours have six, and a thousand break whatever walks through them
_SIGNS = re.compile(rb'"(?:\\.|[^"\\])*"|[\[\]{}]', re.DOTALL)  # text in quotes is passed over whole: its brackets nest nothing
AGAIN = "restore it, or train the run again"


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only once it is complete and on disk; whatever fails leaves the old one."""
    path = Path(path)
    partial = partials.name_of(path)
    with disk_errors(path):
        made(path.parent)
        partials.sweep(path.parent)  # first, for what killed writers left takes room
        try:
            with partials.begun(path) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # before the rename, else the name may stand over bytes that never came
            os.replace(partial, path)  # atomic: readers meet the old file or the new one
            synchronise(path.parent)
        finally:
            with suppress(FileNotFoundError):  # the rename has taken it
                partial.unlink()


def synchronise(folder: Path) -> None:
    """Brings a folder's names to disk: a rename is durable only then. Where a file system has no such thing, nothing."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def made(folder: Path) -> None:
    """Makes a folder and those above it, each name brought to disk."""
    if not folder.is_dir():
        made(folder.parent)
        folder.mkdir(exist_ok=True)  # another process may make it at this instant
        synchronise(folder.parent)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns whatever the disk refuses to take into one line that names the place."""
    try:
        yield
    except OSError as error:
        raise refused(error, path, "written") from error


@contextmanager
def told() -> Iterator[None]:
    """Turns what the system refuses anywhere inside into one line. For the public functions; `legato` does the same."""
    try:
        yield
    except BrokenPipeError:  # whoever reads the output has gone: the command line's to tell
        raise
    except OSError as error:
        raise refused(error) from error


def refused(error: OSError, path: str | Path | None = None, what: str = "used") -> Mistake:
    """The mistake of what the system refused: which place it was, and what to do."""
    place = os.fsdecode(error.filename) if path is None and isinstance(error.filename, str | bytes) else path
    named = "a file or stream" if place is None else f"`{place}`"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Mistake(
            f"the disk is full: {'the output' if place is None else named} could not be written{_free(place)}; make room"
        )
    return Mistake(f"{named} cannot be {what} ({error.strerror or error}): {REMEDIES.get(error.errno or 0, NEEDED[what])}")


NEEDED = {
    "written": "choose a place that is yours to write",
    "read": "give a file that is yours to read",
    "used": "give a place that is there and yours",
}
REMEDIES = {
    errno.ELOOP: "its symbolic links lead in a circle, or it is one where none may be",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine",
    errno.EIO: "the disk itself fails",
}


def _free(place: str | Path | None) -> str:
    with suppress(OSError, StopIteration):
        above = Path(place).absolute().parents if place else ()
        free = shutil.disk_usage(next(folder for folder in above if folder.exists())).free
        return f", {free:,} bytes are free"
    return ""


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file, open to be read. Raises `Mistake` for what is none: a FIFO would wait for ever, a device never end."""
    try:
        # O_NONBLOCK: opening a FIFO would wait for whoever writes into it.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        if not stat.S_ISREG(os.fstat(handle).st_mode):  # of the open file: another may lie at its path by now
            os.close(handle)
            raise Mistake(f"`{path}` is no regular file: nothing else is read from a folder of Legato's")
        with open(handle, "rb") as file:
            yield file
    except OSError as error:
        raise refused(error, path, "read") from error


def read_bytes(path: Path, most: int) -> bytes:
    """A regular file of at most so many bytes. Raises `Mistake`."""
    with opened(path) as file:
        content = file.read(most + 1)  # one byte more tells a file that is larger
    if len(content) > most:
        raise Mistake(f"`{path}` is larger than {most:,} bytes: it is none that Legato wrote")
    return content


def read_json(path: Path, *kinds: Any, remedy: str = AGAIN) -> dict[str, Any]:
    """A JSON object from disk that is of each of the `kinds` (schema.py).

    Raises `Mistake` where it is missing, damaged or another; `remedy` says what to do.
    """
    if not os.path.lexists(path):
        lacking = "the run is not complete; train it again with --overwrite" if remedy == AGAIN else remedy
        raise Mistake(f"`{path}` is missing: {lacking}")
    content = parse(read_bytes(path, MOST_JSON), f"`{path}`", remedy)
    for kind in (dict[str, Any], *kinds):
        if why := fault(kind, content):
            raise damaged(f"`{path}`", why, remedy)
    return dict(content)


def parse(text: bytes, what: str, remedy: str = AGAIN) -> Any:
    """JSON of finite numbers. Raises `Mistake` for anything else, however deep."""
    if _depth(text) > DEEPEST:  # before it is parsed: the parser, too, goes as deep
        raise damaged(what, f"it is nested more than {DEEPEST} deep", remedy)
    try:
        return json.loads(text.decode(), parse_constant=_not_json)  # Python's reader takes NaN and Infinity, which JSON lacks
    except ValueError as error:  # bytes that are no text, digits without end
        raise damaged(what, str(error), remedy) from None


def _depth(text: bytes) -> int:
    depth = deepest = 0
    for sign in _SIGNS.finditer(text):
        depth += sign[0] in b"[{"
        depth -= sign[0] in b"]}"
        deepest = max(deepest, depth)
    return deepest


def damaged(what: str, why: str, remedy: str = AGAIN) -> Mistake:
    """The mistake of a file that is not what was written."""
    return Mistake(f"{what} is damaged: {why}; {remedy}")


def _not_json(word: str) -> Any:
    raise ValueError(f"{word} is no number of JSON")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON for people and programs: indented, sorted as given, whole or not at all."""
    with whole_file(path) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
