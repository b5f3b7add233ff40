"""Families: what a network's numbers mean. theta -> Distribution.

Covered: posteriors (Gaussian, Point) and likelihoods (Bernoulli, Gaussian with a fixed, learned or solved scale, discretised
logistic, continuous Bernoulli). A family is used for q(z|x), p(x|z) and p(z_l|z_<l) alike, and knows no network.
Not covered: log-probabilities and draws, which are the distribution's.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, Independent, Normal

from legato.alarm import Alarm
from legato.arguments import checked
from legato.devices import doubled
from legato.distributions import ContinuousBernoulli as ContinuousBernoulliDistribution
from legato.distributions import DiscretizedLogistic, IndependentBernoulli, PointMass, SolvedNormal
from legato.distributions.fisher import Quadratic, diagonal, logistic_form, variance_by_logit
from legato.distributions.solved import mean_square
from legato.errors import Mistake
from legato.types import Shape

FINITE = 40.0  # of |log σ|: the square of e⁻⁴⁰ is still a normal float32, so that log q of an outlier is a number
SHARPEST = -20.0  # log s of a discretised logistic: 255⁻¹ is 2 million such scales
MIN_SCALE = 1e-4  # of a likelihood's σ: a constant pixel or column would else drive a density to infinity


class Family(nn.Module):
    """theta (*lead, *shape(event)) -> a distribution of batch shape `lead` and event shape `event`."""

    has_density = True  # False: no log-probability, hence no rate and no bound
    has_width = True  # whether a code of it is a cloud: only then is there a σ to show and to draw from
    has_moments = True  # whether its distributions say their mean and deviation, which a summary then takes as they are
    has_choice = False  # whether a code of it is one of finitely many: then its rate is a number of nats for each token
    has_product = False  # whether its distributions are products over dimensions, and made of known parameters
    # said wherever they are shown: of some families they are those of a few draws
    how = "mean and standard deviation of q(z|x)"
    pairs = 0  # by how many factors the two of a pair may differ, where training rows are to come in pairs; 0: they are single
    learnt: tuple[str, ...] = ()  # buffers that training moves without a gradient: they are averaged like weights
    portable_width = True  # whether σ is made by operators that ONNX Runtime has
    takes_total = False  # whether log p(x|z) is of an x whose sum is known: it is not to be compared with that of any x
    gives_log_sigma = False  # whether θ is (μ, log σ) of a Gaussian, from the net alone
    affine_mean: tuple[float, float] | None = None  # (a, b) where its mean is aθ + b, θ the first of its numbers
    levels: int | None = None  # how many values x can have where they are counted: log p(x|z) is then a probability's

    def moments(self, of: Distribution) -> tuple[Tensor, Tensor | None]:
        """Mean and standard deviation of one of its distributions, each (*batch, *event); None for a width it does not have."""
        return of.mean, of.stddev if self.has_width else None

    def finish(self, pairs: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> None:
        """Settles what is solved from training data once the weights are: nothing, for most.

        `pairs()`: x (B, *event) and the mean of p(x|z) at one draw z, batch by batch.
        """

    def alarms(self) -> list[Alarm]:
        """What has gone wrong with what it learnt, as it is now: nothing, for most."""
        return []

    def books_of(self, event: Shape) -> int:
        """The number of codebooks that an event's indices, in a row, are of in equal parts; 0 where nothing is chosen."""
        return 0

    def usage(self, of: Distribution) -> Tensor | None:
        """How often one of its distributions chose each of finitely many values, (books, K); None where it chooses none."""
        return None

    def weigh(self, made: Distribution, counts: Tensor) -> None:
        """Has its rows count unequally, counts (B,) of mean 1, where a scale is solved from them: nothing, for most."""

    def information(self, theta: Tensor, event: Shape) -> Quadratic:
        """t ↦ tᵀWt, (B,), W the Fisher information at theta (B, *shape): ½ of it is the KL that a step t makes, nats."""
        raise Mistake(f"the Fisher information of `{type(self).__name__}` is not known: its `information` would give it")

    @abstractmethod
    def shape(self, event: Shape) -> Shape:
        """The shape of the numbers that it wants for one event."""

    @abstractmethod
    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """The distribution that `theta` names."""


class Gaussian(Family):
    """N(μ, diag σ²), θ = (μ, log σ), both from the network: the posterior of a VAE.

    theta (*lead, 2, *event). log σ is taken as it is, but for the range in which float32 holds σ: any clamp that training
    could meet would fake a floor where σ shrinks for lack of a rate. Far from the data an encoder says e⁻³⁰⁰ all the same.
    Kingma & Welling 2013, https://arxiv.org/abs/1312.6114, eq. 9.
    """

    has_product = True
    gives_log_sigma = True
    affine_mean = 1.0, 0.0

    def shape(self, event: Shape) -> Shape:
        """(2, *event): μ and log σ."""
        return (2, *event)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 2, *event) -> N(μ, diag σ²)."""
        mu, log_sigma = theta.unbind(-1 - len(event))
        return _independent(Normal(mu, log_sigma.clamp(-FINITE, FINITE).exp(), validate_args=False), event)


class Point(Family):
    """δ(z − θ): a plain autoencoder's code. Has no density, so a rate or a bound is refused when the recipe is built."""

    has_density = False
    has_width = False
    how = "the code itself"

    def shape(self, event: Shape) -> Shape:
        """The event's own."""
        return event

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event) -> a point mass."""
        return PointMass(theta, len(event))


class Bernoulli(Family):
    """P(x = 1) = sigmoid(θ), θ the logits (never probabilities). For binary data; grey data is binarised by drawing first."""

    levels = 2

    def shape(self, event: Shape) -> Shape:
        """The event's own: one logit per value."""
        return event

    def information(self, theta: Tensor, event: Shape) -> Quadratic:
        """W = p(1 − p) by the logits."""
        return diagonal(torch.sigmoid(theta) * torch.sigmoid(-theta))

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event), logits -> independent Bernoullis."""
        return IndependentBernoulli(theta, len(event))


class ContinuousBernoulli(Family):
    """p(x) = C(λ) λ^x (1 − λ)^{1−x} on [0, 1], θ = logit λ: what cross-entropy on grey pixels lacks to be a density.

    Loaiza-Ganem & Cunningham 2019, https://arxiv.org/abs/1907.06845. Its mean is not λ; the decoded picture shows the mean.
    """

    def shape(self, event: Shape) -> Shape:
        """The event's own: one logit per value."""
        return event

    def information(self, theta: Tensor, event: Shape) -> Quadratic:
        """W = Var(x) by the logits."""
        return diagonal(variance_by_logit(theta))

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event), logits -> independent densities on [0, 1]."""
        return _independent(ContinuousBernoulliDistribution(theta), event)


class Discretized(Family):
    """A logistic distribution cut into the 256 values of a byte, θ = (mean, log scale), one pair per value.

    theta (*lead, 2, *event); theta = 0 is mean ½ and scale e⁻², a flat start from which both tails still have gradients. A
    scale below e⁻²⁰ puts all of a probability that float32 can hold into one bin: smaller ones would add nothing but gradients
    whose square is no number, from which no step could lead back.
    """

    levels = 256
    affine_mean = 1.0, 0.5

    def shape(self, event: Shape) -> Shape:
        """(2, *event): mean and log scale."""
        return (2, *event)

    def information(self, theta: Tensor, event: Shape) -> Quadratic:
        """W by the pair (mean, log scale), sums over the 256 values."""
        mean, log_scale = doubled(theta).unbind(-1 - len(event))
        return logistic_form(mean + 0.5, log_scale - 2.0, -1 - len(event))

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, 2, *event) -> independent discretised logistics on {0, 1/255, …, 1}."""
        mean, log_scale = theta.unbind(-1 - len(event))
        return _independent(DiscretizedLogistic(mean + 0.5, log_scale - 2.0, SHARPEST), event)


class Homoscedastic(Family):
    """N(θ, σ²): the network gives the mean, the scale σ is one for all examples.

    σ is `fixed` at a number, `learned` as a parameter, or `solved` in closed form: in training σ*² is the mean square error of
    the batch (Rybkin et al. 2021), and `solve` freezes it at its training-data value before any evaluation.

    `of` is the shape of σ: () for one number (images), (D,) for one per column (tables, whose columns have units of their own).
    `squashed`: the mean is sigmoid(θ), so that it lies in [0, 1] as pixels do.
    """

    has_product = True
    log_scale: Tensor

    @checked
    def __init__(self, scale: Literal["learned", "solved"] | float = "learned", of: Shape = (), squashed: bool = False) -> None:
        super().__init__()
        if not isinstance(scale, str) and not (math.isfinite(scale) and scale > 0):
            raise Mistake(f"`scale` of a Gaussian likelihood must be a positive number, got {scale}")
        self.how, self.squashed = scale if isinstance(scale, str) else "fixed", squashed
        self.affine_mean = None if squashed else (1.0, 0.0)
        start = torch.full(of, math.log(scale if not isinstance(scale, str) else 0.3))
        if self.how == "learned":
            self.log_scale = nn.Parameter(start)
        else:
            self.register_buffer("log_scale", start)

    def shape(self, event: Shape) -> Shape:
        """The event's own: the mean."""
        return event

    def information(self, theta: Tensor, event: Shape) -> Quadratic:
        """W = (dm/dθ)²/σ² by the mean m; σ is the same for every z, so nothing of it enters."""
        slope = torch.sigmoid(theta) * torch.sigmoid(-theta) if self.squashed else torch.ones_like(theta)
        return diagonal(self.scale.detach() ** -2 * slope**2)

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event), the mean or its logit -> N(mean, σ²)."""
        theta = torch.sigmoid(theta) if self.squashed else theta
        if self.how == "solved" and self.training:
            return _independent(SolvedNormal(theta, per_column=self.log_scale.ndim == 1), event)
        return _independent(Normal(theta, self.scale.expand_as(theta), validate_args=False), event)

    def weigh(self, made: Distribution, counts: Tensor) -> None:
        """Of a scale that is solved from a batch, the mean square error with these weights."""
        if isinstance(made, Independent) and isinstance(made.base_dist, SolvedNormal):
            made.base_dist.counts = counts

    @property
    def scale(self) -> Tensor:
        """σ, in units of the prepared data, at least 10⁻⁴."""
        return self.log_scale.exp().clamp(min=MIN_SCALE)

    def alarms(self) -> list[Alarm]:
        """Where a scale that is no given number lies at its floor."""
        return [] if self.how == "fixed" else at_floor(self.scale)

    def finish(self, pairs: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> None:
        """Freezes a solved scale at σ² = the mean of (x − mean)² over training data, of σ's shape.

        A mean over examples, however they are cut into batches: the last batch is often a shorter one.
        """
        if self.how != "solved":
            return
        per_column = self.log_scale.ndim == 1
        # double: squares are summed over all training data
        seen = [(len(x), mean_square(doubled(x - mean) ** 2, per_column)) for x, mean in pairs()]
        self.solve(torch.stack([n * square for n, square in seen]).sum(0) / sum(n for n, _ in seen))

    def solve(self, square: Tensor) -> None:
        """Freezes a solved scale at σ² = `square`, of σ's shape."""
        if self.how == "solved":
            self.log_scale.copy_(0.5 * square.clamp(min=MIN_SCALE**2).log())


def at_floor(scale: Tensor) -> list[Alarm]:
    """An alarm where scales σ of a likelihood, (D,) of a table's columns or () of an image, lie at their floor."""
    low = (scale.detach() <= MIN_SCALE * (1 + 1e-3)).flatten()
    if not low.any():
        return []
    floor = f"its floor, {MIN_SCALE:g} of a prepared unit"
    if not scale.ndim:
        says = f"the likelihood's scale is at {floor}: all images are alike or learnt by heart; more data, or --likelihood "
        return [Alarm("scale at its floor", f"{says}fixed-gaussian --scale 0.1")]
    which = low.nonzero().flatten().tolist()
    some = ", ".join(str(i + 1) for i in which[:5]) + (", …" if len(which) > 5 else "")
    says = f"{len(which)} of {len(low)} columns (number {some}) are given back to within {floor}: constant or learnt by heart; "
    return [Alarm("scale at its floor", f"{says}leave them out, or --likelihood fixed-gaussian --scale 0.1")]


def _independent(base: Distribution, event: Shape) -> Distribution:
    return Independent(base, len(event), validate_args=False)
