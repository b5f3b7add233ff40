"""The page's house: every file or folder of ui/src has a layer, imports only from its own or lower ones, never in a circle.

Imports are read from the source text, of Svelte files too, types among them: a circle of types is a circle for a reader.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "ui" / "src"
FILES = {path.relative_to(SOURCE).as_posix(): path for path in sorted(SOURCE.rglob("*")) if path.suffix in (".ts", ".svelte")}

# A file stands in the layer of its folder. A new file of ui/src itself, or a new folder, enters here.
LAYERS = {
    "contract.ts": 0,
    "http.ts": 0,
    "save.ts": 0,
    "maths": 1,  # functions of numbers alone
    "address.ts": 1,
    "columns.ts": 1,
    "events.ts": 1,
    "frames.ts": 1,
    "history.ts": 1,
    "likeness.ts": 1,
    "names.ts": 1,
    "near.ts": 1,
    "words.ts": 1,
    "cursors.ts": 2,
    "follow.ts": 2,
    "preview.ts": 2,
    "backends": 2,
    "socket.ts": 3,
    "core.ts": 3,
    "e2e.ts": 4,
    "keys.ts": 4,
    "parts": 4,
    "charts": 4,
    "map": 5,
    "tour": 5,
    "panels": 6,
    "App.svelte": 7,
    "Space.svelte": 7,
    "main.ts": 8,
    "report.ts": 8,
}
IMPORT = re.compile(r"""(?:\bfrom\s*|\bimport\s*\(?\s*)["'](\.[^"']*)["']""")


def resolved(name: str, said: str) -> str:
    """The file that `said` means in `name`; what is no module, as a style sheet, by its path."""
    path = os.path.normpath(os.path.join(os.path.dirname(name), said)).replace(os.sep, "/")
    return f"{path}.ts" if f"{path}.ts" in FILES else path


def imports(name: str) -> set[str]:
    return {resolved(name, said) for said in IMPORT.findall(FILES[name].read_text(encoding="utf-8"))}


GRAPH = {name: imports(name) for name in FILES}


def layer(name: str) -> int | None:
    return LAYERS.get(name.split("/")[0])


def test_imports_are_read_from_scripts_and_from_svelte():
    assert {"map/renderer.ts", "map/thumbnails.ts"} <= GRAPH["map/view.ts"]  # the second is imported when it is first wanted
    assert {"map/view.ts", "contract.ts"} <= GRAPH["map/MapView.svelte"]


def test_every_file_of_the_page_has_a_layer_and_every_layer_a_file():
    assert [name for name in FILES if layer(name) is None] == []
    assert set(LAYERS) == {name.split("/")[0] for name in FILES}


def test_every_import_is_of_a_file_that_is_there():
    assert [(name, o) for name, others in GRAPH.items() for o in others if not (SOURCE / o).is_file()] == []


def test_a_file_of_the_page_imports_only_from_its_own_or_lower_layers():
    upwards = [
        f"{name} ({layer(name)}) imports {other} ({layer(other)})"
        for name, others in GRAPH.items()
        for other in others & set(FILES)
        if layer(other) > layer(name)
    ]
    assert upwards == []


def test_imports_of_the_page_make_no_circle():
    graph = {name: others & set(FILES) for name, others in GRAPH.items()}
    while leaves := {name for name, others in graph.items() if not others}:
        graph = {name: others - leaves for name, others in graph.items() if name not in leaves}
    assert graph == {}


def test_no_file_of_the_page_is_longer_than_400_lines():
    lengths = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in FILES.items()}
    assert {name: length for name, length in lengths.items() if length > 400} == {}
