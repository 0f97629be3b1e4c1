"""Made-up pictures of three things at made-up sites, for first steps offline and for tests.

They are no benchmark. How they are made is said here, so that nobody takes a gain on them for more
than it is: what differs between sites is the angle, the colour of the light and the contrast.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from quickstudy.errors import at_least
from quickstudy.files.atomic import write_atomically
from quickstudy.tasks.source import generator

CLASSES: Final = ("disc", "ring", "stripes")
SIDE: Final = 28


def make_sites(
    n_sites: int = 6, n_pictures: int = 30, rare: float = 0.5, seed: int = 0
) -> dict[str, dict[str, list[NDArray[np.uint8]]]]:
    """Makes pictures `(28, 28, 3)` by site and class.

        picture = ((thing + ground) * contrast of the site + its brightness) * colour of its light

    A thing is a disc, a ring or stripes, of another place, size and shade in each picture, which is
    turned by the angle of the site and a little more. The third class is rarer than the others.

    Args:
        n_sites: How many sites.
        n_pictures: Pictures of a class of a site; of the last class `rare` times as many.
        rare: Share of the pictures that the last class has.
        seed: Seed of everything.
    """
    at_least("make_sites", 2, n_sites=n_sites, n_pictures=n_pictures)
    made = {}
    for site in range(n_sites):
        rng = generator(seed, "made: sites", site)
        angle, contrast = rng.uniform(-60, 60), rng.uniform(0.4, 1.0)
        brightness = rng.uniform(0, 0.3) * (1 - contrast)
        light = rng.uniform(0.5, 1.0, 3)
        made[f"site{site}"] = {
            name: [
                _picture(name, angle, contrast, brightness, light, rng)
                for _ in range(max(4, round(n_pictures * (rare if name == CLASSES[-1] else 1))))
            ]
            for name in CLASSES
        }
    return made


def _picture(
    name: str,
    angle: float,
    contrast: float,
    brightness: float,
    light: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.uint8]:
    turn = np.deg2rad(angle + rng.normal(0, 8))
    down, right = np.mgrid[0:SIDE, 0:SIDE] - (SIDE - 1) / 2
    down, right = down - rng.normal(0, 2), right - rng.normal(0, 2)
    across = np.cos(turn) * right + np.sin(turn) * down
    along = -np.sin(turn) * right + np.cos(turn) * down
    radius, size = np.hypot(across, 1.5 * along), rng.uniform(6, 9)
    thing = {
        "disc": 1 / (1 + np.exp(radius - size)),
        "ring": np.exp(-((radius - size) ** 2) / 4),
        "stripes": (np.sin(across * 2 * np.pi / size) > 0) * 1.0,
    }[name]
    stain = np.array([0.9, 0.35, 0.7])  # of the thing; the ground is grey
    shade = rng.uniform(0.6, 1.0)
    grey = 0.15 + 0.08 * rng.random((SIDE, SIDE, 1))
    picture = grey + shade * thing[..., None] * stain * 0.8
    picture = (picture * contrast + brightness) * light + rng.normal(0, 0.03, picture.shape)
    return np.rint(255 * picture.clip(0, 1)).astype(np.uint8)


def write_sites(folder: Path, made: dict[str, dict[str, list[NDArray[np.uint8]]]]) -> None:
    """Writes `site/class/0000.png`."""
    for site, classes in made.items():
        for name, pictures in classes.items():
            for number, picture in enumerate(pictures):
                out = io.BytesIO()
                Image.fromarray(picture).save(out, "PNG")
                place = folder / site / name / f"{number:04d}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                write_atomically(place, out.getvalue())


def sites_in(folder: Path, seed: int) -> dict[str, Any]:
    """Writes pictures into a folder; returns the options of `sites` that read them."""
    write_sites(folder, make_sites(seed=seed))
    return {"path": folder}
