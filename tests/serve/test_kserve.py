"""The KServe V2 face: every model and task as a V2 model, and errors as the protocol has them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest
from served_runs import Client, b64, corners, drawn, near, picture

from quickstudy.serve.keys import EVERYBODY, Caller

TASKS = "/v1/models/blobs/tasks"


def tensor(name: str, data: list[object], datatype: str = "FP32", **fields: object) -> object:
    shape = [len(data)]
    inside = data
    while inside and isinstance(inside[0], list):
        inside = inside[0]
        shape.append(len(inside))
    return {"name": name, "shape": shape, "datatype": datatype, "data": data} | fields


def test_health(client: Client) -> None:
    assert client.get("/v2/health/live").json()["live"] is True
    ready = client.get("/v2/health/ready").json()
    assert (ready["ready"], ready["live"]) == (True, True)
    server = client.get("/v2").json()
    assert (server["name"], server["extensions"]) == ("quickstudy", ["metatask"])


def test_a_task_is_a_model(client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    client.post(f"{TASKS}/mine/examples", json={"examples": corners(3, 1)[-1:]})
    about = client.get("/v2/models/task.mine").json()
    assert about["versions"] == ["2", "1"]
    assert about["inputs"] == [{"name": "query", "datatype": "FP32", "shape": [-1, 2]}]
    assert [o["name"] for o in about["outputs"]] == ["label", "probability"]
    assert client.get("/v2/models/task.mine/ready").json()["ready"] is True
    points = [near(0, 5)["values"], near(1, 6)["values"]]
    flat = [v for p in points for v in p]
    bodies = [
        {"inputs": [tensor("query", points)], "id": "7"},
        {"inputs": [{"name": "query", "shape": [2, 2], "datatype": "FP64", "data": flat}]},
    ]
    query = {"query": [{"values": p} for p in points]}
    said = client.post(f"{TASKS}/mine:predict", json=query).json()["predictions"]
    for body in bodies:
        found = client.post("/v2/models/task.mine/infer", json=body).json()
        assert (found["model_name"], found["model_version"]) == ("task.mine", "2")
        assert found["id"] == body.get("id")
        labels, probabilities = found["outputs"]
        assert labels["data"] == [p["label"] for p in said]
        assert (labels["datatype"], labels["shape"]) == ("BYTES", [2])
        assert probabilities["data"] == [v for p in said for v in p["scores"].values()]
        assert probabilities["shape"] == [2, 3]
        assert json.loads(probabilities["parameters"]["classes"]) == ["a", "b", "c"]
    first = client.post("/v2/models/task.mine/versions/1/infer", json=bodies[0]).json()
    assert first["model_version"] == "1"
    assert first["outputs"][1]["shape"] == [2, 2]
    client.post(f"{TASKS}/mine/revisions/1:rollback")
    again = client.post("/v2/models/task.mine/infer", json=bodies[0]).json()
    assert again["outputs"] == first["outputs"]
    client.post(f"{TASKS}?task_id=empty", json={})
    assert client.get("/v2/models/task.empty/ready").json()["ready"] is False
    assert client.post("/v2/models/task.empty/infer", json=bodies[0]).status_code == 409


def test_a_model_learns_in_the_request(client_of: Callable[..., Client]) -> None:
    client = client_of("blobs", "waves", "drawn", "flowers")
    support = [e["values"] for e in corners()]
    labels = [e["label"] for e in corners()]
    body = {
        "inputs": [
            tensor("support", support),
            tensor("labels", labels, "BYTES"),
            tensor("query", [near(1, 7)["values"]]),
        ]
    }
    found = client.post("/v2/models/blobs/infer", json=body).json()
    assert found["outputs"][0]["data"] == ["b"]
    version = client.get("/v2/models/blobs").json()["versions"][0]
    assert found["model_version"] == version
    again = client.post(f"/v2/models/blobs/versions/{version}/infer", json=body).json()
    assert again == found
    waves = [
        tensor("support", [[0.0], [1.0]]),
        tensor("labels", [0.0, 0.8], "FP64"),
        tensor("query", [[0.5]]),
    ]
    value = client.post("/v2/models/waves/infer", json={"inputs": waves}).json()["outputs"][0]
    assert (value["name"], value["shape"]) == ("value", [1, 1])
    pictures = [base64.b64encode(picture(s)).decode() for s in (0, 1, 1)]
    drawn_ = [
        tensor("support", pictures[:2], "BYTES"),
        tensor("labels", ["ring", "stroke"], "BYTES"),
        tensor("query", pictures[2:], "BYTES"),
    ]
    found = client.post("/v2/models/drawn/infer", json={"inputs": drawn_}).json()
    assert found["outputs"][0]["data"] == ["stroke"]
    rows = [json.dumps({"length": i, "width": 0, "colour": "red"}) for i in (1, 9, 9)]
    flowers = [
        tensor("support", rows[:2], "BYTES"),
        tensor("labels", ["s", "l"], "BYTES"),
        tensor("query", rows[2:], "BYTES"),
    ]
    found = client.post("/v2/models/flowers/infer", json={"inputs": flowers}).json()
    assert found["outputs"][0]["data"] == ["l"]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("none/infer", {"inputs": [tensor("query", [[1, 2]])]}, 404),
        ("task.none/infer", {"inputs": [tensor("query", [[1, 2]])]}, 404),
        ("task.mine/versions/9/infer", {"inputs": [tensor("query", [[1, 2]])]}, 404),
        ("task.mine/versions/x/infer", {"inputs": [tensor("query", [[1, 2]])]}, 404),
        ("task.mine/versions/²/infer", {"inputs": [tensor("query", [[1, 2]])]}, 404),
        ("blobs/versions/1/infer", {"inputs": []}, 404),
        ("task.mine/infer", {}, 422),
        ("task.mine/infer", {"inputs": []}, 422),
        ("task.mine/infer", {"inputs": [tensor("x", [[1, 2]])]}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [[1, 2]])] * 2}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [[1, 2]], shape=[1, 3])]}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [[1, 2]], shape=[0, 2])]}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [1, 2])]}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [["1", "2"]])]}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [[1, [2]]])]}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [[1, 2]], "BOOL")]}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [[1, 2]], "BYTES")]}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [[True, False]])]}, 422),
        ("task.mine/infer", {"inputs": [tensor("query", [[1, 2]] * 257)]}, 422),
        ("blobs/infer", {"inputs": [tensor("query", [[1, 2]])]}, 422),
        (
            "blobs/infer",
            {
                "inputs": [
                    tensor("query", [[1, 2]]),
                    tensor("support", [[1, 2]]),
                    tensor("labels", ["a", "b"], "BYTES"),
                ]
            },
            422,
        ),
    ],
)
def test_errors_are_as_the_protocol_has_them(
    client: Client, path: str, body: object, status: int
) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    refused = client.post(f"/v2/models/{path}", json=body)
    assert refused.status_code == status, refused.text
    assert isinstance(refused.json()["error"], str)
    assert refused.json()["error"] == refused.json()["detail"]
    assert refused.headers["content-type"] == "application/problem+json"
    assert b64(b"")
    assert drawn


def test_ids_of_two_models(client_of: Callable[..., Client]) -> None:
    client = client_of("blobs", "flowers")
    client.post(f"{TASKS}?task_id=same", json={"support": corners()})
    client.post("/v1/models/flowers/tasks?task_id=same", json={})
    assert client.get("/v2/models/task.same").json()["inputs"][0]["datatype"] == "FP32"
    client.delete(f"{TASKS}/same")
    assert client.get("/v2/models/task.same").json()["inputs"][0]["datatype"] == "BYTES"


def test_a_request_looks_its_key_up_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    server = client.app.state.server
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    lookups: list[str | None] = []

    def caller(authorization: str | None) -> Caller:
        lookups.append(authorization)
        return Caller(EVERYBODY, frozenset({"predict"}))

    monkeypatch.setattr(server, "needs_key", True)
    monkeypatch.setattr(server.keys, "caller", caller)
    for name in ("task.mine", "blobs"):
        lookups.clear()
        assert client.get(f"/v2/models/{name}").status_code == 200
        assert len(lookups) == 1
