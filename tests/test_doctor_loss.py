"""The charge of a loss: losses whose β is known, and the faults that public implementations have."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from legato.doctor.advice import advice
from legato.doctor.loss import Point, differences, of_loss
from legato.errors import Mistake

B, D, K = 16, 30, 5


def point(dtype=torch.float64) -> Point:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(B, 1, 5, 6, generator=generator, dtype=dtype)
    rebuilt = (x + 0.1 * torch.randn(x.shape, generator=generator, dtype=dtype)).clamp(0.02, 0.98)
    mu = torch.randn(B, K, generator=generator, dtype=dtype)
    return Point(x, rebuilt, mu, -1 + torch.randn(B, K, generator=generator, dtype=dtype))


AT = point()
APART = float((AT.rebuilt - AT.x).square().mean())


def kl(mu, log_variance):
    return -0.5 * (1 + log_variance - mu.square() - log_variance.exp()).flatten(1).sum(1)


def bce(x, rebuilt, reduction="sum"):
    return F.binary_cross_entropy(rebuilt, x, reduction=reduction)


def bound(x, rebuilt, mu, log_variance):
    return (bce(x, rebuilt) + kl(mu, log_variance).sum()) / len(x)


def gaussian(x, rebuilt, mu, log_variance):
    """Of the scale that is likeliest: D/2 log of the mean square (σ-VAE, https://arxiv.org/abs/2006.13202)."""
    return 0.5 * D * (rebuilt - x).square().mean().log() + kl(mu, log_variance).mean()


def logits(x, rebuilt, mu, log_variance):
    return (F.binary_cross_entropy_with_logits(rebuilt, x, reduction="sum") + 3 * kl(mu, log_variance).sum()) / len(x)


def laplace(x, rebuilt, mu, log_variance):
    return D * (rebuilt - x).abs().mean().log() + 2 * kl(mu, log_variance).mean()


def averaged_pixels(x, rebuilt, mu, log_variance):
    return F.mse_loss(rebuilt, x) + kl(mu, log_variance).mean()


def doubled(x, rebuilt, mu, log_variance):
    return (2 * bce(x, rebuilt) + kl(mu, log_variance).sum()) / len(x)


KNOWN = {
    bound: 1.0,
    gaussian: 1.0,
    logits: 3.0,
    laplace: 2.0,
    averaged_pixels: D / (2 * APART),  # a squared pixel weighs 1/D, and 1/2s² in nats
    doubled: 0.5,
}


@pytest.mark.parametrize("loss", KNOWN, ids=lambda loss: loss.__name__)
def test_the_effective_beta_of_a_loss_that_is_known(loss):
    found = of_loss(loss, AT)
    assert found["effective beta"].value == pytest.approx(KNOWN[loss], rel=1e-6)
    assert found["likeness to a KL"].value == pytest.approx(1)
    assert found["lost gradient"].value == 0
    assert found["batch dependence"].value == pytest.approx(0, abs=1e-6)


def test_the_charge_is_in_the_losss_own_unit_for_a_mean_and_for_a_sum():
    for loss in (bound, lambda *parts: len(parts[0]) * bound(*parts)):
        found = of_loss(loss, AT)
        assert found["charge on the KL"].value == pytest.approx(1)
        assert found["weight of the reconstruction"].value == pytest.approx(1)


def test_both_ways_to_differentiate_agree():
    by_autograd, by_differences = differences(bound, AT)
    np.testing.assert_allclose(by_autograd, by_differences, rtol=1e-5, atol=1e-8)


def test_the_right_ones_raise_no_alarm():
    for loss in (bound, gaussian):
        told = {key: advice(key, one) for key, one in of_loss(loss, AT).items()}
        assert {key: one.tone for key, one in told.items() if one.tone not in (None, "good")} == {}
        assert told["effective beta"].says == "A nat of rate costs a nat of distortion: the evidence bound."


def no_charge(x, rebuilt, mu, log_variance):
    return bce(x, rebuilt) / len(x) + 0 * kl(mu, log_variance).mean()


def clamped(x, rebuilt, mu, log_variance):
    return bce(x, rebuilt) / len(x) + kl(mu, log_variance).mean().clamp(0, 0)


@pytest.mark.parametrize("loss", [no_charge, clamped])
def test_a_kl_that_is_not_charged_is_found(loss):
    found = of_loss(loss, AT)
    assert (found["charge on the KL"].value, found["effective beta"].value) == (0, 0)
    assert {advice(key, found[key]).tone for key in ("charge on the KL", "effective beta")} == {"bad"}


def features(x):
    return torch.stack([x.diff(dim=-1).flatten(1).sum(1), x.square().flatten(1).sum(1)], 1)


def perceptual(x, rebuilt, mu, log_variance):
    return bound(x, rebuilt, mu, log_variance) + (features(rebuilt) - features(x)).square().mean()


def perceptual_without(x, rebuilt, mu, log_variance):
    with torch.no_grad():
        seen = (features(rebuilt) - features(x)).square().mean()
    return bound(x, rebuilt, mu, log_variance) + seen


def test_a_term_without_a_gradient_is_found_and_one_with_it_is_not():
    lost, whole = (of_loss(loss, AT)["lost gradient"] for loss in (perceptual_without, perceptual))
    assert advice("lost gradient", lost).tone == "bad"
    assert advice("lost gradient", whole).tone == "good"
    narrow = of_loss(perceptual, point(torch.float32))["lost gradient"]
    assert advice("lost gradient", narrow).tone == "good"


def test_a_likelihood_that_is_none_has_no_beta():
    found = of_loss(lambda x, rebuilt, mu, v: (rebuilt - x).pow(4).sum() + kl(mu, v).sum(), AT)
    assert found["effective beta"].value is None
    assert found["charge on the KL"].value == pytest.approx(1)


def test_a_beta_that_grows_with_the_batch_is_found():
    found = of_loss(lambda x, rebuilt, mu, v: bce(x, rebuilt) / len(x) + kl(mu, v).sum(), AT)
    assert found["batch dependence"].value == pytest.approx(1)
    assert advice("batch dependence", found["batch dependence"]).tone == "bad"


def test_what_is_no_kl_is_found():
    found = of_loss(lambda x, rebuilt, mu, v: bce(x, rebuilt) + mu.abs().sum() + v.square().sum(), AT)
    assert found["likeness to a KL"].value < 0.9


def test_a_loss_that_is_no_number_is_refused():
    with pytest.raises(Mistake, match="expected one number"):
        of_loss(lambda x, rebuilt, mu, v: kl(mu, v), AT)
    with pytest.raises(Mistake, match="not finite"):
        of_loss(lambda x, rebuilt, mu, v: kl(mu, v).sum() * math.nan, AT)
