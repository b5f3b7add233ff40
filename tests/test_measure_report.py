"""The page of a measured model: one file that asks for nothing, with every figure of the survey on it and no NaN."""

from __future__ import annotations

import html
import re
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

import legato
from legato.measures.estimate import Estimate
from legato.measures.interval import bracketed
from legato.measures.known import called
from legato.report.html import Section
from legato.report.maps import decoded_plane
from legato.report.measured import figures, write_measured_report
from legato.report.measured.exhibit import Exhibit
from legato.report.measured.numbers import NBSP, finite
from legato.report.measured.story import sections
from legato.report.panels import cross_fade
from legato.report.trained.images import SAMPLES
from legato.report.views import two_places
from legato.survey.evaluation import Evaluation
from made_runs import blobs
from test_figures import assert_nothing_is_cut_off
from test_measure import MATRIX, TINY, FakeSession, Linear, decode, encode
from test_report import Page

IMAGES, LABELS = blobs()
OUT = MATRIX.T.copy()
PICTURES = ["Reconstructions", "Random samples", "From one image to another", "What each dimension does"]
NUMBERS = ["Disturbances", "Every figure", "What could not be measured"]
CARRIES = "What each dimension carries"


class Posterior(nn.Module):
    """N(scale · x W, σ²)."""

    def __init__(self, dims: int = 3, scale: float = 4.0, sigma: float = 0.2) -> None:
        super().__init__()
        self.weight, self.scale, self.sigma = nn.Parameter(torch.from_numpy(MATRIX[:, :dims].copy())), scale, sigma

    def forward(self, x):
        mu = (x.flatten(1) @ self.weight) * self.scale
        return mu, torch.full_like(mu, self.sigma)


@pytest.fixture(autouse=True, scope="module")
def _alone():
    torch.set_num_threads(1)


def measured(encoder, decoder=None, **other):
    return legato.measure(encoder, decoder, IMAGES, **{"labels": LABELS, "effort": TINY, **other})


def of_dims(dims: int, **other):
    return measured(Posterior(dims), Linear(OUT[:dims].copy(), (1, 8, 8)), **other)


@pytest.fixture(scope="module")
def clouds():
    return of_dims(3)


@pytest.fixture
def written(tmp_path):
    """The page that a measured model writes, and its headings."""

    def write(found, **options):
        size = found.report(tmp_path / "deep" / "page.html", **options)
        assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["page.html"]
        assert size == (tmp_path / "deep" / "page.html").stat().st_size < 3_000_000
        page = (tmp_path / "deep" / "page.html").read_text("utf-8")
        said = [words for words in Page(page).texts["h2"] if words != "Contents"]
        return page, said

    return write


def words(page: str) -> str:
    """What a person reads: no markup, no pictures, no style."""
    body = re.sub(r"<(style|script)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", body)))


def assert_every_figure_is_told(page: str, found) -> None:
    cells = Page(page).texts
    said, text = set(cells["td"]), words(page)
    for name, one in found.figures.items():
        assert called(name) in text
        if one.value is None:
            assert one.why in {html.unescape(cell) for cell in cells["th"]}, name
        else:
            assert {bracketed(one).replace(" ", NBSP), f"{one.n:,}"} <= said, name
            assert {one.unit, one.method} - said <= {""}, name


# ------------------------------------------------------------------------------------------------ the law


def test_the_page_is_one_file_that_asks_for_nothing(clouds, written):
    page, _ = written(clouds)
    parsed = Page(page)
    assert not parsed.all("script") + parsed.all("link") + parsed.all("iframe")
    for _, attributes in parsed.elements:
        for name in ("src", "href", "srcset", "data", "action"):
            assert re.match(r"data:image/(png|webp);base64,|#|$", attributes.get(name, "")), attributes
    assert not re.search(r"https?:|url\(|@import", page)
    assert all(image["alt"] for image in parsed.all("img"))


def test_every_figure_is_on_the_page_with_its_interval_n_unit_and_method(clouds, written):
    page, headings = written(clouds)
    assert headings == ["Has it collapsed?", "Where the codes lie", *PICTURES, CARRIES, *NUMBERS]
    assert sum(one.value is not None for one in clouds.figures.values()) > 50
    assert_every_figure_is_told(page, clouds)
    assert "needs a likelihood" in page
    assert "purity by chance" in page
    assert not re.search(r"\b(nan|inf|None)\b", words(page), re.IGNORECASE)


def test_the_same_model_gives_the_same_page(clouds, written):
    first = written(clouds)[0]
    assert first == written(clouds)[0] == written(of_dims(3))[0]


def test_its_name_is_given_or_that_of_the_run(clouds, runs, written):
    assert Page(written(clouds, title="Mine & <b>")[0]).texts["h1"] == ["Mine & <b>, measured"]
    assert Page(written(clouds)[0]).texts["h1"] == ["The model, measured"]
    found = legato.measure(runs["vae"], effort=TINY)
    page, headings = written(found)
    assert Page(page).texts["h1"] == [f"{runs['vae'].name}, measured"]
    assert headings[:2] == ["Has it collapsed?", "Where the codes lie"]
    assert_every_figure_is_told(page, found)
    assert found.figures["elbo"].value is not None


# ------------------------------------------------------------------------------------------------ what a model is


def test_points_have_no_clouds_and_no_rate(written):
    found = measured(encode, decode)
    page, headings = written(found)
    assert CARRIES not in headings
    assert "has no prior" in page
    assert "its codes are points" in page
    assert "cloud is" not in page
    assert_every_figure_is_told(page, found)


def test_a_collapsed_posterior_is_called_so_and_advice_is_given(written):
    silent = measured(Posterior(scale=1e-3, sigma=1.0), Linear(OUT, (1, 8, 8)), labels=None)
    page, _ = written(silent)
    assert "All 3 dimensions have collapsed" in page
    assert "Lower β" in page
    assert re.search(r'class="badge bad".*?collapsed', page)
    assert "needs labels" in page


def test_a_prior_of_ones_own_is_sampled_and_nothing_is_compared_with_the_standard_normal(written):
    found = of_dims(3, prior=lambda n, seed: 3 + np.random.default_rng(seed).standard_normal((n, 3)))
    page, headings = written(found)
    assert "prior of its own" in page
    assert "dashed rings" not in page
    assert CARRIES not in headings
    shown = Exhibit("it", found.evaluation)
    assert shown.subject.prior(50, 0, "samples").mean() == pytest.approx(3, abs=0.5)
    assert_every_figure_is_told(page, found)


def test_two_latents_are_decoded_as_a_plane_and_one_is_no_map(written):
    assert "What each place decodes to" in written(of_dims(2))[1]
    assert not {"Where the codes lie", "What each place decodes to"} & set(written(of_dims(1))[1])


def test_a_table_has_no_pictures(written):
    rows = np.random.default_rng(5).normal(size=(310, 4)).astype(np.float32)
    found = legato.measure(lambda x: x[:, :2], lambda z: np.pad(z, ((0, 0), (0, 2))), rows, effort=TINY)
    page, headings = written(found)
    assert headings == ["Has it collapsed?", "Where the codes lie", *NUMBERS]
    assert_every_figure_is_told(page, found)


def test_a_decoder_that_breaks_far_out_costs_the_pictures_that_need_it_there(written):
    far = np.abs(encode(IMAGES[:, None] / 255)).max() * 1.2

    def breaking(z):
        return np.where(np.abs(z).max(1)[:, None, None, None] > far, np.nan, decode(z))

    page, headings = written(measured(encode, breaking))
    assert page.count("This could not be drawn: <code>decode</code> gave NaN") == 2  # samples, and dimensions moved by 3σ
    assert headings == ["Has it collapsed?", "Where the codes lie", *PICTURES, *NUMBERS[1:]]
    assert len(Page(page).all("img")) == 3


def test_what_is_not_finite_is_told_and_never_printed(clouds, tmp_path):
    one = clouds.figures["purity"]
    broken = {"purity": replace(one, value=float("nan")), "probe": replace(one, low=float("-inf"))}
    found = replace(clouds, figures=clouds.figures | broken)
    found.report(tmp_path / "page.html")
    page = words((tmp_path / "page.html").read_text("utf-8"))
    assert not re.search(r"\b(nan|inf)\b", page, re.IGNORECASE)
    assert "the value is not finite" in page
    assert "the interval is not finite" in page
    assert finite(one) is one
    assert finite(Estimate(None, None, None, 0, "", "", "so")).why == "so"


# ------------------------------------------------------------------------------------------------ what is drawn


def test_the_samples_are_the_first_of_those_that_were_measured(clouds):
    subject, seed = clouds.evaluation.subject, clouds.evaluation.seed
    ladder = Evaluation(subject, clouds.evaluation.shared, TINY, seed).ladder
    seen = []
    spy = SimpleNamespace(
        **{name: getattr(subject, name) for name in ("prior", "latent_dim", "standard_prior", "encode", "space")}
    )
    spy.decode = lambda z: seen.append(z) or subject.decode(z)
    figures.samples(Exhibit("it", Evaluation(spy, clouds.evaluation.shared, TINY, seed)))
    assert seen[0] == pytest.approx(ladder["prior"][:SAMPLES])
    assert seen[1] == pytest.approx(ladder["gaussian"][:SAMPLES], rel=1e-4, abs=1e-5)


def test_nothing_is_cut_off(clouds):
    shown = Exhibit("A rather long name of a model that somebody measured", clouds.evaluation)
    drawn = [one.figure for one in sections(shown, clouds) if isinstance(one, Section) and one.figure is not None]
    assert len(drawn) == 7
    for figure in drawn:
        assert_nothing_is_cut_off(figure)


def test_a_cross_fade_joins_its_ends_and_a_plane_is_decoded_where_it_says():
    ends = np.random.default_rng(0).random((2, 1, 8, 8))
    row = cross_fade(ends, 5).images
    assert row[[0, -1]] == pytest.approx(ends)
    assert row[2] == pytest.approx(ends.mean(0))
    plane = decoded_plane("it", lambda z: z[:, :, None, None], 3)
    assert plane.images[0, :, 0, 0, 0] == pytest.approx([-3, 0, 3])
    assert plane.images[:, 0, 1, 0, 0] == pytest.approx([-3, 0, 3])
    codes = np.random.default_rng(0).uniform(2, 4, (5000, 2))
    assert decoded_plane("it", lambda z: z[:, :, None, None], 3, codes).extent == pytest.approx((2, 4, 2, 4), abs=0.05)


def test_a_path_joins_two_classes_where_there_are_two():
    assert two_places(np.array([3, 3, 1, 2]), 4).tolist() == [0, 2]
    assert two_places(np.array([3, 3]), 2).tolist() == two_places(None, 2).tolist() == [0, 1]
    assert two_places(None, 1).tolist() == [0, 0]


# ------------------------------------------------------------------------------------------------ other libraries' models


def test_a_pair_of_onnx_files_has_a_page(tmp_path, monkeypatch, written):
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=FakeSession))
    files = [tmp_path / "encoder-log_var.onnx", tmp_path / "decoder-.onnx"]
    for file in files:
        file.touch()
    found = measured(*files)
    page, headings = written(found)
    assert set(PICTURES) < set(headings)
    assert_every_figure_is_told(page, found)


@pytest.mark.filterwarnings("ignore")  # of Pythae's own
def test_a_vae_of_pythaes_itself_has_a_page(written):
    models = pytest.importorskip("pythae.models")
    found = measured(models.VAE(models.VAEConfig(input_dim=(1, 8, 8), latent_dim=3)))
    page, headings = written(found)
    assert headings == ["Has it collapsed?", "Where the codes lie", *PICTURES, CARRIES, *NUMBERS]
    assert_every_figure_is_told(page, found)


def test_a_page_can_be_written_of_any_survey(clouds, tmp_path):
    write_measured_report(tmp_path / "page.html", replace(clouds, curves={}), clouds.evaluation, "It")
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    assert "Disturbances" not in page.texts["h2"]
    assert "Every figure" in page.texts["h2"]
