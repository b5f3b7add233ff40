"""The conclusion, `claims.json`: evidence read, verdicts decided by the table, the protocol written beside.

{"claims": [{"id", "sentence", "verdict", "parts", "primary": {member: estimate}, "rule": […], "controls": {…}, "leaves_out"}],
 "protocol": {…}}
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from legato import __version__
from legato.claims import CLAIMS, EDITION, FAMILY, Claim, decide, table_hash
from legato.experiment.across import across
from legato.experiment.contrasts import Evidence, contrasts
from legato.experiment.members import LARGE, Member, title_of
from legato.experiment.run import Experiment, read_protocol
from legato.experiment.scales import declared
from legato.experiment.survey import evidence_path, read_evidence
from legato.files import write_json
from legato.measures.estimate import Estimate, absent, estimate_of
from legato.measures.seeds import Contrast

CONTROLS = ("untrained", "pca", "cross-fade", "train against test", "mean image", "nearest copy")


def read_figures(path: Path) -> dict[str, Estimate]:
    """Measure -> estimate."""
    return {name: estimate_of(one) for name, one in read_evidence(path)["figures"].items()}


def gather(experiment: Experiment) -> Evidence:
    """Everything measured of the models with 16 latents, and of the controls."""
    found: dict[str, list[dict[str, Estimate]]] = {}
    for member in experiment.members:
        if member.latent_dim == LARGE:  # those of 2 latents are for pictures: no rule reads a figure of theirs
            path = evidence_path(experiment.out, member.name, LARGE, member.seed)
            found.setdefault(member.name, []).append(read_figures(path))
    together = across(found)
    for name in CONTROLS:
        # starting weights differ by seed; principal components and images that no model made do not
        seeds = range(experiment.seeds if name == "untrained" else 1)
        paths = [evidence_path(experiment.out, name, LARGE, seed) for seed in seeds]
        # a quick experiment, or one that was stopped, has measured fewer
        if figures := [read_figures(path) for path in paths if path.is_file()]:
            found[name] = figures
    found[FAMILY] = together
    return Evidence(found, frozenset(CONTROLS) - {"untrained"})  # what no seed trains has no variance over seeds


def conclude(experiment: Experiment) -> dict[str, Any]:
    """The verdicts and all that they rest on; written to OUT/claims.json."""
    evidence = gather(experiment)
    # Rules whose figures are missing get a contrast that says so: no claim is left without a verdict.
    decided = decide(contrasts(evidence), Contrast(absent("not measured")))
    claims = [
        {**one, "primary": _by_name(evidence, claim, trained=True), "controls": _by_name(evidence, claim, trained=False)}
        for claim, one in zip(CLAIMS, decided, strict=True)
    ]
    found = {"claims": claims, "protocol": _protocol(experiment)}
    write_json(experiment.out / "claims.json", found)
    return found


def _by_name(evidence: Evidence, claim: Claim, trained: bool) -> dict[str, Any]:
    """The primary measure of each member (or control): over seeds, and each seed's own over images."""
    measure = claim.rules[0].measure
    names = [name for name in evidence.found if (name in CONTROLS) != trained]
    return {name: _one(evidence, measure, name) for name in names if any(measure in each for each in evidence.found[name])}


def _one(evidence: Evidence, measure: str, name: str) -> dict[str, Any]:
    each = [figures[measure].to_json() for figures in evidence.found[name] if measure in figures]
    return {"title": title_of(name), "measure": measure, **evidence.over_seeds(measure, name).to_json(), "seeds": each}


def _protocol(experiment: Experiment) -> dict[str, Any]:
    shared: Mapping[str, Any] = read_protocol(experiment.out / "protocol.json")
    return {
        **shared,
        "seeds": experiment.seeds,
        "members": [_told(member) for member in experiment.members],
        "edition": EDITION,
        "rules_hash": table_hash(declared()),  # of the table that decided: a verdict of another table is told from this one
        "legato": __version__,
        "torch": torch.__version__,
    }


def _told(member: Member) -> dict[str, Any]:
    return {"name": member.name, "recipe": member.recipe, **member.options, "seed": member.seed}
