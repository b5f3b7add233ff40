"""What records/fuzz.py tries, a little of it; and what it has found, made again: read, or refused in one line."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "records"))

import fuzz
import inputs
import mutations

INPUTS = 250  # of seed 0: some seconds
LIMIT, MEMORY = 60.0, 1 << 20  # seconds, and no bound on a machine that runs other tests beside

DEEP = b"[" * mutations.DEEP + b"]" * mutations.DEEP
Damage = Callable[[bytes], bytes]


def saying(**changes: Any) -> Damage:
    """JSON with other values."""
    return lambda content: json.dumps({**json.loads(content), **changes}).encode()


def instead(content: bytes) -> Damage:
    return lambda _: content


def last_line(line: bytes) -> Damage:
    return lambda content: content + line + b"\n"


RUN = ("sample", "encode", "explore", "train --resume")
# What was found: the file, the damage, who read it.
FOUND: dict[str, tuple[str, Damage, tuple[str, ...]]] = {
    "JSON as deep as a well": ("pictures/recipe.json", instead(DEEP), RUN),
    "a recipe whose name is a number": ("pictures/recipe.json", saying(recipe=7), RUN),
    "an option that no recipe has": ("pictures/recipe.json", saying(options={"latent_diecipe": 2}), RUN),
    "a likelihood that is none": ("pictures/data.json", saying(likelihood="\x00"), RUN),
    "a shape of words": ("pictures/data.json", saying(shape=["x", None]), RUN),
    "a preparation that is a word": ("pictures/data.json", saying(preparation="x"), RUN),
    "metrics that are a word": ("pictures/metrics.jsonl", last_line(b'"x"'), RUN),
    "metrics that are no JSON": ("pictures/metrics.jsonl", last_line(b'{"step": '), RUN),
}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[inputs.Base]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LEGATO_CACHE", "")  # brought back to what it is; each input has its own
        yield inputs.make(tmp_path_factory.mktemp("fuzz") / "base")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Warnings are no failures here: what is damaged gives some."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_hundreds_of_damaged_inputs_are_read_or_refused_in_one_line(base, tmp_path):
    found = [fuzz.tried(base, number, 0, tmp_path / "work", LIMIT, MEMORY) for number in range(INPUTS)]
    assert fuzz.failures(found) == ""
    assert {one.end for one in found} == set(fuzz.GOOD)
    assert len({one.kind for one in found}) > 25


def test_an_input_is_the_same_by_its_number(base):
    again = [str(inputs.case(base, 3, number)) for number in range(40)]
    assert again == [str(inputs.case(base, 3, number)) for number in range(40)]
    assert again != [str(inputs.case(base, 4, number)) for number in range(40)]


@pytest.mark.parametrize("error", [ValueError("x"), RecursionError(), KeyboardInterrupt(), MemoryError()])
def test_a_traceback_is_seen(base, tmp_path, monkeypatch, error):
    def fails(work: Path) -> int:
        raise error

    monkeypatch.setattr(inputs, "case", lambda *_: inputs.Case("x", "x", "x", fails))
    assert fuzz.tried(base, 0, 0, tmp_path / "work", LIMIT, MEMORY).end == "traceback"


def test_a_hang_two_lines_and_a_bomb_are_seen(base, tmp_path, monkeypatch):
    def end(read: Callable[[Path], int], limit: float = LIMIT, memory: int = MEMORY) -> str:
        monkeypatch.setattr(inputs, "case", lambda *_: inputs.Case("x", "x", "x", read))
        return fuzz.tried(base, 0, 0, tmp_path / "work", limit, memory).end

    def waits(work: Path) -> int:
        while True:
            pass

    def says(*lines: str) -> Callable[[Path], int]:
        return lambda work: print(*lines, sep="\n", file=sys.stderr) or 2

    assert end(waits, limit=0.1) == "hang"
    assert end(says("legato: a", "b")) == end(says("Traceback", "legato: x")) == end(says()) == "lines"
    assert end(says("legato: a")) == end(says("training: 1/2", "legato: a")) == "refused"
    assert end(lambda work: 0, memory=1) == "memory"
    assert end(lambda work: 0) == "read"


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_is_read_or_refused_in_one_line(name, base, tmp_path, monkeypatch):
    file, damage, readers = FOUND[name]
    run = file.partition("/")[0]
    lines: dict[str, Callable[[Path], int | None]] = {
        "sample": inputs.command("sample", f"{{W}}/{run}", "--n", 2, "--out", "{W}/o", *inputs.CPU),
        "encode": inputs.command("encode", f"{{W}}/{run}", "--out", "{W}/o.npz", *inputs.CPU),
        "train --resume": inputs.command("train", "--resume", "--out", f"{{W}}/{run}", *inputs.CPU),
        "explore": lambda work: inputs.opened(work / run),
    }
    for reader in readers:

        def read(work: Path, reader: str = reader) -> int | None:
            inputs.shutil.copytree(base.run(run), work / run)
            (work / file).write_bytes(damage((work / file).read_bytes()))
            return lines[reader](work)

        monkeypatch.setattr(inputs, "case", lambda *_, read=read, reader=reader: inputs.Case(file, name, reader, read))
        outcome = fuzz.tried(base, 0, 0, tmp_path / "work", LIMIT, MEMORY)
        assert outcome.end in fuzz.GOOD, (reader, outcome.where)
