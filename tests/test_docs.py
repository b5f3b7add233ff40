"""The documentation tells the truth: its Python and its commands run, and it names every word that exists."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

import pytest

import legato.objectives
from legato import cli
from legato.definition import find
from legato.nets import NETS
from legato.objectives import Term
from legato.recipe import RECIPES
from legato.vocabulary import LIKELIHOODS

GRAMMAR = (Path(__file__).parent.parent / "docs" / "grammar.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", GRAMMAR, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to stand in, whose modules are forgotten afterwards. A block that starts with `# name.py` is a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    for block in blocks("python"):
        if name := re.match(r"# (\w+\.py)\n", block):
            (tmp_path / name[1]).write_text(block)
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.mark.usefixtures("folder")
def test_the_python_of_the_grammar_runs_from_top_to_bottom():
    names: dict[str, object] = {"__name__": "grammar"}
    assert len(blocks("python")) >= 6
    for block in blocks("python"):
        exec(compile(block, "docs/grammar.md", "exec"), names)


def test_the_commands_of_the_grammar_run(folder, capsys):
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    assert len(lines) >= 2
    for line in lines:
        program, *arguments = shlex.split(line.replace("--minutes 1", "--steps 3"))
        assert program == "legato"
        assert cli.run(arguments) == 0, capsys.readouterr().err
    assert (folder / "samples.png").stat().st_size > 1000


def test_the_grammar_names_every_word_that_exists():
    find("vae")  # fills RECIPES
    exported = [getattr(legato.objectives, name) for name in legato.objectives.__all__]
    terms = [t.__name__ for t in exported if isinstance(t, type) and issubclass(t, Term) and t is not Term]
    for word in (*NETS, *LIKELIHOODS, *RECIPES):
        assert f"| `{word}` |" in GRAMMAR, word
    for word in terms:
        assert re.search(rf"\| `{word}\(.*?\)` \|", GRAMMAR), word
