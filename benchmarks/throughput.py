"""How fast Legato is: ratios within one run, beside Pythae, a plain PyTorch loop, and the machine's own limit.

    python benchmarks/throughput.py [--rounds 15] [--only TEXT] [--contestants NAME ...] [--json FILE]

One network (784-512-20-512-784, ReLU, Bernoulli), the same threads, float32 unless a row says otherwise. Every contestant has
a process of its own, as a user would run it, so that none inherits another's memory; in every round each takes a turn of a
fifth of a second, in a shuffled order, so that a machine that slows down slows all. The ratio is the median over rounds, with
the range that holds its middle half.

The floor counts the step's matrix products alone, into preallocated outputs: forward 4, backward 7 (no gradient by the input).
`products + optimiser` adds one fused AdamW pass over the weights. A ratio of 1 would mean that all else is free; `by hand` is
how near to that torch's own operations can come. The limit of convolutions is told in convolutions.py.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

import convolutions
import torch
from by_hand import turns
from peers import DRAWS, IMAGES, LATENT, PIXELS, WIDTH, Turn, plain_training, pythae_nll, pythae_training
from torch import nn

from legato.data import open_source
from legato.data.batches import TrainingBatches
from legato.data.preparation import prepare
from legato.data.prepared import Prepared
from legato.definition import define
from legato.devices import PRECISIONS, choose, native_precision
from legato.measures.likelihood import score
from legato.training.compiled import CompiledStep, lowered
from legato.training.learner import Learner
from legato.training.options import TrainingOptions, plan
from legato.training.replayed import replayed


def legato_learner(batch: int, precision: str = "float32") -> tuple[Learner, TrainingBatches, Prepared]:
    """The shipped learner on the shipped batches."""
    data = open_source("mnist")
    prepared = Prepared(data, prepare(data.kind, "bernoulli", data.rows, data.splits["train"].all()))
    definition = define("vae", prepared.spec, latent_dim=LATENT, net="mlp", width=WIDTH, depth=1)
    options = plan(TrainingOptions(batch_size=batch, precision=precision), 100_000, batch)
    learner = Learner(definition.build(prepared.spec), options, choose("cpu"))
    return learner, TrainingBatches(data.rows, data.splits["train"].all(), prepared.preparation, batch, 0), prepared


def legato_training(batch: int, precision: str = "float32", gear: str = "plain") -> Turn:
    """What `legato train` does in a step, the sums of its metrics included: plain, replayed (of half a minute), compiled."""
    learner, batches, _ = legato_learner(batch, precision)
    step, sums = 0, torch.zeros(len(learner.names), dtype=torch.double)
    lower = {"plain": None, "replayed": replayed, "compiled": lowered}[gear]
    make = learner.step if lower is None else CompiledStep(learner, lower(learner, batches.at(0)))

    def turn() -> None:
        nonlocal step, sums
        parts = make(batches.at(step), step)
        if parts is not None:
            sums += parts
        step += 1

    return turn


def by_hand(batch: int) -> Turn:
    """Our batches, and a step without autograd or the allocator (by_hand.py): the least that torch's operations allow."""
    _, batches, _ = legato_learner(batch)
    return turns(lambda step: batches.at(step).x, batch, (PIXELS, WIDTH, LATENT))


def training_floor(batch: int, optimise: bool) -> Turn:
    """Every matrix product of one training step, preallocated; with `optimise` a fused AdamW pass over the weights."""
    sizes = ((PIXELS, WIDTH), (WIDTH, 2 * LATENT), (LATENT, WIDTH), (WIDTH, PIXELS))
    weights = [torch.randn(a, b) * 0.01 for a, b in sizes]
    inputs = [torch.randn(batch, a) for a, _ in sizes]
    outputs = [torch.empty(batch, b) for _, b in sizes]
    gradients = [torch.empty(a, b) for a, b in sizes]
    back = [torch.empty(batch, a) for a, _ in sizes]
    parameters = [nn.Parameter(w) for w in weights] + [nn.Parameter(torch.zeros(b)) for _, b in sizes]
    optimiser = torch.optim.AdamW(parameters, fused=True)
    for p in parameters:
        p.grad = torch.zeros_like(p)

    def turn() -> None:
        for x, w, y in zip(inputs, weights, outputs, strict=True):
            torch.mm(x, w, out=y)
        for i, (x, w, y) in enumerate(zip(inputs, weights, outputs, strict=True)):
            torch.mm(x.T, y, out=gradients[i])
            if i:
                torch.mm(y, w.T, out=back[i])
        if optimise:
            optimiser.step()

    return turn


ROWS = 2000
SIDES = (32, 64)  # of colour pictures


def legato_nll() -> Turn:
    learner, _, prepared = legato_learner(128)
    model = learner.average
    x = torch.from_numpy(prepared.rows(prepared.split("test").draw(IMAGES, "measured")))
    return lambda: score(model, [x], DRAWS)


def nll_floor() -> Turn:
    """The decoder's products for every draw, in chunks that fit the cache."""
    rows = 1000
    z, w1, w2 = torch.randn(rows, LATENT), torch.randn(LATENT, WIDTH), torch.randn(WIDTH, PIXELS)
    h, y = torch.empty(rows, WIDTH), torch.empty(rows, PIXELS)

    def turn() -> None:
        for _ in range(IMAGES * DRAWS // rows):
            torch.mm(z, w1, out=h)
            torch.mm(h, w2, out=y)

    return turn


def encode() -> Turn:
    learner, _, prepared = legato_learner(128)
    x = torch.from_numpy(prepared.rows(prepared.split("test").draw(ROWS, "measured")))
    return torch.no_grad()(lambda: learner.average.latent.posterior(x))


def sample() -> Turn:
    learner, _, _ = legato_learner(128)
    return torch.no_grad()(lambda: learner.average.sample(ROWS))


def chain(*sizes: int) -> Turn:
    """The products of a forward pass over `ROWS` examples, preallocated."""
    weights = [torch.randn(a, b) * 0.05 for a, b in pairwise(sizes)]
    values = [torch.randn(ROWS, size) for size in sizes]

    def turn() -> None:
        for x, w, y in zip(values, weights, values[1:], strict=False):
            torch.mm(x, w, out=y)

    return turn


# ------------------------------------------------------------------------------------------------- turns


def serve(make: Callable[[], Turn], pipe: Connection) -> None:
    """A contestant's process; what it fails of is sent, since its own words are silenced."""
    try:
        contest(make, pipe)
    except Exception:
        pipe.send(traceback.format_exc())


def contest(make: Callable[[], Turn], pipe: Connection) -> None:
    """Answers each request for about `seconds` of work with the seconds of one unit of it."""
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):  # Pythae tells of every epoch
        os.dup2(silence, stream)
    turn = make()
    repeats = getattr(turn, "repeats", 1)
    for _ in range(30 // repeats + 3):
        turn()
    start = time.perf_counter()
    turn()
    pace = time.perf_counter() - start
    pipe.send(0.0)
    while seconds := pipe.recv():
        turn()  # refills the caches that another's turn emptied
        times = max(round(seconds / pace), 1)
        start = time.perf_counter()
        for _ in range(times):
            turn()
        pace = (time.perf_counter() - start) / times
        pipe.send(pace / repeats)


def answer(name: str, pipe: Connection) -> float:
    """What a contestant sends; where it has died, its traceback is shown and its name is said."""
    try:
        found = pipe.recv()
    except EOFError:
        raise SystemExit(f"the contestant `{name}` ended before it answered") from None
    if isinstance(found, str):
        raise SystemExit(f"the contestant `{name}` failed:\n{found}")
    return float(found)


def interleaved(contestants: dict[str, Callable[[], Turn]], rounds: int, seconds: float = 0.2) -> dict[str, list[float]]:
    """Seconds per unit of work of each contestant in each round, in a shuffled order; the first two rounds only warm up."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name, make in contestants.items():
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(make, theirs), daemon=True).start()
        theirs.close()  # the contestant's alone: its end then ends ours, which would else wait for ever
        answer(name, pipes[name])
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds + 2):
        for name in random.sample(list(pipes), len(pipes)):
            time.sleep(0.05)  # the threads of the one before stop waiting for work
            pipes[name].send(seconds)
            times[name].append(answer(name, pipes[name]))
    for pipe in pipes.values():
        pipe.send(0)
    return {name: found[2:] for name, found in times.items()}


# ------------------------------------------------------------------------------------------------- table


@dataclass(frozen=True)
class Row:
    """`ratio`: how many times ours fits into the other's time."""

    what: str
    beside: str
    ratio: float
    low: float
    high: float
    ours_ms: float
    theirs_ms: float
    least: float | None = None
    aim: float | None = None

    def __str__(self) -> str:
        goal = "" if self.least is None else f"{self.least:g} / {self.aim:g}"
        numbers = f"{self.ratio:>5.2f} [{self.low:.2f}, {self.high:.2f}]   {goal:<11}"
        return f"{self.what:<28} {self.beside:<24} {numbers} {self.ours_ms:.2f} / {self.theirs_ms:.2f}"


GOALS = {
    ("training, batch 128", "products"): (0.65, 0.80),
    ("training, batch 512", "products"): (0.80, 0.90),
    ("training, batch 128", "Pythae"): (3.0, 4.0),
    ("NLL", "Pythae"): (3.0, 5.0),
    **{
        (f"{what}, {side} × {side} × 3", f"convolutions, {precision}"): (0.7, 0.8)
        for what in ("training", "sampling")
        for side in SIDES
        for precision in PRECISIONS
    },
}


def compare(what: str, contestants: dict[str, Callable[[], Turn]], rounds: int) -> Iterator[Row]:
    """A row for every contestant beside each that is called legato."""
    times = interleaved(contestants, rounds)
    for ours in [name for name in times if name.startswith("legato")]:
        label = what + ours.removeprefix("legato")
        for other in [name for name in times if not name.startswith("legato")]:
            ratios = [b / a for a, b in zip(times[ours], times[other], strict=True)]
            low, middle, high = statistics.quantiles(ratios, n=4)
            mine, theirs = (statistics.median(times[name]) * 1e3 for name in (ours, other))
            yield Row(label, other, middle, low, high, mine, theirs, *GOALS.get((label, other), ()))


def training(batch: int, peer: bool) -> dict[str, Callable[[], Turn]]:
    native = native_precision(torch.device("cpu"))
    of_compiled = dict.fromkeys(("float32", native)) if shutil.which("g++") else ()
    found = {
        "legato": partial(legato_training, batch, gear="replayed"),
        "legato, plain": partial(legato_training, batch),
        **({} if native == "float32" else {f"legato, {native}": partial(legato_training, batch, native, "replayed")}),
        **{f"legato, {one}, compiled": partial(legato_training, batch, one, "compiled") for one in of_compiled},
        "products": partial(training_floor, batch, False),
        "products + optimiser": partial(training_floor, batch, True),
        "by hand": partial(by_hand, batch),
        "plain loop": partial(plain_training, batch),
    }
    return found | ({"Pythae": partial(pythae_training, batch)} if peer else {})


def likelihood(peer: bool) -> dict[str, Callable[[], Turn]]:
    found = {"legato": legato_nll, "products": nll_floor}
    more = {"Pythae": partial(pythae_nll, 100), "Pythae, all draws at once": partial(pythae_nll, DRAWS)}
    return found | (more if peer else {})


def colour(side: int) -> Iterator[tuple[str, dict[str, Callable[[], Turn]]]]:
    """The default net beside its convolutions, in each precision of which this chip gains."""
    native = native_precision(torch.device("cpu"))
    precisions = ("float32", native) if native != "float32" else (native,)
    step = {
        "legato": partial(convolutions.training, side, native),
        "legato, plain": partial(convolutions.training, side, native, False),
    }
    floors = {f"convolutions, {one}": partial(convolutions.training_floor, side, one) for one in precisions}
    yield f"training, {side} × {side} × 3", step | floors
    decoded = {f"convolutions, {one}": partial(convolutions.sampling_floor, side, one) for one in precisions}
    yield f"sampling, {side} × {side} × 3", {"legato": partial(convolutions.sampling, side), **decoded}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="", metavar="TEXT", help="the groups whose name holds this")
    parser.add_argument("--contestants", nargs="+", metavar="NAME", help="of these groups, only those of these names")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    peer = importlib.util.find_spec("pythae") is not None
    if not peer:
        print("Pythae is not installed (`make bench` does that), left out", file=sys.stderr)
    print(f"{date.today()}, {processor()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'what':<28} {'beside':<24} ratio [middle half]  least / aim ms: ours / theirs")
    groups = [
        ("training, batch 128", training(128, peer)),
        ("training, batch 512", training(512, peer)),
        ("NLL", likelihood(peer)),
        ("encode", {"legato": encode, "products": partial(chain, PIXELS, WIDTH, 2 * LATENT)}),
        ("sample", {"legato": sample, "products": partial(chain, LATENT, WIDTH, PIXELS)}),
        *(group for side in SIDES for group in colour(side)),
    ]
    rows = []
    for what, contestants in ((what, some) for what, some in groups if chosen.only in what):
        if chosen.contestants:
            contestants = {name: make for name, make in contestants.items() if name in chosen.contestants}
        for row in compare(what, contestants, chosen.rounds):
            print(row, flush=True)
            rows.append(row)
    starts = {
        "legato --help": start(str(Path(sys.executable).with_name("legato")), "--help"),
        "import legato": start(sys.executable, "-c", "import legato"),
        "python alone": start(sys.executable, "-c", ""),
    }
    print("seconds from start to end: " + ", ".join(f"{name} {seconds:.2f}" for name, seconds in starts.items()))
    if chosen.json:
        found = {"date": str(date.today()), "machine": processor(), "threads": torch.get_num_threads()}
        found |= {"torch": torch.__version__, "starts": starts, "rows": [asdict(row) for row in rows]}
        chosen.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def start(*command: str) -> float:
    """Median seconds of a whole process, over 7."""
    times = []
    for _ in range(7):
        began = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def processor() -> str:
    """The processor's name, where the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").splitlines() if cpuinfo.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown processor")


if __name__ == "__main__":
    main()
