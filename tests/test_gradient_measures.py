"""Gradients with and without the trick, the field of the KL, and the σ that the decoder's curvature asks for."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from scipy import stats
from torch.nn.functional import mse_loss

import legato
from legato.conditional import Conditional
from legato.distributions.fisher import logistic_information
from legato.errors import Mistake
from legato.families import Bernoulli, ContinuousBernoulli, Discretized, Family, Gaussian, Homoscedastic, Point
from legato.latents import Flat
from legato.measures.balance import Balance, curvature, force_balance, predicted_log_sigma
from legato.measures.draws import distance_to_normal, distance_to_own, distance_to_standard, posterior_draws
from legato.measures.estimate import Estimate
from legato.measures.field import arrows, kl_field
from legato.measures.gradients import (
    Estimators,
    bias,
    detach_test,
    estimators,
    leave_one_out,
    model_detach_test,
    model_estimators,
    signal_to_noise,
    variance_ratio,
)
from legato.model import LatentVariableModel
from legato.nets import mlp
from legato.priors import StandardNormal

D, LATENTS = 6, 3
affine = partial(mlp, depth=0)
small = partial(mlp, width=12, depth=1)


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


def build(likelihood: Family | None = None, posterior: Family | None = None, net=small) -> LatentVariableModel:
    torch.manual_seed(2)
    return LatentVariableModel(
        Flat(Conditional(net, posterior or Gaussian(), (D,), (LATENTS,)), StandardNormal((LATENTS,))),
        Conditional(net, likelihood or Homoscedastic(0.5), (LATENTS,), (D,)),
    ).double()


def data(n: int = 8) -> torch.Tensor:
    return (torch.randn(n, D, generator=torch.Generator().manual_seed(1)) > 0).double()


def quadratic(z: torch.Tensor) -> torch.Tensor:
    return (z**2).sum(-1)


def toy(d: int, draws: int, n: int = 1) -> dict[str, Estimators]:
    """f = ‖z‖² at μ = 2σ: the example of the claims."""
    return estimators(quadratic, torch.full((n, d), 2.0, dtype=torch.double), torch.ones(n, d, dtype=torch.double), draws)


# ------------------------------------------------------------------------------------------------ pathwise and score function


@pytest.mark.parametrize(
    ("d", "plain", "baseline", "n"),
    [(1, 87 / 4, 42 / 4, 100), (50, 64_424 / 4, 924 / 4, 2)],
)
def test_the_toy_of_the_claims_has_its_variance_ratios(d, plain, baseline, n):
    """In closed form by Gaussian moments: 22 and 16,000 without a baseline, 11 and 230 with one."""
    found = toy(d, 20_000, n)["mu"]
    assert variance_ratio(found, found.score).value == pytest.approx(plain, rel=0.03)
    with_one = variance_ratio(found, found.baseline)
    assert with_one.value == pytest.approx(baseline, rel=0.03)
    assert with_one.low < with_one.value < with_one.high
    assert with_one.n == n
    assert "20000 draws of each image" in with_one.method


def test_the_closed_form_of_the_toy_is_that_of_gaussian_moments():
    """E[f²ε²] with f = Σ(2 + ε_i)², by moments: the figures above, computed and not remembered."""
    e = {0: 1, 1: 0, 2: 1, 3: 0, 4: 3, 5: 0, 6: 15}

    def moment(power: int, extra: int) -> int:  # E[(2 + ε)^power ε^extra]
        return sum(math.comb(power, i) * 2 ** (power - i) * e[i + extra] for i in range(power + 1))

    first, second = moment(2, 0), moment(4, 0)
    for d, plain, with_baseline in [(1, 87 / 4, 42 / 4), (50, 64_424 / 4, 924 / 4)]:
        others, squares = (d - 1) * first, (d - 1) * (second - first**2) + ((d - 1) * first) ** 2
        noisy = moment(4, 2) + 2 * moment(2, 2) * others + squares
        mean = d * first
        cross = moment(2, 2) + others
        assert (noisy - 16) / 4 == plain
        assert (noisy - 2 * mean * cross + mean**2 - 16) / 4 == with_baseline


def test_the_interval_of_a_variance_ratio_holds_its_value_and_mostly_the_truth():
    inside = 0
    for seed in range(100):
        found = estimators(quadratic, torch.full((20, 1), 2.0).double(), torch.ones(20, 1).double(), 1000, seed)["mu"]
        one = variance_ratio(found, found.baseline)
        assert one.low < one.value < one.high
        inside += one.low < 42 / 4 < one.high
    assert inside >= 85  # ε⁶ has heavy tails: a little below 95 of 100


def test_the_interval_of_a_variance_ratio_is_over_images_that_differ():
    """Of images with μ of 1 to 3 at d = 1 the ratio by hand is a mean over many; one over 20 of them has it in its interval."""

    def ratio(mu: np.ndarray, seed: int) -> Estimate:
        posteriors = torch.from_numpy(mu[:, None]), torch.ones(len(mu), 1).double()
        found = estimators(quadratic, *posteriors, 400, seed)["mu"]
        return variance_ratio(found, found.score)

    rng, inside = np.random.default_rng(0), 0
    truth = ratio(np.linspace(1, 3, 2000), 0).value
    for seed in range(200):
        one = ratio(rng.uniform(1, 3, 20), seed)
        inside += one.low < truth < one.high
    assert inside >= 180


def test_every_estimator_has_the_closed_forms_mean():
    """E‖z‖² = ‖μ‖² + Σσ²: the gradient is 2μ by μ and 2σ² by log σ."""
    mu = torch.tensor([[0.5, -1.0, 2.0], [0.0, 0.3, -0.7]], dtype=torch.double)
    sigma = torch.tensor([[0.2, 1.0, 1.5], [0.7, 0.1, 2.0]], dtype=torch.double)
    for name, exact in {"mu": 2 * mu, "log_sigma": 2 * sigma**2}.items():
        found = estimators(quadratic, mu, sigma, 20_000)[name]
        for part in (found.pathwise, found.score, found.baseline):
            error = part.std(0) / math.sqrt(20_000)
            assert (np.abs(part.mean(0) - exact.numpy()) < 4 * error + 1e-12).all()


def test_a_leave_one_out_baseline_subtracts_the_mean_of_the_others():
    f = torch.tensor([[1.0], [2.0], [6.0]])
    assert leave_one_out(f).flatten().tolist() == pytest.approx([1 - 4, 2 - 3.5, 6 - 1.5])
    with pytest.raises(Mistake, match="2 draws"):
        leave_one_out(f[:1])


def test_a_gradient_that_is_shrunk_by_its_own_baseline_is_told_as_biased():
    found = estimators(quadratic, torch.full((60, 2), 2.0).double(), torch.ones(60, 2).double(), 400)["mu"]
    for unbiased in (found.score, found.baseline):
        verdict = bias(found, unbiased)
        assert verdict.low < 1 < verdict.high
        assert verdict.n == 60
    shrunk = bias(found, 0.3 * found.baseline)
    assert shrunk.low > 2
    assert bias(found, found.pathwise).why


def test_a_dimension_that_nothing_reads_is_left_out_of_the_ratio():
    mu = torch.full((50, 2), 2.0, dtype=torch.double)
    found = estimators(lambda z: z[..., 0] ** 2, mu, torch.ones_like(mu), 4000)["mu"]
    assert (found.pathwise[..., 1] == 0).all()
    assert variance_ratio(found, found.score).value == pytest.approx(87 / 4, rel=0.1)
    assert variance_ratio(found, found.score, np.array([True, False])).value == pytest.approx(87 / 4, rel=0.1)
    assert variance_ratio(found, found.score, np.array([False, True])).why


def test_signal_to_noise_is_the_closed_forms():
    """Toy at d = 1: E g = 4, Var 4 pathwise, 87 and 42 by score: 2, 0.43 and 0.62."""
    found = toy(1, 4000, 40)["mu"]
    for part, variance in ((found.pathwise, 4), (found.score, 87), (found.baseline, 42)):
        snr = signal_to_noise(found, part)
        assert snr.value == pytest.approx(4 / math.sqrt(variance), rel=0.02)
        assert snr.low < 4 / math.sqrt(variance) * 1.01
    assert signal_to_noise(found, np.zeros_like(found.score)).why


def test_no_signal_is_no_noise_taken_for_one():
    centred = estimators(quadratic, torch.zeros(30, 5).double(), torch.ones(30, 5).double(), 1000)["mu"]
    assert signal_to_noise(centred, centred.pathwise).value < 0.025  # the raw mean's norm would give 0.032


def test_the_models_estimators_are_of_its_own_distortion():
    model, x = build(Bernoulli()), data()
    found = model_estimators(model, x, 3000)
    for part in found.values():
        assert part.score.shape == (3000, 8, LATENTS)
        verdict = bias(part, part.baseline)
        assert verdict.value < 3
        assert variance_ratio(part, part.baseline).value > 1
    grad = _by_finite_differences(model, x)
    error = found["mu"].pathwise.std(0) / math.sqrt(3000)
    assert (np.abs(found["mu"].pathwise.mean(0) - grad) < 5 * error + 1e-3).all()


def _by_finite_differences(model: LatentVariableModel, x: torch.Tensor) -> np.ndarray:
    """∂/∂μ E_q[−log p(x|z)] with one set of draws on either side."""
    noise = torch.randn(3000, 8, LATENTS, generator=torch.Generator().manual_seed(9), dtype=torch.double)
    columns = []
    with torch.no_grad():
        q = model.latent.posterior(x).base_dist
        for j in range(LATENTS):
            step = 1e-4 * torch.eye(LATENTS, dtype=torch.double)[j]
            ends = [-model.likelihood(q.loc + s * step + q.scale * noise).log_prob(x).mean(0) for s in (1, -1)]
            columns.append((ends[0] - ends[1]) / 2e-4)
    return torch.stack(columns, 1).numpy()


def test_estimates_repeat_under_their_seed_and_leave_the_model_alone():
    model, x = build(), data()
    model.train()
    before = torch.get_rng_state()
    first, again, other = (model_estimators(model, x, 5, seed=seed)["mu"].score for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


# ------------------------------------------------------------------------------------------------ the detach test


def test_through_a_detached_draw_nothing_reaches_the_encoder():
    model, x = build(Bernoulli()), data()
    found = model_detach_test(model, x)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert found.n == 8


def test_a_frozen_model_is_tested_and_left_frozen(runs):
    space = legato.load(runs["bernoulli"], device="cpu")
    rows = torch.from_numpy(space.data().rows(space.data().split("test").draw(9, "tested")))
    assert model_detach_test(space.model, rows).value == 0.0
    assert not any(parameter.requires_grad for parameter in space.model.parameters())


def test_a_way_around_the_draw_is_found():
    """A loss that reads μ itself as well as z: with f = z + 3μ three quarters of the gradient remain."""
    mu = torch.zeros(2, 1, requires_grad=True)
    found = detach_test(lambda z: (z + 3 * mu).sum(), lambda: mu + torch.ones(2, 1), [mu])
    assert found.value == pytest.approx(0.75)
    assert detach_test(lambda z: (0 * z).sum(), lambda: mu + 1, [mu]).why


# ------------------------------------------------------------------------------------------------ what a draw is


def test_the_distance_is_that_of_scipy():
    z = np.random.default_rng(0).normal(0.3, 1.2, (500, 2, 3))
    found = distance_to_normal(z)
    assert found.shape == (2, 3)
    for i, j in np.ndindex(2, 3):
        assert found[i, j] == pytest.approx(stats.kstest(z[:, i, j], "norm").statistic)


def test_draws_of_the_trick_are_the_posteriors_and_not_a_standard_normal():
    model, x = build(), data()
    z, mu, sigma = posterior_draws(model, x, 4000)
    own, standard = distance_to_own(z, mu, sigma), distance_to_standard(z)
    assert own.high < 0.015
    assert own.n == 4000 * 8 * LATENTS
    exact = [_distance_of_normals(m, s) for m, s in zip(mu.ravel(), sigma.ravel(), strict=True)]
    assert standard.value == pytest.approx(np.mean(exact), abs=0.02)
    assert standard.low > 0.05
    assert standard.n == z.size
    assert distance_to_own(z, mu + 0.1, sigma).low > 0.02


def _distance_of_normals(mu: float, sigma: float) -> float:
    grid = np.linspace(-8, 8, 8001)
    return float(np.abs(stats.norm.cdf(grid, mu, sigma) - stats.norm.cdf(grid)).max())


def test_draws_that_are_no_numbers_are_refused():
    with pytest.raises(Mistake, match="not finite"):
        distance_to_standard(np.full((4, 2, 2), np.nan))
    with pytest.raises(Mistake, match="Gaussian posterior"):
        posterior_draws(build(posterior=Point()), data())


# ------------------------------------------------------------------------------------------------ the field


def test_the_kls_field_by_autograd_is_mu_and_sigma_squared_less_1():
    mu = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3
    log_sigma = torch.randn(50, 4, generator=torch.Generator().manual_seed(1))
    for dtype, near in ((torch.float, 1e-6), (torch.double, 1e-14)):
        by_mu, by_log_sigma = kl_field(mu.to(dtype), log_sigma.to(dtype))
        torch.testing.assert_close(by_mu, mu.to(dtype), rtol=near, atol=near)
        torch.testing.assert_close(by_log_sigma, (2 * log_sigma.to(dtype)).exp() - 1, rtol=near, atol=near)
    by_mu, by_log_sigma = kl_field(torch.tensor([2.0]), torch.tensor([-40.0]))
    assert (by_mu.item(), by_log_sigma.item()) == (2.0, -1.0)  # however small σ is, it is pulled by 1 and no more


def test_the_arrows_of_a_linear_gaussian_model_are_those_of_the_closed_form():
    """D = Σ(x − b − Wz)²/2s²: by μ it is −Wᵀ(x − b − Wμ)/s², by log σ_j [WᵀW]_jj σ_j²/s²."""
    model, x = build(net=affine), data()
    found, (w, b) = arrows(model, x, beta=2.5, draws=20_000), _decoder(model)
    slope = -(x.numpy() - b - found.mu @ w.T) @ w / 0.25
    assert found.distortion_by_mu == pytest.approx(slope, abs=0.1)
    widths = np.exp(2 * found.log_sigma)
    assert found.distortion_by_log_sigma == pytest.approx((w**2).sum(0) / 0.25 * widths, rel=0.1, abs=0.05)
    assert found.kl_by_mu == pytest.approx(2.5 * found.mu)
    assert found.kl_by_log_sigma == pytest.approx(2.5 * (widths - 1))


def _decoder(model: LatentVariableModel) -> tuple[np.ndarray, np.ndarray]:
    layer = model.likelihood.net.layers[0]
    return layer.weight.detach().numpy(), layer.bias.detach().numpy()


# ------------------------------------------------------------------------------------------------ the force balance


@pytest.mark.parametrize("beta", [0.3, 1.0, 4.0])
def test_the_balance_is_exact_at_the_optimum_of_a_linear_gaussian_model(beta):
    """The σ that minimises D + β KL, found by descent on the closed form, for W that is not even orthogonal."""
    model = build(net=affine)
    w, _ = _decoder(model)
    log_sigma = torch.zeros(LATENTS, dtype=torch.double, requires_grad=True)
    widths = torch.from_numpy((w**2).sum(0)) / 0.25
    optimiser = torch.optim.LBFGS(
        [log_sigma], max_iter=200, tolerance_grad=1e-14, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        variance = (2 * log_sigma).exp()
        loss = (0.5 * widths * variance + beta * (0.5 * variance - log_sigma)).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    found = force_balance(model, data(), beta)
    assert found.predicted == pytest.approx(np.tile(log_sigma.detach().numpy(), (8, 1)), abs=1e-7)


def test_the_balance_of_probabilistic_pca_is_its_posterior():
    """W with orthogonal columns: the exact posterior is diagonal, of variance [(I + WᵀW/s²)⁻¹]_jj."""
    model = build(net=affine)
    layer = model.likelihood.net.layers[0]
    with torch.no_grad():
        layer.weight.copy_(torch.linalg.qr(layer.weight)[0] * torch.tensor([0.3, 1.0, 2.5]))
    w, _ = _decoder(model)
    exact = np.linalg.inv(np.eye(LATENTS) + w.T @ w / 0.25)
    assert np.exp(2 * force_balance(model, data()).predicted) == pytest.approx(np.tile(exact.diagonal(), (8, 1)))
    assert np.exp(2 * force_balance(model, data(), draws=3).predicted[0]) == pytest.approx(exact.diagonal())


FAMILIES = [Bernoulli(), ContinuousBernoulli(), Homoscedastic(0.3), Homoscedastic(0.3, squashed=True), Discretized()]


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_the_curvature_is_the_whole_jacobians(family):
    """diag(JᵀWJ) beside reverse-mode Jacobians, one code at a time, and W as the variance of the score over draws or values."""
    model = build(family)
    z = torch.randn(5, LATENTS, dtype=torch.double)
    information = partial(family.information, event=(2,))
    found = curvature(model.likelihood.net, information, z, block=2)
    for row, code in zip(found, z, strict=True):
        jacobian = torch.autograd.functional.jacobian(lambda c: model.likelihood.net(c[None])[0], code)
        theta = model.likelihood.net(code[None]).detach()
        by_hand = [information(theta)(jacobian[..., j][None]).item() for j in range(LATENTS)]
        assert row.tolist() == pytest.approx(by_hand)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: type(family).__name__)
def test_the_information_is_the_expected_square_of_the_score(family):
    """E[(∂ log p(x|θ)/∂θ · t)²] over 40,000 draws of x from the distribution itself."""
    torch.manual_seed(0)
    shape = family.shape((2,))
    theta = torch.randn(1, *shape, dtype=torch.double).requires_grad_()
    tangent = torch.randn(1, *shape, dtype=torch.double)
    form = family.information(theta.detach(), (2,))(tangent).item()
    wide = theta.detach().expand(40_000, *shape).clone().requires_grad_()
    x = family(wide.detach(), (2,)).sample()
    (score,) = torch.autograd.grad(family(wide, (2,)).log_prob(x).sum(), wide)
    squares = (score * tangent).flatten(1).sum(1).square()
    assert abs(form - squares.mean()) < 5 * squares.std() / 200


def test_the_logistics_information_is_the_densitys_inside_and_nothing_at_the_ends():
    log_scale = torch.tensor([-3.0, -3.0, -1e-9 - 3], dtype=torch.double)
    mean = torch.tensor([0.5, -3.0, 4.0], dtype=torch.double)
    first, mixed, second = logistic_information(mean, log_scale)
    assert first[0] == pytest.approx(math.exp(6) / 3, rel=2e-3)
    assert mixed[0] == pytest.approx(0, abs=1e-3)
    assert second[0] == pytest.approx((3 + math.pi**2) / 9, rel=2e-2)
    assert (first[1:] < 1e-6 * first[0]).all()


def test_an_unknown_likelihood_is_refused_by_name():
    with pytest.raises(Mistake, match="`Gaussian` is not known"):
        Gaussian().information(torch.zeros(1, 2, 2), (2,))


def test_without_a_rate_there_is_no_balance():
    with pytest.raises(Mistake, match="`beta`"):
        predicted_log_sigma(np.ones((2, 2)), 0.0)


def test_r2_is_within_dimensions_and_of_active_ones():
    rng = np.random.default_rng(0)
    level, signal, noise = np.array([0.0, -5.0, 3.0]), rng.normal(size=(2000, 3)), rng.normal(size=(2000, 3))
    learnt = level + signal
    balance = Balance(learnt + 0.5 * noise, learnt, np.array([True, True, False]))
    y, x = learnt[:, :2], (learnt + 0.5 * noise)[:, :2]
    by_hand = 1 - ((y - x) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()
    assert balance.r2().value == pytest.approx(by_hand)
    assert balance.r2().low < by_hand < balance.r2().high
    correlations = [np.corrcoef(y[:, j], x[:, j])[0, 1] ** 2 * y[:, j].var() for j in range(2)]
    assert balance.fitted_r2().value == pytest.approx(sum(correlations) / y.var(0).sum())
    assert Balance(level + 0 * signal, learnt, balance.active).r2().value == pytest.approx(0, abs=0.01)  # levels earn nothing
    shifted = Balance(learnt + 1, learnt, balance.active)
    assert shifted.r2().value == pytest.approx(0, abs=0.1)
    assert shifted.fitted_r2().value == pytest.approx(1)
    assert Balance(learnt, learnt, np.zeros(3, bool)).r2().why
    assert Balance(learnt, np.tile(level, (2000, 1)), balance.active).r2().why


def test_a_trained_vaes_sigma_follows_from_its_decoder():
    """A VAE of curved data: the encoder's σ varies from image to image as the decoder's curvature says it has to."""
    torch.manual_seed(0)
    place = torch.rand(2000, 1) * 4 - 2
    x = torch.cat([place.exp() / 2, place, place**2 / 2], 1) + 0.1 * torch.randn(2000, 3)
    net = partial(mlp, width=32, depth=2)
    model = LatentVariableModel(
        Flat(Conditional(net, Gaussian(), (3,), (1,)), StandardNormal((1,))),
        Conditional(net, Homoscedastic(0.1), (1,), (3,)),
    )
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    for step in range(800):
        batch = x[step % 10 :: 10]
        trace = model(batch)
        loss = (trace.kl - trace.log_px.mean(0)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    found = force_balance(model, x[:400], draws=8)
    assert found.active.all()
    assert found.fitted_r2().value > 0.5
    assert mse_loss(torch.from_numpy(found.predicted), torch.from_numpy(found.learnt)) < 0.1
    wrong = force_balance(model, x[:400], beta=20.0)
    assert wrong.r2().value < found.r2().value
