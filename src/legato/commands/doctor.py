"""`legato doctor MODEL`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table

from legato.commands.application import application
from legato.commands.options import HERE, Json, Label, Seed, Where
from legato.commands.output import say, write_figures
from legato.doctor.advice import Tone
from legato.doctored import Doctored
from legato.doctored import doctor as examine
from legato.errors import Mistake
from legato.measures.interval import bracketed
from legato.report.html import MARKS
from legato.survey.named import function, named

app = application("doctor")
MODEL = "A RUN; encoder.onnx decoder.onnx, or a folder of both; a folder of diffusers; module:function, which returns a model."
LOSS = "module:function, (x, reconstruction, mu, log sigma^2) -> a number: from its derivatives the effective beta is read."


@app.default
def doctor(
    *model: Annotated[str, Parameter(help=MODEL)],
    data: Annotated[str | None, Parameter(help="SOURCE; by default a RUN's own data.")] = None,
    loss: Annotated[str | None, Parameter(help=LOSS)] = None,
    effort: Annotated[Literal["quick", "full"], Parameter(help="How many images are looked at.")] = "quick",
    seed: Seed = 0,
    out: Annotated[Path | None, Parameter(help="The page; by default doctor.html in the RUN, or here.")] = None,
    json: Json = None,
    label: Label = None,
    place: Where = HERE,
) -> None:
    """Whether a space can be sampled as it is, by what prior, what to change in training: a table, one HTML file, JSON."""
    if not model:
        raise Mistake("the doctor needs a model: legato doctor RUN")
    asked: Any = named(model)
    asked = place.load(asked, label=label) if isinstance(asked, Path) else asked
    found = examine(asked, data=data, loss=None if loss is None else function(loss), effort=effort, seed=seed)
    space = found.patient.subject.space
    path = out or (Path() if space is None else space.run.path) / "doctor.html"
    found.report(path, None if space is not None else Path(model[0]).name)
    if json is not None:
        write_figures(found.to_json(), json)
    if json is None or str(json) != "-":  # with `--json -` stdout is JSON alone
        _show(found)
        say(f"wrote {path}")


def _show(found: Doctored) -> None:
    table = Table("figure", "value [95 %]", "control", "", "advice")
    missing: dict[str, list[str]] = {}
    for key, advice in found.advice.items():
        one, control = found.figures[key], found.controls.get(key)
        if one.value is None:
            missing.setdefault(one.why or "not said", []).append(advice.name)
        else:
            beside = "" if control is None or control.value is None else bracketed(control)
            table.add_row(advice.name, bracketed(one), beside, _mark(advice.tone), advice.says)
    Console().print(table)
    for why, names in missing.items():
        say(f"no {', '.join(names)}: {why}")
    for line in found.diagnosis.lines():
        say(line)


def _mark(tone: Tone | None) -> str:
    return "" if tone is None else MARKS[tone]
