"""Routes about the items of a catalogue, which change nothing."""

from __future__ import annotations

from typing import Annotated, Final

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from quickstudy.serve.answers import Answers
from quickstudy.serve.bodies import Carried, body
from quickstudy.serve.call import Call, reply
from quickstudy.serve.change import added, fresh, labels_of
from quickstudy.serve.limits import MAX_CELL, MAX_PAGE
from quickstudy.serve.openapi import ASKS, operation
from quickstudy.serve.recommending import (
    asked_of_new_users,
    asked_of_user,
    catalogue,
    listed,
    recommended,
)
from quickstudy.serve.routes.names import MODEL, TASK, ModelId, TaskId
from quickstudy.serve.schema.requests import QuestionsBody, RecommendBody, RecommendOnceBody
from quickstudy.serve.schema.responses import (
    Catalogue,
    QuestionsAnswer,
    Recommended,
    RecommendedOnce,
)

router = APIRouter(tags=["items"])
FEW: Final = 10


@router.get(MODEL + "/items", **operation(Catalogue))
def list_items(
    request: Request,
    model: ModelId,
    title: Annotated[str, Query(max_length=MAX_CELL)] = "",
    page_size: Annotated[int, Query(ge=0)] = FEW,
) -> Response:
    """The items whose titles hold these words, best match first; without words by their mean."""
    call = Call(request).about(model)
    items = catalogue(call.served.model)
    places = items.find(title)
    shown = listed(items, places[: min(page_size, MAX_PAGE)])
    return reply(Catalogue(items=shown, n_items=len(places)))


@router.post(
    MODEL + ":recommend", **operation(RecommendedOnce, problems=ASKS, body=RecommendOnceBody)
)
def recommend_once(request: Request, model: ModelId, carried: Carried) -> Response:
    """Learn from a user's ratings and rank the catalogue, keeping nothing."""
    call = Call(request, ("predict",)).about(model)
    served, tasks = call.served, call.tasks
    catalogue(served.model)
    sent = body(RecommendOnceBody, carried)
    labels = labels_of(served, sent.support, "/support")
    taken = tasks.take(served, sent.support, "/support")
    entry = tasks.prepared(added(served, fresh(served, call.tenant, ""), labels, taken))
    best, by_mean = recommended(Answers(tasks, served, entry), sent.n)
    return reply(
        RecommendedOnce(model_version=served.version, recommendations=best, by_mean=by_mean)
    )


@router.post(
    TASK + ":recommend",
    **operation(Recommended, problems=ASKS, body=RecommendBody, required=False),
)
def recommend(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Rank the catalogue for a user, with the reasons of each place."""
    call = Call(request, ("predict",)).about(model)
    served, tasks = call.served, call.tasks
    sent = body(RecommendBody, carried)
    entry, _ = tasks.entry(call.tenant, served, task)
    best, by_mean = recommended(Answers(tasks, served, entry), sent.n)
    return reply(
        Recommended(
            task_revision=entry.snapshot.number,
            model_version=entry.snapshot.model_version,
            recommendations=best,
            by_mean=by_mean,
        )
    )


@router.post(
    MODEL + ":questions",
    **operation(QuestionsAnswer, problems=ASKS, body=QuestionsBody, required=False),
)
def ask_new_user(request: Request, model: ModelId, carried: Carried) -> Response:
    """Name the items that a new user should be asked to rate."""
    call = Call(request, ("predict",)).about(model)
    return reply(asked_of_new_users(call.tasks, call.served, body(QuestionsBody, carried).n))


@router.post(
    TASK + ":questions",
    **operation(QuestionsAnswer, problems=ASKS, body=QuestionsBody, required=False),
)
def ask_user(request: Request, model: ModelId, task: TaskId, carried: Carried) -> Response:
    """Name the items that a user should be asked to rate next."""
    call = Call(request, ("predict",)).about(model)
    sent = body(QuestionsBody, carried)
    entry, _ = call.tasks.entry(call.tenant, call.served, task)
    return reply(asked_of_user(Answers(call.tasks, call.served, entry), sent.n))
