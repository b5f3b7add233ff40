"""`legato report RUN…`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from legato.classes import unlabelled
from legato.commands.application import application
from legato.commands.options import HERE, Label, Place, Seed, Source, Where
from legato.commands.output import say
from legato.errors import Mistake
from legato.latent_space import LatentSpace
from legato.report.decoding import decoding
from legato.report.drag import drag_section, draggable
from legato.report.html import Section
from legato.report.trained import write_run_report
from legato.report.trained.subjects import opened

app = application("report")


@app.default
def report(
    *runs: Annotated[Path, Parameter(help="A RUN, or several of the same data: side by side.")],
    data: Source = None,
    k: Annotated[int, Parameter(help="Importance draws per example, exactly.")] = 50,
    limit: Annotated[int, Parameter(help="The figures are over a random sample of so many test examples.")] = 2000,
    seed: Seed = 0,
    out: Annotated[Path | None, Parameter(help="The file; by default report.html in the (first) RUN.")] = None,
    explore: Annotated[
        bool, Parameter(help="Of models with 2 latents, a map to drag on: about 1 MB, pictures of your data.")
    ] = True,
    live: Annotated[bool, Parameter(negative=(), help="That map decodes every place itself: 7 to 10 MB. Needs ONNX.")] = False,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """One HTML file of what was trained, what it makes, and what was measured of it. It needs no network."""
    if not runs:
        raise Mistake("a report needs a RUN: legato report RUN")
    spaces = _of_one_class([place.load(run, label=label) for run in runs])
    opened(spaces, data)  # what does not belong together is told before anything is measured
    # Beside the run by default, where the next report replaces it.
    path = spaces[0].run.report if out is None else out
    shown = draggable(spaces) if explore else []
    if live and not shown:
        raise Mistake("--live needs a run of pictures with 2 latents: legato train vae --latent-dim 2")
    drag = _drag(shown, data, place, live) if shown else None
    size = write_run_report(spaces, path, data, k=k, limit=limit, seed=seed, drag=drag)
    say(f"wrote {path}, {size / 1e6:.1f} MB")


def _of_one_class(spaces: list[LatentSpace]) -> list[LatentSpace]:
    """The same; a report looks at one class at a time. Raises `Mistake` where a class must be known and is not."""
    # Refused here: every figure below decodes, and would need a class of its own.
    for space in spaces:
        if space.model.needs_class:
            raise unlabelled(str(space.kept), space.classes)
    return spaces


def _drag(shown: list[LatentSpace], data: str | None, place: Place, live: bool) -> Section | None:
    prepared = opened(shown, data)
    return drag_section(shown, prepared, place.load, module=place.module, decoding=decoding(shown) if live else None)
