"""A subject: what a measure needs of any model. It encodes to a distribution, decodes, and has a prior to sample.

Covered: a trained RUN, and PCA as a null. Not covered: pairs of functions (functions.py); the measures, which take arrays and
functions and know no model.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.decomposition import PCA
from torch import Tensor

from legato.data.prepared import spec_of
from legato.devices import drawing
from legato.errors import Mistake
from legato.latent_space import LatentSpace
from legato.streams import random_stream
from legato.types import Floats, Shape

ROWS = 250  # at a time, where a model is asked for what it chooses


@dataclass(frozen=True)
class Choices:
    """`index` (n, m): the number that each token of each image chose, those of each of `books` in a row, below `size`."""

    index: NDArray[Any]
    books: int
    size: int


class Subject(ABC):
    """A model under measurement. x (N, *shape): as the model sees it; z (N, latent_dim); images: x in the data's own units."""

    latent_dim: int
    event: Shape  # of one code, (d,) or (C, h, w); `latent_dim` is its product
    # z -> decoded mean in units of x, differentiable; None: a plain function, whose derivatives are differences
    decoder: Callable[[Tensor], Tensor] | None = None
    device = torch.device("cpu")  # the decoder's: codes go there before derivatives are taken
    # a RUN's own model, for what functions cannot give: likelihoods, gradients, starting weights
    space: LatentSpace | None = None
    has_log_px = False  # a function that stands in for a likelihood where there is no RUN
    scale: float | None = None  # by which its own configuration says that codes are to be multiplied
    standard_prior = True  # N(0, I), with which several figures compare by formula; of other priors they are absent

    @abstractmethod
    def encode(self, x: Floats) -> tuple[Floats, Floats | None]:
        """μ (N, latent_dim), and σ alike; None for points."""

    @abstractmethod
    def decode(self, z: Floats) -> Floats:
        """Decoded means, in the data's units."""

    @abstractmethod
    def cycle(self, z: Floats) -> Floats:
        """The mean of the code of what z decodes to, (N, latent_dim)."""

    def encode_again(self, x: Floats, seed: int) -> Floats:
        """μ with torch's generator at `seed`, (N, latent_dim): the same for every seed where encoding draws nothing."""
        return self.encode(x)[0]

    def decode_sized(self, grids: Floats) -> Floats:
        """Decoded means of codes (N, C, h, w) of another size than `event`. Raises `Mistake` where it takes none."""
        raise Mistake("this decoder takes codes of one size")

    def choices(self, x: Floats) -> Choices | None:
        """What a codebook's encoder chooses for each image; None where codes are not chosen among finitely many."""
        return None

    def prior(self, n: int, seed: int, purpose: str = "prior") -> Floats:
        """n draws from N(0, I), (n, latent_dim): others for each purpose."""
        # A stream for each purpose: holes and samples that shared their draws would err together.
        return random_stream(seed, purpose).standard_normal((n, self.latent_dim), dtype=np.float32)

    def log_px(self, x: Floats, z: Floats) -> NDArray[np.float64]:
        """log p(x|z), (n,), nats, where `has_log_px`. Raises `Mistake` elsewhere."""
        raise Mistake("this model has no `log_px`: give one, (x, z) -> nats per example")


class Trained(Subject):
    """A RUN."""

    def __init__(self, space: LatentSpace) -> None:
        self.space, self.latent_dim, self.event = space, space.latent_dim, space.model.latent.event
        self.decoder, self.device, self.standard_prior = space.decoder, space.device, space.has_standard_prior
        self._space = space

    def encode(self, x: Floats) -> tuple[Floats, Floats | None]:
        """The posterior's mean and standard deviation."""
        mu, sigma = self._space.posterior(x)
        return mu, sigma if self._space.has_width else None

    def choices(self, x: Floats) -> Choices | None:
        """The indices of its codebooks."""
        model, found, size = self._space.model, [], 0
        if not model.latent.books:
            return None
        with torch.no_grad():
            for at in range(0, len(x), ROWS):
                rungs = model(torch.from_numpy(x[at : at + ROWS]).to(self.device), 1).rungs
                counts = model.latent.usage(rungs)
                if counts is None or rungs[0].index is None:
                    return None
                size = counts.shape[-1]
                found.append(rungs[0].index.flatten(1).cpu().numpy())
        return Choices(np.concatenate(found), model.latent.books, size)

    def prior(self, n: int, seed: int, purpose: str = "prior") -> Floats:
        """n draws from the model's own prior."""
        return self._space.draw_prior(n, random_stream(seed, purpose))

    def decode(self, z: Floats) -> Floats:
        """The likelihood's mean."""
        return self._space.decode(z)

    def cycle(self, z: Floats) -> Floats:
        """encode(decode(z))."""
        return self._space.posterior(self._space.decode_prepared(z))[0]


def untrained(space: LatentSpace, seed: int) -> Trained:
    """The sentence of a RUN with starting weights. Raises `Mistake` where the RUN does not say of which data it is."""
    stored, definition = space.run.stored("data"), space.definition
    # On the CPU whatever the device: starting weights are then the same everywhere.
    with drawing(torch.device("cpu"), seed):
        recipe = definition.build(spec_of(stored))
    recipe.model.to(space.device)
    return Trained(LatentSpace(recipe, space.preparation, space.shape, space.run, definition))


class PrincipalComponents(Subject):
    """PCA of the prepared training data: the linear autoencoder, as a null. Codes are not whitened."""

    def __init__(self, train: Floats, latent_dim: int, restore: Callable[[NDArray[Any]], Floats]) -> None:
        self.shape, self._restore = train.shape[1:], restore
        flat = train.reshape(len(train), -1)
        self.latent_dim = min(latent_dim, *flat.shape)
        self.event = (self.latent_dim,)
        # seeded, as the randomised solver draws
        self._pca = PCA(self.latent_dim, svd_solver="randomized", random_state=0).fit(flat)

    def encode(self, x: Floats) -> tuple[Floats, None]:
        """The components' scores."""
        return np.asarray(self._pca.transform(x.reshape(len(x), -1)), np.float32), None

    def decode(self, z: Floats) -> Floats:
        """The linear reconstruction."""
        return self._restore(np.asarray(self._pca.inverse_transform(z), np.float32).reshape(-1, *self.shape))

    def cycle(self, z: Floats) -> Floats:
        """z itself, up to rounding: a projection."""
        # In the model's own units, without going through pictures: clipping would not be undone.
        return self.encode(np.asarray(self._pca.inverse_transform(z), np.float32))[0]
