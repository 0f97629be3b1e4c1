"""The encoders of this machine, as people and programs read them."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from quickstudy.encoders.backend import BACKENDS, missing_packages
from quickstudy.encoders.hub import NAME, PREFIX
from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.named import NAMED, Named, package_folder
from quickstudy.encoders.placed import placed_encoder
from quickstudy.encoders.places import encoders_dir
from quickstudy.errors import QuickstudyError
from quickstudy.files.records import JSON


def listing() -> list[JSON]:
    """Every encoder that has a name here: those of packages, then those that were downloaded."""
    return [*map(_packaged, NAMED.values()), *_downloaded()]


def _packaged(named: Named) -> JSON:
    folder = package_folder(named)
    return _described(named.encoder) | {
        "alias": named.alias,
        "about": named.says,
        "megabytes": named.megabytes,
        "place": None if folder is None else str(folder),
        "present": folder is not None and not _lacks_tokenizers(named.encoder),
        "get": named.pip,
    }


def _described(encoder: Encoder) -> JSON:
    return {
        "name": encoder.name,
        "takes": encoder.takes,
        "n_features": encoder.n_features,
        "licence": encoder.licence,
        "source": encoder.source,
        "weights": encoder.weights,
        "tokenizer": encoder.tokenizer,
        "backends": [b for b in BACKENDS if b in encoder.backends and not missing_packages(b)],
    }


def _lacks_tokenizers(encoder: Encoder) -> bool:
    return encoder.takes == "texts" and importlib.util.find_spec("tokenizers") is None


def _downloaded() -> Iterator[JSON]:
    for folder in sorted(encoders_dir().glob("*/*@*")):
        name = folder.relative_to(encoders_dir()).as_posix()
        if not NAME.fullmatch(name) or not folder.is_dir():
            continue
        try:
            about = _described(placed_encoder(f"{PREFIX}{name}"))
        except QuickstudyError as error:
            about = {"name": f"{PREFIX}{name}", "error": str(error)}
        yield about | {
            "alias": "",
            "about": "downloaded",
            "megabytes": round(_size(folder) / 1e6),
            "place": str(folder),
            "present": "error" not in about,
            "get": f"quickstudy encoders get {PREFIX}{name}",
        }


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
