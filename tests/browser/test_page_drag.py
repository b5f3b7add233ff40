"""Assertions 1 to 3: a page without a complaint; what a drag decodes; fast moves."""

from __future__ import annotations

import numpy as np

from browser.models import decoded


def across(page, model=0, steps=12):
    """Spots across the map, through its middle."""
    box = page.map_box(model)
    along = np.linspace(0.2, 0.75, steps)
    return [(box["x"] + share * box["width"], box["y"] + (0.9 - 0.7 * share) * box["height"]) for share in along]


def test_1_it_opens_without_a_complaint_and_asks_only_this_machine(visit):
    page = visit()
    assert page.js("__app.errors") == []
    assert page.page.title().endswith("Legato")
    assert any(url.startswith("ws://") for url in page.requests)
    assert page.strangers() == []
    assert page.unexpected() == []


def test_2_a_drag_decodes_what_python_decodes(visit, space):
    page = visit()
    for model, name in enumerate(("vae", "autoencoder")):
        before = page.cursor(model)
        first = page.decoded(model)
        page.drag(across(page, model))
        z = page.cursor(model)
        assert np.abs(np.subtract(z, before)).max() > 0.1
        drawn, expected = page.decoded(model), decoded(space(name), [z])[0]
        assert drawn.shape == expected.shape
        assert np.abs(drawn.astype(int) - expected).max() <= 2
        assert not np.array_equal(drawn, first)


def test_2_the_cursor_is_where_the_hand_let_go(visit):
    page = visit()
    spots = across(page)
    page.drag(spots)
    x, y = page.place(*page.cursor())
    assert abs(x - spots[-1][0]) < 1
    assert abs(y - spots[-1][1]) < 1


def test_3_of_200_fast_moves_the_last_is_drawn_and_one_is_under_way(visit, space):
    page = visit()
    sent = page.js("__app.sent")
    page.drag(across(page, steps=201))
    page.until("__app.sent === __app.drawn")  # the other map's cursor follows a little later
    assert page.js("__app.inFlightMax") == 1
    assert 0 < page.js("__app.sent") - sent <= 404  # of either cursor: what was overtaken was never asked
    assert np.abs(page.decoded().astype(int) - decoded(space("vae"), [page.cursor()])[0]).max() <= 2
    rate = page.js("__app.core.rate")
    assert rate["shown"] > 0
    assert 0 < rate["p50"] <= rate["p95"]
    print(f"drag to pixels: p50 {rate['p50']:.1f} ms, p95 {rate['p95']:.1f} ms of {rate['shown']} drawn")
