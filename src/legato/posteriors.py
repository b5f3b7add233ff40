"""Families of codes beyond the Gaussian with independent dimensions of a row: other clouds, directions, curved spaces, pairs.

Covered: what a net's numbers mean for each. Not covered: the distributions themselves (distributions/), flows (flows.py),
codebooks (codebooks.py).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal
from torch.nn.functional import normalize, softplus

from legato import ranks
from legato.alarm import Alarm
from legato.arguments import checked
from legato.distributions import PointMass
from legato.distributions.clouds import FullNormal, Laplacian, Logistic
from legato.distributions.divergence import kl_per_dimension
from legato.distributions.hyperbolic import WrappedNormal, from_origin
from legato.distributions.simplex import Beside, LogConcrete
from legato.distributions.sphere import Directional
from legato.errors import Mistake
from legato.families import FINITE, Family, Gaussian
from legato.types import Shape

ROOM = (-12.0, 1.0)  # log σ in the ball, whose ends lie 25 apart in float32: no narrower to be told, no wider to have room
DEAD = 0.01  # of an even share of the examples: a unit that is on for fewer learns nothing
LEAST = 1e-3  # of a concentration: a direction that nothing is known of, whose gradient is still a number


class Laplace(Family):
    """p(z) ∝ e^{−|z − μ|/b}, θ = (μ, log b): as a Gaussian, with a sharp middle and long tails."""

    has_product = True

    def shape(self, event: Shape) -> Shape:
        """(2, *event): μ and log b."""
        return (2, *event)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 2, *event) -> independent Laplace distributions."""
        mu, log_scale = theta.unbind(-1 - len(event))
        return _independent(Laplacian(mu, log_scale.clamp(-FINITE, FINITE).exp(), validate_args=False), event)


class PairedGaussian(Family):
    """N(μ, diag σ²), θ = (μ, log σ), of which two rows in a row, a pair, have latents in common while training.

    δ_j = KL(q_j(z|x₁) ‖ q_j(z|x₂)); latents with δ_j < ½ (max δ + min δ) are shared, and both rows get one posterior of them:
    `mean`, of the mean of both μ and of both σ² (Locatello et al. 2020, https://arxiv.org/abs/2002.02886), or
    `product`, of the product of both densities (Bouchacourt et al. 2018, https://arxiv.org/abs/1705.08841). The others are each
    row's own, and in evaluation all are. No gradient flows through which are shared. `pairs`: by how many factors the two of a
    pair may differ. Raises `Mistake` for an odd number of rows.
    """

    has_product = True

    @checked
    def __init__(self, shared: Literal["mean", "product"], pairs: int) -> None:
        super().__init__()
        if pairs < 1:
            raise Mistake(f"the two of a pair differ in 1 factor or more; got {pairs}")
        self.shared, self.pairs, self.single = shared, pairs, Gaussian()

    def shape(self, event: Shape) -> Shape:
        """(2, *event): μ and log σ."""
        return self.single.shape(event)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (B, 2, *event) -> independent Gaussians."""
        if not self.training:
            return self._single(theta, event)
        if len(theta) % 2:
            raise Mistake(f"this model learns from pairs and needs an even number of rows; got {len(theta)}")
        mu, log_sigma = theta.reshape(-1, 2, *theta.shape[1:]).unbind(2)
        log_sigma = log_sigma.clamp(-FINITE, FINITE)  # (pairs, 2, *event), as μ
        together = shared_latents(mu.detach(), log_sigma.detach())
        both = {"mean": mean_of_two, "product": product_of_two}[self.shared](mu, log_sigma)
        mu, log_sigma = (torch.where(together, one, own) for one, own in zip(both, (mu, log_sigma), strict=True))
        return self._single(torch.stack([mu, log_sigma], 2).reshape(theta.shape), event)

    def _single(self, theta: Tensor, event: Shape) -> Distribution:
        found: Distribution = self.single(theta, event)
        return found


def shared_latents(mu: Tensor, log_sigma: Tensor) -> Tensor:
    """True at latents by which two Gaussians, (P, 2, *event), differ less than half of most and least, (P, 1, *event)."""
    first, second = (Normal(mu[:, i], log_sigma[:, i].exp(), validate_args=False) for i in (0, 1))
    cost = kl_per_dimension(*(Independent(one, mu.ndim - 2, validate_args=False) for one in (first, second)))
    assert cost is not None
    flat = cost.flatten(1)
    threshold = 0.5 * (flat.amax(1) + flat.amin(1))
    return (flat < threshold[:, None]).view(len(mu), 1, *mu.shape[2:])


def mean_of_two(mu: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """μ and log σ, (P, 1, *event) each, of the mean μ and the mean σ² of two Gaussians, (P, 2, *event)."""
    return mu.mean(1, keepdim=True), 0.5 * (torch.logsumexp(2 * log_sigma, 1, keepdim=True) - math.log(2))


def product_of_two(mu: Tensor, log_sigma: Tensor) -> tuple[Tensor, Tensor]:
    """μ and log σ, (P, 1, *event) each, of the product of two Gaussian densities, (P, 2, *event): precisions add up."""
    precision = -2 * log_sigma
    weight = torch.softmax(precision, 1)  # in logarithms: σ² of a far row is beyond what float32 holds
    return (weight * mu).sum(1, keepdim=True), -0.5 * torch.logsumexp(precision, 1, keepdim=True)


class FullGaussian(Family):
    """N(μ, LLᵀ), θ = (μ, the numbers of L): a cloud that may lie obliquely, d (d + 3)/2 numbers for d latents.

    L is lower triangular, its diagonal e^θ. Raises `Mistake` for codes that are no vector.
    """

    def shape(self, event: Shape) -> Shape:
        """(d (d + 3)/2,): μ, log of L's diagonal, L below it."""
        d = _length(event, 1)
        return (d * (d + 3) // 2,)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, d (d + 3)/2) -> N(μ, LLᵀ)."""
        d = event[0]
        mu, log_diagonal, below = torch.split(theta, [d, d, d * (d - 1) // 2], -1)
        root = torch.diag_embed(log_diagonal.clamp(-FINITE, FINITE).exp())
        rows, columns = torch.tril_indices(d, d, -1, device=theta.device)
        # summed, not written into: nothing is changed in place that a gradient needs
        lower = theta.new_zeros(*theta.shape[:-1], d * d).index_copy(-1, rows * d + columns, below)
        return FullNormal(mu, scale_tril=root + lower.view(*theta.shape[:-1], d, d), validate_args=False)


class Switches(Family):
    """Relaxed coins: y = (θ + l)/t, l a logistic's draw, read by the decoder as σ(y), which is nearly 0 or 1 at a low t.

    The density is that of y, of which σ(y) has the same divergence from its prior. Maddison, Mnih & Teh 2017,
    https://arxiv.org/abs/1611.00712, appendix B; Jang, Gu & Poole 2017, https://arxiv.org/abs/1611.01144.
    """

    has_product = True

    @checked
    def __init__(self, temperature: float = 0.5) -> None:
        super().__init__()
        if not 0 < temperature < math.inf:
            raise Mistake(f"`temperature` of relaxed coins is a positive number, got {temperature}")
        self.temperature = temperature

    def shape(self, event: Shape) -> Shape:
        """The event's own: log odds."""
        return event

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event), log odds -> independent logistics."""
        scale = torch.full_like(theta, 1 / self.temperature)
        return _independent(Logistic(theta / self.temperature, scale), event)


class Choices(Family):
    """A Gaussian of some latents beside a relaxed choice of one of K, θ = (μ, log σ, log chances); the choice in logarithms.

    Of a code of d numbers the last K are the choice's: y = log softmax((θ + g)/t), which the decoder reads as e^y (`read`).
    Dupont 2018 (JointVAE), https://arxiv.org/abs/1804.00104; both parts' densities are exact, so that the bound is one of the
    relaxed model. Raises `Mistake` for codes that are no vector.
    """

    @checked
    def __init__(self, event: Shape, choices: int = 10, temperature: float = 0.5) -> None:
        super().__init__()
        d = _length(event, 1)
        if not 1 <= choices <= d:
            raise Mistake(f"`choices` are some of the code's {d} numbers, 1 or more; got {choices}")
        if not 0 < temperature < math.inf:
            raise Mistake(f"`temperature` of a relaxed choice is a positive number, got {temperature}")
        self.numbers, self.choices, self.temperature = d - choices, choices, temperature

    def shape(self, event: Shape) -> Shape:
        """(2 · numbers + choices,)."""
        return (2 * self.numbers + self.choices,)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 2 · numbers + choices) -> both beside each other."""
        mu, log_sigma, logits = torch.split(theta, [self.numbers, self.numbers, self.choices], -1)
        return self.beside(mu, log_sigma.clamp(-FINITE, FINITE).exp(), logits)

    def beside(self, mu: Tensor, sigma: Tensor, logits: Tensor) -> Distribution:
        """The distribution of these numbers."""
        return Beside(Normal(mu, sigma, validate_args=False), LogConcrete(logits, self.temperature))

    def prior(self, zero: Tensor) -> Distribution:
        """N(0, I) beside a choice of which each is as likely, of zeros (d,)."""
        numbers, logits = torch.split(zero, [self.numbers, self.choices])
        return self.beside(numbers, torch.ones_like(numbers), logits)

    def read(self, code: Tensor) -> Tensor:
        """The numbers, and the choice as a point of the simplex; of any code, also one that a person gives."""
        numbers, choice = torch.split(code, [self.numbers, self.choices], -1)
        return torch.cat([numbers, torch.softmax(choice, -1)], -1)


class Direction(Family):
    """A direction on the unit sphere and how sure it is: θ = (its middle, any length but 0; the concentration before softplus).

    κ = d · softplus(θ). `kind`: mises, von Mises–Fisher (Davidson et al. 2018, https://arxiv.org/abs/1804.00891); power,
    power spherical (De Cao & Aziz 2020, https://arxiv.org/abs/2006.04437). Shown are the middle and each coordinate's
    deviation. Raises `Mistake` for codes that are no vector of 2 numbers or more.
    """

    how = "middle of q(z|x) on the sphere, and each coordinate's standard deviation"
    portable_width = False  # by an arc cosine in double precision

    @checked
    def __init__(self, kind: Literal["mises", "power"] = "mises") -> None:
        super().__init__()
        self.kind: Literal["mises", "power"] = kind

    def shape(self, event: Shape) -> Shape:
        """(d + 1,)."""
        return (_length(event, 2) + 1,)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, d + 1) -> a distribution of directions."""
        loc, concentration = torch.split(theta, [event[0], 1], -1)
        return Directional(normalize(loc, dim=-1), event[0] * softplus(concentration[..., 0]) + LEAST, self.kind)

    def moments(self, of: Distribution) -> tuple[Tensor, Tensor]:
        """The middle, which lies on the sphere as codes do; the mean lies within it."""
        assert isinstance(of, Directional)
        return of.loc, of.stddev


class Hyperbolic(Family):
    """A wrapped normal in the Poincaré ball of curvature −c, θ = (μ in the tangent plane at the origin, log σ).

    Mathieu et al. 2019, https://arxiv.org/abs/1901.06033. Raises `Mistake` for codes that are no vector.
    """

    how = "middle of q(z|x) in the ball, and σ in its coordinates there"

    @checked
    def __init__(self, c: float = 1.0) -> None:
        super().__init__()
        if not 0 < c < math.inf:
            raise Mistake(f"`curvature` is a positive number, that of the ball is its negative; got {c}")
        self.c = c

    def shape(self, event: Shape) -> Shape:
        """(2, d): μ and log σ."""
        return (2, _length(event, 1))

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 2, d) -> a wrapped normal."""
        mu, log_sigma = theta.unbind(-2)
        return WrappedNormal(from_origin(mu, self.c), log_sigma.clamp(*ROOM).exp(), self.c)


class Sparse(Family):
    """δ(z − a), a the k largest of the rectified numbers of a code, 0 elsewhere: a plain autoencoder's sparse code.

    A unit that is hardly chosen learns nothing and stays so. So `fired`, the share of examples that each unit is on for (a
    moving average), favours those that are: in training units compete by a · e^{1 − fired/(k/d)}. `dead` counts those below a
    hundredth of an even share, which learn through the rectifier as if they were on. Makhzani & Frey 2014,
    https://arxiv.org/abs/1312.5663; the boost as in Ahmad & Scheinkman 2019, https://arxiv.org/abs/1903.11257, eq. 3. Raises
    `Mistake` for no unit, or more than a code has.
    """

    has_density = False
    has_width = False
    how = "the code itself"
    learnt = ("fired",)
    fired: Tensor

    @checked
    def __init__(self, event: Shape, k: int = 16, decay: float = 0.99) -> None:
        super().__init__()
        d = _length(event, 1)
        if not 1 <= k <= d:
            raise Mistake(f"`k` is a number of units that are on, from 1 to the code's {d}; got {k}")
        self.k, self.decay = k, decay
        self.register_buffer("fired", torch.full(event, k / d))  # as if all had been alike

    @property
    def dead(self) -> int:
        """The number of units that are on for hardly any example."""
        return int(self._gone.sum())

    @property
    def _gone(self) -> Tensor:
        return self.fired < DEAD * self.k / len(self.fired)

    def alarms(self) -> list[Alarm]:
        """Where more than half of the units are dead."""
        dead, d = self.dead, len(self.fired)
        if 2 * dead <= d:
            return []
        says = (
            f"{dead} of {d} units are on for hardly any example: --latent-dim {max(d - dead, self.k)} would do, or a larger --k"
        )
        return [Alarm("dead units", says)]

    def shape(self, event: Shape) -> Shape:
        """The event's own."""
        return event

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, d) -> a point mass."""
        units = theta.relu()
        strength = units.detach()
        learning = self.training and torch.is_grad_enabled()
        if learning:
            strength = strength * torch.exp(1 - self.fired * len(self.fired) / self.k)
        on = torch.zeros_like(units).scatter(-1, strength.topk(self.k, -1).indices, 1.0)
        sparse = units * on
        if learning:
            # what is rectified has no slope: a dead unit learns straight through, where it would be of use
            sparse = sparse + (self._gone & (sparse == 0)) * (theta - theta.detach())
            # 0 · θ: nothing is remembered of a step that is skipped for what is not finite
            share = ranks.mean(((sparse.detach() > 0) + 0 * theta.detach()).flatten(0, -2))
            self.fired.lerp_(torch.where(share.isfinite(), share, self.fired), 1 - self.decay)
        return PointMass(sparse, 1)


def _length(event: Shape, least: int) -> int:
    if len(event) != 1 or event[0] < least:
        raise Mistake(
            f"this posterior is of a vector of {least} numbers or more, the code has shape {event}: give `latent_dim`"
        )
    return event[0]


def _independent(base: Distribution, event: Shape) -> Distribution:
    return Independent(base, len(event), validate_args=False)
