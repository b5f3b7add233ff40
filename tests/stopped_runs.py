"""Runs that are stopped after so many steps, resumed, and compared bit for bit with one that never was."""

from __future__ import annotations

import hashlib
import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from legato import checkpoint, cli
from legato.run import Run
from legato.training import loop
from legato.training.stop import Stop
from made_runs import metrics


def digest(value: torch.Tensor) -> str:
    return f"{value.dtype} {tuple(value.shape)} {hashlib.sha256(value.contiguous().view(torch.uint8).numpy()).hexdigest()}"


def all_of(path: Path) -> dict[str, Any]:
    """Everything of a finished run but what a clock says: of tensors and files a digest."""
    run = Run(path)
    newest = checkpoint.existing(run.checkpoints)[-1]
    state = json.loads((newest / "state.json").read_text())
    tensors = checkpoint.read(newest).tensors
    files = [run.model, run.codes, run.recipe, run.data, *sorted(run.snapshots.iterdir())]
    return {
        **{name: digest(value.reshape(-1) if value.ndim == 0 else value) for name, value in tensors.items()},
        **{file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files},
        "state": {key: value for key, value in state.items() if key not in ("clock", "metrics_bytes", "state_checksum")},
        "training": {key: value for key, value in run.stored("training").items() if key != "asked"},
        "metrics": metrics(path),
    }


def assert_same(path: Path, reference: Path) -> None:
    found, expected = all_of(path), all_of(reference)
    assert found.keys() == expected.keys()
    assert [key for key in expected if found[key] != expected[key]] == []


class StopAfter(Stop):
    """A signal that comes after so many steps of this process."""

    steps = 0

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def __bool__(self) -> bool:
        self.asked += 1
        self.signal = signal.SIGTERM if self.asked > self.steps else 0
        return self.signal != 0


@contextmanager
def stopping_after(steps: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "Stop", type("StopAfterSome", (StopAfter,), {"steps": steps}))
        yield


def resume(out: Path, *more: str) -> int:
    return cli.run(["train", "--resume", "--out", str(out), "--device", "cpu", "--checkpoint-minutes", "1000", *more])
