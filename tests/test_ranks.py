"""Two processes that share a training, as torchrun starts them: the curve and the codes of one process, to rounding."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch.testing import assert_close

import legato
from legato import checkpoint, cli, ranks
from legato.errors import Mistake
from legato.run import Run
from legato.tensors import read_tensors
from made_runs import OF_CLASSES, RUNS, metrics, small

pytest.importorskip("accelerate")

HERE = Path(__file__).parent
CLOSE = {"rtol": 2e-4, "atol": 2e-4}
# Recipes whose step needs more of the batch than its own rows, and one that does not; 33 rows do not divide by two.
SHARED = {
    "vae": {"batch_size": 33, "steps": 20},
    "warmup_vae": {"free_bits": 0.5},  # the batch's mean decides which dimensions are free
    "vq_vae": {},  # the codebook follows all tokens, dead rows are put on any of them
    "factor_vae": {},  # codes are permuted among all examples, and the critic learns, too
    "geco_vae": {},  # a weight follows the batch's loss
    "flow_vae": {"transforms": 1},
    "ladder_vae": {},
    "conditional_vae": {"learnt": True},
    "m2_vae": {"batch_size": 33},  # rows of each class in turn, and of each rank
    "fixed_noise_autoencoder": {},  # some weights have no gradient
    "sigma_vae": {},  # σ is solved from training data
    "shaped": {"steps": 12},
}
SPLIT = ("vae", "factor_vae", "sigma_vae", "shaped")  # in these, once more, every layer is split


def launch(*words: str, count: int = 2, **how) -> subprocess.Popen[str]:
    """`torchrun --standalone --nproc-per-node COUNT WORDS`."""
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count), *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(run, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **how)


def finished(*words: str, count: int = 2) -> str:
    """What ranks said that all ended well."""
    process = launch(*words, count=count)
    out, said = process.communicate(timeout=120)
    assert process.returncode == 0, out + said
    return out


def command(*words: str) -> tuple[str, ...]:
    return ("-m", "legato", *words)


def work(sources, folder: Path) -> list[tuple[str, str, str, dict]]:
    """Recipe, source, RUN and options of each of SHARED."""
    found = []
    for name, other in SHARED.items():
        recipe, kind, own = (RUNS | OF_CLASSES)[name]
        found.append((recipe, str(sources[kind]), str(folder / name), small(**{**own, "precision": "float32", **other})))
    return found


@pytest.fixture(scope="module")
def trained(sources, tmp_path_factory) -> tuple[Path, Path]:
    """The runs of one process, and those of two."""
    alone, shared = tmp_path_factory.mktemp("alone"), tmp_path_factory.mktemp("shared")
    finished(str(HERE / "rank_work.py"), json.dumps(work(sources, shared)))
    for recipe, source, out, chosen in work(sources, alone):
        legato.train(recipe, source, out, **chosen)
    return alone, shared


@pytest.fixture(scope="module")
def split(sources, tmp_path_factory) -> Path:
    """The runs of two processes that split each layer."""
    folder = tmp_path_factory.mktemp("split")
    some = [one for one in work(sources, folder) if Path(one[2]).name in SPLIT]
    recipe, source, _, chosen = some[0]
    some.append((recipe, source, str(folder / "cut"), {**chosen, "stopped_after": 11}))
    finished(str(HERE / "rank_work.py"), json.dumps([(*one[:3], {**one[3], "shard": True}) for one in some]))
    return folder


def figures(line: dict) -> dict[str, float]:
    """The numbers of a line of metrics, by path."""
    found = {}
    for key, value in line.items():
        if isinstance(value, dict):
            found |= {f"{key}.{name}": one for name, one in figures(value).items()}
        elif isinstance(value, list):
            found |= {f"{key}.{i}": one for i, one in enumerate(value)}
        elif isinstance(value, (int, float)):
            found[key] = float(value)
    return found


@pytest.mark.parametrize("name", SHARED)
def test_the_curve_of_two_ranks_is_that_of_one_process(name, trained):
    alone, shared = (metrics(folder / name) for folder in trained)
    assert len(alone) == len(shared)
    for expected, found in zip(map(figures, alone), map(figures, shared), strict=True):
        assert expected.keys() == found.keys()
        assert list(found.values()) == pytest.approx(list(expected.values()), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("name", SPLIT)
def test_a_model_that_is_split_over_two_ranks_has_the_curve_of_one_process(name, trained, split):
    alone, found = metrics(trained[0] / name), metrics(split / name)
    assert [list(figures(line).values()) for line in found] == [
        pytest.approx(list(figures(line).values()), rel=1e-3, abs=1e-3) for line in alone
    ]
    # whole tensors, of a run that anyone can load
    assert {key: value.shape for key, value in read_tensors(Run(split / name).model).items()} == {
        key: value.shape for key, value in read_tensors(Run(trained[0] / name).model).items()
    }


def test_a_split_run_that_was_stopped_goes_on_in_one_process(trained, split):
    assert not Run(split / "cut").codes.is_file()
    assert cli.run(["train", "--resume", "--out", str(split / "cut"), "--device", "cpu"]) == 0
    assert [list(figures(line).values()) for line in metrics(split / "cut")] == [
        pytest.approx(list(figures(line).values()), rel=1e-3, abs=1e-3) for line in metrics(trained[0] / "vae")
    ]


# not of `shaped`: a convolution's bias before a normalisation has no gradient but rounding, which Adam makes steps of
@pytest.mark.parametrize("name", [name for name in SHARED if name != "shaped"])
def test_the_model_and_the_codes_of_two_ranks_are_those_of_one_process(name, trained):
    for file in ("model", "codes"):
        expected, found = (read_tensors(getattr(Run(folder / name), file)) for folder in trained)
        for key, value in expected.items():
            assert_close(found[key], value, rtol=1e-2, atol=2e-3, msg=lambda said, what=(file, key): f"{what}: {said}")


def test_codes_that_two_ranks_write_are_those_of_one_process(trained, tmp_path):
    run = str(trained[0] / "vae")
    assert cli.run(["encode", run, "--out", str(tmp_path / "whole.parquet"), "--device", "cpu"]) == 0
    said = finished(*command("encode", run, "--out", str(tmp_path / "codes.parquet"), "--device", "cpu"))
    assert said.count("wrote ") == 1
    parts = [pq.read_table(tmp_path / f"codes-0000{i}-of-00002.parquet") for i in (0, 1)]
    whole, both = pq.read_table(tmp_path / "whole.parquet"), pa.concat_tables(parts)
    assert both.column("id").equals(whole.column("id"))
    for name in ("mu", "sigma"):
        found, expected = (np.stack(table.column(name).to_numpy(zero_copy_only=False)) for table in (both, whole))
        np.testing.assert_allclose(found, expected, **CLOSE)


def test_what_two_ranks_evaluate_is_what_one_process_does(trained, tmp_path):
    run = str(trained[0] / "vae")
    options = ("--k", "20", "--device", "cpu", "--json")
    assert cli.run(["evaluate", run, *options, str(tmp_path / "one.json")]) == 0
    finished(*command("evaluate", run, *options, str(tmp_path / "two.json")))
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    for name in ("elbo", "rate", "distortion", "nll", "ess"):
        assert two[name]["value"] == pytest.approx(one[name]["value"], rel=1e-4), name
        assert two[name]["n"] == one[name]["n"]


def options_of(source: Path, out: Path, steps: int) -> tuple[str, ...]:
    """A run of so many steps that it can be cut off."""
    words = ("--data", str(source), "--out", str(out), "--latent-dim", "3", "--net", "mlp", "--width", "24", "--depth", "1")
    return command(
        "train", "vae", *words, "--batch-size", "32", "--steps", str(steps), "--precision", "float32", "--device", "cpu"
    )


@pytest.mark.parametrize("victim", [1, 0])
def test_a_rank_that_dies_ends_the_job_soon_and_what_was_saved_goes_on_with_any_number(victim, sources, tmp_path):
    steps, out = 1500, tmp_path / "cut"
    process = launch(*options_of(sources["grey"], out, steps), "--checkpoint-minutes", "0.02", start_new_session=True)
    try:
        until(lambda: len(checkpoint.existing(Run(out).checkpoints)) > 0)
        os.kill(ranks_of(process)[victim], signal.SIGKILL)
        began = time.monotonic()
        _, said = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert time.monotonic() - began < 30
    assert process.returncode != 0
    assert said.count("a process of this training has gone after step") == 1, said
    assert "--resume" in said
    assert not Run(out).codes.is_file()
    state = json.loads((checkpoint.existing(Run(out).checkpoints)[-1] / "state.json").read_text())
    assert 0 < state["step"] < steps
    if victim:  # once: how it goes on does not depend on who died
        finished(*options_of(sources["grey"], tmp_path / "whole", steps))
        copy = tmp_path / "copy"
        subprocess.run(["cp", "-r", str(out), str(copy)], check=True)
        finished(*command("train", "--resume", "--out", str(out), "--device", "cpu"))
        assert metrics(out) == metrics(tmp_path / "whole")  # the same number of ranks: the same bits
        assert cli.run(["train", "--resume", "--out", str(copy), "--device", "cpu"]) == 0
        last, expected = (figures(metrics(run)[-1]) for run in (copy, tmp_path / "whole"))
        assert list(last.values()) == pytest.approx(list(expected.values()), rel=0.02, abs=0.02)


def test_a_signal_stops_all_ranks_after_the_same_step_with_everything_saved(sources, tmp_path):
    out = tmp_path / "cut"
    process = launch(*options_of(sources["grey"], out, 20_000))
    until(lambda: Run(out).metrics.is_file() and Run(out).metrics.stat().st_size > 0)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert said.count("all saved: go on with `legato train --resume") == 1
    state = json.loads((checkpoint.existing(Run(out).checkpoints)[-1] / "state.json").read_text())
    assert f"stopped at step {state['step']:,} of 20,000" in said


GONE = """
import os, torch
from legato.ranks import joined
with joined(torch.device("cpu")) as ranks:
    if ranks.first:
        while True:
            ranks.total(torch.ones(1))
    os._exit(9)
"""


def test_a_rank_that_is_gone_is_told_of_in_a_line_whatever_the_work_was(tmp_path):
    (tmp_path / "work.py").write_text(GONE)
    _, said = launch(str(tmp_path / "work.py")).communicate(timeout=60)
    assert said.count("legato: another process of this work has gone") == 1


def until(true, seconds: float = 60.0) -> None:
    """Waits."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < seconds, "waited in vain"
        time.sleep(0.05)


def ranks_of(process: subprocess.Popen[str]) -> dict[int, int]:
    """The process number of each rank, read from its environment."""
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            told = dict(word.split("=", 1) for word in (folder / "environ").read_text().split("\0") if "=" in word)
        except (OSError, ValueError):
            continue
        if parent == process.pid and "RANK" in told:
            found[int(told["RANK"])] = int(folder.name)
    return found


def test_a_mistake_of_all_is_told_once(sources, tmp_path):
    process = launch(*command("train", "vae", "--data", str(tmp_path / "nowhere"), "--device", "cpu"))
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert sum(line.startswith("legato: ") for line in said.splitlines()) == 1


def test_a_step_that_many_ranks_share_is_made_eagerly(monkeypatch):
    monkeypatch.setattr(ranks, "_NOW", [ranks.Ranks(1, 4)])
    from legato.training.engine import chosen

    assert chosen("auto", torch.device("cuda")) == "eager"
    with pytest.raises(Mistake, match="--engine compiled is for one process, and 4 share this training"):
        chosen("compiled", torch.device("cpu"))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 32, 33])
@pytest.mark.parametrize("world", [1, 2, 3, 4])
def test_the_parts_of_a_batch_are_all_of_it_once(size, world):
    parts = [ranks.Ranks(rank, world).part(size) for rank in range(world)]
    assert [row for part in parts for row in range(size)[part]] == list(range(size))


@pytest.mark.parametrize("axis", [0, 1])
def test_each_rank_draws_its_rows_of_the_whole_batchs_noise(axis, monkeypatch):
    def noise(shape):
        return torch.empty(shape).normal_()

    shape = [7, 7]
    torch.manual_seed(0)
    everyone = noise((7, 7))
    found = []
    for rank in range(3):
        monkeypatch.setattr(ranks, "_NOW", [ranks.Ranks(rank, 3)])
        torch.manual_seed(0)
        with ranks.sharing(7) as share:
            shape[axis] = share.count
            found.append(ranks.drawn(noise, shape, axis))
    assert torch.equal(torch.cat(found, axis), everyone)


def test_a_model_is_not_split_where_there_is_one_process(sources, tmp_path, capsys):
    words = ("train", "vae", "--data", str(sources["grey"]), "--out", str(tmp_path / "run"), "--device", "cpu", "--shard")
    assert cli.run(list(words)) == 2
    assert "--shard splits a model over several processes, and this is one" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
