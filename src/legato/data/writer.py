"""Writing one entry of the store: rows appended in order, then everything else, `meta.json` last.

Covered: each file's length and CRC-32, kept in `meta.json`; the free-space check; turning a full or forbidden disk into a
sentence. Not covered: naming and moving the entry (`store`).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from io import BytesIO
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from legato.data.dataset import Problem
from legato.data.journal import FOLDER, Journal, Mark, checksum_of, crc_of
from legato.data.rows import RowNumbers
from legato.errors import Mistake
from legato.files import synchronise
from legato.setting import Kind
from legato.types import Shape

ROWS, IDS, META = "rows.bin", "ids.txt", "meta.json"
ARRAYS = ("labels", "own", "positions")
NAME = re.compile("[a-z][a-z_0-9]*")  # of an array beside these: a file is called so
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
    """Fills `folder`: `append` rows, then `finish` once. Rows go straight to disk, so memory holds one block.

    A build that marks how far it is may be ended, and goes on from its last mark where the `purpose` is the same.
    Without `keep_rows` they are counted and not written: of a source that is looked through, and read where it lies.
    """

    def __init__(self, folder: Path, purpose: str = "", *, keep_rows: bool = True) -> None:
        self.folder = folder
        self.shape: Shape | None = None
        self.keep_rows = keep_rows
        self.journal = Journal(folder, purpose)
        self.state: Mapping[str, Any] | None = None  # the builder's at the last mark, where it goes on from one
        self._dtype = np.dtype(np.uint8)
        self._crc = 0
        self._begun = 0  # bytes of rows that are on their way to the disk
        with writing(folder.parent):
            # closed by __exit__; where rows are not kept, nothing is written
            self._rows = open(folder / ROWS, "ab") if keep_rows else BytesIO()  # noqa: SIM115
            mark = self.journal.last()
            if mark is None or not self._taken_up(mark):
                self.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._rows.close()

    def _taken_up(self, mark: Mark) -> bool:
        """Cuts the rows to the mark; False where they are not those that it says."""
        with suppress(OSError, ValueError, KeyError, TypeError):
            shape, length = mark.rows["shape"], mark.rows["length"]
            if mark.rows["kept"] != self.keep_rows or (
                self.keep_rows and crc_of(self.folder / ROWS, length) != mark.rows["crc"]
            ):
                return False
            self._rows.truncate(length)
            self._dtype, self._crc = np.dtype(mark.rows["dtype"]), mark.rows["crc"]
            self.shape, self.state = None if shape is None else tuple(shape), mark.state
            return True
        return False

    def mark(self, state: Mapping[str, Any]) -> None:
        """Says that all so far is whole: a build that is ended after this goes on from here, with this `state`."""
        with writing(self.folder.parent):
            self._rows.flush()
            length = os.fstat(self._rows.fileno()).st_size if self.keep_rows else 0
            self._begin_to_write_back(length)
            rows = {"shape": self.shape, "dtype": self._dtype.str, "crc": self._crc, "length": length, "kept": self.keep_rows}
            self.journal.mark(rows, state)

    def _begin_to_write_back(self, length: int) -> None:
        """Lets the disk begin with what is new. At the end alone, bringing many gigabytes to disk would take as long again."""
        if self.keep_rows and hasattr(os, "posix_fadvise"):
            with suppress(OSError):
                os.posix_fadvise(self._rows.fileno(), self._begun, length - self._begun, os.POSIX_FADV_DONTNEED)
            self._begun = length

    def clear(self) -> None:
        """Begins anew."""
        with writing(self.folder.parent):
            self.journal.clear()
            self._rows.seek(0)
            self._rows.truncate()
        self.shape, self._crc, self._begun, self.state = None, 0, 0, None

    @property
    def count(self) -> int:
        """Rows so far."""
        return 0 if self.shape is None else self.shape[0]

    def reserve(self, size: int) -> None:
        """Refuses now what would fill the disk in an hour. Raises `Mistake`."""
        if not self.keep_rows:
            return
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
        if self.keep_rows:
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
        extra: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Writes what belongs to the rows; `extra` are arrays by names of their own.

        A machine that stops right after finds all bytes on disk (fsync).
        """
        arrays = dict(zip(ARRAYS, (labels, own, positions), strict=True))
        more = dict(extra or {})
        if bad := [name for name in more if name in ARRAYS or not NAME.fullmatch(name)]:
            raise ValueError(f"no name of an array: {bad[0]!r}")  # a reader's fault, not a person's
        meta = {
            "shape": self.shape,
            "dtype": self._dtype.str,
            "kind": kind,
            "ids": [(p, len(n)) for p, n in ids.parts] if isinstance(ids, RowNumbers) else None,
            "label_names": label_names,
            "problems": [(problem.id, problem.reason) for problem in problems],
            "notes": list(notes),
            "arrays": [name for name, array in arrays.items() if array is not None],
            # unsaid where there are none: what most entries say stays what it was
            **({"extra": list(more)} if more else {}),
            **({} if self.keep_rows else {"rows": "not kept"}),
        }
        with writing(self.folder.parent):
            files = self._rows_brought_to_disk()  # rows first: meta.json vouches for them
            for folder in ("scratch", FOLDER):
                shutil.rmtree(self.folder / folder, ignore_errors=True)
            for name, array in {**arrays, **more}.items():
                if array is not None:
                    files[f"{name}.npy"] = self._write(f"{name}.npy", _npy(array))
            if not isinstance(ids, RowNumbers):
                files[IDS] = self._write(IDS, _lines(ids))
            said = {**meta, "files": files}
            # Last of all: an entry without meta.json is none, so a build that ends before this leaves nothing to be read.
            self._write(META, [json.dumps({**said, "checksum": checksum_of(said)}).encode()])
            synchronise(self.folder)  # the files' names, too, must outlive lost power

    def _rows_brought_to_disk(self) -> dict[str, tuple[int, int]]:
        if not self.keep_rows:
            return {}
        self._rows.flush()
        os.fsync(self._rows.fileno())
        return {ROWS: (os.fstat(self._rows.fileno()).st_size, self._crc)}

    def _write(self, name: str, content: Iterable[bytes | memoryview]) -> tuple[int, int]:
        """A file brought to disk: its length and CRC-32."""
        length = crc = 0
        with open(self.folder / name, "wb") as file:
            for piece in content:
                file.write(piece)
                length, crc = length + len(piece), zlib.crc32(piece, crc)
            file.flush()
            os.fsync(file.fileno())
        return length, crc


def _lines(names: Sequence[str]) -> Iterator[bytes]:
    """Names a line each, some at a time: all of 10⁶ would be in memory twice."""
    left = iter(names)
    while some := list(islice(left, 4096)):
        yield "".join(f"{name}\n" for name in some).encode(errors="surrogateescape")


def _npy(array: np.ndarray) -> Iterator[bytes | memoryview]:
    """What `np.save` writes, without a copy of the values."""
    plain = np.asarray(array, order="C")
    head = BytesIO()
    np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(plain))
    yield head.getvalue()
    if plain.size:
        yield plain.reshape(-1).view(np.uint8).data
