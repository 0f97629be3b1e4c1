"""Routes of the server itself: its models, limits, health and metrics."""

from __future__ import annotations

from typing import Final

import anyio
import anyio.to_thread
import sqlalchemy as sa
from fastapi import APIRouter, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from quickstudy.serve.call import Call, Server, reply
from quickstudy.serve.openapi import operation
from quickstudy.serve.problems import Problem
from quickstudy.serve.routes.names import MODEL, ModelId
from quickstudy.serve.schema.responses import Health, LimitsAnswer, ModelCard, Models
from quickstudy.serve.served import Served

router = APIRouter(tags=["server"])
PATIENCE: Final = 5.0  # seconds


@router.get("/v1/models", **operation(Models, problems=(401, 403, 429, 503)))
def list_models(request: Request) -> Response:
    """The models that are served."""
    server = Call(request).server
    return reply(Models(models=[card(server, served) for served in server.tasks.models.values()]))


@router.get(MODEL, **operation(ModelCard))
def get_model(request: Request, model: ModelId) -> Response:
    """A model."""
    call = Call(request).about(model)
    return reply(card(call.server, call.served))


@router.get("/v1/limits", **operation(LimitsAnswer, problems=(503,)))
def get_limits(request: Request) -> Response:
    """The limits on what one client may ask."""
    server: Server = request.app.state.server
    return reply(LimitsAnswer(**server.tasks.limits.published()))


@router.get("/healthz", **operation(Health, problems=(503,)))
async def healthz() -> Response:
    """Whether the server runs."""
    return reply(Health(status="ok"))


@router.get("/readyz", **operation(Health, problems=(503,)))
async def readyz(request: Request) -> Response:
    """Whether the server can answer: its database does."""
    await check_ready(request)
    return reply(Health(status="ok"))


@router.get(
    "/metrics", **operation(problems=(401, 403, 429, 503), media=CONTENT_TYPE_LATEST.split(";")[0])
)
def metrics(request: Request) -> Response:
    """Counters and histograms for Prometheus."""
    tasks = Call(request, ("admin",)).tasks
    return Response(tasks.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def card(server: Server, served: Served) -> ModelCard:
    """A model as clients see it."""
    has_sample = server.sample(served) is not None
    limits = LimitsAnswer(**server.tasks.limits.published())
    return ModelCard(**served.card(), example_task=has_sample, limits=limits)


async def check_ready(request: Request) -> None:
    """Asks the database; where it does not answer, neither does the server.

    Raises:
        Problem: It did not within seconds.
    """
    server: Server = request.app.state.server

    def ask() -> None:
        with server.tasks.store.engine.connect() as connection:
            connection.execute(sa.select(1))

    with anyio.move_on_after(PATIENCE) as scope:
        await anyio.to_thread.run_sync(ask, abandon_on_cancel=True, limiter=server.lookups)
    if scope.cancelled_caught:
        raise Problem(
            "OVERLOADED",
            f"database: must answer within {PATIENCE:g} s; received nothing; try again later.",
        )
