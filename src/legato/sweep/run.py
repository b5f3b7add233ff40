"""A sweep from start to end: every run trained, side by side, then a table and a picture of what they came to.

    OUT/sweep.json   the words of every run, and what it came to
    OUT/runs/        a RUN each
    OUT/sweep.csv    a row for each run
    OUT/sweep.png    the same as a picture

Whatever is finished is kept: a stopped sweep goes on with the same command, and one whose grid has grown trains what is new.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from legato.data.prepared import place_of
from legato.errors import Mistake
from legato.files import read_json, write_json
from legato.pools import Pool
from legato.progress import progress
from legato.sweep.spec import Spec, Trial
from legato.sweep.trial import Work, check, train

Row = tuple[Trial, dict[str, Any]]


def sweep(spec: Spec, pool: Pool, device: str = "auto") -> list[Row]:
    """Trains what is not yet trained; every run with its figures, in the specification's order. Raises `Mistake`."""
    trials, out = spec.trials, pool.out
    # Whole paths: a worker elsewhere starts in a folder of its own.
    places = [(place_of(trial.words["data"]), (out / "runs" / trial.name).resolve()) for trial in trials]
    works = [Work({**trial.words, "data": data}, str(run), device) for trial, (data, run) in zip(trials, places, strict=True)]
    for work in works:
        check(work)
    before = _before(out, trials)
    write_json(out / "sweep.json", {"runs": before})
    found: dict[int, dict[str, Any]] = {}
    with progress("training", len(trials), unit="runs") as bar:
        for at, figures in pool.done([(train, (work,)) for work in works]):
            found[at] = before[trials[at].name]["figures"] = figures
            write_json(out / "sweep.json", {"runs": before})  # as they end: whoever looks in sees how far it is
            bar(len(found), trials[at].name)
    return [(trial, found[at]) for at, trial in enumerate(trials)]


def _before(out: Path, trials: Sequence[Trial]) -> dict[str, dict[str, Any]]:
    """What OUT says of each of these runs, by name. Raises `Mistake` where a run of the same name has other words."""
    path = out / "sweep.json"
    if not path.is_file():
        if out.is_dir() and any(one.name != "work.log" for one in out.iterdir()):
            raise Mistake(f"`{out}` holds something that is no sweep of Legato's: choose another --out")
        return {trial.name: {"words": trial.words, "figures": None} for trial in trials}
    known = read_json(path, dict[str, Any], remedy="restore it, or choose another --out").get("runs", {})
    for trial in trials:
        had = known.get(trial.name, {}).get("words", trial.words)
        if differing := [word for word in {**had, **trial.words} if had.get(word) != trial.words.get(word)]:
            was, now = had.get(differing[0]), trial.words.get(differing[0])
            raise Mistake(f"`{differing[0]}` of `{trial.name}` was {was} in `{out}` and is {now} now: choose another --out")
    return {**known, **{trial.name: known.get(trial.name, {"words": trial.words, "figures": None}) for trial in trials}}
