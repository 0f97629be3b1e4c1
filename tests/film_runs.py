"""Runs of models of made-up films, trained for two steps, for tests of what users do with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import quickstudy as qs
from quickstudy import catalog
from quickstudy.domains.ratings.made import make_ratings, write_ratings


def film_run(folder: Path, name: str = "PriorHead", **options: Any) -> Path:
    """A run directory `run` in a folder, beside the ratings it was trained on."""
    write_ratings(folder, make_ratings(n_users=60, n_items=80, least=16))
    source = catalog.build_tasks({"name": "ratings", "path": folder, "most": 10, "n_query": 5})
    learner = qs.build(name, source, net={"width": 6}, **options)
    training = qs.Training(steps=2, valid_tasks=0)
    qs.train(learner, source, training, folder / "run", show=False)
    return folder / "run"
