"""Terms beside a likelihood: what else a code of places may be trained for, each at a weight that is 0 unless it is said.

Covered: which terms, and at what weights. Not covered: the terms themselves (features.py, patches.py, equivariance.py).
"""

from __future__ import annotations

from legato.objectives.constraints import Begun
from legato.objectives.equivariance import Equivariance
from legato.objectives.features import Perceptual
from legato.objectives.patches import PatchAdversary, PatchCritic
from legato.objectives.term import Objective
from legato.types import Shape


def beside(
    plain: Objective, image: Shape, perceptual: float = 0.0, adversary: float = 0.0, begin: float = 0.3,
    equivariance: float = 0.0, halves: bool = True,
) -> Objective:  # fmt: skip
    """The objective, and the terms of a positive weight: what is weighed by 0 is not computed.

    `perceptual`: of Σ‖f̂ − f̂′‖², which has no unit: 100 or so. `adversary`: 1 is as strong as the fidelity, from `begin` of
    the run on. `equivariance`: 1 counts moved pictures as the pictures themselves; `halves`: these are halved, too, which words
    of a codebook cannot be: the mean of four is none. All add to the fidelity and take nothing of it away. `image`: (C, H, W).
    """
    if perceptual:
        plain = plain + perceptual * Perceptual()
    if equivariance:
        plain = plain + equivariance * Equivariance(halves)
    return plain + Begun(adversary, begin) * PatchAdversary(PatchCritic(image[0])) if adversary else plain
