"""From the name of an encoder to the encoder, and from that to its network, loaded once."""

from __future__ import annotations

from difflib import get_close_matches
from threading import RLock
from typing import Final

from quickstudy.encoders.encoder import Backend, Encoder
from quickstudy.encoders.named import NAMED
from quickstudy.encoders.network import EncoderNetwork
from quickstudy.encoders.torch_networks import torch_network
from quickstudy.errors import UserError

BACKENDS: Final[tuple[Backend, ...]] = ("torch", "onnx")
_networks: dict[tuple[str, Backend], EncoderNetwork] = {}
_lock = RLock()


def encoder(name: str) -> Encoder:
    """The pretrained encoder of a name.

    Nothing is loaded: the weights are looked for when something is first encoded.

    Args:
        name: `"photos"` or `"sentences"`, or the name of its network, such as `"minilm-l6"`.

    Raises:
        UserError: There is none; the nearest name is suggested.

    Example:
        >>> qs.encoder("sentences").n_features
        384
    """
    by_alias = {named.alias: key for key, named in NAMED.items()}
    key = by_alias.get(name, name)
    if key in NAMED:
        return NAMED[key].encoder
    near = get_close_matches(name, [*NAMED, *by_alias], n=1, cutoff=0.4)
    raise UserError(
        f"encoder: must be one of {', '.join(NAMED)}; received {name!r}; "
        + (f"did you mean {near[0]}?" if near else "choose one of these.")
    )


def network(encoder: Encoder, backend: Backend = "torch") -> EncoderNetwork:
    """The loaded network of an encoder: one for all models of a process that need it.

    Args:
        encoder: The encoder.
        backend: What computes: torch, or ONNX Runtime, whose features differ by rounding.

    Raises:
        UserError: A package is missing, or there is no such backend.
        DataError: The weights are not those of the encoder.
    """
    if backend not in BACKENDS:
        raise UserError(
            f"encoder: backend must be one of {', '.join(BACKENDS)}; received {backend!r}; choose "
            "one."
        )
    key = (encoder.digest, backend)
    with _lock:
        if key not in _networks:
            _networks[key] = torch_network(encoder)
        return _networks[key]
