"""Assertion 11, the tour: walked by keys alone, and every number that it shows computed once more in Python."""

from __future__ import annotations

import json
import math
import re
from importlib.resources import files

import numpy as np
import pytest

from browser import models
from browser.draws import normals
from legato.measures.cycle import cycle_errors
from legato.measures.whitening import Whitening

TITLES = 6
NAMED = "document.activeElement.getAttribute('aria-label') || document.activeElement.textContent"
HEAR = """() => {
  const live = document.querySelector('[data-testid=live]')
  window.__heard = []
  const hear = () => window.__heard.push(live.textContent)
  new MutationObserver(hear).observe(live, { characterData: true, childList: true, subtree: true })
}"""
VAE, AUTOENCODER = 0, 1
NAMES = ("vae", "autoencoder")


class Walk:
    """The tour as a person without a pointer takes it."""

    def __init__(self, page, space):
        self.page, self.space = page, space
        page.js(HEAR)
        images, _ = models.pictures()
        self.codes = [space(name).encode(images) for name in NAMES]

    def tab_to(self, name, key="Tab"):
        """Tab until what has this name is in focus."""
        for _ in range(200):
            self.page.page.keyboard.press(key)
            if self.page.js(NAMED).strip() == name:
                return
        raise AssertionError(f"the Tab key never comes to {name}")

    def press(self, *keys):
        for key in keys:
            self.page.page.keyboard.press(key)

    def text(self, name):
        return self.page.by_id(f"tour-{name}").inner_text()

    def number(self, name):
        return float(re.sub("[^0-9.+-]", "", self.text(name).split("=")[-1].replace("−", "-")))

    def numbers(self, name):
        return [float(part) for part in re.findall(r"-?\d+\.\d+", self.text(name))]

    def value(self, label):
        """What a slider of the tour stands at."""
        return float(self.page.by_id("tour").get_by_role("slider", name=label, exact=True).input_value())

    def told(self, words):
        self.page.until(f"window.__heard.some((text) => text.includes('{words}'))")

    def pair(self, model):
        """The first two images of different classes in the map's order."""
        rows, labels = self.page.js(f"(({{ row, label }}) => [Array.from(row), Array.from(label)])(__app.core.points[{model}])")
        second = next(i for i in range(1, len(rows)) if labels[i] != labels[0])
        return rows[0], rows[second]

    def errors(self, model, a, b, cells):
        """How far each of the middles of `cells` parts of the way from a to b comes back from."""
        share = (np.arange(cells) + 0.5)[:, None] / cells
        mu, sigma = self.codes[model]
        z = ((1 - share) * mu[a] + share * mu[b]).astype(np.float32)
        space = self.space(NAMES[model])
        again = space.posterior(space.decode_prepared(z))[0]
        if model == AUTOENCODER:
            return cycle_errors(z, again, Whitening.fit(mu))
        return np.sqrt((np.square(again - z) / np.square(sigma).mean(0)).mean(1))


@pytest.fixture
def walk(visit, space):
    page = visit()
    walk = Walk(page, space)
    walk.tab_to("Tour")
    walk.press("Enter")
    return walk


def next_step(walk, step):
    """On to a step: the focus goes to its title, and that is told."""
    if step > 1:
        walk.tab_to("Next →")
        walk.press("Enter")
    walk.page.until("document.activeElement?.id === 'tour-title'")
    assert walk.page.page.locator("#tour-title").inner_text().startswith(f"{step}/{TITLES}")
    walk.told(f"tour, step {step} of {TITLES}")


def test_11_the_tour_walked_by_keys_shows_the_numbers_of_closed_forms(walk):
    for step, look in enumerate((points_and_between, the_cloud, the_pull, the_draw, two_ways, what_beta_buys), 1):
        next_step(walk, step)
        look(walk)
    walk.press("Escape")
    assert walk.page.by_id("tour").count() == 0
    assert walk.page.js("document.activeElement.dataset.testid") == "tour-button"
    assert walk.page.state["tour"] is None


def points_and_between(walk):
    """1: the error on the way between two of the autoencoder's points."""
    a, b = walk.pair(AUTOENCODER)
    errors = walk.errors(AUTOENCODER, a, b, 41)
    walk.page.eventually(lambda: walk.text("error") != "…", "the error")
    assert walk.number("error") == pytest.approx(errors[0], abs=0.011)
    walk.tab_to("way")
    walk.press("PageUp", "PageUp", "PageUp")
    t = walk.value("way")
    assert 0 < t < 1
    assert walk.number("error") == pytest.approx(errors[int(t * 41)], abs=0.011)
    walk.page.settled()
    mu = walk.codes[AUTOENCODER][0]
    assert np.allclose(walk.page.cursor(AUTOENCODER), (1 - t) * mu[a] + t * mu[b], atol=1e-4)
    threshold = float(re.search(r"1 in 100 lies above ([\d.]+)", walk.page.by_id("tour").inner_text()).group(1))
    above = 100 * np.mean(errors > threshold)
    assert abs(walk.number("holes") - above) <= 100 / 41 + 0.5  # the threshold is told to two digits


def the_cloud(walk):
    """2: σ of the image, and how much draws from its cloud differ, beside an autoencoder's point moved as far."""
    walk.page.eventually(lambda: walk.page.by_id("tour-ratio").count() == 1, "the ratio")
    row, _ = walk.pair(VAE)
    (mu, sigma), (points, _) = walk.codes
    assert walk.numbers("sigma") == pytest.approx(sigma[row], abs=6e-4)
    share = math.exp(np.log(sigma[row] / mu_spread(walk, VAE)).mean())
    away = [
        blur(walk.space("vae"), mu[row], sigma[row]),
        blur(walk.space("autoencoder"), points[row], share * mu_spread(walk, AUTOENCODER)),
    ]
    assert walk.number("ratio") == pytest.approx(away[1] / away[0], rel=0.02)


def mu_spread(walk, model):
    """The deviations of a model's codes that the page was told."""
    return np.array(walk.page.js(f"__app.core.visit.models[{model}].std"))


def blur(space, centre, scale):
    """The mean distance of ten draws' pictures from the middle's, pixels in 0 … 1."""
    drawn = centre + scale * normals(1, 20).reshape(10, 2)
    middle, *tiles = models.decoded(space, np.vstack([centre, drawn]))[..., :3] / 255
    return np.mean([math.sqrt(((tile - middle) ** 2).mean()) for tile in tiles])


def the_pull(walk):
    """3: KL = ½(μ² + σ² − 1 − log σ²) and its slopes, where a person puts the cloud and where the KL pulls it."""
    closed_forms(walk, walk.value("μ"), walk.value("log σ"))
    walk.tab_to("μ")
    walk.press("PageDown", "ArrowLeft", "ArrowLeft")
    walk.tab_to("log σ")
    walk.press("PageUp", "PageUp", "ArrowRight")
    mu, log_sigma = walk.value("μ"), walk.value("log σ")
    assert (mu, log_sigma) != (2.0, -1.5)
    closed_forms(walk, mu, log_sigma)
    walk.tab_to("Let the KL pull")
    walk.press("Enter")  # motion is reduced here: twelve steps at once
    for _ in range(12):
        mu, log_sigma = mu - 0.12 * mu, log_sigma - 0.12 * (math.exp(2 * log_sigma) - 1)
    closed_forms(walk, mu, log_sigma)


def closed_forms(walk, mu, log_sigma):
    sigma = math.exp(log_sigma)
    assert walk.number("kl") == pytest.approx(0.5 * (mu**2 + sigma**2 - 1 - math.log(sigma**2)), abs=6e-5)
    assert walk.number("kl-mu") == pytest.approx(mu, abs=6e-5)
    assert walk.number("kl-sigma") == pytest.approx(sigma**2 - 1, abs=6e-5)


def the_draw(walk):
    """4: z = μ + σ⊙ε; and the two gradients of E z² with their variances."""
    walk.page.eventually(lambda: walk.page.by_id("tour-z").count() == 1, "a draw")
    row, _ = walk.pair(VAE)
    mu, sigma = (values[row] for values in walk.codes[VAE])
    for seed in (1, 2):
        epsilon = normals(seed, 2)
        walk.page.eventually(lambda e=epsilon: np.allclose(walk.numbers("noise"), e, atol=6e-4), "this noise")
        assert walk.numbers("mu") == pytest.approx(mu, abs=6e-4)
        assert walk.numbers("spread") == pytest.approx(sigma, abs=6e-4)
        assert walk.numbers("z") == pytest.approx(mu + sigma * epsilon, abs=6e-4)
        assert walk.page.cursor(VAE) == pytest.approx(mu + sigma * epsilon, abs=1e-4)
        if seed == 1:
            walk.tab_to("Draw ε")
            walk.press("Enter")
    toy(walk, 100)
    walk.tab_to("μ")
    walk.press("ArrowLeft", "ArrowLeft", "ArrowLeft")
    walk.tab_to("σ")
    walk.press("ArrowLeft", "ArrowLeft")
    assert (walk.value("μ"), walk.value("σ")) != (2.0, 1.0)
    toy(walk, 100)


def toy(walk, n):
    mu, sigma = walk.value("μ"), walk.value("σ")
    epsilon = normals(1, n).astype(float)
    z, m = mu + sigma * epsilon, mu / sigma
    by_draw, by_score = 4 * sigma**2, sigma**2 * (m**4 + 14 * m**2 + 15)
    told = {
        "truth": 2 * mu, "pathwise": (2 * z).mean(), "score": (z**2 * epsilon / sigma).mean(),
        "pathwise-variance": by_draw, "score-variance": by_score, "variance-ratio": by_score / by_draw, "cut": 0.0,
    }  # fmt: skip
    for name, expected in told.items():
        assert walk.number(name) == pytest.approx(expected, abs=0.0051, rel=1e-4), name


def two_ways(walk):
    """5: the worst error on the same way through each space, and how many places lie above the threshold."""
    walk.page.eventually(lambda: all(walk.page.by_id(f"tour-worst-{model}").count() for model in (VAE, AUTOENCODER)), "both")
    a, b = walk.pair(AUTOENCODER)
    told = re.findall(r"held-out 99 %: ([\d.]+)", walk.page.by_id("tour").inner_text())
    thresholds = dict(zip((AUTOENCODER, VAE), told, strict=True))
    for model in (AUTOENCODER, VAE):
        errors = walk.errors(model, a, b, 10)
        assert walk.number(f"worst-{model}") == pytest.approx(errors.max(), abs=0.011, rel=0.01)
        sure = np.abs(errors - float(thresholds[model])) > 0.01
        assert 0 <= walk.number(f"above-{model}") - (errors > float(thresholds[model]))[sure].sum() <= (~sure).sum()


def what_beta_buys(walk):
    """6: the recorded experiment, to the digit."""
    record = json.loads((files("legato.explorer") / "tour.json").read_text())
    walk.page.eventually(lambda: walk.page.by_id("tour-distortion").count() == 1, "the record")
    walk.tab_to("β")
    walk.press("Home")
    for point in record["curve"]:
        for name in ("distortion", "frechet"):
            measured = point[name]
            assert walk.numbers(name) == pytest.approx([measured[key] for key in ("value", "low", "high")], abs=0.051)
        walk.press("ArrowRight")
    assert walk.text("verdict") == record["verdict"]


def test_11_a_visit_without_an_autoencoder_says_what_to_open(visit):
    page = visit("vae", at="tour=1")
    missing = page.by_id("tour-missing")
    assert "has not an autoencoder" in missing.inner_text()
    assert "legato explore" in missing.inner_text()
