"""A model: latent × likelihood. It makes traces; it never says what they cost (that is an objective's).

Covered: the pass, its sum over classes that are not known, samples, reconstructions, and log p(x) by importance weighting with
bounded memory. Not covered: training, data, pictures.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from legato.alarm import Alarm
from legato.arguments import checked
from legato.classifier import Classifier
from legato.conditional import Conditional
from legato.devices import together
from legato.errors import Mistake
from legato.families import Family
from legato.label import readers, steered
from legato.latents import Latent
from legato.moments import LARGEST
from legato.nets.bounded import Bounded
from legato.priors import Prior
from legato.ranks import drawn, sized
from legato.trace import NOTHING, EachClass, Given, Parts, Summary, Trace

CHUNK = 2048  # decoded examples at a time in an estimate on the CPU: few enough that small images stay near the cache


class LatentVariableModel(nn.Module):
    """p(x, z) = p(z) p(x|z), with q(z|x) to infer z. Shapes: x (B, *data), code (S, B, *event).

    With a `classifier` p(x, y, z) = p(y) p(z) p(x|y, z), with q(y|x) q(z|x, y): an example whose class is not known is passed
    as of each, and its nats are sums over them.
    """

    @checked
    def __init__(self, latent: Latent, likelihood: Conditional, classifier: Classifier | None = None) -> None:
        super().__init__()
        if latent.event != likelihood.given:
            raise Mistake(
                f"the latent's codes have shape {latent.event}, the likelihood reads {likelihood.given}: give both the same"
            )
        self.latent, self.likelihood, self.classifier = latent, likelihood, classifier

    @property
    def classes(self) -> int:
        """The number of classes that the model knows; 0 where no part of it reads a label."""
        return max((part.classes for part in readers(self)), default=0)

    @property
    def needs_label(self) -> bool:
        """True where every example must come with a label: the model reads one, holds no class for all, and infers none."""
        return self.needs_class and not self.infers_class

    @property
    def needs_class(self) -> bool:
        """True where every code must come with a class to be decoded: the model reads one, and holds none for all."""
        return any(part.held is None for part in readers(self))

    @property
    def infers_class(self) -> bool:
        """True where it tells the class of an example from x, and holds none for all."""
        return self.classifier is not None and self.classifier.held is None

    @property
    def pairs(self) -> int:
        """By how many factors the two of a pair may differ, where training rows are to come in pairs; 0: they are single."""
        return max((part.pairs for part in self.modules() if isinstance(part, Family)), default=0)

    def of_class(self, number: int) -> LatentVariableModel:
        """The model of one class, p(x, z|y), with the same weights: examples without a label of their own count as of it.

        Raises `Mistake` where it reads no label, or has no such class.
        """
        one = self._again()
        parts = steered(one)
        if not parts:
            raise Mistake("this model is of all classes in one: it reads no label (`conditional_vae` does)")
        if not 0 <= number < (classes := max(part.classes for part in parts)):
            raise Mistake(f"there is no class {number}: they are 0 … {classes - 1}")
        for part in parts:
            part.hold(number)
        return one

    def under(self, prior: Prior) -> LatentVariableModel:
        """The model with the same weights and another p(z), one that was fitted to its codes.

        Raises `Mistake` where there is more than one group of latents.
        """
        one = self._again()
        one.latent.take(prior)
        return one

    def _again(self) -> LatentVariableModel:
        """The modules once more, their weights shared."""
        tensors = [*self.parameters(), *self.buffers()]
        return copy.deepcopy(self, {id(each): each for each in tensors})

    def forward(self, x: Tensor, draws: int = 1, given: Given = NOTHING) -> Trace:
        """One pass with `draws` draws of each example's code."""
        return self.trace(x, self.encode(x, given), draws, given)

    def encode(self, x: Tensor, given: Given = NOTHING) -> Any:
        """What `trace` needs and no draw changes: of `latent.encode`; with log q(y|x) where the class is inferred."""
        if not self.infers_class:
            return self.latent.encode(x, given)
        assert self.classifier is not None
        return self.classifier(x), self.latent.encode(self._repeated(x), self._of_each(len(x), given))

    def trace(self, x: Tensor, encoded: Any, draws: int, given: Given = NOTHING) -> Trace:
        """A pass from what `encode(x)` gave: further draws without a further run of the encoder."""
        if not self.infers_class:
            return self._pass(x, encoded, draws, self._known(given))
        assert self.classifier is not None
        log_q, of_each = encoded
        known, label = self._known(given), torch.full((len(x),), -1, device=x.device) if given.label is None else given.label
        each = self._pass(self._repeated(x), of_each, draws, self._known(self._of_each(len(x), given)))
        classes = EachClass(each, log_q, self.classifier.log_p, label.expand(len(x)))
        self.likelihood.family.weigh(each.likelihood, classes.share.detach().flatten() * self.classes)
        # One class of each draw stands for the example where a code is looked at: by q(y|x), so that z ~ Σ_y q(y|x) q(z|x, y).
        chosen = _drawn(classes.share.detach(), draws)
        code = each.code.reshape(draws, *classes.share.shape, *self.latent.event)
        code = code.take_along_dim(chosen.reshape(*chosen.shape, 1, *[1] * len(self.latent.event)), 2).squeeze(2)
        parts = Parts(lambda: self.latent.prior(known), lambda code: self.likelihood(code, known), self.likelihood)
        return Trace(
            x,
            lambda: self.likelihood(code, replace(known, label=chosen)),  # which a step has no need of
            code,
            (),
            lambda: self.summary(x, given),
            known,
            parts,
            classes,
        )

    def _pass(self, x: Tensor, encoded: Any, draws: int, known: Given) -> Trace:
        code, rungs = self.latent.draw(encoded, draws, known)
        parts = Parts(lambda: self.latent.prior(known), lambda code: self.likelihood(code, known), self.likelihood)
        # The summary is a function: a step that shows nothing does not pay for it.
        return Trace(x, self.likelihood(code, known), code, rungs, lambda: self.latent.summary(encoded, known), known, parts)

    def _repeated(self, values: Tensor) -> Tensor:
        """Each row as often as there are classes, in a row, so that ranks' parts of a batch stay parts of it."""
        return values.repeat_interleave(self.classes, 0)

    def _of_each(self, count: int, given: Given) -> Given:
        """What is known of `_repeated` rows: the classes in turn as labels."""
        assert self.classifier is not None
        label = torch.arange(self.classes, device=self.classifier.log_p.device).repeat(count)
        mask, rows = (None if one is None else self._repeated(one) for one in (given.mask, given.rows))
        return replace(given, label=label, mask=mask, rows=rows)

    def settled(self, x: Tensor, given: Given = NOTHING) -> Given:
        """What is given, with the likeliest class by q(y|x) of those whose class is inferred."""
        if not self.infers_class:
            return given
        assert self.classifier is not None
        likeliest = self.classifier(x).argmax(1)
        return replace(given, label=likeliest if given.label is None else torch.where(given.label < 0, likeliest, given.label))

    def learnt(self) -> list[Tensor]:
        """All that training moves: the weights, and buffers that are learnt without a gradient, as a codebook is."""
        parts = [part for part in self.modules() if isinstance(part, Family | Bounded)]
        return [*self.parameters(), *(part.get_buffer(name) for part in parts for name in part.learnt)]

    def alarms(self) -> list[Alarm]:
        """What has gone wrong with what its parts learnt, as they are now."""
        return [one for part in self.modules() if isinstance(part, Family) for one in part.alarms()]

    def decode(self, code: Tensor, given: Given = NOTHING) -> Tensor:
        """The mean of p(x|z), (*lead, *data), in units of the prepared data."""
        likelihood: Distribution = self.likelihood(code, given)
        return likelihood.mean

    def sample(self, n: int, given: Given = NOTHING) -> Tensor:
        """Decoded means of n codes from the prior, (n, *data); where classes are inferred, each of one y ~ p(y)."""
        if self.infers_class and given.label is None:
            assert self.classifier is not None
            given = replace(given, label=torch.multinomial(self.classifier.log_p.exp(), n, replacement=True))
        return self.decode(self.latent.sample(n, self._known(given)), given)

    def reconstruct(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        """The decoded middle of each posterior, (B, *data): no draw, the same at every call."""
        given = self.settled(x, given)
        return self.decode(self.summary(x, given).mu, given)

    def summary(self, x: Tensor, given: Given = NOTHING) -> Summary:
        """The figures that are shown of the codes of x, (B, *event): of an inferred class, the likeliest."""
        given = self.settled(x, given)
        return self.latent.summary(self.latent.encode(x, given), self._known(given))

    def _known(self, given: Given) -> Given:
        """The same with x ↦ q(z|x)."""
        return self.latent.known(given)

    def together(self, on_cpu: int) -> int:
        """The number of examples that the model's device decodes at once: `on_cpu`, more on CUDA (devices.py)."""
        return together(next(self.parameters()).device, math.prod(self.likelihood.event), on_cpu)

    def chunks(self, x: Tensor, k: int, chunk: int | None = None, given: Given = NOTHING) -> Iterator[Trace]:
        """Traces whose draws add up to exactly k per example; the encoder runs once.

        Memory holds `chunk` decoded examples (by default as many as suit the device), fewer where codes are larger than 4,096
        numbers, or one draw of each of x where that is more.
        """
        if k < 1:
            raise Mistake(f"`k` is a number of draws, 1 or more; got {k}")
        encoded = self.encode(x, given)
        chunk = self.together(CHUNK) if chunk is None else chunk
        fitting = chunk * LARGEST // max(math.prod(self.latent.event), LARGEST)
        fitting //= self.classes if self.infers_class else 1
        most = max(fitting // max(sized(len(x)), 1), 1)  # by the whole batch: what a draw is does not depend on who shares it
        for done in range(0, k, most):
            yield self.trace(x, encoded, min(most, k - done), given)

    @torch.no_grad()
    def log_likelihood(self, x: Tensor, k: int, chunk: int | None = None, given: Given = NOTHING) -> Tensor:
        """log (1/k) Σᵢ p(x, zᵢ)/q(zᵢ|x), zᵢ ~ q(z|x): a stochastic lower bound on log p(x), (B,), nats per example.

        Of a model that reads labels, on log p(x|y); of one that infers the class, on log p(x), the sum over classes.

        It rises with k towards log p(x). Burda et al. 2016, https://arxiv.org/abs/1509.00519, eq. 8.
        Raises `Mistake` where the posterior is a point mass: an autoencoder has no likelihood of x.
        """
        training = self.training
        self.eval()  # a scale that is solved from the batch in training is frozen here, else this were no likelihood
        try:
            log_w = torch.cat([trace.log_w for trace in self.chunks(x, k, chunk, given)])
        finally:
            self.train(training)
        return torch.logsumexp(log_w, 0) - math.log(k)


def _drawn(share: Tensor, draws: int) -> Tensor:
    """A class of each draw of each example by its share, (B, K) -> (S, B), of torch's generator."""
    chance = drawn(lambda shape: torch.rand(shape, device=share.device), (draws, len(share)), 1)
    passed = share.cumsum(1) <= chance[..., None].to(share.dtype)
    return passed.sum(-1).clamp(max=share.shape[1] - 1)  # a sum that rounding leaves below 1
