"""The figures of a judgement: how much of the gap is closed, and what was chosen where."""

from __future__ import annotations

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from quickstudy.figures.colours import BLUE, SOFT, VERMILLION
from quickstudy.figures.rows import Interval, Row, ranked_rows
from quickstudy.figures.sheet import Figure, drawable, percent, sheet
from quickstudy.files.records import JSONLike
from quickstudy.selection.configurations import CONFIGURATIONS

OURS = "policy gradient"
ENDS = ("single best", "oracle")
BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", BLUE])


def selection_figures(judgement: JSONLike) -> list[Figure]:
    """All figures of what `judge` returned."""
    return [gap_closed(judgement), choices(judgement)]


def gap_closed(judgement: JSONLike) -> Figure:
    """A bar for each way to choose: the part of the gap that it closes, with its interval."""
    methods = [row for row in judgement["methods"] if row["name"] not in (*ENDS, "at random")]
    rows = []
    for method in methods:
        (low, high), closed = method["closed_95"], method["closed"]
        note = percent(round(closed, 2))
        note += f", {method['seconds']:.2f} s" if method["seconds"] else ""
        ours = method["name"] == OURS
        interval = Interval(closed, closed - low, high - closed)
        rows.append(Row(method["name"], [interval], note, BLUE if ours else SOFT, strong=ours))
    lowest = min(0.0, *(method["closed_95"][0] for method in methods))
    return ranked_rows(
        "gap_closed",
        "Of the gap between the single best algorithm and the oracle",
        "Each table is chosen for by what was learned from tables of other families. Whiskers: "
        "95 % intervals from families drawn with replacement. Right: processor seconds a choice "
        "costs.",
        {"metric": judgement["metric"], "tables": judgement["tables"], "rows": methods},
        rows,
        axis=f"closed, in {judgement['metric']}, on {judgement['tables']} tables",
        limits=(max(-1.0, lowest - 0.03), 1.0),
        fraction=True,
    )


def choices(judgement: JSONLike) -> Figure:
    """A row for each table: how often each configuration was chosen, and which was the best."""
    names = list(CONFIGURATIONS)
    tables = sorted(judgement["by_table"], key=lambda row: (names.index(row["best"]), row["table"]))
    share = np.array([[row["chosen"].get(name, 0.0) for name in names] for row in tables])
    pitch = 0.155
    with sheet(1.85 + pitch * len(tables), "What was chosen for each table") as canvas:
        axes = canvas.panel(0.15, 1.7, left=1.75, right=0.3)
        axes.imshow(share, BLUES, vmin=0, vmax=1, aspect="auto", interpolation="none")
        best = [names.index(row["best"]) for row in tables]
        circles = axes.scatter(
            best, range(len(tables)), s=26, facecolors="none", edgecolors=VERMILLION,
            linewidths=1.2, label="the best on the table, as the oracle knows",
        )  # fmt: skip
        axes.set_yticks(range(len(tables)), [drawable(row["table"], 26) for row in tables], size=7)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="left", size=8)
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.grid(visible=False)
        axes.set_xticks(np.arange(len(names) + 1) - 0.5, minor=True)
        axes.grid(which="minor", axis="x", color="#e8eaed", linewidth=0.6)
        canvas.key([circles])
        caption = (
            "The darker, the more of the table's splits it was chosen in, from the support alone "
            "and by what was learned from other families. Circles: the best in the mean over the "
            "splits."
        )
        return canvas.finish("choices", caption, {"configurations": names, "tables": tables})
