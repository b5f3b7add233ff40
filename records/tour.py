"""What the learning tour shows of β: src/legato/explorer/tour.json, from an experiment of `legato claims`.

    python records/tour.py OUT

Reads OUT/claims.json and OUT/evidence/, and measures nothing. Of each β: distortion, rate and the Fréchet distance of samples
from the prior, over training seeds with the intervals that the verdicts rest on; of claim 12 its rules, estimates and verdicts.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from legato.experiment.conclusion import read_figures
from legato.experiment.contrasts import Evidence
from legato.experiment.members import LARGE, beta_name
from legato.experiment.survey import evidence_path
from legato.files import read_json

BETA = 12  # the claim: β trades fidelity for generativity
SHIPPED = Path(__file__).parent.parent / "src/legato/explorer/tour.json"
MEASURES = {"distortion": "distortion", "rate": "rate", "frechet": "frechet prior"}


def tour(out: Path) -> dict[str, Any]:
    """The record as the page reads it (ui/src/tour/record.ts)."""
    found = read_json(out / "claims.json")
    protocol, claim = found["protocol"], next(one for one in found["claims"] if one["id"] == BETA)
    evidence, betas = gathered(out, protocol["members"])
    told = {name: protocol[name] for name in ("source", "steps", "seeds", "quick", "legato", "torch")}
    curve = [{"beta": beta, **_measured(evidence, beta_name(beta))} for beta in betas]
    rules = [{name: rule[name] for name in ("says", "verdict", "estimate")} for rule in claim["rule"]]
    words = {name: claim[name] for name in ("verdict", "sentence", "leaves_out")}
    return {"version": 1, **told, "latent_dim": LARGE, "curve": curve, "rules": rules, **words}


def gathered(out: Path, members: list[dict[str, Any]]) -> tuple[Evidence, list[float]]:
    """What was measured of every large member; and the β, smallest first."""
    large = [member for member in members if member["latent_dim"] == LARGE]
    figures: dict[str, list[Any]] = {}
    for member in large:
        path = evidence_path(out, member["name"], LARGE, member["seed"])
        figures.setdefault(member["name"], []).append(read_figures(path))
    return Evidence(figures), sorted({member["beta"] for member in large if "beta" in member})


def _measured(evidence: Evidence, name: str) -> dict[str, Any]:
    return {key: evidence.over_seeds(measure, name).to_json() for key, measure in MEASURES.items()}


def main() -> None:
    """Writes the file that the package ships."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the folder of `legato claims --out`")
    SHIPPED.write_text(json.dumps(tour(parser.parse_args().out), indent=1, ensure_ascii=False) + "\n")
    print(f"wrote {SHIPPED.name}, {SHIPPED.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
