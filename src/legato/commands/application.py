"""Commands made of functions, and options made of a dataclass's fields. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, get_args

from cyclopts import App, CoercionError, Parameter, Token, convert

from legato.setting import shape_of
from legato.types import Shape

FLAT = Parameter(name="*")  # a dataclass's fields become options of their own, and are declared once for all commands
FLAG = Parameter(negative=())  # a flag without its --no- form: what is off unless said needs no way to say so


def application(name: str) -> App:
    """A command's app; its function is registered with `@app.default`. An interruption is left for `legato.cli` to tell."""
    exact = Parameter(converter=_exact, negative_iterable=())  # no --empty-… flags: an empty list is no answer here
    # an interruption is left for `legato.cli`, which tells it in a line
    return App(name=f"legato {name}", version_flags=(), suppress_keyboard_interrupt=False, default_parameter=exact)


def _exact(kind: Any, tokens: Sequence[Token]) -> Any:
    """cyclopts' own conversion, but a whole number is not made of 3.5 by rounding, and a shape is a word, 4,8,8."""
    kinds = get_args(kind) or (kind,)
    if Shape in kinds:
        return shape_of(",".join(token.value for token in tokens))
    # cyclopts makes 3.5 a 3: a person who wrote it meant something else, and would never know.
    if int in kinds and float not in kinds:
        for token in tokens:
            # What is no number at all is left for cyclopts, whose message names the option.
            with suppress(ValueError):
                if not float(token.value).is_integer():
                    raise CoercionError(token=token, target_type=int)
    return convert(kind, tokens)
