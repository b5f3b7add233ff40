"""Assertion 18: the wheel carries the page; in a clean environment without node it is served, and it drags."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest

from browser import models
from browser.models import decoded
from browser.served import served
from browser.test_page_drag import across
from browser.test_page_map import SHOWN, blobs

ROOT = Path(__file__).parents[2]
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Built from this checkout, with nothing downloaded."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(ROOT)], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """`legato` of an environment that has the wheel, and beside it what the wheel needs."""
    home = tmp_path_factory.mktemp("environment")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    python = home / "bin" / "python"
    subprocess.run([*PIP, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    (packages / "needs.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = [str(python), "-c", "import legato; print(legato.__file__)"]
    told = subprocess.run(where, check=True, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""})
    assert Path(told.stdout.strip()).is_relative_to(packages)
    return home / "bin" / "legato"


def test_18_the_wheel_carries_the_page(wheel):
    ui = ROOT / "src" / "legato" / "explorer" / "_ui"
    built = {f"legato/explorer/_ui/{path.relative_to(ui)}": path.read_bytes() for path in ui.rglob("*") if path.is_file()}
    assert "legato/explorer/_ui/index.html" in built
    with zipfile.ZipFile(wheel) as archive:
        assert {name: archive.read(name) for name in archive.namelist() if name in built} == built


def test_18_it_is_served_without_node(visit, installed, trained, space):
    bare = {**os.environ, "PATH": str(installed.parent), "PYTHONPATH": ""}
    with served([trained("vae")], command=[str(installed)], **bare) as url:
        page = visit(url=url, at=SHOWN)
        blobs(page, space("vae").encode(models.pictures()[0])[0])
        page.drag(across(page, steps=60))
        assert page.js("__app.inFlightMax") == 1
        assert np.abs(page.decoded().astype(int) - decoded(space("vae"), [page.cursor()])[0]).max() <= 2
