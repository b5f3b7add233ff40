"""`legato.doctor`: whether the space of any autoencoder can be sampled, by which prior, and what to change in training.

Covered: opening the data, making a subject of the model, the examinations, doctor.json, a page. Not covered: what is examined
(doctor/), which models are known (survey/adaptors.py), how the page looks (report/doctor).

A file above the doctor and the report, because its answer is a check-up that can be shown.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, Literal

from legato.arguments import Seed, checked
from legato.doctor.checkup import Checkup, checkup
from legato.doctor.examinations import EXAMINATIONS
from legato.doctor.patient import FULL, QUICK, Patient
from legato.errors import quoted, unknown
from legato.files import told, write_json
from legato.measured import EXAMPLE, Source, parts_of, rows_of
from legato.progress import progress
from legato.report.doctor import write_doctors_report
from legato.survey import Effort
from legato.survey.adaptors import space_of, subject_of
from legato.survey.functions import Prior

EFFORTS = {"quick": QUICK, "full": FULL}


@dataclass(frozen=True, repr=False)
class Doctored(Checkup):
    """A check-up together with the patient, so that it can be shown."""

    patient: Patient = field(kw_only=True, repr=False, compare=False)
    label_names: Sequence[str] | None = field(default=None, kw_only=True, repr=False, compare=False)

    def report(self, path: str | Path, title: str | None = None) -> int:
        """Writes one HTML file that needs no network, whole or not at all, and returns its size in bytes.

        On it: the three answers, what is drawn from each prior beside reconstructions, every figure with its interval, control
        and advice, codes as pictures, the spectrum, and what could not be taken. `title`: the model's name, in few words.
        """
        space = self.patient.subject.space
        name = title or ("The model" if space is None else space.run.path.resolve().name)
        return write_doctors_report(path, self, self.patient, name, self.label_names)


@told()
@checked
def doctor(
    encode: Any,
    decode: Any = None,
    data: Source | None = None,
    *,
    labels: Any = None,
    test: Source | None = None,
    prior: Prior | None = None,
    loss: Callable[..., Any] | None = None,
    effort: Literal["quick", "full"] | Effort = "quick",
    seed: Seed = 0,
    out: str | Path | None = None,
) -> Doctored:
    """Can this space be sampled as it is, by what prior, and what to change in training; each figure with interval and control.

    encode, decode, data, labels, test, prior: as `legato.measure` takes them. A model whose encoder draws is examined, too.
    loss: (x, reconstruction, mu, log sigma^2), tensors -> one number, a tensor: what a training step minimised; from its
    derivatives the effective β is read, in nats. out: a folder, for doctor.json. The answer's `report(path)` writes a page;
    `.diagnosis` holds the three answers, `.figures`, `.controls` and `.advice` each figure by its key.

    Raises `Mistake` on whatever a person can mend.
    """
    model = encode if decode is None else (encode, decode)
    space, size = space_of(model), _effort(effort)
    parts = parts_of(space, data, test, labels)
    shared = rows_of(parts, size)
    example = shared.test.x[:EXAMPLE]
    subject = subject_of(model if space is None else space, example, prior=prior, steady=False)
    patient = Patient(subject, shared, size, seed, loss)
    done = count()
    with progress("examining", len(EXAMINATIONS), unit="examinations") as bar:
        run = None if space is None else quoted(space.run.path)
        found = checkup(patient, run, _about(model, patient), told=lambda title: bar(next(done), title))
    if out is not None:
        write_json(Path(out) / "doctor.json", found.to_json())
    return Doctored(found.found, found.kind, found.about, patient=patient, label_names=parts[0].dataset.label_names)


def _about(model: object, patient: Patient) -> dict[str, Any]:
    shared, space = patient.shared, patient.subject.space
    data = {"source": shared.source, "test": len(shared.test), "train": len(shared.train), "shape": list(shared.shape)}
    called = type(model).__name__ if space is None else str(space.run.path)
    return {
        "model": {"name": called, "code": list(patient.event)},
        "data": data,
        "effort": patient.effort.to_json(),
        "seed": patient.seed,
    }


def _effort(effort: str | Effort) -> Effort:
    if isinstance(effort, Effort):
        return effort
    if effort not in EFFORTS:
        raise unknown("effort", effort, EFFORTS)
    return EFFORTS[effort]
