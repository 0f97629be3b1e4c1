"""From plain settings to a learner, its tasks and the settings of training."""

from __future__ import annotations

import inspect
import json
import os
from typing import Any

import torch
import torch.distributed as dist

from quickstudy import catalog
from quickstudy.learner import AnyLearner
from quickstudy.tasks import TaskSource
from quickstudy.training.loop import Result, Watch
from quickstudy.training.loop import train as meta_train
from quickstudy.training.settings import Training

DEFAULTS = {"learner": "PrototypicalNetwork", "tasks": "glyphs"}


DRAWING = ("n_way", "n_shot", "n_query")


# What a run may be continued with, though it began with another.
MAY_CHANGE = ("steps", "patience", "target", "minutes", "checkpoint_every", "tensorboard")


def run_training(
    options: dict[str, Any], resume: bool = False, show: bool = True, watch: Watch | None = None
) -> Result:
    """Meta-trains as the options of `quickstudy train` say."""
    # Paths become text, as in the run directory's record.
    options = json.loads(json.dumps({**options, "resume": None}, default=str))
    learner, source, training, tasks = built(options)
    if int(os.environ.get("WORLD_SIZE", 1)) > 1:
        dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
    try:
        about = {"config": options, "tasks_spec": tasks}
        out = options["out"]
        return meta_train(
            learner, source, training, out, about=about, resume=resume, show=show, watch=watch
        )
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def built(
    options: dict[str, Any],
) -> tuple[AnyLearner, TaskSource, Training, dict[str, Any]]:
    """The learner, tasks and settings that the options of training ask for, and the tasks' spec."""
    tasks = tasks_spec(options)
    source = catalog.build_tasks(tasks)
    learner = catalog.build(
        _given(options["learner"]), source, _given(options["net"]), options["seed"]
    )
    known = inspect.signature(Training).parameters
    return learner, source, Training(**{k: v for k, v in options.items() if k in known}), tasks


def tasks_spec(options: dict[str, Any]) -> dict[str, Any]:
    """The tasks that the options of training ask for."""
    drawing = {k: options[k] for k in DRAWING if k in options}
    tasks = {**_given(options["tasks"]), **drawing, "seed": options["seed"]}
    if not any(tasks.get("augment", {}).get(name) for name in ("rotations", "mix", "warp")):
        tasks.pop("augment", None)
    return tasks


def changed(recorded: dict[str, Any], options: dict[str, Any]) -> list[str]:
    """Names of the options that a run did not begin with and cannot be continued with."""
    asked = flat(json.loads(json.dumps(options, default=str)))
    return [
        key
        for key, value in flat(recorded).items()
        if key not in ("out", "resume", *MAY_CHANGE) and asked.get(key) != value
    ]


def _given(options: dict[str, Any]) -> dict[str, Any]:
    """The options without those left to the builder."""
    return {k: v for k, v in options.items() if v is not None}


def flat(options: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested options by dotted name."""
    found: dict[str, Any] = {}
    for key, value in options.items():
        if isinstance(value, dict) and key in ("learner", "tasks", "net", "augment"):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return found
