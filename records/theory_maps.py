"""Steps 5 to 10 of docs/theory.md drawn: maps, paths, σ over training, continuity, β and the force balance."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy.special import logsumexp
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from theory_models import BETAS, FIVE, Models, title
from theory_steps import plain_axes, plain_numbers

from legato.latent_space import LatentSpace
from legato.measures.estimate import Estimate, mean_over
from legato.report import curves, maps, panels, style
from legato.types import Doubles, Floats

COMPONENTS = 50


class NearestReal:
    """Distances from images to the nearest of `real` (N, *data), in the first 50 principal components of the pixels.

    With `normalise` every image is first scaled to length 1: 0 is the same picture, √2 one that shares no pixel. Without it a
    faint picture is near everything, since it is near nothing at all: blank paper would pass for a good sample.
    """

    def __init__(self, real: Floats, components: int = COMPONENTS, normalise: bool = True) -> None:
        self.normalise = normalise
        flat = self._features(real)
        self.pca = PCA(min(components, *flat.shape), svd_solver="randomized", random_state=0).fit(flat)
        # Brute force: in 50 dimensions trees are slower than matrix products.
        self.index = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(self.pca.transform(flat))

    def distances(self, images: Floats) -> Doubles:
        """(n,), Euclidean; in units of the pixels without `normalise`."""
        found, _ = self.index.kneighbors(self.pca.transform(self._features(images)))
        return np.asarray(found[:, 0], np.float64)

    def estimate(self, images: Floats) -> Estimate:
        """Their mean with its interval."""
        among = f"{self.index.n_samples_fit_:,} real images, {self.pca.n_components_} PCA features"
        unit = "image lengths" if self.normalise else "pixel units"
        return mean_over(self.distances(images), unit, f"distance to the nearest of {among}")

    def _features(self, images: Floats) -> Floats:
        flat = np.asarray(images, np.float32).reshape(len(images), -1)
        if not self.normalise:
            return flat
        return np.asarray(flat / np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-12), np.float32)


def map_of(models: Models, names: tuple[str, ...], n: int = 1500) -> Figure:
    """Codes of n test digits in models with 2 latents."""
    labels = models.data.dataset.labels
    assert labels is not None
    found = []
    for name in names:
        mu, sigma = models.codes(name, n)
        space = models[name]
        clouds = sigma if space.has_density else None
        known = labels[models.test[:n]]
        found.append(maps.LatentMap(title(name), mu, clouds, known, models.data.dataset.label_names, space.prior_was_trained))
        print(f"  {name}: 10-NN purity {purity(models, name):.2f}; Std μ {mu.std(0).round(2)}", end="")
        logs = np.log(sigma + 1e-30)
        widths = np.exp(logs.mean()), np.exp((logs - np.log(mu.std(0))).mean())
        print(f"; geometric mean σ {widths[0]:.2g}, σ / Std μ {widths[1]:.2g}" if space.has_density else "")
    return maps.latent_maps(found)


def purity(models: Models, name: str, n: int = 5000) -> float:
    """Of the 10 nearest codes of each of n test digits (whitened), the share that has its class; by chance about 0.1."""
    labels = models.data.dataset.labels
    assert labels is not None
    mu = models.codes(name, n)[0]
    white = mu @ np.linalg.inv(np.linalg.cholesky(np.cov(mu.T))).T
    near = NearestNeighbors(n_neighbors=11).fit(white).kneighbors(white, return_distance=False)[:, 1:]
    known = labels[models.test[:n]]
    return float((known[near] == known[:, None]).mean())


def planes(models: Models) -> Figure:
    """Step 5: what the plane of codes decodes to, in the autoencoder and in the VAE."""
    found = []
    for name in ("autoencoder-2", "vae-2"):
        low, high = np.quantile(models.codes(name, 5000)[0], [0.01, 0.99], axis=0)
        centre, half = (low + high) / 2, float((high - low).max()) / 2
        if models[name].prior_was_trained:
            centre, half = np.zeros(2), 3.0
        x, y = (np.linspace(c - half, c + half, 13) for c in centre)
        images = models[name].decode(np.stack(np.meshgrid(x, y), -1).reshape(-1, 2)).reshape(13, 13, 1, 28, 28)
        found.append(maps.DecodedPlane(title(name), images, (x[0], x[-1], y[0], y[-1])))
    return maps.decoded_planes(found)


def interpolation(models: Models) -> Figure:
    """Step 7: the first two test digits of different classes, straight lines in three latent spaces of 20, and in pixels."""
    labels = models.data.dataset.labels
    assert labels is not None
    rows = np.array([models.test[0], next(row for row in models.test if labels[row] != labels[models.test[0]])])
    lines = []
    for name in ("autoencoder-20", "noise-20", "beta-1-20"):
        ends = models[name].encode(models.stored(rows), rows)[0]
        lines.append(panels.ImageRow(title(name), models[name].decode(models[name].interpolate(ends, steps=9))))
    images = models.data.preparation.original(models.stored(rows))
    alphas = np.linspace(0, 1, 9).reshape(-1, 1, 1, 1)
    return panels.interpolation_panel([*lines, panels.ImageRow("Cross-fade", (1 - alphas) * images[:1] + alphas * images[1:])])


def sigma(models: Models) -> Figure:
    """Step 8: σ over training, alone and beside the spread of the means."""
    series = []
    for name in ("noise-2", "mean-only-2", "fixed-noise-2", "vae-2"):
        found = [(m["step"], m["validation"]) for m in models[name].run.read_metrics() if "validation" in m]
        widths, spread = (np.array([v[key] for _, v in found]) for key in ("sigma", "std_mu"))
        series.append(curves.SigmaSeries(title(name), np.array([step for step, _ in found]), widths, spread))
        for at in (0, -1):
            both = widths[at].mean(), spread[at].mean(), (widths[at] / spread[at]).mean()
            print(f"  {name}, step {found[at][0]}: σ {both[0]:.2g}, Std μ {both[1]:.2g}, ratio {both[2]:.2g}")
    return curves.sigma_curves(series)


def samples(models: Models) -> Figure:
    """Step 9: the same draws from N(0, I) through three models of 20 latents, and their distance to real digits."""
    data, n = models.data, 1000
    nearest = NearestReal(data.preparation.original(models.stored(data.split("train").draw(20_000, "measured"))))
    real = data.preparation.original(models.stored(models.test[:n]))
    print(f"  distance to the nearest training digit: held-out digits {nearest.estimate(real).value:.3f}")
    shown = []
    for name in ("autoencoder-20", "noise-20", "beta-1-20"):
        found = [nearest.estimate(models[name].sample(n, seed=0, origin=origin)).value for origin in ("prior", "codes")]
        print(f"  {name}: from N(0, I) {found[0]:.3f}, from a Gaussian fitted to the codes {found[1]:.3f}")
        shown.append(panels.SamplePanel(title(name), models[name].sample(25, seed=0, origin="prior")))
    return panels.sample_panels([*shown, panels.SamplePanel("Real digits", real[:25])])


def perturbation(space: LatentSpace, mu: Any, sigma: Any, radii: Any) -> Any:
    """C(r) = E d(g(z), g(z + r S^½u)) / E d(g(z), g(z′)), z ~ q(z|x), u uniform on the circle, d = L2 of decoded means."""
    rng = np.random.default_rng(0)
    z = mu + sigma * rng.standard_normal(mu.shape)
    u = rng.standard_normal(mu.shape)
    u = u / np.linalg.norm(u, axis=1, keepdims=True) @ np.linalg.cholesky(space.codes()[1]).T
    images = space.decode(z)

    def far(other: Any) -> float:
        return float(np.linalg.norm((images - other).reshape(len(z), -1), axis=1).mean())

    unrelated = far(images[rng.permutation(len(z))])
    return np.array([far(space.decode(z + r * u)) for r in radii]) / unrelated


def continuity(models: Models) -> Figure:
    """Step 9: how far a step of r spreads of the codes changes the image, for the five models with 2 latents."""
    figure, (axes,) = plain_axes(
        1, (4.6, 2.8), [("How far a small step leads", "1,000 test digits; 0 the same image, 1 an unrelated one")]
    )
    radii = np.geomspace(0.003, 3, 25)
    for i, name in enumerate(FIVE):
        c = perturbation(models[name], *models.codes(name, 1000), radii)
        axes.plot(radii, c, color=style.LINES[i], linestyle=style.DASHES[i], label=title(name))
        half = np.exp(np.interp(0.5, c, np.log(radii)))
        distortion, rate = models.costs(name)
        print(f"  {name}: C(0.1) {np.interp(0.1, radii, c):.3f}, r50 {half:.3f}; distortion {distortion:.1f}, rate {rate:.1f}")
    axes.set(xscale="log", xlabel="r, in standard deviations of all codes", ylabel="C(r)")
    plain_numbers(axes.xaxis)
    axes.legend(frameon=False, fontsize=style.NOTE)
    return figure


def curvature(space: LatentSpace, mu: Any) -> Any:
    """[JᵀWJ]_jj at the codes, (N, d): Σ over pixels of p(1 − p)(∂logit/∂z_j)², one forward derivative per latent."""
    z, logits = torch.from_numpy(mu), lambda z: space.model.likelihood.net(z).flatten(1)
    with torch.no_grad():
        p = torch.sigmoid(logits(z))  # type: ignore[no-untyped-call]
        found = []
        for j in range(z.shape[1]):
            along = torch.zeros_like(z)
            along[:, j] = 1
            found.append((p * (1 - p) * torch.func.jvp(logits, (z,), (along,))[1] ** 2).sum(1))
    return torch.stack(found, 1).numpy()


def beta(models: Models) -> Figure:
    """Step 10: distortion against rate over β; and each posterior's precision beside the force balance's."""
    heads = [
        ("Rate and distortion", "2,000 test digits, 20 latents; the numbers are β"),
        ("The force balance", "β = 1; 500 digits × 20 latents; the line is equality"),
    ]
    figure, (left, right) = plain_axes(2, (3.4, 2.8), heads)
    points = []
    for b in BETAS:
        name = f"beta-{b:g}-20"
        distortion, rate = models.costs(name)
        mu, sigma = models.codes(name, 5000)
        second = mu.var(0) + (sigma**2).mean(0)
        print(f"  β = {b:g}: distortion {distortion:.1f}, rate {rate:.2f}, sum {distortion + rate:.1f}; ", end="")
        print(f"{(mu.var(0) > 0.01).sum()} units active; Var μ + E σ² {second.min():.2f} to {second.max():.2f}", end="")
        idle = mu.var(0) <= 0.01
        print(f"; idle ones: mean |μ| {np.abs(mu[:, idle]).mean():.3f}, σ {sigma[:, idle].mean():.3f}" if idle.any() else "")
        points.append((rate, distortion))
    for (r0, d0), (r1, d1), b0, b1 in zip(points, points[1:], BETAS, BETAS[1:], strict=False):
        print(f"  between β = {b0:g} and {b1:g}: slope {(d1 - d0) / (r1 - r0):.2f}")
    left.plot(*zip(*points, strict=True), "o-", color=style.LINES[0], markersize=4)
    for b, place in zip(BETAS, points, strict=True):
        left.annotate(f"{b:g}", place, (5, 5), textcoords="offset points", fontsize=style.NOTE)
    left.set(xlabel="rate (nats per digit)", ylabel="distortion (nats per digit)")
    _balance(right, models)
    return figure


def _balance(axes: Axes, models: Models) -> None:
    mu, sigma = models.codes("beta-1-20", 500)
    predicted, found = 1 + curvature(models["beta-1-20"], mu), 1 / sigma**2
    within = [
        np.corrcoef(np.log(predicted[:, j]), np.log(found[:, j]))[0, 1] ** 2 for j in range(mu.shape[1]) if mu[:, j].std() > 0.1
    ]
    ratio = np.median((found / predicted)[:, mu.std(0) > 0.1])
    print(f"  force balance: median of found / predicted {ratio:.2f}; ", end="")
    print(f"R² of log precision within one dimension, median {np.median(within):.2f}")
    axes.scatter(predicted, found, s=3, color=style.LINES[0], alpha=0.25, linewidths=0)
    ends = [0.8, 1.3 * max(predicted.max(), found.max())]
    axes.plot(ends, ends, color=style.LINES[1], linewidth=1)
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, xlabel="1 + [JᵀWJ]ⱼⱼ/β", ylabel="1/σⱼ², learned")
    plain_numbers(axes.xaxis, axes.yaxis)


def holes(models: Models) -> None:
    """The prior-hole fraction H₁% of two VAEs, from the exact mixture of 55,000 training posteriors."""
    rows = models.data.split("train").all()
    for name in ("vae-2", "beta-1-20"):
        mu, sigma = (v.astype(float) for v in models[name].encode(models.stored(rows), rows))
        tested = models.codes(name, 2000)
        rng = np.random.default_rng(0)
        held_out = tested[0] + tested[1] * rng.standard_normal(tested[0].shape)
        line = np.quantile(log_mixture(held_out, mu, sigma), 0.01)
        share = (log_mixture(rng.standard_normal(held_out.shape), mu, sigma) < line).mean()
        print(f"  prior-hole fraction H_1% of {name}: {100 * share:.1f} % of 2,000 draws; a perfect match has 1 %")


def log_mixture(z: Any, mu: Any, sigma: Any) -> Any:
    """log (1/N) Σₙ N(z; μₙ, σₙ²), (M,), nats: exact, in blocks, in float64 since the squares nearly cancel."""
    precision = sigma**-2
    level = -0.5 * ((mu**2 * precision).sum(1) + np.log(2 * np.pi * sigma**2).sum(1)) - np.log(len(mu))
    weighted, z = (mu * precision).T, np.asarray(z, float)
    return np.concatenate(
        [logsumexp(b @ weighted - 0.5 * b**2 @ precision.T + level, axis=1) for b in np.array_split(z, len(z) // 100 + 1)]
    )
