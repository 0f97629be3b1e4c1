"""Requests made up from the API's own description: no failure of the server, no undeclared answer.

One or two examples an operation and kind, 200 where `QUICKSTUDY_LONG` is set.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import FlakyStrategyDefinition, Unsatisfiable
from served_runs import Client, corners, listening

from quickstudy.serve.app import create_app

schemathesis = pytest.importorskip("schemathesis")
checks = pytest.importorskip("schemathesis.checks")

LONG = "QUICKSTUDY_LONG" in os.environ
EXAMPLES = 200 if LONG else 2
# Not that what fits the description is accepted: a description cannot say that text is a picture.
# Nor that keys are needed: this server has none.
LEFT_OUT = ("positive_data_acceptance", "ignored_auth", "object_level_authorization")


def by_name(name: str) -> Any:
    return checks.CHECKS.get_one(name)


CHECKS = [by_name(name) for name in checks.CHECKS.get_all_names() if name not in LEFT_OUT]


@pytest.fixture(scope="module")
def fuzzed(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Any:
    database = f"sqlite:///{tmp_path_factory.mktemp('fuzz') / 'tasks.db'}"
    app = create_app([runs[name] for name in ("blobs", "flowers", "drawn", "waves")], database)
    with listening(app) as client:
        schema = schemathesis.openapi.from_url(f"{client.base_url}/openapi.json")
        schema.hook("map_path_parameters")(known(client))
        schema.hook("map_body")(fitting)
        yield schema


def known(client: Client) -> Any:
    """Names of what is there, instead of most that are made up."""

    def map_path_parameters(context: Any, path_parameters: Any) -> Any:
        if not isinstance(path_parameters, dict):
            return path_parameters
        there = {"model": "blobs", "task": "mine", "example": "e1", "revision": 1}
        there |= {"name": "task.mine", "version": "1"}
        client.post("/v1/models/blobs/tasks?task_id=mine", json={"support": corners(3, 2)})
        rare = sum(map(ord, repr(path_parameters))) % 5 == 0
        return (
            path_parameters
            if rare
            else path_parameters | {k: v for k, v in there.items() if k in path_parameters}
        )

    return map_path_parameters


def fitting(context: Any, body: Any) -> Any:
    """Numbers of the right shape, and labels that are there, instead of many that are made up."""
    if isinstance(body, list):
        return [fitting(context, each) for each in body]
    if not isinstance(body, dict):
        return body
    fitted = {key: fitting(context, value) for key, value in body.items()}
    n = sum(map(ord, repr(body)[:50]))
    if "values" in fitted and n % 4:
        fitted["values"] = [n % 7, -1.5]
    if "label" in fitted and n % 3:
        fitted["label"] = "abc"[n % 3]
    return fitted


def quickly(examples: int, steps: int = 1) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        derandomize=not LONG,
        suppress_health_check=[*HealthCheck],
        phases=[Phase.explicit, Phase.generate],
    )


@pytest.mark.parametrize("mode", ["POSITIVE", pytest.param("NEGATIVE", marks=pytest.mark.more)])
def test_every_operation(fuzzed: Any, mode: str) -> None:
    """With what the API says it takes, and with what it says it does not."""
    asked = 0
    for found in fuzzed.get_all_operations():
        operation = found.ok()
        cases = operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode])

        @quickly(EXAMPLES if mode == "POSITIVE" else EXAMPLES // (1 if LONG else 2))
        @given(case=cases)
        def ask(case: Any) -> None:
            nonlocal asked
            case.call_and_validate(checks=CHECKS, timeout=60)
            asked += 1

        with contextlib.suppress(Unsatisfiable):  # an operation that takes nothing
            ask()
    assert asked > 20


def test_operations_one_after_another(fuzzed: Any) -> None:
    """What one answers is what the next is asked with."""
    scenarios, asked = 0, 0

    class Machine(fuzzed.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            nonlocal scenarios
            scenarios += 1
            super().setup()

        def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
            nonlocal asked
            asked += 1
            case.validate_response(response, checks=CHECKS, recorder=self.recorder)

    wanted, runs = 200 if LONG else 20, 0
    # The server remembers what earlier scenarios did: hypothesis ends a run where the same choices
    # led elsewhere, and another with other choices takes up the rest.
    while scenarios < wanted and runs < wanted:
        runs += 1
        with contextlib.suppress(FlakyStrategyDefinition):
            seed(runs)(Machine)
            Machine.run(settings=quickly(wanted - scenarios, steps=20 if LONG else 8))
    assert scenarios >= wanted
    assert asked > 2 * scenarios
