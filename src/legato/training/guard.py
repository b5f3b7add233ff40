"""The guard over gradients: a step that is not finite, or insane, is skipped and counted; too many end the run."""

from __future__ import annotations

import json
import math
from collections import deque
from statistics import median
from typing import Any

from legato.errors import Mistake

ENOUGH = 20  # norms before a median means anything
INSANE = 50.0  # times the running median
RECENT, TOO_MANY = 100, 25  # skips among recent steps that mean the run has left the rails
WINDOW = 41  # norms remembered: a lasting change moves their median after 21 skips, which is not yet too many


class Diverged(Mistake):
    """Too many steps were skipped."""


class Guard:
    """Remembers the norms of recent gradients. A skipped norm is remembered too, so that a lasting change is accepted.

    Of each player the norms are its own; a step is taken by all or by none.
    """

    def __init__(self, players: int = 1) -> None:
        self.histories: list[deque[float]] = [deque(maxlen=WINDOW) for _ in range(players)]
        # 1: skipped; recent ones alone, so that early skips do not end a long run
        self.outcomes: deque[int] = deque(maxlen=RECENT)
        self.skipped = 0

    def accepts(self, *norms: float) -> bool:
        """True where gradients of these norms, one of each player, may move the weights. Raises `Diverged` after too many."""
        # A list, not a generator: `all` would stop at the first bad norm, and the other players would not remember theirs.
        verdicts = [_remembered(norm, history) for norm, history in zip(norms, self.histories, strict=True)]
        sane = all(verdicts)
        self.outcomes.append(int(not sane))
        self.skipped += not sane
        self.refuse_diverged()
        return sane

    def refuse_diverged(self) -> None:
        """Raises `Diverged` where too many recent steps were skipped."""
        if sum(self.outcomes) > TOO_MANY:
            raise Diverged(
                f"{sum(self.outcomes)} of the last {len(self.outcomes)} steps had a gradient that is not finite or insane "
                f"(over {INSANE:g} times the running median): lower --learning-rate"
            )

    def refuse_idle(self, steps: int) -> None:
        """Raises `Diverged` where all of a run's `steps` were skipped: it would end with the weights that it began with."""
        if self.skipped >= steps:
            raise Diverged(
                f"no step of {steps:,} could be taken, since every gradient was not finite or insane: lower --learning-rate, "
                "and look for rows that lie far out (`legato data SOURCE`)"
            )

    def state(self) -> dict[str, Any]:
        """A checkpoint's part; floats survive JSON exactly. `norms` are the model's, `others` the other players'."""
        norms, *others = map(list, self.histories)
        more = {"others": others} if others else {}
        return {"norms": norms, **more, "outcomes": list(self.outcomes), "skipped": self.skipped}

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        for history, norms in zip(self.histories, [state["norms"], *state.get("others", [])], strict=True):
            history.extend(norms)
        self.outcomes.extend(state["outcomes"])
        self.skipped = state["skipped"]


def finite_json(figures: Any, step: int) -> str:
    """Figures of `step` as JSON, which has no NaN. Raises `Diverged` where one is not finite: it must not pass in silence."""
    try:
        return json.dumps(figures, allow_nan=False)
    except ValueError as error:
        raise Diverged(f"step {step:,} gave a figure that is not finite: lower --learning-rate") from error


def _remembered(norm: float, history: deque[float]) -> bool:
    """True for a norm that is sane beside those before it, which it joins."""
    sane = math.isfinite(norm) and (len(history) < ENOUGH or norm <= INSANE * median(history))
    # NaN and infinity have no place in an order, so no median may be taken over them. A norm joins after it was judged, else a
    # spike would raise the very median that it is held against.
    if math.isfinite(norm):
        history.append(norm)
    return sane
