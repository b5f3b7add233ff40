"""Files written whole or not at all, and what a disk refuses told in one line. No torch here."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from legato import partials
from legato.errors import Mistake

_NOT_YOURS = (
    errno.EACCES,
    errno.EROFS,
    errno.EPERM,
    errno.ENOTDIR,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOENT,
    errno.ENAMETOOLONG,
)


@contextmanager
def whole_file(path: str | Path) -> Iterator[BinaryIO]:
    """A file that appears under its name only once it is complete and on disk; whatever fails leaves the old one."""
    path = Path(path)
    partial = partials.name_of(path)
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        partials.sweep(path.parent)
        try:
            with partials.begun(path) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
            synchronise(path.parent)
        finally:
            with suppress(FileNotFoundError):
                partial.unlink()


def synchronise(folder: Path) -> None:
    """Brings a folder's names to disk: a rename is durable only then. Where a file system has no such thing, nothing."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turns a full or closed disk into one line that names the place."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            free = shutil.disk_usage(next(p for p in path.absolute().parents if p.exists())).free
            raise Mistake(f"the disk is full: `{path}` could not be written, {free:,} bytes are free; make room") from error
        if error.errno in _NOT_YOURS:
            raise Mistake(f"`{path}` cannot be written ({error.strerror}): choose a place that is yours to write") from error
        raise


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from disk. Raises `Mistake` where it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise Mistake(f"`{path}` is missing: the run is not complete; train it again with --overwrite") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise Mistake(f"`{path}` is damaged ({error}): restore it, or train the run again") from None
    if not isinstance(content, dict):
        raise Mistake(f"`{path}` is damaged: expected a JSON object, got {type(content).__name__}")
    return content


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """JSON for people and programs: indented, sorted as given, whole or not at all."""
    with whole_file(path) as file:
        file.write((json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode())
