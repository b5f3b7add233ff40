"""How fast Legato is: ratios within one run, beside Pythae, a plain PyTorch loop, and the machine's own limit.

    python benchmarks/throughput.py [--rounds 30] [--json FILE]

One network (784-512-20-512-784, ReLU, Bernoulli), float32, the same threads. In every round each contestant takes a turn
of a few steps, in a shuffled order, so that a machine that slows down slows all; the ratio is the median over rounds.

The floor counts this step's matrix products alone, into preallocated outputs: forward 4, backward 7 (no gradient by the input).
`floor + optimiser` adds one fused AdamW pass over the weights. A ratio of 1 would mean that all else is free.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date

import torch
from torch import nn

from legato.data import open_source
from legato.data.batches import TrainingBatches
from legato.data.preparation import prepare
from legato.data.prepared import Prepared
from legato.measures.likelihood import score
from legato.recipe import define
from legato.training.learner import Learner
from legato.training.options import TrainingOptions, plan

WIDTH, LATENT, PIXELS = 512, 20, 784
Turn = Callable[[], object]


def legato_learner(batch: int) -> tuple[Learner, TrainingBatches, Prepared]:
    """The shipped learner on the shipped batches, in float32."""
    data = open_source("mnist")
    prepared = Prepared(data, prepare(data.kind, "bernoulli", data.rows, data.splits["train"]))
    definition = define("vae", prepared.spec, latent_dim=LATENT, net="mlp", width=WIDTH, depth=1)
    options = plan(TrainingOptions(batch_size=batch, precision="float32"), 100_000, batch)
    learner = Learner(definition.build(prepared.spec), options, torch.device("cpu"))
    return learner, TrainingBatches(data.rows, data.splits["train"], prepared.preparation, batch, 0), prepared


def legato_training(batch: int) -> Turn:
    learner, batches, _ = legato_learner(batch)
    step = 0

    def turn() -> None:
        nonlocal step
        learner.step(torch.from_numpy(batches.at(step)), step)
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
    """Pythae's own trainer: its data set, its loader and the body of its `train_step`, one batch a turn."""
    import tempfile

    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    data = open_source("mnist")
    images = torch.from_numpy(data.rows[data.splits["train"]] / 255).float()
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, num_epochs=1, learning_rate=1e-3, no_cuda=True
    )
    trainer = BaseTrainer(pythae_model(), BaseDataset(images, torch.zeros(len(images))), training_config=config)
    trainer.prepare_training()
    trainer.model.train()
    stream = endless(trainer.train_loader)

    def turn() -> None:
        inputs = trainer._set_inputs_to_device(next(stream))
        with trainer.amp_context:
            output = trainer.model(inputs, epoch=1, dataset_size=len(images), uses_ddp=False)
        trainer._optimizers_step(output)
        output.loss.item()
        trainer.model.update()

    return turn


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


IMAGES, DRAWS = 50, 200


def legato_nll() -> Turn:
    learner, _, prepared = legato_learner(128)
    model = learner.average
    x = torch.from_numpy(prepared.rows(prepared.split("test")[:IMAGES]))
    return lambda: score(model, [x], DRAWS)


def pythae_nll() -> Turn:
    data = open_source("mnist")
    x = torch.from_numpy(data.rows[data.splits["test"]][:IMAGES] / 255).float()
    model = pythae_model().eval()

    def turn() -> None:
        with torch.no_grad():
            model.get_nll(x, n_samples=DRAWS, batch_size=DRAWS)

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


def decode_turns() -> dict[str, Turn]:
    """Encoding and sampling 2,000 images, beside their products."""
    learner, _, prepared = legato_learner(128)
    model = learner.average
    rows = prepared.rows(prepared.split("test")[:2000])
    x = torch.from_numpy(rows)
    flat, z = x.reshape(-1, PIXELS), torch.randn(2000, LATENT)
    w1, w2 = torch.randn(PIXELS, WIDTH), torch.randn(WIDTH, 2 * LATENT)
    v1, v2 = torch.randn(LATENT, WIDTH), torch.randn(WIDTH, PIXELS)

    def encode() -> None:
        with torch.no_grad():
            model.latent.posterior(x)

    def sample() -> None:
        with torch.no_grad():
            model.sample(2000)

    return {
        "encode": encode,
        "encode floor": lambda: (flat @ w1) @ w2,
        "sample": sample,
        "sample floor": lambda: (z @ v1) @ v2,
    }


def interleaved(turns: dict[str, Turn], rounds: int, steps: int) -> dict[str, list[float]]:
    """Seconds per turn of each contestant in each round, in a shuffled order."""
    order, times = list(turns), {name: [] for name in turns}
    for turn in turns.values():
        for _ in range(5):
            turn()
    for _ in range(rounds):
        random.shuffle(order)
        for name in order:
            turns[name]()  # the first after another's turn refills the caches
            start = time.perf_counter()
            for _ in range(steps):
                turns[name]()
            times[name].append((time.perf_counter() - start) / steps)
    return times


def ratio(times: dict[str, list[float]], other: str, ours: str) -> float:
    """Median over rounds of other/ours: how many times ours fits into the other's time."""
    return statistics.median(b / a for a, b in zip(times[ours], times[other], strict=True))


def optional(turns: dict[str, Turn], name: str, make: Callable[[], Turn]) -> None:
    try:
        turns[name] = make()
    except ImportError:
        print(f"{name}: not installed (pip install 'legato-vae[bench]'), left out", file=sys.stderr)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json")
    chosen = parser.parse_args()
    rows = []
    for batch in (128, 512):
        turns: dict[str, Turn] = {
            "legato": legato_training(batch),
            "products": training_floor(batch, False),
            "products + optimiser": training_floor(batch, True),
            "plain loop": plain_training(batch),
        }
        optional(turns, "pythae", lambda batch=batch: pythae_training(batch))
        times = interleaved(turns, chosen.rounds, 8)
        rows += [
            (f"training, batch {batch}", other, ratio(times, other, "legato"), times) for other in turns if other != "legato"
        ]
    turns = {"legato": legato_nll(), "products": nll_floor()}
    optional(turns, "pythae", pythae_nll)
    times = interleaved(turns, max(chosen.rounds // 5, 3), 1)
    rows += [(f"NLL, k = {DRAWS}", other, ratio(times, other, "legato"), times) for other in turns if other != "legato"]
    times = interleaved(decode_turns(), chosen.rounds, 4)
    rows += [(name, f"{name} floor", ratio(times, f"{name} floor", name), times) for name in ("encode", "sample")]
    report(rows, chosen.json)


def report(rows: list[tuple[str, str, float, dict[str, list[float]]]], path: str | None) -> None:
    print(f"{date.today()}, {platform.machine()}, {torch.get_num_threads()} threads, torch {torch.__version__}")
    print(f"{'what':<22} {'beside':<22} {'ratio':>7}   ms: ours / theirs")
    found = []
    for what, other, value, times in rows:
        ours = "legato" if "legato" in times else what
        mine, theirs = (statistics.median(times[name]) * 1e3 for name in (ours, other))
        print(f"{what:<22} {other:<22} {value:>7.2f}   {mine:.2f} / {theirs:.2f}")
        found.append({"what": what, "beside": other, "ratio": value, "ours_ms": mine, "theirs_ms": theirs})
    if path:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(
                {"date": str(date.today()), "threads": torch.get_num_threads(), "torch": torch.__version__, "rows": found},
                file,
                indent=2,
            )


if __name__ == "__main__":
    main()
