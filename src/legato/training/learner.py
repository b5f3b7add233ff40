"""The learner: the weights, their moving average, the optimiser, and the one step of every recipe.

A step is a function of (seed, step) and the state, so a stopped run goes on bit for bit. Not covered: when to stop, what to
write, how to show it (loop.py).
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from legato.batch import Batch
from legato.devices import check_precision, drawing_step, mixed, moved, shared_stream
from legato.errors import Mistake
from legato.model import LatentVariableModel
from legato.player import Player
from legato.recipe import Recipe
from legato.training.guard import Guard
from legato.training.options import Plan
from legato.training.side import Side, below, seed_of


class Learner:
    """A recipe under training. `model` moves; `average` is the exponential moving average that becomes the result.

    Where the plan keeps the best, `kept` is the average as it was when `keep` was last called, and that is the result.
    `sides`: the model's, and one for each player whom the objective brings along.
    """

    def __init__(self, recipe: Recipe, plan: Plan, device: torch.device) -> None:
        check_precision(device, plan.precision)
        self.plan, self.device = plan, device
        self.model = recipe.model.to(device).train()
        if plan.freeze == "encoder":
            _freeze(self.model)
        self.objective = moved(recipe.objective, device).train()
        # A copy, not a second recipe: it begins at the very weights, and its buffers are already those of the model.
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        # a third set of weights, kept only where it is asked for
        self.kept = copy.deepcopy(self.average) if plan.keep == "best" else None
        self.players, self.follows = self.objective.players, self.objective.follows
        for one in (self.model, self.average, *([] if self.kept is None else [self.kept])):
            self._lay_out(one)
        learning = [*self.model.parameters(), *self.objective.own]
        self.sides = [self._side(learning), *(_side(player, plan) for player in self.players)]
        self.streams = [shared_stream(device, player.name) for player in self.players]  # of random numbers, each its own
        self.guard = Guard(len(self.sides))
        # lists made once: no walk through the modules at each step
        self._averaged, self._moving = self._moved(self.average), self._moved(self.model)
        self.objective.at(0, plan.total)  # a schedule that outlives the run is refused now, not at its end
        self.objective.refuse_batch(plan.batch_size)

    collective = False  # True: its tensors are of several processes, which have to ask for them at once

    def state(self, module: nn.Module) -> dict[str, Tensor]:
        """A module's tensors by name."""
        return module.state_dict()

    def _lay_out(self, model: LatentVariableModel) -> None:
        """Puts the model's weights where they are to lie."""

    def _side(self, weights: list[nn.Parameter]) -> Side:
        return Side(weights, self.plan, weight_decay=self.plan.weight_decay)

    def _moved(self, model: LatentVariableModel) -> list[Tensor]:
        return model.learnt()

    def _load(self, module: nn.Module, tensors: dict[str, Tensor]) -> None:
        module.load_state_dict(tensors)

    def step(self, batch: Batch, step: int) -> Tensor | None:
        """One step on a batch, of all players at once: each loss and gradient is at the weights before it.

        Gives the parts of the model's loss and each other player's loss, (parts,), nats per example, in the order of
        `figures`; None where the step was skipped, which it is for all where one gradient is insane.
        """
        with self.drawing(step):
            losses, parts = self.losses(batch, self.objective.at(step, self.plan.total))
        # All gradients before any weight moves: each player's loss is then at the weights that the others had too.
        norms = [side.differentiate(one) for side, one in zip(self.sides, losses, strict=True)]
        return figures_of(parts, losses) if self.move(norms, parts, step) else None

    def move(self, norms: Sequence[float], parts: dict[str, Tensor], step: int) -> bool:
        """Moves the weights along their gradients, of these norms, and what follows them; False where the step is skipped."""
        if sane := self.guard.accepts(*norms):  # all or none: a player that moved alone would be a step ahead
            for side in self.sides:
                side.move(side.rate(step))
            if (decay := self.plan.averaging(step)) is not None:
                self.follow(1 - decay)
            if self.follows:
                # Within the guard: a multiplier that had followed a loss which is not finite would never come back.
                self.objective.follow(parts, self.plan.rate(step) / self.plan.learning_rate)
        self.end(step)
        return sane

    def losses(self, batch: Batch, weights: Sequence[float | Tensor]) -> tuple[list[Tensor], dict[str, Tensor]]:
        """Each player's loss, (), the model's first, at these weights of its terms; and its parts. All are of one pass."""
        with mixed(self.device, self.plan.precision):
            trace = self.model(batch.x, self.objective.draws, batch.given)
            loss = self.objective(trace, weights)
            # detached: a player learns from the codes and must not move them
            seen = [(player, trace.detach(own)) for player, own in zip(self.players, self.streams, strict=True)]
            return [loss.total, *(player.loss(one).mean() for player, one in seen)], loss.parts

    @contextmanager
    def drawing(self, step: int) -> Iterator[None]:
        """A block in which the model's draws are a function of (seed, step), and each player's of (seed, step, player)."""
        with drawing_step(self.device, seed_of(self.plan.seed, step)):
            for player, own in zip(self.players, self.streams, strict=True):
                own.manual_seed(seed_of(self.plan.seed, step, player.name))
            yield

    def end(self, step: int) -> None:
        """What ends a step, also one that was skipped: its gradient would else be added to the next one's."""
        for side in self.sides:
            side.sweep(step)
            side.forget()

    @torch.no_grad()  # else each average is a node of a graph that holds all before it, to the run's end
    def follow(self, share: float | Tensor) -> None:
        """Moves the average towards the model by a share of their difference."""
        if self.device.type == "cpu" and not isinstance(share, Tensor):
            torch._foreach_lerp_(self._averaged, self._moving, share)
            return
        # In three passes, whose share may be a tensor: torch's one pass would wait for its value.
        difference = torch._foreach_sub(self._moving, self._averaged)
        torch._foreach_mul_(difference, share)
        torch._foreach_add_(self._averaged, difference)

    def leave(self) -> None:
        """Lets go of what other processes have a part in, once all steps are done."""

    def keep(self) -> None:
        """The average as it is now becomes what is kept."""
        if self.kept is not None:
            self.kept.load_state_dict(self.average.state_dict())

    def begin(self, tensors: dict[str, Tensor]) -> None:
        """Takes weights to begin at, of the whole model; what is averaged begins there, too."""
        for one in (self.model, self.average, *([] if self.kept is None else [self.kept])):
            self._load(one, tensors)

    @property
    def result(self) -> LatentVariableModel:
        """The model that the run gives, were it to end now."""
        return self.average if self.kept is None else self.kept

    @property
    def names(self) -> list[str]:
        """The parts of the model's loss, in the order in which `step` returns them."""
        return [term.name for term in self.objective.terms if isinstance(term.name, str)]

    def weights(self, step: int) -> dict[str, float]:
        """Each part's weight in the model's loss at `step`: of one that follows the loss, as it is now."""
        return dict(zip(self.names, map(float, self.objective.at(step, self.plan.total)), strict=True))

    @property
    def others(self) -> list[str]:
        """The other players, whose losses `step` returns after those."""
        return [player.name for player in self.players]

    @property
    def figures(self) -> list[str]:
        """Names of all that `step` returns."""
        return [*self.names, *self.others]

    def tensors(self) -> dict[str, Tensor]:
        """Everything that resuming needs, by name: weights, their average, what is kept of it, the optimiser's moments."""
        named = {f"model.{name}": value for name, value in self.state(self.model).items()}
        # The objective has a state where a weight follows the loss.
        named |= {f"objective.{name}": value for name, value in self.objective.state_dict().items()}
        named |= {f"average.{name}": value for name, value in self.state(self.average).items()}
        if self.kept is not None:
            named |= {f"kept.{name}": value for name, value in self.state(self.kept).items()}
        return named | {name: value for side in self.sides for name, value in side.tensors().items()}

    def restore(self, tensors: dict[str, Tensor], guard: dict[str, Any]) -> None:
        """The inverse of `tensors` and of the guard's state."""
        self._load(self.model, below("model.", tensors))
        self.objective.load_state_dict(below("objective.", tensors))
        self._load(self.average, below("average.", tensors))
        if self.kept is not None:
            self._load(self.kept, below("kept.", tensors))
        for side in self.sides:
            side.restore(tensors)
        self.guard.restore(guard)


def figures_of(parts: dict[str, Tensor], losses: Sequence[Tensor]) -> Tensor:
    """The parts of the model's loss and the other players' losses, (parts,), detached, in the order of `Learner.figures`."""
    return torch.stack([*parts.values(), *(one.detach() for one in losses[1:])])


def _freeze(model: LatentVariableModel) -> None:
    """All but p(x|z) stays as it is. Raises `Mistake` where codes would move with it none the less."""
    for part in (model.latent, model.classifier):
        if part is not None:
            part.requires_grad_(False).eval()  # in evaluation for good: a codebook follows its encoder in training alone
    if model.latent.asks_decoder:
        raise Mistake("--freeze encoder trains the decoder alone, and codes of this recipe hang on its decoder: leave it out")


def _side(player: Player, plan: Plan) -> Side:
    return Side(player.weights, plan, name=player.name, betas=player.betas, pace=player.pace)
