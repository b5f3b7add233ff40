"""A likelihood for 8-bit values: the logistic distribution integrated over each of the 256 bins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.nn.functional import logsigmoid

LEVELS = 256
SHARPEST, WIDEST = -88.0, 80.0  # log s between which e^{-log s} and e^{-log s}/255 are normal float32
BIN = 1 / (LEVELS - 1)  # the distance of neighbouring values on [0, 1]: both ends are values, so that there are 255 steps


class DiscretizedLogistic(Distribution):
    """P(x) = σ((x + b/2 − m)/s) − σ((x − b/2 − m)/s) for x in {0, 1/255, …, 1}, b = 1/255; the end bins take the tails.

    `mean` m and `log_scale` log s have one shape, one pair per value; the axes are independent (wrap in `Independent`).
    A probability, not a density: log P ≤ 0, its sum over the 256 values is 1, and −log₂ P is bits.

    Kingma et al. 2016, https://arxiv.org/abs/1606.04934, appendix B; Salimans et al. 2017, https://arxiv.org/abs/1701.05517.
    Where we differ: no epsilon, and no clamp that a probability could tell: a log s below −88 counts as −88, where all lies in
    one bin, since e^{88} is as steep as float32 gets; above, log P falls with log s for ever. With a the upper and c the lower
    edge in units of s, log(σ(a) − σ(c)) = log σ(a) + log σ(−c) + log(1 − e^{c − a}) is exact for any m and s, and a − c = b/s
    needs no cancellation.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, mean: Tensor, log_scale: Tensor) -> None:
        self.loc: Tensor = mean
        self.log_scale: Tensor = log_scale
        super().__init__(self.loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """m: the logistic's own mean, clipped to the range that pixels have (close to E[x] where s ≪ 1)."""
        return self.loc.clamp(0, 1)

    @property
    def stddev(self) -> Tensor:
        """π s/√3 of the logistic before it is cut into bins."""
        return self.log_scale.clamp(max=WIDEST).exp() * (torch.pi / 3**0.5)  # e⁸⁹ is infinite in float32

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats per value; `value` lies on the grid k/255."""
        inverse = torch.exp(-self.log_scale.clamp(SHARPEST, WIDEST))
        # Edges from the level, not from x ± b/2: neighbours then share one edge to the last bit, and the sum telescopes to 1.
        level = (value / BIN).round()
        upper, lower = ((level + 0.5) * BIN - self.loc) * inverse, ((level - 0.5) * BIN - self.loc) * inverse
        # Beyond WIDEST the width b/s is its own first term, whose logarithm goes on falling by log s.
        log_width = torch.log(-torch.expm1(-BIN * inverse)) - (self.log_scale - WIDEST).clamp(min=0)
        below = torch.where(level < 0.5, 0.0, logsigmoid(-lower))  # nothing lies below 0: this bin takes the tail
        above = torch.where(level > LEVELS - 1.5, 0.0, logsigmoid(upper))  # nor above 1
        inside = (level > 0.5) & (level < LEVELS - 1.5)
        return torch.where(inside, log_width, 0.0) + below + above  # an end bin has one edge alone, hence no width

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws on the grid k/255: a logistic draw rounded to its bin."""
        uniform = torch.rand(Size(sample_shape) + self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        uniform = uniform.clamp(1e-7, 1 - 1e-7)  # a uniform draw may be 0, whose logarithm is −∞
        draw = self.loc + self.log_scale.clamp(max=WIDEST).exp() * (uniform.log() - torch.log1p(-uniform))
        return (draw.clamp(0, 1) / BIN).round() * BIN
