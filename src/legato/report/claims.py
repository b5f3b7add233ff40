"""The claims' report: the verdicts first, each with what was found in plain words; then for each claim its conclusion, figures,
numbers with intervals. What all share is said once, before them. One HTML file.

Covered: the page's order and words. Not covered: drawing (gallery.py, claim_figures.py), deciding (legato.claims).
"""

from __future__ import annotations

from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from legato.errors import quoted
from legato.experiment import Experiment
from legato.experiment.conclusion import gather
from legato.experiment.contrasts import Evidence
from legato.experiment.members import LARGE, SMALL
from legato.experiment.survey import evidence_path, read_evidence
from legato.explorer.offline import Offline
from legato.loading import load
from legato.measures.known import measure_of
from legato.report import claim_figures as drawn
from legato.report.claim_plates import Plate, plates
from legato.report.claim_tables import blind, compared, rules, units
from legato.report.conclusions import concluded
from legato.report.drag import section_of
from legato.report.gallery import Gallery
from legato.report.html import Section, strong, write_report
from legato.report.verdicts import Judged, verdict_table

DRAGGED = ("autoencoder", "beta-1")
MOST = 3_000_000  # bytes of the page: what is more is taken from the pictures to drag on
# bytes of the pictures to drag on, at first and at least: the coarsest lattice of explorer/offline.py must fit
DRAG_BUDGET, LEAST_DRAG = 500_000, 100_000
SINGULAR = {"cannot tell": "cannot be told"} | {word: word for word in ("holds", "holds in part", "does not hold here")}
PLURAL = {"holds": "hold", "holds in part": "hold in part", "does not hold here": "do not hold here"} | {
    "cannot tell": "cannot be told"
}


def write_claims_report(experiment: Experiment, found: dict[str, Any]) -> Path:
    """OUT/report.html from claims.json's content; where its figures take much room, fewer places to drag on."""
    page = Page(experiment, found)
    path, title = experiment.out / "report.html", "What is said of variational autoencoders, measured"
    # Drawn once, before the loop: only the pictures to drag on are made again.
    before, after, offline = [page.verdicts(), page.reading()], [*page.claimed(), *page.blindness()], page.offline()
    while True:
        # Other figures cannot be made smaller: what is too much is taken from the places to drag on.
        middle = [section_of(offline)] if offline else []
        size = write_report(path, title, page.lead(), [*before, *middle, *after], page.next(), page.facts())
        if size <= MOST or offline is None or offline.budget == LEAST_DRAG:
            return path
        # less than was taken, since a budget that was not used up is no room to save
        offline.budget = max(LEAST_DRAG, min(offline.budget, offline.taken) - (size - MOST))


class Page:
    """The report of one experiment."""

    def __init__(self, experiment: Experiment, found: dict[str, Any]) -> None:
        self.experiment, self.claims, self.protocol = experiment, found["claims"], found["protocol"]
        self.evidence: Evidence = gather(experiment)
        self.gallery = Gallery(experiment)
        self.curves = {
            m.name: read_evidence(evidence_path(experiment.out, m.name, LARGE, 0))["curves"]
            for m in experiment.members
            if m.latent_dim == LARGE and m.seed == 0
        }

    def lead(self) -> str:
        """The outcome in a sentence or two."""
        words = [claim["verdict"] for claim in self.claims]
        counts = {word: words.count(word) for word in dict.fromkeys(words)}
        told = ", ".join(f"{n} {PLURAL[word] if n > 1 else SINGULAR[word]}" for word, n in counts.items())
        return (
            "Fourteen sentences of the popular account, each with a measure and margins that were declared before anything was "
            f"trained. On {self.experiment.protocol.source}: {told}. An honest “does not hold here” is a result."
        )

    def facts(self) -> dict[str, str]:
        """The protocol in a few words."""
        kinds = len({member.name for member in self.experiment.members})
        counted = "set once by a probe" if self.protocol["minutes"] else "as asked for"
        return {
            "data": f"{self.experiment.protocol.source}, {len(self.gallery.material.test):,} test rows measured",
            "family": f"{kinds} models with {LARGE} latents, {self.experiment.seeds} seeds each; some with 2 latents, one seed",
            "training": f"{self.protocol['steps']:,} steps each, {counted}",
            "rules": f"edition {self.protocol['edition']}, table {self.protocol['rules_hash'][:12]}",
            "date": date.today().isoformat(),
        }

    def next(self) -> list[tuple[str, str]]:
        """The commands to try next."""
        runs = quoted(self.experiment.out / "runs")
        return [
            (f"legato report {runs}/beta-1-{LARGE}-seed0", "one model's own report"),
            (
                f"legato compare {runs}/autoencoder-{LARGE}-seed0 {runs}/beta-1-{LARGE}-seed0",
                "paired differences with intervals",
            ),
        ]

    def claimed(self) -> list[Section]:
        """The claims."""
        return [self._claim(claim) for claim in self.claims]

    def blindness(self) -> list[Section]:
        """The measures' blind spots: controls that they put above a model."""
        found = blind(self.evidence, self.claims)
        text = (
            "Some pictures come from no model: copies of training images, the mean of all images, blended pixels. Where a "
            "measure puts one of these above a model, it is blind to what is wrong with it, and its figure is to be read so."
        )
        return [] if found is None else [Section("What the measures do not see", text, table=found)]

    def verdicts(self) -> Section:
        """The verdicts in a table."""
        judged = [Judged(claim["id"], claim["sentence"], claim["verdict"], concluded(claim)) for claim in self.claims]
        caption = (
            f"Verdicts follow from {self.experiment.seeds} training seeds' figures and from a table of margins, and from "
            "nothing else: see each claim for both, with intervals."
        )
        quick = " This was a quick run: fewer models, steps and images." if self.experiment.quick else ""
        return Section("The verdicts", table=verdict_table(judged, caption + quick))

    def reading(self) -> Section:
        """The way to read the page: how the numbers came about."""
        told = (
            ("The models", "have the same network, data, batches and number of steps, and differ by a word: a point instead of "
             "a cloud, no KL term, another β. Controls that learned nothing are measured beside them."),
            ("A claim", "begins with its verdict and what was found. Then comes what the popular account leaves out, a "
             "chart of the measure that decides, every row that was asked, with its margins, which were declared before "
             "anything was trained, and pictures."),
            ("A chart", "has a dot for each model and control, at its mean. The thick bar is the 95 % interval over training "
             "seeds, and decides; the thin one is over test images, for the first seed, and is never mixed in; small dots are "
             "single seeds. That of the first claim has a key."),
            ("A verdict", "by a claim's first row is adjusted for the number of claims (Holm): it may be “cannot tell” though "
             "the interval alone lies beyond the margin. Distances between codes are in the codes' own standard deviations, "
             "else they would compare scales."),
            ("Pictures and curves", f"are of the first seed, with {LARGE} latents if no other number is said, never picked."),
        )  # fmt: skip
        text = "\n\n".join(f"{strong(head)} {rest}" for head, rest in told)
        return Section("How to read this", text, parts=compared(self.evidence, units(self.gallery.material)))

    def offline(self) -> Offline | None:
        """The small autoencoder and the small VAE, to be dragged through; nothing of tables."""
        shown = [one for one in self.gallery.shown(SMALL, *DRAGGED) if len(one.space.shape) == 3]
        if not shown:
            return None
        device = partial(load, device=self.experiment.protocol.device)
        titles, runs = [one.title for one in shown], [one.space.run.path for one in shown]
        return Offline(runs, shown[0].space.data(), device, titles=titles, budget=DRAG_BUDGET)

    def _claim(self, claim: dict[str, Any]) -> Section:
        measure = claim["rule"][0]["measure"]
        chart = drawn.forest(self.evidence, measure, keyed=claim["id"] == 1)
        caption = f"{measure_of(measure).headed}. {measure_of(measure).says}"
        # a plate without anything to draw is left out with its heading
        parts = [Section(one.title, "", figure, one.caption) for one in self._plates(claim["id"]) if (figure := one.draw())]
        text = f"{strong(claim['verdict'].capitalize() + '.')} {concluded(claim)}\n\n{claim['leaves_out']}"
        return Section(
            f"{claim['id']}. {claim['sentence']}", text, chart, caption if chart else "", rules(claim["rule"]), parts=parts
        )

    def _plates(self, number: int) -> list[Plate]:
        return plates(self.gallery, self.evidence, self.curves).get(number, [])
