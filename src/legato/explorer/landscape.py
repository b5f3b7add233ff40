"""What a plane of latent space is like: density, holes, support, speed, each a number at every cell of a grid.

Covered: the four measures, their thresholds at codes of held-out images, the decoder's Jacobian at a place. Not covered:
estimates with intervals (measures/), which a page does not wait for.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from legato.explorer.codes import Codes
from legato.explorer.density import LEVEL, Aggregate, sliced
from legato.explorer.fields import NONE, Field, Grid, field
from legato.explorer.planes import Plane
from legato.explorer.worker import Slices
from legato.latent_space import LatentSpace
from legato.measures.cycle import cycle_errors
from legato.measures.forward_mode import jvp

Doubles = NDArray[np.float64]
Kind = Literal["density", "holes", "support", "speed"]
KINDS: tuple[Kind, ...] = ("density", "holes", "support", "speed")
DECODED = 16  # examples decoded in one slice: a cursor waits for no more


class Landscape:
    """One model's latent space with its codes and their aggregate: what fields are read from. Thresholds are found once."""

    def __init__(self, space: LatentSpace, codes: Codes, aggregate: Aggregate) -> None:
        self.space, self.codes, self.aggregate = space, codes, aggregate
        self._usual: dict[str, float] = {}

    def field(self, kind: Kind, plane: Plane, grid: Grid) -> Slices[Field]:
        """The field, with the threshold beyond which a place is unlike 99 % of the codes of held-out images."""
        if kind == "density":
            return field(grid, (yield from self.aggregate.on_plane(plane, grid.centres())))
        if kind == "speed":
            return field(grid, (yield from sliced(lambda z: speed(self.space, z, plane), grid.codes(plane), DECODED)))
        values = yield from self._measured(kind, grid.codes(plane))
        return field(grid, values, (yield from self.threshold(kind)))

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
    """How far encode(decode(z)) lies from z, (n, d) -> (n,): in mean σ, of points in the spread of the data; √ of the mean over
    dimensions of the squares. Where the decoder gives no finite number it is NaN.
    """
    again = space.posterior(space.decode_prepared(z))[0]
    if not codes.has_density:
        return cycle_errors(z, again, codes.whitening)
    return np.asarray(np.sqrt((np.square(again.astype(np.float64) - z) / codes.noise).mean(1)))


@torch.no_grad()
def speed(space: LatentSpace, z: NDArray[Any], plane: Plane) -> Doubles:
    """√det JᵀJ of the decoder along u and v at z (n, d), (n,): how much image a unit of the map's area spans."""
    if len(plane.u) == 1:
        return np.asarray(np.sqrt(np.square(pushed(space, z, plane.u)).sum(1)))
    along_u, along_v = pushed(space, z, plane.u), pushed(space, z, plane.v)
    uu, uv, vv = ((a * b).sum(1) for a, b in ((along_u, along_u), (along_u, along_v), (along_v, along_v)))
    return np.asarray(np.sqrt(np.maximum(uu * vv - uv * uv, 0)))


@torch.no_grad()
def pushed(space: LatentSpace, z: NDArray[Any], direction: Doubles) -> Doubles:
    """J(z) v for each z (n, d) and one v (d,) or one each (n, d), flat: (n, values), in units of the prepared data."""
    at = torch.from_numpy(np.asarray(z, np.float32)).to(space.device)
    along = torch.from_numpy(np.broadcast_to(direction, np.shape(z)).astype(np.float32)).to(space.device)
    return np.asarray(jvp(space.decoder, at, along).flatten(1).double().cpu().numpy())


def gram(space: LatentSpace, z: Doubles) -> Slices[Doubles]:
    """JᵀJ at z (d,), (d, d), some columns of J at a time."""
    unit = np.eye(len(z))
    columns = []
    for at in range(0, len(z), DECODED):
        some = unit[at : at + DECODED]
        columns.append(pushed(space, np.broadcast_to(z, some.shape), some))
        yield
    jacobian = np.concatenate(columns)
    return np.asarray(jacobian @ jacobian.T)


@torch.no_grad()
def decode(space: LatentSpace, z: NDArray[Any]) -> NDArray[np.float32]:
    """As `LatentSpace.decode`, without seeding a generator, for which a cursor would wait: the mean of p(x|z) draws nothing."""
    decoded = space.decoder(torch.from_numpy(np.array(z, np.float32)).to(space.device))
    return space.preparation.restore(decoded.cpu().numpy())
