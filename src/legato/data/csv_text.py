"""CSV: delimiter, header, decimal mark and types told by looking, then read as a table in blocks.

Covered: commas, semicolons, tabs and bars; quotes; a byte-order mark; files without a header; a decimal comma beside
semicolons; the usual words for a missing value. Not covered: encodings other than UTF-8, comments, several header lines.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute
import pyarrow.csv

from legato.data.tables import Table, reading, told
from legato.errors import Mistake

SUFFIXES = (".csv", ".tsv", ".tab", ".txt", ".data")
DELIMITERS = ",;\t|"
MISSING = ["", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-nan", "NULL", "null", "None", "?"]
BLOCK = 2**24  # bytes parsed at once; a line must fit in
INDEX = "__index_level_0__"  # what pandas calls an index in Parquet; in CSV it is a first column without a name


def delimiter(start: bytes, suffix: str) -> str | None:
    """The delimiter of what starts so, or None where it is no table of text."""
    try:
        # a start may end within a character, which is no fault of the file
        text = start.decode("utf-8-sig", errors="strict" if len(start) < 4 else "ignore")
    except UnicodeDecodeError:
        return None
    lines = [line for line in text.splitlines() if line.strip()][:20]
    if b"\0" in start or len(lines) < 2:
        return None
    # The last line is left out where there are others: the first bytes of a file end in the middle of one.
    counts = {mark: [len(row) for row in csv.reader(lines[: max(2, len(lines) - 1)], delimiter=mark)] for mark in DELIMITERS}
    even = [mark for mark in DELIMITERS if counts[mark][0] > 1 and len(set(counts[mark])) == 1]
    if even:
        return max(even, key=lambda mark: counts[mark][0])  # of marks that fit all lines the one that parts them most
    return "," if suffix.lower() in SUFFIXES else None


def table(path: Path, mark: str, start: bytes) -> Table:
    """A CSV file as a table: read once for its types and once for its values. Raises `Mistake`."""
    name, text = str(path), start.decode("utf-8-sig", errors="ignore")
    rows = list(csv.reader(text.splitlines()[:2], delimiter=mark))
    headed = _is_header(rows[0])
    names = [INDEX if i == 0 and not word.strip() else word.strip() for i, word in enumerate(rows[0])]
    columns = names if headed else [str(i) for i in range(len(names))]
    if twice := sorted({word for word in columns if columns.count(word) > 1}):
        raise Mistake(f"`{name}` has more than one column named `{twice[0]}`: give each its own name")
    # Only beside semicolons: where the comma separates it cannot be the decimal mark as well.
    point = "," if mark == ";" and re.search(r"(^|;)\s*-?\d+,\d+\s*(;|$)", text.split("\n", 1)[-1], re.M) else "."
    read = pyarrow.csv.ReadOptions(
        use_threads=False, block_size=BLOCK, column_names=columns, skip_rows=1 if headed else 0, encoding="utf8"
    )
    # A quoted cell may hold a line's end, at which Arrow would otherwise cut a block.
    parse = pyarrow.csv.ParseOptions(delimiter=mark, newlines_in_values=True)

    def blocks(types: pa.Schema) -> Iterator[pa.RecordBatch]:
        convert = pyarrow.csv.ConvertOptions(
            column_types=types, null_values=MISSING, strings_can_be_null=True, decimal_point=point, include_columns=types.names
        )
        with reading(name, "CSV"):
            reader = pyarrow.csv.open_csv(path, read, parse, convert)
        yield from told(reader, name, "CSV")

    # As text first: Arrow's own guess is by the first block alone.
    schema, count = _typed(blocks(pa.schema([(column, pa.string()) for column in columns])), columns, point)

    def batches(wanted: Sequence[str], most: int) -> Iterator[pa.RecordBatch]:
        for block in blocks(pa.schema([schema.field(column) for column in wanted])):
            yield from (block.slice(first, most) for first in range(0, block.num_rows, most))

    notes = () if headed else ("the file has no line of names: its columns are called 0, 1, 2 …",)
    return Table("CSV", name, schema, count, batches, notes=notes)


def _is_header(words: list[str]) -> bool:
    """True for a first line of names: not only numbers, or 0, 1, 2 … as frames without names are written."""
    if not all(_is_number(word) for word in words):
        return True
    counted = [word.strip() for word in words]
    return len(words) > 1 and counted in ([str(i) for i in range(len(words))], [str(i + 1) for i in range(len(words))])


def _is_number(word: str) -> bool:
    try:
        float(word.replace(",", "."))
    except ValueError:
        return False
    return True


def _typed(blocks: Iterator[pa.RecordBatch], names: list[str], point: str) -> tuple[pa.Schema, int]:
    """The narrowest type of each column that all of its cells have, whole numbers, real numbers or text; and the rows."""
    kinds, count = [-1] * len(names), 0
    for block in blocks:
        count += block.num_rows
        kinds = [_kind(block.column(i), kind, point) for i, kind in enumerate(kinds)]
    types = (pa.int64(), pa.float64(), pa.string(), pa.null())  # -1: no cell has anything in it
    return pa.schema([(name, types[kind]) for name, kind in zip(names, kinds, strict=True)]), count


def _kind(column: pa.Array, least: int, point: str) -> int:
    """An index into whole, real, text, or -1: at least `least`, and what the cells need."""
    if least == 2 or column.null_count == len(column):  # text is text for good, and empty cells tell nothing
        return least
    plain = pa.compute.utf8_trim_whitespace(column)
    plain = pa.compute.replace_substring(plain, ",", ".") if point == "," else plain
    for kind, type in ((0, pa.int64()), (1, pa.float64())):
        if kind >= least:
            try:
                pa.compute.cast(plain, type)
            except pa.ArrowInvalid:
                continue
            return kind
    return 2
