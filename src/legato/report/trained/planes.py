"""Latent planes of runs: where the codes lie and, of a plane, what each of its places decodes to."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from legato.data.prepared import Prepared
from legato.latent_space import LatentSpace
from legato.report.maps import LatentMap, decoded_plane, decoded_planes, latent_maps
from legato.report.trained.subjects import Subject, shown_rows, stored
from legato.types import Floats

MAPPED, LATTICE = 5000, 17


def map_figure(subjects: Sequence[Subject], data: Prepared) -> Figure:
    """The codes of test examples in the plane of each run's two most informative dimensions (all, where it has two)."""
    return latent_maps([latent_map(each, data) for each in subjects])


def latent_map(subject: Subject, data: Prepared) -> LatentMap:
    """The same of one run, to be drawn."""
    space, rows, labels = subject.space, shown_rows(data, MAPPED), data.dataset.labels
    dims = plane_of(space)
    mu, sigma = (part[:, list(dims)] for part in space.encode(stored(data, rows), rows))
    clouds = sigma if space.has_width else None
    classes = None if labels is None else labels[rows]
    return LatentMap(subject.title, mu, clouds, classes, data.dataset.label_names, space.prior_was_trained, dims)


def plane_figure(subjects: Sequence[Subject], data: Prepared) -> Figure:
    """The plane of two latents, decoded at even steps: over ±3 where a prior was trained for, else where the codes are."""
    return decoded_planes(
        [decoded_plane(each.title, each.space.seen, LATTICE, _codes(each, data), (0, 1)) for each in subjects]
    )


def plane_of(space: LatentSpace) -> tuple[int, int]:
    """The two dimensions that a map shows, counted from 0."""
    if space.latent_dim == 2:
        return (0, 1)
    first, second, *_ = space.ranking()
    return (first, second)


def _codes(subject: Subject, data: Prepared) -> Floats | None:
    """Where a plane is looked at: the codes; None where the prior was trained for."""
    if subject.space.prior_was_trained:
        return None
    rows = shown_rows(data, MAPPED)
    return subject.space.encode(stored(data, rows), rows)[0]
