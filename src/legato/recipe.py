"""A recipe: model + objective; and the registry of named ones.

A recipe's signature *is* its configuration: the command line makes options of it and `recipe.json` stores its arguments.
Covered: refusing what cannot go together; a recipe's options. Not covered: the named models themselves (recipes/); a recipe as
it is written down (definition.py).
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from legato import shown
from legato.arguments import checked
from legato.distributions.point import NO_DENSITY
from legato.errors import Mistake
from legato.model import LatentVariableModel
from legato.objectives import Objective, Term
from legato.objectives.term import weighed
from legato.setting import DataSpec, NetName

Sentence = Callable[..., "Recipe"]
ESTIMATED = (
    "log p(z) of this prior is an estimate that is right in the mean, and importance weights need p(z) itself: the ELBO has no "
    "such need, and a prior of up to 64 dimensions, or a mixture, is exact"
)
NO_LIKELIHOOD = (
    "this objective's fidelity is no log p(x|z), so the decoder was never trained to give one and its nats are no likelihood "
    "of x: use an objective with `Distortion` (as `sigma_vae` does)"
)
RECIPES: dict[str, Sentence] = {}


class Recipe:
    """A model and what it is trained for.

    Raises `Mistake` where they cannot go together, when it is built rather than after an hour of training.
    """

    @checked
    def __init__(self, model: LatentVariableModel, objective: Objective | Term) -> None:
        self.model = model
        self.objective = weighed(1.0, objective) if isinstance(objective, Term) else objective
        if self.objective.needs_density and not model.latent.has_density:
            raise Mistake(f"this objective asks for log q(z|x): {NO_DENSITY}")
        if self.objective.needs_moments and not model.latent.has_moments:
            raise Mistake("this objective charges for the distance from the prior's mean, and the prior has none: use N(0, I)")
        if self.objective.needs_choice and not model.latent.has_choice:
            raise Mistake("this objective charges for rounding, and the posterior rounds nothing: use a codebook (`vq_vae`)")
        if self.objective.needs_product and not model.latent.has_product:
            raise Mistake("this objective reads q(z|x) dimension by dimension, and the posterior is no product: use a Gaussian")
        if self.objective.needs_image and len(model.likelihood.event) != 3:
            raise Mistake(f"this objective compares images, and one example has shape {model.likelihood.event}: use `vae`")
        if self.objective.needs_places and not model.likelihood.resizes:
            raise Mistake(
                "this objective decodes codes of other sizes, and the decoder takes one: use a code of places (tokenizer_kl) "
                "and a net of convolutions"
            )
        if self.objective.needs_fidelity:
            raise Mistake("this objective weighs a critic against the fidelity, and has none: add Distortion()")
        if self.objective.needs_classifier and model.classifier is None:
            raise Mistake("this objective teaches a classifier, and the model has none: build it by `inferring` (`m2_vae`)")
        asked = self.objective
        if model.classifier is not None and (asked.needs_product or asked.needs_moments or asked.needs_choice):
            raise Mistake("this objective reads one q(z|x), and the model has one for each class: charge Distortion() + Rate()")
        if not self.objective.is_likelihood and [*model.likelihood.family.parameters()]:
            raise Mistake(
                "nothing in this objective would teach the likelihood its scale, since its fidelity is no log p(x|z): "
                "use optimal-gaussian, which solves it, and of counts poisson, which has none"
            )

    @property
    def no_likelihood(self) -> str | None:
        """The reason why there is no log p(x) to estimate, in a sentence; None where there is one."""
        if not self.model.latent.has_density:
            return NO_DENSITY
        if not self.model.latent.exact_prior:
            return ESTIMATED
        return None if self.objective.is_likelihood else NO_LIKELIHOOD

    def refuse_unlikely(self) -> None:
        """Raises `Mistake` where there is no log p(x)."""
        if self.no_likelihood:
            raise Mistake(self.no_likelihood)

    def __repr__(self) -> str:
        return shown.text("Recipe", self._told_of())

    def _repr_html_(self) -> str:
        return shown.page("Recipe", self._told_of())

    def _told_of(self) -> list[shown.Line]:
        """The sentence in its parts, and how many weights it has, and each player beside the model."""
        counted = f"{sum(one.numel() for one in self.model.parameters()):,}"
        parts = [*_parts_of(self.model), ("objective", str(self.objective), ""), ("weights", counted, "")]
        return [*parts, *((one.name, f"{sum(w.numel() for w in one.weights):,} weights", "") for one in self.objective.players)]


def _parts_of(model: LatentVariableModel) -> list[shown.Line]:
    latent, likelihood = model.latent, model.likelihood
    of_x = ("p(x|z)", f"{type(likelihood.family).__name__} of shape {likelihood.event}", "")
    return [*latent.told(), of_x]


def recipe(sentence: Sentence) -> Sentence:
    """Registers a named model: a function (data, **options) -> Recipe."""
    if not callable(sentence):
        raise Mistake(f"a recipe is a function (data, …) -> legato.Recipe, got {sentence!r}")
    RECIPES[sentence.__name__] = sentence
    return sentence


def prefers(likelihood: str | None = None, net: NetName = "auto") -> Callable[[Sentence], Sentence]:
    """Marks a recipe that is about one likelihood, or made of one net: `auto` means that one, an explicit word still wins."""

    def mark(sentence: Sentence) -> Sentence:
        @functools.wraps(sentence)  # keeps the recipe's signature, which is its configuration
        def told(data: DataSpec, *values: Any, **options: Any) -> Recipe:
            words = replace(data.words, net=net) if data.words.net == "auto" else data.words
            return sentence(replace(data, likelihood=likelihood or data.likelihood, words=words), *values, **options)

        told.prefers, told.net = likelihood, net  # type: ignore[attr-defined]  # a function's type knows no such attributes
        return told

    return mark


def lies_in_a_grid(sentence: Sentence) -> Sentence:
    """Marks a recipe whose words lie in a grid where a picture is large (`vocabulary.grid_of`), unless their number is said."""
    sentence.lies_in_a_grid = True  # type: ignore[attr-defined]  # a function's type knows no such attribute
    return sentence


def options_of(sentence: Sentence) -> dict[str, inspect.Parameter]:
    """The recipe's own options: its parameters after `data`."""
    return dict(list(inspect.signature(sentence).parameters.items())[1:])


def kind_of(parameter: inspect.Parameter) -> Any:
    """The type that an option says, or its default's; text is the builtin of that name. `Any` where neither tells."""
    said, builtin = parameter.annotation, {"int": int, "float": float, "str": str, "bool": bool}
    if said in builtin.values():
        return said
    if said is inspect.Parameter.empty and parameter.default not in (None, inspect.Parameter.empty):
        said = type(parameter.default).__name__
    return builtin.get(said, Any) if isinstance(said, str) else Any
