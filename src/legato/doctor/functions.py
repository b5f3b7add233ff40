"""Examinations of the encoder and the decoder as functions: steadiness, equivariance, continuity, meaning, decoded samples."""

from __future__ import annotations

import math

import numpy as np

from legato.doctor.found import Found
from legato.doctor.patient import Patient
from legato.errors import Mistake
from legato.measures.distances import at_both_ends, euclidean, partners, relative
from legato.measures.equivariance import MOVES, Grids, Move, equivariance, unrelated
from legato.measures.estimate import Estimate, absent, bootstrap
from legato.measures.fidelity import frechet
from legato.measures.scale import unit
from legato.measures.semantics import linear_probe, purity
from legato.measures.trustworthiness import preserved
from legato.survey.robustness import NOISE, STRETCH
from legato.types import Doubles, Floats

SHARE = "share of an unrelated one's"
SAMPLES = {"prior": "samples of the prior", "gaussian": "samples of a Gaussian", "mixture": "samples of a mixture"}


def steady(patient: Patient) -> Found:
    """E‖E(x) − E′(x)‖²/E‖E(x) − E(x′)‖², E′ the encoder asked again with other random numbers: 0 where it draws nothing."""
    x = patient.shared.test.x[: patient.effort.noisy]
    first, again = (patient.subject.encode_again(x, seed) for seed in (patient.seed, patient.seed + 1))
    method = "E|E(x) - E'(x)|^2 / E|E(x) - E(x')|^2, E' asked again"
    return Found({"unsteady encode": equivariance(again, first, patient.seed, method)})


def of_encoder(patient: Patient) -> Found:
    """Equivariance of the encoder to each move; control: another image's code."""
    x, means = patient.shared.test.x[: patient.effort.noisy], patient.means[: patient.effort.noisy]
    found = Found()
    for move in MOVES:
        found = found.joined(_moved(patient, move, x, means))
    return found


def _moved(patient: Patient, move: Move, x: Floats, means: Grids) -> Found:
    key = f"equivariance to {move.name}"
    try:
        step = _step(patient, move)
        expected = move.apply(means, 1)
        moved = patient.encoded(move.apply(x, step), *expected.shape[2:])
    except Mistake as error:
        return Found({key: absent(str(error), SHARE)})
    # what a shift brings in from outside is compared on neither side
    pair = move.compared(moved, 1), move.compared(expected, 1)
    return Found({key: equivariance(*pair, patient.seed)}, {key: unrelated(*pair, patient.seed)})


def of_decoder(patient: Patient) -> Found:
    """Equivariance of the decoder to each move of codes."""
    means = patient.means[: patient.effort.noisy]
    found = Found()
    for move in MOVES:
        key = f"decoder's equivariance to {move.name}"
        try:
            step = _step(patient, move)
            expected = move.apply(patient.decoded(means), step)
            moved = patient.decoded(move.apply(means, 1))
        except Mistake as error:
            found = found.joined(Found({key: absent(str(error), SHARE)}))
            continue
        pair = move.compared(moved, step), move.compared(expected, step)
        found = found.joined(Found({key: equivariance(*pair, patient.seed)}, {key: unrelated(*pair, patient.seed)}))
    return found


def _step(patient: Patient, move: Move) -> int:
    """Pixels a place. Raises `Mistake` where there is nothing to move so."""
    if not (patient.spatial and patient.shared.pictures):
        raise Mistake("these codes have no places")
    if patient.step is None:
        raise Mistake("a place of the code is no whole number of pixels")
    for height, width in (patient.event[1:], patient.shared.shape[1:]):
        if reason := move.fits(height, width):
            raise Mistake(reason)
    return patient.step


def continuity(patient: Patient) -> Found:
    """How far a step in the space carries the image, and the posterior's own noise; control: a linear decoder's r₅₀."""
    figures, curves = NOISE.measure(patient)
    # a linear decoder's C(r) is near r/√(2d), so that it moves half way at √(d/2)
    linear = math.sqrt(patient.subject.latent_dim / 2)
    control = Estimate(linear, None, None, 0, "latent standard deviations", "a linear decoder, sqrt(d/2)")
    kept = {name: figures[name] for name in ("r50", "moved by a tenth")}
    tenth = Estimate(0.1, None, None, 0, "share", "a linear decoder")
    return Found(kept, {"r50": control, "moved by a tenth": tenth}, {"curve of r50": curves["curve of r50"]})


def stretched(patient: Patient) -> Found:
    """The decoder's stretch at draws of posteriors and of the prior, and how uneven it is."""
    figures, _ = STRETCH.measure(patient)
    names = "stretch posterior", "stretch prior", "stretch posterior unevenness"
    return Found({name: figures[name] for name in names})


def noise(patient: Patient) -> Found:
    """E d(g(μ), g(μ + σε))/E d(g(μ), g(μ′)): how much of an image the posterior's own noise moves."""
    key, method = "decoded noise", "E d(g(mu), g(mu + sigma e)) / E d(g(mu), g(mu'))"
    if patient.test.sigma is None:
        return Found({key: absent("the posterior is a point: it has no width", "share", method)})
    n = patient.effort.noisy
    still, moved = (patient.subject.decode(z[:n]) for z in (patient.test.mu, patient.drawn))
    others = partners(len(still), patient.seed)
    whole = at_both_ends(np.stack([euclidean(still, still[row]) for row in others]), others)
    if not whole.any():
        return Found({key: absent("the decoder gives one image for every code", "share", method)})
    step = euclidean(still, moved)

    def share(weights: Doubles) -> Doubles:
        return relative(step, whole, weights)

    return Found({key: bootstrap(share, float(step.mean() / whole.mean()), len(step), "share", method)})


def meaning(patient: Patient) -> Found:
    """Neighbours as codes that are neighbours as images; with labels, what neighbours and a linear classifier tell of them.

    Codes are as a prior sees them, in one unit for all dimensions: what one wide channel does to distances is part of the
    space.
    """
    codes, seed = unit(patient.test.mu), patient.seed
    features = patient.reference.features(patient.shared.test.images)
    figures = dict(preserved(codes, features, sample=patient.effort.judged, seed=seed).estimates)
    shuffled = codes[np.random.default_rng(seed).permutation(len(codes))]
    controls = dict(preserved(shuffled, features, sample=patient.effort.judged, seed=seed).estimates)
    train, test = patient.shared.train.labels, patient.shared.test.labels
    if train is None or test is None:
        missing = absent("needs labels", "share of images")
        return Found({**figures, "probe": missing, "purity": missing}, controls)
    known = _in_unit_of(patient.train.mu, patient.test.mu)
    near, read = purity(codes, test, seed=seed), linear_probe(known, train, codes, test)
    figures |= {"purity": near.estimate(), "probe": read.estimate()}
    for name, hits in (("purity", near), ("probe", read)):
        controls[name] = Estimate(hits.chance, None, None, 0, "share of images", "chance")
    return Found(figures, controls)


def _in_unit_of(codes: Floats, other: Floats) -> Doubles:
    """Codes with the mean and the factor by which `unit` changes the others: both sides of a probe are in one unit."""
    mean = np.asarray(other, np.float64).mean(0)
    spread = float(np.sqrt(np.square(other - mean).mean()))
    return np.asarray((codes - mean) / (spread or 1.0))


def samples(patient: Patient) -> Found:
    """Fréchet distances of decoded draws from real images, over that of reconstructions: from the prior, and from priors
    fitted.

    Control: 1, reconstructions themselves, which no prior can be better than. Where these are as near as other real images, the
    distance of real images takes their place.
    """
    if not patient.shared.pictures:
        raise Mistake("needs pictures")
    halves, real = patient.effort.halves, patient.reference.real
    rebuilt = frechet(real.features, patient.reference.features(patient.reconstructions), halves)
    floor = max((one for one in (rebuilt, real.frechet) if one.value is not None), key=lambda one: one.value or 0.0)
    figures = {"reconstructions": _over(rebuilt, real.frechet)}
    for name, images in patient.samples.items():
        figures[SAMPLES[name]] = _over(frechet(real.features, patient.reference.features(images), halves), floor)
    if reason := patient.no_mixture:
        figures["samples of a mixture"] = absent(reason)
    return Found(figures)


def _over(one: Estimate, other: Estimate) -> Estimate:
    """The ratio of two distances; its interval the widest that both intervals allow."""
    unit_, method = "times", f"{one.method}; over that of reconstructions, or of real images where these are farther"
    if not (one.value and other.value and one.low is not None and other.low and one.high is not None and other.high):
        return absent("one of the two distances is missing or 0", unit_, method)
    return Estimate(one.value / other.value, max(one.low, 0) / other.high, one.high / other.low, one.n, unit_, method)
