"""The controls: models that learned nothing, and images that no model made, measured as the family is.

untrained            the family's network with its starting weights, one for each seed
pca                  principal components, as many as there are latents
cross-fade           paths that blend pixels
train against test   training images in the place of generated ones: the floor
mean image           the mean of all training images, in the place of generated ones
nearest copy         the nearest training image of each reconstruction, in the place of generated ones
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from legato.definition import define
from legato.devices import drawing
from legato.experiment.family import Protocol
from legato.experiment.members import LARGE
from legato.experiment.survey import effort_of, evidence_path, shared_data, shared_material, write_once
from legato.latent_space import LatentSpace
from legato.measures.controls import copier, mean_image, real_again
from legato.measures.interpolation import cross_fade
from legato.run import Run
from legato.survey import Survey, survey
from legato.survey.effort import Effort
from legato.survey.fidelity import CROWDS, MIDPOINTS, compared, middle
from legato.survey.material import Material
from legato.survey.meaning import LABELS, NEIGHBOURS
from legato.survey.paths import walked
from legato.survey.robustness import NOISE
from legato.survey.subject import PrincipalComponents, Subject, Trained

# what codes and midpoints alone tell: a control has no likelihood, and no rates to split
CHAPTERS = (LABELS, NEIGHBOURS, MIDPOINTS, NOISE)
RUNGS = (*CROWDS, "gaussian", "midpoint")  # the sets of images that a control may stand in for


def measure_controls(protocol: Protocol, out: Path, quick: bool, seeds: int) -> None:
    """Measures every control that has not been measured by this effort."""
    effort = effort_of(quick)
    for name, seed, found in _all(protocol, effort, quick, seeds):
        write_once(evidence_path(out, name, LARGE, seed), effort, found)


def _all(protocol: Protocol, effort: Effort, quick: bool, seeds: int) -> Iterator[tuple[str, int, Callable[[], Survey]]]:
    # Shared by all controls: the same rows that every member is measured on.
    shared = shared_material(protocol.source, protocol.data, quick)
    for seed in range(seeds):
        yield "untrained", seed, partial(_surveyed, partial(_untrained, protocol, seed), shared, effort)
    yield "pca", 0, partial(_surveyed, partial(_components, protocol, shared), shared, effort)
    yield "cross-fade", 0, partial(_faded, shared, effort)
    # at most the training rows there are: a sample with copies would not be a floor
    some, test = min(effort.samples, len(shared.train)), shared.test.images[: effort.samples]
    stand_ins: dict[str, Callable[[], NDArray[Any]]] = {
        "train against test": partial(real_again, shared.train.images, some),
        "mean image": partial(mean_image, shared.train.images, effort.samples),
        "nearest copy": partial(copier, shared.train.images, test),
    }
    for name, images in stand_ins.items():
        yield name, 0, partial(_in_place, shared, effort, images)


def _surveyed(subject: Callable[[], Subject], shared: Material, effort: Effort) -> Survey:
    return survey(subject(), shared, effort, chapters=CHAPTERS)


def _untrained(protocol: Protocol, seed: int) -> Subject:
    data = shared_data(protocol.source, protocol.data)
    shape = data.dataset.shape
    definition = define("vae", data.spec, latent_dim=LARGE, **protocol.words(shape))
    # On the CPU and by seed: the starting weights are those that the member of that seed began with.
    with drawing(torch.device("cpu"), seed):
        recipe = definition.build(data.spec)
    return Trained(LatentSpace(recipe, data.preparation, shape, Run("untrained"), definition))


def _components(protocol: Protocol, shared: Material) -> Subject:
    preparation = shared_data(protocol.source, protocol.data).preparation
    # pictures are clipped, as the page shows them; a table has no screen
    limits = preparation.screen if shared.pictures else (-np.inf, np.inf)
    return PrincipalComponents(shared.train.x, LARGE, lambda x: np.clip(preparation.restore(x), *limits))


def _faded(shared: Material, effort: Effort) -> Survey:
    images, (first, second) = shared.test.images, shared.pairs(effort.samples, 1)
    # Seed 1 as in `fidelity.between`: the same pairs as the members' midpoints.
    at_half = middle(shared.reference, effort, cross_fade(images[first], images[second]), (first, second))
    first, second = shared.pairs(effort.paths)
    return Survey(effort, at_half | walked(shared.reference, cross_fade(images[first], images[second]), (first, second)))


def _in_place(shared: Material, effort: Effort, images: Callable[[], NDArray[Any]]) -> Survey:
    """The same figures under the name of every set that these images stand in for."""
    found = compared(shared.reference, effort, "", np.asarray(images(), np.float32), crowd=True)
    # Copied to every rung's name, since rules compare a model's rung with the control by one key.
    return Survey(effort, {f"{measure.strip()} {rung}": one for measure, one in found.items() for rung in RUNGS})
