"""Plates below each claim's numbers: which figures, under which headings, with which captions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from matplotlib.figure import Figure

from legato.experiment.contrasts import Evidence
from legato.experiment.members import LARGE
from legato.report import claim_figures as drawn
from legato.report import phrases
from legato.report.claim_figures import Curves
from legato.report.gallery import Gallery

PRINCIPAL = ("autoencoder", "noise", "beta-1")


@dataclass(frozen=True)
class Plate:
    """A figure, drawn when asked for; None where there is nothing to draw."""

    title: str
    draw: Callable[[], Figure | None]
    caption: str


def plates(shown: Gallery, evidence: Evidence, curves: Curves) -> dict[int, list[Plate]]:
    """Claim -> its figures."""
    # the last of the others: β rises in the family, so that this is the strongest pull beside the three
    disturbed = (*PRINCIPAL, *[name for name in curves if name not in PRINCIPAL][-1:])
    return {
        1: [
            Plate(
                "Predicted and learnt widths",
                lambda: drawn.balanced(curves),
                "A dot for each of up to 100 images and each active dimension; the line is equality. VAE at β = 1.",
            )
        ],
        2: [
            Plate(
                "The two forces",
                shown.forces,
                "Where a step downhill would move each code: by the KL alone, and by reconstruction alone. VAE with 2 latents.",
            )
        ],
        3: [
            Plate(
                "The noise over training",
                shown.sigmas,
                f"σ of each of {LARGE} dimensions over validation images, geometric mean and range; beside it σ over the "
                "spread of the means.",
            )
        ],
        4: [
            Plate(
                "Norms",
                lambda: drawn.norms(curves, PRINCIPAL),
                f"‖z‖² of one draw for each of {len(shown.material.test):,} test images beside what N(0, I) gives; "
                "models without a KL lie beyond the right edge.",
            )
        ],
        5: _samples(shown) + _planes(shown),
        6: [
            Plate(
                "From one image to another",
                shown.paths,
                "Straight lines between the codes of the first two pairs of test images; pixels blended below.",
            )
        ],
        9: [
            Plate(
                "Disturbances",
                lambda: drawn.disturbed(evidence, curves, disturbed),
                phrases.DISTURBANCES,
            )
        ],
        12: [
            Plate(
                "Rate and distortion",
                lambda: drawn.traded(evidence),
                "Each β's rate and distortion on test images, and the slopes between neighbours beside −β.",
            )
        ],
        14: [
            Plate(
                "Spaces and their samples",
                lambda: drawn.foretold(evidence),
                "A mark for each trained model, means over seeds: how far samples of several Gaussians fitted to the codes lie "
                "from real images, in times of the reconstructions' distance. Ranks alone decide.",
            )
        ],
    }


def _samples(shown: Gallery) -> list[Plate]:
    if not shown.material.pictures:
        return []
    return [
        Plate(
            "Samples from N(0, I)",
            lambda: shown.samples("prior"),
            "The first draws of a fixed random stream, decoded: the same for every model.",
        ),
        Plate(
            "Samples from a mixture fitted to the codes",
            lambda: shown.samples("mixture"),
            "Ten Gaussians fitted to the training codes of each model: the fairer question to an autoencoder.",
        ),
    ]


def _planes(shown: Gallery) -> list[Plate]:
    decoded = Plate(
        "What each place decodes to",
        shown.planes,
        "Decoded means on a lattice: models with a KL over ±3, others over the middle 98 % of their codes.",
    )
    return [
        Plate(
            "Where codes lie",
            shown.maps,
            "Codes of test images with 2 latents, clouds at axis scale; each panel has its own scale.",
        ),
        *([decoded] if shown.material.pictures else []),
        Plate(
            "Holes",
            shown.holes,
            "log q̂(z), summed over all training posteriors; outside the contour it is below what 99 % of held-out codes have.",
        ),
    ]
