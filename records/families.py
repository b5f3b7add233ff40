"""`legato claims`, as crashes.py tries it: ended by Ctrl-C, SIGTERM and kill -9, while members are trained and measured."""

from __future__ import annotations

import hashlib
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from trials import Legato, Row, compare, contents, legato, lines, newest_whole

SOON = 5.0  # seconds within which a signal must end the command and its workers
STEPS = 1_500  # of each member: some seconds
IMAGES, SIDE = 900, 8
SAID = "legato: stopped, all that is finished is kept in `claims`: go on with the same command"
CLAIMS = f"claims --data bars.npy --quick --seeds 1 --steps-per-model {STEPS} --out claims --device cpu --threads 1".split()
SAME = f"--data bars.npy --latent-dim 16 --net mlp --width 512 --depth 2 --steps {STEPS} --seed 0 --snapshots 12".split()
FIRST = Path("claims", "runs", "autoencoder-16-seed0")


def families() -> Iterator[Row]:
    """Each signal while the first members are trained, and while one is measured; then the same command again."""
    rng = np.random.default_rng(0)
    np.save("bars.npy", rng.integers(0, 256, (IMAGES, SIDE, SIDE), dtype=np.uint8))
    legato("train", "autoencoder", *SAME, "--out", "alone", "--device", "cpu", "--threads", "1")
    reference = contents(Path("alone"))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        for while_ in ("trained", "measured"):
            yield ended(number, while_, reference)
            shutil.rmtree("claims")


def ended(number: signal.Signals, while_: str, reference: dict[str, Any]) -> Row:
    """One experiment that a signal ends, and goes on. Ctrl-C comes to all its processes, as from a terminal."""
    row = Row({"signal": number.name, "while members are": while_})
    with Legato(CLAIMS, group=True) as child:
        if not row.must(child.waits_for(trained if while_ == "trained" else measured), "it ended before the signal"):
            return row
        before, began = whole(), time.monotonic()
        code, _, err = child.end(number, to_all=number is signal.SIGINT)
        left = outlived(child.process.pid, began + SOON)
        seconds = time.monotonic() - began
    said = "" if number is signal.SIGKILL else "".join(err[-1:])
    row.cells |= {"seconds": f"{seconds:.2f}", "exit code": code, "line": said, "workers left": len(left)}
    row.must(not left and seconds < SOON, f"{len(left)} processes were left after {seconds:.2f} s")
    row.must(code == (-number if number is signal.SIGKILL else 128 + number), f"exit code {code}")
    row.must(number is signal.SIGKILL or err[-1:] == [SAID], f"said {err}")
    kept = whole()
    row.cells |= {"whole members": len(kept), "checkpoint of the first": newest_whole(FIRST)}
    row.must(all(kept.get(name) == digest for name, digest in before.items()), "a finished member was lost or is another")
    goes_on(row, reference)
    return row


def goes_on(row: Row, reference: dict[str, Any]) -> None:
    """The same command again, until the first member is finished: it must be what `legato train` makes alone."""
    with Legato(CLAIMS, group=True) as child:
        there = child.waits_for((FIRST / "codes.safetensors").is_file)
        child.end(signal.SIGTERM)
    if row.must(there, "the first member was not finished"):
        compare(row, FIRST, reference)


def trained() -> bool:
    """Whether the first member is some steps on its way."""
    return lines(FIRST) > 20


def measured() -> bool:
    """Whether a member is finished, and so is being measured."""
    return bool(whole())


def whole() -> dict[str, str]:
    """The finished members, by checksums of what they hold."""
    found = {}
    for codes in Path("claims").glob("runs/*/codes.safetensors"):
        files = sorted(path for path in codes.parent.rglob("*") if path.is_file() and path.name != ".lock")
        found[codes.parent.name] = hashlib.blake2b(b"".join(path.read_bytes() for path in files)).hexdigest()
    return found


def outlived(group: int, until: float) -> list[int]:
    """The processes of a group that are still there, once nobody is or so late."""
    while (left := alive(group)) and time.monotonic() < until:
        time.sleep(0.01)
    return left


def alive(group: int) -> list[int]:
    """The numbers of a group's processes, but those that only wait to be counted out."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, process_group = entry.read_text().rpartition(")")[2].split()[:3]
            if int(process_group) == group and state != "Z":
                found.append(int(entry.parent.name))
    return found
