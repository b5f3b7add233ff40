"""The velocity's irreducible variance: what a flow-matching model of these codes cannot know, V = ∫₀¹ E tr Var(v|x_t, t) dt.

By dimension, of codes times one factor, so that their variance is 1 on average: else shrinking codes would win. In three ways.
A Gaussian of the codes' covariance has (π/2) Σ_j s_j; it knows nothing of shape. The set of codes itself is exact by sums; in
many dimensions it is remembered, and V goes to 0 whatever the codes. A small net of fixed size and budget learns the velocity,
and its loss on codes that it has not seen is what is left in practice. Lipman et al. 2023, https://arxiv.org/abs/2210.02747;
as a measure of a space 2606.03578, https://arxiv.org/abs/2606.03578. Covered: all three and their controls. Not covered: the
formulas (fitted/path.py), a prior that is to be used (fitted/).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from legato.adamw import AdamW
from legato.devices import drawing
from legato.errors import Mistake
from legato.fitted.path import at, of_deviations, of_points
from legato.measures.estimate import Estimate, absent, mean_over, subsampled
from legato.measures.scale import unit
from legato.streams import random_stream
from legato.types import Doubles, Rows

UNIT = "squared code units of variance 1, by dimension"
MOST, SET = 2000, 1000  # codes: eigenvalues of their Gram matrix, and sums over pairs at every time
NODES = 12  # of Gauss's rule in t: the integrand is smooth, and 12 give the Gaussian's integral to 10⁻⁶
FEWEST = 20
ALIKE = "the codes do not vary"
FULL = math.pi / 2  # of white codes, by dimension; E‖v‖² itself is 2


def of_gaussian(codes: NDArray[Any], seed: int = 0) -> Estimate:
    """(π/2) Σ_j s_j/d, s_j² the eigenvalues of the covariance of up to 2,000 codes (N, …) of variance 1; by subsets.

    π/2 of white codes, the most there is. Of few codes beside d it is too low, as its control shows: white codes, equally many.
    """
    flat, method = _flat(codes, MOST), "(pi/2) sum of s_j / d, s_j^2 eigenvalues of the codes' covariance"
    if len(flat) < FEWEST or not flat.any():
        return absent(ALIKE if len(flat) >= FEWEST else f"needs {FEWEST} codes or more", UNIT, method)
    gram = flat @ flat.T if len(flat) <= flat.shape[1] else None

    def of(rows: Rows) -> float:
        part = _covariance(flat[rows]) if gram is None else _centred(gram[np.ix_(rows, rows)])
        values = np.maximum(np.linalg.eigvalsh(part), 0) / (len(rows) - 1)
        # of variance 1 within each subset too: V is of a space in its own unit
        return float(of_deviations(np.sqrt(values / (values.sum() / flat.shape[1]))) / flat.shape[1])

    return subsampled(of, len(flat), len(flat) // 2, UNIT, method, draws=10, seed=seed)


def of_set(codes: NDArray[Any], seed: int = 0) -> Estimate:
    """V of the very set of up to 1,000 codes, by exact sums at 12 times (Gauss's rule); by subsets."""
    flat, method = _flat(codes, SET), f"exact sums over the codes themselves, Gauss's rule at {NODES} times"
    if len(flat) < FEWEST or not flat.any():
        return absent(ALIKE if len(flat) >= FEWEST else f"needs {FEWEST} codes or more", UNIT, method)
    noise = random_stream(seed, "velocity of the set").standard_normal(flat.shape)
    times, weights = (part / 2 for part in np.polynomial.legendre.leggauss(NODES))

    def of(rows: Rows) -> float:
        return float(weights @ of_points(flat[rows], noise[rows], times + 0.5) / flat.shape[1])

    return subsampled(of, len(flat), len(flat) // 2, UNIT, method, draws=8, seed=seed)


@dataclass(frozen=True)
class Probe:
    """The size and the budget of the net whose loss is a figure: part of it, and the same for every space."""

    width: int = 128
    steps: int = 500
    batch: int = 256
    rate: float = 2e-3


PROBE = Probe()


def of_probe(train: NDArray[Any], test: NDArray[Any], probe: Probe = PROBE, seed: int = 0) -> Estimate:
    """E‖v_θ(x_t, t) − v‖²/d over test codes (n, …), v_θ a net of two hidden layers learnt from training codes (N, …).

    Both are brought to variance 1 by the training codes' mean and factor. 2 where nothing is learnt (v ≈ E v), π/2 the least of
    white codes. The interval is over test codes. Raises `Mistake` where the shapes differ.
    """
    method = f"held-out loss of a net of {probe.width} x {probe.width}, {probe.steps} steps of {probe.batch}"
    if train.shape[1:] != test.shape[1:]:
        raise Mistake(f"training and test codes have one shape, got {train.shape[1:]} and {test.shape[1:]}")
    known, mean = train.reshape(len(train), -1).astype(np.float64), train.reshape(len(train), -1).mean(0, dtype=np.float64)
    spread = math.sqrt(float(np.square(known - mean).mean()))
    if len(known) < FEWEST or not spread:
        return absent(ALIKE if len(known) >= FEWEST else f"needs {FEWEST} codes or more", UNIT, method)
    seen, unseen = (torch.from_numpy((part.reshape(len(part), -1) - mean) / spread).float() for part in (known, test))
    with drawing(torch.device("cpu"), seed):
        net = _learnt(seen, probe)
        with torch.no_grad():
            # eight times and noises a code: the interval is over codes, and their own noise adds little
            losses = torch.stack([_losses(net, unseen) for _ in range(8)]).mean(0)
    return mean_over(losses.double().numpy(), UNIT, method)


def white(like: NDArray[Any], seed: int = 0) -> NDArray[np.float32]:
    """The control of all three: white codes, as many and as large."""
    return random_stream(seed, "white codes", f"{len(like)} rows").standard_normal(like.shape, dtype=np.float32)


class _Net(nn.Module):
    """v_θ(x, t): a residual of two hidden layers, told the time by three of its functions."""

    def __init__(self, dimension: int, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(dimension + 3, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, dimension)
        )

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        """(n, d), (n,) -> (n, d)."""
        told = torch.stack([t, torch.cos(math.pi * t), torch.sin(math.pi * t)], 1)
        found: Tensor = self.body(torch.cat([x, told], 1))
        return found


def _learnt(codes: Tensor, probe: Probe) -> _Net:
    net = _Net(codes.shape[1], probe.width)
    # torch's own optimiser would load its compiler first, which takes longer than the probe does
    optimiser = AdamW(list(net.parameters()), betas=(0.9, 0.999), weight_decay=0.0)
    for step in range(probe.steps):
        loss = _losses(net, codes[torch.randint(len(codes), (probe.batch,))]).mean()
        net.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step(0.5 * probe.rate * (1 + math.cos(math.pi * step / probe.steps)))
    return net


def _losses(net: _Net, end: Tensor) -> Tensor:
    """‖v_θ − v‖²/d at one time and noise for each code, (n,)."""
    start, t = torch.randn_like(end), torch.rand(len(end))
    found: Tensor = (net(at(start, end, t), t) - (end - start)).square().mean(1)
    return found


def _flat(codes: NDArray[Any], most: int) -> Doubles:
    return unit(codes[:most]).reshape(min(len(codes), most), -1)


def _covariance(flat: Doubles) -> Doubles:
    moved = flat - flat.mean(0)
    return np.asarray(moved.T @ moved)


def _centred(gram: Doubles) -> Doubles:
    """The Gram matrix of points less their mean, which has the covariance's eigenvalues other than 0."""
    means = gram.mean(0)
    return np.asarray(gram - means - means[:, None] + means.mean())
