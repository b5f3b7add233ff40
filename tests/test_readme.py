"""The tree of docs/house.md is the house as it stands; the README is short, names every recipe, points at what is there."""

from __future__ import annotations

import re
from pathlib import Path

from legato.definition import find
from legato.recipe import RECIPES

ROOT = Path(__file__).parents[1]


def test_the_tree_names_every_file_and_no_other():
    tree = re.search(r"```\nsrc/legato/\n(.*?)```", (ROOT / "docs" / "house.md").read_text(encoding="utf-8"), re.S)
    assert tree is not None
    named, folder = set(), ""
    for line in tree[1].splitlines():
        name = line.split()[0]
        if not line.startswith("    "):
            folder = name if name.endswith("/") else ""
        named.add((folder if line.startswith("    ") else "") + name.rstrip("/" if line.startswith("  ") else ""))
    source = ROOT / "src" / "legato"
    files = [path for path in source.rglob("*") if path.suffix in (".py", ".j2") and path != source / "__init__.py"]
    there = {str(path.relative_to(source)) for path in files if path.name != "__init__.py"}
    there |= {str(path.parent.relative_to(source)) for path in files if path.name == "__init__.py"} | {
        "__init__.py",
        "data/mnist",
    }
    assert named == there


def test_the_readme_points_only_at_what_is_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(((?!http)[^)#]+)", text):
        assert (ROOT / target).exists(), target


def test_the_readme_is_a_welcome():
    """No longer than a person reads, and no heavier than a page may be."""
    assert (ROOT / "README.md").stat().st_size <= 9_000
    assert (ROOT / "docs" / "images" / "explorer.webp").stat().st_size <= 2_000_000


def test_the_readmes_table_names_every_recipe():
    find("vae")  # fills RECIPES
    table = (ROOT / "README.md").read_text(encoding="utf-8").split("## Recipes")[1].split("\n## ")[0]
    assert [name for name in RECIPES if f"`{name}`" not in table] == [], "not in the README's table of recipes by idea"
