"""The landscape of a plane of latent space: density, holes, support, speed, each a number at every cell of a grid.

Covered: the four measures, their thresholds at codes of held-out images, the decoder's Jacobian at a place. Not covered:
estimates with intervals (measures/), which a page does not wait for.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from legato.data.preparation import Units
from legato.errors import Mistake
from legato.explorer.codes import Codes
from legato.explorer.density import LEVEL, Aggregate, sliced
from legato.explorer.fields import NONE, Field, Grid, field
from legato.explorer.planes import Plane
from legato.explorer.worker import Slices
from legato.latent_space import LatentSpace
from legato.measures.cycle import cycle_errors
from legato.types import Doubles

Kind = Literal["density", "holes", "support", "speed"]
KINDS: tuple[Kind, ...] = ("density", "holes", "support", "speed")
DECODED = 16  # examples decoded in one slice: a cursor waits for no more
MOST_COLUMNS = 1024  # dimensions up to which a Jacobian is a matter of seconds
STEP = 1e-2  # of a central difference, in the codes' own deviations: as in measures/geometry.py, where both errors are weighed


class Landscape:
    """One model's latent space with its codes and their aggregate: what fields are read from. Thresholds are found once."""

    def __init__(self, space: LatentSpace, codes: Codes, aggregate: Aggregate) -> None:
        self.space, self.codes, self.aggregate = space, codes, aggregate
        # thresholds by kind: each takes a thousand re-encodings, and belongs to the model and not to a field
        self._usual: dict[str, float] = {}

    def field(self, kind: Kind, plane: Plane, grid: Grid) -> Slices[Field]:
        """The field, with the threshold beyond which a place is unlike 99 % of the codes of held-out images."""
        if kind == "density":
            return field(grid, (yield from self.aggregate.on_plane(plane, grid.centres())))
        if kind == "speed":
            # each place takes four decodings, so a quarter as many places make a slice
            values = yield from sliced(lambda z: speed(self.space, self.codes, z, plane), grid.codes(plane), DECODED // 4)
            return field(grid, values)
        return field(grid, *(yield from self.measured(kind, grid.codes(plane))))

    def measured(self, kind: Kind, z: NDArray[Any]) -> Slices[tuple[Doubles, float]]:
        """holes or support at each z (n, d), (n,), and the threshold."""
        values = yield from self._measured(kind, z)
        return values, (yield from self.threshold(kind))

    def threshold(self, kind: Kind) -> Slices[float]:
        """holes: the 99 % quantile at held-out codes; support: the 1 % quantile; others have none."""
        if kind not in ("holes", "support"):
            return NONE
        if kind not in self._usual:
            values = yield from self._measured(kind, self.aggregate.usual)
            self._usual[kind] = float(np.quantile(values, 1 - LEVEL if kind == "holes" else LEVEL))
        return self._usual[kind]

    def _measured(self, kind: Kind, z: NDArray[Any]) -> Slices[Doubles]:
        if kind == "support":
            return (yield from sliced(self.aggregate.support, z))
        return (yield from sliced(lambda some: reencoding(self.space, self.codes, some), z, DECODED))


def reencoding(space: LatentSpace, codes: Codes, z: NDArray[Any]) -> Doubles:
    """The distance of encode(decode(z)) from z, (n, d) -> (n,): in mean σ, of points in the data's spread; √ of the mean over
    dimensions of the squares. Where the decoder gives no finite number it is NaN.
    """
    again = space.posterior(raw(space, z))[0]
    # Points have no σ to measure by; the spread of the data is the scale that they do have.
    if not codes.has_density:
        return cycle_errors(z, again, codes.whitening)
    # in double precision: far from all data the difference may overflow when it is squared
    return np.asarray(np.sqrt((np.square(again.astype(np.float64) - z) / codes.noise).mean(1)))


def speed(space: LatentSpace, codes: Codes, z: NDArray[Any], plane: Plane) -> Doubles:
    """√det JᵀJ of the decoder along u and v at z (n, d), (n,): how much image a unit of the map's area spans.

    By central differences: at these sizes half as dear as forward mode, which would also load a second's worth of torch first.
    """
    along_u, along_v = (pushed(space, z, direction, step_along(codes, direction)) for direction in (plane.u, plane.v))
    uu, uv, vv = ((a * b).sum(1) for a, b in ((along_u, along_u), (along_u, along_v), (along_v, along_v)))
    # rounding may leave the determinant of nearly parallel columns below 0
    return np.asarray(np.sqrt(uu if len(plane.u) == 1 else np.maximum(uu * vv - uv * uv, 0)))


def step_along(codes: Codes, direction: Doubles) -> float:
    """The step of a difference in this direction (d,): a small part of the codes' deviation there."""
    # Of codes as they are drawn, clouds and all: a step is then small beside what the decoder was trained to bear.
    # where codes do not vary a step of 0 would divide by 0
    return STEP * math.sqrt(max(codes.population.along(direction), 1e-12))


def pushed(space: LatentSpace, z: NDArray[Any], direction: Doubles, step: float) -> Doubles:
    """J(z) v for each z (n, d) and v (d,), (n, values), in units of the prepared data: (f(z + hv) − f(z − hv))/2h."""
    # Both ends in one pass of the decoder: for so few codes the call costs more than the arithmetic.
    ends = np.concatenate([z + step * direction, z - step * direction])
    ahead, behind = np.split(raw(space, ends).reshape(len(ends), -1).astype(np.float64), 2)
    return np.asarray((ahead - behind) / (2 * step))


def gram(space: LatentSpace, codes: Codes, z: Doubles) -> Slices[Doubles]:
    """JᵀJ at z (d,), (d, d), some columns of J at a time. Raises `Mistake` where it would take minutes."""
    if len(z) > MOST_COLUMNS:
        raise Mistake(
            f"directions at a place take two decodings for each of {len(z):,} dimensions, too long above {MOST_COLUMNS:,}: use "
            "the principal plane, or axes"
        )
    columns = []
    # Column by column with a pause after each: a thousand latents take seconds, and a cursor goes first.
    for unit in np.eye(len(z)):
        columns.append(pushed(space, z[None], unit, step_along(codes, unit))[0])
        yield
    jacobian = np.stack(columns)
    return np.asarray(jacobian @ jacobian.T)


@torch.no_grad()
def raw(space: LatentSpace, z: NDArray[Any]) -> NDArray[np.float32]:
    """The decoder's answer, as of `LatentSpace.decode_prepared`, without seeding a generator: a cursor would wait for it."""
    # a copy of its own: torch warns of arrays that it may not write to
    decoded = space.decoder(torch.from_numpy(np.array(z, np.float32)).to(space.device))
    return np.asarray(decoded.cpu().numpy())


def decode(space: LatentSpace, z: NDArray[Any]) -> Units:
    """The mean of p(x|z), as of `LatentSpace.seen`: pictures in [0, 1], rows of a table in their own units."""
    return space.preparation.seen(space.preparation.restore(raw(space, z)))
