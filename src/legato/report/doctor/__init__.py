"""The doctor's page: one HTML file with three answers, and every figure with its interval, control and advice."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from legato.doctor.checkup import Checkup
from legato.doctor.patient import FULL, QUICK, Patient
from legato.report.doctor.story import sections
from legato.report.html import strong, write_report
from legato.report.measured.exhibit import Exhibit

__all__ = ["write_doctors_report"]


def write_doctors_report(
    out: str | Path, found: Checkup, patient: Patient, title: str, label_names: Sequence[str] | None = None
) -> int:
    """Writes `out` and returns its size in bytes. `patient`: of the same model, on the same images."""
    shown = Exhibit(title, patient, label_names)
    return write_report(out, f"{title}, examined", _lead(found), sections(shown, found, patient), facts=_facts(patient))


def _lead(found: Checkup) -> str:
    """The three answers, a paragraph each."""
    answers = found.diagnosis
    changes = " ".join(answers.training) or "Nothing that these figures ask for."
    said = {
        "Can it be sampled as it is?": answers.sampled,
        "By what prior?": answers.prior,
        "What to change in training?": changes,
    }
    return "\n\n".join(f"{strong(question)} {answer}" for question, answer in said.items())


def _facts(patient: Patient) -> dict[str, str]:
    material = patient.shared
    effort = {FULL: "full", QUICK: "quick"}.get(patient.effort, "of one's own")
    return {
        "data": f"{material.source}, {len(material.test):,} test rows examined, {len(material.train):,} training rows beside",
        "images": " × ".join(map(str, material.shape)),
        "codes": " × ".join(map(str, patient.event)),
        "effort": effort,
        "seed": str(patient.seed),
        "date": date.today().isoformat(),
    }
