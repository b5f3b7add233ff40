"""What MkDocs asks while it builds the site: pages made of the code, links out of docs/, formulas.

Covered: `recipes/`, `measures.md`, `api.md` and `libraries.md`, which no person writes; links to files outside docs/, which a
checkout can follow and a site cannot, shown as their path; MathJax, for the pages that hold formulas. Not covered: looks
(site.css).
"""

from __future__ import annotations

import importlib.metadata
import os
import re
from pathlib import Path
from typing import Any

import api_pages
import cannot_pages
import library_pages
import measure_pages
import recipe_pages
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
MATHJAX = "sphinx-mathjax-offline/static/mathjax/tex-svg.js"
FORMULAS = """<script>window.MathJax = {{tex: {{inlineMath: [["\\\\(", "\\\\)"]], displayMath: [["\\\\[", "\\\\]"]]}},
options: {{ignoreHtmlClass: ".*", processHtmlClass: "arithmatex", enableMenu: false}}}};</script>
<script src="{place}" defer></script>
</body>"""
QUOTED = re.compile(r"(?:<blockquote>\s*){3}<p>(.*?)</p>\s*(?:</blockquote>\s*){3}", re.S)
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\((\.\./[^)]+|[\w/]+/)\)")  # to what lies outside docs/, or to a folder


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fills the navigation's `Recipes` with the registry."""
    for entry in config.nav or []:
        if "Recipes" in entry:
            grouped: list[Any] = [
                {file: [f"recipes/{name}.md" for name in names]} for file, names in recipe_pages.files().items()
            ]
            entry["Recipes"] = ["recipes/index.md", "recipes/cannot.md", *grouped]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made of the code, and MathJax."""
    made = {
        **recipe_pages.pages(),
        "recipes/cannot.md": cannot_pages.page(),
        "measures.md": measure_pages.page(),
        "api.md": api_pages.page(),
        "libraries.md": library_pages.page(),
    }
    for place, text in made.items():
        files.append(File.generated(config, place, content=text))
    script = Path(str(importlib.metadata.distribution("sphinx-mathjax-offline").locate_file(MATHJAX)))
    files.append(File.generated(config, "assets/tex-svg.js", abs_src_path=str(script)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Shows links that leave docs/ as the path in the repository."""
    here = Path(config.docs_dir, page.file.src_uri).parent
    return LINK.sub(lambda found: _shown(found, here, Path(config.docs_dir)), markdown)


def _shown(found: re.Match[str], here: Path, docs: Path) -> str:
    text, target = found[1], found[2].partition("#")[0]
    place = Path(os.path.normpath(here / target))
    if place.is_relative_to(docs) and place.is_file():
        return found[0]
    path = f"`{place.relative_to(ROOT)}`"
    return path if text.strip("`").rstrip("/") in path else f"{text} ({path})"


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Drops the backslash that a bar in a table's code is written with; shows a docstring's `>>> …` as code."""
    html = re.sub(r"<code>[^<]*</code>", lambda code: code[0].replace("\\|", "|"), html)
    return QUOTED.sub(r"<pre><code>&gt;&gt;&gt; \1</code></pre>", html)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Lets a page with formulas set them, and no other page load what sets them."""
    if 'class="arithmatex"' not in output:
        return output
    depth = page.url.count("/")
    return output.replace("</body>", FORMULAS.format(place="../" * depth + "assets/tex-svg.js"))
