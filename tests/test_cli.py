"""The command line: what each command writes, that it is quiet and deterministic, and a table of mistakes."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

import legato
from legato import cli
from legato.definition import find
from legato.measures.likelihood import score
from legato.measures.tails import trust
from legato.pictures import grid, strips, to_bytes
from legato.recipe import RECIPES, options_of
from legato.run import Run
from made_runs import RUNS, arguments, blobs
from made_sources import folder_of
from patience import PATIENCE

find("vae")  # fills RECIPES

ON_RUN = ("evaluate", "sample", "reconstruct", "interpolate", "traverse", "encode", "score")
CPU = ["--device", "cpu", "--threads", "1"]


@pytest.fixture(autouse=True)
def _alone():
    """One thread: the tensors are tiny, and other processes want the cores."""
    torch.set_num_threads(1)


def command(*words: object) -> int:
    return cli.run([*map(str, words), *CPU])


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image)


def load(path: Path):
    return legato.load(path, device="cpu")


# ------------------------------------------------------------------------------------------------ pictures


@pytest.mark.parametrize("name", ["vae", "colour", "autoencoder"])
def test_sample_writes_a_sheet_of_decoded_draws(name, runs, tmp_path, capsys):
    assert command("sample", runs[name], "--n", 10, "--seed", 3, "--out", tmp_path / "s.png") == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[-1] == f"wrote {tmp_path / 's.png'}"
    assert told.err == ""
    expected = grid(load(runs[name]).sample(10, seed=3))
    assert np.array_equal(pixels(tmp_path / "s.png"), np.asarray(expected))
    assert expected.size == (4 * 96 + 3 * 2, 3 * 96 + 2 * 2)  # 10 images of 8×8, twelve times as large, in 4 columns


def test_sample_says_where_it_draws_from_when_no_prior_was_trained_for(runs, tmp_path, capsys):
    command("sample", runs["autoencoder"], "--out", tmp_path / "a.png")
    assert "Gaussian fitted to the codes" in capsys.readouterr().out
    command("sample", runs["autoencoder"], "--from", "prior", "--out", tmp_path / "b.png")
    assert "Gaussian fitted" not in capsys.readouterr().out
    assert not np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


def test_reconstruct_writes_images_above_their_reconstructions(runs, tmp_path):
    space = load(runs["vae"])
    data = space.data()
    rows = np.array([5, 300, 17])
    assert command("reconstruct", runs["vae"], 5, 300, 17, "--out", tmp_path / "r.png") == 0
    stored = data.dataset.rows[rows]
    expected = strips([("image", stored / np.float32(255)), ("reconstruction", space.reconstruct(stored, rows))])
    assert np.array_equal(pixels(tmp_path / "r.png"), np.asarray(expected))


def test_reconstruct_shows_the_drawn_pixels_where_pixels_are_drawn(runs, tmp_path):
    heights = []
    for name in ("vae", "bernoulli"):
        assert command("reconstruct", runs[name], "--n", 4, "--out", tmp_path / f"{name}.png") == 0
        heights.append(pixels(tmp_path / f"{name}.png").shape[0])
    assert heights == [2 * 96 + 2, 3 * 96 + 2 * 2]


def test_interpolate_writes_the_path_its_stops_and_a_cross_fade(runs, tmp_path):
    space = load(runs["vae"])
    rows = np.array([1, 2, 9])
    words = ["--steps", 5, "--out", tmp_path / "i.png", "--gif", tmp_path / "i.gif"]
    assert command("interpolate", runs["vae"], 1, 2, 9, *words) == 0
    sheet = pixels(tmp_path / "i.png")
    assert sheet.shape[0] == 3 * 96 + 2 * 2
    stored = space.data().dataset.rows[rows]
    decoded = space.decode(space.interpolate(space.encode(stored, rows)[0], steps=5))
    left = sheet.shape[1] - (9 * 96 + 8 * 2)
    tiles = [sheet[96 + 2 :][:96, left + 98 * i :][:, :96] for i in range(9)]
    expected = to_bytes(decoded)[..., 0].repeat(12, 1).repeat(12, 2)
    assert np.array_equal(np.stack(tiles), expected)
    top = [sheet[:96, left + 98 * i :][:, :96] for i in range(9)]
    assert np.array_equal(top[4], stored[1, 0].repeat(12, 0).repeat(12, 1))
    assert (top[1] == 255).all()
    with Image.open(tmp_path / "i.gif") as gif:
        frames = 2 * 23 + 1
        assert gif.n_frames == 2 * frames - 2  # there and back
        assert gif.size == (256, 256)


def test_a_spherical_path_is_another_and_the_cross_fade_can_be_left_out(runs, tmp_path):
    for name, words in {"line": [], "sphere": ["--spherical"], "plain": ["--no-cross-fade"]}.items():
        assert command("interpolate", runs["vae"], 1, 2, *words, "--out", tmp_path / f"{name}.png") == 0
    line, sphere, plain = (pixels(tmp_path / f"{name}.png") for name in ("line", "sphere", "plain"))
    assert not np.array_equal(line, sphere)
    assert plain.shape[0] == 2 * 96 + 2


def test_traverse_writes_a_row_for_each_dimension_asked_for(runs, tmp_path):
    space = load(runs["vae"])
    out = tmp_path / "t.png"
    assert command("traverse", runs["vae"], "--dims", "z2", 0, "--steps", 3, "--span", 2, "--out", out) == 0
    dims, codes = space.traverse(dims=[2, 0], steps=3, span=2.0)
    expected = strips([(f"z{dim}", space.decode(line)) for dim, line in zip(dims, codes, strict=True)])
    assert np.array_equal(pixels(out), np.asarray(expected))
    assert command("traverse", runs["vae"], 7, "--most", 2, "--out", tmp_path / "u.png") == 0
    assert pixels(tmp_path / "u.png").shape[0] == 2 * 96 + 2


@pytest.mark.parametrize(
    ("words", "shape"),
    [(["sample", "--n", 7], (7, 4)), (["reconstruct", "--n", 5], (2, 5, 4)), (["traverse", "--steps", 3], (3, 3, 4))],
)
def test_a_tables_rows_are_written_as_an_array(words, shape, runs, tmp_path):
    assert command(words[0], runs["table"], *words[1:], "--out", tmp_path / "a.npy") == 0
    values = np.load(tmp_path / "a.npy", allow_pickle=False)
    assert values.shape == shape
    assert abs(values[..., 2].mean() + 100) < 20


def test_without_out_pictures_go_to_the_runs_figures(runs, tmp_path):
    shutil.copytree(runs["vae"], tmp_path / "r")
    for words in (["sample"], ["reconstruct"], ["interpolate"], ["traverse"]):
        assert command(*words, tmp_path / "r") == 0
    names = ["interpolation.png", "reconstructions.png", "samples.png", "traversals.png"]
    assert sorted(path.name for path in (tmp_path / "r" / "figures").iterdir()) == names


# ------------------------------------------------------------------------------------------------ tables and figures


@pytest.mark.parametrize("suffix", ["parquet", "npz"])
@pytest.mark.parametrize("name", ["vae", "autoencoder", "colour"])
def test_encode_writes_id_label_mu_and_sigma_of_every_row_in_order(name, suffix, runs, tmp_path):
    out = tmp_path / f"codes.{suffix}"
    assert command("encode", runs[name], "--out", out) == 0
    space = load(runs[name])
    data = space.data().dataset
    mu, sigma = space.encode(data.rows, np.arange(310))
    if suffix == "npz":
        with np.load(out, allow_pickle=False) as file:
            found = {key: file[key] for key in file.files}
    else:
        table = pq.read_table(out)
        found = {key: table[key].to_pylist() for key in table.column_names}
    assert list(found) == ["id", "label", "mu", "sigma"]
    assert list(found["id"]) == [str(i) for i in range(310)]
    none = "" if suffix == "npz" else None
    labels = [none] * 310 if name == "colour" else [str(label) for label in blobs()[1]]
    assert list(found["label"]) == labels
    assert np.array_equal(np.array(found["mu"], np.float32), mu)
    assert np.array_equal(np.array(found["sigma"], np.float32), sigma)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "npz"])
@pytest.mark.parametrize(("name", "column"), [("bernoulli", "log_px"), ("autoencoder", "distortion")])
def test_score_writes_a_column_named_for_what_it_is(name, column, suffix, runs, tmp_path):
    out = tmp_path / f"s.{suffix}"
    assert command("score", runs[name], "--k", 5, "--seed", 2, "--split", "test", "--out", out) == 0
    space = load(runs[name])
    data = space.data()
    rows = data.split("test").all()
    stored = data.dataset.rows[rows]
    by_name = {
        "log_px": lambda: space.score(stored, rows, k=5, seed=2 + int(rows[0])),
        "distortion": lambda: space.distortion(stored, rows),
    }
    expected = by_name[column]()
    if suffix == "csv":
        with open(out, encoding="utf-8", newline="") as file:
            lines = list(csv.reader(file))
        found = dict(zip(lines[0], zip(*lines[1:], strict=True), strict=True))
    elif suffix == "npz":
        with np.load(out, allow_pickle=False) as file:
            found = {key: file[key] for key in file.files}
    else:
        found = pq.read_table(out).to_pydict()
    assert list(found) == ["id", "label", column]
    assert list(found["id"]) == [str(row) for row in rows]
    assert list(found["label"]) == [str(blobs()[1][row]) for row in rows]
    assert np.allclose(np.array(found[column], float), expected, rtol=1e-6)


def test_score_says_of_every_row_whether_it_can_be_trusted(runs, tmp_path, capsys):
    out, space = tmp_path / "s.parquet", load(runs["bernoulli"])
    assert command("score", runs["bernoulli"], "--k", 40, "--seed", 2, "--out", out) == 0
    told, found = capsys.readouterr().out, pq.read_table(out).to_pydict()
    data = space.data()
    rows = data.split("test").all()
    expected = score(space.model, [torch.from_numpy(data.rows(rows))], 40, 2 + int(rows[0]))
    assert np.allclose(found["log_px"], expected.log_px, rtol=1e-6)
    assert np.allclose(found["k_hat"], expected.k_hat, rtol=1e-5)
    assert trust(expected.k_hat) in told
    assert command("score", runs["bernoulli"], "--k", 20, "--out", out) == 0
    assert "k_hat" not in pq.read_table(out).to_pydict()
    assert "is not known" in capsys.readouterr().out


def test_blocks_of_a_table_hold_the_rows_once_and_in_order(runs, tmp_path, monkeypatch):
    """Blocks of 100 write the codes that one block of all writes: bytes of a draw depend on the row, not on its block."""
    assert command("encode", runs["bernoulli"], "--out", tmp_path / "whole.parquet") == 0
    monkeypatch.setattr("legato.commands.tables.BLOCK", 100)
    assert command("encode", runs["bernoulli"], "--out", tmp_path / "blocks.parquet") == 0
    whole, blocks = (pq.read_table(tmp_path / f"{name}.parquet").to_pydict() for name in ("whole", "blocks"))
    assert whole["id"] == blocks["id"]
    assert np.allclose(whole["mu"], blocks["mu"], rtol=1e-5, atol=1e-5)


def test_evaluate_prints_a_table_and_writes_every_figure(runs, tmp_path, capsys):
    assert command("evaluate", runs["vae"], "--k", 4, "--json", tmp_path / "e.json") == 0
    told = capsys.readouterr()
    found = json.loads((tmp_path / "e.json").read_text())
    assert found == legato.evaluate(load(runs["vae"]), k=4)
    assert f"{found['nll']['value']:.3f}" in told.out
    assert "31 examples" in told.out
    assert "in words: elbo, evidence bound; rate, cost of the code; distortion, loss in redrawing" in told.out
    assert told.err == ""


@pytest.mark.parametrize(("k", "says"), [(4, "is not known"), (60, "trusted"), ("auto", "draws chosen by k-hat")])
def test_evaluate_says_below_its_table_whether_the_likelihood_can_be_trusted(k, says, runs, tmp_path, capsys):
    assert command("evaluate", runs["bernoulli"], "--k", k, "--limit", 12, "--json", tmp_path / "e.json") == 0
    told, found = " ".join(capsys.readouterr().out.split()), json.loads((tmp_path / "e.json").read_text())
    assert found == legato.evaluate(load(runs["bernoulli"]), k=k, limit=12)
    assert says in told
    assert " ".join(found["trust"].split()) in told
    assert ("untrusted share" in told.split("KL per dimension")[0].split("no ")[0]) == (k != 4)
    assert f"k = {k}" in told


@pytest.mark.parametrize("words", [["evaluate", "RUN", "--k", "2"], ["data", "SOURCE"]])
def test_json_to_stdout_is_all_that_stdout_holds(words, runs, sources, capsys):
    named = [str({"RUN": runs["vae"], "SOURCE": sources["grey"]}.get(word, word)) for word in words]
    assert cli.run([*named, "--json", "-"]) == 0
    told = capsys.readouterr()
    assert isinstance(json.loads(told.out), dict)
    assert told.err == ""


def test_evaluate_takes_another_source_and_split(runs, tmp_path, capsys):
    other = tmp_path / "other.npy"
    np.save(other, blobs(40, seed=9)[0])
    assert command("evaluate", runs["vae"], "--data", other, "--split", "all", "--k", 2, "--json", tmp_path / "e.json") == 0
    found = json.loads((tmp_path / "e.json").read_text())
    assert (found["data"]["n"], found["data"]["split"], found["data"]["source"]) == (40, "all", str(other))
    assert "no bits per dim" not in capsys.readouterr().out


def test_data_tells_what_is_in_a_source(sources, capsys):
    assert cli.run(["data", str(sources["grey"])]) == 0
    told = capsys.readouterr().out
    for words in ("310", "1 × 8 × 8", "train 248, validation 31, test 31", "discretized-logistic"):
        assert words in told


@pytest.mark.parametrize("name", RECIPES)
def test_the_options_of_every_recipe_stand_beside_those_that_all_share(name, capsys):
    """A recipe's own may be called as a group of the shared ones is, `target` say."""
    assert cli.run(["train", name, "--help"]) == 0
    told = capsys.readouterr().out
    assert [option for option in options_of(RECIPES[name]) if f"--{option.replace('_', '-')}" not in told] == []
    assert "--steps" in told


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_told_whole(name, capsys):
    assert cli.run(["recipes", name]) == 0
    told = capsys.readouterr().out
    assert f"{name}: " in told
    assert f"def {name}(" in told
    assert "objective" in told
    assert all(f"--{option.replace('_', '-')} " in told for option in options_of(RECIPES[name]))


def test_a_recipe_that_is_none_is_told_with_the_nearest(capsys):
    assert cli.run(["recipes", "iwaee"]) == 2
    assert "did you mean `iwae`?" in capsys.readouterr().err


def test_recipes_lists_every_recipe(capsys):
    assert cli.run(["recipes"]) == 0
    told = capsys.readouterr().out
    for name in ("vae", "autoencoder", "beta_vae", "noisy_autoencoder", "warmup_vae", "sigma_vae", "--latent-dim"):
        assert name in told


def test_train_says_what_it_trains_and_what_comes_next(sources, tmp_path, capsys):
    assert cli.run(arguments("vae", sources["grey"], tmp_path / "r", steps=5)) == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[0].startswith(f"vae on {sources['grey']}: mlp 24×1, discretized-logistic")
    assert "5 steps of 32" in lines[0]
    assert lines[1].startswith("5 steps done; validation elbo -")
    assert lines[2] == "the best validation ELBO (β = 1) is the last step's"
    assert f"legato evaluate {tmp_path / 'r'}" in lines[3]
    assert len(lines) == 4
    assert told.err == ""


def test_what_comes_next_can_be_copied_whatever_the_runs_name(sources, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("my run", "it's $HOME", "-dashed"):
        words = arguments("vae", sources["grey"], Path("r"), steps=2)
        at = words.index("--out")
        assert cli.run([*words[:at], f"--out={name}", *words[at + 2 :]]) == 0
        evaluate, *_ = capsys.readouterr().out.splitlines()[-1].removeprefix("next: ").split(" · ")
        assert cli.run([*shlex.split(evaluate)[1:], "--k", "2"]) == 0
        capsys.readouterr()
    assert cli.run(["evaluate", "no run"]) == 2
    assert "--out 'no run'`" in capsys.readouterr().err


def test_train_warns_where_the_data_are_not_scored_as_they_are(sources, tmp_path, capsys):
    assert cli.run(arguments("vae", sources["grey"], tmp_path / "r", steps=2, likelihood="bernoulli")) == 0
    assert "each pixel is drawn from Bernoulli(value/255)" in capsys.readouterr().err


def test_a_run_trained_by_the_command_is_the_one_trained_in_python(runs, sources, tmp_path):
    assert cli.run(arguments("vae", sources["grey"], tmp_path / "r")) == 0
    assert Run(tmp_path / "r").model.read_bytes() == Run(runs["vae"]).model.read_bytes()
    assert json.loads((tmp_path / "r" / "recipe.json").read_text()) == json.loads((runs["vae"] / "recipe.json").read_text())


# ------------------------------------------------------------------------------------------------ laws of all commands


WRITES: dict[str, tuple[list[object], str]] = {
    "sample": (["--n", 9], "png"),
    "reconstruct": ([], "png"),
    "interpolate": ([], "png"),
    "score": (["--k", 3], "csv"),
    "evaluate": (["--k", 3], "json"),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_seed_fixes_what_is_written_and_another_changes_it(name, runs, tmp_path, capsys):
    words, suffix = WRITES[name]
    written = []
    for index, seed in enumerate((1, 1, 2)):
        out = tmp_path / f"{index}.{suffix}"
        option = "--json" if name == "evaluate" else "--out"
        assert command(name, runs["vae"], *words, "--seed", seed, option, out) == 0
        written.append(out.read_bytes())
    assert written[0] == written[1]
    assert written[0] != written[2]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", RUNS)
def test_every_command_works_on_every_kind_of_run_and_changes_nothing_in_it(name, runs, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in runs[name].rglob("*")}
    suffix = "npy" if name == "table" else "png"
    for words in (["sample"], ["reconstruct"], ["interpolate", "--spherical"], ["traverse"]):
        assert command(words[0], runs[name], *words[1:], "--out", tmp_path / f"{words[0]}.{suffix}") == 0
    assert command("encode", runs[name], "--out", tmp_path / "c.npz") == 0
    assert command("score", runs[name], "--k", 2, "--out", tmp_path / "s.csv") == 0
    assert command("evaluate", runs[name], "--k", 2) == 0
    assert {path: path.stat().st_mtime_ns for path in runs[name].rglob("*")} == before
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["", *cli.COMMANDS])
def test_help_is_told_with_exit_code_0(name, capsys):
    assert cli.run([name, "--help"] if name else ["--help"]) == 0
    told = capsys.readouterr()
    assert told.err == ""
    for word in cli.COMMANDS if not name else [f"legato {name}"]:
        assert word in told.out
    if name in ON_RUN:
        assert "RUN" in told.out


def test_without_a_command_the_overview_is_told(capsys):
    assert cli.run([]) == 0
    assert "evaluate" in capsys.readouterr().out


def test_the_version_is_told(capsys):
    assert cli.run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == legato.__version__


@pytest.mark.parametrize(
    "code", ["import legato", "from legato.cli import run; run(['--help'])", "from legato.cli import run; run([])"]
)
def test_the_package_and_its_overview_cost_no_torch(code):
    heavy = "torch", "numpy", "matplotlib", "pyarrow", "sklearn", "PIL"
    check = f"{code}\nimport sys\nassert not (found := set({heavy!r}) & set(sys.modules)), found"
    told = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert told.returncode == 0, told.stderr


STEPS = {"train": "begin", "sample": "write_grid", "data": "open_source"}


@pytest.mark.parametrize("name", STEPS)
def test_an_interruption_is_one_line_and_130(name, runs, sources, tmp_path, capsys, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(f"legato.commands.{name}.{STEPS[name]}", interrupt)
    words = {
        "train": arguments("vae", sources["grey"], tmp_path / "r"),
        "sample": ["sample", str(runs["vae"])],
        "data": ["data", str(sources["grey"])],
    }
    assert cli.run(words[name]) == 130
    assert capsys.readouterr().err.splitlines() == ["legato: interrupted"]
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_while_python_still_imports_is_one_line_too():
    code = """
import sys
class Impatient:
    def find_spec(self, name, path=None, target=None):
        if name == "cyclopts":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Impatient())
from legato.__main__ import main
main()
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (told.returncode, told.stderr) == (130, "legato: interrupted\n")


def test_the_package_runs_as_a_module_as_the_command_does():
    told = subprocess.run(
        [sys.executable, "-m", "legato", "evalute"], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert told.returncode == 2
    assert told.stderr.startswith("legato: ")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(unbuffered, sources, monkeypatch):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    code = f"from legato.cli import main; main(['data', {str(sources['grey'])!r}])"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.close()
        assert child.stderr.read() == b""
    assert child.returncode == 0


# ------------------------------------------------------------------------------------------------ mistakes


class Place:
    """Where a mistake is made: sources, runs, and an empty folder."""

    def __init__(self, runs, sources: dict[str, Path], folder: Path) -> None:
        self.runs, self.sources, self.folder = runs, sources, folder
        self.out = folder / "out"

    def train(self, recipe: str = "vae", kind: str = "grey", **other: object) -> list[str]:
        return arguments(recipe, self.sources[kind], self.out, **other)

    def broken(self, name: str, change: Callable[[Path], object], run: str = "vae") -> Path:
        copy = self.folder / "broken"
        shutil.copytree(self.runs[run], copy)
        change(copy / name)
        return copy

    def file(self, name: str, content: bytes = b"x") -> Path:
        (self.folder / name).write_bytes(content)
        return self.folder / name


MISTAKES: dict[str, tuple[Callable[[Place], list[object]], list[str]]] = {
    "command": (lambda p: ["evalute"], ["evalute", "did you mean `evaluate`"]),
    "nothing like a command": (lambda p: ["xyzzy"], ["xyzzy", "train"]),
    "option of legato": (lambda p: ["--trian"], ["--trian", "`legato --help` lists"]),
    "a word too many": (lambda p: ["demo", "mnist"], ["`mnist` is a word too many", "`legato demo --help`"]),
    "a run given to resume": (lambda p: ["train", "--resume", p.runs["vae"]], ["takes no name", "--resume --out RUN"]),
    "no run": (lambda p: ["evaluate"], ["RUN is missing", "`legato evaluate --help`"]),
    "half a number": (lambda p: ["evaluate", p.runs["vae"], "--k", "1.5"], ["--k", '"1.5" into a whole number']),
    "a number in words": (lambda p: p.train(learning_rate="small"), ["--learning-rate", '"small" into a number']),
    "recipe": (lambda p: p.train("betavae"), ["betavae", "did you mean `beta_vae`"]),
    "option": (lambda p: [*p.train(), "--latnt-dim", "3"], ["--latnt-dim", "--latent-dim"]),
    "a whole number that is none": (lambda p: p.train(latent_dim=3.5), ["--latent-dim", "3.5", "int"]),
    "half a draw": (lambda p: ["evaluate", p.runs["vae"], "--k", "2.5"], ["--k", "2.5", "int"]),
    "an infinite number of steps": (lambda p: p.train(steps="inf"), ["--steps", "inf", "int"]),
    "option of another recipe": (lambda p: [*p.train(), "--warmup", "3"], ["--warmup"]),
    "option of a command": (lambda p: ["sample", p.runs["vae"], "--sed", 1], ["--sed", "--seed"]),
    "no --data": (lambda p: ["train", "vae", "--out", p.out], ["--data", "mnist", "folder"]),
    "claims of nothing": (lambda p: ["claims"], ["--data"]),
    "claims of what is not there": (lambda p: ["claims", "--data", p.out / "nosuch"], ["nosuch", "folder", "mnist"]),
    "claims into a run": (
        lambda p: ["claims", "--data", "mnist", "--quick", "--out", p.runs["vae"]],
        ["no experiment of Legato's", "--out"],
    ),
    "no seeds": (lambda p: ["claims", "--data", "mnist", "--seeds", "0"], ["--seeds", ">= 1"]),
    "no minutes for a model": (lambda p: ["claims", "--data", "mnist", "--minutes-per-model", "0"], ["--minutes-per-model"]),
    "option of claims": (lambda p: ["claims", "--data", "mnist", "--quik"], ["--quik", "--quick"]),
    "report of nothing": (lambda p: ["report"], ["report", "RUN"]),
    "report of no run": (lambda p: ["report", p.out], ["no run lies", "legato train"]),
    "one run to compare": (lambda p: ["compare", p.runs["vae"]], ["two runs"]),
    "no recipe": (lambda p: ["train", "--out", p.out, "--data", "mnist"], ["RECIPE", "legato recipes", "--resume"]),
    "no --out to resume": (lambda p: ["train", "--resume"], ["--resume", "--out"]),
    "no RUN": (lambda p: ["sample"], ["RUN is missing"]),
    "a value forgotten": (lambda p: [*p.train(), "--seed"], ["--seed", "requires"]),
    "no number": (lambda p: p.train(steps="many"), ["--steps", "many", "int"]),
    "word for a choice": (lambda p: p.train(net="convolution"), ["--net", "convolution", "conv"]),
    "likelihood": (lambda p: p.train(likelihood="gausian"), ["--likelihood", "gausian", "gaussian"]),
    "too many words": (lambda p: ["sample", p.runs["vae"], "seven"], ["seven"]),
    "RUN that is nowhere": (lambda p: ["evaluate", p.folder / "nowhere"], ["nowhere", "legato train"]),
    "RUN that is none": (lambda p: ["sample", p.folder], ["is no run", "recipe.json"]),
    "RUN that is a file": (lambda p: ["score", p.file("r")], ["no run"]),
    "RUN of another program": (
        lambda p: ["sample", p.broken("recipe.json", lambda f: f.write_text('{"model": 1}'))],
        ["recipe.json", "damaged"],
    ),
    "resume of nothing": (lambda p: ["train", "--resume", "--out", p.out], ["no run lies at"]),
    "resume of what is finished": (lambda p: ["train", "--resume", "--out", p.runs["vae"]], ["is finished", "--overwrite"]),
    "resume with another option": (
        lambda p: ["train", "--resume", "--out", p.runs["vae"], "--seed", 4],
        ["--seed is 0", "cannot become 4"],
    ),
    "resume and overwrite": (
        lambda p: ["train", "--resume", "--overwrite", "--out", p.runs["vae"]],
        ["--resume", "--overwrite", "one of them"],
    ),
    "resume of another recipe": (lambda p: ["train", "beta_vae", "--resume", "--out", p.runs["vae"]], ["`vae`", "`beta_vae`"]),
    "damaged model": (
        lambda p: ["sample", p.broken("model.safetensors", lambda f: f.write_bytes(f.read_bytes()[:-5]))],
        ["model.safetensors", "whole"],
    ),
    "missing model": (
        lambda p: ["encode", p.broken("model.safetensors", Path.unlink)],
        ["model.safetensors", "missing"],
    ),
    "damaged JSON": (lambda p: ["score", p.broken("data.json", lambda f: f.write_text("{"))], ["data.json", "damaged"]),
    "missing codes": (
        lambda p: ["sample", p.broken("codes.safetensors", Path.unlink, "autoencoder")],
        ["codes.safetensors", "missing"],
    ),
    "k": (lambda p: ["evaluate", p.runs["vae"], "--k", 0], ["`k`", "1 or more", "0"]),
    "k of score": (lambda p: ["score", p.runs["vae"], "--k", -5, "--out", p.folder / "s.csv"], ["`k`", "-5"]),
    "limit": (lambda p: ["evaluate", p.runs["vae"], "--limit", -5], ["`limit`", "-5"]),
    "split": (lambda p: ["encode", p.runs["vae"], "--split", "tets"], ["tets", "did you mean `test`"]),
    "seed": (lambda p: ["sample", p.runs["vae"], "--seed", -1], ["--seed", "-1"]),
    "seed of training": (lambda p: p.train(seed=-1), ["--seed", "-1"]),
    "no samples": (lambda p: ["sample", p.runs["vae"], "--n", 0], ["0", "1 or more"]),
    "negative images": (lambda p: ["reconstruct", p.runs["vae"], "--n", -2], ["-2"]),
    "steps and minutes": (lambda p: p.train(minutes=1), ["--steps", "--minutes", "one of"]),
    "negative steps": (lambda p: p.train(steps=-4), ["--steps", "-4"]),
    "negative epochs": (lambda p: ["train", "vae", "--data", p.sources["grey"], "--epochs", -1, "--out", p.out], ["--epochs"]),
    "batch size": (lambda p: p.train(batch_size=0), ["--batch-size", "0"]),
    "learning rate": (lambda p: p.train(learning_rate=-1), ["--learning-rate", "-1"]),
    "latents": (lambda p: p.train(latent_dim=0), ["latent_dim", "1 or more"]),
    "width": (lambda p: p.train(width=0), ["width", "0"]),
    "negative beta": (lambda p: [*p.train(), "--beta", -1], ["rate", "-1"]),
    "schedule": (lambda p: [*p.train("warmup_vae"), "--warmup", 500], ["500", "outlives", "40"]),
    "threads": (lambda p: ["sample", p.runs["vae"], "--threads", 0], ["--threads", "0"]),
    "device": (lambda p: p.train(device="gpu"), ["gpu", "cpu, cuda"]),
    "device that computes nothing": (lambda p: p.train(device="meta"), ["meta", "cpu, cuda"]),
    "GPU that is not there": (lambda p: p.train(device="cuda:99"), ["cuda:99", "GPU"]),
    "out that is taken": (
        lambda p: arguments("vae", p.sources["grey"], p.runs["vae"]),
        ["holds a run already", "--resume", "--overwrite"],
    ),
    "out that is a file": (lambda p: arguments("vae", p.sources["grey"], p.file("f")), ["is a file", "--out"]),
    "out that is not ours": (lambda p: arguments("vae", p.sources["grey"], p.file("f").parent), ["no run of Legato's"]),
    "out below a file": (lambda p: arguments("vae", p.sources["grey"], p.file("f") / "r"), ["cannot be written"]),
    "out that cannot be made": (lambda p: arguments("vae", p.sources["grey"], Path("/proc/nowhere/r")), ["cannot be written"]),
    "picture below a file": (lambda p: ["sample", p.runs["vae"], "--out", p.file("f") / "s.png"], ["cannot", "s.png"]),
    "picture of another format": (lambda p: ["sample", p.runs["vae"], "--out", p.folder / "s.jpg"], ["s.jpg", ".png"]),
    "array of another format": (lambda p: ["sample", p.runs["table"], "--out", p.folder / "s.png"], ["s.png", ".npy"]),
    "table of another format": (
        lambda p: ["encode", p.runs["vae"], "--out", p.folder / "c.xls"],
        ["c.xls", ".parquet, .csv, .npz"],
    ),
    "scores of another format": (lambda p: ["score", p.runs["vae"], "--out", p.folder / "c.xls"], ["c.xls", ".csv"]),
    "figures without a file": (lambda p: ["evaluate", p.runs["vae"], "--json", "--k", 2], ["--json", "--k"]),
    "animation of a table": (
        lambda p: ["interpolate", p.runs["table"], "--out", p.folder / "i.npy", "--gif", p.folder / "i.gif"],
        ["table", "--gif"],
    ),
    "animation of another format": (
        lambda p: ["interpolate", p.runs["vae"], "--out", p.folder / "i.png", "--gif", p.folder / "i.mp4"],
        ["i.mp4", ".gif"],
    ),
    "id": (lambda p: ["reconstruct", p.runs["vae"], 7, 9999], ["9999", "`309`"]),
    "one stop": (lambda p: ["interpolate", p.runs["vae"], 3], ["2 stops", "1 was named"]),
    "one step": (lambda p: ["interpolate", p.runs["vae"], 3, 4, "--steps", 1], ["2 steps", "1"]),
    "dimension": (lambda p: ["traverse", p.runs["vae"], "--dims", 0, 3], ["dimension z3", "z0 … z2"]),
    "no traversal": (lambda p: ["traverse", p.runs["vae"], "--steps", 0], ["2 steps", "0"]),
    "no rows": (lambda p: ["traverse", p.runs["vae"], "--most", 0], ["--most"]),
    "origin": (lambda p: ["sample", p.runs["vae"], "--from", "pryor"], ["pryor", "prior"]),
    "temperature": (lambda p: ["sample", p.runs["vae"], "--temperature", "hot"], ["--temperature", "hot"]),
    "scale of another likelihood": (lambda p: p.train(scale=0.1), ["scale", "fixed-gaussian"]),
    "no scale": (lambda p: p.train(likelihood="fixed-gaussian"), ["--scale"]),
    "likelihood of bytes for reals": (
        lambda p: p.train(kind="table", likelihood="discretized-logistic"),
        ["discretized-logistic", "real numbers", "`gaussian` fits"],
    ),
    "coins for reals": (lambda p: p.train(kind="table", likelihood="bernoulli"), ["bernoulli", "real numbers"]),
    "grey likelihood for bits": (
        lambda p: p.train(kind="binary", likelihood="continuous-bernoulli"),
        ["continuous-bernoulli", "binary"],
    ),
    "convolutions on a table": (lambda p: p.train(kind="table", net="conv"), ["conv"]),
    "source that is nowhere": (lambda p: arguments("vae", p.folder / "nowhere", p.out), ["no source", "nowhere"]),
    "mixed sizes": (
        lambda p: arguments(
            "vae",
            folder_of(p.folder / "m", {f"{i}.png": np.zeros((8, 8 + i % 2), np.uint8) for i in range(4)}),
            p.out,
        ),
        ["--size", "8×8"],
    ),
    "nothing readable": (
        lambda p: arguments("vae", folder_of(p.folder / "m", {"a.png": b"x", "b.png": b"y"}), p.out, size=8),
        ["none of the 2"],
    ),
    "data of another shape": (
        lambda p: ["evaluate", p.runs["vae"], "--data", p.sources["colour"]],
        ["(1, 8, 8)", "(3, 8, 8)"],
    ),
    "data of another kind": (
        lambda p: ["score", p.runs["binary"], "--data", p.sources["grey"]],
        ["binary", "0 and 1", "from 0 to"],
    ),
    "source of a command": (lambda p: ["data"], ["SOURCE", "mnist"]),
    "size": (lambda p: ["data", p.sources["grey"], "--size", 3], ["size", "8 to 256"]),
    "own recipe without its module": (lambda p: p.train("no_such_models:tiny"), ["no_such_models"]),
    "own recipe that is none": (lambda p: p.train("json:tiny"), ["json", "tiny", "def tiny(data"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_one_line_exit_code_2_and_nothing_written(name, runs, sources, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    place = Place(runs, sources, tmp_path)
    make, expected = MISTAKES[name]
    words = [str(word) for word in make(place)]
    before = _all_files(tmp_path, *(runs[r] for r in ("vae", "table")))
    assert cli.run(words) == 2
    told = capsys.readouterr()
    lines = told.err.splitlines()
    assert len(lines) == 1, told.err
    assert lines[0].startswith("legato: ")
    assert "Traceback" not in told.err
    for word in expected:
        assert word in lines[0]
    assert _all_files(tmp_path, *(runs[r] for r in ("vae", "table"))) == before


def _all_files(*folders: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for folder in folders for path in folder.rglob("*") if path.name != ".lock"}


def test_the_table_of_mistakes_has_no_less_than_25_rows():
    assert len(MISTAKES) >= 25
