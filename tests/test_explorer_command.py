"""`legato explore`: its mistakes are one line, its address is one line, and Ctrl-C ends it quietly."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import numpy as np
import pytest
from websockets.sync.client import connect

from legato import cli
from legato.commands import explore
from legato.explorer import opening
from legato.explorer.frames import Answered, CursorRequest
from patience import PATIENCE

COMMAND = (sys.executable, "-m", "legato", "explore", "--threads", "1", "--device", "cpu")


@contextmanager
def started(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def told(capsys: Any, *arguments: str) -> str:
    assert cli.run(["explore", *arguments]) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("legato: ")
    assert found.err.count("\n") == 1
    return found.err


def test_it_prints_its_address_answers_and_ends_quietly(runs):
    with started(str(runs["vae"]), str(runs["autoencoder"]), "--no-browser") as process:
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{22}/", url)
        visit = json.load(urllib.request.urlopen(f"{url}session.json", timeout=PATIENCE))
        assert [model["title"] for model in visit["models"]] == ["vae", "autoencoder"]
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
        assert (process.returncode, out, err) == (0, "", "")


def test_it_ends_quietly_while_a_page_is_open_and_asks(runs):
    with started(str(runs["vae"]), "--no-browser") as process:
        url = process.stdout.readline().strip()
        plane = {"u": [1, 0, 0], "v": [0, 1, 0], "anchor": [0, 0, 0]}
        asked = {"model": 0, "step": None, "kind": "holes", "plane": plane, "extent": [-3, 3, -3, 3], "size": 512}
        with connect(url.replace("http", "ws") + "socket", open_timeout=PATIENCE) as ws, ThreadPoolExecutor() as asking:
            waiting = asking.submit(urllib.request.urlopen, f"{url}field", json.dumps(asked).encode(), timeout=PATIENCE)
            ws.send(CursorRequest(1, 1, 0, 0, np.zeros(3, np.float32)).pack())
            assert Answered.read(ws.recv(timeout=PATIENCE)).seq == 1
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=PATIENCE)
            with pytest.raises(HTTPError, match="503") as refused:
                waiting.result()
            refused.value.close()
        assert (process.returncode, out, err) == (0, "", "")


def test_a_browser_is_opened_unless_told_not_to(runs, monkeypatch, capsys):
    opened: list[str] = []
    monkeypatch.setattr(explore, "browse", opened.append)
    monkeypatch.setattr(opening.uvicorn.Server, "run", lambda self, sockets: None)
    for more in ([], ["--no-browser"]):
        assert cli.run(["explore", str(runs["vae"]), "--threads", "1", *more]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert opened == printed[:1]


def test_another_host_is_warned_of(runs, monkeypatch, capsys):
    monkeypatch.setattr(opening.uvicorn.Server, "run", lambda self, sockets: None)
    assert cli.run(["explore", str(runs["vae"]), "--no-browser", "--host", "0.0.0.0", "--threads", "1"]) == 0
    found = capsys.readouterr()
    assert found.out.startswith(f"http://{socket.gethostname()}:")
    assert "0.0.0.0" in found.err
    assert found.err.count("\n") == 1
    assert cli.run(["explore", str(runs["vae"]), "--no-browser", "--threads", "1"]) == 0
    assert capsys.readouterr().err == ""


def test_interrupted_it_ends_without_a_word(runs, monkeypatch, capsys):
    def interrupted(self: Any, sockets: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(opening.uvicorn.Server, "run", interrupted)
    assert cli.run(["explore", str(runs["vae"]), "--no-browser", "--threads", "1"]) == 0
    assert capsys.readouterr().err == ""


def test_mistakes_are_one_line(runs, tmp_path, capsys):
    vae, data = str(runs["vae"]), ["--no-browser", "--threads", "1"]
    assert "nothing to explore" in told(capsys)
    assert "no run lies" in told(capsys, str(tmp_path / "none"), *data)
    assert "is no run" in told(capsys, str(tmp_path), *data)
    assert "one run or two" in told(capsys, vae, vae, vae, *data)
    assert "another shape" in told(capsys, vae, str(runs["colour"]), *data)
    assert "2 points" in told(capsys, vae, "--points", "1", *data)
    assert "no source is at" in told(capsys, vae, "--data", str(tmp_path / "none"), *data)
    assert "from 0 to 65535" in told(capsys, vae, "--port", "70000", *data)
    assert "cannot listen" in told(capsys, vae, "--host", "203.0.113.7", *data)
    told(capsys, vae, "--port", "eighty", *data)


def test_a_busy_port_is_one_line(runs, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert "choose another --port" in told(capsys, str(runs["vae"]), "--port", port, "--no-browser", "--threads", "1")


def test_a_damaged_model_is_one_line(runs, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(runs["vae"], run)
    (run / "model.safetensors").write_bytes(b"x")
    assert "no whole safetensors" in told(capsys, str(run), "--no-browser", "--threads", "1")


def test_exploring_changes_nothing_in_a_run(runs, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(runs["vae"], run)

    def files() -> dict[Path, tuple[int, int]]:
        return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in run.rglob("*")}

    before = files()
    with started(str(run), "--no-browser") as process:
        url = process.stdout.readline().strip()
        body = json.dumps({"model": 0, "step": None, "z": [0, 0, 0], "k": 3}).encode()
        found = json.load(urllib.request.urlopen(f"{url}locate", body, timeout=PATIENCE))
        assert len(found["rows"]) == 3
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert files() == before


def test_a_machine_without_a_browser_is_no_failure(monkeypatch):
    asked = []

    def none() -> None:
        asked.append(1)
        raise opening.webbrowser.Error("no browser")

    monkeypatch.setattr(opening.webbrowser, "get", none)
    opening.show("http://127.0.0.1/")
    assert asked


@pytest.mark.parametrize(("kind", "count"), [("BackgroundBrowser", 1), ("GenericBrowser", 0)])
def test_a_browser_in_the_terminal_is_left_alone(monkeypatch, kind, count):
    opened: list[str] = []
    found = getattr(opening.webbrowser, kind)("some-browser")
    monkeypatch.setattr(found, "open", opened.append)
    monkeypatch.setattr(opening.webbrowser, "get", lambda: found)
    opening.show("http://127.0.0.1/")
    assert len(opened) == count
