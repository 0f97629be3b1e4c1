"""Pictures of any shape in a square frame."""

from __future__ import annotations

import numpy as np
from PIL import Image

from quickstudy.inputs.framing import cropped, padded, squashed
from quickstudy.inputs.images import Pictures

WIDE = Image.fromarray(
    np.concatenate([np.full((10, 10), level, np.uint8) for level in (0, 100, 200)], axis=1)
)


def test_squashed_pictures_show_all_and_cropped_ones_the_middle():
    np.testing.assert_allclose(np.asarray(squashed(WIDE, 9))[4, [1, 4, 7]], [0, 100, 200], atol=2)
    assert set(np.asarray(cropped(WIDE, 10, 10)).ravel().tolist()) == {100}
    corners = np.asarray(cropped(WIDE, 10, 20))
    assert corners.shape == (10, 10)
    assert set(corners.ravel().tolist()) == {100}
    assert np.asarray(padded(WIDE, 30, 1.0, (7,)))[0].tolist() == [7] * 30


def test_the_way_of_framing_is_in_the_json_where_it_is_not_the_usual():
    for pictures in (Pictures(8), Pictures(8, resize="squash"), Pictures(8, "RGB", crop_from=9)):
        assert Pictures.from_json(pictures.to_json()) == pictures
    assert "resize" not in Pictures(8).to_json()
    assert Pictures(8, resize="squash")(WIDE).shape == (1, 8, 8)
    np.testing.assert_allclose(Pictures(8, resize="crop")(WIDE), 100, atol=5)
