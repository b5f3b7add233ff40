"""A compiled step: losses, gradients and their norms as one function of tensors, captured once and lowered to C++ by inductor.

Capturing runs the step once under a tracer that writes down every operation, those of the backward pass included; what is left
has no module, no distribution and no autograd, and inductor joins its passes over memory. Draws stay torch's own, from the
generators that the learner seeds, so that they are those of the eager step; sums are rounded otherwise.

Covered: the CPU. Not covered: whether it pays (compiling.py), the optimiser and the average (learner.py).
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from legato.batch import Batch
from legato.devices import generators_kept
from legato.training.learner import Learner, figures_of
from legato.training.side import norm_of

# of torch._inductor.config. Workers that compile beside us would stay for the whole run, and wake while it computes.
OPTIONS = {"fallback_random": True, "compile_threads": 1}


@dataclass(frozen=True)
class Lowered:
    """A step of a recipe, a batch's shape and a number of threads; any learner of these may make it.

    `call`: a function of what `weighed` makes of the weights of terms whenever they change, of what is known of the batch, and
    of what `fixed` makes of the state, once.
    """

    call: Callable[..., Any]
    fixed: Callable[[list[Tensor]], list[Tensor]] = list
    weighed: Callable[[Tensor], list[Tensor]] = lambda weights: [weights]


class Uncompiled(Exception):
    """The step cannot be compiled here; its words say why, as the end of a sentence."""


class Pass(nn.Module):
    """A model and its objective as one module: the losses of a batch, and their figures."""

    def __init__(self, learner: Learner) -> None:
        super().__init__()
        self.model, self.objective, self.losses = learner.model, learner.objective, learner.losses

    def forward(self, batch: Batch, scheduled: Tensor) -> tuple[list[Tensor], Tensor]:
        """(each player's loss, (); what `Learner.step` gives, (figures,)), nats per example."""
        losses, parts = self.losses(batch, self.objective.by(scheduled))
        return losses, figures_of(parts, losses)

    def tensors(self) -> dict[str, Tensor]:
        """Every parameter and buffer by name: what a captured step must be given, for it would keep others as they are now."""
        return dict(itertools.chain(self.named_parameters(), self.named_buffers()))


class CompiledStep:
    """`Learner.step` by a function that was lowered."""

    def __init__(self, learner: Learner, lowered: Lowered) -> None:
        self.learner, self.lowered = learner, lowered
        self.said: list[float] | None = None
        self.weighed: list[Tensor] = []
        # Views of the values: whatever moves or restores them writes them in place.
        self.state = lowered.fixed([value.detach() for value in Pass(learner).tensors().values()])

    def __call__(self, batch: Batch, step: int) -> Tensor | None:
        """One step on a batch; see `Learner.step`."""
        figures, norms = self.differentiate(batch, step)
        parts = dict(zip(self.learner.names, figures.unbind(), strict=False)) if self.learner.follows else {}
        return figures if self.learner.move(norms, parts, step) else None

    @torch.no_grad()
    def differentiate(self, batch: Batch, step: int) -> tuple[Tensor, list[float]]:
        """The figures of a step, and each side's norm; the sides have their gradients then, and no weight has moved."""
        learner = self.learner
        with learner.drawing(step):
            figures, norms, *gradients = self.lowered.call(*self._weighed(step), *_known(batch), *self.state)
        rest = iter(gradients)
        return figures, [side.take(rest, norm) for side, norm in zip(learner.sides, norms.tolist(), strict=True)]

    def _weighed(self, step: int) -> list[Tensor]:
        """What the step reads of the weights of terms; of most recipes they are the same in every step."""
        said = self.learner.objective.scheduled(step, self.learner.plan.total)
        if said != self.said:
            self.said, self.weighed = said, self.lowered.weighed(torch.tensor(said))
        return self.weighed


def lowered(learner: Learner, batch: Batch) -> Lowered:
    """The learner's step on batches like this one, captured and compiled. Raises `Uncompiled`."""
    try:
        with warnings.catch_warnings(), torch.no_grad(), generators_kept():
            warnings.simplefilter("ignore")  # torch warns of parts of its own
            # here: a second of imports, of which most trainings have no need
            from torch._inductor import compile as lower

            _find()
            graph, given = captured(learner, batch)
            made = Lowered(lower(graph, [*given], options=OPTIONS))
            made.call(*given)  # what fails when it runs must fail here
    except Uncompiled:
        raise
    except Exception as error:  # of a tracer, a compiler and a linker: nobody lists what these may raise
        raise Uncompiled(_in_one_line(error)) from error
    return made


def _find() -> None:
    """Raises `Uncompiled` where there is no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler

    try:
        get_cpp_compiler()
    except Exception as error:
        raise Uncompiled("no C++ compiler is found (g++ or clang++, or what CXX names)") from error


def captured(learner: Learner, batch: Batch) -> tuple[torch.fx.GraphModule, list[Tensor]]:
    """The step's operations on a batch like this one, and copies of all that it was given. The learner stays as it is."""
    from torch.fx.experimental.proxy_tensor import make_fx

    # Copies: capturing runs the step, which may move buffers. Without gradients, which would be taken of the gradients else.
    state = Pass(learner).tensors().values()
    given = [value.detach().clone() for value in (_scheduled(learner, 0), *_known(batch), *state)]
    return make_fx(_step(learner, batch))(*given), given


def _step(learner: Learner, like: Batch) -> Callable[..., Any]:
    """A function of the weights of terms, of what is known of the batch, and of the state."""
    both = Pass(learner)
    named = both.tensors()
    whose = {id(value): name for name, value in named.items()}
    moving = [[whose[id(weight)] for weight in side.weights] for side in learner.sides]

    def step(scheduled: Tensor, *values: Tensor) -> tuple[Tensor | None, ...]:
        rest = iter(values)
        batch = _filled(like, rest)
        state = dict(zip(named, rest, strict=True))
        leaves = {name: state[name].detach().requires_grad_() for name in itertools.chain(*moving)}
        with torch.enable_grad():
            losses, figures = torch.func.functional_call(both, state | leaves, (batch, scheduled))
        gradients = [
            torch.autograd.grad(loss, [leaves[name] for name in names], retain_graph=True, allow_unused=True)
            for loss, names in zip(losses, moving, strict=True)
        ]
        norms = [norm_of([one for one in of_one if one is not None]) for of_one in gradients]
        return figures.detach(), torch.stack(norms), *itertools.chain(*gradients)

    return step


def _scheduled(learner: Learner, step: int) -> Tensor:
    """The weights of terms at `step`, (terms,): a number would be captured as it is now."""
    return torch.tensor(learner.objective.scheduled(step, learner.plan.total))


def _known(batch: Batch) -> list[Tensor]:
    return [value for value in (batch.x, batch.label, batch.mask, batch.rows) if value is not None]


def _filled(like: Batch, values: Iterator[Tensor]) -> Batch:
    """A batch of the same parts as `like`, in their order."""
    parts = (like.label, like.mask, like.rows)
    return Batch(next(values), *(None if part is None else next(values) for part in parts))


def _in_one_line(error: Exception) -> str:
    """An error's first line, which of a compiler may be pages."""
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {said}"[:200]
