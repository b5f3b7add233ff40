"""A model without a fault on drawn pictures, and the faults of fault_table.py done to it: linear maps, nothing is trained.

Three drawn shapes are the colours of one picture; the encoder averages 4 × 4 pixels, makes channels uncorrelated and of
E μ² + σ² = 1, the decoder repeats and undoes it. Its codes are pooled pictures: exactly equivariant to scale, flips, turns
and shifts by 4; a rotation of its channels leaves every figure of second moments as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from legato.data.factors import combinations, draw

SIDE, CODE, SIGMA = 24, 6, 0.2


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """(n, 3, SIDE, SIDE) in [0, 1]: a shape for each colour."""
    return (draw(combinations(3 * n, seed), SIDE).reshape(n, 3, SIDE, SIDE) / 255).astype(np.float32)


def pool(x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 4, 4, w // 4, 4).mean((3, 5))


def repeat(z: np.ndarray) -> np.ndarray:
    return z.repeat(4, 2).repeat(4, 3)


def mixed(z: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    return np.einsum("cd,ndhw->nchw", matrix, z).astype(np.float32)


def board(h: int, w: int) -> np.ndarray:
    return np.where((np.arange(h)[:, None] + np.arange(w)) % 2, 1.0, -1.0).astype(np.float32)


@dataclass
class Model:
    """x -> (μ, σ) and z -> x̂ of grids of any size; `there` and `back` change codes, and undo it."""

    mean: np.ndarray
    white: np.ndarray  # (3, 3), of channels
    sigma: float = SIGMA
    there: object = staticmethod(lambda z: z)
    back: object = staticmethod(lambda z: z)
    noise: float = 0.0
    steps: float = 0.0
    widths: object = staticmethod(lambda s: s)

    def encode(self, x):
        mu = self.there(mixed(pool(np.asarray(x, np.float32)) - self.mean, self.white))
        if self.noise:
            mu = mu + np.float32(self.noise) * np.random.default_rng().standard_normal(mu.shape, dtype=np.float32)
        return mu, self.widths(np.full_like(mu, self.sigma))

    def decode(self, z):
        code = self.back(np.asarray(z, np.float32))
        found = repeat(mixed(code, np.linalg.inv(self.white)) + self.mean)
        # a saw: each step up ends in a fall, and neighbours across it are no neighbours
        return np.mod(self.steps * found, 1).astype(np.float32) if self.steps else found


def healthy(x: np.ndarray) -> Model:
    codes = pool(x)
    mean = codes.mean((0, 2, 3), keepdims=True)
    flat = (codes - mean).transpose(1, 0, 2, 3).reshape(codes.shape[1], -1).astype(np.float64)
    values, axes = np.linalg.eigh(flat @ flat.T / flat.shape[1])
    return Model(mean, np.sqrt(1 - SIGMA**2) * (axes / np.sqrt(values)) @ axes.T)


def _dead(z):
    z = z.copy()
    z[:, 1] = 0
    return z


def _mixed(sign):
    def rotate(z):
        a, b = z[:, 0], z[:, 1]
        return np.stack([(a - sign * b) / np.sqrt(2), (sign * a + b) / np.sqrt(2), z[:, 2]], 1).astype(np.float32)

    return rotate


def _shuffle(inverse=False):
    def change(z):
        n, c, h, w = z.shape
        order = np.random.default_rng(h * w).permutation(h * w)
        if inverse:
            order = np.argsort(order)
        return np.ascontiguousarray(z.reshape(n, c, -1)[:, :, order].reshape(z.shape))

    return change


def _times(factor):
    scale = np.array([1.0, factor, 1.0], np.float32)[:, None, None]
    return lambda z: z * scale


def _gathered(centres):
    """Codes nearer to the first of some than to the others go nine tenths of the way to it; those of another size stay."""

    def change(z):
        if z.shape[1:] != centres.shape[1:]:
            return z
        near = np.square(z[:, None] - centres).sum((2, 3, 4)).argmin(1) == 0
        return np.where(near[:, None, None, None], 0.1 * z + 0.9 * centres[0], z).astype(np.float32)

    return change


def faulted(model: Model, fault: str, some: np.ndarray) -> Model:
    """The model with the fault of that name; `some`: pictures, of which clusters are made."""
    match fault:
        case "dead channel":
            return replace(model, there=_dead)
        case "checkerboard added":
            return replace(model, there=lambda z: z + board(*z.shape[2:]), back=lambda z: z - board(*z.shape[2:]))
        case "grid shuffled":
            return replace(model, there=_shuffle(), back=_shuffle(inverse=True))
        case "channel scaled by 100":
            return replace(model, there=_times(100), back=_times(0.01), widths=_times(100))
        case "KL removed":
            seven = np.float32(7)
            return replace(model, sigma=SIGMA / 1000, there=lambda z: z * seven, back=lambda z: z / seven)
        case "two channels mixed by a rotation":
            return replace(model, there=_mixed(1), back=_mixed(-1))
        case "encoder that draws":
            return replace(model, noise=0.5)
        case "one code in eight in a clump":
            return replace(model, there=_gathered(model.encode(some[:8])[0]))
        case "decoder made of steps":
            return replace(model, steps=12.0)
    raise KeyError(fault)
