"""A page for each recipe of the registry, made of its function, its docstring and the tests that name it."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path

import laws

from legato.commands.recipes import body, built, ideas, paragraphs
from legato.recipe import RECIPES, Sentence, options_of
from legato.setting import Words

ROOT = Path(__file__).parents[2]
PLAIN = ("Recipe", "DataSpec", "Mistake")  # capitals that are no words of the grammar


def pages() -> dict[str, str]:
    """Path below docs/ -> Markdown: one page for each recipe, and the page that lists them."""
    return {"recipes/index.md": overview()} | {f"recipes/{name}.md": page(name) for name in RECIPES}


def files() -> dict[str, list[str]]:
    """The same under the files' own names, short enough for a list beside the page: `Priors`."""
    return {_file(RECIPES[names[0]]).rpartition("/")[2].removesuffix(".py").capitalize(): names for names in ideas().values()}


def overview() -> str:
    """The table of all recipes by idea, and the laws that each of them keeps."""
    tables = "\n\n".join(f"## {idea}\n\n{_table(names)}" for idea, names in ideas().items())
    return f"""# Recipes

A recipe is a sentence: a model and what it is trained for. `legato train NAME --data SOURCE --out RUN` trains one, and so does
`legato.train("NAME", …)`; one of your own takes [a few lines](../grammar.md#a-sentence-of-your-own). Each page below is made of
the recipe's own function, its docstring, and the tests that name it. What single recipes cannot stands in
[one table](cannot.md).

{tables}

## Laws of every recipe

{laws.by_file(laws.of_all())}
"""


def page(name: str) -> str:
    """What one recipe is, how it is said, what it is built of, what it takes, and what it is held to."""
    sentence = RECIPES[name]
    first, *rest = paragraphs(sentence)
    told = "\n\n".join(rest)
    words = vocabulary(sentence)
    shared = ", ".join(f"`{word.name}`" for word in fields(Words))
    return f"""# {name}

**{first}**

{told}

In words: {words_of(name)}.

## The sentence

```python
{body(sentence)}
```

From `{_file(sentence)}`. Built for 28 × 28 binary digits, by default:

```text
{built(name)}
```

## Options

{_options(name)}

Every recipe also takes {shared} ([what they mean](../grammar.md#the-words)).

## Use

```sh
legato train {name} --data mnist --minutes 5 --out runs/{name}
legato evaluate runs/{name}
```

```{{.python .norun}}
space = legato.train("{name}", data="mnist", minutes=5, out="runs/{name}")
```

## Laws

Each box is a file of tests, and each line in it a test that names `{name}`, or is about a word of its
sentence: {", ".join(f"`{word}`" for word in words)}. It keeps the [laws of every recipe](index.md#laws-of-every-recipe) too.

{laws.by_file(laws.naming(name, *words))}
"""


def words_of(name: str) -> str:
    """The recipe's row in the table of docs/grammar.md."""
    grammar = (ROOT / "docs" / "grammar.md").read_text(encoding="utf-8")
    found = re.search(rf"^\|[^|]*\| `{name}` \| (.*) \|$", grammar, re.M)
    if found is None:
        raise ValueError(f"docs/grammar.md has no row for `{name}`")
    return found[1]


def vocabulary(sentence: Sentence) -> list[str]:
    """The words of the grammar in a sentence: its families, priors and terms."""
    names = [node.id for node in ast.walk(ast.parse(body(sentence))) if isinstance(node, ast.Name)]
    return [name for name in dict.fromkeys(names) if name[0].isupper() and name not in PLAIN]


def _table(names: list[str]) -> str:
    rows = "\n".join(f"| [`{name}`]({name}.md) | {paragraphs(RECIPES[name])[0]} |" for name in names)
    return f"| recipe | what it is |\n|---|---|\n{rows}"


def _options(name: str) -> str:
    own = options_of(RECIPES[name])
    rows = "\n".join(f"| `--{o.replace('_', '-')}` | `{o}` | {_kind(p)} | {p.default} |" for o, p in own.items())
    return f"| command | Python | type | default |\n|---|---|---|---|\n{rows}"


def _kind(parameter: inspect.Parameter) -> str:
    kind = parameter.annotation
    return f"`{kind if isinstance(kind, str) else getattr(kind, '__name__', kind)}`".replace("|", "or")


def _file(sentence: Sentence) -> str:
    return f"src/{inspect.unwrap(sentence).__module__.replace('.', '/')}.py"
