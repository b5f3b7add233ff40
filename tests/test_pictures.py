"""Pictures: pixel values at known places, the order of frames, files that are whole or absent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from legato.errors import Mistake
from legato.files import whole_file
from legato.pictures import (
    MARGIN,
    enlargement,
    font,
    grid,
    near_square,
    save_gif,
    save_png,
    strips,
    to_bytes,
    to_pillow,
)


def ramp(n: int, channels: int = 1, side: int = 4) -> np.ndarray:
    """Image i is flat, of grey level (i + 1) / n."""
    return np.broadcast_to((np.arange(1, n + 1) / n)[:, None, None, None], (n, channels, side, side)).astype(np.float32)


def test_bytes_are_clipped_and_rounded_to_the_nearest_level() -> None:
    images = np.array([-0.5, 0.0, 0.4999 / 255, 0.5001 / 255, 1.0, 7.0]).reshape(6, 1, 1, 1)
    assert to_bytes(images).ravel().tolist() == [0, 0, 0, 1, 255, 255]


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_come_last_and_keep_their_order(channels: int) -> None:
    images = np.arange(channels).reshape(1, channels, 1, 1) / 10 * np.ones((2, 1, 3, 5))
    out = to_bytes(images)
    assert out.shape == (2, 3, 5, channels)
    assert out[1, 2, 4].tolist() == [round(25.5 * c) for c in range(channels)]


def test_other_channel_counts_become_a_mosaic_that_hides_nothing() -> None:
    images = np.arange(5).reshape(1, 5, 1, 1) / 10 * np.ones((1, 1, 2, 3))
    out = to_bytes(images)
    assert out.shape == (1, 4, 9, 1)  # 5 channels as 2 rows of 3 tiles of 2 × 3
    corners = out[0, ::2, ::3, 0]
    assert corners.tolist() == [[0, 26, 51], [76, 102, 255]]  # the empty place is white


@pytest.mark.parametrize(
    "images", [np.zeros((2, 3, 3)), np.zeros((2, 1, 3, 3), np.uint8), np.full((1, 1, 2, 2), np.nan), np.zeros((1, 0, 2, 2))]
)
def test_what_is_no_image_is_refused_in_one_line(images: np.ndarray) -> None:
    with pytest.raises(Mistake) as caught:
        to_bytes(images)
    assert "\n" not in str(caught.value)


def test_transparency_is_laid_on_white() -> None:
    image = np.array([0.0, 0.0, 0.0, 0.25]).reshape(1, 4, 1, 1)
    assert to_pillow(image)[0].getpixel((0, 0)) == (191, 191, 191)


def test_grid_places_every_tile_where_it_says() -> None:
    sheet = np.asarray(grid(ramp(5), columns=3, gap=2, scale=2))
    assert sheet.shape == (18, 28)
    for i in range(5):
        top, left = 10 * (i // 3), 10 * (i % 3)
        assert (sheet[top : top + 8, left : left + 8] == round(255 * (i + 1) / 5)).all()
    assert (sheet[8:10] == 255).all()
    assert (sheet[:, 8:10] == 255).all()


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3), (9, 3), (10, 4), (100, 10)])
def test_near_square_is_never_taller_than_wide(count: int, columns: int) -> None:
    assert near_square(count) == columns
    assert -(-count // columns) <= columns


@pytest.mark.parametrize(("shape", "columns", "scale"), [((1, 28, 28), 8, 3), ((3, 256, 256), 8, 1), ((1, 8, 8), 4, 12)])
def test_small_images_are_enlarged_by_a_whole_number(shape: tuple[int, ...], columns: int, scale: int) -> None:
    assert enlargement(np.zeros((1, *shape)), columns) == scale


def test_strips_have_the_label_left_and_the_images_in_order() -> None:
    sheet = np.asarray(strips([("dimension 1\nKL 2.1 nats", ramp(3)), ("σ", ramp(2))], gap=2, scale=12))
    left = sheet.shape[1] - (3 * 48 + 2 * 2)
    assert left > 2 * MARGIN
    for i in range(3):
        assert sheet[24, left + 50 * i + 24] == round(255 * (i + 1) / 3)
    assert sheet[50 + 24, left + 24] == 128
    assert (sheet[50:, left + 100 :] == 255).all()  # the shorter row ends
    text = sheet[:48, : left - MARGIN]
    assert text.min() < 100
    assert (text[:, 0] == 255).all()
    assert (text[:, -1] == 255).all()


def test_the_font_knows_greek() -> None:
    sigma, unknown = (np.asarray(font(30).getmask(letter)) for letter in ("σ", "\U0010ffff"))
    assert sigma.size != unknown.size or (sigma != unknown).any()


def test_strips_of_unequal_images_are_refused() -> None:
    with pytest.raises(Mistake, match="one shape"):
        strips([("a", ramp(2)), ("b", ramp(2, side=5))])


@pytest.mark.parametrize(("pendulum", "order"), [(False, [0, 1, 2, 3]), (True, [0, 1, 2, 3, 2, 1])])
def test_gif_has_the_frames_in_order(tmp_path: Path, pendulum: bool, order: list[int]) -> None:
    path = save_gif(to_pillow(ramp(4)), tmp_path / "deep" / "path.gif", milliseconds=80, pendulum=pendulum)
    with Image.open(path) as film:
        assert film.n_frames == len(order)  # type: ignore[attr-defined]
        for place, frame in enumerate(order):
            film.seek(place)
            assert film.convert("L").getpixel((0, 0)) == pytest.approx(255 * (frame + 1) / 4, abs=1)
            assert film.info["duration"] == (640 if pendulum and frame in (0, 3) else 80)
            assert film.info["loop"] == 0


def test_png_gives_back_the_same_pixels(tmp_path: Path) -> None:
    image = grid(np.random.default_rng(0).random((4, 3, 5, 5)))
    with Image.open(save_png(image, tmp_path / "new" / "grid.png")) as read:
        assert (np.asarray(read) == np.asarray(image)).all()


def test_a_failing_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")

    def half_written() -> None:
        with whole_file(path) as file:
            file.write(b"new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half_written()
    assert path.read_bytes() == b"old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["picture.png"]


def test_mistakes_in_paths_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "picture.jpg", tmp_path / "file" / "picture.png"):
        with pytest.raises(Mistake, match=r"picture\.(jpg|png)"):
            save_png(grid(ramp(1)), path)
