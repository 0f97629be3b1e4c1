"""The figure of paths: those of a policy in a few worlds, before and after adapting to each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, INK, SOFT, VERMILLION
from quickstudy.figures.sheet import WIDTH, Figure, Sheet, drawable, plain, sheet, to_one_scale

LEFT, GAP, RIGHT = 0.75, 0.14, 0.12  # inches beside and between the panels
MOST = 2.7  # inches of the side of a panel
HEAD, FOOT, BETWEEN = 1.05, 0.4, 0.3


class Fan(NamedTuple):
    """The paths of a policy in one world.

    Attributes:
        name: Of the world.
        before: Paths `(steps, 2)` before adapting.
        after: Paths after.
        goal: Where it is best to be `(2,)`.
        radius: Distance from there that is a success; None where there is none.
        returns: The mean return before, and after.
    """

    name: str
    before: Sequence[ArrayLike]
    after: Sequence[ArrayLike]
    goal: ArrayLike
    radius: float | None
    returns: tuple[float, float]


def paths(fans: Sequence[Fan], name: str = "paths") -> Figure:
    """Paths in a few worlds, before adapting above and after adapting below.

    Args:
        fans: One for each world, four at most to be read well.
        name: File name without its ending.

    Raises:
        UserError: There is no world, or a path is not `(steps, 2)` and finite.

    Example:
        >>> walk = [[[0.0, 0.0], [0.5, -0.1]]], [[[0.0, 0.0], [0.3, 0.3]]]
        >>> paths([Fan("corner", *walk, [0.4, 0.4], 0.1, (-2.0, -1.0))]).title
        'Return −2 before adapting, −1 after'
    """
    if not fans:
        raise UserError("paths: needs a world; received none; play in one.")
    drawn = [{key: _checked(fan, key) for key in ("before", "after")} for fan in fans]
    goals = np.array([np.asarray(fan.goal, dtype=np.float64) for fan in fans])
    points = np.concatenate([goals, *(p for each in drawn for part in each.values() for p in part)])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.08 * max(1e-6, float((high - low).max()))
    low, high = low - margin, high + margin
    n = max(2, len(fans))  # One world has its panels side by side.
    width = min(MOST, (WIDTH - LEFT - RIGHT - (n - 1) * GAP) / n)
    height = min(MOST, max(0.8, width * float((high - low)[1] / (high - low)[0])))
    low, high = to_one_scale(low, high, width / height)
    before, after = (float(np.mean([fan.returns[i] for fan in fans])) for i in (0, 1))
    title = f"Return {plain(before)} before adapting, {plain(after)} after"
    rows = 1 if len(fans) == 1 else 2
    with sheet(HEAD + rows * (height + BETWEEN) - BETWEEN + FOOT, title) as canvas:
        canvas.key(_key(any(fan.radius is not None for fan in fans)))
        for row, (key, colour) in enumerate((("before", VERMILLION), ("after", BLUE))):
            for column, fan in enumerate(fans):
                across, down = (row, 0) if rows == 1 else (column, row)
                corner = LEFT + across * (width + GAP), HEAD + down * (height + BETWEEN)
                axes = _panel(canvas, corner, (width, height))
                axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
                _draw(axes, drawn[column][key], fan, colour)
                head = f"{key}: " if rows == 1 else f"{fan.name}: " if not row else ""
                label = drawable(f"{head}{plain(fan.returns[row])}", int(width / 0.075))
                axes.set_title(label, loc="left", size=8.5, color=SOFT, pad=3)
                axes.tick_params(labelbottom=down == rows - 1, labelleft=across == 0)
                if rows > 1 and not across:
                    axes.set_ylabel(key)
        data = {
            "worlds": [
                {
                    "name": fan.name, "goal": goal.tolist(), "radius": fan.radius,
                    "returns": list(fan.returns),
                    **{key: [p.tolist() for p in part] for key, part in each.items()},
                }
                for fan, goal, each in zip(fans, goals, drawn, strict=True)
            ]
        }  # fmt: skip
        caption = (
            f"{'' if rows == 1 else 'Each column is a world. '}Each line is an episode, which ends "
            f"at its dot: of the policy before adapting {'on the left' if rows == 1 else 'above'}, "
            f"after adapting {'on the right' if rows == 1 else 'below'}, with the same luck. The "
            "number is the mean return. The cross is the goal, which the policy does not see."
        )
        return canvas.finish(name, caption, data)


def _checked(fan: Fan, key: str) -> list[NDArray[np.float64]]:
    parts = [np.asarray(path, dtype=np.float64) for path in getattr(fan, key)]
    for i, part in enumerate(parts):
        if part.ndim != 2 or part.shape[1] != 2 or not np.isfinite(part).all():
            raise UserError(
                f"paths: path {i} {key} adapting must be (steps, 2) and finite; received "
                f"{part.shape}; pass such."
            )
    return parts


def _panel(canvas: Sheet, corner: tuple[float, float], size: tuple[float, float]) -> Axes:
    """Axes by their top left corner and size, in inches."""
    height = float(canvas.get_size_inches()[1])
    bottom = height - corner[1] - size[1]
    axes = canvas.panel(bottom, corner[1], corner[0], WIDTH - corner[0] - size[0])
    for which in (axes.xaxis, axes.yaxis):
        which.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        which.set_major_formatter(plain)
    return axes


def _draw(axes: Axes, drawn: Sequence[NDArray[np.float64]], fan: Fan, colour: str) -> None:
    for path in drawn:
        axes.plot(*path.T, color=colour, lw=0.8, alpha=0.45, solid_joinstyle="round")
        axes.plot(*path[-1], "o", color=colour, ms=2.4, alpha=0.8, mew=0)
    goal = np.asarray(fan.goal, dtype=np.float64)
    if fan.radius is not None:
        circle = Circle((goal[0], goal[1]), fan.radius, fill=False, ec=INK, lw=0.9, zorder=4)
        axes.add_patch(circle)
    axes.plot(*goal, "x", color=INK, ms=5, mew=1.3, zorder=5)


def _key(with_radius: bool) -> list[Line2D]:
    handles = [
        Line2D([], [], color=colour, lw=1.2, marker="o", ms=3, label=label)
        for colour, label in ((VERMILLION, "before adapting"), (BLUE, "after adapting"))
    ]
    handles.append(Line2D([], [], color=INK, lw=0, marker="x", ms=5, mew=1.3, label="goal"))
    if with_radius:
        ring: Any = {"mfc": "none", "mec": INK, "label": "counts as success"}
        handles.append(Line2D([], [], lw=0, marker="o", ms=6, **ring))
    return handles
