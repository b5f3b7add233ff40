"""Minutes turned into steps, once: a throw-away learner is timed, and the plan never reads a clock again."""

from __future__ import annotations

import time
from collections.abc import Callable

# A share of the budget, so that a short run is not spent on its own probe; at least a second, or one interruption by the
# system would halve the estimate; at most eight, for more would tell little.
SHARE, LEAST, MOST = 0.03, 1.0, 8.0
LEAST_SHARE = 0.5  # of the budget, for steps: a slow validation may not leave a run without any
WARM = 5  # steps that are not counted: the first ones allocate


def steps_for(
    minutes: float,
    step: Callable[[int], object],
    validate: Callable[[], object],
    validations: int,
    wait: Callable[[], object] = lambda: None,
    said: Callable[[float], float] = lambda seconds: seconds,
) -> int:
    """The number of steps that fit into `minutes`, the probe's own time and `validations` validations taken off. At least 1.

    `step(i)` and `validate()` do the real work on weights that are thrown away; `wait()` returns when it is done, where a
    device does it later. At least half of the budget goes to steps:
    where validation is so slow that it would take more, the run takes longer than was asked for. `said`: the one clock by which
    all go who make these steps together.
    """
    budget = minutes * 60
    start = time.perf_counter()
    for i in range(WARM):
        step(i)
    wait()
    allowed = min(max(SHARE * budget, LEAST), MOST)
    began, count = time.perf_counter(), 0
    # three steps at least: a step may be longer than the time allowed
    while said(time.perf_counter() - began) < allowed or count < 3:
        step(WARM + count)
        count += 1
    wait()
    per_step = (time.perf_counter() - began) / count
    before = time.perf_counter()
    # Once is enough: a run validates seldom, so that this figure moves the number of steps but little.
    validate()
    now = time.perf_counter()
    left = budget - (now - start) - validations * (now - before)
    return max(int(said(max(left, LEAST_SHARE * budget) / per_step)), 1)
