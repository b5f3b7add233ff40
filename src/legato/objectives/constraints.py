"""Weights that follow the loss, so that a term meets a number instead of being weighed by one.

Covered: the Lagrange multiplier of one term. Not covered: the step that minimises (training/learner.py), where the state is
kept (checkpoints hold an objective's buffers).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from legato.arguments import checked
from legato.errors import Mistake
from legato.objectives.term import Weight

MOST = math.log(1e4)  # of |log λ|: past it a target is out of reach, or no constraint at all
SPEED, FALL = 0.005, 8  # of log λ in a step: at most e in 200 steps upwards, in 25 downwards
MEMORY = 0.9  # of the moving average: ten steps, within which the weights have hardly answered to λ


class Multiplier(Weight):
    """λ of `term ≤ target`: it rises while the term's moving average lies above the target, falls while it lies below.

    log λ ← log λ + 0.005 · pace · clamp(C/tolerance, −8, 1), C the moving average over some ten steps of the batch's mean of
    term − target, nats per example; λ starts at 1 and stays within 10⁻⁴ … 10⁴. Where it rests, the term is at its target and λ
    the price of a nat of it in nats of what else is minimised: of `Multiplier(κ) * Distortion() + Rate()`, a VAE's 1/β. A term
    that is below its target at any price loses its weight.

    Rezende & Viola 2018, https://arxiv.org/abs/1810.00597, algorithm 1 (GECO), λ ← λ exp(ν C), with two changes. The exponent
    is bounded, upwards more than downwards: at first C is hundreds of nats because nothing is learnt yet, and a λ that rose for
    that must come down while there is time (with equal bounds it did not in 1,500 steps on MNIST). And `pace`, the learning
    rate as a share of its peak, slows λ as it slows the weights, else it would go on alone where they rest.
    """

    follows = True

    log_value: Tensor
    average: Tensor
    begun: Tensor

    @checked
    def __init__(self, target: float, tolerance: float = 1.0) -> None:
        super().__init__()
        if not math.isfinite(target):
            raise Mistake(f"a target is a finite number of nats per example, got {target}")
        if not 0 < tolerance < math.inf:
            raise Mistake(f"`tolerance` is a positive number of nats per example, got {tolerance}")
        self.target, self.tolerance = target, tolerance
        for name in ("log_value", "average", "begun"):
            self.register_buffer(name, torch.zeros((), dtype=torch.double))  # double: tiny steps add up over a whole run

    def __str__(self) -> str:
        return f"λ(≤ {self.target:g} nats)"

    def value(self, step: int, total: int) -> Tensor:
        """λ, ()."""
        return self.log_value.exp().float()  # a double would make the whole loss one

    @torch.no_grad()
    def follow(self, found: Tensor, pace: float | Tensor) -> None:
        """Moves λ after a step whose batch had this mean of the term, ()."""
        excess = found.to(self.average.dtype) - self.target
        # the first excess is the average: from 0 on it would seem that the target is met
        self.average.lerp_(excess, 1 - MEMORY * self.begun)
        self.begun.fill_(1.0)
        # a product, for `alpha` takes no tensor, which the pace is where the host is not asked
        self.log_value.add_((self.average / self.tolerance).clamp(-FALL, 1) * (SPEED * pace)).clamp_(-MOST, MOST)
