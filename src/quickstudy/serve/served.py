"""Served models: their cards, versions and inputs."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, NamedTuple

import torch

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.files.rundir import RunDirectory
from quickstudy.files.shipped import run_of
from quickstudy.inputs import Items, SupportSet, stored
from quickstudy.learner import flatten_state
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model
from quickstudy.models.named import by_name, run_directory
from quickstudy.models.saved import load
from quickstudy.serve.content import Plain
from quickstudy.serve.problems import Problem, invalid, refusals
from quickstudy.serve.schema.requests import ID, Input

EVALUATION: Final = "evaluation.json"
"""The file of a run directory that holds its last evaluation."""


def evaluated_details(run: Path) -> JSON:
    """The details in the evaluation that lies in a run directory; none where there are none."""
    try:
        details = json.loads((run / EVALUATION).read_text(encoding="utf-8")).get("details")
    except (OSError, ValueError, AttributeError):
        return {}
    return details if isinstance(details, dict) and isinstance(details.get("data"), dict) else {}


class Version(NamedTuple):
    """A stored version of a model, from which it can be loaded again."""

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


def identifier(name: str) -> str:
    """The id of a model or policy, by the name of its folder or file.

    Raises:
        UserError: The name cannot be that of a resource.
    """
    text = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if not re.fullmatch(ID, text):
        raise UserError(
            "serve: the name of a run becomes that of its model, which must begin with a "
            f"letter; received {name!r}; rename it."
        )
    return text


class Served:
    """A model, by the name of its run directory.

    Args:
        run: Run directory, or the name of a model that comes with quickstudy.

    Raises:
        UserError: The folder's name cannot be that of a resource, the learner is stochastic, or a
            package of its encoder is missing.
    """

    def __init__(self, run: Path) -> None:
        named = by_name(run)
        self.run = run_of(run if named is None else run_directory(named)).path.resolve()
        self.id = identifier(self.run.name)
        self.model = load(self.run)
        kind = self.model.preprocess
        if isinstance(kind, Items) and not kind.rated:
            raise UserError(
                f"serve: requests give items with their ratings; received {run}, a model of "
                "interactions; ask it in Python or by quickstudy predict, or serve one of ratings."
            )
        kind.prepare()
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
    def reads_columns(self) -> bool:
        """Whether every task has columns of its own."""
        return self.model.learner.tags.reads_columns

    @property
    def classifies(self) -> bool:
        """Whether labels are classes rather than values."""
        return self.model.kind == "classification"

    @property
    def takes_marked_texts(self) -> bool:
        """Whether an input is a text with entities that are marked in it."""
        return bool((self.model.preprocess.card().get("encoder") or {}).get("spans"))

    def stored(self) -> Version:
        """The stored version of the model."""
        name = self.record["files"]["weights"]["name"]
        record, weights = (self.run / "run.json").read_bytes(), (self.run / name).read_bytes()
        return Version(self.version, record, name, weights)

    def card(self) -> dict[str, Any]:
        """The description of the model for clients."""
        specs, kind = self.record.get("specs") or {}, self.model.preprocess
        threshold = self.model.novelty
        return {
            "name": f"models/{self.id}",
            "id": self.id,
            "modality": kind.modality,
            "kind": self.model.kind,
            "learner": self.record["learner"],
            "net": None if self.reads_columns else (specs.get("net") or {}).get("name"),
            "version": self.version,
            "x_shape": [-1] if self.reads_columns else list(self.model.x_shape),
            "caution": self.model.caution,
            "worst_site": evaluated_details(self.run).get("data", {}).get("worst_site"),
            "temperature": self.model.temperature,
            "novelty_auroc": threshold.auroc if threshold and threshold.is_useful else None,
            **kind.card(),
        }

    def plain(self, x: Input, pointer: str) -> Plain:
        """Reads an input.

        Raises:
            Problem: It is of another modality than the model's, or not what it says it is.
        """
        with refusals(pointer, "INPUT_UNREADABLE"):
            return self.model.preprocess.from_request(*x.form, self.model.x_shape)

    def notes(self, inputs: Iterable[Input]) -> list[str]:
        """Sentences on inputs that the model has taken, but not as they are."""
        return self.model.preprocess.remarks(self.plain(x, "") for x in inputs)

    def pixels(self, x: Input) -> int:
        """How many pixels it takes to decode an input: 0 where it is no picture that is taken."""
        return self.model.preprocess.pixels(*x.form)

    def shown(self, data: bytes) -> JSON:
        """A stored input as a request gives it; of one that came encoded, its series or item."""
        plain, kind = stored.to_request(data), self.model.preprocess
        encoded = kind.form in ("series", "item") and "values" in plain
        return kind.to_request(plain["values"]) if encoded else plain

    def title(self, data: bytes) -> str | None:
        """The title of a stored item; None where it is none."""
        kind = self.model.preprocess
        return kind.caption(self.shown(data)) if kind.form == "item" else None

    def picture(self, data: bytes) -> bytes | None:
        """A stored input as PNG; None where it is no picture."""
        return stored.to_png(data, self.model.preprocess)

    def check_label(self, label: Any, pointer: str) -> None:
        """Checks that a label is text in classification, and so many numbers in regression.

        Raises:
            Problem: It is of the other kind, or of other numbers.
        """
        if isinstance(label, str) != self.classifies:
            raise invalid(
                f"label: must be {'text' if self.classifies else 'a number, or a list of them'}, "
                f"as this model is for {self.model.kind}; received {label!r}; change it.",
                pointer,
            )
        n = len(label) if isinstance(label, list) else 1
        if not self.classifies and self.model.n_out not in (None, n):
            raise invalid(
                f"label: must hold {self.model.n_out} value{'' if self.model.n_out == 1 else 's'}, "
                f"as in meta-training; received {n}; correct it.",
                pointer,
            )
        ends = self.model.preprocess.label_ends
        if (
            ends is not None
            and not ends[0] <= (label[0] if isinstance(label, list) else label) <= ends[1]
        ):
            raise invalid(
                f"label: must be a rating of {ends[0]:g} to {ends[1]:g}, as in meta-training; "
                f"received {label}; put it on this scale.",
                pointer,
            )


def adapt(model: Model, support: SupportSet) -> Adapted:
    """The model of a task.

    Raises:
        Problem: It cannot be learned from these examples.
    """
    with refusals():
        adapted = Adapted(model.taking(support.x_shape, support.kind), support)
    tensors = flatten_state(adapted.state).values()
    if not all(torch.isfinite(t).all() for t in tensors if t.is_floating_point()):
        raise Problem(
            "NOT_FINITE",
            "examples: what is learned from them must be finite; received examples that overflow "
            "the model; give examples like those of meta-training.",
        )
    return adapted
