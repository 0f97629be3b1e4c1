"""Parts of pages that are made from recorded files, between markers of their own."""

from __future__ import annotations

import re
from pathlib import Path


def filled(text: str, **parts: str) -> str:
    """A page in which each part stands between `<!-- name -->` and `<!-- /name -->`."""
    for name, part in parts.items():
        text, n = re.subn(
            rf"(?<=<!-- {name} -->\n).*(?=<!-- /{name} -->)",
            lambda _, part=part: part,  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
        assert n == 1, f"the page has one place for {name} between its markers"
    return text


def check(page: Path, update: bool, **parts: str) -> None:
    """Holds a page to its parts, or writes them into it."""
    if update:
        page.write_text(filled(page.read_text(encoding="utf-8"), **parts), encoding="utf-8")
    text = page.read_text(encoding="utf-8")
    said = f"{page.name} is not what was recorded: run the test with --update-golden"
    assert text == filled(text, **parts), said
