"""Numbers of `legato evaluate` as tables and a chart: every figure with its interval, and why a figure is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from legato.codes import name_of
from legato.measures.estimate import Estimate, absent, estimate_of
from legato.measures.interval import bracketed
from legato.measures.known import called, measure_of
from legato.report.forest import EstimateRow, estimates_plot
from legato.report.html import Table
from legato.report.trained.subjects import Subject

Found = Mapping[str, Any]

SINGLE = ("elbo", "distortion", "rate", "nll", "untrusted_share", "bits_per_dim", "ess")
DIMENSIONS = 20  # rows of the chart of KLs: a person compares no more


def numbers_table(subjects: Sequence[Subject], found: Sequence[Found]) -> Table:
    """A row for each figure that any of the runs has, a column for each run; the caption says why others are missing."""
    titles = [subject.title for subject in subjects] if len(subjects) > 1 else ["value [95 %]"]
    rows, why = [], dict[str, list[str]]()
    for name, figures in _by_name(found).items():
        if all(one.value is None for one in figures):
            why.setdefault(figures[0].why or "", []).append(name)
        else:
            unit = next(one.unit for one in figures if one.value is not None)
            rows.append((name, *(None if one.value is None else bracketed(one) for one in figures), unit))
    return Table(
        ("", *titles, "unit"), rows, _caption(list(zip((subject.title for subject in subjects), found, strict=True)), why)
    )


def kl_figure(found: Found) -> Figure | None:
    """The KL of each dimension, largest first; None where it has no closed form, or no rate."""
    kl = found["kl_per_dimension"]
    return kl_plot([estimate_of(one) for one in kl]) if isinstance(kl, list) else None


def kl_plot(figures: Sequence[Estimate]) -> Figure:
    """A row for each of the dimensions that carry most, largest first."""
    # `or 0.0`: a dimension without a KL stands last instead of stopping the sort.
    order = sorted(range(len(figures)), key=lambda dim: -(figures[dim].value or 0.0))
    rows = [EstimateRow(name_of(dim), figures[dim]) for dim in order[:DIMENSIONS]]
    return estimates_plot(rows, "KL (nats per example)", least=0.0)


def _by_name(found: Sequence[Found]) -> dict[str, list[Estimate]]:
    rows = {called(name): [estimate_of(one[name]) for one in found] for name in SINGLE}
    active = measure_of("active_units").titled
    for threshold in found[0]["active_units"]:
        rows[f"{active} > {threshold}"] = [estimate_of(one["active_units"][threshold]) for one in found]
    if any(one["codebook_perplexity"]["value"] is not None for one in found):
        rows[called("codebook_perplexity")] = [estimate_of(one["codebook_perplexity"]) for one in found]
    for level in range(max(len(one["run"].get("levels", ())) for one in found)):
        rows[f"{called('rate_per_level')}, level {level + 1} from the top"] = [_of_level(one, level) for one in found]
    return rows


def _of_level(found: Found, level: int) -> Estimate:
    if level < len(found["run"].get("levels", ())):
        return estimate_of(found["rate_per_level"][level])
    return absent("not all of these models have so many levels")


def _flagged(one: Found) -> bool:
    """True where its bound on −log p(x) is not to be trusted, or not known to be."""
    return one["nll"]["value"] is not None and one["untrusted_share"]["value"] != 0


def _caption(told: Sequence[tuple[str, Found]], why: Mapping[str, Sequence[str]]) -> str:
    about, run = told[0][1]["data"], told[0][1]["run"]
    words = [
        f"{about['n']:,} examples of {about['source']} ({about['split']}); {run['k']} draws of z for each, seed {run['seed']}.",
        "Brackets: 95 % over the examples. One training seed: another may differ by more.",
    ]
    if about["checksum"]:
        words.insert(1, f"Pixels drawn once from Bernoulli(x/255), checksum {about['checksum']}.")
    words += [f"{title}: {one['trust']}." for title, one in told if _flagged(one)]
    words += [f"No {', '.join(names)}: {reason}." for reason, names in why.items()]
    return " ".join(words)
