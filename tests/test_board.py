"""The record board: its scripts go on with what is missing, its page is its records, its sentence is a distribution."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import board
import causal
import pytest
import torch
from torch import Tensor

from fake_capture import META, capturable
from legato.data import open_source
from legato.training.graphed import Graphed
from legato.training.options import TrainingOptions, plan
from legato.training.resident import Resident
from legato.training.task import Task, defined, learner_of
from test_engine import Again

TINY = board.Board("tiny", "a trial", seconds=60, words="causal:causal_vae --net mlp --width 16 --depth 1 --kinds 2")
TRIAL = ["--seeds", "0", "--seconds", "0.5", "--digits", "20", "--k", "25", "--threads", "1", "--out"]


@pytest.fixture(scope="module")
def trial(tmp_path_factory) -> Path:
    """A board of an entry with a sentence of its own, trained and scored for a moment."""
    out = tmp_path_factory.mktemp("board")
    board.main(TINY, [*TRIAL, str(out)])
    return out


def test_a_row_says_the_difference_of_two_scores(trial, capsys):
    record = json.loads((trial / "board.json").read_text(encoding="utf-8"))
    entry, baseline = (record["scores"][who]["0"] for who in ("entry", "baseline"))
    board.main(TINY, [*TRIAL, str(trial)])  # nothing is missing: it prints the row
    cells = [cell.strip() for cell in capsys.readouterr().out.splitlines()[-1].split("|")]
    assert cells[3:6] == [f"{nats:.2f} (1 seed)" for nats in (entry["nll"], baseline["nll"], entry["nll"] - baseline["nll"])]
    assert json.loads((trial / "board.json").read_text(encoding="utf-8")) == record
    assert baseline["batch"] == 256
    assert 0 < entry["rate"] < -entry["elbo"]


def test_a_further_call_scores_what_is_missing_and_trains_no_run_again(trial):
    path, run = trial / "board.json", trial / "entry-0"
    record, weights = json.loads(path.read_text(encoding="utf-8")), (run / "model.safetensors").stat()
    path.write_text(json.dumps({**record, "scores": {**record["scores"], "entry": {}}}), encoding="utf-8")
    board.main(TINY, [*TRIAL, str(trial)])
    again = json.loads(path.read_text(encoding="utf-8"))["scores"]["entry"]["0"]
    assert again["nll"] == record["scores"]["entry"]["0"]["nll"]
    assert (run / "model.safetensors").stat() == weights


def test_scores_of_other_settings_are_not_put_into_one_row(trial):
    with pytest.raises(SystemExit, match=r"board\.json is of another k: give another --json and --out"):
        board.main(TINY, [*TRIAL, str(trial), "--k", "50"])


def test_the_pages_rows_are_the_records():
    page = board.PAGE.read_text(encoding="utf-8")
    assert board.filled(page, board.records()) == page


def test_differences_are_paired_by_seeds():
    scores = {"entry": {"0": 80.0, "1": 84.0, "2": 0.0}, "baseline": {"0": 81.0, "1": 85.0}}
    found = {
        who: {seed: {"nll": nll, "steps": 1, "seconds": 1.0, "date": ""} for seed, nll in of.items()}
        for who, of in scores.items()
    }
    settings = {"title": "", "entry": "", "digits": 1, "k": 1, "machine": ""}
    assert board.row({"settings": settings, "scores": found})[4] == "-1.00 ± 0.00 (2 seeds)"


# ------------------------------------------------------------------------------------------------- the sentence


def random_tables(kinds: int, seed: int) -> causal.Tables:
    """Tables of random logits."""
    tables, generator = causal.Tables(kinds), torch.Generator().manual_seed(seed)
    for table in tables.requires_grad_(False).tables:
        table.data = torch.randn(table.shape, generator=generator) / causal.SCALE
    return tables


def of_size(lead: tuple[int, ...], size: tuple[int, int], kinds: int, seed: int, places: int = 1) -> causal.Causal:
    """p(x|z) of random logits, weights and tables."""
    torch.manual_seed(seed)
    theta = torch.randn(*lead, size[0] * size[1] + (kinds - 1) * places**2)
    return causal.Causal(theta, (1, *size), random_tables(kinds, seed + 1), places)


def all_images(height: int, width: int) -> Tensor:
    """Every binary image of a size, (2^(height·width), 1, height, width)."""
    return torch.tensor(list(itertools.product((0.0, 1.0), repeat=height * width))).view(-1, 1, height, width)


@pytest.mark.parametrize(("kinds", "places"), [(1, 1), (4, 1), (1, 2), (4, 2)])
@pytest.mark.parametrize("size", [(2, 4), (2, 6)])
def test_the_probabilities_of_all_images_sum_to_one(kinds, places, size):
    images = all_images(*size)
    one = of_size((1, 1), size, kinds, 1, places)
    log_p = one.log_prob(images[:1])
    assert log_p.shape == (1, 1)
    of_all = causal.Causal(one.theta[0].expand(len(images), -1), (1, *size), random_tables(kinds, 2), places)
    assert of_all.log_prob(images).double().exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert of_all.log_prob(images)[0].item() == pytest.approx(log_p.item())


def test_what_a_table_says_of_a_pixel_reads_those_before_it_alone():
    tables, x = random_tables(2, 3), torch.bernoulli(torch.full((1, 1, 28, 28), 0.4))
    at = 28 * 11 + 17
    later = x.flatten(1).clone()
    later[:, at:] = 1 - later[:, at:]
    before, after = tables(x), tables(later.view_as(x))
    assert torch.equal(before[..., : at + 1], after[..., : at + 1])
    assert not torch.equal(before, after)


@pytest.mark.parametrize("draws", [1, 2])
@pytest.mark.parametrize("places", [1, 2])
def test_log_prob_is_that_of_pixels_taken_one_by_one(places, draws):
    """By hand: the pattern of each pixel is read place by place, and its numbers looked up."""
    size, kinds = (4, 6), 3
    of, x = of_size((draws, 3), size, kinds, 4, places), torch.bernoulli(torch.full((3, 1, *size), 0.5))
    total = torch.zeros(draws, 3, dtype=torch.double)
    for s, b, i, j in itertools.product(range(draws), range(3), range(size[0]), range(size[1])):
        region = (i * places // size[0]) * places + j * places // size[1]
        weights = of.theta[s, b, 24:].view(kinds - 1, places**2)[:, region]
        g, u = of.theta[s, b, :24].double(), [1.0, *weights.tolist()]
        seen = [(bit, i + di, j + dj) for bit, (di, dj) in enumerate(of.tables.look) if i + di >= 0 and 0 <= j + dj < size[1]]
        pattern = sum(int(x[b, 0, r, c]) << bit for bit, r, c in seen)
        said = sum(w * causal.SCALE * table[pattern].double() for w, table in zip(u, of.tables.tables, strict=True))
        logit = g[i * size[1] + j] + said
        total[s, b] += torch.nn.functional.logsigmoid(logit if x[b, 0, i, j] else -logit)
    assert of.log_prob(x).double().sub(total).abs().max() < 1e-4


@pytest.mark.parametrize("places", [1, 2])
def test_draws_have_the_probabilities_that_are_said(places):
    size, n, images = (2, 2), 20_000, all_images(2, 2)
    of = of_size((), size, 3, 5, places)
    drawn = of.sample((n,)).flatten(1) @ torch.tensor([8.0, 4.0, 2.0, 1.0])
    said = causal.Causal(of.theta.expand(16, -1), (1, *size), of.tables, places).log_prob(images).exp()
    found = torch.bincount(drawn.long(), minlength=16) / n
    assert ((found - said).abs() < 4.5 * (said * (1 - said) / n).sqrt()).all()
    assert (of.mean - torch.einsum("n,n...->...", said, images)).abs().max() < 4.5 * 0.5 / causal.DRAWS**0.5


def test_a_card_could_capture_its_step():
    definition, data = defined(causal.causal_vae, open_source("mnist"), {"net": "mlp", "width": 8, "depth": 1, "places": 7})
    made = plan(TrainingOptions(), 10, 8)
    task = Task(made, definition, data, learner_of(made, definition, data, META, "causal"))
    engine = Graphed(task.learner, Resident(task.batches(), META), record=Again)
    with capturable() as seen:
        engine.tick()
    assert {"_fused_adamw_", "_foreach_add_", "sort"} <= seen  # to the optimiser, the average and the guard's median
