"""Options of how a source is prepared, which a run remembers and every later command applies again.

Covered: the fields, their checks, and which of them change the values (and so the store's key).
Not covered: binarisation and batches, which happen after the store.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, get_args

from legato.arguments import check_fields, checked
from legato.errors import Mistake

Channels = Literal["auto", 1, 3, 4]
Layout = Literal["auto", "NHWC", "NCHW"]
Values = Literal["auto", "binary", "bytes", "reals", "counts"]

WHOLE = "0,65535"  # the window of 16 bits, in which runs were made before windows were found
SMALLEST, LARGEST = 8, 256  # what the networks take, height and width

HUB = "hub:"  # stands before the name of what Hugging Face's `datasets` finds


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Options of a source; each field is one of the command line, too. Raises `Mistake` on a bad value."""

    size: int | None = None
    """Pictures: resize the shorter side to this many pixels, then cut a centred square (8 to 256)."""

    crop: bool = True
    """With a size: cut the centred square; without, squash the whole picture into the square."""

    channels: Channels = "auto"
    """Pictures: 1 (grey), 3 (colour), 4 (colour and alpha); auto is 1 if all are grey, else 3."""

    background: str = "white"
    """Pictures: the colour that transparent parts are laid on, by name or as #rrggbb."""

    window: str | None = None
    """Pictures of more than 8 bits: LOW,HIGH, the values that become 0 and 255; found over the whole source if not given."""

    labels: str | None = None
    """A file of labels (.npy, IDX, .csv or .txt: one per line, or id,label), the name of a table's column, or none."""

    column: str | None = None
    """Tables: the picture column, or number columns joined by commas; found by itself if not given."""

    layout: Layout = "auto"
    """Arrays with four axes: whether channels come last (NHWC) or second (NCHW)."""

    values: Values = "auto"
    """What numbers are: binary (0 and 1), bytes (grey levels 0 to 255), reals, counts (a table's whole numbers from 0 on);
    auto: whole numbers are grey levels in pictures and reals in tables, and what is only 0 and 1 is binary."""

    group: str | None = None
    """A regular expression on the id: rows with the same match (group 1 if it has one) stay in one split."""

    stream: bool = False
    """Folders of pictures: leave them where they are and decode them as they are needed, without a copy in the store."""

    buffer: int = 16_384
    """Of what is streamed: the pictures that training shuffles together (fewer where they are large)."""

    strict: bool = False
    """Stop at the first unreadable item instead of skipping it."""

    split_seed: int = 0
    """The seed that draws training, validation and test rows where the source does not say."""

    def __post_init__(self) -> None:
        check_fields(self)
        if self.size is not None and not SMALLEST <= self.size <= LARGEST:
            raise Mistake(f"`size` is {self.size}: give a number of pixels from {SMALLEST} to {LARGEST}")
        if self.buffer < 1:
            raise Mistake(f"`buffer` is {self.buffer}: give a number of pictures, 1 or more")
        if self.channels not in get_args(Channels):
            raise Mistake(f"`channels` is {self.channels!r}: give auto, 1, 3 or 4")
        if self.layout not in get_args(Layout):
            raise Mistake(f"`layout` is {self.layout!r}: give auto, NHWC or NCHW")
        if self.values not in get_args(Values):
            raise Mistake(f"`values` is {self.values!r}: give auto, binary, bytes, counts or reals")
        if self.window is not None:  # now, for a mistake should not wait until all pictures are looked at
            window_of(self.window)
        if self.background != "white":
            _check_colour(self.background)
        if self.group is not None:
            _check_pattern(self.group)

    def arrays(self) -> dict[str, object]:
        """The options that change how arrays become rows."""
        return {"layout": self.layout, **self.numbers(), **self.pictures()}

    def numbers(self) -> dict[str, object]:
        """The option about numbers, where anything was said."""
        # unsaid it is no part of a fingerprint: older entries keep theirs
        return {} if self.values == "auto" else {"values": self.values}

    def pictures(self) -> dict[str, object]:
        """The options that change a picture's values, with those left out that cannot matter."""
        squared = {} if self.size is None else {"size": self.size, "crop": self.crop}
        deep = {} if self.window in (None, WHOLE) else {"window": self.window}
        return {**squared, **deep, "channels": self.channels, "background": self.background}


DataOptions.__init__ = checked(DataOptions.__init__)  # type: ignore[method-assign]  # a name that is none is a mistake, too


def window_of(said: str) -> tuple[int, int]:
    """LOW and HIGH of a window. Raises `Mistake`."""
    match = re.fullmatch(r"\s*(-?\d{1,10})\s*,\s*(-?\d{1,10})\s*", said)
    if match is None or int(match[1]) >= int(match[2]):
        raise Mistake(f"`window` is `{said}`: give two whole numbers, the lower one first, such as 0,4095")
    return int(match[1]), int(match[2])


@dataclass(frozen=True, kw_only=True)
class RunOptions(DataOptions):
    """Options by which a run reads a source. It is not to be trained on, so that it needs no splits: one row is enough."""

    columns: tuple[str, ...] = ()
    """The table columns that training saw, in its order; none where rows had no names."""


def named_columns(options: DataOptions) -> list[str] | None:
    """The columns that were named, by the person or by the run; None where they are to be found."""
    if isinstance(options, RunOptions) and options.columns:
        return list(options.columns)
    return None if options.column is None else [name.strip() for name in options.column.split(",")]


def _check_colour(colour: str) -> None:
    from PIL import ImageColor

    try:
        ImageColor.getrgb(colour)
    except ValueError:
        raise Mistake(f"`background` is `{colour}`: give a colour's name, such as black, or #rrggbb") from None


def _check_pattern(pattern: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise Mistake(f"`group` is no regular expression: `{pattern}`, {error}; an example is `^([^_]+)_`") from None
