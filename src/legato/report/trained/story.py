"""The report of trained runs, section by section: each a figure, what to look for, and what was done to draw it.

Covered: images and tables, autoencoders and VAEs; a section that does not apply is left out. Not covered: judging (claims).
"""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from legato.codes import name_of
from legato.data.prepared import Prepared
from legato.moments import whole
from legato.report import phrases, views
from legato.report.html import Section
from legato.report.trained import images
from legato.report.trained.collapsed import collapse_section
from legato.report.trained.fitted import fitted_sections
from legato.report.trained.numbers import Found, kl_figure, numbers_table
from legato.report.trained.rows import row_sections
from legato.report.trained.subjects import Subject, examples_of, is_image, plane_of, shown_rows, views_of
from legato.report.trained.training import loss_figure, sigma_figure, training_table


def sections(subjects: Sequence[Subject], data: Prepared, found: Sequence[Found]) -> list[Section]:
    """The sections, in order; `found` is what `legato evaluate` gave for each run."""
    return [
        Section("What was trained", table=training_table(subjects)),
        Section("The numbers", table=numbers_table(subjects, found)),
        collapse_section(subjects, data),
        *(_pictures if is_image(subjects[0].space) else row_sections)(subjects, data),
        *fitted_sections(subjects, data),
        *map_sections(subjects, data),
        *_dimensions(subjects, found),
        *_training(subjects),
    ]


def _pictures(subjects: Sequence[Subject], data: Prepared) -> list[Section]:
    # Samples of N(0, I) are no fair question to a model that was not asked to keep its codes there: it gets a second figure.
    unasked = [subject for subject in subjects if not subject.space.prior_was_trained]
    n = len(shown_rows(data, images.SAMPLES))
    standard = all(subject.space.has_standard_prior for subject in subjects)
    pictures = [
        Section(
            "Samples from N(0, I)" if standard else "Samples from the prior",
            ("The same draws for every model." if standard else "Each model draws from its own prior.")
            + (f" {_unasked(unasked)}" if unasked else ""),
            images.sample_figure(subjects, data, "prior"),
            f"Decoded means of the first {images.SAMPLES} draws of seed 0, not picked; {n} random test images beside.",
        )
    ]
    if unasked:
        pictures.append(
            Section(
                "Samples from a Gaussian fitted to the codes",
                "Where no rate was charged this is the fairer question: draw where the codes are.",
                images.sample_figure(unasked, data, "codes"),
                f"Decoded means of {images.SAMPLES} draws of seed 0 from N(mean, covariance) of the training codes.",
            )
        )
    return [*pictures, *_paths(subjects, data)]


def _unasked(subjects: Sequence[Subject]) -> str:
    names = ", ".join(subject.title for subject in subjects)
    return f"Training did not ask for codes there of {names}: what N(0, I) decodes to is then an accident."


def _paths(subjects: Sequence[Subject], data: Prepared) -> list[Section]:
    drawn = ", which the model saw with every pixel drawn 0 or 1" if subjects[0].space.preparation.binarise else ""
    shown, examples = views_of(subjects, data), examples_of(data)
    parts = [
        Section(
            view.title,
            figure=images.traversal_figure(view),
            caption=f"{view.title}: decoded means along single dimensions, the others at the codes' mean.",
        )
        for view in shown
    ]
    return [
        Section(
            "Reconstructions",
            phrases.RECONSTRUCTIONS,
            views.reconstructions(shown, examples),
            f"Decoded means of the codes of some test images, drawn at random{drawn}.",
        ),
        Section(
            "From one image to another",
            phrases.PATH,
            views.paths(shown, examples, [examples.pair]),
            phrases.ENDS,
        ),
        Section("What each dimension does", phrases.TRAVERSALS, parts=parts),
    ]


def map_sections(subjects: Sequence[Subject], data: Prepared) -> list[Section]:
    """The section of where codes lie and, of two latents, what lies between them; nothing of one."""
    if any(subject.space.latent_dim < 2 for subject in subjects):
        return []  # a line is no map
    wide = [subject for subject in subjects if subject.space.latent_dim > 2]
    chosen = "; ".join(_chosen(subject) for subject in wide)
    words = f" Of more than two dimensions the map shows the two most informative: {chosen}." if wide else ""
    n = len(shown_rows(data, views.MAPPED))
    found = [
        Section(
            "Where the codes lie",
            "Each dot is the code of a test example. A model that learns a width gives each a cloud, the ellipse of one "
            f"standard deviation; the dashed rings are the prior's, where training asked for it.{words}",
            views.maps(views_of(subjects, data), examples_of(data)),
            f"Codes of {n:,} test examples; every panel has its own scale.",
        )
    ]
    return [*found, *_planes([subject for subject in subjects if subject.space.latent_dim == 2], data)]


def _chosen(subject: Subject) -> str:
    first, second = map(name_of, plane_of(subject.space))
    return f"{first} and {second} of {subject.space.latent_dim} in {subject.title}"


def _planes(subjects: Sequence[Subject], data: Prepared) -> list[Section]:
    if not subjects or not is_image(subjects[0].space):
        return []
    sides = f"{views.LATTICE} × {views.LATTICE}"
    caption = f"{sides} decoded means, over ±3 where training asked for N(0, I), else over the codes."
    figure = views.planes(views_of(subjects, data), examples_of(data))
    return [Section("What each place decodes to", phrases.PLANE, figure, caption)]


def _dimensions(subjects: Sequence[Subject], found: Sequence[Found]) -> list[Section]:
    parts = []
    for subject, one in zip(subjects, found, strict=True):
        if (figure := kl_figure(one)) is not None:
            caption = (
                f"{subject.title}: closed-form KL of each dimension, largest first, with 95 % intervals over the examples."
            )
            parts.append(Section(subject.title, figure=figure, caption=caption))
    if not parts:
        return []
    return [Section("What each dimension carries", phrases.DIMENSIONS, parts=parts)]


def _training(subjects: Sequence[Subject]) -> list[Section]:
    each = (
        "dimension" if all(whole(subject.space.latent_dim) for subject in subjects) else "dimension (of large codes: channel)"
    )
    sigma = f"Mean σ of each {each} over validation examples: geometric mean over dimensions, and their range."
    losses = "Loss parts over training, nats per example; validation is at β = 1 on the averaged weights."
    wanted: list[tuple[str, str, Figure | None, str]] = [
        ("The noise over training", "The width of the posteriors, and beside it the same over the codes' spread, which is "
         "what a decoder notices.", sigma_figure(subjects), sigma),
        ("Training", "", loss_figure(subjects), losses),
    ]  # fmt: skip
    return [Section(title, text, figure, caption) for title, text, figure, caption in wanted if figure is not None]
