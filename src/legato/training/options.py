"""Options of training, and the plan that follows: everything in steps, nothing that reads a clock.

No torch here: `legato train --help` reads this file.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from legato.defaults import NETS
from legato.errors import Mistake, unknown
from legato.stored import RANGES

FREEZE = ("nothing", "encoder")
KEEP, ENGINES = ("last", "best"), ("auto", "eager", "compiled", "graphed")
# of minutes, below these rows: see `most_steps`, where the best validations of small sources are told
MOST_PASSES, LEAST_STEPS, FEW_ROWS = 40, 300, 10_000
AVERAGE_EVERY, AVERAGED_SINGLY = 8, 96  # steps; within 8 weights hardly differ, and before 96 the decay itself grows quickly


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Length and manner of a training. One of `steps`, `epochs`, `minutes`; without any, 20 epochs."""

    steps: int | None = None
    """Train for this many steps."""
    epochs: float | None = None
    """Train for this many passes over the training images."""
    minutes: float | None = None
    """Train for about this long: a probe at the start turns it into a number of steps, once."""
    max_passes: float | None = None
    """With --minutes, at most so many passes over the training images; by default 40 (and 300 steps) below 10,000 images."""
    keep: Literal["last", "best"] = "last"
    """Which weights become the model: the last, or those of the best validation ELBO (an autoencoder: distortion)."""
    batch_size: int | None = None
    """Images in a step; by default what suits the net: 256, of strided convolutions 32."""
    learning_rate: float | None = None
    """AdamW's, at its peak; it warms up, then falls along a cosine. By default what suits the net: 0.001, of strided 0.002."""
    warmup_steps: int = 200
    """Steps over which the learning rate rises (at most a tenth of the run)."""
    weight_decay: float = 0.0
    """AdamW's decoupled weight decay."""
    clip: float = 200.0
    """The gradient's norm is cut to this, nats per unit of weight."""
    ema: float = 0.999
    """The model is the exponential moving average of the weights with this decay."""
    precision: Literal["auto", "float32", "tf32", "bfloat16"] = "auto"
    """Precision of the networks' products; all else is float32. auto: LEGATO_PRECISION, else what the chip is quick at. tf32:
    10 bits of mantissa, on NVIDIA's cards, in training only."""
    engine: Literal["auto", "eager", "compiled", "graphed"] = "auto"
    """How steps are made: eager, operation by operation; graphed, as replays of one CUDA graph; compiled, by a C++ compiler, in
    half a minute. auto: graphed on CUDA, on a CPU compiled in runs so long that it pays, else eager."""
    shard: bool = False
    """Each of several processes keeps a part of every large layer (FSDP): for a model that is too large for one."""
    start: str | None = None
    """Begin at the weights of a RUN, or of a folder of diffusers' AutoencoderKL (--net diffusers)."""
    freeze: Literal["nothing", "encoder"] = "nothing"
    """encoder: the decoder alone learns, and codes stay what they are."""
    seed: int = 0
    """Fixes the weights' start, the order of the data and every draw."""
    snapshots: int = 12
    """Weights kept along the way, spaced evenly in the logarithm of the step."""
    checkpoint_minutes: float = 2.0
    """A checkpoint this often, besides those at the end and on Ctrl-C."""


@dataclass(frozen=True)
class Plan:
    """The options made definite: what a resumed run must share with the one that was stopped. Kept in `training.json`."""

    total: int  # steps: schedules are fitted to them and never read a clock
    batch_size: int
    learning_rate: float
    warmup_steps: int
    weight_decay: float
    clip: float
    ema: float
    seed: int
    snapshots: int
    precision: str = "float32"  # of the networks' products alone: losses, weights and optimiser stay in float32
    threads: int = 1  # of the CPU: sums that are cut otherwise are rounded otherwise
    keep: str = "last"
    engine: str = "eager"
    shard: bool = False
    freeze: str = "nothing"
    start: str | None = None  # where the weights were that it began at
    start_digest: str | None = None  # and which they were

    def rate(self, step: int) -> float:
        """The learning rate of `step`: linear warm-up, then half a cosine down to a hundredth of the peak."""
        if step < self.warmup_steps:
            return self.learning_rate * (step + 1) / self.warmup_steps  # + 1: a rate of 0 would waste the first batch
        share = (step - self.warmup_steps) / max(self.total - self.warmup_steps, 1)
        return self.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * share)))

    def averaging(self, step: int) -> float | None:
        """The EMA's decay after `step`: shorter at first, so that the starting weights are forgotten (as in TensorFlow's).

        From step 96 on the average moves once in 8 steps, by 8 steps' decay; None in between. Weights hardly differ within
        8 steps, and a pass over all of them each step was a twentieth of its time.
        """
        waits = step >= AVERAGED_SINGLY
        # the last step always moves it: the average is the result
        if waits and (step + 1) % AVERAGE_EVERY and step + 1 < self.total:
            return None
        # From the last multiple of 8: at a run's end fewer steps than that may have passed.
        steps = range(step - step % AVERAGE_EVERY, step + 1) if waits else (step,)
        return math.prod(min(self.ema, (1 + s) / (10 + s)) for s in steps)

    def milestones(self) -> set[int]:
        """Steps (counted from 1) after which a snapshot is kept: even in the logarithm, the last one included."""
        return self._even_in_log(self.snapshots)

    def validations(self) -> set[int]:
        """Steps after which the validation images are scored: some twelve even in the logarithm, ten even ones."""
        # Without 0, to which a short run's milestones are rounded: nothing has been learnt there.
        return self._even_in_log(12) | {round(self.total * i / 10) for i in range(1, 11)} - {0}

    def _even_in_log(self, count: int) -> set[int]:
        return {round(self.total ** (i / (count - 1))) for i in range(count)} if count > 1 else {self.total} if count else set()

    def log_every(self) -> int:
        """Steps between lines of metrics: about 200 lines a run."""
        return max(self.total // 200, 1)

    def to_json(self) -> dict[str, Any]:
        """The plan as `training.json` keeps it."""
        return asdict(self)

    @staticmethod
    def from_json(stored: dict[str, Any]) -> Plan:
        """The inverse of `to_json`; other keys are left alone."""
        # an older run lacks some: defaults
        return Plan(**{field.name: stored[field.name] for field in fields(Plan) if field.name in stored})


def plan(
    options: TrainingOptions, total: int, batch_size: int, precision: str = "float32", threads: int = 1, engine: str = "eager"
) -> Plan:
    """The plan for `total` steps of `batch_size`; `precision`, `threads` and `engine` are what was chosen for this machine."""
    rate = NETS["residual"].learning_rate if options.learning_rate is None else options.learning_rate
    return Plan(
        total=total,
        batch_size=batch_size,
        learning_rate=rate,
        warmup_steps=min(options.warmup_steps, total // 10),  # else a short run would end before it reaches its peak
        weight_decay=options.weight_decay,
        clip=options.clip,
        ema=options.ema,
        precision=precision if options.precision == "auto" else options.precision,
        seed=options.seed,
        snapshots=options.snapshots,
        threads=threads,
        keep=options.keep,
        engine=engine,
        shard=options.shard,
        freeze=options.freeze,
    )


def suited(options: TrainingOptions, net: str) -> TrainingOptions:
    """The options, with what nobody said taken from the row of the net called `net`, or of dense blocks if there is none."""
    row = NETS.get(net, NETS["residual"])
    return replace(
        options,
        batch_size=row.batch_size if options.batch_size is None else options.batch_size,
        learning_rate=row.learning_rate if options.learning_rate is None else options.learning_rate,
    )


def check(options: TrainingOptions) -> None:
    """Raises `Mistake` for a value that means nothing, naming the option, what was expected and what was got."""
    lengths = {name: getattr(options, name) for name in ("steps", "epochs", "minutes")}
    chosen = {name: value for name, value in lengths.items() if value is not None}
    if len(chosen) > 1:
        raise Mistake(f"give one of --steps, --epochs and --minutes, got {' and '.join('--' + name for name in chosen)}")
    for name, value in chosen.items():
        if not (value > 0 and math.isfinite(value)):
            raise Mistake(f"--{name} must be a positive number, got {value}")
    if options.max_passes is not None:
        _check_passes(options.max_passes, options.minutes is not None)
    if options.keep not in KEEP:
        raise unknown("choice of --keep", options.keep, KEEP)
    if options.freeze not in FREEZE:
        raise unknown("choice of --freeze", options.freeze, FREEZE)
    if options.engine not in ENGINES:
        raise unknown("choice of --engine", options.engine, ENGINES)
    for name, bounds in RANGES.items():
        value = getattr(options, name)
        if value is not None and not bounds.holds(value):
            raise Mistake(f"--{name.replace('_', '-')} must lie between {bounds.least:g} and {bounds.most:g}, got {value:g}")


def _check_passes(passes: float, timed: bool) -> None:
    if not (passes > 0 and math.isfinite(passes)):
        raise Mistake(f"--max-passes must be a positive number, got {passes}")
    if not timed:
        raise Mistake("--max-passes belongs to --minutes: --steps and --epochs say how long a run is as they stand")


def most_steps(rows: int, per_epoch: int, passes: float | None) -> float:
    """The steps that minutes become at most: `passes` where they were said, else the cap on small sources; inf where none is.

    With default nets and batches, the validation ELBO of five sources of 142 to 2,000 rows was best after 200 to 530 steps,
    and fell from there: by a hundred nats and more on pictures of digits (docs/numbers.md, records/passes.py). Of 3,000 colour
    pictures it was best after 20 to 40 passes.
    """
    if passes is not None:
        return max(round(passes * per_epoch), 1)
    # a cap by passes alone would leave the smallest sources untrained
    return max(MOST_PASSES * per_epoch, LEAST_STEPS) if rows < FEW_ROWS else math.inf
