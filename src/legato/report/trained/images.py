"""Images that runs make: samples, reconstructions, paths, traversals; the same draws and the same images for all."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from legato.codes import name_of
from legato.data.prepared import Prepared
from legato.latent_space import Origin
from legato.report.panels import (
    ImageRow,
    SamplePanel,
    cross_fade,
    interpolation_panel,
    reconstruction_panel,
    sample_panels,
    traversal_panel,
)
from legato.report.trained.subjects import Subject, shown_rows, stored

SAMPLES, RECONSTRUCTED, STEPS, TRAVERSED, SPAN = 36, 10, 11, 10, 3.0
CANDIDATES = 1000  # test images among which one of another class is looked for


def sample_figure(subjects: Sequence[Subject], data: Prepared, origin: Origin, real: str = "Real images") -> Figure:
    """The first draws of seed 0 through every model, and a sample of real test images beside them."""
    originals = data.seen(shown_rows(data, SAMPLES))
    drawn = [SamplePanel(each.title, each.space.seen(each.space.draw(SAMPLES, seed=0, origin=origin))) for each in subjects]
    return sample_panels([*drawn, SamplePanel(real, originals)])


def reconstruction_figure(subjects: Sequence[Subject], data: Prepared) -> Figure:
    """Some test images above each model's reconstructions of them."""
    rows = shown_rows(data, RECONSTRUCTED)
    images = stored(data, rows)
    lines = [ImageRow(each.title, each.space.seen(each.space.encode(images, rows)[0])) for each in subjects]
    return reconstruction_panel(data.seen(rows), lines)


def interpolation_figure(subjects: Sequence[Subject], data: Prepared) -> Figure:
    """Straight lines between the codes of two test images, decoded, and the cross-fade of their pixels."""
    rows = two_rows(data)
    images = stored(data, rows)
    lines = []
    for each in subjects:
        path = each.space.interpolate(each.space.encode(images, rows)[0], steps=STEPS)
        lines.append(ImageRow(each.title, each.space.seen(path)))
    return interpolation_panel([*lines, cross_fade(data.seen(rows), STEPS)])


def traversal_figure(subject: Subject) -> Figure:
    """A row for each of the most informative dimensions, moved over the training codes' mean ± 3 standard deviations."""
    space = subject.space
    dims, codes = space.traverse(dims=space.ranking()[:TRAVERSED], steps=STEPS, span=SPAN)
    rows = [ImageRow(name_of(dim), space.seen(line)) for dim, line in zip(dims, codes, strict=True)]
    return traversal_panel(rows, np.linspace(-SPAN, SPAN, STEPS))


def two_rows(data: Prepared) -> NDArray[np.int64]:
    """The first of the shown test images, and the first of another class, or the second where no class differs."""
    rows, labels = shown_rows(data, CANDIDATES), data.dataset.labels
    return rows[two_places(None if labels is None else np.asarray(labels)[rows], len(rows))]


def two_places(labels: NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
    """0, and the first of n places with another label, or 1 where none differs."""
    others = np.empty(0, np.int64) if labels is None else np.flatnonzero(labels != labels[0])
    return np.array([0, others[0] if len(others) else min(1, n - 1)])
