"""The pictures of a judgement: how much of the gap is closed, and what was chosen where."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap

from quickstudy.figures.sheet import (
    BLUE,
    INK,
    SOFT,
    VERMILLION,
    Picture,
    drawable,
    panel,
    percent,
    sheet,
)
from quickstudy.figures.sheet import picture as finished
from quickstudy.selection.configurations import CONFIGURATIONS

JSON = dict[str, Any]
OURS = "policy gradient"
ENDS = ("single best", "oracle")
BLUES = LinearSegmentedColormap.from_list("blues", ["#ffffff", BLUE])


def selection_pictures(found: JSON) -> list[Picture]:
    """All pictures of what `judge` returned."""
    return [gap_closed(found), choices(found)]


def gap_closed(found: JSON) -> Picture:
    """A bar for each way to choose: the part of the gap that it closes, with its interval."""
    rows = [row for row in found["methods"] if row["name"] not in (*ENDS, "at random")]
    title = "Of the gap between the single best algorithm and the oracle"
    with sheet(0.95 + 0.34 * len(rows), title) as figure:
        axes = panel(figure, 0.55, 0.45, left=1.75, right=1.5)
        across = axes.get_yaxis_transform()
        for y, row in enumerate(rows):
            low, high = row["closed_95"]
            colour = BLUE if row["name"] == OURS else SOFT
            axes.barh(y, row["closed"], 0.62, color=colour, alpha=0.9)
            axes.errorbar(
                row["closed"], y, xerr=[[row["closed"] - low], [high - row["closed"]]],
                fmt="none", color=INK, capsize=3, elinewidth=1,
            )  # fmt: skip
            weight = "bold" if row["name"] == OURS else "normal"
            axes.text(
                -0.02, y, drawable(row["name"], 24), transform=across, ha="right", va="center",
                weight=weight,
            )  # fmt: skip
            note = percent(round(row["closed"], 2))
            note += f"   {row['seconds']:.2f} s" if row["seconds"] else ""
            axes.text(1.03, y, note, transform=across, va="center", size=8.5)
        axes.axvline(0, color=INK, linewidth=0.8)
        lowest = min(0.0, *(row["closed_95"][0] for row in rows))
        axes.set(
            ylim=(len(rows) - 0.5, -0.5), yticks=[], xlim=(max(-1.0, lowest - 0.03), 1.0),
            xlabel=f"closed, in {found['metric']}, on {found['tables']} tables",
        )  # fmt: skip
        axes.grid(axis="y", visible=False)
        axes.xaxis.set_major_formatter(percent)
        data = {"metric": found["metric"], "tables": found["tables"], "rows": rows}
        caption = (
            "Each table is chosen for by what was learned from tables of other families. Whiskers: "
            "95 % intervals from families drawn with replacement. Right: processor seconds a "
            "choice costs."
        )
        return finished(figure, "gap_closed", caption, data)


def choices(found: JSON) -> Picture:
    """A row for each table: how often each configuration was chosen, and which was the best."""
    names = list(CONFIGURATIONS)
    tables = sorted(found["by_table"], key=lambda row: (names.index(row["best"]), row["table"]))
    share = np.array([[row["chosen"].get(name, 0.0) for name in names] for row in tables])
    pitch = 0.155
    with sheet(1.85 + pitch * len(tables), "What was chosen for each table") as figure:
        axes = panel(figure, 0.15, 1.7, left=1.75, right=0.3)
        axes.imshow(share, BLUES, vmin=0, vmax=1, aspect="auto", interpolation="none")
        best = [names.index(row["best"]) for row in tables]
        axes.scatter(
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
        figure.legend(
            loc="upper left",
            bbox_to_anchor=(0.0, 1 - 0.36 / (1.85 + pitch * len(tables))),
            frameon=False,
            fontsize=8,
            handletextpad=0.2,
        )
        caption = (
            "The darker, the more of the table's splits it was chosen in, from the support alone "
            "and by what was learned from other families. Circles: the best in the mean over the "
            "splits."
        )
        return finished(figure, "choices", caption, {"configurations": names, "tables": tables})
