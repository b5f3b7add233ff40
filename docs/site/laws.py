"""The tests that name a word: a recipe's laws, found in the tests' own text.

A test names a recipe where the name stands in it as a string or as an identifier; it is a law of every recipe where it is
parametrised by `RECIPES`. Covered: finding and grouping. Not covered: whether they hold (`make test`).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[2] / "tests"
EVERY = "RECIPES"  # the table that a law of all recipes is parametrised by


@dataclass(frozen=True)
class Law:
    """One test: the file that it stands in, what that file is about, its own name, the words that it names."""

    file: str
    about: str
    name: str
    words: frozenset[str]
    of_all: bool

    @property
    def says(self) -> str:
        """The test's name as a sentence."""
        return self.name.removeprefix("test_").replace("_", " ")


@cache
def laws() -> tuple[Law, ...]:
    """Every test of the house, in the order of files and lines."""
    return tuple(law for path in sorted(TESTS.glob("test_*.py")) for law in _of(path))


def naming(word: str) -> list[Law]:
    """The tests that name `word`, and are not of every recipe anyway."""
    return [law for law in laws() if word in law.words and not law.of_all]


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
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            over = any(EVERY in _words(decorator) for decorator in node.decorator_list)
            yield Law(path.name, about, node.name, frozenset(_words(node)), over)


def _words(tree: ast.AST) -> set[str]:
    """Strings as they stand, and identifiers."""
    nodes = list(ast.walk(tree))
    said = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return said | names | {node.attr for node in nodes if isinstance(node, ast.Attribute)}
