"""The report of a measured model, section by section: each a figure, what to look for, and what was done to draw it.

Covered: pictures and tables, points and clouds; a section that does not apply is left out, one that this model breaks says how.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from matplotlib.figure import Figure

from legato.codes import name_of
from legato.errors import Mistake
from legato.report import phrases, views
from legato.report.html import Section
from legato.report.measured import figures
from legato.report.measured.exhibit import Exhibit
from legato.report.measured.numbers import chapter_sections, finite, missing, references
from legato.report.perturbation import perturbation_curve, perturbation_curves
from legato.report.trained.collapsed import verdict_section
from legato.report.trained.images import SAMPLES
from legato.report.trained.numbers import DIMENSIONS, kl_plot
from legato.report.views import LATTICE, MAPPED
from legato.survey import Survey


def sections(shown: Exhibit, found: Survey) -> list[Section]:
    """The sections, in order."""
    return [
        verdict_section([shown.verdict], shown.judged_rows, "model"),
        *_map(shown),
        *(_pictures(shown) if shown.material.pictures else []),
        *_dimensions(shown),
        *_disturbed(shown, found),
        *_numbers(found),
    ]


def _drawn(title: str, text: str, draw: Callable[[], Figure], caption: str) -> Section:
    """A section with its figure, or with what this model makes of it."""
    try:
        return Section(title, text, draw(), caption)
    # A figure that this model breaks says so in its place: the others are still worth reading.
    except Mistake as error:
        return Section(title, f"{text}\n\nThis could not be drawn: {error}.")


def _pictures(shown: Exhibit) -> list[Section]:
    n = min(len(shown.material.test), SAMPLES)
    return [
        _drawn(
            "Reconstructions",
            phrases.RECONSTRUCTIONS,
            lambda: views.reconstructions([shown], shown.examples),
            "Test images, drawn at random, above the decoded means of their codes.",
        ),
        _drawn(
            "Random samples",
            "What the decoder makes of codes that no image gave it: drawn from the prior, and, the fairer question to a model "
            "that was not asked to keep to a prior, from a Gaussian where its codes are.",
            partial(figures.samples, shown),
            f"Decoded means of the first {SAMPLES} draws of seed {shown.evaluation.seed} from the prior and from N(mean, "
            f"covariance) of draws of the training posteriors, not picked; {n} test images, drawn at random, beside.",
        ),
        _drawn(
            "From one image to another",
            phrases.PATH,
            lambda: views.paths([shown], shown.examples, [shown.examples.pair]),
            phrases.ENDS,
        ),
        _drawn(
            "What each dimension does",
            phrases.TRAVERSALS,
            partial(figures.traversals, shown),
            "Decoded means along single dimensions, the others at the training codes' mean.",
        ),
    ]


def _map(shown: Exhibit) -> list[Section]:
    """The section of the map; nothing of one latent: a line is no map."""
    if shown.dim < 2:
        return []
    pair = " and ".join(map(name_of, shown.plane))
    chosen = f" Of {shown.dim} dimensions it shows the two most informative, {pair}." if shown.dim > 2 else ""
    rings = "; the dashed rings are those of N(0, I)" if shown.charged else ""
    clouds = "" if shown.test.sigma is None else f" Its cloud is the ellipse of one standard deviation{rings}."
    n = min(len(shown.material.test), MAPPED)
    coded = _drawn(
        "Where the codes lie",
        f"Each dot is the code of a test example.{clouds}{chosen}",
        lambda: views.maps([shown], shown.examples),
        f"Codes of {n:,} test examples.",
    )
    return [coded, *([_plane(shown)] if shown.dim == 2 and shown.material.pictures else [])]


def _plane(shown: Exhibit) -> Section:
    where = "±3" if shown.charged else "a square around the middle 98 % of the codes"
    return _drawn(
        "What each place decodes to",
        phrases.PLANE,
        lambda: views.planes([shown], shown.examples),
        f"{LATTICE} × {LATTICE} decoded means, over {where}.",
    )


def _dimensions(shown: Exhibit) -> list[Section]:
    """The KL by dimension, where it can be taken."""
    kl = shown.collapse.kl
    if not isinstance(kl, list):
        return []
    most = f", the largest {DIMENSIONS} of {shown.dim}" if shown.dim > DIMENSIONS else ""
    caption = (
        f"Closed-form KL to N(0, 1) of each dimension{most}, with 95 % intervals over {shown.judged_rows:,} test examples."
    )
    return [Section("What each dimension carries", phrases.DIMENSIONS, kl_plot(kl), caption)]


def _disturbed(shown: Exhibit, found: Survey) -> list[Section]:
    r_half = finite(found.figures["r50"]) if "r50" in found.figures else None
    curve = perturbation_curve(shown.title, found.curves, r_half)
    if curve is None:
        return []
    words = (
        "How far a step in latent space carries the image. A code with room about it can be moved without another image "
        "coming out of the decoder."
    )
    return [_drawn("Disturbances", words, lambda: perturbation_curves([curve]), phrases.DISTURBANCES)]


def _numbers(found: Survey) -> list[Section]:
    text = (
        "Brackets are 95 % intervals over the n examples or draws of each figure; the method says of which kind. The model is "
        "one training run: another seed may differ by more."
    )
    beside = references(found)
    parts = [*chapter_sections(found), *([beside] if beside else [])]
    told = [Section("Every figure", text, parts=parts)]
    if (absent := missing(found)).rows:
        told.append(Section("What could not be measured", "Each figure that is missing, and why.", table=absent))
    return told
