"""What losses of public implementations really charge, found by the doctor on models trained here; and two right ones.

    python records/audits.py             trains and examines all, writes records/audits.json and the table of docs/audits.md
    python records/audits.py --only bound --steps 20

Every model is one net (784-256-16, a Gaussian posterior, a sigmoid at the end), trained on MNIST from the same weights on the
same batches; only the loss differs. pyod's own VAE (pip install pyod) is trained by its own `fit`. Covered: what each loss
charges, and what the trained model shows of it without its loss. Not covered: which of them is better for anything.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import legato
from legato.data.preparation import Preparation
from legato.data.prepared import Prepared
from legato.doctor.loss import KEYS
from legato.doctor.patient import QUICK
from legato.doctored import Doctored
from legato.files import write_json

ROOT = Path(__file__).parents[1]
RECORD, PAGE = Path(__file__).with_suffix(".json"), ROOT / "docs" / "audits.md"
LATENT, WIDTH, BATCH, STEPS = 16, 256, 100, 2_000
TRAIN, TEST = 6_000, 1_000
EFFORT = replace(QUICK, train=1_000, test=500, samples=300, outer=300, noisy=80, places=8, halves=3, judged=300)
TRACES = ("second moment off one", "noise share", "collapsed channels")  # what shows without the loss
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


class Net(nn.Module):
    """x -> (μ, log σ²), and z -> x̂ in [0, 1]."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(nn.Flatten(), nn.Linear(784, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 2 * LATENT))
        self.decoder = nn.Sequential(nn.Linear(LATENT, WIDTH), nn.ReLU(), nn.Linear(WIDTH, 784), nn.Sigmoid())

    def code(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ²."""
        mu, log_variance = self.encoder(x).chunk(2, 1)
        return mu, log_variance

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """μ and σ."""
        mu, log_variance = self.code(x)
        return mu, (0.5 * log_variance).exp()

    def decode(self, z: Tensor) -> Tensor:
        """Pictures."""
        return self.decoder(z).reshape(-1, 1, 28, 28)


def rate(mu: Tensor, log_variance: Tensor) -> Tensor:
    """KL(q ‖ N(0, I)), the mean over examples, nats."""
    return 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()


def cross_entropy(x: Tensor, rebuilt: Tensor) -> Tensor:
    """−log p(x|z) of Bernoulli pixels, the mean over examples, nats."""
    return F.binary_cross_entropy(rebuilt, x, reduction="sum") / len(x)


def bound(x: Tensor, rebuilt: Tensor, mu: Tensor, log_variance: Tensor) -> Tensor:
    """Right: both parts summed over their own numbers, and averaged over examples."""
    return cross_entropy(x, rebuilt) + rate(mu, log_variance)


def likeliest_width(x: Tensor, rebuilt: Tensor, mu: Tensor, log_variance: Tensor) -> Tensor:
    """Right: a Gaussian likelihood whose σ is the batch's likeliest (https://arxiv.org/abs/2006.13202)."""
    return 0.5 * x[0].numel() * (rebuilt - x).square().mean().log() + rate(mu, log_variance)


def averaged_pixels(x: Tensor, rebuilt: Tensor, mu: Tensor, log_variance: Tensor) -> Tensor:
    """`mse_loss` with its default mean over batch and pixels, beside a KL that is summed over dimensions."""
    return F.mse_loss(rebuilt, x) + rate(mu, log_variance)


def doubled(x: Tensor, rebuilt: Tensor, mu: Tensor, log_variance: Tensor) -> Tensor:
    """The reconstruction counted twice, as where a term is added to a list by two functions."""
    return 2 * cross_entropy(x, rebuilt) + rate(mu, log_variance)


def times_nothing(x: Tensor, rebuilt: Tensor, mu: Tensor, log_variance: Tensor) -> Tensor:
    """A KL whose weight stays where a warm-up that is never advanced began: at 0."""
    return cross_entropy(x, rebuilt) + 0.0 * rate(mu, log_variance)


with torch.random.fork_rng():
    torch.manual_seed(7)
    FEATURES = nn.Sequential(nn.Conv2d(1, 16, 5, 2), nn.Tanh(), nn.Conv2d(16, 32, 5, 2), nn.Flatten()).requires_grad_(False)


def seen(x: Tensor, rebuilt: Tensor) -> Tensor:
    """A perceptual distance: features of a net that is not trained."""
    net = FEATURES.to(x.dtype)
    return 1_000 * (net(rebuilt) - net(x)).square().mean()


def no_gradient(x: Tensor, rebuilt: Tensor, mu: Tensor, log_variance: Tensor) -> Tensor:
    """A perceptual term computed under `torch.no_grad()`: it is printed, and nothing learns it."""
    with torch.no_grad():
        perceptual = seen(x, rebuilt)
    return bound(x, rebuilt, mu, log_variance) + perceptual


HAND_MADE: dict[str, tuple[Loss, str]] = {
    "bound": (bound, "right"),
    "likeliest width": (likeliest_width, "right"),
    "averaged pixels": (averaged_pixels, "fault"),
    "doubled reconstruction": (doubled, "fault"),
    "KL times 0": (times_nothing, "fault"),
    "perceptual term under no_grad": (no_gradient, "fault"),
}


def trained(loss: Loss, x: Tensor, steps: int) -> Net:
    """The net after so many steps of Adam, from the same weights and batches for every loss."""
    torch.manual_seed(0)
    net = Net()
    optimiser = torch.optim.Adam(net.parameters(), 1e-3)
    for _ in range(steps):
        batch = x[torch.randint(len(x), (BATCH,))]
        mu, log_variance = net.code(batch)
        rebuilt = net.decode(mu + (0.5 * log_variance).exp() * torch.randn_like(mu))
        value = loss(batch, rebuilt, mu, log_variance)
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return net.eval()


def of_pyod(x: Tensor, epochs: int) -> tuple[Any, Any, Loss, str]:
    """encode, decode, loss and version of pyod's VAE with its defaults but for sizes, fitted by itself."""
    module = import_module("pyod.models.vae")
    model = module.VAE(
        encoder_neuron_list=[WIDTH], decoder_neuron_list=[WIDTH], latent_dim=LATENT, batch_size=BATCH, epoch_num=epochs,
        preprocessing=False, output_activation_name="sigmoid", verbose=0, random_state=0, device="cpu",
    )  # fmt: skip
    model.fit(x.flatten(1).numpy())
    net = model.model.eval().float()

    def encode(images: Tensor) -> tuple[Tensor, Tensor]:
        mu, log_variance = net.encode(images.flatten(1))
        return mu, (0.5 * log_variance).exp()

    def decode(z: Tensor) -> Tensor:
        return net.decoder(z).reshape(-1, 1, 28, 28)

    def loss(images: Tensor, rebuilt: Tensor, mu: Tensor, log_variance: Tensor) -> Tensor:
        flat = images.flatten(1), rebuilt.flatten(1)
        found: Tensor = module.vae_loss(*flat, mu, log_variance, beta=model.beta, capacity=model.capacity)
        return found

    return encode, decode, loss, import_module("pyod").__version__


def row(found: Doctored, kind: str, note: str = "") -> dict[str, Any]:
    """What the record keeps of one model."""
    figures = {key: found.figures[key].to_json() for key in (*KEYS, *TRACES)}
    return {
        "kind": kind,
        "note": note,
        "figures": figures,
        "shown": {key: short(found.figures[key].value) for key in figures},
        "alarms": [key for key in KEYS if found.advice[key].tone in ("bad", "part")],
        "says": {key: found.advice[key].says for key in KEYS if found.advice[key].tone in ("bad", "part")},
        "alone": [key for key in TRACES if found.advice[key].tone == "bad"],
        "answers": found.diagnosis.lines(),
    }


def short(value: float | None) -> str:
    """Three digits: an interval over images of what is one number for all of them has no width."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def pictures() -> tuple[np.ndarray, np.ndarray]:
    """Training and test digits in [0, 1], (n, 1, 28, 28)."""
    dataset = legato.open_source("mnist")
    prepared = Prepared(dataset, Preparation(dataset.kind))
    parts = (prepared.split(name).draw(count, "audited") for name, count in (("train", TRAIN), ("test", TEST)))
    taken = (prepared.preparation.original(dataset.take(rows)) for rows in parts)
    train, test = (np.asarray(rows, np.float32).reshape(-1, 1, 28, 28) for rows in taken)
    return train, test


def main() -> None:
    """Trains and examines all of them, or one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only")
    parser.add_argument("--steps", type=int, default=STEPS)
    asked = parser.parse_args()
    train, test = pictures()
    rows: dict[str, Any] = {}
    for name, (loss, kind) in HAND_MADE.items():
        if asked.only in (None, name):
            net = trained(loss, torch.from_numpy(train), asked.steps)
            found = legato.doctor(net.encode, net.decode, train, test=test, loss=loss, effort=EFFORT)
            rows[name] = row(found, kind, str(loss.__doc__))
            print(name, rows[name]["alarms"], rows[name]["alone"], flush=True)
    if asked.only in (None, "pyod"):
        encode, decode, loss, version = of_pyod(torch.from_numpy(train), max(asked.steps * BATCH // TRAIN, 1))
        found = legato.doctor(encode, decode, train, test=test, loss=loss, effort=EFFORT)
        note = f"pyod {version}, `pyod.models.vae.VAE`: its KL is clamped to at most `capacity`, 0 by default."
        rows["pyod"] = row(found, "fault", note)
        print("pyod", rows["pyod"]["alarms"], rows["pyod"]["alone"], flush=True)
    if asked.only is None:
        about = {"steps": asked.steps, "batch": BATCH, "train": TRAIN, "effort": EFFORT.to_json(), "torch": torch.__version__}
        write_json(RECORD, {"about": about, "models": rows})
        PAGE.write_text(filled(PAGE.read_text("utf-8"), rows), "utf-8")


BEGIN, END = "<!-- rows: python records/audits.py -->", "<!-- end of rows -->"
COLUMNS = ("model", "what its loss is", "effective β", "charge on the KL", "lost gradient", "alarms", "without its loss")


def filled(page: str, rows: dict[str, Any]) -> str:
    """The page with its table made of the record."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    lines = [_line(COLUMNS), _line("---" for _ in COLUMNS)]
    for name, one in rows.items():
        shown, none = one["shown"], "none"
        lines.append(
            _line(
                (
                    name, one["note"], shown["effective beta"], shown["charge on the KL"], shown["lost gradient"],
                    "; ".join(one["alarms"]) or none, "; ".join(one["alone"]) or none,
                )
            )
        )  # fmt: skip
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n{END}{after}"


def _line(cells: Any) -> str:
    return f"| {' | '.join(str(cell).replace('|', '/').strip() for cell in cells)} |"


if __name__ == "__main__":
    main()
