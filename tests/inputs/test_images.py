import io
import json
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from quickstudy.errors import UserError
from quickstudy.inputs import formats
from quickstudy.inputs.images import Pictures

INK = Pictures(size=28, ink=True)
GREY = Pictures(size=20)
COLOUR = Pictures(size=20, mode="RGB")


def glyph(width=80, height=120, paper=255, ink=0):
    """A hand-drawn 4: no symmetry that a wrong turn could hide behind."""
    image = Image.new("L", (width, height), paper)
    pen = ImageDraw.Draw(image)
    points = [(0.7, 0.9), (0.7, 0.1), (0.1, 0.6), (0.9, 0.6)]
    pen.line([(x * width, y * height) for x, y in points], fill=ink, width=max(2, width // 12))
    return image


def encoded(image, kind="PNG", **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def likeness(a, b):
    return np.corrcoef(a.flatten(), b.flatten())[0, 1]


EXPECTED = INK(glyph())


def test_a_drawing_fills_its_part_of_the_frame():
    assert EXPECTED.shape == (1, 28, 28)
    assert EXPECTED.dtype == np.uint8
    assert EXPECTED.max() == 255
    rows, columns = (np.flatnonzero((EXPECTED[0] > 60).any(axis=axis)) for axis in (1, 0))
    assert np.ptp(rows) + 1 == pytest.approx(0.65 * 28, abs=1.5)
    assert rows.mean() == pytest.approx(13.5, abs=1)
    assert columns.mean() == pytest.approx(13.5, abs=1)
    assert (EXPECTED == 0).mean() > 0.6


def photo(seed=0, left=300, top=90, paper=190.0, tilt=60.0, noise=5.0):
    """The glyph small in a corner of a large, unevenly lit, noisy picture."""
    rng = np.random.default_rng(seed)
    scene = np.ones((480, 640))
    scene[top : top + 240, left : left + 160] = np.asarray(glyph(160, 240)) / 255
    light = paper - tilt * np.linspace(0, 1, 640) + 0.4 * tilt * np.linspace(0, 1, 480)[:, None]
    grey = light * (0.35 + 0.65 * scene) + rng.normal(0, noise, scene.shape)
    return grey.clip(0, 255).astype(np.uint8)


def rotated_by_exif():
    image = glyph().transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees clockwise
    return encoded(image, "JPEG", exif=exif, quality=95)


def transparent(colour):
    image = Image.new("RGBA", (80, 120), (*colour, 0))
    image.putalpha(Image.eval(glyph(), lambda v: 255 - v))
    return image


@pytest.mark.parametrize(
    "picture",
    [
        lambda: np.asarray(glyph()),
        lambda: np.asarray(glyph()) < 128,
        lambda: torch.from_numpy(np.array(glyph()))[None],
        lambda: torch.from_numpy(np.array(glyph())) / 16.0,
        lambda: np.asarray(glyph().convert("RGB")),
        lambda: np.asarray(glyph().convert("RGB")).transpose(2, 0, 1),
        lambda: glyph(paper=0, ink=255),
        lambda: glyph(paper=180, ink=120),
        lambda: glyph().convert("1"),
        lambda: glyph().convert("P"),
        lambda: glyph().convert("RGB").convert("CMYK"),
        lambda: Image.fromarray(np.asarray(glyph()).astype(np.uint16) * 257),
        lambda: Image.fromarray(np.asarray(glyph()).astype(np.float32)),
        lambda: transparent((0, 0, 0)),
        lambda: transparent((255, 255, 255)),
        lambda: glyph(240, 360),
        lambda: encoded(glyph(), "JPEG", quality=90),
        lambda: encoded(glyph(), "WEBP", lossless=True),
        lambda: encoded(glyph(), "GIF"),
        lambda: encoded(glyph(), "BMP"),
        lambda: encoded(glyph(), "TIFF"),
        rotated_by_exif,
        photo,
        lambda: photo(1, left=20, top=230, tilt=-50),
        lambda: 255 - photo(2, left=450, top=5),
        lambda: encoded(Image.fromarray(photo(3)), "JPEG", quality=70),
    ],
)
def test_one_drawing_however_it_comes(picture):
    x = INK(picture())
    assert x.shape == (1, 28, 28)
    assert likeness(x, EXPECTED) > 0.93


def test_a_path(tmp_path):
    (tmp_path / "four.png").write_bytes(encoded(glyph()))
    np.testing.assert_array_equal(INK(tmp_path / "four.png"), EXPECTED)
    np.testing.assert_array_equal(INK(str(tmp_path / "four.png")), EXPECTED)


def test_the_same_twice_and_the_picture_unharmed():
    image = glyph(900, 900)
    first, size = INK(image), image.size
    np.testing.assert_array_equal(INK(image), first)
    assert image.size == size


def test_a_picture_is_padded_not_distorted():
    wide = Image.new("RGB", (40, 20), (10, 200, 30))
    ImageDraw.Draw(wide).rectangle([10, 0, 29, 19], fill=(250, 0, 0))
    x = COLOUR(wide)
    assert x.shape == (3, 20, 20)
    assert (x[:, [0, 19]] == np.array([10, 200, 30])[:, None, None]).all()
    assert (x[0] > 200).sum() == pytest.approx(100, abs=25)
    assert GREY(wide).shape == (1, 20, 20)


def test_a_picture_of_the_size_is_kept():
    x = np.random.default_rng(0).integers(0, 256, (3, 20, 20), dtype=np.uint8)
    np.testing.assert_array_equal(COLOUR(x), x)
    np.testing.assert_array_equal(GREY(x[0]), x[:1])
    np.testing.assert_array_equal(GREY(x[0] / 255), x[:1])
    np.testing.assert_array_equal(GREY(x[0].astype(np.int64)), x[:1])


def test_making_smaller_is_antialiased():
    board = np.indices((200, 200)).sum(axis=0).astype(np.uint8) % 2 * 255
    assert np.abs(GREY(board).astype(int) - 128)[0, 2:-2, 2:-2].max() <= 6


def test_transparency_of_a_photo_is_white():
    x = COLOUR(Image.new("RGBA", (20, 20), (255, 0, 0, 0)))
    assert (x == 255).all()


def bomb():
    """A PNG of a few bytes that says it is 30,000 pixels wide and high."""
    header = b"IHDR" + bytes.fromhex("00007530 00007530 08 00 00 00 00")
    chunk = (13).to_bytes(4, "big") + header + zlib.crc32(header).to_bytes(4, "big")
    return encoded(glyph())[:8] + chunk + encoded(glyph())[33:]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "received an empty file"),
        (
            b"Dear reader, this is text.",
            r"not a picture .* received 26 bytes that start with b'Dear",
        ),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "PNG, JPEG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "PNG, JPEG"),
        (encoded(glyph())[:200], "damaged or cut short"),
        (encoded(glyph(), "JPEG")[:500], "damaged or cut short"),
        (encoded(glyph())[:60] + b"\0\0\0\0" + encoded(glyph())[64:], "damaged or cut short"),
        (bomb(), "too large"),
    ],
)
def test_bad_files(tmp_path, data, message):
    path = tmp_path / "upload.png"
    path.write_bytes(data)
    for picture, name in ((path, "upload.png"), (data, "the uploaded picture")):
        with pytest.raises(UserError, match=message) as raised:
            INK(picture)
        assert name in str(raised.value)


def test_too_many_pixels(monkeypatch):
    monkeypatch.setattr(formats, "MAX_PIXELS", 80 * 120 - 1)
    for picture in (encoded(glyph()), np.asarray(glyph())):
        with pytest.raises(UserError, match="80x120 pixels"):
            GREY(picture)


def test_no_such_file(tmp_path):
    with pytest.raises(UserError, match=r"gone\.png cannot be opened; received: No such file"):
        GREY(tmp_path / "gone.png")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((9, 9), np.nan), "81 place"),
        (np.array([[0.5, np.inf]]), "1 place"),
        (np.zeros((9, 9), dtype=object), "dtype object"),
        (np.zeros((9, 9), dtype=complex), "dtype complex128"),
        (np.zeros((0, 9)), r"shape \(0, 9\)"),
        (np.zeros(9), r"shape \(9,\)"),
        (np.zeros((5, 9, 9)), r"shape \(5, 9, 9\)"),
        (np.zeros((1, 1, 9, 9)), r"shape \(1, 1, 9, 9\)"),
        (np.full((9, 9), 2.0), "in 0 .. 1, or whole numbers of 8.* float64 with values up to 2,"),
        (np.full((9, 9), 63), "int64 with values up to 63, which could be a dim picture"),
        (np.full((9, 9), 65536), "or 16 bits; received int64 with values up to 65536; scale"),
        (np.full((9, 9), -1), "not be negative; .* values in -1 .. -1"),
        (np.linspace(-1, 1, 81).reshape(9, 9), "not be negative; .* values in -1 .. 1"),
        (np.zeros((3, 9, 4)), r"either order"),
        (None, "dtype object"),
    ],
)
def test_bad_arrays(array, message):
    with pytest.raises(UserError, match=message):
        GREY(array)


@pytest.mark.parametrize(
    "blank",
    [
        np.full((50, 50), 255, dtype=np.uint8),
        photo(paper=140, noise=6)[:80],
        np.zeros((1, 1), dtype=np.uint8),
    ],
)
def test_no_ink(blank):
    with pytest.raises(UserError, match="an array shows no ink"):
        INK(blank)


@pytest.mark.parametrize("shape", [(1, 2000), (2000, 3), (2, 2), (1, 3)])
def test_odd_sizes(shape):
    x = np.zeros(shape, dtype=np.uint8)
    x[0, shape[1] // 2] = 255
    assert GREY(x).shape == (1, 20, 20)


@pytest.mark.parametrize("one", [INK, GREY, COLOUR, Pictures(84, "RGB"), Pictures(fill=0.9)])
def test_json(one):
    assert Pictures.from_json(json.loads(json.dumps(one.to_json()))) == one


@pytest.mark.parametrize(
    "options", [{"mode": "CMYK"}, {"mode": "RGB", "ink": True}, {"size": 0}, {"fill": 0.0}]
)
def test_bad_options(options):
    with pytest.raises(UserError, match="Pictures"):
        Pictures(**options)
