"""Checkpoints: everything that resuming needs, written whole or not at all, the newest two kept.

A checkpoint is a folder `checkpoint/step-000001234/` with `tensors.safetensors` and `state.json`, which carries the tensors'
checksum and its own. The folder is made under another name and renamed when both files are on disk, so a reader never meets
a half. Not covered: what the state means (training/).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from legato.errors import Mistake
from legato.files import disk_errors, read_bytes, read_json, synchronise, write_json
from legato.stored import StoredStep
from legato.tensors import check_fits, read_tensors, write_tensors

KEPT = 2  # where the newest is damaged, a run goes on from the one before


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name, and the JSON beside them."""

    tensors: Mapping[str, Tensor]
    state: Mapping[str, Any]


def write(folder: Path, step: int, checkpoint: Checkpoint) -> Path:
    """Writes the checkpoint of `step`, drops all but the newest two. Raises `Mistake` on a full disk, the old ones intact.

    A checkpoint of this step that is there already holds the same (training is deterministic) and stays.
    """
    whole, partial = folder / f"step-{step:09d}", folder / f".step-{step:09d}.partial"
    if not whole.exists():
        _write(whole, partial, step, checkpoint)
    with disk_errors(folder):
        # Only after the new one has its name: on a full disk nothing that can be continued from has been dropped.
        for old in existing(folder)[:-KEPT]:
            shutil.rmtree(old)
    return whole


def _write(whole: Path, partial: Path, step: int, checkpoint: Checkpoint) -> None:
    with disk_errors(whole):
        # First, for what a killed writer left takes room that this one may need.
        _drop_partial(whole.parent)
        try:
            content = write_tensors(partial / "tensors.safetensors", checkpoint.tensors)
            # the tensors' too: files of two checkpoints do not pass for one
            state = {**checkpoint.state, "step": step, "checksum": _checksum(content)}
            write_json(partial / "state.json", {**state, "state_checksum": _checksum_of_state(state)})
            os.rename(partial, whole)
            # A rename is written in the folder, not in the files: without this, lost power may undo it and leave both files.
            synchronise(whole.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def existing(folder: Path) -> list[Path]:
    """The whole checkpoints, oldest first."""
    return sorted(path for path in folder.glob("step-*") if re.fullmatch(r"step-\d+", path.name) and path.is_dir())


def read_newest(folder: Path, like: Mapping[str, Tensor] | None = None) -> Checkpoint | None:
    """The newest checkpoint; None where there is none. Raises `Mistake` where it is damaged, and names the one before.

    `like`: tensors with the names and shapes that are expected.
    """
    found = existing(folder)
    if not found:
        return None
    try:
        return read(found[-1], like)
    except Mistake as error:
        before = f"delete it and --resume goes on from `{found[-2]}`" if len(found) > 1 else "there is none before it"
        raise Mistake(f"checkpoint `{found[-1]}` is damaged: {before} ({error})") from error


def read(path: Path, like: Mapping[str, Tensor] | None = None) -> Checkpoint:
    """One checkpoint, its checksum verified. Raises `Mistake` where anything is missing or changed."""
    state = read_json(path / "state.json", StoredStep)
    if state.pop("state_checksum", None) not in (None, _checksum_of_state(state)):  # None: from before it was kept
        raise Mistake(f"`{path / 'state.json'}` is not what was written")
    file = path / "tensors.safetensors"
    if like is not None:
        check_fits(file, like)  # before it is read whole: what it holds is then no larger than the learner
    if not file.is_file() or _checksum(read_bytes(file, file.stat().st_size)) != state["checksum"]:
        raise Mistake(f"`{file}` is missing or not what was written")
    return Checkpoint(read_tensors(file), state)


def _checksum(content: bytes) -> str:
    return hashlib.blake2b(content, digest_size=16).hexdigest()


def _checksum_of_state(state: Mapping[str, Any]) -> str:
    """The checksum of all that it says but itself; numbers survive JSON exactly."""
    return _checksum(json.dumps(state, sort_keys=True).encode())


def _drop_partial(folder: Path) -> None:
    """Drops what a killed writer left. There is one writer at a time (the run's lock), so nobody else's work is dropped."""
    if folder.is_dir():
        for left in folder.glob(".step-*.partial"):
            shutil.rmtree(left, ignore_errors=True)
