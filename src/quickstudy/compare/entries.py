"""Entries of a comparison: learners from runs, models or Python, and the baselines beside them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from quickstudy.catalog import from_specs
from quickstudy.errors import UserError
from quickstudy.evaluation.meta_test import ladder_of
from quickstudy.files.records import JSON
from quickstudy.files.shipped import run_of
from quickstudy.learner import AnyLearner, Learner
from quickstudy.models.model import Model
from quickstudy.models.saved import load
from quickstudy.nets.norm import check_calibrated
from quickstudy.targets import TargetRule
from quickstudy.tasks.recorded import OF_DATA, Recorded
from quickstudy.tasks.source import Split, TaskSource

Given = AnyLearner | Model | str | os.PathLike[str]
DRAWING = ("n_way", "n_shot", "n_query")


@dataclass(frozen=True)
class Entry:
    """A learner in a comparison.

    Attributes:
        name: What it is called there.
        learner: The learner.
        baseline: Whether it is a baseline rather than a learner to compare.
        run: Its run directory, where it has one.
        record: The record of that run.
        notes: What a reader must know to compare it fairly.
        targets: The scale of targets that it was trained with; that of any tasks where `"support"`.
    """

    name: str
    learner: AnyLearner
    baseline: bool = False
    run: Path | None = None
    record: JSON = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    targets: TargetRule = "support"

    @property
    def n_meta_parameters(self) -> int:
        """Numbers that meta-training sets."""
        if not self.learner.tags.meta_trained:
            return 0
        specs = self.learner.specs
        # The parameters of a loaded model are frozen; a new one from its specs has trained ones.
        learner = self.learner if specs is None else from_specs(specs)
        trained = learner.meta_parameters() or dict(learner.named_parameters())
        return sum(p.numel() for p in trained.values())


def given_entries(
    learners: Mapping[str, Given], source: TaskSource, split: Split = "test"
) -> list[Entry]:
    """The learners to compare, each checked against the tasks.

    Args:
        learners: By name.
        source: The tasks.
        split: Which of them.

    Raises:
        UserError: There is none; or one is for other targets, other inputs or other preprocessing
            than the tasks have, was meta-trained on their classes, or is not calibrated.
        CheckpointError: A run is missing, incomplete or altered.
    """
    if not learners:
        raise UserError(
            "compare: needs at least one learner; received none; name some, or give run directories"
            " of them."
        )
    return [_entry(name, learner, source, split) for name, learner in learners.items()]


def on_their_scale(entries: list[Entry], source: TaskSource) -> TaskSource:
    """The tasks with their targets on the scale that the learners were trained with.

    Raises:
        UserError: They were trained with different ones, or the tasks have another.
    """
    scales = {entry.targets: entry.name for entry in entries if entry.targets != "support"}
    if len(scales) > 1:
        raise UserError(
            "compare: all must have been trained with targets on one scale; received "
            f"{' and '.join(map(repr, scales.values()))}, whose meta-train rows differ; compare "
            "runs of one data set, one seed and one version."
        )
    for scale in scales:
        source = source.with_targets(scale)
    return source


def baseline_entries(entries: list[Entry], source: TaskSource) -> list[Entry]:
    """The baselines of `evaluate`, once for all learners.

    FineTuning trains the network of the first learner that has one, without its head.
    """
    for entry in entries:
        ladder = ladder_of(entry.learner, source)
        if "FineTuning" in ladder:
            break
    notes = {"FineTuning": (f"fine-tunes the network of {entry.name} from scratch",)}
    return [Entry(n, b, baseline=True, notes=notes.get(n, ())) for n, b in ladder.items()]


def _entry(name: str, given: Given, source: TaskSource, split: Split) -> Entry:
    run, record = None, {}
    if isinstance(given, str | os.PathLike):
        run = Path(given)
        given, record = load(run), run_of(run).read()
        _check_unseen(name, run, source, split)
    if not isinstance(given, Model | Learner):
        raise UserError(
            f"compare: {name!r} must be a learner, a model or the path of a run directory; "
            f"received {type(given).__name__}; pass one of these."
        )
    learner = given.learner if isinstance(given, Model) else given
    if learner.kind != source.kind:
        raise UserError(
            f"compare: all must be for the tasks' targets, {source.kind}; received {name!r}, which "
            f"is for {learner.kind}; compare learners of one kind."
        )
    specs = learner.specs or {}
    x_shape = given.x_shape if isinstance(given, Model) else specs.get("x_shape", source.x_shape)
    if tuple(x_shape) != tuple(source.x_shape):
        raise UserError(
            f"compare: all must take the tasks' inputs, of shape {tuple(source.x_shape)}; received "
            f"{name!r}, which takes {tuple(x_shape)}; compare models of one input shape."
        )
    if isinstance(given, Model):
        _check_preprocess(name, given.preprocess, source.preprocess)
    check_calibrated(learner)
    targets = given.targets if isinstance(given, Model) else "support"
    return Entry(name, learner, False, run, record, _notes(record, source), targets)


def _check_unseen(name: str, run: Path, source: TaskSource, split: Split) -> None:
    """Refuses tasks of classes (groups, tables) that a run was meta-trained or validated on."""
    seen = Recorded.of(run).trained_on(source, split)
    if seen:
        more = f" and {len(seen) - 5} more" * (len(seen) > 5)
        raise UserError(
            f"compare: the tasks of meta-{split} must be new to all learners; received "
            f"{', '.join(seen[:5])}{more}, which are in another split of the run of {name!r}; "
            "leave --tasks out, so that its split is used again, or in Python give the builder of "
            "the tasks recorded=quickstudy.tasks.Recorded.of(run)."
        )


def _check_preprocess(name: str, given: Any, wanted: Any) -> None:
    own, tasks = (
        None if each is None else json.loads(json.dumps(each.to_json())) for each in (given, wanted)
    )
    if own != tasks:
        raise UserError(
            f"compare: {name!r} must have been meta-trained on inputs made like those of the "
            f"tasks, {tasks!s:.200}; received a model that makes them by {own!s:.200}; compare "
            "models of one preprocessing."
        )


def _notes(record: JSON, source: TaskSource) -> tuple[str, ...]:
    """Warnings about a fair comparison that follow from a run's record."""
    if not record:
        return ()
    notes = []
    data, contents = record.get("data"), source.contents()
    # Data that moved have another name, and new classes another number.
    known = bool(
        data
        and data["splits"]
        and contents
        and data["splits"].get("train") == contents.to_json()["splits"].get("train")
    )
    passed = {*DRAWING, *(OF_DATA if known else ())}
    trained, compared = (
        {k: v for k, v in json.loads(json.dumps(tasks)).items() if k not in passed}
        for tasks in (record["tasks"], source.describe())
    )
    if trained != compared:
        name = record["tasks"].get("name")
        name = "other tasks" if name == source.describe().get("name") else name
        notes.append(f"meta-trained on {name}")
    if record.get("stopped") in (None, "interrupted"):
        steps = record["training"]["steps"]
        notes.append(f"meta-training is not finished: {record['step']} of {steps} steps")
    if record.get("skipped"):
        notes.append(f"{record['skipped']} meta-training tasks gave no finite gradient")
    return tuple(notes)
