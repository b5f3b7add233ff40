"""The experiment from start to end: probe, train and measure everyone side by side, decide, write `claims.json`.

    OUT/protocol.json   what every member shares, the number of steps that the probe gave once
    OUT/runs/           a RUN for each member
    OUT/evidence/       what was measured of each, as JSON
    OUT/claims.json     the verdicts, their estimates, the table's hash

Whatever is finished is kept: a stopped experiment goes on with the same command. Not covered: the page (report/).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, TypedDict

from legato.data import DataOptions, open_source
from legato.errors import Mistake
from legato.experiment.family import Protocol
from legato.experiment.members import Member, family
from legato.experiment.work import Task, count_steps, do, do_controls
from legato.files import read_json, write_json
from legato.pools import Call, Pool
from legato.progress import progress
from legato.run import Run
from legato.schema import Within
from legato.types import Shape


@dataclass(frozen=True)
class Experiment:
    """The experiment that a person asked for."""

    protocol: Protocol
    out: Path
    quick: bool
    seeds: int
    side_by_side: int = 2
    # of each worker; None: one, as two workers of two wait for each other; as many as torch likes for one that is alone
    threads: int | None = None
    ray: str | None = None  # `local`, or a cluster's address

    @property
    def members(self) -> list[Member]:
        """The family."""
        return family(self.quick, self.seeds)

    def stored(self, steps: int) -> dict[str, Any]:
        """protocol.json."""
        shared = {"source": self.protocol.source, "data": asdict(self.protocol.data), "minutes": self.protocol.minutes}
        return {**shared, "quick": self.quick, "seeds": self.seeds, "steps": steps}


class StoredProtocol(TypedDict):
    """The numbers that are read of protocol.json; the rest is compared with what is asked for."""

    steps: Annotated[int, Within(1, 2**53)]
    seeds: Annotated[int, Within(1, 10_000)]


def read_protocol(path: Path) -> dict[str, Any]:
    """protocol.json. Raises `Mistake` where it is missing or damaged."""
    return read_json(path, StoredProtocol, remedy="restore it, or choose another --out")


def conduct(experiment: Experiment) -> int:
    """Trains and measures everyone; returns the number of steps. Raises `Mistake` for what cannot be.

    Whatever ends it early ends its workers, who save what they train: `stoppable` makes a line of a signal.
    """
    dataset = open_source(experiment.protocol.source, experiment.protocol.data)
    # Before anything is trained: members of other data would stand in one table.
    refuse_other_data(experiment, dataset.fingerprint)
    threads = experiment.threads or (0 if experiment.side_by_side == 1 else 1)
    pool = Pool(experiment.side_by_side, experiment.out, threads, experiment.ray)
    steps = _steps(experiment, dataset.shape, pool)
    out = experiment.out.resolve()  # a worker elsewhere starts in a folder of its own
    tasks = [Task(member, experiment.protocol, dataset.shape, steps, out, experiment.quick) for member in experiment.members]
    calls: list[Call] = [(do_controls, (tasks[0], experiment.seeds)), *((do, (task,)) for task in tasks)]
    _all_done(pool, calls, "training and measuring", "models")
    return steps


def _steps(experiment: Experiment, shape: Shape, pool: Pool) -> int:
    """The steps that protocol.json holds; on the first start the probe's, taken under the load that training will meet."""
    path = experiment.out / "protocol.json"
    if path.is_file():
        return _same(experiment, read_protocol(path), path)
    _refuse_foreign(experiment.out)
    steps = experiment.protocol.steps or _probed(experiment, shape, pool)
    # written once, before any training: whoever resumes trains for the same number of steps
    write_json(path, experiment.stored(steps))
    return steps


def _probed(experiment: Experiment, shape: Shape, pool: Pool) -> int:
    first = Task(experiment.members[0], experiment.protocol, shape, 0, experiment.out, experiment.quick)
    # Side by side, as training will be: a lone probe would count steps that two workers cannot keep up with.
    found: list[int] = _all_done(pool, [(count_steps, (first,))] * experiment.side_by_side, "probing", "probes")
    return min(found)  # the slowest: with more steps some members would not end in their minutes


def _same(experiment: Experiment, stored: dict[str, Any], path: Path) -> int:
    """The stored number of steps. Raises `Mistake` where the folder is of another experiment; more seeds may be added."""
    asked = experiment.stored(experiment.protocol.steps or stored["steps"])
    if isinstance(said := stored.get("data"), dict):  # an option that is newer than the folder was as it is by default
        stored = {**stored, "data": asdict(DataOptions()) | said}
    for name, value in asked.items():
        if name != "seeds" and stored.get(name) != value:  # seeds may differ, since an experiment can be given more of them
            raise Mistake(f"`{path}` says {name} = {stored.get(name)}, this asks for {value}: choose another --out")
    # never fewer seeds than were trained: their evidence still lies there
    write_json(path, {**asked, "seeds": max(experiment.seeds, stored["seeds"])})
    return int(stored["steps"])


def refuse_other_data(experiment: Experiment, fingerprint: str) -> None:
    """Raises `Mistake` where members were trained before on what the source was then: they would not compare."""
    for run in (Run(member.path(experiment.out)) for member in experiment.members):
        if run.data.is_file() and run.stored("data")["fingerprint"] != fingerprint:
            raise Mistake(
                f"`{experiment.protocol.source}` is not what `{run.path}` was trained on: bring the old data back, or choose "
                "another --out"
            )


def _refuse_foreign(out: Path) -> None:
    if out.exists() and (not out.is_dir() or any(_foreign(path) for path in out.iterdir())):
        raise Mistake(f"`{out}` holds something that is no experiment of Legato's: choose another --out")


def _foreign(path: Path) -> bool:
    """True where it is none of what an experiment leaves that was ended before its first file was whole."""
    return path.name != "work.log" and not path.name.startswith(".protocol.json.")


def _all_done(pool: Pool, calls: Sequence[Call], title: str, unit: str) -> list[Any]:
    found = []
    with progress(title, len(calls), unit=unit) as bar:
        for _, result in pool.done(calls):  # as they end and not in order: the bar moves with the work
            found.append(result)
            bar(len(found), str(result))
    return found
