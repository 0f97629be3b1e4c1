"""`quickstudy data`: fetches, checks or draws a data set."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from quickstudy import catalog
from quickstudy.cli.console import print_json, print_table, status
from quickstudy.cli.series_survey import print_series
from quickstudy.errors import UserError
from quickstudy.inputs.delimited import read_table
from quickstudy.inputs.frames import Reading, Type
from quickstudy.tasks import SPLITS, Dataset
from quickstudy.tasks.survey import SurveyedColumn, survey
from quickstudy.training.plan import without_none


def data(
    name: str,
    place: Path | None = None,
    data_dir: Path | None = None,
    path: Path | None = None,
    target: str | None = None,
    task: str | None = None,
    columns: dict[str, Type] | None = None,
    missing: str | None = None,
    make: Path | None = None,
    seed: int = 0,
) -> int:
    """Fetch, check or draw a data set, and say what is in it; of a table, column by column.

    Args:
        name: Name of a task source.
        place: Folder or file of your own data; the same as `path`.
        data_dir: Folder of the original files of a published data set.
        path: Folder or file of your own data.
        target: Column to predict, where they are tables.
        task: Column that tells the tasks of a table apart.
        columns: What columns of a table hold, where it is to be said: numbers (with a decimal
            point), comma (numbers with a decimal comma) or names; as {"price": "comma"}.
        missing: Words that say that a value is missing, parted by commas.
        make: Folder to write made-up data of this kind to, for first steps; of windows, eth_ucy,
            ratings, interactions and assays.
        seed: Seed of the made-up data.
    """
    if make is not None:
        return _make(name, make, seed)
    builder = catalog.tasks_builder(name)
    path = path or place
    every: dict[str, Any] = {"data_dir": data_dir, "path": path, "target": target}
    every |= {"task": task, "columns": columns, "missing": missing}
    options = without_none(every)
    if name == "windows" and path is not None:
        print_series(path, Reading.of(missing, columns))
        return 0
    if path is not None and (surveyed := catalog.surveyor(name)) is not None:
        with status() as say:
            say("reading")
            contents = surveyed(path)
        print_table(str(path), ("", ""), contents.rows, numbers=False)
        print(*contents.lines, sep="\n")
        return 0
    if name == "table" and path is not None:
        _print_columns(survey(read_table(path, Reading.of(missing, columns))), path)
        if target is None:
            return 0
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
        print_json(source.describe(), for_people=True)
        return 0
    pools = {split: source.pools[split] for split in SPLITS if split in source.pools}
    rows = [
        (split, str(len(pool.names)), str(len(pool.y)), str(pool.counts.min()))
        for split, pool in pools.items()
    ]
    print_table(source.name, ("split", "classes", "examples", "fewest of a class"), rows)
    print_json(source.about, for_people=True)
    return 0


def _make(name: str, folder: Path, seed: int) -> int:
    """Writes made-up data, and says how to train on them."""
    maker = catalog.data_maker(name)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(
            f"data {name}: made-up data need a folder of their own; received {folder}, which is "
            "not empty; name a new one."
        )
    options = maker(folder, seed)
    words = " ".join(f"--tasks.{key} {value}" for key, value in options.items())
    print(f"made-up data in {folder}: {sum(path.is_file() for path in folder.rglob('*'))} files")
    print(f"quickstudy train --tasks {name} {words} --out runs/{name}")
    return 0


def _print_columns(columns: Sequence[SurveyedColumn], path: Path) -> None:
    """Prints what is understood of the columns of a table, and what deserves a look."""
    heads = ("column", "holds", "missing", "values", "a network gets", "as the target")
    rows = [(*map(str, column[:-1]),) for column in columns]
    print_table(str(path), heads, rows, numbers=False)
    for column in columns:
        if column.note:
            print(f"{'refused' if column.holds == 'refused' else 'note'}: {column.note}")
