"""The experiment from start to end: probe, train and measure everyone side by side, decide, write `claims.json`.

    OUT/protocol.json   what every member shares, the number of steps that the probe gave once
    OUT/runs/           a RUN for each member
    OUT/evidence/       what was measured of each, as JSON
    OUT/claims.json     the verdicts, their estimates, the table's hash

Whatever is finished is kept: a stopped experiment goes on with the same command. Not covered: the page (report/).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from legato.data import open_source
from legato.errors import Mistake, Stopped
from legato.experiment.family import Protocol
from legato.experiment.members import Member, family
from legato.experiment.work import Task, begin_worker, count_steps, do, do_controls
from legato.files import read_json, write_json
from legato.progress import progress
from legato.run import Run


@dataclass(frozen=True)
class Experiment:
    """What a person asked for."""

    protocol: Protocol
    out: Path
    quick: bool
    seeds: int
    side_by_side: int = 2

    @property
    def members(self) -> list[Member]:
        """The family."""
        return family(self.quick, self.seeds)

    def stored(self, steps: int) -> dict[str, Any]:
        """protocol.json."""
        shared = {"source": self.protocol.source, "data": asdict(self.protocol.data), "minutes": self.protocol.minutes}
        return {**shared, "quick": self.quick, "seeds": self.seeds, "steps": steps}


def conduct(experiment: Experiment) -> int:
    """Trains and measures everyone; returns the number of steps. Raises `Stopped` on Ctrl-C, `Mistake` for what cannot be."""
    dataset = open_source(experiment.protocol.source, experiment.protocol.data)
    refuse_other_data(experiment, dataset.fingerprint)
    threads = 0 if experiment.side_by_side == 1 else 1
    with _pool(experiment, threads) as pool:
        steps = _steps(experiment, dataset.shape, pool)
        tasks = [
            Task(member, experiment.protocol, dataset.shape, steps, experiment.out, experiment.quick)
            for member in experiment.members
        ]
        controls = pool.submit(do_controls, tasks[0], experiment.seeds)
        _all_done([controls, *(pool.submit(do, task) for task in tasks)], "training and measuring", "models")
    return steps


def _steps(experiment: Experiment, shape: tuple[int, ...], pool: ProcessPoolExecutor) -> int:
    """The steps that protocol.json holds; on the first start the probe's, taken under the load that training will meet."""
    path = experiment.out / "protocol.json"
    if path.is_file():
        return _same(experiment, read_json(path), path)
    _refuse_foreign(experiment.out)
    steps = experiment.protocol.steps or _probed(experiment, shape, pool)
    write_json(path, experiment.stored(steps))
    return steps


def _probed(experiment: Experiment, shape: tuple[int, ...], pool: ProcessPoolExecutor) -> int:
    first = Task(experiment.members[0], experiment.protocol, shape, 0, experiment.out, experiment.quick)
    found: list[int] = _all_done([pool.submit(count_steps, first) for _ in range(experiment.side_by_side)], "probing", "probes")
    return min(found)


def _same(experiment: Experiment, stored: dict[str, Any], path: Path) -> int:
    """The stored number of steps. Raises `Mistake` where the folder is of another experiment; more seeds may be added."""
    asked = experiment.stored(experiment.protocol.steps or int(stored.get("steps", 0)))
    for name, value in asked.items():
        if name != "seeds" and stored.get(name) != value:
            raise Mistake(f"`{path}` says {name} = {stored.get(name)}, this asks for {value}: choose another --out")
    write_json(path, {**asked, "seeds": max(experiment.seeds, int(stored["seeds"]))})
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
    if out.exists() and (not out.is_dir() or any(path.name != "work.log" for path in out.iterdir())):
        raise Mistake(f"`{out}` holds something that is no experiment of Legato's: choose another --out")


@contextmanager
def _pool(experiment: Experiment, threads: int) -> Iterator[ProcessPoolExecutor]:
    """Worker processes that write their progress to OUT/work.log. On Ctrl-C each saves its run before it ends."""
    pool = ProcessPoolExecutor(experiment.side_by_side, get_context("spawn"), begin_worker, (str(experiment.out), threads))
    try:
        yield pool
    except KeyboardInterrupt:
        pool.shutdown(cancel_futures=True)
        raise Stopped(f"stopped, all that is finished is kept in `{experiment.out}`: go on with the same command", 2) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _all_done(futures: Sequence[Future[Any]], title: str, unit: str) -> list[Any]:
    found = []
    with progress(title, len(futures), unit=unit) as bar:
        for future in as_completed(futures):
            found.append(future.result())
            bar(len(found), str(found[-1]))
    return found
