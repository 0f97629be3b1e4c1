"""Tasks as clients see them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from quickstudy.serve.change import missing, needs
from quickstudy.serve.schema.responses import (
    ClassOfTask,
    ExampleOfTask,
    FullExample,
    FullTask,
    Task,
)
from quickstudy.serve.served import Served
from quickstudy.serve.snapshot import Snapshot
from quickstudy.serve.store import Store


def basic(served: Served, task: Snapshot) -> Task:
    """A task without the inputs of its examples."""
    examples = [ExampleOfTask(id=i, label=label) for i, label in task.examples]
    return Task(**_fields(served, task), examples=examples)


def full(served: Served, task: Snapshot, store: Store) -> FullTask:
    """A task with the inputs of its examples.

    Raises:
        Problem: It was erased after it was read.
    """
    contents = store.contents(task.uid, [i for i, _ in task.examples])
    if any(i not in contents for i, _ in task.examples):
        raise missing(served, task.id)
    examples = [
        FullExample(
            id=i,
            label=label,
            input=served.shown(contents[i].data),
            title=served.title(contents[i].data),
        )
        for i, label in task.examples
    ]
    return FullTask(**_fields(served, task), examples=examples)


def rfc3339(seconds: float) -> str:
    """A time in UTC, as in 2026-01-31T12:00:00.000Z."""
    text = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def _fields(served: Served, task: Snapshot) -> dict[str, Any]:
    lack, labels = needs(served, task), task.labels
    return {
        "name": f"models/{task.model}/tasks/{task.id}",
        "id": task.id,
        "display_name": task.display_name,
        "revision": task.number,
        "state": "NEEDS_EXAMPLES" if lack else "READY",
        "needs": lack,
        "model_version": task.model_version,
        "classes": [ClassOfTask(label=c, shots=labels.count(c)) for c in task.classes],
        "min_confidence": task.min_confidence,
        "support_digest": task.support_digest,
        "adapt_ms": task.adapt_ms,
        "state_bytes": task.state_bytes,
        "create_time": rfc3339(task.create_time),
        "update_time": rfc3339(task.update_time),
        "expire_time": None if task.expire_time is None else rfc3339(task.expire_time),
        "notes": list(task.notes),
    }
