"""The laws: numbers that hold whatever the weights are, each checked against a closed form or another implementation.

A law about draws is checked within 5 standard errors at a fixed seed; a law of algebra to rounding, in float64.
"""

from __future__ import annotations

import functools
import logging
import math
import pickle
import shutil
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import log_expit
from sklearn.decomposition import PCA
from torch import Tensor
from torch.distributions import Independent, Laplace, MultivariateNormal, Normal, kl_divergence
from torch.nn.utils import parameters_to_vector, vector_to_parameters
from torch.testing import assert_close

import legato.objectives
import made_runs
import made_sources
import stopped_runs
from legato import checkpoint, nets
from legato.batch import Batch
from legato.conditional import Conditional
from legato.data.batches import TrainingBatches
from legato.data.preparation import prepare
from legato.data.prepared import Prepared
from legato.definition import define, find
from legato.distributions import (
    BIN,
    DiscretizedLogistic,
    IndependentBernoulli,
    PointMass,
    SolvedNormal,
    kl_per_dimension,
    log_density,
    reparameterised,
)
from legato.distributions.clouds import Laplacian
from legato.distributions.divergence import _TABLE
from legato.distributions.grid import Chosen, Tokens
from legato.errors import Mistake
from legato.families import Bernoulli, ContinuousBernoulli, Gaussian, Homoscedastic, Point
from legato.latents import Flat
from legato.lazy import lazy
from legato.loading import load
from legato.model import LatentVariableModel
from legato.objectives import (
    Adversary,
    Classification,
    Commitment,
    Covariance,
    DecoderSlope,
    DecoderWeights,
    Dependence,
    DimensionwiseRate,
    Discrepancy,
    Dissimilarity,
    Distortion,
    Equivariance,
    FeatureDistortion,
    ImageAdversary,
    ImportanceWeighted,
    IndexEntropy,
    IndexInformation,
    LogCosh,
    MeanRate,
    MultiplyWeighted,
    PartiallyWeighted,
    PatchAdversary,
    Perceptual,
    Pull,
    Rate,
    Reparameterised,
    Rows,
    SlicedWasserstein,
    Term,
    TotalCorrelation,
    anneal,
    critic,
    importance_weighted_bound,
)
from legato.objectives.term import weighed
from legato.priors import StandardNormal
from legato.recipe import RECIPES, Recipe
from legato.sequences import InSequence
from legato.setting import DataSpec
from legato.trace import Given, Rung, Trace
from legato.training.learner import Learner
from legato.training.validation import solve_scale
from made_sources import COLOUR, GREY
from patience import PATIENCE

find("vae")  # fills RECIPES, which the tables below read

FITS = {"binary": "bernoulli", "bytes": "discretized-logistic", "reals": "gaussian"}
# whose draw is no μ + σ ε of one group
UNTAPED = (
    *(
        "flow_vae",
        "iaf_vae",
        "fsq_vae",
        "ladder_vae",
        "hierarchical_vamp_vae",
        "vmf_vae",
        "power_spherical_vae",
        "poincare_vae",
    ),
    *("vq_vae", "gradient_vq_vae", "residual_vq_vae", "sequence_vq_vae", "poincare_vae", "joint_vae", "hamiltonian_vae"),
    *("hierarchy_vae", "lfq_vae"),
)
# zuko asks its arguments' values; a codebook counts what was chosen; a gradient within a term; layers follow
EAGER = (
    *("flow_vae", "iaf_vae", "flow_prior_vae", "dreg_iwae", "piwae", "rae_gp", "rae_sn", "hamiltonian_vae"),
    *("vq_vae", "gradient_vq_vae", "residual_vq_vae", "sequence_vq_vae", "topk_autoencoder"),
)
OF_VECTORS = [name for name in RECIPES if name not in made_runs.OF_IMAGES]
OF_CODES = [net for net in nets.NETS if net != "diffusers"]  # which asks for codes of places
few = partial(settings, deadline=None, derandomize=True)


pytestmark = pytest.mark.usefixtures("alone")


def build(name: str = "vae", shape: tuple[int, ...] = (6,), kind: str = "reals", **chosen) -> Recipe:
    """A tiny recipe in float64."""
    torch.manual_seed(1)
    data = DataSpec(shape, kind, FITS[kind], classes=("no", "yes"), factors=True)
    made = define(name, data, **{"latent_dim": 3, "width": 8, "depth": 1, **chosen}).build(data)
    made.model.double()
    made.objective.double()
    if made.model.classes:  # what holds of every model holds of the model of a class
        made.model = made.model.of_class(1)
    return made


def examples(n: int, shape: tuple[int, ...], kind: str, seed: int = 2) -> Tensor:
    """(n, *shape), float64, of the kind asked for."""
    x = torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return {"binary": (x < 0.4).double(), "bytes": (x * 255).round() / 255, "reals": 4 * x - 1}[kind]


class Tape:
    """Makes a model draw z = μ + σ ε with ε from a tape (k, B, d), row by row, and notes each call's number of draws."""

    def __init__(self, model: LatentVariableModel, noise: Tensor) -> None:
        self.model, self.noise, self.calls = model, noise, []
        model.latent.draw = self.draw

    def draw(self, encoded, draws: int, given: Given):
        noise = self.noise[sum(self.calls) :][:draws]
        self.calls.append(draws)
        z = encoded.mean + encoded.stddev * noise
        return z, (Rung(encoded, self.model.latent.p(given), z),)


def cubature(d: int) -> Tensor:
    """±√d eⱼ, (2d, 1, d): draws of ε whose mean of any polynomial up to degree 3 is its expectation under N(0, I)."""
    eye = math.sqrt(d) * torch.eye(d, dtype=torch.float64)
    return torch.cat([eye, -eye])[:, None]


def gradients(loss: Tensor, parameters) -> list[Tensor]:
    """∂loss/∂parameters, zeros where it does not depend on one."""
    parameters = list(parameters)
    found = torch.autograd.grad(loss, parameters, allow_unused=True, retain_graph=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


# ---------------------------------------------------------------------------------------------------- divergences


def _normals() -> tuple[Normal, Normal]:
    q = Normal(torch.tensor([0.0, 1.5, -2.0, 0.3]).double(), torch.tensor([1.0, 0.2, 2.0, 0.01]).double())
    return q, Normal(torch.tensor([0.0, 0.0, -1.0, 0.0]).double(), torch.tensor([1.0, 1.0, 0.5, 3.0]).double())


def _laplacian() -> tuple[Laplacian, Normal]:
    q, p = _normals()
    return Laplacian(q.loc, q.scale), p


KL_CASES = {(Normal, Normal): _normals, (Laplacian, Normal): _laplacian}
ENUMERATED = {(Chosen, Tokens), (Chosen, InSequence)}  # finitely many codes, of which tests/test_latents.py adds up all
REGISTERED = [pytest.param(pair, id=f"{pair[0].__name__}-{pair[1].__name__}") for pair in KL_CASES]


def test_every_closed_form_has_a_case():
    assert _TABLE.keys() == KL_CASES.keys() | ENUMERATED


@pytest.mark.parametrize("pair", REGISTERED)
def test_closed_form_kl_is_the_mean_of_log_q_minus_log_p_over_a_million_draws(pair):
    q, p = KL_CASES[pair]()
    z = q.sample((10**6,))
    sampled = q.log_prob(z) - p.log_prob(z)
    error = sampled.std(0) / math.sqrt(len(z))
    exact = kl_per_dimension(q, p)
    assert exact.shape == q.mean.shape
    assert ((sampled.mean(0) - exact).abs() <= 5 * error + 1e-12).all()


@pytest.mark.parametrize("pair", REGISTERED)
def test_closed_form_kl_and_its_gradient_are_those_of_torch(pair):
    q, p = KL_CASES[pair]()
    parameters = [getattr(d, name).requires_grad_() for d in (q, p) for name in d.arg_constraints]
    q, p = (type(d)(*(getattr(d, name) for name in d.arg_constraints)) for d in (q, p))
    ours, theirs = kl_per_dimension(q, p), kl_divergence(q, p)
    assert_close(ours, theirs)
    assert_close(gradients(ours.sum(), parameters), gradients(theirs.sum(), parameters))


def test_rate_against_a_standard_normal_is_kingma_and_wellings_formula_with_its_gradient():
    mu = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    log_sigma = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    q = Gaussian()(torch.stack([mu, log_sigma], 1), (3,))
    rung = Rung(q, StandardNormal((3,)).double()(Given()), q.mean[None])
    sigma2 = (2 * log_sigma).exp()
    assert_close(rung.kl, 0.5 * (mu**2 + sigma2 - 1 - sigma2.log()).sum(1))
    assert_close(gradients(rung.kl.sum(), [mu, log_sigma]), [mu.detach(), sigma2.detach() - 1])


@given(st.floats(-30, 30), st.floats(-8, 4), st.floats(-30, 30), st.floats(-8, 4))
@few(max_examples=100)
def test_kl_is_never_negative_and_is_zero_between_equals(mu, log_sigma, other_mu, other_log_sigma):
    tensors = [torch.tensor([v], dtype=torch.float64) for v in (mu, other_mu)]
    q, p = (Normal(m, math.exp(s)) for m, s in zip(tensors, (log_sigma, other_log_sigma), strict=True))
    assert kl_per_dimension(q, p).item() >= -1e-12
    assert kl_per_dimension(q, q).item() == 0


def test_rate_is_the_sum_of_its_dimensions_and_of_its_rungs():
    trace = build().model(examples(4, (6,), "reals"))
    (rung,) = trace.rungs
    assert rung.kl_per_dimension.shape == (1, 4, 3)
    assert_close(rung.kl, rung.kl_per_dimension[0].sum(1))
    assert_close(trace.kl, rung.kl)
    assert_close(Trace(trace.x, trace.likelihood, trace.code, (rung, rung)).kl, 2 * rung.kl)


def test_a_pair_without_a_closed_form_gets_its_kl_from_the_draws_and_says_so(caplog):
    q = Independent(Laplace(torch.zeros(2, 3), torch.ones(2, 3)), 1)
    p = StandardNormal((3,))(Given())
    z = q.rsample((200_000,))
    with caplog.at_level(logging.WARNING):
        rung = Rung(q, p, z)
        sampled = rung.kl
    assert rung.kl_per_dimension is None
    assert "no closed form for KL(Laplace ‖ Normal)" in caplog.text
    exact = 3 * (0.5 * math.log(2 * math.pi) + 1 - math.log(2) - 1)  # E z² / 2 = 1; the Laplace's entropy is 1 + log 2
    error = (rung.log_q - rung.log_p).std(0) / math.sqrt(len(z))
    assert ((sampled - exact).abs() < 5 * error).all()


# ------------------------------------------------------------------------------------------------ the evidence bound


@pytest.mark.parametrize("kind", FITS)
def test_minus_distortion_minus_rate_is_the_mean_of_log_p_minus_log_q(kind):
    trace = build(kind=kind).model(examples(3, (6,), kind), draws=20_000)
    elbo = -(Distortion()(trace) + Rate()(trace))
    (rung,) = trace.rungs
    error = (rung.log_p - rung.log_q).std(0) / math.sqrt(20_000)  # the distortion has the same draws on both sides
    assert ((trace.log_w.mean(0) - elbo).abs() < 5 * error).all()


def _log_p_minus_log_q(model: LatentVariableModel, likelihood: str, x: Tensor, noise: Tensor) -> float:
    """Mean of log p(x, z) − log q(z|x) over noise and batch, from the networks' numbers by NumPy and SciPy alone."""
    with torch.no_grad():
        mu, log_sigma = (t.numpy() for t in model.latent.q.net(x).unbind(1))
        z = mu + np.exp(log_sigma) * noise.numpy()
        theta = model.likelihood.net(torch.from_numpy(z).flatten(0, 1)).unflatten(0, z.shape[:2]).numpy()
    x = x.numpy()
    if likelihood == "gaussian":
        log_px = stats.norm.logpdf(x, theta, model.likelihood.family.log_scale.exp().detach().numpy())
    elif likelihood == "bernoulli":
        log_px = x * log_expit(theta) + (1 - x) * log_expit(-theta)
    else:
        logistic = partial(stats.logistic.cdf, loc=theta[:, :, 0] + 0.5, scale=np.exp(theta[:, :, 1] - 2))
        log_px = np.log(np.where(x > 0.999, 1, logistic(x + BIN / 2)) - np.where(x < 0.001, 0, logistic(x - BIN / 2)))
    log_p, log_q = stats.norm.logpdf(z), stats.norm.logpdf(z, mu, np.exp(log_sigma))
    return float((log_px.sum(-1) + log_p.sum(-1) - log_q.sum(-1)).mean())


@pytest.mark.parametrize("kind", FITS)
def test_beta_one_is_the_elbo_in_value_and_in_gradient_by_finite_differences(kind):
    # At cubature draws the sampled rate equals the closed form, since both logs are quadratic in ε: no error is left.
    made, x, points = build(kind=kind, net="residual"), examples(4, (6,), kind), cubature(3)
    Tape(made.model, points)
    loss = made.objective(made.model(x, len(points)), made.objective.at(0, 1)).total
    independent = partial(_log_p_minus_log_q, made.model, FITS[kind], x, points)
    assert loss.item() == pytest.approx(-independent(), rel=1e-10)

    parameters, step = list(made.model.parameters()), 1e-5
    gradient = parameters_to_vector(gradients(loss, parameters))
    start = parameters_to_vector(parameters).detach()
    for direction in torch.randn(3, len(start), dtype=torch.float64):
        ends = []
        for sign in (1, -1):
            vector_to_parameters(start + sign * step * direction, parameters)
            ends.append(-independent())
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx((gradient @ direction).item(), rel=1e-6, abs=1e-6)


def test_beta_multiplies_the_rate_and_nothing_else():
    x = examples(4, (6,), "reals")
    for beta in (0.0, 1.0, 4.0):
        made = build(beta=beta)
        Tape(made.model, cubature(3))
        total, parts = made.objective(made.model(x, 6), made.objective.at(0, 1))
        assert_close(total.detach(), parts["distortion"] + beta * parts["rate"])
        assert not parts["rate"].requires_grad


# --------------------------------------------------------------------------------------- the importance-weighted bound

log_weights = st.lists(st.floats(-50, 50), min_size=2, max_size=12).map(lambda w: torch.tensor(w, dtype=torch.float64)[:, None])


@pytest.mark.parametrize("kind", FITS)
def test_importance_weighted_bound_at_k_1_is_the_elbo_with_a_sampled_kl(kind):
    trace = build(kind=kind).model(examples(5, (6,), kind), draws=1)
    (rung,) = trace.rungs
    assert torch.equal(ImportanceWeighted(1)(trace), -trace.log_w[0])
    assert_close(ImportanceWeighted(1)(trace), Distortion()(trace) + (rung.log_q - rung.log_p)[0])


@given(log_weights)
@few(max_examples=100)
def test_importance_weighted_bound_is_not_below_its_leave_one_out_mean(log_w):
    rest = [importance_weighted_bound(torch.cat([log_w[:i], log_w[i + 1 :]])) for i in range(len(log_w))]
    bound = importance_weighted_bound(log_w)
    assert (bound >= torch.stack(rest).mean(0) - 1e-9).all()
    assert (log_w.mean(0) - 1e-9 <= bound).all()
    assert (bound <= log_w.max(0).values + 1e-9).all()
    assert_close(bound, log_w.exp().mean(0).log())


@given(log_weights)
@few(max_examples=50)
def test_importance_weighted_gradient_is_minus_the_normalised_weights(log_w):
    log_w = log_w.requires_grad_()
    (gradient,) = torch.autograd.grad(-importance_weighted_bound(log_w).sum(), log_w)
    assert_close(gradient, -torch.softmax(log_w.detach(), 0))


def test_importance_weighted_bound_rises_with_k_in_expectation():
    trace = build(latent_dim=2).model(examples(8, (6,), "reals"), draws=6400)
    means, errors = [], []
    for i, k in enumerate((1, 4, 16, 64)):
        draws = trace.log_w[i * 1600 :][:1600].reshape(-1, k, 8)  # draws of its own for each k
        bounds = torch.stack([importance_weighted_bound(block) for block in draws]).mean(1)
        means.append(bounds.mean().item())
        errors.append(bounds.std().item() / math.sqrt(len(bounds)))
    for i in range(3):
        assert means[i + 1] - means[i] > 2 * math.hypot(errors[i], errors[i + 1])


@functools.cache
def _once_built() -> LatentVariableModel:
    return build().model


@given(st.integers(1, 40), st.integers(1, 64), st.integers(1, 5))
@few(max_examples=40)
def test_log_likelihood_uses_exactly_k_draws_in_any_chunks_and_one_pass_of_the_encoder(k, chunk, batch):
    model, x = _once_built(), examples(5, (6,), "reals")[:batch]
    noise = torch.randn(k, batch, 3, dtype=torch.float64)
    passes = []
    hook = model.latent.q.register_forward_hook(lambda *_: passes.append(1))
    Tape(model, noise)
    exact = importance_weighted_bound(model(x, k).log_w)
    passes.clear()
    cut = Tape(model, noise)
    estimate = model.log_likelihood(x, k, chunk=chunk)
    hook.remove()
    assert sum(cut.calls) == k
    assert max(cut.calls) * batch <= max(chunk, batch)
    assert len(passes) == 1
    assert not estimate.requires_grad
    assert_close(estimate, exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize("k", [1, 5])
def test_a_training_step_draws_as_often_as_its_hungriest_term_and_encodes_once(k):
    model = build().model
    objective = weighed(1.0, ImportanceWeighted(k)) + Distortion()
    passes, tape = [], Tape(model, torch.randn(8, 4, 3, dtype=torch.float64))
    model.latent.q.register_forward_hook(lambda *_: passes.append(1))
    trace = model(examples(4, (6,), "reals"), objective.draws)
    objective(trace, objective.at(0, 1))
    assert (tape.calls, passes) == ([k], [1])
    assert trace.log_w.shape == (k, 4)


def test_importance_weighted_term_uses_its_own_k_where_another_term_wanted_more_draws():
    trace = build().model(examples(4, (6,), "reals"), draws=7)
    assert_close(ImportanceWeighted(3)(trace), -importance_weighted_bound(trace.log_w[:3]))


@pytest.mark.parametrize("k", [0, -1])
def test_no_draws_are_refused(k):
    for asked in (lambda: ImportanceWeighted(k), lambda: build().model.log_likelihood(torch.zeros(2, 6).double(), k)):
        with pytest.raises(Mistake, match="number of draws, 1 or more"):
            asked()


# --------------------------------------------------------------------- a linear-Gaussian VAE against probabilistic PCA


def linear_gaussian(features: int, d: int) -> LatentVariableModel:
    """The grammar's probabilistic PCA: both nets one affine map, q Gaussian, p(x|z) = N(Wz + b, σ²I), σ learned."""
    net = partial(nets.build, "mlp", depth=0)
    posterior = Conditional(net, Gaussian(), (features,), (d,))
    likelihood = Conditional(net, Homoscedastic("learned"), (d,), (features,))
    return LatentVariableModel(Flat(posterior, StandardNormal((d,))), likelihood).double()


def evidence(model: LatentVariableModel, x: Tensor) -> Tensor:
    """log N(x; b, WWᵀ + σ²I), (B,): what no bound may exceed."""
    affine = model.likelihood.net.layers[0]
    covariance = affine.weight @ affine.weight.T + model.likelihood.family.scale**2 * torch.eye(x.shape[1], dtype=x.dtype)
    return MultivariateNormal(affine.bias, covariance).log_prob(x).detach()


def exact_posterior(model: LatentVariableModel, x: Tensor) -> MultivariateNormal:
    """p(z|x) = N(M⁻¹Wᵀ(x − b), σ²M⁻¹), M = WᵀW + σ²I. Tipping & Bishop 1999, eq. 7."""
    affine, variance = model.likelihood.net.layers[0], model.likelihood.family.scale**2
    m = affine.weight.T @ affine.weight + variance * torch.eye(affine.weight.shape[1], dtype=x.dtype)
    return MultivariateNormal((x - affine.bias) @ affine.weight @ m.inverse(), variance * m.inverse())


def exact_elbo(model: LatentVariableModel, x: Tensor) -> Tensor:
    """The objective's own terms on a trace at cubature draws, (B,): exact here, since log p(x|z) is quadratic in z."""
    q = model.latent.encode(x)
    z = q.mean + q.stddev * cubature(q.mean.shape[1])
    trace = Trace(x, model.likelihood(z), z, (Rung(q, model.latent.p(Given()), z),))
    return -(Distortion()(trace) + Rate()(trace))


def table(n: int = 500, features: int = 7, d: int = 3) -> Tensor:
    """Synthetic rows, (n, features), of d factors with distinct strengths and some noise."""
    x = torch.randn(n, d, dtype=torch.float64) * torch.tensor([3.0, 2.0, 1.2])[:d]
    return x @ torch.linalg.qr(torch.randn(features, d, dtype=torch.float64)).Q.T + 0.5 * torch.randn(n, features) + 2.0


@pytest.mark.parametrize("d", [2, 3])
def test_linear_vae_trained_to_its_optimum_reaches_the_evidence_of_probabilistic_pca(d):
    x = table()
    n, features = x.shape
    model = linear_gaussian(features, d)
    optimiser = torch.optim.LBFGS(model.parameters(), max_iter=2000, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = -exact_elbo(model, x).mean()
        loss.backward()
        return loss

    optimiser.step(closure)
    elbo = exact_elbo(model, x).mean().item()
    # Tipping & Bishop 1999, eq. 8 at the maximum: the covariance divides by n.
    values = np.linalg.eigvalsh(np.cov(x.T.numpy(), bias=True))[::-1]
    noise = values[d:].mean()
    log_det = np.log(values[:d]).sum() + (features - d) * math.log(noise)
    best = -0.5 * (features * math.log(2 * math.pi) + log_det + features)
    assert best - 1e-3 < elbo <= best + 1e-9
    assert model.likelihood.family.scale.item() ** 2 == pytest.approx(noise, rel=1e-2)
    # scikit-learn's covariance divides by n − 1, so its score lies below the maximum by exactly this much.
    lost = 0.5 * features * (math.log(n / (n - 1)) + (n - 1) / n - 1)
    assert PCA(d).fit(x.numpy()).score(x.numpy()) == pytest.approx(best - lost, abs=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_elbo_is_the_evidence_minus_the_kl_to_the_exact_posterior_at_any_parameters(seed):
    torch.manual_seed(seed)
    model, x = linear_gaussian(6, 2), table(50, 6, 2)
    q = model.latent.posterior(x)
    gap = kl_divergence(MultivariateNormal(q.mean, torch.diag_embed(q.variance)), exact_posterior(model, x))
    assert_close(exact_elbo(model, x), evidence(model, x) - gap)


@pytest.mark.parametrize("seed", range(3))
def test_importance_weighted_estimate_is_the_models_own_exact_evidence_with_its_sign(seed):
    torch.manual_seed(seed)
    model, k = linear_gaussian(6, 2), 50_000
    x = 0.5 * torch.randn(12, 6, dtype=torch.float64)
    with torch.no_grad():
        model.likelihood.family.log_scale.fill_(math.log(0.8))
        for parameter in model.latent.q.net.layers[0].parameters():
            parameter[2:] = 0.0  # log σ: q is as wide as the prior, so it covers the posterior
    exact = evidence(model, x)
    log_w = model(x, k).log_w.detach()
    weights = torch.softmax(log_w, 0)
    error = (weights.square().sum(0) - 1 / k).sqrt()  # of log mean w, by the delta method
    assert error.max() < 0.05
    estimate = model.log_likelihood(x, k)
    assert ((estimate - exact).abs() < 5 * error).all()
    assert (exact < 0).all()
    # Σ w̃ log w, which is sometimes reported instead, is no bound: it exceeds the evidence here by far more than the error.
    assert ((weights * log_w).sum(0) > exact + 5 * error).any()


# --------------------------------------------------------------------------------------------------------- likelihoods

GRID = torch.arange(256, dtype=torch.float64) / 255
MEANS = [-1000.0, -1.0, -0.3, 0.0, 0.1234, 0.77, 1.0, 2.0, 1000.0]
EDGES = [0.3, 0.5, 0.9]  # 255 × mean is half an odd number: a mean on the edge of two bins


def assert_sums_to_one(dtype: torch.dtype, means: list[float], log_scale: float, tolerance: float) -> None:
    mean = torch.tensor(means, dtype=dtype)[:, None].requires_grad_()
    scale = torch.full_like(mean, log_scale, requires_grad=True)
    log_p = DiscretizedLogistic(mean.expand(-1, 256), scale.expand(-1, 256)).log_prob(GRID.to(dtype))
    assert (log_p <= 0).all()
    assert_close(log_p.double().exp().sum(1), torch.ones(len(means), dtype=torch.float64), rtol=0, atol=tolerance)
    assert all(g.isfinite().all() for g in gradients(log_p.sum(), [mean, scale]))


@pytest.mark.parametrize("log_scale", [-30.0, -20.0, -7.0, -5.0, -3.0, 0.0, 3.0, 10.0, 30.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-8), (torch.float32, 3e-6)])
def test_discretised_logistic_sums_to_one_over_256_values_with_finite_gradients(log_scale, dtype, tolerance):
    assert_sums_to_one(dtype, MEANS + (EDGES if log_scale >= -5 else []), log_scale, tolerance)


@pytest.mark.parametrize("log_scale", [-30.0, -14.0, -10.0])
def test_discretised_logistic_sums_to_one_where_its_scale_nears_the_spacing_of_floats(log_scale):
    assert_sums_to_one(torch.float32, MEANS + EDGES, log_scale, 3e-6)


@given(st.floats(-0.5, 1.5), st.floats(-5, 2), st.integers(0, 255))
@few(max_examples=200)
def test_discretised_logistic_is_the_difference_of_distribution_functions_where_that_is_accurate(mean, log_scale, level):
    cdf = partial(stats.logistic.cdf, loc=mean, scale=math.exp(log_scale))
    above = 1.0 if level == 255 else cdf((level + 0.5) / 255)
    naive = above - (0.0 if level == 0 else cdf((level - 0.5) / 255))
    mean, log_scale = (torch.tensor(v, dtype=torch.float64) for v in (mean, log_scale))
    ours = DiscretizedLogistic(mean, log_scale).log_prob(GRID[level]).item()
    if naive > 1e-5:
        assert ours == pytest.approx(math.log(naive), abs=1e-8)
    assert ours <= 0


def test_discretised_logistic_draws_have_its_probabilities():
    likelihood = DiscretizedLogistic(torch.tensor(0.02), torch.tensor(-4.0))
    levels = (likelihood.sample((100_000,)) * 255).round().long()
    expected = likelihood.log_prob(GRID.float()).exp() * len(levels)
    counts = torch.bincount(levels, minlength=256)
    often = expected > 10
    chi2 = ((counts - expected)[often].square() / expected[often]).sum().item()
    assert stats.chi2.sf(chi2, int(often.sum()) - 1) > 1e-3


def assert_is_a_density(logit: float, dtype: torch.dtype, tolerance: float) -> None:
    likelihood = ContinuousBernoulli()(torch.tensor([logit], dtype=dtype), (1,))
    nodes, weights = np.polynomial.legendre.leggauss(40)  # on each piece; the density's mass may lie near either end
    ends = np.array([0, 0.001, 0.01, 0.1, 0.9, 0.99, 0.999, 1])
    half, middle = np.diff(ends)[:, None] / 2, (ends[1:] + ends[:-1])[:, None] / 2
    x, measure = (middle + half * nodes).ravel(), (half * weights).ravel()
    density = likelihood.log_prob(torch.tensor(x[:, None], dtype=dtype)).double().exp().numpy()
    assert measure @ density == pytest.approx(1, abs=tolerance)
    assert measure @ (x * density) == pytest.approx(likelihood.mean.item(), abs=tolerance)


@pytest.mark.parametrize("logit", [-12.0, -3.0, -0.02, -1e-3, 0.0, 1e-3, 0.02, 1.0, 12.0])
def test_continuous_bernoulli_integrates_to_one_and_has_the_mean_it_shows(logit):
    assert_is_a_density(logit, torch.float64, 1e-7)


@pytest.mark.parametrize("logit", [-100.0, -30.0, 17.0, 0.0041])
def test_continuous_bernoulli_integrates_to_one_at_the_logits_of_black_and_white_pixels_in_float32(logit):
    assert_is_a_density(logit, torch.float32, 1e-5)


@torch.no_grad()
def test_bernoulli_reads_logits_and_its_means_cover_zero_to_one():
    logits = torch.linspace(-30, 30, 121, dtype=torch.float64)
    likelihood = Bernoulli()(logits[:, None], (1,))
    assert_close(likelihood.mean[:, 0].numpy(), stats.logistic.cdf(logits.numpy()))
    assert likelihood.mean.min() < 1e-12
    assert likelihood.mean.max() > 1 - 1e-12
    for value, sign in ((0.0, -1), (1.0, 1)):
        assert_close(likelihood.log_prob(torch.full((1,), value).double()).numpy(), log_expit(sign * logits.numpy()))


@pytest.mark.parametrize("size", [1, 7, 64, 784, 786])  # with and without a divisor to take products of
def test_log_probability_of_many_coins_and_its_gradient_are_the_sums_of_scipys(size):
    rng = np.random.default_rng(size)
    logits, x = rng.normal(0, 8, (3, 5, size)), rng.integers(0, 2, (5, size)).astype(float)
    expected = log_expit(np.where(x == 1, logits, -logits)).sum(-1)
    for dtype, error in ((torch.float64, 1e-11), (torch.float32, 1e-6 * size)):
        given = torch.tensor(logits, dtype=dtype, requires_grad=True)
        found = IndependentBernoulli(given, 1).log_prob(torch.tensor(x, dtype=dtype))
        assert np.abs(found.detach().double().numpy() - expected).max() < error
        weight = torch.randn(3, 5, dtype=dtype)
        (weight * found).sum().backward()
        slope = torch.tensor(x, dtype=dtype) - torch.sigmoid(given.detach())
        assert_close(given.grad, weight[..., None] * slope, rtol=1e-5, atol=1e-7)


def test_coins_have_no_clamp_and_their_rounding_has_no_sign():
    logits = torch.tensor([[-300.0, 300.0, 300.0, 0.0]])
    assert IndependentBernoulli(logits, 1).log_prob(torch.tensor([1.0, 1.0, 0.0, 1.0])).item() == pytest.approx(
        -600 - math.log(2)
    )
    many = 6 * torch.randn(4000, 784)
    x = torch.bernoulli(torch.sigmoid(many))
    exact = torch.nn.functional.logsigmoid(many.double() * (2 * x - 1)).sum(1)
    error = IndependentBernoulli(many, 1).log_prob(x).double() - exact
    assert error.abs().max() < 1e-4
    assert abs(error.mean()) < 5e-6


def test_coins_read_an_event_of_any_shape_and_fall_as_their_means_say():
    logits, x = torch.randn(2, 3, 4, 5), torch.randint(2, (3, 4, 5)).float()
    assert_close(IndependentBernoulli(logits, 2).log_prob(x), IndependentBernoulli(logits.flatten(2), 1).log_prob(x.flatten(1)))
    assert IndependentBernoulli(logits, 2).batch_shape == (2, 3)
    drawn = IndependentBernoulli(logits, 3).sample((20_000,))
    assert drawn.shape == (20_000, 2, 3, 4, 5)
    assert ((drawn.mean(0) - torch.sigmoid(logits)).abs() < 5 * IndependentBernoulli(logits, 3).stddev / 20_000**0.5).all()


@pytest.mark.parametrize("how", ["learned", "solved", 0.25])
@torch.no_grad()
def test_gaussian_likelihood_is_scipys_normal(how):
    family = Homoscedastic(how).double().eval()
    family.solve(torch.tensor(0.7**2))
    sigma = {"learned": 0.3, "solved": 0.7, 0.25: 0.25}[how]
    assert family.scale.item() == pytest.approx(sigma, rel=1e-6)
    mean, x = torch.randn(4, 6).double(), torch.randn(4, 6).double()
    expected = stats.norm.logpdf(x.numpy(), mean.numpy(), family.scale.item()).sum(1)
    assert_close(family(mean, (6,)).log_prob(x).numpy(), expected)


@torch.no_grad()
def test_a_squashed_gaussian_is_the_normal_about_the_sigmoid():
    theta, x = torch.randn(4, 6).double(), torch.rand(4, 6).double()
    family = Homoscedastic(0.7, squashed=True).double()
    mean = 1 / (1 + np.exp(-theta.numpy()))
    assert_close(family(theta, (6,)).log_prob(x).numpy(), stats.norm.logpdf(x.numpy(), mean, family.scale.item()).sum(1))
    assert_close(family(theta, (6,)).mean.numpy(), mean)


def test_a_table_learns_one_scale_per_column_and_an_image_one_for_all():
    assert build(kind="reals", shape=(6,)).model.likelihood.family.log_scale.shape == (6,)
    assert build(kind="reals", shape=(1, 8, 8)).model.likelihood.family.log_scale.shape == ()


def test_a_fixed_scale_is_asked_for_and_positive():
    with pytest.raises(Mistake, match="needs its standard deviation"):
        build(likelihood="fixed-gaussian")
    for scale in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(Mistake, match=r"positive number|finite number"):
            build(likelihood="fixed-gaussian", scale=scale)


def test_solved_scale_is_the_maximiser_of_the_likelihood_and_its_gradient_is_the_whole_one():
    x, mean = examples(8, (6,), "reals"), torch.randn(3, 8, 6, dtype=torch.float64, requires_grad=True)
    best = SolvedNormal(mean).log_prob(x)
    mean_square = (x - mean).square().mean()
    for factor in (0.8, 0.99, 1.01, 1.2):
        assert Normal(mean, factor * mean_square.sqrt()).log_prob(x).sum() < best.sum()
    assert_close(Normal(mean, mean_square.sqrt()).log_prob(x), best)
    # At σ* the derivative by σ is 0: −½N log(mean square) has the same gradient as log p with σ* held.
    whole = -0.5 * mean.numel() * mean_square.log()
    assert_close(gradients(best.sum(), [mean]), gradients(whole, [mean]))


def test_a_table_solves_one_scale_for_each_column():
    x, mean = torch.randn(50, 3) * torch.tensor([0.1, 1.0, 10.0]), torch.zeros(1, 50, 3)
    solved = (x**2).mean(0).sqrt()
    expected = torch.distributions.Normal(0.0, solved).log_prob(x).sum(-1)
    found = Homoscedastic("solved", of=(3,)).train()(mean, (3,)).log_prob(x)[0]
    torch.testing.assert_close(found, expected)


def test_a_repeated_batch_leaves_a_solved_scale_unchanged_in_training():
    model, x = build("sigma_vae").model.train(), examples(4, (6,), "reals")
    noise = torch.randn(2, 4, 3, dtype=torch.float64)
    Tape(model, noise)
    once = model(x, 2).log_px
    Tape(model, noise.repeat(1, 3, 1))
    assert_close(model(x.repeat(3, 1), 2).log_px, once.repeat(1, 3))


@torch.no_grad()
def test_solve_freezes_the_scale_so_that_evaluation_does_not_read_the_batch():
    made, x = build("sigma_vae"), examples(4, (6,), "reals")
    made.model.likelihood.family.solve(torch.tensor(0.5**2))
    made.model.eval()
    code = torch.randn(1, 4, 3, dtype=torch.float64)
    whole = made.model.likelihood(code).log_prob(x)
    alone = torch.cat([made.model.likelihood(code[:, i : i + 1]).log_prob(x[i : i + 1]) for i in range(4)], 1)
    assert_close(whole, alone)
    assert_close(whole.numpy(), stats.norm.logpdf(x, made.model.decode(code).detach(), 0.5).sum(-1), rtol=1e-6, atol=0)


@pytest.mark.parametrize(("shape", "kind"), [((6,), "reals"), ((1, 3, 2), "bytes")])
@torch.no_grad()
def test_a_scale_is_solved_over_examples_however_they_are_cut_into_batches(shape, kind):
    """As a mean of the batches' means it would count each example of a short last batch for several of the others."""
    model, x = build("sigma_vae", shape, kind, likelihood="optimal-gaussian").model, examples(23, shape, kind)
    Tape(model, torch.zeros(99, 1, 3, dtype=torch.float64))
    x[20:] += 5  # what the short last batch would tell of
    square = (x - model.decode(model.latent.posterior(x).mean)) ** 2
    expected = square.mean(0).sqrt() if kind == "reals" else square.mean().sqrt()
    for sizes in ([23], [10, 10, 3], [1, 21, 1], [4, 4, 4, 4, 4, 3]):
        solve_scale(model, map(Batch, x.split(sizes)))
        assert_close(model.likelihood.family.scale.double(), expected)


# ------------------------------------------------------------------------------- per example, whatever the batch it is in

PER_EXAMPLE = {
    Distortion: Distortion,
    Rate: Rate,
    MeanRate: MeanRate,
    Pull: Pull,
    ImportanceWeighted: partial(ImportanceWeighted, 3),
    MultiplyWeighted: partial(MultiplyWeighted, 3, 1),
    Reparameterised: partial(Reparameterised, 3),
    PartiallyWeighted: partial(PartiallyWeighted, 3, 1),
    Commitment: Commitment,
    Rows: Rows,
    LogCosh: LogCosh,
    TotalCorrelation: lambda: TotalCorrelation(critic(3).double()),
    Adversary: lambda: Adversary(critic(3).double()),
}
# terms that need the batch by design, and those that draw, or look at images alone: tests/test_objectives.py has their laws
# (tests/test_semi_supervised.py that of a classifier)
AGGREGATE = {
    Covariance,
    DecoderWeights,
    Dependence,
    DimensionwiseRate,
    Discrepancy,
    IndexEntropy,
    IndexInformation,
    SlicedWasserstein,
}
APART = {
    *(Classification, DecoderSlope, Dissimilarity, FeatureDistortion, ImageAdversary),
    *(Equivariance, PatchAdversary, Perceptual),
}


def takes(model: LatentVariableModel, term: Term) -> bool:
    """Whether a recipe of this model may charge for the term."""
    latent = model.latent
    needed = ((term.needs_density, latent.has_density), (term.needs_moments, latent.has_moments))
    needed = (*needed, (term.needs_choice, latent.has_choice), (term.needs_product, latent.has_product))
    return all(has or not needs for needs, has in needed)


@pytest.mark.parametrize("name", [name for name in UNTAPED if name in OF_VECTORS])
def test_what_is_shown_of_an_example_is_the_same_in_any_batch(name):
    """Of latents whose draws no tape can give: their middles, their costs, and what the middles decode to."""
    model, x = build(name).model.eval(), examples(5, (6,), "reals")

    def values(rows: list[int]) -> list[Tensor]:
        shown = model.summary(x[rows])
        log_px = model.likelihood(shown.mu).log_prob(x[rows])
        return [shown.mu.flatten(1), log_px, *([] if shown.kl is None else [shown.kl.flatten(1)])]

    whole = values([0, 1, 2, 3, 4])
    for part, first in zip(values([4, 2, 0] * 3), whole, strict=True):
        assert_close(part, first[[4, 2, 0] * 3], atol=1e-6, rtol=1e-6)


def test_every_term_says_whether_it_is_per_example():
    exported = [getattr(legato.objectives, name) for name in legato.objectives.__all__]
    terms = {t for t in exported if isinstance(t, type) and issubclass(t, Term) and t is not Term}
    assert terms == PER_EXAMPLE.keys() | AGGREGATE | APART
    assert {term for term in terms if term.aggregate} == AGGREGATE


@pytest.mark.parametrize(("net", "shape"), [("mlp", (6,)), ("residual", (6,)), *((net, (2, 9, 8)) for net in OF_CODES)])
@pytest.mark.parametrize("name", [name for name in OF_VECTORS if name not in UNTAPED])
def test_per_example_terms_are_unchanged_when_the_batch_is_repeated_or_cut(name, net, shape):
    kind = "reals" if len(shape) == 1 else "bytes"
    model = build(name, shape, kind, net=net, width=4).model.eval()
    x, noise = examples(5, shape, kind), torch.randn(3, 5, 3, dtype=torch.float64)
    terms = [term() for term in PER_EXAMPLE.values() if takes(model, term())]

    def values(rows: list[int]) -> Tensor:
        Tape(model, noise[:, rows])
        trace = model(x[rows], 3)
        return torch.stack([term(trace) for term in terms])

    whole = values([0, 1, 2, 3, 4])
    assert whole.shape == (len(terms), 5)
    assert_close(values([0, 1, 2, 3, 4] * 3), whole.repeat(1, 3))
    assert_close(torch.cat([values([0, 1]), values([2]), values([3, 4])], 1), whole)
    assert_close(values([4, 2, 0]), whole[:, [4, 2, 0]])


# ------------------------------------------------------------------------------------------------------- the pull


def test_the_pull_on_a_point_is_half_its_square_and_its_gradient_the_point():
    trace = build("pulled_autoencoder").model(examples(4, (6,), "reals"), 3)
    (rung,) = trace.rungs
    assert_close(Pull()(trace), 0.5 * (rung.q.mean**2).sum(1))
    (slope,) = torch.autograd.grad(Pull()(trace).sum(), rung.q.mean)
    assert_close(slope, rung.q.mean)


def test_the_pull_on_a_gaussian_is_half_of_mu_squared_plus_sigma_squared():
    """At cubature draws the mean of a square is its expectation, and no error is left; the pull on each draw is the draw."""
    points, model = cubature(3), build().model
    Tape(model, points)
    trace = model(examples(4, (6,), "reals"), len(points))
    (rung,) = trace.rungs
    assert_close(Pull()(trace), 0.5 * (rung.q.mean**2 + rung.q.stddev**2).sum(1))
    (slope,) = torch.autograd.grad(Pull()(trace).sum(), rung.z)
    assert_close(slope, rung.z / len(points))


def test_the_pull_is_what_the_kl_charges_but_for_the_width_that_it_does_not_hold_up():
    """KL = ½ Σ (μ² + σ² − 1 − log σ²): without −log σ² nothing keeps σ from 0."""
    points, model = cubature(3), build().model
    Tape(model, points)
    trace = model(examples(4, (6,), "reals"), len(points))
    widths = trace.rungs[0].q.stddev
    assert_close(Pull()(trace) - trace.kl, (0.5 + widths.log()).sum(1))


def test_the_pull_is_towards_the_priors_centre_in_its_units():
    p = Independent(Normal(torch.tensor([1.0, -2.0]).double(), torch.tensor([2.0, 0.5]).double()), 1)
    z = torch.tensor([[[3.0, -1.0], [1.0, -2.0]]], dtype=torch.float64)
    trace = Trace(z[0], p, z, (Rung(p, p, z),))
    assert Pull()(trace).tolist() == [0.5 * (1 + 4), 0.0]
    constant = 0.5 * math.log(2 * math.pi)
    assert_close(Pull()(trace), -p.log_prob(z[0]) - 2 * constant - math.log(2 * 0.5))


# ------------------------------------------------------------------------------------------- free bits and schedules


def _hand_made_trace() -> Trace:
    """KL per dimension [[0.1, 2], [0.3, 4]]: means 0.2 and 3, with μ² = 2 KL at σ = 1."""
    kl = torch.tensor([[0.1, 2.0], [0.3, 4.0]], dtype=torch.float64)
    q = Gaussian()(torch.stack([(2 * kl).sqrt(), torch.zeros_like(kl)], 1), (2,))
    rung = Rung(q, StandardNormal((2,)).double()(Given()), q.mean[None])
    return Trace(kl, q, q.mean[None], (rung,))


@pytest.mark.parametrize(("free_bits", "expected"), [(0.0, 3.2), (0.1, 3.2), (0.5, 3.5), (3.5, 7.0)])
def test_free_bits_charge_a_dimension_at_least_lambda_by_its_batch_mean(free_bits, expected):
    trace = _hand_made_trace()
    assert Rate(free_bits)(trace).mean().item() == pytest.approx(expected)
    assert Rate(free_bits)(trace).shape == (2,)


def test_no_free_bits_is_the_plain_rate_per_example():
    assert_close(Rate(0.0)(_hand_made_trace()), torch.tensor([2.1, 4.3], dtype=torch.float64))


def test_a_free_dimension_has_no_gradient_and_repeating_the_batch_changes_no_mean():
    model, x = build().model, examples(4, (6,), "reals")
    free, plain = Rate(1e6)(model(x)), Rate()(model(x))
    assert all(g.abs().max() == 0 for g in gradients(free.sum() + 0 * plain.sum(), model.parameters()))
    middle = model(x).rungs[0].kl_per_dimension.mean(0).median().item()  # frees some dimensions and charges others
    assert_close(Rate(middle)(model(x.repeat(3, 1))).mean(), Rate(middle)(model(x)).mean())


def test_a_schedule_goes_from_its_start_to_its_end_and_rests_there():
    steps = [(0, 0.0), (5, 0.25), (10, 0.5), (20, 1.0), (40, 1.0)]
    for length in (20, 0.5):  # steps, or a share of 40
        weight = anneal(0.0, 1.0, length)
        assert [(step, weight.value(step, 40)) for step, _ in steps] == steps
    objective = Distortion() + anneal(2.0, 4.0, 10) * Rate()
    assert objective.at(5, 100) == [1.0, 3.0]


def test_a_schedule_that_outlives_the_run_is_refused():
    objective = Distortion() + anneal(0.0, 1.0, 101) * Rate()
    with pytest.raises(Mistake, match=r"a schedule of 101 steps outlives the run of 100: train longer"):
        objective.at(0, 100)
    assert objective.at(0, 101) == [1.0, 0.0]
    for length in (0, -3, math.nan):
        with pytest.raises(Mistake, match=r"length is a number of steps|finite number"):
            anneal(0.0, 1.0, length)


# --------------------------------------------------------------------------------------------------------- gradients


@pytest.mark.parametrize("kind", FITS)
def test_without_reparameterisation_reconstruction_gives_the_encoder_no_gradient_and_the_rate_still_does(kind):
    model, x = build(kind=kind).model, examples(4, (6,), kind)
    encoder = list(model.latent.q.parameters())

    def trace(sampled: bool) -> Trace:
        q = model.latent.encode(x)
        z = q.sample((2,)) if sampled else q.rsample((2,))
        return Trace(x, model.likelihood(z), z, (Rung(q, model.latent.p(Given()), z),))

    cut, whole = trace(sampled=True), trace(sampled=False)
    decoder = list(model.likelihood.parameters())
    assert all(g is None for g in torch.autograd.grad(Distortion()(cut).sum(), encoder, allow_unused=True, retain_graph=True))
    assert all(g.abs().max() > 0 for g in gradients(Distortion()(cut).sum(), decoder))
    assert all(g.abs().max() > 0 for g in gradients(Distortion()(whole).sum(), encoder))
    assert all(g.abs().max() > 0 for g in gradients(Rate()(cut).sum(), encoder))


def test_the_models_own_draws_are_reparameterised():
    model, x = build().model, examples(4, (6,), "reals")
    (rung,) = model(x, 3).rungs
    mu_gradient, sigma_gradient = torch.autograd.grad(rung.z.sum(), [rung.q.mean, rung.q.base_dist.scale])
    assert_close(mu_gradient, torch.full_like(mu_gradient, 3))
    assert_close(sigma_gradient, ((rung.z - rung.q.mean) / rung.q.stddev).sum(0))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_that_keep_their_noise_are_torchs_own_bit_for_bit(dtype):
    mu, sigma = 9 * torch.randn(5, 3, 2, dtype=dtype), torch.rand(5, 3, 2, dtype=dtype)
    for q in (Independent(Normal(mu, sigma), 2), Independent(Laplace(mu, sigma), 2)):
        torch.manual_seed(7)
        z, noise = reparameterised(q, 4)
        after = torch.rand(1)
        torch.manual_seed(7)
        assert torch.equal(z, q.rsample((4,)))
        assert torch.equal(after, torch.rand(1))
        assert (noise is None) == isinstance(q.base_dist, Laplace)
        assert_close(log_density(q, z, noise), q.log_prob(z), rtol=1e-4, atol=1e-4)


def test_the_log_density_of_a_draws_noise_has_the_derivatives_of_the_density_at_the_draw():
    mu, sigma = torch.randn(5, 3, dtype=torch.float64, requires_grad=True), torch.rand(5, 3, dtype=torch.float64) + 0.1
    sigma.requires_grad_()
    q = Independent(Normal(mu, sigma), 1)
    z, noise = reparameterised(q, 4)
    fixed = z.detach().requires_grad_()
    ours, theirs = log_density(q, fixed, noise), q.log_prob(fixed)
    assert_close(ours, theirs)
    assert_close(gradients(ours.sum(), [fixed, mu, sigma]), gradients(theirs.sum(), [fixed, mu, sigma]))
    by_mu, by_sigma = gradients(log_density(q, z, noise).sum(), [mu, sigma])  # whole, through the draw too
    assert_close(by_mu, torch.zeros_like(by_mu), rtol=0, atol=1e-12)
    assert_close(by_sigma, -4 / sigma.detach())


@pytest.mark.parametrize("grain", [1e-6, 1e-7, 3e-8, 1e-8])
def test_a_draw_below_the_grain_of_float32_has_the_density_and_the_derivatives_it_has_in_float64(grain):
    mu = 300 * torch.randn(50, 3, requires_grad=True)
    sigma = (grain * mu.detach().abs()).requires_grad_()
    z, noise = reparameterised(Independent(Normal(mu, sigma), 1), 4)
    fixed = z.detach().requires_grad_()
    found = log_density(Independent(Normal(mu, sigma), 1), fixed, noise)
    wide = [t.detach().double().requires_grad_() for t in (mu, sigma)]
    meant = (wide[0] + noise.double() * wide[1]).detach().requires_grad_()
    exact = Independent(Normal(*wide), 1).log_prob(meant)
    assert_close(found.double(), exact, rtol=1e-6, atol=1e-5)
    ours, theirs = gradients(found.sum(), [fixed, mu, sigma]), gradients(exact.sum(), [meant, *wide])
    assert_close([g.double() for g in ours], theirs, rtol=1e-4, atol=1e-4 / sigma.detach().min().item())


def test_without_its_score_the_gradient_of_a_weight_is_zero_at_the_exact_posterior():
    """Roeder, Wu & Duvenaud 2017, https://arxiv.org/abs/1703.09194: of what is left only the path through z has a gradient."""
    model, x = linear_gaussian(6, 2), table(20, 6, 2)
    with torch.no_grad():  # columns of W that are orthogonal: then the posterior is a Gaussian of independent dimensions
        model.likelihood.net.layers[0].weight.copy_(
            torch.linalg.qr(torch.randn(6, 2, dtype=torch.float64)).Q * torch.tensor([0.7, 2])
        )
        exact = exact_posterior(model, x)
        encoder = model.latent.q.net.layers[0]
        offset = exact_posterior(model, torch.zeros(1, 6, dtype=torch.float64)).mean[0]
        encoder.weight[:2] = exact_posterior(model, torch.eye(6, dtype=torch.float64)).mean.T - offset[:, None]
        encoder.weight[2:] = 0
        encoder.bias[:] = torch.cat([offset, 0.5 * exact.covariance_matrix[0].diag().log()])
    q, parameters = model.latent.encode(x), list(model.latent.parameters())
    z, noise = reparameterised(q, 3)
    assert_close(q.mean, exact.mean)
    held = Independent(Normal(q.mean.detach(), q.stddev.detach()), 1)
    joint = model.likelihood(z).log_prob(x) + model.latent.p(Given()).log_prob(z)
    assert_close((joint - log_density(q, z, noise)).detach(), evidence(model, x).expand(3, -1))
    without = gradients((joint - log_density(held, z, noise)).sum(), parameters)
    whole = gradients((joint - log_density(q, z, noise)).sum(), parameters)
    assert max(g.abs().max() for g in without) < 1e-9
    assert max(g.abs().max() for g in whole) > 0.1


# torch's own tracer makes an object of the base class, of which torch then warns
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", [name for name in made_runs.OF_EACH_IDEA if name not in EAGER])  # each costs torch two seconds
def test_the_flat_step_compiles_whole_with_the_same_loss_and_gradients(name):
    torch._dynamo.reset()
    made, x = build(name, (1, 8, 8), "bytes"), examples(4, (1, 8, 8), "bytes")
    weights = made.objective.at(5, 100)

    def step(x: Tensor) -> Tensor:
        return made.objective(made.model(x, made.objective.draws), weights).total

    results = []
    for run in (step, torch.compile(step, fullgraph=True, backend="aot_eager")):
        torch.manual_seed(3)
        loss = run(x)
        results.append([loss.detach(), *gradients(loss, made.model.parameters())])
    assert_close(results[1], results[0])
    torch._dynamo.reset()


def test_a_schedule_does_not_compile_the_step_again_at_every_step():
    torch._dynamo.reset()
    made, x, compiled = build("warmup_vae"), examples(4, (6,), "reals"), []

    def backend(graph, inputs):
        compiled.append(1)
        return graph.forward

    step = torch.compile(lambda x, weights: made.objective(made.model(x), weights).total, fullgraph=True, backend=backend)
    for i in range(10):
        step(x, made.objective.at(i, 100))
    assert len(compiled) <= 2  # once for the first number, once for any number
    torch._dynamo.reset()


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "objective", [lambda: Distortion() + Rate(), lambda: weighed(1.0, ImportanceWeighted(5)), lambda: Rate()]
)
def test_a_point_mass_with_a_rate_or_a_bound_is_refused_when_the_recipe_is_built(objective):
    model = build("autoencoder").model
    with pytest.raises(Mistake, match="a point mass has no density") as refusal:
        Recipe(model, objective())
    assert "\n" not in str(refusal.value)
    assert "use a Gaussian posterior" in str(refusal.value)


def test_a_point_mass_has_no_log_probability_and_an_autoencoder_no_likelihood():
    point = Point()(torch.randn(4, 3), (3,))
    assert torch.equal(point.rsample((2,))[1], point.mean)
    assert point.stddev.abs().max() == 0
    for asked in (
        lambda: PointMass(torch.zeros(3)).log_prob(torch.zeros(3)),
        lambda: build("autoencoder").model.log_likelihood(examples(2, (6,), "reals"), 3),
        lambda: build("autoencoder").model(examples(2, (6,), "reals")).kl,
    ):
        with pytest.raises(Mistake, match="a point mass has no density"):
            asked()


def test_codes_of_different_shapes_are_refused():
    posterior = build().model.latent.q
    with pytest.raises(Mistake, match=r"codes have shape \(3,\), the prior's \(2,\)"):
        Flat(posterior, StandardNormal((2,)))
    with pytest.raises(Mistake, match=r"codes have shape \(3,\), the likelihood reads \(4,\)"):
        LatentVariableModel(Flat(posterior, StandardNormal((3,))), build(latent_dim=4).model.likelihood)


def test_an_objective_refuses_a_term_twice_and_a_weight_without_a_minimum():
    with pytest.raises(Mistake, match="each term once"):
        Distortion() + Rate() + Rate(0.5)
    for weight in (-1.0, math.nan):
        with pytest.raises(Mistake, match=r"0 or more|finite number"):
            weight * Rate()
    with pytest.raises(Mistake, match=r"0 or more|finite number"):
        Rate(-0.1)


# ------------------------------------------------------------------------------------------------ the model as an object


def test_standard_normal_prior_is_scipys_in_value_and_in_draws():
    prior = StandardNormal((3,)).double()(Given())
    z = torch.randn(5, 4, 3, dtype=torch.float64)
    assert_close(prior.log_prob(z).numpy(), stats.norm.logpdf(z.numpy()).sum(-1))
    codes = build().model.latent.sample(5000, Given())
    assert codes.shape == (5000, 3)
    assert stats.kstest(codes.flatten().numpy(), "norm").pvalue > 1e-3


def test_a_trace_computes_nothing_until_it_is_asked_and_then_once():
    class Counted:
        computed = 0

        @lazy
        def value(self) -> int:
            """Once."""
            self.computed += 1
            return self.computed

    counted = Counted()
    assert counted.computed == 0
    assert (counted.value, counted.value, Counted().value) == (1, 1, 1)
    trace = build().model(examples(2, (6,), "reals"))
    assert not {"log_px", "log_w", "kl"} & vars(trace).keys()
    assert trace.log_px is trace.log_px
    assert trace.rungs[0].kl is trace.rungs[0].kl


@pytest.mark.parametrize("name", OF_VECTORS)
def test_encoding_and_reconstructing_are_deterministic_and_in_order(name):
    model, x = build(name).model.eval(), examples(6, (6,), "reals")
    order = [3, 0, 5, 1]
    first, again = model.reconstruct(x), model.reconstruct(x)
    assert torch.equal(first, again)
    assert_close(model.reconstruct(x[order]), first[order])
    assert_close(model.summary(x[order]).mu, model.summary(x).mu[order])
    assert model.sample(4).shape == (4, 6)


# ------------------------------------------------------------------------------------------------ a run and its data


def test_an_error_within_a_step_is_told_and_the_step_is_not_tried_again(sources, tmp_path, monkeypatch):
    """As running out of memory is: what is tried again blindly hides it."""
    begun: list[int] = []

    def fails(self: Learner, batch: Batch, weights: object) -> object:
        begun.append(1)
        if len(begun) == 3:
            raise RuntimeError("out of memory")
        return losses(self, batch, weights)

    losses = Learner.losses
    monkeypatch.setattr(Learner, "losses", fails)
    with pytest.raises(RuntimeError, match=r"^out of memory$"):
        made_runs.train("vae", sources, tmp_path / "r", engine="eager")
    assert len(begun) == 3


class Executed:
    """What a hostile file holds: unpickled, it makes a file."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return type(self.witness).touch, (self.witness,)


@pytest.mark.parametrize("save", [torch.save, lambda content, path: path.write_bytes(pickle.dumps(content))])
@pytest.mark.parametrize("name", ["model.safetensors", "codes.safetensors"])
def test_loading_never_unpickles(save, name, runs, tmp_path):
    shutil.copytree(runs["autoencoder"], tmp_path / "r")
    save({"weight": Executed(tmp_path / "witness")}, tmp_path / "r" / name)
    with pytest.raises(Mistake, match=name):
        load(tmp_path / "r", device="cpu").codes()
    assert not (tmp_path / "witness").exists()


KILLED = """
import os, signal, sys
from legato import cli
from legato.training.learner import Learner
step = Learner.step
Learner.step = lambda self, x, at: os.kill(os.getpid(), signal.SIGKILL) if at == int(sys.argv[1]) else step(self, x, at)
cli.run(sys.argv[2:])
"""


@pytest.mark.parametrize("name", ["vae"])
def test_a_run_killed_at_random_steps_and_resumed_is_bit_for_bit_the_run_that_never_was(name, sources, tmp_path):
    out, how = tmp_path / "r", {"steps": 400, "checkpoint_minutes": 0.001}
    words = made_runs.arguments(name, sources["grey"], out, **how)
    for step in sorted(np.random.default_rng(1).integers(100, 400, 2)):
        child = subprocess.run(
            [sys.executable, "-c", KILLED, str(step), *words], capture_output=True, timeout=PATIENCE, check=False
        )
        assert child.returncode == -signal.SIGKILL, child.stderr
        words = ["train", "--resume", "--out", str(out), "--checkpoint-minutes", "0.001"]
    assert checkpoint.existing(out / "checkpoint"), "the children were killed before they had saved anything"
    assert stopped_runs.resume(out) == 0
    made_runs.train(name, sources, tmp_path / "whole", **how)
    stopped_runs.assert_same(out, tmp_path / "whole")


REALS = np.random.default_rng(0).normal(size=(6, 3)) * [1, 100, 1e-3] + [0, -5, 1]


def _a_folder(path):
    return made_sources.folder_of(path / "f", {f"{i}.png": image for i, image in enumerate(GREY)})


# what is written -> its values, (N, C, H, W) or (N, D)
SOURCES = {
    "npy": (lambda p: made_sources.npy(p / "a.npy", GREY), GREY[:, None]),
    "npz": (lambda p: made_sources.npz(p / "a.npz", images=GREY), GREY[:, None]),
    "npy, channels last": (lambda p: made_sources.npy(p / "a.npy", COLOUR.transpose(0, 2, 3, 1)), COLOUR),
    "IDX": (lambda p: made_sources.write(p / "a-images-idx3-ubyte", made_sources.idx(GREY)), GREY[:, None]),
    "IDX, gzipped": (lambda p: made_sources.write(p / "a-images-idx3-ubyte.gz", made_sources.idx(GREY)), GREY[:, None]),
    "folder": (_a_folder, GREY[:, None]),
    "Parquet of pictures": (
        lambda p: made_sources.table(p / "a.parquet", {"image": [made_sources.png(image) for image in COLOUR]}),
        COLOUR,
    ),
    "Parquet of columns": (
        lambda p: made_sources.table(p / "a.parquet", {"a": REALS[:, 0], "b": REALS[:, 1], "c": REALS[:, 2]}),
        REALS,
    ),
    "npy of reals": (lambda p: made_sources.npy(p / "a.npy", REALS), REALS),
    "array in memory": (lambda p: GREY, GREY[:, None]),
}


@pytest.mark.parametrize("name", SOURCES)
def test_a_batch_cut_from_every_unresized_source_equals_the_sources_values(name, tmp_path):
    """Undone: the division of bytes by 255, the standardising of real numbers."""
    make, values = SOURCES[name]
    data = made_sources.opened(make(tmp_path))
    prepared = Prepared(data, prepare(data.kind, data.likelihood, data.rows, data.splits["train"].all()))
    order, scale = np.array([4, 0, 5, 1, 2, 3]), 255 if data.kind == "bytes" else 1
    batch = prepared.rows(order)
    assert batch.dtype == np.float32
    assert np.allclose(prepared.preparation.restore(batch) * scale, values[order], rtol=1e-6, atol=1e-5)
    seen = [TrainingBatches(data.rows, np.array([i]), prepared.preparation, 1, seed=0).at(i).x[0] for i in range(6)]
    assert np.allclose(prepared.preparation.restore(np.stack(seen)) * scale, values, rtol=1e-6, atol=1e-5)


def test_a_posterior_far_from_the_data_still_has_a_finite_density():
    theta = torch.tensor([[[0.5, -3.0], [-300.0, 300.0]]])
    q = Gaussian()(theta, (2,))
    assert torch.isfinite(q.log_prob(q.rsample((3,)))).all()
    assert torch.isfinite(q.base_dist.scale).all()
    assert (q.base_dist.scale > 0).all()
