"""The pictures of a comparison, drawn from what `compare` returned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator

from quickstudy.compare.measure import setting_name
from quickstudy.compare.table import ranked
from quickstudy.figures import plots
from quickstudy.figures.sheet import (
    BLUE,
    DASHED,
    INK,
    SERIES,
    SOFT,
    Picture,
    drawable,
    known,
    metric_axis,
    metric_limits,
    numbers,
    panel,
    percent,
    picture,
    sheet,
)
from quickstudy.metrics import Metric, named

JSON = dict[str, Any]
MARKERS = "osD^vPX"
GREY, BAND, LABEL = "#7b8591", "#f3f5f7", 0.075  # LABEL: inches a letter
COSTS = {
    "adapt_ms": ("accuracy_by_time", "milliseconds to adapt to one task"),
    "minutes": ("accuracy_by_training", "minutes of meta-training"),
}


class Point(NamedTuple):
    """A learner at its cost."""

    name: str
    baseline: bool
    cost: float
    value: float
    ci95: float | None


def comparison_pictures(result: JSON) -> list[Picture]:
    """All pictures that the measurements allow."""
    made = []
    if any(known(found, result["metric"]) for row in result["rows"] for found in row["results"]):
        made.append(by_learner(result))
    made += by_shots(result)
    made += [by_cost(result, cost) for cost in COSTS if len(_points(result, cost)) > 1]
    return made


def headline(result: Mapping[str, Any]) -> str:
    """Who is best, in one line."""
    metric = named(result["metric"])
    settings = result["settings"]
    tops = [ranked(result, i)[0] for i in range(len(settings))]
    names = [top["name"] for i, top in enumerate(tops) if known(top["results"][i], metric.name)]
    if not names:
        return "Nothing could be measured"
    often = max(dict.fromkeys(names), key=names.count)
    if len(settings) > 1:
        of = "all" if names.count(often) == len(settings) else f"{names.count(often)} of"
        return f"{often[:40]} is best in {of} {len(settings)} settings"
    found = tops[0]["results"][0]
    best = metric.text(found[metric.name], found["ci95"])
    return f"{often[:40]} is best in {setting_name(settings[0])}: {best}"


def by_learner(result: JSON) -> Picture:
    """The metric of every learner in every setting, with its intervals."""
    metric = named(result["metric"])
    settings, rows = result["settings"], ranked(result)
    names = [setting_name(setting) for setting in settings]
    pitch = 0.22 + 0.14 * len(settings)
    legend_rows = -(-len(settings) // 4)
    top = 0.5 + 0.24 * legend_rows
    with sheet(top + 0.55 + pitch * len(rows), headline(result)) as figure:
        axes = panel(figure, 0.55, top, left=1.95, right=0.35)
        across = axes.get_yaxis_transform()
        for y, row in enumerate(rows):
            if y % 2 == 0:
                axes.axhspan(y - 0.5, y + 0.5, color=BAND, linewidth=0, zorder=0)
            look: Any = {"style": "italic"} if row["baseline"] else {"weight": "bold"}
            name = drawable(row["name"], 23)
            axes.text(-0.02, y, name, ha="right", va="center", transform=across, **look)
        drawn: list[JSON] = []
        for i, name in enumerate(names):
            shift = 0.14 / pitch * (i - (len(names) - 1) / 2)
            colour, marker = SERIES[i % len(SERIES)], MARKERS[i % len(MARKERS)]
            at = [y for y, row in enumerate(rows) if known(row["results"][i], metric.name)]
            found = [{"name": rows[y]["name"], **rows[y]["results"][i]} for y in at]
            kept = numbers(f"comparison: {name}", found, metric.name) if found else []
            axes.errorbar(
                [row[metric.name] for row in kept], [y + shift for y in at],
                fmt=marker, color=colour,
                xerr=[row["ci95"] or 0 for row in kept], ms=5, elinewidth=1.3, capsize=2,
                label=name,
            )  # fmt: skip
            drawn.append({"setting": name, "chance": _chance(result, i), "rows": kept})
        axes.set(ylim=(len(rows) - 0.5, -0.5), yticks=[], xlabel=metric.noun)
        low, high = axes.get_xlim()
        axes.set_xlim(*metric_limits((low, high), metric))
        chances = (_chance(result, i) for i in range(len(settings)))
        guesses = {chance for chance in chances if chance is not None and chance > low}
        for chance in sorted(guesses):
            axes.axvline(chance, color=SOFT, linewidth=1, linestyle=DASHED, zorder=1)
        axes.grid(axis="y", visible=False)
        if metric.is_fraction:
            axes.xaxis.set_major_formatter(percent)
        height = figure.get_size_inches()[1]
        key: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0.01, 1 - 0.36 / height)}
        figure.legend(ncols=4, frameon=False, handletextpad=0.3, columnspacing=1.4, **key)
        caption = (
            f"{'Further right' if metric.larger_is_better else 'Further left'} is better. Whiskers "
            "are 95 % confidence intervals over the same tasks; baselines are in italics"
        )
        caption += "; a dashed line is guessing." if guesses else "."
        return picture(figure, "comparison", caption, {"metric": metric.name, "settings": drawn})


def by_shots(result: JSON) -> list[Picture]:
    """The metric against shots, one picture for each number of ways with several shots."""
    metric = named(result["metric"])
    settings = result["settings"]
    made = []
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
        drawn = {name: rows for name, rows in curves.items() if rows}
        if not drawn:
            continue
        shown = plots.accuracy_by_shots(drawn, metric=metric)
        if way is not None:
            of = setting_name({"n_way": way, "n_shot": None})
            title, caption = f"{of}: {shown.title}", f"{of} tasks. {shown.caption}"
            shown = replace(shown, name=f"{shown.name}_{of}", title=title, caption=caption)
        made.append(shown)
    return made


def by_cost(result: JSON, cost: str) -> Picture:
    """The metric in the first setting against what it costs.

    Args:
        result: What `compare` returned.
        cost: `"adapt_ms"` or `"minutes"`.
    """
    metric = named(result["metric"])
    name, noun = COSTS[cost]
    points, where = _points(result, cost), setting_name(result["settings"][0])
    title = f"{metric.title} in {where} against {noun}"
    with sheet(4.2, title) as figure:
        axes = panel(figure, 0.55, 0.6, right=0.4)
        axes.set_xscale("log")
        front = _front(points, metric)
        if len(front) > 1:
            x, y = [p.cost for p in front], [p.value for p in front]
            axes.plot(x, y, color=SOFT, lw=1, ls=DASHED, drawstyle="steps-post", zorder=1)
        for point in points:
            colour, marker = (GREY, "D") if point.baseline else (BLUE, "o")
            axes.errorbar(
                point.cost, point.value, yerr=point.ci95, fmt=marker, color=colour, ms=6,
                mfc="white" if point.baseline else colour, elinewidth=1.1, capsize=2,
            )  # fmt: skip
        low, high = min(p.cost for p in points), max(p.cost for p in points)
        room = max(1.6, (high / low) ** 0.15)
        axes.set_xlim(low / room, high * room)
        axes.margins(y=0.12)
        chance = _chance(result, 0)
        metric_axis(axes, metric)
        axes.xaxis.set_major_locator(LogLocator(subs=(1,) if high > 300 * low else (1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("")
        axes.set_xlabel(noun)
        _label(axes, points)
        better = "higher" if metric.larger_is_better else "lower"
        caption = f"Further left is cheaper, {better} is better; open diamonds are baselines. "
        if len(front) > 1:
            caption += "No other beats those on the dashed line in both. "
        caption += "Whiskers are 95 % confidence intervals."
        if cost == "adapt_ms":
            n, threads = result["timing"]["tasks"], result["timing"]["threads"]
            many = f"{threads} thread{'s' * (threads != 1)}"
            caption += f" Median time of {n} tasks, one at a time, on {many}."
        rows = [point._asdict() for point in points]
        data = {
            "metric": metric.name,
            "setting": where,
            "cost": cost,
            "chance": chance,
            "rows": rows,
        }
        return picture(figure, name, caption, data)


def _points(result: JSON, cost: str) -> list[Point]:
    """The learners whose metric and cost in the first setting are known and not nothing."""
    metric = result["metric"]
    return [
        Point(row["name"], row["baseline"], at[cost], found[metric], found["ci95"])
        for row in ranked(result)
        for found in row["results"][:1]
        for at in [row if cost in row else found]
        if known(found, metric) and known(at, cost) and at[cost] > 0
    ]


def _front(points: list[Point], metric: Metric) -> list[Point]:
    """Those that no other beats in both, cheapest first."""
    sign = metric.sign
    front: list[Point] = []
    for point in sorted(points, key=lambda p: (p.cost, -sign * p.value)):
        if not front or sign * point.value > sign * front[-1].value:
            front.append(point)
    return front


def _label(axes: Axes, points: list[Point]) -> None:
    """Names beside the points, where there is room."""
    figure = axes.figure
    at = axes.transData.transform([(p.cost, p.value) for p in points]) / figure.dpi
    left, bottom, right, top = np.array(axes.bbox.extents) / figure.dpi
    taken = [(x - 0.05, y - 0.05, x + 0.05, y + 0.05) for x, y in at]
    for (x, y), point in zip(at, points, strict=True):
        text = drawable(point.name, 24)
        width = LABEL * len(text)
        places = [
            (side, x + dx - width * {"left": 0, "center": 0.5, "right": 1}[side], y + dy)
            for side, dx, dy in (
                *(("left", 0.1, 0.0), ("right", -0.1, 0.0), ("center", 0.0, 0.16)),
                *(("center", 0.0, -0.16), ("left", 0.1, 0.15), ("left", 0.1, -0.15)),
                *(("right", -0.1, 0.15), ("right", -0.1, -0.15)),
            )
        ]
        boxes = [(side, (x0, y0 - 0.08, x0 + width, y0 + 0.08)) for side, x0, y0 in places]
        free = [
            (side, box)
            for side, box in boxes
            if left <= box[0] and box[2] <= right + 0.35 and bottom <= box[1] and box[3] <= top
            if not any(
                box[0] < b[2] and b[0] < box[2] and box[1] < b[3] and b[1] < box[3] for b in taken
            )
        ]
        side, box = (free or boxes)[0]
        taken.append(box)
        anchor = {"left": box[0], "center": (box[0] + box[2]) / 2, "right": box[2]}[side]
        axes.text(
            anchor, (box[1] + box[3]) / 2, text, ha=side, va="center", size=8.5, color=INK,
            style="italic" if point.baseline else "normal",
            weight="normal" if point.baseline else "bold", transform=figure.dpi_scale_trans,
            bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}, zorder=1.5,
        )  # fmt: skip


def _chance(result: JSON, setting: int) -> float | None:
    """The metric of guessing."""
    way, metric = result["settings"][setting]["n_way"], named(result["metric"])
    return metric.chance(way) if metric.chance and isinstance(way, int) else None
