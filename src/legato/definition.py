"""A recipe as it is written down, and back: its name, its options, the shared words.

Covered: looking a recipe up, filling in its options, `recipe.json`, a person's own `module:function`.
Not covered: what a recipe is (recipe.py); the named ones (recipes/).
"""

from __future__ import annotations

import importlib
import inspect
import math
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

import legato.recipes  # noqa: F401  (registers the named ones)
from legato.arguments import held
from legato.errors import Mistake, near, unknown
from legato.recipe import RECIPES, Recipe, Sentence, kind_of, options_of
from legato.schema import holding
from legato.setting import DataSpec, Words
from legato.types import Shape
from legato.vocabulary import grid_of, resolve


@dataclass(frozen=True)
class Definition:
    """A recipe as it is written down: its name, its options, the shared words. What `recipe.json` holds."""

    name: str  # a registered name, or module:function: code is named and never stored
    options: dict[str, Any]
    words: Words

    def build(self, data: DataSpec, module: str | None = None) -> Recipe:
        """The recipe for these data. `module`: the person's own module that may be imported, if the recipe is one of theirs."""
        made = find(self.name, module)(replace(data, words=self.words), **self.options)
        asked, event = self.words.latent_shape, made.model.latent.event
        if asked is not None and event != asked:
            raise Mistake(f"`{self.name}` makes codes of shape {event} and takes no `latent_shape`: leave it out")
        return made

    def fault(self, module: str | None = None) -> str | None:
        """A fault of the options by the recipe's signature; None where there is none. What a file says is checked so."""
        own = options_of(find(self.name, module))
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in own.values()):
            return None
        if foreign := [name for name in self.options if name not in own]:
            return f"`{self.name}` has no option `{foreign[0]}`: {near(foreign[0], own)}"
        return holding({name: kind_of(parameter) for name, parameter in own.items()}, self.options)

    def sentence(self) -> str:
        """The call that would make it: vae(latent_dim=32, beta=1.0, net=residual, …); words without a value are left out."""
        said = {name: value for name, value in (self.options | asdict(self.words)).items() if value is not None}
        return f"{self.name}({', '.join(f'{name}={value}' for name, value in said.items())})"

    def to_json(self) -> dict[str, Any]:
        """Flat: {"recipe": "vae", "latent_dim": 32, "beta": 1.0, "net": "residual", …}."""
        shape = self.words.latent_shape
        # a list, as it will be read: JSON has no tuples
        return {"recipe": self.name, **self.options, **asdict(self.words), "latent_shape": shape and list(shape)}

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Definition:
        """The inverse of `to_json`."""
        words = {name: stored[name] for name in asdict(Words()) if name in stored}
        if "recipe" not in stored:
            raise Mistake("recipe.json names no recipe: it is not one that Legato wrote")
        options = {name: value for name, value in stored.items() if name not in words and name != "recipe"}
        return Definition(stored["recipe"], options, Words(**words))


def define(name: str | Sentence, data: DataSpec, **chosen: Any) -> Definition:
    """A definition with every option and word filled in. `chosen` mixes the recipe's options and the shared words.

    Raises `Mistake` for a recipe, an option or a word that does not exist, naming the nearest that does.
    """
    sentence = name if callable(name) else find(name, module_of(name))
    own, shared = options_of(sentence), asdict(Words())
    for option in chosen:
        if option not in own and option not in shared:
            raise unknown(f"option of `{_name(sentence)}`", option, [*own, *shared])
        if option in own and isinstance(chosen[option], float) and not math.isfinite(chosen[option]):
            raise Mistake(f"`{option}` of `{_name(sentence)}` is {chosen[option]}: expected a finite number")
    words = Words(**{word: _word(word, value) for word, value in chosen.items() if word in shared})
    if words.net == "auto":
        words = replace(words, net=getattr(sentence, "net", "auto"))
    implied = _implied(words.latent_shape, own, chosen)
    options = {o: chosen.get(o, p.default) for o, p in own.items() if p.kind is not inspect.Parameter.VAR_KEYWORD}
    if words.latent_shape is None and getattr(sentence, "lies_in_a_grid", False) and "latent_dim" not in chosen:
        words = replace(words, latent_shape=grid_of(replace(data, words=words), options["token_dim"]))
        implied = _implied(words.latent_shape, own, {})
    options |= implied
    missing = [o for o, value in options.items() if value is inspect.Parameter.empty]
    if missing:
        raise Mistake(f"`{_name(sentence)}` needs a value for {', '.join(f'`{o}`' for o in missing)}")
    options = {o: held(kind_of(own[o]), value, f"`{o}` of `{_name(sentence)}`") for o, value in options.items()}
    return Definition(_name(sentence), options, resolve(replace(data, words=words), preferred(sentence)))


def _implied(shape: Shape | None, own: Iterable[str], chosen: dict[str, Any]) -> dict[str, int]:
    """The options that a code's shape settles: how many latents there are; of tokens, each C numbers long, how many."""
    if shape is None:
        return {}
    tokens = "token_dim" in own
    found = {"latent_dim": math.prod(shape[1:] if tokens else shape), "token_dim": shape[0]}
    if twice := [option for option in found if option in chosen]:
        raise Mistake(f"`latent_shape` says how large a code is, and so does `{twice[0]}`: give one of the two")
    return {option: value for option, value in found.items() if option in own}


def _word(word: str, value: Any) -> Any:
    """A shared word's value, held to its type; names are looked up where they mean something (`resolve`), shapes in `Words`."""
    return value if word in ("net", "likelihood", "latent_shape") else held(get_type_hints(Words)[word], value, f"`{word}`")


def preferred(sentence: Sentence) -> str | None:
    """The likelihood that a recipe is about, if it is about one (`sigma_vae`)."""
    return getattr(sentence, "prefers", None)


def module_of(name: str) -> str | None:
    """`my_models:tiny` -> `my_models`; None for a registered name."""
    return name.partition(":")[0] if ":" in name else None


def find(name: str, module: str | None = None) -> Sentence:
    """The recipe called `name`. A `module:function` is imported only where the caller names that very module."""
    if ":" not in name:
        if name not in RECIPES:
            raise unknown("recipe", name, RECIPES)
        return RECIPES[name]
    if module_of(name) != module:
        raise Mistake(
            f"this recipe is `{name}`, code of your own: name its module to allow its import (--module {module_of(name)})"
        )
    return _import(name)


def _import(name: str) -> Sentence:
    module, _, function = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # a person's module lies where they stand, as with `python -m`
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ModuleNotFoundError as error:
        raise Mistake(
            f"no module named `{error.name}` to read the recipe `{name}` from: run this where the file lies"
        ) from error
    if not callable(found):
        raise Mistake(f"`{module}` has no function `{function}`: expected def {function}(data, …) -> legato.Recipe")
    sentence: Sentence = found
    return sentence


def _name(sentence: Sentence) -> str:
    name = sentence.__name__
    return name if RECIPES.get(name) is sentence else f"{sentence.__module__}:{name}"
