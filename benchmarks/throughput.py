"""How fast Legato is: ratios within one run, beside Pythae, a plain PyTorch loop, and the machine's own limit.

    python benchmarks/throughput.py [--rounds 15] [--json FILE]

One network (784-512-20-512-784, ReLU, Bernoulli), the same threads, float32 unless a row says otherwise. Every contestant has
a process of its own, as a user would run it, so that none inherits another's memory; in every round each takes a turn of a
fifth of a second, in a shuffled order, so that a machine that slows down slows all. The ratio is the median over rounds, with
the range that holds its middle half.

The floor counts the step's matrix products alone, into preallocated outputs: forward 4, backward 7 (no gradient by the input).
`products + optimiser` adds one fused AdamW pass over the weights. A ratio of 1 would mean that all else is free; `by hand` is
how near to that torch's own operations can come.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import multiprocessing
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import date
from functools import partial
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path

import torch
from by_hand import turns
from torch import nn

from legato.data import open_source
from legato.data.batches import TrainingBatches
from legato.data.preparation import prepare
from legato.data.prepared import Prepared
from legato.devices import choose, native_precision
from legato.measures.likelihood import score
from legato.recipe import define
from legato.training.learner import Learner
from legato.training.options import TrainingOptions, plan

WIDTH, LATENT, PIXELS = 512, 20, 784
Turn = Callable[[], object]


def legato_learner(batch: int, precision: str = "float32") -> tuple[Learner, TrainingBatches, Prepared]:
    """The shipped learner on the shipped batches."""
    data = open_source("mnist")
    prepared = Prepared(data, prepare(data.kind, "bernoulli", data.rows, data.splits["train"]))
    definition = define("vae", prepared.spec, latent_dim=LATENT, net="mlp", width=WIDTH, depth=1)
    options = plan(TrainingOptions(batch_size=batch, precision=precision), 100_000, batch)
    learner = Learner(definition.build(prepared.spec), options, choose("cpu"))
    return learner, TrainingBatches(data.rows, data.splits["train"], prepared.preparation, batch, 0), prepared


def legato_training(batch: int, precision: str = "float32") -> Turn:
    """What `legato train` does in a step, the sums of its metrics included."""
    learner, batches, _ = legato_learner(batch, precision)
    step, sums = 0, torch.zeros(len(learner.names), dtype=torch.double)

    def turn() -> None:
        nonlocal step, sums
        parts = learner.step(torch.from_numpy(batches.at(step)), step)
        if parts is not None:
            sums += parts
        step += 1

    return turn


class Plain(nn.Module):
    """The network of PyTorch's own VAE example, with this benchmark's sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.mu, self.logvar = nn.Linear(PIXELS, WIDTH), nn.Linear(WIDTH, LATENT), nn.Linear(WIDTH, LATENT)
        self.fc3, self.fc4 = nn.Linear(LATENT, WIDTH), nn.Linear(WIDTH, PIXELS)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        h = torch.relu(self.fc1(x))
        mu, logvar = self.mu(h), self.logvar(h)
        z = mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return torch.sigmoid(self.fc4(torch.relu(self.fc3(z)))), mu, logvar


def plain_training(batch: int) -> Turn:
    """A loop as in PyTorch's VAE example: a DataLoader over a TensorDataset, Adam, binary cross-entropy."""
    data = open_source("mnist")
    images = torch.from_numpy(data.rows[data.splits["train"]].reshape(-1, PIXELS) / 255).float()
    model = Plain()
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images), batch_size=batch, shuffle=True)
    stream = endless(loader)

    def turn() -> None:
        (x,) = next(stream)
        optimiser.zero_grad()
        decoded, mu, logvar = model(x)
        distortion = nn.functional.binary_cross_entropy(decoded, torch.bernoulli(x), reduction="sum")
        loss = distortion - 0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp())
        loss.backward()
        loss.item()
        optimiser.step()

    return turn


def endless(loader):  # type: ignore[no-untyped-def]
    while True:
        yield from loader


def pythae_model():  # type: ignore[no-untyped-def]
    """Pythae's VAE with this benchmark's layers put into its own encoder and decoder classes."""
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(1), nn.Linear(PIXELS, WIDTH), nn.ReLU())
            self.mu, self.log_var = nn.Linear(WIDTH, LATENT), nn.Linear(WIDTH, LATENT)

        def forward(self, x: torch.Tensor) -> ModelOutput:
            h = self.body(x)
            return ModelOutput(embedding=self.mu(h), log_covariance=self.log_var(h))

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Linear(LATENT, WIDTH), nn.ReLU(), nn.Linear(WIDTH, PIXELS), nn.Sigmoid())

        def forward(self, z: torch.Tensor) -> ModelOutput:
            return ModelOutput(reconstruction=self.body(z).reshape(-1, 1, 28, 28))

    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce")
    return VAE(config, encoder=Encoder(), decoder=Decoder())


def pythae_training(batch: int) -> Turn:
    """Pythae's own `train_step`, which runs an epoch; here over a training set of 20 batches, so that a turn is one of them."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    data = open_source("mnist")
    images = torch.from_numpy(data.rows[data.splits["train"]][: 20 * batch] / 255).float()
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, num_epochs=1, learning_rate=1e-3, no_cuda=True
    )
    trainer = BaseTrainer(pythae_model(), BaseDataset(images, torch.zeros(len(images))), training_config=config)
    trainer.prepare_training()

    def turn() -> None:
        trainer.train_step(epoch=1)

    turn.repeats = 20  # type: ignore[attr-defined]
    return turn


def by_hand(batch: int) -> Turn:
    """Our batches, and a step without autograd or the allocator (by_hand.py): the least that torch's operations allow."""
    _, batches, _ = legato_learner(batch)
    return turns(lambda step: torch.from_numpy(batches.at(step)), batch, (PIXELS, WIDTH, LATENT))


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


IMAGES, DRAWS, ROWS = 50, 200, 2000


def legato_nll() -> Turn:
    learner, _, prepared = legato_learner(128)
    model = learner.average
    x = torch.from_numpy(prepared.rows(prepared.split("test")[:IMAGES]))
    return lambda: score(model, [x], DRAWS)


def pythae_nll(rows: int) -> Turn:
    """`get_nll` with `batch_size=rows`: 100 is its default, all draws at once is its best."""
    data = open_source("mnist")
    x = torch.from_numpy(data.rows[data.splits["test"]][:IMAGES] / 255).float()
    model = pythae_model().eval()

    def turn() -> None:
        with torch.no_grad():
            model.get_nll(x, n_samples=DRAWS, batch_size=rows)

    return turn


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
    x = torch.from_numpy(prepared.rows(prepared.split("test")[:ROWS]))
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
    """A contestant's process: answers each request for about `seconds` of work with the seconds of one unit of it."""
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
    pipe.send(None)
    while seconds := pipe.recv():
        turn()  # refills the caches that another's turn emptied
        times = max(round(seconds / pace), 1)
        start = time.perf_counter()
        for _ in range(times):
            turn()
        pace = (time.perf_counter() - start) / times
        pipe.send(pace / repeats)


def interleaved(contestants: dict[str, Callable[[], Turn]], rounds: int, seconds: float = 0.2) -> dict[str, list[float]]:
    """Seconds per unit of work of each contestant in each round, in a shuffled order; the first two rounds only warm up."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for name, make in contestants.items():
        pipes[name], theirs = context.Pipe()
        context.Process(target=serve, args=(make, theirs), daemon=True).start()
        pipes[name].recv()
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds + 2):
        for name in random.sample(list(pipes), len(pipes)):
            time.sleep(0.05)  # the threads of the one before stop waiting for work
            pipes[name].send(seconds)
            times[name].append(pipes[name].recv())
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
    found = {
        "legato": partial(legato_training, batch),
        **({} if native == "float32" else {f"legato, {native}": partial(legato_training, batch, native)}),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
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
    ]
    rows = []
    for what, contestants in groups:
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
