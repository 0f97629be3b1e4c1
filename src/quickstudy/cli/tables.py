"""`quickstudy tables` and `quickstudy generated`: measures learners of tables, and explains one."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from quickstudy import catalog
from quickstudy.cli.console import (
    check_place,
    counted,
    print_json,
    print_table,
    status,
    write_json,
)
from quickstudy.errors import UserError, at_least
from quickstudy.files.machine import machine
from quickstudy.files.records import JSON, today
from quickstudy.files.shipped import run_of
from quickstudy.inputs.files import some
from quickstudy.learner import AnyLearner
from quickstudy.models.saved import load, load_task
from quickstudy.tabular.figures import generated_figure, results_figures
from quickstudy.tabular.generated import written
from quickstudy.tabular.measure import Entrant, measure
from quickstudy.tabular.opponents import Stored
from quickstudy.tabular.problems import (
    Families,
    Problem,
    chosen,
    diabetes,
    regressions,
    without_lone_classes,
)
from quickstudy.tabular.scores import SCORES, Score
from quickstudy.tasks import Recorded, Subtables
from quickstudy.tasks.recorded import others_than_places
from quickstudy.tasks.tables import Table, read_tables


def tables(
    runs: list[Path],
    splits: int = 5,
    seed: int = 0,
    families: Families = "all",
    opponents: Path | None = None,
    json: Path | None = None,
    pictures: Path | None = None,
    tasks: dict[str, Any] | None = None,
) -> int:
    """Measure learners of tables on whole unseen tables, beside scikit-learn's models.

    A run that was meta-trained on `tables` is measured on the meta-test tables of its own split;
    runs of several folds together see every table once. One that was meta-trained on made-up tables
    is measured on all tables of --tasks.path; a learner of regression on at most two columns of
    numbers of each, and on the diabetes data of scikit-learn. Beside a learner stand the same one
    before meta-training, and with each of its parts taken away.

    Args:
        runs: Run directories of learners that read columns.
        splits: Random halves of each table.
        seed: Seed of these.
        families: Which tables: all; valid, a third of the families, by which checkpoints and
            settings are chosen; or test, the others.
        opponents: JSON file of the opponents' results, which are used again; what it lacks is
            measured and added.
        json: File for the result.
        pictures: Folder for the pictures, as SVG and JSON.
        tasks: `path`, where the tables lie now.
    """
    if others := others_than_places(tasks or {}):
        raise UserError(
            f"tables: of the tasks only path may be given; received {', '.join(others)}; leave "
            "them out."
        )
    check_place(json)
    stored = Stored(opponents)
    with status() as say:
        result = measure_runs(runs, splits, seed, say, tasks, families, stored)
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
    families: Families = "all",
    stored: Stored | None = None,
) -> JSON:
    """Measures the learners of run directories, each on tables that it has not seen.

    Args:
        runs: The run directories.
        n_splits: Random halves of each table.
        seed: Seed of these.
        say: Told what is being done.
        places: Options that say where the tables lie now.
        families: Which tables, as `quickstudy.tabular.problems.chosen` deals them out.
        stored: Results of the opponents that are used again.

    Raises:
        UserError: A run is not of a learner that reads columns, has no unseen tables, two runs have
            one in common, or they are of different learners.
    """
    at_least("tables", 1, splits=n_splits)
    at_least("tables", 0, seed=seed)
    entrants: list[Entrant] = []
    notes: list[str] = []
    seen: set[str] = set()
    start, cpu_start = time.perf_counter(), time.process_time()
    for run in runs:
        entrant, of_run = _entrant(run, places or {}, families)
        notes += of_run
        names = {problem.name for problem in entrant.problems}
        repeated = sorted(seen & names)
        if not names or repeated:
            received = f"{repeated[0]} in two runs" if repeated else f"none in {run}"
            raise UserError(
                "tables: every run needs unseen tables of its own; received "
                f"{received}; train with --tasks tables, and another --tasks.fold each, or on "
                "made-up tables, and give one run and --tasks.path."
            )
        if entrants and entrant.learners.keys() != entrants[0].learners.keys():
            raise UserError(
                "tables: runs that are measured together must be of one learner; received "
                f"{next(iter(entrants[0].learners))} and {next(iter(entrant.learners))}; measure "
                "them one after the other."
            )
        seen |= names
        entrants.append(entrant)
    with threadpool_limits(1):
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            result = measure(entrants, n_splits, seed, stored, say)
        finally:
            torch.set_num_threads(threads)
    if result.n_stored:
        notes.append(
            f"{result.n_stored} results of opponents are stored ones, and so are their CPU seconds"
        )
    return {
        **result.to_json(),
        "families": families,
        "runs": [str(run) for run in runs],
        "notes": notes,
        "minutes": (time.perf_counter() - start) / 60,
        "cpu_minutes": (time.process_time() - cpu_start) / 60,
    }


def _entrant(run: Path, places: JSON, families: Families) -> tuple[Entrant, list[str]]:
    """The learner of a run with its ablations, on the tables it has not seen; and notes."""
    spec = run_of(run).read().get("tasks_spec") or {}
    model = load(run)
    learner = model.learner
    if not learner.tags.reads_columns:
        raise UserError(
            "tables: measures learners that take the columns of any table; received the "
            f"{type(learner).__name__} of {run}; train a LearnerGenerator, or see quickstudy "
            "evaluate."
        )
    notes: list[str] = []
    unseen: list[Table] = []
    if spec.get("name") == "tables":
        recorded = Recorded.of(run)
        source = catalog.build_tasks(spec | places, recorded)
        assert isinstance(source, Subtables)
        notes = recorded.notes(source)
        every = {t.name: t for of_split in source.tables.values() for t in of_split}
        names = {t.name for t in chosen([every[name] for name in sorted(every)], families)}
        unseen = [table for table in source.tables.get("test", []) if table.name in names]
    elif "path" in places:
        unseen = chosen(read_tables(Path(places["path"])), families)
    if learner.kind == "classification":
        problems = []
        for table in unseen:
            whole, alone = without_lone_classes(table)
            if alone:
                notes.append(f"{table.name}: no row of {some(alone)}, which one row alone is of")
            problems.append(Problem.of(whole))
    else:
        problems = [problem for table in unseen for problem in regressions(table)]
        if families != "valid":
            problems.append(diabetes())
    return Entrant(_with_ablations(learner), problems, model.temperature), notes


def _with_ablations(learner: AnyLearner) -> dict[str, AnyLearner]:
    """A learner, the same before meta-training, and without each of its parts."""
    learners = {type(learner).__name__: learner}
    if learner.specs is not None:
        learners["before meta-training"] = catalog.from_specs(learner.specs).eval()
    return learners | learner.ablations()


def print_result(result: JSON) -> None:
    """Prints the means and the paired differences, two scores to a table."""
    learner = result["learner"]
    scores = [score for score in SCORES[result["kind"]] if score.name in result["means"][learner]]
    for first in range(0, len(scores), 2):
        _print_scores(result, learner, scores[first : first + 2])
    print(
        f"adapting and predicting is {result['times_faster']:.1f} times faster than fitting the "
        "forest (median over the tables, CPU time, one thread)"
    )


def _print_scores(result: JSON, learner: str, scores: Sequence[Score]) -> None:
    columns = [""]
    for score in scores:
        columns += [score.noun, f"{learner} minus it", "p"]
    rows = []
    for name, mean in result["means"].items():
        row = [name]
        for score in scores:
            row.append(f"{mean[score.name]:.4f}" if score.name in mean else "")
            paired = result["against"].get(name, {}).get(score.name)
            if paired is None:
                row += ["", ""]
                continue
            half = "" if paired["ci95"] is None else f" ± {paired['ci95']:.4f}"
            row += [f"{paired['difference']:+.4f}{half}", f"{paired['p']:.2g}"]
        rows.append(row)
    print_table(
        f"{counted(result['n_tables'], 'unseen table')}, {counted(result['n_splits'], 'split')}",
        columns,
        rows,
        caption="± is 95 % over the tables; p of Wilcoxon's signed-rank test, paired by table",
    )
