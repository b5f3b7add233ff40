"""Codebooks: posteriors that choose among finitely many codes.

Covered: FSQ, a fixed grid; LFQ, signs; VQ, whose codebook follows the encoder; several of these in a row. Not covered: priors
over the indices (`Indexed`, which either takes uniform or learnt).
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from legato import ranks
from legato.arguments import checked
from legato.devices import exact
from legato.distributions.grid import Chosen, Tokens
from legato.errors import Mistake
from legato.families import Family
from legato.priors import Prior
from legato.trace import Given
from legato.types import Shape

BITS = 16  # of a token, at most: a prior has a number for each of 2^16 words at each token
ALIVE = 0.01  # of an even share of the tokens: a row of the codebook that is chosen less often is put elsewhere


class Codebook(Family):
    """A family whose distributions choose one of `size` values for each token."""

    has_width = False
    has_choice = True
    how = "the code that was chosen"
    size: int

    @abstractmethod
    def tokens(self, event: Shape) -> Shape:
        """The shape of a code's indices."""

    @abstractmethod
    def indices(self, code: Tensor) -> Tensor:
        """(*lead, *event) -> (*lead, *tokens): the nearest values' numbers."""

    @abstractmethod
    def values(self, index: Tensor) -> Tensor:
        """(*lead, *tokens) -> (*lead, *event)."""

    def usage(self, of: Distribution) -> Tensor:
        """How often each value of each codebook was chosen, (books, K)."""
        assert isinstance(of, Chosen)
        chosen = of.index.reshape(len(of.index), self.books_of(of.event_shape), -1).transpose(0, 1).flatten(1)
        hits = torch.zeros(len(chosen), self.size, device=chosen.device)
        return hits.scatter_add_(1, chosen, torch.ones_like(chosen, dtype=hits.dtype))


class FiniteScalars(Codebook):
    """Finite scalar quantisation (FSQ): each number is squashed by tanh and rounded to one of L values from −1 to 1.

    z = 2 round((L − 1)(tanh θ + 1)/2)/(L − 1) − 1, its gradient that of tanh θ. No codebook, so that none of it can die. The
    rate is d log L nats under the uniform prior. Mentzer et al. 2023, https://arxiv.org/abs/2309.15505; where it differs: an
    even L keeps its outer values instead of shifting them. Raises `Mistake` for fewer than 2 levels.
    """

    grid: Tensor

    @checked
    def __init__(self, size: int = 8) -> None:
        super().__init__()
        if size < 2:
            raise Mistake(f"`size` is a number of values for each latent, 2 or more; got {size}")
        self.size = size
        self.register_buffer("grid", torch.linspace(-1, 1, size), persistent=False)  # not stored: `size` says it all

    def shape(self, event: Shape) -> Shape:
        """The event's own."""
        return event

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event) -> the nearest point of the grid."""
        squashed = torch.tanh(theta)
        index = self.indices(squashed.detach())
        value = squashed + (self.values(index) - squashed).detach()  # the value is the grid's, the gradient that of tanh
        return Chosen(value, index, squashed, len(event))

    def tokens(self, event: Shape) -> Shape:
        """An index for each number."""
        return event

    def books_of(self, event: Shape) -> int:
        """One for each number of a vector, for each channel of a grid."""
        return event[0]

    def indices(self, code: Tensor) -> Tensor:
        """Numbers from 0 to L − 1."""
        # a code that a person gives may lie beyond the grid
        return ((code + 1) * 0.5 * (self.size - 1)).round().clamp(0, self.size - 1).long()

    def values(self, index: Tensor) -> Tensor:
        """Numbers from −1 to 1."""
        return self.grid[index]


class OfVectors(Codebook):
    """A codebook whose tokens are vectors: a code (n, D) has n of them, a code (D, h, w) a grid of h × w.

    Raises `Mistake` for codes of another shape.
    """

    def __init__(self, event: Shape) -> None:
        super().__init__()
        if len(event) not in (2, 3):
            raise Mistake(f"a code of a codebook has shape (tokens, numbers) or (numbers, height, width), got {event}")
        # a grid has its numbers first, as an image its channels; a row of tokens has them last
        self._across = -len(event) if len(event) == 3 else -1

    def shape(self, event: Shape) -> Shape:
        """The event's own."""
        return event

    def tokens(self, event: Shape) -> Shape:
        """An index for each vector: (n,) or (h, w)."""
        return event[1:] if len(event) == 3 else event[:1]

    def books_of(self, event: Shape) -> int:
        """One for all tokens."""
        return 1


class LookupFree(OfVectors):
    """Lookup-free quantisation (LFQ): every number of a token becomes its sign, so that D of them make one of 2^D words.

    z = sign θ (1 at 0), its gradient that of θ; bit j of a word's number is 1 where z_j is. There are no rows to look up, and
    none can die. `IndexEntropy` reads the odds of each bit, 4θ: those of q(c|θ) ∝ exp(−‖θ − c‖²) over all words c. The rate is
    n D log 2 nats of n tokens under the uniform prior. Yu et al. 2023, https://arxiv.org/abs/2310.05737, section 3.1. Raises
    `Mistake` for more than 16 numbers a token, whose words a prior could not hold.
    """

    powers: Tensor

    @checked
    def __init__(self, event: Shape) -> None:
        super().__init__(event)
        bits = event[self._across]
        if not 1 <= bits <= BITS:
            raise Mistake(f"a word is of 1 to {BITS} bits, got {bits}: give a smaller `token_dim`")
        self.size = 2**bits
        self.register_buffer("powers", 2.0 ** torch.arange(bits), persistent=False)  # not stored: the code's shape says it

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event) -> its signs."""
        index = self.indices(theta.detach())
        value = theta + (self.values(index) - theta).detach()
        return Chosen(value, index, theta, len(event), odds=4 * theta.movedim(self._across, -1))

    def indices(self, code: Tensor) -> Tensor:
        """Numbers from 0 to 2^D − 1."""
        return ((code.movedim(self._across, -1) >= 0) * self.powers.long()).sum(-1)

    def values(self, index: Tensor) -> Tensor:
        """Numbers −1 and 1, (*lead, *event)."""
        bits = index.unsqueeze(-1) // self.powers.long() % 2
        return (2 * bits.to(self.powers.dtype) - 1).movedim(-1, self._across)


class VectorQuantised(OfVectors):
    """The nearest row of a codebook of K vectors for each token (VQ), the codebook following the encoder by moving averages.

    In training, with decay γ: N_k ← γN_k + (1 − γ)n_k, m_k ← γm_k + (1 − γ)Σ e, row k = m_k/N_k, over the tokens that chose
    k; a row that is hardly chosen is put where some token of the batch is, and in the first step all are. The gradient goes
    straight through. The encoder pays for its distance from the rows by `Commitment`. `gradient`: the rows are weights in place
    of averages, which `Rows` draws to the encoder's tokens. van den Oord et al. 2017, https://arxiv.org/abs/1711.00937, eq. 3
    and appendix A.1; revival as in Dhariwal et al. 2020, https://arxiv.org/abs/2005.00341, and so is the start. Raises
    `Mistake` for codes of another shape.
    """

    rows: Tensor
    counts: Tensor
    sums: Tensor

    @checked
    def __init__(self, event: Shape, size: int = 512, decay: float = 0.99, gradient: bool = False) -> None:
        super().__init__(event)
        if size < 2:
            raise Mistake(f"`size` is a number of rows of the codebook, 2 or more; got {size}")
        self.size, self.decay = size, decay
        start = torch.randn(size, event[self._across])
        self.gradient = gradient
        if gradient:
            # close together, as tokens are at first: of rows far apart the one nearest to the middle would be all tokens'
            self.rows = nn.Parameter(start / size)
            return
        self.learnt = ("rows", "counts", "sums")
        self.register_buffer("rows", start)
        self.register_buffer("counts", torch.zeros(size))  # so that the first step puts all rows where tokens are
        self.register_buffer("sums", torch.zeros_like(start))

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *event) -> the nearest rows."""
        index = self.indices(theta.detach())
        rows = self.values(index)
        value = theta + (rows - theta).detach()
        # a pass without gradients is no step
        if self.training and torch.is_grad_enabled() and not self.gradient:
            self._follow(theta.detach().movedim(self._across, -1), index)
        return Chosen(value, index, theta, len(event), rows)

    def indices(self, code: Tensor) -> Tensor:
        """Numbers of the nearest rows."""
        with exact(code.device):  # bfloat16 would take a neighbour for the nearest
            # Without the square of the code itself, which is the same for all rows.
            middle = self.rows.detach().mean(0)  # squares of numbers about it: of numbers far from 0 they would cancel
            rows = self.rows.detach() - middle
            # in the rows' precision: a code that a person gives may come in another
            distances = rows.square().sum(1) - 2 * (code.to(rows.dtype).movedim(self._across, -1) - middle) @ rows.T
        return distances.argmin(-1)

    def values(self, index: Tensor) -> Tensor:
        """Rows, (*lead, *event)."""
        return self.rows[index].movedim(-1, self._across)

    @torch.no_grad()
    def _follow(self, tokens: Tensor, index: Tensor) -> None:
        """One step of the moving averages; rows that are hardly chosen are put on tokens of the batch."""
        flat, chosen = tokens.flatten(0, -2), index.flatten()
        sane = torch.isfinite(flat).all(1)  # a step that is skipped for what is not finite must not be remembered here
        flat = torch.where(sane[:, None], flat, 0)
        hits, sums = map(ranks.total, self._gathered(flat, chosen, sane))
        flat = ranks.whole(flat)
        self.counts.lerp_(hits, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        dead = (self.counts < ALIVE * len(flat) / self.size) & (hits.sum() > 0)
        some = flat[torch.randint(len(flat), (self.size,), device=flat.device)]  # drawn always: a step's noise is the same
        self.counts.copy_(torch.where(dead, torch.ones_like(self.counts), self.counts))  # 1, since its sum is one token now
        self.sums.copy_(torch.where(dead[:, None], some, self.sums))
        led = self.counts[:, None] > 0
        self.rows.copy_(torch.where(led, self.sums / torch.where(led, self.counts[:, None], 1), self.rows))

    def _gathered(self, flat: Tensor, chosen: Tensor, sane: Tensor) -> tuple[Tensor, Tensor]:
        """The number (K,) and the sum (K, D) of the tokens that chose each row."""
        if flat.device.type == "cpu":
            hits = torch.zeros_like(self.counts).index_add_(0, chosen, sane.to(flat.dtype))
            return hits, torch.zeros_like(self.sums).index_add_(0, chosen, flat)
        # A card adds by index in whatever order its threads come; a product has one order, the same in every run.
        which = (chosen == torch.arange(self.size, device=chosen.device)[:, None]).to(flat.dtype)
        with exact(flat.device):
            return which @ sane.to(flat.dtype), which @ flat


class ResidualQuantised(Codebook):
    """Codebooks in a row, each of what those before it have left over: the sum of L rows stands for each token.

    A code holds the rows themselves, L · n tokens in the order of the books, (L·n, D) or (D, L·h, w), so that each index is
    read off it again; `summed` adds them up for the decoder. Lee et al. 2022, https://arxiv.org/abs/2203.01941; Zeghidour et
    al. 2021, https://arxiv.org/abs/2107.03312. `event`: of one book's tokens. Raises `Mistake` as `VectorQuantised` does.
    """

    @checked
    def __init__(self, event: Shape, size: int = 512, books: int = 2) -> None:
        super().__init__()
        if books < 1:
            raise Mistake(f"`books` is a number of codebooks, 1 or more; got {books}")
        self.size, self.inner = size, event
        self.books = nn.ModuleList(VectorQuantised(event, size) for _ in range(books))

    @property
    def event(self) -> Shape:
        """The shape of the whole code."""
        stacked = len(self.books) * self.inner[-2]
        return (*self.inner[:-2], stacked, self.inner[-1])

    def shape(self, event: Shape) -> Shape:
        """That of one book's tokens."""
        return self.inner

    def forward(self, theta: Tensor, event: Shape) -> Distribution:
        """theta (*lead, *inner) -> the rows that were chosen in turn."""
        rest, found = theta, []
        for book in self._books():
            chosen = book(rest, self.inner)
            row = chosen.rows.detach()  # not its value, which is rounded as e + (row − e) is
            found.append((row, chosen.index, rest))
            rest = rest - row
        values, index, away = zip(*found, strict=True)
        # the gradient goes straight through the sum: to the encoder once, by the first book's share of it
        value = torch.cat([values[0] + (theta - theta.detach()), *values[1:]], -2)
        return Chosen(value, torch.cat(index, self._along), torch.cat(away, -2), len(event))

    def summed(self, code: Tensor) -> Tensor:
        """(*lead, *event) -> the sum over books, (*lead, *inner)."""
        return torch.stack(code.chunk(len(self.books), -2)).sum(0)

    def tokens(self, event: Shape) -> Shape:
        """An index for each vector of each book."""
        return event[1:] if len(event) == 3 else event[:1]

    def books_of(self, event: Shape) -> int:
        """All that are in a row."""
        return len(self.books)

    def indices(self, code: Tensor) -> Tensor:
        """Numbers of the nearest rows, each in its own book."""
        parts = zip(self._books(), code.chunk(len(self.books), -2), strict=True)
        return torch.cat([book.indices(part) for book, part in parts], self._along)

    def values(self, index: Tensor) -> Tensor:
        """Rows, (*lead, *event)."""
        parts = zip(self._books(), index.chunk(len(self.books), self._along), strict=True)
        return torch.cat([book.values(part) for book, part in parts], -2)

    @property
    def _along(self) -> int:
        """The axis of indices along which books lie in a row."""
        return -2 if len(self.inner) == 3 else -1

    def _books(self) -> list[VectorQuantised]:
        return [book for book in self.books if isinstance(book, VectorQuantised)]


class Indexed(Prior):
    """p(z) over a codebook's indices, each token by itself: uniform, −n log K nats, or learnt, −Σ log π_t[index].

    What is learnt is learnt with the model: the indices that the encoder chooses are its data.
    """

    has_moments = False

    @checked
    def __init__(self, book: Codebook, event: Shape, learnt: bool = False) -> None:
        super().__init__()
        self.event = event
        self._book = [book]  # in a list: it is the posterior's, and is stored once
        start = torch.zeros(*book.tokens(event), book.size)
        self.logits: Tensor
        if learnt:
            self.logits = nn.Parameter(start)
        else:
            self.register_buffer("logits", start, persistent=False)

    def forward(self, given: Given) -> Distribution:
        """The same for everything given."""
        book = self._book[0]
        return Tokens(torch.log_softmax(self.logits, -1), book.values, book.indices, self.event)
