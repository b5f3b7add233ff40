"""A trace: one pass through a model, read-only, in which models and objectives meet.

Covered: what any objective or measure may read of a pass, each as a formula computed once when first asked for.
Not covered: how the pass was made (latents/, model.py) and what is charged for it (objectives/).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent

from legato.devices import doubled, widest
from legato.distributions.divergence import kl_of_all, kl_per_dimension
from legato.distributions.grid import Chosen
from legato.distributions.reparameterised import log_density, reparameterised
from legato.lazy import lazy
from legato.ranks import drawn, unshared
from legato.types import Shape

T = TypeVar("T")
log = logging.getLogger(__name__)
_told: set[tuple[type, type]] = set()


@dataclass(frozen=True)
class Summary:
    """A summary of the codes of x: their middle, their width, and what each dimension costs.

    mu, sigma, kl (B, *event); kl in nats. None: a point or an index has no width; a KL may have no closed form. `how` says in
    words what mu and sigma are.
    """

    mu: Tensor
    sigma: Tensor | None = None
    kl: Tensor | None = None
    how: str = "mean and standard deviation of q(z|x)"

    @property
    def width(self) -> Tensor:
        """sigma, 0 where there is none."""
        return torch.zeros_like(self.mu) if self.sigma is None else self.sigma


@dataclass(frozen=True)
class Given:
    """The facts known of the examples beside x, for nets, priors and terms. All may be None.

    label (B,), int64: each one's class, or () where all have one. mask (B, *data): which values are there. rows (B,): the
    number of the row that each is, for what keeps something of each. infer: x ↦ q(z|x) (a mixture of posteriors needs it).
    """

    label: Tensor | None = None
    mask: Tensor | None = None
    rows: Tensor | None = None
    infer: Callable[[Tensor], Distribution | None] | None = None


NOTHING = Given()


@dataclass(frozen=True)
class Parts:
    """The parts of a model that a term may ask for more than one pass: more draws of the prior, more decoding, the weights.

    prior: p(z) given what is known of the batch; decode: code (*lead, *code) -> p(x|z) of batch shape `lead`; decoder: the
    module that decodes.
    """

    prior: Callable[[], Distribution]
    decode: Callable[[Tensor], Distribution]
    decoder: nn.Module


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
        """KL(q ‖ p) of each latent dimension in closed form, (S, B, *event), nats; None where there is no closed form.

        S is 1 where q depends on no draw, so that it is the same of every one; below the top of a ladder it is the draws'.
        """
        kl = kl_per_dimension(self.q, self.p)
        return kl.unsqueeze(0) if kl is not None and len(self.q.batch_shape) == 1 else kl

    @lazy
    def away(self) -> Tensor:
        """(e − sg(z))² of a code e that q rounds to z, (B, *event)."""
        assert isinstance(self.q, Chosen)  # a recipe that asks for it elsewhere is refused when it is built
        return (self.q.away - self.q.value.detach()).square()

    @lazy
    def reached(self) -> Tensor:
        """(sg(e) − z)² of a code e that q rounds to a row z of a codebook, (B, *event), with a gradient to the row."""
        assert isinstance(self.q, Chosen)
        rows = self.q.value.detach() if self.q.rows is None else self.q.rows
        return (self.q.away.detach() - rows).square()

    @lazy
    def kl(self) -> Tensor:
        """KL(q(z|x) ‖ p(z)) per example, (B,), nats, a mean over draws: exact where registered, else log q − log p there."""
        exact = self.kl_per_dimension
        if exact is not None:
            return exact.flatten(2).sum(2).mean(0)
        if self.kl_of_all is not None:
            return self.kl_of_all.view(-1, self.kl_of_all.shape[-1]).mean(0)
        _say_sampled(self.q, self.p)
        return (self.log_q - self.log_p).mean(0)

    @lazy
    def kl_of_all(self) -> Tensor | None:
        """KL(q ‖ p) in closed form of a pair that has no parts by dimension, (*batch,), nats; None where there is none."""
        return kl_of_all(self.q, self.p)


class Seen:
    """The view of a pass that a player other than the model has: values, through which no gradient reaches the model.

    x (B, *data); code (S, B, *code). `stream`: the player's own random numbers, from which its loss is to draw; None: torch's
    current ones. What the pass drew and decoded is the model's own, computed once for both.
    """

    def __init__(self, of: Trace, stream: torch.Generator | None = None) -> None:
        self.x, self.code, self._of, self.stream = of.x, of.code.detach(), of, stream

    @lazy
    def decoded(self) -> Tensor:
        """The mean of p(x|z), (S, B, *data), in units of the prepared data."""
        return self._without_gradient(lambda: self._of.likelihood.mean)

    @lazy
    def prior_code(self) -> Tensor:
        """Draws from p(z), (S, B, *code)."""
        return self._without_gradient(lambda: self._of.prior_code)

    @lazy
    def imagined(self) -> Tensor:
        """What draws from p(z) decode to, (S, B, *data)."""
        return self._without_gradient(lambda: self._of.imagined)

    def _without_gradient(self, value: Callable[[], Tensor]) -> Tensor:
        with torch.no_grad():  # the model must learn nothing from what another player sees
            return value().detach()


class Trace:
    """x, p(x|z), the code and the rungs of one pass with S draws of B examples.

    x (B, *data); code (S, B, *code); likelihood: a distribution of batch shape (S, B) and event shape `data`; given: what was
    known of the examples beside x; parts: what made it, for terms that ask for more than the pass.
    """

    def __init__(
        self,
        x: Tensor,
        likelihood: Distribution,
        code: Tensor,
        rungs: tuple[Rung, ...],
        summarise: Callable[[], Summary] | None = None,
        given: Given = NOTHING,
        parts: Parts | None = None,
    ) -> None:
        self.x, self.likelihood, self.code, self.rungs, self._summarise = x, likelihood, code, rungs, summarise
        self.given, self._parts = given, parts
        self._kept: dict[str, Any] = {}

    @lazy
    def summary(self) -> Summary:
        """The summary of the codes of x, from the same pass of the encoder."""
        assert self._summarise is not None  # a model's trace has one; one that was put together by hand may do without
        return self._summarise()

    @property
    def parts(self) -> Parts:
        """The parts of the model that made the pass."""
        assert self._parts is not None  # a model's trace has them; one that was put together by hand may do without
        return self._parts

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What several terms have in common, made by the first that asks for it."""
        if name not in self._kept:
            self._kept[name] = make()
        found: T = self._kept[name]
        return found

    @lazy
    def prior_code(self) -> Tensor:
        """Draws from p(z), as many as there are codes, (S, B, *code), by torch's generator; without a gradient to the prior."""
        with torch.no_grad():
            prior, shape = self.parts.prior(), self.code.shape
            if prior.batch_shape:  # a distribution for each example, such as its class's
                return reparameterised(prior, shape[0])[0]
            return drawn(lambda everyone: _sampled(prior, everyone[:2]), shape, 1)

    @lazy
    def imagined(self) -> Tensor:
        """The mean of p(x|z) at draws from p(z), (S, B, *data), with a gradient to the decoder."""
        return self.parts.decode(self.prior_code).mean

    @lazy
    def log_px(self) -> Tensor:
        """log p(x|z), (S, B), nats per example: summed over the example's dimensions."""
        return self.likelihood.log_prob(self.x)

    @lazy
    def log_w(self) -> Tensor:
        """log p(x, z) − log q(z|x), (S, B), nats: its mean is the ELBO, its log-mean-exp the importance-weighted bound.

        In double precision where the device has it: log p(z) and log q(z|x) may be thousands of nats, and what matters is a
        difference of some.
        """
        log_w = self.log_px.to(widest(self.log_px.device))
        for rung in self.rungs:
            log_w = log_w + rung.log_p - rung.log_q
        return log_w

    @lazy
    def kl(self) -> Tensor:
        """The rate: Σ over rungs of KL(q ‖ p), (B,), nats."""
        # not from 0: a flat model's rate is its rung's KL itself
        return sum((rung.kl for rung in self.rungs[1:]), start=self.rungs[0].kl)

    @lazy
    def kl_per_dimension(self) -> Tensor | None:
        """Each dimension's part of the rate, all rungs in a row, (B, d), nats; None where a rung has no closed form."""
        parts = [rung.kl_per_dimension for rung in self.rungs]
        known = [part.flatten(2).mean(0) for part in parts if part is not None]
        return torch.cat(known, 1) if len(known) == len(parts) else None

    def detach(self, stream: torch.Generator | None = None) -> Seen:
        """The pass as another player sees it, who draws from `stream`."""
        return Seen(self, stream)

    @property
    def rate_varies(self) -> bool:
        """True where the rate is another one at other draws: it has no closed form, or that of a lower rung."""
        sampled = (rung.kl_per_dimension is None and rung.kl_of_all is None for rung in self.rungs)
        return any(sampled) or any(len(rung.q.batch_shape) > 1 for rung in self.rungs)


def effective_sample_size(log_w: Tensor) -> Tensor:
    """(Σw)²/Σw² over the draws, log_w (k, B) -> (B,), between 1 and k, in double precision. Kong 1992."""
    # In logarithms: w itself is e to the power of some hundred nats, and its square overflows first.
    log_w = doubled(log_w)
    return torch.exp(2 * torch.logsumexp(log_w, 0) - torch.logsumexp(2 * log_w, 0))


def _sampled(prior: Distribution, shape: Shape) -> Tensor:
    with unshared():
        return prior.sample(torch.Size(shape))


def _say_sampled(q: Distribution, p: Distribution) -> None:
    """A fall-back that stays silent is how biased numbers get into papers; once per pair is enough."""
    pair = tuple(type(d.base_dist if isinstance(d, Independent) else d) for d in (q, p))
    if pair not in _told:
        _told.add((pair[0], pair[1]))
        log.warning("no closed form for KL(%s ‖ %s): estimated from the draws", pair[0].__name__, pair[1].__name__)
