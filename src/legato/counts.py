"""Families of counts: what a net's numbers mean where x is how often something was seen.

Covered: Poisson, negative binomial, either with zeros beside it, multinomial. Not covered: their probabilities and draws
(distributions/counts.py).

Counts span decades, so that a net's number t is the logarithm of a mean, in units of the column's own mean m over the training
rows: log μ = log m + t. At t = 0, near which a net begins, every column has its mean.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent
from torch.nn.functional import relu

from legato.distributions import counts
from legato.distributions.fisher import Quadratic, diagonal
from legato.families import Family
from legato.types import Shape

STEEP = 10.0  # above e¹⁰ column means a mean grows by t and no longer by e^t, else an outlier's would be infinite
LEAST = 1e-6  # of a column's mean: one that is 0 in all training rows has a logarithm all the same
SELDOM = -3.0  # logit of a zero of which nothing was counted, where a net begins: 1 in 20
PACE = 10.0  # of log r, in units of what is learnt
CERTAIN = 18.0  # of |log r|: at 18 r is 66 million, and the variance a Poisson's for means of thousands


def tamed(t: Tensor) -> Tensor:
    """t up to `STEEP` = c, c + log(1 + t − c) above: its slope has no step, and e to it is a float32 for any t."""
    return t.clamp(max=STEEP) + torch.log1p(relu(t - STEEP))


def slope(t: Tensor) -> Tensor:
    """The derivative of `tamed`."""
    return 1 / (1 + relu(t - STEEP))


class Logarithm(nn.Module):
    """log(1 + x): what a net reads of counts, which span decades; of x itself it would see the largest column and no other."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, D)."""
        return torch.log1p(x)


class Counted(Family):
    """The common part of families whose values are independent counts, one number t for each: log μ = log m + tamed(t).

    means: m, of each column or one for all.
    """

    start: Tensor

    def __init__(self, means: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        self.register_buffer("start", torch.tensor(means).clamp(min=LEAST).log())

    @abstractmethod
    def each(self, log_mean: Tensor) -> counts.Poisson | counts.NegativeBinomial:
        """The distribution of every value by itself."""

    def shape(self, event: Shape) -> Shape:
        """The event's own: a log mean, in units of the column's."""
        return event

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event) -> independent counts."""
        return Independent(self.each(self.start + tamed(theta)), len(event), validate_args=False)

    def information(self, theta: Tensor, event: Shape) -> Quadratic:
        """W = μ²/Var(x) by the log mean."""
        of = self.each(self.start + tamed(theta))
        return diagonal((of.mean.square() / of.variance).detach() * slope(theta) ** 2)


class Poisson(Counted):
    """Counts whose variance is their mean: events that do not know of each other. Nothing but the means is learnt."""

    def each(self, log_mean: Tensor) -> counts.Poisson:
        """Of rate μ."""
        return counts.Poisson(log_mean)


class NegativeBinomial(Counted):
    """Counts whose variance is μ + μ²/r, r learnt for each column: more spread out than a Poisson's, as most counts are.

    A count pulls at log μ by r (x − μ)/(r + μ), where a Poisson's pulls by x − μ: a column of millions outweighs no other.
    Of counted genes Lopez et al. 2018, https://doi.org/10.1038/s41592-018-0229-2; there a cell's total is a latent of its own,
    here the code tells it with the rest. At the start r is 0.3⁻², noise of 0.3 of a mean, as a Gaussian's is of a deviation:
    were it wider, it would explain what the code is to tell. `of`: the shape of r.
    """

    def __init__(self, means: Sequence[float] = (1.0,), of: Shape = ()) -> None:
        super().__init__(means)
        # a step of AdamW moves every weight by about as much, and log r has further to go than a net's have
        self.scaled_log_r = nn.Parameter(torch.full(of, -2 * math.log(0.3) / PACE))

    @property
    def log_r(self) -> Tensor:
        """The logarithm of the inverse dispersion, −18 to 18."""
        return (PACE * self.scaled_log_r).clamp(-CERTAIN, CERTAIN)

    def each(self, log_mean: Tensor) -> counts.NegativeBinomial:
        """Of mean μ and inverse dispersion r."""
        return counts.NegativeBinomial(log_mean, self.log_r)


class ZeroInflated(Family):
    """Counts of another family, and zeros beside them of which nothing was counted: θ = (its t, the logit of such a zero)."""

    def __init__(self, counted: Counted) -> None:
        super().__init__()
        self.counted = counted

    def shape(self, event: Shape) -> Shape:
        """(2, *event)."""
        return (2, *event)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 2, *event) -> independent counts."""
        t, logit = theta.unbind(-1 - len(event))
        counted = self.counted.each(self.counted.start + tamed(t))
        return Independent(counts.ZeroInflated(counted, logit + SELDOM), len(event), validate_args=False)


class Multinomial(Family):
    """How a row's total falls to its columns, θ the logits, in units of the columns' means; the total is taken as given.

    log p(x|z) is log p(x|z, n) with the row's own n = Σ x, so it is not to be compared with that of a family that has to tell
    n, too. Decoded means and draws are of a row whose total is the training rows' mean. Liang et al. 2018,
    https://arxiv.org/abs/1802.05814, eq. 2, who leave the coefficient n!/∏ x! out.
    """

    takes_total = True
    start: Tensor
    total: Tensor

    def __init__(self, means: Sequence[float] = (1.0,)) -> None:
        super().__init__()
        self.register_buffer("start", torch.tensor(means).clamp(min=LEAST).log())
        self.register_buffer("total", torch.tensor(sum(means)))

    def shape(self, event: Shape) -> Shape:
        """The event's own: a logit for each column."""
        return event

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, D) -> counts that add up to the row's total."""
        return counts.Multinomial(self.start + theta, self.total)

    def information(self, theta: Tensor, event: Shape) -> Quadratic:
        """W = n (diag π − ππᵀ) by the logits, at the mean total."""
        share = torch.softmax(self.start + theta, -1)

        def form(tangent: Tensor) -> Tensor:
            mean = (share * tangent).sum(-1, keepdim=True)
            return diagonal(self.total * share)(tangent - mean)

        return form
