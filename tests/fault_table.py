"""The table fault × figure × expected sign, written before anything was measured: what the doctor must see, and what it must
not.

A fault is done to the codes (and to the decoder, which undoes it where it can) of a model that has none. "+" rises, "-" falls,
their intervals apart; "0" does not move: |difference| within both half-widths. A figure that a row does not name may do either.
Held by test_doctor_faults.py; shown in docs/doctor.md.
"""

from __future__ import annotations

UNMOVED = {  # by anything that keeps every distance between codes and every channel's values
    "scale factor": "0",
    "uneven scales": "0",
    "dead channels": "0",
    "collapsed channels": "0",
    "gap of moments": "0",
    "told from prior": "0",
    "uneven density": "0",
    "trustworthiness": "0",
    "irreducible variance of a Gaussian": "0",
    "irreducible variance of the set": "0",
    "loss of a probe": "0",
    "second moment off one": "0",
    "noise share": "0",
    "unsteady encode": "0",
    "r50": "0",
    "moved by a tenth": "0",
}
SPECTRUM = {"high share": "0", "excess high share": "0", "spectral slope": "0"}
EQUIVARIANCE = {f"equivariance to {what}": "0" for what in ("scale", "flip", "shift", "turn")}
BROKEN = dict.fromkeys(EQUIVARIANCE, "+")
ROUGH = dict.fromkeys(SPECTRUM, "+")

FAULTS: dict[str, dict[str, str]] = {
    # a channel that is 0 for every image
    "dead channel": {
        "dead channels": "+",
        "gap of moments": "+",
        "second moment off one": "+",
        "scale factor": "+",
        "irreducible variance of a Gaussian": "-",
        "equivariance to scale": "0",
        "unsteady encode": "0",
    },
    # a pattern of ±1 by places, the same for every image and channel, which the decoder takes away again
    "checkerboard added": {
        **ROUGH,
        **BROKEN,
        "gap of moments": "+",
        "second moment off one": "+",
        "scale factor": "-",
        "uneven density": "0",
        "trustworthiness": "0",
        "dead channels": "0",
        "irreducible variance of a Gaussian": "0",
        "irreducible variance of the set": "0",
        "noise share": "0",
        "unsteady encode": "0",
        "r50": "0",
    },
    # the places of every code put in one other order, which the decoder knows
    "grid shuffled": {**UNMOVED, **ROUGH, **BROKEN, "correlation of channels": "0", "covariance between channels": "0"},
    # one channel in another unit, which the decoder knows
    "channel scaled by 100": {
        "uneven scales": "+",
        "scale factor": "-",
        "gap of moments": "+",
        "second moment off one": "+",
        "irreducible variance of a Gaussian": "-",
        "trustworthiness": "-",
        "correlation of channels": "0",
        "dead channels": "0",
        "equivariance to scale": "0",
        "unsteady encode": "0",
    },
    # codes seven times as far apart, clouds a thousandth as wide: what training without the rate ends in
    "KL removed": {
        "scale factor": "-",
        "gap of moments": "+",
        "told from prior": "+",
        "second moment off one": "+",
        "noise share": "-",
        "decoded noise": "-",
        **SPECTRUM,
        **EQUIVARIANCE,
        "uneven scales": "0",
        "correlation of channels": "0",
        "dead channels": "0",
        "uneven density": "0",
        "trustworthiness": "0",
        "irreducible variance of a Gaussian": "-",  # of draws, whose white noise is gone
        "unsteady encode": "0",
        "r50": "0",
    },
    # (a, b) -> (a - b, a + b)/√2: another basis of the same space
    "two channels mixed by a rotation": {**UNMOVED, **SPECTRUM, **EQUIVARIANCE},
    # and three that no row above would show
    "encoder that draws": {"unsteady encode": "+", "dead channels": "0", "uneven scales": "0"},
    # those that lie nearest to one of eight: of clumps that are all alike the density at codes knows nothing
    "one code in eight in a clump": {"uneven density": "+", "unsteady encode": "0"},
    "decoder made of steps": {"moved by a tenth": "+", "r50": "-", **SPECTRUM, **EQUIVARIANCE, "scale factor": "0"},
}
