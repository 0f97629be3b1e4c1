"""The picture of loss against steps, of a learned rule and of tuned ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from quickstudy.drawing import (
    DASHED,
    SERIES,
    SOFT,
    End,
    Picture,
    Row,
    end_labels,
    finite,
    panel,
    picture,
    sheet,
)
from quickstudy.errors import UserError


def loss_curves(rows: Sequence[Row], *, trained_steps: int | None = None) -> Picture:
    """Loss against steps, on a logarithmic axis, for a learned rule (first) and its opponents.

    Args:
        rows: `{"name", "curve"}`, the curve the mean loss after 0, 1, ... steps; and `"lr"`, the
            step size that was chosen.
        trained_steps: Steps of meta-training, marked where the curves go on for longer.

    Raises:
        UserError: There is no curve, or curves of unequal length or with a loss that is not above
            zero.
    """
    checked: list[dict[str, Any]] = []
    for row in rows:
        curve = finite(f"loss_curves: {row.get('name')}", row.get("curve"))
        if min(curve) <= 0 or len(curve) < 2 or len(curve) != len(rows[0]["curve"]):
            raise UserError(
                "loss_curves: curves must have one length, at least 2, and losses above zero; "
                f"received {len(curve)} losses from {min(curve):g} of {row.get('name')!r}; leave "
                "it out, or take the losses of another task family."
            )
        kept = {"lr": float(row["lr"])} if row.get("lr") else {}
        checked.append({"name": str(row["name"]), **kept, "curve": curve})
    if not checked:
        raise UserError("loss_curves: needs a curve; received none; measure first.")
    steps = len(checked[0]["curve"]) - 1
    own = checked[0]["curve"][-1]
    title = f"Loss {own:.3g} after {steps} steps"
    if len(checked) > 1:
        best = min(checked[1:], key=lambda row: row["curve"][-1])
        title += f"; best tuned rule {best['name']} {best['curve'][-1]:.3g}"
    with sheet(max(3.9, 1.5 + 0.4 * len(checked)), title) as figure:
        axes = panel(figure, 0.55, 0.6, right=2)
        axes.set_yscale("log")
        axes.set_xlim(0, steps)
        low = min(min(row["curve"]) for row in checked)
        high = max(max(checked[0]["curve"]), *(row["curve"][0] for row in checked))
        axes.set_ylim(0.8 * low, 1.25 * high)
        ends = []
        for i, row in enumerate(checked):
            colour, last = SERIES[i % len(SERIES)], row["curve"][-1]
            dash: Any = "-" if i == 0 else ("-", "--", "-.", ":", DASHED)[i % 5]
            width, order = (1.4, 3) if i else (2.8, 4)
            axes.plot(range(steps + 1), row["curve"], ls=dash, color=colour, lw=width, zorder=order)
            said = f", step size {row['lr']:.2g}" if "lr" in row else ""
            ends.append(End(steps, min(max(last, 0.8 * low), 1.25 * high), colour, row["name"],
                            f"{last:.3g}{said}"))  # fmt: skip
        if trained_steps is not None and trained_steps < steps:
            axes.axvline(trained_steps, color=SOFT, linewidth=1, linestyle=DASHED)
            axes.text(trained_steps, 1.2 * high, " meta-trained up to here", size=8, color=SOFT,
                      va="top")  # fmt: skip
        if math.log10(high / low) < 1.5:
            axes.yaxis.set_major_formatter("{x:g}")
            axes.yaxis.set_minor_formatter("{x:g}")
        axes.set_xlabel("steps")
        axes.set_ylabel("loss, by powers of ten")
        end_labels(axes, ends)
        caption = (
            "Lower is better. Each line is the mean over the same tasks, from the same start and "
            "on the same batches; step sizes were chosen on other tasks of the family."
        )
        data = {"trained_steps": trained_steps, "rules": checked}
        return picture(figure, "loss_curves", caption, data)
