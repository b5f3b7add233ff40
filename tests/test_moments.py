"""Moments of codes: what is kept above the largest whole covariance has the values of a whole one, wherever both can be had."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from legato import moments
from legato.errors import Mistake
from legato.measures.geometry import stretch, stretch_by_differences
from legato.measures.whitening import Whitening
from legato.moments import RANK, Sketch, Whole, of_rows, sketched
from legato.population import fitted

D, R = 90, 20  # dimensions, and directions in which the codes vary: fewer than RANK, so that nothing is left out
TURN = np.random.default_rng(1).normal(size=(R, D)) * np.linspace(1, 8, R)[:, None]


@pytest.fixture
def small(monkeypatch):
    """Nothing of more than 10 dimensions is kept whole."""
    monkeypatch.setattr(moments, "LARGEST", 10)


def codes(n: int = 700, seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).normal(size=(n, R)) @ TURN + np.linspace(-3, 9, D)).astype(np.float32)


def noise(floor: float = 0.3) -> np.ndarray:
    return floor + np.random.default_rng(2).uniform(size=D)


def of(exact: bool, monkeypatch, unit: float = 1.0) -> moments.Moments:
    monkeypatch.setattr(moments, "LARGEST", D if exact else 10)
    return of_rows(codes() * np.float32(unit)).with_noise(noise() * unit**2)


def test_a_whole_covariance_is_numpys_bit_for_bit():
    found, z = of_rows(codes()), codes().astype(np.float64)
    assert isinstance(found, Whole)
    assert np.array_equal(found.matrix(), np.cov(z.T, bias=True))
    assert np.array_equal(found.mean, z.mean(0))
    assert np.array_equal(of_rows(codes(), unbiased=True).matrix(), np.cov(z.T))
    drawn = np.random.default_rng(3).multivariate_normal(found.mean, found.matrix(), 5, method="eigh")
    assert np.array_equal(found.draw(5, np.random.default_rng(3)), drawn)
    assert of_rows(np.arange(4.0)[:, None]).matrix().shape == (1, 1)


def test_a_sketch_has_the_values_of_the_whole_where_codes_vary_in_few_directions(monkeypatch):
    whole, sketch = (of(exact, monkeypatch) for exact in (True, False))
    assert isinstance(sketch, Sketch)
    direction = np.random.default_rng(4).normal(size=D)
    assert np.allclose(sketch.factors.T @ sketch.factors + np.diag(sketch.rest), whole.matrix(), rtol=1e-9, atol=1e-9)
    assert np.allclose(sketch.mean, whole.mean, rtol=1e-12, atol=1e-12)
    assert np.allclose(sketch.variances, whole.variances, rtol=1e-12)
    assert sketch.along(direction) == pytest.approx(whole.along(direction), rel=1e-10)
    assert sketch.nats_from_prior() == pytest.approx(whole.nats_from_prior(), rel=1e-9)
    assert np.array_equal(sketch.noise, whole.noise)


def test_leading_directions_are_those_of_the_whole(monkeypatch):
    found = [(monkeypatch.setattr(moments, "LARGEST", size), of_rows(codes()).leading(3))[1] for size in (D, 10)]
    assert np.allclose(*found, atol=1e-6)
    assert np.allclose(found[1] @ found[1].T, np.eye(3))


def test_draws_of_a_sketch_have_its_moments(monkeypatch):
    sketch = of(False, monkeypatch)
    drawn = sketch.draw(100_000, np.random.default_rng(0))
    matrix = sketch.factors.T @ sketch.factors + np.diag(sketch.rest)
    size = np.sqrt(np.outer(matrix.diagonal(), matrix.diagonal()) / len(drawn))
    assert np.abs((np.cov(drawn.T) - matrix) / size).max() < 7
    assert np.abs((drawn.mean(0) - sketch.mean) / np.sqrt(matrix.diagonal() / len(drawn))).max() < 5


def test_variances_are_exact_and_nothing_is_overstated_where_codes_vary_in_more_directions(small):
    rows = np.random.default_rng(5).normal(size=(1500, 300)) * np.linspace(0.1, 4, 300)
    sketch, exact = sketched(rows[at : at + 37] for at in range(0, 1500, 37)), np.cov(rows.T, bias=True)
    assert np.allclose(sketch.variances, exact.diagonal(), rtol=1e-12)
    assert (sketch.rest > 0).all()
    left = np.linalg.eigvalsh(exact - sketch.factors.T @ sketch.factors)
    assert left[0] > -1e-9  # FᵀF ⪯ Cov z
    shown = np.square(sketch.factors).sum() / np.linalg.eigvalsh(exact)[-RANK:].sum()
    assert 0.9 < shown <= 1 + 1e-12


@pytest.mark.parametrize("block", [1, 7, 64, 700])
def test_a_sketch_does_not_depend_on_how_codes_come(block, small):
    rows = codes()
    found, whole = sketched(rows[at : at + block] for at in range(0, len(rows), block)), sketched([rows])
    assert np.allclose(found.factors.T @ found.factors, whole.factors.T @ whole.factors, atol=1e-6)
    assert np.allclose(found.mean, whole.mean)


def test_what_is_stored_of_moments_is_read_back(monkeypatch):
    for exact in (True, False):
        made = of(exact, monkeypatch)
        arrays = made.arrays()
        assert {name: array.shape for name, array in arrays.items()} == moments.shapes(D)
        again = moments.moments(arrays)
        assert type(again) is type(made)
        assert again.nats_from_prior() == made.nats_from_prior()


def test_codes_in_a_subspace_alone_are_infinitely_far_from_the_prior(small):
    assert sketched([np.outer(np.arange(9.0), np.eye(12)[0])]).nats_from_prior() == math.inf
    with pytest.raises(Mistake, match="1 or more"):
        sketched([])


def test_a_matrix_that_is_not_kept_is_refused_with_its_size(small):
    with pytest.raises(Mistake, match=r"no covariance of 90 × 90 numbers is kept") as refusal:
        of_rows(codes()).matrix()
    assert "\n" not in str(refusal.value)
    with pytest.raises(Mistake, match="too large at 90 dimensions: use --from codes"):
        fitted(codes(), codes())


# ------------------------------------------------------------------------------------------------ latent units


def units(exact: bool, monkeypatch, sigma: np.ndarray | None) -> Whitening:
    monkeypatch.setattr(moments, "LARGEST", D if exact else 10)
    return Whitening.fit(codes(), sigma)


def clouds() -> np.ndarray:
    return np.sqrt(np.tile(noise(), (700, 1)))


def test_latent_units_are_those_of_the_whole_covariance(monkeypatch):
    whole, sketch = (units(exact, monkeypatch, clouds()) for exact in (True, False))
    a, b = (codes(40, seed) + np.random.default_rng(seed).normal(size=(40, D)) for seed in (7, 8))
    far = [np.linalg.norm(each.apply(a) - each.apply(b), axis=1) for each in (whole, sketch)]
    assert np.allclose(*far, rtol=1e-6)
    assert sketch.dead == whole.dead == 0
    assert np.allclose(sketch.invert(sketch.apply(a)), a, atol=1e-9)
    assert np.allclose(sketch.shift(sketch.apply(a) - sketch.apply(b)), a - b, atol=1e-9)
    assert sketch.log_det == pytest.approx(whole.log_det, rel=1e-9)
    u = np.random.default_rng(3).normal(size=(2, D))
    inner = [each.stretched(u) @ each.stretched(u).T for each in (whole, sketch)]
    assert np.allclose(*inner, rtol=1e-9)
    root = np.stack(list(sketch.columns()), 1)
    assert np.allclose(root @ root.T, whole.root @ whole.root, rtol=1e-8, atol=1e-8)


def test_points_in_a_subspace_have_the_same_dead_directions_and_distances_within_it(monkeypatch):
    whole, sketch = (units(exact, monkeypatch, None) for exact in (True, False))
    assert sketch.dead == whole.dead == D - R
    a, b = codes(40, 7).astype(np.float64), codes(40, 8).astype(np.float64)
    within = np.linalg.qr(TURN.T)[0]
    a, b = (z @ within @ within.T for z in (a - whole.mean, b - whole.mean))  # float32 leaves the subspace a little
    far = [np.linalg.norm(each.apply(a + each.mean) - each.apply(b + each.mean), axis=1) for each in (whole, sketch)]
    assert np.allclose(*far, rtol=1e-3)


def test_a_decoder_stretches_as_much_in_either(monkeypatch):
    """The singular values of J S^½ do not ask which root of S it is."""
    weight = torch.randn(30, D, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) / D**0.5

    def decode(z: torch.Tensor) -> torch.Tensor:
        return torch.tanh(z @ weight.T.to(z.dtype))

    z = torch.randn(4, D, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for how in (True, False):
        found = [stretch(decode, z, units(exact, monkeypatch, clouds()), exact=how).largest for exact in (True, False)]
        assert np.allclose(*found, rtol=1e-5)
    plain = stretch_by_differences(lambda x: decode(torch.as_tensor(x)).numpy(), z.numpy(), units(False, monkeypatch, clouds()))
    assert np.allclose(plain.largest, found[0], rtol=1e-2)


def test_latent_units_of_one_code_are_refused(small):
    with pytest.raises(Mistake, match="all codes are the same"):
        Whitening.fit(np.ones((9, D)))
