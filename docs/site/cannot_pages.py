"""The page of what a recipe cannot: each recipe is built and asked, and the reason is its own answer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import torch

from legato.definition import define
from legato.devices import drawing
from legato.errors import Mistake
from legato.exported.parts import NOT_PORTABLE, sigma_missing
from legato.measures.posterior import gaussian_posterior
from legato.measures.scorecard import NO_POSTERIOR
from legato.model import LatentVariableModel
from legato.recipe import RECIPES, Recipe
from legato.setting import DataSpec
from legato.survey import OWN_PRIOR

PICTURES = DataSpec((1, 28, 28), "bytes", "discretized-logistic", count=60_000, classes=("no", "yes"), factors=True)
TABLE = replace(PICTURES, shape=(6,), kind="reals", likelihood="gaussian")
SMALL: dict[str, Any] = {"width": 8, "depth": 1}


def likely(name: str) -> None:
    """Raises `Mistake` where there is no log p(x)."""
    built(name).refuse_unlikely()


def rated(name: str) -> None:
    """Raises `Mistake` where there is no rate."""
    if not built(name).model.latent.has_density:
        raise Mistake(NO_POSTERIOR)


def tempered(name: str) -> None:
    """Raises `Mistake` where draws of the prior have no middle to be drawn to."""
    told(name).latent.draw_prior(1, np.random.default_rng(0), 0.5)


def forced(name: str) -> None:
    """Raises `Mistake` where q(z|x) is no Gaussian with independent dimensions."""
    gaussian_posterior(told(name).eval(), torch.zeros(1, *PICTURES.shape))


def compared(name: str) -> None:
    """Raises `Mistake` where the prior is another than N(0, I)."""
    if not built(name).model.latent.standard_prior:
        raise Mistake(OWN_PRIOR)


def written(name: str) -> None:
    """Raises `Mistake` where no ONNX file holds the encoder."""
    if not built(name).model.latent.portable:
        raise Mistake(NOT_PORTABLE)


def exported(name: str) -> None:
    """Raises `Mistake` where an encoder's file has no σ."""
    if why := sigma_missing(built(name).model):
        raise Mistake(why)


def alone(name: str) -> None:
    """Raises `Mistake` where an example by itself says nothing to a term."""
    built(name).objective.refuse_batch(1)


def said(data: DataSpec = PICTURES, **words: Any) -> Callable[[str], None]:
    """Whether the recipe is built of such data, with such words."""

    def ask(name: str) -> None:
        of(name, data, **words)

    return ask


# what a person asks for -> the question, which raises the `Mistake` that it is refused with
QUESTIONS: dict[str, Callable[[str], None]] = {
    "log p(x): `score`, the ELBO and nll of `evaluate` and `compare`, `legato.VAE`": likely,
    "a rate and its dimensions: `evaluate`": rated,
    "`sample --of prior --temperature 0.5`": tempered,
    "annealing, and forces on the codes: `measure`, `claims`, `evaluate --k auto`": forced,
    "figures beside N(0, I): `measure`, `claims`": compared,
    "an encoder for other programs: `export`": written,
    "σ in `encoder.onnx`: `export`": exported,
    "rows of a table": said(TABLE),
    "rows without labels": said(replace(PICTURES, classes=())),
    "`--batch-size 1`": alone,
    "`--latent-dim 1`": said(latent_dim=1),
    "`--latent-shape 4,7,7`": said(latent_shape=(4, 7, 7), net="conv"),
    "`--condition nets`": said(condition="nets"),
    "`--condition prior`": said(condition="prior"),
    "`--likelihood gaussian`": said(likelihood="gaussian"),
}


@cache
def built(name: str) -> Recipe:
    """The recipe at starting weights."""
    return of(name, PICTURES)


def of(name: str, data: DataSpec, **words: Any) -> Recipe:
    """The recipe of these data and words, small; it leaves the generator as it was."""
    with drawing(torch.device("cpu"), 0):
        return define(name, data, **{**SMALL, **words}).build(data)


def told(name: str) -> LatentVariableModel:
    """Its model; of one that is told classes, that of the first."""
    model = built(name).model
    return model.of_class(0) if model.classes else model


def refusal(name: str, ask: Callable[[str], None]) -> str | None:
    """The sentence that it is refused with; None where it works."""
    try:
        ask(name)
    except Mistake as mistake:
        return str(mistake)
    return None


@cache
def table() -> dict[str, dict[str, str]]:
    """What is asked for -> recipe -> the sentence that it is refused with, where it is."""
    asked = {what: {name: refusal(name, ask) for name in RECIPES} for what, ask in QUESTIONS.items()}
    return {what: {name: why for name, why in found.items() if why} for what, found in asked.items()}


def page() -> str:
    """The table, recipes of one reason in one line."""
    lines = []
    for what, found in table().items():
        for why in dict.fromkeys(found.values()):
            names = ", ".join(f"[`{name}`]({name}.md)" for name, reason in found.items() if reason == why)
            lines.append(f"| {what} | {names} | {why.replace('|', chr(92) + '|')} |")
    rows = "\n".join(lines)
    return f"""# What a recipe cannot

Every recipe trains and resumes, by one process or several, on a CPU or a card; encodes, reconstructs, samples, interpolates and
traverses; is evaluated, compared, reported, explored, measured and exported. What one cannot is here: each recipe was built for
28 × 28 grey pictures of two classes and asked, and the reason is the sentence that a command refuses with, or puts in the place
of a figure. That the table is what the commands do is a test, `tests/test_cannot.py`.

| asked for | of | the answer |
|---|---|---|
{rows}
"""
