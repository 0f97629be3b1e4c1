"""A meta-trained model as it is served: its card, its versions, its inputs."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from quickstudy.errors import UserError
from quickstudy.files.rundir import RunDirectory
from quickstudy.inputs.images import Pictures
from quickstudy.inputs.rows import Columns
from quickstudy.learner import flatten_state
from quickstudy.models.adapted import Adapted, Model
from quickstudy.models.saved import load
from quickstudy.serve.content import Plain, encoded, modality, picture, plain
from quickstudy.serve.problems import Problem, invalid
from quickstudy.serve.schema.requests import ID, Input


class Version(NamedTuple):
    """What the database keeps of a model, from which it can be had back."""

    digest: str
    record: bytes
    weights_name: str
    weights: bytes

    def load(self) -> Model:
        """The model."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "run.json").write_bytes(self.record)
            (Path(folder) / Path(self.weights_name).name).write_bytes(self.weights)
            return load(folder)


class Served:
    """A model, by the name of its run directory.

    Args:
        run: Run directory.

    Raises:
        UserError: The name of the folder is no name for a resource, or the learner is stochastic.
    """

    def __init__(self, run: Path) -> None:
        self.run = run.resolve()
        self.id = re.sub(r"[^a-z0-9]+", "-", self.run.name.lower()).strip("-")
        if not re.fullmatch(ID, self.id):
            raise UserError(
                "serve: the name of a run becomes that of its model, which must begin with a "
                f"letter; received {self.run.name!r}; rename the folder."
            )
        self.model = load(self.run)
        self.record = RunDirectory(self.run).read()
        if self.model.learner.tags.stochastic:
            raise UserError(
                f"serve: answers must not depend on chance; received {run}, whose learner draws "
                "random numbers; serve another."
            )

    @property
    def version(self) -> str:
        """The digest of the model."""
        return f"sha256:{self.model.fingerprint}"

    @property
    def modality(self) -> str:
        """`"pictures"`, `"rows"` or `"arrays"`."""
        return modality(self.model)

    @property
    def reads_columns(self) -> bool:
        """Whether every task has columns of its own."""
        return self.model.learner.tags.reads_columns

    @property
    def classifies(self) -> bool:
        """Whether labels are classes rather than values."""
        return self.model.kind == "classification"

    def kept(self) -> Version:
        """What the database keeps of the model."""
        name = self.record["files"]["weights"]["name"]
        record, weights = (self.run / "run.json").read_bytes(), (self.run / name).read_bytes()
        return Version(self.version, record, name, weights)

    def card(self) -> dict[str, Any]:
        """What clients see of the model."""
        specs, preprocess = self.record.get("specs") or {}, self.model.preprocess
        return {
            "name": f"models/{self.id}",
            "id": self.id,
            "modality": self.modality,
            "kind": self.model.kind,
            "learner": self.record["learner"],
            "net": None if self.reads_columns else (specs.get("net") or {}).get("name"),
            "version": self.version,
            "x_shape": [-1] if self.reads_columns else list(self.model.x_shape),
            "columns": list(preprocess.columns) if isinstance(preprocess, Columns) else None,
            "drawings": isinstance(preprocess, Pictures) and preprocess.ink,
            "temperature": self.model.temperature,
        }

    def plain(self, given: Input, pointer: str) -> Plain:
        """What an input is.

        Raises:
            Problem: It is not one of this model.
        """
        try:
            return plain(given, self.model)
        except UserError as error:
            raise invalid(error, pointer, "INPUT_UNREADABLE") from error

    def picture(self, data: bytes) -> bytes | None:
        """A kept input as PNG; None where it is no picture."""
        return picture(data, self.model.preprocess)

    def check_label(self, label: Any, pointer: str) -> None:
        """Checks that a label is text in classification, and numbers in regression.

        Raises:
            Problem: It is of the other kind.
        """
        if isinstance(label, str) == self.classifies:
            return
        error = UserError(
            f"label: must be {'text' if self.classifies else 'a number, or a list of them'}, as "
            f"this model is for {self.model.kind}; received {label!r}; change it."
        )
        raise invalid(error, pointer)


def encode(model: Model, given: Iterable[Plain], pointer: str = "") -> Tensor:
    """Inputs as tensors `(inputs, *x_shape)`.

    Raises:
        Problem: The model cannot take one of them; it says which.
    """
    rows = []
    for i, each in enumerate(given):
        try:
            rows.append(encoded(each, model))
        except UserError as error:
            raise invalid(error, f"{pointer}/{i}", "INPUT_UNREADABLE") from error
    return torch.cat(rows)


def for_rows(model: Model, rows: list[Plain], labels: list[Any]) -> tuple[Model, list[Plain]]:
    """A model whose learner reads columns, for those of a task, and the rows with all of them.

    Raises:
        Problem: It cannot be learned from these rows.
    """
    try:
        return model.for_rows(rows, labels)
    except UserError as error:
        raise invalid(error) from error


def adapt(model: Model, x: Tensor, labels: list[Any]) -> Adapted:
    """The model of a task.

    Raises:
        Problem: It cannot be learned from these examples.
    """
    try:
        adapted = Adapted(model, x, labels)
    except UserError as error:
        raise invalid(error) from error
    parts = flatten_state(adapted.state).values()
    if not all(torch.isfinite(t).all() for t in parts if t.is_floating_point()):
        raise Problem(
            "NOT_FINITE",
            "examples: what is learned from them must be finite; received examples that overflow "
            "the model; give examples like those of meta-training.",
        )
    return adapted
