"""A likelihood for 8-bit values: the logistic distribution integrated over each of the 256 bins."""

from __future__ import annotations

from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.nn.functional import threshold

LEVELS = 256
SHARPEST, WIDEST = -88.0, 80.0  # log s between which e^{-log s} and e^{-log s}/255 are normal float32
FAR = 1e30  # of an edge at infinity, in units of s
BIN = 1 / (LEVELS - 1)  # the distance of neighbouring values on [0, 1]: both ends are values, so that there are 255 steps
NOWHERE = 1e9  # an edge that no bin has


class DiscretizedLogistic(Distribution):
    """P(x) = σ((x + b/2 − m)/s) − σ((x − b/2 − m)/s) for x in {0, 1/255, …, 1}, b = 1/255; the end bins take the tails.

    `mean` m and `log_scale` log s have one shape, one pair per value; the axes are independent (wrap in `Independent`).
    A probability, not a density: log P ≤ 0, its sum over the 256 values is 1, and −log₂ P is bits.

    Kingma et al. 2016, https://arxiv.org/abs/1606.04934, appendix B; Salimans et al. 2017, https://arxiv.org/abs/1701.05517.
    Where we differ: no epsilon, and no clamp that a probability could tell: a log s below −88 counts as −88, where all lies in
    one bin, since e^{88} is as steep as float32 gets; above, log P falls with log s for ever. With a the upper and c the lower
    edge in units of s, log(σ(a) − σ(c)) = log σ(a) + log σ(−c) + log(1 − e^{c − a}) is exact for any m and s, and a − c = b/s
    needs no cancellation. `least`: where log s is cut off instead of at −88.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = False

    def __init__(self, mean: Tensor, log_scale: Tensor, least: float = SHARPEST) -> None:
        self.loc: Tensor = mean
        self.log_scale, self.least = log_scale, least
        super().__init__(self.loc.shape, validate_args=False)

    @property
    def mean(self) -> Tensor:
        """m: the logistic's own mean, clipped to the range that pixels have (close to E[x] where s ≪ 1)."""
        return self.loc.clamp(0, 1)

    @property
    def scale(self) -> Tensor:
        """s, as far as float32 holds it."""
        return self.log_scale.clamp(self.least, WIDEST).exp()  # e⁸⁹ is infinite in float32

    @property
    def stddev(self) -> Tensor:
        """π s/√3 of the logistic before it is cut into bins."""
        return self.scale * (torch.pi / 3**0.5)

    def log_prob(self, value: Tensor) -> Tensor:
        """Nats per value; `value` lies on the grid k/255."""
        whole = torch.broadcast_shapes(value.shape, self.loc.shape)  # type: ignore[no-untyped-call]  # torch's
        loc, log_scale = self.loc.expand(whole), self.log_scale.expand(whole)
        # an estimate scores one x under many m and s: what is of x alone is computed once
        found: Tensor = _LogProb.apply(loc, log_scale, _bins(value.detach()), self.least)  # type: ignore[no-untyped-call]  # torch's
        return found

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws on the grid k/255: a logistic draw rounded to its bin."""
        uniform = torch.rand(Size(sample_shape) + self.loc.shape, dtype=self.loc.dtype, device=self.loc.device)
        uniform = uniform.clamp(1e-7, 1 - 1e-7)  # a uniform draw may be 0, whose logarithm is −∞
        draw = self.loc + self.scale * (uniform.log() - torch.log1p(-uniform))
        return (draw.clamp(0, 1) / BIN).round() * BIN


Bins = tuple[Tensor, Tensor, Tensor]


def _bins(value: Tensor) -> Bins:
    """Lower and upper edge of each value's bin, infinite where it takes the tail, and 1 for such a bin, else 0.

    No masks: `where` takes as long as ten sums.
    """
    # Edges from the level, not from x ± b/2: neighbours then share one edge to the last bit, and the sum telescopes to 1.
    level = (value / BIN).round_()
    lower = threshold(level, 0.5, -torch.inf).sub_(0.5).mul_(BIN)  # nothing lies below 0
    upper = threshold(-level, 1.5 - LEVELS, -torch.inf).sub_(0.5).mul_(-BIN)  # nor above 1
    middle = (LEVELS - 1) / 2
    return lower, upper, level.sub_(middle).abs_().sub_(middle - 1).clamp_(min=0)


class _LogProb(torch.autograd.Function):
    """m, log s, the bins -> log P, all of one shape. With c, a the edges in units of s and w = a − c = b/s, inside

    log P = log(σ(|a|) σ(|c|) (1 − e^{−w})) − max(−a, 0) − max(c, 0): one logarithm, of a product of factors that are no smaller
    than ½ but for the last; ∂/∂m = (σ(c) − σ(−a))/s; ∂/∂log s = c σ(c) − a σ(−a) − w/(e^w − 1). An end bin has but one edge.
    The derivatives are made with the value, of which they share all that takes time.
    """

    @staticmethod
    def forward(context: Any, m: Tensor, log_s: Tensor, bins: Bins, least: float) -> Tensor:
        lower, upper, end = bins
        inverse = log_s.neg().clamp_(-WIDEST, -least).exp_()
        # no −∞, for 0 · −∞ is no number; −a instead of a spares two negations
        c = torch.sub(lower, m).mul_(inverse).clamp_(min=-FAR)
        minus_a = torch.sub(m, upper).mul_(inverse).clamp_(min=-FAR)
        below, above = torch.sigmoid(c), torch.sigmoid(minus_a)
        minus_w = torch.mul(inverse, -BIN)
        # 1 in an end bin, which has no width: 1 − e^{−w} is never more
        width = torch.maximum(torch.expm1(minus_w).neg_(), end)
        found = torch.maximum(below, 1 - below).mul_(torch.maximum(above, 1 - above)).mul_(width).log_()
        found.sub_(c.clamp(min=0)).sub_(minus_a.clamp(min=0))
        # Beyond WIDEST the width b/s is its own first term, whose logarithm goes on falling by log s.
        found.addcmul_((log_s - WIDEST).clamp_(min=0), 1 - end, value=-1)
        if any(context.needs_input_grad):
            by_log_s = minus_a.mul_(above).addcmul_(c, below).addcdiv_(minus_w, width).sub_(minus_w)
            by_log_s = torch.ops.aten.threshold_backward(by_log_s, log_s, least)
            context.save_for_backward(below.sub_(above).mul_(inverse), by_log_s, m, log_s)
            context.known = bins, least
        return found

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        by_m, by_log_s, m, log_s = context.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is asked for: what was made with the value has no graph
            by_m, by_log_s = _slopes(m, log_s, *context.known)
        return gradient * by_m, gradient * by_log_s, None, None


def _slopes(m: Tensor, log_s: Tensor, bins: Bins, least: float) -> tuple[Tensor, Tensor]:
    """The derivatives that `_LogProb` tells, by operations that have derivatives themselves."""
    # no infinity, whose product with the derivative 0 of a clamp is no number
    lower, upper, end = bins[0].clamp(min=-NOWHERE), bins[1].clamp(max=NOWHERE), bins[2]
    inverse = log_s.clamp(least, WIDEST).neg().exp()
    c, minus_a = ((lower - m) * inverse).clamp(min=-FAR), ((m - upper) * inverse).clamp(min=-FAR)
    below, above, w = torch.sigmoid(c), torch.sigmoid(minus_a), BIN * inverse
    by_log_s = minus_a * above + c * below + w - w / torch.maximum(-torch.expm1(-w), end)
    return (below - above) * inverse, by_log_s * (log_s > least)
