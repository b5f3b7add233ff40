"""The laws of codes that are chosen: rows that learn by gradient, books in a row, words in a sequence, units that are on."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from scipy import special, stats
from torch import Tensor
from torch.testing import assert_close

from legato.codebooks import FiniteScalars, LookupFree, ResidualQuantised, VectorQuantised
from legato.definition import define
from legato.errors import Mistake
from legato.loading import load
from legato.measures import evaluate
from legato.measures.rate import codebook_perplexity
from legato.objectives import Commitment, Distortion, IndexEntropy, Rate, Rows
from legato.objectives.aggregate import entropy_of_mean
from legato.posteriors import Sparse
from legato.sequences import Sequential
from legato.setting import DataSpec
from legato.trace import Given

pytestmark = pytest.mark.usefixtures("alone")


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


def test_the_nearest_row_is_found_of_rows_far_from_0_too():
    book = VectorQuantised((50, 3), 64)
    code = torch.randn(50, 3)
    near = torch.cdist(code.double(), book.rows.double()).argmin(-1)
    assert torch.equal(book.indices(code), near)
    book.rows += 4096  # in which single precision still tells a two-thousandth
    far = code + 4096
    assert torch.equal(book.indices(far), torch.cdist(far.double(), book.rows.double()).argmin(-1))


def test_the_first_step_puts_every_row_where_tokens_are_and_one_that_is_skipped_none():
    """Rows that lie apart from all tokens would leave every token to the one that is nearest to the middle."""
    book, tokens = VectorQuantised((4, 3), 32), 0.01 * torch.randn(20, 4, 3) + 5
    before = book.rows.clone()
    book(torch.full((20, 4, 3), math.nan), (4, 3))
    assert torch.equal(book.rows, before)
    book(tokens, (4, 3))
    assert (book.rows - 5).abs().max() < 0.1
    assert len(book.indices(tokens).unique()) > 16


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


def test_a_dead_unit_learns_straight_through_the_rectifier_and_no_other_does():
    """A unit that is below 0 everywhere would stay so: a rectifier has no slope there."""
    family, theta = Sparse((4,), 2), torch.tensor([[3.0, 2.0, -1.0, -1.0]], requires_grad=True)
    family.fired.copy_(torch.tensor([0.9, 0.9, 0.0, 0.2]))  # the third is dead, the fourth only seldom on
    code = family(theta, (4,)).mean
    assert torch.equal(code, torch.tensor([[3.0, 2.0, 0.0, 0.0]]))
    code.sum().backward()
    assert torch.equal(theta.grad, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))


def test_a_sparse_code_whose_units_are_all_dead_comes_to_life():
    layer, family = torch.nn.Linear(3, 6), Sparse((6,), 2, decay=0.9)
    layer.bias.data.fill_(-5.0)
    x, out = torch.randn(64, 3), torch.randn(6, 3)
    optimiser = torch.optim.Adam([*layer.parameters()], lr=0.05)
    for step in range(300):
        code = family(layer(x), (6,)).mean
        if not step:
            assert (code == 0).all()
        optimiser.zero_grad()
        (code @ out - x).square().sum(1).mean().backward()
        optimiser.step()
    assert family.dead < 3


# ------------------------------------------------------------------------------------------------ signs looked up nowhere


@pytest.mark.parametrize("bits", range(1, 11))
def test_every_word_of_signs_is_its_own(bits):
    book, every = LookupFree((4, bits)), torch.arange(2**bits)
    code = book.values(every)
    assert torch.equal(book.indices(code), every)
    assert len(code.unique(dim=0)) == 2**bits  # no two alike
    assert torch.equal(code.abs(), torch.ones_like(code))
    grid = LookupFree((bits, 2, 3))
    index = torch.randint(2**bits, (7, *grid.tokens((bits, 2, 3))))
    assert torch.equal(grid.indices(grid.values(index)), index)


@pytest.mark.parametrize("event", [(4, 5), (5, 2, 2)])
def test_a_word_of_signs_is_the_nearest_and_its_gradient_goes_straight_through(event):
    book, theta = LookupFree(event), torch.randn(6, *event, requires_grad=True)
    q = book(theta, event)
    tokens = theta.detach().movedim(book._across, -1)
    every = book.values(torch.arange(32).view(32, *[1] * (len(event) - 1))).reshape(32, 5)
    nearest = (tokens.unsqueeze(-2) - every).square().sum(-1).argmin(-1)
    assert torch.equal(q.index, nearest)
    assert_close(q.mean.detach(), torch.where(theta >= 0, 1.0, -1.0), rtol=0, atol=1e-6)
    weights = torch.randn(6, *event)
    assert_close(torch.autograd.grad((q.rsample() * weights).sum(), theta)[0], weights)


def test_an_encoder_of_signs_pays_for_its_distance_from_them():
    made, x = build_bits(3), torch.randn(9, 6)
    trace = made.model(x)
    away = trace.rungs[0].q.away.detach()
    assert_close(Commitment()(trace).detach(), (away.abs() - 1).square().flatten(1).sum(1))


def build_bits(bits: int):
    torch.manual_seed(1)
    data = DataSpec((6,), "reals", "gaussian")
    return define("lfq_vae", data, latent_dim=3, width=8, depth=1, token_dim=bits).build(data)


def enumerated(trace, bits: int) -> np.ndarray:
    """E H(q(c|x)) − H(E q(c|x)) by all 2^D words, q(c|θ) ∝ exp(−‖θ − c‖²), times the number of tokens, (B,)."""
    theta = trace.rungs[0].q.away.detach().double().numpy()
    words = np.array(list(itertools.product([-1.0, 1.0], repeat=bits)))
    chances = special.softmax(-((theta[:, :, None] - words) ** 2).sum(-1), -1)
    sure = special.entr(chances).sum(-1).sum(1)
    return sure - theta.shape[1] * special.entr(chances.mean((0, 1))).sum()


@pytest.mark.parametrize("bits", [1, 6])
def test_the_entropy_of_words_is_that_of_all_of_them(bits):
    trace = build_bits(bits).model.double()(3 * torch.randn(9, 6, dtype=torch.double))
    assert_close(IndexEntropy()(trace).detach().numpy(), enumerated(trace, bits), rtol=1e-5, atol=1e-5)


def test_of_many_bits_the_entropy_is_that_of_their_parts_and_exact_where_these_are_independent():
    torch.manual_seed(5)
    few, others = 3 * torch.randn(4, 6).double(), 3 * torch.randn(5, 3).double()
    both = torch.cat([few.repeat_interleave(5, 0), others.repeat(4, 1)], 1)  # every pair once: independent
    assert_close(entropy_of_mean(both), entropy_of_mean(few) + entropy_of_mean(others))
    tied = torch.cat([few, few], 1)
    assert entropy_of_mean(tied) < 2 * entropy_of_mean(few)  # of what depends on each other it is a bound


def test_the_entropy_of_words_that_nobody_takes_has_a_finite_slope():
    """Of bits that are sure most words have a chance that is 0 in single precision, where the slope of log has no end."""
    odds = (1e4 * torch.randn(30, 5)).requires_grad_()
    found = entropy_of_mean(odds)
    found.backward()
    words = (odds > 0).long() @ 2 ** torch.arange(5)
    assert found.item() == pytest.approx(stats.entropy(np.unique(words.numpy(), return_counts=True)[1]), abs=1e-4)
    assert odds.grad.isfinite().all()


def test_the_entropy_of_words_has_the_gradient_of_finite_differences():
    model, x = build_bits(4).model.double(), torch.randn(5, 6, dtype=torch.double)
    weight = next(iter(model.latent.q.net.parameters()))
    (slope,) = torch.autograd.grad(IndexEntropy()(model(x)).mean(), weight)
    toward, step = torch.randn_like(weight), 1e-6
    ends = []
    for side in (step, -step):
        with torch.no_grad():
            weight.add_(side * toward)
            ends.append(IndexEntropy()(model(x)).mean().item())
            weight.sub_(side * toward)
    assert (slope * toward).sum().item() == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-4)


def test_the_entropy_of_words_is_the_least_where_all_are_sure_and_used_alike():
    words = LookupFree((1, 5)).values(torch.arange(32)).double()
    assert entropy_of_mean(40 * words).item() == pytest.approx(5 * math.log(2), abs=1e-9)
    assert entropy_of_mean(40 * words[:1]).item() == pytest.approx(0, abs=1e-9)
    assert entropy_of_mean(0 * words[:1]).item() == pytest.approx(5 * math.log(2), abs=1e-9)


def test_words_of_no_bits_or_too_many_are_refused_and_so_is_their_entropy_of_another_codebook():
    for bits in (0, 17):
        with pytest.raises(Mistake, match=f"1 to 16 bits, got {bits}"):
            LookupFree((2, bits))
    with pytest.raises(Mistake, match="use `lfq_vae`"):
        IndexEntropy()(build("vq_vae").model(torch.randn(2, 6)))


# ----------------------------------------------------------------------------------------------------- codes in use


@pytest.mark.parametrize("count", [1, 2, 7, 256])
def test_the_perplexity_of_codes_that_are_used_alike_is_their_number(count):
    index = np.random.default_rng(0).permutation(np.repeat(np.arange(count), 64)).reshape(-1, 4)
    found = codebook_perplexity(index, 1)
    assert found.value == pytest.approx(count, rel=1e-12)
    assert found.low <= found.value <= found.high


def test_the_perplexity_is_the_exponential_of_the_entropy_of_the_shares_and_of_books_that_of_their_mean():
    index = np.random.default_rng(1).geometric(0.3, (500, 6))
    entropy = [stats.entropy(np.unique(part, return_counts=True)[1]) for part in (index, index[:, :3], index[:, 3:])]
    assert codebook_perplexity(index, 1).value == pytest.approx(math.exp(entropy[0]), rel=1e-10)
    assert codebook_perplexity(index, 2).value == pytest.approx(math.exp((entropy[1] + entropy[2]) / 2), rel=1e-10)


def test_the_interval_of_a_perplexity_holds_that_of_the_source_as_often_as_it_says():
    rng, chances = np.random.default_rng(2), np.array([0.5, 0.2, 0.2, 0.06, 0.04])
    held = 0
    for _ in range(400):
        found = codebook_perplexity(rng.choice(5, (400, 2), p=chances), 1)
        held += found.low <= math.exp(stats.entropy(chances)) <= found.high
    assert stats.binomtest(held, 400, 0.95).pvalue > 1e-3


def test_each_codebook_says_how_many_books_its_indices_are_of():
    assert FiniteScalars(4).books_of((3, 2, 2)) == 3
    assert VectorQuantised((4, 3), 8).books_of((4, 3)) == LookupFree((4, 3)).books_of((4, 3)) == 1
    books = ResidualQuantised((4, 3), 6, 3)
    index = torch.arange(3).repeat_interleave(4).expand(5, 12)  # each book has but one code
    assert codebook_perplexity(index.numpy(), books.books_of(books.event)).value == pytest.approx(1)


@pytest.mark.parametrize("name", ["vq_vae", "fsq_vae", "residual_vq_vae"])
def test_evaluate_tells_the_perplexity_of_what_the_encoder_chose(name, runs):
    space = load(runs[name], device="cpu")
    found = evaluate(space, k=1, limit=30)["codebook_perplexity"]
    data = space.data()
    rows = np.sort(data.split("test").draw(30, "evaluated"))
    code = torch.from_numpy(space.encode(data.dataset.take(rows), rows)[0]).reshape(-1, *space.model.latent.event)
    family = space.model.latent.q.family
    index = family.indices(code).flatten(1).numpy()
    parts = np.split(index, family.books_of(space.model.latent.event), 1)
    expected = np.exp(np.mean([stats.entropy(np.unique(part, return_counts=True)[1]) for part in parts]))
    assert found["value"] == pytest.approx(expected, rel=1e-9)
    assert evaluate(load(runs["vae"], device="cpu"), k=1, limit=3)["codebook_perplexity"]["why"]


# ------------------------------------------------------------------------------------------------ words in a grid


@pytest.mark.parametrize("name", ["vq_vae", "gradient_vq_vae", "sequence_vq_vae", "lfq_vae"])
def test_words_of_a_large_picture_lie_in_a_grid_unless_their_number_is_said(name):
    def code(shape, **chosen):
        data = DataSpec(shape, "bytes", "discretized-logistic")
        made = define(name, data, **chosen)
        assert made.build(data).model.latent.event == (made.words.latent_shape or (made.options["latent_dim"], 8))
        return made.words.latent_shape

    assert code((3, 64, 64)) == code((3, 32, 32)) == (8, 8, 8)
    assert code((3, 128, 96)) == (8, 16, 12)
    assert code((3, 64, 64), token_dim=5) == (5, 8, 8)
    assert code((3, 64, 64), latent_shape=(4, 16, 16)) == (4, 16, 16)
    assert code((3, 64, 64), latent_dim=7) is None
    assert code((3, 64, 64), net="mlp") is None
    assert code((1, 28, 28)) is None
