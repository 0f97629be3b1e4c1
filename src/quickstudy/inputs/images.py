"""Pictures of any size and mode, as square inputs: in meta-training as for a user's photo."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quickstudy.errors import UserError
from quickstudy.files.records import JSON
from quickstudy.inputs.axes import is_one
from quickstudy.inputs.constancy import Constancy, check_constancy, grey_world
from quickstudy.inputs.files import labelled_files, pictures_at
from quickstudy.inputs.frames import AS_KNOWN, Reading
from quickstudy.inputs.framing import (
    Resample,
    Resize,
    border_colour,
    brightest_255,
    cropped,
    padded,
    squashed,
)
from quickstudy.inputs.ink import only_ink
from quickstudy.inputs.kind import Array, Form, Images, InputKind, Modality, Shape
from quickstudy.inputs.levels import DEPTHS, TOLERANCE, White, check_alike
from quickstudy.inputs.parallel import read_each
from quickstudy.inputs.pixels import (
    as_array,
    flatten,
    from_base64,
    nested,
    one_or_many,
    read_upload,
    to_plain,
    upload_pixels,
)
from quickstudy.inputs.vectors import nested_numbers
from quickstudy.task import Kind

STORED_SIDE: Final = 512
"""Longer side of a picture that a request sends, or twice the network's."""
NAMED: Final = 10
"""Pictures that cannot be read of which a message says why."""
T = TypeVar("T")


@dataclass(frozen=True)
class Pictures(InputKind):
    """How pictures become inputs.

    A picture that is not square is padded with the colour of its border, never distorted. With
    `ink` the ink is found and made to fill the same part of the frame whatever the margins, because
    a model meta-trained on characters that fill theirs does not know a small one in a corner of a
    photo: an even or evenly tilted light is taken out, the contrast stretched, the ink made bright
    on 0, cropped, scaled and centred. Only the first frame of an animation counts.

    Args:
        size: Side of the square input, in pixels.
        mode: `"L"` for grey, `"RGB"` for colour; drawings (`ink`) are grey.
        ink: The pictures are drawings, dark on light or light on dark.
        fill: Part of the frame that the longer side of the ink fills. In Omniglot it is 0.65 in the
            median over the background set.
        bits: Depth of whole numbers: white is `2**bits - 1`, of uint8 at most 255. Where omitted,
            each picture has the fewest of 8, 10, 12 and 16 bits that hold its largest number, and
            one of 0 and 1 alone is a mask; uint8 is 8 bits.
        resize: Whether a picture that is not square is padded, squashed, or its middle cut out.
        crop_from: With `"crop"`, the length to which the shorter side is scaled before; `size`
            where omitted.
        resample: How pixels are mixed where a picture is squashed or cropped.
        constancy: `"grey-world"` scales the colours of each picture so that their means are alike,
            before anything else: the colour of the light, or of a stain, goes.

    Raises:
        UserError: Sizes or bits out of range, colour with `ink`, or constancy of grey pictures.

    Example:
        >>> pictures = Pictures(size=28, ink=True)
        >>> pictures((16 * X[0]).astype("uint8").reshape(8, 8)).shape
        (1, 28, 28)
    """

    form = "image"
    modality = "pictures"

    size: int = 28
    mode: Literal["L", "RGB"] = "L"
    ink: bool = False
    fill: float = 0.65
    bits: int | None = None
    resize: Resize = "pad"
    crop_from: int | None = None
    resample: Resample = "bicubic"
    constancy: Constancy | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("L", "RGB") or (self.ink and self.mode != "L"):
            raise UserError(
                f"Pictures: mode must be 'L' or 'RGB', and 'L' for drawings; received "
                f"mode={self.mode!r}, ink={self.ink}; choose one of these."
            )
        if not 4 <= self.size <= 1024 or not 0 < self.fill <= 1:
            raise UserError(
                f"Pictures: size must be 4 .. 1024 and fill above 0 and at most 1; received "
                f"size={self.size}, fill={self.fill}; choose within these."
            )
        if self.bits is not None and self.bits not in DEPTHS:
            raise UserError(
                f"Pictures: bits must be one of {', '.join(map(str, DEPTHS))}; received "
                f"{self.bits!r}; choose one, or leave it out."
            )
        check_constancy(self.constancy, "Pictures", self.mode == "RGB")

    def __call__(self, picture: Any) -> NDArray[np.uint8]:
        """One picture as an input `(channels, size, size)`, in 0 .. 255.

        Args:
            picture: A path, an open file, the bytes of a file, a PIL image, or an array or tensor
                of any type, (h, w), (h, w, 1 | 3 | 4) or (1 | 3 | 4, h, w): whole numbers of 8, 10,
                12 or 16 bits, masks of 0 and 1, or numbers in 0 .. 1; with `ink` numbers in any
                range.

        Raises:
            UserError: The picture cannot be read, is too large, could be in several ranges, or
                shows no ink where there should be some.
        """
        return self._levels(picture)[0]

    def _levels(self, picture: Any) -> tuple[NDArray[np.uint8], White | None]:
        """One picture in 0 .. 255, and what was taken for white where that was inferred."""
        image, white, name = to_plain(picture, self.bits, self.ink, self._shape)
        flat = flatten(image, self.mode, self.ink)
        if self.ink:
            flat = only_ink(flat, name)
            return brightest_255(padded(flat, self.size, self.fill))[None], None
        flat = grey_world(flat) if self.constancy else flat
        framed = np.asarray(self._squared(flat))
        return framed[None] if self.mode == "L" else framed.transpose(2, 0, 1).copy(), white

    def _squared(self, image: Image.Image) -> Image.Image:
        if self.resize == "squash":
            return squashed(image, self.size, self.resample)
        if self.resize == "crop":
            return cropped(image, self.size, self.crop_from or self.size, self.resample)
        return padded(image, self.size, 1.0, border_colour(image))

    def stack(
        self, pictures: Sequence[Any], skip_bad: bool = False
    ) -> tuple[NDArray[np.uint8], dict[int, str]]:
        """Pictures as inputs `(n, channels, size, size)`, in 0 .. 255.

        Args:
            pictures: Each as one picture is given.
            skip_bad: Whether those that cannot be read are left out.

        Returns:
            The inputs, and why pictures were left out, by their place.

        Raises:
            UserError: Pictures cannot be read, all of which are named; or by their largest numbers
                they differ in depth.
        """
        inputs: list[NDArray[np.uint8]] = []
        bad = self.hand_over(pictures, inputs.append, skip_bad)
        if bad and not inputs:
            raise unreadable(bad, len(pictures))
        return np.stack(inputs), bad

    def hand_over(
        self,
        pictures: Sequence[Any],
        take: Callable[[NDArray[np.uint8]], None],
        skip_bad: bool = False,
    ) -> dict[int, str]:
        """Hands over pictures one by one as they are read, as inputs in 0 .. 255.

        Args:
            pictures: Each as one picture is given.
            take: Called with each input `(channels, size, size)`, in order.
            skip_bad: Whether those that cannot be read are left out, even if they are all.

        Returns:
            Why pictures were left out, by their place.

        Raises:
            UserError: As `stack`.
        """
        return self._alike(pictures, self._levels, take, skip_bad)

    def encode(self, X: Any, x_shape: Shape) -> tuple[Array, bool]:
        values = as_array(nested(X))
        if isinstance(values, np.ndarray) and values.dtype.kind in "buif":
            single = is_one(values, x_shape)
            encoded = self._encoded(values, x_shape, single)
            if encoded is not None:
                return encoded, single
        pictures, single = pictures_in(values, x_shape)

        def read(picture: Any) -> tuple[Array, White | None]:
            array = as_array(picture)
            if isinstance(array, np.ndarray):
                encoded = self._encoded(array, x_shape, single=True)
                if encoded is not None:
                    return encoded[0], White(1.0, "floating")
            return self._levels(picture)

        # As levels they take a quarter of the memory, and there is one array of numbers alone.
        inputs: list[Array] = []
        self._alike(pictures, read, inputs.append)
        x = np.empty((len(inputs), *inputs[0].shape), dtype=np.float32)
        for row, values in zip(x, inputs, strict=True):
            white = 255 if values.dtype == np.uint8 else 1
            np.divide(values, white, out=row, dtype=np.float32, casting="same_kind")
        return x, single

    def _encoded(self, values: Array, x_shape: Shape, single: bool) -> Array | None:
        """Floating-point numbers that are inputs already, as many; None where they are not.

        Of the network's own shape they are, and where no ink is to be found also with channels
        last or without an axis for grey.
        """
        if values.dtype.kind != "f" or not values.size:
            return None
        batch = values[None] if single else values
        if batch.shape[1:] != x_shape:
            if self.ink:
                return None
            if batch.ndim == 3:
                batch = batch[:, None]
            elif batch.ndim == 4:
                batch = batch.transpose(0, 3, 1, 2)
            if batch.shape[1:] != x_shape:
                return None
        low, high = batch.min(), batch.max()
        # What is not finite is refused by whoever asked, with the number of the example.
        return None if low < -TOLERANCE or high > 1 + TOLERANCE else batch

    def _alike(
        self,
        pictures: Sequence[Any],
        read: Callable[[Any], tuple[T, White | None]],
        take: Callable[[T], None],
        skip_bad: bool = False,
    ) -> dict[int, str]:
        """Hands over all pictures, read; returns why pictures were left out, by their place."""
        whites, names = [], []
        bad: dict[int, str] = {}
        for place, each in enumerate(read_each(read, pictures, "pictures read")):
            if isinstance(each, UserError):
                bad[place] = str(each)
            elif isinstance(each, Exception):
                raise each
            else:
                take(each[0])
                whites.append(each[1])
                path = isinstance(pictures[place], str | os.PathLike)
                names.append(str(pictures[place]) if path else f"example {place}")
        if bad and not skip_bad:
            raise unreadable(bad, len(pictures))
        check_alike(whites, names)
        return bad

    @property
    def _shape(self) -> Shape:
        return (1 if self.mode == "L" else 3, self.size, self.size)

    @property
    def source_options(self) -> JSON:
        options = {key: getattr(self, key) for key in ("size", "mode", "ink", "bits", "constancy")}
        return {key: value for key, value in options.items() if value is not None}

    def to_json(self) -> JSON:
        options = asdict(self)
        # As in files of the time before there were these options.
        for name in ("bits", "crop_from", "constancy"):
            if options[name] is None:
                del options[name]
        for name, usual in (("resize", "pad"), ("resample", "bicubic")):
            if options[name] == usual:
                del options[name]
        return {"kind": "pictures", **options}

    @classmethod
    def from_json(cls, data: JSON) -> Self:
        return cls(**{key: value for key, value in data.items() if key != "kind"})

    def read_labelled(
        self, path: Path, target: str | None, targets: Kind, reading: Reading = AS_KNOWN
    ) -> tuple[Any, list[Any]]:
        return labelled_files(path)

    def read_queries(self, paths: Sequence[Path]) -> list[Any]:
        return list(pictures_at(paths))

    def from_request(self, form: Form, value: Any, x_shape: Shape) -> Any:
        if form == "values":
            return nested_numbers(value, x_shape)
        if form != self.form:
            raise self.refusal(form)
        return read_upload(from_base64(value["b64"]), max(STORED_SIDE, 2 * self.size))

    def pixels(self, form: Form, value: Any) -> int:
        return upload_pixels(value["b64"]) if form == self.form else 0

    def to_request(self, x: Any) -> JSON:
        return {"values": x}

    def card(self) -> JSON:
        return {"columns": None, "drawings": self.ink}

    def images(self, x: Array) -> Images:
        return Images(x[:, 0] if x.shape[1] == 1 else np.moveaxis(x, 1, -1), self.ink)


def pictures_in(values: Any, x_shape: Shape) -> tuple[list[Any], bool]:
    """The pictures in what a user hands over, and whether it is one rather than many.

    Args:
        values: An array, or one picture or several of any form.
        x_shape: Shape of one input of the network, channels first.

    Raises:
        UserError: There are none, or one cannot be told from many.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind in "buif":
        single = is_one(values, x_shape)
        pictures = [values] if single else list(values)
    else:
        single, pictures = one_or_many(values)
    if not pictures:
        raise UserError("inputs: need at least one picture; received none; pass some.")
    return pictures, single


def unreadable(bad: dict[int, str], n: int, modality: Modality = "pictures") -> UserError:
    """The error of inputs that cannot be read: each message, and the examples it is about."""
    if len(bad) == 1:
        ((place, message),) = bad.items()
        return UserError(f"{message} (example {place} of {n})" if n > 1 else message)
    places: dict[str, list[str]] = {}
    for place, message in bad.items():
        places.setdefault(message, []).append(str(place))
    lines = [
        f"example {', '.join(of[:NAMED])}{', ...' if len(of) > NAMED else ''}: {message}"
        for message, of in places.items()
    ]
    more = [f"and {len(lines) - NAMED} more"] if len(lines) > NAMED else []
    listed = "\n  ".join([*lines[:NAMED], *more])
    return UserError(
        f"{modality.capitalize()}: all must be {modality} that can be read; received {len(bad)} of "
        f"{n} that are not; correct them or leave them out:\n  {listed}"
    )
