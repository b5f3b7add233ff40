"""A step that ranks share: each computes its rows, and all make the step of the whole batch.

The model's gradients become means over ranks while they are computed, by torch's DDP; what other players and the objective
learn by themselves is averaged afterwards. Every rank then moves the same weights alike. Terms that need the batch ask for
all of it (ranks.py). Covered: the step. Not covered: who writes (loop.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from legato.batch import Batch
from legato.errors import Mistake
from legato.ranks import averaged, now, sharing
from legato.recipe import Recipe
from legato.training.learner import Learner, figures_of
from legato.training.options import Plan


class _Pass(nn.Module):
    """The model's loss, as DDP wants it: the one tensor that it gives. What else a pass finds lies beside it."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.model, self.objective, self._losses = learner.model, learner.objective, learner.losses
        self.others: list[Tensor] = []
        self.parts: dict[str, Tensor] = {}

    def forward(self, batch: Batch, weights: Sequence[float | Tensor]) -> Tensor:
        """(), nats per example."""
        (loss, *self.others), self.parts = self._losses(batch, weights)
        return loss


class SharedLearner(Learner):
    """A learner whose batches are its rank's part of the plan's."""

    def __init__(self, recipe: Recipe, plan: Plan, device: torch.device) -> None:
        super().__init__(recipe, plan, device)
        self.ranks = now()
        if plan.batch_size < self.ranks.world:
            raise Mistake(f"{self.ranks.world} processes cannot share batches of {plan.batch_size} examples: start fewer")
        self._pass = _Pass(self)
        self._through = self._prepared()

    def _prepared(self) -> nn.Module:
        theirs = {id(weight) for player in self.players for weight in player.module.parameters()}
        aside = [name for name, weight in self._pass.named_parameters() if id(weight) in theirs]
        return self.ranks.prepared(self._pass, aside)

    def step(self, batch: Batch, step: int) -> Tensor | None:
        """One step on this rank's part of a batch; what it gives is of the whole batch, the same on every rank."""
        with self.drawing(step), sharing(self.plan.batch_size) as share:
            loss = self._through(batch, self.objective.at(step, self.plan.total))
            losses, parts = [loss, *self._pass.others], self._pass.parts
        # A mean over ranks is the mean over rows only where each counts by its rows.
        weighed = [one * share.weight for one in losses]
        norms = [self.sides[0].differentiate(weighed[0])]  # averaged already
        for side, one in zip(self.sides[1:], weighed[1:], strict=True):
            norms.append(side.differentiate(one, partial(averaged, side.weights)))
        figures, norms = self._agreed(figures_of(parts, losses) * share.weight, norms)
        whole = dict(zip(self.names, figures.unbind(), strict=False))
        return figures if self.move(norms, whole, step) else None

    def leave(self) -> None:
        """Lets go of DDP, which must not outlive the group of ranks."""
        self._through = self._pass

    def _agreed(self, figures: Tensor, norms: Sequence[float]) -> tuple[Tensor, list[float]]:
        """The batch's figures, from each rank's; and rank 0's norms, so that no rank skips a step that another takes."""
        known = torch.tensor(norms, dtype=torch.double, device=self.device) * self.ranks.first
        told = self.ranks.total(torch.cat([figures.double() / self.ranks.world, known]))
        return told[: len(figures)].to(figures.dtype), told[len(figures) :].tolist()
