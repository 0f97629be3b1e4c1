"""The lab: how a served model was meta-trained and how good it is, from its run directory alone.

Pictures are drawn once a run and come with the numbers they were drawn from as tables. What an
evaluation measured is shown where the run directory holds it as `evaluation.json`.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from fastapi import APIRouter, Request
from starlette.responses import FileResponse, JSONResponse, Response

from quickstudy import catalog
from quickstudy.errors import UserError
from quickstudy.explain import layer_changes
from quickstudy.explain.pictures import layers
from quickstudy.figures import plots
from quickstudy.figures.evaluation import evaluation_pictures
from quickstudy.figures.page import machine_rows
from quickstudy.figures.sheet import Picture
from quickstudy.files.rundir import RunDirectory
from quickstudy.learners.gradient_based import GradientBased
from quickstudy.metrics import DEFAULT, validation
from quickstudy.models.model import Model
from quickstudy.models.saved import load
from quickstudy.serve.call import Call
from quickstudy.serve.routes.files import PAGE
from quickstudy.serve.routes.names import MODEL, ModelId
from quickstudy.serve.served import Served
from quickstudy.task import Task

JSON = dict[str, Any]
EVALUATION = "evaluation.json"
SHOWN = {"n_query": 4}  # of the episode that is shown


class Table(NamedTuple):
    """Numbers of a picture: a name, and records with the same keys."""

    name: str
    rows: list[JSON]


class Lab:
    """Reports on the models that are served, each made when first asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # matplotlib's settings are those of the process
        self._made: dict[Path, tuple[float, JSON]] = {}

    def __call__(self, served: Served) -> JSON:
        """The report on a model: plain JSON, with pictures as SVG."""
        evaluation = served.run / EVALUATION
        written = evaluation.stat().st_mtime if evaluation.is_file() else 0.0
        with self._lock:
            found = self._made.get(served.run)
            if found is None or found[0] != written:
                found = self._made[served.run] = (written, report(served))
            return found[1]


router = APIRouter(include_in_schema=False)
reports = Lab()


@router.get("/lab/{model:id}")
def page() -> Response:
    """The page of a report; it asks for the report itself."""
    return FileResponse(PAGE / "lab.html", headers={"Cache-Control": "no-cache"})


@router.get(MODEL + "/lab")
def get_report(request: Request, model: ModelId) -> Response:
    """How a model was meta-trained and how good it is."""
    return JSONResponse(reports(Call(request).about(model).served))


def report(served: Served) -> JSON:
    """All there is to say about a model."""
    evaluated, name = _evaluated(served.run), served.run.name
    return {
        "model": served.id,
        "learner": served.record["learner"],
        "net": served.card()["net"],
        "tasks": (served.record.get("tasks_spec") or {}).get("name"),
        "evaluate": None if evaluated else f"quickstudy evaluate {name} --json {name}/{EVALUATION}",
        "pictures": [
            {
                "name": each.name,
                "title": each.title,
                "caption": each.caption,
                "svg": each.svg,
                "data": each.data,
                "tables": [table._asdict() for table in tables(each)],
            }
            for each in [*_own(served), *evaluated]
        ],
        "settings": [[name, value] for name, value in _settings(served) if value is not None],
    }


def _own(served: Served) -> Iterable[Picture]:
    """What a run and its tasks show: what they lack is left out, not made up."""
    # A model of its own: others compute with the served one meanwhile.
    model, task = load(served.run), _task(served.record.get("tasks_spec"))
    if task is not None and model.kind == "classification" and len(model.x_shape) == 3:
        yield _episode(model, task)
    rows = list(RunDirectory(served.run).metrics())
    validated = next(filter(None, map(validation, rows)), None)
    metric = validated[0] if validated else DEFAULT[model.kind][0]
    with suppress(UserError):  # a run of no steps
        yield plots.learning_curve(rows, metric=metric)
    if task is not None and isinstance(model.learner, GradientBased):
        with torch.no_grad():
            state = model.learner.adapt(task.support)
        x = torch.cat([task.support.x, task.query.x])
        changes = layer_changes(model.learner, task.support, state, x)
        yield layers({"layers": [each._asdict() for each in changes]})


def _task(spec: JSON | None) -> Task | None:
    """A meta-test task of the run; None where its data are not on this machine."""
    try:
        return catalog.build_tasks(spec | SHOWN).task("test", 0) if spec else None
    except (UserError, OSError):
        return None


def _episode(model: Model, task: Task) -> Picture:
    """One episode of pictures, with the model's answers."""
    support, query = task
    sure = model.adapt(support.x, support.y.argmax(dim=1)).predict_proba(query.x)

    def shown(x: torch.Tensor) -> Any:
        return x[:, 0].numpy() if x.shape[1] == 1 else x.movedim(1, 3).numpy()

    return plots.episode_grid(
        [shown(support.x[support.y[:, c] > 0]) for c in range(support.y.shape[1])],
        shown(query.x),
        sure.argmax(axis=1).tolist(),
        query.y.argmax(dim=1).tolist(),
        confidence=sure.max(axis=1).tolist(),
        ink=model.preprocess.card()["drawings"],
    )


def _evaluated(run: Path) -> list[Picture]:
    """What `quickstudy evaluate --json` wrote into the run directory; none where it did not."""
    try:
        return evaluation_pictures(json.loads((run / EVALUATION).read_text(encoding="utf-8")))
    except (OSError, UserError, LookupError, TypeError, ValueError, AttributeError):
        return []  # not there, not an evaluation, or one without a finite number


def _settings(served: Served) -> Iterable[tuple[str, Any]]:
    record = served.record
    yield from [
        ("learner", record["learner"]),
        ("version", served.version),
        ("temperature", served.card()["temperature"]),
        ("steps taken", record.get("step")),
        ("best validation", record.get("best")),
        ("minutes", record.get("minutes")),
        ("stopped", record.get("stopped")),
        *machine_rows(record.get("machine")),
        *((k, v) for k, v in (record.get("training") or {}).items() if v not in (None, {})),
    ]


def tables(picture: Picture) -> list[Table]:
    """The numbers of a picture as tables."""
    data = picture.data
    if picture.name == "episode_grid":
        label = data["labels"]
        sure = data["confidence"] or [None] * len(data["truth"])
        asked = zip(data["truth"], data["predicted"], sure, strict=True)
        rows = [
            {"query": i, "is": label[truth], "called": label[chosen], "confidence": confidence}
            for i, (truth, chosen, confidence) in enumerate(asked, start=1)
        ]
        return [Table("queries", rows)]
    found = []
    for name, value in data.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            found.append(Table(name, value))
        elif isinstance(value, dict):
            rows = [{"method": who, **row} for who, its in value.items() for row in its]
            found.append(Table(name, rows))
    return found
