"""The training of runs, from their own files: a table of words and numbers, loss curves, σ over training."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from legato.latent_space import LatentSpace
from legato.recipe import RECIPES
from legato.report.curves import Curve, SigmaSeries, TrainingSeries, sigma_curves, training_curves
from legato.report.html import Table
from legato.report.trained.subjects import Subject
from legato.training.best import course

PARTS, KINDS = ("distortion", "rate"), ("train", "validation")  # of every model; an objective may have more


def training_table(subjects: Sequence[Subject]) -> Table:
    """A row for each fact, a column for each run."""
    columns = [_facts(subject.space) for subject in subjects]
    rows = [(name, *(facts[name] for facts in columns)) for name in columns[0]]
    titles = [subject.title for subject in subjects] if len(subjects) > 1 else ["value"]
    return Table(("", *titles), rows, stacked=True)


def sigma_figure(subjects: Sequence[Subject]) -> Figure | None:
    """σ over training of those that have one, at the validations; None where none has."""
    series = [_sigmas(subject) for subject in subjects if subject.space.has_width]
    kept = [one for one in series if len(one.steps)]
    return sigma_curves(kept) if kept else None


def loss_figure(subjects: Sequence[Subject]) -> Figure | None:
    """The parts of the loss over training, other players' losses, weights that change; None where nothing was logged."""
    series = [_losses(subject) for subject in subjects]
    return training_curves(series) if any(one.train or one.validation for one in series) else None


def _facts(space: LatentSpace) -> dict[str, str | None]:
    plan, data, words = space.run.stored("training"), space.run.stored("data"), space.definition.words
    options = ", ".join(f"{name} {value}" for name, value in space.definition.options.items())
    drawn = ", pixels drawn from Bernoulli(x/255)" if space.preparation.binarise else ""
    shape = " × ".join(map(str, data["shape"]))
    steps = f"{plan['total']:,} steps of {plan['batch_size']}"
    return {
        "recipe": f"{space.definition.name} ({options})" if options else space.definition.name,
        "sentence": _sentence(space.definition.name),
        "network": f"{words.net}, depth {words.depth}, width {words.width}; {_parameters(space):,} parameters",
        "likelihood": words.likelihood + _scale(space),
        "data": f"{data['source']}: {data['splits']['train']:,} training examples of shape {shape}{drawn}",
        "training": plan.get("imported") or f"{steps}, learning rate {plan['learning_rate']:g}, seed {plan['seed']}",
        "best validation": _best(space, plan),
        "time": _time(space, plan),
    }


def _sentence(name: str) -> str | None:
    """The recipe's own first line; nothing is imported to find it."""
    found = RECIPES.get(name)
    return (inspect.getdoc(found) or "").split("\n")[0] or None if found else None


def _parameters(space: LatentSpace) -> int:
    return sum(parameter.numel() for parameter in space.model.parameters())


def _scale(space: LatentSpace) -> str:
    """The scale of a Gaussian is part of every nat: it is printed."""
    scale = getattr(space.model.likelihood.family, "scale", None)
    if scale is None:
        return ""
    values = np.asarray(scale.detach().cpu(), np.float64).reshape(-1)  # double precision for the digits that are printed
    return f", scale {values[0]:.3g}" if len(values) == 1 else f", scales {values.min():.3g} to {values.max():.3g}"


def _best(space: LatentSpace, plan: dict[str, Any]) -> str | None:
    """The step whose weights validated best, and whether they are the model; None where nothing was validated."""
    judged = course(space.run.read_metrics())
    if judged is None:
        return None
    figure = f"{judged.word} {judged.figure(judged.best)} at step {judged.best.step:,} of {judged.last.step:,}"
    return f"{figure}; the model has {'its' if plan.get('keep') == 'best' else 'the last'} weights"


def _time(space: LatentSpace, plan: dict[str, Any]) -> str:
    clocks = [line["clock"]["seconds"] for line in space.run.read_metrics() if "seconds" in line.get("clock", {})]
    took = f"{clocks[-1]:,.0f} s on " if clocks else ""
    return f"{took}{plan['device']}, {plan['threads']} thread{'' if plan['threads'] == 1 else 's'}"


def _sigmas(subject: Subject) -> SigmaSeries:
    lines = subject.space.run.read_metrics()
    # step 0 has no place on a logarithmic axis
    found = [(m["step"], m["validation"]) for m in lines if "validation" in m and m["step"] > 0]
    sigma, spread = (np.array([v[name] for _, v in found]) for name in ("sigma", "std_mu"))
    known = spread if spread.any() else None  # of one validation row nothing spreads
    return SigmaSeries(subject.title, np.array([step for step, _ in found]), sigma, known)


def _losses(subject: Subject) -> TrainingSeries:
    lines = subject.space.run.read_metrics()
    train, validation = (_curves(lines, kind, PARTS) for kind in KINDS)
    more = {name: curve for name, curve in _curves(lines, "train").items() if name not in PARTS}
    players = {f"loss of the {name}": curve for name, curve in _curves(lines, "players").items()}
    # a weight that never changes is said in the recipe's line
    weights = {name: curve for name, curve in _curves(lines, "weights").items() if np.ptp(curve.values) > 0}
    return TrainingSeries(subject.title, {**train, **more, **players}, validation, weights)


def _curves(lines: Sequence[dict[str, Any]], kind: str, names: Iterable[str] | None = None) -> dict[str, Curve]:
    """The curves of these names, or of all that the lines have of that kind."""
    named = dict.fromkeys(name for line in lines for name in line.get(kind, {})) if names is None else names
    return {name: curve for name in named if (curve := _curve(lines, kind, name))}


def _curve(lines: Sequence[dict[str, Any]], kind: str, name: str) -> Curve | None:
    """One part; None where a run has none (an autoencoder's rate)."""
    # step 0 has no place on a logarithmic axis
    there = [line for line in lines if line["step"] > 0 and line.get(kind, {}).get(name) is not None]
    kept = [(line["step"], line[kind][name]) for line in there]
    return Curve(np.array([step for step, _ in kept]), np.array([value for _, value in kept], float)) if kept else None
