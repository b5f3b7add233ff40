"""The likelihood of test images: distortion, rate, evidence bounds, and the widths of the posteriors."""

from __future__ import annotations

import numpy as np
import torch

from legato.measures.annealed import annealed_likelihood, bidirectional
from legato.measures.collapse import divergence
from legato.measures.estimate import Estimate, absent, mean_over
from legato.measures.likelihood import KS, importance_curve, score
from legato.measures.tails import untrusted_share
from legato.streams import random_stream
from legato.survey.chapter import Chapter, Found
from legato.survey.evaluation import Evaluation

FEW = 20  # test rows at once: with 5,000 draws of each some 10⁵ weights are in memory, whatever the model
# test rows at once on the CPU, and few draws: distortion is a mean over thousands of rows, whose spread exceeds the draws'
BATCH, DRAWS = 500, 4
LEFT_OUT = "left out: it costs as much as all the rest of such a survey"
POINT = "the posterior is a point: it has neither rate nor likelihood"


def bounds(evaluation: Evaluation) -> Found:
    """Distortion of every test row, rate and ELBO where the posterior has a density."""
    space = evaluation.subject.space
    if space is None:
        return by_function(evaluation), {}
    x = evaluation.shared.test.x
    size = space.model.together(BATCH)
    batches = (torch.from_numpy(x[i : i + size]).to(space.device) for i in range(0, len(x), size))
    found = score(space.model, batches, DRAWS, evaluation.seed)
    figures = {"distortion": mean_over(found.distortion, "nats", f"-log p(x|z), {DRAWS} draws of z")}
    if found.rate is None:
        return figures | dict.fromkeys(("rate", "elbo"), absent(POINT, "nats")), {}
    figures["rate"] = mean_over(found.rate, "nats", "KL(q(z|x) || p(z))")
    if why := space.recipe.no_likelihood:
        return figures | {"elbo": absent(why, "nats")}, {}
    figures["elbo"] = mean_over(-(found.distortion + found.rate), "nats", f"ELBO at beta = 1, {DRAWS} draws of z")
    return figures, {}


def by_function(evaluation: Evaluation) -> dict[str, Estimate]:
    """The same from `log_px(x, z)`; the rate, ½ Σ (μ² + σ² − 1 − log σ²), is that of a prior N(0, I)."""
    x, mu, sigma = evaluation.shared.test.x, evaluation.test.mu, evaluation.test.sigma
    noise = random_stream(evaluation.seed, "distortion")
    # A point is its own only draw: more of them would be the same evaluation again.
    draws = [mu] if sigma is None else [mu + sigma * noise.standard_normal(mu.shape, np.float32) for _ in range(DRAWS)]
    distortion = -np.mean([evaluation.subject.log_px(x, z) for z in draws], 0)
    figures = {"distortion": mean_over(distortion, "nats", f"-log p(x|z), {len(draws)} draws of z")}
    if sigma is None:
        return figures | dict.fromkeys(("rate", "elbo"), absent(POINT, "nats"))
    # In double precision: near σ = 1 the terms σ² − 1 − log σ² nearly cancel.
    rate = divergence(mu.astype(np.float64), sigma.astype(np.float64)).sum(1)
    figures["rate"] = mean_over(rate, "nats", "KL(q(z|x) || N(0, I))")
    figures["elbo"] = mean_over(-(distortion + rate), "nats", f"ELBO at beta = 1, {DRAWS} draws of z")
    return figures


def weighted(evaluation: Evaluation) -> Found:
    """log p(x) by importance weighting over k, whether its weights can be trusted, and the ELBO of the very same rows."""
    space, x = evaluation.subject.space, evaluation.shared.test.x[: evaluation.effort.weighted]
    assert space is not None
    if why := space.recipe.no_likelihood if len(x) else LEFT_OUT:
        return dict.fromkeys(WEIGHTED.measures, absent(why, "nats")), {}
    # The largest asked for is always there: the figure is the bound at that k.
    ks = [k for k in KS if k <= evaluation.effort.draws] + [evaluation.effort.draws]
    batches = (torch.from_numpy(x[i : i + FEW]).to(space.device) for i in range(0, len(x), FEW))
    found = importance_curve(space.model, batches, ks, evaluation.seed)
    curve = found.estimates()
    figures = {
        "nll": curve[max(curve)].scaled(-1, "nats", f"minus the {curve[max(curve)].method}"),
        "effective draws": mean_over(found.ess, "draws", f"(sum w)^2 / sum w^2 of {max(curve)} importance weights"),
        "untrusted share": untrusted_share(found.k_hat),
        # of the very same rows and draws: beside the other ELBO it shows what few rows change
        "elbo of the weighted rows": curve[1].scaled(1, "nats", f"ELBO at beta = 1, mean log weight of {max(curve)} draws"),
    }
    return figures, {"log-likelihood by k": {str(k): one.value for k, one in curve.items()}}


def annealed(evaluation: Evaluation) -> Found:
    """log p(x) from below by annealing from q(z|x), on real images; and the gap of both bounds on the model's own."""
    space, n = evaluation.subject.space, evaluation.effort.annealed
    assert space is not None
    if why := space.recipe.no_likelihood if n else LEFT_OUT:
        return dict.fromkeys(ANNEALED.measures, absent(why, "nats")), {}
    x = torch.from_numpy(evaluation.shared.test.x[:n]).to(space.device)
    figures = {
        "annealed bound": annealed_likelihood(space.model, x, seed=evaluation.seed).estimate(),
        "annealed gap": bidirectional(space.model, n, seed=evaluation.seed).gap(),
    }
    return figures, {}


def widths(evaluation: Evaluation) -> Found:
    """σ as it is, beside 1, and beside the spread of the means."""
    mu, sigma = evaluation.test.mu.astype(np.float64), evaluation.test.widths.astype(np.float64)
    logs = np.log(sigma)
    figures = {
        "sigma": _geometric(logs.mean(1), "geometric mean of sigma over dimensions and rows", "latent units"),
        "distance of sigma from 1": mean_over(np.abs(logs).mean(1), "nats", "mean of |log sigma|"),
        "noise ratio": _noise_ratio(logs, mu),
        "spread of means": _geometric(
            # a mean that is the centre itself has no logarithm; 10⁻³⁰ is far below any spread
            np.log(np.abs(mu - mu.mean(0)) + 1e-30).mean(1),
            "geometric mean of |mu_j|",
            "latent units",
        ),
    }
    return figures, {"sigma": np.exp(logs.mean(0)).tolist(), "spread": mu.std(0).tolist()}


def _noise_ratio(logs: np.ndarray, mu: np.ndarray) -> Estimate:
    """exp of the mean of log sigma_j - log Std(mu_j), with what each row adds to either.

    The spread is an estimate too. A row moves log Std(mu_j) by ½((μ_j − m_j)²/Var μ_j − 1)/n: its influence.
    """
    spread = mu.std(0)
    # A dimension that is dead has no spread to be beside: the ratio would be infinite.
    if still := int((spread == 0).sum()):
        return absent(f"{still} of {len(spread)} dimensions have one mean for all images: they have no spread")
    influence = 0.5 * (((mu - mu.mean(0)) / spread) ** 2 - 1)
    return _geometric((logs - np.log(spread) - influence).mean(1), "geometric mean of sigma_j / Std(mu_j)", "ratio")


def _geometric(logs: np.ndarray, method: str, unit: str) -> Estimate:
    """exp of a mean and of its interval's ends."""
    one = mean_over(logs, unit, method)
    assert one.value is not None
    low, high = (None if end is None else float(np.exp(end)) for end in (one.low, one.high))
    return Estimate(float(np.exp(one.value)), low, high, one.n, unit, one.method)


BOUNDS = Chapter("likelihood", ("distortion", "rate", "elbo"), bounds)
WIDTHS = Chapter("widths", ("sigma", "distance of sigma from 1", "noise ratio", "spread of means"), widths)
WEIGHTED = Chapter(
    "importance weights",
    ("nll", "effective draws", "untrusted share", "elbo of the weighted rows"),
    weighted,
)
ANNEALED = Chapter("annealing", ("annealed bound", "annealed gap"), annealed)
