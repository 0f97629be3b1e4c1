"""The same values give the same picture, whatever carries them and in whichever order they come."""

from __future__ import annotations

import base64
import io
import sys
import warnings
from pathlib import Path
from typing import Any
from zipfile import Path as ZipPath
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image, features

from quickstudy.errors import UserError
from quickstudy.inputs import Pictures, formats, pixels
from quickstudy.inputs.levels import to_8_bits

RNG = np.random.default_rng(0)
PHOTO = RNG.integers(0, 256, (9, 12, 3), dtype=np.uint8)
LEVELS = PHOTO[..., 0].copy()
LEVELS[0, 0] = 255
SQUARE = RNG.integers(0, 256, (5, 8, 8, 3), dtype=np.uint8)  # five pictures of the network's size
GREY, COLOUR = Pictures(8), Pictures(8, "RGB")
SHAPES = {GREY: (1, 8, 8), COLOUR: (3, 8, 8)}


def png(values: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(values).save(file, "PNG")
    return file.getvalue()


def encode(kind: Pictures, X: Any) -> tuple[np.ndarray[Any, Any], bool]:
    return kind.encode(X, SHAPES[kind])


@pytest.mark.parametrize("numbers", [np.asarray, lambda x: x / 255, torch.from_numpy])
@pytest.mark.parametrize("kind", [GREY, COLOUR])
def test_either_order_of_axes_of_one_or_many_of_any_type(numbers, kind):
    want, single = encode(kind, [Image.fromarray(SQUARE[0])])
    assert not single
    for one in (SQUARE[0], np.ascontiguousarray(SQUARE[0].transpose(2, 0, 1))):
        if kind is COLOUR or one.shape[2] == 3:  # (3, h, w) is three pictures where they are grey
            x, single = encode(kind, numbers(one))
            assert single
            np.testing.assert_allclose(x, want, atol=0.003)
        x, single = encode(kind, [numbers(one)])
        assert not single
        np.testing.assert_allclose(x, want, atol=0.003)
    for many in (SQUARE, np.ascontiguousarray(SQUARE.transpose(0, 3, 1, 2))):
        x, single = encode(kind, numbers(many))
        assert (len(x), single) == (5, False)
        np.testing.assert_allclose(x[:1], want, atol=0.003)
    planes = SQUARE[..., 0]
    for n in (1, 3, 5):  # as many channels as pictures are one picture only where that has colour
        x, single = encode(GREY, np.asarray(planes[:n]))
        assert (len(x), single) == (n, False)
    large = np.kron(SQUARE[0], np.ones((3, 3, 1), np.uint8))
    for one in (large, large.transpose(2, 0, 1)):
        x, single = encode(COLOUR, numbers(np.ascontiguousarray(one)))
        assert single
        np.testing.assert_allclose(x, COLOUR(large)[None] / 255, atol=0.003)
    assert encode(GREY, LEVELS[..., None])[1]
    x, single = encode(COLOUR, SQUARE[0].transpose(2, 0, 1).tolist())
    assert single
    np.testing.assert_array_equal(x, encode(COLOUR, SQUARE[0])[0])
    assert not encode(COLOUR, SQUARE.tolist())[1]


@pytest.mark.parametrize(
    ("kind", "X", "message"),
    [
        (GREY, np.zeros((5, 64)), r"reshape it to \(5, 1, 8, 8\)"),
        (GREY, np.zeros((5, 64), np.uint8), "put it into a list"),
        (COLOUR, np.zeros((5, 192), np.uint8), r"reshape it to \(5, 3, 8, 8\)"),
        (COLOUR, np.zeros((4, 9, 9), np.uint8), "four grey pictures, or one in colour"),
        (COLOUR, np.zeros((2, 5, 9, 9, 3)), r"shape \(2, 5, 9, 9, 3\)"),
        (COLOUR, [np.zeros((3, 9, 3), np.uint8)], "either order"),
        (GREY, {"a.png"}, "in an order; received set"),
        (GREY, 7, "received int"),
        (GREY, np.array([["a.png"]]), r"of shape \(1, 1\)"),
    ],
)
def test_what_is_ambiguous_is_refused(kind, X, message):
    with pytest.raises(UserError, match=message):
        encode(kind, X)


def test_one_rule_of_range_for_every_carrier():
    want = GREY(LEVELS)
    deep = LEVELS.astype(np.uint16)
    carriers = {
        "PNG of 16 bits": png(deep * 257),
        "PNG of 8 bits in 16": png(deep),
        "PIL I": Image.fromarray(LEVELS).convert("I"),
        "PIL F": Image.fromarray(LEVELS).convert("F"),
        "PIL I;16": Image.fromarray(deep),
        **{str(t): LEVELS.astype(t) for t in ("u2", ">u2", "i4", "i8", "u8", "f4", "f8")},
        "0 .. 1": LEVELS / 255,
        "16 bits": deep * 257,
        "whole numbers of 16 bits": (deep * 257).astype(np.int64),
        "bfloat16": torch.from_numpy(LEVELS).bfloat16() / 255,
    }
    for name, carrier in carriers.items():
        tolerance = 1 if name == "bfloat16" else 0
        np.testing.assert_allclose(GREY(carrier).astype(int), want, atol=tolerance, err_msg=name)
    file = io.BytesIO()
    Image.fromarray((LEVELS / 255).astype(np.float32)).save(file, "TIFF")
    np.testing.assert_array_equal(GREY(file.getvalue()), want)
    for bits in (10, 12):  # as scientific cameras write them
        values = np.rint(LEVELS * ((2**bits - 1) / 255)).astype(np.uint16)
        for carrier in (png(values), values, values.astype(np.float32), Image.fromarray(values)):
            np.testing.assert_array_equal(GREY(carrier), want)
    mask = LEVELS > 100
    for carrier in (mask * 1, mask.astype(np.uint8), mask * 1.0, png(mask.astype(np.uint8))):
        np.testing.assert_array_equal(GREY(carrier), GREY(mask))
    palette = Image.fromarray(mask.astype(np.uint8)).convert("P")
    assert np.asarray(palette).max() == 1
    np.testing.assert_array_equal(GREY(palette), GREY(mask))
    assert GREY(mask).max() > 200


def test_a_request_is_read_by_the_same_rule():
    deep = np.rint(LEVELS * (4095 / 255)).astype(np.uint16)
    for file in (
        png(LEVELS),
        png(deep),
        png(LEVELS.astype(np.uint16)),
        png((LEVELS > 9) * np.uint8(1)),
    ):
        value = {"b64": base64.b64encode(file).decode()}
        image = GREY.from_request("image", value, (1, 8, 8))
        np.testing.assert_array_equal(encode(GREY, image)[0], encode(GREY, file)[0])
    with pytest.raises(UserError, match="uint16 with values up to 9, which could be a dim"):
        GREY.from_request(
            "image", {"b64": base64.b64encode(png(np.full((8, 8), 9, "u2"))).decode()}, (1, 8, 8)
        )


def test_a_dim_picture_among_others_is_refused_unless_the_depth_is_said(tmp_path):
    bright, dim = np.full((8, 8), 4000, np.uint16), np.full((8, 8), 900, np.uint16)
    assert encode(GREY, [bright, np.zeros_like(bright)])[0].min() == 0
    for two in ([bright, dim], [Image.fromarray(bright), png(dim)]):
        with pytest.raises(UserError, match=r"4095 in example 0, 1023 in example 1.*with bits"):
            encode(GREY, two)
    for name, values in (("bright", bright), ("dim", dim)):
        (tmp_path / f"{name}.png").write_bytes(png(values))
    with pytest.raises(UserError, match=r"4095 in .*bright\.png, 1023 in .*dim\.png"):
        GREY.stack([tmp_path / "bright.png", tmp_path / "dim.png"])
    said = Pictures(8, bits=12)
    x, _ = said.encode([bright, dim, np.full((8, 8), 51, np.uint8)], (1, 8, 8))
    np.testing.assert_allclose(x[:, 0, 0, 0] * 255, np.rint([249.08, 56.04, 51]), atol=1e-4)
    assert Pictures.from_json(said.to_json()) == said
    with pytest.raises(
        UserError, match=r"12 bits must be in 0 .. 4095; received values up to 5000"
    ):
        said(np.full((8, 8), 5000))
    black = np.eye(8, dtype=np.uint8)  # noise of a dark room, no mask
    assert Pictures(8, bits=8)(black).max() == 1
    with pytest.raises(UserError, match="bits must be one of"):
        Pictures(8, bits=11)
    with pytest.raises(UserError, match="bits must be one of"):
        Pictures(8, bits=0)


def test_large_arrays_are_scaled_by_parts_alike():
    values = RNG.integers(0, 4096, (3000, 800), dtype=np.uint16)
    levels, _ = to_8_bits(values)
    np.testing.assert_array_equal(levels, np.rint(values * (255 / 4095)))


def test_colour_of_16_bits_that_uses_few_is_refused(tmp_path):
    from struct import pack
    from zlib import compress, crc32

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", crc32(kind + data))

    for white, seen in ((65535, 255), (4095, None)):
        row = b"\0" + pack(">24H", *[white] * 24)
        file = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0))
        file += chunk(b"IDAT", compress(row * 8)) + chunk(b"IEND", b"")
        if seen:
            assert (COLOUR(file) == seen).all()
        else:
            with pytest.raises(UserError, match=r"values below 4,096 of 65,535"):
                COLOUR(file)
            with pytest.raises(UserError, match=r"values below 4,096 of 65,535"):
                COLOUR(Image.open(io.BytesIO(file)))


class Series:
    """A column of a data frame, as far as arrays know it."""

    def __init__(self, values: list[Any]) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self.values, dtype=dtype or object)


def test_files_in_every_form(tmp_path: Path):
    path = tmp_path / "photo.png"
    path.write_bytes(png(PHOTO))
    want = encode(COLOUR, path)[0]
    with ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.write(path, "photo.png")
        np.testing.assert_array_equal(encode(COLOUR, ZipPath(archive, "photo.png"))[0], want)
    written = io.BytesIO(path.read_bytes())
    written.seek(0, io.SEEK_END)  # as after `image.save(file)`
    with path.open("rb") as file:
        for one in (str(path), file, file, written, bytearray(written.getvalue())):
            x, single = encode(COLOUR, one)
            assert single
            np.testing.assert_array_equal(x, want)
    for many in (
        (p for p in [path, str(path)]), (path, path), np.array([str(path)] * 2),
        Series([path, path]), [Image.open(path), memoryview(path.read_bytes())],
    ):  # fmt: skip
        x, single = encode(COLOUR, many)
        assert (len(x), single) == (2, False)
        np.testing.assert_array_equal(x[1:], want)
    with path.open(encoding="latin-1") as file, pytest.raises(UserError, match="mode 'rb'"):
        encode(COLOUR, file)
    with pytest.raises(UserError, match="cannot be opened; received: I/O operation on closed"):
        encode(COLOUR, file)


def test_all_that_cannot_be_read_are_named(tmp_path: Path):
    (tmp_path / "good.png").write_bytes(png(PHOTO))
    paths = [tmp_path / "good.png"]
    for i in range(12):
        paths.append(tmp_path / f"bad{i:02}.png")
        paths[-1].write_text("text")
    with pytest.raises(UserError, match="received 12 of 13 that are not") as raised:
        encode(COLOUR, paths)
    for i in range(10):
        assert f"bad{i:02}.png" in str(raised.value)
    assert str(raised.value).endswith("and 2 more")
    with pytest.raises(UserError, match=r"negative.*\(example 1 of 2\)"):
        encode(GREY, [LEVELS, np.full((8, 8), -1)])
    with pytest.raises(UserError, match=r"example 0, 1, 2: .*negative") as raised:
        encode(GREY, [np.full((8, 8), -1)] * 3)
    assert str(raised.value).count("negative") == 1


def test_what_is_decoded_whole_is_scaled_before_anything_else(monkeypatch):
    values = np.kron(RNG.integers(0, 256, (20, 30, 4), dtype=np.uint8), np.ones((80, 80, 1), "u1"))
    whole = {kind: kind(values) for kind in (GREY, COLOUR)}
    deep = GREY(values[..., 0].astype(np.uint16) * 257)
    monkeypatch.setattr(pixels, "REDUCED_FROM", 1_000_000)
    monkeypatch.setattr(formats, "WORKING_SIDE", 200)
    for kind, want in whole.items():
        assert abs(kind(values).astype(int) - want).max() <= 2
    assert abs(GREY(png(values[..., 0].astype(np.uint16) * 257)).astype(int) - deep).max() <= 2


def test_photographs_are_scaled_while_they_are_decoded(monkeypatch):
    """A telephone's 200 million pixels, told by limits that are as much smaller."""
    photo = Image.new("RGB", (6000, 4000), (10, 200, 30))
    files = {}
    for kind, options in (("JPEG", {}), ("PNG", {}), ("progressive", {"progressive": True})):
        file = io.BytesIO()
        photo.save(file, kind if kind in ("JPEG", "PNG") else "JPEG", **options)
        files[kind] = file.getvalue()
    monkeypatch.setattr(formats, "MAX_PIXELS", 6_000_000)
    monkeypatch.setattr(formats, "MAX_SCALED", 24_000_000)
    monkeypatch.setattr(formats, "MAX_PROGRESSIVE", 20_000_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert formats.decoded(files["JPEG"], "a photo").size == (3000, 2000)
        assert abs(COLOUR(files["JPEG"])[:, 4, 4].astype(int) - [10, 200, 30]).max() < 4
    for kind in ("PNG", "progressive"):
        with pytest.raises(UserError, match="6000x4000 pixels"):
            COLOUR(files[kind])
    monkeypatch.setattr(formats, "MAX_SCALED", 23_000_000)
    with pytest.raises(UserError, match="6000x4000 pixels"):
        COLOUR(files["JPEG"])


HEIC = base64.b85decode(
    "0000SW^{RQXk}?*00000ZE0pPXk}?*ZE0a<0004fZDn*}000000000XXk=`10000000000aA{+700000000000000000000"
    "B57=IV*mgE07O6l0RRC200001p#T8@00000001Na001LtX>Mi!000000RR916=`l}WdZ;I000310BCk&F#rGn01j|zbZr0t"
    "000010002}X>f9I0002pX>en20001XXm(>m0RwOV0058x000009`FGC{rLC*01pFT0096PKmiN^|NjGU00093kN^M!00093"
    "9=ZZRVE_RDDnbDP18@KU0|1Z!00RI30{|YNAb|yz>g1-mxCm%4AOHXZ10VnZ0{|gn00967L;=Bbz=;3=025<xY;ta6Y<K_x"
    "01W^JfB*mh6lrsCWdHyG00000KmY&$KmY&$C}V74Z~y=RKmY&$0RR91FaQ7m0RR91000000{{R2@Bjb+0ssI25O8UDX#fBK"
    "00RgJ2mk;87-?{AVE_OC000000RRC7fdT^sga7~lENx_AbN~PVASeN^8G!FerN95*;~(|*ulT0OU;m#FchD9e?}$TfZv"
)
"""64 by 48 pixels, red on the left and blue on the right, as a telephone writes them."""


def test_what_telephones_write(monkeypatch):
    pytest.importorskip("pi_heif")
    x = COLOUR(HEIC)
    assert abs(x[:, 4, 1].astype(int) - [200, 30, 30]).max() < 12
    assert abs(x[:, 4, 6].astype(int) - [30, 40, 200]).max() < 12
    for cut in (300, 430):
        with pytest.raises(UserError, match=r"damaged or cut short|not a picture"):
            COLOUR(HEIC[:cut])
    monkeypatch.delitem(Image.OPEN, "HEIF")
    for package in formats.HEIF_READERS:
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=r"needs a package .*quickstudy\[heic\]"):
        COLOUR(HEIC)


def test_avif(monkeypatch):
    if not features.check("avif"):
        pytest.skip("this Pillow reads no AVIF")
    file = io.BytesIO()
    Image.new("RGB", (20, 20), (10, 200, 30)).save(file, "AVIF")
    assert abs(COLOUR(file)[:, 4, 4].astype(int) - [10, 200, 30]).max() < 4
    with pytest.raises(UserError, match=r"damaged or cut short|not a picture"):
        COLOUR(file.getvalue()[:200])
    monkeypatch.delitem(Image.OPEN, "AVIF")
    with pytest.raises(UserError, match="AVIF, which Pillow"):
        COLOUR(file)
