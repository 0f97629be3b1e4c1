"""Routes that query models and tasks, and change neither."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from starlette.responses import Response

from quickstudy.serve.answers import Answers
from quickstudy.serve.bodies import Carried, body
from quickstudy.serve.call import Call, reply
from quickstudy.serve.change import added, fresh, labels_of
from quickstudy.serve.histories import asked, labelled
from quickstudy.serve.openapi import ASKS, operation
from quickstudy.serve.routes.names import MODEL, TASK, ModelId, TaskId
from quickstudy.serve.schema.molecules import Drawn
from quickstudy.serve.schema.requests import (
    DrawBody,
    EmptyBody,
    EvaluateBody,
    ExplainBody,
    MapBody,
    PredictBody,
    StatelessBody,
)
from quickstudy.serve.schema.responses import (
    Answer,
    Explanation,
    Map,
    Measured,
    QualityAnswer,
    StatelessAnswer,
)
from quickstudy.serve.screening import structures

router = APIRouter(tags=["questions"])


@router.post(MODEL + ":predict", **operation(StatelessAnswer, problems=ASKS, body=StatelessBody))
def predict_once(request: Request, model: ModelId, carried: Carried) -> Response:
    """Learn from examples and answer queries, keeping nothing."""
    call = Call(request, ("predict",)).about(model)
    served, tasks = call.served, call.tasks
    sent = body(StatelessBody, carried)
    query, pointer = asked(sent.query, sent.series)
    taught = labelled(served, sent.support, sent.series, "/support")
    taken = tasks.take(served, taught.inputs, "/support", taught.notes)
    task = fresh(served, call.tenant, "")
    entry = tasks.prepared(added(served, task, taught.labels, taken))
    x = tasks.queries(served, query, entry, pointer)
    predictions = Answers(tasks, served, entry).predictions(x, sent.min_confidence, sent.nearest)
    notes = [*taken.notes, *served.notes(query)]
    return reply(
        StatelessAnswer(model_version=served.version, predictions=predictions, notes=notes)
    )


@router.post(MODEL + ":draw", **operation(Drawn, problems=ASKS, body=DrawBody))
def draw(request: Request, model: ModelId, carried: Carried) -> Response:
    """Draw the structures of molecules."""
    Call(request, ("predict",)).about(model)
    return reply(Drawn(structures=structures(body(DrawBody, carried).smiles)))


@router.post(
    TASK + ":predict",
    **operation(Answer, problems=ASKS, body=PredictBody, form=True),
)
def predict(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Say what new inputs are."""
    call = Call(request, ("predict",)).about(model)
    served, tasks = call.served, call.tasks
    sent = body(PredictBody, carried, "query")
    entry, took = tasks.entry(call.tenant, served, task)
    x = tasks.queries(served, sent.query, entry)
    start = time.perf_counter()
    predictions = Answers(tasks, served, entry).predictions(x, sent.min_confidence, sent.nearest)
    return reply(
        Answer(
            task_revision=entry.snapshot.number,
            model_version=entry.snapshot.model_version,
            predictions=predictions,
            notes=served.notes(sent.query),
            adapt_ms=took,
            predict_ms=round(1000 * (time.perf_counter() - start), 3),
        )
    )


@router.post(TASK + ":explain", **operation(Explanation, problems=ASKS, body=ExplainBody))
def explain(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Say which examples decide what one input is."""
    call = Call(request, ("predict",)).about(model)
    served, tasks = call.served, call.tasks
    sent = body(ExplainBody, carried)
    entry, _ = tasks.entry(call.tenant, served, task)
    x = tasks.queries(served, [sent.query], entry)
    plain = served.plain(sent.query, "/query")
    return reply(Answers(tasks, served, entry).explanation(x, plain))


@router.post(
    TASK + ":quality",
    **operation(QualityAnswer, problems=ASKS, body=EmptyBody, required=False),
)
def quality(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Say how good a task's model is, and which of its labels look wrong."""
    call = Call(request, ("predict",)).about(model)
    body(EmptyBody, carried)
    entry, _ = call.tasks.entry(call.tenant, call.served, task)
    return reply(Answers(call.tasks, call.served, entry).quality())


@router.post(TASK + ":map", **operation(Map, problems=ASKS, body=MapBody, required=False))
def place(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Place examples and queries in a plane: the likeness the network sees."""
    call = Call(request, ("predict",)).about(model)
    served, tasks = call.served, call.tasks
    sent = body(MapBody, carried)
    entry, _ = tasks.entry(call.tenant, served, task)
    x = tasks.queries(served, sent.query, entry) if sent.query else None
    points = Answers(tasks, served, entry).points(x)
    return reply(Map(task_revision=entry.snapshot.number, points=points))


@router.post(TASK + ":evaluate", **operation(Measured, problems=ASKS, body=EvaluateBody, form=True))
def evaluate(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Measure a task's model on labelled queries."""
    call = Call(request, ("predict",)).about(model)
    served, tasks = call.served, call.tasks
    sent = body(EvaluateBody, carried, "query")
    labels = labels_of(served, sent.query, "/query")
    entry, _ = tasks.entry(call.tenant, served, task)
    x = tasks.queries(served, sent.query, entry)
    return reply(Answers(tasks, served, entry).measured(x, labels))
