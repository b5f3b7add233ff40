"""Where runs put their codes: the latent map, and, of a plane, what each of its places decodes to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from legato.data.prepared import Prepared
from legato.latent_space import LatentSpace
from legato.report.maps import DecodedPlane, LatentMap, decoded_planes, latent_maps
from legato.report.trained.subjects import Subject, shown_rows, stored

MAPPED, LATTICE = 5000, 17
Extent = tuple[float, float, float, float]


def map_figure(subjects: Sequence[Subject], data: Prepared) -> Figure:
    """The codes of test examples in the plane of each run's two most informative dimensions (all, where it has two)."""
    rows = shown_rows(data)[:MAPPED]
    kept, labels = stored(data, rows), data.dataset.labels
    classes = None if labels is None else labels[rows]
    panels = []
    for each in subjects:
        dims = plane_of(each.space)
        mu, sigma = (part[:, list(dims)] for part in each.space.encode(kept, rows))
        clouds = sigma if each.space.has_density else None
        trained = each.space.prior_was_trained
        panels.append(LatentMap(each.title, mu, clouds, classes, data.dataset.label_names, trained, dims))
    return latent_maps(panels)


def plane_figure(subjects: Sequence[Subject], data: Prepared) -> Figure:
    """The plane of two latents, decoded at even steps: over ±3 where a prior was trained for, else where the codes are."""
    panels = []
    for each in subjects:
        x0, x1, y0, y1 = extent = _extent(each.space, data)
        grid = np.stack(np.meshgrid(np.linspace(x0, x1, LATTICE), np.linspace(y0, y1, LATTICE)), -1)
        images = each.space.decode(grid.reshape(-1, 2)).reshape(LATTICE, LATTICE, *each.space.shape)
        panels.append(DecodedPlane(each.title, images, extent, dims=(0, 1)))
    return decoded_planes(panels)


def plane_of(space: LatentSpace) -> tuple[int, int]:
    """The two dimensions that a map shows, counted from 0."""
    if space.latent_dim == 2:
        return (0, 1)
    first, second, *_ = space.ranking()
    return (first, second)


def _extent(space: LatentSpace, data: Prepared) -> Extent:
    """±3 where the prior was trained for, else a square around the middle 98 % of the codes."""
    if space.prior_was_trained:
        return (-3.0, 3.0, -3.0, 3.0)
    rows = shown_rows(data)[:MAPPED]
    low, high = np.quantile(space.encode(stored(data, rows), rows)[0], [0.01, 0.99], axis=0)
    centre, half = (low + high) / 2, float((high - low).max()) / 2 or 1.0
    return (centre[0] - half, centre[0] + half, centre[1] - half, centre[1] + half)
