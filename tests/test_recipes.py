"""One table of all named recipes × kinds of data, one law for each; and recipes as they are named, stored and refused."""

from __future__ import annotations

import inspect
import json
import math
from dataclasses import asdict
from typing import get_args

import pytest
import torch
from torch import Tensor

from legato.definition import Definition, define, find
from legato.errors import Mistake
from legato.families import Homoscedastic
from legato.latents import Flat
from legato.model import LatentVariableModel
from legato.nets import NETS
from legato.objectives import MeanRate
from legato.recipe import RECIPES, Recipe, options_of
from legato.setting import DataSpec, LikelihoodName, NetName, Words
from legato.trace import Given, Trace
from legato.vocabulary import LIKELIHOODS

find("vae")  # fills RECIPES

DATA = {
    "binary": DataSpec((1, 8, 8), "binary", "bernoulli", classes=("no", "yes"), factors=True),
    "bytes": DataSpec((3, 8, 8), "bytes", "discretized-logistic", classes=("no", "yes"), factors=True),
    "reals": DataSpec((6,), "reals", "gaussian", classes=("no", "yes"), factors=True),
}
OF_IMAGES = ("ssim_vae", "hierarchy_vae")
PAIRS = [(name, kind) for name in RECIPES for kind in DATA if name not in OF_IMAGES or kind != "reals"]
LIKENESSES = ("log_cosh_vae", "ssim_vae", "vae_gan")  # whose fidelity is no likelihood
STEPS = 150
TINY = {"latent_dim": 2, "width": 24, "depth": 1}


@pytest.fixture(autouse=True)
def _alone():
    """One thread: the tensors are tiny, and other processes want the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def examples(kind: str, n: int = 64) -> Tensor:
    """(n, *shape): rows that two factors explain, so that there is something to learn."""
    shape = DATA[kind].shape
    mixed = torch.randn(n, 2) @ torch.randn(2, math.prod(shape)) + 0.3 * torch.randn(n, math.prod(shape))
    mixed = mixed.view(n, *shape)
    return {"binary": (mixed > 0).float(), "bytes": (mixed.sigmoid() * 255).round() / 255, "reals": mixed}[kind]


def options(likelihood: str) -> dict[str, object]:
    """The words for one likelihood."""
    return {**TINY, "likelihood": likelihood, **({"scale": 0.3} if likelihood == "fixed-gaussian" else {})}


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


# ---------------------------------------------------------------------------------------------------- one table, one law


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_training_lowers_the_objective_and_every_parameter_has_a_finite_gradient(name, kind):
    made, x = define(name, DATA[kind], **TINY).build(DATA[kind]), examples(kind)
    start = one_loss(made, x, STEPS).item()
    optimiser = torch.optim.Adam(made.model.parameters(), lr=5e-3)
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
    if net in ("conv", "strided") and len(DATA[kind].shape) == 1:
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


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_takes_latent_dim_has_defaults_and_a_short_line_of_help(name):
    own = options_of(RECIPES[name])
    assert "latent_dim" in own
    assert all(p.default is not inspect.Parameter.empty for p in own.values())
    assert not own.keys() & asdict(Words()).keys()  # the shared words are never repeated
    assert 20 < len(inspect.getdoc(RECIPES[name]).splitlines()[0]) < 120
    codes = define(name, DATA["bytes"], latent_dim=5).build(DATA["bytes"]).model.latent.event
    # of two books; of 4 × 4 places
    assert codes[:1] == ({"residual_vq_vae": 10, "hierarchy_vae": 240}.get(name, 5),)


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
