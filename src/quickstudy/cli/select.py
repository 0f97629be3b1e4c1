"""`quickstudy select`: learns which algorithm suits which table, and chooses for a new one."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from rich.console import Console
from rich.table import Table as Printed

from quickstudy.cli.console import status
from quickstudy.cli.options import Parser
from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.machine import machine
from quickstudy.files.records import JSON, today
from quickstudy.inputs.files import read_rows
from quickstudy.inputs.labels import label_to_json
from quickstudy.selection.configurations import CHEAP
from quickstudy.selection.figures import selection_figures
from quickstudy.selection.judge import judge
from quickstudy.selection.matrix import Protocol, measure
from quickstudy.selection.opponents import OPPONENTS
from quickstudy.selection.policy import PolicyTraining
from quickstudy.selection.selected import Selected
from quickstudy.selection.selector import AlgorithmSelector
from quickstudy.tasks.tables import read_tables

EXAMPLES = """\
examples:
  quickstudy select --train my_tables/ --out runs/selector
  quickstudy select runs/selector --support labelled.csv --out mine.algorithm
  quickstudy select runs/selector --support labelled.csv --target churned --query rows.csv
  quickstudy select mine.algorithm --query rows.csv
"""
FILE = "selector.safetensors"
FEW = 6


@dataclass(frozen=True)
class Selection:
    """Settings of learning a selector, or of choosing with one.

    Args:
        run: Folder that `--train` wrote, or file of a chosen algorithm.
        train: Folder of tables to learn from.
        support: CSV file of labelled rows to choose for.
        query: CSV file of rows to label.
        target: Column to predict.
        metric: Score to choose by, in learning.
        store: Folder of the scores on the tables; one called scores in --out where omitted.
        folds: Groups of families of tables that the selector is judged on by leaving them out; 0
            for no judgement.
        out: Folder of what is learned, or file for the chosen algorithm.
        json: Whether to print JSON.
        protocol: How tasks are made of the tables to learn from.
        training: How the policy is trained.
    """

    run: Path | None = None
    train: Path | None = None
    support: Path | None = None
    query: Path | None = None
    target: str = "target"
    metric: Literal["accuracy", "auc"] = "accuracy"
    store: Path | None = None
    folds: int = 10
    out: Path | None = None
    json: bool = False
    protocol: Protocol = field(default_factory=Protocol)
    training: PolicyTraining = field(default_factory=PolicyTraining)


def select(argv: Sequence[str]) -> int:
    """Learn which algorithm suits which table, or choose one for a table."""
    parser = Parser(prog="quickstudy select", description=EXAMPLES)
    parser.add_argument("--config", action="config", help="YAML file of these options.")
    parser.add_argument(
        "run",
        nargs="?",
        type=Path,
        help="Folder that --train wrote, or file of a chosen algorithm.",
    )
    parser.add_class_arguments(Selection, skip={"run"})
    options = parser.read(argv).as_dict()
    options.pop("config", None)
    options["protocol"] = Protocol(**options["protocol"])
    options["training"] = PolicyTraining(**options["training"])
    return selected(Selection(**options), shlex.join(["quickstudy", "select", *argv]))


def selected(asked: Selection, command: str) -> int:
    """Learns or chooses, and writes what came of it.

    Args:
        asked: What is learned or chosen.
        command: The words on the command line.
    """
    run, out = asked.run, asked.out
    if (run is None) == (asked.train is None):
        raise UserError(
            "select: needs --train FOLDER to learn from tables, or what that wrote to choose with; "
            f"received {'neither' if run is None else 'both'}; see quickstudy select --help."
        )
    if asked.train is not None:
        if out is None:
            raise UserError(
                "select --train: needs a folder for the selector; received none; give --out "
                "runs/selector."
            )
        judged = _learn(asked, asked.train, out)
        judged |= {"date": today(), "command": command, **machine()}
        text = json.dumps(judged, indent=2)
        write_atomically(out / "judged.json", text.encode())
        if asked.json:
            print(text)
        else:
            _print_learned(judged, out)
        return 0
    assert run is not None
    if run.is_dir():
        algorithm = _choose(run, asked.support, asked.target)
        if out is not None:
            algorithm.save(out)
    else:
        algorithm = Selected.load(run)
    answers = None
    if asked.query is not None:
        answers = [label_to_json(label) for label in algorithm.predict(read_rows(asked.query))]
    if asked.json:
        print(json.dumps(algorithm.explain() | {"answers": answers}, indent=2))
        return 0
    if answers is None or run.is_dir():
        print("\n".join(_lines(algorithm.explain())))
    for i, answer in enumerate(answers or ()):
        print(f"row {i + 1}\t{answer}")
    return 0


def _learn(asked: Selection, folder: Path, out: Path) -> JSON:
    """Measures, trains, judges and writes."""
    begin = time.process_time()
    tables = read_tables(folder, asked.target)
    judged: JSON = {"tables": len(tables)}
    metric, training = asked.metric, asked.training
    with status() as say:
        store = asked.store or out / "scores"
        measured = measure(tables, store, asked.protocol, CHEAP, say)
        measuring = time.process_time() - begin
        selector = AlgorithmSelector.fit_measured(measured, metric, CHEAP, asked.protocol, training)
        learning = time.process_time() - begin - measuring
        if asked.folds:
            judgement = judge(
                measured, metric, CHEAP, asked.folds, OPPONENTS, training, progress=say
            )
            judged = judgement.to_json()
            for figure in selection_figures(judged):
                figure.save(out)
    selector.save(out / FILE)
    cost = {"measuring": measuring / 60, "learning": learning / 60}
    return judged | {"cpu_minutes": cost}


def _choose(run: Path, support: Path | None, target: str) -> Selected:
    if support is None:
        raise UserError(
            f"select {run}: needs labelled rows to choose for; received none; give --support "
            "rows.csv, and --target for the column of the labels."
        )
    rows = read_rows(support)
    if target not in rows[0]:
        raise UserError(
            f"select: {support} has no column {target!r}; received the columns "
            f"{', '.join(list(rows[0])[:20])}; choose one of these with --target."
        )
    labels = [row.pop(target).strip() for row in rows]
    return AlgorithmSelector.load(run / FILE).adapt(rows, labels)


def _print_learned(found: JSON, out: Path) -> None:
    if "methods" in found:
        metric = found["metric"]
        printed = Printed(
            title=f"{found['tables']} tables of {found['families']} families, each chosen for "
            f"without its family ({found['folds']} folds)"
        )
        for column in ("way to choose", metric, "of the gap closed", "95 %", "CPU s a task"):
            printed.add_column(column)
        for row in found["methods"]:
            low, high = row["closed_95"]
            printed.add_row(
                row["name"],
                f"{row[metric]:.4f}",
                f"{100 * row['closed']:.0f} %",
                f"{100 * low:.0f} to {100 * high:.0f} %",
                f"{row['seconds']:.2f}",
            )
        Console().print(printed)
    cost = found["cpu_minutes"]
    print(
        f"learned from {found['tables']} tables: {cost['measuring']:.1f} CPU minutes of measuring, "
        f"{cost['learning']:.1f} of learning; selector in {out}"
    )


def _lines(why: JSON) -> list[str]:
    """The lines of a choice in the terminal."""
    by_name = {row["name"]: row for row in why["configurations"]}
    lines = []
    for word, name in (("chosen", why["chosen"]), ("runner-up", why["runner_up"])):
        row = by_name[name]
        tried = "" if row["trial"] is None else f", tried {row['trial']:.3f}"
        lines.append(
            f"{word + ':':<11} {name}, {row['algorithm']}: probability {row['probability']:.2f}, "
            f"expected {why['metric']} {row['expected']:.3f}{tried}"
        )
    parts = [part for part in why["for_it"] if part["contribution"]]
    for word, sign in (("for it:", 1), ("against it:", -1)):
        few = [part for part in parts if sign * part["contribution"] > 0][:FEW]
        text = ", ".join(f"{part['input']} {part['contribution']:+.2f}" for part in few)
        lines += [f"{word:<11} {text}"] if few else []
    seconds = why["seconds"]
    lines.append(
        f"{'cost:':<11} {seconds['choosing']:.2f} CPU s of choosing, {seconds['fitting']:.2f} of "
        "fitting"
    )
    return lines
