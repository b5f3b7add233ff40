"""Families of data beyond those of one middle and one scale: several middles, every value by itself, long tails.

Covered: mixtures of discretised logistics, a categorical over the 256 values of a byte, Student's t. Not covered: plain ones
(families.py).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical as Choice
from torch.distributions import Distribution, Independent, MixtureSameFamily, StudentT
from torch.nn.functional import softplus

from legato.alarm import Alarm
from legato.arguments import checked
from legato.distributions import BIN, DiscretizedLogistic
from legato.distributions.fisher import Quadratic, diagonal
from legato.errors import Mistake
from legato.families import MIN_SCALE, SHARPEST, Family, at_floor
from legato.types import Shape

LEVELS = 256


class MixedLogistics(Family):
    """Σ_k π_k of K discretised logistics for each value, θ = (log π, means, log scales), 3 K numbers for each.

    It may say "black or white, not grey". At θ = 0 the means lie apart, from 0 to 1, so that components differ from the start.
    Salimans et al. 2017, https://arxiv.org/abs/1701.05517, with each channel by itself.
    """

    levels = LEVELS

    @checked
    def __init__(self, components: int = 5) -> None:
        super().__init__()
        if components < 1:
            raise Mistake(f"`components` of a mixture is 1 or more, got {components}")
        self.components = components

    def shape(self, event: Shape) -> Shape:
        """(3 K, *event)."""
        return (3 * self.components, *event)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 3 K, *event) -> independent mixtures on {0, 1/255, …, 1}."""
        axis = -1 - len(event)
        logits, means, log_scales = (part.movedim(axis, -1) for part in theta.chunk(3, axis))
        apart = torch.linspace(0, 1, self.components + 2, dtype=theta.dtype, device=theta.device)[1:-1]
        parts = DiscretizedLogistic(means + apart, log_scales - 2.0, SHARPEST)
        mixed = MixtureSameFamily(Choice(logits=logits, validate_args=False), parts, validate_args=False)
        return Independent(mixed, len(event), validate_args=False)


class EachValue(Family):
    """A probability of its own for each of the 256 values of a byte, θ its logits: nothing is assumed of neighbours.

    theta (*lead, 256, *event); 256 outputs for each value make a dense decoder large. van den Oord, Kalchbrenner & Kavukcuoglu
    2016, https://arxiv.org/abs/1601.06759, section 3.3.
    """

    levels = LEVELS

    def shape(self, event: Shape) -> Shape:
        """(256, *event)."""
        return (LEVELS, *event)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 256, *event), logits -> independent distributions on {0, 1/255, …, 1}."""
        return Independent(OnGrid(theta.movedim(-1 - len(event), -1)), len(event), validate_args=False)


class OnGrid(Distribution):
    """A categorical over {0, 1/255, …, 1}, of logits (*batch, 256)."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)

    def __init__(self, logits: Tensor) -> None:
        self.log_chances = torch.log_softmax(logits, -1)
        super().__init__(logits.shape[:-1], validate_args=False)

    @property
    def values(self) -> Tensor:
        """0, 1/255, …, 1."""
        return torch.arange(LEVELS, dtype=self.log_chances.dtype, device=self.log_chances.device) * BIN

    @property
    def mean(self) -> Tensor:
        """E x."""
        return self.log_chances.exp() @ self.values

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats per value; `value` lies on the grid."""
        whole = torch.broadcast_shapes(value.shape, self.batch_shape)  # type: ignore[no-untyped-call]  # torch's
        level = (value / BIN).round().long().clamp(0, LEVELS - 1).expand(whole)
        return self.log_chances.expand(*whole, LEVELS).gather(-1, level[..., None])[..., 0]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws on the grid."""
        return self.values[Choice(logits=self.log_chances, validate_args=False).sample(sample_shape)]  # type: ignore[no-untyped-call]


class Heavy(Family):
    """Student's t about θ, its scale σ and degrees of freedom ν learnt, one pair for an image, one for each column of a table.

    p(x) falls as |x|^{−ν−1}, so that an outlier costs a few nats where a Gaussian's would be hundreds. ν stays above 2, below
    which there is no variance. `of`: the shape of σ and ν.
    """

    @checked
    def __init__(self, of: Shape = ()) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.full(of, math.log(0.3)))
        self.freedom = nn.Parameter(torch.full(of, 3.0))

    @property
    def scale(self) -> Tensor:
        """σ, in units of the prepared data, at least 10⁻⁴."""
        return self.log_scale.exp().clamp(min=MIN_SCALE)

    def alarms(self) -> list[Alarm]:
        """Where σ lies at its floor."""
        return at_floor(self.scale)

    @property
    def nu(self) -> Tensor:
        """ν, above 2."""
        return 2 + softplus(self.freedom)

    def shape(self, event: Shape) -> Shape:
        """The event's own: the middle."""
        return event

    def information(self, theta: Tensor, event: Shape) -> Quadratic:
        """W = (ν + 1)/((ν + 3) σ²) by the middle."""
        nu = self.nu.detach()
        return diagonal((nu + 1) / ((nu + 3) * self.scale.detach() ** 2) * torch.ones_like(theta))

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event), the middle -> Student's t."""
        spread = StudentT(self.nu.expand_as(theta), theta, self.scale.expand_as(theta), validate_args=False)
        return Independent(spread, len(event), validate_args=False)
