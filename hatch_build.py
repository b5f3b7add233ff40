"""Refuses to build a package whose page is missing: a wheel without it would open on nothing. It builds nothing itself."""

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class PageIsThere(BuildHookInterface):  # type: ignore[type-arg]
    """The built page is committed; node is needed only to change it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Raises where the page is not whole."""
        page = Path(self.root) / "src" / "legato" / "explorer" / "_ui"
        for name in ("index.html", "assets/app.js", "assets/app.css", "report.js", "report.css"):
            if not (page / name).is_file():
                raise RuntimeError(f"the explorer's page lacks {name}: build it with `make page` (Node 20.19 or newer)")
