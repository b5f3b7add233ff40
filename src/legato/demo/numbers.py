"""The demo's table: every figure an estimate over images, with its floor and its control."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from legato.data.prepared import Prepared
from legato.demo.members import Member
from legato.measures.estimate import Estimate, mean_over
from legato.measures.likelihood import score
from legato.measures.samples import NearestReal

TESTED, DRAWS = 2000, 4  # test images, and draws of z for each
SAMPLES, REAL = 1000, 20_000  # decoded samples, and the training digits they are compared with


@dataclass(frozen=True)
class Row:
    """One model's figures. `elbo` and `sigma` are None where a point mass has none."""

    member: Member
    elbo: Estimate | None
    distortion: Estimate
    sigma: float | None  # geometric mean of σ over dimensions and images
    relative: float | None  # the same over the spread of the means: what a decoder notices
    reconstructed: Estimate  # distances to real digits: of reconstructions,
    from_prior: Estimate  # of samples from N(0, I),
    from_codes: Estimate  # and from a Gaussian fitted to the codes


@dataclass(frozen=True)
class Yardstick:
    """What the distances are read against."""

    nearest: NearestReal
    floor: Estimate  # held-out real digits
    mean_image: Estimate  # the mean digit: how much the distance likes blur


def yardstick(data: Prepared) -> Yardstick:
    """Fits the PCA and the index on training digits; measures the floor and the control."""
    rows = np.asarray(data.dataset.rows)
    real = data.preparation.original(rows[data.split("train").draw(REAL, "real digits")])
    nearest = NearestReal(real)
    held_out = data.preparation.original(rows[data.split("test").draw(SAMPLES, "held-out digits")])
    return Yardstick(nearest, nearest.estimate(held_out), nearest.estimate(real.mean(0, keepdims=True)))


def measure(member: Member, data: Prepared, against: Yardstick, seed: int) -> Row:
    """One row: ELBO and distortion on test digits, σ, and how far samples lie from real digits."""
    space = member.space
    tested = data.split("test").draw(TESTED, "tested digits")
    found = score(space.model, (torch.from_numpy(x).to(space.device) for x in data.batches(tested, 500)), DRAWS, seed)
    mu, sigma = space.encode(np.asarray(data.dataset.rows)[tested], tested)
    width = float(np.exp(np.log(sigma).mean())) if space.has_density else None
    return Row(
        member,
        None if found.rate is None else mean_over(-(found.distortion + found.rate), "nats", "ELBO at beta = 1"),
        mean_over(found.distortion, "nats", "-log p(x|z)"),
        width,
        None if width is None else float(np.exp((np.log(sigma) - np.log(mu.std(0))).mean())),
        against.nearest.estimate(space.reconstruct(np.asarray(data.dataset.rows)[tested[:SAMPLES]], tested[:SAMPLES])),
        against.nearest.estimate(space.sample(SAMPLES, seed=seed, origin="prior")),
        against.nearest.estimate(space.sample(SAMPLES, seed=seed, origin="codes")),
    )
