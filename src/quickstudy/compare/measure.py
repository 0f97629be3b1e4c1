"""Meta-test of many learners at once: every task is drawn once and put to all of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice, product
from statistics import median
from typing import NamedTuple

import numpy as np
import torch

from quickstudy.batching.batch import TOGETHER
from quickstudy.batching.processes import own_random_numbers
from quickstudy.compare.comparison import ComparedLearner, ComparedSetting, Comparison, Outcome
from quickstudy.compare.entries import (
    Entry,
    Given,
    baseline_entries,
    given_entries,
    on_their_scale,
)
from quickstudy.errors import UserError, at_least
from quickstudy.evaluation.record import Mean
from quickstudy.evaluation.scores import norm_name, responses, scores
from quickstudy.files.machine import machine
from quickstudy.files.records import JSONLike
from quickstudy.learner import state_bytes
from quickstudy.metrics import FloatArray, Metric
from quickstudy.task import Examples, Task, to_like
from quickstudy.task import setting_name as name_of_setting
from quickstudy.tasks.source import Split, TaskSource, no_more, of_size
from quickstudy.version import __version__

WARM_UP = 2


class Setting(NamedTuple):
    """Tasks of one number of ways and shots; None where the family has none."""

    n_way: int | Sequence[int] | None
    n_shot: int | Sequence[int] | None
    source: TaskSource


@dataclass
class Run:
    """One learner on the tasks of one setting, as far as it got.

    Attributes:
        scores: The metric of each task.
        not_finite: Tasks with a prediction that is not finite.
        adapt_ms: Median time of adapting to one task.
        state_bytes: Median size of an adapted state.
        reason: Why the learner cannot serve this setting; empty where it can.
    """

    scores: list[float] = field(default_factory=list)
    not_finite: int = 0
    adapt_ms: float | None = None
    state_bytes: int | None = None
    reason: str = ""

    @property
    def per_task(self) -> FloatArray:
        """The scores as an array; empty where the learner could not serve the setting."""
        return np.array([] if self.reason else self.scores)


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
) -> Comparison:
    """Evaluates learners on the same tasks, for every number of ways and shots.

    Every task is drawn once and put to all learners, so differences are paired. Intervals are
    those of `evaluate`. Adaptation is timed on one task at a time, each task by all learners in
    turn, so that a noisy moment of the machine hits all alike.

    Args:
        learners: By name: a learner, a model, or the path of a run directory.
        source: The tasks.
        n_way: Numbers of ways; as the tasks have them where empty, like the next.
        n_shot: Numbers of shots.
        n_tasks: Tasks of each setting; no more than there are.
        split: Whose classes.
        reference: Name of the learner or baseline that differences are taken to; in each setting
            the best of the learners where omitted, which is chosen on these very tasks.
        with_baselines: Whether the baselines are rows too.
        timed_tasks: Tasks that adaptation is timed on, at most 25.
        progress: Called with a word on what is being done.

    Returns:
        The record of the comparison, with `settings`, and `rows`, one a learner, with one of
        `results` for each setting. A number is None where there is none; `reason` then says why.
        It also reads as the JSON of `quickstudy compare --json`: `result["rows"][0]["results"]`.

    Raises:
        UserError: There is no learner; one does not fit the tasks, or was meta-trained on them; the
            data do not give the ways and shots; or there is no such reference.
        CheckpointError: A run is missing, incomplete or altered.

    Example:
        >>> learners = {"trained": "runs/digits", "not trained": qs.build("MAML", tasks)}
        >>> result = qs.compare(learners, tasks, n_shot=(1, 5), n_tasks=5, timed_tasks=2)
        >>> [row["name"] for row in result["rows"]][:2]
        ['trained', 'not trained']
    """
    entries = given_entries(learners, source, split)
    source = on_their_scale(entries, source)
    settings = settings_of(source, n_way, n_shot, split)
    entries += baseline_entries(entries, source) if with_baselines else []
    names = [entry.name for entry in entries]
    check_request(names, n_tasks, reference)
    n_tasks = no_more(source, split, n_tasks)
    metric = source.metrics[0]
    compared: list[ComparedSetting] = []
    results: dict[str, list[Outcome]] = {name: [] for name in names}
    modes = {entry.name: entry.learner.training for entry in entries}
    for entry in entries:
        entry.learner.eval()
    try:
        for setting in settings:
            label = setting_name({"n_way": setting.n_way, "n_shot": setting.n_shot})
            tasks = (setting.source.task(split, index) for index in range(n_tasks))
            say = _prefixed(progress, f"{label}, task")
            runs = disjoint = _measured(entries, tasks, metric, timed_tasks, say)
            if (disjoint_tasks := setting.source.disjoint(split)) is not None:
                say = _prefixed(progress, f"{label}, disjoint task")
                disjoint = _measured(entries, islice(disjoint_tasks, n_tasks), metric, 0, say)
            n_disjoint = max(len(run.scores) for run in disjoint.values())
            if n_disjoint < 2:  # One task has no interval.
                n_disjoint, disjoint = 0, {name: Run() for name in names}
            best = reference or _best(entries, runs, metric)
            compared.append(
                ComparedSetting(setting.n_way, setting.n_shot, n_tasks, n_disjoint, best)
            )
            for name in names:
                results[name].append(_outcome(name, best, metric, runs, disjoint))
    finally:
        for entry in entries:
            entry.learner.train(modes[entry.name])
    about = source.describe()
    timing = {"tasks": min(timed_tasks, n_tasks, TOGETHER), "threads": torch.get_num_threads()}
    return Comparison(
        metric=metric.name,
        tasks=about.get("name"),
        tasks_options=about,
        split=split,
        seed=getattr(source, "seed", None),
        n_tasks=n_tasks,
        reference=reference,
        settings=compared,
        rows=[_row(entry, results[entry.name]) for entry in entries],
        timing=timing,
        version=__version__,
        **machine(),
    )


def check_request(names: Sequence[str], n_tasks: int, reference: str | None) -> None:
    """Raises UserError for no task, a name that is there twice, or a reference that is not."""
    at_least("compare", 1, n_tasks=n_tasks)
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
    settings = []
    for way, shot in product(_several(n_way), _several(n_shot)):
        sized = source if way is None and shot is None else of_size(source, way, shot)
        sized.task(split, 0)
        about = sized.describe()
        way = about.get("n_way") if way is None else way
        shot = about.get("n_shot") if shot is None else shot
        settings.append(Setting(way, shot, sized))
    return settings


def setting_name(setting: JSONLike) -> str:
    """Returns such as `5-way 1-shot`, or `2–5-way 1-shot` for a range."""
    return name_of_setting(setting["n_way"], setting["n_shot"]) or "as drawn"


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
) -> dict[str, Run]:
    """Evaluates every learner on the tasks, and times adaptation on the first ones."""
    runs = {entry.name: Run() for entry in entries}
    remaining, done = iter(tasks), 0
    while block := list(islice(remaining, TOGETHER)):
        for entry in entries:
            if not runs[entry.name].reason:
                say(f"{done + 1} on: {entry.name}")
                _evaluate_block(entry, block, metric, runs[entry.name], done)
        if timed_tasks and not done:
            able = [entry for entry in entries if not runs[entry.name].reason]
            _time(able, block[:timed_tasks], runs)
        done += len(block)
    return runs


def _evaluate_block(entry: Entry, block: list[Task], metric: Metric, run: Run, done: int) -> None:
    """Adds the results on a block of tasks to a run, or the reason why there are none."""
    learner = entry.learner
    try:
        with own_random_numbers(learner, 0, done, 0):
            answers = list(responses(learner, block))
    except UserError as error:
        run.reason = str(error)
        return
    run.scores += scores(answers, [metric]).per_task.tolist()
    run.not_finite += sum(not bool(_numbers(*each).isfinite().all()) for each in answers)


def _numbers(task: Task, prediction: torch.Tensor) -> torch.Tensor:
    """The part of a prediction that must be finite: without padding; of a policy the returns."""
    if not isinstance(task.query, Examples):
        return prediction[:, 0]
    return prediction[task.query.weight > 0]


@torch.no_grad()
def _time(entries: list[Entry], tasks: list[Task], runs: dict[str, Run]) -> None:
    """Measures median time and state size of adaptation; all learners take each task in turn."""
    taken: dict[str, list[float]] = {entry.name: [] for entry in entries}
    sizes: dict[str, list[int]] = {entry.name: [] for entry in entries}
    for index, task in enumerate([*tasks[:WARM_UP], *tasks]):
        first = index % max(1, len(entries))  # so that nobody always comes after the same one
        for entry in [*entries[first:], *entries[:first]]:
            like = next(entry.learner.parameters(), torch.zeros(()))
            support = entry.learner.practise(to_like(task, like)).support
            _synchronize(like)
            started = time.perf_counter()
            state = entry.learner.adapt(support)
            _synchronize(like)
            taken[entry.name].append(1000 * (time.perf_counter() - started))
            sizes[entry.name].append(state_bytes(state))
    for entry in entries:
        runs[entry.name].adapt_ms = median(taken[entry.name][min(WARM_UP, len(tasks)) :])
        runs[entry.name].state_bytes = int(median(sizes[entry.name]))


def _synchronize(like: torch.Tensor) -> None:
    """Waits until a GPU has finished its work."""
    if like.is_cuda:
        torch.cuda.synchronize(like.device)


def _best(entries: list[Entry], runs: dict[str, Run], metric: Metric) -> str | None:
    """The name of the best learner that is no baseline; None where none has a finite mean."""
    own = [entry.name for entry in entries if not entry.baseline]
    means = {name: metric.sign * Mean.of(runs[name].per_task).value for name in own}
    finite = [name for name in own if math.isfinite(means[name])]
    return max(finite, key=means.__getitem__, default=None)


def _outcome(
    name: str,
    reference: str | None,
    metric: Metric,
    runs: dict[str, Run],
    disjoint: dict[str, Run],
) -> Outcome:
    run = runs[name]
    means = []
    for results in (runs, disjoint):
        scores = results[name].per_task
        others = scores[:0] if reference is None else results[reference].per_task
        paired = scores - others if len(scores) == len(others) else scores[:0]
        means += [Mean.of(scores), Mean.of(paired)]
    not_finite = None if run.reason else run.not_finite
    return Outcome(
        metric.name, not_finite, run.adapt_ms, run.state_bytes, run.reason or None, *means
    )


def _row(entry: Entry, results: Sequence[Outcome]) -> ComparedLearner:
    learner, record, trained = entry.learner, entry.record, not entry.baseline
    return ComparedLearner(
        name=entry.name,
        learner=type(learner).__name__,
        baseline=entry.baseline,
        norm=norm_name(learner),
        transductive=learner.tags.transductive,
        n_meta_parameters=entry.n_meta_parameters,
        steps=record.get("step") if trained else 0,
        minutes=record.get("minutes") if trained else 0.0,
        cpu_minutes=record.get("cpu_minutes") if trained else 0.0,
        trained_with=record.get("machine"),
        run=None if entry.run is None else str(entry.run),
        notes=entry.notes,
        results=results,
    )
