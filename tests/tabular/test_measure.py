"""Learners of tables beside scikit-learn's classifiers on whole tables."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

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
from quickstudy.tabular.measure import Entrant, against, measure
from quickstudy.tabular.opponents import CLASSIFIERS, Stored
from quickstudy.tabular.problems import Problem
from quickstudy.tasks.tables import Table, read_tables

ROOT = Path(__file__).resolve().parents[2]


def drawn(name: str, rows: int = 60, seed: int = 0) -> Table:
    """A class that follows from a column with missing cells, and a category that says nothing."""
    rng = np.random.default_rng(seed)
    width = rng.normal(size=rows)
    y = np.where(width + 0.3 * rng.normal(size=rows) > 0, "wide", "narrow")
    cells = [
        ("" if i % 9 == 0 else f"{width[i]:.4f}", ["red", "blue", ""][i % 3]) for i in range(rows)
    ]
    return Table(name, name, ("width", "colour"), (True, False), tuple(cells), tuple(y))


def test_paired_differences() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = rng.random((2, 20))
    rows = [
        {
            "name": str(i),
            "Own": {"auc": a, "accuracy": a, "log_loss": a, "ece": a},
            "other": {"auc": b, "accuracy": a, "log_loss": b},
        }
        for i, (a, b) in enumerate(zip(ours, theirs, strict=True))
    ]
    found = against(rows, "Own", "other")
    test = ttest_rel(ours, theirs).confidence_interval()
    assert found["auc"]["difference"] == pytest.approx(np.mean(ours - theirs))
    assert found["auc"]["ci95"] == pytest.approx((test.high - test.low) / 2)
    assert found["auc"]["p"] == pytest.approx(wilcoxon(ours, theirs).pvalue)
    assert found["auc"]["won"] + found["auc"]["lost"] == 20
    assert found["auc"]["won"] == (ours > theirs).sum()
    assert found["accuracy"] == {"difference": 0, "ci95": 0, "won": 0, "lost": 0, "p": 1}
    # Of a loss less is better; a score that one of the two lacks is not compared.
    assert found["log_loss"]["difference"] == found["auc"]["difference"]
    assert found["log_loss"]["won"] == found["auc"]["lost"]
    assert "ece" not in found
    # Two targets of one table are one pair.
    rows[1]["name"] = "0"
    pairs = np.append((ours - theirs)[2:], (ours - theirs)[:2].mean())
    assert against(rows, "Own", "other")["auc"]["difference"] == pytest.approx(pairs.mean())


def test_all_learn_what_there_is_to_learn() -> None:
    torch.manual_seed(0)
    problems = [Problem.of(drawn(f"t{seed}", seed=seed)) for seed in range(3)]
    learners = {"LearnerGenerator": LearnerGenerator().eval()}
    stored = Stored()
    result = measure([Entrant(learners, problems)], n_splits=2, stored=stored)
    assert (result["learner"], result["n_tables"], result["n_stored"]) == (
        "LearnerGenerator", 3, 0
    )  # fmt: skip
    row = result["tables"][0]
    for name in ("LearnerGenerator", *CLASSIFIERS):
        if name == "histogram boosting":
            # Its leaves have 20 rows or more: of 30 there is no tree.
            assert result["means"][name]["auc"] == 0.5
            continue
        assert result["means"][name]["auc"] > 0.85
        assert 0.75 < result["means"][name]["accuracy"] < 1
        probable = {"log_loss", "ece"} & row[name].keys()
        assert len(probable) == (0 if name == "RBF SVM" else 2)
    sizes = ["rows", "features", "classes"]
    assert list(row) == [
        "name", "family", *sizes, "LearnerGenerator", *CLASSIFIERS, "times_faster"
    ]  # fmt: skip
    assert row["LearnerGenerator"].keys() == {
        "auc", "accuracy", "log_loss", "ece", "fit_seconds", "seconds"
    }  # fmt: skip
    own = result.tables[0].performances["LearnerGenerator"]
    assert own.scores["auc"] == row["LearnerGenerator"]["auc"]
    assert (row["rows"], row["features"], row["classes"]) == (30, 4, 2)
    assert result["times_faster"] > 0
    figures = results_figures(json.loads(json.dumps(result.to_json())))
    assert [figure.name for figure in figures] == ["tables-auc", "tables-accuracy"]
    areas = [row["LearnerGenerator"]["auc"] for row in result["tables"]]
    assert figures[0].data["LearnerGenerator"] == areas
    # A temperature is of the learner alone, and moves no order; the opponents are those of before.
    cooler = measure([Entrant(learners, problems[:1], temperature=0.01)], n_splits=2, stored=stored)
    assert cooler["n_stored"] == 2 * len(CLASSIFIERS)
    again = cooler["tables"][0]
    assert again["LearnerGenerator"]["auc"] == pytest.approx(row["LearnerGenerator"]["auc"])
    assert again["LearnerGenerator"]["log_loss"] > 2 * row["LearnerGenerator"]["log_loss"]
    assert all(again[name] == row[name] for name in CLASSIFIERS)


def test_results_of_older_versions_are_drawn() -> None:
    older = json.loads((ROOT / "benchmarks" / "tables.json").read_text())
    name = older.pop("learner")
    for row in older["tables"]:
        row["generator"] = row.pop(name)
    figures = results_figures(older)
    assert figures[1].data["generator"][0] == older["tables"][0]["generator"]["accuracy"]


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
    assert found["means"].keys() == {"LearnerGenerator", *CLASSIFIERS} | ablations
    assert found["against"].keys() == {*CLASSIFIERS} | ablations
    assert found["means"]["without its steps"] != found["means"]["LearnerGenerator"]
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


def test_a_run_of_made_up_tables_has_seen_none(folder, tmp_path, capsys):
    out, result, stored = tmp_path / "run", tmp_path / "result.json", tmp_path / "opponents.json"
    options = "--learner.hidden 8 --learner.n-random 16 --steps 1 --valid-every 1 --valid-tasks 2"
    words = f"train --learner LearnerGenerator --tasks table_prior {options} --out {out}"
    assert main(words.split()) == 0
    with pytest.raises(UserError, match=r"unseen tables of its own; received none in .*run; train"):
        measure_runs([out], 1, 0)
    few = tmp_path / "few"
    few.mkdir()
    for i in range(3):
        shutil.copy(folder / f"t{i}.csv", few)
    words = f"tables {out} --tasks.path {few} --splits 1 --opponents {stored} --json {result}"
    assert main([*words.split(), "--families", "valid"]) == 0
    valid = json.loads(result.read_text())
    assert (valid["n_stored"], valid["notes"]) == (0, [])
    assert main(words.split()) == 0
    assert "6 results of opponents are stored ones" in capsys.readouterr().out
    every = json.loads(result.read_text())
    assert (valid["n_tables"], every["n_tables"]) == (1, 3)
    assert (valid["families"], every["families"]) == ("valid", "all")


def test_a_learner_of_one_width_is_refused():
    with pytest.raises(UserError, match="received the PrototypicalNetwork of drawings"):
        measure_runs([Path("drawings")], 1, 0)


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
