"""Features of images: what a distance between sets of them is measured in.

Covered: principal components of the pixels, a fixed random convolutional net, and the interface that the classifier of digits
has too (digits.py); feature_choice.py says which apply. Not covered: Inception's, which are off their domain on small grey
pictures, and a download besides.
No one set of features is right. An order of models that only one of them gives is an order of the features' making.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor
from torch.nn.functional import conv2d, relu

from legato.errors import Mistake
from legato.types import Shape, Singles

COMPONENTS = 64  # as many as the classifier's (digits.py), so that all sets of features but the net's are of one size
FITTED = 20_000  # examples that components and scales are fitted to: more change nothing that is seen
EXACT = 4000  # pixels up to which components are exact; beyond, a covariance would fill memory, and they are near to it
LEAST = 0.01  # of the widest channel's spread: what a channel is divided by at least
BLOCK = 500  # images at a time: activations of the random net stay small whatever n is


class Features(ABC):
    """images (n, *shape) -> features (n, f). Pictures are (C, H, W) in [0, 1], rows of a table in their own units.

    `name` says what they are. `hash` is BLAKE2b of the numbers that make them: figures of equal hashes compare.
    """

    name: str
    hash: str
    shape: Shape

    def of(self, images: NDArray[Any]) -> Singles:
        """Features (n, f), in order. Raises `Mistake` for another shape, no image, or values that are not finite."""
        if images.shape[1:] != self.shape or not len(images):
            raise Mistake(f"`images` must be (n, {', '.join(map(str, self.shape))}) with n of 1 or more, got {images.shape}")
        parts = [self._block(finite(images[at : at + BLOCK])) for at in range(0, len(images), BLOCK)]
        return np.concatenate(parts)

    @abstractmethod
    def _block(self, images: Singles) -> Singles:
        """The features of a few images, which are finite."""


class PrincipalComponents(Features):
    """The scores of the first 64 principal components of the pixels of `real` (N, *shape), not whitened.

    Distances are then nearly those of the pixels, with the noise of the last components left out.
    """

    def __init__(self, real: NDArray[Any], components: int = COMPONENTS) -> None:
        self.shape = real.shape[1:]
        flat = finite(_some(real)).reshape(-1, int(np.prod(self.shape)))
        solver = "covariance_eigh" if flat.shape[1] <= EXACT else "randomized"
        # Seeded for the randomised solver: equal data give equal components, and equal hashes.
        self._pca = PCA(min(components, *flat.shape), svd_solver=solver, random_state=0).fit(flat)
        self.name = f"PCA-{self._pca.n_components_} of the pixels"
        self.hash = _hash([self._pca.mean_, self._pca.components_])

    def _block(self, images: Singles) -> Singles:
        return np.asarray(self._pca.transform(images.reshape(len(images), -1)), np.float32)


class RandomNet(Features):
    """A convolutional net that was never trained: 3 × (3×3 convolution of stride 2, ReLU) with 32, 64 and 128 channels.

    Each channel is averaged over the picture, then standardised on `real` (N, C, H, W). Weights are drawn from N(0, 2/fan-in)
    with `seed`. It sees local texture and forgets where it is, the reverse of PCA. For random features beside trained ones see
    Naeem et al. 2020, https://arxiv.org/abs/2002.09797.
    """

    def __init__(self, real: NDArray[Any], seed: int = 0, widths: Sequence[int] = (32, 64, 128)) -> None:
        if real.ndim != 4:
            raise Mistake(f"a convolutional net needs pictures (N, C, H, W), got {real.shape}")
        self.shape = real.shape[1:]
        self._weights = _drawn(self.shape[0], widths, seed)
        self._shift, self._scale = np.zeros(1, np.float32), np.ones(1, np.float32)
        # Twice through `of`: with the shift 0 and scale 1 of above it gives plain averages, which set the true ones.
        plain = self.of(_some(real))
        self._shift, spread = plain.mean(0), plain.std(0)
        # a channel that is dead on these images stays small where another image wakes it, or it would be all of a distance
        self._scale = np.maximum(spread, LEAST * spread.max() or 1.0)
        self.name = f"{widths[-1]} channels of a random convolutional net"
        self.hash = _hash([self._shift, self._scale, *(weight.numpy() for weight in self._weights)])

    @torch.no_grad()
    def _block(self, images: Singles) -> Singles:
        x = torch.from_numpy(grey(images))
        for weight in self._weights:
            x = relu(conv2d(x, weight, stride=2, padding=1))
        return np.asarray((x.mean((2, 3)).numpy() - self._shift) / self._scale, np.float32)


def _drawn(channels: int, widths: Sequence[int], seed: int) -> list[Tensor]:
    """Weights (width, before, 3, 3) whose outputs keep the inputs' size through ReLU. He et al. 2015."""
    # A generator of its own: the global one would give other features in each process.
    generator = torch.Generator().manual_seed(seed)
    shapes = pairwise((channels, *widths))
    return [torch.randn(width, before, 3, 3, generator=generator) * (2 / (9 * before)) ** 0.5 for before, width in shapes]


def _some(real: NDArray[Any]) -> NDArray[Any]:
    if len(real) <= FITTED:
        return real
    return real[np.sort(np.random.default_rng(0).choice(len(real), FITTED, replace=False))]


def finite(images: NDArray[Any]) -> Singles:
    """The images in single precision. Raises `Mistake` where a value is NaN or infinite."""
    images = np.asarray(images, np.float32)
    if broken := int((~np.isfinite(images)).reshape(len(images), -1).any(1).sum()):
        raise Mistake(f"{broken} of {len(images)} images hold values that are not finite: the model diverged, train it anew")
    return images


def grey(images: Singles) -> Singles:
    """Images within [0, 1], as a screen shows them: a linear decoder may leave it. Raises `Mistake` where they are bytes."""
    # A mean above 1 can only be bytes: decoders overshoot [0, 1] by little, and clipping bytes would make all white.
    if images.mean() > 1:
        raise Mistake(f"`images` must be in [0, 1], got values up to {images.max():g}: divide bytes by 255")
    return np.clip(images, 0, 1)


def _hash(arrays: Sequence[NDArray[Any]]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()
