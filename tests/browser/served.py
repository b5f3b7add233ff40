"""`legato explore` as a person starts it: the installed command in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from patience import PATIENCE

COMMAND = Path(sys.executable).with_name("legato")


@contextmanager
def served(runs: Sequence[Path], *options: str, command: Sequence[str] = (str(COMMAND),), **env: str) -> Iterator[str]:
    """The address that it prints; the process is gone afterwards, however the test ended."""
    with process(runs, *options, command=command, **env) as (url, _):
        yield url


@contextmanager
def process(
    runs: Sequence[Path], *options: str, command: Sequence[str] = (str(COMMAND),), **env: str
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address and the process, for tests that end it themselves."""
    said = [*command, "explore", *map(str, runs), "--no-browser", "--threads", "1", "--device", "cpu", *options]
    started = subprocess.Popen(
        said, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **env}
    )
    try:
        url = started.stdout.readline().strip() if started.stdout else ""
        assert url.startswith("http://127.0.0.1:"), started.communicate(timeout=PATIENCE)
        yield url, started
    finally:
        started.kill()
        started.communicate()
