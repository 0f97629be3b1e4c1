"""Tasks from a table: classes of rows, or one task for each customer, device, patient."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs.cells import is_infinite, is_missing, is_number, to_number
from quickstudy.inputs.files import TextTable, read_table
from quickstudy.inputs.rows import Columns
from quickstudy.task import Kind
from quickstudy.tasks.arrays import class_pools, split_names
from quickstudy.tasks.contents import held_by_name, marks_of_rows
from quickstudy.tasks.episodes import Dataset
from quickstudy.tasks.grouped import GroupedRows
from quickstudy.tasks.recorded import Recorded, dealt

Array = NDArray[Any]
FEW_VALUES = 20


def table(
    path: Path,
    target: str,
    task: str | None = None,
    kind: Literal["auto", "classification", "regression"] = "auto",
    n_shot: int = 5,
    n_query: int = 15,
    valid: float = 0.16,
    test: float = 0.2,
    seed: int = 0,
    recorded: Recorded | None = None,
) -> Dataset | GroupedRows:
    """Tasks from a CSV file with a header, also gzipped (.gz); columns by comma, semicolon or tab.

    Without `task`, the values of `target` are classes, which episodes draw from. With `task`, all
    rows with one value of that column are one task; groups too small for one are left out and
    counted in `describe()`. Either the classes or the groups are split, and the other columns are
    inputs, with statistics of the meta-train rows only (`Columns`).

    Args:
        path: The file.
        target: Column to predict.
        task: Column that says which task a row belongs to.
        kind: With `task`, what the target is. `"auto"`: classification where a value is not a
            number, or all are whole and at most 20 distinct ones; else regression.
        n_shot: With `task`, support rows of a class in classification, of a task in regression.
        n_query: With `task`, query rows likewise, at most.
        valid: Part of the classes or groups that are meta-valid; 0 for none.
        test: Part of the classes or groups that are meta-test; 0 for none.
        seed: Seed of the split, and of the tasks with `task`.
        recorded: The data of a run, whose split and statistics are used again.

    Raises:
        DataError: The file is missing or damaged.
        UserError: The table has no rows, a row another number of cells, a column is missing, a cell
            infinite, a target missing, or there are too few classes or groups.
    """
    path = Path(path)
    text = read_table(path)
    special = [target] if task is None else [target, task]
    values, groups = (_filled(text, column, path) for column in (special[0], special[-1]))
    names = [column for column in text.header if column not in special]
    if not names:
        raise UserError(
            f"table: {path} needs columns besides {' and '.join(special)}; received none; add the "
            "columns to predict from."
        )
    known = recorded.preprocess if recorded else None
    known = known if isinstance(known, Columns) else None
    if recorded and known:
        names = _in_order_of(known, names, path, recorded.run)
    places = [text.header.index(name) for name in names]
    cells = [[row[place] for place in places] for row in text.rows]
    _check_finite(cells, text.lines, names, path)
    targets = _kind(values) if kind == "auto" else kind
    name = path.name.split(".")[0]

    if task is None:
        if targets == "regression":
            raise UserError(
                f"table: without a task column the values of {target} are classes; received "
                f"{len(set(values))} distinct numbers; name the column that tells the tasks apart "
                "(task), or pass kind='classification'."
            )
        marks = marks_of_rows(names, cells)
        present = held_by_name(values, marks)
        what = f"{name}: classes of {target}"
        splits, left_out = dealt(
            present, recorded, lambda: split_names(list(present), valid, test, seed, what)
        )
        columns = known or Columns.fit(names, cells, _rows_of(cells, values, splits["train"]))
        pools = class_pools(columns(cells), values, splits, marks)
        return Dataset(name, pools, columns, left_out=left_out)

    y = _numbers(values, text.lines, target, path) if targets == "regression" else np.array(values)
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    usable = sorted(group for group, rows in members.items() if _usable(y[rows], targets))
    # A group of the run that became too small is named as changed rather than as missing.
    recorded_groups = recorded.names if recorded else frozenset()
    marks = marks_of_rows(
        [*names, target], ([*row, value] for row, value in zip(cells, values, strict=True))
    )
    present = held_by_name(groups, marks)
    present = {
        group: present[group] for group in present if group in recorded_groups or group in usable
    }
    what = f"{name}: usable groups of {task}"
    splits, left_out = dealt(
        present, recorded, lambda: split_names(usable, valid, test, seed, what, least=1)
    )
    columns = known or Columns.fit(names, cells, _rows_of(cells, groups, splits["train"]))
    return GroupedRows(
        name=name,
        x=columns(cells),
        y=y,
        groups={
            split: [np.array(members[group]) for group in chosen]
            for split, chosen in splits.items()
        },
        kind=targets,
        preprocess=columns,
        about={"target": target, "task": task, "groups_left_out": len(members) - len(usable)},
        n_shot=n_shot,
        n_query=n_query,
        seed=seed,
        names=splits,
        marks=marks,
        left_out=left_out,
    )


def _in_order_of(columns: Columns, names: Sequence[str], path: Path, run: str) -> list[str]:
    """The names of the columns in the order of a run, which must have had the same ones."""
    if differences := sorted(set(names) ^ columns.columns.keys()):
        raise UserError(
            f"{run}: the table must have the columns that the run was meta-trained on, "
            f"{', '.join(columns.columns)}; received {', '.join(names)} in {path}; bring back or "
            f"take away {', '.join(differences)}."
        )
    return list(columns.columns)


def _filled(text: TextTable, column: str, path: Path) -> list[str]:
    """The cells of a column in which none may be missing."""
    if column not in text.header:
        near = difflib.get_close_matches(column, text.header, n=1, cutoff=0.3)
        raise UserError(
            f"table: {path} has no column {column!r}; received the columns "
            f"{', '.join(text.header[:20])}; "
            f"{f'did you mean {near[0]!r}?' if near else 'choose one of these.'}"
        )
    place = text.header.index(column)
    cells = [row[place].strip() for row in text.rows]
    empty = [line for cell, line in zip(cells, text.lines, strict=True) if is_missing(cell)]
    if empty:
        raise UserError(
            f"table: every row needs a value of {column}; received none in {len(empty)} row(s) of "
            f"{path}, the first in line {empty[0]}; fill it or leave the row out."
        )
    return cells


def _numbers(values: Sequence[str], lines: Sequence[int], target: str, path: Path) -> Array:
    for value, line in zip(values, lines, strict=True):
        if not is_number(value):
            raise UserError(
                f"table: for regression every value of {target} must be a finite number; received "
                f"{value!r} in line {line} of {path}; correct it, or pass kind='classification'."
            )
    return np.array([to_number(value) for value in values])


def _check_finite(
    cells: Sequence[Sequence[str]], lines: Sequence[int], names: Sequence[str], path: Path
) -> None:
    for row, line in zip(cells, lines, strict=True):
        for cell, name in zip(row, names, strict=True):
            if is_infinite(cell):
                raise UserError(
                    f"table: cells must be finite; received {cell!r} in the column {name}, line "
                    f"{line} of {path}; correct it, or leave the cell empty."
                )


def _kind(values: Sequence[str]) -> Kind:
    numbers = all(is_number(value) for value in values)
    distinct = set(values)
    if numbers and (len(distinct) > FEW_VALUES or any(float(v) % 1 for v in distinct)):
        return "regression"
    return "classification"


def _usable(y: Array, kind: Kind) -> bool:
    """Whether a group has a support row and, of the same class in classification, a query row."""
    if kind == "regression":
        return len(y) >= 2
    counts = np.unique(y, return_counts=True)[1]
    return len(counts) >= 2 and bool(counts.max() >= 2)


def _rows_of(
    cells: Sequence[Sequence[str]], by: Sequence[str], chosen: Sequence[str]
) -> list[Sequence[str]]:
    """The rows whose class or group is among the chosen ones."""
    among = set(chosen)
    return [row for row, value in zip(cells, by, strict=True) if value in among]
