"""An attribute computed once, without a lock.

`functools.cached_property` takes a lock on Python 3.11, which `torch.compile(..., fullgraph=True)` cannot trace; this is
the same idea as `torch.distributions.utils.lazy_property`, but it leaves the gradient mode alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")


class lazy(Generic[T]):
    """Turns a method into an attribute that is computed when first read and kept in the instance's `__dict__`."""

    def __init__(self, formula: Callable[[Any], T]) -> None:
        self.formula = formula
        self.__doc__ = formula.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name

    @overload
    def __get__(self, instance: None, owner: type) -> lazy[T]: ...
    @overload
    def __get__(self, instance: object, owner: type) -> T: ...

    def __get__(self, instance: object | None, owner: type) -> lazy[T] | T:
        if instance is None:
            return self
        # A non-data descriptor: once the value lies in __dict__, Python never comes here again.
        value = instance.__dict__[self.name] = self.formula(instance)
        return value
