"""Information of each dimension about each factor, in nats, and two scores of that table: MIG and modularity.

Mutual information of histograms: 20 bins of equal width per dimension, as in Locatello et al. 2019,
https://arxiv.org/abs/1811.12359 (Chen et al. integrate over q(z|x), which a point mass does not have). The plug-in estimate is
not corrected: independent columns of b and v values show about (b − 1)(v − 1)/2n nats, which cancels in MIG's difference, and
which is why modularity, a ratio, has no floor near 0: read it beside that of noise.
"""

from __future__ import annotations

import numpy as np

from legato.measures.disentanglement.known import Known
from legato.types import Doubles, Integers

BINS = 20  # of equal width, as in Locatello et al. 2019, for figures that compare with theirs
METHODS = {
    "mig": "mutual information gap (Chen et al. 2018), posterior means in 20 bins of equal width; 1 at best",
    "modularity": "modularity (Ridgeway & Mozer 2018) of mutual information in 20 bins of equal width; 1 at best",
}


def scores(known: Known, seed: int = 0) -> dict[str, float]:
    """`mig` and `modularity`. Nothing is drawn."""
    information, entropy = mutual_information(known), np.array([_entropy(np.bincount(c)) for c in known.factors.T])
    return {"mig": mig(information, entropy), "modularity": modularity(information)}


def mig(information: Doubles, entropy: Doubles) -> float:
    """(1/f) Σ_k (I(z_j(k); v_k) − max over j ≠ j(k) of I(z_j; v_k))/H(v_k), information (d, f), entropy (f,), nats.

    Chen et al. 2018, https://arxiv.org/abs/1802.04942, eq. 6. Maximum 1: one dimension knows the factor, no other anything.
    With a single dimension the runner-up knows 0.
    """
    # A row of zeros: with a single dimension the runner-up knows nothing, and ranked[-2] must exist.
    ranked = np.sort(np.vstack([np.zeros_like(information[:1]), information]), 0)
    return float(((ranked[-1] - ranked[-2]) / entropy).mean())


def modularity(information: Doubles) -> float:
    """Mean over dimensions of 1 − Σ_{k ≠ k*} I²(z_j; v_k)/((f − 1) I²(z_j; v_k*)), k* the factor that j knows best.

    Ridgeway & Mozer 2018, https://arxiv.org/abs/1802.05312, eq. 2. Maximum 1: each dimension knows one factor; several may know
    the same one, and none need know it well. A dimension that knows nothing at all counts 0.
    """
    if information.shape[1] < 2:  # one factor only: every dimension that knows any knows one
        return 1.0
    squares, best = information**2, (information**2).max(1)
    rest = (squares.sum(1) - best) / (information.shape[1] - 1)
    # A dimension that knows nothing counts 0, where 0/0 would be NaN.
    return float(np.where(best > 0, 1 - rest / np.where(best > 0, best, 1), 0).mean())


def mutual_information(known: Known, bins: int = BINS) -> Doubles:
    """I(bin of z_j; v_k), (d, f), nats."""
    binned = in_bins(known.codes, bins)
    return np.array([[_mutual(z, v, bins) for v in known.factors.T] for z in binned.T])


def in_bins(codes: Doubles, bins: int = BINS) -> Integers:
    """The bin of each code, (n, d): equal widths from a dimension's smallest value to its largest."""
    low, high = codes.min(0), codes.max(0)
    # the largest value belongs to the last bin and not to one beyond it
    return np.asarray(np.minimum((codes - low) / (high - low) * bins, bins - 1), np.int64)


def _mutual(z: Integers, v: Integers, bins: int) -> float:
    """H(z) + H(v) − H(z, v)."""
    joint = np.bincount(v * bins + z)
    # rounding may leave an information of 0 a little below
    return max(_entropy(np.bincount(z)) + _entropy(np.bincount(v)) - _entropy(joint), 0.0)


def _entropy(counts: Integers) -> float:
    p = counts[counts > 0] / counts.sum()
    return float(-(p * np.log(p)).sum())
