"""Where to compute: a device by name, and how many threads."""

from __future__ import annotations

import torch

from legato.errors import Mistake


def choose(device: str = "auto", threads: int | None = None) -> torch.device:
    """The torch device; `auto` is a GPU if there is one. Sets torch's thread count where `threads` is given.

    Raises `Mistake` for a device that does not exist here.
    """
    if threads is not None:
        if threads < 1:
            raise Mistake(f"--threads must be 1 or more, got {threads}")
        torch.set_num_threads(threads)
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise Mistake(f"no device is named `{device}`: expected auto, cpu, cuda or cuda:N") from None
    if chosen.type not in ("cpu", "cuda"):
        raise Mistake(f"`{device}` is no device that Legato computes on: expected auto, cpu, cuda or cuda:N")
    if chosen.type == "cuda" and (chosen.index or 0) >= (count := torch.cuda.device_count()):
        raise Mistake(f"`{device}` was asked for, and torch sees {count or 'no'} GPU here: use --device cpu")
    return chosen
