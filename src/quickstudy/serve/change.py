"""Changes of a task, from requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from quickstudy.models.adapted import Adapted
from quickstudy.serve.content import Content
from quickstudy.serve.problems import Problem
from quickstudy.serve.schema.requests import Example
from quickstudy.serve.served import Served
from quickstudy.serve.snapshot import Snapshot
from quickstudy.serve.states import Entry


@dataclass(frozen=True)
class Change:
    """A change of a task that can be stored.

    Attributes:
        task: The task with its next settings and examples.
        contents: New examples by id.
        x: Their inputs by id, where they are known.
    """

    task: Snapshot
    contents: dict[str, Content] = field(default_factory=dict)
    x: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Taken:
    """Inputs of a request in their stored form, and encoded.

    They are not encoded where that takes the columns of all rows of a task.
    """

    contents: list[Content]
    x: Tensor | None
    notes: tuple[str, ...] = ()


def fresh(served: Served, tenant: str, task_id: str) -> Snapshot:
    """A task of the served version that is not stored yet."""
    return Snapshot(tenant=tenant, model=served.id, id=task_id, model_version=served.version)


def added(
    served: Served, task: Snapshot, labels: Sequence[Any], taken: Taken, change: str = ""
) -> Change:
    """A task with more examples.

    Args:
        served: Its model.
        task: The task without them.
        labels: Labels of the new examples.
        taken: Inputs of the new examples.
        change: Title of the revision; the number of examples where omitted.
    """
    first = task.next_example
    ids = [f"e{first + i}" for i in range(len(labels))]
    classes = list(dict.fromkeys([*task.classes, *labels])) if served.classifies else []
    new = replace(
        task,
        examples=[*task.examples, *zip(ids, labels, strict=True)],
        classes=classes,
        next_example=first + len(ids),
        change=change or f"added {len(ids)} example{'' if len(ids) == 1 else 's'}",
        notes=taken.notes,
    )
    contents = dict(zip(ids, taken.contents, strict=True))
    x = {} if taken.x is None else dict(zip(ids, taken.x, strict=True))
    return Change(new, contents, x)


def labels_of(served: Served, examples: Sequence[Example], pointer: str) -> list[Any]:
    """The labels of examples.

    Raises:
        Problem: One is of another kind than the model's.
    """
    for i, example in enumerate(examples):
        served.check_label(example.label, f"{pointer}/{i}/label")
    return [example.label for example in examples]


def needs(served: Served, task: Snapshot) -> str | None:
    """The reason why a task cannot predict yet; None where it can."""
    if not served.classifies:
        return None if task.examples else "needs an example; received none"
    n = len(set(task.labels))
    return None if n >= 2 else f"needs examples of two classes; received examples of {n}"


def ready(served: Served, entry: Entry) -> Adapted:
    """The adapted model of a revision.

    Raises:
        Problem: It has too few examples.
    """
    if entry.adapted is None:
        raise Problem(
            "TOO_FEW_CLASSES" if served.classifies else "TOO_FEW_EXAMPLES",
            f"task: {needs(served, entry.snapshot)}; add examples.",
        )
    return entry.adapted


def missing(served: Served, task_id: str) -> Problem:
    """The problem of a task that is not there."""
    return Problem(
        "NOT_FOUND",
        f"task: expected one of models/{served.id}; received {task_id!r}, which is none; see "
        f"/v1/models/{served.id}/tasks.",
    )
