"""Encoders that a user builds in Python: any module, or a function of texts."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from quickstudy.encoders.identity import Encoder, PictureRule, TextRule
from quickstudy.encoders.in_parts import by_length
from quickstudy.encoders.named import read_file
from quickstudy.encoders.network import EncoderNetwork, Features, Tokens
from quickstudy.encoders.text import Text
from quickstudy.encoders.tokenizer import Tokenises, Tokenizer
from quickstudy.encoders.torch_networks import PictureNetwork, TextNetwork
from quickstudy.errors import UserError

PREFIX: Final = "python:"
OfTexts = Callable[[list[str]], Any]
"""From texts to their features `(n, n_features)`, as an array or a tensor."""
_without_version: set[str] = set()
_own: dict[str, tuple[Encoder, nn.Module | OfTexts, Tokenises | None]] = {}


def own_encoder(
    module: nn.Module | OfTexts,
    name: str,
    rule: PictureRule | TextRule,
    tokenizer: Tokenises | str | os.PathLike[str] | None = None,
    version: str = "",
    licence: str = "",
) -> Encoder:
    """The encoder of a module, which stands under its name in this process from now on.

    Args:
        module: See `quickstudy.encoders.identity`.
        name: Its name, without `python:`.
        rule: How its inputs are made.
        tokenizer: A `tokenizer.json`, or anything that takes texts apart; for a module of tokens.
        version: Told apart from others of the same weights; counts as part of these. With one,
            features are kept in the cache.
        licence: Licence of the weights.

    Raises:
        UserError: The name is none, or the module gives no features.
    """
    if not name or not name.isprintable() or name.strip() != name:
        raise UserError(
            f"encoder: name must be a word for messages and files; received {name!r}; give one, "
            "such as 'mine'."
        )
    takes_apart, digest = None, None
    if tokenizer is not None:
        takes_apart, digest = _tokenizer(tokenizer, rule, name)
    about = Encoder(
        name=f"{PREFIX}{name}",
        source=f"{type(module).__module__}.{type(module).__qualname__}",
        architecture="python",
        weights=_digest(module, version),
        n_features=0,
        rule=rule,
        tokenizer=digest,
        licence=licence,
    )
    n_features = _n_features(_network(about, module, takes_apart))
    encoder = replace(about, n_features=n_features)
    _own[encoder.name] = encoder, module, takes_apart
    (_without_version.discard if version else _without_version.add)(encoder.name)
    return encoder


def is_lasting(encoder: Encoder) -> bool:
    """Whether another process may take over features that are told apart by the encoder's digest.

    The code of a module or function is no part of the digest: only a version tells it apart.
    """
    return encoder.name not in _without_version


def registered(name: str) -> Encoder:
    """The encoder of a name that begins with `python:`.

    Raises:
        UserError: None of that name was built in this process.
    """
    if name not in _own:
        raise _unknown(name)
    return _own[name][0]


def own_network(encoder: Encoder) -> EncoderNetwork:
    """The network of an encoder that was built in this process.

    Raises:
        UserError: None of that name was built, or another one.
    """
    if encoder.name not in _own:
        raise _unknown(encoder.name)
    present, module, tokenizer = _own[encoder.name]
    spans = encoder.text_rule.spans if encoder.takes == "texts" else 0
    if (present.with_spans(spans) if spans else present) != encoder:
        raise UserError(
            f"encoder {encoder.name}: expected the one with the weights {encoder.weights[:16]}... "
            f"and {encoder.rule}; received one of this name with the weights "
            f"{present.weights[:16]}... and {present.rule}; build the one that the model was made "
            "with."
        )
    return _network(encoder, module, tokenizer)


def _unknown(name: str) -> UserError:
    return UserError(
        f"encoder {name}: it was built in Python and is in no file; received none of that name in "
        f"this process; build it before, as qs.encoder(module, name={name.removeprefix(PREFIX)!r}, "
        "...)."
    )


class _TextFunction(EncoderNetwork):
    """A function from texts to features, which tells nothing of their tokens."""

    def __init__(self, encoder: Encoder, function: OfTexts) -> None:
        super().__init__(encoder)
        self._function = function

    def texts(self, texts: Sequence[Text]) -> Features:
        if any(text.spans for text in texts):
            raise UserError(
                f"encoder {self.encoder.name}: a function of texts takes no spans; received marked "
                "texts; build it of a module of tokens, with a tokenizer."
            )
        return by_length(texts, self.encoder.n_features, self.features)

    def features(self, texts: Sequence[Text]) -> Features:
        """Features of some texts, as the function gives them."""
        with torch.inference_mode():
            output = self._function([text.text for text in texts])
        features = np.asarray(output, dtype=np.float32)
        if features.ndim != 2 or len(features) != len(texts):
            raise _no_features(self.encoder.name, len(texts), features.shape)
        length = np.linalg.norm(features, axis=1, keepdims=True).clip(min=1e-12)
        return features / length if self.encoder.text_rule.normalise else features

    def tokens(self, texts: Sequence[str]) -> Tokens:
        n = np.array([len(text.split()) for text in texts], dtype=np.int64)
        return Tokens(n, np.zeros(len(n), dtype=bool), np.zeros(len(n)))


def _network(
    encoder: Encoder, module: nn.Module | OfTexts, tokenizer: Tokenises | None
) -> EncoderNetwork:
    if encoder.takes == "texts" and tokenizer is None:
        return _TextFunction(encoder, module)
    if not isinstance(module, nn.Module):
        raise UserError(
            f"encoder {encoder.name}: pictures, and tokens, go through a torch.nn.Module; received "
            f"a {type(module).__name__}; pass a module, or for texts a function without tokenizer=."
        )
    if tokenizer is None:
        return PictureNetwork(encoder, module)
    return TextNetwork(encoder, module, tokenizer)


def _n_features(network: EncoderNetwork) -> int:
    """The number of features that a network gives of a blank picture or a short text.

    Raises:
        UserError: It gives none.
    """
    encoder = network.encoder
    if isinstance(network, PictureNetwork):
        shape = encoder.picture_rule.shape
        output = network.features(network.standardised(np.zeros((2, *shape), dtype=np.uint8)))
        if output.ndim != 2 or len(output) != 2:
            raise _no_features(encoder.name, 2, output.shape)
        return output.shape[1]
    if isinstance(network, TextNetwork):
        states = network.token_states(["a text", "another one"]).states
        if states.ndim != 3 or len(states) != 2:
            raise UserError(
                f"encoder {encoder.name}: a module of token numbers and their mask must give "
                f"states (texts, tokens, width); received {states.shape} for 2 texts; write its "
                "forward so."
            )
        return states.shape[2]
    assert isinstance(network, _TextFunction)
    return network.features([Text("a text"), Text("another one")]).shape[1]


def _no_features(name: str, n: int, shape: tuple[int, ...]) -> UserError:
    return UserError(
        f"encoder {name}: its features must have the shape (inputs, features); received {shape} "
        f"for {n} inputs; write its forward so, with one row of numbers an input."
    )


def _digest(module: nn.Module | OfTexts, version: str) -> str:
    """A sha256 of the weights of a module, and of its version."""
    digest = hashlib.sha256(version.encode())
    state = module.state_dict() if isinstance(module, nn.Module) else {}
    for name, tensor in state.items():
        values = tensor.detach().cpu().reshape(-1)
        digest.update(f"{name} {values.dtype} {tuple(tensor.shape)}".encode())
        digest.update(values.view(torch.uint8).numpy().tobytes() if values.numel() else b"")
    return digest.hexdigest()


def _tokenizer(
    tokenizer: Tokenises | str | os.PathLike[str], rule: PictureRule | TextRule, name: str
) -> tuple[Tokenises, str]:
    """The tokenizer and its digest."""
    if not isinstance(rule, TextRule):
        raise UserError(
            f"encoder {name}: a tokenizer is for texts; received one for pictures; leave it out."
        )
    if isinstance(tokenizer, str | os.PathLike):
        content = read_file(Path(tokenizer))
        return Tokenizer(content, rule.max_length, name), hashlib.sha256(content).hexdigest()
    about = f"{type(tokenizer).__module__}.{type(tokenizer).__qualname__}"
    return tokenizer, hashlib.sha256(about.encode()).hexdigest()
