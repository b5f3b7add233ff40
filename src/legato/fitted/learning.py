"""The training of a prior's net: a few minutes of AdamW on draws that a function gives."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

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
WARMUP, FEWEST = 100, 200  # steps over which the learning rate rises, and least steps by the clock
FILLED = 0.97  # of the minutes: the rest is for what is done before and after
AVERAGE, CLIP = 0.999, 1.0
LEAST = 0.01  # minutes


@dataclass(frozen=True)
class Length:
    """How long a net is trained: so many minutes by the clock, or so many steps."""

    minutes: float
    steps: int | None = None

    def __post_init__(self) -> None:
        if not LEAST <= self.minutes < math.inf:
            raise Mistake(f"`minutes` must be {LEAST} or more, got {self.minutes}")
        if self.steps is not None and self.steps < 1:
            raise Mistake(f"`steps` is a number of steps, 1 or more; got {self.steps}")

    def done(self, steps: int, seconds: float) -> float:
        """The share that is done, 0 … 1. By the clock throughout: a timing at the start was up to a third too hopeful."""
        if self.steps is not None:
            return steps / self.steps
        return min(seconds / (FILLED * 60 * self.minutes), steps / FEWEST)


def learnt(
    net: N, loss: Callable[[torch.Generator], Tensor], length: Length, device: torch.device, rate: float, seed: int,
    precision: str = "float32",
) -> tuple[N, Told]:  # fmt: skip
    """The moving average of a net's weights after training, and its steps and mean loss over the last tenth.

    AdamW whose rate rises, then falls along a cosine to 0 at the end. `loss` draws from the generator that it is given: a seed
    and a number of steps fix what comes out. `precision`: of products (devices.py).
    """
    stream = torch.Generator(device).manual_seed(seed)
    optimiser = AdamW(list(net.parameters()), betas=(0.9, 0.99), weight_decay=0.0)
    average = AveragedModel(net, multi_avg_fn=_averaged)
    made, share, began, late = 0, 0.0, time.monotonic(), []
    with progress("fitting", 100, unit="%") as bar:
        while share < 1:
            with mixed(device, precision):
                found = loss(stream)
            net.zero_grad(set_to_none=True)
            found.backward()  # type: ignore[no-untyped-call]  # torch's
            clip_grad_norm_(net.parameters(), CLIP)
            optimiser.step(rate * min(1.0, (made + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * share)))
            if made % SWEEP_EVERY == 0:
                optimiser.sweep()  # a twentieth of a flow's moments else become subnormal
            average.update_parameters(net)
            made += 1
            share = length.done(made, time.monotonic() - began)
            if share > 0.9:
                late.append(found.detach())
            bar(min(100, int(100 * share)), f"{made:,} steps")
    result: N = average.module  # type: ignore[assignment]  # a copy of the net
    return result.eval().requires_grad_(False), {"steps": made, "loss": float(torch.stack(late).mean())}


def _averaged(averages: Any, now: Any, counted: Tensor | int) -> None:
    """A moving average that is soon rid of the start."""
    kept = min(AVERAGE, (1 + int(counted)) / (10 + int(counted)))
    torch._foreach_lerp_(averages, now, 1 - kept)
