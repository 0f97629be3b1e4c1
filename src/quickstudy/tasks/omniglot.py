"""Omniglot: 1,623 characters of 50 alphabets, each drawn once by 20 people."""

from __future__ import annotations

import hashlib
import io
import re
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quickstudy.errors import DataError, UserError
from quickstudy.files.atomic import replacing
from quickstudy.files.cache_dir import cache_dir
from quickstudy.files.download import Checksum, fetch
from quickstudy.inputs.images import Pictures
from quickstudy.tasks.episodes import Dataset
from quickstudy.tasks.pools import ClassPool
from quickstudy.tasks.source import Split

OmniglotSplit = Literal["vinyals", "lake"]
SIZE = 28
MEMBER = re.compile(r"images_\w+/(?P<character>[^/]+/character\d+)/\d+_(?P<drawer>\d+)\.png")
MIRRORS = (
    "https://github.com/brendenlake/omniglot/raw/master/python/",
    "https://raw.githubusercontent.com/brendenlake/omniglot/master/python/",
)

# The split of Vinyals et al. (2016), from github.com/jakesnell/prototypical-networks (MIT), file
# data/omniglot/splits/vinyals. It goes by alphabet, but for Gurmukhi, whose characters 42 to 45
# are meta-test and the others meta-train.
VALID_ALPHABETS = ("Armenian", "Bengali", "Early_Aramaic", "Hebrew", "Mkhedruli_(Georgian)")
TEST_ALPHABETS = (
    *("Kannada", "Keble", "Malayalam", "Manipuri", "Mongolian", "Old_Church_Slavonic_(Cyrillic)"),
    *("Oriya", "Sylheti", "Syriac_(Serto)", "Tengwar", "Tibetan", "ULOG"),
)
TEST_CHARACTERS = tuple(f"Gurmukhi/character{number}" for number in (42, 43, 44, 45))


@dataclass(frozen=True)
class Published:
    """One of the two published zips.

    Attributes:
        md5: Checksum of the original file, as torchvision publishes it; it guards the download.
        drawings: SHA-256 over the name and the pixels of every drawing in it, so that a zip which
            was packed anew is recognised too.
    """

    md5: str
    drawings: str


ZIPS = {
    "images_background.zip": Published(
        md5="68d2efa1b9178cc56df9314c21c6e718",
        drawings="8d04da5db4fb131cdc47b03749146aa6f258a3d8f473e0c9b37a0d8943bf0337",
    ),
    "images_evaluation.zip": Published(
        md5="6b91aef0f799c5bb55b94e3f2daec811",
        drawings="206c8ae4cc290f33c30f5dde513b6cf33b10cd45963fecc565ac716ef880b339",
    ),
}


@dataclass(frozen=True)
class Drawings:
    """Drawings in the order of their names.

    Shapes:
        x (drawings, 1, 28, 28) uint8, ink 255; character (drawings,) such as
        "Greek/character01"; drawer (drawings,)
    """

    x: NDArray[np.uint8]
    character: NDArray[Any]
    drawer: NDArray[Any]


def omniglot(
    data_dir: Path | None = None, split: OmniglotSplit = "vinyals", download: bool = True
) -> Dataset:
    """Omniglot at 28x28, ink 1 on 0.

    `"vinyals"`: the split of 1028 / 172 / 423 characters; a character turned by 90, 180 and 270
    degrees is a class of its own in every split, which makes 4112 / 688 / 1692 classes.

    `"lake"`: meta-train on the 30 background alphabets, less the five that `"vinyals"` validates
    on, which are meta-valid; meta-test on the 20 evaluation alphabets. The classes of an episode
    are of one alphabet, and its support and query are by different drawers; no rotations.

    Args:
        data_dir: Folder with images_background.zip and images_evaluation.zip; the user's cache
            where omitted.
        split: How the characters are split.
        download: Whether to download a zip that is not there.

    Differs from the papers: drawings are made smaller with an antialiased triangle filter, which
    classified best by nearest neighbour on raw pixels among those of Pillow; Lake et al. have no
    meta-valid alphabets.

    Raises:
        DataError: A zip is missing and could not be downloaded, or is not what was published.

    Source: Lake, Salakhutdinov, Tenenbaum: Human-level concept learning through probabilistic
    program induction, Science 2015; Vinyals et al.: Matching Networks, NeurIPS 2016; Lake et al.:
    The Omniglot challenge, 2019.
    """
    if split not in get_args(OmniglotSplit):
        raise UserError(
            f"omniglot: split must be one of {', '.join(get_args(OmniglotSplit))}; received "
            f"{split!r}; choose one of these."
        )
    folder = cache_dir("omniglot") if data_dir is None else Path(data_dir)
    background, evaluation = (_drawings(_find(folder, name, download)) for name in ZIPS)
    pools = _lake(background, evaluation) if split == "lake" else _vinyals(background, evaluation)
    return Dataset(
        name=f"omniglot-{split}",
        pools=pools,
        preprocess=Pictures(size=SIZE, mode="L", ink=True),
        fixed=True,
        within_group=split == "lake",
        other_authors=split == "lake",
        about={
            "split": split,
            "rotations": 1 if split == "lake" else 4,
            "valid_alphabets": list(VALID_ALPHABETS),
            "drawings_sha256": {name: zip_.drawings for name, zip_ in ZIPS.items()},
        },
    )


def _vinyals(*parts: Drawings) -> dict[Split, ClassPool]:
    x = np.concatenate([part.x for part in parts])
    character = np.concatenate([part.character for part in parts])
    alphabet = _alphabets(character)
    test = np.isin(alphabet, TEST_ALPHABETS) | np.isin(character, TEST_CHARACTERS)
    valid = np.isin(alphabet, VALID_ALPHABETS)

    def pool(chosen: NDArray[Any]) -> ClassPool:
        names, y = np.unique(character[chosen], return_inverse=True)
        return ClassPool(
            x=np.concatenate([np.rot90(x[chosen], turn, axes=(2, 3)) for turn in range(4)]),
            y=np.concatenate([y + turn * len(names) for turn in range(4)]),
            names=[f"{name}/rot{90 * turn:03}" for turn in range(4) for name in names],
        )

    return {"train": pool(~test & ~valid), "valid": pool(valid), "test": pool(test)}


def _lake(background: Drawings, evaluation: Drawings) -> dict[Split, ClassPool]:
    def pool(part: Drawings, chosen: NDArray[Any]) -> ClassPool:
        names, y = np.unique(part.character[chosen], return_inverse=True)
        return ClassPool(
            part.x[chosen], y, names.tolist(), group=_alphabets(names), author=part.drawer[chosen]
        )

    valid = np.isin(_alphabets(background.character), VALID_ALPHABETS)
    return {
        "train": pool(background, ~valid),
        "valid": pool(background, valid),
        "test": pool(evaluation, np.ones(len(evaluation.x), dtype=bool)),
    }


def _alphabets(characters: NDArray[Any]) -> NDArray[Any]:
    return np.array([str(name).split("/")[0] for name in characters])


def _find(folder: Path, name: str, may_download: bool) -> Path:
    """The path of a zip, downloaded where it is missing."""
    path = folder / name
    if path.is_file():
        return path
    if may_download:
        fetch([mirror + name for mirror in MIRRORS], path, Checksum("md5", ZIPS[name].md5))
        return path
    raise DataError(
        f"omniglot: {name} is missing; received the folder {folder} without it; download "
        f"{MIRRORS[0]}{name} and save it as {path}."
    )


def _drawings(path: Path) -> Drawings:
    """The drawings of a zip: from the cache, else decoded, checked and cached."""
    try:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        with zipfile.ZipFile(path) as archive:
            names = sorted(name for name in archive.namelist() if MEMBER.fullmatch(name))
            cache = cache_dir("omniglot") / f"{path.stem}-{SIZE}-{digest[:16]}.npz"
            x = _cached(cache, len(names))
            if x is None:
                x = _decode(archive, names, path)
                _keep(cache, x)
    except (zipfile.BadZipFile, zlib.error, OSError, SyntaxError, EOFError) as error:
        raise DataError(
            f"omniglot: {path} is not a whole zip of pictures; received: {error}; delete it and "
            f"download {MIRRORS[0]}{path.name} anew."
        ) from error
    fields = [MEMBER.fullmatch(name) for name in names]
    return Drawings(
        x,
        np.array([field["character"] for field in fields if field]),
        np.array([int(field["drawer"]) for field in fields if field]),
    )


def _decode(archive: zipfile.ZipFile, names: Sequence[str], path: Path) -> NDArray[np.uint8]:
    """Decodes the drawings of a zip, and checks that they are the published ones."""
    digest = hashlib.sha256()
    x = np.empty((len(names), 1, SIZE, SIZE), dtype=np.uint8)
    for i, name in enumerate(names):
        with Image.open(io.BytesIO(archive.read(name)), formats=["PNG"]) as picture:
            bits = picture.convert("1", dither=Image.Dither.NONE)
        digest.update(f"{name} {bits.size}".encode() + bits.tobytes())
        grey = bits.convert("L").resize((SIZE, SIZE), Image.Resampling.BILINEAR)
        x[i, 0] = 255 - np.asarray(grey)
    expected = ZIPS[path.name].drawings
    if digest.hexdigest() != expected:
        raise DataError(
            f"omniglot: {path} does not hold the published drawings; expected sha256 {expected}, "
            f"received {digest.hexdigest()} over {len(names)} drawings; delete it and download "
            f"{MIRRORS[0]}{path.name} anew."
        )
    return x


def _cached(cache: Path, n: int) -> NDArray[np.uint8] | None:
    try:
        with np.load(cache) as arrays:
            x: NDArray[np.uint8] = arrays["x"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
    return x if x.shape == (n, 1, SIZE, SIZE) and x.dtype == np.uint8 else None


def _keep(cache: Path, x: NDArray[np.uint8]) -> None:
    """Caches the inputs; a cache that cannot be written only costs time later."""
    with suppress(OSError), replacing(cache) as file:
        np.savez(file, x=x)
