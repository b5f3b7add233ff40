"""A batch of examples: what they are, and what is known of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from legato.trace import Given


@dataclass(frozen=True)
class Batch:
    """B examples x (B, *data); each one's class `label` (B,), which of its values are there `mask` (B, *data), and the number
    `rows` (B,) of the row that it is. None: nothing is known.
    """

    x: Tensor
    label: Tensor | None = None
    mask: Tensor | None = None
    rows: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    @property
    def given(self) -> Given:
        """The facts that nets, priors and terms may read beside x."""
        return Given(self.label, self.mask, self.rows)

    def __getitem__(self, which: slice | Tensor) -> Batch:
        """Some of the examples."""
        return self._each(lambda value: value[which])

    def to(self, device: torch.device) -> Batch:
        """The same on a device."""
        # elsewhere than on CUDA torch does not keep what is copied from alive until it has been
        return self._each(lambda value: value.to(device, non_blocking=device.type == "cuda"))

    def pinned(self) -> Batch:
        """The same in memory that a card copies from while the host goes on."""
        return self._each(Tensor.pin_memory)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        others = (None if part is None else change(part) for part in (self.label, self.mask, self.rows))
        return Batch(change(self.x), *others)

    @staticmethod
    def of(x: Tensor | Batch) -> Batch:
        """A batch as it is; of a tensor, examples of which nothing is known."""
        return x if isinstance(x, Batch) else Batch(x)
