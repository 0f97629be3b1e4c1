"""Features of the named encoders, compared with fixed ones.

`--update-golden` writes them anew; they may change with the weights or the preprocessing alone.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quickstudy.encoders import NAMED, backend, encoder
from quickstudy.encoders.named import package_folder
from quickstudy.inputs import EncodedPictures, EncodedTexts

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "encoders"
SENTENCES = [
    "Where is my parcel?",
    "I want my money back, please.",
    "The train to Leipzig leaves at noon.",
    "Ships that sail north in winter carry more coal than ships that sail south.",
    "ok",
]


def pictures() -> list[np.ndarray]:
    """A red disc on a green slope, and stripes in blue under noise; neither is square."""
    y, x = np.mgrid[:180, :260]
    first = np.stack([0 * x, 80 + y // 2, 60 + x // 4], axis=-1)
    first[(x - 120) ** 2 + (y - 90) ** 2 < 60**2] = 220, 40, 30
    noise = np.random.Generator(np.random.Philox(5)).integers(0, 60, (240, 150, 3))
    y, x = np.mgrid[:240, :150]
    second = noise + np.where((x + y)[..., None] // 12 % 2, [20, 40, 190], [150, 160, 170])
    return [each.astype(np.uint8) for each in (first, second)]


def features(name: str, by: str = "torch") -> np.ndarray:
    """Features of the fixed inputs."""
    if package_folder(NAMED[name]) is None:
        pytest.skip(f"the weights of {name} are not installed: {NAMED[name].pip}")
    if name == "photos":
        return EncodedPictures(encoder(name), by).encode(pictures(), (1280,))[0]
    return EncodedTexts(encoder(name), by).encode(SENTENCES, (384,))[0]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference, relative to the largest feature."""
    return float(abs(a - b).max() / abs(b).max())


@pytest.mark.parametrize("by", backend.BACKENDS)
@pytest.mark.parametrize("name", ["photos", "sentences"])
def test_features_are_those_of_before(name, by, update_golden):
    if backend.missing_packages(by):
        pytest.skip(f"{by} is not installed")
    present = features(name, by)
    file = GOLDEN / f"{name}.json"
    if update_golden and by == "torch":
        rows = [[float(f"{value:.7g}") for value in row] for row in present]
        about = {"encoder": encoder(name).to_json(), "features": rows}
        file.write_text(json.dumps(about) + "\n")
    golden = json.loads(file.read_text())
    assert golden["encoder"] == encoder(name).to_json()
    assert apart(present, np.array(golden["features"])) < 1e-5


def test_other_means_would_be_noticed(monkeypatch):
    """As some descriptions of these weights name those of other networks."""
    right = features("photos")
    photos = encoder("photos")
    rule = photos.picture_rule._replace(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    wrong, _ = EncodedPictures(replace(photos, rule=rule)).encode(pictures(), (1280,))
    assert apart(wrong, right) > 0.1
    assert replace(photos, rule=rule).digest != photos.digest
