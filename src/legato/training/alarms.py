"""Alarms of a training that goes on: what has collapsed, died or been won, each told in one line, once for a run.

They are functions of what a line of metrics says and of the averaged model, looked at when a line is due, so that no step waits
for them. What was told lies in metrics.jsonl, from which a resumed run knows it.
Covered: dead codes, collapsed dimensions, a critic that has won, importance weights of which one is all, and what a family says
of itself (a scale at its floor, dead units). Not covered: steps that are not finite (guard.py), overfitting (best.py).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from legato.alarm import ALONE, Alarm
from legato.training.learner import Learner

EARLIEST, SHARE = 200, 0.25  # steps, and share of the run, before which nothing is judged: much is collapsed at the start
IDLE = 0.01  # nats of KL, or variance of posterior means, below which a dimension is unused (Burda et al. 2016, appendix C)
UNUSED = 0.5  # share of a codebook that is never chosen, above what even use would leave by chance
WON, LINES = 0.02, 10  # of a critic's blind loss, in so many lines of metrics in a row: a twentieth of a run


class Alarms:
    """The alarms of one run. `of` gives those that sound for the first time."""

    def __init__(self, learner: Learner) -> None:
        self.learner, self.told = learner, set[str]()
        plan, objective = learner.plan, learner.objective
        self.ready = max(plan.warmup_steps, objective.settled(plan.total), round(SHARE * plan.total), EARLIEST)
        self.won = dict.fromkeys((player.name for player in learner.players), 0)

    def recall(self, lines: Iterable[dict[str, Any]]) -> None:
        """Takes up a run that was stopped, by the lines of its metrics."""
        for line in lines:
            self._count(line)
            self.told.update(line.get("alarms", ()))

    def of(self, line: dict[str, Any]) -> dict[str, str]:
        """Name -> sentence of what sounds for the first time at this line, which has a `step`."""
        self._count(line)
        if line["step"] < self.ready:
            return {}
        found = {alarm.name: alarm.says for alarm in self._sounding(line) if alarm.name not in self.told}
        self.told.update(found)
        return found

    def _count(self, line: dict[str, Any]) -> None:
        for player in self.learner.players:
            loss = line.get("players", {}).get(player.name)
            if loss is not None and player.blind is not None and line["step"] >= self.ready:
                self.won[player.name] = self.won[player.name] + 1 if loss < WON * player.blind else 0

    def _sounding(self, line: dict[str, Any]) -> Iterator[Alarm]:
        for player in self.learner.players:
            if self.won[player.name] >= LINES:
                yield won(player.name, line["players"][player.name] if "players" in line else 0.0, player.blind or 0.0)
        if "validation" in line:
            latent = self.learner.average.latent
            if self.learner.objective.charges_rate:
                yield from collapsed(line["validation"], math.prod(latent.event), latent.standard_prior)
            yield from dead(line["validation"])
            yield from alone(line["validation"], self.learner.objective.draws)
            yield from self.learner.average.alarms()


def won(name: str, loss: float, blind: float) -> Alarm:
    """A critic whose loss lies near 0."""
    return Alarm(
        f"{name} has won",
        f"the {name} never mistakes one population for the other (loss {loss:.2g} nats, {blind:.2f} where it can only guess): "
        "the model learns little from it; make it smaller, or give its term a larger weight",
    )


def collapsed(found: dict[str, Any], latents: int, standard: bool) -> Iterator[Alarm]:
    """Dimensions that carry nothing, where most do: by their KL, else by the variance of means, else by the rate of all."""
    if found["kl"] is not None:
        quiet = [value < IDLE for value in found["kl"]]
    elif standard:
        quiet = [value**2 < IDLE for value in found["std_mu"]]
    else:
        quiet = [found["rate"] is not None and found["rate"] < IDLE * latents]
    idle, of = sum(quiet), len(quiet)
    dearer = "lower the weight of its KL, warm it up (`warmup_vae`), or give the likelihood a smaller scale"
    if idle == of:
        yield Alarm("collapsed", f"all {latents} latents have collapsed, and the decoder ignores the code: {dearer}")
    elif 2 * idle > of:
        what = "latents" if of == latents else "channels"
        says = f"{idle} of {of} {what} carry nothing (each below {IDLE:g} nats): fewer would do where reconstructions are good;"
        yield Alarm("unused latents", f"{says} else {dearer}")


def dead(found: dict[str, Any]) -> Iterator[Alarm]:
    """Values of a codebook that no validation token chose, more than half of them above chance."""
    usage = found.get("usage")
    if usage is None or usage["unused"] - math.exp(-usage["tokens"] / usage["size"]) <= UNUSED:
        return
    yield Alarm(
        "dead codes",
        f"{usage['unused']:.0%} of the codebook's {usage['size']:,} values are never chosen (perplexity "
        f"{usage['perplexity']:.1f}): fewer would do, or a smaller learning rate",
    )


def alone(found: dict[str, Any], draws: int) -> Iterator[Alarm]:
    """Importance weights of which the largest is nearly all."""
    effective = found.get("effective_draws")
    if effective is not None and effective < ALONE:
        yield Alarm(
            "one weight is all",
            f"of {draws} weighted draws one carries nearly all (effective number {effective:.2f}): the bound is hardly tighter "
            "than one draw's, and `vae` costs less; fewer latents, or a likelihood with a larger scale",
        )
