"""Every recipe is told the class by one word, or says why not."""

from __future__ import annotations

import pytest
import torch

from legato.definition import define, find
from legato.errors import Mistake
from legato.priors import GaussianOfEachClass
from legato.recipe import RECIPES
from legato.setting import DataSpec
from legato.trace import Given

find("vae")  # fills RECIPES
DATA = DataSpec((1, 8, 8), "bytes", "discretized-logistic", count=100, classes=("no", "yes"), factors=True)
TINY = {"latent_dim": 3, "width": 8, "depth": 1, "net": "mlp"}
MIXED = ("vamp_vae", "hierarchical_vamp_vae")  # whose prior is made of posteriors
TOLD = [
    name for name in RECIPES if name not in (*MIXED, "hierarchy_vae", "m2_vae")
]  # no class for a hierarchy yet, and no other for what infers it


def build(name: str, condition: str):
    torch.manual_seed(1)
    return define(name, DATA, **TINY, condition=condition).build(DATA)


@pytest.mark.parametrize("name", TOLD)
def test_every_recipe_is_told_the_class_by_one_word(name):
    made, x, label = build(name, "nets"), torch.rand(6, 1, 8, 8), torch.arange(6) % 2
    trace = made.model(x, made.objective.draws, Given(label))
    made.objective(trace, made.objective.at(1, 10)).total.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in made.model.parameters())
    assert made.model.needs_label
    with torch.no_grad():
        code = trace.code[0].detach()
        images = [made.model.eval().of_class(number).decode(code) for number in (0, 1)]
    assert not torch.equal(*images)


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("condition", ["nets", "prior", "both"])
def test_a_prior_made_of_posteriors_is_refused_a_class(name, condition):
    with pytest.raises(Mistake, match="examples without a class"):
        build(name, condition)


@pytest.mark.parametrize("name", TOLD)
def test_a_prior_of_each_class_takes_the_place_of_the_standard_one_and_of_no_other(name):
    plain = build(name, "nothing").model.latent
    if not plain.standard_prior and name not in ("ladder_vae", "conditional_vae"):
        with pytest.raises(Mistake, match="in the place of a prior of its own"):
            build(name, "prior")
        return
    made = build(name, "prior")
    assert [part for part in made.model.latent.modules() if isinstance(part, GaussianOfEachClass)]
    assert made.model.needs_label


def test_data_without_classes_and_words_that_are_none_are_refused():
    with pytest.raises(Mistake, match="needs a label for every row"):
        define("vae", DataSpec((6,), "reals", "gaussian"), condition="nets").build(DataSpec((6,), "reals", "gaussian"))
    with pytest.raises(Mistake, match="did you mean `nets`"):
        build("vae", "net")
