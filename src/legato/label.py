"""A label in a net and in a model: put beside what a net reads, and held where one class is looked at.

Covered: one-hot beside a vector, a learnt channel beside an image, one class for all. Not covered: a source's labels (data/).
"""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from legato.errors import Mistake
from legato.nets.shapes import is_image, spatial
from legato.trace import Given
from legato.types import Shape

NO_LABEL = "this model is class-conditional and no class is given: give each example's label, or choose one class for all"


class ReadsLabel(nn.Module):
    """Whatever depends on the class of an example. `held`: the class of those that come without one of their own.

    `optional`: what a class may steer, and what does without one, too.
    """

    classes: int
    held: Tensor | None

    def __init__(self, classes: int, optional: bool = False) -> None:
        super().__init__()
        self.classes, self.optional = classes, optional
        self.register_buffer("held", None, persistent=False)  # which class is looked at is no part of the weights

    def hold(self, number: int) -> None:
        """Takes this class for all examples without a label."""
        # the CPU's where it has no tensor
        self.held = torch.tensor(number, device=next(iter([*self.parameters(), *self.buffers()]), torch.empty(0)).device)

    def label(self, given: Given) -> Tensor:
        """(B,), or () where all have one class. Raises `Mistake` where nobody says."""
        label = self.held if given.label is None else given.label
        if label is None:
            raise Mistake(NO_LABEL)
        return label


class Beside(ReadsLabel):
    """A label put beside what a net reads: its one-hot beside a vector (d,), a learnt channel beside an image (C, H, W).

    One-hot beside a vector, as in Sohn, Yan & Lee 2015. A one-hot beside an image would be K channels of one number each: for
    ten classes three times what a colour picture has. One channel that is learnt for each class says as much, and where.
    """

    def __init__(self, given: Shape, classes: int) -> None:
        super().__init__(classes)
        image = is_image(given)
        self.shape = (given[0] + 1, *given[1:]) if image else (prod(given) + classes,)
        self.channel = nn.Embedding(classes, spatial(given)[0] * spatial(given)[1]) if image else None

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """x (B, *given), label (B,) -> (B, *shape)."""
        if self.channel is None:
            numbers = torch.arange(self.classes, device=x.device)
            # By comparison: `one_hot` looks at the values, and the device would be waited for.
            return torch.cat([x.flatten(1), (label[:, None] == numbers).to(x.dtype)], 1)
        return torch.cat([x, self.channel(label).to(x.dtype).reshape(-1, 1, *x.shape[2:])], 1)


def steered(model: nn.Module) -> list[ReadsLabel]:
    """The parts of a model that a label changes."""
    return [part for part in model.modules() if isinstance(part, ReadsLabel)]


def readers(model: nn.Module) -> list[ReadsLabel]:
    """Those that must have one."""
    return [part for part in steered(model) if not part.optional]
