"""Inputs as users hand them over and as networks take them: pictures, texts, rows, vectors.

`KINDS` maps the name in a run directory or task file to the kind.
"""

from __future__ import annotations

from typing import Any

from quickstudy.inputs.encoded import EncodedKind, EncodedTexts
from quickstudy.inputs.encoded_pictures import EncodedPictures
from quickstudy.inputs.images import Pictures
from quickstudy.inputs.items import Items
from quickstudy.inputs.kind import InputKind
from quickstudy.inputs.molecules import Molecules
from quickstudy.inputs.rows import Columns
from quickstudy.inputs.support import Encoded, SupportSet, read
from quickstudy.inputs.task_columns import TaskColumns
from quickstudy.inputs.vectors import Vectors
from quickstudy.inputs.windows import Windows

__all__ = [
    "KINDS",
    "Columns",
    "Encoded",
    "EncodedKind",
    "EncodedPictures",
    "EncodedTexts",
    "InputKind",
    "Items",
    "Molecules",
    "Pictures",
    "SupportSet",
    "TaskColumns",
    "Vectors",
    "Windows",
    "kind_from_json",
    "read",
]

KINDS: dict[str, type[InputKind]] = {
    "columns": Columns,
    "pictures": Pictures,
    "encoded_pictures": EncodedPictures,
    "encoded_texts": EncodedTexts,
    "windows": Windows,
    "items": Items,
    "molecules": Molecules,
}


def kind_from_json(data: dict[str, Any] | None, runtime: dict[str, Any] | None = None) -> InputKind:
    """The kind of input whose `to_json` gave this; null is vectors.

    Args:
        data: The JSON.
        runtime: `InputKind.runtime` as it was recorded.

    Raises:
        LookupError: There is no such kind.
    """
    kind = Vectors() if data is None else KINDS[data["kind"]].from_json(data)
    return kind if runtime is None else kind.with_runtime(runtime)
