"""KL divergences in closed form, looked up by the pair of types.

A plain dictionary: `torch.distributions.kl_divergence` picks its function with a generator that `torch.compile` cannot
trace. Covered: factorised distributions, elementwise. A pair that is not in the table gets its KL from draws (`Rung.kl`),
and says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

Divergence = Callable[[Any, Any], Tensor]
Pair = tuple[type[Distribution], type[Distribution]]
_TABLE: dict[Pair, Divergence] = {}
_JOINT: dict[Pair, Divergence] = {}


def register_kl(q: type[Distribution], p: type[Distribution]) -> Callable[[Divergence], Divergence]:
    """Registers KL(q ‖ p), elementwise, in nats, for one pair of types."""

    def enter(formula: Divergence) -> Divergence:
        _TABLE[q, p] = formula
        return formula

    return enter


def register_joint_kl(q: type[Distribution], p: type[Distribution]) -> Callable[[Divergence], Divergence]:
    """Registers KL(q ‖ p) of all dimensions together, (*batch,), for a pair that has no parts."""

    def enter(formula: Divergence) -> Divergence:
        _JOINT[q, p] = formula
        return formula

    return enter


def kl_of_all(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q ‖ p) of a pair without parts, (*batch,), in nats; None where no closed form is registered."""
    of = [one.base_dist if isinstance(one, Independent) else one for one in (q, p)]
    formula = _JOINT.get((type(of[0]), type(of[1])))
    return None if formula is None else formula(*of)


def closed_form(q: Distribution, p: Distribution) -> Divergence | None:
    """The registered formula for this pair, or None."""
    if isinstance(q, Independent) and isinstance(p, Independent):
        q, p = q.base_dist, p.base_dist
    return _TABLE.get((type(q), type(p)))  # the very types: a subclass may have another density


def kl_per_dimension(q: Distribution, p: Distribution) -> Tensor | None:
    """KL(q ‖ p) of each dimension, (B, *event), in nats; None where no closed form is registered."""
    formula = closed_form(q, p)
    if formula is None:
        return None
    if isinstance(q, Independent) and isinstance(p, Independent):
        return formula(q.base_dist, p.base_dist)
    return formula(q, p)


@register_kl(Normal, Normal)
def _normal_normal(q: Normal, p: Normal) -> Tensor:
    """½(ρ² + ((μ_q − μ_p)/σ_p)² − 1 − log ρ²), ρ = σ_q/σ_p. Kingma & Welling 2013, appendix B, for p = N(0, 1)."""
    ratio = q.scale / p.scale
    shift = (q.loc - p.loc) / p.scale
    # The logarithm is of ρ, not half of that of ρ²: ρ² is 0 in float32 where ρ is below 10⁻²³.
    return 0.5 * (ratio * ratio + shift * shift - 1) - torch.log(ratio)
