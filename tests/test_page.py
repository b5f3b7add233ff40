"""The built page that the package ships: made from these very sources, whole, and small. No node is needed to check it."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import legato

BUILT = Path(legato.__file__).parent / "explorer" / "_ui"
SOURCE = Path(__file__).parents[1] / "ui"
LIMIT = 250_000  # bytes of the page's first script


def test_the_page_was_built_from_these_sources():
    sealed = json.loads((BUILT / "sources.json").read_text())
    files = [path for path in (SOURCE / "src").rglob("*") if path.is_file()]
    files += [SOURCE / name for name in sealed if "/" not in name]
    now = {path.relative_to(SOURCE).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
    assert now == sealed, "the page is older than its sources: make page"


def test_it_is_whole_and_asks_nobody_else():
    index = (BUILT / "index.html").read_text()
    named = re.findall(r'(?:src|href)="([^"]+)"', index)
    assert any(name.endswith("app.js") for name in named)
    for name in named:
        assert name == "data:," or (name.startswith("./") and (BUILT / name).is_file()), name


def test_its_first_script_is_small():
    assert (BUILT / "assets" / "app.js").stat().st_size <= LIMIT
