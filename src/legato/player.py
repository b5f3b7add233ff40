"""A player: one who learns beside the model, a critic. Terms bring players along; training gives each its turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from legato.trace import Seen


@dataclass(frozen=True)
class Player:
    """One who learns beside the model, by a loss and an optimiser of its own: a critic.

    `loss`: what it sees of a pass -> nats per example, (B,). In each step all players' gradients are taken at the weights that
    all had before it, each by its own weights alone, and each is cut to the plan's norm for itself. What `loss` draws it takes
    from `seen.stream`, random numbers of the player's own. `pace`: its learning rate as a multiple of the model's. `betas`:
    AdamW's. `blind`: its loss where it can tell nothing, nats, by which one that has won is known.
    """

    name: str
    module: nn.Module
    loss: Callable[[Seen], Tensor]
    betas: tuple[float, float] = (0.9, 0.99)
    pace: float = 1.0
    blind: float | None = None

    @property
    def weights(self) -> list[nn.Parameter]:
        """The weights that it moves."""
        return [weight for weight in self.module.parameters() if weight.requires_grad]
