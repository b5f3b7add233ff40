"""Assertion 17: a wrong token, a foreign `Host` and a foreign `Origin` are refused, over HTTP and on the socket."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from browser.served import process
from patience import PATIENCE

ELSEWHERE = "http://elsewhere.example"
KEY = "AAAAAAAAAAAAAAAAAAAAAA=="
SOCKET = """new Promise((done) => {
  const socket = new WebSocket('%s')
  socket.onopen = () => done('open')
  socket.onerror = () => done('refused')
})"""
FRAMED = """new Promise((done) => {
  const frame = document.createElement('iframe')
  frame.src = '%s'
  frame.onload = () => done(frame.contentDocument === null ? 'nothing' : frame.contentDocument.title)
  document.body.append(frame)
})"""


def status(url, path="session.json", **headers):
    """What a request is answered, with headers of its own."""
    parts = urlsplit(url)
    asking = http.client.HTTPConnection(parts.hostname, parts.port, timeout=PATIENCE)
    try:
        asking.request("GET", parts.path + path, headers=headers)
        return asking.getresponse().status
    finally:
        asking.close()


def other_token(url):
    parts = urlsplit(url)
    token = parts.path.strip("/")
    return url.replace(token, token[:-1] + ("A" if token[-1] != "A" else "B"))


def refused(url, **options):
    """The status with which a socket is refused, None where it is opened."""
    try:
        with connect(url.replace("http", "ws") + "socket", open_timeout=PATIENCE, **options):
            return None
    except InvalidStatus as answer:
        return answer.response.status_code


def test_17_over_http(servers):
    url = servers("vae", "autoencoder")
    port = urlsplit(url).port
    assert status(url) == 200
    assert status(url, Origin=f"http://127.0.0.1:{port}") == 200
    assert status(other_token(url)) == 403
    assert status(f"http://127.0.0.1:{port}/") == 403
    assert status(url, Host=f"elsewhere.example:{port}") == 403
    assert status(url, Host="127.0.0.1") == 403
    assert status(url, Origin=ELSEWHERE) == 403
    assert status(url, Origin="null") == 403
    assert status(url, "assets/../session.json") == 404


def test_17_on_the_socket(servers):
    url = servers("vae", "autoencoder")
    assert refused(url) is None
    assert refused(other_token(url)) == 403
    assert refused(url, origin=ELSEWHERE) == 403
    asking = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}
    assert status(url, "socket", **asking) == 101
    assert status(url, "socket", **asking, Host=f"elsewhere.example:{urlsplit(url).port}") == 403


def test_17_another_page_of_the_browser_reads_nothing(visit, servers):
    url = servers("vae", "autoencoder")
    page = visit(wait=False)
    page.expected.append(
        "Failed to load|blocked by CORS policy|Refused to|WebSocket connection to|Content Security|Not allowed"
    )
    page.page.route(f"{ELSEWHERE}/", lambda asked: asked.fulfill(body="<!doctype html>", content_type="text/html"))
    page.page.goto(f"{ELSEWHERE}/")
    told = page.js(f"fetch('{url}session.json').then((answer) => answer.text(), (error) => error.name)")
    assert told == "TypeError"
    assert page.js(SOCKET % (url.replace("http", "ws") + "socket")) == "refused"
    assert page.js(FRAMED % url) == "nothing"
    page.requests.clear()


@pytest.mark.parametrize("token", ["short", "sixteen letters?", ""])
def test_17_a_token_of_ones_own_must_not_be_guessed(trained, token):
    with pytest.raises(AssertionError, match="LEGATO_TOKEN must be 16 or more"), process([trained("vae")], LEGATO_TOKEN=token):
        pass


def test_17_a_token_of_ones_own_is_the_address(trained):
    with process([trained("vae")], LEGATO_TOKEN="x" * 30) as (url, _):
        assert urlsplit(url).path == f"/{'x' * 30}/"
        assert status(url) == 200
