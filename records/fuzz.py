"""Damaged files, questions and frames, tried by the thousand on every command that reads them.

    python records/fuzz.py [--inputs 20000] [--seed 0] [--out FILE.json]
    python records/fuzz.py --only 1234 5678            # these again, with their tracebacks

Each input is a number: it draws a kind of file, a damage and a reader (inputs.py, mutations.py) and gives them again. All are
tried in one process after another, on a store of their own; a process that dies is replaced by the next, and its input counts
as a failure. An input must be read (exit code 0) or refused in one line (exit code 2, `Mistake`; of the explorer a status
below 500). What fails: a traceback, more than one line, more seconds than --limit, more memory than --memory.

Covered: sources, RUNs, the store, the explorer's routes and socket. Not covered: what true files are read as (tests/).
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import logging
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

RENEWED = 4_000  # inputs after which a process is replaced: what leaks in so many is told by its memory
MOST = 6 << 30  # bytes of data that a process may take, so that a bomb harms nobody else
NOTES = 3  # lines that may stand before the one that refuses: of a source that changed, of progress
GOOD = ("read", "refused")


@dataclass(frozen=True)
class Outcome:
    """What came of an input: `read`, `refused`, `traceback`, `lines`, `hang`, `memory` or `died`; `where` groups failures."""

    number: int
    kind: str
    case: str
    end: str
    where: str
    seconds: float
    megabytes: int


class Hang(BaseException):
    """The limit has passed."""


# ------------------------------------------------------------------------------------------------- one input


def tried(base: Any, number: int, seed: int, place: Path, limit: float, memory: int, loud: bool = False) -> Outcome:
    """Tries one, here and now."""
    import inputs

    found = inputs.case(base, seed, number)
    streams, errors, others = io.StringIO(), _Errors(), _others()
    began = time.monotonic()
    _reset_peak()
    quiet, told = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(streams)
    with inputs.folder_of(base, place) as work, quiet, told, _within(limit), errors:
        end, where = _read(found, work, streams)
    seconds, peak = time.monotonic() - began, max(_peak(), _others() if _others() > others else 0)
    if errors.told and end in GOOD:
        end, where = "traceback", errors.told[0]
    if end in GOOD and peak > memory:
        end, where = "memory", str(found)
    if loud:
        print(f"{number}: {found}: {end}, {seconds:.2f} s, {peak} MB\n{where}\n{streams.getvalue()}")
    return Outcome(number, found.kind, str(found), end, where, round(seconds, 3), peak)


def _read(found: Any, work: Path, streams: io.StringIO) -> tuple[str, str]:
    from legato.errors import Mistake

    try:
        code = found.read(work) or 0
    except Mistake as mistake:
        return ("refused", "") if str(mistake).strip() else ("lines", f"an empty line from {found.reader}")
    except Hang:
        return "hang", f"{found.kind}, {found.damage}: {_place(sys.exc_info()[2])}"
    except BaseException as error:
        traceback.print_exc()
        return "traceback", f"{type(error).__name__} at {_place(error.__traceback__)}: {str(error)[:90]!r}"
    if code == 0:
        return "read", ""
    *notes, last, end = ["", *streams.getvalue().split("\n")]
    one = last.startswith("legato: ") and not end and all(len(note) < 500 and "Traceback" not in note for note in notes)
    if not found.told or (one and len(notes) <= 1 + NOTES):
        return "refused", ""
    return "lines", f"{found.reader} said {streams.getvalue()[:200]!r}"


def _place(trace: Any) -> str:
    """The innermost frame of ours."""
    ours = [frame for frame in traceback.extract_tb(trace) if f"{os.sep}legato{os.sep}" in frame.filename]
    last = ours[-1] if ours else traceback.extract_tb(trace)[-1]
    return f"{Path(last.filename).parent.name}/{Path(last.filename).name}:{last.name}"


class _Errors(logging.Handler):
    """What is logged as an error: a server tells of its tracebacks so."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps the place."""
        error = record.exc_info[1] if record.exc_info else None
        self.told.append(f"{type(error).__name__} at {_place(error.__traceback__)}" if error else record.getMessage()[:200])

    def __enter__(self) -> None:
        logging.getLogger().addHandler(self)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().removeHandler(self)


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _reset_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> int:
    """Megabytes, at most, since it was reset; where that cannot be told, since the process began."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) >> 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10


def _others() -> int:
    """Megabytes of the largest process that was started from here and has ended: readers of tables."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10


# ------------------------------------------------------------------------------------------------- many


def child(chosen: argparse.Namespace) -> None:
    """Tries inputs and tells each outcome in a line of JSON; what it begins with, it tells first."""
    import inputs

    _alone()
    base, answers = inputs.Base(Path(chosen.child)), os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    place = Path(chosen.child).with_name("work")
    for number in chosen.only:
        print(json.dumps({"begun": number}), file=answers)
        faulthandler.dump_traceback_later(3 * chosen.limit + 20, exit=True)
        outcome = tried(base, number, chosen.seed, place, chosen.limit, chosen.memory)
        print(json.dumps(asdict(outcome)), file=answers)


def _alone() -> None:
    """One thread, a bound on memory, and no warnings: they are no failures."""
    import torch

    torch.set_num_threads(1)
    resource.setrlimit(resource.RLIMIT_DATA, (MOST, MOST))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")


def outcomes(base: Path, numbers: Sequence[int], chosen: argparse.Namespace) -> Iterator[Outcome]:
    """Every outcome; a process that dies is replaced."""
    left = list(numbers)
    while left:
        part, begun = left[:RENEWED], None
        words = [f"--{name}={getattr(chosen, name)}" for name in ("seed", "limit", "memory")]
        program = [sys.executable, __file__, *words, "--child", str(base), "--only", *map(str, part)]
        with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                told = json.loads(line)
                begun = told.get("begun", begun)
                if "number" in told:
                    left.pop(0)
                    begun = None
                    yield Outcome(**told)
        if begun is not None:
            left.pop(0)
            yield died(base, begun, chosen, process.returncode)
        elif process.returncode:
            sys.exit(f"the process that tries inputs ended with {process.returncode} before it began")


def died(base: Path, number: int, chosen: argparse.Namespace, code: int) -> Outcome:
    """A process that ended in the middle of an input, or that did not hear the limit."""
    import inputs

    found = inputs.case(inputs.Base(base), chosen.seed, number)
    end = "hang" if code == 1 else "died"  # faulthandler's exit
    return Outcome(number, found.kind, str(found), end, f"exit code {code}: {found.kind}, {found.damage}", 0.0, 0)


# ------------------------------------------------------------------------------------------------- what is told


def table(found: Iterable[Outcome]) -> str:
    """A row for each kind of input, and all together."""
    everything = list(found)
    kinds: dict[str, list[Outcome]] = defaultdict(list)
    for one in everything:
        kinds[one.kind].append(one)
    heads = ("input", "tried", "refused in one line", "read", "tracebacks", "lines", "hangs", "died", "memory", "peak MB", "ms")
    ends = ("refused", "read", "traceback", "lines", "hang", "died", "memory")
    rows = []
    for kind, ones in [*sorted(kinds.items()), ("**all**", everything)]:
        counts = Counter(one.end for one in ones)
        peak, mean = max(one.megabytes for one in ones), 1000 * sum(one.seconds for one in ones) / len(ones)
        rows.append((kind, len(ones), *(counts[end] for end in ends), peak, f"{mean:.0f}"))
    return "\n".join(f"| {' | '.join(map(str, row))} |" for row in (heads, ["---"] * len(heads), *rows))


def failures(found: Iterable[Outcome]) -> str:
    """Failures by where they are, the most frequent first, each with some of its numbers."""
    places: dict[tuple[str, str], list[Outcome]] = defaultdict(list)
    for one in found:
        if one.end not in GOOD:
            places[one.end, one.where].append(one)
    lines = []
    for (end, where), ones in sorted(places.items(), key=lambda item: -len(item[1])):
        numbers = " ".join(str(one.number) for one in ones[:5])
        lines.append(f"{len(ones)} × {end}: {where}\n    --only {numbers}    ({ones[0].case})")
    return "\n".join(lines)


def main() -> None:
    """Makes what is whole, tries, tells; exit code 1 where anything failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, nargs="+", help="these numbers, one after another in this process")
    parser.add_argument("--limit", type=float, default=20.0, help="seconds for an input")
    parser.add_argument("--memory", type=int, default=1024, help="megabytes for an input, the process's own included")
    parser.add_argument("--out", type=Path, help="every outcome, as JSON")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.child:
        child(chosen)
        return
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the folder lies in memory: it may not stay
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None) as folder:
        sys.exit(run(Path(folder), chosen))


def run(folder: Path, chosen: argparse.Namespace) -> int:
    """The exit code."""
    import inputs

    base, began = inputs.make(folder / "base"), time.monotonic()
    if chosen.only:
        _alone()
        here = [tried(base, n, chosen.seed, folder / "work", chosen.limit, chosen.memory, loud=True) for n in chosen.only]
        return int(any(one.end not in GOOD for one in here))
    found = []
    for one in outcomes(base.path, range(chosen.inputs), chosen):
        found.append(one)
        if len(found) % 500 == 0:
            bad = sum(one.end not in GOOD for one in found)
            print(f"{len(found):,} inputs, {bad} failures, {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    if chosen.out:
        chosen.out.write_text(json.dumps([asdict(one) for one in found], indent=1))
    bad = sum(one.end not in GOOD for one in found)
    print(table(found))
    print(f"\n{len(found):,} inputs of seed {chosen.seed} in {time.monotonic() - began:.0f} s, {bad} failures\n")
    print(failures(found))
    return int(bad > 0)


if __name__ == "__main__":
    main()
