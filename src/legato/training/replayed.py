"""A replayed step: a step's operations written down once and asked for again, without modules, distributions or autograd.

Each operation is torch's own and gives its bits, so that a replayed step is the plain one; it needs no compiler, and a second
or two once. Covered: the CPU; whether it is the same step. Not covered: the capture (compiled.py), what makes asking quick
(tidied.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from legato.batch import Batch
from legato.devices import generators_kept
from legato.ranks import now
from legato.training.compiled import CompiledStep, Lowered, Pass, captured
from legato.training.learner import Learner, figures_of
from legato.training.tidied import same, tidied

log = logging.getLogger(__name__)
LARGE = 1 << 20  # values of a batch: tidying keeps every result of a step at once, and so large a step gains nothing
MANY, LONG = 3_000, 0.5  # steps, or minutes, of a run: a capture takes as long as some hundred steps, and saves a tenth of each


def may_replay(engine: str, own: bool, device: torch.device, steps: int | None, minutes: float | None = None) -> bool:
    """Whether a run of these steps or minutes is to be replayed. `own`: its recipe is a person's own."""
    long = minutes >= LONG if minutes is not None else (steps or 0) >= MANY
    # of one's own: what its Python decides would stay as it was when it was captured
    return long and not own and device.type == "cpu" and engine in ("auto", "eager") and now().world == 1


def replayed(learner: Learner, batch: Batch) -> Lowered | None:
    """The learner's step on batches like this one; None where a replay would not give the plain step's very bits."""
    if batch.x.numel() > LARGE:
        return None
    try:
        with torch.no_grad(), generators_kept():
            graph, given = captured(learner, batch)
            found = tidied(graph, given, len(given) - len(Pass(learner).tensors()))
            return found if same(_plain(learner, batch), _made(learner, batch, found)) else None
    except Exception:  # of a tracer, which nobody lists: the plain step is there
        log.debug("the step is not replayed", exc_info=True)
        return None


def _plain(learner: Learner, batch: Batch) -> list[Tensor | None]:
    """Figures, norms, gradients and state after the plain step's first half, before any weight moves."""

    def half() -> tuple[Tensor, list[float]]:
        with torch.enable_grad():
            losses, parts = learner.losses(batch, learner.objective.at(0, learner.plan.total))
            norms = [side.differentiate(one) for side, one in zip(learner.sides, losses, strict=True)]
        return figures_of(parts, losses), norms

    return _outcome(learner, half)


def _made(learner: Learner, batch: Batch, lowered: Lowered) -> list[Tensor | None]:
    """The same of a replay."""
    step = CompiledStep(learner, lowered)
    return _outcome(learner, lambda: step.differentiate(batch, 0))


def _outcome(learner: Learner, half: Callable[[], tuple[Tensor, list[float]]]) -> list[Tensor | None]:
    state = list(Pass(learner).tensors().values())
    before = [value.detach().clone() for value in state]
    try:
        with learner.drawing(0):
            figures, norms = half()
        found = [figures, torch.tensor(norms), *(weight.grad for side in learner.sides for weight in side.weights)]
        return [None if one is None else one.detach().clone() for one in (*found, *state)]
    finally:
        for value, old in zip(state, before, strict=True):  # a codebook moves with the pass
            value.detach().copy_(old)
        for side in learner.sides:
            side.forget()
