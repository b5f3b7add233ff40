"""Labels in the codes: whose nearest codes share its label, and what a linear classifier reads from them.

Covered: k-NN purity, a linear probe, a probe with few labels, each with its chance level, a figure for each class, and one
value per image, so that two models are compared on the same images. For any codes: those of PCA and of an untrained encoder are
the nulls, without which no figure here says anything of training. Not covered: labels that are real numbers; known factors
(disentanglement/).

Codes come whitened by the aggregate covariance (`whitening`): else a dimension with wide units decides which codes are near,
and how strongly a probe is regularised.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import NearestNeighbors

from legato.errors import Mistake
from legato.measures.clusters import share_interval, symmetric
from legato.measures.estimate import Estimate, mean_over, paired_difference
from legato.measures.left_out import Groups, in_groups, left_out_variance
from legato.types import Bools, Doubles

Labels = NDArray[np.int64]
# ten of each, so that a share is read in tenths; the draws' choices average out which labels happened to be shown
NEIGHBOURS, FEW, DRAWS = 10, 10, 10
UNIT = "share of images"


@dataclass(frozen=True)
class Hits:
    """The shares of an image's right answers, hits (n,) in [0, 1], beside its label (n,) and what guessing gives.

    Intervals are over the images, with the training codes as they are. Where images are each other's neighbours, every one also
    moves the hits of others: `without` gives the hits (n,) that there would be with only some of the groups of images.
    """

    hits: Doubles
    labels: Labels
    chance: float
    method: str
    groups: Groups | None = None
    without: Callable[[Bools], Doubles] | None = None

    def estimate(self) -> Estimate:
        """The mean over images."""
        return self._mean(np.ones(len(self.hits), bool), self.method)

    def by_class(self, names: Sequence[str] | None = None) -> dict[str, Estimate]:
        """The mean over the images of each class, by its name or number."""
        found = np.unique(self.labels)
        return {
            str(label if names is None else names[label]): self._mean(self.labels == label, f"{self.method}; label {label}")
            for label in found.tolist()
        }

    def minus(self, other: Hits) -> Estimate:
        """The paired difference to another model's hits on the same images. Raises `Mistake` where they are not the same."""
        if not np.array_equal(self.labels, other.labels):
            raise Mistake("hits can only be paired on the same images: their labels differ")
        one, two = self.without, other.without
        if one is None or two is None or self.groups is None:
            return paired_difference(self.hits, other.hits, UNIT, self.method)
        apart = self.hits - other.hits
        # Both models on the same groups: what neighbours do to both alike cancels, as the images' own difficulty does.
        variance = left_out_variance(apart, np.arange(len(apart)), lambda kept: one(kept) - two(kept), self.groups)
        return symmetric(float(apart.mean()), variance, len(apart), UNIT, f"{self.method}; paired difference")

    def _mean(self, rows: NDArray[np.bool_], method: str) -> Estimate:
        hits, without = self.hits[rows], self.without
        if without is None or self.groups is None or len(hits) < 2:
            return mean_over(hits, UNIT, method)
        value = float(hits.mean())
        variance = left_out_variance(hits, np.flatnonzero(rows), lambda kept: without(kept)[rows], self.groups)
        low, high = share_interval(value, variance, len(hits))
        return Estimate(value, low, high, len(hits), UNIT, f"{method}; 95 % interval over {len(hits)} images and neighbours")


def purity(codes: NDArray[Any], labels: NDArray[Any], k: int = NEIGHBOURS, seed: int = 0) -> Hits:
    """The share of an image's k nearest other codes that have its label; codes (n, d), labels (n,), −1 where unknown.

    Rows are first put in random order: of codes that are all alike (collapse) the first k would be the nearest, and labels
    that come sorted would make that a purity of 1. Chance: Σ n_c(n_c − 1)/(n(n − 1)), two images at random.
    """
    codes, labels = _known(codes, labels)
    if not 1 <= k < len(codes):
        raise Mistake(f"`k` must be from 1 to one less than the {len(codes)} labelled images, got {k}")
    order, groups = np.random.default_rng(seed).permutation(len(codes)), in_groups(len(codes), seed)
    # Brute force: beyond a handful of dimensions trees are slower than matrix products, and its memory is bounded.
    # so that k are left where a group is left out; at most 2k more, since a group's share of near codes is small
    more = min(k + min(groups.size, 2 * k), len(codes) - 1)
    index = NearestNeighbors(n_neighbors=more, algorithm="brute").fit(codes[order].astype(np.float32))
    near = np.empty((len(codes), more), np.int64)
    near[order] = order[index.kneighbors(return_distance=False)]  # without an argument a code is not its own neighbour
    alike, group = labels[near] == labels[:, None], groups.of_image[near]

    def without(kept: Bools) -> Doubles:
        there = kept[group]
        nearest = there & (there.cumsum(1) <= k)
        # at least 1: where a group took them all there is nothing to divide
        return np.asarray((alike & nearest).sum(1) / np.maximum(nearest.sum(1), 1))

    counts = np.bincount(labels).astype(np.float64)
    chance = float((counts * (counts - 1)).sum() / (len(labels) * (len(labels) - 1)))
    method = f"share of the {k} nearest codes with the same label, leave one out, Euclidean"
    return Hits(without(np.ones(len(groups.names), bool)), labels, chance, method, groups, without)


def linear_probe(
    train: NDArray[Any], train_labels: NDArray[Any], test: NDArray[Any], test_labels: NDArray[Any], penalty: float = 1.0
) -> Hits:
    """Hits of multinomial logistic regression on the training codes, of the test images' labels.

    It minimises Σ −log p(y|z) + ½ `penalty` ‖w‖²: with 10⁴ codes of unit variance that penalty hardly matters, with ten it
    keeps the weights finite. Chance: always the training labels' most frequent one.
    """
    train, train_labels = _known(train, train_labels)
    test, test_labels = _known(test, test_labels)
    hits = _probed(train, train_labels, test, test_labels, penalty)
    method = f"linear probe (multinomial logistic regression on {len(train)} training codes)"
    return Hits(hits, test_labels, _always(train_labels, test_labels), method)


def few_label_probe(
    train: NDArray[Any],
    train_labels: NDArray[Any],
    test: NDArray[Any],
    test_labels: NDArray[Any],
    per_class: int = FEW,
    draws: int = DRAWS,
    seed: int = 0,
) -> Hits:
    """The same from `per_class` labelled codes of each class: an image's share of hits over `draws` choices of them.

    The choices vary between seeds alone, so two models are compared on the same labelled images. A class with fewer gives all.
    Chance: guessing among the classes.
    """
    train, train_labels = _known(train, train_labels)
    test, test_labels = _known(test, test_labels)
    if per_class < 1 or draws < 1:
        raise Mistake(f"`per_class` and `draws` must be 1 or more, got {per_class} and {draws}")
    # Drawn once for all: each choice is made by the seed alone, never by the codes, so that two models see the same labels.
    choices = list(_few(train_labels, per_class, draws, seed))
    hits = np.mean([_probed(train[rows], train_labels[rows], test, test_labels) for rows in choices], 0)
    method = f"linear probe on {per_class} training codes per class, mean of {draws} choices of them"
    return Hits(hits, test_labels, 1 / len(np.unique(train_labels)), method)


def _few(labels: Labels, per_class: int, draws: int, seed: int) -> Iterator[NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    classes = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    for _ in range(draws):
        yield np.concatenate([rng.permutation(rows)[:per_class] for rows in classes])


def _probed(train: Doubles, train_labels: Labels, test: Doubles, test_labels: Labels, penalty: float = 1.0) -> Doubles:
    if len(np.unique(train_labels)) < 2:
        raise Mistake("a probe needs training codes of two labels or more")
    # 1/penalty, as scikit-learn counts: its C weighs the likelihood, not the weights
    probe = LogisticRegression(C=1 / penalty, max_iter=1000, tol=1e-4).fit(train, train_labels)
    return np.asarray(probe.predict(test) == test_labels, np.float64)


def _always(train_labels: Labels, test_labels: Labels) -> float:
    # The class is chosen on training labels and scored on test labels: the test set's own mode would be a peek.
    return float((test_labels == np.bincount(train_labels).argmax()).mean())


def _known(codes: NDArray[Any], labels: NDArray[Any]) -> tuple[Doubles, Labels]:
    """The rows whose label is known, checked."""
    codes, labels = np.asarray(codes, np.float64), np.asarray(labels)
    if codes.ndim != 2 or labels.shape != codes.shape[:1] or labels.dtype.kind not in "iu":
        raise Mistake(f"needs codes (n, d) and integer labels (n,), got {codes.shape} and {labels.dtype} {labels.shape}")
    if broken := int((~np.isfinite(codes)).any(1).sum()):
        raise Mistake(f"{broken} of {len(codes)} codes are not finite: the run diverged, train it anew")
    if not (labels >= 0).any():
        raise Mistake("needs labels: none of these images has one")
    return codes[labels >= 0], labels[labels >= 0].astype(np.int64)
