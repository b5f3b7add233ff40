"""The straight path of flow matching, x_t = (1 − t) x₀ + t x₁ with x₀ ~ N(0, I), and what is known of it in closed form.

Its velocity is v = x₁ − x₀; what a net learns by squares is E[v|x_t]. Lipman et al. 2023, https://arxiv.org/abs/2210.02747;
Liu et al. 2023, https://arxiv.org/abs/2209.03003. Covered: exact velocities and irreducible variances of codes that are
Gaussian, a mixture of Gaussians, or finitely many points. Not covered: velocities that are learnt (velocity.py).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from legato.types import Doubles


def at(start: Tensor, end: Tensor, t: Tensor) -> Tensor:
    """x_t = (1 − t) x₀ + t x₁: t (n,), x₀ and x₁ (n, *event)."""
    share = t.reshape(-1, *[1] * (end.ndim - 1))
    return torch.lerp(start, end, share)


def gaussian_velocity(x: Tensor, t: float, mean: Tensor, covariance: Tensor) -> Tensor:
    """E[v|x_t] where x₁ ~ N(m, S): m + (t S − (1 − t) I)((1 − t)² I + t² S)⁻¹(x_t − t m), (n, d)."""
    one = torch.eye(len(mean), dtype=x.dtype, device=x.device)
    spread = (1 - t) ** 2 * one + t**2 * covariance
    found: Tensor = mean + (x - t * mean) @ torch.linalg.solve(spread, t * covariance - (1 - t) * one)
    return found


def mixture_velocity(x: Tensor, t: float, weights: Tensor, means: Tensor, covariances: Tensor) -> Tensor:
    """E[v|x_t] where x₁ ~ Σ_k w_k N(m_k, S_k): each component's velocity by the share that x_t has of it, (n, d)."""
    one = torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
    spread = MultivariateNormal(t * means, (1 - t) ** 2 * one + t**2 * covariances)
    likely: Tensor = spread.log_prob(x[:, None])  # type: ignore[no-untyped-call]  # torch's
    share = torch.softmax(weights.log() + likely, 1)
    each = torch.stack([gaussian_velocity(x, t, m, s) for m, s in zip(means, covariances, strict=True)], 1)
    return (share[..., None] * each).sum(1)


def of_deviations(deviations: Doubles) -> float:
    """V = ∫₀¹ E tr Var(v|x_t) dt of Gaussian codes with these standard deviations along their axes: (π/2) Σ_j s_j."""
    return float(math.pi / 2 * np.sum(deviations))


def of_points(codes: Doubles, noise: Doubles, times: Doubles) -> Doubles:
    """E tr Var(v|x_t) at each of `times` (T,), below 1, where x₁ is each of the codes (N, d) alike, from the draws x₀ (N, d).

    p(n|x_t) ∝ exp(−‖x_t − t x_n‖²/(2(1 − t)²)), Var(v|x_t) = Var(x₁|x_t)/(1 − t)². In many dimensions it is 0 long before
    t = 1, whatever the codes: x_t then tells which of N codes it leads to.
    """
    return np.array([_at_time(codes, noise, float(t)) for t in times])


def _at_time(codes: Doubles, noise: Doubles, t: float) -> float:
    x = (1 - t) * noise + t * codes
    log_share = -(np.square(x).sum(1)[:, None] - 2 * t * x @ codes.T + t**2 * np.square(codes).sum(1)) / (2 * (1 - t) ** 2)
    log_share -= log_share.max(1, keepdims=True)
    share = np.exp(log_share)
    share /= share.sum(1, keepdims=True)
    centred = codes - codes.mean(0)  # a variance of what lies far from 0 loses its digits
    mean = share @ centred
    return float(((share * np.square(centred).sum(1)).sum(1) - np.square(mean).sum(1)).mean() / (1 - t) ** 2)
