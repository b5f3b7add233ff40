"""A patient: a model under examination, with its codes as grids where they have places.

Covered: any `Subject`; codes and images of other sizes, where its functions take them. Not covered: figures (examinations.py).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from legato.codes import grid_of
from legato.errors import Mistake
from legato.lazy import lazy
from legato.measures.equivariance import Grids
from legato.survey.effort import Effort
from legato.survey.evaluation import COMPONENTS, FITTED, Evaluation
from legato.survey.material import Material
from legato.survey.subject import Subject
from legato.types import Floats, Shape

QUICK = Effort(
    train=2000,
    test=1000,
    samples=1000,
    outer=1000,
    paths=100,
    places=50,
    noisy=200,
    halves=8,
    judged=1000,
    weighted=0,
    draws=0,
    annealed=0,
)
FULL = Effort(
    train=10_000,
    test=2000,
    samples=2000,
    outer=2000,
    paths=100,
    places=200,
    noisy=500,
    halves=20,
    judged=2000,
    weighted=0,
    draws=0,
    annealed=0,
)
TRIED = 2  # examples that a function is tried on in another size
WHOLE = 1000  # dimensions up to which a covariance is whole: of 4,096 its eigenvectors alone take minutes
Loss = Callable[..., Any]  # (x, reconstruction, mu, log sigma^2), tensors, -> one number: what a training step minimised


class Patient(Evaluation):
    """A subject, the images, and what several examinations need of both, computed once when first asked for."""

    largest: int | None = WHOLE

    def __init__(self, subject: Subject, shared: Material, effort: Effort, seed: int, loss: Loss | None = None) -> None:
        super().__init__(subject, shared, effort, seed)
        self.loss = loss

    @property
    def event(self) -> Shape:
        """The shape of one code: (d,) or (C, h, w)."""
        return self.subject.event

    @property
    def spatial(self) -> bool:
        """True where codes have places: two or more a side."""
        return len(self.event) == 3 and min(self.event[1:]) > 1

    @property
    def step(self) -> int | None:
        """How many pixels a side a place of the code is; None where there are no places, or no whole number of pixels."""
        if not (self.spatial and self.shared.pictures):
            return None
        (down, across), left = zip(*map(divmod, self.shared.shape[1:], self.event[1:]), strict=True)
        return down if down == across and not any(left) else None

    def grid(self, flat: Floats) -> Grids:
        """Codes (n, d) as (n, C, h, w); as (n, d, 1, 1) where they have no places."""
        return grid_of(flat.reshape(-1, *self.event) if len(self.event) == 3 else flat)

    @lazy
    def means(self) -> Grids:
        """μ of test rows."""
        return self.grid(self.test.mu)

    @lazy
    def widths(self) -> Grids | None:
        """σ of test rows; None for points."""
        return None if self.test.sigma is None else self.grid(self.test.sigma)

    @lazy
    def drawn(self) -> Floats:
        """A draw of each test row's posterior, (n, d): what a prior has to be fitted to."""
        return self.test.draw(self.seed, "examined")

    @property
    def no_mixture(self) -> str | None:
        """The reason why no mixture is fitted: fewer codes than an evaluation supposes are too few for fewer dimensions."""
        few = min(len(self.train.mu), FITTED)
        if 2 * self.subject.latent_dim * COMPONENTS <= few:
            return None
        return f"{COMPONENTS} Gaussians of {self.subject.latent_dim} dimensions cannot be told from {few:,} codes"

    def encoded(self, x: Floats, height: int, width: int) -> Grids:
        """μ of images of any size as grids of the size expected. Raises `Mistake` where the encoder takes no such images."""
        found = self._tried(lambda some: self.subject.encode(some)[0], x, "encoder takes images")
        if found.size != len(x) * self.event[0] * height * width:
            raise Mistake(f"the encoder gives {found.shape[1]} numbers there, not {self.event[0]} × {height} × {width}")
        return grid_of(found.reshape(len(x), self.event[0], height, width))

    def decoded(self, grids: Grids) -> Floats:
        """Images of codes of any size. Raises `Mistake` where the decoder takes no such codes."""
        if grids.shape[1:] == self.event:
            return self.subject.decode(grids.reshape(len(grids), -1).astype(np.float32))
        return self._tried(self.subject.decode_sized, grids.astype(np.float32), "decoder takes codes")

    def _tried(self, function: Callable[[Floats], Floats], given: Floats, what: str) -> Floats:
        try:
            function(given[:TRIED])
        # Anything: it is a person's own function, asked for what it was never promised to do.
        except Exception as error:
            told = " ".join(str(error).split())[:120]
            raise Mistake(f"the {what} of one size: {type(error).__name__} ({told})") from None
        return function(given)
