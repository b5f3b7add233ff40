"""How far importance weights are off where Pareto k̂ says so: -log p(x) of test digits on a grid beside `legato evaluate`.

    legato train vae --data mnist --latent-dim 2 --net mlp --width 512 --depth 2 --steps 3481 --threads 2 --out runs/weights
    python records/weights.py runs/weights [--n 200] [--points 701]

A RUN of 2 latents with a Bernoulli likelihood: log p(x) is a sum over points x points codes in [-7, 7]^2. Prints how much too
high the nll is at fixed k, by what k̂ says of each digit, and with k = auto, by how many draws each got. 2 minutes on one core.
"""

from __future__ import annotations

import argparse
import math
from datetime import date

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

import legato
from legato.measures.as_needed import score_as_needed
from legato.measures.likelihood import Scores, score
from legato.measures.tails import UNTRUSTED, untrusted_share
from legato.model import LatentVariableModel

HALF = 7.0


@torch.no_grad()
def exact(model: LatentVariableModel, x: Tensor, points: int) -> np.ndarray:
    """log p(x), (n,): the sum of p(x|z) p(z) over a grid, row by row."""
    grid, flat = torch.linspace(-HALF, HALF, points), x.flatten(1)
    total = torch.full((len(x),), -math.inf, dtype=torch.double)
    for first in grid:
        z = torch.stack([first.expand(points), grid], 1)
        logits = model.likelihood.net(z).flatten(1)
        log_px = (flat @ logits.T - softplus(logits).sum(1)).double()
        log_p = -0.5 * z.double().square().sum(1) - math.log(2 * math.pi)
        total = torch.logaddexp(total, torch.logsumexp(log_px + log_p, 1))
    return (total + 2 * math.log(2 * HALF / (points - 1))).numpy()


def told(name: str, found: Scores, truth: np.ndarray) -> None:
    """How much too high the nll is, and for whom."""
    assert found.log_px is not None
    off = truth - found.log_px
    error, share = 1.96 * off.std(ddof=1) / math.sqrt(len(off)), untrusted_share(found.k_hat).value
    print(f"{name}: nll {-found.log_px.mean():.2f}, too high by {off.mean():.2f} ± {error:.2f}; untrusted {share:.1%}")
    light = ~(found.k_hat > UNTRUSTED)
    groups = {"k-hat at most 0.7": light, "k-hat above 0.7": ~light}
    if found.draws is not None:
        groups = {f"{k:,.0f} draws" if k else "annealed": found.draws == k for k in np.unique(found.draws)}
    for title, rows in groups.items():
        if rows.any():
            print(f"    {title}: {rows.sum()} digits, too high by {off[rows].mean():.2f}, at most {off[rows].max():.2f}")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("--n", type=int, default=200)
    parser.add_argument("--points", type=int, default=701)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    space = legato.load(chosen.run, device="cpu", threads=1)
    data = space.data()
    x = torch.from_numpy(data.rows(data.split("test").draw(chosen.n, "weighed")))
    truth = exact(space.model, x, chosen.points)
    print(f"{date.today()}, {chosen.run}: -log p(x) of {len(x)} test digits, by a grid: {-truth.mean():.2f}")
    for k in (100, 1000, 10_000):
        told(f"k = {k:,}", score(space.model, x.split(100), k), truth)
    told("k = auto", score_as_needed(space.model, x.split(100)), truth)


if __name__ == "__main__":
    main()
