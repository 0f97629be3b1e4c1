"""Made-up ratings of made-up films, in files like the real ones, for first steps offline.

They are no benchmark. How they are made is said here, so that nobody takes a gain on them for more
than it is: people share a few tastes, which are drawn once for all.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from quickstudy.errors import at_least
from quickstudy.files.atomic import write_atomically
from quickstudy.tasks.source import generator

GENRES: Final = ("Comedy", "Drama", "Crime", "Documentary", "Fantasy", "Romance", "Western")
FIRST: Final = ("Silent", "Last", "Second", "Golden", "Lost", "Winter", "Paper", "Distant")
SECOND: Final = ("Harbour", "Letter", "Garden", "Bridge", "Orchard", "Signal", "Mirror", "River")
N_TASTES: Final = 3


class MadeRatings(NamedTuple):
    """Made-up ratings.

    Attributes:
        items: Id, title and genres of each item.
        ratings: User, item, rating and time of each rating.
    """

    items: list[tuple[str, str, str]]
    ratings: list[tuple[str, str, float, int]]


def make_ratings(
    n_users: int = 200, n_items: int = 120, least: int = 30, seed: int = 0
) -> MadeRatings:
    """Makes ratings of 1 to 5 stars: each is, rounded and put to the ends of the scale,

        3.5 + quality of the item + bias of the user + tastes . traits of the item + noise

    The traits of an item follow its genres, with something of its own. Popular items are rated more
    often, and by most users early. Two items of a hundred are rated by nobody.

    Args:
        n_users, n_items: How many.
        least: Ratings of a user at least; there are up to twice as many.
        seed: Seed of everything.
    """
    at_least("make_ratings", 1, n_users=n_users, least=least)
    at_least("make_ratings", 2 * least, n_items=n_items)
    rng = generator(seed, "made: items", 0)
    of_genre = rng.normal(size=(len(GENRES), N_TASTES))
    genres = [
        sorted(rng.choice(len(GENRES), rng.integers(1, 3), replace=False)) for _ in range(n_items)
    ]
    traits = np.stack([of_genre[each].mean(axis=0) for each in genres])
    traits += rng.normal(0, 0.7, traits.shape)
    quality = rng.normal(0, 0.4, n_items)
    popular = np.exp(rng.normal(0, 1, n_items))
    popular[rng.permutation(n_items)[: n_items // 50]] = 0
    years = rng.integers(1960, 2020, n_items)
    items = [
        (
            f"f{number:03d}",
            f"The {FIRST[number % 8]} {SECOND[number // 8 % 8]} ({years[number]})",
            "|".join(GENRES[g] for g in genres[number]),
        )
        for number in range(n_items)
    ]
    ratings = []
    for user in range(n_users):
        own = generator(seed, "made: users", user)
        n = int(own.integers(least, 2 * least + 1))
        n = min(n, int((popular > 0).sum()))
        seen = own.choice(n_items, n, replace=False, p=popular / popular.sum())
        taste, bias = own.normal(0, 0.45, N_TASTES), own.normal(0, 0.4)
        value = 3.5 + quality[seen] + bias + traits[seen] @ taste + own.normal(0, 0.6, n)
        start = int(own.integers(10**9))
        ratings += [
            (f"u{user:03d}", items[item][0], float(stars), start + 60 * step)
            for step, (item, stars) in enumerate(
                zip(seen.tolist(), np.clip(np.round(value), 1, 5).tolist(), strict=True)
            )
        ]
    return MadeRatings(items, ratings)


def write_ratings(folder: Path, made: MadeRatings) -> list[Path]:
    """Writes `ratings.csv` and `items.csv`."""
    rows: list[tuple[str, ...]] = [("user", "item", "rating", "time")]
    rows += [(user, item, f"{stars:g}", str(when)) for user, item, stars, when in made.ratings]
    return _write_tables(
        folder, {"ratings.csv": rows, "items.csv": [("item", "title", "genres"), *made.items]}
    )


def _write_tables(folder: Path, tables: dict[str, list[tuple[str, ...]]]) -> list[Path]:
    paths = []
    for name, table in tables.items():
        paths.append(folder / name)
        lines = [",".join(row) + "\n" for row in table]
        write_atomically(paths[-1], "".join(lines).encode())
    return paths


def ratings_in(folder: Path, seed: int) -> dict[str, Any]:
    """Writes ratings into a folder; returns the options of `ratings` that read them."""
    write_ratings(folder, make_ratings(seed=seed))
    return {"path": folder}


def interactions_in(folder: Path, seed: int) -> dict[str, Any]:
    """Writes interactions, those of at least 4 stars; returns the options that read them."""
    items, ratings = make_ratings(n_users=300, seed=seed)
    liked = [(user, item, str(when)) for user, item, stars, when in ratings if stars >= 4]
    _write_tables(
        folder,
        {
            "interactions.csv": [("user", "item", "time"), *liked],
            "items.csv": [("item", "title", "genres"), *items],
        },
    )
    return {"path": folder}
