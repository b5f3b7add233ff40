"""Groups of latents below each other, z_L → … → z_1: the upper ones say where the lower ones lie.

Covered: top-down posteriors, a rate for each rung, draws of the whole code. Not covered: how wide each rung should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from legato.arguments import checked
from legato.conditional import Conditional
from legato.devices import drawing
from legato.distributions.divergence import kl_per_dimension
from legato.distributions.joint import Joint
from legato.distributions.reparameterised import reparameterised
from legato.errors import Mistake
from legato.latents.latent import Levelled
from legato.priors import Prior, drawn
from legato.shown import Line
from legato.trace import NOTHING, Given, Rung, Summary


class Ladder(Levelled):
    """p(z) = p(z_L) Π p(z_l|z_{>l}), q(z|x) = q(z_L|h) Π q(z_l|z_{>l}, h), h = `features`(x); the code is (z_L, …, z_1).

    `top`: p(z_L). `below`: for each lower rung p(z_l|z_{>l}), which reads all codes above it in a row. `posteriors`: for each
    rung, top first, q(z_l|z_{>l}, h), which reads these codes and then h in a row. All codes are vectors.

    One rung is `Flat`, bit for bit. Sønderby et al. 2016, https://arxiv.org/abs/1602.02282; Vahdat & Kautz 2020,
    https://arxiv.org/abs/2007.03898. Raises `Mistake` where shapes do not meet.
    """

    has_density = True
    has_width = True
    has_choice = False
    has_moments = True
    has_product = False  # what is below depends on what was drawn above

    @checked
    def __init__(
        self, features: nn.Module, posteriors: Sequence[Conditional], top: Prior, below: Sequence[Conditional]
    ) -> None:
        super().__init__()
        self.features = features
        self.posteriors, self.below, self.top = nn.ModuleList(posteriors), nn.ModuleList(below), top
        self.widths = [posterior.event[0] for posterior in posteriors]
        self.event = (sum(self.widths),)
        self.levels = tuple(f"z{len(self.widths) - i} ({width})" for i, width in enumerate(self.widths)) if below else ()
        self.standard_prior = top.standard and not below  # with rungs below, the whole code is not N(0, I)
        self._refuse_misfits()

    def _refuse_misfits(self) -> None:
        above = 0
        for rung, (q, p) in enumerate(zip(self._posteriors(), [self.top, *self._below()], strict=True)):
            if q.event != p.event or len(q.event) != 1:
                raise Mistake(
                    f"rung {rung}: the posterior's codes have shape {q.event}, the prior's {p.event}: both must be one vector"
                )
            if rung and p.given != (above,):
                raise Mistake(f"rung {rung}: its prior reads {p.given}, and {above} numbers lie above it: give it those")
            above += q.event[0]

    def encode(self, x: Tensor, given: Given = NOTHING) -> Tensor:
        """h (B, k)."""
        return torch.as_tensor(self.features(x))

    def draw(self, encoded: Tensor, draws: int, given: Given) -> tuple[Tensor, tuple[Rung, ...]]:
        """(code (S, B, d), a rung for each group, top first)."""
        rungs: list[Rung] = []
        above: Tensor | None = None
        for rung, q_of in enumerate(self._posteriors()):
            q, p = self._pair(rung, q_of, encoded, above, given)
            # The top is drawn S times for each x. Below it q has these S as an axis already, and each place is drawn once.
            z, noise = reparameterised(q, draws if above is None else 1)
            z, noise = (z, noise) if above is None else (z[0], None if noise is None else noise[0])
            rungs.append(Rung(q, p, z, noise))
            above = z if above is None else torch.cat([above, z], -1)
        assert above is not None
        return above, tuple(rungs)

    def summary(self, encoded: Tensor, given: Given = NOTHING) -> Summary:
        """The middle of each rung's posterior where those above lie at theirs: q(z|x) of all has no moments in closed form."""
        moments: list[tuple[Tensor, Tensor]] = []
        kl: list[Tensor] = []
        above: Tensor | None = None
        for rung, q_of in enumerate(self._posteriors()):
            q, p = self._pair(rung, q_of, encoded, above, given)
            moments.append((q.mean, q.stddev))
            kl += [cost for cost in [kl_per_dimension(q, p)] if cost is not None]
            above = q.mean if above is None else torch.cat([above, q.mean], -1)
        mu, sigma = (torch.cat(each, -1) for each in zip(*moments, strict=True))
        how = "each rung's mean and standard deviation where those above lie at their means"
        # Of all rungs or of none: a part of the KL would pass for the whole.
        return Summary(mu, sigma, torch.cat(kl, -1) if len(kl) == len(moments) else None, how)

    def infer(self, x: Tensor) -> Distribution:
        """q(z_L|x), of the top."""
        found: Distribution = self._posteriors()[0](self.encode(x))
        return found

    def prior(self, given: Given = NOTHING) -> Distribution:
        """p(z) of the whole code."""
        return Joint(self.top(self.known(given)), [partial(each, given=given) for each in self._below()])

    def _drawn_below(
        self, code: Tensor, keep: int, rng: np.random.Generator, temperatures: Sequence[float], given: Given
    ) -> Tensor:
        above = code[:, : sum(self.widths[:keep])]
        if not keep:
            top = self.top.draw(len(code), rng, temperatures[0], given=self.known(given))
            above, keep = torch.as_tensor(top, device=code.device), 1
        with drawing(code.device, int(rng.integers(2**63))):  # torch's draws follow NumPy's: `rng` alone fixes them
            for p, temperature in zip(self._below()[keep - 1 :], temperatures[keep:], strict=True):
                of = p(above, given)
                z = of.sample()
                # what is drawn at 1 stays as it is, bit for bit
                above = torch.cat([above, z if temperature == 1 else of.mean + temperature * (z - of.mean)], -1)
        return above

    def sample(self, n: int, given: Given = NOTHING) -> Tensor:
        """n codes from the prior, (n, d)."""
        return drawn(self.prior(given), n)

    def told(self) -> list[Line]:
        """The rungs from the top, and what lies above them."""
        return [("rungs", " → ".join(self.levels or (f"z1 ({self.widths[0]})",)), ""),
                ("p(top)", type(self.top).__name__, "")]  # fmt: skip

    def _pair(
        self, rung: int, q_of: Conditional, encoded: Tensor, above: Tensor | None, given: Given
    ) -> tuple[Distribution, Distribution]:
        """Posterior and prior of a rung, given what was drawn above it."""
        if above is None:
            return q_of(encoded, given), self.top(given)
        features = encoded.expand(*above.shape[:-1], encoded.shape[-1])  # a view: h is the same for every draw
        return q_of(torch.cat([above, features], -1), given), self._below()[rung - 1](above, given)

    def _posteriors(self) -> list[Conditional]:
        # A ModuleList knows no types: isinstance gives them back to the type checker, and leaves nothing out.
        return [each for each in self.posteriors if isinstance(each, Conditional)]

    def _below(self) -> list[Conditional]:
        return [each for each in self.below if isinstance(each, Conditional)]
