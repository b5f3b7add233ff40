"""Kept priors: what a RUN says of a prior that was fitted to its codes, and the prior again.

`priors/NAME.json` says its kind and sizes, `priors/NAME.safetensors` holds its numbers. Covered: both ways. Not covered: how
one is fitted (fits.py).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Literal, TypedDict, cast

import torch

from legato.codebooks import Codebook
from legato.devices import drawing
from legato.errors import Mistake, quoted, unknown
from legato.files import damaged, made, read_json, write_json
from legato.fitted.gaussians import Gaussians
from legato.fitted.matching import FlowMatching
from legato.fitted.scaled import Scaled
from legato.fitted.velocity import Attending, Dense
from legato.flows import FlowPrior
from legato.model import LatentVariableModel
from legato.priors import Prior
from legato.schema import Within
from legato.sequences import Sequential
from legato.tensors import check_fits, read_tensors, write_tensors

Kind = Literal["gaussian", "mixture", "flow", "flow-matching", "autoregressive"]


class StoredPrior(TypedDict):
    """NAME.json; `options`: sizes of the prior's parts; `told`: how it was fitted, and what it gained."""

    kind: Kind
    options: dict[str, Annotated[int, Within(0, 2**16)]]
    told: dict[str, Any]


def built(kind: Kind, options: dict[str, int], model: LatentVariableModel, seed: int = 0) -> Prior:
    """A prior of this kind for a model's codes, its numbers not yet those that were fitted: those that `seed` gives.

    Raises `Mistake` for a codebook's prior of a model without one, and for other priors of a model with one.
    """
    with drawing(torch.device("cpu"), seed):  # whoever asks keeps the state of their generator
        return _built(kind, options, model)


def _built(kind: Kind, options: dict[str, int], model: LatentVariableModel) -> Prior:
    event, family = model.latent.event, getattr(getattr(model.latent, "q", None), "family", None)
    book = family if isinstance(family, Codebook) else None
    if kind == "autoregressive" and book is None:
        raise Mistake("an autoregressive prior is one of indices, and this model's codes are none: use flow-matching")
    if book is not None and kind not in ("autoregressive", "flow-matching"):
        raise Mistake(
            "this model's codes are chosen among finitely many: a prior of theirs is one of indices, autoregressive, or "
            "flow-matching, whose draws go to the nearest of them"
        )
    if kind in ("gaussian", "mixture"):
        return Gaussians(event, **options)
    if kind == "flow":
        return Scaled(event, FlowPrior(event, options["transforms"], options["width"]))
    if book is not None and kind == "autoregressive":
        return Sequential(book, event, **options)
    sizes = {name: size for name, size in options.items() if name != "summed"}
    velocity = (Attending if len(event) == 3 else Dense)(event, **sizes)
    return FlowMatching(event, velocity, book, summed=bool(options.get("summed", 1)))


def check_name(name: str) -> None:
    """Raises `Mistake` for a name that no file should have."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", name):
        raise Mistake(f"`name` must be a name of letters, digits, - and _, such as mixture-2; got {name!r}")


def names(folder: Path) -> list[str]:
    """The priors that lie in a RUN's folder of priors."""
    return sorted(path.stem for path in folder.glob("*.json") if path.with_suffix(".safetensors").is_file())


def write(folder: Path, name: str, stored: StoredPrior, prior: Prior) -> None:
    """Puts a prior into a RUN's folder of priors; its JSON last, by which it counts as whole."""
    made(folder)
    write_tensors(folder / f"{name}.safetensors", prior.state_dict())
    write_json(folder / f"{name}.json", dict(stored))


def said(folder: Path, name: str) -> StoredPrior:
    """The JSON of a prior. Raises `Mistake` where there is none of that name, with those that there are, or it is damaged."""
    if name not in (known := names(folder)):
        if not known:
            how = f"legato refit {quoted(folder.parent)} --prior mixture"
            raise Mistake(f"there is no prior `{name}`, and none was fitted to the codes of `{folder.parent}`: {how}")
        raise unknown("fitted prior", name, known)
    return cast(StoredPrior, read_json(folder / f"{name}.json", StoredPrior, remedy="refit it"))


def read(folder: Path, name: str, model: LatentVariableModel) -> Prior:
    """The prior of that name. Raises `Mistake` where there is none, or its files are damaged or of another model."""
    stored, weights = said(folder, name), folder / f"{name}.safetensors"
    try:
        with torch.device("meta"):  # of shapes alone: whatever sizes a file asks for, that costs nothing
            shapes = built(stored["kind"], stored["options"], model).state_dict()
        _check_fits(weights, shapes, f"legato refit {quoted(folder.parent)} --prior {stored['kind']} --name {name}")
        prior = built(stored["kind"], stored["options"], model)
    except (TypeError, KeyError) as error:
        raise damaged(f"`{folder / name}.json`", str(error)) from None
    prior.load_state_dict(read_tensors(weights, prior.state_dict()))
    return prior.to(next(model.parameters()).device).eval().requires_grad_(False)


def _check_fits(weights: Path, shapes: dict[str, torch.Tensor], again: str) -> None:
    try:
        check_fits(weights, shapes)
    except Mistake as error:
        raise Mistake(f"{error}; fit it anew: {again}") from None
