"""kill -9, as crashes.py tries it: while a model is trained, at random and inside checkpoints, and while data are prepared."""

from __future__ import annotations

import hashlib
import random
import shutil
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from trials import (
    OFTEN,
    STEPS,
    TRAIN,
    Legato,
    Reference,
    Row,
    compare,
    contents,
    halves,
    left_behind,
    legato,
    lines,
    newest_whole,
    resume,
    step_of,
)

from legato import checkpoint

KILLS, INSIDE, AFTER_FIRST, BUILDS = 20, 5, 10, 3  # the least that must be found


# ------------------------------------------------------------------------------------------------- training


Aim = Callable[[Legato, Path], bool]  # waits for the moment to kill at; False where the run ended before it came


def as_run_appears(rng: random.Random) -> Aim:
    """While recipe.json, data.json and training.json are written."""
    return lambda child, out: child.waits_for(out.exists, then=rng.uniform(0, 0.004))


def at_random(rng: random.Random, seconds: float) -> Aim:
    """So many seconds, at most, after the first step."""
    return lambda child, out: child.waits_for(lambda: lines(out) > 0, then=rng.uniform(0, seconds))


def in_a_checkpoint(rng: random.Random) -> Aim:
    """When, after some step, the next checkpoint is seen being written: mostly at once, else a little later."""
    step, pause = rng.randrange(1, STEPS * 9 // 10), max(0.0, rng.uniform(-0.006, 0.004))

    def wait(child: Legato, out: Path) -> bool:
        later = child.waits_for(lambda: lines(out) > step) and child.waits_for(lambda: not halves(out))
        return later and child.waits_for(lambda: bool(halves(out)), then=pause)

    return wait


def once_resumed(rng: random.Random, before: list[Path], seconds: float) -> Aim:
    """When a resumed run has written a checkpoint, and a while after."""
    pause = rng.uniform(0, seconds)
    return lambda child, out: child.waits_for(lambda: checkpoint.existing(out / "checkpoint") != before, then=pause)


def killed(row: Row, words: Sequence[str], out: Path, aim: Aim, size: int) -> int | None:
    """Starts a run and kills it; tells the row what lies on disk then. The step of the newest whole checkpoint."""
    with Legato([*words, *OFTEN, "--out", str(out)]) as child:
        if not aim(child, out) or child.end(signal.SIGKILL)[0] != -signal.SIGKILL or (out / "codes.safetensors").exists():
            raise LookupError("the run ended before the kill")
    whole = newest_whole(out)
    hit = "inside a checkpoint" if halves(out) else "before step 1" if not lines(out) else "between checkpoints"
    told = {"hit": hit, "step": step_of(out), "whole checkpoint": whole or "none", "left behind": left_behind(out, size)}
    for name, value in told.items():
        row.cells[name] = f"{row.cells[name]}, then {value}" if name in row.cells else value
    return whole


def kill(number: int, aimed: str, rng: random.Random, reference: Reference) -> Row:
    """One run killed, perhaps killed again when it is resumed, and brought to its end."""
    aim = {
        "as RUN appears": as_run_appears(rng),
        "at step 1": at_random(rng, 0),
        "in a checkpoint": in_a_checkpoint(rng),
    }.get(aimed) or at_random(rng, 0.95 * reference.seconds)
    row, out = Row({"kill": number, "aimed": aimed}), Path(f"kill-{number}")
    whole = killed(row, TRAIN, out, aim, reference.size)
    if aimed.endswith("resumed run") and whole:
        again = once_resumed(rng, checkpoint.existing(out / "checkpoint"), 0.5 * reference.seconds * (1 - whole / STEPS))
        before, whole = whole, killed(row, ["train", "--resume"], out, again, reference.size)
        row.must((whole or 0) >= before, f"checkpoint {before} was lost")
    if all((out / f"{name}.json").is_file() for name in ("recipe", "data", "training")):
        resume(row, out, whole or 0, reference.contents)
    else:
        start_again(row, out, reference)
    shutil.rmtree(out)
    return row


def start_again(row: Row, out: Path, reference: Reference) -> None:
    """Killed before the run was on disk: --resume must say so in a line, and the same command with --overwrite must do."""
    code, _, err = legato("train", "--resume", "--out", str(out))
    row.must(code == 2 and len(err) == 1, f"--resume ended with {code}: {err}")
    row.cells["resumed at"] = "refused; trained with --overwrite"
    code, _, err = legato(*TRAIN, "--overwrite", "--out", str(out))
    if row.must(code == 0, f"--overwrite ended with {code}: {err[-1:]}"):
        compare(row, out, reference.contents)


def kills(rng: random.Random, reference: Reference) -> Iterator[Row]:
    """Twenty, in a shuffled order; one that came too late is tried again at another moment."""
    aimed = ["as RUN appears"] * 2 + ["at step 1"] + ["at random"] * 6 + ["at random, then the resumed run"] * 3
    aimed += ["in a checkpoint"] * (KILLS - len(aimed))
    rng.shuffle(aimed)
    for number, aim in enumerate(aimed, 1):
        for _ in range(5):
            with suppress(LookupError):
                yield kill(number, aim, rng, reference)
                break
            shutil.rmtree(f"kill-{number}", ignore_errors=True)


def counted(rows: Sequence[Row]) -> Row:
    """How many kills fell where."""
    hits = [hit for row in rows for hit in row.cells["hit"].split(", then ")]
    wholes = [whole for row in rows for whole in str(row.cells["whole checkpoint"]).split(", then ")]
    inside, after = hits.count("inside a checkpoint"), len(wholes) - wholes.count("none")
    row = Row({"kill": f"{len(hits)} in all", "hit": f"{inside} inside a checkpoint", "whole checkpoint": f"there at {after}"})
    row.cells["identical"] = f"{sum(row.cells.get('identical') == 'yes' for row in rows)} of {len(rows)}"
    row.must(len(rows) >= KILLS, f"fewer than {KILLS} runs were killed")
    row.must(inside >= INSIDE, f"fewer than {INSIDE} kills were inside a checkpoint")
    row.must(after >= AFTER_FIRST, f"fewer than {AFTER_FIRST} kills came after the first whole checkpoint")
    return row


# ------------------------------------------------------------------------------------------------- the store


PICTURES, SIDE = 400, 32
STORED = PICTURES * SIDE * SIDE * 3  # bytes of the prepared rows
BUILD = f"train vae --data photos --size {SIDE} --net mlp --width 32 --depth 1 --batch-size 64 --steps 5 --threads 1".split()


def store(rng: random.Random) -> Iterator[Row]:
    """Killed while a folder of pictures is prepared, early, midway, late and at the end; then the same command again."""
    draw_pictures(Path("photos"), rng)
    legato(*BUILD, "--device", "cpu", "--out", "built", LEGATO_CACHE="cache-0")
    whole = entries(Path("cache-0")), contents(Path("built"))
    caught = 0
    for number, share in enumerate((0, 0.3, 0.6, 0.98), 1):
        for _ in range(3):
            cache, out = Path(f"cache-{number}"), Path(f"built-{number}")
            row = Row({"kill": number})
            if killed_building(row, cache, out, share * STORED):
                built_again(row, cache, out, *whole)
                caught += 1
                yield row
                break
            shutil.rmtree(cache)
            shutil.rmtree(out, ignore_errors=True)
    if caught < BUILDS:
        yield Row({"kill": f"{caught} in all"}, [f"fewer than {BUILDS} kills came before the entry was whole"])


def draw_pictures(folder: Path, rng: random.Random) -> None:
    """PNG files in three sub-folders, which become labels."""
    draws = np.random.default_rng(rng.randrange(2**32))
    for i in range(PICTURES):
        path = folder / "abc"[i % 3] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draws.integers(0, 256, (96, 128, 3), dtype=np.uint8)).save(path)


def building(cache: Path) -> list[Path]:
    """Folders in which entries are being built, or were when the builder died."""
    return list(cache.glob(".building-*"))


def entries(cache: Path) -> dict[str, str]:
    """Every file of every whole entry of a store, by checksum."""
    files = [path for path in cache.rglob("*") if path.is_file() and path.relative_to(cache).parts[0] != "memo"]
    return {str(path.relative_to(cache)): hashlib.blake2b(path.read_bytes()).hexdigest() for path in files}


def killed_building(row: Row, cache: Path, out: Path, size: float) -> bool:
    """Kills when so many bytes of rows are written. False where the entry was whole before the kill came."""

    def written() -> int:
        return sum(path.stat().st_size for folder in building(cache) for path in folder.glob("rows.bin"))

    with Legato([*BUILD, "--device", "cpu", "--out", str(out)], LEGATO_CACHE=str(cache)) as child:
        child.waits_for(lambda: bool(building(cache)) and written() >= size)
        child.end(signal.SIGKILL)
    if not building(cache):
        return False
    row.cells["left behind"] = f"a build with {written() / STORED:.0%} of the rows"
    row.cells["entries"] = sum(path.name[0] != "." and path.name != "memo" for path in cache.iterdir())
    row.must(row.cells["entries"] == 0, "half an entry has a name that is read")
    return True


def built_again(row: Row, cache: Path, out: Path, stored: dict[str, str], reference: dict[str, Any]) -> None:
    """The same command, undisturbed: its store and its run must be those of a first build."""
    code, _, err = legato(*BUILD, "--device", "cpu", "--out", str(out), LEGATO_CACHE=str(cache))
    if row.must(code == 0, f"the second build ended with {code}: {err[-1:]}"):
        same = entries(cache) == stored
        row.cells["store"] = "identical" if same else "differs"
        row.must(same, "the store differs from that of an undisturbed build")
        row.must(not building(cache), "the half build is still there")
        compare(row, out, reference)
