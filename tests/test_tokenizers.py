"""Tokenizers, and the terms beside their likelihood: each against its formula, and its gradient against finite differences."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d
from torch.testing import assert_close

from legato import nets
from legato.conditional import Conditional
from legato.definition import define
from legato.errors import Mistake
from legato.families import Gaussian, Homoscedastic
from legato.latents import Flat
from legato.model import LatentVariableModel
from legato.noise import Noisy
from legato.objectives import Begun, Distortion, Equivariance, PatchAdversary, PatchCritic, Perceptual, Rate
from legato.objectives.equivariance import turned, ways
from legato.objectives.features import shipped
from legato.priors import StandardNormal
from legato.recipe import Recipe
from legato.setting import DataSpec
from legato.training.compiled import CompiledStep, Lowered, captured
from test_compiled import batch, figures, learner

NAMES = ("tokenizer_kl", "tokenizer_vq", "tokenizer_fsq")
COLOUR = DataSpec((3, 8, 8), "bytes", "discretized-logistic")
SMALL: dict[str, Any] = {"latent_dim": 2, "downsampling": 2, "width": 4, "depth": 0}

pytestmark = pytest.mark.usefixtures("alone")


def built(name: str = "tokenizer_kl", data: DataSpec = COLOUR, **chosen: Any) -> Recipe:
    """A tiny recipe in float64."""
    torch.manual_seed(1)
    made = define(name, data, **{**SMALL, **chosen}).build(data)
    made.model.double()
    made.objective.double()
    return made


def images(n: int = 4, shape: tuple[int, ...] = (3, 8, 8)) -> Tensor:
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def along(weights: list[Tensor], value: Callable[[], Tensor], step: float = 1e-6) -> tuple[float, float]:
    """The slope of `value()` along a random direction of the weights: by autograd, and by central differences."""
    torch.manual_seed(3)
    ways = [torch.randn_like(weight) for weight in weights]
    slopes = torch.autograd.grad(value(), weights, allow_unused=True)
    slope = sum(float((way * by).sum()) for way, by in zip(ways, slopes, strict=True) if by is not None)

    def at(share: float) -> float:
        with torch.no_grad():
            for weight, way in zip(weights, ways, strict=True):
                weight += share * way
        found = float(value().detach())
        with torch.no_grad():
            for weight, way in zip(weights, ways, strict=True):
                weight -= share * way
        return found

    return slope, (at(step) - at(-step)) / (2 * step)


def of_term(made: Recipe, term: nn.Module, x: Tensor) -> Callable[[], Tensor]:
    """The term's mean with the same draws each time."""

    def value() -> Tensor:
        torch.manual_seed(5)
        found: Tensor = term(made.model(x)).mean()
        return found

    return value


# ------------------------------------------------------------------------------------------------- codes at places


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("shape", "downsampling"), [((1, 32, 48), 16), ((2, 28, 28), 4), ((3, 16, 24), 8), ((5, 8, 10), 2)])
def test_a_code_has_a_place_for_so_many_pixels_whatever_sides_and_channels(name, shape, downsampling):
    data = DataSpec(shape, "bytes", "discretized-logistic")
    model = built(name, data, downsampling=downsampling, latent_dim=3).model.eval()
    assert model.latent.event == (3, shape[1] // downsampling, shape[2] // downsampling)
    assert model.reconstruct(images(2, shape)).shape == model.sample(2).shape == (2, *shape)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("shape", "chosen", "sentence"),
    [
        ((3, 30, 32), {"downsampling": 4}, "images of 30 × 32 cannot be cut into places of 4 × 4: .* --size 28"),
        ((3, 8, 8), {"downsampling": 16}, "images of 8 × 8 cannot be cut into places of 16 × 16"),
        ((3, 32, 32), {"downsampling": 3}, "`downsampling` is 2, 4, 8 or 16, got 3"),
        ((7,), {}, r"places of an image, and one example has shape \(7,\): use `vae`"),
    ],
)
def test_what_cannot_be_cut_into_places_is_one_sentence(name, shape, chosen, sentence):
    with pytest.raises(Mistake, match=sentence) as refusal:
        built(name, DataSpec(shape, "bytes", "discretized-logistic"), **chosen)
    assert "\n" not in str(refusal.value)


def test_a_shape_of_its_own_is_refused_where_places_are_said():
    with pytest.raises(Mistake, match="leave `latent_shape` out"):
        define("tokenizer_kl", COLOUR, latent_shape=(2, 4, 4)).build(COLOUR)


def test_at_beta_one_it_is_the_vae_of_the_same_code_bit_for_bit():
    made = built(beta=1.0)
    torch.manual_seed(1)
    words = {"latent_shape": (2, 4, 4), "likelihood": "gaussian", "net": "strided", "width": 4, "depth": 0}
    plain = define("vae", COLOUR, **words).build(COLOUR)
    plain.model.double()
    losses = []
    for one in (made, plain):
        torch.manual_seed(4)
        losses.append(one.objective(one.model(images()), one.objective.at(0, 1)).total)
    assert torch.equal(*losses)


def test_words_cost_their_logarithm_at_each_place():
    of_words = built("tokenizer_vq", codebook_size=32).model(images())
    of_numbers = built("tokenizer_fsq", levels=5).model(images())
    assert_close(of_words.kl, torch.full((4,), 16 * math.log(32), dtype=torch.float64), rtol=1e-5, atol=0)
    assert_close(of_numbers.kl, torch.full((4,), 32 * math.log(5), dtype=torch.float64), rtol=1e-5, atol=0)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_weighed_by_nothing_is_not_there_and_what_is_added_takes_no_likelihood_away(name):
    plain = built(name)
    more = built(name, perceptual=10.0, adversary=1.0, equivariance=0.5, noise=0.1)
    names = [term.name for term in plain.objective.terms]
    assert names[:2] == ["distortion", "rate"]
    assert [term.name for term in more.objective.terms] == [*names, "perceptual", "equivariance", "patch adversary"]
    assert plain.no_likelihood is more.no_likelihood is None
    with pytest.raises(Mistake, match="nothing in this objective would teach the likelihood its scale"):
        Recipe(plain.model, 1.0 * Perceptual() + Rate())
    replaced = define(name, COLOUR, **SMALL, likelihood="optimal-gaussian").build(COLOUR)
    assert "no log p" in (Recipe(replaced.model, 1.0 * Perceptual() + Rate()).no_likelihood or "")


def test_a_decoder_of_convolutions_takes_a_code_of_other_sides_and_mixes_no_examples():
    for net in ("strided", "conv", "diffusers"):
        depth = 1 if net == "diffusers" else 0
        model = built(net=net, depth=depth, likelihood="discretized-logistic").model
        assert model.likelihood.resizes
        z = torch.randn(3, 2, 2, 6, dtype=torch.float64)
        mean = model.likelihood(z).mean
        assert mean.shape == (3, 3, 4, 12)
        assert_close(mean[1], model.likelihood(z[1:2]).mean[0])
    assert not built(net="mlp").model.likelihood.resizes


# ------------------------------------------------------------------------------------------------- a perceptual distance


class Doubled(nn.Module):
    """Features of known values, with a weight and something that behaves otherwise in training."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
        self.register_buffer("shift", torch.tensor(0.25, dtype=torch.float64))
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> list[Tensor]:
        return [self.drop(self.weight * x + self.shift), avg_pool2d(x, 2)]


def test_a_perceptual_distance_is_its_formula():
    term = Perceptual(Doubled()).train()
    x, y = images(3), images(6)[3:]
    expected = np.zeros(3)
    for layer in (lambda v: 2 * v + 0.25, lambda v: v.reshape(3, 3, 4, 2, 4, 2).mean((3, 5))):
        a, b = (layer(one.numpy()) for one in (x, y))
        a, b = (one / np.sqrt((one**2).sum(1, keepdims=True) + 1e-10) for one in (a, b))
        expected += ((a - b) ** 2).sum(1).mean((1, 2))
    assert_close(term.distance(x, y), torch.from_numpy(expected))
    assert (term.distance(x, x) == 0).all()


def test_pictures_of_other_channels_are_seen_as_grey_one_by_one():
    term = Perceptual().double()
    x, y = images(3, (5, 8, 8)), images(6, (5, 8, 8))[3:]
    grey = [term.distance(x[:, [c] * 3], y[:, [c] * 3]) for c in range(5)]
    assert_close(term.distance(x, y), torch.stack(grey).mean(0))
    assert_close(term.distance(x[:, :1], y[:, :1]), grey[0])


def test_the_features_never_move_and_gradients_go_through_them_to_the_decoder():
    """A term that is computed without gradients gives a number that looks right, and teaches nothing."""
    given = Doubled()
    for term in (Perceptual(given), Perceptual().double()):
        made = built()
        value = of_term(made, term, images())
        slope, expected = along(list(made.model.parameters()), value)
        assert slope == pytest.approx(expected, rel=1e-5)
        assert abs(slope) > 1e-4
        # matrices: a bias before a norm of its own channel alone has no slope
        matrices = [weight for weight in made.model.likelihood.net.parameters() if weight.ndim > 1]
        assert all(by.abs().sum() > 0 for by in torch.autograd.grad(value(), matrices))
        assert list(term.parameters()) == []
        assert term.state_dict() == {}
        assert all(not one.requires_grad for one in term.buffers())
    assert given.weight.requires_grad  # a person's own net stays what it was


def test_the_shipped_features_see_a_blur_and_noise_by_how_strong_they_are():
    """On pictures of edges, of a kind that they were trained on; and a file that is another is refused."""
    rng = np.random.default_rng(0)
    x = torch.from_numpy(np.kron(rng.uniform(0, 1, (16, 3, 8, 8)), np.ones((4, 4))))
    term = Perceptual().double()
    blurred = [term.distance(x, avg_pool2d(x, k, stride=1, padding=k // 2, count_include_pad=False)).mean() for k in (3, 5, 9)]
    noisy = [term.distance(x, x + s * torch.from_numpy(rng.normal(size=x.shape))).mean() for s in (0.02, 0.05, 0.15)]
    assert 0 < blurred[0] < blurred[1] < blurred[2]
    assert 0 < noisy[0] < noisy[1] < noisy[2]


def test_features_that_were_changed_are_refused(tmp_path):
    from legato.objectives.features import ABOUT, WEIGHTS

    assert WEIGHTS.stat().st_size < 2e6
    other = tmp_path / "w.safetensors"
    other.write_bytes(WEIGHTS.read_bytes()[:-1] + b"x")
    with pytest.raises(Mistake, match="not the net that was tested"):
        shipped(other, ABOUT)


# ------------------------------------------------------------------------------------------------- a critic of patches


def test_the_model_and_the_critic_of_patches_each_follow_their_own_loss():
    made, x = built(), images()
    term = PatchAdversary(PatchCritic(3, width=4, depth=2)).double()
    slope, expected = along(list(made.model.parameters()), of_term(made, term, x))
    assert slope == pytest.approx(expected, rel=1e-5)
    assert abs(slope) > 1e-5

    def hinge() -> Tensor:
        torch.manual_seed(5)
        return term.mistaken(made.model(x).detach()).mean()

    slope, expected = along(list(term.critic.parameters()), hinge)
    assert slope == pytest.approx(expected, rel=1e-4)
    by_model = torch.autograd.grad(hinge(), list(made.model.parameters()), allow_unused=True)
    assert all(by is None for by in by_model)


def test_the_critic_s_loss_is_the_hinge_and_one_where_it_tells_nothing():
    term, made = PatchAdversary(PatchCritic(3, width=4, depth=1)).double(), built()
    seen = made.model(images()).detach()
    real, decoded = (term.critic(one).detach().numpy() for one in (seen.x, seen.decoded[0]))
    expected = 0.5 * (np.maximum(1 - real, 0).mean(1) + np.maximum(1 + decoded, 0).mean(1))
    assert_close(term.mistaken(seen), torch.from_numpy(expected))
    for weight in term.critic.layers[-1].parameters():
        weight.data.zero_()
    assert_close(term.mistaken(seen), torch.ones(4, dtype=torch.float64))
    assert term.player.blind == 1.0


@pytest.mark.parametrize("net", ["strided", "conv", "mlp"])
def test_the_adaptive_weight_is_the_quotient_of_two_norms_at_the_decoder_s_last_layer(net):
    """The whole loss is fidelity + rate + w λ adversary, λ by its definition from gradients of its own."""
    made, x, weight = built(net=net, depth=1), images(), 0.7
    term = PatchAdversary(PatchCritic(3, width=4)).double()
    objective = Distortion() + 3.0 * Perceptual().double() + 0.5 * Rate() + weight * term
    trace = made.model(x)
    loss = objective(trace, objective.at(0, 10))
    (last,) = [part for part in made.model.likelihood.net.modules() if hasattr(part, "weight") and part.weight.ndim > 1][-1:]
    fidelity = Distortion()(trace).mean() + 3.0 * objective.terms[1](trace).mean()
    (by_fidelity,) = torch.autograd.grad(fidelity, last.weight, retain_graph=True)
    (by_term,) = torch.autograd.grad(term(trace).mean(), last.weight, retain_graph=True)
    balance = float(by_fidelity.norm() / (by_term.norm() + 1e-6))
    expected = fidelity + 0.5 * Rate()(trace).mean() + weight * min(balance, 1e4) * term(trace).mean()
    assert_close(loss.total, expected)
    # and λ is a number: the whole gradient is that of the sum at this λ
    weights = list(made.model.parameters())
    found, wanted = (torch.autograd.grad(one, weights, retain_graph=True) for one in (loss.total, expected))
    assert all(map(torch.allclose, found, wanted))
    assert loss.parts["patch adversary"] == term(trace).mean()  # what is told is the term itself


def test_without_gradients_there_is_no_balance_to_find_and_none_without_a_fidelity():
    made = built(adversary=1.0, begin=0.0)
    with torch.no_grad():
        assert made.objective(made.model(images()), made.objective.at(0, 10)).total.isfinite()
    with pytest.raises(Mistake, match="weighs a critic against the fidelity, and has none"):
        Recipe(made.model, 1.0 * PatchAdversary(PatchCritic(3)) + Rate())


def test_a_weight_that_begins_late_is_nothing_before_its_time():
    weight = Begun(2.0, 0.3)
    assert [weight.value(step, 10) for step in range(10)] == [0.0] * 3 + [2.0] * 7
    assert weight.last == weight.resting().value(0, 10) == 2.0
    assert Begun(2.0, 0.0).value(0, 10) == 2.0
    for most, after in ((-1.0, 0.1), (math.nan, 0.1), (1.0, 1.0), (1.0, -0.1)):
        with pytest.raises(Mistake):
            Begun(most, after)


def test_a_captured_step_with_all_terms_is_the_plain_one_bit_for_bit():
    """The critic is heard from the third of six steps on."""
    said = {"perceptual": 10.0, "adversary": 1.0, "begin": 0.02, "equivariance": 0.5, "noise": 0.1, "width": 4, "depth": 0}
    plain, other, rehearsed = (learner("tokenizer_kl", net="strided", **said) for _ in range(3))
    graph, _ = captured(rehearsed, batch(0))  # not of the learner that will take it: as after a rehearsal
    assert_close(figures(CompiledStep(other, Lowered(graph))), figures(plain.step), rtol=0, atol=0)
    for (key, value), twin in zip(plain.tensors().items(), other.tensors().values(), strict=True):
        assert torch.equal(value, twin), key


# ------------------------------------------------------------------------------------------------- equivariance


class Spread(nn.Module):
    """A decoder that commutes with turns, flips and averages: each number of a code as 4 × 4 pixels."""

    def forward(self, z: Tensor) -> Tensor:
        return z.repeat_interleave(4, -1).repeat_interleave(4, -2)


def of_averages(side: int = 4) -> LatentVariableModel:
    """An encoder that is average pooling, a decoder that spreads: both commute with what `Equivariance` does."""

    class Pooled(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([avg_pool2d(x, 4), torch.full_like(avg_pool2d(x, 4), -40.0)], 1)

    code, data = (3, side, side), (3, 4 * side, 4 * side)
    posterior = Conditional(lambda given, out: Pooled(), Gaussian(), data, code)
    likelihood = Conditional(lambda given, out: Spread(), Homoscedastic(1.0), code, data)
    return LatentVariableModel(Flat(posterior, StandardNormal(code)), likelihood).double()


def test_where_all_commutes_only_the_likelihood_s_constant_is_left():
    model = of_averages()
    # alike within a place, and in the four that become one: the reconstruction is exact
    x = Spread()(images(5, (3, 2, 2)).repeat_interleave(2, -1).repeat_interleave(2, -2))
    trace = model(x)
    whole, half = (Equivariance(halves)(trace) for halves in (False, True))
    assert_close(whole, torch.full((5,), 3 * 16 * 16 * 0.5 * math.log(2 * math.pi), dtype=torch.float64), atol=1e-6, rtol=0)
    assert_close(half, torch.full((5,), 3 * 8 * 8 * 0.5 * math.log(2 * math.pi), dtype=torch.float64), atol=1e-6, rtol=0)


def test_turned_pictures_cost_what_pictures_do_where_the_decoder_commutes():
    model, x = of_averages(3), images(6, (3, 12, 12))
    trace = model(x)
    assert_close(Equivariance()(trace), Distortion()(trace))  # of 3 × 3 places none is halved


def test_all_turns_and_flips_are_the_symmetries_of_the_square_and_each_is_drawn_alike():
    square, oblong = images(1, (1, 3, 3))[0], images(1, (1, 2, 3))[0]
    assert len({tuple(one.flatten().tolist()) for one in ways(square)}) == 8
    assert len({tuple(one.flatten().tolist()) for one in ways(oblong)}) == 4
    assert {tuple(torch.rot90(square, k, (1, 2)).flatten().tolist()) for k in range(4)} <= {
        tuple(one.flatten().tolist()) for one in ways(square)
    }
    chance = (torch.arange(8) + 0.5) / 8
    assert torch.equal(turned(square.expand(8, -1, -1, -1), chance), torch.stack(ways(square)))
    assert torch.equal(turned(square[None], torch.ones(1))[0], ways(square)[-1])


@pytest.mark.parametrize(("name", "halves"), [("tokenizer_kl", True), ("tokenizer_kl", False), ("tokenizer_fsq", False)])
def test_the_gradient_of_equivariance_is_that_of_finite_differences(name, halves):
    made = built(name)
    # a rounded code has no slope
    weights = list((made.model if name == "tokenizer_kl" else made.model.likelihood).parameters())
    slope, expected = along(weights, of_term(made, Equivariance(halves), images()))
    assert slope == pytest.approx(expected, rel=1e-4)


def test_a_decoder_that_takes_one_size_is_refused():
    with pytest.raises(Mistake, match="decodes codes of other sizes, and the decoder takes one"):
        built(net="mlp", equivariance=1.0)


# ------------------------------------------------------------------------------------------------- noise


def test_noise_is_a_share_of_the_code_s_own_size_in_training_alone():
    noise, z = Noisy(0.5), torch.randn(200, 4, 8, 8, dtype=torch.float64) * torch.logspace(-3, 3, 200)[:, None, None, None]
    torch.manual_seed(0)
    relative = (noise(z) - z).flatten(1).norm(dim=1) / z.flatten(1).norm(dim=1)
    assert relative.mean() == pytest.approx(0.5, abs=5 * 0.5 / math.sqrt(2 * 256 * 200))
    assert torch.equal(noise.eval()(z), z)
    with pytest.raises(Mistake, match="a share of the code's own size"):
        Noisy(-0.1)


def test_with_noise_all_figures_are_those_of_the_model_without_it():
    made, plain = built(noise=0.3), built()
    made.model.load_state_dict(plain.model.state_dict())
    x = images()
    for model in (made.model, plain.model):
        model.eval()
    torch.manual_seed(7)
    first = made.model.log_likelihood(x, 3)
    torch.manual_seed(7)
    assert torch.equal(first, plain.model.log_likelihood(x, 3))
    assert not torch.equal(made.model.train()(x).likelihood.mean, made.model.eval()(x).likelihood.mean)


def test_nets_halve_below_four_places_where_a_code_is_so_small():
    assert nets.halvings((8, 8), 1) == [(8, 8), (4, 4), (2, 2), (1, 1)]
    for net in ("conv", "strided"):
        encoder = nets.build(net, (3, 16, 8), (2, 2, 1), width=4)
        decoder = nets.build(net, (2, 2, 1), (3, 16, 8), width=4)
        assert decoder(encoder(torch.rand(2, 3, 16, 8))).shape == (2, 3, 16, 8)
