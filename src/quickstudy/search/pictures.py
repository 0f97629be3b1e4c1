"""The pictures of a search: its course, what matters, and what was tried."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter

from quickstudy.figures.sheet import (
    BLUE,
    DASHED,
    FAINT,
    INK,
    SOFT,
    VERMILLION,
    Picture,
    drawable,
    metric_axis,
    panel,
    percent,
    picture,
    sheet,
)
from quickstudy.metrics import Metric, named
from quickstudy.search.space import JSON, Choice, space_of

GREY = "#9aa1a9"


def search_pictures(result: JSON) -> list[Picture]:
    """All pictures of a result of `quickstudy search`."""
    made = [course(result), tried(result)]
    return [*made, importances(result)] if result["importance"] else made


def course(result: JSON) -> Picture:
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
    default = result["default"] and result["default"]["score"]
    with sheet(4.0, f"{len(lines)} trials: {metric.noun} as the search goes on") as figure:
        axes = panel(figure, 0.55, 0.75, right=0.35)
        if not metric.larger_is_better:
            axes.set_yscale("log")
        ends = []
        for line in lines:
            if not line["points"]:
                continue
            x, y = zip(*line["points"], strict=True)
            mine = line["number"] == best
            colour = VERMILLION if mine else BLUE if line["state"] == "whole" else GREY
            axes.plot(x, y, color=colour, lw=2.2 if mine else 1.2, zorder=3 if mine else 2)
            marker = "D" if mine else "o" if line["state"] == "whole" else "x"
            axes.plot(x[-1], y[-1], marker, color=colour, ms=6 if mine else 4.5, zorder=4)
            ends.append(y[-1])
        low, high = _limits(ends, metric)
        axes.set_ylim(low, high)
        axes.set_xlim(0, spent * 1.01)
        if default is not None:
            axes.axhline(default, color=INK, lw=1, ls=DASHED, zorder=1)
        if failed:
            axes.plot(failed, [0.02] * len(failed), "|", color=INK, ms=9,
                      transform=axes.get_xaxis_transform())  # fmt: skip
        metric_axis(axes, metric)
        if not metric.larger_is_better:
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("processor minutes of all trials so far")
        entries: list[tuple[str, Any]] = [
            ("the best", {"color": VERMILLION, "marker": "D"}),
            ("trained whole", {"color": BLUE, "marker": "o"}),
            ("given up", {"color": GREY, "marker": "x"}),
        ]
        if default is not None:
            entries.append(("default at its end", {"color": INK, "ls": DASHED, "lw": 1}))
        if failed:
            entries.append(("failed", {"color": INK, "marker": "|", "lw": 0}))
        _key(figure, axes, entries)
        caption = (
            "Each line is one trial, from its first validation to its last. Trials that fall "
            "behind are given up, so that the time goes to the others."
        )
        return picture(figure, "course", caption, {"metric": metric.name, "lines": lines,
                       "default": default, "failed": failed})  # fmt: skip


def importances(result: JSON) -> Picture:
    """The share of each choice in how trials rank, and which way it should go."""
    rows = result["importance"][:12]
    height = 0.85 + 0.34 * len(rows)
    with sheet(height, "What mattered: share of each choice in how trials rank") as figure:
        axes = panel(figure, 0.45, 0.4, left=1.75, right=2.9)
        shares = [row["share"] for row in rows]
        names = [drawable(row["choice"].split(" (")[0], 26) for row in rows]
        axes.barh(range(len(rows)), shares, color=BLUE, height=0.62)
        axes.set_yticks(range(len(rows)), names)
        axes.invert_yaxis()
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, max(shares) * 1.02)
        axes.xaxis.set_major_formatter(percent)
        axes.locator_params(axis="x", nbins=4)
        axes.grid(axis="y", visible=False)
        for i, row in enumerate(rows):
            axes.text(1.02, i, drawable(row["tendency"].split(" (")[0], 48), size=8, color=SOFT,
                      va="center", transform=axes.get_yaxis_transform())  # fmt: skip
        caption = (
            "Main effects of an analysis of variance over a random forest of the trials, judged "
            "where all had seen as many tasks. With few trials only large differences between "
            "shares mean something."
        )
        return picture(figure, "importance", caption, {"rows": rows})


def tried(result: JSON) -> Picture:
    """What each choice came out as, and where the best trials lie."""
    space, now = space_of(result["space"]), {c["option"] + str(c.get("when")): c
                                             for c in result["space_now"]}  # fmt: skip
    rows = {row["number"]: row for row in result["trials"]}
    order = [number for number in result["rank"] if rows[number]["choices"]]
    top = {*order[: max(1, math.ceil(len(order) / 4))]}
    best = result["best"]["number"]
    height = 0.95 + 0.44 * len(space.choices)
    drawn = []
    with sheet(height, "What was tried, and where the best trials lie") as figure:
        axes = panel(figure, 0.2, 0.75, left=1.9, right=0.35)
        for i, choice in enumerate(space.choices):
            points = [(rows[n]["choices"][choice.key], n) for n in reversed(order)
                      if choice.key in rows[n]["choices"]]  # fmt: skip
            after = now.get(choice.option + str(choice.to_json().get("when")), {})
            places = _strip(axes, i, choice, after, [value for value, _ in points])
            for (value, n), x in zip(points, places, strict=True):
                style: dict[str, Any] = {"marker": "o", "ms": 4.5, "mec": GREY, "mfc": "white"}
                if n in top:
                    style |= {"mec": BLUE, "mfc": BLUE}
                if n == best:
                    style |= {"marker": "D", "ms": 6.5, "mec": "white", "mfc": VERMILLION}
                axes.plot(x, i, ls="", zorder=4 if n == best else 3 if n in top else 2, **style)
                drawn.append({"choice": choice.key, "trial": n, "value": value})
        axes.set_yticks(range(len(space.choices)),
                        [drawable(c.option, 26) for c in space.choices])  # fmt: skip
        axes.set_ylim(len(space.choices) - 0.4, -0.6)
        axes.set_xlim(-0.04, 1.04)
        axes.set_xticks([])
        axes.grid(visible=False)
        axes.tick_params(axis="y", length=0)
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        _key(figure, axes, [
            ("the best", {"color": VERMILLION, "marker": "D", "lw": 0}),
            ("best quarter", {"color": BLUE, "marker": "o", "lw": 0}),
            ("others", {"color": GREY, "marker": "o", "mfc": "white", "lw": 0}),
            ("the space at the end", {"color": SOFT, "lw": 3}),
        ])  # fmt: skip
        caption = (
            "One row a choice, one mark a trial that made it. The thick line is where the search "
            "still looks after its adjustments."
        )
        return picture(figure, "tried", caption, {"points": drawn, "best": best})


def _strip(axes: Axes, i: int, choice: Choice, now: JSON, made: list[Any]) -> list[float]:
    """Draws the scale of a choice; where the values are on it."""
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
        seen: dict[str, int] = {}
        places = []
        for value in made:
            k = seen[repr(value)] = seen.get(repr(value), -1) + 1
            step = (k + 1) // 2 * (-1) ** k * min(0.02, 0.7 / n / max(len(made), 1))
            places.append(at[repr(value)] + step)
        return places
    low = min([choice.low, now.get("low", choice.low), *made])
    high = max([choice.high, now.get("high", choice.high), *made])
    whole = Choice(choice.option, low=low, high=high, log=choice.log)
    inside = [whole.place(now.get(end, getattr(choice, end))) for end in ("low", "high")]
    axes.plot(inside, [i, i], color=SOFT, lw=3, zorder=1, solid_capstyle="butt")
    axes.text(0, i + 0.17, f"{low:.3g}", ha="center", **small)
    axes.text(1, i + 0.17, f"{high:.3g}", ha="center", **small)
    return [whole.place(value) for value in made]


def _limits(ends: list[float], metric: Metric) -> tuple[float, float]:
    """An axis on which the good half of the trials can be told apart."""
    if metric.larger_is_better:
        low, high = min(ends), max(ends)
        room = 0.06 * (high - low) or 0.05
        return low - room, high + room
    low, high = min(ends), float(np.quantile(ends, 0.8))
    return low / 1.3, max(high, low * 2) * 1.3


def _key(figure: Figure, axes: Axes, entries: list[tuple[str, Any]]) -> None:
    handles = [axes.plot([], [], label=label, **style)[0] for label, style in entries]
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(0.01, 1 - 0.34 / height), ncols=5,
        frameon=False, handletextpad=0.5, columnspacing=1.4,
    )  # fmt: skip


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
