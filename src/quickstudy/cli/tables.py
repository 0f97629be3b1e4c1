"""`quickstudy tables` and `quickstudy generated`: measures and explains generated learners."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import torch

from quickstudy import catalog
from quickstudy.cli.console import check_place, print_json, print_table, status, write_json
from quickstudy.errors import UserError, at_least
from quickstudy.files.machine import machine
from quickstudy.files.records import JSON, today
from quickstudy.files.shipped import run_of
from quickstudy.learner import AnyLearner
from quickstudy.metrics import named
from quickstudy.models.saved import load, load_task
from quickstudy.tabular.figures import generated_figure, results_figures
from quickstudy.tabular.generated import written
from quickstudy.tabular.measure import METRICS, measure
from quickstudy.tasks import Recorded, Subtables
from quickstudy.tasks.recorded import others_than_places


def tables(
    runs: list[Path],
    splits: int = 5,
    seed: int = 0,
    json: Path | None = None,
    pictures: Path | None = None,
    tasks: dict[str, Any] | None = None,
) -> int:
    """Measure learner generators on whole unseen tables, beside scikit-learn's classifiers.

    Each run is measured on the meta-test tables of its own split; runs of several folds together
    see every table once. Beside them stand the generator before meta-training, and with its steps
    taken away, which leaves what the network generates alone.

    Args:
        runs: Run directories of learners meta-trained on `tables`.
        splits: Random halves of each table.
        seed: Seed of these.
        json: File for the result.
        pictures: Folder for the pictures, as SVG and JSON.
        tasks: `path`, where the tables of the runs lie now.
    """
    if others := others_than_places(tasks or {}):
        raise UserError(
            f"tables: of the tasks only path may be given; received {', '.join(others)}; leave "
            "them out."
        )
    check_place(json)
    with status() as say:
        result = measure_runs(runs, splits, seed, say, tasks)
    for note in result["notes"]:
        print(f"note: {note}")
    result |= {"date": today(), "command": "quickstudy " + " ".join(sys.argv[1:]), **machine()}
    write_json(json, result)
    if pictures is not None:
        for figure in results_figures(result):
            figure.save(pictures)
    print_result(result)
    return 0


def generated(task: Path, json: bool = False, pictures: Path | None = None) -> int:
    """Say what a learner generator wrote for a task, and why.

    Args:
        task: File that `quickstudy adapt` wrote.
        json: Whether to print JSON, with all there is to say.
        pictures: Folder for the picture, as SVG and JSON.
    """
    learner = written(load_task(task))
    if pictures is not None:
        columns = [(row["name"], row["counts"]) for row in learner["columns"]]
        shares = {part["name"]: part["share"] for part in learner["parts"]}
        generated_figure(shares, columns, f"What was generated for {task.name}").save(pictures)
    if json:
        print_json(learner)
        return 0
    rows = [
        (
            part["name"],
            f"{100 * part['share']:.0f} %",
            f"{100 * part['preference']:.0f} %",
            f"{part['left_out']:.3f}",
            f"{part['penalty']:.3g}",
        )
        for part in learner["parts"]
    ]
    title = f"{learner['n_examples']} examples of {learner['n_classes']} classes"
    heads = ("classifier", "share", "by the network alone", "left-out loss", "penalty")
    print_table(title, heads, rows)
    names = [f"{row['name']} ({row['counts']:.2g})" for row in learner["columns"][:8]]
    print(f"columns that count most, the mean being 1: {', '.join(names)}")
    return 0


def measure_runs(
    runs: list[Path],
    n_splits: int,
    seed: int,
    say: Any = lambda text: None,
    places: JSON | None = None,
) -> JSON:
    """Measures the learners of run directories, each on its meta-test tables.

    Args:
        runs: The run directories.
        n_splits: Random halves of each table.
        seed: Seed of these.
        say: Told what is being done.
        places: Options that say where the tables lie now.

    Raises:
        UserError: A run was not meta-trained on `tables`, has no meta-test tables, or two runs have
            one in common.
    """
    at_least("tables", 1, splits=n_splits)
    at_least("tables", 0, seed=seed)
    generators = []
    notes: list[str] = []
    seen: set[str] = set()
    start, cpu_start = time.perf_counter(), time.process_time()
    for run in runs:
        spec = (run_of(run).read().get("tasks_spec") or {}) | (places or {})
        source = None
        if spec.get("name") == "tables":
            recorded = Recorded.of(run)
            source = catalog.build_tasks(spec, recorded)
            notes += recorded.notes(source)
        tables = source.tables.get("test", []) if isinstance(source, Subtables) else []
        repeated = sorted(seen & {table.name for table in tables})
        if not tables or repeated:
            received = f"{repeated[0]} in two runs" if repeated else f"none in {run}"
            raise UserError(
                "tables: every run needs meta-test tables of its own, of the task source 'tables'; "
                f"received {received}; train with --tasks tables, and another --tasks.fold each."
            )
        seen |= {table.name for table in tables}
        generators.append((_with_ablations(load(run).learner), tables))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        result = measure(generators, n_splits, seed, say)
    finally:
        torch.set_num_threads(threads)
    return {
        **result.to_json(),
        "runs": [str(run) for run in runs],
        "notes": notes,
        "minutes": (time.perf_counter() - start) / 60,
        "cpu_minutes": (time.process_time() - cpu_start) / 60,
    }


def _with_ablations(learner: AnyLearner) -> dict[str, AnyLearner]:
    """A learner, the same before meta-training, and without each of its parts."""
    learners = {"generator": learner}
    if learner.specs is not None:
        learners["before meta-training"] = catalog.from_specs(learner.specs).eval()
    return learners | learner.ablations()


def print_result(result: JSON) -> None:
    """Prints the means and the paired differences as a table."""
    columns = [""]
    for metric in METRICS:
        columns += [named(metric).noun, "generator minus it", "p"]
    rows = []
    for name, mean in result["means"].items():
        row = [name]
        for metric in METRICS:
            row.append(f"{mean[metric]:.4f}")
            paired = result["against"].get(name, {}).get(metric)
            if paired is None:
                row += ["", ""]
                continue
            half = "" if paired["ci95"] is None else f" ± {paired['ci95']:.4f}"
            row += [f"{paired['difference']:+.4f}{half}", f"{paired['p']:.2g}"]
        rows.append(row)
    print_table(
        f"{result['n_tables']} unseen tables, {result['n_splits']} splits",
        columns,
        rows,
        caption="± is 95 % over the tables; p of Wilcoxon's signed-rank test, paired by table",
    )
    print(
        f"adapting and predicting is {result['times_faster']:.1f} times faster than fitting the "
        "forest (median over the tables, one thread)"
    )
