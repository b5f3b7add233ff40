"""How the defaults of `legato train vae` were chosen: candidates trained alike, compared on validation images.

    python records/defaults.py [--minutes 2.5 | --steps N] [--out FOLDER] [NAME...]

Each candidate is the default with one thing changed, trained by the command itself on MNIST, and judged by the
importance-weighted log-likelihood (k = 200) of the 5,000 held-out training digits; the test set is never read. Finished ones
are not trained again. `--steps` is for what costs no time (learning rate, latents, EMA), and for a machine that is not quiet.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

CANDIDATES = {
    "default": [],
    "40 latents": ["--latent-dim", "40"],
    "24 latents": ["--latent-dim", "24"],
    "batch 128": ["--batch-size", "128"],
    "batch 512": ["--batch-size", "512"],
    "learning rate 5e-4": ["--learning-rate", "5e-4"],
    "learning rate 2e-3": ["--learning-rate", "2e-3"],
    "learning rate 2e-3, batch 512": ["--learning-rate", "2e-3", "--batch-size", "512"],
    "width 384": ["--width", "384"],
    "width 768": ["--width", "768"],
    "one block": ["--depth", "1"],
    "three blocks": ["--depth", "3"],
    "EMA 0.9995": ["--ema", "0.9995"],
    "EMA 0.998": ["--ema", "0.998"],
    "weight decay 0.01": ["--weight-decay", "0.01"],
    "warm-up 1,000": ["--warmup-steps", "1000"],
}
THREADS = ["--threads", "2"]  # said, so that no candidate is trained with others than another


def main() -> None:
    """Trains and scores what is asked for, and prints a row as each is done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(CANDIDATES)}; by default all")
    parser.add_argument("--minutes", type=float, default=2.5)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--out", type=Path, default=Path("runs/defaults"))
    chosen = parser.parse_args()
    if unknown := [name for name in chosen.names if name not in CANDIDATES]:
        parser.error(f"no candidate is named {', '.join(unknown)}")
    print("| candidate | steps | ms a step | validation NLL, nats | untrusted | ELBO |\n|---|---|---|---|---|---|", flush=True)
    length = ["--steps", str(chosen.steps)] if chosen.steps else ["--minutes", str(chosen.minutes)]
    for name in chosen.names or CANDIDATES:
        print(trial(name, length, chosen.out / name.replace(" ", "-").replace(",", "")), flush=True)


def trial(name: str, length: list[str], run: Path) -> str:
    """Trains and scores one candidate; its row of the table."""
    scores = run.with_suffix(".json")
    if not scores.exists():
        train = ["train", "vae", "--data", "mnist", *length, *THREADS, "--out", str(run), "--overwrite"]
        legato(*train, *CANDIDATES[name])
        legato("evaluate", str(run), "--split", "validation", "--k", "200", "--json", str(scores))
    figures = json.loads(scores.read_text(encoding="utf-8"))
    last = json.loads((run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    nll, elbo = figures["nll"], figures["elbo"]
    pace = 1e3 * last["clock"]["seconds"] / last["step"]
    interval = f"{nll['value']:.2f} [{nll['low']:.2f}, {nll['high']:.2f}]"
    untrusted = f"{figures['untrusted_share']['value']:.0%}"  # of the digits: k-hat of their weights is above 0.7
    return f"| {name} | {last['step']:,} | {pace:.1f} | {interval} | {untrusted} | {elbo['value']:.2f} |"


def legato(*arguments: str) -> None:
    """Runs the command; ends with its message where it fails."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("legato")), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(done.stderr)


if __name__ == "__main__":
    main()
