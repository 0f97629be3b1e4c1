"""Whether trial and error finds more than the default and than random search at equal cost.

    OMP_NUM_THREADS=1 python benchmarks/search.py --out benchmarks/search.json --work runs/search

On each family and for each seed, in one process and measured in its processor time:

- `search`: 30 trials of `quickstudy search` and their finals, as it is shipped; its cost is the
  seed's budget;
- `random`: configurations drawn evenly from the same space, each trained whole, the default first,
  until the budget is spent; the trial that goes beyond it counts, and so do the same finals;
- `halved`, with `--halved`: the same with the halving of the search, as far as its budget goes;
- `default`: the default configuration, trained as long as a whole trial;
- `default, whole budget`, with `--long`: the same, trained until the budget is spent;
- `best, whole budget`, with `--long`: the best configuration of the search, trained anew for as
  long again.

Each training ends with the weights that were best on the same meta-valid tasks, and each contender
is measured on 600 meta-test tasks that none has seen, the same for all. A result that is there is
kept.
"""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t

import quickstudy
from quickstudy import catalog
from quickstudy.evaluation.scores import score
from quickstudy.files.atomic import write_atomically
from quickstudy.files.machine import keep_memory, machine
from quickstudy.files.records import today, without_nan
from quickstudy.files.rundir import RunDirectory
from quickstudy.metrics import named
from quickstudy.search.finals import finals, winner
from quickstudy.search.rows import Row, rows
from quickstudy.search.spaces import default_space, usual_choices
from quickstudy.search.study import Plan, open_study, work
from quickstudy.search.trial import Budget
from quickstudy.search.zoom import zoomed
from quickstudy.training.plan import flat, nested, resolve, run_training, tasks_spec

JSON = dict[str, Any]
FAMILIES: dict[str, JSON] = {
    "sinusoid": {"tasks.name": "sinusoid", "n_shot": 10, "n_query": 10, "steps": 300},
    "glyphs": {
        "tasks.name": "glyphs",
        "net.name": "MLP",
        "n_way": 5,
        "n_shot": 1,
        "n_query": 5,
        "steps": 500,
    },
}
TRIALS, FINAL_TASKS, TEST_TASKS = 30, 500, 600


def measure(family: str, seed: int, work_dir: Path, halved: bool, long: bool) -> JSON:
    """All contenders on one family and seed."""
    fixed = {**FAMILIES[family], "seed": seed, "meta_batch": 4}
    steps = fixed.pop("steps")
    space_given = {k: v for k, v in fixed.items() if k != "meta_batch"}
    options = resolve(nested(space_given))
    source = catalog.build_tasks(tasks_spec(options))
    space = default_space(source, fixed.get("net.name")).without(space_given)
    default, *others = usual_choices(space, source, fixed)
    first = (("default", default), *(("usual", choices) for choices in others))
    folder = work_dir / family / str(seed)
    plan = Plan(
        folder / "search", "", "search", space, fixed, source.metrics[0], Budget(4 * steps),
        first, TRIALS, seed=seed,
    )  # fmt: skip
    test = [source.untouched.task("test", i) for i in range(TEST_TASKS)]

    def tested(run: Path) -> list[float]:
        if "weights" not in RunDirectory(run).read()["files"]:
            return [math.nan] * TEST_TASKS
        return [float(v) for v in score(quickstudy.load(run).learner, test).per_task]

    def searched(plan: Plan, budget: float | None) -> tuple[list[Row], Row | None, float]:
        """The trials, the winner of the finals, and what all of it cost."""
        plan = replace(plan, storage=f"sqlite:///{plan.out / 'study.db'}")
        study = open_study(plan)
        interrupted = work(plan).interrupted
        while budget is not None and spent(rows(study)) < budget and not interrupted:
            plan = replace(plan, trials=plan.trials + 1)
            interrupted = work(plan).interrupted
        if interrupted:
            raise KeyboardInterrupt
        found = rows(study)
        played = finals(plan, found, source, FINAL_TASKS)
        best = winner(found, played, plan.sign)
        return found, best, spent(found) + sum(final.cpu_seconds for final in played)

    def spent(found: list[Row]) -> float:
        return sum(row.cpu_seconds for row in found)

    def alone(name: str, like: Row, budget: float) -> JSON:
        """A configuration, trained until the budget is spent, at the speed of its trial."""
        run = folder / name.replace(", ", "-").replace(" ", "-")
        given = nested(flat(like.options))
        given["steps"] = math.ceil(given["steps"] * budget / like.cpu_seconds)
        started = time.process_time()

        def watch(step: int, value: float) -> bool:
            return time.process_time() - started >= budget

        result = run_training(resolve({**given, "out": run}), show=False, watch=watch)
        cost = time.process_time() - started
        return {"cpu_seconds": cost, "steps": result.step, "test": tested(run)}

    def summary(found: list[Row], best: Row | None, plan: Plan, cost: float) -> JSON:
        states = [row.state for row in found]
        return {
            "trials": {state: states.count(state) for state in sorted({*states})},
            "cpu_seconds": cost,
            "best": None if best is None else best.options,
            "valid": None if best is None else best.score,
            "test": [math.nan] if best is None else tested(plan.run(best.number)),
        }

    found, won, cost = searched(plan, None)
    assert won is not None
    contenders: JSON = {"search": summary(found, won, plan, cost)}
    contenders["search"]["adjusted"] = zoomed(space, found, plan.sign, plan.zoom)[1]
    usual = next(row for row in found if row.origin == "default")
    if usual.state != "whole":
        raise SystemExit(f"the default was {usual.state}: {usual.reason}")
    contenders["default"] = {
        "cpu_seconds": usual.cpu_seconds,
        "test": tested(plan.run(usual.number)),
    }
    opponents = {"random": replace(plan.budget, factor=1)}
    for name, budget in (opponents | ({"halved": plan.budget} if halved else {})).items():
        other = replace(
            plan, out=folder / name, first=first[:1], budget=budget, sampler="random", zoom=0,
            trials=1,
        )  # fmt: skip
        found, best, spent_ = searched(other, cost)
        contenders[name] = summary(found, best, other, spent_)
    for name, like in (("default", usual), ("best", won)) if long else ():
        contenders[f"{name}, whole budget"] = alone(f"{name}, whole budget", like, cost)
    return {"metric": source.metrics[0].name, "budget_cpu_seconds": cost, "contenders": contenders}


def compared(result: JSON) -> JSON:
    """Means over seeds, and paired differences to the search with 95 % intervals of Student's t."""
    table: JSON = {}
    for family, seeds in result["families"].items():
        runs = [*seeds.values()]
        sign = named(runs[0]["metric"]).sign
        rows_: JSON = {}
        for name in runs[0]["contenders"]:
            values = np.array([np.mean(run["contenders"][name]["test"]) for run in runs])
            ours = np.array([np.mean(run["contenders"]["search"]["test"]) for run in runs])
            gain = sign * (ours - values)
            half = math.nan
            if len(gain) > 1:
                half = float(t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5)
            rows_[name] = {
                "by_seed": values.tolist(),
                "mean": float(values.mean()),
                "gain_of_search": float(gain.mean()),
                "ci95": half,
                "seeds_won": int((gain > 0).sum()),
            }
        table[family] = {"metric": runs[0]["metric"], "seeds": len(runs), "contenders": rows_}
    return table


def as_numbers(value: Any) -> Any:
    """The reverse, for what is read again."""
    if isinstance(value, dict):
        return {key: as_numbers(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [math.nan if inside is None else inside for inside in value]
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="File of the results.")
    parser.add_argument("--work", type=Path, required=True, help="Folder for the runs.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[5, 6, 7, 8, 9])
    parser.add_argument("--families", nargs="+", default=[*FAMILIES])
    parser.add_argument("--halved", action="store_true", help="Random search with halving too.")
    parser.add_argument("--long", action="store_true", help="Whole budgets for one configuration.")
    asked = parser.parse_args()
    keep_memory()
    result: JSON = {"families": {}}
    if asked.out.is_file():
        result = as_numbers(json.loads(asked.out.read_text()))
    for seed in asked.seeds:
        for family in asked.families:
            seeds = result["families"].setdefault(family, {})
            if str(seed) in seeds:
                continue
            seeds[str(seed)] = measure(family, seed, asked.work, asked.halved, asked.long)
            result |= {
                "command": shlex.join(["python", "benchmarks/search.py", *sys.argv[1:]]),
                "date": today(),
                **machine(),
            }
            result["table"] = compared(result)
            text = json.dumps(without_nan(result), indent=1)
            write_atomically(asked.out, text.encode())
            print(family, seed, flush=True)
            for name, row in result["table"][family]["contenders"].items():
                gain = f"{row['gain_of_search']:+.4f} ± {row['ci95']:.4f}"
                print(f"  {name:24} {row['mean']:.4f}  {gain}  {row['seeds_won']}", flush=True)


if __name__ == "__main__":
    main()
