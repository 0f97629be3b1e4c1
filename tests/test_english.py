"""Docstrings begin with a verb or a noun of the field, not with a riddle."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from test_architecture import SOURCE

RIDDLE = re.compile(r"(What|Inside|Whose|Told)\b")


def riddles(path: Path) -> Iterator[int]:
    """Lines of the docstrings of a file, those of constants too, that begin with a riddle."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            text = node.value.value
            if isinstance(text, str) and RIDDLE.match(text.lstrip()):
                yield node.lineno


def test_no_docstring_is_a_riddle() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}"
        for path in sorted(SOURCE.rglob("*.py"))
        for line in riddles(path)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ('"""What was kept is had back."""', [1]),
        ('def f():\n    """Inside, no other thread computes."""', [2]),
        ('class A:\n    """Whose turn it is."""', [2]),
        ('A = 1\n"""Told before each step."""', [2]),
        ('"""Loads a model. What it holds is checked."""', []),
        ('"""Insides of a model."""', []),
    ],
)
def test_a_riddle_is_seen(tmp_path: Path, text: str, lines: list[int]) -> None:
    path = tmp_path / "a.py"
    path.write_text(text)
    assert list(riddles(path)) == lines
