"""Loads models from run directories, and adapted models from files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from quickstudy import catalog
from quickstudy.encoders import Backend, encoder
from quickstudy.encoders.named import aliases
from quickstudy.errors import CheckpointError, UserError
from quickstudy.evaluation.novelty import Threshold
from quickstudy.files.rundir import (
    reading_model,
    tensor_seal,
    tensors_from_bytes,
    under,
)
from quickstudy.files.shipped import run_of
from quickstudy.inputs import InputKind, kind_from_json
from quickstudy.inputs.labels import label_from_json
from quickstudy.learner import AnyLearner
from quickstudy.models.adapted import Adapted
from quickstudy.models.frozen import TABLES, frozen, tables
from quickstudy.models.model import Model
from quickstudy.models.named import by_name, named_models
from quickstudy.models.task_files import TASK_FORMAT, support_of
from quickstudy.nets.traits import check_architectures
from quickstudy.targets import rule_from_json


def load(
    run: str | os.PathLike[str], learner: AnyLearner | None = None, device: str = "cpu"
) -> Model:
    """The meta-trained model of a run directory, or the model of a name.

    Args:
        run: Directory that `quickstudy train` or `quickstudy.train` wrote; or the name of a model,
            as `quickstudy models` lists them, where no folder has that name.
        learner: The learner that was trained, for one that was not made by name.
        device: Where it computes.

    Raises:
        CheckpointError: The directory is missing, incomplete, from another version, or altered.
        UserError: There is no such device here.

    Example:
        >>> model = qs.load("runs/digits")
        >>> model.kind, model.x_shape
        ('classification', (64,))
    """
    _check_device(device)
    named = by_name(run)
    if named is not None and named.run is None:
        return named.made_on(device)
    directory = run_of(run, named_models())
    record = directory.read()
    weights, _ = directory.load("weights")
    if learner is None:
        if not record.get("specs"):
            raise UserError(
                f"load: {run} holds the weights of a {record.get('learner', 'learner')} that was "
                "built in Python; received no learner to load them into; pass learner=."
            )
        with reading_model(str(run)):
            learner = catalog.from_specs(record["specs"])
    with reading_model(str(run)):
        check_architectures(learner, record.get("networks"), str(run))
        _load_weights(learner, weights)
        learner.to(device=device)
        return Model(
            learner,
            tuple(record["x_shape"]),
            kind_from_json(record.get("preprocess"), record.get("runtime")),
            float(record.get("temperature", 1.0)),
            _threshold(record),
            rule_from_json(record.get("targets")),
        )


def model(name: str, device: str = "cpu", backend: Backend | None = None) -> Model:
    """The model of a name, whatever folders there are: ready for new tasks without any training.

    Args:
        name: One that `quickstudy models` lists; or an encoder, in any form that `qs.encoder`
            takes, for logistic regression on its features.
        device: Where it computes.
        backend: What computes the features of an encoder; torch where omitted, or the choice of
            `quickstudy.encoders.use_backend`.

    Raises:
        UserError: There is no model of that name, or no such device here.

    Example:
        >>> qs.model("drawings")
        Model(PrototypicalNetwork, pictures (1, 28, 28), classification)
        >>> qs.model("sentences")
        Model(LinearProbe, texts (384,), classification)
    """
    _check_device(device)
    named = named_models().get(name)
    if named is not None and named.run is not None:
        return load(named.run, device=device)
    if name == TABLES:
        return tables(device)
    if named is None and ":" not in name and name not in aliases():
        catalog.lookup("model", name, named_models())
    return frozen(encoder(name), backend, device)


def _check_device(device: str) -> None:
    """Refuses a device on which nothing can be computed here."""
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise UserError(
            f"load: device must be one that torch finds here; received {device!r} "
            f"({str(error).splitlines()[0]}); use cpu, or install a PyTorch for that device."
        ) from error


def load_pooled(run: str | os.PathLike[str]) -> AnyLearner | None:
    """The pooled model that was trained beside a run; None where there is none.

    Raises:
        CheckpointError: The directory is missing, incomplete, from another version, or altered.
    """
    directory = run_of(run)
    if "pooled" not in directory.read()["files"]:
        return None
    weights, header = directory.load("pooled")
    with reading_model(str(run)):
        learner = catalog.from_specs(header["specs"])
        _load_weights(learner, weights)
    return learner.eval().requires_grad_(False)


def load_task(
    path: str | os.PathLike[str], learner: AnyLearner | None = None, model: Model | None = None
) -> Adapted:
    """An adapted model that `Adapted.save` wrote.

    Args:
        path: The file.
        learner: The learner, for one that was not made by name.
        model: The meta-trained model, for a file without its weights.

    Raises:
        CheckpointError: The file is missing, damaged, altered, of another model, or from another
            version.

    Example:
        >>> model.adapt(X[:50], y[:50]).save("digits.task")
        >>> qs.load_task("digits.task").predict(X[50:53]).shape
        (3,)
    """
    path = Path(path)
    if not path.is_file():
        named = by_name(path)
        received = "no such file" if named is None else "the name of a model, which knows no task"
        name = "" if named is None else f" {named.name}"
        raise CheckpointError(
            f"{path}: expected a saved task; received {received}; make one with quickstudy "
            f"adapt{name}."
        )
    return task_from_bytes(path.read_bytes(), str(path), learner, model)


def task_from_bytes(
    content: bytes, name: str, learner: AnyLearner | None = None, model: Model | None = None
) -> Adapted:
    """The adapted model of `Adapted.to_bytes`; `name` is for messages, the rest as `load_task`."""
    tensors, header = tensors_from_bytes(content, name)
    seal = header.pop("sha256", None)
    if header.get("format") != TASK_FORMAT:
        raise CheckpointError(
            f"{name}: this quickstudy reads saved tasks of format {TASK_FORMAT}; received "
            f"{header.get('format')!r}; adapt again with this version."
        )
    if seal != tensor_seal(header, tensors):
        raise CheckpointError(
            f"{name}: the sha256 of the task does not match; received a damaged or altered file; "
            "restore it from a copy, or adapt again."
        )
    with_model = header.get("has_model") is not False
    if with_model and learner is None and header.get("specs") is None:
        raise UserError(
            f"load_task: {name} is of a {header.get('learner', 'learner')} that was built in "
            "Python; received no learner to load it into; pass learner=."
        )
    if not with_model and model is None:
        raise UserError(
            f"load_task: {name} was saved without its meta-trained model; received none beside it; "
            "pass model=."
        )
    with reading_model(name):
        if with_model or model is None:
            learner = learner or catalog.from_specs(header["specs"])
        else:
            learner = model.learner
        check_architectures(learner, header.get("networks"), name)
        if with_model or model is None:
            _load_weights(learner, under(tensors, "weights/"))
            model = Model(
                learner,
                *_inputs_of(header),
                float(header["temperature"]),
                _threshold(header),
                rule_from_json(header.get("targets")),
            )
        elif model.learner.tags.reads_columns:
            model = model.taking(*_inputs_of(header))
        if header["fingerprint"] != model.fingerprint:
            raise CheckpointError(
                f"{name}: expected the model of fingerprint {header['fingerprint'][:16]}...; "
                f"received {model.fingerprint[:16]}...; load it with the model it was adapted from."
            )
        labels = [label_from_json(label) for label in header["labels"]]
        support = support_of(tensors, header, model.preprocess)
        x, state = support.x, model.learner.state_from(under(tensors, "state/"))
        adapted = Adapted(model, model.read(support, labels, stored=True), state)
        if x.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"support examples of type {x.dtype}")
        # A state that does not fit is refused now rather than at the first query.
        if x.shape[1:] != model.x_shape or len(adapted.predict(x[:1])) != 1:
            raise ValueError(f"support examples of shape {tuple(x.shape[1:])}")
        return adapted


def _inputs_of(header: dict[str, Any]) -> tuple[tuple[int, ...], InputKind]:
    kind = kind_from_json(header["preprocess"], header.get("runtime"))
    return tuple(header["x_shape"]), kind


def _threshold(record: dict[str, Any]) -> Threshold | None:
    """The threshold of novelty in a record; records of earlier versions have none."""
    return Threshold(**record["novelty"]) if record.get("novelty") else None


def _load_weights(learner: AnyLearner, weights: dict[str, Tensor]) -> None:
    # The numbers' own type first, so that float64 weights stay float64.
    types = [t.dtype for t in weights.values() if t.is_floating_point()]
    if types:
        learner.to(dtype=types[0])
    learner.load_state_dict(weights)
