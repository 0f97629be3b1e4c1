"""The facts of a run for its record: learner, tasks and their data, settings, machine."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from quickstudy.files.machine import machine
from quickstudy.files.records import JSON
from quickstudy.files.rundir import RunDirectory
from quickstudy.learner import AnyLearner
from quickstudy.nets.traits import architectures
from quickstudy.targets import rule_from_json
from quickstudy.tasks.recorded import record_of
from quickstudy.tasks.source import TaskSource
from quickstudy.training.settings import Training
from quickstudy.version import __version__


def facts(learner: AnyLearner, source: TaskSource, training: Training) -> JSON:
    """The facts of a run that begins."""
    networks, targets = architectures(learner), source.targets.to_json()
    return {
        "version": __version__,
        "learner": type(learner).__name__,
        "specs": learner.specs,
        **({"networks": networks} if networks else {}),
        "kind": learner.kind,
        "x_shape": list(source.x_shape),
        # Written only where targets are standardised: older runs lack the key.
        **({} if targets is None else {"targets": targets}),
        # Likewise: only where the outputs are the same classes in every task.
        **({} if source.output_names is None else {"classes": list(source.output_names)}),
        **({} if source.caution is None else {"caution": source.caution}),
        **record_of(source),
        "training": asdict(training),
        **machine(),
    }


def on_recorded_scale(source: TaskSource, run: str | Path) -> TaskSource:
    """The tasks with their targets on the scale that the run was begun with.

    Raises:
        CheckpointError: The run is missing or damaged.
        UserError: The tasks have another scale, which cannot be changed.
    """
    targets = RunDirectory(run).read().get("targets")
    return source.with_targets(rule_from_json(targets))


def places_of(about: JSON, record: JSON) -> JSON:
    """The parts of a continued run's record that say where its data lie, which may have moved."""
    places = {key: about[key] for key in ("tasks_spec",) if key in about}
    if "config" in about and "config" in record:
        places["config"] = {**record["config"], "tasks": about["config"]["tasks"]}
    return places
