"""How mkdocstrings reads the docstrings: shapes as they stand, and an example as code."""

from __future__ import annotations

import re
from typing import Any

import griffe

SHAPES = re.compile(r"^Shapes:\n((?: +.*\n?)+)", re.MULTILINE)


class Sections(griffe.Extension):
    """Turns the sections that the Google style does not know into ones that it does."""

    def on_object(self, *, obj: griffe.Object, **rest: Any) -> None:
        """Rewrites the docstring of an object before it is parsed."""
        if obj.docstring is None:
            return
        text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.MULTILINE)
        obj.docstring.value = SHAPES.sub(r"Shapes:\n    ```\n\1\n    ```\n", text)
