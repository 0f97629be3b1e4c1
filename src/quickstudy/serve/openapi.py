"""The description of the API: bodies, problems, headers, links and keys."""

from __future__ import annotations

from types import GenericAlias, UnionType
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from quickstudy.serve.problems import MEDIA_TYPE, REASONS
from quickstudy.serve.schema import policies, requests, responses, v2

READS: Final = (400, 401, 403, 404, 413, 422, 429, 503)
CHANGES: Final = (*READS, 408, 409, 412, 415, 428, 507)
ASKS: Final = (*READS, 408, 409, 415)

REF: Final = "#/components/schemas/"
BODIES: Final[tuple[type[BaseModel], ...]] = (
    policies.ActBody,
    policies.AdaptPolicyBody,
    requests.CreateBody,
    requests.EmptyBody,
    requests.EvaluateBody,
    requests.ExamplesBody,
    requests.ExplainBody,
    v2.IndexBody,
    v2.InferBody,
    requests.MapBody,
    requests.PatchBody,
    requests.PredictBody,
    requests.DrawBody,
    requests.QuestionsBody,
    requests.RecommendBody,
    requests.RecommendOnceBody,
    requests.RelabelBody,
    requests.RemoveClassBody,
    requests.RenameClassBody,
    requests.StatelessBody,
    responses.ProblemBody,
)
IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "schema": {"type": "string"},
    "description": "The ETag of the revision that is to be changed.",
}
IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    "description": "A request that is sent again with its key is done once.",
}
REQUEST_ID: Final = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "pattern": "^[0-9A-Za-z_-]{1,64}$"},
    "description": "The request's name in the log and in the response; made where there is none.",
}
TAG: Final = {
    "ETag": {"description": "Names the revision.", "schema": {"type": "string"}, "required": True}
}
LOCATION: Final = {
    "Location": {"description": "The task.", "schema": {"type": "string"}, "required": True}
}
TAGS: Final = [
    {"name": "server", "description": "The server and its models."},
    {"name": "tasks", "description": "Tasks: to create, list, read, set and erase."},
    {"name": "changes", "description": "Examples, classes and revisions of a task."},
    {"name": "questions", "description": "Questions to a model or a task, which change neither."},
    {"name": "items", "description": "Items of a catalogue: found, recommended and asked about."},
    {"name": "policies", "description": "Policies, which act in a world and adapt to it."},
    {"name": "files", "description": "Tasks and pictures as files."},
    {"name": "kserve", "description": "KServe V2, the Open Inference Protocol."},
]
FILE: Final[dict[str, Any]] = {"schema": {"type": "string", "format": "binary"}}
FORM: Final = {
    "schema": {
        "type": "object",
        "properties": {
            "label": {"type": "array", "items": {"type": "string"}},
            "file": {"type": "array", "items": {"type": "string", "format": "binary"}},
        },
        "additionalProperties": False,
    }
}


def operation(
    answer: type[BaseModel] | UnionType | GenericAlias | type[list[Any]] | None = None,
    *,
    status: int = 200,
    problems: tuple[int, ...] = READS,
    body: type[BaseModel] | str | None = None,
    required: bool = True,
    form: bool = False,
    media: str | None = None,
    links: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """The keyword arguments that declare a route.

    Args:
        answer: The body of its response.
        status: Status of the response.
        problems: Statuses of the problems it may meet.
        body: The body of its request, or the media type of a file.
        required: Whether the request must have a body.
        form: Whether the body may also be a form with pictures.
        media: The media type of a response that is no JSON.
        links: Operations that may follow, with their parameters.
    """
    tagged = answer in (responses.Task, responses.Task | responses.FullTask, responses.ExampleTask)
    headers = (TAG if tagged else {}) | (LOCATION if status == 201 else {})
    success = {
        "description": "Done.",
        "model": answer,
        "content": media and {media: FILE},
        "headers": headers,
        "links": links,
    }
    content = {MEDIA_TYPE: {"schema": {"$ref": f"{REF}ProblemBody"}}}
    failures = {
        code: {
            "description": "; ".join(title for s, title in REASONS.values() if s == code) + ".",
            "content": content,
        }
        for code in sorted(problems)
    }
    extra: dict[str, Any] = {}
    if body is not None:
        schema = FILE if isinstance(body, str) else {"schema": {"$ref": f"{REF}{body.__name__}"}}
        types = {body if isinstance(body, str) else "application/json": schema}
        types |= {"multipart/form-data": FORM} if form else {}
        extra["requestBody"] = {"required": required, "content": types}
    if 412 in problems:
        extra["parameters"] = [IF_MATCH, IDEMPOTENCY_KEY]
    return {
        "status_code": status,
        "responses": {status: {k: v for k, v in success.items() if v}, **failures},
        "openapi_extra": extra,
        "response_model": None,
    }


def describe(app: FastAPI, with_keys: bool, root_path: str = "") -> dict[str, Any]:
    """The OpenAPI document of the application.

    Args:
        app: The application.
        with_keys: Whether requests need a key.
        root_path: Prefix of all paths.
    """
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=TAGS,
    )
    modes: list[tuple[type[BaseModel], JsonSchemaMode]] = [(b, "validation") for b in BODIES]
    _, bodies = models_json_schema(modes, ref_template=REF + "{model}")
    if root_path:
        document["servers"] = [{"url": root_path}]
    components = document.setdefault("components", {})
    components["schemas"] = {**bodies["$defs"], **components.get("schemas", {})}
    if with_keys:
        components["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
        for operations in document["paths"].values():
            for route in operations.values():
                if "401" in route["responses"]:
                    route["security"] = [{"key": []}]
    for operations in document["paths"].values():
        operations["parameters"] = [REQUEST_ID]
    return document
