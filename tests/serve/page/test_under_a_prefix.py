"""The page behind a proxy that serves it under a prefix."""

from __future__ import annotations

import contextlib
import http.client
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from on_page import PATIENCE, expect
from page_site import Site

PREFIX = "/some/where"


@pytest.fixture
def proxied(site: Site) -> Iterator[str]:
    """The address of the site under a prefix that it does not know."""

    class Proxy(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def passed_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            inside = self.path.startswith(f"{PREFIX}/")
            path = self.path.removeprefix(PREFIX) if inside else "/outside"
            upstream = http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=120)
            with contextlib.closing(upstream), contextlib.suppress(ConnectionError):
                upstream.request(self.command, path, body or None, dict(self.headers))
                with upstream.getresponse() as answer:
                    content = answer.read()
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in ("content-length", "date"):
                            self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = passed_on  # noqa: N815

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as proxy:
        proxy.daemon_threads = True
        thread = threading.Thread(target=proxy.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{proxy.server_port}{PREFIX}"
        proxy.shutdown()
        thread.join()


def test_all_of_it_is_under_the_prefix(browser: Any, proxied: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    answers: list[tuple[str, int]] = []
    errors: list[str] = []
    page.on("response", lambda response: answers.append((response.url, response.status)))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(f"{proxied}/")
    expect(page.locator(".class-card").first).to_be_visible()
    page.get_by_role("button", name="Load example task").first.click()
    expect(page.locator("[data-example]").first).to_be_visible()
    assert page.url.startswith(f"{proxied}/?")
    page.reload()
    expect(page.locator("[data-example]").first).to_be_visible()
    expect(page.locator("#code")).to_contain_text(f"{proxied}/v1/models/")
    page.get_by_role("link", name="API").click()
    page.locator("#list_models > summary").click()
    expect(page.locator("#list_models pre")).to_have_text(f"curl -s '{proxied}/v1/models'")
    page.go_back()
    expect(page.locator("[data-example]").first).to_be_visible()
    page.locator("#lab").click()
    expect(page.locator("figure").first).to_be_visible()
    page.locator("#teach").click()
    expect(page.locator(".class-card").first).to_be_visible()
    assert page.url.startswith(f"{proxied}/?")
    context.close()
    assert errors == []
    assert {(url, status) for url, status in answers if status >= 400} == set()
    assert all(url.startswith((f"{proxied}/", "data:", "blob:")) for url, _ in answers)
