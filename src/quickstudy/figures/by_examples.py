"""The figure of the error against the number of examples, beside that of simple opponents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from matplotlib.axes import Axes

from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, FAINT, INK, MARKERS, SERIES, SOFT
from quickstudy.figures.curves import Curve, draw_curves, label_ends
from quickstudy.figures.sheet import Figure, drawable, sheet
from quickstudy.figures.values import finite

APART = 0.55
"""From the mark of one opponent to that of the next, in examples of an axis of 20."""


@dataclass(frozen=True)
class Errors:
    """The errors of one learner by the number of examples.

    Attributes:
        name: Name of the learner.
        errors: Its mean error at each number.
        difference, half_widths: The mean of the error of the learner in question minus that of
            this opponent on the same task, and the half width of its interval; None where it is
            not drawn.
    """

    name: str
    errors: Sequence[float]
    difference: Sequence[float] | None = None
    half_widths: Sequence[float] | None = None


def error_by_examples(
    numbers: Sequence[int],
    rows: Sequence[Errors],
    *,
    noun: str,
    example: str = "example",
    tasks: str = "tasks",
    name: str = "error_by_examples",
) -> Figure:
    """The error against the number of examples, and the paired difference to each opponent.

    Args:
        numbers: The numbers of examples, ascending.
        rows: The learner, and its opponents.
        noun: Name of the error, which is the better the lower.
        example: An example, in the words of the field.
        tasks: The tasks that the intervals are over, in the words of the field.
        name: File name without its ending.

    Raises:
        UserError: There is no opponent, or a number is missing or not finite.

    Example:
        >>> rows = [Errors("ours", (2.0, 1.0)), Errors("mean", (2.0, 2.0), (0.0, -1.0), (0.1, 0.2))]
        >>> error_by_examples((0, 5), rows, noun="MAE").title
        'ours: MAE 2.000 with 0 examples, 1.000 with 5'
    """
    if len(rows) < 2:
        raise UserError(
            f"error_by_examples: needs a learner and an opponent; received {len(rows)} in all; "
            "measure one more."
        )
    for row in rows:
        for part in (row.errors, row.difference, row.half_widths):
            if part is not None and len(finite(f"error_by_examples: {row.name}", part)) != len(
                numbers
            ):
                raise UserError(
                    f"error_by_examples: needs a value for each of the {len(numbers)} numbers of "
                    f"examples; received {len(part)} of {row.name!r}; pass as many."
                )
    own, opponents = rows[0], rows[1:]
    title = (
        f"{own.name[:24]}: {noun} {own.errors[0]:.3f} with {numbers[0]} {example}s, "
        f"{own.errors[-1]:.3f} with {numbers[-1]}"
    )
    with sheet(5.6, title) as canvas:
        above = canvas.panel(2.95, 0.5, right=2.1)
        _draw_errors(above, numbers, rows, noun)
        below = canvas.panel(0.55, 3.05, right=2.1)
        _draw_differences(below, numbers, opponents, noun, own.name)
        below.set_xlabel(f"{example}s learned from")
        caption = (
            f"Above, the mean {noun} over the same {tasks}. Below, {own.name} minus each opponent "
            f"on the same {tasks}: under the line {own.name} is better. Whiskers are 95 % "
            "confidence intervals of the mean difference; one that crosses the line settles "
            "nothing."
        )
        data = {"numbers": list(numbers), "noun": noun, "rows": [asdict(row) for row in rows]}
        return canvas.finish(name, caption, data)


def _draw_errors(axes: Axes, numbers: Sequence[int], rows: Sequence[Errors], noun: str) -> None:
    curves = [
        Curve(numbers, row.errors, colour=_colour(i), marker=MARKERS[i % len(MARKERS)],
              strong=i == 0)
        for i, row in enumerate(rows)
    ]  # fmt: skip
    draw_curves(axes, curves)
    _number_axis(axes, numbers)
    axes.set_ylabel(noun)
    axes.margins(y=0.08)
    ends = [
        curve.end(row.name, f"{row.errors[-1]:.3f}")
        for curve, row in zip(curves, rows, strict=True)
    ]
    label_ends(axes, ends)


def _draw_differences(
    axes: Axes, numbers: Sequence[int], opponents: Sequence[Errors], noun: str, name: str
) -> None:
    step = APART * (numbers[-1] - numbers[0]) / 20
    handles: list[Any] = []
    for i, row in enumerate(opponents):
        if row.difference is None:
            continue
        shift = step * (i - (len(opponents) - 1) / 2)
        handles.append(
            axes.errorbar(
                [n + shift for n in numbers], row.difference, yerr=row.half_widths,
                fmt=MARKERS[(i + 1) % len(MARKERS)], color=_colour(i + 1), ms=5, elinewidth=1.3,
                capsize=2, label=drawable(row.name, 24),
            )
        )  # fmt: skip
    axes.axhline(0, color=INK, linewidth=1)
    axes.margins(y=0.12)
    place: dict[str, Any] = {"transform": axes.transAxes, "size": 8, "color": SOFT}
    axes.text(0.01, 0.03, drawable(f"lower: {name} is better", 40), **place)
    _number_axis(axes, numbers)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
    axes.set_ylabel(drawable(f"difference in {noun}", 30))
    axes.legend(
        handles=handles, loc="center left", bbox_to_anchor=(1.02, 0.5), frameon=False,
        title=drawable(f"{name} minus", 24), title_fontsize=8.5, fontsize=8.5, alignment="left",
    )  # fmt: skip


def _number_axis(axes: Axes, numbers: Sequence[int]) -> None:
    margin = 0.06 * (numbers[-1] - numbers[0])
    axes.set_xlim(numbers[0] - margin, numbers[-1] + margin)
    axes.set_xticks(numbers, [str(n) for n in numbers])
    axes.tick_params(axis="x", color=FAINT, labelcolor=SOFT)


def _colour(place: int) -> str:
    return BLUE if place == 0 else SERIES[place % len(SERIES)]
