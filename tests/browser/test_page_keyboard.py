"""Assertion 11: everything by the keyboard alone: focus in the order of the page, the map's keys, and text that is told."""

from __future__ import annotations

import numpy as np

from browser.models import decoded

FOCUSABLE = """() => [...document.querySelectorAll('button, input, select, textarea, a[href], summary, [tabindex]')]
  .filter((one) => one.tabIndex >= 0 && !one.disabled && one.checkVisibility({ visibilityProperty: true }))
  .filter((one) => !one.closest('dialog:not([open]), [inert]'))
  .map((one, i) => (one.dataset.nth = String(i)))"""
STYLE = "getComputedStyle(document.activeElement)"
FOCUSED = "document.activeElement?.dataset?.nth ?? null"


def test_11_focus_follows_the_page_and_is_never_trapped(visit):
    page = visit(at="path=~0.5,0.2~one;~-0.5,-0.4~two")
    page.until("document.querySelectorAll('#samples button:disabled').length === 0")
    page.until("document.querySelectorAll('#dimensions li').length === 2")
    order = page.js(FOCUSABLE)
    assert len(order) > 40
    seen = []
    for _ in order:
        page.page.keyboard.press("Tab")
        seen.append(page.js(FOCUSED))
    assert seen == order
    page.page.keyboard.press("Shift+Tab")
    assert page.js(FOCUSED) == order[-2]


def test_11_the_focus_is_seen(visit):
    page = visit("vae")
    for _ in range(6):
        page.page.keyboard.press("Tab")
        outline = page.js(f"(({{ outlineStyle: s, outlineWidth: w }}) => [s, parseFloat(w)])({STYLE})")
        assert outline[0] != "none"
        assert outline[1] >= 2


def test_11_the_map_by_its_keys(visit, space):
    page = visit("vae")
    page.page.get_by_role("application").focus()
    before = page.cursor()
    scale = page.place(1, 0)[0] - page.place(0, 0)[0]
    for key, pixels in (("ArrowRight", 4), ("Shift+ArrowRight", 40), ("Alt+ArrowRight", 0.4), ("ArrowUp", 0)):
        page.page.keyboard.press(key)
        after = page.cursor()
        assert np.isclose((after[0] - before[0]) * scale, pixels, atol=1e-3)
        before = after
    page.settled()
    assert np.abs(page.decoded().astype(int) - decoded(space("vae"), [page.cursor()])[0]).max() <= 2
    live = page.by_id("live")
    page.eventually(lambda: f"z0 {page.cursor()[0]:.2f}" in live.inner_text(), "the cursor is told")
    assert "the data" in live.inner_text()
    page.page.keyboard.press("Enter")
    page.eventually(lambda: "pinned" in live.inner_text(), "the pin is told")
    assert page.page.get_by_role("button", name="Pinned 1: go there").count() == 1
    page.page.keyboard.press("r")
    assert page.cursor() == [0, 0]
    page.page.keyboard.press("Control+z")
    assert page.cursor() == before
    page.page.keyboard.press("+")
    assert page.place(1, 0)[0] - page.place(0, 0)[0] > 1.1 * scale
    page.page.keyboard.press("0")
    assert page.state["models"][0]["camera"] is None


def test_11_single_keys_can_be_switched_off(visit):
    page = visit("vae", at="keys=0")
    page.page.keyboard.press("h")
    page.page.keyboard.press("s")
    assert page.state["background"] == "none"
    assert page.state["samples"]["seed"] == 0
    page.page.get_by_role("button", name="Keys and help").click()
    page.page.get_by_role("dialog").get_by_role("checkbox").first.check()
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("h")
    assert page.state["background"] == "holes"
