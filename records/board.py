"""The record board: an entry trained in a given time beside `vae` as of c141d0c, and the page's tables of what was found.

    python records/mnist_1min.py [--seeds 0 1 2] [--seconds 60] [--digits 10000] [--k 1000]
                                 [--threads 2] [--out FOLDER] [--json FILE] [--baseline-src PATH]
    python records/board.py      writes the tables of records/board.md anew, from records/board/*.json

Both are trained by `legato train` and scored by `legato evaluate`, each in a process of its own, in turns: whatever else the
machine does meets both. The JSON is written after each score, so that a further call goes on with what is missing, and a run
that was stopped goes on at its last checkpoint. `--seconds`, `--digits` or `--k` make a trial, whose JSON stays in FOLDER.
Rules and tricks: records/board.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
from trials import processor

from legato import __version__
from legato.files import write_json
from legato.measures.halves import student_interval
from legato.run import Run

HERE = Path(__file__).parent
PAGE, KEPT = HERE / "board.md", HERE / "board"
BEGIN, END = "<!-- rows: python records/board.py -->", "<!-- end of rows -->"
# What `legato train vae` came to at c141d0c, word by word: whatever the defaults become, the baseline stays what it was.
BASELINE = (
    "vae --latent-dim 32 --beta 1 --net residual --width 512 --depth 2 --likelihood bernoulli "
    "--batch-size 256 --learning-rate 1e-3 --warmup-steps 200 --weight-decay 0 --clip 200 --ema 0.999"
)
EAGER = "--engine eager"  # the only one there was: today's code may compile a step
DIGITS, K = 10_000, 1000
Scores = dict[str, dict[str, dict[str, Any]]]  # contestant, seed: what was found


@dataclass(frozen=True)
class Board:
    """One table of the page: so many seconds of training on a device; `words` are the entry's, for `legato train`."""

    name: str
    title: str
    seconds: float
    words: str
    device: str = "cpu"
    seeds: tuple[int, ...] = (0, 1, 2)


def main(board: Board, arguments: Sequence[str] | None = None) -> None:
    """The command line of a board: trains and scores what is missing, and prints the row."""
    parser = argparse.ArgumentParser(description=board.title)
    parser.add_argument("--seeds", type=int, nargs="+", default=board.seeds)
    parser.add_argument("--seconds", type=float, default=board.seconds, help="of training, for each run")
    parser.add_argument("--digits", type=int, default=DIGITS, help="of the test split")
    parser.add_argument("--k", type=int, default=K, help="importance draws for each digit")
    parser.add_argument("--threads", type=int, default=min(os.cpu_count() or 1, 2) if board.device == "cpu" else 1)
    parser.add_argument("--out", type=Path, help="where runs lie; by default runs/board/NAME")
    parser.add_argument("--json", type=Path, help="by default records/board/NAME.json, of a trial FOLDER/board.json")
    parser.add_argument("--baseline-src", type=Path, help="a checkout of c141d0c, whose own code then trains the baseline")
    chosen = parser.parse_args(arguments)
    full = (chosen.seconds, chosen.digits, chosen.k) == (board.seconds, DIGITS, K)
    out = chosen.out or Path("runs/board") / (board.name if full else f"{board.name}-trial")
    kept = chosen.json or (KEPT / f"{board.name}.json" if full else out / "board.json")
    settings = settings_of(board, chosen)
    record = begun(kept, settings)
    for seed in chosen.seeds:
        for contestant, words in turns(settings, seed):
            if str(seed) not in record["scores"][contestant]:
                print(f"{contestant}, seed {seed}: training, then scoring", file=sys.stderr, flush=True)
                found = trial(words, settings, seed, out / f"{contestant}-{seed}", chosen.baseline_src, contestant)
                record["scores"][contestant][str(seed)] = found
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_json(kept, record)
    print(table([record]))


def settings_of(board: Board, chosen: argparse.Namespace) -> dict[str, Any]:
    """All that two scores must share to stand in one row."""
    return {
        "title": board.title,
        "seconds": chosen.seconds,
        "digits": chosen.digits,
        "k": chosen.k,
        "device": board.device,
        "threads": chosen.threads,
        "machine": processor() if board.device == "cpu" else card(),
        "baseline": f"{BASELINE} {EAGER}" if chosen.baseline_src is None else BASELINE,
        "baseline_code": "today's" if chosen.baseline_src is None else "c141d0c",
        "entry": board.words,
    }


def card() -> str:
    """The name of the graphics card. Ends the process where there is none."""
    if not torch.cuda.is_available():
        sys.exit(
            "this board is of a graphics card, and torch sees none here: the boards of two cores are mnist_1min.py and its like"
        )
    return torch.cuda.get_device_name()


def begun(kept: Path, settings: dict[str, Any]) -> dict[str, Any]:
    """The record so far, or an empty one. Ends the process where the one that lies there is of other settings."""
    if not kept.is_file():
        return {"settings": settings, "scores": {"baseline": {}, "entry": {}}}
    record: dict[str, Any] = json.loads(kept.read_text(encoding="utf-8"))
    if differing := [name for name, value in settings.items() if record["settings"].get(name) != value]:
        sys.exit(f"{kept} is of another {', '.join(differing)}: give another --json and --out, or remove it to begin anew")
    return record


def turns(settings: dict[str, Any], seed: int) -> Iterator[tuple[str, str]]:
    """Who trains, in turns: with every other seed the entry first, so that neither has always the machine's better half."""
    order = ("baseline", "entry") if seed % 2 == 0 else ("entry", "baseline")
    yield from ((who, settings[who]) for who in order)


def trial(words: str, settings: dict[str, Any], seed: int, run: Path, source: Path | None, contestant: str) -> dict[str, Any]:
    """Trains one contestant with one seed and scores it."""
    train(words, settings, seed, run, source if contestant == "baseline" else None)
    scores = run.with_suffix(".json")
    some = [] if settings["digits"] == DIGITS else ["--limit", str(settings["digits"])]
    legato("evaluate", str(run), "--k", str(settings["k"]), *some, *place(settings), *module(words), "--json", str(scores))
    figures, plan = json.loads(scores.read_text(encoding="utf-8")), Run(run).stored("training")
    seconds = [line["clock"]["seconds"] for line in Run(run).read_metrics()][-1]
    names = ("nll", "elbo", "rate", "ess", "untrusted_share")
    return {
        "steps": plan["total"],
        "batch": plan["batch_size"],
        "precision": plan["precision"],
        "seconds": seconds,
        "checksum": figures["data"]["checksum"],
        **{name: figures[name]["value"] for name in names},
        "interval": [figures["nll"]["low"], figures["nll"]["high"]],
        "legato": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "date": str(date.today()),
    }


def train(words: str, settings: dict[str, Any], seed: int, run: Path, source: Path | None) -> None:
    """`legato train`: anew, or from the last checkpoint of a run that was stopped; a finished one stays."""
    if Run(run).codes.is_file():
        return
    how = [*place(settings), *module(words)]
    if Run(run).training.is_file():
        legato("train", "--resume", "--out", str(run), *how, source=source)
        return
    length = ["--minutes", str(settings["seconds"] / 60), "--seed", str(seed)]
    recipe, *others = words.split()
    legato("train", recipe, "--data", "mnist", *others, *length, *how, "--out", str(run), "--overwrite", source=source)


def place(settings: dict[str, Any]) -> list[str]:
    """The device and the threads, said, so that no contestant has others than another."""
    return ["--device", settings["device"], "--threads", str(settings["threads"])]


def module(words: str) -> list[str]:
    """The word that allows the import of an entry's own sentence."""
    name, own, _ = words.split()[0].partition(":")
    return ["--module", name] if own else []


def legato(*arguments: str, source: Path | None = None) -> None:
    """Runs the command, with sentences of this folder at hand; ends with its message where it fails."""
    before = os.environ.get("PYTHONPATH")
    folders = [*([str(source / "src")] if source else []), str(HERE), *([before] if before else [])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    done = subprocess.run([sys.executable, "-m", "legato", *arguments], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(done.stderr)


def trained(run: Path, words: Sequence[str], threads: int) -> None:
    """Trains a model, or goes on with it, unless it is there."""
    if not Run(run).codes.is_file():
        begun = Run(run).training.is_file()
        legato("train", *(["--resume"] if begun else words), "--threads", str(threads), "--out", str(run))


# ------------------------------------------------------------------------------------------------- the tables

HEADS = ("board", "entry", "nll", "`vae` of c141d0c, nll", "difference", "steps", "seconds", "digits, k", "machine, date")


def table(records: Sequence[dict[str, Any]]) -> str:
    """The rows of some records, in Markdown: means over the seeds that both have, and t-intervals over these."""
    lines = [HEADS, ["---"] * len(HEADS), *(row(record) for record in records)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def row(record: dict[str, Any]) -> list[str]:
    """The cells of one record."""
    settings, both = record["settings"], shared(record["scores"])
    if not both:
        return [settings["title"], *["not yet"] * (len(HEADS) - 1)]
    entry, baseline = ([record["scores"][who][seed] for seed in both] for who in ("entry", "baseline"))
    nll, of_vae = ([one["nll"] for one in those] for those in (entry, baseline))
    figures = [spread(nll), spread(of_vae), spread([a - b for a, b in zip(nll, of_vae, strict=True)])]
    counts = [pair(entry, baseline, "steps"), pair(entry, baseline, "seconds")]
    about = [f"{settings['digits']:,}, {settings['k']:,}", f"{settings['machine']}, {entry[-1]['date']}"]
    return [settings["title"], f"`{settings['entry']}`", *figures, *counts, *about]


def shared(scores: Scores) -> list[str]:
    """The seeds that both have been scored with."""
    return sorted(scores["entry"].keys() & scores["baseline"].keys(), key=int)


def spread(values: Sequence[float]) -> str:
    """The mean over seeds, nats, and half the t-interval of 95 %, where there are two seeds or more."""
    if len(values) < 2:
        return f"{values[0]:.2f} (1 seed)"
    found = student_interval(np.asarray(values), len(values), "nats", "over seeds")
    return f"{found.value:.2f} ± {found.high - found.value:.2f} ({len(values)} seeds)"


def pair(entry: Sequence[dict[str, Any]], baseline: Sequence[dict[str, Any]], name: str) -> str:
    """A figure's mean, the entry's and the baseline's."""
    return " / ".join(f"{mean(one[name] for one in those):,.0f}" for those in (entry, baseline))


def filled(page: str, records: Sequence[dict[str, Any]]) -> str:
    """The page with its table made of the records."""
    before, rest = page.split(BEGIN)
    return f"{before}{BEGIN}\n{table(records)}\n{END}{rest.split(END)[1]}"


def records() -> list[dict[str, Any]]:
    """Those that lie in records/board, by device and length."""
    found = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(KEPT.glob("*.json"))]
    return sorted(found, key=lambda one: (one["settings"]["device"], one["settings"]["seconds"]))


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), records()), encoding="utf-8")
