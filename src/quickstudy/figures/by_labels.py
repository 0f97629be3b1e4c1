"""The figure of a metric against the number of labels of a new place, from no label on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, FAINT, INK, MARKERS, SERIES, SOFT
from quickstudy.figures.curves import Curve, draw_curves, label_ends
from quickstudy.figures.sheet import Figure, drawable, sheet
from quickstudy.figures.values import finite
from quickstudy.metrics import Metric


@dataclass(frozen=True)
class Labelled:
    """A learner by the number of labels of a class.

    Attributes:
        name: Its name.
        numbers: Numbers of labels, ascending, from 1 on.
        means: The mean at each number.
        half_widths: Half width of the interval of each.
    """

    name: str
    numbers: Sequence[int]
    means: Sequence[float]
    half_widths: Sequence[float]


def metric_by_labels(
    rows: Sequence[Labelled],
    metric: Metric,
    *,
    unadapted: float | None = None,
    caution: str | None = None,
    sites: str = "places",
    name: str = "by_labels",
) -> Figure:
    """A metric against the number of labels, with the model that never adapts as a line from 0.

    Args:
        rows: The learner, and others to compare with.
        metric: What was measured.
        unadapted: The mean of the model that never adapts; None where there is none.
        caution: A sentence that is to stand under the figure.
        sites: The tasks, in the words of the field.
        name: File name without its ending.

    Raises:
        UserError: There is no row, or a number is missing or not finite.

    Example:
        >>> from quickstudy.metrics import ACCURACY
        >>> rows = [Labelled("ours", (1, 5), (0.6, 0.9), (0.1, 0.05))]
        >>> metric_by_labels(rows, ACCURACY, unadapted=0.75).title
        'ours: 60.0 % with 1 label a class, 90.0 % with 5, 75.0 % without adapting'
    """
    if not rows or any(
        len(finite(f"metric_by_labels: {row.name}", part)) != len(row.numbers)
        for row in rows
        for part in (row.means, row.half_widths)
    ):
        raise UserError(
            "metric_by_labels: needs a learner, and a mean and half width for each number of "
            f"labels; received {len(rows)} learner(s); pass as many of each."
        )
    own = rows[0]
    last = len(own.numbers) - 1
    title = (
        f"{own.name[:24]}: {metric.text(own.means[0])} with {own.numbers[0]} label"
        f"{'' if own.numbers[0] == 1 else 's'} a class"
    )
    if last:
        title += f", {metric.text(own.means[last])} with {own.numbers[last]}"
    if unadapted is not None:
        title += f", {metric.text(unadapted)} without adapting"
    with sheet(4.2, title) as canvas:
        axes = canvas.panel(0.55, 0.5, right=2.1)
        curves = [
            Curve(
                row.numbers,
                [metric.scale * mean for mean in row.means],
                colour=BLUE if place == 0 else SERIES[place % len(SERIES)],
                marker=MARKERS[place % len(MARKERS)],
                half_widths=[metric.scale * half for half in row.half_widths],
                strong=place == 0,
            )
            for place, row in enumerate(rows)
        ]
        draw_curves(axes, curves)
        most = max(number for row in rows for number in row.numbers)
        ends = [
            curve.end(row.name, metric.text(row.means[-1]))
            for curve, row in zip(curves, rows, strict=True)
        ]
        if unadapted is not None:
            level = metric.scale * unadapted
            axes.axhline(level, color=INK, linewidth=1.2, linestyle=(0, (4, 3)))
            axes.plot([0], [level], marker="o", color=INK, clip_on=False, zorder=5)
            line = Curve((0, most), (level, level), colour=INK, marker="o")
            ends.append(line.end("never adapts", metric.text(unadapted)))
        label_ends(axes, ends)
        axes.set_xlim(-0.04 * most, 1.04 * most)
        ticks = sorted({0, *own.numbers})
        axes.set_xticks(ticks, [str(n) for n in ticks])
        axes.tick_params(axis="x", color=FAINT, labelcolor=SOFT)
        axes.set_xlabel("labels of a class of the new place")
        axes.set_ylabel(drawable(metric.label, 40))
        caption = (
            f"{metric.title} at new {sites}, the same queries at each number of labels. Bands are "
            "95 % confidence intervals over draws of the labelled examples. Below the dashed line "
            "adapting does harm."
        )
        if caution is not None:
            caution = caution.strip()
            caption += f" {caution}"
        data = {"unadapted": unadapted, "metric": metric.name, "rows": [asdict(r) for r in rows]}
        return canvas.finish(name, caption, data)
