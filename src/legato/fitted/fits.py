"""Fits of priors to codes: each kind by its own way, from draws z ~ q(z|x) of rows.

Covered: one Gaussian, several, a normalising flow, flow matching, indices in a row; the density of what was fitted. Not
covered: whose codes they are, and where a fit is kept (refit.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from legato.devices import auto_precision
from legato.fitted.gaussians import Gaussians
from legato.fitted.kept import Kind, built
from legato.fitted.learning import Length, Told, learnt
from legato.fitted.matching import FlowMatching
from legato.fitted.path import at
from legato.fitted.scaled import Scaled
from legato.fitted.velocity import repeated
from legato.model import LatentVariableModel
from legato.moments import of_rows
from legato.population import FITTED, HELD_OUT, Mixture, check_size, fitted, likeliest
from legato.priors import Prior
from legato.sequences import Sequential
from legato.streams import random_stream
from legato.trace import NOTHING
from legato.types import Doubles, Floats, Integers, Shape

ROWS, PICTURES, INDICES = 512, 64, 128  # codes of a step: vectors, spatial ones, codes of a codebook
TIMES = 64  # of a step of vectors: what is made of a time is made once for eight rows
DROPPED, HALVED = 0.1, 0.5  # of the labels; half where draws without one follow the velocity of all, which a tenth leaves bad
MIXED = 50_000  # codes that several Gaussians are fitted to in the end
CUT = 36  # places from which on four make a token: a quarter of the cost
TINY = 1e-30  # of a variance, where no code moves: its root is still a number of float32
FOLLOWED = 1_000  # codes of a density that is followed along a way
Sizes = dict[str, int]
Fit = tuple[Prior, Told]


@dataclass(frozen=True)
class Codes:
    """Posteriors of a split's rows: μ and σ (n, d) in a row, the shape of one code, each row's class where it has one."""

    mu: Floats
    sigma: Floats
    event: Shape
    label: Integers | None = None
    classes: int = 0
    split: str = "train"

    def drawn(self, purpose: str) -> Floats:
        """One draw z ~ q(z|x) for each row, (n, d), the same at every call for this purpose, and of no other split."""
        noise = random_stream(0, "refit", f"{purpose}, {self.split}").standard_normal(self.mu.shape, dtype=np.float32)
        return np.asarray(self.mu + self.sigma * noise)


def fit(
    kind: Kind, model: LatentVariableModel, train: Codes, held: Codes, length: Length, seed: int
) -> tuple[Prior, Sizes, Told]:
    """A prior of this kind, the sizes of its parts as its file says them, and how it came about."""
    if kind in ("gaussian", "mixture"):
        found = one_gaussian(train, held) if kind == "gaussian" else several(train, held, seed)
        return as_gaussians(found, train.event), {"components": len(found.weights)}, {}
    sizes = sizes_of(kind, train)
    device = next(model.parameters()).device
    prior, told = LEARNT[kind](built(kind, sizes, model, seed), train, length, seed, device)
    return prior, sizes, told


def sizes_of(kind: Kind, codes: Codes) -> Sizes:
    """The sizes of a net's parts."""
    if kind == "flow":
        return {"transforms": 4, "width": 128}
    if kind == "autoregressive":
        return {"width": 256}
    if len(codes.event) != 3:
        known = codes.label is not None and bool((codes.label >= 0).all())  # of few labels a sum over classes knows few rows
        return {"classes": codes.classes, "width": 256, "depth": 3, "summed": int(known)}
    _, height, across = codes.event
    return {"classes": codes.classes, "width": 192, "depth": 6, "patch": 2 if height * across >= CUT else 1}


def as_gaussians(mixture: Mixture, event: Shape) -> Gaussians:
    """A mixture with full covariances as a prior."""
    prior, roots = Gaussians(event, len(mixture.weights)), np.linalg.cholesky(mixture.covariances)
    for name, value in {"weights": mixture.weights, "means": mixture.means, "roots": roots}.items():
        setattr(prior, name, torch.as_tensor(value, dtype=torch.float))
    return prior


def one_gaussian(codes: Codes, held: Codes) -> Mixture:
    """N(m, S) with the moments of (1/N) Σ_n q(z|x_n), m = E μ and S = Cov μ + diag E σ², which is shrunk of few codes."""
    check_size(codes.mu.shape[1])
    found = of_rows(codes.mu, unbiased=True).with_noise(np.square(codes.sigma).mean(0, dtype=np.float64))
    own = found.variances
    spread = found.matrix() + np.diag(1e-9 * own + 1e-12 * own.max() + TINY)  # a dimension that never moves, or follows others
    judged = held.drawn("fit")[:HELD_OUT].astype(np.float64)
    return likeliest((np.ones(1), found.mean[None], spread[None]), len(codes.mu), judged)


def several(train: Codes, held: Codes, seed: int) -> Mixture:
    """Σ_k w_k N(m_k, S_k), as many as make held-out draws likeliest; also one with the population's moments is tried."""
    z = train.drawn("fit")
    found = fitted(z[:FITTED], held.drawn("fit")[:HELD_OUT], seed, z[:MIXED] if len(z) > FITTED else None)
    return max(found, one_gaussian(train, held), key=lambda one: one.held_out)


def flow(prior: Prior, codes: Codes, length: Length, seed: int, device: torch.device) -> Fit:
    """A normalising flow, by the likelihood of draws z ~ q(z|x)."""
    assert isinstance(prior, Scaled)
    z, some = codes.drawn("fit"), batches(codes, ROWS, device)
    prior.centre, prior.scale = torch.as_tensor(z.mean(0)), torch.as_tensor(np.maximum(z.std(0), 1e-6))
    prior.to(device)
    return learnt(prior, lambda stream: -prior(NOTHING).log_prob(some(stream)[0]).mean(), length, device, 1e-3, seed)


def flow_matching(prior: Prior, codes: Codes, length: Length, seed: int, device: torch.device) -> Fit:
    """E s ‖v(x_t, t) − (x₁ − x₀)‖² with s = (1 − t)² + t² and t spread evenly over each batch.

    s is what velocities of standard normal codes vary by, so that no part of the way is learnt at the cost of the others.
    """
    assert isinstance(prior, FlowMatching)
    prior.centre, prior.root = standard(codes)
    velocity, spatial = prior.to(device).velocity, len(codes.event) == 3
    if codes.label is not None and len(prior.shares):
        counts = torch.as_tensor(codes.label[codes.label >= 0]).bincount(minlength=len(prior.shares))
        prior.shares = (counts / counts.sum()).to(device)
    dropped = DROPPED if len(prior.shares) else HALVED
    size = PICTURES if spatial else ROWS
    some, classes = batches(codes, size, device), velocity.classes > 0
    times = size if spatial else TIMES
    steps = torch.arange(times, device=device)

    def loss(stream: torch.Generator) -> Tensor:
        z, label = some(stream)
        ends = prior.standardised(z)
        start = torch.randn(ends.shape, generator=stream, device=device)
        t = (steps + torch.rand((), generator=stream, device=device)) / times
        if label is not None:
            label = torch.where(torch.rand(size, generator=stream, device=device) < dropped, -1, label)
        each = repeated(t, size)
        wide = each.reshape(-1, *[1] * (ends.ndim - 1))
        missed: Tensor = velocity(at(start, ends, each), t, label if classes else None) - (ends - start)
        return (((1 - wide) ** 2 + wide**2) * missed.square()).mean()

    precision = auto_precision(device)
    found, told = learnt(velocity, loss, length, device, 5e-4 if spatial else 1e-3, seed, precision)
    prior.velocity = found
    return prior.eval().requires_grad_(False), told


def autoregressive(prior: Prior, codes: Codes, length: Length, seed: int, device: torch.device) -> Fit:
    """Each index given those before it, by their likelihood."""
    assert isinstance(prior, Sequential)
    some, indices = batches(codes, INDICES, device), prior.indices

    def loss(stream: torch.Generator) -> Tensor:
        return -prior.log_chances(indices(some(stream)[0]).flatten(1)).sum(1).mean()

    return learnt(prior.to(device), loss, length, device, 3e-3, seed)


LEARNT: dict[str, Callable[[Prior, Codes, Length, int, torch.device], Fit]] = {
    "flow": flow,
    "flow-matching": flow_matching,
    "autoregressive": autoregressive,
}


def batches(codes: Codes, size: int, device: torch.device) -> Callable[[torch.Generator], tuple[Tensor, Tensor | None]]:
    """Draws z ~ q(z|x) of rows that are drawn anew, (size, *event), and their classes."""
    mu, sigma = (torch.as_tensor(one, device=device).reshape(-1, *codes.event) for one in (codes.mu, codes.sigma))
    label = None if codes.label is None else torch.as_tensor(codes.label, device=device)

    def drawn(stream: torch.Generator) -> tuple[Tensor, Tensor | None]:
        rows = torch.randint(len(mu), (size,), generator=stream, device=device)
        noise = torch.randn((size, *codes.event), generator=stream, device=device)
        return torch.addcmul(mu[rows], sigma[rows], noise), None if label is None else label[rows]

    return drawn


def standard(codes: Codes) -> tuple[Tensor, Tensor]:
    """m and L of draws: of vectors the mean and a root of the covariance, of spatial codes those of each channel."""
    z = codes.drawn("scale").astype(np.float64)
    if len(codes.event) == 3:
        by_channel = z.reshape(len(z), codes.event[0], -1)
        mean, spread = by_channel.mean((0, 2)), np.maximum(by_channel.std((0, 2)), 1e-6)
        centre, scale = (torch.as_tensor(one[:, None, None], dtype=torch.float) for one in (mean, spread))
        return centre, scale
    small = 1e-8 * np.eye(z.shape[1]) * max(float(z.var()), 1e-8)  # a dimension that never moves
    root = np.linalg.cholesky(np.atleast_2d(np.cov(z.T)) + small)
    return torch.as_tensor(z.mean(0), dtype=torch.float), torch.as_tensor(root, dtype=torch.float)


@torch.no_grad()
def log_density(prior: Prior, held: Codes) -> tuple[Floats, Doubles, str]:
    """Draws of held-out codes (n, d), their log p(z) (n,), nats, and how it was had.

    Of flow matching 1,000 draws at most, of spatial codes 50, whose trace is Hutchinson's estimate, right in the mean, as
    beyond 64 dimensions.
    """
    if not isinstance(prior, FlowMatching):
        z = held.drawn("judged")
        return z, _density(prior, z, held.event), "of the fitted prior"
    spatial = len(held.event) == 3
    z, way = (
        held.drawn("judged")[: FOLLOWED // 20 if spatial else FOLLOWED],
        f"followed in {prior.steps} steps of Heun's method",
    )
    if prior.exact and not spatial:
        return z, _density(prior, z, held.event), f"{way}, the trace exact"
    signs = random_stream(0, "refit", "signs").choice(np.array([-1, 1], np.float32), z.shape)
    codes, u = (torch.as_tensor(one, device=prior.centre.device).reshape(-1, *held.event) for one in (z, signs))
    return z, prior.log_density(codes, signs=u).double().cpu().numpy(), f"{way}, the trace by Hutchinson's estimate"


def _density(prior: Prior, z: Floats, event: Shape) -> Doubles:
    device = next(iter([*prior.parameters(), *prior.buffers()])).device
    codes = torch.as_tensor(z, device=device).reshape(-1, *event)
    return np.asarray(prior(NOTHING).log_prob(codes).double().cpu().numpy())
