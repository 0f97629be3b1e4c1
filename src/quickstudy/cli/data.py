"""`quickstudy data`: fetches, checks or draws a data set."""

from __future__ import annotations

import json as jsonlib
from pathlib import Path

from rich.console import Console
from rich.table import Table

from quickstudy import catalog
from quickstudy.cli.console import status
from quickstudy.errors import UserError
from quickstudy.tasks import SPLITS, Dataset


def data(
    name: str,
    data_dir: Path | None = None,
    path: Path | None = None,
    target: str | None = None,
) -> int:
    """Fetch, check or draw a data set, and say what is in it.

    Args:
        name: glyphs, omniglot, folder, table or sinusoid.
        data_dir: Folder of the original files of a published data set.
        path: Folder of class folders, for `folder`; CSV file, for `table`.
        target: Column to predict, for `table`.
    """
    builder = catalog.tasks_builder(name)
    options = {"data_dir": data_dir, "path": path, "target": target}
    given = {k: v for k, v in options.items() if v is not None}
    with status() as say:
        say(name)
        try:
            made = builder(**given)
        except TypeError as error:
            raise UserError(
                f"data {name}: needs other options ({error}); received {sorted(given)}; glyphs and "
                "sinusoid take none, omniglot --data-dir, folder --path, table --path and --target."
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
