"""Batches for a card: of rows that lie in its memory, or of rows that are cut on the host and copied ahead.

Covered: which rows and which draws a step has, both functions of (seed, step). Not covered: batches of the CPU, which are cut
where they lie (data/batches.py).
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch
from torch import Tensor

from legato.batch import Batch
from legato.data.batches import Batches, TrainingBatches
from legato.data.preparation import Preparation
from legato.devices import stream
from legato.training.side import seed_of

SHARE = 3  # rows may take a third of a card's memory: the rest is for weights, their gradients and what a step keeps
PIXELS = "pixels"  # the purpose of the draws that make grey pixels binary
BLOCK = 1 << 16  # rows that are made ready together: more would stand in the host's memory twice


class Supply(Batches, Protocol):
    """Batches whose step can be captured: `fill` on the host, then `cut` on the device alone."""

    def fill(self, step: int) -> None:
        """Makes the batch of this step the one that `cut` gives."""

    def cut(self) -> Batch:
        """The batch. Nothing but work of the device: it may be captured once and done again after each `fill`."""

    @property
    def generators(self) -> list[torch.Generator]:
        """The generators that `cut` draws from."""


def supply(batches: TrainingBatches, device: torch.device, memory: int) -> Supply:
    """The batches of a card that has so many bytes."""
    return Resident(batches, device) if batches.size * SHARE <= memory else Ahead(batches, device)


class Resident:
    """All training rows in the device's memory, as they are stored; each step's are gathered there."""

    def __init__(self, batches: TrainingBatches, device: torch.device) -> None:
        self.batches, self.device, self.per_epoch = batches, device, batches.per_epoch
        self.rows = _there(batches, device)
        self.numbers = torch.from_numpy(batches.chosen).to(device)
        self.labels = None if batches.labels is None else torch.from_numpy(batches.labels).to(device)
        self.order = torch.zeros(self.per_epoch, batches.batch_size, dtype=torch.long, device=device)
        self.place = torch.zeros(1, dtype=torch.long, device=device)
        self.epoch = -1
        self.generators = [stream(device)]

    def fill(self, step: int) -> None:
        """The order of a new pass, once in it; else the batch's number in the pass."""
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self.epoch:
            self.epoch = epoch
            order = self.batches.order(epoch)[: self.order.numel()]
            self.order.copy_(torch.from_numpy(order).view_as(self.order))
        self.place.fill_(place)  # an order on the device's queue, behind the steps that are not yet done
        self.generators[0].manual_seed(seed_of(self.batches.seed, step, PIXELS))

    def cut(self) -> Batch:
        """x (B, *data), as training sees it: binarised afresh, by draws that are these rows' and this step's."""
        which = self.order.index_select(0, self.place)[0]
        x = _seen(self.rows.index_select(0, which), self.batches.preparation, self.generators[0])
        numbers = self.numbers.index_select(0, which)
        label = None if self.labels is None else self.labels.index_select(0, numbers)
        return Batch(x, label, rows=numbers)

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The batch of this step, or a process's part of it: draws are made for the whole."""
        self.fill(step)
        return self.cut()[self.batches.part(rank, world)]


class Ahead:
    """Rows that do not fit there: a thread cuts the next batch into pinned memory and has it copied while a step is made."""

    def __init__(self, batches: TrainingBatches, device: torch.device) -> None:
        self.batches, self.device, self.per_epoch = batches, device, batches.per_epoch
        self.thread = ThreadPoolExecutor(1, "batches")
        self.queues = _queues(device) if device.type == "cuda" else None
        self.now: Batch = batches.at(0).to(device)
        self.next: tuple[int, Future[Batch]] | None = None
        self.generators: list[torch.Generator] = []

    def fill(self, step: int) -> None:
        """Copies the step's batch to where `cut` finds it, and has the next one made."""
        if self.next is None or self.next[0] != step:
            self.next = step, self.thread.submit(self._bring, step)
        found = self.next[1].result()
        if self.queues is not None:
            main, aside = self.queues
            main.wait_stream(aside)
        for here, there in zip(_tensors(self.now), _tensors(found), strict=True):
            here.copy_(there, non_blocking=True)
        self.next = step + 1, self.thread.submit(self._bring, step + 1)

    def cut(self) -> Batch:
        """The batch that was filled in."""
        return self.now

    def at(self, step: int, rank: int = 0, world: int = 1) -> Batch:
        """The batch of this step, or a process's part of it."""
        self.fill(step)
        return self.now[self.batches.part(rank, world)]

    def _bring(self, step: int) -> Batch:
        batch = self.batches.at(step)
        if self.queues is None:
            return batch.to(self.device)
        main, aside = self.queues
        with torch.cuda.stream(aside):
            there = batch.pinned().to(self.device)
            for tensor in _tensors(there):
                tensor.record_stream(main)  # it is read on that queue, so that its memory may not be another's till then
            aside.synchronize()  # in this thread: whoever waits for the batch then waits for nothing else
        return there


def _queues(device: torch.device) -> tuple[torch.cuda.Stream, torch.cuda.Stream]:
    """The queue of the steps, and another for copies."""
    aside = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch's
    return torch.cuda.current_stream(device), aside


def _there(batches: TrainingBatches, device: torch.device) -> Tensor:
    """All training rows on the device: written block by block, so that its memory holds them once."""
    rows: Tensor | None = None
    start = 0
    for block in batches.stored(BLOCK):
        part = torch.from_numpy(block)
        rows = torch.empty(len(batches.chosen), *part.shape[1:], dtype=part.dtype, device=device) if rows is None else rows
        rows[start : start + len(part)] = part
        start += len(part)
    assert rows is not None
    return rows


def _seen(rows: Tensor, preparation: Preparation, draws: torch.Generator) -> Tensor:
    """Stored rows as training sees them: `Preparation.training` on the device. A coin is off its chance by at most 2⁻²⁴."""
    if preparation.binarise:
        return (torch.rand(rows.shape, device=rows.device, generator=draws) * 255 < rows).float()
    return rows.float() * (1 / 255) if preparation.kind == "bytes" else rows.float()


def _tensors(batch: Batch) -> list[Tensor]:
    return [part for part in (batch.x, batch.label, batch.mask, batch.rows) if part is not None]
