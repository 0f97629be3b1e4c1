"""Tasks from a table: classes of rows, or one task for each customer, device, patient."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from quickstudy.errors import UserError
from quickstudy.inputs.delimited import read_table
from quickstudy.inputs.frames import Reading, Rows, Type, is_frame, rows_of
from quickstudy.inputs.rows import Columns
from quickstudy.inputs.target import classes_of, holds_numbers, values_of
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
    columns: dict[str, Type] | None = None,
    missing: list[str] | str | None = None,
    recorded: Recorded | None = None,
) -> Dataset | GroupedRows:
    """Tasks from a CSV file with a header, also gzipped (.gz); by comma, semicolon, tab or `|`.

    Without `task`, the values of `target` are classes, which episodes draw from. With `task`, all
    rows with one value of that column are one task; groups too small for one are left out and
    counted in `describe()`. Either the classes or the groups are split, and the other columns are
    inputs, with statistics of the meta-train rows only (`Columns`).

    Args:
        path: The file; or a data frame of pandas or polars.
        target: Column to predict.
        task: Column that says which task a row belongs to.
        kind: With `task`, what the target is. `"auto"`: classification where a value is not a
            number, or all are whole and at most 20 distinct ones; else regression.
        n_shot: With `task`, support rows of a class in classification, of a task in regression.
        n_query: With `task`, query rows likewise, at most.
        valid: Part of the classes or groups that are meta-valid; 0 for none.
        test: Part of the classes or groups that are meta-test; 0 for none.
        seed: Seed of the split, and of the tasks with `task`.
        columns: What columns hold, by name, where it is to be said: `"numbers"` with a decimal
            point, `"comma"` for numbers with a decimal comma, or `"names"`.
        missing: Words that say that a value is missing, besides an empty cell, parted by commas;
            where omitted, ? and NaN, and among numbers also NA, N/A, none and null.
        recorded: The data of a run, whose split and statistics are used again.

    Raises:
        DataError: The file is missing or damaged.
        UserError: The table has no rows, a row another number of cells, a column is missing, a cell
            infinite, a target missing, a word stands among numbers, numbers are written in several
            ways, or there are too few classes or groups.
    """
    reading = Reading.of(missing, columns)
    rows = _of_frame(path, reading) if is_frame(path) else read_table(Path(path), reading)
    file = rows.file or "table"
    groups = classes_of(rows, target if task is None else task)
    numeric = kind != "classification" and holds_numbers(rows, target)
    y = np.array(values_of(rows, target) if numeric or kind == "regression" else [])
    labels = classes_of(rows, target)
    inputs = rows.without(target, task or target)
    if not inputs.names:
        raise UserError(
            f"table: {file} needs columns besides {target}{f' and {task}' if task else ''}; "
            "received none; add the columns to predict from."
        )
    known = recorded.preprocess if recorded else None
    known = known if isinstance(known, Columns) else None
    if recorded and known:
        _check_names(known, inputs.names, file, recorded.run)
    targets = (kind_of(y.tolist()) if numeric else "classification") if kind == "auto" else kind
    name = Path(file).name.split(".")[0]

    if task is None:
        if targets == "regression":
            raise UserError(
                f"table: without a task column the values of {target} are classes; received "
                f"{len(set(labels))} distinct numbers; name the column that tells the tasks apart "
                "(task), or pass kind='classification'."
            )
        marks = marks_of_rows(inputs.names, _text(inputs))
        present = held_by_name(labels, marks)
        what = f"{name}: classes of {target}"
        splits, left_out = dealt(
            present,
            recorded,
            lambda: split_names(list(present), valid, test, seed, what),
            lambda classes: Columns.of(inputs, _rows_of(labels, classes)),
        )
        taken = known or Columns.of(inputs, _rows_of(labels, splits["train"]))
        pools = class_pools(taken(inputs), labels, splits, marks)
        return Dataset(name, pools, taken, left_out=left_out)

    y = y if targets == "regression" else np.array(labels)
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    usable = sorted(group for group, rows in members.items() if _usable(y[rows], targets))
    # A group of the run that became too small is named as changed rather than as missing.
    named = {*usable, *(recorded.names if recorded else ())}
    with_target = rows.without(task or target)
    marks = marks_of_rows(with_target.names, _text(with_target))
    present = held_by_name(groups, marks)
    present = {group: each for group, each in present.items() if group in named}
    what = f"{name}: usable groups of {task}"
    splits, left_out = dealt(
        present,
        recorded,
        lambda: split_names(usable, valid, test, seed, what, least=1),
        lambda chosen: Columns.of(inputs, _rows_of(groups, chosen)),
    )
    taken = known or Columns.of(inputs, _rows_of(groups, splits["train"]))
    return GroupedRows(
        name=name,
        x=taken(inputs),
        y=y,
        groups={
            split: [np.array(members[group]) for group in chosen]
            for split, chosen in splits.items()
        },
        kind=targets,
        preprocess=taken,
        about={"target": target, "task": task, "groups_left_out": len(members) - len(usable)},
        n_shot=n_shot,
        n_query=n_query,
        seed=seed,
        names=splits,
        marks=marks,
        left_out=left_out,
    )


def _of_frame(frame: Any, reading: Reading) -> Rows:
    """The rows of a data frame, with its types and those that the user says."""
    rows = rows_of(frame)
    types = {**rows.reading.types, **reading.types}
    return replace(rows, reading=reading._replace(types=types))


def _check_names(columns: Columns, names: Sequence[str], path: str, run: str) -> None:
    """Raises where a table has not the columns of a run."""
    if differences := sorted(set(names) ^ columns.columns.keys()):
        raise UserError(
            f"{run}: the table must have the columns that the run was meta-trained on, "
            f"{', '.join(columns.columns)}; received {', '.join(names)} in {path}; bring back or "
            f"take away {', '.join(differences)}."
        )


def _text(rows: Rows) -> list[list[str]]:
    """The rows as text, a list each."""
    return [["" if cell is None else str(cell) for cell in row.values()] for row in rows]


def kind_of(values: Sequence[float]) -> Kind:
    """The kind of a target of numbers: classes where few are different and all are whole."""
    distinct = np.unique(values)
    many = len(distinct) > FEW_VALUES or (distinct % 1).any()
    return "regression" if many else "classification"


def _usable(y: Array, kind: Kind) -> bool:
    """Whether a group has a support row and, of the same class in classification, a query row."""
    if kind == "regression":
        return len(y) >= 2
    counts = np.unique(y, return_counts=True)[1]
    return len(counts) >= 2 and bool(counts.max() >= 2)


def _rows_of(by: Sequence[str], chosen: Sequence[str]) -> list[int]:
    """The rows whose class or group is among the chosen ones."""
    among = set(chosen)
    return [row for row, value in enumerate(by) if value in among]
