"""Legato in Python: mistakes are one line with a remedy, objects say what they are, an editor can complete what is there."""

from __future__ import annotations

import ast
import inspect
import json
import re
import shlex
import shutil
import typing
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import legato
from legato.arguments import checked, held, numbers
from legato.codes import name_of, names_of, number_of
from legato.data.options import DataOptions
from legato.errors import install, quoted
from legato.latent_space import LatentSpace
from legato.measures.estimate import absent, mean_over
from legato.recipe import RECIPES, options_of
from legato.setting import Words
from legato.training.chosen import Chosen, RecipeName
from legato.training.options import TrainingOptions
from made_runs import SMALL, blobs

X = np.random.default_rng(0).normal(size=(120, 4))
TINY: dict[str, Any] = {**SMALL, "steps": 2}


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


@pytest.fixture
def space(runs) -> LatentSpace:
    return legato.load(runs["vae"], device="cpu")


def train(recipe: Any = "vae", data: Any = X, **chosen: Any) -> LatentSpace:
    return legato.train(recipe, data, **{**TINY, **chosen})


# ------------------------------------------------------------------------------------------------------- mistakes

# What a person writes, and the words by which they mend it: what is wrong, what was expected or what to do.
MISTAKES: dict[str, tuple[Callable[[LatentSpace], Any], list[str]]] = {
    "a recipe that does not exist": (lambda s: train("vaee"), ["vaee", "did you mean `vae`?"]),
    "something else for a recipe": (lambda s: train(5), ["recipe's name", "function (data, …)", "5"]),
    "an option that does not exist": (lambda s: train(latent_dims=2), ["latent_dims", "did you mean `latent_dim`?"]),
    "an option of training misspelt": (lambda s: train(step=2), ["`step`", "did you mean `steps`?"]),
    "an option of the data misspelt": (lambda s: train(sise=8), ["`sise`", "did you mean `size`?"]),
    "text for a whole number": (lambda s: train(latent_dim="3"), ["latent_dim", "a whole number", "'3'"]),
    "half a dimension": (lambda s: train(latent_dim=2.5), ["latent_dim", "a whole number", "2.5"]),
    "None for a weight": (lambda s: train(beta=None), ["beta", "a finite number", "None"]),
    "NaN for a weight": (lambda s: train(beta=float("nan")), ["beta", "finite"]),
    "text for steps": (lambda s: train(steps="10"), ["steps", "a whole number or None", "'10'"]),
    "half a batch": (lambda s: train(batch_size=2.5), ["batch_size", "a whole number", "2.5"]),
    "a precision that does not exist": (lambda s: train(precision="bf16"), ["precision", "did you mean `bfloat16`?"]),
    "a net that does not exist": (lambda s: train(net="cnn"), ["cnn", "did you mean `conv`?"]),
    "a wide net": (lambda s: train(width="wide"), ["width", "a whole number or None", "'wide'"]),
    "a pattern that is a number": (lambda s: train(group=3), ["group", "text or None", "3"]),
    "a window as a pair": (lambda s: train(window=(0, 3)), ["window", "text or None"]),
    "a size in words": (lambda s: legato.DataOptions(size="big"), ["size", "a whole number or None", "'big'"]),
    "a data option misspelt": (lambda s: legato.DataOptions(sise=3), ["sise", "did you mean `size`?"]),
    "options as a dictionary": (lambda s: legato.open_source(X, {"size": 8}), ["options", "DataOptions"]),
    "a place that is a number": (lambda s: train(out=5), ["out", "a path", "5"]),
    "a run that is not there": (lambda s: legato.load("nowhere"), ["nowhere", "legato train"]),
    "a model where a path is wanted": (lambda s: legato.load(s), ["run", "a path", "a LatentSpace"]),
    "a snapshot by a word": (lambda s: legato.load(s.run.path, step="last"), ["step", "a whole number or None", "'last'"]),
    "a run to measure that is not there": (lambda s: legato.evaluate("nowhere"), ["nowhere", "legato train"]),
    "nothing to measure": (lambda s: legato.evaluate(None), ["run", "LatentSpace or text or a path", "None"]),
    "half a draw": (lambda s: legato.evaluate(s, k=1.5), ["`k`", "a whole number or one of auto", "1.5"]),
    "draws in words": (lambda s: legato.evaluate(s, k="many"), ["`k`", "a whole number or one of auto", "'many'"]),
    "a split that does not exist": (lambda s: legato.evaluate(s, split="tset", k=2), ["tset", "did you mean `test`?"]),
    "an argument that does not exist": (lambda s: legato.evaluate(s, draws=3), ["draws", "there are k"]),
    "one run to compare": (lambda s: legato.compare("runs/a"), ["two runs or more", "legato.compare([run, run])"]),
    "codes of another width": (lambda s: s.decode(np.zeros((3, 4))), ["`z`", "(N, 3)", "(3, 4)"]),
    "codes in words": (lambda s: s.decode([["a", "b", "c"]]), ["`z`", "array of numbers"]),
    "codes that are no numbers": (lambda s: s.decode(np.full((1, 3), np.nan)), ["`z`", "NaN", "finite"]),
    "images of another shape": (lambda s: s.encode(np.zeros((2, 9, 9))), ["`x`", "(N, 1, 8, 8)", "(2, 9, 9)"]),
    "images in words": (lambda s: s.encode("photo.png"), ["`x`", "array of numbers", "str"]),
    "images of several shapes": (lambda s: s.encode([np.zeros((8, 8)), np.zeros(3)]), ["`x`", "one shape"]),
    "rows of other images": (lambda s: s.encode(blobs(4)[0], rows=[0]), ["`rows`", "(4,)", "(1,)"]),
    "samples from nowhere": (lambda s: s.sample(4, origin="code"), ["origin", "did you mean `codes`?"]),
    "a number of samples in words": (lambda s: s.sample("4"), ["`n`", "a whole number", "'4'"]),
    "a negative seed": (lambda s: s.sample(4, seed=-1), ["seed", "0 to 2,147,483,647", "-1"]),
    "a negative temperature": (lambda s: s.sample(4, temperature=-1), ["temperature", "0 or more"]),
    "a path of a single code": (lambda s: s.interpolate(np.zeros((1, 3))), ["2 stops"]),
    "a path through another space": (lambda s: s.interpolate(np.zeros((2, 5))), ["stops", "(n, 3)", "(2, 5)"]),
    "a dimension that is not there": (lambda s: s.traverse(dims=[7]), ["z7", "z0 … z2"]),
    "a dimension for a list": (lambda s: s.traverse(dims=1), ["dims", "list", "[0, 1]"]),
    "draws by a word": (lambda s: s.score(blobs(2)[0], k="auto"), ["`k`", "a whole number", "'auto'"]),
    "a model without a likelihood": (lambda s: legato.LatentVariableModel(s.model.latent, None), ["likelihood", "Conditional"]),
    "a model for an objective": (lambda s: legato.Recipe(s.model, s.model), ["objective", "Objective", "Term"]),
    "a number in a sum of terms": (lambda s: legato.Distortion() + 3, ["sum of terms", "3"]),
    "a weight in words": (lambda s: "much" * legato.Rate(), ["weight of `rate`", "a finite number", "'much'"]),
    "a schedule in words": (lambda s: legato.anneal("low", 1, 5), ["start", "a finite number", "'low'"]),
    "an effort that does not exist": (lambda s: legato.measure(s, effort="fast"), ["effort", "quick"]),
    "a recipe that is no function": (lambda s: legato.recipe(3), ["a recipe is a function", "3"]),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_python_is_one_line_that_says_how_to_mend_it(name, runs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    call, words = MISTAKES[name]
    with pytest.raises(legato.Mistake) as told:
        call(legato.load(runs["vae"], device="cpu"))
    line = str(told.value)
    assert "\n" not in line
    assert [word for word in words if word not in line] == [], line
    assert list(tmp_path.rglob("recipe.json")) == []  # nothing was begun


def test_numbers_of_other_libraries_are_numbers(tmp_path):
    space = train(latent_dim=np.int64(2), steps=np.array(3.0), seed=np.uint8(4), beta=np.float32(0.5), out=tmp_path / "run")
    training = json.loads((tmp_path / "run" / "training.json").read_text())
    assert (space.latent_dim, training["total"], training["seed"]) == (2, 3, 4)
    assert space.sample(np.int32(2), temperature=torch.tensor(0.5)).shape == (2, 4)
    assert space.sample(2.0).shape == (2, 4)  # 1e4 is how many write ten thousand


def test_a_tensor_a_list_and_an_array_are_the_same_numbers(space):
    images = blobs(3)[0]
    expected = space.encode(images)[0]
    assert np.array_equal(space.encode(torch.from_numpy(images))[0], expected)
    assert np.array_equal(space.encode(images.tolist())[0], expected)
    z = torch.zeros(2, 3, requires_grad=True)
    assert np.array_equal(space.decode(z), space.decode(np.zeros((2, 3))))
    assert numbers([[1, 2]], "x").tolist() == [[1, 2]]


def test_what_is_checked_is_what_the_signature_says_and_other_types_are_let_by():
    @checked
    def f(a: int, b: float = 1.0, *, c: str | Path = "", d: object = None, **more: Any) -> tuple[Any, ...]:
        return a, b, c, d, more

    assert f(3, 2, c=Path("x"), d={1}, e=5) == (3, 2, Path("x"), {1}, {"e": 5})
    assert str(inspect.signature(f)).startswith("(a: 'int', b: 'float' = 1.0")
    for wrong, said in (
        ({"a": True}, "`a` of `f`"),
        ({"a": 1, "b": "2"}, "`b`"),
        ({"a": 1, "c": 3}, "text or a path"),
        ({}, "'a'"),
    ):
        with pytest.raises(legato.Mistake, match=said):
            f(**wrong)
    assert held(tuple[int, ...], [np.int64(3), 4], "`shape`") == (3, 4)
    with pytest.raises(legato.Mistake, match="at 1, must be a whole number"):
        held(tuple[int, ...], (3, "4"), "`shape`")


# ---------------------------------------------------------------------------------------------------- what is given


def test_evaluate_and_compare_take_runs_by_their_paths(runs):
    by_path, by_model = legato.evaluate(runs["vae"], k=2), legato.evaluate(legato.load(runs["vae"]), k=2)
    assert json.loads(json.dumps(by_path)) == by_model
    assert legato.evaluate(str(runs["vae"]), k=2) == by_path
    found = legato.compare([runs["vae"], str(runs["beta_vae"])], k=2)
    assert found == legato.compare([legato.load(runs[name]) for name in ("vae", "beta_vae")], k=2)
    assert json.loads(json.dumps(found)) == found


def test_a_model_trained_on_an_array_knows_its_data_while_it_lives(tmp_path):
    space = train(out=tmp_path / "run")
    assert len(space.data().dataset) == 120
    assert legato.evaluate(space, k=2)["data"]["split"] == "test"
    assert space.sample(3, origin="mixture").shape == (3, 4)
    with pytest.raises(legato.Mistake, match="in memory"):
        legato.evaluate(tmp_path / "run", k=2)


def test_the_function_that_names_recipes_stays_itself_once_its_file_is_imported():
    import legato.recipe

    assert callable(legato.recipe)
    assert legato.recipe is RECIPES["vae"].__globals__["recipe"]


# --------------------------------------------------------------------------------------------------- what is shown


def html_of(thing: Any) -> str:
    page: str = thing._repr_html_()
    assert page.count("<table") == page.count("</table>") == 1
    assert "<script" not in page
    return page


def test_a_run_says_its_recipe_its_data_and_its_training(space, runs):
    said = repr(space)
    assert str(runs["vae"]) in said
    assert "vae(latent_dim=3, beta=1.0, net=mlp, width=24, depth=1" in said
    assert "310 rows of shape 1 × 8 × 8" in said
    assert "40 steps of 32 examples, seed 0" in said
    page = html_of(space)
    assert page.count("data:image/png;base64,") == 1  # samples
    assert "40 steps of 32 examples" in page
    assert "data:image" not in html_of(legato.load(runs["table"]))
    assert repr(space.run) == f"Run({str(runs['vae'])!r})"


def test_a_model_whose_run_was_removed_can_still_be_shown(runs, tmp_path):
    shutil.copytree(runs["vae"], tmp_path / "run")
    space = legato.load(tmp_path / "run", device="cpu")
    shutil.rmtree(tmp_path / "run")
    assert "vae(latent_dim=3" in repr(space)
    assert "data.json" in html_of(space)


def test_a_recipe_says_its_sentence(space):
    said = repr(space.recipe)
    assert re.search(r"q\(z\|x\) +Gaussian of shape \(3,\)", said)
    assert re.search(r"p\(z\) +StandardNormal", said)
    assert re.search(r"objective +1 · distortion \+ 1 · rate", said)
    weights = sum(one.numel() for one in space.model.parameters())
    assert f"{weights:,}" in html_of(space.recipe)
    assert repr(legato.Distortion() + legato.anneal(0, 4, 0.5) * legato.Rate()) == "1 · distortion + (0 → 4) · rate"


def test_an_estimate_says_its_value_its_interval_its_unit_and_its_number():
    one = mean_over(np.array([1.0, 2.0, 3.0, 2.0]), "nats", "a <mean>")
    assert repr(one) == "Estimate(2.00 [1.20, 2.80] nats, n = 4)"
    assert "a &lt;mean&gt;" in html_of(one)
    assert repr(absent("no prior")) == "Estimate(— (no prior))"
    assert str(mean_over(np.array([1e-3, 2e-3]), "nats", "small")) == "0.00150 [0.00052, 0.00248] nats"


def test_answers_are_dictionaries_that_show_their_figures(runs):
    found = legato.evaluate(runs["vae"], k=30)
    assert isinstance(found, dict)
    assert re.search(r"elbo +−\d", repr(found))
    assert "kl per dimension" not in repr(found)
    assert "importance-weighted bound" in html_of(found)
    assert re.search(r"distortion +\d", repr(legato.evaluate(runs["autoencoder"], k=2)))
    both = legato.compare([runs["vae"], runs["beta_vae"]], k=2)
    assert f"beta_vae at {runs['beta_vae']}" in repr(both)
    assert "paired difference" in html_of(both)


def test_data_and_a_survey_say_what_they_are(runs, sources):
    data = legato.open_source(sources["grey"])
    assert "310 of shape 1 × 8 × 8, bytes" in repr(data)
    assert "248 train" in html_of(data)
    assert len(repr(data).splitlines()) < 6


def test_the_python_of_its_page_runs_and_prints_what_the_page_shows(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parent.parent / "docs" / "python.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", page, re.S):
        exec(compile(block, "docs/python.md", "exec"), names)
    printed = capsys.readouterr().out
    shown = [line.removeprefix("    ") for line in page.splitlines() if line.startswith("    LatentSpace of")]
    assert shown[0] in printed
    assert "not alike (runs/rows 200 steps of 256; runs/points 100 steps of 256)" in printed
    assert "did you mean `latent_dim`?" in printed


# -------------------------------------------------------------------------------------------------- what completes


def test_the_stub_names_what_the_package_gives_from_where_it_lies():
    stub = ast.parse(Path(legato.__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    named = {alias.name: node.module for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert named == legato._PUBLIC
    assert set(legato.__all__) == {*named, "__version__"}


def test_what_train_takes_by_name_is_what_the_options_are():
    hints = typing.get_type_hints(Chosen)
    own = {name: one for sentence in RECIPES.values() for name, one in options_of(sentence).items()}
    options = {field.name for kind in (TrainingOptions, DataOptions, Words) for field in fields(kind)}
    assert set(hints) == {*options, *own} - {"labels"}
    assert set(typing.get_args(RecipeName)) == set(RECIPES)
    for kind in (TrainingOptions, DataOptions, Words):
        of = typing.get_type_hints(kind)
        assert {name: hints[name] for name in of if name != "labels"} == {name: of[name] for name in of if name != "labels"}
    completed = inspect.signature(legato.train).parameters
    assert {"recipe", "data", "out", "latent_dim", "beta", "minutes", "size", "net"} <= set(completed)


@pytest.mark.parametrize("name", ["load", "train", "evaluate", "compare", "measure", "open_source"])
def test_a_public_function_says_its_arguments_and_what_it_is_for(name):
    function = getattr(legato, name)
    assert inspect.getdoc(function)
    assert "kwargs" not in inspect.signature(function).parameters


def test_every_method_of_a_space_that_a_person_calls_is_held_to_its_signature():
    for name in ("encode", "decode", "reconstruct", "draw", "sample", "interpolate", "traverse", "score", "distortion"):
        hints = typing.get_type_hints(getattr(LatentSpace, name))
        assert "return" in hints
        assert inspect.getdoc(getattr(LatentSpace, name))


# ------------------------------------------------------------------------------------------------------- one word


def test_dimensions_are_called_z0_z1_and_read_back():
    assert [name_of(j) for j in range(3)] == ["z0", "z1", "z2"]
    assert (names_of(1), names_of(32)) == ("z0", "z0 … z31")
    assert [number_of(name) for name in ("z0", "7", " z12 ")] == [0, 7, 12]
    for wrong in ("", "zz1", "-1", "1.5", "z"):
        with pytest.raises(legato.Mistake, match="z0, z1"):
            number_of(wrong)


# ------------------------------------------------------------------------------------------------------- remedies


def test_an_extra_is_installed_from_where_the_package_lies(tmp_path, monkeypatch):
    checkout = Path(legato.__file__).resolve().parents[2]
    monkeypatch.chdir(checkout)
    assert install("onnx").endswith("pip install '.[onnx]'")
    monkeypatch.chdir(tmp_path)
    assert install("umap").endswith(f"pip install '{checkout}[umap]'")
    monkeypatch.setattr("legato.errors.__file__", str(tmp_path / "lib" / "legato" / "errors.py"))  # no checkout around it
    assert install("umap").endswith("pip install 'legato-vae[umap]'")


@pytest.mark.parametrize("path", ["runs/a", "my run", "it's", "-dashed", "$HOME/`x`"])
def test_a_path_in_a_command_is_one_word_that_is_that_path(path):
    (word,) = shlex.split(quoted(path))
    assert Path(word) == Path(path)
    assert not word.startswith("-")
