"""The laws of terms beyond the evidence bound: each against a closed form, an enumeration or another implementation.

A law about draws is checked within 5 standard errors at a fixed seed; a law of algebra to rounding, in float64.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate1d
from torch import Tensor, nn
from torch.distributions import Independent, Normal
from torch.testing import assert_close

from legato.definition import define
from legato.distributions import reparameterised
from legato.distributions.held import held
from legato.errors import Mistake
from legato.families import Gaussian
from legato.nets import mlp
from legato.nets.bounded import Bounded, bounded
from legato.objectives import (
    Adversary,
    Capacity,
    Covariance,
    DecoderSlope,
    DecoderWeights,
    Dependence,
    DimensionwiseRate,
    Discrepancy,
    Distortion,
    ImportanceWeighted,
    IndexInformation,
    LogCosh,
    MultiplyWeighted,
    PartiallyWeighted,
    Rate,
    Reparameterised,
    SlicedWasserstein,
    importance_weighted_bound,
    miwae_bound,
)
from legato.objectives.aggregate import KERNELS, WIDTHS, excess_covariance, mean_discrepancy, sliced_distance
from legato.objectives.decomposition import log_shares
from legato.objectives.likenesses import SCALES, similarity
from legato.priors import StandardNormal
from legato.recipe import Recipe
from legato.setting import DataSpec
from legato.trace import Given, Parts, Rung, Trace

FITS = {"binary": "bernoulli", "bytes": "discretized-logistic", "reals": "gaussian"}


pytestmark = pytest.mark.usefixtures("alone")


def build(name: str, shape: tuple[int, ...] = (6,), kind: str = "reals", count: int = 0, **chosen) -> Recipe:
    """A tiny recipe in float64."""
    torch.manual_seed(1)
    data = DataSpec(shape, kind, FITS[kind], count=count)
    made = define(name, data, **{"latent_dim": 3, "width": 8, "depth": 1, **chosen}).build(data)
    made.model.double()
    made.objective.double()
    return made


def reals(n: int, d: int = 6, seed: int = 2) -> Tensor:
    return 2 * torch.rand(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) - 1


def normals(n: int, d: int, seed: int = 3) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def coded(mu: Tensor, sigma: Tensor, draws: int = 1) -> Trace:
    """A trace of codes alone: q = N(mu, sigma²), p = N(0, I), (n, d) each."""
    q = Independent(Normal(mu, sigma), 1)
    z, noise = reparameterised(q, draws)
    prior = StandardNormal(mu.shape[1:]).double()(Given())
    parts = Parts(lambda: prior, lambda code: Normal(code, 1.0), nn.Identity())
    return Trace(mu, Independent(Normal(z, 1.0), 1), z, (Rung(q, prior, z, noise),), parts=parts)


def gradients(loss: Tensor, parameters) -> list[Tensor]:
    parameters = list(parameters)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


# ------------------------------------------------------------------------------------------------- the discrepancy


@pytest.mark.parametrize("name", KERNELS)
def test_the_discrepancy_is_the_mean_over_pairs_of_two(name):
    """Gretton's formula by loops."""
    x, y = normals(5, 3).numpy(), (normals(6, 3, 4) + 0.5).numpy()

    def square(a, b) -> float:
        return float(((a - b) ** 2).sum())

    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    width = np.mean([square(y[i], y[j]) for i, j in pairs])

    def likeness(a, b) -> float:
        of_one = (lambda c: c / (c + square(a, b))) if name == "imq" else (lambda c: math.exp(-square(a, b) / c))
        return float(np.mean([of_one(times * width) for times in WIDTHS]))

    within_x = np.mean([likeness(x[i], x[j]) for i in range(5) for j in range(5) if i != j])
    within_y = np.mean([likeness(y[i], y[j]) for i, j in pairs])
    across = np.mean([likeness(a, b) for a in x for b in y])
    found = mean_discrepancy(torch.from_numpy(x), torch.from_numpy(y), KERNELS[name])
    assert found.item() == pytest.approx(within_x + within_y - 2 * across, rel=1e-9)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("d", [1, 8, 64])
def test_the_discrepancy_is_zero_on_average_between_draws_of_one_distribution_and_large_between_others(name, d):
    alike = torch.stack([mean_discrepancy(normals(32, d, i), normals(32, d, 1000 + i), KERNELS[name]) for i in range(300)])
    assert alike.mean().abs() < 5 * alike.std() / math.sqrt(300)
    assert alike.min() < 0  # unbiased: it must be below at times
    shifted = mean_discrepancy(normals(32, d) + 3, normals(32, d, 4), KERNELS[name])
    assert shifted > 0.2  # of at most 2: the width grows with d, else nothing would be felt in 64
    assert shifted > 20 * alike.std()


def test_the_discrepancy_draws_codes_to_the_prior():
    trace = coded((normals(40, 3) * 0.1 + 2).requires_grad_(), torch.full((40, 3), 0.1, dtype=torch.float64))
    (slope,) = torch.autograd.grad(Discrepancy()(trace).mean(), trace.x)
    assert (slope.mean(0) > 0).all()  # downhill is towards 0
    assert Discrepancy()(trace).shape == (40,)


# ---------------------------------------------------------------------------------------- the sliced Wasserstein distance


def test_the_sliced_distance_of_a_line_is_that_of_what_is_sorted():
    x, y = normals(50, 1), 2 * normals(50, 1, 4) + 1
    exact = np.mean((np.sort(x.numpy().ravel()) - np.sort(y.numpy().ravel())) ** 2)
    assert sliced_distance(x, y, torch.tensor([[1.0], [-1.0]]).double()).item() == pytest.approx(exact, rel=1e-12)


def test_the_sliced_distance_of_a_shift_is_its_square_over_the_dimension():
    """⟨m, u⟩² of a random direction u has mean ‖m‖²/d."""
    x, m = normals(20, 8), torch.arange(8).double()
    directions = nn.functional.normalize(normals(40_000, 8, 5), dim=1)
    each = ((directions @ m) ** 2).std() / 200
    assert abs(sliced_distance(x + m, x, directions) - (m**2).sum() / 8) < 5 * each
    assert sliced_distance(x, x[torch.randperm(20)], directions) < 1e-20


def test_the_sliced_distance_draws_a_row_straight_to_where_it_belongs():
    x, y = normals(6, 1).requires_grad_(), normals(6, 1, 4)
    (slope,) = torch.autograd.grad(sliced_distance(x, y, torch.ones(1, 1).double()), x)
    order, target = x.detach().ravel().argsort(), y.ravel().sort().values
    assert_close(slope.ravel()[order], 2 * (x.detach().ravel()[order] - target) / 6)
    assert SlicedWasserstein(5)(coded(normals(7, 3), torch.ones(7, 3).double())).shape == (7,)


# ------------------------------------------------------------------------------------------------- the covariance


@pytest.mark.parametrize("drawn", [False, True])
def test_the_covariance_is_that_of_numpy(drawn):
    mu, sigma = normals(9, 4) @ normals(4, 4, 5), 0.1 + torch.rand(9, 4).double()
    c = np.cov(mu.numpy(), rowvar=False, bias=True) + drawn * np.diag((sigma.numpy() ** 2).mean(0))
    expected = (c**2).sum() - (np.diag(c) ** 2).sum() + 7 * ((np.diag(c) - 1) ** 2).sum()
    found = Covariance(drawn, 7.0)(coded(mu, sigma))
    assert_close(found, torch.full((9,), expected, dtype=torch.float64))


def test_codes_of_the_prior_cost_nothing_wherever_they_lie_and_correlated_ones_much():
    z = normals(20_000, 3)
    alone = excess_covariance(z, torch.zeros(3).double(), 10.0)
    assert alone < 0.01
    assert_close(excess_covariance(z + 5, torch.zeros(3).double(), 10.0), alone)
    mixed = torch.stack([z[:, 0], 0.8 * z[:, 0] + 0.6 * z[:, 1], z[:, 2]], 1)
    assert excess_covariance(mixed, torch.zeros(3).double(), 10.0) == pytest.approx(2 * 0.8**2, abs=0.05)


# ---------------------------------------------------------------------------------------------- the parts of the rate


def test_shares_lie_on_the_diagonal_and_add_up_to_one():
    shares = log_shares(4, 100, weighted=False).exp()
    assert_close(shares.diagonal(), torch.full((4,), 0.01))
    assert_close(shares[0, 1:], torch.full((3,), 99 / 300))
    assert_close(shares.sum(1), torch.ones(4))
    assert_close(log_shares(4, 100, weighted=True).exp(), torch.full((4, 4), 1 / 400))
    assert_close(log_shares(5, 3, weighted=False).exp(), torch.full((5, 5), 0.2))  # a batch of everyone


def test_the_estimate_of_q_of_z_is_right_on_average_over_all_batches():
    """One draw z ~ q(z|x₀), 8 examples, each batch of 3 that holds x₀: the mean over all is the enumerated q(z)."""
    mu, sigma, n = normals(8, 2), torch.full((8, 2), 0.7, dtype=torch.float64), 8
    z = mu[0] + 0.7 * normals(1, 2, 9)[0]
    each = Normal(mu, sigma).log_prob(z).sum(1).exp()
    shares = log_shares(3, n, weighted=False).exp()[0].double()
    means = [shares[0] * each[0] + shares[1] * each[i] + shares[2] * each[j] for i, j in combinations(range(1, n), 2)]
    assert_close(torch.stack(means).mean(), each.mean())


def parts(trace: Trace, count: int) -> list[Tensor]:
    return [term(count)(trace) for term in (IndexInformation, Dependence, DimensionwiseRate)]


def test_of_a_batch_of_everyone_each_part_is_enumerated():
    mu, sigma = normals(20, 3), 0.3 + torch.rand(20, 3).double()
    trace = coded(mu, sigma, draws=3)
    (rung,) = trace.rungs
    each = Normal(mu, sigma).log_prob(rung.z[:, :, None])  # (S, draw of i, posterior of j, d), enumerated
    q, product = each.sum(3).exp().mean(2).log(), each.exp().mean(2).log().sum(2)
    of_its_own = torch.log_softmax(each.sum(3), 2).diagonal(dim1=1, dim2=2)  # log p(n = i | z_i)
    information, dependence, rate = parts(trace, 20)
    assert_close(information, (math.log(20) + of_its_own).mean(0))  # log N − H(n|z), draw by draw
    assert_close(dependence, (q - product).mean(0))
    assert_close(rate, (product - rung.log_p).mean(0))


@pytest.mark.parametrize("count", [20, 1000])
def test_the_parts_add_up_to_the_rate_at_the_draws(count):
    trace = coded(normals(20, 3), 0.3 + torch.rand(20, 3).double())
    (rung,) = trace.rungs
    assert_close(sum(parts(trace, count)), (rung.log_q - rung.log_p)[0])


def test_the_dependence_of_a_gaussian_population_is_that_of_its_correlations():
    """Clouds of σ about draws of N(0, Σ − σ²I): together N(0, Σ), whose total correlation is −½ log det R."""
    correlation = torch.tensor([[1.0, 0.8], [0.8, 1.0]]).double()
    root = torch.linalg.cholesky(correlation - 0.15 * torch.eye(2).double())
    mu = normals(3000, 2) @ root.T
    found = Dependence(3000)(coded(mu, torch.full_like(mu, math.sqrt(0.15))))
    assert found.mean().item() == pytest.approx(-0.5 * math.log(1 - 0.64), abs=0.05)


def test_beta_one_is_the_bound_and_its_slope_by_beta_the_dependence_alone():
    x = reals(12)

    def loss(beta: float) -> tuple[Tensor, dict[str, Tensor]]:
        made = build("beta_tc_vae", count=500, beta=beta)
        torch.manual_seed(4)
        trace = made.model(x)
        (rung,) = trace.rungs
        if beta == 1:
            plain = Distortion()(trace) + (rung.log_q - rung.log_p)[0]
            assert_close(made.objective(trace, made.objective.at(0, 1)).total, plain.mean())
        return made.objective(trace, made.objective.at(0, 1))

    (one, found), (other, again) = loss(1.0), loss(4.0)
    assert found.keys() == {"distortion", "index information", "dependence", "dimension-wise rate"}
    assert_close(found, again)
    assert_close(other - one, 3 * found["dependence"], check_dtype=False)


def test_a_posterior_that_is_no_product_is_refused_when_the_recipe_is_built():
    flow = build("flow_vae").model
    with pytest.raises(Mistake, match="no product: use a Gaussian"):
        Recipe(flow, Distortion() + Dependence(100))


# ----------------------------------------------------------------------------------------------- importance weights


def weighed(m: int, k: int, b: int = 4) -> Tensor:
    return 5 * normals(m * k, b)


def test_one_bound_of_all_draws_is_the_importance_weighted_one_and_bounds_of_one_draw_are_the_elbo():
    log_w = weighed(3, 4)
    assert_close(miwae_bound(log_w, 1), importance_weighted_bound(log_w))
    assert_close(miwae_bound(log_w, 12), log_w.mean(0))
    by_hand = sum(log_w[4 * m : 4 * m + 4].exp().mean(0).log() for m in range(3)) / 3
    assert_close(miwae_bound(log_w, 3), by_hand)


def sides(made: Recipe) -> tuple[list[Tensor], list[Tensor]]:
    """The weights of encoder and decoder."""
    return list(made.model.latent.parameters()), list(made.model.likelihood.parameters())


def test_partially_weighted_each_side_has_the_gradient_of_its_own_bound():
    made, x = build("piwae", m=3, k=2), reals(5)
    trace = made.model(x, 6)
    found = [gradients(PartiallyWeighted(3, 2)(trace).mean(), side) for side in sides(made)]
    encoder, decoder = sides(made)
    assert_close(found[0], gradients(MultiplyWeighted(3, 2)(trace).mean(), encoder))
    assert_close(found[1], gradients(ImportanceWeighted(6)(trace).mean(), decoder))
    assert_close(PartiallyWeighted(3, 2)(trace), ImportanceWeighted(6)(trace))


def test_partially_weighted_at_one_bound_is_the_importance_weighted_one_on_both_sides():
    made, x = build("piwae", m=1, k=5), reals(5)
    trace = made.model(x, 5)
    for side in sides(made):
        plain = gradients(ImportanceWeighted(5)(trace).mean(), side)
        assert_close(gradients(PartiallyWeighted(1, 5)(trace).mean(), side), plain)


def test_the_combined_bound_is_one_of_its_two_at_either_end():
    x = reals(5)
    for beta, other in ((0.0, ImportanceWeighted(8)), (1.0, None)):
        made = build("ciwae", beta=beta)
        trace = made.model(x, 8)
        expected = Distortion()(trace) + Rate()(trace) if other is None else other(trace)
        assert_close(made.objective(trace, made.objective.at(0, 1)).total, expected.mean())


@pytest.mark.parametrize(("gradient", "power"), [("doubly", 2), ("landing", 1)])
def test_the_encoder_gets_the_normalised_weights_to_their_power_and_the_decoder_the_plain_gradient(gradient, power):
    made, x = build("iwae", k=4), reals(5)
    trace = made.model(x, 4)
    loss = Reparameterised(4, gradient)(trace)
    assert_close(loss, ImportanceWeighted(4)(trace))
    encoder, decoder = sides(made)
    assert_close(gradients(loss.mean(), decoder), gradients(ImportanceWeighted(4)(trace).mean(), decoder))
    # By hand: ∂log w/∂z at q held, times w̃ to its power, back through z alone.
    (rung,) = trace.rungs
    z = rung.z.detach().requires_grad_()
    log_w = made.model.likelihood(z).log_prob(x) + rung.p.log_prob(z) - held(rung.q).log_prob(z)
    (slope,) = torch.autograd.grad(log_w.sum(), z)
    shares = torch.softmax(trace.log_w, 0).detach() ** power
    by_hand = -(shares[..., None] * slope * rung.z).sum() / 5
    assert_close(gradients(loss.mean(), encoder), gradients(by_hand, encoder), atol=1e-6, rtol=1e-6)


class Toy(nn.Module):
    """p(z) = N(0, 1), p(x|z) = N(z, 1) at x = 1, q = N(m, s²): gradients by m of many draws of k, whose mean is known."""

    def __init__(self, draws: int, k: int) -> None:
        super().__init__()
        self.m = torch.full((draws, 1), 0.2, dtype=torch.float64, requires_grad=True)
        q = Gaussian()(torch.stack([self.m, torch.full_like(self.m, math.log(0.6))], 1), (1,))
        z, noise = reparameterised(q, k)
        prior = StandardNormal((1,)).double()(Given())
        x = torch.ones(draws, 1, dtype=torch.float64)
        self.trace = Trace(x, Independent(Normal(z, 1.0), 1), z, (Rung(q, prior, z, noise),))

    def slopes(self, term) -> Tensor:
        """Of each example's loss by its own m, (draws,)."""
        (slope,) = torch.autograd.grad(term(self.trace).sum(), self.m, retain_graph=True)
        return slope[:, 0]


@pytest.mark.parametrize("k", [1, 3, 10])
def test_the_doubly_reparameterised_gradient_is_unbiased_and_has_less_noise(k):
    toy = Toy(200_000, k)
    plain, doubly = (toy.slopes(term) for term in (ImportanceWeighted(k), Reparameterised(k, "doubly")))
    error = math.hypot(plain.std(), doubly.std()) / math.sqrt(200_000)
    assert abs(plain.mean() - doubly.mean()) < 5 * error
    if k > 1:
        assert doubly.std() < 0.7 * plain.std()


def test_sticking_the_landing_is_unbiased_with_one_draw_and_biased_with_more():
    for k, biased in ((1, False), (10, True)):
        toy = Toy(200_000, k)
        plain, landing = (toy.slopes(term) for term in (ImportanceWeighted(k), Reparameterised(k, "landing")))
        error = math.hypot(plain.std(), landing.std()) / math.sqrt(200_000)
        assert (abs(plain.mean() - landing.mean()) > 5 * error) == biased


# ---------------------------------------------------------------------------------------------------- likenesses


def test_log_cosh_is_that_of_numpy_and_does_not_overflow():
    x, mean = reals(4), 3 * reals(4, seed=5)
    trace = Trace(x, Independent(Normal(mean[None], 1.0), 1), mean[None], ())
    assert_close(LogCosh(2.0)(trace), (torch.log(torch.cosh(2 * (mean - x))) / 2).sum(1))
    far = Trace(x, Independent(Normal(mean[None] + 1e4, 1.0), 1), mean[None], ())
    assert LogCosh(10.0)(far).isfinite().all()


def independent_similarity(x: np.ndarray, y: np.ndarray, scales: int, side: int) -> float:
    """MS-SSIM of one image (C, H, W) by SciPy, after the paper's formulas."""
    at = np.arange(side) - (side - 1) / 2
    window = np.exp(-(at**2) / (2 * 1.5**2))
    window /= window.sum()
    half = side // 2

    def blur(v: np.ndarray) -> np.ndarray:
        smooth = correlate1d(correlate1d(v, window, axis=1), window, axis=2)
        return smooth[:, half : v.shape[1] - half, half : v.shape[2] - half]

    shares, product = np.array(SCALES[:scales]) / sum(SCALES[:scales]), 1.0
    for scale in range(scales):
        a, b = blur(x), blur(y)
        structure = (2 * (blur(x * y) - a * b) + 9e-4) / (blur(x * x) - a * a + blur(y * y) - b * b + 9e-4)
        whole = structure * (2 * a * b + 1e-4) / (a * a + b * b + 1e-4)
        product *= (whole if scale == scales - 1 else structure).mean() ** shares[scale]
        x, y = (v.reshape(len(v), v.shape[1] // 2, 2, v.shape[2] // 2, 2).mean((2, 4)) for v in (x, y))
    return product


@pytest.mark.parametrize(("size", "scales", "side"), [(8, 1, 7), (16, 1, 11), (32, 2, 11), (48, 3, 11)])
def test_structural_similarity_is_the_formula_of_the_paper(size, scales, side):
    rng = np.random.default_rng(0)
    x = np.clip(np.cumsum(rng.normal(0, 0.1, (2, 3, size, size)), -1) + 0.5, 0, 1)
    y = np.clip(x + rng.normal(0, 0.05, x.shape), 0, 1)
    found = similarity(torch.from_numpy(x), torch.from_numpy(y))
    expected = [independent_similarity(a, b, scales, side) for a, b in zip(x, y, strict=True)]
    assert_close(found, torch.tensor(expected, dtype=torch.float64))
    assert_close(similarity(torch.from_numpy(x), torch.from_numpy(x)), torch.ones(2, dtype=torch.float64))


def test_a_term_that_is_no_likelihood_says_so():
    for name, shape, kind in (("log_cosh_vae", (6,), "reals"), ("ssim_vae", (1, 8, 8), "bytes"), ("vae_gan", (6,), "reals")):
        made = build(name, shape, kind)
        assert not made.objective.is_likelihood
        with pytest.raises(Mistake, match="use optimal-gaussian, which solves it"):
            build(name, shape, kind, likelihood="gaussian")
    assert build("vae").objective.is_likelihood
    with pytest.raises(Mistake, match="compares images, and one example has shape"):
        build("ssim_vae")


# ------------------------------------------------------------------------------------------------------ penalties


def test_the_decoder_s_slope_is_its_jacobian_s_square_on_average():
    made, x = build("rae_gp"), reals(3)
    trace = made.model(x)
    exact = [
        torch.autograd.functional.jacobian(lambda z: made.model.likelihood(z[None, None]).mean[0, 0], z).square().sum()
        for z in trace.code[0]
    ]
    found = torch.stack([DecoderSlope()(trace).detach() for _ in range(4000)])
    assert ((found.mean(0) - torch.stack(exact)).abs() < 5 * found.std(0) / math.sqrt(4000)).all()


def test_the_decoder_s_slope_moves_the_decoder_alone():
    made, x = build("rae_gp"), reals(3)
    loss = DecoderSlope()(made.model(x)).mean()
    encoder, decoder = sides(made)
    assert max(g.abs().max() for g in gradients(loss, encoder)) == 0
    assert max(g.abs().max() for g in gradients(loss, decoder)) > 0
    assert_close(DecoderWeights()(made.model(x)), sum(w.detach().square().sum() for w in decoder).expand(3))


def test_bounded_layers_stretch_nothing_more_than_their_bound():
    net = mlp((5,), (4,), width=8, depth=1)
    for layer in net.layers:
        layer.weight.data.mul_(10)
    small = nn.Linear(3, 3)
    small.weight.data.copy_(0.1 * torch.eye(3))
    bounded(net, 2.0), bounded(small, 2.0)
    for _ in range(100):
        net(torch.randn(2, 5))
    for layer in net.layers:
        assert torch.linalg.matrix_norm(layer.weight, 2).item() == pytest.approx(2, rel=1e-4)
    assert_close(small.weight, 0.1 * torch.eye(3))  # what is below the bound stays as it is
    with pytest.raises(Mistake, match="a positive number"):
        bounded(nn.Linear(2, 2), 0.0)


def test_the_average_of_a_bounded_model_knows_the_direction_that_is_stretched_most():
    made = build("rae_sn", net="mlp")
    directions = [part.direction for part in made.model.modules() if isinstance(part, Bounded)]
    assert len(directions) == 2
    known = {id(one) for one in made.model.learnt()}
    assert all(id(one) in known for one in directions)


# -------------------------------------------------------------------------------------------------------- capacity


@pytest.mark.parametrize(("step", "capacity"), [(0, 0.0), (30, 10.0), (75, 25.0), (99, 25.0)])
def test_a_capacity_charges_the_distance_from_what_may_be_held(step, capacity):
    made = build("capacity_vae", gamma=3.0, capacity=25.0)
    found = made.objective(made.model(reals(5)), made.objective.at(step, 100))
    assert_close(found.total, found.parts["distortion"] + 3 * (found.parts["rate"] - capacity).abs(), check_dtype=False)
    assert made.objective.final_weight("rate") == 3.0
    assert Capacity(3.0, 25.0).resting().value(0, 100) == 25.0


# ------------------------------------------------------------------------------------------------------ adversaries


def test_an_adversary_that_knows_both_densities_says_their_ratio():
    """T = log p − log q is the best critic: at it the cross-entropy is least, and the codes' loss is −log p/(p + q)."""

    def ratio(z: Tensor) -> Tensor:
        return (Normal(0.0, 1.0).log_prob(z) - Normal(1.0, 0.5).log_prob(z)).sum(1, keepdim=True)

    trace = coded(torch.ones(4000, 2).double(), torch.full((4000, 2), 0.5).double())

    class Known(nn.Module):
        def __init__(self, scale: float, shift: float) -> None:
            super().__init__()
            self.scale, self.shift = scale, shift

        def forward(self, z: Tensor) -> Tensor:
            return self.scale * ratio(z) + self.shift

    best = Adversary(Known(1.0, 0.0)).mistaken(trace.detach()).mean()
    for scale, shift in ((0.5, 0.0), (2.0, 0.0), (1.0, 0.7), (1.0, -0.7)):
        assert Adversary(Known(scale, shift)).mistaken(trace.detach()).mean() > best
    p, q = (Normal(m, s).log_prob(trace.code).sum(2) for m, s in ((0.0, 1.0), (1.0, 0.5)))
    assert_close(Adversary(Known(1.0, 0.0))(trace), (torch.logaddexp(p, q) - p)[0])


def slope_by_differences(loss: Callable[[], Tensor], weights: list[Tensor], direction: list[Tensor]) -> float:
    """The derivative of a loss along a direction of its weights."""
    ends, step = [], 1e-8  # so small that hardly a unit passes its kink
    for sign in (1, -1):
        for w, v in zip(weights, direction, strict=True):
            w.data.add_(sign * step * v)
        ends.append(loss().item())
        for w, v in zip(weights, direction, strict=True):
            w.data.sub_(sign * step * v)
    return (ends[0] - ends[1]) / (2 * step)


@pytest.mark.parametrize("name", ["factor_vae", "adversarial_autoencoder", "wae_gan", "vae_gan"])
def test_each_player_follows_its_own_loss_and_no_other(name):
    made, x = build(name), reals(8)
    (player,) = made.objective.players
    encoder, decoder = sides(made)

    def trace() -> Trace:
        torch.manual_seed(6)
        return made.model(x)

    def total() -> Tensor:
        return made.objective(trace(), made.objective.at(0, 1)).total

    def of_the_encoder() -> Tensor:
        """What an image adversary says reaches the decoder alone."""
        parts = made.objective(trace(), made.objective.at(0, 1)).parts
        return total().detach() - parts.get("image adversary", 0)

    def of_the_critic() -> Tensor:
        return player.loss(trace().detach()).mean()

    assert max(g.abs().max() for g in gradients(of_the_critic(), [*encoder, *decoder])) == 0
    for loss, weights, slopes in (
        (of_the_encoder, encoder, gradients(total(), encoder)),
        (total, decoder, gradients(total(), decoder)),
        (of_the_critic, player.weights, gradients(of_the_critic(), player.weights)),
    ):
        direction = [torch.randn_like(w) for w in weights]
        along = sum((g * v).sum() for g, v in zip(slopes, direction, strict=True))
        found = slope_by_differences(loss, weights, direction)
        assert found == pytest.approx(along.item(), rel=1e-4, abs=1e-6)


def test_the_image_adversary_teaches_the_decoder_to_be_taken_for_real_and_the_encoder_nothing():
    made, x = build("vae_gan"), reals(8)
    adversary = next(term for term in made.objective.terms if term.name == "image adversary")
    trace = made.model(x)
    loss = adversary(trace).mean()
    encoder, decoder = sides(made)
    assert max(g.abs().max() for g in gradients(loss, encoder)) == 0

    def logits() -> Tensor:
        decoded = [made.model.decode(code)[0] for code in (trace.code.detach(), trace.prior_code)]
        return sum(adversary.critic(x).mean() for x in decoded)

    before = logits()
    for weight, slope in zip(decoder, gradients(loss, decoder), strict=True):
        weight.data.sub_(1e-3 * slope)
    assert logits() > before
