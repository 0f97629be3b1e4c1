"""A frozen pretrained encoder, by all that decides its features."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Self

from quickstudy.errors import UserError
from quickstudy.files.records import JSON

Takes = Literal["pictures", "texts"]
Backend = Literal["torch", "onnx"]
DEPTH: Final = {"minilm": 6}
"""Blocks of each architecture whose last ones can be left to a network."""

LATER: Final[dict[Takes, JSON]] = {
    "pictures": {"resample": "bicubic", "pooling": None},
    "texts": {"tail": 0},
}
"""Parts of a rule that JSON has only where they are not these."""


class PictureRule(NamedTuple):
    """How a picture becomes the input of an encoder.

    Attributes:
        size: Side of the square input, in pixels.
        resize: Whether a picture that is not square is squashed, or its middle cut out.
        mean: Mean of each channel, in 0 .. 1, that is subtracted.
        std: Standard deviation of each channel, by which is divided.
        mode: `"RGB"`, or `"L"` for grey.
        crop_from: With `"crop"`, the length to which the shorter side is scaled before; `size`
            where omitted.
        ink: The pictures are drawings; see `quickstudy.tasks.Pictures`.
        fill: Part of the frame that the longer side of the ink fills.
        resample: How pixels are mixed when a picture is scaled.
        pooling: What a model of `transformers` gives of its states: that of the class token, their
            mean, or its pooled output; None for an encoder that gives features itself.

    Example:
        >>> rule = PictureRule(size=224, resize="squash", mean=(0.5,) * 3, std=(0.5,) * 3)
        >>> rule.shape
        (3, 224, 224)
    """

    size: int
    resize: Literal["squash", "crop"]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    mode: Literal["RGB", "L"] = "RGB"
    crop_from: int | None = None
    ink: bool = False
    fill: float = 0.65
    resample: Literal["bicubic", "bilinear"] = "bicubic"
    pooling: Literal["cls", "mean", "pooled"] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one input `(channels, size, size)`."""
        return (3 if self.mode == "RGB" else 1, self.size, self.size)


class TextRule(NamedTuple):
    """How a text becomes features.

    Attributes:
        max_length: Tokens after which a text is cut, with those that begin and end it.
        pooling: `"mean"` of the token states, or the state of the first, `"cls"`.
        normalise: Whether features are scaled to length 1.
        spans: Number of marked entities in each text, the mean of whose states stands before the
            features of the whole.
        tail: Last blocks that are left to a network behind the encoder. Above 0, features are the
            states of `max_length` tokens after the blocks before these, zeros where a text has
            fewer; pooling is the network's.

    Example:
        >>> TextRule(max_length=256, pooling="mean", normalise=True).spans
        0
    """

    max_length: int
    pooling: Literal["mean", "cls"]
    normalise: bool
    spans: int = 0
    tail: int = 0


@dataclass(frozen=True)
class Encoder:
    """A frozen pretrained network, by all that decides its features.

    Its JSON stands in run directories and task files, and a fingerprint covers it: neither other
    weights nor another preprocessing can take its place unseen. It holds no weights;
    `quickstudy.encoders.network` loads them.

    Attributes:
        name: The name it is asked for by, such as `"photos"`.
        source: Where the weights come from: a package and its version, or a folder or file.
        architecture: The forward pass that they are for.
        weights: Their sha256.
        n_features: Number of features.
        rule: How a picture or a text becomes its input.
        tokenizer: The sha256 of the tokenizer, for texts.
        licence: Licence of the weights.
        place: Where it lies on this machine, for one that is no package's; not part of its JSON.

    Example:
        >>> encoder = qs.encoder("photos")
        >>> encoder.takes, encoder.n_features
        ('pictures', 1280)
    """

    name: str
    source: str
    architecture: str
    weights: str
    n_features: int
    rule: PictureRule | TextRule
    tokenizer: str | None = None
    licence: str = ""
    place: Path | None = field(default=None, compare=False, repr=False)

    @property
    def takes(self) -> Takes:
        """The kind of its inputs."""
        return "pictures" if isinstance(self.rule, PictureRule) else "texts"

    @property
    def backends(self) -> tuple[Backend, ...]:
        """The backends that can compute its features, the usual one first."""
        if self.architecture == "onnx":
            return ("onnx",)
        return (
            ("torch",)
            if self.architecture in ("python", "transformers", "timm")
            else ("torch", "onnx")
        )

    @property
    def picture_rule(self) -> PictureRule:
        """The rule of an encoder of pictures."""
        assert isinstance(self.rule, PictureRule)
        return self.rule

    @property
    def text_rule(self) -> TextRule:
        """The rule of an encoder of texts."""
        assert isinstance(self.rule, TextRule)
        return self.rule

    @property
    def x_shape(self) -> tuple[int, ...]:
        """Shape of the features of one input: `(n_features,)`, or `(tokens, width)` of states."""
        if isinstance(self.rule, TextRule) and self.rule.tail:
            return (self.rule.max_length, self.n_features // self.rule.max_length)
        return (self.n_features,)

    @property
    def digest(self) -> str:
        """A sha256 of its JSON."""
        return hashlib.sha256(json.dumps(self.to_json(), sort_keys=True).encode()).hexdigest()

    def with_spans(self, spans: int) -> Self:
        """The same encoder for texts with this many marked entities.

        Raises:
            UserError: It is for pictures.
        """
        if self.takes != "texts":
            raise UserError(
                f"encoder {self.name}: spans are places in a text; received spans={spans} for an "
                "encoder of pictures; leave them out."
            )
        if self.text_rule.tail:
            raise UserError(
                f"encoder {self.name}: an encoder that leaves its last blocks to a network takes "
                f"texts without spans; received spans={spans}; use the whole encoder."
            )
        each = self.n_features // (1 + self.text_rule.spans)
        rule = self.text_rule._replace(spans=spans)
        return replace(self, rule=rule, n_features=(1 + spans) * each)

    def with_tail(self, blocks: int, tokens: int = 32) -> Self:
        """The encoder without its last blocks, which are left to a network such as `nets.Tail`.

        Args:
            blocks: How many blocks.
            tokens: Tokens after which a text is cut. Features are `tokens` times the width of one.

        Raises:
            UserError: It is not one whose blocks are known, has too few, or takes spans.
        """
        if self.architecture not in DEPTH:
            raise UserError(
                f"encoder {self.name}: only of {', '.join(DEPTH)} the last blocks can be left to a "
                f"network; received the architecture {self.architecture}; use the encoder whole."
            )
        rule, depth = self.text_rule, DEPTH[self.architecture]
        if not 1 <= blocks < depth or rule.spans or rule.tail or not 3 <= tokens <= rule.max_length:
            raise UserError(
                f"encoder {self.name}: must be whole and without spans, with 1 to {depth - 1} "
                f"blocks left to a network and 3 to {rule.max_length} tokens; received "
                f"blocks={blocks}, tokens={tokens}, spans={rule.spans}, tail={rule.tail}; correct "
                "them."
            )
        rule = rule._replace(max_length=tokens, tail=blocks)
        return replace(self, rule=rule, n_features=tokens * self.n_features)

    def to_json(self) -> JSON:
        """Plain JSON; without the place, which differs from machine to machine."""
        return {
            "name": self.name,
            "source": self.source,
            "architecture": self.architecture,
            "weights": self.weights,
            "tokenizer": self.tokenizer,
            "n_features": self.n_features,
            "takes": self.takes,
            "rule": {
                key: list(value) if isinstance(value, tuple) else value
                for key, value in self.rule._asdict().items()
                if key not in LATER[self.takes] or value != LATER[self.takes][key]
            },
            "licence": self.licence,
        }

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        """The same encoder from what `to_json` gave."""
        rule: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in data["rule"].items()
        }
        own = {key: value for key, value in data.items() if key not in ("rule", "takes")}
        of_pictures = data["takes"] == "pictures"
        return cls(**own, rule=PictureRule(**rule) if of_pictures else TextRule(**rule))
