"""Tasks from a file of series: one series is one task, cut in time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from torch import nn

from quickstudy.domains.windows import classical
from quickstudy.domains.windows.copies import copies_among, families, total_among
from quickstudy.domains.windows.metrics import forecast_intervals, forecast_metrics
from quickstudy.domains.windows.rungs import ClassicalForecast, Histories, forecast_rungs
from quickstudy.domains.windows.seasons import season_notes
from quickstudy.domains.windows.window_tasks import Floats, WindowTasks
from quickstudy.errors import UserError
from quickstudy.inputs import Windows
from quickstudy.inputs.frames import Type, is_frame
from quickstudy.inputs.numerals import looks_like_number
from quickstudy.inputs.series_files import Series, read_series
from quickstudy.inputs.series_layouts import Layout
from quickstudy.inputs.series_steps import Gaps
from quickstudy.inputs.windows import naive_error
from quickstudy.learner import AnyLearner
from quickstudy.metrics import Metric
from quickstudy.task import Examples, Task
from quickstudy.tasks.arrays import split_names
from quickstudy.tasks.contents import Unit, held, marks_of
from quickstudy.tasks.recorded import Recorded, dealt
from quickstudy.tasks.source import Figures, Split, generator, no_more


class Timeline(NamedTuple):
    """One series.

    Attributes:
        name: Its name.
        values: All that is known of it `(time, C)`.
        future: The values that follow `(horizon, C)`, which only meta-test asks for; None where
            they are the last of `values`.

    Example:
        >>> tasks = windows("made/series.csv", horizon=8, lags=24)
        >>> tasks.timelines[0].name
        'S01'
    """

    name: str
    values: Floats
    future: Floats | None = None

    @property
    def whole(self) -> Floats:
        """All that is known, and what follows it."""
        return self.values if self.future is None else np.concatenate([self.values, self.future])


@dataclass(frozen=True, eq=False)
class SeriesTasks(WindowTasks):
    """Tasks each of which is one series: learn from its past, forecast what follows a cut.

    The support is every window whose future ends before the cut; a query is a window whose future
    begins there or later. Meta-valid, and meta-test without a `future`, ask for the last values of
    a series; meta-train for those after a cut at random, from the middle of a series on.

    Attributes:
        timelines: The series, by number.

    Example:
        >>> tasks = windows("made/series.csv", horizon=8, lags=24)  # SeriesTasks
        >>> tasks.task("test", 0).query.y.shape
        torch.Size([1, 8])
    """

    timelines: Sequence[Timeline] = field(default=(), repr=False)

    @property
    def unit(self) -> Unit:
        return "series"

    def values_of(self, unit: int) -> tuple[str, list[Floats]]:
        timeline = self.timelines[unit]
        return timeline.name, [timeline.whole]

    @property
    def metrics(self) -> tuple[Metric, ...]:
        return self._metrics

    @property
    def interval_metrics(self) -> tuple[Metric, Metric]:
        return forecast_intervals(self.targets)

    def rungs(self, net: nn.Module | None) -> dict[str, AnyLearner]:
        return forecast_rungs(self.histories, self.pooled)

    @cached_property
    def histories(self) -> Histories:
        """The history of each series up to the end of a window."""
        return Histories(self.windows, [timeline.whole for timeline in self.timelines])

    @cached_property
    def _metrics(self) -> tuple[Metric, ...]:
        return forecast_metrics(self, ClassicalForecast(classical.naive2, self.histories))

    def split_of(self, unit: int) -> Split:
        """The split that a series is in."""
        return self._split_of[unit]

    @cached_property
    def _split_of(self) -> dict[int, Split]:
        return {unit: split for split, units in self.units.items() for unit in units}

    def windows_of(self, unit: int) -> Examples:
        windowed = self.windows.cut(self.timelines[unit].values, unit)
        return self.examples(windowed.x, windowed.y)

    def figures(
        self,
        learner: AnyLearner,
        split: Split,
        n: int,
        temperature: float = 1.0,
        unadapted: AnyLearner | None = None,
    ) -> Figures:
        """The last forecast of each of the first n series, beside what came."""
        from quickstudy.domains.windows.picture import fan_of  # matplotlib is slow to load
        from quickstudy.figures.fan import fan

        figures = []
        for index in range(no_more(self, split, n)):
            task = self.task(split, index)
            frame = self.windows.scale.frame(task.query.x[-1])
            timeline = self.timelines[int(frame.series)]
            known = timeline.whole[: int(frame.end) + 1]
            forecasts = fan_of(self.windows, learner, task, known, timeline.name, temperature)
            figures.append(fan(forecasts, f"forecast_{index + 1}"))
        return figures

    def cut(self, unit: int, split: Split, rng: np.random.Generator) -> Task:
        kind, timeline = self.windows, self.timelines[unit]
        values = timeline.whole if split == "test" else timeline.values
        last = len(values) - kind.horizon
        first = min(max(kind.lags + kind.horizon, last // 2), last)
        place = int(rng.integers(first, last + 1)) if split == "train" else last
        past = values[:place]
        support = kind.cut(past, unit)
        # Query windows begin to be asked at the cut, and then every stride later.
        ends = np.arange(place, last + 1, kind.stride)[: self.n_query]
        lags = np.stack([values[end - kind.lags : end] for end in ends])
        future = np.stack([values[end : end + kind.horizon] for end in ends])
        x = kind.framed(lags, naive_error(past, kind.season), unit, ends - 1)
        return Task(
            self.examples(support.x, support.y),
            self.examples(x, kind.standardised(future, x)),
        )


def windows(
    path: Path,
    horizon: int,
    lags: int | None = None,
    season: int = 1,
    future: Path | None = None,
    stride: int = 1,
    n_query: int = 1,
    layout: Layout | Literal["auto"] = "auto",
    id: str | None = None,
    time: str | None = None,
    values: Sequence[str] = (),
    gaps: Gaps = "refuse",
    missing: list[str] | str | None = None,
    columns: dict[str, Type] | None = None,
    valid: float = 0.16,
    test: float = 0.2,
    copies: Literal["together", "refuse"] = "together",
    folds: int | None = None,
    fold: int = 0,
    seed: int = 0,
    recorded: Recorded | None = None,
) -> SeriesTasks:
    """Tasks from a CSV file of series, also gzipped: each series is a task.

    Whole series are dealt out to the splits, so that meta-test asks about series that were never
    seen. Those too short for a window and two horizons are left out and counted in `describe()`.

    Args:
        path: The file: a row for each series, a row for each value, or a column for each series; or
            a data frame of pandas or polars.
        horizon: How many values are forecast.
        lags: How many values a forecast looks at; four horizons, or two seasons where they are
            longer, where omitted.
        season: Length of a season, such as 24 of hourly values; 1 for none.
        future: A file of the values that follow each series, which only meta-test sees; the last
            ones of each series where omitted.
        stride: Times from one window of the support to the next.
        n_query: Windows that a task asks about, at most.
        layout: How the file holds the series; see `quickstudy.inputs.series_files.read_series`.
        id: Column that names the series, of a file with a row for each value.
        time: Column of the times.
        values: Columns of the values, each a channel of the series.
        gaps: What to do about steps and values that are missing, here and where a model is used.
        missing: Words that say that a value is missing, and no others do.
        columns: How the numbers of columns are written, where it is to be said: `numbers`, with a
            decimal point, or `comma`.
        valid: Part of the series that are meta-valid; with `folds`, of those not in meta-test.
        test: Part of the series that are meta-test.
        copies: What becomes of series that hold the same values over a stretch, wherever that is in
            each: they are dealt out together, and named in `describe()`; or they are refused.
        folds: Number of parts into which the series are dealt; meta-test is one of them.
        fold: Which of them, from 0.
        seed: Seed of the split, and of the tasks.
        recorded: The data of a run, whose split is used again.

    Raises:
        DataError: A file is missing or damaged.
        UserError: It holds no series, times or values are wrong, there are too few series, or
            copies, where they are refused.
    """
    read = partial(
        read_series,
        layout=layout,
        id=id,
        time=time,
        values=tuple(values),
        gaps=gaps,
        missing=missing,
        columns=columns,
    )
    every = read(path)
    file = "the data frame" if is_frame(path) else path
    lags = max(4 * horizon, 2 * season) if lags is None else lags
    channels = every[0].channels
    kind = Windows(lags, horizon, channels, season=season, stride=stride, gaps=gaps)
    what_follows: dict[str, Floats] = {}
    if future is not None:
        what_follows = _following(future, every, horizon, read)
    name = "series" if is_frame(path) else Path(path).name.split(".")[0]
    least = lags + 2 * horizon
    timelines = [
        Timeline(each.name, each.values, what_follows.get(each.name))
        for each in every
        if len(each.values) >= least
    ]
    if not timelines:
        longest = max(len(each.values) for each in every)
        raise UserError(
            f"windows: a series needs a window and two horizons, {least} values; received none in "
            f"{file}, the longest of {longest}; choose fewer lags or a shorter horizon."
        )
    numbers = {timeline.name: number for number, timeline in enumerate(timelines)}
    present = {t.name: held(marks_of([t.whole.tobytes()])) for t in timelines}
    pairs = copies_among([[timeline.whole] for timeline in timelines])
    together = {
        timelines[first].name: [timelines[each].name for each in (first, *others)]
        for first, *others in families(len(timelines), pairs)
    }

    def usual() -> dict[Split, list[str]]:
        if folds is None:
            _check_enough(together, valid, test, str(file))
        splits = _split([*together], valid, test, folds, fold, seed, name)
        return {
            split: sorted(
                (each for one in names for each in together[one]), key=numbers.__getitem__
            )
            for split, names in splits.items()
        }

    splits, left_out = dealt(present, recorded, usual)
    short = len(every) - len(timelines)
    notes = []
    if short:
        notes.append(f"{short} of {len(every)} series are shorter than {least} values and left out")
    total = total_among([timeline.whole for timeline in timelines])
    if total is not None:
        notes.append(
            f"{timelines[total].name} is the sum of all other series; leave it out unless it is to "
            "be forecast, too"
        )
    if pairs:
        first, second, _ = max(pairs, key=lambda pair: pair.n)
        names = f"{timelines[first].name} and {timelines[second].name}"
        more = f" ({len(pairs)} such pairs in all)" if len(pairs) > 1 else ""
        if copies == "refuse":
            raise UserError(
                "windows: no series may tell what is asked of another; received "
                f"{names} of {file}, which hold the same values{more}; remove one of each, or say "
                "copies: together, which deals them out to one split."
            )
        notes.append(f"{names} hold the same values{more}, so they are dealt out together")
    notes += season_notes(every, season)
    return SeriesTasks(
        name=name,
        windows=kind,
        units={split: [numbers[each] for each in names] for split, names in splits.items()},
        n_query=n_query,
        seed=seed,
        about={
            "season": season,
            "stride": stride,
            "series": {split: len(names) for split, names in splits.items()},
            "series_left_out": short,
            **({"notes": notes} if notes else {}),
        },
        left_out=left_out,
        timelines=timelines,
    )


def _following(
    path: Path, every: Sequence[Series], horizon: int, read: Callable[..., list[Series]]
) -> dict[str, Floats]:
    """The values that follow each series, by its name."""
    file = "the data frame of what follows" if is_frame(path) else path
    following = {each.name: each for each in read(path, least=horizon, varies=False)}
    missing = [each.name for each in every if each.name not in following]
    if missing:
        raise UserError(
            f"windows: {file} must hold what follows each series; received none for "
            f"{missing[0]!r} ({len(missing)} of {len(every)}); add it, or leave future out."
        )
    for before in every:
        after = following[before.name]
        if after.values.shape[1:] != before.values.shape[1:]:
            raise UserError(
                f"windows: {file} must hold the channels of each series, "
                f"{', '.join(before.channels)}; received {', '.join(after.channels)} for "
                f"{before.name!r}; give the same columns."
            )
        last, first = (before.times or [""])[-1], (after.times or [""])[0]
        are_dates = last and first and not (looks_like_number(last) or looks_like_number(first))
        if are_dates and first <= last:  # Dates in ISO 8601 sort as texts.
            raise UserError(
                f"windows: {file} must begin where each series ends; received {first} for "
                f"{before.name!r}, which goes on to {last}; leave out what is known already."
            )
    return {name: each.values[:horizon] for name, each in following.items()}


def _check_enough(
    together: Mapping[str, Sequence[str]], valid: float, test: float, file: str
) -> None:
    """Refuses fewer series than splits; copies of each other count as one.

    Args:
        together: The names of series that are copies of each other, by the first of them.
        valid: Part of the series that are meta-valid.
        test: Part of the series that are meta-test.
        file: Where they are from.

    Raises:
        UserError: There are fewer.
    """
    needed = 1 + (valid > 0) + (test > 0)
    if len(together) >= needed:
        return
    groups = [", ".join(names) for names in together.values() if len(names) > 1]
    copies = f", for copies of each other count as one: {' | '.join(groups)}" if groups else ""
    alone = (
        "; one series of your own is for quickstudy adapt, with a model trained on others"
        if len(together) == 1
        else ""
    )
    raise UserError(
        f"windows: each of the {needed} splits needs a series of its own; received "
        f"{len(together)} in {file}{copies}; add some, or leave splits out with --tasks.valid 0 "
        f"--tasks.test 0{alone}."
    )


def _split(
    names: Sequence[str],
    valid: float,
    test: float,
    folds: int | None,
    fold: int,
    seed: int,
    what: str,
) -> dict[Split, list[str]]:
    """The names of each split: at random, or with one of several folds as meta-test."""
    if folds is None:
        return split_names(names, valid, test, seed, f"{what}: series", least=1)
    if not 2 <= folds <= len(names) or not 0 <= fold < folds:
        raise UserError(
            f"{what}: folds must be 2 or more, no more than the {len(names)} series, and fold one "
            f"of them from 0 on; received folds={folds}, fold={fold}; choose others."
        )
    order = generator(seed, "folds", 0).permutation(len(names))
    tested = {names[place] for place in np.array_split(order, folds)[fold]}
    others = split_names(
        [name for name in names if name not in tested], valid, 0, seed, f"{what}: series", least=1
    )
    return {**others, "test": [name for name in names if name in tested]}
