"""Recipes: a published result, the settings that give it, and the bar it must reach."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from quickstudy.commands import evaluate_run, setting, without_nan
from quickstudy.errors import UserError
from quickstudy.options import run_training, train_options
from quickstudy.rundir import write_atomically

JSON = dict[str, Any]


def reproduce(
    recipe: Path,
    out: Path | None = None,
    data_dir: Path | None = None,
    record: bool = False,
) -> int:
    """Run a recipe and compare its results with the recorded ones and with the bar.

    A recipe is a YAML file: `train` holds options of `quickstudy train`, `evaluate` a list of
    options of `quickstudy evaluate`, each with `expect`, the bar as `at_least` or `at_most`, and
    `recorded`, what an earlier run measured.

    Args:
        recipe: The YAML file.
        out: Run directory; `runs/` and the recipe's name where omitted. A run that is there is
            continued.
        data_dir: Folder of the original files of the data set.
        record: Whether the results are written into the recipe as the recorded ones.

    Returns:
        0 where every bar is reached, else 1.
    """
    plan = _read(recipe)
    out = out or Path("runs") / recipe.stem
    options = train_options(plan["train"], out, data_dir)
    resume = (out / "run.json").is_file()
    result = run_training(options, resume=resume)
    if result.stopped == "interrupted":
        return 130
    table = Table(title=plan.get("title", recipe.stem))
    for column in ("tasks", "result", "bar", "recorded", ""):
        table.add_column(column)
    reached = True
    found = []
    for entry in plan["evaluate"]:
        given = {k: v for k, v in entry.items() if k not in ("expect", "recorded")}
        keys = ("n_way", "n_shot", "n_query", "seed")
        measured = evaluate_run(
            out,
            {key: given.pop(key, None) for key in keys},
            baselines=given.pop("baselines", False),
            curves=False,
            **given,
        )
        found.append(measured)
        metric, bar = measured["metric"], entry["expect"]
        value = measured[metric]
        good = bar.get("at_least", value) <= value <= bar.get("at_most", value)
        reached &= good
        earlier = entry.get("recorded")
        sign, limit = ("≥", bar["at_least"]) if "at_least" in bar else ("≤", bar["at_most"])
        steps = f", {measured['inner_steps']} steps" if measured["inner_steps"] is not None else ""
        table.add_row(
            setting(measured) + steps,
            f"{metric} {value:.4f} ± {measured['ci95']:.4f}",
            f"{sign} {limit}",
            f"{earlier[metric]:.4f} ± {earlier['ci95']:.4f}" if earlier else "none yet",
            "reached" if good else "missed",
        )
        if record:
            entry["recorded"] = _summary(measured, recipe)
    Console().print(table)
    print(f"training: {result.minutes:.1f} minutes, {result.step} steps; run in {out}")
    write_atomically(out / "reproduced.json", json.dumps(without_nan(found), indent=2).encode())
    if record:
        text = yaml.safe_dump(plan, sort_keys=False, allow_unicode=True, width=100)
        write_atomically(recipe, text.encode())
    return 0 if reached else 1


def _summary(measured: JSON, recipe: Path) -> JSON:
    """What a recipe keeps of a result."""
    keys = (measured["metric"], "ci95", f"{measured['metric']}_disjoint", "ci95_disjoint")
    numbers = {k: round(v, 5) for k in keys if (v := measured.get(k)) is not None}
    machine = measured["machine"]
    return {
        **numbers,
        "n_tasks": measured["n_tasks"],
        "norm": measured["norm"],
        "seed": measured["seed"],
        "steps": measured["steps"],
        "minutes": round(measured["minutes"], 1),
        "date": measured["date"],
        "machine": f"{machine['cpu']}, {machine['threads']} thread(s), torch {machine['torch']}",
        "command": f"quickstudy reproduce {recipe.parent.name}/{recipe.name}",
    }


def _read(recipe: Path) -> JSON:
    try:
        plan = yaml.safe_load(recipe.read_text(encoding="utf-8"))
        complete = all(isinstance(entry["expect"], dict) for entry in plan["evaluate"])
        if not (complete and isinstance(plan["train"], dict)):
            raise KeyError("expect")
    except (OSError, yaml.YAMLError, KeyError, TypeError) as error:
        raise UserError(
            f"reproduce {recipe}: expected a YAML file with train, and evaluate with expect; "
            f"received none ({type(error).__name__}: {error}); see the files in recipes/."
        ) from error
    return plan  # type: ignore[no-any-return]
