"""What fuzz.py does to a file: damage by bytes, damage that keeps a format whole, and places that are no files.

Every mutation is a function of (content, random.Random) and returns bytes; what it does not apply to, it leaves to others.
"""

from __future__ import annotations

import ast
import gzip
import io
import json
import os
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]
ODD_NUMBERS = (0, 1, -1, 2, 255, 256, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1, 2**63 - 1, 2**64 - 1, 10**9, -(2**31))
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 0.5, 1e308, -1e308, 1e-320, 10**30, -(10**30), 2**31, 2**63, 2**64),
    *(float("nan"), float("inf"), float("-inf")),
    *(
        "",
        "x",
        "0",
        "nan",
        "../../../etc/passwd",
        "/dev/zero",
        "\x00",
        "\x1b[2J",
        "\ud800",
        "a\nb",
        "[/red]",
        "$x_{",
        "x" * 5000,
    ),
    *([], {}, [[]], [None], {"": None}, [1, "2"], list(range(2000))),
)
ODD_NAMES = (
    *(
        "\x1b[2Jx",
        "a\nb",
        "$\\frac{",
        "[/b]",
        "x" * 200,
        " ",
        "-rf",
        "%s%n",
        "<script>",
        "\u202ex",
        "é" * 60,
        "…",
        ".hidden",
        "con",
    ),
    os.fsdecode(b"\xff\xfe"),
)
DEEP = 3000  # brackets in brackets: deeper than any parser that recurses likes


# ------------------------------------------------------------------------------------------------- bytes


def flipped(content: bytes, rng: random.Random) -> bytes:
    """One to eight bits."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 8) if found else 0):
        found[rng.randrange(len(found))] ^= 1 << rng.randrange(8)
    return bytes(found)


def set_bytes(content: bytes, rng: random.Random) -> bytes:
    """Some bytes, mostly near the start, where headers are."""
    found = bytearray(content)
    for _ in range(rng.randint(1, 4) if found else 0):
        found[rng.randrange(min(len(found), rng.choice((16, 128, 1 << 30))))] = rng.choice(
            (0, 1, 127, 128, 255, rng.randrange(256))
        )
    return bytes(found)


def odd_number(content: bytes, rng: random.Random) -> bytes:
    """A number of 2, 4 or 8 bytes, of either order."""
    size, order = rng.choice((2, 4, 8)), rng.choice("<>")
    if len(content) < size:
        return content
    at = rng.randrange(min(len(content) - size + 1, rng.choice((64, 1 << 30))))
    word = (rng.choice(ODD_NUMBERS) & ((1 << 8 * size) - 1)).to_bytes(size, "little" if order == "<" else "big")
    return content[:at] + word + content[at + size :]


def cut(content: bytes, rng: random.Random) -> bytes:
    """Cut short."""
    return content[: rng.randrange(len(content) + 1)]


def dropped(content: bytes, rng: random.Random) -> bytes:
    """Without a part."""
    first, last = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:first] + content[last:]


def repeated(content: bytes, rng: random.Random) -> bytes:
    """A part twice."""
    first, last = sorted(rng.randrange(len(content) + 1) for _ in range(2))
    return content[:last] + content[first:]


def grown(content: bytes, rng: random.Random) -> bytes:
    """Bytes put in or behind."""
    at = rng.choice((0, len(content), rng.randrange(len(content) + 1)))
    return content[:at] + rng.choice((b"\0" * rng.choice((1, 100, 100_000)), rng.randbytes(rng.randint(1, 64)))) + content[at:]


def emptied(content: bytes, rng: random.Random) -> bytes:
    """Nothing, zeros, or noise."""
    return rng.choice((b"", bytes(len(content)), rng.randbytes(min(len(content), 4096)), b"\x80\x04cos\nsystem\n."))


BYTES: dict[str, Mutation] = {
    one.__name__: one for one in (flipped, set_bytes, odd_number, cut, dropped, repeated, grown, emptied)
}


# ------------------------------------------------------------------------------------------------- whole formats


def json_node(content: bytes, rng: random.Random) -> bytes:
    """JSON in which one to three values are others, or gone, or under another name. Lines of JSON: one of them."""
    if content.count(b"\n{") > 2:
        lines = content.split(b"\n")
        at = rng.randrange(len(lines))
        lines[at] = json_node(lines[at], rng) if lines[at] else b"{}"
        return b"\n".join(lines)
    try:
        found = json.loads(content)
    except ValueError:
        return flipped(content, rng)
    for _ in range(rng.randint(1, 3)):
        found = odd_node(found, rng)
    if rng.random() < 0.03:
        return b"[" * DEEP + b"]" * DEEP
    text = json.dumps(found, ensure_ascii=rng.random() < 0.5)
    return text.encode("utf-8", "surrogatepass")


def odd_node(tree: Any, rng: random.Random) -> Any:
    """A tree of JSON with one place changed."""
    if not isinstance(tree, dict | list) or not tree or rng.random() < 0.1:
        return rng.choice(ODD_VALUES)
    key = rng.choice(list(tree)) if isinstance(tree, dict) else rng.randrange(len(tree))
    changed: Any = dict(tree) if isinstance(tree, dict) else list(tree)
    how = rng.random()
    if how < 0.6:
        changed[key] = odd_node(tree[key], rng)
    elif how < 0.8:
        del changed[key]
    elif isinstance(changed, dict):
        changed[rng.choice((*ODD_NAMES, *map(str, tree)))] = changed.pop(key)
    else:
        changed += changed[:key] or [None]
    return changed


def tensors(content: bytes, rng: random.Random) -> bytes:
    """A safetensors file whose header is another, its length right, or whose numbers are odd."""
    if len(content) < 8:
        return content
    size = int.from_bytes(content[:8], "little")
    header, body = content[8 : 8 + size], bytearray(content[8 + size :])
    if rng.random() < 0.5:
        header = json_node(header, rng)
    else:
        value = struct.pack("<f", rng.choice((float("nan"), float("inf"), 1e38, -1e38, 1e-45)))
        for at in rng.sample(range(0, max(len(body) - 3, 1), 4), k=1 if rng.random() < 0.5 else min(len(body) // 4, 50)):
            body[at : at + 4] = value
    return len(header).to_bytes(8, "little") + header + bytes(body)


def array(content: bytes, rng: random.Random) -> bytes:
    """A .npy whose header says another type, order or shape."""
    start = content.find(b"{")
    end = content.find(b"\n", start)
    if not 0 <= start < end:
        return flipped(content, rng)
    kinds = ("|u1", "<f8", "<f4", ">f4", "<f2", "<c8", "|O", "|S3", "<U2", "<M8[s]", "|b1", "<i8", "|V4", "<f16", "xx", "|S0")
    shapes = (
        "()",
        "(0,)",
        "(-1,)",
        "(1,)",
        "(2**62,)",
        "(99999999999,8,8)",
        "(3, 0, 5)",
        "(1,)*70",
        "(9,9,9,9)",
        "'x'",
        "(8,)",
    )
    said = {"descr": repr(rng.choice(kinds)), "shape": rng.choice(shapes), "fortran_order": rng.choice(("True", "1", "None"))}
    chosen = {name: said[name] for name in rng.sample(list(said), rng.randint(1, 2))}
    whole = ast.literal_eval(content[start:end].decode().strip())  # our own header, not yet damaged
    text = ", ".join(f"'{name}': {chosen.get(name, repr(value))}" for name, value in whole.items())
    header = ("{" + text + "}").encode().ljust(end - start) + b"\n"
    return content[:8] + len(header).to_bytes(2, "little") + header + content[end + 1 :]


def archive(content: bytes, rng: random.Random) -> bytes:
    """A .npz in which a member is another, twice, gone, renamed or a bomb."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as before:
            members = [(name, before.read(name)) for name in before.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError):
        return flipped(content, rng)
    at = rng.randrange(len(members))
    name, inner = members[at]
    how = rng.choice(("inner", "rename", "drop", "twice", "bomb"))
    if how == "inner":
        members[at] = (name, rng.choice((array, *BYTES.values()))(inner, rng))
    elif how == "rename":
        members[at] = (rng.choice(("x.npy", "x_train.npy", "../x.npy", "labels.npy", "y.npy", "images", "a.txt")), inner)
    elif how == "drop":
        del members[at]
    elif how == "twice":
        members.append((name, inner))
    else:
        members[at] = (name, inner + bytes(20_000_000))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as after:
        for one, data in members:
            after.writestr(one, data)
    return made.getvalue()


def png(content: bytes, rng: random.Random) -> bytes:
    """A PNG with a chunk changed and its checksum right: other sizes, depths, colours, data."""
    at, chunks = 8, []
    while at + 12 <= len(content):
        size = int.from_bytes(content[at : at + 4], "big")
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    if not chunks:
        return flipped(content, rng)
    one = 0 if rng.random() < 0.6 else rng.randrange(len(chunks))
    chunks[one] = (chunks[one][0], rng.choice((set_bytes, odd_number, cut, grown))(chunks[one][1], rng))
    whole = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks)
    return content[:8] + b"".join(whole)


def zipped(content: bytes, rng: random.Random) -> bytes:
    """A gzip of damaged content, of itself, of very much, or that says another length."""
    try:
        inner = gzip.decompress(content)
    except (OSError, EOFError, zlib.error):
        return flipped(content, rng)
    how = rng.choice(("inner", "inner", "twice", "bomb", "count"))
    if how == "inner":
        return gzip.compress(rng.choice(list(BYTES.values()))(inner, rng), 1)
    if how == "twice":
        return gzip.compress(content, 1)
    return content[:-4] + b"\xff" * 4 if how == "count" else gzip.compress(inner + bytes(50_000_000), 1)


def text_table(content: bytes, rng: random.Random) -> bytes:
    """Lines of text in which fields are others, more or fewer."""
    lines = content.split(b"\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.choice((0, rng.randrange(len(lines))))
        fields = lines[at].split(b",")
        odd = str(rng.choice(ODD_VALUES)).encode("utf-8", "replace")
        fields[rng.randrange(len(fields))] = rng.choice((odd, b'"', b"", b"\xff", b"1e999", b"0x1", b"1;2", b"1_000"))
        lines[at] = b",".join(fields * rng.choice((1, 1, 2)))
    return b"\n".join(lines)


WHOLE: dict[str, Mutation] = {
    "json": json_node, "jsonl": json_node, "safetensors": tensors, "npy": array, "npz": archive, "png": png, "gz": zipped,
    "csv": text_table, "txt": text_table,
}  # fmt: skip


def of(suffix: str) -> dict[str, Mutation]:
    """What can be done to the content of such a file; its own kind counts for as much as all of bytes."""
    own = WHOLE.get(suffix)
    return BYTES if own is None else {**BYTES, **{f"whole {i}": own for i in range(len(BYTES))}}


# ------------------------------------------------------------------------------------------------- places


def gone(path: Path) -> None:
    """Nothing is there."""
    path.unlink()


def folder(path: Path) -> None:
    """A folder."""
    path.unlink()
    path.mkdir()


def fifo(path: Path) -> None:
    """A FIFO that nobody writes."""
    path.unlink()
    os.mkfifo(path)


def loop(path: Path) -> None:
    """A link to itself."""
    path.unlink()
    path.symlink_to(path)


def device(path: Path) -> None:
    """A link to a file without end."""
    path.unlink()
    path.symlink_to("/dev/zero")


def null(path: Path) -> None:
    """A link to an empty device."""
    path.unlink()
    path.symlink_to("/dev/null")


PLACES: Sequence[Callable[[Path], None]] = (gone, folder, fifo, loop, device, null)
