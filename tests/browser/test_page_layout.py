"""Assertion 15: in both themes and at three sizes nothing scrolls sideways and no control is cut off."""

from __future__ import annotations

import shutil

import pytest

from browser.served import served

SIZES = [(1440, 900), (1024, 768), (390, 844)]
THEMES = ("light", "dark")
CUT = """() => {
  const words = (one) => (one.getAttribute('aria-label') || one.textContent || one.title || '').trim().slice(0, 40)
  const named = (one) => `${one.tagName.toLowerCase()} “${words(one)}”`
  const hidden = '.hidden, dialog:not([open]), [aria-hidden=true]'
  const found = []
  for (const one of document.querySelectorAll('button, select, input, summary, a, output, h1, h2, h3, label')) {
    if (!one.checkVisibility({ visibilityProperty: true }) || one.closest(hidden)) continue
    const box = one.getBoundingClientRect()
    if (box.width < 1 || box.height < 1) continue
    if (box.left < -0.5 || box.right > innerWidth + 0.5) found.push(`${named(one)} leaves the window`)
    const full = one.matches('button, select, output') && one.scrollWidth > one.clientWidth + 1
    if (full) found.push(`${named(one)} is wider than its box`)
    for (let up = one.parentElement; up && up !== document.body; up = up.parentElement) {
      const style = getComputedStyle(up)
      if (style.overflowX === 'visible' || style.clipPath !== 'none') continue
      const frame = up.getBoundingClientRect()
      const scrolls = style.overflowX === 'auto' || style.overflowX === 'scroll'
      const cut = box.left < frame.left - 1 || box.right > frame.right + 1
      if (!scrolls && cut) found.push(`${named(one)} is cut off by ${up.className}`)
    }
  }
  return found
}"""
TABS = {"map": "Map", "dimensions": "Dimensions", "path": "Path", "train": "Train"}
LONG = {
    "autoencoder": "autoencoder-of-shapes-2-latents-seed-0",
    "vae": "variational-autoencoder-of-shapes-2-latents-seed-0",
}
PATH = "path=3~0.5,0.2~image$203;~-0.5,-0.4~a$20place"


def fits(page, artifacts, name):
    """Looks at one screen, and keeps a picture of it where somebody asked."""
    page.js("document.fonts.ready.then(() => true)")
    if artifacts:
        page.page.screenshot(path=artifacts / f"{name}.png", full_page=True)
    wide = page.js("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    assert wide[0] <= wide[1], f"{name} scrolls sideways"
    assert page.js(CUT) == [], name


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_15_nothing_scrolls_sideways_and_no_control_is_cut_off(visit, artifacts, width, height):
    page = visit(at=f"ground=holes&image=5&{PATH}", viewport={"width": width, "height": height})
    for theme in THEMES:
        page.page.emulate_media(color_scheme=theme)
        page.until(f"document.documentElement.dataset.theme === '{theme}'")
        if width >= 1100:
            page.until("document.querySelectorAll('#dimensions li').length > 1")
            fits(page, artifacts, f"{theme}-{width}x{height}-all")
            continue
        for tab, title in TABS.items():
            page.page.get_by_role("tab", name=title).click()
            page.until(f"document.querySelector('main').dataset.tab === '{tab}'")
            fits(page, artifacts, f"{theme}-{width}x{height}-{tab}")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_15_the_tour_and_the_help_fit_too(visit, artifacts, width, height):
    page = visit(at="tour=3", viewport={"width": width, "height": height})
    fits(page, artifacts, f"light-{width}x{height}-tour")
    page.page.get_by_role("button", name="Leave the tour").click()
    page.page.get_by_role("button", name="Keys and help").click()
    assert page.page.get_by_role("dialog").is_visible()
    fits(page, artifacts, f"light-{width}x{height}-help")


def test_15_five_latents_fit_on_a_phone(visit, artifacts):
    page = visit("five", at="tab=dimensions", viewport={"width": 390, "height": 844})
    page.page.get_by_role("button", name="unused").click()
    fits(page, artifacts, "light-390x844-five")
    page.page.get_by_role("tab", name="Map").click()
    fits(page, artifacts, "light-390x844-plane")


@pytest.fixture(scope="module")
def long_titled(trained, tmp_path_factory):
    """Where two runs with long names are explored."""
    folder = tmp_path_factory.mktemp("long")
    runs = [shutil.copytree(trained(name), folder / title) for name, title in LONG.items()]
    with served(runs) as address:
        yield address


def test_15_long_titles_fit_on_a_phone(visit, long_titled, artifacts):
    page = visit(url=long_titled, viewport={"width": 390, "height": 844})
    told = page.page.locator(".morph output")
    assert all(title in told.inner_text() for title in LONG.values())
    fits(page, artifacts, "light-390x844-long")
    page.page.get_by_role("slider", name="morph").press("End")
    page.eventually(lambda: "100 %" in told.inner_text(), "the second layout")
    fits(page, artifacts, "light-390x844-long-morph")
