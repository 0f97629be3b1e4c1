"""The commands of the command line, as functions: their signatures are the options."""

from __future__ import annotations

import json as jsonlib
import math
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from quickstudy import catalog
from quickstudy.errors import UserError
from quickstudy.evaluation.meta_test import evaluate as meta_test
from quickstudy.evaluation.tuned import as_table, transferred
from quickstudy.figures import plots
from quickstudy.figures.loss_curves import loss_curves
from quickstudy.figures.sheet import Picture
from quickstudy.files.machine import machine
from quickstudy.files.rundir import RunDirectory, write_atomically
from quickstudy.learners.gradient_based import GradientBased
from quickstudy.models.adapted import Model
from quickstudy.models.saved import load, load_task
from quickstudy.tasks import SOURCES, SPLITS, Columns, Dataset, Split
from quickstudy.tasks.folder import labelled_pictures
from quickstudy.tasks.table import read_rows
from quickstudy.version import __version__

JSON = dict[str, Any]


def evaluate(
    run: Path,
    n_way: int | None = None,
    n_shot: int | None = None,
    n_query: int | None = None,
    n_tasks: int = 600,
    split: Split = "test",
    seed: int | None = None,
    inner_steps: int | None = None,
    net: dict[str, Any] | None = None,
    tasks: dict[str, Any] | None = None,
    baselines: bool = True,
    curves: bool = True,
    json: Path | None = None,
    pictures: Path | None = None,
) -> int:
    """Measure a run on new tasks, with intervals and baselines.

    Args:
        run: Run directory.
        n_way: Classes of a task; as in meta-training where omitted, like the next two.
        n_shot: Support examples of a class.
        n_query: Query examples of a class.
        n_tasks: Tasks.
        split: Whose classes.
        seed: Seed of the tasks; that of meta-training where omitted.
        inner_steps: Inner steps of a gradient-based learner.
        net: Options of the network that a learned update rule is to optimise instead.
        tasks: Options of the tasks that are to be others for it.
        baselines: Whether the baselines are run on the same tasks.
        curves: Whether accuracy is also measured against shots, and against inner steps.
        json: File for the results.
        pictures: Folder for the pictures, as SVG and JSON.
    """
    changed = {"n_way": n_way, "n_shot": n_shot, "n_query": n_query, "seed": seed}
    how = (inner_steps, baselines, curves)
    result = evaluate_run(run, changed, n_tasks, split, *how, net=net, tasks=tasks)
    if json is not None:
        write_atomically(json, jsonlib.dumps(without_nan(result), indent=2).encode())
    if pictures is not None:
        for picture in evaluation_pictures(result):
            picture.save(pictures)
    print_evaluation(result)
    return 0


def evaluate_run(
    run: Path,
    changed: JSON,
    n_tasks: int = 600,
    split: Split = "test",
    inner_steps: int | None = None,
    baselines: bool = True,
    curves: bool = True,
    curve_tasks: int = 200,
    net: JSON | None = None,
    tasks: JSON | None = None,
) -> JSON:
    """What `quickstudy evaluate` measures, with the settings of the tasks that are not None."""
    record, model = RunDirectory(run).read(), load(run)
    learner = model.learner
    if "tasks_spec" not in record:
        raise UserError(
            f"evaluate {run}: needs tasks that have a name; received a run whose tasks were made "
            "in Python; call quickstudy.evaluate(quickstudy.load(run).learner, tasks) there."
        )
    spec = record["tasks_spec"] | {k: v for k, v in changed.items() if v is not None}
    own_seed = record["tasks_spec"].get("seed", 0)
    if catalog.seed_splits(spec["name"]) and spec.get("seed", 0) != own_seed:
        raise UserError(
            f"evaluate {run}: the seed of {spec['name']} splits its classes, and another would put "
            f"classes of meta-training into meta-test; received seed {spec['seed']} for a run with "
            f"seed {own_seed}; leave it out."
        )
    if inner_steps is not None:
        if not isinstance(learner, GradientBased) or inner_steps < 0:
            raise UserError(
                "evaluate: inner_steps, at least 0, is for gradient-based learners; received "
                f"{inner_steps} and a run of {type(learner).__name__}; leave it out."
            )
        learner.adapt_steps = inner_steps
    source = catalog.build_tasks(spec | (tasks or {}))
    if net or tasks:
        learner = transferred(learner, source, net)
    with status() as say:
        found = meta_test(
            learner,
            source,
            split,
            n_tasks,
            shots=(1, 2, 5, 10) if curves else (),
            steps=(0, 1, 2, 3, 5, 10) if curves else (),
            curve_tasks=curve_tasks,
            with_baselines=baselines,
            temperature=model.temperature,
            progress=say,
        )
    given = {**changed, "n_tasks": n_tasks, "split": split, "inner_steps": inner_steps}
    given |= {k: shlex.quote(jsonlib.dumps(v)) for k, v in (("net", net), ("tasks", tasks)) if v}
    options = " ".join(
        f"--{key.replace('_', '-')} {value}" for key, value in given.items() if value is not None
    )
    return {
        **found,
        "tasks": spec["name"],
        "tasks_options": {k: v for k, v in spec.items() if k not in ("name", "data_dir")},
        **{key: spec.get(key) for key in ("seed", "n_way", "n_shot", "n_query")},
        "inner_steps": getattr(learner, "adapt_steps", None),
        "steps": record["step"],
        "minutes": record["minutes"],
        "cpu_minutes": record.get("cpu_minutes"),
        "parameters": sum(p.numel() for p in learner.parameters()),
        **machine(),
        "date": today(),
        "version": __version__,
        "command": f"quickstudy evaluate {shlex.quote(run.name)} {options}",
    }


def without_nan(value: Any) -> Any:
    """The same with null for what JSON has no number for."""
    if isinstance(value, dict):
        return {key: without_nan(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [without_nan(inside) for inside in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def adapt(run: Path, support: Path, out: Path, target: str | None = None) -> int:
    """Learn a new task from a folder of class folders, or a CSV table.

    Args:
        run: Run directory of the meta-trained model.
        support: Folder with a folder of pictures for each class; or a CSV file.
        out: File for the adapted model.
        target: Column of the labels, for a CSV file.
    """
    model = load(run)
    X, y = _support(model, support, target)
    start = time.perf_counter()
    adapted = model.adapt(X, y)
    took = 1000 * (time.perf_counter() - start)
    adapted.save(out)
    n = len(adapted.labels)
    print(f"learned from {n} examples in {took:.0f} ms: {out}")
    if adapted.classes_ is not None:
        print(f"classes: {', '.join(map(str, adapted.classes_))}")
    try:
        q = adapted.quality()
    except UserError as error:
        print(f"quality: not measured; {error}")
    else:
        print(
            f"quality: {q.metric} {q.value:.3f}, 95 % interval {q.low:.3f} to {q.high:.3f} "
            f"({q.folds}-fold cross-validation on the {q.n} examples)"
        )
        if q.warning is not None:
            print(f"quality: {q.warning}")
    return 0


def predict(task: Path, inputs: list[Path], min_confidence: float = 0.0, json: bool = False) -> int:
    """Say what new pictures or rows are, with an adapted model.

    Args:
        task: File that `quickstudy adapt` wrote.
        inputs: Pictures; or one CSV file.
        min_confidence: Probability below which the answer is "not sure", null in JSON.
        json: Whether to print JSON, with the probability of every class.
    """
    adapted = load_task(task)
    names, X = [str(path) for path in inputs], queries(adapted.model, inputs)
    names = names if len(names) == len(X) else [f"row {i + 1}" for i in range(len(X))]
    answers = adapted.predict(X, min_confidence).tolist()
    if adapted.classes_ is None:
        rows: list[JSON] = [
            {"input": name, "prediction": value} for name, value in zip(names, answers, strict=True)
        ]
    else:
        rows = [
            {
                "input": name,
                "prediction": label,
                "probability": float(p.max()),
                "probabilities": {
                    str(c): float(v) for c, v in zip(adapted.classes, p, strict=True)
                },
            }
            for name, label, p in zip(names, answers, adapted.predict_proba(X), strict=True)
        ]
    if json:
        print(jsonlib.dumps(rows, indent=2))
        return 0
    for row in rows:
        sure = f"\t{row['probability']:.3f}" if "probability" in row else ""
        answer = row["prediction"] if row["prediction"] is not None else "not sure"
        print(f"{row['input']}\t{answer}{sure}")
    return 0


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
    builder = catalog.lookup("tasks", name, SOURCES)
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


def evaluation_pictures(result: JSON) -> list[Picture]:
    """The pictures of an evaluation."""
    metric, name, ladder = result["metric"], result["learner"], result["baselines"]
    chance = 1 / result["n_way"] if isinstance(result.get("n_way"), int) else None
    chance = chance if metric == "accuracy" else None
    rows = [{"name": name, **result}, *({"name": n, **b} for n, b in ladder.items())]
    rows = [{key: row[key] for key in ("name", metric, "ci95")} for row in rows]
    pictures = [plots.baseline_ladder(rows, metric=metric, chance=chance)]
    curves = {name: result.get("by_shots"), **{n: b.get("by_shots") for n, b in ladder.items()}}
    drawn = {n: rows for n, rows in curves.items() if rows}
    if drawn:
        pictures.append(plots.accuracy_by_shots(drawn, metric=metric, chance=chance))
    if result.get("by_steps"):
        steps = {name: result["by_steps"]}
        pictures.append(plots.accuracy_by_steps(steps, metric=metric, chance=chance))
    if "optimizers" in result:
        found = result["optimizers"]
        pictures.append(loss_curves(found["rules"], trained_steps=found["trained_steps"]))
    if result.get("reliability"):
        pictures.append(plots.reliability(result["reliability"], result["ece"]))
    return pictures


def print_evaluation(result: JSON) -> None:
    """The headline and the ladder of an evaluation, as a table in the terminal."""
    metric = result["metric"]
    unit = 100 if metric == "accuracy" else 1
    table = Table(
        title=f"{result['tasks']}/{result['split']}, {setting(result)}, {result['n_tasks']} tasks",
        caption=f"norm: {result['norm']}; ± is 95 %; differences are paired over the same tasks",
    )
    for column in ("", f"{metric}{' %' if unit == 100 else ''}", "learner minus it"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row(result["learner"], _plus_minus(result[metric], result["ci95"], unit), "")
    for name, row in result["baselines"].items():
        difference = _plus_minus(row["difference"], row["difference_ci95"], unit)
        table.add_row(name, _plus_minus(row[metric], row["ci95"], unit), difference)
    Console().print(table)
    if "optimizers" in result:
        Console().print(as_table(result["optimizers"]))
    if result["n_tasks_disjoint"]:
        apart = _plus_minus(result[f"{metric}_disjoint"], result["ci95_disjoint"], unit)
        print(f"over {result['n_tasks_disjoint']} tasks that share no example: {apart}")
    if "ece" in result:
        print(
            f"expected calibration error: {100 * result['ece']:.1f} %, without the temperature "
            f"{result['temperature']:.2f} of meta-valid {100 * result['ece_uncalibrated']:.1f} %"
        )
    if "log_likelihood" in result:
        value = _plus_minus(result["log_likelihood"], result["log_likelihood_ci95"], 1)
        print(f"log-likelihood of a query: {value} nats")
    if "log_likelihood_gap" in result:
        best, worst = result["reference"]["oracle"], result["reference"]["constant"]
        missing = 100 * result["log_likelihood_gap"]
        print(f"of {best:.3f} possible and {worst:.3f} by a constant: {missing:.1f} % missing")


def setting(result: JSON) -> str:
    """Such as `5-way 1-shot`; the tasks' name where they have no shots."""
    way = f"{result['n_way']}-way " if result.get("n_way") else ""
    return f"{way}{result['n_shot']}-shot" if result.get("n_shot") else str(result["tasks"])


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """Shows what is being done while it is."""
    console = Console(stderr=True)
    with console.status("") as shown:
        yield lambda text: shown.update(f"measuring: {text}")


def today() -> str:
    """The date, as in 2026-01-31."""
    return datetime.now(UTC).date().isoformat()


def _plus_minus(value: float, half: float, unit: int) -> str:
    digits = 1 if unit == 100 else 4
    return f"{unit * value:.{digits}f} ± {unit * half:.{digits}f}"


def _support(model: Model, support: Path, target: str | None) -> tuple[Any, list[Any]]:
    if isinstance(model.preprocess, Columns) or model.learner.reads_columns:
        if target is None:
            raise UserError(
                f"adapt: needs the column of the labels in {support}; received none; give --target."
            )
        rows = read_rows(support)
        values = [row.pop(target) for row in rows if target in row]
        if len(values) < len(rows):
            raise UserError(
                f"adapt: {support} needs a column {target!r}; received {sorted(rows[0])}; give the "
                "--target that is there."
            )
        return rows, [float(v) for v in values] if model.kind == "regression" else values
    paths, labels = labelled_pictures(support)
    return paths, labels


def queries(model: Model, inputs: list[Path]) -> list[Any]:
    """What the named files ask: pictures, or the rows of tables."""
    if not inputs:
        raise UserError("predict: needs something to predict; received no input; name some files.")
    if isinstance(model.preprocess, Columns):
        return [row for path in inputs for row in read_rows(path)]
    return list(inputs)
