"""Priors: p(z), perhaps given a label or the encoder.

Covered: N(0, I); a mixture of Gaussians, and a Gaussian for each class, learnt with the model; priors that are one fixed
distribution, such as every direction alike. Not covered: priors that the encoder makes (vamp.py), flows (flows.py), priors that
are fitted to codes after training (population.py).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Independent, MixtureSameFamily, Normal

from legato.arguments import checked
from legato.devices import doubled, drawing
from legato.errors import Mistake
from legato.label import ReadsLabel
from legato.trace import NOTHING, Given
from legato.types import Precision, Shape


class Prior(nn.Module):
    """Given -> a distribution over one code, of batch shape () or (B,), event shape `event`."""

    event: Shape
    has_moments = True  # whether it says its mean and deviation, from which `MeanRate` and `Pull` charge
    mixes_posteriors = False  # whether it is made of posteriors of examples that have no class
    exact = True  # whether log p(z) is known, and no estimate that is right in the mean alone
    standard = False  # N(0, I): what is drawn as rings, and has a KL in closed form from μ and σ alone

    @abstractmethod
    def forward(self, given: Given) -> Distribution:
        """p(z), or p(z|given)."""

    def draw(
        self, n: int, rng: np.random.Generator, temperature: float = 1.0, dtype: Precision = np.float32, given: Given = NOTHING
    ) -> NDArray[Any]:
        """n codes, (n, *event), that `rng` fixes. Raises `Mistake` for a temperature where deviations have no middle."""
        if temperature != 1:
            raise Mistake(f"a temperature scales deviations from a mean, and {type(self).__name__} has none: leave it at 1")
        with torch.no_grad(), drawing(torch.device("cpu"), int(rng.integers(2**63))):  # torch's draws follow `rng` alone
            return np.asarray(drawn(self(given), n).cpu().numpy(), dtype)

    def ways(
        self, n: int, rng: np.random.Generator, frames: int, temperature: float = 1.0, given: Given = NOTHING
    ) -> Iterator[NDArray[Any]]:
        """The ways of the n codes of `draw` from noise, (n, *event) each time. Raises `Mistake` where draws have no way."""
        raise Mistake("these draws have no way that could be shown: those of a prior by flow-matching have")


class StandardNormal(Prior):
    """N(0, I): what a VAE's codes are asked to look like as a population."""

    zero: Tensor
    one: Tensor
    standard = True

    @checked
    def __init__(self, event: Shape) -> None:
        super().__init__()
        self.event = event
        # Buffers, so that the prior moves to a device with the model; not stored: they say nothing that `event` does not.
        self.register_buffer("zero", torch.zeros(event), persistent=False)
        self.register_buffer("one", torch.ones(event), persistent=False)

    def forward(self, given: Given) -> Distribution:
        """The same for everything given."""
        return Independent(Normal(self.zero, self.one, validate_args=False), len(self.event), validate_args=False)

    def draw(
        self, n: int, rng: np.random.Generator, temperature: float = 1.0, dtype: Precision = np.float32, given: Given = NOTHING
    ) -> NDArray[Any]:
        """Temperature times NumPy's own standard normals, (n, *event)."""
        # in that type: a cast gives other draws
        return np.asarray(temperature * rng.standard_normal((n, *self.event), dtype=dtype))


class Unlearnt(Prior):
    """One distribution for all, of which nothing is learnt: `make` gives it of a tensor of zeros of a code's shape."""

    has_moments = False
    like: Tensor

    def __init__(self, event: Shape, make: Callable[[Tensor], Distribution]) -> None:
        super().__init__()
        self.event, self._make = event, make
        self.register_buffer("like", torch.zeros(event), persistent=False)

    def forward(self, given: Given) -> Distribution:
        """The same for everything given."""
        return self._make(self.like)


class MixtureOfGaussians(Prior):
    """Σ_k π_k N(m_k, diag s_k²), learnt with the model: clusters need not be squeezed into one ball.

    Means start as draws from N(0, I), scales at 1, so that training begins near a VAE's. KL(q ‖ p) has no closed form: it is
    taken at the draws. Dilokthanakul et al. 2016, https://arxiv.org/abs/1611.02648; Jiang et al. 2017 (VaDE),
    https://arxiv.org/abs/1611.05148. Raises `Mistake` for no components.
    """

    @checked
    def __init__(self, event: Shape, components: int) -> None:
        super().__init__()
        if components < 1:
            raise Mistake(f"`components` is a number of Gaussians, 1 or more; got {components}")
        self.event = event
        self.means = nn.Parameter(torch.randn(components, *event))  # apart from each other: equal components would stay equal
        self.log_scales = nn.Parameter(torch.zeros(components, *event))
        self.logits = nn.Parameter(torch.zeros(components))

    def forward(self, given: Given) -> Distribution:
        """The same for everything given."""
        parts = Independent(Normal(self.means, self.log_scales.exp(), validate_args=False), len(self.event))
        return MixtureSameFamily(Categorical(logits=self.logits, validate_args=False), parts, validate_args=False)

    def draw(
        self, n: int, rng: np.random.Generator, temperature: float = 1.0, dtype: Precision = np.float32, given: Given = NOTHING
    ) -> NDArray[Any]:
        """A component by its weight, then m + temperature · s ⊙ ε."""
        # double: NumPy's `choice` wants their sum to be 1 to 10⁻⁸
        weights = torch.softmax(doubled(self.logits.detach()), 0).cpu().numpy()
        of = rng.choice(len(weights), n, p=weights / weights.sum())
        means, scales = (doubled(each.detach()).cpu().numpy() for each in (self.means, self.log_scales.exp()))
        return np.asarray(means[of] + temperature * scales[of] * rng.standard_normal((n, *self.event)), dtype)


class GaussianOfEachClass(Prior, ReadsLabel):
    """p(z|y) = N(m_y, diag s_y²), learnt with the model: classes need not share one ball. KL(q ‖ p) has a closed form.

    Means and log scales start at 0, as N(0, I). Sohn, Lee & Yan 2015 learn p(z|y) by a net, of which this is the table.
    """

    @checked
    def __init__(self, event: Shape, classes: int) -> None:
        ReadsLabel.__init__(self, classes)  # once: a second initialiser of a module would drop what the first registered
        self.event = event
        self.means = nn.Parameter(torch.zeros(classes, *event))
        self.log_scales = nn.Parameter(torch.zeros(classes, *event))

    def forward(self, given: Given) -> Distribution:
        """p(z|class), of batch shape (B,); () where all have one class. Raises `Mistake` without a label."""
        label = self.label(given)
        return Independent(
            Normal(self.means[label], self.log_scales[label].exp(), validate_args=False), len(self.event), validate_args=False
        )

    def draw(
        self, n: int, rng: np.random.Generator, temperature: float = 1.0, dtype: Precision = np.float32, given: Given = NOTHING
    ) -> NDArray[Any]:
        """m_y + temperature · s_y ⊙ ε, ε NumPy's."""
        of = self(given)
        mean, scale = (doubled(each.detach()).cpu().numpy() for each in (of.mean, of.stddev))
        return np.asarray(mean + temperature * scale * rng.standard_normal((n, *self.event)), dtype)


def drawn(of: Distribution, n: int) -> Tensor:
    """n draws; one of each where it is a batch of n already, as a prior given the labels of n examples is."""
    return of.sample(() if of.batch_shape else (n,))
