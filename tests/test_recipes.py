"""One table, every recipe × (vectors, 28×28×1, 32×32×3) × all that a model is for; and recipes as they are built and named.

A cell is trained for two steps by `legato.train`, and then asked for everything in turn. Below the table are recipes as they
are built, on smaller data: nets, likelihoods, gradients; and as they are named, stored and refused. A new recipe is in all of
it without a further line; what it refuses, or has to be given, is said in one place, below `DATA`.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import math
import textwrap
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from torch import Tensor

import legato
from legato import checkpoint, recipes
from legato.definition import Definition, define, find
from legato.errors import Mistake, Stopped
from legato.families import Homoscedastic
from legato.latent_space import LatentSpace
from legato.latents import Flat
from legato.measures import evaluate
from legato.model import LatentVariableModel
from legato.nets import NETS
from legato.objectives import MeanRate
from legato.recipe import RECIPES, Recipe, options_of
from legato.run import Run
from legato.setting import DataSpec, LikelihoodName, NetName, Words
from legato.tensors import read_tensors
from legato.trace import Given, Trace
from legato.training.validation import IMAGES
from legato.vocabulary import LIKELIHOODS, SCALED
from made_runs import OF_IMAGES, OF_PAIRS, metrics
from stopped_runs import assert_same, resume, stopping_after

find("vae")  # fills RECIPES

DATA = {
    "binary": DataSpec((1, 8, 8), "binary", "bernoulli", classes=("no", "yes"), factors=True),
    "bytes": DataSpec((3, 8, 8), "bytes", "discretized-logistic", classes=("no", "yes"), factors=True),
    "reals": DataSpec((6,), "reals", "gaussian", classes=("no", "yes"), factors=True),
}
# The one place for exceptions: what a recipe refuses, in its own words; and what it is given beside the words of all.
REFUSED = {(name, "reals"): rf"{said} \(6,\)" for name, said in OF_IMAGES.items()}
GIVEN: dict[str, dict[str, Any]] = {"hierarchy_vae": {"latent_dim": 1}, **{name: {"size": 8} for name in OF_PAIRS}}
LED = ("hamiltonian_vae",)  # whose draws follow a slope, within whatever is asked
FROM_ZERO = ("hierarchy_vae",)  # whose blocks add nothing at the start: what lies within them has no gradient in the first step
PAIRS = [(name, kind) for name in RECIPES for kind in DATA if (name, kind) not in REFUSED]
TAKES = {name: [kind for one, kind in PAIRS if one == name] for name in RECIPES}
IN_TURN = [(name, kinds[i % len(kinds)]) for i, (name, kinds) in enumerate(TAKES.items())]
OF_PLACES = ("tokenizer_kl", "tokenizer_vq", "tokenizer_fsq")  # whose codes are images
LIKENESSES = ("log_cosh_vae", "ssim_vae", "vae_gan")  # whose fidelity is no likelihood
STEPS = 80
TINY = {"latent_dim": 2, "width": 24, "depth": 1}


pytestmark = pytest.mark.usefixtures("alone")


def examples(kind: str, n: int = 64) -> Tensor:
    """(n, *shape): rows that two factors explain, so that there is something to learn."""
    shape = DATA[kind].shape
    mixed = torch.randn(n, 2) @ torch.randn(2, math.prod(shape)) + 0.3 * torch.randn(n, math.prod(shape))
    mixed = mixed.view(n, *shape)
    return {"binary": (mixed > 0).float(), "bytes": (mixed.sigmoid() * 255).round() / 255, "reals": mixed}[kind]


def options(likelihood: str) -> dict[str, object]:
    """The words for one likelihood."""
    return {**TINY, "likelihood": likelihood, **({"scale": 0.3} if likelihood in SCALED else {})}


def one_loss(made: Recipe, x: Tensor, step: int = 1) -> Tensor:
    """The objective at `step` of STEPS, with the same draws each time."""
    torch.manual_seed(5)
    return made.objective(traced(made, x), made.objective.at(step, STEPS)).total


def traced(made: Recipe, x: Tensor) -> Trace:
    """A pass with the draws that the objective asks for, each other example of the second class."""
    return made.model(x, made.objective.draws, Given(torch.arange(len(x)) % 2))


def of_a_class(model: LatentVariableModel) -> LatentVariableModel:
    """The model; of one that is told classes, that of the second."""
    return model.of_class(1) if model.classes else model


# ------------------------------------------------------------------- the table: trained, resumed, and asked for everything

SIZES = {"reals": (6,), "binary": (1, 28, 28), "bytes": (3, 32, 32)}
SMALL = {"latent_dim": 3, "width": 8, "depth": 1, "batch_size": 16, "steps": 2, "device": "cpu", "threads": 1}
TABLE = [
    pytest.param((name, kind), id=f"{name}-{'x'.join(map(str, SIZES[kind]))}") for name, kind in PAIRS if name not in OF_PAIRS
]
TABLE += [pytest.param((name, "factors"), id=f"{name}-factors") for name in OF_PAIRS]  # the one source of such pairs
ROWS = 60


@dataclass(frozen=True)
class Cell:
    """A recipe on one kind of data, trained for two steps. `space`: of the second class where it is told classes."""

    name: str
    source: str
    run: Path
    space: LatentSpace
    x: np.ndarray

    def train(self, out: Path) -> LatentSpace:
        return trained_on(self.name, self.source, out)

    def load(self) -> LatentSpace:
        return of_class(legato.load(self.run, device="cpu"))

    @cached_property
    def asked(self) -> dict[str, np.ndarray]:
        return asked(self.space, self.x)


def trained_on(name: str, source: str, out: Path) -> LatentSpace:
    return legato.train(name, source, out, **{**SMALL, **GIVEN.get(name, {})})


def of_class(space: LatentSpace) -> LatentSpace:
    return space.of_class("1") if space.classes else space


def asked(space: LatentSpace, x: np.ndarray) -> dict[str, np.ndarray]:
    """What people ask of a model, of some rows: all that must not depend on where it comes from."""
    mu, sigma = space.encode(x)
    found = {"mu": mu, "sigma": sigma, "decoded": space.decode(mu), "sampled": space.sample(3, seed=1)}
    found |= {"reconstructed": space.reconstruct(x), "distortion": space.distortion(x)}
    return found | ({} if space.recipe.no_likelihood else {"score": space.score(x, k=2, seed=1)})


def assert_equal(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    assert [key for key in one if not np.array_equal(one[key], other[key])] == []


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    """A file of each kind, 60 rows of two classes."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    for kind, shape in SIZES.items():
        values = rng.normal(size=(ROWS, 2)) @ rng.normal(size=(2, math.prod(shape)))
        pixels = (40 * values + 128).clip(0, 255).astype(np.uint8)
        rows = {"reals": values, "binary": (values > 0).astype(np.uint8), "bytes": pixels}[kind].reshape(ROWS, *shape)
        np.savez(folder / f"{kind}.npz", **{"x" if len(shape) == 1 else "images": rows, "labels": np.arange(ROWS) % 2})
    return {"factors": "factors", **{kind: str(folder / f"{kind}.npz") for kind in SIZES}}


@pytest.fixture(scope="module", params=TABLE)
def cell(request, files, tmp_path_factory) -> Cell:
    """One cell of the table, trained once for all that is asked of it."""
    name, kind = request.param
    out = tmp_path_factory.mktemp("cell") / "run"
    space = of_class(trained_on(name, files[kind], out))
    return Cell(name, files[kind], out, space, np.asarray(space.data().dataset.rows)[:12])


def test_two_steps_are_trained_and_told_and_move_every_weight(cell):
    """Both steps are taken and told of, no figure is left out, and every weight that is learnt has moved between them."""
    lines = [line for line in metrics(cell.run) if "train" in line]
    objective = cell.space.recipe.objective
    assert [(line["step"], line["skipped"]) for line in lines] == [(1, 0), (2, 0)]
    for line in lines:
        assert list(line["train"]) == [term.name for term in objective.terms]
        assert list(line.get("players", {})) == [player.name for player in objective.players]
        assert all(math.isfinite(value) for value in (*line["train"].values(), *line.get("players", {}).values()))
    first, second = map(read_tensors, Run(cell.run).kept_snapshots().values())
    still = [name for name, _ in cell.space.model.named_parameters() if torch.equal(first[name], second[name])]
    assert still == [] or cell.name in FROM_ZERO


def test_resume_is_bit_for_bit_the_run_that_was_never_stopped(cell, tmp_path, capsys):
    """Weights, averages, moments, critics, codebooks, multipliers, files and metrics: `stopped_runs.all_of`."""
    with stopping_after(1), pytest.raises(Stopped):
        cell.train(tmp_path / "r")
    assert resume(tmp_path / "r") == 0
    assert "at step 1 of 2" in capsys.readouterr().out
    assert_same(tmp_path / "r", cell.run)


def test_samples_are_as_many_as_were_asked_for_and_the_same_for_a_seed(cell):
    """As many as were asked for, of the data's shape and, but for a Gaussian's mean, range; the same for a seed."""
    space = cell.space
    first, again, other = (space.sample(5, seed=seed) for seed in (1, 1, 2))
    assert first.shape == (5, *space.shape)
    assert np.isfinite(first).all()
    if not isinstance(space.model.likelihood.family, Homoscedastic):
        assert 0 <= first.min() <= first.max() <= 1
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_codes_are_deterministic_complete_in_order_and_without_a_graph(cell):
    """Deterministic, every row, in their order, whatever is beside it, and without a graph."""
    space, x = cell.space, cell.x
    graphs: list[bool] = []
    hooks = [
        part.register_forward_hook(lambda *_: graphs.append(torch.is_grad_enabled())) for part in space.model.latent.modules()
    ]
    mu, sigma = space.encode(x)
    for hook in hooks:
        hook.remove()
    assert mu.shape == sigma.shape == (len(x), space.latent_dim)
    assert mu.dtype == sigma.dtype == np.float32
    assert (sigma > 0).all() == space.has_width
    assert (sigma == 0).all() == (not space.has_width)
    assert all(np.array_equal(one, other) for one, other in zip(space.encode(x), (mu, sigma), strict=True))
    order = np.random.default_rng(0).permutation(len(x))
    for found, expected in zip(space.encode(x[order]), (mu, sigma), strict=True):
        assert np.allclose(found, expected[order], rtol=1e-4, atol=1e-5)
    assert np.array_equal(space.reconstruct(x), space.decode(mu))
    assert set(graphs) == {False} or cell.name in LED


def test_what_is_saved_is_the_moving_average_to_the_bit(cell):
    """What lies on the disk is the moving average of the last step to the bit, and the sentence that builds it again."""
    run, newest = Run(cell.run), checkpoint.existing(cell.run / "checkpoint")[-1]
    tensors = checkpoint.read(newest).tensors
    average = {name.removeprefix("average."): tensor for name, tensor in tensors.items() if name.startswith("average.")}
    saved = read_tensors(run.model)
    assert newest.name == "step-000000002"
    assert saved.keys() == average.keys() == cell.space.model.state_dict().keys()
    assert all(torch.equal(saved[name], average[name]) for name in saved)
    assert Definition.from_json(run.stored("recipe")) == cell.space.definition


def test_what_is_loaded_gives_what_training_left(cell):
    """What is loaded gives, in every use, what the model gave that training left in memory."""
    assert_equal(asked(cell.load(), cell.x), cell.asked)


def test_a_deep_copy_gives_the_same_and_is_another(cell):
    """A copy gives the same, and is another: what is done to its weights is not done to the first."""
    loaded = copy.deepcopy(cell.space)
    assert_equal(asked(loaded, cell.x), cell.asked)
    loaded.model.requires_grad_(True)
    loaded.model(torch.from_numpy(loaded.prepare(cell.x))).log_px.sum().backward()  # a graph that was used leaves no trace
    loaded.model.zero_grad()
    twin = copy.deepcopy(loaded.model).requires_grad_(False)
    for weight in loaded.model.parameters():
        weight.data.add_(1)
    loaded.model = twin
    assert_equal(asked(loaded, cell.x), cell.asked)


def test_evaluation_is_at_beta_one_with_every_figure_or_why_there_is_none(cell):
    """Every figure or why there is none; the ELBO at β = 1, and what validation told while training."""
    found = evaluate(cell.run, split="validation", k=2)
    told = [line["validation"] for line in metrics(cell.run) if "validation" in line][-1]
    for figure in ("elbo", "rate", "distortion", "nll", "bits_per_dim"):
        assert (found[figure]["value"] is None) == ("why" in found[figure])
        assert found[figure]["value"] is None or math.isfinite(found[figure]["value"])
    if not cell.space.has_density:
        assert found["distortion"]["value"] == pytest.approx(told["distortion"], rel=1e-5)
        assert told["elbo"] is found["elbo"]["value"] is None
        return
    elbo, rate, distortion = (found[key]["value"] for key in ("elbo", "rate", "distortion"))
    if cell.space.recipe.no_likelihood:
        assert told["elbo"] is elbo is None
    else:
        assert elbo == pytest.approx(-(rate + distortion))
    if found["rate"]["n"] > IMAGES:  # a validation while training looks at fewer
        return
    if not cell.space.model(torch.from_numpy(cell.space.prepare(cell.x))).rate_varies:
        assert rate == pytest.approx(told["rate"], rel=1e-4)


@pytest.mark.parametrize(("name", "kind"), REFUSED)
def test_what_a_recipe_refuses_is_one_line_before_anything_is_trained(name, kind, files, tmp_path):
    with pytest.raises(Mistake, match=REFUSED[name, kind]) as refusal:
        trained_on(name, files[kind], tmp_path / "r")
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "r").exists()


# ------------------------------------------------------------------------------------------------- recipes as they are built


@pytest.mark.parametrize(("name", "kind"), IN_TURN)
def test_training_lowers_the_objective_and_every_parameter_has_a_finite_gradient(name, kind):
    made, x = define(name, DATA[kind], **TINY).build(DATA[kind]), examples(kind)
    start = one_loss(made, x, STEPS).item()
    optimiser = torch.optim.Adam(made.model.parameters(), lr=8e-3)
    for step in range(STEPS):
        optimiser.zero_grad()
        loss = made.objective(traced(made, x), made.objective.at(step, STEPS)).total
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in made.model.parameters())
        optimiser.step()
    end = one_loss(made, x, STEPS).item()
    if name == "vae_gan":  # its distances lie in a critic's features, not in nats for each value
        assert end < 0.6 * start
        return
    # Nats per value: 0.05 each is far above the draws' noise, and far below what two factors explain.
    assert start - end > 0.05 * x[0].numel()
    assert end < start - 0.05 * abs(start)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@pytest.mark.parametrize("net", NETS)
def test_every_net_works_with_every_recipe(name, net, kind):
    # of `diffusers` both sides are images
    of_images = (net in ("conv", "strided") and len(DATA[kind].shape) == 1) or (net == "diffusers" and name not in OF_PLACES)
    if of_images and name not in FROM_ZERO:
        with pytest.raises(Mistake, match=f"`{net}` needs images"):
            define(name, DATA[kind], **TINY, net=net).build(DATA[kind])
        return
    made, x = define(name, DATA[kind], **{**TINY, "width": 4}, net=net).build(DATA[kind]), examples(kind, 4)
    one_loss(made, x).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.model.parameters())
    model = of_a_class(made.model.eval())
    assert model.reconstruct(x).shape == model.sample(4).shape == x.shape


@pytest.mark.parametrize(("name", "kind"), PAIRS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_works_with_every_recipe_or_is_refused_for_such_data(name, likelihood, kind):
    data = DATA[kind]
    definition = define(name, data, **options(likelihood))
    if name in LIKENESSES and likelihood in ("gaussian", "student-t"):
        with pytest.raises(Mistake, match="nothing in this objective would teach the likelihood its scale"):
            definition.build(data)
        return
    if kind in LIKELIHOODS[likelihood][1]:
        loss = one_loss(definition.build(data), examples(kind, 4))
        assert loss.isfinite()
        loss.backward()
        return
    with pytest.raises(Mistake, match=f"`{likelihood}` is no likelihood of") as refusal:
        definition.build(data)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith("fits")


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(("word", "value"), [("width", 7), ("depth", 3), ("depth", 0)])
def test_width_and_depth_reach_both_nets_of_every_recipe(name, word, value):
    def count(**words) -> list[int]:
        model = define(name, DATA["bytes"], **{**TINY, **words}).build(DATA["bytes"]).model
        return [sum(p.numel() for p in side.parameters()) for side in (model.latent, model.likelihood)]

    assert all(a != b for a, b in zip(count(), count(**{word: value}), strict=True))


def test_a_named_model_is_a_few_lines():
    """A sentence, not a folder: whoever needs a fifth statement lacks a word of the grammar."""
    files = [*Path(recipes.__file__).parent.glob("*.py")]
    assert sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files) <= 900
    for name, sentence in RECIPES.items():
        (body,) = (one.body for one in ast.parse(textwrap.dedent(inspect.getsource(sentence))).body)
        assert len(body) - 1 <= 4, name  # beside the docstring


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_latent_dim_has_defaults_and_a_short_line_of_help(name):
    own = options_of(RECIPES[name])
    assert "latent_dim" in own
    assert all(p.default is not inspect.Parameter.empty for p in own.values())
    assert not own.keys() & asdict(Words()).keys()  # the shared words are never repeated
    assert 20 < len(inspect.getdoc(RECIPES[name]).splitlines()[0]) < 120
    codes = define(name, DATA["bytes"], latent_dim=5).build(DATA["bytes"]).model.latent.event
    # of two books; of 4 × 4 places
    assert codes[:1] == ({"residual_vq_vae": 10, "hierarchy_vae": 80}.get(name, 5),)


def test_by_default_no_likelihood_has_a_fixed_scale():
    # σ = 1 on pixels of 0 … 1 is noise beyond the data, blur and collapse.
    for name, kind in PAIRS:
        data = DATA[kind]
        assert define(name, data).words.likelihood != "fixed-gaussian"
        family = define(name, data, **TINY).build(data).model.likelihood.family
        assert not isinstance(family, Homoscedastic) or family.how in ("learned", "solved")


def test_autoencoder_and_vae_differ_by_a_point_and_a_rate_alone():
    made = {name: define(name, DATA["binary"], **TINY).build(DATA["binary"]) for name in RECIPES}
    terms = {name: [term.name for term in each.objective.terms] for name, each in made.items()}
    assert terms["autoencoder"] == terms["noisy_autoencoder"] == terms["fixed_noise_autoencoder"] == ["distortion"]
    assert terms["mean_only_vae"] == ["distortion", "rate of the mean"]
    assert terms["vae"] == terms["beta_vae"] == terms["warmup_vae"] == terms["sigma_vae"] == ["distortion", "rate"]
    assert terms["pulled_autoencoder"] == ["distortion", "pull"]
    points = {name for name, each in made.items() if not each.model.latent.has_density}
    assert points == {
        "autoencoder",
        "pulled_autoencoder",
        "wae_mmd",
        "swae",
        "wae_gan",
        "rae_l2",
        "rae_gp",
        "rae_sn",
        "topk_autoencoder",
    }
    assert made["pulled_autoencoder"].objective.at(0, 10) == [1.0, 1.0]
    assert not made["pulled_autoencoder"].objective.charges_rate
    assert made["vae"].objective.at(0, 10) == made["sigma_vae"].objective.at(0, 10) == [1.0, 1.0]
    assert made["beta_vae"].objective.at(0, 10) == [1.0, 4.0]
    assert [made["warmup_vae"].objective.at(step, 100)[1] for step in (0, 5, 25, 99)] == [0.0, 0.2, 1.0, 1.0]


# ------------------------------------------------------------------------------------------------ named, stored, refused


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_a_definition_survives_json_and_builds_the_same_model(name, kind):
    data = DATA[kind]
    definition = define(name, data, **TINY)
    stored = json.loads(json.dumps(definition.to_json()))
    assert Definition.from_json(stored) == definition
    assert stored["recipe"] == name
    assert stored["latent_dim"] == 2
    twins = []
    for each in (definition, Definition.from_json(stored)):
        torch.manual_seed(7)
        twins.append(one_loss(each.build(data), examples(kind, 4)))
    assert torch.equal(*twins)


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_nothing_is_left_to_a_later_default_in_what_is_stored(name, kind):
    stored = define(name, DATA[kind]).to_json()
    assert stored.keys() == {"recipe", *options_of(RECIPES[name]), *asdict(Words())}
    assert "auto" not in stored.values()
    assert [word for word, value in stored.items() if value is None] == ["latent_shape", "scale"]


def test_sigma_vae_solves_its_scale_unless_another_likelihood_is_named():
    assert define("sigma_vae", DATA["bytes"]).words.likelihood == "optimal-gaussian"
    assert define("sigma_vae", DATA["bytes"], likelihood="gaussian").words.likelihood == "gaussian"
    assert define("vae", DATA["bytes"]).words.likelihood == "discretized-logistic"


@pytest.mark.parametrize(
    ("name", "chosen", "sentence"),
    [
        ("vea", {}, "no recipe is named `vea`: did you mean `vae`?"),
        ("vae", {"latent_dims": 3}, "no option of `vae` is named `latent_dims`: did you mean `latent_dim`?"),
        ("vae", {"likelihod": "gaussian"}, "did you mean `likelihood`?"),
        ("autoencoder", {"beta": 2.0}, "no option of `autoencoder` is named `beta`"),
        ("vae", {"net": "convs"}, "no net is named `convs`: did you mean `conv`?"),
        ("vae", {"likelihood": "bernouli"}, "no likelihood is named `bernouli`: did you mean `bernoulli`?"),
    ],
)
def test_an_unknown_recipe_option_or_word_names_the_nearest(name, chosen, sentence):
    with pytest.raises(Mistake) as refusal:
        define(name, DATA["reals"], **chosen)
    assert sentence in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("chosen", "sentence"),
    [
        ({"latent_dim": 0}, "`latent_dim` must be 1 or more, got 0"),
        ({"width": 0}, "`width` must be 1 or more, got 0"),
        ({"depth": -1}, "`depth` must be 0 or more, got -1"),
        ({"likelihood": "bernoulli"}, "`bernoulli` is no likelihood of real numbers: .*; `gaussian` fits"),
        ({"likelihood": "fixed-gaussian"}, "`fixed-gaussian` needs its standard deviation"),
        ({"scale": 0.1}, "`scale` belongs to `fixed-gaussian`"),
        ({"beta": -1.0}, "the weight of `rate` must be a finite number, 0 or more, got -1.0"),
    ],
)
def test_an_option_out_of_range_is_refused_when_the_recipe_is_built(chosen, sentence):
    with pytest.raises(Mistake, match=sentence):
        define("vae", DATA["reals"], **chosen).build(DATA["reals"])


def test_the_words_that_may_be_said_are_the_words_that_are_understood():
    assert set(get_args(LikelihoodName)) == {"auto", *LIKELIHOODS}
    assert set(get_args(NetName)) == {"auto", *NETS}


OWN = """
from legato.objectives import ImportanceWeighted
from legato.recipe import Recipe
from legato.vocabulary import flat


def tiny(data, latent_dim=2, k=3):
    return Recipe(flat(data, latent_dim), 1.0 * ImportanceWeighted(k))


number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module of one's own in the folder where one stands."""
    (tmp_path / "my_sentences.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.mark.usefixtures("own")
def test_a_sentence_of_ones_own_is_defined_stored_and_built():
    definition = define("my_sentences:tiny", DATA["reals"], k=5, width=8)
    assert definition.to_json()["recipe"] == "my_sentences:tiny"
    made = Definition.from_json(definition.to_json()).build(DATA["reals"], module="my_sentences")
    assert made.objective.draws == 5
    assert isinstance(made.model.latent, Flat)
    assert one_loss(made, examples("reals", 4)).isfinite()
    assert define(find("my_sentences:tiny", "my_sentences"), DATA["reals"], k=5, width=8) == definition


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize("named", [None, "another_module", "my_sentences:tiny"])
def test_code_of_ones_own_is_imported_only_where_its_module_is_named(named, monkeypatch):
    monkeypatch.setattr("importlib.import_module", lambda *_: pytest.fail("imported"))
    with pytest.raises(Mistake, match="name its module to allow its import"):
        Definition("my_sentences:tiny", {"latent_dim": 2}, Words()).build(DATA["reals"], module=named)


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("no_such_module:tiny", "no module named `no_such_module`"),
        ("my_sentences:tinny", "`my_sentences` has no function `tinny`"),
        ("my_sentences:number", "`my_sentences` has no function `number`"),
    ],
)
def test_a_sentence_that_is_not_there_is_refused_with_one_line(name, sentence):
    with pytest.raises(Mistake, match=sentence) as refusal:
        define(name, DATA["reals"])
    assert "\n" not in str(refusal.value)


def test_the_rate_of_the_mean_is_what_the_kl_charges_for_the_mean_and_its_gradient_by_sigma_is_zero():
    made, x = define("mean_only_vae", DATA["binary"], **TINY).build(DATA["binary"]), examples("binary")
    trace = made.model(x)
    q = trace.rungs[0].q
    sigma = q.stddev
    assert torch.allclose(MeanRate()(trace), trace.kl - 0.5 * (sigma**2 - 1 - 2 * sigma.log()).sum(1), atol=1e-5)
    by_mean, by_sigma = torch.autograd.grad(MeanRate()(trace).sum(), [q.base_dist.loc, q.base_dist.scale], allow_unused=True)
    assert torch.allclose(by_mean, q.mean)
    assert by_sigma is None


def test_noise_that_is_fixed_is_that_noise_in_training_and_in_evaluation():
    made, x = define("fixed_noise_autoencoder", DATA["binary"], **TINY, noise=0.7).build(DATA["binary"]), examples("binary")
    assert not made.objective.charges_rate
    for model in (made.model.train(), made.model.eval()):
        assert torch.equal(model.latent.posterior(x).stddev, torch.full((len(x), 2), 0.7))
