"""Decoding within a report: ONNX Runtime Web, its binary and the decoders, as text that stands in a page.

Covered: packing; binaries travel as gzip in base64, which every browser undoes. The package holds the runtime's binary as xz, a
sixth of its size. Not covered: making a decoder's file (exported), running it (ui/src/backends/ort.ts).
"""

from __future__ import annotations

import base64
import gzip
import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

from legato.errors import Mistake
from legato.exported import decoder_bytes
from legato.latent_space import LatentSpace

BINARY = "ort-wasm-simd-threaded.wasm.xz"
SCRIPT = "runtime.js"
COLOURS = (1, 3)  # channels of a picture that the page can draw: a canvas knows grey and colour


@dataclass(frozen=True)
class Decoding:
    """The runtime's script; its binary and a decoder for each model, gzip in base64."""

    script: str
    wasm: str
    decoders: tuple[str, ...]


def decoding(spaces: Sequence[LatentSpace]) -> Decoding:
    """The decoders with weights in half precision. Raises `Mistake` where ONNX or the runtime is missing, or no picture."""
    for space in spaces:
        if space.shape[0] not in COLOURS:
            raise Mistake(f"--live draws pictures of 1 or 3 channels, `{space.run.path}` has {space.shape[0]}: leave it out")
        if space.preparation.kind == "reals":  # its decoder gives standardised values, which the page would take for [0, 1]
            raise Mistake(f"--live draws 8-bit pictures, `{space.run.path}` is of real numbers: leave it out")
    package = files("legato.explorer")
    script, binary = package / "_ui" / SCRIPT, package / "_ort" / BINARY
    if not (script.is_file() and binary.is_file()):
        raise Mistake("--live needs the built page: cd ui && npm ci && npm run build, then python ort.py")
    wasm = packed(lzma.decompress(binary.read_bytes()))
    return Decoding(script.read_text("utf-8"), wasm, tuple(packed(decoder_bytes(space, half=True)) for space in spaces))


def packed(content: bytes) -> str:
    """gzip in base64; the same bytes whenever it is done."""
    # mtime=0: gzip writes the time into its header otherwise, and two pages would differ
    return base64.b64encode(gzip.compress(content, 9, mtime=0)).decode()
