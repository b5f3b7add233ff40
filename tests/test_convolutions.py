"""The layers' own step beside torch's: values, gradients, precision, and what is left to torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from legato import nets
from legato.forward_mode import jvp
from legato.nets.layers import Conv2d, ConvTranspose2d, GroupNorm

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


@pytest.mark.parametrize("mean", [0.0, 1.0, 30.0, 1000.0])
@pytest.mark.parametrize("side", [5, 31, 32])  # torch has two kernels, of less and of more than a thousand places
@pytest.mark.parametrize("training", [False, True])
def test_group_normalisation_is_right_wherever_the_numbers_lie(mean: float, side: int, training: bool) -> None:
    torch.manual_seed(0)
    norm = GroupNorm(4, 8).train(training)
    torch.nn.init.normal_(norm.weight)
    x = (mean + torch.randn(3, 8, side, side)).contiguous(memory_format=torch.channels_last)
    exact = nn.functional.group_norm(x.double().contiguous(), 4, norm.weight.double(), norm.bias.double())
    torch.testing.assert_close(norm(x).double(), exact, rtol=0, atol=3e-5)
    found, expected = derived(norm, x), derived(GroupNorm(4, 8).double().requires_grad_(), x.double().contiguous())
    assert [part.shape for part in found] == [part.shape for part in expected]


@pytest.mark.parametrize("mean", [0.0, 30.0])
def test_a_group_s_gradients_are_torch_s_whatever_is_taken_off_its_numbers(mean: float) -> None:
    one, other = pair(GroupNorm, nn.GroupNorm, (2, 6), torch.double)
    x = mean + torch.randn(3, 6, 4, 5, dtype=torch.double)
    last = x.contiguous(memory_format=torch.channels_last)
    for training in (True, False):
        found, expected = derived(one.train(training), last), derived(other, x)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_a_net_decodes_an_image_the_same_in_either_layout() -> None:
    torch.manual_seed(0)
    net = nets.build("diffusers", (4, 8, 8), (3, 32, 32), width=8, depth=1).eval()
    z = 3 * torch.randn(4, 4, 8, 8)
    plain = net(z)
    last = net.to(memory_format=torch.channels_last)(z.contiguous(memory_format=torch.channels_last))
    assert (plain - last).abs().max() < 3e-6 * plain.abs().max()
