"""The sentence that a run's files say, checked before anything is built of it: they may have come from elsewhere.

Covered: options that are none of the recipe's, sizes that no memory holds, weights of another model. Not covered: the weights
themselves (tensors.py), the model (latent_space.py).
"""

from __future__ import annotations

from pathlib import Path

import torch

from legato.data.prepared import spec_of
from legato.definition import Definition, module_of
from legato.devices import drawing, memory_of_machine
from legato.files import damaged
from legato.run import Run
from legato.setting import DataSpec
from legato.tensors import check_fits


def sentence_of(run: Run, module: str | None = None, weights: Path | None = None) -> tuple[Definition, DataSpec]:
    """The sentence of a run, and what its data are: something that can be built and that `weights` are of.

    Raises `Mistake` where the run's files are damaged: a recipe.json from elsewhere may ask for more than any memory holds.
    """
    stored, definition = run.stored("data"), Definition.from_json(run.stored("recipe"))
    spec = spec_of(stored)
    if why := definition.fault(module):
        raise damaged(f"`{run.recipe}`", why)
    if module_of(definition.name) is None:
        _refuse_misfit(definition, spec, run, weights)
    return definition, spec


def _refuse_misfit(definition: Definition, spec: DataSpec, run: Run, weights: Path | None) -> None:
    """The sentence built of shapes alone, which costs milliseconds whatever it asks for."""
    try:
        with drawing(torch.device("cpu"), 0), torch.device("meta"):
            recipe = definition.build(spec)
            like, beside = recipe.model.state_dict(), recipe.objective.state_dict()
    except (RuntimeError, OverflowError, TypeError) as error:  # numbers that no tensor can have
        raise damaged(f"`{run.recipe}`", f"no such model can be built ({str(error).splitlines()[0]})") from None
    if weights is not None:
        check_fits(weights, like)
    # What learns beside the model is built with it, though only training goes on with it.
    asked, memory = sum(one.nbytes for one in (*like.values(), *beside.values())), memory_of_machine()
    if asked > memory:
        raise damaged(f"`{run.recipe}`", f"it asks for {asked / 1e9:,.0f} GB of weights, this machine has {memory / 1e9:,.0f}")
