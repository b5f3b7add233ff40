"""The demo's report: the answer in words and one figure, why, where it is too simple; then each step a figure, numbers last.

Covered: the order of the page and what to look for. No result is written down beforehand: words that compare are in answer.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from legato.data.prepared import Prepared
from legato.demo.answer import Answer, share
from legato.demo.members import LARGE, SMALL, Member
from legato.demo.numbers import TESTED, Row, Yardstick, whitened
from legato.measures.estimate import Estimate
from legato.report import views
from legato.report.html import Section, Table
from legato.report.neighbours import Neighbours, nearest, neighbour_figure
from legato.report.trained.images import SAMPLES as SHOWN
from legato.report.trained.images import sample_figure
from legato.report.trained.subjects import examples_of, shown_rows, stored, views_of
from legato.report.trained.training import loss_figure, sigma_figure
from legato.report.triptych import Wing, triptych
from legato.report.views import LATTICE, MAPPED

SHORT = ("model", "latents", "ELBO", "distortion", "σ", "σ / spread", "N(0, I)", "fitted", "halfway", "same digit")
# images in a strip; digits whose neighbours are shown, and how many of these: as many as a page's width holds
STRIP, ROWS, NEAR = 9, 6, 7
POOL = 5000  # test digits among which neighbours are looked for


def table(rows: Sequence[Row], against: Yardstick) -> Table:
    """The numbers, 95 % intervals as ±."""
    columns = (
        "model",
        "latents",
        "evidence bound (ELBO)",
        "lost in redrawing (distortion)",
        "width of clouds (σ)",
        "σ over the codes' spread",
        "real digits near a sample of N(0, I)",
        "… of a fitted bell curve",
        "halfway pictures among real digits",
        "nearest codes of the same digit",
    )
    caption = (
        f"ELBO and distortion in nats per digit, over {TESTED:,} test digits; σ is the geometric mean over dimensions and "
        f"digits. The rest are shares, in features of a small classifier of digits: of {TESTED:,} test digits, those with one "
        "of as many decoded draws nearer than their fifth nearest test digit; of midpoints between two codes, decoded, those "
        "that lie as near to a test digit; of a digit's ten nearest codes, those of the same digit. Training digits in the "
        f"place of samples give {percent(against.covered)} and, in that of midpoints, {percent(against.among)}; raw pixels "
        f"in the place of codes {percent(against.alike)}. ± is half a 95 % interval over digits or samples; one training seed."
    )
    return Table(columns, [_row(row) for row in rows], caption)


def _row(row: Row) -> tuple[str | int | None, ...]:
    return (
        row.member.title,
        row.member.latent_dim,
        None if row.elbo is None else short(row.elbo),
        short(row.distortion),
        None if row.sigma is None else f"{row.sigma:.2g}",
        None if row.relative is None else f"{row.relative:.2g}",
        percent(row.from_prior),
        percent(row.from_codes),
        percent(row.halfway),
        percent(row.alike),
    )


def opening(members: Sequence[Member], data: Prepared) -> Section:
    """The answer's figure: three maps, three strips of samples, three paths."""
    caption = (
        f"Above, with {SMALL} numbers a code so that it can be drawn: the codes of {MAPPED:,} test digits, coloured by the "
        "digit; the dashed rings are the bell curve N(0, I) at 1, 2 and 3 standard deviations. Below, the same three models "
        f"with {LARGE} numbers a code, which draw better: what they make of the same random numbers, and of a straight line "
        "between the codes of two test digits. Nothing is picked."
    )
    return Section("The answer in one figure", figure=_opening(members, data), caption=caption)


def _opening(members: Sequence[Member], data: Prepared) -> Figure:
    examples, wings = examples_of(data), []
    for small, large in zip(*(views_of(_with(members, dim), data) for dim in (SMALL, LARGE)), strict=True):
        drawn = large.seen(large.subject.space.draw(STRIP, seed=0, origin="prior"))
        wings.append(Wing(views.latent_map(small, examples), [drawn, views.line(large, examples.pair, STRIP)]))
    return triptych(wings, ["Random numbers from N(0, I), decoded", "From one test digit to another, in a straight line"])


def sections(
    members: Sequence[Member], data: Prepared, answer: Answer, numbers: Table, drag: Section | None = None
) -> list[Section]:
    """The report behind its answer, in order; `drag`, a map that answers to the hand, after what each place decodes to."""
    small, large = _with(members, SMALL), _with(members, LARGE)
    wide, examples = views_of(large, data), examples_of(data)
    return [
        *answer.sections(),
        Section(
            "What “semantic” means",
            "Take a digit, and look which others have the codes nearest to its own. Those that show another digit are framed.",
            _neighbours(large, data, answer),
            f"Of {ROWS} test digits, the first of so many kinds in a random order, the {NEAR} nearest among {POOL:,}; {LARGE} "
            f"latents, distances in standard deviations of the codes. Shares below the names are over {TESTED:,} digits.",
        ),
        Section(
            "What each place decodes to",
            "The plane of two latents, decoded at even steps. In the VAE's every place inside the rings should be some digit.",
            views.planes(views_of(small, data), examples),
            f"{LATTICE} × {LATTICE} decoded means: the VAE over ±3, the others over the middle 98 % of their codes.",
        ),
        *([drag] if drag else []),
        Section(
            "Samples",
            "Only the VAE was asked to keep its codes where N(0, I) falls. A fairer question to the others is to draw where "
            "their codes are, from a bell curve fitted to them afterwards; it still covers the holes between them.",
            parts=[
                Section(
                    "From N(0, I)",
                    figure=sample_figure(large, data, "prior", "Real digits"),
                    caption=f"Decoded means of the first {SHOWN} draws of seed 0, {LARGE} latents, the same for every model.",
                ),
                Section(
                    "From a bell curve fitted to the codes",
                    figure=sample_figure(large, data, "codes", "Real digits"),
                    caption=f"Decoded means of {SHOWN} draws of seed 0 from N(mean, covariance) of the training codes.",
                ),
            ],
        ),
        Section(
            "From one digit to another",
            "Straight lines between two codes, decoded. The cross-fade blends pixels instead: smooth, and no digit in between.",
            views.paths(wide, examples, [examples.pair]),
            f"Two test digits of different classes, drawn at random, {LARGE} latents.",
        ),
        Section(
            "Reconstructions",
            "What the noise and the KL term cost: the same digits through each model.",
            views.reconstructions(wide, examples),
            f"Decoded means of the codes of 10 random test digits, {LARGE} latents; the models see pixels drawn 0 or 1.",
        ),
        Section(
            "The noise over training",
            "Without a KL term nothing pays for certainty: σ shrinks, or the codes spread instead, which is the same to a "
            "decoder; the right panel divides one by the other.",
            sigma_figure(large),
            f"Mean σ of each of {LARGE} dimensions over validation digits: geometric mean and range over dimensions.",
        ),
        Section(
            "Training",
            "Validation is always at β = 1 on the averaged weights; an autoencoder has a distortion and no ELBO.",
            loss_figure(large),
            "Loss parts over training, nats per digit.",
        ),
        Section("The numbers", table=numbers),
    ]


def _neighbours(large: Sequence[Member], data: Prepared, answer: Answer) -> Figure:
    rows = shown_rows(data, POOL)
    labels, images, seen = np.asarray(data.dataset.labels)[rows], stored(data, rows), data.seen(rows)
    # the first of each kind in the random order: chosen by no one
    chosen = np.sort(np.unique(labels, return_index=True)[1])[:ROWS]
    shares = {row.member.recipe: row.alike for row in (answer.plain, answer.noisy, answer.vae)}
    sheets = [_sheet(one, images, rows, chosen, labels, seen, shares[one.recipe]) for one in large]
    return neighbour_figure("Digit", seen[chosen], sheets)


def _sheet(
    one: Member,
    images: NDArray[np.generic],
    rows: NDArray[np.int64],
    chosen: NDArray[np.int64],
    labels: NDArray[np.int64],
    seen: NDArray[np.floating],
    alike: Estimate,
) -> Neighbours:
    found = nearest(whitened(one.space, *one.space.encode(images, rows)), chosen, NEAR)
    return Neighbours(
        one.title, seen[found], labels[found] != labels[chosen][:, None], f"{share(alike)} of the ten nearest alike"
    )


def _with(members: Sequence[Member], latent_dim: int) -> list[Member]:
    return [member for member in members if member.latent_dim == latent_dim]


def short(estimate: Estimate) -> str:
    """value ± half its interval, with sensible digits."""
    if estimate.value is None:  # a value that is missing is a dash, never 0
        return "—"
    digits = 1 if abs(estimate.value) >= 20 else 2 if abs(estimate.value) >= 1 else 3
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} ± {(estimate.high - estimate.low) / 2:.{digits}f}".replace("-", "−")


def percent(estimate: Estimate) -> str:
    """A share in per cent ± half its interval."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return short(estimate)
    return f"{100 * estimate.value:.0f} ± {50 * (estimate.high - estimate.low):.0f} %"
