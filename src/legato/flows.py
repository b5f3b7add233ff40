"""Distributions without a mean in closed form: normalising flows, by zuko.

Covered: q(z|x) as a flow whose hyper-networks read what the encoder says of x, in coupling order or inverse autoregressive;
p(z) as a flow that is learnt with the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from legato.arguments import checked
from legato.devices import exact
from legato.errors import Mistake
from legato.families import FINITE, Family
from legato.priors import Prior
from legato.ranks import drawn
from legato.trace import Given
from legato.types import Shape

T = TypeVar("T")

CONTEXT = 64  # numbers that the encoder gives: all that the flow knows of x
DRAWS, SEED = 64, 20150521  # draws, the same for every x, of which mean and deviation are shown


class Flow(Family):
    """z = f⁻¹(u; h(x)), u ~ N(μ(x), σ²(x)), f a masked autoregressive flow in coupling order: two passes either way.

    `inverse`: in full order, turned round, so that a draw takes one pass and each number may depend on all before it; its
    density at draws of its own is remembered, at others it takes a pass for each number. log q(z|x) = log N(f(z); μ, σ²) +
    log |det ∂f/∂z|: where f changes nothing, the Gaussian of a plain VAE. Rezende & Mohamed 2015,
    https://arxiv.org/abs/1505.05770; Kingma et al. 2016, https://arxiv.org/abs/1606.04934; Papamakarios et al. 2017,
    https://arxiv.org/abs/1705.07057. Its KL from a prior is taken at the draws. Raises `Mistake` without zuko, and for codes
    that are no vector of 2 numbers or more.
    """

    has_moments = False
    how = f"mean and standard deviation of {DRAWS} fixed draws"

    noise: Tensor

    @checked
    def __init__(self, event: Shape, transforms: int = 3, width: int = 64, inverse: bool = False) -> None:
        super().__init__()
        self.flow = _flow(event, transforms, width, CONTEXT, inverse)
        with torch.device("cpu"):
            # A generator of its own: the start of the weights does not depend on what is shown.
            noise = torch.randn(DRAWS, 1, event[0], generator=torch.Generator().manual_seed(SEED))
        self.register_buffer("noise", noise, persistent=False)

    def shape(self, event: Shape) -> Shape:
        """A context of 64 numbers, μ and log σ."""
        return (CONTEXT + 2 * event[0],)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 64 + 2d) -> q(z|x) of batch shape `lead`."""
        from zuko.distributions import DiagNormal, NormalizingFlow

        context, mu, log_sigma = torch.split(theta, [CONTEXT, *event, *event], -1)
        start = DiagNormal(mu, log_sigma.clamp(-FINITE, FINITE).exp())
        return Exact(NormalizingFlow(self.flow(context).transform, start), theta.device)

    def moments(self, of: Distribution) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of 64 draws, made of the same ε for every x: those of one do not depend on the others."""
        assert isinstance(of, Exact)
        draws = of.made_of(self.noise.expand(DRAWS, *of.batch_shape, -1))
        return draws.mean(0), draws.std(0)


class FlowPrior(Prior):
    """p(z) as a flow, learnt with the model: in coupling order, or with `autoregressive` each number given all before it.

    Densities take two passes or one; draws take two, or one for each number. It starts near N(0, I). Chen et al. 2017,
    https://arxiv.org/abs/1611.02731, section 3; Dinh, Sohl-Dickstein & Bengio 2017, https://arxiv.org/abs/1605.08803. Raises
    `Mistake` as `Flow` does.
    """

    has_moments = False

    @checked
    def __init__(self, event: Shape, transforms: int = 3, width: int = 64, autoregressive: bool = False) -> None:
        super().__init__()
        self.event = event
        self.flow = _flow(event, transforms, width, 0, None if autoregressive else False)

    def forward(self, given: Given) -> Distribution:
        """The same for everything given."""
        return Exact(self.flow(None), next(self.parameters()).device)


def _flow(event: Shape, transforms: int, width: int, context: int, inverse: bool | None) -> nn.Module:
    """zuko's flow: in coupling order (False), or in full order, whose densities (None) or whose draws (True) take one pass."""
    if len(event) != 1 or event[0] < 2:
        raise Mistake(f"a flow couples 2 numbers or more of a vector, the code has shape {event}: give `latent_dim`, from 2")
    if transforms < 1:
        raise Mistake(f"`transforms` is a number of couplings, 1 or more; got {transforms}")
    try:
        from zuko.flows import MAF
        from zuko.lazy import LazyInverse
    except ModuleNotFoundError as error:
        raise Mistake("flows need zuko, which is not installed: pip install zuko") from error
    with torch.device("cpu"):  # also where others are only shapes: zuko looks at the masks that it makes
        passes = 2 if inverse is False else None
        flow: nn.Module = MAF(event[0], context, transforms=transforms, passes=passes, hidden_features=(width, width))
        if inverse:
            flow.transform = LazyInverse(flow.transform)
    return flow


class Exact(Distribution):
    """A flow's distribution, computed in single precision in any step: its log-determinant is a long sum."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = True

    def __init__(self, of: Any, device: torch.device) -> None:
        self.of, self.device = of, device
        self._last: tuple[Tensor, Tensor] | None = None
        super().__init__(of.batch_shape, of.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*batch), nats; of its own last draws as it was found when they were made."""
        if self._last is not None and self._last[0] is value:
            return self._last[1]
        # in the flow's precision: a code that a person gives may come in another
        return self._exactly(lambda: torch.as_tensor(self.of.log_prob(value.to(self._dtype)))).to(value.dtype)

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws with gradients to the flow and to its context."""
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        axis = len(sample_shape) + len(self.batch_shape) - 1
        noise = drawn(self._normal, shape, axis)

        def made() -> tuple[Tensor, Tensor]:
            start = self._start(noise)
            z, stretched = self.of.transform.inv.call_and_ladj(start)
            return z, self.of.base.log_prob(start) - stretched

        self._last = self._exactly(made)
        return self._last[0]

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Draws without a gradient."""
        with torch.no_grad():
            return self.made_of(self._normal((*sample_shape, *self.batch_shape, *self.event_shape)))

    def _normal(self, shape: Shape) -> Tensor:
        return torch.empty(shape, dtype=self._dtype, device=self.device).normal_()

    @property
    def _dtype(self) -> torch.dtype:
        found: torch.dtype = self.of.base.mean.dtype
        return found

    def made_of(self, noise: Tensor) -> Tensor:
        """z = f⁻¹(μ + σ ε; h), (*lead, *batch, d)."""
        return self._exactly(lambda: torch.as_tensor(self.of.transform.inv(self._start(noise))))

    def _start(self, noise: Tensor) -> Tensor:
        """What the flow begins with: μ + σ ε."""
        return torch.as_tensor(self.of.base.mean + self.of.base.stddev * noise)

    def _exactly(self, work: Callable[[], T]) -> T:
        with exact(self.device):
            return work()
