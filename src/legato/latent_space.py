"""What people do with a trained model: encode, decode, reconstruct, sample, interpolate, traverse, score. NumPy in, NumPy out.

Everything is deterministic: posterior means where a point is asked for, a seed where draws are. No graph is ever built.
Not covered: pictures (pictures.py), figures with intervals (measures/).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from legato.data.preparation import Floats, Preparation
from legato.data.prepared import Prepared, reopen
from legato.devices import choose
from legato.errors import Mistake, tell
from legato.model import LatentVariableModel
from legato.recipe import Definition, Recipe
from legato.run import Run, read_tensors
from legato.setting import DataSpec
from legato.streams import random_stream

BATCH = 500  # examples at a time: bounded memory, full speed
Origin = Literal["auto", "prior", "codes"]


class LatentSpace:
    """A trained model and the preparation of its data.

    x (N, *shape): as the source stores it (bytes 0 … 255, or real numbers); of 8-bit data, floats in [0, 1] count as prepared
    (0 and 1 where pixels are drawn: a grey level under a Bernoulli would give no likelihood).
    z (N, latent_dim). Decoded values are in [0, 1] for pictures, in the data's own units for real numbers.
    """

    def __init__(
        self, recipe: Recipe, preparation: Preparation, shape: tuple[int, ...], run: Run, definition: Definition
    ) -> None:
        self.recipe, self.preparation, self.shape, self.run, self.definition = recipe, preparation, shape, run, definition
        self.model: LatentVariableModel = recipe.model.eval().requires_grad_(False)
        self.device = next(self.model.parameters()).device
        self._told: set[str] = set()
        self.latent_dim = int(np.prod(self.model.latent.event))

    @property
    def has_density(self) -> bool:
        """False for an autoencoder: it has no rate and no log p(x)."""
        return self.model.latent.has_density

    @property
    def prior_was_trained(self) -> bool:
        """Whether the objective charged for leaving the prior; else N(0, I) means nothing to the decoder."""
        return self.recipe.objective.charges_rate

    def data(self, source: Any = None) -> Prepared:
        """The run's own data, or another source, prepared as the run's were. Says on stderr, once, where data have changed."""
        found = reopen(self.run.stored("data"), source)
        for remark in found.remarks:
            if remark not in self._told:
                tell(f"{self.run.path}: {remark}")
        self._told.update(found.remarks)
        return found

    def encode(self, x: NDArray[Any], rows: NDArray[np.int64] | None = None) -> tuple[Floats, Floats]:
        """μ and σ of q(z|x), (N, latent_dim) each, in order; σ = 0 for a point mass.

        `rows`: the examples' row numbers, which fix their one evaluation draw where pixels are binarised (default 0, 1, …).
        """
        return self.posterior(self.prepare(x, rows))

    def posterior(self, prepared: Floats) -> tuple[Floats, Floats]:
        """μ and σ of q(z|x), (N, latent_dim) each, of rows as the model sees them (`prepare`)."""

        def both(batch: Tensor) -> Tensor:
            q = self.model.latent.posterior(batch)
            return torch.stack([q.mean.flatten(1), q.stddev.flatten(1)], 1)

        codes = self._over(both, prepared)
        return codes[:, 0], codes[:, 1]

    def decode(self, z: NDArray[Any]) -> Floats:
        """The mean of p(x|z), (N, *shape), in the data's own units."""
        return self.preparation.restore(self.decode_prepared(z))

    def decode_prepared(self, z: NDArray[Any]) -> Floats:
        """The mean of p(x|z), (N, *shape), in units of the prepared data: what `posterior` takes."""
        z = np.asarray(z, np.float32)
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise Mistake(f"`z` must have shape (N, {self.latent_dim}), got {z.shape}")
        return self._over(self.decoder, z)

    def draw_prepared(self, z: NDArray[Any], seed: int = 0) -> Floats:
        """One draw x ~ p(x|z) for each z, (N, *shape), as the model sees data: with the likelihood's own noise."""

        def draw(batch: Tensor) -> Tensor:
            likelihood = self.model.likelihood(batch.reshape(-1, *self.model.latent.event))
            return torch.as_tensor(likelihood.sample())

        return self._over(draw, np.asarray(z, np.float32), seed)

    def decoder(self, z: Tensor) -> Tensor:
        """The same as a function of tensors, (N, latent_dim) -> (N, *shape): it may be differentiated."""
        return self.model.decode(z.reshape(-1, *self.model.latent.event))

    def reconstruct(self, x: NDArray[Any], rows: NDArray[np.int64] | None = None) -> Floats:
        """The decoded mean of the posterior's mean, (N, *shape)."""
        return self.decode(self.encode(x, rows)[0])

    def draw(self, n: int, *, seed: int = 0, origin: Origin = "auto", temperature: float = 1.0) -> Floats:
        """n codes, (n, latent_dim): from the `prior`, or from a Gaussian fitted to the training `codes`.

        auto: the prior where the objective charged for leaving it, else the fitted Gaussian. Deviations from the mean are
        multiplied by `temperature`.
        """
        if n < 1:
            raise Mistake(f"the number of samples must be 1 or more, got {n}")
        if origin == "prior" or (origin == "auto" and self.prior_was_trained):
            noise = np.random.default_rng(seed).standard_normal((n, self.latent_dim), dtype=np.float32)
            return temperature * noise
        mean, covariance, _ = self.codes()
        drawn = random_stream(seed, "draws", "training codes").multivariate_normal(mean, covariance, n, method="eigh")
        return np.asarray(mean + temperature * (drawn - mean), np.float32)

    def sample(self, n: int, *, seed: int = 0, origin: Origin = "auto", temperature: float = 1.0) -> Floats:
        """Decoded means of n drawn codes, (n, *shape)."""
        return self.decode(self.draw(n, seed=seed, origin=origin, temperature=temperature))

    def interpolate(self, stops: NDArray[Any], *, steps: int = 9, spherical: bool = False) -> Floats:
        """Codes from stop to stop, ((len(stops) − 1)·(steps − 1) + 1, latent_dim): linear, or along the great circle."""
        stops = np.asarray(stops, np.float64)  # so that float32 ends come back exactly
        if len(stops) < 2 or steps < 2:
            raise Mistake(f"a path needs 2 stops and 2 steps or more, got {len(stops)} stops and {steps} steps")
        between = slerp if spherical else lerp
        alphas = np.linspace(0, 1, steps)
        legs = [np.stack([between(a, b, alpha) for alpha in alphas]) for a, b in pairwise(stops)]
        return np.concatenate([legs[0], *(leg[1:] for leg in legs[1:])]).astype(np.float32)

    def traverse(
        self, anchor: NDArray[Any] | None = None, *, dims: Sequence[int] | None = None, steps: int = 9, span: float = 3.0
    ) -> tuple[list[int], NDArray[Any]]:
        """Dimensions, most informative first, and codes (len(dims), steps, latent_dim) that move only that dimension.

        It sweeps the training codes' mean ± `span` of their standard deviations; others stay at `anchor` (default: their mean).
        """
        if steps < 2:
            raise Mistake(f"a traversal needs 2 steps or more, got {steps}")
        mean, covariance, _ = self.codes()
        chosen = list(self.ranking() if dims is None else dims)
        for dim in chosen:
            if not 0 <= dim < self.latent_dim:
                raise Mistake(f"dimension {dim} does not exist: the run has 0 … {self.latent_dim - 1}")
        start = np.asarray(mean if anchor is None else anchor, np.float64)
        codes = np.tile(start, (len(chosen), steps, 1))
        for row, dim in enumerate(chosen):
            codes[row, :, dim] = mean[dim] + np.linspace(-span, span, steps) * np.sqrt(covariance[dim, dim])
        return chosen, codes.astype(np.float32)

    def score(self, x: NDArray[Any], rows: NDArray[np.int64] | None = None, *, k: int = 100, seed: int = 0) -> Floats:
        """log p(x) by importance weighting with exactly k draws, (N,), nats. Raises `Mistake` for an autoencoder.

        Whether it can be trusted is said by `k_hat` of `legato.measures.likelihood.score`, of the same draws.
        """
        return self._over(lambda batch: self.model.log_likelihood(batch, k), self.prepare(x, rows), seed, 100)

    def distortion(self, x: NDArray[Any], rows: NDArray[np.int64] | None = None) -> Floats:
        """−log p(x|z) at the posterior's mean, (N,), nats: what an autoencoder has instead of a likelihood of x."""

        def at_mean(batch: Tensor) -> Tensor:
            log_px: Tensor = self.model.likelihood(self.model.latent.posterior(batch).mean).log_prob(batch)
            return -log_px

        return self._over(at_mean, self.prepare(x, rows))

    def prepare(self, x: NDArray[Any], rows: NDArray[np.int64] | None = None) -> Floats:
        """x as the model sees it. Raises `Mistake` for another shape."""
        x = np.asarray(x)
        if x.shape[1:] != self.shape:
            if self.shape[0] == 1 and x.shape[1:] == self.shape[1:]:
                x = x[:, None]
            else:
                raise Mistake(f"`x` must have shape (N, {', '.join(map(str, self.shape))}), got {x.shape}")
        ready = self.preparation.kind != "reals" and np.issubdtype(x.dtype, np.floating)
        self.preparation.check(x, ready)
        if ready:
            return np.asarray(x, np.float32)
        return self.preparation.evaluation(x, np.arange(len(x)) if rows is None else np.asarray(rows))

    def codes(self) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Mean (d,), covariance (d, d) and mean σ² (d,) of the training codes."""
        found = read_tensors(self.run.codes)
        return found["mean"].numpy(), found["covariance"].numpy(), found["noise"].numpy()

    def ranking(self) -> list[int]:
        """Latent dimensions, most informative first: by KL at the last validation, by Std μ where there is no KL."""
        last = next((m["validation"] for m in reversed(self.run.read_metrics()) if "validation" in m), None)
        if last is None:
            return list(range(self.latent_dim))
        by = np.asarray(last["std_mu"] if last["kl"] is None or not self.prior_was_trained else last["kl"])
        return [int(i) for i in np.argsort(-by, kind="stable")]

    @torch.no_grad()
    def _over(self, function: Callable[[Tensor], Tensor], x: Floats, seed: int = 0, size: int = BATCH) -> Floats:
        """`function` over x in batches, in order; the global generator is left as it was."""
        if not len(x):
            raise Mistake(f"there are no examples: expected (N, {', '.join(map(str, x.shape[1:]))}) with N of 1 or more")
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            parts = [function(torch.from_numpy(x[i : i + size]).to(self.device)).cpu() for i in range(0, len(x), size)]
        return np.asarray(torch.cat(parts).numpy(), np.float32)


def lerp(a: NDArray[Any], b: NDArray[Any], alpha: float) -> NDArray[Any]:
    """(1 − α)a + αb."""
    return (1 - alpha) * a + alpha * b


def slerp(a: NDArray[Any], b: NDArray[Any], alpha: float) -> NDArray[Any]:
    """(sin((1−α)ω) a + sin(αω) b)/sin ω, ω the angle between a and b; linear where they are (anti)parallel.

    Keeps to the shell where a high-dimensional normal lives. White 2016, https://arxiv.org/abs/1609.04468.
    """
    norms = np.linalg.norm(a) * np.linalg.norm(b)
    omega = np.arccos(np.clip(np.dot(a, b) / norms, -1, 1)) if norms > 0 else 0.0
    if np.sin(omega) < 1e-6:
        return lerp(a, b, alpha)
    return np.asarray((np.sin((1 - alpha) * omega) * a + np.sin(alpha * omega) * b) / np.sin(omega))


def load(
    run: str | Path, *, device: str = "auto", threads: int | None = None, module: str | None = None, step: int | None = None
) -> LatentSpace:
    """The model of a RUN. Nothing is unpickled, and no code is imported unless `module` names it (a recipe of one's own).

    `step`: the snapshot nearest to that step instead of the finished model.
    Raises `Mistake` where there is no run, or its files are damaged.
    """
    place, found = choose(device, threads), Run.existing(run)
    stored = found.stored("data")
    definition = Definition.from_json(found.stored("recipe"))
    spec = DataSpec(tuple(stored["shape"]), stored["kind"], stored["likelihood"])
    with torch.random.fork_rng():
        recipe = definition.build(spec, module)
    tensors = read_tensors(found.model if step is None else _snapshot(found, step))
    try:
        recipe.model.load_state_dict(tensors)
    except RuntimeError as error:
        raise Mistake(
            f"`{found.model}` does not fit the recipe in `{found.recipe}`: {str(error).splitlines()[-1].strip()}"
        ) from error
    recipe.model.to(place)
    return LatentSpace(recipe, Preparation.from_json(stored["preparation"]), spec.shape, found, definition)


def _snapshot(run: Run, step: int) -> Path:
    kept = {int(path.stem.removeprefix("step-")): path for path in run.snapshots.glob("step-*.safetensors")}
    if not kept:
        raise Mistake(f"`{run.path}` has no snapshots: train it with --snapshots 12")
    return kept[min(kept, key=lambda at: abs(at - step))]
