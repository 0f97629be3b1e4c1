"""The networks of named encoders, computed by torch."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load, load_file, save
from torch import Tensor, nn

from quickstudy.encoders.bert import Bert
from quickstudy.encoders.efficientnet import EfficientNetLite0
from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.in_parts import PicturesInParts, TextsInParts
from quickstudy.encoders.kept import kept_bytes
from quickstudy.encoders.named import NAMED, package_file
from quickstudy.encoders.network import EncoderNetwork, Features
from quickstudy.encoders.tokenizer import Tokenises, Tokenizer
from quickstudy.errors import DataError
from quickstudy.nets import Conv4

HEADS: Final = 12
"""Heads of each layer of MiniLM."""


def torch_network(encoder: Encoder) -> EncoderNetwork:
    """The network of a named encoder.

    Raises:
        UserError: A package is missing.
        DataError: The weights are not those of the encoder.
    """
    module = torch_module(encoder)
    if encoder.takes == "pictures":
        return PictureNetwork(encoder, module)
    return TextNetwork(encoder, module, tokenizer_of(encoder))


def torch_module(encoder: Encoder) -> nn.Module:
    """The module of a named encoder, with its weights.

    Raises:
        UserError: A package is missing.
        DataError: The weights are not those of the encoder.
    """
    weights = weights_of(encoder)
    if encoder.architecture == "efficientnet-lite0":
        return EfficientNetLite0(weights)
    if encoder.architecture == "conv4":
        return _conv4(weights)
    return Bert(weights, HEADS, without=encoder.text_rule.tail)


def left_layers(encoder: Encoder) -> list[dict[str, Tensor]]:
    """The weights of the layers that an encoder leaves to a network, by their names in `BertLayer`.

    Raises:
        UserError: A package is missing.
        DataError: The weights are not those of the encoder.
    """
    layers = Bert(weights_of(encoder), HEADS).layers
    return [layer.state_dict() for layer in layers[len(layers) - encoder.text_rule.tail :]]


def _conv4(weights: dict[str, Tensor]) -> nn.Module:
    """The network of the model that comes with quickstudy, of whose weights these are."""
    net = Conv4((1, 28, 28), hidden=32, norm="population", pools=4)
    net.load_state_dict({name.removeprefix("net."): value for name, value in weights.items()})
    return net


class PictureNetwork(PicturesInParts):
    """A module from standardised pictures to features.

    Args:
        encoder: The encoder.
        module: From `(n, channels, size, size)` to `(n, n_features)`.
    """

    def __init__(self, encoder: Encoder, module: nn.Module) -> None:
        super().__init__(encoder)
        self.module = module.eval().requires_grad_(False)

    def features(self, x: Features) -> Features:
        with torch.inference_mode():
            pictures = torch.from_numpy(x).contiguous(memory_format=torch.channels_last)
            return self.module(pictures).numpy()


class TextNetwork(TextsInParts):
    """A module from token numbers to token states.

    Args:
        encoder: The encoder.
        module: From ids and mask `(n, tokens)` to `(n, tokens, width)`.
        tokenizer: Takes texts apart.
    """

    def __init__(self, encoder: Encoder, module: nn.Module, tokenizer: Tokenises) -> None:
        super().__init__(encoder, tokenizer)
        self.module = module.eval().requires_grad_(False)

    def states(self, ids: NDArray[np.int64], mask: NDArray[np.bool_]) -> Features:
        with torch.inference_mode():
            return self.module(torch.from_numpy(ids), torch.from_numpy(mask)).numpy()


def tokenizer_of(encoder: Encoder) -> Tokenizer:
    """The tokenizer of a named encoder.

    Raises:
        UserError: A package is missing.
        DataError: The tokenizer is not that of the encoder.
    """
    named = NAMED[encoder.name]
    assert named.tokenizer is not None
    assert encoder.tokenizer is not None
    file = package_file(named, named.tokenizer, encoder.tokenizer)
    return Tokenizer(file.read_bytes(), encoder.text_rule.max_length, encoder.name)


def weights_of(encoder: Encoder) -> dict[str, Tensor]:
    """The tensors of a named encoder.

    A file of another format than safetensors is opened once, and what it holds is kept in the
    user's cache.

    Raises:
        UserError: A package is missing, or the cache cannot be written.
        DataError: The weights are not those of the encoder.
    """
    named = NAMED[encoder.name]
    file = package_file(named, named.weights, encoder.weights)
    if file.suffix != ".safetensors":
        kept = f"{encoder.name}-{encoder.weights}.safetensors"
        return load(kept_bytes(kept, lambda: save(_opened(file))))
    tensors: dict[str, Tensor] = load_file(file)
    return tensors


def _opened(file: Path) -> dict[str, Tensor]:
    """The tensors of a weight file whose digest was checked."""
    try:
        tensors = torch.load(file, map_location="cpu", weights_only=True)
        return {name: tensor.contiguous() for name, tensor in tensors.items()}
    except Exception as error:  # whatever torch raises of a broken file
        raise DataError(
            f"{file}: expected a file of weights; received one that cannot be read ({error}); "
            "install its package again."
        ) from error
