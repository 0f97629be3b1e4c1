"""`quickstudy data`: fetches, checks or draws a data set."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

from quickstudy import catalog
from quickstudy.cli.console import print_table, status
from quickstudy.errors import UserError
from quickstudy.tasks import SPLITS, Dataset
from quickstudy.training.plan import without_none


def data(
    name: str,
    data_dir: Path | None = None,
    path: Path | None = None,
    target: str | None = None,
) -> int:
    """Fetch, check or draw a data set, and say what is in it.

    Args:
        name: Name of a task source.
        data_dir: Folder of the original files of a published data set.
        path: Folder or file of your own data.
        target: Column to predict, where they are tables.
    """
    builder = catalog.tasks_builder(name)
    every = {"data_dir": data_dir, "path": path, "target": target}
    options = without_none(every)
    with status() as say:
        say(name)
        try:
            source = builder(**options)
        except TypeError as error:
            own = [key for key in every if key in inspect.signature(builder).parameters]
            takes = ", ".join(f"--{key.replace('_', '-')}" for key in own) or "none of them"
            raise UserError(
                f"data {name}: needs other options ({error}); received {sorted(options)}; it takes "
                f"{takes}."
            ) from error
    if not isinstance(source, Dataset):
        print(json.dumps(source.describe(), indent=2))
        return 0
    pools = {split: source.pools[split] for split in SPLITS if split in source.pools}
    rows = [
        (split, str(len(pool.names)), str(len(pool.y)), str(pool.counts.min()))
        for split, pool in pools.items()
    ]
    print_table(source.name, ("split", "classes", "examples", "fewest of a class"), rows)
    print(json.dumps(source.about, indent=2, default=str, ensure_ascii=False))
    return 0
