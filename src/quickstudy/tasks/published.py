"""Files of published data sets of texts, which the user has fetched."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quickstudy.errors import DataError
from quickstudy.inputs.decoding import file_text


def published_files(name: str, folder: Path, files: Sequence[str], source: str) -> list[Path]:
    """The files of a data set in a folder.

    Args:
        name: Name of the data set.
        folder: The folder.
        files: The files that it must hold.
        source: Where they are published.

    Raises:
        DataError: One is missing; says all, and where they are published.
    """
    paths = [folder / file for file in files]
    missing = [path.name for path in paths if not path.is_file()]
    if missing:
        place = "without " + ", ".join(missing) if folder.is_dir() else "where no folder is"
        raise DataError(
            f"{name}: needs a folder with {', '.join(files)}; received {folder}, {place}; fetch "
            f"them from {source}, and say where they are (--tasks.path)."
        )
    return paths


def published_json(name: str, path: Path, source: str) -> dict[str, Any]:
    """The JSON object in a file of a data set.

    Raises:
        DataError: It is none.
    """
    try:
        content = json.loads(file_text(path, name, "the published file"))
    except ValueError as error:
        raise other_file(name, path, str(error), source) from error
    if not isinstance(content, dict):
        raise other_file(name, path, f"a {type(content).__name__}, no object", source)
    return content


def other_file(name: str, path: Path, received: str, source: str) -> DataError:
    """The error of a file that is not as it was published."""
    return DataError(
        f"{name}: {path} must be the published file; received {received}; fetch it again from "
        f"{source}."
    )
