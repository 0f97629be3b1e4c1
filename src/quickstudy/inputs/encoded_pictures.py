"""Pictures as the features of a frozen pretrained encoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from quickstudy.encoders import Encoder, Text, encoder_card
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.constancy import Constancy, check_constancy
from quickstudy.inputs.encoded import EncodedKind
from quickstudy.inputs.files import labelled_files, pictures_at
from quickstudy.inputs.frames import AS_KNOWN, Reading
from quickstudy.inputs.images import STORED_SIDE, Pictures, pictures_in
from quickstudy.inputs.kind import Array, Form, Shape
from quickstudy.inputs.pixels import (
    as_array,
    from_base64,
    nested,
    picture_content,
    read_upload,
    to_plain,
    upload_pixels,
)
from quickstudy.inputs.vectors import nested_numbers
from quickstudy.task import Kind

AT_ONCE: Final = 64
"""Pictures that are in memory as more than their features at a time."""


@dataclass(frozen=True)
class EncodedPictures(EncodedKind):
    """Pictures as the features of a frozen encoder.

    A picture may have any form that `Pictures` takes; floating-point numbers `(n_features,)` or
    `(examples, n_features)` are features already.

    Attributes:
        constancy: Colour constancy of the pictures before they are encoded; see `Pictures`.

    Example:
        >>> kind = EncodedPictures(qs.encoder("photos"))
        >>> kind.x_shape
        (1280,)
    """

    form = "image"
    modality = "pictures"

    constancy: Constancy | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_constancy(self.constancy, self.encoder.name, self.encoder.picture_rule.mode == "RGB")

    @cached_property
    def pictures(self) -> Pictures:
        """How a picture becomes what the encoder takes."""
        rule = self.encoder.picture_rule
        if rule.ink:
            return Pictures(rule.size, rule.mode, ink=True, fill=rule.fill)
        return Pictures(
            rule.size,
            rule.mode,
            resize=rule.resize,
            crop_from=rule.crop_from,
            resample=rule.resample,
            constancy=self.constancy,
        )

    def to_json(self) -> JSON:
        chosen = {} if self.constancy is None else {"constancy": self.constancy}
        return {**super().to_json(), **chosen}

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        return cls(Encoder.from_json(data["encoder"]), constancy=data.get("constancy"))

    @property
    def source_options(self) -> JSON:
        chosen = {} if self.constancy is None else {"constancy": self.constancy}
        return {**super().source_options, **chosen}

    writes_raw = False

    def raw(self, X: Any, single: bool) -> list[Any] | None:
        """The pictures as they were handed over, without a copy."""
        values = as_array(nested(X))
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            return None
        return self.separate(values)[0]

    def plain(self, value: Any) -> Any:
        image, _, _ = to_plain(value, own=self.encoder.picture_rule.shape)
        image.thumbnail((STORED_SIDE, STORED_SIDE))
        return image

    def separate(self, X: Any) -> tuple[list[Any], bool]:
        _check_no_texts(X, self.encoder)
        return pictures_in(X, self.encoder.picture_rule.shape)

    def readable(self, inputs: Sequence[Any]) -> tuple[Array, dict[int, str]]:
        features: list[Array] = [np.empty((0, *self.x_shape), np.float32)]
        waiting: list[Array] = []

        def encode() -> None:
            features.append(self.network.pictures(np.stack(waiting)))
            waiting.clear()

        def take(levels: Array) -> None:
            waiting.append(levels)
            if len(waiting) == AT_ONCE:
                encode()

        bad = self.pictures.hand_over(inputs, take, skip_bad=True)
        if waiting:
            encode()
        return np.concatenate(features), bad

    def content(self, value: Any) -> bytes:
        # Of other colours, so that the cache tells their features apart.
        return (self.constancy or "").encode() + picture_content(value)

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        if path.is_file():
            raise UserError(
                f"adapt: the encoder {self.encoder.name} takes pictures, from a folder with a "
                f"folder for each class; received the file {path}; for texts there is the encoder "
                "sentences, and for rows of numbers and names tables."
            )
        return labelled_files(path)

    def read_queries(self, paths: Sequence[Path]) -> list[Any]:
        return list(pictures_at(paths))

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        if form == "values":
            return nested_numbers(value, x_shape)
        if form != self.form:
            raise self.refusal(form)
        return read_upload(from_base64(value["b64"]), max(STORED_SIDE, 2 * self.pictures.size))

    def pixels(self, form: Form, value: Any) -> int:
        return upload_pixels(value["b64"]) if form == self.form else 0

    def card(self) -> JSON:
        card = encoder_card(self.encoder)
        return {"columns": None, "drawings": self.encoder.picture_rule.ink, "encoder": card}


def _check_no_texts(X: Any, encoder: Encoder) -> None:
    """Raises UserError where pictures are asked for and texts are given."""
    first = X if isinstance(X, str) else next(iter(X), None) if isinstance(X, list | tuple) else X
    sentence = isinstance(first, str) and not Path(first).suffix and " " in first.strip()
    if isinstance(first, Text) or sentence:
        text = first.text if isinstance(first, Text) else first
        raise UserError(
            f"inputs: the encoder {encoder.name} takes pictures; received the text "
            f"{str(text)[:40]!r}; for texts use the encoder sentences, for pictures give paths."
        )
