"""The bytes of the socket, both directions (docs/explorer.md). All numbers are little-endian.

Covered: packing and reading of what is request and what is answered. Not covered: what an answer is made of (tiles.py), and
which step or model exists (session.py): a frame is judged by its form alone.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from legato.types import Floats

REQUEST = struct.Struct("<IBBH")  # seq, op, model, step: 8 bytes, so that the f32 behind them are aligned
ANSWERED = struct.Struct("<IBBBBHH")  # seq, op, model, fmt, c, w, h: 12 bytes, aligned likewise
DECODE = 1  # the op that decodes z, the one there is: another is refused (`CursorRequest.read`)
RGBA, VALUES, ERROR = 0, 2, 255  # what a payload is: bytes (h, w, 4), f32 (w), UTF-8


class Malformed(ValueError):
    """These bytes are no frame."""


@dataclass(frozen=True, eq=False)
class CursorRequest:
    """A page's question: op of z (d,) by a model; step 0 is the finished model, n its n-th snapshot."""

    seq: int
    op: int
    model: int
    step: int
    z: Floats

    def pack(self) -> bytes:
        """8 + 4d bytes."""
        return REQUEST.pack(self.seq, self.op, self.model, self.step) + np.asarray(self.z, "<f4").tobytes()

    @staticmethod
    def read(frame: bytes) -> CursorRequest:
        """The inverse of `pack`. Raises `Malformed`; a z that is not finite is a frame all the same."""
        # Checked before it is unpacked: struct's own error would name no byte.
        if len(frame) < REQUEST.size + 4 or len(frame) % 4:
            raise Malformed(f"a frame has {REQUEST.size} bytes and 4 for each latent, got {len(frame)} bytes")
        seq, op, model, step = REQUEST.unpack_from(frame)
        if op != DECODE:
            raise Malformed(f"no operation has the number {op}: 1 decodes")
        # a copy: `frombuffer` gives a view of the frame, which is read-only
        return CursorRequest(seq, op, model, step, np.frombuffer(frame, "<f4", offset=REQUEST.size).astype(np.float32))


@dataclass(frozen=True)
class Picture:
    """The picture that z decodes to, ready to be sent: RGBA bytes, a table's row of f32 values, or the UTF-8 of an error."""

    fmt: int
    channels: int
    width: int
    height: int
    payload: bytes

    @staticmethod
    def error(line: str) -> Picture:
        """One line that says why there is no picture."""
        return Picture(ERROR, 0, 0, 0, line.encode())


@dataclass(frozen=True)
class Answered:
    """The answer to the question of this seq, op and model."""

    seq: int
    op: int
    model: int
    picture: Picture

    def pack(self) -> bytes:
        """12 bytes and the payload."""
        p = self.picture
        return ANSWERED.pack(self.seq, self.op, self.model, p.fmt, p.channels, p.width, p.height) + p.payload

    @staticmethod
    def read(frame: bytes) -> Answered:
        """The inverse of `pack`. Raises `Malformed` where the payload is not as long as the header says."""
        if len(frame) < ANSWERED.size:
            raise Malformed(f"an answer has at least {ANSWERED.size} bytes, got {len(frame)}")
        seq, op, model, fmt, channels, width, height = ANSWERED.unpack_from(frame)
        payload = frame[ANSWERED.size :]
        expected = {RGBA: width * height * 4, VALUES: width * height * 4, ERROR: len(payload)}.get(fmt)
        if len(payload) != expected:
            raise Malformed(f"format {fmt} of {width}×{height} with a payload of {len(payload)} bytes")
        return Answered(seq, op, model, Picture(fmt, channels, width, height, payload))
