"""Assertion 14: the address brings another person to the same place."""

from __future__ import annotations

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
    assert flat(again.state) == flat(state)
    assert state["samples"]["seed"] == 1
    assert state["background"] == "density"
    assert len(state["path"]) == 2
    assert again.js("document.documentElement.dataset.theme") == "dark"
    for model in (0, 1):
        assert np.array_equal(again.decoded(model), page.decoded(model))


def flat(state):
    """The state with numbers as the address writes them."""
    if isinstance(state, dict):
        return {key: flat(value) for key, value in state.items()}
    if isinstance(state, list):
        return [flat(value) for value in state]
    return float(f"{state:.6g}") if isinstance(state, float) else state
