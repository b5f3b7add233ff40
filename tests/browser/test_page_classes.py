"""A class-conditional model in the page: one class at a time, by a switch that a keyboard reaches, kept in the address."""

from __future__ import annotations

import numpy as np

from browser.models import SHAPES, decoded, pictures


def shown_rows(page) -> set[int]:
    """The rows that the map shows."""
    return set(page.js("Array.from(__app.core.points[0].row)"))


def test_the_switch_leads_to_another_class_at_the_same_place(visit, space, artifacts):
    page, labels = visit("told", at="at=0.5,-0.25"), pictures()[1]
    switch = page.page.get_by_test_id("class")
    for number in range(3):
        of_it = np.flatnonzero(labels == number)
        if number:
            switch.focus()
            page.page.keyboard.press(str(number))  # typed ahead: the name begins so
            page.until(f"location.pathname.endsWith('class/{number}/')")
            page.settled()
        assert shown_rows(page) == set(of_it.tolist())
        assert switch.input_value() == str(number)
        assert [text.split(" ")[0] for text in switch.locator("option").all_text_contents()] == [*"012"]
        assert page.cursor() == [0.5, -0.25]
        expected = decoded(space("told").of_class(str(number)), [[0.5, -0.25]])[0]
        assert np.abs(page.decoded(0).astype(int) - expected).max() <= 1
        if artifacts:
            page.page.screenshot(path=artifacts / f"class-{SHAPES[number]}.png")
    page.page.go_back()
    page.until("location.pathname.endsWith('class/1/')")


def test_the_address_of_a_class_opens_at_it_and_its_samples_and_colours_are_of_it(visit, servers, space):
    page = visit(url=f"{servers('told')}class/2/", at="draw=5,1&ground=holes&colour=error")
    assert page.page.get_by_test_id("class").input_value() == "2"
    of_it = np.flatnonzero(pictures()[1] == 2)
    page.page.keyboard.press("]")
    page.until("__app.core.encoded[0]")
    assert page.state["selected"] == of_it[0]
    found = page.js("__app.core.encoded[0].mu")
    twin = space("told").of_class("2")
    x = np.asarray(twin.data().dataset.rows)[of_it[:1]]
    assert np.allclose(found, twin.encode(x, of_it[:1])[0][0], atol=1e-5)


def test_a_model_without_classes_has_no_switch(visit):
    assert visit("vae").page.get_by_test_id("class").count() == 0
