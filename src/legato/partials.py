"""Files that are being written, under names of their own, and what a killed process left of them.

    .NAME.PID.partial   beside NAME, locked by the process that writes it

The lock is the kernel's (`flock`) and ends with the process, so whoever comes next knows what nobody writes any more.
Not covered: where a file system carries no locks, nothing is swept.
"""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

NAME = re.compile(r"\..+\.[0-9]+\.partial", re.DOTALL)
NEVER_THROUGH = os.O_NOFOLLOW | os.O_NONBLOCK  # a link leads elsewhere, a FIFO waits for ever


@contextmanager
def begun(path: Path) -> Iterator[BinaryIO]:
    """The file under the name that `path` has until it is whole, to be written and renamed by the caller."""
    with open(_locked(path), "wb") as file:
        yield file


def name_of(path: Path) -> Path:
    """The name of `path` in this process until it is whole: a sibling, since a rename is atomic in one file system only."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def sweep(folder: Path) -> None:
    """Drops what killed processes left half written in a folder. What cannot be looked at or dropped stays."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".partial") and NAME.fullmatch(entry.name):
                _drop(Path(entry.path))


def _drop(partial: Path) -> None:
    with suppress(OSError):
        handle = os.open(partial, os.O_RDWR | NEVER_THROUGH)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)  # fails while its writer lives, and the file stays
            if _is_at(handle, partial):  # else it was renamed meanwhile, and another lies there
                partial.unlink()
        finally:
            os.close(handle)


def _locked(path: Path) -> int:
    """Made anew until the lock is held on what lies under the name: another's sweep may come between the two."""
    while True:
        with suppress(FileNotFoundError):
            name_of(path).unlink()  # an earlier process of this number's; never written through a link that lies there
        handle = os.open(name_of(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | NEVER_THROUGH, 0o666)
        with suppress(OSError):  # where a file system has no locks, it is written without
            fcntl.flock(handle, fcntl.LOCK_EX)
        if _is_at(handle, name_of(path)):
            return handle
        os.close(handle)


def _is_at(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), os.lstat(path))
    except FileNotFoundError:
        return False
