"""The examinations in their order, and a patient taken through all of them.

An examination that does not apply says why in the place of its figures, and costs no other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from legato.doctor import codes, functions, loss
from legato.doctor.found import Found
from legato.doctor.patient import WHOLE, Patient
from legato.errors import Mistake
from legato.measures.equivariance import MOVES
from legato.measures.estimate import Estimate, absent
from legato.moments import RANK

Told = Callable[[str], object]


@dataclass(frozen=True)
class Examination:
    """`keys` are the figures that it takes; each of them says why where it is missing. `spread`: they rest on a covariance."""

    title: str
    keys: tuple[str, ...]
    take: Callable[[Patient], Found]
    spread: bool = False


_V = ("irreducible variance of a Gaussian", "irreducible variance of the set")
_MOVED = tuple(f"equivariance to {move.name}" for move in MOVES)
EXAMINATIONS = (
    Examination("steadiness", ("unsteady encode",), functions.steady),
    Examination("scale", ("scale factor", "uneven scales", "dead channels", "collapsed channels"), codes.scales),
    Examination("channels", ("correlation of channels", "covariance between channels"), codes.channels),
    Examination("codebook", ("unused codes", "codes in use"), codes.chosen),
    Examination("the charge", loss.KEYS, loss.charged),
    Examination("a KL's traces", ("second moment off one", "noise share"), codes.charged),
    Examination("gap to the prior", ("gap of moments", "told from prior"), codes.gap),
    Examination("holes of the prior", ("hole 5%", "kernel hole 5%"), codes.holes, spread=True),
    Examination("spectrum", ("high share", "excess high share", "spectral slope"), codes.frequencies),
    Examination("the encoder's equivariance", _MOVED, functions.of_encoder),
    Examination("the decoder's equivariance", tuple(f"decoder's {key}" for key in _MOVED), functions.of_decoder),
    Examination("continuity", ("r50", "moved by a tenth"), functions.continuity, spread=True),
    Examination(
        "stretch", ("stretch posterior", "stretch prior", "stretch posterior unevenness"), functions.stretched, spread=True
    ),
    Examination("decoded noise", ("decoded noise",), functions.noise),
    Examination("meaning", ("trustworthiness", "continuity", "purity", "probe"), functions.meaning),
    Examination("uniformity", ("uneven density",), codes.density),
    Examination("velocity", _V, codes.velocities),
    Examination("a probe of the velocity", ("loss of a probe",), codes.probed),
    Examination("samples", ("reconstructions", *functions.SAMPLES.values()), functions.samples, spread=True),
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
        found = found.joined(Found(missing)).joined(_sketched(taken) if one.spread and _large(patient) else taken)
    return found


def _large(patient: Patient) -> bool:
    return patient.subject.latent_dim > WHOLE


def _sketched(taken: Found) -> Found:
    """Says that the codes' covariance was kept as some directions and a diagonal."""

    def said(one: Estimate) -> Estimate:
        return replace(one, method=f"{one.method}; the codes' covariance as {RANK} directions and a diagonal")

    figures = {key: one if one.value is None else said(one) for key, one in taken.figures.items()}
    return replace(taken, figures=figures)
