"""Requests whose end a proxy and the server could see at different places: refused, and closed."""

from __future__ import annotations

import logging

import pytest
from served_runs import Client
from test_slow_clients import connected, rest

CHUNKS = "5\r\nhello\r\n0\r\n\r\n"
HIDDEN = "GET /v1/limits HTTP/1.1\r\nHost: localhost\r\n\r\n"
AMBIGUOUS = {
    "length and chunks": "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "chunks and length": "Transfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n" + CHUNKS,
    "two lengths": "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "two lengths in one": "Content-Length: 5, 6\r\n\r\nhello!",
    "a signed length": "Content-Length: +5\r\n\r\nhello",
    "a negative length": "Content-Length: -5\r\n\r\nhello",
    "a length in hex": "Content-Length: 0x5\r\n\r\nhello",
    "an endless length": f"Content-Length: {'9' * 30}\r\n\r\nhello",
    "a blank before the colon": "Content-Length : 5\r\n\r\nhello",
    "two codings": "Transfer-Encoding: gzip, chunked\r\n\r\n" + CHUNKS,
    "twice chunked": "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "identity": "Transfer-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
    "almost chunked": "Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "no size of a chunk": "Transfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
    "no end of a chunk": "Transfer-Encoding: chunked\r\n\r\n5\r\nhello!!0\r\n\r\n",
    "two hosts": "Host: localhost\r\nContent-Length: 5\r\n\r\nhello",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_what_is_ambiguous_is_refused(client: Client, name: str) -> None:
    for path in ("/v1/models/blobs/tasks", "/none"):
        head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n"
        answered = rest(connected(client, head + AMBIGUOUS[name] + HIDDEN))
        # Chunks are read after the headers, so what needs none of them was answered before.
        assert answered[:12] in (b"HTTP/1.1 400", b"HTTP/1.1 404"), answered
        assert path == "/none" or answered.startswith(b"HTTP/1.1 400")
        assert b"body_bytes" not in answered


def test_chunks_are_of_http_1_1(client: Client) -> None:
    head = "POST /none HTTP/1.0\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    answered = rest(connected(client, head + CHUNKS + HIDDEN))
    assert answered.startswith(b"HTTP/1.1 400")
    assert b"body_bytes" not in answered


def test_what_is_not_ambiguous_is_taken(client: Client) -> None:
    close = "Connection: close\r\n"
    for fine in ("Content-Length: 5\r\n\r\nhello", f"Transfer-Encoding: chunked\r\n\r\n{CHUNKS}"):
        head = f"POST /none HTTP/1.1\r\nHost: localhost\r\n{fine}"
        both = head + HIDDEN.replace("\r\n\r\n", f"\r\n{close}\r\n")
        answered = rest(connected(client, both))
        assert answered.count(b"HTTP/1.1 404") == answered.count(b"body_bytes") == 1


def test_nonsense_is_no_failure(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Neither before a response nor after it."""
    for text in (
        "\x16\x03\x01",
        "GET\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        HIDDEN + "nonsense\r\n\r\n",
    ):
        assert b"HTTP/1.1 400" in rest(connected(client, text))
    unwanted = "POST /none HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(client, unwanted) as sock:
        assert sock.recv(65536).startswith(b"HTTP/1.1 404")
        sock.sendall(b"nonsense\r\n\r\n")
        rest(sock)
    caplog.set_level(logging.WARNING, "uvicorn.error")
    upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
    with connected(client, HIDDEN.replace("\r\n\r\n", f"\r\n{upgrade}")) as sock:
        assert sock.recv(65536).startswith(b"HTTP/1.1 200")
    assert all(record.exc_info is None for record in caplog.records)
    assert not [r for r in caplog.records if "upgrade" in r.getMessage()]
