"""`legato claims`: how many seeds and minutes it takes when nobody says, and what it says of few seeds before it begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from legato.commands import claims as command
from legato.errors import Mistake
from legato.experiment import Experiment
from legato.experiment.members import LARGE


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Experiment]:
    """The experiments that a command would have conducted."""
    found: list[Experiment] = []
    monkeypatch.setattr(command, "conduct", found.append)
    monkeypatch.setattr(command, "conclude", lambda experiment: {"claims": []})
    monkeypatch.setattr(command, "write_claims_report", lambda experiment, found: experiment.out / "report.html")
    return found


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "x.npy"
    np.save(path, np.zeros((40, 8, 8), np.uint8))
    return str(path)


def run(source: str, *words: str) -> None:
    command.app([*words, "--data", source], result_action="return_value")


@pytest.mark.parametrize(("words", "minutes"), [([], 1.5), (["--quick"], 0.25)])
def test_four_seeds_are_trained_unless_others_are_asked_for(asked, source, words, minutes, capsys):
    run(source, *words)
    (experiment,) = asked
    assert (experiment.seeds, experiment.protocol.minutes) == (4, minutes)
    assert "cannot tell" not in capsys.readouterr().out


def test_a_quick_family_is_trained_in_as_long_as_it_was_with_two_seeds(asked, source):
    run(source, "--quick")
    (experiment,) = asked
    large = [member for member in experiment.members if member.latent_dim == LARGE]
    assert (len(large), len(experiment.members)) == (24, 28)
    assert len(experiment.members) * experiment.protocol.minutes <= 13 * 0.6


@pytest.mark.parametrize(
    ("seeds", "told"), [(1, "every verdict"), (2, "± 12.7 standard errors, 4 seeds ± 3.2"), (3, "± 4.3 standard errors")]
)
def test_fewer_than_four_seeds_are_told_of_in_one_line(asked, source, seeds, told, capsys):
    run(source, "--quick", "--seeds", str(seeds))
    assert asked[0].seeds == seeds
    lines = [line for line in capsys.readouterr().out.splitlines() if "cannot tell" in line]
    assert len(lines) == 1
    assert told in lines[0]


def test_steps_may_be_said_in_the_place_of_minutes_and_not_beside_them(asked, source):
    run(source, "--steps-per-model", "3007")
    assert (asked[0].protocol.minutes, asked[0].protocol.steps) == (None, 3007)
    with pytest.raises(Mistake, match="give one of them"):
        run(source, "--steps-per-model", "3007", "--minutes-per-model", "1")
