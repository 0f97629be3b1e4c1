"""A comparison as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from quickstudy.compare.figures import headline
from quickstudy.compare.measure import setting_name
from quickstudy.compare.table import Cell, Grid, Row, ranked, tables
from quickstudy.figures import page
from quickstudy.figures.sheet import Figure
from quickstudy.figures.values import known
from quickstudy.files.records import JSONLike
from quickstudy.metrics import named

LIMITS = (
    "Each learner was meta-trained once: the intervals cover the choice of tasks, not that of the "
    "seed. Intervals over episodes treat the data's classes as fixed; those over tasks that share "
    "no example are the ones to read for new data of the kind.\n\n"
    "Settings and steps that suit one learner may not suit another. Times are of this machine, "
    "and minutes of meta-training of the machine that it ran on."
)
CHOSEN = (
    "\n\nDifferences are taken to the learner that did best on these very tasks, which flatters it "
    "a little, and there are as many comparisons as numbers in the table: name a reference before "
    "you look to test one claim."
)


def write_comparison(
    path: str | Path, result: JSONLike, figures: Sequence[Figure] = (), title: str = ""
) -> Path:
    """Writes the page of a comparison: tables of outcomes and cost, figures, settings, limits.

    Args:
        path: File to write, whole or not at all.
        result: What `compare` returned, or the JSON of one.
        figures: Shown with their captions.
        title: Heading of the page; says what was compared on what where empty.

    Returns:
        The path.
    """
    grids = tables(result)
    notes = "\n".join(f"<li>{escape(note)}</li>" for note in grids.notes)
    names = [row["name"] for row in result["rows"] if not row["baseline"]]
    many = f"{len(names)} learners" if len(names) > 1 else names[0]
    body = [
        _table(grids.outcomes),
        f'<ol class="notes">\n{notes}\n</ol>' if notes else "",
        page.drawings(figures),
        "<h2>Meta-training</h2>",
        _table(grids.training),
        "<h2>Adapting to one task</h2>",
        _table(grids.adapting),
        page.not_shown(LIMITS + ("" if result["reference"] else CHOSEN)),
        "<h2>Settings</h2>",
        page.settings_table(_settings(result)),
    ]
    return page.write_page(
        path, title or f"{many} compared on {result['tasks']}", lead(result), body
    )


def lead(result: JSONLike) -> str:
    """Who is best, and whether these tasks can tell it from the next."""
    text = f"{headline(result)}."
    metric, settings = named(result["metric"]), result["settings"]
    rows = [row for row in ranked(result) if known(row["results"][0], metric.name)]
    if len(rows) < 2:
        return text
    reference, (first, second) = settings[0]["reference"], rows[:2]
    if reference not in (first["name"], second["name"]):
        return text
    outcome = (second if first["name"] == reference else first)["results"][0]
    if not known(outcome, "difference_ci95"):
        return text
    distance = abs(outcome["difference"])
    ahead = metric.difference_text(distance, outcome["difference_ci95"])
    text += f" In {setting_name(settings[0])} it is {ahead} ahead of {second['name']}"
    if len(settings) > 1:
        text = text.replace(" it is ", f" {first['name']} is ")
    sure = distance > outcome["difference_ci95"]
    return text + ("." if sure else ", which these tasks cannot tell from nothing.")


def _table(grid: Grid) -> str:
    columns = ["learner", *map(escape, grid.columns)]
    table = page.table_html("ladder lines", map(_row, grid.rows), columns)
    return f"<p>{escape(grid.caption)}</p>\n{table}"


def _row(row: Row) -> str:
    attribute = ' class="baseline"' if row.baseline else ""
    head = f'<th scope="row">{_lines(row.head)}</th>'
    return f"<tr{attribute}>{head}{''.join(map(_cell, row.cells))}</tr>"


def _cell(cell: Cell) -> str:
    attribute = ' class="best"' if cell.best else ""
    return f"<td{attribute}>{_lines(cell.lines)}</td>"


def _lines(lines: Sequence[str]) -> str:
    first, *others = lines
    return escape(first) + "".join(f"<small>{escape(line.strip())}</small>" for line in others)


def _settings(result: JSONLike) -> list[tuple[str, Any]]:
    about = {k: v for k, v in result["tasks_options"].items() if not k.startswith("n_")}
    rows: list[tuple[str, Any]] = [
        ("tasks", result["tasks"]),
        ("split", result["split"]),
        ("seed", result["seed"]),
        ("tasks of each kind", result["n_tasks"]),
        ("queries", result["tasks_options"].get("n_query")),
        ("differences to", result["reference"] or "the best learner of each setting"),
        ("timed on", f"{result['timing']['tasks']} tasks"),
        *page.machine_rows(result["machine"]),
        *((f"run of {row['name']}", row["run"]) for row in result["rows"] if row["run"]),
        *((f"tasks: {key}", value) for key, value in about.items() if key != "name"),
    ]
    return [*rows, *((key, result[key]) for key in ("date", "command") if key in result)]
