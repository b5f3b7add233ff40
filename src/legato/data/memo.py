"""Small facts that would take long to find again, kept in the cache folder: one file each, under the hash of their subject.

Covered: content hashes of untouched files, surveys of arrays. Not covered: anything that must not be lost: a memo
that cannot be written costs time and nothing else, so failures to write are passed over.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import platformdirs

from legato.errors import Mistake
from legato.files import read_bytes

FOLDER = "memo"
MOST = 1 << 24  # bytes: what is larger is no memo, and would fill the memory
ABANDONED = 60.0  # seconds: writing one takes none


def root() -> Path:
    """The cache folder: `LEGATO_CACHE`, else the user's."""
    return Path(os.environ.get("LEGATO_CACHE") or platformdirs.user_cache_dir("legato")).absolute()


def recall(key: str) -> dict[str, Any] | None:
    """The facts remembered under a key, or None; a damaged memo is one that was never written."""
    try:
        known = json.loads(read_bytes(_place(key), MOST))
        return dict(known["facts"]) if known["checksum"] == _checksum(known["facts"]) else None
    except (Mistake, ValueError, RecursionError, KeyError, TypeError):
        return None


def remember(key: str, facts: dict[str, Any]) -> None:
    """Write facts whole or not at all: a reader never sees half of them."""
    place = _place(key)
    # a name of its own: two processes may remember the same at once
    partial = place.with_suffix(f".{secrets.token_hex(4)}.partial")
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({"facts": facts, "checksum": _checksum(facts)}))
        os.replace(partial, place)  # no fsync: what lost power takes is found again


def sweep() -> None:
    """Remove what a process that was killed left half written: writing one takes no second."""
    for partial in (root() / FOLDER).glob("*.partial"):
        with contextlib.suppress(OSError):
            if time.time() - partial.stat().st_mtime > ABANDONED:
                partial.unlink()


def _place(key: str) -> Path:
    return root() / FOLDER / f"{key}.json"


def _checksum(facts: Any) -> str:
    return hashlib.blake2b(json.dumps(facts, sort_keys=True).encode(), digest_size=8).hexdigest()
