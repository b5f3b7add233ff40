"""The report of trained runs: one HTML file of what a RUN is, what it makes, and what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from legato.errors import quoted
from legato.latent_space import LatentSpace
from legato.measures.scorecard import evaluate
from legato.report.html import Section, write_report
from legato.report.trained.numbers import Found
from legato.report.trained.story import sections
from legato.report.trained.subjects import TitledRun, opened, titled

__all__ = ["write_run_report"]


def write_run_report(
    spaces: Sequence[LatentSpace],
    out: Path,
    source: Any = None,
    *,
    k: int = 50,
    limit: int | None = 2000,
    seed: int = 0,
    drag: Section | None = None,
) -> int:
    """Measures and draws the runs, side by side where several; writes `out` and returns its size in bytes.

    Figures as `legato evaluate` gives them, with k draws on a sample of `limit` test examples; `drag` comes after the first
    section. Raises `Mistake` for runs of
    different data, and for more than fit side by side.
    """
    data, subjects = opened(spaces, source), titled(spaces)
    # A source may be too small for a test split: then everything is measured, and the page says of which split it is.
    split = data.default_split if len(data.split(data.default_split)) else "all"
    found = [evaluate(space, source, split=split, k=k, limit=limit, seed=seed) for space in spaces]
    title = subjects[0].title if len(subjects) == 1 else f"{len(subjects)} runs side by side"
    trained, *rest = sections(subjects, data, found)
    told = [trained, *([drag] if drag else []), *rest]
    return write_report(out, title, _lead(subjects, found), told, _next(spaces), _facts(found))


def _lead(subjects: Sequence[TitledRun], found: Sequence[Found]) -> str:
    """One sentence for each run: what it is, and its first figure."""
    return " ".join(_said(subject, one) for subject, one in zip(subjects, found, strict=True))


def _said(subject: TitledRun, found: Found) -> str:
    name = subject.space.definition.name
    words = f"{subject.title} is a `{name}` with {subject.space.latent_dim} latents"
    if found["elbo"]["value"] is None:
        return f"{words}: its distortion on test examples is {found['distortion']['value']:.2f} nats, and it has no ELBO."
    elbo = f"{found['elbo']['value']:.2f}".replace("-", "−")
    rate, distortion = found["rate"]["value"], found["distortion"]["value"]
    return f"{words}: its ELBO is {elbo} nats, of which it pays {rate:.2f} for the code and {distortion:.2f} for what is lost."


def _facts(found: Sequence[Found]) -> dict[str, str]:
    about, run = found[0]["data"], found[0]["run"]
    return {
        "data": f"{about['source']} ({about['split']})",
        "measured on": f"{about['n']:,} examples, {run['k']} draws each",
        "seed of the measures": str(run["seed"]),
        "date": date.today().isoformat(),
    }


def _next(spaces: Sequence[LatentSpace]) -> list[tuple[str, str]]:
    first = quoted(spaces[0].run.path)
    told = [(f"legato evaluate {first}", "the same figures on the whole test split, with 1,000 draws")]
    if len(spaces) > 1:
        paths = " ".join(quoted(space.run.path) for space in spaces)
        told.append((f"legato compare {paths}", "paired differences, far more precise than two intervals"))
    return [*told, (f"legato traverse {first} --dims z0", "one dimension in more steps")]
