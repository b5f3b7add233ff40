"""Small facts that would take long to find again, in the cache folder: a file each, under the hash of what they are about.

Covered: content hashes of untouched files, surveys of arrays. Not covered: anything that must not be lost: a memo
that cannot be written costs time and nothing else, so failures to write are passed over.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Any

import platformdirs

FOLDER = "memo"


def root() -> Path:
    """The cache folder: `LEGATO_CACHE`, else the user's."""
    return Path(os.environ.get("LEGATO_CACHE") or platformdirs.user_cache_dir("legato")).absolute()


def recall(key: str) -> dict[str, Any] | None:
    """What was remembered under a key, or None."""
    try:
        known = json.loads((root() / FOLDER / f"{key}.json").read_text())
    except (OSError, ValueError):
        return None
    return known if isinstance(known, dict) else None


def remember(key: str, facts: dict[str, Any]) -> None:
    """Write facts whole or not at all: a reader never sees half of them."""
    place = root() / FOLDER / f"{key}.json"
    partial = place.with_suffix(f".{secrets.token_hex(4)}.partial")
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps(facts))
        os.replace(partial, place)
