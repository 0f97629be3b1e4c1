"""Tasks that a run is measured on in place of those that it was meta-trained on."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

from quickstudy import catalog
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.files.shipped import run_of
from quickstudy.models.model import Model
from quickstudy.models.named import by_name
from quickstudy.tasks import Episodes, Recorded, Split, TaskSource
from quickstudy.tasks.differences import some

DRAWING = ("n_way", "n_shot", "n_query", "seed")


def record_of(run: Path, model: Model, options: JSON) -> JSON:
    """The record of a run; of a model that has none, what stands in its place.

    Args:
        run: The run directory, or the name of a model.
        model: The model.
        options: Options of the tasks that the user names.

    Raises:
        CheckpointError: There is neither.
        UserError: The model has no run, and no tasks are named.
    """
    if has_run(run):
        return run_of(run).read()
    name = options.get("name")
    if name is None:
        raise UserError(
            f"evaluate {run}: a model without meta-training has no tasks of its own; received no "
            "others; name some, as in --tasks.name folder --tasks.path my_classes/."
        )
    usual = inspect.signature(Episodes).parameters
    drawing = () if catalog.makes_tasks(name) else DRAWING
    spec = {key: usual[key].default for key in drawing} | {"name": name}
    return {
        "tasks_spec": {**spec, **_inputs(model, name)},
        "step": 0,
        "minutes": 0.0,
        "cpu_minutes": 0.0,
    }


def has_run(run: Path) -> bool:
    """Whether there is a run, rather than the name of a model without meta-training."""
    named = by_name(run)
    return named is None or named.run is not None


def tasks_for(model: Model, spec: JSON, options: JSON) -> JSON:
    """The tasks of a run with other options, or other tasks, drawn as those of the run are.

    The inputs of other tasks are made as the run makes its own, where no option says otherwise.

    Args:
        model: The model of the run.
        spec: The tasks of the run.
        options: Options of the tasks that are to be others.
    """
    name: str = options.get("name") or spec["name"]
    if name == spec["name"] or model.learner.update_rule is not None:
        return spec | options
    drawing = () if catalog.makes_tasks(name) else DRAWING
    return {
        **{key: spec[key] for key in drawing if key in spec},
        **_inputs(model, name),
        **options,
    }


def check_fits(run: str | os.PathLike[str], model: Model, source: TaskSource, split: Split) -> None:
    """Refuses other tasks than those of a run where their numbers would mean nothing.

    Args:
        run: The run, for messages.
        model: Its model.
        source: The other tasks.
        split: The split of them that is measured.

    Raises:
        UserError: They have targets of another kind, inputs that the model does not take or that
            are made otherwise, or classes that the run was meta-trained or validated on.
    """
    inputs = None if source.preprocess is None else source.preprocess.to_json()
    own = (model.kind, tuple(model.x_shape), model.preprocess.to_json())
    theirs = (source.kind, tuple(source.x_shape), inputs)
    for what, one, other in zip(("targets", "shape of inputs", "inputs"), own, theirs, strict=True):
        if one != other:
            raise UserError(
                f"evaluate {run}: other tasks must have the {what} of the run, {one}; received "
                f"{other}; give options of --tasks that make them so, or other tasks."
            )
    if has_run(Path(run)) and (seen := Recorded.of(Path(run)).trained_on(source, split)):
        raise UserError(
            f"evaluate {run}: the tasks of meta-{split} must be new to the run; received "
            f"{some(seen)}, which are in another split of it; leave these out, or leave "
            "--tasks out, so that its own split is used."
        )


def _inputs(model: Model, name: str) -> JSON:
    """The options of a source by which its inputs are made as the model takes them."""
    own = inspect.signature(catalog.tasks_builder(name)).parameters
    options = model.preprocess.source_options
    return {key: value for key, value in options.items() if key in own}
