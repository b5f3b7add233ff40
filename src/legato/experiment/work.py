"""The work of one process: train one member, measure it, write down what was found."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from legato.devices import choose
from legato.errors import Stopped
from legato.experiment.controls import measure_controls
from legato.experiment.family import Protocol, probe, train_member
from legato.experiment.members import LARGE, Member
from legato.experiment.survey import survey_member
from legato.types import Shape
from legato.workers import leave


@dataclass(frozen=True)
class Task:
    """One member's."""

    member: Member
    protocol: Protocol
    shape: Shape
    steps: int
    out: Path
    quick: bool


def count_steps(task: Task) -> int:
    """The number of steps that fit into the protocol's minutes beside the other workers."""
    return probe(task.member, task.protocol, task.shape, task.out, choose(task.protocol.device))


def do_controls(task: Task, seeds: int) -> str:
    """Measures the controls of a family with so many seeds."""
    measure_controls(task.protocol, task.out, task.quick, seeds)
    return "controls"


def do(task: Task) -> str:
    """Trains and measures; returns the member's name. Those with 2 latents are for pictures: no figure of theirs is read."""
    try:
        train_member(task.member, task.protocol, task.shape, task.steps, task.out, choose(task.protocol.device))
    except Stopped:
        leave()  # not an exception: the pool would answer it with the next task
    if task.member.latent_dim == LARGE:  # those with 2 latents are for pictures alone
        survey_member(task.member, task.protocol, task.out, task.quick)
    return task.member.title
