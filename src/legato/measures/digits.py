"""A small frozen classifier of MNIST digits: reference features of generated digits.

Covered: 64 features per picture (the last hidden layer) and the probabilities of the ten classes, from weights that are shipped
beside this file with their BLAKE2b hash and their accuracy on the test digits; a file that does not match its hash is refused.
`records/classifier.py` trained it. Not covered: any other data. An Inception net never saw a digit; this one saw nothing else.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from torch import Tensor, nn

from legato.errors import Mistake
from legato.files import read_json
from legato.measures.features import Features, grey
from legato.types import Floats

SHAPE = (1, 28, 28)
WIDTH = 64
HERE = Path(__file__).parent
WEIGHTS, ABOUT = HERE / "mnist_classifier.safetensors", HERE / "mnist_classifier.json"


class DigitNet(nn.Module):
    """(B, 1, 28, 28) in [0, 1] -> ten logits (B, 10). Four convolutions; no normalisation: it is folded into the weights.

    3.8 million multiplications a picture: the first convolution's stride, which costs no accuracy, saves three quarters.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            # 14 × 14 pixels, then 7, 7 and 5: the stride comes first, where it saves three quarters of the work
            nn.Conv2d(1, 32, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
            nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Flatten(),
            nn.Linear(64 * 5 * 5, WIDTH), nn.ReLU(),
        )  # fmt: skip
        self.classes = nn.Linear(WIDTH, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.classes(self.features(x))
        return logits


class DigitFeatures(Features):
    """The 64 features of the shipped classifier for digits (n, 1, 28, 28) in [0, 1]; its test accuracy is in `about`.

    They see what makes a digit that digit, and little of its stroke's texture. Raises `Mistake` where the weights are not those
    that were tested.
    """

    shape = SHAPE

    def __init__(self, weights: Path = WEIGHTS, about: Path = ABOUT) -> None:
        self.about = read_json(about)
        # Checked against its hash: figures by other weights would not compare, and would look as if they did.
        self._net, self.hash = _shipped(weights, self.about["blake2b"])
        self.name = f"{WIDTH} features of a classifier of digits (test accuracy {100 * self.about['test_accuracy']:.2f} %)"

    def probabilities(self, images: NDArray[Any]) -> Floats:
        """p(class | image), (n, 10): how sure the classifier is, not how real the image is."""
        features = torch.from_numpy(self.of(images))
        with torch.no_grad():
            return np.asarray(self._net.classes(features).softmax(1).numpy())

    @torch.no_grad()
    def _block(self, images: Floats) -> Floats:
        # A third faster for these convolutions on a CPU (records/classifier.py); the values do not change.
        pictures = torch.from_numpy(grey(images)).contiguous(memory_format=torch.channels_last)
        return np.asarray(self._net.features(pictures).numpy(), np.float32)


@cache
def _shipped(weights: Path, expected: str) -> tuple[DigitNet, str]:
    """The net and the hash of its file. Half precision on disk is half the size, and classifies the same."""
    content = weights.read_bytes()
    found = hashlib.blake2b(content, digest_size=16).hexdigest()
    if found != expected:
        raise Mistake(f"`{weights}` is not the classifier that was tested (BLAKE2b {found}, not {expected}): install again")
    with torch.device("meta"):  # no weights are drawn, so that torch's generator stays as it was for whoever measures
        net = DigitNet()
    net.load_state_dict({name: weight.float() for name, weight in load(content).items()}, assign=True)
    # nothing here is ever trained: gradients of a measure by these weights would only take memory
    return net.eval().requires_grad_(False), found
