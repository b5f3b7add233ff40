"""The figures of the claims' report that need models and images: maps, planes, samples, paths, forces, holes.

Covered: from an experiment's runs to figures, each model's the same rows and seeds. Not covered: figures of numbers alone
(claim_figures.py), the page (claims.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray

from legato.data.preparation import Units
from legato.experiment import Experiment
from legato.experiment.members import LARGE, SMALL, Member, title_of
from legato.experiment.survey import shared_material
from legato.latent_space import LatentSpace
from legato.lazy import lazy
from legato.loading import load
from legato.measures.aggregate import log_aggregate
from legato.measures.field import arrows
from legato.report import views
from legato.report.curves import SigmaSeries, sigma_curves
from legato.report.fields import Pull, kl_field
from legato.report.holes import HolesPanel, holes_map
from legato.report.panels import SamplePanel, sample_panels
from legato.report.views import Examples, asks_for_standard_normal
from legato.survey import QUICK
from legato.survey.evaluation import Codes, Evaluation
from legato.survey.material import Material
from legato.survey.subject import Trained
from legato.types import Floats, Rows

MAPPED, SHOWN, LATTICE, FORCED = 4000, 25, 15, 300
HOLE_STEPS = 80  # a side of the lattice on which holes are drawn: 6,400 places, each a sum over all posteriors


@dataclass(frozen=True)
class Shown:
    """A member with its model loaded."""

    member: Member
    space: LatentSpace
    material: Material
    plane = (0, 1)

    @property
    def title(self) -> str:
        """The member's name in plain words."""
        return title_of(self.member.name)

    @property
    def charged(self) -> bool:
        """True where training charged the KL to N(0, I)."""
        return asks_for_standard_normal(self.space)

    def codes(self, places: Rows) -> tuple[Floats, Floats | None]:
        """μ, and σ where there is one, of test rows by their places."""
        mu, sigma = self.space.posterior(self.material.test.x[places])
        return mu, sigma if self.space.has_width else None

    def seen(self, z: Floats) -> Units:
        """The images of codes, as they are shown."""
        return self.space.seen(z)


class Gallery:
    """Draws from an experiment's runs of seed 0."""

    def __init__(self, experiment: Experiment) -> None:
        self.experiment = experiment
        self.material: Material = shared_material(experiment.protocol.source, experiment.protocol.data, experiment.quick)

    def shown(self, latent_dim: int, *names: str) -> list[Shown]:
        """The members of that size, all or those named, with seed 0, in the family's order."""
        members = [m for m in self.experiment.members if m.latent_dim == latent_dim and m.seed == 0]
        kept = [m for m in members if not names or m.name in names]
        device = self.experiment.protocol.device
        return [Shown(m, load(m.path(self.experiment.out), device=device), self.material) for m in kept]

    # Loaded when they are first drawn: a report without maps needs none of them.
    @lazy
    def small(self) -> list[Shown]:
        """Everyone with 2 latents."""
        return self.shown(SMALL)

    @lazy
    def principal(self) -> list[Shown]:
        """The autoencoder, noise without KL, and the VAE, with 16 latents."""
        return self.shown(LARGE, "autoencoder", "noise", "beta-1")

    @property
    def examples(self) -> Examples:
        """The test rows; the classes go by their numbers."""
        test = self.material.test
        return Examples(len(test), self._seen, test.labels)

    def maps(self) -> Figure:
        """Codes of test rows with their clouds."""
        return views.maps(self.small, self.examples, MAPPED)

    def planes(self) -> Figure:
        """The image that each place decodes to."""
        return views.planes(self.small, self.examples, LATTICE, MAPPED)

    def samples(self, rung: str) -> Figure:
        """Decoded draws of seed 0 from one rung of the ladder (`prior`, `gaussian`, `mixture`), and real images beside."""
        panels = []
        for one in self.principal:
            # The ladder of the survey itself: pictures and figures are of the same draws.
            evaluation = Evaluation(Trained(one.space), self.material, QUICK, 0)
            panels.append(SamplePanel(one.title, one.space.seen(evaluation.ladder[rung][:SHOWN])))
        return sample_panels([*panels, SamplePanel("Real test images", self._seen(slice(SHOWN)))])

    def paths(self, pairs: int = 2) -> Figure:
        """Straight lines between codes of the first pairs, for each model, and the cross-fade below."""
        first, second = (rows[:pairs] for rows in self.material.pairs(pairs))
        return views.paths(self.principal, self.examples, [np.array(ends) for ends in zip(first, second, strict=True)])

    def sigmas(self) -> Figure:
        """σ over training, of every large member that has one."""
        series = []
        for one in self.shown(LARGE):
            if one.space.has_width:
                found = [(m["step"], m["validation"]) for m in one.space.run.read_metrics() if "validation" in m]
                sigma, spread = (np.array([v[name] for _, v in found]) for name in ("sigma", "std_mu"))
                series.append(SigmaSeries(one.title, np.array([step for step, _ in found]), sigma, spread))
        return sigma_curves(series[:6])  # six lines are all that can be told apart

    def forces(self) -> Figure | None:
        """The KL's pull on the codes of the small VAE beside reconstruction's; None where there is no such member."""
        vae = next((one for one in self.small if one.member.name == "beta-1"), None)
        if vae is None:
            return None
        test = self.material.test
        found = arrows(vae.space.model, torch.from_numpy(test.x[:FORCED]).to(vae.space.device), 1.0)
        pulls = [Pull("The KL's pull", -found.kl_by_mu), Pull("Reconstruction's pull", -found.distortion_by_mu)]
        labels = None if test.labels is None else test.labels[:FORCED]
        return kl_field(found.mu, pulls, labels)

    def holes(self) -> Figure:
        """log q̂ of the small members that have clouds, and where it is below what held-out codes ever are."""
        return holes_map([self._holes(one) for one in self.small if one.space.has_width and one.space.prior_was_trained])

    def _holes(self, one: Shown) -> HolesPanel:
        train = Codes(*one.space.posterior(self.material.train.x), "training rows")
        test = Codes(*one.space.posterior(self.material.test.x[:MAPPED]), "test rows")
        side = np.linspace(-4, 4, HOLE_STEPS)  # beyond the rings at 3σ, where nearly nothing is drawn
        grid = np.stack(np.meshgrid(side, side), -1).reshape(-1, 2)
        held_out = log_aggregate(test.draw(0), train.mu, train.widths)
        threshold = float(np.quantile(held_out, 0.01))
        # double precision, as the sums over all posteriors are
        prior = one.space.draw_prior(4000, np.random.default_rng(0), dtype=np.float64)
        share = float((log_aggregate(prior, train.mu, train.widths) < threshold).mean())
        log_q = log_aggregate(grid, train.mu, train.widths).reshape(HOLE_STEPS, HOLE_STEPS)
        return HolesPanel(
            one.title, log_q, (-4, 4, -4, 4), threshold, test.mu[:1000], note=f"{share:.1%} of prior draws in holes"
        )

    def _seen(self, rows: slice | NDArray[np.int64]) -> Units:
        """Test images as they are shown."""
        return self.principal[0].space.preparation.seen(self.material.test.images[rows])
