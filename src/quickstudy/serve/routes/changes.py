"""Routes that change a task: its examples, its classes, its revisions."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from quickstudy.serve.bodies import Carried, Payload, body
from quickstudy.serve.call import Call, reply
from quickstudy.serve.change import Change, Taken, added, missing
from quickstudy.serve.histories import labelled
from quickstudy.serve.openapi import CHANGES, operation
from quickstudy.serve.problems import Problem
from quickstudy.serve.routes.names import TASK, ExampleId, ModelId, TaskId
from quickstudy.serve.schema.requests import (
    EmptyBody,
    ExamplesBody,
    RelabelBody,
    RemoveClassBody,
    RenameClassBody,
)
from quickstudy.serve.schema.responses import Revision, Revisions, Task
from quickstudy.serve.snapshot import Snapshot
from quickstudy.serve.views import rfc3339

router = APIRouter(tags=["changes"])


@router.post(
    TASK + "/examples",
    **operation(Task, problems=CHANGES, body=ExamplesBody, form=True),
)
def add_examples(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Add examples, of classes that are there or new."""
    call = Call(request, ("adapt",)).about(model)
    sent = body(ExamplesBody, carried, "examples")
    served, tasks = call.served, call.tasks

    def read(before: int) -> tuple[list[Any], Taken]:
        taught = labelled(served, sent.examples, sent.series, "/examples", before=before)
        return taught.labels, tasks.take(served, taught.inputs, "/examples", taught.notes)

    # A series comes after the examples that are there; without one they are read but once.
    known = read(0) if sent.series is None else None

    def longer(old: Snapshot) -> Change:
        labels, taken = known or read(old.next_example - 1)
        change = added(served, old, labels, taken)
        # The inputs were encoded by the served version; a task of another version encodes its own.
        return change if old.model_version == served.version else replace(change, x={})

    return call.changed(carried, task, longer)


@router.delete(TASK + "/examples/{example}", **operation(Task, problems=CHANGES))
def remove_example(request: Request, model: ModelId, task: TaskId, example: ExampleId) -> Response:
    """Remove an example; its class stays declared, and earlier revisions keep it."""
    call = Call(request, ("adapt",)).about(model)

    def shorter(old: Snapshot) -> Change:
        _has(old, [example])
        rest = [(i, label) for i, label in old.examples if i != example]
        return Change(replace(old, examples=rest, change=f"removed {example}"))

    return call.changed(Payload("json"), task, shorter)


@router.post(TASK + ":relabel", **operation(Task, problems=CHANGES, body=RelabelBody))
def relabel(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Give examples other labels."""
    call = Call(request, ("adapt",)).about(model)
    sent = body(RelabelBody, carried).examples
    for i, label in sent.items():
        call.served.check_label(label, f"/examples/{i}")

    def relabelled(old: Snapshot) -> Change:
        _has(old, list(sent))
        examples = [(i, sent.get(i, label)) for i, label in old.examples]
        classes: list[Any] = [*old.classes, *sent.values()] if call.served.classifies else []
        changed = f"relabelled {', '.join(sorted(sent))}"[:200]
        classes = list(dict.fromkeys(classes))
        return Change(replace(old, examples=examples, classes=classes, change=changed))

    return call.changed(carried, task, relabelled)


@router.post(TASK + ":renameClass", **operation(Task, problems=CHANGES, body=RenameClassBody))
def rename_class(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Call a class otherwise."""
    call = Call(request, ("adapt",)).about(model)
    sent = body(RenameClassBody, carried)

    def renamed(old: Snapshot) -> Change:
        _has_class(old, sent.from_, "/from")
        if sent.to in old.classes and sent.to != sent.from_:
            raise Problem(
                "CLASS_EXISTS",
                f"to: must be a new name; received {sent.to!r}, which is a class; choose another.",
                [("/to", "is a class")],
            )

        def name(label: Any) -> Any:
            return sent.to if label == sent.from_ else label

        new = replace(
            old,
            classes=[name(c) for c in old.classes],
            examples=[(i, name(label)) for i, label in old.examples],
            change="renamed a class",
        )
        return Change(new)

    return call.changed(carried, task, renamed)


@router.post(TASK + ":removeClass", **operation(Task, problems=CHANGES, body=RemoveClassBody))
def remove_class(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Remove a class with its examples; earlier revisions keep it."""
    call = Call(request, ("adapt",)).about(model)
    sent = body(RemoveClassBody, carried).label

    def without(old: Snapshot) -> Change:
        _has_class(old, sent, "/label")
        new = replace(
            old,
            classes=[c for c in old.classes if c != sent],
            examples=[(i, label) for i, label in old.examples if label != sent],
            change="removed a class",
        )
        return Change(new)

    return call.changed(carried, task, without)


@router.get(TASK + "/revisions", **operation(Revisions))
def list_revisions(request: Request, model: ModelId, task: TaskId) -> Response:
    """The revisions that a task keeps, newest first."""
    call = Call(request).about(model)
    uid = call.tasks.read(call.tenant, call.served, task).uid
    revisions = [
        Revision(**row | {"create_time": rfc3339(row["create_time"])})
        for row in call.tasks.store.revisions(uid)
    ]
    return reply(Revisions(revisions=revisions))


@router.post(
    TASK + "/revisions/{revision}:rollback",
    **operation(Task, problems=CHANGES, body=EmptyBody, required=False),
)
def rollback(
    request: Request,
    model: ModelId,
    task: TaskId,
    revision: Annotated[int, Path(ge=1, le=2**31 - 1)],
    carried: Carried,
) -> Response:
    """Make a new revision that is as an earlier one was."""
    call = Call(request, ("adapt",)).about(model)
    body(EmptyBody, carried)

    def back(old: Snapshot) -> Change:
        earlier = call.tasks.store.read(call.tenant, call.served.id, task, revision)
        if earlier is None:
            if call.tasks.store.head(call.tenant, call.served.id, task) is None:
                raise missing(call.served, task)
            raise Problem(
                "NOT_FOUND",
                f"revision: expected one that the task keeps; received {revision}; see "
                f"/v1/models/{model}/tasks/{task}/revisions.",
            )
        new = replace(
            old,
            examples=earlier.examples,
            classes=earlier.classes,
            min_confidence=earlier.min_confidence,
            model_version=earlier.model_version,
            change=f"rolled back to {revision}",
        )
        return Change(new)

    return call.changed(carried, task, back)


def _has(task: Snapshot, ids: list[str]) -> None:
    """Raises Problem where a task has no such examples."""
    own = {i for i, _ in task.examples}
    absent = [i for i in ids if i not in own]
    if absent:
        raise Problem(
            "NOT_FOUND",
            f"example: expected those of the task; received {', '.join(absent[:5])}; read the task "
            "for its examples.",
        )


def _has_class(task: Snapshot, label: str, pointer: str) -> None:
    """Raises Problem where a task has no such class."""
    if label not in task.classes:
        raise Problem(
            "INVALID_ARGUMENT",
            f"class: must be one of the task; received {label!r}; read the task for its classes.",
            [(pointer, "is no class")],
        )
