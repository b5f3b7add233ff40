"""A RUN opened: `legato.load`, a snapshot of it, its sentence before any training.

Covered: weights that fit the sentence, on the device that was chosen. Not covered: what is done with the model then
(latent_space.py); whether a file can be believed (tensors.py, sentence.py).
"""

from __future__ import annotations

from pathlib import Path

import torch

from legato.arguments import checked
from legato.data.preparation import Preparation
from legato.devices import choose, drawing
from legato.errors import Mistake
from legato.files import told
from legato.fitted.matching import DIRECT, Way
from legato.latent_space import LatentSpace, Loaded
from legato.run import Run
from legato.sentence import sentence_of
from legato.tensors import read_tensors


@told()
@checked
def load(
    run: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    module: str | None = None,
    step: int | None = None,
    label: str | None = None,
    prior: str | None = None,
    way: Way = DIRECT,
) -> LatentSpace:
    """The model of a RUN. Nothing is unpickled, and no code is imported unless `module` names it (a recipe of one's own).

    `step`: the snapshot nearest to that step instead of the finished model. `label`: of a class-conditional model, one class.
    `prior`: the name of one that was fitted to its codes (`legato refit`), in the place of its own, followed in `way`.
    Raises `Mistake` where there is no run, or its files are damaged.
    """
    if prior is None and way != DIRECT:
        raise Mistake("guidance and steps are of a fitted prior: say which, --from NAME (in Python `prior`)")
    place, found = choose(device, threads), Run.existing(run)
    weights = found.model if step is None else _snapshot(found, step)
    space = untrained(found, module, weights)
    # names and shapes first: another model's file is told of in a sentence
    space.model.load_state_dict(read_tensors(weights, space.model.state_dict()))
    space.model.to(place)
    if place.type == "cpu":  # alone: there it was measured, and the encoder did not gain (docs/speed.md)
        space.model.likelihood.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's
    space.device = place
    space.loaded = (module, step)
    space.again = _again, (str(found.path.absolute()), space.loaded)  # absolute, for it may be unpickled in another folder
    space = space if prior is None else space.under(prior, way=way)
    return space if label is None else space.of_class(label)


Trained = LatentSpace | str | Path
"""A trained model, or where its RUN lies."""


def opened(run: Trained) -> LatentSpace:
    """A trained model as it is; of a path, the model of the RUN that lies there."""
    return run if isinstance(run, LatentSpace) else load(run)


def untrained(run: Run, module: str | None = None, weights: Path | None = None) -> LatentSpace:
    """A run's sentence with weights that were never trained; of `weights` names and shapes are looked at before."""
    definition, spec = sentence_of(run, module, weights)
    with drawing(torch.device("cpu"), 0):  # whoever loads keeps the state of their generator
        recipe = definition.build(spec, module)
    return LatentSpace(recipe, Preparation.from_json(run.stored("data")["preparation"]), spec.shape, run, definition)


def _again(path: str, loaded: Loaded) -> LatentSpace:
    return load(path, module=loaded[0], step=loaded[1])


def _snapshot(run: Run, step: int) -> Path:
    kept = run.kept_snapshots()
    if not kept:
        raise Mistake(f"`{run.path}` has no snapshots: train it with --snapshots 12")
    return kept[min(kept, key=lambda at: abs(at - step))]
