"""The figures of a comparison, drawn from what `compare` returned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from quickstudy.compare.measure import setting_name
from quickstudy.compare.table import ranked
from quickstudy.figures import plots
from quickstudy.figures.colours import DASHED, SOFT
from quickstudy.figures.rows import Interval, Row, draw_marks
from quickstudy.figures.scatter import Point, front, scatter_with_front
from quickstudy.figures.sheet import Figure, metric_axis, sheet
from quickstudy.figures.values import known, numbers
from quickstudy.files.records import JSONLike
from quickstudy.metrics import named

COSTS = {
    "adapt_ms": ("accuracy_by_time", "milliseconds to adapt to one task"),
    "minutes": ("accuracy_by_training", "minutes of meta-training"),
}


def comparison_figures(result: JSONLike) -> list[Figure]:
    """All figures of what `compare` returned, or of its JSON, that the measurements allow."""
    figures = []
    if any(known(cell, result["metric"]) for row in result["rows"] for cell in row["results"]):
        figures.append(by_learner(result))
    figures += by_shots(result)
    figures += [by_cost(result, cost) for cost in COSTS if len(_points(result, cost)) > 1]
    return figures


def headline(result: JSONLike) -> str:
    """Who is best, in one line."""
    metric = named(result["metric"])
    settings = result["settings"]
    tops = [ranked(result, i)[0] for i in range(len(settings))]
    names = [top["name"] for i, top in enumerate(tops) if known(top["results"][i], metric.name)]
    if not names:
        return "Nothing could be measured"
    often = max(dict.fromkeys(names), key=names.count)
    if len(settings) > 1:
        share = "all" if names.count(often) == len(settings) else f"{names.count(often)} of"
        return f"{often[:40]} is best in {share} {len(settings)} settings"
    top = tops[0]["results"][0]
    best = metric.text(top[metric.name], top["ci95"])
    return f"{often[:40]} is best in {setting_name(settings[0])}: {best}"


def by_learner(result: JSONLike) -> Figure:
    """The metric of every learner in every setting, with its intervals."""
    metric = named(result["metric"])
    ranking, names = ranked(result), [setting_name(setting) for setting in result["settings"]]
    chances = [metric.guessing(setting["n_way"]) for setting in result["settings"]]
    settings: list[dict[str, Any]] = []
    for i, (name, chance) in enumerate(zip(names, chances, strict=True)):
        cells = [{"name": row["name"], **row["results"][i]} for row in ranking]
        cells = [cell for cell in cells if known(cell, metric.name)]
        measured = numbers(f"comparison: {name}", cells, metric.name) if cells else []
        settings.append({"setting": name, "chance": chance, "rows": measured})
    rows = [
        Row(
            row["name"],
            [_interval(cell, metric.name) for cell in row["results"]],
            strong=not row["baseline"],
            italic=row["baseline"],
        )
        for row in ranking
    ]
    pitch, top = 0.22 + 0.14 * len(names), 0.5 + 0.24 * -(-len(names) // 4)
    with sheet(top + 0.55 + pitch * len(rows), headline(result)) as canvas:
        axes = canvas.panel(0.55, top, left=1.95, right=0.35)
        handles = draw_marks(axes, rows, names, step=0.14 / pitch)
        low = axes.get_xlim()[0]
        metric_axis(axes, metric, "x")
        guesses = {chance for chance in chances if chance is not None and chance > low}
        for chance in sorted(guesses):
            axes.axvline(chance, color=SOFT, linewidth=1, linestyle=DASHED, zorder=1)
        canvas.key(handles, n_columns=4)
        caption = (
            f"{'Further right' if metric.larger_is_better else 'Further left'} is better. Whiskers "
            "are 95 % confidence intervals over the same tasks; baselines are in italics"
        )
        caption += "; a dashed line is guessing." if guesses else "."
        return canvas.finish("comparison", caption, {"metric": metric.name, "settings": settings})


def by_shots(result: JSONLike) -> list[Figure]:
    """The metric against shots, one figure for each number of ways with several shots."""
    metric = named(result["metric"])
    settings = result["settings"]
    figures = []
    for way in {str(setting["n_way"]): setting["n_way"] for setting in settings}.values():
        at = [i for i, s in enumerate(settings) if s["n_way"] == way and known(s, "n_shot")]
        if len(at) < 2:
            continue
        curves = {
            row["name"]: [
                {**row["results"][i], "n_shot": settings[i]["n_shot"]}
                for i in at
                if known(row["results"][i], metric.name)
            ]
            for row in ranked(result, at[0])
        }
        measured = {name: rows for name, rows in curves.items() if rows}
        if not measured:
            continue
        figure = plots.accuracy_by_shots(measured, metric=metric)
        if way is not None:
            ways = setting_name({"n_way": way, "n_shot": None})
            title, caption = f"{ways}: {figure.title}", f"{ways} tasks. {figure.caption}"
            name = f"{figure.name}_{ways}"
            figure = replace(figure, name=name, title=title, caption=caption)
        figures.append(figure)
    return figures


def by_cost(result: JSONLike, cost: str) -> Figure:
    """The metric in the first setting against what it costs.

    Args:
        result: What `compare` returned.
        cost: `"adapt_ms"` or `"minutes"`.
    """
    metric = named(result["metric"])
    name, noun = COSTS[cost]
    points, where = _points(result, cost), setting_name(result["settings"][0])
    better = "higher" if metric.larger_is_better else "lower"
    caption = f"Further left is cheaper, {better} is better; open diamonds are baselines. "
    if len(front(points, metric)) > 1:
        caption += "No other beats those on the dashed line in both. "
    caption += "Whiskers are 95 % confidence intervals."
    if cost == "adapt_ms":
        n, threads = result["timing"]["tasks"], result["timing"]["threads"]
        many = f"{threads} thread{'s' * (threads != 1)}"
        caption += f" Median time of {n} tasks, one at a time, on {many}."
    data: dict[str, Any] = {"metric": metric.name, "setting": where, "cost": cost}
    data |= {
        "chance": metric.guessing(result["settings"][0]["n_way"]),
        "rows": [point._asdict() for point in points],
    }
    title = f"{metric.title} in {where} against {noun}"
    return scatter_with_front(name, title, caption, data, points, metric=metric, axis=noun)


def _points(result: JSONLike, cost: str) -> list[Point]:
    """The learners whose metric in the first setting is known and whose cost is above zero."""
    metric = result["metric"]
    return [
        Point(row["name"], row["baseline"], record[cost], outcome[metric], outcome["ci95"])
        for row in ranked(result)
        for outcome in row["results"][:1]
        for record in [row if cost in row else outcome]
        if known(outcome, metric) and known(record, cost) and record[cost] > 0
    ]


def _interval(cell: JSONLike, metric: str) -> Interval | None:
    if not known(cell, metric):
        return None
    return Interval(cell[metric], *2 * (cell["ci95"] or 0,))
