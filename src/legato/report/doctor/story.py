"""The doctor's page, section by section: what is drawn, every figure with its advice, how it looks, what could not be taken.

Covered: pictures and tables, points, clouds and codebooks; a figure that does not apply is left out or says why.
"""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from legato.doctor.advice import Tone
from legato.doctor.checkup import Checkup
from legato.doctor.examinations import EXAMINATIONS, Examination
from legato.doctor.patient import Patient
from legato.errors import Mistake
from legato.measures.interval import bracketed
from legato.report.doctor import figures
from legato.report.html import Badge, Cell, Section, Table
from legato.report.measured.exhibit import Exhibit
from legato.report.measured.numbers import NBSP
from legato.report.perturbation import perturbation_curve, perturbation_curves

VERDICTS: dict[Tone, str] = {"good": "well", "part": "in part", "bad": "poor", "unknown": "cannot tell"}
COLUMNS = ("figure", "", "value [95 %]", "control", "advice")
LEVELS = 8  # channels whose factors are printed: of more the JSON has them


def sections(shown: Exhibit, found: Checkup, patient: Patient) -> list[Section]:
    """The sections, in order."""
    return [
        *([_samples(shown, patient)] if patient.shared.pictures else []),
        *_tables(found),
        *_channels(shown, found, patient),
        *_curves(found),
        Section("How each figure was taken", table=_methods(found)),
        *_missing(found),
    ]


def _drawn(title: str, text: str, draw: Callable[[], Figure], caption: str) -> Section:
    try:
        return Section(title, text, draw(), caption)
    except Mistake as error:  # the other figures are still worth reading
        return Section(title, f"{text}\n\nThis could not be drawn: {error}.")


def _samples(shown: Exhibit, patient: Patient) -> Section:
    return _drawn(
        "What each prior draws",
        "Where samples of a prior are confetti and reconstructions are crisp, the space is good and the prior is wrong: "
        "fit another. "
        "Where reconstructions are poor, no prior helps.",
        lambda: figures.samples(shown, patient),
        f"Decoded means of the first {figures.SHOWN} draws of seed {patient.seed}, not picked; reconstructions of test "
        f"images; and "
        "test images, drawn at random.",
    )


def _tables(found: Checkup) -> list[Section]:
    """One section, a part for each examination of which a figure was taken."""
    parts = [Section(_heading(one), table=_table(found, one)) for one in EXAMINATIONS]
    text = (
        "A control is the same figure of something known: white noise, another image's code, a linear decoder, chance. "
        "The whole "
        "interval decides: a figure is well or poor where all of it is, and cannot tell where it reaches from the one "
        "to the other. "
        "Figures without a word are told, not judged."
    )
    return [Section("Every figure, with advice", text, parts=[part for part in parts if part.table and part.table.rows])]


def _heading(one: Examination) -> str:
    return one.title[:1].upper() + one.title[1:]


def _table(found: Checkup, one: Examination) -> Table:
    rows = [_row(found, key) for key in one.keys if key in found.advice and found.figures[key].value is not None]
    return Table(COLUMNS, rows, stacked=True)


def _row(found: Checkup, key: str) -> tuple[Cell, ...]:
    advice, control = found.advice[key], found.controls.get(key)
    tone: Cell = "" if advice.tone is None else Badge(VERDICTS[advice.tone], advice.tone)
    beside = None if control is None or control.value is None else bracketed(control).replace(" ", NBSP)
    return advice.name, tone, bracketed(found.figures[key]).replace(" ", NBSP), beside, advice.says


def _channels(shown: Exhibit, found: Checkup, patient: Patient) -> list[Section]:
    factors = found.found.curves.get("factor of each channel", [])
    told = ", ".join(f"{one:.3g}" for one in factors[:LEVELS]) + (" …" if len(factors) > LEVELS else "")
    if not (patient.spatial and patient.shared.pictures):
        return []
    return [
        _drawn(
            "Codes as pictures",
            "A channel that looks like the picture keeps its places; one that looks like noise must be learnt by the "
            "prior as noise." + (f"\n\nFactors that bring each channel to unit variance: {told}." if told else ""),
            lambda: figures.channels(shown, patient),
            f"Test images, drawn at random, above the first channels of their codes: grey is the channel's mean, black "
            f"and white are "
            f"{figures.SPAN} standard deviations below and above.",
        )
    ]


def _curves(found: Checkup) -> list[Section]:
    curves, made = found.found.curves, []
    if "radius" in curves:
        made.append(
            _drawn(
                "The spectrum of the code",
                "A code that is rougher than the pictures it stands for lies above them at the right.",
                lambda: figures.spectrum(curves),
                "Mean power of the orthonormal DCT-II of each channel by radius, as shares; of the images, averaged to "
                "the code's size.",
            )
        )
    if curve := perturbation_curve("this model", curves, found.figures.get("r50")):
        made.append(
            _drawn(
                "How far a step carries",
                "Codes moved in random directions, and how far their pictures go: 1 is the distance to an unrelated picture.",
                lambda: perturbation_curves([curve]),
                "C(r) with its 95 % band over codes; r in standard deviations of the codes.",
            )
        )
    return made


def _methods(found: Checkup) -> Table:
    taken = [key for key in found.advice if found.figures[key].value is not None]
    ones = [(key, found.figures[key]) for key in taken]
    return Table(
        ("figure", "n", "unit", "method"),
        [(found.advice[key].name, f"{one.n:,}" if one.n else None, one.unit, one.method) for key, one in ones],
        stacked=True,
    )


def _missing(found: Checkup) -> list[Section]:
    why: dict[str, list[str]] = {}
    for key, advice in found.advice.items():
        if (one := found.figures[key]).value is None:
            why.setdefault(one.why or "not said", []).append(advice.name)
    rows = [(reason, "; ".join(names)) for reason, names in why.items()]
    return [Section("What could not be taken", table=Table(("why", "not taken"), rows, stacked=True))] if rows else []
