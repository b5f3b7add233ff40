"""The store: prepared rows in the user's cache folder, a folder per fingerprint, memory-mapped when read.

Covered: entries that appear whole or not at all, whatever dies while building; several processes at once; purging.
Not covered: a limit on the store's size: `legato data` says how large an entry is, `--purge` empties it.

meta.json carries its own checksum and those of the other files. An entry that is not what was written is built again: this is
integrity (a file cut short, a bit turned), not authenticity, for whoever can change an entry can change its checksums.

An entry is built in a folder of its own beside the others and renamed into place, so half an entry has no name that
anything reads. Two processes may build the same one; the first to rename wins, and the other uses the winner's. A build that
keeps a journal (`journal`) and was ended is gone on with: by one process, which renames its folder to its own.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from legato.data import memo
from legato.data.dataset import Content, Problem
from legato.data.journal import Ended, checksum_of, crc_of, is_for, is_marked
from legato.data.memo import root
from legato.data.rows import Names, RowNumbers, as_text
from legato.data.writer import ARRAYS, IDS, META, ROWS, Writer, writing
from legato.errors import Mistake
from legato.files import read_bytes, synchronise

SMALL = 1 << 24  # bytes of a file that is read whole at every open: that takes milliseconds (see `_verify`)
MOST_META = 1 << 30  # bytes: a million problems told
MANY = 65_536  # names that are a list; more of them stay in their file
BUILDING = ".building-"
ABANDONED = (
    24 * 3600.0
)  # seconds without a write after which a build of another machine counts as dead, and no dead one is kept
NOBODY = "0"  # for the number of a process: a build that was interrupted, and is left to be gone on with


def entry(key: str, build: Callable[[Writer], None], *, keep_rows: bool = True) -> Content:
    """The entry of a fingerprint; `build` fills a `Writer` where there is none yet. Raises `Mistake` on a full disk.

    Without `keep_rows` it says how many rows there are and of what shape, and does not hold them.
    """
    content = load(root() / key)
    if content is not None:
        return content

    def named(writer: Writer) -> str:
        build(writer)
        return key

    return built(key, named, keep_rows=keep_rows)


def built(purpose: str, build: Callable[[Writer], str], *, keep_rows: bool = True) -> Content:
    """The entry that `build` fills, under the fingerprint that it returns: of a source that is hashed while it is read.

    Where that entry is there already, it is taken and what was built is dropped. A build that was ended before is gone on with
    by the next of the same `purpose`.
    """
    with writing(root()):
        root().mkdir(parents=True, exist_ok=True)
        remove_stale()  # first, for half a build takes room
        folder = _taken_over(purpose)
        if folder is None:
            folder = _own_folder()
            folder.mkdir()
    try:
        with Writer(folder, purpose, keep_rows=keep_rows) as writer:
            key = build(writer)
        place = root() / key
        if _move_into_place(folder, place) and writer.journal.kept:
            _vouch(place)
    except (KeyboardInterrupt, Ended):
        _leave(folder)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    content = load(place)
    if content is None:
        raise Mistake(f"the store's entry `{place}` was removed or damaged while it was opened: give the command again")
    return content


def holds(key: str) -> bool:
    """True where the entry of a fingerprint is there, and whole."""
    return load(root() / key) is not None


def holds_as_many(items: int) -> bool:
    """True where an entry is of so many items, with those that were skipped: it may be of the same source in another place."""
    for place in _entries():
        with suppress(OSError, ValueError, KeyError, TypeError, RecursionError, Mistake):
            meta = _meta(place)
            if meta["shape"][0] + len(meta["problems"]) == items:
                return True
    return False


def _entries() -> list[Path]:
    """The folders of entries: a person may keep others here, and what has neither rows nor meta.json is none of Legato's."""
    places = [place for place in _below_root() if re.fullmatch(r"[0-9a-f]{40}", place.name)]
    return [place for place in places if (place / ROWS).exists() or (place / META).exists()]


def _own_folder(pid: str | None = None) -> Path:
    # Beside the entry, on the same disk: a rename across disks is a copy, and may be met half done.
    return root() / f"{BUILDING}{socket.gethostname()}-{os.getpid() if pid is None else pid}-{secrets.token_hex(4)}"


def _taken_over(purpose: str) -> Path | None:
    """The folder of a build of the same purpose that nobody goes on with, now this process's own."""
    for folder in _below_root():
        if folder.name.startswith(BUILDING) and is_for(folder, purpose) and not _alive(folder):
            with suppress(OSError):  # another process may be quicker: a rename is one's alone
                own = _own_folder()
                os.rename(folder, own)
                return own
    return None


def _leave(folder: Path) -> None:
    """Leaves a build that was ended to be gone on with, also by this very process."""
    if is_marked(folder):
        with suppress(OSError):
            os.rename(folder, _own_folder(NOBODY))


def _move_into_place(folder: Path, place: Path) -> bool:
    """True where it is this folder that lies there now."""
    # A damaged entry must go before the rename, which replaces no folder that holds files.
    if place.exists() and load(place) is None:  # damaged: someone cut a file short
        shutil.rmtree(place, ignore_errors=True)
    with writing(root()):
        try:
            os.rename(folder, place)
            synchronise(place.parent)  # the rename is the folder's, and lost power may undo it else
        except OSError:
            if load(place) is None:  # not another process that was quicker, so a real failure
                raise
            return False
    return True


def _vouch(place: Path) -> None:
    """Notes that large files are what was written: reading gigabytes now takes seconds, and would tell of the cache alone."""
    with suppress(OSError, ValueError, KeyError, TypeError, Mistake):
        names = [name for name, (length, _) in _meta(place)["files"].items() if length > SMALL]
        memo.remember(f"verified-{place.name}", {name: _stamp(os.stat(place / name)) for name in names})


def _stamp(stat: os.stat_result) -> list[int]:
    # the inode too: another file in its place may keep size and times
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def load(place: Path) -> Content | None:
    """The entry in a folder, or None where it is missing or not what was written."""
    try:
        meta = _meta(place)
        _verify(place, meta["files"])
        rows = _rows(place, meta)
        extra = {name: np.load(place / f"{name}.npy", mmap_mode="r") for name in meta.get("extra", ())}
        labels, own, positions = (np.load(place / f"{a}.npy") if a in meta["arrays"] else None for a in ARRAYS)
        ids = _ids(place, meta, positions)
    except (OSError, ValueError, KeyError, TypeError, RecursionError, Mistake):
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
        extra=extra,
    )


def _rows(place: Path, meta: dict[str, Any]) -> np.ndarray:
    """The rows; of an entry that does not hold them, zeros that take no memory."""
    dtype, shape = np.dtype(meta["dtype"]), tuple(meta["shape"])
    if "rows" in meta:
        return np.broadcast_to(np.zeros((), dtype), shape)
    return np.memmap(place / ROWS, dtype, "r", shape=shape)


def _meta(place: Path) -> dict[str, Any]:
    """The content of meta.json. Raises ValueError where its own checksum is another, or missing (as it once was)."""
    meta = json.loads(read_bytes(place / META, MOST_META))
    if not isinstance(meta, dict) or meta.pop("checksum", None) != checksum_of(meta):
        raise ValueError("not what was written")
    return meta


def _verify(place: Path, files: Mapping[str, Sequence[int]]) -> None:
    """Every file's length, always; its CRC-32 too, of a large file once for each time stamp. Raises ValueError.

    Reading all of a gigabyte at each open would cost more than the command; what changes a file also changes its stamp,
    but for a disk that forgets, and a file of up to 16 MB, where one wrong byte moves every row, is read each time.
    """
    known = memo.recall(f"verified-{place.name}") or {}
    found = {}
    for name, (length, crc) in files.items():
        stat = os.stat(place / name)
        stamp = _stamp(stat)
        if stat.st_size != length or ((length <= SMALL or known.get(name) != stamp) and crc_of(place / name) != crc):
            raise ValueError("not what was written")
        if length > SMALL:
            found[name] = stamp
    if found != known:  # openings are many, changes few
        memo.remember(f"verified-{place.name}", found)


def _ids(place: Path, meta: dict[str, Any], positions: np.ndarray | None) -> Sequence[str]:
    if meta["ids"] is None:
        if meta["shape"][0] > MANY:
            return Names(place / IDS)
        return as_text((place / IDS).read_bytes()).split("\n")[:-1]
    if positions is not None:
        return RowNumbers([("", positions)])
    return RowNumbers([(prefix, range(count)) for prefix, count in meta["ids"]])


def size(place: Path) -> int:
    """Bytes of an entry, or of anything below a folder."""
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file())


def purge() -> tuple[int, int]:
    """Empty the store: (entries, bytes) removed. Only what Legato wrote goes, whatever else lies in the folder."""
    remove_stale(0.0)
    places = _entries()
    freed = sum(size(place) for place in places)
    for place in [*places, root() / memo.FOLDER]:
        shutil.rmtree(place, ignore_errors=True)
    return len(places), freed


def remove_stale(kept: float = ABANDONED) -> None:
    """Remove what dead processes left half built; builds under way are left alone.

    What can be gone on with is kept for so many seconds.
    """
    for folder in _below_root():
        if folder.name.startswith(BUILDING) and not _alive(folder) and not (is_marked(folder) and _age(folder) < kept):
            shutil.rmtree(folder, ignore_errors=True)
    memo.sweep()


def _below_root() -> list[Path]:
    return sorted(root().iterdir()) if root().is_dir() else []


def _alive(folder: Path) -> bool:
    """True while the process that builds here runs. Of another machine only the last write is known."""
    host, pid, _ = folder.name.removeprefix(BUILDING).rsplit("-", 2)
    if pid == NOBODY:
        return False
    if host != socket.gethostname() or os.name != "posix":  # elsewhere signal 0 is not a question
        return _age(folder) < ABANDONED
    try:
        os.kill(int(pid), 0)  # signal 0 asks, and harms nobody
    except ProcessLookupError:
        return False
    except PermissionError:  # it runs, as another user
        return True
    return True


def _age(folder: Path) -> float:
    """Seconds since the last write below a folder."""
    files = [folder, *folder.rglob("*")]
    # A file may go while this looks: the build may be ending.
    return time.time() - max((f.stat().st_mtime for f in files if f.exists()), default=0.0)
