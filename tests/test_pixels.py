"""The discretised logistic in one pass: its value and its derivatives beside the plain formula and finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from legato.distributions import IndependentBernoulli
from legato.distributions.pixels import BIN, LEVELS, SHARPEST, WIDEST, DiscretizedLogistic
from legato.families import Discretized

SCALES = (-1000.0, -89.0, -88.0, -40.0, -20.0, -12.0, -6.0, -4.0, -2.0, 0.0, 5.0, 40.0, 79.0, 81.0, 1000.0)
MEANS = (-1000.0, -0.7, 0.0, 1e-3, 0.1234, 100.2 / 255, 0.5, 0.999, 1.0, 1.3, 1000.0)


def plain(m: Tensor, log_s: Tensor, value: Tensor) -> Tensor:
    """log(σ(a) − σ(c)) = log σ(a) + log σ(−c) + log(1 − e^{c − a}), written out for autograd with masks for the end bins."""
    inverse = torch.exp(-log_s.clamp(SHARPEST, WIDEST))
    level = (value / BIN).round()
    a, c = ((level + 0.5) * BIN - m) * inverse, ((level - 0.5) * BIN - m) * inverse
    width = torch.log(-torch.expm1(-BIN * inverse)) - (log_s - WIDEST).clamp(min=0)
    below = torch.where(level < 0.5, 0.0, logsigmoid(-c))
    above = torch.where(level > LEVELS - 1.5, 0.0, logsigmoid(a))
    return torch.where((level > 0.5) & (level < LEVELS - 1.5), width, 0.0) + below + above


def every(dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """m, log s and x for each mean, each scale and some values, both ends among them."""
    grid = torch.tensor([0, 1, 2, 25, 99, 100, 101, 127, 200, 253, 254, 255], dtype=dtype) / 255
    parts = torch.cartesian_prod(torch.tensor(MEANS, dtype=dtype), torch.tensor(SCALES, dtype=dtype), grid)
    m, log_s, x = parts.unbind(1)
    return m.clone().requires_grad_(), log_s.clone().requires_grad_(), x.clone()


def derivatives(found: Tensor, *by: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(found.sum(), by))


def test_value_and_derivatives_are_those_of_the_plain_formula() -> None:
    m, log_s, x = every(torch.double)
    ours, theirs = DiscretizedLogistic(m, log_s).log_prob(x), plain(m, log_s, x)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)
    # Where nothing but rounding is left of a derivative, it is told in units of its own terms, up to 1/s of them.
    unit = torch.exp(-log_s.detach().clamp(SHARPEST, WIDEST))
    for mine, other, size in zip(derivatives(ours, m, log_s), derivatives(theirs, m, log_s), (unit, 1 + unit), strict=True):
        told = log_s.detach() != SHARPEST  # at the cut itself either side's derivative will do
        assert ((mine - other).abs()[told] <= 1e-12 * (other.abs() + 1e-3 * size)[told]).all()


@pytest.mark.parametrize("level", [0, 1, 100, 254, 255])
def test_derivatives_are_finite_differences(level: int) -> None:
    torch.manual_seed(0)
    m = (torch.rand(40, dtype=torch.double) * 1.4 - 0.2).requires_grad_()
    log_s = (torch.rand(40, dtype=torch.double) * 8 - 6).requires_grad_()
    x = torch.full((40,), level / 255, dtype=torch.double)
    assert torch.autograd.gradcheck(lambda m, log_s: DiscretizedLogistic(m, log_s).log_prob(x), (m, log_s))
    assert torch.autograd.gradgradcheck(lambda m, log_s: DiscretizedLogistic(m, log_s).log_prob(x), (m, log_s))


def test_single_precision_is_double_precision_to_its_rounding() -> None:
    torch.manual_seed(0)
    theta = torch.randn(64, 2, 3, 16, 16) * torch.tensor([0.3, 2.0])[:, None, None, None]
    x = torch.rand(64, 3, 16, 16).mul(255).round() / 255
    single, double = (theta.to(kind).requires_grad_() for kind in (torch.float32, torch.double))
    found, exact = (Discretized()(each, (3, 16, 16)).log_prob(x.to(each.dtype)) for each in (single, double))
    torch.testing.assert_close(found.double(), exact, rtol=2e-7, atol=1e-4)
    (by_single,), (by_double,) = derivatives(found, single), derivatives(exact, double)
    assert (by_single - by_double).abs().max() < 1e-5 * by_double.abs().max()


def test_one_image_under_many_draws_is_scored_as_under_each() -> None:
    torch.manual_seed(0)
    m, log_s = (torch.randn(5, 4, 7, dtype=torch.double, requires_grad=True) for _ in range(2))
    x = torch.rand(4, 7, dtype=torch.double).mul(255).round() / 255
    together = DiscretizedLogistic(m, log_s).log_prob(x)
    apart = torch.stack([DiscretizedLogistic(*each).log_prob(x) for each in zip(m, log_s, strict=True)])
    torch.testing.assert_close(together, apart)
    # and the other way round: the derivative by one m is a sum over all values
    one = DiscretizedLogistic(m[0, 0, 0], log_s[0, 0, 0]).log_prob(x)
    assert one.shape == x.shape
    sums = (derivatives(each, m)[0][0, 0, 0] for each in (one, plain(m[0, 0, 0], log_s[0, 0, 0], x)))
    torch.testing.assert_close(next(sums), next(sums))


def test_below_a_familys_least_scale_nothing_pulls_at_it() -> None:
    theta = torch.stack([torch.zeros(9), torch.full((9,), -30.0)])[None].requires_grad_()
    (found,) = derivatives(Discretized()(theta, (9,)).log_prob(torch.full((1, 9), 0.2)), theta)
    assert (found[:, 1] == 0).all()
    assert (found[:, 0] != 0).all()


def test_bernoullis_have_second_derivatives():
    """A penalty on a gradient asks for them; without a graph of the first ones they would be left out in silence."""
    torch.manual_seed(0)
    x, logits = (torch.rand(4, 6) > 0.5).double(), torch.randn(4, 6).double().requires_grad_()
    assert torch.autograd.gradgradcheck(lambda of: IndependentBernoulli(of, 1).log_prob(x), logits)
