"""The lab: how a served model was meta-trained and how good it is, from its run directory alone.

Pictures are drawn once a run and shown with the numbers they were drawn from as tables. What an
evaluation measured is shown where the run directory holds it as `evaluation.json`.
"""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import Any, Literal, NamedTuple

from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from quickstudy import catalog, plots
from quickstudy.adapted import Model
from quickstudy.commands import evaluation_pictures
from quickstudy.drawing import Picture
from quickstudy.errors import UserError
from quickstudy.report import machine_rows, paragraphs, settings_table
from quickstudy.rundir import RunDirectory
from quickstudy.serve.problems import Problem
from quickstudy.serve.served import Served

JSON = dict[str, Any]
EVALUATION = "evaluation.json"
EPISODE = {"n_way": 5, "n_shot": 1, "n_query": 4}  # of the episode that is shown

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{name} in the lab – quickstudy</title>
<link rel="icon" href="/static/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/page.css">
</head>
<body>
<header class="bar">
<a class="brand" href="/"><img src="/static/icon.svg" alt="" width="26" height="26">quickstudy</a>
<nav aria-label="Pages"><a href="/?model={name}">Teach {name}</a></nav>
</header>
<main class="lab">
<h1>{name} in the lab</h1>
<p class="lead">{lead}</p>
{missing}
<div class="figures">
{figures}
</div>
<section aria-labelledby="settings">
<h2 id="settings">How it was meta-trained</h2>
{settings}
</section>
</main>
</body>
</html>
"""
FIGURE = """<figure class="card" id="{name}">
<h2 class="unseen">{title}</h2>
<img src="/lab/{model}/{name}.svg" alt="{title}">
<figcaption>{caption}</figcaption>
<details class="fold"><summary>The numbers</summary>
<div class="scroll" tabindex="0" role="region" aria-label="Numbers of {title}">
{tables}
</div></details>
<p class="actions"><a class="plain" href="/lab/{model}/{name}.svg" download>Download SVG</a>
<a class="plain" href="/lab/{model}/{name}.json" download>Download JSON</a></p>
</figure>"""


class Table(NamedTuple):
    """Numbers of a picture: a name, and records that have the same columns."""

    name: str
    rows: list[JSON]


class Lab:
    """The pages and pictures of the models that are served, each made at its first visit."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # matplotlib's settings are those of the process
        self._drawn: dict[Path, tuple[float, str, dict[str, Picture]]] = {}

    def __call__(self, served: Served) -> tuple[str, dict[str, Picture]]:
        """The page of a model and its pictures by name."""
        evaluation = served.run / EVALUATION
        written = evaluation.stat().st_mtime if evaluation.is_file() else 0.0
        with self._lock:
            found = self._drawn.get(served.run)
            if found is None or found[0] != written:
                found = self._drawn[served.run] = (written, *_drawn(served))
            return found[1:]


router = APIRouter(include_in_schema=False)
lab = Lab()


@router.get("/lab/{model}")
def page(request: Request, model: str) -> Response:
    """How a model was meta-trained and how good it is."""
    return HTMLResponse(lab(request.app.state.tasks.model(model))[0])


@router.get("/lab/{model}/{picture}.{form}")
def picture(request: Request, model: str, picture: str, form: Literal["svg", "json"]) -> Response:
    """One picture of the page, or what it was drawn from."""
    found = lab(request.app.state.tasks.model(model))[1].get(picture)
    if found is None:
        raise Problem("NOT_FOUND", f"lab: {model} has no picture {picture!r}; see /lab/{model}.")
    if form == "svg":
        return Response(found.svg, media_type="image/svg+xml")
    return Response(json.dumps(found.data), media_type="application/json")


def _drawn(served: Served) -> tuple[str, dict[str, Picture]]:
    record, evaluation = served.record, _evaluation(served.run)
    pictures = list(_pictures(served, evaluation))
    shown = "\n".join(
        FIGURE.format(
            model=served.id,
            name=p.name,
            title=escape(p.title),
            caption=escape(p.caption),
            tables="\n".join(map(_table, tables(p))),
        )
        for p in pictures
    )
    command = f"quickstudy evaluate {served.run.name} --json {served.run.name}/{EVALUATION}"
    missing = (
        "This run was not evaluated yet, so there is no comparison with baselines here. To have "
        f"it: {shlex.join(shlex.split(command))}"
    )
    spec = served.card()
    html = PAGE.format(
        name=escape(served.id),
        lead=escape(f"{spec['learner']} on {spec['net']}, meta-trained on {_tasks(record)}."),
        missing="" if evaluation else paragraphs(missing, ' class="note"'),
        figures=shown,
        settings=settings_table(_settings(served)),
    )
    return html, {p.name: p for p in pictures}


def _pictures(served: Served, evaluation: JSON | None) -> Iterable[Picture]:
    """All pictures that can be drawn: what a run lacks is left out, not made up."""
    drawings: list[Callable[[], Picture | None]] = [
        lambda: _episode(served.model, served.record.get("tasks_spec") or {}),
        lambda: _curve(served.run, served.model.kind),
    ]
    for draw in drawings:
        try:
            found = draw()
        except (UserError, OSError):  # data that are not on this machine, a run of no steps
            continue
        if found is not None:
            yield found
    if evaluation is not None:
        yield from evaluation_pictures(evaluation)


def _curve(run: Path, kind: str) -> Picture:
    metric = "accuracy" if kind == "classification" else "mse"
    return plots.learning_curve(list(RunDirectory(run).metrics()), metric=metric)


def _episode(model: Model, spec: JSON) -> Picture | None:
    """One meta-test episode of pictures, with the model's answers."""
    if model.kind != "classification" or len(model.x_shape) != 3 or "name" not in spec:
        return None
    support, query = catalog.build_tasks(spec | EPISODE).task("test", 0)
    adapted = model.adapt(support.x.numpy(), support.y.argmax(dim=1).tolist())
    sure = adapted.predict_proba(query.x.numpy())

    def shown(x: Any) -> Any:
        return x[:, 0].numpy() if x.shape[1] == 1 else x.movedim(1, 3).numpy()

    return plots.episode_grid(
        [shown(support.x[support.y[:, c] > 0]) for c in range(support.y.shape[1])],
        shown(query.x),
        sure.argmax(axis=1).tolist(),
        query.y.argmax(dim=1).tolist(),
        confidence=sure.max(axis=1).tolist(),
        ink=bool(getattr(model.preprocess, "ink", False)),
    )


def _evaluation(run: Path) -> JSON | None:
    """What `quickstudy evaluate --json` wrote into the run directory."""
    try:
        found = json.loads((run / EVALUATION).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "metric" in found else None


def _tasks(record: JSON) -> str:
    spec = record.get("tasks_spec") or {}
    ways = f", {spec['n_way']} classes a task" if spec.get("n_way") else ""
    return f"{spec.get('name', 'tasks made in Python')}{ways}"


def _settings(served: Served) -> Iterable[tuple[str, Any]]:
    record = served.record
    yield from [
        ("learner", record["learner"]),
        ("version", served.version),
        ("temperature", served.card()["temperature"]),
        ("steps", record.get("step")),
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


def _table(table: Table) -> str:
    columns = list(dict.fromkeys(key for row in table.rows for key in row))
    heads = "".join(f'<th scope="col">{escape(key.replace("_", " "))}</th>' for key in columns)
    rows = "\n".join(
        "<tr>" + "".join(f"<td>{escape(_number(row.get(key)))}</td>" for key in columns) + "</tr>"
        for row in table.rows
    )
    return (
        f"<table>\n<caption>{escape(table.name)}</caption>\n<thead><tr>{heads}</tr></thead>\n"
        f"<tbody>\n{rows}\n</tbody>\n</table>"
    )


def _number(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
