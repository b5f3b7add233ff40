"""The hub: pictures that Hugging Face's `datasets` finds, streamed, without the copy that it would make of them.

Covered: `hub:NAME` of a folder of Parquet files, of a folder that it saved, or of a dataset on the Hub, `hub:NAME#CONFIG`; its
objects in Python; splits by their names; class names. Not covered: pictures that a row only names by a path; tables of numbers.
(It reads Parquet in this very process: what nobody trusts is better named without `hub:`, and read by a process apart.)
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from legato.data import memo
from legato.data.dataset import Content
from legato.data.decoders import Item
from legato.data.fingerprint import fingerprint
from legato.data.labels import Labels, encode
from legato.data.options import HUB, DataOptions
from legato.data.parts import of_file
from legato.data.picture_rows import WrittenPictures
from legato.data.picture_writer import opened_pictures
from legato.data.pictures import MOST_ENCODED, Payload
from legato.data.roles import NONE
from legato.data.rows import RowNumbers
from legato.data.splits import TRAIN
from legato.data.streamed import streamed
from legato.data.writer import Writer
from legato.errors import Mistake
from legato.progress import progress
from legato.types import Integers, Rows

BLOCK = 256  # rows that are read together
SHARD, PARTS = 16_384, 512  # rows of a part of what was saved as one; parts of a split, at most: each costs a millisecond
PICKED = (
    2**27
)  # bytes of pictures that are kept of rows which are asked for out of turn: validation asks for the same each time
BYTES = ("binary", "large_binary")
LABELS = ("label", "labels", "class", "fine_label")


def open_hub(source: Any, name: str, options: DataOptions) -> Content:
    """Pictures of a name after `hub:`, or of an object, streamed. Raises `Mistake`."""
    rows, files = _loaded(source) if isinstance(source, str) else (source, None)
    found = _Hub(rows, files, name, options)
    known = found.known
    facts = {"column": found.picture, "label": found.label, "parts": known.parts}

    def key(options: DataOptions, digest: str) -> str:
        return fingerprint("hub", digest, {**facts, **options.pictures()})

    content, options = opened_pictures(
        found.items,
        lambda: known.rows,
        options,
        name,
        known.digest,
        found.picture,
        key,
        partial(_finish, found),
        keep_rows=False,
    )
    lie = _Lie(found, content.positions)
    named = found.label is not None and found.label == options.labels
    return replace(content, rows=streamed(content, lie, options, name), window=options.window, by_key=True, labelled=named)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Turns what `datasets` and all that it calls say of a source into a mistake."""
    try:
        yield
    except (Mistake, KeyboardInterrupt):
        raise
    except Exception as error:
        why = " ".join(str(error).split())[:300] or type(error).__name__
        raise Mistake(
            f"`{name}` cannot be read by `datasets` ({why}): give hub:FOLDER or hub:NAME#CONFIG as it knows it"
        ) from error


def _loaded(name: str) -> tuple[Any, Any]:
    """The splits of a name, and what their files are known by."""
    try:
        import datasets
    except ImportError:
        raise Mistake(
            f"`{HUB}{name}` is read by Hugging Face's datasets, which is not installed: pip install datasets"
        ) from None
    place, _, config = name.partition("#")
    folder = Path(place).expanduser()
    with _told(f"{HUB}{name}"):
        if any((folder / saved).is_file() for saved in ("dataset_info.json", "dataset_dict.json")):
            return datasets.load_from_disk(str(folder)), None
        builder = datasets.load_dataset_builder(str(folder) if folder.exists() else place, config or None)
        found = builder.config.data_files or {}
        files = {str(split): [list(files), files.origin_metadata] for split, files in found.items()}
        return builder.as_streaming_dataset(), files or None


@dataclass(frozen=True)
class _Known:
    """What one pass over a source finds: the hash of its pictures, and the rows and bytes of its parts, by split."""

    digest: str
    parts: list[tuple[str, list[int]]]
    size: int

    @property
    def rows(self) -> int:
        """All rows."""
        return sum(sum(counts) for _, counts in self.parts)

    @property
    def names(self) -> RowNumbers:
        """Row numbers; of several splits, with the split's name before."""
        several = len(self.parts) > 1
        return RowNumbers([(f"{split}-" if several else "", range(sum(counts))) for split, counts in self.parts])


class _Hub:
    """Splits of a source, of which each is read in parts, one after the other."""

    def __init__(self, source: Any, files: Any, name: str, options: DataOptions) -> None:
        self.name, self.files = name, files
        self.splits: Mapping[str, Any] = source if hasattr(source, "keys") else {"rows": source}
        if not self.splits:
            raise Mistake(f"`{name}` has no splits: expected one or more, with a column of pictures")
        self.features: Mapping[str, Any] = next(iter(self.splits.values())).features or {}
        self.picture = _picture(self.features, name, options.column)
        self.label = _label(self.features, name, options.labels)

    @cached_property
    def parts(self) -> list[tuple[str, Any]]:
        """Parts (split, rows) in their order."""
        with _told(self.name):
            return [(split, part) for split, rows in self.splits.items() for part in _cut(rows)]

    def column(self, part: Any, column: str) -> Any:
        """One column of a part as it is stored: a picture as its bytes."""
        import datasets

        alone = part.select_columns([column])
        if column == self.picture and _typed(self.features[column]):
            alone = alone.cast_column(column, datasets.Image(decode=False))
        return alone.with_format("arrow")

    def blocks(self, part: Any, column: str) -> Iterator[Any]:
        """Columns of Arrow, `BLOCK` rows each but for the last."""
        with _told(self.name):
            for table in self.column(part, column).iter(batch_size=BLOCK):
                yield table.column(0)

    @cached_property
    def known(self) -> _Known:
        """What one pass over all pictures finds, without decoding them; remembered while the files are the same."""
        signature = self._signature()
        kept = memo.recall(signature) if signature else None
        if kept is not None:
            return _Known(kept["digest"], [(split, counts) for split, counts in kept["parts"]], kept["size"])
        total, size = hashlib.blake2b(digest_size=20), 0
        parts: dict[str, list[int]] = {split: [] for split in self.splits}
        with progress(f"reading {self.name}", len(self.parts), unit="parts") as bar:
            for done, (split, part) in enumerate(self.parts):
                count = 0
                for block in self.blocks(part, self.picture):
                    for payload in payloads(block):
                        total.update(hashlib.blake2b(payload, digest_size=20).digest())
                        size += len(payload)
                    count += len(block)
                parts[split].append(count)
                bar(done + 1)
        found = _Known(total.hexdigest(), list(parts.items()), size)
        if not found.size:
            held = "only names the files of its pictures" if found.rows else "has no rows"
            raise Mistake(
                f"`{self.name}` {held}: expected a picture in each row, or give the folder of the files, without {HUB}"
            )
        if signature:
            memo.remember(signature, {"digest": found.digest, "parts": found.parts, "size": found.size})
        return found

    def _signature(self) -> str | None:
        """Hash of what `datasets` knows the files by; None where it says nothing of them."""
        said = self.files or [getattr(rows, "_fingerprint", None) for rows in self.splits.values()]
        if not self.files and None in said:
            return None
        return hashlib.blake2b(json.dumps([self.picture, list(self.splits), said]).encode(), digest_size=20).hexdigest()

    def items(self) -> Iterator[Item]:
        """Rows as the picture writer takes them."""
        names = iter(self.known.names)
        for _, part in self.parts:
            for block in self.blocks(part, self.picture):
                for payload in payloads(block):
                    yield next(names), payload


def _cut(rows: Any) -> list[Any]:
    """The parts of a split, one after the other, each of which is read from its start."""
    if hasattr(rows, "to_iterable_dataset"):
        rows = rows.to_iterable_dataset(num_shards=max(1, len(rows) // SHARD))
    elif hasattr(rows, "reshard"):  # by groups of rows: of a file Arrow reads ahead as far as a gigabyte, whoever waits
        rows = rows.reshard()
    count = min(rows.num_shards, PARTS)
    return [rows.shard(num_shards=count, index=index) for index in range(count)] if count > 1 else [rows]


def payloads(block: Any) -> list[bytes]:
    """The encoded pictures of a column; nothing where a row has none, or names one that lies elsewhere."""
    values = block.to_pylist()
    found = ((value.get("bytes") if isinstance(value, dict) else value) or b"" for value in values)
    return [payload if len(payload) <= MOST_ENCODED else payload[:16] for payload in found]


class _Reader:
    """Blocks of parts, read forward; the last `keep` of those that were asked for or passed are kept."""

    def __init__(self, hub: _Hub, keep: int) -> None:
        self.hub, self.keep = hub, keep
        self.held: OrderedDict[tuple[int, int], list[bytes]] = OrderedDict()
        self.part, self.next, self.blocks = -1, 0, iter(())

    def block(self, part: int, number: int) -> list[bytes]:
        """The pictures of a block. Raises `Mistake` where there are fewer than there were."""
        if (part, number) not in self.held:
            if part != self.part or number < self.next:
                self.part, self.next = part, 0
                self.blocks = self.hub.blocks(self.hub.parts[part][1], self.hub.picture)
            while self.next <= number:
                block = next(self.blocks, None)
                if block is None:
                    raise Mistake(f"`{self.hub.name}` has fewer rows than before: it has changed; give the command again")
                if self.keep > 1 or self.next == number:
                    self.held[part, self.next] = payloads(block)
                self.next += 1
            while len(self.held) > self.keep:
                self.held.popitem(last=False)
        self.held.move_to_end((part, number))
        return self.held[part, number]


class _Lie:
    """Where the pictures lie: in the blocks of parts, in their order. `positions` of the rows among those of the source."""

    def __init__(self, hub: _Hub, positions: Integers | None) -> None:
        self.hub, self.positions = hub, positions
        self.weight = hub.known.size / hub.known.rows
        counts = [count for _, counts in hub.known.parts for count in counts]
        self.starts = np.cumsum([0, *counts[:-1]], dtype=np.int64)
        rows = np.arange(hub.known.rows) if positions is None else positions
        self.runs = np.unique(np.searchsorted(rows, self.starts)).astype(np.int64)
        self.training = self.others = _Reader(hub, 1)
        self.picked: OrderedDict[int, bytes] = OrderedDict()
        self.bytes = 0

    def payloads(self, numbers: Rows, buffer: int) -> list[Payload]:
        """The pictures: each part is read forward, whatever the order in which they are asked for."""
        rows = numbers if self.positions is None else np.asarray(self.positions)[numbers]
        if buffer:
            if self.training is self.others:
                # a window reaches over rows that are not trained on, and the next one begins before all of it is done
                self.training = _Reader(self.hub, 3 * buffer // BLOCK + 2)
            found = self._read(np.unique(rows), self.training)
        else:
            found = {row: self.picked[row] for row in rows.tolist() if row in self.picked}
            found |= self._read(np.setdiff1d(rows, list(found)), self.others)
            if len(rows) and np.ptp(rows) > 8 * len(rows):
                self._pick(found)
        return [found[row] for row in rows.tolist()]

    def _read(self, rows: Rows, reader: _Reader) -> dict[int, bytes]:
        parts = np.searchsorted(self.starts, rows, side="right") - 1
        found = {}
        for row, part in zip(rows.tolist(), parts.tolist(), strict=True):
            number, within = divmod(row - int(self.starts[part]), BLOCK)
            found[row] = reader.block(part, number)[within]
        return found

    def _pick(self, found: dict[int, bytes]) -> None:
        """Keeps pictures that lie far apart: to find them again, all that lies between would be read again."""
        for row, payload in found.items():
            if row not in self.picked:
                self.picked[row] = payload
                self.bytes += len(payload)
        while self.bytes > PICKED:
            self.bytes -= len(self.picked.popitem(last=False)[1])


def _picture(features: Mapping[str, Any], name: str, named: str | None) -> str:
    """The column of pictures."""
    found = [column for column, kind in features.items() if _typed(kind)] or [
        column for column, kind in features.items() if getattr(kind, "dtype", None) in BYTES or "bytes" in _parts(kind)
    ]
    if named is not None and named in found:
        return named
    if named is not None or len(found) != 1:
        columns = ", ".join(f"`{column}`" for column in (found if len(found) > 1 else features))
        hint = f"name one of {columns} with --column" if len(found) > 1 else f"its columns are {columns or 'without types'}"
        wanted = f"no column of pictures `{named}`" if named is not None else f"{len(found) or 'no'} columns of pictures"
        raise Mistake(f"`{name}` has {wanted}: {hint}; tables of numbers are read without {HUB}, as Parquet or CSV")
    return found[0]


def _typed(feature: Any) -> bool:
    return type(feature).__name__ == "Image"


def _parts(feature: Any) -> Sequence[str]:
    """The fields of a structure: {bytes, path} is how a picture lies in Parquet where nobody says that it is one."""
    return list(feature) if isinstance(feature, Mapping) else []


def _label(features: Mapping[str, Any], name: str, named: str | None) -> str | None:
    """The column of classes: the one that was named, else the first that is one by its type or its name."""
    if named in (None, NONE):
        by_type = [column for column, kind in features.items() if type(kind).__name__ == "ClassLabel"]
        return next(iter([*by_type, *(column for column in LABELS if column in features)]), None)
    return named if named in features else None  # a file of labels, which is read later


def _labels(hub: _Hub) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if hub.label is None:
        return None, ()
    cells = [cell for _, part in hub.parts for block in hub.blocks(part, hub.label) for cell in block.to_pylist()]
    return _encoded(cells, hub.features[hub.label], f"{hub.name}:{hub.label}")


def _encoded(cells: Sequence[Any], feature: Any, name: str) -> Labels:
    codes, names = encode(cells, name)
    known = getattr(feature, "names", None)
    if known and all(text.isdecimal() and int(text) < len(known) for text in names):
        return np.array([*(int(text) for text in names), -1], np.int64)[codes], tuple(map(str, known))
    return codes, names


def _finish(hub: _Hub, writer: Writer, written: WrittenPictures) -> None:
    names = hub.known.names
    own, (labels, label_names) = _own(hub.known), _labels(hub)
    kept = slice(None) if written.positions is None else written.positions
    writer.finish(
        "bytes",
        names if written.positions is None else [names[int(place)] for place in written.positions],
        labels=None if labels is None else labels[kept],
        label_names=label_names,
        own=None if own is None else own[kept],
        positions=written.positions,
        problems=written.problems,
        notes=written.notes,
    )


def _own(known: _Known) -> np.ndarray | None:
    """The split of each row, where one part is for training and others are not, and no name says nothing."""
    codes = [of_file(split) for split, _ in known.parts]
    if None in codes or TRAIN not in codes or len(set(codes)) < 2:
        return None
    return np.repeat(np.array(codes, np.uint8), [sum(counts) for _, counts in known.parts])
