"""Likeness of a person's picture to the data, told of the picture itself and of what a model gives back of it.

A code cannot tell: an encoder puts every picture somewhere, and an inverted digit among the digits. So five things are
measured, each beside what it is for pictures that no model was trained on. Covered: pictures in [0, 1]. Not covered: rows of
tables; proof that a picture is like the data, since what passes these tests may be odd in another way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from legato.explorer.catalogue import Catalogue
from legato.explorer.landscape import DECODED, Landscape, decode
from legato.explorer.worker import Slices
from legato.types import Doubles, Floats

Values = Mapping[str, Doubles]
JUDGED, COMPARED = 300, 2_000  # held-out pictures that tell what is usual; others among which the nearest is looked for
SIDE = 32  # pixels of the longer side at which pictures are compared with each other
MARGIN = 0.1  # of the range of held-out pictures: how far beyond it nothing is odd yet
TIE = 1e-6  # of that range: a picture differs from itself by as much when it is encoded among others
BLOCK = 64  # pictures read in one slice: memory holds one block
UP, DOWN, BOTH = (False, True), (True, False), (True, True)
ENDS = {"error": UP, "support": DOWN, "nearest": UP, "brightness": BOTH, "contrast": BOTH}


@dataclass(frozen=True)
class Finding:
    """One thing that was measured, and the least and the greatest of held-out pictures; None where that end says nothing.

    error: RMS of x̂ − x, of 0 … 1. support: log q̂(μ) − log p(μ), nats (landscape.py). nearest: RMS to the nearest picture of
    the data. brightness, contrast: mean and standard deviation of a picture's values. `share`: of held-out pictures that are
    at least as far out. `odd`: beyond all of them, by a tenth of their range.
    """

    name: str
    value: float
    low: float | None
    high: float | None
    share: float
    odd: bool

    @staticmethod
    def of(name: str, value: float, usual: Doubles) -> Finding:
        """The value among those of held-out pictures (n,)."""
        least, greatest = float(usual.min()), float(usual.max())
        # Of few hundred pictures the range is a little too narrow: the next one of the same kind would often be outside it.
        slack = MARGIN * (greatest - least)
        below, above = ENDS[name]
        odd = (below and value < least - slack) or (above and value > greatest + slack)
        tie = TIE * (greatest - least)
        shares = [float((usual <= value + tie).mean())] * below + [float((usual >= value - tie).mean())] * above
        return Finding(name, value, least if below else None, greatest if above else None, min(shares), bool(odd))

    def to_json(self) -> dict[str, Any]:
        """The finding in JSON, as the page reads it."""
        return asdict(self)


class Held:
    """A session's held-out pictures, by which others are judged: some of the test split, or of all where it holds too few."""

    def __init__(self, catalogue: Catalogue) -> None:
        held = np.flatnonzero(catalogue.held)
        # a source without a test split is judged by whatever there is, rather than not at all
        self.places = (held if len(held) > 1 else np.arange(len(catalogue.shown)))[:JUDGED]
        self.catalogue, self.rows = catalogue, catalogue.shown[self.places]
        self._known: tuple[_Nearest, Values] | None = None

    def of_picture(self, picture: Floats) -> Slices[list[Finding]]:
        """Findings of a picture (1, C, H, W) that are the same whatever the model."""
        if self._known is None:
            self._known = yield from self._measured()
        near, usual = self._known
        values = {"nearest": near.to(_small(picture)), **_light(picture)}
        return [Finding.of(name, float(value[0]), usual[name]) for name, value in values.items()]

    def _measured(self) -> Slices[tuple[_Nearest, Values]]:
        # not the held-out ones: each would be its own nearest, at a distance of 0
        others = np.setdiff1d(self.catalogue.shown, self.rows)[:COMPARED]
        near = _Nearest((yield from self._of(others if len(others) else self.rows, _small)))
        small = yield from self._of(self.rows, _small)
        light = yield from self._of(self.rows, lambda some: np.stack([*_light(some).values()], 1))
        brightness, contrast = light.T
        return near, {"nearest": near.to(small, apart=not len(others)), "brightness": brightness, "contrast": contrast}

    def _of(self, rows: NDArray[np.int64], measure: Callable[[Floats], Doubles]) -> Slices[Doubles]:
        """Numbers (n, values) of pictures of the source, read a block in a slice: memory holds one."""
        parts = []
        for at in range(0, len(rows), BLOCK):
            parts.append(measure(np.asarray(self.catalogue.prepared.seen(rows[at : at + BLOCK]), np.float32)))
            yield
        return np.concatenate(parts)


class Judge:
    """The usual figures of one model at held-out pictures: the errors of what it gives back, and where it puts them."""

    def __init__(self, held: Held, landscape: Landscape) -> None:
        self.held, self.landscape = held, landscape
        self._usual: Values | None = None

    def of_code(self, picture: Floats, mu: Floats) -> Slices[list[Finding]]:
        """The findings of a picture (1, C, H, W) with the code (1, d)."""
        if self._usual is None:
            self._usual = yield from self._measured()
        error, support = _error(picture, decode(self.landscape.space, mu)), self.landscape.aggregate.support(mu)
        return [
            Finding.of("error", float(error[0]), self._usual["error"]),
            Finding.of("support", float(support[0]), self._usual["support"]),
        ]

    def _measured(self) -> Slices[Values]:
        """Some pictures in a slice: a cursor waits for no more."""
        # As many in a slice as any decoding: a cursor waits for no more.
        errors, supports = [], []
        for at in range(0, len(self.held.rows), DECODED):
            mu = self.landscape.codes.mu[self.held.places[at : at + DECODED]]
            pictures = self.held.catalogue.prepared.seen(self.held.rows[at : at + DECODED])
            errors.append(_error(pictures, decode(self.landscape.space, mu)))
            supports.append(self.landscape.aggregate.support(mu))
            yield
        return {"error": np.concatenate(errors), "support": np.concatenate(supports)}


class _Nearest:
    """Pictures (m, values) among which the nearest is looked for."""

    def __init__(self, known: Doubles) -> None:
        self.known, self.squares = known, np.square(known).sum(1)

    def to(self, pictures: Doubles, *, apart: bool = False) -> Doubles:
        """RMS from each (n, values) to the nearest, (n,); `apart`: not to the picture itself, which is among the known."""
        # The expanded square: one product for all pairs of some thousand pictures.
        squares = self.squares - 2 * pictures @ self.known.T + np.square(pictures).sum(1)[:, None]
        if apart:
            # each picture is at distance 0 from itself, which says nothing of how near another one is
            np.fill_diagonal(squares, np.inf)
        # rounding may leave the square of nearly equal pictures a little below 0
        return np.asarray(np.sqrt(np.maximum(squares.min(1), 0) / pictures.shape[1]))


def _light(pictures: Floats) -> Values:
    flat = pictures.reshape(len(pictures), -1).astype(np.float64)
    return {"brightness": flat.mean(1), "contrast": flat.std(1)}


def _error(x: Floats, again: Floats) -> Doubles:
    """RMS over an example's values, (n, *shape) -> (n,)."""
    difference = again.astype(np.float64) - x
    return np.asarray(np.sqrt(np.square(difference).reshape(len(x), -1).mean(1)))


def _small(pictures: Floats) -> Doubles:
    """Pictures (n, C, H, W) with the longer side at most SIDE, as rows (n, values)."""
    share = SIDE / max(pictures.shape[2:])
    if share < 1:
        height, width = (max(1, round(side * share)) for side in pictures.shape[2:])
        pictures = np.stack([[_reduced(channel, width, height) for channel in picture] for picture in pictures])
    return np.asarray(pictures.reshape(len(pictures), -1), np.float64)


def _reduced(channel: Floats, width: int, height: int) -> Floats:
    # BOX averages the pixels that fall into one; a sharper filter would ring, and add to the distance
    return np.asarray(Image.fromarray(np.asarray(channel, np.float32)).resize((width, height), Image.Resampling.BOX))
