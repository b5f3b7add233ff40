"""AdamW on torch's own kernel, without the book-keeping that `torch.optim.AdamW.step` repeats before every call.

With an MLP at batch 128 that book-keeping took 0.15 ms of a step whose matrix products take 2.9 ms (benchmarks/throughput.py).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

SWEEP_EVERY, TINY = 64, 1e-33  # steps; 0.9⁶⁴ · 10⁻³³, what the next sweep may meet, is still a normal float32


class AdamW:
    """θ ← θ − η(m̂/(√v̂ + ε) + λθ), m and v the moving averages of gradient and square with decays β, hats: bias-corrected.

    Loshchilov & Hutter 2019, https://arxiv.org/abs/1711.05101, algorithm 2, with λ times the learning rate as in torch.
    A weight without a gradient is left as it is, as are its moments. Tests compare it with `torch.optim.AdamW`, bit for bit.
    """

    def __init__(
        self, weights: Sequence[Tensor], *, betas: tuple[float, float], weight_decay: float, epsilon: float = 1e-8
    ) -> None:
        self.weights, self.betas, self.weight_decay, self.epsilon = list(weights), betas, weight_decay, epsilon
        self.rounds = bool(self.weights) and self.weights[0].device.type != "cpu"  # there, runs of before have its last bits
        # Tensors, for the kernel reads its step counts on the device: a Python number would be copied there at each step.
        self.counts = torch.zeros(len(self.weights), device=self.weights[0].device if self.weights else None)
        self.steps = list(self.counts.unbind())  # views, so that one addition counts for all
        self.means = [torch.zeros_like(w, requires_grad=False) for w in self.weights]
        self.squares = [torch.zeros_like(w, requires_grad=False) for w in self.weights]

    @torch.no_grad()
    def step(self, learning_rate: float | Tensor, sane: Tensor | None = None) -> None:
        """One step along the weights' `grad`. On a device that is not to be waited for the rate is a tensor (), float32, and
        `sane` () says there whether the step is made at all.
        """
        live = [i for i, weight in enumerate(self.weights) if weight.grad is not None]
        if not live:  # then no step is counted either, and bias corrections stay right
            return
        made = 1.0 if sane is None else sane.float()
        if len(live) == len(self.weights):  # the steps are views of this memory: one addition counts for all
            self.counts.add_(made)
        else:
            torch._foreach_add_([self.steps[i] for i in live], made)
        torch._fused_adamw_(
            [self.weights[i] for i in live],
            [grad for weight in self.weights if (grad := weight.grad) is not None],
            [self.means[i] for i in live],
            [self.squares[i] for i in live],
            # no largest squares are kept: AMSGrad is off
            [],
            [self.steps[i] for i in live],
            amsgrad=False,
            beta1=self.betas[0],
            beta2=self.betas[1],
            lr=self._rounded(learning_rate),
            weight_decay=self.weight_decay,
            eps=self.epsilon,
            maximize=False,
            # the kernel then leaves weights and moments as they are: a product with 0 would make NaN of a NaN
            found_inf=None if sane is None else (~sane).float(),
        )

    def _rounded(self, rate: float | Tensor) -> float | Tensor:
        """The rate as a kernel on a card reads it from memory, in float32: a step is then the same whoever says it."""
        return float(np.float32(rate)) if self.rounds and not isinstance(rate, Tensor) else rate

    @torch.no_grad()
    def sweep(self) -> None:
        """Moments below 10⁻³³ become 0; next to ε they move no weight. To be called once in `SWEEP_EVERY` steps.

        The mean of a gradient that has become 0 (a pixel that is seldom inked) else decays into subnormal numbers, on which
        some chips are a hundred times as slow: after 700 steps of an MLP they took a tenth of the whole step.
        """
        for moment in (*self.means, *self.squares):
            # not the processor's flush to zero, which holds for one thread and for whatever else runs in the process
            moment.copy_(torch.hardshrink(moment, TINY))

    def tensors(self) -> dict[str, Tensor]:
        """The state by name: `{index}.step`, `{index}.mean`, `{index}.square`."""
        named = {f"{i}.step": step for i, step in enumerate(self.steps)}
        named |= {f"{i}.mean": mean for i, mean in enumerate(self.means)}
        return named | {f"{i}.square": square for i, square in enumerate(self.squares)}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `tensors`."""
        for name, tensor in self.tensors().items():
            tensor.copy_(tensors[name])  # in place, for the steps are views of one tensor and must not part from it
