"""Paths between two images: z_α = (1 − α)z₁ + αz₂, great circles, and the pixel cross-fade as the control.

Covered: paths of 33 points; per path, so that models can be compared on the same pairs, straightness Σ d_t/d(x₀, x₁),
jumpiness max d_t/mean d_t and perceptual path length, with d the Euclidean distance of decoded means or of their features.
Not covered: whether what lies between looks real (realism.py), without which smoothness means nothing: a cross-fade has it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.measures.clusters import Ends, mean_over_pairs
from legato.measures.distances import Map, euclidean, pixels
from legato.measures.estimate import Estimate, absent, mean_over
from legato.types import Doubles, Floats, Rows

POINTS = 33  # an odd number, so that α = ½ is one of them
BLOCK = 32  # paths at a time: 32 · 33 decoded images bound the memory, whatever n is
EPSILON = 1e-3  # of α, for the path length: small beside a path, large beside single precision
STILL = 1e-6  # of an image's length: ends nearer than that differ by rounding

Path = Callable[[Rows, Doubles], Floats]  # rows (b,) of pairs, α (b,) -> images (b, *data)
Between = Callable[[NDArray[Any], NDArray[Any], Doubles], NDArray[Any]]


def linear(first: NDArray[Any], second: NDArray[Any], alpha: Doubles | float) -> NDArray[Any]:
    """(1 − α)a + αb, row by row: (b, *data) each, α (b,) or one number for all."""
    alpha = np.asarray(alpha).reshape(-1, *[1] * (first.ndim - 1))
    return np.asarray((1 - alpha) * first + alpha * second)


def slerp(first: NDArray[Any], second: NDArray[Any], alpha: Doubles | float) -> NDArray[Any]:
    """(sin((1−α)ω) a + sin(αω) b)/sin ω, row by row, codes (b, d); linear where a and b are (anti)parallel or 0.

    ω is the angle between a and b seen from the origin, which is the prior's centre: whitened codes where there is no prior.
    White 2016, https://arxiv.org/abs/1609.04468.
    """
    norms = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    # a code of 0 has no angle: a cosine of 1 sends it the straight way
    cosine = np.divide((first * second).sum(1), norms, out=np.ones(len(norms)), where=norms > 0)
    omega = np.arccos(np.clip(cosine, -1, 1))  # clipped: rounding may leave a cosine at 1 + 10⁻¹⁶, whose arccos is NaN
    # Near 0 and π sin ω cancels; of antiparallel codes no great circle is the one.
    straight = np.sin(omega) < 1e-6
    omega = np.where(straight, 1.0, omega)
    left, right = (np.sin(share * omega) / np.sin(omega) for share in (1 - alpha, alpha))
    curved = left[:, None] * first + right[:, None] * second
    return np.where(straight[:, None], linear(first, second, alpha), curved)


def decoded(decode: Map, first: Floats, second: Floats, between: Between = linear) -> Path:
    """The path of images between codes, (n, d) each."""
    # in double precision: at ε = 10⁻³ the two ends of a step differ in their last digits
    wide = np.asarray(first, np.float64), np.asarray(second, np.float64)
    return lambda rows, alpha: decode(between(wide[0][rows], wide[1][rows], alpha).astype(np.float32))


def cross_fade(first: Floats, second: Floats) -> Path:
    """The control: images (n, *data) blended pixel by pixel. Perfectly smooth, and unreal."""
    return lambda rows, alpha: linear(first[rows].astype(np.float64), second[rows].astype(np.float64), alpha)


def midpoints(path: Path, n: int) -> Floats:
    """The images at α = ½ of n paths, (n, *data)."""
    return _over(n, lambda rows: path(rows, np.full(len(rows), 0.5)))


def between_ends(path: Path, n: int, see: Map = pixels) -> Doubles:
    """1 where the image at half of a path lies between its ends, else 0, (n,): no farther from either than these are apart.

    NaN where the ends are one image, which has nothing between: a decoder that gives one for every code would else have it all.
    `see` gives what images are compared by, (b, *data) -> (b, f); distances are Euclidean. Of three images that have nothing to
    do with each other, any of the three distances is the largest as often: an unrelated one lies between in one case of three.
    """

    def inside(rows: Rows) -> Floats:
        first, half, last = (see(path(rows, np.full(len(rows), alpha))) for alpha in (0.0, 0.5, 1.0))
        apart = euclidean(first, last)
        between = (euclidean(first, half) <= apart) & (euclidean(half, last) <= apart)
        moves = apart > STILL * np.linalg.norm(first.reshape(len(first), -1), axis=1)
        return np.where(moves, between, np.nan)

    return np.asarray(_over(n, inside), np.float64)


@dataclass(frozen=True)
class Smoothness:
    """One row per path, (n,): NaN where its ends are one image, which has no way between them to be compared with.

    `straightness` is 1 for a straight way and more for a detour; `jumpiness` 1 for even steps and 32 for a single leap; `apart`
    d(x₀, x₁); `length` E d(g(z_α), g(z_{α+ε}))²/ε².
    """

    straightness: Doubles
    jumpiness: Doubles
    apart: Doubles
    length: Doubles
    of: str  # pixels or features: figures of the two do not compare
    # rows of the images that the paths join, (n,) each; None: no two paths share an end, and each is an example
    ends: Ends | None = None

    @property
    def moves(self) -> NDArray[np.bool_]:
        """True for paths of two ends, (n,): figures are means over these, and pairs of models over those that both have."""
        return ~np.isnan(self.straightness)

    def estimates(self) -> dict[str, Estimate]:
        """The mean of each over the paths that have two ends; the method says how many have none.

        Intervals are over the images, each with all paths that begin or end with it, where `ends` say so.
        """
        still = int((~self.moves).sum())
        left_out = f"; {still} paths whose ends are one image are left out" if still else ""
        said = f"{self.of}, Euclidean, {POINTS} points{left_out}"
        ppl = f"E d(g(z_a), g(z_(a+e)))^2 / e^2, e = {EPSILON:g}, {self.of}"
        return {
            "straightness": self._mean(self.straightness, "ratio", f"sum d_t / d(x_0, x_1), {said}"),
            "jumpiness": self._mean(self.jumpiness, "ratio", f"max d_t / mean d_t, {said}"),
            "path length": self._over(np.ones(len(self.length), bool), self.length, "squared image distance", ppl),
        }

    def _mean(self, values: Doubles, unit: str, method: str) -> Estimate:
        if not self.moves.any():
            return absent("the decoder gives one image at both ends of every path", unit, method)
        return self._over(self.moves, values, unit, method)

    def _over(self, rows: NDArray[np.bool_], values: Doubles, unit: str, method: str) -> Estimate:
        if self.ends is None:
            return mean_over(values[rows], unit, method)
        return mean_over_pairs(values[rows], (self.ends[0][rows], self.ends[1][rows]), unit, method)


def smoothness(
    path: Path, n: int, features: Map | None = None, draws: int = 4, seed: int = 0, ends: Ends | None = None
) -> list[Smoothness]:
    """The smoothness of n paths, in pixels and, where `features` are given, in features too, from the same decodings.

    `ends`: rows of the images that they join, (n,) each. Many paths between few images are not so many examples.

    `draws`: places α ~ U(0, 1 − ε) on each path at which its length is taken, two decodings each; they are the same for any
    model at one seed. Path length: Karras et al. 2019, https://arxiv.org/abs/1812.04948, section 4.1, there with ε = 10⁻⁴.
    """
    views: list[tuple[str, Map]] = [("pixels", pixels)] + ([] if features is None else [("features", features)])
    # up to 1 − ε, so that α + ε is still on the path; from one seed, so that models are compared at the same places
    starts = np.random.default_rng(seed).uniform(0, 1 - EPSILON, (n, draws))
    blocks = [np.arange(at, min(at + BLOCK, n)) for at in range(0, n, BLOCK)]
    maps = [view for _, view in views]
    # (views, 4, n); by blocks, so that images of one block are in memory at a time
    found = np.concatenate([_walked(path, rows, starts[rows], maps) for rows in blocks], 2)
    return [Smoothness(one[0], one[1], one[2], one[3], of, ends) for one, (of, _) in zip(found, views, strict=True)]


def _walked(path: Path, rows: Rows, starts: Doubles, views: list[Map]) -> Doubles:
    """(views, 4, b): straightness, jumpiness, distance of the ends and path length of a block of paths."""
    ways = _frames(path, rows, np.tile(np.linspace(0, 1, POINTS), (len(rows), 1)))
    here, there = _frames(path, rows, starts), _frames(path, rows, starts + EPSILON)
    return np.array([[*_steps(_seen(view, ways)), _lengths(_seen(view, here), _seen(view, there))] for view in views])


def _frames(path: Path, rows: Rows, alphas: Doubles) -> Floats:
    """Images at alphas (b, T): (b, T, *data)."""
    images = path(np.repeat(rows, alphas.shape[1]), alphas.ravel())
    return images.reshape(*alphas.shape, *images.shape[1:])


def _seen(view: Map, frames: Floats) -> Floats:
    """Features of frames (b, T, *data), (b, T, f)."""
    return view(frames.reshape(-1, *frames.shape[2:])).reshape(*frames.shape[:2], -1)


def _steps(frames: Floats) -> tuple[Doubles, Doubles, Doubles]:
    """Straightness, jumpiness and distance of the ends, (b,) each, of frames (b, T, f)."""
    flat = (-1, frames.shape[-1])
    steps = euclidean(frames[:, 1:].reshape(flat), frames[:, :-1].reshape(flat)).reshape(len(frames), -1)
    apart = euclidean(frames[:, 0], frames[:, -1])
    moves = apart > STILL * np.linalg.norm(frames[:, 0], axis=1)
    whole = np.where(moves, steps.sum(1), np.nan)  # a loop, whose ends are one image, has no straight way
    # `whole` is NaN for a loop, and makes both ratios NaN: 1 stands in only to divide without a warning.
    return whole / np.where(moves, apart, 1), steps.max(1) * steps.shape[1] / whole, apart


def _lengths(here: Floats, there: Floats) -> Doubles:
    """E d²/ε² over the places of each path, (b,), of frames (b, draws, f)."""
    flat = (-1, here.shape[-1])
    squares = (euclidean(here.reshape(flat), there.reshape(flat)) / EPSILON) ** 2
    return np.asarray(squares.reshape(here.shape[:2]).mean(1))


def _over(n: int, part: Callable[[Rows], Floats]) -> Floats:
    rows = BLOCK * POINTS  # as many images at a time as a block of whole paths has
    return np.concatenate([part(np.arange(at, min(at + rows, n))) for at in range(0, n, rows)])
