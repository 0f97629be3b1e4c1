"""Routes of files: tasks, pictures of examples, and the page."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Final, Literal

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from quickstudy.serve.bodies import Carried
from quickstudy.serve.call import Call
from quickstudy.serve.change import Change, added, fresh, missing, ready
from quickstudy.serve.openapi import ASKS, CHANGES, READS, operation
from quickstudy.serve.problems import Problem
from quickstudy.serve.routes.names import TASK, TASKS, ExampleId, ModelId, TaskId
from quickstudy.serve.schema.responses import Task
from quickstudy.serve.taskfile import read_task, task_file

router = APIRouter(tags=["files"])
PAGE: Final = Path(__file__).parents[1] / "page"
FILE: Final = "application/octet-stream"


@router.get(TASK + ":export", **operation(problems=ASKS, media=FILE))
def export_task(
    request: Request, model: ModelId, task: TaskId, format: Literal["task", "onnx", "json"] = "task"
) -> Response:
    """A task as a file: for `quickstudy predict` and `:import`, or for ONNX runtimes.

    `json` is how to use the latter: classes, temperature and preprocessing.
    """
    authorized = Call(request, ("adapt",))
    authorized.need("read")  # the file holds the examples
    call = authorized.about(model)
    entry, _ = call.tasks.entry(call.tenant, call.served, task)
    adapted, ids = ready(call.served, entry), [i for i, _ in entry.snapshot.examples]
    contents = call.tasks.store.contents(entry.snapshot.uid, ids)
    if contents.keys() < {*ids}:
        raise missing(call.served, task)
    content = task_file(call.tasks.gate, adapted, format, [contents[i] for i in ids])
    headers = {
        "Content-Disposition": f'attachment; filename="{task}.{format}"',
        "ETag": entry.snapshot.etag,
    }
    return Response(content, 200, headers, FILE)


@router.post(TASKS + ":import", **operation(Task, status=201, problems=CHANGES, body=FILE))
def import_task(request: Request, model: ModelId, carried: Carried) -> Response:
    """A new task from a file that `:export` or `quickstudy adapt` wrote."""
    call = Call(request, ("adapt",)).about(model)
    served = call.served
    if carried.kind != "file":
        raise Problem(
            "UNSUPPORTED_MEDIA_TYPE",
            f"body: must be the file of a task, as {FILE}; received another type; set the "
            "Content-Type.",
        )
    task = replace(fresh(served, call.tenant, f"t{secrets.token_hex(8)}"), display_name="Imported")

    def change() -> Change:
        labels, taken = read_task(call.tasks, served, carried.content)
        return added(served, task, labels, taken, "imported")

    return call.created(carried, change)


@router.get(TASK + "/examples/{example}/image", **operation(problems=READS, media="image/png"))
def get_image(request: Request, model: ModelId, task: TaskId, example: ExampleId) -> Response:
    """The picture of an example."""
    call = Call(request, ("read",)).about(model)
    snapshot = call.tasks.read(call.tenant, call.served, task)
    png = None
    if example in dict(snapshot.examples):
        for content in call.tasks.store.contents(snapshot.uid, [example]).values():
            png = call.served.picture(content.data)
    if png is None:
        raise Problem(
            "NOT_FOUND",
            f"example: expected one of the task that is a picture; received {example!r}; read the "
            "task for its examples.",
        )
    return Response(png, media_type="image/png")


@router.get("/", include_in_schema=False)
@router.get("/static/index.html", include_in_schema=False)
def page(request: Request) -> Response:
    """The page; that of the API where policies alone are served, which it does not show."""
    if not request.app.state.server.tasks.models:
        return RedirectResponse("../docs" if request.url.path.endswith(".html") else "./docs")
    return filled("index.html", "../" if request.url.path.endswith(".html") else "./")


@router.get("/docs", include_in_schema=False)
def reference() -> Response:
    """The page of the API, which asks for the description itself."""
    return filled("reference.html", "./")


def filled(name: str, root: str) -> Response:
    """HTML of the page with words of `en.json` in place of its `{keys}`.

    Args:
        name: Name of the file.
        root: Where the paths of the server begin, seen from this one.
    """
    words = json.loads((PAGE / "en.json").read_text("utf-8")) | {"root": root}
    html = (PAGE / name).read_text("utf-8")
    html = re.sub(r"{([\w.]+)}", lambda match: escape(words[match[1]]), html)
    etag = f'"{hashlib.sha256(html.encode()).hexdigest()}"'
    return HTMLResponse(html, headers={"Cache-Control": "no-cache", "ETag": etag})
