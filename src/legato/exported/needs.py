"""The three packages that an export needs and a plain installation lacks, by name, and their chatter kept from the person.

Covered: onnx (the format), onnxscript (torch's way into it), onnxruntime (an independent reader to check with).
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType

from legato.errors import Mistake, install

PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def need(name: str) -> ModuleType:
    """onnx, onnxscript or onnxruntime. Raises `Mistake` where it is not installed."""
    try:
        with quiet():
            # Quiet: their warnings are for their own developers.
            return import_module(name)
    except ImportError:
        raise Mistake(f"an ONNX export needs {name}, which is not installed: {install('onnx')}") from None


@contextmanager
def quiet() -> Iterator[None]:
    """Silences warnings and log lines below an error: torch's exporter speaks to its own developers, about its own code.

    What could be wrong with the answer is not left to them: it is checked in numbers (check.py).
    """
    log = logging.getLogger("torch.onnx")
    # Put back: another user of torch in this process may want its lines.
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(before)
