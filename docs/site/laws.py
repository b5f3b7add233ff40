"""The tests that name a word: the laws of a recipe and of its words, found in the tests' own text.

A test names a word that stands in it as a string or as an identifier, and reaches those of what it uses of its file. It is a
law of every recipe where it, or a fixture that it asks for, is parametrised by all. Covered: finding and grouping. Not covered:
whether they hold.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests"
DOCS = ("test_site.py", "test_readme.py", "test_docs.py")  # of pages, not of models
EVERY = {"RECIPES", "PAIRS", "TABLE"}  # tables that a law of all recipes is parametrised by


@dataclass(frozen=True)
class Law:
    """One test: the file that it stands in, what that file is about, its own name, the words that it names and reaches."""

    file: str
    about: str
    name: str
    words: frozenset[str]
    reached: frozenset[str]
    of_all: bool

    @property
    def says(self) -> str:
        """The test's name as a sentence."""
        return self.name.removeprefix("test_").replace("_", " ")


@cache
def laws() -> tuple[Law, ...]:
    """Every test of models, in the order of files and lines."""
    return tuple(law for path in sorted(TESTS.glob("test_*.py")) if path.name not in DOCS for law in _of(path))


def naming(name: str, *words: str) -> list[Law]:
    """The tests that name a recipe, or reach one of its words, and are not of every recipe anyway."""
    return [law for law in laws() if (name in law.words or law.reached & {*words}) and not law.of_all]


def of_all() -> list[Law]:
    """The tests that run over the table of all recipes."""
    return [law for law in laws() if law.of_all]


def by_file(found: list[Law]) -> str:
    """Markdown: a line for each file, and its tests below."""
    files: dict[str, list[Law]] = {}
    for law in found:
        files.setdefault(law.file, []).append(law)
    return "\n\n".join(_block(file, held) for file, held in files.items())


def _block(file: str, held: list[Law]) -> str:
    listed = "\n".join(f"    - {law.says}" for law in held)
    return f'??? quote "{held[0].about.rstrip(".:")} ({len(held)})"\n\n    `tests/{file}`\n\n{listed}'


def _of(path: Path) -> Iterator[Law]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    about = (ast.get_docstring(tree) or path.name).splitlines()[0].replace('"', "'")
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    said = {name: _words(node) for name, node in functions.items()}
    for name, node in functions.items():
        if name.startswith("test_"):
            asked = [node, *(functions[one.arg] for one in node.args.args if one.arg in functions)]
            over = any(EVERY & _words(decorator) for one in asked for decorator in one.decorator_list)
            yield Law(path.name, about, name, frozenset(said[name]), frozenset(_reached(name, said)), over)


def _reached(name: str, said: dict[str, set[str]]) -> set[str]:
    """The words of a function and of the helpers and fixtures of its file that it uses, and that these use."""
    reached, waiting = {name}, [name]
    while waiting:
        new = (said[waiting.pop()] & said.keys()) - reached
        reached |= new
        waiting += new
    return set().union(*(said[one] for one in reached))


def _words(tree: ast.AST) -> set[str]:
    """Strings as they stand, identifiers, arguments."""
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(word)) | ast.Name(id=word) | ast.Attribute(attr=word) | ast.arg(arg=word):
                found.add(word)
    return found
