"""A trained model in use: encode, decode, reconstruct, sample, interpolate, traverse, score. NumPy in, NumPy out.

Everything is deterministic: posterior means where a point is asked for, a seed where draws are. No graph is ever built.
Not covered: how one is had from a RUN (loading.py), pictures (pictures.py), figures with intervals (measures/).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato import shown
from legato.arguments import Seed, checked, numbers, one_for_each
from legato.classes import check_labels, number_of, unlabelled
from legato.codes import dimensions, path, spread, stops_of, swept
from legato.data.preparation import Preparation, Units, beyond, refuse_beyond
from legato.data.prepared import Prepared, reopen
from legato.data.units import named
from legato.definition import Definition
from legato.devices import drawing, widest
from legato.errors import Mistake, tell
from legato.fitted.kept import read
from legato.fitted.matching import DIRECT, Way
from legato.label import steered
from legato.lazy import lazy
from legato.model import LatentVariableModel
from legato.moments import Moments, shapes, whole
from legato.moments import moments as moments_of
from legato.pictures import grid, png_of
from legato.population import HALVES, Mixture, check_draw, of_rows
from legato.ranked import by_spread, by_validation
from legato.recipe import Recipe
from legato.run import Run
from legato.streams import random_stream
from legato.trace import NOTHING, Given
from legato.types import Doubles, Floats, Integers, Precision, Rows, Shape, Temperature
from legato.unsaved import Kept, told_of

BATCH = 500  # examples at a time on the CPU: bounded memory, full speed
Origin = Literal["auto", "prior", "codes", "mixture"]
TRAVERSED = 256  # dimensions that are swept where none are named: each is a row of codes as long as there are dimensions
Function = Callable[[Tensor, Given], Tensor]
Again = tuple[Callable[..., "LatentSpace"], tuple[Any, ...]]
Loaded = tuple[str | None, int | None]  # the module and the step by which a run was loaded, and is loaded again


class LatentSpace:
    """A trained model and the preparation of its data. `kept`: the RUN of its training, or what of it lies in memory.

    x (N, *shape): as the source stores it (bytes 0 … 255, or real numbers); of 8-bit data, floats in [0, 1] count as prepared
    (0 and 1 where pixels are drawn: a grey level under a Bernoulli would give no likelihood).
    z (N, latent_dim). Decoded values are in [0, 1] for pictures, in the data's own units for real numbers.
    """

    def __init__(self, recipe: Recipe, preparation: Preparation, shape: Shape, kept: Kept, definition: Definition) -> None:
        self.recipe, self.preparation, self.shape, self.kept, self.definition = recipe, preparation, shape, kept, definition
        self.model: LatentVariableModel = recipe.model.eval().requires_grad_(False)  # no graph, and solved scales are frozen
        self.device = next(self.model.parameters()).device
        self._told: set[str] = set()
        self.latent_dim = int(np.prod(self.model.latent.event))
        self.loaded: Loaded | None = None
        self.again: Again | None = None  # called where it is unpickled
        self.given: Any = None  # what it was trained on where that lay in memory, which no run keeps
        self.one: int | None = None  # the class that is looked at: then data, codes and draws are of it alone

    @property
    def run(self) -> Run:
        """The RUN that it was loaded from. Raises `Mistake` where it was fitted in memory."""
        return self.kept.saved()

    @property
    def has_density(self) -> bool:
        """False for an autoencoder: it has no rate and no log p(x)."""
        return self.model.latent.has_density

    @property
    def has_width(self) -> bool:
        """True where a code is a cloud, with a σ: not of points and of codebooks."""
        return self.model.latent.has_width

    @property
    def has_standard_prior(self) -> bool:
        """True where the model's prior is N(0, I)."""
        return self.model.latent.standard_prior

    @property
    def prior_was_trained(self) -> bool:
        """True where the objective charged for leaving the prior; else it means nothing to the decoder."""
        return self.recipe.objective.charges_rate

    @property
    def beta(self) -> float:
        """The price of a nat of rate in nats of distortion where training ended; 0 where it cost nothing."""
        return self.recipe.objective.price(self.kept.read_metrics)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes that the model knows; none where it reads no label."""
        return self._names if self.model.classes else ()

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.kept.stored("data").get("classes", ()))

    @checked
    def of_class(self, name: str | int) -> LatentSpace:
        """The model of one class, by its name: p(x|z, y), with the data of that class alone, all of a source without labels.

        Of a model that reads none under a prior that does (`under`), draws of the class. Raises `Mistake` for a model that
        reads no label, and for a class that it does not know.
        """
        number = number_of(str(name), self._names if steered(self.model) else (), f"`{self.kept}` (`{self.definition.name}`)")
        one = self.with_model(self.model.of_class(number), (LatentSpace.of_class, (self, str(name))))
        one.one = number if self.model.classes else None
        return one

    @checked
    def under(self, name: str, *, way: Way = DIRECT) -> LatentSpace:
        """The model under a prior that was fitted to its codes (`legato refit`), by its name: p(z) is that, followed in `way`.

        Raises `Mistake` for a name that its RUN does not have, and for models of several groups of latents.
        """
        model = self.model.under(way.of(read(self.run.priors, name, self.model)))
        model = model if self.one is None else model.of_class(self.one)
        return self.with_model(model, (partial(LatentSpace.under, way=way), (self, name)))

    def with_model(self, model: LatentVariableModel, again: Again | None = None) -> LatentSpace:
        """The same with a model that was made of its own, `again` where the run is loaded anew."""
        one = LatentSpace.__new__(LatentSpace)  # `copy.copy` would load the run anew, by `__reduce__`
        one.__dict__.update({name: value for name, value in self.__dict__.items() if name != "mixture"})  # of other codes
        one.recipe = copy.copy(self.recipe)
        one.model = one.recipe.model = model
        one.again = None if self.again is None else again
        return one

    def labels(self, data: Prepared, rows: Rows) -> Integers | None:
        """The class of each of these rows, (n,), where the model reads it; the likeliest where it infers it."""
        if self.model.infers_class:
            return np.asarray(self.classify(data.dataset.take(rows), rows).argmax(1))
        return data.labels(rows) if self.model.classes else None

    @checked
    def classify(self, x: NDArray[Any], rows: Rows | None = None) -> Floats:
        """q(y|x), (N, classes), in the order of `classes`. Raises `Mistake` for a model that infers no class."""
        if (of := self.model.classifier) is None:
            raise Mistake(f"`{self.kept}` (`{self.definition.name}`) infers no classes: `m2_vae` does")
        return self._over(lambda batch, given: of(batch).exp(), self.prepare(x, rows))

    def _refuse_unlabelled(self, needed: bool) -> None:
        if needed:
            raise unlabelled(str(self.kept), self.classes)

    def data(self, source: Any = None) -> Prepared:
        """The run's own data, or another source, prepared as the run's were. Says on stderr, once, where data have changed."""
        found = reopen(self.kept.stored("data"), self.given if source is None else source)
        for remark in found.remarks:
            if remark not in self._told:
                tell(f"{self.kept}: {remark}")
        self._told.update(found.remarks)
        return found if self.one is None else found.of_class(self.one)

    @checked
    def encode(self, x: NDArray[Any], rows: Rows | None = None, label: Integers | None = None) -> tuple[Floats, Floats]:
        """μ and σ of q(z|x), (N, latent_dim) each, in order; σ = 0 for a point mass.

        `rows`: the examples' row numbers, which fix their one evaluation draw where pixels are binarised (default 0, 1, …).
        `label`: the class of each, (N,), for a model that reads it (`space.data().labels(rows)`; its names are `classes`).
        One that infers it needs none, and takes −1 for what is not known.
        """
        prepared = self.prepare(x, rows)
        mu, sigma = self.posterior(prepared, label)
        refuse_beyond(prepared, mu + sigma, rows)
        return mu, sigma

    def posterior(self, prepared: Floats, label: Integers | None = None) -> tuple[Floats, Floats]:
        """μ and σ of q(z|x), (N, latent_dim) each, of rows as the model sees them (`prepare`)."""

        def both(batch: Tensor, given: Given) -> Tensor:
            shown = self.model.summary(batch, given)
            return torch.stack([shown.mu.flatten(1), shown.width.flatten(1)], 1)

        codes = self._over(both, prepared, label=label)
        return codes[:, 0], codes[:, 1]

    def decode(self, z: NDArray[Any], label: Integers | None = None) -> Units:
        """The mean of p(x|z), (N, *shape), in the data's own units; float64 where they lie far from 0."""
        if not np.isfinite(numbers(z, "z")).all():
            raise Mistake("`z` holds NaN or infinite values: give finite codes")
        return self.preparation.restore(self.decode_prepared(z, label))

    def seen(self, z: NDArray[Any], label: Integers | None = None) -> Units:
        """`decode` as it is shown: pictures in [0, 1], also those of real numbers, over their training range."""
        return self.preparation.seen(self.decode(z, label))

    @property
    def columns(self) -> list[str]:
        """The names of the numbers of a table's row: its columns, where the source named them."""
        return named((self.kept.stored("data").get("columns") or {}).get("used", []), self.shape[0])

    def decode_prepared(self, z: NDArray[Any], label: Integers | None = None) -> Floats:
        """The mean of p(x|z), (N, *shape), in units of the prepared data: what `posterior` takes."""
        z = self._codes(z)
        self._refuse_unlabelled(self.model.needs_class and label is None)
        return self._over(self.decoder, z, label=None if label is None else check_labels(label, len(z), self.model.classes))

    def _codes(self, z: NDArray[Any]) -> Floats:
        z = numbers(z, "z").astype(np.float32, copy=False)
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise Mistake(f"`z` must have shape (N, {self.latent_dim}), got {z.shape}")
        return z

    def draw_prepared(self, z: NDArray[Any], seed: int = 0, label: Integers | None = None) -> Floats:
        """One draw x ~ p(x|z) for each z, (N, *shape), as the model sees data: with the likelihood's own noise."""

        def draw(batch: Tensor, given: Given) -> Tensor:
            return torch.as_tensor(self.model.likelihood(batch.reshape(-1, *self.model.latent.event), given).sample())

        return self._over(draw, np.asarray(z, np.float32), seed, label=label)

    def decoder(self, z: Tensor, given: Given = NOTHING) -> Tensor:
        """The same as a function of tensors, (N, latent_dim) -> (N, *shape): it may be differentiated."""
        return self.model.decode(z.reshape(-1, *self.model.latent.event), given)

    @checked
    def reconstruct(self, x: NDArray[Any], rows: Rows | None = None, label: Integers | None = None) -> Units:
        """The decoded mean of the posterior's mean, (N, *shape)."""
        if self.model.infers_class:
            found = self.classify(x, rows).argmax(1)
            label = found if label is None else np.where(label < 0, found, label)
        return self.decode(self.encode(x, rows, label)[0], label)

    @checked
    def redrawn(
        self, z: NDArray[Any], keep: int, label: Integers | None = None, *, temperature: Temperature = 1.0, seed: Seed = 0
    ) -> Floats:
        """Codes whose first `keep` levels, from the top, are those of z (N, latent_dim), the rest drawn from p(z_l|z_{<l})."""
        rng, latent = np.random.default_rng(seed), self.model.latent
        said, codes = latent.temperatures(temperature), self._codes(z)
        return self._over(lambda code, given: latent.continued(code, keep, rng, said, given), codes, label=label)

    @checked
    def draw(self, n: int, *, seed: Seed = 0, origin: Origin = "auto", temperature: Temperature = 1.0) -> Floats:
        """n codes, (n, latent_dim): from the `prior`, a Gaussian fitted to the training `codes`, or a `mixture` of such.

        auto: the prior where the objective charged for leaving it, else the fitted Gaussian. Deviations from the mean (of a
        mixture: from each component's) are multiplied by `temperature`; of a prior with levels, each by its own where there is
        one for each, the top's first. The first draw from the mixture fits it (`mixture`).
        """
        self._refuse_unlabelled(self.model.needs_label)
        each = self.model.latent.temperatures(temperature)
        check_draw(n, each[0])
        if origin == "prior" or (origin == "auto" and self.prior_was_trained):
            # No stream of its own: a seed's draws stay what they always were.
            return self.draw_prior(n, np.random.default_rng(seed), each)
        if len(set(each)) > 1:
            raise Mistake("codes are drawn at one temperature, all levels at once: give one, or draw from the prior")
        if origin == "mixture":
            return self.mixture.draw(n, random_stream(seed, "draws", "mixture"), each[0]).astype(np.float32)
        known = self.moments()
        drawn = known.draw(n, random_stream(seed, "draws", "training codes"))
        return np.asarray(known.mean + each[0] * (drawn - known.mean), np.float32)

    def draw_prior(
        self, n: int, rng: np.random.Generator, temperature: Temperature = 1, dtype: Precision = np.float32
    ) -> Floats:
        """n codes from the model's own prior, (n, latent_dim), that `rng` fixes."""
        return self.model.latent.draw_prior(n, rng, temperature, dtype).reshape(n, -1)

    def log_prior(self, z: NDArray[Any]) -> NDArray[np.float64]:
        """log p(z) of codes (n, latent_dim), (n,), nats, in double precision."""
        code = torch.as_tensor(z, dtype=widest(self.device), device=self.device).reshape(-1, *self.model.latent.event)
        return np.asarray(self.model.latent.prior().log_prob(code).detach().cpu().double().numpy())

    @lazy
    def mixture(self) -> Mixture:
        """A mixture of Gaussians fitted to draws z ~ q(z|x) of 10,000 training images, its number of components chosen by the
        log density of those of 2,500 validation images; kept once fitted. The run's data must be where they were.
        Raises `Mistake` for codes of more than 4,096 dimensions.
        """
        data = self.data()
        rows = {of: data.split(of).draw(most, "mixture") for of, most in HALVES.items()}
        return of_rows(lambda some: self.posterior(data.rows(some)), rows, BATCH, self.latent_dim)

    @checked
    def sample(self, n: int, *, seed: Seed = 0, origin: Origin = "auto", temperature: Temperature = 1.0) -> Units:
        """Decoded means of n drawn codes, (n, *shape), of classes y ~ p(y) where the model infers them; of counts draws
        x ~ p(x|z), for a mean is no count.
        """
        z, of = self.draw(n, seed=seed, origin=origin, temperature=temperature), self.model.classifier
        label = of.draw(n, random_stream(seed, "classes")) if of and self.model.infers_class else None
        if self.preparation.kind == "counts":
            return self.preparation.restore(self.draw_prepared(z, seed, label))
        return self.decode(z, label)

    @checked
    def interpolate(self, stops: NDArray[Any], *, steps: int = 9, spherical: bool = False) -> Floats:
        """Codes from stop to stop, ((len(stops) − 1)·(steps − 1) + 1, latent_dim): linear, or along the great circle."""
        return path(stops_of(stops, steps, self.latent_dim), steps, spherical).astype(np.float32)

    @checked
    def traverse(
        self, anchor: NDArray[Any] | None = None, *, dims: Sequence[int] | None = None, steps: int = 9, span: float = 3.0
    ) -> tuple[list[int], NDArray[Any]]:
        """Dimensions, most informative first, and codes (len(dims), steps, latent_dim) that move only that dimension.

        It sweeps the training codes' mean ± `span` of their standard deviations; others stay at `anchor` (default: their mean).
        Where none are named, at most 256 of them.
        """
        known, at = self.moments(), spread(steps, span)
        mean, deviations = known.mean, np.sqrt(known.variances)
        chosen = self.ranking()[:TRAVERSED] if dims is None else dimensions(dims, self.latent_dim)
        start = mean if anchor is None else numbers(anchor, "anchor").astype(np.float64)
        return chosen, swept(start, chosen, mean, at[:, None] * deviations)

    def __repr__(self) -> str:
        return shown.text(*told_of(self.kept, self.definition.sentence(), self.shape))

    def _repr_html_(self) -> str:
        pictures = len(self.shape) == 3 and self.kept.has_moments
        picture = png_of(grid(self.seen(self.draw(16)), columns=8)) if pictures else None
        return shown.page(*told_of(self.kept, self.definition.sentence(), self.shape), picture)

    def __reduce__(self) -> Again:
        """Pickled by its run's path: unpickling loads the run from there, and executes nothing that is in the pickle."""
        if self.again is None:
            raise Mistake("a model that was not loaded from a run has no path to be pickled by: pickle what you need of it")
        return self.again

    @checked
    def score(
        self, x: NDArray[Any], rows: Rows | None = None, label: Integers | None = None, *, k: int = 100, seed: Seed = 0
    ) -> Floats:
        """log p(x) by importance weighting with exactly k draws, (N,), nats; of a label that is read log p(x|y), of one that is
        inferred, and given, log p(x, y). -inf for a row too far out for single precision. Raises `Mistake` where there is none
        (`Recipe.no_likelihood`). Whether to trust it is said by `k_hat` of `legato.measures.likelihood.score`.
        """
        self.recipe.refuse_unlikely()
        prepared = self.prepare(x, rows)
        found = self._over(lambda x, given: self.model.log_likelihood(x, k, given=given), prepared, seed, 100, label)
        return np.where(beyond(prepared) & ~np.isfinite(found), np.float32(-np.inf), found)

    @checked
    def distortion(self, x: NDArray[Any], rows: Rows | None = None, label: Integers | None = None) -> Floats:
        """−log p(x|z) at the posterior's mean, (N,), nats: what an autoencoder has instead of a likelihood of x."""

        def at_mean(batch: Tensor, given: Given) -> Tensor:
            given = self.model.settled(batch, given)
            log_px: Tensor = self.model.likelihood(self.model.summary(batch, given).mu, given).log_prob(batch)
            return -log_px

        prepared = self.prepare(x, rows)
        found = self._over(at_mean, prepared, label=label)
        return np.where(beyond(prepared) & ~np.isfinite(found), np.float32(np.inf), found)

    def prepare(self, x: NDArray[Any], rows: Rows | None = None) -> Floats:
        """x as the model sees it. Raises `Mistake` for another shape."""
        x = numbers(x, "x")
        return self.preparation.given(x, self.shape, None if rows is None else one_for_each(rows, len(x), "rows", "row number"))

    def moments(self) -> Moments:
        """Mean and covariance of the training codes (of the class that is looked at, if one is), `noise` their mean σ²."""
        like = {name: torch.empty(shape, device="meta") for name, shape in shapes(self.latent_dim).items()}  # shapes alone
        return moments_of({name: value.numpy() for name, value in self.kept.moments(like, self.one).items()})

    def codes(self) -> tuple[Doubles, Doubles, Doubles]:
        """Mean (d,), covariance (d, d) and mean σ² (d,) of the training codes. Raises `Mistake` above 4,096 dimensions."""
        known = self.moments()
        return known.mean, known.matrix(), known.noise

    def ranking(self) -> list[int]:
        """Latent dimensions, most informative first: by KL at the last validation, by Std μ where there is no KL.

        Of more than 4,096 the validation tells channels alone: by Std μ of the training codes.
        """
        if not whole(self.latent_dim):
            return by_spread(self.moments())
        return by_validation(self.kept.read_metrics(), self.latent_dim, self.prior_was_trained)

    @torch.no_grad()
    def _over(self, function: Function, x: Floats, seed: int = 0, size: int = 0, label: Integers | None = None) -> Floats:
        """`function` over x in batches of `size`, by default the device's, in order; the global generator is left as it was."""
        if not len(x):
            raise Mistake(f"there are no examples: expected (N, {', '.join(map(str, x.shape[1:]))}) with N of 1 or more")
        self._refuse_unlabelled(self.model.needs_label and label is None)
        held = check_labels(label, len(x), self.model.classes, self.model.infers_class) if label is not None else None
        known = None if held is None else torch.from_numpy(held).to(self.device)
        size = size or self.model.together(BATCH)
        blocks = [slice(at, at + size) for at in range(0, len(x), size)]
        givens = [NOTHING if known is None else Given(known[b]) for b in blocks]
        with drawing(self.device, seed):
            parts = [function(torch.from_numpy(x[b]).to(self.device), one).cpu() for b, one in zip(blocks, givens, strict=True)]
        return np.asarray(torch.cat(parts).numpy(), np.float32)
