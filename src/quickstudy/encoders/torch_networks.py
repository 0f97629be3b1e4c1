"""The networks of named encoders, computed by torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import Tensor, nn

from quickstudy.encoders.bert import Bert
from quickstudy.encoders.efficientnet import EfficientNetLite0
from quickstudy.encoders.encoder import Encoder
from quickstudy.encoders.named import NAMED, Named, package_file
from quickstudy.encoders.network import EncoderNetwork, Features, Tokens, TokenStates
from quickstudy.encoders.tokenizer import Tokenizer
from quickstudy.errors import DataError

PICTURES_AT_ONCE: Final = 16
TEXTS_AT_ONCE: Final = 64
HEADS: Final = 12
"""Heads of each layer of MiniLM."""


def torch_network(encoder: Encoder) -> EncoderNetwork:
    """The network of a named encoder.

    Raises:
        UserError: A package is missing.
        DataError: The weights are not those of the encoder.
    """
    named = NAMED[encoder.name]
    file = package_file(named, named.weights, encoder.weights)
    if encoder.architecture == "efficientnet-lite0":
        return PictureNetwork(encoder, EfficientNetLite0(_tensors(file)))
    return TextNetwork(encoder, Bert(_tensors(file), HEADS), _tokenizer(named, encoder))


class PictureNetwork(EncoderNetwork):
    """A module from standardised pictures to features.

    Args:
        encoder: The encoder.
        module: From `(n, channels, size, size)` to `(n, n_features)`.
    """

    def __init__(self, encoder: Encoder, module: nn.Module) -> None:
        super().__init__(encoder)
        self.module = module.eval().requires_grad_(False)
        rule = encoder.picture_rule
        self._mean = 255 * torch.tensor(rule.mean)[:, None, None]
        self._scale = 1 / (255 * torch.tensor(rule.std)[:, None, None])

    def pictures(self, x: NDArray[np.uint8]) -> Features:
        features = np.empty((len(x), self.encoder.n_features), dtype=np.float32)
        with torch.inference_mode():
            for start in range(0, len(x), PICTURES_AT_ONCE):
                part = torch.from_numpy(x[start : start + PICTURES_AT_ONCE]).float()
                z = self.module(self.standardised(part))
                features[start : start + PICTURES_AT_ONCE] = z.numpy()
        return features

    def standardised(self, x: Tensor) -> Tensor:
        """Pictures in 0 .. 255 as the module takes them."""
        return ((x - self._mean) * self._scale).contiguous(memory_format=torch.channels_last)


class TextNetwork(EncoderNetwork):
    """A module from token numbers to token states.

    Args:
        encoder: The encoder.
        module: From ids and mask `(n, tokens)` to `(n, tokens, width)`.
        tokenizer: Takes texts apart.
    """

    def __init__(self, encoder: Encoder, module: nn.Module, tokenizer: Tokenizer) -> None:
        super().__init__(encoder)
        self.module = module.eval().requires_grad_(False)
        self.tokenizer = tokenizer

    def tokens(self, texts: Sequence[str]) -> Tokens:
        return self.tokenizer.counted(texts)

    def token_states(self, texts: Sequence[str]) -> TokenStates:
        batch = self.tokenizer.encoded(texts)
        with torch.inference_mode():
            states = self.module(torch.from_numpy(batch.ids), torch.from_numpy(batch.mask))
        return TokenStates(states.numpy(), batch.mask, batch.ranges)

    def texts(self, texts: Sequence[Any]) -> Features:
        features = np.empty((len(texts), self.encoder.n_features), dtype=np.float32)
        # Texts of like length together, so that little is padded.
        order = sorted(range(len(texts)), key=lambda i: len(texts[i].text))
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            places = order[start : start + TEXTS_AT_ONCE]
            features[places] = super().texts([texts[place] for place in places])
        return features


def _tokenizer(named: Named, encoder: Encoder) -> Tokenizer:
    assert named.tokenizer is not None
    assert encoder.tokenizer is not None
    file = package_file(named, named.tokenizer, encoder.tokenizer)
    return Tokenizer(file.read_bytes(), encoder.text_rule.max_length, encoder.name)


def _tensors(file: Path) -> dict[str, Tensor]:
    """The tensors of a weight file whose digest was checked."""
    if file.suffix == ".safetensors":
        tensors: dict[str, Tensor] = load_file(file)
        return tensors
    try:
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # whatever torch raises of a broken file
        raise DataError(
            f"{file}: expected a file of weights; received one that cannot be read ({error}); "
            "install its package again."
        ) from error
