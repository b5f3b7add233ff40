"""Network ▷ family: a conditional distribution. q(z|x), p(x|z) and p(z_l|z_<l) are all this."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from legato.arguments import checked
from legato.families import Family
from legato.label import Beside
from legato.nets.conv import Planes
from legato.nets.shapes import is_image, spatial
from legato.trace import NOTHING, Given
from legato.types import Shape

Net = Callable[[Shape, Shape], nn.Module]  # (given, out) -> Module: called once the family has said how many numbers it wants


class Conditional(nn.Module):
    """x ↦ family(net(x)): a distribution over `event` for every input of shape `given`; of `classes`, net(x, label).

    x (*lead, *given) -> batch shape `lead`, event shape `event`; a net itself sees one example axis only. One that `resizes`
    takes images of other sides, too. `net` is a builder, called once with the shapes that the family asks for. `classes`: how
    many there are of a label that is put beside x, so that the distribution is q(z|x, y), p(x|z, y); 0: none is read. `read`:
    what the net is given of x, where that is not x itself.
    """

    @checked
    def __init__(
        self,
        net: Net,
        family: Family,
        given: Shape,
        event: Shape,
        classes: int = 0,
        read: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.given, self.event = given, event
        self.family, self.read = family, read
        seen = given if read is None else tuple(read(torch.zeros(1, *given)).shape[1:])
        self.beside = Beside(seen, classes) if classes else None
        self.net = net(self.beside.shape if self.beside else seen, family.shape(event))

    def forward(self, x: Tensor, given: Given = NOTHING) -> Distribution:
        """x (*lead, *given) -> a distribution of batch shape `lead`. Raises `Mistake` where a label is missing that is read."""
        lead, given_shape = x.shape[: x.ndim - len(self.given)], x.shape[x.ndim - len(self.given) :]
        event = self._event_of(given_shape)
        flat = x.reshape(-1, *given_shape)
        if self.read is not None:
            flat = self.read(flat)
        if self.beside is not None:
            # all draws of an example share its label
            flat = self.beside(flat, self.beside.label(given).expand(lead).reshape(-1))
        # Under mixed precision a net gives 8 bits of mantissa; what is summed over hundreds of dimensions needs 24.
        theta: Tensor = self.net(flat).to(x.dtype)
        distribution: Distribution = self.family(theta.reshape(*lead, *self.family.shape(event)), event)
        return distribution

    @property
    def resizes(self) -> bool:
        """True where an input of more or fewer places has an event as much larger or smaller: images, by a net of convolutions.

        Not where a label is read, whose channel has one size.
        """
        return self._maps_images and self.beside is None and any(isinstance(part, Planes) for part in self.net.modules())

    @property
    def _maps_images(self) -> bool:
        return is_image(self.given) and is_image(self.event)

    def _event_of(self, given: Shape) -> Shape:
        if given == self.given or not self._maps_images:
            return self.event
        (height, width), (own_height, own_width) = spatial(given), spatial(self.given)
        return (*self.event[:-2], self.event[-2] * height // own_height, self.event[-1] * width // own_width)
