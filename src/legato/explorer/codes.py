"""The posteriors of the images on the map under one model, encoded slice by slice, and what follows from them.

Covered: resumable encoding, so that several questions may wait for the same codes; moments, latent units, what each dimension
carries. Not covered: densities (density.py), projections (points.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.data.preparation import BLOCK
from legato.data.prepared import Prepared
from legato.errors import Mistake
from legato.explorer.worker import Slices
from legato.latent_space import LatentSpace
from legato.measures.collapse import IDLE, divergence
from legato.measures.whitening import Whitening
from legato.moments import Moments, of_rows
from legato.types import Floats

NUMBERS = 200_000  # values encoded in one slice: some milliseconds, whatever the size of an image
SPAN = 3.0  # of the aggregate's deviations, to either side: beyond three there are hardly any codes to slide to
MOST = 256  # dimensions that a page is told of one by one: a list of more is read by nobody
DEAD = 1e-4  # of the widest dimension's variance: where nothing charges for it, one that varies less carries nothing


@dataclass(frozen=True, eq=False)
class Codes:
    """μ and σ (n, d) of the map's images, in its order. Raises `Mistake` where the model gives no finite codes.

    `has_density`: whether they are clouds, σ their width. `prior`: z (n, d) -> log p(z) (n,), nats, where it is not N(0, I).
    """

    mu: Floats
    sigma: Floats
    has_density: bool
    charged: bool  # whether leaving the prior was charged for: where not, a KL is no price
    prior: Callable[[NDArray[Any]], NDArray[np.float64]] | None = None

    def __post_init__(self) -> None:
        if not (np.isfinite(self.mu).all() and np.isfinite(self.sigma).all()):
            raise Mistake("the model gives codes that are not finite: the run diverged, train it anew")

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """E μ, (d,)."""
        # summed in double precision: of 10⁵ codes single precision would lose digits
        return np.asarray(self.mu.mean(0, dtype=np.float64))

    @cached_property
    def signal(self) -> NDArray[np.float64]:
        """Var μ, (d,)."""
        return np.asarray(self.mu.var(0, dtype=np.float64))

    @cached_property
    def noise(self) -> NDArray[np.float64]:
        """E σ², (d,)."""
        return np.asarray(np.square(self.sigma).mean(0, dtype=np.float64))

    @cached_property
    def moments(self) -> Moments:
        """Cov μ."""
        return of_rows(self.mu)

    @cached_property
    def population(self) -> Moments:
        """Cov μ + diag(E σ²): of the aggregate posterior."""
        return self.moments.with_noise(self.noise)

    @cached_property
    def whitening(self) -> Whitening:
        """Latent units: the aggregate posterior's own deviations."""
        return Whitening.fit(self.mu, self.sigma)

    @cached_property
    def white(self) -> Floats:
        """μ in latent units, (n, d)."""
        return self.whitening.apply(self.mu).astype(np.float32)

    def log_prior(self, z: NDArray[np.float64]) -> NDArray[np.float64]:
        """log p(z), (n, d) -> (n,), nats."""
        if self.prior is not None:
            return self.prior(z)
        return np.asarray(-0.5 * (np.square(z).sum(1) + z.shape[1] * np.log(2 * np.pi)))

    def nearest(self, z: NDArray[Any], k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Places in the map's order of the k codes nearest to z (d,), and their whitened distances."""
        squares = np.square(self.white - self.whitening.apply(z).astype(np.float32)).sum(1)
        k = min(k, len(squares))
        # Partitioned, then only k sorted: a hand waits for this among 10⁵ codes. Ties go by place, so that answers repeat.
        near = np.argpartition(squares, k - 1)[:k]
        near = near[np.lexsort((near, squares[near]))]
        return near, np.sqrt(squares[near], dtype=np.float64)

    def dimensions(self) -> list[dict[str, Any]]:
        """The dimensions and what each carries, the `MOST` most informative first: by KL, by Std μ where none is charged."""
        kl = divergence(self.mu.astype(np.float64), self.sigma.astype(np.float64)).mean(0) if self._has_kl else None
        reach = SPAN * np.sqrt(self.signal + self.noise)
        idle = IDLE if self._has_kl else DEAD * self.signal.max()
        # Stable: dimensions of equal KL (collapsed ones) keep their order between two answers.
        return [
            {
                "index": int(j),
                "kl": None if kl is None else float(kl[j]),
                "std": float(np.sqrt(self.signal[j])),
                "sigma": float(self.sigma[:, j].mean(dtype=np.float64)),
                "low": float(self.mean[j] - reach[j]),
                "high": float(self.mean[j] + reach[j]),
                "collapsed": bool(self.signal[j] <= idle),
            }
            # by place where equal, so that two answers list them alike
            for j in np.argsort(-(self.signal if kl is None else kl), kind="stable")[:MOST]
        ]

    @property
    def _has_kl(self) -> bool:
        # A divergence from N(0, I) says nothing where the prior is another, and is no price where none was charged.
        return self.has_density and self.charged and self.prior is None


class Encoding:
    """Encodes rows (n,) of a source by one model, a slice at each `advance`; `done` when `codes` are there.

    Whoever waits for the codes advances them: two questions for the same do the work once, and neither waits for the other.
    """

    def __init__(self, space: LatentSpace, prepared: Prepared, rows: NDArray[np.int64]) -> None:
        self.codes: Codes | None = None
        self._failed: Exception | None = None
        # μ, σ and μ in latent units: what they will take, for the cache counts it before they are there
        self.nbytes = 3 * 4 * len(rows) * space.latent_dim
        self._work = self._slices(space, prepared, rows)

    @property
    def done(self) -> bool:
        """True where all is encoded."""
        return self.codes is not None

    def advance(self) -> None:
        """Encodes one slice more. What went wrong once goes wrong again when asked again."""
        if self._failed is not None:
            raise self._failed
        try:
            # One generator for all who wait: each `next` moves it for all of them.
            next(self._work)
        except Exception as error:
            # Kept: a generator that has raised is exhausted, and would answer the next one with StopIteration.
            self._failed = error
            raise

    def _slices(self, space: LatentSpace, prepared: Prepared, rows: NDArray[np.int64]) -> Slices[None]:
        # Allocated once: parts that grow would double the memory where they are joined.
        mu, sigma = np.empty((2, len(rows), space.latent_dim), np.float32)
        yield from encoded_into(mu, sigma, space, prepared, rows)
        prior = None if space.has_standard_prior else space.log_prior
        self.codes = Codes(mu, sigma, space.has_width, space.prior_was_trained, prior)
        yield


def encoded(space: LatentSpace, prepared: Prepared, rows: NDArray[np.int64]) -> Slices[tuple[Floats, Floats]]:
    """μ and σ (n, d) of these rows, in their order."""
    mu, sigma = np.empty((2, len(rows), space.latent_dim), np.float32)
    yield from encoded_into(mu, sigma, space, prepared, rows)
    return mu, sigma


def encoded_into(mu: Floats, sigma: Floats, space: LatentSpace, prepared: Prepared, rows: NDArray[np.int64]) -> Slices[None]:
    """The same into memory that is there; each row as of its own class, where the model reads it.

    In the order of the source, whose rows lie on disk and are drawn in blocks.
    """
    order = np.argsort(rows, kind="stable")  # stable: the order of equal rows must not depend on the platform
    # Rows of one slice: so few that a cursor need not wait, and never so few that a call costs more than its work.
    size = max(16, min(512, NUMBERS // int(np.prod(space.shape))))
    # Block by block of the source: binarised pixels are drawn for whole blocks, and a block drawn twice costs twice.
    starts = np.flatnonzero(np.diff(rows[order] // BLOCK, prepend=-1))
    for block in np.split(order, starts[1:]):
        x = space.prepare(prepared.dataset.take(rows[block]), rows[block])
        labels = space.labels(prepared, rows[block])
        for at in range(0, len(block), size):
            part, some = block[at : at + size], slice(at, at + size)
            mu[part], sigma[part] = space.posterior(x[some], None if labels is None else labels[some])
            yield
