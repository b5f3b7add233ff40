"""Latent units: codes measured in the aggregate posterior's own standard deviations.

An autoencoder's codes may spread over 30 and a VAE's over 1; without this every latent distance compares scales. Covered: a
square root of S = Cov(μ) + diag(E σ²) and its inverse, of a whole S or of a sketch (moments.py). Not covered: the shape of the
aggregate beyond its second moment (ten clusters and one cloud have the same S).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato.errors import Mistake
from legato.moments import LARGEST, Moments, Sketch, Whole, of_rows
from legato.types import Doubles

# of the largest eigenvalue of S: a direction 10⁵ times narrower than the widest is dead, and its inverse mere rounding
FLOOR = 1e-10


class Whitening(ABC):
    """z ↦ S^{-½}(z − m) and back, S^½ any matrix whose square S^½ᵀ S^½ is S; float64.

    Distances, and how much a decoder stretches, are the same whichever it is. `dead` directions of S, in which codes do not
    vary, are given the floor's variance, 10⁻¹⁰ of the widest: the map stays invertible, codes do not move along them, and a
    disturbance of size r moves z by 10⁻⁵ r of the widest's deviation.
    """

    mean: Doubles
    dead: int

    @staticmethod
    def fit(mu: NDArray[Any], sigma: NDArray[Any] | None = None, largest: int | None = None) -> Whitening:
        """That of posterior means (n, d) and deviations alike; None for points. Raises `Mistake` where nothing varies.

        `largest`: dimensions up to which S is whole, else 4,096.
        """
        codes = _checked(mu)
        noise = np.zeros(codes.shape[1]) if sigma is None else _noise(sigma)
        return of_moments(of_rows(codes, largest=largest).with_noise(noise))

    @staticmethod
    def of(mean: NDArray[Any], covariance: NDArray[Any]) -> Whitening:
        """That of a known mean (d,) and S (d, d): N(0, I), whose draws are white, or a population's exact moments."""
        # eigh and no Cholesky: S may be singular (dead dimensions), where a triangular root does not exist.
        variances, axes = np.linalg.eigh(np.asarray(covariance, np.float64))
        floor = _floor(variances[-1])
        scales = np.sqrt(np.maximum(variances, floor))  # at least the floor's, so that the inverse exists
        return Symmetric(
            np.asarray(mean, np.float64), int((variances < floor).sum()), (axes * scales) @ axes.T, (axes / scales) @ axes.T
        )

    @property
    def latent_dim(self) -> int:
        """The number d."""
        return len(self.mean)

    @property
    @abstractmethod
    def log_det(self) -> float:
        """log |S^½|, nats: latent units back to the model's own."""

    @abstractmethod
    def apply(self, codes: NDArray[Any]) -> Doubles:
        """S^{-½}(z − m), (..., d): over the aggregate posterior of mean 0 and covariance I."""

    def invert(self, white: NDArray[Any]) -> Doubles:
        """S^½ w + m, (..., d)."""
        return self.mean + self.shift(white)

    @abstractmethod
    def shift(self, white: NDArray[Any]) -> Doubles:
        """S^½ w, (..., d): a difference of codes, without the mean."""

    @abstractmethod
    def stretched(self, directions: NDArray[Any]) -> Doubles:
        """S^½ᵀ v for directions (..., d), whose inner products are those of S: vᵀ S v′."""

    @abstractmethod
    def columns(self) -> Iterator[Doubles]:
        """S^½ e_j for each dimension, (d,)."""

    @abstractmethod
    def root_of(self, like: Tensor) -> Root:
        """S^½ for tensors of that precision, on that device."""


class Root(Protocol):
    """S^½ as a linear map of tensors (n, d)."""

    def shift(self, white: Tensor) -> Tensor:
        """S^½ w."""

    def back(self, codes: Tensor) -> Tensor:
        """Its transpose."""

    def columns(self) -> Iterator[Tensor]:
        """S^½ e_j for each dimension, (d,)."""


@dataclass(frozen=True)
class Symmetric(Whitening):
    """S^½ and S^{-½} symmetric, (d, d): `root` and `inverse`.

    Symmetric (ZCA) rather than triangular: no order of the dimensions is preferred, and whitened axes stay nearest to the
    model's own.
    """

    mean: Doubles
    dead: int
    root: Doubles
    inverse: Doubles

    @property
    def log_det(self) -> float:
        """log |S^½|."""
        return float(np.linalg.slogdet(self.root)[1])

    def apply(self, codes: NDArray[Any]) -> Doubles:
        """S^{-½}(z − m)."""
        return np.asarray((np.asarray(codes, np.float64) - self.mean) @ self.inverse)

    def shift(self, white: NDArray[Any]) -> Doubles:
        """S^½ w."""
        return np.asarray(np.asarray(white, np.float64) @ self.root)

    def stretched(self, directions: NDArray[Any]) -> Doubles:
        """S^½ v."""
        return np.asarray(directions @ self.root)

    def columns(self) -> Iterator[Doubles]:
        """The matrix's columns."""
        return iter(self.root.T)

    def root_of(self, like: Tensor) -> Root:
        """The matrix."""
        return _Matrix(torch.as_tensor(self.root, dtype=like.dtype, device=like.device))


@dataclass(frozen=True)
class _Matrix:
    root: Tensor

    def shift(self, white: Tensor) -> Tensor:
        return white @ self.root

    def back(self, codes: Tensor) -> Tensor:
        return codes @ self.root

    def columns(self) -> Iterator[Tensor]:
        return iter(self.root.T)


@dataclass(frozen=True)
class Factored(Whitening):
    """S^½ = (I + Uᵀ diag(g) U) diag(√r) of S = FᵀF + diag r, U (k, d) with orthonormal rows those of F diag(1/√r), whose
    lengths ℓ give g = √(1 + ℓ²) − 1. No d × d arises. `scale`: √r, (d,); `rows`: U; `gain`: g, (k,).
    """

    mean: Doubles
    dead: int
    scale: Doubles
    rows: Doubles
    gain: Doubles

    @property
    def log_det(self) -> float:
        """Σ log √r + Σ log (1 + g)."""
        # log1p: a direction that the factors hardly touch has g near 0
        return float(np.log(self.scale).sum() + np.log1p(self.gain).sum())

    def apply(self, codes: NDArray[Any]) -> Doubles:
        """S^{-½}(z − m)."""
        plain = (np.asarray(codes, np.float64) - self.mean) / self.scale
        # U's rows are orthonormal: the inverse of I + Uᵀ diag(g) U is again of that form, and nothing d × d is solved.
        return np.asarray(plain + ((plain @ self.rows.T) * (1 / (1 + self.gain) - 1)) @ self.rows)

    def shift(self, white: NDArray[Any]) -> Doubles:
        """S^½ w."""
        white = np.asarray(white, np.float64)
        return np.asarray((white + ((white @ self.rows.T) * self.gain) @ self.rows) * self.scale)

    def stretched(self, directions: NDArray[Any]) -> Doubles:
        """S^½ᵀ v."""
        scaled = np.asarray(directions, np.float64) * self.scale
        return np.asarray(scaled + ((scaled @ self.rows.T) * self.gain) @ self.rows)

    def columns(self) -> Iterator[Doubles]:
        """One at a time."""
        return (self.shift(np.arange(self.latent_dim) == j) for j in range(self.latent_dim))

    def root_of(self, like: Tensor) -> Root:
        """The same products."""
        return _Product(*(torch.as_tensor(one).to(like) for one in (self.scale, self.rows, self.gain)))


@dataclass(frozen=True)
class _Product:
    scale: Tensor
    rows: Tensor
    gain: Tensor

    def shift(self, white: Tensor) -> Tensor:
        return (white + ((white @ self.rows.T) * self.gain) @ self.rows) * self.scale

    def back(self, codes: Tensor) -> Tensor:
        scaled = codes * self.scale
        return scaled + ((scaled @ self.rows.T) * self.gain) @ self.rows

    def columns(self) -> Iterator[Tensor]:
        unit = torch.zeros_like(self.scale)
        for j in range(len(unit)):
            # One buffer for all unit vectors: d of them at once would be the d × d that this class avoids.
            unit[j] = 1
            yield self.shift(unit)
            unit[j] = 0


def of_moments(moments: Moments) -> Whitening:
    """The whitening of a population's moments, whichever they are kept as. Raises `Mistake` where nothing varies at all."""
    if isinstance(moments, Whole):
        # The two kinds of moments are named here alone: everyone else asks a `Whitening`.
        return Whitening.of(moments.mean, moments.covariance)
    assert isinstance(moments, Sketch)
    # The widest is the first factor or what is left of a single dimension: the whole S, which would tell, is never formed.
    floor = _floor(max(float(np.square(moments.factors[0]).sum()), float(moments.rest.max())))
    scale = np.sqrt(np.maximum(moments.rest, floor))
    # Scaled first: the rows are orthonormal in units of what is left, in which S is I plus the factors.
    _, lengths, rows = np.linalg.svd(moments.factors / scale, full_matrices=False)
    alive = int((np.square(moments.factors).sum(1) > floor).sum())
    # A dimension without a rest of its own is dead unless a factor moves it.
    dead = max(int((moments.rest < floor).sum()) - alive, 0)
    return Factored(moments.mean, dead, scale, rows, np.sqrt(1 + np.square(lengths)) - 1)


def _floor(widest: float) -> float:
    if not widest > 0:
        raise Mistake("all codes are the same: there is no spread to measure latent distances by")
    return FLOOR * widest


def _noise(sigma: NDArray[Any]) -> Doubles:
    """E σ², (d,), in double precision, without a copy of all in it where they are many numbers."""
    sigma = _checked(sigma)
    # By columns, a few thousand at a time: a double-precision copy of all would take twice the memory of the codes.
    parts = [(np.asarray(sigma[:, at : at + LARGEST], np.float64) ** 2).mean(0) for at in range(0, sigma.shape[1], LARGEST)]
    return np.concatenate(parts)


def _checked(codes: NDArray[Any]) -> NDArray[Any]:
    codes = np.asarray(codes)
    if codes.ndim != 2 or len(codes) < 2:
        raise Mistake(f"codes must have shape (n, d) with n of 2 or more, got {codes.shape}")
    if broken := int((~np.isfinite(codes)).any(1).sum()):
        raise Mistake(f"{broken} of {len(codes)} codes are not finite: the run diverged, train it anew")
    return codes
