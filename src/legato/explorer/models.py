"""One run over time: the model as it is now and at each snapshot, loaded when asked for.

Covered: runs that are still being trained; what a page is told of a model before anything is encoded. Not covered: codes.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import torch

from legato.errors import Mistake
from legato.explorer import progression
from legato.explorer.recent import Recent
from legato.fitted.kept import names, said
from legato.latent_space import LatentSpace
from legato.loading import untrained
from legato.recipe import RECIPES
from legato.run import Run

KEPT = 512 << 20  # bytes of weights in memory: some snapshots of a small model, one of a large one
Loader = Callable[..., LatentSpace]  # `load` with device, threads and module already said, so that no one below need know them


class Member:
    """A run that takes part in a session. Raises `Mistake` where it is none."""

    def __init__(self, path: Path, load: Loader, module: str | None = None) -> None:
        self.run = Run.existing(path)
        self._load = load
        self.label: str | None = None
        self.blank = untrained(self.run, module, self.run.model if self.run.model.is_file() else None)
        self._kept: Recent[LatentSpace] = Recent(_weight, KEPT)
        if self.ready:
            self.at(None)  # a damaged file is told of before a page opens

    def of_class(self, name: str) -> Member:
        """The same run looked at as one class; as it is where its model reads no label."""
        if not self.blank.classes:
            return self
        one = copy.copy(self)
        one.label, one.blank, one._kept = name, self.blank.of_class(name), Recent(_weight, KEPT)
        # of weights that all classes share: a copy for each would take as much memory as there are classes
        one._load = lambda path, step=None: self.at(step).of_class(name)
        return one

    @property
    def ready(self) -> bool:
        """True where there is a model: a run in training writes one at its first snapshot, or after some minutes."""
        return self.run.model.is_file() or bool(progression.snapshots(self.run))

    def key(self, step: int | None) -> Hashable:
        """A key of what is loaded for a step: equal keys, equal weights. Raises `Mistake` for a step that was not kept."""
        kept = progression.snapshots(self.run)
        if step is not None and step not in kept:
            raise Mistake(f"no snapshot of step {step} is kept: there are {', '.join(map(str, kept)) or 'none'}")
        if step is None and self.run.model.is_file():
            # its time: a run in training writes it anew at every checkpoint, and the old one must not stand for it
            return self.run.model.stat().st_mtime_ns, "model"
        if step is None and not kept:
            raise Mistake("the run has no model yet: it is written at the first snapshot or checkpoint")
        return kept[-1] if step is None else step

    def at(self, step: int | None) -> LatentSpace:
        """The model at a snapshot's step, or the newest."""
        key = self.key(step)
        return self._kept.get(key, lambda: _quick(self._load(self.run.path, step=key if isinstance(key, int) else None)))

    def under(self, step: int | None, name: str | None) -> LatentSpace:
        """The same under a prior that was fitted to the codes of the finished model; under its own where none is named."""
        if name is None:
            return self.at(step)
        if step is not None:
            raise Mistake("a prior that was fitted is of the finished model's codes, not of a snapshot's")
        key = (
            self.key(step),
            name,
            (self.run.priors / f"{name}.json").stat().st_mtime_ns if name in names(self.run.priors) else 0,
        )
        return self._kept.get(key, lambda: self.at(step).under(name))

    def numbered(self, number: int) -> int | None:
        """The step of the n-th snapshot, as the socket counts; 0 is the newest model."""
        if number == 0:
            return None  # 0 and no snapshot's number, since a socket's frame has no room for null
        kept = progression.snapshots(self.run)
        if number > len(kept):
            raise Mistake(f"there is no snapshot number {number}: there are {len(kept)}")
        return kept[number - 1]

    def to_json(self, title: str) -> dict[str, Any]:
        """The facts that are known from the run's files alone, before any weights are read."""
        space = self.blank
        words = space.definition.to_json()
        return {
            "title": title,
            "recipe": words.pop("recipe"),
            "sentence": sentence(space.definition.name),
            "words": words,
            "latent_dim": space.latent_dim,
            "shape": list(space.model.latent.event),
            "has_density": space.has_width,
            "standard_prior": space.has_standard_prior,
            "prior_was_trained": space.prior_was_trained,
            "priors": [{"name": name, "kind": said(self.run.priors, name)["kind"]} for name in names(self.run.priors)],
            "snapshots": progression.snapshots(self.run),
            "total": progression.total(self.run),
            "state": progression.state(self.run),
            "ready": self.ready,
        }


def titles(members: list[Member]) -> list[str]:
    """The runs' folders, or their whole paths where two folders have one name."""
    names = [member.run.path.resolve().name for member in members]
    return names if len(set(names)) == len(names) else [str(member.run.path) for member in members]


def sentence(name: str) -> str:
    """The recipe's own first line; nothing is imported to find it."""
    found = RECIPES.get(name)
    return (inspect.getdoc(found) or "").split("\n")[0] if found else ""


def _quick(space: LatentSpace) -> LatentSpace:
    """The model with its convolutions' weights channel by channel, as a CPU wants them: a fifth less time for one picture."""
    # on the CPU alone: that is where it was measured (docs/log.md)
    for weight in space.model.parameters() if space.device.type == "cpu" else ():
        if weight.ndim == 4:
            weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    return space


def _weight(space: LatentSpace) -> int:
    return sum(value.nbytes for value in space.model.state_dict().values())
