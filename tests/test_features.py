"""The classifier of digits, features of other data, and the controls: what they are, and what they refuse."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
import torch
from numpy.linalg import norm
from safetensors.torch import load_file

from legato.data.sources import open_source
from legato.errors import Mistake
from legato.measures import controls
from legato.measures.controls import Ranking
from legato.measures.digits import ABOUT, WEIGHTS, DigitFeatures
from legato.measures.estimate import Estimate, absent
from legato.measures.feature_choice import features_for
from legato.measures.features import PrincipalComponents, RandomNet
from legato.measures.fidelity import frechet
from legato.measures.manifold import manifold


def pictures(n: int, shape: tuple[int, ...] = (1, 12, 10), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((n, *shape), dtype=np.float32)


@pytest.fixture(scope="module")
def digits():
    """2,000 training and 2,000 test digits in [0, 1], and the labels of these."""
    data = open_source("mnist")
    train, test = (data.splits[split].draw(2000, "tested") for split in ("train", "test"))
    scaled = [np.asarray(data.rows[rows] / np.float32(255), np.float32) for rows in (train, test)]
    return *scaled, np.asarray(data.labels)[test]


# ------------------------------------------------------------------------------------------------------ the classifier


def test_the_shipped_classifier_names_digits_as_rightly_as_its_record_says(digits):
    _, test, labels = digits
    features = DigitFeatures()
    right = features.probabilities(test).argmax(1) == labels
    assert features.about["test_accuracy"] >= 0.993
    assert features.about["test_n"] == 10_000
    low, high = features.about["test_interval"]
    assert low < features.about["test_accuracy"] < high
    assert abs(right.mean() - features.about["test_accuracy"]) < 0.006


def test_the_shipped_weights_are_small_halves_and_those_that_were_tested():
    assert WEIGHTS.stat().st_size < 1_500_000
    assert all(weight.dtype == torch.float16 for weight in load_file(WEIGHTS).values())
    found = hashlib.blake2b(WEIGHTS.read_bytes(), digest_size=16).hexdigest()
    assert found == json.loads(ABOUT.read_text(encoding="utf-8"))["blake2b"] == DigitFeatures().hash


def test_weights_that_are_not_those_that_were_tested_are_refused(tmp_path):
    changed = tmp_path / WEIGHTS.name
    content = bytearray(WEIGHTS.read_bytes())
    content[-1] ^= 1
    changed.write_bytes(content)
    with pytest.raises(Mistake, match="not the classifier that was tested"):
        DigitFeatures(changed)


def test_probabilities_sum_to_1_and_real_digits_are_recognised(digits):
    _, test, _ = digits
    found = DigitFeatures().probabilities(test)
    assert found.sum(1) == pytest.approx(1, abs=1e-4)
    assert found.max(1).mean() > 0.97
    assert (found.max(1) > 0.9).mean() > 0.95
    shares = found.mean(0)
    assert -(shares * np.log(shares)).sum() == pytest.approx(np.log(10), abs=0.02)


def test_features_of_training_and_test_digits_are_near_and_controls_are_far(digits):
    train, test, _ = digits
    features = DigitFeatures()
    real = features.of(test)
    floor = frechet(real, features.of(train), draws=10)
    mean, noise = (features.of(x) for x in (controls.mean_image(train, 500), pictures(500, (1, 28, 28))))
    for control in (mean, noise):
        assert frechet(real, control, draws=10).low > 5 * floor.high
        assert manifold(real, control, draws=4).coverage.value < 0.01
    assert manifold(real, features.of(train), draws=4).coverage.value > 0.9


# ---------------------------------------------------------------------------------------------- features of other data


def test_which_features_apply():
    grey, table = pictures(30, (1, 28, 28)), pictures(30, (7,))
    assert [type(f) for f in features_for((1, 28, 28), "mnist", grey)] == [DigitFeatures, PrincipalComponents, RandomNet]
    assert [type(f) for f in features_for((1, 28, 28), "letters.npz", grey)] == [PrincipalComponents, RandomNet]
    assert [type(f) for f in features_for((3, 9, 9), "mnist", pictures(30, (3, 9, 9)))] == [PrincipalComponents, RandomNet]
    (only,) = features_for((7,), "table.csv", table)
    assert isinstance(only, PrincipalComponents)
    assert only.of(table).shape == (30, 7)


def test_all_principal_components_keep_the_distances_of_the_pixels():
    x = pictures(90, (2, 5, 4))
    found = PrincipalComponents(x, components=40).of(x)
    assert norm(found[:-1] - found[1:], axis=1) == pytest.approx(norm((x[:-1] - x[1:]).reshape(89, -1), axis=1), rel=1e-4)
    assert found.mean(0) == pytest.approx(np.zeros(40), abs=1e-5)
    assert PrincipalComponents(x, components=3).of(x) == pytest.approx(found[:, :3], abs=1e-3)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 20), (1, 8, 8), (4, 1, 3)])
def test_the_random_net_takes_any_picture_and_is_standardised_on_the_real_ones(shape):
    x = pictures(200, shape)
    found = RandomNet(x).of(x)
    assert found.shape == (200, 128)
    assert found.mean(0) == pytest.approx(np.zeros(128), abs=1e-3)
    assert found.std(0).max() < 1 + 1e-3
    assert (np.abs(found.std(0) - 1) < 1e-3).sum() > 60  # the others hardly move


def test_the_random_net_is_its_convolutions_drawn_from_the_seed():
    x = pictures(40, (2, 9, 9))
    net = RandomNet(x, seed=3, widths=(4, 6))
    generator = torch.Generator().manual_seed(3)
    layers = [torch.nn.Conv2d(2, 4, 3, 2, 1, bias=False), torch.nn.Conv2d(4, 6, 3, 2, 1, bias=False)]
    for layer, fan_in in zip(layers, (18, 36), strict=True):
        layer.weight.data = torch.randn(layer.weight.shape, generator=generator) * (2 / fan_in) ** 0.5

    def averages(images):
        with torch.no_grad():
            return layers[1](layers[0](torch.from_numpy(images)).relu()).relu().mean((2, 3)).numpy()

    plain = averages(x)
    spread = np.maximum(plain.std(0), 0.01 * plain.std(0).max())
    for images in (x, 1 - x):
        assert net.of(images) == pytest.approx((averages(images) - plain.mean(0)) / spread, abs=1e-3)


def test_a_channel_that_one_image_wakes_is_not_all_of_a_distance():
    """Of pictures that are black but for one channel, what other channels would say is dead, and said of none of them."""
    x = pictures(300, (3, 16, 16)) * np.array([1, 0, 0], np.float32)[:, None, None]
    bright = np.ones((1, 3, 16, 16), np.float32)
    net = RandomNet(x)
    found = net.of(bright)
    assert np.abs(net.of(x)).max() < 20
    assert np.abs(found).max() < 3_000  # a floor of a millionth gave some millions
    assert (net.of(x).std(0) < 1e-3).any()  # there are dead ones


def test_features_have_a_hash_of_what_makes_them_and_leave_the_generator_alone():
    x, y = pictures(50), pictures(50, seed=1)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    for make in (PrincipalComponents, RandomNet):
        assert make(x).hash == make(x).hash != make(y).hash
        assert np.array_equal(make(x).of(y), make(x).of(y))
    assert RandomNet(x).hash != RandomNet(x, seed=1).hash
    DigitFeatures()
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("make", [PrincipalComponents, RandomNet, lambda x: DigitFeatures()])
def test_a_feature_is_of_one_image_whatever_it_is_batched_with(make):
    x = pictures(1100, (1, 28, 28))
    features = make(x[:100])
    whole = features.of(x)
    assert whole.dtype == np.float32
    assert whole[990:1010] == pytest.approx(features.of(x[990:1010]), abs=1e-3)


@pytest.mark.parametrize("make", [PrincipalComponents, RandomNet, lambda x: DigitFeatures()])
def test_what_is_no_such_image_is_refused(make):
    features, broken = make(pictures(60, (1, 28, 28))), pictures(5, (1, 28, 28))
    broken[2, 0, 1, 1] = np.nan
    with pytest.raises(Mistake, match="1 of 5 images"):
        features.of(broken)
    for wrong in (pictures(5, (1, 27, 28)), pictures(0, (1, 28, 28))):
        with pytest.raises(Mistake, match="`images` must be"):
            features.of(wrong)


def test_bytes_are_refused_by_what_looks_at_pictures_and_a_linear_decoder_s_excess_is_cut():
    x = pictures(60, (1, 28, 28))
    for features in (RandomNet(x), DigitFeatures()):
        with pytest.raises(Mistake, match="divide bytes by 255"):
            features.of(255 * x)
        assert np.array_equal(features.of(x * 3 - 1), features.of(np.clip(x * 3 - 1, 0, 1)))
    with pytest.raises(Mistake, match="pictures"):
        RandomNet(pictures(60, (7,)))


# -------------------------------------------------------------------------------------------------------- controls


def test_the_mean_image_is_repeated():
    x = pictures(40)
    found = controls.mean_image(x, 6)
    assert found.shape == (6, 1, 12, 10)
    assert found[3] == pytest.approx(x.mean(0), abs=1e-6)


def test_the_copier_gives_the_nearest_training_image():
    x, y = pictures(300), pictures(40, seed=1)
    nearest = [int(((x - one) ** 2).sum((1, 2, 3)).argmin()) for one in y]
    assert controls.nearest_copies(x, y).tolist() == nearest
    assert np.array_equal(controls.copier(x, y), x[nearest])
    assert np.array_equal(controls.copier(x, x[5:9]), x[5:9])


def test_the_floor_is_of_different_training_images():
    x = pictures(50)
    found = controls.real_again(x, 50, seed=2)
    assert sorted(found[:, 0, 0, 0]) == sorted(x[:, 0, 0, 0])
    with pytest.raises(Mistake, match="needs 51"):
        controls.real_again(x, 51)


def figure(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, 100, "share", "a method")


def test_a_measure_that_ranks_a_control_above_the_model_is_said_to_in_words():
    others = {"copier": figure(0.95), "mean image": figure(0.1), "cross-fade": figure(0.75), "none": absent("no labels")}
    ranking = Ranking("coverage", figure(0.7), others, higher_is_better=True)
    assert ranking.above() == ["copier", "cross-fade"]
    first, second = ranking.warnings()
    assert first.startswith("coverage ranks the copier (0.95 [0.85, 1.05] share) above the model (0.70")
    assert first.endswith("it does not see memorising")
    assert "overlap" not in first
    assert "though their intervals overlap" in second


def test_where_lower_is_better_a_lower_control_ranks_above_and_nothing_ranks_without_a_figure():
    others = {"copier": figure(5.0), "mean image": figure(90.0)}
    assert Ranking("Fréchet distance", figure(20.0), others, higher_is_better=False).above() == ["copier"]
    assert Ranking("Fréchet distance", figure(1.0), others, higher_is_better=False).warnings() == []
    assert Ranking("Fréchet distance", absent("no features"), others, higher_is_better=False).above() == []


def test_the_copier_beats_every_sampler_in_coverage_which_is_why_it_is_shown(digits):
    train, test, _ = digits
    features = PrincipalComponents(train)
    real = features.of(test[:1000])
    made = {
        "copier": features.of(controls.copier(train, test[:1000])),
        "mean image": features.of(controls.mean_image(train, 1000)),
    }
    found = {name: manifold(real, each, draws=4).coverage for name, each in made.items()}
    blurred = manifold(real, features.of(0.5 * train[:1000] + 0.5 * train.mean(0)), draws=4).coverage
    assert Ranking("coverage", blurred, found, higher_is_better=True).above() == ["copier"]
