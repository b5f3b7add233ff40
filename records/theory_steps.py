"""Steps 1 to 4 of docs/theory.md drawn: log σ, the evidence and its bound, the two forces, the draw and its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Ellipse
from matplotlib.ticker import FuncFormatter, NullFormatter
from scipy.special import logsumexp
from scipy.stats import kstest, norm
from theory_models import Models

import legato
from legato.latent_space import LatentSpace
from legato.report import style


def plain_axes(widths: int, box: tuple[float, float], headings: list[tuple[str, str]]) -> tuple[Figure, list[Axes]]:
    """Empty panels in the report's style, with their headings."""
    top = style.heading_height([head for head, _ in headings], [note for _, note in headings], box[0])
    figure, places = style.panel_grid(widths, box, left=0.72, right=0.2, top=top)
    for axes, (head, note) in zip(places, headings, strict=True):
        style.heading(axes, head, note, box[0])
    return figure, places


def plain_numbers(*axes: Any) -> None:
    """Logarithmic axes with their numbers written out."""
    for axis in axes:
        axis.set_major_formatter(FuncFormatter(style.plain))
        axis.set_minor_formatter(NullFormatter())


def log_sigma(_: Models) -> Figure:
    """Step 1: the KL and its slope, by σ and by log σ."""
    figure, places = plain_axes(
        2, (3.4, 2.3), [("By σ", "the slope has no bound near 0"), ("By log σ", "the slope is never below −1")]
    )
    logs = np.linspace(-4, 1.1, 400)
    sigma = np.exp(logs)
    for axes, x, slope, name, words in zip(
        places, (sigma, logs), (sigma - 1 / sigma, sigma**2 - 1), ("σ", "log σ"), ("σ − 1/σ", "σ² − 1"), strict=True
    ):
        axes.plot(x, 0.5 * (sigma**2 - 1) - logs, color=style.LINES[0], label="KL at μ = 0 (nats)")
        axes.plot(x, slope, color=style.LINES[1], linestyle="--", label=f"its slope, {words}")
        axes.axhline(0, color=style.HAIR, linewidth=0.8, zorder=0)
        axes.set(xlabel=name, ylim=(-6, 5))
        axes.legend(frameon=False, fontsize=style.NOTE, loc="lower right")
    return figure


@torch.no_grad()
def likelihood(space: LatentSpace, z: Any) -> Any:
    """p(x|z) at codes z (M, 2)."""
    return space.model.likelihood(torch.from_numpy(np.asarray(z, np.float32)))


def log_joint(given: Any, x: torch.Tensor, z: Any) -> Any:
    """log p(x, z) of one digit at codes z (M, 2), of which p(x|z) is `given`: float64, nats."""
    return given.log_prob(x).numpy().astype(float) - 0.5 * (z**2).sum(1) - np.log(2 * np.pi)


def lattice(low: Any, high: Any, points: int) -> tuple[list[Any], Any]:
    """The two axes, and all their points, (points², 2)."""
    axes = [np.linspace(a, b, points) for a, b in zip(low, high, strict=True)]
    return axes, np.stack(np.meshgrid(*axes), -1).reshape(-1, 2)


def quadrature(space: LatentSpace, x: torch.Tensor, points: int = 100) -> list[dict[str, Any]]:
    """The exact posterior of each digit on a grid that holds it and q: log p(x), the ELBO and the gap, nats."""
    _, wide = lattice((-6, -6), (6, 6), 121)
    coarse, found = likelihood(space, wide), []
    for one, mu, sigma in zip(x, *(v.astype(float) for v in space.posterior(x.numpy())), strict=True):
        height = log_joint(coarse, one, wide)
        mass = wide[height > height.max() - 12]
        low, high = np.minimum(mass.min(0) - 0.1, mu - 5 * sigma), np.maximum(mass.max(0) + 0.1, mu + 5 * sigma)
        axes, z = lattice(low, high, points)
        joint, cell = log_joint(likelihood(space, z), one, z), np.log([axis[1] - axis[0] for axis in axes]).sum()
        log_px, log_q = logsumexp(joint) + cell, norm.logpdf(z, mu, sigma).sum(1)
        q = np.exp(log_q + cell)
        assert abs(q.sum() - 1) < 0.01, f"the grid misses q: {q.sum()}"
        elbo, gap = (q * (joint - log_q)).sum(), (q * (log_q - joint + log_px)).sum()
        shape = np.exp(joint - joint.max()).reshape(points, points)
        found.append({"log p": log_px, "ELBO": elbo, "gap": gap, "posterior": shape, "axes": axes, "mu": mu, "sigma": sigma})
    return found


def evidence(models: Models) -> Figure:
    """Step 2: four digits' exact posteriors beside the encoder's Gaussian, and the gap between evidence and bound."""
    space, x = models["vae-2"], models.digits(20)
    found = quadrature(space, x)
    means = {key: np.mean([one[key] for one in found]) for key in ("log p", "ELBO", "gap")}
    torch.manual_seed(0)
    with torch.no_grad():
        sampled = torch.cat([t.log_w for t in space.model.chunks(x, 1000)]).mean(0)
    print("  over 20 digits: " + ", ".join(f"{key} {value:.2f}" for key, value in means.items()), end="")
    print(f"; ELBO from 1,000 draws {sampled.mean():.2f}")
    labels = [f"log p(x) = {one['log p']:.1f}\nELBO = {one['ELBO']:.1f}, gap = {one['gap']:.2f}" for one in found[:4]]
    print("  " + " | ".join(label.replace("\n", ", ") for label in labels))
    heads = [f"Test digit {i}" for i in range(4)]
    figure, places = style.panel_grid(4, (2.6, 2.2), left=0.6, top=style.heading_height(heads, labels, 2.6))
    for axes, one, head, note, image in zip(places, found, heads, labels, models.stored(models.test[:4]), strict=False):
        style.heading(axes, head, note.replace("-", "−"), 2.6)
        _posterior(axes, one, image[0])
    return figure


def _posterior(axes: Axes, one: dict[str, Any], image: Any) -> None:
    axes.pcolormesh(*one["axes"], one["posterior"], cmap="Blues", vmax=1.3, shading="nearest", rasterized=True)
    for k in (1, 2):
        axes.add_patch(
            Ellipse(one["mu"], *(2 * k * one["sigma"]), fill=False, edgecolor=style.LINES[1], linewidth=1.4, linestyle="--")
        )
    inset = axes.inset_axes((0.02, 0.74, 0.22, 0.24))
    inset.imshow(255 - image, cmap="gray", vmin=0, vmax=255)
    inset.set_axis_off()
    axes.set(xlabel="z₁", ylabel="z₂")
    axes.locator_params(nbins=4)


def forces(models: Models) -> Figure:
    """Step 3: the KL's arrows as a formula, and beside the reconstruction's where trained codes are."""
    heads = [
        ("The KL's pull", "−∇KL = (−μ, 1 − σ²); grey: KL = 0.5, 1, 2, 3, 4 nats"),
        ("Where trained codes are", "mean arrows in each cell: the KL's and the reconstruction's"),
    ]
    figure, (formula, trained) = plain_axes(2, (3.7, 3.0), heads)
    m, s = np.meshgrid(np.linspace(-3, 3, 13), np.linspace(-3, 0.8, 9))
    grid = np.meshgrid(np.linspace(-3.3, 3.3, 100), np.linspace(-3.4, 1.1, 100))
    level = 0.5 * (grid[0] ** 2 + np.exp(2 * grid[1]) - 1) - grid[1]
    formula.contour(*grid, level, levels=[0.5, 1, 2, 3, 4], colors=style.HAIR, linewidths=0.9)
    arrows: dict[str, Any] = {"angles": "xy", "scale_units": "xy", "scale": 6, "width": 0.006, "zorder": 3}
    formula.quiver(m, s, -m, 1 - np.exp(2 * s), color=style.LINES[0], **arrows)
    for force, colour, label in zip(_cells(models), style.LINES, ("KL", "reconstruction"), strict=False):
        trained.quiver(*force, color=colour, label=label, **arrows)
    trained.legend(frameon=False, fontsize=style.NOTE, loc="lower left", ncols=2)
    for axes in (formula, trained):
        axes.plot(0, 0, "+", color=style.INK, markersize=9)
        axes.set(xlabel="μ", ylabel="log σ", xlim=(-3.4, 3.4), ylim=(-3.6, 1.1))
    return figure


def _cells(models: Models) -> list[Any]:
    """Mean positions and forces in cells of (μ, log σ), of the KL and of the reconstruction, over 1,000 digits × 20 latents."""
    mu, sigma = (torch.from_numpy(v) for v in models.codes("beta-1-20", 1000))
    mu, logs, x = mu.requires_grad_(), sigma.log().requires_grad_(), models.digits(1000)
    torch.manual_seed(0)
    pull = [torch.zeros_like(mu), torch.zeros_like(mu)]
    for _ in range(64):
        z = mu + logs.exp() * torch.randn_like(mu)
        log_px = models["beta-1-20"].model.likelihood(z).log_prob(x).sum()
        pull = [a + g / 64 for a, g in zip(pull, torch.autograd.grad(log_px, (mu, logs)), strict=True)]
    mu, logs = mu.detach(), logs.detach()
    kl = [-mu, 1 - torch.exp(2 * logs)]
    print(f"  mean σ {logs.exp().mean():.3f}")
    for name, a, b in zip(("μ", "log σ"), kl, pull, strict=True):
        alike = np.corrcoef(a.ravel(), b.ravel())[0, 1]
        print(f"  force on {name}: KL, mean {a.mean():.3f}; reconstruction {b.mean():.3f}; correlation {alike:.2f}")
    flat = [v.numpy().ravel() for v in (mu, logs, *kl, *pull)]
    place = np.floor(flat[0] / 0.6 + 0.5) * 1000 + np.floor(flat[1] / 0.5 + 0.5)
    cells = [place == cell for cell in np.unique(place) if (place == cell).sum() >= 30]
    means = np.array([[v[cell].mean() for v in flat] for cell in cells]).T
    return [means[[0, 1, 2, 3]], means[[0, 1, 4, 5]]]


def toy_ratio(m: float, d: int, baseline: bool) -> float:
    """Variance of the score-function gradient over the pathwise one's, of E‖z‖² by μ₁, z ~ N(μ, σ²I), all μ = mσ."""
    if baseline:
        return 2 * m**2 + 2.5 + (d - 1) * (m**2 + 0.5)
    rest = 2 * (d - 1) * (m**2 + 1) * (m**2 + 3) + (d - 1) ** 2 * (m**2 + 1) ** 2 + (d - 1) * (4 * m**2 + 2)
    return (m**4 + 14 * m**2 + 15 + rest) / 4


def toy_draws(m: float, d: int, n: int, seed: int = 0) -> dict[str, Any]:
    """n one-draw estimates of ∂E‖z‖²/∂μ₁ at σ = 1: pathwise, score-function with the baseline E‖z‖², and without."""
    noise = np.random.default_rng(seed).standard_normal((n, d))
    cost = ((m + noise) ** 2).sum(1)
    return {
        "pathwise": 2 * (m + noise[:, 0]),
        "score, baseline": (cost - d * (m**2 + 1)) * noise[:, 0],
        "score": cost * noise[:, 0],
    }


def draw(models: Models) -> Figure:
    """Step 4: draws of z and the two normals; one-draw gradients of the toy; their variance against the dimension."""
    heads = [
        ("20,000 draws of one z", "of test digit 0"),
        ("The toy, d = 1", "gradients of one draw each; the truth is 4"),
        ("Variance ratio", "to the pathwise gradient, μ = 2σ"),
    ]
    figure, (left, middle, right) = plain_axes(3, (2.7, 2.3), heads)
    _histogram(left, models)
    found = toy_draws(2, 1, 200_000)
    for i, (name, values) in enumerate(found.items()):
        print(f"  toy, d = 1, {name}: mean {values.mean():.2f}, variance {values.var():.2f}")
        middle.hist(
            values, bins=np.linspace(-10, 25, 90).tolist(), density=True, histtype="step", color=style.LINES[i], label=name
        )
    middle.axvline(4, color=style.INK, linewidth=0.8, linestyle=":")
    middle.set(xlabel="estimate of the gradient", ylabel="density")
    middle.legend(frameon=False, fontsize=style.NOTE)
    sizes = np.array([1, 2, 5, 10, 20, 50])
    for i, baseline in ((2, False), (1, True)):
        ratios = [toy_ratio(2, d, baseline) for d in sizes]
        name = "score, baseline" if baseline else "score"
        many = [toy_draws(2, d, 100_000, 1) for d in sizes]
        drawn = [one[name].var() / one["pathwise"].var() for one in many]
        right.plot(sizes, ratios, color=style.LINES[i], label=name)
        right.plot(sizes, drawn, style.MARKERS[i], color=style.LINES[i], markersize=3.5)
        print(f"  toy, {name}: ratio {ratios[0]:.2f} at d = 1, {ratios[-1]:,.0f} at 50; drawn {drawn[0]:.2f}, {drawn[-1]:,.0f}")
    right.set(xscale="log", yscale="log", xlabel="dimensions d", ylabel="ratio")
    plain_numbers(right.xaxis, right.yaxis)
    right.legend(frameon=False, fontsize=style.NOTE)
    return figure


def _histogram(axes: Axes, models: Models) -> None:
    """One latent of the first digit: its draws, N(μ, σ²) and N(0, 1); and the encoder's gradient with and without the path."""
    space = models["beta-1-20"]
    mu, sigma = (v[0] for v in models.codes("beta-1-20", 1))
    j = space.ranking()[0]
    z = mu[j] + sigma[j] * np.random.default_rng(0).standard_normal(20_000)
    distances = [kstest(z, norm(*pair).cdf).statistic for pair in ((mu[j], sigma[j]), (0, 1))]
    print(f"  z of digit 0, latent {j}: μ {mu[j]:.3f}, σ {sigma[j]:.3f}; ", end="")
    print(f"KS distance to N(μ, σ²) {distances[0]:.4f}, to N(0, 1) {distances[1]:.3f}")
    grid = np.linspace(-3.2, 3.2, 500)
    axes.hist(z, bins=60, density=True, color=style.LINES[5], label="draws")
    axes.plot(grid, norm.pdf(grid, mu[j], sigma[j]), color=style.LINES[0], label="N(μ, σ²)")
    axes.plot(grid, norm.pdf(grid), color=style.LINES[1], linestyle="--", label="N(0, 1)")
    axes.set(xlabel="z", ylabel="density")
    axes.legend(frameon=False, fontsize=style.NOTE)
    x, model = models.digits(100), legato.load(models.out / "beta-1-20", device="cpu").model.requires_grad_(True)
    for name in ("rsample", "sample"):
        torch.manual_seed(0)
        distortion = -model.likelihood(getattr(model.latent.posterior(x), name)()).log_prob(x).mean()
        model.zero_grad()
        distortion.backward()
        norms = [p.grad.norm() for p in model.latent.q.parameters() if p.grad is not None]
        print(f"  gradient of the distortion in the encoder, {name}: {torch.stack(norms).norm() if norms else 0.0:.3g}")
