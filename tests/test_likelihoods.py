"""The laws of likelihoods beyond the plain ones: probabilities of a byte's values add up to one; tails are those of SciPy."""

from __future__ import annotations

import pytest
import torch
from scipy import stats
from torch.testing import assert_close

from legato.distributions import BIN
from legato.errors import Mistake
from legato.families import Discretized
from legato.likelihoods import EachValue, Heavy, MixedLogistics

GRID = torch.arange(256).double() * BIN


@pytest.mark.parametrize("family", [MixedLogistics(), MixedLogistics(1), EachValue()])
@pytest.mark.parametrize("scale", [0.0, 1.0, 30.0])
def test_the_probabilities_of_all_values_add_up_to_one(family, scale):
    torch.manual_seed(0)
    theta = scale * torch.randn(*family.shape((3,)), dtype=torch.float64)
    chances = torch.stack([family(theta, (3,)).base_dist.log_prob(value.expand(3)) for value in GRID]).exp()
    assert_close(chances.sum(0), torch.ones(3).double())
    assert ((GRID[:, None] * chances).sum(0) >= 0).all()


def test_each_value_says_its_mean():
    theta = torch.randn(256, 4, dtype=torch.float64)
    q = EachValue()(theta, (4,)).base_dist
    assert_close(q.mean, torch.softmax(theta, 0).T @ GRID)
    assert_close(q.sample((200_000,)).mean(0), q.mean, atol=0.01, rtol=0)


def test_one_component_is_the_discretised_logistic_itself():
    theta = torch.randn(3, 5, dtype=torch.float64)
    mixed, plain = MixedLogistics(1)(theta, (5,)), Discretized()(theta[1:], (5,))
    x = GRID[torch.randint(256, (5,))]
    assert_close(mixed.log_prob(x), plain.log_prob(x))  # at one component the mean's start is ½ too
    with pytest.raises(Mistake, match="1 or more"):
        MixedLogistics(0)


def test_components_lie_apart_from_the_start():
    q = MixedLogistics(3)(torch.zeros(9, 1, dtype=torch.float64), (1,)).base_dist
    assert_close(q.component_distribution.loc[0], torch.tensor([0.25, 0.5, 0.75]).double())


def test_long_tails_are_those_of_scipy():
    family = Heavy((4,)).double()
    with torch.no_grad():
        family.freedom.copy_(torch.tensor([-20.0, 0.0, 3.0, 50.0]))
        x, middle = 5 * torch.randn(7, 4, dtype=torch.float64), torch.randn(7, 4, dtype=torch.float64)
        found = family(middle, (4,)).base_dist.log_prob(x)
    nu, scale = family.nu.detach().numpy(), family.scale.detach().numpy()
    assert_close(found, torch.from_numpy(stats.t.logpdf(x.numpy(), nu, middle.numpy(), scale)))
    assert (nu > 2).all() or nu.min() == pytest.approx(2)
