"""One player's side of a step: its weights, their gradient, their optimiser. The model's is the first of a run.

Covered: the gradient by the player's own weights, its cut, its move. Not covered: the losses, and whether a step is taken
at all (learner.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from zlib import crc32

import torch
from torch import Tensor

from legato.adamw import SWEEP_EVERY, AdamW
from legato.training.options import Plan

SPREAD = 0x9E3779B97F4A7C15  # the golden ratio in 64 bits: neighbouring (seed, step) give unrelated generators


class Side:
    """The weights of one player. `named`: of its optimiser's state in a checkpoint, `optimiser.` where it is the model's."""

    def __init__(
        self,
        weights: Sequence[Tensor],
        plan: Plan,
        *,
        name: str = "",
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
        pace: float = 1.0,
    ) -> None:
        self.weights, self.plan, self.name, self.pace = [one for one in weights if one.requires_grad], plan, name, pace
        self.optimiser = AdamW(self.weights, betas=betas, weight_decay=weight_decay)
        self.named = f"{name}.optimiser." if name else "optimiser."

    def differentiate(self, loss: Tensor, agree: Callable[[], None] = lambda: None) -> float:
        """Takes the loss's gradient by these weights and no others, cuts it to the plan's norm, gives the norm that it had.

        `agree` is called between, where the gradients are not yet those of all.
        """
        gradients = self._gradients(loss)
        agree()
        # the device is waited for: the guard needs the norm before any weight moves
        return self._cut(gradients, self._norm(gradients))

    def _norm(self, gradients: list[Tensor]) -> float:
        return float(norm_of(gradients))

    def take(self, gradients: Iterator[Tensor | None], norm: float) -> float:
        """Takes gradients of this norm that were found elsewhere, of these weights in their order, as `differentiate` does."""
        for weight, gradient in zip(self.weights, gradients, strict=False):
            weight.grad = gradient
        return self._cut([weight.grad for weight in self.weights if weight.grad is not None], norm)

    def _cut(self, gradients: list[Tensor], norm: float) -> float:
        if norm > self.plan.clip:  # rarely: a pass over all gradients that most steps need not pay
            torch._foreach_mul_(gradients, self.plan.clip / norm)
        return norm

    def differentiate_there(self, loss: Tensor) -> Tensor:
        """`differentiate` without a word to the host: the norm, (), double."""
        gradients = self._gradients(loss)
        norm = norm_of(gradients).double()
        torch._foreach_mul_(gradients, torch.where(norm > self.plan.clip, self.plan.clip / norm, 1.0).float())
        return norm

    def _gradients(self, loss: Tensor) -> list[Tensor]:
        # no other's: a critic's loss would else add to the model's gradients
        torch.autograd.backward(loss, inputs=self.weights)
        return [weight.grad for weight in self.weights if weight.grad is not None]

    def rate(self, step: int) -> float:
        """Its learning rate at `step`."""
        return self.pace * self.plan.rate(step)

    def move(self, rate: float | Tensor, sane: Tensor | None = None) -> None:
        """One step of the optimiser along the gradient; see `AdamW.step`."""
        self.optimiser.step(rate, sane)

    def sweep(self, step: int) -> None:
        """Now and then the optimiser's moments are swept: a pass over all of them, which each step need not pay."""
        if step % SWEEP_EVERY == 0:
            self.optimiser.sweep()

    def forget(self) -> None:
        """The gradient is dropped."""
        for weight in self.weights:
            weight.grad = None  # not zeros: these would be written, and then added to

    def tensors(self) -> dict[str, Tensor]:
        """The optimiser's state by the names that it has in a checkpoint."""
        return {f"{self.named}{name}": value for name, value in self.optimiser.tensors().items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`, of all of a checkpoint's."""
        self.optimiser.restore(below(self.named, tensors))


def norm_of(gradients: list[Tensor]) -> Tensor:
    """Their norm together, ()."""
    return torch.as_tensor(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))


def below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def seed_of(seed: int, step: int, player: str = "") -> int:
    """A generator's seed for one step of one run and of one player: the high half of a 64-bit multiplication.

    A player's stream is its own, so that what it draws moves no draw of the model's, whatever order they come in.
    """
    # crc32, not `hash`, which Python salts anew in each process; of the model's empty name it is 0.
    return ((((seed << 40) ^ (step + 1)) * SPREAD & 0xFFFFFFFFFFFFFFFF) >> 32) ^ crc32(player.encode())
