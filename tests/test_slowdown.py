"""A machine that becomes busy: one line, at a time that a fake clock tells, and none for what only looks like it."""

from __future__ import annotations

import math

import pytest

from legato.training import slowdown
from legato.training.slowdown import LASTING, LEAST, SLOW, WINDOW, Slowdown, left
from made_runs import train

RESUME = "legato train --resume --out r"


class Machine:
    """Time that passes only where it is said, and processor time beside it."""

    def __init__(self, threads: int = 2) -> None:
        self.now, self.used = 1000.0, 0.0
        self.threads = threads
        self.slowdown = Slowdown(threads, RESUME, lambda: self.now, lambda: self.used)

    def passes(self, seconds: float, cores: float) -> None:
        self.now, self.used = self.now + seconds, self.used + cores * seconds

    def steps(self, seconds: float, each: float, cores: float) -> None:
        for _ in range(math.ceil(seconds / each)):
            with self.slowdown:
                self.passes(each, cores)


@pytest.fixture
def lines(monkeypatch) -> list[str]:
    told: list[str] = []
    monkeypatch.setattr(slowdown, "tell", told.append)
    return told


def test_a_lasting_slowdown_is_told_once_with_the_command_that_helps(lines):
    machine = Machine()
    machine.steps(10, 0.011, 2.0)
    machine.steps(LASTING - WINDOW, 0.045, 0.9)
    assert lines == []
    machine.steps(3 * WINDOW, 0.045, 0.9)
    machine.steps(1000, 0.045, 0.9)
    machine.steps(1000, 0.011, 2.0)
    machine.steps(1000, 0.045, 0.9)
    assert lines == [
        "steps take 4.1 times as long as before (11 ms → 45 ms): other processes use these cores, and threads wait for one "
        f"another; Ctrl-C and `{RESUME} --threads 1` goes on with 1 thread"
    ]


def test_one_thread_has_no_better_number(lines):
    machine = Machine(1)
    machine.steps(10, 0.011, 1.0)
    machine.steps(100, 0.045, 0.3)
    (line,) = lines
    assert line.endswith("other processes use these cores; the run ends later and gives the same")
    assert "--threads" not in line


def test_a_chip_that_is_slower_by_itself_is_not_blamed_on_others(lines):
    machine = Machine()
    machine.steps(10, 0.011, 2.0)
    machine.steps(100, 0.033, 2.0)
    (line,) = lines
    assert "3.0 times" in line
    assert "other processes" not in line
    assert "--threads" not in line


def test_what_lasts_shortly_or_is_less_than_twice_as_slow_is_not_told(lines):
    machine = Machine()
    for _ in range(50):
        machine.steps(10, 0.011, 2.0)
        machine.steps(LASTING - 2 * WINDOW, 0.045, 0.9)
    machine.steps(1000, 0.011 * (SLOW - 0.1), 1.2)
    assert lines == []


def test_a_stopped_process_a_sleeping_laptop_and_what_lies_between_steps_make_no_step_slow(lines):
    machine = Machine()
    machine.steps(10, 0.011, 2.0)
    for _ in range(200):
        machine.steps(WINDOW, 0.011, 2.0)
        with machine.slowdown:
            machine.passes(3600, 0.0)  # SIGSTOP in the middle of a step, for an hour
        machine.passes(30, 1.0)  # a validation, a checkpoint
    assert lines == []


def test_long_steps_of_which_some_are_longer_are_not_slow(lines):
    machine = Machine()
    for at in range(300):
        machine.steps(5.0, 5.0, 2.0)
        if at % LEAST == 0:  # one step of a window
            machine.steps(60.0, 60.0, 0.1)
    assert lines == []


def test_a_run_that_began_on_busy_cores_is_compared_with_its_quickest_pace(lines):
    machine = Machine()
    machine.steps(10, 0.045, 0.9)
    machine.steps(10, 0.011, 2.0)
    assert lines == []
    machine.steps(100, 0.045, 0.9)
    assert len(lines) == 1


@pytest.mark.parametrize("threads", [2, 4, 16, 64])
def test_the_threads_that_are_advised_are_the_cores_that_others_leave(threads):
    for others in range(1, 3 * threads):
        share = threads / (threads + others)
        assert left(threads, share + 1e-9) == min(max(threads - others, 1), threads - 1)
    assert left(threads, 1.0) == threads - 1
    assert left(threads, 0.0) == 1


def test_the_line_changes_nothing_of_a_run(sources, tmp_path, monkeypatch, capsys):
    plain = train("vae", sources, tmp_path / "plain")
    monkeypatch.setattr(slowdown, "SLOW", 0.0)
    monkeypatch.setattr(slowdown, "LASTING", 0.0)
    monkeypatch.setattr(slowdown, "WINDOW", 0.0)
    watched = train("vae", sources, tmp_path / "watched")
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "times as long" in line]
    assert line.startswith("legato: steps take ")
    assert watched.run.model.read_bytes() == plain.run.model.read_bytes()
