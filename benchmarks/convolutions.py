"""The convolutional contestants: colour pictures of two sizes, and the machine's limit for their net.

The net is the one that `legato train vae` takes for such pictures, with its default width, depth and batch. Its limit counts
the convolutions and affine maps alone, on the very shapes that they meet: for training the forward product, that by the input
(but for the pictures') and that by the weights, no biases; for sampling the decoder's forward products. All are channels-last.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from peers import Turn
from torch import Tensor, nn

from legato.data import open_source
from legato.data.batches import TrainingBatches
from legato.data.preparation import prepare
from legato.data.prepared import Prepared
from legato.defaults import NETS
from legato.definition import define
from legato.devices import choose
from legato.training.compiled import CompiledStep
from legato.training.learner import Learner
from legato.training.options import TrainingOptions, plan
from legato.training.replayed import replayed

BATCH = NETS["strided"].batch_size
PICTURES, DRAWN = 512, 128  # in the source, and in a turn of sampling
Operation = Callable[[], object]


def pictures(side: int) -> NDArray[np.uint8]:
    """Colour pictures of blocks of 8 × 8 under noise, (n, 3, side, side)."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (PICTURES, 3, side // 8, side // 8)).repeat(8, 2).repeat(8, 3)
    return (0.7 * blocks + 0.3 * rng.integers(0, 256, (PICTURES, 3, side, side))).astype(np.uint8)


def learner(side: int, precision: str) -> tuple[Learner, TrainingBatches]:
    """The shipped learner of the default net, on the shipped batches."""
    data = open_source(pictures(side))
    prepared = Prepared(data, prepare(data.kind, data.likelihood, data.rows, data.splits["train"].all()))
    options = plan(TrainingOptions(batch_size=BATCH, precision=precision), 100_000, BATCH)
    made = Learner(define("vae", prepared.spec).build(prepared.spec), options, choose("cpu"))
    return made, TrainingBatches(data.rows, data.splits["train"].all(), prepared.preparation, BATCH, 0)


def training(side: int, precision: str, replays: bool = True) -> Turn:
    """A step of training, replayed as in trainings of half a minute and more, or plain."""
    made, batches = learner(side, precision)
    lowered = replayed(made, batches.at(0)) if replays else None
    make = made.step if lowered is None else CompiledStep(made, lowered)
    step = 0

    def turn() -> None:
        nonlocal step
        make(batches.at(step), step)
        step += 1

    return turn


def sampling(side: int) -> Turn:
    """Pictures decoded from the prior, in single precision as `legato sample` decodes them."""
    made, _ = learner(side, "float32")
    made.average.likelihood.to(memory_format=torch.channels_last)  # as `legato.load` does
    return torch.no_grad()(lambda: made.average.sample(DRAWN))


def training_floor(side: int, precision: str) -> Turn:
    """The products of a step."""
    made, batches = learner(side, "float32")
    met = _met(made.model, lambda: made.model(batches.at(0).x))
    return _all([each for layer, x in met for each in _products(layer, x, getattr(torch, precision), whole=True)])


def sampling_floor(side: int, precision: str) -> Turn:
    """The decoder's forward products."""
    made, _ = learner(side, "float32")
    met = _met(made.average.likelihood, lambda: made.average.sample(DRAWN))
    return _all([each for layer, x in met for each in _products(layer, x, getattr(torch, precision), whole=False)])


def _all(operations: list[Operation]) -> Turn:
    @torch.no_grad()
    def turn() -> None:
        for each in operations:
            each()

    return turn


@torch.no_grad()
def _met(model: nn.Module, run: Operation) -> list[tuple[nn.Module, Tensor]]:
    """The layers that multiply, each with what it is given in a pass."""
    met: list[tuple[nn.Module, Tensor]] = []
    layers = [part for part in model.modules() if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear))]
    hooks = [part.register_forward_hook(lambda part, given, _: met.append((part, given[0].clone()))) for part in layers]
    run()
    for hook in hooks:
        hook.remove()
    return met


def _products(layer: nn.Module, x: Tensor, dtype: torch.dtype, whole: bool) -> list[Operation]:
    """The products of one layer in `dtype`: forward, and where `whole` those of the gradients."""
    by_input = x.ndim < 4 or x.shape[1] > 3  # nobody asks for a gradient by the pictures
    w = layer.weight.detach().to(dtype)
    x = x.to(dtype)
    if isinstance(layer, nn.Linear):
        g = torch.randn(len(x), len(w)).to(dtype)
        backward: list[Operation] = [lambda: g.T @ x, lambda: g @ w]
        return [lambda: x @ w.T, *(backward if whole else ())]
    assert isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))
    x, w = (each.contiguous(memory_format=torch.channels_last) for each in (x, w))
    how = (layer.stride, layer.padding, layer.dilation, layer.transposed, layer.output_padding, layer.groups)
    g = torch.randn_like(torch.ops.aten.convolution(x, w, None, *how))
    both = [lambda: torch.ops.aten.convolution_backward(g, x, w, None, *how, (by_input, True, False))]
    return [lambda: torch.ops.aten.convolution(x, w, None, *how), *(both if whole else ())]
