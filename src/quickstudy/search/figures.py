"""The figures of a search: its course, what matters, and what was tried."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from quickstudy.figures.colours import BLUE, DASHED, FAINT, INK, SOFT, VERMILLION
from quickstudy.figures.curves import Curve, draw_curves
from quickstudy.figures.rows import Interval, Row, ranked_rows
from quickstudy.figures.sheet import Figure, drawable, log_axis, metric_axis, sheet
from quickstudy.files.records import JSON, JSONLike
from quickstudy.metrics import Metric, named
from quickstudy.search.space import Choice, space_of

GREY = "#9aa1a9"


def search_figures(result: JSONLike) -> list[Figure]:
    """All figures of a result of `quickstudy search`."""
    figures = [course(result), tried(result)]
    return [*figures, importances(result)] if result["importance"] else figures


def course(result: JSONLike) -> Figure:
    """The metric of each trial as the search spends its time."""
    metric, best = named(result["metric"]), result["best"]["number"]
    lines, failed, spent = [], [], 0.0
    for row in sorted(result["trials"], key=lambda row: (row["began"], row["number"])):
        cost = row["cpu_seconds"] / 60
        whole = max((tasks for tasks, _ in row["curve"]), default=0)
        points = [[spent + cost * tasks / whole, v] for tasks, v in row["curve"] if _finite(v)]
        lines.append({"number": row["number"], "state": row["state"], "points": points})
        if row["state"] == "failed":
            failed.append(spent + cost)
        spent += cost
    looks: dict[str, Any] = {
        "the best": {"colour": VERMILLION, "marker": "D", "strong": True},
        "trained whole": {"colour": BLUE, "marker": "o"},
        "given up": {"colour": GREY, "marker": "x"},
    }
    curves = []
    for line in lines:
        ended = "trained whole" if line["state"] == "whole" else "given up"
        look = looks["the best" if line["number"] == best else ended]
        if line["points"]:
            x, y = zip(*line["points"], strict=True)
            curves.append(Curve(x, y, marks_end=True, **look))
    default = result["default"] and result["default"]["score"]
    with sheet(4.0, f"{len(lines)} trials: {metric.noun} as the search goes on") as canvas:
        axes = canvas.panel(0.55, 0.75, right=0.35)
        if not metric.larger_is_better:
            axes.set_yscale("log")
        draw_curves(axes, curves)
        low, high = _limits([curve.y[-1] for curve in curves], metric)
        axes.set(ylim=(low, high), xlim=(0, spent * 1.01))
        metric_axis(axes, metric)
        if not metric.larger_is_better:
            log_axis(axes, low, high)
        axes.set_xlabel("processor minutes of all trials so far")
        handles = [
            Line2D([], [], label=label, color=look["colour"], marker=look["marker"])
            for label, look in looks.items()
        ]
        if default is not None:
            label = "default at its end"
            handles.append(axes.axhline(default, color=INK, lw=1, ls=DASHED, zorder=1, label=label))
        if failed:
            across: Any = {"transform": axes.get_xaxis_transform(), "label": "failed"}
            handles += axes.plot(failed, [0.02] * len(failed), "|", color=INK, ms=9, **across)
        canvas.key(handles)
        caption = (
            "Each line is one trial, from its first validation to its last. Trials that fall "
            "behind are given up, so that the time goes to the others."
        )
        data = {"metric": metric.name, "lines": lines, "default": default, "failed": failed}
        return canvas.finish("course", caption, data)


def importances(result: JSONLike) -> Figure:
    """The share of each choice in how trials rank, and which way it should go."""
    shares = result["importance"][:12]
    rows = [
        Row(row["choice"].split(" (")[0], [Interval(row["share"])], row["tendency"].split(" (")[0])
        for row in shares
    ]
    return ranked_rows(
        "importance",
        "What mattered: share of each choice in how trials rank",
        "Main effects of an analysis of variance over a random forest of the trials, judged "
        "where all had seen as many tasks. With few trials only large differences between "
        "shares mean something.",
        {"rows": shares},
        rows,
        axis="",
        limits=(0, 1.02 * max(row["share"] for row in shares)),
        fraction=True,
        right=2.9,
    )


def tried(result: JSONLike) -> Figure:
    """The values of each choice that were tried, and where the best trials lie."""
    space = space_of(result["space"])
    now = {choice["option"] + str(choice.get("when")): choice for choice in result["space_now"]}
    rows = {row["number"]: row for row in result["trials"]}
    order = [number for number in result["rank"] if rows[number]["choices"]]
    top = {*order[: max(1, math.ceil(len(order) / 4))]}
    best = result["best"]["number"]
    height = 0.95 + 0.44 * len(space.choices)
    points = []
    looks: dict[str, Any] = {
        "the best": {"marker": "D", "ms": 6.5, "mec": "white", "mfc": VERMILLION, "zorder": 4},
        "best quarter": {"marker": "o", "ms": 4.5, "mec": BLUE, "mfc": BLUE, "zorder": 3},
        "others": {"marker": "o", "ms": 4.5, "mec": GREY, "mfc": "white", "zorder": 2},
    }
    with sheet(height, "What was tried, and where the best trials lie") as canvas:
        axes = canvas.panel(0.2, 0.75, left=1.9, right=0.35)
        for i, choice in enumerate(space.choices):
            numbers = [n for n in reversed(order) if choice.key in rows[n]["choices"]]
            values = [rows[n]["choices"][choice.key] for n in numbers]
            after = now.get(choice.option + str(choice.to_json().get("when")), {})
            for n, value, x in zip(
                numbers, values, _strip(axes, i, choice, after, values), strict=True
            ):
                look = "the best" if n == best else "best quarter" if n in top else "others"
                axes.plot(x, i, ls="", **looks[look])
                points.append({"choice": choice.key, "trial": n, "value": value})
        names = [drawable(choice.option, 26) for choice in space.choices]
        axes.set_yticks(range(len(names)), names)
        axes.set(ylim=(len(names) - 0.4, -0.6), xlim=(-0.04, 1.04), xticks=[])
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        handles = [Line2D([], [], label=label, lw=0, **look) for label, look in looks.items()]
        handles.append(Line2D([], [], label="the space at the end", color=SOFT, lw=3))
        canvas.key(handles)
        caption = (
            "One row a choice, one mark a trial that made it. The thick line is where the search "
            "still looks after its adjustments."
        )
        return canvas.finish("tried", caption, {"points": points, "best": best})


def _strip(axes: Axes, i: int, choice: Choice, now: JSON, tried: list[Any]) -> list[float]:
    """Draws the scale of a choice; returns the places of the values on it."""
    small: dict[str, Any] = {"size": 7, "color": SOFT, "va": "top"}
    axes.plot([0, 1], [i, i], color=FAINT, lw=1, zorder=0)
    if choice.values:
        n = len(choice.values)
        at = {repr(v): (j + 0.5) / n for j, v in enumerate(choice.values)}
        for value in choice.values:
            x = at[repr(value)]
            if value not in now.get("dropped", ()):
                axes.plot([x - 0.35 / n, x + 0.35 / n], [i, i], color=SOFT, lw=3, zorder=1)
            name = "none" if value is None else str(value)
            axes.text(x, i + 0.17, drawable(name, 110 // n), ha="center", **small)
        n_drawn: dict[str, int] = {}
        places = []
        for value in tried:
            k = n_drawn[repr(value)] = n_drawn.get(repr(value), -1) + 1
            step = (k + 1) // 2 * (-1) ** k * min(0.02, 0.7 / n / max(len(tried), 1))
            places.append(at[repr(value)] + step)
        return places
    low = min([choice.low, now.get("low", choice.low), *tried])
    high = max([choice.high, now.get("high", choice.high), *tried])
    whole = Choice(choice.option, low=low, high=high, log=choice.log)
    inside = [whole.place(now.get(end, getattr(choice, end))) for end in ("low", "high")]
    axes.plot(inside, [i, i], color=SOFT, lw=3, zorder=1, solid_capstyle="butt")
    axes.text(0, i + 0.17, f"{low:.3g}", ha="center", **small)
    axes.text(1, i + 0.17, f"{high:.3g}", ha="center", **small)
    return [whole.place(value) for value in tried]


def _limits(ends: list[float], metric: Metric) -> tuple[float, float]:
    """The limits of an axis that spreads out the better half of the trials."""
    if metric.larger_is_better:
        low, high = min(ends), max(ends)
        room = 0.06 * (high - low) or 0.05
        return low - room, high + room
    low, high = min(ends), float(np.quantile(ends, 0.8))
    return low / 1.3, max(high, low * 2) * 1.3


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
