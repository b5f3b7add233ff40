"""The explorer's session, without HTTP: every answer against the model itself, a brute-force sum or a finite difference."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import multivariate_normal

from legato.errors import Mistake
from legato.explorer import animation, progression, showcase, tiles, uploads
from legato.explorer.catalogue import Catalogue
from legato.explorer.codes import Codes, Encoding
from legato.explorer.density import Aggregate
from legato.explorer.fields import Grid
from legato.explorer.frames import ERROR, RGBA, VALUES, CursorRequest
from legato.explorer.landscape import reencoding, speed
from legato.explorer.models import Member
from legato.explorer.opening import prepare
from legato.explorer.planes import Plane, axes, leading, local
from legato.explorer.recent import Recent
from legato.explorer.selection import written
from legato.explorer.session import Session
from legato.explorer.worker import CURSOR, FIELD, PATIENCE, Worker, finished
from legato.loading import load
from legato.run import Run
from legato.streams import random_stream
from made_runs import OF_CLASSES, RECIPES, train

LOAD = partial(load, device="cpu", threads=1)
MANY = 10_000
Z = np.random.default_rng(3).normal(size=(20, 3)).astype(np.float32)


def at_once(function: Callable[[], object]) -> Callable[[], Iterator[None]]:
    """A job of one slice."""

    def job() -> Iterator[None]:
        return function()
        yield

    return job


def visit(*paths: Path, points: int = MANY) -> Session:
    return prepare(paths, None, points, LOAD, None).now


@pytest.fixture(scope="module")
def pair(runs) -> Session:
    return visit(runs["vae"], runs["autoencoder"])


@pytest.fixture
def copied(runs, tmp_path) -> Callable[[str], Path]:
    """A copy of a run that a test may damage."""

    def copy(name: str) -> Path:
        shutil.copytree(runs[name], tmp_path / name)
        return tmp_path / name

    return copy


def test_the_visit_is_told_without_encoding(pair, runs, monkeypatch):
    monkeypatch.setattr(Encoding, "advance", None)
    told = finished(pair.description())
    json.dumps(told, allow_nan=False)
    assert told["data"] == {
        "source": load(runs["vae"]).run.stored("data")["source"],
        "rows": 310,
        "shown": 310,
        "sampled": False,
        "shape": [1, 8, 8],
        "image": True,
        "labels": ["0", "1", "2", "3"],
        "columns": None,
        "background": told["data"]["background"],
    }
    vae, autoencoder = told["models"]
    assert (vae["title"], vae["recipe"], vae["latent_dim"], vae["ready"], vae["state"]) == ("vae", "vae", 3, True, "finished")
    assert (vae["has_density"], vae["prior_was_trained"], autoencoder["has_density"]) == (True, True, False)
    assert vae["words"]["beta"] == 1.0
    assert vae["snapshots"] == progression.snapshots(Run(runs["vae"]))
    assert vae["snapshots"][-1] == vae["total"] == 40
    np.testing.assert_allclose(vae["mean"], load(runs["vae"]).codes()[0])
    np.testing.assert_allclose(vae["noise"], load(runs["vae"]).codes()[2])


@pytest.mark.parametrize("name", ["vae", "autoencoder", "bernoulli", "binary", "colour"])
def test_a_cursor_shows_what_the_model_decodes(runs, name):
    session, space = visit(runs[name]), load(runs[name])
    expected = space.decode(Z)
    for z, image in zip(Z, expected, strict=True):
        picture = finished(session.cursor(CursorRequest(7, 1, 0, 0, z)))
        assert (picture.fmt, picture.width, picture.height) == (RGBA, 8, 8)
        shown = np.frombuffer(picture.payload, np.uint8).reshape(8, 8, 4).astype(float)
        assert np.abs(shown[..., :3].transpose(2, 0, 1) - 255 * np.clip(image, 0, 1)).max() <= 1
        assert (shown[..., 3] == 255).all()
    np.testing.assert_allclose(finished(session.decode(0, None, Z)), expected, atol=1e-6)


def test_a_table_shows_its_values(runs):
    session, space = visit(runs["table"]), load(runs["table"])
    picture = finished(session.cursor(CursorRequest(0, 1, 0, 0, Z[0])))
    assert (picture.fmt, picture.width) == (VALUES, 4)
    np.testing.assert_allclose(np.frombuffer(picture.payload, "<f4"), space.decode(Z[:1])[0], rtol=1e-5)
    with pytest.raises(Mistake, match="table"):
        session.catalogue.png(0)
    with pytest.raises(Mistake, match="table"):
        animation.animated(finished(session.path(0, None, Z[:2], False, 4)))
    with pytest.raises(Mistake, match="cannot be a row"):
        uploads.as_row(b"", session.catalogue.dataset)


def test_what_is_not_finite_is_told_and_never_drawn(runs):
    session = visit(runs["vae"])
    with pytest.raises(Mistake, match="finite"):
        finished(session.cursor(CursorRequest(0, 1, 0, 0, np.array([np.nan, 0, 0], np.float32))))
    space = session.members[0].at(None)
    with torch.no_grad():
        next(iter(space.model.likelihood.parameters())).fill_(np.nan)
    assert finished(session.cursor(CursorRequest(0, 1, 0, 0, Z[0]))).fmt == ERROR
    packed = tiles.packed(finished(session.decode(0, None, Z[:3])))
    assert packed[12:16] == b"\1\1\1\0"
    assert set(packed[16:]) == {0}
    plane = axes(0, 1, np.zeros(3))
    assert np.isnan(finished(session.field(0, None, "holes", plane, Grid((-1, 1, -1, 1), 2))).values).all()


def test_a_model_without_finite_codes_is_a_mistake(runs):
    session = visit(runs["vae"])
    with torch.no_grad():
        next(iter(session.members[0].at(None).model.latent.parameters())).fill_(np.nan)
    for _ in range(2):  # what went wrong once goes wrong again
        with pytest.raises(Mistake, match="not finite"):
            finished(session.codes(0, None))


def test_points_are_every_images_posterior_in_one_order(pair, runs):
    plane = Plane(np.array([0.6, 0.8, 0]), np.array([0, 0, 1.0]), np.ones(3))
    orders = []
    for model, name in enumerate(("vae", "autoencoder")):
        space = load(runs[name])
        for step in (None, progression.snapshots(space.run)[2]):
            there = space if step is None else load(runs[name], step=step)
            points = finished(pair.points(model, step, plane))
            rows = points.rows.astype(int)
            mu, sigma = there.encode(pair.catalogue.dataset.rows[rows], rows)
            np.testing.assert_allclose(points.xy, np.stack([mu @ plane.u, mu @ plane.v], 1), atol=1e-4)
            np.testing.assert_allclose(points.covariance[:, 2], sigma[:, 2] ** 2, rtol=2e-3, atol=1e-6)
            assert points.labels.tolist() == pair.catalogue.dataset.labels[rows].tolist()
            orders.append(rows.tolist())
    assert sorted(orders[0]) == list(range(310))
    assert orders[0] != sorted(orders[0])
    assert all(order == orders[0] for order in orders)


def test_a_large_source_is_sampled_with_half_of_it_held_out(runs):
    catalogue = visit(runs["vae"], points=40).catalogue
    test = set(catalogue.dataset.splits["test"].all().tolist())
    assert len(catalogue.shown) == len(set(catalogue.shown.tolist())) == 40
    assert catalogue.to_json()["sampled"]
    assert catalogue.held.tolist() == [row in test for row in catalogue.shown.tolist()]
    assert catalogue.held.sum() == 20
    assert visit(runs["vae"], points=40).catalogue.shown.tolist() == catalogue.shown.tolist()


def test_two_questions_for_the_same_codes_encode_once(runs, monkeypatch):
    session = visit(runs["vae"])
    made: list[Encoding] = []
    start = Encoding.__init__
    monkeypatch.setattr(Encoding, "__init__", lambda self, *given: (made.append(self), start(self, *given))[1])
    one, other = session.codes(0, None), session.dimensions(0, None)
    next(one)
    next(other)
    assert len(finished(other)) == 3
    assert finished(one).mu.shape == (310, 3)
    assert len(made) == 1


@pytest.mark.parametrize("charged", [True, False])
def test_support_is_the_exact_sum_over_the_reference(charged):
    rng = np.random.default_rng(0)
    mu, sigma = rng.normal(size=(60, 4)), rng.uniform(0.3, 1, (60, 4))
    held = np.arange(60) >= 40
    aggregate = Aggregate.of(Codes(mu.astype(np.float32), sigma.astype(np.float32), True, charged), held)
    z = rng.normal(size=(7, 4))
    densities = [multivariate_normal(mu[i], np.diag(sigma[i] ** 2)).pdf(z) for i in range(40)]
    expected = np.log(np.mean(densities, 0)) - (multivariate_normal(np.zeros(4)).logpdf(z) if charged else 0)
    np.testing.assert_allclose(aggregate.support(z), expected, rtol=1e-4, atol=1e-5)
    assert len(aggregate.usual) == 20


@pytest.mark.parametrize("has_density", [True, False])
@pytest.mark.parametrize("d", [2, 4])
def test_density_on_a_plane_is_that_of_projected_draws(has_density, d):
    rng = np.random.default_rng(1)
    mu = 3 * rng.normal(size=(50, d))
    sigma = rng.uniform(0.2, 1, (50, d)) if has_density else np.zeros((50, d))
    codes = Codes(mu.astype(np.float32), sigma.astype(np.float32), has_density, has_density)
    aggregate = Aggregate.of(codes, np.zeros(50, bool))
    plane = leading(np.cov(rng.normal(size=(d, 30))), np.zeros(d))
    grid = Grid((-20, 20, -20, 20), 160)
    values = finished(aggregate.on_plane(plane, grid.centres()))
    assert values.sum() * 0.25**2 == pytest.approx(1, abs=1e-3)
    ab = rng.normal(size=(5, 2))
    axes_ = np.stack([plane.u, plane.v])
    root = None if has_density else codes.whitening.root * aggregate.bandwidth
    spread = [np.diag(s**2) if root is None else root @ root for s in sigma]
    expected = np.mean(
        [multivariate_normal(axes_ @ m, axes_ @ c @ axes_.T).pdf(ab) for m, c in zip(mu, spread, strict=True)], 0
    )
    np.testing.assert_allclose(finished(aggregate.on_plane(plane, ab)), expected, rtol=1e-3)
    if d == 2:  # then the plane is the whole space
        np.testing.assert_allclose(np.exp(aggregate.log_density(plane.at(ab))), expected, rtol=1e-3)


@pytest.mark.parametrize(("model", "kind"), [(0, "support"), (0, "holes"), (1, "support"), (1, "holes")])
def test_a_threshold_leaves_out_one_in_a_hundred_held_out_codes(pair, model, kind):
    landscape = finished(pair.landscape(model, None))
    limit = finished(landscape.threshold(kind))
    usual = landscape.aggregate.usual
    assert len(usual) == pair.catalogue.held.sum()
    if kind == "support":
        beyond = landscape.aggregate.support(usual) < limit
    else:
        beyond = reencoding(landscape.space, landscape.codes, usual) > limit
    assert 1 <= beyond.sum() <= np.ceil(0.01 * len(usual))


def test_holes_are_codes_that_do_not_come_back(pair, runs):
    plane, grid = axes(0, 2, np.full(3, 0.3)), Grid((-3, 3, -3, 3), 5)
    for model, name in enumerate(("vae", "autoencoder")):
        space, z = load(runs[name]), grid.codes(plane)
        again, _ = space.posterior(space.decode_prepared(z))
        mu, sigma = space.encode(pair.catalogue.dataset.rows, np.arange(310))
        if model == 0:
            expected = np.sqrt((((again - z) ** 2) / (sigma.astype(float) ** 2).mean(0)).mean(1))
        else:
            inverse = np.linalg.inv(np.cov(mu.T.astype(float), bias=True))
            expected = np.sqrt(np.einsum("ni,ij,nj->n", again - z, inverse, again - z) / 3)
        found = finished(pair.field(model, None, "holes", plane, grid))
        np.testing.assert_allclose(found.values.reshape(-1), expected, rtol=2e-3)


def test_speed_is_the_area_that_a_unit_of_the_map_spans(pair, runs):
    plane, grid, h = leading(np.diag([1.0, 3, 2]), np.full(3, 0.1)), Grid((-1, 1, -1, 1), 5), 1e-3
    space, z = load(runs["vae"]), grid.codes(plane)
    along = [
        (space.decode_prepared(z + h * w) - space.decode_prepared(z - h * w)).reshape(25, -1) / (2 * h)
        for w in (plane.u, plane.v)
    ]
    expected = [np.sqrt(np.linalg.det(np.stack(j) @ np.stack(j).T)) for j in zip(*along, strict=True)]
    found = finished(pair.field(0, None, "speed", plane, grid))
    close = np.isclose(found.values.reshape(-1), expected, rtol=1e-2)
    assert close.sum() >= 23  # a rectifier's kink may lie between the two ends of a difference
    assert np.isnan(found.threshold)


def test_the_local_plane_is_what_the_image_changes_most_along(pair, runs):
    space, z, h = load(runs["autoencoder"]), Z[0].astype(float), 1e-3
    columns = [(space.decode_prepared([z + h * e]) - space.decode_prepared([z - h * e])).ravel() / (2 * h) for e in np.eye(3)]
    jacobian = np.stack(columns, 1)
    values = np.linalg.svd(jacobian, compute_uv=False)
    plane = finished(pair.local(1, None, z))
    along = jacobian @ np.stack([plane.u, plane.v], 1)  # by how much, not whereto: directions of like values are anybody's
    np.testing.assert_allclose(np.linalg.svd(along, compute_uv=False), values[:2], rtol=1e-3)
    np.testing.assert_allclose(np.linalg.norm(along, axis=0), values[:2], rtol=1e-3)
    np.testing.assert_allclose([plane.u @ plane.u, plane.u @ plane.v, plane.v @ plane.v], [1, 0, 1], atol=1e-9)
    np.testing.assert_allclose(plane.at(plane.coordinates(z[None]))[0], z, atol=1e-9)
    np.testing.assert_allclose(plane.stretch, values[: len(plane.stretch)], rtol=1e-2)
    np.testing.assert_allclose(plane.directions @ plane.directions.T, np.eye(len(plane.stretch)), atol=1e-9)
    np.testing.assert_array_equal(plane.directions[:2], [plane.u, plane.v])


def test_a_direction_that_changes_next_to_nothing_is_none():
    found = local(np.diag([1.0, 9.0, 4e-6, 0.0, 4.0]), np.zeros(5))
    np.testing.assert_allclose(found.stretch, [3, 2, 1])
    np.testing.assert_allclose(found.directions, np.eye(5)[[1, 4, 0]], atol=1e-12)
    assert len(local(np.zeros((5, 5)), np.zeros(5)).directions) == 2


def test_the_principal_plane_holds_most_of_the_spread(pair):
    codes, plane = finished(pair.codes(0, None)), finished(pair.principal(0, None))
    variances = np.linalg.eigvalsh(np.cov(codes.mu.T))[::-1]
    np.testing.assert_allclose(plane.coordinates(codes.mu).var(0, ddof=1), variances[:2], rtol=1e-4)
    np.testing.assert_allclose(plane.anchor, codes.mu.mean(0), atol=1e-5)


def test_an_image_lies_nearest_to_its_own_code(pair):
    codes, shown = finished(pair.codes(0, None)), pair.catalogue.shown
    for place in (0, 17):
        found = finished(pair.locate(0, None, codes.mu[place].astype(float), 4))
        white = codes.whitening.apply(codes.mu)
        distances = np.linalg.norm(white - white[place], axis=1)
        assert found["rows"] == shown[np.argsort(distances)[:4]].tolist()
        np.testing.assert_allclose(found["distances"], np.sort(distances)[:4], atol=1e-3)
        assert found["ids"] == [pair.catalogue.dataset.ids[row] for row in found["rows"]]
        json.dumps(found, allow_nan=False)


def test_far_away_is_outside_and_the_middle_inside(pair):
    for model in (0, 1):
        codes = finished(pair.codes(model, None))
        middle = finished(pair.locate(model, None, codes.mu[np.abs(codes.white).max(1).argmin()].astype(float), 1))
        away = finished(pair.locate(model, None, codes.mean + 20 * np.sqrt(codes.signal), 1))
        assert middle["inside"]
        assert not away["inside"]
        assert away["support"] < middle["support"]


def test_dimensions_come_most_informative_first(pair):
    charged = finished(pair.dimensions(0, None))
    codes = finished(pair.codes(0, None))
    mu, sigma = codes.mu.astype(float), codes.sigma.astype(float)
    kl = (0.5 * (mu**2 + sigma**2 - 1) - np.log(sigma)).mean(0)
    assert [one["index"] for one in charged] == np.argsort(-kl).tolist()
    np.testing.assert_allclose([one["kl"] for one in charged], np.sort(kl)[::-1], rtol=1e-4, atol=1e-6)
    points = finished(pair.dimensions(1, None))
    assert [one["kl"] for one in points] == [None] * 3
    assert [one["std"] for one in points] == sorted((one["std"] for one in points), reverse=True)


def test_a_dimension_that_says_nothing_is_marked():
    rng = np.random.default_rng(0)
    mu = rng.normal(size=(400, 2)) * [1, 0.01]
    sigma = np.full((400, 2), [0.2, 1.0])
    vae = Codes(mu.astype(np.float32), sigma.astype(np.float32), True, True).dimensions()
    assert [(one["index"], one["collapsed"]) for one in vae] == [(0, False), (1, True)]
    assert vae[1]["high"] == pytest.approx(3, rel=0.01)  # a slider of nothing still has its usual width
    points = Codes(mu.astype(np.float32), np.zeros((400, 2), np.float32), False, False).dimensions()
    assert [one["collapsed"] for one in points] == [False, False] if mu[:, 1].var() > 1e-4 * mu[:, 0].var() else [False, True]


def test_an_image_a_mean_and_an_upload_have_the_models_own_codes(pair, runs):
    rows = np.array([4, 250, 7])
    stored = pair.catalogue.dataset.rows[rows]
    code = finished(pair.code(250, [None, progression.snapshots(Run(runs["autoencoder"]))[0]]))
    vae, early = load(runs["vae"]), load(runs["autoencoder"], step=1)
    np.testing.assert_allclose(code["models"][0]["mu"], vae.encode(stored, rows)[0][1], atol=1e-5)
    np.testing.assert_allclose(code["models"][1]["mu"], early.encode(stored, rows)[0][1], atol=1e-5)
    assert (code["id"], code["label"]) == (pair.catalogue.dataset.ids[250], pair.catalogue.dataset.labels[250])
    np.testing.assert_allclose(finished(pair.mean(0, None, rows.tolist())), vae.encode(stored, rows)[0].mean(0), atol=1e-5)
    brought = uploads.as_row(pair.catalogue.png(250), pair.catalogue.dataset)
    np.testing.assert_array_equal(brought[0], pair.catalogue.dataset.rows[250])
    found = finished(pair.encode(brought))["models"]
    np.testing.assert_allclose(found[0]["mu"], vae.encode(stored, rows)[0][1], atol=1e-5)


def test_a_picture_of_any_size_is_cut_to_the_sources_form(pair):
    wide = np.zeros((40, 120, 3), np.uint8)
    wide[:, 40:80] = [255, 255, 255]
    file = BytesIO()
    Image.fromarray(wide).save(file, "PNG")
    row = uploads.as_row(file.getvalue(), pair.catalogue.dataset)
    assert row.shape == (1, 1, 8, 8)
    assert row.dtype == np.uint8
    assert row.min() > 200  # the white middle, its edges resampled with what lies beside it


@pytest.mark.parametrize("content", [b"", b"no picture", b"\x89PNG\r\n\x1a\n" + bytes(40), b"%!PS-Adobe"])
def test_what_is_no_picture_is_a_mistake(pair, content):
    with pytest.raises(Mistake, match="cannot be read"):
        uploads.as_row(content, pair.catalogue.dataset)


def test_a_path_ends_where_it_should(pair, runs):
    stops = Z[:3]
    frames = finished(pair.path(0, None, stops, False, 5))
    assert len(frames) == 9
    np.testing.assert_allclose(frames[[0, 4, 8]], load(runs["vae"]).decode(stops), atol=1e-5)
    gif = Image.open(BytesIO(animation.animated(frames)))
    assert (gif.format, gif.n_frames, gif.size) == ("GIF", 16, (256, 256))


@pytest.mark.parametrize("name", [*RECIPES, "bernoulli", "table", *OF_CLASSES])
def test_every_recipe_has_its_map(runs, name):
    session = visit(runs[name])
    plane = finished(session.principal(0, None))
    points = finished(session.points(0, None, plane))
    reach = 2 * np.abs(points.xy).max()
    for kind in ("density", "holes", "support", "speed"):
        found = finished(session.field(0, None, kind, plane, Grid((-reach, reach, -reach, reach), 6)))
        assert np.isfinite(found.values).all()
    assert finished(session.locate(0, None, plane.anchor, 3))["distances"][0] >= 0
    json.dumps([finished(session.description()), finished(session.dimensions(0, None))], allow_nan=False)


def test_one_latent_is_a_line(sources, tmp_path):
    train("vae", sources, tmp_path / "line", latent_dim=1)
    session, space = visit(tmp_path / "line"), load(tmp_path / "line")
    plane = finished(session.principal(0, None))
    assert (plane.u.tolist(), plane.v.tolist()) == ([1], [0])
    points = finished(session.points(0, None, plane))
    assert (points.xy[:, 1] == 0).all()
    assert np.isfinite(points.covariance).all()
    for kind in ("density", "holes", "support", "speed"):
        values = finished(session.field(0, None, kind, plane, Grid((-2, 2, -1, 1), 6))).values
        assert np.isfinite(values).all()
        np.testing.assert_allclose(values[0], values[-1], rtol=1e-5)  # nothing changes across it
    z = np.array([[-1.0], [1.0]], np.float32)
    h = 1e-3
    slope = np.linalg.norm((space.decode_prepared(z + h) - space.decode_prepared(z - h)).reshape(2, -1), axis=1) / (2 * h)
    found = speed(space, finished(session.codes(0, None)), z, plane)
    np.testing.assert_allclose(found, slope, rtol=0.1)


def test_with_two_latents_every_plane_is_the_axes():
    for matrix in (np.eye(2), np.array([[2.0, 1], [1, 2]])):
        plane = leading(matrix, np.ones(2))
        assert (plane.u.tolist(), plane.v.tolist()) == ([1, 0], [0, 1])


def test_images_are_found_by_id_and_label(pair):
    catalogue, labels = pair.catalogue, pair.catalogue.dataset.labels
    ids = catalogue.dataset.ids
    assert catalogue.find(ids[42])["rows"][0] == 42
    assert catalogue.find("") == {"rows": [], "ids": [], "labels": []}
    assert catalogue.find("no such thing")["rows"] == []
    threes = catalogue.find("3")
    count = int((labels == 3).sum())
    assert set(threes["labels"][: min(count, 5) + 1]) <= {3, int(labels[3])}
    assert len(threes["rows"]) == len(set(threes["rows"])) <= 200


def test_images_to_show_a_model_by_are_held_out_and_come_back_well(pair, runs):
    found = finished(pair.examples([None, None]))
    rows = np.array(found["rows"])
    assert 2 <= len(rows) <= showcase.CHOSEN
    assert np.isin(rows, pair.catalogue.shown[pair.catalogue.held]).all()
    assert found["of"] == pair.catalogue.held.sum()
    held = pair.catalogue.shown[pair.catalogue.held]
    labels, shown = pair.catalogue.labels(held), pair.catalogue.original
    for model in found["by"]:
        space = load(runs[("vae", "autoencoder")[model]])
        images = np.concatenate([shown(int(row)) for row in held])
        stored = np.asarray(pair.catalogue.dataset.rows[held])
        errors = np.sqrt(np.square(space.decode(space.encode(stored)[0]) - images).mean((1, 2, 3)))
        for row, label in zip(rows, found["labels"], strict=True):
            assert errors[held == row] <= np.median(errors[labels == label]) + 1e-5
    assert finished(pair.examples([None, None])) == found
    json.dumps(found, allow_nan=False)


def test_images_come_class_after_class_the_best_first_and_at_most_so_many():
    labels, lost = np.array([2, 2, 2, 1, 1, 0]), np.array([3.0, 1, 2, 9, 8, 5])
    assert showcase.in_turn(lost, labels).tolist() == [5, 4, 1, 3, 2, 0]
    assert len(showcase.in_turn(np.zeros(99), np.zeros(99, np.int64))) == showcase.CHOSEN


def test_what_is_given_back_is_recognised_by_the_real_images_about_it():
    rng = np.random.default_rng(0)
    centres, classes = np.array([[0.0, 0], [9, 0]]), np.repeat([0, 1], 40)
    others = centres[classes] + rng.normal(size=(80, 2))
    back = np.array([[0.1, 0], [8.5, 0], [9.2, 0]])
    assert showcase.recognised(back, np.array([0, 1, 0]), others, classes).tolist() == [True, True, False]


@pytest.mark.parametrize("n", [256, 260, 5000])
def test_what_is_given_back_is_compared_with_other_images_where_there_are_enough(n):
    others = showcase.others_of(np.arange(256), n, 784)
    assert showcase.NEIGHBOURS <= len(others) <= showcase.OTHERS
    assert (others.min() >= 256) == (n == 5000)
    assert showcase.others_of(np.arange(256), 5000, 128 * 128 * 3).size < 200


def test_what_is_lost_counts_within_the_class_and_by_each_columns_spread():
    seen = np.array([[1000.0, 0], [-1000, 0], [1000, 1], [-1000, 1]])
    lost = showcase.shares_lost(seen + np.array([[1.0], [2], [3], [6]]), seen, np.array([0, 0, 1, 1]))
    np.testing.assert_allclose(lost, [2 / 3, 4 / 3, 2 / 3, 4 / 3], rtol=1e-4)


def test_where_no_image_suits_all_models_those_with_clouds_are_suited():
    some, none = np.array([True, True, False]), np.zeros(3, bool)
    assert showcase.suited([some, some], [False, True]) == [0, 1]
    assert showcase.suited([some, ~some], [False, True]) == [0]
    assert showcase.suited([some, np.array([False, True, True])], [False, True]) == [1]
    assert showcase.suited([none, none], [True, True]) == []


@pytest.mark.parametrize("name", ["table", "colour", "bernoulli"])
def test_any_source_has_images_to_show_by_and_ways_between_them(runs, name):
    session = visit(runs[name])
    rows = finished(session.examples([None]))["rows"]
    assert len(rows) >= 2
    ways = finished(session.ways(0, None, [rows[:2], rows[-2:]], 7))
    assert np.isfinite(np.array(ways["errors"], float)).all()


@pytest.mark.parametrize("model", [0, 1])
def test_a_way_is_measured_as_the_map_measures_its_places(pair, runs, model):
    rows, cells = [[5, 9], [7, 3]], 6
    ways = finished(pair.ways(model, None, rows, cells))
    landscape = finished(pair.landscape(model, None))
    share = ((np.arange(cells) + 0.5) / cells)[:, None]
    for way, (a, b) in enumerate(rows):
        ends = [finished(pair.code(row, [None, None]))["models"][model]["mu"] for row in (a, b)]
        z = (1 - share) * np.array(ends[0]) + share * np.array(ends[1])
        np.testing.assert_allclose(ways["errors"][way], reencoding(landscape.space, landscape.codes, z), rtol=1e-3)
        support = [finished(pair.locate(model, None, one, 1)) for one in z]
        assert ways["inside"][way] == [found["inside"] for found in support]
    assert ways["threshold"] == finished(landscape.threshold("holes"))


def test_a_place_that_the_decoder_fails_at_is_null_on_a_way(runs):
    session = visit(runs["vae"])
    finished(session.landscape(0, None))
    with torch.no_grad():
        next(iter(session.members[0].at(None).model.likelihood.parameters())).fill_(np.nan)
    ways = finished(session.ways(0, None, [[5, 9]], 3))
    assert ways["errors"] == [[None] * 3]
    json.dumps(ways["errors"], allow_nan=False)


def test_other_steps_and_models_and_rows_are_mistakes(pair):
    for job in (
        pair.decode(0, 39, Z), pair.decode(2, None, Z), pair.decode(0, None, Z[:, :2]), pair.code(310, [None, None]),
        pair.code(0, [None]), pair.mean(0, None, [5, -1]), pair.axes(0, None, 0, 0), pair.axes(0, None, 0, 3),
        pair.points(0, None, axes(0, 1, np.zeros(4))), pair.cursor(CursorRequest(0, 1, 0, 99, Z[0])),
        pair.local(0, None, np.zeros(5)),
    ):  # fmt: skip
        with pytest.raises(Mistake):
            finished(job)


def test_a_snapshot_is_counted_as_the_socket_does(pair, runs):
    steps = progression.snapshots(Run(runs["vae"]))
    for number in (1, len(steps)):
        picture = finished(pair.cursor(CursorRequest(0, 1, 0, number, Z[0])))
        expected = load(runs["vae"], step=steps[number - 1]).decode(Z[:1])
        assert picture.payload == tiles.drawn(expected).payload


def test_runs_of_other_data_or_three_of_them_are_refused(runs, tmp_path):
    with pytest.raises(Mistake, match="one run or two"):
        visit(runs["vae"], runs["vae"], runs["vae"])
    with pytest.raises(Mistake, match="another"):
        visit(runs["vae"], runs["colour"])
    with pytest.raises(Mistake, match="no run lies"):
        visit(tmp_path / "none")
    with pytest.raises(Mistake, match="2 points"):
        visit(runs["vae"], points=1)


def test_a_run_without_a_model_yet_has_curves_alone(copied):
    run = copied("vae")
    (run / "model.safetensors").unlink()
    (run / "codes.safetensors").unlink()
    shutil.rmtree(run / "snapshots")
    session = visit(run)
    told = finished(session.description())["models"][0]
    assert (told["ready"], told["mean"], told["snapshots"], told["latent_dim"]) == (False, [], [], 3)
    with pytest.raises(Mistake, match="no model yet"):
        finished(session.codes(0, None))
    assert progression.curves(session.member(0).run, 0)["next"] > 0


def test_a_run_in_training_shows_its_newest_snapshot(copied):
    run = copied("vae")
    (run / "model.safetensors").unlink()
    (run / "codes.safetensors").unlink()
    session = visit(run)
    expected = load(run, step=progression.snapshots(Run(run))[-1])
    np.testing.assert_allclose(finished(session.decode(0, None, Z)), expected.decode(Z), atol=1e-6)
    told = finished(session.description())["models"][0]
    rows = np.sort(session.catalogue.shown[:500])
    np.testing.assert_allclose(told["std"], expected.encode(session.catalogue.dataset.rows[rows], rows)[0].std(0), rtol=1e-4)


def test_a_model_that_is_written_anew_is_loaded_anew(copied, runs):
    run = copied("vae")
    session = visit(run)
    before = finished(session.decode(0, None, Z))
    newer = progression.snapshots(Run(run))[0]
    shutil.copy(run / "snapshots" / f"step-{newer:09d}.safetensors", run / "model.safetensors")
    os.utime(run / "model.safetensors", ns=(1, 1))
    after = finished(session.decode(0, None, Z))
    np.testing.assert_allclose(after, load(runs["vae"], step=newer).decode(Z), atol=1e-6)
    assert np.abs(after - before).max() > 1e-3


def test_curves_go_on_where_they_were_left(runs):
    run = Run(runs["vae"])
    everything = progression.curves(run, 0)
    assert everything["lines"] == run.read_metrics()
    rest = progression.curves(run, everything["next"] - 2)
    assert rest["lines"] == everything["lines"][-2:]
    assert progression.curves(run, everything["next"] + 5)["lines"] == []
    assert (everything["total"], everything["state"]) == (40, "finished")


def test_a_run_is_in_training_while_its_writer_lives(copied):
    run = Run(copied("vae"))
    lines = run.metrics.read_text().splitlines(keepends=True)
    run.metrics.write_text("".join(lines[:-4]) + '{"step": 40, "half a li')
    assert progression.curves(run, 0)["next"] == len(lines) - 4
    (run.path / ".lock").write_text(str(os.getpid()))
    assert progression.state(run) == "training"
    os.utime(run.metrics, (1, 1))
    os.utime(run.path / ".lock", (1, 1))
    assert progression.state(run) == "stopped"  # another process has this number by now
    gone = subprocess.Popen(["true"])
    gone.wait()
    (run.path / ".lock").write_text(str(gone.pid))
    assert progression.state(run) == "stopped"
    (run.path / ".lock").unlink()
    assert progression.state(run) == "stopped"


def test_who_looks_in_never_refuses_a_writer(copied):
    run, over = Run(copied("vae")), threading.Event()
    looked = []

    def look() -> None:
        while not over.is_set():
            looked.append(progression.curves(run, 0)["state"])

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(300):
        with run.writing():
            pass
    over.set()
    looking.join()
    assert looked


def test_the_most_urgent_job_goes_first_between_slices():
    worker, order, begun = Worker(), [], threading.Event()

    def long():
        for i in range(5):
            order.append(i)
            begun.set()
            threading.Event().wait(0.02)
            yield

    slow = worker.submit(FIELD, long)
    begun.wait()
    quick = worker.submit(CURSOR, at_once(lambda: order.append("cursor")))
    slow.result()
    assert quick.done()
    assert order.index("cursor") < 4
    worker.close()


def test_many_cursors_do_not_keep_a_field_waiting_for_ever():
    worker, order, asked = Worker(), [], threading.Event()

    def field():
        for _ in range(5):
            asked.wait()
            order.append("f")
            yield

    def drag():  # a hand that asks again as soon as it is answered
        order.append("c")
        if len(order) < 400:
            worker.submit(CURSOR, at_once(drag))

    slow = worker.submit(FIELD, field)
    for _ in range(hands := 20):
        worker.submit(CURSOR, at_once(drag))
    asked.set()
    slow.result()
    worker.close()
    waits = "".join(order).split("f")[1:-1]
    assert len(waits) == 4
    assert all(len(wait) <= FIELD * PATIENCE + hands for wait in waits)


def test_a_cancelled_job_is_dropped_and_an_error_is_its_askers():
    worker, seen = Worker(), []

    def endless():
        while True:
            seen.append(1)
            yield

    def broken():
        raise ValueError("mine")
        yield

    endless_job = worker.submit(FIELD, endless)
    with pytest.raises(ValueError, match="mine"):
        worker.submit(FIELD, broken).result()
    endless_job.cancel()
    worker.submit(FIELD, at_once(lambda: None)).result()
    count = len(seen)
    worker.submit(FIELD, at_once(lambda: None)).result()
    assert len(seen) == count
    left = worker.submit(FIELD, endless)
    worker.close()
    assert left.cancelled()


def test_what_was_used_last_is_kept_within_a_budget():
    made = []
    kept: Recent[int] = Recent(lambda size: size, 10)
    for size in (4, 5, 4, 3, 20, 4):
        kept.get(size, lambda size=size: made.append(size) or size)
    assert made == [4, 5, 3, 20, 4]
    assert len(kept) == 1


def test_a_damaged_model_is_told_of_before_a_page_opens(copied):
    run = copied("vae")
    (run / "model.safetensors").write_bytes(b"no model")
    with pytest.raises(Mistake, match="no whole safetensors"):
        Member(run, LOAD)


def test_a_catalogue_without_labels_says_so(runs):
    session = visit(runs["colour"])
    assert isinstance(session.catalogue, Catalogue)
    assert session.catalogue.to_json()["labels"] is None
    assert finished(session.points(0, None, axes(0, 1, np.zeros(3)))).labels.tolist() == [65535] * 310
    assert session.catalogue.find("3")["labels"][0] == -1


@pytest.mark.parametrize("name", ["vae", "autoencoder", "table"])
def test_what_points_are_coloured_by_is_what_the_model_makes_of_each(runs, name):
    session, space = visit(runs[name]), load(runs[name])
    (told,) = finished(session.description())["models"]
    names = {one["key"]: one for one in told["colours"]}
    values = {key: finished(session.quality(0, None, key)) for key in names}
    shown, data = session.catalogue.shown, session.catalogue.prepared
    mu, sigma = (given.astype(float) for given in space.encode(data.dataset.rows[shown], shown))
    own, again = data.rows(shown), space.decode_prepared(mu)
    if name != "table":
        own, again = data.seen(shown), space.seen(mu)
        np.testing.assert_allclose(values["brightness"], own.reshape(310, -1).mean(1), atol=1e-5)
    errors = np.sqrt(np.square(own.astype(float) - again).reshape(310, -1).mean(1))
    np.testing.assert_allclose(values["error"], errors, rtol=1e-3)
    spread = np.cov(mu.T, bias=True) + np.diag(np.square(sigma).mean(0))
    away = mu - mu.mean(0)
    np.testing.assert_allclose(values["far"], np.sqrt(np.einsum("ni,ij,nj->n", away, np.linalg.inv(spread), away)), rtol=1e-3)
    np.testing.assert_allclose(values["z2"], mu[:, 2], atol=1e-5)
    for number, split in enumerate(names["split"]["classes"]):
        assert set(shown[values["split"] == number]) == set(data.dataset.splits[split].all())
    if name == "autoencoder":
        assert {"rate", "width"}.isdisjoint(names)
    else:
        np.testing.assert_allclose(values["rate"], (mu**2 + sigma**2 - 1 - 2 * np.log(sigma)).sum(1) / 2, rtol=1e-3)
        np.testing.assert_allclose(values["width"], np.exp(np.log(sigma).mean(1)), rtol=1e-3)
    if name == "table":
        np.testing.assert_allclose(values["column3"], data.dataset.rows[shown][:, 3], rtol=1e-5)
        assert names["column3"]["name"] == "column 3"


def test_a_selection_is_written_row_by_row_and_only_of_the_map(runs):
    session = visit(runs["vae"], points=40)
    rows = session.catalogue.shown[[7, 3, 30]]
    chosen, mu = finished(session.selection(0, None, rows.tolist()))
    lines = list(csv.DictReader(StringIO(written(session.catalogue, chosen, mu))))
    assert [int(line["row"]) for line in lines] == rows.tolist()
    assert [line["id"] for line in lines] == [session.catalogue.dataset.ids[row] for row in rows.tolist()]
    codes = load(runs["vae"]).encode(session.catalogue.dataset.rows[rows], rows)[0]
    np.testing.assert_allclose([[float(line[f"z{j}"]) for j in range(3)] for line in lines], codes, atol=1e-5)
    strange = next(row for row in range(310) if row not in session.catalogue.shown)
    with pytest.raises(Mistake, match=f"row {strange} is not on the map"):
        finished(session.selection(0, None, [strange]))


def test_names_with_commas_and_quotes_survive_a_table(runs):
    catalogue = visit(runs["vae"]).catalogue
    catalogue.dataset = replace(catalogue.dataset, ids=['a, "b"', "c\nd"], label_names=("é,", "1", "2", "3"))
    lines = list(csv.reader(StringIO(written(catalogue, np.arange(2), np.ones((2, 1))), newline="")))
    assert [line[1] for line in lines] == ["id", 'a, "b"', "c\nd"]


@pytest.mark.parametrize("name", ["mixture_vae", "ladder_vae", "fsq_vae", "vq_vae", "flow_vae"])
def test_a_model_with_a_prior_of_its_own_is_explored_by_it(name, runs):
    space = load(runs[name], device="cpu")
    session = Session([Member(runs[name], load)], Catalogue(space.data(), 200))
    (told,) = finished(session.description())["models"]
    assert told["standard_prior"] == (name == "flow_vae")
    codes = finished(session.prior(0, None, 3, 50, 1.0))
    assert np.array_equal(codes, finished(session.prior(0, None, 3, 50, 1.0)))
    np.testing.assert_allclose(codes, space.draw_prior(50, random_stream(3, "samples")))
    located = finished(session.locate(0, None, codes[0], 3))
    landscape = finished(session.landscape(0, None))
    expected = landscape.aggregate.log_density(codes[:1])[0]
    if told["has_density"]:
        expected -= space.log_prior(codes[:1])[0]
    assert located["support"] == pytest.approx(expected, rel=1e-6)
    assert finished(session.decode(0, None, codes)).shape == (50, *space.shape)
    assert finished(session.dimensions(0, None))[0]["kl"] is None or name == "flow_vae"
