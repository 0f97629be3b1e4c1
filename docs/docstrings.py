"""How mkdocstrings reads the docstrings: equations and shapes as they stand, an example as code."""

from __future__ import annotations

import re
from textwrap import dedent
from typing import Any

import griffe

EQUATIONS = re.compile(r"[a-z_]+: {2,}\S")
"""How a paragraph of equations begins: `adapt:  c_n = ...`."""


class Sections(griffe.Extension):
    """Turns what the Google style does not know into what it does."""

    def on_object(self, *, obj: griffe.Object, **rest: Any) -> None:
        """Rewrites the docstring of an object before it is parsed."""
        if obj.docstring is not None:
            paragraphs = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(map(readable, paragraphs))


def readable(paragraph: str) -> str:
    """A paragraph of a docstring as Markdown, or as a section of the Google style."""
    heading, _, rest = paragraph.partition("\n")
    if heading == "Example:":
        return f"Examples:\n{rest}"
    if heading == "Shapes:":
        return f"**Shapes:**\n\n```\n{dedent(rest)}\n```"
    if EQUATIONS.match(paragraph):
        return f"```\n{paragraph}\n```"
    return paragraph
