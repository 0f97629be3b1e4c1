"""Authenticated requests, and the responses to changes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from anyio import CapacityLimiter
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import Response

from quickstudy.serve.bodies import Payload
from quickstudy.serve.change import Change
from quickstudy.serve.keys import EVERYBODY, SCOPES, Caller, Keys, Scope
from quickstudy.serve.policies import Policies
from quickstudy.serve.presence import presence
from quickstudy.serve.problems import Problem
from quickstudy.serve.replies import Keep, Replies, Reply
from quickstudy.serve.samples import Sample, sample
from quickstudy.serve.served import Served
from quickstudy.serve.snapshot import Snapshot
from quickstudy.serve.tasks import AfterRevision, Tasks
from quickstudy.serve.views import basic

JSON = "application/json"


@dataclass
class Server:
    """The state that all requests share.

    Attributes:
        tasks: The tasks.
        keys: The API keys.
        replies: The replies to requests with an idempotency key.
        needs_match: Whether changes are taken with If-Match only.
        needs_key: Whether requests need a key: from when the first is made.
        root_path: Prefix of all paths, where a proxy serves the server under one.
        policies: The policies, which act.
        samples: Example tasks by model; one that is not here yet is made when asked for.
        lookups: Limiter of the threads that ask the database for keys, and whether it is there.
    """

    tasks: Tasks
    keys: Keys
    replies: Replies
    needs_match: bool = False
    needs_key: bool = True
    root_path: str = ""
    policies: Policies = field(default_factory=Policies)
    samples: dict[str, Sample | None] = field(default_factory=dict)
    lookups: CapacityLimiter | None = None

    def sample(self, served: Served) -> Sample | None:
        """The example task of a model; None where it has none."""
        if served.id not in self.samples:
            self.samples[served.id] = sample(served)
        return self.samples[served.id]


class Call:
    """An authenticated request.

    Args:
        request: The request.
        scopes: Scopes of which its key must have one.

    Raises:
        Problem: The key is not valid, or has none of the scopes.
    """

    def __init__(self, request: Request, scopes: tuple[Scope, ...] = SCOPES) -> None:
        self.request = request
        self.server: Server = request.app.state.server
        self.tasks: Tasks = self.server.tasks
        if "caller" in request.scope:
            caller: Caller = request.scope["caller"]  # of a request with a body
        elif self.server.needs_key:
            caller = self.server.keys.caller(request.headers.get("authorization"))
        else:
            caller = Caller(EVERYBODY, frozenset(SCOPES))
        self.tenant, self.scopes = caller.tenant, caller.scopes
        self.need(*scopes)
        presence().name = caller.key or presence().name

    def need(self, *scopes: Scope) -> None:
        """Checks that the key has one of some scopes.

        Raises:
            Problem: It has none of them.
        """
        if not self.scopes & {*scopes, "admin"}:
            raise Problem(
                "FORBIDDEN",
                f"key: must be for {' or '.join(scopes)} here; received one for "
                f"{', '.join(sorted(self.scopes))}; use another key, made with quickstudy keys "
                f"create --scope {','.join(sorted({*self.scopes, scopes[0]}))}.",
            )

    def about(self, model: str) -> ModelCall:
        """Returns the call as one about a model.

        Raises:
            Problem: There is no such model.
        """
        return ModelCall(self, self.tasks.model(model))


class ModelCall:
    """A call about one model.

    Args:
        call: The call.
        served: The model.
    """

    def __init__(self, call: Call, served: Served) -> None:
        self.request, self.server, self.tasks = call.request, call.server, call.tasks
        self.tenant, self.served = call.tenant, served

    def check(self, task: Snapshot) -> None:
        """Compares If-Match with a task.

        Raises:
            Problem: The task is of another revision, or the header is missing and required.
        """
        header = self.request.headers.get("if-match")
        if header is None and self.server.needs_match:
            raise Problem(
                "IF_MATCH_REQUIRED",
                "If-Match: must be the ETag of the revision that is to be changed; received none; "
                "send that of the task as you read it.",
            )
        tags = ["*"] if header is None else [tag.strip() for tag in header.split(",")]
        if not {"*", task.etag} & {*tags}:
            raise Problem(
                "REVISION_MISMATCH",
                f"If-Match: must be that of the newest revision, {task.etag}; received another; "
                "read the task again.",
                headers={"ETag": task.etag},
            )

    def created(
        self,
        carried: Payload,
        make: Callable[[], Change],
        view: Callable[[Served, Snapshot], BaseModel] = basic,
    ) -> Response:
        """Creates a task, once for each idempotency key, and responds with it."""
        return self._once(carried, partial(self.tasks.create, make), view, 201)

    def changed(
        self, carried: Payload, task_id: str, make: Callable[[Snapshot], Change]
    ) -> Response:
        """Changes a task, once for each idempotency key, and responds with it."""
        tenant, served, check = self.tenant, self.served, self.check
        write = partial(self.tasks.change, tenant, served, task_id, check, make)
        return self._once(carried, write, basic, 200)

    def _once(
        self,
        carried: Payload,
        write: Callable[[AfterRevision], Snapshot],
        view: Callable[[Served, Snapshot], BaseModel],
        status: int,
    ) -> Response:
        key = self.request.headers.get("idempotency-key")

        def reply_with(task: Snapshot) -> Reply:
            headers = {"ETag": task.etag}
            if status == 201:
                path = f"/v1/models/{task.model}/tasks/{task.id}"
                headers["Location"] = self.server.root_path + path
            return Reply(status, headers, view(self.served, task).model_dump_json().encode())

        def write_and_keep(keep: Keep) -> Reply:
            return reply_with(write(lambda task: keep(task.uid, reply_with(task))))

        if key is None:
            reply = reply_with(write(lambda task: lambda connection: None))
        else:
            url = f"{self.request.method} {self.request.url.path}?{self.request.url.query}\n"
            digest = hashlib.sha256(url.encode() + carried.digest).digest()
            reply = self.server.replies.once(self.tenant, key, digest, write_and_keep)
        return Response(reply.body, reply.status, reply.headers, JSON)


def reply(content: BaseModel, headers: dict[str, str] | None = None) -> Response:
    """A body as a response."""
    return Response(content.model_dump_json(), 200, headers, JSON)
