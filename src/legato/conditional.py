"""Network ▷ family: a conditional distribution. q(z|x), p(x|z) and p(z_l|z_<l) are all this."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.distributions import Distribution

from legato.arguments import checked
from legato.families import Family
from legato.types import Shape

Net = Callable[[Shape, Shape], nn.Module]  # (given, out) -> Module


class Conditional(nn.Module):
    """x ↦ family(net(x)): a distribution over `event` for every input of shape `given`.

    x (*lead, *given) -> batch shape `lead`, event shape `event`; a net itself sees one example axis only.
    `net` is a builder, called once with the shapes that the family asks for.
    """

    @checked
    def __init__(self, net: Net, family: Family, given: Shape, event: Shape) -> None:
        super().__init__()
        self.given, self.event = given, event
        self.family = family
        self.net = net(given, family.shape(event))

    def forward(self, x: Tensor) -> Distribution:
        """x (*lead, *given) -> a distribution of batch shape `lead`."""
        lead = x.shape[: x.ndim - len(self.given)]
        # Under mixed precision a net gives 8 bits of mantissa; what is summed over hundreds of dimensions needs 24.
        theta: Tensor = self.net(x.reshape(-1, *self.given)).to(x.dtype)
        distribution: Distribution = self.family(theta.reshape(*lead, *self.family.shape(self.event)), self.event)
        return distribution
