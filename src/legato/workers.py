"""Worker processes that end with the command that started them, and a command that a signal ends within seconds.

Covered: what a signal does to command and workers, workers whose parent is gone. Not covered: what they do (work.py).
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from multiprocessing import active_children, get_context, parent_process, resource_tracker
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from legato.devices import say_threads
from legato.errors import Mistake, Stopped
from legato.terminal import listen, signal_of
from legato.training.stop import Stop

GRACE = 3.0  # seconds in which a worker that was told to end saves what it trains; after that a kill costs it that


class WorkerLost(Mistake):
    """A worker was ended from outside, or for want of memory."""


@contextmanager
def stoppable(line: str) -> Iterator[None]:
    """Ctrl-C and SIGTERM raise `Stopped` with this line, whatever goes on. A second one ends the process at once."""
    # only the main thread may set handlers: elsewhere Python raises
    before = listen() if threading.current_thread() is threading.main_thread() else {}
    try:
        yield
    except KeyboardInterrupt as interruption:
        raise Stopped(line, signal_of(interruption)) from None
    finally:
        for number, handler in before.items():  # put back, since what goes on after this block has handlers of its own
            signal.signal(number, handler)


@contextmanager
def workers(size: int, out: Path, threads: int) -> Iterator[ProcessPoolExecutor]:
    """Workers that write what they say to OUT/work.log, with so many threads each (0: as many as torch likes).

    Whatever leaves the block early ends them: what is trained is saved, what is measured is dropped.
    Raises `WorkerLost` where a worker was ended from outside.
    """
    before = set(active_children())  # children that were there before are not ours to end
    # spawn, never fork: torch's threads do not survive a fork, and a lock that one held would stay shut
    pool = ProcessPoolExecutor(size, get_context("spawn"), begin_worker, (str(out), threads))
    try:
        yield pool
    except BaseException as error:
        _end(set(active_children()) - before)
        if isinstance(error, BrokenProcessPool):
            raise WorkerLost(
                f"a worker was ended from outside, or for want of memory: all that is finished is kept in `{out}`; "
                "go on with the same command, with --side-by-side 1 if memory is short"
            ) from None
        raise
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def unheard() -> Iterator[None]:
    """Processes that are started meanwhile do not hear Ctrl-C until they are ready to: they would tell of it, one by one.

    A terminal sends it to all of them, and a new one imports for seconds. What is blocked here is blocked in them.
    """
    resource_tracker.ensure_running()  # started by the first of them, it would unblock again
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _end(processes: Iterable[BaseProcess]) -> None:
    """Tells each once to end, and kills what is left after the grace."""
    left = list(processes)
    for process in left:
        process.terminate()
    until = time.monotonic() + GRACE  # monotonic: a clock that is set back would lengthen the grace
    while left and time.monotonic() < until:
        time.sleep(0.01)
        left = [process for process in left if process.is_alive()]
    for process in left:
        with suppress(ProcessLookupError):  # it may have ended since it was looked at
            process.kill()


def begin_worker(out: str, threads: int) -> None:
    """A worker's first act: it ends with its parent, its lines go to OUT/work.log, its threads are counted."""
    # A daemon: it must not keep a worker alive whose work is done.
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Of Ctrl-C the parent tells. The pool repeats SIGTERM as soon as one worker has ended, and the others may still be saving.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    Stop.second = signal.SIG_IGN
    Path(out).mkdir(parents=True, exist_ok=True)
    # O_APPEND: lines of several workers go behind each other, and none overwrites another's
    log = os.open(Path(out, "work.log"), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for descriptor in (1, 2):
        os.dup2(log, descriptor)
    if threads:
        say_threads(threads)
        threadpool_limits(threads)  # NumPy's and scikit-learn's own: two workers with two of these each wait for one another


def _end_with_parent() -> None:
    """Waits at a pipe that the kernel closes when the parent is gone, also by `kill -9`."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        # `sys.exit` would end this thread alone, and the worker would go on without a parent.
        os._exit(1)


def leave() -> Any:
    """Ends this worker, which was told to and has saved. An exception would only bring it its next task."""
    # `os._exit` flushes nothing, and the last lines are those that say what was saved.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
