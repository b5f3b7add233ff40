"""Trains the small classifier of digits whose features measure generated ones, and writes it beside the measures.

    python records/classifier.py [--epochs 14] [--seed 0] [--threads 2] [--out src/legato/measures]

On 55,000 training digits, each shifted, turned, sheared and scaled a little at every sight; whatever was chosen was chosen by
the other 5,000. The test digits are looked at once, by the weights as they are shipped: folded, in half precision.
No smoothed labels and no mixed pictures: both would teach it to be unsure, and its confidence is one of the measures.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval

from legato.data.sources import open_source
from legato.files import write_json
from legato.measures.digits import ABOUT, WEIGHTS, DigitNet
from legato.tensors import write_tensors

BATCH = 125  # divides 55,000
PEAK, DECAY, DROPOUT = 3e-3, 1e-3, 0.3
TURN, SHEAR, ZOOM, SHIFT = 0.2, 0.15, 0.1, 2 / 14  # radians, share, share, 2 pixels (a picture is 2 wide in these units)


def main() -> None:
    """Trains, folds, halves, tests and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=WEIGHTS.parent)
    chosen = parser.parse_args()
    torch.manual_seed(chosen.seed)
    torch.set_num_threads(chosen.threads)
    digits = {split: split_of(split) for split in ("train", "validation", "test")}
    net = trained(*digits["train"], digits["validation"], chosen.epochs)
    write(net, digits, chosen)


def split_of(split: str) -> tuple[Tensor, Tensor]:
    """Digits (n, 1, 28, 28) in [0, 1] and their labels (n,)."""
    data = open_source("mnist")
    numbers = data.splits[split].all()
    labels = np.asarray(data.labels)[numbers] if data.labels is not None else np.zeros(0)
    return torch.from_numpy(data.rows[numbers] / np.float32(255)), torch.from_numpy(labels.astype(np.int64))


def trained(x: Tensor, y: Tensor, held_out: tuple[Tensor, Tensor], epochs: int) -> DigitNet:
    """One rise and one fall of the learning rate, to 0: the last weights are the ones to keep, and nothing is picked."""
    net = normalised(DigitNet()).to(memory_format=torch.channels_last)  # a third faster
    optimiser = torch.optim.AdamW(net.parameters(), PEAK, weight_decay=DECAY)
    steps = epochs * (len(x) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK, total_steps=steps, pct_start=0.2)
    for epoch in range(epochs):
        net.train()
        start = time.monotonic()
        for rows in batches(len(x)):
            optimiser.zero_grad(set_to_none=True)
            cross_entropy(net(distorted(x[rows])), y[rows]).backward()
            optimiser.step()
            schedule.step()
        print(f"epoch {epoch + 1}: held-out {accuracy(net, *held_out):.4f}, {time.monotonic() - start:.0f} s", flush=True)
    return folded(net)


def normalised(net: DigitNet) -> DigitNet:
    """With batch normalisation before every ReLU and dropout before the last layer: both are for training alone."""
    layers: list[nn.Module] = []
    for layer in net.features:
        layers.append(layer)
        if isinstance(layer, nn.Conv2d):
            layers.append(nn.BatchNorm2d(layer.out_channels))
        if isinstance(layer, nn.Linear):
            layers.append(nn.BatchNorm1d(layer.out_features))
    net.features = nn.Sequential(*layers, nn.Dropout(DROPOUT))
    return net


def folded(net: DigitNet) -> DigitNet:
    """The same function as a plain `DigitNet`: w ← w γ/σ, b ← (b − μ) γ/σ + β."""
    layers: list[nn.Module] = []
    for layer in net.eval().features:
        if isinstance(layer, nn.BatchNorm2d | nn.BatchNorm1d):
            fuse = fuse_conv_bn_eval if isinstance(layer, nn.BatchNorm2d) else fuse_linear_bn_eval
            layers[-1] = fuse(layers[-1], layer)
        elif not isinstance(layer, nn.Dropout):
            layers.append(layer)
    plain = DigitNet().eval()
    plain.features, plain.classes = nn.Sequential(*layers), net.classes
    return plain


def batches(n: int) -> Iterator[Tensor]:
    """Every row once, in random order."""
    yield from torch.randperm(n).split(BATCH)


def distorted(x: Tensor) -> Tensor:
    """Each picture (B, 1, 28, 28) under its own small affine map."""
    turn, shear, wide, high, right, down = (torch.rand(6, len(x)) * 2 - 1) * torch.tensor(
        [[TURN], [SHEAR], [ZOOM], [ZOOM], [SHIFT], [SHIFT]]
    )
    cos, sin = turn.cos(), turn.sin()
    rows = [torch.stack([cos * (1 + wide), shear - sin, right], 1), torch.stack([sin, cos * (1 + high), down], 1)]
    return grid_sample(x, affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False), align_corners=False)


@torch.no_grad()
def accuracy(net: DigitNet, x: Tensor, y: Tensor) -> float:
    """The share of digits that are named right."""
    net.eval()
    return float((torch.cat([net(part).argmax(1) for part in x.split(1000)]) == y).double().mean())


def write(net: DigitNet, digits: dict[str, tuple[Tensor, Tensor]], chosen: argparse.Namespace) -> None:
    """Weights in half precision, and beside them what they are."""
    net = net.half().float()  # as they will be read
    content = write_tensors(chosen.out / WEIGHTS.name, {name: weight.half() for name, weight in net.state_dict().items()})
    n, right = len(digits["test"][1]), accuracy(net, *digits["test"])
    half = 1.96 * math.sqrt(right * (1 - right) / n)
    about: dict[str, Any] = {
        "blake2b": hashlib.blake2b(content, digest_size=16).hexdigest(),
        "test_accuracy": right,
        "test_interval": [right - half, right + half],
        "test_n": n,
        "validation_accuracy": accuracy(net, *digits["validation"]),
        "data": "MNIST: 55,000 training digits, 5,000 held out for every choice",
        "made_by": f"records/classifier.py --epochs {chosen.epochs} --seed {chosen.seed}",
    }
    write_json(chosen.out / ABOUT.name, about)
    print(about)


if __name__ == "__main__":
    main()
