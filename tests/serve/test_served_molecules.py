"""Molecules over HTTP: a ranked answer with its nearest example, structures, files, refusals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from served_runs import Client, listening

pytest.importorskip("rdkit", reason="needs RDKit: pip install 'quickstudy[molecules]'")

from molecule_runs import make_screen

import quickstudy as qs
from quickstudy.models.candidates import rank_candidates
from quickstudy.serve.app import create_app

SCREEN = "/v1/models/screen"
TAUGHT = {"CCO": "active", "CCCO": "active", "CCC": "inactive", "c1ccccc1": "inactive"}
SUPPORT = [{"smiles": smiles, "label": label} for smiles, label in TAUGHT.items()]
FILE = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_screen(tmp_path_factory.mktemp("screen") / "screen")


@pytest.fixture(scope="module")
def server(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    database = f"sqlite:///{tmp_path_factory.mktemp('molecules') / 'tasks.db'}"
    with listening(create_app([run], database)) as client:
        yield client


def test_an_answer_is_that_of_python_with_its_nearest_example(server: Client, run: Path) -> None:
    asked = ["CCCCO", "[Na+].[O-]CC", "C[Si](C)(C)C"]
    query = [{"smiles": smiles} for smiles in asked]
    said = server.post(f"{SCREEN}:predict", json={"support": SUPPORT, "query": query})
    assert said.status_code == 200, said.text
    rows = [each["molecule"] for each in said.json()["predictions"]]
    adapted = qs.load(run).adapt([*TAUGHT], [*TAUGHT.values()])
    expected = sorted(rank_candidates(adapted, asked), key=lambda row: row.place)
    for row, right, smiles in zip(rows, expected, asked, strict=True):
        assert row["probability"] == pytest.approx(right.probability, rel=1e-5), smiles
        near = row["neighbour"]
        assert near["similarity"] == pytest.approx(right.similarity, abs=1e-6)
        assert near["label"] == TAUGHT[right.neighbour]
        assert near["is_far"] == right.is_far
    assert rows[1]["neighbour"]["similarity"] == 1
    assert rows[2]["neighbour"]["is_far"]


def test_a_task_keeps_its_molecules_and_travels_as_a_file(server: Client, tmp_path: Path) -> None:
    made = server.post(f"{SCREEN}/tasks", json={"support": SUPPORT})
    assert made.status_code == 201, made.text
    path = f"{SCREEN}/tasks/{made.json()['id']}"
    full = server.get(f"{path}?view=FULL").json()["examples"]
    assert [each["input"]["smiles"] for each in full] == [*TAUGHT]
    content = server.get(f"{path}:export?format=task").content
    (tmp_path / "screen.task").write_bytes(content)
    assert qs.load_task(tmp_path / "screen.task").raw == [*TAUGHT]
    again = server.post(f"{SCREEN}/tasks:import", content=content, headers=FILE)
    assert again.status_code == 201, again.text
    query = {"query": [{"smiles": "CCCCO"}]}
    other = f"{SCREEN}/tasks/{again.json()['id']}"
    first, second = (
        server.post(f"{where}:predict", json=query).json()["predictions"][0]["scores"]
        for where in (path, other)
    )
    assert first == second
    why = server.post(f"{path}:explain", json={"query": {"smiles": "CCCCO"}})
    assert why.status_code == 200, why.text


def test_structures_are_drawn(server: Client) -> None:
    drawn = server.post(f"{SCREEN}:draw", json={"smiles": ["CCO", "c1ccccc1"]}).json()
    assert [svg.startswith("<svg") for svg in drawn["structures"]] == [True, True]
    assert "script" not in "".join(drawn["structures"])


def test_the_sample_task_is_of_molecules(server: Client) -> None:
    made = server.post(f"{SCREEN}/tasks:example", json={})
    assert made.status_code in (200, 201), made.text
    task = made.json()
    assert {each["label"] for each in task["classes"]} == {"active", "inactive"}
    assert all("smiles" in each for each in task["suggested_queries"])


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        (":predict", {"support": SUPPORT, "query": [{"smiles": "C1CC"}]}, "'C1CC' in the request"),
        (":predict", {"support": SUPPORT, "query": [{"text": "CCO"}]}, "takes molecules"),
        (":predict", {"support": [*SUPPORT[:2], {"smiles": "CCN", "label": "cat"}],
                      "query": [{"smiles": "CCO"}]}, "received the label 'cat'"),
        (":draw", {"smiles": ["C1CC"]}, "every one must be a SMILES"),
        (":draw", {"smiles": []}, "smiles"),
    ],
)  # fmt: skip
def test_wrong_molecules_are_refused(server: Client, path: str, body: object, words: str) -> None:
    said = server.post(f"{SCREEN}{path}", json=body)
    assert said.status_code in (400, 422), said.text
    assert words in said.text
