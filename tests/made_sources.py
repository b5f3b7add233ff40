"""Tiny sources that tests write: pictures, arrays, IDX files, tables."""

from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from legato.data import DataOptions, Dataset, open_source

GREY = np.random.default_rng(0).integers(0, 256, (6, 9, 8), dtype=np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (6, 3, 8, 10), dtype=np.uint8)
LABELS = [3, 1, 1, 3, 7, 1]
IDX_CODES = {"u1": 8, "i1": 9, ">i2": 11, ">i4": 12, ">f4": 13, ">f8": 14}


def opened(source: str | Path | np.ndarray, **options: Any) -> Dataset:
    return open_source(source, DataOptions(**options))


def png(pixels: np.ndarray) -> bytes:
    """A PNG of (C, H, W) or (H, W) pixels."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels).save(buffer, "PNG")
    return buffer.getvalue()


def folder_of(path: Path, pictures: dict[str, np.ndarray | bytes | Image.Image]) -> Path:
    for name, picture in pictures.items():
        place = path / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(picture, Image.Image):
            picture.save(place)
        else:
            place.write_bytes(picture if isinstance(picture, bytes) else png(picture))
    return path


def idx(values: np.ndarray | list[int], code: str = "u1") -> bytes:
    array = np.asarray(values)
    header = struct.pack(f">HBB{array.ndim}I", 0, IDX_CODES[code], array.ndim, *array.shape)
    return header + array.astype(code).tobytes()


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data, 1) if path.suffix == ".gz" else data)
    return path


def npz(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def npy(path: Path, array: Any, **options: Any) -> Path:
    np.save(path, array, **options)
    return path


def table(path: Path, columns: dict[str, Any], **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path
