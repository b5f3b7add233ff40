"""Fitted priors: velocities, densities and draws against closed forms, sums and autograd; what is kept is what was fitted."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.stats import chi2, multivariate_normal
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.testing import assert_close

from legato.codebooks import FiniteScalars
from legato.errors import Mistake
from legato.fitted import FlowMatching, Gaussians, Scaled
from legato.fitted.fits import Codes, flow_matching, sizes_of, standard
from legato.fitted.learning import Length, learnt
from legato.fitted.matching import Way
from legato.fitted.path import at, gaussian_velocity, mixture_velocity, of_deviations, of_points
from legato.fitted.solver import divergence, estimated_divergence, solve
from legato.fitted.velocity import Attending, Dense, Velocity
from legato.priors import StandardNormal
from legato.trace import NOTHING, Given

CPU = torch.device("cpu")
WEIGHTS = torch.tensor([0.5, 0.3, 0.2], dtype=torch.double)
MEANS = torch.tensor([[2.0, 0.0], [-1.5, 1.5], [0.0, -2.0]], dtype=torch.double)
COVARIANCES = torch.stack(
    [s * torch.tensor([[1.0, c], [c, 0.6]], dtype=torch.double) for s, c in ((0.3, 0.4), (0.5, -0.3), (0.2, 0.0))]
)

pytestmark = pytest.mark.usefixtures("alone")


class Exact(Velocity):
    """The velocity of a mixture in closed form, in the place of a net."""

    def __init__(self) -> None:
        super().__init__(8, 0)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Tensor:
        return mixture_velocity(x, float(t[0]), WEIGHTS, MEANS, COVARIANCES)

    def added(self, x: Tensor, time: Tensor, label: Tensor | None) -> Tensor:
        raise NotImplementedError


def spread(net: Velocity, deviation: float = 0.3) -> Velocity:
    """The net with other weights than those of its start, at which it adds nothing."""
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=deviation / math.sqrt(weight.shape[-1]))
    return net


def exact_prior() -> FlowMatching:
    prior = FlowMatching((2,), Exact()).double()
    prior.steps = 100
    return prior


def density(z: np.ndarray) -> np.ndarray:
    """p(z) of the mixture, by SciPy."""
    parts = zip(WEIGHTS.tolist(), MEANS.numpy(), COVARIANCES.numpy(), strict=True)
    return np.sum([w * multivariate_normal(m, s).pdf(z) for w, m, s in parts], axis=0)


# ------------------------------------------------------------------------------------------------- the path


@pytest.mark.parametrize("t", [0.0, 0.3, 0.8, 0.999])
def test_the_velocity_of_a_mixture_is_the_mean_of_x1_less_x0_given_where_they_meet(t):
    """In one dimension, by a sum over x₁: x₀ is then known."""
    weights, means, deviations = np.array([0.6, 0.4]), np.array([-1.0, 1.5]), np.array([0.5, 0.2])
    ends = np.linspace(-5, 5, 400_001)
    of_end = (weights / deviations * np.exp(-0.5 * ((ends[:, None] - means) / deviations) ** 2)).sum(1)
    for x in (-1.2, 0.1, 0.9):
        start = (x - t * ends) / (1 - t)
        joint = of_end * np.exp(-0.5 * start**2)
        expected = (joint * (ends - start)).sum() / joint.sum()
        found = mixture_velocity(
            torch.tensor([[x]], dtype=torch.double),
            t,
            *(torch.as_tensor(v) for v in (weights, means[:, None], deviations[:, None, None] ** 2)),
        )
        assert found.item() == pytest.approx(expected, abs=1e-5)


def test_a_mixture_of_one_has_the_velocity_of_a_gaussian():
    x = torch.randn(6, 2, dtype=torch.double)
    for t in (0.0, 0.4, 1.0):
        one = mixture_velocity(x, t, torch.ones(1, dtype=torch.double), MEANS[:1], COVARIANCES[:1])
        assert_close(one, gaussian_velocity(x, t, MEANS[0], COVARIANCES[0]))


def test_a_path_begins_at_noise_and_ends_at_codes():
    start, end = torch.randn(2, 3, 1, 4, 4)
    assert torch.equal(at(start, end, torch.zeros(3)), start)
    assert torch.equal(at(start, end, torch.ones(3)), end)
    assert_close(at(start, end, torch.tensor([0.0, 0.25, 1.0]))[1], 0.75 * start[1] + 0.25 * end[1])


def test_the_irreducible_variance_of_gaussian_codes_is_half_pi_times_their_deviations():
    deviations, times = np.array([1.0, 0.5, 2.0]), (np.arange(4000) + 0.5) / 4000
    each = [(deviations**2 / ((1 - t) ** 2 + t**2 * deviations**2)).sum() for t in times]
    assert of_deviations(deviations) == pytest.approx(np.mean(each), rel=1e-6)


def test_that_of_points_is_their_sum_and_that_of_many_gaussian_ones_theirs():
    rng = np.random.default_rng(0)
    codes, noise, t = rng.normal(size=(5, 3)) + 1e4, rng.normal(size=(5, 3)), 0.4
    expected = []
    for x in (1 - t) * noise + t * codes:
        chance = np.exp([-np.sum((x - t * code) ** 2) / (2 * (1 - t) ** 2) for code in codes])
        chance /= chance.sum()
        mean = (chance[:, None] * codes).sum(0)
        expected.append((chance * np.square(codes - mean).sum(1)).sum() / (1 - t) ** 2)
    assert of_points(codes, noise, np.array([t]))[0] == pytest.approx(np.mean(expected), rel=1e-4)
    deviations = np.array([1.0, 0.5])
    many = rng.normal(size=(4000, 2)) * deviations
    for time in (0.0, 0.5):
        said = (deviations**2 / ((1 - time) ** 2 + time**2 * deviations**2)).sum()
        assert of_points(many, rng.normal(size=many.shape), np.array([time]))[0] == pytest.approx(said, rel=0.05)


def test_two_far_points_leave_nothing_to_be_guessed():
    codes = np.array([[-30.0, 0.0], [30.0, 0.0]])
    noise = np.random.default_rng(0).normal(size=(2, 2))
    assert of_points(codes, noise, np.array([0.9]))[0] == pytest.approx(0, abs=1e-12)


# ------------------------------------------------------------------------------------------------- the way


def test_a_step_of_each_method_has_its_order():
    def error(method: str, steps: int) -> float:
        found = solve(lambda state, t: (-state[0] * (1 + t),), (torch.ones(1, dtype=torch.double),), 0.0, 1.0, method, steps)
        return abs(found[0].item() - math.exp(-1.5))

    assert error("euler", 20) / error("euler", 40) == pytest.approx(2, rel=0.1)
    assert error("heun", 20) / error("heun", 40) == pytest.approx(4, rel=0.1)


@pytest.mark.parametrize(("begin", "end"), [(0.0, 1.0), (1.0, 0.0)])
def test_an_adaptive_way_keeps_to_its_tolerance_in_either_direction(begin, end):
    asked = []

    def slope(state, t):
        asked.append(t)
        return (30 * torch.cos(30 * torch.tensor(t)) * torch.ones_like(state[0]),)

    for within in (1e-2, 1e-5):
        found = solve(slope, (torch.zeros(3, dtype=torch.double),), begin, end, "adaptive", within=within)[0]
        assert (found - (math.sin(30 * end) - math.sin(30 * begin))).abs().max() < 30 * within
    assert min(asked) >= 0
    assert max(asked) <= 1


def test_what_cannot_be_followed_is_told():
    with pytest.raises(Mistake, match="`method` is one of euler, heun, adaptive"):
        solve(lambda state, t: state, (torch.ones(1),), 0, 1, "rk4")  # type: ignore[arg-type]
    with pytest.raises(Mistake, match="1 or more; got 0"):
        solve(lambda state, t: state, (torch.ones(1),), 0, 1, "euler", 0)
    with pytest.raises(Mistake, match="changes too quickly"):
        solve(lambda state, t: (state[0] * 1e9 * (-1) ** int(t * 1e6),), (torch.ones(1, dtype=torch.double),), 0, 1, "adaptive")


@pytest.mark.parametrize("classes", [0, 3])
def test_the_trace_is_that_of_the_whole_jacobian_and_its_estimate_has_it_as_its_mean(classes):
    net = spread(Dense((4,), classes, 16, 2)).double()
    x, t = torch.randn(5, 4, dtype=torch.double), torch.full((5,), 0.3, dtype=torch.double)
    label = torch.tensor([0, 2, -1, 1, 1]) if classes else None

    def velocity(rows: Tensor) -> Tensor:
        return net(rows, t, label)

    jacobian = torch.autograd.functional.jacobian(lambda rows: velocity(rows).sum(0), x)  # (4, 5, 4)
    expected = torch.einsum("ini->n", jacobian)
    value, trace = divergence(velocity, x)
    assert_close(value, velocity(x))
    assert_close(trace, expected)
    signs = [torch.tensor(each, dtype=torch.double).expand(5, 4) for each in itertools.product((-1.0, 1.0), repeat=4)]
    assert_close(torch.stack([estimated_divergence(velocity, x, u)[1] for u in signs]).mean(0), expected)


# ------------------------------------------------------------------------------------------------- the prior


@pytest.mark.parametrize("event", [(3,), (2, 4, 4)])
def test_before_it_has_learnt_anything_it_is_the_gaussian_of_the_codes_moments(event):
    net = Dense(event, 0, 16, 1) if len(event) == 1 else Attending(event, 0, 16, 1, heads=2)
    prior, d = FlowMatching(event, net), math.prod(event)
    if len(event) == 1:
        root = torch.linalg.cholesky(torch.tensor([[2.0, 0.5, 0.1], [0.5, 1.0, 0.2], [0.1, 0.2, 0.3]]))
        prior.centre, prior.root = torch.tensor([1.0, -2.0, 0.0]), root
        expected = MultivariateNormal(prior.centre, scale_tril=root)
    else:
        prior.centre, prior.root = torch.tensor([1.0, -3.0]).view(2, 1, 1), torch.tensor([0.5, 2.0]).view(2, 1, 1)
        scale = prior.root.expand(event).flatten()
        expected = MultivariateNormal(prior.centre.expand(event).flatten(), scale_tril=torch.diag(scale))
    z = expected.sample((50,))
    with torch.no_grad():
        assert_close(prior.log_density(z.view(50, *event)), expected.log_prob(z), atol=2e-3, rtol=1e-4)
        noise = torch.randn(4000, *event)
        drawn = prior.led(noise).flatten(1)
    assert (drawn.mean(0) - expected.mean).abs().max() < 0.15
    assert (torch.cov(drawn.T) - expected.covariance_matrix).abs().max() < 0.35
    assert drawn.shape == (4000, d)


def test_the_exact_velocity_gives_the_density_of_its_mixture_which_integrates_to_one():
    z = MEANS.repeat(20, 1) + torch.randn(60, 2, dtype=torch.double)
    with torch.no_grad():
        found = exact_prior().log_density(z).numpy()
        # where the density is 10⁻³ of its top, a way back to noise is longer, and steps count more
        np.testing.assert_allclose(found, np.log(density(z.numpy())), atol=5e-3)
        side = torch.linspace(-5.5, 5.5, 56, dtype=torch.double)
        grid = torch.cartesian_prod(side, side)
        prior = exact_prior()
        prior.steps = 50
        total = prior.log_density(grid).exp().sum() * (side[1] - side[0]) ** 2
    assert total.item() == pytest.approx(1, abs=5e-3)


def test_draws_of_the_exact_velocity_pass_a_chi_squared_test():
    n, rng = 6000, np.random.default_rng(1)
    prior = exact_prior()
    prior.steps = 40
    z = prior.draw(n, rng, dtype=np.float64)
    edges = np.linspace(-4, 4, 9)
    counts = np.histogramdd(z, (edges, edges))[0].ravel()
    fine = np.linspace(-4, 4, 8 * 40 + 1)
    middles = (fine[1:] + fine[:-1]) / 2
    mass = density(np.stack(np.meshgrid(middles, middles, indexing="ij"), -1).reshape(-1, 2)).reshape(8, 40, 8, 40)
    expected = n * mass.sum((1, 3)).ravel() * (fine[1] - fine[0]) ** 2
    some = expected > 8
    counts = np.append(counts[some], n - counts[some].sum())
    expected = np.append(expected[some], n - expected[some].sum())
    assert ((counts - expected) ** 2 / expected).sum() < chi2(len(counts) - 1).ppf(0.999)


def test_what_is_learnt_lies_near_the_mixture_and_halving_the_step_moves_no_density():
    rng = np.random.default_rng(0)
    of = rng.choice(3, 20_000, p=WEIGHTS.numpy())
    roots = np.linalg.cholesky(COVARIANCES.numpy())
    z = (MEANS.numpy()[of] + np.einsum("nij,nj->ni", roots[of], rng.normal(size=(20_000, 2)))).astype(np.float32)
    codes = Codes(z[:18_000], np.zeros_like(z[:18_000]), (2,))
    prior, told = flow_matching(FlowMatching((2,), Dense((2,), 0, 64, 2)), codes, Length(1, 1500), 0, CPU)
    assert isinstance(prior, FlowMatching)
    test = torch.tensor(z[18_000:])
    found = prior.log_density(test).numpy()
    true = np.log(density(test.numpy()))
    one = MultivariateNormal(*(torch.as_tensor(v, dtype=torch.float) for v in (z.mean(0), np.cov(z.T)))).log_prob(test).numpy()
    assert true.mean() - found.mean() < 0.06  # nats from the true mixture; one Gaussian is 0.6 away
    assert true.mean() - one.mean() > 0.4
    prior.steps *= 2
    assert abs(prior.log_density(test).numpy().mean() - found.mean()) < 0.05
    assert told["steps"] == 1500


def test_a_seed_and_a_number_of_steps_fix_what_is_learnt():
    z = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    codes = Codes(z, 0.1 * np.ones_like(z), (3,), np.arange(300) % 2, 2)

    def fit(seed: int) -> dict[str, Tensor]:
        torch.manual_seed(5)
        prior, _ = flow_matching(FlowMatching((3,), Dense((3,), 2, 8, 1)), codes, Length(1, 6), seed, CPU)
        return prior.state_dict()

    first, again, other = fit(0), fit(0), fit(1)
    assert all(torch.equal(a, b) for a, b in zip(first.values(), again.values(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first.values(), other.values(), strict=True))


@pytest.mark.parametrize("event", [(3,), (2, 4, 4)])
def test_guidance_is_a_line_from_the_velocity_of_all_through_that_of_the_class(event):
    net = spread(Dense(event, 3, 16, 1) if len(event) == 1 else Attending(event, 3, 16, 1, heads=2))
    prior, x, label = FlowMatching(event, net), torch.randn(4, *event), torch.tensor([0, 1, 2, 2])
    t = torch.full((4,), 0.3)

    def velocity(weight: float) -> Tensor:
        return Way("heun", 4, weight).of(prior)._velocity(x, 0.3, label)

    with torch.no_grad():
        of_all, of_class = net(x, t, None), net(x, t, label)
        assert_close(velocity(0), of_all)
        assert_close(velocity(1), of_class)
        assert_close(velocity(2.5), of_all + 2.5 * (of_class - of_all))
        assert (of_all - of_class).abs().max() > 1e-3
        assert_close(net(x, t, torch.full((4,), -1)), of_all)  # a label that is not known


def test_guidance_without_classes_is_refused():
    with pytest.raises(Mistake, match="fitted without any"):
        Way(guidance=2.0).of(FlowMatching((2,), Dense((2,), 0, 8, 1)))


def test_draws_of_a_class_are_those_of_its_codes():
    rng = np.random.default_rng(0)
    label = np.arange(2000) % 2
    z = (rng.normal(size=(2000, 2)) * 0.3 + np.where(label, 2.0, -2.0)[:, None]).astype(np.float32)
    codes = Codes(z, np.zeros_like(z), (2,), label, 2)
    prior, _ = flow_matching(FlowMatching((2,), Dense((2,), 2, 32, 2)), codes, Length(1, 500), 0, CPU)
    for number, middle in ((0, -2.0), (1, 2.0)):
        drawn = prior.draw(300, np.random.default_rng(1), given=Given(torch.tensor(number)))
        assert np.abs(drawn.mean(0) - middle).max() < 0.25
    assert abs(prior.draw(1000, np.random.default_rng(1)).mean()) < 0.4  # of all


def of_classes(d: int = 2, shares: tuple[float, ...] = (0.5, 0.2, 0.3)) -> FlowMatching:
    net = spread(Dense((d,), len(shares), 16, 1), 0.5)
    torch.nn.init.normal_(net.of_class.weight, std=3.0)  # so that the classes differ
    prior = FlowMatching((d,), net)
    prior.shares = torch.tensor(shares)
    return prior.eval().requires_grad_(False)


def test_a_density_of_few_classes_is_their_sum_by_shares():
    prior, z = of_classes(), 1.5 * torch.randn(50, 2)
    each = torch.stack([prior.log_density(z, torch.full((50,), y)) for y in range(3)], 1)
    assert_close(prior.log_density(z), torch.logsumexp(each + prior.shares.log(), 1))
    assert_close(prior(NOTHING).log_prob(z), prior.log_density(z))
    assert (each[:, 0] - each[:, 1]).abs().max() > 0.1  # the classes differ
    assert prior.steps == 32


def test_a_density_of_few_classes_integrates_to_one():
    prior, line = of_classes(), torch.linspace(-7, 7, 91)
    z = torch.cartesian_prod(line, line)
    assert abs(float(prior.log_density(z).double().exp().sum()) * float(line[1] - line[0]) ** 2 - 1) < 2e-3


def test_a_class_without_a_share_is_none_of_a_density():
    prior, z = of_classes(shares=(1.0, 0.0, 0.0)), torch.randn(20, 2)
    assert_close(prior.log_density(z), prior.log_density(z, torch.zeros(20, dtype=torch.long)))


def test_draws_of_few_classes_have_their_shares():
    rng = np.random.default_rng(0)
    label = (np.arange(2000) % 4 == 0).astype(int)  # three quarters of the first
    z = (rng.normal(size=(2000, 2)) * 0.3 + np.where(label, 2.0, -2.0)[:, None]).astype(np.float32)
    codes = Codes(z, np.zeros_like(z), (2,), np.where(np.arange(2000) < 100, -1, label), 2)
    prior, _ = flow_matching(FlowMatching((2,), Dense((2,), 2, 32, 2)), codes, Length(1, 500), 0, CPU)
    assert_close(prior.shares, torch.tensor([0.75, 0.25]))  # of the rows whose class is known
    torch.manual_seed(0)
    ways = list(prior.ways(2000, np.random.default_rng(1), 3))[-1]
    for drawn in (prior.draw(2000, np.random.default_rng(1)), prior(NOTHING).sample((2000,)).numpy(), ways):
        assert abs((drawn[:, 0] > 0).mean() - 0.25) < 0.04
        assert (np.abs(np.abs(drawn) - 2).max(1) < 1.2).mean() > 0.97  # and hardly any lies between


def test_a_film_begins_at_noise_and_ends_at_the_draw():
    prior = FlowMatching((3,), spread(Dense((3,), 0, 16, 1)))
    prior.centre, noise = torch.tensor([1.0, 2.0, 3.0]), torch.randn(4, 3)
    with torch.no_grad():
        film = torch.stack(list(prior.film(noise, 9)))
        assert film.shape == (9, 4, 3)
        assert_close(film[0], prior.restored(noise))
        assert_close(film[-1], prior.led(noise))


@pytest.mark.parametrize("shape", [(), (5,), (2, 5)])
def test_its_distribution_has_the_shapes_of_torchs(shape):
    for prior in (
        FlowMatching((3,), Dense((3,), 0, 8, 1)),
        FlowMatching((2, 4, 4), Attending((2, 4, 4), 0, 8, 1, heads=2)),
        Gaussians((3,), 2),
        Gaussians((2, 4, 4), 2),
        Scaled((3,), StandardNormal((3,))),
    ):
        of = prior(NOTHING)
        z = of.sample(shape)
        assert z.shape == (*shape, *prior.event)
        with torch.no_grad():
            found = of.log_prob(z)
        assert found.shape == shape
        assert torch.isfinite(found).all()


def test_several_gaussians_have_the_density_of_theirs_and_so_have_scaled_codes():
    prior = Gaussians((2,), 3)
    prior.weights, prior.means = WEIGHTS.float(), MEANS.float()
    prior.roots = torch.linalg.cholesky(COVARIANCES).float()
    z = torch.randn(40, 2)
    np.testing.assert_allclose(prior(NOTHING).log_prob(z), np.log(density(z.numpy())), atol=1e-4)
    drawn = prior.draw(20_000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(0), (WEIGHTS @ MEANS).numpy(), atol=0.05)
    scaled = Scaled((2,), StandardNormal((2,)))
    scaled.centre, scaled.scale = torch.tensor([3.0, -1.0]), torch.tensor([0.5, 4.0])
    expected = MultivariateNormal(scaled.centre, torch.diag(scaled.scale**2))
    assert_close(scaled(NOTHING).log_prob(z), expected.log_prob(z))


def test_codes_are_brought_to_mean_0_and_covariance_1_or_each_channel_to_deviation_1():
    rng = np.random.default_rng(0)
    z = (rng.normal(size=(4000, 3)) @ rng.normal(size=(3, 3)) + [1, 2, 3]).astype(np.float32)
    prior = FlowMatching((3,), Dense((3,), 0, 8, 1))
    prior.centre, prior.root = standard(Codes(z, np.zeros_like(z), (3,)))
    found = prior.standardised(torch.tensor(z))
    assert_close(torch.cov(found.T), torch.eye(3), atol=1e-3, rtol=0)
    assert_close(prior.restored(found), torch.tensor(z), atol=1e-4, rtol=1e-4)
    grid = rng.normal(size=(200, 2, 4, 4)).astype(np.float32) * np.array([3.0, 0.1], np.float32).reshape(2, 1, 1)
    _, root = standard(Codes(grid.reshape(200, -1), np.zeros((200, 32), np.float32), (2, 4, 4)))
    assert root.flatten().tolist() == pytest.approx([3.0, 0.1], rel=0.05)


def test_a_net_is_trained_for_its_minutes_by_a_timing_at_the_start():
    net = torch.nn.Linear(1, 1)

    def loss(stream: torch.Generator) -> Tensor:
        x = torch.randn(16, 1, generator=stream)
        return (net(x) - 3 * x).square().mean()

    _, told = learnt(net, loss, Length(0.01), CPU, 0.05, 0)
    assert told["steps"] >= 200
    with pytest.raises(Mistake, match="`minutes` must be"):
        Length(0.0)
    with pytest.raises(Mistake, match="1 or more; got 0"):
        Length(1.0, 0)


def test_draws_of_a_codebooks_codes_are_values_of_it_and_have_no_density():
    book = FiniteScalars(5)
    prior = FlowMatching((3,), spread(Dense((3,), 0, 16, 1)), book)
    drawn = torch.tensor(prior.draw(200, np.random.default_rng(0)))
    assert_close(book.values(book.indices(drawn)), drawn)
    assert len(drawn.unique()) == 5
    with pytest.raises(Mistake, match="autoregressive has a likelihood"):
        prior.log_density(drawn)


def test_beyond_64_dimensions_a_density_is_right_in_the_mean_alone_and_says_so():
    small, large = (FlowMatching(event, spread(Attending(event, 0, 8, 1, heads=2), 0.1)) for event in ((4, 4, 4), (5, 4, 4)))
    assert small.exact
    assert not large.exact
    large.steps = 4
    z = torch.randn(1, 5, 4, 4)
    with torch.no_grad():
        exact = large.log_density(z)
        estimates = large(NOTHING).log_prob(z.expand(2000, -1, -1, -1))
    assert estimates.std() > 0
    assert abs(estimates.mean() - exact).item() < 5 * estimates.std().item() / math.sqrt(2000)


@pytest.mark.parametrize("patch", [1, 2, 4, 5])
def test_a_token_is_a_square_of_places_and_comes_back_to_them(patch):
    net = Attending((3, 4, 6), 0, 12 * patch**2, 0, patch, 1)
    torch.nn.init.eye_(net.first.weight)
    torch.nn.init.zeros_(net.first.bias)
    torch.nn.init.zeros_(net.place)
    net.norm = torch.nn.Identity()
    net.last.weight.data = torch.eye(*net.last.weight.shape)
    x = torch.randn(2, 3, 4, 6)
    assert_close(net.added(x, torch.zeros(1, net.place.shape[1]), None), x)


@pytest.mark.parametrize(("event", "patch"), [((2, 7, 7), 2), ((3, 5, 4), 3), ((1, 1, 1), 2)])
def test_a_square_may_reach_beyond_the_code_whose_last_place_it_reads_and_writes(event, patch):
    net = spread(Attending(event, 0, 8, 1, patch, heads=2))
    x, t = torch.randn(3, *event), torch.full((3,), 0.4)
    moved = torch.zeros_like(x)
    moved[..., -1, -1] = 1.0
    found, other = net(x, t), net(x + moved, t)
    assert found.shape == x.shape
    assert (other - found)[..., -1, -1].abs().max() > 1e-4  # its last place is read and written


def test_a_square_of_no_places_is_refused():
    with pytest.raises(Mistake, match="1 or more; got 0"):
        Attending((3, 4, 6), patch=0)


@pytest.mark.parametrize(("missing", "summed"), [(0, 1), (1, 0), (40, 0)])
def test_a_sum_over_classes_wants_every_rows_class(missing, summed):
    z = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    codes = Codes(z, np.zeros_like(z), (3,), np.where(np.arange(40) < missing, -1, np.arange(40) % 2), 2)
    sizes = sizes_of("flow-matching", codes)
    assert sizes["summed"] == summed
    prior = FlowMatching((3,), Dense((3,), 2, 8, 1), summed=bool(summed))
    found, _ = flow_matching(prior, codes, Length(1, 4), 0, CPU)
    assert len(found.shares) == 2 * summed
    assert torch.isfinite(found.log_density(torch.zeros(1, 3))).all()
