"""Stops: Ctrl-C and SIGTERM, met between two steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Stop:
    """True once a signal has come. A second one ends the process as if nobody listened, unless `second` says otherwise."""

    second: signal.Handlers = signal.SIG_DFL  # a step that hangs can then be ended still

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signal != 0

    def __enter__(self) -> Stop:
        # Only the main thread may listen; a run inside another (a notebook's worker, a server) is stopped by its owner.
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # a notebook's own handler listens again

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.signal = number
        signal.signal(number, self.second)
