"""The graphed engine: a whole step captured once as a CUDA graph and replayed, so that no step waits for the host.

Between two lines of metrics the host only says which step is next: schedules lie in a table on the device, the guard's verdict
is a tensor, and a step that it refuses leaves everything as it was. Covered: the step in tensors, its capture, what happens
where it cannot be captured. Not covered: where its rows come from (resident.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from legato.errors import tell
from legato.training.engine import Eager
from legato.training.learner import Learner, figures_of
from legato.training.resident import Supply
from legato.training.verdict import Verdict

WARM = 3  # steps before the capture: libraries set themselves up in the first, memory is laid out in the next
TABLE = 1024  # steps whose schedules lie on the device
PACE, SHARE, RATES = 0, 1, 2  # columns: the learning rate's share of its peak, the average's share; rates, then terms' weights


class Recorded(Protocol):
    """A step that can be made again."""

    def replay(self) -> None:
        """Makes it, or asks the device to."""


Record = Callable[[Callable[[], None], Sequence[torch.Generator]], Recorded]


class Graphed:
    """Steps as replays of one graph. `record(work, generators)` captures `work`, whose draws come of these generators.

    Its first three steps are not yet replays, and are steps all the same. Where the capture fails the run goes on eagerly, and
    one line says why.
    """

    def __init__(
        self, learner: Learner, batches: Supply, sums: Sequence[float] = (), counted: int = 0, record: Record | None = None
    ) -> None:
        self.learner, self.batches, device = learner, batches, learner.device
        self.record = record or Captured
        self.sums = torch.zeros(len(learner.figures), dtype=torch.double, device=device)
        if len(sums):
            self.sums += torch.tensor(sums, dtype=torch.double, device=device)
        self.counted = torch.full((), counted, dtype=torch.long, device=device)
        self.verdict = Verdict(learner.guard, device)
        self.weights = RATES + len(learner.sides)
        self.table = torch.zeros(TABLE, self.weights + len(learner.names), dtype=torch.double, device=device)
        self.row = torch.zeros(1, dtype=torch.long, device=device)
        self.filled = -1
        self.made = 0
        self.graph: Recorded | None = None
        self.eager: Eager | None = None

    def step(self, step: int) -> None:
        """Asks for a step. What it does is found out by `look`."""
        if self.eager is not None:
            self.eager.step(step)
            return
        if self.made == WARM and self.graph is None and not self._recorded(step):
            self.step(step)
            return
        self._fill(step)
        with self.learner.drawing(step):
            if self.graph is None:
                self._aside(self.tick)
            else:
                self.graph.replay()
        self.made += 1
        for side in self.learner.sides:
            side.sweep(step)

    def look(self) -> tuple[list[float], int]:
        """Waits for the device, and makes the learner's guard what it is there. Raises `Diverged`."""
        if self.eager is not None:
            return self.eager.look()
        self.verdict.tell(self.learner.guard)
        return self.sums.tolist(), int(self.counted)

    def clear(self) -> None:
        """Sums begin anew."""
        if self.eager is not None:
            self.eager.clear()
        self.sums.zero_()
        self.counted.zero_()

    def wait(self) -> None:
        """Waits for the device."""
        if self.learner.device.type == "cuda":
            torch.cuda.synchronize(self.learner.device)

    def tick(self) -> None:
        """The step in tensors alone, from row numbers to the moved average. What `Learner.step` does, bit for bit."""
        learner, row = self.learner, self.table.index_select(0, self.row)[0]
        single = row.float()
        losses, parts = learner.losses(self.batches.cut(), learner.objective.by(single[self.weights :]))
        norms = [side.differentiate_there(one) for side, one in zip(learner.sides, losses, strict=True)]
        sane = self.verdict.accepts(torch.stack(norms))
        for side, rate in zip(learner.sides, single[RATES : self.weights].unbind(), strict=True):
            side.move(rate, sane)
        # 0 where it does not move: a difference of numbers, times 0
        learner.follow(torch.where(sane, single[SHARE], 0.0))
        self._follow(parts, row[PACE], sane)
        for side in learner.sides:
            side.forget()
        self.sums.add_(torch.where(sane, figures_of(parts, losses).double(), 0.0))
        self.counted.add_(sane)

    def _follow(self, parts: dict[str, Tensor], pace: Tensor, sane: Tensor) -> None:
        """The weights that follow the loss; after a step that is refused they are what they were."""
        state = list(self.learner.objective.buffers())
        before = [one.clone() for one in state]
        self.learner.objective.follow(parts, pace)
        for one, old in zip(state, before, strict=True):
            one.copy_(torch.where(sane, one, old))

    def _fill(self, step: int) -> None:
        """Says which step is next: where it stands in the table, which rows it has."""
        part, place = divmod(step, TABLE)
        if part != self.filled:
            self.filled = part
            rows = [self._scheduled(one) for one in range(part * TABLE, min((part + 1) * TABLE, self.learner.plan.total))]
            self.table[: len(rows)].copy_(torch.tensor(rows, dtype=torch.double))
        self.row.fill_(place)
        self.batches.fill(step)

    def _scheduled(self, step: int) -> list[float]:
        plan, decay = self.learner.plan, self.learner.plan.averaging(step)
        pace, share = plan.rate(step) / plan.learning_rate, 0.0 if decay is None else 1 - decay
        rates = [side.rate(step) for side in self.learner.sides]
        return [pace, share, *rates, *self.learner.objective.scheduled(step, plan.total)]

    def _recorded(self, step: int) -> bool:
        """Captures the step; False where it cannot be, and the run goes on eagerly from `step`."""
        self._fill(step)
        generators = [*self.learner.streams, *self.batches.generators]
        try:
            with self.learner.drawing(step):
                self.graph = self.record(self.tick, generators)
        except Exception as error:  # whatever a recipe of one's own does that a graph cannot hold
            why = (str(error).splitlines() or [type(error).__name__])[0]
            tell(
                f"this recipe's step cannot be captured ({why}): each of its operations is asked for by itself (--engine eager)"
            )
            for side in self.learner.sides:
                side.forget()
            sums, counted = self.look()
            self.eager = Eager(self.learner, self.batches, sums, counted)
        return self.eager is None

    def _aside(self, work: Callable[[], None]) -> None:
        """Work on a queue of its own, as torch asks for before a capture."""
        if self.learner.device.type != "cuda":
            work()
            return
        queue = torch.cuda.Stream(self.learner.device)  # type: ignore[no-untyped-call]  # torch's
        queue.wait_stream(torch.cuda.current_stream(self.learner.device))
        with torch.cuda.stream(queue):
            work()
        torch.cuda.current_stream(self.learner.device).wait_stream(queue)


class Captured:
    """A CUDA graph."""

    def __init__(self, work: Callable[[], None], generators: Sequence[torch.Generator]) -> None:
        self.graph = torch.cuda.CUDAGraph()
        for generator in generators:  # the device's own is known to it
            self.graph.register_generator_state(generator)
        # of this thread alone: another may compute meanwhile, a page that shows the training
        with torch.cuda.graph(self.graph, capture_error_mode="thread_local"):
            work()

    def replay(self) -> None:
        """Asks the card for the step."""
        self.graph.replay()
