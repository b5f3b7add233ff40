"""A classifier within a model: q(y|x), and p(y), for examples whose class is not known.

Covered: the class's distribution given x and before x is seen, draws of it. Not covered: sums over the classes (trace.py).
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from legato.arguments import checked
from legato.conditional import Net
from legato.label import ReadsLabel
from legato.types import Integers, Shape


class Classifier(ReadsLabel):
    """q(y|x) = softmax(net(x)), x (B, *given) -> log q (B, K), nats; p(y) = 1/K.

    p(y) is uniform and not the labelled examples' frequencies: which examples are labelled is chosen by people, often as many
    of each class, and says little of how many there are of it. Kingma, Rezende, Mohamed & Welling 2014,
    https://arxiv.org/abs/1406.5298, model M2.
    """

    log_p: Tensor

    @checked
    def __init__(self, net: Net, given: Shape, classes: int) -> None:
        super().__init__(classes)
        self.net = net(given, (classes,))
        self.register_buffer("log_p", torch.full((classes,), -math.log(classes)), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """log q(y|x), (B, K)."""
        # Under mixed precision a net gives 8 bits of mantissa, too few for logarithms of small probabilities.
        return torch.log_softmax(self.net(x).to(x.dtype), 1)

    def draw(self, n: int, rng: np.random.Generator) -> Integers:
        """n classes y ~ p(y), (n,)."""
        return rng.integers(self.classes, size=n)
