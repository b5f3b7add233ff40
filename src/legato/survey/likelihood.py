"""What the model gives of test images: distortion, rate, evidence bounds, and the widths of its posteriors."""

from __future__ import annotations

import numpy as np
import torch

from legato.measures.estimate import Estimate, absent, mean_over
from legato.measures.likelihood import score
from legato.survey.chapter import Chapter, Found
from legato.survey.visit import Visit

BATCH, DRAWS = 500, 4  # test rows at once; draws of z for distortion and rate
POINT = "the posterior is a point: it has neither rate nor likelihood"


def bounds(visit: Visit) -> Found:
    """Distortion of every test row, rate and ELBO where the posterior has a density."""
    space = visit.subject.space
    assert space is not None
    x = visit.shared.test.x
    batches = (torch.from_numpy(x[i : i + BATCH]).to(space.device) for i in range(0, len(x), BATCH))
    found = score(space.model, batches, DRAWS, visit.seed)
    figures = {"distortion": mean_over(found.distortion, "nats", f"-log p(x|z), {DRAWS} draws of z")}
    if found.rate is None:
        return figures | dict.fromkeys(("rate", "elbo"), absent(POINT, "nats")), {}
    figures["rate"] = mean_over(found.rate, "nats", "KL(q(z|x) || p(z))")
    figures["elbo"] = mean_over(-(found.distortion + found.rate), "nats", f"ELBO at beta = 1, {DRAWS} draws of z")
    return figures, {}


def widths(visit: Visit) -> Found:
    """σ as it is, beside 1, and beside the spread of the means."""
    mu, sigma = visit.test.mu.astype(np.float64), visit.test.widths.astype(np.float64)
    logs = np.log(sigma)
    relative = logs - np.log(mu.std(0))
    figures = {
        "sigma": _geometric(logs.mean(1), "geometric mean of sigma over dimensions and rows", "latent units"),
        "distance of sigma from 1": mean_over(np.abs(logs).mean(1), "nats", "mean of |log sigma|"),
        "noise ratio": _geometric(relative.mean(1), "geometric mean of sigma_j / Std(mu_j)", "ratio"),
        "spread of means": _geometric(
            np.log(np.abs(mu - mu.mean(0)) + 1e-30).mean(1), "geometric mean of |mu_j|", "latent units"
        ),
    }
    return figures, {"sigma": sigma.mean(0).tolist(), "spread": mu.std(0).tolist()}


def _geometric(logs: np.ndarray, method: str, unit: str) -> Estimate:
    """exp of a mean and of its interval's ends."""
    one = mean_over(logs, unit, method)
    assert one.value is not None
    low, high = (None if end is None else float(np.exp(end)) for end in (one.low, one.high))
    return Estimate(float(np.exp(one.value)), low, high, one.n, unit, one.method)


BOUNDS = Chapter("likelihood", ("distortion", "rate", "elbo"), bounds, ("likelihood",))
WIDTHS = Chapter("widths", ("sigma", "distance of sigma from 1", "noise ratio", "spread of means"), widths, ("noise",))
