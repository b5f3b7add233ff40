"""A prior that the encoder makes: the mean of its posteriors of examples that are learnt.

Covered: p(z) = (1/K) Σ_k q(z|u_k), u_k learnt with the model. Not covered: two rungs of it (recipes/priors.py).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, MixtureSameFamily

from legato.arguments import checked
from legato.errors import Mistake
from legato.priors import Prior
from legato.setting import Kind
from legato.trace import Given
from legato.types import Shape


class Vamp(Prior):
    """p(z) = (1/K) Σ_k q(z|u_k): a mixture of the posteriors of K pseudo-inputs u, which are learnt as weights are.

    The best prior for a bound is the mean of all examples' posteriors; K learnt ones stand for it. u lies where data lie: of
    `binary` and `bytes` it is σ(w), of `reals` w, of `counts` e^w. Draws take a component at random, each as likely. Tomczak &
    Welling 2018, https://arxiv.org/abs/1705.07120, eq. 11. Raises `Mistake` for no pseudo-inputs.
    """

    has_moments = False
    mixes_posteriors = True

    @checked
    def __init__(self, event: Shape, data: Shape, kind: Kind, components: int) -> None:
        super().__init__()
        if components < 1:
            raise Mistake(f"`components` is a number of pseudo-inputs, 1 or more; got {components}")
        self.event, self._kind = event, kind
        # apart from each other: equal ones would stay equal
        self.inputs = nn.Parameter(torch.randn(components, *data))

    @property
    def examples(self) -> Tensor:
        """u, (K, *data), in units of the prepared data."""
        if self._kind == "counts":
            return self.inputs.exp()
        return self.inputs if self._kind == "reals" else self.inputs.sigmoid()

    def forward(self, given: Given) -> Distribution:
        """The same for everything given but `infer`, x ↦ q(z|x)."""
        assert given.infer is not None  # a model gives it
        parts = given.infer(self.examples)
        assert parts is not None  # a recipe whose posterior is none is refused when it is built
        even = torch.zeros(len(self.inputs), device=self.inputs.device)
        return MixtureSameFamily(Categorical(logits=even, validate_args=False), parts, validate_args=False)
