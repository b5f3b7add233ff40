"""A measured model as a page shows it: its codes of test rows, the plane that a map shows, whether it has collapsed.

Covered: any `Subject`, with or without widths, with N(0, I) or a prior of its own. Not covered: figures, words.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from legato.data.preparation import Units
from legato.lazy import lazy
from legato.measures.collapse import Collapse, collapse
from legato.report.trained.collapsed import MOST, Row, beside_its_own_prior, judged
from legato.report.views import Examples, asks_for_standard_normal
from legato.survey.evaluation import Codes, Evaluation
from legato.survey.material import Material
from legato.survey.subject import Subject
from legato.types import Floats, Rows


class Exhibit:
    """`title`: what figures call it. What is computed of it is computed once, when first asked for."""

    def __init__(self, title: str, evaluation: Evaluation, label_names: Sequence[str] | None = None) -> None:
        self.title, self.evaluation, self.label_names = title, evaluation, label_names
        self.subject: Subject = evaluation.subject
        self.material: Material = evaluation.shared
        self.dim = self.subject.latent_dim

    @property
    def test(self) -> Codes:
        """Codes of the test rows."""
        return self.evaluation.test

    @property
    def examples(self) -> Examples:
        """The test rows, as figures show them."""
        rows = self.material.test
        return Examples(len(rows), self.images, rows.labels, self.label_names)

    def codes(self, places: Rows) -> tuple[Floats, Floats | None]:
        """μ, and σ where there is one, of test rows by their places."""
        sigma = self.test.sigma
        return self.test.mu[places], None if sigma is None else sigma[places]

    def seen(self, z: Floats) -> Units:
        """The images of codes, as they are shown."""
        return self._shown(self.subject.decode(z))

    def images(self, rows: slice | NDArray[np.int64]) -> Units:
        """Test images as they are shown."""
        return self._shown(self.material.test.images[rows])

    def _shown(self, images: Units) -> Units:
        # A model of another library is shown as it decodes: only a RUN knows how its data were prepared.
        return images if self.subject.space is None else self.subject.space.preparation.seen(images)

    @property
    def charged(self) -> bool:
        """True where training charged the KL to N(0, I): a RUN says so, of any other model with widths it is supposed."""
        space = self.subject.space
        trained = space is None or asks_for_standard_normal(space)
        return self.subject.standard_prior and self.test.sigma is not None and trained

    @property
    def what(self) -> str:
        """The kind of model, in a word."""
        return "An autoencoder" if self.test.sigma is None else "A variational autoencoder"

    @property
    def said(self) -> str:
        """The first thing to know of its posterior."""
        if self.test.sigma is None:
            return "its codes are points"
        return f"its posterior, in a word: {self.verdict[1]}" if self.subject.standard_prior else "its prior is not N(0, I)"

    @property
    def judged_rows(self) -> int:
        """The number of rows that the verdict on collapse is about."""
        return min(len(self.material.test), MOST)

    @lazy
    def collapse(self) -> Collapse:
        """Collapse over a part of the test rows; against another prior than N(0, I) no KL is taken."""
        # Against another prior the KL has no closed form here: codes are then looked at as points.
        sigma = self.test.sigma if self.subject.standard_prior else None
        return collapse(self.test.mu[:MOST], None if sigma is None else sigma[:MOST])

    @lazy
    def verdict(self) -> Row:
        """The word and the advice."""
        if not self.subject.standard_prior:
            return beside_its_own_prior(self.title, self.test.mu[:MOST])
        return judged(self.title, self.collapse, charged=self.charged or self.test.sigma is None)

    @lazy
    def ranking(self) -> NDArray[np.intp]:
        """Dimensions, most informative first: by KL, by Var μ where there is none."""
        kl = self.collapse.mean_kl
        return np.argsort(-(self.collapse.signal if kl is None else kl), kind="stable")

    @property
    def plane(self) -> tuple[int, int]:
        """The two dimensions that a map shows, counted from 0; of two, both in their order."""
        return (0, 1) if self.dim == 2 else (int(self.ranking[0]), int(self.ranking[1]))
