"""`legato train`: a command for every recipe, its options read from the recipe's signature."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

import legato.recipes  # noqa: F401  (registers the named models)
from legato.commands.application import FLAG, application
from legato.commands.options import Place
from legato.commands.output import say
from legato.data import DataOptions
from legato.data.prepared import place_of, reopen
from legato.data.sources import EXPECTED
from legato.definition import Definition, find, module_of
from legato.devices import choose
from legato.errors import Mistake, quoted
from legato.ranks import joined
from legato.recipe import RECIPES, Recipe, Sentence, options_of
from legato.run import Run
from legato.setting import DataSpec, Words
from legato.training import TrainingOptions, begin, execute, record, resume, warn_of
from legato.training.best import course
from legato.training.setup import Job, claimed, left_out, writing


@dataclass(frozen=True, kw_only=True)
class Target:
    """The source to read and the folder to write to."""

    data: str | None = None
    """SOURCE: mnist, a folder of images, .npy, .npz, IDX (gzipped or not), Parquet, Feather, CSV, .tar or hub:NAME."""
    out: Path | None = None
    """The RUN: a folder to make; by default the first free runs/RECIPE-n."""
    resume: Annotated[bool, FLAG] = False
    """Go on with the run at --out exactly where it was stopped."""
    overwrite: Annotated[bool, FLAG] = False
    """Replace the run at --out."""


GROUPS: dict[str, tuple[type, str]] = {
    "target": (Target, "Run"),
    "words": (Words, "Words that every recipe takes"),
    "training": (TrainingOptions, "Training"),
    "preparation": (DataOptions, "Preparation of the data"),
    "place": (Place, "Machine"),
}


def app(arguments: list[str], **how: Any) -> None:
    """Parses `legato train …`. A recipe comes first; `--resume --out RUN` needs none."""
    name = arguments[0] if arguments else "--help"
    # MODULE:FUNCTION: its options are read from the function itself, which only now may be imported.
    if ":" in name:
        own = application(f"train {name}")
        own.default(command(name, find(name, module_of(name))))
        own(arguments[1:], **how)
    # `--resume --out RUN` names no recipe: the run knows its own.
    elif name.startswith("-") and name not in ("--help", "-h"):
        anonymous = application("train")
        anonymous.default(command(None, _resumed))
        anonymous(arguments, **how)
    else:
        if not name.startswith("-"):
            find(name)  # a recipe that does not exist is refused with the nearest name
        # Only the list knows all recipes' options: it is made when one of them is asked for.
        _listing()(arguments, **how)


def command(name: str | None, sentence: Sentence) -> Callable[..., None]:
    """The function behind `legato train NAME`: the recipe's own options, then those that all share."""

    def execute_command(**given: Any) -> None:
        groups = {group: given.pop(_group(group), kind()) for group, (kind, _) in GROUPS.items()}  # absent: nothing was said
        _train(name, given, **groups)

    own = [_keyword(option, _type(p), p.default) for option, p in options_of(sentence).items()]
    shared = [
        _keyword(_group(group), Annotated[kind, Parameter(name="*", group=title)], kind())
        for group, (kind, title) in GROUPS.items()
    ]
    # cyclopts reads signatures: this one says what the closure above takes.
    execute_command.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    execute_command.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}
    execute_command.__doc__ = inspect.getdoc(sentence)
    return execute_command


def _group(name: str) -> str:
    """The name of a group of shared options among a recipe's own, which may be `target` or `place`."""
    return f"shared_{name}"


def _train(
    name: str | None, own: dict[str, Any], target: Target, words: Words, training: TrainingOptions, preparation: DataOptions,
    place: Place,
) -> None:  # fmt: skip
    if target.resume:
        _resume(name, {**own, **_set(words), **asdict(training), **asdict(preparation)}, target, place)
        return
    if name is None:
        raise Mistake("say which RECIPE to train (`legato recipes` lists them), or what to go on with: --resume --out RUN")
    if target.data is None:
        raise Mistake(f"`legato train {name}` needs --data SOURCE: {EXPECTED}")
    # Chosen before the run is made: a device that is missing must leave no folder behind.
    device = choose(place.device, place.threads)
    recipe: str | Sentence = find(name, module_of(name)) if ":" in name else name
    with joined(device) as ranks, claimed(target.out, name) as run:
        job = begin(run, recipe, target.data, preparation, training, {**own, **_set(words)}, device, target.overwrite)
        # The lock first, and then the files: two commands for one --out must not mix theirs.
        with writing(run):
            record(job, training, target.overwrite)
            _announce(job)
            execute(job, training.checkpoint_minutes)
        if ranks.first:
            _finished(job)


def _resume(name: str | None, said: dict[str, Any], target: Target, place: Place) -> None:
    if target.out is None:
        raise Mistake("--resume needs to know which run: --out RUN")
    if target.overwrite:
        raise Mistake("--resume goes on with a run and --overwrite replaces it: give one of them")
    run, minutes, engine = Run.existing(target.out), said.pop("checkpoint_minutes"), said.pop("engine")
    # Before anything of the run is touched.
    _refuse_changes(run, name, {**said, "data": None})
    moved = None if target.data is None else _moved(run, target.data)
    before = run.stored("training")  # the same device again, as the same threads: or sums would be rounded in another order
    device = choose(before["device"] if place.device == "auto" else place.device, place.threads)
    with joined(device) as ranks, writing(run):
        job = resume(run, device, place.module or module_of(name or ""), moved, place.threads, engine)
        say(f"resuming {run.path} at step {job.state.get('step', 0):,} of {job.plan.total:,}")
        execute(job, minutes)
        if ranks.first:
            _finished(job)


def _refuse_changes(run: Run, name: str | None, said: dict[str, Any]) -> None:
    """Resuming goes on with what was stopped; a changed option would make it another run, so it is refused, not ignored."""
    stored, data, training = Definition.from_json(run.stored("recipe")), run.stored("data"), run.stored("training")
    if name is not None and name != stored.name:
        raise Mistake(f"`{run.path}` is a run of `{stored.name}`, not of `{name}`: resume it without naming a recipe")
    # A run stores what it chose where nothing was asked: saying just that is no change.
    asked = {option: training.get(option) if value is None else value for option, value in training["asked"].items()}
    before = asdict(stored.words) | stored.options | asked | data["options"] | {"data": data["source"]}
    defaults = asdict(TrainingOptions()) | asdict(DataOptions()) | {o: p.default for o, p in _known(stored.name).items()}
    for option, value in said.items():
        # defaults pass: nobody can tell whether they were said
        if value != defaults.get(option) and value != before.get(option):
            raise Mistake(
                f"--{option.replace('_', '-')} is {before.get(option)} in `{run.path}` and cannot become {value}: "
                "--resume goes on with what was stopped"
            )


def _moved(run: Run, source: str) -> str | None:
    """The place where the run's data lie now, None where that is where they lay. Raises `Mistake` for other data."""
    stored = run.stored("data")
    if place_of(source) == place_of(stored["source"]):
        return None
    try:
        found = reopen(stored, source)
        reason = "its content is another"  # read again, by its content: data that moved are the same data
    except Mistake as mistake:
        found, reason = None, str(mistake)
    if found is None or not found.own:
        raise Mistake(f"--data is {stored['source']} in `{run.path}` and cannot become {source}: {reason}")
    return source


def _known(name: str) -> dict[str, inspect.Parameter]:
    return options_of(RECIPES[name]) if name in RECIPES else {}


def _announce(job: Job) -> None:
    words, plan = job.definition.words, job.plan
    count = sum(p.numel() for p in job.learner.model.parameters())  # of parameters: buffers are not trained
    say(
        f"{job.definition.name} on {job.data.dataset.source}: {words.net} {words.width}×{words.depth}, {words.likelihood}, "
        f"{count:,} weights, {plan.total:,} steps of {plan.batch_size} ({plan.total / job.batches().per_epoch:.1f} epochs)"
    )
    for line in (*left_out(job.data.dataset), *(job.length.remarks(len(job.data.split("train"))) if job.length else ())):
        print(line)
    for remark in job.data.dataset.notes:
        print(f"note: {remark}", file=sys.stderr)  # on stderr, so that stdout stays what it was for a program
    if warning := warn_of(job.definition, job.data):
        print(f"note: {warning}", file=sys.stderr)


def _finished(job: Job) -> None:
    metrics, best = job.run.read_metrics(), job.plan.keep == "best"
    judged = course(metrics)
    # The last step is always validated, so that there is a figure for every run.
    assert judged is not None, "the last step is validated"
    at = (judged.best if best else judged.last).step
    model = next(m["validation"] for m in reversed(metrics) if "validation" in m and m["step"] == at)
    figures = ", ".join(f"{name} {model[name]:.2f}" for name in ("elbo", "distortion", "rate") if model[name] is not None)
    which = "best" if best else "last"
    print(f"{job.plan.total:,} steps done; validation {figures} nats per example ({which} weights, averaged)")
    overfits = job.learner.objective.charges_rate or not job.learner.model.latent.has_density
    print(judged.told(best, overfits, "affordable" in job.run.stored("training")))
    module = module_of(job.definition.name)
    where = f"{quoted(job.run.path)}{f' --module {module}' if module else ''}"
    say(f"next: legato evaluate {where} · legato sample {where} · legato reconstruct {where}")


def _listing() -> App:
    listing = application("train")
    listing.help = (
        "Train a recipe on your data. `legato train RECIPE --help` tells its options; MODULE:FUNCTION is one of yours."
    )
    for name, sentence in RECIPES.items():
        listing.command(command(name, sentence), name=name)
    return listing


def _resumed(data: DataSpec) -> Recipe:
    """Go on with a run that was stopped: `legato train --resume --out RUN`."""
    raise Mistake("a resumed run reads its recipe from the run")


def _set(words: Words) -> dict[str, Any]:
    """The words that were said: `auto` and None are left for the recipe to resolve."""
    # `auto` is resolved by the data, and stored as what it became
    return {name: value for name, value in asdict(words).items() if value not in (None, "auto")}


def _keyword(name: str, kind: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)


def _type(parameter: inspect.Parameter) -> Any:
    """A recipe's option is of the type it says, or of its default's; text annotations are the builtin of that name."""
    said = parameter.annotation
    builtin = {"int": int, "float": float, "str": str, "bool": bool}
    if isinstance(said, str) and said in builtin:  # text annotations come of `from __future__ import annotations`
        return Annotated[builtin[said], Parameter(show_default=True)]
    return said if isinstance(said, type) and said is not inspect.Parameter.empty else type(parameter.default)
