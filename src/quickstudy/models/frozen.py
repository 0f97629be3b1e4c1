"""Models that need no meta-training: a frozen encoder, and logistic regression on its features."""

from __future__ import annotations

from typing import Any, Final

from quickstudy import catalog
from quickstudy.encoders import Backend, Encoder
from quickstudy.encoders.backend import usual_backend
from quickstudy.inputs import EncodedPictures, EncodedTexts, InputKind, TaskColumns, Vectors
from quickstudy.models.model import Model

TABLES: Final = "tables"


def frozen(encoder: Encoder, backend: Backend | None = None, device: str = "cpu") -> Model:
    """The model of an encoder: logistic regression on its features, with a penalty that suits them.

    It adapts to any number of classes and examples. Nothing of it was meta-trained.

    Args:
        encoder: The encoder.
        backend: What computes its features; torch where omitted, or the choice of
            `quickstudy.encoders.use_backend`.
        device: Where the regression is computed.

    Example:
        >>> from quickstudy.models.frozen import frozen
        >>> frozen(qs.encoder("sentences"))
        Model(LinearProbe, texts (384,), classification)
    """
    kind = (EncodedPictures if encoder.takes == "pictures" else EncodedTexts)(
        encoder, backend or usual_backend()
    )
    return _probe(kind, encoder.n_features, device)


def tables(device: str = "cpu") -> Model:
    """The model of any table: logistic regression on its columns, standardised and one-hot.

    Args:
        device: Where the regression is computed.
    """
    return _probe(TaskColumns(Vectors()), 1, device, unit=False)


def _probe(kind: InputKind, n_features: int, device: str, **options: Any) -> Model:
    specs = {
        "learner": {"name": "LinearProbe", **options},
        "net": {"name": "MLP", "hidden": []},
        "x_shape": [n_features],
        "n_out": 2,
        "kind": "classification",
        "seed": 0,
    }
    learner = catalog.from_specs(specs).to(device=device)
    return Model(learner, (n_features,), kind)
