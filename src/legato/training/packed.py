"""A training in memory as text and bytes, and back: JSON, and the tensors of a safetensors file with its checksum.

So a pickled estimator holds no object of ours but its class, and whoever looks into it finds formats that can be read without
running anything. Not covered: pickling itself, which is Python's and the caller's.
"""

from __future__ import annotations

import json
from typing import Any

import torch

from legato.data.preparation import Preparation
from legato.data.prepared import spec_of
from legato.definition import Definition, module_of
from legato.devices import drawing
from legato.recipe import Recipe
from legato.tensors import decoded, encoded
from legato.training.fitting import Fitted, space_of
from legato.training.learner import Learner
from legato.training.options import Plan
from legato.training.side import below
from legato.unsaved import Unsaved


def pack(fitted: Fitted) -> tuple[str, bytes]:
    """A fit as JSON and as tensors."""
    space, learner, kept = fitted.space, fitted.learner, fitted.kept
    told: dict[str, Any] = {"files": kept.files, "metrics": kept.metrics, "step": fitted.step}
    if learner is None:
        tensors = {f"model.{name}": value for name, value in space.model.state_dict().items()}
    else:  # its average is the model
        tensors = {f"learner.{name}": value for name, value in learner.tensors().items()}
        told |= {"plan": learner.plan.to_json(), "guard": learner.guard.state()}
    codes = {f"codes.{name}": value for name, value in kept.codes.items()}
    return json.dumps(told), encoded(tensors | codes)


def unpack(text: str, content: bytes, device: torch.device) -> Fitted:
    """The inverse of `pack`. A recipe of one's own is imported from where its module lies. Raises `Mistake`."""
    told, tensors = json.loads(text), decoded(content)
    kept = Unsaved(told["files"], told["metrics"], below("codes.", tensors))
    preparation, recipe = Preparation.from_json(kept.stored("data")["preparation"]), _recipe(kept)
    if "plan" not in told:
        recipe.model.load_state_dict(below("model.", tensors))
        recipe.model.to(device)
        return Fitted(space_of(recipe, preparation, kept), kept)
    learner = Learner(recipe, Plan.from_json(told["plan"]), device)
    learner.objective.endless()  # only a training without an end keeps its learner
    learner.restore(below("learner.", tensors), told["guard"])
    space = space_of(Recipe(learner.result, learner.objective), preparation, kept)
    return Fitted(space, kept, learner, told["step"])


def _recipe(kept: Unsaved) -> Recipe:
    definition = Definition.from_json(kept.stored("recipe"))
    with drawing(torch.device("cpu"), 0):  # the weights drawn here are replaced, and the caller's generator must not notice
        return definition.build(spec_of(kept.stored("data")), module_of(definition.name))
