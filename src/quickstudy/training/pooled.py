"""Pooled models of a run: one model for all its tasks, kept beside the run's weights."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quickstudy import catalog
from quickstudy.batching.processes import json_from_first, world
from quickstudy.errors import UserError
from quickstudy.files.rundir import RunDirectory, tensors_to_bytes
from quickstudy.learner import AnyLearner
from quickstudy.learners.pooled import network_of, preceded, role_of
from quickstudy.tasks.source import TaskSource
from quickstudy.training.settings import Training


@dataclass(frozen=True)
class PooledTraining:
    """A pooled model that is still to be trained for a run.

    Attributes:
        learner: The pooled model.
        settings: Those of the run, for a share of its steps.
        directory: The run.
        variant: What stands before its network; see `TaskSource.pooled_variants`.
    """

    learner: AnyLearner
    settings: Training
    directory: RunDirectory
    variant: str | None = None

    @property
    def header(self) -> dict[str, Any]:
        """The header of its file: how to build it, and how long it was trained."""
        header = {"specs": self.learner.specs, "steps": self.settings.steps}
        return json.loads(json.dumps(header))  # Tuples are lists in a file.

    @property
    def done(self) -> bool:
        """Whether the run holds just this model; the same answer on every process."""
        return bool(json_from_first(self._is_kept))

    def _is_kept(self) -> bool:
        role = role_of(self.variant)
        trained = role in self.directory.read()["files"]
        return trained and self.directory.load(role)[1] == self.header

    def keep(self) -> None:
        """Writes the weights into the run directory."""
        if world()[0] == 0:
            content = tensors_to_bytes(self.learner.state_dict(), self.header)
            self.directory.save(self.directory.read(), {role_of(self.variant): content})


def pooled_training(
    learner: AnyLearner, source: TaskSource, training: Training, out: str | Path | None
) -> list[PooledTraining]:
    """The pooled models that a training asks for; none where it asks for none.

    Raises:
        UserError: The tasks share no outputs, the learner was not made by name, or there is no run
            directory.
    """
    if training.pooled is None:
        return []
    if not source.shares_outputs:
        raise UserError(
            "train: a pooled model is for tasks whose outputs mean the same in every task; "
            f"received pooled={training.pooled} for {type(source.untouched).__name__}; leave it "
            "out."
        )
    if learner.specs is None or out is None:
        raise UserError(
            "train: a pooled model is built as the learner was, and kept in the run directory; "
            f"received pooled={training.pooled} with "
            f"{'a learner built in Python' if learner.specs is None else 'no run directory'}; "
            "make the learner by quickstudy.build and give out, or leave pooled out."
        )
    name = "MultiTaskPolicy" if source.kind == "control" else "Pooled"
    steps = max(1, math.ceil(training.pooled * training.steps))
    settings = replace(
        training,
        steps=steps,
        valid_every=min(training.valid_every, steps),
        pooled=None,
        target=None,
        minutes=None,
        tensorboard=False,
        checkpoint_every=None,
    )
    net, seed = network_of(learner.specs), learner.specs["seed"]
    return [
        PooledTraining(
            preceded(catalog.build(name, source, net, seed), variant),
            settings,
            RunDirectory(out),
            variant,
        )
        for variant in (None, *source.untouched.pooled_variants)
    ]
