"""Inputs as users hand them over and as networks take them: pictures, rows of tables, vectors.

`KINDS` maps the name in a run directory or task file to the kind.
"""

from __future__ import annotations

from typing import Any

from quickstudy.inputs.images import Pictures
from quickstudy.inputs.kind import InputKind
from quickstudy.inputs.rows import Columns
from quickstudy.inputs.support import Encoded, SupportSet, read
from quickstudy.inputs.task_columns import TaskColumns
from quickstudy.inputs.vectors import Vectors

__all__ = [
    "KINDS",
    "Columns",
    "Encoded",
    "InputKind",
    "Pictures",
    "SupportSet",
    "TaskColumns",
    "Vectors",
    "kind_from_json",
    "read",
]

KINDS: dict[str, type[InputKind]] = {"columns": Columns, "pictures": Pictures}


def kind_from_json(data: dict[str, Any] | None) -> InputKind:
    """The kind of input whose `to_json` gave this; null is vectors.

    Raises:
        LookupError: There is no such kind.
    """
    return Vectors() if data is None else KINDS[data["kind"]].from_json(data)
