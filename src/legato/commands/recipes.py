"""`legato recipes`."""

from __future__ import annotations

import inspect

from rich.console import Console
from rich.table import Table

import legato.recipes  # noqa: F401  (registers the named models)
from legato.commands.application import application
from legato.recipe import RECIPES, options_of

app = application("recipes")


@app.default
def recipes() -> None:
    """Every named model: its sentence, its paper, its options."""
    table = Table("recipe", "what it is", "options", show_lines=True, title="legato train RECIPE --data SOURCE --out RUN")
    for name, sentence in RECIPES.items():
        options = [f"--{o.replace('_', '-')} {p.default}" for o, p in options_of(sentence).items()]
        table.add_row(name, inspect.getdoc(sentence) or "", "\n".join(options))
    console = Console()
    console.print(table)
    console.print(
        "Every recipe also takes --net, --width, --depth, --likelihood and --scale; a recipe of your own is MODULE:FUNCTION."
    )
