"""The interface of every latent structure to a model: encode once, draw often, show itself, sample without x.

Covered: the questions. Not covered: the answers of one group (flat.py), of a ladder (ladder.py), of a codebook (codebook.py).
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Distribution

from legato.errors import Mistake
from legato.moments import whole
from legato.shown import Line
from legato.trace import NOTHING, Given, Rung, Summary
from legato.types import Precision, Shape, Temperature


class Latent(nn.Module):
    """posterior × prior; `event` is the shape of one code.

    `encode` runs the network once; `draw` may then be called as often as an estimate wants, so that an importance-weighted
    bound with k = 1000 costs one pass of the encoder, not 1000.
    """

    event: Shape
    has_density: bool  # False where the posterior is a point mass of real numbers: then there is no rate and no bound
    has_width: bool  # whether a code has a σ: without one there are no clouds to show
    has_moments: bool  # whether q and p have a mean and a deviation each, rung by rung: what `Pull` and `MeanRate` read
    has_choice: bool  # whether a code is one of finitely many: only then is there anything to commit to
    has_product: bool  # whether q is a product over the dimensions of one group, made of known parameters
    standard_prior: bool  # whether p(z) is N(0, I): only then do rings, and a KL of μ and σ alone, mean what they seem to
    books = 0  # codebooks that a code's indices, in a row, are of in equal parts
    exact_prior = True  # whether log p(z) is known, and no estimate that is right in the mean alone
    levels: tuple[str, ...] = ()  # groups above each other, the top first, by what is said of each; none of one group

    asks_decoder = False  # whether codes hang on the decoder, too
    portable = True  # whether what `summary` says is made by operators that ONNX has
    portable_width = True  # whether σ is made by operators that ONNX Runtime has

    @abstractmethod
    def encode(self, x: Tensor, given: Given = NOTHING) -> Any:
        """x (B, *data) -> whatever `draw` and `summary` need; what does not depend on the draw."""

    @abstractmethod
    def draw(self, encoded: Any, draws: int, given: Given) -> tuple[Tensor, tuple[Rung, ...]]:
        """(code (S, B, *event), rungs) with S = `draws`."""

    @abstractmethod
    def summary(self, encoded: Any, given: Given = NOTHING) -> Summary:
        """The figures that are shown of the codes of x: the same at every call, whatever the generator's state."""

    def parts(self, values: Tensor) -> Tensor:
        """Numbers of each dimension, (B, *event), in a row (B, d); of more than 4,096 dimensions sums of channels, (B, C)."""
        if whole(math.prod(self.event)):
            return values.flatten(1)
        return values.reshape(len(values), self.event[0] if len(self.event) > 1 else 1, -1).sum(2)

    def posterior(self, x: Tensor, given: Given = NOTHING) -> Distribution | None:
        """q(z|x), batch shape (B,), event shape `event`; None where a code is no draw of one distribution."""
        return None

    def known(self, given: Given) -> Given:
        """What is given, with x ↦ q(z|x) for a prior that is made of posteriors."""
        return replace(given, infer=self.infer)

    def usage(self, rungs: Sequence[Rung]) -> Tensor | None:
        """How often a pass chose each of finitely many values, (books, K), where codes are made of such."""
        return None

    def infer(self, x: Tensor) -> Distribution | None:
        """The posterior that a prior made of posteriors is a mixture of: q(z|x), of a ladder that of its top."""
        return self.posterior(x)

    @abstractmethod
    def prior(self, given: Given = NOTHING) -> Distribution:
        """p(z), event shape `event`; batch shape (B,) where it depends on each example's label."""

    @abstractmethod
    def draw_prior(
        self,
        n: int,
        rng: np.random.Generator,
        temperature: Temperature = 1.0,
        dtype: Precision = np.float32,
        given: Given = NOTHING,
    ) -> NDArray[Any]:
        """n codes from the prior by NumPy's generator, (n, *event); deviations from its mean times `temperature`."""

    def temperatures(self, said: Temperature) -> tuple[float, ...]:
        """The temperature of each level, the top's first; of one group one. Raises `Mistake` for what is none."""
        try:
            found = [float(one) for one in (said.split(",") if isinstance(said, str) else np.atleast_1d(np.asarray(said)))]
        except (TypeError, ValueError):
            found = [math.nan]
        if not all(0 <= one < math.inf for one in found):
            raise Mistake(f"`temperature` must be a number, 0 or more, or one for each level; got {said}")
        count = len(self.levels) or 1
        if len(found) not in (1, count):
            have = f"{count} levels, and" if self.levels else "one group of latents and no levels:"
            raise Mistake(f"this model has {have} {len(found)} temperatures were given: give one{' for each' * (count > 1)}")
        return tuple(found * count if len(found) == 1 else found)

    def continued(
        self, code: Tensor, keep: int, rng: np.random.Generator, temperatures: Sequence[float], given: Given = NOTHING
    ) -> Tensor:
        """Codes (n, d) whose first `keep` levels are those of `code` (n, d), the others drawn from p(z_l|z_{<l}).

        Raises `Mistake` where there are no levels, or not so many.
        """
        if not isinstance(self, Levelled) or not self.levels:
            raise Mistake("this model has one group of latents, no levels to keep: `ladder_vae` and `hierarchy_vae` have some")
        if not 0 <= keep <= len(self.levels):
            raise Mistake(f"there are {len(self.levels)} levels, of which 0 to {len(self.levels)} may be kept; got {keep}")
        with torch.no_grad():
            return self._drawn_below(code, keep, rng, temperatures, given)

    @abstractmethod
    def sample(self, n: int, given: Given = NOTHING) -> Tensor:
        """n codes from the prior by torch's generator, (n, *event)."""

    def ways(
        self, n: int, rng: np.random.Generator, frames: int, temperature: float = 1.0, given: Given = NOTHING
    ) -> Iterator[NDArray[Any]]:
        """The ways of n draws of the prior from noise, (n, *event) each time. Raises `Mistake` where draws have none."""
        raise Mistake("draws of several groups of latents have no way that could be shown")

    def take(self, prior: Any) -> None:
        """Puts a prior that was fitted to codes in the place of p(z). Raises `Mistake` for several groups of latents."""
        raise Mistake(
            "this model's prior is one for each level given those above it, and no prior of all codes takes its place"
        )

    @abstractmethod
    def told(self) -> list[Line]:
        """The sentence in its parts, for people."""


class Levelled(Latent):
    """A latent of groups above each other, each drawn given those above it; the code is all in a row, the top first."""

    @abstractmethod
    def _drawn_below(
        self, code: Tensor, keep: int, rng: np.random.Generator, temperatures: Sequence[float], given: Given
    ) -> Tensor:
        """`continued`, without a gradient."""

    def draw_prior(
        self,
        n: int,
        rng: np.random.Generator,
        temperature: Temperature = 1.0,
        dtype: Precision = np.float32,
        given: Given = NOTHING,
    ) -> NDArray[Any]:
        """n codes, (n, d), from the top down; each level's deviations from its mean times its temperature."""
        nothing = torch.zeros(n, *self.event, device=next(self.parameters()).device)
        with torch.no_grad():
            found = self._drawn_below(nothing, 0, rng, self.temperatures(temperature), given)
        return np.asarray(found.cpu().numpy(), dtype)
