"""The model of small tables: shipped in half precision, and used through every door."""

from __future__ import annotations

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from sklearn.datasets import load_iris

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.cli.reproduce import reproduce
from quickstudy.errors import UserError
from quickstudy.files import shipped
from quickstudy.files.rundir import RunDirectory
from quickstudy.learners.table_in_context import MOST_CELLS
from quickstudy.task import Examples

ROOT = Path(__file__).resolve().parents[1]
SMALL: dict[str, Any] = {
    "tasks": {"name": "table_prior", "n_support": [8, 16], "n_features": 6, "n_classes": 3},
    "learner": {"name": "TableEnsemble", "width": 8, "n_row_blocks": 1, "n_seeds": 2},
    "n_query": 8,
    "steps": 2,
    "valid_every": 2,
    "valid_tasks": 2,
}


def script() -> Any:
    """The script that ships a run, which is no part of the package."""
    spec = importlib.util.spec_from_file_location("ship_tables", ROOT / "benchmarks/ship_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def written(path: Path, n: int = 150) -> Path:
    """Iris as people keep it: its names, some missing cells, a column of text."""
    data = load_iris()
    rng = np.random.default_rng(0)
    lines = ["length,width,petal length,petal width,place,species"]
    for i in rng.permutation(150)[:n]:
        cells = [str(value) if rng.random() > 0.1 else "" for value in data.data[i]]
        lines.append(
            ",".join([*cells, ["north", "south", ""][i % 3], data.target_names[data.target[i]]])
        )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A recipe, its run, and the folder into which the run is shipped as `tables`."""
    place = tmp_path_factory.mktemp("ship")
    recipe = {"title": "small", "profiles": {"cpu": {"train": SMALL, "evaluate": []}}}
    (place / "recipe.yaml").write_text(yaml.safe_dump(recipe), encoding="utf-8")
    assert reproduce(place / "recipe.yaml", out=place / "run") == 0
    with pytest.MonkeyPatch.context() as patch:
        to = place / "shipped" / "tables"
        words = [str(place / "run"), "--recipe", str(place / "recipe.yaml"), "--to", str(to)]
        patch.setattr(sys, "argv", ["ship_tables.py", *words, "--n-tasks", "2"])
        script().main()
    return place


@pytest.fixture
def _shipped(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDER", place / "shipped")
    monkeypatch.chdir(tmp_path)


def test_the_shipped_run_is_whole(place: Path) -> None:
    folder = place / "shipped" / "tables"
    record = RunDirectory(folder).read()
    assert (record["config"]["out"], [*record["files"]]) == ("tables", ["weights"])
    others = {"run.json", "metrics.jsonl", "evaluation.json", "card.json", "recipe.yaml"}
    assert {file.name for file in folder.iterdir()} == others | {record["files"]["weights"]["name"]}
    assert not [file for file in folder.iterdir() if str(place).encode() in file.read_bytes()]
    weights, _ = RunDirectory(folder).load("weights")
    assert {value.dtype for value in weights.values()} == {torch.float16}


def test_half_precision_is_of_the_file_alone(place: Path) -> None:
    full, small = qs.load(place / "run"), qs.load(place / "shipped" / "tables")
    assert {each.dtype for each in small.learner.parameters()} == {torch.float32}
    X, y = load_iris(return_X_y=True)
    expected, received = (each.adapt(X[::5], y[::5]).predict_proba(X) for each in (full, small))
    np.testing.assert_allclose(received, expected, atol=1e-2)
    assert (received != expected).any()


def test_only_a_finished_run_of_the_recipe_is_shipped(place: Path, tmp_path: Path) -> None:
    ship = script().ship
    with pytest.raises(UserError, match=r"must be the one of tables-in-context.yaml; received"):
        ship(place / "run", tmp_path / "tables")
    with pytest.raises(UserError, match="finished TableEnsemble; received Proto"):
        ship(ROOT / "src" / "quickstudy" / "shipped" / "drawings", tmp_path / "tables")
    assert not (tmp_path / "tables").exists()


def test_a_card_holds_the_measurement() -> None:
    results = script().results

    def table(name: str, area: float) -> dict[str, Any]:
        return {"name": name, "TableEnsemble": {"auc": area, "accuracy": area / 2}}

    lead = {"difference": 0.01, "ci95": 0.002, "p": 0.03, "won": 2, "lost": 0}
    measured = {
        "kind": "classification",
        "n_tables": 2,
        "n_splits": 5,
        "seed": 0,
        "learner": "TableEnsemble",
        "date": "2026-12-02",
        "machine": {},
        "command": "quickstudy tables tables",
        "tables": [table("a", 0.7), table("b", 0.9)],
        "against": {"SVM": {"auc": lead}},
    }
    area, accuracy = results(measured)
    assert (area["auc"], accuracy["accuracy"]) == (0.8, 0.4)
    assert area["ci95"] == pytest.approx(1.96 * 0.1, abs=1e-4)
    assert area["minus"] == {"SVM": {"difference": 0.01, "ci95": 0.002, "p": 0.03}}
    assert accuracy["minus"] == {}


@pytest.mark.usefixtures("_shipped")
def test_a_table_is_learned_asked_and_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert type(qs.model("tables").learner).__name__ == "TableEnsemble"
    written(Path("mine.csv"), 40)
    words = ["--support", "mine.csv", "--target", "species", "--out", "x.task"]
    for model in (["tables"], ["--encoder", "tables"], []):
        assert main(["adapt", *model, *words]) == 0
    said = capsys.readouterr().out
    assert "encoder: tables, as no column of mine.csv holds sentences" in said
    assert "quality: accuracy" in said
    rows = [line.rsplit(",", 1)[0] for line in Path("mine.csv").read_text().splitlines()[:6]]
    Path("new.csv").write_text("\n".join(rows) + "\n")
    assert main(["predict", "x.task", "new.csv", "--json"]) == 0
    answers = json.loads(capsys.readouterr().out)
    assert len(answers) == 5
    assert main(["explain", "x.task", "new.csv"]) == 0
    adapted = qs.load_task("x.task")
    assert type(adapted.model.learner).__name__ == "TableEnsemble"
    assert "place: north" in adapted.model.preprocess.features


@pytest.mark.skipif(
    "tables-numbers" not in shipped.shipped(), reason="no run is shipped as tables-numbers"
)
def test_numbers_to_predict_are_handed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = 1e6 + 3 * X[:, 0] + 0.1 * rng.normal(size=60)
    adapted = qs.model("tables").adapt(X[:50], y[:50])
    assert adapted.model.kind == "regression"
    assert np.square(adapted.predict(X[50:]) - y[50:]).mean() < 0.2 * y.var()
    low, high = adapted.interval(X[50:], 0.9)
    assert (low < high).all()
    fitted = qs.FewShotRegressor("tables").fit(X[:50], y[:50])
    np.testing.assert_array_equal(fitted.predict(X[50:]), adapted.predict(X[50:]))
    assert qs.model("tables").adapt(X, np.arange(60) % 3).model.kind == "classification"
    lines = ["a,b,price", *(f"{a},{b},{value}" for (a, b), value in zip(X, y, strict=True))]
    Path("mine.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    Path("new.csv").write_text("a,b\n0.5,1\n", encoding="utf-8")
    words = ["--support", "mine.csv", "--target", "price", "--out", "x.task"]
    assert main(["adapt", "tables", *words]) == 0
    assert "price: 60 different numbers are predicted as numbers" in capsys.readouterr().out
    assert main(["predict", "x.task", "new.csv", "--json", "--coverage", "0.9"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["low"] < row["prediction"] < row["high"]
    with pytest.raises(UserError, match=r"take a model of numbers, such as tables-numbers\."):
        qs.model("tables").adapt(X, [f"n{value}" for value in y])


@pytest.mark.usefixtures("_shipped")
def test_an_estimator_takes_the_name_of_tables() -> None:
    X, y = load_iris(return_X_y=True)
    X[::7, 1] = np.nan
    fitted = qs.FewShotClassifier("tables").fit(X[::3], y[::3])
    np.testing.assert_allclose(fitted.predict_proba(X).sum(axis=1), 1, atol=1e-6)


def test_a_table_that_is_too_large_is_refused() -> None:
    learner = qs.learners.TableInContext(width=8, n_row_blocks=1)
    n = MOST_CELLS // (3 * (6 + 4)) + 1
    support = Examples(torch.zeros(n, 6), torch.zeros(n, 3), torch.ones(n))
    with pytest.raises(UserError, match=rf"received {n:,} rows of 6 columns .* tables-linear"):
        learner.adapt(support)


def test_a_recipe_of_made_up_tables_is_measured_on_real_ones(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    folder = tmp_path / "tabular"
    folder.mkdir()
    content = written(tmp_path / "iris.csv", 60).read_text().replace("species", "target")
    (folder / "iris.csv").write_text(content, encoding="utf-8")
    bars = [
        {"metric": "auc_minus_random_forest", "at_least": -1.0},
        {"metric": "log_loss_minus_logistic_regression", "at_most": 10.0},
    ]
    entries = [{"splits": 1, "path": "data/none", "expect": bar} for bar in bars]
    recipe = tmp_path / "recipe.yaml"
    plan = {"train": SMALL, "evaluate": entries}
    recipe.write_text(yaml.safe_dump({"title": "small", "profiles": {"cpu": plan}}))
    with pytest.raises(UserError, match=r"received data.none, which is none; .* --data-dir"):
        reproduce(recipe, out=tmp_path / "never")
    assert not (tmp_path / "never").exists()
    run = shutil.copytree(place / "run", tmp_path / "run")
    assert reproduce(recipe, out=run, data_dir=folder, record=True) == 0
    assert "1 unseen table, 1 split" in capsys.readouterr().out
    recorded = [
        e["recorded"] for e in yaml.safe_load(recipe.read_text())["profiles"]["cpu"]["evaluate"]
    ]
    assert -1 < recorded[0]["auc_minus_random_forest"] < 1
    assert "log_loss_minus_logistic_regression" in recorded[1]
