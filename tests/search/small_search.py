"""Searches whose trials take a fraction of a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from forked import Forked

from quickstudy.metrics import MSE
from quickstudy.search.space import Space, space_of
from quickstudy.search.study import Plan, work
from quickstudy.search.trial import Budget

SMALL = [
    {"option": "learner.name", "values": ["MAML", "ANIL"]},
    {"option": "learner.inner_lr", "low": 0.001, "high": 0.1, "log": True},
    {"option": "outer_lr", "low": 0.0001, "high": 0.1, "log": True},
]
FIXED = {
    "tasks.name": "sinusoid",
    "n_shot": 5,
    "n_query": 5,
    "meta_batch": 2,
    "seed": 0,
    "valid_tasks": 4,
    "learner.inner_steps": 1,
    "net.name": "MLP",
    "net.hidden": [8],
}


def small_space() -> Space:
    return space_of(SMALL)


def small_plan(out: Path, **changed: Any) -> Plan:
    """A search over sinusoids; trials of 18 steps, judged after 2, 6 and 18."""
    settings: dict[str, Any] = {
        "storage": f"sqlite:///{out / 'study.db'}",
        "name": "search",
        "space": small_space(),
        "fixed": FIXED,
        "metric": MSE,
        "budget": Budget(36),
        "trials": 6,
        "heartbeat": (1, 3),
    }
    return Plan(out, **(settings | changed))


def started(out: str, tasks: int, **settings: Any) -> None:
    """Works on a plan, in a process of `begin`."""
    work(small_plan(Path(out), budget=Budget(tasks), **settings))


def begin(plan: Plan) -> Forked:
    """A worker in a process of its own."""
    settings = {name: getattr(plan, name) for name in ("storage", "trials", "heartbeat")}
    arguments = f"{str(plan.out)!r}, {plan.budget.tasks}, **{settings!r}"
    plan.out.mkdir(parents=True, exist_ok=True)
    code = f"import small_search; small_search.started({arguments})"
    return Forked(["-c", code], plan.out / "worker.log")
