"""Codes with a shape: nets between images, the word that says the shape, and what does not depend on it."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.testing import assert_close

import legato
from legato import nets
from legato.codebooks import FiniteScalars, Indexed, VectorQuantised
from legato.definition import Definition, define
from legato.errors import Mistake
from legato.recipe import RECIPES
from legato.setting import DataSpec, Words, shape_of
from legato.trace import Given
from made_runs import blobs, small
from stopped_runs import all_of
from test_recipes import of_a_class, traced

PICTURES = DataSpec((3, 16, 16), "bytes", "discretized-logistic", classes=("no", "yes"), factors=True)
VECTORS = (
    "flow_vae",
    "ladder_vae",
    "flow_prior_vae",
    "iaf_vae",
    "full_gaussian_vae",
    "vmf_vae",
    "power_spherical_vae",
    "poincare_vae",
    "topk_autoencoder",
    "hierarchical_vamp_vae",
    "residual_vq_vae",
    "joint_vae",
    "hierarchy_vae",
)  # whose codes are vectors by what they are
# A row of tokens is (n, D) and a grid (D, h, w); a class is told to a vector as so many numbers, to an image as so many planes.
OF_PLACES = ("tokenizer_kl", "tokenizer_vq", "tokenizer_fsq")  # which say their code otherwise
OTHERWISE = (*VECTORS, *OF_PLACES, "vq_vae", "gradient_vq_vae", "sequence_vq_vae", "lfq_vae", "conditional_vae", "m2_vae")
TINY = {"width": 8, "depth": 1}


pytestmark = pytest.mark.usefixtures("alone")


# ------------------------------------------------------------------------------------------------ nets


@pytest.mark.parametrize("name", [name for name in nets.NETS if name != "diffusers"])  # which halves evenly
@pytest.mark.parametrize(("size", "goals"), [((28, 28), [(14, 14), (7, 7), (4, 4)]), ((31, 17), [(16, 9), (8, 5), (4, 3)])])
@torch.no_grad()
def test_every_net_maps_an_image_to_each_of_its_halves_and_back_without_mixing_examples(name, size, goals):
    for goal in goals:
        for given, out in (((3, *size), (2, 4, *goal)), ((4, *goal), (3, *size))):
            net = nets.build(name, given, out, width=8, depth=1)
            x = torch.randn(2, *given)
            y, changed = net(x), net(torch.stack([x[0], x[1] + 1]))
            assert y.shape == (2, *out)
            assert_close(changed[0], y[0])
            assert not torch.allclose(changed[1], y[1])


@pytest.mark.parametrize("name", ["conv", "strided"])
def test_a_place_of_a_code_reads_its_neighbourhood_alone(name):
    """Of a far corner's change nothing arrives but through the normalisation, which is taken away here."""
    encoder = nets.build(name, (1, 64, 64), (2, 3, 16, 16), width=8, depth=0)
    for part in encoder.modules():
        if isinstance(part, torch.nn.GroupNorm):
            part.forward = lambda h: h
    x = torch.randn(1, 1, 64, 64)
    moved = x.clone()
    moved[..., :8, :8] += 1
    changed = (encoder(x) != encoder(moved)).any(1).any(1)[0]
    assert changed[:2, :2].any()
    assert not changed[8:, :].any()
    assert not changed[:, 8:].any()


def test_a_convolution_may_keep_an_image_as_large_as_it_is():
    assert nets.build("conv", (3, 16, 16), (2, 3, 16, 16), **TINY)(torch.randn(2, 3, 16, 16)).shape == (2, 2, 3, 16, 16)
    assert nets.build("conv", (3, 16, 16), (1, 16, 16), **TINY)(torch.randn(2, 3, 16, 16)).shape == (2, 1, 16, 16)


@pytest.mark.parametrize(
    ("name", "goal", "possible"),
    [("conv", (5, 5), "28,28, 14,14, 7,7, 4,4"), ("strided", (28, 28), "14,14, 7,7, 4,4"), ("conv", (3, 3), "7,7, 4,4")],
)
def test_a_size_that_halving_does_not_reach_is_refused_with_those_it_does(name, goal, possible):
    for given, out in (((1, 28, 28), (2, 4, *goal)), ((4, *goal), (1, 28, 28))):
        with pytest.raises(Mistake) as refusal:
            nets.build(name, given, out)
        assert possible in str(refusal.value)
        assert "mlp" in str(refusal.value)
        assert "\n" not in str(refusal.value)


# ------------------------------------------------------------------------------------------------ the word


@pytest.mark.parametrize("said", [(4, 8, 8), [4, 8, 8], "4,8,8", "4, 8, 8", (4.0, 8, 8), np.array([4, 8, 8])])
def test_a_shape_is_a_tuple_a_list_or_a_word(said):
    assert shape_of(said) == (4, 8, 8)
    assert Words(latent_shape=said).latent_shape == (4, 8, 8)


@pytest.mark.parametrize("said", ["4,8", "4x8x8", "", "4,8,0", "4,8,8,8", (4, 8, 8.5), True, {}, "nan,1,1", -3])
def test_what_is_no_shape_is_refused_in_a_line(said):
    with pytest.raises(Mistake, match="`latent_shape` must be channels, height, width, such as 4,8,8") as refusal:
        shape_of(said)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_a_shape_or_says_why_not(name):
    if name in VECTORS + OF_PLACES:
        with pytest.raises(Mistake, match="vector" if name in VECTORS else "leave `latent_shape` out"):
            define(name, PICTURES, latent_shape=(4, 8, 8)).build(PICTURES)
        return
    definition = define(name, PICTURES, latent_shape=(4, 8, 8), **TINY)
    again = Definition.from_json(json.loads(json.dumps(definition.to_json())))
    assert again == definition
    assert definition.words.net == "strided"
    made = again.build(PICTURES)
    assert made.model.latent.event == (4, 8, 8)
    trace = traced(made, torch.rand(6, *PICTURES.shape))
    assert trace.code.shape[1:] == (6, 4, 8, 8)
    made.objective(trace, made.objective.at(0, 10)).total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.model.parameters())
    if (
        name
        not in (
            "mixture_vae",
            "vamp_vae",
            "concrete_vae",
            "hamiltonian_vae",
            "fsq_vae",
            "vq_vae",
            "gradient_vq_vae",
            "sequence_vq_vae",
            "lfq_vae",
            "m2_vae",
        )
        and made.model.latent.has_density
    ):
        assert trace.rungs[0].kl_per_dimension.shape[1:] == (6, 4, 8, 8)
    model = of_a_class(made.model)
    assert model.sample(2).shape == (2, 3, 16, 16)
    assert model.latent.draw_prior(3, np.random.default_rng(0)).shape == (3, 4, 8, 8)


def test_a_shape_and_a_length_are_one_too_many():
    for name, option in (("vae", "latent_dim"), ("vq_vae", "token_dim"), ("vq_vae", "latent_dim")):
        with pytest.raises(Mistake, match=f"so does `{option}`: give one of the two"):
            define(name, PICTURES, latent_shape=(4, 8, 8), **{option: 4})


def test_what_a_shape_settles_is_stored_beside_it():
    assert define("vae", PICTURES, latent_shape=(4, 8, 8)).options["latent_dim"] == 256
    assert define("vae", PICTURES, latent_shape=(12,)).build(PICTURES).model.latent.event == (12,)
    stored = define("vq_vae", PICTURES, latent_shape=(6, 8, 8)).options
    assert (stored["latent_dim"], stored["token_dim"]) == (64, 6)


def test_a_recipe_that_makes_other_codes_says_so():
    def deaf(data, latent_dim=3):
        return RECIPES["vae"](replace(data, words=replace(data.words, latent_shape=None)), latent_dim)

    RECIPES["deaf"] = deaf
    try:
        with pytest.raises(Mistake, match=r"`deaf` makes codes of shape \(256,\) and takes no `latent_shape`"):
            define("deaf", PICTURES, latent_shape=(4, 8, 8)).build(PICTURES)
    finally:
        del RECIPES["deaf"]


def test_auto_takes_convolutions_where_image_meets_image():
    assert nets.suited((1, 28, 28)) == "residual"
    assert nets.suited((1, 28, 28), (4, 7, 7)) == "strided"
    assert nets.suited((1, 28, 28), (4,)) == nets.suited((20,), (4, 7, 7)) == "residual"


# ------------------------------------------------------------------------------------------------ flat beside shaped


@pytest.mark.parametrize("name", [name for name in RECIPES if name not in OTHERWISE])
@pytest.mark.parametrize("net", ["mlp", "residual"])
def test_a_dense_net_gives_the_same_numbers_whatever_shape_its_code_is_said_to_have(name, net):
    """Loss, gradients, KL and samples, bit for bit."""
    found = []
    for size in ({"latent_shape": (4, 2, 2)}, {"latent_dim": 16}):
        torch.manual_seed(3)
        made = define(name, PICTURES, net=net, **TINY, **size).build(PICTURES)
        torch.manual_seed(4)
        x = torch.rand(6, *PICTURES.shape)
        trace = traced(made, x)
        made.objective(trace, made.objective.at(0, 10)).total.backward()
        numbers = [p.grad for p in made.model.parameters()] + [trace.log_px, trace.code.flatten(2)]
        if made.model.latent.has_density:
            numbers += [trace.kl, trace.log_w]
        model = of_a_class(made.model)
        numbers += [model.decode(torch.ones(3, *model.latent.event))]
        numbers += [torch.as_tensor(model.latent.draw_prior(3, np.random.default_rng(0))).flatten(1)]
        found.append(numbers)
    assert all(torch.equal(a.flatten(), b.flatten()) for a, b in zip(*found, strict=True))


def test_a_run_of_a_shape_is_to_the_bit_the_run_of_a_length(tmp_path):
    """Training, metrics, moments, codes, samples, traversals and scores."""
    pictures = blobs()[0]
    shaped = legato.train("vae", pictures, tmp_path / "shaped", **small(latent_shape=(3, 2, 2)))
    flat = legato.train("vae", pictures, tmp_path / "flat", **small(latent_dim=12))
    found, expected = ({**all_of(tmp_path / name), "recipe.json": None} for name in ("shaped", "flat"))
    assert [key for key in expected if found[key] != expected[key]] == []
    for use in (
        lambda s: s.encode(pictures[:20])[1],
        lambda s: s.sample(5, seed=3),
        lambda s: s.sample(5, origin="codes"),
        lambda s: s.traverse(dims=[3])[1],
        lambda s: s.score(pictures[:9], k=5),
        lambda s: s.log_prior(s.encode(pictures[:9])[0]),
        lambda s: s.mixture.draw(5, np.random.default_rng(0)),
    ):
        assert np.array_equal(use(shaped), use(flat))


# ------------------------------------------------------------------------------------------------ grids of indices


def test_a_grid_of_tokens_is_a_row_of_tokens_laid_out():
    row, grid = VectorQuantised((6, 5), size=7), VectorQuantised((5, 2, 3), size=7)
    grid.load_state_dict(row.state_dict())
    theta = torch.randn(4, 6, 5)
    laid = theta.transpose(1, 2).reshape(4, 5, 2, 3)
    for _ in range(3):
        torch.manual_seed(2)
        q = row(theta, (6, 5))
        torch.manual_seed(2)
        of_grid = grid(laid, (5, 2, 3))
        assert torch.equal(of_grid.index, q.index.reshape(4, 2, 3))
        assert torch.equal(of_grid.value, q.value.transpose(1, 2).reshape(4, 5, 2, 3))
        assert torch.equal(row.rows, grid.rows)
    prior = Indexed(grid, (5, 2, 3), learnt=True)
    assert prior.logits.shape == (2, 3, 7)
    prior.logits.data.normal_()
    weights = torch.log_softmax(prior.logits, -1)
    expected = sum(weights[i, j, of_grid.index[:, i, j]] for i in range(2) for j in range(3))
    assert_close(prior(Given()).log_prob(of_grid.value), expected)


def test_scalars_of_any_shape_cost_their_number_of_logarithms():
    made = define("fsq_vae", PICTURES, latent_shape=(4, 8, 8), levels=5, **TINY).build(PICTURES)
    assert_close(made.model(torch.rand(3, *PICTURES.shape)).kl, torch.full((3,), 256 * math.log(5)))
    assert FiniteScalars(5).tokens((4, 8, 8)) == (4, 8, 8)
    vq = define("vq_vae", PICTURES, latent_shape=(4, 8, 8), codebook_size=32, **TINY).build(PICTURES)
    assert_close(vq.model(torch.rand(3, *PICTURES.shape)).kl, torch.full((3,), 64 * math.log(32)))
