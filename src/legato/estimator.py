"""scikit-learn estimators: `VAE` and `Autoencoder`, any recipe by name, fitted in memory.

Arrays in, arrays out, in the data's own units and in the form that they were given in: vectors (N, D), data frames, pictures
(N, H, W), (N, H, W, C) or (N, C, H, W). Covered: `Pipeline`, `GridSearchCV`, `clone`, joblib, `set_output`, pickling (the state
is JSON and the bytes of a safetensors file). Not covered: a RUN on a disk (`legato.train`), other measures (`legato.measure`).
"""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import Annotated, Any, Literal, Self, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils import check_array, check_random_state
from sklearn.utils.validation import validate_data

from legato.arguments import Seed, check_fields, held
from legato.data.as_trained import Form
from legato.data.dataset import Dataset
from legato.data.in_memory import as_array
from legato.data.options import DataOptions, Layout, Values
from legato.data.unstored import as_given, more, unstored
from legato.devices import choose
from legato.errors import Mistake, unknown
from legato.latent_space import LatentSpace
from legato.recipe import Recipe, Sentence
from legato.schema import Within
from legato.setting import Words
from legato.training import fitting, packed
from legato.training.chosen import OfRecipes, RecipeName
from legato.training.options import TrainingOptions
from legato.training.task import Task
from legato.types import Doubles, Floats, Temperature

LENGTH = ("steps", "epochs")
TRAINING = (*LENGTH, "batch_size", "learning_rate", "warmup_steps", "weight_decay", "clip", "ema", "precision")
DATA = ("values", "layout")


class Parameters(OfRecipes, total=False):
    """Parameters that an estimator takes by name beside its recipe: the shared words, what recipes take, and these.

    `options`: those of a recipe of one's own. `score_draws`: importance weights per row. `threads` and `precision`: 1
    and float32, so that a fit does not depend on the chip, and leaves the other cores to joblib's workers.
    """

    steps: int | None
    epochs: float | None
    batch_size: int | None
    learning_rate: float | None
    warmup_steps: int
    weight_decay: float
    clip: float
    ema: float
    precision: Literal["auto", "float32", "bfloat16"]
    values: Values
    layout: Layout
    random_state: Any
    score_draws: int
    device: str
    threads: int
    options: dict[str, Any] | None


Origin = Literal["auto", "prior", "codes"]  # a mixture would be fitted to the rows, which are not kept
OWN: dict[str, Any] = {
    "precision": "float32",
    "random_state": 0,
    "score_draws": 100,
    "device": "auto",
    "threads": 1,
    "options": None,
}
SAID = {field.name: field.default for kind in (TrainingOptions, DataOptions, Words) for field in fields(kind)}
DEFAULTS: dict[str, Any] = {name: OWN.get(name, SAID.get(name)) for name in Parameters.__annotations__}


class Refused(Mistake, ValueError):
    """A mistake in what an estimator was given: scikit-learn expects a `ValueError`, Legato a line that says how to mend it."""


class WrongType(Mistake, TypeError):
    """The same of what is no numbers at all."""


@contextmanager
def _refusing() -> Iterator[None]:
    """Tells in one line what scikit-learn or Legato refuses in this block."""
    try:
        yield
    except NotFittedError:  # a ValueError, too, by which scikit-learn's tools know an estimator that was not fitted
        raise
    except (Mistake, ValueError, TypeError) as error:
        kind = WrongType if isinstance(error, TypeError) else Refused
        raise kind(_one_line(str(error))) from None


def _one_line(refusal: str) -> str:
    first, *rest = refusal.splitlines()
    if " contains " in first and rest:  # NaN, infinity: what follows is advice on other estimators
        return f"{first.rstrip('.')}: fill them in, or leave those rows out"
    return " ".join([first, *rest])


def _signature(recipe: str) -> inspect.Signature:
    """An estimator's parameters by name: what scikit-learn clones, prints and searches."""
    named = inspect.Parameter.KEYWORD_ONLY
    given = {"self": inspect.Parameter.POSITIONAL_OR_KEYWORD, "recipe": inspect.Parameter.POSITIONAL_OR_KEYWORD}
    defaults = {"self": inspect.Parameter.empty, "recipe": recipe, **DEFAULTS}
    return inspect.Signature([inspect.Parameter(name, given.get(name, named), default=one) for name, one in defaults.items()])


class _Estimator(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]  # untyped bases
    """The common part of both estimators.

    The parameters are those of `legato.train` that need no folder; None is the recipe's own default, or what suits the net.
    A row's figures depend on nothing but the row: the posterior's mean where a code is asked for, the same draws for every row
    where draws are. `space_` is the fitted `LatentSpace`, with all that one can do.
    """

    _needs_density = False  # True: its score is log p(x), which the recipe must have
    _fitted: fitting.Fitted
    recipe: RecipeName | Sentence
    score_draws: int

    def _keep(self, recipe: str | Sentence, chosen: dict[str, Any]) -> None:
        if foreign := [name for name in chosen if name not in DEFAULTS]:
            raise unknown(f"parameter of `{type(self).__name__}`", foreign[0], ["recipe", *DEFAULTS])
        # unchecked until `fit`: scikit-learn's `clone` wants each parameter back as it was given
        self.__dict__.update({"recipe": recipe, **DEFAULTS, **chosen})

    def fit(self, X: Any, y: Any = None) -> Self:
        """Trains on all rows of X; y is ignored. Without `steps` or `epochs`: 20 epochs, at least 300 steps.

        Raises `Mistake` (a `ValueError`, too) for what cannot be trained on, and for parameters that mean nothing.
        """
        with _refusing():
            array = self._numbers(X, reset=True)
            # Both at once: a fit that fails leaves what was fitted before.
            self._fitted, self._example = fitting.fit(self._begun(array)), array.shape[1:]
        return self

    def partial_fit(self, X: Any, y: Any = None) -> Self:
        """One pass over the rows of X, each once, at the peak learning rate; y is ignored.

        The first call, or `fit`, settles how rows are prepared (the mean and scale of each column): give it rows that are like
        all. Weights that follow a share of the run, such as a warm-up of β, are where they end from the first step on.
        """
        with _refusing():
            if hasattr(self, "_fitted"):
                task = fitting.again(self._fitted, self._more(X), self._options(), self._device(), self._threads())
                self._fitted = fitting.go_on(task, self._fitted.step)
            else:
                array = self._numbers(X, reset=True)
                self._fitted, self._example = fitting.go_on(self._begun(array, endless=True), 0), array.shape[1:]
        return self

    def transform(self, X: Any) -> Floats:
        """Codes (N, latent_dim): the mean of q(z|x) for each row, the same as `space_.encode`."""
        with _refusing():
            return self.space_.encode(*self._rows(X))[0]

    def inverse_transform(self, Z: Any) -> Floats:
        """The mean of p(x|z) for codes (N, latent_dim), in the data's own units (8-bit data: 0 … 255) and in their form."""
        with _refusing():
            return self._in_form(self.space_.decode(check_array(Z, input_name="Z")))

    def sample(
        self, n_samples: int = 1, *, random_state: Any = None, origin: Origin = "auto", temperature: Temperature = 1.0
    ) -> Floats:
        """n decoded draws, in the data's own units and in their form. `random_state`: None is the estimator's own.

        `origin`: the `prior`, or a Gaussian fitted to the training `codes`; auto is the prior where training charged for
        leaving it. Deviations from the mean are multiplied by `temperature`.
        """
        with _refusing():
            seed = self._trained_seed if random_state is None else _seed_of(random_state)
            of = held(Origin, origin, "`origin` of `sample`")
            return self._in_form(self.space_.sample(n_samples, seed=seed, origin=of, temperature=temperature))

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`; higher is better, so that `GridSearchCV` needs no scoring of its own."""
        return float(self.score_samples(X).mean())

    @abstractmethod
    def score_samples(self, X: Any) -> Doubles:
        """A figure for each row, (N,), nats, higher for what is more like the training data."""

    @property
    def space_(self) -> LatentSpace:
        """The fitted latent space: interpolate, traverse, draw and more. Raises `NotFittedError` before `fit`."""
        if not hasattr(self, "_fitted"):
            name = type(self).__name__
            raise NotFittedError(f"this {name} is not fitted yet: call `fit` or `partial_fit` first")
        return self._fitted.space

    @property
    def _n_features_out(self) -> int:
        return self.space_.latent_dim

    @property
    def _trained_seed(self) -> int:
        return int(self.space_.kept.stored("training")["seed"])

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "_fitted")

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        if fitted := state.pop("_fitted", None):
            state["_told"], state["_tensors"] = packed.pack(fitted)
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        told, tensors = state.pop("_told", None), state.pop("_tensors", None)
        self.__dict__.update(state)
        if told is not None:
            self._fitted = packed.unpack(told, tensors, self._device())

    def _begun(self, array: NDArray[Any], endless: bool = False) -> Task:
        """The training that the parameters ask for, of rows that settle what a row is. Raises `Mistake`."""
        said = {name: value for name in OfRecipes.__annotations__ if (value := getattr(self, name)) is not None}
        own = {} if self.options is None else dict(self.options)
        dataset = unstored(array, self._taken(DataOptions, DATA))
        place, threads = self._device(), self._threads()
        task = fitting.begin(self.recipe, dataset, self._options(), said | own, place, threads, endless)
        learner = task.learner
        if self._needs_density and Recipe(learner.model, learner.objective).no_likelihood:
            name = task.definition.name
            raise Mistake(f"`{name}` has no log p(x), which a VAE is scored by: use legato.Autoencoder(recipe='{name}')")
        return task

    def _options(self) -> TrainingOptions:
        options: TrainingOptions = self._taken(TrainingOptions, TRAINING, seed=_seed_of(self.random_state))
        return options

    def _taken(self, kind: Any, names: tuple[str, ...], **more: Any) -> Any:
        taken = kind(**{name: getattr(self, name) for name in names}, **more)
        check_fields(taken)
        return taken

    def _device(self) -> torch.device:
        return choose(self.device)

    def _threads(self) -> int:
        return int(held(Annotated[int, Within(1, 4096)], self.threads, "`threads`"))

    def _more(self, X: Any) -> Dataset:
        """Rows of the same shape and kind."""
        return more(self._numbers(X, reset=False), Form(self.space_.shape, self.space_.preparation), self._form)

    def _rows(self, X: Any) -> tuple[NDArray[Any], NDArray[np.int64] | None]:
        """Rows, and their numbers where these fix how pixels are drawn: 0 for all, so that a row's place does not matter."""
        rows = np.asarray(self._more(X).rows)
        return rows, np.zeros(len(rows), np.int64) if self.space_.preparation.binarise else None

    def _numbers(self, X: Any, reset: bool) -> NDArray[Any]:
        """X as an array that passed scikit-learn's checks; a table's count and names of columns are kept or compared."""
        array = as_array(X)
        if array is None or array.ndim < 3:  # scikit-learn names and counts the columns of tables alone
            return np.asarray(validate_data(self, X, reset=reset))
        if reset:
            self.n_features_in_ = math.prod(array.shape[1:])
            self.__dict__.pop("feature_names_in_", None)  # left by a fit on a frame; pictures have no columns
        return np.asarray(check_array(array, allow_nd=True, estimator=self, input_name="X"))

    @property
    def _form(self) -> DataOptions:
        """The options with which rows were read."""
        return DataOptions(layout=self.space_.kept.stored("data")["options"]["layout"])

    def _in_form(self, decoded: Floats) -> Floats:
        """Decoded rows as they were given: (N, *example), bytes from 0 to 255."""
        grey = np.float32(255) * decoded if self.space_.preparation.kind == "bytes" else decoded
        return as_given(grey, self._example, self._form)

    def _one_by_one(self, X: Any, log_p: Callable[[NDArray[Any], NDArray[np.int64] | None], Floats]) -> Doubles:
        """`log_p` of each row by itself, (N,): not even its rounding depends on what it is given with.

        Of a density it becomes that of the row in its own units; a probability has none.
        """
        space, (rows, numbers) = self.space_, self._rows(X)
        found = np.concatenate([log_p(row[None], None if numbers is None else numbers[:1]) for row in rows])
        counted = space.model.likelihood.family.levels is not None
        return found.astype(np.float64) - (0.0 if counted else space.preparation.log_volume(space.shape))


def _seed_of(random_state: Any) -> int:
    """A seed: a whole number is one; None and a generator draw one, as everywhere in scikit-learn."""
    if random_state is None or isinstance(random_state, np.random.RandomState):
        return int(check_random_state(random_state).randint(2**31 - 1))
    return int(held(Seed, random_state, "`random_state`"))


class VAE(_Estimator):
    """A variational autoencoder as a scikit-learn transformer and density: `recipe` is the name of any that has log p(x).

    >>> codes = VAE(latent_dim=2).fit_transform(X)

    Parameters, all by name: what the recipe takes (`latent_dim`, `beta`, …), the words of its net and likelihood (`net`,
    `width`, `likelihood`, …), the length (`steps` or `epochs`) and the rest of a training as in `legato.train`, and
    `random_state`, `score_draws`, `threads`, `device`. None is the recipe's own default, or what suits the net.

    Figures of `score_samples` are log p(x) in nats, a lower bound by importance weighting. Kingma & Welling 2013,
    https://arxiv.org/abs/1312.6114.
    """

    _needs_density = True

    def __init__(self, recipe: RecipeName | Sentence = "vae", **chosen: Unpack[Parameters]) -> None:
        self._keep(recipe, dict(chosen))

    __init__.__signature__ = _signature("vae")  # type: ignore[attr-defined]  # what scikit-learn and notebooks read

    def score_samples(self, X: Any) -> Doubles:
        """log p(x) of each row, (N,), nats, in the data's own units: log (1/k) Σᵢ p(x, zᵢ)/q(zᵢ|x) with k = `score_draws`.

        A stochastic lower bound (Burda et al. 2016, https://arxiv.org/abs/1509.00519, eq. 8). Every row is scored by itself
        with the same k draws of noise, so that it does not matter what it is given with. A density is one in X's units: the sum
        of the logarithms of the columns' scales is taken off, of bytes D·log 255. −inf for a row that is too far off for
        single precision.
        """
        with _refusing():
            draws, seed, space = self.score_draws, self._trained_seed, self.space_
            return self._one_by_one(X, lambda row, number: space.score(row, number, k=draws, seed=seed))


class Autoencoder(_Estimator):
    """An autoencoder as a scikit-learn transformer: `recipe` is the name of any; what is scored is how well a row is put back.

    >>> codes = Autoencoder(latent_dim=2).fit_transform(X)

    The parameters are those of `VAE`.
    """

    def __init__(self, recipe: RecipeName | Sentence = "autoencoder", **chosen: Unpack[Parameters]) -> None:
        self._keep(recipe, dict(chosen))

    __init__.__signature__ = _signature("autoencoder")  # type: ignore[attr-defined]  # what scikit-learn and notebooks read

    def score_samples(self, X: Any) -> Doubles:
        """Minus the distortion of each row, (N,), nats, in the data's own units: log p(x|z) at the row's own code z.

        This is no likelihood of x: an autoencoder has none. It does not charge for the code, so that more latents always score
        better on the training data; compare models of one size, on held-out rows.
        """
        with _refusing():
            return self._one_by_one(X, lambda row, number: -self.space_.distortion(row, number))
