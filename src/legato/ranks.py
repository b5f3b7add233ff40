"""Ranks: processes that share each batch, as torchrun and `accelerate launch` start them. Alone, a process is rank 0 of 1.

Order and noise are those of one process: each rank draws the whole batch's and takes its rows', so that what is computed does
not depend on how many share it, but for rounding. Covered: who is which, whose rows are whose, sums over all ranks, what rank 0
says to all. Not covered: gradients (training/shared.py), starting processes (the launchers').
"""

from __future__ import annotations

import gc
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from legato.errors import Mistake, Stopped, install
from legato.terminal import signal_of
from legato.types import Shape

WORLD, LOCAL = "WORLD_SIZE", "LOCAL_RANK"  # as launchers tell each process
PATIENCE = timedelta(minutes=10)  # for the slowest rank: rank 0 may be preparing the data, or writing
KNOWN = signature(DistributedDataParallel).parameters
SYNC = "forward_sync_buffers" if "forward_sync_buffers" in KNOWN else "broadcast_buffers"  # of rank 0, in each step
GRACE = 3.0  # seconds, in which a launcher notices that a rank has failed
T = TypeVar("T")


@dataclass(frozen=True)
class Ranks:
    """The process numbered `rank` of `world`. `accelerator`: Accelerate's, where there are several."""

    rank: int = 0
    world: int = 1
    accelerator: Any = None

    @property
    def first(self) -> bool:
        """True of the one that writes and speaks."""
        return self.rank == 0

    def part(self, size: int) -> slice:
        """This rank's part of so many rows: parts in a row are the whole, without gap or overlap."""
        return slice(size * self.rank // self.world, size * (self.rank + 1) // self.world)

    def total(self, values: Tensor) -> Tensor:
        """The sum of all ranks' values, the same bits on each; without a gradient."""
        if self.world == 1:
            return values
        found = values.detach().clone()
        distributed.all_reduce(found)
        return found

    def said(self, value: T) -> T:
        """What rank 0 gives: for whatever a clock or a file decides."""
        if self.world == 1:
            return value
        known = [value if self.first else None]
        distributed.broadcast_object_list(known)
        return known[0]  # type: ignore[return-value]  # rank 0's

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """A block that the first rank of each machine goes through before the others: what it has written, they find."""
        if self.world == 1:
            yield
            return
        with self.accelerator.local_main_process_first():
            yield

    def prepared(self, module: nn.Module, aside: Sequence[str] = ()) -> nn.Module:
        """The module such that its gradients become means over ranks, by torch's DDP; but for the parameters `aside`."""
        if self.world == 1:
            return module
        DistributedDataParallel._set_params_and_buffers_to_ignore_for_model(module, list(aside))  # type: ignore[no-untyped-call]
        # Buffers are alike on all ranks as they are, and which weights have no gradient is the same in every step.
        how: dict[str, Any] = {SYNC: False, "static_graph": True}
        return DistributedDataParallel(module, **how)


@dataclass(frozen=True)
class Share:
    """The rows `part` of a batch of `size`: this rank's."""

    ranks: Ranks
    size: int
    part: slice

    @property
    def count(self) -> int:
        """The number of its rows."""
        return int(self.part.stop) - int(self.part.start)

    @property
    def weight(self) -> float:
        """What a mean over these rows counts in a mean over ranks that is to be one over all rows: 1 where all are alike."""
        return self.count * self.ranks.world / self.size


ALONE = Ranks()
_NOW: list[Ranks] = [ALONE]  # of the process: so is the group that torch keeps
_SHARES: list[Share | None] = []  # those of the blocks that are open, the innermost last


def now() -> Ranks:
    """The ranks that this process is one of."""
    return _NOW[-1]


@contextmanager
def sharing(size: int) -> Iterator[Share]:
    """A block in which batches are this rank's part of a batch of `size`: draws are parts of the whole's, and so are rows.

    A batch that is smaller than the number of ranks is not shared: every rank computes it whole.
    """
    ranks = now()
    if ranks.world == 1 or size < ranks.world:
        yield Share(ALONE, size, slice(0, size))
        return
    share = Share(ranks, size, ranks.part(size))
    _SHARES.append(share)
    try:
        yield share
    finally:
        _SHARES.pop()


@contextmanager
def unshared() -> Iterator[None]:
    """A block within `sharing` in which draws are nobody's part: of a distribution that no example has a part in."""
    _SHARES.append(None)
    try:
        yield
    finally:
        _SHARES.pop()


def _shared() -> Share | None:
    return _SHARES[-1] if _SHARES else None


def sized(count: int) -> int:
    """The number of examples in the batch of which these `count` are this rank's."""
    share = _shared()
    return count if share is None else share.size


def drawn(make: Callable[[Shape], Tensor], shape: Sequence[int], axis: int) -> Tensor:
    """Noise of this shape, whose `axis` counts the examples of a batch: `make` is asked for the whole batch's."""
    share = _shared()
    if share is None:
        return make(tuple(shape))
    everyone = (*shape[:axis], share.size * shape[axis] // share.count, *shape[axis + 1 :])
    each = everyone[axis] // share.size
    return make(everyone).narrow(axis, share.part.start * each, shape[axis])


def whole(values: Tensor, axis: int = 0) -> Tensor:
    """The values of all examples of a batch in their order, from each rank's along `axis`; without a gradient."""
    share = _shared()
    if share is None:
        return values
    each = values.shape[axis] // share.count  # rows of an example: tokens, perhaps
    found = values.new_zeros(*values.shape[:axis], share.size * each, *values.shape[axis + 1 :])
    # A sum with zeros: parts of unequal sizes need no other way, and x + 0 is x.
    found.narrow(axis, share.part.start * each, values.shape[axis]).copy_(values.detach())
    distributed.all_reduce(found)
    return found


def gathered(values: Tensor, axis: int = 0) -> Tensor:
    """`whole` with a gradient: of a loss that every rank computes of all examples, as terms of the whole batch do."""
    if _shared() is None:
        return values
    found: Tensor = _Gathered.apply(values, axis)  # type: ignore[no-untyped-call]  # torch's
    return found


class _Gathered(torch.autograd.Function):
    """Each rank's rows in their order; backwards the sum of what all ranks have to say of one's own."""

    @staticmethod
    def forward(context: Any, values: Tensor, axis: int) -> Tensor:
        context.ranks, context.axis, context.place = now(), axis, place(values, axis)
        return whole(values, axis)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # Losses are weighed by their ranks' rows, which add up to the number of ranks: their mean over ranks is the loss's.
        everyone = context.ranks.total(gradient.contiguous())
        mine = context.place
        return everyone.narrow(context.axis, mine.start, mine.stop - mine.start), None


def place(values: Tensor, axis: int = 0) -> slice:
    """Where these values lie in `whole` of them."""
    share = _shared()
    if share is None:
        return slice(None)
    each = values.shape[axis] // share.count
    return slice(share.part.start * each, share.part.stop * each)


def mean(values: Tensor, axis: int | None = 0) -> Tensor:
    """The mean over an axis, or all, that counts the examples of a batch; where they are shared, without a gradient."""
    share = _shared()
    found = values.mean() if axis is None else values.mean(axis)
    return found if share is None else share.ranks.total(found * share.weight) / share.ranks.world


def total(values: Tensor) -> Tensor:
    """The sum of a batch, from the sums of each rank's part."""
    share = _shared()
    return values if share is None else share.ranks.total(values)


def averaged(weights: Iterable[Tensor]) -> None:
    """The gradients of these weights become means over ranks."""
    gradients = [weight.grad for weight in weights if weight.grad is not None]
    if gradients:
        mean = now().total(torch.cat([one.flatten() for one in gradients])) / now().world
        for one, part in zip(gradients, torch.split(mean, [one.numel() for one in gradients]), strict=True):
            one.copy_(part.view_as(one))


def several() -> bool:
    """True where a launcher started more than this process."""
    return int(os.environ.get(WORLD) or 1) > 1


@contextmanager
def joined(device: torch.device) -> Iterator[Ranks]:
    """A block in which the processes of one launcher are ranks; alone where there is none. All but the first are silent.

    Raises `Mistake` without Accelerate.
    """
    if not several() or now().world > 1:  # joined already: a block within a block
        yield now()
        return
    try:
        from accelerate import Accelerator
        from accelerate.state import AcceleratorState
        from accelerate.utils import InitProcessGroupKwargs
    except ModuleNotFoundError as error:
        raise Mistake(f"several processes share a work by Accelerate, which is not installed: {install('scale')}") from error
    accelerator = Accelerator(cpu=device.type == "cpu", kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)])
    ranks = Ranks(accelerator.process_index, accelerator.num_processes, accelerator)
    _NOW.append(ranks)
    try:
        with nullcontext() if ranks.first else _silence():
            yield ranks
    except BaseException as error:
        traceback.clear_frames(error.__traceback__)  # what they hold would keep the group
        if lost(error):  # while data were opened, codes summed up, rows encoded: a training has its own words (loop.py)
            if ranks.first:  # should that be the one that has gone, it has said why, or its launcher does
                speak("another process of this work has gone: what was finished is kept; give the command again")
            raise SystemExit(1) from error
        if ranks.first:
            raise
        raise _quietly(ranks, error) from error
    finally:
        _NOW.pop()
        distributed.destroy_process_group()
        # Its threads end with the last that holds it, and split models hold it in circles. A thread that lets go of a tensor
        # while the interpreter ends aborts the process.
        gc.collect()
        AcceleratorState._reset_state(True)  # it would take the next group for this one


def _quietly(ranks: Ranks, error: BaseException) -> BaseException:
    """An error as a rank other than the first has it: what all have in common is told once."""
    if isinstance(error, Stopped):
        return SystemExit(128 + error.number)
    if isinstance(error, KeyboardInterrupt):
        return SystemExit(128 + signal_of(error))
    if isinstance(error, Mistake):
        with suppress(KeyboardInterrupt):
            time.sleep(GRACE)  # a launcher ends all ranks where one fails: of a mistake of all, the first one's line is enough
            return Mistake(f"rank {ranks.rank}: {error}")
        return SystemExit(2)
    return error


@contextmanager
def _silence() -> Iterator[None]:
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        sys.stdout = sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


def shard(path: Path) -> Path:
    """Where this rank writes its part of a file: beside it, numbered from 0, as `codes-00000-of-00002.parquet`."""
    ranks = now()
    return path if ranks.world == 1 else path.with_stem(f"{path.stem}-{ranks.rank:05d}-of-{ranks.world:05d}")


def speak(line: str) -> None:
    """A line on stderr of what has become of others: by the first rank and, should that have gone, by the second."""
    if now().rank < 2:
        print(f"legato: {line}", file=sys.__stderr__, flush=True)


def lost(error: BaseException) -> bool:
    """True where an error says that another rank has gone."""
    return isinstance(error, RuntimeError) and any(word in str(error) for word in ("gloo", "Gloo", "NCCL", "Connection"))
