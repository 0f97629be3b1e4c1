"""Items over HTTP: what a user rated, the list that follows, its reasons, and what to ask."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from item_runs import HOSTILE, make_films
from served_runs import Client, listening

import quickstudy as qs
from quickstudy.models.ranking import questions, rank
from quickstudy.serve.app import create_app

FILMS = "/v1/models/films"
FILE = {"Content-Type": "application/octet-stream"}
RATED = {"f001": 5.0, "f002": 1.0, "f003": 4.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_films(tmp_path_factory.mktemp("films") / "films")


@pytest.fixture(scope="module")
def model(run: Path) -> qs.Model:
    return qs.load(run)


@pytest.fixture(scope="module")
def server(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = f"sqlite:///{tmp_path_factory.mktemp('items') / 'tasks.db'}"
    with listening(create_app([run], database)) as client:
        yield client


def support_of(ratings: dict[Any, Any]) -> list[dict[str, Any]]:
    return [{"item": item, "label": label} for item, label in ratings.items()]


def recommended(server: Client, ratings: dict[Any, Any], n: int = 100) -> dict[str, Any]:
    """What one call says, by item."""
    sent = {"support": support_of(ratings), "n": n}
    said = server.post(f"{FILMS}:recommend", json=sent)
    assert said.status_code == 200, said.text
    return {each["item"]: each for each in said.json()["recommendations"]}


def test_a_list_follows_from_ratings_in_one_call(server: Client, model: qs.Model) -> None:
    """As in Python: its order, ratings and intervals; beside it what everybody gets."""
    items = model.preprocess
    ratings = {items.ids[int(np.argmax(items.base))]: 2.0} | RATED  # also what everybody gets first
    adapted = model.adapt([*ratings], [*ratings.values()])
    sent = {"support": support_of(ratings), "n": 7}
    said = server.post(f"{FILMS}:recommend", json=sent).json()
    expected = rank(adapted, 7)
    assert [each["item"] for each in said["recommendations"]] == [each.item for each in expected]
    low, high = adapted.interval([each.item for each in expected])
    for number, (each, right) in enumerate(zip(said["recommendations"], expected, strict=True)):
        assert each["place"] == number + 1
        assert each["title"] == right.title
        assert each["rating"] == pytest.approx(right.rating, rel=1e-5)
        assert each["low"] == pytest.approx(max(low[number], items.low), rel=1e-4)
        assert each["high"] == pytest.approx(min(high[number], items.high), rel=1e-4)
        assert items.low <= each["low"] < each["rating"] <= each["high"] <= items.high
    unrated = [place for place, item in enumerate(items.ids) if item not in ratings]
    by_mean = sorted(unrated, key=lambda place: -items.base[place])
    assert [each["item"] for each in said["by_mean"]] == [items.ids[p] for p in by_mean[:7]]
    places = [by_mean.index(items.ids.index(each["item"])) + 1 for each in said["recommendations"]]
    assert [each["place_by_mean"] for each in said["recommendations"]] == places
    assert len(recommended(server, ratings)) == len(items.ids) - len(ratings)


def test_the_reasons_add_up_and_are_what_each_rating_changes(server: Client) -> None:
    """Each is how steeply the answer follows the rating, times what was unexpected in it."""
    before = recommended(server, RATED)
    others = recommended(server, {"f010": 3})
    changed = {item: recommended(server, RATED | {item: 3}) for item in RATED}
    for item, each in before.items():
        values = [reason["value"] for reason in each["because"]]
        assert values == sorted(values, reverse=True)
        assert each["score"] == pytest.approx(each["mean"] + each["start"] + sum(values), abs=1e-5)
        for reason in each["because"]:
            rated = reason["item"]
            assert reason["label"] == RATED[rated]
            slope = (each["score"] - changed[rated][item]["score"]) / (RATED[rated] - 3)
            # What is expected without any rating is the same whatever else is rated.
            unexpected = RATED[rated] - others[rated]["mean"] - others[rated]["start"]
            assert reason["value"] == pytest.approx(slope * unexpected, abs=2e-4)
    assert (
        np.ptp([reason["value"] for each in before.values() for reason in each["because"]]) > 0.05
    )


def test_an_explanation_names_the_same_reasons_as_the_list(server: Client) -> None:
    task = f"{FILMS}/tasks/explained"
    server.post(f"{FILMS}/tasks?task_id=explained", json={}).raise_for_status()
    server.post(f"{task}/examples", json={"examples": support_of(RATED)}).raise_for_status()
    (best, *_) = server.post(f"{task}:recommend", json={"n": 1}).json()["recommendations"]
    why = server.post(f"{task}:explain", json={"query": {"item": best["item"]}}).json()
    assert why["contributions_of"] == "value"
    parts = {each["id"]: each["value"] for each in why["contributions"]}
    assert parts == pytest.approx({each["id"]: each["value"] for each in best["because"]}, abs=1e-5)
    server.delete(task).raise_for_status()


def test_ratings_are_kept_changed_and_taken_back(server: Client, model: qs.Model) -> None:
    mine = f"{FILMS}/tasks/mine"
    server.post(f"{FILMS}/tasks?task_id=mine", json={}).raise_for_status()
    none = server.post(f"{mine}:recommend", json={})
    assert (none.status_code, none.json()["reason"]) == (409, "TOO_FEW_EXAMPLES")
    title = model.preprocess.titles[2]
    ratings = {HOSTILE: 5, title.upper(): 1, "f003": 4}
    server.post(f"{mine}/examples", json={"examples": support_of(ratings)}).raise_for_status()
    full = server.get(f"{mine}?view=FULL").json()["examples"]
    assert [each["input"] for each in full] == [{"item": f"f{n:03d}"} for n in (0, 2, 3)]
    assert [each["title"] for each in full][:2] == [HOSTILE, title]

    once = recommended(server, {"f000": 5, "f002": 1, "f003": 4}, 5)
    said = server.post(f"{mine}:recommend", json={"n": 5}).json()
    assert said["task_revision"] == 2
    assert [each["item"] for each in said["recommendations"]] == [*once]
    assert said["recommendations"][0]["because"][0]["id"] in ("e1", "e2", "e3")
    asked = {"query": [{"item": "f009"}]}
    first = server.post(f"{mine}:predict", json=asked).json()["predictions"][0]["label"]

    again = server.post(f"{mine}/examples", json={"examples": support_of({"f002": 5})})
    assert again.status_code == 422
    assert f"{title!r} as e2 and as e4; relabel e2" in again.json()["detail"]
    server.post(f"{mine}:relabel", json={"examples": {"e2": 5}}).raise_for_status()
    server.delete(f"{mine}/examples/e1").raise_for_status()
    then = server.post(f"{mine}:predict", json=asked).json()["predictions"][0]["label"]
    adapted = model.adapt(["f002", "f003"], [5.0, 4.0])
    assert then == pytest.approx(float(adapted.predict("f009")), rel=1e-5)
    assert abs(then - first) > 1e-3

    file = server.get(f"{mine}:export?format=task").content
    moved = server.post(f"{FILMS}/tasks:import", content=file, headers=FILE)
    assert moved.status_code == 201, moved.text
    full = server.get(f"{FILMS}/tasks/{moved.json()['id']}?view=FULL").json()["examples"]
    assert [(each["input"]["item"], each["label"]) for each in full] == [("f002", 5), ("f003", 4)]


@pytest.mark.parametrize(
    ("support", "pointer", "detail"),
    [
        ({"f001": 5.5}, "/support/0/label", "a rating of 1 to 5"),
        ({"f001": 0}, "/support/0/label", "a rating of 1 to 5"),
        ({"f001": "good"}, "/support/0/label", "a number"),
        ({"f999": 3}, "/support/0", "one of the 60 of the model's catalogue"),
        ({"f001": 3, "Wintre Harbor": 3}, "/support/1", "did you mean 'The Winter Harbour ("),
        ({"silent": 3}, "/support/0", "did you mean 'The Silent "),
        ({"f001": 3, "F001": 4}, "/examples", "counts once"),
        ({10**30: 3}, "/support/0/item", "valid string"),
        ({}, "/support", "at least 1"),
    ],
)
def test_bad_ratings_are_refused(
    server: Client, support: dict[Any, Any], pointer: str, detail: str
) -> None:
    said = server.post(f"{FILMS}:recommend", json={"support": support_of(support)})
    assert said.status_code == 422, said.text
    problem = said.json()["errors"][0]
    assert problem["pointer"].startswith(pointer)
    assert detail in problem["detail"]


def test_what_is_no_encoded_item_is_refused(server: Client, model: qs.Model) -> None:
    """Encoded items are those of the catalogue, so that no place leads beyond it."""
    encoded = model.preprocess.table[4].tolist()
    shifted = [*encoded[:-1], 61.0]
    wrong = [*encoded[:-2], encoded[-2] + 1, encoded[-1]]
    for values, status in (
        (encoded, 200),
        (shifted, 422),
        (wrong, 422),
        ([0.5, *encoded[1:]], 422),
    ):
        sent = {"support": [{"values": values, "label": 3}], "n": 1}
        assert server.post(f"{FILMS}:recommend", json=sent).status_code == status, values


def test_the_catalogue_is_searched(server: Client, model: qs.Model) -> None:
    items = model.preprocess

    def found(title: str, size: int = 100) -> list[str]:
        said = server.get(f"{FILMS}/items", params={"title": title, "page_size": size}).json()
        assert len(said["items"]) == min(size, said["n_items"])
        return [each["title"] for each in said["items"]]

    silent = [title for title in items.titles if "Silent" in title]
    assert sorted(found("silent")) == sorted(silent)
    assert found("silent", 2) == found("silent")[:2]
    counts = dict(zip(items.titles, items.counts, strict=True))
    assert [counts[title] for title in found("SILENT")] == sorted(
        (counts[title] for title in silent), reverse=True
    )
    assert found("bridge silent") == [title for title in silent if "Bridge" in title]
    assert found("img src") == [HOSTILE]
    assert found("f005")[0] == items.titles[5]
    assert found("nothing like it") == []
    means = dict(zip(items.titles, items.base, strict=True))
    best = [means[title] for title in found("", 60)]
    assert best == sorted(means.values(), reverse=True)
    assert len(found("")) == 60


def test_questions_are_those_of_python(server: Client, model: qs.Model) -> None:
    said = server.post(f"{FILMS}:questions", json={"n": 3}).json()
    assert [each["item"] for each in said["items"]] == questions(model, 3).items
    assert said["by"] == "posterior"
    server.post(f"{FILMS}/tasks?task_id=asked", json={"support": support_of(RATED)})
    then = server.post(f"{FILMS}/tasks/asked:questions", json={"n": 2}).json()
    adapted = model.adapt([*RATED], [*RATED.values()])
    assert [each["item"] for each in then["items"]] == questions(adapted, 2).items


def test_kserve_takes_ids(server: Client, model: qs.Model) -> None:
    (query, *_) = server.get("/v2/models/films").json()["inputs"]
    assert (query["datatype"], query["shape"]) == ("BYTES", [-1])
    tensors = {
        "query": ("BYTES", [2], ["f008", "f009"]),
        "support": ("BYTES", [3], [*RATED]),
        "labels": ("FP64", [3], [*RATED.values()]),
    }
    inputs = [
        {"name": name, "datatype": kind, "shape": shape, "data": data}
        for name, (kind, shape, data) in tensors.items()
    ]
    said = server.post("/v2/models/films/infer", json={"inputs": inputs})
    assert said.status_code == 200, said.text
    adapted = model.adapt([*RATED], [*RATED.values()])
    outputs = {each["name"]: each["data"] for each in said.json()["outputs"]}
    np.testing.assert_allclose(outputs["value"], adapted.predict(["f008", "f009"]), rtol=1e-5)
    assert {*outputs} == {"value", "low", "high"}


def test_the_card_and_the_example_task(server: Client, model: qs.Model) -> None:
    card = server.get(FILMS).json()
    counts = model.preprocess.counts
    most = model.preprocess.ids[counts.index(max(counts))]
    assert card["modality"] == "items"
    assert card["items"] == {"n_items": 60, "low": 1, "high": 5, "most_rated": most}
    task = server.post(f"{FILMS}/tasks:example").json()
    assert task["state"] == "READY"
    said = server.post(f"{FILMS}/tasks/{task['id']}:recommend").json()
    assert len(said["recommendations"]) == 10


def test_a_learner_without_sums_gives_no_reasons(tmp_path: Path) -> None:
    run = make_films(tmp_path / "films", "NeuralProcess")
    with listening(create_app([run], f"sqlite:///{tmp_path / 'tasks.db'}")) as server:
        (each,) = recommended(server, RATED, 1).values()
    assert each["because"] is None
    assert each["start"] is None
    assert each["low"] < each["rating"]


def test_other_models_have_no_catalogue(client: Client) -> None:
    blobs = "/v1/models/blobs"
    picture = base64.b64encode(b"none").decode()
    for said in (
        client.get(f"{blobs}/items"),
        client.post(f"{blobs}:questions"),
        client.post(f"{blobs}:recommend", json={"support": [{"values": [1, 2], "label": "a"}]}),
        client.post(f"{blobs}:recommend", json={"support": [{"image": {"b64": picture}}]}),
    ):
        assert said.status_code == 422
        assert "items of a catalogue" in said.json()["detail"]
