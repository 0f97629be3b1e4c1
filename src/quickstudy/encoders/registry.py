"""From the name of an encoder to the encoder, and from that to its network, loaded once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from difflib import get_close_matches
from threading import RLock
from typing import Final, Literal

from torch import nn

from quickstudy.encoders.backend import check_backend
from quickstudy.encoders.identity import Backend, Encoder, PictureRule, Takes, TextRule
from quickstudy.encoders.named import NAMED, aliases
from quickstudy.encoders.network import EncoderNetwork
from quickstudy.encoders.own import PREFIX, OfTexts, own_encoder, own_network, registered
from quickstudy.encoders.tokenizer import Tokenises
from quickstudy.encoders.torch_networks import torch_network
from quickstudy.errors import UserError

PREFIXES: Final = ("folder:", "onnx:", "timm:", "hf:")
"""Beginnings of the names of encoders that lie in a folder or file."""
_networks: dict[tuple[str, Backend], EncoderNetwork] = {}
_lock = RLock()


def encoder(
    source: str | nn.Module | OfTexts,
    *,
    name: str | None = None,
    takes: Takes = "pictures",
    size: int = 224,
    resize: Literal["squash", "crop"] = "squash",
    mean: Sequence[float] = (0.5, 0.5, 0.5),
    std: Sequence[float] = (0.5, 0.5, 0.5),
    mode: Literal["RGB", "L"] = "RGB",
    tokenizer: Tokenises | str | os.PathLike[str] | None = None,
    max_length: int = 256,
    pooling: Literal["mean", "cls"] = "mean",
    normalise: bool = True,
    version: str = "",
    licence: str = "",
) -> Encoder:
    """The pretrained encoder of a name, or of a module of your own.

    Nothing is loaded of an encoder with a name: the weights are looked for when something is first
    encoded. A module is frozen, and known in this process as `python:` and its name.

    Args:
        source: A name, `"photos"` or `"sentences"`, or the name of its network, such as
            `"minilm-l6"`; `"sentences:tail1"` is without its last block, see `Encoder.with_tail`;
            or `"folder:PATH"`, `"onnx:PATH"`, `"timm:NAME@FILE"` or
            `"hf:ORG/NAME@COMMIT"`. Or a `torch.nn.Module`: from standardised pictures
            `(n, channels, size, size)` to features `(n, n_features)`; or, with a tokenizer, from
            token numbers and their mask `(n, tokens)` to states `(n, tokens, width)`. Or a
            function, from a list of texts to features `(n, n_features)`. The rest is for these.
        name: Its name, for messages and for files, which hold nothing else of it.
        takes: What its inputs are.
        size: Side of the square picture that it takes.
        resize: Whether a picture that is not square is squashed, or its middle cut out.
        mean: Mean of each channel, in 0 .. 1, that is subtracted.
        std: Standard deviation of each channel, by which is divided.
        mode: `"RGB"`, or `"L"` for grey.
        tokenizer: A `tokenizer.json`, or an object with the methods of
            `quickstudy.encoders.Tokenises`.
        max_length: Tokens after which a text is cut.
        pooling: `"mean"` of the token states, or the state of the first, `"cls"`.
        normalise: Whether features of texts are scaled to length 1.
        version: Tells modules of the same weights, and functions, apart; part of the digest.
        licence: Licence of the weights.

    Raises:
        DataError: Files of an encoder that lies in a place are missing or damaged.
        UserError: There is no such name, of which the nearest is suggested; or the module gives no
            features.

    Example:
        >>> qs.encoder("sentences").n_features
        384
    """
    if not isinstance(source, str):
        channels = 1 if mode == "L" else 3
        rule = (
            PictureRule(size, resize, _each(mean, channels), _each(std, channels), mode)
            if takes == "pictures"
            else TextRule(max_length, pooling, normalise)
        )
        return own_encoder(source, name or "", rule, tokenizer, version, licence)
    if source.startswith(PREFIX):
        return registered(source)
    if source.partition(":")[0] + ":" in PREFIXES:
        # Only here: their packages are needed by nothing else.
        from quickstudy.encoders.placed import placed_encoder

        return placed_encoder(source)
    whole, colon, blocks = source.rpartition(":tail")
    if colon and blocks.isdecimal():
        return encoder(whole).with_tail(int(blocks))
    by_alias = aliases()
    key = by_alias.get(source, source)
    if key in NAMED:
        return NAMED[key].encoder
    near = get_close_matches(source, [*NAMED, *by_alias], n=1, cutoff=0.4)
    raise UserError(
        f"encoder: must be one of {', '.join(NAMED)}, or begin with {', '.join(PREFIXES)}; "
        f"received {source!r}; " + (f"did you mean {near[0]}?" if near else "choose one of these.")
    )


def network(encoder: Encoder, backend: Backend = "torch") -> EncoderNetwork:
    """The loaded network of an encoder: one for all models of a process that need it.

    Args:
        encoder: The encoder.
        backend: What computes: torch, or ONNX Runtime, whose features differ by rounding.

    Raises:
        UserError: A package is missing, or there is no such backend for it.
        DataError: The weights are not those of the encoder.
    """
    if check_backend(backend) not in encoder.backends:
        raise UserError(
            f"encoder {encoder.name}: is computed by {' or '.join(encoder.backends)}; received the "
            f"backend {backend!r}; leave it out."
        )
    if encoder.name.startswith(PREFIX):  # held by the process already
        return own_network(encoder)
    key = (encoder.digest, backend)
    with _lock:
        if key not in _networks:
            _networks[key] = _loaded(encoder, backend)
        return _networks[key]


def _loaded(encoder: Encoder, backend: Backend) -> EncoderNetwork:
    if encoder.name.partition(":")[0] + ":" in PREFIXES:
        from quickstudy.encoders.placed import placed_network

        return placed_network(encoder)
    if backend == "onnx":
        # Only here: what computes with torch needs none of its packages.
        from quickstudy.encoders.onnx_networks import onnx_network

        return onnx_network(encoder)
    return torch_network(encoder)


def _each(values: Sequence[float], n: int) -> tuple[float, ...]:
    """A number for each channel; one that is the same for all may stand for them."""
    numbers = tuple(float(value) for value in values)
    if len(set(numbers)) == 1:
        return numbers[:1] * n
    if len(numbers) != n:
        raise UserError(
            f"encoder: mean and std have a number for each of {n} channel(s), in 0 .. 1; received "
            f"{len(numbers)}; give as many."
        )
    return numbers
