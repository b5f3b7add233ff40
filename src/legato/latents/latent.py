"""What every latent structure offers a model: encode once, draw often, sample without x."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

from torch import Tensor, nn
from torch.distributions import Distribution

from legato.families import Shape
from legato.trace import Given, Rung


class Latent(nn.Module):
    """posterior × prior.

    `encode` runs the network once; `draw` may then be called as often as an estimate wants, so that an importance-weighted
    bound with k = 1000 costs one pass of the encoder, not 1000.
    """

    event: Shape  # of one code
    has_density: bool  # False where the posterior is a point mass: then there is no rate and no bound

    @abstractmethod
    def encode(self, x: Tensor) -> Any:
        """x (B, *data) -> whatever `draw` needs; what does not depend on the draw."""

    @abstractmethod
    def draw(self, encoded: Any, draws: int, given: Given) -> tuple[Tensor, tuple[Rung, ...]]:
        """(code (S, B, *event), rungs) with S = `draws`."""

    @abstractmethod
    def posterior(self, x: Tensor) -> Distribution:
        """q(z|x) of the code: what is shown of an image. Batch shape (B,), event shape `event`."""

    @abstractmethod
    def sample(self, n: int, given: Given) -> Tensor:
        """n codes from the prior, (n, *event)."""
