"""Figures of a measured model: what it makes of images and where it puts them, drawn as for trained runs; nothing is picked.

Covered: samples, reconstructions, a path, traversals, the latent map, a plane decoded. Not covered: words (story.py).
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from legato.codes import lerp, name_of
from legato.report.maps import LatentMap, decoded_plane, decoded_planes, latent_maps
from legato.report.measured.exhibit import Exhibit
from legato.report.panels import (
    ImageRow,
    SamplePanel,
    cross_fade,
    interpolation_panel,
    reconstruction_panel,
    sample_panels,
    traversal_panel,
)
from legato.report.trained.images import RECONSTRUCTED, SAMPLES, SPAN, STEPS, TRAVERSED, two_places
from legato.report.trained.planes import LATTICE, MAPPED
from legato.survey.evaluation import gaussian


def samples(shown: Exhibit) -> Figure:
    """Draws from the prior, and from a Gaussian fitted to the training codes, decoded; real test images beside them."""
    seed, subject = shown.evaluation.seed, shown.subject
    codes = shown.evaluation.train.draw(seed, "fitted to")
    name = "N(0, I)" if subject.standard_prior else "Its own prior"
    return sample_panels(
        [
            SamplePanel(name, shown.seen(subject.prior(SAMPLES, seed, "samples"))),
            SamplePanel("A Gaussian fitted to the codes", shown.seen(gaussian(codes, SAMPLES, seed))),
            SamplePanel("Real images", shown.images(slice(SAMPLES))),
        ]
    )


def reconstructions(shown: Exhibit) -> Figure:
    """Some test images above what is left of them."""
    decoded = shown.seen(shown.test.mu[:RECONSTRUCTED])
    return reconstruction_panel(shown.images(slice(RECONSTRUCTED)), [ImageRow(shown.title, decoded)])


def path(shown: Exhibit) -> Figure:
    """The straight line between the codes of two test images, decoded, and the cross-fade of their pixels."""
    rows = shown.material.test
    ends = two_places(rows.labels, len(rows))
    a, b = shown.test.mu[ends]
    line = np.stack([lerp(a, b, alpha) for alpha in np.linspace(0, 1, STEPS)]).astype(np.float32)
    return interpolation_panel([ImageRow(shown.title, shown.seen(line)), cross_fade(shown.images(ends), STEPS)])


def traversals(shown: Exhibit) -> Figure:
    """A row for each of the most informative dimensions, moved over the training codes' mean ± 3 standard deviations."""
    codes, spans = shown.evaluation.train.draw(shown.evaluation.seed), np.linspace(-SPAN, SPAN, STEPS, dtype=np.float32)
    rows = []
    for dim in shown.ranking[:TRAVERSED]:
        line = np.repeat(codes.mean(0, keepdims=True), STEPS, 0)
        line[:, dim] += spans * codes[:, dim].std()
        rows.append(ImageRow(name_of(dim), shown.seen(line)))
    return traversal_panel(rows, spans)


def latent_map(shown: Exhibit) -> Figure:
    """The codes of test rows with their clouds, in the plane of the two most informative dimensions."""
    dims, sigma, labels = list(shown.plane), shown.test.sigma, shown.material.test.labels
    clouds = None if sigma is None else sigma[:MAPPED, dims]
    classes = None if labels is None else labels[:MAPPED]
    names = shown.label_names
    return latent_maps(
        [LatentMap(shown.title, shown.test.mu[:MAPPED, dims], clouds, classes, names, shown.charged, shown.plane)]
    )


def plane(shown: Exhibit) -> Figure:
    """The plane of two latents, decoded at even steps."""
    codes = None if shown.charged else shown.test.mu[:MAPPED]
    return decoded_planes([decoded_plane(shown.title, shown.seen, LATTICE, codes, (0, 1))])
