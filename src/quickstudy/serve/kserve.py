"""Routes of the KServe V2 inference protocol (Open Inference Protocol).

A task is the model `task.<id>`, and its versions are its revisions. Its inputs are one tensor:

    query     numbers (n, *x_shape), or BYTES (n,) of base64 pictures, of texts or of JSON rows

Where it is binary, an element may also be the file of a picture itself. Texts with marked entities
are JSON, with `text` and `spans`; items are their ids or titles, molecules SMILES. A model of
series takes them as numbers (n, times) or (n, times, channels). A meta-trained model takes the
support beside it, as tensors `support` of the same kinds and `labels`: BYTES (n,) of classes, or
numbers (n,) or (n, outputs). Its version is the first digits of its digest. The outputs are
`label` BYTES (n,) and `probability` FP64 (n, way), whose parameter `classes` names the columns; in
regression `value` FP64 (n, outputs), and where the model gives a distribution `low` and `high` of
the same shape, the ends of the central 80 % interval.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from quickstudy.models.intervals import gives_intervals
from quickstudy.serve.answers import Answers
from quickstudy.serve.bodies import Carried, Payload, body
from quickstudy.serve.call import Call, reply
from quickstudy.serve.change import added, fresh, labels_of, needs
from quickstudy.serve.limits import MAX_EXAMPLES, MAX_PAGE, MAX_QUERY
from quickstudy.serve.openapi import ASKS, operation
from quickstudy.serve.problems import Problem, invalid
from quickstudy.serve.routes.about import check_ready
from quickstudy.serve.schema.requests import Example, Input
from quickstudy.serve.schema.v2 import (
    IndexBody,
    Indexed,
    InferAnswer,
    InferBody,
    InferModel,
    InferReady,
    InferServer,
    Live,
    Tensor,
    TensorKind,
)
from quickstudy.serve.served import Served
from quickstudy.serve.snapshot import Snapshot
from quickstudy.serve.states import Entry
from quickstudy.serve.tensors import BINARY, answer, flat, sent_tensors
from quickstudy.version import __version__

router = APIRouter(tags=["kserve"])
DIGITS: Final = 12
"""Digits of a model's digest that are its version."""
NAMED: Final = "/v2/models/{name}"
INFER: Final = operation(InferAnswer, problems=ASKS, body=InferBody, media=BINARY)
EXTENSIONS: Final = ["metatask", "binary_tensor_data"]
VERSION: Final = NAMED + "/versions/{version}"


class ModelOrTask:
    """A model or a task by its name in the protocol.

    Args:
        request: The request.
        name: Id of a model, or `task.` and the id of a task.
        version: Version of the model or task; the newest where None.

    Attributes:
        task: Id of the task; None for a model.
        call: The call about the model, or about the model of the task.
        served: The model.
        number: Number of the task's revision; None for the newest.

    Raises:
        Problem: There is no such model, or the key is not valid or does not allow it.
    """

    def __init__(self, request: Request, name: str, version: str | None) -> None:
        self.name, self.version = name, version
        self.task: str | None = None
        call = Call(request, ("predict",))
        model: str | None = name
        if name.startswith("task."):
            self.task = name.removeprefix("task.")
            model = call.tasks.store.model_of(call.tenant, self.task, list(call.tasks.models))
        if model is None:
            raise self._missing()
        self.call = call.about(model)
        self.served = self.call.served
        if self.task is None and version not in (None, self._digits):
            raise self._missing()
        self.number = self._number() if self.task is not None else None

    def entry(self) -> Entry:
        """Returns the revision of a task."""
        assert self.task is not None
        return self.call.tasks.entry(self.call.tenant, self.served, self.task, self.number)[0]

    def versions(self) -> list[str]:
        """Returns all versions, newest first."""
        if self.task is None:
            return [self._digits]
        tasks = self.call.tasks
        uid = tasks.read(self.call.tenant, self.served, self.task).uid
        return [str(row["revision"]) for row in tasks.store.revisions(uid)]

    @property
    def _digits(self) -> str:
        return self.served.version.removeprefix("sha256:")[:DIGITS]

    def _number(self) -> int | None:
        if self.version is None:
            return None
        if not self.version.isascii() or not self.version.isdigit() or len(self.version) > 9:
            raise self._missing()
        return int(self.version)

    def _missing(self) -> Problem:
        version = f" in version {self.version}" if self.version else ""
        return Problem(
            "NOT_FOUND",
            f"model: expected the id of a model, or task. and that of a task; received "
            f"{self.name!r}{version}, which is none; see /v1/models.",
        )


@router.get("/v2", **operation(InferServer, problems=(503,)))
def server() -> Response:
    """Metadata of the server."""
    return reply(InferServer(name="quickstudy", version=__version__, extensions=EXTENSIONS))


@router.get("/v2/health/live", **operation(Live, problems=(503,)))
async def live() -> Response:
    """Whether the server runs."""
    return reply(Live(live=True))


@router.get("/v2/health/ready", **operation(InferReady, problems=(503,)))
async def ready(request: Request) -> Response:
    """Whether the server can answer."""
    await check_ready(request)
    return reply(InferReady(ready=True, live=True))


@router.post(
    "/v2/repository/index",
    **operation(list[Indexed], problems=ASKS, body=IndexBody, required=False),
)
def repository_index(request: Request, carried: Carried) -> Response:
    """All models and tasks, by the names that they have here."""
    call = Call(request, ("predict",))
    sent = body(IndexBody, carried)
    rows: dict[str, Indexed] = {}
    for served in call.tasks.models.values():
        version = served.version.removeprefix("sha256:")[:DIGITS]
        rows[served.id] = Indexed(name=served.id, version=version, state="READY", reason="")
    for served in call.tasks.models.values():
        for task in _tasks(call, served):
            lack = needs(served, task)
            state: Any = "UNAVAILABLE" if lack else "READY"
            row = Indexed(
                name=f"task.{task.id}", version=str(task.number), state=state, reason=lack or ""
            )
            rows.setdefault(row.name, row)  # of two models, the first has the name
    listed = [row.model_dump() for row in rows.values() if row.state == "READY" or not sent.ready]
    return JSONResponse(listed)


@router.get(NAMED, **operation(InferModel))
def metadata(request: Request, name: str) -> Response:
    """Metadata of a model or task: its inputs and outputs."""
    return _metadata(request, name, None)


@router.get(VERSION, **operation(InferModel))
def version_metadata(request: Request, name: str, version: str) -> Response:
    """Metadata of a version: its inputs and outputs."""
    return _metadata(request, name, version)


@router.get(NAMED + "/ready", **operation(InferReady))
def model_ready(request: Request, name: str) -> Response:
    """Whether a model or task can answer."""
    return _ready(request, name, None)


@router.get(VERSION + "/ready", **operation(InferReady))
def version_ready(request: Request, name: str, version: str) -> Response:
    """Whether a version can answer."""
    return _ready(request, name, version)


@router.post(NAMED + "/infer", **INFER)
def infer(request: Request, name: str, carried: Carried) -> Response:
    """Answer queries."""
    return _infer(request, name, None, carried)


@router.post(VERSION + "/infer", **INFER)
def version_infer(request: Request, name: str, version: str, carried: Carried) -> Response:
    """Answer queries by a version."""
    return _infer(request, name, version, carried)


def _tasks(call: Call, served: Served) -> Iterator[Snapshot]:
    """All tasks of a model."""
    after = ""
    while page := call.tasks.store.page(call.tenant, served.id, after, MAX_PAGE):
        yield from page
        after = page[-1].id


def _metadata(request: Request, name: str, version: str | None) -> Response:
    target = ModelOrTask(request, name, version)
    served = target.served
    numbers = [-1, *served.model.x_shape]
    kind = served.model.preprocess
    if kind.form == "series":
        channels = len(kind.card()["series"]["channels"])
        numbers = [-1, -1] if channels == 1 else [-1, -1, channels]
    datatype = "FP32" if kind.form in ("values", "series") else "BYTES"
    shape = numbers if datatype == "FP32" else [-1]
    inputs = [TensorKind(name="query", datatype=datatype, shape=shape)]
    if target.task is None:
        labels = TensorKind(name="labels", datatype="BYTES", shape=[-1])
        if not served.classifies:
            labels = TensorKind(name="labels", datatype="FP64", shape=[-1, -1])
        inputs += [TensorKind(name="support", datatype=datatype, shape=shape), labels]
    ends = ("low", "high") if gives_intervals(served.model) else ()
    outputs = [TensorKind(name=name, datatype="FP64", shape=[-1, -1]) for name in ("value", *ends)]
    if served.classifies:
        outputs = [
            TensorKind(name="label", datatype="BYTES", shape=[-1]),
            TensorKind(name="probability", datatype="FP64", shape=[-1, -1]),
        ]
    return reply(
        InferModel(
            name=name,
            versions=target.versions(),
            platform="quickstudy_torch",
            inputs=inputs,
            outputs=outputs,
        )
    )


def _ready(request: Request, name: str, version: str | None) -> Response:
    target = ModelOrTask(request, name, version)
    is_ready = target.task is None or target.entry().adapted is not None
    return reply(InferReady(ready=is_ready, live=True))


def _infer(request: Request, name: str, version: str | None, carried: Payload) -> Response:
    target = ModelOrTask(request, name, version)
    has_files = target.served.model.preprocess.form == "image"
    sent = sent_tensors(request, carried, has_files)
    tensors = {tensor.name: (i, tensor) for i, tensor in enumerate(sent.inputs)}
    names = {"query"} if target.task is not None else {"query", "support", "labels"}
    if len(tensors) < len(sent.inputs) or tensors.keys() != names:
        raise invalid(
            f"inputs: must be the tensors {', '.join(sorted(names))}, once each; received "
            f"{', '.join(t.name[:50] for t in sent.inputs)}; see /v2/models/{name}.",
            "/inputs",
        )
    tasks, served = target.call.tasks, target.served
    entry = _learned(target, tensors) if target.task is None else target.entry()
    queries = _inputs(served, *tensors["query"], MAX_QUERY)
    pointer = f"/inputs/{tensors['query'][0]}/data"
    x = tasks.queries(served, queries, entry, pointer)
    answers = Answers(tasks, served, entry)
    rows = answers.probabilities(x)
    n = len(rows)
    outputs = [
        Tensor(name="value", datatype="FP64", shape=list(rows.shape), data=rows.ravel().tolist())
    ]
    intervals = answers.intervals(x)
    if intervals and all(interval is not None for interval in intervals):
        for k, end in enumerate(("low", "high")):
            data = [v for interval in intervals if interval for v in interval[k].tolist()]
            outputs.append(Tensor(name=end, datatype="FP64", shape=list(rows.shape), data=data))
    if served.classifies:
        classes = answers.adapted.classes
        labels = [classes[i] for i in rows.argmax(axis=1)]
        outputs[0].name = "probability"
        outputs[0].parameters = {"classes": json.dumps(classes)}
        outputs.insert(0, Tensor(name="label", datatype="BYTES", shape=[n], data=labels))
    number = entry.snapshot.number
    made = InferAnswer(
        model_name=name,
        model_version=str(number) if target.task is not None else target.versions()[0],
        id=sent.id,
        outputs=outputs,
    )
    return answer(sent, made)


def _learned(target: ModelOrTask, tensors: dict[str, tuple[int, Tensor]]) -> Entry:
    """A task of a request's own support."""
    served, tasks = target.served, target.call.tasks
    support = _inputs(served, *tensors["support"], MAX_EXAMPLES)
    i, tensor = tensors["labels"]
    pointer = f"/inputs/{i}/data"
    values: Any = flat(tensor, pointer)
    if not served.classifies:
        values = np.array(values, dtype=np.float64).reshape(tensor.shape).tolist()
    if len(values) != len(support):
        raise invalid(
            f"labels: must be one for each of {len(support)} examples; received {len(values)}; "
            "send as many.",
            pointer,
        )
    try:
        examples = [
            Example.model_validate({"label": label, **x.model_dump(exclude_none=True)})
            for label, x in zip(values, support, strict=True)
        ]
    except ValidationError as error:
        raise invalid(f"labels: {error.errors()[0]['msg']}; correct them.", pointer) from error
    labels = labels_of(served, examples, pointer)
    taken = tasks.take(served, support, f"/inputs/{tensors['support'][0]}/data")
    task = fresh(served, target.call.tenant, "")
    return tasks.prepared(added(served, task, labels, taken))


def _inputs(served: Served, index: int, tensor: Tensor, limit: int) -> list[Input]:
    """The inputs that a tensor holds."""
    pointer = f"/inputs/{index}"
    elements = flat(tensor, f"{pointer}/data")
    n = tensor.shape[0]
    if not 0 < n <= limit:
        raise invalid(
            f"{tensor.name}: must hold 1 to {limit} inputs; received {n}; send fewer.",
            f"{pointer}/shape",
        )
    if tensor.datatype != "BYTES":
        arrays = np.array(elements, dtype=np.float64).reshape(tensor.shape)
        form = "series" if served.model.preprocess.form == "series" else "values"
        plain: list[dict[str, Any]] = [{form: values} for values in arrays.tolist()]
    elif served.takes_marked_texts or served.model.preprocess.form == "row":
        try:
            parsed = [json.loads(text) for text in elements]
        except (ValueError, RecursionError) as error:
            raise invalid(f"{tensor.name}: must hold JSON objects ({error}).", pointer) from error
        plain = parsed if served.takes_marked_texts else [{"row": row} for row in parsed]
    elif served.model.preprocess.form in ("text", "item", "smiles"):
        plain = [{served.model.preprocess.form: text} for text in elements]
    else:
        plain = [{"image": {"b64": text}} for text in elements]
    try:
        return [Input.model_validate(x) for x in plain]
    except ValidationError as error:
        raise invalid(f"{tensor.name}: {error.errors()[0]['msg']}; correct it.", pointer) from error
