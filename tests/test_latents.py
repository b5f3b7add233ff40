"""Laws of latents that are no single Gaussian cloud: ladders, mixtures, flows, codebooks, beside closed forms."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from torch import nn
from torch.testing import assert_close

from legato.cli import run
from legato.codebooks import FiniteScalars, Indexed, VectorQuantised
from legato.conditional import Conditional
from legato.errors import Mistake
from legato.families import Gaussian, Homoscedastic
from legato.latents import Flat, Ladder
from legato.loading import load
from legato.model import LatentVariableModel
from legato.nets import mlp
from legato.objectives import Commitment, Distortion, Rate
from legato.priors import MixtureOfGaussians, StandardNormal
from legato.recipe import Recipe
from legato.report.views import asks_for_standard_normal
from legato.trace import Given

GIVEN = Given()


def affine(given, out):
    """One affine map, (B, *given) -> (B, *out)."""
    return mlp(given, out, depth=0)


def set_to(conditional, weight, offset, log_sigma):
    """Makes it N(weight · x + offset, e^(2 log σ))."""
    layer = conditional.net.layers[0]
    wide = torch.zeros_like(layer.weight)
    wide[: len(weight)] = torch.as_tensor(weight, dtype=torch.float32)
    bias = torch.cat([torch.as_tensor(offset, dtype=torch.float32), torch.as_tensor(log_sigma, dtype=torch.float32)])
    layer.weight.data, layer.bias.data = wide, bias


# ------------------------------------------------------------------------------------------------ ladders


def test_a_ladder_of_one_rung_is_flat_bit_for_bit():
    torch.manual_seed(0)
    q = Conditional(affine, Gaussian(), (5,), (3,))
    likelihood = Conditional(affine, Homoscedastic(0.3), (3,), (5,))
    flat = LatentVariableModel(Flat(q, StandardNormal((3,))), likelihood)
    ladder = LatentVariableModel(Ladder(nn.Identity(), [q], StandardNormal((3,)), []), likelihood)
    x = torch.randn(7, 5)
    objective = Distortion() + 0.7 * Rate()
    found = []
    for model in (flat, ladder):
        torch.manual_seed(1)
        loss = objective(model(x), [1.0, 0.7]).total
        torch.manual_seed(2)
        found.append([loss, *torch.autograd.grad(loss, list(q.parameters())), model.log_likelihood(x, 5)])
    assert all(map(torch.equal, *found))
    assert ladder.latent.standard_prior
    assert np.array_equal(*(m.latent.draw_prior(4, np.random.default_rng(3)) for m in (flat, ladder)))
    for name in ("mu", "sigma", "kl"):
        assert torch.equal(getattr(flat.summary(x), name), getattr(ladder.summary(x), name))


A, NOISE, SCALE = np.array([0.8, -1.3]), 0.6, 0.4  # z₁ = A z₂ + NOISE ε
W = np.array([[1.0, 0.5], [0.5, -1.0], [-0.4, 0.3], [0.3, 0.4]])  # columns at right angles, so that posteriors are diagonal


def linear_ladder():
    """Two linear-Gaussian rungs with their exact posterior, and p(x)."""
    assert W[:, 0] @ W[:, 1] == pytest.approx(0)
    power = (W**2).sum(0)
    # q(z₂|x): x's projection y = Wᵀx/‖w‖² has z₁'s mean, noise SCALE²/‖w‖².
    spread = NOISE**2 + SCALE**2 / power
    precision2 = 1 + A**2 / spread
    q2 = Conditional(affine, Gaussian(), (4,), (2,))
    set_to(q2, (A / spread / precision2)[:, None] * (W / power).T, np.zeros(2), -0.5 * np.log(precision2))
    precision1 = 1 / NOISE**2 + power / SCALE**2
    q1 = Conditional(affine, Gaussian(), (6,), (2,))
    of_above, of_x = np.diag(A / NOISE**2 / precision1), (W.T / SCALE**2) / precision1[:, None]
    set_to(q1, np.hstack([of_above, of_x]), np.zeros(2), -0.5 * np.log(precision1))
    p1 = Conditional(affine, Gaussian(), (2,), (2,))
    set_to(p1, np.diag(A), np.zeros(2), np.full(2, math.log(NOISE)))
    likelihood = Conditional(affine, Homoscedastic(SCALE), (4,), (4,))
    layer = likelihood.net.layers[0]
    layer.weight.data = torch.as_tensor(np.hstack([np.zeros((4, 2)), W]), dtype=torch.float32)
    layer.bias.data.zero_()
    model = LatentVariableModel(Ladder(nn.Identity(), [q2, q1], StandardNormal((2,)), [p1]), likelihood)
    covariance = W @ np.diag(A**2 + NOISE**2) @ W.T + SCALE**2 * np.eye(4)
    return model, multivariate_normal(np.zeros(4), covariance)


def test_two_linear_gaussian_rungs_meet_their_exact_evidence():
    model, evidence = linear_ladder()
    x = torch.as_tensor(evidence.rvs(20, random_state=0), dtype=torch.float32)
    exact = torch.as_tensor(evidence.logpdf(x.numpy()))
    torch.manual_seed(0)
    trace = model(x, draws=3)
    assert_close(trace.log_w, exact.expand(3, -1), atol=2e-4, rtol=0)  # whatever was drawn: the posterior is exact
    assert_close(model.log_likelihood(x, 5), exact, atol=2e-4, rtol=0)
    elbo = -Distortion()(model(x, draws=4000)).mean() - Rate()(model(x, draws=4000)).mean()
    assert elbo.item() == pytest.approx(exact.mean().item(), abs=0.02)


def test_every_rung_has_a_draw_axis_and_its_own_rate():
    model, _ = linear_ladder()
    x = torch.randn(5, 4)
    trace = model(x, draws=3)
    assert trace.code.shape == (3, 5, 4)
    top, low = trace.rungs
    assert top.kl_per_dimension.shape == (1, 5, 2)
    assert low.kl_per_dimension.shape == (3, 5, 2)
    assert_close(trace.kl, top.kl + low.kl)
    assert_close(low.kl, low.kl_per_dimension.sum(2).mean(0))


def test_the_rate_of_a_lower_rung_is_what_its_draws_estimate():
    model, _ = linear_ladder()
    low = model(torch.randn(3, 4), draws=20_000).rungs[1]
    assert_close(low.kl.double(), (low.log_q - low.log_p).mean(0).double(), atol=0.03, rtol=0)


def test_a_ladders_prior_is_the_joint_of_its_rungs():
    model, _ = linear_ladder()
    z = torch.randn(6, 4)
    expected = multivariate_normal(np.zeros(2)).logpdf(z[:, :2].numpy())
    expected = expected + multivariate_normal(np.zeros(2), NOISE**2 * np.eye(2)).logpdf(z[:, 2:].numpy() - z[:, :2].numpy() * A)
    assert_close(model.latent.prior(GIVEN).log_prob(z).double(), torch.as_tensor(expected).double(), atol=1e-4, rtol=0)
    drawn = model.latent.draw_prior(40_000, np.random.default_rng(0))
    covariance = np.block([[np.eye(2), np.diag(A)], [np.diag(A), np.diag(A**2 + NOISE**2)]])
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=0.05)
    assert np.array_equal(drawn[:9], model.latent.draw_prior(40_000, np.random.default_rng(0))[:9])


def test_rungs_that_do_not_meet_are_refused():
    q, p = (Conditional(affine, Gaussian(), (n,), (2,)) for n in (4, 3))
    with pytest.raises(Mistake, match="2 numbers lie above it"):
        Ladder(nn.Identity(), [q, Conditional(affine, Gaussian(), (6,), (2,))], StandardNormal((2,)), [p])
    with pytest.raises(Mistake, match="must be one vector"):
        Ladder(nn.Identity(), [q], StandardNormal((3,)), [])


# ------------------------------------------------------------------------------------------------ a learnt mixture


def mixture():
    torch.manual_seed(0)
    prior = MixtureOfGaussians((2,), 3)
    prior.logits.data, prior.log_scales.data = torch.tensor([0.0, 1.0, -0.5]), 0.3 * torch.randn(3, 2)
    return prior


def test_a_mixture_of_one_standard_component_is_the_standard_normal():
    prior = MixtureOfGaussians((3,), 1)
    prior.means.data.zero_()
    z = torch.randn(5, 3)
    assert_close(prior(GIVEN).log_prob(z), StandardNormal((3,))(GIVEN).log_prob(z))


def test_a_mixtures_density_is_the_weighed_sum():
    prior, z = mixture(), np.random.default_rng(0).normal(size=(6, 2))
    weights = torch.softmax(prior.logits, 0).detach().numpy()
    parts = zip(weights, prior.means.detach().numpy(), prior.log_scales.exp().detach().numpy(), strict=True)
    expected = np.log(sum(w * multivariate_normal(m, np.diag(s**2)).pdf(z) for w, m, s in parts))
    found = prior(GIVEN).log_prob(torch.as_tensor(z, dtype=torch.float32)).detach().numpy()
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_draws_of_a_mixture_have_its_moments_and_a_temperature():
    prior = mixture()
    weights, means = torch.softmax(prior.logits, 0).detach().numpy(), prior.means.detach().numpy()
    scales = prior.log_scales.exp().detach().numpy()
    drawn = prior.draw(60_000, np.random.default_rng(0))
    assert drawn.dtype == np.float32
    mean = weights @ means
    np.testing.assert_allclose(drawn.mean(0), mean, atol=0.03)
    np.testing.assert_allclose(drawn.var(0), weights @ (scales**2 + means**2) - mean**2, rtol=0.03)
    cold = prior.draw(500, np.random.default_rng(0), temperature=0)
    assert {tuple(row) for row in cold.round(5).tolist()} == {tuple(row) for row in means.round(5).tolist()}


# ------------------------------------------------------------------------------------------------ flows


@pytest.fixture(scope="module")
def flow():
    """A conditioned flow over two latents, and what it is given."""
    pytest.importorskip("zuko")
    from legato.flows import Flow

    torch.manual_seed(0)
    family = Flow((2,), transforms=2)
    return family, torch.cat([torch.randn(3, 64), 0.3 * torch.randn(3, 4)], 1)  # what it hears of x, μ and log σ


def test_a_flows_density_adds_up_to_one(flow):
    family, theta = flow
    side = torch.linspace(-9, 9, 241)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        density = family(theta[:1], (2,)).log_prob(grid[:, None]).exp()
    assert density.sum().item() * (18 / 240) ** 2 == pytest.approx(1, abs=2e-3)


def test_a_flows_density_is_the_change_of_variables(flow):
    family, theta = flow
    q = family(theta[:1], (2,))
    torch.manual_seed(1)
    noise = torch.randn(2)
    z = q.made_of(noise[None])[0]
    jacobian = torch.autograd.functional.jacobian(lambda e: q.made_of(e[None])[0], noise)
    expected = multivariate_normal(np.zeros(2)).logpdf(noise.numpy()) - torch.linalg.slogdet(jacobian)[1].item()
    assert q.log_prob(z[None]).item() == pytest.approx(expected, abs=1e-4)


def test_what_is_shown_of_a_flow_is_the_same_at_every_call_and_near_its_moments(flow):
    family, theta = flow
    state = torch.random.get_rng_state()
    q = family(theta, (2,))
    mean, deviation = family.moments(q)
    again, _ = family.moments(family(theta, (2,)))
    assert torch.equal(mean, again)
    assert torch.equal(state, torch.random.get_rng_state())
    many = q.sample((20_000,))
    assert ((mean - many.mean(0)).abs() < 4 * many.std(0) / 8).all()  # 64 draws
    assert_close(deviation, many.std(0), atol=0, rtol=0.4)


def test_a_flow_of_one_latent_is_refused():
    pytest.importorskip("zuko")
    from legato.flows import Flow

    with pytest.raises(Mistake, match="couples 2 numbers or more"):
        Flow((1,))


# ------------------------------------------------------------------------------------------------ codebooks


@settings(max_examples=30, deadline=None)
@given(size=st.integers(2, 9), width=st.integers(1, 4), learnt=st.booleans())
def test_a_grids_values_are_its_indices_and_its_prior_adds_up_to_one(size, width, learnt):
    family = FiniteScalars(size)
    prior = Indexed(family, (width,), learnt)
    if learnt:
        prior.logits.data.normal_()
    index = torch.tensor(list(itertools.product(range(size), repeat=width)))
    values = family.values(index)
    assert torch.equal(family.indices(values), index)
    assert values.min() == -1
    assert values.max() == 1
    assert prior(GIVEN).log_prob(values).double().exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_rounding_costs_the_logarithm_of_the_levels_and_lets_gradients_through():
    family = FiniteScalars(5)
    theta = torch.randn(4, 3, requires_grad=True)
    q = family(theta, (3,))
    nearest = (q.away[..., None] - family.values(torch.arange(5))).abs().argmin(-1)
    assert torch.equal(q.index, nearest)
    q.rsample((1,)).sum().backward()
    assert_close(theta.grad, 1 - torch.tanh(theta.detach()) ** 2)
    model = LatentVariableModel(
        Flat(Conditional(affine, family, (6,), (3,)), Indexed(family, (3,))),
        Conditional(affine, Homoscedastic(1.0), (3,), (6,)),
    )
    x = torch.randn(5, 6)
    trace = model(x)
    assert_close(trace.kl, torch.full((5,), 3 * math.log(5)))
    assert_close(model.log_likelihood(x, 4), trace.log_px[0].double() - 3 * math.log(5))


def test_the_rate_under_a_learnt_prior_is_that_of_its_weights():
    family = FiniteScalars(3)
    prior = Indexed(family, (2,), learnt=True)
    prior.logits.data.normal_()
    latent = Flat(Conditional(affine, family, (4,), (2,)), prior)
    x = torch.randn(6, 4)
    _, (rung,) = latent.draw(latent.encode(x), 2, GIVEN)
    weights = torch.log_softmax(prior.logits, -1)
    expected = -torch.stack([weights[t, rung.q.index[:, t]] for t in range(2)]).sum(0)
    assert_close(rung.kl, expected)
    assert_close(rung.log_p, -expected.expand(2, -1))
    drawn = prior.draw(20_000, np.random.default_rng(0))
    shares = np.stack([np.bincount(family.indices(torch.as_tensor(drawn))[:, t], minlength=3) for t in range(2)]) / 20_000
    np.testing.assert_allclose(shares, weights.exp().detach().numpy(), atol=0.02)


def test_a_codebook_gives_the_nearest_row_and_charges_for_the_way():
    torch.manual_seed(0)
    family = VectorQuantised((4, 3), size=7).eval()
    theta = torch.randn(5, 4, 3, requires_grad=True)
    q = family(theta, (4, 3))
    nearest = (theta[..., None, :] - family.rows).square().sum(-1).argmin(-1)
    assert torch.equal(q.index, nearest)
    assert_close(q.value, family.rows[nearest])
    q.value.sum().backward()
    assert torch.equal(theta.grad, torch.ones_like(theta))
    encoder = Conditional(lambda given, out: nn.Unflatten(1, out), family, (12,), (4, 3))
    model = LatentVariableModel(Flat(encoder, Indexed(family, (4, 3))), Conditional(affine, Homoscedastic(1.0), (4, 3), (12,)))
    trace = model(theta.detach().flatten(1))
    assert_close(Commitment()(trace), (theta.detach() - family.rows[nearest]).square().sum((1, 2)))
    assert_close(trace.kl, torch.full((5,), 4 * math.log(7)))


def test_a_codebook_follows_by_moving_averages_and_revives_what_is_dead():
    torch.manual_seed(0)
    family = VectorQuantised((2, 3), size=4, decay=0.9)
    family.rows.copy_(torch.eye(4, 3) * 5)
    family.sums.copy_(family.rows)
    family.counts.fill_(1)
    theta = torch.tensor([5.0, 0.1, 0.0]) + 0.1 * torch.randn(50, 2, 3)
    before = family.rows.clone()
    family(theta, (2, 3))
    flat = theta.reshape(-1, 3)
    assert family.counts[0].item() == pytest.approx(0.9 + 0.1 * 100, rel=1e-5)
    assert_close(family.rows[0], (0.9 * before[0] + 0.1 * flat.sum(0)) / family.counts[0])
    for _ in range(60):
        family(theta, (2, 3))
    assert ((family.rows[:, None] - flat).norm(dim=-1).min(1).values < 1).all()  # every row is where tokens are
    kept = family.rows.clone()
    family.eval()(theta, (2, 3))
    assert torch.equal(kept, family.rows)


def test_a_codebook_is_averaged_like_weights(runs):
    """The run's result is the average: its rows lie where its encoder's tokens do, and most of them are in use."""
    space = load(runs["vq_vae"], device="cpu")
    family = space.model.latent.q.family
    start = VectorQuantised(space.model.latent.event, family.size).rows
    assert not torch.equal(family.rows, start)
    tokens = space.model.latent.q.net(torch.as_tensor(space.prepare(np.asarray(space.data().dataset.rows))))
    tokens = tokens.reshape(-1, family.rows.shape[1])
    away = (tokens - family.rows[family.indices(tokens)]).square().sum(1).mean()
    assert away < 0.25 * tokens.var(0).sum()


def test_what_charges_for_rounding_needs_something_that_rounds():
    model = LatentVariableModel(
        Flat(Conditional(affine, Gaussian(), (4,), (2,)), StandardNormal((2,))),
        Conditional(affine, Homoscedastic(1.0), (2,), (4,)),
    )
    with pytest.raises(Mistake, match="use a codebook"):
        Recipe(model, Distortion() + Commitment())


@pytest.mark.parametrize(
    ("name", "standard"), [("vae", True), ("mixture_vae", False), ("ladder_vae", False), ("vq_vae", False)]
)
def test_only_a_prior_that_is_a_standard_normal_is_shown_and_told_as_one(name, standard, runs, tmp_path, capsys):
    """Rings and ±3 in a report, the heading of its samples, and the line that tells where codes lie from N(0, I)."""
    space = load(runs[name])
    assert space.prior_was_trained
    assert asks_for_standard_normal(space) is standard
    assert run(["sample", str(runs[name]), "--out", str(tmp_path / "samples.png")]) == 0
    told = capsys.readouterr().out
    assert standard or "N(0, I)" not in told
    assert run(["report", str(runs[name]), "--k", "3", "--out", str(tmp_path / "page.html")]) == 0
    page = (tmp_path / "page.html").read_text()
    assert ("Samples from N(0, I)" in page) is standard
    assert ("Samples from the prior" in page) is not standard
    assert ("prior of its own" in page) is not standard  # where the verdict on collapse would stand
