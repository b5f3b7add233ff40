"""`legato score`: the oddest rows are named, and drawn beside what the model makes of them."""

from __future__ import annotations

import shutil

import numpy as np
import pyarrow.csv as csv
import pytest
import torch
from PIL import Image

import legato
from legato import cli
from legato.pictures import strips
from made_runs import blobs


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


def command(*words: object) -> int:
    return cli.run([*map(str, words), "--device", "cpu", "--threads", "1"])


@pytest.fixture
def source(tmp_path):
    """Thirty spots as the model knows them, and one inverted picture, the fourth."""
    images = blobs(30, seed=4)[0]
    images[3] = 255 - images[3]
    path = tmp_path / "some.npy"
    np.save(path, images)
    return path


@pytest.mark.parametrize("name", ["vae", "autoencoder"])
def test_the_oddest_pictures_are_drawn_beside_their_reconstructions(name, runs, source, tmp_path, capsys):
    words = ["score", runs[name], "--data", source, "--k", 5, "--out", tmp_path / "scores.csv", "--oddest", 4]
    assert command(*words) == 0
    said = capsys.readouterr().out
    table = csv.read_csv(tmp_path / "scores.csv").to_pydict()
    likely = np.array(table["log_px"]) if name == "vae" else -np.array(table["distortion"])
    order = np.argsort(likely, kind="stable")[:4]
    assert order[0] == 3  # the inverted one
    space = legato.load(runs[name], device="cpu")
    x, remade = np.load(source)[order][:, None], space.reconstruct(np.load(source)[order], order)
    what, sign = ("log p(x)", 1) if name == "vae" else ("distortion", -1)
    labels = [f"{table['id'][i]}\n{what} {sign * likely[i]:,.1f}".replace("-", "−") for i in order]
    expected = strips([(label, np.stack([a / 255, b])) for label, a, b in zip(labels, x, remade, strict=True)])
    with Image.open(tmp_path / "scores-oddest.png") as sheet:
        assert np.array_equal(np.asarray(sheet), np.asarray(expected))
    assert f"the oddest: {labels[0].split(chr(10))[0]} ({what}" in said
    assert "scores-oddest.png: the 4 oddest" in said


def test_by_default_the_sheet_lies_in_the_runs_figures_and_none_is_drawn_where_none_is_wanted(runs, source, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["vae"], run)
    assert command("score", run, "--k", 2, "--data", source, "--oddest", 0) == 0
    assert not (run / "figures" / "oddest.png").exists()
    assert command("score", run, "--k", 2, "--data", source) == 0
    with Image.open(run / "figures" / "oddest.png") as sheet:
        assert sheet.size[1] > 12 * 90


def test_a_tables_oddest_rows_are_named_and_not_drawn(runs, tmp_path, capsys):
    rows = np.random.default_rng(0).normal(size=(20, 2)) @ [[1, 2, 0, 3], [0, 1, 1, -2]] + [5, 0, -100, 1]
    rows[7] += 40
    np.save(tmp_path / "t.npy", rows)
    out = tmp_path / "scores.csv"
    assert command("score", runs["table"], "--data", tmp_path / "t.npy", "--k", 5, "--out", out) == 0
    assert "the oddest: 7 (log p(x) −" in capsys.readouterr().out
    assert [path.name for path in tmp_path.glob("*.png")] == []


def test_a_picture_too_far_out_for_a_code_is_drawn_beside_nothing(tmp_path, capsys):
    images = np.random.default_rng(0).normal(size=(60, 1, 8, 8))
    legato.train("vae", images, tmp_path / "run", latent_dim=2, net="mlp", width=8, depth=1, steps=3, device="cpu", threads=1)
    images[5] = 1e38
    np.save(tmp_path / "far.npy", images.astype(np.float32))
    words = ["score", tmp_path / "run", "--data", tmp_path / "far.npy", "--k", 2, "--out", tmp_path / "s.csv", "--oddest", 2]
    assert command(*words) == 0
    assert "the oddest: 5 (log p(x) −inf)" in capsys.readouterr().out
    assert (tmp_path / "s-oddest.png").is_file()
