"""A task at one revision."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A task at one revision; by default a task without examples that is not stored yet.

    Attributes:
        uid: Unique id of the task, never used again.
        number: Number of the revision.
        classes: Declared labels, with or without examples, in order.
        examples: Id and label of each example, in order.
        notes: Notes on the inputs of the request that makes it; not stored.
    """

    tenant: str
    model: str
    id: str
    model_version: str
    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    display_name: str = ""
    next_example: int = 1
    create_time: float = field(default_factory=time.time)
    update_time: float = field(default_factory=time.time)
    expire_time: float | None = None
    number: int = 0
    change: str = "created"
    min_confidence: float | None = None
    classes: list[str] = field(default_factory=list)
    examples: list[tuple[str, Any]] = field(default_factory=list)
    support_digest: str = ""
    tag: str = ""
    adapt_ms: float = 0.0
    state_bytes: int = 0
    notes: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        """The entity tag of this revision."""
        return f'"r{self.number}-{self.tag}"'

    @property
    def labels(self) -> list[Any]:
        """Label of each example."""
        return [label for _, label in self.examples]


def sealed(task: Snapshot, hashes: dict[str, str]) -> Snapshot:
    """The revision that follows a task's, with its number and digests.

    Args:
        task: The task with its next settings and examples.
        hashes: sha256 of the content of each example.

    Raises:
        KeyError: An example has no content.
    """
    number = task.number + 1
    support = [[label, hashes[i]] for i, label in task.examples]
    digest = hashlib.sha256(json.dumps(support).encode()).hexdigest()
    tagged = [digest, task.model_version, task.min_confidence, task.classes, task.display_name]
    tagged += [task.expire_time, task.uid, number]
    return replace(
        task,
        number=number,
        update_time=time.time(),
        support_digest=f"sha256:{digest}",
        tag=hashlib.sha256(json.dumps(tagged).encode()).hexdigest()[:12],
    )
