"""Codes as a population: nats from the prior, mixtures chosen by codes held out, and `legato sample --from`."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal
from torch.distributions import MultivariateNormal, kl_divergence

import legato
from legato import cli
from legato.errors import Mistake
from legato.latent_space import LatentSpace
from legato.moments import Whole, nats_from_prior
from legato.population import Mixture, fitted, likeliest

CORNERS = np.array([[4.0, 4, 0], [-4, 4, 0], [4, -4, 0], [-4, -4, 0], [0, 0, 6]])


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


def load(path) -> LatentSpace:
    return legato.load(path, device="cpu")


def corners(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return CORNERS[rng.integers(5, size=n)] + 0.5 * rng.standard_normal((n, 3))


def random_gaussian(d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    root = rng.standard_normal((d, d)) + 0.5 * np.eye(d)
    return rng.standard_normal(d), root @ root.T + 0.1 * np.eye(d)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(0, 1000))
def test_nats_from_the_prior_are_those_of_the_closed_form(d, seed):
    mean, covariance = random_gaussian(d, seed)
    p, q = (MultivariateNormal(torch.tensor(m), torch.tensor(s)) for m, s in ((np.zeros(d), np.eye(d)), (mean, covariance)))
    assert nats_from_prior(mean, covariance) == pytest.approx(float(kl_divergence(q, p)), rel=1e-9)
    assert nats_from_prior(np.zeros(d), np.eye(d)) == 0


def test_codes_that_fill_a_line_alone_are_infinitely_far_from_the_prior():
    assert nats_from_prior(np.zeros(2), np.ones((2, 2))) == math.inf


def test_the_bound_from_two_moments_is_below_the_divergence_itself():
    mixture = Mixture(np.array([0.3, 0.7]), np.array([[-1.5], [1.0]]), np.array([[[0.1]], [[0.4]]]), math.nan)
    grid = np.linspace(-8, 8, 20_001)[:, None]
    q = np.exp(mixture.log_density(grid))
    mean = float(np.trapezoid(q * grid[:, 0], grid[:, 0]))
    variance = float(np.trapezoid(q * (grid[:, 0] - mean) ** 2, grid[:, 0]))
    log_p = -0.5 * grid[:, 0] ** 2 - 0.5 * math.log(2 * math.pi)
    exact = float(np.trapezoid(q * (mixture.log_density(grid) - log_p), grid[:, 0]))
    bound = nats_from_prior(np.array([mean]), np.array([[variance]]))
    assert 0 < bound < exact


def test_a_mixtures_density_is_the_sum_of_its_components_and_its_draws_have_its_moments():
    (a, s), (b, t) = random_gaussian(3, 1), random_gaussian(3, 2)
    mixture = Mixture(np.array([0.25, 0.75]), np.stack([a, b]), np.stack([s, t]), math.nan)
    z = mixture.draw(40_000, np.random.default_rng(0))
    sum_of_both = 0.25 * multivariate_normal(a, s).pdf(z[:50]) + 0.75 * multivariate_normal(b, t).pdf(z[:50])
    assert mixture.log_density(z[:50]) == pytest.approx(np.log(sum_of_both), abs=1e-9)
    mean = 0.25 * a + 0.75 * b
    covariance = 0.25 * (s + np.outer(a, a)) + 0.75 * (t + np.outer(b, b)) - np.outer(mean, mean)
    assert z.mean(0) == pytest.approx(mean, abs=0.08)
    assert np.cov(z.T) == pytest.approx(covariance, rel=0.08, abs=0.12)
    still = mixture.draw(2000, np.random.default_rng(0), temperature=0.0)
    assert np.unique(still.round(9), axis=0) == pytest.approx(np.unique(np.stack([a, b]).round(9), axis=0))


def test_five_clouds_are_found_by_codes_held_out_and_one_cloud_is_left_whole():
    codes, held_out = corners(2000, 0), corners(4000, 1)
    found = fitted(codes, held_out)
    assert len(found.weights) == 5
    assert found.held_out == pytest.approx(found.log_density(held_out).mean())
    entropy = -(math.log(5) + 1.5 * math.log(2 * math.pi * math.e * 0.25))  # the clouds do not overlap
    assert found.held_out == pytest.approx(entropy, abs=0.1)
    nearest = np.linalg.norm(found.draw(1000, np.random.default_rng(0))[:, None] - CORNERS, axis=2).argmin(1)
    assert np.bincount(nearest) == pytest.approx(np.full(5, 200), abs=60)
    one = np.random.default_rng(2).standard_normal((2500, 3))
    assert len(fitted(one[:2000], one[2000:]).weights) == 1


def test_a_fit_does_not_depend_on_the_units_of_the_codes_nor_on_when_it_is_made():
    codes, held_out, units = corners(600, 0), corners(200, 1), np.array([1e-3, 1.0, 1e4])
    plain, scaled = fitted(codes, held_out), fitted(units * codes + 7, units * held_out + 7)
    assert scaled.means == pytest.approx(units * plain.means + 7, rel=1e-5)
    assert scaled.held_out == pytest.approx(plain.held_out - np.log(units).sum(), abs=1e-4)
    assert np.array_equal(fitted(codes, held_out).means, plain.means)


@pytest.mark.parametrize(
    ("codes", "held_out", "said"),
    [
        (np.zeros((1, 2)), np.zeros((1, 2)), "2 codes"),
        (np.zeros((5, 2)), np.zeros((0, 2)), "to hold out"),
        (np.full((5, 2), np.nan), np.zeros((5, 2)), "finite"),
    ],
)
def test_what_no_mixture_can_be_fitted_to_is_one_line(codes, held_out, said):
    with pytest.raises(Mistake, match=said):
        fitted(codes, held_out)


def test_codes_that_do_not_vary_are_a_point_that_can_be_drawn_from():
    drawn = fitted(np.full((30, 2), 3.0), np.full((10, 2), 3.0)).draw(20, np.random.default_rng(0))
    assert drawn == pytest.approx(np.full((20, 2), 3.0), abs=1e-6)


@pytest.mark.parametrize("name", ["vae", "autoencoder", "table"])
def test_samples_from_a_mixture_lie_where_the_codes_do(name, runs):
    space = load(runs[name])
    drawn = space.draw(400, origin="mixture", seed=3)
    assert drawn.shape == (400, 3)
    assert drawn.dtype == np.float32
    mean, covariance, _ = space.codes()
    assert drawn.mean(0) == pytest.approx(mean, abs=0.5 * np.sqrt(np.diag(covariance).max()))
    assert np.array_equal(load(runs[name]).draw(400, origin="mixture", seed=3), drawn)
    assert not np.array_equal(space.draw(400, origin="mixture", seed=4), drawn)


def command(*words: object) -> int:
    return cli.run([*map(str, words), "--device", "cpu", "--threads", "1"])


def test_the_command_draws_from_a_mixture_and_says_so(runs, tmp_path, capsys):
    assert command("sample", runs["vae"], "--from", "mixture", "--n", 4, "--out", tmp_path / "some.png") == 0
    assert "fitted to the codes of up to 10,000 training images" in capsys.readouterr().out
    assert (tmp_path / "some.png").is_file()


def test_the_command_says_where_codes_lie_far_from_the_prior_and_names_what_to_do(runs, tmp_path, capsys, monkeypatch):
    where = tmp_path / "some.png"
    monkeypatch.setattr(LatentSpace, "moments", lambda _: Whole(np.array([3.0, 0, 0]), np.zeros(3), np.eye(3)))
    assert command("sample", runs["vae"], "--n", 4, "--out", where) == 0
    said = capsys.readouterr().out
    assert "4.5 nats" in said
    assert "--from codes" in said
    assert "--from mixture" in said
    assert command("sample", runs["vae"], "--n", 4, "--out", where, "--from", "prior") == 0
    assert "nats" not in capsys.readouterr().out
    monkeypatch.setattr(LatentSpace, "moments", lambda _: Whole(np.zeros(3), np.zeros(3), 1.2 * np.eye(3)))
    assert command("sample", runs["vae"], "--n", 4, "--out", where) == 0
    assert "nats" not in capsys.readouterr().out


def test_a_covariance_of_few_codes_is_shrunk_and_one_of_many_is_not():
    rng = np.random.default_rng(0)
    root = np.diag(np.linspace(0.2, 3, 60))
    few, held_out, many = (rng.standard_normal((n, 60)) @ root for n in (80, 400, 4000))
    truth = -0.5 * 60 * math.log(2 * math.pi * math.e) - np.log(np.diag(root)).sum()
    raw = multivariate_normal(few.mean(0), np.cov(few.T)).logpdf(held_out).mean()
    found = fitted(few, held_out)
    assert raw < truth - 50  # what 80 codes say of 1,770 correlations
    assert found.held_out > truth - 3
    kept = (np.ones(1), many.mean(0)[None], np.cov(many.T)[None])
    assert np.array_equal(likeliest(kept, len(many), held_out).covariances, kept[2])
