"""Where encoders lie that are no package's: folders and files of the user, and downloaded ones."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import platformdirs

from quickstudy.encoders.identity import Encoder
from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.cache_dir import cache_dir

SETTING: Final = "QUICKSTUDY_ENCODERS"
SUFFIXES: Final = {"onnx": ".onnx", "timm": ".safetensors"}
_places: dict[str, Path] = {}


def encoders_dir() -> Path:
    """Folder of downloaded encoders, and of others by name: QUICKSTUDY_ENCODERS, or user data."""
    own = os.environ.get(SETTING)
    return (
        Path(own).expanduser()
        if own
        else Path(platformdirs.user_data_dir()) / "quickstudy/encoders"
    )


def remember(encoder: Encoder) -> Encoder:
    """Notes where an encoder lies on this machine, for models that name it later."""
    assert encoder.place is not None
    _places[encoder.digest] = encoder.place
    with suppress(OSError, UserError):  # a cache that cannot be written costs no more than a path
        write_atomically(_note(encoder), str(encoder.place).encode())
    return encoder


def places_of(encoder: Encoder) -> Iterator[Path]:
    """The places where an encoder may lie: each is to be checked, the first first."""
    if encoder.place is not None:
        yield encoder.place
    if encoder.digest in _places:
        yield _places[encoder.digest]
    with suppress(OSError):
        yield Path(_note(encoder).read_text(encoding="utf-8"))
    prefix, _, name = encoder.name.partition(":")
    yield encoders_dir() / f"{name}{SUFFIXES.get(prefix, '')}"


def _note(encoder: Encoder) -> Path:
    return cache_dir("encoders") / "places" / encoder.digest
