"""Clients that others wrote: that of the Open Inference Protocol, and one made from the API."""

from __future__ import annotations

import base64
import importlib
import json
import os
import re
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from served_runs import Client, corners, drawn, near, picture

DOCS = Path(__file__).resolve().parents[2] / "docs" / "serve.md"
TASKS = "/v1/models/blobs/tasks"


@pytest.fixture
def triton() -> ModuleType:
    """The protocol's usual client."""
    return pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")


@pytest.fixture
def opened(triton: ModuleType) -> Iterator[Callable[[Client], Any]]:
    """Opens tritonclients, and closes them."""
    made: list[Any] = []

    def open_(client: Client) -> Any:
        made.append(triton.InferenceServerClient(f"127.0.0.1:{client.base_url.port}"))
        return made[-1]

    yield open_
    for each in made:
        each.close()


@pytest.mark.parametrize("sent", [False, True], ids=["json", "binary"])
@pytest.mark.parametrize("asked", [False, True, None], ids=["json", "binary", "all"])
def test_tritonclient_predicts(
    triton: ModuleType, opened: Any, client: Client, sent: bool, asked: bool | None
) -> None:
    """With tensors in JSON and in binary, both ways."""
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    queries = [near(0, 5), near(1, 6)]
    said = client.post(f"{TASKS}/mine:predict", json={"query": queries}).json()["predictions"]
    x = np.array([query["values"] for query in queries])
    tensor = triton.InferInput("query", list(x.shape), "FP64")
    tensor.set_data_from_numpy(x, binary_data=sent)
    outputs = [
        triton.InferRequestedOutput(name, binary_data=bool(asked))
        for name in ("label", "probability")
    ]
    server = opened(client)
    answer = server.infer("task.mine", [tensor], outputs=None if asked is None else outputs)
    labels = [
        each.decode() if isinstance(each, bytes) else each for each in answer.as_numpy("label")
    ]
    assert labels == [p["label"] for p in said]
    expected = [[*p["scores"].values()] for p in said]
    assert answer.as_numpy("probability").tolist() == expected
    one = server.infer("task.mine", [tensor], outputs=outputs[1:], request_id="7")
    assert [each["name"] for each in one.get_response()["outputs"]] == ["probability"]
    assert one.get_response()["id"] == "7"


def test_tritonclient_sends_pictures_rows_and_numbers(
    triton: ModuleType, opened: Any, client_of: Callable[..., Client]
) -> None:
    client = client_of("drawn", "flowers")
    tasks = "/v1/models/drawn/tasks"
    client.post(f"{tasks}?task_id=signs", json={"support": drawn()})
    files = [picture(1, 5), picture(0, 6)]
    query = {"query": [{"image": {"b64": base64.b64encode(file).decode()}} for file in files]}
    said = client.post(f"{tasks}/signs:predict", json=query).json()["predictions"]
    server = opened(client)
    found = []
    for elements in (files, [base64.b64encode(file) for file in files]):
        tensor = triton.InferInput("query", [2], "BYTES")
        tensor.set_data_from_numpy(np.array(elements, dtype=object))
        found.append(server.infer("task.signs", [tensor]).as_numpy("probability").tolist())
    assert found[0] == found[1] == [[*p["scores"].values()] for p in said]
    rows = [json.dumps({"length": i, "width": 0, "colour": "red"}) for i in (1, 9, 9)]
    inputs = []
    for name, elements in (("support", rows[:2]), ("labels", ["kürz", "l"]), ("query", rows[2:])):
        inputs.append(triton.InferInput(name, [len(elements)], "BYTES"))
        inputs[-1].set_data_from_numpy(np.array([e.encode() for e in elements], dtype=object))
    assert server.infer("flowers", inputs).as_numpy("label").tolist() == [b"l"]


def test_tritonclient_sees_what_is_there(triton: ModuleType, opened: Any, client: Client) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    client.post(f"{TASKS}?task_id=empty", json={})
    server = opened(client)
    assert server.is_server_live()
    assert server.is_server_ready()
    assert server.is_model_ready("task.mine")
    assert server.get_model_metadata("task.mine")["inputs"][0]["name"] == "query"
    index = {row["name"]: row for row in server.get_model_repository_index()}
    assert [*index] == ["blobs", "task.empty", "task.mine"]
    assert index["task.mine"] == {
        "name": "task.mine",
        "version": "1",
        "state": "READY",
        "reason": "",
    }
    assert index["task.empty"]["state"] == "UNAVAILABLE"
    assert "two classes" in index["task.empty"]["reason"]
    assert index["blobs"]["version"] == client.get("/v2/models/blobs").json()["versions"][0]
    ready = client.post("/v2/repository/index", json={"ready": True}).json()
    assert [row["name"] for row in ready] == ["blobs", "task.mine"]


def test_tritonclient_is_told_what_is_not_taken(
    triton: ModuleType, opened: Any, client: Client
) -> None:
    client.post(f"{TASKS}?task_id=mine", json={"support": corners()})
    server = opened(client)
    tensor = triton.InferInput("query", [1, 2], "FP32")
    tensor.set_data_from_numpy(np.zeros((1, 2), np.float32))
    refused = pytest.raises(triton.InferenceServerException, match="Content-Encoding")
    with refused:
        server.infer("task.mine", [tensor], request_compression_algorithm="gzip")
    shared = triton.InferInput("query", [1, 2], "FP32")
    shared.set_shared_memory("region", 8)
    with pytest.raises(triton.InferenceServerException, match="shared memory"):
        server.infer("task.mine", [shared])
    wish = triton.InferRequestedOutput("probability", class_count=2)
    with pytest.raises(triton.InferenceServerException, match="classification"):
        server.infer("task.mine", [tensor], outputs=[wish])


def test_a_generated_client_has_every_operation(
    client_of: Callable[..., Client], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By tags; and the example of the page about serving runs with it."""
    pytest.importorskip("openapi_python_client", reason="openapi-python-client is not installed")
    client = client_of("drawn")
    document = client.get("/openapi.json").json()
    (tmp_path / "openapi.json").write_text(json.dumps(document))
    made = tmp_path / "quickstudy_client"
    words = ["--path", "openapi.json", "--meta", "none", "--output-path", str(made)]
    scripts = sysconfig.get_path("scripts")
    done = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", *words, "--fail-on-warning"],
        cwd=tmp_path,
        env=os.environ | {"PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    operations = {
        (route["tags"][0], route["operationId"])
        for path in document["paths"].values()
        for method, route in path.items()
        if method != "parameters"
    }
    modules = {(p.parent.name, p.stem) for p in made.glob("api/*/*.py") if p.stem != "__init__"}
    assert modules == operations
    assert {tag for tag, _ in operations} == {tag["name"] for tag in document["tags"]}
    monkeypatch.syspath_prepend(str(tmp_path))
    for tag, operation in operations:
        module = importlib.import_module(f"quickstudy_client.api.{tag}.{operation}")
        assert callable(module.sync_detailed)
    example = re.search(r"^```py\n(.*?quickstudy_client.*?)^```$", DOCS.read_text(), re.M | re.S)
    assert example is not None
    for shape, name in enumerate(("ring", "stroke")):
        (tmp_path / f"{name}1.png").write_bytes(picture(shape, 1))
    client.post("/v1/models/drawn/tasks?task_id=signs", json={"support": drawn()})
    monkeypatch.chdir(tmp_path)
    code = example[1].replace("http://127.0.0.1:8000", str(client.base_url).rstrip("/"))
    names: dict[str, Any] = {}
    exec(compile(code.replace('"glyphs"', '"drawn"'), str(DOCS), "exec"), names)
    assert names["answer"].predictions[0].label == "stroke"
