"""The command line: every command to its end, and every wrong word answered."""

from __future__ import annotations

import copy
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from small import draw_classes
from test_resume import environment

from quickstudy import __version__, errors
from quickstudy.cli.evaluate import Evaluation, evaluate_run, print_evaluation
from quickstudy.cli.main import COMMANDS, main
from quickstudy.cli.options import Parser
from quickstudy.cli.reproduce import _numbers, _with_data, reproduce
from quickstudy.files.rundir import RunDirectory
from quickstudy.models.saved import load_task
from quickstudy.training.plan import MAY_CHANGE

QUICK = [
    *("--steps", "4", "--meta-batch", "2", "--valid-every", "2", "--valid-tasks", "3"),
    *("--n-query", "3"),
]
SINUSOID = ["train", "--learner", "MAML", "--tasks", "sinusoid", "--net.hidden", "[8]", *QUICK]


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("data") / "classes", 12, 8)


def train_pictures(classes: Path, out: Path) -> int:
    return main(
        [
            *("train", "--tasks", "folder", "--tasks.path", str(classes), "--tasks.size", "12"),
            *("--n-way=2", "--n-shot=2", "--net.name", "MLP", "--net.hidden", "[16]", *QUICK),
            *("--out", str(out)),
        ]
    )


@pytest.fixture(scope="module")
def pictures(classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "pictures"
    assert train_pictures(classes, out) == 0
    return out


@pytest.fixture(scope="module")
def sinusoid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "sinusoid"
    assert main([*SINUSOID, "--out", str(out)]) == 0
    return out


def refused(capsys: pytest.CaptureFixture[str], words: list[str], code: int) -> str:
    """What a command that exits with this code says."""
    capsys.readouterr()
    assert main(words) == code, f"{words}: {capsys.readouterr().err}"
    said = capsys.readouterr().err
    assert said.startswith("quickstudy: ")
    assert "Traceback" not in said
    return said


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    said = capsys.readouterr().out
    assert all(f"  {name} " in said for name in COMMANDS)
    assert said.index("examples:") < said.index("commands:")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip() == __version__


@pytest.mark.parametrize("command", COMMANDS)
def test_help_starts_with_examples_and_has_hyphens(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    said = capsys.readouterr().out
    lines = [line.strip() for line in said.splitlines()]
    assert lines[0].startswith("example")
    assert any(line.startswith(f"quickstudy {command}") for line in lines[1:8])
    assert said.index(f"quickstudy {command}") < said.index("usage:")
    options = [word for line in lines for word in line.split() if word.startswith("--")]
    assert not [option for option in options if "_" in option.split("=")[0]]


def test_train_evaluate_adapt_predict(
    pictures: Path, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = RunDirectory(pictures).read()
    assert record["stopped"] == "steps"
    assert record["config"]["tasks"]["size"] == 12

    capsys.readouterr()
    words = ["evaluate", str(pictures), "--n-tasks", "6", "--json", str(tmp_path / "out.json")]
    assert main([*words, "--pictures", str(tmp_path / "pictures")]) == 0
    said = capsys.readouterr().out
    assert "NearestCentroid" in said
    found = json.loads((tmp_path / "out.json").read_text())
    wanted = "learner tasks split norm seed n_way n_shot n_query n_tasks accuracy ci95"
    assert {*wanted.split(), "ci95_disjoint", "ece", "baselines", "minutes", "machine"} <= set(
        found
    )
    assert (found["learner"], found["tasks"]) == ("PrototypicalNetwork", "folder")
    assert (found["n_way"], found["n_shot"], found["n_query"], found["n_tasks"]) == (2, 2, 3, 6)
    keys = {"accuracy", "ci95", "difference", "difference_ci95"}
    assert len(found["baselines"]) == 3
    assert all(keys <= set(row) for row in found["baselines"].values())
    assert list((tmp_path / "pictures").glob("*.svg"))

    support = tmp_path / "support"
    for name in ("class00", "class06"):
        shutil.copytree(classes / name, support / name)
    task = tmp_path / "mine.task"
    assert main(["adapt", str(pictures), "--support", str(support), "--out", str(task)]) == 0
    said = capsys.readouterr().out
    assert "learned from 16 examples" in said
    assert "classes: class00, class06" in said
    assert "quality: accuracy" in said
    queries = [str(classes / name / "0.png") for name in ("class06", "class00")]
    assert main(["predict", str(task), *queries]) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    want = [str(label) for label in load_task(task).predict(queries)]
    assert [row[:2] for row in rows] == [[q, w] for q, w in zip(queries, want, strict=True)]
    assert main(["predict", str(task), *queries, "--json", "true"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [row["prediction"] for row in found] == want
    assert all(sum(row["probabilities"].values()) == pytest.approx(1) for row in found)
    assert main(["predict", str(task), *queries, "--min-confidence", "1"]) == 0
    least = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[1:] for row in least] == [["not sure", row[2]] for row in rows]
    assert "min_confidence" in refused(
        capsys, ["predict", str(task), *queries, "--min-confidence", "2"], 2
    )


def test_evaluate_keeps_meta_training_out_of_meta_test(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = refused(capsys, ["evaluate", str(pictures), "--n-tasks", "2", "--seed", "5"], 2)
    assert "seed of folder splits its classes" in said


def test_evaluate_with_other_settings(sinusoid: Path, tmp_path: Path) -> None:
    words = ["evaluate", str(sinusoid), "--n-shot", "4", "--seed", "7", "--inner-steps", "3"]
    out = tmp_path / "out.json"
    quick = ["--n-tasks", "3", "--baselines", "false", "--curves", "false", "--json", str(out)]
    assert main([*words, *quick]) == 0
    found = json.loads(out.read_text())
    assert (found["n_shot"], found["seed"], found["inner_steps"]) == (4, 7, 3)
    assert found["metric"] == "mse"
    assert found["baselines"] == {}
    assert "--n-shot 4" in found["command"]


def test_one_task_has_no_interval_and_the_file_is_json(sinusoid: Path, tmp_path: Path) -> None:
    def strict(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    out = tmp_path / "out.json"
    words = ["--n-tasks", "1", "--baselines", "false", "--curves", "false", "--json", str(out)]
    assert main(["evaluate", str(sinusoid), *words]) == 0
    assert json.loads(out.read_text(), parse_constant=strict)["ci95"] is None


def test_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ["size,colour,kind"]
    for kind in range(9):
        lines += [f"{kind + i / 10},{'red' if kind % 2 else 'blue'},k{kind}" for i in range(6)]
    (tmp_path / "rows.csv").write_text("\n".join(lines))
    words = ["--tasks.path", str(tmp_path / "rows.csv"), "--tasks.target", "kind"]
    out = tmp_path / "run"
    options = ["--n-way", "2", "--n-shot", "2", *QUICK, "--net.hidden", "[8]", "--out", str(out)]
    assert main(["train", "--tasks", "table", *words, *options]) == 0
    (tmp_path / "mine.csv").write_text("colour,size,name\nred,1.0,a\nblue,5.0,b\nred,1.2,a\n")
    task = tmp_path / "mine.task"
    support = ["--support", str(tmp_path / "mine.csv"), "--target", "name"]
    assert main(["adapt", str(out), *support, "--out", str(task)]) == 0
    assert "quality: not measured" in capsys.readouterr().out
    assert main(["predict", str(task), str(tmp_path / "mine.csv")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 3
    assert "--target" in refused(capsys, ["adapt", str(out), *support[:2], "--out", "x"], 2)
    wrong = ["adapt", str(out), *support[:3], "nome", "--out", str(tmp_path / "x")]
    assert "'nome'" in refused(capsys, wrong, 2)
    assert not (tmp_path / "x").exists()
    (tmp_path / "mine.csv").write_text("colour,size,name\nred,1.0,a\nblue,5.0,NA\n")
    assert main(["adapt", str(out), *support, "--out", str(task)]) == 0
    said = capsys.readouterr().out
    assert "classes: NA, a" in said
    assert "note: NA is taken for a class; --missing NA says that it is none" in said
    none = ["adapt", str(out), *support, "--missing", "NA", "--out", str(task)]
    assert "line 3" in refused(capsys, none, 2)
    assert main(["data", "table", *(w.replace("tasks.", "") for w in words)]) == 0


def test_data(classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "folder", "--path", str(classes)]) == 0
    said = capsys.readouterr().out
    assert "train" in said
    assert "meta" not in said
    assert main(["data", "sinusoid"]) == 0
    assert "n_shot" in capsys.readouterr().out
    assert "did you mean sinusoid" in refused(capsys, ["data", "sinusiod"], 2)
    assert "path" in refused(capsys, ["data", "folder"], 2)
    assert "not a folder" in refused(capsys, ["data", "folder", "--path", "/nowhere/at/all"], 3)


def test_doctor(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "all is well" in said
    assert "torch" in said

    def wrong(*args: Any) -> None:
        raise AssertionError("vmap differs from the loop")

    monkeypatch.setattr("quickstudy.testing.check_learner", wrong)
    assert "vmap differs" in refused(capsys, ["doctor"], 3)


SMALL: dict[str, Any] = {
    "train": {
        "tasks": {"name": "sinusoid"},
        "learner": {"name": "MAML", "inner_lr": 0.01, "inner_steps": 1},
        "net": {"name": "MLP", "hidden": [8]},
        "n_shot": 5,
        "n_query": 5,
        "steps": 4,
        "meta_batch": 2,
        "valid_every": 2,
        "valid_tasks": 3,
        "seed": 1,
    },
    "evaluate": [
        {"n_query": 20, "n_tasks": 5, "inner_steps": 1, "expect": {"at_most": 1000.0}},
        {
            "n_query": 20,
            "n_tasks": 5,
            "inner_steps": 2,
            "expect": {"metric": "median", "at_least": 0.0},
        },
    ],
}


def recipe_of(**changed: Any) -> str:
    """A recipe whose two profiles differ in their steps."""
    cpu = {**SMALL, **changed}
    paper = copy.deepcopy({**SMALL, "train": {**SMALL["train"], "steps": 6}})
    return yaml.safe_dump({"title": "Small", "profiles": {"cpu": cpu, "paper": paper}})


def test_reproduce(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe, out = tmp_path / "small.yaml", tmp_path / "run"
    recipe.write_text(recipe_of())
    words = ["reproduce", str(recipe), "--out", str(out)]
    assert main([*words, "--record", "true"]) == 0
    assert "reached" in capsys.readouterr().out
    plan = yaml.safe_load(recipe.read_text())["profiles"]
    first, second = (entry["recorded"] for entry in plan["cpu"]["evaluate"])
    wanted = {"mse", "ci95", "n_tasks", "norm", "seed", "steps", "minutes", "date", "machine"}
    assert {*wanted, "cpu_minutes"} <= set(first)
    assert "median" in second
    assert "mse" not in second, "a recipe keeps the metric of its bar"
    assert not any("recorded" in entry for entry in plan["paper"]["evaluate"])
    assert main(words) == 0, "a finished run is measured again"
    found = json.loads((out / "reproduced.json").read_text())
    assert found[0]["mse"] == pytest.approx(first["mse"], abs=1e-4)
    recipe.write_text(recipe_of(evaluate=[{**SMALL["evaluate"][0], "expect": {"at_most": 1e-9}}]))
    assert main(words) == 1
    assert "missed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("tasks", "places"),
    [
        ({"name": "omniglot"}, {"data_dir": Path("own")}),
        ({"name": "eth_ucy", "path": "data/eth_ucy"}, {"path": Path("own")}),
        (
            {"name": "ratings", "path": "data/ratings.csv", "items": "data/movies.dat"},
            {"path": Path("own/ratings.csv"), "items": Path("own/movies.dat")},
        ),
        (
            {"name": "windows", "path": "data/m4/a.csv.gz", "future": "data/m4/b.csv.gz"},
            {"path": Path("own/a.csv.gz"), "future": Path("own/b.csv.gz")},
        ),
    ],
)
def test_data_of_a_recipe_are_those_of_a_folder(
    tasks: dict[str, Any], places: dict[str, Path]
) -> None:
    assert _with_data(tasks, Path("own")) == {**tasks, **places}


def test_reproduce_the_other_profile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small.yaml").write_text(recipe_of())
    assert main(["reproduce", "small.yaml", "--profile", "paper", "--record"]) == 0
    assert RunDirectory("runs/small-paper").read()["step"] == 6
    plan = yaml.safe_load(Path("small.yaml").read_text())["profiles"]
    assert "--profile paper" in plan["paper"]["evaluate"][0]["recorded"]["command"]
    only = {"title": "Small", "profiles": {"cpu": SMALL}}
    Path("small.yaml").write_text(yaml.safe_dump(only))
    said = refused(capsys, ["reproduce", "small.yaml", "--profile", "paper"], 2)
    assert "has the profiles cpu" in said


def test_a_recipe_records_intervals_where_there_are_some() -> None:
    measured = {"metric": "smape", "smape": 7.0, "ci95": 0.5, "owa": 0.7, "owa_ci95": 0.1}
    assert _numbers(measured, "smape") == {"smape": 7.0, "ci95": 0.5}
    assert _numbers(measured, "owa") == {"owa": 0.7, "ci95": 0.1}
    of_one_task = {**measured, "ci95": float("nan")}
    assert _numbers(of_one_task, "smape") == {"smape": 7.0}


def test_reproduce_refuses_a_metric_that_is_not_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "small.yaml"
    for metric in ("instance 2", "acuracy"):
        bar = {"metric": metric, "at_least": 0.0}
        recipe.write_text(recipe_of(evaluate=[{**SMALL["evaluate"][0], "expect": bar}]))
        assert main(["reproduce", str(recipe), "--out", str(tmp_path / "run")]) == 2
        said = capsys.readouterr().err
        assert repr(metric) in said
        assert "mse" in said


@pytest.mark.parametrize(
    "content",
    [
        *("", "[]", "3", "{", "profiles: 3", "profiles: {cpu: {}}", "train: {}\nevaluate: []"),
        "profiles: {cpu: {train: {}, evaluate: [{}]}}",
        "profiles: {cpu: {train: 3, evaluate: []}}",
    ],
)
def test_what_is_no_recipe(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.yaml").write_text(content)
    words = ["reproduce", str(tmp_path / "x.yaml"), "--out", str(tmp_path / "run")]
    assert "recipe" in refused(capsys, words, 2)
    assert "recipe" in refused(capsys, ["reproduce", str(tmp_path / "none.yaml")], 2)
    assert not (tmp_path / "run").exists()


def test_resume(tmp_path: Path, classes: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the settings of the run, whatever they were; only how long it goes on may change."""
    out = tmp_path / "run"
    assert train_pictures(classes, out) == 0
    assert main(["train", "--resume", str(out), "--steps", "6"]) == 0
    assert RunDirectory(out).read()["step"] == 6
    assert "at step 6" in capsys.readouterr().out
    said = refused(capsys, ["train", "--resume", str(out), "--outer-lr", "0.5"], 2)
    assert "outer-lr" in said
    assert all(name.replace("_", "-") in said for name in MAY_CHANGE)
    assert "no such folder" in refused(capsys, ["train", "--resume", str(tmp_path / "no")], 3)
    record = out / "run.json"
    record.write_text(record.read_text().replace('"step": 6', '"step": 7'))
    assert "sha256" in refused(capsys, ["train", "--resume", str(out)], 3)


def test_resumed_is_bit_identical_through_a_config_file(tmp_path: Path) -> None:
    config = {key: SMALL["train"][key] for key in SMALL["train"]}
    config |= {"steps": 5, "schedule": "cosine", "optimizer_options": {"betas": [0.8, 0.9]}}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    words = ["train", "--config", str(tmp_path / "config.yaml")]
    assert main([*words, "--out", str(tmp_path / "straight")]) == 0
    assert main([*words, "--out", str(tmp_path / "parts"), "--minutes", "0"]) == 0
    assert RunDirectory(tmp_path / "parts").read()["step"] == 1
    again = ["train", "--resume", str(tmp_path / "parts"), "--minutes", "10"]
    assert main(again) == 0
    found = [RunDirectory(tmp_path / name).read() for name in ("straight", "parts")]
    assert found[0]["files"]["weights"]["sha256"] == found[1]["files"]["weights"]["sha256"]
    assert found[0]["training"]["optimizer_options"] == {"betas": [0.8, 0.9]}


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["trian"], "did you mean train"),
        (["evalute", "x"], "did you mean evaluate"),
        (["--verison"], "unknown command"),
        (["train"], "--out"),
        (["train", "--learner", "ProtoNet"], "did you mean PrototypicalNetwork"),
        (["train", "--learner=MALM"], "did you mean MAML"),
        (["export", "a.task", "--out", "b"], "received --out; see quickstudy export --help"),
        (["train", "--tasks", "glyph"], "did you mean glyphs"),
        (["train", "--net", "Conv5"], "did you mean Conv4"),
        (["train", "--stesp", "3"], "did you mean --steps?"),
        (["train", "--meta-bacth=3"], "did you mean --meta-batch?"),
        (
            ["train", "--tasks", "sinusoid", "--learner", "MAML", "--learner.inner-step", "1"],
            "did you mean --learner.inner-steps?",
        ),
        (["train", "--steps", "many"], "many"),
        (["train", "--steps", "0", "--tasks", "sinusoid", "--learner", "MAML"], "steps"),
        (["train", "--seed", "-1", "--tasks", "sinusoid", "--learner", "MAML"], "seed must be"),
        (["train", "--minutes", "-1", "--tasks", "sinusoid", "--learner", "MAML"], "minutes must"),
        (["train", "--outer-lr", "0", "--tasks", "sinusoid", "--learner", "MAML"], "outer_lr must"),
        (["train", "--n-way", "1", "--net", "MLP"], "n_way must be at least 2"),
        (
            ["train", "--tasks", "sinusoid", "--learner", "MAML", "--learner.inner-lr", "-1"],
            "inner_lr must be at least 0",
        ),
        (
            ["train", "--tasks", "sinusoid", "--learner", "MAML", "--tasks.augment.mix-share", "1"],
            "mix_share has an effect only with",
        ),
        (["evaluate", "x", "--n-tasks", "0"], "n_tasks must be at least 1"),
        (["evaluate", "x", "--n-way", "1"], "n_way must be at least 2"),
        (["evaluate", "x", "--seed", "-1"], "seed must be at least 0"),
        (["demo", "--n-tasks", "0"], "n_tasks must be at least 1"),
        (["keys", "list", "--tenant", "acme"], "keys list: --tenant has no effect here"),
        (["keys", "create", "--tenant", "acme", "--key", "1a"], "--key has no effect here"),
        (["train", "--tasks", "glyphs", "--learner", "LearnerGenerator"], "is for rows of tables"),
        (
            ["train", "--tasks", "table_prior", "--learner", "LearnerGenerator", "--net", "MLP"],
            "with LearnerGenerator, which takes no network; received --net;",
        ),
        (["tables", "x", "--splits", "0"], "splits must be at least 1"),
        (["train", "--schedule", "cosin"], "cosin"),
        (["train", "--tasks", "sinusoid"], "PrototypicalNetwork"),
        (["train", "--tasks", "sinusoid"], "such as PriorHead or MAML"),
        (["train", "--tasks", "sinusoid", "--learner", "MAML", "--n-way", "5"], "n-way"),
        (["train", "--tasks", "sinusoid", "--learner", "MAML", "--n-shot", "0"], "n_shot"),
        (
            ["train", "--tasks", "sinusoid", "--learner", "MAML", "--outer-optimizer", "Adan"],
            "Adan",
        ),
        (["train", "--tasks", "sinusoid", "--learner", "MAML", "--device", "gpu"], "device"),
        (["train", "--tasks", "sinusoid", "--learner", "MAML", "--net.pool", "x"], "pool"),
        (["train", "--tasks", "sinusoid", "--learner", "MAML", "--net.hidden", "x"], "hidden"),
        (["train", "--tasks", "folder"], "needs --tasks.path; received none; give it;"),
        (
            ["train", "--tasks", "windows", "--tasks.path", "x", "--tasks.layout", "tall"],
            "--tasks.layout must be one of rows, long, columns, auto; received tall; choose one;",
        ),
        (
            ["train", "--tasks", "windows", "--tasks.path=x", "--tasks.horizon=2", "--n-shot=3"],
            "these tasks have no shots to choose; received --n-shot; leave it out.",
        ),
        (["train", "--tasks", "table", "--tasks.path", "x"], "tasks.target"),
        (["train", "--config", "/nowhere.yaml"], "nowhere.yaml"),
        (["train", "--resume"], "resume"),
        (["evaluate"], "run"),
        (["evaluate", "x", "--n-taks", "3"], "did you mean --n-tasks?"),
        (["evaluate", "x", "--split", "tset"], "tset"),
        (["evaluate", "x", "--seed", "1.5"], "--seed must be a whole number; received 1.5;"),
        (
            ["evaluate", "x", "--tasks", "y"],
            "--tasks must be options by name, each as --tasks.NAME",
        ),
        (["predict", "x", "--coverage", "high"], "--coverage must be a number; received high;"),
        (["predict", "x", "--text"], "--text needs a value; received none;"),
        (["evaluate", "x", "y"], "y"),
        (["adapt", "x", "--out", "y"], "support"),
        (["predict"], "task"),
        (["demo", "--owt", "x"], "did you mean --out?"),
        (["doctor", "--fast"], "--fast"),
    ],
    ids=" ".join,
)
def test_wrong_words(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] == "train" and len(words) > 1:
        words = [*words, "--out", "run"] if words[-1] != "--resume" else words
    assert message in refused(capsys, words, 2)
    assert not list(tmp_path.iterdir()), "nothing is left behind"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "expected options by name; received [1, 2]"),
        ("3", "expected options by name"),
        ("{", "expected a YAML file"),
        ("a: b", "received --a"),
        ("stepz: 3", "received --stepz; did you mean --steps?"),
        ("learner: {name: MAML, inner_step: 3}", "did you mean --learner.inner-steps?"),
        ("learner: MALM", "did you mean MAML?"),
        ("tasks: {name: sinusoid, pth: x}\nlearner: MAML", "received --tasks.pth"),
    ],
)
@pytest.mark.parametrize("command", ["train", "search"])
def test_a_config_that_cannot_be_is_named(
    command: str, content: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(content)
    words = [command, "--config", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "run")]
    assert message in refused(capsys, words, 2)
    assert not (tmp_path / "run").exists()


def test_a_config_may_name_learner_and_tasks_alone(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("learner: MAML\ntasks: sinusoid\nvalid-tasks: 2\nsteps: 9\n")
    words = ["--config", str(tmp_path / "c.yaml"), *QUICK, "--net.hidden", "[8]", "--steps", "1"]
    assert main(["train", *words, "--out", str(tmp_path / "run")]) == 0
    config = RunDirectory(tmp_path / "run").read()["config"]
    assert (config["learner"]["name"], config["tasks"]["name"]) == ("MAML", "sinusoid")
    assert config["steps"] == 1


def test_a_table_without_meta_valid_classes_is_trained_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [f"{c}.{i},{9 - c}.{i},k{c}\n" for c in range(8) for i in range(6)]
    (tmp_path / "t.csv").write_text("a,b,kind\n" + "".join(rows))
    words = ["train", "--tasks", "table", "--tasks.path", str(tmp_path / "t.csv"), "--n-way", "2"]
    words += ["--tasks.target", "kind", "--tasks.valid", "0", *QUICK, "--net.hidden", "[4]"]
    assert main([*words, "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert "no validation, and the last weights are kept" in said.err
    assert "not validated, so that the last weights are kept" in said.out
    assert "chooses by validation" in refused(
        capsys, ["search", *words[1:11], "--n-query", "3", "--out", str(tmp_path / "search")], 2
    )


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_console_that_cannot_carry_a_name_gets_escapes(
    encoding: str,
    pictures: Path,
    classes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    support, task = tmp_path / "support", tmp_path / "mine.task"
    for name, of in (("\u732b\U0001f431", "class00"), ("dog", "class06")):
        shutil.copytree(classes / of, support / name)
    queries = [str(path) for path in sorted((support / "\u732b\U0001f431").iterdir())[:3]]

    def printed(*words: str) -> str:
        console = io.TextIOWrapper(io.BytesIO(), encoding, write_through=True)
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", console)
            assert main([*words]) == 0
        console.seek(0)
        return console.read()

    said = printed("adapt", str(pictures), "--support", str(support), "--out", str(task))
    assert r"classes: dog, \u732b\U0001f431" in said
    lines = printed("predict", str(task), *queries).splitlines()
    answers = [str(label) for label in load_task(task).predict(queries)]
    assert "\u732b\U0001f431" in answers
    escaped = [answer.encode("ascii", "backslashreplace").decode() for answer in answers]
    assert [line.split("\t")[1] for line in lines] == escaped
    rows = json.loads(printed("predict", str(task), *queries, "--json"))
    assert [row["prediction"] for row in rows] == answers


def test_a_target_beside_a_folder_is_refused(
    pictures: Path, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["adapt", str(pictures), "--support", str(classes), "--out", str(tmp_path / "t.task")]
    assert "whose class folders are the labels" in refused(capsys, [*words, "--target", "kind"], 2)
    assert not list(tmp_path.iterdir())


def test_options_beside_a_resumed_run(
    sinusoid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    resume = ["train", "--resume", str(sinusoid), "--steps", "5"]
    said = refused(capsys, [*resume, "--out", str(tmp_path / "z")], 2)
    assert "a run goes on in its own folder" in said
    assert not (tmp_path / "z").exists()
    assert "give --out" in refused(capsys, [*SINUSOID, "--resume", "auto"], 2)


def test_resume_auto_begins_or_goes_on_or_refuses(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*SINUSOID, "--out", str(tmp_path / "run"), "--resume", "auto"]
    assert main(words) == 0
    assert RunDirectory(tmp_path / "run").read()["step"] == 4
    assert main([*words, "--steps", "6"]) == 0
    assert RunDirectory(tmp_path / "run").read()["step"] == 6
    said = refused(capsys, [*words, "--outer-lr", "0.5"], 2)
    assert "another training.outer_lr" in said
    assert "holds a run" not in said
    assert main([*SINUSOID, "--steps", "6", "--out", str(tmp_path / "straight")]) == 0
    one, two = (RunDirectory(tmp_path / name).load("resume")[0] for name in ("run", "straight"))
    assert all(torch.equal(one[name], two[name]) for name in two)


@pytest.mark.parametrize(
    ("evaluate", "message"),
    [
        ({"n_taks": 3, "expect": {"at_least": 0}}, "did you mean --n-tasks?"),
        ({"n_tasks": "many", "expect": {"at_least": 0}}, "n_tasks must be int"),
        ({"expect": {"at_leest": 0}}, "a bar needs at_least or at_most"),
        ({"expect": {"at_least": 0, "metrik": "mse"}}, "did you mean --metric?"),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_before_training(
    evaluate: dict[str, Any],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = {"learner": {"name": "MAML"}, "tasks": {"name": "sinusoid"}, "steps": 1}
    recipe = {"profiles": {"cpu": {"train": train, "evaluate": [evaluate]}}}
    (tmp_path / "r.yaml").write_text(yaml.safe_dump(recipe))
    monkeypatch.chdir(tmp_path)
    assert message in refused(capsys, ["reproduce", "r.yaml"], 2)
    assert [path.name for path in tmp_path.iterdir()] == ["r.yaml"]


def test_bad_data_leaves_nothing_behind(
    pictures: Path, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ["--out", str(tmp_path / "run")]
    folder = ["train", "--tasks", "folder", "--n-way", "2", *QUICK, "--tasks.path"]
    refused(capsys, [*folder, str(tmp_path / "none"), *run], 3)
    (tmp_path / "empty").mkdir()
    refused(capsys, [*folder, str(tmp_path / "empty"), *run], 2)
    said = refused(capsys, [*folder, str(classes), "--n-shot", "7", *run], 2)
    assert "needs 10 examples" in said
    cut = Path(shutil.copytree(classes, tmp_path / "cut"))
    damaged = cut / "class03" / "2.png"
    damaged.write_bytes(damaged.read_bytes()[:60])
    assert "2.png" in refused(capsys, [*folder, str(cut), *run], 2)
    assert not (tmp_path / "run").exists()

    task = tmp_path / "mine.task"
    adapt = ["adapt", str(pictures), "--out", str(task), "--support"]
    refused(capsys, [*adapt, str(cut)], 2)
    refused(capsys, [*adapt, str(tmp_path / "none")], 3)
    refused(capsys, [*adapt, str(tmp_path / "empty")], 2)
    (tmp_path / "one" / "only").mkdir(parents=True)
    shutil.copy(classes / "class00" / "0.png", tmp_path / "one" / "only")
    assert "two classes" in refused(capsys, [*adapt, str(tmp_path / "one")], 2)
    refused(capsys, ["adapt", str(tmp_path / "norun"), *adapt[2:], str(classes)], 3)
    assert not task.exists()
    refused(capsys, ["adapt", str(pictures), "--out", str(tmp_path), "--support", str(classes)], 2)

    refused(capsys, ["predict", str(task), "x.png"], 3)
    assert main([*adapt, str(classes)]) == 0
    assert "nowhere.png" in refused(capsys, ["predict", str(task), "nowhere.png"], 2)
    refused(capsys, ["predict", str(task)], 2)
    task.write_bytes(task.read_bytes()[:-9])
    refused(capsys, ["predict", str(task), str(classes / "class00" / "0.png")], 3)


def test_evaluating_what_cannot_be(
    pictures: Path, sinusoid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = ["--json", str(tmp_path / "out.json")]
    said = refused(capsys, ["evaluate", str(pictures), "--inner-steps", "3", *out], 2)
    assert "inner_steps" in said
    assert "n_way" in refused(capsys, ["evaluate", str(pictures), "--n-way", "50", *out], 2)
    refused(capsys, ["evaluate", str(pictures), "--n-tasks", "0", *out], 2)
    refused(capsys, ["evaluate", str(sinusoid), "--n-way", "3", *out], 2)
    refused(capsys, ["evaluate", str(sinusoid), "--inner-steps", "-1", *out], 2)
    refused(capsys, ["evaluate", str(tmp_path / "none"), *out], 3)
    assert not (tmp_path / "out.json").exists()


def test_the_exit_codes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for error, code in (
        (errors.QuickstudyError, 1),
        (errors.UserError, 2),
        (errors.DataError, 3),
        (errors.CheckpointError, 3),
        (errors.NonFiniteError, 4),
        (KeyboardInterrupt, 130),
        (PermissionError, 1),
    ):

        def fail(argv: Any, error: type[BaseException] = error) -> int:
            raise error("what and where; received; do")

        monkeypatch.setitem(COMMANDS, "doctor", fail)
        refused(capsys, ["doctor"], code)


def test_a_diverging_run_exits_4(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*SINUSOID, "--learner.inner-lr", "1e30", "--max-bad-steps", "2"]
    said = refused(capsys, [*words, "--out", str(tmp_path / "run")], 4)
    assert "last good checkpoint" in said
    RunDirectory(tmp_path / "run").load("resume")


def test_a_closed_pipe_is_no_error(classes: Path) -> None:
    """`quickstudy data folder ... | head -1`."""
    read, write = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "quickstudy", "data", "folder", "--path", str(classes)],
        env=environment(),
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(read)
    os.close(write)
    _, errors = process.communicate(timeout=600)
    assert "Traceback" not in errors


def test_the_table_is_made_from_the_json_alone(
    pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = evaluate_run(pictures, Evaluation(n_tasks=2, baselines=False, curves=False))
    assert result["accuracy"] == result.scores.mean.value
    assert result["parameters"] == result.parameters
    capsys.readouterr()
    print_evaluation(json.loads(json.dumps(result.to_json())))
    assert "folder/test, 2-way 2-shot, 2 tasks" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "value"),
    [([], False), (["--record"], True), (["--record", "false"], False), (["--record=true"], True)],
)
def test_a_switch_needs_no_value(words: list[str], value: bool) -> None:
    parser = Parser(prog="quickstudy reproduce", description="")
    parser.add_function_arguments(reproduce, as_positional=True)
    assert parser.read(["recipe.yaml", *words, "--out", "run"]).record is value
