"""Figures of the doctor's page: what each prior draws, codes as pictures, the spectrum of the code beside the images'."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from legato.doctor.patient import Patient
from legato.report import style
from legato.report.frame import framed, legend, log_axis, look
from legato.report.measured.exhibit import Exhibit
from legato.report.panels import ImageRow, SamplePanel, reconstruction_panel, sample_panels
from legato.types import Floats

SHOWN, COLUMNS, CHANNELS = 25, 8, 6
SPAN = 2.5  # standard deviations of a channel from black to white
BOX = (6.0, 3.3)  # inches
NAMES = {"prior": "N(0, I)", "gaussian": "A Gaussian fitted to the codes", "mixture": "Ten Gaussians fitted to the codes"}


def samples(shown: Exhibit, patient: Patient) -> Figure:
    """The first draws of every prior that was tried, reconstructions and real images; nothing is picked."""
    names = NAMES if patient.subject.standard_prior else NAMES | {"prior": "Its own prior"}
    drawn = [SamplePanel(names[key], shown.seen(codes[:SHOWN])) for key, codes in sorted(patient.ladder.items(), key=_order)]
    rebuilt = SamplePanel("Reconstructions", shown.seen(patient.test.mu[:SHOWN]))
    return sample_panels([*drawn, rebuilt, SamplePanel("Real images", shown.images(slice(SHOWN)))])


def _order(entry: tuple[str, Any]) -> int:
    return list(NAMES).index(entry[0])


def channels(shown: Exhibit, patient: Patient) -> Figure:
    """The first channels of some test images' codes as pictures, each channel grey at its mean, below the images."""
    codes, height = patient.means[:COLUMNS], patient.shared.shape[1]
    rows = [ImageRow(f"channel {c}", _grey(codes[:, c : c + 1], patient.means[:, c], height)) for c in range(_count(patient))]
    return reconstruction_panel(shown.images(slice(COLUMNS)), rows)


def _count(patient: Patient) -> int:
    return min(CHANNELS, patient.event[0])


def _grey(grids: Floats, channel: Floats, height: int) -> Floats:
    """Grids (n, 1, h, w) as pictures about as tall as the images: ½ at the channel's mean, 0 and 1 at ± 2.5 deviations."""
    seen = 0.5 + (grids - channel.mean()) / (2 * SPAN * (float(channel.std()) or 1.0))
    times = max(height // grids.shape[2], 1)
    return np.asarray(np.clip(seen, 0, 1).repeat(times, 2).repeat(times, 3), np.float32)


def spectrum(curves: Mapping[str, Any]) -> Figure:
    """Mean power by radius of the code and of the images pooled to its size, each over its own total."""
    radius = np.array(curves["radius"], float)
    lines = {name: np.array(curves[key], float) for name, key in LINES.items() if np.sum(curves.get(key, 0)) > 0}
    with style.styled():
        figure, (axes,), room = framed(["Power by frequency"], list(lines), box=BOX)
        for i, values in enumerate(lines.values()):
            power, alive = values / values.sum(), (radius > 0) & (values > 0)
            axes.plot(radius[alive], power[alive], linewidth=1.7, markersize=3.4, **look(i))
        axes.set(xlabel="frequency (1: a place's Nyquist frequency)", ylabel="share of power")
        for which in ("x", "y"):
            log_axis(axes, which)
        style.heading(axes, "Power by frequency", "", BOX[0])
        legend(figure, list(lines), (), room)
    return figure


LINES = {"the code": "power of the code", "the images, pooled to its size": "power of the pooled images"}
