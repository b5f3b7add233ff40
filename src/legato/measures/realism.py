"""The realism of what lies in the middle of a path: how sure a classifier is of it, and whether its code is where codes are.

Covered: a classifier's confidence, norms of midpoints beside the shell of codes. Not covered: the Fréchet distance of midpoints
(fidelity.py), which sees what a classifier's confidence does not: an image far from all data may be classified with certainty.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from legato.measures.clusters import Ends, mean_over_pairs, ratio_to_images
from legato.measures.estimate import Estimate, mean_over, ratio_of_means
from legato.measures.whitening import Whitening
from legato.types import Doubles


def confidence(probabilities: NDArray[Any], ends: Ends | None = None) -> tuple[Estimate, Doubles]:
    """max_y p(y|image), its mean and each image's, from probabilities (n, classes).

    `ends`: of images that lie between two others, the rows of these, (n,) each; None for images that have none in common.
    """
    found, method = np.asarray(probabilities, np.float64).max(1), "largest class probability of a classifier"
    if ends is None:
        return mean_over(found, "probability", method), found
    return mean_over_pairs(found, ends, "probability", method), found


def shell(midpoints: NDArray[Any], codes: NDArray[Any], whitening: Whitening, ends: Ends | None = None) -> dict[str, Estimate]:
    """The places of midpoints (n, d) beside codes (m, d) as they are drawn, by norm in whitened space.

    `norm`: E‖S^{-½}(z_½ − m)‖/E‖S^{-½}(z − m)‖, 1/√2 in high dimension for independent ends and near 1 in two; `inside`: the
    share of midpoints with a smaller norm than 99 % of codes have, 1 % if they were codes themselves.
    `ends`: the rows of `codes` whose images the midpoints lie between, (n,) each; None where these are others, each used once.
    """
    middle, typical = (np.linalg.norm(whitening.apply(z), axis=1) for z in (midpoints, codes))
    # The 1 % quantile of codes' norms: an inner edge that holds in any dimension, where a fixed radius would not.
    below = (middle < float(np.quantile(typical, 0.01))).astype(np.float64)
    norm, inside = "norm of midpoints over that of codes", "midpoints inside the shell of 99 % of codes"
    # Paths that share images are not independent examples: their intervals are over the images.
    if ends is None:
        return {"norm": ratio_of_means(middle, typical, "ratio", norm), "inside": mean_over(below, "share", inside)}
    return {
        "norm": ratio_to_images(middle, ends, typical, "ratio", norm),
        "inside": mean_over_pairs(below, ends, "share", inside),
    }
