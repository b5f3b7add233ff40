"""The docs site's parts without the site: commands on every page parse, its Python runs, pages made of the code are whole."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import api_pages
import cannot_pages
import cyclopts
import laws
import library_pages
import measure_pages
import numpy as np
import pytest
import recipe_pages
from law_mutations import MUTATIONS
from PIL import Image

import legato
from legato import cli
from legato.measures.known import MEASURES
from legato.recipe import RECIPES, options_of

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def in_blocks(text: str) -> Iterator[str]:
    """Lines of blocks, fenced or indented, that start with the command, without what is said behind `#`."""
    for line in text.splitlines():
        if found := re.match(r"(?:    )?(legato [^#]*)(#|$)", line):
            yield found[1]


def in_sentences(text: str) -> Iterator[str]:
    """What stands in a sentence, where it says more than a command's name."""
    prose = re.sub(r"^```.*?^```|^    .*?$", "", text, flags=re.M | re.S)
    for code in re.findall(r"`([^`]+)`", prose):
        if re.match(r"legato \S+ [^|]+$", code):
            yield " ".join(code.split())


SAID = [
    (page.name, line) for page in PAGES for read in (in_blocks, in_sentences) for line in read(page.read_text(encoding="utf-8"))
]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """The pages that are made of the code: building every recipe takes a second or two."""
    return {
        **recipe_pages.pages(),
        "measures.md": measure_pages.page(),
        "api.md": api_pages.page(),
        "libraries.md": library_pages.page(),
        "recipes/cannot.md": cannot_pages.page(),
    }


@pytest.fixture
def parsed(monkeypatch) -> list[object]:
    """What the command line was asked: it parses, and does nothing."""
    asked: list[object] = []

    def parse(app: cyclopts.App, arguments: list[str], **how: object) -> None:
        asked.append(app.parse_args(arguments, exit_on_error=False, print_error=False))

    monkeypatch.setattr(cyclopts.App, "__call__", parse)
    return asked


@pytest.mark.parametrize(("page", "line"), SAID, ids=[f"{page}: {line.strip()}" for page, line in SAID])
def test_every_command_on_a_page_is_one_that_the_command_line_takes(page, line, parsed, capsys):
    if re.search(r"\w:\w", line.split("--")[0]):
        pytest.skip("a recipe of the page's own: tests/test_docs.py runs it")
    assert cli.run(shlex.split(line)[1:]) == 0, capsys.readouterr().err
    assert len(parsed) == 1


def test_so_is_every_command_on_a_page_that_is_made(made, parsed, capsys):
    said = [line for text in made.values() for line in in_blocks(text)]
    assert len(said) == 2 * len(RECIPES)
    assert [line for line in said if cli.run(shlex.split(line)[1:]) != 0] == [], capsys.readouterr().err
    assert len(parsed) == len(said)


@pytest.mark.usefixtures("parsed")
def test_what_does_not_parse_is_told(capsys):
    """Without this the tests above could pass for any line."""
    assert len(SAID) > 40
    assert cli.run(["sample", "runs/photos", "--of", "mixture"]) == 2
    assert cli.run(["train", "vae", "--latent-dims", "3"]) == 2
    capsys.readouterr()


def blocks(path: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", path.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def photos(tmp_path, monkeypatch) -> Path:
    """A folder to stand in, with photos/ in two classes."""
    rng = np.random.default_rng(0)
    for name in (f"{kind}/{i}.png" for kind in ("cat", "dog") for i in range(40)):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (64, 72, 3), dtype=np.uint8)).save(path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["README.md", "docs/index.md", "docs/data.md"])
@pytest.mark.usefixtures("photos")
def test_the_python_of_a_page_runs_from_top_to_bottom(name):
    names: dict[str, object] = {}
    assert blocks(ROOT / name)
    for block in blocks(ROOT / name):
        exec(compile(block, name, "exec"), names)


@pytest.mark.usefixtures("photos")
@pytest.mark.filterwarnings("ignore")  # of diffusers' own
def test_the_python_of_the_export_page_runs_on_what_is_exported():
    pytest.importorskip("diffusers")
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    legato.train("vae", "photos", "runs/photos", size=16, latent_dim=32, net="mlp", width=16, depth=1, steps=2)
    assert cli.run(["export", "runs/photos", "--format", "onnx"]) == 0
    legato.train("tokenizer_kl", "photos", "runs/tokens", size=16, net="diffusers", width=8, depth=1, steps=2)
    assert cli.run(["export", "runs/tokens", "--format", "diffusers", "--out", "tokens"]) == 0
    names: dict[str, object] = {}
    for block in blocks(ROOT / "docs" / "export.md"):
        exec(compile(block, "docs/export.md", "exec"), names)
    assert np.shape(names["images"]) == tuple(names["x_mean"].shape) == (16, 3, 16, 16)


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_a_recipe_has_its_page_made_of_what_it_is(made, name):
    page = made[f"recipes/{name}.md"]
    assert f"]({name}.md)" in made["recipes/index.md"]
    told = (RECIPES[name].__doc__ or "").strip().splitlines()[0]
    assert told in page
    assert all(f"| `{option}` |" in page for option in options_of(RECIPES[name]))
    assert re.search(r"^  p\(x\|z\) .*\n  objective .*\n  weights ", page, re.M)
    assert recipe_pages.vocabulary(RECIPES[name])
    written = ast.parse(recipe_pages.body(RECIPES[name])).body[0]
    assert isinstance(written, ast.FunctionDef)
    assert written.name == name
    assert ast.get_docstring(written) is None


def test_laws_are_found_where_they_are():
    """A test of one word, one of all recipes, and a word that no test says."""
    assert "two linear gaussian rungs meet their exact evidence" in [law.says for law in laws.naming("", "Ladder")]
    every = {(law.file, law.says) for law in laws.of_all()}
    assert ("test_compiled.py", "a captured step is the plain one bit for bit") in every
    assert ("test_recipes.py", "resume is bit for bit the run that was never stopped") in every  # by its fixture
    assert laws.naming("a word that " + "no test says") == []


def test_every_law_of_the_page_names_tests_that_there_are():
    """A test that was renamed, or a row without one, would leave a promise that nothing keeps."""
    there = {f"{law.file}::{law.name}" for law in laws.laws()}
    rows = [line for line in (ROOT / "docs" / "laws.md").read_text(encoding="utf-8").splitlines() if line.startswith("| ")]
    named = [re.findall(r"`(test_\w+\.py::test_\w+)`", row) for row in rows if not row.startswith("| mistake")]
    assert len(named) >= 27
    assert all(named)
    assert sorted({test for row in named for test in row} - there) == []


def test_every_mutation_changes_a_place_that_there_is_once_and_is_seen_by_a_test_of_the_page():
    """`python records/law_mutations.py` makes them and runs the tests, which takes minutes."""
    page = (ROOT / "docs" / "laws.md").read_text(encoding="utf-8")
    assert len(MUTATIONS) >= 15
    for one in MUTATIONS:
        assert (ROOT / "src" / "legato" / one.file).read_text(encoding="utf-8").count(one.before) == 1, one
        assert f"`{one.test}`" in page, one


def test_every_recipe_stands_beside_the_libraries_once_and_what_nobody_looked_for_says_so(made, monkeypatch):
    page = made["libraries.md"]
    assert [name for name in RECIPES if page.count(f"| [`{name}`](") + page.count(f"<br>[`{name}`](") != 1 + seen(name)] == []
    named = [name for _, names, _ in library_pages.ROWS for name in names]
    assert len(named) == len({*named})
    assert {one for _, _, found in library_pages.ROWS for one in found} <= {*library_pages.LIBRARIES}
    monkeypatch.setattr(library_pages, "ROWS", [row for row in library_pages.ROWS if "iwae" not in row[1]])
    assert library_pages.unplaced() == ["iwae"]
    assert re.search(r"^\| `iwae` (\| not checked ){5}\| \[`iwae`\]", library_pages.table(), re.M)


def seen(name: str) -> int:
    """How often a recipe stands in the lower table."""
    return sum(recipe == name for *_, recipe in library_pages.SEEN)


def test_every_measure_stands_on_its_page_once(made):
    page = made["measures.md"]
    assert [key for key in MEASURES if page.count(f"<br>`{key}` |") != 1] == []
    assert sum(map(len, measure_pages.grouped().values())) == len(MEASURES)


def test_every_public_name_has_its_place_in_the_api():
    named = [name for names in api_pages.grouped().values() for name in names]
    assert sorted({*named} - {"LatentSpace"}) == sorted({*legato.__all__} - {"__version__"})
    assert len(named) == len({*named})


def test_every_page_is_in_the_navigation_and_its_links_lead_to_what_a_checkout_or_the_site_has(made):
    """What `make docs` finds strictly, without its tools."""
    pages = sorted((ROOT / "docs").glob("*.md"))
    listed = re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text(encoding="utf-8"))
    assert sorted({path.name for path in pages} | {"measures.md", "api.md", "libraries.md"}) == sorted(listed)
    for path in pages:
        for target in re.findall(r"\]\(((?!http)[\w./-]+)", path.read_text(encoding="utf-8")):
            if re.search(r"[/.]", target):  # else a formula's bracket
                assert target in made or (path.parent / target).exists(), f"{path.name}: {target}"
