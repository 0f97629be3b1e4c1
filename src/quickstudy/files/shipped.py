"""The meta-trained models that come with quickstudy, and the run that a user names."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from quickstudy.files.rundir import RunDirectory, missing_run

FOLDER = Path(__file__).resolve().parents[1] / "shipped"


def shipped() -> dict[str, Path]:
    """The run directories that come with quickstudy, by name."""
    return {record.parent.name: record.parent for record in sorted(FOLDER.glob("*/run.json"))}


def run_of(run: str | os.PathLike[str], others: Iterable[str] = ()) -> RunDirectory:
    """The run that a user names: a folder, or else a model that comes with quickstudy.

    Args:
        run: Path of a run directory, or the name of a model that comes with quickstudy.
        others: Names of further models that are taken where this is asked, for the message.

    Raises:
        CheckpointError: Neither is there.
    """
    directory, names = RunDirectory(Path(run)), shipped()
    if directory.exists:
        return directory
    if not directory.path.is_dir() and str(directory.path) in names:
        return RunDirectory(names[str(directory.path)])
    raise missing_run(directory.path, [*names, *(name for name in others if name not in names)])
