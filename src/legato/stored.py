"""Contents of a RUN's files: their names, types and ranges (schema.py), checked whenever one is read.

Covered: recipe.json but for a recipe's own options (recipe.py knows those), data.json, training.json, metrics.jsonl, a
checkpoint's state.json. Not covered: tensors, whose names and shapes are the model's (tensors.py).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from legato.data.options import DataOptions
from legato.errors import Mistake
from legato.schema import Within
from legato.setting import Kind, LikelihoodName, NetName

COUNT = Within(0, 2**53)  # of anything; JSON's other readers know no larger whole number
SIDE = Within(1, 2**24)  # of an example's shape: more is a damaged digit
RANGES = {
    "batch_size": Within(1, 1_000_000),
    "learning_rate": Within(1e-12, 10),
    "warmup_steps": Within(0, 1e9),
    "weight_decay": Within(0, 10),
    "clip": Within(1e-9, 1e30),
    "ema": Within(0, 1 - 1e-9),
    "seed": Within(0, 2**31 - 1),
    "snapshots": Within(0, 1000),
    "checkpoint_minutes": Within(1e-3, 1e6),
}
Count = Annotated[int, COUNT]
Shape = Annotated[list[Annotated[int, SIDE]], Within(1, 3)]
Figures = list[float] | None


class StoredRecipe(TypedDict):
    """recipe.json; what else it says are the recipe's own options."""

    recipe: Annotated[str, Within(1, 1000)]
    net: NetName
    width: Annotated[int, Within(1, 2**20)] | None
    depth: Annotated[int, Within(0, 1000)] | None
    latent_shape: NotRequired[Shape | None]
    likelihood: LikelihoodName
    scale: Annotated[float, Within(1e-30, 1e30)] | None


class StoredPreparation(TypedDict):
    """The preparation by which rows become what a model sees."""

    kind: Kind
    binarise: bool
    shift: Annotated[list[float], Within(1, SIDE.most)]
    scale: Annotated[list[Annotated[float, Within(5e-324, 1e308)]], Within(1, SIDE.most)]  # above 0: values are divided by it
    evaluation_seed: NotRequired[int | None]
    range: NotRequired[Annotated[list[float], Within(2, 2)] | None]
    means: NotRequired[Annotated[list[Annotated[float, Within(0, 1e9)]], Within(1, SIDE.most)]]


class Splits(TypedDict):
    """The number of rows of each."""

    train: Count
    validation: Count
    test: Count


class StoredColumns(TypedDict):
    """The use of each column of a table."""

    used: Annotated[list[str], Within(1, COUNT.most)]
    left_out: NotRequired[dict[str, str]]
    label: NotRequired[str | None]


class StoredData(TypedDict):
    """data.json."""

    source: str
    options: DataOptions
    fingerprint: str
    count: Count
    shape: Shape
    kind: Kind
    likelihood: LikelihoodName
    splits: Splits
    labels: NotRequired[str | None]
    classes: NotRequired[list[str]]
    unlabelled: NotRequired[Count]
    columns: NotRequired[StoredColumns | None]
    preparation: StoredPreparation


class StoredTraining(TypedDict):
    """training.json."""

    total: Count  # 0 of what another library trained
    imported: NotRequired[str]  # whose model it was, where it was converted
    batch_size: Annotated[int, RANGES["batch_size"]]
    learning_rate: Annotated[float, RANGES["learning_rate"]]
    warmup_steps: Annotated[int, RANGES["warmup_steps"]]
    weight_decay: Annotated[float, RANGES["weight_decay"]]
    clip: Annotated[float, RANGES["clip"]]
    ema: Annotated[float, RANGES["ema"]]
    seed: Annotated[int, RANGES["seed"]]
    snapshots: Annotated[int, RANGES["snapshots"]]
    precision: NotRequired[Literal["float32", "tf32", "bfloat16"]]
    engine: NotRequired[Literal["eager", "compiled", "graphed"]]
    keep: NotRequired[Literal["last", "best"]]
    shard: NotRequired[bool]
    freeze: NotRequired[Literal["nothing", "encoder"]]
    start: NotRequired[str | None]
    start_digest: NotRequired[str | None]
    affordable: NotRequired[Count]  # steps that the minutes had time for, where the cap on passes took some off
    asked: dict[str, Any]
    device: str
    threads: Annotated[int, Within(1, 4096)]
    # seconds of a step by number of threads: a clock's, so that equal runs may differ in it
    pace: NotRequired[dict[str, float]]


class Clock(TypedDict):
    """Seconds that the training took; no other clock is ever read."""

    seconds: NotRequired[float]


class Usage(TypedDict):
    """The use of a codebook: exp of the entropy, the share of values that were not chosen, their number, that of tokens."""

    perplexity: float
    unused: Annotated[float, Within(0, 1)]
    size: Annotated[int, Within(2, COUNT.most)]
    tokens: float


class Validation(TypedDict):
    """The figures of a validation."""

    distortion: float
    rate: float | None
    elbo: float | None
    std_mu: list[float]
    sigma: Figures
    kl: Figures
    usage: NotRequired[Usage]
    effective_draws: NotRequired[float]  # of as many draws as the objective weighs


class MetricsLine(TypedDict):
    """A line of metrics.jsonl."""

    step: Count
    epoch: NotRequired[float]
    clock: NotRequired[Clock]
    train: NotRequired[dict[str, float | None]]
    weights: NotRequired[dict[str, float]]
    players: NotRequired[dict[str, float | None]]
    learning_rate: NotRequired[float]
    skipped: NotRequired[Count]
    validation: NotRequired[Validation]
    alarms: NotRequired[dict[str, str]]  # what sounded first at this line, and what it said


Norms = Annotated[list[Annotated[float, Within(0, 1e308)]], Within(0, 41)]  # no more than the guard remembers


class StoredGuard(TypedDict):
    """Norms of recent gradients, the model's and other players', and which steps were skipped."""

    norms: Norms
    others: NotRequired[Annotated[list[Norms], Within(0, 100)]]
    outcomes: Annotated[list[Annotated[int, Within(0, 1)]], Within(0, 100)]
    skipped: Count


class StoredStep(TypedDict):
    """The part that every checkpoint's state.json has."""

    step: Count
    checksum: str


class StoredBest(TypedDict):
    """The validation whose weights are kept."""

    step: Count
    score: float


class StoredState(StoredStep):
    """state.json of a training."""

    best: NotRequired[StoredBest | None]

    guard: StoredGuard
    sums: list[float]
    counted: Count
    metrics_bytes: Count
    clock: Clock


def check_data(content: dict[str, Any]) -> str | None:
    """The reason why data.json contradicts itself; None where it does not."""
    preparation, shape = content["preparation"], content["shape"]
    try:
        DataOptions(**content["options"])
    except Mistake as mistake:
        return str(mistake)
    if preparation["kind"] != content["kind"]:
        return f"its values are {content['kind']}, its preparation is of {preparation['kind']}"
    if (preparation["kind"] == "counts") != ("means" in preparation):
        return "a preparation has means where its values are counts, and nowhere else"
    lengths = {len(preparation["shift"]), len(preparation["scale"]), len(preparation.get("means", "1"))}
    # one for all values, or one for each column
    return None if lengths <= {1, shape[0]} else f"`preparation` is of {max(lengths)} columns, the shape of {shape[0]}"
