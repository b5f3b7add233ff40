"""Training the family: equally many steps for everyone, set by one probe; finished members are kept, stopped ones resumed.

Covered: one member, and the probe. Not covered: who they are (members.py), side by side (run.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch

from legato.data import DataOptions
from legato.devices import generators_kept
from legato.errors import Mistake
from legato.experiment.members import Member
from legato.nets import is_image
from legato.run import Run
from legato.training import Job, TrainingOptions, begin, complete
from legato.training.engine import steady
from legato.types import Shape

DENSE_LIMIT = 4096  # values; on two cores a budget of minutes is many more steps of a perceptron than of convolutions
SNAPSHOTS = 12  # for the maps over training; σ over training is read from the metrics, which need none


@dataclass(frozen=True)
class Protocol:
    """The words that every member shares."""

    source: str
    data: DataOptions
    minutes: float | None  # for one member, in which the probe counts the steps; None where they were said
    steps: int | None = None  # where they were said instead, so that two machines can train alike
    device: str = "auto"
    module: str | None = None

    def words(self, shape: Shape) -> dict[str, Any]:
        """One architecture: the perceptron of the first VAEs, and convolutions for images that are too large for it."""
        return {"net": "strided"} if prod(shape) > DENSE_LIMIT and is_image(shape) else {"net": "mlp", "width": 512, "depth": 2}


def probe(member: Member, protocol: Protocol, shape: Shape, out: Path, device: torch.device) -> int:
    """The number of steps of this member that fit into the protocol's minutes, on this machine, now. Nothing is written."""
    options = TrainingOptions(minutes=protocol.minutes, seed=member.seed, engine=steady(device))
    with generators_kept():  # a probe trains, and must not move the draws of the member that is trained next in this process
        run = Run(out / "probe")
        job = begin(run, member.recipe, protocol.source, protocol.data, options, _chosen(member, protocol, shape), device)
    return job.plan.total


def train_member(member: Member, protocol: Protocol, shape: Shape, steps: int, out: Path, device: torch.device) -> None:
    """Trains one member to its end, or goes on where it was stopped, or leaves it where it is finished.

    Raises `Mistake` where the folder holds a member that was trained for another number of steps.
    """
    run = Run(member.path(out))
    options = TrainingOptions(steps=steps, seed=member.seed, snapshots=SNAPSHOTS, engine=steady(device))

    half = not run.training.is_file()  # where anything lies: a worker was killed before it had said what the run is

    def anew() -> Job:
        chosen = _chosen(member, protocol, shape)
        return begin(run, member.recipe, protocol.source, protocol.data, options, chosen, device, overwrite=half)

    if not half and (had := int(run.stored("training")["total"])) != steps:
        raise Mistake(f"`{run.path}` was trained for {had:,} steps, the others for {steps:,}: choose another --out")
    complete(run, options, anew, device, overwrite=half)


def _chosen(member: Member, protocol: Protocol, shape: Shape) -> dict[str, Any]:
    return {**member.options, **protocol.words(shape)}
