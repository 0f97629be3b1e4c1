"""Generators beside scikit-learn's classifiers on whole tables."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
import yaml
from scipy.stats import ttest_rel, wilcoxon

from quickstudy.cli.main import main
from quickstudy.cli.reproduce import reproduce
from quickstudy.cli.tables import measure_runs
from quickstudy.errors import UserError
from quickstudy.files.rundir import RunDirectory
from quickstudy.learners import LearnerGenerator
from quickstudy.tabular.figures import generated_figure, results_figures
from quickstudy.tabular.measure import OPPONENTS, against, area, measure, splits
from quickstudy.tasks.tables import Table, read_tables


def drawn(name: str, rows: int = 60, seed: int = 0) -> Table:
    """A class that follows from a column with missing cells, and a category that says nothing."""
    rng = np.random.default_rng(seed)
    width = rng.normal(size=rows)
    y = np.where(width + 0.3 * rng.normal(size=rows) > 0, "wide", "narrow")
    cells = [
        ("" if i % 9 == 0 else f"{width[i]:.4f}", ["red", "blue", ""][i % 3]) for i in range(rows)
    ]
    return Table(name, name, ("width", "colour"), (True, False), tuple(cells), tuple(y))


def test_the_area_is_the_share_of_pairs_in_the_right_order() -> None:
    rng = np.random.default_rng(0)
    y, scores = rng.integers(2, size=30), rng.random(30)
    pairs = [(a > b) + 0.5 * (a == b) for a in scores[y == 1] for b in scores[y == 0]]
    assert area(np.stack([1 - scores, scores], axis=1), y) == pytest.approx(np.mean(pairs))


def test_splits_are_halves_that_share_no_row_and_keep_the_classes() -> None:
    y = np.repeat([0, 1, 2], [60, 30, 10])
    found = list(splits(y, 3, 0))
    assert len(found) == 3
    for split in found:
        assert len(split.support) == len(split.query) == 50
        assert not set(split.support) & set(split.query)
        assert np.bincount(y[split.support]).tolist() == [30, 15, 5]
    assert not np.array_equal(found[0].support, found[1].support)
    large = next(iter(splits(np.arange(9000) % 2, 1, 0)))
    assert (len(large.support), len(large.query)) == (1000, 2000)


def test_paired_differences() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 20))
    rows = [
        {
            "generator": {"auc": a, "accuracy": a},
            "other": {"auc": b, "accuracy": a},
        }
        for a, b in zip(ours, theirs, strict=True)
    ]
    found = against(rows, "other")
    test = ttest_rel(ours, theirs).confidence_interval()
    assert found["auc"]["difference"] == pytest.approx(np.mean(ours - theirs))
    assert found["auc"]["ci95"] == pytest.approx((test.high - test.low) / 2)
    assert found["auc"]["p"] == pytest.approx(wilcoxon(ours, theirs).pvalue)
    assert found["auc"]["won"] + found["auc"]["lost"] == 20
    assert found["accuracy"] == {"difference": 0, "ci95": 0, "won": 0, "lost": 0, "p": 1}


def test_all_learn_what_there_is_to_learn() -> None:
    torch.manual_seed(0)
    tables = [drawn(f"t{seed}", seed=seed) for seed in range(3)]
    result = measure([({"generator": LearnerGenerator().eval()}, tables)], n_splits=2)
    assert result["n_tables"] == 3
    for name in ("generator", *OPPONENTS):
        assert result["means"][name]["auc"] > 0.85
        assert 0.75 < result["means"][name]["accuracy"] < 1
    row = result["tables"][0]
    sizes = ["rows", "features", "classes"]
    assert list(row) == ["name", "family", *sizes, "generator", *OPPONENTS, "times_faster"]
    assert list(row["generator"]) == ["auc", "accuracy", "fit_seconds", "seconds"]
    assert result.tables[0].performances["generator"].auc == row["generator"]["auc"]
    assert (row["rows"], row["features"], row["classes"]) == (30, 4, 2)
    assert result["times_faster"] > 0
    figures = results_figures(json.loads(json.dumps(result.to_json())))
    assert [figure.name for figure in figures] == ["tables-auc", "tables-accuracy"]
    assert figures[0].data["generator"] == [row["generator"]["auc"] for row in result["tables"]]
    # The same tables and splits are the same numbers, but for the seconds.
    again = measure([({"generator": LearnerGenerator().eval()}, tables[:1])], n_splits=2)
    for name in OPPONENTS:
        assert again["tables"][0][name]["auc"] == row[name]["auc"]


def test_what_was_generated_in_a_figure() -> None:
    columns = [(f"column {i}", 2.0 - i / 10) for i in range(20)]
    figure = generated_figure({"logistic regression": 0.95, "RBF SVM": 0.05}, columns)
    assert "8 columns that count less are not shown" in figure.caption
    assert figure.data["columns"][0] == ["column 0", 2.0]
    with pytest.raises(UserError, match="need at least one column"):
        generated_figure({"MLP": 1.0}, [])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten tables as files, and a run of the command line on them."""
    folder = tmp_path_factory.mktemp("tables")
    for seed in range(10):
        table = drawn(f"t{seed}", seed=seed)
        lines = [
            f"{width},{colour},{y}" for (width, colour), y in zip(table.rows, table.y, strict=True)
        ]
        (folder / f"t{seed}.csv").write_text("\n".join(["width,colour,target", *lines]) + "\n")
    return folder


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    options = "--learner.hidden 8 --learner.n-random 16 --steps 2 --valid-every 2 --valid-tasks 2"
    words = f"train --learner LearnerGenerator --tasks tables --tasks.path {folder} {options}"
    assert main([*words.split(), "--out", str(out)]) == 0
    return out


def test_from_the_command_line(run, folder, tmp_path, capsys):
    result = tmp_path / "result.json"
    words = ["tables", str(run), "--splits", "1", "--json", str(result)]
    assert main([*words, "--pictures", str(tmp_path / "pictures")]) == 0
    assert "random" in capsys.readouterr().out
    found = json.loads(result.read_text())
    assert found["n_tables"] == 3
    ablations = {"before meta-training", "without its steps"}
    assert found["means"].keys() == {"generator", *OPPONENTS} | ablations
    assert found["against"].keys() == {*OPPONENTS} | ablations
    assert found["means"]["without its steps"] != found["means"]["generator"]
    assert (tmp_path / "pictures" / "tables-auc.svg").is_file()

    task = tmp_path / "mine.task"
    words = ["adapt", str(run), "--support", str(folder / "t0.csv"), "--target", "target"]
    assert main([*words, "--out", str(task)]) == 0
    assert main(["predict", str(task), str(folder / "t1.csv")]) == 0
    capsys.readouterr()
    assert main(["generated", str(task), "--json", "--pictures", str(tmp_path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert sum(part["share"] for part in said["parts"]) == pytest.approx(1)
    assert {column["name"] for column in said["columns"]} == {
        "width", "width: missing", "colour: blue", "colour: red"
    }  # fmt: skip
    assert np.mean([column["counts"] for column in said["columns"]]) == pytest.approx(1, abs=1e-3)
    assert (tmp_path / "generated.svg").is_file()
    assert main(["generated", str(task)]) == 0
    assert "columns that count most" in capsys.readouterr().out


def test_a_recipe_of_whole_tables(run, folder, tmp_path, monkeypatch, capsys):
    bars = {"auc_minus_random_forest": {"at_least": -1.0}, "times_faster": {"at_least": 1e9}}
    tasks = {"name": "tables", "path": str(folder)}
    learner = {"name": "LearnerGenerator", "hidden": 8, "n_random": 16}
    steps = {"steps": 2, "valid_every": 2, "valid_tasks": 2}
    entries = [{"splits": 1, "expect": {"metric": m, **bar}} for m, bar in bars.items()]
    plan = {"train": {"tasks": tasks, "learner": learner, **steps}, "evaluate": entries}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"title": "tables", "profiles": {"cpu": plan}}))
    assert reproduce(recipe, out=run, record=True) == 1
    assert "3 unseen" in capsys.readouterr().out
    found = yaml.safe_load(recipe.read_text())["profiles"]["cpu"]["evaluate"]
    first, second = (entry["recorded"] for entry in found)
    assert first.keys() >= {"auc_minus_random_forest", "ci95", "p", "steps", "machine"}
    assert -1 < first["auc_minus_random_forest"] < 1
    assert 0 < second["times_faster"] < 1e9


def test_two_runs_that_share_tables_are_refused(run):
    with pytest.raises(UserError, match=r"received t\d in two runs"):
        measure_runs([run, run], 1, 0)


def test_tables_that_moved_are_those_of_the_run(run, folder, tmp_path):
    moved = shutil.copytree(folder, tmp_path / "moved")
    with pytest.raises(UserError, match=r"received t\d in two runs"):
        measure_runs([run, run], 1, 0, places={"path": str(moved)})
    gone = RunDirectory(run).read()["data"]["splits"]["test"]["names"][0]
    (moved / f"{gone}.csv").unlink()
    with pytest.raises(UserError, match=f"meta-test lacks {gone}; bring"):
        measure_runs([run, run], 1, 0, places={"path": str(moved)})


def test_the_real_tables_have_the_numbers_that_the_readme_of_the_data_gives(data_dir):
    tables = {table.name: table for table in read_tables(data_dir / "tabular")}
    assert sum(tables["credit_g"].numeric) == 7
    assert not any(tables["splice"].numeric)
