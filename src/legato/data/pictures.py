"""One picture, from bytes to pixels: opened safely, turned upright, eight bits, laid on a background, resized.

Covered: what Pillow reads of png, jpeg, gif, bmp, tiff, webp and pnm. Not covered: colour profiles; frames after the
first; files that are cut short (refused, never filled with grey).
"""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageColor, ImageOps, UnidentifiedImageError

from legato.data.plain_pictures import plain

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm", ".pbm"})
# other names of the same formats: read, but no part of the list that a person is told
ALSO = frozenset({".jfif", ".jpe", ".jif", ".pjpeg", ".pjp", ".dib", ".pnm", ".apng"})
# A list, because Pillow would otherwise try every format it knows on any bytes, PostScript interpreters included.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
MOST_PIXELS = 64_000_000  # a header may claim any size; these are 192 MB in colour
MODES = {1: "L", 3: "RGB", 4: "RGBA"}
PECULIAR = {"CMYK": "CMYK", "1": "bilevel"}
ORIENTATION = 0x0112  # EXIF's tag; from 5 on height and width change places
TAGGED = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})  # parts of a file that say an orientation
READ_ONCE = frozenset({"PNG", "JPEG", "WEBP", "PPM", "BMP"})
BITS = 258  # TIFF's BitsPerSample: a file of 16 bits may declare 12
LINES = 2**18  # pixels scaled at once: the copies have 64 bits each
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})

STARTS = re.compile(rb"\xff\xd8\xff|\x89PNG\r\n\x1a\n|GIF8[79]a|BM....\0\0\0\0|II\*\0|MM\0\*|RIFF....WEBP|P[1-6]\s+[#\d]", re.S)
# as TIFF they would give a thumbnail
RAW = frozenset({".dng", ".nef", ".nrw", ".cr2", ".arw", ".orf", ".rw2", ".pef", ".srw", ".3fr", ".iiq"})

MOST_ENCODED = 2**27  # bytes of a file: 64 million pixels of 8 bits, in colour, barely packed


class Piece(NamedTuple):
    """An encoded picture that is a part of a larger file."""

    path: str
    offset: int
    size: int

    def read(self) -> bytes:
        """Its bytes. Raises `Unreadable` where there are fewer, or absurdly many, or none can be read."""
        if self.size > MOST_ENCODED:
            raise Unreadable(f"absurdly large: {self.size:,} bytes, at most {MOST_ENCODED:,}")
        try:
            found = self._read()
        except OSError as error:
            raise Unreadable(_reason(error)) from error
        if len(found) < self.size:
            raise Unreadable(f"cut short: {len(found):,} of {self.size:,} bytes are there")
        return found

    def _read(self) -> bytes:
        handle = os.open(self.path, os.O_RDONLY)  # as `open` reads it, it takes twice as long
        try:
            found = os.pread(handle, self.size, self.offset)
            while len(found) < self.size and (more := os.pread(handle, self.size - len(found), self.offset + len(found))):
                found += more
            return found
        finally:
            os.close(handle)


Payload = str | bytes | np.ndarray | Piece  # a path, an encoded picture, pixels (C, H, W) uint8, or a part of a file


class Unreadable(Exception):
    """A picture that cannot be used, and why; becomes a `Problem`."""


@dataclass(frozen=True)
class PictureForm:
    """The form that every picture of a source takes: `channels` of 8 bits, and a square of `size` unless that is None."""

    channels: int
    size: int | None
    crop: bool
    background: str
    window: tuple[int, int] | None = None  # what becomes 0 and 255 where there are more than 8 bits; None: 0 and 65535


class Header(NamedTuple):
    """Facts that are known without decoding: (width, height) as it will be shown, and whether it has no colour."""

    size: tuple[int, int]
    grey: bool


class Picture(NamedTuple):
    """pixels (C, H, W) uint8, and words for what was done that a person should know."""

    pixels: np.ndarray
    remarks: tuple[str, ...]


@contextmanager
def pillow_warnings() -> Iterator[None]:
    """Pillow warns of odd tags, which we pass over, and of large pictures, which are problems.

    Set here, in one thread, because warning filters belong to the process: threads that set them race.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def looks_like_picture(path: str) -> bool:
    """True for a file that is to be read as a picture: by its suffix, so that broken ones are told, else by its first bytes."""
    suffix = os.path.splitext(path)[1].lower()
    if suffix in SUFFIXES or suffix in ALSO:
        return True
    if suffix in RAW:
        return False
    try:
        with open(path, "rb") as file:
            return STARTS.match(file.read(16)) is not None
    except OSError:
        return False


class Examined(NamedTuple):
    """A picture that was opened once: its header's facts if it has any, whether its range counts, its pixels or why not."""

    header: Header | None
    ranged: bool
    picture: Picture | None
    reason: str


def read_header(payload: Payload, background: str = "white") -> Header:
    """Size and colour, from the first bytes. Raises `Unreadable`."""
    with _opened(payload) as image:
        return _header(image, background)


def look(payload: Payload, background: str) -> tuple[Header, bool]:
    """What `read_header` says, and whether `depth` has an answer, of a picture that is opened once. Raises `Unreadable`."""
    with _opened(payload) as image:
        return _header(image, background), _is_ranged(image)


def _header(image: Image.Image, background: str) -> Header:
    width, height = image.size
    # A TIFF's size is turned already, and a PNG would be decoded whole to find a tag behind its pixels.
    known = image.format != "TIFF" and (image.format != "PNG" or "exif" in image.info)
    if known and _orientation(image) >= 5:
        width, height = height, width
    # Grey laid on a colour is colour.
    coloured_behind = image.has_transparency_data and len(set(ImageColor.getrgb(background)[:3])) > 1
    return Header((width, height), _is_grey(image) and not coloured_behind)


def _orientation(image: Image.Image) -> Any:
    """EXIF's tag. Where nothing is there to be looked through, 1 at once: that is quicker by a tenth of a small picture."""
    if not TAGGED.isdisjoint(image.info) or hasattr(image, "tag_v2"):
        return image.getexif().get(ORIENTATION, 1)
    return 1


def weight(payload: Payload) -> int:
    """Bytes of a picture in the depth of its file, from the first bytes. Raises `Unreadable`."""
    with _opened(payload) as image:
        bytes_each = 4 if image.mode in ("I", "F") else 2 if _is_deep(image) else 1
        return image.width * image.height * len(image.getbands()) * bytes_each


def decode(payload: Payload, form: PictureForm) -> Picture:
    """A picture's pixels. Raises `Unreadable`."""
    with _opened(payload) as image:
        return _decoded(image, form)


def examine(payload: Payload, form: PictureForm) -> Examined:
    """The answers of `read_header` and `decode`, and whether `depth` has one, of a picture that is opened once."""
    if isinstance(payload, Piece):
        try:
            payload = payload.read()
        except Unreadable as error:
            return Examined(None, False, None, str(error))
    if isinstance(payload, bytes) and (image := plain(payload, form.size, MOST_PIXELS)):
        return Examined(Header(image.size, image.mode == "L"), False, _shaped(image, form, []), "")
    header, ranged = None, False
    try:
        with _opened(payload) as image:
            ranged = _is_ranged(image)
            if image.format in READ_ONCE:  # of others, to ask for the one changes what is found for the other
                header = _header(image, form.background)
                return Examined(header, ranged, _decoded(image, form), "")
        with suppress(Unreadable):
            header = read_header(payload, form.background)
        return Examined(header, ranged, decode(payload, form), "")
    except Unreadable as error:
        if header is None:  # it may be the header alone that cannot be read
            with suppress(Unreadable):
                return Examined(None, ranged, decode(payload, form), "")
        return Examined(header, ranged, None, str(error))


def _decoded(image: Image.Image, form: PictureForm) -> Picture:
    # Before decoding, which forgets how many bits the file had.
    remarks = _peculiarities(image)
    if image.format == "PNG":  # its tags may lie behind its pixels
        image.load()
    orientation = _orientation(image)
    if form.size is not None:
        # A JPEG can be decoded at an eighth to a half of its size, far quicker; twice the goal keeps it sharp.
        image.draft(None, (2 * form.size, 2 * form.size))
    image.load()
    upright = image
    if orientation in range(2, 9):
        remarks.append("turned")
        upright = ImageOps.exif_transpose(image)
    return _shaped(_eight_bits(upright, form.window or (0, 65535)), form, remarks)


def _shaped(level: Image.Image, form: PictureForm, remarks: list[str]) -> Picture:
    flat = _without_alpha(level, form, remarks) if form.channels != 4 else level
    if form.channels == 1 and not _is_grey(flat):
        remarks.append("greyed")
    mode = MODES[form.channels]
    return Picture(_planes(_squared(flat if flat.mode == mode else flat.convert(mode), form)), tuple(remarks))


def _planes(image: Image.Image) -> np.ndarray:
    """(C, H, W). Pillow gives colours by lines as soon as by pixels, and these are put in order three times as fast."""
    bands, (width, height) = len(image.getbands()), image.size
    if bands == 1:
        return np.asarray(image)[None]
    lines = image.tobytes("raw", f"{image.mode};L")
    return np.frombuffer(lines, np.uint8).reshape(height, bands, width).transpose(1, 0, 2)


@contextmanager
def _opened(payload: Payload) -> Iterator[Image.Image]:
    """An open picture; whatever goes wrong with it, here or in the block, is an `Unreadable` with a short reason."""
    try:
        with _image(payload) as image:
            if image.width * image.height > MOST_PIXELS:
                raise Unreadable(f"absurdly large: {image.width}×{image.height} pixels, at most {MOST_PIXELS:,} in all")
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unreadable(f"absurdly large: more than {MOST_PIXELS:,} pixels") from None
    except UnidentifiedImageError:
        raise Unreadable("no picture of a known format") from None
    # What Pillow's decoders raise on broken bytes; MemoryError is a header that lies about its sizes.
    except (
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:
        raise Unreadable(_reason(error)) from error
    except (struct.error, zlib.error, OverflowError, MemoryError, NotImplementedError) as error:
        raise Unreadable(_reason(error)) from error


def _reason(error: BaseException) -> str:
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(said.split()) or type(error).__name__


def _image(payload: Payload) -> Image.Image:
    if isinstance(payload, np.ndarray):
        return Image.fromarray(np.ascontiguousarray(payload[0] if len(payload) == 1 else payload.transpose(1, 2, 0)))
    if isinstance(payload, Piece):
        payload = payload.read()
    if (len(payload) if isinstance(payload, bytes) else os.path.getsize(payload)) == 0:
        raise Unreadable("an empty file, 0 bytes")
    return Image.open(BytesIO(payload) if isinstance(payload, bytes) else payload, formats=FORMATS)


def _peculiarities(image: Image.Image) -> list[str]:
    found = ["deep"] if _is_deep(image) else []
    if image.mode in PECULIAR:
        found.append(PECULIAR[image.mode])
    # A photo of many phones is an MPO, a JPEG with a preview behind it, and no animation.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        found.append("animated")
    return found


def _is_deep(image: Image.Image) -> bool:
    if image.mode in ("I", "F"):
        return True
    tiles: Sequence[Any] = getattr(image, "tile", ())
    # A small picture has one: to go through a list of it takes a hundredth of the whole.
    return "16" in str(tiles[0][3]) if len(tiles) == 1 else any("16" in str(tile[3]) for tile in tiles)


def _is_grey(image: Image.Image) -> bool:
    if image.mode in ("P", "PA"):
        palette = np.reshape(image.getpalette("RGB") or [], (-1, 3))
        return bool((palette == palette[:, :1]).all())
    return image.mode in GREY_MODES


def _is_ranged(image: Image.Image) -> bool:
    return image.mode == "I" or image.mode.startswith("I;16")


def depth(payload: Payload) -> tuple[int, int] | None:
    """Smallest and largest value of a grey picture of more than 8 bits, or of the bits that it declares; None of any other."""
    try:
        with _opened(payload) as image:
            if not _is_ranged(image):
                return None
            declared = getattr(image, "tag_v2", {}).get(BITS, (16,))
            bits = declared[0] if isinstance(declared, tuple) and declared else 16
            values = np.asarray(image)
            low, high = int(values.min()), int(values.max())
            return low, max(high, 2**bits - 1) if 8 < bits < 16 else high
    except Unreadable:  # reported when it is decoded
        return None


def _eight_bits(image: Image.Image, window: tuple[int, int]) -> Image.Image:
    """Deep grey scaled, not clipped: Pillow's own conversion of 16 bits makes everything above 255 white."""
    if image.mode == "F":
        values = np.asarray(image)
        if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1):
            raise Unreadable("a picture of real numbers outside 0 to 1")
        return Image.fromarray(np.rint(values * 255).astype(np.uint8))
    if _is_ranged(image):
        return Image.fromarray(_windowed(np.asarray(image), *window))
    return image


def _windowed(values: np.ndarray, low: int, high: int) -> np.ndarray:
    """(H, W) whole numbers as bytes, `low` 0 and `high` 255; some lines at a time, since 64-bit copies are large."""
    shown = np.empty(values.shape, np.uint8)
    step = max(1, LINES // values.shape[1])
    for top in range(0, len(values), step):
        some = values[top : top + step].astype(np.int64).clip(low, high) - low
        # half of the divisor is added: division cuts, and this rounds
        shown[top : top + step] = (some * 255 + (high - low) // 2) // (high - low)
    return shown


def _without_alpha(image: Image.Image, form: PictureForm, remarks: list[str]) -> Image.Image:
    if not image.has_transparency_data:
        return image
    clear = image.convert("RGBA")
    lowest, _ = clear.getchannel("A").getextrema()
    if isinstance(lowest, int) and lowest < 255:  # a channel that hides nothing is not told of
        remarks.append("transparent")
    behind = Image.new("RGBA", clear.size, ImageColor.getrgb(form.background))
    flat = Image.alpha_composite(behind, clear).convert("RGB")
    # Grey laid on grey is grey still; saying so keeps it from being counted as colour that was lost.
    return flat.convert("L") if _is_grey(image) and form.channels == 1 else flat


def _squared(image: Image.Image, form: PictureForm) -> Image.Image:
    """The picture, or its square of `size`: cut first and then resized, so that a very long picture costs nothing."""
    size = form.size
    if size is None or image.size == (size, size):
        return image
    width, height = image.size
    side = min(width, height)
    if form.crop and side == size:  # whole pixels are cut out, so that none is resampled
        left, top = (width - size) // 2, (height - size) // 2
        return image.crop((left, top, left + size, top + size))
    x, y = ((width - side) / 2, (height - side) / 2) if form.crop else (0.0, 0.0)
    box = (x, y, width - x, height - y)
    return image.resize((size, size), Image.Resampling.LANCZOS, box=box)
