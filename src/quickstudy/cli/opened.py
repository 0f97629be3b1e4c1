"""A run and the tasks that it is measured on, opened by the settings of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from quickstudy import catalog
from quickstudy.cli.other_tasks import check_fits, record_of, tasks_for
from quickstudy.errors import UserError
from quickstudy.evaluation.tuned import transferred
from quickstudy.files.records import JSON
from quickstudy.learner import AnyLearner
from quickstudy.models.model import Model
from quickstudy.models.saved import load
from quickstudy.tasks import Recorded, Split, TaskSource
from quickstudy.tasks.recorded import others_than_places
from quickstudy.tasks.source import of_size

if TYPE_CHECKING:
    from quickstudy.cli.evaluate import Evaluation


class Opened(NamedTuple):
    """A run and the tasks that it is measured on.

    Attributes:
        run: The run directory.
        settings: Settings of the evaluation.
        model: The model of the run.
        learner: Its learner, or that with the network of other tasks.
        source: The tasks.
        spec: Their name and options.
        record: The record of the run.
        notes: What to know of the data.
    """

    run: Path
    settings: Evaluation
    model: Model
    learner: AnyLearner
    source: TaskSource
    spec: JSON
    record: JSON
    notes: list[str]


def open_run(run: Path, settings: Evaluation) -> Opened:
    """Opens a run and the tasks that it is to be measured on.

    Raises:
        UserError: The settings do not fit the run.
    """
    if not 0 <= settings.minutes < math.inf:
        raise UserError(
            "evaluate: minutes must be at least 0, which is no limit; received "
            f"{settings.minutes}; give a number of minutes."
        )
    model = load(run)
    record = record_of(run, model, settings.tasks or {})
    learner = model.learner
    if "tasks_spec" not in record:
        raise UserError(
            f"evaluate {run}: needs tasks that have a name; received a run whose tasks were made "
            "in Python; call quickstudy.evaluate(quickstudy.load(run).learner, tasks) there."
        )
    spec = tasks_for(model, record["tasks_spec"], settings.tasks or {}) | settings.drawing
    own_seed, own_name = (record["tasks_spec"].get(key, 0) for key in ("seed", "name"))
    splits = spec["name"] == own_name and catalog.seed_splits(own_name)
    if splits and spec.get("seed", 0) != own_seed:
        raise UserError(
            f"evaluate {run}: the seed of {spec['name']} splits its classes, and another would put "
            f"classes of meta-training into meta-test; received seed {spec['seed']} for a run with "
            f"seed {own_seed}; leave it out."
        )
    if settings.inner_steps is not None and learner.kind != "control":
        if learner.adapt_steps is None or settings.inner_steps < 0:
            raise UserError(
                "evaluate: inner_steps, at least 0, is for gradient-based learners; received "
                f"{settings.inner_steps} and a run of {type(learner).__name__}; leave it out."
            )
        learner.adapt_steps = settings.inner_steps
    source, notes = _tasks_of(run, spec, settings, ("valid",) if learner.update_rule else ())
    source = source.with_targets(model.targets)
    if settings.inner_steps is not None:
        source = source.with_updates(settings.inner_steps) or source
    if settings.n_way is not None or settings.n_shot is not None:
        source = of_size(source, settings.n_way, settings.n_shot)
    others = others_than_places(settings.tasks or {})
    if settings.net or (others and learner.update_rule is not None):
        learner = transferred(learner, source, settings.net)
    elif others:
        check_fits(run, model, source, settings.split)
    for note in notes:
        print(f"note: {note}")
    return Opened(run, settings, model, learner, source, spec, record, notes)


def _tasks_of(
    run: Path, spec: JSON, settings: Evaluation, tuned_on: Sequence[Split]
) -> tuple[TaskSource, list[str]]:
    """The tasks of a run, dealt out as in meta-training, or others; and what to know of them.

    Args:
        run: The run directory.
        spec: The tasks.
        settings: Settings of the evaluation.
        tuned_on: Splits that are used besides the one that is measured.
    """
    options = settings.tasks or {}
    to_test = settings.new_classes == "test"
    if to_test and (settings.split != "test" or others_than_places(options)):
        raise UserError(
            "evaluate: new_classes test is for meta-test tasks of the run's own source; received "
            f"split {settings.split} and tasks {options}; leave new_classes out."
        )
    if others_than_places(options):
        return catalog.build_tasks(spec | options), []
    recorded = Recorded.of(run, (settings.split, *tuned_on), settings.new_classes)
    source = catalog.build_tasks(spec | options, recorded)
    return source, recorded.notes(source)
