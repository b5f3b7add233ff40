"""Figures of what a measured model makes of no image: samples and traversals; nothing is picked.

Covered: samples and traversals. Not covered: what is drawn of examples (views.py), words (story.py).
"""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from legato.report import views
from legato.report.measured.exhibit import Exhibit
from legato.report.panels import SamplePanel, sample_panels
from legato.report.trained.images import SAMPLES, SPAN, TRAVERSED
from legato.survey.evaluation import gaussian
from legato.types import Floats


def samples(shown: Exhibit) -> Figure:
    """Draws from the prior, and from a Gaussian fitted to the training codes, decoded; real test images beside them."""
    seed, subject = shown.evaluation.seed, shown.subject
    # Draws of the posteriors and not their means: means alone are narrower than what the decoder was trained on.
    codes = shown.evaluation.train.draw(seed, "fitted to")
    name = "N(0, I)" if subject.standard_prior else "Its own prior"
    return sample_panels(
        [
            SamplePanel(name, shown.seen(subject.prior(SAMPLES, seed, "samples"))),
            SamplePanel("A Gaussian fitted to the codes", shown.seen(gaussian(codes, SAMPLES, seed))),
            SamplePanel("Real images", shown.images(slice(SAMPLES))),
        ]
    )


def traversals(shown: Exhibit) -> Figure:
    """A row for each of the most informative dimensions, moved over the training codes' mean ± 3 standard deviations."""
    codes = shown.evaluation.train.draw(shown.evaluation.seed)
    dims = [int(dim) for dim in shown.ranking[:TRAVERSED]]
    return views.traversals(shown, dims, [_along(codes, dim) for dim in dims], SPAN)


def _along(codes: Floats, dim: int) -> Floats:
    """The codes' mean, with one dimension moved over ± 3 of its standard deviations."""
    line = np.repeat(codes.mean(0, keepdims=True), views.STEPS, 0)
    line[:, dim] += np.linspace(-SPAN, SPAN, views.STEPS, dtype=np.float32) * codes[:, dim].std()
    return line
