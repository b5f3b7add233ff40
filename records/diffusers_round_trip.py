"""A tokenizer that goes to diffusers and comes back, and whose decoder is then trained alone: what differs, and what it gains.

    PYTHONPATH=.venv/peers python records/diffusers_round_trip.py FOLDER [--group '^([0-9a-f]+)'] [--minutes 10] [--steps N]
                                                                  [--size 32] [--words ...] [--threads 2] [--out runs/diffusers]

All by the command: `train tokenizer_kl --net diffusers`, `export --format diffusers`; diffusers itself loads the folder and
saves it anew; `train --start` it for one step of no length (back), and with `--freeze encoder` for as long again.
Moments and decoded means of test pictures are compared with diffusers' own, codes before and after the decoder's training bit
for bit, distortions picture by picture. `--steps` instead of minutes makes a trial. The record is printed, and written to
records/diffusers-round-trip.json, of a trial to --out. A further call goes on with what is missing.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from board import legato, trained
from trials import processor

from legato import load
from legato.files import write_json
from legato.latent_space import LatentSpace
from legato.measures.estimate import Estimate, mean_over, paired_difference
from legato.run import Run

KEPT = Path(__file__).with_name("diffusers-round-trip.json")
WORDS = "--net diffusers --width 16 --depth 1 --latent-dim 4 --downsampling 4"
MOST = 256  # test pictures that are compared with diffusers'


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--group", help="a regular expression: pictures with the same match stay together")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each of the two trainings")
    parser.add_argument("--steps", type=int, help="of each of the two, in the place of minutes")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--words", default=WORDS, help="of the tokenizer and its training, but for the learning rate")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/diffusers"))
    chosen = parser.parse_args(arguments)
    first, folder, saved, back, decoder = (chosen.out / name for name in ("first", "folder", "saved", "back", "decoder"))
    train(chosen, first)
    legato("export", str(first), "--format", "diffusers", "--out", str(folder))
    theirs = again(folder, saved)
    begun = ["--start", str(saved)]
    train(chosen, back, *begun, "--steps", "1", "--learning-rate", "1e-12", length=[])
    train(chosen, decoder, *begun, "--freeze", "encoder")
    spaces = [load(path, device="cpu") for path in (first, back, decoder)]
    data = spaces[0].data()
    x = np.asarray(data.dataset.rows[data.split("test").all()])
    record = {
        **{name: getattr(chosen, name) for name in ("minutes", "steps", "size", "words", "threads")},
        "trained": [{key: Run(path).stored("training")[key] for key in ("total", "batch_size")} for path in (first, decoder)],
        "test pictures": len(x),
        "largest difference from diffusers": {
            name: differences(theirs, one, x[:MOST]) for name, one in (("there", spaces[0]), ("back", spaces[1]))
        },
        "the same in double precision": differences(theirs.double(), spaces[0], x[:MOST], torch.float64),
        "codes after the decoder's training are the same bits": same(spaces[0], spaces[2], x),
        "distortion, nats": gained(*(one.distortion(x).astype(float) for one in (spaces[0], spaces[2])), "nats"),
        "squared error of an image, pixels in 0 … 1": gained(*(missed(one, x) for one in (spaces[0], spaces[2])), "squares"),
        "scaling factor": theirs.config.scaling_factor,
        "machine": processor(),
        "date": str(date.today()),
    }
    write_json(KEPT if chosen.steps is None else chosen.out / KEPT.name, record)
    print(json.dumps(record, indent=2, ensure_ascii=False))


def train(chosen: argparse.Namespace, run: Path, *more: str, length: list[str] | None = None) -> None:
    """Trains a tokenizer, or goes on with it, unless it is there."""
    by_clock = ["--minutes", str(chosen.minutes), "--max-passes", "1000000"]
    asked = by_clock if chosen.steps is None else ["--steps", str(chosen.steps)]
    data = ["--data", str(chosen.folder), "--size", str(chosen.size), *(["--group", chosen.group] if chosen.group else [])]
    words = ["tokenizer_kl", *data, *chosen.words.split(), *(asked if length is None else length), *more, "--device", "cpu"]
    trained(run, words, chosen.threads)


def again(folder: Path, saved: Path) -> Any:
    """diffusers' own model of the folder, which it has saved anew."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of diffusers' own
        import diffusers

        theirs, lacking = diffusers.AutoencoderKL.from_pretrained(folder, output_loading_info=True)
    assert not any(lacking[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), lacking
    theirs.save_pretrained(saved)
    return theirs.eval()


@torch.no_grad()
def differences(theirs: Any, space: LatentSpace, x: np.ndarray, dtype: torch.dtype = torch.float32) -> dict[str, float]:
    """The largest over all numbers: of means, of deviations in their own size, of decoded means in 0 … 1."""
    pixels, model = torch.from_numpy(space.prepare(x)).to(dtype), deepcopy(space.model).to(dtype)
    q, mine = theirs.encode(2 * pixels - 1).latent_dist, model.latent.posterior(pixels)
    decoded = (theirs.decode(q.mean).sample + 1) / 2 - model.decode(mine.mean)
    parts = {"mean": q.mean - mine.mean, "deviation": q.std / mine.stddev - 1, "decoded": decoded}
    return {name: float(part.abs().max()) for name, part in parts.items()}


def same(one: LatentSpace, other: LatentSpace, x: np.ndarray) -> bool:
    """Whether means and deviations of the codes are the same to the last bit."""
    return all(np.array_equal(a, b) for a, b in zip(one.encode(x), other.encode(x), strict=True))


def missed(space: LatentSpace, x: np.ndarray) -> np.ndarray:
    """The squared error of each picture, summed over its values, (N,)."""
    return np.square(space.reconstruct(x) - space.prepare(x), dtype=float).sum((1, 2, 3))


def gained(before: np.ndarray, after: np.ndarray, unit: str) -> dict[str, str]:
    """Both means, and the mean of what each picture gained, with its interval."""
    means = [mean_over(one, unit, "mean") for one in (before, after)]
    names = ("first", "decoder trained on", "difference")
    return dict(zip(names, map(told, [*means, paired_difference(after, before, unit, "mean")]), strict=True))


def told(one: Estimate) -> str:
    """An estimate in words."""
    return f"{one.value:.2f} [{one.low:.2f}, {one.high:.2f}]"


if __name__ == "__main__":
    main()
