"""What a recipe cannot: the page's table is what the commands do, recipe by recipe; a model without a log p(x) says so."""

from __future__ import annotations

from typing import Any

import cannot_pages
import numpy as np
import pytest
import torch

import legato
from legato.data import DataOptions
from legato.data.sources import open_source
from legato.definition import find
from legato.errors import Mistake
from legato.exported.pair import encoder_bytes
from legato.exported.parts import parts
from legato.latent_space import LatentSpace
from legato.measures.comparison import per_example
from legato.measures.estimate import Estimate
from legato.measures.gradients import model_estimators
from legato.measures.known import MEASURES
from legato.measures.likelihood import score
from legato.measures.scorecard import OF_LIKELIHOOD, _figures, likely
from legato.recipe import NO_LIKELIHOOD, RECIPES, Recipe
from legato.survey import _of_own_prior
from legato.training.fitting import space_of
from legato.training.options import TrainingOptions, plan
from legato.training.task import defined, learner_of
from legato.unsaved import Unsaved
from made_runs import OF_PAIRS

find("vae")  # fills RECIPES

TINY: dict[str, Any] = {"width": 8, "depth": 1}
GREY = np.random.default_rng(0).integers(0, 256, (24, 1, 8, 8)).astype(np.uint8)
LIKENESSES = {"vae_gan", "log_cosh_vae", "ssim_vae"}
POINTS = {"autoencoder", "pulled_autoencoder", "wae_mmd", "swae", "wae_gan", "rae_l2", "rae_gp", "rae_sn", "topk_autoencoder"}


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, str]]:
    return cannot_pages.table()


def untrained(name: str) -> LatentSpace:
    """The recipe at starting weights, for small grey pictures of two classes; of one that is told classes, the first's."""
    in_pairs = name in OF_PAIRS
    dataset = open_source(*(("factors", DataOptions(size=8)) if in_pairs else (GREY, DataOptions(), np.arange(len(GREY)) % 2)))
    definition, data = defined(name, dataset, TINY)
    made = plan(TrainingOptions(steps=2, batch_size=8), 2, 8)
    learner = learner_of(made, definition, data, torch.device("cpu"), None)
    files = {"recipe": definition.to_json(), "data": data.to_json(), "training": {**made.to_json(), "total": 2}}
    space = space_of(Recipe(learner.average, learner.objective), data.preparation, Unsaved(files, [], {}))
    return space.of_class("0") if space.classes else space


def refused(ask) -> str | None:
    """The sentence that a call is refused with."""
    try:
        ask()
    except Mistake as mistake:
        return str(mistake)
    return None


@pytest.mark.parametrize("name", RECIPES)
def test_the_table_says_what_the_commands_say(name, table):
    space = untrained(name)
    likelihood, rate, temperature, forces, beside, led, sigma, *_ = table.values()
    assert refused(lambda: space.score(GREY[:2], k=2)) == likelihood.get(name)
    assert refused(lambda: space.draw(2, origin="prior", temperature=0.5)) == temperature.get(name)

    assert space.model.latent.portable or refused(lambda: encoder_bytes(space)) == led.get(name)
    assert (name in led) == (not space.model.latent.portable)
    assert (parts(space)[0].found == ("mu",)) == (name in sigma)

    x = torch.from_numpy(space.prepare(GREY[:4]))
    assert refused(lambda: model_estimators(space.model, x, draws=2)) == forces.get(name)
    figures = _figures(space, likely(space, score(space.model, [x], 2)), 2)
    assert figures["rate"].get("why") == rate.get(name)
    for key in ("elbo", "nll"):
        # an autoencoder's reason is told once, of all that it lacks
        assert figures[key].get("why") == (rate.get(name) or likelihood.get(name))
    assert (figures["distortion"]["value"] is None) is False

    one = Estimate(1.0, 0.9, 1.1, 4, "nats", "m")
    key = next(key for key, measure in MEASURES.items() if "standard prior" in measure.needs)
    shown = {key: one} if space.has_standard_prior else _of_own_prior({key: one})
    assert shown[key].why == beside.get(name)


def test_every_recipe_gives_and_takes_codes_and_log_p_z():
    """What is in no line of the table: by float32 nets, of codes in double precision."""
    for name in RECIPES:
        space = untrained(name)
        mu, sigma = space.encode(GREY[:3])
        assert mu.shape == sigma.shape == (3, space.latent_dim)
        drawn = space.draw(3, origin="prior")
        assert space.decode(drawn).shape == space.reconstruct(GREY[:3]).shape == (3, 1, 8, 8)
        assert np.isfinite(space.log_prior(drawn)).all(), name
        assert len(space.interpolate(mu[:2], steps=3)) == 3


def test_who_is_in_the_table_is_who_has_such_a_part(table):
    likelihood, rate, *_ = table.values()
    assert set(rate) == POINTS
    assert set(likelihood) == POINTS | LIKENESSES
    assert {name for name, why in likelihood.items() if why == NO_LIKELIHOOD} == LIKENESSES
    assert set(table["figures beside N(0, I): `measure`, `claims`"].values()) == {"the prior is not N(0, I)"}
    assert all("\n" not in why for found in table.values() for why in found.values())
    page = cannot_pages.page()
    assert all(f"[`{name}`]({name}.md)" in page for found in table.values() for name in found)


def test_a_validation_tells_an_elbo_where_there_is_a_likelihood():
    """`sigma_vae` has the same likelihood as `log_cosh_vae`, and is trained for it."""
    vectors = np.random.default_rng(0).standard_normal((40, 4))
    for name, kind, known in (("sigma_vae", legato.VAE, True), ("log_cosh_vae", legato.Autoencoder, False)):
        fitted = kind(name, latent_dim=2, steps=2, threads=1, random_state=0, **TINY).fit(vectors)
        (line,) = fitted.space_.kept.read_metrics()
        assert (line["validation"]["elbo"] is not None) == known
        assert line["validation"]["rate"] is not None


@pytest.mark.parametrize("name", sorted(LIKENESSES))
def test_a_likeness_is_reported_as_no_likelihood(name):
    """Its rate and its distortion are; no bound on log p(x), in no place that gives one."""
    space = untrained(name)
    with pytest.raises(Mistake) as told:
        space.score(GREY[:2], k=3)
    assert str(told.value) == NO_LIKELIHOOD
    found = likely(space, score(space.model, [torch.from_numpy(space.prepare(GREY))], 3))
    figures = _figures(space, found, 3)
    assert figures["rate"]["value"] is not None
    assert all(figures[key]["value"] is None and figures[key]["why"] == NO_LIKELIHOOD for key in OF_LIKELIHOOD)
    assert figures["trust"] == NO_LIKELIHOOD
    assert list(per_example(found)) == ["distortion", "rate"]
    vectors = np.random.default_rng(0).standard_normal((40, 4))
    if name != "ssim_vae":
        with pytest.raises(Mistake, match=rf"legato.Autoencoder\(recipe='{name}'\)"):
            legato.VAE(name, latent_dim=2, steps=2, **TINY).fit(vectors)
