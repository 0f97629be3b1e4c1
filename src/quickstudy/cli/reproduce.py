"""`quickstudy reproduce`: runs a recipe, the settings of a published result and its bar."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import yaml

from quickstudy import catalog
from quickstudy.cli.console import counted, print_table, write_json
from quickstudy.cli.evaluate import Evaluation, evaluate_run, setting
from quickstudy.cli.tables import measure_runs
from quickstudy.errors import UserError
from quickstudy.files.atomic import write_atomically
from quickstudy.files.machine import machine
from quickstudy.files.records import JSON, today
from quickstudy.files.rundir import RunDirectory
from quickstudy.metrics import ACCURACY
from quickstudy.tabular.opponents import Stored
from quickstudy.tabular.problems import Families
from quickstudy.tabular.scores import SCORES
from quickstudy.training.plan import resolve, run_training, typed
from quickstudy.training.signatures import Signature

Profile = Literal["cpu", "gpu", "paper"]
FILES = ("path", "future", "items")
"""Options of tasks that name a file, or a folder, of their data."""


def reproduce(
    recipe: Path,
    profile: Profile = "cpu",
    out: Path | None = None,
    data_dir: Path | None = None,
    record: bool = False,
    opponents: Path | None = None,
) -> int:
    """Run a recipe and compare its results with the recorded ones and with the bar.

    A recipe is a YAML file with `profiles`: `cpu` takes minutes on two cores, `gpu` minutes on one
    large GPU, `paper` is the published set-up in full. In each, `train` holds options of
    `quickstudy train`, `evaluate` a list of options of `quickstudy evaluate` (or of `quickstudy
    tables`: `splits`, and `path` and `families` where a run of made-up tables is measured on real
    ones), each with `expect`, the bar as `at_least` or `at_most` (of the accuracy or mean squared
    error, or of the `metric` it names), and `recorded`, what an earlier run measured.

    Args:
        recipe: The YAML file.
        profile: Which of its profiles.
        out: Run directory; `runs/` and the recipe's name where omitted. A run that is there is
            continued.
        data_dir: Folder of the original files of the data set, the one that the recipe names or
            that holds the files it names; also of the tables that it is measured on.
        record: Whether the results are written into the recipe as the recorded ones.
        opponents: File that stores what the opponents reach on tables, as of `quickstudy tables`.

    Returns:
        0 where every bar is reached, else 1.
    """
    content = _read(recipe)
    if profile not in content["profiles"]:
        raise UserError(
            f"reproduce {recipe}: has the profiles {', '.join(content['profiles'])}; received "
            f"{profile!r}; choose one of these."
        )
    plan = content["profiles"][profile]
    out = out or Path("runs") / (recipe.stem if profile == "cpu" else f"{recipe.stem}-{profile}")
    settings = {**plan["train"], "out": out}
    evaluations = [_checked(recipe, entry, data_dir) for entry in plan["evaluate"]]
    if data_dir is not None:
        settings["tasks"] = _with_data(settings["tasks"], data_dir, evaluations)
    result = run_training(resolve(settings), resume="auto")
    if result.stopped == "interrupted":
        return 130
    all_reached = True
    results, rows = [], []
    results_on_tables: dict[tuple[Any, ...], JSON] = {}
    for entry, options in zip(plan["evaluate"], evaluations, strict=True):
        if "splits" in options:
            # Several bars are of one measurement.
            key = tuple(options.items())
            if key not in results_on_tables:
                results_on_tables[key] = on_tables(out, **options, opponents=opponents)
            measured = results_on_tables[key]
        else:
            measured = evaluate_run(out, Evaluation(**options)).to_json()
        results.append(measured)
        bar = entry["expect"]
        metric = bar.get("metric", measured["metric"])
        numbers = _numbers(measured, metric)
        value = numbers[metric]
        reached = bar.get("at_least", value) <= value <= bar.get("at_most", value)
        all_reached &= reached
        recorded = entry.get("recorded")
        sign, limit = ("≥", bar["at_least"]) if "at_least" in bar else ("≤", bar["at_most"])
        steps = f", {measured['inner_steps']} steps" if measured["inner_steps"] is not None else ""
        rows.append(
            (
                measured.get("setting") or setting(measured) + steps,
                f"{metric} {_with_interval(numbers, metric)}",
                f"{sign} {limit}",
                _with_interval(recorded, metric) if recorded else "none yet",
                "reached" if reached else "missed",
            )
        )
        if record:
            command = f"quickstudy reproduce {recipe.parent.name}/{recipe.name}"
            if profile != "cpu":
                command += f" --profile {profile}"
            entry["recorded"] = {**numbers, **_circumstances(measured), "command": command}
    title = f"{content.get('title', recipe.stem)} ({profile} profile)"
    print_table(title, ("tasks", "result", "bar", "recorded", ""), rows, numbers=False)
    print(f"training: {result.minutes:.1f} minutes, {result.step} steps; run in {out}")
    write_json(out / "reproduced.json", results)
    if record:
        text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
        write_atomically(recipe, text.encode())
    return 0 if all_reached else 1


def _with_data(tasks: JSON, folder: Path, evaluations: Sequence[JSON] = ()) -> JSON:
    """The tasks of a recipe with their data in this folder."""
    parameters = inspect.signature(catalog.tasks_builder(tasks["name"])).parameters
    made_up = not parameters.keys() & {"data_dir", *FILES}
    if made_up and any("path" in options for options in evaluations):
        return tasks  # the folder is that of the evaluation alone
    if "data_dir" in parameters:
        return {**tasks, "data_dir": folder}
    places = {place: Path(tasks[place]) for place in FILES if place in tasks}
    files = {place: folder / path.name for place, path in places.items() if path.suffix}
    return {**tasks, "path": folder, **files}


def _checked(recipe: Path, entry: JSON, data_dir: Path | None = None) -> JSON:
    """The options of an evaluation in a recipe, each of its type, with its tables where they lie.

    Raises:
        UserError: One is unknown, where the nearest is named, or of another type; the bar names no
            bound; or the folder of the tables is missing, which is told before the training.
    """
    where = f"reproduce {recipe}, evaluate"
    if not entry["expect"].keys() & {"at_least", "at_most"}:
        raise UserError(
            f"{where}: a bar needs at_least or at_most; received {entry['expect']}; give one."
        )
    typed({"at_least": float, "at_most": float, "metric": str}, entry["expect"], f"{where}, expect")
    options = {k: v for k, v in entry.items() if k not in ("expect", "recorded")}
    if "splits" in options:
        types = {"splits": int, "seed": int, "path": Path, "families": Families}
        on = typed(types, options, where)
        if "path" in on:
            on["path"] = Path(data_dir or on["path"])
            if not on["path"].is_dir():
                raise UserError(
                    f"{where}: path must be a folder of tables; received {on['path']}, which is "
                    "none; say where it lies with --data-dir."
                )
        return on
    types = {option.name: option.type for option in Signature(Evaluation).options()}
    return {"baselines": False, "curves": False, **typed(types, options, where)}


def on_tables(
    run: Path,
    splits: int,
    seed: int = 0,
    path: Path | None = None,
    families: Families = "all",
    opponents: Path | None = None,
) -> JSON:
    """The results of `quickstudy tables` for a run, as numbers that a bar can name.

    A run that has seen made-up tables alone is measured on those of the folder `path`. The numbers
    are the scores of the learner, such as `auc` and `log_loss`, each also as a difference such
    as `auc_minus_random_forest`, and `times_faster`.
    """
    places = None if path is None else {"path": path}
    stored = Stored(opponents)
    result = measure_runs([run], splits, seed, places=places, families=families, stored=stored)
    record = RunDirectory(run).read()
    flat: JSON = dict(result["means"][result["learner"]])
    for name, metrics in result["against"].items():
        for metric, paired in metrics.items():
            key = f"{metric}_minus_{name.lower().replace(' ', '_')}"
            flat[key] = paired["difference"]
            flat |= {f"{key} ci95": paired["ci95"], f"{key} p": paired["p"]}
    return {
        **flat,
        "metric": SCORES[result["kind"]][0].name,
        "times_faster": result["times_faster"],
        "setting": f"{counted(result['n_tables'], 'unseen table')}, {counted(splits, 'split')}",
        "n_tasks": result["n_tables"],
        "inner_steps": None,
        "norm": "none",
        "seed": seed,
        "steps": record["step"],
        "minutes": record["minutes"],
        "cpu_minutes": record.get("cpu_minutes"),
        "date": today(),
        **machine(),
    }


def _numbers(measured: JSON, metric: str) -> JSON:
    """The numbers that a recipe records: the metric its bar is for, with its intervals.

    `instance 2` is the accuracy where a class is shown for the second time; other metrics than that
    of the kind of task stand in the result by their name.
    """
    name, _, number = metric.partition(" ")
    if name == "instance":
        rows = measured.get("by_instance", [])
        row = next((row for row in rows if str(row["instance"]) == number), None)
        if row is not None:
            return {metric: round(row[ACCURACY.name], 5), "ci95": round(row["ci95"], 5)}
    elif f"{metric} ci95" in measured:
        sources = {metric: metric, "ci95": f"{metric} ci95", "p": f"{metric} p"}
        return {k: round(v, 5) for k, key in sources.items() if (v := measured[key]) is not None}
    elif metric in measured:
        sources = {metric: metric, "ci95": f"{metric}_ci95"}
        if metric == measured["metric"]:
            sources = {key: key for key in (metric, "ci95", f"{metric}_disjoint", "ci95_disjoint")}
        values = {name: measured.get(key) for name, key in sources.items()}
        # The mean over one task has no interval.
        return {k: round(v, 5) for k, v in values.items() if v is not None and isfinite(v)}
    raise UserError(
        f"reproduce: the metric of a bar must be one that evaluate measures; received {metric!r}; "
        f"use one of {', '.join(k for k, v in measured.items() if isinstance(v, float))}."
    )


def _with_interval(numbers: JSON, metric: str) -> str:
    half = numbers.get("ci95")
    return f"{numbers[metric]:.4f}" + ("" if half is None else f" ± {half:.4f}")


def _circumstances(measured: JSON) -> JSON:
    """The settings and cost of a result, and the machine it was measured on."""
    machine, cpu_minutes = measured["machine"], measured["cpu_minutes"]
    return {
        "n_tasks": measured["n_tasks"],
        "norm": measured["norm"],
        "seed": measured["seed"],
        "steps": measured["steps"],
        "minutes": round(measured["minutes"], 1),
        **({} if cpu_minutes is None else {"cpu_minutes": round(cpu_minutes, 1)}),
        "date": measured["date"],
        "machine": f"{machine['cpu']}, {machine['threads']} thread(s), torch {machine['torch']}",
    }


def _read(recipe: Path) -> JSON:
    try:
        plan = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        for profile in plan["profiles"].values():
            complete = all(isinstance(entry["expect"], dict) for entry in profile["evaluate"])
            if not (complete and isinstance(profile["train"], dict)):
                raise KeyError("expect")
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise UserError(
            f"reproduce {recipe}: expected a YAML file with profiles, and in each train, and "
            f"evaluate with expect; received none ({type(error).__name__}: {error}); see the files "
            "in recipes/."
        ) from error
    return plan
