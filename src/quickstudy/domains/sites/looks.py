"""Looks at the files of sites: pictures that may not be of one magnification, or not in colour."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image

from quickstudy.inputs import InputKind
from quickstudy.inputs.images import Pictures

LOOKED_AT: Final = 20
"""Pictures of a site that are looked at, spread over all."""
RATIO: Final = 1.5
"""Ratio of sizes from which on it is told."""
GREY: Final = ("1", "L", "LA", "I", "I;16", "F")


def remarks(files: Sequence[Path], sites: Sequence[str], kind: InputKind) -> list[str]:
    """Sentences on sizes and colours that differ, within a site or from site to site.

    Args:
        files: Pictures that can be read.
        sites: Name of the site of each.
        kind: What they become.
    """
    sides: dict[str, list[int]] = {}
    grey: dict[str, list[bool]] = {}
    for name in dict.fromkeys(sites):
        own = [file for file, site in zip(files, sites, strict=True) if site == name]
        step = max(1, len(own) // LOOKED_AT)
        for file in own[::step][:LOOKED_AT]:
            with file.open("rb") as stream, Image.open(stream) as image:
                sides.setdefault(name, []).append(max(image.size))
                grey.setdefault(name, []).append(image.mode in GREY)
    notes = _of_sizes(sides)
    all_grey = [name for name, each in grey.items() if all(each)]
    in_colour = [name for name, each in grey.items() if not any(each)]
    mixed = [name for name in grey if name not in all_grey and name not in in_colour]
    if (mixed or (all_grey and in_colour)) and not (
        isinstance(kind, Pictures) and kind.mode == "L"
    ):
        of = f"all of {all_grey[0]}" if all_grey else f"some of {mixed[0]}"
        notes.append(
            f"some pictures are grey and others in colour ({of} are grey): a model may tell sites "
            "by it; where colour says nothing take grey for all (--tasks.mode L)"
        )
    return notes


def _of_sizes(sides: dict[str, list[int]]) -> list[str]:
    medians = {name: float(np.median(each)) for name, each in sides.items()}
    small, large = min(medians, key=medians.__getitem__), max(medians, key=medians.__getitem__)
    notes = []
    if medians[large] > RATIO * medians[small]:
        notes.append(
            f"pictures differ in size from site to site, from {medians[small]:.0f} pixels in "
            f"{small} to {medians[large]:.0f} in {large} (median of the longer side): all are "
            "scaled to one size, so that a cell or lesion of another magnification looks larger or "
            "smaller; crop or rescale them to one magnification"
        )
    mixed = [name for name, each in sides.items() if max(each) > RATIO * min(each)]
    if mixed:
        name = mixed[0]
        notes.append(
            f"pictures of one site differ in size, in {name} from {min(sides[name])} to "
            f"{max(sides[name])} pixels: see that they are of one magnification"
        )
    return notes
