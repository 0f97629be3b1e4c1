"""Pictures and texts as the features of a frozen pretrained encoder."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from torch import Tensor

from quickstudy.encoders import (
    Backend,
    Encoder,
    EncoderNetwork,
    encoder_card,
    network,
)
from quickstudy.encoders.backend import check_backend, settled, usual_backend
from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.frames import AS_KNOWN, Reading, is_frame
from quickstudy.inputs.images import unreadable
from quickstudy.inputs.kind import Array, Form, InputKind, Shape
from quickstudy.inputs.labels import label_list
from quickstudy.inputs.pixels import (
    as_array,
    nested,
)
from quickstudy.inputs.text_files import labelled_texts, query_texts, texts_in_words
from quickstudy.inputs.texts import notes_of, repeated, text_of, texts_in
from quickstudy.inputs.token_notes import token_notes
from quickstudy.inputs.vectors import nested_numbers
from quickstudy.inputs.words import LeftOut, left_out
from quickstudy.progress import tell
from quickstudy.task import Kind

TEXTS_AT_ONCE: Final = 256


@dataclass(frozen=True)
class EncodedKind(InputKind):
    """Inputs of which a network gets the features of a frozen encoder.

    The encoder is loaded when something is first encoded, and shared by all kinds that name it.

    Attributes:
        encoder: The encoder.
        backend: What computes its features; they differ by rounding. Where omitted, the choice of
            `quickstudy.encoders.use_backend`, or else torch.

    Example:
        >>> from quickstudy.inputs import EncodedTexts
        >>> kind = EncodedTexts(qs.encoder("sentences"))  # an EncodedKind
        >>> kind.content("so it is") == kind.content("so it was")
        False
    """

    has_network = True

    encoder: Encoder
    backend: Backend = field(default_factory=usual_backend, compare=False)

    def __post_init__(self) -> None:
        if self.backend == "torch" and self.backend not in self.encoder.backends:
            object.__setattr__(self, "backend", self.encoder.backends[0])

    @property
    def x_shape(self) -> Shape:
        """Shape of one encoded input `(n_features,)`; `(tokens, width)` of token states."""
        return self.encoder.x_shape

    @property
    def network(self) -> EncoderNetwork:
        """The loaded encoder."""
        return network(self.encoder, self.backend)

    def prepare(self) -> None:
        network(self.encoder, self.backend)

    @abstractmethod
    def readable(self, inputs: Sequence[Any]) -> tuple[Array, dict[int, str]]:
        """Features `(n, n_features)` of the inputs that can be read, and why others cannot.

        Args:
            inputs: Each as one input is given.

        Returns:
            The features, and the reasons by the places of the others.
        """

    def stack(self, inputs: Sequence[Any]) -> Array:
        """Features `(n, *x_shape)` of many inputs.

        Args:
            inputs: Each as one input is given.

        Raises:
            UserError: Inputs cannot be read.
        """
        features, bad = self.readable(inputs)
        if bad:
            raise unreadable(bad, len(inputs), self.modality)
        return features.reshape(-1, *self.x_shape)

    @abstractmethod
    def content(self, value: Any) -> bytes:
        """The bytes that one input is known by, whatever form it has.

        Raises:
            UserError: It cannot be read.
        """

    @abstractmethod
    def separate(self, X: Any) -> tuple[list[Any], bool]:
        """The inputs in what a user hands over, and whether it is one rather than many.

        Raises:
            UserError: There are none.
        """

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        values = as_array(nested(X))
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            if values.shape == self.x_shape:
                return values[None], True
            if values.shape[1:] == self.x_shape:
                return values, False
        if isinstance(X, Tensor) and X.is_floating_point() and X.ndim < len(self.x_shape) + 2:
            raise UserError(
                f"inputs: features of the encoder {self.encoder.name} must have the shape "
                f"(examples, {', '.join(map(str, self.x_shape))}); received {tuple(X.shape)}; give "
                f"the {self.modality} themselves, or such features."
            )
        inputs, single = self.separate(X if is_frame(X) else values)
        return self.stack(inputs), single

    def to_json(self) -> JSON:
        return {"kind": f"encoded_{self.modality}", "encoder": self.encoder.to_json()}

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        return cls(Encoder.from_json(data["encoder"]))

    @property
    def net(self) -> JSON:
        return {"name": "Adapter"}

    @property
    def source_options(self) -> JSON:
        return {"encoder": self.encoder.name, "backend": self.backend}

    @property
    def runtime(self) -> JSON:
        return {"backend": self.backend}

    def with_runtime(self, runtime: JSON) -> InputKind:
        if len(self.encoder.backends) == 1:
            return self
        return replace(self, backend=settled(check_backend(runtime["backend"])))

    def to_request(self, x: Any) -> JSON:
        return {"values": x}


@dataclass(frozen=True)
class EncodedTexts(EncodedKind):
    """Texts as the features of a frozen encoder.

    A text is a string, `Text`, or a mapping with `text` and perhaps `spans`; floating-point numbers
    `(n_features,)` or `(examples, n_features)` are features already.

    Attributes:
        notes: Notes for the user, such as that texts are longer than the encoder reads.

    Example:
        >>> kind = EncodedTexts(qs.encoder("sentences"))
        >>> kind.x_shape
        (384,)
    """

    form = "text"
    modality = "texts"

    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)

    @property
    def net(self) -> JSON:
        blocks = self.encoder.text_rule.tail
        return {"name": "Tail", "blocks": blocks} if blocks else super().net

    def separate(self, X: Any) -> tuple[list[Any], bool]:
        texts, single = texts_in(X)
        return list(texts), single

    def readable(self, inputs: Sequence[Any]) -> tuple[Array, dict[int, str]]:
        texts, _ = texts_in(list(inputs))
        parts = [np.empty((0, self.encoder.n_features), np.float32)]
        bad: dict[int, str] = {}
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            some = texts[start : start + TEXTS_AT_ONCE]
            try:
                parts.append(self.network.texts(some))
            except UserError:  # Which of them it is, each alone says.
                for place, text in enumerate(some, start=start):
                    try:
                        parts.append(self.network.texts([text]))
                    except UserError as error:
                        bad[place] = str(error)
            tell("texts encoded", min(start + TEXTS_AT_ONCE, len(texts)), len(texts))
        return np.concatenate(parts), bad

    def content(self, value: Any) -> bytes:
        text = text_of(value, "the text")
        return json.dumps([text.text, text.spans]).encode()

    def raw(self, X: Any, single: bool) -> list[Any] | None:
        values = as_array(nested(X))
        if isinstance(values, np.ndarray) and values.dtype.kind == "f":
            return None
        return self.separate(X if is_frame(X) else values)[0]

    def caption(self, raw: Any) -> str | None:
        return text_of(raw, "the text").text

    def left_out(self, raw: Any) -> LeftOut | None:
        text = text_of(raw, "the text")
        read = None
        if self.network.tokens([text.text]).cut[0]:
            read = int(self.network.token_states([text.text]).ranges[0, :, 1].max())
        return left_out(text, read)

    def for_task(self, X: Any, y: Any, x_shape: Shape) -> tuple[InputKind, Any, Shape]:
        """The kind with notes on these texts, where there are some."""
        texts = self.raw(X, single=False)
        if texts is None:
            return self, X, x_shape
        notes = (*notes_of(X), *token_notes(self.network, texts))
        labels = label_list(y)
        if len(labels) == len(texts):
            notes += tuple(repeated(texts, labels))
        return (replace(self, notes=notes) if notes else self), X, x_shape

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        return labelled_texts(path, target, targets, reading)

    def read_queries(self, paths: Sequence[Path]) -> Sequence[Any]:
        return query_texts(paths)

    def read_words(self, words: Sequence[str]) -> Sequence[Any]:
        return texts_in_words(words)

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        if form == "values":
            return nested_numbers(value, x_shape)
        if form != self.form:
            raise self.refusal(form)
        return self.plain(text_of(value, "the request"))

    def plain(self, value: Any) -> Any:
        if not value.spans:
            return value.text
        return {"text": value.text, "spans": [list(span) for span in value.spans]}

    def length(self, x: Any) -> int | None:
        (text,), _ = texts_in(x)
        n = int(self.network.tokens([text.text]).n[0])
        return min(n, self.encoder.text_rule.max_length)

    def remarks(self, inputs: Iterable[Any]) -> list[str]:
        texts = [text_of(x, "the request") for x in inputs if not isinstance(x, list)]
        return token_notes(self.network, texts) if texts else []

    def card(self) -> JSON:
        return {"columns": None, "drawings": False, "encoder": encoder_card(self.encoder)}
