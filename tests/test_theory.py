"""The account tells the truth: its quotations stand in the source, its figures exist, its worked numbers come out again.

What the trained models gave is printed by records/theory.py; here those numbers are only held against each other.
"""

from __future__ import annotations

import ast
import math
import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.mathtext import MathTextParser
from scipy.optimize import minimize_scalar
from scipy.stats import ncx2
from torch.distributions import Normal

from legato.distributions.divergence import kl_per_dimension

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "docs" / "theory.md").read_text(encoding="utf-8")
QUOTED = re.findall(r"Code: \[`([^`]+)`\]\(\.\./\1\), `([\w.]+)`\n\n```python\n(.*?)```", TEXT, re.S)
PROSE = re.sub(r"```.*?```|`[^`]+`", "", TEXT, flags=re.S)
DISPLAYED = re.findall(r"\$\$(.+?)\$\$", PROSE, re.S)
INLINE = re.findall(r"\$([^$]+)\$", re.sub(r"\$\$.+?\$\$", "", PROSE, flags=re.S))


def rows(first: str) -> list[list[float]]:
    """The numbers of the table whose heading begins so, row by row; a range gives both its ends."""
    table = TEXT[TEXT.index(first) :].split("\n\n")[0].splitlines()[2:]
    return [[float(n) for n in re.findall(r"(?<![\w_{])-?\d+\.?\d*", row.replace("−", "-"))] for row in table]


def lines_of(file: str, name: str) -> list[str]:
    """The lines of a function, or of a method `Class.method`, without their indentation."""
    source = (ROOT / file).read_text(encoding="utf-8")
    body: list[ast.stmt] = ast.parse(source).body
    for part in name.split("."):
        found = next(node for node in body if getattr(node, "name", None) == part)
        assert isinstance(found, ast.FunctionDef | ast.ClassDef)
        body = found.body
    return [line.strip() for line in source.splitlines()[found.lineno - 1 : found.end_lineno]]


@pytest.mark.parametrize(("file", "name", "quoted"), QUOTED, ids=[f"{file.split('/')[-1]}:{name}" for file, name, _ in QUOTED])
def test_every_quoted_line_stands_in_the_function_that_is_named(file, name, quoted):
    there = lines_of(file, name)
    assert [line for line in quoted.strip().splitlines() if line not in there] == []


def test_nothing_is_quoted_without_its_place():
    assert len(QUOTED) == TEXT.count("```python") >= 10
    assert len(re.findall(r"^## \d+\. ", TEXT, re.M)) == TEXT.count("**Left out:**") == 10


def test_every_figure_exists_is_small_and_is_shown():
    shown = set(re.findall(r"!\[[^\]]+\]\(images/([^)]+)\)", TEXT))
    files = {path.name: path.stat().st_size for path in (ROOT / "docs" / "images").glob("theory-*.png")}
    assert shown == set(files)
    assert max(files.values()) < 200_000


@pytest.mark.parametrize("target", sorted(set(re.findall(r"\]\(((?!http)[^)#]+)\)", re.sub(r"\${1,2}[^$]+\${1,2}", "", TEXT)))))
def test_links_lead_somewhere(target):
    assert (ROOT / "docs" / target).exists()


def test_every_formula_can_be_set_and_survives_markdown():
    parser = MathTextParser("path")
    assert len(DISPLAYED) >= 30
    assert len(INLINE) > 100
    for formula in (*DISPLAYED, *INLINE):
        assert not re.search(r"\\[^a-zA-Z]|[*<]", formula), f"GitHub's Markdown eats part of it: {formula}"
        parser.parse(f"${formula.replace(chr(92) + 'lt', '<')}$")
    for before, after in re.findall(r"(\S?)\$[^$]+\$(\w?)", re.sub(r"\$\$.+?\$\$", "", PROSE, flags=re.S)):
        assert before in ("", "(", ")", "×") or not before.isalnum(), before
        assert after == ""


def test_the_kl_and_its_slopes_are_those_of_the_text():
    mu = torch.tensor(3.0, dtype=torch.float64, requires_grad=True)
    log_sigma = torch.tensor(0.1, dtype=torch.float64).log().requires_grad_()
    kl = kl_per_dimension(Normal(mu, log_sigma.exp()), Normal(torch.zeros_like(mu), torch.ones_like(mu)))
    assert kl is not None
    slopes = torch.autograd.grad(kl, (mu, log_sigma))
    assert f"the KL is {kl.item():.2f}, the slopes are {slopes[0].item():.0f} and $-{-slopes[1].item():.2f}$" in flat()


@pytest.mark.parametrize("d", [1, 50])
@pytest.mark.parametrize("baseline", [False, True])
def test_the_toys_variance_ratios_come_out_of_a_quadrature(d, baseline):
    m = 2.0
    nodes, weights = np.polynomial.hermite_e.hermegauss(12)  # exact for polynomials up to degree 23
    weights = weights / weights.sum()
    rest = ncx2(d - 1, (d - 1) * m**2) if d > 1 else None  # the other dimensions' sum of squares
    mean, variance = (float(rest.mean()), float(rest.var())) if rest else (0.0, 0.0)
    first = (m + nodes) ** 2
    average = float(weights @ first) + mean
    offset = average if baseline else 0.0
    square = float(weights @ (((first + mean - offset) ** 2 + variance) * nodes**2))
    estimate = float(weights @ ((first + mean - offset) * nodes))
    assert estimate == pytest.approx(2 * m)  # unbiased, with the baseline and without
    ratio = (square - estimate**2) / float(weights @ (2 * (m + nodes) - 2 * m) ** 2)
    expected = {(1, False): 21.75, (1, True): 10.5, (50, False): 16_106, (50, True): 231}[d, baseline]
    assert ratio == pytest.approx(expected, abs=0.5 if d > 1 else 1e-9)
    said = {21.75: "21.75 ≈ **22×**", 10.5: "10.5 ≈ **11×**", 16_106: "16,106 ≈ **16,000×**", 231: "**231×**"}[expected]
    assert said in flat()


def test_averaging_over_pixels_and_latents_hides_the_beta_of_the_text():
    rng = np.random.default_rng(0)
    pixels, latents = rng.random((5, 784)), rng.random((5, 20))
    averaged = pixels.mean(1) + latents.mean(1)
    np.testing.assert_allclose(784 * averaged, pixels.sum(1) + 39.2 * latents.sum(1))
    assert f"β = 784/20 = **{784 / 20}**" in flat()
    assert f"so $\\sigma_x = {math.sqrt(784 / 2):.1f}$" in flat()


def test_the_table_of_beta_keeps_its_sums_and_its_slopes_between_two_prices():
    table = rows("| β | distortion")
    for beta, distortion, rate, total, *_ in table:
        assert distortion + rate == pytest.approx(total, abs=0.11), beta
    for here, there in pairwise(table):
        slope = (there[1] - here[1]) / (there[2] - here[2])
        assert slope == pytest.approx(here[5], abs=0.06)  # the table is rounded
        assert -there[0] <= slope <= -here[0]
    assert min(table, key=lambda row: row[3])[0] == 1


def test_the_force_balance_holds_where_the_loss_is_smallest():
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    weights = weights / weights.sum()
    mu, beta = 0.4, 0.7

    def loss(log_sigma: float) -> float:  # ℓ(z) = z⁴ + sin z, which no Gaussian posterior fits
        z = mu + math.exp(log_sigma) * nodes
        return float(weights @ (z**4 + np.sin(z))) + beta * (0.5 * math.exp(2 * log_sigma) - log_sigma)

    sigma = math.exp(minimize_scalar(loss, bounds=(-4, 1), method="bounded", options={"xatol": 1e-10}).x)
    curvature = float(weights @ (12 * (mu + sigma * nodes) ** 2 - np.sin(mu + sigma * nodes)))
    assert 1 / sigma**2 == pytest.approx(1 + curvature / beta, rel=1e-5)


def test_without_a_rate_the_width_falls_as_the_text_says():
    c, start, h = 3.0, 0.8, 1e-4
    log_sigma = math.log(start)
    for _ in range(20_000):  # plain gradient descent on ½cσ², by log σ
        log_sigma -= h * c * math.exp(2 * log_sigma)
    assert math.exp(-2 * log_sigma) == pytest.approx(1 / start**2 + 2 * c * 2.0, rel=1e-3)


def test_small_numbers_agree_with_each_other():
    said = re.search(r"p\(x\) = (-[\d.]+)\$, ELBO \$(-[\d.]+)\$, so the gap is ([\d.]+);", flat())
    assert said is not None
    evidence, elbo, gap = map(float, said.groups())
    assert evidence - elbo == pytest.approx(gap, abs=0.011)
    assert f"({math.log(55_000):.1f} for 55,000 digits)" in flat()
    assert f"(a nat is {1 / math.log(2):.2f} bits)" in flat()


def flat() -> str:
    """The text with its line breaks taken out."""
    return " ".join(TEXT.split())
