"""A follower: the loop of a rank that writes nothing, and takes part in all that is computed together."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from torch import Tensor

from legato.training.loop import Loop


class Follower(Loop):
    """The loop of every rank but the first."""

    def save(self) -> None:
        """Nothing: the first rank's checkpoint is that of all."""
        self.saved = time.monotonic()

    def _put(self, path: Path, tensors: dict[str, Tensor]) -> None:
        """Nothing is written."""

    def _write(self, found: dict[str, Any]) -> None:
        """Nothing is written."""

    def _refuse_removed(self) -> None:
        """The folder is the first rank's."""

    def _rewind_metrics(self, size: int) -> None:
        self.metrics = open(os.devnull, "r+b")  # noqa: SIM115  (closed when `run` ends)
