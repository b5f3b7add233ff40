"""Terms, weights that follow the step or the loss, and their sum: what training minimises, and who else learns beside it.

Covered: per-example terms in nats, weights as numbers, schedules or rules with a state of their own, players that a term brings
along, one reduction (mean over the batch, once, at the end). Not covered: what a trace is (trace.py); the step that minimises
(training/learner.py).

An objective's state is its module's: the parameters and buffers of its terms and weights. Checkpoints hold it, runs do not:
nothing that is done with a trained model needs it.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from legato.arguments import checked, held
from legato.errors import Mistake
from legato.player import Player
from legato.trace import Trace

END = 10**12  # a step past any schedule, at which every weight rests


class Weight(nn.Module):
    """A weight that follows the step, or the loss: then its buffers are a state, which checkpoints hold."""

    follows = False  # True: it follows the loss, so that its last value is known from a training alone
    length = 0.0  # the share of a run, or the number of steps, until it rests

    @abstractmethod
    def value(self, step: int, total: int) -> float | Tensor:
        """The weight at `step` of `total`, 0 or more."""

    def follow(self, found: Tensor, pace: float | Tensor) -> None:
        """Told after each step of its term's mean over the batch, nats, (), and of the learning rate as a share of its peak."""

    def __mul__(self, term: Term) -> Objective:
        return Objective([(self, term)])

    def charge(self, now: float | Tensor, found: Tensor) -> Tensor:
        """The charge for a term whose mean over the batch is `found`, (), at the weight `now`: their product, for most."""
        return now * found

    @property
    def last(self) -> float:
        """The price that it ends with of a nat of its term."""
        return float(self.value(END, END))

    def resting(self) -> Weight:
        """The weight that it ends with, from the first step on."""
        return Line(self.last, self.last)

    def steps(self, total: int) -> int:
        """The number of steps, of `total`, after which it rests."""
        return round(self.length * total) if self.length <= 1 else int(self.length)


class Line(Weight):
    """A weight from `start` linearly to `end` over `length`, then `end`: with length 0 a constant."""

    def __init__(self, start: float, end: float, length: float = 0.0) -> None:
        super().__init__()
        self.start, self.end, self.length = start, end, length

    def __str__(self) -> str:
        return f"{self.end:g}" if not self.length or self.start == self.end else f"({self.start:g} → {self.end:g})"

    def value(self, step: int, total: int) -> float:
        """The number at `step` of `total`."""
        until = self.steps(total)
        # a length of 0 divides nothing: all lies past it
        return self.end if step >= until else self.start + (self.end - self.start) * step / until


@checked
def anneal(start: float, end: float, length: float) -> Weight:
    """A weight from `start` linearly to `end` over `length` steps (or, up to 1, that share of the run), then `end`.

    A schedule that outlives the run would leave another objective trained than the one that is named; training refuses it.
    """
    if not (0 < length < math.inf):  # so, and not turned over: NaN is refused too
        raise Mistake(f"a schedule's length is a number of steps, or a share of the run up to 1; got {length}")
    if not (0 <= start < math.inf and 0 <= end < math.inf):
        raise Mistake(f"a weight must be a finite number, 0 or more, got a schedule from {start} to {end}")

    return Line(start, end, length)


class Term(nn.Module):
    """Trace -> nats per example, (B,). Smaller is better. Never averaged over an example's dimensions."""

    draws = 1  # draws of z that it wants; all terms share those of the hungriest
    needs_density = False  # True: refused with a point-mass posterior, which has no log q
    needs_moments = False  # True: refused with a prior that has no mean, from which to charge a distance
    needs_choice = False  # True: refused with a posterior that rounds nothing
    needs_product = False  # True: refused with a posterior that is no product over the latents of one group
    reads_prior = False  # True: it draws q towards the prior, so that draws from the prior mean something to the decoder
    is_likelihood = False  # True: its nats are of log p(x|z), or of a bound that holds it
    is_likeness = False  # True: it compares x with what is decoded by another measure than log p(x|z)
    balances = False  # True: it is charged at a multiple of its weight that `balance` finds in each step
    weighs = False  # True: it weighs its draws by importance, so that one of them may carry all
    needs_image = False  # True: refused where an example is no image
    needs_places = False  # True: refused where a code lies at no places, or its net takes no other number of them
    needs_classifier = False  # True: refused where the model infers no class
    aggregate = False  # True: a number of the whole batch, by design; all others are per example
    least_batch = 1  # examples without which it says nothing: a population has 2 or more
    name: str

    @property
    def player(self) -> Player | None:
        """The player that learns beside the model for this term's sake; None for most."""
        return None

    @abstractmethod
    def forward(self, trace: Trace) -> Tensor:
        """(B,), nats per example."""

    def balance(self, found: Tensor, fidelity: Tensor, trace: Trace) -> Tensor:
        """The multiple of its weight, (), of a term that balances: by its own mean and the weighted fidelity, both ()."""
        raise NotImplementedError

    def __rmul__(self, weight: float) -> Objective:
        return weighed(weight, self)

    def __add__(self, other: Term | Objective) -> Objective:
        return weighed(1.0, self) + other


class Loss(NamedTuple):
    """The cost of a batch: `total` carries the gradient; `parts` are the unweighted terms, detached, nats per example."""

    total: Tensor
    parts: dict[str, Tensor]


class Objective(nn.Module):
    """Σᵢ wᵢ(step) · termᵢ, averaged over the batch once."""

    def __init__(self, parts: list[tuple[Weight, Term]]) -> None:
        super().__init__()
        if not isinstance(parts, list):
            raise Mistake(f"an objective is a list of (weight, term), or a sum: Distortion() + 4 * Rate(); got {parts!r}")
        self.weights = nn.ModuleList(weight for weight, _ in parts)
        self.terms = nn.ModuleList(term for _, term in parts)
        names = [term.name for _, term in parts]
        if len(set(names)) < len(names):
            raise Mistake(f"an objective has each term once, got {', '.join(names)}: add up their weights instead")

    def __repr__(self) -> str:
        return " + ".join(f"{weight} · {term.name}" for weight, term in self._parts())

    @property
    def draws(self) -> int:
        """The number of draws that the hungriest term wants."""
        return max(term.draws for term in self._terms())

    @property
    def players(self) -> list[Player]:
        """The players that learn beside the model."""
        return [player for term in self._terms() if (player := term.player) is not None]

    @property
    def own(self) -> list[nn.Parameter]:
        """The parameters that learn with the model, by its loss: all but the players'."""
        # By identity: tensors compare value by value, and two players may begin with equal weights.
        others = {id(weight) for player in self.players for weight in player.module.parameters()}
        return [weight for weight in self.parameters() if id(weight) not in others]

    @property
    def needs_density(self) -> bool:
        """True where a term needs log q(z|x)."""
        return any(term.needs_density for term in self._terms())

    @property
    def needs_moments(self) -> bool:
        """True where a term needs the prior's mean and deviation."""
        return any(term.needs_moments for term in self._terms())

    @property
    def needs_choice(self) -> bool:
        """True where a term needs a codebook."""
        return any(term.needs_choice for term in self._terms())

    @property
    def needs_product(self) -> bool:
        """True where a term needs q(z|x) as a product over latents."""
        return any(term.needs_product for term in self._terms())

    @property
    def needs_image(self) -> bool:
        """True where a term compares images."""
        return any(term.needs_image for term in self._terms())

    @property
    def needs_places(self) -> bool:
        """True where a term decodes codes of another size."""
        return any(term.needs_places for term in self._terms())

    @property
    def needs_fidelity(self) -> bool:
        """True where a term balances itself by those that compare x with what is decoded, and there are none."""
        terms = self._terms()
        return any(one.balances for one in terms) and not any(one.is_likelihood or one.is_likeness for one in terms)

    def refuse_batch(self, size: int) -> None:
        """Raises `Mistake` where a term asks for more examples than a batch of `size` has."""
        for term in self._terms():
            if size < term.least_batch:
                had = f"a batch of {size} example{'s' * (size > 1)}"
                raise Mistake(f"`{term.name}` is of a population, and {had} is none: --batch-size {term.least_batch} or more")

    @property
    def needs_classifier(self) -> bool:
        """True where a term reads what the model infers of an example's class."""
        return any(term.needs_classifier for term in self._terms())

    @property
    def is_likelihood(self) -> bool:
        """True where fidelity is charged in nats of log p(x|z): else the decoder was trained for a likeness of another kind."""
        return any(term.is_likelihood for term in self._terms())

    @property
    def weighs(self) -> bool:
        """True where several draws of an example are weighed by importance."""
        return self.draws > 1 and any(term.weighs for term in self._terms())

    @property
    def charges_rate(self) -> bool:
        """True where the run ends with a positive weight on a term that compares q with the prior."""
        # A `Pull` does not count: it has no density to compare, and a decoder undoes it by growing.
        return any(weight.last > 0 and term.reads_prior for weight, term in self._parts())

    @property
    def follows(self) -> bool:
        """True where a weight follows the loss."""
        return any(weight.follows for weight, _ in self._parts())

    def final_weight(self, name: str) -> float:
        """The weight that the run ends with on the term of that name; 0 where there is none."""
        return sum(weight.last for weight, term in self._parts() if term.name == name)

    def price(self, lines: Callable[[], Sequence[Mapping[str, Any]]]) -> float:
        """What a nat of rate costs in nats of distortion where training ended; 0 where it cost nothing.

        `lines`: a run's metrics, in which a weight that follows the loss is read where it was last told of.
        """
        told = [line["weights"] for line in lines() if "weights" in line] if self.follows else []
        if not told:
            return self.final_weight("rate")
        return float(told[-1].get("rate", 0.0) / told[-1].get("distortion", 1.0))

    def __add__(self, other: Term | Objective) -> Objective:
        more = weighed(1.0, other) if isinstance(other, Term) else other
        if not isinstance(more, Objective):
            raise Mistake(f"an objective is a sum of terms, such as Distortion() + 4 * Rate(): `{other!r}` is none")
        return Objective([*self._parts(), *more._parts()])

    def forward(self, trace: Trace, weights: Sequence[float | Tensor]) -> Loss:
        """The batch's loss at `weights` (from `at`), and its parts."""
        # The one mean over the batch: terms give nats per example, so that none can be averaged twice.
        values = {term.name: term(trace).mean() for term in self._terms()}
        charged = zip(self._parts(), weights, values.values(), strict=True)
        costs = [weight.charge(now, value) for (weight, _), now, value in charged]
        total = sum(self._balanced(costs, list(values.values()), trace))
        assert isinstance(total, Tensor)
        # detached: metrics would hold each step's graph
        return Loss(total, {name: value.detach() for name, value in values.items()})

    def _balanced(self, costs: list[Tensor], values: list[Tensor], trace: Trace) -> list[Tensor]:
        """The costs, of terms that balance themselves at their multiples; where nothing is learnt there is none to find."""
        terms = self._terms()
        if not (torch.is_grad_enabled() and any(term.balances for term in terms)):
            return costs
        faithful = [cost for cost, term in zip(costs, terms, strict=True) if term.is_likelihood or term.is_likeness]
        fidelity = sum(faithful[1:], start=faithful[0])
        parts = zip(costs, values, terms, strict=True)
        return [cost * term.balance(value, fidelity, trace) if term.balances else cost for cost, value, term in parts]

    def at(self, step: int, total: int) -> list[float | Tensor]:
        """Each term's weight at `step` of `total`. Raises `Mistake` for a schedule that outlives the run."""
        for weight, _ in self._parts():
            if weight.steps(total) > total:
                raise Mistake(
                    f"a schedule of {weight.steps(total)} steps outlives the run of {total}: "
                    "train longer, or give its length as a share of the run (0.25)"
                )
        return [weight.value(step, total) for weight, _ in self._parts()]

    def scheduled(self, step: int, total: int) -> list[float]:
        """`at` as numbers that are known beforehand: 0 for a weight that follows the loss."""
        values = zip(self.at(step, total), self._parts(), strict=True)
        return [0.0 if weight.follows else float(value) for value, (weight, _) in values]

    def by(self, scheduled: Tensor) -> list[Tensor]:
        """`at` on the device: `scheduled` (terms,) for the weights that follow the step, for others what they are now."""
        values = zip(scheduled.unbind(), self._parts(), strict=True)
        return [torch.as_tensor(weight.value(END, END)) if weight.follows else value for value, (weight, _) in values]

    def follow(self, parts: dict[str, Tensor], pace: float | Tensor) -> None:
        """Moves the weights that follow the loss, after a step whose `parts` were found."""
        for weight, term in self._parts():
            weight.follow(parts[term.name], pace)

    def settled(self, total: int) -> int:
        """The number of steps, of `total`, after which every schedule rests."""
        return max(weight.steps(total) for weight, _ in self._parts())

    def endless(self) -> None:
        """For a training whose end nobody knows: weights that follow a share of it rest, others go on as they are."""
        self.weights = nn.ModuleList(one.resting() if 0 < one.length <= 1 else one for one, _ in self._parts())

    def _terms(self) -> list[Term]:
        return [term for term in self.terms if isinstance(term, Term)]

    def _parts(self) -> list[tuple[Weight, Term]]:
        weights = [weight for weight in self.weights if isinstance(weight, Weight)]
        return list(zip(weights, self._terms(), strict=True))


def weighed(weight: float, term: Term) -> Objective:
    """A constant weight times a term."""
    value = float(held(float, weight, f"the weight of `{term.name}`"))
    if not 0 <= value < math.inf:
        raise Mistake(
            f"the weight of `{term.name}` must be a finite number, 0 or more, got {weight}: else nothing has a minimum"
        )
    return Objective([(Line(value, value), term)])
