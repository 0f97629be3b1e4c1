"""Routes that create, list, read, set, adapt and erase tasks."""

from __future__ import annotations

import base64
import secrets
import time
from dataclasses import replace
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from quickstudy.serve.bodies import Carried, body
from quickstudy.serve.call import Call, reply
from quickstudy.serve.change import Change, added, fresh, labels_of
from quickstudy.serve.histories import labelled
from quickstudy.serve.keys import SCOPES
from quickstudy.serve.limits import MAX_PAGE, MAX_TTL
from quickstudy.serve.openapi import CHANGES, operation
from quickstudy.serve.problems import Problem
from quickstudy.serve.routes.names import TASK, TASKS, ModelId, TaskId
from quickstudy.serve.schema.requests import ID, CreateBody, EmptyBody, PatchBody
from quickstudy.serve.schema.responses import ExampleTask, FullTask, Task, TaskPage
from quickstudy.serve.served import Served
from quickstudy.serve.snapshot import Snapshot
from quickstudy.serve.views import basic, full

router = APIRouter(tags=["tasks"])
OF_TASK: Final = {"model": "$request.path.model", "task": "$response.body#/id"}
OF_EXAMPLE: Final = OF_TASK | {"example": "$response.body#/examples/0/id"}
LINKS: Final = {
    **{
        name: {"operationId": name, "parameters": OF_TASK}
        for name in (
            *("get_task", "update_task", "delete_task", "add_examples", "relabel", "rename_class"),
            *("remove_class", "adapt_task", "list_revisions", "predict", "explain", "quality"),
            *("place", "evaluate", "export_task"),
        )
    },
    **{
        name: {"operationId": name, "parameters": OF_EXAMPLE}
        for name in ("remove_example", "get_image")
    },
    "rollback": {"operationId": "rollback", "parameters": OF_TASK | {"revision": 1}},
}


@router.get(TASKS, **operation(TaskPage))
def list_tasks(
    request: Request,
    model: ModelId,
    page_size: Annotated[int, Query(ge=0)] = 0,
    page_token: str = "",
) -> Response:
    """The tasks of a model, in order of their ids."""
    call = Call(request).about(model)
    size = min(page_size or MAX_PAGE, MAX_PAGE)
    snapshots = call.tasks.store.page(call.tenant, call.served.id, _after(page_token), size + 1)
    token = _token(snapshots[size - 1].id) if len(snapshots) > size else ""
    tasks = [basic(call.served, task) for task in snapshots[:size]]
    return reply(TaskPage(tasks=tasks, next_page_token=token))


@router.post(
    TASKS,
    **operation(Task, status=201, problems=CHANGES, body=CreateBody, form=True, links=LINKS),
)
def create_task(
    request: Request,
    model: ModelId,
    carried: Carried,
    task_id: Annotated[str | None, Query(pattern=ID)] = None,
) -> Response:
    """Create a task, with or without examples."""
    call = Call(request, ("adapt",)).about(model)
    sent = body(CreateBody, carried, "support")
    served = call.served
    if sent.classes and not served.classifies:
        raise Problem(
            "INVALID_ARGUMENT",
            "classes: are for classification; received some for a regression; leave them out.",
            [("/classes", "not for a regression")],
        )
    task = replace(
        fresh(served, call.tenant, task_id or f"t{secrets.token_hex(8)}"),
        display_name=sent.display_name,
        classes=list(dict.fromkeys(sent.classes)),
        min_confidence=sent.min_confidence,
        expire_time=_expiry(sent.ttl),
    )

    def change() -> Change:
        taught = labelled(served, sent.support, sent.series, "/support", needed=False)
        if not taught.inputs:
            return Change(task)
        taken = call.tasks.take(served, taught.inputs, "/support", taught.notes)
        return added(served, task, taught.labels, taken, "created")

    return call.created(carried, change)


@router.post(
    TASKS + ":example",
    **operation(ExampleTask, status=201, problems=CHANGES, body=EmptyBody, required=False),
)
def create_example_task(request: Request, model: ModelId, carried: Carried) -> Response:
    """Create a task that is ready to be tried, with inputs to ask about."""
    call = Call(request, ("adapt",)).about(model)
    body(EmptyBody, carried)
    served = call.served
    sample = call.server.sample(served)
    if sample is None:
        raise Problem(
            "NO_EXAMPLE_TASK",
            f"model: must have an example task; received {served.id}, which has none; create a "
            "task of your own.",
        )
    task = replace(
        fresh(served, call.tenant, f"example-{secrets.token_hex(6)}"), display_name=sample.title
    )

    def change() -> Change:
        labels = labels_of(served, sample.support, "/support")
        taken = call.tasks.take(served, sample.support, "/support")
        return added(served, task, labels, taken, "created")

    def with_queries(served: Served, task: Snapshot) -> ExampleTask:
        queries = [x.model_dump(exclude_none=True) for x in sample.queries]
        return ExampleTask(**basic(served, task).model_dump(), suggested_queries=queries)

    return call.created(carried, change, with_queries)


@router.get(TASK, **operation(Task | FullTask))
def get_task(
    request: Request, model: ModelId, task: TaskId, view: Literal["BASIC", "FULL"] = "BASIC"
) -> Response:
    """A task; with `view=FULL` with the inputs of its examples."""
    call = Call(request, ("read",) if view == "FULL" else SCOPES).about(model)
    snapshot = call.tasks.read(call.tenant, call.served, task)
    content = (
        full(call.served, snapshot, call.tasks.store)
        if view == "FULL"
        else basic(call.served, snapshot)
    )
    return reply(content, {"ETag": snapshot.etag})


@router.patch(TASK, **operation(Task, problems=CHANGES, body=PatchBody))
def update_task(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Change a task's name, lifetime, least confidence or declared classes."""
    call = Call(request, ("adapt",)).about(model)
    sent = body(PatchBody, carried)
    settings = {key: getattr(sent, key) for key in sent.model_fields_set}
    if "ttl" in settings:
        settings["expire_time"] = _expiry(settings.pop("ttl"))

    def patched(old: Snapshot) -> Change:
        if "classes" in settings:
            classes = settings["classes"] = list(dict.fromkeys(settings["classes"]))
            lost = [c for c in dict.fromkeys(old.labels) if c not in classes]
            if lost:
                raise Problem(
                    "CLASS_HAS_EXAMPLES",
                    f"classes: must hold every class with examples; received none called {lost[:5]}"
                    "; remove their examples first, or POST :removeClass.",
                    [("/classes", f"without {lost[:5]}")],
                )
        title = f"set {', '.join(sorted(sent.model_fields_set))}"
        return Change(replace(old, **settings, change=title))

    return call.changed(carried, task, patched)


@router.delete(TASK, **operation(status=204, problems=CHANGES))
def delete_task(request: Request, model: ModelId, task: TaskId) -> Response:
    """Erase a task with its examples and revisions."""
    call = Call(request, ("adapt",)).about(model)
    call.tasks.delete(call.tenant, call.served, task, call.check)
    return Response(status_code=204)


@router.post(TASK + ":adapt", **operation(Task, problems=CHANGES, body=EmptyBody, required=False))
def adapt_task(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Adapt a task to the version of the model that is served now."""
    call = Call(request, ("adapt",)).about(model)
    body(EmptyBody, carried)
    version = call.served.version
    return call.changed(
        carried, task, lambda old: Change(replace(old, model_version=version, change="adapted"))
    )


def _expiry(ttl: str | None) -> float | None:
    """The time at which a task expires; None for never.

    Raises:
        Problem: That is longer than a task may live, or no time at all.
    """
    if ttl is None:
        return None
    seconds = int(ttl[:-1])
    if not 1 <= seconds <= MAX_TTL:
        raise Problem(
            "INVALID_ARGUMENT",
            f"ttl: must be 1s to {MAX_TTL}s; received {ttl}; choose one of these, or null to keep "
            "the task.",
            [("/ttl", "out of range")],
        )
    return time.time() + seconds


def _token(task_id: str) -> str:
    return base64.urlsafe_b64encode(task_id.encode()).decode().rstrip("=")


def _after(token: str) -> str:
    """The id that a page begins after.

    Raises:
        Problem: The token is not valid.
    """
    try:
        task_id = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True).decode()
        if token == _token(task_id) and task_id.isprintable():
            return task_id
    except ValueError:
        pass
    raise Problem(
        "INVALID_PAGE_TOKEN",
        "page_token: must be the next_page_token of an answer; received another; begin without "
        "one.",
    )
