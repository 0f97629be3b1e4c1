"""A small model of items to serve: made-up films, and people who rate them."""

from __future__ import annotations

from pathlib import Path

from small import quick

from quickstudy import build, catalog
from quickstudy.domains.ratings.made import make_ratings, write_ratings

HOSTILE = "<img src=x onerror=alert(1)> (2001)"
"""The title of the first film, which is to be shown as it is."""


def make_films(out: Path, learner: str = "PriorHead") -> Path:
    """A model of 60 films, trained for an instant."""
    folder = out.parent / f"{out.name}-ratings"
    folder.mkdir()
    made = make_ratings(n_users=60, n_items=60, least=16)
    (name, _, genres), *others = made.items
    write_ratings(folder, made._replace(items=[(name, HOSTILE, genres), *others]))
    spec = {"name": "ratings", "path": folder, "most": 10, "n_query": 5, "candidates": 0}
    source = catalog.build_tasks(spec)
    quick(source, build(learner, source, net={"width": 6}), out)
    return out
