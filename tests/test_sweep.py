"""Sweeps: every combination is trained once, whoever is killed meanwhile; the same weights by local processes and by Ray."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from legato import cli
from legato.errors import Mistake
from legato.pools import Pool
from legato.run import Run
from legato.sweep import read_spec
from legato.sweep.spec import Trial
from legato.sweep.table import combinations, in_order, picture

WORDS = """data = "{}"
recipe = "vae"
steps = {}
net = "mlp"
width = 16
depth = 1
batch_size = 32
checkpoint_minutes = 0.001
"""


def specification(folder: Path, source: Path, grid: str, steps: int = 30) -> Path:
    path = folder / "spec.toml"
    path.write_text(WORDS.format(source, steps) + f"[grid]\n{grid}\n")
    return path


def swept(spec: Path, out: Path, *more: str) -> int:
    return cli.run(["sweep", str(spec), "--out", str(out), "--device", "cpu", *more])


def weights(out: Path) -> dict[str, bytes]:
    """The weights of each run."""
    return {run.name: Run(run).model.read_bytes() for run in sorted((out / "runs").iterdir())}


def test_every_combination_is_trained_and_told_best_first(sources, tmp_path, capsys):
    spec = specification(tmp_path, sources["grey"], "latent_dim = [2, 3]\nseed = [0, 1]")
    assert swept(spec, tmp_path / "out") == 0
    names = {f"latent_dim-{dim},seed-{seed}" for dim in (2, 3) for seed in (0, 1)}
    assert set(weights(tmp_path / "out")) == names
    told = list(csv.DictReader((tmp_path / "out/sweep.csv").read_text().splitlines()))
    assert {row["run"] for row in told} == names
    found = [float(row["elbo"]) for row in told]
    assert found == sorted(found, reverse=True)
    for row in told:  # a figure is that run's own
        line = [one for one in Run(tmp_path / "out/runs" / row["run"]).read_metrics() if "validation" in one][-1]
        assert float(row["elbo"]) == line["validation"]["elbo"]
    assert (tmp_path / "out/sweep.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "latent_dim" in capsys.readouterr().out


def test_a_sweep_goes_on_and_its_grid_may_grow_but_not_change(sources, tmp_path, capsys):
    out = tmp_path / "out"
    assert swept(specification(tmp_path, sources["grey"], "latent_dim = [2]"), out) == 0
    before = Run(out / "runs/latent_dim-2").model.stat().st_mtime_ns
    assert swept(specification(tmp_path, sources["grey"], "latent_dim = [2, 3]"), out) == 0
    assert Run(out / "runs/latent_dim-2").model.stat().st_mtime_ns == before  # it was finished
    assert set(weights(out)) == {"latent_dim-2", "latent_dim-3"}
    assert swept(specification(tmp_path, sources["grey"], "latent_dim = [2, 3]", steps=31), out) == 2
    assert "`steps` of `latent_dim-2` was 30" in capsys.readouterr().err


def kill_one(out: Path, killed: list[int]) -> None:
    """Kills a process that trains a run of OUT, once one has saved a checkpoint."""
    until = time.monotonic() + 60
    while time.monotonic() < until and not killed:
        for checkpoint in out.glob("runs/*/checkpoint/step-*/state.json"):
            lock = checkpoint.parents[2] / ".lock"
            if not (checkpoint.parents[2] / "codes.safetensors").exists() and lock.exists() and lock.read_text():
                os.kill(int(lock.read_text()), signal.SIGKILL)
                killed.append(int(lock.read_text()))
                break
        time.sleep(0.01)


def with_one_killed(spec: Path, out: Path, *more: str) -> None:
    killed: list[int] = []
    killer = threading.Thread(target=kill_one, args=(out, killed))
    killer.start()
    assert swept(spec, out, *more) == 0
    killer.join()
    assert killed


def test_a_worker_that_is_killed_costs_no_run(sources, tmp_path, capsys):
    spec = specification(tmp_path, sources["grey"], "latent_dim = [2, 3]", steps=1500)
    with_one_killed(spec, tmp_path / "killed")
    assert "a worker was lost: what it did is given to another (1 of 3 times)" in capsys.readouterr().err
    assert swept(spec, tmp_path / "whole") == 0
    assert weights(tmp_path / "killed") == weights(tmp_path / "whole")


def test_work_that_kills_every_worker_is_given_up(tmp_path):
    with pytest.raises(Mistake, match="a worker was ended from outside"):
        list(Pool(1, tmp_path, retries=1).done([(os._exit, (9,))]))


def test_six_runs_by_ray_with_one_of_two_workers_killed_are_those_of_local_processes(sources, tmp_path, capsys):
    pytest.importorskip("ray")
    spec = specification(tmp_path, sources["grey"], "latent_dim = [2, 3, 4]\nseed = [0, 1]", steps=1000)
    with_one_killed(spec, tmp_path / "ray", "--ray", "local")
    assert "Ray executes whatever reaches its ports" in capsys.readouterr().err
    assert swept(spec, tmp_path / "local") == 0
    assert weights(tmp_path / "ray") == weights(tmp_path / "local")
    assert len(weights(tmp_path / "ray")) == 6


MISTAKES = {
    "beta = [1": "is no TOML",
    "beta = 1": "must be a list of values",
    "beta = []": "must be a list of values",
    "beta = [1, 1]": "holds a value twice",
    "steps = [1, 2]": "is said twice",
    "betta = [1, 2]": "no option of `vae` is named `betta`: did you mean `beta`?",
    'latent_dim = ["two"]': "must be",
    "threads = [1, 2]": "`legato sweep` itself is told",
    f"seed = {list(range(200))}\nlatent_dim = {list(range(1, 102))}": "asks for 20,200 runs",
}


@pytest.mark.parametrize(("grid", "said"), MISTAKES.items())
def test_a_specification_that_cannot_be_is_refused_in_a_line_before_anything_is_trained(grid, said, sources, tmp_path, capsys):
    assert swept(specification(tmp_path, sources["grey"], grid), tmp_path / "out") == 2
    line = capsys.readouterr().err
    assert said in line
    assert line.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_specification_without_a_recipe_or_data_says_which_is_missing(tmp_path):
    (tmp_path / "spec.toml").write_text('data = "mnist"\n')
    with pytest.raises(Mistake, match='lacks `recipe`: recipe = "vae", say'):
        read_spec(tmp_path / "spec.toml")


def test_recipes_may_be_a_list(tmp_path):
    (tmp_path / "spec.toml").write_text('data = "mnist"\nrecipe = ["vae", "autoencoder"]\n')
    assert [trial.name for trial in read_spec(tmp_path / "spec.toml").trials] == ["recipe-vae", "recipe-autoencoder"]


def row(elbo: float | None, distortion: float, **words) -> tuple[Trial, dict]:
    found = {"elbo": elbo, "distortion": distortion, "rate": 1.0, "steps": 1, "seconds": 1.0}
    return Trial(json.dumps(words), {"recipe": "vae", **words}, words), found


def test_runs_are_judged_by_elbo_unless_one_has_none():
    both = [row(-90.0, 80.0, beta=1.0), row(-95.0, 70.0, beta=4.0)]
    assert [trial.differing["beta"] for trial, _ in in_order(both)] == [1.0, 4.0]
    assert [trial.differing["beta"] for trial, _ in in_order([*both, row(None, 60.0, beta=0.0)])] == [0.0, 4.0, 1.0]


def test_seeds_of_one_combination_stand_in_one_line():
    rows = [row(-90.0 - seed - beta, 80.0, beta=beta, seed=seed) for seed in (0, 1) for beta in (4.0, 1.0)]
    assert combinations(rows) == {"beta 1": [-91.0, -92.0], "beta 4": [-94.0, -95.0]}
    assert isinstance(picture(rows), Figure)
