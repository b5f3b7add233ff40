"""Posteriors without a mean in closed form: normalising flows conditioned on x, by zuko.

Covered: q(z|x) as an autoregressive flow whose hyper-networks read what the encoder says of x. Not covered: flows as priors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from legato.arguments import checked
from legato.devices import exact
from legato.errors import Mistake
from legato.families import Family
from legato.ranks import drawn
from legato.types import Shape

CONTEXT = 64  # numbers that the encoder gives: all that the flow knows of x
DRAWS, SEED = 64, 20150521  # draws, the same for every x, of which mean and deviation are shown


class Flow(Family):
    """z = f⁻¹(ε; h(x)), ε ~ N(0, I), f a masked autoregressive flow in coupling order: two passes either way.

    log q(z|x) = log N(f(z)) + log |det ∂f/∂z|. Rezende & Mohamed 2015, https://arxiv.org/abs/1505.05770; Papamakarios et al.
    2017, https://arxiv.org/abs/1705.07057. Its KL from a prior is taken at the draws. Raises `Mistake` without zuko, and for
    codes that are no vector of 2 numbers or more (a coupling needs two sides).
    """

    has_moments = False
    how = f"mean and standard deviation of {DRAWS} fixed draws"

    noise: Tensor

    @checked
    def __init__(self, event: Shape, transforms: int = 3, width: int = 64) -> None:
        super().__init__()
        if len(event) != 1 or event[0] < 2:
            raise Mistake(
                f"a flow couples 2 numbers or more of a vector, the code has shape {event}: give `latent_dim`, from 2"
            )
        if transforms < 1:
            raise Mistake(f"`transforms` is a number of couplings, 1 or more; got {transforms}")
        try:
            from zuko.flows import MAF
        except ModuleNotFoundError as error:
            raise Mistake("flows need zuko, which is not installed: pip install zuko") from error
        with torch.device("cpu"):  # also where others are only shapes: zuko looks at the masks that it makes
            self.flow: nn.Module = MAF(event[0], CONTEXT, transforms=transforms, passes=2, hidden_features=(width, width))
            # A generator of its own: the start of the weights does not depend on what is shown.
            noise = torch.randn(DRAWS, 1, event[0], generator=torch.Generator().manual_seed(SEED))
        self.register_buffer("noise", noise, persistent=False)

    def shape(self, event: Shape) -> Shape:
        """A context of 64 numbers."""
        return (CONTEXT,)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 64) -> q(z|x) of batch shape `lead`."""
        return Exact(self.flow(theta), theta.device)

    def moments(self, of: Distribution) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of 64 draws, made of the same ε for every x: those of one do not depend on the others."""
        assert isinstance(of, Exact)
        draws = of.made_of(self.noise.expand(DRAWS, *of.batch_shape, -1))
        return draws.mean(0), draws.std(0)


class Exact(Distribution):
    """A flow's distribution, computed in single precision in any step: its log-determinant is a long sum."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012  (torch reads it from the class)
    has_rsample = True

    def __init__(self, of: Any, device: torch.device) -> None:
        self.of, self.device = of, device
        super().__init__(of.batch_shape, of.event_shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """(*batch), nats."""
        return self._exactly(lambda: self.of.log_prob(value))

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Draws with gradients to the flow and to its context."""
        shape = (*sample_shape, *self.batch_shape, *self.event_shape)
        axis = len(sample_shape) + len(self.batch_shape) - 1
        return self.made_of(drawn(lambda shape: torch.empty(shape, device=self.device).normal_(), shape, axis))

    def made_of(self, noise: Tensor) -> Tensor:
        """z = f⁻¹(ε; h), (*lead, *batch, d)."""
        return self._exactly(lambda: torch.as_tensor(self.of.transform.inv(noise)))

    def _exactly(self, work: Callable[[], Tensor]) -> Tensor:
        with exact(self.device):
            return work()
