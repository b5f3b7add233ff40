"""Advice: a figure judged against its rule (known.py) in one of four words, with its sentence.

The whole interval decides: well where all of it is, poor where all of it is, unknown where it reaches from the one to the
other. Covered: single figures. Not covered: what all of them say together (diagnosis.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from legato.doctor.found import Found
from legato.doctor.known import RULES, Rule
from legato.measures.estimate import Estimate

Tone = Literal["good", "part", "bad", "unknown"]
BOUND = math.log(1.1)  # nats: a β within a tenth of 1 is the evidence bound


@dataclass(frozen=True)
class Advice:
    """`tone` is None where a figure is told and not judged, or missing; `training`: what to change, "" where nothing."""

    name: str
    tone: Tone | None
    says: str
    training: str = ""


def advised(found: Found) -> dict[str, Advice]:
    """Advice on every figure that has a rule, in the rules' order."""
    return {key: advice(key, found.figures[key], found.controls.get(key)) for key in RULES if key in found.figures}


def advice(key: str, one: Estimate, control: Estimate | None = None) -> Advice:
    """Of a figure beside its control."""
    rule = RULES[key]
    if one.value is None:
        return Advice(rule.name, None, f"Not taken: {one.why}")
    if key in OWN:
        return OWN[key](rule, one)
    if rule.fine is None or rule.poor is None:
        return Advice(rule.name, None, rule.well)
    ends = _compared(rule, one, control)
    if ends is None:
        return Advice(rule.name, None, "It has no control to be judged by.")
    tone = _tone(rule.fine, rule.poor, *ends)
    said = {"good": rule.well, "bad": rule.ill, "unknown": f"{PERHAPS} {rule.ill}"}.get(tone, f"{PARTLY} {rule.ill}")
    return Advice(rule.name, tone, said, rule.training if tone == "bad" else "")


PARTLY, PERHAPS = "In part:", "More images would tell; perhaps:"


def _compared(rule: Rule, one: Estimate, control: Estimate | None) -> tuple[float, float] | None:
    """The ends of what is judged; the widest that both intervals allow."""
    low, high = _ends(one)
    if rule.beside == "alone":
        return low, high
    if control is None or control.value is None:
        return None
    least, most = _ends(control)
    if rule.beside == "over the control":
        return (low / most, high / least) if least > 0 else None
    return ((low - control.value) / (1 - control.value), (high - control.value) / (1 - control.value)) if most < 1 else None


def _ends(one: Estimate) -> tuple[float, float]:
    assert one.value is not None
    return (one.value if one.low is None else one.low), (one.value if one.high is None else one.high)


def _tone(fine: float, poor: float, low: float, high: float) -> Tone:
    if fine > poor:  # more is better: the same with the signs turned
        fine, poor, low, high = -fine, -poor, -high, -low
    if high <= fine:
        return "good"
    if low >= poor:
        return "bad"
    return "unknown" if low <= fine and high >= poor else "part"


def _beta(rule: Rule, one: Estimate) -> Advice:
    """β has no better and worse but at 0 and at 1: what it is, in words."""
    low, high = _ends(one)
    if high <= 0:
        return Advice(rule.name, "bad", "Nothing is charged for the rate: this is an autoencoder, whatever its σ.", NO_CHARGE)
    if low > 0 and -BOUND <= math.log(low) <= math.log(high) <= BOUND:
        return Advice(rule.name, "good", "A nat of rate costs a nat of distortion: the evidence bound.")
    says = f"A nat of rate costs {one.value:.3g} nats of distortion: not the evidence bound, but a β-VAE, "
    return Advice(
        rule.name, "part", says + ("which pays for detail." if (one.value or 0) < 1 else "which pays for short codes.")
    )


NO_CHARGE = "The KL's weight is 0 (a clamp, an annealing that never began, a factor): charge it, or call it an autoencoder."


def _charge(rule: Rule, one: Estimate) -> Advice:
    low, high = _ends(one)
    if max(abs(low), abs(high)) > 0:
        return Advice(rule.name, None if low > 0 else "bad", rule.well if low > 0 else "A nat of KL is rewarded, not charged.")
    return Advice(rule.name, "bad", "The loss does not move with the KL at all.", NO_CHARGE)


def _factor(rule: Rule, one: Estimate) -> Advice:
    return Advice(
        rule.name, None, f"Multiply codes by {one.value:.4g} before another model is trained on them, divide its samples by it."
    )


OWN = {"effective beta": _beta, "charge on the KL": _charge, "scale factor": _factor}
