"""Assertion 12: axe-core finds nothing serious or critical, in both themes and with every panel open."""

from __future__ import annotations

from pathlib import Path

import pytest

AXE = Path(__file__).parents[2] / "ui" / "node_modules" / "axe-core" / "axe.min.js"
RUN = "axe.run(document, {resultTypes: ['violations']}).then((found) => found.violations)"


@pytest.fixture(scope="module")
def axe():
    """axe-core's own script."""
    if not AXE.is_file():
        pytest.skip("no axe-core: cd ui && npm ci")
    return AXE.read_text()


def grave(page, axe):
    """What it finds serious or critical, and where."""
    page.js(f"(() => {{ {axe} }})()")
    return [
        (found["id"], found["impact"], [node["html"][:120] for node in found["nodes"]], found["nodes"][0]["failureSummary"])
        for found in page.js(RUN)
        if found["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_12_axe_finds_nothing_grave(visit, axe, theme):
    page = visit(at=f"ground=holes&image=5&path=3~0.5,0.2~one;~-0.5,-0.4~two&theme={theme}")
    page.until("document.querySelectorAll('#dimensions li').length > 1")
    assert grave(page, axe) == []
    page.page.get_by_role("button", name="Tour").click()
    assert grave(page, axe) == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_12_nor_in_the_help_nor_among_five_latents_on_a_phone(visit, axe, theme):
    page = visit("five", at=f"tab=dimensions&theme={theme}", viewport={"width": 390, "height": 844})
    assert grave(page, axe) == []
    page.page.get_by_role("tab", name="Train").click()
    assert grave(page, axe) == []
    page.page.get_by_role("button", name="Keys and help").click()
    assert grave(page, axe) == []
