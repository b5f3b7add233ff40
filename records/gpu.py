"""Everything that only a card can show, in one run of under eight minutes: is it right, and how near to the card's limit.

    python records/gpu.py [--out gpu.json] [--device cuda] [--steps 200] [--only TEXT]

First what must be equal: graphed and eager steps of every recipe, a stopped run and one that was not. Then the tables: a step
of an MLP 784-512-20 and of strided convolutions beside the same step captured by hand without guard, cut, average and figures
(`plain`), and beside Pythae where it is installed; `evaluate --k 1000` of all digits; MNIST in one minute. Every part prints
its line at once and stands in the JSON, so that a run that is cut off has told what it knew. Needs nothing but the package;
`--device cpu` tries the script itself, with steps made again instead of captured.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

import legato
from legato.data import open_source
from legato.devices import choose, mixed
from legato.measures.likelihood import score
from legato.model import LatentVariableModel
from legato.recipe import RECIPES
from legato.training.engine import Eager, Engine
from legato.training.graphed import Captured, Graphed
from legato.training.options import TrainingOptions, plan
from legato.training.resident import Resident
from legato.training.task import Task, defined, learner_of

MLP = {"net": "mlp", "width": 512, "depth": 1, "latent_dim": 20}
SMALL = {"net": "mlp", "width": 64, "depth": 1, "latent_dim": 8}
FOUND: dict[str, Any] = {}


class Again:
    """A graph where there is no card: the work is done again."""

    def __init__(self, work: Callable[[], None], generators: Sequence[torch.Generator] = ()) -> None:
        self.replay = work


def recorded(device: torch.device) -> Any:
    """What captures a step on the device."""
    return Captured if device.type == "cuda" else Again


def task_of(recipe: str, source: Any, device: torch.device, batch: int, precision: str = "float32", **words: Any) -> Task:
    """A training of 100,000 steps, of which as many are made as someone wants."""
    definition, data = defined(recipe, open_source(source), words)
    options = TrainingOptions(batch_size=batch, precision=precision, learning_rate=1e-3)  # type: ignore[arg-type]
    made = plan(options, 100_000, batch, precision)
    return Task(made, definition, data, learner_of(made, definition, data, device, None))


def engine_of(task: Task, graphed: bool) -> Engine:
    """Rows on the device, and either engine."""
    device = task.learner.device
    rows = Resident(task.batches(), device)
    return Graphed(task.learner, rows, record=recorded(device)) if graphed else Eager(task.learner, rows)


def pictures(side: int, count: int = 4096) -> np.ndarray:
    """Coloured blobs on a slope, (count, side, side, 3) bytes."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    found = np.empty((count, side, side, 3), np.uint8)
    for number in range(count):
        a, b, radius = rng.uniform(0.2, 0.8), rng.uniform(0.2, 0.8), rng.uniform(0.05, 0.3)
        blob = np.exp(-((x - a) ** 2 + (y - b) ** 2) / radius**2)[..., None]
        found[number] = 255 * np.clip(rng.random(3) * blob + rng.random(3) * x[..., None] * 0.5, 0, 1)
    return found


# ------------------------------------------------------------------------------------------------- right


def equal(device: torch.device, steps: int) -> Iterator[tuple[str, Any]]:
    """Graphed and eager steps of every recipe, on digits; on colour where a recipe needs what digits lack."""
    for name in RECIPES:
        yield f"graphed = eager, {name}", same(name, "mnist", device, steps, **SMALL)
    yield "graphed = eager, strided", same("vae", pictures(32, 512), device, min(steps, 50), net="strided", width=16)


def same(name: str, source: Any, device: torch.device, steps: int, **words: Any) -> dict[str, Any]:
    """The furthest that a tensor of a checkpoint is from the other engine's, after so many steps."""
    tasks = [task_of(name, source, device, 64, **words) for _ in range(2)]
    engines = [engine_of(task, graphed) for task, graphed in zip(tasks, (True, False), strict=True)]
    for engine in engines:
        for step in range(steps):
            engine.step(step)
    sums = [engine.look()[0] for engine in engines]
    tensors = [task.learner.tensors() for task in tasks]
    away = max(float((tensors[0][key].double() - tensors[1][key].double()).abs().max()) for key in tensors[0])
    fell = isinstance(engines[0], Graphed) and engines[0].eager is not None
    return {"steps": steps, "furthest weight": away, "equal": away == 0 and sums[0] == sums[1], "fell back to eager": fell}


def resumed(device: torch.device, steps: int) -> dict[str, Any]:
    """A run that is stopped at a third, restored from its tensors and brought to its end; and one that was not."""
    whole, begun, last = (task_of("factor_vae", "mnist", device, 64, **SMALL) for _ in range(3))
    there, first = engine_of(whole, True), engine_of(begun, True)
    for step in range(steps):
        there.step(step)
    for step in range(steps // 3):
        first.step(step)
    sums, counted = first.look()
    last.learner.restore({key: value.clone() for key, value in begun.learner.tensors().items()}, begun.learner.guard.state())
    again = Graphed(last.learner, Resident(last.batches(), device), sums, counted, record=recorded(device))
    for step in range(steps // 3, steps):
        again.step(step)
    one, other = whole.learner.tensors(), last.learner.tensors()
    return {"equal": there.look() == again.look() and all(torch.equal(one[key], other[key]) for key in one)}


def command_line(device: torch.device) -> dict[str, Any]:
    """`legato.train` for some steps, and what its run says of engine and precision."""
    with tempfile.TemporaryDirectory() as folder:
        space = legato.train("vae", "mnist", Path(folder) / "run", steps=300, device=device.type)
        told = json.loads((Path(folder) / "run" / "training.json").read_text())
        return {key: told[key] for key in ("engine", "precision")} | {
            "weights": sum(one.numel() for one in space.model.parameters())
        }


# ------------------------------------------------------------------------------------------------- quick


def plain(task: Task) -> Callable[[], None]:
    """The same rows, net, loss and AdamW, captured by hand: no guard, no cut, no average, no figures."""
    learner, rows = task.learner, Resident(task.batches(), task.learner.device)
    rows.fill(0)
    weights = [one for one in learner.model.parameters() if one.requires_grad]
    rate = torch.tensor(1e-3, device=learner.device)
    optimiser = torch.optim.AdamW(weights, lr=rate, fused=True, capturable=learner.device.type == "cuda")

    def work() -> None:
        optimiser.zero_grad(set_to_none=True)
        batch = rows.cut()
        with mixed(learner.device, learner.plan.precision):
            loss = learner.objective(learner.model(batch.x), [1.0] * len(learner.names)).total
        loss.backward()
        optimiser.step()

    queue = torch.cuda.Stream() if learner.device.type == "cuda" else None
    with torch.cuda.stream(queue):
        for _ in range(3):
            work()
    return recorded(learner.device)(work, rows.generators).replay


def timed(work: Callable[[], object], device: torch.device, seconds: float = 2.0) -> float:
    """Milliseconds of a call: the median of five batches of calls, each waited for."""
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    for _ in range(5):
        work()
    wait()
    began = time.perf_counter()
    work()
    wait()
    count = max(int(seconds / 5 / max(time.perf_counter() - began, 1e-5)), 1)
    found = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(count):
            work()
        wait()
        found.append(1e3 * (time.perf_counter() - began) / count)
    return statistics.median(found)


def stepping(task: Task, graphed: bool) -> Callable[[], None]:
    """A step after another."""
    engine, steps = engine_of(task, graphed), iter(range(100_000))
    return lambda: engine.step(next(steps))


def training(device: torch.device) -> Iterator[tuple[str, Any]]:
    """Milliseconds of a step, and ratios: of `plain` (1: as quick), and how many times as quick as Pythae."""
    for precision in ("float32", "tf32", "bfloat16") if device.type == "cuda" else ("float32",):
        for batch in (128, 512, 4096):
            make = partial(task_of, "vae", "mnist", device, batch, precision, **MLP)
            found = {"plain": timed(plain(make()), device), "graphed": timed(stepping(make(), True), device)}
            found["eager"] = timed(stepping(make(), False), device, 1.0)
            if precision == "float32" and importlib.util.find_spec("pythae") is not None:
                found["Pythae"] = pythae(batch, device)
            yield f"step, MLP, batch {batch}, {precision}", ratios(found)


def convolutions(device: torch.device) -> Iterator[tuple[str, Any]]:
    """The same of colour pictures."""
    for side, width, batch in (32, 64, 128), (64, 64, 128):
        source = pictures(side, 2048)
        for precision in ("float32", "bfloat16") if device.type == "cuda" else ("float32",):
            make = partial(task_of, "vae", source, device, batch, precision, net="strided", width=width)
            found = {"plain": timed(plain(make()), device), "graphed": timed(stepping(make(), True), device)}
            found["eager"] = timed(stepping(make(), False), device, 1.0)
            yield f"step, strided {width}, {side} × {side} × 3, batch {batch}, {precision}", ratios(found)


def ratios(found: dict[str, float]) -> dict[str, float]:
    """Milliseconds, and ours beside each: of `plain` a share, of others how many times as quick."""
    told = {f"{name}, ms": value for name, value in found.items()}
    told["of plain"] = found["plain"] / found["graphed"]
    return told | {f"× {name}": found[name] / found["graphed"] for name in ("eager", "Pythae") if name in found}


def pythae(batch: int, device: torch.device) -> float:
    """Milliseconds of a step of Pythae's trainer."""
    sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
    from peers import pythae_training

    with open(os.devnull, "w") as silence, redirect_stdout(silence), redirect_stderr(silence):  # it tells of every epoch
        turn = pythae_training(batch, cuda=device.type == "cuda")
        return timed(turn, device) / int(getattr(turn, "repeats", 1))


def likelihood(model: LatentVariableModel, device: torch.device) -> dict[str, Any]:
    """`evaluate`'s estimate of log p(x) of all test digits, k = 1000 (without a card of 20, k = 10): seconds, nats."""
    data = task_of("vae", "mnist", device, 128, **SMALL).data
    rows = data.split("test").all() if device.type == "cuda" else data.split("test").all()[:20]
    x = torch.from_numpy(data.rows(rows)).to(device)
    began = time.perf_counter()
    with torch.no_grad():
        found = score(model, x.split(1000), 1000 if device.type == "cuda" else 10)
    assert found.log_px is not None
    return {"digits": len(rows), "seconds": time.perf_counter() - began, "NLL": -float(found.log_px.mean())}


def evaluated(device: torch.device) -> dict[str, Any]:
    """The estimate twice: the second time nothing is set up."""
    model = task_of("vae", "mnist", device, 128, **MLP).learner.average
    return {"first": likelihood(model, device), "second": likelihood(model, device)}


def one_minute(device: torch.device) -> dict[str, Any]:
    """The default `vae` on MNIST for a minute of the card, and its importance-weighted NLL."""
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        space = legato.train(
            "vae", "mnist", Path(folder) / "run", minutes=1.0 if device.type == "cuda" else 0.05, device=device.type
        )
        took = time.perf_counter() - began
        steps = json.loads((Path(folder) / "run" / "training.json").read_text())["total"]
    return {"seconds": took, "steps": steps, "evaluated": likelihood(space.model, device)}


# ------------------------------------------------------------------------------------------------- all


def main() -> None:
    """All parts, or those whose names hold `--only`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("gpu.json"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    device, began = choose(asked.device), time.perf_counter()
    card = torch.cuda.get_device_name(device) if device.type == "cuda" else "no card"
    FOUND.update({"card": card, "torch": torch.__version__, "legato": legato.__version__})
    parts: dict[str, Callable[[], Any]] = {
        "equal": partial(equal, device, asked.steps),
        "resumed": partial(resumed, device, asked.steps),
        "command line": partial(command_line, device),
        "training": partial(training, device),
        "convolutions": partial(convolutions, device),
        "evaluate, k = 1000": partial(evaluated, device),
        "one minute": partial(one_minute, device),
    }
    for name, part in parts.items():
        if asked.only in name:
            attempt(name, part, asked.out)
    print(f"{time.perf_counter() - began:.0f} s on {card}; {asked.out}")


def attempt(name: str, part: Callable[[], Any], out: Path) -> None:
    """One part, whose failure is told and ends no other."""
    try:
        found = part()
        for title, value in [(name, found)] if isinstance(found, dict) else found:
            tell(title, value, out)
    except Exception:
        tell(name, {"failed": traceback.format_exc()}, out)


def tell(title: str, value: Any, out: Path) -> None:
    """A line, and the file anew."""
    FOUND[title] = value
    print(title, json.dumps(value), flush=True)
    out.write_text(json.dumps(FOUND, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
