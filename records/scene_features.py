"""Trains the small net in whose features `Perceptual` compares pictures, and writes it beside the objectives.

    python records/scene_features.py [--steps 2000] [--seed 0] [--threads 1] [--out src/legato/objectives]

It sees pictures of 32 × 32 that this script draws, never one twice, and says two things of each: which of five scenes it is,
and which of six things was done to it. Scenes: leaves that lie over each other (dead leaves: discs, squares, the ellipses and
hearts of `factors`), gratings, clouds. Done: nothing, blur, noise, larger pixels, fewer colours, edges made too sharp.
To tell these, features have to see edges and their sharpness, texture, and what is no part of a scene. Both answers are linear
in the means of all layers' features, so that each layer learns something. Nothing is picked: the last weights are kept, in
half precision, and tried on 2,000 pictures of another seed.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, cross_entropy, interpolate, pad

from legato.data.outlines import ellipse, heart, square
from legato.files import whole_file, write_json
from legato.objectives.features import ABOUT, WEIGHTS, WIDTHS, SceneFeatures

SIZE, BATCH, PEAK, DECAY = 32, 64, 2e-3, 1e-4
LEAVES = 24  # on each picture, the last on top
SCENES = ("discs", "squares", "ellipses and hearts", "gratings", "clouds")
DONE = ("nothing", "blur", "noise", "larger pixels", "fewer colours", "too sharp")


def main() -> None:
    """Trains, halves, tries and writes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=WEIGHTS.parent)
    chosen = parser.parse_args()
    torch.manual_seed(chosen.seed)
    torch.set_num_threads(chosen.threads)
    net = Telling()
    train(net, chosen.steps, np.random.default_rng(chosen.seed))
    for part in net.modules():
        for weight in part.parameters(recurse=False):
            weight.data = weight.data.half().float()  # as they are shipped
    right = tried(net, np.random.default_rng(chosen.seed + 1))
    content = save({name: value.half().contiguous() for name, value in net.features.state_dict().items()})
    with whole_file(chosen.out / WEIGHTS.name) as file:
        file.write(content)
    about = {
        "blake2b": hashlib.blake2b(content, digest_size=16).hexdigest(),
        "scenes_told": round(right[0], 4),
        "done_told": round(right[1], 4),
        "tried_on": 2000,
        "data": f"pictures drawn by the script: {', '.join(SCENES)}; {', '.join(DONE)}",
        "made_by": f"records/scene_features.py --steps {chosen.steps} --seed {chosen.seed}",
    }
    write_json(chosen.out / ABOUT.name, about)
    print(about)


class Telling(nn.Module):
    """The features, and two answers that are linear in the mean of each of them over the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.features = SceneFeatures()
        self.scene, self.done = nn.Linear(sum(WIDTHS), len(SCENES)), nn.Linear(sum(WIDTHS), len(DONE))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of both."""
        seen = torch.cat([layer.mean((2, 3)) for layer in self.features(x)], 1)
        return self.scene(seen), self.done(seen)


def train(net: Telling, steps: int, rng: np.random.Generator) -> None:
    """One rise and one fall of the learning rate."""
    optimiser = torch.optim.AdamW(net.parameters(), lr=PEAK, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, PEAK, steps)
    began = time.monotonic()
    for step in range(steps):
        x, scene, done = pictures(rng, BATCH)
        answers = net(x)
        loss = cross_entropy(answers[0], scene) + cross_entropy(answers[1], done)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 200 == 0 or step == steps - 1:
            print(f"step {step}: {loss.item():.3f} nats, {time.monotonic() - began:.0f} s", flush=True)


@torch.no_grad()
def tried(net: Telling, rng: np.random.Generator) -> tuple[float, float]:
    """The shares of 2,000 new pictures of which the scene and what was done are told right."""
    x, scene, done = pictures(rng, 2000)
    answers = net(x)
    return tuple(float((logits.argmax(1) == said).float().mean()) for logits, said in zip(answers, (scene, done), strict=True))


def pictures(rng: np.random.Generator, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Pictures (n, 3, 32, 32) in 0 … 1, the number of each one's scene, of what was done to it."""
    scene, done = rng.integers(0, len(SCENES), n), rng.integers(0, len(DONE), n)
    drawn = np.empty((n, 3, SIZE, SIZE), np.float32)
    for number, draw in enumerate((discs, squares, shapes, gratings, clouds)):
        which = np.flatnonzero(scene == number)
        drawn[which] = draw(rng, len(which))
    x = torch.from_numpy(drawn)
    for number in range(1, len(DONE)):
        which = torch.from_numpy(np.flatnonzero(done == number))
        x[which] = changed(x[which], number, rng)
    return x.clamp(0, 1), torch.from_numpy(scene), torch.from_numpy(done)


def discs(rng: np.random.Generator, n: int) -> np.ndarray:
    """Dead leaves that are discs."""
    return leaves(rng, n, lambda u, v: np.sqrt(u * u + v * v) - 1 / math.sqrt(math.pi))


def squares(rng: np.random.Generator, n: int) -> np.ndarray:
    """Dead leaves that are squares."""
    return leaves(rng, n, square)


def shapes(rng: np.random.Generator, n: int) -> np.ndarray:
    """Dead leaves that are ellipses, or hearts."""
    half = n // 2
    return np.concatenate([leaves(rng, half, ellipse), leaves(rng, n - half, heart)])


def leaves(rng: np.random.Generator, n: int, outline) -> np.ndarray:
    """Shapes over each other, each of one colour; sizes fall as a power, as those of things in pictures do."""
    x = np.broadcast_to(rng.uniform(0, 1, (n, 3, 1, 1)), (n, 3, SIZE, SIZE)).astype(np.float32)
    at = (np.arange(SIZE, dtype=np.float32) + 0.5)[None]
    for _ in range(LEAVES):
        side = 4 * rng.uniform(0.05, 1, (n, 1, 1)).astype(np.float32) ** -0.5
        turn = rng.uniform(0, 2 * math.pi, (n, 1, 1)).astype(np.float32)
        across, down = (at - rng.uniform(0, SIZE, (n, 1)).astype(np.float32) for _ in range(2))
        across, down = across[:, None, :] / side, down[:, :, None] / side
        u, v = np.cos(turn) * across + np.sin(turn) * down, np.cos(turn) * down - np.sin(turn) * across
        share = np.clip(0.5 - outline(u, v) * side, 0, 1)[:, None]
        x = x + share * (rng.uniform(0, 1, (n, 3, 1, 1)).astype(np.float32) - x)
    return x


def gratings(rng: np.random.Generator, n: int) -> np.ndarray:
    """Two waves in two pairs of colours."""
    rows, columns = np.mgrid[:SIZE, :SIZE].astype(np.float32)
    x = rng.uniform(0.3, 0.7, (n, 3, 1, 1))
    for _ in range(2):
        turn, length, start = rng.uniform(0, math.pi, n), rng.uniform(3, 16, n), rng.uniform(0, 2 * math.pi, n)
        along = np.cos(turn)[:, None, None] * columns + np.sin(turn)[:, None, None] * rows
        wave = np.sin(2 * math.pi * along / length[:, None, None] + start[:, None, None])[:, None]
        x = x + wave * rng.uniform(-0.3, 0.3, (n, 3, 1, 1))
    return x.astype(np.float32)


def clouds(rng: np.random.Generator, n: int) -> np.ndarray:
    """Noise whose power falls as a power of its frequency, 2 to 4."""
    frequency = np.hypot(np.fft.fftfreq(SIZE)[:, None], np.fft.rfftfreq(SIZE)[None])
    frequency[0, 0] = np.inf
    fall = rng.uniform(1, 2, (n, 1, 1, 1))
    noise = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(n, 3, SIZE, SIZE))) * frequency**-fall, s=(SIZE, SIZE))
    mixed = np.einsum("nij,njhw->nihw", rng.normal(size=(n, 3, 3)), noise)
    mixed /= mixed.std((1, 2, 3), keepdims=True)
    return (rng.uniform(0.3, 0.7, (n, 3, 1, 1)) + 0.2 * mixed).astype(np.float32)


def changed(x: Tensor, what: int, rng: np.random.Generator) -> Tensor:
    """Pictures with one of `DONE` done to them, by a strength drawn for all of them."""
    if what == 1:
        return blurred(x, rng.uniform(0.5, 1.5))
    if what == 2:
        return x + rng.uniform(0.03, 0.2) * torch.from_numpy(rng.normal(size=x.shape).astype(np.float32))
    if what == 3:
        return interpolate(avg_pool2d(x, 2), scale_factor=2.0, mode="nearest")
    if what == 4:
        levels = int(rng.integers(2, 6))
        return (x * levels).round() / levels
    return x + rng.uniform(0.7, 2) * (x - blurred(x, 1.0))


def blurred(x: Tensor, sigma: float) -> Tensor:
    """A Gaussian of 7 × 7 along both axes, edges repeated."""
    window = torch.exp(-(torch.arange(-3, 4) ** 2) / (2 * sigma**2))
    window = window / window.sum()
    for axis in (2, 3):
        margins = (0, 0, 3, 3) if axis == 2 else (3, 3, 0, 0)
        cut = pad(x, margins, mode="replicate").unfold(axis, 7, 1)
        x = (cut * window).sum(-1)
    return x


if __name__ == "__main__":
    main()
