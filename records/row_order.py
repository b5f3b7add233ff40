"""One model on one source in two orders, class by class and shuffled: every figure of a survey side by side.

    legato demo
    python records/row_order.py runs/demo/vae-16      # writes records/row-order.md; some two minutes on one thread

A folder of sub-folders is read class by class. Splits go by the number of a row, so both orders have other test rows: figures
differ as two samples do, and of 95 % intervals that are right one paired difference in twenty lies beyond 1.96 standard errors.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

import legato
from legato.data.prepared import Prepared
from legato.measures.estimate import NORMAL_95, Estimate
from legato.survey import QUICK, survey
from legato.survey.material import material
from legato.survey.subject import Trained

HERE, IMAGES = Path(__file__).parent, 40_000


def surveyed(run: str, order: np.ndarray) -> dict[str, Estimate]:
    """All figures of a run on the first digits of MNIST in some order."""
    space, digits = legato.load(run, threads=1), legato.open_source("mnist")
    rows, labels = np.asarray(digits.rows)[:IMAGES][order], np.asarray(digits.labels)[:IMAGES][order]
    dataset = legato.open_source(rows)
    labelled = Prepared(type(dataset)(**{**vars(dataset), "labels": labels, "source": "mnist"}), space.preparation)
    return dict(survey(Trained(space), material(labelled, QUICK.train, QUICK.test), QUICK).figures)


def distance(one: Estimate, other: Estimate) -> float | None:
    """How many standard errors two estimates differ by; None where either has no interval."""
    ends = (one.low, one.high, other.low, other.high)
    if one.value is None or other.value is None or None in ends:
        return None
    error = np.hypot(one.high - one.low, other.high - other.low) / (2 * NORMAL_95)  # type: ignore[operator]
    gap = abs(one.value - other.value)
    return 0.0 if gap == 0 else float(gap / error) if error else float("inf")


def told(one: Estimate) -> str:
    """Value and interval, to four digits."""
    if one.value is None:
        return "–"
    ends = "" if one.low is None or one.high is None else f" [{one.low:.4g}, {one.high:.4g}]"
    return f"{one.value:.4g}{ends}"


def main(run: str) -> None:
    """Both surveys, and the table."""
    torch.set_num_threads(1)
    labels = np.asarray(legato.open_source("mnist").labels)[:IMAGES]
    shuffled = surveyed(run, np.random.default_rng(0).permutation(IMAGES))
    by_class = surveyed(run, np.argsort(labels, kind="stable"))
    apart = {name: distance(one, by_class[name]) for name, one in shuffled.items()}
    known = [far for far in apart.values() if far is not None]
    lines = [
        "# One source in two orders",
        "",
        f"`python records/row_order.py`: {IMAGES:,} digits of MNIST, a VAE with 16 latents, the quick effort. Of {len(known)}",
        f"paired differences {np.mean(np.array(known) > NORMAL_95):.1%} lie beyond 1.96 standard errors.",
        "",
        "| figure | shuffled | class by class | standard errors apart |",
        "|---|---|---|---|",
    ]
    for name, one in shuffled.items():
        if one.value is not None:
            far = apart[name]
            lines.append(f"| {name} | {told(one)} | {told(by_class[name])} | {'–' if far is None else f'{far:.2f}'} |")
    (HERE / "row-order.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines[2:4]))


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["runs/demo/vae-16"]))
