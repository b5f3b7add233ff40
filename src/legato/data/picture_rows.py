"""Pictures as rows of an entry, one after the other: of one size, with what was skipped and changed counted.

Covered: results of decoding in the order of the items, marks from which a build goes on, the notes at the end. Not covered: who
decodes (`decoders`, or threads), what form pictures take (`picture_writer`, `at_once`).
"""

from __future__ import annotations

import json
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from legato.data.dataset import Problem
from legato.data.decoders import Results
from legato.data.options import LARGEST, SMALLEST
from legato.data.pictures import PictureForm
from legato.data.writer import Writer
from legato.errors import Mistake

MARKED = 4_096  # pictures from one mark to the next: half a second's work, beside which writing a mark is little
PROBLEMS = "problems"  # the note of those so far, a line of JSON each

PHRASES = {
    "turned": "{} turned upright as their EXIF orientation says",
    "transparent": "{} had transparency: laid on {background}",
    "deep": "{} with more than 8 bits per channel: reduced to 8",
    "CMYK": "{} in CMYK: converted to RGB",
    "bilevel": "{} with 1 bit per pixel: widened to 0 and 255",
    "animated": "{} with several frames: the first was taken",
    "greyed": "{} in colour: turned grey",
}
WINDOWED = "{} with more than 8 bits per channel: {low} to {high}, the range of all of them, became 0 to 255"
FEW_LEVELS = 32  # of 256: 12 bits in a window of 16 leave 16 of them

Size = tuple[int, int]  # (width, height)


@dataclass(frozen=True)
class WrittenPictures:
    """The pictures that were written: positions (N,) of the kept items, or None where nothing was skipped."""

    positions: np.ndarray | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]


class PictureRows:
    """Rows of pictures of `form`; `way` says how they were asked for, so that nobody goes on in another way."""

    def __init__(self, writer: Writer, total: int, form: PictureForm, name: str, *, way: str, strict: bool) -> None:
        self._writer, self._total, self._form, self._name = writer, total, form, name
        self._way, self._strict = way, strict
        self.done = 0  # items so far, with those that were skipped
        self.first: tuple[str, Size] | None = None
        self.header: Size | None = None  # of the first that had one: its pixels may be missing
        self.problems: list[Problem] = []
        self._skipped = array("q")  # their positions: 8 bytes each, where a list of numbers takes 36
        self._counts: Counter[str] = Counter()
        self._levels = np.zeros(256, bool)
        self._marked = 0
        self._restore()

    def add(self, results: Results) -> None:
        """Appends the next items' pictures. Raises `Mistake` where one has another size, or with `strict` cannot be read."""
        for run in results.runs:
            if run.pixels is None:
                for id in run.ids:
                    self._skip(Problem(id, run.reason))
                continue
            count, channels, height, width = run.pixels.shape
            if self.first is None:
                self.first = (run.ids[0], (width, height))
                # At the first picture: now the size of all is known, and nothing has been decoded for nothing.
                self._writer.reserve(channels * height * width * self._total)
                check_sides(height, width, self._name)
            elif self.first[1] != (width, height):  # of the pixels: a header may lie
                check_same(self._name, self.first, (run.ids[0], (width, height)))
            for word in run.remarks:
                self._counts[word] += count
            if "deep" in run.remarks:
                self._levels[np.unique(run.pixels)] = True
            self._writer.append(run.pixels)
            self.done += count
        if self.done - self._marked >= MARKED:
            self._mark()

    def finish(self) -> WrittenPictures:
        """What was written. Raises `Mistake` where nothing was."""
        if self.done == len(self._skipped):
            raise _nothing_left(self._name, self.problems)
        positions = None
        if self.problems:
            kept = np.ones(self.done, bool)
            kept[np.frombuffer(self._skipped, np.int64)] = False
            positions = np.flatnonzero(kept)
        notes = (*_said(self._counts, self._form), *_few(self._levels))
        return WrittenPictures(positions, tuple(self.problems), notes)

    def _skip(self, problem: Problem) -> None:
        if self._strict:
            raise problem.mistake()
        self._skipped.append(self.done)
        self.problems.append(problem)
        self._writer.journal.note(PROBLEMS, json.dumps([self.done, problem.id, problem.reason]).encode() + b"\n")
        self.done += 1

    def _mark(self) -> None:
        self._marked = self.done
        levels = np.flatnonzero(self._levels).tolist()
        own = {"done": self.done, "first": self.first, "header": self.header, "counts": dict(self._counts), "levels": levels}
        self._writer.mark({"way": self._way, "form": asdict(self._form), **own})

    def _restore(self) -> None:
        """Goes on from the writer's last mark, if it was made in the same way; else begins anew."""
        state = self._writer.state
        if state is None:
            return
        if [state["way"], state["form"]] != [self._way, json.loads(json.dumps(asdict(self._form)))]:
            self._writer.clear()
            return
        lines = self._writer.journal.noted(PROBLEMS).splitlines()
        for position, id, reason in map(json.loads, lines):
            self._skipped.append(position)
            self.problems.append(Problem(id, reason))
        if self.problems and self._strict:
            raise self.problems[0].mistake()
        if state["header"] is not None:
            self.header = (state["header"][0], state["header"][1])
        if state["first"] is not None:
            id, (width, height) = state["first"]
            self.first = (id, (width, height))
            self._writer.reserve(self._form.channels * width * height * (self._total - state["done"]))
        self.done = self._marked = state["done"]
        self._counts.update(state["counts"])
        self._levels[state["levels"]] = True
        # a line for a person who waits: a bar that begins in its middle does not say why
        print(f"{self._name}: goes on at picture {self.done:,} of {self._total:,}", file=sys.stderr, flush=True)


def channels_marked(state: Mapping[str, Any]) -> int:
    """The channels of the pictures up to a mark."""
    return int(state["form"]["channels"])


def check_sides(height: int, width: int, name: str) -> None:
    """Raises `Mistake` where a picture's sides are not what the networks take."""
    if not (SMALLEST <= height <= LARGEST and SMALLEST <= width <= LARGEST):
        raise Mistake(
            f"pictures of `{name}` are {width}×{height} pixels: sides must be from {SMALLEST} to {LARGEST}, so resize "
            f"them with --size N, such as --size {min(LARGEST, max(SMALLEST, 64))}"
        )


def check_same(name: str, first: tuple[str, Size], other: tuple[str, Size]) -> None:
    """Raises `Mistake` where a picture is not of the first one's size, or of one that no network takes."""
    (one, (w1, h1)), (two, (w2, h2)) = first, other
    if (w1, h1) != (w2, h2):
        raise Mistake(
            f"pictures of `{name}` differ in size: `{one}` has {w1}×{h1} pixels, `{two}` has {w2}×{h2}; "
            f"bring them to one size with --size N, such as --size {_suggested(min(w1, h1, w2, h2))}"
        )
    check_sides(h1, w1, name)


def _suggested(side: int) -> int:
    """The power of two at or below a side, within what is usual."""
    return min(128, max(16, 1 << (max(side, 1).bit_length() - 1)))


def _nothing_left(name: str, problems: list[Problem]) -> Mistake:
    some = "; ".join(f"`{problem.id}`: {problem.reason}" for problem in problems[:3])
    return Mistake(f"none of the {len(problems)} pictures of `{name}` can be read ({some}): expected readable pictures")


def _said(counts: Counter[str], form: PictureForm) -> Iterator[str]:
    low, high = form.window or (0, 0)
    for word, usual in PHRASES.items():
        phrase = WINDOWED if word == "deep" and form.window else usual
        if count := counts[word]:
            yield phrase.format(f"{count} picture{'s' if count > 1 else ''}", background=form.background, low=low, high=high)


def _few(levels: np.ndarray) -> Iterator[str]:
    count = int(levels.sum())
    if 1 < count < FEW_LEVELS:
        yield (
            f"only {count} of 256 grey levels are left of pictures with more than 8 bits per channel: say which values matter "
            "by --window LOW,HIGH"
        )
