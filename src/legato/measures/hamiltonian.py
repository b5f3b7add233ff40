"""Hamiltonian Monte Carlo for all images and chains at once, in the coordinates of the encoder's own posterior.

Covered: one move that leaves a tempered density as it is, and step sizes found on a run of their own. Not covered: trajectories
of adaptive length, mass matrices beyond diag 1/σ².

Duane et al. 1987; Neal 2011, https://arxiv.org/abs/1206.1901.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Size, Tensor

from legato.devices import widest
from legato.measures.posterior import Density

TARGET = 0.65  # acceptance: the best for leapfrogs of a fixed length in many dimensions (Beskos et al. 2013)
FIRST = 0.5  # step, in units of σ: half the width of q, where a leapfrog is stable; adaptation finds the rest within some steps


@dataclass(frozen=True)
class Tempered:
    """log p(x, z)^β q(z|x)^{1−β} in u = (z − μ)/σ, in which q is N(0, I) and a step of one size suits all dimensions.

    mu and sigma (n, d); u (C, n, d). Densities by u differ from those by z by Σ log σ, which no weight and no move sees.
    """

    log_joint: Density
    mu: Tensor
    sigma: Tensor

    @torch.no_grad()
    def log_ratio(self, u: Tensor) -> Tensor:
        """log p(x, z) − log q(z|x), (C, n), float64: what a change of β is multiplied by."""
        return self._log_joint(u) - self._log_q(u)

    def energy(self, u: Tensor, beta: float) -> tuple[Tensor, Tensor]:
        """−log of the density, (C, n), and its gradient by u, (C, n, d)."""
        # The parameters need no gradient: only u is a leaf.
        with torch.enable_grad():
            leaf = u.detach().requires_grad_()
            found = -beta * self._log_joint(leaf) - (1 - beta) * self._log_q(leaf)
            (gradient,) = torch.autograd.grad(found.sum(), leaf)
        return found.detach(), gradient

    def _log_joint(self, u: Tensor) -> Tensor:
        # in double precision: weights are differences of two numbers of some thousand nats
        return self.log_joint(self.mu + self.sigma * u).to(widest(u.device))

    def _log_q(self, u: Tensor) -> Tensor:
        return (-0.5 * u**2 - 0.5 * math.log(2 * math.pi) - self.sigma.log()).to(widest(u.device)).sum(-1)


def move(
    tempered: Tempered, u: Tensor, beta: float, steps: Tensor, leapfrogs: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """One transition of every chain, u (C, n, d), and the probability with which each was accepted, (C, n).

    Fresh momenta, `leapfrogs` steps of at most `steps` (C, n), accept or stay: reversible with respect to the tempered density.
    A step is shortened by a random factor from ½ to 1: near a Gaussian every orbit has one period, and a trajectory of about
    that length would come back to where it began, each time anew. A trajectory that diverges to NaN is rejected.
    """
    momentum = noise(u.shape, u, generator)
    size = (steps * (0.5 + 0.5 * _uniform(steps.shape, u, generator))).to(u.dtype).unsqueeze(-1)
    energy, gradient = tempered.energy(u, beta)
    place, speed = u, momentum - 0.5 * size * gradient
    for step in range(leapfrogs):
        place = place + size * speed
        potential, gradient = tempered.energy(place, beta)
        # half a step at the end: leapfrogs are reversible only if they end as they began
        speed = speed - (0.5 if step == leapfrogs - 1 else 1.0) * size * gradient
    loss = potential + _kinetic(speed) - energy - _kinetic(momentum)
    # Clamped before the exponential: a large gain of energy would overflow, and min(1, ·) makes it 1 anyway.
    # NaN becomes 0: a trajectory that diverged is refused, never accepted by accident
    chance = torch.exp(-loss.clamp(min=0)).nan_to_num(0.0)
    accept = _uniform(chance.shape, u, generator) < chance
    return torch.where(accept.unsqueeze(-1), place, u), chance


def adapted(tempered: Tempered, u: Tensor, path: list[float], leapfrogs: int, generator: torch.Generator) -> Tensor:
    """Step sizes (C, n) at which a chain accepts about 0.65 of its moves, from one run along `path` that is thrown away.

    log step moves by (acceptance − 0.65)/√t (Robbins & Monro 1951); the mean over the second half is kept. It depends on x and
    on this run alone, never on the measured one: else the weights would be biased and no bound.
    """
    log_step = torch.full(u.shape[:2], math.log(FIRST), dtype=widest(u.device), device=u.device)
    total, counted = torch.zeros_like(log_step), 0
    for t, beta in enumerate(path[1:], start=1):
        u, chance = move(tempered, u, beta, log_step.exp(), leapfrogs, generator)
        # Steps that shrink as 1/√t: the noise of single acceptances averages out, and a bad guess is left behind all the same.
        log_step = log_step + (chance - TARGET) / math.sqrt(t)
        # The first half is on the way: its steps begin at a guess and at temperatures of their own.
        if t > len(path) // 2:
            total, counted = total + log_step, counted + 1
    return (total / counted).exp() if counted else log_step.exp()  # a path of one temperature has no second half


def noise(shape: Size | tuple[int, ...], like: Tensor, generator: torch.Generator) -> Tensor:
    """Standard normal draws of `like`'s type, from a generator of one's own."""
    return torch.randn(shape, generator=generator, device=like.device, dtype=like.dtype)


def _uniform(shape: Size, like: Tensor, generator: torch.Generator) -> Tensor:
    # in single precision one draw in 2²⁴ is 0, which accepts whatever has any chance at all
    return torch.rand(shape, generator=generator, device=like.device, dtype=widest(like.device))


def _kinetic(momentum: Tensor) -> Tensor:
    return 0.5 * (momentum.to(widest(momentum.device)) ** 2).sum(-1)
