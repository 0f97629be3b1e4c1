"""The figures of learners of tables beside others, and of generated classifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.ticker import MaxNLocator

from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, DASHED, SERIES, SOFT, VERMILLION
from quickstudy.figures.rows import Interval, Row, draw_bars, value_axis
from quickstudy.figures.sheet import WIDTH, Figure, drawable, percent, plain, sheet
from quickstudy.files.records import JSON, JSONLike
from quickstudy.tabular.scores import SCORES, Score

MOST_COLUMNS = 12
MOST_OPPONENTS = 3


def results_figures(result: JSONLike) -> list[Figure]:
    """The figures of what `quickstudy.tabular.measure.measure` found."""
    scores = SCORES[result.get("kind", "classification")]
    return [paired(result, score) for score in scores[:2]]


def paired(result: JSONLike, score: Score) -> Figure:
    """A dot a table: the learner's score over that of each opponent.

    Args:
        result: What `quickstudy.tabular.measure.measure` found.
        score: One that all models have on each table.

    Raises:
        UserError: There is no table.
    """
    opponents, tables = list(result["against"])[:MOST_OPPONENTS], result["tables"]
    if not tables:
        raise UserError("paired: need at least one table; received none; measure first.")
    # Results of older versions call every learner the generator.
    learner = result.get("learner", "generator")
    own = [table[learner][score.name] for table in tables]
    scores = {name: [table[name][score.name] for table in tables] for name in opponents}
    every = [*own, *(value for values in scores.values() for value in values)]
    low, high = min(every) - 0.02, 1.0 if score.is_fraction else max(every) + 0.02
    unit, times = ("points", 100) if score.is_fraction else ("", 1)
    digits = 1 if score.is_fraction else 3
    side, gap, left, bottom = 1.85, 0.25, 0.78, 0.52
    with sheet(bottom + side + 0.75, f"{score.noun} on {len(tables)} unseen tables") as canvas:
        for i, name in enumerate(opponents):
            start = left + i * (side + gap)
            axes = canvas.panel(bottom, 0.75, start, WIDTH - start - side)
            axes.plot([low, high], [low, high], color=SOFT, linestyle=DASHED, linewidth=0.9)
            gain = np.array(own) - np.array(scores[name])
            better = gain > 0 if score.larger_is_better else gain < 0
            for chosen, colour, marker in ((better, BLUE, "o"), (~better, VERMILLION, "s")):
                x, y = np.array(scores[name])[chosen], np.array(own)[chosen]
                axes.scatter(x, y, s=11, c=colour, marker=marker, linewidths=0, alpha=0.8)
            summary = result["against"][name][score.name]
            ci95 = summary["ci95"]
            half = "" if ci95 is None else f" ± {times * ci95:.{digits}f}"
            difference = f"{times * summary['difference']:+.{digits}f}{half} {unit}".rstrip()
            axes.set_title(difference.replace("-", "−"), size=8.5, loc="left")
            limits = (low, high + 0.01)
            axes.set(xlim=limits, ylim=limits, xlabel=drawable(name, 22))
            axes.set_aspect("equal")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(4))
                axis.set_major_formatter(percent if score.is_fraction else plain)
            if i:
                axes.set_yticklabels([])
            else:
                axes.set_ylabel(drawable(learner, 22))
        side_of = "Above" if score.larger_is_better else "Below"
        caption = (
            f"A mark a table, the mean over its splits. {side_of} the diagonal the learner is "
            "better (circles), on the other side the opponent (squares)."
        )
        data: JSON = {"metric": score.name, "tables": [table["name"] for table in tables]}
        data |= {learner: own, **scores, "against": result["against"]}
        return canvas.finish(f"tables-{score.name}", caption, data)


def generated_figure(
    shares: Mapping[str, float], columns: Sequence[tuple[str, float]], title: str = ""
) -> Figure:
    """The classifier of a task: the share of each kind, and the columns that count most.

    Args:
        shares: Share of each kind of classifier in the answer.
        columns: Name of each column and how much it counts; the mean is 1.
        title: What the task is.

    Raises:
        UserError: There is no column.
    """
    if not columns:
        raise UserError("generated: need at least one column; received none; adapt to a table.")
    ordered = sorted(columns, key=lambda column: -column[1])
    shown, hidden = ordered[:MOST_COLUMNS], ordered[MOST_COLUMNS:]
    pitch, head = 0.25, 1.3
    caption = "Above: how far each classifier is trusted. Below: how much each column counts."
    if hidden:
        caption += f" {len(hidden)} columns that count less are not shown."
    with sheet(head + pitch * len(shown) + 0.62, title or "What was generated") as canvas:
        bottom = pitch * len(shown) + 0.62 + 0.28
        axes = canvas.panel(bottom, 0.48, 1.75, 0.3)
        start = 0.0
        for (name, share), colour in zip(shares.items(), SERIES, strict=False):
            axes.barh(0, share, 0.6, left=start, color=colour)
            text = f"{name} {100 * share:.0f} %"
            if share > 0.0125 * len(text):
                middle = start + share / 2
                axes.text(middle, 0, text, color="white", ha="center", va="center", size=8.5)
            start += share
        axes.set(xlim=(0, 1), yticks=[], xticks=[], ylim=(-0.4, 0.4))
        axes.grid(visible=False)
        axes.text(-0.015, 0, "shares", transform=axes.transData, ha="right", va="center")
        for side in ("left", "bottom"):
            axes.spines[side].set_visible(False)
        axes = canvas.panel(0.52, head, 1.75, 0.3)
        draw_bars(axes, [Row(name, [Interval(value)]) for name, value in shown])
        axes.axvline(1, color=SOFT, linestyle=DASHED, linewidth=0.9)
        value_axis(axes, "how much the column counts (mean 1)")
        data = {"shares": dict(shares), "columns": [list(column) for column in ordered]}
        return canvas.finish("generated", caption, data)
