"""Any kind of source, damaged in any way, under any reading command: the numbers of the same rows, or one line and code 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import legato
from legato import cli

NAMES = ("temp", "press", "flow")
TINY: dict[str, Any] = {"latent_dim": 2, "steps": 20, "width": 16, "depth": 1, "batch_size": 32, "threads": 1, "device": "cpu"}
EXAMPLES = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
Writer = Callable[[np.ndarray, Path], Path]


def frame(x: np.ndarray, names: tuple[str, ...] = NAMES) -> pa.Table:
    return pa.table({name: pa.array(x[:, i]) for i, name in enumerate(names)})


def saved(write: Callable[[Path], object], path: Path) -> Path:
    write(path)
    return path


TABLES: dict[str, Writer] = {
    "npy": lambda x, p: saved(lambda q: np.save(q, x), p / "a.npy"),
    "Fortran npy": lambda x, p: saved(lambda q: np.save(q, np.asfortranarray(x)), p / "a.npy"),
    "big-endian npy": lambda x, p: saved(lambda q: np.save(q, x.astype(x.dtype.newbyteorder(">"))), p / "a.npy"),
    "npz": lambda x, p: saved(lambda q: np.savez(q, x=x), p / "a.npz"),
    "Parquet": lambda x, p: saved(lambda q: pq.write_table(frame(x), q), p / "a.parquet"),
    "Parquet, small groups": lambda x, p: saved(lambda q: pq.write_table(frame(x), q, row_group_size=3), p / "a.parquet"),
    "reordered Parquet": lambda x, p: saved(
        lambda q: pq.write_table(frame(x).select(["flow", "temp", "press"]), q), p / "a.parquet"
    ),
    "Parquet with more": lambda x, p: saved(
        lambda q: pq.write_table(frame(x).append_column("town", pa.array(["a"] * len(x))), q), p / "a.parquet"
    ),
    "Feather": lambda x, p: saved(lambda q: pyarrow.feather.write_feather(frame(x), q), p / "a.feather"),
    "CSV": lambda x, p: saved(lambda q: pyarrow.csv.write_csv(frame(x), q), p / "a.csv"),
}
PICTURES: dict[str, Writer] = {
    "npy": lambda x, p: saved(lambda q: np.save(q, x), p / "a.npy"),
    "channels second": lambda x, p: saved(lambda q: np.save(q, x.transpose(0, 3, 1, 2)), p / "a.npy"),
    "npz": lambda x, p: saved(lambda q: np.savez(q, images=x), p / "a.npz"),
    "int64": lambda x, p: saved(lambda q: np.save(q, x.astype(np.int64)), p / "a.npy"),
    "folder": lambda x, p: folder(x, p / "a"),
}
COMMANDS: dict[str, list[str]] = {"score": ["--k", "5"], "encode": []}


def folder(x: np.ndarray, path: Path) -> Path:
    path.mkdir()
    for i, picture in enumerate(x):
        Image.fromarray(picture).save(path / f"{i:03d}.png")
    return path


def table_rows(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.rint(rng.normal(size=(n, 2)) @ [[3.0, 40.0, 0.0], [0.0, 20.0, 300.0]] + [0, 500, -3000])


def picture_rows(n: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of a table with names, and one of colour pictures."""
    place = tmp_path_factory.mktemp("known")
    table, pictures = TABLES["Parquet"](table_rows(90, 0), place), PICTURES["npy"](picture_rows(60, 0), place)
    return {
        "table": legato.train("vae", table, place / "table", net="mlp", **TINY).run.path,
        "pictures": legato.train("vae", pictures, place / "pictures", net="mlp", **TINY).run.path,
    }


def told(command: str, run: Path, source: Path, place: Path) -> tuple[int, dict[str, np.ndarray]]:
    """The exit code of a command and the numbers that it wrote."""
    out = place / f"{command}.npz"
    out.unlink(missing_ok=True)
    code = cli.run([command, str(run), "--data", str(source), "--out", str(out), "--threads", "1", *COMMANDS[command]])
    if code:
        return code, {}
    with np.load(out, allow_pickle=False) as found:
        return code, {name: found[name] for name in found.files if name not in ("id", "label", "k_hat")}


def one_line(capsys: pytest.CaptureFixture[str], code: int) -> bool:
    lines = capsys.readouterr().err.splitlines()
    return code == 2 and len([line for line in lines if line.startswith("legato: ")]) >= 1 and "Traceback" not in str(lines)


@pytest.mark.parametrize("what", ["table", "pictures"])
@EXAMPLES
@given(data=st.data())
def test_the_same_rows_give_the_same_numbers_whatever_holds_them(what, known, tmp_path_factory, data):
    place = tmp_path_factory.mktemp("same")
    kinds, make = (TABLES, table_rows) if what == "table" else (PICTURES, picture_rows)
    x = make(data.draw(st.sampled_from([1, 2, 7, 30])), data.draw(st.integers(1, 5)))
    kind, command = data.draw(st.sampled_from(sorted(kinds))), data.draw(st.sampled_from(sorted(COMMANDS)))
    if what == "table":
        x = x.astype(data.draw(st.sampled_from([np.float64, np.float32, np.int64, np.int16])))
    expected = told(command, known[what], saved(lambda q: np.save(q, x.astype(np.float64)), place / "plain.npy"), place)
    code, found = told(command, known[what], kinds[kind](x, place), place)
    assert (code, expected[0]) == (0, 0)
    assert found.keys() == expected[1].keys()
    for name, values in expected[1].items():
        np.testing.assert_allclose(found[name], values, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("what", ["table", "pictures"])
@EXAMPLES
@given(data=st.data())
def test_what_is_damaged_is_read_as_it_stands_or_refused_in_one_line(what, known, tmp_path_factory, capsys, data):
    place = tmp_path_factory.mktemp("damaged")
    kinds, make = (TABLES, table_rows) if what == "table" else (PICTURES, picture_rows)
    kind = data.draw(st.sampled_from(sorted(set(kinds) - {"folder"})))
    command = data.draw(st.sampled_from([*COMMANDS, "data"]))
    path = kinds[kind](make(12, 3), place)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(content) - 1, 0)))
        how = data.draw(st.sampled_from(["cut", "flip", "repeat", "empty"]))
        content = {
            "cut": lambda c, i: c[:i],
            "flip": lambda c, i: c[:i] + bytes([(c[i] if c else 0) ^ data.draw(st.integers(1, 255))]) + c[i + 1 :],
            "repeat": lambda c, i: c[:i] + c[i : i + 16] * 3 + c[i + 16 :],
            "empty": lambda c, i: c[:0],
        }[how](content, at)
    path.write_bytes(content)
    code = cli.run(["data", str(path)]) if command == "data" else told(command, known[what], path, place)[0]
    assert code == 0 or one_line(capsys, code)


MISFITS: dict[str, Writer] = {
    "renamed": lambda x, p: saved(lambda q: pq.write_table(frame(x, ("temp", "press", "humidity")), q), p / "a.parquet"),
    "missing": lambda x, p: saved(lambda q: pq.write_table(frame(x[:, :2], NAMES[:2]), q), p / "a.parquet"),
    "no number": lambda x, p: saved(
        lambda q: pq.write_table(frame(x).set_column(2, "flow", pa.array([f"{v} l" for v in x[:, 2]])), q), p / "a.parquet"
    ),
    "a gap": lambda x, p: saved(
        lambda q: pq.write_table(frame(x).set_column(2, "flow", pa.array([None, *x[1:, 2]])), q), p / "a.parquet"
    ),
    "NaN": lambda x, p: saved(lambda q: np.save(q, np.where(np.arange(3) == 1, np.nan, x)), p / "a.npy"),
    "wider": lambda x, p: saved(lambda q: np.save(q, np.hstack([x, x])), p / "a.npy"),
    "pictures": lambda x, p: saved(lambda q: np.save(q, picture_rows(4, 0)), p / "a.npy"),
    "two of a name": lambda x, p: saved(
        lambda q: pq.write_table(frame(x).append_column("flow", pa.array(x[:, 0])), q), p / "a.parquet"
    ),
    "no rows": lambda x, p: saved(lambda q: pq.write_table(frame(x[:0]), q), p / "a.parquet"),
}


@pytest.mark.parametrize("command", [*COMMANDS, "evaluate", "reconstruct"])
@pytest.mark.parametrize("name", MISFITS)
def test_what_a_run_cannot_read_is_refused_in_one_line_and_nothing_is_written(name, command, known, tmp_path, capsys):
    source = MISFITS[name](table_rows(8, 4), tmp_path)
    out = [] if command == "evaluate" else ["--out", str(tmp_path / "out.npz" if command in COMMANDS else tmp_path / "out.csv")]
    assert cli.run([command, str(known["table"]), "--data", str(source), "--threads", "1", *out]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if line.startswith("legato: ")]) == 1
    assert not list(tmp_path.glob("out.*"))
