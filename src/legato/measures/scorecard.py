"""`legato evaluate`: every figure of one run on one split, each an estimate or null with a `why`.

Beside the likelihood: of how many examples it is not to be trusted, and what follows, in words.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from legato.arguments import Seed, checked
from legato.batch import Batch
from legato.data.preparation import beyond
from legato.data.prepared import Prepared
from legato.data.rows import plain
from legato.errors import Mistake
from legato.files import told
from legato.latent_space import LatentSpace
from legato.loading import Trained, opened
from legato.measures.answers import Scorecard
from legato.measures.as_needed import LADDER, score_as_needed
from legato.measures.estimate import Estimate, absent, mean_over
from legato.measures.known import measure_of
from legato.measures.likelihood import Scores, score
from legato.measures.rate import THRESHOLDS, active_units, codebook_perplexity, kl_per_dimension, rate_per_level
from legato.measures.tails import dominated, trust, untrusted_share
from legato.moments import whole
from legato.progress import progress
from legato.types import Rows

BATCH = 100  # examples at a time: with the chunks of draws that a batch is cut into, memory is bounded at any k
AUTO: Literal["auto"] = "auto"
Draws = int | Literal["auto"]
OF_LIKELIHOOD = ("elbo", "nll", "bits_per_dim", "ess", "untrusted_share")  # what only a model with a log p(x) has
NO_POSTERIOR = "a point mass has no density: an autoencoder has a distortion, and neither rate nor likelihood"


@told()
@checked
def evaluate(
    run: Trained,
    source: Any = None,
    *,
    split: str | None = None,
    k: Draws = 1000,
    limit: int | None = None,
    seed: Seed = 0,
) -> Scorecard:
    """elbo, rate, distortion, nll, bits_per_dim, ess, untrusted_share, trust, active_units, kl_per_dimension,
    rate_per_level, codebook_perplexity, data, run.

    `run`: a trained model, or where its RUN lies. JSON-ready, and shown as a table. On the `split` of the run's data (default:
    test), or of another `source` prepared alike (default: all); nll with exactly k importance draws per example, or, with
    k = "auto", as many as each one's weights need, and annealing where none would do (as_needed.py).
    `limit`: a sample of so many examples (`data` says n). Intervals are over the examples; one seed, one trained model.
    """
    for name, number in {"k": k, "limit": limit}.items():
        if number not in (None, AUTO) and (isinstance(number, str) or number < 1):
            raise Mistake(f"`{name}` must be 1 or more{' or auto' if name == 'k' else ''}, got {number}")
    space = opened(run)
    data = space.data(source)
    split = split or data.default_split
    numbers = rows_of(data, split, limit)
    rows = batches(space, data, numbers)
    if k == AUTO and space.recipe.no_likelihood is None:
        found = score_as_needed(space.model, rows, seed)
    else:
        # where there are no weights to settle; all draws of a point mass are the same
        drawn = k if k != AUTO else LADDER.first if space.has_density else 1
        found = likely(space, score(space.model, rows, drawn, seed))
    _blame(data, numbers, found)
    return Scorecard(
        _figures(space, found, k),
        data=describe(data, split, numbers),
        run={"path": str(space.run.path), **_said(space), "k": k, "seed": seed, **_likelihood(space), **_told(space)},
    )


def likely(space: LatentSpace, found: Scores) -> Scores:
    """The scores without what would pass for a log p(x), where the model has none."""
    return found if space.recipe.no_likelihood is None else replace(found, log_px=None, ess=None, k_hat=None)


def _said(space: LatentSpace) -> dict[str, Any]:
    """The sentence; a shape where there is one, so that what was written before codes had any stays as it was."""
    found = space.definition.to_json()
    return {name: value for name, value in found.items() if name != "latent_shape" or value is not None}


def _blame(data: Prepared, numbers: NDArray[np.int64], found: Scores) -> None:
    """Raises `Mistake` where a row has no figure because it lies too far out: the model is not at fault."""
    # Only rows that lie too far out are blamed on themselves; anything else that is not finite is the model's fault.
    lost = np.zeros(len(numbers), bool)
    for figure in (found.distortion, found.rate, found.log_px):
        lost |= False if figure is None else ~np.isfinite(figure)
    for row in numbers[lost]:
        x = data.rows(np.array([row]))
        if beyond(x)[0]:
            raise Mistake(
                f"row `{data.dataset.ids[int(row)]}` of `{data.dataset.source}` lies {np.abs(x).max():.0e} standard deviations "
                "from the training data, too far for a figure: leave it out, or give every row its own with `legato score`"
            )


def _figures(space: LatentSpace, found: Scores, k: Draws) -> dict[str, Any]:
    settled = LADDER.first if space.recipe.no_likelihood else LADDER
    draws = f"mean of {settled if k == AUTO else k} draws of z per example"
    distortion = _mean("distortion", found.distortion, f"-log p(x|z), {draws if space.has_density else 'at the code'}")
    # Every key is there for every model: who reads the JSON need not know which model has which.
    if found.rate is None:
        none = absent(NO_POSTERIOR).to_json()
        active = {f"{threshold:g}": none for threshold in THRESHOLDS}
        found_none = dict.fromkeys((*OF_LIKELIHOOD, "rate", "kl_per_dimension", "rate_per_level"), none) | {
            "trust": NO_POSTERIOR
        }
        chosen = codebook_perplexity(None, 0).to_json()
        return found_none | {"distortion": distortion.to_json(), "active_units": active, "codebook_perplexity": chosen}
    kl = kl_per_dimension(found.kl, channels=not whole(space.latent_dim))
    return _of_likelihood(space, found, k) | {
        "rate": _mean("rate", found.rate, "KL(q(z|x) || p(z))").to_json(),
        "distortion": distortion.to_json(),
        "active_units": {f"{t:g}": active_units(found.mu, t).to_json() for t in THRESHOLDS},
        "kl_per_dimension": _each(kl),
        "rate_per_level": _each(rate_per_level(found.levels, space.model.latent.levels)),
        "codebook_perplexity": codebook_perplexity(found.index, space.model.latent.books).to_json(),
    }


def _of_likelihood(space: LatentSpace, found: Scores, k: Draws) -> dict[str, Any]:
    """Bounds on log p(x), and whether they can be trusted."""
    draws = f"mean of {LADDER if k == AUTO else k} draws of z per example"
    if found.rate is None or found.log_px is None:
        why = space.recipe.no_likelihood or NO_POSTERIOR
        return dict.fromkeys(OF_LIKELIHOOD, absent(why).to_json()) | {"trust": why}
    elbo = _mean("elbo", -(found.distortion + found.rate), f"beta = 1, {draws}, KL in closed form")
    nll = _mean("nll", -found.log_px, how_bounded(found, k))
    return {
        "elbo": elbo.to_json(),
        "nll": nll.to_json(),
        "bits_per_dim": _bits_per_dim(space, nll).to_json(),
        "ess": _effective(found, k).to_json(),
        "untrusted_share": untrusted_share(found.k_hat).to_json(),
        "trust": trust(found.k_hat) + ("" if k == AUTO else dominated(found.ess, k)),
    }


def _each(found: list[Estimate] | Estimate) -> Any:
    return [one.to_json() for one in found] if isinstance(found, list) else found.to_json()


def _mean(key: str, values: NDArray[Any], method: str) -> Estimate:
    """The mean over examples, in the unit of that measure."""
    return mean_over(values, measure_of(key).unit, method)


def how_bounded(found: Scores, k: Draws) -> str:
    """The method of an nll: how many draws, and of how many examples it is not to be trusted."""
    bad = untrusted_share(found.k_hat).value
    flag = (
        "whether it is to be trusted is not known" if bad is None else f"Pareto k-hat above 0.7 for {bad:.1%} of the examples"
    )
    if found.draws is None:
        return f"importance-weighted bound on -log p(x), k = {k}; {flag}"
    counts = {int(k): int((found.draws == k).sum()) for k in np.unique(found.draws)}
    annealed = counts.pop(0, 0)
    told = [f"{n:,} examples with k = {k:,}" for k, n in counts.items()]
    told += [f"{annealed:,} by annealed importance sampling from q(z|x) ({LADDER.annealing})"] if annealed else []
    return f"bound on -log p(x), draws chosen by k-hat of others: {', '.join(told)}; {flag}"


def _effective(found: Scores, k: Draws) -> Estimate:
    if k == AUTO or found.ess is None:
        return absent("the examples had different numbers of draws: their effective numbers have no common scale", "draws")
    return _mean("ess", found.ess, f"(sum w)^2 / sum w^2 of {k} importance weights")


def _bits_per_dim(space: LatentSpace, nll: Estimate) -> Estimate:
    """nll/(D log 2), only for probabilities of 8-bit values: a density has no bits."""
    unit = measure_of("bits_per_dim").unit
    # Bits of a density depend on the unit of x: halve it, and each value costs a bit less.
    if space.model.likelihood.family.levels == 256:
        return nll.scaled(1 / (math.prod(space.shape) * math.log(2)), unit, f"nll / (D log 2); {nll.method}")
    if space.preparation.binarise or space.preparation.kind == "binary":
        return absent("the model is of binary values, not of 8-bit ones: its nll is in nats", unit)
    if space.preparation.kind == "counts":
        return absent("the model is of counts, not of 8-bit values: its nll is in nats", unit)
    return absent("the likelihood is a density, not a probability of 8-bit values: use discretized-logistic", unit)


def rows_of(data: Prepared, split: str, limit: int | None = None) -> NDArray[np.int64]:
    """Every row of a split in its order, or a sample of `limit`, the same for all models. Raises `Mistake` for an empty one."""
    rows = data.split(split)
    if not len(rows):
        raise Mistake(f"the split `{split}` is empty: choose another --split (train, validation, test, all)")
    # A sample in the source's order too, in which a disk reads it faster; by its own name, so that no other draw moves it.
    return rows.all() if limit is None else np.sort(rows.draw(limit, "evaluated"))


def batches(space: LatentSpace, data: Prepared, numbers: Rows) -> Iterator[Batch]:
    """These rows as the model sees them, with their classes where it reads them, on its device, with a bar."""
    with progress("scoring", len(numbers), unit="examples") as bar:
        for at in range(0, len(numbers), BATCH):
            some = data.batch(numbers[at : at + BATCH], space.model.needs_label)
            yield some.to(space.device)
            bar(at + len(some))


def describe(data: Prepared, split: str, numbers: Any) -> dict[str, Any]:
    """The data that were measured on, so that another can measure on the same."""
    binarised = data.preparation.binarise
    return {
        "source": data.dataset.source,
        "split": split,
        "n": len(numbers),
        "shape": list(data.dataset.shape),
        "fingerprint": data.dataset.fingerprint,
        # drawn bits are part of the data: another seed gives other figures
        "binarisation": data.preparation.to_json()["evaluation_seed"] if binarised else None,
        "checksum": data.preparation.checksum(plain(data.dataset.rows), numbers) if binarised else None,
    }


def _likelihood(space: LatentSpace) -> dict[str, Any]:
    """The scale of a Gaussian likelihood is part of every figure: it is printed."""
    scale = getattr(space.model.likelihood.family, "scale", None)
    return {"likelihood_scale": None if scale is None else np.asarray(scale.detach().cpu()).tolist()}


def _told(space: LatentSpace) -> dict[str, Any]:
    """The class that a class-conditional model was told, whose log p(x) is log p(x|class), or the number it was summed over;
    levels, where there are some.
    """
    levels = {"levels": list(space.model.latent.levels)} if space.model.latent.levels else {}
    if space.model.infers_class:
        return levels | {"classes": len(space.classes)}
    if not space.classes:
        return levels
    return levels | {"label": "each row's own" if space.one is None else space.classes[space.one]}
