"""Distributions made again of other parameters: of all ranks' examples, or of the same without their gradient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.distributions import Distribution, Independent

from legato.errors import Mistake


def changed(of: Distribution, change: Callable[[Tensor], Tensor]) -> Distribution:
    """The distribution of that type whose parameters are `change` of those of `of`.

    Raises `Mistake` for one that is not made of its parameters alone, as a flow's.
    """
    if isinstance(of, Independent):
        return Independent(changed(of.base_dist, change), of.reinterpreted_batch_ndims, validate_args=False)
    names = of.arg_constraints
    if not names:
        raise Mistake(
            f"a term asks for a {type(of).__name__} of other parameters, and it has none that are known: use a Gaussian"
        )
    made: type[Any] = type(of)
    found: Distribution = made(**{name: change(getattr(of, name)) for name in names}, validate_args=False)
    return found


def held(of: Distribution) -> Distribution:
    """The same distribution, whose parameters have no gradient: the log density of a draw then varies by the draw alone."""
    return changed(of, Tensor.detach)
