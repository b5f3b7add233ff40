"""What a worker process does: train one member, measure it, write down what was found."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from legato.devices import choose
from legato.errors import Stopped
from legato.experiment.controls import measure_controls
from legato.experiment.family import Protocol, probe, train_member
from legato.experiment.members import LARGE, Member
from legato.experiment.survey import survey_member


@dataclass(frozen=True)
class Task:
    """One member's."""

    member: Member
    protocol: Protocol
    shape: tuple[int, ...]
    steps: int
    out: Path
    quick: bool


def begin_worker(out: str, threads: int) -> None:
    """A worker's first act: its lines go to OUT/work.log, its threads are counted (0: as many as torch likes)."""
    Path(out).mkdir(parents=True, exist_ok=True)
    log = os.open(Path(out, "work.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    if threads:
        torch.set_num_threads(threads)
        threadpool_limits(threads)  # NumPy's and scikit-learn's own: two workers with two of these each wait for one another


def count_steps(task: Task) -> int:
    """How many steps fit into the protocol's minutes beside the other workers."""
    return probe(task.member, task.protocol, task.shape, task.out, choose(task.protocol.device))


def do_controls(task: Task, seeds: int) -> str:
    """Measures the controls of a family with so many seeds."""
    measure_controls(task.protocol, task.out, task.quick, seeds)
    return "controls"


def do(task: Task) -> str:
    """Trains and measures; returns the member's name. Those with 2 latents are for pictures: no figure of theirs is read."""
    try:
        train_member(task.member, task.protocol, task.shape, task.steps, task.out, choose(task.protocol.device))
    except Stopped as stopped:
        raise KeyboardInterrupt from stopped  # the parent tells of it
    if task.member.latent_dim == LARGE:
        survey_member(task.member, task.protocol, task.out, task.quick)
    return task.member.title
