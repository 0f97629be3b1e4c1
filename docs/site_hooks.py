"""Pages of the site that stand elsewhere in the repository, and one that is made from the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "quickstudy"
PAGES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changes.md",
}
"""Pages beside the folder of the documentation, and what they are called on the site."""
LINK = re.compile(r"(!?)\[([^]]*)\]\((?!\w+:|#)([^)#]*)(#[^)]*)?\)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that the folder does not hold."""
    for name, page in PAGES.items():
        text = LINK.sub(from_the_root, (ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, "files.md", content="\n".join(what_files_are_for())))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Leads links that leave the folder to the site's own pages."""
    return LINK.sub(from_the_folder, markdown)


def from_the_root(match: re.Match[str]) -> str:
    """A link of a page beside the folder, as seen from within."""
    mark, text, path, anchor = match.groups("")
    inside = path.removeprefix("docs/") if path.startswith("docs/") else f"../{path}"
    return f"{mark}[{text}]({inside}{anchor})"


def from_the_folder(match: re.Match[str]) -> str:
    """A link that stays on the site; the text alone of one to a file that is no page."""
    mark, text, path, anchor = match.groups("")
    if not path.startswith("../"):
        return match[0]
    page = PAGES.get(path.removeprefix("../"))
    return f"{mark}[{text}]({page}{anchor})" if page else text


def what_files_are_for() -> Iterator[str]:
    """A page with the first paragraph of every module's docstring, folder by folder."""
    yield "# What each file is for\n"
    yield "Made from the first lines of the modules.\n"
    folders = {path.parent for path in SOURCE.rglob("*.py")}
    for folder in sorted(folders, key=lambda folder: folder.relative_to(SOURCE).parts):
        yield f"\n## {folder.relative_to(SOURCE.parent)}\n"
        for path in sorted(folder.glob("*.py"), key=lambda path: path.name):
            docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
            purpose = " ".join(docstring.split("\n\n")[0].split())
            yield f"- `{path.name}`: {purpose}"
