"""`legato report`: every kind of run gives a page that is whole, says what was measured, and shows what is there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import legato
from legato import cli
from legato.errors import Mistake
from legato.measures import evaluate
from legato.measures.estimate import estimate_of
from legato.measures.interval import bracketed
from legato.report.panels import ImageRow, traversal_panel
from legato.report.trained.story import map_sections
from legato.report.trained.subjects import MOST, examples_of, plane_of, shown_rows, titled
from legato.report.trained.training import loss_figure, sigma_figure
from made_runs import train
from test_figures import assert_nothing_is_cut_off

CPU = ["--device", "cpu", "--threads", "1"]
ALWAYS = ["What was trained", "The numbers", "Has it collapsed?"]
PICTURES = ["Samples from N(0, I)", "Reconstructions", "From one image to another", "What each dimension does"]
LAST = ["Training", "What to try next"]


@pytest.fixture(autouse=True)
def _alone():
    torch.set_num_threads(1)


def command(*words: object) -> int:
    return cli.run([*map(str, words), *CPU])


@pytest.fixture
def report(tmp_path, capsys):
    """The page that a command line writes."""

    def written(*runs: Path, **options: object) -> str:
        words = [word for name, value in options.items() for word in (f"--{name}", value)]
        assert command("report", *runs, "--out", tmp_path / "r.html", "--k", 2, *words) == 0
        told = capsys.readouterr()
        assert told.err == ""
        assert told.out.startswith(f"wrote {tmp_path / 'r.html'}")
        return (tmp_path / "r.html").read_text("utf-8")

    return written


def headings(page: str) -> list[str]:
    return [words for words in re.findall(r"<h2.*?>(.*?)</h2>", page) if words != "Contents"]


def test_a_vae_of_images_is_told_whole(report, runs):
    page = report(runs["vae"], limit=20, seed=3)
    expected = [*ALWAYS, *PICTURES, "Where the codes lie", "What each dimension carries", "The noise over training", *LAST]
    assert headings(page) == expected
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", page)
    assert len(page.encode()) < 3_000_000
    assert "two most informative" in page
    assert "A Gaussian cloud for each image" in page  # the sentence
    alone = evaluate(legato.load(runs["vae"], device="cpu"), k=2, limit=20, seed=3)
    for name in ("elbo", "distortion", "rate", "nll", "ess"):
        assert bracketed(estimate_of(alone[name])) in page
    assert "is not known" in page  # whether two draws can be trusted
    assert "20 examples" in page


def test_an_autoencoder_is_asked_where_its_codes_are_and_has_no_sigma(report, runs):
    page = report(runs["autoencoder"])
    fitted = "Samples from a Gaussian fitted to the codes"
    assert headings(page) == [*ALWAYS, PICTURES[0], fitted, *PICTURES[1:], "Where the codes lie", *LAST]
    assert "has no ELBO" in page
    assert '<span class="badge unknown">' in page


def test_a_table_has_its_rows_where_pictures_would_be(report, runs):
    page = report(runs["table"])
    rest = [
        "The columns, and what is given back of them",
        "Samples beside the data",
        "What each dimension does",
        "Where the codes lie",
        "What each dimension carries",
        "The noise over training",
    ]
    assert headings(page) == [*ALWAYS, *rest, *LAST]


@pytest.mark.parametrize("name", ["colour", "bernoulli"])
def test_colour_and_drawn_pixels_have_a_report(name, report, runs):
    page = report(runs[name])
    assert set(PICTURES) <= set(headings(page))
    assert len(page.encode()) < 3_000_000


def test_runs_stand_side_by_side(report, runs):
    page = report(runs["noisy_autoencoder"], runs["vae"])
    assert "2 runs side by side" in page
    assert "legato compare" in page
    assert re.findall(r'<h3 id="what-each-dimension-does--\d">(.*?)</h3>', page) == ["noisy_autoencoder", "vae"]
    assert len(page.encode()) < 3_000_000


def test_by_default_the_report_lies_in_the_run(sources, tmp_path, capsys):
    train("table", sources, tmp_path / "run", steps=2)
    assert command("report", tmp_path / "run", "--k", 2) == 0
    assert (tmp_path / "run" / "report.html").stat().st_size > 10_000
    assert "wrote" in capsys.readouterr().out


def test_two_latents_are_shown_as_a_plane_and_one_as_no_map(sources, tmp_path):
    told = []
    for latents in (1, 2):
        space = train("vae", sources, tmp_path / str(latents), steps=2, latent_dim=latents)
        told.append([section.title for section in map_sections(titled([space]), space.data())])
    assert told == [[], ["Where the codes lie", "What each place decodes to"]]


@pytest.mark.parametrize(
    ("names", "says"), [([], "needs a RUN"), (["vae", "colour"], "another shape"), (["vae"] * (MOST + 1), "side by side")]
)
def test_what_has_no_report_is_told_in_one_line(names, says, runs, capsys):
    assert command("report", *(runs[name] for name in names)) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert says in told


def test_titles_are_folders_or_paths_where_folders_share_a_name(sources, tmp_path):
    spaces = [train("vae", sources, tmp_path / name / "run", steps=2) for name in ("a", "b")]
    assert [one.title for one in titled(spaces[:1])] == ["run"]
    assert [one.title for one in titled(spaces)] == [str(tmp_path / name / "run") for name in ("a", "b")]


def test_curves_of_a_run_are_its_metrics_and_of_an_autoencoder_there_is_no_sigma(runs):
    subjects = titled([legato.load(runs[name], device="cpu") for name in ("vae", "autoencoder")])
    lines = subjects[0].space.run.read_metrics()
    logged = [(line["step"], line["validation"]["distortion"]) for line in lines if "validation" in line and line["step"] > 0]
    figure = loss_figure(subjects)
    assert figure is not None
    drawn = [np.asarray(line.get_xydata()).tolist() for line in figure.axes[0].lines]
    assert [list(point) for point in logged] in drawn
    assert sigma_figure(subjects[1:]) is None
    assert sigma_figure(subjects) is not None
    assert_nothing_is_cut_off(figure)


@pytest.mark.parametrize(
    ("name", "panels"),
    [
        ("vae", ["distortion", "rate"]),
        ("factor_vae", ["distortion", "rate", "total correlation", "loss of the critic"]),
        ("geco_vae", ["distortion", "rate", "weight of the distortion"]),
        ("warmup_vae", ["distortion", "rate", "weight of the rate"]),
    ],
)
def test_a_curve_for_each_part_each_player_and_each_weight_that_changes(name, panels, runs):
    subjects = titled([legato.load(runs[name], device="cpu")])
    lines = [line for line in subjects[0].space.run.read_metrics() if "train" in line]
    figure = loss_figure(subjects)
    assert figure is not None
    bold = [
        text.get_text().replace("\n", " ") for axes in figure.axes for text in axes.texts if text.get_fontweight() == "bold"
    ]
    assert bold == panels
    if name == "geco_vae":
        drawn = [np.asarray(line.get_xydata()).tolist() for line in figure.axes[2].lines]
        assert [[line["step"], line["weights"]["distortion"]] for line in lines] in drawn
    assert_nothing_is_cut_off(figure)


def test_the_map_of_more_than_two_latents_shows_the_two_that_carry_most(runs):
    space = legato.load(runs["vae"], device="cpu")
    kl = [m["validation"]["kl"] for m in space.run.read_metrics() if "validation" in m][-1]
    assert set(plane_of(space)) == set(np.argsort(kl)[-2:])


def test_a_path_leads_from_the_first_test_image_to_the_first_of_another_class(runs):
    data = legato.load(runs["vae"], device="cpu").data()
    first, other = shown_rows(data, 1000)[examples_of(data).pair]
    test, labels = shown_rows(data, 1000), data.dataset.labels
    assert labels is not None
    assert sorted(test) == sorted(data.split("test").all())
    assert first == test[0]
    assert labels[first] != labels[other]
    assert (labels[test[: list(test).index(other)]] == labels[first]).all()


def test_a_traversal_names_its_steps_and_refuses_rows_of_another_length():
    images = np.random.default_rng(0).random((3, 1, 8, 8))
    figure = traversal_panel([ImageRow("dimension 4", images)], np.array([-2.5, 0, 2.5]))
    told = [text.get_text() for text in figure.texts]
    assert {"−2.5", "0", "2.5", "dimension 4", "standard deviations of the training codes"} <= set(told)
    assert_nothing_is_cut_off(figure)
    with pytest.raises(Mistake, match="3 steps"):
        traversal_panel([ImageRow("dimension 4", images[:2])], np.zeros(3))
