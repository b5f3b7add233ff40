"""The demo's report: each step a figure, what to look for, and what was measured. No result is written down beforehand."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from legato.data.prepared import Prepared
from legato.demo.members import LARGE, SMALL, Member
from legato.demo.numbers import TESTED, Row, Yardstick
from legato.latent_space import Origin
from legato.measures.estimate import Estimate
from legato.report.curves import Curve, SigmaSeries, TrainingSeries, sigma_curves, training_curves
from legato.report.html import Section, Table
from legato.report.maps import DecodedPlane, LatentMap, decoded_planes, latent_maps
from legato.report.panels import ImageRow, SamplePanel, interpolation_panel, reconstruction_panel, sample_panels

MAPPED, SHOWN, LATTICE, STEPS = 5000, 36, 17, 11


def table(rows: Sequence[Row], against: Yardstick) -> Table:
    """The numbers, 95 % intervals in brackets."""
    columns = ("model", "dims", "ELBO", "distortion", "σ", "σ / spread", "reconstructed", "from N(0, I)", "from a fit")
    body = [
        (
            row.member.title,
            row.member.latent_dim,
            None if row.elbo is None else short(row.elbo),
            short(row.distortion),
            None if row.sigma is None else f"{row.sigma:.2g}",
            None if row.relative is None else f"{row.relative:.2g}",
            short(row.reconstructed),
            short(row.from_prior),
            short(row.from_codes),
        )
        for row in rows
    ]
    caption = (
        f"ELBO and distortion in nats per digit, over {TESTED:,} test digits. σ is the geometric mean over dimensions and "
        "digits, alone and over the spread of the codes. The last three columns say how far decoded pictures lie from real "
        f"digits: the mean distance of {rows[0].from_prior.n:,} of them to the nearest training digit, all scaled to length "
        "1, in 50 PCA features; of reconstructions, of draws from N(0, I), and of draws from a Gaussian fitted to the codes. "
        f"Held-out real digits lie at {short(against.floor)}. The distance likes blur: the mean of all digits, which looks "
        f"like none, lies at {short(against.mean_image)}. ± is half a 95 % interval over digits or samples; one training seed."
    )
    return Table(columns, body, caption)


def lead(rows: Sequence[Row], against: Yardstick) -> str:
    """The answer in a few sentences, from the numbers with 16 latents."""
    by = {row.member.recipe: row for row in rows if row.member.latent_dim == LARGE}
    ratio = {name: _ratio(row.from_prior, against.floor) for name, row in by.items()}
    fitted = {name: _ratio(row.from_codes, against.floor) for name, row in by.items()}
    noisy, vae = by["noisy_autoencoder"], by["vae"]
    return (
        f"Three models with one network and {LARGE} latents, trained for equally many steps. Decoded draws from N(0, I) lie "
        f"{ratio['autoencoder']:.2f} times as far from real digits as held-out digits do for the autoencoder, "
        f"{ratio['noisy_autoencoder']:.2f} times with noise but no KL, and {ratio['vae']:.2f} times for the VAE. "
        f"From a Gaussian fitted to the codes the same three are {fitted['autoencoder']:.2f}, "
        f"{fitted['noisy_autoencoder']:.2f} and {fitted['vae']:.2f}. "
        f"The noise, measured against the spread of the codes, ended at {noisy.relative:.2g} without the KL and at "
        f"{vae.relative:.2g} with it."
    )


def sections(members: Sequence[Member], data: Prepared, numbers: Table) -> list[Section]:
    """The report, in order."""
    small = [m for m in members if m.latent_dim == SMALL]
    large = [m for m in members if m.latent_dim == LARGE]
    return [
        Section("The numbers", table=numbers),
        Section(
            "Where the digits lie",
            "Each dot is the code of a test digit, coloured by its class. An autoencoder puts codes wherever reconstruction "
            "likes them: clusters, and between them places where the decoder has never been. A VAE gives each digit a cloud "
            "(the ellipse of one standard deviation) and pays for leaving N(0, I) (the dashed rings at 1, 2 and 3).",
            _maps(small, data),
            f"Codes of {MAPPED:,} test digits with 2 latents. Clouds are drawn at axis scale; each panel has its own scale.",
        ),
        Section(
            "What each place decodes to",
            "The plane of codes, decoded at even steps. In the VAE's plane every place inside the rings should be some digit.",
            _planes(small, data),
            f"{LATTICE} × {LATTICE} decoded means: the VAE over ±3, the others over the middle 98 % of their codes.",
        ),
        Section(
            "Samples from N(0, I)",
            "The same draws for every model. Only the VAE was asked to keep its codes where these draws fall.",
            _samples(large, data, "prior"),
            f"Decoded means of the first {SHOWN} draws of seed 0, {LARGE} latents, not picked; real test digits beside them.",
        ),
        Section(
            "Samples from a Gaussian fitted to the codes",
            "A fairer question to an autoencoder: draw where its codes are. The fit still covers the holes between them.",
            _samples(large, data, "codes"),
            f"Decoded means of {SHOWN} draws of seed 0 from N(mean, covariance) of the training codes, {LARGE} latents.",
        ),
        Section(
            "From one digit to another",
            "Straight lines between two codes, decoded. The cross-fade blends pixels instead: smooth, and no digit in between.",
            _interpolation(large, data),
            f"The first two test digits of different classes, {LARGE} latents.",
        ),
        Section(
            "Reconstructions",
            "What the noise and the KL cost: the same digits through each model.",
            _reconstructions(large, data),
            f"Decoded means of the codes of the first 10 test digits, {LARGE} latents; the models see pixels drawn 0 or 1.",
        ),
        Section(
            "The noise over training",
            "Without a KL term nothing pays for certainty: σ shrinks, or the codes spread instead, which is the same to a "
            "decoder; the right panel divides one by the other.",
            _sigmas(large),
            f"Mean σ of each of {LARGE} dimensions over validation digits: geometric mean and range over dimensions.",
        ),
        Section(
            "Training",
            "Validation is always at β = 1 on the averaged weights; an autoencoder has a distortion and no ELBO.",
            _curves(large),
            "Loss parts over training, nats per digit.",
        ),
    ]


def short(estimate: Estimate) -> str:
    """value ± half its interval, with sensible digits."""
    if estimate.value is None:
        return "—"
    digits = 1 if abs(estimate.value) >= 20 else 2 if abs(estimate.value) >= 1 else 3
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.{digits}f}"
    return f"{estimate.value:.{digits}f} ± {(estimate.high - estimate.low) / 2:.{digits}f}"


def _ratio(one: Estimate, other: Estimate) -> float:
    assert one.value is not None
    assert other.value is not None
    return one.value / other.value


def _maps(members: Sequence[Member], data: Prepared) -> Figure:
    rows = data.split("test")[:MAPPED]
    stored, known = np.asarray(data.dataset.rows)[rows], data.dataset.labels
    panels = []
    for member in members:
        mu, sigma = member.space.encode(stored, rows)
        clouds = sigma if member.space.has_density else None
        labels = None if known is None else known[rows]
        panels.append(LatentMap(member.title, mu, clouds, labels, data.dataset.label_names, member.space.prior_was_trained))
    return latent_maps(panels)


def _planes(members: Sequence[Member], data: Prepared) -> Figure:
    rows = data.split("test")[:MAPPED]
    panels = []
    for member in members:
        x0, x1, y0, y1 = extent = _extent(member, np.asarray(data.dataset.rows)[rows], rows)
        grid = np.stack(np.meshgrid(np.linspace(x0, x1, LATTICE), np.linspace(y0, y1, LATTICE)), -1)
        images = member.space.decode(grid.reshape(-1, 2)).reshape(LATTICE, LATTICE, *member.space.shape)
        panels.append(DecodedPlane(member.title, images, extent))
    return decoded_planes(panels)


def _extent(member: Member, stored: np.ndarray, rows: np.ndarray) -> tuple[float, float, float, float]:
    """±3 where the prior was trained for, else a square around the middle 98 % of the codes."""
    if member.space.prior_was_trained:
        return (-3.0, 3.0, -3.0, 3.0)
    low, high = np.quantile(member.space.encode(stored, rows)[0], [0.01, 0.99], axis=0)
    centre, half = (low + high) / 2, float((high - low).max()) / 2
    return (centre[0] - half, centre[0] + half, centre[1] - half, centre[1] + half)


def _samples(members: Sequence[Member], data: Prepared, origin: Origin) -> Figure:
    real = data.preparation.original(np.asarray(data.dataset.rows)[data.split("test")[:SHOWN]])
    drawn = [SamplePanel(m.title, m.space.sample(SHOWN, seed=0, origin=origin)) for m in members]
    return sample_panels([*drawn, SamplePanel("Real digits", real)])


def _interpolation(members: Sequence[Member], data: Prepared) -> Figure:
    rows = _two(data)
    stored = np.asarray(data.dataset.rows)[rows]
    lines = []
    for member in members:
        path = member.space.interpolate(member.space.encode(stored, rows)[0], steps=STEPS)
        lines.append(ImageRow(member.title, member.space.decode(path)))
    images = data.preparation.original(stored)
    alphas = np.linspace(0, 1, STEPS).reshape(-1, 1, 1, 1)
    lines.append(ImageRow("Pixel cross-fade", (1 - alphas) * images[:1] + alphas * images[1:]))
    return interpolation_panel(lines)


def _two(data: Prepared) -> np.ndarray:
    """The first two test digits of different classes."""
    test, labels = data.split("test"), data.dataset.labels
    assert labels is not None
    other = next(row for row in test if labels[row] != labels[test[0]])
    return np.array([test[0], other])


def _reconstructions(members: Sequence[Member], data: Prepared) -> Figure:
    rows = data.split("test")[:10]
    stored = np.asarray(data.dataset.rows)[rows]
    lines = [ImageRow(m.title, m.space.reconstruct(stored, rows)) for m in members]
    return reconstruction_panel(data.preparation.original(stored), lines)


def _sigmas(members: Sequence[Member]) -> Figure:
    series = []
    for member in members:
        found = [(m["step"], m["validation"]) for m in member.space.run.read_metrics() if "validation" in m]
        if member.space.has_density:
            sigma, spread = (np.array([v[name] for _, v in found]) for name in ("sigma", "std_mu"))
            series.append(SigmaSeries(member.title, np.array([step for step, _ in found]), sigma, spread))
    return sigma_curves(series)


def _curves(members: Sequence[Member]) -> Figure:
    series = []
    for member in members:
        lines = member.space.run.read_metrics()
        parts = [name for name in ("distortion", "rate") if name in lines[0].get("train", {"distortion": 0})]
        train = {name: _curve(lines, "train", name) for name in parts}
        validation = {name: _curve(lines, "validation", name) for name in parts}
        series.append(TrainingSeries(member.title, train, validation))
    return training_curves(series)


def _curve(lines: Sequence[dict[str, object]], kind: str, name: str) -> Curve:
    found = [(line["step"], line[kind]) for line in lines if kind in line]
    kept = [(step, part[name]) for step, part in found if isinstance(part, dict) and part.get(name) is not None]
    return Curve(np.array([step for step, _ in kept]), np.array([value for _, value in kept], float))
