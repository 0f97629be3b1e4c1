"""What is said about tasks: explanations, quality, maps, measurements."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from served_runs import Client, b64, corners, drawn, near, picture

import quickstudy as qs
from quickstudy.inputs import Pictures

TASKS = "/v1/models/blobs/tasks"
MINE = f"{TASKS}/mine"


@pytest.fixture
def task(client: Client) -> Client:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners(3, 4)})
    return client


def test_influence_is_what_leaving_out_changes(task: Client, runs: dict[str, Path]) -> None:
    why = task.post(f"{MINE}:explain", json={"query": near(1, 9)}).json()
    model = qs.load(runs["blobs"])
    x = np.array([e["values"] for e in corners(3, 4)])
    adapted = model.adapt(x, [e["label"] for e in corners(3, 4)])
    query = np.array([near(1, 9)["values"]])
    p = adapted.predict_proba(query)[0]
    target = int(p.argmax())
    assert why["target"] == adapted.classes[target] == why["prediction"]["label"]
    assert [i["id"] for i in why["influence"]] == [f"e{i + 1}" for i in range(12)]
    for i, row in enumerate(why["influence"]):
        without = adapted.without(i).predict_proba(query)[0][target]
        assert row["value"] == pytest.approx(np.log(p[target] / without), abs=1e-4)
    assert [n["id"] for n in why["nearest"][:3]] == [n["id"] for n in why["prediction"]["nearest"]]
    assert [n["similarity"] for n in why["nearest"][:3]] == pytest.approx(
        [n["similarity"] for n in why["prediction"]["nearest"]], abs=1e-6
    )
    assert len(why["nearest"]) == 12
    assert why["task_revision"] == 1


def test_a_class_of_one_has_no_influence(client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners(2, 1)})
    why = client.post(f"{MINE}:explain", json={"query": near(0)}).json()
    assert [i["value"] for i in why["influence"]] == [None, None]


def test_a_wrong_label_is_suspicious(task: Client) -> None:
    quality = task.post(f"{MINE}:quality").json()
    assert (quality["metric"], quality["n"], quality["reason"]) == ("accuracy", 12, None)
    assert quality["low"] <= quality["value"] <= quality["high"]
    task.post(f"{MINE}:relabel", json={"examples": {"e3": "c"}})
    worse = task.post(f"{MINE}:quality").json()
    assert worse["value"] < quality["value"]
    worst = worse["suspicious"][0]
    assert (worst["id"], worst["label"], worst["suggested"]) == ("e3", "c", "a")
    assert quality["suspicious"] == []


def test_too_few_examples_are_no_estimate(client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners(2, 1)})
    quality = client.post(f"{MINE}:quality").json()
    assert quality["metric"] is None
    assert quality["reason"].startswith("too few examples")
    assert quality["suspicious"] == []


def test_the_map_keeps_distances(task: Client, runs: dict[str, Path]) -> None:
    """The principal plane of the features, whose sides are in proportion."""
    queries = [near(0, 20), near(2, 21)]
    found = task.post(f"{MINE}:map", json={"query": queries}).json()
    points = found["points"]
    assert [p["id"] for p in points] == [*(f"e{i + 1}" for i in range(12)), None, None]
    assert [p["query"] for p in points] == [*[None] * 12, 0, 1]
    model = qs.load(runs["blobs"])
    adapted = model.adapt(np.array([e["values"] for e in corners(3, 4)]), [*"aaaabbbbcccc"])
    x = model.inputs(np.array([e["values"] for e in corners(3, 4) + queries]))[0]
    z = model.learner.features(adapted.state, x).double().numpy()
    z = z - z.mean(axis=0)
    plane = np.array([[p["x"], p["y"]] for p in points])
    expected = np.linalg.svd(z, compute_uv=False)[:2]
    assert np.linalg.svd(plane, compute_uv=False) == pytest.approx(expected, rel=1e-4)
    assert plane.mean(axis=0) == pytest.approx([0, 0], abs=1e-5 * float(x.abs().max()))
    again = task.post(f"{MINE}:map", json={"query": queries}).json()
    assert again == found
    assert len(task.post(f"{MINE}:map").json()["points"]) == 12


def test_rounding_is_not_on_the_map(client: Client) -> None:
    """A question that equals an example is where that is, and dust is no second coordinate."""
    client.post(f"{TASKS}?task_id=mine", json={"support": corners(2, 1)})
    same = {"values": corners(2, 1)[0]["values"]}
    points = client.post(f"{MINE}:map", json={"query": [same] * 3}).json()["points"]
    places = [(p["x"], p["y"]) for p in points]
    assert places[0] == places[2] == places[3] == places[4]
    assert places[0] != places[1]
    assert {y for _, y in places} == {0.0}


def test_measured_on_labelled_queries(task: Client) -> None:
    query = [{"label": "abc"[c], **near(c, 30 + s)} for c in range(3) for s in range(10)]
    query[0]["label"] = "b"
    found = task.post(f"{MINE}:evaluate", json={"query": query}).json()
    said = task.post(f"{MINE}:predict", json={"query": query_only(query)}).json()["predictions"]
    right = [p["label"] == q["label"] for p, q in zip(said, query, strict=True)]
    assert found["value"] == pytest.approx(np.mean(right))
    assert found["n"] == 30
    assert found["low"] < found["value"] < found["high"]
    logs = [np.log(p["scores"][q["label"]]) for p, q in zip(said, query, strict=True)]
    assert found["log_likelihood"] == pytest.approx(np.mean(logs))
    assert sum(found["confusion"]["b"].values()) == 11
    assert sum(found["confusion"][c][c] for c in "abc") == sum(right)


def query_only(labelled: list[dict[str, object]]) -> list[dict[str, object]]:
    return [{k: v for k, v in each.items() if k != "label"} for each in labelled]


def test_nearest_are_in_the_learners_space(client_of: Callable[..., Client]) -> None:
    client = client_of("drawn")
    client.post("/v1/models/drawn/tasks?task_id=t", json={"support": drawn(3, 2)})
    ask = {"query": [b64(picture(1, 1))]}
    said = client.post("/v1/models/drawn/tasks/t:predict", json=ask).json()["predictions"][0]
    # It is an example itself.
    assert said["nearest"][0]["id"] == "e4"
    assert said["nearest"][0]["similarity"] == pytest.approx(1, abs=1e-3)
    similarities = [n["similarity"] for n in said["nearest"]]
    assert similarities == sorted(similarities, reverse=True)


def test_answers_that_are_not_finite_are_none(client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    huge = {"values": [3e38, -3e38]}
    for path, body in {
        f"{MINE}:predict": {"query": [near(0), huge]},
        f"{MINE}:evaluate": {"query": [near(0) | {"label": "a"}, huge | {"label": "a"}]},
        f"{MINE}:explain": {"query": huge},
        f"{MINE}:map": {"query": [huge]},
        f"{MINE}/examples": {"examples": [huge | {"label": "a"}]},
        "/v1/models/blobs:predict": {"support": corners(), "query": [huge]},
    }.items():
        response = client.post(path, json=body)
        if response.status_code != 200:
            assert (response.status_code, response.json()["reason"]) == (422, "NOT_FINITE"), path
        else:
            assert "NaN" not in response.text
    assert "quickstudy_nonfinite_total" in client.get("/metrics").text


def test_a_picture_is_encoded_once_on_its_way_to_the_answer(
    client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of("drawn")
    encode, encoded = Pictures.encode, []

    def counted(self: Pictures, X: Any, x_shape: tuple[int, ...]) -> Any:
        values, single = encode(self, X, x_shape)
        encoded.append(len(values))
        return values, single

    monkeypatch.setattr(Pictures, "encode", counted)
    task = "/v1/models/drawn/tasks"
    assert client.post(f"{task}?task_id=mine", json={"support": drawn()}).status_code == 201
    assert sum(encoded) == 4
    query = [b64(picture(shape, 9)) for shape in (0, 1, 2)]
    assert client.post(f"{task}/mine:predict", json={"query": query}).status_code == 200
    assert sum(encoded) == 7


def test_what_was_never_taught_is_said(task: Client, runs: dict[str, Path]) -> None:
    card = task.get("/v1/models/blobs").json()
    model = qs.load(runs["blobs"])
    assert model.novelty is not None
    assert card["novelty_auroc"] == pytest.approx(model.novelty.auroc)
    far = {"values": [-20, 0]}
    said = task.post(f"{MINE}:predict", json={"query": [near(0, 40), far]}).json()["predictions"]
    adapted = model.adapt(np.array([e["values"] for e in corners(3, 4)]), [*"aaaabbbbcccc"])
    expected = adapted.novelty(np.array([near(0, 40)["values"], far["values"]], np.float32))
    assert [p["novelty"] for p in said] == pytest.approx(expected.tolist(), rel=1e-4)
    assert said[0]["novelty"] < 1 < said[1]["novelty"]
    without = task.post(f"{MINE}:predict", json={"query": [far], "nearest": 0}).json()
    assert without["predictions"][0]["novelty"] == pytest.approx(expected[1], rel=1e-4)
