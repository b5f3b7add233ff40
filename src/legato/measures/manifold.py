"""Generated features among real ones, and real ones among generated: density, coverage, precision, recall.

A ball around each point reaches to its k-th nearest neighbour of its own set; together they stand for the set's support.
Covered: the four figures with intervals, a nearest-neighbour two-sample test, and the raw figure of every example. Not covered:
what the features are (features.py). Read each beside its floor, a second set of real examples: precision and recall of two
equal distributions are not 1. None minds copies of training images, except that the two-sample test falls below ½.

Naeem et al. 2020, https://arxiv.org/abs/2002.09797; Kynkäänniemi et al. 2019, https://arxiv.org/abs/1904.06991.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato.errors import Mistake
from legato.measures.estimate import Estimate
from legato.measures.halves import around, half_sample_errors
from legato.measures.neighbours import Cloud, blocks
from legato.types import Doubles, Rows


@dataclass(frozen=True)
class Crossing:
    """Distances between N real and n generated points, given both sets' radii, in squares.

    `balls` (n,): how many real balls hold each generated point. `recalled` (N,): whether any generated ball holds the real one.
    real_radii and nearest_generated (N,), generated_radii and nearest_real (n,).
    """

    real_radii: Tensor
    generated_radii: Tensor
    nearest_generated: Tensor
    nearest_real: Tensor
    balls: Tensor
    recalled: Tensor

    @property
    def covered(self) -> Tensor:
        """True where a real ball holds a generated point, (N,)."""
        return self.nearest_generated <= self.real_radii


@dataclass(frozen=True)
class Manifold:
    """Five figures, and what they are made of, example by example.

    `density`: the mean of balls/k, 1 on average for equal distributions and above it where samples crowd where real ones do.
    `coverage`: the share of real balls that hold a generated point, 1 − 2^−k on average for equal distributions and sizes.
    `precision`: the share of generated points in any real ball. `recall`: the share of real points in any generated ball.
    `two_sample`: how often a point's nearest other one is of its own set: ½ for equal distributions of equal sizes, 1 apart,
    below ½ where generated examples are nearer to the real ones than these are to each other (copies).

    `balls` (n,): 0 where a generated example lies outside; `covered` (N,); `nearest_real` (n,), in feature units.
    """

    density: Estimate
    coverage: Estimate
    precision: Estimate
    recall: Estimate
    two_sample: Estimate
    balls: NDArray[np.int64]
    covered: NDArray[np.bool_]
    nearest_real: Doubles

    def to_json(self) -> dict[str, Any]:
        """The estimates."""
        names = ("density", "coverage", "precision", "recall", "two_sample")
        return {name: getattr(self, name).to_json() for name in names}


def manifold(real: Cloud | NDArray[Any], generated: NDArray[Any], k: int = 5, draws: int = 20, seed: int = 0) -> Manifold:
    """All five figures for features real (N, f), or their `Cloud` where many sets are compared with one, and generated (n, f).

    One k for all five. Half-samples draw of both sets. Raises `Mistake` on fewer than 2k + 2 examples of a kind.
    """
    cloud = real if isinstance(real, Cloud) else Cloud(real, k)
    if generated.ndim != 2 or generated.shape[1] != cloud.points.shape[1]:
        raise Mistake(f"generated features must be (n, {cloud.points.shape[1]}), as the real ones are, got {generated.shape}")
    # with the real points' centre: distances between clouds of two centres would be those of shifted points
    samples = Cloud(generated, cloud.k, cloud.centre)
    whole = crossing(cloud, samples)
    # One pass gives all five figures; the halves below repeat it, so that each interval is of the same statistic.
    values = figures(cloud, samples, whole)

    def of_halves(rows: Rows, columns: Rows) -> Doubles:
        return figures(cloud, samples, crossing(cloud, samples, rows, columns), rows, columns)

    errors = half_sample_errors(of_halves, (len(cloud), len(samples)), draws, seed)
    among = f"{len(samples):,} generated among {len(cloud):,} real, k = {cloud.k}"
    kinds = {
        "density": (f"density of {among}", "real balls / k", np.inf),
        "coverage": (f"coverage of the real balls, {among}", "share of real", 1.0),
        "precision": (f"improved precision, {among}", "share of generated", 1.0),
        "recall": (f"improved recall, {among}", "share of real", 1.0),
        "two_sample": (f"leave-one-out accuracy of the nearest neighbour, {among}", "accuracy", 1.0),
    }
    estimates = {
        name: around(value, error, len(samples), unit, method, draws, within=(0.0, top))
        for (name, (method, unit, top)), value, error in zip(kinds.items(), values, errors, strict=True)
    }
    # Roots only here: comparisons are the same for squares, and a root of each pair would cost as much as the product.
    nearest = np.sqrt(whole.nearest_real.double().numpy())
    return Manifold(**estimates, balls=whole.balls.long().numpy(), covered=whole.covered.numpy(), nearest_real=nearest)


def crossing(real: Cloud, generated: Cloud, rows: Rows | None = None, columns: Rows | None = None) -> Crossing:
    """One pass over the distances between both sets, or between `rows` of one and `columns` of the other."""
    x = real.points if rows is None else real.points[torch.from_numpy(rows)]
    y = generated.points if columns is None else generated.points[torch.from_numpy(columns)]
    # Radii within the half that is looked at: a half is sparser, and whole radii would make it look covered.
    # A real point is recalled where some generated ball reaches it: radii belong to the columns here.
    reach, other_reach = real.radii(rows), generated.radii(columns)
    nearest_generated, recalled = torch.empty(len(x)), torch.empty(len(x), dtype=torch.bool)
    nearest_real, balls = torch.full((len(y),), torch.inf), torch.zeros(len(y))
    for at, squares in blocks(x, y):
        nearest_generated[at] = squares.amin(1)
        nearest_real = torch.minimum(nearest_real, squares.amin(0))
        recalled[at] = (squares - other_reach).amin(1) <= 0
        # ones and zeros in place: counting booleans is slower, and the block is not read again
        balls += squares.le_(reach[at, None]).sum(0)
    return Crossing(reach, other_reach, nearest_generated, nearest_real, balls, recalled)


def figures(real: Cloud, generated: Cloud, found: Crossing, rows: Rows | None = None, columns: Rows | None = None) -> Doubles:
    """(5,): density, coverage, precision, recall, accuracy of the nearest neighbour."""
    # Strictly nearer: a tie between its own set and the other is no evidence that the two differ.
    own = (real.radii(rows, 1) < found.nearest_generated).double().sum() + (
        generated.radii(columns, 1) < found.nearest_real
    ).double().sum()
    values = (
        found.balls.double().mean() / real.k,
        found.covered.double().mean(),
        (found.balls > 0).double().mean(),
        found.recalled.double().mean(),
        own / (len(found.balls) + len(found.recalled)),
    )
    return np.array([float(value) for value in values])
