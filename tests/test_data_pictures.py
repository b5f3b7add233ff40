"""Pictures: every conversion against its numbers, said in a note; what cannot be read is skipped, counted and listed."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from legato.data import Dataset, Problem, describe, open_source
from legato.errors import Mistake
from made_sources import COLOUR, GREY, folder_of, npy, opened, png, table


def one(
    tmp_path: Path, picture: Image.Image | bytes, name: str = "a.png", /, save: dict[str, Any] | None = None, **options: Any
) -> Dataset:
    """A source of one picture three times."""
    for i in "123":
        place = tmp_path / "one" / f"{i}{name}"
        place.parent.mkdir(exist_ok=True)
        if isinstance(picture, bytes):
            place.write_bytes(picture)
        else:
            picture.save(place, **(save or {}))
    return opened(tmp_path / "one", **options)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied(tmp_path: Path, name: str, orientation: int) -> None:
    upright = COLOUR[0].transpose(1, 2, 0)
    # How a camera holding the picture so would have stored it (EXIF 2.3, 4.6.4 A).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = one(tmp_path, Image.fromarray(np.ascontiguousarray(stored)), name, save={"exif": exif})
    assert np.array_equal(data.rows[0], COLOUR[0])
    assert data.notes == (("3 pictures turned upright as their EXIF orientation says",) if orientation > 1 else ())


@pytest.mark.parametrize(("background", "colour"), [("white", (255, 255, 255)), ("#102030", (16, 32, 48))])
def test_alpha_is_laid_on_the_background(tmp_path: Path, background: str, colour: tuple[int, ...]) -> None:
    pixels = np.zeros((8, 8, 4), np.uint8)
    pixels[..., :3], pixels[2:4, :, 3], pixels[4:, :, 3] = (200, 100, 0), 51, 255
    data = one(tmp_path, Image.fromarray(pixels), background=background)
    assert data.rows[0, :, 0, 0].tolist() == list(colour)
    assert data.rows[0, :, 7, 0].tolist() == [200, 100, 0]
    blended = [0.2 * f + 0.8 * b for f, b in zip((200, 100, 0), colour, strict=True)]
    assert np.abs(data.rows[0, :, 3, 0] - blended).max() <= 1
    assert data.notes == (f"3 pictures had transparency: laid on {background}",)
    kept = one(tmp_path, Image.fromarray(pixels), channels=4)
    assert np.array_equal(kept.rows[0], pixels.transpose(2, 0, 1))
    assert kept.notes == ()


def test_opaque_alpha_is_dropped_without_a_word(tmp_path: Path) -> None:
    pixels = np.full((8, 8, 4), 255, np.uint8)
    pixels[..., 1] = 7
    data = one(tmp_path, Image.fromarray(pixels))
    assert (data.shape, data.notes) == ((3, 8, 8), ())
    assert (data.rows[:, 1] == 7).all()


def test_a_transparent_palette_and_grey_with_alpha(tmp_path: Path) -> None:
    palette = Image.fromarray(np.tile(np.array([[0, 1]], np.uint8), (8, 4)))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    (tmp_path / "p").mkdir()
    data = one(tmp_path / "p", palette, save={"transparency": 0})
    assert data.rows[0, :, 0, :2].T.tolist() == [[255, 255, 255], [40, 50, 60]]
    assert data.notes == ("3 pictures had transparency: laid on white",)
    grey = np.dstack([np.full((8, 8), 90, np.uint8), np.tile(np.array([0, 255], np.uint8), (8, 4))])
    (tmp_path / "g").mkdir()
    data = one(tmp_path / "g", Image.fromarray(grey))
    assert data.shape == (1, 8, 8)
    assert data.rows[0, 0, 0, :2].tolist() == [255, 90]
    assert one(tmp_path / "g", Image.fromarray(grey), background="red").rows[0, :, 0, 0].tolist() == [255, 0, 0]


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    deep = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    for name in ("a.png", "a.tif", "a.pgm"):
        (tmp_path / name).mkdir()
        data = one(tmp_path / name, Image.fromarray(deep), name)
        assert data.rows.shape == (3, 1, 8, 8)
        assert np.array_equal(data.rows[0, 0], np.rint(deep / 257)), name
        assert data.notes == ("3 pictures with more than 8 bits per channel: reduced to 8",), name


def test_real_valued_pictures_are_scaled_or_refused(tmp_path: Path) -> None:
    unit = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)
    data = one(tmp_path, Image.fromarray(unit), "a.tif")
    assert np.array_equal(data.rows[0, 0], np.rint(unit * 255))
    with pytest.raises(Mistake, match="outside 0 to 1"):
        one(tmp_path, Image.fromarray(unit * 2), "a.tif")


def test_cmyk_and_one_bit(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "b").mkdir()
    data = one(tmp_path / "c", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "a.tif")
    assert data.rows[0, :, 0, 0].tolist() == [255, 0, 0]
    assert data.notes == ("3 pictures in CMYK: converted to RGB",)
    bits = np.random.default_rng(0).random((8, 8)) < 0.5
    data = one(tmp_path / "b", Image.fromarray(bits))
    assert np.array_equal(data.rows[0, 0], bits * 255)
    assert data.notes == ("3 pictures with 1 bit per pixel: widened to 0 and 255",)


@pytest.mark.parametrize("name", ["a.gif", "a.png", "a.webp", "a.tif"])
def test_an_animation_gives_its_first_frame(tmp_path: Path, name: str) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 200, 0), (0, 0, 200))]
    extra = {"lossless": True} if name == "a.webp" else {}
    data = one(tmp_path, frames[0], name, save={"save_all": True, "append_images": frames[1:], **extra})
    assert data.rows[0, :, 4, 4].tolist() == [200, 0, 0]
    assert data.notes == ("3 pictures with several frames: the first was taken",)


def test_channels_follow_the_pictures_or_the_option(tmp_path: Path) -> None:
    palette = Image.fromarray(GREY[0]).convert("P")  # a palette of greys is grey
    folder_of(tmp_path / "g", {"a.png": GREY[0], "b.png": GREY[1], "c.png": palette})
    assert open_source(tmp_path / "g").shape == (1, 9, 8)
    assert opened(tmp_path / "g", channels=3).shape == (3, 9, 8)
    mixed = open_source(folder_of(tmp_path / "g", {"d.png": COLOUR[0, :, :, :8].repeat(2, 1)[:, :9]}))
    assert mixed.shape == (3, 9, 8)
    assert np.array_equal(mixed.rows[0], GREY[0][None].repeat(3, 0))
    grey = opened(tmp_path / "g", channels=1)
    assert grey.notes == ("1 picture in colour: turned grey",)
    weights = mixed.rows[3].astype(float).transpose(1, 2, 0) @ [0.299, 0.587, 0.114]
    assert np.abs(grey.rows[3, 0] - weights).max() <= 0.51


def test_size_crops_the_centre_or_squashes(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(0, 240, 10, dtype=np.uint8), (8, 1))  # 24 wide, 8 high
    folder_of(tmp_path / "r", {f"{i}.png": ramp if i else ramp.T for i in range(3)})
    cut = opened(tmp_path / "r", size=8)
    assert np.array_equal(cut.rows[1, 0], ramp[:, 8:16])  # nothing to resize: exactly the middle
    assert np.array_equal(cut.rows[0, 0], ramp.T[8:16])
    squashed = opened(tmp_path / "r", size=8, crop=False)
    assert np.abs(squashed.rows[1, 0].astype(int) - ramp.reshape(8, 8, 3).mean(2)).max() <= 4
    double = opened(tmp_path / "r", size=16)
    assert double.shape == (1, 16, 16)
    assert abs(float(double.rows[1].mean()) - ramp[:, 8:16].mean()) < 1.5


def test_constant_pictures_stay_constant_at_any_size(tmp_path: Path) -> None:
    for size, name in ((8, "a.png"), (31, "a.jpg"), (64, "a.bmp")):
        (tmp_path / name).mkdir()
        data = one(tmp_path / name, Image.new("L", (1, 70) if size == 8 else (150, 131), 137), name, size=size)
        assert data.shape == (1, size, size)
        assert (data.rows == 137).all()


def test_arrays_are_resized_like_pictures(tmp_path: Path) -> None:
    for pixels in (GREY, COLOUR):
        folder_of(tmp_path / f"{pixels.ndim}", {f"{i}.png": p for i, p in enumerate(pixels)})
        pictures, array = opened(tmp_path / f"{pixels.ndim}", size=12), opened(pixels, size=12)
        assert np.array_equal(pictures.rows, array.rows)
        grey = opened(tmp_path / f"{pixels.ndim}", channels=1), opened(pixels, channels=1)
        assert np.array_equal(grey[0].rows, grey[1].rows)
    assert opened(npy(tmp_path / "a.npy", GREY), channels=1).store is None  # nothing to do


def broken(tmp_path: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(noise).save(jpeg, "JPEG")
    whole = png(noise.transpose(2, 0, 1))
    bomb = bytearray(png(np.zeros((8, 8), np.uint8)))
    bomb[16:24] = struct.pack(">II", 8001, 8000)  # 64,008,000 pixels, said by 70 bytes
    bomb[29:33] = struct.pack(">I", zlib.crc32(bytes(bomb[12:29])))
    huge = bytearray(bomb)
    huge[16:24] = struct.pack(">II", 60_000, 60_000)
    huge[29:33] = struct.pack(">I", zlib.crc32(bytes(huge[12:29])))
    files: dict[str, Any] = {
        "bomb.png": bytes(bomb),
        "cut.jpg": jpeg.getvalue()[:2000],
        "cut.png": whole[: len(whole) // 2],
        "empty.png": b"",
        "huge.png": bytes(huge),
        "text.png": b"not a picture",
        "notes.txt": b"x",
        "more.json": b"{}",
    }
    return folder_of(tmp_path, {**files, **{f"{i}.png": noise.transpose(2, 0, 1) for i in range(3)}})


REASONS = {
    "bomb.png": "absurdly large",
    "cut.jpg": "truncated",
    "cut.png": "truncated",
    "empty.png": "empty file",
    "huge.png": "absurdly large",
    "text.png": "no picture of a known format",
}


def test_what_cannot_be_read_is_skipped_and_listed(tmp_path: Path) -> None:
    source = broken(tmp_path / "p")
    for data in (open_source(source), open_source(source)):  # built, and from the store
        assert list(data.ids) == ["0.png", "1.png", "2.png"]
        assert [problem.id for problem in data.problems] == list(REASONS)
        assert all(reason in problem.reason for problem, reason in zip(data.problems, REASONS.values(), strict=True))
        assert all(str(tmp_path) not in problem.reason for problem in data.problems)
        assert data.notes == ("2 other files passed over (.json, .txt)",)
        assert len(describe(data)["problems"]) == 6  # type: ignore[arg-type]
    assert open_source(source).problems[3] == Problem("empty.png", "an empty file, 0 bytes")


def test_strict_stops_at_the_first(tmp_path: Path) -> None:
    source = broken(tmp_path / "p")
    for _ in range(2):
        with pytest.raises(Mistake, match=r"^`bomb\.png` cannot be read: absurdly large.*--strict"):
            opened(source, strict=True)
        open_source(source)  # the second time the store knows of them


def test_strange_exif_costs_no_picture(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    data = one(tmp_path, Image.fromarray(GREY[0]), "a.jpg", save={"exif": b"Exif\0\0II*\0garbage!!", "quality": 95})
    assert (len(data), data.problems) == (3, ())


def test_parquet_skips_missing_pictures(tmp_path: Path) -> None:
    cells = [png(GREY[0]), None, png(GREY[1]), b"x", png(GREY[2])]
    data = open_source(table(tmp_path / "a.parquet", {"image": cells}))
    assert list(data.ids) == ["0", "2", "4"]
    assert [problem.id for problem in data.problems] == ["1", "3"]
    assert np.array_equal(data.rows, GREY[:3, None])


def test_a_phones_photo_with_a_preview_is_no_animation(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((200, 0, 0), (0, 200, 0))]
    data = one(tmp_path, frames[0], "a.jpg", save={"format": "MPO", "save_all": True, "append_images": frames[1:]})
    assert np.abs(data.rows[0, :, 4, 4].astype(int) - [200, 0, 0]).max() <= 2
    assert data.notes == ()


def test_sixteen_bit_colour_keeps_its_high_bytes_and_is_said(tmp_path: Path) -> None:
    deep = np.random.default_rng(0).integers(0, 65536, (8, 8, 3)).astype(">u2")

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    lines = b"".join(b"\0" + line.tobytes() for line in deep)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
    encoded = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(lines)) + chunk(b"IEND", b"")
    data = one(tmp_path, encoded)
    assert np.array_equal(data.rows[0].transpose(1, 2, 0), deep >> 8)
    assert data.notes == ("3 pictures with more than 8 bits per channel: reduced to 8",)
