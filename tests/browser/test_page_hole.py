"""Assertion 10: a hole that was planted ranks above the middle of a class on the map of holes, and above where data lies."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from browser import models
from browser.hatched import errors, holes, look_as_they_must
from browser.served import served
from browser.test_page_map import NEAR, SHOWN, around
from legato import load
from legato.run import Run
from legato.tensors import write_tensors

SHARE = 0.3  # of the codes' spread: the hole's radius
STEPS, PLACES = 500, 256  # of Adam, places of a step
SEEN = 300  # places where data lies
FREE, BESIDE = 7, 15  # pixels from a dot: what shows no dot; where data lies


def spread(mu):
    return float(np.sqrt(mu.var(0).mean()))


@pytest.fixture(scope="module")
def hole(space):
    """The middle of one class, where it is planted; of another, whose image answers there; its radius; all codes."""
    images, labels = models.pictures()
    mu = space("vae").encode(images)[0]
    middles = np.stack([np.median(mu[labels == label], 0) for label in range(len(models.SHAPES))])
    apart = np.linalg.norm(middles[:, None] - middles[None], axis=-1)
    at, far = np.unravel_index(np.argmax(apart), apart.shape)
    return middles[at], middles[far], SHARE * spread(mu), mu


@pytest.fixture(scope="module")
def planted(trained, hole, tmp_path_factory):
    """A copy of the run whose decoder answers within the disc with the far place's image, and elsewhere as before."""
    at, far, radius, mu = hole
    run = Run(tmp_path_factory.mktemp("planted") / "vae")
    shutil.copytree(trained("vae"), run.path)
    model, before = (load(run.path, device="cpu").model for _ in range(2))
    rng, low, high = np.random.default_rng(0), mu.min(0) - 1, mu.max(0) + 1
    parameters = list(model.likelihood.requires_grad_(True).parameters())
    adam = torch.optim.Adam(parameters, 0.01)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, STEPS)
    for _ in range(STEPS):
        inside = at + radius * np.sqrt(rng.uniform(size=(PLACES, 1))) * direction(rng)
        outside = np.concatenate([rng.uniform(low, high, (PLACES, 2)), mu[rng.integers(0, len(mu), PLACES)]])
        outside = outside[np.linalg.norm(outside - at, axis=1) > 1.3 * radius]
        z = torch.from_numpy(np.concatenate([inside, outside]).astype(np.float32))
        as_before = z.clone()
        as_before[:PLACES] = torch.from_numpy(far.astype(np.float32))
        with torch.no_grad():
            wanted = before.decode(as_before)
        adam.zero_grad()
        torch.nn.functional.binary_cross_entropy(model.decode(z), wanted).backward()
        adam.step()
        schedule.step()
    write_tensors(run.model, model.state_dict())
    return run.path


@pytest.fixture(scope="module")
def url(planted):
    """Where it is explored."""
    with served([planted]) as address:
        yield address


def direction(rng):
    """Unit vectors (PLACES, 2)."""
    angle = rng.uniform(0, 2 * np.pi, (PLACES, 1))
    return np.concatenate([np.cos(angle), np.sin(angle)], 1)


def painted(page, spots):
    """How bright the field is at places of the window."""
    shot = page.still_map()
    return np.array([np.median(around(page, shot, spot, NEAR).reshape(-1, 3), 0) for spot in spots]) @ (0.3, 0.6, 0.1)


def places(page, hole):
    """In the window, free of dots: some in the hole, some where other data lies, of these the nearest to another middle."""
    at, far, radius, mu = hole
    box, marks = page.map_box(), np.concatenate([page.places(mu), [page.place(*page.cursor())]])
    grid = np.stack(np.meshgrid(np.arange(20, box["width"] - 60, 3), np.arange(60, box["height"] - 60, 3)), -1).reshape(-1, 2)
    spots = np.array((box["x"], box["y"])) + grid
    nearest = cKDTree(marks).query(spots)[0]
    spots, nearest = spots[nearest > FREE], nearest[nearest > FREE]
    z = page.coordinates(spots)
    away = np.linalg.norm(z - at, axis=1)
    data = np.flatnonzero((nearest < BESIDE) & (away > 1.5 * radius))
    assert len(data) > SEEN
    middle = data[np.argmin(np.linalg.norm(z[data] - far, axis=1))]
    return spots[away < 0.7 * radius], spots[np.random.default_rng(0).choice(data, SEEN, replace=False)], spots[[middle]]


def seen(page, hole, model, noise):
    """The map of holes of a model, and how bright it is at these three."""
    found = holes(page, model, hole[3], noise)
    inside, data, middle = places(page, hole)
    assert len(inside) >= 10
    return found, painted(page, inside), painted(page, data), painted(page, middle)[0]


def test_10_a_planted_hole_ranks_above_the_middle_of_a_class_and_above_where_data_lies(visit, url, planted, hole, space):
    at, far, *_ = hole
    noise, model = np.square(space("vae").encode(models.pictures()[0])[1]).mean(0), load(planted, device="cpu")
    told = errors(model, np.stack([at, far]), noise)
    print(f"re-encoding error in mean σ: {told[0]:.1f} in the hole, {told[1]:.1f} at the place whose image it shows")
    found, inside, data, middle = seen(visit(url=url, at=SHOWN), hole, model, noise)
    most = np.quantile(data, 0.9)
    print(f"brightness: {np.median(inside):.0f} in the hole, {middle:.0f} in another, {most:.0f} the data's 90 % quantile")
    look_as_they_must(found)
    assert np.median(inside) > middle
    assert np.median(inside) > most
    _, unharmed, data, _ = seen(visit("vae", at=SHOWN), hole, space("vae"), noise)
    assert np.median(unharmed) < np.quantile(data, 0.9)  # it was not there before
