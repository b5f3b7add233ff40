"""Assertion 14: the address brings another person to the same place."""

from __future__ import annotations

import math

import numpy as np


def test_14_the_address_restores_the_state(visit):
    page = visit()
    box = page.map_box()
    page.page.mouse.click(box["x"] + 0.4 * box["width"], box["y"] + 0.5 * box["height"])
    page.page.keyboard.press("a")
    page.page.keyboard.press("]")
    page.until("__app.core.encoded.every((code) => code)")
    page.page.keyboard.press("b")
    page.page.keyboard.press("d")
    page.page.keyboard.press("s")
    page.page.keyboard.press("l")
    page.page.get_by_role("button", name="same z").click()
    page.page.get_by_role("button", name="slerp").click()
    page.page.get_by_role("button", name="Zoom in").first.click()
    page.page.get_by_role("button", name="Theme: auto").click()
    state = page.state
    page.until("location.hash.includes('theme=dark')")
    address = page.js("location.hash")
    again = visit(at=address[1:])
    assert_told(again.state, state)
    assert state["samples"]["seed"] == 1
    assert state["background"] == "density"
    assert len(state["path"]) == 2
    assert again.js("document.documentElement.dataset.theme") == "dark"
    for model in (0, 1):  # an eighth digit of z may bring a grey value over the edge between two of 255 levels
        off = np.abs(again.decoded(model).astype(int) - page.decoded(model))
        assert off.max() <= 1
        assert (off > 0).mean() < 0.02


def assert_told(found, state):
    """A state is another but for its numbers' rounding: of seven significant digits the last is off by a half at most."""
    if isinstance(state, dict):
        assert found.keys() == state.keys()
        for key, value in state.items():
            assert_told(found[key], value)
    elif isinstance(state, list):
        assert len(found) == len(state)
        for one, value in zip(found, state, strict=True):
            assert_told(one, value)
    elif isinstance(state, float) and state:
        assert abs(found - state) <= 0.501 * 10.0 ** (math.floor(math.log10(abs(state))) - 6)
    else:
        assert found == state
