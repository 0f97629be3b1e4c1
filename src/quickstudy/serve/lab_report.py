"""The report on a served model, from its run directory alone.

Figures come with the numbers they were drawn from as tables. What an evaluation measured is shown
where the run directory holds it as `evaluation.json`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any

import torch

from quickstudy import catalog
from quickstudy.errors import DataError, UserError
from quickstudy.explain import layer_changes
from quickstudy.explain.figures import layers
from quickstudy.figures import plots
from quickstudy.figures.episode import task_grid
from quickstudy.figures.evaluation import evaluation_figures
from quickstudy.figures.page import embedded, image, machine_rows, paragraphs, settings_table
from quickstudy.figures.sheet import Figure
from quickstudy.figures.tables import tables_html
from quickstudy.figures.values import share_text
from quickstudy.files.records import JSON
from quickstudy.files.rundir import RunDirectory
from quickstudy.metrics import DEFAULT, validation
from quickstudy.models.model import Model
from quickstudy.models.saved import load
from quickstudy.serve.served import EVALUATION, Served, evaluated_details
from quickstudy.task import Task
from quickstudy.tasks import Recorded

N_QUERY = 4  # of the episode that is drawn
NOT_EVALUATED = (
    "This run was not evaluated yet, so there is no comparison with baselines here. To have one:"
)
NOT_TRAINED = "It belongs to no tasks. To compare it with baselines on some of your own:"


def report(served: Served) -> str:
    """The report on a model as HTML, with all text of the run escaped."""
    evaluated, name = _evaluated(served.run), served.run.name
    net = served.card()["net"]
    tasks = (served.record.get("tasks_spec") or {}).get("name") or "tasks made in Python"
    trained = served.record["step"] > 0
    on = f"meta-trained on {tasks}" if trained else "without meta-training"
    lead = f"{served.record['learner']}{f' on {net}' if net else ''}, {on}."
    command = (
        f"quickstudy evaluate {name} --json {name}/{EVALUATION}"
        if trained
        else f"quickstudy evaluate {name} --tasks.name folder --tasks.path my_classes/"
    )
    says = NOT_EVALUATED if trained else NOT_TRAINED
    note = f'<p class="note">{says} <code>{escape(command)}</code></p>'
    figures = "\n".join(map(_figure, [*_own(served), *evaluated]))
    settings = settings_table(
        (label.replace("_", " "), value) for label, value in _settings(served) if value is not None
    )
    return "\n".join((
        paragraphs(lead, ' class="lead"'),
        "" if served.model.caution is None else paragraphs(served.model.caution, ' class="note"'),
        "" if evaluated else note,
        f'<div class="figures">\n{figures}\n</div>',
        _details(served.run),
        '<section aria-labelledby="settings-title">',
        f'<h2 id="settings-title">{"How it was meta-trained" if trained else "Settings"}</h2>',
        settings,
        "</section>",
    ))  # fmt: skip


def _details(run: Path) -> str:
    """The tables and sentences that the tasks have beside their metrics; empty without."""
    details = evaluated_details(run)
    parts = []
    for table in details.get("tables", ()):
        head = "".join(f"<th>{escape(str(name))}</th>" for name in table["columns"])
        rows = "\n".join(
            f"<tr>{''.join(f'<td>{escape(share_text(cell))}</td>' for cell in row)}</tr>"
            for row in table["rows"]
        )
        parts.append(
            f'<section class="card"><h2>{escape(table["title"])}</h2>\n<div class="scroll">\n'
            f"<table><thead><tr>{head}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n"
            f"{paragraphs(table['caption'])}</section>"
        )
    sentences = [*details.get("sentences", ())][:1]  # The caution stands above.
    return "\n".join([*map(paragraphs, sentences), *parts])


def _figure(figure: Figure) -> str:
    """A figure with its numbers, and both as files."""
    title, data = escape(figure.title), json.dumps(figure.data)
    files = (("svg", "image/svg+xml", figure.svg), ("json", "application/json", data))
    links = "\n".join(
        f'<a class="plain" href="{embedded(kind, text)}" download="{figure.name}.{ending}">'
        f"Download {ending.upper()}</a>"
        for ending, kind, text in files
    )
    return (
        f'<figure class="card" id="{figure.name}">\n<h2 class="unseen">{title}</h2>\n'
        f"{image(figure)}\n<figcaption>{escape(figure.caption)}</figcaption>\n"
        '<details class="fold"><summary>The numbers</summary>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="Numbers of: {title}">\n'
        f"{tables_html(figure)}\n</div></details>\n"
        f'<p class="actions">{links}</p>\n</figure>'
    )


def _own(served: Served) -> Iterable[Figure]:
    """The figures of a run and its tasks, except those that need data it does not have."""
    # The model is loaded again, because requests use the served one at the same time.
    model = load(served.run)
    task = _task(served.run, served.record.get("tasks_spec"), model)
    if task is not None and model.kind == "classification" and len(model.x_shape) == 3:
        columns = task.support.y.argmax(dim=1).tolist()
        known = model.classes
        labels = columns if known is None else [known[column] for column in columns]
        adapted = model.adapt(task.support.x, labels)
        probabilities = adapted.predict_proba(task.query.x)
        yield task_grid(task, probabilities, model.preprocess.card()["drawings"])
    rows = list(RunDirectory(served.run).metrics())
    validated = next(filter(None, map(validation, rows)), None)
    metric = validated[0] if validated else DEFAULT[model.kind][0]
    with suppress(UserError):  # a run of no steps
        yield plots.learning_curve(rows, metric=metric)
    if task is not None and model.learner.adapt_steps is not None:
        with torch.no_grad():
            state = model.learner.adapt(task.support)
        x = torch.cat([task.support.x, task.query.x])
        changes = layer_changes(model.learner, task.support, state, x)
        yield layers({"layers": [change._asdict() for change in changes]})


def _task(run: Path, spec: JSON | None, model: Model) -> Task | None:
    """A meta-test task of the run; None where its data are not on this machine, or changed."""
    try:
        if not spec:
            return None
        recorded = Recorded.of(run)
        source = catalog.build_tasks(spec | {"n_query": N_QUERY}, recorded)
        recorded.notes(source)
        return source.with_targets(model.targets).task("test", 0)
    except (DataError, UserError, OSError):
        return None


def _evaluated(run: Path) -> list[Figure]:
    """The figures of `evaluation.json` in the run directory; none where it holds no evaluation."""
    try:
        return evaluation_figures(json.loads((run / EVALUATION).read_text(encoding="utf-8")))
    except (OSError, UserError, LookupError, TypeError, ValueError, AttributeError):
        return []  # no file, no evaluation in it, or none with a finite number


def _settings(served: Served) -> Iterable[tuple[str, Any]]:
    record = served.record
    yield from [
        ("learner", record["learner"]),
        ("version", served.version),
        ("temperature", served.card()["temperature"]),
        ("AUROC of novelty", (record.get("novelty") or {}).get("auroc")),
        ("steps taken", record.get("step")),
        ("best validation", record.get("best")),
        ("minutes", record.get("minutes")),
        ("stopped", record.get("stopped")),
        *machine_rows(record.get("machine")),
        *((k, v) for k, v in (record.get("training") or {}).items() if v not in (None, {})),
    ]
