"""A task at one revision."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Snapshot:
    """A task at one revision.

    Attributes:
        uid: Of the task, never used again.
        number: Of the revision.
        classes: Declared labels, with or without examples, in order.
        examples: Id and label of each example, in order.
    """

    uid: str
    tenant: str
    model: str
    id: str
    display_name: str
    next_example: int
    create_time: float
    update_time: float
    expire_time: float | None
    number: int
    change: str
    model_version: str
    min_confidence: float | None
    classes: list[str]
    examples: list[tuple[str, Any]]
    support_digest: str
    tag: str
    adapt_ms: float
    state_bytes: int

    @property
    def etag(self) -> str:
        """The entity tag of this revision."""
        return f'"r{self.number}-{self.tag}"'

    @property
    def labels(self) -> list[Any]:
        """Label of each example."""
        return [label for _, label in self.examples]


def new_task(tenant: str, model: str, task_id: str, model_version: str) -> Snapshot:
    """A task without examples that is not kept yet."""
    now = time.time()
    return Snapshot(
        uid=uuid.uuid4().hex,
        tenant=tenant,
        model=model,
        id=task_id,
        display_name="",
        next_example=1,
        create_time=now,
        update_time=now,
        expire_time=None,
        number=0,
        change="created",
        model_version=model_version,
        min_confidence=None,
        classes=[],
        examples=[],
        support_digest="",
        tag="",
        adapt_ms=0.0,
        state_bytes=0,
    )


def sealed(task: Snapshot, before: int, hashes: dict[str, str]) -> Snapshot:
    """A revision with its number and digests.

    Args:
        task: What is to be kept.
        before: Number of the revision that it was made from.
        hashes: sha256 of the content of each example.

    Raises:
        KeyError: An example has no content.
    """
    support = [[label, hashes[i]] for i, label in task.examples]
    digest = hashlib.sha256(json.dumps(support).encode()).hexdigest()
    about = [digest, task.model_version, task.min_confidence, task.classes, task.display_name]
    about += [task.expire_time, task.uid, before + 1]
    tag = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:12]
    return replace(
        task,
        number=before + 1,
        update_time=time.time(),
        support_digest=f"sha256:{digest}",
        tag=tag,
    )
