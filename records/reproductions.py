"""Published figures, reproduced as far as one shared core reaches: ours, and Pythae's own model at equal steps.

    PYTHONPATH=FOLDER python records/reproductions.py [--only NAME ...] [--steps N] [--digits N] [--k K] [--out FOLDER]
    python records/reproductions.py --page         writes records/reproductions.md anew from records/reproductions/*.json

FOLDER is where Pythae 0.1.2 lies, unless it is installed beside Legato. Each record is a line of `RECORDS`. Its models are
trained one after the other on one thread, ours by the step of `legato train`, Pythae's by the same optimiser, rates and moving
average, from the same weights, on the same batches; and scored by one estimator on the same pixels. What has been scored lies
in records/reproductions/NAME.json, so that a further call goes on with what is missing. `--steps`, `--digits` or `--k` make a
trial, whose JSON goes to `--out`: `python records/reproductions.py --steps 20 --only vae` takes a minute.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from reproduced_measures import MEASURES, Sample
from reproduced_peers import around, as_ours, of_flow, ours, trained
from trials import processor

from legato import __version__
from legato.data import open_source
from legato.data.batches import TrainingBatches
from legato.data.dataset import Dataset
from legato.data.options import DataOptions
from legato.data.preparation import Preparation, uniform_bytes
from legato.definition import define
from legato.devices import drawing, generators_kept, using_threads
from legato.files import write_json
from legato.recipe import Recipe
from legato.setting import DataSpec
from legato.training.learner import Learner
from legato.training.options import Plan

HERE = Path(__file__).parent
KEPT = HERE / "reproductions"
CPU = torch.device("cpu")
RATE, WARMUP = 1e-3, 200
FIXED = 20160101  # the seed of our one fixed draw of the training pixels
BURDA = {"width": 200, "depth": 2, "latent_dim": 50}
BURDA_SOURCE = "Burda et al. 2016, https://arxiv.org/abs/1509.00519, table 1"
PYTHAE_SOURCE = "Pythae's table of reproductions"
LADDER_SOURCE = "Sønderby et al. 2016, https://arxiv.org/abs/1602.02282, table 1"
OTHER_DENSITY = "not scored: its posterior's density is Pythae's own code, which nothing of ours can check"
Heard = Callable[[int], None]


@dataclass(frozen=True)
class Model:
    """A recipe with options and words, and Pythae's class with its own; or `why` there is none beside it."""

    recipe: str
    options: dict[str, Any]
    published: str = ""
    peer: str | None = None
    peer_options: dict[str, Any] = field(default_factory=dict)
    why: str = ""
    nets: str = ""  # the recipe whose networks Pythae's class is put around, where they are not this one's


@dataclass(frozen=True)
class Record:
    """A published figure and the models that are trained for it. `digits`: test examples that are scored with all draws."""

    name: str
    title: str
    source: str
    steps: int
    models: tuple[Model, ...]
    measure: str = "nll"
    data: str = "mnist"
    binarisation: str = "drawn"  # or "fixed", one draw of the training pixels; "none", grey levels
    digits: int = 300
    batch: int = 100
    seeds: tuple[int, ...] = (0,)


def _pythae_table(name: str, title: str, steps: int, model: Model, binarisation: str, **others: int) -> Record:
    return Record(name, title, PYTHAE_SOURCE, steps, (model,), binarisation=binarisation, **others)


PAIR = {"width": 512, "depth": 2, "latent_dim": 16}
FLOWS = {"width": 200, "depth": 2, "latent_dim": 32}
SHAPES = {"width": 400, "depth": 2, "latent_dim": 10}
RECORDS = (
    Record("vae", "VAE, 784-200-200-50", BURDA_SOURCE, 12_000, (Model("vae", BURDA, "86.76", "VAE"),), digits=1000),
    Record("iwae-5", "IWAE, k = 5, 784-200-200-50", BURDA_SOURCE, 3_000,
           (Model("iwae", {**BURDA, "k": 5}, "85.54", "IWAE", {"number_samples": 5}),)),
    Record("iwae-50", "IWAE, k = 50, 784-200-200-50", BURDA_SOURCE, 1_500,
           (Model("iwae", {**BURDA, "k": 50}, "84.78", "IWAE", {"number_samples": 50}),), batch=20),
    _pythae_table("pythae-svae", "SVAE, sphere of 10 dimensions, 784-256-256-11", 3_000,
                  Model("vmf_vae", {"width": 256, "depth": 2, "latent_dim": 11}, "93.13", why=OTHER_DENSITY), "drawn"),
    _pythae_table("pythae-poincare", "Poincaré VAE, wrapped normal, 784-600-5", 3_000,
                  Model("poincare_vae", {"width": 600, "depth": 1, "latent_dim": 5}, "101.66", why=OTHER_DENSITY), "drawn"),
    Record("ladder", "Ladder of two rungs, 8 latents above 32", LADDER_SOURCE, 3_000,
           (Model("ladder_vae", {"width": 512, "depth": 2, "latent_dim": 40, "top": 0.2}, "81.74",
                  why="Pythae has no ladder"),)),
    Record("iaf", "The gain of an inverse autoregressive flow", "Kingma et al. 2016, https://arxiv.org/abs/1606.04934, table 1",
           3_000, (Model("vae", FLOWS, "84.08 (bound)", "VAE"),
                   Model("iaf_vae", {**FLOWS, "transforms": 2}, "80.80 (bound)", "VAE_IAF",
                         {"n_made_blocks": 2, "n_hidden_in_made": 2, "hidden_size": 64}, nets="vae"))),
    Record("rae", "RAE-L2 against the VAE by Fréchet distance",
           "Ghosh et al. 2020, https://arxiv.org/abs/1903.12436, table 1", 2_000,
           (Model("vae", {**PAIR, "likelihood": "gaussian"}, "17.66", "VAE", {"reconstruction_loss": "mse"}),
            Model("rae_l2", {**PAIR, "likelihood": "fixed-gaussian", "scale": 0.5**0.5}, "8.69", "RAE_L2",
                  {"embedding_weight": 0.1, "reg_weight": 0.002})),
           measure="frechet", binarisation="none"),
    _pythae_table("pythae-vae", "VAE, 784-400-40", 3_000,
                  Model("vae", {"width": 400, "depth": 1, "latent_dim": 40}, "89.78", "VAE"), "fixed"),
    _pythae_table("pythae-vamp", "VampPrior, 500 pseudo-inputs, 784-300-300-40", 2_000,
                  Model("vamp_vae", {"width": 300, "depth": 2, "latent_dim": 40, "components": 500}, "85.79", "VAMP",
                        {"number_components": 500}), "fixed"),
    _pythae_table("pythae-hvae", "HVAE, 4 leapfrog steps, 784-300-64", 800,
                  Model("hamiltonian_vae", {"width": 300, "depth": 1, "latent_dim": 64, "leaps": 4}, "86.21",
                        why=OTHER_DENSITY), "fixed", digits=100),
    Record("tc", "MIG of β-TC against β-VAE, β = 6", "Chen et al. 2018, https://arxiv.org/abs/1802.04942, figure 3", 1_000,
           (Model("beta_vae", {**SHAPES, "beta": 6.0}, "lower at every β", "BetaVAE", {"beta": 6.0}),
            Model("beta_tc_vae", {**SHAPES, "beta": 6.0}, "higher at every β", "BetaTCVAE", {"beta": 6.0})),
           measure="mig", data="factors", seeds=(0, 1, 2)),
    _pythae_table("pythae-miwae", "MIWAE, 8 bounds of 8 draws, 784-200-200-50", 3_000,
                  Model("miwae", {**BURDA, "m": 8, "k": 8}, "85.09", "MIWAE",
                        {"number_gradient_estimates": 8, "number_samples": 8}), "drawn", batch=20),
    _pythae_table("pythae-piwae", "PIWAE, 8 bounds of 8 draws, 784-200-200-50", 600,
                  Model("piwae", {**BURDA, "m": 8, "k": 8}, "84.58", "PIWAE",
                        {"number_gradient_estimates": 8, "number_samples": 8}), "drawn", batch=20),
    _pythae_table("pythae-ciwae", "CIWAE, 64 draws, β = 0.05, 784-200-200-50", 600,
                  Model("ciwae", {**BURDA, "k": 64, "beta": 0.05}, "84.74", "CIWAE", {"number_samples": 64, "beta": 0.05}),
                  "drawn", batch=20),
    _pythae_table("pythae-iwae", "IWAE, k = 50, 784-200-200-50", 600,
                  Model("iwae", {**BURDA, "k": 50}, "86.82", "IWAE", {"number_samples": 50}), "fixed", batch=20),
)  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """A record's data as its models see them: all training rows, how they are prepared, and what is measured on."""

    record: Record
    dataset: Dataset
    rows: np.ndarray
    chosen: np.ndarray
    preparation: Preparation

    @staticmethod
    def of(record: Record) -> Bench:
        """Opens the data: of MNIST all 60,000 training digits, of `factors` all 20,000, 32 pixels wide."""
        dataset = open_source(record.data, DataOptions(size=32) if record.data == "factors" else DataOptions())
        chosen = np.sort(np.concatenate([dataset.splits[name].all() for name in ("train", "validation")]))
        rows = np.asarray(dataset.rows[np.arange(len(dataset))])
        if record.binarisation == "fixed":
            drawn = uniform_bytes(np.random.Generator(np.random.PCG64(FIXED)), rows[chosen].shape)
            rows = rows.copy()
            rows[chosen] = (drawn < rows[chosen]).astype(np.uint8)
            return Bench(record, dataset, rows, chosen, Preparation("binary"))
        return Bench(record, dataset, rows, chosen, Preparation("bytes", binarise=record.binarisation == "drawn"))

    def recipe(self, model: Model, seed: int, who: str = "ours") -> Recipe:
        """The recipe at the weights that the seed gives: for both the same, where Pythae's class has the same networks."""
        name, chosen = (
            (model.nets, {o: v for o, v in model.options.items() if o != "transforms"})
            if model.nets and who != "ours"
            else (model.recipe, model.options)
        )
        kind = self.preparation.kind
        spec = DataSpec(tuple(self.rows.shape[1:]), kind, "bernoulli", count=len(self.chosen))
        with drawing(CPU, seed):
            return define(name, spec, **{"net": "mlp", **chosen}).build(spec)

    def sample(self, digits: int, k: int) -> Sample:
        """The test rows, their pixels drawn once for all evaluation, and those of them that are scored with all draws."""
        test = self.dataset.splits["test"].all()
        grey = np.asarray(self.dataset.rows[test])
        binarised = Preparation("bytes", binarise=self.record.binarisation != "none")
        some = np.searchsorted(test, np.sort(self.dataset.splits["test"].draw(digits, "reproductions")))
        return Sample(
            torch.from_numpy(binarised.evaluation(grey, test)), some, k, grey, [self.dataset.ids[n] for n in test],
            self.preparation.training(self.rows[self.chosen[::6]], np.random.Generator(np.random.PCG64(0))),
        )  # fmt: skip


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Published figures, ours, and Pythae's at equal steps.")
    parser.add_argument("--only", nargs="+", default=[one.name for one in RECORDS], choices=[one.name for one in RECORDS])
    parser.add_argument("--steps", type=int, help="a trial of so many")
    parser.add_argument("--digits", type=int, help="test examples that are scored with all draws: a trial")
    parser.add_argument("--k", type=int, default=1000, help="importance draws")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("runs/reproductions"), help="where a trial's JSON goes")
    parser.add_argument("--page", action="store_true", help="only write records/reproductions.md")
    chosen = parser.parse_args()
    if not chosen.page:
        folder = KEPT if (chosen.steps, chosen.digits, chosen.k) == (None, None, 1000) else chosen.out
        with using_threads(chosen.threads):
            for record in RECORDS:
                if record.name in chosen.only:
                    run(record, chosen, folder)
        if folder != KEPT:
            return
    from reproductions_page import write

    write(RECORDS)


def run(record: Record, chosen: argparse.Namespace, folder: Path) -> None:
    """Trains and scores what is missing of a record."""
    path = folder / f"{record.name}.json"
    digits = chosen.digits or (record.digits if chosen.steps is None else 50)  # of a trial few
    models = [[one.recipe, one.options, one.peer, one.peer_options] for one in record.models]
    steps = chosen.steps or record.steps
    how = {"batch": record.batch, "learning_rate": RATE, "digits": digits, "k": chosen.k, "threads": chosen.threads}
    settings = {"steps": steps, **how, "binarisation": record.binarisation, "models": models}
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"settings": settings, "found": {}}
    if kept["settings"] != json.loads(json.dumps(settings)):
        sys.exit(f"{path} is of other settings: remove it to begin anew")
    bench, sample = None, None
    for seed in record.seeds:
        for number, model in enumerate(record.models):
            for who in ("ours", *(["pythae"] if model.peer else [])):
                key = f"{number} {who} {seed}"
                if key in kept["found"]:
                    continue
                if bench is None:
                    bench = Bench.of(record)
                    sample = bench.sample(digits, chosen.k)
                kept["found"][key] = one(bench, sample, model, who, seed, settings)
                folder.mkdir(parents=True, exist_ok=True)
                write_json(path, kept)
                print(f"{record.name} {model.recipe} {who} {seed}: {kept['found'][key]['figures']}", flush=True)


def one(bench: Bench, sample: Any, model: Model, who: str, seed: int, settings: dict[str, Any]) -> dict[str, Any]:
    """One model trained and scored."""
    total, batch = settings["steps"], settings["batch"]
    plan = Plan(total, batch, RATE, min(WARMUP, total // 10), 0.0, clip=200, ema=0.999, seed=seed, snapshots=0)
    batches = TrainingBatches(bench.rows, bench.chosen, bench.preparation, batch, seed)
    recipe, began = bench.recipe(model, seed, who), time.process_time()
    with generators_kept():
        if who == "ours":
            learner = Learner(recipe, plan, CPU)
            for step in range(total):
                learner.step(batches.at(step), step)
                heard(model, who, step + 1, total)
            made, weights = learner.result.eval(), ours(learner.result)
        else:
            assert model.peer
            peer = trained(around(model.peer, model.peer_options, recipe.model, seed), plan, batches,
                           lambda step: heard(model, who, step, total))  # fmt: skip
            flow = model.peer == "VAE_IAF"
            made = recipe.model if flow else as_ours(peer, bench.recipe(model, seed).model)
            weights = of_flow(peer) if flow else ours(made)
        seconds = time.process_time() - began
        figures = MEASURES[bench.record.measure](made, weights, sample)
    about = {"cpu_seconds": round(seconds), "machine": processor(), "date": str(date.today()), "legato": __version__}
    return {"figures": figures, **about, "torch": torch.__version__, "python": platform.python_version()}


def heard(model: Model, who: str, step: int, total: int) -> None:
    """A line now and then."""
    if step % max(total // 5, 1) == 0:
        print(f"  {model.recipe} {who}: step {step:,} of {total:,}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
