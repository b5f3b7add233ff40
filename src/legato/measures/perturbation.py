"""Latent noise that a decoder bears: C(r) = E d(g(z), g(z + r S^½u))/E d(g(z), g(z′)), and where a label flips.

u is uniform on the unit sphere, z′ an independent code: C is 0 for the same image and 1 for an unrelated one. Covered:
distances of decoded means, Euclidean, in pixels and in features; labels by a classifier; the radius at which each reaches ½.
Not covered: derivatives (geometry.py). A collapsed decoder is perfectly smooth: active units belong beside these.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.measures.distances import Map, at_both_ends, euclidean, partners, pixels, relative
from legato.measures.estimate import Estimate, absent, bootstrap
from legato.measures.whitening import Whitening
from legato.streams import random_stream
from legato.types import Doubles, Floats

GRID = np.geomspace(1 / 32, 8, 25)  # radii over √(d/2), at which a linear decoder has about C = ½: 26 % apart
BLOCK = 512  # codes at a time: their images at r = 0 are kept while all radii are decoded
LATENT = "latent standard deviations"


@dataclass(frozen=True)
class Curve:
    """`moved` (R, n): how far each code's image went at each of `radii` (R,); `whole` (n,): how far it is from others."""

    radii: Doubles
    moved: Doubles
    whole: Doubles
    method: str

    def values(self) -> Doubles:
        """C(r), (R,)."""
        return np.asarray(self.moved.mean(1) / self.whole.mean())

    def estimates(self) -> list[Estimate]:
        """C at each radius, bootstrap over codes; what divides and what is divided are resampled together."""
        if reason := self._why_not():
            return [absent(reason, "share", self.method)] * len(self.radii)
        return [self._share(row) for row in self.moved]

    def _share(self, row: Doubles) -> Estimate:
        value = float(row.mean() / self.whole.mean())
        return bootstrap(lambda weights: relative(row, self.whole, weights), value, len(row), "share", self.method)

    def at(self, radius: float) -> Estimate:
        """C at one radius within the grid, each code's move linear between the radii beside it; bootstrap over codes."""
        method = f"{self.method}, r = {radius:.3g}"
        if reason := self._why_not():
            return absent(reason, "share", method)
        # The radius must lie within: beyond the grid there is nothing to be linear between.
        after = int(np.searchsorted(self.radii, radius))
        if not self.radii[0] <= radius <= self.radii[-1]:
            raise Mistake(f"the radius {radius:g} lies outside of the grid, {self.radii[0]:g} to {self.radii[-1]:g}")
        low, high = self.radii[max(after - 1, 0)], self.radii[after]
        share = 0.0 if high == low else (radius - low) / (high - low)
        row = (1 - share) * self.moved[max(after - 1, 0)] + share * self.moved[after]
        return replace(self._share(row), method=method)

    def half(self) -> Estimate:
        """r₅₀: where C first reaches ½, linear between radii. A resample that never does counts as the largest radius."""
        method = f"r50, the radius at which {self.method} reaches 1/2"
        if reason := self._why_not():
            return absent(reason, LATENT, method)
        value = float(_crossing(self.radii, self.values()[None])[0])
        if np.isinf(value):
            top = f"{self.values().max():.2f} at most, up to r = {self.radii[-1]:.3g}"
            return absent(f"it never reaches 1/2: {top}", LATENT, method)
        return bootstrap(self._halves, value, len(self.whole), LATENT, method)

    def _halves(self, weights: Doubles) -> Doubles:
        curves = np.stack([relative(row, self.whole, weights) for row in self.moved], 1)
        # never infinite: a percentile of infinities has no interval to give
        found = np.minimum(_crossing(self.radii, curves), self.radii[-1])
        return np.where(np.isnan(curves).any(1), np.nan, found)

    def _why_not(self) -> str | None:
        return None if self.whole.any() else "the decoder gives one image for every code: there is nothing to compare with"


@dataclass(frozen=True)
class Perturbed:
    """Curves over the same codes, directions and radii. `flips` has no unit to divide by: it is the share itself."""

    pixels: Curve
    features: Curve | None
    flips: Curve | None


@dataclass(frozen=True)
class _View:
    """A way to see images, and how two sights are compared: (n,)."""

    see: Callable[[Floats], NDArray[Any]]
    between: Callable[[NDArray[Any], NDArray[Any]], NDArray[Any]]


def perturb(
    decode: Map,
    codes: Floats,
    whitening: Whitening,
    radii: Doubles | None = None,
    features: Map | None = None,
    classify: Callable[[Floats], NDArray[Any]] | None = None,
    seed: int = 0,
) -> Perturbed:
    """Disturbs codes (n, d), each in one random direction, by every radius: neighbouring radii differ by r alone.

    `classify` gives a class for each image; the flip curve is the share whose class differs from that at r = 0. Costs 30
    decodings a code. Raises `Mistake` on radii that do not rise from above 0.
    """
    radii = GRID * np.sqrt(whitening.latent_dim / 2) if radii is None else np.asarray(radii, np.float64)
    if len(codes) < 2 or not (np.diff(radii, prepend=0) > 0).all():
        raise Mistake(f"a perturbation needs 2 codes or more and rising radii above 0, got {len(codes)} codes, radii {radii}")
    # One direction for all radii: curves then differ by r alone, and not by the luck of 25 directions.
    steps, others = whitening.shift(sphere(len(codes), whitening.latent_dim, seed)), partners(len(codes), seed)
    views = [_View(pixels, euclidean)]
    views += [] if features is None else [_View(features, euclidean)]
    views += [] if classify is None else [_View(classify, np.not_equal)]
    # By blocks of codes, all radii of one block at once: what is seen at r = 0 is decoded once and kept no longer.
    blocks = [slice(at, at + BLOCK) for at in range(0, len(codes), BLOCK)]
    found = np.concatenate([_compared(decode, views, codes[b], steps[b], codes[others[:, b]], radii) for b in blocks], 2)
    moved, met = np.split(found, [len(radii)], 1)
    method = "E d(g(z), g(z + r S^1/2 u)) / E d(g(z), g(z'))"
    curves = [Curve(radii, rows, at_both_ends(ends, others), method) for rows, ends in zip(moved, met, strict=True)]
    # Divided by 1: a share of changed classes is a share already.
    flips = Curve(radii, moved[-1], np.ones(len(codes)), "share of changed classes at r")
    return Perturbed(curves[0], None if features is None else curves[1], None if classify is None else flips)


def sphere(n: int, d: int, seed: int) -> Doubles:
    """n directions, uniform on the unit sphere in d dimensions, (n, d)."""
    # normals over their length are uniform on the sphere, in any dimension
    drawn = random_stream(seed, "sphere").standard_normal((n, d))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=1, keepdims=True))


def _compared(
    decode: Map, views: list[_View], z: Floats, steps: Doubles, others: Floats, radii: Doubles
) -> NDArray[np.float64]:
    """(views, R + k, b): how each view changes at every radius, then how far it is from `others` (k, b, d)."""
    start = decode(z)
    seen = [view.see(start) for view in views]
    # In single precision, as decoders take them; the sum itself is in double, or small radii would be rounded away.
    places = [*((z + radius * steps).astype(np.float32) for radius in radii), *others]
    rows = [[view.between(s, view.see(images)) for view, s in zip(views, seen, strict=True)] for images in map(decode, places)]
    return np.asarray(rows, np.float64).transpose(1, 0, 2)


def _crossing(radii: Doubles, curves: Doubles) -> Doubles:
    """The radius at which each of curves (B, R) first reaches ½, linear from 0 at r = 0; inf where it never does."""
    radii, curves = np.r_[0.0, radii], np.pad(curves, ((0, 0), (1, 0)))
    at = (curves >= 0.5).argmax(1)  # 0, where all begin, only where none is reached
    rows = np.arange(len(curves))
    before, after = curves[rows, at - 1], curves[rows, at]
    with np.errstate(divide="ignore", invalid="ignore"):  # the rows that never reach ½ are computed too, and replaced below
        found = radii[at - 1] + (radii[at] - radii[at - 1]) * (0.5 - before) / (after - before)
    return np.where(at > 0, found, np.inf)
