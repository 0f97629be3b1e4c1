"""The KServe V2 face: every model and task as a V2 model, and errors as the protocol has them."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable

import numpy as np
import pytest
from served_runs import Client, b64, corners, drawn, near, picture

from quickstudy.serve.keys import EVERYBODY, Caller

TASKS = "/v1/models/blobs/tasks"
SIZE = "/inputs/0/parameters/binary_data_size"


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
    assert (server["name"], server["extensions"]) == (
        "quickstudy",
        ["metatask", "binary_tensor_data"],
    )


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


def packed(*tensors: tuple[dict[str, object], bytes], **fields: object) -> tuple[bytes, int]:
    """A body with binary tensors, and the length of its JSON."""
    inputs = [
        about | {"parameters": {"binary_data_size": len(content)}} for about, content in tensors
    ]
    head = json.dumps({"inputs": inputs, **fields}).encode()
    return head + b"".join(content for _, content in tensors), len(head)


def text(*elements: bytes) -> bytes:
    """Elements of BYTES."""
    return b"".join(struct.pack("<I", len(each)) + each for each in elements)


def test_binary_tensors(client: Client) -> None:
    """All types of numbers and text; the answer is that of the same tensors in JSON."""
    points = np.array([[0, 0], [3, 0], [0, 3]])
    labels = ["a", "b\u00e9", "a"]
    query = np.array([[3, 0]])
    plain = [
        tensor("support", points.tolist()),
        tensor("labels", labels, "BYTES"),
        tensor("query", query.tolist()),
    ]
    said = client.post("/v2/models/blobs/infer", json={"inputs": plain, "id": "q"})
    for kind, name in (
        ("f2", "FP16"),
        ("f4", "FP32"),
        ("f8", "FP64"),
        ("i1", "INT8"),
        ("u8", "UINT64"),
    ):
        content, length = packed(
            (
                {"name": "support", "shape": [3, 2], "datatype": name},
                points.astype(f"<{kind}").tobytes(),
            ),
            (
                {"name": "labels", "shape": [3], "datatype": "BYTES"},
                text(*(e.encode() for e in labels)),
            ),
            (
                {"name": "query", "shape": [1, 2], "datatype": name},
                query.astype(f"<{kind}").tobytes(),
            ),
            id="q",
        )
        for media in ({}, {"Content-Type": "application/octet-stream"}):
            headers = {"Inference-Header-Content-Length": str(length), **media}
            found = client.post("/v2/models/blobs/infer", content=content, headers=headers)
            assert found.json() == said.json(), name
    wanted = {"inputs": plain, "outputs": [{"name": "label", "parameters": {"binary_data": True}}]}
    found = client.post("/v2/models/blobs/infer", json=wanted)
    assert found.headers["content-type"] == "application/octet-stream"
    length = int(found.headers["inference-header-content-length"])
    (output,) = json.loads(found.content[:length])["outputs"]
    assert output == {
        "name": "label",
        "shape": [1],
        "datatype": "BYTES",
        "parameters": {"binary_data_size": 7},
    }
    assert found.content[length:] == text("b\u00e9".encode())


@pytest.mark.parametrize(
    ("about", "content", "length", "pointer"),
    [
        ({}, b"\0" * 7, None, "/inputs/0"),
        ({"shape": [2, 2]}, b"\0" * 8, None, "/inputs/0"),
        ({"datatype": "BOOL"}, b"\0" * 8, None, "/inputs/0"),
        ({"datatype": "BYTES", "shape": [1]}, b"\0" * 3, None, "/inputs/0"),
        ({"datatype": "BYTES", "shape": [1]}, b"\xff\0\0\0ab", None, "/inputs/0"),
        ({"datatype": "BYTES", "shape": [1]}, b"\1\0\0\0\xff", None, "/inputs/0"),
        ({"datatype": "BYTES", "shape": [2**31 - 1] * 9}, b"", None, "/inputs/0"),
        ({}, np.array([np.nan, 0], "<f4").tobytes(), None, "/inputs/0"),
        ({}, np.array([np.inf, 0], "<f4").tobytes(), None, "/inputs/0"),
        ({"data": [1, 2]}, b"\0" * 8, None, SIZE),
        ({"parameters": {"binary_data_size": -8}}, b"", None, SIZE),
        ({"parameters": {"binary_data_size": 1e30}}, b"", None, SIZE),
        ({"parameters": {"binary_data_size": "8"}}, b"", None, SIZE),
        ({"parameters": {"binary_data_size": 8}}, b"\0" * 9, None, "/inputs"),
        ({"parameters": {"binary_data_size": 9}}, b"\0" * 8, None, SIZE),
        ({"parameters": {}}, b"", None, "/inputs/0/data"),
        ({}, b"\0" * 8, "", None),
        ({}, b"\0" * 8, "x", None),
        ({}, b"\0" * 8, "0", None),
        ({}, b"\0" * 8, "-1", None),
        ({}, b"\0" * 8, "99999", None),
        ({}, b"\0" * 8, "9" * 30, None),
        ({}, b"\0" * 8, "5", None),
    ],
)
def test_binary_tensors_that_are_none(
    client: Client,
    about: dict[str, object],
    content: bytes,
    length: str | None,
    pointer: str | None,
) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    base: dict[str, object] = {"name": "query", "shape": [1, 2], "datatype": "FP32"}
    sized = {"parameters": {"binary_data_size": len(content)}}
    head = json.dumps({"inputs": [base | sized | about]}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head)) if length is None else length}
    refused = client.post("/v2/models/task.mine/infer", content=head + content, headers=headers)
    assert refused.status_code == (400 if pointer is None else 422), refused.text
    if pointer is not None:
        assert refused.json()["errors"][0]["pointer"] == pointer


def test_outputs_by_choice(client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    path, inputs = "/v2/models/task.mine/infer", [tensor("query", [[1.0, 2.0]])]
    asked = [{"name": "probability"}, {"name": "label"}]
    found = client.post(path, json={"inputs": inputs, "outputs": asked}).json()["outputs"]
    assert [each["name"] for each in found] == ["probability", "label"]
    for wrong in ({"name": "logits"}, {"name": "label", "parameters": {"classification": 3}}):
        refused = client.post(path, json={"inputs": inputs, "outputs": [wrong]})
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["pointer"].startswith("/outputs/0")


def test_raw_bytes_are_no_tensors(client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    headers = {"Content-Type": "application/octet-stream"}
    refused = client.post("/v2/models/task.mine/infer", content=b"\0" * 8, headers=headers)
    assert refused.status_code == 400
    assert "binary_data=False" in refused.json()["error"]
