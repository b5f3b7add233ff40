"""The laws of networks: any size goes in and comes back, no example sees another, and what has no neighbourhood is refused."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from legato import nets
from legato.errors import Mistake

few = partial(settings, deadline=None, derandomize=True)


pytestmark = pytest.mark.usefixtures("alone")


SIZES = [(8, 8), (28, 28), (31, 17), (64, 48), (256, 8)]
OF_CODES = [name for name in nets.NETS if name != "diffusers"]  # which asks for codes of places: tests/test_start.py


def assert_maps(net: torch.nn.Module, given_shape: tuple[int, ...], out: tuple[int, ...]) -> None:
    """(2, *given) -> (2, *out), finite, and changing one example changes that one's output and no other's."""
    x = torch.randn(2, *given_shape)
    y, changed = net(x), net(torch.stack([x[0], x[1] + 1]))
    assert y.shape == (2, *out)
    assert y.isfinite().all()
    assert_close(changed[0], y[0])
    assert not torch.allclose(changed[1], y[1])


@pytest.mark.parametrize("channels", [1, 2, 3, 5])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", OF_CODES)
@torch.no_grad()
def test_every_net_maps_images_of_any_size_to_codes_and_back_without_mixing_examples(name, size, channels):
    image = (channels, *size)
    for given_shape, out in ((image, (2, 3)), ((3,), image), ((3,), (2, *image))):
        assert_maps(
            nets.build(name, given_shape, out, width=16 if name in ("mlp", "residual") else 4, depth=1), given_shape, out
        )


@given(st.integers(1, 5), st.integers(8, 40), st.integers(8, 40), st.sampled_from(sorted(OF_CODES)), st.integers(0, 2))
@few(max_examples=25)
@torch.no_grad()
def test_any_image_shape_and_depth_goes_through_any_net(channels, height, width, name, depth):
    image = (channels, height, width)
    assert_maps(nets.build(name, image, (2, 3), width=8, depth=depth), image, (2, 3))
    assert_maps(nets.build(name, (3,), image, width=8, depth=depth), (3,), image)


@given(st.integers(1, 20), st.integers(1, 20), st.sampled_from(["mlp", "residual"]), st.integers(0, 2))
@few(max_examples=20)
@torch.no_grad()
def test_any_vector_goes_through_the_dense_nets(size, out, name, depth):
    assert_maps(nets.build(name, (size,), (2, out), width=16, depth=depth), (size,), (2, out))


def test_an_mlp_without_hidden_layers_is_one_affine_map():
    net, x = nets.build("mlp", (5,), (2, 3), depth=0), torch.randn(4, 5)
    (affine,) = net.layers
    assert_close(net(x), (x @ affine.weight.T + affine.bias).view(4, 2, 3))


@pytest.mark.parametrize(
    ("given_shape", "sentence"),
    [
        ((20,), r"needs images, \(channels, height, width\); got vectors .* use `mlp` or `residual`"),
        ((1, 7, 28), r"takes heights and widths from 8 to 256, got \(7, 28\)"),
        ((3, 28, 257), r"takes heights and widths from 8 to 256, got \(28, 257\)"),
    ],
)
@pytest.mark.parametrize("name", ["conv", "strided"])
def test_convolutions_refuse_vectors_and_sizes_outside_8_to_256_with_one_line(name, given_shape, sentence):
    for shapes in ((given_shape, (2, 3)), ((3,), given_shape)):
        with pytest.raises(Mistake, match=f"`{name}` {sentence}") as refusal:
            nets.build(name, *shapes)
        assert "\n" not in str(refusal.value)


def test_auto_takes_dense_blocks_for_vectors_and_small_images_and_convolutions_above():
    chosen = {shape: nets.suited(shape) for shape in [(5000,), (1, 28, 28), (1, 32, 32), (3, 32, 32), (1, 64, 48)]}
    assert list(chosen.values()) == ["residual", "residual", "residual", "strided", "strided"]
