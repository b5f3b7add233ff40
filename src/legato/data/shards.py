"""Shards: pictures in tar archives, as WebDataset writes them, which are read where they lie.

Covered: samples whose files share a name (`000123.jpg`, `000123.cls`), labels from `.cls`, archives whose names say which
part they are. Nothing is unpacked to disk and nothing is unpickled; sizes are bounded. Not covered: compressed archives; texts,
sounds and tensors, which are passed over and counted.
"""

from __future__ import annotations

import os
import tarfile
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import BinaryIO, Self

import numpy as np

from legato.data.at_once import SAMPLE
from legato.data.dataset import Content, Problem
from legato.data.decoders import Item
from legato.data.fingerprint import Later, fingerprint
from legato.data.folder import printable
from legato.data.labels import encode
from legato.data.options import DataOptions
from legato.data.picture_rows import WrittenPictures
from legato.data.picture_writer import opened_pictures
from legato.data.pictures import ALSO, MOST_ENCODED, SUFFIXES, Payload, Piece
from legato.data.splits import TRAIN, checksum
from legato.data.streamed import runs, streamed
from legato.data.writer import Writer
from legato.errors import Mistake
from legato.progress import progress
from legato.types import Integers, Rows

CLASS = "cls"
MOST_HEADER, MOST_KEY, MOST_CLASS = 2**20, 4096, 1024  # bytes: a header may claim any size
AT = 257  # bytes before a tar archive says that it is one
INDEX = ("shard", "offset", "size")


def is_shard(start: bytes | bytearray) -> bool:
    """True for the first bytes of a tar archive."""
    return start[AT : AT + 5] == b"ustar"


def open_shards(files: Sequence[Path], parts: Sequence[int | None], name: str, options: DataOptions) -> Content:
    """The pictures of some archives, streamed; `parts` are codes of `splits.NAMES`, or None where a name says nothing.

    Raises `Mistake` where there are no pictures, or they are of several shapes.
    """
    places = [os.path.relpath(file, name) if len(files) > 1 else "shard" for file in files]
    paths = dict(zip(places, map(str, files), strict=True))
    digest = Later(places, paths.__getitem__)
    shards = _Shards(list(paths.values()), name, options.column)

    def key(options: DataOptions, digest: str) -> str:
        return fingerprint("shards", digest, {"column": options.column, **options.pictures()})

    content, options = opened_pictures(
        shards.items,
        lambda: len(shards.index),
        options,
        name,
        digest,
        options.column or "",
        key,
        partial(_finish, shards, parts),
        sample=shards.sample,
        keep_rows=False,
    )
    lie = _Lie(shards.paths, *(content.extra[part] for part in INDEX))
    return replace(content, rows=streamed(content, lie, options, name), window=options.window, by_key=True)


@dataclass
class _Index:
    """Samples in their order: the picture's archive and place in it, the key and the class."""

    shard: array[int] = field(default_factory=lambda: array("i"))
    offset: array[int] = field(default_factory=lambda: array("q"))
    size: array[int] = field(default_factory=lambda: array("q"))
    label: array[int] = field(default_factory=lambda: array("i"))
    classes: dict[str, int] = field(default_factory=dict)
    keys: bytearray = field(default_factory=bytearray)  # a line each: a list of 10⁶ texts would take ten times as much
    problems: list[Problem] = field(default_factory=list)
    passed: Counter[str] = field(default_factory=Counter)

    def __len__(self) -> int:
        return len(self.shard)


class _Shards:
    """Archives whose members are looked for once, when they are first asked for."""

    def __init__(self, paths: list[str], name: str, picture: str | None) -> None:
        self.paths, self.name, self.picture = paths, name, picture

    @cached_property
    def index(self) -> _Index:
        """All samples. Raises `Mistake` where there are none."""
        found = _Index()
        sizes = [os.path.getsize(path) for path in self.paths]
        with progress(f"looking for samples in {self.name}", sum(sizes) >> 20 or 1, unit="MB") as bar:
            for number, path in enumerate(self.paths):
                bar(sum(sizes[:number]) >> 20)
                _scan(path, number, self.picture, found)
        if not len(found):
            raise Mistake(_no_samples(self.name, self.picture, found))
        return found

    @cached_property
    def ids(self) -> list[str]:
        """The key of each sample; with its archive's name before it where two archives hold the same key."""
        keys = [printable(os.fsdecode(key)) for key in bytes(self.index.keys).split(b"\n")[:-1]]
        checksums = np.fromiter(map(checksum, keys), np.uint64, len(keys))
        if len(np.unique(checksums)) == len(keys):
            return keys
        stems = [printable(Path(path).stem) for path in self.paths]
        return [f"{stems[shard]}/{key}" for shard, key in zip(self.index.shard, keys, strict=True)]

    def items(self) -> Iterator[Item]:
        """Samples as the picture writer takes them: nothing of a picture is read here."""
        return map(self._item, range(len(self.index)))

    def sample(self) -> Iterator[Item]:
        """Samples from all archives."""
        return map(self._item, range(0, len(self.index), max(1, len(self.index) // SAMPLE)))

    def _item(self, row: int) -> Item:
        index = self.index
        return self.ids[row], Piece(self.paths[index.shard[row]], index.offset[row], index.size[row])


class _Lie:
    """Where the pictures lie, by what the store keeps of it."""

    def __init__(self, paths: list[str], shard: Integers, offset: Integers, size: Integers) -> None:
        self.paths, self.shard, self.offset, self.size = paths, shard, offset, size
        self.runs = runs(np.flatnonzero(np.diff(shard, prepend=-1)), len(shard))
        self.weight = 0.0

    def payloads(self, numbers: Rows, buffer: int) -> Iterator[Payload]:
        """Places in the archives: any of them is read at once."""
        for shard, offset, size in zip(*(part[numbers].tolist() for part in (self.shard, self.offset, self.size)), strict=True):
            yield Piece(self.paths[shard], offset, size)


def _finish(shards: _Shards, codes: Sequence[int | None], writer: Writer, written: WrittenPictures) -> None:
    index = shards.index
    kept = slice(None) if written.positions is None else written.positions
    parts = {part: np.array(getattr(index, part), np.int64)[kept] for part in INDEX}
    labels, names = _labels(index, shards.name)
    writer.finish(
        "bytes",
        shards.ids if written.positions is None else [shards.ids[place] for place in written.positions],
        labels=None if labels is None else labels[kept],
        label_names=names,
        own=_own(codes, parts["shard"]),
        positions=written.positions,
        problems=[*index.problems, *written.problems],
        notes=[*written.notes, *_passed(index.passed)],
        extra=parts,
    )


def _labels(index: _Index, name: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    if not index.classes:
        return None, ()
    codes, names = encode(list(index.classes), name)
    return np.asarray(
        np.append(codes, -1)[np.array(index.label)]
    ), names  # a sample without a class has number −1, which is the last


def _own(codes: Sequence[int | None], shard: np.ndarray) -> np.ndarray | None:
    """The split of each sample, where some archives are for training, others are not, and no name says nothing."""
    said = {code for code in codes if code is not None}
    if None in codes or TRAIN not in said or len(said) < 2:
        return None
    return np.asarray(np.array(codes, np.uint8)[shard])


# ------------------------------------------------------------------------------------------------- reading an archive


class _Bounded:
    """A file of which no more than a header's worth is read at once: `tarfile` reads as much as a header claims to be long."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        """Some bytes. Raises `tarfile.ReadError` where they are too many."""
        if not 0 <= size <= MOST_HEADER:
            raise tarfile.ReadError(f"a header of {size:,} bytes: at most {MOST_HEADER:,} are read")
        return self._file.read(size)


class Header(tarfile.TarInfo):
    """The header of a file; of a usual one without owner, mode and time: half of the work, and nobody asks for them."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """As `tarfile` reads it. Raises `tarfile.HeaderError`."""
        kind, size, prefix = buf[156:157], buf[124:136].rstrip(b"\0 "), buf[345:500]
        usual = kind == tarfile.REGTYPE and size.isdigit() and is_shard(buf) and not any(prefix)
        if not usual or buf[148:156].strip(b"\0 ") != b"%06o" % (256 + sum(buf[:148]) + sum(buf[156:])):
            return super().frombuf(buf, encoding, errors)
        found = cls(buf[:100].partition(b"\0")[0].decode(encoding, errors))
        found.size = int(size, 8)
        return found


def _scan(path: str, number: int, picture: str | None, found: _Index) -> None:
    """Adds the samples of an archive. What is broken ends it, and is told as a problem."""
    count, end = 0, os.path.getsize(path)
    try:
        for key, members in _samples(path, found.passed):
            count += 1
            _add(key, members, number, picture, found, end)
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        found.problems.append(Problem(printable(os.path.basename(path)), f"broken after {count:,} samples: {why}"))


Member = tuple[str, int, int, bytes]  # its extension, place and length; its bytes, of a class alone


def _samples(path: str, passed: Counter[str]) -> Iterator[tuple[str, list[Member]]]:
    """Keys and members of samples: files in a row that share the part of their name before its first dot."""
    now, members = "", list[Member]()
    try:
        for key, member in _members(path, passed):
            if key != now and members:
                yield now, members
                members = []
            now = key
            members.append(member)
    finally:  # what came before a broken header is whole
        if members:
            yield now, members


def _members(path: str, passed: Counter[str]) -> Iterator[tuple[str, Member]]:
    end = os.path.getsize(path)
    with open(path, "rb") as file, tarfile.open(fileobj=_Bounded(file), mode="r:", tarinfo=Header) as tar:  # type: ignore[call-overload]  # all that it uses
        while (found := tar.next()) is not None:
            tar.members = []  # it keeps all that it has passed
            folder, base = os.path.split(found.name)
            stem, dot, extension = base.partition(".")
            if not found.isreg() or found.issparse() or not dot or not stem:
                passed["no part of a sample"] += not found.isdir()
                continue
            content = b""
            if extension.lower() == CLASS and found.size <= MOST_CLASS:
                file.seek(found.offset_data)
                content = file.read(found.size)
            yield os.path.join(folder, stem), (extension.lower(), found.offset_data, found.size, content)
        if tar.offset + tarfile.BLOCKSIZE > end:  # of which `tarfile` says nothing
            raise tarfile.ReadError("cut short: it has no end mark")


def _add(key: str, members: list[Member], number: int, picture: str | None, found: _Index, end: int) -> None:
    pictures = [member for member in members if _is_picture(member[0], picture)]
    found.passed.update(f".{member[0]}" for member in members if member[0] != CLASS and member not in pictures[:1])
    if not pictures:
        return
    name = os.fsencode(key)
    _, offset, size, _ = pictures[0]
    if len(name) > MOST_KEY or b"\n" in name:
        found.problems.append(Problem(f"{printable(key)[:80]}…", "its name is longer than 4,096 bytes, or of several lines"))
        return
    if size > MOST_ENCODED or offset + size > end:
        why = "cut short" if offset + size > end else f"absurdly large: at most {MOST_ENCODED:,} are read"
        found.problems.append(Problem(printable(key), f"{size:,} bytes, {why}"))
        return
    found.shard.append(number)
    found.offset.append(offset)
    found.size.append(size)
    text = next((content.decode("utf-8", "replace").strip() for extension, *_, content in members if extension == CLASS), "")
    found.label.append(found.classes.setdefault(text, len(found.classes)) if text else -1)
    found.keys += name + b"\n"


def _is_picture(extension: str, named: str | None) -> bool:
    if named is not None:
        return extension == named.lower().removeprefix(".")
    suffix = f".{extension.rpartition('.')[2]}"
    return suffix in SUFFIXES or suffix in ALSO


def _passed(passed: Counter[str]) -> list[str]:
    count = sum(passed.values())
    kinds = ", ".join(f"{kind} ({times:,})" for kind, times in passed.most_common(5) if times)
    return [f"{count:,} other file{'s' if count > 1 else ''} passed over: {kinds}"] if count else []


def _no_samples(name: str, picture: str | None, found: _Index) -> str:
    held = "; ".join([*(f"`{one.id}` is {one.reason}" for one in found.problems[:3]), *_passed(found.passed)]) or "no files"
    wanted = f"files that end with `.{picture.removeprefix('.')}`" if picture else "pictures such as 000123.jpg"
    return f"`{name}` holds no samples with a picture ({held}): expected {wanted}, and beside them 000123.cls for a class"
