"""A follower: the loop of a rank that writes nothing, and takes part in all that is computed together."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from torch import Tensor

from legato.checkpoint import Checkpoint
from legato.training.loop import Loop


class Follower(Loop):
    """The loop of every rank but the first."""

    def _bring_lines(self) -> None:
        """No lines are here."""

    def _keep(self, made: Checkpoint) -> None:
        """The first rank's checkpoint is that of all."""

    def _put(self, path: Path, tensors: dict[str, Tensor]) -> None:
        """Nothing is written."""

    def _write(self, found: dict[str, Any]) -> None:
        """Nothing is written."""

    def _refuse_removed(self) -> None:
        """The folder is the first rank's."""

    def _rewind_metrics(self, size: int) -> None:
        self.metrics = open(os.devnull, "r+b")  # noqa: SIM115  (closed when `run` ends)
