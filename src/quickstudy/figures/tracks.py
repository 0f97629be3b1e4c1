"""The figure of tracks: those of one scene, forecast before and after adapting to it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, DASHED, INK, SOFT, VERMILLION
from quickstudy.figures.sheet import WIDTH, Figure, plain, sheet, to_one_scale

LEFT, GAP, RIGHT = 0.62, 0.35, 0.15  # inches beside and between the panels
SIDE = (WIDTH - LEFT - GAP - RIGHT) / 2
LOWEST, HIGHEST = 1.9, 4.2  # inches of the height of a panel


class Path(NamedTuple):
    """One track, in metres.

    Attributes:
        observed: The part that is known `(steps, 2)`, in the order of time.
        before: The forecast `(horizon, 2)` of a model that has not adapted to the scene.
        after: The forecast `(horizon, 2)` of the adapted model.
        truth: The way that was taken `(horizon, 2)`; None where it is not known.
    """

    observed: ArrayLike
    before: ArrayLike
    after: ArrayLike
    truth: ArrayLike | None = None


def tracks(
    paths: Sequence[Path],
    name: str = "tracks",
    scene: str = "",
    unit: str = "m",
    panels: tuple[str, str] = ("before adapting", "after adapting"),
) -> Figure:
    """Tracks of one scene and their forecasts, before adapting on the left and after on the right.

    Args:
        paths: The tracks, of one moment or of several.
        name: File name without its ending.
        scene: Name of the scene.
        unit: Unit of the positions.
        panels: Name of each panel.

    Raises:
        UserError: There is no track, or a part of one is not `(steps, 2)`, not finite, or of
            another length than the other forecast.

    Example:
        >>> walk = [[0.0, 0.0], [1.0, 0.0]], [[2.0, 1.0]], [[2.0, 0.5]], [[2.0, 0.0]]
        >>> tracks([Path(*walk)]).title
        '1 track: mean error 1 m before adapting, 0.5 m after'
    """
    checked = [_checked(i, path) for i, path in enumerate(paths)]
    if not checked:
        raise UserError("tracks: needs a track; received none; choose a moment with some.")
    points = np.concatenate([part for path in checked for part in path.values()])
    low, high = points.min(axis=0), points.max(axis=0)
    margin = 0.06 * max(1e-9, float((high - low).max()))
    low, high = low - margin, high + margin
    height = min(HIGHEST, max(LOWEST, SIDE * float((high - low)[1] / (high - low)[0])))
    low, high = to_one_scale(low, high, SIDE / height)
    errors = [_error(checked, key) for key in ("before", "after")]
    title = _title(len(checked), errors, unit, scene, panels)
    with sheet(height + 1.5, title) as canvas:
        canvas.key(_key(errors[0] is not None))
        for i, (key, colour) in enumerate((("before", VERMILLION), ("after", BLUE))):
            left = LEFT + i * (SIDE + GAP)
            axes = canvas.panel(0.55, 0.95, left, WIDTH - left - SIDE)
            axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal")
            for path in checked:
                _draw(axes, path, key, colour)
            axes.set_title(_panel_title(panels[i], errors[i], unit), loc="left", size=9, color=SOFT)
            axes.set_xlabel(unit)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.yaxis.set_major_locator(MaxNLocator(5))
            if i:
                axes.tick_params(labelleft=False)
            else:
                axes.set_ylabel(unit)
        caption = (
            "Seen from above, both panels to one scale. Grey, where each was observed; the mark is "
            "the last place that is known. Coloured and dashed, the forecast: before adapting on "
            "the left, by the model adapted to this scene on the right."
        )
        if errors[0] is not None:
            caption += " Black, the way that was taken, which no forecast saw."
        data = {
            "scene": scene, "unit": unit, "panels": list(panels), "errors": errors,
            "tracks": [{k: part.tolist() for k, part in path.items()} for path in checked],
        }  # fmt: skip
        return canvas.finish(name, caption, data)


def _checked(number: int, path: Path) -> dict[str, NDArray[np.float64]]:
    """The parts of a track that are known, as arrays that fit each other."""
    parts = {
        key: np.asarray(part, dtype=np.float64)
        for key, part in path._asdict().items()
        if part is not None
    }
    for key, part in parts.items():
        fits = part.ndim == 2 and part.shape[1] == 2 and len(part)
        fits = fits and (key == "observed" or len(part) == len(parts["after"]))
        if not fits or not np.isfinite(part).all():
            raise UserError(
                f"tracks: track {number} needs {key} of shape (steps, 2), finite, and as many "
                f"steps in each forecast and in the truth; received {part.shape}; pass such."
            )
    return parts


def _error(paths: Sequence[dict[str, NDArray[np.float64]]], key: str) -> float | None:
    """The mean distance from the way that was taken; None where one is not known."""
    if any("truth" not in path for path in paths):
        return None
    distances = [np.linalg.norm(path[key] - path["truth"], axis=1).mean() for path in paths]
    return float(np.mean(distances))


def _draw(axes: Axes, path: dict[str, NDArray[np.float64]], key: str, colour: str) -> None:
    """Draws one track with one of its forecasts."""
    observed, last = path["observed"], path["observed"][-1:]
    axes.plot(*observed.T, color=SOFT, lw=1.2, alpha=0.8)
    if "truth" in path:
        axes.plot(*np.concatenate([last, path["truth"]]).T, color=INK, lw=1.1, zorder=3)
        axes.plot(*path["truth"][-1], "o", color=INK, ms=3, zorder=3)
    forecast = np.concatenate([last, path[key]])
    axes.plot(*forecast.T, color=colour, lw=1.7, ls=DASHED, zorder=4)
    axes.plot(*forecast[-1], "D", color=colour, ms=3.6, zorder=5)
    axes.plot(*last[0], "o", mfc="white", mec=SOFT, ms=4, zorder=6)


def _key(with_truth: bool) -> list[Line2D]:
    """The key of lines and marks."""
    handles = [Line2D([], [], color=SOFT, lw=1.2, marker="o", mfc="white", ms=4, label="observed")]
    if with_truth:
        handles.append(Line2D([], [], color=INK, lw=1.1, marker="o", ms=3, label="truth"))
    for colour, label in ((VERMILLION, "forecast before"), (BLUE, "forecast after")):
        line = Line2D([], [], color=colour, lw=1.7, ls=DASHED, marker="D", ms=3.6, label=label)
        handles.append(line)
    return handles


def _panel_title(name: str, error: float | None, unit: str) -> str:
    return name if error is None else f"{name}: mean error {plain(error)} {unit}"


def _title(
    n: int, errors: Sequence[float | None], unit: str, scene: str, panels: tuple[str, str]
) -> str:
    """The finding: the mean error before and after."""
    before, after = errors
    what = f"{n} track{'s' * (n != 1)}" + (f" at {scene}" if scene else "")
    if before is None or after is None or not math.isfinite(before + after):
        return f"{what}: forecasts {panels[0]} and {panels[1]}"
    second = panels[1].split()[0]
    return f"{what}: mean error {plain(before)} {unit} {panels[0]}, {plain(after)} {unit} {second}"
