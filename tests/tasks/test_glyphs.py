from __future__ import annotations

import math
import unicodedata
from itertools import combinations
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image, ImageFilter
from matplotlib.font_manager import FontProperties
from matplotlib.ft2font import FT2Font
from matplotlib.textpath import TextPath

from quickstudy.errors import DataError
from quickstudy.tasks import glyphs as module
from quickstudy.tasks.episodes import Dataset, Episodes
from quickstudy.tasks.glyphs import glyphs
from quickstudy.tasks.scripts import SCRIPTS
from quickstudy.tasks.source import SPLITS

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """The whole data set, drawn once, and its cache."""
    folder = tmp_path_factory.mktemp("glyphs")
    return glyphs(folder), folder


@pytest.fixture(scope="session")
def data(drawn: tuple[Dataset, Path]) -> Dataset:
    return drawn[0]


def characters(data: Dataset, split: str) -> set[str]:
    return {name[-1] for name in data.pools[split].names}  # type: ignore[index]


def picture(character: str, face: FT2Font) -> tuple[np.ndarray, float] | None:
    """The character stretched to a square, blurred, as a unit vector; and its log aspect."""
    face.set_text(character)
    face.draw_glyphs_to_bitmap()
    image = Image.fromarray(np.array(face.get_image()))
    bounds = image.getbbox()
    if bounds is None:
        return None
    image = image.crop(bounds)
    square = Image.new("L", (40, 40))
    square.paste(image.resize((32, 32)), (4, 4))
    vector = np.asarray(square.filter(ImageFilter.GaussianBlur(1))).astype(float).ravel()
    vector -= vector.mean()
    return vector / np.linalg.norm(vector), math.log(image.width / image.height)


def test_there_are_enough_classes_scripts_and_examples(data: Dataset) -> None:
    pools = data.pools.values()
    assert sum(len(pool.names) for pool in pools) >= 4000
    assert sum(len(np.unique(pool.group)) for pool in pools) >= 25
    for split, share in (("train", 0.64), ("valid", 0.12), ("test", 0.24)):
        pool = data.pools[split]  # type: ignore[index]
        assert len(pool.names) / 4000 == pytest.approx(share, abs=0.08)
        assert (pool.counts == 20).all()
        assert pool.x.shape == (20 * len(pool.names), 1, 28, 28)
        assert pool.x.dtype == np.uint8


def test_splits_share_no_script_and_no_character(data: Dataset) -> None:
    for a, b in combinations(SPLITS, 2):
        assert not set(data.about["scripts"][a]) & set(data.about["scripts"][b])
        assert not set(data.pools[a].group) & set(data.pools[b].group)  # type: ignore[arg-type]
        assert not characters(data, a) & characters(data, b)


def test_no_script_claims_a_character_of_another() -> None:
    codes = [code for script in SCRIPTS for code in script.characters()]
    assert len(codes) == len(set(codes))


def test_no_digit_is_in_train(data: Dataset) -> None:
    for character in characters(data, "train"):
        assert unicodedata.category(character) != "Nd"
        assert not (set(unicodedata.normalize("NFKC", character)) & set("0123456789")), character


def test_every_picture_has_ink_inside_the_frame(data: Dataset) -> None:
    for pool in data.pools.values():
        assert pool.x.reshape(len(pool.x), -1).max(axis=1).min() > 200
        border = np.ones((28, 28), bool)
        border[1:-1, 1:-1] = False
        touched = (pool.x[:, 0, border] > 127).any(axis=1)
        assert touched.mean() < 0.02


def test_no_two_examples_are_equal(data: Dataset) -> None:
    for pool in data.pools.values():
        assert len({picture.tobytes() for picture in pool.x}) == len(pool.x)


@pytest.mark.parametrize("alike", ["AΑА", "BΒВ", "HΗН", "OОՕ", "TТ", "XХ", "iі", "sѕ"])
def test_of_letters_that_look_alike_one_stays(data: Dataset, alike: str) -> None:
    kept = [character for split in SPLITS for character in characters(data, split) & set(alike)]
    assert kept == [alike[0]]


@pytest.mark.parametrize("font", ["DejaVuSans.ttf", "DejaVuSerif.ttf", "STIXGeneral.ttf"])
def test_no_unseen_character_looks_like_one_trained_on(data: Dataset, font: str) -> None:
    face = FT2Font(str(FONTS / font))
    face.set_size(48, 72)
    pictures = {}
    for split in SPLITS:
        have = sorted(c for c in characters(data, split) if ord(c) in face.get_charmap())
        found = [(c, p) for c in have if (p := picture(c, face)) is not None]
        vectors, aspects = np.array([p[0] for _, p in found]), np.array([p[1] for _, p in found])
        pictures[split] = [c for c, _ in found], vectors, aspects
    for a, b in combinations(SPLITS, 2):
        (seen, x, i), (unseen, y, j) = pictures[a], pictures[b]
        alike = (x @ y.T) * (np.abs(i[:, None] - j) < math.log(1.3))
        worst = np.unravel_index(alike.argmax(), alike.shape)
        assert alike[worst] < 0.97, (seen[worst[0]], unseen[worst[1]], alike[worst])
