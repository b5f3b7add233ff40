"""What is seen after the first minutes: Legato's defaults beside others and beside a net of twenty lines.

    python records/first_minutes.py FOLDER --group '^([0-9a-f]+)' [--seconds 120] [--out records/first-minutes.json]

On one thread, each contestant is given the same seconds of the processor (not of the clock, so that other work beside it counts
less), and its schedule is fitted to them. FOLDER is a folder of colour pictures, read at 32 × 32 and 64 × 64; MNIST comes with
Legato. `--group` keeps variants of one picture in one split. Figures are of the test split: the mean square error of what is
decoded from posterior means, pixels in 0 … 1, and bits per dimension, −ELBO/(D ln 2) with one draw, where the likelihood is one
of bytes. Sheets of test images, their reconstructions and samples of the prior go beside the JSON.

Contestants: `default` (legato/defaults.py), `before` (the defaults until November 2026), `twenty lines` (below).
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import legato.recipes  # noqa: F401
from legato.data import DataOptions, open_source
from legato.data.batches import TrainingBatches
from legato.data.dataset import Dataset
from legato.data.preparation import prepare
from legato.data.prepared import Prepared
from legato.definition import define
from legato.pictures import save_png, strips
from legato.training.learner import Learner
from legato.training.options import TrainingOptions, most_steps, plan

LATENT = 32
TESTED = 500  # images of the test split
PROBED = 0.05  # of the seconds, before the schedule is known; they count


@dataclass(frozen=True)
class Row:
    """A contestant's outcome."""

    data: str
    contestant: str
    seconds: float
    steps: int
    batch: int
    passes: float
    weights: int
    mse: float
    bits: float | None


class TwentyLines(nn.Module):
    """A strided convolutional VAE as tutorials have it; MNIST is padded to 32 × 32 for it."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.pad = -size % 8 // 2
        at = (size + 2 * self.pad) // 8
        down = ((channels, 32), (32, 64), (64, 128))
        convolutions = [part for a, b in down for part in (nn.Conv2d(a, b, 4, 2, 1), nn.ReLU())]
        self.encoder = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(128 * at * at, 2 * LATENT))
        up = [part for a, b in reversed(down) for part in (nn.ReLU(), nn.ConvTranspose2d(b, a, 4, 2, 1))]
        self.decoder = nn.Sequential(nn.Linear(LATENT, 128 * at * at), nn.Unflatten(1, (128, at, at)), *up, nn.Sigmoid())

    def decode(self, z: Tensor) -> Tensor:
        """(B, d) -> (B, C, H, W)."""
        return nn.functional.pad(self.decoder(z), [-self.pad] * 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Gives μ and log σ²."""
        mu, log_variance = self.encoder(nn.functional.pad(x, [self.pad] * 4)).chunk(2, 1)
        return mu, log_variance

    def loss(self, x: Tensor) -> Tensor:
        """The sum of squares and the KL: a Gaussian likelihood whose variance is ½."""
        mu, log_variance = self(x)
        decoded = self.decode(mu + torch.randn_like(mu) * (log_variance / 2).exp())
        kl = -0.5 * (1 + log_variance - mu**2 - log_variance.exp()).sum()
        return ((decoded - x) ** 2).sum().add(kl) / len(x)


def twenty_lines(name: str, data: Dataset, seconds: float, out: Path) -> Row:
    """Adam at 1e-3, batches of 64, until the seconds are over."""
    torch.manual_seed(0)
    images = torch.from_numpy(np.array(data.rows[data.splits["train"].all()])).float() / 255
    net, batch, steps, until = TwentyLines(images.shape[1], images.shape[-1]), 64, 0, time.thread_time() + seconds
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    while time.thread_time() < until:
        optimiser.zero_grad()
        net.loss(images[torch.randint(len(images), (batch,))]).backward()
        optimiser.step()
        steps += 1
    x = torch.from_numpy(np.array(data.rows[data.splits["test"].draw(TESTED, "first minutes")])).float() / 255
    with torch.no_grad():
        decoded, samples = net.decode(net(x)[0]), net.decode(torch.randn(12, LATENT))
    _sheet(out / f"{name}-{seconds:.0f}s-twenty-lines.png", x, decoded, samples)
    error = ((decoded - x) ** 2).mean().item()
    return Row(name, "twenty lines", seconds, steps, batch, steps * batch / len(images), _weights(net), error, None)


def legato_vae(name: str, contestant: str, data: Dataset, seconds: float, out: Path, **chosen: Any) -> Row:
    """The recipe `vae` under the shipped learner; `chosen` are its words, and of training `batch_size` and `learning_rate`."""
    from legato import defaults

    options = {word: chosen.pop(word) for word in ("batch_size", "learning_rate") if word in chosen}
    train = data.splits["train"].all()
    definition = define(
        "vae", Prepared(data, prepare(data.kind, data.likelihood, data.rows, train)).spec, latent_dim=LATENT, **chosen
    )
    prepared = Prepared(data, prepare(data.kind, definition.words.likelihood, data.rows, train))
    row = defaults.NETS[definition.words.net]
    batch, rate = options.get("batch_size", row.batch_size), options.get("learning_rate", row.learning_rate)
    batches = TrainingBatches(data.rows, train, prepared.preparation, batch, 0)

    def learner(total: int) -> Learner:
        torch.manual_seed(0)
        asked = TrainingOptions(batch_size=batch, learning_rate=rate, precision="float32")
        return Learner(definition.build(prepared.spec), plan(asked, total, batch), torch.device("cpu"))

    def go(some: Learner, steps: int, until: float = math.inf) -> int:
        for step in range(steps):
            if time.thread_time() > until:
                return step
            some.step(batches.at(step), step)
        return steps

    began = time.thread_time()
    probed = go(learner(10**9), 10**9, began + PROBED * seconds)
    spent = time.thread_time() - began
    total = max(int((seconds - spent) / (spent / probed)), 1)
    if contestant == "default":  # as `--minutes` does
        total = int(min(total, most_steps(len(train), batches.per_epoch, None)))
    trained = learner(total)
    go(trained, total)
    used = time.thread_time() - began
    error, bits = _figures(trained.average, prepared, out / f"{name}-{seconds:.0f}s-{contestant}.png")
    return Row(name, contestant, round(used, 1), total, batch, total * batch / len(train), _weights(trained.model), error, bits)


@torch.no_grad()
def _figures(model: Any, data: Prepared, place: Path) -> tuple[float, float | None]:
    squares = nats = values = 0.0
    torch.manual_seed(0)
    chosen = data.split("test").draw(TESTED, "first minutes")
    grey = torch.from_numpy(np.array(data.dataset.rows[chosen])).float() / 255
    for number, batch in enumerate(data.batches(chosen, 100)):  # of MNIST these are drawn: black or white
        given = torch.from_numpy(batch)
        trace, x = model(given, 1), grey[100 * number : 100 * number + len(given)]
        decoded = model.decode(trace.rungs[0].q.mean)
        if not values:
            _sheet(place, x, decoded, model.sample(12))
        squares += float(((decoded - x) ** 2).sum())
        nats += float(trace.rungs[0].kl.sum() - trace.log_px.sum())
        values += x.numel()
    return squares / values, nats / values / math.log(2) if not data.preparation.binarise else None


def _sheet(place: Path, x: Tensor, decoded: Tensor, samples: Tensor) -> None:
    rows = [("test images", x[:12]), ("posterior means, decoded", decoded[:12]), ("samples", samples[:12])]
    save_png(strips([(label, images.clamp(0, 1).numpy()) for label, images in rows]), place)


def _weights(net: nn.Module) -> int:
    return sum(weight.numel() for weight in net.parameters())


def contests(folder: Path, group: str | None) -> dict[str, tuple[Dataset, dict[str, Any] | None]]:
    """What is read, and what the defaults were before; None where they are what they were."""
    before = {"net": "conv", "batch_size": 256, "learning_rate": 1e-3}
    colour = {f"colour {n}": (open_source(str(folder), DataOptions(size=n, group=group)), before) for n in (32, 64)}
    return {**colour, "MNIST": (open_source("mnist"), None)}


def main() -> None:
    """Runs what was asked for; adds to the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--group")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--data", nargs="+", default=["colour 32", "colour 64", "MNIST"])
    parser.add_argument("--contestants", nargs="+", default=["twenty lines", "before", "default"])
    parser.add_argument("--out", type=Path, default=Path("records/first-minutes.json"))
    parser.add_argument("--sheets", type=Path, default=Path("first-minutes"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    chosen.sheets.mkdir(exist_ok=True)
    for name, (data, before) in contests(chosen.folder, chosen.group).items():
        for contestant in chosen.contestants if name in chosen.data else []:
            if contestant == "twenty lines":
                row = twenty_lines(name, data, chosen.seconds, chosen.sheets)
            elif contestant == "default" or before is not None:
                words = {} if contestant == "default" else dict(before or {})
                row = legato_vae(name, contestant, data, chosen.seconds, chosen.sheets, **words)
            else:
                continue
            print(json.dumps(asdict(row)), flush=True)
            _add(chosen.out, row)


def _add(path: Path, row: Row) -> None:
    found = json.loads(path.read_text()) if path.exists() else {"rows": []}
    found |= {"date": str(date.today()), "torch": torch.__version__, "machine": platform.processor() or platform.machine()}
    found["rows"].append(asdict(row))
    path.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
