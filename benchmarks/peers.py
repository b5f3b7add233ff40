"""The peers: a plain PyTorch loop, and Pythae with the benchmark's network put into its own classes; and the sizes all share.

A peer is a function that makes a turn: a call of it does one unit of the work that is timed (`repeats` of them where it says).
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable

import torch
from torch import nn

from legato.data import open_source

WIDTH, LATENT, PIXELS = 512, 20, 784
IMAGES, DRAWS = 50, 200  # of the likelihood: test images, and draws of z for each
Turn = Callable[[], object]


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
    images = torch.from_numpy(data.rows[data.splits["train"].all()].reshape(-1, PIXELS) / 255).float()
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


def pythae_training(batch: int, cuda: bool = False) -> Turn:
    """Pythae's own `train_step`, which runs an epoch; here over a training set of 20 batches, so that a turn is one of them."""
    from pythae.data.datasets import BaseDataset
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    data = open_source("mnist")
    images = torch.from_numpy(data.rows[data.splits["train"].draw(20 * batch, "measured")] / 255).float()
    config = BaseTrainerConfig(
        output_dir=tempfile.mkdtemp(), per_device_train_batch_size=batch, num_epochs=1, learning_rate=1e-3, no_cuda=not cuda
    )
    trainer = BaseTrainer(pythae_model(), BaseDataset(images, torch.zeros(len(images))), training_config=config)
    trainer.prepare_training()

    def turn() -> None:
        trainer.train_step(epoch=1)

    turn.repeats = 20  # type: ignore[attr-defined]
    return turn


def pythae_nll(rows: int) -> Turn:
    """`get_nll` with `batch_size=rows`: 100 is its default, all draws at once is its best."""
    data = open_source("mnist")
    x = torch.from_numpy(data.rows[data.splits["test"].draw(IMAGES, "measured")] / 255).float()
    model = pythae_model().eval()

    def turn() -> None:
        with torch.no_grad():
            model.get_nll(x, n_samples=DRAWS, batch_size=rows)

    return turn
