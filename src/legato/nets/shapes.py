"""Shapes read as kinds: a vector, an image, or several numbers for each value of an image."""

from __future__ import annotations

from legato.types import Shape


def is_image(shape: Shape) -> bool:
    """(C, H, W), or (k, C, H, W) where a family wants k numbers for each value; (D,) and (k, D) are vectors."""
    return len(shape) >= 3


def spatial(shape: Shape) -> tuple[int, int]:
    """Height and width of an image shape."""
    return shape[-2], shape[-1]
