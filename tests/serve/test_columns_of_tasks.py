"""A model that takes any table: every task has columns of its own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served_runs import JSON, Client, listening

import quickstudy
from quickstudy.files.shipped import shipped
from quickstudy.serve.app import create_app

TASKS = "/v1/models/tables/tasks"


def customers(n: int, seed: int = 0) -> list[JSON]:
    """Rows with text, numbers and holes; those who left are young, or in plan basic."""
    rng = np.random.default_rng(seed)
    found = []
    for i in range(n):
        age, plan = float(rng.integers(18, 80)), ("basic", "full")[i % 2]
        left = "left" if age < 40 or plan == "basic" else "stayed"
        row = {"age": age if i % 5 else None, "plan": plan, "visits": float(rng.integers(0, 9))}
        found.append({"label": left, "row": row})
    return found


def without_labels(rows: list[JSON]) -> list[JSON]:
    return [{"row": each["row"]} for each in rows]


@pytest.fixture
def client(client_of: Callable[..., Client]) -> Client:
    return client_of("tables")


def test_a_task_has_the_columns_of_its_rows(client: Client, runs: dict[str, Path]) -> None:
    support, ask = customers(30), without_labels(customers(20, seed=1))
    made = client.post(f"{TASKS}?task_id=mine", json={"support": support})
    assert made.status_code == 201
    answer = client.post(f"{TASKS}/mine:predict", json={"query": ask}).json()
    adapted = quickstudy.load(runs["tables"]).adapt(
        [each["row"] for each in support], [each["label"] for each in support]
    )
    want = adapted.predict_proba([each["row"] for each in ask])
    found = [[p["scores"][c] for c in adapted.classes] for p in answer["predictions"]]
    np.testing.assert_allclose(found, want, atol=1e-6)
    # Another task of the same model, of other columns.
    wide = [{"label": "ab"[i % 2], "values": [i % 2, i, 3.0, 1 / (i + 1)]} for i in range(8)]
    assert client.post(f"{TASKS}?task_id=wide", json={"support": wide}).status_code == 201
    query = {"query": [{"values": [1, 2, 3, 0.5]}, {"row": {"x0": 0, "x1": 2, "x2": 3, "x3": 1}}]}
    told = client.post(f"{TASKS}/wide:predict", json=query).json()
    assert [p["label"] for p in told["predictions"]] == ["b", "a"]


def test_rows_added_later_may_bring_columns(client: Client) -> None:
    rows = [{"label": "ab"[i % 2], "row": {"size": float(i % 2 + 0.1 * i)}} for i in range(6)]
    client.post(f"{TASKS}?task_id=mine", json={"support": rows})
    more = [
        {"label": "ab"[i % 2], "row": {"size": 0.5, "colour": ("red", "blue")[i % 2]}}
        for i in range(6)
    ]
    added = client.post(f"{TASKS}/mine/examples", json={"examples": more})
    assert added.status_code == 200, added.text
    old = client.post(f"{TASKS}/mine:predict", json={"query": [{"row": {"size": 0.5}}]})
    assert old.status_code == 422
    assert "colour" in old.json()["detail"]
    query = [{"row": {"size": 0.5, "colour": colour}} for colour in ("red", "blue")]
    now = client.post(f"{TASKS}/mine:predict", json={"query": query}).json()
    assert [p["label"] for p in now["predictions"]] == ["a", "b"]
    for example in [f"e{i}" for i in range(7, 13)]:
        assert client.delete(f"{TASKS}/mine/examples/{example}").status_code == 200
    back = client.post(f"{TASKS}/mine:predict", json={"query": [{"row": {"size": 0.5}}]})
    assert back.status_code == 200


def test_a_task_may_begin_with_one_class(client: Client) -> None:
    rows = customers(12)
    left = [each for each in rows if each["label"] == "left"]
    assert client.post(f"{TASKS}?task_id=mine", json={"support": left}).status_code == 201
    query = {"query": without_labels(rows)}
    early = client.post(f"{TASKS}/mine:predict", json=query)
    assert (early.status_code, early.json()["reason"]) == (409, "TOO_FEW_CLASSES")
    stayed = [each for each in rows if each["label"] == "stayed"]
    assert client.post(f"{TASKS}/mine/examples", json={"examples": stayed}).status_code == 200
    assert client.post(f"{TASKS}/mine:predict", json=query).status_code == 200


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"a": 1.0}, {"a": 1.0}], "differ from row to row"),
        ([{"a": float(i)} for i in range(9)] + [{"a": "much"}], "holds numbers, 9 different ones"),
        ([{}, {}], "received no column"),
    ],
)
def test_rows_that_cannot_be_learned_from(client: Client, rows: list[Any], said: str) -> None:
    support = [{"label": "ab"[i % 2], "row": row} for i, row in enumerate(rows)]
    refused = client.post(f"{TASKS}?task_id=mine", json={"support": support})
    assert refused.status_code == 422
    assert said in refused.json()["detail"]
    assert client.get(f"{TASKS}/mine").status_code == 404


def test_all_that_is_asked_of_a_task(client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": customers(24)})
    asked: JSON = without_labels(customers(2, seed=1))
    card = client.get("/v1/models/tables").json()
    assert (card["modality"], card["columns"], card["x_shape"]) == ("rows", None, [-1])
    why = client.post(f"{TASKS}/mine:explain", json={"query": asked[0]})
    assert len(why.json()["influence"]) == 24
    assert client.post(f"{TASKS}/mine:quality").json()["metric"] == "accuracy"
    assert len(client.post(f"{TASKS}/mine:map", json={"query": asked}).json()["points"]) == 26
    labelled = {"query": customers(6, seed=2)}
    assert client.post(f"{TASKS}/mine:evaluate", json=labelled).json()["n"] == 6
    full = client.get(f"{TASKS}/mine?view=FULL").json()
    assert full["examples"][0]["input"]["row"] == customers(1)[0]["row"]
    tensor = {"name": "query", "datatype": "BYTES", "shape": [2]}
    tensor |= {"data": [json.dumps(each["row"]) for each in asked]}
    infer = client.post("/v2/models/task.mine/infer", json={"inputs": [tensor]}).json()
    said = client.post(f"{TASKS}/mine:predict", json={"query": asked}).json()["predictions"]
    assert infer["outputs"][0]["data"] == [p["label"] for p in said]


def test_its_file_goes_out_and_not_in(client: Client, tmp_path: Path) -> None:
    support = customers(24)
    client.post(f"{TASKS}?task_id=mine", json={"support": support})
    (tmp_path / "mine.task").write_bytes(client.get(f"{TASKS}/mine:export?format=task").content)
    adapted = quickstudy.load_task(tmp_path / "mine.task")
    rows = [each["row"] for each in customers(4, seed=3)]
    said = client.post(f"{TASKS}/mine:predict", json={"query": [{"row": r} for r in rows]}).json()
    assert adapted.predict(rows).tolist() == [p["label"] for p in said["predictions"]]
    headers = {"Content-Type": "application/octet-stream"}
    refused = client.post(
        f"{TASKS}:import", content=(tmp_path / "mine.task").read_bytes(), headers=headers
    )
    assert refused.status_code == 422
    assert "send the rows themselves" in refused.json()["detail"]


def test_the_example_task(client: Client) -> None:
    made = client.post(f"{TASKS}:example").json()
    assert [each["label"] for each in made["classes"]] == ["setosa", "versicolor", "virginica"]
    query = {"query": made["suggested_queries"]}
    answer = client.post(f"{TASKS}/{made['id']}:predict", json=query).json()
    assert len({p["label"] for p in answer["predictions"]}) > 1


@pytest.mark.skipif("tables-numbers" not in shipped(), reason="no run is shipped as tables-numbers")
def test_a_model_of_numbers_answers_with_an_interval_and_has_an_example(tmp_path: Path) -> None:
    app = create_app([shipped()["tables-numbers"]], f"sqlite:///{tmp_path / 'tasks.db'}")
    tasks = "/v1/models/tables-numbers/tasks"
    rng = np.random.default_rng(0)
    rows: list[JSON] = [
        {"area": float(area), "kind": ("flat", "house")[i % 2]}
        for i, area in enumerate(rng.uniform(30, 200, 30))
    ]
    prices = [2000 * row["area"] + 40_000 * (row["kind"] == "house") for row in rows]
    support = [{"label": label, "row": row} for label, row in zip(prices, rows, strict=True)]
    with listening(app) as client:
        assert client.post(f"{tasks}?task_id=mine", json={"support": support}).status_code == 201
        query = {"query": [{"row": {"area": 100.0, "kind": "flat"}}]}
        (answer,) = client.post(f"{tasks}/mine:predict", json=query).json()["predictions"]
        assert answer["low"] < answer["label"] < answer["high"]
        assert answer["label"] == pytest.approx(200_000, rel=0.1)
        wrong = [{"label": "dear", "row": rows[0]}]
        assert client.post(tasks, json={"support": wrong}).status_code == 422
        made = client.post(f"{tasks}:example").json()
        asked = {"query": made["suggested_queries"]}
        told = client.post(f"{tasks}/{made['id']}:predict", json=asked).json()["predictions"]
        assert all(1 < each["label"] < 7 and each["low"] < each["high"] for each in told)
