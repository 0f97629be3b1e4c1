"""The facts of a run for its record: learner, tasks and their data, settings, machine."""

from __future__ import annotations

from dataclasses import asdict

from quickstudy.files.machine import machine
from quickstudy.files.records import JSON
from quickstudy.learner import AnyLearner
from quickstudy.tasks.source import TaskSource
from quickstudy.training.settings import Training
from quickstudy.version import __version__


def facts(learner: AnyLearner, source: TaskSource, training: Training) -> JSON:
    """The facts of a run that begins."""
    preprocess, contents = source.preprocess, source.contents()
    return {
        "version": __version__,
        "learner": type(learner).__name__,
        "specs": learner.specs,
        "kind": learner.kind,
        "x_shape": list(source.x_shape),
        "preprocess": None if preprocess is None else preprocess.to_json(),
        "tasks": source.describe(),
        "data": None if contents is None else contents.to_json(),
        "training": asdict(training),
        **machine(),
    }
