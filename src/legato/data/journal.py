"""The journal of a build: how far its rows are whole, so that a build that was ended goes on from there and not from nothing.

    journal/mark.json   what the build is for, its rows so far (shape, type, length, CRC-32), the builder's own state, its notes
    journal/NAME        a note: bytes that only grow, such as the digests of the files so far; up to the mark's length it counts

A mark takes the place of the one before in one step. What was written after it is cut off; where anything is not as it says,
the whole build begins anew. Covered: a process that ends at any instant, bytes that changed since. Not covered: who may go on
with a build (`store`), what a state means (`picture_rows`).
"""

from __future__ import annotations

import hashlib
import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legato.errors import Mistake
from legato.files import read_bytes

FOLDER, MARK = "journal", "mark.json"
MOST = 1 << 26  # bytes of a mark: what grows with the pictures is in notes
VERSION = 1  # of what a state means; raise it when that changes


class Ended(Mistake):
    """Something outside ended a build, which can be gone on with."""


@dataclass(frozen=True)
class Mark:
    """A build's last mark: its rows as the writer has them, and the builder's state."""

    rows: dict[str, Any]
    state: dict[str, Any]


class Journal:
    """Of the build in `folder`, which is for `purpose`."""

    def __init__(self, folder: Path, purpose: str) -> None:
        self._folder = folder / FOLDER
        self._purpose = purpose
        self._notes: dict[str, tuple[int, int]] = {}
        self._new: dict[str, list[bytes]] = {}
        self.kept = False  # whether the build is so long that there is a mark

    def last(self) -> Mark | None:
        """The last mark, its notes checked and cut to it; None where there is none, or it cannot be gone on with."""
        try:
            said = json.loads(read_bytes(self._folder / MARK, MOST))
            if said.pop("checksum") != checksum_of(said) or said["purpose"] != [VERSION, self._purpose]:
                return None
            notes = {name: (length, crc) for name, (length, crc) in said["notes"].items()}
            for name, (length, crc) in notes.items():
                if crc_of(self._folder / name, length) != crc:
                    return None
                os.truncate(self._folder / name, length)
            self._notes, self.kept = notes, True
            return Mark(said["rows"], said["state"])
        except (Mistake, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None

    def note(self, name: str, content: bytes) -> None:
        """More of a note; it is written with the next mark."""
        self._new.setdefault(name, []).append(content)

    def noted(self, name: str) -> bytes:
        """A note up to the last mark."""
        return (self._folder / name).read_bytes() if name in self._notes else b""

    def mark(self, rows: Mapping[str, Any], state: Mapping[str, Any]) -> None:
        """Says that all so far is whole."""
        self.kept = True
        self._folder.mkdir(exist_ok=True)
        for name, pieces in self._new.items():
            content = b"".join(pieces)
            length, crc = self._notes.get(name, (0, 0))
            with open(self._folder / name, "ab" if length else "wb") as file:
                file.write(content)
            self._notes[name] = length + len(content), zlib.crc32(content, crc)
        self._new.clear()
        said = {"purpose": [VERSION, self._purpose], "rows": dict(rows), "state": dict(state), "notes": self._notes}
        partial = self._folder / f"{MARK}.partial"
        # No fsync: lost power may cost the whole build, and what it left is told by its checksums.
        partial.write_text(json.dumps({**said, "checksum": checksum_of(said)}))
        os.replace(partial, self._folder / MARK)

    def clear(self) -> None:
        """Forgets all, for a build that begins anew."""
        self._notes.clear()
        self._new.clear()
        (self._folder / MARK).unlink(missing_ok=True)


def is_marked(folder: Path) -> bool:
    """True where a build left something to go on with."""
    return (folder / FOLDER / MARK).exists()


def is_for(folder: Path, purpose: str) -> bool:
    """True where a build says that it is for this; what it left is checked by whoever goes on."""
    try:
        return bool(json.loads(read_bytes(folder / FOLDER / MARK, MOST))["purpose"] == [VERSION, purpose])
    except (Mistake, ValueError, KeyError, TypeError, RecursionError):
        return False


def checksum_of(said: Mapping[str, Any]) -> str:
    """The checksum of what a file of JSON says, but for itself."""
    return hashlib.blake2b(json.dumps(said, sort_keys=True).encode(), digest_size=16).hexdigest()


def crc_of(path: Path, length: int | None = None) -> int:
    """CRC-32 of a file, or of its first bytes. Raises ValueError where it has fewer."""
    found, left = 0, length
    with open(path, "rb") as file:
        # a megabyte at a time: an entry may be larger than the memory
        while left != 0 and (block := file.read(1 << 20 if left is None else min(left, 1 << 20))):
            found = zlib.crc32(block, found)
            left = None if left is None else left - len(block)
    if left:
        raise ValueError(f"{path.name} is cut short")
    return found
