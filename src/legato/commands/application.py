"""How the command line makes a command of a function, and options of a dataclass's fields. No torch here."""

from __future__ import annotations

from cyclopts import App, Parameter

FLAT = Parameter(name="*")  # a dataclass's fields become options of their own
FLAG = Parameter(negative=())  # a flag without its --no- form


def application(name: str) -> App:
    """A command's app; its function is registered with `@app.default`. An interruption is left for `legato.cli` to tell."""
    return App(name=f"legato {name}", version_flags=(), suppress_keyboard_interrupt=False)
