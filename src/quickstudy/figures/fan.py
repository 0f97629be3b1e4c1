"""The figure of a forecast: a series, what follows, the interval around it, and the naive one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.figures.colours import BLUE, DASHED, FAINT, INK, SOFT, VERMILLION
from quickstudy.figures.curves import End, label_ends
from quickstudy.figures.sheet import Figure, drawable, sheet
from quickstudy.figures.values import fine_form, finite

PANEL = 2.35  # inches of the height of one forecast
TICKS = 5
Numbers = Sequence[float]
Numbers2D = Sequence[Sequence[float]] | NDArray[np.float64]


@dataclass(frozen=True)
class Forecast:
    """One forecast of one quantity, in the user's units.

    Attributes:
        history: The last part of the series, in the order of time.
        values: The forecast of the steps that follow.
        low, high: The ends of its interval at each step; None where there is none.
        naive: The naive forecast of the same steps.
        truth: The values that came; None where they are not known.
        coverage: Share of the truth that the interval is to hold.
        times: The time of each value of the history and of the forecast, as text; None where
            steps are counted.
        name: Name of the series, and of the channel where it has several.
        naive_name: Name of the naive forecast.
    """

    history: Numbers
    values: Numbers
    naive: Numbers
    low: Numbers | None = None
    high: Numbers | None = None
    truth: Numbers | None = None
    coverage: float = 0.8
    times: Sequence[str] | None = None
    name: str = ""
    naive_name: str = "naive"


def fan(forecasts: Sequence[Forecast] | Forecast, name: str = "forecast") -> Figure:
    """The last part of a series, its forecast with the interval shaded, and the naive forecast.

    Args:
        forecasts: One, or several that stand below one another, such as the channels of a series.
        name: File name without its ending.

    Raises:
        UserError: There is none; a part has another length or holds a number that is not finite;
            or one end of an interval is missing or on the wrong side.

    Example:
        >>> figure = fan(Forecast([1.0, 3.0, 2.0], [4.0, 3.0], [2.0, 2.0], [3.0, 1.0], [5.0, 4.0]))
        >>> figure.title
        '2 steps ahead: from 4 to 3'
    """
    several = [forecasts] if isinstance(forecasts, Forecast) else list(forecasts)
    if not several:
        raise UserError("fan: needs a forecast; received none; make one first.")
    checked = [_checked(each) for each in several]
    top = 0.62
    with sheet(top + PANEL * len(checked) + 0.18 * (len(checked) > 1), _title(checked)) as canvas:
        height = canvas.get_size_inches()[1]
        for i, each in enumerate(checked):
            above = top + PANEL * i
            axes = canvas.panel(height - above - PANEL + 0.55, above + 0.1, right=1.75)
            _draw(axes, each)
        data = {"forecasts": [asdict(each) for each in checked]}
        return canvas.finish(name, _caption(checked), data)


def of_channels(
    channels: Sequence[str],
    history: Numbers2D,
    values: Numbers2D,
    naive: Numbers2D,
    low: Numbers2D | None = None,
    high: Numbers2D | None = None,
    truth: Numbers2D | None = None,
    coverage: float = 0.8,
    times: Sequence[str] | None = None,
    name: str = "",
    naive_name: str = "naive",
) -> list[Forecast]:
    """The forecast of each channel of a series; its parts are `(time, channels)`."""

    def column(part: Numbers2D | None, i: int) -> list[float] | None:
        return None if part is None else [float(row[i]) for row in part]

    return [
        Forecast(
            column(history, i) or [],
            column(values, i) or [],
            column(naive, i) or [],
            low=column(low, i),
            high=column(high, i),
            truth=column(truth, i),
            coverage=coverage,
            times=times,
            name=f"{name}, {channel}" if len(channels) > 1 else name,
            naive_name=naive_name,
        )
        for i, channel in enumerate(channels)
    ]


def _checked(forecast: Forecast) -> Forecast:
    """The forecast as plain numbers, whose parts fit each other."""
    numbers: dict[str, Any] = {"history": finite("fan: history", forecast.history)}
    values = finite("fan: values", forecast.values)
    for key in ("values", "naive", "low", "high", "truth"):
        part = getattr(forecast, key)
        numbers[key] = None if part is None else finite(f"fan: {key}", part)
        if part is not None and len(numbers[key]) != len(values):
            raise UserError(
                f"fan: every part needs a number for each of the {len(values)} steps of the "
                f"forecast; received {len(numbers[key])} in {key}; pass as many."
            )
    low, high = numbers["low"], numbers["high"]
    wrong = (low is None) != (high is None)
    if wrong or (low is not None and any(a > b for a, b in zip(low, high, strict=True))):
        raise UserError(
            "fan: an interval needs both ends, low below high; received "
            f"{'one of them' if wrong else 'some that are the other way round'}; pass both."
        )
    n = len(numbers["history"]) + len(values)
    if forecast.times is not None and len(forecast.times) != n:
        raise UserError(
            f"fan: times must be one for each of the {n} values of the history and the forecast; "
            f"received {len(forecast.times)}; pass as many, or none."
        )
    times = None if forecast.times is None else [str(time) for time in forecast.times]
    return replace(forecast, **numbers, times=times, coverage=float(forecast.coverage))


def _draw(axes: Axes, forecast: Forecast) -> None:
    """Draws one forecast; 0 on the axis is the last value that is known."""
    past = np.arange(1 - len(forecast.history), 1)
    steps = np.arange(len(forecast.values) + 1)
    last = forecast.history[-1]
    axes.axvline(0, color=FAINT, linewidth=1.2, zorder=1)
    if forecast.low is not None and forecast.high is not None:
        ends = ([last, *forecast.low], [last, *forecast.high])
        axes.fill_between(steps, *ends, color=BLUE, alpha=0.22, lw=0)
    axes.plot(past, forecast.history, color=INK, lw=1.3, zorder=3)
    axes.plot(steps, [last, *forecast.naive], color=VERMILLION, ls=DASHED, lw=1.3, zorder=3)
    if forecast.truth is not None:
        axes.plot(steps, [last, *forecast.truth], color=INK, lw=1, marker="o", ms=2.6, zorder=4)
    axes.plot(steps, [last, *forecast.values], color=BLUE, lw=2.2, zorder=5)
    axes.set_xlim(past[0] - 0.5, steps[-1])
    axes.margins(y=0.08)
    if forecast.name:
        axes.set_title(drawable(forecast.name, 60), loc="left", size=9, color=SOFT, pad=4)
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,g}".replace("-", "−"))
    _time_axis(axes, forecast)
    write = _writer(forecast)
    ends_of_lines = [
        End(steps[-1], forecast.values[-1], BLUE, "forecast", write(forecast.values[-1])),
        End(
            steps[-1],
            forecast.naive[-1],
            VERMILLION,
            forecast.naive_name,
            write(forecast.naive[-1]),
        ),
    ]
    if forecast.low is not None and forecast.high is not None:
        note = f"{write(forecast.low[-1])} to {write(forecast.high[-1])}"
        within = f"{100 * forecast.coverage:g} % interval"
        ends_of_lines.append(End(steps[-1], forecast.high[-1], BLUE, within, note))
    if forecast.truth is not None:
        end = End(steps[-1], forecast.truth[-1], INK, "truth", write(forecast.truth[-1]))
        ends_of_lines.append(end)
    label_ends(axes, ends_of_lines)


def _time_axis(axes: Axes, forecast: Forecast) -> None:
    """Names the axis of time: by the times of the series, or by steps from the last value."""
    times, first = forecast.times, 1 - len(forecast.history)
    axes.xaxis.set_major_locator(MaxNLocator(TICKS, integer=True))
    if times is None:
        axes.set_xlabel("steps after the last value known")
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("-", "−"))
        return

    def written(value: float, position: object) -> str:
        place = round(value) - first
        return drawable(times[place], 19) if 0 <= place < len(times) else ""

    axes.xaxis.set_major_locator(MaxNLocator(TICKS - 1, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(written))


def _writer(forecast: Forecast) -> Callable[[float], str]:
    """Writes a value as finely as the values around the forecast differ, and no finer."""
    near = [*forecast.history, *forecast.values, *(forecast.low or ()), *(forecast.high or ())]
    form = fine_form(near)
    return lambda value: format(value, form).replace("-", "−")


def _title(forecasts: Sequence[Forecast]) -> str:
    """The finding: how much of the truth the interval holds, or where the forecast leads."""
    known = [each for each in forecasts if each.truth is not None and each.low is not None]
    if known and len(known) == len(forecasts):
        inside = [
            low <= value <= high
            for each in known
            for low, value, high in zip(
                each.low or (), each.truth or (), each.high or (), strict=True
            )
        ]
        share = f"{100 * known[0].coverage:g} %"
        return f"{sum(inside)} of {len(inside)} values that came lie in the {share} interval"
    first = forecasts[0]
    n, write = len(first.values), _writer(first)
    ahead = f"{n} step{'s' * (n != 1)} ahead"
    if len(forecasts) > 1:
        return f"{len(forecasts)} forecasts, {ahead}"
    return f"{ahead}: from {write(first.values[0])} to {write(first.values[-1])}"


def _caption(forecasts: Sequence[Forecast]) -> str:
    """How to read the figure."""
    text = (
        "Black, the last part of the series; blue, the forecast; dashed, the "
        f"{forecasts[0].naive_name} forecast."
    )
    if any(each.low is not None for each in forecasts):
        share = f"{100 * forecasts[0].coverage:g} %"
        text += f" The shaded interval is to hold {share} of the values at each step."
    if any(each.truth is not None for each in forecasts):
        text += " Dots are the values that came, which the forecast did not see."
    return text
