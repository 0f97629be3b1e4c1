"""`quickstudy data`: fetches, checks or draws a data set."""

from __future__ import annotations

import inspect
import json as jsonlib
from pathlib import Path

from rich.console import Console
from rich.table import Table

from quickstudy import catalog
from quickstudy.cli.console import status
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
    options = {"data_dir": data_dir, "path": path, "target": target}
    given = without_none(options)
    with status() as say:
        say(name)
        try:
            made = builder(**given)
        except TypeError as error:
            own = [key for key in options if key in inspect.signature(builder).parameters]
            takes = ", ".join(f"--{key.replace('_', '-')}" for key in own) or "none of them"
            raise UserError(
                f"data {name}: needs other options ({error}); received {sorted(given)}; it takes "
                f"{takes}."
            ) from error
    if not isinstance(made, Dataset):
        print(jsonlib.dumps(made.describe(), indent=2))
        return 0
    table = Table(title=made.name)
    for column in ("split", "classes", "examples", "fewest of a class"):
        table.add_column(column, justify="left" if column == "split" else "right")
    for split in SPLITS:
        if split in made.pools:
            pool = made.pools[split]
            row = (split, len(pool.names), len(pool.y), int(pool.counts.min()))
            table.add_row(*map(str, row))
    Console().print(table)
    print(jsonlib.dumps(made.about, indent=2, default=str, ensure_ascii=False))
    return 0
