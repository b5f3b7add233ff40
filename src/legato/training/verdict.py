"""The guard on the device: the same verdict over gradients as guard.py's, as tensors, so that no step waits for the host.

Covered: one step's verdict, and the guard's memory to and from the host. Not covered: what is done by the verdict (graphed.py).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from legato.training.guard import ENOUGH, INSANE, RECENT, TOO_MANY, WINDOW, Guard


class Verdict:
    """The memory of a `Guard` of some players. Once a run has diverged no step is sane, and nothing is remembered any more.

    norms (players, 41), the newest last, ∞ where there is none yet; outcomes (100,), the newest last, 1: skipped.
    """

    def __init__(self, guard: Guard, device: torch.device) -> None:
        players = len(guard.histories)
        self.norms = torch.full((players, WINDOW), math.inf, dtype=torch.double, device=device)
        self.known = torch.zeros(players, 1, dtype=torch.long, device=device)
        self.outcomes = torch.zeros(RECENT, dtype=torch.long, device=device)
        self.judged, self.skipped = (torch.zeros((), dtype=torch.long, device=device) for _ in range(2))
        self.diverged = torch.zeros((), dtype=torch.bool, device=device)
        self._take(guard)

    def accepts(self, norms: Tensor) -> Tensor:
        """True, (), where gradients of these norms, one of each player, (players,), double, may move the weights."""
        norms, live = norms[:, None], ~self.diverged
        finite = torch.isfinite(norms)
        sane = finite & ((self.known < ENOUGH) | (norms <= INSANE * self._median()))
        verdict = sane.all() & live
        self._remember(norms, finite & live)
        self._count(verdict, live)
        return verdict

    def _median(self) -> Tensor:
        """Of each player's norms, (players, 1): the mean of the two in the middle where they are even in number."""
        ordered = self.norms.sort(1).values  # what is not known is ∞, and comes last
        low, high = ((self.known - 1).clamp(min=0) // 2, (self.known // 2).clamp(max=WINDOW - 1))
        return (ordered.gather(1, low) + ordered.gather(1, high)) / 2

    def _remember(self, norms: Tensor, which: Tensor) -> None:
        moved = torch.cat([self.norms[:, 1:], norms], 1)
        self.norms.copy_(torch.where(which, moved, self.norms))
        self.known.add_(which).clamp_(max=WINDOW)

    def _count(self, verdict: Tensor, live: Tensor) -> None:
        bad = live & ~verdict
        moved = torch.cat([self.outcomes[1:], bad[None].long()])
        self.outcomes.copy_(torch.where(live, moved, self.outcomes))
        self.judged.add_(live).clamp_(max=RECENT)
        self.skipped.add_(bad)
        self.diverged.logical_or_(self.outcomes.sum() > TOO_MANY)

    def tell(self, guard: Guard) -> None:
        """Makes `guard` remember what this does. The device is waited for. Raises `Diverged` where the run has."""
        for history, norms, known in zip(guard.histories, self.norms.tolist(), self.known.flatten().tolist(), strict=True):
            history.clear()
            history.extend(norms[WINDOW - known :])
        guard.outcomes.clear()
        guard.outcomes.extend(self.outcomes.tolist()[RECENT - int(self.judged) :])
        guard.skipped = int(self.skipped)
        guard.refuse_diverged()

    def _take(self, guard: Guard) -> None:
        for player, history in enumerate(guard.histories):
            if history:
                self.norms[player, -len(history) :] = torch.tensor(list(history), dtype=torch.double)
            self.known[player] = len(history)
        if guard.outcomes:
            self.outcomes[-len(guard.outcomes) :] = torch.tensor(list(guard.outcomes))
        self.judged.fill_(len(guard.outcomes))
        self.skipped.fill_(guard.skipped)
