"""`legato.measure`: the survey of any autoencoder that a person already has, on their own data.

Covered: opening the data, making a subject of the model, the survey, survey.json, a page. Not covered: what is measured
(survey/chapters.py), which models are known (survey/adaptors.py), how the page looks (report/measured).

A file above the survey and the report, because its answer is a survey that can be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from legato.arguments import Seed, checked
from legato.data.labels import encode as encode_labels
from legato.data.preparation import Preparation
from legato.data.prepared import Prepared
from legato.data.sources import open_source
from legato.errors import Mistake, unknown
from legato.files import told, write_json
from legato.latent_space import LatentSpace
from legato.progress import progress
from legato.report.measured import write_measured_report
from legato.survey import FULL, QUICK, Effort, Survey, survey
from legato.survey.adaptors import space_of, subject_of
from legato.survey.chapters import CHAPTERS
from legato.survey.evaluation import Evaluation
from legato.survey.functions import Prior
from legato.survey.material import Material, material, material_of_two

Source = str | Path | NDArray[Any] | Tensor
EFFORTS = {"quick": QUICK, "full": FULL}
EXAMPLE = 4  # images that a model is tried on: what does not fit is told before anything is measured
FEWEST = {"to refer to": 100, "to measure": 30}  # rows: below, neighbours and mixtures mean nothing


@dataclass(frozen=True, repr=False)
class Measured(Survey):
    """A survey together with the model and the images that it was taken of, so that they can be shown."""

    evaluation: Evaluation = field(kw_only=True, repr=False, compare=False)
    label_names: Sequence[str] | None = field(default=None, kw_only=True, repr=False, compare=False)

    def report(self, path: str | Path, title: str | None = None) -> int:
        """Writes one HTML file that needs no network, whole or not at all, and returns its size in bytes.

        On it: whether the posterior has collapsed and what to do, the latent map, reconstructions, samples, a path, and every
        figure with its interval, n, unit and method, or why it is missing. `title`: the model's name, in few words; a RUN has
        that of its folder.
        """
        space = self.evaluation.subject.space
        name = title or ("The model" if space is None else space.run.path.resolve().name)
        return write_measured_report(path, self, self.evaluation, name, self.label_names)


@told()
@checked
def measure(
    encode: Any,
    decode: Any = None,
    data: Source | None = None,
    *,
    labels: Any = None,
    test: Source | None = None,
    prior: Prior | None = None,
    log_px: Callable[..., Any] | None = None,
    effort: Literal["quick", "full"] | Effort = "quick",
    seed: Seed = 0,
    out: str | Path | None = None,
) -> Measured:
    """Every figure that `legato claims` takes of a model: each an estimate with its interval, or null with a `why`.

    encode: images (n, *shape) -> μ, (μ, σ), a torch Normal, or an object with `.mean` and `.stddev`; decode: z -> images, or a
    distribution whose mean is taken. Functions of arrays or of tensors, torch modules, or two .onnx files. Without `decode`,
    `encode` is a whole model: a RUN, a Pythae model, a diffusers AutoencoderKL, an object with `encode` and `decode`.

    data: what `legato.open_source` takes, or an array or tensor: pictures (N, C, H, W) as bytes or in [0, 1], or a table. Its
    test rows are measured, its training rows referred to; with `test`, all rows of `test`, and all of `data`. A RUN has data of
    its own. labels: (N,); with `test` a pair. prior: (n, seed) -> z, else N(0, I). log_px: (x, z) -> (n,), nats per example;
    what needs a likelihood says so without it. out: a folder, for survey.json. The answer's `report(path)` writes a page.

    Pictures reach `encode` in [0, 1], never binarised. Raises `Mistake` on whatever a person can mend.
    """
    model = encode if decode is None else (encode, decode)
    space, size = space_of(model), _effort(effort)
    parts = parts_of(space, data, test, labels)
    shared = rows_of(parts, size)
    subject = subject_of(model if space is None else space, shared.test.x[:EXAMPLE], prior=prior, log_px=log_px)
    done = count()
    with progress("measuring", len(CHAPTERS), unit="chapters") as bar:
        found = survey(subject, shared, size, seed=seed, told=lambda title: bar(next(done), title))
    if out is not None:
        write_json(Path(out) / "survey.json", found.to_json())
    names = parts[0].dataset.label_names
    return Measured(
        found.effort, found.figures, found.curves, evaluation=Evaluation(subject, shared, size, seed), label_names=names
    )


def _effort(effort: str | Effort) -> Effort:
    if isinstance(effort, Effort):
        return effort
    if effort not in EFFORTS:
        raise unknown("effort", effort, EFFORTS)
    return EFFORTS[effort]


def parts_of(space: LatentSpace | None, data: Source | None, test: Source | None, labels: Any) -> list[Prepared]:
    """`data`, or `data` and `test`, with their labels."""
    parts = [_opened(space, part) for part in ([data] if test is None else [data, test])]
    if labels is not None:
        parts = _labelled(parts, labels)
    shapes = {part.dataset.shape for part in parts}
    if len(shapes) > 1:
        raise Mistake(f"`data` has the shape {parts[0].dataset.shape} and `test` {parts[1].dataset.shape}: expected one shape")
    return parts


def rows_of(parts: list[Prepared], effort: Effort) -> Material:
    """The rows that are measured, and those that they are compared with."""
    sizes = effort.train, effort.test
    shared = material(parts[0], *sizes) if len(parts) == 1 else material_of_two(parts[0], parts[1], *sizes)
    for (what, fewest), rows in zip(FEWEST.items(), (shared.train, shared.test), strict=True):
        if len(rows) < fewest:
            raise Mistake(f"there are {len(rows)} rows {what}: expected {fewest} or more")
    return shared


def _opened(space: LatentSpace | None, source: Source | None) -> Prepared:
    """Data as the RUN prepares them; for any other model in [0, 1], or as they are in a table."""
    if isinstance(source, Tensor):
        source = source.detach().cpu().numpy()
    if space is not None:
        return space.data(source)
    if source is None:
        raise Mistake("`data` is missing: give a source or an array, pictures (N, C, H, W) or a table (N, D)")
    dataset = open_source(source)
    # no file says in which units a foreign model reads pictures
    if dataset.kind == "reals" and len(dataset.shape) == 3 and not _in_unit(np.asarray(dataset.rows)):
        raise Mistake(f"pictures of the {dataset.source} leave [0, 1]: give bytes, or scale them, as x / 255 or (x + 1) / 2")
    return Prepared(dataset, Preparation(dataset.kind))


def _in_unit(rows: NDArray[Any]) -> bool:
    return bool(rows.min() >= 0 and rows.max() <= 1)


def _labelled(parts: list[Prepared], labels: Any) -> list[Prepared]:
    """The parts with labels in the place of the sources' own: one list for `data`, and another for `test` where it is given."""
    lists = [labels] if len(parts) == 1 else list(labels)
    counts = [len(part.dataset) for part in parts]
    if len(lists) != len(parts) or [len(one) for one in lists] != counts:
        expected = " and ".join(f"{count}" for count in counts)
        raise Mistake(f"`labels` do not fit the data: expected {expected} labels{', as a pair' if len(parts) > 1 else ''}")
    # Of all at once: a class has one number in both parts.
    codes, names = encode_labels(np.concatenate([np.asarray(one) for one in lists]), "labels")
    cut = np.split(codes, np.cumsum(counts)[:-1])
    found = [replace(part.dataset, labels=own, label_names=names) for part, own in zip(parts, cut, strict=True)]
    return [replace(part, dataset=dataset) for part, dataset in zip(parts, found, strict=True)]
