"""The choice of a compiled step: taken where a run is so long that compiling pays several times, and where it is quicker.

Covered: when it is tried, the timing, the line that tells of it. Not covered: compiling itself (compiled.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

from legato.errors import Mistake, tell
from legato.training.compiled import Lowered, Uncompiled
from legato.training.threads import Step, in_turns, milliseconds

# Seconds of a run. Compiling took 27 to 54 s on two cores of an AMD EPYC and saved a sixth to a third of a step: in a
# quarter of an hour three times what it costs, or more (docs/speed.md).
LONG = 15 * 60.0
MANY = 1000  # steps, below which nothing is timed for its sake: a run of fewer is seldom long
GAIN = 0.95  # a compiled step must take less than this of an eager one: else the run keeps what rounds as elsewhere


@dataclass(frozen=True)
class Choice:
    """A compiled step, or None for the eager one; and the line that a person is told, if any."""

    lowered: Lowered | None = None
    line: str | None = None
    step: Step | None = None  # of the rehearsal, by what was compiled


EAGER = Choice()


def may_pay(asked: str, minutes: float | None, steps: int | None) -> bool:
    """Whether compiling could be chosen for a run of these minutes or steps: only then is anything timed for its sake."""
    long = 60 * minutes >= LONG if minutes is not None else (steps or 0) >= MANY
    return asked == "compiled" or (asked == "auto" and long)


def choice(asked: str, seconds: float, eager: Step, compile_step: Callable[[], tuple[Lowered, Step]]) -> Choice:
    """Of a run that takes so many seconds by eager steps. Raises `Mistake` where compiling was asked for and cannot be."""
    if asked != "compiled" and (asked != "auto" or seconds < LONG):
        return EAGER
    tell("compiling the step, once: half a minute or more")  # nothing else moves meanwhile
    began = time.perf_counter()
    try:
        lowered, step = compile_step()
    except Uncompiled as error:
        if asked == "compiled":
            raise Mistake(f"--engine compiled: {error}; --engine eager trains without") from error
        return Choice(line=f"the step is not compiled: {error}")
    took = time.perf_counter() - began
    without, with_ = in_turns([(eager, nullcontext), (step, nullcontext)])
    figures = f"{milliseconds(with_)} instead of {milliseconds(without)}"
    if asked == "auto" and with_ > GAIN * without:
        return Choice(line=f"the step is not compiled: it would take {figures}")
    return Choice(lowered, f"the step is compiled (in {took:.0f} s): it takes {figures}; --engine eager does without", step)
