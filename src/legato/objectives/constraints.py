"""Weights that have a term meet a number instead of being weighed by one.

Covered: the Lagrange multiplier of one term, which follows the loss; a capacity that grows with the step; a weight that begins
late. Not covered: the step that minimises (training/learner.py), where the state is kept (checkpoints hold an objective's
buffers).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from legato import ranks
from legato.arguments import checked
from legato.errors import Mistake
from legato.objectives.term import Line, Weight, anneal

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


class Begun(Weight):
    """0 until a share of the run has passed, `most` from then on: for a term that is of use once others have had their time.

    Raises `Mistake` for a share that is not from 0 up to, and without, 1.
    """

    @checked
    def __init__(self, most: float, after: float) -> None:
        super().__init__()
        if not 0 <= most < math.inf:
            raise Mistake(f"a weight must be a finite number, 0 or more, got {most}")
        if not 0 <= after < 1:
            raise Mistake(f"the share of a run after which a term begins is 0 or more and below 1, got {after}")
        self.most, self.length = most, after

    def __str__(self) -> str:
        return f"({self.most:g} from {self.length:g} of the run on)"

    def value(self, step: int, total: int) -> float:
        """`most`, or 0 before its time."""
        return self.most if step >= self.steps(total) else 0.0


class Capacity(Weight):
    """γ |term − C|, C from 0 to `most` nats over `length` steps (or, up to 1, that share of the run), then `most`.

    The term's mean over the batch follows C: `Distortion() + Capacity(γ, 25) * Rate()` is a VAE whose code may hold more and
    more nats, the most useful first. Where it meets C a nat of it costs at most γ. Burgess et al. 2018,
    https://arxiv.org/abs/1804.03599, eq. 8. Raises `Mistake` for numbers that are none.
    """

    @checked
    def __init__(self, gamma: float, most: float, length: float = 0.75) -> None:
        super().__init__()
        if not 0 <= gamma < math.inf:
            raise Mistake(f"`gamma` is a finite number, 0 or more; got {gamma}")
        self.gamma, self.most, self.length = gamma, most, length
        self.capacity = anneal(0.0, most, length)

    def __str__(self) -> str:
        return f"{self.gamma:g} · |(≤ {self.most:g} nats) −|"

    def value(self, step: int, total: int) -> float | Tensor:
        """C, nats."""
        return self.capacity.value(step, total)

    @property
    def last(self) -> float:
        """γ, the most that a nat costs."""
        return self.gamma

    def charge(self, now: float | Tensor, found: Tensor) -> Tensor:
        """γ |found − C|, whose sign is that of all ranks' mean."""
        side = torch.sign(ranks.mean(found.detach()[None]) - now)
        return self.gamma * side * (found - now)

    def resting(self) -> Weight:
        """C is `most` from the first step on."""
        one = Capacity(self.gamma, self.most, self.length)
        one.capacity, one.length = Line(self.most, self.most), 0.0
        return one
