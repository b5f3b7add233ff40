"""A capture without a card: a device that computes nothing, and a mode that refuses what a CUDA graph cannot hold.

Tensors of `meta` have shapes and no values: whoever asks for one (`item`, a branch, a copy to the host, an operation whose
result has a size that depends on values) is refused by torch itself. The mode refuses the rest: copies between devices, and
tensors of the host among those of the card, but for scalars, which a graph holds as constants.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
# Names of operations for which the host waits, or whose result's size depends on values.
WAITS = ("_local_scalar_dense", "nonzero", "masked_select", "unique", "bincount", "is_nonzero", "equal", "pin_memory")


class _Capture(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        kwargs = kwargs or {}
        self.seen.add(name)
        devices = {one.device.type for one in tree_leaves((args, kwargs)) if isinstance(one, Tensor) and one.ndim}
        goal = kwargs.get("device")
        if name in WAITS or any(name.startswith(wait) for wait in ("_unique", "unique")):
            raise RuntimeError(f"a capture cannot hold {name}: the host would wait")
        if len(devices) > 1 or (devices and goal is not None and torch.device(goal).type not in devices and "copy" in name):
            raise RuntimeError(f"a capture cannot hold {name} between {sorted(devices)} and {goal}")
        if goal is not None and torch.device(goal).type == "cpu" and not _scalar(args):
            raise RuntimeError(f"a capture cannot hold {name}: it makes a tensor of the host")
        if name == "_fused_adamw_":  # torch has no shape-only form of it: it gives nothing and changes no shape
            return None
        return func(*args, **kwargs)


def _scalar(args: Any) -> bool:
    """True for the making of a constant (): `torch.tensor(1.0)`, `torch.zeros(())`."""
    return (
        not args or (isinstance(args[0], (list, tuple)) and not args[0]) or (isinstance(args[0], Tensor) and not args[0].ndim)
    )


@contextmanager
def capturable() -> Iterator[set[str]]:
    """A block in which nothing happens that a CUDA graph cannot hold; what does raises `RuntimeError`.

    Gives the names of the operations that were met, so that a test can tell that the work was done to its end.
    """
    with _Capture() as capture:
        yield capture.seen
