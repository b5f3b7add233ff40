"""The laws of posteriors and priors beyond N(μ, diag σ²): densities that integrate to 1, divergences against draws, draws that
are of the density that is said of them.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence
from torch.testing import assert_close

from legato.definition import define
from legato.distributions.clouds import FullNormal, Logistic
from legato.distributions.divergence import _JOINT, kl_of_all
from legato.distributions.hyperbolic import WrappedNormal, added, from_origin, to_origin
from legato.distributions.simplex import LogConcrete
from legato.distributions.sphere import Directional, UniformSphere, log_area
from legato.errors import Mistake
from legato.flows import Flow, FlowPrior
from legato.posteriors import Choices, Direction, FullGaussian, Hyperbolic, Switches
from legato.setting import DataSpec
from legato.trace import Given, Rung
from legato.vamp import Vamp

MANY = 10**6


pytestmark = pytest.mark.usefixtures("alone")


def normals(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def build(name: str, **chosen):
    torch.manual_seed(1)
    data = DataSpec((6,), "reals", "gaussian")
    made = define(name, data, **{"latent_dim": 3, "width": 8, "depth": 1, **chosen}).build(data)
    made.model.double()
    return made


def near(found: Tensor, values: Tensor, axis: int = 0) -> bool:
    """Whether a number lies within 5 standard errors of the mean of values."""
    return bool(((found - values.mean(axis)).abs() <= 5 * values.std(axis) / math.sqrt(values.shape[axis]) + 1e-9).all())


# ------------------------------------------------------------------------------------------- joint closed forms


def _full() -> tuple[FullNormal, Independent]:
    root = torch.tensor([[1.0, 0.0, 0.0], [0.5, 0.3, 0.0], [-2.0, 0.1, 0.8]]).double()
    q = FullNormal(torch.tensor([0.3, -1.0, 2.0]).double(), scale_tril=root)
    return q, Independent(Normal(torch.tensor([0.0, 0.5, 0.0]).double(), torch.tensor([1.0, 2.0, 0.5]).double()), 1)


def _directions(kind: str):
    def make() -> tuple[Directional, UniformSphere]:
        loc = torch.nn.functional.normalize(normals(3, 4), dim=-1)
        return Directional(loc, torch.tensor([0.1, 5.0, 300.0]).double(), kind), UniformSphere(torch.zeros(4).double())

    return make


JOINT = {"full": _full, "mises": _directions("mises"), "power": _directions("power")}


def test_every_joint_closed_form_has_a_case():
    of = [tuple(type(d.base_dist if isinstance(d, Independent) else d) for d in make()) for make in JOINT.values()]
    assert set(of) == _JOINT.keys()


@pytest.mark.parametrize("case", JOINT)
def test_a_joint_closed_form_is_the_mean_of_log_q_minus_log_p_over_a_million_draws(case):
    q, p = JOINT[case]()
    z = q.rsample((MANY,))
    assert near(kl_of_all(q, p), q.log_prob(z) - p.log_prob(z))
    batch = q.expand((1,)) if not q.batch_shape else q
    rung = Rung(batch, p, batch.rsample((1,)))
    assert rung.kl_per_dimension is None
    assert_close(rung.kl, kl_of_all(batch, p))


def test_the_divergence_of_an_oblique_gaussian_is_torch_s():
    q, p = _full()
    plain = MultivariateNormal(q.loc, scale_tril=q.scale_tril)
    assert_close(kl_of_all(q, p), kl_divergence(plain, MultivariateNormal(p.mean, torch.diag(p.variance))))


def test_an_oblique_gaussian_is_made_of_its_numbers_and_may_be_any():
    family = FullGaussian()
    theta = normals(2, *family.shape((3,)))
    q = family(theta, (3,))
    root = q.scale_tril
    assert_close(root.diagonal(dim1=1, dim2=2).log(), theta[:, 3:6])
    assert_close(torch.stack([root[:, 1, 0], root[:, 2, 0], root[:, 2, 1]], 1), theta[:, 6:])
    assert root.triu(1).abs().max() == 0
    z = q.rsample((100_000,))
    assert_close(torch.cov(z[:, 0].T), root[0] @ root[0].T, rtol=0.05, atol=0.05)


# ------------------------------------------------------------------------------------------------- the sphere


@pytest.mark.parametrize("d", [2, 3, 16, 64])
@pytest.mark.parametrize("kappa", [0.01, 1.0, 30.0, 2000.0])
def test_von_mises_fisher_is_normalised_as_bessel_has_it(d, kappa):
    q = Directional(torch.eye(d).double()[:1], torch.tensor([kappa]).double())
    log_bessel = math.log(special.ive(d / 2 - 1, kappa)) + kappa
    log_constant = (d / 2 - 1) * math.log(kappa) - d / 2 * math.log(2 * math.pi) - log_bessel
    assert q.log_prob(q.loc).item() == pytest.approx(log_constant + kappa, abs=1e-5 * d)
    assert q.mean[0, 0].item() == pytest.approx(special.ive(d / 2, kappa) / special.ive(d / 2 - 1, kappa), abs=1e-5)


@pytest.mark.parametrize("d", [2, 3, 16, 64])
@pytest.mark.parametrize("kappa", [0.01, 1.0, 30.0, 2000.0])
def test_power_spherical_is_normalised_as_its_paper_has_it(d, kappa):
    q = Directional(torch.eye(d).double()[:1], torch.tensor([kappa]).double(), "power")
    a, b = (d - 1) / 2 + kappa, (d - 1) / 2
    log_integral = (a + b) * math.log(2) + math.lgamma(a) + b * math.log(math.pi) - math.lgamma(a + b)
    assert q.log_prob(q.loc).item() == pytest.approx(kappa * math.log(2) - log_integral, abs=1e-3)
    entropy = log_integral - kappa * (math.log(2) + special.digamma(a) - special.digamma(a + b))
    assert q.entropy().item() == pytest.approx(entropy, abs=1e-3)


@pytest.mark.parametrize("kind", ["mises", "power"])
def test_draws_are_directions_and_lie_as_their_density_says(kind):
    loc = torch.nn.functional.normalize(normals(2, 5), dim=-1)
    q = Directional(loc, torch.tensor([2.0, 80.0]).double(), kind)
    z = q.rsample((200_000,))
    assert_close(z.norm(dim=-1), torch.ones(200_000, 2).double())
    assert near(q.mean, z)
    assert_close(z.std(0), q.stddev, rtol=0.02, atol=1e-3)


@pytest.mark.parametrize("kind", ["mises", "power"])
def test_draws_carry_the_derivative_of_what_they_are_drawn_for(kind):
    """∂/∂κ of a mean over draws is that of the expectation, E cos θ."""
    kappa = torch.tensor([4.0]).double().requires_grad_()
    loc = torch.tensor([[0.0, 0.0, 1.0]]).double()
    each = kappa.expand(10_000)
    q = Directional(loc.expand(10_000, 3), each, kind)
    (slopes,) = torch.autograd.grad(q.rsample()[:, 2].sum(), each)
    (exact,) = torch.autograd.grad(Directional(loc, kappa, kind).mean[0, 2], kappa)
    assert near(exact, slopes)


def test_the_variance_of_a_narrow_direction_keeps_its_digits():
    """In three dimensions 1 − cos θ is exponential, but for e^{−2κ}: Var cos θ = 1/κ², E sin² θ = 2/κ − 2/κ²."""
    kappa = 1e5
    q = Directional(torch.tensor([[0.0, 0.6, 0.8]]), torch.tensor([kappa]))
    along, across = kappa**-2, 1 / kappa - kappa**-2
    expected = [along * loc**2 + across * (1 - loc**2) for loc in (0.0, 0.6, 0.8)]
    assert_close(q.variance, torch.tensor([expected]), rtol=1e-5, atol=0)
    assert Directional(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([kappa])).variance[0, 0].item() == pytest.approx(
        along, rel=1e-3
    )


def test_of_a_circle_the_density_adds_up_to_one():
    angle = torch.linspace(0, 2 * math.pi, 10_001).double()[:-1]
    circle = torch.stack([angle.cos(), angle.sin()], 1)
    for kind in ("mises", "power"):
        q = Directional(torch.tensor([0.6, 0.8]).double(), torch.tensor(7.0).double(), kind)
        assert (q.log_prob(circle).exp().mean() * 2 * math.pi).item() == pytest.approx(1, abs=1e-6)
    assert [log_area(d) for d in (1, 2, 3)] == pytest.approx([math.log(2), math.log(2 * math.pi), math.log(4 * math.pi)])


def test_what_is_shown_of_a_direction_lies_on_the_sphere_and_its_concentration_is_the_trained_one():
    family = Direction()
    q = family(normals(4, 6), (5,))
    assert_close(family.moments(q)[0].norm(dim=1), torch.ones(4).double())
    made = build("vmf_vae", latent_dim=4)
    x = normals(3, 6)
    trace = made.model(x, 2)
    assert_close(trace.rungs[0].q.concentration, made.model.eval().latent.posterior(x).concentration)
    # what lies off the sphere counts as its direction
    assert_close(made.model.decode(3 * trace.code), made.model.decode(trace.code))
    with pytest.raises(Mistake, match="a vector of 2 numbers or more"):
        build("vmf_vae", latent_dim=1)


# ------------------------------------------------------------------------------------------------- the ball


def test_the_ball_s_maps_are_each_other_s_inverse_and_addition_has_its_zero():
    for c in (0.5, 1.0, 4.0):
        v = 0.7 * normals(20, 3)
        z = from_origin(v, c)
        assert (z.norm(dim=1) < c**-0.5).all()
        assert_close(to_origin(z, c), v)
        assert_close(added(torch.zeros(3).double(), z, c), z)
        assert_close(added(-z, z, c), torch.zeros_like(z))


@pytest.mark.parametrize("middle", [0.0, 0.6])
def test_a_wrapped_normal_adds_up_to_one_over_the_disc(middle):
    """By the disc's own area, 4 dx dy/(1 − |z|²)²; near the edge there is so much of it that points are taken by radius."""
    q = WrappedNormal(torch.tensor([middle, 0.0]).double(), torch.tensor([0.5, 0.8]).double())
    radii, angles = torch.linspace(0.0005, 9.9995, 2000).double(), torch.linspace(0, 2 * math.pi, 721).double()[:-1]
    r, angle = torch.meshgrid(radii, angles, indexing="ij")
    z = ((r / 2).tanh()[..., None] * torch.stack([angle.cos(), angle.sin()], -1)).flatten(0, 1)
    # of distance r from the origin the circle has the length 2π sinh r
    volume = r.sinh().flatten() * (9.999 / 1999) * (2 * math.pi / 720)
    assert (q.log_prob(z).exp() * volume).sum().item() == pytest.approx(1, abs=2e-3)


def test_the_density_of_a_wrapped_draw_is_the_same_by_memory_and_by_inverse():
    q = WrappedNormal(from_origin(0.5 * normals(7, 3), 2.0), 0.3 * normals(7, 3).exp(), 2.0)
    z = q.rsample((5,))
    by_memory = q.log_prob(z)
    assert_close(q.log_prob(z.clone()), by_memory)
    again = WrappedNormal(q.loc, q.scale, 2.0)
    assert_close(again.tangent(z) / q.scale, again.tangent(z.clone()) / q.scale)


def test_a_wrapped_draw_lies_as_far_from_its_middle_as_its_tangent_is_long():
    q = WrappedNormal(from_origin(0.5 * normals(7, 3), 1.0), torch.full((7, 3), 0.4).double())
    z = q.rsample((50_000,))
    distance = 2 * added(-q.loc.expand_as(z), z, 1.0).norm(dim=-1).atanh()
    assert near(torch.full((7,), 3 * 0.16).double(), distance.square())
    with pytest.raises(Mistake, match="positive number"):
        Hyperbolic(0.0)


@pytest.mark.parametrize("sigma", [2.0, 30.0])
def test_a_wide_cloud_in_the_ball_gains_nothing_by_draws_that_are_drawn_back_from_the_edge(sigma):
    """About one middle p(z)/q(z) = σᵈ exp(−½ r² (1 − σ⁻²)): never above σᵈ, however far away the draw was meant to lie."""
    q, p = (WrappedNormal(torch.zeros(5), torch.full((5,), width)) for width in (sigma, 1.0))
    z = q.rsample((10_000,))
    assert (p.log_prob(z) - q.log_prob(z)).max().item() <= 5 * math.log(sigma) + 1e-3


def test_the_rate_of_no_cloud_in_the_ball_is_infinite_or_below_zero():
    """Middles at the edge, widths of e⁻⁴⁰ beside e⁴⁰ and gradients: what an encoder may say at a start that is far off."""
    log_sigma = 40 * torch.tensor([[-1.0], [1.0], [0.0]]) * torch.ones(3, 4)
    log_sigma = torch.cat([log_sigma, torch.tensor([[-40.0, 40.0, -40.0, 40.0]])]).repeat(3, 1)
    mu = torch.tensor([0.0, 3.0, 1e6]).repeat_interleave(4)[:, None] * torch.ones(12, 4)
    theta = torch.stack([mu, log_sigma], 1).requires_grad_()
    q, p = Hyperbolic()(theta, (4,)), WrappedNormal(torch.zeros(4), torch.ones(4))
    z = q.rsample((2000,))
    rate = (q.log_prob(z) - p.log_prob(z)).mean(0)
    assert rate.isfinite().all()
    assert (rate > -0.1).all()
    rate.sum().backward()
    assert theta.grad.isfinite().all()


# ---------------------------------------------------------------------------------------------- relaxed coins


def test_a_logistic_is_that_of_scipy_in_density_and_draws():
    q = Logistic(torch.tensor([0.5, -2.0]).double(), torch.tensor([1.0, 0.2]).double())
    z = q.rsample((20_000,))
    assert_close(q.log_prob(z), torch.from_numpy(stats.logistic.logpdf(z.numpy(), [0.5, -2.0], [1.0, 0.2])))
    for j, (loc, scale) in enumerate(((0.5, 1.0), (-2.0, 0.2))):
        assert stats.kstest(z[:, j].numpy(), stats.logistic(loc, scale).cdf).pvalue > 1e-4
    assert_close(q.variance, torch.from_numpy(stats.logistic.var(0, [1.0, 0.2])))


def test_relaxed_coins_have_the_density_of_their_paper():
    """Maddison et al. 2017, eq. 18, of s = σ(y): λ α s^{−λ−1} (1 − s)^{−λ−1}/(α s^{−λ} + (1 − s)^{−λ})²."""
    t, log_odds = 0.4, 0.7
    q = Switches(t)(torch.tensor([[log_odds]]).double(), (1,))
    s, alpha = torch.tensor([0.03, 0.4, 0.9]).double(), math.exp(log_odds)
    expected = t * alpha * (s * (1 - s)) ** (-t - 1) / (alpha * s**-t + (1 - s) ** -t) ** 2
    found = q.log_prob(torch.logit(s)[:, None, None])[:, 0].exp() / (s * (1 - s))
    assert_close(found, expected)


# ------------------------------------------------------------------------------------------------------- flows


def told(context: Tensor, d: int) -> Tensor:
    """θ of a flow that begins at N(0, I)."""
    return torch.cat([context, context.new_zeros(len(context), 2 * d)], 1)


@pytest.mark.parametrize("inverse", [False, True])
def test_a_flow_that_changes_nothing_is_the_gaussian_that_it_begins_with(inverse):
    pytest.importorskip("zuko")
    family, theta = Flow((4,), inverse=inverse).double(), normals(3, 72)
    for weight in family.flow.parameters():
        weight.data.zero_()
    q, mu, sigma = family(theta, (4,)), theta[:, 64:68], theta[:, 68:].exp()
    z = normals(3, 4, seed=9)
    assert_close(q.log_prob(z), Normal(mu, sigma).log_prob(z).sum(1))
    assert_close(q.made_of(z), mu + sigma * z)


@pytest.mark.parametrize("inverse", [False, True])
def test_the_density_of_a_flow_is_the_same_by_memory_and_by_inverse(inverse):
    pytest.importorskip("zuko")
    family = Flow((4,), inverse=inverse).double()
    q = family(normals(3, 72), (4,))
    torch.set_default_dtype(torch.float64)
    try:
        z = q.rsample((5,))
        assert_close(q.log_prob(z.clone()), q.log_prob(z))
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize("inverse", [False, True])
def test_a_flow_as_posterior_adds_up_to_one_and_is_another_for_every_x(inverse):
    pytest.importorskip("zuko")
    family = Flow((2,), inverse=inverse, transforms=1)
    axis = torch.linspace(-12, 12, 241)
    with torch.no_grad():
        grid = torch.cartesian_prod(axis, axis)
        # with one μ and σ for both, so that only the flow itself can tell them apart
        of_two = torch.stack([family(theta, (2,)).log_prob(grid) for theta in told(normals(2, 64).float(), 2)])
    assert_close(of_two.exp().sum(1) * 0.1**2, torch.ones(2), atol=5e-3, rtol=0)
    assert (of_two[0] - of_two[1]).abs().max() > 0.01


def test_each_number_of_an_inverse_flow_depends_on_all_before_it_and_on_x():
    pytest.importorskip("zuko")
    family = Flow((4,), transforms=1, inverse=True).double()
    q = family(told(normals(1, 64), 4), (4,))
    jacobian = torch.autograd.functional.jacobian(lambda e: q.made_of(e[None])[0], normals(4))
    assert (jacobian.triu(1).abs() < 1e-12).all() or (jacobian.tril(-1).abs() < 1e-12).all()
    assert (jacobian.abs() > 1e-12).sum() == 10
    other = family(told(normals(1, 64, seed=8), 4), (4,))
    assert (q.made_of(normals(1, 4)) - other.made_of(normals(1, 4))).abs().min() > 1e-6


@pytest.mark.parametrize("autoregressive", [False, True])
def test_a_flow_as_prior_adds_up_to_one_and_draws_of_its_own_density(autoregressive):
    pytest.importorskip("zuko")
    prior = FlowPrior((2,), autoregressive=autoregressive)
    for weight in prior.parameters():
        weight.data.add_(0.1 * torch.randn_like(weight))
    with torch.no_grad():
        p = prior(Given())
        axis = torch.linspace(-9, 9, 361)
        grid = torch.cartesian_prod(axis, axis)
        density = p.log_prob(grid).exp()
        assert (density.sum() * 0.05**2).item() == pytest.approx(1, abs=2e-3)
        z = torch.as_tensor(prior.draw(40_000, np.random.default_rng(0)))
        for quadrant in range(4):
            sides = [1 if quadrant & bit else -1 for bit in (1, 2)]
            share = density[(grid[:, 0] * sides[0] > 0) & (grid[:, 1] * sides[1] > 0)].sum() * 0.05**2
            drawn = ((z[:, 0] * sides[0] > 0) & (z[:, 1] * sides[1] > 0)).double()
            assert abs(drawn.mean() - share) < 5 * 0.5 / 200 + 0.01  # the grid's own lines count for neither side


# ---------------------------------------------------------------------------------------------------- the VampPrior


def test_a_vamp_prior_is_the_mean_of_the_posteriors_of_its_inputs():
    made = build("vamp_vae", components=5)
    prior, infer = made.model.latent.p, made.model.latent.posterior
    z = normals(7, 3)
    p = prior(Given(infer=infer))
    each = torch.stack([infer(u[None]).log_prob(z) for u in prior.examples])
    assert_close(p.log_prob(z), torch.logsumexp(each, 0) - math.log(5))
    of_bytes = Vamp((3,), (1, 2, 2), "bytes", 4).examples
    assert of_bytes.shape == (4, 1, 2, 2)
    assert ((of_bytes > 0) & (of_bytes < 1)).all()


def test_a_vamp_prior_takes_each_component_as_often_and_in_no_order():
    """χ² of the components that are nearest to what was drawn, far apart as they are."""
    apart = 100 * torch.eye(4).double()
    prior = Vamp((4,), (4,), "reals", 4).double()
    prior.inputs.data.copy_(apart)
    given = Given(infer=lambda x: Independent(Normal(x, torch.ones_like(x)), 1))
    z = torch.as_tensor(prior.draw(4000, np.random.default_rng(1), given=given))
    of = torch.cdist(z.double(), apart).argmin(1)
    assert stats.chisquare(torch.bincount(of, minlength=4).numpy()).pvalue > 1e-3
    assert (of[1:] != of[:-1]).double().mean() > 0.5


def test_a_model_under_a_vamp_prior_is_sampled_from_it_and_not_from_a_standard_normal():
    made = build("vamp_vae", components=4, net="mlp")
    latent = made.model.latent
    with torch.no_grad():
        latent.q.net.layers[-1].bias[:3] += 5  # the means of all posteriors, and with them of their mean
        means = torch.stack([latent.posterior(u[None]).mean[0] for u in latent.p.examples])
        drawn = [latent.sample(4000, Given()), torch.as_tensor(latent.draw_prior(4000, np.random.default_rng(2)))]
    for z in drawn:
        assert near(means.mean(0), z.double())
        assert (z.mean(0) > 3).all()


# --------------------------------------------------------------------------------------------- relaxed choices


def test_a_relaxed_choice_of_two_is_a_relaxed_coin():
    """y₁ − y₂ is a logistic's draw."""
    t, logits = 0.6, torch.tensor([0.3, -0.9]).double()
    gap = torch.tensor([-3.0, 0.2, 1.5]).double()
    y = torch.log_softmax(torch.stack([gap, torch.zeros(3).double()], 1), 1)
    coin = Logistic((logits[0] - logits[1]) / t, torch.tensor(1 / t).double())
    assert_close(LogConcrete(logits, t).log_prob(y), coin.log_prob(gap))


def test_a_relaxed_choice_adds_up_to_one_and_is_drawn_as_often_as_its_chances_say():
    logits = torch.tensor([1.0, 0.0, -0.5]).double()
    q = LogConcrete(logits, 0.7)
    a, b = torch.meshgrid(*[torch.linspace(-24, 24, 1201).double()] * 2, indexing="ij")
    y = torch.log_softmax(torch.stack([a, b, torch.zeros_like(a)], -1), -1)
    assert (q.log_prob(y).exp().sum() * 0.04**2).item() == pytest.approx(1, abs=1e-3)
    z = q.rsample((40_000,))
    assert_close(z.exp().sum(1), torch.ones(40_000).double())
    # the largest is chosen as a Gumbel's largest is: by the chances themselves
    counts = torch.bincount(z.argmax(1), minlength=3).numpy()
    assert stats.chisquare(counts, 40_000 * torch.softmax(logits, 0).numpy()).pvalue > 1e-3


def test_a_choice_lies_beside_its_numbers_and_both_densities_add():
    family = Choices((5,), 3, 0.5)
    theta = normals(4, *family.shape((5,)))
    q = family(theta, (5,))
    z = q.rsample((6,))
    numbers = Normal(theta[:, :2], theta[:, 2:4].exp()).log_prob(z[..., :2]).sum(-1)
    assert_close(q.log_prob(z), numbers + LogConcrete(theta[:, 4:], 0.5).log_prob(z[..., 2:]))
    assert_close(family.read(z)[..., 2:].sum(-1), torch.ones(6, 4).double())
    assert family.prior(torch.zeros(5).double()).sample((7,)).shape == (7, 5)


# ------------------------------------------------------------------------------------------------ the evidence

STANDARD = ("vae", "laplace_vae", "full_gaussian_vae", "flow_vae", "iaf_vae", "hamiltonian_vae")


@pytest.mark.parametrize("name", STANDARD)
def test_importance_weights_of_any_posterior_average_to_the_exact_evidence(name):
    """p(x) of a linear decoder under N(0, I) is a Gaussian's; E_q p(x, z)/q(z|x) is p(x) if q's density is true."""
    made = build(name, net="mlp", depth=0, likelihood="fixed-gaussian", scale=1.5)
    model = made.model.float().eval()
    linear = model.likelihood.net.layers[0]
    for weight in model.latent.parameters():  # near the prior, whose weights are bounded by p(x|z)
        weight.data.mul_(0.3)
    x = normals(4, 6).float()
    trace = model(x, 60_000)
    weights = (trace.log_w - 6).exp()  # moved, so that numbers are near 1 at no cost
    w = linear.weight.detach().double()
    exact = MultivariateNormal(linear.bias.detach().double(), w @ w.T + 1.5**2 * torch.eye(6).double()).log_prob(x.double())
    error = weights.std(0) / math.sqrt(60_000)
    assert ((weights.mean(0) - (exact - 6).exp()).abs() < 5 * error).all()
    assert (error < 0.1 * (exact - 6).exp()).all()  # weights whose mean nothing can be said of would pass


# ---------------------------------------------------------------------------------------------- Hamiltonian draws


def _led(steps: int, warmth: float):
    made = build("hamiltonian_vae", leaps=steps)
    latent = made.model.latent
    latent.warmth.data.fill_(warmth)
    latent.length.data.copy_(normals(3))
    x = normals(1, 6)

    def map_of_both(both: Tensor) -> Tensor:
        z, momentum = both[:3][None, None], both[3:][None, None]
        return torch.cat([each.flatten() for each in latent.led(z, momentum, x, Given())])

    return latent, torch.autograd.functional.jacobian(map_of_both, normals(6, seed=8))


@pytest.mark.parametrize("steps", [1, 3])
def test_leapfrog_keeps_the_volume_and_cooling_shrinks_it_by_the_factor_that_the_bound_has(steps):
    latent, jacobian = _led(steps, 40.0)  # √β₀ = σ(40) = 1: nothing is cooled
    assert_close(torch.linalg.det(jacobian), torch.ones(()).double())
    latent, jacobian = _led(steps, -0.4)
    root = torch.sigmoid(latent.warmth.detach())
    assert_close(torch.linalg.det(jacobian), root**3)  # β₀^{d/2}


def test_leapfrog_is_turned_back_by_turning_the_momentum_round():
    made = build("hamiltonian_vae")
    latent, x = made.model.latent, normals(5, 6)
    latent.warmth.data.fill_(40.0)
    z, momentum = normals(2, 5, 3), normals(2, 5, 3, seed=9)
    there = latent.led(z, momentum, x, Given())
    back = latent.led(there[0], -there[1], x, Given())
    assert_close(back[0], z)
    assert_close(-back[1], momentum)


def test_draws_that_are_led_lie_where_more_of_the_evidence_is():
    made = build("hamiltonian_vae", leaps=4)
    model, x = made.model, normals(20, 6)
    with torch.no_grad():
        trace = model(x, 200)
        q, _ = model.latent.encode(x)
        z = q.rsample((200,))
        plain = model.likelihood(z).log_prob(x) + model.latent.p(Given()).log_prob(z)
        led = trace.log_px + trace.rungs[0].log_p
    assert led.mean() > plain.mean()
