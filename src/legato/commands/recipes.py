"""`legato recipes` and `legato recipes NAME`."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from typing import Annotated

from cyclopts import Parameter
from rich.console import Console
from rich.table import Table
from rich.text import Text

import legato.recipes  # noqa: F401  (registers the named models)
from legato.commands.application import application
from legato.definition import define, find
from legato.errors import Mistake
from legato.recipe import RECIPES, Sentence, options_of
from legato.setting import DataSpec

app = application("recipes")
DIGITS = DataSpec((1, 28, 28), "bytes", "bernoulli", count=55_000, classes=tuple("0123456789"), factors=True)
SHARED = "Every recipe also takes --net, --width, --depth, --latent-shape, --likelihood, --scale and --condition"


@app.default
def recipes(name: Annotated[str | None, Parameter(help="One recipe, which is told whole.")] = None, /) -> None:
    """Every named model by what it is about: its sentence, its paper, its options; of one, all that there is to it."""
    console = Console(highlight=False)
    if name is not None:
        console.print(Text(whole(name)), soft_wrap=True)
        return
    for idea, names in ideas().items():
        console.print(_table(idea, names))
    console.print(f"{len(RECIPES)} recipes; `legato recipes NAME` tells one whole. {SHARED}; your own is MODULE:FUNCTION.")


def whole(name: str) -> str:
    """All that there is to a recipe: its docstring, its function, what it is built of for digits, its options."""
    sentence = find(name)
    first, *rest = paragraphs(sentence)
    options = "\n".join(f"  --{o.replace('_', '-')} {p.default}" for o, p in options_of(sentence).items())
    parts = [f"{name}: {first}", *rest, body(sentence), f"Built for 28 × 28 binary digits:\n\n{built(name)}"]
    return "\n\n".join([*parts, f"Options and their defaults:\n\n{options}\n\n{SHARED}."])


def ideas() -> dict[str, list[str]]:
    """What a file of recipes/ is about -> the recipes in it; the basic ones first, the others in the order of the registry."""
    grouped: dict[str, list[str]] = {}
    for name, sentence in sorted(RECIPES.items(), key=lambda one: not module_of(one[1]).endswith(".basic")):
        told = inspect.getdoc(inspect.getmodule(inspect.unwrap(sentence))) or module_of(sentence)
        grouped.setdefault(told.splitlines()[0].rstrip("."), []).append(name)
    return grouped


def module_of(sentence: Sentence) -> str:
    """The module that a recipe stands in."""
    return str(inspect.unwrap(sentence).__module__)


def paragraphs(sentence: Sentence) -> list[str]:
    """A recipe's docstring."""
    return (inspect.getdoc(sentence) or sentence.__name__).split("\n\n")


def body(sentence: Sentence) -> str:
    """The function as it stands, without its docstring."""
    source = textwrap.dedent(inspect.getsource(inspect.unwrap(sentence)))
    lines, node = source.splitlines(), ast.parse(source).body[0]
    assert isinstance(node, ast.FunctionDef)
    if ast.get_docstring(node):
        told = node.body[0]
        del lines[told.lineno - 1 : told.end_lineno]
    return "\n".join(lines)


def built(name: str) -> str:
    """The recipe in its parts, or why digits are none of its data."""
    try:
        return repr(define(name, DIGITS).build(DIGITS))
    except Mistake as mistake:
        return f"refused: {mistake}"


def _table(idea: str, names: list[str]) -> Table:
    table = Table("recipe", "what it is", "paper", "options", show_lines=True, title=idea, title_justify="left", expand=True)
    for name in names:
        options = "\n".join(f"--{o.replace('_', '-')} {p.default}" for o, p in options_of(RECIPES[name]).items())
        paper = re.search(r"https?://(?:www\.)?([^\s,;)]+)", inspect.getdoc(RECIPES[name]) or "")
        table.add_row(name, paragraphs(RECIPES[name])[0], Text(paper[1].rstrip(".") if paper else ""), options)
    return table
