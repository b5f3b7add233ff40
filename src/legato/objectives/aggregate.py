"""Terms of the codes of all examples together: how far their population lies from the prior's, or from independence.

Covered: maximum mean discrepancy, sliced Wasserstein distance, the covariance that DIP charges for, words' entropy. None is
per example: each is one number of the whole batch (of all ranks), the same for every example. Not covered: the parts of the
rate (decomposition.py), what a critic learns (adversaries.py).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from legato import ranks
from legato.arguments import checked
from legato.devices import exact
from legato.errors import Mistake, unknown
from legato.objectives.term import Term
from legato.trace import Trace

Kernel = Callable[[Tensor, Tensor | float], Tensor]
TOGETHER = 8  # bits whose 2^8 outcomes are counted at once
WIDTHS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)  # of a kernel, as multiples of the prior's own mean squared distance
# squared distances and a squared width -> likeness, 1 for equals: one with tails that feel what is far, one that does not
KERNELS: dict[str, Kernel] = {
    "imq": lambda square, width: width / (width + square),
    "rbf": lambda square, width: torch.exp(-square / width),
}


def squared_distances(a: Tensor, b: Tensor) -> Tensor:
    """‖aᵢ − bⱼ‖², (n, m), of rows (n, d) and (m, d)."""
    with exact(a.device):  # a difference of large squares: bfloat16 would keep none of it
        return (a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T).clamp(min=0)


def mean_discrepancy(x: Tensor, y: Tensor, kernel: Kernel) -> Tensor:
    """MMD²(x, y) = E k(x, x′) + E k(y, y′) − 2 E k(x, y), the unbiased estimate of rows (n, d) and (m, d), (): 0 on average
    where both are draws of one distribution, so that it may be below 0. Gretton et al. 2012,
    https://jmlr.org/papers/v13/gretton12a.html, eq. 3.

    `kernel` is averaged over widths from 0.1 to 10 times the mean squared distance of two rows of y, which grows with d as it
    must: at a fixed width all rows are equally far from each other once d is large.
    """
    within = squared_distances(y, y)
    width = _off_diagonal(within).detach()

    def likeness(square: Tensor) -> Tensor:
        return torch.stack([kernel(square, times * width) for times in WIDTHS]).mean(0)

    across = likeness(squared_distances(x, y)).mean()
    return _off_diagonal(likeness(squared_distances(x, x))) + _off_diagonal(likeness(within)) - 2 * across


def _off_diagonal(values: Tensor) -> Tensor:
    """The mean of (n, n) over pairs of two: no row is compared with itself, which would be a bias of 1/n."""
    n = len(values)
    return (values.sum() - values.diagonal().sum()) / max(n * (n - 1), 1)


def sliced_distance(x: Tensor, y: Tensor, directions: Tensor) -> Tensor:
    """W₂² between the projections of rows (n, d) and (n, d) on unit `directions` (L, d), their mean, ()."""
    with exact(x.device):
        along = [(rows @ directions.T).sort(0).values for rows in (x, y)]
    return (along[0] - along[1]).square().mean()


def excess_covariance(code: Tensor, within: Tensor, diagonal: float) -> Tensor:
    """Σ_{i≠j} C_ij² + `diagonal` · Σ_i (C_ii − 1)², C the covariance of rows (n, d) plus diag `within` (d,); ().

    ‖C‖² is that of the products of centred rows, too: of d × d and n × n the smaller is made.
    """
    centred = code - code.mean(0)
    with exact(code.device):
        products = centred.T @ centred if code.shape[1] <= len(code) else centred @ centred.T
    squares = (products / len(code)).square().sum()
    variance = centred.square().mean(0)
    return squares - variance.square().sum() + diagonal * (variance + within - 1).square().sum()


class Discrepancy(Term):
    """MMD² between the codes of all examples and draws from the prior, (B,), without a unit: one number for all.

    It reads draws alone, so that it applies to points too, and to any prior that can be drawn from. Gretton et al. 2012; for
    autoencoders Zhao et al. 2017 (InfoVAE), https://arxiv.org/abs/1706.02262, and Tolstikhin et al. 2018 (WAE),
    https://arxiv.org/abs/1711.01558. `kernel`: imq, c/(c + ‖x − y‖²), whose tails feel codes far from the prior; rbf,
    exp(−‖x − y‖²/c); both averaged over several c.
    """

    name = "discrepancy"
    reads_prior = True
    aggregate = True
    least_batch = 2

    @checked
    def __init__(self, kernel: str = "imq") -> None:
        super().__init__()
        if kernel not in KERNELS:
            raise unknown("kernel", kernel, KERNELS)
        self.kernel = KERNELS[kernel]

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return mean_discrepancy(_everyone(trace.code), _everyone(trace.prior_code), self.kernel).expand(len(trace.x))


class SlicedWasserstein(Term):
    """The squared distance W₂² between the codes of all examples and draws from the prior, along random directions, (B,), in
    squared units of the code: one number for all.

    In one dimension W₂² is the mean square between what is sorted. `directions`: so many are drawn in each step. Kolouri et
    al. 2019, https://arxiv.org/abs/1804.01947, eq. 15.
    """

    name = "sliced Wasserstein distance"
    reads_prior = True
    aggregate = True
    least_batch = 2

    @checked
    def __init__(self, directions: int = 50) -> None:
        super().__init__()
        if directions < 1:
            raise Mistake(f"`directions` is a number of projections, 1 or more; got {directions}")
        self.directions = directions

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        code, prior = _everyone(trace.code), _everyone(trace.prior_code)
        # not by `ranks.drawn`: no example has a part in them, and all ranks draw the same
        directions = torch.nn.functional.normalize(torch.randn(self.directions, code.shape[1], device=code.device), dim=1)
        return sliced_distance(code, prior, directions.to(code.dtype)).expand(len(trace.x))


class Covariance(Term):
    """Σ_{i≠j} C_ij² + `diagonal` · Σ_i (C_ii − 1)² of the codes of all examples, (B,): one number for all.

    C is the covariance of their means (DIP-VAE I), or with `drawn` that of their draws, Cov(μ) + E σ² (DIP-VAE II): 0 where
    latents are uncorrelated and each has variance 1, wherever their mean lies. Kumar, Sattigeri & Balakrishnan 2018,
    https://arxiv.org/abs/1711.00848, eq. 6 and 7.
    """

    name = "covariance"
    needs_moments = True
    aggregate = True
    least_batch = 2

    @checked
    def __init__(self, drawn: bool = False, diagonal: float = 10.0) -> None:
        super().__init__()
        if not diagonal >= 0:
            raise Mistake(f"`diagonal` weighs the variances' distance from 1, 0 or more; got {diagonal}")
        self.drawn, self.diagonal = drawn, diagonal

    @classmethod
    def of_kind(cls, kind: int, diagonal: float = 10.0) -> Covariance:
        """That of DIP-VAE I or II. Raises `Mistake` for a kind that there is not."""
        if kind not in (1, 2):
            raise Mistake(f"there are two kinds of DIP-VAE, 1 (covariance of means) and 2 (of draws); got {kind}")
        return cls(kind == 2, diagonal)

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        q = trace.rungs[0].q
        mu, variance = q.mean.flatten(1), q.variance.flatten(1)
        within = ranks.gathered(variance).mean(0) if self.drawn else torch.zeros_like(mu[0])
        return excess_covariance(ranks.gathered(mu), within, self.diagonal).expand(len(trace.x))


class IndexEntropy(Term):
    """E H(q(c|x)) − H(E q(c|x)) of words c of D independent bits, summed over an example's tokens: (B,), nats.

    Low where each word is sure and all are used alike: from −n D log 2 of n tokens to 0. E q is the mean over all tokens of all
    examples, of at most 8 bits at once: with more, H is the sum of its parts', the whole only where these are independent.
    Yu et al. 2023, https://arxiv.org/abs/2310.05737, section 3.1; Jansen et al. 2020, https://arxiv.org/abs/1911.05894. Raises
    `Mistake` where what is chosen has no bits.
    """

    name = "index entropy"
    needs_choice = True
    aggregate = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        odds = trace.rungs[0].odds
        if odds is None:
            raise Mistake("`IndexEntropy` is of words made of bits, and this codebook's are none: use `lfq_vae`")
        odds = odds.flatten(1, -2)  # (B, n, D)
        sure = binary_entropy(odds).flatten(1).sum(1)
        everyone = ranks.gathered(odds).flatten(0, 1)
        varied = torch.stack([entropy_of_mean(part) for part in torch.split(everyone, TOGETHER, 1)]).sum()
        return sure - odds.shape[1] * varied


def binary_entropy(odds: Tensor) -> Tensor:
    """H of coins with these log odds, nats: log(1 + e^o) − o e^o/(1 + e^o)."""
    return softplus(odds) - odds * torch.sigmoid(odds)


def entropy_of_mean(odds: Tensor) -> Tensor:
    """H of the mean over N tokens of a product of D coins, by all 2^D outcomes: log odds (N, D) -> (), nats."""
    log_chances = odds.new_zeros(len(odds), 1)
    for coin in odds.unbind(1):  # (N, 2^j) -> (N, 2^(j + 1))
        both = torch.stack([logsigmoid(-coin), logsigmoid(coin)], 1)
        log_chances = (log_chances[:, :, None] + both[:, None, :]).flatten(1)
    mean = log_chances.exp().mean(0)
    # of a word that nobody takes log has no slope, and 0 · ∞ is no number
    return -(mean * mean.clamp(min=torch.finfo(mean.dtype).tiny).log()).sum()


def _everyone(code: Tensor) -> Tensor:
    """The codes of all examples, (n, d), from draws (S, B, *event) of this rank's."""
    return ranks.gathered(code.flatten(2), 1).flatten(0, 1)
