"""Findings of an examination: figures, each beside a control where there is one, and curves that figures are drawn from."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from legato.measures.estimate import Estimate


@dataclass(frozen=True)
class Found:
    """`figures` and `controls` by key: a control is the same figure of what is known to be good, or to be nothing."""

    figures: dict[str, Estimate] = field(default_factory=dict)
    controls: dict[str, Estimate] = field(default_factory=dict)
    curves: dict[str, Any] = field(default_factory=dict)

    def joined(self, other: Found) -> Found:
        """Both; of a key that both have, the other's."""
        return Found(self.figures | other.figures, self.controls | other.controls, self.curves | other.curves)
