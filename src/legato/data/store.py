"""The store: prepared rows in the user's cache folder, a folder per fingerprint, memory-mapped when read.

Covered: entries that appear whole or not at all, whatever dies while building; several processes at once; purging.
Not covered: a limit on the store's size: `legato data` says how large an entry is, `--purge` empties it.

An entry is built in a folder of its own beside the others and renamed into place, so half an entry has no name that
anything reads. Two processes may build the same one; the first to rename wins, and the other uses the winner's.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from legato.data import memo
from legato.data.dataset import Content, Problem
from legato.data.memo import root
from legato.data.rows import RowNumbers
from legato.data.writer import ARRAYS, Writer, writing

BUILDING = ".building-"
ABANDONED = 24 * 3600.0  # seconds without a write after which a build of another machine counts as dead


def entry(key: str, build: Callable[[Writer], None]) -> Content:
    """The entry of a fingerprint; `build` fills a `Writer` where there is none yet. Raises `Mistake` on a full disk."""
    place = root() / key
    content = load(place)
    if content is not None:
        return content
    with writing(root()):
        root().mkdir(parents=True, exist_ok=True)
        remove_stale()
        folder = root() / f"{BUILDING}{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        folder.mkdir()
    try:
        with Writer(folder) as writer:
            build(writer)
        _move_into_place(folder, place)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    content = load(place)
    if content is None:
        raise RuntimeError(f"the store's entry {place} vanished while it was opened")
    return content


def _move_into_place(folder: Path, place: Path) -> None:
    if place.exists() and load(place) is None:  # damaged: someone cut a file short
        shutil.rmtree(place, ignore_errors=True)
    try:
        os.rename(folder, place)
    except OSError:
        if load(place) is None:  # not another process that was quicker, so a real failure
            raise


def load(place: Path) -> Content | None:
    """The entry in a folder, or None where it is missing or damaged."""
    try:
        meta = json.loads((place / "meta.json").read_text())
        dtype, shape = np.dtype(meta["dtype"]), tuple(meta["shape"])
        if (place / "rows.bin").stat().st_size != dtype.itemsize * int(np.prod(shape)):
            return None
        rows = np.memmap(place / "rows.bin", dtype, "r", shape=shape)
        labels, own, positions = (np.load(place / f"{a}.npy") if a in meta["arrays"] else None for a in ARRAYS)
        ids = _ids(place, meta, positions)
    except (OSError, ValueError, KeyError):
        return None
    return Content(
        rows=rows,
        kind=meta["kind"],
        ids=ids,
        fingerprint=place.name,
        labels=labels,
        own=own,
        positions=positions,
        label_names=tuple(meta["label_names"]),
        problems=tuple(Problem(*pair) for pair in meta["problems"]),
        notes=tuple(meta["notes"]),
        store=place,
    )


def _ids(place: Path, meta: dict[str, Any], positions: np.ndarray | None) -> Sequence[str]:
    if meta["ids"] is None:
        # As bytes: reading text would turn the carriage return in a file's name into a line's end.
        return (place / "ids.txt").read_bytes().decode("utf-8", "backslashreplace").split("\n")[:-1]
    if positions is not None:
        return RowNumbers([("", positions)])
    return RowNumbers([(prefix, range(count)) for prefix, count in meta["ids"]])


def size(place: Path) -> int:
    """Bytes of an entry, or of anything below a folder."""
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def purge() -> tuple[int, int]:
    """Empty the store: (entries, bytes) removed. Only what Legato wrote goes, whatever else lies in the folder."""
    remove_stale()
    places = [place for place in _below_root() if re.fullmatch(r"[0-9a-f]{40}", place.name)]
    places = [place for place in places if (place / "rows.bin").exists()]
    freed = sum(size(place) for place in places)
    for place in [*places, root() / memo.FOLDER]:
        shutil.rmtree(place, ignore_errors=True)
    return len(places), freed


def remove_stale() -> None:
    """Remove what dead processes left half built; builds under way are left alone."""
    for folder in _below_root():
        if folder.name.startswith(BUILDING) and not _alive(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _below_root() -> list[Path]:
    return sorted(root().iterdir()) if root().is_dir() else []


def _alive(folder: Path) -> bool:
    """Whether the process that builds here runs. Of another machine only the last write is known."""
    host, pid, _ = folder.name.removeprefix(BUILDING).rsplit("-", 2)
    if host != socket.gethostname() or os.name != "posix":  # elsewhere signal 0 is not a question
        files = [folder, *folder.rglob("*")]
        return time.time() - max((f.stat().st_mtime for f in files if f.exists()), default=0.0) < ABANDONED
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, as another user
        return True
    return True
