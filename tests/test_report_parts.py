"""The parts of the claims' report: what is drawn is where the numbers are, no word is cut off, badges need no colour."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.collections import LineCollection
from matplotlib.contour import QuadContourSet
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.quiver import Quiver

from legato.claims import Verdict
from legato.errors import Mistake
from legato.measures.estimate import Estimate, absent
from legato.measures.interval import bracketed
from legato.report.fields import ARROWS, Pull, kl_field
from legato.report.forest import EstimateRow, Reference, estimates_plot
from legato.report.holes import HolesPanel, holes_map
from legato.report.html import Badge, Section, Table, write_report
from legato.report.perturbation import PerturbationCurve, perturbation_curves
from legato.report.tradeoff import RateCurve, RatePoint, rate_distortion, secants
from legato.report.verdicts import Judged, verdict_badge, verdict_table
from test_figures import assert_nothing_is_cut_off, assert_words_do_not_overlap, words


def estimate(value: float, half: float | None = None) -> Estimate:
    ends = (None, None) if half is None else (value - half, value + half)
    return Estimate(value, *ends, 100, "nats", "made up")


def codes(n: int = 300) -> np.ndarray:
    return np.random.default_rng(n).normal(size=(n, 2))


def texts(figure: Figure) -> str:
    return "\n".join(text.get_text() for text in words(figure))


# Arrows


def test_arrows_start_at_the_codes_point_downhill_and_share_one_scale() -> None:
    mu = codes()
    figure = kl_field(mu, [Pull("The KL pulls", -mu), Pull("The reconstruction pulls", 2 * mu)])
    first, second = (axes.findobj(Quiver)[0] for axes in figure.axes)
    starts = np.asarray(first.get_offsets())
    assert len(starts) == ARROWS
    one, two = (np.stack([each.U, each.V], -1) for each in (first, second))
    cross = one[:, 0] * starts[:, 1] - one[:, 1] * starts[:, 0]
    assert np.allclose(cross, 0, atol=1e-9)
    assert ((one * starts).sum(1) < 0).all()
    assert ((two * starts).sum(1) > 0).all()
    lengths = np.linalg.norm([one, two], axis=-1)
    short = lengths[1] < lengths.max() * (1 - 1e-9)  # those that were not cut
    assert short.sum() > ARROWS // 2
    assert np.allclose(lengths[1][short], 2 * lengths[0][short])


def test_an_arrow_of_the_key_is_as_long_as_it_says() -> None:
    mu = codes()
    figure = kl_field(mu, [Pull("The KL pulls", -mu)])
    quiver = figure.findobj(Quiver)[0]
    (key,) = [each for each in figure.artists if hasattr(each, "get_arrowstyle")]
    start, end = key._posA_posB  # type: ignore[attr-defined]
    inches = (end[0] - start[0]) * figure.get_figwidth()
    said = float(re.search(r"([\d.]+) nats per latent unit", texts(figure))[1])  # type: ignore[index]
    drawn = np.hypot(quiver.U, quiver.V) / np.linalg.norm(np.asarray(quiver.get_offsets()), axis=1)  # data units per nat
    axes = figure.axes[0]
    per_unit = axes.bbox.width / figure.dpi / np.ptp(axes.get_xlim())
    assert inches == pytest.approx(said * np.max(drawn) * per_unit, rel=1e-6)


def test_arrows_end_inside_the_panel_and_cut_ones_are_counted() -> None:
    mu = codes()
    steep = mu.copy()
    steep[:30] *= 50
    figure = kl_field(mu, [Pull("Steep", steep, "one hundred steps")])
    quiver = figure.findobj(Quiver)[0]
    ends = np.asarray(quiver.get_offsets()) + np.stack([quiver.U, quiver.V], -1)
    assert np.abs(ends).max() < figure.axes[0].get_xlim()[1]
    cut = re.search(r"(\d+) of 220 arrows cut", texts(figure))
    assert cut is not None
    assert int(cut[1]) == 11  # the longest twentieth
    assert_nothing_is_cut_off(figure)


def test_a_field_refuses_what_has_no_place() -> None:
    with pytest.raises(Mistake, match="shape"):
        kl_field(codes(5), [Pull("KL", codes(4))])
    with pytest.raises(Mistake, match="finite"):
        kl_field(codes(5), [Pull("KL", np.full((5, 2), np.nan))])


# Holes


def holes(threshold: float = -4.0) -> HolesPanel:
    side = np.linspace(-4, 4, 41)
    x, y = np.meshgrid(side, side)
    return HolesPanel("VAE", -(x**2 + y**2) / 2, (-4, 4, -4, 4), threshold, codes(), note="12 % of the prior falls into holes")


def test_the_holes_contour_lies_where_the_density_is_the_threshold() -> None:
    figure = holes_map([holes()])
    line = next(each for each in figure.findobj(QuadContourSet) if not each.filled)
    points = np.concatenate([path.vertices for path in line.get_paths()])
    assert np.allclose(np.linalg.norm(points, axis=1), np.sqrt(8), atol=0.02)


def test_the_ground_stands_where_it_was_measured() -> None:
    figure = holes_map([holes()])
    image = figure.axes[0].findobj(AxesImage)[0]
    assert image.get_extent() == pytest.approx([-4.1, 4.1, -4.1, 4.1])
    assert image.get_array().shape == (41, 41)
    assert float(image.get_array()[20, 20]) == 0.0  # the middle, the likeliest place


@pytest.mark.parametrize("threshold", [-100.0, 5.0])
def test_a_plane_that_is_no_hole_or_all_hole_has_no_contour(threshold: float) -> None:
    figure = holes_map([holes(threshold), holes()])
    assert len([each for each in figure.axes[0].findobj(QuadContourSet) if not each.filled]) == 0
    assert bool(figure.axes[0].findobj(QuadContourSet)) == (threshold > 0)
    assert_nothing_is_cut_off(figure)


def test_places_of_density_zero_are_holes_and_nan_is_refused() -> None:
    panel = holes()
    empty = np.where(panel.log_q < -8, -np.inf, panel.log_q)
    assert_nothing_is_cut_off(holes_map([HolesPanel("VAE", empty, panel.extent, -4, panel.codes)]))
    with pytest.raises(Mistake, match="lattice"):
        holes_map([HolesPanel("VAE", np.full((3, 3), np.nan), panel.extent, -4, panel.codes)])


# Curves


def curve(rate: float, title: str = "VAE", r_half: Estimate | None = None) -> PerturbationCurve:
    r = np.linspace(0, 4, 9)
    values = 1 - np.exp(-rate * r)
    return PerturbationCurve(title, r, values, values - 0.02, values + 0.02, r_half)


def test_r_half_is_marked_where_it_is_and_told_with_its_interval() -> None:
    figure = perturbation_curves([curve(0.5, "VAE", estimate(1.39, 0.05)), curve(0.1, "Flat", absent("C stays below ½"))])
    (axes,) = figure.axes
    marks = [line for line in axes.lines if line.get_marker() == "|"]
    assert [list(line.get_xdata()) for line in marks] == [[1.39]]
    (bar,) = [each for each in axes.findobj(LineCollection) if len(each.get_segments())]
    assert np.allclose(bar.get_segments()[0], [[1.34, 0.5], [1.44, 0.5]])
    told = texts(figure)
    assert "VAE: r₅₀ = 1.390 [1.340, 1.440]" in told
    assert "no r₅₀ (C stays below ½)" in told
    assert_nothing_is_cut_off(figure)


def test_a_curve_of_another_length_than_its_steps_is_refused() -> None:
    with pytest.raises(Mistake, match="shape"):
        perturbation_curves([PerturbationCurve("VAE", np.arange(3.0), np.arange(4.0))])


def points(offset: float = 0.0) -> list[RatePoint]:
    """The curve D = 64/R, on which dD/dR = −64/R² = −β at R = 8/√β."""
    betas = (0.01, 0.1, 0.3, 1, 3, 10)
    return [RatePoint(b, estimate(8 / b**0.5, 0.3), estimate(8 * b**0.5 + offset, 0.5)) for b in betas]


def test_on_the_optimal_curve_every_secant_lies_between_its_betas() -> None:
    found = secants(points()[::-1])
    assert [(one.low, one.high) for one in found] == [(0.01, 0.1), (0.1, 0.3), (0.3, 1), (1, 3), (3, 10)]
    assert all(one.expected for one in found)
    # 64/R between R₁ and R₂ has the secant −64/(R₁R₂) = −√(β₁β₂).
    assert [-one.slope for one in found if one.slope] == pytest.approx([(one.low * one.high) ** 0.5 for one in found])


def test_a_rate_that_does_not_move_has_no_slope_and_a_wrong_one_is_hollow() -> None:
    same = [RatePoint(1, estimate(5), estimate(7)), RatePoint(2, estimate(5), estimate(9))]
    assert secants(same)[0].slope is None
    steep = [RatePoint(1, estimate(5), estimate(0)), RatePoint(2, estimate(4), estimate(9))]
    assert not secants(steep)[0].expected
    figure = rate_distortion([RateCurve("Training", steep)])
    (dot,) = [line for line in figure.axes[1].lines if line.get_marker() == "o"]
    assert dot.get_markerfacecolor() == "white"


def test_a_rate_distortion_figure_names_points_slopes_and_splits() -> None:
    slopes = [estimate(0.03, 0.01)] * 5
    figure = rate_distortion([RateCurve("Training images", points(), slopes), RateCurve("Test images", points(4))])
    told = texts(figure)
    for words_ in ("β = 0.01", "β = 10", "0.0316", "Training images", "Test images"):
        assert words_ in told
    assert [label.get_text() for label in figure.axes[2].get_yticklabels()] == ["0.01–0.1", "0.1–0.3", "0.3–1", "1–3", "3–10"]
    limits = {axes.get_ylim() for axes in figure.axes[:2]}
    assert len(limits) == 1
    assert_nothing_is_cut_off(figure)
    assert_words_do_not_overlap(figure)


def test_a_curve_needs_two_betas_and_a_rate() -> None:
    with pytest.raises(Mistake, match="two or more"):
        rate_distortion([RateCurve("Training", points()[:1])])
    with pytest.raises(Mistake, match="no density"):
        rate_distortion([RateCurve("Training", [points()[0], RatePoint(2, absent("no density"), estimate(1))])])


# Estimates


def rows() -> list[EstimateRow]:
    return [
        EstimateRow("Autoencoder", estimate(35, 0.8), estimate(34, 2.2), (33.0, 35.0)),
        EstimateRow("VAE with an uncommonly long name, σ fixed, no KL", estimate(5, 0.2), estimate(5.1, 0.1)),
        EstimateRow("PCA", absent("a point mass has no density: an autoencoder has a distortion, and neither rate nor nll")),
    ]


def test_an_estimates_dot_is_over_seeds_and_its_two_intervals_are_apart() -> None:
    figure = estimates_plot(rows(), "Fréchet distance", "Samples", [Reference("floor", 4.2), Reference("mean image", 30)])
    (axes,) = figure.axes
    drawn = {(line.get_linewidth(), tuple(line.get_xdata())) for line in axes.lines if len(set(line.get_ydata())) == 1}
    thick, thin = max(width for width, _ in drawn), 1.3
    assert (thick, (31.8, 36.2)) in drawn
    assert (thin, (34.2, 35.8)) in drawn
    assert [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == "o"] == [34, 5.1]
    told = texts(figure)
    assert "34.0 [31.8, 36.2]" in told
    assert "a point mass has no density" in told
    assert "mean image, 30" in told
    assert_nothing_is_cut_off(figure)
    assert_words_do_not_overlap(figure)


def test_a_logarithmic_chart_refuses_zero_and_keeps_an_end_below_it() -> None:
    figure = estimates_plot([EstimateRow("VAE", estimate(1, 2)), EstimateRow("AE", estimate(50, 4))], "FD", log=True)
    ends = [line.get_xdata()[0] for line in figure.axes[0].lines if line.get_marker() == "|"]
    assert ends[0] == figure.axes[0].get_xlim()[0]
    assert_nothing_is_cut_off(figure)
    with pytest.raises(Mistake, match="above 0"):
        estimates_plot([EstimateRow("VAE", estimate(-1, 2))], "FD", log=True)
    with pytest.raises(Mistake, match="one row"):
        estimates_plot([], "FD")


@pytest.mark.parametrize(
    ("found", "written"),
    [
        (estimate(1.234, 0.1), "1.23 [1.13, 1.33]"),
        (estimate(-1234.5, 30), "−1,234 [−1,264, −1,204]"),
        (estimate(0.00123), "0.00123"),
        (estimate(0.0, 0.0), "0 [0, 0]"),
        (Estimate(15, 14, 15, 9, "dimensions", "a count"), "15 [14, 15]"),
        (estimate(5.1, 0.1), "5.10 [5.00, 5.20]"),
        (estimate(-0.00001, 0.5), "0.00 [−0.50, 0.50]"),
        (absent("why"), "–"),
    ],
)
def test_an_estimate_is_written_with_the_digits_that_its_interval_leaves(found: Estimate, written: str) -> None:
    assert bracketed(found) == written


# Verdicts


class Words(HTMLParser):
    """The page as it is read without a style sheet."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.spans: list[str | None] = []
        self.parts: list[str] = []
        self.feed(source[source.index("<body>") :])

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "span" and (name := dict(attrs).get("class")):
            self.spans.append(name)

    def handle_data(self, data: str) -> None:
        self.parts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.parts).split())


def test_a_verdict_is_read_with_and_without_its_colour(tmp_path: Path) -> None:
    judged = [Judged(i, f"Sentence {i}.", verdict, "1.2 [1.1, 1.3]") for i, verdict in enumerate(Verdict, 1)]
    write_report(tmp_path / "r.html", "Claims", "", [Section("Verdicts", table=verdict_table(judged))])
    page = Words((tmp_path / "r.html").read_text("utf-8"))
    assert page.spans == ["badge good", "badge part", "badge bad", "badge unknown"]
    for shown in ("✓ holds 1.2", "◐ holds in part", "✗ does not hold here", "? cannot tell"):
        assert shown in page.text
    assert len({badge.mark for badge in map(verdict_badge, Verdict)}) == 4
    with pytest.raises(ValueError, match="maybe"):
        verdict_badge("maybe")


def test_a_badge_is_escaped_and_a_section_has_parts_one_deep(tmp_path: Path) -> None:
    parts = [Section("A part", "Words.", table=Table(["a", "b"], [["x", Badge("<b>", "bad")]])), Section("Another")]
    write_report(tmp_path / "r.html", "Parts", "", [Section("Whole", parts=parts), Section("Whole 1")])
    source = (tmp_path / "r.html").read_text("utf-8")
    assert "&lt;b&gt;" in source
    assert "<b>" not in source
    assert re.findall(r'<h3 id="(.*?)">(.*?)</h3>', source) == [("whole--1", "A part"), ("whole--2", "Another")]
    anchors = re.findall(r' id="(.*?)"', source)
    assert len(anchors) == len(set(anchors))
    with pytest.raises(Mistake, match="parts of its own"):
        write_report(tmp_path / "r.html", "Parts", "", [Section("Whole", parts=[Section("A part", parts=parts)])])
    with pytest.raises(Mistake, match="caption"):
        write_report(tmp_path / "r.html", "", "", [Section("Whole", parts=[Section("A part", figure=holes_map([holes()]))])])
