"""A selected algorithm: fitted, with the reasons for the choice."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import sklearn
import torch
from numpy.typing import NDArray
from torch import Tensor

from quickstudy.errors import CheckpointError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.records import JSON
from quickstudy.files.rundir import tensor_seal, tensors_from_bytes, tensors_to_bytes
from quickstudy.inputs.labels import (
    label_array,
    label_from_json,
    label_to_json,
    some_labels,
)
from quickstudy.inputs.rows import Columns
from quickstudy.selection.configurations import CONFIGURATIONS, class_scores
from quickstudy.selection.support import Support

Array = NDArray[Any]
FORMAT = "selected algorithm 1"


class Selected:
    """An algorithm that was chosen for a support set and fitted to it.

    Args:
        name: The configuration.
        support: The encoded rows it is fitted to.
        classes: The label of each class.
        seed: Of its random numbers.
        why: What `AlgorithmSelector.explain` said of the choice.

    Attributes:
        estimator: The fitted scikit-learn estimator; it takes what `encode` gives.
        seconds: Processor time of fitting it.

    Example:
        >>> from quickstudy.selection.support import support_of
        >>> from quickstudy.tasks.tables import read_tables
        >>> part, _ = support_of(read_tables(Path("tables"))[0], range(30), range(30, 60))
        >>> selected = Selected("naive Bayes", part, ["no", "yes"], seed=0, why={})
        >>> selected.predict([["3", "1.5"], ["3", "-1.5"]])  # a customer and what was spent
        array(['yes', 'no'], dtype='<U3')
    """

    def __init__(
        self, name: str, support: Support, classes: list[Any], seed: int, why: JSON
    ) -> None:
        self.name, self.support, self.classes = name, support, classes
        self.seed, self.why = seed, why
        begin = time.process_time()
        self.estimator = CONFIGURATIONS[name].fitted(support.x, support.y, seed)
        self.seconds = time.process_time() - begin

    def __repr__(self) -> str:
        return (
            f"Selected({self.name!r}, {len(self.support.y)} rows, {len(self.classes)} classes: "
            f"{some_labels(self.classes)})"
        )

    def encode(self, X: Any) -> Array:
        """Rows as numbers `(rows, features)`, by what is known of the support."""
        x = self.support.columns(X).astype(np.float64)
        return x[None] if x.ndim == 1 else x

    def predict(self, X: Any) -> Array:
        """The label of each row."""
        return np.asarray(label_array(self.classes)[self.scores(X).argmax(axis=1)])

    def scores(self, X: Any) -> Array:
        """A score of each class `(rows, classes)`: a probability where the algorithm has one.

        An SVM and ridge have none; what they give is the larger the likelier.
        """
        return class_scores(self.estimator, self.encode(X))

    def explain(self) -> JSON:
        """Why this one: what `AlgorithmSelector.explain` said, and what choosing cost."""
        return self.why

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the support, and which configuration is fitted to it: `load` fits it again."""
        support = self.support
        tensors = {
            "x": torch.tensor(support.x),
            "y": torch.tensor(support.y),
            "missing": torch.tensor(support.missing),
        }
        header = {
            "configurations": {self.name: CONFIGURATIONS[self.name].describe()},
            "columns": support.columns.to_json(),
            "classes": [label_to_json(label) for label in self.classes],
            "seed": self.seed,
            "why": self.why,
        }
        write_sealed(Path(path), FORMAT, tensors, header)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Selected:
        """The algorithm that `save` wrote, fitted again.

        Raises:
            CheckpointError: The file is missing, altered, or of another version of quickstudy or of
                scikit-learn, so that the fitted algorithm would be another.
        """
        tensors, header = read_sealed(Path(path), FORMAT)
        x, y, missing = (tensors[name].numpy() for name in ("x", "y", "missing"))
        support = Support(x, y, missing, Columns.from_json(header["columns"]))
        (name,) = header["configurations"]
        classes = [label_from_json(label) for label in header["classes"]]
        return cls(name, support, classes, header["seed"], header["why"])


def write_sealed(path: Path, form: str, tensors: dict[str, Tensor], header: JSON) -> None:
    """Writes tensors with a header that names the format and versions, and the digest of both."""
    header = {"format": form, "scikit-learn": sklearn.__version__, **header}
    header["sha256"] = tensor_seal(header, tensors)
    write_atomically(path, tensors_to_bytes(tensors, header))


def read_sealed(path: Path, form: str) -> tuple[dict[str, Tensor], JSON]:
    """Tensors and header of a file, which are as they were written and of this version.

    Raises:
        CheckpointError: They are not.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path}: expected a file of the format {form!r}; received no such file; make one with "
            "quickstudy select."
        )
    tensors, header = tensors_from_bytes(path.read_bytes(), str(path))
    seal = header.pop("sha256", None)
    ours = {"format": form, "scikit-learn": sklearn.__version__}
    for key, value in ours.items():
        if header.get(key) != value:
            raise CheckpointError(
                f"{path}: expected the {key} {value!r}; received {header.get(key)!r}; use that "
                "version, or make the file again."
            )
    if seal != tensor_seal(header, tensors):
        raise CheckpointError(
            f"{path}: the sha256 does not match; received a damaged or altered file; restore it "
            "from a copy, or make it again."
        )
    for name, text in header["configurations"].items():
        if name not in CONFIGURATIONS or CONFIGURATIONS[name].describe() != text:
            raise CheckpointError(
                f"{path}: expected a configuration that this quickstudy has; received {name!r}, "
                f"{text}; make the file again."
            )
    return tensors, header
