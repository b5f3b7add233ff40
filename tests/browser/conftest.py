"""What browser tests share: three small models, a server for each visit, one browser, a page that must not complain.

Everything here has the scope of this folder: Playwright's own event loop runs in this thread until it is stopped, and other
tests start loops of their own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright==1.65.2")

from playwright.sync_api import Browser, Playwright  # noqa: E402

from browser import models  # noqa: E402
from browser.opened import Opened  # noqa: E402
from browser.served import served  # noqa: E402
from legato import load  # noqa: E402
from legato.latent_space import LatentSpace  # noqa: E402
from patience import PATIENCE  # noqa: E402

ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
NAMES = ("chromium", "chromium-browser", "google-chrome")
DESK = {"width": 1440, "height": 900}
Open = Callable[..., Opened]


@pytest.fixture(scope="package")
def chromium() -> str:
    """The system's browser."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no browser: apt-get install chromium")
    return found


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """The driver."""
    with sync_api.sync_playwright() as driver:
        yield driver


@pytest.fixture(scope="package")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    """One browser for all tests."""
    started = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
    yield started
    started.close()


@pytest.fixture(scope="package")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Callable[[str], Path]:
    """A run by its name in `models.MODELS`, trained when it is first asked for."""
    folder = tmp_path_factory.mktemp("shapes")
    source = models.write(folder)
    return lambda name: folder / name if (folder / name).exists() else models.train(name, source, folder / name)


@pytest.fixture(scope="package")
def space(trained: Callable[[str], Path]) -> Callable[[str], LatentSpace]:
    """The same model, asked from Python."""
    known: dict[str, LatentSpace] = {}
    return lambda name: known.setdefault(name, load(trained(name)))


@pytest.fixture(scope="package")
def servers(trained: Callable[[str], Path]) -> Iterator[Callable[..., str]]:
    """The address of a visit to named runs, started when it is first asked for."""
    known: dict[tuple[str, ...], str] = {}
    with ExitStack() as stack:

        def address(*names: str) -> str:
            if names not in known:
                known[names] = stack.enter_context(served([trained(name) for name in names]))
            return known[names]

        yield address


@pytest.fixture
def open_in(servers: Callable[..., str]) -> Iterator[Open]:
    """Opens a page in a browser: `open_in(browser, "vae", at="ground=holes")`. None complains, none asks elsewhere."""
    opened: list[Opened] = []
    with ExitStack() as stack:

        def open_(browser: Browser, *names: str, at: str = "", url: str = "", wait: bool = True, **context: object) -> Opened:
            made = browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce", "color_scheme": "light", **context})
            made.set_default_timeout(1000 * PATIENCE)
            stack.callback(made.close)
            page = Opened(made.new_page(), url or servers(*(names or ("vae", "autoencoder"))))
            opened.append(page)
            return page.go(at, wait=wait)

        yield open_
        told = [(page.unexpected(), page.strangers()) for page in opened]
    assert told == [([], [])] * len(opened)


@pytest.fixture
def visit(browser: Browser, open_in: Open) -> Open:
    """The same in the browser of all tests: `visit("vae", "autoencoder")`."""
    return partial(open_in, browser)


@pytest.fixture
def artifacts() -> Path | None:
    """Where pictures go that a person looks at; None where nobody asked."""
    folder = os.environ.get("ARTIFACTS")
    if not folder:
        return None
    Path(folder).mkdir(parents=True, exist_ok=True)
    return Path(folder)
