"""Pools: calls side by side, by processes of this machine or by Ray's, each given again where its worker was lost.

Covered: who does the calls, retries, a command that ends. Not covered: what the calls do; they must go on where a lost one was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from legato.devices import say_threads
from legato.errors import Mistake, install, tell
from legato.workers import WorkerLost, unheard, workers

Call = tuple[Callable[..., Any], tuple[Any, ...]]


@dataclass(frozen=True)
class Pool:
    """`size` workers with so many threads each. `ray`: `local`, or the address of a cluster; None: processes here.

    `retries`: how often work is given again after a worker was lost, before it is given up.
    """

    size: int
    out: Path
    threads: int = 1
    ray: str | None = None
    retries: int = 3

    def done(self, calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
        """(number of the call, its result), as they end. Raises what a call raises, and `Mistake` where workers are lost
        again and again.
        """
        return self._here(calls) if self.ray is None else self._by_ray(self.ray, calls)

    def _here(self, calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
        left, lost = dict(enumerate(calls)), 0
        while left:
            try:
                with workers(self.size, self.out, self.threads) as pool:
                    with unheard():  # started unheard: each new process would tell of Ctrl-C on its own
                        futures = {pool.submit(function, *given): at for at, (function, given) in left.items()}
                    for future in as_completed(futures):  # as they end and not in order
                        result = future.result()
                        del left[futures[future]]
                        yield futures[future], result
            except WorkerLost:
                lost += 1
                if lost > self.retries:
                    raise
                tell(f"a worker was lost: what it did is given to another ({lost} of {self.retries} times)")

    def _by_ray(self, address: str, calls: Sequence[Call]) -> Iterator[tuple[int, Any]]:
        ray = _ray()
        tell(
            "Ray executes whatever reaches its ports: let them be reached by this machine alone, or by a network that is yours"
        )
        here = {"num_cpus": self.size, "_node_ip_address": "127.0.0.1"} if address == "local" else {"address": address}
        ray.init(include_dashboard=False, log_to_driver=False, logging_level="error", configure_logging=False, **here)
        try:
            task = ray.remote(num_cpus=1, max_retries=self.retries)(_called)
            left = {task.remote(function, given, self.threads): at for at, (function, given) in enumerate(calls)}
            while left:
                # for a moment at a time: a signal is heard between two
                ended, _ = ray.wait(list(left), num_returns=1, timeout=0.5)
                for one in ended:
                    yield left.pop(one), _result(ray, one)
        finally:
            ray.shutdown()


def _called(function: Callable[..., Any], given: tuple[Any, ...], threads: int) -> Any:
    """A call in a worker of Ray's."""
    if threads:
        say_threads(threads)
    return function(*given)


def _result(ray: Any, one: Any) -> Any:
    try:
        return ray.get(one)
    except ray.exceptions.RayTaskError as error:  # a call's own mistake, in a traceback of Ray's
        if isinstance(error.cause, Mistake):
            raise Mistake(str(error.cause)) from error
        raise
    except ray.exceptions.RayError as error:
        line = str(error).strip().splitlines()[0]
        raise Mistake(f"Ray gave a run up ({line}): all that is finished is kept; go on with the same command") from error


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise Mistake(f"--ray needs Ray, which is not installed: {install('ray')}") from error
    return ray
