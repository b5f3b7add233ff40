"""The terms of the evidence lower bound, and its importance-weighted tightening."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from legato import ranks
from legato.arguments import checked
from legato.errors import Mistake
from legato.objectives.term import Term
from legato.trace import Rung, Trace


class Distortion(Term):
    """−E_q log p(x|z), averaged over the draws: (B,), nats per example. What reconstruction costs."""

    name = "distortion"
    is_likelihood = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return -trace.log_px.mean(0)


class Rate(Term):
    """KL(q(z|x) ‖ p(z)): (B,), nats per example. Exact where registered, else from the draws.

    `free_bits` λ (nats per dimension, in spite of the name) charges a dimension at least λ, so that it need not collapse to
    save less than that: Σ_j max(λ, mean_B KL_j). Kingma et al. 2016, https://arxiv.org/abs/1606.04934, eq. 15. The batch's
    mean decides which dimensions are free, so with λ > 0 this term needs the batch; repeating it leaves the term unchanged.

    Raises `Mistake` for a point mass, when the recipe is built.
    """

    name = "rate"
    needs_density = True
    reads_prior = True

    @checked
    def __init__(self, free_bits: float = 0.0) -> None:
        super().__init__()
        if not free_bits >= 0:
            raise Mistake(f"`free_bits` is a number of nats per dimension, 0 or more; got {free_bits}")
        self.free_bits = free_bits

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        if not self.free_bits:  # not the sum below: a KL from draws has no parts
            return trace.kl
        return torch.stack([self._charged(rung.kl_per_dimension) for rung in trace.rungs]).sum(0)

    def _charged(self, kl: Tensor | None) -> Tensor:
        if kl is None:
            raise Mistake("free bits need a KL per dimension in closed form: use a Gaussian posterior and a Gaussian prior")
        per_dimension = kl.flatten(2).mean(0)  # over the draws, on which a ladder's lower rungs depend
        free = ranks.mean(per_dimension) < self.free_bits
        return torch.where(free, self.free_bits, per_dimension).sum(1)  # a free dimension has no gradient: less gains nothing


class MeanRate(Term):
    """½ Σ_j ((μ_j − m_j)/s_j)²: what of KL(N(μ, σ²) ‖ N(m, s²)) charges the mean alone, (B,), nats per example.

    Its gradient by σ is 0: nothing keeps the noise from shrinking. For experiments that take the KL apart.

    Raises `Mistake` for a point mass, when the recipe is built.
    """

    name = "rate of the mean"
    needs_density = True
    reads_prior = True
    needs_moments = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return torch.stack([_of_the_mean(rung) for rung in trace.rungs]).sum(0)


class Pull(Term):
    """½ E_q Σ_j ((z_j − m_j)/s_j)²: −log p(z) of a Gaussian prior N(m, s²) without its constant, (B,), nats per example.

    It draws codes to the prior's centre and says nothing of their width, so that it applies to a point too, of which it is no
    rate: a decoder that grows its first weights undoes it, and what is left is a smaller space of the same shape. Therefore a
    run under it counts as one that no prior was trained for. Ghosh et al. 2020, https://arxiv.org/abs/1903.12436, eq. 7.
    """

    name = "pull"
    needs_moments = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return torch.stack([_square(rung) for rung in trace.rungs]).sum(0)


class Commitment(Term):
    """‖e − sg(z)‖² of a code e that is rounded to z: (B,), squared units. What keeps an encoder near its codebook.

    van den Oord et al. 2017, https://arxiv.org/abs/1711.00937, eq. 3. Raises `Mistake` for posteriors that choose nothing,
    when the recipe is built.
    """

    name = "commitment"
    needs_choice = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return torch.stack([rung.away.flatten(1).sum(1) for rung in trace.rungs]).sum(0)


class Rows(Term):
    """‖sg(e) − z‖² of a code e that is rounded to a codebook's row z: (B,), squared units. What draws rows to the encoder.

    Of a codebook that learns by gradient; one that follows by averages needs none. van den Oord et al. 2017,
    https://arxiv.org/abs/1711.00937, eq. 3. Raises `Mistake` for posteriors that choose nothing, when the recipe is built.
    """

    name = "codebook"
    needs_choice = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return torch.stack([rung.reached.flatten(1).sum(1) for rung in trace.rungs]).sum(0)


def importance_weighted_bound(log_w: Tensor) -> Tensor:
    """log (1/k) Σᵢ wᵢ over the first axis: log_w (k, B) -> (B,), nats. k = 1 is the ELBO with a sampled KL."""
    return torch.logsumexp(log_w, 0) - math.log(len(log_w))  # the weights themselves, e to hundreds of nats, underflow


class ImportanceWeighted(Term):
    """−log (1/k) Σᵢ p(x, zᵢ)/q(zᵢ|x), zᵢ ~ q(z|x): the negative of a bound on log p(x) that tightens as k grows.

    Reads `trace.log_w`, (k, B); returns (B,), nats per example. k = 1 is the negative ELBO with a sampled KL.
    It holds distortion and rate: adding those too would count them twice.
    Burda, Grosse & Salakhutdinov 2016, https://arxiv.org/abs/1509.00519, eq. 8.

    Raises `Mistake` for a point mass, when the recipe is built.
    """

    name = "importance-weighted bound"
    needs_density = True
    reads_prior = True
    is_likelihood = True
    weighs = True

    @checked
    def __init__(self, k: int) -> None:
        super().__init__()
        if k < 1:
            raise Mistake(f"`k` is a number of draws, 1 or more; got {k}")
        self.draws = k

    def forward(self, trace: Trace) -> Tensor:
        """(B,), of the model's precision. Uses exactly k draws even where another term wanted more."""
        return -importance_weighted_bound(trace.log_w[: self.draws]).to(trace.log_px.dtype)


def _of_the_mean(rung: Rung) -> Tensor:
    shift = (rung.q.mean - rung.p.mean) / rung.p.stddev
    return 0.5 * (shift * shift).flatten(1).sum(1)


def _square(rung: Rung) -> Tensor:
    """½‖(z − m)/s‖² of the draws, their mean, (B,)."""
    away = (rung.z - rung.p.mean) / rung.p.stddev
    return 0.5 * (away * away).flatten(2).sum(2).mean(0)
