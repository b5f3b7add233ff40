"""Views of models side by side: one function a picture, whether of trained runs, of a measured model or of the claims' family.

Covered: maps, decoded planes, reconstructions, straight paths, traversals. Not covered: samples, of which each report has its
own kinds (panels.py); words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from legato.codes import name_of, path
from legato.data.preparation import Units
from legato.latent_space import LatentSpace
from legato.report.maps import LatentMap, decoded_plane, decoded_planes, latent_maps
from legato.report.panels import ImageRow, cross_fade, interpolation_panel, reconstruction_panel, traversal_panel
from legato.types import Floats

MAPPED, LATTICE, RECONSTRUCTED, STEPS = 5000, 17, 10, 11
CANDIDATES = 1000  # examples among which one of another class is looked for


def asks_for_standard_normal(space: LatentSpace) -> bool:
    """True where training charged the KL to N(0, I): codes charged to another prior need not lie in its rings."""
    return space.prior_was_trained and space.has_standard_prior


class View(Protocol):
    """A model as its pictures ask it."""

    @property
    def title(self) -> str:
        """The name that figures call it by, in few words."""

    @property
    def charged(self) -> bool:
        """True where training asked for codes as of N(0, I): a map then has its rings, a plane its ±3."""

    @property
    def plane(self) -> tuple[int, int]:
        """The two dimensions that a map shows, counted from 0."""

    def codes(self, places: NDArray[np.int64]) -> tuple[Floats, Floats | None]:
        """μ, and σ where codes have a width, of the examples at these places, (n, latent_dim) each."""

    def seen(self, z: Floats) -> Units:
        """The images of codes, as they are shown."""


@dataclass(frozen=True)
class Examples:
    """The examples that all views show, in one order that nobody picked; `images(places)` as a person sees them."""

    count: int
    images: Callable[[NDArray[np.int64]], Units]
    labels: NDArray[np.int64] | None
    label_names: Sequence[str] | None = None

    def first(self, most: int) -> NDArray[np.int64]:
        """The first places, up to `most`: figures that show less show a part of what the others do."""
        return np.arange(min(most, self.count))

    @property
    def pair(self) -> NDArray[np.int64]:
        """The first place, and the first of another class, or the second where no class differs."""
        return two_places(None if self.labels is None else self.labels[:CANDIDATES], min(CANDIDATES, self.count))


def two_places(labels: NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
    """0, and the first of n places with another label, or 1 where none differs."""
    others = np.empty(0, np.int64) if labels is None else np.flatnonzero(labels != labels[0])
    return np.array([0, others[0] if len(others) else min(1, n - 1)])  # of a single example both ends are itself


def latent_map(view: View, examples: Examples, most: int = MAPPED) -> LatentMap:
    """The codes of the examples in the plane of the two most informative dimensions (all, where there are two)."""
    places, dims = examples.first(most), list(view.plane)
    mu, sigma = view.codes(places)
    labels = None if examples.labels is None else examples.labels[places]
    clouds = None if sigma is None else sigma[:, dims]
    return LatentMap(view.title, mu[:, dims], clouds, labels, examples.label_names, view.charged, view.plane)


def maps(views: Sequence[View], examples: Examples, most: int = MAPPED) -> Figure:
    """The maps side by side."""
    return latent_maps([latent_map(view, examples, most) for view in views])


def planes(views: Sequence[View], examples: Examples, steps: int = LATTICE, most: int = MAPPED) -> Figure:
    """Planes of two latents, decoded at even steps: over ±3 where a prior was trained for, else where the codes are."""

    def around(view: View) -> Floats | None:
        # Where a prior was asked for, ±3 of it is the plane to judge; elsewhere only the codes say what is worth showing.
        return None if view.charged else view.codes(examples.first(most))[0]

    return decoded_planes([decoded_plane(view.title, view.seen, steps, around(view), (0, 1)) for view in views])


def reconstructions(views: Sequence[View], examples: Examples) -> Figure:
    """Some examples above each model's reconstructions of them."""
    places = examples.first(RECONSTRUCTED)
    rows = [ImageRow(view.title, view.seen(view.codes(places)[0])) for view in views]
    return reconstruction_panel(examples.images(places), rows)


def line(view: View, ends: NDArray[np.int64], steps: int) -> Units:
    """The straight line between the codes of two examples, decoded."""
    # so that float32 ends come back exactly: at α = 0 and 1 the images are those of the codes
    stops = view.codes(ends)[0].astype(np.float64)
    return view.seen(path(stops, steps, spherical=False).astype(np.float32))


def paths(views: Sequence[View], examples: Examples, pairs: Sequence[NDArray[np.int64]]) -> Figure:
    """A figure of each pair's straight line through every model, and the cross-fade of their pixels below."""
    rows: list[ImageRow] = []
    for ends in pairs:
        rows += [ImageRow(view.title, line(view, ends, STEPS)) for view in views]
        rows.append(cross_fade(examples.images(ends), STEPS))
    return interpolation_panel(rows)


def traversals(view: View, dims: Sequence[int], lines: Sequence[Floats], span: float) -> Figure:
    """A row for each dimension, decoded along its line (steps, latent_dim) from −`span` to `span` standard deviations."""
    rows = [ImageRow(name_of(dim), view.seen(one)) for dim, one in zip(dims, lines, strict=True)]
    return traversal_panel(rows, np.linspace(-span, span, len(lines[0])))
