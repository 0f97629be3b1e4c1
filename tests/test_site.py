"""The documentation builds without a warning, lists what is public, and asks nothing of the web."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from html.parser import HTMLParser
from importlib import import_module
from pathlib import Path

import pytest
from test_examples import MODULES, PAGE

ROOT = PAGE.parents[1]
SOURCE = ROOT / "src" / "quickstudy"
LISTED = re.compile(r"^::: (\S+)$", re.MULTILINE)
"""A name that the page describes."""
ALSO = re.compile(r"`(quickstudy\.[\w.]+)`")
"""A name that stands in the text of the page: what is described there under another one."""


def on_the_page(page: str) -> list[str]:
    """The names of the page, and a name for each heading of a module."""
    # The function of this name hides the folder that it is exported from.
    names = [name.replace(".compare.compare", ".compare") for name in LISTED.findall(page)]
    return [*names, *ALSO.findall(page)]


def public() -> list[str]:
    """What the public modules export, but for these modules themselves and the version."""
    return [
        f"{module}.{name}"
        for module in MODULES
        for name in import_module(module).__all__
        if name != "__version__" and not inspect.ismodule(getattr(import_module(module), name))
    ]


def test_the_page_lists_what_is_public_and_nothing_else() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert sorted(on_the_page(page)) == sorted(public())
    assert re.findall(r"^## (\S+)$", page, re.MULTILINE) == list(MODULES)


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if not path.read_text(encoding="utf-8").startswith(('"""', 'r"""'))
    ]
    assert silent == []


class Fetched(HTMLParser):
    """Collects what a browser fetches with a page: scripts, styles, fonts, pictures, frames."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes the address of an element that is fetched; links to follow are not."""
        values = dict(attrs)
        address = values.get("href") if tag == "link" else values.get("src")
        if address and values.get("rel") != "canonical":
            self.addresses.append(address)


def elsewhere(html: str) -> list[str]:
    """What a page fetches from another place than the site."""
    parser = Fetched()
    parser.feed(html)
    imported = re.findall(r"(?:url\(|@import )[\"']?((?:https?:)?//[^\"')]+)", html)
    return [a for a in parser.addresses if re.match(r"(https?:)?//", a)] + imported


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_site_has_every_page_and_describes_every_name(site: Path) -> None:
    pages = {path.stem for path in site.glob("*.html")}
    assert pages >= {path.stem for path in PAGE.parent.glob("*.md")}
    assert pages >= {"index", "changes", "contributing", "files"}
    api = (site / "api.html").read_text(encoding="utf-8")
    assert [n for n in LISTED.findall(PAGE.read_text()) if f'<h3 id="{n}"' not in api] == []


def test_the_page_of_files_names_every_file(site: Path) -> None:
    page = (site / "files.html").read_text(encoding="utf-8")
    listed = re.findall(r"<li><code>(\w+\.py)</code>: \S", page)
    assert sorted(listed) == sorted(path.name for path in SOURCE.rglob("*.py"))


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    for path in [*site.rglob("*.html"), *site.rglob("*.css")]:
        assert elsewhere(path.read_text(encoding="utf-8")) == [], path


@pytest.mark.parametrize(
    "html",
    [
        '<link rel="stylesheet" href="https://fonts.example/css">',
        '<script src="//cdn.example/x.js"></script>',
        "<style>@font-face { src: url(https://fonts.example/x.woff2) }</style>",
        "@import 'https://fonts.example/css'",
    ],
)
def test_what_is_fetched_from_elsewhere_is_seen(html: str) -> None:
    assert len(elsewhere(html)) == 1
