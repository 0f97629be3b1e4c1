"""Every recipe can be run: its options exist, and its learner takes its tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from quickstudy.catalog import LEARNERS, WORLDS, default_net, from_specs
from quickstudy.learners import LearnedOptimizer
from quickstudy.task import Task, examples
from quickstudy.tasks import DigitsRuns, Quadratics
from quickstudy.training.plan import build, resolve

RECIPES = sorted((Path(__file__).parent.parent / "recipes").glob("*.yaml"))
PROFILES = [
    pytest.param(plan, id=f"{path.stem}-{profile}")
    for path in RECIPES
    for profile, plan in yaml.safe_load(path.read_text(encoding="utf-8"))["profiles"].items()
]
INPUTS = {
    "omniglot": (1, 28, 28),
    "glyphs": (1, 28, 28),
    "mnist-runs": (1, 14, 14),
    "quadratics": (10,),
    "tables": (100,),
    "table_prior": (100,),
    "windows": (52 + 7,),
    "eth_ucy": (16 + 10,),
    "ratings": (1 + 2,),
    "sites": (3, 28, 28),
    "assays": (16,),
}
CARRIED = {"windows": 7, "eth_ucy": 10, "ratings": 2}
"""Numbers of an encoded window or item that no network sees."""
OWN_NETS: dict[str, Any] = {
    "mnist-runs": DigitsRuns().net,
    "quadratics": Quadratics().net,
    "ratings": {"name": "ItemTable", "n_items": 5},
}


CLASSES = {"sites": 3, "assays": 2}
OF_TABLES = ("tables", "table_prior")


def of_values(options: dict[str, Any]) -> bool:
    """Whether numbers are predicted, of inputs that are vectors."""
    tasks = options["tasks"]
    return tasks["name"] not in (*OF_TABLES, "assays") or tasks.get("kind") == "regression"


def input_shape(tasks: dict[str, Any]) -> tuple[int, ...]:
    """The shape of an input of these tasks."""
    shape = INPUTS.get(tasks["name"], (1,))
    return (1, *shape[1:]) if tasks.get("mode") == "L" else shape


def a_task(options: dict[str, Any], n_way: int, n_shot: int) -> Task:
    """Noise of the shape that the recipe's tasks have."""
    shape = input_shape(options["tasks"])

    def part(n: int) -> Any:
        if options["tasks"]["name"] == "ratings":  # Each input begins with the row of an item.
            return examples(torch.randint(6, (n, *shape)).float(), torch.randn(n, 1))
        if len(shape) == 1 and of_values(options):
            return examples(torch.randn(n, *shape), torch.randn(n, 1))
        return examples(torch.rand(n_way * n, *shape), torch.arange(n_way * n) % n_way, n_way)

    return Task(part(n_shot), part(2))


def check_that_a_policy_plays(options: dict[str, Any]) -> None:
    """A policy is built for the worlds themselves: no task of noise stands in for them."""
    learner, tasks, *_ = build(options)
    task = learner.practise(tasks.task("train", 0))
    assert learner(task).isfinite()
    assert learner.respond(tasks.task("test", 0))[:, 0].isfinite().all()


@pytest.mark.parametrize("plan", PROFILES)
def test_a_recipe_is_trainable(plan: dict[str, Any]) -> None:
    options = resolve(plan["train"])
    if options["tasks"]["name"] in WORLDS:
        check_that_a_policy_plays(options)
        return
    given = {
        kind: {k: v for k, v in options[kind].items() if v is not None}
        for kind in ("learner", "net")
    }
    shape = input_shape(options["tasks"])
    of_tables = options["tasks"]["name"] in OF_TABLES
    regression = len(shape) == 1 and of_values(options)
    # A training run has ten classes, and a stream of examples that is cut short here.
    runs = options["tasks"]["name"] in ("mnist-runs", "quadratics")
    n_way = options.get("n_way") or (
        10 if runs else CLASSES.get(options["tasks"]["name"], 3 if of_tables else 1)
    )
    carried = CARRIED.get(options["tasks"]["name"], 0)
    n_shot = 2 if runs or of_tables or carried else options["n_shot"]
    n_way, n_shot = (x if isinstance(x, int) else max(x) for x in (n_way, n_shot))
    learner = from_specs(
        {
            "learner": given["learner"],
            "net": default_net(
                given["learner"]["name"],
                shape,
                {**OWN_NETS.get(options["tasks"]["name"], {}), **given["net"]},
            ),
            "x_shape": list(shape),
            "n_out": 1 if regression else n_way,
            "n_classes": 4112,
            "kind": "regression" if regression else "classification",
            "seed": 0,
            "carried": carried,
        }
    )
    if isinstance(learner, LearnedOptimizer):
        learner.inner_steps = learner.adapt_steps = 3
    torch.manual_seed(0)
    for entry in plan["evaluate"]:
        way = entry.get("n_way", n_way)
        shots = n_shot if runs else entry.get("n_shot", n_shot)
        prediction = learner.respond(a_task(options, way, shots))
        assert prediction.isfinite().all()
    if learner.tags.episodic:
        assert learner(a_task(options, n_way, n_shot)).isfinite()


def test_every_learner_has_a_recipe() -> None:
    used = {
        plan.values[0]["train"]["learner"]["name"]  # type: ignore[index, call-overload]
        for plan in PROFILES
    }
    assert set(LEARNERS) <= used
