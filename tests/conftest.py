"""What all tests share: one chip's arithmetic on any chip; a cache folder of their own, so that no test fills a person's.

LEGATO_TEST_PRECISION=bfloat16 and LEGATO_TEST_DEVICE=cuda choose another arithmetic for all that tests train and measure.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

# Before torch and NumPy are loaded, which read their counts of threads then. Child processes inherit it.
os.environ.update(
    LEGATO_PRECISION=os.environ.get("LEGATO_TEST_PRECISION") or "float32",
    LEGATO_DEVICE=os.environ.get("LEGATO_TEST_DEVICE") or "cpu",
    **dict.fromkeys(("LEGATO_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
)

import made_runs

pytest.register_assert_rewrite("stopped_runs")  # so that what differs is told

TRAINS = {"runs", "sources", "trained"}  # fixtures of what is trained


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of trained models by the fixtures that they ask for."""
    for item in items:
        if TRAINS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("trained")


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
def alone() -> Iterator[None]:
    """One thread, since tensors are tiny and other processes want the cores; and one seed."""
    import torch  # not above: most tests of data need none

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty `LEGATO_CACHE` for one test that counts or breaks what is in it."""
    folder = tmp_path / "fresh-cache"
    monkeypatch.setenv("LEGATO_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A small file of each kind of data."""
    return made_runs.write_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory, sources: dict[str, Path]) -> Mapping[str, Path]:
    """A trained RUN of each name in `made_runs.RUNS`, made when first asked for. Tests read it and write elsewhere."""
    return made_runs.Runs(tmp_path_factory.mktemp("runs"), sources)
