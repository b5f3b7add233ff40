"""A two-dimensional window on latent space, and which ones a person can ask for.

Covered: coordinates on a plane and back, axes, principal components, the decoder's leading directions from its Jacobian's
Gram matrix. Not covered: the Jacobian itself (session.py), what is drawn on a plane (points.py, fields.py).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from legato.codes import missing, name_of
from legato.errors import Mistake
from legato.moments import eigenvectors
from legato.types import Doubles

UMAP: Literal["umap"] = "umap"
TOLERANCE = 1e-3  # of orthonormality: a page sends eight digits
MOST = 8  # directions at a place
FAINT = 0.02  # of the largest stretch: a direction that changes the image less is no direction to move along


@dataclass(frozen=True, eq=False)
class Plane:
    """z(a, b) = o + a·u + b·v with a = z·u, b = z·v, and o the part of the anchor that is orthogonal to both, (d,) each.

    u and v are orthonormal; with one latent v is 0. Raises `Mistake` where they are not. `layout`: the points of this
    plane are laid out by UMAP instead; nothing else of it is then shown. `directions` (k, d) at a place, orthonormal;
    `stretch` (k,): how much the image changes along each, √(Σ of squares, in units of the prepared data) for one unit of z.
    """

    u: Doubles
    v: Doubles
    anchor: Doubles
    layout: Literal["umap"] | None = None
    directions: Doubles | None = None
    stretch: Doubles | None = None

    def __post_init__(self) -> None:
        # Refused and not mended: the page draws by its own u and v, and both must mean the same place.
        gram = np.stack([self.u, self.v]) @ np.stack([self.u, self.v]).T
        expected = np.eye(2) if len(self.u) > 1 else np.diag([1.0, 0.0])
        if np.abs(gram - expected).max() > TOLERANCE:
            raise Mistake("`u` and `v` of a plane must be orthonormal: ask ./plane for one")

    @cached_property
    def origin(self) -> Doubles:
        """o, (d,)."""
        return self.anchor - (self.anchor @ self.u) * self.u - (self.anchor @ self.v) * self.v

    def coordinates(self, z: NDArray[Any]) -> Doubles:
        """(a, b) of each z (n, d), (n, 2)."""
        return np.asarray(np.asarray(z, np.float64) @ np.stack([self.u, self.v], 1))

    def at(self, coordinates: NDArray[Any]) -> Doubles:
        """z(a, b), (n, 2) -> (n, d)."""
        return np.asarray(self.origin + np.asarray(coordinates, np.float64) @ np.stack([self.u, self.v]))

    def to_json(self) -> dict[str, Any]:
        """The plane in JSON, as the page keeps it."""
        arrays = {name: getattr(self, name) for name in ("u", "v", "anchor", "directions", "stretch")}
        found = {name: array.tolist() for name, array in arrays.items() if array is not None}
        return found if self.layout is None else {**found, "layout": self.layout}


def axes(i: int, j: int, anchor: Doubles) -> Plane:
    """Latent dimensions i and j. Raises `Mistake` where they are no two dimensions of the model."""
    d = len(anchor)
    if d == 1:
        return Plane(np.ones(1), np.zeros(1), anchor)  # v = 0: with one latent the map is a line, and all b are 0
    for dimension in (i, j):
        if not 0 <= dimension < d:
            raise missing(dimension, d)
    if i == j:
        raise Mistake(f"a plane needs two dimensions, got {name_of(i)} twice")
    u, v = np.zeros((2, d))
    u[i] = v[j] = 1
    return Plane(u, v, anchor)


def leading(matrix: Doubles, anchor: Doubles) -> Plane:
    """The two leading eigenvectors of a symmetric matrix (d, d): of Cov(μ) the principal plane.

    With two latents there is one plane, and its axes are theirs.
    """
    return spanned(eigenvectors(matrix)[1], anchor)


def spanned(vectors: Doubles, anchor: Doubles) -> Plane:
    """The plane of the first two of orthonormal vectors (k, d); where there are fewer, axes fill it."""
    if len(anchor) <= 2:
        return axes(0, len(anchor) - 1, anchor)
    if len(vectors) < 2:
        return axes(0, 1, anchor)
    return Plane(vectors[0], vectors[1], anchor)


def local(gram: Doubles, z: Doubles) -> Plane:
    """The plane through z (d,) in which the image changes most, and up to `MOST` directions, by JᵀJ (d, d) there."""
    plane = leading(gram, z)
    squares, vectors = eigenvectors(gram)
    stretch = np.sqrt(np.maximum(squares, 0))
    # At least the two of the plane, however faint: the page draws both.
    kept = max(min(2, len(z)), int((stretch[:MOST] > FAINT * stretch[0]).sum()))
    return replace(plane, directions=vectors[:kept], stretch=stretch[:kept])
