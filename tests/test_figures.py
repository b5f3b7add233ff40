"""Figures: what is drawn has the sizes and places that it claims, and nothing is cut off."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from matplotlib.collections import EllipseCollection, PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from matplotlib.text import Text

from legato.errors import Mistake
from legato.report import style
from legato.report.curves import Curve, SigmaSeries, TrainingSeries, sigma_curves, training_curves
from legato.report.labels import spread
from legato.report.maps import CLOUDS, DecodedPlane, LatentMap, decoded_planes, latent_maps
from legato.report.panels import ImageRow, SamplePanel, interpolation_panel, reconstruction_panel, sample_panels

RNG = np.random.default_rng(0)
LONG = "A sentence of one's own with σ learned, 500 pseudo-inputs and no KL term whatsoever"


def vae(n: int = 600, sigma: float = 0.1, **more: object) -> LatentMap:
    rng = np.random.default_rng(n)
    widths = sigma * np.exp(0.3 * rng.normal(size=(n, 2)))
    return LatentMap("VAE", rng.normal(size=(n, 2)), widths, rng.integers(0, 10, n), prior=True, **more)  # type: ignore[arg-type]


def autoencoder(n: int = 600) -> LatentMap:
    rng = np.random.default_rng(n)
    return LatentMap("Autoencoder", 30 * rng.normal(size=(n, 2)) + 50, None, rng.integers(0, 10, n))


def images(n: int, channels: int = 1, side: int = 28) -> np.ndarray:
    return np.random.default_rng(n).random((n, channels, side, side))


def words(figure: Figure) -> list[Text]:
    """All texts that are drawn; Matplotlib keeps the labels of ticks beyond an axis, but does not draw them."""
    beyond = set()
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            beyond |= {id(tick.label1) for tick in axis.get_major_ticks() if not low <= tick.get_loc() <= high}
    return [text for text in figure.findobj(Text) if text.get_visible() and text.get_text().strip() and id(text) not in beyond]


def assert_nothing_is_cut_off(figure: Figure) -> None:
    """Every word lies on the figure."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    page = figure.bbox
    shown = words(figure)
    boxes = [text.get_window_extent(renderer) for text in shown]
    assert shown
    for text, box in zip(shown, boxes, strict=True):
        inside = box.x0 >= -0.5 and box.y0 >= -0.5 and box.x1 <= page.x1 + 0.5 and box.y1 <= page.y1 + 0.5
        assert inside, f"{text.get_text()!r} at {box} leaves {page}"
    tight = figure.get_tightbbox(renderer)
    width, height = figure.get_size_inches()
    assert tight.x0 > -0.02
    assert tight.y0 > -0.02
    assert tight.x1 < width + 0.02
    assert tight.y1 < height + 0.02


def assert_words_do_not_overlap(figure: Figure) -> None:
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    for one, other in itertools.combinations(words(figure), 2):
        a, b = one.get_window_extent(renderer), other.get_window_extent(renderer)
        wide, high = min(a.x1, b.x1) - max(a.x0, b.x0), min(a.y1, b.y1) - max(a.y0, b.y0)
        assert wide < 2 or high < 2, f"{one.get_text()!r} covers {other.get_text()!r}"


def ellipses(figure: Figure) -> EllipseCollection:
    (found,) = figure.findobj(EllipseCollection)
    return found


# Maps


def test_an_ellipse_is_two_sigma_wide_in_the_axes_own_units() -> None:
    panel = vae(300)
    figure = latent_maps([panel])
    figure.canvas.draw()
    clouds = ellipses(figure)
    assert clouds._units == "xy"  # type: ignore[attr-defined]
    order = [int(np.flatnonzero((panel.mu == place).all(1))[0]) for place in np.asarray(clouds.get_offsets())]
    assert panel.sigma is not None
    assert np.allclose(clouds.get_widths(), 2 * panel.sigma[order, 0])
    assert np.allclose(clouds.get_heights(), 2 * panel.sigma[order, 1])
    # On paper too: the pixels that an ellipse takes are those of 2σ on the axes beneath it.
    axes = figure.axes[0]
    per_unit = axes.bbox.width / np.ptp(axes.get_xlim())
    circle = clouds.get_transforms()[0] @ np.array([[1.0, -1.0], [0.0, 0.0], [1.0, 1.0]])  # the unit circle's ends
    ends = clouds.get_transform().transform(circle[:2].T)
    assert np.ptp(ends[:, 0]) == pytest.approx(2 * panel.sigma[order[0], 0] * per_unit, rel=1e-6)


def test_every_code_is_drawn_and_a_seeded_subset_of_clouds() -> None:
    figures = [latent_maps([vae(2000)]) for _ in range(2)]
    (dots,) = figures[0].findobj(PathCollection)
    assert len(dots.get_offsets()) == 2000
    first, second = (np.asarray(ellipses(figure).get_offsets()) for figure in figures)
    assert len(first) == CLOUDS
    assert (first == second).all()


@pytest.mark.parametrize("panel", [vae(), vae(50, sigma=2.5), autoencoder(), LatentMap("one code", np.ones((1, 2)))])
def test_limits_hold_all_codes_clouds_and_rings_and_the_axes_are_square(panel: LatentMap) -> None:
    figure = latent_maps([panel])
    figure.canvas.draw()
    (axes,) = figure.axes
    low, high = np.array([axes.get_xlim(), axes.get_ylim()]).T
    corners = [panel.mu]
    for cloud in figure.findobj(EllipseCollection):
        half = np.stack([cloud.get_widths(), cloud.get_heights()], -1) / 2
        corners += [np.asarray(cloud.get_offsets()) - half, np.asarray(cloud.get_offsets()) + half]
    if panel.prior:
        corners.append(np.array([[-3.0, -3.0], [3.0, 3.0]]))
    for points in corners:
        assert (points > low).all()
        assert (points < high).all()
    assert high[0] - low[0] == pytest.approx(high[1] - low[1])
    assert axes.bbox.width == pytest.approx(axes.bbox.height, rel=1e-3)


def test_rings_stand_at_one_two_and_three_sigma_only_where_there_is_a_prior() -> None:
    assert sorted(circle.radius for circle in latent_maps([vae()]).findobj(Circle)) == [1, 2, 3]
    assert not latent_maps([autoencoder()]).findobj(Circle)


def words_of(figure: Figure) -> str:
    return " ".join(text.get_text().replace("\n", " ") for text in figure.findobj(Text))


def test_clouds_below_a_dot_are_said_not_drawn() -> None:
    figure = latent_maps([vae(500, sigma=0.001)])
    assert re.search(r"σ = 0\.0009\d+ \(geometric mean\): clouds smaller than a dot", words_of(figure))
    assert not figure.findobj(EllipseCollection)


def test_a_panel_says_how_many_codes_it_shows_and_its_scale() -> None:
    words = words_of(latent_maps([vae(600)]))
    assert "600 codes" in words
    assert "units across" in words
    assert f"{CLOUDS} clouds of 1σ" in words
    assert "z0 (latent units)" in words


@pytest.mark.parametrize("count", range(1, 7))
def test_one_to_six_maps_lose_no_word(count: int) -> None:
    figure = latent_maps(
        [LatentMap(LONG, 30 * RNG.normal(size=(90, 2))), vae(), autoencoder(), vae(9), vae(40), vae(80)][:count]
    )
    assert_nothing_is_cut_off(figure)
    assert len(figure.axes) == count


def test_labels_may_be_words_missing_or_too_many() -> None:
    mu = RNG.normal(size=(400, 2))
    words = latent_maps([LatentMap("words", mu, labels=np.array(["cat", "dog"] * 200))])
    assert {"cat", "dog"} <= {text.get_text() for text in words.findobj(Text)}
    named = latent_maps([LatentMap("named", mu, labels=np.arange(400) % 2, label_names=["left", "right"])])
    assert {"left", "right"} <= {text.get_text() for text in named.findobj(Text)}
    partly = latent_maps([LatentMap("partly", mu, labels=np.where(np.arange(400) < 200, -1, 3))])
    assert "-1" not in {text.get_text() for text in partly.findobj(Text)}
    many = latent_maps([LatentMap("many", mu, labels=np.arange(400) % 25)])
    assert "17 classes grey" in words_of(many)
    for figure in (words, named, partly, many):
        assert_nothing_is_cut_off(figure)


def test_codes_that_are_not_numbers_are_a_mistake() -> None:
    with pytest.raises(Mistake, match="finite `mu`"):
        latent_maps([LatentMap("broken", np.full((3, 2), np.nan))])
    with pytest.raises(Mistake, match="1 to 6"):
        latent_maps([])


@pytest.mark.parametrize("classes", range(1, 30))
def test_no_hue_stands_for_two_classes(classes: int) -> None:
    chosen, grey = style.class_colours(np.arange(classes).repeat(3))
    colours = [colour for _, colour in chosen]
    assert len(set(colours)) == len(colours)
    assert len(chosen) + grey == classes
    assert style.OTHER not in colours


def test_names_are_moved_apart_and_stay_inside() -> None:
    places, sizes = np.full((10, 2), 0.98), np.full((10, 2), 0.07)
    moved = spread(places, sizes)
    gaps = np.abs(moved[:, None] - moved[None])
    gaps[np.arange(10), np.arange(10)] = 1
    assert (gaps.max(-1) > 0.07 - 1e-3).all()
    assert moved.min() >= 0.035 - 1e-9
    assert moved.max() <= 0.965 + 1e-9


def test_a_decoded_image_stands_where_it_was_decoded() -> None:
    lattice = np.zeros((3, 5, 1, 4, 4))
    lattice[0, 4] = 1.0  # the lowest row, rightmost: z0 = 2, z1 = −1
    figure = decoded_planes([DecodedPlane("VAE", lattice, (-2, 2, -1, 1))])
    (shown,) = figure.axes[0].images
    assert tuple(shown.get_extent()) == (-2.5, 2.5, -1.5, 1.5)
    sheet = np.asarray(shown.get_array())
    assert sheet.shape == (12, 20)
    assert (sheet[8:, 16:] == 255).all()
    assert sheet.sum() == 255 * 16
    assert_nothing_is_cut_off(figure)


# Sheets of images


@pytest.mark.parametrize(("channels", "side"), [(1, 28), (3, 32), (3, 8), (3, 200), (2, 16)])
def test_sheets_take_any_image(channels: int, side: int) -> None:
    some = images(12, channels, side)
    for figure in (
        sample_panels([SamplePanel(LONG, some, "z ~ N(0, I)"), SamplePanel("real", some[:1])]),
        reconstruction_panel(some, [ImageRow("VAE", some, "80 nats per image"), ImageRow(LONG, some)]),
        interpolation_panel([ImageRow("VAE", some, "spherical"), ImageRow("pixel cross-fade", some)]),
    ):
        assert_nothing_is_cut_off(figure)
        assert_words_do_not_overlap(figure)


def test_images_are_shown_pixel_on_pixel() -> None:
    frames = np.round(images(3)) * 0.6
    figure = interpolation_panel([ImageRow("VAE", frames)])
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., 0]  # type: ignore[attr-defined]
    scale = int(figure.axes[0].bbox.width) // 28
    for axes, frame in zip(figure.axes, frames, strict=True):
        left, top = round(axes.bbox.x0), round(figure.bbox.height - axes.bbox.y1)
        shown = drawn[top : top + 28 * scale, left : left + 28 * scale]
        assert (shown == np.rint(frame[0] * 255).repeat(scale, 0).repeat(scale, 1)).all()


def test_alpha_stands_below_its_image() -> None:
    figure = interpolation_panel([ImageRow("VAE", images(5)), ImageRow("pixel cross-fade", images(5))])
    ticks = {text.get_text(): text.get_position()[0] for text in figure.texts}
    centres = [(axes.get_position().x0 + axes.get_position().x1) / 2 for axes in figure.axes[:5]]
    assert [ticks[word] for word in ("0", "0.25", "0.5", "0.75", "1")] == pytest.approx(centres, abs=0.003)


def test_rows_of_unequal_length_are_a_mistake() -> None:
    with pytest.raises(Mistake, match="equally many"):
        interpolation_panel([ImageRow("a", images(3)), ImageRow("b", images(4))])
    with pytest.raises(Mistake, match="3 originals"):
        reconstruction_panel(images(3), [ImageRow("b", images(4))])


# Curves


def test_sigma_is_a_geometric_mean_with_the_range_of_its_dimensions() -> None:
    steps, sigma = np.array([0, 10, 100]), np.array([[1.0, 1.0], [0.1, 0.4], [0.01, 0.16]])
    figure = sigma_curves([SigmaSeries("VAE", steps, sigma, np.full((3, 2), 2.0))])
    absolute, relative = figure.axes
    assert np.asarray(absolute.lines[0].get_xdata()).tolist() == [10, 100]  # step 0 has no place on a logarithmic axis
    assert np.asarray(absolute.lines[0].get_ydata()) == pytest.approx([0.2, 0.04])
    assert np.asarray(relative.lines[0].get_ydata()) == pytest.approx([0.1, 0.02])
    band = absolute.collections[0].get_paths()[0].vertices
    assert (np.min(band[:, 1]), np.max(band[:, 1])) == pytest.approx((0.01, 0.4))
    assert absolute.get_xscale() == absolute.get_yscale() == relative.get_yscale() == "log"


@pytest.mark.parametrize("count", range(1, 7))
def test_curves_of_one_to_six_runs_lose_no_word(count: int) -> None:
    steps = np.geomspace(1, 10_000, 12).astype(int)
    curve = Curve(steps, 500 / steps + 80.0)
    parts = {"loss": curve, "distortion": curve, "rate": Curve(steps, np.log(steps))}
    runs = [TrainingSeries(f"{LONG[: 12 * i + 4]} {i}", parts, {"elbo": Curve(steps, -curve.values)}) for i in range(count)]
    widths = [SigmaSeries(run.title, steps, np.exp(RNG.normal(size=(12, 3)))) for run in runs]
    for figure in (training_curves(runs), sigma_curves(widths)):
        assert_nothing_is_cut_off(figure)
        assert_words_do_not_overlap(figure)


def test_training_is_faint_and_validation_strong_in_nats_per_example() -> None:
    run = TrainingSeries("VAE", {"rate": Curve(np.arange(1, 9), np.ones(8))}, {"rate": Curve(np.array([4, 8]), np.ones(2))})
    (axes,) = training_curves([run]).axes
    faint, strong = axes.lines
    assert axes.get_ylabel() == "nats per example"
    assert (faint.get_alpha() or 1) < 0.5
    assert strong.get_alpha() is None
    assert strong.get_linewidth() > faint.get_linewidth()


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0132, "0.0132"), (-3.0, "−3"), (12345.0, "12,345"), (0.25, "0.25"), (0, "0"), (1e-5, "1e−5"), (2e6, "2e6")],
)
def test_numbers_are_written_as_people_write_them(value: float, text: str) -> None:
    assert style.plain(value) == text
