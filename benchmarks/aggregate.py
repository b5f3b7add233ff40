"""What the aggregate posterior costs, beside the matrix products that it is made of, and how accurate it is.

    python benchmarks/aggregate.py [--rounds 3] [--threads 2]

Every ratio is taken within one run: contestants take turns, and each keeps its least time. "Products" is the same arithmetic
with no exponential, no maximum and no sum: [z², z, 1] times the posteriors' table in double precision, in the blocks that serve
it best. Covered: time by N, d and draws; errors against plain float64 differences by σ. Not covered: trained models.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial

import numpy as np
import torch
from scipy.special import logsumexp
from throughput import processor

from legato.measures.aggregate import COLUMNS, ROWS, draw, log_aggregate, sample_posteriors
from legato.measures.holes import kde_bandwidth
from legato.measures.marginals import log_aggregate_marginals
from legato.measures.overlap import nearest_overlap

SIZES = (  # N, d, draws
    (60_000, 32, 1_000),
    (60_000, 32, 4_000),
    (60_000, 32, 10_000),
    (15_000, 32, 4_000),
    (60_000, 8, 4_000),
    (60_000, 128, 4_000),
)
SIGMAS = (1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0)
Posteriors = tuple[np.ndarray, np.ndarray]


def posteriors(n: int, d: int, sigma: float = 0.2) -> Posteriors:
    """As an encoder's: means of variance 1, widths that vary by half around `sigma`."""
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, d)).astype(np.float32), (sigma * np.exp(0.4 * rng.normal(size=(n, d)))).astype(np.float32)


def products(n: int, d: int, draws: int, rows: int, columns: int) -> None:
    """The bare products, (draws, 2d + 1) by (2d + 1, n), and nothing is done with them."""
    left = torch.ones(draws, 2 * d + 1, dtype=torch.double)
    right = [torch.ones(2 * d + 1, min(columns, n - at), dtype=torch.double) for at in range(0, n, columns)]
    for part in torch.split(left, rows):
        for block in right:
            part @ block


def least(
    contestants: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, float]:
    """The least seconds of each; they take turns, so that what slows the machine slows all of them."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            began = clock()
            run()
            times[name].append(clock() - began)
    return {name: min(found) for name, found in times.items()}


def beside_products(
    n: int, d: int, draws: int, rounds: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[float, dict[str, float]]:
    """(seconds of the bare products, in the blocks that serve them best; seconds of the joint density and the marginals)."""
    mu, sigma = posteriors(n, d)
    z, _ = sample_posteriors(mu, sigma, draws)
    bare = {
        "blocks": partial(products, n, d, draws, ROWS, COLUMNS),
        "wide": partial(products, n, d, draws, ROWS, 4 * COLUMNS),
    }
    ours = {"joint": partial(log_aggregate, z, mu, sigma), "marginals": partial(log_aggregate_marginals, z, mu, sigma)}
    found = least(bare | ours, rounds, clock)
    return min(found[name] for name in bare), {name: found[name] for name in ours}


def costs(rounds: int) -> Iterator[str]:
    yield f"{'N':>7} {'d':>4} {'draws':>7} {'products':>9} {'joint':>8} {'ratio':>6} {'marginals':>10}  seconds"
    for n, d, draws in SIZES:
        bare, found = beside_products(n, d, draws, rounds)
        times = f"{bare:9.2f} {found['joint']:8.2f} {found['joint'] / bare:6.2f} {found['marginals']:10.2f}"
        yield f"{n:7,} {d:4} {draws:7,} {times}"


def others(rounds: int) -> Iterator[str]:
    mu, sigma = posteriors(60_000, 32)
    contestants = {
        "draw, 10,000": partial(draw, mu, sigma, 10_000),
        "nearest overlap, 500 images": partial(nearest_overlap, mu, sigma),
        "bandwidth, 500 of 60,000 codes": partial(kde_bandwidth, mu),
    }
    for name, seconds in least(contestants, rounds).items():
        yield f"{name}: {seconds:.2f} s"


def accuracy(scales: Iterable[float] = SIGMAS) -> Iterator[str]:
    """The largest error of 200 draws among 5,000 posteriors, d = 32, against differences taken first in float64."""
    yield f"{'sigma':>8} {'joint':>10} {'marginals':>10} {'expanded in float32':>20}  largest error, nats"
    for scale in scales:
        mu, sigma = (a.astype(np.float64) for a in posteriors(5_000, 32, scale))
        z, _ = sample_posteriors(mu, sigma, 200)
        by_hand = np.stack([-0.5 * ((row - mu) / sigma) ** 2 - np.log(sigma) for row in z])  # (200, N, d)
        by_hand -= 0.5 * np.log(2 * np.pi)
        truth, marginal = (logsumexp(a, 1) - np.log(len(mu)) for a in (by_hand.sum(2), by_hand))
        errors = (log_aggregate(z, mu, sigma) - truth, log_aggregate_marginals(z, mu, sigma) - marginal)
        joint, by_dimension = (float(np.abs(error).max()) for error in errors)
        plain = float(np.abs(in_single(z, mu, sigma) - truth).max())
        yield f"{scale:8.0e} {joint:10.1e} {by_dimension:10.1e} {plain:20.1e}"


def in_single(z: np.ndarray, mu: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """What the same product gives in single precision: the mistake that double precision is there to avoid."""
    z, mu, precision = (a.astype(np.float32) for a in (z, mu, 1 / sigma**2))
    powers = -0.5 * z**2 @ precision.T + z @ (mu * precision).T
    constant = (0.5 * np.log(precision) - 0.5 * mu**2 * precision).sum(1) - 0.5 * z.shape[1] * np.log(2 * np.pi)
    return np.asarray(logsumexp((powers + constant).astype(np.float64), 1) - np.log(len(mu)))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--threads", type=int, default=2)
    chosen = options.parse_args()
    torch.set_num_threads(chosen.threads)
    print(f"{processor()}, {chosen.threads} threads, torch {torch.__version__}, least of {chosen.rounds} rounds")
    for lines in (accuracy(), costs(chosen.rounds), others(chosen.rounds)):
        for line in lines:
            print(line, flush=True)
        print()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"most memory of the whole run, torch and SciPy included: {peak:.2f} GB")


if __name__ == "__main__":
    main()
