"""One pass through a model, read-only: where models and objectives meet.

Covered: what any objective or measure may read of a pass, each as a formula computed once when first asked for.
Not covered: how the pass was made (latents/, model.py) and what is charged for it (objectives/).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.distributions import Distribution, Independent

from legato.distributions.divergence import kl_per_dimension
from legato.distributions.reparameterised import log_density
from legato.lazy import lazy

log = logging.getLogger(__name__)
_told: set[tuple[type, type]] = set()


@dataclass(frozen=True)
class Given:
    """What a prior may condition on: a label, (B,), and x ↦ q(z|x) (a mixture of posteriors needs it)."""

    label: Tensor | None = None
    infer: Callable[[Tensor], Distribution] | None = None


class Rung:
    """One group of latents: posterior q, prior p, and the draw z ~ q, (S, B, *event). A flat VAE has one rung.

    `noise`: the ε of z = μ + σ⊙ε where q is reparameterised like that, of z's shape; log q is then that of ε.
    """

    def __init__(self, q: Distribution, p: Distribution, z: Tensor, noise: Tensor | None = None) -> None:
        self.q, self.p, self.z, self.noise = q, p, z, noise

    @lazy
    def log_q(self) -> Tensor:
        """log q(z|x), (S, B), nats. Raises `Mistake` for a point mass."""
        return log_density(self.q, self.z, self.noise)

    @lazy
    def log_p(self) -> Tensor:
        """log p(z), (S, B), nats."""
        return self.p.log_prob(self.z)

    @lazy
    def kl_per_dimension(self) -> Tensor | None:
        """KL(q ‖ p) of each latent dimension in closed form, (B, *event), nats; None where there is no closed form."""
        return kl_per_dimension(self.q, self.p)

    @lazy
    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) per example, (B,), nats: exact where registered, else (1/S)Σ log q − log p at the draws."""
        exact = self.kl_per_dimension
        if exact is not None:
            return exact.flatten(1).sum(1)
        _say_sampled(self.q, self.p)
        return (self.log_q - self.log_p).mean(0)


class Trace:
    """x, p(x|z), the code and the rungs of one pass with S draws of B examples.

    x (B, *data); code (S, B, *code); likelihood: a distribution of batch shape (S, B) and event shape `data`.
    """

    def __init__(self, x: Tensor, likelihood: Distribution, code: Tensor, rungs: tuple[Rung, ...]) -> None:
        self.x, self.likelihood, self.code, self.rungs = x, likelihood, code, rungs

    @lazy
    def log_px(self) -> Tensor:
        """log p(x|z), (S, B), nats per example: summed over the example's dimensions."""
        return self.likelihood.log_prob(self.x)

    @lazy
    def log_w(self) -> Tensor:
        """log p(x, z) − log q(z|x), (S, B), nats: its mean is the ELBO, its log-mean-exp the importance-weighted bound.

        In double precision: log p(z) and log q(z|x) may be thousands of nats, and what matters is a difference of some.
        """
        log_w = self.log_px.double()
        for rung in self.rungs:
            log_w = log_w + rung.log_p - rung.log_q
        return log_w

    @lazy
    def kl(self) -> Tensor:
        """The rate: Σ over rungs of KL(q ‖ p), (B,), nats."""
        return sum((rung.kl for rung in self.rungs[1:]), start=self.rungs[0].kl)


def _say_sampled(q: Distribution, p: Distribution) -> None:
    """A fall-back that stays silent is how biased numbers get into papers; once per pair is enough."""
    pair = tuple(type(d.base_dist if isinstance(d, Independent) else d) for d in (q, p))
    if pair not in _told:
        _told.add((pair[0], pair[1]))
        log.warning("no closed form for KL(%s ‖ %s): estimated from the draws", pair[0].__name__, pair[1].__name__)
