"""Does what the doctor says of a space predict whether it can be sampled?

    python records/sampleable.py mnist [--minutes 1] [--prior-minutes 1] [--threads 2]
    python records/sampleable.py FOLDER --group '^([0-9a-f]+)' --size 32 --minutes 3 --prior-minutes 2
    python records/sampleable.py mnist --part 0/2 --threads 1    # every second one, beside --part 1/2; then without, for words
    python records/sampleable.py mnist --threads 1 --again 5     # of every fifth a second prior, too, of another seed

Tokenizers are trained for the same time on the same data; `legato doctor` takes its figures of each; a flow-matching prior of
one size is fitted for the same time; its samples are judged in fixed random features (64 channels of a net that nothing was
trained with), and in PCA-64 beside. Asked of each figure: is its rank correlation with the distance of samples, *given* that of
reconstructions, what `MEASURES` says? That table of measures, signs and margins was written before any tokenizer was trained. A
verdict is one of the claims' four words. How much of the spread over tokenizers is theirs, and not a prior's chance,
second priors of some tell (`--again`): with what is chance no correlation is large. Resumable: what lies in the folder is not
done again. Writes records/sampleable.json and docs/images/sampleable.png.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from board import legato as command
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from scipy.stats import chi2, norm, rankdata
from theory import save
from trials import processor

import legato
from legato.claims import word
from legato.files import write_json
from legato.measures.estimate import holm
from legato.measures.features import PrincipalComponents, RandomNet
from legato.measures.fidelity import frechet
from legato.report import style
from legato.survey.material import material

# figure -> +1: the larger it is the worse are samples; -1: the better
MEASURES = {
    "uneven scales": 1,
    "correlation of channels": 1,
    "covariance between channels": 1,
    "gap of moments": 1,
    "told from prior": 1,
    "high share": 1,
    "excess high share": 1,
    "spectral slope": 1,
    "equivariance to scale": 1,
    "equivariance to flip": 1,
    "equivariance to shift": 1,
    "equivariance to turn": 1,
    "decoder's equivariance to shift": 1,
    "r50": -1,
    "moved by a tenth": 1,
    "stretch posterior unevenness": 1,
    "decoded noise": -1,
    "noise share": -1,
    "trustworthiness": -1,
    "continuity": -1,
    "purity": -1,
    "probe": -1,
    "uneven density": 1,
    "irreducible variance of a Gaussian": 1,
    "irreducible variance of the set": 1,
    "loss of a probe": 1,
}
RECONSTRUCTIONS = "distance of reconstructions"  # beside them all: its plain rank correlation, expected +1
HOLDS, FAILS = 0.3, 0.0  # of a signed correlation: shown above the first it holds, above the second in part, below it fails
LEAST = 12  # tokenizers that have a figure: of fewer no correlation is told
PICTURE = Path(__file__).parents[1] / "docs/images/sampleable.png"
TITLES = {"mnist": "{n} tokenizers of digits", "colours": "{n} tokenizers of colour pictures"}
JUDGES = {"random": "64 channels of a random net", "pca": "PCA-64"}
COLOURS = {"random": style.LINES[0], "pca": style.LINES[1]}
JUDGED, TRAINED = 1_000, 10_000  # test images and samples; images that features are made of

SPATIAL = [
    *(f"tokenizer_kl --latent-dim {dims} --beta {beta}" for dims, beta in ((4, 0.001), (4, 0.01), (4, 0.1), (4, 1.0))),
    *(f"tokenizer_kl --latent-dim {dims} --beta 0.01" for dims in (1, 2, 8)),
    "tokenizer_kl --latent-dim 8 --beta 0.1",
    "tokenizer_kl --latent-dim 8 --beta 1.0",
    "tokenizer_kl --latent-dim 2 --beta 1.0",
    "tokenizer_kl --latent-dim 2 --beta 0.01 --downsampling 2",
    "tokenizer_kl --latent-dim 1 --beta 0.1 --downsampling 2",
    "tokenizer_kl --beta 0.01 --equivariance 0.3",
    "tokenizer_kl --beta 0.01 --equivariance 1",
    "tokenizer_kl --beta 0.1 --equivariance 0.3",
    "tokenizer_kl --beta 0.01 --noise 0.3",
    "tokenizer_kl --beta 0.01 --noise 1.0",
    "tokenizer_vq --codebook-size 512",
    "tokenizer_vq --codebook-size 64",
    "tokenizer_vq --codebook-size 512 --latent-dim 4",
    "tokenizer_fsq --levels 8",
    "tokenizer_fsq --levels 4",
    "tokenizer_fsq --levels 8 --latent-dim 2",
]
PLAIN = "autoencoder --net strided --latent-shape {dims},{side},{side}"
SOME = (0, 2, 3, 6, 7, 12, 14, 16, 17, 20)  # of a folder of colour pictures: with two plain ones a dozen


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source")
    parser.add_argument("--group", help="a regular expression: pictures with the same match stay together")
    parser.add_argument("--size", type=int)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--prior-minutes", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--part", default="0/1", help="i/n: tokenizers i, i + n, … alone, and no verdicts")
    parser.add_argument("--again", type=int, default=0, help="of every so many tokenizers a second prior")
    parser.add_argument("--out", type=Path, default=Path("runs/sampleable"))
    chosen = parser.parse_args(arguments)
    title = "mnist" if chosen.source == "mnist" else "colours"
    part, parts = map(int, chosen.part.split("/"))
    mine = list(enumerate(tokenizers(chosen)))[part::parts]
    rows = [trial(words, chosen, chosen.out / title / f"{number:02d}") for number, words in mine]
    if parts > 1:
        return
    seconds = [
        second(words, chosen, chosen.out / title / f"{i:02d}", chosen.again and i % chosen.again == 0) for i, words in mine
    ]
    found = verdicts(rows)
    about = {
        "minutes": chosen.minutes,
        "prior minutes": chosen.prior_minutes,
        "threads": chosen.threads,
        "machine": processor(),
    }
    kept = Path(__file__).with_suffix(".json")
    before = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    after = {
        **before,
        title: {**about, "date": str(date.today()), "verdicts": found, "tokenizers": rows, **reliable(rows, seconds)},
    }
    write_json(kept, after)
    save(chart(after), PICTURE)
    print(table(found))
    print(after[title].get("share of the spread that is the tokenizers'", ""))


def tokenizers(chosen: argparse.Namespace) -> list[str]:
    """The sentences that are trained."""
    mnist = chosen.source == "mnist"
    side = 7 if mnist else (chosen.size or 32) // 4
    plain = [PLAIN.format(dims=dims, side=side) for dims in ((2, 4, 8) if mnist else (4, 8))]
    return [*(SPATIAL if mnist else [SPATIAL[i] for i in SOME]), *plain]


def trial(words: str, chosen: argparse.Namespace, run: Path) -> dict[str, Any]:
    """Trains one, examines it, fits the prior and judges its samples, or goes on with what is missing."""
    kept = run / "sampleable.json"
    if kept.is_file():
        return dict(json.loads(kept.read_text(encoding="utf-8")))
    threads = ["--threads", str(chosen.threads)]
    if not (run / "codes.safetensors").is_file():
        data = ["--data", chosen.source, *(["--group", chosen.group] if chosen.group else [])]
        data += ["--size", str(chosen.size)] if chosen.size else []
        command("train", *words.split(), *data, "--minutes", str(chosen.minutes), *threads, "--out", str(run), "--overwrite")
    if not (run / "priors/flow-matching.json").is_file():
        length = ["--minutes", str(chosen.prior_minutes)]
        command("refit", str(run), "--prior", "flow-matching", *length, *threads)
    if not (run / "doctor.json").is_file():
        command("doctor", str(run), "--json", str(run / "doctor.json"), *threads)
    figures = json.loads((run / "doctor.json").read_text(encoding="utf-8"))["figures"]
    told = {name: one["value"] for name, one in figures.items() if name in MEASURES}
    row = {"tokenizer": words, "figures": told, **distances(run, chosen.threads)}
    write_json(kept, row)
    return row


def second(words: str, chosen: argparse.Namespace, run: Path, asked: bool) -> dict[str, Any]:
    """The distances of a prior of another seed, or what is known of them."""
    kept = run / "again.json"
    if asked and not kept.is_file():
        length = ["--minutes", str(chosen.prior_minutes), "--threads", str(chosen.threads)]
        command("refit", str(run), "--prior", "flow-matching", "--name", "again", "--seed", "1", *length)
        write_json(kept, {"tokenizer": words, **distances(run, chosen.threads, "again")})
    return dict(json.loads(kept.read_text(encoding="utf-8"))) if kept.is_file() else {}


def reliable(rows: Sequence[dict[str, Any]], seconds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """1 − E(x − x′)²/2 over the variance over tokenizers, x and x′ the log distances of samples of two priors of one.

    The 95 % interval is that of the mean square, by χ² with as many degrees of freedom as there are pairs.
    """
    pairs = [(row, one) for one in seconds if one for row in rows if row["tokenizer"] == one["tokenizer"]]
    if not pairs:
        return {}
    found = {}
    for judge in ("random", "pca"):
        key = f"samples, {judge}"
        apart = sum(math.log(row[key] / one[key]) ** 2 / 2 for row, one in pairs)
        spread = float(np.var(np.log([row[key] for row in rows]), ddof=1))
        ends = (float(chi2.ppf(p, len(pairs))) for p in (0.025, 0.975))
        value, low, high = (1 - apart / freedom / spread for freedom in (len(pairs), *ends))
        found[judge] = {"value": value, "low": low, "high": high, "n": len(pairs)}
    return {"second priors": [one for one in seconds if one], "share of the spread that is the tokenizers'": found}


def distances(run: Path, threads: int, prior: str = "flow-matching") -> dict[str, float]:
    """Fréchet distances of samples of the fitted prior, and of reconstructions, from test images, in both features."""
    space = legato.load(run, threads=threads, prior=prior)
    of = material(space.data(), TRAINED, JUDGED)
    samples = space.sample(len(of.test), seed=0, origin="prior")
    rebuilt = space.decode(space.posterior(of.test.x)[0])
    found = {}
    for name, features in (
        ("random", RandomNet(of.train.images, widths=(16, 32, 64))),
        ("pca", PrincipalComponents(of.train.images)),
    ):
        real = features.of(of.test.images)
        for what, images in (("samples", samples), ("reconstructions", rebuilt), ("training images", of.train.images[:JUDGED])):
            value = frechet(real, features.of(np.asarray(images, np.float32))).value
            found[f"{what}, {name}"] = math.nan if value is None else value
    return found


def verdicts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """A word for each measure: its signed rank correlation with the distance of samples given that of reconstructions."""
    found = []
    for judge in ("random", "pca"):
        samples, rebuilt = (np.array([row[f"{what}, {judge}"] for row in rows]) for what in ("samples", "reconstructions"))
        plain = told(RECONSTRUCTIONS, judge, correlation(rebuilt, samples), len(rows), 0)
        some = [plain]
        for name, sign in MEASURES.items():
            values = np.array([np.nan if (value := row["figures"].get(name)) is None else value for row in rows], float)
            known = np.isfinite(values)
            if known.sum() < LEAST or len(np.unique(values[known])) < 3:
                some.append({"measure": name, "judge": judge, "n": int(known.sum()), "verdict": str(word(None))})
            else:
                rho = sign * partial(values[known], samples[known], rebuilt[known])
                some.append(told(name, judge, rho, int(known.sum()), 1))
        found += adjusted(some)
    return found


def correlation(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's ρ."""
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def partial(x: np.ndarray, y: np.ndarray, given: np.ndarray) -> float:
    """Spearman's partial ρ of x and y given another: (r_xy − r_xg r_yg)/√((1 − r_xg²)(1 − r_yg²))."""
    xy, xg, yg = correlation(x, y), correlation(x, given), correlation(y, given)
    return (xy - xg * yg) / math.sqrt(max(1e-12, (1 - xg**2) * (1 - yg**2)))


def told(name: str, judge: str, rho: float, n: int, controls: int) -> dict[str, Any]:
    """ρ with its 95 % interval and the claims' three p-values, by Fisher's z with the error of Bonett & Wright 2000,
    √((1 + ρ²/2)/(n − 3 − controls)), https://doi.org/10.1007/BF02294183.
    """
    z, error = math.atanh(max(-0.999, min(0.999, rho))), math.sqrt((1 + rho**2 / 2) / (n - 3 - controls))
    low, high = (math.tanh(z + side * 1.96 * error) for side in (-1, 1))
    above, below = (
        (lambda margin: norm.sf((z - math.atanh(margin)) / error)),
        (lambda margin: norm.cdf((z - math.atanh(margin)) / error)),
    )
    p = [min(1.0, 2 * float(one)) for one in (above(HOLDS), above(FAILS), below(FAILS))]
    return {"measure": name, "judge": judge, "n": n, "rho": rho, "low": low, "high": high, "p": p}


def adjusted(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with their words, p-values adjusted for their number (Holm)."""
    tested = [row for row in rows if "p" in row]
    columns = [holm([row["p"][kind] for row in tested]) for kind in range(3)]
    for i, row in enumerate(tested):
        row["verdict"] = str(word([float(column[i]) for column in columns]))
    return rows


def table(found: Sequence[dict[str, Any]]) -> str:
    """The verdicts in Markdown, the strongest first."""
    heads = ("figure", "judge", "ρ with samples, given reconstructions", "n", "verdict")
    ordered = sorted(found, key=lambda row: (row["judge"] != "random", -row.get("rho", -2)))
    lines = [heads, ["---"] * len(heads), *(line(row) for row in ordered)]
    return "\n".join(f"| {' | '.join(map(str, one))} |" for one in lines)


def chart(kept: dict[str, Any]) -> Figure:
    """Every measure's signed correlation and its interval, a panel for each source, a mark for each judge."""
    first = next(iter(kept.values()))["verdicts"]
    known = [row["measure"] for row in sorted(first, key=lambda row: row.get("rho", -2)) if row["judge"] == "random"]
    names = [*(name for name in known if name != RECONSTRUCTIONS), RECONSTRUCTIONS]
    titles = [TITLES[source].format(n=len(one["tokenizers"])) for source, one in kept.items()]
    box = (2.9, 0.24 * len(names))
    with style.styled():
        top = style.heading_height(titles, [], box[0])
        figure, places = style.panel_grid(len(kept), box, left=2.35, right=0.15, top=top, bottom=0.85)
        for axes, title, one in zip(places, titles, kept.values(), strict=True):
            style.heading(axes, title, "", box[0])
            axes.axvspan(HOLDS, 1, color="#e5f4ee", zorder=0, linewidth=0)
            axes.axvline(0, color=style.FAINT, linewidth=0.8, zorder=1)
            axes.axhline(len(names) - 1.5, color=style.HAIR, linewidth=0.8)
            for lift, judge in ((0.17, "random"), (-0.17, "pca")):
                found = {row["measure"]: row for row in one["verdicts"] if row["judge"] == judge and "rho" in row}
                at = [i for i, name in enumerate(names) if name in found]
                for i in at:
                    row, whole = found[names[i]], found[names[i]]["verdict"] == "holds"
                    look: dict[str, Any] = {"color": COLOURS[judge], "zorder": 3}
                    axes.plot([row["low"], row["high"]], [i + lift] * 2, linewidth=1.1, **look)
                    axes.plot(row["rho"], i + lift, "o", markersize=5, markerfacecolor=None if whole else "white", **look)
            axes.set_yticks(range(len(names)), names)
            axes.set(xlim=(-1, 1), ylim=(-0.7, len(names) - 0.3))
            axes.tick_params(axis="y", length=0, labelcolor=style.INK)
            axes.set_xlabel(
                "rank correlation with the distance of samples,\ngiven that of reconstructions; > 0: as was foretold"
            )
        marks = [Line2D([], [], color=COLOURS[judge], marker="o", markersize=5, label=words) for judge, words in JUDGES.items()]
        figure.legend(handles=marks, loc="lower center", ncols=2, frameon=False, fontsize=style.NOTE)
    return figure


def line(row: dict[str, Any]) -> list[str]:
    """The cells of one row."""
    rho = f"{row['rho']:.2f} [{row['low']:.2f}, {row['high']:.2f}]" if "rho" in row else "—"
    return [row["measure"], row["judge"], rho, str(row["n"]), row["verdict"]]


if __name__ == "__main__":
    main()
