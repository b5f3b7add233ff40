"""Models and functions by what a person types: a RUN, two ONNX files, a folder of diffusers, `module:function`.

Covered: reading any of them; of diffusers' folders safetensors alone. A module is imported only where its name was given in
full. Not covered: models in Python (adaptors.py).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from legato.errors import Mistake
from legato.files import read_json

ONNX = "encoder.onnx", "decoder.onnx"  # as `legato export` calls them
CONFIG = "config.json"


def named(words: Sequence[str]) -> Any:
    """The model that one or two words name; a RUN stays its path. Raises `Mistake`."""
    if len(words) == 2:
        return tuple(Path(word) for word in words)
    if len(words) != 1:
        raise Mistake(f"a model is a RUN, a folder, module:function, or two .onnx files; got {len(words)} words")
    path = Path(words[0])
    if not path.exists() and ":" in words[0]:
        return function(words[0])()
    if all((path / name).is_file() for name in ONNX):
        return tuple(path / name for name in ONNX)
    return diffusers(path) if _of_diffusers(path) else path


def function(name: str) -> Callable[..., Any]:
    """`module:function`, imported from where a person stands. Raises `Mistake`."""
    module, _, said = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)  # as with `python -m`
    try:
        found = getattr(import_module(module), said, None)
    except ModuleNotFoundError as error:
        raise Mistake(f"no module named `{error.name}` to read `{name}` from: run this where the file lies") from error
    if not callable(found):
        raise Mistake(f"`{module}` has no function `{said}`: expected module:function")
    result: Callable[..., Any] = found
    return result


def diffusers(path: Path) -> Any:
    """The autoencoder that diffusers saved in a folder, from its safetensors."""
    library = _library()
    kind = str(_config(path).get("_class_name"))
    if kind not in ("AutoencoderKL", "AutoencoderTiny", "VQModel"):
        raise Mistake(f"`{path}` holds a {kind} of diffusers: expected an AutoencoderKL, AutoencoderTiny or VQModel")
    try:
        return getattr(library, kind).from_pretrained(str(path), use_safetensors=True, local_files_only=True)
    except (OSError, ValueError) as error:
        raise Mistake(f"diffusers could not read `{path}`: {' '.join(str(error).split())[:200]}") from error


def _library() -> Any:
    try:
        return import_module("diffusers")
    except ImportError as error:
        raise Mistake("the folder is one of diffusers, which is not installed: pip install diffusers") from error


def _of_diffusers(path: Path) -> bool:
    return (path / CONFIG).is_file() and "_class_name" in _config(path)


def _config(path: Path) -> dict[str, Any]:
    found = read_json(path / CONFIG)
    return found if isinstance(found, dict) else {}
