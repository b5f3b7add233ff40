"""A RUN: a folder a person can read. Its files, its one writer, and files written whole or not at all.

    recipe.json         the sentence: recipe, its options, the shared words
    data.json           the source and how it was prepared
    training.json       steps, batch size, learning rate, seed, …
    model.safetensors   the EMA weights: what every command uses
    codes.safetensors   mean and covariance of the training codes: what samples are drawn from where no prior was trained for
    codes/              the same of each class, where the model is told the class
    priors/             priors that were fitted to the codes afterwards (`legato refit`), each by its name
    checkpoint/         everything that resuming needs; the newest two are kept
    snapshots/          about twelve, spaced evenly in the logarithm of the step
    metrics.jsonl       loss parts, validation, σ, Std μ and KL of each dimension

Covered: paths, the lock, one run put in another's place. Not covered: what the files say (stored.py), how tensors
lie in them (tensors.py), what a checkpoint holds (checkpoint.py).
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from legato.errors import Mistake, quoted
from legato.files import damaged, disk_errors, made, parse, read_bytes, read_json, synchronise
from legato.partials import sweep
from legato.schema import fault
from legato.stored import MetricsLine, StoredData, StoredRecipe, StoredTraining, check_data
from legato.tensors import read_tensors

KINDS: dict[str, Any] = {"recipe": StoredRecipe, "data": StoredData, "training": StoredTraining}
MOST_METRICS = 1 << 30  # bytes: a run writes some hundred lines, and what is larger would fill the memory
LOCK = ".lock"
REPLACED = ".replaced"  # where an old run lies while a new one takes its place


def _made_by(path: str | Path) -> str:
    return f"expected a folder made by `legato train … --out {quoted(path)}`"


class Run:
    """The paths of one run."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.recipe, self.data, self.training = (self.path / f"{name}.json" for name in ("recipe", "data", "training"))
        self.model, self.codes = self.path / "model.safetensors", self.path / "codes.safetensors"
        self.classes, self.priors = self.path / "codes", self.path / "priors"
        self.checkpoints, self.snapshots = self.path / "checkpoint", self.path / "snapshots"
        self.metrics, self.figures, self.report = self.path / "metrics.jsonl", self.path / "figures", self.path / "report.html"

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    def __str__(self) -> str:
        return str(self.path)

    def saved(self) -> Run:
        """Itself: it lies on a disk."""
        return self

    @property
    def has_moments(self) -> bool:
        """True once its training codes were summed up, which is the last thing that training does."""
        return self.codes.is_file()

    def moments(self, like: Mapping[str, Tensor], one: int | None = None) -> dict[str, Tensor]:
        """Mean and covariance of the training codes, of the shapes of `like`; of one class, where it is said.

        Raises `Mistake` where they are missing.
        """
        if one is not None and self.has_moments and not self.codes_of(one).is_file():
            raise Mistake(f"`{self.path}` was trained on no image of that class, so that there are no codes of it to go by")
        return read_tensors(self.codes if one is None else self.codes_of(one), like)

    def codes_of(self, number: int) -> Path:
        """The moments of one class's training codes."""
        return self.classes / f"class-{number:05d}.safetensors"

    @staticmethod
    def existing(path: str | Path) -> Run:
        """The run that lies at `path`. Raises `Mistake` where there is none."""
        run = Run(path)
        if not run.path.is_dir():
            raise Mistake(f"no run lies at `{path}`: {_made_by(path)}")
        if not run.recipe.is_file():
            raise Mistake(f"`{path}` is no run: it has no recipe.json; {_made_by(path)}")
        for folder in (run.path, run.figures):  # readers write there, too
            sweep(folder)
        return run

    def stored(self, what: Literal["recipe", "data", "training"]) -> dict[str, Any]:
        """The content of recipe.json, data.json or training.json. Raises `Mistake` where it is missing or was altered."""
        path = self.path / f"{what}.json"
        content = read_json(path, KINDS[what])
        if what == "data" and (why := check_data(content)):
            raise damaged(f"`{path}`", why)
        return content

    def read_metrics(self, after: int = 0) -> list[dict[str, Any]]:
        """The whole lines of metrics.jsonl from number `after` on (-1: the last). Raises `Mistake` for a damaged one."""
        lines = list(enumerate(self.metrics_lines(), 1))
        return [self._metrics_line(number, line) for number, line in lines[after:]]

    def metrics_lines(self) -> list[bytes]:
        """Every whole line as it stands; one that is being written is left for the next reader."""
        if not os.path.lexists(self.metrics):
            return []
        return read_bytes(self.metrics, MOST_METRICS).split(b"\n")[:-1]

    def _metrics_line(self, number: int, line: bytes) -> dict[str, Any]:
        what, remedy = f"line {number} of `{self.metrics}`", "restore the file, or delete that line"
        content = parse(line, what, remedy)
        if why := fault(MetricsLine, content):
            raise damaged(what, why, remedy)
        return dict(content)

    def kept_snapshots(self) -> dict[int, Path]:
        """The snapshots by their steps, in order."""
        named = ((re.fullmatch(r"step-(\d{1,16})\.safetensors", path.name), path) for path in self.snapshots.glob("step-*"))
        return dict(sorted((int(name[1]), path) for name, path in named if name))

    def own(self, name: str) -> Path:
        """A folder of the run to write into. Raises `Mistake` for a link: what a RUN holds may not say where we write."""
        self._refuse_links([name])
        return self.path / name

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Holds the run for one writer. Readers are never kept out. Raises `Mistake` where another process writes.

        The lock is the kernel's (`flock`): it ends with the process, however that ends. What would be written through a link
        is refused.
        """
        with disk_errors(self.path):
            made(self.path)
        steps = [f"{self.checkpoints.name}/{path.name}" for path in self.checkpoints.glob("step-*")]
        self._refuse_links(
            [LOCK, self.metrics.name, self.checkpoints.name, self.snapshots.name, self.classes.name, self.priors.name, *steps]
        )
        with disk_errors(self.path / LOCK):
            lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o644)
        try:
            with disk_errors(self.path / LOCK):
                self._take(lock)
                self._sweep()  # under the lock: what is half written is nobody's now
            yield
        finally:
            os.close(lock)  # lets go of the lock; its file stays, for the next writer may have it open already

    def _refuse_links(self, names: Iterable[str]) -> None:
        for path in (self.path / name for name in names):
            if path.is_symlink():
                raise Mistake(
                    f"`{path}` is a symbolic link, and nothing is written through one that lies in a RUN: "
                    "put what it leads to in its place, or choose another --out"
                )

    def _take(self, lock: int) -> None:
        found = os.fstat(lock)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:  # a second name: it would be written through, too
            raise Mistake(f"`{self.path / LOCK}` is no lock of Legato's: remove it")
        self._lock(lock, fcntl.LOCK_EX)
        os.ftruncate(lock, 0)  # only now: whoever holds the lock is named in it
        os.pwrite(lock, str(os.getpid()).encode(), 0)

    def _lock(self, lock: int, how: int) -> None:
        try:
            fcntl.flock(lock, how | fcntl.LOCK_NB)
        except BlockingIOError:
            # shown to a person: digits alone, whatever lies there
            owner = re.sub(rb"[^0-9]", b"", os.pread(lock, 20, 0)).decode() or "unknown"
            raise Mistake(f"`{self.path}` is being written by process {owner}: wait for it, or choose another --out") from None

    def refuse_in_use(self) -> None:
        """Raises `Mistake` where another process writes now: before work that would be lost. `writing` alone holds the run."""
        try:
            lock = os.open(self.path / LOCK, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return  # nobody has written there, or nobody can: `writing` tells
        try:
            self._lock(lock, fcntl.LOCK_SH)
        finally:
            os.close(lock)

    def _sweep(self) -> None:
        """Drops what a killed writer left half written, and killed readers."""
        self._settle()
        for folder in (self.path, self.figures, self.snapshots):
            sweep(folder)

    @contextmanager
    def replacing(self) -> Iterator[None]:
        """Puts the old run aside while a new one's JSON is written, and drops it then; if that fails it is back as it was.

        The caller holds the lock. Whatever kills the process, the next writer finds one of the two whole (`_settle`).
        """
        with disk_errors(self.path):
            self._refuse_what_stays()  # before anything is moved: a rename may work where nothing can be removed
            try:
                self._put_aside()
                yield
            finally:
                self._settle()

    def _refuse_what_stays(self) -> None:
        for folder, _, _ in os.walk(self.path):
            if not os.access(folder, os.W_OK | os.X_OK):
                raise Mistake(f"`{folder}` is not yours to clear, so nothing is: choose another --out")

    def _put_aside(self) -> None:
        """recipe.json goes last: until then it is the old run."""
        entries = [path for path in self.path.iterdir() if path.name not in (LOCK, REPLACED)]
        if not entries:
            return
        aside = self.path / REPLACED
        aside.mkdir()
        for path in sorted(entries, key=lambda path: path == self.recipe):
            os.rename(path, aside / path.name)
        synchronise(aside)

    def _settle(self) -> None:
        """The new run where all its JSON is there (training.json is written last), else the old one back."""
        aside = self.path / REPLACED
        if aside.is_symlink() or not aside.is_dir():  # a link may lead out of the run
            return
        old = aside / self.recipe.name
        if old.exists() and self.training.exists():
            shutil.rmtree(aside, ignore_errors=True)  # what stays is dropped by the next writer
            return
        if old.exists():
            self.data.unlink(missing_ok=True)  # the new run's, which never became whole
            os.replace(old, self.recipe)
        for path in aside.iterdir():
            os.replace(path, self.path / path.name)
        aside.rmdir()
