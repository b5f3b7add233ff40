"""A step of a model that is too large for one rank: its large layers are split over all of them, by torch's FSDP.

Of each large layer a rank keeps a part: of its weights, of their gradient, moments and average; the whole layer is there while
a pass goes through it. Small layers, and what belongs to none, every rank has whole. Checkpoints hold whole tensors, so that a
run goes on with any number of ranks, split or not. Covered: where weights lie. Not covered: what a step is (shared.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from legato.model import LatentVariableModel
from legato.ranks import averaged, now
from legato.recipe import Recipe
from legato.training.options import Plan
from legato.training.shared import SharedLearner
from legato.training.side import Side

LARGE = 1 << 18  # numbers of a layer that is split: of a smaller one the talk costs more than the memory
LAYERS = (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)


class ShardedLearner(SharedLearner):
    """A learner that keeps a part of every large layer."""

    collective = True

    def __init__(self, recipe: Recipe, plan: Plan, device: torch.device) -> None:
        self.mesh = init_device_mesh(device.type, (now().world,))
        # It is to name its group and not to keep it: torch's tables keep the mesh for good, and a group ends with its block.
        getattr(self.mesh, "_pg_registry", {}).clear()
        super().__init__(recipe, plan, device)

    def state(self, module: nn.Module) -> dict[str, Tensor]:
        """A module's tensors, whole, on every rank: all have to ask at once."""
        return {name: whole(value) for name, value in module.state_dict().items()}

    def _lay_out(self, model: LatentVariableModel) -> None:
        for part in model.modules():
            if isinstance(part, LAYERS) and sum(weight.numel() for weight in part.parameters()) >= LARGE:
                # Again after each pass: what is moved between two steps is the part, of which the whole is then made anew.
                fully_shard(part, mesh=self.mesh, reshard_after_forward=True)

    def _side(self, weights: list[nn.Parameter]) -> Side:
        return ShardedSide(weights, self.plan, (weight for player in self.players for weight in player.weights))

    def _moved(self, model: LatentVariableModel) -> list[Tensor]:
        return [part_of(value) for value in model.learnt()]

    def _prepared(self) -> nn.Module:
        return self._pass  # its gradients are averaged by FSDP and by the side

    @torch.no_grad()
    def _load(self, module: nn.Module, tensors: dict[str, Tensor]) -> None:
        for name, value in module.state_dict().items():
            value.copy_(like(value, tensors[name]))


class ShardedSide(Side):
    """The model's side, on this rank's parts of the weights. `others`: weights that are other players'."""

    def __init__(self, weights: Iterable[nn.Parameter], plan: Plan, others: Iterable[Tensor]) -> None:
        self.wholes = [weight for weight in weights if weight.requires_grad]
        self.others = list(others)
        super().__init__([part_of(weight) for weight in self.wholes], plan, weight_decay=plan.weight_decay)

    def _gradients(self, loss: Tensor) -> list[Tensor]:
        # Without naming what by: in a pass a split weight is another tensor, made of all ranks' parts.
        torch.autograd.backward(loss)
        for other in self.others:
            other.grad = None  # a critic learns nothing by the model's loss
        for mine, weight in zip(self.weights, self.wholes, strict=True):
            if isinstance(weight, DTensor):
                mine.grad, weight.grad = None if weight.grad is None else part_of(weight.grad), None
        averaged(weight for weight in self.wholes if not isinstance(weight, DTensor))
        return [weight.grad for weight in self.weights if weight.grad is not None]

    def _norm(self, gradients: list[Tensor]) -> float:
        split = [mine.grad for mine, weight in zip(self.weights, self.wholes, strict=True) if isinstance(weight, DTensor)]
        here = [one for one in split if one is not None]
        known = {id(one) for one in here}
        others = [one for one in gradients if id(one) not in known]
        return float((now().total(_squares(here, gradients)) + _squares(others, gradients)).sqrt())

    def tensors(self) -> dict[str, Tensor]:
        """The optimiser's state, whole, on every rank."""
        return {name: self._whole(name, value) for name, value in super().tensors().items()}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        mine = {name: part_of(like(self._split(name, value), tensors[name])) for name, value in super().tensors().items()}
        super().restore(mine)

    def _whole(self, name: str, value: Tensor) -> Tensor:
        return whole(self._split(name, value))

    def _split(self, name: str, value: Tensor) -> Tensor:
        """A moment as its weight is split; what is no moment of a split weight, as it is."""
        number, _, what = name.removeprefix(self.named).partition(".")
        weight = self.wholes[int(number)]
        if what == "step" or not isinstance(weight, DTensor):
            return value
        how: dict[str, Any] = {"run_check": False, "shape": weight.shape, "stride": weight.stride()}
        return DTensor.from_local(value, weight.device_mesh, weight.placements, **how)


def part_of(value: Tensor) -> Tensor:
    """This rank's part of a split tensor, in its memory; another tensor as it is."""
    if not isinstance(value, DTensor):
        return value
    part: Tensor = value.to_local().detach()
    return part.requires_grad_(value.requires_grad)


def whole(value: Tensor) -> Tensor:
    """A split tensor whole, on every rank."""
    return value.full_tensor().detach() if isinstance(value, DTensor) else value


def like(value: Tensor, tensor: Tensor) -> Tensor:
    """A whole tensor split as `value` is."""
    return distribute_tensor(tensor, value.device_mesh, value.placements) if isinstance(value, DTensor) else tensor


def _squares(some: list[Tensor], like: list[Tensor]) -> Tensor:
    """The sum of squares, (), double."""
    start = torch.zeros((), dtype=torch.double, device=like[0].device)
    return start + sum((norm.double().square() for norm in torch._foreach_norm(some)), start) if some else start
