"""`quickstudy select`: learns which algorithm suits which table, and chooses for a new one."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from quickstudy.cli.console import print_json, print_table, status, write_json
from quickstudy.cli.options import Parser
from quickstudy.errors import UserError
from quickstudy.files.machine import machine
from quickstudy.files.records import JSON, today
from quickstudy.inputs.delimited import labelled_rows, read_table
from quickstudy.inputs.frames import Reading, Type
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
        columns: What columns of the tables hold, where it is to be said: numbers (with a decimal
            point), comma (numbers with a decimal comma) or names; as {"price": "comma"}.
        missing: Words that say that a value is missing, parted by commas.
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
    columns: dict[str, Type] | None = None
    missing: str | None = None
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
    settings = Selection(**options)
    run, out = settings.run, settings.out
    if (run is None) == (settings.train is None):
        raise UserError(
            "select: needs --train FOLDER to learn from tables, or what that wrote to choose with; "
            f"received {'neither' if run is None else 'both'}; see quickstudy select --help."
        )
    of_learning, of_choosing = ("metric", "store", "folds", "protocol", "training"), ("support",)
    if settings.train is not None:
        parser.without_effect(argv, (*of_choosing, "query"), "with --train")
        if out is None:
            raise UserError(
                "select --train: needs a folder for the selector; received none; give --out "
                "runs/selector."
            )
        command = shlex.join(["quickstudy", "select", *argv])
        judged = _learn(settings, settings.train, out)
        judged |= {"date": today(), "command": command, **machine()}
        write_json(out / "judged.json", judged)
        if settings.json:
            print_json(judged)
        else:
            _print_learned(judged, out)
        return 0
    assert run is not None
    parser.without_effect(argv, of_learning, "in choosing; they are for --train")
    if not run.is_dir():
        beside = "with an algorithm that is chosen already"
        parser.without_effect(argv, (*of_choosing, "target", "out"), beside)
    if run.is_dir():
        algorithm = _choose(run, settings)
        if out is not None:
            algorithm.save(out)
    else:
        algorithm = Selected.load(run)
    answers = None
    if settings.query is not None:
        answers = [label_to_json(label) for label in algorithm.predict(read_table(settings.query))]
    if settings.json:
        print_json(algorithm.explain() | {"answers": answers})
        return 0
    if answers is None or run.is_dir():
        print("\n".join(_lines(algorithm.explain())))
        for note in algorithm.support.columns.notes:
            print(f"note: {note}")
    for i, answer in enumerate(answers or ()):
        print(f"row {i + 1}\t{answer}")
    return 0


def _learn(settings: Selection, folder: Path, out: Path) -> JSON:
    """Learns a selector from a folder of tables, judges it and saves it."""
    start = time.process_time()
    tables = read_tables(folder, settings.target, settings.missing, settings.columns)
    judged: JSON = {"tables": len(tables)}
    metric, protocol, training = settings.metric, settings.protocol, settings.training
    with status() as say:
        store = settings.store or out / "scores"
        measured = measure(tables, store, protocol, CHEAP, say)
        measuring = time.process_time() - start
        selector = AlgorithmSelector.fit_measured(measured, metric, CHEAP, protocol, training)
        learning = time.process_time() - start - measuring
        if settings.folds:
            judged = judge(
                measured, metric, CHEAP, settings.folds, OPPONENTS, training, progress=say
            ).to_json()
            for figure in selection_figures(judged):
                figure.save(out)
    selector.save(out / FILE)
    cost = {"measuring": measuring / 60, "learning": learning / 60}
    return judged | {"cpu_minutes": cost}


def _choose(run: Path, settings: Selection) -> Selected:
    if settings.support is None:
        raise UserError(
            f"select {run}: needs labelled rows to choose for; received none; give --support "
            "rows.csv, and --target for the column of the labels."
        )
    rows, labels = labelled_rows(
        settings.support,
        settings.target,
        "classification",
        Reading.of(settings.missing, settings.columns),
    )
    return AlgorithmSelector.load(run / FILE).adapt(rows, labels)


def _print_learned(judged: JSON, out: Path) -> None:
    if "methods" in judged:
        metric = judged["metric"]
        title = (
            f"{judged['tables']} tables of {judged['families']} families, each chosen for without "
            f"its family ({judged['folds']} folds)"
        )
        columns = ("way to choose", metric, "of the gap closed", "95 %", "CPU s a task")
        rows = [
            (
                row["name"],
                f"{row[metric]:.4f}",
                f"{100 * row['closed']:.0f} %",
                "{:.0f} to {:.0f} %".format(*(100 * end for end in row["closed_95"])),
                f"{row['seconds']:.2f}",
            )
            for row in judged["methods"]
        ]
        print_table(title, columns, rows, numbers=False)
    cost = judged["cpu_minutes"]
    print(
        f"learned from {judged['tables']} tables: {cost['measuring']:.1f} CPU minutes of "
        f"measuring, {cost['learning']:.1f} of learning; selector in {out}"
    )


def _lines(choice: JSON) -> list[str]:
    """The lines of a choice in the terminal."""
    by_name = {row["name"]: row for row in choice["configurations"]}
    lines = []
    for head, name in (("chosen:", choice["chosen"]), ("runner-up:", choice["runner_up"])):
        row = by_name[name]
        tried = "" if row["trial"] is None else f", tried {row['trial']:.3f}"
        lines.append(
            f"{head:<11} {name}, {row['algorithm']}: probability {row['probability']:.2f}, "
            f"expected {choice['metric']} {row['expected']:.3f}{tried}"
        )
    parts = [part for part in choice["for_it"] if part["contribution"]]
    for head, sign in (("for it:", 1), ("against it:", -1)):
        few = [part for part in parts if sign * part["contribution"] > 0][:FEW]
        text = ", ".join(f"{part['input']} {part['contribution']:+.2f}" for part in few)
        lines += [f"{head:<11} {text}"] if few else []
    seconds = choice["seconds"]
    lines.append(
        f"{'cost:':<11} {seconds['choosing']:.2f} CPU s of choosing, {seconds['fitting']:.2f} of "
        "fitting"
    )
    return lines
