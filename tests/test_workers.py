"""Workers of `legato claims` end with their command, however it ends, and say nothing of it themselves."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from patience import PATIENCE

SCRIPT = """
import os, sys, time
from pathlib import Path
from legato import cli
from legato.errors import Mistake, Stopped
from legato.workers import stoppable, unheard, workers

out = Path(sys.argv[1])

def nap():
    (out / f"{os.getpid()}.worker").write_text("")
    time.sleep(600)

def main():
    if sys.argv[2:] == ["die"]:
        try:
            with workers(1, out, 1) as pool:
                pool.submit(os._exit, 9).result()
        except Mistake as mistake:
            print(mistake)
        return
    try:
        with stoppable("stopped: go on"), workers(1, out, 1) as pool:
            with unheard():
                waits = pool.submit(nap)
            waits.result()
    except Stopped as stopped:
        print(f"{stopped} {stopped.number}")

if __name__ == "__main__":
    main()
"""


@contextmanager
def started(folder: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    script = folder / "script.py"
    script.write_text(SCRIPT)
    program = [sys.executable, str(script), str(folder), *words]
    with subprocess.Popen(program, stdout=-1, stderr=-1, text=True, process_group=0) as process:
        try:
            yield process
        finally:
            process.kill()


def worker(folder: Path) -> int:
    """The number of the worker's process, once it is at work."""
    until = time.monotonic() + PATIENCE
    while not (found := list(folder.glob("*.worker"))):
        assert time.monotonic() < until
        time.sleep(0.02)
    return int(found[0].stem)


def ends(number: int) -> bool:
    """Whether a process that is no child of ours is gone in time."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return True
        if Path(f"/proc/{number}/stat").read_text().split()[2] == "Z":  # nobody here reaps it
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_kill_9_of_the_parent_ends_its_workers(tmp_path):
    with started(tmp_path) as process:
        number = worker(tmp_path)
        process.kill()
        assert ends(number)


def test_ctrl_c_to_all_of_them_is_one_line_and_the_workers_are_gone(tmp_path):
    with started(tmp_path) as process:
        number = worker(tmp_path)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, f"stopped: go on {signal.SIGINT:d}\n", "")
        with pytest.raises(ProcessLookupError):
            os.kill(number, 0)


def test_a_worker_that_is_ended_from_outside_is_a_line_that_says_how_to_go_on(tmp_path):
    with started(tmp_path, "die") as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert out.startswith("a worker was ended from outside, or for want of memory: all that is finished is kept")
    assert err == ""
