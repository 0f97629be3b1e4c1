"""The application: its parts, its error handlers, and its sweeps between requests."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import anyio
import anyio.to_thread
import sqlalchemy as sa
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match

from quickstudy.errors import UserError
from quickstudy.serve import kserve, lab
from quickstudy.serve.call import Server
from quickstudy.serve.disk import is_full
from quickstudy.serve.edge import Edge, problem_response
from quickstudy.serve.keys import Keys
from quickstudy.serve.limits import Limits
from quickstudy.serve.metrics import Metrics
from quickstudy.serve.migrations import migrate
from quickstudy.serve.openapi import describe
from quickstudy.serve.policies import Policies, ServedPolicy, is_policy
from quickstudy.serve.presence import Watch
from quickstudy.serve.problems import BY_STATUS, Problem
from quickstudy.serve.replies import Replies
from quickstudy.serve.routes import about, ask, changes, files, policies, recommend, tasks
from quickstudy.serve.served import Served
from quickstudy.serve.store import Store
from quickstudy.serve.tables import connect
from quickstudy.serve.tasks import Tasks
from quickstudy.serve.versions import Versions
from quickstudy.version import __version__

THREADS: Final = 64
"""Requests that are worked on at one time; the rest wait."""
LOOKUPS: Final = 4
"""Threads beside these, which no request holds for long."""
ROUTERS: Final = (
    about.router,
    tasks.router,
    changes.router,
    ask.router,
    recommend.router,
    policies.router,
    files.router,
    kserve.router,
    lab.router,
)

log = logging.getLogger("quickstudy.serve")


def create_app(
    runs: Sequence[Path],
    database: str,
    limits: Limits | None = None,
    needs_match: bool = False,
    sweep_seconds: float = 5.0,
    root_path: str = "",
) -> FastAPI:
    """The application over models and a database.

    Args:
        runs: Run directories; also files of policies, as `quickstudy practise` writes them.
        database: URL of the database.
        limits: Limits of the server.
        needs_match: Whether changes are taken with If-Match only.
        sweep_seconds: Seconds between two runs of `sweep_once`.
        root_path: Prefix of all paths, where a proxy serves the server under one.

    Raises:
        UserError: A run cannot be served, or the database cannot be used.
    """
    limits = limits or Limits()
    acting = [ServedPolicy(run) for run in runs if is_policy(run)]
    served = [Served(run) for run in runs if not is_policy(run)]
    models, policies = {each.id: each for each in served}, Policies(acting, limits.cache_bytes)
    if len(models) < len(served) or len(policies.served) < len(acting):
        raise UserError(
            "serve: each run needs a folder name of its own, which becomes the name of its model; "
            f"received {', '.join([m.id for m in served] + [p.id for p in acting])}; rename one."
        )
    engine = connect(database, THREADS + LOOKUPS + 4)
    migrate(engine)
    store, metrics, keys = Store(engine), Metrics(), Keys(engine)
    all_tasks = Tasks(models, store, Versions(engine, served), limits, metrics)
    server = Server(
        all_tasks, keys, Replies(engine), needs_match, keys.exist(), root_path, policies
    )
    metrics.tasks.set_function(store.count)
    metrics.cache_bytes.set_function(lambda: all_tasks.states.bytes)
    metrics.disk_free.set_function(lambda: store.disk.free)
    metrics.disk_full.set_function(lambda: store.disk.needed > 0)
    metrics.queue.set_function(lambda: all_tasks.gate.waiting)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        server.lookups = anyio.CapacityLimiter(LOOKUPS)
        with _sweeping(server, sweep_seconds):
            yield
        engine.dispose()

    app = FastAPI(
        title="quickstudy",
        version=__version__,
        description="Learn a new task from a handful of examples, and ask it.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=lambda route: route.name,
        # Nothing is reported anywhere.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.server = server
    for router in ROUTERS:
        app.include_router(router)
    app.add_api_route("/openapi.json", _openapi, include_in_schema=False)
    app.mount("/static", StaticFiles(directory=files.PAGE, check_dir=False), name="static")
    for kind, handler in {
        Problem: _on_problem,
        HTTPException: _on_http,
        RequestValidationError: _on_validation,
        sa.exc.OperationalError: _on_database,
        sa.exc.TimeoutError: _on_database,
    }.items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(Edge, server=server)
    app.add_middleware(Watch)
    return app


@contextlib.contextmanager
def _sweeping(server: Server, seconds: float) -> Iterator[None]:
    """Runs a thread that sweeps in intervals."""
    stop = threading.Event()

    def sweep() -> None:
        while not stop.wait(seconds):
            try:
                sweep_once(server)
            except sa.exc.SQLAlchemyError:
                log.exception("the database could not be swept; this is tried again")

    thread = threading.Thread(target=sweep, name="sweep", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def sweep_once(server: Server) -> None:
    """Deletes what has expired or is not used, and sees whether there are keys."""
    tasks = server.tasks
    tasks.store.sweep()
    server.replies.sweep()
    tasks.versions.sweep()
    for uid in tasks.store.gone(tasks.states.uids()):
        tasks.states.drop(uid)
    server.needs_key = server.needs_key or server.keys.exist()


def _openapi(request: Request) -> Any:
    """The description of the API."""
    server: Server = request.app.state.server
    return describe(request.app, server.needs_key, server.root_path)


def _on_problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return problem_response(request.scope, error)


def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = dict(error.headers or {})
    if error.status_code == 405:
        headers["Allow"] = ", ".join(sorted(_methods(request)))
    reason = BY_STATUS.get(error.status_code, "BAD_REQUEST")
    detail = f"{request.method} {request.url.path}: {error.detail}; see /openapi.json."
    return problem_response(request.scope, Problem(reason, detail, headers=headers))


def _methods(request: Request) -> set[str]:
    """The methods of all routes that have this path."""
    methods = {
        method
        for router in ROUTERS
        for route in router.routes
        if route.matches(request.scope)[0] is not Match.NONE
        for method in getattr(route, "methods", None) or ()
    }
    return methods | ({"HEAD"} if "GET" in methods else set())


def _on_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [("/".join(str(part) for part in each["loc"]), each["msg"]) for each in error.errors()]
    pointer, message = errors[0]
    # There is no resource at a path that is not valid.
    reason = "NOT_FOUND" if pointer.startswith("path/") else "INVALID_ARGUMENT"
    detail = f"{pointer}: {message}; received something else; see /openapi.json for what is taken."
    return problem_response(request.scope, Problem(reason, detail, errors))


def _on_database(request: Request, error: Exception) -> Response:
    log.error("request %s: the database does not answer: %s", request.scope["request_id"], error)
    if is_full(error):
        server: Server = request.app.state.server
        return problem_response(request.scope, server.tasks.store.disk.problem(1))
    detail = "database: must answer; received an error of it; try again later."
    return problem_response(request.scope, Problem("OVERLOADED", detail))
