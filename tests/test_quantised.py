"""The laws of codes that are chosen: rows that learn by gradient, books in a row, words in a sequence, units that are on."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from scipy import stats
from torch import Tensor
from torch.testing import assert_close

from legato.codebooks import ResidualQuantised, VectorQuantised
from legato.definition import define
from legato.errors import Mistake
from legato.objectives import Commitment, Distortion, Rate, Rows
from legato.posteriors import Sparse
from legato.sequences import Sequential
from legato.setting import DataSpec
from legato.trace import Given


@pytest.fixture(autouse=True)
def _alone():
    """One thread: the tensors are tiny, and other processes want the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


def build(name: str, **chosen):
    torch.manual_seed(1)
    data = DataSpec((6,), "reals", "gaussian")
    book = {} if name == "fsq_vae" else {"codebook_size": 5, "token_dim": 2}
    return define(name, data, **{"latent_dim": 3, "width": 8, "depth": 1, **book, **chosen}).build(data)


# ------------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("event", [(4, 3), (3, 2, 2)])
@pytest.mark.parametrize("gradient", [False, True])
def test_a_row_is_its_own_nearest(event, gradient):
    book = VectorQuantised(event, 7, gradient=gradient)
    index = torch.randint(7, (10, *book.tokens(event)))
    assert torch.equal(book.indices(book.values(index)), index)


@pytest.mark.parametrize("name", ["vq_vae", "gradient_vq_vae", "residual_vq_vae", "fsq_vae"])
def test_what_a_codebook_costs_an_example_is_the_same_however_often_the_batch_is_repeated(name):
    """Sums over the batch beside means over it would weigh one term by the batch's size."""
    model, x = build(name).model.eval(), torch.randn(5, 6)
    family = model.latent.q.family
    terms = [Distortion(), Rate(), Commitment(), *([Rows()] if isinstance(family, VectorQuantised) and family.gradient else [])]
    for term in terms:
        once = term(model(x))
        assert once.shape == (5,)
        assert_close(term(model(x.repeat(3, 1))), once.repeat(3))


def test_rows_that_learn_by_gradient_are_drawn_to_the_encoder_and_the_encoder_by_commitment_alone():
    made, x = build("gradient_vq_vae"), torch.randn(9, 6)
    trace = made.model(x)
    (rung,) = trace.rungs
    rows, encoder = made.model.latent.q.family.rows, made.model.latent.q.net.parameters()
    (slope,) = torch.autograd.grad(Rows()(trace).sum(), rows, retain_graph=True)
    expected = torch.zeros_like(rows)
    for token, index in zip(rung.q.away.detach().flatten(0, 1), rung.q.index.flatten(), strict=True):
        expected[index] += 2 * (rows[index].detach() - token)
    assert_close(slope, expected)
    assert all(g is None for g in torch.autograd.grad(Rows()(trace).sum(), list(encoder), allow_unused=True, retain_graph=True))
    assert torch.autograd.grad(Commitment()(trace).sum(), rows, allow_unused=True)[0] is None


# ------------------------------------------------------------------------------------------------ books in a row


@pytest.mark.parametrize("inner", [(4, 3), (3, 2, 2)])
def test_each_index_of_books_in_a_row_is_read_off_the_code_again(inner):
    family = ResidualQuantised(inner, 6, 3)
    index = torch.randint(6, (10, *family.tokens(family.event)))
    assert torch.equal(family.indices(family.values(index)), index)
    assert family.summed(family.values(index)).shape == (10, *inner)


@pytest.mark.parametrize("inner", [(4, 3), (3, 2, 2)])
def test_each_book_is_of_what_those_before_it_have_left_over(inner):
    family = ResidualQuantised(inner, 6, 3).eval()
    theta = torch.randn(5, *inner).requires_grad_()
    q = family(theta, family.event)
    rest, books = theta.detach(), q.value.detach().chunk(3, -2)
    for book, row in zip(family.books, books, strict=True):
        assert torch.equal(row, book.values(book.indices(rest)))
        rest = rest - row
    assert_close(q.away.detach().chunk(3, -2)[2] - books[2], rest)
    (slope,) = torch.autograd.grad(family.summed(q.value).sum(), theta)
    assert_close(slope, torch.ones_like(theta))  # straight through the sum, once


def test_more_books_tell_more():
    torch.manual_seed(2)
    theta, missed = torch.randn(64, 4, 3), []
    for books in (1, 2, 3):
        torch.manual_seed(3)
        family = ResidualQuantised((4, 3), 32, books)
        for _ in range(40):
            family(theta, family.event)
        missed.append((family.summed(family.eval()(theta, family.event).value) - theta).square().mean().item())
    assert missed[0] > missed[1] > missed[2]


# ----------------------------------------------------------------------------------------------- words in a sequence


def _sequence() -> tuple[Sequential, VectorQuantised]:
    book = VectorQuantised((3, 2), 4)
    prior = Sequential(book, (3, 2), width=8)
    for weight in prior.parameters():
        weight.data.normal_(0, 0.7)
    return prior, book


def test_the_chances_of_all_sequences_add_up_to_one_and_are_drawn_as_often():
    prior, book = _sequence()
    every = torch.tensor(list(itertools.product(range(4), repeat=3)))
    with torch.no_grad():
        chances = prior(Given()).log_prob(book.values(every)).exp().double()
        assert chances.sum().item() == pytest.approx(1, abs=1e-5)
        drawn = book.indices(prior(Given()).sample((20_000,)))
    counts = torch.bincount((drawn * torch.tensor([16, 4, 1])).sum(1), minlength=64).double()
    assert stats.chisquare(counts.numpy(), (chances / chances.sum() * 20_000).numpy()).pvalue > 1e-3


def test_a_word_s_chance_depends_on_those_before_it_alone():
    prior, _ = _sequence()
    one, other = torch.tensor([[0, 1, 2]]), torch.tensor([[0, 3, 2]])
    with torch.no_grad():
        a, b = prior.log_chances(one), prior.log_chances(other)
    assert a[0, 0] == b[0, 0]
    assert a[0, 2] != b[0, 2]


def test_a_sequence_begins_as_uniform_and_no_gradient_reaches_the_encoder_through_its_rate():
    made, x = build("sequence_vq_vae"), torch.randn(9, 6)
    trace = made.model(x)
    assert_close(trace.kl, torch.full((9,), 3 * math.log(5)))
    encoder = list(made.model.latent.q.net.parameters())
    assert all(g is None for g in torch.autograd.grad(trace.kl.sum(), encoder, allow_unused=True))


# ------------------------------------------------------------------------------------------------- units that are on


def test_a_sparse_code_has_the_largest_units_and_no_others():
    family = Sparse((8,), 3).eval()
    theta = torch.randn(20, 8)
    code = family(theta, (8,)).mean
    assert ((code != 0).sum(1) <= 3).all()
    for row, found in zip(theta.relu(), code, strict=True):
        assert_close(found.sort().values[-3:], row.sort().values[-3:])
    for k in (0, 9):
        with pytest.raises(Mistake, match="from 1 to the code's 8"):
            Sparse((8,), k)


def test_a_unit_that_is_never_on_is_favoured_until_it_is():
    torch.manual_seed(4)
    family = Sparse((6,), 2, decay=0.9)

    def batch() -> Tensor:
        return torch.rand(64, 6) + torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.6])

    plain = (family.eval()(batch(), (6,)).mean[:, 5] > 0).float().mean()
    family.train()
    for _ in range(60):
        family(batch(), (6,))
    assert plain < 0.05 < family.fired[5]
    assert family.dead == 0
    assert family.fired.sum().item() == pytest.approx(2, abs=0.01)
