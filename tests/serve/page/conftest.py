"""The site, the browser, and visits to the one with the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from on_page import Visit
    from page_site import Site

CHROMIUM = [f"/usr/bin/{name}" for name in ("chromium", "chromium-browser", "google-chrome")]
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--disable-default-apps", "--no-first-run",
    "--use-fake-device-for-media-stream=device-count=2,fps=8",
]  # fmt: skip


@pytest.fixture(scope="session")
def site(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of drawings, photos, texts, waves, rows, points, and of any table."""
    from page_site import Site, make_photos, make_sentences, make_signs, make_waves

    folder = tmp_path_factory.mktemp("site")
    learned = [make_signs(folder / "signs"), make_waves(folder / "sines")]
    learned += [make_photos(folder / "snaps"), make_sentences(folder / "sentences")]
    site = Site([*learned, runs["flowers"], runs["blobs"], runs["tables"]], folder)
    yield site
    site.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """The Chromium that the machine has; none is downloaded."""
    from playwright.sync_api import sync_playwright

    there = [path for path in CHROMIUM if Path(path).exists()]
    if not there:
        pytest.skip(f"no Chromium is installed: there is none of {', '.join(CHROMIUM)}")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=there[0], args=QUIET)
        yield browser
        browser.close()


class Seen:
    """What a page asked for and complained about."""

    def __init__(self, page: Any) -> None:
        self.urls: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: Any) -> None:
        # Chromium reports every 4xx so; that is the server's answer and no fault of the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Visit]:
    """Opens a page in a browser of its own; afterwards no page may have complained."""
    from on_page import PATIENCE, expect

    contexts, pages = [], []

    def opened(path: str = "/", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(PATIENCE)
        contexts.append(context)
        page = context.new_page()
        page.seen = Seen(page)
        pages.append(page)
        page.goto(site.url + path)
        expect(page.locator(".class-card").first).to_be_visible()
        return page

    yield opened
    complaints = [error for page in pages for error in page.seen.errors]
    for context in contexts:
        context.close()
    assert complaints == []
