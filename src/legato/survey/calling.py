"""A person's own function, called as it wants to be: with arrays or tensors, block by block, at rest and without a graph.

Covered: torch modules and their methods (tensors on the module's device and in its precision, evaluation mode while they are
called), functions of arrays, functions of tensors. Not covered: what the answer means (answers.py).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from legato.devices import drawing
from legato.errors import Mistake
from legato.types import Floats

T = TypeVar("T")
BLOCK = 250  # rows at a time: bounded memory, whatever the function
SAME, BESIDE = 1e-4, 5e-2  # of the largest value: what a second call, and a row alone (half precision), may differ by


class Caller:
    """`function` of one or more arrays with a row per example; `name` is what mistakes call it.

    A torch module gets tensors. Anything else is asked once, with `example`: it gets arrays, or tensors where arrays are no
    type that it takes.
    """

    def __init__(self, function: Callable[..., Any], name: str, *example: Floats) -> None:
        if not callable(function):
            raise Mistake(f"`{name}` is a {type(function).__name__}: expected a function or a torch module")
        self.function, self.name = function, name
        # A bound method of a module (`model.encode`) belongs to it: its mode and its device are the module's.
        owner = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
        self.module = owner if isinstance(owner, nn.Module) else None
        self.device, self.dtype = _place(self.module)
        self.tensors = self.module is not None or self._takes_tensors(example)

    def over(self, read: Callable[[Any], T], *inputs: Floats, seed: int = 0, size: int = BLOCK) -> list[T]:
        """The answers to each block of rows as `read` makes them out. The global generator is left as it was."""
        with self.at_rest(seed), torch.no_grad():
            return [read(self.function(*self._given(inputs, slice(at, at + size)))) for at in range(0, len(inputs[0]), size)]

    @contextmanager
    def at_rest(self, seed: int = 0) -> Iterator[None]:
        """The module in evaluation mode, the generator at `seed`; both are as they were afterwards."""
        # Each part's own mode: a frozen half of a model may stand in evaluation mode while the rest trains.
        modes = {} if self.module is None else {part: part.training for part in self.module.modules()}
        try:
            for part in modes:
                # The attribute and not `.eval()`, which a module may override.
                part.training = False
            with drawing(self.device, seed):
                yield
        finally:
            for part, mode in modes.items():
                part.training = mode

    def check_steady(self, read: Callable[[Any], Floats], example: Floats) -> None:
        """Raises `Mistake` where a second call, or a row alone, answers otherwise: a draw, dropout, batch statistics."""
        # Two seeds: a draw in the place of a mean differs between them.
        first, again = (np.concatenate(self.over(read, example, seed=seed)) for seed in (0, 1))
        # One by one: batch statistics show only where a batch is small.
        alone = np.concatenate(self.over(read, example, size=1))
        scale = float(np.abs(first).max())
        if np.abs(first - again).max() > SAME * scale:
            raise Mistake(
                f"`{self.name}` gives another answer each time: return means, not draws, and switch dropout off (eval)"
            )
        if np.abs(first - alone).max() > BESIDE * scale:
            raise Mistake(f"`{self.name}` answers for a row otherwise beside other rows: switch batch statistics off (eval)")

    def _given(self, inputs: tuple[Floats, ...], rows: slice) -> list[Any]:
        """Copies: a function that changes its input must not change the data."""
        parts = [part[rows].copy() for part in inputs]  # a copy for each block, for the data are memory-mapped or used again
        return [self.tensor(part) for part in parts] if self.tensors else parts

    def tensor(self, values: Floats) -> Tensor:
        """The values on the module's device, in its precision."""
        return torch.from_numpy(values).to(self.device, self.dtype)

    def _takes_tensors(self, example: tuple[Floats, ...]) -> bool:
        said = []
        # Arrays first: a function of NumPy may take a tensor by accident, one of tensors refuses an array at once.
        for self.tensors in (False, True):
            try:
                self.over(lambda _: None, *example)
            except (TypeError, AttributeError) as error:  # the wrong type of argument shows as one of these two
                said.append(f"{type(error).__name__}: {' '.join(str(error).split())[:150]}")
            else:
                return self.tensors
        raise Mistake(f"`{self.name}` takes neither an array ({said[0]}) nor a tensor ({said[1]}): give one that takes either")


def _place(module: nn.Module | None) -> tuple[torch.device, torch.dtype]:
    """A module's device and precision; the CPU and single precision where it has no numbers of its own."""
    numbers = [] if module is None else [*module.parameters(), *module.buffers()]
    # The first number of floating point: an integer buffer (a counter) says nothing of precision.
    found = next((one for one in numbers if one.is_floating_point()), torch.empty(0))
    return found.device, found.dtype
