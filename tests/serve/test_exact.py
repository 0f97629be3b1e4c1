"""Answers are the same bit by bit: fresh, cached, reloaded, joined with others, by any version."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from cases import CASES, Case
from served_runs import Client, b64, corners, drawn, listening, near, picture
from small import blobs, prototypical, quick
from torch import Tensor

from quickstudy.inputs import Encoded
from quickstudy.learner import Learner
from quickstudy.learners import PrototypicalNetwork
from quickstudy.models.adapted import Adapted
from quickstudy.models.model import Model
from quickstudy.nets import MLP
from quickstudy.nets.norm import kinds
from quickstudy.serve.app import create_app
from quickstudy.serve.compute import TILE, Passes, outputs, tile
from quickstudy.serve.gate import Gate
from quickstudy.serve.limits import Limits
from quickstudy.serve.snapshot import Snapshot
from quickstudy.serve.states import Entry, States
from quickstudy.task import Examples

BLOBS = "/v1/models/blobs/tasks/mine"
TASK = Snapshot(tenant="", model="m", id="t", model_version="v")


def test_requests_at_one_time_do_not_meet_each_others_parameters(
    client_of: Callable[..., Client],
) -> None:
    """MAML puts a task's parameters into the network that all tasks share."""
    client, tasks = client_of("waves"), "/v1/models/waves/tasks"
    for name, scale in (("one", 1.0), ("two", -3.0)):
        support = [{"values": [i / 3], "label": scale * i} for i in range(6)]
        client.post(f"{tasks}?task_id={name}", json={"support": support})
    served = client.app.state.server.tasks
    model = served.model("waves")
    entries = [served.entry("default", model, name)[0] for name in ("one", "two")]
    x = torch.linspace(-4, 4, 20)[:, None]
    want = [served.passes(entry, x) for entry in entries]
    assert not np.array_equal(*want)

    def wrong(which: int) -> int:
        found = (served.passes(entries[which], x) for _ in range(100))
        return sum(not np.array_equal(each, want[which]) for each in found)

    with ThreadPoolExecutor(4) as pool:
        assert [*pool.map(wrong, [0, 1, 0, 1])] == [0, 0, 0, 0]


def scores(answer: dict[str, object]) -> list[list[float]]:
    return [[*p["scores"].values()] for p in answer["predictions"]]


@pytest.mark.parametrize("name", ["drawn", "flowers", "blobs", "waves", "tables"])
def test_fresh_cached_and_reloaded_are_one(client_of: Callable[..., Client], name: str) -> None:
    """Also of a task that grew by one example at a time, from inputs at hand."""
    rows = [{"row": {"length": i, "width": i % 2, "colour": "red"}} for i in range(6)]
    kinds = {
        "drawn": [{k: v for k, v in e.items() if k != "label"} for e in drawn(2, 3)],
        "flowers": rows,
        "tables": rows,
        "blobs": [near(i % 2, i) for i in range(6)],
        "waves": [{"values": [i / 3]} for i in range(6)],
    }
    inputs, tasks = kinds[name], f"/v1/models/{name}/tasks"
    labels: list[object] = [0.1 * i for i in range(6)] if name == "waves" else [*"ababab"]
    support = [{"label": y, **x} for y, x in zip(labels, inputs, strict=True)]
    ask = {"query": [*inputs[::-1], inputs[0]]}
    client = client_of(name)
    client.post(f"{tasks}?task_id=whole", json={"support": support})
    client.post(f"{tasks}?task_id=grown", json={"support": support[:2]})
    for each in support[2:]:
        client.post(f"{tasks}/grown/examples", json={"examples": [each]})
    once = client.post(f"/v1/models/{name}:predict", json={"support": support} | ask).json()
    fresh = client.post(f"{tasks}/whole:predict", json=ask).json()
    cached = client.post(f"{tasks}/whole:predict", json=ask).json()
    grown = client.post(f"{tasks}/grown:predict", json=ask).json()
    states = client.app.state.server.tasks.states
    for uid in states.uids():
        states.drop(uid)
    forgotten = client.post(f"{tasks}/whole:predict", json=ask).json()
    assert forgotten["adapt_ms"] > cached["adapt_ms"] == 0
    reloaded = client_of(name).post(f"{tasks}/grown:predict", json=ask).json()
    for each in (fresh, cached, grown, forgotten, reloaded):
        assert each["predictions"][0] | {"nearest": 0} == once["predictions"][0] | {"nearest": 0}
        assert scores(each) == scores(once)
        assert [p["label"] for p in each["predictions"]] == [
            p["label"] for p in once["predictions"]
        ]
    # The same input at both ends of a request: who else is asked does not matter.
    assert fresh["predictions"][-1] == fresh["predictions"][len(inputs) - 1]


def test_a_task_stays_with_its_model(runs: dict[str, Path], tmp_path: Path) -> None:
    """The model was trained again; the task answers as before until it is adapted anew."""
    source, other = blobs(), tmp_path / "later" / "blobs"
    quick(source, prototypical(source, hidden=(6,)), other)
    database, ask = f"sqlite:///{tmp_path / 't.db'}", {"query": [near(0, 5), near(1, 5)]}
    with listening(create_app([runs["blobs"]], database)) as client:
        client.post("/v1/models/blobs/tasks?task_id=mine", json={"support": corners()})
        before = client.post(f"{BLOBS}:predict", json=ask).json()
    with listening(create_app([other], database)) as client:
        now = client.get("/v1/models/blobs").json()["version"]
        kept = client.post(f"{BLOBS}:predict", json=ask).json()
        assert kept["predictions"] == before["predictions"]
        assert kept["model_version"] == before["model_version"] != now
        more = client.post(f"{BLOBS}/examples", json={"examples": corners(1, 1)}).json()
        assert more["model_version"] == before["model_version"]
        moved = client.post(f"{BLOBS}:adapt").json()
        assert moved["model_version"] == now
        after = client.post(f"{BLOBS}:predict", json=ask).json()
        assert after["predictions"] != before["predictions"]
        back = client.post(f"{BLOBS}/revisions/1:rollback").json()
        assert back["model_version"] == before["model_version"]
        assert (
            client.post(f"{BLOBS}:predict", json=ask).json()["predictions"]
            == (before["predictions"])
        )


def adapted(case: Case) -> Adapted:
    torch.manual_seed(0)
    learner = case.build()
    model = Model(learner, case.x_shape)
    way = case.n_out if learner.kind == "classification" else 1
    x = torch.rand(2 * case.n_out, *case.x_shape)
    labels = [*range(way)] * (len(x) // way)
    if learner.kind == "regression":
        labels = torch.rand(len(x), case.n_out).tolist()
    return Adapted(model, model.read(Encoded(x), labels))


class City(Learner[dict[str, Tensor]]):
    """Nearest example of each class, by the sum of differences: computed row by row."""

    def adapt(self, support: Examples) -> dict[str, Tensor]:
        return {"x": support.x[support.y.argmax(dim=0)]}

    def predict(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        return -(x[:, None] - state["x"]).abs().sum(dim=2)


class Wavering(City):
    """A saboteur: what is said of a row depends on where it stands."""

    def predict(self, state: dict[str, Tensor], x: Tensor) -> Tensor:
        return super().predict(state, x) + 1e-6 * torch.arange(len(x))[:, None]


CITY = Case("city", City, (6,))
STEADY = [
    CITY,
    Case("wavering", Wavering, (6,)),
    *(
        case
        for case in CASES
        if not (learner := case.build()).tags.transductive and "population" not in kinds(learner)
    ),
]


@pytest.mark.parametrize("case", STEADY[:2] + STEADY[2::3], ids=str)
def test_a_row_is_the_same_in_any_company(case: Case) -> None:
    """Alone, among others, and wherever it stands: of every third learner, and two made for it."""
    made = adapted(case)
    rows = tile(made)
    x = torch.rand(2 * TILE + 3, *case.x_shape)
    together = outputs(made, x, rows)
    alone = np.concatenate([outputs(made, x[i : i + 1], rows) for i in range(len(x))])
    order = np.random.default_rng(0).permutation(len(x))
    assert np.array_equal(together, alone)
    assert np.array_equal(outputs(made, x[order], rows), together[order])


def test_tiles_are_for_little_work_that_is_steady() -> None:
    assert tile(adapted(CITY)) == TILE
    assert tile(adapted(Case("wavering", Wavering, (6,)))) == 1
    wide = Case("wide", lambda: PrototypicalNetwork(MLP((6,), (512, 512), "layer")), (6,))
    assert tile(adapted(wide)) == 1
    transductive = next(c for c in CASES if c.build().tags.transductive)
    assert tile(adapted(transductive)) == 1


def test_requests_share_passes_and_answers_stay_the_same() -> None:
    made, gate = adapted(CITY), Gate(queue=100, wait=300)
    passes = Passes(gate)
    entry = Entry(TASK, made, made.support_x, tile(made))
    assert entry.tile == TILE
    x = torch.rand(40, 6)
    alone = [outputs(made, x[i : i + 2], TILE) for i in range(0, 40, 2)]
    with ThreadPoolExecutor(20) as threads:
        with gate():  # nobody computes until all have come
            found = [threads.submit(passes, entry, x[i : i + 2]) for i in range(0, 40, 2)]
            while sum(map(len, passes._waiting.values())) < 20:
                pass
        for future, expected in zip(found, alone, strict=True):
            assert np.array_equal(future.result(), expected)
    assert passes.joined == 19


def test_all_who_wait_are_told_of_a_failure() -> None:
    made = adapted(CITY)
    passes = Passes(Gate(queue=1, wait=0.05))
    entry = Entry(TASK, made, made.support_x, TILE)
    with passes.gate(), ThreadPoolExecutor(4) as threads:
        found = [threads.submit(passes, entry, made.support_x[:1]) for _ in range(4)]
        reasons = {getattr(future.exception(), "reason", None) for future in found}
    assert reasons <= {"OVERLOADED", "QUEUE_FULL"}
    assert passes._waiting == {}


def test_only_the_last_used_stay_at_hand() -> None:
    states = States(20_000)

    def entry(uid: str, number: int) -> Entry:
        task = replace(TASK, uid=uid, number=number)
        return Entry(task, None, torch.zeros(10, 60))

    size = entry("a", 1).size
    assert 2 * size < 20_000 < 3 * size
    for uid in "ab":
        states.put(entry(uid, 1))
    assert states.get("a", 1) is not None
    states.put(entry("c", 1))
    assert (states.uids(), states.bytes) == (["a", "c"], 2 * size)
    states.put(entry("c", 3))
    states.put(entry("c", 2))  # came late
    assert states.get("c", 2) is None
    assert states.get("c", 3) is not None
    states.drop("c")
    assert (states.uids(), states.bytes) == (["a"], size)


def test_a_cache_too_small_for_anything_changes_nothing(
    client_of: Callable[..., Client],
) -> None:
    client, none = client_of("drawn"), Limits(cache_bytes=1)
    client.post("/v1/models/drawn/tasks?task_id=d", json={"support": drawn()})
    ask = {"query": [b64(picture(0, 8))]}
    first = client.post("/v1/models/drawn/tasks/d:predict", json=ask).json()
    other = client_of("drawn", limits=none)
    for _ in range(2):
        again = other.post("/v1/models/drawn/tasks/d:predict", json=ask).json()
        assert again["adapt_ms"] > 0
        assert again["predictions"] == first["predictions"]
    assert other.app.state.server.tasks.states.bytes == 0
