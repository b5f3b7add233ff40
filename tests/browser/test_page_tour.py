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

TITLES, CELLS = 8, 19
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

    def asked(self, path, **body):
        """What the page's server answers to a question of the tour."""
        return self.page.page.request.post(
            f"{self.page.url}{path}", data=body, headers={"Origin": f"http://{self.page.origin}"}
        ).json()

    def examples(self):
        """The images that the tour is shown with."""
        return self.asked("examples", step=[None, None])["rows"]

    def ends(self):
        """The rows of the images at both ends of a way, as step 1 names them."""
        return [
            int(self.page.by_id("tour").get_by_alt_text(re.compile(f"^{end}, image")).get_attribute("alt").split()[-1])
            for end in "AB"
        ]

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
    for step, look in enumerate(
        (points_and_between, the_cloud, the_pull, the_draw, two_ways, from_nothing, what_lies_near, what_beta_buys), 1
    ):
        next_step(walk, step)
        look(walk)
    walk.press("Escape")
    assert walk.page.by_id("tour").count() == 0
    assert walk.page.js("document.activeElement.dataset.testid") == "tour-button"
    assert walk.page.state["tour"] is None


def points_and_between(walk):
    """1: the cursor is in the deepest hole of all ways, and its error is the model's own; or none is said to be."""
    walk.page.eventually(lambda: walk.page.by_id("tour-holes").count() == 1, "the search")
    walk.page.eventually(lambda: walk.text("error") != "…", "the error")
    a, b = walk.ends()
    errors = walk.errors(AUTOENCODER, a, b, CELLS)
    told = walk.asked("ways", model=AUTOENCODER, step=None, rows=[[a, b]], cells=CELLS)
    assert told["errors"][0] == pytest.approx(errors.tolist(), rel=0.01, abs=0.01)
    threshold = told["threshold"]
    assert walk.number("threshold") == pytest.approx(threshold, abs=0.0051)
    holes = [error > threshold and not inside for error, inside in zip(told["errors"][0], told["inside"][0], strict=True)]
    if walk.text("holes") != "None":
        assert 1 <= int(walk.number("holes")) <= 45
        deepest = max(error for error, hole in zip(told["errors"][0], holes, strict=True) if hole)
        assert walk.number("error") == pytest.approx(deepest, abs=0.011)
    else:
        assert not any(holes)
    walk.tab_to("way")
    walk.press("Home", "PageUp", "PageUp", "PageUp")
    t = walk.value("way")
    assert 0 < t < 1
    assert walk.number("error") == pytest.approx(errors[int(t * CELLS)], abs=0.011)
    walk.page.settled()
    mu = walk.codes[AUTOENCODER][0]
    assert np.allclose(walk.page.cursor(AUTOENCODER), (1 - t) * mu[a] + t * mu[b], atol=1e-4)


def the_cloud(walk):
    """2: σ of the image, and how much draws from its cloud differ, beside an autoencoder's point moved as far."""
    walk.page.eventually(lambda: walk.page.by_id("tour-ratio").count() == 1, "the ratio")
    row = walk.examples()[0]
    (mu, sigma), (points, _) = walk.codes
    in_view(walk, VAE, mu[row], sigma[row])
    assert walk.numbers("sigma") == pytest.approx(sigma[row], abs=6e-4)
    share = math.exp(np.log(sigma[row] / mu_spread(walk, VAE)).mean())
    away = [
        blur(walk.space("vae"), mu[row], sigma[row]),
        blur(walk.space("autoencoder"), points[row], share * mu_spread(walk, AUTOENCODER)),
    ]
    assert walk.number("ratio") == pytest.approx(away[1] / away[0], rel=0.02)


def in_view(walk, model, mu, sigma):
    """The map is so near that a width of the cloud is a twentieth of it or more, and the cloud is in its middle."""
    box = walk.page.map_box(model)
    (x, y), (edge, _) = walk.page.places(np.array([mu, mu + np.array([sigma[0], 0])]), model)
    assert abs(x - box["x"] - box["width"] / 2) < 3
    assert abs(y - box["y"] - box["height"] / 2) < 3
    assert box["width"] / 20 < edge - x < box["width"] / 4


def mu_spread(walk, model):
    """The deviations of a model's codes that the page was told."""
    return np.array(walk.page.js(f"__app.core.session.models[{model}].std"))


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
    row = walk.examples()[0]
    mu, sigma = (values[row] for values in walk.codes[VAE])
    in_view(walk, VAE, mu, sigma)
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
    """5: a pair in both spaces: the worst error of each, how many places and ways lie above the threshold."""
    walk.page.eventually(lambda: all(walk.page.by_id(f"tour-worst-{m}").count() for m in (VAE, AUTOENCODER)), "both")
    way = walk.page.js("__app.core.guides.map((guide) => [guide.way[0].z, guide.way.at(-1).z])")
    for model in (AUTOENCODER, VAE):
        mu = walk.codes[model][0]
        a, b = (int(np.abs(mu - np.array(end)).max(1).argmin()) for end in way[model])
        told = walk.asked("ways", model=model, step=None, rows=[[a, b]], cells=CELLS)
        errors = walk.errors(model, a, b, CELLS)
        assert float(walk.page.by_id(f"tour-worst-{model}").text_content()) == pytest.approx(errors.max(), abs=0.011, rel=0.01)
        above = np.array(told["errors"][0]) > told["threshold"]
        assert walk.number(f"above-{model}") == above.sum()
        assert (walk.number(f"ways-{model}") > 0) >= above.any()
        assert walk.page.js(f"__app.core.guides[{model}].way.filter(({{ off }}) => off).length") == above.sum()


def from_nothing(walk):
    """6: draws from N(0, I), how many of them lie where the data goes, and how wide the codes spread."""
    walk.page.eventually(lambda: all(walk.page.by_id(f"tour-inside-{m}").count() for m in (VAE, AUTOENCODER)), "both")
    z = normals(1, 44).reshape(22, 2)
    for model in (VAE, AUTOENCODER):
        marks = walk.page.js(f"__app.core.guides[{model}].spots.map(({{ z, off }}) => [...z, off])")
        assert np.allclose([mark[:2] for mark in marks], z, atol=1e-6)
        inside = [walk.asked("locate", model=model, step=None, z=one.tolist(), k=1)["inside"] for one in z.astype(float)]
        assert [not mark[2] for mark in marks] == inside
        assert walk.number(f"inside-{model}") == sum(inside)
        mu, sigma = walk.codes[model]
        assert walk.number(f"reach-{model}") == pytest.approx(np.sqrt((mu.var(0) + np.square(sigma).mean(0)).mean()), rel=0.06)


def what_lies_near(walk):
    """7: the nearest images by the models' own codes; how many are of one class, and by chance."""
    walk.page.eventually(lambda: walk.page.by_id("tour-chance").count() == 1, "the count")
    _, labels = models.pictures()
    row = walk.examples()[0]
    for model in (VAE, AUTOENCODER):
        mu, sigma = walk.codes[model]
        white = Whitening.fit(mu, sigma).apply(mu)
        nearest = np.argsort(np.square(white - white[row]).sum(1))[1:9]
        names = (
            walk.page.by_id(f"tour-near-{model}").get_by_role("button").evaluate_all("(all) => all.map((one) => one.ariaLabel)")
        )
        assert {int(name.split(":")[0].split()[-1]) for name in names} == set(nearest.tolist())
        assert 0 <= walk.number(f"same-{model}") <= 100
    expected = 100 * np.square(np.bincount(labels) / len(labels)).sum()
    assert walk.number("chance") == pytest.approx(expected, abs=0.51)


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


@pytest.mark.parametrize(
    ("name", "said", "steps"), [("vae", "no autoencoder beside this VAE", 7), ("autoencoder", "no VAE beside this", 7)]
)
def test_11_with_one_model_every_step_works_or_is_left_out(visit, name, said, steps):
    page = visit(name, at="tour=1")
    page.until("document.querySelector('[data-testid=tour-missing]')")
    missing = page.by_id("tour-missing").inner_text()
    assert said in missing
    assert "legato explore" in missing
    for step in range(1, steps + 1):
        page.until(f"document.querySelector('#tour-title').textContent.startsWith('{step}/{steps}')")
        page.until("!document.querySelector('#tour [aria-busy=true]')")
        assert page.by_id("tour").locator(".danger:not(.number .danger)").count() == 0
        page.eventually(lambda: len(page.by_id("tour").inner_text()) > 200, "the step's own words")
        page.page.get_by_role("button", name="Done" if step == steps else "Next →").click()
    assert page.by_id("tour").count() == 0


def test_11_leaving_a_step_gives_the_map_back(visit):
    page = visit("vae", "autoencoder")
    page.page.get_by_test_id("tour-button").click()
    page.page.get_by_role("button", name="Next →").click()
    page.until("__app.state().models[0].camera && __app.core.guides[0]?.spots.length === 10")
    page.page.keyboard.press("Escape")
    page.until(
        "__app.state().models.every(({ camera }) => camera === null) && __app.core.guides.every((guide) => guide === null)"
    )


def test_11_the_map_shows_the_draws_that_the_step_speaks_of(visit):
    page = visit("vae", at="tour=2&clouds=0")
    page.until("__app.core.guides[0]?.spots.length === 10")
    shown = page.still_map()
    box = page.map_box()
    accent = np.array([0x0B, 0x62, 0xB8])
    for a, b in page.js("__app.core.guides[0].spots.map(({ z }) => z)"):
        x, y = page.place(a, b)
        x, y = round(x - box["x"]), round(y - box["y"])
        if 8 < x < shown.shape[1] - 8 and 8 < y < shown.shape[0] - 8:
            near = shown[y - 7 : y + 8, x - 7 : x + 8, :3].astype(int)
            assert (np.abs(near - accent).max(-1) < 40).sum() >= 10


def test_11_on_a_phone_the_card_leaves_the_map_visible(visit):
    page = visit("vae", "autoencoder", at="tour=1", viewport={"width": 390, "height": 844})
    for step in range(1, TITLES + 1):
        page.until(f"document.querySelector('#tour-title')?.textContent.startsWith('{step}/{TITLES}')")
        model = AUTOENCODER if step == 1 else VAE

        def seen(model=model):
            card, box = page.by_id("tour").bounding_box(), page.map_box(model)
            return (
                card["y"] + card["height"] <= 845
                and min(card["y"], box["y"] + box["height"]) - max(0, box["y"]) >= 0.9 * box["height"]
            )

        page.eventually(seen, f"the map above the card of step {step}")
        page.page.get_by_role("button", name="Done" if step == TITLES else "Next →").click()


def test_11_a_folded_card_leaves_its_title(visit):
    page = visit("vae", at="tour=3")
    page.page.get_by_role("button", name="Fold the step").click()
    assert page.by_id("tour-kl").count() == 0 or not page.by_id("tour-kl").is_visible()
    page.page.get_by_role("button", name="Show the step").click()
    assert page.by_id("tour-kl").is_visible()
