"""The recipe of MovieLens 100K reads the published file, and asks the users that it records."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from quickstudy import catalog

ROOT = Path(__file__).resolve().parents[2]


def test_movielens_as_the_recipe_reads_it() -> None:
    data = ROOT.parent / "shared" / "data"
    folder = Path(os.environ.get("QUICKSTUDY_DATA", data)) / "ml-100k"
    if not folder.is_dir():
        pytest.skip(f"no MovieLens 100K in {folder}; set QUICKSTUDY_DATA")
    recipe = ROOT / "recipes" / "ml-100k-prior.yaml"
    plan = yaml.safe_load(recipe.read_text(encoding="utf-8"))["profiles"]["cpu"]
    tasks = catalog.build_tasks({**plan["train"]["tasks"], "path": folder, "seed": 0})
    assert len(tasks.users) == 943
    assert sum(len(user.items) for user in tasks.users) == 100_000
    assert (len(tasks.items.ids), tasks.items.low, tasks.items.high) == (1682, 1, 5)
    assert {split: tasks.n_tasks(split) for split in ("valid", "test")} == {
        "valid": 112, "test": 186,
    }  # fmt: skip
    recorded = [entry["recorded"]["n_tasks"] for entry in plan["evaluate"]]
    assert recorded == [tasks.n_tasks("test")] * 3
    assert tasks.items.titles[0] == "Toy Story (1995)"
