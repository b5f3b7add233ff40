"""Runs compared: paired differences, on the same images, the same binarisation, equally many draws.

Covered: refusing runs whose nats do not compare. A difference is taken image by image, so that what all runs share (hard and
easy images) cancels: its interval is often ten times narrower than those of the two means suggest.
Not covered: variation over training seeds. Each run is one trained model, and another seed of the same recipe may differ by
more than the interval; that other interval is said to be missing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from legato.arguments import Seed, checked
from legato.data.options import DataOptions
from legato.data.prepared import used_columns
from legato.errors import Mistake
from legato.files import told
from legato.latent_space import LatentSpace
from legato.loading import Trained, opened
from legato.measures.answers import Comparison
from legato.measures.estimate import absent, mean_over, paired_difference
from legato.measures.known import measure_of
from legato.measures.likelihood import Scores, score
from legato.measures.scorecard import AUTO, NO_POSTERIOR, Draws, batches, describe, how_bounded, likely, rows_of
from legato.measures.tails import untrusted_share
from legato.types import Doubles

FIGURES = ("elbo", "distortion", "rate", "nll")
SEEDS = (
    "missing: each run is one trained model, so that these intervals say nothing of other training seeds; train each recipe "
    "with several --seed to learn how much those differ"
)


@told()
@checked
def compare(
    runs: Sequence[Trained],
    source: Any = None,
    *,
    split: str | None = None,
    k: Draws = 100,
    limit: int | None = None,
    seed: Seed = 0,
) -> Comparison:
    """Each of `runs` (trained models, or where RUNs lie) beside the first.

    `runs`, each with its `budget`, its `figures` and its `differences` (run − first); `data`, `seeds`, k; `budgets` says in
    words where the runs were not trained alike, and is None where they were. A run that is named twice is measured once.

    All nats per example, nll at the same k, with the `untrusted_share` of each run's weights. Raises `Mistake` for runs of
    other data, another binarisation or other units, and for k = "auto", which gives every run's examples draws of their own.
    """
    if isinstance(runs, str | Path | LatentSpace) or len(runs) < 2:
        raise Mistake("a comparison needs two runs or more: legato compare RUN RUN, in Python legato.compare([run, run])")
    # Bounds rise with k: at another k for each model a difference would be one of draws.
    if k == AUTO:
        raise Mistake("`--k auto` gives every run other draws, and bounds compare at equal k alone: name one number of draws")
    if isinstance(k, str) or k < 1 or (limit is not None and limit < 1):
        raise Mistake(f"`k` and `limit` must be 1 or more, got {k} and {limit}")
    spaces = [opened(run) for run in runs]
    # Refused before anything is measured, which may take minutes.
    check_same_data(spaces, given=source is not None)
    check_same_units(spaces)
    data = spaces[0].data(source)
    split = split or data.default_split
    numbers = rows_of(data, split, limit)
    # A run that is named twice is measured once: its difference from itself is 0, and not two draws of noise.
    known: dict[tuple[Path, Any], Scores] = {}
    # Scored one after another with one seed: all models get the same images, bits and noise, so that only they differ.
    for space in spaces:
        if _identity(space) not in known:
            known[_identity(space)] = likely(space, score(space.model, batches(space, data, numbers), k, seed))
    found = [known[_identity(space)] for space in spaces]
    return Comparison(
        data=describe(data, split, numbers),
        k=k,
        seed=seed,
        seeds=SEEDS,
        budgets=_budgets(spaces),
        runs=[_run(space, one, per_example(found[0]), k) for space, one in zip(spaces, found, strict=True)],
    )


def _identity(space: LatentSpace) -> tuple[Path, Any]:
    """The trained model that this is; one that lies in no run is itself alone."""
    # The path with links resolved: `run` and `./run` are one model.
    return space.run.path.resolve(), id(space) if space.loaded is None else space.loaded


def budget(space: LatentSpace) -> dict[str, int]:
    """The length of a run's training: `steps` of `batch_size` examples, `examples` in all."""
    run, stored = space.run, space.run.stored("training")
    steps, size = int(stored["total"]), int(stored["batch_size"])
    # stopped before its end, or still being trained: the plan's total was not reached, the last line of metrics was
    if not run.codes.is_file():
        steps = next((int(line["step"]) for line in reversed(run.read_metrics()) if "step" in line), 0)
    return {"steps": steps, "batch_size": size, "examples": steps * size}


def _budgets(spaces: Sequence[LatentSpace]) -> str | None:
    """The lengths of training where they differ, which may be all of a difference; else None."""
    found = {str(space.run.path): budget(space) for space in spaces}
    if len({(one["steps"], one["batch_size"]) for one in found.values()}) == 1:
        return None
    each = "; ".join(f"{path} {one['steps']:,} steps of {one['batch_size']:,}" for path, one in found.items())
    return f"not alike ({each}), so that a difference may be one of training: train with the same --steps and --batch-size"


def per_example(scores: Scores) -> dict[str, Doubles]:
    """ELBO at β = 1, distortion, rate and nll of each example, (n,), nats: those that the model has."""
    if scores.rate is None:
        return {"distortion": scores.distortion}
    if scores.log_px is None:
        return {"distortion": scores.distortion, "rate": scores.rate}
    # At β = 1 whatever a run was trained with: under another weight it would be no bound on log p(x).
    elbo = -(scores.distortion + scores.rate)
    return {"elbo": elbo, "distortion": scores.distortion, "rate": scores.rate, "nll": -scores.log_px}


def check_same_data(spaces: Sequence[LatentSpace], *, given: bool = False) -> None:
    """Raises `Mistake` where runs are of other shapes, values or data; `given` data replace the runs' own."""
    first, *others = [(space.run.path, space.run.stored("data")) for space in spaces]
    for path, stored in others:
        for key, what in (("shape", "shape"), ("kind", "values")):
            if stored[key] != first[1][key]:
                had = f"{first[1][key]} and {stored[key]}"
                raise Mistake(f"`{first[0]}` and `{path}` are runs of another {what} ({had}): compare runs of the same data")
        ours, theirs = used_columns(first[1]), used_columns(stored)
        # With data named for both the runs' own fingerprints no longer matter; their columns still do.
        if given and ours and theirs and ours != theirs:
            raise Mistake(f"`{first[0]}` and `{path}` were trained on other columns: compare runs of the same ones")
        if not given and stored["fingerprint"] != first[1]["fingerprint"]:
            names = f"`{first[1]['source']}` and `{stored['source']}`"
            raise Mistake(
                f"`{first[0]}` and `{path}` were trained on other data ({names}): name data for both with --data SOURCE"
            )
        if not given and _drawn_by(stored) != _drawn_by(first[1]):
            raise Mistake(f"`{first[0]}` and `{path}` read their data with other options, so that their test images differ")


def _drawn_by(stored: dict[str, Any]) -> DataOptions:
    """The options that rows and splits depend on; those that an older run does not know stand at their defaults."""
    # Labels choose no rows, and `strict` only decides whether bad files stop a run.
    return replace(DataOptions(**stored["options"]), labels=None, strict=False)


def check_same_units(spaces: Sequence[LatentSpace]) -> None:
    """Raises `Mistake` where the nats of two runs have another zero: drawn bits or grey levels, probability or density, told
    the class or a row's total, or not.
    """
    first, *others = spaces
    for other in others:
        pair = f"`{first.run.path}` and `{other.run.path}`"
        if first.preparation != other.preparation:
            raise Mistake(f"{pair} see the data differently (drawn bits, or another scale): their nats do not compare")
        if _of_mass(first) != _of_mass(other):
            raise Mistake(f"of {pair} one gives a probability, the other a density: their nats do not compare")
        if _takes_total(first) != _takes_total(other):
            raise Mistake(f"of {pair} one takes each row's total as given (`multinomial`): their nats do not compare")
        if _told(first) != _told(other):
            raise Mistake(f"{pair} are not told the same classes: log p(x), or log p(x|class) of others, does not compare")


def _told(space: LatentSpace) -> tuple[str, ...]:
    """The classes that a model is told; one that infers them is told none."""
    return () if space.model.infers_class else space.classes


def _of_mass(space: LatentSpace) -> bool:
    return space.model.likelihood.family.levels is not None


def _takes_total(space: LatentSpace) -> bool:
    return space.model.likelihood.family.takes_total


def _run(space: LatentSpace, found: Scores, reference: dict[str, Doubles], k: int) -> dict[str, Any]:
    values, methods = per_example(found), _methods(space, found, k)
    why = (space.recipe.no_likelihood if space.has_density else None) or NO_POSTERIOR
    share = untrusted_share(found.k_hat) if space.recipe.no_likelihood is None else absent(why)
    return {
        "path": str(space.run.path),
        **space.definition.to_json(),
        "budget": budget(space),
        "figures": {name: _figure(name, values.get(name), methods[name], why) for name in FIGURES},
        "untrusted_share": share.to_json(),
        "differences": {name: _difference(name, values.get(name), reference.get(name), methods[name]) for name in FIGURES},
    }


def _methods(space: LatentSpace, found: Scores, k: int) -> dict[str, str]:
    draws = f"mean of {k} draws of z per example"
    return {
        "elbo": f"beta = 1, {draws}",
        "distortion": f"-log p(x|z), {draws if space.has_density else 'at the code'}",
        "rate": "KL(q(z|x) || p(z))",
        "nll": how_bounded(found, k),
    }


def _figure(name: str, values: Doubles | None, method: str, why: str) -> dict[str, Any]:
    unit = measure_of(name).unit
    return (absent(why, unit) if values is None else mean_over(values, unit, method)).to_json()


def _difference(name: str, values: Doubles | None, reference: Doubles | None, method: str) -> dict[str, Any]:
    unit = measure_of(name).unit
    if values is None or reference is None:
        return absent(f"one of the two has none: {NO_POSTERIOR}", unit).to_json()
    return paired_difference(values, reference, unit, method).to_json()
