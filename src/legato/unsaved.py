"""Records of a training: a RUN's files, or the same in memory where nothing was written.

Covered: the questions that a `LatentSpace` asks of either. Not covered: how a RUN answers them (run.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from torch import Tensor

from legato.errors import Mistake
from legato.run import Run
from legato.shown import Line
from legato.types import Shape

What = Literal["recipe", "data", "training"]


class Kept(Protocol):
    """The questions that a `LatentSpace` asks of where it comes from; as text it is what a person calls it by."""

    def stored(self, what: What) -> dict[str, Any]:
        """The content of recipe.json, data.json or training.json."""

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of metrics.jsonl."""

    @property
    def has_moments(self) -> bool:
        """True where the training codes were summed up."""

    def moments(self, like: Mapping[str, Tensor], one: int | None = None) -> dict[str, Tensor]:
        """Mean and covariance of the training codes, of the shapes of `like`; of one class, where it is said."""

    def saved(self) -> Run:
        """The RUN on a disk. Raises `Mistake` where there is none."""


def told_by(kept: Kept, shape: Shape) -> list[Line]:
    """The data and the training in a line each; what the files no longer say is left out."""
    try:
        data, training = kept.stored("data"), kept.stored("training")
    except Mistake as gone:
        return [("files", str(gone), "")]
    rows = f"{data['source']}: {data['count']:,} rows of shape {' × '.join(map(str, shape))}"
    trained = f"{training['total']:,} steps of {training['batch_size']:,} examples, seed {training['seed']}"
    return [("data", rows, ""), ("training", trained, "")]


@dataclass(frozen=True)
class Unsaved:
    """A training whose result lies in memory alone: what a RUN's JSON would say, its metrics, the moments of its codes."""

    files: dict[What, dict[str, Any]]
    metrics: list[dict[str, Any]]
    codes: dict[str, Tensor]

    def __str__(self) -> str:
        return f"{self.files['recipe']['recipe']} in memory"

    def stored(self, what: What) -> dict[str, Any]:
        """The content that this file of a RUN would have."""
        return self.files[what]

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines that metrics.jsonl would have."""
        return self.metrics

    @property
    def has_moments(self) -> bool:
        """True: what is fitted in memory ends with them."""
        return True

    def moments(self, like: Mapping[str, Tensor], one: int | None = None) -> dict[str, Tensor]:
        """Mean and covariance of the training codes. Whoever put them here knows the model: `like` tells nothing more.

        Raises `Mistake` for one class.
        """
        if one is not None:
            raise Mistake("codes of one class are kept in a RUN alone: train it by legato.train(…, out=RUN)")
        return self.codes

    def saved(self) -> Run:
        """Raises `Mistake`."""
        raise Mistake("this model was fitted in memory, and a RUN is asked for here: train it by legato.train(…, out=RUN)")
