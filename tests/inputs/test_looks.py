"""What a user's files hold is told by looking at them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits, load_sample_images

from quickstudy.inputs.looks import MOST_ROWS, holds_sentences, is_drawing, look


def crops(n=10):
    return [
        Image.fromarray(photo[20 * i : 200 + 20 * i, 40 * i : 200 + 40 * i])
        for photo in load_sample_images().images
        for i in range(n // 2)
    ]


def pen_on_paper(seed):
    """A blue line on warm paper in uneven light, as a phone takes it."""
    rng = np.random.default_rng(seed)
    light = np.linspace(215, 235, 160)[:, None, None] + np.array([4, 0, -6])
    paper = np.repeat(light, 120, axis=1) + rng.normal(0, 2, (160, 120, 3))
    image = Image.fromarray(paper.clip(0, 255).astype(np.uint8))
    points = [tuple(point) for point in (rng.random((6, 2)) * (80, 120) + 20).tolist()]
    ImageDraw.Draw(image).line(points, fill=(40, 45, 90), width=4)
    return image


def test_photographs_are_told_from_drawings():
    assert not any(is_drawing(crop) for crop in crops())
    assert np.mean([is_drawing(crop.convert("L")) for crop in crops()]) < 0.5
    y, x = np.mgrid[-1:1:60j, -1:1:60j]
    ball = Image.fromarray((255 * (1 - x**2 - y**2).clip(0)).astype(np.uint8))
    assert not is_drawing(ball)  # its ground is even, but it has shades
    digits = [(15 * image).astype(np.uint8) for image in load_digits().images[:40]]
    assert np.mean([is_drawing(digit) for digit in digits]) > 0.9
    assert all(is_drawing(pen_on_paper(seed)) for seed in range(8))


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["where is my card", "reset the pin", "pay"], True),
        (["red", "blue", "dark green"], False),
        (["New York", "New York", "New York", "Los Angeles"], False),
        ([1.0, 2.0, "a b"], False),
        ([None, "", None], False),
    ],
)
def test_sentences_are_told_from_names(cells, expected):
    assert holds_sentences(cells) is expected


def test_a_folder_or_table_says_which_encoder_fits(tmp_path):
    for place, image in enumerate(crops()):
        folder = tmp_path / "photos" / "ab"[place % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image.save(folder / f"{place}.png")
    (tmp_path / "photos" / "a" / "broken.png").write_bytes(b"none")
    for seed in range(6):
        folder = tmp_path / "pens" / "ab"[seed % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pen_on_paper(seed).save(folder / f"{seed}.jpg")
    (tmp_path / "notes" / "a").mkdir(parents=True)
    (tmp_path / "notes" / "a" / "1.txt").write_text("so it is")
    (tmp_path / "intents.csv").write_text("text,label\nwhere is it,a\nreset my pin,b\n")
    (tmp_path / "rows.csv").write_text("size,colour,label\n1.5,red,a\n2.5,dark blue,b\n")
    many = "".join(f"{i},a\n" for i in range(MOST_ROWS + 1))
    (tmp_path / "many.csv").write_text("size,label\n" + many)
    (tmp_path / "intents.jsonl").write_text('{"text": "a", "label": "b"}\n')
    found = {path.name: look(path).fits for path in tmp_path.iterdir()}
    assert found == {
        "photos": "photos",
        "pens": "drawings",
        "notes": "sentences",
        "intents.csv": "sentences",
        "rows.csv": "tables",
        "many.csv": "tables-linear",
        "intents.jsonl": "sentences",
    }
    assert look(tmp_path / "photos").reason == "10 of 10 pictures looked at have colours or shades"
