"""The demo's report: each step a figure, what to look for, and what was measured. No result is written down beforehand."""

from __future__ import annotations

from collections.abc import Sequence

from legato.data.prepared import Prepared
from legato.demo.members import LARGE, SMALL, Member
from legato.demo.numbers import TESTED, Row, Yardstick
from legato.measures.estimate import Estimate
from legato.report.html import Section, Table
from legato.report.trained.images import SAMPLES as SHOWN
from legato.report.trained.images import interpolation_figure, reconstruction_figure, sample_figure
from legato.report.trained.planes import LATTICE, MAPPED, map_figure, plane_figure
from legato.report.trained.training import loss_figure, sigma_figure


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


def sections(members: Sequence[Member], data: Prepared, numbers: Table, drag: Section | None = None) -> list[Section]:
    """The report, in order; `drag`, a map that answers to the hand, after the figures of the same models."""
    small = [m for m in members if m.latent_dim == SMALL]
    large = [m for m in members if m.latent_dim == LARGE]
    return [
        Section("The numbers", table=numbers),
        Section(
            "Where the digits lie",
            "Each dot is the code of a test digit, coloured by its class. An autoencoder puts codes wherever reconstruction "
            "likes them: clusters, and between them places where the decoder has never been. A VAE gives each digit a cloud "
            "(the ellipse of one standard deviation) and pays for leaving N(0, I) (the dashed rings at 1, 2 and 3).",
            map_figure(small, data),
            f"Codes of {MAPPED:,} test digits with 2 latents. Clouds are drawn at axis scale; each panel has its own scale.",
        ),
        Section(
            "What each place decodes to",
            "The plane of codes, decoded at even steps. In the VAE's plane every place inside the rings should be some digit.",
            plane_figure(small, data),
            f"{LATTICE} × {LATTICE} decoded means: the VAE over ±3, the others over the middle 98 % of their codes.",
        ),
        *([drag] if drag else []),
        Section(
            "Samples from N(0, I)",
            "The same draws for every model. Only the VAE was asked to keep its codes where these draws fall.",
            sample_figure(large, data, "prior", "Real digits"),
            f"Decoded means of the first {SHOWN} draws of seed 0, {LARGE} latents, not picked; real test digits beside them.",
        ),
        Section(
            "Samples from a Gaussian fitted to the codes",
            "A fairer question to an autoencoder: draw where its codes are. The fit still covers the holes between them.",
            sample_figure(large, data, "codes", "Real digits"),
            f"Decoded means of {SHOWN} draws of seed 0 from N(mean, covariance) of the training codes, {LARGE} latents.",
        ),
        Section(
            "From one digit to another",
            "Straight lines between two codes, decoded. The cross-fade blends pixels instead: smooth, and no digit in between.",
            interpolation_figure(large, data),
            f"Two test digits of different classes, drawn at random, {LARGE} latents.",
        ),
        Section(
            "Reconstructions",
            "What the noise and the KL cost: the same digits through each model.",
            reconstruction_figure(large, data),
            f"Decoded means of the codes of 10 random test digits, {LARGE} latents; the models see pixels drawn 0 or 1.",
        ),
        Section(
            "The noise over training",
            "Without a KL term nothing pays for certainty: σ shrinks, or the codes spread instead, which is the same to a "
            "decoder; the right panel divides one by the other.",
            sigma_figure(large),
            f"Mean σ of each of {LARGE} dimensions over validation digits: geometric mean and range over dimensions.",
        ),
        Section(
            "Training",
            "Validation is always at β = 1 on the averaged weights; an autoencoder has a distortion and no ELBO.",
            loss_figure(large),
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
