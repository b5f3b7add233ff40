"""Samples of a tokenizer with a prior fitted to its codes, beside those of the flat `vae`, each made in the same time.

    python records/sampled_colours.py FOLDER --group '^([0-9a-f]+)' [--minutes 30] [--tokenizer-minutes 6] [--size 32]
                                             [--words "tokenizer_kl ..."] [--threads 2] [--out runs/sampled]

`legato train` makes the tokenizer, `legato refit --prior flow-matching` has what is left of the time; `vae` is trained for all
of it, and draws from its own p(z). As many samples as there are held-out pictures (validation and test) are judged beside them
in features that nothing was trained with: 64 channels of a random net, and PCA-64. Told of each: KID, Fréchet distance, both of
reconstructions, which are the floor, and copies; the ratio of KIDs. sheet.png holds 32 of these pictures and 32 samples of the
tokenizer in random order, and key.json beside it which is which: look before you open it. A further call goes on with what is
missing. The record is printed, and written to records/sampled-colours.json, of less than thirty minutes to --out.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from board import legato as command
from board import trained
from trials import processor

import legato
from legato.files import write_json
from legato.measures.copies import copies
from legato.measures.estimate import Estimate, subsampled
from legato.measures.features import PrincipalComponents, RandomNet
from legato.measures.fidelity import frechet, kernel_distance
from legato.measures.interval import bracketed
from legato.pictures import grid, strips
from legato.run import Run
from legato.survey.material import Material, material

KEPT = Path(__file__).with_name("sampled-colours.json")
WORDS = "tokenizer_kl --width 48 --beta 0.3"
TRAINED, JUDGED, SHOWN, BESIDE = 10_000, 5_000, 32, 14


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--group", required=True, help="a regular expression: pictures with the same match stay together")
    parser.add_argument("--minutes", type=float, default=30.0, help="of the flat model, and of the other two together")
    parser.add_argument("--tokenizer-minutes", type=float, default=6.0)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--words", default=WORDS, help="of the tokenizer and its training")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("runs/sampled"))
    chosen = parser.parse_args(arguments)
    token, flat = chosen.out / "tokenizer", chosen.out / "vae"
    trained(token, words_of(chosen, chosen.words.split(), chosen.tokenizer_minutes), chosen.threads)
    if not (token / "priors/flow-matching.json").is_file():
        left = chosen.minutes - seconds(token) / 60
        command("refit", str(token), "--prior", "flow-matching", "--minutes", f"{left:.2f}", "--threads", str(chosen.threads))
    trained(flat, words_of(chosen, ["vae", "--keep", "best"], chosen.minutes), chosen.threads)
    spaces = {
        "tokenizer": legato.load(token, threads=chosen.threads, prior="flow-matching"),
        "vae": legato.load(flat, threads=chosen.threads),
    }
    of = material(spaces["vae"].data(), TRAINED, JUDGED)
    samples = {name: drawn(space, len(of.test)) for name, space in spaces.items()}
    told = json.loads((token / "priors/flow-matching.json").read_text(encoding="utf-8"))["told"]
    record = {
        **{name: getattr(chosen, name) for name in ("minutes", "size", "words", "threads")},
        "steps": {"tokenizer": total(token), "prior": told["steps"], "vae": total(flat)},
        "seconds": {"tokenizer": seconds(token), "prior": told["seconds"], "vae": seconds(flat)},
        **judged(of, samples, {name: space.decode(space.posterior(of.test.x)[0]) for name, space in spaces.items()}),
        "machine": processor(),
        "date": str(date.today()),
    }
    if not (chosen.out / "key.json").is_file():  # whoever has looked keeps their sheet
        shuffled(of.test.images, samples["tokenizer"], chosen.out)
    rows = {"held-out pictures": of.test.images, "flat vae": samples["vae"], "tokenizer": samples["tokenizer"]}
    strips([(name, images[:BESIDE]) for name, images in rows.items()], scale=2).save(chosen.out / "beside.png")
    for name, images in samples.items():
        grid(images[:64], columns=8).save(chosen.out / f"{name}.png")
    write_json(KEPT if chosen.minutes >= 30 else chosen.out / KEPT.name, record)
    print(json.dumps(record, indent=2, ensure_ascii=False))


def words_of(chosen: argparse.Namespace, words: Sequence[str], minutes: float) -> list[str]:
    """What `legato train` is told."""
    data = ["--data", str(chosen.folder), "--size", str(chosen.size), "--group", chosen.group]
    return [*words, *data, "--minutes", str(minutes), "--max-passes", "1000000"]


def total(run: Path) -> int:
    """The steps of a training."""
    return int(Run(run).stored("training")["total"])


def seconds(run: Path) -> float:
    """The seconds of a training."""
    return float([line["clock"]["seconds"] for line in Run(run).read_metrics()][-1])


def drawn(space: legato.LatentSpace, n: int) -> np.ndarray:
    """Samples of the prior that a space has."""
    return np.asarray(space.sample(n, seed=0, origin="prior"), np.float32)


def judged(of: Material, samples: dict[str, np.ndarray], rebuilt: dict[str, np.ndarray]) -> dict[str, Any]:
    """The figures in each of the features."""
    found: dict[str, Any] = {"held-out pictures": len(of.test)}
    for features in (RandomNet(of.train.images, widths=(16, 32, 64)), PrincipalComponents(of.train.images)):
        real, train = features.of(of.test.images), features.of(of.train.images)
        shown = {name: features.of(images) for name, images in samples.items()}
        built = {name: features.of(np.asarray(images, np.float32)) for name, images in rebuilt.items()}
        figures = {f"KID of samples, {name}": bracketed(kid(real, one)) for name, one in shown.items()}
        figures["ratio of both"] = bracketed(ratio(real, shown["tokenizer"], shown["vae"]))
        figures |= {f"KID of reconstructions, {name}": bracketed(kid(real, one)) for name, one in built.items()}
        figures |= {f"Fréchet distance of samples, {name}": bracketed(frechet(real, one)) for name, one in shown.items()}
        figures |= {
            f"Fréchet distance of reconstructions, {name}": bracketed(frechet(real, one)) for name, one in built.items()
        }
        figures["KID of training pictures"] = bracketed(kid(real, train[: len(real)]))
        figures |= {f"copies, {name}": bracketed(copies(train, real, one)) for name, one in shown.items()}
        found[features.name] = figures
    return found


def kid(real: np.ndarray, made: np.ndarray) -> Estimate:
    """The unbiased squared MMD of all pictures at once, its interval from halves."""
    n, (first, second) = len(real), scaled(real, made)
    return subsampled(lambda rows: kernel_distance(first[rows], second[rows]), n, n // 2, "squared MMD", "KID")


def ratio(real: np.ndarray, one: np.ndarray, other: np.ndarray) -> Estimate:
    """KID of one set over that of another, beside the same pictures."""
    n, (first, second, third) = len(real), scaled(real, one, other)

    def statistic(rows: np.ndarray) -> float:
        return kernel_distance(first[rows], second[rows]) / kernel_distance(first[rows], third[rows])

    return subsampled(statistic, n, n // 2, "1", "ratio of KIDs")


def scaled(real: np.ndarray, *others: np.ndarray) -> list[np.ndarray]:
    """Features in the size of the real ones (legato.measures.fidelity.kid)."""
    size = float(np.sqrt(np.square(real, dtype=float).mean()))
    return [np.asarray(one, float) / size for one in (real, *others)]


def shuffled(real: np.ndarray, samples: np.ndarray, out: Path) -> None:
    """Real pictures and samples in random order, and in a file of its own which is which."""
    rng = np.random.default_rng()
    both = np.concatenate([real[rng.permutation(len(real))[:SHOWN]], samples[:SHOWN]])
    order = rng.permutation(2 * SHOWN)
    grid(both[order], columns=8, scale=4).save(out / "sheet.png")
    write_json(out / "key.json", {"samples, row by row from 1": [int(at) + 1 for at in np.flatnonzero(order >= SHOWN)]})


if __name__ == "__main__":
    main()
