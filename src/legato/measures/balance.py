"""The balance of forces on σ: at an optimum of E_q[−log p(x|z)] + β KL the decoder's curvature says what σ has to be.

    1/σ_j² = 1 + E_q[∂²(−log p(x|z))/∂z_j²]/β ≈ 1 + [JᵀWJ]_jj/β

J is the Jacobian of what the decoder puts out, W the likelihood's Fisher information there. Exact for linear-Gaussian models,
whose second derivative is JᵀWJ everywhere; else of first order: what is left out is the decoder's curvature times the residual.
Covered: the prediction beside what the encoder learnt, within each dimension. Not covered: off-diagonal precision, which a
diagonal posterior cannot have; priors other than N(0, I), for which the 1 is another number.

Kumar & Poole 2020, https://arxiv.org/abs/2002.00041.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato.devices import doubled
from legato.distributions.fisher import Quadratic
from legato.errors import Mistake
from legato.forward_mode import jvp
from legato.measures.estimate import Estimate, absent, bootstrap
from legato.measures.posterior import gaussian_posterior, still
from legato.model import LatentVariableModel
from legato.types import Doubles

Information = Callable[[Tensor], Quadratic]  # theta (B, *shape) -> the quadratic form of W there
# variance of μ_j from which on a dimension counts as active, as in Burda et al. 2016: figures compare with theirs
ACTIVE = 0.01
BLOCK = 512  # codes at a time: their images and one tangent each are in memory, not all codes'


@torch.no_grad()
def curvature(theta: Callable[[Tensor], Tensor], information: Information, z: Tensor, block: int = BLOCK) -> Tensor:
    """[JᵀWJ]_jj of the map z (m, d) ↦ theta (m, *shape), (m, d), float64, nats per unit²: d forward-mode passes."""
    return torch.cat([_curvature(theta, information, part) for part in torch.split(z, block)])


def _curvature(theta: Callable[[Tensor], Tensor], information: Information, z: Tensor) -> Tensor:
    form = information(theta(z))
    directions = torch.eye(z.shape[1], dtype=z.dtype, device=z.device)
    # A column at a time: the whole Jacobian of 512 codes would be as many times as large as there are latents.
    columns = [form(jvp(theta, z, one.expand_as(z).contiguous())) for one in directions]
    return torch.stack(columns, 1)


def predicted_log_sigma(curvature: Doubles, beta: float) -> Doubles:
    """log σ_j = −½ log(1 + [JᵀWJ]_jj/β)."""
    if not beta > 0:
        raise Mistake(f"without a rate nothing holds sigma up: `beta` must be above 0, got {beta}")
    # log1p: an unused dimension has a curvature near 0, whose digits 1 + x would lose
    return np.asarray(-0.5 * np.log1p(curvature / beta))


@dataclass(frozen=True)
class Balance:
    """log σ as the balance predicts it and as the encoder learnt it, (n, d), and which dimensions carry something, (d,)."""

    predicted: Doubles
    learnt: Doubles
    active: NDArray[np.bool_]

    def r2(self, seed: int = 0) -> Estimate:
        """1 − Σ(learnt − predicted)²/Σ(learnt − mean_j)² over images and active dimensions. Nothing is fitted.

        Within each dimension: that some dimensions are narrower than others earns nothing. Below 0 where each dimension's mean
        would have predicted better. The interval is a bootstrap over images.
        """

        def statistic(y: Doubles, x: Doubles, weights: Doubles) -> Doubles:
            missed = (weights @ (y - x) ** 2).sum(1)
            return np.asarray(1 - missed / _variance(y, weights).sum(1))

        return self._estimate(statistic, "R2 of log sigma from 1 + [J'WJ]/beta", seed)

    def fitted_r2(self, seed: int = 0) -> Estimate:
        """The share of the same variance that a line explains, one per dimension: its level and slope are free."""

        def statistic(y: Doubles, x: Doubles, weights: Doubles) -> Doubles:
            together = weights @ (x * y) - (weights @ x) * (weights @ y)
            spread = _variance(x, weights)
            # a dimension whose prediction is constant explains nothing: 0/∞ instead of 0/0
            explained = together**2 / np.where(spread > 0, spread, np.inf)
            return np.asarray(explained.sum(1) / _variance(y, weights).sum(1))

        return self._estimate(statistic, "R2 of log sigma from a line in the prediction, one per dimension", seed)

    def _estimate(self, statistic: Callable[[Doubles, Doubles, Doubles], Doubles], method: str, seed: int) -> Estimate:
        y, x = self.learnt[:, self.active], self.predicted[:, self.active]
        if not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise Mistake("log sigma is not finite: the run diverged, train it anew")
        # Not exactly 0: a σ that is one number for all images has rounding in its mean.
        if not y.size or (y.var(0) < 1e-12).all():
            return absent("no active dimension has a sigma that varies between images", "R2", method)
        x, y = x - y.mean(0), y - y.mean(0)  # one shift for both: moments of centred values do not cancel
        n = len(y)
        value = float(statistic(y, x, np.full((1, n), 1 / n))[0])
        text = f"{method}, within {y.shape[1]} active dimensions"
        return bootstrap(lambda weights: statistic(y, x, weights), value, n, "R2", text, seed=seed)


def _variance(values: Doubles, weights: Doubles) -> Doubles:
    return np.asarray(weights @ values**2 - (weights @ values) ** 2)


def force_balance(model: LatentVariableModel, x: Tensor, beta: float = 1.0, draws: int = 0, seed: int = 0) -> Balance:
    """The balance at the posteriors of x (n, *data), for a model that was trained with weight `beta` on its KL.

    `draws` = 0: J at the posterior mean. Above 0: JᵀWJ averaged over so many draws, nearer to the expectation, at their cost.
    Raises `Mistake` for a point mass and for a likelihood whose Fisher information is not known.
    """
    family, event = model.likelihood.family, model.likelihood.event
    with still(model, seed), torch.no_grad():
        mu, sigma = gaussian_posterior(model, x)
        z = mu[None] if draws == 0 else mu + sigma * torch.randn((draws, *mu.shape), device=mu.device, dtype=mu.dtype)
        found = curvature(model.likelihood.net, partial(family.information, event=event), z.flatten(0, 1))
    predicted = predicted_log_sigma(found.reshape(z.shape).mean(0).cpu().numpy(), beta)
    # The variance of n given images and not an estimate for more of them; double precision, since μ may be far from 0.
    active = doubled(mu).var(0, correction=0) > ACTIVE
    return Balance(predicted, doubled(sigma).log().cpu().numpy(), active.cpu().numpy())
