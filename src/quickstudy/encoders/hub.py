"""Downloads of encoders, by whoever asks for one in so many words; nothing else fetches any."""

from __future__ import annotations

import json
import os
import re
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from http.client import HTTPException
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from quickstudy.encoders.folder import ADAPTER, OWN, PICKLED, folder_encoder
from quickstudy.encoders.identity import Encoder
from quickstudy.encoders.places import encoders_dir
from quickstudy.errors import DataError, UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.download import TIMEOUT, Checksum, fetch
from quickstudy.files.records import JSON

PREFIX: Final = "hf:"
SETTING: Final = "QUICKSTUDY_HUB"
HUB: Final = "https://huggingface.co"
NAME: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*@[0-9a-f]{40}", re.ASCII)
ALLOWED: Final = re.compile(
    r"config\.json|tokenizer\.json|preprocessor_config\.json|modules\.json"
    r"|sentence_bert_config\.json|1_Pooling/config\.json"
    r"|model\.safetensors|model\.safetensors\.index\.json|model-\d{5}-of-\d{5}\.safetensors"
)
LARGEST_ANSWER: Final = 1 << 24


class Part(NamedTuple):
    """A file to download: its name, size in bytes, and checksum."""

    name: str
    size: int
    checksum: Checksum


def check_name(name: str) -> str:
    """The name of an encoder of the hub, without `hf:`.

    Raises:
        UserError: It is no ORG/NAME@COMMIT with a whole commit.
    """
    rest = name.removeprefix(PREFIX)
    if not NAME.fullmatch(rest):
        raise UserError(
            f"encoder: one of the hub is named {PREFIX}ORG/NAME@COMMIT, with all 40 digits of the "
            f"commit, so that it never changes; received {name!r}; copy the commit from the "
            "history of its files."
        )
    return rest


def hub_folder(name: str) -> Path:
    """Where a downloaded encoder lies.

    Raises:
        UserError: The name is none.
    """
    return encoders_dir() / check_name(name)


def get(
    name: str, largest: int, say: Callable[[str], None] = lambda line: None, base: str | None = None
) -> Encoder:
    """Downloads an encoder, once; later it is there without a network.

    Only files of known names are taken: configuration, tokenizer and safetensors. Each is compared
    with the checksum that the hub gives, and its sha256 is written down.

    Args:
        name: `hf:ORG/NAME@COMMIT`.
        largest: Number of bytes that all files together may have.
        say: Told what is downloaded, line by line.
        base: Address of the hub; that in QUICKSTUDY_HUB where omitted, or else huggingface.co.

    Raises:
        UserError: The name is none, it is too large, or it cannot be used without code.
        DataError: It could not be had.
    """
    folder = hub_folder(name)
    if not folder.is_dir():
        repository, _, commit = check_name(name).partition("@")
        base = (base or os.environ.get(SETTING) or HUB).rstrip("/")
        about = _listing(f"{base}/api/models/{repository}/revision/{commit}?blobs=true", commit)
        parts = _parts(about, name)
        total = sum(part.size for part in parts)
        say(
            f"{len(parts)} files, {total / 1e6:.1f} MB, of at most {largest / 1e6:.0f} MB: {folder}"
        )
        if total > largest:
            raise UserError(
                f"encoder {name}: its files may have {largest / 1e6:.0f} MB together; received "
                f"{total / 1e6:.1f} MB; allow more with --max-megabytes."
            )
        partial = folder.with_name(f".{folder.name}.partial")
        sums = {}
        for part in parts:
            say(f"{part.name}, {part.size / 1e6:.1f} MB")
            file = partial / part.name
            if not file.is_file() or part.checksum.of(file) != part.checksum.digest:
                url = f"{base}/{repository}/resolve/{commit}/{quote(part.name)}"
                fetch([url], file, part.checksum, part.size)
            sums[part.name] = Checksum("sha256", "").of(file)
        own = {"source": check_name(name), "licence": _licence(about), "sha256": sums}
        write_atomically(partial / OWN, json.dumps(own, indent=2).encode())
        folder_encoder(partial, name)  # refused here rather than when it is asked for
        shutil.move(partial, folder)
    return folder_encoder(folder, name)


def _listing(url: str, commit: str) -> JSON:
    """The hub's description of a repository at a commit."""
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            about = json.loads(response.read(LARGEST_ANSWER))
        if about["sha"] != commit:
            raise ValueError(f"the commit {about['sha']}")
    except urllib.error.HTTPError as error:
        error.close()
        raise _not_had(url, f"status {error.code}") from error
    except (OSError, HTTPException, ValueError, KeyError, TypeError) as error:
        raise _not_had(url, str(error) or type(error).__name__) from error
    return about


def _not_had(url: str, received: str) -> DataError:
    return DataError(
        f"encoder: {url} must describe the encoder; received {received}; check the name and the "
        f"network, or name another address in {SETTING}."
    )


def _parts(about: JSON, name: str) -> list[Part]:
    """The files of a repository that are taken."""
    try:
        parts = [
            Part(
                each["rfilename"],
                int(each["size"]),
                Checksum("sha256", each["lfs"]["sha256"])
                if each.get("lfs")
                else Checksum("git", each["blobId"]),
            )
            for each in about["siblings"]
            if ALLOWED.fullmatch(each["rfilename"])
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise _not_had(name, f"a list of files without {error}") from error
    names = [each["rfilename"] for each in about["siblings"]]
    if not any(part.name.endswith(".safetensors") for part in parts):
        pickled = [other for other in names if Path(other).suffix in PICKLED]
        raise UserError(
            f"encoder {name}: its weights must be model.safetensors; received "
            f"{', '.join(pickled) or 'none'}; choose a commit that has them."
        )
    if ADAPTER in names:
        raise UserError(
            f"encoder {name}: it must be a whole model; received {ADAPTER}; choose a merged one."
        )
    return parts


def _licence(about: JSON) -> str:
    card = about.get("cardData")
    return str(card.get("license", "")) if isinstance(card, dict) else ""
