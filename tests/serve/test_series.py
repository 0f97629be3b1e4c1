"""Series over HTTP: histories that are taught, what follows them, and how sure that is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from series_runs import WAYS, history_of, make_series
from served_runs import Client, listening

import quickstudy as qs
from quickstudy.serve import histories
from quickstudy.serve.app import create_app

SEASONS = "/v1/models/seasons"
FILE = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of one channel, and one of ways in a plane."""
    folder = tmp_path_factory.mktemp("series")
    make_series(folder / "seasons")
    make_series(folder / "ways", WAYS)
    return folder


@pytest.fixture
def server(made: Path, tmp_path: Path) -> Iterator[Client]:
    runs = [made / "seasons", made / "ways"]
    with listening(create_app(runs, f"sqlite:///{tmp_path / 'tasks.db'}")) as client:
        yield client


def windows_of(history: list[Any], lags: int = 8, horizon: int = 4) -> list[dict[str, Any]]:
    """The examples that a history of one channel has."""
    starts = range(len(history) - lags - horizon + 1)
    return [
        {"series": history[i : i + lags], "label": history[i + lags : i + lags + horizon]}
        for i in starts
    ]


def test_a_history_alone_is_gone_on_from(server: Client, made: Path) -> None:
    """As in Python: what follows its end, and between which values."""
    history = history_of()
    said = server.post(f"{SEASONS}:predict", json={"series": history})
    assert said.status_code == 200, said.text
    (prediction,) = said.json()["predictions"]
    adapted = qs.load(made / "seasons").adapt(np.array(history))
    expected = adapted.predict(np.array(history))
    np.testing.assert_allclose(prediction["label"], expected, rtol=1e-5)
    x = adapted.model.inputs(np.array(history)).x
    _, std = adapted.model.learner.distribution(adapted.state, x)
    deviations = adapted.model.temperature * adapted.scale.deviations(std, x)[0].numpy()
    half = 1.2815516 * deviations  # of a normal distribution
    np.testing.assert_allclose(np.subtract(prediction["high"], expected), half, rtol=1e-4)
    np.testing.assert_allclose(np.subtract(expected, prediction["low"]), half, rtol=1e-4)
    assert said.json()["notes"] == []
    asked = {"query": [{"series": history[:9]}, {"series": history}], "series": history}
    both = server.post(f"{SEASONS}:predict", json=asked).json()["predictions"]
    assert both[1] == prediction  # to the last bit, whatever else is asked
    assert both[0] != prediction


def test_a_history_is_its_windows(server: Client) -> None:
    """A series makes the examples that a client would cut; more of them may follow."""
    history = history_of()
    bodies = {
        "whole": {"series": history},
        "cut": {"support": windows_of(history)},
        "mixed": {"support": windows_of(history)[:2], "series": history[2:]},
        "grown": {"series": history[:-3]},
    }
    for name, body in bodies.items():
        server.post(f"{SEASONS}/tasks?task_id={name}", json=body).raise_for_status()
    before = said_by(server, "grown")
    server.post(f"{SEASONS}/tasks/grown/examples", json={"series": history[-14:]})
    want = said_by(server, "whole")
    assert before != pytest.approx(want, rel=1e-5)
    whole = server.get(f"{SEASONS}/tasks/whole?view=FULL").json()["examples"]
    for name in ("cut", "mixed", "grown"):
        task = server.get(f"{SEASONS}/tasks/{name}?view=FULL").json()["examples"]
        assert task == whole, name
        assert said_by(server, name) == pytest.approx(want, rel=1e-5), name
    # What was added comes later in time, to which a judgement is true.
    judged = [server.post(f"{SEASONS}/tasks/{name}:quality").json() for name in ("whole", "grown")]
    assert judged[0]["value"] == pytest.approx(judged[1]["value"], rel=1e-5)
    assert judged[0]["n"] == judged[1]["n"] < len(whole)
    assert [{"label": e["label"], **e["input"]} for e in whole] == windows_of(history)


def said_by(server: Client, task: str) -> list[float]:
    """What a task says follows the end of the history."""
    body = {"query": [{"series": history_of()}]}
    said = server.post(f"{SEASONS}/tasks/{task}:predict", json=body).json()
    values: list[float] = said["predictions"][0]["label"]
    return values


def test_the_latest_windows_are_taken(server: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(histories, "MAX_EXAMPLES", 5)
    history = history_of()
    task = server.post(f"{SEASONS}/tasks", json={"series": history}).json()
    assert [each["label"] for each in task["examples"]] == [
        each["label"] for each in windows_of(history)[-5:]
    ]
    assert task["notes"] == ["series: has more than 5 windows; the latest 5 are the examples."]
    said = server.post(f"{SEASONS}:predict", json={"series": history}).json()
    assert said["notes"] == task["notes"]
    exactly = server.post(f"{SEASONS}/tasks", json={"series": history[-16:]}).json()
    assert (len(exactly["examples"]), exactly["notes"]) == (5, [])


def test_the_channels_of_a_time_are_side_by_side(server: Client, made: Path) -> None:
    history = history_of(2)
    said = server.post("/v1/models/ways:predict", json={"series": history}).json()
    adapted = qs.load(made / "ways").adapt(np.array(history))
    values = adapted.predict(np.array(history))
    assert values.shape == (3, 2)
    (prediction,) = said["predictions"]
    np.testing.assert_allclose(prediction["label"], values.ravel(), rtol=1e-4, atol=1e-4)
    assert len(prediction["low"]) == len(prediction["high"]) == 6
    following = [number for place in history[4:7] for number in place]
    support = [{"series": history[:4], "label": following}]
    task = server.post("/v1/models/ways/tasks", json={"support": support}).json()
    again = server.post("/v1/models/ways/tasks", json={"series": history[:7]}).json()
    assert task["examples"] == again["examples"]


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"query": [{"series": [1] * 8}]}, "/support", "needs support, or a series"),
    ({"support": windows_of(history_of())}, "/query", "needs a query, or a series"),
    ({"series": [1, 2, 3]}, "/series", "received 3 values"),
    ({"series": []}, "/series", "at least 1"),
    ({"series": [1] * 100_001}, "/series", "at most 100000"),
    ({"series": "1, 2"}, "/series", "valid array"),
    (
        {"series": [*history_of(), None]},
        "/series",
        "must be a number, finite in single precision; received null in place 30",
    ),
    ({"series": [*history_of(), "7"]}, "/series", '"7" in place 30'),
    ({"series": [*history_of(), True]}, "/series", "received true in place 30"),
    ({"series": [*history_of(), 1e39]}, "/series", "in place 30"),
    ({"series": [[1, 2]] * 30}, "/series", "received [1, 2] in place 0"),
    ({"support": [{"series": history_of()}]}, "/support/0/label", "series at the top level"),
    ({"series": history_of(), "query": [{"series": [1] * 7}]}, "/query/0", "last 8 values"),
    ({"series": history_of(), "query": [{"values": [1, 2]}]}, "/query/0", "lists of"),
    ({"series": history_of(), "query": [{"text": "up"}]}, "/query/0", "as 'series'"),
    ({"series": history_of(), "query": [{"series": None}]}, "/query/0", "exactly one of"),
]


def test_wrong_series_are_named(server: Client) -> None:
    for body, pointer, words in WRONG:
        said = server.post(f"{SEASONS}:predict", json=body)
        assert said.status_code == 422, (words, said.text)
        assert said.headers["content-type"] == "application/problem+json"
        assert said.json()["errors"][0]["pointer"] == pointer, words
        assert words in said.json()["detail"]


def test_wrong_examples_are_named(server: Client) -> None:
    """By their place; a number that is none in JSON is no JSON."""
    tasks = f"{SEASONS}/tasks"
    server.post(f"{tasks}?task_id=mine", json={"series": history_of()}).raise_for_status()
    nothing = server.post(f"{tasks}/mine/examples", json={})
    assert nothing.json()["errors"][0]["pointer"] == "/examples"
    short = {"examples": [*windows_of(history_of())[:1], {"series": [1.0] * 8, "label": [1.0]}]}
    fewer = server.post(f"{tasks}/mine/examples", json=short).json()
    assert fewer["errors"][0]["pointer"] == "/examples/1/label"
    assert "must hold 4 values" in fewer["detail"]
    named = {"examples": [{"series": [1.0] * 8, "label": "up"}]}
    wrong = server.post(f"{tasks}/mine/examples", json=named).json()
    assert wrong["errors"][0]["pointer"] == "/examples/0/label"
    headers = {"Content-Type": "application/json"}
    for number in ("NaN", "Infinity", "1e999"):
        content = f'{{"series": [1, {number}, {", ".join("3" * 20)}]}}'
        said = server.post(f"{SEASONS}:predict", content=content, headers=headers)
        assert said.status_code in (400, 422), (number, said.text)


def test_other_models_take_no_series(client_of: Callable[..., Client]) -> None:
    client = client_of("waves", "blobs")
    for model in ("waves", "blobs"):
        said = client.post(f"/v1/models/{model}/tasks", json={"series": history_of()}).json()
        assert said["errors"][0]["pointer"] == "/series"
        assert "received a series" in said["detail"]
    support = [{"values": [float(x)], "label": float(x)} for x in range(4)]
    body = {"support": support, "query": [{"values": [0.5]}]}
    (prediction,) = client.post("/v1/models/waves:predict", json=body).json()["predictions"]
    assert (prediction["low"], prediction["high"]) == (None, None)  # MAML gives no distribution
    assert client.get("/v1/models/waves").json()["series"] is None


def test_clients_know_how_much_to_send(server: Client) -> None:
    card = server.get(SEASONS).json()
    assert card["modality"] == "series"
    about = {"lags": 8, "horizon": 4, "channels": ["value"], "season": 4, "stride": 1}
    assert card["series"] == {**about, "layout": "series"}
    assert server.get("/v1/models/ways").json()["series"]["channels"] == ["x", "y"]
    assert server.get("/v1/limits").json()["series_times"] == 100_000
    for model in ("seasons", "ways"):
        task = server.post(f"/v1/models/{model}/tasks:example").json()
        assert task["state"] == "READY"
        assert task["display_name"].startswith("A made-up")


def test_a_task_comes_back_from_its_file(server: Client) -> None:
    """Its windows are shown in the user's units, though the file holds them encoded."""
    history = history_of()
    server.post(f"{SEASONS}/tasks?task_id=mine", json={"series": history}).raise_for_status()
    file = server.get(f"{SEASONS}/tasks/mine:export?format=task").content
    copy = server.post(f"{SEASONS}/tasks:import", content=file, headers=FILE).json()
    windows = server.get(f"{SEASONS}/tasks/{copy['id']}?view=FULL").json()["examples"]
    np.testing.assert_allclose(windows[0]["input"]["series"], history[:8], rtol=1e-6)
    body = {"query": [{"series": history}], "nearest": 0}
    own, other = (
        server.post(f"{SEASONS}/tasks/{task}:predict", json=body).json()["predictions"][0]
        for task in ("mine", copy["id"])
    )
    assert own == other


def test_kserve_has_the_interval_beside_the_values(server: Client) -> None:
    history = history_of()
    server.post(f"{SEASONS}/tasks?task_id=mine", json={"series": history}).raise_for_status()
    for name, shape in {"task.mine": [-1, -1], "ways": [-1, -1, 2]}.items():
        about = server.get(f"/v2/models/{name}").json()
        assert [each["name"] for each in about["outputs"]] == ["value", "low", "high"]
        assert (about["inputs"][0]["datatype"], about["inputs"][0]["shape"]) == ("FP32", shape)
    query = {"name": "query", "datatype": "FP64", "shape": [1, 30], "data": history}
    said = server.post("/v2/models/task.mine/infer", json={"inputs": [query]}).json()
    assert said["model_name"] == "task.mine"
    values = {each["name"]: each["data"] for each in said["outputs"]}
    (want,) = server.post(
        f"{SEASONS}/tasks/mine:predict", json={"query": [{"series": history}]}
    ).json()["predictions"]
    assert values == {"value": want["label"], "low": want["low"], "high": want["high"]}
    assert {tuple(each["shape"]) for each in said["outputs"]} == {(1, 4)}
    support = [
        {"name": "support", "datatype": "FP64", "shape": [1, 8], "data": history[:8]},
        {"name": "labels", "datatype": "FP64", "shape": [1, 4], "data": history[8:12]},
    ]
    once = server.post("/v2/models/seasons/infer", json={"inputs": [query, *support]}).json()
    assert len(once["outputs"][0]["data"]) == 4
