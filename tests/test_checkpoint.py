"""Checkpoints and files: written whole or not at all, the newest two kept, damage named, nothing unpickled."""

from __future__ import annotations

import errno
import json
import os
import pickle
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.testing import assert_close

import legato
from legato import checkpoint, cli, partials
from legato.checkpoint import Checkpoint
from legato.errors import Mistake
from legato.files import read_json, whole_file, write_json
from legato.run import Run
from legato.tensors import read_tensors, write_tensors
from made_runs import arguments
from stopped_runs import assert_same, resume, stopping_after

STATE = {"guard": {"norms": [0.1, 1 / 3, 1e300]}, "sums": [1e-17], "clock": {"seconds": 3.5}}


def made(step: int) -> Checkpoint:
    rng = torch.Generator().manual_seed(step)
    tensors = {
        "model.weight": torch.randn(3, 4, generator=rng),
        "optimiser.0.step": torch.tensor(float(step)),
        "average.scale": torch.randn(2, generator=rng, dtype=torch.float64),
    }
    return Checkpoint(tensors, STATE)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*"))


def test_what_is_written_is_read_bit_for_bit(tmp_path):
    where = checkpoint.write(tmp_path, 7, made(7))
    found = checkpoint.read(where)
    assert where.name == "step-000000007"
    assert found.tensors.keys() == made(7).tensors.keys()
    for name, value in made(7).tensors.items():
        assert_close(found.tensors[name], value, rtol=0, atol=0)
    assert {key: found.state[key] for key in STATE} == STATE
    assert found.state["step"] == 7


def test_the_newest_two_are_kept(tmp_path):
    for step in (1, 5, 30, 1000, 99_999):
        checkpoint.write(tmp_path, step, made(step))
    assert [path.name for path in checkpoint.existing(tmp_path)] == ["step-000001000", "step-000099999"]
    newest = checkpoint.read_newest(tmp_path)
    assert newest is not None
    assert newest.state["step"] == 99_999


def test_without_a_checkpoint_there_is_none(tmp_path):
    assert checkpoint.read_newest(tmp_path / "nowhere") is None
    assert checkpoint.existing(tmp_path) == []


# --------------------------------------------------------------------------------------------- whole or not at all


class Full:
    """A file on a disk that is full after so many bytes."""

    def __init__(self, file, room: int) -> None:
        self.file, self.room = file, room

    def write(self, content: bytes) -> int:
        self.file.write(content[: self.room])
        if len(content) > self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return len(content)

    def __getattr__(self, name: str):
        return getattr(self.file, name)


def fill_the_disk(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Lets 20 bytes of files of this name through."""
    real = partials.begun

    @contextmanager
    def begun(path: Path) -> Iterator[Any]:
        with real(path) as file:
            yield Full(file, 20 if name in str(path) else 10**9)

    monkeypatch.setattr(partials, "begun", begun)


def write_and_raise(path: Path, error: BaseException) -> None:
    with whole_file(path) as file:
        file.write(b"{")
        raise error


@pytest.mark.parametrize("failing", ["tensors.safetensors", "state.json"])
def test_a_full_disk_is_told_in_one_line_and_leaves_the_old_checkpoints_whole(tmp_path, monkeypatch, failing):
    for step in (1, 2):
        checkpoint.write(tmp_path, step, made(step))
    before = names(tmp_path)
    fill_the_disk(monkeypatch, failing)
    with pytest.raises(Mistake, match="the disk is full") as caught:
        checkpoint.write(tmp_path, 3, made(3))
    assert "\n" not in str(caught.value)
    assert "bytes are free" in str(caught.value)
    monkeypatch.undo()
    assert names(tmp_path) == before
    newest = checkpoint.read_newest(tmp_path)
    assert newest is not None
    assert newest.state["step"] == 2


@pytest.mark.parametrize("failing", ["write_json", "os.rename", "synchronise"])
def test_a_crash_between_its_files_leaves_no_half_that_a_reader_would_meet(tmp_path, monkeypatch, failing):
    checkpoint.write(tmp_path, 1, made(1))

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"legato.checkpoint.{failing}", crash)
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)  # a killed process clears nothing up
    with pytest.raises(KeyboardInterrupt):
        checkpoint.write(tmp_path, 2, made(2))
    monkeypatch.undo()
    newest = checkpoint.read_newest(tmp_path)
    assert newest is not None
    assert newest.state["step"] == (2 if failing == "synchronise" else 1)
    checkpoint.write(tmp_path, 3, made(3))
    expected = [2, 3] if failing == "synchronise" else [1, 3]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"step-{step:09d}" for step in expected]


def test_a_checkpoint_that_is_there_already_stays(tmp_path):
    where = checkpoint.write(tmp_path, 2, made(2))
    before = {path: path.stat().st_mtime_ns for path in where.iterdir()}
    assert checkpoint.write(tmp_path, 2, made(2)) == where
    assert {path: path.stat().st_mtime_ns for path in where.iterdir()} == before


def test_a_full_disk_ends_a_run_with_one_line_and_its_last_checkpoint_goes_on(runs, sources, tmp_path, capsys, monkeypatch):
    out = tmp_path / "r"
    with stopping_after(10):
        assert cli.run(arguments("vae", sources["grey"], out)) == 143
    capsys.readouterr()
    fill_the_disk(monkeypatch, "tensors.safetensors")
    assert resume(out) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("legato: the disk is full")
    monkeypatch.undo()
    assert [path.name for path in checkpoint.existing(out / "checkpoint")] == ["step-000000010"]
    assert resume(out) == 0
    assert_same(out, runs["vae"])


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT])
def test_a_file_that_cannot_be_written_whole_stays_what_it_was(tmp_path, code):
    path = tmp_path / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(Mistake, match=r"a\.json"):
        write_and_raise(path, OSError(code, os.strerror(code)))
    with pytest.raises(KeyboardInterrupt):
        write_and_raise(path, KeyboardInterrupt())
    assert names(tmp_path) == ["a.json"]
    assert read_json(path) == {"a": 1}


def test_whatever_the_system_refuses_is_one_line_and_any_other_error_stays_itself(tmp_path):
    with pytest.raises(Mistake, match=r"cannot be written \(x\): choose"):
        write_and_raise(tmp_path / "a", OSError(errno.ENOTCONN, "x"))
    with pytest.raises(ValueError, match="of ours"):
        write_and_raise(tmp_path / "a", ValueError("of ours"))
    assert names(tmp_path) == []


def test_json_is_never_written_with_a_number_that_json_lacks(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"a": float("nan")})
    assert names(tmp_path) == []


# --------------------------------------------------------------------------------------------- damage


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))


DAMAGE = {
    "a flipped bit": lambda at: flip(at / "tensors.safetensors"),
    "a cut file": lambda at: (at / "tensors.safetensors").write_bytes((at / "tensors.safetensors").read_bytes()[:-8]),
    "an empty file": lambda at: (at / "tensors.safetensors").write_bytes(b""),
    "a missing file": lambda at: (at / "tensors.safetensors").unlink(),
    "a missing state": lambda at: (at / "state.json").unlink(),
    "bad JSON": lambda at: (at / "state.json").write_text('{"step": 2,'),
    "no JSON": lambda at: (at / "state.json").write_bytes(b"\xff\xfe\x00"),
    "a list": lambda at: (at / "state.json").write_text("[]"),
    "no checksum": lambda at: (at / "state.json").write_text('{"step": 2}'),
    "a pickle": lambda at: (at / "tensors.safetensors").write_bytes(pickle.dumps({"a": 1})),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_named_and_the_checkpoint_before_is_offered(tmp_path, damage):
    older, newer = (checkpoint.write(tmp_path, step, made(step)) for step in (1, 2))
    DAMAGE[damage](newer)
    with pytest.raises(Mistake) as caught:
        checkpoint.read_newest(tmp_path)
    said = str(caught.value)
    assert said.startswith(f"checkpoint `{newer}` is damaged: delete it and --resume goes on from `{older}`")
    assert "\n" not in said
    shutil.rmtree(newer)
    before = checkpoint.read_newest(tmp_path)
    assert before is not None
    assert before.state["step"] == 1


def test_where_there_is_none_before_it_is_said(tmp_path):
    flip(checkpoint.write(tmp_path, 1, made(1)) / "tensors.safetensors")
    with pytest.raises(Mistake, match="there is none before it"):
        checkpoint.read_newest(tmp_path)


@pytest.mark.parametrize("file", ["model.safetensors", "codes.safetensors", "recipe.json", "data.json"])
@pytest.mark.parametrize("damage", ["cut", "empty", "foreign", "missing"])
def test_a_damaged_file_of_a_run_is_named_in_one_line(runs, tmp_path, capsys, file, damage):
    shutil.copytree(runs["autoencoder"], tmp_path / "r")
    path = tmp_path / "r" / file
    content = path.read_bytes()
    foreign = b'{"other": 1}' if file.endswith(".json") else b"\x93NUMPY" + bytes(90)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:-9], "empty": b"", "foreign": foreign}[damage])
    assert cli.run(["sample", str(tmp_path / "r"), "--out", str(tmp_path / "s.png"), "--device", "cpu"]) == 2
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 1
    assert file in told.err
    assert not (tmp_path / "s.png").exists()


def test_weights_of_another_model_are_refused_by_name(runs, tmp_path):
    shutil.copytree(runs["vae"], tmp_path / "r")
    shutil.copy(runs["colour"] / "model.safetensors", tmp_path / "r" / "model.safetensors")
    with pytest.raises(Mistake, match="does not fit the recipe") as caught:
        legato.load(tmp_path / "r")
    assert "\n" not in str(caught.value)


# --------------------------------------------------------------------------------------------- nothing is unpickled


class Bomb:
    """What a hostile file does when it is unpickled: it makes a file."""

    def __init__(self, witness: Path) -> None:
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


def test_the_bomb_of_these_tests_goes_off_when_it_is_unpickled(tmp_path):
    pickle.loads(pickle.dumps(Bomb(tmp_path / "witness")))
    assert (tmp_path / "witness").exists()


@pytest.mark.parametrize("how", ["pickle", "torch", "zip header"])
@pytest.mark.parametrize("where", ["model.safetensors", "codes.safetensors", "checkpoint", "snapshot"])
def test_a_pickle_under_another_name_is_refused_and_never_executed(runs, tmp_path, how, where):
    witness, run = tmp_path / "witness", tmp_path / "r"
    shutil.copytree(runs["autoencoder"], run)
    newest = checkpoint.existing(run / "checkpoint")[-1]
    at = {"checkpoint": newest / "tensors.safetensors", "snapshot": run / "snapshots" / "step-000000001.safetensors"}
    path = at.get(where, run / where)
    if how == "torch":
        torch.save({"weight": Bomb(witness)}, path)
    else:
        path.write_bytes((b"PK\x03\x04" if how == "zip header" else b"") + pickle.dumps(Bomb(witness)))
    if where == "checkpoint":  # with a checksum that fits: a hostile file has one
        state = json.loads((newest / "state.json").read_text())
        state = {**state, "checksum": checkpoint._checksum(path.read_bytes())}
        del state["state_checksum"]
        write_json(newest / "state.json", state)
    readers = {"checkpoint": lambda: checkpoint.read_newest(run / "checkpoint"), "snapshot": lambda: legato.load(run, step=1)}
    with pytest.raises(Mistake) as caught:
        readers.get(where, lambda: legato.load(run).codes())()
    assert path.name in str(caught.value)
    assert not witness.exists()


def test_tensors_that_share_or_skip_memory_are_written_as_they_look(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {"turned": base.T, "every second": base[:, ::2], "number": torch.tensor(3)}
    content = write_tensors(tmp_path / "a.safetensors", tensors)
    assert (tmp_path / "a.safetensors").read_bytes() == content
    found = read_tensors(tmp_path / "a.safetensors")
    assert all(torch.equal(found[name], value) for name, value in tensors.items())


def test_metrics_are_read_up_to_the_last_whole_line(tmp_path):
    run = Run(tmp_path)
    assert run.read_metrics() == []
    run.metrics.write_text('{"step": 1}\n{"step": 2}\n{"ste')
    assert run.read_metrics() == [{"step": 1}, {"step": 2}]
