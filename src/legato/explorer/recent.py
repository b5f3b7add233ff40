"""Recent answers, as many as fit a budget of bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

V = TypeVar("V")


class Recent(Generic[V]):
    """A cache of the values used last: those beyond `budget` bytes are dropped, never the newest. One thread's."""

    def __init__(self, size: Callable[[V], int], budget: int) -> None:
        self._size, self._budget = size, budget
        self._kept: OrderedDict[Hashable, V] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """The value of a key, made where it is not kept."""
        if key not in self._kept:
            self._kept[key] = make()
        self._kept.move_to_end(key)
        # Counted anew: a value may grow after it was kept.
        total = sum(map(self._size, self._kept.values()))
        # never the newest: what is larger than the budget alone must still be answered
        while total > self._budget and len(self._kept) > 1:
            total -= self._size(self._kept.popitem(last=False)[1])
        return self._kept[key]

    def known(self, key: Hashable) -> V | None:
        """The value of a key where it is kept."""
        return self._kept.get(key)

    def __len__(self) -> int:
        return len(self._kept)
