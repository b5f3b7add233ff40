"""A device without float64, made of the CPU: what a step does there that Apple's GPU cannot, is found without one.

Run as a script, `python fake_device.py FOLDER [--double] [RUN …]`, in a process of its own: torch takes one such device, and
lets it end badly. Its tensors hold CPU tensors and compute by them; they refuse float64 and NumPy, as torch's `mps` does. Not
covered: derivatives in forward mode, which want a tensor's own memory.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _DummyBackendModule, _setup_privateuseone_for_python_backend

import legato
from legato import cli, devices
from legato.measures.likelihood import importance_curve
from made_runs import OF_CLASSES, RUNS, small, write_sources

NAME = "apple"


class Backend(_DummyBackendModule):
    """What torch asks of a device's module."""

    def get_amp_supported_dtype(self) -> list[torch.dtype]:
        return [torch.bfloat16]

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.empty(0)

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        pass


_setup_privateuseone_for_python_backend(NAME, Backend())
HERE = torch.device(NAME, 0)


class There(torch.Tensor):
    """A tensor on the device: `inner` holds its numbers."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor, requires_grad: bool = False) -> There:
        if inner.dtype == torch.double:
            raise TypeError(f"a tensor on `{NAME}` would be float64")
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=HERE,
            requires_grad=requires_grad,
        )
        made.inner = inner
        return made

    def tolist(self) -> Any:
        return self.cpu().tolist()  # torch's own refuses a tensor that holds another

    def __deepcopy__(self, memo: dict[int, Any]) -> There:
        copied = memo[id(self)] = There(self.inner.clone(), self.requires_grad)
        if isinstance(self, torch.nn.Parameter):
            copied = memo[id(self)] = torch.nn.Parameter(copied, self.requires_grad)
        return copied

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(func, args, kwargs or {})


def computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation by the CPU, its result there unless it goes to the CPU."""
    to = kwargs.get("device")
    if to is not None and torch.device(to).type == NAME:
        kwargs = {**kwargs, "device": torch.device("cpu")}
        if kwargs.get("dtype") == torch.double:
            raise TypeError(f"a tensor on `{NAME}` would be float64")
    inside = tree_map(lambda one: one.inner if isinstance(one, There) else one, (args, kwargs))
    found = func(*inside[0], **inside[1])
    if to is not None and torch.device(to).type == "cpu":
        # a copy, as from any other device
        return tree_map(lambda one: one.clone() if isinstance(one, torch.Tensor) else one, found)
    found = tree_map(lambda one: There(one) if type(one) is torch.Tensor else one, found)
    return return_and_correct_aliasing(func, args, kwargs, found)


class Factories(TorchDispatchMode):
    """What is made on the device, or moved to it, is of its kind."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        to = kwargs.get("device")
        moves = to is not None and torch.device(to).type == NAME
        return computed(func, args, kwargs) if moves else func(*args, **kwargs)


# `torch.tensor(…, device=…)` asks the device's own kernels, below any mode.
KERNELS = torch.library.Library("aten", "IMPL")
KERNELS.impl(
    "empty_strided", lambda size, stride, dtype=None, **_: There(torch.empty_strided(size, stride, dtype=dtype)), "PrivateUse1"
)
KERNELS.impl("empty.memory_format", lambda size, dtype=None, **_: There(torch.empty(size, dtype=dtype)), "PrivateUse1")
KERNELS.impl("_copy_from", lambda source, to, non_blocking=False: copied(source, to), "PrivateUse1")


def copied(source: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
    inner = [one.inner if isinstance(one, There) else one for one in (to, source)]
    inner[0].copy_(inner[1])
    return to


REAL = torch.Generator


class Drawing(REAL):
    """A generator by its device's name."""

    def __new__(cls, device: Any = None) -> Any:
        return REAL.__new__(REAL)


def law(name: str, sources: dict[str, Path], folder: Path) -> None:
    """A run trains there, and its model gives finite numbers to whoever asks."""
    recipe, kind, own = (RUNS | OF_CLASSES)[name]
    out = folder / name
    space = legato.train(
        recipe, str(sources[kind]), out, **small(**{**own, "steps": 3, "device": NAME, "precision": "float32"})
    )
    assert space.device == HERE
    if space.model.infers_class:  # asked of all classes, too
        assert np.isfinite(space.score(space.data().dataset.rows[:9], k=3)).all()
    if space.model.needs_class:  # asked of one class, as its commands ask
        space = space.of_class(space.classes[0])
    x = space.data().dataset.rows[:70]
    mu, _ = space.encode(x)
    assert np.isfinite(space.decode(mu)).all()
    assert np.isfinite(space.sample(5)).all()
    assert np.isfinite(space.log_prior(mu)).all()
    if not space.recipe.no_likelihood:
        assert np.isfinite(space.score(x, k=30)).all()
        prepared = torch.from_numpy(space.prepare(x)).to(HERE)
        assert np.isfinite(importance_curve(space.model, [prepared], (1, 10)).bounds).all()
        assert space.model.log_likelihood(prepared, 5).device == HERE
    if name in ("vae", "autoencoder", "table"):
        how = ["--k", "auto", "--limit", "20"] if space.has_density else []
        assert cli.run(["evaluate", str(out), *how, "--device", NAME]) == 0


def main(folder: Path, names: list[str]) -> int:
    """Every run of `made_runs`, or those named; the number of those that failed."""
    sources, failed = write_sources(folder), 0
    # sequence_vq_vae: torch takes this device's GRU for a card's, whose kernels are not there
    for name in names or [name for name in RUNS | OF_CLASSES if name != "sequence_vq_vae"]:
        try:
            law(name, sources, folder)
        except Exception:
            failed += 1
            print(f"{name} failed", file=sys.stderr)
            traceback.print_exc()
    return failed


if __name__ == "__main__":
    devices._named = lambda device, where="": HERE if device == NAME else torch.device(device)
    place, *words = sys.argv[1:]
    if "--double" not in words:  # else Legato is told of a device that has float64, and the law has to fail
        devices.NARROW.add(NAME)
    with Factories():
        torch.Generator = Drawing  # type: ignore[misc]
        failed = main(Path(place), [word for word in words if word != "--double"])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(failed)  # torch's thread for the device is not ended, and would end the process
