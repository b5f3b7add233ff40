"""What all tests share: a cache folder of their own, so that no test reads or fills a person's, and MNIST is unpacked once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The session's `LEGATO_CACHE`; child processes inherit it."""
    folder, before = tmp_path_factory.mktemp("cache"), os.environ.get("LEGATO_CACHE")
    os.environ["LEGATO_CACHE"] = str(folder)
    yield folder
    if before is None:
        del os.environ["LEGATO_CACHE"]
    else:
        os.environ["LEGATO_CACHE"] = before


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `LEGATO_CACHE` for one test that counts or breaks what is in it."""
    folder = tmp_path / "fresh-cache"
    monkeypatch.setenv("LEGATO_CACHE", str(folder))
    return folder
