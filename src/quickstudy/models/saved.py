"""Loads models from run directories, and adapted models from files."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from quickstudy import catalog
from quickstudy.encoders import Backend, encoder
from quickstudy.encoders.named import NAMED, aliases
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
from quickstudy.inputs.constancy import Constancy, check_constancy
from quickstudy.inputs.labels import label_from_json
from quickstudy.learner import AnyLearner
from quickstudy.learners.policy import Policy
from quickstudy.learners.pooled import preceded, role_of
from quickstudy.models.adapted import Adapted
from quickstudy.models.frozen import TABLES, TABLES_NUMBERS, frozen
from quickstudy.models.model import Model
from quickstudy.models.named import NamedModel, by_name, named_models
from quickstudy.models.policy import AdaptedPolicy
from quickstudy.models.policy_files import POLICY_FORMAT, rounds_of
from quickstudy.models.policy_model import PolicyModel
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
        kind = kind_from_json(record.get("preprocess"), record.get("runtime"))
        if learner.kind == "control":
            return PolicyModel(cast(Policy, learner), kind)
        return Model(
            learner,
            tuple(record["x_shape"]),
            kind,
            float(record.get("temperature", 1.0)),
            _threshold(record),
            rule_from_json(record.get("targets")),
            record.get("classes"),
            record.get("caution"),
            _numbers(named, device),
        )


def _numbers(named: NamedModel | None, device: str) -> Callable[[], Model] | None:
    """A function that loads the model of numbers beside `tables`, where its weights are here."""
    beside = named_models().get(TABLES_NUMBERS)
    if named is None or named.name != TABLES or beside is None or beside.run is None:
        return None
    return partial(load, beside.run, device=device)


def model(
    name: str,
    device: str = "cpu",
    backend: Backend | None = None,
    constancy: Constancy | None = None,
) -> Model:
    """The model of a name, whatever folders there are: ready for new tasks without any training.

    Args:
        name: One that `quickstudy models` lists; or an encoder, in any form that `qs.encoder`
            takes, for logistic regression on its features.
        device: Where it computes.
        backend: What computes the features of an encoder; torch where omitted, or the choice of
            `quickstudy.encoders.use_backend`.
        constancy: Colour constancy of the pictures of an encoder, such as `"grey-world"`.

    Raises:
        UserError: There is no model of that name, no such device here, or no colours.

    Example:
        >>> qs.model("drawings")
        Model(PrototypicalNetwork, pictures (1, 28, 28), classification)
        >>> qs.model("sentences")
        Model(LinearProbe, texts (384,), classification)
    """
    _check_device(device)
    named = named_models().get(name)
    if named is not None and named.name not in NAMED:
        check_constancy(constancy, f"model {named.name}", in_colour=False)
    if named is not None and named.run is not None:
        loaded = load(named.run, device=device)
        loaded.numbers = _numbers(named, device)
        return loaded
    if named is not None and named.name not in NAMED:
        return named.made_on(device)
    if named is None and ":" not in name and name not in aliases():
        catalog.lookup("model", name, named_models())
    return frozen(encoder(name), backend, device, constancy)


def _check_device(device: str) -> None:
    """Refuses a device on which nothing can be computed here."""
    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as error:
        raise UserError(
            f"load: device must be one that torch finds here; received {device!r} "
            f"({str(error).splitlines()[0]}); use cpu, or install a PyTorch for that device."
        ) from error


def load_pooled(run: str | os.PathLike[str], variant: str | None = None) -> AnyLearner | None:
    """The pooled model that was trained beside a run; None where there is none.

    Args:
        run: The run directory.
        variant: What stands before its network; see `TaskSource.pooled_variants`.

    Raises:
        CheckpointError: The directory is missing, incomplete, from another version, or altered.
    """
    directory = run_of(run)
    role = role_of(variant)
    if role not in directory.read()["files"]:
        return None
    weights, header = directory.load(role)
    with reading_model(str(run)):
        learner = preceded(catalog.from_specs(header["specs"]), variant)
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
    tensors, header = _sealed(content, name)
    if header.get("kind") == "control":
        raise UserError(
            f"{name}: expected an adapted model that answers queries; received a policy, which "
            "acts; ask it with quickstudy act, or open it with quickstudy.load_policy."
        )
    with_model = _has_model(header, name, learner, model, "load_task")
    with reading_model(name):
        if with_model or model is None:
            learner = _learner_of(tensors, header, name, learner)
            model = Model(
                learner,
                *_inputs_of(header),
                float(header["temperature"]),
                _threshold(header),
                rule_from_json(header.get("targets")),
                header.get("classes"),
                header.get("caution"),
            )
        else:
            check_architectures(model.learner, header.get("networks"), name)
            if model.learner.tags.reads_columns:
                model = model.taking(*_inputs_of(header))
        _check_fingerprint(header, name, model)
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


def load_policy(
    path: str | os.PathLike[str],
    learner: Policy | None = None,
    model: PolicyModel | None = None,
) -> AdaptedPolicy:
    """A policy that `AdaptedPolicy.save` wrote.

    Args:
        path: The file.
        learner: The learner, for one that was not made by name.
        model: The meta-trained policy, for a file without its weights.

    Raises:
        CheckpointError: The file is missing, damaged, altered, of another model, or from another
            version.
        UserError: It is of another kind of model.

    Example:
        >>> policies.practise(world={"goal": [0.3, -0.2]}, episodes=5).save("corner.task")
        >>> qs.load_policy("corner.task").act([0.1, 0.2], greedy=True).shape
        (2,)
    """
    path, name = Path(path), str(path)
    if not path.is_file():
        received = "a folder" if path.is_dir() else "no such file"
        raise CheckpointError(
            f"{name}: expected a saved policy; received {received}; make one with quickstudy "
            "practise RUN --out mine.task."
        )
    tensors, header = _sealed(path.read_bytes(), name)
    if header.get("kind") != "control":
        raise UserError(
            f"{name}: expected a policy, which acts; received an adapted model that answers "
            "queries; ask it with quickstudy predict, or open it with quickstudy.load_task."
        )
    with_model = _has_model(header, name, learner, model, "load_policy")
    with reading_model(name):
        if with_model or model is None:
            owner = cast(Policy, _learner_of(tensors, header, name, learner))
            model = PolicyModel(owner, _inputs_of(header)[1])
        else:
            check_architectures(model.learner, header.get("networks"), name)
        _check_fingerprint(header, name, model)
        policy = AdaptedPolicy(
            model,
            rounds_of(tensors, header),
            model.learner.state_from(under(tensors, "state/")),
            [torch.tensor(each, dtype=torch.float64) for each in header["trials"]],
            header["world"],
        )
        # A state that does not fit is refused now rather than at the first observation.
        policy.act(torch.zeros(model.x_shape), greedy=True)
        return policy


def is_policy(path: Path) -> bool:
    """Whether a file holds an adapted policy; damage is found by whoever opens it."""
    if not path.is_file():
        return False
    try:
        return tensors_from_bytes(path.read_bytes(), str(path))[1].get("kind") == "control"
    except CheckpointError:
        return False


def _sealed(content: bytes, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the header of a task file that is whole, without its seal."""
    tensors, header = tensors_from_bytes(content, name)
    seal = header.pop("sha256", None)
    wanted = POLICY_FORMAT if header.get("kind") == "control" else TASK_FORMAT
    if header.get("format") != wanted:
        raise CheckpointError(
            f"{name}: this quickstudy reads saved tasks of format {TASK_FORMAT}, and policies of "
            f"format {POLICY_FORMAT}; received {header.get('format')!r}; adapt again with this "
            "version."
        )
    if seal != tensor_seal(header, tensors):
        raise CheckpointError(
            f"{name}: the sha256 of the task does not match; received a damaged or altered file; "
            "restore it from a copy, or adapt again."
        )
    return tensors, header


def _has_model(
    header: dict[str, Any],
    name: str,
    learner: AnyLearner | None,
    model: Model | None,
    where: str,
) -> bool:
    """Whether the weights are in a file; refuses one that cannot be opened with what is beside."""
    with_model = header.get("has_model") is not False
    if with_model and learner is None and header.get("specs") is None:
        raise UserError(
            f"{where}: {name} is of a {header.get('learner', 'learner')} that was built in "
            "Python; received no learner to load it into; pass learner=."
        )
    if not with_model and model is None:
        raise UserError(
            f"{where}: {name} was saved without its meta-trained model; received none beside it; "
            "pass model=."
        )
    return with_model


def _learner_of(
    tensors: dict[str, Tensor], header: dict[str, Any], name: str, learner: AnyLearner | None
) -> AnyLearner:
    """The learner of a file, with the weights that are in it."""
    learner = learner or catalog.from_specs(header["specs"])
    check_architectures(learner, header.get("networks"), name)
    _load_weights(learner, under(tensors, "weights/"))
    return learner


def _check_fingerprint(header: dict[str, Any], name: str, model: Model) -> None:
    """Refuses a model that is not the one of the file."""
    if header["fingerprint"] != model.fingerprint:
        raise CheckpointError(
            f"{name}: expected the model of fingerprint {header['fingerprint'][:16]}...; "
            f"received {model.fingerprint[:16]}...; load it with the model it was adapted from."
        )


def _inputs_of(header: dict[str, Any]) -> tuple[tuple[int, ...], InputKind]:
    kind = kind_from_json(header["preprocess"], header.get("runtime"))
    return tuple(header["x_shape"]), kind


def _threshold(record: dict[str, Any]) -> Threshold | None:
    """The threshold of novelty in a record; records of earlier versions have none."""
    return Threshold(**record["novelty"]) if record.get("novelty") else None


def _load_weights(learner: AnyLearner, weights: dict[str, Tensor]) -> None:
    # The numbers' own type first, so that float64 weights stay float64; half precision is for
    # small files alone, and computes in float32.
    types = [t.dtype for t in weights.values() if t.is_floating_point()]
    if types:
        learner.to(dtype=torch.float32 if types[0] == torch.float16 else types[0])
    learner.load_state_dict(weights)
