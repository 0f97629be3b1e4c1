"""Changes of a task, from requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from quickstudy.models.adapted import Adapted
from quickstudy.serve.content import Content
from quickstudy.serve.problems import Problem
from quickstudy.serve.schema.requests import Example
from quickstudy.serve.served import Served
from quickstudy.serve.snapshot import Snapshot, new_task
from quickstudy.serve.states import Entry


@dataclass(frozen=True)
class Change:
    """A change of a task, ready to be written.

    Attributes:
        task: The task with its next settings and examples.
        contents: New examples by id.
        x: Their inputs by id, where they are known.
    """

    task: Snapshot
    contents: dict[str, Content]
    x: dict[str, Tensor]


@dataclass(frozen=True)
class Taken:
    """Inputs of a request, as they are kept and as tensors made from that.

    There are no tensors where the columns of all of a task's rows make the inputs.
    """

    contents: list[Content]
    x: Tensor | None


def fresh(served: Served, tenant: str, task_id: str) -> Snapshot:
    """A task of the served version that is not kept yet."""
    return new_task(tenant, served.id, task_id, served.version)


def added(
    served: Served, task: Snapshot, labels: Sequence[Any], taken: Taken, change: str = ""
) -> Change:
    """A task with more examples.

    Args:
        served: Its model.
        task: As it is.
        labels: Of the new examples.
        taken: The new examples.
        change: What this is called; their number where omitted.
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
    )
    contents = dict(zip(ids, taken.contents, strict=True))
    x = {} if taken.x is None else dict(zip(ids, taken.x, strict=True))
    return Change(new, contents, x)


def labels_of(served: Served, given: Sequence[Example], pointer: str) -> list[Any]:
    """The labels of examples.

    Raises:
        Problem: One is of another kind than the model's.
    """
    for i, each in enumerate(given):
        served.check_label(each.label, f"{pointer}/{i}/label")
    return [each.label for each in given]


def needs(served: Served, task: Snapshot) -> str | None:
    """The reason why a task cannot predict yet; None where it can."""
    if not served.classifies:
        return None if task.examples else "needs an example; received none"
    have = len(set(task.labels))
    return None if have >= 2 else f"needs examples of two classes; received examples of {have}"


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
