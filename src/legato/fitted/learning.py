"""The training of a prior's net: a few minutes of AdamW on draws that a function gives."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim.swa_utils import AveragedModel

from legato.adamw import SWEEP_EVERY, AdamW
from legato.devices import mixed
from legato.errors import Mistake
from legato.progress import progress

Told = dict[str, Any]
N = TypeVar("N", bound=nn.Module)
WARMUP, PROBED = 100, 20  # steps over which the learning rate rises, least steps that are timed
SHARE, LONGEST = 0.05, 3.0  # of the time, and seconds at most: a few milliseconds' steps were timed a quarter too short
FILLED = 0.95  # of the minutes, by that timing: a chip that gets warm is slower
AVERAGE, CLIP = 0.999, 1.0
LEAST = 0.01  # minutes


@dataclass(frozen=True)
class Length:
    """How long a net is trained: so many minutes, which a timing at the start turns into steps, or so many steps."""

    minutes: float
    steps: int | None = None

    def __post_init__(self) -> None:
        if not LEAST <= self.minutes < math.inf:
            raise Mistake(f"`minutes` must be {LEAST} or more, got {self.minutes}")
        if self.steps is not None and self.steps < 1:
            raise Mistake(f"`steps` is a number of steps, 1 or more; got {self.steps}")


def learnt(
    net: N, loss: Callable[[torch.Generator], Tensor], length: Length, device: torch.device, rate: float, seed: int,
    precision: str = "float32",
) -> tuple[N, Told]:  # fmt: skip
    """The moving average of a net's weights after training, and its steps and mean loss over the last tenth.

    AdamW whose rate rises, then falls along a cosine to 0. `loss` draws from the generator that it is given: a seed and a
    number of steps fix what comes out. `precision`: of products (devices.py).
    """
    stream = torch.Generator(device).manual_seed(seed)
    optimiser = AdamW(list(net.parameters()), betas=(0.9, 0.99), weight_decay=0.0)
    average = AveragedModel(net, multi_avg_fn=_averaged)
    late: list[float] = []

    def step(done: int, total: int) -> None:
        with mixed(device, precision):
            found = loss(stream)
        net.zero_grad(set_to_none=True)
        found.backward()  # type: ignore[no-untyped-call]  # torch's
        clip_grad_norm_(net.parameters(), CLIP)
        optimiser.step(rate * min(1.0, (done + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * done / total)))
        if done % SWEEP_EVERY == 0:
            optimiser.sweep()  # a flow's masks and dead units else made its steps twice as long
        average.update_parameters(net)
        if done + 1 > 0.9 * total:
            late.append(float(found.detach()))

    total, begun = _total(length, step)
    with progress("fitting", total, unit="steps") as bar:
        for done in range(begun, total):
            step(done, total)
            bar(done + 1)
    result: N = average.module  # type: ignore[assignment]  # a copy of the net
    return result.eval().requires_grad_(False), {"steps": total, "loss": float(np.mean(late))}


def _averaged(averages: Any, now: Any, counted: Tensor | int) -> None:
    """A moving average that is soon rid of the start."""
    kept = min(AVERAGE, (1 + int(counted)) / (10 + int(counted)))
    torch._foreach_lerp_(averages, now, 1 - kept)


def _total(length: Length, step: Callable[[int, int], None]) -> tuple[int, int]:
    """The number of steps, and how many the timing has made, which count."""
    if length.steps is not None:
        return length.steps, 0
    for done in range(3):  # the first make what later ones have
        step(done, 10**6)
    began, done = time.monotonic(), 3
    while done < 3 + PROBED or time.monotonic() - began < min(LONGEST, SHARE * length.minutes * 60):
        step(done, 10**6)
        done += 1
    each = (time.monotonic() - began) / (done - 3)
    return max(2 * WARMUP, done, int(FILLED * length.minutes * 60 / each)), done
