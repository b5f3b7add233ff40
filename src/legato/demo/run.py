"""The demo from start to end: six runs, a table, figures, a report, and what to try next."""

from __future__ import annotations

import platform
import re
import time
from datetime import date
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Column
from rich.table import Table as Shown

from legato.data.prepared import Prepared
from legato.demo.answer import Answer, answer
from legato.demo.members import LARGE, SMALL, Member, train_members
from legato.demo.numbers import measure, yardstick
from legato.demo.story import SHORT, opening, sections, table
from legato.errors import Mistake, quoted
from legato.loading import load
from legato.progress import progress
from legato.report.drag import drag_section
from legato.report.html import Section, Table, strong, write_report
from legato.training.threads import counted

DRAGGED = ("autoencoder", "vae")
TRAINING = 0.8  # of the minutes: measuring and drawing take the rest


def demo(out: Path, minutes: float, seed: int, device: torch.device, overwrite: bool) -> Path:
    """Trains, measures, draws; returns the report's path. Raises `Mistake` for a budget that is none."""
    if not 0 < minutes <= 600:
        raise Mistake(f"--minutes must lie between 0 and 600, got {minutes:g}")
    began = time.monotonic()  # monotonic: a clock that is set meanwhile would tell a wrong time
    # trained large first, shown small first: pictures before numbers
    members = sorted(train_members(out, minutes * TRAINING, seed, device, overwrite), key=lambda m: m.latent_dim)
    data = members[0].space.data()
    with progress("measuring", len(members) + 1, unit="models") as bar:
        against = yardstick(data)
        bar(1)
        rows = []
        for member in members:
            rows.append(measure(member, data, against, seed))
            bar(len(rows) + 1)
    numbers, found = table(rows, against), answer(rows, against)
    _show(numbers)
    print("", *(f"{head} {text}".strip() for head, text in found.points()), sep="\n")
    story = sections(members, data, found, numbers, _drag(members, data, device))
    report = _write(out, members, opening(members, data), story, found, seed)
    print(f"\nwrote {report} in {time.monotonic() - began:.0f} s. What to try next:")
    for command, why in _next(out):
        print(f"  {command}\n      {why}")
    return report


def _drag(members: list[Member], data: Prepared, device: torch.device) -> Section | None:
    """The small autoencoder and the small VAE, to be dragged through side by side."""
    shown = [one for one in members if one.latent_dim == SMALL and one.recipe in DRAGGED]
    opened = partial(load, device=str(device))
    return drag_section([one.space for one in shown], data, opened, titles=[one.title for one in shown])


def _write(out: Path, members: list[Member], first: Section, story: list[Section], found: Answer, seed: int) -> Path:
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    shown = [part for section in (first, *story) for part in (section, *section.parts)]
    drawn = [(part.title, part.figure) for part in shown if isinstance(part.figure, Figure)]
    for number, (name, figure) in enumerate(drawn):
        figure.savefig(figures / f"{number}-{re.sub(r'[^a-z0-9]+', '-', name.lower()).strip('-')}.png")
    path, title = out / "report.html", "What the noise and the KL term do"
    lead = "\n\n".join(f"{strong(head)} {text}" if head else text for head, text in found.points())
    write_report(path, title, lead, story, _next(out), _facts(members, seed), opening=first)
    return path


def _facts(members: list[Member], seed: int) -> dict[str, str]:
    plan = members[0].space.run.stored("training")
    words = members[0].space.definition.words
    return {
        "data": "MNIST, 55,000 training digits, pixels drawn from Bernoulli(x/255)",
        "network": f"{words.net}, {words.depth} layers of {words.width}, the same for all",
        "training": f"{plan['total']:,} steps of {plan['batch_size']}, seed {seed}",
        "machine": f"{platform.machine()}, {counted(plan['threads'])}, {plan['device']}, torch {plan['torch']}",
        "date": date.today().isoformat(),
    }


def _show(numbers: Table) -> None:
    shown = Shown(*(Column(name, no_wrap=True) for name in SHORT), box=SIMPLE_HEAD, pad_edge=False)
    for row in numbers.rows:
        shown.add_row(*("—" if cell is None else str(cell) for cell in row))
    Console(width=max(Console().width, 132)).print(shown)  # narrower, the figures themselves would be cut
    Console().print(numbers.caption)


def _next(out: Path) -> list[tuple[str, str]]:
    vae, points = quoted(out / f"vae-{LARGE}"), quoted(out / f"autoencoder-{SMALL}")
    return [
        (f"legato evaluate {vae}", "ELBO, rate, distortion, log-likelihood and active units, with intervals"),
        (f"legato interpolate {vae} test-0 test-1 test-2 --gif path.gif", "a path between digits of your choice"),
        (f"legato traverse {vae}", "what each latent dimension does"),
        (f"legato sample {points} --from prior", "what an autoencoder makes of N(0, I)"),
        ("legato train vae --data FOLDER --size 32 --minutes 5 --out runs/mine", "the same on your own images"),
    ]
