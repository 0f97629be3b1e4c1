"""Models that need no meta-training: a frozen encoder, and logistic regression on its features."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from quickstudy import catalog
from quickstudy.encoders import NAMED, Backend, Encoder
from quickstudy.encoders.backend import usual_backend
from quickstudy.evaluation.novelty import KEPT, Threshold
from quickstudy.files.rundir import RunDirectory, tensors_to_bytes
from quickstudy.inputs import EncodedPictures, EncodedTexts, InputKind, Vectors
from quickstudy.inputs.constancy import Constancy, check_constancy
from quickstudy.models.model import Model
from quickstudy.version import __version__

TABLES: Final = "tables"
TABLES_NUMBERS: Final = "tables-numbers"
LINEAR_TABLES: Final = "tables-linear"
NOVELTY: Final = {
    NAMED["sentences"].encoder.weights: Threshold(value=0.9, auroc=0.9505, kept=KEPT, n_tasks=240),
    NAMED["photos"].encoder.weights: Threshold(value=0.78, auroc=0.7454, kept=KEPT, n_tasks=240),
}
"""Thresholds of novelty by the weights of an encoder, measured by `benchmarks/novelty.py`."""


def frozen(
    encoder: Encoder,
    backend: Backend | None = None,
    device: str = "cpu",
    constancy: Constancy | None = None,
) -> Model:
    """The model of an encoder: logistic regression on its features, with a penalty that suits them.

    It adapts to any number of classes and examples. Nothing of it was meta-trained. The novelty
    from which on a query is of none of the classes was measured on other data, for an encoder with
    a name.

    Args:
        encoder: The encoder.
        backend: What computes its features; torch where omitted, or the choice of
            `quickstudy.encoders.use_backend`.
        device: Where the regression is computed.
        constancy: Colour constancy of pictures; see `quickstudy.inputs.Pictures`.

    Raises:
        UserError: Constancy is asked for of texts or grey pictures.

    Example:
        >>> from quickstudy.models.frozen import frozen
        >>> frozen(qs.encoder("sentences"))
        Model(LinearProbe, texts (384,), classification)
    """
    check_constancy(constancy, encoder.name, encoder.takes == "pictures")
    backend = backend or usual_backend()
    kind: InputKind = (
        EncodedPictures(encoder, backend, constancy)
        if encoder.takes == "pictures"
        else EncodedTexts(encoder, backend)
    )
    plain = encoder.takes == "pictures" or not encoder.text_rule.spans
    novelty = NOVELTY.get(encoder.weights) if plain and constancy is None else None
    return _probe(kind, encoder.n_features, device, novelty)


def linear_tables(device: str = "cpu") -> Model:
    """The model of any table: logistic regression on its columns, standardised and one-hot.

    Args:
        device: Where the regression is computed.
    """
    return _probe(Vectors(), 1, device, columns=True)


def write_run(model: Model, folder: Path) -> None:
    """Writes a model without meta-training as a run directory, for whoever needs one.

    Args:
        model: One that `frozen` or `linear_tables` made.
        folder: The directory, which must not hold a run.
    """
    weights = tensors_to_bytes(model.learner.state_dict())
    record = {
        **model.to_json(),
        "version": __version__,
        "kind": model.kind,
        "step": 0,
        "minutes": 0.0,
        "cpu_minutes": 0.0,
    }
    directory = RunDirectory(folder)
    directory.create(record)
    directory.save(directory.read(), {"weights": weights})


def _probe(
    kind: InputKind,
    n_features: int,
    device: str,
    novelty: Threshold | None = None,
    **options: Any,
) -> Model:
    specs = {
        "learner": {"name": "LinearProbe", **options},
        "net": {"name": "MLP", "hidden": []},
        "x_shape": [n_features],
        "n_out": 2,
        "kind": "classification",
        "seed": 0,
    }
    learner = catalog.from_specs(specs).to(device=device)
    return Model(learner, (n_features,), kind, novelty=novelty)
