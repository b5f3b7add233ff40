"""Streams that are closed, full, narrow or gone, names that would write on the terminal, and files of killed processes."""

from __future__ import annotations

import fcntl
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from legato import cli, partials, terminal
from legato.files import whole_file
from legato.report import style
from legato.run import Run
from patience import PATIENCE

LEGATO = f"{sys.executable} -m legato"
UGLY = "a\x1b[2Jb\nc\x9b31md\u202ee"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    env = {**os.environ, **environment}
    return subprocess.run(["bash", "-c", line], capture_output=True, timeout=PATIENCE, check=False, env=env)


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&-", ">&- 2>&- <&-"])
def test_a_closed_stream_is_no_failure(closed):
    told = shell(f"{LEGATO} --help {closed}")
    assert (told.returncode, told.stderr) == (0, b"")


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full"])
def test_a_mistake_that_cannot_be_told_is_exit_code_2_still(closed):
    assert shell(f"{LEGATO} hlep {closed}").returncode == 2


def test_a_full_stdout_is_told_in_one_line():
    told = shell(f"{LEGATO} --help >/dev/full")
    assert told.returncode == 2
    assert told.stderr.decode() == "legato: the output could not be written (No space left on device): all else is done\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_an_encoding_that_lacks_our_signs_is_given_others(encoding):
    code = "from legato import terminal; terminal.prepare(); print('a ▷ b × c · ž')"
    told = shell(f'{sys.executable} -c "{code}"', PYTHONIOENCODING=encoding)
    assert told.stderr == b""
    expected = {"ascii": "a |> b x c - \\u017e\n", "latin-1": "a |> b × c · \\u017e\n", "utf-8": "a ▷ b × c · ž\n"}[encoding]
    assert told.stdout == expected.encode(encoding)


@pytest.mark.parametrize("columns", ["0", "-1", "3", "²", "", "9" * 20])
def test_columns_that_are_none_are_passed_over(columns):
    told = shell(f"{LEGATO} --help", COLUMNS=columns)
    assert (told.returncode, told.stderr) == (0, b"")
    widths = [len(line) for line in told.stdout.decode().splitlines()]
    assert 60 < max(widths) <= 80


def test_work_goes_on_when_the_reader_has_seen_enough(tmp_path):
    code = (
        "import time; from legato import terminal; terminal.prepare(); print('one', flush=True); time.sleep(0.5); "
        f"print('two', flush=True); open('{tmp_path}/done', 'w').close(); assert terminal.failure() is None"
    )
    told = shell(f'{sys.executable} -c "{code}" | head -1; exit ${{PIPESTATUS[0]}}')
    assert (told.returncode, told.stdout, told.stderr) == (0, b"one\n", b"")
    assert (tmp_path / "done").exists()


def test_what_is_said_on_a_closed_stream_is_not_written_into_a_file(tmp_path):
    code = f"from legato import terminal; terminal.prepare(); f = open('{tmp_path}/x', 'w'); print('no'); f.write('yes')"
    assert shell(f'{sys.executable} -c "{code}" >&- 2>&-').returncode == 0
    assert (tmp_path / "x").read_text() == "yes"


def said(text: str, own: str = "") -> str:
    """What a reader gets of it."""
    reader, writer = os.pipe()
    stream = terminal.Stream(terminal.Descriptor(writer), io.TextIOWrapper(io.BytesIO(), "utf-8"), own)
    try:
        stream.write(text)
        stream.flush()
    finally:
        os.close(writer)
    with open(reader, encoding="utf-8", newline="") as file:
        return file.read()


terminal.codecs.register_error("legato", terminal._written_otherwise)


@given(st.text(st.characters(codec=None), max_size=40))
def test_json_is_the_same_json_whatever_its_texts(text):
    shown = said(json.dumps({"id": text}, ensure_ascii=False))
    assert json.loads(shown) == {"id": text}
    assert not terminal.HARMFUL.search(shown)


def test_names_write_nothing_on_the_terminal_and_styles_of_our_own_are_kept():
    assert said(f"{UGLY}\n") == "a\\u001b[2Jb\nc\\u009b31md\\u202ee\n"
    assert (
        said("\x1b[31mred\x1b[0m \x1b[2J \x1b]0;title\x07", terminal.STYLE)
        == "\x1b[31mred\x1b[0m \\u001b[2J \\u001b]0;title\\u0007"
    )
    assert terminal.one_line(UGLY) == "a\\u001b[2Jb\\nc\\u009b31md\\u202ee"


def test_a_mistake_with_such_a_name_is_one_harmless_line(tmp_path, capsys):
    assert cli.run(["data", str(tmp_path / UGLY)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert not terminal.HARMFUL.search(told)


def test_a_name_in_a_figure_is_no_formula(tmp_path):
    with style.styled():
        figure = Figure()
        words = figure.text(0, 0, "$x_{ and $y", usetex=False)
    figure.savefig(tmp_path / "figure.png")
    assert words.get_text() == "$x_{ and $y"


# ------------------------------------------------------------------------------------------------ partial files


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_what_a_killed_process_left_is_swept_and_what_is_being_written_is_not(tmp_path):
    (tmp_path / ".codes.parquet.123.partial").write_bytes(b"half")
    (tmp_path / "my.partial").write_bytes(b"a person's")
    (tmp_path / "target").write_bytes(b"whole")
    (tmp_path / ".link.1.partial").symlink_to(tmp_path / "target")
    with open(tmp_path / ".live.9.partial", "wb") as live:
        fcntl.flock(live, fcntl.LOCK_EX)
        with whole_file(tmp_path / "new") as file:
            file.write(b"new")
    assert left(tmp_path) == [".link.1.partial", ".live.9.partial", "my.partial", "new", "target"]
    assert (tmp_path / "target").read_bytes() == b"whole"


def test_nothing_is_written_through_a_link_under_a_partial_name(tmp_path):
    (tmp_path / "target").write_bytes(b"whole")
    partials.name_of(tmp_path / "new").symlink_to(tmp_path / "target")
    with whole_file(tmp_path / "new") as file:
        file.write(b"new")
    assert (tmp_path / "target").read_bytes() == b"whole"
    assert (tmp_path / "new").read_bytes() == b"new"


def test_any_command_on_a_run_sweeps_what_killed_readers_left_in_it(runs, tmp_path):
    run = tmp_path / "run"
    (run / "figures").mkdir(parents=True)
    (run / "recipe.json").write_text("{}")
    for name in (".codes.parquet.7.partial", "figures/.samples.png.8.partial"):
        (run / name).write_bytes(b"half")
    Run.existing(run)
    assert list(run.rglob("*.partial")) == []
