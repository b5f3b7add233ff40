"""The bytes of a map: every point and its cloud in 20 bytes (docs/explorer.md). All numbers are little-endian.

Covered: projecting posteriors N(μ, diag σ²) on a plane, places that are no projection, packing, reading back. Not covered:
encoding (codes.py), layouts (layout.py).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.explorer.planes import Plane

HEADER = struct.Struct("<IIII")  # n, d, 0, 0: 16 bytes, so that what follows is aligned for typed arrays
ROWS = 1 << 24  # 24 bits: rows stand beside the 8 of `off` in one number
NO_LABEL = 65535  # the largest of 16 bits: no label, or one beyond
# what is beyond it would be infinite in half precision: a cloud as wide is drawn as wide as can be
MOST_HALF = float(np.finfo(np.float16).max)


@dataclass(frozen=True, eq=False)
class Points:
    """n points: map coordinates of μ (n, 2); rows (n,); off (n,), 0 … 255 of the farthest's distance from the plane;
    covariance aa, ab, bb of each cloud in map coordinates (n, 3); label (n,), 65535 where there is none.
    """

    d: int
    xy: NDArray[np.float32]
    rows: NDArray[np.uint32]
    off: NDArray[np.uint8]
    covariance: NDArray[np.float16]
    labels: NDArray[np.uint16]

    def pack(self) -> bytes:
        """16 + 20n bytes."""
        n = len(self.rows)
        tagged = self.rows.astype("<u4") | (self.off.astype("<u4") << 24)
        parts = (self.xy.astype("<f4"), tagged, self.covariance.astype("<f2"), self.labels.astype("<u2"))
        # One kind after another and not point by point: the page reads each as a typed array without copying.
        return HEADER.pack(n, self.d, 0, 0) + b"".join(part.tobytes() for part in parts)

    @staticmethod
    def read(content: bytes) -> Points:
        """The inverse of `pack`."""
        n, d, _, _ = HEADER.unpack_from(content)
        parts, at = [], HEADER.size
        for kind, columns in (("<f4", 2), ("<u4", 1), ("<f2", 3), ("<u2", 1)):
            part = np.frombuffer(content, kind, n * columns, at)
            parts.append(part.reshape(n, columns) if columns > 1 else part)
            at += part.nbytes
        xy, tagged, covariance, labels = parts
        return Points(d, xy, (tagged & 0xFFFFFF).astype(np.uint32), (tagged >> 24).astype(np.uint8), covariance, labels)


def project(
    plane: Plane, mu: NDArray[Any], sigma: NDArray[Any], rows: NDArray[np.int64], labels: NDArray[np.int64] | None
) -> Points:
    """Posteriors (n, d) on a plane: Cov(a, b) = [u v]ᵀ diag σ² [u v]; labels (n,), -1 where unknown."""
    xy = plane.coordinates(mu)
    away = np.sqrt(np.square(mu - plane.at(xy)).sum(1))
    farthest = away.max(initial=0.0)
    # Of a distance that is rounding alone, no share means anything: with two latents everything lies on the plane.
    off = np.rint(255 * away / farthest) if farthest > 1e-5 * (1 + np.abs(mu).max(initial=0.0)) else np.zeros(len(away))
    products = np.stack([plane.u * plane.u, plane.u * plane.v, plane.v * plane.v], 1)
    # in double precision: products of small σ would vanish, and a cloud would look like a point
    covariance = np.clip(np.square(sigma, dtype=np.float64) @ products, -MOST_HALF, MOST_HALF)
    return Points(
        mu.shape[1], xy.astype(np.float32), rows.astype(np.uint32), off.astype(np.uint8),
        covariance.astype(np.float16), _named(rows, labels),
    )  # fmt: skip


def placed(d: int, xy: NDArray[np.float32], rows: NDArray[np.int64], labels: NDArray[np.int64] | None) -> Points:
    """Codes of d numbers at places (n, 2) of a layout: a cloud has no shape there, nor a point a distance from a plane."""
    n = len(rows)
    bare = np.zeros(n, np.uint8), np.zeros((n, 3), np.float16)
    return Points(d, xy.astype(np.float32), rows.astype(np.uint32), *bare, _named(rows, labels))


def _named(rows: NDArray[np.int64], labels: NDArray[np.int64] | None) -> NDArray[np.uint16]:
    known = np.full(len(rows), -1) if labels is None else labels
    # a class beyond 16 bits has no number to send: it is drawn as one without a label
    return np.where((known < 0) | (known >= NO_LABEL), NO_LABEL, known).astype(np.uint16)
