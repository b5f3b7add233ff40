"""Sessions by class: a class-conditional model is looked at one class at a time, each at an address of its own.

Covered: which classes there are, the session of each, made when it is first asked for; `/class/K/…` led to it. Not covered:
what a session answers (session.py), the switch in the page (ui/src/panels/ClassSwitch.svelte).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from legato.classes import number_of
from legato.data.prepared import Prepared
from legato.errors import Mistake
from legato.explorer.catalogue import Catalogue
from legato.explorer.models import Member
from legato.explorer.session import Session

FEWEST = 2  # images of a class that make a map: of one point no extent can be told
KEPT = 8  # sessions in memory, each with the codes of its map


class Sessions:
    """The sessions to one or two runs of the same data: one, or one for each class where a model reads labels.

    `first`: the class that the page opens with, by its name; None: the first that has a map. Raises `Mistake` for a class
    that no model knows, and where two models know different ones.
    """

    def __init__(self, members: Sequence[Member], prepared: Prepared, points: int, first: str | None = None) -> None:
        self.members, self.prepared, self.points = list(members), prepared, points
        self.names = _classes_of(members)
        self.first = None if not self.names and first is None else self._first(first)
        self._made: dict[int | None, Session] = {}
        self.of(self.first)  # what cannot be shown is told before a page opens

    def _first(self, name: str | None) -> int:
        if name is not None:
            return number_of(name, self.names, f"`{self.members[0].run.path}`")
        return next((number for number, count in enumerate(self.counts) if count >= FEWEST), 0)

    @property
    def counts(self) -> list[int]:
        """The number of rows of each class; of a source without labels all rows count as of any."""
        rows = self.prepared.split("all").all()
        # Without labels nobody can say whose a row is: it may be looked at under every class.
        if self.prepared.dataset.labels is None:
            return [len(rows)] * len(self.names)
        known = self.prepared.numbered(rows)
        return [int(np.count_nonzero(known == number)) for number in range(len(self.names))]

    @property
    def now(self) -> Session:
        """The one that the page opens with."""
        return self.of(self.first)

    def of(self, number: int | None) -> Session:
        """The session of a class; of models without classes the one there is. Raises `Mistake` for a class that is none."""
        if number is not None and not 0 <= number < len(self.names):
            raise Mistake(f"there is no class {number}: they are 0 … {len(self.names) - 1}")
        if number not in self._made:
            while len(self._made) >= KEPT:  # the oldest goes first: a dictionary keeps the order in which sessions were made
                del self._made[next(iter(self._made))]
            self._made[number] = self._session(number)
        return self._made[number]

    def _session(self, number: int | None) -> Session:
        if number is None:
            return Session(self.members, Catalogue(self.prepared, self.points))
        members = [member.of_class(self.names[number]) for member in self.members]
        one = self.prepared.of_class(number)
        if len(one.split("all")) < FEWEST:
            had = f"`{one.dataset.source}` has {len(one.split('all'))} rows of the class `{self.names[number]}`"
            raise Mistake(f"{had}, and a map needs {FEWEST}: choose another class")
        told = {"names": list(self.names), "rows": self.counts, "one": number}
        return Session(members, Catalogue(one, self.points), told)


def _classes_of(members: Sequence[Member]) -> tuple[str, ...]:
    known = {member.blank.classes for member in members if member.blank.classes}
    # One switch in the header names one class for both models.
    if len(known) > 1:
        raise Mistake("the two runs know different classes, and the page shows both at one: explore them one by one")
    return next(iter(known), ())


class ByClass:
    """Leads /class/K/… to the application of that class, and everything else to that of the first."""

    def __init__(self, first: int | None, application: Callable[[int | None], ASGIApp]) -> None:
        self.first, self.application = first, application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers 404 for an address that is none, 400 for a class that has no map."""
        # nine digits at most: int() of a longer number may take seconds, and raises from 4,300 on
        found = re.fullmatch(r"/class/(\d{1,9})(/.*)", scope["path"])
        try:
            answer: Any = self.application(int(found[1]) if found else self.first)
        except Mistake as mistake:
            answer = JSONResponse({"error": " ".join(str(mistake).split())}, 400)
        # The path without the class: routes know no classes.
        await answer({**scope, "path": found[2] if found else scope["path"]}, receive, send)
