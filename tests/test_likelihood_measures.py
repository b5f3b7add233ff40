"""log p(x) three ways, beside evidence that is known: importance weighting, its diagnosis, annealing from both sides."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch.distributions import Independent, Laplace, MultivariateNormal

from legato.conditional import Conditional
from legato.errors import Mistake
from legato.families import Bernoulli, Gaussian, Homoscedastic, Point
from legato.latents import Flat
from legato.measures.annealed import Effort, anneal, annealed_likelihood, bidirectional
from legato.measures.as_needed import LADDER, Ladder, draws_needed, score_as_needed
from legato.measures.hamiltonian import Tempered, adapted, move, noise
from legato.measures.likelihood import bounds, effective_sample_size, importance_curve, score
from legato.measures.posterior import log_joint
from legato.measures.tails import fit_pareto, pareto_k, settled, tail_length, trust, untrusted_share
from legato.model import LatentVariableModel
from legato.nets import mlp
from legato.priors import StandardNormal

D, LATENTS, NOISE = 7, 3, 0.6


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


def affine(given, out):
    return mlp(given, out, depth=0)


def linear(posterior=None, likelihood=None, seed: int = 0) -> LatentVariableModel:
    """x = W z + b + noise: probabilistic PCA, whose evidence has a closed form. The encoder is random: a poor posterior."""
    torch.manual_seed(seed)
    return LatentVariableModel(
        Flat(Conditional(affine, posterior or Gaussian(), (D,), (LATENTS,)), StandardNormal((LATENTS,))),
        Conditional(affine, likelihood or Homoscedastic(NOISE), (LATENTS,), (D,)),
    ).double()


def evidence(model: LatentVariableModel, x: torch.Tensor) -> np.ndarray:
    """log N(x; b, W Wᵀ + s² I)."""
    layer = model.likelihood.net.layers[0]
    w, b = layer.weight.detach(), layer.bias.detach()
    return MultivariateNormal(b, w @ w.T + NOISE**2 * torch.eye(D)).log_prob(x).numpy()


def exact_posterior(model: LatentVariableModel) -> LatentVariableModel:
    """The same model with the encoder that a linear-Gaussian model has where W has orthogonal columns."""
    layer = model.likelihood.net.layers[0]
    with torch.no_grad():
        layer.weight.copy_(torch.linalg.qr(layer.weight)[0] * torch.tensor([0.9, 1.4, 2.0]))
        precision = 1 + (layer.weight**2).sum(0) / NOISE**2
        encoder = model.latent.q.net.layers[0]
        encoder.weight[:LATENTS] = layer.weight.T / NOISE**2 / precision[:, None]
        encoder.weight[LATENTS:] = 0
        encoder.bias[:LATENTS] = -encoder.weight[:LATENTS] @ layer.bias
        encoder.bias[LATENTS:] = -0.5 * precision.log()
    return model


def data(n: int = 40, seed: int = 3) -> torch.Tensor:
    return torch.randn(n, D, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


# ------------------------------------------------------------------------------------------------ the curve


def test_the_curve_at_the_largest_k_is_the_score_of_as_many_draws():
    model, x = linear(), data()
    curve, found = importance_curve(model, x.split(15), (1, 5, 60), seed=4), score(model.eval(), x.split(15), 60, seed=4)
    assert np.allclose(curve.bounds[:, -1], found.log_px, rtol=1e-12)
    assert np.allclose(curve.ess, found.ess, rtol=1e-12)
    assert curve.bounds.shape == (40, 3)


def test_below_the_largest_k_the_bound_is_the_mean_over_disjoint_groups():
    log_w = torch.randn(23, 4, dtype=torch.double) * 3
    found = bounds(log_w, (1, 5, 23)).numpy()
    w = np.exp(log_w.numpy())
    by_hand = np.mean([np.log(w[at : at + 5].mean(0)) for at in (0, 5, 10, 15)], 0)  # the last 3 draws make no group of 5
    assert np.allclose(found[:, 0], log_w.mean(0))
    assert np.allclose(found[:, 1], by_hand)
    assert np.allclose(found[:, 2], np.log(w.mean(0)))


def test_the_bound_at_k_has_the_expectation_of_k_fresh_draws():
    """For normal log-weights E log mean exp is the same whichever k of the draws are taken: compare with independent sets."""
    torch.manual_seed(0)
    log_w = torch.randn(4000, 300, dtype=torch.double) * 1.5
    fresh = torch.logsumexp(torch.randn(10, 60_000, dtype=torch.double) * 1.5, 0) - math.log(10)
    found = bounds(log_w, (10,))
    error = fresh.std() / math.sqrt(len(fresh))
    assert abs(found.mean() - fresh.mean()) < 5 * error


def test_the_curve_rises_to_the_exact_evidence():
    model, x = linear(), data(200)
    curve = importance_curve(model, x.split(50), (1, 10, 100, 4000))
    found = curve.estimates()
    assert list(found) == [1, 10, 100, 4000]
    assert found[1].value < found[10].value < found[100].value < found[4000].value
    assert found[4000].value == pytest.approx(evidence(model, x).mean(), abs=0.3)  # a poor encoder: 4,000 weights are few
    assert "k = 100" in found[100].method
    assert found[100].n == 200


def test_with_the_exact_posterior_every_weight_is_the_evidence():
    model, x = exact_posterior(linear()), data()
    curve = importance_curve(model, [x], (1, 50))
    assert np.allclose(curve.bounds, evidence(model, x)[:, None], atol=1e-9)
    assert curve.ess == pytest.approx(np.full(40, 50.0))
    assert (curve.k_hat == 0).all()


@pytest.mark.parametrize("ks", [(), (0, 3), (5, 24)])
def test_a_k_that_the_draws_do_not_hold_is_refused(ks):
    with pytest.raises(Mistake, match="`ks`"):
        bounds(torch.zeros(23, 2), ks)


def test_the_curve_leaves_the_model_and_the_generator_as_they_were():
    model, x = linear(), data(5)
    model.train()
    before = torch.get_rng_state()
    first = importance_curve(model, [x], (30,))
    assert model.training
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(first.bounds, importance_curve(model, [x], (30,)).bounds)


# ------------------------------------------------------------------------------------------------ below float32's grain


def shrunk(grain: float) -> LatentVariableModel:
    """A model in float32 whose σ is `grain` of μ, about (300, −600, 900), and whose decoder gives some 0 there."""
    torch.manual_seed(0)
    model, mu = linear().float(), torch.tensor([300.0, -600.0, 900.0])
    with torch.no_grad():
        encoder, decoder = model.latent.q.net.layers[0], model.likelihood.net.layers[0]
        encoder.weight[LATENTS:] = 0
        encoder.bias.copy_(torch.cat([mu, (grain * mu.abs()).log()]))
        decoder.bias.copy_(-decoder.weight @ mu)
    return model


@pytest.mark.parametrize("grain", [1e-6, 1e-7, 3e-8, 1e-8])
def test_at_one_draw_the_bound_is_the_elbo_also_where_the_noise_is_below_the_rounding_of_mu(grain):
    model, x = shrunk(grain).eval(), data(3000).float()
    found = score(model, x.split(1000), 1)
    gap = found.log_px + found.distortion + found.rate  # Σ ½(ε² − 1) − μσε, σ² being nothing
    spread = math.sqrt(LATENTS / 2 + grain**2 * (300**4 + 600**4 + 900**4))
    assert abs(gap.mean()) < 4 * spread / math.sqrt(len(gap))
    assert gap.std() == pytest.approx(spread, rel=0.1)


@pytest.mark.parametrize("grain", [1e-7, 1e-8])
def test_weights_of_vanishing_noise_are_those_of_double_precision(grain):
    model, x = shrunk(grain).eval(), data(800).float()
    single, double = (
        score(m, y.split(400), 100, seed=s)
        for s, (m, y) in enumerate([(model, x), (copy.deepcopy(model).double(), x.double())])
    )
    for name in ("log_px", "ess"):
        ours, theirs = getattr(single, name), getattr(double, name)
        assert abs(ours.mean() - theirs.mean()) < 4 * math.hypot(ours.std(), theirs.std()) / math.sqrt(800) + 0.01
    assert 2 < double.ess.mean() < 50


# ------------------------------------------------------------------------------------------------ tails


@pytest.mark.parametrize("shape", [-0.3, 0.1, 0.5, 0.9, 1.5])
def test_the_fit_finds_the_shape_and_scale_of_generalised_pareto_samples(shape):
    rng = np.random.default_rng(0)
    excess = np.sort(stats.genpareto.rvs(shape, scale=2.5, size=(4000, 12), random_state=rng), 0)
    k, sigma = fit_pareto(excess)
    assert k.mean() == pytest.approx(shape, abs=0.03)
    assert sigma.mean() == pytest.approx(2.5, rel=0.03)
    likelihood = stats.genpareto.fit(excess[:, 0], floc=0)  # another implementation: maximum likelihood
    assert k[0] == pytest.approx(likelihood[0], abs=0.02)


@pytest.mark.parametrize("shape", [0.2, 0.5, 1.0])
def test_the_tail_of_pareto_weights_has_their_shape(shape):
    """w = U^(−k) has survival w^(−1/k): its tail above any cut is generalised Pareto with that k."""
    u = np.random.default_rng(1).random((20_000, 30))
    found = pareto_k(-shape * np.log(u) - 900)  # far below what exp can hold
    assert found.mean() == pytest.approx((424 * shape + 5) / 434, abs=0.03)


def test_the_fit_is_that_of_the_published_algorithm_image_by_image():
    """Zhang & Stephens in the plain loops of the paper's appendix, with PSIS's prior."""
    log_w = np.random.default_rng(2).normal(0, 2.0, (500, 6))
    found = pareto_k(log_w)
    for column, k_hat in zip(log_w.T, found, strict=True):
        ordered = np.sort(np.exp(column))
        m = math.ceil(min(0.2 * 500, 3 * math.sqrt(500)))
        x = ordered[-m:] - ordered[-m - 1]
        x_star, grid = x[math.floor(m / 4 + 0.5) - 1], 30 + math.floor(math.sqrt(m))
        theta = [1 / x[-1] + (1 - math.sqrt(grid / (j - 0.5))) / (3 * x_star) for j in range(1, grid + 1)]
        ks = [-np.mean(np.log(1 - t * x)) for t in theta]
        log_l = [m * (math.log(t / k) + k - 1) for t, k in zip(theta, ks, strict=True)]
        weights = [1 / sum(math.exp(other - own) for other in log_l) for own in log_l]
        mean = sum(w * t for w, t in zip(weights, theta, strict=True))
        k = np.mean(np.log(1 - mean * x))
        assert k_hat == pytest.approx((m * k + 5) / (m + 10), rel=1e-9)


def test_the_tail_is_a_fifth_of_few_draws_and_three_roots_of_many():
    assert [tail_length(k) for k in (20, 100, 225, 5000)] == [4, 20, 45, 213]


def test_weights_that_agree_have_no_tail_and_one_that_is_all_has_an_endless_one():
    equal = np.full((100, 1), -300.0) + np.random.default_rng(0).normal(0, 1e-6, (100, 1))
    single = np.r_[np.zeros((99, 1)), [[900.0]]]
    assert list(pareto_k(np.c_[equal, single])) == [0.0, math.inf]
    assert pareto_k(np.zeros((20, 3))) is None


def test_what_is_not_to_be_trusted_is_said_in_words():
    k_hat = np.array([0.2, 0.69, 0.71, math.inf])
    assert untrusted_share(k_hat).value == 0.5
    assert "not to be trusted for 2 of 4 examples" in trust(k_hat)
    assert "can be trusted" in trust(k_hat[:2])
    assert "not known" in trust(None)
    assert "21" in untrusted_share(None).why
    annealed = np.array([0.2, 0.9, math.nan, math.nan])
    assert untrusted_share(annealed).value == 0.25
    assert "2 annealed examples" in untrusted_share(annealed).method
    assert "for 1 of 4 examples" in trust(annealed)
    assert "2 others were annealed" in trust(annealed)
    assert "2 others were annealed" in trust(annealed[2:])


def test_the_diagnosis_of_a_score_is_that_of_its_own_weights():
    model, x = linear().eval(), data()
    found = score(model, x.split(15), 60, seed=4)
    assert np.array_equal(found.k_hat, importance_curve(model, x.split(15), (60,), seed=4).k_hat)
    assert score(model, [x], 20).k_hat is None
    assert score(model, [x], 21).k_hat.shape == (40,)


def test_fewer_draws_settle_less():
    assert [settled(k) for k in (100, 1000, 2155, 10**6)] == pytest.approx([0.5, 2 / 3, 0.7, 0.7], abs=1e-4)


def test_a_weight_that_is_no_number_is_refused():
    log_w = np.zeros((50, 3))
    log_w[7, 1] = math.nan
    with pytest.raises(Mistake, match="1 of 3"):
        pareto_k(log_w)


def test_effective_sample_size_of_hand_made_weights():
    log_w = torch.tensor([[1.0, 1.0, 2.0, 0.0]], dtype=torch.double).T.log() + 800
    assert effective_sample_size(log_w.double()).item() == pytest.approx(16 / 6)


# ------------------------------------------------------------------------------------------------ as many as needed


def test_an_exact_posterior_needs_the_fewest_draws_and_a_poor_one_annealing():
    x = data()
    torch.manual_seed(0)
    assert set(draws_needed(exact_posterior(linear()), x)) == {LADDER.first}
    needed = draws_needed(linear(), x)
    assert (needed == 0).mean() > 0.2
    assert set(needed) <= {0, 250, 500, 1000}


def test_bounds_as_needed_close_most_of_the_gap_that_as_many_draws_for_all_leave():
    model, x = linear(), data(150)
    exact = evidence(model, x)
    found, weighted = score_as_needed(model, x.split(50), seed=1), score(model, x.split(50), LADDER.most, seed=1)
    slack = exact - found.log_px
    assert -3 * slack.std() / math.sqrt(len(x)) < slack.mean() < 0.1
    assert (exact - weighted.log_px).mean() > 3 * slack.mean()
    assert untrusted_share(found.k_hat).value < 0.1 < 0.3 < untrusted_share(weighted.k_hat).value


def test_what_an_example_gets_is_its_own_in_any_order_and_fixed_by_the_seed():
    model, x = linear(), data(60)
    found, again, other = (score_as_needed(model, x.split(25), s, Ladder(50, 100, Effort(8, 20, 2))) for s in (2, 2, 3))
    plain = score(model.eval(), [x], 1)
    assert np.allclose(found.mu, plain.mu)
    assert np.allclose(found.rate, plain.rate)
    assert np.array_equal(np.isnan(found.k_hat), found.draws == 0)
    for name in ("log_px", "distortion", "draws", "ess"):
        assert np.array_equal(getattr(found, name), getattr(again, name))
    assert not np.array_equal(found.log_px, other.log_px)
    exact = evidence(model, x)
    assert np.corrcoef(found.log_px, exact)[0, 1] > 0.98  # each its own: the evidence varies by many nats


def test_estimates_at_a_chosen_number_of_draws_are_unbiased_since_other_draws_chose_it():
    """E w = p(x) for those that got 25, 50 or annealing alike; of draws chosen by their own k̂ it is not."""
    model = exact_posterior(linear())
    with torch.no_grad():
        model.latent.q.net.layers[0].bias[:LATENTS] += 0.25
    x = data(1).expand(6000, -1)
    exact = evidence(model, x[:1])
    found = score_as_needed(model, x.split(2000), ladder=Ladder(25, 50, Effort(2, 4, 1)))
    for k in (0, 25, 50):
        ratio = np.exp(found.log_px[found.draws == k] - exact)
        assert len(ratio) > 100
        assert abs(ratio.mean() - 1) < 4 * ratio.std() / math.sqrt(len(ratio))
    own = score(model, x.split(2000), 25, seed=1)
    chosen = np.exp(own.log_px[own.k_hat <= settled(25)] - exact)
    assert chosen.mean() < 1 - 5 * chosen.std() / math.sqrt(len(chosen))


class LaplaceFamily(Gaussian):
    """A posterior that cannot be annealed from."""

    def forward(self, theta, event):
        mu, log_scale = theta.unbind(-2)
        return Independent(Laplace(mu, log_scale.exp()), 1)


def test_where_the_posterior_is_no_gaussian_the_most_draws_are_taken_and_the_rest_is_flagged():
    found = score_as_needed(linear(LaplaceFamily()), [data()], ladder=Ladder(30, 60))
    assert set(found.draws) <= {30, 60}
    assert not np.isnan(found.k_hat).any()
    assert untrusted_share(found.k_hat).value > 0.2


@pytest.mark.parametrize("ends", [(20, 50), (100, 50)])
def test_a_ladder_that_is_none_is_refused(ends):
    with pytest.raises(Mistake, match="first number of draws"):
        Ladder(*ends)


# ------------------------------------------------------------------------------------------------ Hamiltonian moves


def tempered(n: int = 4) -> tuple[Tempered, torch.Tensor]:
    model, x = linear(), data(n)
    with torch.no_grad():
        q = model.latent.posterior(x).base_dist
    return Tempered(log_joint(model, x), q.loc, q.scale), x


def test_the_gradient_of_the_energy_is_that_of_finite_differences():
    target, _ = tempered()
    u = torch.randn(2, 4, LATENTS, dtype=torch.double)
    energy, gradient = target.energy(u, 0.3)
    for j in range(LATENTS):
        step = torch.zeros(LATENTS, dtype=torch.double)
        step[j] = 1e-6
        by_hand = (target.energy(u + step, 0.3)[0] - target.energy(u - step, 0.3)[0]) / 2e-6
        assert torch.allclose(gradient[..., j], by_hand, atol=1e-6)
    ratio = target.energy(u, 0.0)[0] - target.energy(u, 1.0)[0]
    assert torch.allclose(target.log_ratio(u), ratio)
    assert not energy.requires_grad


def test_a_trajectory_forth_and_back_ends_where_it_began():
    """The leapfrog is reversible: with the final momentum turned round it retraces its steps, which detailed balance needs."""
    target, _ = tempered()
    u, beta, size = torch.randn(1, 4, LATENTS, dtype=torch.double), 0.7, 0.1

    def leapfrog(place, speed, size):
        for _ in range(6):
            speed = speed - 0.5 * size * target.energy(place, beta)[1]
            place = place + size * speed
            speed = speed - 0.5 * size * target.energy(place, beta)[1]
        return place, speed

    same = torch.Generator().manual_seed(5)
    momentum = noise(u.shape, u, same)
    short = (size * (0.5 + 0.5 * torch.rand(1, 4, generator=same, dtype=torch.double)))[..., None]
    there, speed = leapfrog(u, momentum, short)
    back, _ = leapfrog(there, -speed, short)
    assert torch.allclose(back, u, atol=1e-10)
    moved, chance = move(target, u, beta, torch.full((1, 4), size), 6, torch.Generator().manual_seed(5))
    taken = (moved != u).any(-1)
    assert torch.allclose(moved[taken], there[taken], atol=1e-10)
    assert (chance > 0.5).all()


@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_moves_keep_the_tempered_density(beta):
    """Exact draws stay exact draws: the tempered density of a linear-Gaussian model is a Gaussian of known moments."""
    target, x = tempered(2)
    layer = linear().likelihood.net.layers[0]
    w = layer.weight.detach()
    own = torch.diag_embed(target.sigma**-2)
    precision = beta * (torch.eye(LATENTS) + w.T @ w / NOISE**2) + (1 - beta) * own
    pull = beta * (x - layer.bias.detach()) @ w / NOISE**2 + (1 - beta) * target.mu / target.sigma**2
    exact = MultivariateNormal(torch.linalg.solve(precision, pull), precision_matrix=precision)
    torch.manual_seed(0)
    u, generator = (exact.sample((4000,)) - target.mu) / target.sigma, torch.Generator().manual_seed(0)
    steps = adapted(target, u[:50], [0.0] + [beta] * 40, 3, generator).mean(0).expand(4000, 2)
    for _ in range(6):
        u, chance = move(target, u, beta, steps, 3, generator)
    z = target.mu + target.sigma * u
    error = exact.stddev / math.sqrt(4000)
    assert ((z.mean(0) - exact.mean).abs() < 4 * error).all()
    for image, covariance in enumerate(exact.covariance_matrix):
        variances = covariance.diag()
        error = ((variances[:, None] * variances + covariance**2) / 4000).sqrt()
        assert ((torch.cov(z[:, image].T) - covariance).abs() < 4 * error).all()
    assert 0.5 < chance.mean() < 0.9


def test_a_trajectory_of_one_period_still_forgets_its_start():
    """On N(0, I) ten steps of 2π/10 come back to the start; the random factor breaks the orbit."""
    flat = Tempered(lambda z: -0.5 * (z**2).sum(-1), torch.zeros(1, 2), torch.ones(1, 2))
    u, generator = torch.full((500, 1, 2), 2.5), torch.Generator().manual_seed(0)
    for _ in range(5):
        u, _ = move(flat, u, 1.0, torch.full((500, 1), 2 * math.pi / 10), 10, generator)
    assert abs(u.mean()) < 0.2


def test_a_diverged_trajectory_is_rejected():
    target, _ = tempered()
    u = torch.randn(2, 4, LATENTS, dtype=torch.double)
    wild = Tempered(lambda z: target.log_joint(z) * torch.inf, target.mu, target.sigma)
    moved, chance = move(wild, u, 1.0, torch.full((2, 4), 0.5), 3, torch.Generator().manual_seed(0))
    assert torch.equal(moved, u)
    assert (chance == 0).all()


# ------------------------------------------------------------------------------------------------ annealing


def test_the_exact_evidence_lies_between_the_two_bounds():
    model = linear()
    found = bidirectional(model, 60, Effort(chains=8, temperatures=60, leapfrogs=4))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = torch.randn(60, LATENTS, dtype=torch.double)
        x = model.likelihood(z).sample()
    exact = evidence(model, x)
    below, above = exact - found.lower, found.upper - exact
    for slack in (below, above):
        error = slack.std() / math.sqrt(60)
        assert slack.mean() > -3 * error
        assert slack.mean() < 0.1
    gap = found.gap()
    assert gap.value == pytest.approx((found.upper - found.lower).mean())
    assert gap.value < 0.15
    assert found.acceptance.mean() == pytest.approx(0.65, abs=0.15)


def test_the_bounds_close_as_the_effort_grows():
    model = linear()
    gaps = [bidirectional(model, 40, Effort(2, temperatures, 3)).gap().value for temperatures in (2, 8, 64)]
    assert gaps[0] > 2 * gaps[1] > 4 * gaps[2] > -0.1


def test_annealing_beats_as_many_importance_weights_where_the_encoder_is_poor():
    model, x = linear(), data(50)
    exact = evidence(model, x)
    found = annealed_likelihood(model, x, Effort(4, 60, 3, block=20))
    weighted = importance_curve(model, [x], (4,)).bounds[:, 0]
    slack = exact - found.lower
    assert -3 * slack.std() / math.sqrt(50) < slack.mean() < 0.2
    assert (exact - weighted).mean() > 1
    assert found.upper is None
    assert "simulated" in found.gap().why
    assert found.estimate().n == 50


def test_one_temperature_is_plain_importance_sampling():
    model, x = linear(), data(5)
    with torch.no_grad():
        q = model.latent.posterior(x).base_dist
    generator = torch.Generator().manual_seed(0)
    found = anneal(log_joint(model, x), q.loc, q.scale, Effort(200, 1, 1), generator)
    curve = importance_curve(model, [x] * 40, (200,), seed=1).bounds.reshape(40, 5)
    assert (np.abs(found.lower - curve.mean(0)) < 5 * curve.std(0)).all()


def test_the_weights_are_unbiased_even_with_few_coarse_temperatures():
    """E w = p(x) at any effort, 1/E w likewise from the reverse: the bounds are Jensen's alone."""
    model = exact_posterior(linear())
    with torch.no_grad():
        model.latent.q.net.layers[0].bias[:LATENTS] += 0.15  # nearly the posterior: weights of small variance
        x = data(30)
        q = model.latent.posterior(x).base_dist
    found = anneal(log_joint(model, x), q.loc, q.scale, Effort(3000, 3, 2), torch.Generator().manual_seed(0))
    assert np.abs(found.lower - evidence(model, x)).max() < 0.05


def test_an_image_is_scored_alike_in_any_block_up_to_its_draws():
    model, x = linear(), data(12)
    whole, again = (annealed_likelihood(model, x, Effort(8, 30, 3)) for _ in range(2))
    parts = annealed_likelihood(model, x, Effort(8, 30, 3, block=5))
    assert np.array_equal(whole.lower, again.lower)
    assert np.abs(whole.lower - parts.lower).mean() < 0.5
    assert np.corrcoef(whole.lower, parts.lower)[0, 1] > 0.99


def test_a_bernoulli_model_of_two_latents_is_annealed_to_its_evidence_by_quadrature():
    torch.manual_seed(0)
    model = LatentVariableModel(
        Flat(Conditional(affine, Gaussian(), (D,), (2,)), StandardNormal((2,))),
        Conditional(lambda given, out: mlp(given, out, width=8, depth=1), Bernoulli(), (2,), (D,)),
    ).double()
    with torch.no_grad():
        model.likelihood.net.layers[-1].weight.mul_(6)
    x = (data(20) > 0).double()
    grid = torch.linspace(-7, 7, 281, dtype=torch.double)
    z = torch.cartesian_prod(grid, grid)[:, None]
    with torch.no_grad():
        exact = (torch.logsumexp(log_joint(model, x)(z), 0) + 2 * math.log(14 / 280)).numpy()
    slack = exact - annealed_likelihood(model, x, Effort(8, 80, 4)).lower
    assert -3 * slack.std() / math.sqrt(20) < slack.mean() < 0.1


@pytest.mark.parametrize("measure", [lambda m: annealed_likelihood(m, data(2)), lambda m: bidirectional(m, 2)])
def test_a_point_mass_has_no_density_to_anneal_from(measure):
    with pytest.raises(Mistake, match="Gaussian posterior"):
        measure(linear(Point()))


@pytest.mark.parametrize("name", ["chains", "temperatures", "leapfrogs", "block"])
def test_no_effort_is_refused(name):
    with pytest.raises(Mistake, match=f"`{name}`"):
        Effort(**{name: 0})
