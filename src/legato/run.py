"""A RUN: a folder a person can read. Its files, its one writer, and files written whole or not at all.

    recipe.json         the sentence: recipe, its options, the shared words
    data.json           the source and how it was prepared
    training.json       steps, batch size, learning rate, seed, …
    model.safetensors   the EMA weights: what every command uses
    codes.safetensors   mean and covariance of the training codes: what samples are drawn from where no prior was trained for
    checkpoint/         everything that resuming needs; the newest two are kept
    snapshots/          about twelve, spaced evenly in the logarithm of the step
    metrics.jsonl       loss parts, validation, σ, Std μ and KL of each dimension

Covered: paths, tensors, the lock. Not covered: what a checkpoint holds (checkpoint.py).
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from legato.errors import Mistake
from legato.files import disk_errors, read_json, whole_file
from legato.partials import sweep

HOLDS = {  # the keys without which a file is none of ours
    "recipe": "recipe net width depth likelihood scale",
    "data": "source options fingerprint shape kind likelihood preparation",
    "training": "total batch_size learning_rate warmup_steps weight_decay clip ema seed snapshots asked device threads",
}


class Run:
    """The paths of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.recipe, self.data, self.training = (self.path / f"{name}.json" for name in ("recipe", "data", "training"))
        self.model, self.codes = self.path / "model.safetensors", self.path / "codes.safetensors"
        self.checkpoints, self.snapshots = self.path / "checkpoint", self.path / "snapshots"
        self.metrics, self.figures, self.report = self.path / "metrics.jsonl", self.path / "figures", self.path / "report.html"

    @staticmethod
    def existing(path: str | Path) -> Run:
        """The run that lies at `path`. Raises `Mistake` where there is none."""
        run = Run(path)
        if not run.path.is_dir():
            raise Mistake(f"no run lies at `{path}`: expected a folder made by `legato train … --out {path}`")
        if not run.recipe.is_file():
            raise Mistake(f"`{path}` is no run: it has no recipe.json; expected a folder made by `legato train … --out {path}`")
        for folder in (run.path, run.figures):  # readers write there, too
            sweep(folder)
        return run

    def stored(self, what: Literal["recipe", "data", "training"]) -> dict[str, Any]:
        """What recipe.json, data.json or training.json says. Raises `Mistake` where it is missing or not what was written."""
        path = self.path / f"{what}.json"
        content = read_json(path)
        if lacking := [key for key in HOLDS[what].split() if key not in content]:
            raise Mistake(f"`{path}` is damaged: it does not say `{lacking[0]}`; restore it, or train the run again")
        return content

    def read_metrics(self) -> list[dict[str, Any]]:
        """Every whole line of metrics.jsonl; a line that is being written is left for the next reader."""
        if not self.metrics.is_file():
            return []
        lines = self.metrics.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.endswith("\n")]

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the run for one writer. Readers are never kept out. Raises `Mistake` where another process writes.

        The lock is the kernel's (`flock`): it ends with the process, however that ends.
        """
        with disk_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            lock = open(self.path / ".lock", "a+", encoding="utf-8")  # noqa: SIM115  (the next line closes it)
        with lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                lock.seek(0)
                owner = lock.read().strip() or "unknown"
                raise Mistake(
                    f"`{self.path}` is being written by process {owner}: wait for it, or choose another --out"
                ) from None
            lock.truncate(0)
            lock.write(str(os.getpid()))
            lock.flush()
            self._sweep()
            yield

    def _sweep(self) -> None:
        """Drops what a killed writer left half written, and killed readers."""
        for folder in (self.path, self.figures, self.snapshots):
            sweep(folder)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors from a safetensors file. Nothing is unpickled: a pickle, or anything else, is refused by `Mistake`."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise Mistake(f"`{path}` is missing: train the run (further) first") from None
    except SafetensorError as error:
        raise Mistake(f"`{path}` is no whole safetensors file ({error}): train the run again, or --resume it") from None


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> bytes:
    """Tensors to a safetensors file, whole or not at all; returns the bytes written."""
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    with whole_file(path) as file:
        file.write(content)
    return content
