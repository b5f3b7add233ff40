"""Writing one entry of the store: rows appended in order, then everything else, `meta.json` last.

Covered: each file's length and CRC-32, kept in `meta.json`; the free-space check; turning a full or forbidden disk into a
sentence. Not covered: naming and moving the entry (`store`).
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from legato.data.dataset import Kind, Problem
from legato.data.rows import RowNumbers
from legato.errors import Mistake
from legato.files import synchronise
from legato.types import Shape

ROWS, IDS, META = "rows.bin", "ids.txt", "meta.json"
ARRAYS = ("labels", "own", "positions")
HEADROOM = 2**26  # bytes left free beyond an entry's own: ids, labels, the next person's work


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turns a failure to write into the mistake that says where and what to do."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise Mistake(
            f"cannot write prepared data to the cache folder `{folder}`: {why}; make room there, "
            "or set LEGATO_CACHE to a folder that can be written"
        ) from error


class Writer:
    """Fills `folder`: `append` rows, then `finish` once. Rows go straight to disk, so memory holds one block."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shape: Shape | None = None
        self._dtype = np.dtype(np.uint8)
        self._crc = 0
        with writing(folder.parent):
            self._rows = open(folder / ROWS, "wb")  # noqa: SIM115 (closed by __exit__)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._rows.close()

    @property
    def count(self) -> int:
        """Rows so far."""
        return 0 if self.shape is None else self.shape[0]

    def reserve(self, size: int) -> None:
        """Refuses now what would fill the disk in an hour. Raises `Mistake`."""
        with writing(self.folder.parent):
            free = shutil.disk_usage(self.folder).free
        # Refused before the first byte: a disk that fills at 90 % has cost an hour, and other programs their room.
        if free < size + HEADROOM:
            raise Mistake(
                f"the cache folder `{self.folder.parent}` has {free / 1e9:.1f} GB free and the prepared data needs "
                f"{size / 1e9:.1f} GB: make room, or set LEGATO_CACHE to a folder on a larger disk"
            )

    def scratch(self, name: str) -> Path:
        """A file for intermediate bytes; it goes before the entry is moved into place."""
        folder = self.folder / "scratch"
        with writing(self.folder.parent):
            folder.mkdir(exist_ok=True)
        return folder / name

    def append(self, rows: np.ndarray) -> None:
        """Writes rows (B, ...) after those so far; all must have one shape and dtype."""
        if self.shape is None:
            self.shape, self._dtype = (0, *rows.shape[1:]), rows.dtype
        if rows.shape[1:] != self.shape[1:] or rows.dtype != self._dtype:
            # a reader's fault, not a person's: no `Mistake`
            raise ValueError(f"rows of {rows.shape[1:]} {rows.dtype} after rows of {self.shape[1:]} {self._dtype}")
        content = np.ascontiguousarray(rows).view(np.uint8).data if rows.size else b""
        # Over what is written, as it is written: reading it back would cost a second pass, and from the cache prove little.
        self._crc = zlib.crc32(content, self._crc)
        with writing(self.folder.parent):
            self._rows.write(content)
        self.shape = (self.shape[0] + len(rows), *self.shape[1:])

    def finish(
        self,
        kind: Kind,
        ids: Sequence[str],
        *,
        labels: np.ndarray | None = None,
        label_names: tuple[str, ...] = (),
        own: np.ndarray | None = None,
        positions: np.ndarray | None = None,
        problems: Sequence[Problem] = (),
        notes: Sequence[str] = (),
    ) -> None:
        """Writes what belongs to the rows. A machine that stops right after finds all bytes on disk (fsync)."""
        arrays = dict(zip(ARRAYS, (labels, own, positions), strict=True))
        meta = {
            "shape": self.shape,
            "dtype": self._dtype.str,
            "kind": kind,
            "ids": [(p, len(n)) for p, n in ids.parts] if isinstance(ids, RowNumbers) else None,
            "label_names": label_names,
            "problems": [(problem.id, problem.reason) for problem in problems],
            "notes": list(notes),
            "arrays": [name for name, array in arrays.items() if array is not None],
        }
        with writing(self.folder.parent):
            self._rows.flush()  # rows first: meta.json vouches for them
            os.fsync(self._rows.fileno())
            shutil.rmtree(self.folder / "scratch", ignore_errors=True)
            files = {ROWS: (os.fstat(self._rows.fileno()).st_size, self._crc)}
            for name, array in arrays.items():
                if array is not None:
                    files[f"{name}.npy"] = self._write(f"{name}.npy", _npy(array))
            if not isinstance(ids, RowNumbers):
                files[IDS] = self._write(IDS, b"".join(f"{name}\n".encode(errors="surrogateescape") for name in ids))
            said = {**meta, "files": files}
            # Last of all: an entry without meta.json is none, so a build that ends before this leaves nothing to be read.
            self._write(META, json.dumps({**said, "checksum": checksum_of(said)}).encode())
            synchronise(self.folder)  # the files' names, too, must outlive lost power

    def _write(self, name: str, content: bytes) -> tuple[int, int]:
        """A file brought to disk: its length and CRC-32."""
        with open(self.folder / name, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        return len(content), zlib.crc32(content)


def checksum_of(meta: Mapping[str, Any]) -> str:
    """The checksum of what meta.json says, but for itself."""
    return hashlib.blake2b(json.dumps(meta, sort_keys=True).encode(), digest_size=16).hexdigest()


def _npy(array: np.ndarray) -> bytes:
    buffer = BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
