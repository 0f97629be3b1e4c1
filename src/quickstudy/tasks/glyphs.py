"""Glyphs: the data set that comes with quickstudy, drawn from the fonts that matplotlib ships."""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import PIL
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from quickstudy.errors import DataError
from quickstudy.files.atomic import replacing
from quickstudy.files.cache_dir import cache_dir as user_cache
from quickstudy.inputs.images import Pictures
from quickstudy.tasks.episodes import Dataset
from quickstudy.tasks.pools import ClassPool
from quickstudy.tasks.scripts import (
    BOX,
    FRAME,
    REACH,
    SCRIPTS,
    STEP,
    Drawings,
    Script,
    chunks,
    draw,
    faces,
    font_files,
)
from quickstudy.tasks.source import SPLITS, Split, generator

Array = NDArray[Any]

# Part of the cache's key: raise it with every change of the drawn pixels.
VERSION = 1
N_EXAMPLES = 20
N_SCRIPTS_NEEDED = 20

SIZE = 28  # side of an example

TWIN_GRID = 20  # twins are compared on a grid of this side
TWIN_STROKE = 2.5  # after their strokes were brought to this half width, in drawing pixels
TWIN_RADIUS, TWIN_EXCESS = 1.0, 0  # within a split, in grid cells
LEAK_RADIUS, LEAK_EXCESS = 1.5, 4  # across splits
TWIN_ASPECT = np.log(1.6)
THIN = np.log(4.0)  # glyphs longer than this (log of the ratio) count as equally long


def glyphs(cache_dir: Path | None = None) -> Dataset:
    """Characters of many scripts, drawn from fonts and warped: the embedded default data.

    Every class is a character, every group a script or symbol block, and a script belongs to one
    split. Examples come from every font face that has the character, in turn, each turned, scaled,
    sheared, moved, bent by a smooth random field and redrawn with another stroke thickness.

    Twins are dropped. Two drawings are twins when, with strokes of one thickness and stretched to
    fill a 20 x 20 grid, all inked cells of either lie within 1 cell of an inked cell of the other,
    the same holds for the cells without ink (as are those around the grid), and width / height
    differs by less than a factor 1.6. Two characters are twins when their drawings in a face they
    share are, or any drawing of one and the first drawing of the other. Across splits the rule is
    wider, so that no unseen character is a glyph that was trained on: within 1.5 cells, for all but
    4 cells. Of twins the one in meta-train stays, then the one in meta-test, then the earlier in
    `SCRIPTS`.

    Args:
        cache_dir: Where the drawn pictures are kept. By default the folder that the environment
            variable `QUICKSTUDY_CACHE` names, else the user's cache folder.

    Shapes:
        x (examples, 1, 28, 28): uint8, ink is 255 on 0.

    Raises:
        DataError: The fonts are missing or draw too few scripts, or the cache cannot be written.
    """
    folder = Path(cache_dir) if cache_dir else user_cache("")
    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    path = folder / f"glyphs-{_key(fonts)[:16]}.npz"
    arrays = _read(path)
    if arrays is None:
        arrays = _make(fonts, SCRIPTS)
        _write(path, arrays)
    return _dataset(arrays)


def _dataset(arrays: dict[str, Array]) -> Dataset:
    x, codes, scripts = arrays["x"], arrays["codes"], arrays["scripts"]
    pools: dict[Split, ClassPool] = {}
    about: dict[str, Any] = {"classes": {}, "scripts": {}}
    for split in SPLITS:
        own = np.flatnonzero([SCRIPTS[s].split == split for s in scripts])
        names = [f"{SCRIPTS[scripts[c]].name} U+{codes[c]:04X} {chr(codes[c])}" for c in own]
        # The classes of a split lie side by side, so this is a view and not a copy.
        part = x[own[0] : own[-1] + 1]
        pools[split] = ClassPool(
            part.reshape(-1, 1, SIZE, SIZE),
            np.repeat(np.arange(len(own)), x.shape[1]),
            names,
            group=scripts[own],
        )
        about["classes"][split] = len(own)
        about["scripts"][split] = [SCRIPTS[s].name for s in np.unique(scripts[own])]
    about["examples_a_class"] = int(x.shape[1])
    about["twins_dropped"] = int(arrays["n_dropped"])
    about["sha256"] = str(arrays["sha256"])
    return Dataset(
        "glyphs", pools, Pictures(size=SIZE, mode="L", ink=True), about=about, fixed=True
    )


def _make(fonts: Path, scripts: Sequence[Script]) -> dict[str, Array]:
    """Draws the arrays that are cached, for these scripts."""
    # Sorted by split: of two twins the earlier one stays.
    order = sorted(scripts, key=lambda script: ("train", "test", "valid").index(script.split))
    wanted = [(SCRIPTS.index(script), code) for script in order for code in script.characters()]
    drawings = draw(faces(fonts), [code for _, code in wanted])
    drawn = np.unique(drawings.character)
    if len({wanted[c][0] for c in drawn}) < min(N_SCRIPTS_NEEDED, len(scripts)):
        raise DataError(
            f"glyphs: too few scripts can be drawn from the fonts in {fonts}; received characters "
            f"of {len({wanted[c][0] for c in drawn})} script(s), {N_SCRIPTS_NEEDED} are needed; "
            "reinstall matplotlib, which ships these fonts."
        )
    split = np.array([SPLITS.index(SCRIPTS[s].split) for s, _ in wanted])
    characters = _without_twins(drawings, split)
    codes = np.array([wanted[c][1] for c in characters])
    return {
        "x": _examples(drawings, characters, codes),
        "codes": codes,
        "scripts": np.array([wanted[c][0] for c in characters]),
        "n_dropped": np.array(len(drawn) - len(characters)),
    }


# Twins


def _without_twins(drawings: Drawings, split: Array) -> Array:
    """Sorted characters without twins; `split` is the number of each character's split."""
    twins: list[list[int]] = [[] for _ in split]
    for a, b in zip(*_twins(drawings, split), strict=True):
        twins[a].append(b)
        twins[b].append(a)
    stays = np.zeros(len(split), bool)
    for character in np.unique(drawings.character):
        stays[character] = not stays[twins[character]].any()
    return np.flatnonzero(stays)


def _twins(drawings: Drawings, split: Array) -> tuple[Array, Array]:
    """Pairs of characters that are twins by the rule that `glyphs` states."""
    cells = _stretched(drawings)
    flat = len(cells), TWIN_GRID**2
    aspect = np.log(drawings.half[:, 0] / drawings.half[:, 1]).clip(-THIN, THIN)
    character = drawings.character
    first = np.zeros(len(character), bool)
    first[np.unique(character, return_index=True)[1]] = True
    pairs: set[tuple[int, int]] = set()
    tolerances = {True: (TWIN_RADIUS, TWIN_EXCESS), False: (LEAK_RADIUS, LEAK_EXCESS)}
    ink = cells.reshape(flat).astype(np.float32)
    for same, (radius, excess) in tolerances.items():
        off_ink = (~_widened(cells, radius)).reshape(flat).astype(np.float32)
        off_gap = (~_widened(~cells, radius, around=True)).reshape(flat)
        for face in np.unique(drawings.face):
            for s in np.unique(split):
                mine = (drawings.face == face) & (split[character] == s)
                theirs = ((drawings.face == face) | first) & ((split[character] == s) == same)
                close = _close(
                    ink, off_ink, aspect, np.flatnonzero(mine), np.flatnonzero(theirs), excess
                )
                for a, b in close:
                    distinct = character[a] != character[b]
                    a, b = a[distinct], b[distinct]
                    gap = [((ink[p] == 0) & off_gap[q]).sum(axis=1) for p, q in ((a, b), (b, a))]
                    keep = np.maximum(*gap) <= excess
                    pairs.update(
                        zip(character[a[keep]].tolist(), character[b[keep]].tolist(), strict=True)
                    )
    ends = np.array(sorted(pairs), dtype=int).reshape(-1, 2)
    return ends[:, 0], ends[:, 1]


def _close(
    ink: Array, off: Array, aspect: Array, mine: Array, theirs: Array, excess: int
) -> Iterator[tuple[Array, Array]]:
    """Pairs alike in aspect, with at most `excess` inked cells of either off the other's ink."""
    mine, theirs = (which[np.argsort(aspect[which])] for which in (mine, theirs))
    their_ink, their_off = ink[theirs].T, off[theirs].T
    for rows in chunks(len(mine), 256):
        some = mine[rows]
        ends = aspect[some[[0, -1]]] + (-TWIN_ASPECT, TWIN_ASPECT)
        alike = slice(*np.searchsorted(aspect[theirs], ends))
        near = ink[some] @ their_off[:, alike] <= excess
        near &= off[some] @ their_ink[:, alike] <= excess
        a, b = np.nonzero(near)
        a, b = some[a], theirs[alike][b]
        keep = np.abs(aspect[a] - aspect[b]) < TWIN_ASPECT
        yield a[keep], b[keep]


def _stretched(drawings: Drawings) -> Array:
    """Drawings of one stroke thickness, stretched to fill a square grid (drawings, side, side)."""
    edge = (drawings.stroke - TWIN_STROKE).clip(-1.5, 1.5)
    middle = (np.arange(TWIN_GRID) + 0.5) / TWIN_GRID * 2 - 1
    cells = np.empty((len(edge), TWIN_GRID, TWIN_GRID), bool)
    reach = (drawings.half - edge[:, None]).clip(0.5, FRAME / 2)
    at = (FRAME // 2 + reach[:, :, None] * middle).astype(int).clip(0, FRAME - 1)
    for rows in chunks(len(edge), 4096):
        index = np.arange(len(edge))[rows, None, None]
        sample = drawings.distance[index, at[rows, 1, :, None], at[rows, 0, None, :]]
        cells[rows] = sample > STEP * edge[rows, None, None]
    return cells


def _widened(cells: Array, radius: float, around: bool = False) -> Array:
    """Cells within `radius` of a cell that is set; those around the grid are set if `around`."""
    reach = int(radius)
    side = cells.shape[1]
    margin = (0, 0), (reach, reach), (reach, reach)
    padded = np.pad(cells, margin, constant_values=around)
    result = cells.copy()
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            if 0 < x * x + y * y <= radius**2:
                result |= padded[:, reach + y : reach + y + side, reach + x : reach + x + side]
    return result


# Warps


def _examples(drawings: Drawings, characters: Array, codes: Array) -> Array:
    """Warped examples of the characters `(characters, N_EXAMPLES, 28, 28)`."""
    x = np.empty((len(characters), N_EXAMPLES, SIZE, SIZE), np.uint8)
    by_character = np.argsort(drawings.character, kind="stable")
    bounds = np.searchsorted(drawings.character[by_character], [characters, characters + 1])
    for rows in chunks(len(characters), 16):
        chosen, uniform, normal = [], [], []
        for code, start, stop in zip(codes[rows], *bounds[:, rows], strict=True):
            # One stream a character: its pictures do not depend on which others are drawn.
            rng = generator(VERSION, "glyphs", int(code))
            own = rng.permutation(by_character[start:stop])
            chosen.append(np.resize(own, N_EXAMPLES))
            uniform.append(rng.uniform(-1, 1, (N_EXAMPLES, 7)))
            normal.append(rng.standard_normal((N_EXAMPLES, 2, 4, 4)))
        pictures = _warp(
            drawings, np.concatenate(chosen), np.concatenate(uniform), np.concatenate(normal)
        )
        x[rows] = pictures.reshape(-1, N_EXAMPLES, SIZE, SIZE)
    return x


def _warp(drawings: Drawings, chosen: Array, uniform: Array, normal: Array) -> Array:
    """Drawings `(n,)` as pictures `(n, 28, 28)`, warped by random numbers.

    `uniform` (n, 7) in -1 .. 1: turn, scale, stretch, shear, shift x and y, stroke thickness.
    `normal` (n, 2, 4, 4): displacements on a coarse grid, interpolated between.
    """
    turn, scale, stretch, shear, *shift, thickness = torch.from_numpy(uniform).float().T
    distance = torch.from_numpy(drawings.distance[chosen]).float() / STEP
    half, stroke, gap = (
        torch.from_numpy(a[chosen]) for a in (drawings.half, drawings.stroke, drawings.gap)
    )

    # forward: from drawing pixels to picture pixels, both counted from the centre.
    size = 17.5 / BOX * torch.exp(0.14 * scale)
    cos, sin = torch.cos(0.28 * turn), torch.sin(0.28 * turn)
    rotation = torch.stack([cos, -sin, sin, cos], dim=-1).view(-1, 2, 2)
    wide = torch.exp(0.13 * stretch)
    skew = torch.stack([wide, 0.26 * shear, 0 * wide, 1 / wide], dim=-1).view(-1, 2, 2)
    forward = size[:, None, None] * rotation @ skew
    extent = (forward.abs() @ half[:, :, None])[:, :, 0]
    forward = forward * (12.5 / extent.amax(dim=1).clamp(min=12.5))[:, None, None]
    extent = extent.clamp(max=12.5)
    moved = torch.stack(shift, dim=-1) * (13 - extent).clamp(0, 1.8)

    # Interpolating is linear, so that the fields of single grid points add up to any field.
    single = F.interpolate(
        torch.eye(16).view(16, 1, 4, 4), SIZE, mode="bicubic", align_corners=True
    )
    bend = torch.from_numpy(normal).float().flatten(2) @ single.view(16, -1)
    axis = torch.arange(SIZE) + 0.5 - SIZE / 2
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=-1).view(1, -1, 2)
    at = grid - moved[:, None] - 0.8 * bend.mT
    at = at @ torch.linalg.inv(forward).mT / (FRAME / 2)
    unit = torch.linalg.det(forward).sqrt()
    sampled = F.grid_sample(
        distance[:, None], at.view(-1, SIZE, SIZE, 2), padding_mode="border", align_corners=False
    )[:, 0]
    # Strokes come near a random thickness; neither strokes nor the gaps between them vanish.
    gain = (1.15 + 0.45 * thickness - stroke * unit).clamp(-0.5, 0.8).minimum(0.4 * gap * unit)
    inside = unit[:, None, None] * sampled + gain[:, None, None]
    ink: Array = (255 * (0.5 + inside).clamp(0, 1)).round().to(torch.uint8).numpy()
    return ink


# Cache


def _key(fonts: Path) -> str:
    """Names what would be drawn: fonts, scripts, parameters and the libraries that draw."""
    made_of = {
        "version": VERSION,
        "fonts": {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in font_files(fonts)
        },
        "scripts": SCRIPTS,
        "parameters": [
            N_EXAMPLES,
            SIZE,
            FRAME,
            BOX,
            REACH,
            STEP,
            TWIN_GRID,
            TWIN_STROKE,
            TWIN_RADIUS,
            TWIN_EXCESS,
            LEAK_RADIUS,
            LEAK_EXCESS,
        ],
        "libraries": [np.__version__, torch.__version__, PIL.__version__],
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


def _digest(arrays: dict[str, Array]) -> str:
    digest = hashlib.sha256()
    for name in ("x", "codes", "scripts", "n_dropped"):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _read(path: Path) -> dict[str, Array] | None:
    """The cached arrays; None where there is no file or it is not what was written."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as members:
            arrays = {name: members[name] for name in members.files}
        intact = str(arrays["sha256"]) == _digest(arrays)
    except (OSError, EOFError, KeyError, RuntimeError, ValueError, zipfile.BadZipFile):
        return None
    return arrays if intact else None


def _write(path: Path, arrays: dict[str, Array]) -> None:
    """Adds the digest to the arrays and writes them so that readers see all of the file or none."""
    arrays["sha256"] = np.array(_digest(arrays))
    try:
        with replacing(path) as file:
            np.savez(file, allow_pickle=False, **arrays)
    except OSError as error:
        raise DataError(
            f"glyphs: the drawn pictures cannot be kept in {path.parent}; received {error}; "
            "name a folder that can be written in QUICKSTUDY_CACHE or as cache_dir."
        ) from error
