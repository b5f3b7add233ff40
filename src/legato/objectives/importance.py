"""Importance-weighted bounds beside the plain one: other gradients of it, and means of several.

Covered: gradients without the score of q (sticking the landing, doubly reparameterised), M bounds of K draws each, and the
decoder learning from one bound while the encoder learns from another. Not covered: the bound itself (bounds.py).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from legato.arguments import checked
from legato.distributions.held import held
from legato.distributions.reparameterised import log_density
from legato.errors import Mistake, unknown
from legato.objectives.bounds import importance_weighted_bound
from legato.objectives.term import Term
from legato.trace import Trace

Gradient = Literal["doubly", "landing"]


def miwae_bound(log_w: Tensor, m: int) -> Tensor:
    """(1/M) Σ_m log (1/K) Σ_k w_mk over the first axis: log_w (M·K, B) -> (B,), nats.

    M = 1 is the importance-weighted bound of all, K = 1 the ELBO with a sampled KL. Rainforth et al. 2018 (there MIWAE, a name
    that also stands for missing data), https://arxiv.org/abs/1802.04537, eq. 5.
    """
    return importance_weighted_bound(log_w.view(m, -1, *log_w.shape[1:]).transpose(0, 1)).mean(0)


class MultiplyWeighted(Term):
    """−(1/M) Σ_m log (1/K) Σ_k w_mk: the mean of M importance-weighted bounds of K draws each, (B,), nats per example.

    For one budget of M·K draws a larger M makes a looser bound whose encoder has less noise in its gradient. Rainforth et al.
    2018, https://arxiv.org/abs/1802.04537. It holds distortion and rate. Raises `Mistake` for a point mass, when the recipe is
    built.
    """

    name = "multiply importance-weighted bound"
    needs_density = True
    reads_prior = True
    is_likelihood = True
    weighs = True

    @checked
    def __init__(self, m: int, k: int) -> None:
        super().__init__()
        self.m, self.draws = _numbers(m, k)

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        return -miwae_bound(trace.log_w[: self.draws], self.m).to(trace.log_px.dtype)


class _Steered(Term):
    """A bound whose decoder and encoder learn with weights of their own for each draw's log w.

    Reads log w with q's parameters held: what is left out, the score ∂log q(z|x)/∂φ at a given z, has mean 0. Raises `Mistake`
    for posteriors whose parameters are not known, when the recipe is built.
    """

    needs_density = True
    needs_product = True
    reads_prior = True
    is_likelihood = True
    weighs = True

    def steered(self, trace: Trace, decoder: Tensor, encoder: Tensor) -> Tensor:
        """A number, 0, (B,), with gradients Σᵢ decoderᵢ ∂log wᵢ/∂θ and Σᵢ encoderᵢ ∂log wᵢ/∂zᵢ ∂zᵢ/∂φ; weights (k, B)."""
        (rung,) = trace.rungs
        log_w = trace.log_px.to(decoder.dtype) + rung.log_p - log_density(held(rung.q), rung.z, rung.noise)
        found = (decoder * log_w[: self.draws]).sum(0)
        if encoder is not decoder and trace.code.requires_grad:
            # The draws get `decoder` from what stands above; the difference is given to them alone.
            (slope,) = torch.autograd.grad(log_w.sum(), trace.code, retain_graph=True)
            more = (encoder - decoder)[..., None] * (slope * trace.code).flatten(2)[: self.draws]
            found = found + more.sum((0, 2))
        return found - found.detach()


class Reparameterised(_Steered):
    """−log (1/k) Σᵢ wᵢ, with a gradient that lacks the score of q: (B,), nats per example.

    `doubly`: the encoder's gradient is Σᵢ w̃ᵢ² ∂log wᵢ/∂zᵢ ∂zᵢ/∂φ, w̃ the normalised weights: unbiased, with less noise the
    larger k is. Tucker et al. 2019 (DReG), https://arxiv.org/abs/1810.04152, eq. 8. `landing`: Σᵢ w̃ᵢ in its place, without
    noise where q is the posterior, but biased for k > 1. Roeder, Wu & Duvenaud 2017, https://arxiv.org/abs/1703.09194. At
    k = 1 both are the same and unbiased. The decoder's gradient is the plain one.
    """

    name = "importance-weighted bound"

    @checked
    def __init__(self, k: int, gradient: Gradient = "doubly") -> None:
        super().__init__()
        if k < 1:
            raise Mistake(f"`k` is a number of draws, 1 or more; got {k}")
        if gradient not in get_args(Gradient):
            raise unknown("gradient", gradient, get_args(Gradient))
        self.draws, self.gradient = k, gradient

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        log_w = trace.log_w[: self.draws].detach()
        shares = torch.softmax(log_w, 0)
        steered = self.steered(trace, shares, shares if self.gradient == "landing" else shares.square())
        return (-importance_weighted_bound(log_w) - steered).to(trace.log_px.dtype)


class PartiallyWeighted(_Steered):
    """The decoder and the prior learn from one bound of all M·K draws, the encoder from M bounds of K each, (B,), nats.

    The value is the decoder's, −log (1/MK) Σ w. At M = 1 both are the importance-weighted bound, with its plain gradient.
    Rainforth et al. 2018 (PIWAE), https://arxiv.org/abs/1802.04537, eq. 7.
    """

    name = "partially importance-weighted bound"

    @checked
    def __init__(self, m: int, k: int) -> None:
        super().__init__()
        self.m, self.draws = _numbers(m, k)

    def forward(self, trace: Trace) -> Tensor:
        """(B,)."""
        (rung,) = trace.rungs
        log_w = trace.log_w[: self.draws].detach()
        of_all = torch.softmax(log_w, 0)
        of_some = torch.softmax(log_w.view(self.m, -1, *log_w.shape[1:]), 1).flatten(0, 1) / self.m
        # the encoder's bound with all of its gradient, of which the score is a part
        score = (of_some * rung.q.log_prob(rung.z.detach())[: self.draws]).sum(0)
        steered = self.steered(trace, of_all, of_some) - (score - score.detach())
        return (-importance_weighted_bound(log_w) - steered).to(trace.log_px.dtype)


def _numbers(m: int, k: int) -> tuple[int, int]:
    """M, and the draws of all bounds."""
    if m < 1 or k < 1:
        raise Mistake(f"`m` and `k` are numbers of bounds and of draws for each, 1 or more; got {m} and {k}")
    return m, m * k
