"""A section to drag through: the explorer's map of models of two latents, in the report's own file.

Covered: data, style and script as one block that no text of a person can break out of; a policy that lets this one script run
and nothing else; what to say where it was not built. Not covered: what the data is (explorer/offline.py), the script (ui/).
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from legato.data.prepared import Prepared
from legato.explorer.models import Loader
from legato.explorer.offline import Offline
from legato.latent_space import LatentSpace
from legato.report.decoding import Decoding
from legato.report.html import Live, Section

DECODED = "Every place is decoded in the page, by ONNX Runtime with weights in half precision: at most 1 of 255 levels off."
TITLE = "Drag through the space"
MOST = 2  # models side by side: the explorer's own number
HOW = (
    "Drag on a map, or focus it and use the arrow keys: the image beside it is what the decoder makes of that place. Click a "
    "dot for an image's own code and cloud. `legato explore RUN` shows the same map and decodes every place anew."
)
PRIVATE = "This section holds pictures of your data in the file itself: who gets the page gets them, too."
UNBUILT = (
    "This installation lacks the script for it: build it with `cd ui && npm ci && npm run build`, then write the report again."
)


def draggable(spaces: Sequence[LatentSpace]) -> list[LatentSpace]:
    """The runs that have two latents and make pictures, the first two."""
    return [space for space in spaces if space.latent_dim == 2 and len(space.shape) == 3][:MOST]


def drag_section(
    spaces: Sequence[LatentSpace],
    prepared: Prepared,
    load: Loader,
    *,
    module: str | None = None,
    titles: Sequence[str] = (),
    decoding: Decoding | None = None,
) -> Section | None:
    """The section about `draggable` runs, titled by their folders unless told; None where there are none.

    `decoding` decodes every place in the page, where else tiles are blended. Words alone where the page's script was not built.
    """
    if not spaces:
        return None
    offline = Offline([space.run.path for space in spaces], prepared, load, module=module, titles=titles)
    return section_of(offline, decoding)


def section_of(offline: Offline, decoding: Decoding | None = None) -> Section:
    """The same of models that were prepared for it, within their present budget."""
    built = script_and_style()
    if built is None:
        return Section(TITLE, UNBUILT)
    data = offline.to_json()
    words = (HOW, PRIVATE, _exactness(offline, data) if decoding is None else DECODED)
    return Section(TITLE, "\n\n".join(words), live=live(data, *built, decoding))


def script_and_style() -> tuple[str, str] | None:
    """The built page's report.js and report.css, None where they are missing."""
    built = [files("legato.explorer") / "_ui" / name for name in ("report.js", "report.css")]
    # Words stand in their place: a checkout need not have Node to write a report.
    if not all(each.is_file() for each in built):
        return None
    script, style = (each.read_text("utf-8") for each in built)
    return script, style


def live(data: dict[str, Any], script: str, style: str, decoding: Decoding | None = None) -> Live:
    """The block: a place for the map, data and style as text that no browser runs, and scripts, each allowed by its hash."""
    texts = {"data": as_text(data), "style": as_text(style)}
    scripts = [script]
    if decoding is not None:
        texts |= {"wasm": decoding.wasm, "decoders": as_text(list(decoding.decoders))}
        scripts.insert(0, decoding.script)
    # Both end or open a comment or a script for an HTML parser, whatever a JavaScript string says; "\/" is the same string.
    whole = [each.replace("</script", "<\\/script").replace("<!--", "<\\!--") for each in scripts]
    lines = [
        '<div id="legato-space" style="max-width: none"><p>This part needs JavaScript.</p></div>',
        *(f'<script type="application/json" id="legato-space-{name}">{text}</script>' for name, text in texts.items()),
        *(f"<script>{each}</script>" for each in whole),
    ]
    # The hash of what stands in the page, after the replacing: a browser hashes those bytes.
    allowed = [f"'sha256-{_digest(each)}'" for each in whole] + (["'wasm-unsafe-eval'"] if decoding else [])
    return Live("\n".join(lines), f"script-src {' '.join(allowed)}")


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def as_text(value: Any) -> str:
    """JSON that may stand in a page: no `<` of a title, a label or an id can end its element or begin another."""
    # NaN is no JSON, and the page would not be read at all
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _exactness(offline: Offline, data: dict[str, Any]) -> str:
    found = zip(offline.sides, offline.errors, strict=True)
    places = [(f"{side} × {side} places", f"their pixels {_off(error)}") for side, error in found]
    titles = [model["title"] for model in data["session"]["models"]]
    told = [f"{title}: {many} were decoded, {how}" for title, (many, how) in zip(titles, places, strict=True)]
    if len(titles) > 1 and len(set(places)) == 1:
        many, how = places[0]
        told = [f"{many} of each model were decoded, {how}"]
    shown = data["session"]["data"]["shown"]
    return f"{'; '.join(told)}; between them the four nearest are blended. Dots: a random {shown:,} of the images."


def _off(error: int) -> str:
    return "exact" if error == 0 else f"at most {error} of 255 levels off"
