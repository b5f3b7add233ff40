"""What is learnt and how: the weights, their moving average, the optimiser, and the one step of every recipe.

A step is a function of (seed, step) and the state, so a stopped run goes on bit for bit. Not covered: when to stop, what to
write, how to show it (loop.py).
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from legato.devices import drawing_step
from legato.model import LatentVariableModel
from legato.recipe import Recipe
from legato.training.adamw import SWEEP_EVERY, AdamW
from legato.training.guard import Guard
from legato.training.options import Plan

SPREAD = 0x9E3779B97F4A7C15  # the golden ratio in 64 bits: neighbouring (seed, step) give unrelated generators


class Learner:
    """A recipe under training. `model` moves; `average` is the exponential moving average that becomes the result.

    Where the plan keeps the best, `kept` is the average as it was when `keep` was last called, and that is the result.
    """

    def __init__(self, recipe: Recipe, plan: Plan, device: torch.device) -> None:
        self.plan, self.device, self.guard = plan, device, Guard()
        self.model = recipe.model.to(device).train()
        self.objective = recipe.objective.to(device).train()
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.kept = copy.deepcopy(self.average) if plan.keep == "best" else None
        self.parameters = [*self.model.parameters(), *self.objective.parameters()]
        self.optimiser = AdamW(self.parameters, betas=(0.9, 0.99), weight_decay=plan.weight_decay)
        self._averaged, self._moving = self.average.learnt(), self.model.learnt()
        self.objective.at(0, plan.total)  # a schedule that outlives the run is refused now, not at its end

    def step(self, x: Tensor, step: int) -> Tensor | None:
        """One step on x (B, *data): the parts of its loss, (terms,), nats per example; None where the step was skipped."""
        low = torch.autocast(self.device.type, torch.bfloat16, enabled=self.plan.precision == "bfloat16")
        with drawing_step(self.device, seed_of(self.plan.seed, step)), low:
            loss = self.objective(self.model(x, self.objective.draws), self.objective.at(step, self.plan.total))
        loss.total.backward()
        sane = self.guard.accepts(self._clipped())
        if sane:
            self.optimiser.step(self.plan.rate(step))
            if step % SWEEP_EVERY == 0:
                self.optimiser.sweep()
            if (decay := self.plan.averaging(step)) is not None:
                with torch.no_grad():  # else each average is a node of a graph that holds all before it, to the run's end
                    torch._foreach_lerp_(self._averaged, self._moving, 1 - decay)
        for weight in self.parameters:
            weight.grad = None
        return torch.stack(list(loss.parts.values())) if sane else None

    def _clipped(self) -> float:
        """Cuts the gradient to the plan's norm, and returns the norm that it had."""
        gradients = [weight.grad for weight in self.parameters if weight.grad is not None]
        norm = float(torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients))))
        if norm > self.plan.clip:  # rarely: a pass over all gradients that most steps need not pay
            torch._foreach_mul_(gradients, self.plan.clip / norm)
        return norm

    def keep(self) -> None:
        """The average as it is now becomes what is kept."""
        if self.kept is not None:
            self.kept.load_state_dict(self.average.state_dict())

    @property
    def result(self) -> LatentVariableModel:
        """What the run gives, were it to end now."""
        return self.average if self.kept is None else self.kept

    @property
    def names(self) -> list[str]:
        """The loss parts, in the order in which `step` returns them."""
        return [term.name for term in self.objective.terms if isinstance(term.name, str)]

    def tensors(self) -> dict[str, Tensor]:
        """Everything that resuming needs, by name: weights, their average, what is kept of it, the optimiser's moments."""
        named = {f"model.{name}": value for name, value in self.model.state_dict().items()}
        named |= {f"objective.{name}": value for name, value in self.objective.state_dict().items()}
        named |= {f"average.{name}": value for name, value in self.average.state_dict().items()}
        if self.kept is not None:
            named |= {f"kept.{name}": value for name, value in self.kept.state_dict().items()}
        return named | {f"optimiser.{name}": value for name, value in self.optimiser.tensors().items()}

    def restore(self, tensors: dict[str, Tensor], guard: dict[str, Any]) -> None:
        """The inverse of `tensors` and of the guard's state."""
        self.model.load_state_dict(_below("model.", tensors))
        self.objective.load_state_dict(_below("objective.", tensors))
        self.average.load_state_dict(_below("average.", tensors))
        if self.kept is not None:
            self.kept.load_state_dict(_below("kept.", tensors))
        self.optimiser.restore(_below("optimiser.", tensors))
        self.guard.restore(guard)


def seed_of(seed: int, step: int) -> int:
    """A generator's seed for one step of one run: the high half of a 64-bit multiplication."""
    return (((seed << 40) ^ (step + 1)) * SPREAD & 0xFFFFFFFFFFFFFFFF) >> 32


def _below(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
