"""The figure of loss against steps, of a learned rule and of tuned ones."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from quickstudy.errors import UserError
from quickstudy.figures.colours import DASHED, SERIES, SOFT
from quickstudy.figures.curves import Curve, draw_curves, label_ends
from quickstudy.figures.sheet import Figure, log_axis, sheet
from quickstudy.files.records import JSONLike

DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", DASHED, (0, (1, 1)))


def loss_curves(rows: Sequence[JSONLike], *, trained_steps: int | None = None) -> Figure:
    """Loss against steps, on a logarithmic axis, for a learned rule (first) and its opponents.

    Args:
        rows: `{"name", "curve"}`, the curve the mean loss after 0, 1, ... steps, drawn as far as it
            is finite; and `"lr"`, the step size that was chosen.
        trained_steps: Steps of meta-training, marked where the curves go on for longer.

    Raises:
        UserError: There is no curve, or curves of unequal length, of fewer than two finite losses
            or with a loss that is not above zero.
    """
    checked: list[dict[str, Any]] = []
    for row in rows:
        curve = list(takewhile(lambda v: v is not None and math.isfinite(v), row.get("curve", ())))
        if len(curve) < 2 or min(curve) <= 0 or len(row["curve"]) != len(rows[0]["curve"]):
            raise UserError(
                "loss_curves: curves must have one length, at least two finite losses, and all "
                f"losses above zero; received {curve[:3]} ... of {row.get('name')!r}; leave it "
                "out, or measure another loss."
            )
        rate = {"lr": float(row["lr"])} if row.get("lr") else {}
        checked.append({"name": str(row["name"]), **rate, "curve": [float(v) for v in curve]})
    if not checked:
        raise UserError("loss_curves: needs a curve; received none; measure first.")
    steps = len(rows[0]["curve"]) - 1
    whole = [row for row in checked if len(row["curve"]) > steps]
    title = f"Loss {_last(checked[0], steps)} after {steps} steps"
    if opponents := [row for row in whole if row is not checked[0]]:
        best = min(opponents, key=lambda row: row["curve"][-1])
        title += f"; best tuned rule {best['name']} {_last(best, steps)}"
    low = 0.8 * min(min(row["curve"]) for row in checked)
    high = 1.25 * max(row["curve"][0] for row in checked)
    curves = [
        Curve(
            range(len(row["curve"])), row["curve"], colour=SERIES[i % len(SERIES)],
            dash=DASHES[i % len(DASHES)], strong=i == 0,
        )
        for i, row in enumerate(checked)
    ]  # fmt: skip
    with sheet(max(3.9, 1.5 + 0.4 * len(checked)), title) as canvas:
        axes = canvas.panel(0.55, 0.6, right=2.1)
        axes.set_yscale("log")
        axes.set(xlim=(0, steps), ylim=(low, high), xlabel="steps", ylabel="loss")
        draw_curves(axes, curves)
        if trained_steps is not None and trained_steps < steps:
            axes.axvline(trained_steps, color=SOFT, linewidth=1, linestyle=DASHED)
            place: dict[str, Any] = {"va": "top", "size": 8, "color": SOFT}
            axes.text(trained_steps, 0.97 * high, " meta-trained up to here", **place)
        log_axis(axes, low, high)
        ends = []
        for drawn, row in zip(curves, checked, strict=True):
            step_size = f", step size {row['lr']:.2g}" if "lr" in row else ""
            end = drawn.end(row["name"], f"{_last(row, steps)}{step_size}")
            ends.append(end._replace(y=min(max(end.y, low), high)))
        label_ends(axes, ends)
        caption = (
            "Lower is better; a step up the axis multiplies. Each line is the mean over the same "
            "tasks, from the same start and on the same batches; step sizes were chosen on other "
            "tasks of the family."
        )
        data = {"trained_steps": trained_steps, "rules": checked}
        return canvas.finish("loss_curves", caption, data)


def _last(row: JSONLike, steps: int) -> str:
    """The last loss of a curve as text, or that it diverged."""
    return f"{row['curve'][-1]:.3g}" if len(row["curve"]) > steps else "diverged"
