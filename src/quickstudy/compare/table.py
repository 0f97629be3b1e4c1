"""A comparison as tables of text, and these on the terminal."""

from __future__ import annotations

from typing import NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

from quickstudy.compare.measure import setting_name
from quickstudy.files.records import JSON, JSONLike
from quickstudy.metrics import Metric, named

NONE = "–"


class Cell(NamedTuple):
    """Lines of text; the first is emphasised where `best`."""

    lines: list[str]
    best: bool = False


class Row(NamedTuple):
    """A learner: the lines of its name, and its cells."""

    head: list[str]
    cells: list[Cell]
    baseline: bool


class Grid(NamedTuple):
    """A table of a comparison."""

    columns: list[str]
    rows: list[Row]
    caption: str


class Tables(NamedTuple):
    """The tables of a comparison: outcomes, the cost of training and adapting, and footnotes."""

    outcomes: Grid
    training: Grid
    adapting: Grid
    notes: list[str]


def tables(result: JSONLike) -> Tables:
    """Returns the tables of a comparison, the best learner of the first setting on top.

    Args:
        result: What `compare` returned, or the JSON of one.
    """
    notes: list[str] = []
    rows = ranked(result)
    heads = [row["name"] + "".join(_mark(notes, text) for text in row["notes"]) for row in rows]
    outcomes = _outcomes(result, rows, heads, notes)
    training = _training(rows, heads, notes)
    return Tables(outcomes, training, _adapting(result, rows, heads), notes)


def ranked(result: JSONLike, setting: int = 0) -> list[JSON]:
    """The rows, best first by the mean in a setting, those without one last."""
    metric = named(result["metric"])
    return sorted(result["rows"], key=lambda row: metric.rank(row["results"][setting][metric.name]))


def print_comparison(result: JSONLike) -> None:
    """Prints the tables of a comparison, as wide as they are where nothing bounds them."""
    *grids, notes = tables(result)
    tasks = f"{result['tasks']}/{result['split']}, {result['n_tasks']} tasks of each kind"
    console = Console()
    for title, grid in zip((tasks, "meta-training", "adapting to one task"), grids, strict=True):
        table = Table(title=title, caption=grid.caption, caption_justify="left")
        table.add_column("")
        for column in grid.columns:
            table.add_column(column, justify="right")
        for row in grid.rows:
            name = Text("\n".join(row.head), "italic" if row.baseline else "")
            table.add_row(name, *(_rich(cell) for cell in row.cells))
        if not console.is_terminal:
            console.width = max(80, Console(width=1000).measure(table).maximum)
        console.print(table)
    for number, note in enumerate(notes, start=1):
        console.print(Text(f"[{number}] {note}"), soft_wrap=True)


def _rich(cell: Cell) -> Text:
    text = Text("\n".join(cell.lines))
    if cell.best:
        text.stylize("bold", 0, len(cell.lines[0]))
    return text


def _outcomes(result: JSONLike, rows: list[JSON], heads: list[str], notes: list[str]) -> Grid:
    metric, settings = named(result["metric"]), result["settings"]
    key = metric.name
    best = [ranked(result, i)[0]["name"] for i in range(len(settings))]
    has_disjoint = any(
        row["results"][i][f"{key}_disjoint"] not in (None, row["results"][i][key])
        for row in rows
        for i in range(len(settings))
    )
    reference = "the best" if result["reference"] is None else result["reference"]
    labels = ["on disjoint tasks"] * has_disjoint + [f"minus {reference}"]
    table = []
    for head, row in zip(heads, rows, strict=True):
        cells = []
        for i, (setting, outcome) in enumerate(zip(settings, row["results"], strict=True)):
            marks = "" if outcome["reason"] is None else _mark(notes, outcome["reason"])
            if outcome["not_finite"]:
                lost = f"{outcome['not_finite']} of {setting['n_tasks']} tasks"
                marks += _mark(notes, f"{lost} gave predictions that are not finite")
            lines = [plus_minus(outcome[key], outcome["ci95"], metric) + marks]
            if has_disjoint:
                value, half = outcome[f"{key}_disjoint"], outcome["ci95_disjoint"]
                lines.append(plus_minus(value, half, metric))
            measured = outcome[key] is not None
            if measured and row["name"] == setting["reference"]:
                lines.append("best" if result["reference"] is None else NONE)
            else:
                lines.append(difference(outcome, metric))
            cells.append(Cell(lines, measured and row["name"] == best[i]))
        table.append(Row([head, *(f"  {label}" for label in labels)], cells, row["baseline"]))
    counts = [s["n_tasks_disjoint"] for s in settings]
    many = f"{min(counts)}" if len(set(counts)) == 1 else f"{min(counts)} to {max(counts)}"
    caption = f"{metric.label}; ± is 95 %; "
    caption += f"disjoint tasks, {many} of each kind, share no example; " * has_disjoint
    caption += "differences are paired over the same tasks."
    return Grid([setting_name(setting) for setting in settings], table, caption)


def _training(rows: list[JSON], heads: list[str], notes: list[str]) -> Grid:
    machines = [row["trained_with"] for row in rows if row["trained_with"] is not None]
    time = "time"
    if any(machine != machines[0] for machine in machines):
        time += _mark(notes, "not all were meta-trained on the same machine")
    table = []
    for head, row in zip(heads, rows, strict=True):
        texts = [
            row["norm"],
            "yes" if row["transductive"] else "no",
            f"{row['n_meta_parameters']:,}",
            "none" if row["baseline"] else NONE if row["steps"] is None else f"{row['steps']:,}",
            *("none" if row["baseline"] else _time(row[k]) for k in ("minutes", "cpu_minutes")),
        ]
        table.append(Row([head], [Cell([text]) for text in texts], row["baseline"]))
    columns = ["norm", "transductive", "meta-parameters", "steps", time, "CPU time"]
    ladder = ", ".join(row["name"] for row in rows if row["baseline"])
    caption = f"{ladder}: baselines, which learn every task from nothing." if ladder else ""
    return Grid(columns, table, caption)


def _adapting(result: JSONLike, rows: list[JSON], heads: list[str]) -> Grid:
    table = []
    for head, row in zip(heads, rows, strict=True):
        cells = [
            Cell([_milliseconds(outcome["adapt_ms"]), _size(outcome["state_bytes"])])
            for outcome in row["results"]
        ]
        table.append(Row([head, "  size of the state"], cells, row["baseline"]))
    n, threads = result["timing"]["tasks"], result["timing"]["threads"]
    caption = (
        f"Median of {n} tasks, one at a time on {threads} thread{'s' * (threads != 1)}; the "
        "learners took each in turn."
    )
    return Grid([setting_name(setting) for setting in result["settings"]], table, caption)


def plus_minus(value: float | None, half: float | None, metric: Metric) -> str:
    """A value with its interval, such as `90.2 ± 1.0`, in percent for an accuracy."""
    return NONE if value is None else metric.number(value, half).replace("-", "−")


def difference(outcome: JSON, metric: Metric) -> str:
    """The paired difference to the reference, with its sign."""
    value = outcome["difference"]
    text = plus_minus(value, outcome["difference_ci95"], metric)
    return text if value is None or value < 0 else f"+{text}"


def _time(minutes: float | None) -> str:
    if minutes is None:
        return NONE
    return f"{minutes:.1f} min" if minutes >= 1 else f"{60 * minutes:.3g} s"


def _milliseconds(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value / 1000:.3g} s" if value >= 1000 else f"{value:.3g} ms"


def _size(n: int | None) -> str:
    if n is None:
        return NONE
    if n < 1000:
        return f"{n} B"
    return f"{n / 1e3:.3g} kB" if n < 1e6 else f"{n / 1e6:.3g} MB"


def _mark(notes: list[str], text: str) -> str:
    """The mark of a footnote; adds the footnote where it is new."""
    if text not in notes:
        notes.append(text)
    return f" [{notes.index(text) + 1}]"
