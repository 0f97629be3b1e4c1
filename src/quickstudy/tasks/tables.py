"""A collection of tables, each a problem of its own: read, and dealt out by family."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

import numpy as np

from quickstudy.errors import DataError, UserError
from quickstudy.inputs.cells import Cell
from quickstudy.inputs.column import names_in
from quickstudy.inputs.delimited import read_rows, read_table
from quickstudy.inputs.files import visible
from quickstudy.inputs.frames import Reading, Rows, Type
from quickstudy.inputs.numerals import PLAIN
from quickstudy.inputs.rows import Categorical, Columns, Numeric
from quickstudy.inputs.target import classes_of
from quickstudy.tasks.contents import Marks, marks_of_rows
from quickstudy.tasks.source import SPLITS, Split, generator


@dataclass(frozen=True)
class Table:
    """A table of which one column is to be predicted.

    Attributes:
        name: Name of the file, without its suffix.
        family: Tables of one family have one origin, and stay together in a split.
        columns: Names of the columns to predict from.
        numeric: Whether each of them holds numbers, rather than names.
        rows: Cells of each row as text; `""` is a missing one.
        y: Class of each row.
    """

    name: str
    family: str
    columns: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    y: tuple[str, ...]

    def marks(self) -> Marks:
        """A mark of each row, its class included, by which it is known again."""
        rows = ([y, *row] for y, row in zip(self.y, self.rows, strict=True))
        return marks_of_rows(["", *self.columns], rows)


def read_tables(
    folder: Path,
    target: str = "target",
    missing: Collection[str] | str | None = None,
    columns: Mapping[str, Type] | None = None,
) -> list[Table]:
    """The tables of a folder, in the order of their names.

    Every `*.csv` and `*.csv.gz` is one, except `index.csv`, which may name the `family` of each
    `name`; a table that it does not name is a family alone. A `schema.json` may list, for a name,
    its `categorical` columns, or say under `columns` what they hold, as `tasks.table` takes it; all
    others are numeric where every value is a number.

    Args:
        folder: The folder.
        target: Column to predict.
        missing: Words that say that a value is missing, as `tasks.table` takes them.
        columns: What columns of these names hold, where the schema does not say it.

    Raises:
        DataError: There is no such folder, or a file cannot be read.
        UserError: There is no table, or one without the target, without another column, without
            a value in any, with fewer than two classes, or with words among the numbers of a
            column.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise DataError(
            f"tables: {folder} must be a folder of CSV tables; received none; check the path."
        )
    paths = [path for path in visible(folder) if path.name.endswith((".csv", ".csv.gz"))]
    paths = [path for path in paths if path.name != "index.csv"]
    if not paths:
        raise UserError(
            f"tables: {folder} holds no *.csv or *.csv.gz; received "
            f"{len(visible(folder))} other files; choose the folder of the tables."
        )
    families, types = _families(folder / "index.csv"), _schema(folder / "schema.json")
    return [
        _table(path, target, families, missing, {**(columns or {}), **types.get(_name(path), {})})
        for path in paths
    ]


def split_tables(
    tables: Sequence[Table], valid: float = 0.1, test: float = 0.3, seed: int = 0, fold: int = 0
) -> dict[Split, list[Table]]:
    """The tables dealt out to the splits at random, whole families at a time.

    Args:
        tables: The tables.
        valid: Part of the families that are meta-valid; 0 for none.
        test: Part of the families that are meta-test; 0 for none.
        seed: Seed of the order of the families.
        fold: Which part of that order is meta-test, counted from 0. The 1 / test folds of a seed,
            rounded, share no meta-test family and together have all.

    Raises:
        UserError: The parts are out of range, there is no such fold, or too few families.
    """
    names = sorted({table.family for table in tables})
    folds = round(1 / test) if test else 1
    if not (min(valid, test) >= 0 and valid + test < 1 and 0 <= fold < folds):
        raise UserError(
            "tables: the parts valid and test must be at least 0 and below 1 together, and fold "
            f"one of the 1 / test that there are; received valid={valid}, test={test}, "
            f"fold={fold}; choose other parts, or an earlier fold."
        )
    order = [names[i] for i in generator(seed, "families", 0).permutation(len(names))]
    # Bounds of equal steps, so that the folds together have every family once.
    low, high = (len(names) * i // folds if test else 0 for i in (fold, fold + 1))
    others = order[:low] + order[high:]
    n_valid = max(1, round(valid * len(names))) if valid else 0
    chosen = {"train": others[n_valid:], "valid": others[:n_valid], "test": order[low:high]}
    if not chosen["train"] or (test and not chosen["test"]):
        raise UserError(
            f"tables: every split needs a family; received {len(names)} in all; add tables, or set "
            "valid or test to 0."
        )
    return {
        split: [table for table in tables if table.family in chosen[split]]
        for split in SPLITS
        if chosen[split]
    }


def _table(
    path: Path,
    target: str,
    families: Mapping[str, str],
    missing: Collection[str] | str | None,
    types: Mapping[str, Type],
) -> Table:
    rows = read_table(path)
    types = {name: kind for name, kind in types.items() if name in rows.names}
    rows = replace(rows, reading=Reading.of(missing, types))
    inputs = rows.without(target)
    if target not in rows.names or not inputs.names:
        raise UserError(
            f"tables: {path} needs the column {target!r} and columns to predict it from; received "
            f"{', '.join(rows.names[:20])}; name the column to predict (target), or add some."
        )
    y = tuple(classes_of(rows, target))
    if len(set(y)) < 2:
        raise UserError(
            f"tables: the column {target!r} of {path} needs two classes or more; received "
            f"{len(set(y))} class(es); leave the table out."
        )
    kinds = Columns.of(inputs).columns
    columns = [
        _text(kinds[name], cells, name, inputs)
        for name, cells in zip(inputs.names, inputs.columns, strict=True)
    ]
    if not any(any(column) for column in columns):
        raise UserError(
            f"tables: {path} needs values to predict {target!r} from; received missing ones only; "
            "leave the table out."
        )
    numeric = tuple(isinstance(kinds[name], Numeric) for name in inputs.names)
    name = _name(path)
    cells = tuple(zip(*columns, strict=True))
    return Table(name, families.get(name, name), inputs.names, numeric, cells, y)


def _text(column: Numeric | Categorical, cells: Sequence[Cell], name: str, rows: Rows) -> list[str]:
    """The cells of a column as plain text: numbers as programs write them, `""` where missing."""
    missing = rows.reading.missing
    if isinstance(column, Categorical):
        return names_in(cells, missing)
    values = column.values(cells, missing, name, rows.where)
    return [
        "" if np.isnan(value) else str(cell) if PLAIN.number(str(cell)) == value else repr(value)
        for cell, value in zip(cells, values.tolist(), strict=True)
    ]


def _name(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".csv")


def _families(path: Path) -> dict[str, str]:
    """Family by name of table, from an index that may not be there."""
    if not path.is_file():
        return {}
    rows = read_rows(path)
    if not {"name", "family"} <= set(rows[0]):
        raise UserError(
            f"tables: {path} needs the columns name and family; received "
            f"{', '.join(list(rows[0])[:20])}; add them, or rename the file."
        )
    return {row["name"]: row["family"] for row in rows}


def _schema(path: Path) -> dict[str, dict[str, Type]]:
    """The content of columns by name of table, from a schema that may not be there."""
    if not path.is_file():
        return {}
    types: dict[str, dict[str, Type]] = {}
    try:
        for name, about in json.loads(path.read_text()).items():
            types[name] = dict.fromkeys(about.get("categorical", ()), "names")
            types[name] |= about.get("columns", {})
            if not set(types[name].values()) <= set(get_args(Type)):
                raise ValueError(f"{name}: columns are {', '.join(get_args(Type))}")
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(
            f"tables: {path} must be a JSON object with, for each table, its categorical columns, "
            f"or what its columns hold; received: {error}; correct it, or take it away."
        ) from error
    return types
