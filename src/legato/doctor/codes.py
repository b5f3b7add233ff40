"""Examinations of the codes alone: scale, channels, gap to the prior, spectrum, density, velocity, traces of a KL."""

from __future__ import annotations

import numpy as np

from legato.doctor.found import Found
from legato.doctor.patient import Patient
from legato.errors import Mistake
from legato.measures import charge, velocity
from legato.measures.channels import correlation_of_channels, covariance_between_channels, permuted
from legato.measures.estimate import Estimate
from legato.measures.rate import codebook_perplexity
from legato.measures.scale import channel_factors, dead_channels, scale_factor, uneven_scales
from legato.measures.shape import two_sample_accuracy
from legato.measures.spectrum import pooled, spectrum, white_share, without_level
from legato.measures.uniformity import of_gaussian as density_of_gaussian
from legato.measures.uniformity import uneven_density
from legato.streams import random_stream
from legato.survey.population import HOLES


def scales(patient: Patient) -> Found:
    """One factor in all, one for each channel, and how uneven channels are; of draws, as a prior is fitted to them."""
    codes = patient.grid(patient.drawn)
    figures = {
        "scale factor": scale_factor(codes),
        "uneven scales": uneven_scales(codes),
        "dead channels": dead_channels(patient.means),
        "collapsed channels": charge.collapsed_channels(patient.means, patient.widths),
    }
    said = patient.subject.scale
    own = Estimate(said, None, None, 0, "1 / code unit", "the model's own configuration")
    return Found(
        figures, {} if said is None else {"scale factor": own}, {"factor of each channel": channel_factors(codes).tolist()}
    )


def channels(patient: Patient) -> Found:
    """Whether channels hang together, beside the same channels dealt to other images."""
    codes = patient.grid(patient.drawn)
    alone = permuted(codes, patient.seed)
    kinds = {
        "correlation of channels": correlation_of_channels,
        "covariance between channels": covariance_between_channels,
    }
    figures, controls = ({name: of(c, patient.seed) for name, of in kinds.items()} for c in (codes, alone))
    return Found(figures, controls)


def gap(patient: Patient) -> Found:
    """How far draws are from the prior's: two moments in closed form, a classifier, and holes of the prior."""
    codes, seed = patient.drawn, patient.seed
    some = codes[: patient.effort.judged]
    prior = patient.subject.prior(2 * len(some), seed, "examined")
    figures = {"told from prior": two_sample_accuracy(some, prior[: len(some)], seed)}
    controls = {"told from prior": two_sample_accuracy(prior[len(some) :], prior[: len(some)], seed)}
    if patient.subject.standard_prior:
        figures["gap of moments"] = charge.gap_of_moments(patient.grid(codes), seed)
        white = random_stream(seed, "control of moments").standard_normal(codes.shape)
        controls["gap of moments"] = charge.gap_of_moments(patient.grid(white), seed)
    return Found(figures, controls)


def holes(patient: Patient) -> Found:
    """How much of the prior lies where no image is encoded (measures/holes.py): exactly, and by one kernel estimate."""
    figures, _ = HOLES.measure(patient)
    return Found({name: one for name, one in figures.items() if name in ("hole 5%", "kernel hole 5%")})


def frequencies(patient: Patient) -> Found:
    """The code's spectrum beside that of the images pooled to its size; controls: white noise, and the images."""
    if not patient.spatial:
        raise Mistake("these codes have no places: a spectrum is of a grid")
    height, width = patient.event[1:]
    code = spectrum(without_level(patient.means))
    figures = {"high share": code.share(), "spectral slope": code.slope()}
    white = Estimate(white_share(height, width), None, None, 0, "share of power", "white noise, in closed form")
    curves = {"radius": code.radius.tolist(), "power of the code": code.curve().tolist()}
    if not patient.shared.pictures:
        return Found(figures, {"high share": white}, curves)
    images = spectrum(without_level(pooled(patient.shared.test.images, height, width)))
    figures["excess high share"] = code.minus(images)
    curves["power of the pooled images"] = images.curve().tolist()
    return Found(figures, {"high share": images.share(), "spectral slope": images.slope()}, curves | {"white": white.value})


def density(patient: Patient) -> Found:
    """How evenly codes fill their room, beside Gaussian codes of the same spread."""
    key = "uneven density"
    return Found({key: uneven_density(patient.drawn, patient.seed)}, {key: density_of_gaussian(patient.drawn, patient.seed)})


def velocities(patient: Patient) -> Found:
    """What flow matching cannot know, in closed form: by a Gaussian, and by the very set of codes; beside white codes."""
    keys, seed = ("irreducible variance of a Gaussian", "irreducible variance of the set"), patient.seed
    figures, controls = (
        dict(zip(keys, (velocity.of_gaussian(z, seed), velocity.of_set(z, seed)), strict=True))
        for z in (patient.drawn, velocity.white(patient.drawn, seed))
    )
    return Found(figures, controls)


def probed(patient: Patient) -> Found:
    """What a small net does not learn of the velocity in its fixed budget; beside white codes."""
    key, seed, train = "loss of a probe", patient.seed, patient.train.draw(patient.seed, "examined")
    white = velocity.white(train, seed + 1), velocity.white(patient.drawn, seed)
    return Found({key: velocity.of_probe(train, patient.drawn, seed=seed)}, {key: velocity.of_probe(*white, seed=seed)})


def chosen(patient: Patient) -> Found:
    """How much of a codebook is in use; both figures see more of it the more images there are."""
    found = patient.subject.choices(patient.shared.test.x)
    if found is None:
        raise Mistake("nothing is chosen from a codebook")
    rows = np.split(found.index, found.books, 1)
    unused = 1 - sum(len(np.unique(part)) for part in rows) / (found.books * found.size)
    method = f"share of {found.books * found.size:,} values that no token of {len(found.index):,} images chose; no interval"
    figures = {
        "unused codes": Estimate(unused, None, None, len(found.index), "share of the codebook", method),
        "codes in use": codebook_perplexity(np.asarray(found.index, np.float64), found.books).scaled(
            1 / found.size, "share of the codebook", "exp H of the shares of tokens, over the size of the codebook"
        ),
    }
    return Found(figures, {"codes in use": Estimate(1.0, None, None, 0, "share of the codebook", "all chosen alike")})


def charged(patient: Patient) -> Found:
    """Whether the posteriors bear the traces of a KL to N(0, I)."""
    figures = {
        "second moment off one": charge.second_moment_off_one(patient.means, patient.widths),
        "noise share": charge.noise_share(patient.means, patient.widths),
    }
    widths = patient.widths
    moments = [] if widths is None else np.asarray(charge.second_moments(patient.means, widths)).tolist()
    return Found(figures, {}, {"second moment of each channel": moments})
