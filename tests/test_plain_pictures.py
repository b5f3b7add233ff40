"""Plain pictures: whatever bytes they have, they are what Pillow opens, to the last pixel and to the last word of a refusal."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from legato.data import pictures
from legato.data.pictures import PictureForm, decode, examine, pillow_warnings, read_header
from legato.data.plain_pictures import plain


def encoded(picture: Image.Image, kind: str, **said: Any) -> bytes:
    target = io.BytesIO()
    picture.save(target, kind, **said)
    return target.getvalue()


def noise(mode: str, width: int = 21, height: int = 18) -> Image.Image:
    values = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(values).convert(mode)


def chunked(kind: bytes, body: bytes, png: bytes) -> bytes:
    """A PNG with one more part behind its head."""
    return png[:33] + struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) + png[33:]


PLAIN = {
    "jpeg": encoded(noise("RGB"), "JPEG"),
    "grey jpeg": encoded(noise("L"), "JPEG"),
    "progressive jpeg": encoded(noise("RGB"), "JPEG", progressive=True, quality=95, subsampling=0),
    "jpeg with a comment": encoded(noise("RGB"), "JPEG", comment=b"by hand"),
    "large jpeg": encoded(noise("RGB", 300, 280), "JPEG", quality=95),
    "png": encoded(noise("RGB"), "PNG"),
    "grey png": encoded(noise("L"), "PNG"),
    "png with a density": encoded(noise("RGB"), "PNG", dpi=(72, 72)),
}
text = PngImagePlugin.PngInfo()
text.add_text("Comment", "by hand")
turned = Image.Exif()
turned[0x0112] = 6
OTHER = {
    "turned jpeg": encoded(noise("RGB"), "JPEG", exif=turned),
    "turned png": encoded(noise("RGB"), "PNG", exif=turned),
    "CMYK": encoded(noise("CMYK"), "JPEG"),
    "profile": encoded(noise("RGB"), "JPEG", icc_profile=b"x" * 200),
    "text": encoded(noise("RGB"), "PNG", pnginfo=text),
    "palette": encoded(noise("P"), "PNG"),
    "alpha": encoded(noise("RGBA"), "PNG"),
    "one colour clear": encoded(noise("RGB"), "PNG", transparency=(0, 0, 0)),
    "deep": encoded(Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)), "PNG"),
    "odd part": chunked(b"pHYs", b"short", PLAIN["png"]),
    "no palette": encoded(noise("P"), "PNG").replace(b"PLTE", b"pLTE"),
    "gif": encoded(noise("P"), "GIF"),
    "empty": b"",
    "a start": b"\xff\xd8\xff",
    "another start": b"\x89PNG\r\n\x1a\n",
}
FORMS = [PictureForm(3, None, True, "white"), PictureForm(1, 4, True, "white"), PictureForm(3, 9, False, "white")]


def same(content: bytes, form: PictureForm, monkeypatch: pytest.MonkeyPatch) -> bool:
    found = examine(content, form)
    with monkeypatch.context() as patched:
        patched.setattr(pictures, "plain", lambda *_: None)
        usual = examine(content, form)
    if (found.picture is None) != (usual.picture is None):
        return False
    if found.picture is not None and usual.picture is not None:
        alike = np.array_equal(found.picture.pixels, usual.picture.pixels) and found.picture.remarks == usual.picture.remarks
        if not alike:
            return False
    return (found.header, found.ranged, found.reason) == (usual.header, usual.ranged, usual.reason)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", [*PLAIN, *OTHER])
def test_a_picture_examined_is_one_that_is_opened(name: str, form: PictureForm, monkeypatch: pytest.MonkeyPatch) -> None:
    content = {**PLAIN, **OTHER}[name]
    assert same(content, form, monkeypatch)
    found = examine(content, form)
    if found.picture is not None:
        assert found.header == read_header(content)
        assert np.array_equal(found.picture.pixels, decode(content, form).pixels)
    for size in range(0, len(content), max(1, len(content) // 40)):  # cut short
        assert same(content[:size], form, monkeypatch)


def test_plain_ones_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [name for name, content in PLAIN.items() if plain(content, None, 10**6) is None] == []
    assert [name for name, content in OTHER.items() if plain(content, None, 10**6) is not None] == []
    assert plain(PLAIN["png"], None, 21 * 18 - 1) is None
    assert plain(PLAIN["large jpeg"], 64, 10**6) is None  # Pillow decodes a part of it, which is quicker and not the same
    assert plain(PLAIN["large jpeg"], 128, 10**6) is not None


@pytest.mark.parametrize("name", PLAIN)
def test_a_changed_byte_changes_both_alike(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(len(name))
    content = PLAIN[name]
    # the head is where parts are, and PNGs with another checksum than they say are no plain ones
    few = len(content) < 5_000
    places = [*range(min(200 if few else 30, len(content))), *rng.integers(0, len(content), 100 if few else 10)]
    with pillow_warnings():
        for place in places:
            for value in {0, 255, int(rng.integers(256)), content[place] ^ 1}:
                changed = content[:place] + bytes([value]) + content[place + 1 :]
                if name.endswith("png") and place > 8:
                    changed = mended(changed)
                assert same(changed, FORMS[0], monkeypatch), (place, value)


def mended(png: bytes) -> bytes:
    """The PNG with the checksums of its parts, as far as these can be told apart."""
    at, whole = 8, png[:8]
    while at + 12 <= len(png):
        end = at + 8 + int.from_bytes(png[at : at + 4], "big")
        if end + 4 > len(png):
            break
        whole += png[at:end] + struct.pack(">I", zlib.crc32(png[at + 4 : end]))
        at = end + 4
    return whole + png[at:]
