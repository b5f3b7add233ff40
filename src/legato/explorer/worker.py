"""One thread that computes, the most urgent job first; a long job is cut into slices, between which others go first.

A model is used by one thread alone, and a lone cursor never waits for more than one slice. Many cursors do not keep the rest
waiting for ever: a slice is due so many turns after it was asked for, the sooner, the more urgent. Covered: order, slices,
cancelling, closing. Not covered: what is computed (session.py).
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import PriorityQueue
from typing import Any, TypeVar

T = TypeVar("T")
Slices = Generator[None, None, T]  # a job that pauses wherever another may go first, and returns its result

CURSOR, NEAR, TILES, MAP, FIELD = range(5)  # urgency: what a hand waits for comes first
PATIENCE = 4  # turns for each step of urgency: a slice of a field waits for 16 cursors that come after it, and no more


@dataclass(order=True)
class _Job:
    due: int  # in turns, not in seconds: a slow machine must not change who goes first
    urgency: int
    # no part of the order: generators and futures cannot be compared, and the queue would raise
    slices: Slices[Any] = field(compare=False)
    future: Future[Any] = field(compare=False)


class Worker:
    """The thread. Any thread may `submit`; `close` ends it after the slice under way."""

    def __init__(self) -> None:
        self._jobs: PriorityQueue[_Job] = PriorityQueue()
        self._turns = itertools.count()
        self._closed = threading.Event()
        # a daemon: a slice that hangs must not keep the process alive
        self._thread = threading.Thread(target=self._work, name="legato-explorer", daemon=True)
        self._thread.start()

    def submit(self, urgency: int, job: Callable[[], Slices[T]]) -> Future[T]:
        """The result of the job's slices, later. A cancelled future's job is dropped at its next slice."""
        future: Future[T] = Future()
        # the job is made here, in the caller's thread, and does nothing before its first slice
        self._jobs.put(_Job(self._due(urgency), urgency, job(), future))
        if self._closed.is_set():  # the thread may have looked for the last time
            future.cancel()
        return future

    def end(self) -> None:
        """The slice under way is the last; what was left, and what is still asked, is cancelled."""
        self._closed.set()
        # Something to wake for: the thread waits in `get`, and would never look at the flag.
        self._jobs.put(_Job(0, CURSOR, nothing(), Future()))

    def close(self) -> None:
        """`end`, and waits for it."""
        self.end()
        self._thread.join()

    def _due(self, urgency: int) -> int:
        return next(self._turns) + PATIENCE * urgency

    def _work(self) -> None:
        while not self._closed.is_set():
            job = self._jobs.get()
            if self._closed.is_set():
                job.future.cancel()
            elif _advance(job):
                # As if it were asked for now: between two slices of a long job whatever is more urgent goes first.
                job.due = self._due(job.urgency)
                self._jobs.put(job)
        # What is left has callers that wait: a future that is never settled would hang them.
        while not self._jobs.empty():
            self._jobs.get().future.cancel()


def finished(slices: Slices[T]) -> T:
    """The result of a job without a worker, its slices one after another."""
    while True:
        try:
            next(slices)
        except StopIteration as end:
            result: T = end.value
            return result


def nothing() -> Slices[None]:
    """A job that does nothing."""
    yield


def _advance(job: _Job) -> bool:
    """One slice; whether more are left. Whatever it raises is its caller's."""
    if job.future.cancelled():
        # Closed, so that `finally` blocks of the job run now and not whenever it is collected.
        job.slices.close()
        return False
    try:
        next(job.slices)
    except StopIteration as end:
        _settle(job.future, result=end.value)
        return False
    # Whatever it is: an exception must end this job, and never the thread of all others.
    except Exception as error:
        _settle(job.future, error=error)
        return False
    return True


def _settle(future: Future[Any], result: Any = None, error: Exception | None = None) -> None:
    # The future may be cancelled while its slice computes; setting a result then would raise in the one thread there is.
    if not future.set_running_or_notify_cancel():  # cancelled during this slice, and nobody waits
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
