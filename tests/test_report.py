"""The report: one file that asks for nothing, says what it was given and nothing that it was not, and is whole or absent."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from legato.errors import Mistake
from legato.report.html import Section, Table, encoded, write_report
from legato.report.maps import LatentMap, latent_maps

VOID = {"meta", "img", "link", "br", "hr", "input"}


class Page(HTMLParser):
    """Every element with its attributes and text, and whether each was closed."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(source)
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and data.strip():
            self.texts.setdefault(self.open[-1], []).append(data.strip())

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


def sections() -> list[Section]:
    rng = np.random.default_rng(0)
    sheet = Image.fromarray(rng.integers(0, 255, (40, 60), dtype=np.uint8))
    table = Table(["model", "ELBO", "note"], [["VAE", -104.71234, "a < b"], ["AE", None, "–"]], "Means over 10,000 digits.")
    return [
        Section(
            "Where the digits lie",
            "First.\n\nSecond, with `legato demo`.",
            latent_maps([LatentMap("VAE", rng.normal(size=(50, 2)))]),
            "A map.",
        ),
        Section("Samples", "", sheet, "Sixty draws."),
        Section("The numbers", "All of them.", table=table),
        Section("Samples", "The same title again."),
    ]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "deep" / "report.html"
    commands = ["legato explore RUN", ("legato train vae --data photos/", "your own images")]
    size = write_report(path, "The demo", "A lead.", sections(), commands, {"Seed": "0", "Machine": "2 cores"})
    assert size == path.stat().st_size
    return path.read_text("utf-8")


def test_nothing_is_loaded_from_anywhere(source: str) -> None:
    page = Page(source)
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "poster", "action", "data"):
            assert re.match(r"data:image/(png|webp);base64,|#|$", attributes.get(name, "")), attributes
        assert not any(name.startswith("on") for name in attributes)
    assert not page.all("script") + page.all("link") + page.all("iframe")
    styles = " ".join(page.texts["style"]) + " ".join(attributes.get("style", "") for _, attributes in page.elements)
    assert "url(" not in styles
    assert "@import" not in styles
    assert not re.search(r"https?:", source)
    policy = next(each["content"] for each in page.all("meta") if "http-equiv" in each)
    assert policy.startswith("default-src 'none'; img-src data:;")


def test_the_page_has_a_heading_each_contents_that_lead_there_and_facts(source: str) -> None:
    page = Page(source)
    assert page.texts["h1"] == ["The demo"]
    assert page.texts["h2"] == ["Contents", "Where the digits lie", "Samples", "The numbers", "Samples", "What to try next"]
    anchors = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    links = [link["href"] for link in page.all("a")]
    assert {link.removeprefix("#") for link in links} <= set(anchors)
    assert len(links) == 1 + 4 + 1  # to the content, to each section, to the next commands
    assert page.texts["dt"] == ["Seed", "Machine"]
    assert {"legato explore RUN", "legato train vae --data photos/", "legato demo"} <= set(page.texts["code"])


def test_pictures_have_words_a_size_and_the_pixels_they_were_given(source: str) -> None:
    page = Page(source)
    drawn, plain = page.all("img")
    assert (drawn["alt"], plain["alt"]) == ("A map.", "Sixty draws.")
    assert (plain["width"], plain["height"]) == ("60", "40")
    with Image.open(io.BytesIO(base64.b64decode(plain["src"].split(",")[1]))) as read:
        given = sections()[1].figure
        assert isinstance(given, Image.Image)
        assert (np.asarray(read.convert("L")) == np.asarray(given)).all()


def test_tables_say_which_cell_belongs_to_what(source: str) -> None:
    page = Page(source)
    scopes = [each.get("scope") for each in page.all("th")]
    assert scopes == ["col", "col", "col", "row", "row"]
    assert page.texts["td"] == ["−104.7", "a < b", "–", "–"]
    assert [each.get("class") for each in page.all("td")] == ["n", None, "n", None]
    assert [each.get("class") for each in page.all("th")] == [None, "n", None, None, None]


def test_what_is_scrolled_can_be_reached_by_keyboard(source: str) -> None:
    page = Page(source)
    scrolled = [each for each in page.all("div") if each.get("class") in ("card", "scroll")]
    assert len(scrolled) == 3
    assert all(each["tabindex"] == "0" and each["aria-label"] for each in scrolled)


def test_nothing_given_is_taken_for_markup(tmp_path: Path) -> None:
    bad = "<script>alert('x')</script> & `<img src=x onerror=y>`"
    image = Image.new("L", (4, 4))
    table = Table([bad, bad], [[bad, bad]], bad)
    section = Section(bad, bad, image, f'" onload="{bad}', table)
    write_report(tmp_path / "report.html", bad, bad, [section, section], [(bad, bad)], {bad: bad})
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert not page.all("script")
    assert len(page.all("img")) == 2
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert page.texts["title"] == [bad]
    assert "<img src=x onerror=y>" in page.texts["code"]


def test_the_smaller_of_png_and_webp_is_taken_and_both_are_lossless() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8))
    flat = Image.new("RGBA", (300, 300), (255, 0, 0, 128))
    for image, expected in ((noise, np.asarray(noise)), (flat, np.full((300, 300, 3), (255, 127, 127), np.uint8))):
        kind, content = encoded(image)
        with Image.open(io.BytesIO(content)) as read:
            assert kind == f"image/{(read.format or '').lower()}"
            assert np.abs(np.asarray(read.convert("RGB")).astype(int) - expected).max() <= (1 if image is flat else 0)


def test_a_failing_write_leaves_the_old_report(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    write_report(path, "Old", "", [])
    old = path.read_bytes()
    with pytest.raises(Mistake, match="caption"):
        write_report(path, "New", "", [Section("No caption", figure=Image.new("L", (2, 2)))])
    with pytest.raises(Mistake, match="2 cells"):
        write_report(path, "New", "", [Section("Ragged", table=Table(["a", "b"], [["only one"]]))])
    assert path.read_bytes() == old
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]


def test_a_report_of_nothing_is_still_a_page(tmp_path: Path) -> None:
    write_report(tmp_path / "report.html", "Empty", "", [Section("One", "", table=Table(["a"], []))])
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert not page.all("nav")
    assert page.texts["h2"] == ["One"]


def test_same_report_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_report(tmp_path / f"{name}.html", "Twice", "", sections())
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
