"""Files of tables and arrays, told by their first bytes; alone, or a folder of one kind (train-0.parquet, test-0.parquet).

Covered: Parquet, Feather, Arrow, CSV; folders of these or of .npy files, whose names say which part is which.
Not covered: pictures (`folder`), IDX pairs (`pairs`).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from legato.data.dataset import Content
from legato.data.fingerprint import Later
from legato.data.options import DataOptions
from legato.data.parts import of_file, of_folder
from legato.errors import Mistake

if TYPE_CHECKING:
    from legato.data.tables import Table

SUFFIXES = {
    ".parquet": "Parquet", ".pq": "Parquet", ".feather": "Arrow", ".arrow": "Arrow", ".ipc": "Arrow",
    ".csv": "CSV", ".tsv": "CSV", ".npy": "npy", ".tar": "tar",
}  # fmt: skip
START = 65_536
MOST_FILES = 10_000


def open_file(path: Path, start: bytes, options: DataOptions) -> Content | None:
    """The rows of one file of a table; None where its first bytes, `start`, are of no table. Raises `Mistake`."""
    # Imported where it is needed: Arrow takes long to load, and a folder of pictures has no use for it.
    if start.startswith(b"PAR1"):
        from legato.data.parquet import open_parquet

        return open_parquet(path, options)
    opened = _opener(path, start)
    if opened is None:
        return None
    from legato.data.parquet import open_table

    kind = "arrow" if start.startswith((b"ARROW1", b"\xff\xff\xff\xff")) else "csv"
    # Named by its role, so that a renamed copy has the same fingerprint.
    return open_table(opened(), kind, Later(["rows"], lambda _: str(path)), options)


def _opener(path: Path, start: bytes) -> Callable[[], Table] | None:
    if start.startswith((b"ARROW1", b"\xff\xff\xff\xff", b"PAR1")):
        from legato.data.tables import feather, parquet

        return lambda: (parquet if start.startswith(b"PAR1") else feather)(path)
    if start[:2] in (b"\xff\xfe", b"\xfe\xff") and path.suffix.lower() in SUFFIXES:
        raise Mistake(f"`{path}` is text in UTF-16: save it as UTF-8")
    # Archives and arrays are no text, though the first bytes of some could pass for it.
    if start.startswith((b"PK", b"\x1f\x8b", b"\x93NUMPY")) or b"\0" in start:
        return None
    from legato.data.csv_text import delimiter, table

    mark = delimiter(start, path.suffix)
    return None if mark is None else lambda: table(path, mark, start)


def files_in(folder: Path, below: tuple[list[str], list[str]]) -> list[Path]:
    """The files of tables or arrays among a folder's pictures and others, parts in their order; none beside pictures."""
    names, others = below
    found = [name for name in others if os.path.splitext(name)[1].lower() in SUFFIXES]
    if names or not found:
        return []
    kinds = sorted({SUFFIXES[os.path.splitext(name)[1].lower()] for name in found})
    if len(kinds) > 1:
        raise Mistake(f"`{folder}` holds files of several kinds ({', '.join(kinds)}) and no pictures: name one of the files")
    if len(found) > MOST_FILES:
        raise Mistake(
            f"`{folder}` holds {len(found):,} files of tables: at most {MOST_FILES:,} are one source; join some of them"
        )
    return sorted((folder / name for name in found), key=lambda file: (_order(part_of(file, folder)), str(file)))


def _order(code: int | None) -> int:
    # after training, validation and test
    return 9 if code is None else code


def part_of(file: Path, folder: Path) -> int | None:
    """The part that the file's name says, else that of the folders above it."""
    said = of_file(file.stem)
    above = [of_folder(name) for name in file.relative_to(folder).parts[:-1]]
    return said if said is not None else next((code for code in above if code is not None), None)


def open_files(files: list[Path], folder: Path, options: DataOptions) -> Content:
    """All files of a folder as one source. Raises `Mistake`."""
    if files[0].suffix.lower() == ".npy":
        from legato.data.numpy_files import open_npy_folder

        return open_npy_folder(files, str(folder), options)
    if files[0].suffix.lower() == ".tar":
        from legato.data.shards import open_shards

        return open_shards(files, [part_of(file, folder) for file in files], str(folder), options)
    from legato.data.parquet import open_tables

    return open_tables([_table(file) for file in files], files, [part_of(file, folder) for file in files], str(folder), options)


def _table(path: Path) -> Table:
    try:
        with open(path, "rb") as file:
            start = file.read(START)
    except OSError as error:
        raise Mistake(f"`{path}` cannot be read: {error.strerror or error}; allow it or move it away") from error
    opened = _opener(path, start)
    if opened is None:
        raise Mistake(f"`{path}` cannot be read as {SUFFIXES[path.suffix.lower()]}: write it again or move it away")
    return opened()
