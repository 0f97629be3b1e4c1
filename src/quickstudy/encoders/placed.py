"""Encoders that lie in a folder or file: `folder:`, `hf:`, `onnx:` and `timm:`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from quickstudy.encoders import folder, graph, hub, timm_models
from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.named import sha256_of
from quickstudy.encoders.network import EncoderNetwork
from quickstudy.encoders.places import encoders_dir, places_of, remember
from quickstudy.errors import DataError, QuickstudyError, UserError


class Placed(NamedTuple):
    """The functions for encoders whose names begin alike.

    Attributes:
        describe: The encoder of what stands after the prefix.
        digests: The digests of weights and tokenizer of what lies in a place.
        network: The network of an encoder that lies there.
    """

    describe: Callable[[str], Encoder]
    digests: Callable[[Path, Encoder], tuple[str, str | None]]
    network: Callable[[Encoder, Path], EncoderNetwork]


def placed_encoder(name: str) -> Encoder:
    """The encoder of a name with one of these prefixes.

    Raises:
        UserError: It cannot be used so.
        DataError: It is missing, or cannot be read.
    """
    prefix, _, rest = name.partition(":")
    return remember(PLACED[f"{prefix}:"].describe(rest))


def placed_network(encoder: Encoder) -> EncoderNetwork:
    """The network of an encoder, from the first place where it lies.

    Raises:
        UserError: A package is missing.
        DataError: It lies in none of the places, or another one does.
    """
    return _kind(encoder).network(encoder, located(encoder))


def located(encoder: Encoder) -> Path:
    """The first place where an encoder lies, by its digests.

    Raises:
        DataError: It lies in none of the places, or another one does.
    """
    wanted = (encoder.weights, encoder.tokenizer)
    received = []
    for place in dict.fromkeys(places_of(encoder)):
        if not place.exists():
            received.append(f"nothing at {place}")
            continue
        try:
            digests = _kind(encoder).digests(place, encoder)
        except QuickstudyError as error:
            received.append(f"{place}, which cannot be used ({error})")
            continue
        if digests == wanted:
            return place
        received.append(f"{place}, which has {_told(digests)}")
    raise DataError(
        f"encoder {encoder.name}: expected the one with {_told(wanted)}; received "
        f"{'; '.join(received)}; name where it lies, as qs.encoder('{_prefix(encoder)}PATH') does, "
        f"or put it into {encoders_dir()}."
    )


def _kind(encoder: Encoder) -> Placed:
    return PLACED[_prefix(encoder)]


def _prefix(encoder: Encoder) -> str:
    return f"{encoder.name.partition(':')[0]}:"


def _told(digests: tuple[str, str | None]) -> str:
    weights, tokenizer = digests
    with_tokenizer = "" if tokenizer is None else f" and tokenizer {tokenizer[:16]}..."
    return f"weights {weights[:16]}...{with_tokenizer}"


def _of_folder(path: Path, encoder: Encoder) -> tuple[str, str | None]:
    folder.check_no_code(path)
    of_texts = encoder.takes == "texts"
    return folder.digest_of(path), sha256_of(path / folder.TOKENIZER) if of_texts else None


def _of_graph(path: Path, encoder: Encoder) -> tuple[str, str | None]:
    of_texts = encoder.takes == "texts"
    return graph.digest_of(path), graph.tokenizer_digest(path) if of_texts else None


def _downloaded(name: str) -> Encoder:
    path = hub.hub_folder(name)
    if not path.is_dir():
        raise UserError(
            f"encoder {hub.PREFIX}{name}: it must have been downloaded; received nothing at {path}"
            f"; run quickstudy encoders get {hub.PREFIX}{name} on a machine with network, once."
        )
    return folder.folder_encoder(path, f"{hub.PREFIX}{name}")


PLACED: Final[dict[str, Placed]] = {
    folder.PREFIX: Placed(
        lambda rest: folder.folder_encoder(Path(rest).expanduser()),
        _of_folder,
        folder.folder_network,
    ),
    hub.PREFIX: Placed(_downloaded, _of_folder, folder.folder_network),
    graph.PREFIX: Placed(
        lambda rest: graph.graph_encoder(Path(rest).expanduser()), _of_graph, graph.graph_network
    ),
    timm_models.PREFIX: Placed(
        timm_models.timm_encoder,
        lambda path, encoder: (sha256_of(path), None),
        timm_models.timm_network,
    ),
}
"""By the prefix of the name."""
