"""Plain pictures: JPEGs and PNGs without anything beside their pixels, known by a look at their parts and decoded at once.

Half of the time that Pillow takes for a JPEG of 64×64 goes into objects for what such files do not have. Pillow's decoders are
asked by `Image.frombytes`, which gives the same pixels. A file with any part that is not listed here, with a checksum that is
another, or which cannot be decoded, is no plain one: it is opened as all others are, and told of as they are.

Covered: JPEGs in grey or three colours, baseline or progressive; PNGs in grey or RGB of 8 bits, not interlaced. Not covered:
tags.
"""

from __future__ import annotations

import struct
import zlib
from contextlib import suppress
from typing import NamedTuple

from PIL import Image

PNG, JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"
QUANTISED, HUFFMAN, RESTART, COMMENT, JFIF, SCAN = 0xDB, 0xC4, 0xDD, 0xFE, 0xE0, 0xDA
FRAMES = frozenset({0xC0, 0xC1, 0xC2})
LAYERS = {1: "L", 3: "RGB"}
COLOURS = {0: "L", 2: "RGB"}
# parts of a PNG that change no pixel here, and how long they are
BESIDE = {b"pHYs": 9, b"gAMA": 4, b"sRGB": 1, b"cHRM": 32, b"tIME": 7}
PART, HEADER, CHECKSUM = struct.Struct(">I4s"), struct.Struct(">IIBBBBB"), struct.Struct(">I")


class _Found(NamedTuple):
    mode: str
    size: tuple[int, int]
    decoder: str
    arguments: tuple[object, ...]
    content: bytes


def plain(encoded: bytes, size: int | None, most: int) -> Image.Image | None:
    """A plain picture of at most so many pixels; None of any other, and of one so large that Pillow would rather decode a part.

    `size` is the square that is wanted of it.
    """
    with suppress(struct.error, IndexError):  # cut short
        found = _jpeg(encoded) if encoded.startswith(JPEG) else _png(encoded) if encoded.startswith(PNG) else None
        if found is None:
            return None
        width, height = found.size
        if not 0 < width * height <= most or (size is not None and min(width, height) >= 4 * size):
            return None
        with suppress(Exception):  # whatever is wrong with it, who opens it tells
            return Image.frombytes(found.mode, found.size, found.content, found.decoder, found.arguments)
    return None


def _jpeg(encoded: bytes) -> _Found | None:
    at, found = 2, None
    while encoded[at] == 0xFF:
        marker, length = encoded[at + 1], encoded[at + 2] << 8 | encoded[at + 3]
        body, at = at + 4, at + 2 + length
        if marker == SCAN:
            return found
        if marker == QUANTISED:
            # tables of 8 bits, whole
            if (length - 2) % 65 or any(encoded[first] > 0x0F for first in range(body, at, 65)):
                return None
        elif marker in FRAMES:
            bits, height, width, layers = struct.unpack_from(">BHHB", encoded, body)
            if found or bits != 8 or layers not in LAYERS or length != 8 + 3 * layers:
                return None
            found = _Found(LAYERS[layers], (width, height), "jpeg", (LAYERS[layers], ""), encoded)
        elif marker == JFIF:
            if length != 16 or encoded[body : body + 5] != b"JFIF\0":
                return None
        elif marker not in (HUFFMAN, RESTART, COMMENT) or length < 2:
            return None
    return None


def _png(encoded: bytes) -> _Found | None:
    width, height, bits, colour, *other = HEADER.unpack_from(encoded, 16)
    if PART.unpack_from(encoded, 8) != (13, b"IHDR") or bits != 8 or colour not in COLOURS or any(other):
        return None
    at, parts = 8, []
    while True:
        length, kind = PART.unpack_from(encoded, at)
        end = at + 8 + length
        if zlib.crc32(encoded[at + 4 : end]) != CHECKSUM.unpack_from(encoded, end)[0]:
            return None
        if kind == b"IDAT":
            parts.append(encoded[at + 8 : end])
        elif kind == b"IEND":
            break
        elif at > 8 and (parts or BESIDE.get(kind) != length):
            return None
        at = end + 4
    content = parts[0] if len(parts) == 1 else b"".join(parts)
    return _Found(COLOURS[colour], (width, height), "zip", (COLOURS[colour],), content)
