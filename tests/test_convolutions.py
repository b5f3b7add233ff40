"""The convolutions' own training step beside torch's: values, gradients, precision, and what is left to torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from legato import nets
from legato.forward_mode import jvp
from legato.nets.layers import Conv2d, ConvTranspose2d

LAYERS = [
    (Conv2d, nn.Conv2d, (5, 8, 4, 2, 1)),
    (Conv2d, nn.Conv2d, (5, 7, 3, 1, 1)),
    (ConvTranspose2d, nn.ConvTranspose2d, (5, 6, 4, 2, 1)),
]
Layer = nn.Conv2d | nn.ConvTranspose2d


def pair(ours: type[Layer], torchs: type[Layer], sizes: tuple[int, ...], dtype: torch.dtype) -> tuple[Layer, Layer]:
    """Both with the same weights."""
    torch.manual_seed(0)
    one, other = ours(*sizes).to(dtype), torchs(*sizes).to(dtype)
    other.load_state_dict(one.state_dict())  # strictly: the names are torch's
    return one, other


def derived(layer: Layer, x: Tensor, by_x: bool = True) -> list[Tensor]:
    """Value, and the gradients of a weighted sum of it."""
    x = x.clone().requires_grad_(by_x)
    found = layer(x)
    weights = torch.linspace(-1, 1, found.numel(), dtype=torch.double).view_as(found).to(found.dtype).cos()
    known = [*([x] if by_x else []), layer.weight, layer.bias]
    return [found.detach(), *torch.autograd.grad((found * weights).sum(), known)]


@pytest.mark.parametrize(("ours", "torchs", "sizes"), LAYERS)
@pytest.mark.parametrize("by_x", [True, False])
def test_value_and_gradients_are_torchs(ours: type[Layer], torchs: type[Layer], sizes: tuple[int, ...], by_x: bool) -> None:
    one, other = pair(ours, torchs, sizes, torch.double)
    x = torch.randn(3, 5, 7, 6, dtype=torch.double)
    torch.testing.assert_close(derived(one, x, by_x), derived(other, x, by_x), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("ours", "torchs", "sizes"), LAYERS)
def test_in_mixed_precision_gradients_are_the_exact_ones_to_eight_bits(
    ours: type[Layer], torchs: type[Layer], sizes: tuple[int, ...]
) -> None:
    one, exact = pair(ours, torchs, sizes, torch.float32)
    x = torch.randn(16, 5, 12, 12)
    with torch.autocast("cpu", torch.bfloat16):
        found = derived(one, x)
    for low, high in zip(found, derived(exact, x), strict=True):
        assert (low.float() - high).norm() < 2**-7 * high.norm()
    assert found[0].dtype == torch.bfloat16
    assert {each.dtype for each in found[1:]} == {torch.float32}  # of the weights, as the optimiser wants them


@pytest.mark.parametrize(("ours", "torchs", "sizes"), LAYERS)
def test_out_of_training_they_are_torchs_to_the_last_bit(
    ours: type[Layer], torchs: type[Layer], sizes: tuple[int, ...]
) -> None:
    one, other = (layer.eval() for layer in pair(ours, torchs, sizes, torch.float32))
    x = torch.randn(3, 5, 8, 8)
    assert all(torch.equal(a, b) for a, b in zip(derived(one, x), derived(other, x), strict=True))
    along = torch.ones_like(x)
    assert torch.equal(jvp(one, x, along), jvp(other, x, along))


@pytest.mark.parametrize(("ours", "torchs", "sizes"), LAYERS)
def test_a_second_derivative_is_torchs_too(ours: type[Layer], torchs: type[Layer], sizes: tuple[int, ...]) -> None:
    both = pair(ours, torchs, sizes, torch.double)
    x = torch.randn(2, 5, 6, 6, dtype=torch.double, requires_grad=True)

    def second(of: Layer) -> tuple[Tensor, ...]:
        (first,) = torch.autograd.grad(of(x).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), [x, of.weight, of.bias])

    torch.testing.assert_close(*map(second, both), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("side", [16, 18, 25])
def test_a_doubled_image_is_cut_to_its_size_and_loses_no_gradient(side: int) -> None:
    net = nets.build("strided", (4,), (3, side, side), width=4).double()
    z = torch.randn(2, 4, dtype=torch.double, requires_grad=True)
    assert net(z).shape == (2, 3, side, side)
    by_training = torch.autograd.grad(net(z).square().sum(), [z, *net.parameters()])
    by_torch = torch.autograd.grad(net.eval()(z).square().sum(), [z, *net.parameters()])
    torch.testing.assert_close(by_training, by_torch, rtol=1e-9, atol=1e-9)
