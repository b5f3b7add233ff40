"""Images that runs make of no image: samples and traversals; the same draws for all."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from legato.data.prepared import Prepared
from legato.latent_space import Origin
from legato.report import views
from legato.report.panels import SamplePanel, sample_panels
from legato.report.trained.subjects import RunView, Subject, shown_rows

SAMPLES, TRAVERSED, SPAN = 36, 10, 3.0


def sample_figure(subjects: Sequence[Subject], data: Prepared, origin: Origin, real: str = "Real images") -> Figure:
    """The first draws of seed 0 through every model, and a sample of real test images beside them."""
    originals = data.seen(shown_rows(data, SAMPLES))
    drawn = [SamplePanel(each.title, each.space.seen(each.space.draw(SAMPLES, seed=0, origin=origin))) for each in subjects]
    return sample_panels([*drawn, SamplePanel(real, originals)])


def traversal_figure(view: RunView) -> Figure:
    """A row for each of the most informative dimensions, moved over the training codes' mean ± 3 standard deviations."""
    space = view.subject.space
    dims, codes = space.traverse(dims=space.ranking()[:TRAVERSED], steps=views.STEPS, span=SPAN)
    return views.traversals(view, dims, list(codes), SPAN)
