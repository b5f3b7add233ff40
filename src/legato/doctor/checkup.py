"""A check-up: everything that the doctor found of one model, with advice on each figure and three answers; JSON-ready."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from legato import shown
from legato.doctor.advice import Advice, advised
from legato.doctor.diagnosis import Diagnosis, Kind, diagnosis
from legato.doctor.examinations import EXAMINATIONS, Examination, Told, examined
from legato.doctor.found import Found
from legato.doctor.patient import Patient
from legato.lazy import lazy
from legato.measures.estimate import Estimate


@dataclass(frozen=True, repr=False)
class Checkup:
    """`found`: figures, controls, curves; `kind`: what the diagnosis must know of the model; `about`: how it came about."""

    found: Found
    kind: Kind
    about: dict[str, Any] = field(default_factory=dict)

    @lazy
    def advice(self) -> dict[str, Advice]:
        """Advice by figure, in the order of the rules."""
        return advised(self.found)

    @lazy
    def diagnosis(self) -> Diagnosis:
        """The three answers."""
        return diagnosis(self.kind, self.found, self.advice)

    @property
    def figures(self) -> dict[str, Estimate]:
        """Figures by key; one that is missing says why."""
        return self.found.figures

    @property
    def controls(self) -> dict[str, Estimate]:
        """What the same figure is of something known."""
        return self.found.controls

    def to_json(self) -> dict[str, Any]:
        """JSON-ready: each figure with its control and advice, the curves, the answers."""
        answers = self.diagnosis
        return {
            **self.about,
            "answers": {
                "sampled as it is": {"tone": answers.tone, "says": answers.sampled},
                "prior": answers.prior,
                "training": list(answers.training),
            },
            "figures": {key: self._told(key) for key in self.figures},
            "curves": self.found.curves,
        }

    def _told(self, key: str) -> dict[str, Any]:
        told = {"name": key, "tone": None, "says": ""}
        if (advice := self.advice.get(key)) is not None:
            told = {"name": advice.name, "tone": advice.tone, "says": advice.says}
        control = self.controls.get(key)
        return {**self.figures[key].to_json(), "control": None if control is None else control.to_json(), **told}

    def __repr__(self) -> str:
        return shown.text(type(self).__name__, self._lines())

    def _repr_html_(self) -> str:
        return shown.page(type(self).__name__, self._lines())

    def _lines(self) -> list[shown.Line]:
        taken = [(self.advice[key].name, str(one), self.advice[key].says) for key, one in self._taken().items()]
        return [*taken, *(("", line, "") for line in self.diagnosis.lines())]

    def _taken(self) -> dict[str, Estimate]:
        return {key: self.figures[key] for key in self.advice if self.figures[key].value is not None}


def checkup(
    patient: Patient,
    run: str | None = None,
    about: dict[str, Any] | None = None,
    *,
    examinations: tuple[Examination, ...] = EXAMINATIONS,
    told: Told = lambda _: None,
) -> Checkup:
    """Takes a patient through the examinations. `run`: the RUN's path, which commands in the advice name."""
    found = examined(patient, examinations, told)
    chosen = found.figures.get("unused codes")
    kind = Kind(patient.spatial, bool(chosen and chosen.value is not None), run, patient.subject.standard_prior)
    return Checkup(found, kind, about or {})
