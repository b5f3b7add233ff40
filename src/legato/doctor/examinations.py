"""The examinations in their order, and a patient taken through all of them.

An examination that does not apply says why in the place of its figures, and costs no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from legato.doctor import codes, functions
from legato.doctor.found import Found
from legato.doctor.patient import Patient
from legato.errors import Mistake
from legato.measures.estimate import absent
from legato.measures.equivariance import MOVES

Told = Callable[[str], object]


@dataclass(frozen=True)
class Examination:
    """`keys` are the figures that it takes; each of them says why where it is missing."""

    title: str
    keys: tuple[str, ...]
    take: Callable[[Patient], Found]


_V = ("irreducible variance of a Gaussian", "irreducible variance of the set", "loss of a probe")
_SAMPLES = ("reconstructions", "samples of the prior", "samples of a Gaussian", "samples of a mixture")
EXAMINATIONS = (
    Examination("steadiness", ("unsteady encode",), functions.steady),
    Examination(
        "scale", ("scale factor", "uneven scales", "dead channels", "collapsed channels"), codes.scales
    ),
    Examination("channels", ("correlation of channels", "covariance between channels"), codes.channels),
    Examination("gap to the prior", ("gap of moments", "told from prior"), codes.gap),
    Examination("holes of the prior", ("hole 5%", "kernel hole 5%"), codes.holes),
    Examination("a KL's traces", ("second moment off one", "noise share"), codes.charged),
    Examination("spectrum", ("high share", "excess high share", "spectral slope"), codes.frequencies),
    Examination("the encoder's equivariance", tuple(f"equivariance to {m.name}" for m in MOVES), functions.of_encoder),
    Examination(
        "the decoder's equivariance", tuple(f"decoder's equivariance to {m.name}" for m in MOVES), functions.of_decoder
    ),
    Examination("continuity", ("r50", "moved by a tenth"), functions.continuity),
    Examination("stretch", ("stretch posterior", "stretch prior", "stretch posterior unevenness"), functions.stretched),
    Examination("decoded noise", ("decoded noise",), functions.noise),
    Examination("meaning", ("trustworthiness", "continuity", "purity", "probe"), functions.meaning),
    Examination("uniformity", ("uneven density",), codes.density),
    Examination("velocity", _V, codes.velocities),
    Examination("samples", _SAMPLES, functions.samples),
)


def examined(patient: Patient, examinations: tuple[Examination, ...] = EXAMINATIONS, told: Told = lambda _: None) -> Found:
    """Everything that the examinations find of a patient; `told` hears the title of each."""
    found = Found()
    for one in examinations:
        told(one.title)
        try:
            taken = one.take(patient)
        except Mistake as error:  # what this model makes of one figure costs no other
            taken = Found(dict.fromkeys(one.keys, absent(str(error))))
        missing = {key: absent("it does not apply to this model") for key in one.keys if key not in taken.figures}
        found = found.joined(Found(missing)).joined(taken)
    return found
