"""A table of the models that a house of one flat Gaussian code could not hold: what each does on a person's data.

    python records/inhabitants.py OUT --data mnist [--data FOLDER]... [--steps 300] [--only NAME...]

Each is trained by the command line, trained once more, stopped by SIGTERM on its way and resumed (every weight and metric the
same to the bit), evaluated, encoded, sampled, exported, and opened in the explorer: its map's points, a decoded place and draws
of its own prior. A cell holds what came back, or the sentence that refused. Written: OUT/inhabitants.json and a Markdown table,
printed; the runs and sheets of samples stay in OUT, to be looked at.

Covered: that each works everywhere. Not covered: that its numbers are right (tests/test_identities.py).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from unmoved import digest, of_tensors

import legato
from legato.errors import Mistake
from legato.explorer import opening
from legato.explorer.worker import finished

SHAPED = ["--latent-shape", "4,4,4", "--net", "strided"]
INHABITANTS: dict[str, tuple[str, list[str]]] = {
    "learned prior": ("mixture_vae", []),
    "flow posterior": ("flow_vae", []),
    "ladder of two rungs": ("ladder_vae", []),
    "finite scalars": ("fsq_vae", []),
    "codebook by averages": ("vq_vae", []),
    "two players": ("factor_vae", []),
    "weight that follows the loss": ("geco_vae", []),
    "label": ("conditional_vae", []),
    "shaped code": ("vae", SHAPED),
    "shaped point": ("autoencoder", SHAPED),
}
SHOWN = ("elbo", "rate", "distortion", "bits_per_dim", "mse")
WAIT = 600  # seconds, at most, for a run to come so far


class House:
    """The commands, run in a folder of their own."""

    def __init__(self, place: Path, data: str, steps: int) -> None:
        self.place, self.data, self.steps = place, data, steps
        self.place.mkdir(parents=True, exist_ok=True)

    def legato(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(self._command(words), capture_output=True, text=True, env=self._env())

    def train(self, name: str, recipe: str, words: list[str]) -> tuple[str, Path]:
        """A run from start to end: what it said last, or why it was refused."""
        run = self.place / name
        done = self.legato(*self._training(recipe, words, run))
        return (said(done) if done.returncode else "yes"), run

    def resumed(self, name: str, recipe: str, words: list[str], whole: Path) -> str:
        """The same, stopped after a third of its steps and resumed: is it the run that was never stopped?"""
        run = self.place / f"{name}-stopped"
        going = subprocess.Popen(
            self._command(self._training(recipe, words, run)),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._env(),
        )
        until = time.monotonic() + WAIT
        while going.poll() is None and time.monotonic() < until and reached(run / "metrics.jsonl") < self.steps // 3:
            time.sleep(0.01)
        going.send_signal(signal.SIGTERM)
        if going.wait() != 128 + signal.SIGTERM:
            return "was not stopped in time"
        stopped = json.loads((sorted((run / "checkpoint").iterdir())[-1] / "state.json").read_text())["step"]
        done = self.legato("train", "--resume", "--out", str(run))
        if done.returncode:
            return said(done)
        return f"at {stopped} of {self.steps}: " + ("the same to the bit" if held(run) == held(whole) else "DIFFERS")

    def _training(self, recipe: str, words: list[str], run: Path) -> list[str]:
        lengths = ["--steps", str(self.steps), "--seed", "0", "--threads", "1", "--precision", "float32", "--device", "cpu"]
        pictures = [] if self.data == "mnist" else ["--size", "32"]
        return ["train", recipe, "--data", self.data, *pictures, *words, *lengths, "--out", str(run)]

    @staticmethod
    def _command(words: Any) -> list[str]:
        return [sys.executable, "-m", "legato", *words]

    def _env(self) -> dict[str, str]:
        return {**os.environ, "OMP_NUM_THREADS": "1"}


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The sentence that refused; a traceback or another exit code is a fault, and looks like one."""
    lines = done.stderr.strip().splitlines() or [""]
    return (
        f"refused: {lines[-1].removeprefix('legato: ')}" if done.returncode == 2 and len(lines) == 1 else f"FAULT: {lines[-1]}"
    )


def reached(metrics: Path) -> int:
    """The step of the last whole line; 0 before there is one."""
    lines = metrics.read_text().split("\n")[:-1] if metrics.exists() else []
    return json.loads(lines[-1])["step"] if lines else 0


def held(run: Path) -> str:
    """SHA-256 of a run's weights and of its metrics without their clocks."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    metrics = [{k: v for k, v in line.items() if k != "clock"} for line in lines]
    return digest([of_tensors(load_file(run / "model.safetensors")), metrics])


def evaluated(house: House, run: Path) -> str:
    """The bound and the distortion of 500 rows, as `evaluate` writes them."""
    out = run.with_suffix(".json")
    done = house.legato("evaluate", str(run), "--limit", "500", "--k", "50", "--json", str(out), "--threads", "1")
    if done.returncode:
        return said(done)
    figures = json.loads(out.read_text())
    flat = figures.get("figures", figures)
    shown = [
        f"{key} {value['value']:.2f}" for key, value in flat.items() if isinstance(value, dict) and shows(value.get("value"))
    ]
    return ", ".join(shown[:4])


def shows(value: Any) -> bool:
    """Whether a figure is a number."""
    return isinstance(value, int | float)


def encoded(house: House, run: Path) -> str:
    """The shape of what `encode` writes, and which arrays."""
    out = run.with_suffix(".npz")
    done = house.legato("encode", str(run), "--out", str(out), "--split", "test", "--threads", "1")
    if done.returncode:
        return said(done)
    with np.load(out, allow_pickle=False) as arrays:
        return ", ".join(f"{name} {arrays[name].shape}" for name in arrays if arrays[name].ndim > 1)


def sampled(house: House, run: Path, words: tuple[str, ...]) -> str:
    """Whether `sample` drew a sheet from the model's own prior."""
    done = house.legato("sample", str(run), "--out", str(run.with_suffix(".png")), "--from", "prior", "--seed", "0", *words)
    return said(done) if done.returncode else "yes"


def exported(house: House, run: Path, words: tuple[str, ...]) -> str:
    """Whether `export` writes a decoder that gives the model's own numbers (it checks that itself)."""
    done = house.legato("export", str(run), "--out", str(run.with_suffix(".onnx.d")), *words)
    return said(done) if done.returncode else "yes"


def explored(run: Path) -> str:
    """What the explorer shows: points, a decoded place, draws of the prior."""
    try:
        session = opening.prepare([run], None, 500, legato.load, None).now
        told = finished(session.description())["models"][0]
        plane = finished(session.principal(0, None)) if told["latent_dim"] > 2 else finished(session.axes(0, None, 0, 1))
        points = finished(session.points(0, None, plane))
        finished(session.decode(0, None, np.zeros((1, told["latent_dim"]), np.float32)))
        draws = finished(session.prior(0, None, 0, 4, 1.0))
        return f"{len(points.labels)} points in {told['latent_dim']} dimensions, {len(draws)} draws"
    except Mistake as refused:
        return f"refused: {refused}"


def inhabitant(house: House, name: str) -> dict[str, str]:
    """One row of the table."""
    recipe, words = INHABITANTS[name]
    trained, run = house.train(recipe + ("-shaped" if words else ""), recipe, words)
    row = {"model": " ".join([recipe, *words[:2]]), "trains": trained}
    if trained != "yes":
        return row
    label = ("--label", "3") if recipe == "conditional_vae" and house.data == "mnist" else ()
    return row | {
        "resumes": house.resumed(run.name, recipe, words, run),
        "evaluates": evaluated(house, run),
        "encodes": encoded(house, run),
        "samples": sampled(house, run, label),
        "exports": exported(house, run, label),
        "explorer": explored(run),
    }


def table(rows: dict[str, dict[str, str]]) -> str:
    """Rows as Markdown."""
    columns = list(max(rows.values(), key=len))
    lines = [["seam", *columns], ["---"] * (len(columns) + 1)]
    lines += [[name, *(row.get(column, "") for column in columns)] for name, row in rows.items()]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def main() -> None:
    """Goes through all on each source, prints the tables; exit code 1 where a cell holds a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", action="append", required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--only", nargs="*", default=list(INHABITANTS))
    asked = parser.parse_args()
    found = {}
    for data in asked.data:
        house = House(asked.out / Path(data).name, data, asked.steps)
        found[Path(data).name] = rows = {name: inhabitant(house, name) for name in asked.only}
        print(f"{Path(data).name}, {asked.steps} steps\n\n{table(rows)}\n", flush=True)
    (asked.out / "inhabitants.json").write_text(json.dumps(found, indent=1, ensure_ascii=False))
    cells = [cell for rows in found.values() for row in rows.values() for cell in row.values()]
    raise SystemExit(any("FAULT" in cell or "DIFFERS" in cell or "not stopped" in cell for cell in cells))


if __name__ == "__main__":
    main()
