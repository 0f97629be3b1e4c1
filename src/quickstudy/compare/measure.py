"""Meta-test of many learners at once: every task is drawn once and put to all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import torch

from quickstudy.batching.batch import TOGETHER
from quickstudy.batching.processes import own_random_numbers
from quickstudy.compare.entries import Entry, Given, baseline_entries, given_entries
from quickstudy.errors import UserError
from quickstudy.evaluation.scores import norm_name, responses, scores
from quickstudy.files.machine import machine
from quickstudy.learner import flatten_state
from quickstudy.metrics import FloatArray, Metric, half_width
from quickstudy.task import Task, cast
from quickstudy.tasks.source import Split, TaskSource
from quickstudy.version import __version__

JSON = dict[str, Any]
WARM_UP = 2


class Setting(NamedTuple):
    """Tasks of one number of ways and shots; None where the family has none."""

    n_way: int | Sequence[int] | None
    n_shot: int | Sequence[int] | None
    source: TaskSource


@dataclass
class Found:
    """What one learner did on the tasks of one setting.

    Attributes:
        values: The metric of each task.
        not_finite: Tasks with a prediction that is not finite.
        adapt_ms: Median time of adapting to one task.
        state_bytes: Median size of an adapted state.
        reason: Why the learner cannot serve this setting; empty where it can.
    """

    values: list[float] = field(default_factory=list)
    not_finite: int = 0
    adapt_ms: float | None = None
    state_bytes: int | None = None
    reason: str = ""

    @property
    def mean(self) -> float:
        """Mean over the tasks; NaN where the learner could not serve them."""
        return float(np.mean(self.values)) if self.values and not self.reason else math.nan


def compare(
    learners: Mapping[str, Given],
    source: TaskSource,
    n_way: int | Sequence[int] = (),
    n_shot: int | Sequence[int] = (),
    n_tasks: int = 600,
    split: Split = "test",
    reference: str | None = None,
    with_baselines: bool = True,
    timed_tasks: int = 20,
    progress: Callable[[str], None] = lambda _: None,
) -> JSON:
    """Evaluates learners on the same tasks, for every number of ways and shots: plain JSON.

    Every task is drawn once and put to all learners, so differences are paired. Intervals are
    those of `evaluate`. Adaptation is timed on one task at a time, each task by all learners in
    turn, so that a noisy moment of the machine hits all alike.

    Args:
        learners: By name: a learner, a model, or the path of a run directory.
        source: The tasks.
        n_way: Numbers of ways; as the tasks have them where empty, like the next.
        n_shot: Numbers of shots.
        n_tasks: Tasks of each setting.
        split: Whose classes.
        reference: Name of the learner or baseline that differences are taken to; in each setting
            the best of the learners where omitted, which is chosen on these very tasks.
        with_baselines: Whether the baselines are rows too.
        timed_tasks: Tasks that adaptation is timed on, at most 25.
        progress: Called with a word on what is being done.

    Returns:
        `settings`, and `rows`, one a learner, with one of `results` for each setting. A number is
        null where there is none; `reason` then says why.

    Raises:
        UserError: There is no learner; one does not fit the tasks; the data do not give the ways
            and shots; or there is no such reference.
        CheckpointError: A run is missing, incomplete or altered.

    Example:
        >>> result = compare({"a": "runs/a", "b": learner}, tasks, n_way=(5, 20), n_shot=(1, 5))
    """
    settings = settings_of(source, n_way, n_shot, split)
    entries = given_entries(learners, source)
    entries += baseline_entries(entries) if with_baselines else []
    names = [entry.name for entry in entries]
    check_request(names, n_tasks, reference)
    metric = source.metrics[0]
    shown: list[JSON] = []
    results: dict[str, list[JSON]] = {name: [] for name in names}
    modes = {entry.name: entry.learner.training for entry in entries}
    for entry in entries:
        entry.learner.eval()
    try:
        for setting in settings:
            label = setting_name(setting._asdict())
            drawn = (setting.source.task(split, index) for index in range(n_tasks))
            say = _prefixed(progress, f"{label}, task")
            found = _measured(entries, drawn, metric, timed_tasks, say)
            apart = _apart(entries, setting.source, split, n_tasks, progress, label) or found
            n_apart = max(len(each.values) for each in apart.values())
            if n_apart < 2:  # One task has no interval.
                n_apart, apart = 0, {name: Found() for name in names}
            best = reference or _best(entries, found, metric)
            shown.append(
                {
                    "n_way": setting.n_way,
                    "n_shot": setting.n_shot,
                    "n_tasks": n_tasks,
                    "n_tasks_disjoint": n_apart,
                    "reference": best,
                }
            )
            for name in names:
                results[name].append(_result(name, best, metric, found, apart))
    finally:
        for entry in entries:
            entry.learner.train(modes[entry.name])
    about = source.describe()
    return {
        "metric": metric.name,
        "tasks": about.get("name"),
        "tasks_options": about,
        "split": split,
        "seed": getattr(source, "seed", None),
        "n_tasks": n_tasks,
        "reference": reference,
        "settings": shown,
        "rows": [{**_about(entry), "results": results[entry.name]} for entry in entries],
        "timing": {
            "tasks": min(timed_tasks, n_tasks, TOGETHER),
            "threads": torch.get_num_threads(),
        },
        **machine(),
        "version": __version__,
    }


def check_request(names: Sequence[str], n_tasks: int, reference: str | None) -> None:
    """Raises UserError for no task, a name that is there twice, or a reference that is not."""
    if n_tasks < 1:
        raise UserError(
            f"compare: n_tasks must be at least 1; received {n_tasks}; give a positive number."
        )
    for name in names:
        if names.count(name) > 1:
            raise UserError(
                f"compare: each row needs a name of its own; received {name!r}, which a baseline "
                "has; rename the learner, or leave the baselines out."
            )
    if reference is not None and reference not in names:
        raise UserError(
            f"compare: reference must be one of {', '.join(names)}; received {reference!r}; choose "
            "one of these."
        )


def settings_of(
    source: TaskSource, n_way: int | Sequence[int], n_shot: int | Sequence[int], split: Split
) -> list[Setting]:
    """The tasks of every number of ways and shots.

    Raises:
        UserError: The data do not give them.
    """
    found = []
    for way, shot in product(_several(n_way), _several(n_shot)):
        of = source if way is None and shot is None else source.resized(way, shot)
        of.task(split, 0)
        about = of.describe()
        n_way_of = _plain(about.get("n_way") if way is None else way)
        found.append(Setting(n_way_of, _plain(about.get("n_shot") if shot is None else shot), of))
    return found


def setting_name(setting: Mapping[str, Any]) -> str:
    """Such as `5-way 1-shot`, or `2–5-way 1-shot` for a range."""
    parts = [
        f"{n if isinstance(n, int) else '–'.join(map(str, n))}-{noun}"
        for noun in ("way", "shot")
        if (n := setting[f"n_{noun}"]) is not None
    ]
    return " ".join(parts) or "as drawn"


def _plain(n: Any) -> Any:
    return list(n) if isinstance(n, tuple) else n


def _several(n: int | Sequence[int]) -> Sequence[int | None]:
    return (n,) if isinstance(n, int) else tuple(dict.fromkeys(n)) or (None,)


def _prefixed(progress: Callable[[str], None], words: str) -> Callable[[str], None]:
    return lambda text: progress(f"{words} {text}")


def _measured(
    entries: list[Entry],
    tasks: Iterable[Task],
    metric: Metric,
    timed_tasks: int,
    say: Callable[[str], None],
) -> dict[str, Found]:
    """Puts the tasks to every learner, and times them on the first ones."""
    found = {entry.name: Found() for entry in entries}
    remaining, done = iter(tasks), 0
    while block := list(islice(remaining, TOGETHER)):
        for entry in entries:
            if not found[entry.name].reason:
                say(f"{done + 1} on: {entry.name}")
                _ask(entry, block, metric, found[entry.name], done)
        if timed_tasks and not done:
            able = [entry for entry in entries if not found[entry.name].reason]
            _time(able, block[:timed_tasks], found)
        done += len(block)
    return found


def _ask(entry: Entry, block: list[Task], metric: Metric, found: Found, done: int) -> None:
    """Adds the results on some tasks; a learner that cannot serve them says why."""
    learner = entry.learner
    try:
        with own_random_numbers(learner, 0, done, 0):
            answers = list(responses(learner, block))
    except UserError as error:
        found.reason = str(error)
        return
    found.values += scores(answers, [metric]).per_task.tolist()
    found.not_finite += sum(
        not bool(torch.isfinite(prediction[task.query.weight > 0]).all())
        for task, prediction in answers
    )


@torch.no_grad()
def _time(entries: list[Entry], tasks: list[Task], found: dict[str, Found]) -> None:
    """The median time and state of adapting to one task, each task by all learners in turn."""
    taken: dict[str, list[float]] = {entry.name: [] for entry in entries}
    sizes: dict[str, list[int]] = {entry.name: [] for entry in entries}
    for index, task in enumerate([*tasks[:WARM_UP], *tasks]):
        first = index % max(1, len(entries))  # so that nobody always comes after the same one
        for entry in [*entries[first:], *entries[:first]]:
            like = next(entry.learner.parameters(), torch.zeros(()))
            support = cast(task, like).support
            _wait(like)
            started = time.perf_counter()
            state = entry.learner.adapt(support)
            _wait(like)
            taken[entry.name].append(1000 * (time.perf_counter() - started))
            sizes[entry.name].append(
                sum(t.numel() * t.element_size() for t in flatten_state(state).values())
            )
    for entry in entries:
        found[entry.name].adapt_ms = median(taken[entry.name][min(WARM_UP, len(tasks)) :])
        found[entry.name].state_bytes = int(median(sizes[entry.name]))


def _wait(like: torch.Tensor) -> None:
    """Until a GPU has done what it was asked."""
    if like.is_cuda:
        torch.cuda.synchronize(like.device)


def _apart(
    entries: list[Entry],
    source: TaskSource,
    split: Split,
    n_tasks: int,
    progress: Callable[[str], None],
    label: str,
) -> dict[str, Found]:
    """Results on tasks that share no example; none for a family whose tasks never do."""
    say = _prefixed(progress, f"{label}, disjoint task")
    try:
        drawn: Iterator[Task] = islice(source.disjoint(split), n_tasks)
        return _measured(entries, drawn, source.metrics[0], 0, say)
    except UserError:
        return {}


def _best(entries: list[Entry], found: dict[str, Found], metric: Metric) -> str | None:
    """The name of the best of the learners that were given."""
    means = {
        entry.name: metric.sign * found[entry.name].mean for entry in entries if not entry.baseline
    }
    able = {name: mean for name, mean in means.items() if math.isfinite(mean)}
    return max(able, key=lambda name: able[name]) if able else None


def _result(
    name: str,
    reference: str | None,
    metric: Metric,
    found: dict[str, Found],
    apart: dict[str, Found],
) -> JSON:
    mine = found[name]
    result: JSON = {
        "not_finite": None if mine.reason else mine.not_finite,
        "adapt_ms": mine.adapt_ms,
        "state_bytes": mine.state_bytes,
        "reason": mine.reason or None,
    }
    for ending, of in (("", found), ("_disjoint", apart)):
        values = _values(of[name])
        theirs = _values(of[reference]) if reference is not None else values[:0]
        paired = values - theirs if len(values) == len(theirs) else values[:0]
        result |= {
            f"{metric.name}{ending}": _mean(values),
            f"ci95{ending}": _number(half_width(values)),
            f"difference{ending}": _mean(paired),
            f"difference_ci95{ending}": _number(half_width(paired)),
        }
    return result


def _values(found: Found) -> FloatArray:
    """The results of the tasks; none where the learner could not serve them, or of one task."""
    return np.array([] if found.reason else found.values)


def _mean(values: FloatArray) -> float | None:
    return _number(float(values.mean())) if len(values) else None


def _number(value: float) -> float | None:
    """JSON has no NaN and no infinity."""
    return value if math.isfinite(value) else None


def _about(entry: Entry) -> JSON:
    learner, record = entry.learner, entry.record
    return {
        "name": entry.name,
        "learner": type(learner).__name__,
        "baseline": entry.baseline,
        "norm": norm_name(learner),
        "transductive": learner.transductive,
        "n_meta_parameters": entry.n_meta_parameters,
        "steps": 0 if entry.baseline else record.get("step"),
        "minutes": 0.0 if entry.baseline else record.get("minutes"),
        "cpu_minutes": 0.0 if entry.baseline else record.get("cpu_minutes"),
        "trained_with": record.get("machine"),
        "run": None if entry.run is None else str(entry.run),
        "notes": list(entry.notes),
    }
