"""Ships a meta-trained model of tables as `tables` or `tables-numbers`, and measures it.

    python benchmarks/ship_tables.py RUN                          ships a finished run
    python benchmarks/ship_tables.py RUN --data DATA              and measures it on real tables
    python benchmarks/ship_tables.py --measured RESULTS.json      writes a measurement into its card

A run of classes is shipped as `tables`, and one of numbers to predict as `tables-numbers`.
DATA is a folder of CSV tables, as `quickstudy tables RUN --tasks.path DATA` takes it, and
RESULTS.json what `quickstudy tables tables --tasks.path DATA --json RESULTS.json` wrote. RUN is
made by the recipe that is laid beside the weights:

    quickstudy reproduce recipes/tables-in-context.yaml --out RUN     of classes
    quickstudy reproduce recipes/tables-numbers.yaml --out RUN        of numbers to predict

Shipped are the weights that were best on meta-valid, as float16; a model that is loaded computes in
float32. What the rounding changes is measured on made-up tables of meta-valid, printed, and refused
where a probability, or a value in standard deviations, moves by more than `MOST_MOVED`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray

import quickstudy as qs
from quickstudy import catalog
from quickstudy.cli.evaluate import Evaluation, evaluate_run
from quickstudy.cli.tables import measure_runs
from quickstudy.errors import UserError
from quickstudy.files.machine import machine
from quickstudy.files.records import JSON, today
from quickstudy.files.rundir import RunDirectory, tensors_to_bytes
from quickstudy.files.shipped import FOLDER
from quickstudy.learner import AnyLearner
from quickstudy.metrics import ACCURACY, AUC, RELATIVE_RMSE, half_width
from quickstudy.models.frozen import TABLES, TABLES_NUMBERS
from quickstudy.models.named import CARD
from quickstudy.tabular.measure import by_table, class_probabilities, values
from quickstudy.tabular.opponents import Stored
from quickstudy.task import Examples
from quickstudy.training.plan import resolve

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
RECIPE = {
    "classification": RECIPES / "tables-in-context.yaml",
    "regression": RECIPES / "tables-numbers.yaml",
}
LEARNERS = {"classification": "TableEnsemble", "regression": "TableInContext"}
NAMES = {"classification": TABLES, "regression": TABLES_NUMBERS}
METRICS = {"classification": (AUC.name, ACCURACY.name), "regression": (RELATIVE_RMSE.name,)}
MOST_BYTES = 8_000_000
MOST_MOVED = 0.02
"""How far the rounding to float16 may move a probability, or a standardised value."""
N_ROUNDED = 16
SAMPLES = {
    "all": "",
    "valid": "the third of the families on which choices are made; ",
    "test": "the families that are held out of all choices; ",
}
ABOUT: dict[str, JSON] = {
    "classification": {
        "about": "For rows of a small table, twenty to some thousand: numbers, names, truth "
        "values, missing cells. For larger ones take tables-linear.",
        "made": "a transformer over cells, meta-trained on made-up tables (`table_prior`), and "
        "logistic regression, whose penalty suits the rows; their probabilities are averaged",
    },
    "regression": {
        "about": "For a number to predict, with its interval, of rows of a small table, twenty to "
        "some thousand. tables takes it by itself where its labels are such numbers.",
        "made": "a transformer over cells, meta-trained on made-up tables (`table_prior`)",
    },
}


def ship(run: Path, to: Path, recipe: Path | None = None) -> float:
    """Writes a finished run into the package, and returns how far the rounding moves it.

    Without what training goes on from, and without where it was made.

    Raises:
        UserError: The run is not finished, of another learner or recipe, or changed by rounding.
    """
    source = RunDirectory(run)
    record = source.read()
    name, stopped = record["learner"], record.get("stopped")
    if (name, stopped) != (LEARNERS[record["kind"]], "steps"):
        raise UserError(
            f"ship_tables: ships a finished {LEARNERS[record['kind']]}; received "
            f"{name} of {record['kind']}, stopped by {stopped}; finish it, or take another run."
        )
    recipe = recipe or RECIPE[record["kind"]]
    record["config"]["out"] = to.name
    train = yaml.safe_load(recipe.read_text(encoding="utf-8"))["profiles"]["cpu"]["train"]
    expected = json.loads(json.dumps(resolve(train | {"out": to.name})))
    if others := [key for key in expected if expected[key] != record["config"].get(key)]:
        key = others[0]
        raise UserError(
            f"ship_tables: the run must be the one of {recipe.name}; received {key} "
            f"{record['config'].get(key)!r} where the recipe has {expected[key]!r}; correct the "
            "recipe, or train with it."
        )
    weights, header = source.load("weights")
    halved = {
        key: value.half() if value.is_floating_point() else value for key, value in weights.items()
    }
    content = tensors_to_bytes(halved, header)
    if len(content) > MOST_BYTES:
        raise UserError(
            f"ship_tables: the weights must be smaller than {MOST_BYTES} bytes; received "
            f"{len(content)}; train a smaller network."
        )
    moved = rounding(qs.load(run), halved, record["tasks_spec"])
    if not moved <= MOST_MOVED:
        raise UserError(
            f"ship_tables: rounding may move an answer by {MOST_MOVED}; received {moved:.4f}; "
            "train with more weight decay, or ship float32."
        )
    to.mkdir(parents=True, exist_ok=True)
    (to / "run.json").unlink(missing_ok=True)
    RunDirectory(to).save(record | {"files": {}}, {"weights": content})
    shutil.copyfile(run / "metrics.jsonl", to / "metrics.jsonl")
    shutil.copyfile(recipe, to / "recipe.yaml")
    return moved


def rounding(model: qs.Model, halved: dict[str, torch.Tensor], spec: JSON) -> float:
    """The largest change of an answer on made-up tables of meta-valid.

    Of a probability, or of a value or quantile in standard deviations of the support.
    """
    assert model.learner.specs is not None
    rounded = catalog.from_specs(model.learner.specs).eval().requires_grad_(False)
    rounded.load_state_dict(halved)
    source, moved = catalog.build_tasks(spec), 0.0
    for index in range(N_ROUNDED):
        support, query = source.task("valid", index)
        before, after = (answers(each, support, query) for each in (model.learner, rounded))
        moved = max(moved, float(np.abs(before - after).max()))
    return moved


def answers(learner: AnyLearner, support: Examples, query: Examples) -> NDArray[np.float64]:
    """Probabilities of the queries, or values and quantiles in standard deviations."""
    x, x_query = support.x.numpy(), query.x.numpy()
    if learner.kind == "classification":
        return class_probabilities(learner, x, support.y.argmax(dim=1).numpy(), x_query)
    y = support.y[:, 0].double().numpy()
    mean, quantiles = values(learner, x, y, x_query)
    assert quantiles is not None
    every: NDArray[np.float64] = np.concatenate([mean[:, None], quantiles], axis=1)
    return every / max(y.std(), np.finfo(np.float64).tiny)


def results(measured: JSON) -> list[JSON]:
    """The rows of the card: each score of the learner, and its lead over each opponent in text."""
    rows, n = [], measured["n_splits"]
    for metric in METRICS[measured["kind"]]:
        of_tables = by_table(measured["tables"], measured["learner"], metric)
        rows.append(
            {
                "data": f"{measured['n_tables']} real tables",
                "sample": f"UCI and StatLib; {SAMPLES[measured.get('families', 'all')]}half of the "
                "rows, at most 1,000, to learn from",
                "setting": f"{n} split{'s' * (n != 1)}",
                "metric": metric,
                metric: round(float(of_tables.mean()), 5),
                "ci95": round(float(half_width(of_tables)), 5),
                "n_tasks": measured["n_tables"],
                "seed": measured["seed"],
                "minus": {
                    name: {key: round(of[metric][key], 5) for key in ("difference", "ci95", "p")}
                    for name, of in measured["against"].items()
                    if metric in of
                },
                "date": measured["date"],
                "machine": measured["machine"],
                "command": measured["command"],
            }
        )
    return rows


def write_card(to: Path, kind: str, measured: JSON | None) -> None:
    """Writes the card, with the numbers of a measurement where there is one."""
    card = {"takes": "rows", **ABOUT[kind], "licence": "Apache-2.0"}
    card["results"] = results(measured) if measured else []
    write(to / CARD, card)


def write(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--recipe", type=Path)
    parser.add_argument("--to", type=Path)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--opponents", type=Path, help="as of quickstudy tables")
    parser.add_argument("--json", type=Path, help="file for the measurement")
    parser.add_argument("--measured", type=Path)
    parser.add_argument("--n-tasks", type=int, default=100, help="made-up tables of meta-test")
    options = parser.parse_args()
    measured = None
    if options.measured is not None:
        measured = json.loads(options.measured.read_text(encoding="utf-8"))
    if options.run is None and measured is None:
        parser.error("a run or --measured is needed")
    kind = measured["kind"] if measured else RunDirectory(options.run).read()["kind"]
    to = options.to or FOLDER / NAMES[kind]
    if options.run is not None:
        moved = ship(options.run, to, options.recipe)
        print(f"float16 moves an answer by {moved:.5f} at most, on {N_ROUNDED} tasks")
        write_card(to, kind, None)
        settings = Evaluation(n_tasks=options.n_tasks, curves=False)
        write(to / "evaluation.json", evaluate_run(to, settings, 0).to_json())
    if options.data is not None:
        measured = measure_runs(
            [to], 5, 0, print, {"path": options.data}, stored=Stored(options.opponents)
        )
        command = f"quickstudy tables {NAMES[kind]} --tasks.path DATA"
        measured |= {"runs": [to.name], "date": today(), "command": command, **machine()}
        if options.json is not None:
            write(options.json, measured)
    if measured is not None:
        write_card(to, kind, measured)
        for row in results(measured):
            print(row["data"], row["metric"], row[row["metric"]], "±", row["ci95"])


if __name__ == "__main__":
    main()
