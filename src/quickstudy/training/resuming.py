"""Whether a run begins or goes on: it is locked, and is the very one that is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path

from quickstudy.batching.meeting import remember, remembered
from quickstudy.batching.processes import json_from_first
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.files.rundir import RunDirectory
from quickstudy.tasks.recorded import OF_DATA
from quickstudy.training.result import Resume
from quickstudy.training.settings import Training

MAY_CHANGE = (
    *("steps", "patience", "target", "minutes"),
    *("checkpoint_every", "tensorboard", "pooled", "data_workers"),
)
"""Settings that a run may be continued with, though it began with others."""
IDENTITY = ("learner", "specs", "kind", "x_shape", "preprocess", "tasks", "training")
"""Entries of a record that say which run it is."""


@contextmanager
def opened(out: str | Path | None, resume: Resume) -> Iterator[bool]:
    """Locks a run directory as long as it is trained; whether the run in it goes on.

    The first process locks, and decides for all.

    Raises:
        UserError: Another process or group trains the run.
        CheckpointError: There is no run to go on.
    """
    if out is None:
        yield False
        return
    directory = RunDirectory(out)
    with ExitStack() as stack:

        def decide() -> bool:
            if resume is True:
                directory.read()  # Where no run is, no folder is made for its lock.
            stack.enter_context(directory.locked())
            # torchrun starts a group again with the words that began it.
            again = resume == "auto" or remembered(_name(directory))
            return resume is True or (again and directory.exists)

        yield bool(json_from_first(decide))


def begun(directory: RunDirectory) -> None:
    """Notes that this launch began a run, so that it goes on if its group is started again."""
    remember(_name(directory))


def _name(directory: RunDirectory) -> str:
    return f"began {directory.path.resolve()}"


def check_same(directory: RunDirectory, record: JSON) -> None:
    """Refuses to continue another run than the one that a new record describes.

    Raises:
        UserError: Learner, tasks or settings differ; the message names what does.
    """
    recorded = directory.read()
    requested = json.loads(json.dumps(record))  # Tuples are lists in a file.
    defaults = asdict(Training())
    differences = []
    for key in IDENTITY:
        old, new = recorded.get(key), requested.get(key)
        if not (isinstance(old, dict) and isinstance(new, dict)):
            differences += [key] if old != new else []
            continue
        by_digest = OF_DATA if key == "tasks" and recorded.get("data") else ()
        names = [name for name in new if name not in (*MAY_CHANGE, *by_digest)]
        differences += [
            f"{key}.{name}"
            for name in names
            if new[name] != old.get(name, defaults.get(name) if key == "training" else None)
        ]
    if differences:
        raise UserError(
            f"run directory {directory.path}: must hold this very run, or none, for resume auto; "
            f"received a run with another {', '.join(differences)}; choose another out, or the "
            "settings it began with."
        )
