"""Codes beside the true factors of their images: what every score of disentanglement is a function of.

Covered: checks, units, dead dimensions, subsets. Not covered: where the factors come from (`legato.data.factors`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.errors import Mistake
from legato.types import Doubles, Integers

DEAD = 0.05  # of a dimension's aggregate variance: less is signal, the rest is the encoder's own noise
ROUNDING = 1e-6  # of the widest dimension's deviation: single precision does not keep a constant code constant


@dataclass(frozen=True)
class Known:
    """codes (n, d) of the dimensions that are alive; factors (n, f), each column 0 … its count − 1; ordered (f,).

    Each dimension is in units of its own aggregate deviation, (Var μ_j + E σ_j²)^½. Never whitened with a rotation: these
    scores ask whether the axes themselves are factors.
    """

    codes: Doubles
    factors: Integers
    ordered: tuple[bool, ...]

    @classmethod
    def of(
        cls,
        codes: NDArray[Any],
        factors: NDArray[Any],
        ordered: tuple[bool, ...] | None = None,
        noise: NDArray[Any] | None = None,
    ) -> Known:
        """`noise` (d,): the encoder's mean σ², none for points. `ordered`: whether the order of a factor's values means
        something; by default of all.

        Dimensions with Var μ_j < 0.05 (Var μ_j + E σ_j²) are left out: their means may still be functions of the image, but
        a draw drowns them and the decoder cannot hear them. Raises `Mistake` on codes that are not finite, and factors that
        are not integers, one row each, with two values or more.
        """
        codes, factors = _checked(np.asarray(codes, np.float64), np.asarray(factors))
        kinds = (True,) * factors.shape[1] if ordered is None else tuple(ordered)
        if len(kinds) != factors.shape[1]:
            raise Mistake(f"`ordered` must say of each of the {factors.shape[1]} factors, got {len(kinds)}")
        signal = codes.var(0)
        total = signal + (0 if noise is None else np.asarray(noise, np.float64))
        # The second rule is of rounding: an encoder that ignores its input still gives means that differ in the last bits.
        alive = (signal >= DEAD * total) & (signal > ROUNDING**2 * signal.max())
        # Values are numbered from 0 without gaps: counts and histograms index by them.
        columns = [np.unique(column, return_inverse=True)[1] for column in factors.T]
        return cls((codes - codes.mean(0))[:, alive] / np.sqrt(total[alive]), np.stack(columns, 1).astype(np.int64), kinds)

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def counts(self) -> tuple[int, ...]:
        """The number of values of each factor."""
        return tuple((self.factors.max(0) + 1).tolist())

    def rows(self, rows: Integers) -> Known:
        """Some of the images, with the dimensions that vary among them."""
        codes = self.codes[rows]
        # a dimension that is constant in a subset has no deviation to divide by
        return Known(codes[:, np.ptp(codes, axis=0) > 0], self.factors[rows], self.ordered)

    def halves(self, seed: int) -> tuple[Known, Known]:
        """Two halves at random: to fit on, and to test on."""
        parts = np.array_split(np.random.default_rng(seed).permutation(len(self)), 2)
        first, second = (Known(self.codes[rows], self.factors[rows], self.ordered) for rows in parts)
        return first, second


def _checked(codes: Doubles, factors: NDArray[Any]) -> tuple[Doubles, NDArray[Any]]:
    if codes.ndim != 2 or factors.ndim != 2 or len(codes) != len(factors) or factors.dtype.kind not in "iu":
        raise Mistake(f"needs codes (n, d) and integer factors (n, f), got {codes.shape} and {factors.dtype} {factors.shape}")
    if broken := int((~np.isfinite(codes)).any(1).sum()):
        raise Mistake(f"{broken} of {len(codes)} codes are not finite: the run diverged, train it anew")
    if constant := [j for j, column in enumerate(factors.T) if len(np.unique(column)) < 2]:
        raise Mistake(f"factor {constant[0]} has one value in all {len(factors)} images: leave it out")
    return codes, factors
