"""A member measured, once: what was found lies in OUT/evidence/ and is not measured again by the same effort."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from legato.data.options import DataOptions
from legato.data.preparation import prepare
from legato.data.prepared import Prepared
from legato.data.sources import open_source
from legato.experiment.family import Protocol
from legato.experiment.members import Member
from legato.files import read_json, write_json
from legato.loading import load
from legato.measures.estimate import Estimate
from legato.survey import FULL, QUICK, Effort, Survey, survey
from legato.survey.material import Material, material
from legato.survey.subject import Trained

WEIGHED = 1  # seeds whose likelihoods are weighed: half of a survey's time, and no rule reads them


class Values(TypedDict):
    """C(r) of some radii; None where there is none."""

    radii: list[float]
    value: list[float | None]
    low: list[float | None]
    high: list[float | None]


class Histogram(TypedDict):
    """Densities between edges."""

    edges: list[float]
    density: list[float]


class Balance(TypedDict):
    """log σ of some images and dimensions."""

    predicted: list[list[float]]
    learnt: list[list[float]]


# Of the curves, those that a report draws: a file is checked in what is read of it.
StoredCurves = TypedDict(
    "StoredCurves",
    {"curve of r50": NotRequired[Values], "squared norms": NotRequired[Histogram], "balance": NotRequired[Balance]},
)


class StoredEvidence(TypedDict):
    """The measures of a member or a control."""

    figures: dict[str, Estimate]
    curves: StoredCurves
    effort: NotRequired[dict[str, Any]]


def read_evidence(path: Path) -> dict[str, Any]:
    """A file of OUT/evidence/. Raises `Mistake` where it is missing or damaged."""
    return read_json(path, StoredEvidence, remedy="remove it if it is there, and the same command measures it again")


def evidence_path(out: Path, name: str, latent_dim: int, seed: int) -> Path:
    """The path of the measures of a member or a control."""
    return out / "evidence" / f"{name.replace(' ', '-')}-{latent_dim}-seed{seed}.json"


def effort_of(quick: bool, seed: int = 0) -> Effort:
    """The effort spent on everyone; of a seed beyond the first, without weighing and annealing likelihoods.

    These two cost more than half of a survey, and no rule reads them.
    """
    effort = QUICK if quick else FULL
    return effort if seed < WEIGHED else replace(effort, weighted=0, annealed=0)


def survey_member(member: Member, protocol: Protocol, out: Path, quick: bool) -> None:
    """Measures a trained member with the quick or the full effort, unless that has been done."""
    effort = effort_of(quick, member.seed)

    def found() -> Survey:
        space = load(member.path(out), device=protocol.device)
        return survey(Trained(space), shared_material(protocol.source, protocol.data, quick), effort, seed=member.seed)

    write_once(evidence_path(out, member.name, member.latent_dim, member.seed), effort, found)


def write_once(path: Path, effort: Effort, found: Callable[[], Survey]) -> None:
    """The measures that `found` gives, as JSON, unless that very effort has been made and lies there."""
    # the effort is compared too: quick figures must not pass for full ones
    if path.is_file() and read_evidence(path).get("effort") == effort.to_json():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, found().to_json())


# Cached: a worker measures many members of one source, and opens it once.
@cache
def shared_data(source: str, options: DataOptions) -> Prepared:
    """The source, opened once in a process. Every member has the likelihood that fits it, so all see it prepared alike."""
    data = open_source(source, options)
    # fitted to training rows alone, as the members' own preparation is
    return Prepared(data, prepare(data.kind, data.likelihood, data.rows, data.splits["train"].all()))


@cache
def shared_material(source: str, options: DataOptions, quick: bool) -> Material:
    """The images that all are measured on."""
    effort = effort_of(quick)
    return material(shared_data(source, options), effort.train, effort.test)
