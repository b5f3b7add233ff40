"""Folders from elsewhere and files that are not what was written: one line that names the file, or the very same numbers."""

from __future__ import annotations

import copy
import errno
import json
import os
import shutil
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import legato
from legato import checkpoint, cli, faults, files
from legato.data import DataOptions, memo, store
from legato.data.writer import Writer
from legato.errors import Mistake
from legato.experiment.run import read_protocol
from legato.experiment.survey import read_evidence
from legato.explorer import progression
from legato.explorer.models import Member
from legato.loading import untrained
from legato.run import REPLACED, Run
from legato.schema import Within, fault
from legato.tensors import LENGTH, read_tensors, write_tensors
from legato.training import resume
from legato.training.learner import Learner
from made_runs import Runs

CPU = torch.device("cpu")
SLOW = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture
def run(runs: Runs, tmp_path: Path) -> Run:
    """A run of one's own to break."""
    shutil.copytree(runs["vae"], tmp_path / "r")
    return Run(tmp_path / "r")


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def told(run: Run, command: str) -> str:
    """The one line of a refused command."""
    readers: dict[str, Callable[[], object]] = {
        "resume": lambda: resume(run, CPU),
        "load": lambda: legato.load(run.path, device="cpu"),
        "codes": lambda: legato.load(run.path, device="cpu").codes(),
        "ranking": lambda: legato.load(run.path, device="cpu").ranking(),
        "data": lambda: legato.load(run.path, device="cpu").data(),
        "curves": lambda: progression.curves(run, 0),
    }
    with pytest.raises(Mistake) as caught:
        readers[command]()
    line = str(caught.value)
    assert "\n" not in line
    return line


def everything(folder: Path) -> dict[str, bytes | str]:
    """What lies below a folder, locks aside: contents of files, targets of links."""
    found: dict[str, bytes | str] = {}
    for path in sorted(folder.rglob("*")):
        if path.name != ".lock" and (path.is_symlink() or path.is_file()):
            found[str(path.relative_to(folder))] = os.readlink(path) if path.is_symlink() else path.read_bytes()
    return found


# --------------------------------------------------------------------------------------------------------- schema


@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [
        (int, True, "a whole number"),
        (int, 2.0, "a whole number"),
        (float, float("nan"), "a finite number"),
        (float, 10**400, "a finite number"),
        (Annotated[int, Within(1, 9)], 10, "a whole number from 1 to 9"),
        (Annotated[list[int], Within(1, 2)], [], "a list of 1 to 2"),
        (list[int], [1, "2"], "`[1]` must be a whole number"),
        (tuple[float, ...], {"0": 1}, "a list"),
        (int | None, "x", "a whole number"),
        (DataOptions, {"sise": 1}, "nothing is named `sise`: did you mean `size`"),
        (DataOptions, {"channels": True}, "`channels` must be one of auto, 1, 3, 4"),
        (DataOptions, [], "an object"),
    ],
)
def test_a_value_of_another_kind_is_told_by_its_place(kind, value, why):
    found = fault(kind, value)
    assert found is not None
    assert why in found


@pytest.mark.parametrize(
    ("kind", "value"),
    [(float, 3), (int | None, None), (list[float], [1, 2.5]), (DataOptions, {"size": 8, "channels": 3}), (Any, object())],
)
def test_a_value_of_the_kind_has_no_fault(kind, value):
    assert fault(kind, value) is None


# ------------------------------------------------------------------------------------------------------ JSON of a run


FAULTS: list[tuple[str, Callable[[dict[str, Any]], object], str, str]] = [
    ("recipe", lambda o: o.update(latent_dim="2"), "load", "`latent_dim` must be a whole number"),
    ("recipe", lambda o: o.update(colour=1), "load", "no option `colour`"),
    ("recipe", lambda o: o.update(recipe=7), "load", "`recipe` must be text"),
    ("recipe", lambda o: o.update(beta=None), "load", "`beta` must be a finite number"),
    ("recipe", lambda o: o.update(latent_dim=10**9), "load", "does not fit the recipe"),
    ("recipe", lambda o: o.update(latent_dim=10**30), "load", "no such model can be built"),
    ("recipe", lambda o: o.update(width=2**20, depth=1000), "load", "does not fit the recipe"),
    ("recipe", lambda o: o.update(width=10**9), "load", "`width` must be a whole number from 1 to"),
    ("recipe", lambda o: o.update(net="mpl"), "load", "`net` must be one of"),
    ("data", lambda o: o["preparation"].pop("scale"), "load", "does not say `preparation.scale`"),
    ("data", lambda o: o["preparation"].update(scale=[0]), "load", r"preparation.scale[0]"),
    ("data", lambda o: o["options"].update(sise=1), "data", "nothing is named `options.sise`"),
    ("data", lambda o: o["options"].update(size=3), "data", "`size` is 3"),
    ("data", lambda o: o.update(shape=[1, -8, 8]), "load", "`shape[1]`"),
    ("data", lambda o: o.update(shape="1"), "load", "`shape` must be a list"),
    ("data", lambda o: o["preparation"].update(kind="reals"), "load", "its preparation is of reals"),
    ("training", lambda o: o.update(learning_rate="0.1"), "resume", "`learning_rate` must be a finite number"),
    ("training", lambda o: o.update(snapshots=10**9), "resume", "`snapshots` must be a whole number from 0 to 1,000"),
    ("training", lambda o: o.update(total=3), "resume", "another training"),
    ("training", lambda o: o.pop("ema"), "resume", "does not say `ema`"),
]


@pytest.mark.parametrize(("file", "change", "command", "why"), FAULTS)
def test_json_of_other_types_and_ranges_is_one_line_with_file_and_remedy(run, file, change, command, why):
    edit(run.path / f"{file}.json", change)
    line = told(run, command)
    assert why in line
    assert f"{file}.json" in line or "model.safetensors" in line


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}", b"\xff", b"", b"[]", b'{"a": NaN}', b'{"a": 1'], ids=range(7)
)
@pytest.mark.parametrize("file", ["recipe", "data", "training", "state"])
def test_json_without_end_sense_or_depth_is_damage(run, file, text):
    newest = checkpoint.existing(run.checkpoints)[-1]
    path = newest / "state.json" if file == "state" else run.path / f"{file}.json"
    path.write_bytes(text)
    line = told(run, "resume")
    assert f"{path.name}" in line
    assert "damaged" in line


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        yield from places(inner, (*at, name))


@SLOW
@given(draws=st.data())
def test_any_value_of_a_runs_json_changed_is_read_or_one_line(runs, tmp_path_factory, draws):
    """`load`, the page's facts, the last validation and `resume` of a run one value of which is another, or is gone."""
    folder = tmp_path_factory.mktemp("mutated") / "r"
    shutil.copytree(runs["vae"], folder, symlinks=True)
    mutated = Run(folder)
    path = folder / f"{draws.draw(st.sampled_from(['recipe', 'data', 'training']))}.json"
    content = json.loads(path.read_text())
    *above, last = draws.draw(st.sampled_from([at for at in places(content) if at]))
    target = content
    for name in above:
        target = target[name]
    if draws.draw(st.booleans()):
        del target[last]
    else:
        target[last] = draws.draw(JSON)
    path.write_text(json.dumps(content))
    for reader in (
        lambda: legato.load(folder, device="cpu").ranking(),
        lambda: Member(folder, lambda at, step: legato.load(at, device="cpu", step=step)).to_json("r"),
        lambda: resume(mutated, CPU),
    ):
        try:
            reader()
        except Mistake as mistake:
            assert "\n" not in str(mistake)  # noqa: PT017


def test_a_recipe_too_large_for_the_machine_is_refused_before_it_is_built(run, monkeypatch):
    """Where there is no model yet to compare with, as in the page of a run that has just begun."""
    monkeypatch.setattr("legato.sentence.memory_of_machine", lambda: 1000)
    with pytest.raises(Mistake, match=r"asks for .* GB of weights"):
        untrained(run)


def test_unknown_words_in_json_from_a_later_version_are_left_alone(run):
    edit(run.data, lambda o: o.update(later=1))
    edit(run.training, lambda o: o.update(later={"x": 1}))
    assert legato.load(run.path, device="cpu").latent_dim == 3
    assert resume(run, CPU).plan.total == 40


# ------------------------------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize(
    ("line", "why"),
    [(b"\xff", "decode"), (b"{}", "does not say `step`"), (b'{"step": -1}', "`step`"), (b"[" * 9999, ""),
     (b'{"step": 1, "validation": {"kl": 3}}', "`validation.distortion`")],
)  # fmt: skip
def test_a_damaged_line_of_metrics_is_named_by_its_number(run, line, why):
    count = len(run.read_metrics())
    with run.metrics.open("ab") as file:
        file.write(line + b"\n")
    for command in ("ranking", "curves"):
        said = told(run, command)
        assert f"line {count + 1} of" in said
        assert "metrics.jsonl" in said
        assert why in said


def test_curves_go_on_where_the_last_question_ended(run):
    everything_told = progression.curves(run, 0)
    lines, after = everything_told["lines"], everything_told["next"]
    assert lines == run.read_metrics()
    assert after == len(lines)
    assert progression.curves(run, after)["lines"] == []
    assert progression.curves(run, after + 5)["next"] == after  # resumed from an earlier step
    assert progression.curves(run, after - 2)["lines"] == lines[-2:]


# ------------------------------------------------------------------------------------------------------------- tensors


def tensors() -> dict[str, torch.Tensor]:
    return {"a": torch.arange(12.0).reshape(3, 4), "n": torch.tensor(3), "empty": torch.zeros(0, 2)}


def test_a_file_with_a_checksum_is_plain_safetensors(tmp_path):
    from safetensors.torch import load_file

    write_tensors(tmp_path / "a", tensors())
    for read in (load_file(tmp_path / "a"), read_tensors(tmp_path / "a", tensors())):
        assert all(torch.equal(read[name], value) for name, value in tensors().items())


def test_every_bit_and_every_cut_of_a_tensor_file_is_noticed(tmp_path):
    content = write_tensors(tmp_path / "a", tensors())
    for at in range(len(content)):
        for damaged in (
            content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :],
            content[:at] + bytes([content[at] ^ 0x80]) + content[at + 1 :],
            content[:at],
        ):
            (tmp_path / "a").write_bytes(damaged)
            try:
                read = read_tensors(tmp_path / "a")
            except Mistake as mistake:
                assert "is no whole safetensors file" in str(mistake)  # noqa: PT017
            else:  # blanks behind the header are no part of what it says
                assert {name: value.tolist() for name, value in read.items()} == {n: v.tolist() for n, v in tensors().items()}
                assert content[at : at + 1] in (b" ", b"\n")
    (tmp_path / "a").write_bytes(content + b"x")
    with pytest.raises(Mistake, match="cut short, or something was added"):
        read_tensors(tmp_path / "a")


@pytest.mark.parametrize("name", ["model", "codes", "snapshot", "tensors", "state"])
def test_one_turned_bit_in_any_file_of_weights_is_refused(run, name):
    newest, snapshot = checkpoint.existing(run.checkpoints)[-1], list(run.kept_snapshots().values())[-1]
    path = {
        "model": run.model, "codes": run.codes, "snapshot": snapshot,
        "tensors": newest / "tensors.safetensors", "state": newest / "state.json",
    }[name]  # fmt: skip
    content = bytearray(path.read_bytes())
    if name == "state":
        at = content.index(b'"norms"') + content[content.index(b'"norms"') :].index(b".") + 3
        content[at] = ord("0") + (content[at] - ord("0") + 1) % 10
    else:
        content[-7] ^= 16
    path.write_bytes(content)
    readers = {
        "model": lambda: legato.load(run.path, device="cpu"),
        "codes": lambda: legato.load(run.path, device="cpu").codes(),
        "snapshot": lambda: legato.load(run.path, device="cpu", step=10**6),
    }
    with pytest.raises(Mistake, match=r"(is no whole safetensors file \(its checksum|is not what was written|not what was)"):
        readers.get(name, lambda: resume(run, CPU))()


def test_a_model_from_before_checksums_is_read_with_a_line_that_says_so(run, caplog):
    expected = read_tensors(run.model)
    for path in (run.model, run.codes):
        content = path.read_bytes()
        start = LENGTH.size + struct.unpack_from("<Q", content)[0]
        header = json.loads(content[LENGTH.size : start])
        assert header.pop("__metadata__")
        text = json.dumps(header).encode()
        path.write_bytes(LENGTH.pack(len(text)) + text + content[start:])
    space = legato.load(run.path, device="cpu")
    space.codes()
    assert all(torch.equal(value, expected[name]) for name, value in space.model.state_dict().items())
    assert [record.getMessage() for record in caplog.records] == [
        f"`{run.path}` holds weights without a checksum, from before they carried one: damage would not be noticed"
    ]


def test_a_checkpoint_from_before_its_state_had_a_checksum_is_resumed(run):
    for step in checkpoint.existing(run.checkpoints):
        edit(step / "state.json", lambda state: state.pop("state_checksum"))
    assert resume(run, CPU).state["step"] == 40


@pytest.mark.parametrize(
    ("at", "value"), [("guard", {"outcomes": [], "skipped": 0}), ("sums", []), ("sums", "x"), ("step", -1)]
)
def test_a_checkpoint_whose_state_lacks_or_twists_something_is_one_line(run, at, value):
    for step in checkpoint.existing(run.checkpoints):
        edit(step / "state.json", lambda state: (state.update({at: value}), state.pop("state_checksum")))
    assert "checkpoint" in told(run, "resume")


@pytest.mark.parametrize("change", ["drop", "shape", "kind"])
def test_codes_of_another_model_are_told_by_name(run, change):
    codes = read_tensors(run.codes)
    codes |= {"drop": {}, "shape": {"mean": codes["mean"][:1]}, "kind": {"mean": codes["mean"].int()}}[change]
    if change == "drop":
        del codes["mean"]
    write_tensors(run.codes, codes)
    line = told(run, "codes")
    assert "codes.safetensors" in line
    assert "`mean`" in line


# ----------------------------------------------------------------------------------------------- what is no plain file


@pytest.mark.parametrize("what", ["fifo", "loop", "folder", "device"])
@pytest.mark.parametrize("file", ["recipe.json", "model.safetensors", "metrics.jsonl", "codes.safetensors", ".lock"])
def test_what_is_no_plain_file_is_one_line_and_nobody_waits(run, what, file):
    path = run.path / file
    path.unlink(missing_ok=True)
    make = {
        "fifo": os.mkfifo,
        "loop": lambda at: at.symlink_to(at.name),
        "folder": os.mkdir,
        "device": lambda at: at.symlink_to("/dev/zero"),
    }
    make[what](path)
    began = time.monotonic()
    if file == ".lock":
        with pytest.raises(Mistake), run.writing():
            pass
        progression.state(run)
    else:
        command = {"metrics.jsonl": "ranking", "codes.safetensors": "codes"}.get(file, "load")
        assert file in told(run, command) or file == "recipe.json"
    assert time.monotonic() - began < 20


def test_a_name_too_long_is_one_line(capsys):
    assert cli.run(["sample", "x" * 5000]) == 2
    with pytest.raises(Mistake):
        legato.load("x" * 5000)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_any_oserror_of_a_command_is_one_line(monkeypatch, capsys):
    def refuse(*_: object) -> None:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), "somewhere")

    monkeypatch.setattr(cli, "_call", refuse)
    assert cli.run(["recipes"]) == 2
    assert capsys.readouterr().err == (
        "legato: `somewhere` cannot be used (Too many open files): too many files are open; raise the limit (ulimit -n)\n"
    )


# ---------------------------------------------------------------------------------------------------- links, overwriting


@pytest.mark.parametrize("how", ["symbolic", "hard"])
def test_a_lock_that_leads_elsewhere_is_never_written_through(run, sources, tmp_path, how):
    precious = tmp_path / "precious"
    precious.write_text("precious")
    (run.path / ".lock").unlink(missing_ok=True)
    (os.symlink if how == "symbolic" else os.link)(precious, run.path / ".lock")
    before = everything(run.path)
    for command in (["--resume"], ["vae", "--data", str(sources["grey"]), "--steps", "1", "--overwrite"]):
        assert cli.run(["train", *command, "--out", str(run.path), "--device", "cpu"]) == 2
    assert precious.read_text() == "precious"
    assert everything(run.path) == before


@pytest.mark.parametrize("what", ["snapshots", "checkpoint", "metrics.jsonl"])
def test_a_link_that_training_would_write_through_is_refused_with_everything_left(run, tmp_path, what):
    shutil.move(run.path / what, tmp_path / "elsewhere")
    (run.path / what).symlink_to("../elsewhere")
    before = everything(tmp_path)
    with pytest.raises(Mistake, match=f"{what}` is a symbolic link"), run.writing():
        pass
    assert everything(tmp_path) == before


def test_a_picture_is_not_written_through_a_linked_folder_of_a_run(run, tmp_path, capsys):
    (tmp_path / "elsewhere").mkdir()
    (run.path / "figures").symlink_to("../elsewhere")
    assert cli.run(["sample", str(run.path), "--device", "cpu"]) == 2
    assert "figures` is a symbolic link" in capsys.readouterr().err
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_downloaded_run_of_links_can_be_read(run, tmp_path):
    linked = tmp_path / "linked"
    for path in run.path.rglob("*"):
        if path.is_file():
            at = linked / path.relative_to(run.path)
            at.parent.mkdir(parents=True, exist_ok=True)
            at.symlink_to(path)
    expected, found = (legato.load(at, device="cpu") for at in (run.path, linked))
    assert np.array_equal(found.draw(5, origin="codes"), expected.draw(5, origin="codes"))
    assert found.ranking() == expected.ranking()


class Killed(BaseException):
    """A process that ends at once."""


def broken_after(count: int, error: BaseException) -> Callable[..., None]:
    done = [0]
    real = os.rename

    def rename(*arguments: Any) -> None:
        done[0] += 1
        if done[0] > count:
            raise error
        real(*arguments)

    return rename


def write_new(run: Run) -> None:
    for path in (run.recipe, run.data, run.training):
        path.write_text("new")


def write_half(run: Run) -> None:
    run.recipe.write_text("half")
    run.data.write_text("half")
    raise Killed


@pytest.mark.parametrize("count", range(7))
def test_an_overwrite_that_fails_leaves_the_old_run_as_it_was(run, monkeypatch, count):
    before = everything(run.path)
    monkeypatch.setattr(os, "rename", broken_after(count, OSError(errno.EBUSY, "busy")))
    with run.writing(), pytest.raises(Mistake, match="busy"), run.replacing():
        write_new(run)
    assert everything(run.path) == before


@pytest.mark.parametrize("count", range(8))
def test_an_overwrite_killed_anywhere_is_settled_by_the_next_writer(run, monkeypatch, count):
    before = everything(run.path)
    with monkeypatch.context() as patched:
        patched.setattr(os, "rename", broken_after(count, Killed()))
        patched.setattr(Run, "_settle", lambda _: None)
        with pytest.raises(Killed), run.writing(), run.replacing():
            write_half(run)
    assert everything(run.path) != before or count == 0
    with run.writing():
        pass
    assert everything(run.path) == before


def test_an_overwrite_killed_after_the_new_run_is_named_keeps_the_new_one(run, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(Run, "_settle", lambda _: None)
        with run.writing(), run.replacing():
            write_new(run)
    assert (run.path / REPLACED).is_dir()
    with run.writing():
        pass
    assert everything(run.path) == {"recipe.json": b"new", "data.json": b"new", "training.json": b"new"}


def test_a_disk_full_at_the_start_is_one_line(tmp_path, sources, monkeypatch, capsys):
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    with pytest.raises(Mistake, match=r"the disk is full: .* bytes are free; make room"):
        legato.train("vae", str(sources["grey"]), tmp_path / "r", steps=1, latent_dim=2, device="cpu")


def test_a_run_removed_while_it_is_trained_is_one_line_and_stays_removed(tmp_path, sources, monkeypatch):
    step = Learner.step

    def removing(learner: Learner, x: torch.Tensor, at: int) -> torch.Tensor | None:
        if at == 3:
            shutil.rmtree(tmp_path / "r")
        return step(learner, x, at)

    monkeypatch.setattr(Learner, "step", removing)
    with pytest.raises(Mistake, match="r` was removed at step 4 of its training"):
        legato.train("vae", str(sources["grey"]), tmp_path / "r", steps=20, latent_dim=2, device="cpu")
    assert not (tmp_path / "r").exists()


def test_data_cut_short_under_a_command_end_it_with_one_line(tmp_path):
    path = tmp_path / "rows.bin"
    path.write_bytes(bytes(1 << 16))
    program = (
        "import numpy as np, os, sys; from legato import faults; faults.hear();"
        "rows = np.memmap(sys.argv[1], 'u1', 'r'); os.truncate(sys.argv[1], 0); print(rows[40_000:40_009].sum())"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", faults.LINE)


# ------------------------------------------------------------------------------------------------------------ the store


KEY = "0123456789" * 4
ROWS = np.arange(60, dtype=np.float32).reshape(20, 3)


def fill(writer: Writer) -> None:
    writer.append(ROWS)
    names = [f"row {i}" for i in range(20)]
    writer.finish("reals", names, labels=np.arange(20), label_names=tuple(names), own=np.zeros(20, np.uint8))


@pytest.mark.parametrize("content", ["null", "3.5", "[]", '"meta"', "[" * 100_000])
def test_an_entry_that_says_something_else_is_built_again(fresh_cache, content):
    store.entry(KEY, fill)
    (fresh_cache / KEY / "meta.json").write_text(content)
    assert store.load(fresh_cache / KEY) is None
    assert np.array_equal(store.entry(KEY, fill).rows, ROWS)


@pytest.mark.parametrize("name", ["rows.bin", "ids.txt", "labels.npy", "own.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["cut", "bit", "gone", "longer", "empty"])
def test_a_damaged_store_entry_is_built_again(fresh_cache, name, damage):
    store.entry(KEY, fill)
    path = fresh_cache / KEY / name
    content = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        turned = content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]
        path.write_bytes({"cut": content[:-5], "bit": turned, "longer": content + b"x", "empty": b""}[damage])
    assert store.load(fresh_cache / KEY) is None
    again = store.entry(KEY, fill)
    assert np.array_equal(again.rows, ROWS)
    assert list(again.ids)[-1] == "row 19"
    assert again.labels is not None
    assert again.labels.tolist() == list(range(20))


def test_an_entry_from_before_checksums_is_built_again(fresh_cache):
    store.entry(KEY, fill)
    edit(fresh_cache / KEY / "meta.json", lambda meta: (meta.pop("checksum"), meta.pop("files")))
    assert store.load(fresh_cache / KEY) is None
    assert np.array_equal(store.entry(KEY, fill).rows, ROWS)


def test_a_large_file_is_hashed_once_for_each_time_stamp_and_its_length_always(fresh_cache, monkeypatch):
    hashed: list[str] = []
    real = store.crc_of
    monkeypatch.setattr(store, "SMALL", 100)
    monkeypatch.setattr(store, "crc_of", lambda path: (hashed.append(path.name), real(path))[1])
    store.entry(KEY, fill)
    assert "rows.bin" in hashed
    hashed.clear()
    store.entry(KEY, lambda _: pytest.fail("built again"))
    assert "rows.bin" not in hashed
    path = fresh_cache / KEY / "rows.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"\x7f")
    assert store.load(fresh_cache / KEY) is None


def test_a_damaged_memo_is_one_that_was_never_written(fresh_cache):
    memo.remember("x", {"a": 1})
    assert memo.recall("x") == {"a": 1}
    for text in ("[" * 100_000, '{"facts": {"a": 2}}', "[]", "", '{"facts": 3, "checksum": "0"}'):
        (fresh_cache / "memo" / "x.json").write_text(text)
        assert memo.recall("x") is None


def test_what_a_killed_process_left_of_a_memo_is_swept(fresh_cache):
    memo.remember("x", {"a": 1})
    old, new = (fresh_cache / "memo" / f"{name}.partial" for name in ("old", "new"))
    for path in (old, new):
        path.write_text("{")
    os.utime(old, (0, 0))
    store.entry(KEY, fill)
    assert (old.exists(), new.exists(), memo.recall("x")) == (False, True, {"a": 1})


# ---------------------------------------------------------------------------------------------------------- the claims


ESTIMATE = {"value": 1.0, "low": 0.5, "high": 1.5, "n": 3, "unit": "", "method": "m"}
EVIDENCE: dict[str, Any] = {"figures": {"rate": ESTIMATE}, "curves": {"squared norms": {"edges": [0, 1], "density": [1.0]}}}


def test_evidence_is_read_by_its_schema(tmp_path):
    path = tmp_path / "e.json"
    path.write_text(json.dumps(EVIDENCE))
    assert read_evidence(path) == EVIDENCE
    for at, value in [
        (("figures", "rate", "value"), "1"),
        (("figures", "rate"), 3),
        (("curves", "squared norms"), {"edges": 1}),
    ]:
        broken = copy.deepcopy(EVIDENCE)
        target = broken
        for name in at[:-1]:
            target = target[name]
        target[at[-1]] = value
        path.write_text(json.dumps(broken))
        with pytest.raises(Mistake, match=r"e.json` is damaged: .*; remove it"):
            read_evidence(path)


@pytest.mark.parametrize("text", ['{"steps": "3", "seeds": 1}', '{"steps": 3}', '{"steps": 0, "seeds": 1}', "[]"])
def test_a_damaged_protocol_is_one_line(tmp_path, text):
    (tmp_path / "protocol.json").write_text(text)
    with pytest.raises(Mistake, match=r"protocol.json` is damaged: .*restore it, or choose another --out"):
        read_protocol(tmp_path / "protocol.json")


def test_only_bytes_up_to_a_limit_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "MOST_JSON", 10)
    (tmp_path / "a.json").write_text('{"a": "0123456789"}')
    with pytest.raises(Mistake, match="larger than 10 bytes"):
        files.read_json(tmp_path / "a.json")
