"""Tasks over HTTP: created, read, changed, asked, rolled back, erased; nothing half."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import torch
from served_runs import Client, b64, corners, drawn, near, picture, point

import quickstudy as qs
from quickstudy.serve.app import sweep_once
from quickstudy.serve.content import Content
from quickstudy.serve.store import Store

TASKS = "/v1/models/blobs/tasks"
MINE = f"{TASKS}/mine"


def create(client: Client, **fields: object) -> dict[str, object]:
    response = client.post(f"{TASKS}?task_id=mine", json={"support": corners(), **fields})
    assert response.status_code == 201, response.text
    return response.json()


def test_a_task_is_what_it_was_made_of(client: Client) -> None:
    response = client.post(
        f"{TASKS}?task_id=mine",
        json={"display_name": "Mine", "classes": ["z"], "support": corners(2, 2), "ttl": "60s"},
    )
    task = response.json()
    assert response.status_code == 201
    assert response.headers["location"] == MINE
    assert task["name"] == "models/blobs/tasks/mine"
    assert (task["display_name"], task["revision"], task["state"]) == ("Mine", 1, "READY")
    assert [(c["label"], c["shots"]) for c in task["classes"]] == [("z", 0), ("a", 2), ("b", 2)]
    assert [(e["id"], e["label"]) for e in task["examples"]] == [
        ("e1", "a"),
        ("e2", "a"),
        ("e3", "b"),
        ("e4", "b"),
    ]
    assert task["model_version"] == client.get("/v1/models/blobs").json()["version"]
    read = client.get(MINE)
    assert read.json() == task
    assert read.headers["etag"] == response.headers["etag"]
    full = client.get(f"{MINE}?view=FULL").json()
    assert [e["input"] for e in full["examples"]] == [
        {"values": e["values"]} for e in corners(2, 2)
    ]


def test_predictions_are_those_of_the_library(client: Client, runs: dict[str, Path]) -> None:
    create(client)
    queries = [near(c, 9) for c in (0, 1, 1)]
    answer = client.post(f"{MINE}:predict", json={"query": queries}).json()
    adapted = qs.load(runs["blobs"]).adapt(
        np.array([e["values"] for e in corners()]), [e["label"] for e in corners()]
    )
    for given, said in zip(queries, answer["predictions"], strict=True):
        expected = adapted.predict_proba(np.array([given["values"]]))[0]
        assert list(said["scores"]) == adapted.classes
        assert list(said["scores"].values()) == pytest.approx(expected, abs=1e-6)
        assert said["label"] == adapted.predict(np.array([given["values"]]))[0]
        assert said["confidence"] == max(said["scores"].values())
        # With one layer of features near means near.
        assert said["nearest"][0]["label"] == said["label"]
    assert answer["task_revision"] == 1
    once = client.post(
        "/v1/models/blobs:predict", json={"support": corners(), "query": queries}
    ).json()
    assert once["predictions"] == answer["predictions"]
    assert once["model_version"] == answer["model_version"]


def test_every_change_is_a_revision(client: Client) -> None:
    create(client)
    added = client.post(f"{MINE}/examples", json={"examples": [{"label": "c", **near(2)}]}).json()
    assert (added["revision"], added["examples"][-1]) == (2, {"id": "e5", "label": "c"})
    removed = client.delete(f"{MINE}/examples/e5").json()
    assert (removed["revision"], len(removed["examples"])) == (3, 4)
    assert removed["classes"][-1] == {"label": "c", "shots": 0}
    labelled = client.post(f"{MINE}:relabel", json={"examples": {"e1": "b", "e4": "d"}}).json()
    assert [e["label"] for e in labelled["examples"]] == ["b", "a", "b", "d"]
    renamed = client.post(f"{MINE}:renameClass", json={"from": "b", "to": "beta"}).json()
    assert [e["label"] for e in renamed["examples"]] == ["beta", "a", "beta", "d"]
    assert [c["label"] for c in renamed["classes"]] == ["a", "beta", "c", "d"]
    fewer = client.post(f"{MINE}:removeClass", json={"label": "beta"}).json()
    assert [e["label"] for e in fewer["examples"]] == ["a", "d"]
    patched = client.patch(
        MINE, json={"display_name": "New", "classes": ["d", "a"], "min_confidence": 0.5}
    ).json()
    assert (patched["display_name"], patched["min_confidence"]) == ("New", 0.5)
    assert [c["label"] for c in patched["classes"]] == ["d", "a"]
    again = client.post(f"{MINE}:adapt").json()
    assert again["revision"] == 8
    back = client.post(f"{MINE}/revisions/1:rollback").json()
    assert (back["revision"], back["display_name"]) == (9, "New")
    assert [(e["id"], e["label"]) for e in back["examples"]] == [
        ("e1", "a"),
        ("e2", "a"),
        ("e3", "b"),
        ("e4", "b"),
    ]
    rows = client.get(f"{MINE}/revisions").json()["revisions"]
    assert [row["revision"] for row in rows] == list(range(9, 0, -1))
    assert [row["n_examples"] for row in rows] == [4, 2, 2, 2, 4, 4, 4, 5, 4]
    assert (rows[0]["change"], rows[-1]["change"]) == ("rolled back to 1", "created")
    # Examples get ids that were never used.
    more = client.post(f"{MINE}/examples", json={"examples": [{"label": "c", **near(2)}]}).json()
    assert more["examples"][-1]["id"] == "e6"


def test_a_rollback_answers_as_the_revision_did(client: Client) -> None:
    create(client)
    ask = {"query": [near(0, 5), near(1, 5)]}
    first = client.post(f"{MINE}:predict", json=ask).json()
    client.post(f"{MINE}/examples", json={"examples": [{"label": "a", **near(3)}]})
    assert client.post(f"{MINE}:predict", json=ask).json()["predictions"] != first["predictions"]
    client.post(f"{MINE}/revisions/1:rollback")
    last = client.post(f"{MINE}:predict", json=ask).json()
    assert last["predictions"] == first["predictions"]
    assert (first["task_revision"], last["task_revision"]) == (1, 3)


def test_old_revisions_go_and_their_examples_with_them(client: Client) -> None:
    create(client)
    client.delete(f"{MINE}/examples/e1")
    for i in range(60):
        client.patch(MINE, json={"display_name": str(i)})
    numbers = [r["revision"] for r in client.get(f"{MINE}/revisions").json()["revisions"]]
    assert numbers == list(range(62, 12, -1))
    assert client.post(f"{MINE}/revisions/12:rollback").status_code == 404
    store = client.app.state.server.tasks.store
    uid, _ = store.head("default", "blobs", "mine")
    assert set(store.hashes(uid)) == {"e2", "e3", "e4"}


def test_a_task_without_two_classes_says_so(client: Client) -> None:
    task = client.post(f"{TASKS}?task_id=mine", json={"classes": ["a", "b"]}).json()
    assert (task["state"], task["revision"]) == ("NEEDS_EXAMPLES", 1)
    assert "two classes" in task["needs"]
    client.post(f"{MINE}/examples", json={"examples": [{"label": "a", **near(0)}]})
    for verb in ("predict", "explain"):
        body = {"query": near(0) if verb == "explain" else [near(0)]}
        refused = client.post(f"{MINE}:{verb}", json=body)
        assert (refused.status_code, refused.json()["reason"]) == (409, "TOO_FEW_CLASSES")
    ready = client.post(f"{MINE}/examples", json={"examples": [{"label": "b", **near(1)}]}).json()
    assert (ready["state"], ready["needs"]) == ("READY", None)


def test_below_min_confidence_nothing_is_said(client: Client) -> None:
    create(client, min_confidence=0.999)
    middle = {"query": [point(1.5, 0.0), point(-30.0, 0.0)]}
    unsure, sure = client.post(f"{MINE}:predict", json=middle).json()["predictions"]
    assert (unsure["label"], unsure["abstained"]) == (None, True)
    assert (sure["label"], sure["abstained"]) == ("a", False)
    told = client.post(f"{MINE}:predict", json=middle | {"min_confidence": 0.0}).json()
    assert [p["abstained"] for p in told["predictions"]] == [False, False]
    client.patch(MINE, json={"min_confidence": None})
    told = client.post(f"{MINE}:predict", json=middle).json()
    assert [p["abstained"] for p in told["predictions"]] == [False, False]


def test_writers_who_saw_another_revision_are_told(client: Client) -> None:
    create(client)
    seen = client.get(MINE).headers["etag"]
    body = {"examples": [{"label": "a", **near(0, 7)}]}
    assert client.post(f"{MINE}/examples", json=body, headers={"If-Match": seen}).is_success
    writes = [
        ("POST", f"{MINE}/examples", body),
        ("PATCH", MINE, {"display_name": "x"}),
        ("DELETE", f"{MINE}/examples/e1", None),
        ("POST", f"{MINE}:relabel", {"examples": {"e1": "b"}}),
        ("POST", f"{MINE}:renameClass", {"from": "a", "to": "x"}),
        ("POST", f"{MINE}:removeClass", {"label": "a"}),
        ("POST", f"{MINE}:adapt", None),
        ("POST", f"{MINE}/revisions/1:rollback", None),
        ("DELETE", MINE, None),
    ]
    for method, path, json in writes:
        late = client.request(method, path, json=json, headers={"If-Match": seen})
        assert (late.status_code, late.json()["reason"]) == (412, "REVISION_MISMATCH"), path
        assert late.headers["etag"] == client.get(MINE).headers["etag"]
    assert client.get(MINE).json()["revision"] == 2
    now = client.get(MINE).headers["etag"]
    assert client.delete(MINE, headers={"If-Match": f'"other", {now}'}).status_code == 204


def test_a_task_of_the_same_id_is_another(client: Client) -> None:
    create(client)
    seen = client.get(MINE).headers["etag"]
    client.delete(MINE)
    create(client)
    assert client.get(MINE).headers["etag"] != seen


def test_if_match_can_be_required(client_of: Callable[..., Client]) -> None:
    client = client_of(needs_match=True)
    create(client)
    refused = client.patch(MINE, json={"display_name": "x"})
    assert (refused.status_code, refused.json()["reason"]) == (428, "IF_MATCH_REQUIRED")
    etag = client.get(MINE).headers["etag"]
    assert client.patch(MINE, json={}, headers={"If-Match": etag}).is_success
    assert client.patch(MINE, json={}, headers={"If-Match": "*"}).is_success


def test_tasks_end_when_their_time_has_come(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(client, ttl="3600s")
    other = client.post(f"{TASKS}?task_id=other", json={"ttl": "3600s"}).json()
    assert other["expire_time"] > other["create_time"]
    client.patch(f"{TASKS}/other", json={"ttl": None})
    assert client.get(MINE).status_code == 200
    later = time.time() + 3601
    monkeypatch.setattr(time, "time", lambda: later)
    assert client.get(MINE).status_code == 404
    assert client.post(f"{MINE}:predict", json={"query": [near(0)]}).status_code == 404
    assert [t["id"] for t in client.get(TASKS).json()["tasks"]] == ["other"]
    server = client.app.state.server
    assert len(server.tasks.states.uids()) == 2
    sweep_once(server)
    assert len(server.tasks.states.uids()) == 1
    assert server.tasks.store.count() == 1
    create(client)  # the id is free again


def test_pages_of_tasks(client: Client) -> None:
    for i in range(7):
        client.post(f"{TASKS}?task_id=t{i}", json={})
    found, token = [], ""
    for _ in range(4):
        page = client.get(TASKS, params={"page_size": 3, "page_token": token}).json()
        found += [task["id"] for task in page["tasks"]]
        token = page["next_page_token"]
        if not token:
            break
    assert found == [f"t{i}" for i in range(7)]
    assert len(client.get(TASKS, params={"page_size": 10**6}).json()["tasks"]) == 7
    assert client.get(TASKS, params={"page_size": -1}).status_code == 422
    for wrong in ("x", "!!!", "dDA=", "AA"):
        refused = client.get(TASKS, params={"page_token": wrong})
        assert refused.json()["reason"] == "INVALID_PAGE_TOKEN", wrong


def test_ids_are_given_once(client: Client) -> None:
    create(client)
    again = client.post(f"{TASKS}?task_id=mine", json={})
    assert (again.status_code, again.json()["reason"]) == (409, "ALREADY_EXISTS")
    for wrong in ("Mine", "1a", "a" * 64, "a_b", "", "a\x00"):
        assert client.post(TASKS, params={"task_id": wrong}, json={}).status_code == 422, wrong
    made = [client.post(TASKS, json={}).json()["id"] for _ in range(2)]
    assert made[0] != made[1]


def test_a_tenant_has_so_many_tasks(client_of: Callable[..., Client]) -> None:
    from quickstudy.serve.limits import Limits

    client = client_of(limits=Limits(tasks=2))
    for i in range(2):
        assert client.post(f"{TASKS}?task_id=t{i}", json={}).status_code == 201
    refused = client.post(TASKS, json={})
    assert (refused.status_code, refused.json()["reason"]) == (429, "TOO_MANY_TASKS")
    assert refused.headers["retry-after"]
    client.delete(f"{TASKS}/t0")
    assert client.post(TASKS, json={}).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "status", "reason"),
    [
        (f"{TASKS}/none:predict", {"query": [near(0)]}, 404, "NOT_FOUND"),
        (f"{TASKS}/none/examples", {"examples": corners()}, 404, "NOT_FOUND"),
        ("/v1/models/none/tasks", {}, 404, "NOT_FOUND"),
        (f"{MINE}:predict", {"query": []}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}:predict", {"query": [{}]}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}:predict", {"query": [near(0) | {"row": {}}]}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}:predict", {"query": [near(0)], "more": 1}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}:predict", {"query": [{"values": [1]}]}, 422, "INPUT_UNREADABLE"),
        (f"{MINE}:predict", {"query": [{"values": [[1, 2]]}]}, 422, "INPUT_UNREADABLE"),
        (f"{MINE}:predict", {"query": [{"values": [1, "2"]}]}, 422, "INPUT_UNREADABLE"),
        (f"{MINE}:predict", {"query": [{"values": [1, True]}]}, 422, "INPUT_UNREADABLE"),
        (f"{MINE}:predict", {"query": [{"values": [1, 10**400]}]}, 422, "INPUT_UNREADABLE"),
        (f"{MINE}:predict", {"query": [{"values": [1, 1e39]}]}, 422, "INPUT_UNREADABLE"),
        (f"{MINE}:predict", {"query": [{"row": {"x": 1}}]}, 422, "INPUT_UNREADABLE"),
        (f"{MINE}:predict", {"query": [b64(b"x")]}, 422, "INPUT_UNREADABLE"),
        (f"{MINE}:predict", {"query": [near(0)] * 257}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}/examples", {"examples": [near(0)]}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}/examples", {"examples": [near(0) | {"label": 3}]}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}/examples", {"examples": [near(0) | {"label": ""}]}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}/examples", {"examples": [near(0) | {"label": "\0"}]}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}/examples", {"examples": [near(0) | {"label": "x" * 201}]}, 422, ""),
        (f"{MINE}/examples", {"examples": corners(4, 240) * 2}, 422, ""),
        (f"{MINE}:relabel", {"examples": {"e9": "a"}}, 404, "NOT_FOUND"),
        (f"{MINE}:relabel", {"examples": {"nine": "a"}}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}:renameClass", {"from": "x", "to": "y"}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}:renameClass", {"from": "a", "to": "b"}, 409, "CLASS_EXISTS"),
        (f"{MINE}:removeClass", {"label": "x"}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}/revisions/7:rollback", {}, 404, "NOT_FOUND"),
        (f"{MINE}/revisions/0:rollback", {}, 404, "NOT_FOUND"),
        (TASKS, {"ttl": "0s"}, 422, "INVALID_ARGUMENT"),
        (TASKS, {"ttl": "999999999s"}, 422, "INVALID_ARGUMENT"),
        (TASKS, {"ttl": "1h"}, 422, "INVALID_ARGUMENT"),
        (TASKS, {"classes": [f"c{i}" for i in range(201)]}, 422, "INVALID_ARGUMENT"),
        (TASKS, {"display_name": "x" * 201}, 422, "INVALID_ARGUMENT"),
        (TASKS, {"min_confidence": 1.5}, 422, "INVALID_ARGUMENT"),
        (TASKS, {"min_confidence": "0.5"}, 422, "INVALID_ARGUMENT"),
        (f"{MINE}:evaluate", {"query": [near(0) | {"label": "z"}]}, 422, "INVALID_ARGUMENT"),
    ],
)
def test_what_is_refused_changes_nothing(
    client: Client, path: str, body: object, status: int, reason: str
) -> None:
    create(client)
    before = client.get(MINE).json()
    response = client.post(path, json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert reason in ("", problem["reason"])
    assert problem["request_id"] == response.headers["x-request-id"]
    assert client.get(MINE).json() == before
    assert client.get(TASKS).json()["tasks"] == [before]


def test_a_class_with_examples_stays_declared(client: Client) -> None:
    create(client)
    refused = client.patch(MINE, json={"classes": ["a"]})
    assert (refused.status_code, refused.json()["reason"]) == (409, "CLASS_HAS_EXAMPLES")
    assert "'b'" in refused.json()["detail"]


def test_which_input_is_wrong_is_said(client_of: Callable[..., Client]) -> None:
    client = client_of("drawn")
    support = [*drawn(), {"label": "x", **b64(b"not a picture")}]
    problem = client.post("/v1/models/drawn/tasks", json={"support": support}).json()
    assert problem["errors"][0]["pointer"] == "/support/4"
    blank = Path(__file__)  # a picture without ink is found by the model rather than the format
    assert blank.exists()
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.new("L", (30, 30), 255).save(out, "PNG")
    query = [b64(picture(0)), b64(out.getvalue())]
    body = {"support": drawn(), "query": query}
    problem = client.post("/v1/models/drawn:predict", json=body).json()
    assert (problem["reason"], problem["errors"][0]["pointer"]) == ("INPUT_UNREADABLE", "/query/1")


def test_forms_carry_pictures(client_of: Callable[..., Client]) -> None:
    client = client_of("drawn")
    files = [("file", ("a.png", picture(s, i), "image/png")) for s in (0, 1) for i in (0, 1)]
    labels = {"label": ["ring", "ring", "stroke", "stroke"]}
    task = client.post("/v1/models/drawn/tasks?task_id=f", data=labels, files=files)
    assert task.status_code == 201, task.text
    same = client.post("/v1/models/drawn/tasks?task_id=g", json={"support": drawn()}).json()
    assert same["support_digest"] == task.json()["support_digest"]
    more = client.post(
        "/v1/models/drawn/tasks/f/examples", data={"label": "box"}, files=[("file", picture(2))]
    )
    assert more.json()["examples"][-1] == {"id": "e5", "label": "box"}
    said = client.post("/v1/models/drawn/tasks/f:predict", files=[("file", picture(2))]).json()
    asked = client.post("/v1/models/drawn/tasks/f:predict", json={"query": [b64(picture(2))]})
    assert said["predictions"] == asked.json()["predictions"]
    wrong = client.post(
        "/v1/models/drawn/tasks/f/examples", data={"label": ["a", "b"]}, files=files
    )
    assert wrong.status_code == 422
    wrong = client.post("/v1/models/drawn/tasks/f/examples", data={"colour": "a"}, files=files)
    assert wrong.status_code == 422


def test_regression(client_of: Callable[..., Client], runs: dict[str, Path]) -> None:
    client = client_of("waves")
    x = np.linspace(-3, 3, 6)
    support = [{"label": float(np.sin(v)), "values": [float(v)]} for v in x]
    tasks = "/v1/models/waves/tasks"
    task = client.post(f"{tasks}?task_id=w", json={"support": support}).json()
    assert (task["state"], task["classes"]) == ("READY", [])
    said = client.post(f"{tasks}/w:predict", json={"query": [{"values": [0.5]}]}).json()
    expected = qs.load(runs["waves"]).adapt(x[:, None], np.sin(x)).predict(np.array([[0.5]]))[0]
    prediction = said["predictions"][0]
    assert prediction["label"] == pytest.approx(expected, abs=1e-6)
    assert (prediction["confidence"], prediction["scores"]) == (None, {})
    assert client.post(f"{tasks}/w:quality").json()["metric"] == "mse"
    why = client.post(f"{tasks}/w:explain", json={"query": {"values": [0.5]}}).json()
    assert len(why["influence"]) == 6
    measured = client.post(f"{tasks}/w:evaluate", json={"query": support}).json()
    assert measured["metric"] == "mse"
    assert measured["low"] <= measured["value"] <= measured["high"]
    wrong = client.post(f"{tasks}/w/examples", json={"examples": [{"label": "x", "values": [1]}]})
    assert wrong.json()["errors"][0]["pointer"] == "/examples/0/label"
    two = client.post(f"{tasks}/w/examples", json={"examples": [{"label": [1, 2], "values": [1]}]})
    assert two.status_code == 422
    empty = client.post(f"{tasks}?task_id=e", json={}).json()
    assert empty["state"] == "NEEDS_EXAMPLES"
    refused = client.post(f"{tasks}/e:predict", json={"query": [{"values": [1]}]}).json()
    assert refused["reason"] == "TOO_FEW_EXAMPLES"


def test_rows(client_of: Callable[..., Client], runs: dict[str, Path]) -> None:
    client = client_of("flowers")
    card = client.get("/v1/models/flowers").json()
    assert (card["modality"], card["columns"]) == ("rows", ["length", "width", "colour"])
    rows = [{"length": 1.0, "width": 0, "colour": "red"}, {"length": 5, "width": 1, "colour": None}]
    support = [{"label": "ab"[i], "row": row} for i, row in enumerate(rows)]
    support[0]["row"]["unknown"] = "secret"
    body = {"support": support, "query": [{"row": rows[1] | {"length": "4.9"}}]}
    said = client.post("/v1/models/flowers:predict", json=body).json()["predictions"][0]
    adapted = qs.load(runs["flowers"]).adapt(rows, ["a", "b"])
    expected = adapted.predict_proba([rows[1] | {"length": "4.9"}])[0]
    assert list(said["scores"].values()) == pytest.approx(expected, abs=1e-6)
    client.post("/v1/models/flowers/tasks?task_id=r", json={"support": support})
    full = client.get("/v1/models/flowers/tasks/r?view=FULL").json()
    assert "unknown" not in full["examples"][0]["input"]["row"]
    wrong = body | {"query": [{"row": {"length": 1}}]}
    problem = client.post("/v1/models/flowers:predict", json=wrong).json()
    assert problem["reason"] == "INPUT_UNREADABLE"
    assert "width" in problem["detail"]


def test_torch_sums_in_one_order() -> None:
    assert torch.get_num_threads() == 1


def test_a_task_that_is_erased_while_it_is_read_is_not_half_there(
    client_of: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    client = client_of()
    client.post(f"{TASKS}?task_id=t", json={"support": corners()})
    store, read = client.app.state.server.tasks.store, Store.contents

    def late(self: Store, uid: str, ids: Iterable[str]) -> dict[str, Content]:
        client.delete(f"{TASKS}/t")
        return read(self, uid, ids)

    assert client.get(f"{TASKS}/t?view=FULL").status_code == 200
    monkeypatch.setattr(type(store), "contents", late)
    found = client.get(f"{TASKS}/t?view=FULL")
    assert (found.status_code, found.json()["reason"]) == (404, "NOT_FOUND")
