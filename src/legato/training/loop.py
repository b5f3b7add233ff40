"""The loop: one for every recipe. It may be stopped after any step and goes on bit for bit.

Covered: steps, metrics, validation, snapshots, checkpoints, signals. Not covered: what a step does (learner.py).
"""

from __future__ import annotations

import math
import os
import signal
import time
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from legato import checkpoint
from legato.checkpoint import Checkpoint
from legato.definition import module_of
from legato.devices import release_memory
from legato.errors import Mistake, Stopped, quoted, tell
from legato.files import disk_errors, synchronise
from legato.progress import Bar, progress
from legato.ranks import lost, now, speak
from legato.tensors import write_tensors
from legato.training.alarms import Alarms
from legato.training.best import score
from legato.training.codes import OF_ALL, OF_CLASS, enough, summarise
from legato.training.guard import Diverged, finite_json
from legato.training.setup import Job
from legato.training.slowdown import Slowdown
from legato.training.stop import Stop


class Loop:
    """Runs a job to its end."""

    def __init__(self, job: Job, checkpoint_minutes: float) -> None:
        self.job, self.learner, self.plan = job, job.learner, job.plan
        self.per_epoch = job.batches().per_epoch
        self.ranks = now()
        self.every = checkpoint_minutes * 60
        self.done = int(job.state.get("step", 0))
        self.engine = job.engine(job.state.get("sums", ()), int(job.state.get("counted", 0)))
        self.best: dict[str, Any] | None = job.state.get("best")
        # by the processes before this one: metrics tell a run's seconds, not a process's
        self.spent = float(job.state.get("clock", {}).get("seconds", 0.0))
        # A monotonic clock: the time of day may be set back while a run lasts.
        self.began = self.saved = time.monotonic()
        self._due = False
        on_cpu = self.learner.device.type == "cpu"
        self.slowdown = Slowdown(self.plan.threads, self._resumption()) if on_cpu else nullcontext()
        self.note = ""
        self.alarms = Alarms(self.learner)
        self._rewind_metrics(int(job.state.get("metrics_bytes", 0)))

    def run(self) -> None:
        """Runs to the last step. Raises `Stopped` on a signal (all is saved), `Mistake` when too many steps are skipped."""
        title = f"training {self.job.definition.name}"
        with Stop() as stop, progress(title, self.plan.total, start=self.done, unit="steps") as bar:
            if self.ranks.world > 1:
                stop.second = signal.SIG_IGN  # a launcher passes on what its ranks have heard already, while they save
            try:
                self._steps(stop, bar)
            except RuntimeError as error:
                if self.ranks.world == 1 or not lost(error):
                    raise
                speak(self._bereft())  # at once: the launcher is ending this process, too
                raise SystemExit(1) from error
            except Diverged as error:
                raise Mistake(f"{error}; {self._last_good()}") from error
            except (Mistake, OSError):
                # whatever failed while something was written: a folder that has gone is the cause to tell
                self._refuse_removed()
                raise
            finally:
                with suppress(OSError):  # a full disk was told of when the line was written that is still in the buffer
                    self.metrics.close()
            if self.done == self.plan.total:  # not after a stop: codes say that a run is finished
                self._finish()
                return
        line = f"stopped at step {self.done:,} of {self.plan.total:,}, all saved"
        raise Stopped(f"{line}: go on with `{self._resumption()}`", stop.signal)

    def _steps(self, stop: Stop, bar: Bar) -> None:
        validations, milestones, log_every = self.plan.validations(), self.plan.milestones(), self.plan.log_every()
        while self.done < self.plan.total and not self._stops(stop):  # asked between two steps: none is ever half done
            with self.slowdown:
                self.engine.step(self.done)
            # Counted before anything is written, so that every file names the number of steps that are in its weights.
            self.done += 1
            if self.done % log_every == 0 or self.done == self.plan.total:
                self._log_training(bar)
            if self.done in validations:
                self._log_validation()
            if self.done in milestones:
                self._snapshot()
            if self._due:
                self.save()
        if self.done == self.plan.total:
            self.learner.guard.refuse_idle(self.done)
        self.save()

    def _stops(self, stop: Stop) -> bool:
        """True once a signal has come, to whichever rank: all stop after the same step. Asks for the clock, too."""
        self._due = time.monotonic() - self.saved > self.every
        if self.ranks.world == 1:
            return bool(stop)
        asked = [bool(stop), self._due and self.ranks.first]  # a checkpoint may be of all ranks, and is when the first says so
        heard, due = self.ranks.total(torch.tensor(asked, dtype=torch.float, device=self.learner.device)).tolist()
        self._due = bool(due)
        if heard and not stop:
            stop.signal = signal.SIGTERM
        return bool(heard)

    def _bereft(self) -> str:
        """What to say where another rank has gone; all steps that were done together are saved."""
        gone, model = f"a process of this training has gone after step {self.done:,}", self.learner.model
        # not where there is a codebook, which may have moved by half a step, nor where the others have a part of the model
        if self.ranks.first and not self.learner.collective and len(model.learnt()) == len(list(model.parameters())):
            self.save()
        return f"{gone}; {self._last_good()}: go on with --resume, with as many processes or others"

    def save(self) -> None:
        """A checkpoint of this very step, and the model as it is now for those who look in."""
        self._refuse_removed()
        self._bring_lines()
        sums, counted = self.engine.look()
        state = {
            "guard": self.learner.guard.state(),
            "sums": sums,  # so that the line of metrics in which a run was stopped comes out as it would have
            "counted": counted,
            **({} if self.best is None else {"best": self.best}),
            "metrics_bytes": os.fstat(self.metrics.fileno()).st_size,
            "clock": {"seconds": self._seconds()},
        }
        self._keep(Checkpoint(self.learner.tensors(), state))
        # After the checkpoint: whoever looks in may meet an older model beside it, never one that is ahead of its checkpoint.
        self._put(self.job.run.model, self.learner.state(self.learner.result))
        self.saved = time.monotonic()

    def _finish(self) -> None:
        """Writes what the codes are like: of each class first, for the file of all says that the run is finished."""
        model = self.learner.result
        of_class, of_all = (enough(model, rows) for rows in (OF_CLASS, OF_ALL))
        for number in range(model.classes):
            if some := list(self.job.some("train", of_class, number)):
                self._put(self.job.run.codes_of(number), summarise(model, some))
        self._put(self.job.run.codes, summarise(model, self.job.some("train", of_all)))

    def _log_training(self, bar: Bar) -> None:
        sums, counted = self.engine.look()
        means = [value / counted if counted else None for value in sums]
        found = dict(zip(self.learner.figures, means, strict=True))
        parts, others = ({name: found[name] for name in names} for names in (self.learner.names, self.learner.others))
        line = {"train": parts, "weights": self.learner.weights(self.done - 1), **({"players": others} if others else {})}
        rate = self.plan.rate(self.done - 1)  # of the step that was just made
        self._write({**line, "learning_rate": rate, "skipped": self.learner.guard.skipped})
        release_memory()  # glibc's heap fragments among tensors of many sizes, by 0.2 to 2 MB a step under bfloat16
        self.engine.clear()
        shown = " · ".join(f"{name} {value:.1f}" for name, value in found.items() if value is not None)
        bar(self.done, f"{shown}{self.note} nats")

    def _log_validation(self) -> None:
        found = self.job.validate()
        if self.best is not None and not math.isfinite(score(found)):
            # no line and no end: whoever keeps the best has it, and these weights are none
            if self.ranks.first:
                tell(
                    f"the validation of step {self.done:,} is not finite: examples that were held out are impossible under "
                    f"these weights; those of step {self.best['step']:,} stay the best"
                )
            return
        self._write({"validation": found})
        if self.plan.keep == "best" and (self.best is None or score(found) > self.best["score"]):
            self.best = {"step": self.done, "score": score(found)}
            self.learner.keep()
        word, value = ("ELBO", found["elbo"]) if found["elbo"] is not None else ("distortion", found["distortion"])
        self.note = f" · validation {word} {value:.1f}"

    def _snapshot(self) -> None:
        self._refuse_removed()
        path = self.job.run.snapshots / f"step-{self.done:09d}.safetensors"
        self._put(path, self.learner.state(self.learner.average))  # not `kept`: a snapshot is the run's course, not its best

    def _bring_lines(self) -> None:
        with disk_errors(self.job.run.metrics):
            # Before a checkpoint: it promises as many bytes of them as it names, whatever the machine does next.
            os.fsync(self.metrics.fileno())

    def _keep(self, made: Checkpoint) -> None:
        checkpoint.write(self.job.run.checkpoints, self.done, made)

    def _put(self, path: Path, tensors: dict[str, Tensor]) -> None:
        write_tensors(path, tensors)

    def _write(self, found: dict[str, Any]) -> None:
        line = {
            "step": self.done,
            "epoch": round(self.done / self.per_epoch, 6),
            **found,
            **self._alarmed(found),
            "clock": {"seconds": round(self._seconds(), 3)},
        }
        text = finite_json(line, self.done)
        self._refuse_removed()
        with disk_errors(self.job.run.metrics):
            self.metrics.write(text.encode() + b"\n")
            self.metrics.flush()  # a killed process has then lost no line, and readers see whole ones

    def _alarmed(self, found: dict[str, Any]) -> dict[str, Any]:
        """Tells what sounds for the first time, and keeps it in the line."""
        alarms = self.alarms.of({"step": self.done, **found})
        for says in alarms.values():
            tell(says)
        return {"alarms": alarms} if alarms else {}

    def _refuse_removed(self) -> None:
        """A folder that was removed is not made again: half a run under its name would be of no use."""
        # By the open file, not by the path, where another run may lie by now.
        if not os.fstat(self.metrics.fileno()).st_nlink:
            raise Mistake(
                f"`{self.job.run.path}` was removed at step {self.done:,} of its training, so nothing can be saved there: "
                "bring it back and use --resume, or train anew"
            )

    def _seconds(self) -> float:
        return self.spent + time.monotonic() - self.began

    def _rewind_metrics(self, size: int) -> None:
        """Cuts what a killed process wrote after its checkpoint: those steps are done, and written, again."""
        path = self.job.run.metrics
        with disk_errors(path):
            path.touch()
            if path.stat().st_size < size:  # truncating would fill the gap with zeros
                raise Mistake(f"`{path}` has lost lines that the checkpoint knows of: restore it, or train with --overwrite")
            synchronise(path.parent)  # lost power may undo the file's name, and take all lines with it
            self.metrics = open(path, "r+b")  # noqa: SIM115  (closed when `run` ends)
        self.metrics.truncate(size)
        self.alarms.recall(self.job.run.read_metrics())
        self.metrics.seek(size)

    def _resumption(self) -> str:
        """The command that goes on; a recipe of one's own must be named again, for a folder may not choose what is imported."""
        module = module_of(self.job.definition.name)
        return f"legato train --resume --out {quoted(self.job.run.path)}" + (f" --module {module}" if module else "")

    def _last_good(self) -> str:
        saved = checkpoint.existing(self.job.run.checkpoints)
        return f"the last good checkpoint is `{saved[-1]}`" if saved else "no checkpoint had been written yet"
