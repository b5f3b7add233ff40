"""The rate in three parts: what a code says of its example, what latents say of each other, how far each is from its prior.

E_q log q(z|x)/p(z) = I(x; z) + KL(q(z) ‖ ∏_j q(z_j)) + Σ_j KL(q(z_j) ‖ p(z_j)), q(z) = (1/N) Σ_n q(z|x_n). Covered: each part
as a term, by draws, with q(z) estimated from the batch. Not covered: the same with a critic (adversaries.py); exact figures of
a trained model (measures/aggregate.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Independent

from legato import ranks
from legato.arguments import checked
from legato.distributions.held import changed
from legato.errors import Mistake
from legato.objectives.term import Term
from legato.trace import Trace


@dataclass(frozen=True)
class Densities:
    """Log densities of the draws, (S, B) each, nats: of their own posterior, of q(z), of ∏_j q(z_j), of the prior."""

    own: Tensor
    joint: Tensor
    product: Tensor
    prior: Tensor


def log_shares(batch: int, count: int, weighted: bool, device: torch.device | None = None) -> Tensor:
    """log w, (B, B): q(z_i) is estimated by Σ_j w_ij q(z_i|x_j), x_j the batch's B of all N examples.

    z_i is drawn from q(z|x_i), so that x_i is there whatever the batch: it counts 1/N, as in q(z), and the others share the
    rest, (N − 1)/(N(B − 1)) each. The estimate is unbiased, exact where the batch is everyone. Chen et al. 2018,
    https://arxiv.org/abs/1802.04942, appendix C.2, with the rest shared by all alike. `weighted`: 1/(NB) for all, their eq. 3,
    which is too low by a factor of about N.
    """
    count = max(count, batch)
    if weighted or batch == 1:
        return torch.full((batch, batch), -math.log(count * batch if weighted else 1), device=device)
    others = torch.full((batch, batch), math.log((count - 1) / (count * (batch - 1))), device=device)
    return others.fill_diagonal_(-math.log(count))


class _Part(Term):
    """A part of the rate, (B,), nats. `count`: N, of examples; `weighted`: as in `log_shares`.

    Raises `Mistake` for posteriors that are no product over latents, when the recipe is built.
    """

    needs_density = True
    needs_product = True
    aggregate = True
    least_batch = 2

    @checked
    def __init__(self, count: int, weighted: bool = False) -> None:
        super().__init__()
        if count < 0:
            raise Mistake(f"`count` is the number of training examples, got {count}")
        self.count, self.weighted = count, weighted

    def densities(self, trace: Trace) -> Densities:
        """Those of the trace, made once for all parts."""
        return trace.once("densities", lambda: _densities(trace, self.count, self.weighted))


class IndexInformation(_Part):
    """I(n; z), estimated by log q(z|x) − log q(z): how many nats the code tells of which example it is of."""

    name = "index information"

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        found = self.densities(trace)
        return (found.own - found.joint).mean(0)


class Dependence(_Part):
    """KL(q(z) ‖ ∏_j q(z_j)), the total correlation, estimated by log q(z) − Σ_j log q(z_j)."""

    name = "dependence"

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        found = self.densities(trace)
        return (found.joint - found.product).mean(0)


class DimensionwiseRate(_Part):
    """Σ_j KL(q(z_j) ‖ p(z_j)), estimated by Σ_j log q(z_j) − log p(z)."""

    name = "dimension-wise rate"
    reads_prior = True

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        found = self.densities(trace)
        return (found.product - found.prior).mean(0)


def _densities(trace: Trace, count: int, weighted: bool) -> Densities:
    (rung,) = trace.rungs
    assert isinstance(rung.q, Independent)  # a recipe with another posterior is refused when it is built
    everyone = changed(rung.q.base_dist, ranks.gathered)
    # (S, B, 1, *event) at (everyone, *event): each draw's density under each posterior, dimension by dimension
    each = everyone.log_prob(rung.z.unsqueeze(2)).flatten(3)
    shares = log_shares(each.shape[2], count, weighted, each.device)[ranks.place(rung.z, 1)]
    joint = torch.logsumexp(each.sum(3) + shares, 2)
    product = torch.logsumexp(each + shares[..., None], 2).sum(2)
    return Densities(rung.log_q, joint, product, rung.log_p)
