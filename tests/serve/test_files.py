"""Tasks as files, examples as pictures, example tasks."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from served_runs import Client, b64, corners, drawn, near, picture
from small import blobs, prototypical, quick

import quickstudy as qs
from quickstudy.files.rundir import tensor_seal, tensors_from_bytes, tensors_to_bytes

FILE = {"Content-Type": "application/octet-stream"}
DRAWN = "/v1/models/drawn/tasks"


def test_a_file_answers_as_the_task_does(client_of: Callable[..., Client], tmp_path: Path) -> None:
    """Loaded by the library, and imported into another server."""
    client = client_of("drawn")
    client.post(f"{DRAWN}?task_id=t", json={"support": drawn(3, 2)})
    ask = {"query": [b64(picture(s, 9)) for s in range(3)]}
    said = client.post(f"{DRAWN}/t:predict", json=ask).json()
    exported = client.get(f"{DRAWN}/t:export?format=task")
    assert exported.headers["content-disposition"] == 'attachment; filename="t.task"'
    (tmp_path / "t.task").write_bytes(exported.content)
    task = qs.load_task(tmp_path / "t.task")
    for given, prediction in zip(ask["query"], said["predictions"], strict=True):
        file = base64.b64decode(given["image"]["b64"])
        found = task.predict_proba([Image.open(io.BytesIO(file))])[0]
        assert found.tolist() == pytest.approx([*prediction["scores"].values()], abs=1e-6)
    other = client_of("drawn", database=f"sqlite:///{tmp_path / 'other.db'}")
    imported = other.post(f"{DRAWN}:import", content=exported.content, headers=FILE)
    assert imported.status_code == 201, imported.text
    path = imported.headers["location"]
    again = other.post(f"{path}:predict", json=ask).json()
    assert [p["scores"] for p in again["predictions"]] == [p["scores"] for p in said["predictions"]]
    shown = other.get(f"{path}/examples/e1/image")
    assert shown.headers["content-type"] == "image/png"
    pixels = np.asarray(Image.open(io.BytesIO(shown.content)))
    assert pixels.shape == (28, 28)
    assert pixels[0, 0] == 255  # paper
    assert pixels.min() == 0  # ink
    # And on from there.
    more = other.post(f"{path}/examples", json={"examples": drawn(1, 1)}).json()
    assert (more["revision"], more["state"]) == (2, "READY")


def test_a_file_of_the_library_is_taken(
    client_of: Callable[..., Client], runs: dict[str, Path]
) -> None:
    client = client_of("blobs", "waves")
    x = np.array([e["values"] for e in corners()])
    adapted = qs.load(runs["blobs"]).adapt(x, [7, 7, (1, "b"), (1, "b")])
    for content in (adapted.to_bytes(), adapted.to_bytes(model=False)):
        made = client.post("/v1/models/blobs/tasks:import", content=content, headers=FILE).json()
        assert [c["label"] for c in made["classes"]] == ["7", "(1, 'b')"]
        said = client.post(f"/v1/{made['name']}:predict", json={"query": [near(0, 4)]}).json()
        expected = adapted.predict_proba(np.array([near(0, 4)["values"]]))[0]
        scores = sorted(said["predictions"][0]["scores"].values())
        assert scores == pytest.approx(sorted(expected), abs=1e-6)
    waves = qs.load(runs["waves"]).adapt(np.array([[0.1], [2.0]]), [0.5, -1.25])
    made = client.post("/v1/models/waves/tasks:import", content=waves.to_bytes(), headers=FILE)
    assert [e["label"] for e in made.json()["examples"]] == [[0.5], [-1.25]] or [
        e["label"] for e in made.json()["examples"]
    ] == [0.5, -1.25]


def test_other_files_are_refused(client: Client, runs: dict[str, Path], tmp_path: Path) -> None:
    source = blobs()
    quick(source, prototypical(source, hidden=(6,)), tmp_path / "other")
    x = np.array([e["values"] for e in corners()])
    good = qs.load(runs["blobs"]).adapt(x, ["a", "a", "b", "b"]).to_bytes()
    tensors, header = tensors_from_bytes(good, "x")

    def changed(**fields: object) -> bytes:
        head = {k: v for k, v in header.items() if k != "sha256"} | fields
        return tensors_to_bytes(tensors, head | {"sha256": tensor_seal(head, tensors)})

    assert client.post("/v1/models/blobs/tasks:import", content=changed(), headers=FILE).is_success
    wrong = [
        b"",
        b"x",
        good[:100],
        good[:-1],
        good.replace(b'\\"a\\"', b'\\"c\\"'),
        qs.load(tmp_path / "other").adapt(x, ["a", "a", "b", "b"]).to_bytes(),
        changed(labels=["a", "b"]),
        changed(labels=["a", "b", "c", "x" * 300]),
        changed(labels=["a", "b", "c", "\0"]),
        changed(labels={"a": 1}),
        changed(labels=None),
        changed(format=99),
        changed(fingerprint=None),
        tensors_to_bytes({}, {}),
        json.dumps({}).encode(),
    ]
    for content in wrong:
        refused = client.post("/v1/models/blobs/tasks:import", content=content, headers=FILE)
        assert refused.status_code in (415, 422), content[:50]
    assert client.post("/v1/models/blobs/tasks:import", json={}).status_code == 415
    assert len(client.get("/v1/models/blobs/tasks").json()["tasks"]) == 1


def test_onnx(client: Client) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    client.post("/v1/models/blobs/tasks?task_id=t", json={"support": corners()})
    content = client.get("/v1/models/blobs/tasks/t:export?format=onnx").content
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    query = np.array([near(0, 3)["values"]], dtype=np.float32)
    _, probabilities = session.run(None, {session.get_inputs()[0].name: query})
    body = {"query": [near(0, 3)]}
    said = client.post("/v1/models/blobs/tasks/t:predict", json=body).json()["predictions"][0]
    assert probabilities[0].tolist() == pytest.approx([*said["scores"].values()], abs=1e-5)
    metadata = session.get_modelmeta().custom_metadata_map
    beside = client.get("/v1/models/blobs/tasks/t:export?format=json").json()
    assert beside["classes"] == json.loads(metadata["classes"]) == [*said["scores"]]
    assert beside.keys() == metadata.keys()
    assert client.get("/v1/models/blobs/tasks/t:export?format=exe").status_code == 422


def test_a_task_that_cannot_predict_is_not_exported(client: Client) -> None:
    client.post("/v1/models/blobs/tasks?task_id=t", json={})
    assert client.get("/v1/models/blobs/tasks/t:export").status_code == 409


def test_pictures_are_kept_without_what_else_was_in_them(client_of: Callable[..., Client]) -> None:
    """Metadata is gone, the picture is upright, and not larger than it need be."""
    client = client_of("drawn")
    image = Image.open(io.BytesIO(picture(1, 0, 700))).convert("RGB").resize((700, 350))
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "taken at home"  # turned by a quarter
    out = io.BytesIO()
    image.save(out, "JPEG", exif=exif, quality=95)
    assert b"taken at home" in out.getvalue()
    support = [{"label": "a", **b64(out.getvalue())}, *drawn(2, 1)]
    client.post(f"{DRAWN}?task_id=t", json={"support": support})
    kept = client.get(f"{DRAWN}/t/examples/e1/image").content
    assert b"taken at home" not in kept
    with Image.open(io.BytesIO(kept)) as found:
        assert (found.format, found.size, found.info) == ("PNG", (256, 512), {})
    full = client.get(f"{DRAWN}/t?view=FULL").json()
    assert base64.b64decode(full["examples"][0]["input"]["image"]["b64"]) == kept
    for example, status in (("e1", 200), ("e9", 404), ("x", 404)):
        assert client.get(f"{DRAWN}/t/examples/{example}/image").status_code == status


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16"])
def test_every_kind_of_pixel_is_taken(client_of: Callable[..., Client], mode: str) -> None:
    client = client_of("drawn")
    grey = Image.open(io.BytesIO(picture(0)))
    if mode == "I;16":
        image = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    else:
        image = grey.convert(mode)
    out = io.BytesIO()
    image.save(out, "JPEG" if mode == "CMYK" else "PNG")
    body = {"support": drawn(2, 2), "query": [b64(picture(0)), b64(out.getvalue())]}
    as_is, other = client.post("/v1/models/drawn:predict", json=body).json()["predictions"]
    tolerance = 0.05 if mode in ("1", "CMYK") else 1e-9
    assert [*other["scores"].values()] == pytest.approx([*as_is["scores"].values()], abs=tolerance)


@pytest.mark.parametrize("name", ["drawn", "flowers", "waves"])
def test_example_tasks(client_of: Callable[..., Client], name: str) -> None:
    client = client_of(name)
    card = client.get(f"/v1/models/{name}").json()
    assert card["example_task"] is True
    made = client.post(f"/v1/models/{name}/tasks:example")
    assert made.status_code == 201, made.text
    task = made.json()
    assert task["state"] == "READY"
    if name != "waves":
        assert all(c["shots"] >= 5 for c in task["classes"])
        assert len(task["classes"]) >= 2
    assert len(task["suggested_queries"]) >= 4
    key = {"drawn": "image", "flowers": "row", "waves": "values"}[name]
    assert all([*query] == [key] for query in task["suggested_queries"])
    path = made.headers["location"]
    said = client.post(f"{path}:predict", json={"query": task["suggested_queries"]})
    assert said.status_code == 200
    assert client.get(path).json()["examples"] == task["examples"]
    again = client.post(f"/v1/models/{name}/tasks:example").json()
    assert again["id"] != task["id"]
    assert again["support_digest"] == task["support_digest"]


def test_a_model_whose_tasks_have_no_name_has_no_example(client: Client) -> None:
    assert client.get("/v1/models/blobs").json()["example_task"] is False
    refused = client.post("/v1/models/blobs/tasks:example")
    assert (refused.status_code, refused.json()["reason"]) == (404, "NO_EXAMPLE_TASK")
