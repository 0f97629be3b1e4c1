"""`quickstudy compare`: trains once, loads what is there, and refuses what cannot be compared."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from small import draw_classes, seal_of
from test_cli import refused
from test_compare import of, without_times

from quickstudy.cli.compare import EXAMPLES, compare_parser
from quickstudy.cli.main import main
from quickstudy.compare import plans
from quickstudy.files.rundir import RunDirectory
from quickstudy.training.result import Result

JSON = dict[str, Any]
QUICK = [
    *("--steps", "4", "--meta-batch", "2", "--valid-every", "2", "--valid-tasks", "3"),
    *("--n-query", "3", "--n-tasks", "4", "--net", "MLP", "--net.hidden", "[8]"),
]
BOTH = ["compare", "--learners", "PrototypicalNetwork", "MAML", "--n-way", "2", "3", *QUICK]
RUNS = ("PrototypicalNetwork", "MAML")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_classes(tmp_path_factory.mktemp("data") / "classes", 20, 8)


def folder(classes: Path) -> list[str]:
    return ["--tasks", "folder", "--tasks.path", str(classes), "--tasks.size", "12"]


@pytest.fixture(scope="module")
def compared(classes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "comparison"
    assert main([*BOTH, *folder(classes), "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="module")
def sinusoid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "sinusoid"
    words = ["train", "--learner", "MAML", "--tasks", "sinusoid", "--net.hidden", "[8]"]
    assert main([*words, *QUICK[:10], "--out", str(out)]) == 0
    return out


def numbers(out: Path) -> JSON:
    def strict(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    text = (out / "comparison.json").read_text()
    return json.loads(text, parse_constant=strict)


def seals(out: Path) -> list[str]:
    return [seal_of(out / "runs" / name) for name in RUNS]


def test_training_and_comparing(compared: Path) -> None:
    found = numbers(compared)
    names = [row["name"] for row in found["rows"]]
    assert names == [*RUNS, "NearestCentroid", "LogisticRegression", "FineTuning"]
    assert [s["n_way"] for s in found["settings"]] == [2, 3]
    for name in RUNS:
        record = RunDirectory(compared / "runs" / name).read()
        assert record["config"]["n_way"] == 2, "meta-trained on the first number of ways"
        assert record["config"]["steps"] == of(found, name)["steps"] == 4
        assert record["config"]["net"]["hidden"] == [8]
        assert of(found, name)["notes"] == []
    assert all(r["accuracy"] is not None for row in found["rows"] for r in row["results"])
    assert found["command"].startswith("quickstudy compare --learners PrototypicalNetwork")
    page = (compared / "comparison.html").read_text()
    assert all(name in page for name in names)
    shown = {path.name for path in (compared / "pictures").glob("*.svg")}
    wanted = {"comparison.svg", "accuracy_by_time.svg", "accuracy_by_training.svg"}
    assert shown == wanted, "one number of shots makes no curve"


def test_a_finished_run_is_not_trained_again(
    compared: Path, classes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = seals(compared)
    records = [(compared / "runs" / name / "run.json").read_text() for name in RUNS]
    first = without_times(numbers(compared))
    assert main([*BOTH, *folder(classes), "--out", str(compared)]) == 0
    assert seals(compared) == before
    assert records == [(compared / "runs" / name / "run.json").read_text() for name in RUNS]
    assert without_times(numbers(compared)) == first
    said = capsys.readouterr().out
    assert "meta-training PrototypicalNetwork" not in said
    assert "PrototypicalNetwork" in said


def test_a_run_goes_on_to_more_steps_and_not_with_other_settings(
    classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "comparison"
    words = ["compare", "--learners", "PrototypicalNetwork", *QUICK, *folder(classes)]
    words += ["--n-way", "2", "--baselines", "false", "--out", str(out)]
    assert main(words) == 0
    assert main([*words, "--steps", "6"]) == 0
    run = RunDirectory(out / "runs" / "PrototypicalNetwork")
    assert run.read()["step"] == 6
    page = (out / "comparison.html").read_bytes()
    said = refused(capsys, [*words, "--steps", "6", "--outer-lr", "0.5"], 2)
    assert "outer-lr" in said
    assert "another --out" in said
    assert run.read()["step"] == 6
    assert (out / "comparison.html").read_bytes() == page


def test_a_run_that_time_stopped_is_loaded_as_it_is(classes: Path, tmp_path: Path) -> None:
    words = ["compare", "--learners", "PrototypicalNetwork", *QUICK, *folder(classes)]
    words += ["--n-way", "2", "--baselines", "false", "--minutes", "0", "--out", str(tmp_path)]
    for _ in range(2):
        assert main(words) == 0
        assert RunDirectory(tmp_path / "runs" / "PrototypicalNetwork").read()["step"] == 1


def test_an_interrupted_training_exits_130(
    classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(options: JSON, resume: bool, recorded: Any) -> Result:
        return Result("interrupted", 1, 0.0, 0.0, 0, 1.0)

    monkeypatch.setattr(plans, "run_training", stop)
    assert main([*BOTH, *folder(classes), "--out", str(tmp_path / "x")]) == 130
    assert not (tmp_path / "x" / "comparison.json").exists()


def test_runs_give_the_numbers_of_their_training(
    compared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(compared / "runs" / name) for name in RUNS]
    out = tmp_path / "numbers" / "out.json"
    capsys.readouterr()
    assert main(["compare", *paths, "--n-tasks", "4", "--n-way", "2", "--json", str(out)]) == 0
    said = capsys.readouterr().out
    assert "classes/test, 4 tasks of each kind" in said
    assert "page" not in said
    found, want = json.loads(out.read_text()), numbers(compared)
    for name in (*RUNS, "FineTuning"):
        for key in ("accuracy", "ci95", "accuracy_disjoint", "difference"):
            assert of(found, name)["results"][0][key] == of(want, name)["results"][0][key]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["numbers", "out.json"]


def test_runs_beside_learners_and_the_tasks_of_the_runs(compared: Path, tmp_path: Path) -> None:
    words = ["compare", str(compared / "runs" / "MAML"), "--learners", "PrototypicalNetwork"]
    quick = [*QUICK, "--reference", "MAML", "--baselines", "false", "--out", str(tmp_path)]
    assert main([*words, *quick]) == 0
    found = numbers(tmp_path)
    assert [row["name"] for row in found["rows"]] == ["MAML", "PrototypicalNetwork"]
    assert found["reference"] == found["settings"][0]["reference"] == "MAML"
    again = tmp_path / "runs" / "PrototypicalNetwork"
    assert seal_of(again) == seal_of(compared / "runs" / "PrototypicalNetwork")


def test_the_file_of_the_docs(
    compared: Path, classes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = Path(__file__).resolve().parents[1] / "docs" / "compare.md"
    text = re.findall(r"```yaml\n(.*?)```", page.read_text(), re.DOTALL)[0]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_classes").symlink_to(classes)
    (tmp_path / "comparison" / "runs").mkdir(parents=True)
    earlier = ["train", "--learner", "MAML", "--tasks", "folder", "--tasks.path", "my_classes"]
    words = ["--n-way", "2", "--n-query", "2", "--steps", "1", "--valid-tasks", "2"]
    run = tmp_path / "comparison" / "runs" / "MAML"
    assert main([*earlier, *words, "--net", "MLP", "--out", str(run)]) == 0
    (tmp_path / "comparison.yaml").write_text(text)
    assert main(["compare", "--config", "comparison.yaml", "--out", "comparison"]) == 0
    names = ["PrototypicalNetwork", "MAML, 1 step", "MAML, wide", "earlier"]
    found = numbers(tmp_path / "comparison")
    assert [row["name"] for row in found["rows"] if not row["baseline"]] == names
    one = RunDirectory(tmp_path / "comparison" / "runs" / "MAML-1-step").read()["config"]
    assert (one["learner"]["inner_steps"], one["outer_lr"], one["steps"]) == (1, 0.01, 2)
    wide = RunDirectory(tmp_path / "comparison" / "runs" / "MAML-wide").read()["config"]
    assert (wide["net"]["name"], wide["net"]["hidden"]) == ("MLP", [64, 64])
    assert of(found, "earlier")["steps"] == 1


def test_regression(sinusoid: Path, tmp_path: Path) -> None:
    words = ["compare", str(sinusoid), "--learners", "MAML", "--n-shot", "3", "6", *QUICK]
    assert main([*words[:3], "FOMAML", *words[4:], "--out", str(tmp_path)]) == 0
    found = numbers(tmp_path)
    assert found["metric"] == "mse"
    assert [(s["n_way"], s["n_shot"]) for s in found["settings"]] == [(None, 3), (None, 6)]
    assert "RidgeRegression" in [row["name"] for row in found["rows"]]


def test_other_tasks_get_a_footnote(
    compared: Path, classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = draw_classes(tmp_path / "others", 20, 9)
    out = ["--n-tasks", "3", "--baselines", "false", "--out", str(tmp_path / "out")]
    words = ["compare", str(compared / "runs" / "MAML"), *folder(other), "--n-query", "3", *out]
    assert main([*words, "--n-way", "2"]) == 0
    assert of(numbers(tmp_path / "out"), "MAML")["notes"] == ["meta-trained on classes"]
    assert "[1] meta-trained on classes" in capsys.readouterr().out


def test_runs_of_different_tasks_are_refused(
    compared: Path, classes: Path, sinusoid: Path, tmp_path: Path, capsys: Any
) -> None:
    maml = str(compared / "runs" / "MAML")
    train = ["train", "--tasks", "folder", "--tasks.size", "12", "--n-way", "2", "--n-query", "3"]
    train += ["--steps", "1", "--valid-tasks", "2", "--net", "MLP", "--tasks.path"]
    other = draw_classes(tmp_path / "others", 20, 9)
    assert main([*train, str(other), "--out", str(tmp_path / "other")]) == 0
    assert main([*train, str(classes), "--seed", "1", "--out", str(tmp_path / "seed")]) == 0
    said = refused(capsys, ["compare", maml, str(tmp_path / "other")], 2)
    assert "all runs must be of the same tasks" in said
    assert "--tasks" in said
    said = refused(capsys, ["compare", maml, str(tmp_path / "seed")], 2)
    assert "seed" in said
    assert "test classes" in said
    said = refused(capsys, ["compare", maml, "--seed", "3"], 2)  # another split too
    assert "test classes" in said
    assert "same tasks" in refused(capsys, ["compare", maml, str(sinusoid)], 2)
    said = refused(capsys, ["compare", maml, "--steps", "9", "--net.hidden", "[4]"], 2)
    assert "have no effect where no learner is trained; received --net.hidden, --steps" in said
    words = ["compare", maml, str(sinusoid), *folder(classes), "--n-query", "3"]
    assert "for regression" in refused(capsys, words, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "neither runs nor learners"),
        (["--learners", "MAML"], "--out"),
        (["--learners", "MALM", "--out", "x"], "did you mean MAML"),
        (["--learners", "MAML", "MAML", "--out", "x"], "'MAML' twice"),
        (["--learners", "MAML", "--tasks", "glyph", "--out", "x"], "did you mean glyphs"),
        (["--lerners", "MAML"], "did you mean --learners?"),
        (["--learners", "MAML", "--out", "x", "--n-way", "five"], "n_way"),
        (["--learners", "MAML", "--out", "x", "--n-taks", "5"], "did you mean --n-tasks?"),
        (
            ["--learners", "MAML", "--out", "x", "--outer-lr", "fast"],
            "--outer-lr must be a number; received fast",
        ),
        (["--config", "none.yaml"], "none.yaml"),
    ],
    ids=str,
)
def test_wrong_words(
    words: list[str], message: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    sinusoid = [] if "--tasks" in words else ["--tasks", "sinusoid"]
    assert message in refused(capsys, ["compare", *words, *sinusoid], 2)
    assert not list(tmp_path.iterdir()), "nothing is left behind"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--learners", "MAML", "--n-way", "2", "9"], "needs 9 classes"),
        (["--learners", "MAML", "--n-shot", "7"], "needs 10 examples"),
        (["--learners", "MAML", "--n-query", "0"], "n_query"),
        (["--learners", "MAML", "--n-tasks", "0"], "n_tasks"),
        (["--learners", "MAML", "--reference", "mine"], "received 'mine'"),
        (["--learners", "MAML", "--net", "MPL"], "did you mean MLP"),
        (["--learners", "MAML", "--net.hiden", "3"], "did you mean --net.hidden?"),
        (["--learners", "MAML", "--tasks.szie", "3"], "did you mean 'size'"),
        (["--learners", "MAML", "--steps", "0"], "steps"),
        (["--split", "valid", "none"], "no such folder"),
    ],
    ids=str,
)
def test_nothing_is_trained_for_a_comparison_that_cannot_be(
    words: list[str], message: str, classes: Path, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = [*folder(classes), "--n-query", "3", "--out", "x"]
    code = 3 if "none" in words else 2
    said = refused(capsys, ["compare", *mine, "--n-way", "2", *words], code)
    assert message in said
    assert not list(tmp_path.iterdir()), "nothing is left behind"


def test_all_learners_are_checked_before_one_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--learners", "MAML", "PrototypicalNetwork", "--tasks", "sinusoid"]
    said = refused(capsys, [*words, *QUICK, "--out", str(tmp_path / "x")], 2)
    assert "PrototypicalNetwork: is for classification" in said
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"learner": "MAML"}, "needs a name"),
        ({"name": "!?", "learner": "MAML"}, "needs a name"),
        ({"name": "RidgeRegression", "learner": "MAML"}, "which a baseline has"),
        ({"name": "a", "learner": "MALM"}, "did you mean MAML"),
        ({"name": "a", "learner": ["MAML"]}, "the learner of 'a'"),
        ({"name": "a", "learner": {"name": "MAML", "inner_step": 1}}, "--learner.inner-steps?"),
        ({"name": "a", "learner": "MAML", "outer_rl": 1}, "did you mean --outer-lr?"),
        ({"name": "a", "learner": "MAML", "tasks": "glyphs"}, "all learners share tasks"),
        ({"name": "a", "learner": "MAML", "out": "here"}, "all learners share tasks and folder"),
        ({"name": "a", "run": "somewhere", "outer_lr": 1}, "loaded as it is"),
        ({"name": "a", "run": "somewhere"}, "no such folder"),
        ({"name": "a", "learner": "MAML", "bf16": True}, "bf16 is for convolutions"),
        ({"name": "a", "learner": "MAML", "pooled": -1}, "pooled must be above 0"),
        ([1], "learners"),
    ],
    ids=str,
)
def test_wrong_entries_of_a_file(
    entry: Any, message: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    config = {"tasks": {"name": "sinusoid"}, "learners": [{"name": "MAML"}, entry]}
    Path("c.yaml").write_text(yaml.safe_dump(config))
    code = 3 if "folder" in message and "share" not in message else 2
    assert message in refused(capsys, ["compare", "--config", "c.yaml", "--out", "x"], code)
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


def test_a_learner_of_tables_is_refused_on_pictures_before_another_is_trained(
    classes: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "--learners", "PrototypicalNetwork", "LearnerGenerator", *folder(classes)]
    words += ["--net", "MLP", "--n-way", "2", "--n-query", "3", "--out", str(tmp_path / "x")]
    assert "LearnerGenerator: is for rows of tables; received inputs of shape" in refused(
        capsys, words, 2
    )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("letter", ["n", "\u732b"])
def test_a_name_too_long_for_a_folder_is_kept_by_its_digest(letter: str, tmp_path: Path) -> None:
    names = [letter * 300, letter * 301]
    entries: list[Any] = [{"name": name, "learner": "MAML"} for name in names]
    kept = [plan.run for plan in plans.plans([], entries, tmp_path)]
    assert kept[0] != kept[1]
    for run, entry in zip(kept, entries, strict=True):
        assert run.name.startswith(letter * 30)
        assert len(run.name.encode()) < 200
        assert run == plans.plans([], [entry], tmp_path)[0].run
        run.mkdir(parents=True)


def test_names_that_would_share_a_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    learners = [{"name": name, "learner": "MAML"} for name in ("a b", "a, b")]
    (tmp_path / "c.yaml").write_text(yaml.safe_dump({"learners": learners}))
    words = ["compare", "--config", str(tmp_path / "c.yaml"), "--out", str(tmp_path / "x")]
    assert "both kept in" in refused(capsys, words, 2)


@pytest.mark.parametrize("content", ["[1, 2]", "3", "{", "a: b", "learners: {a: MAML}", "n_way: 5"])
def test_a_config_file_of_another_shape(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "c.yaml").write_text(content)
    refused(capsys, ["compare", "--config", str(tmp_path / "c.yaml"), "--out", "x"], 2)


def test_runs_of_one_folder_name_are_told_apart_by_their_path(tmp_path: Path) -> None:
    runs = [tmp_path / "a" / "run", tmp_path / "b" / "run", tmp_path / "c"]
    names = [plan.name for plan in plans.plans(runs, [], None)]
    assert names == [str(runs[0]), str(runs[1]), "c"]


def test_a_run_begun_in_python_is_in_the_way(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RunDirectory(tmp_path / "runs" / "MAML").create({"step": 0})
    words = ["compare", "--learners", "MAML", "--tasks", "sinusoid", "--out", str(tmp_path)]
    assert "begun in Python" in refused(capsys, words, 2)


def test_the_examples_are_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line.strip() for line in EXAMPLES.splitlines()]
    words = [shlex.split(line) for line in lines if line.startswith("quickstudy compare")]
    (tmp_path / "comparison.yaml").write_text(EXAMPLES.split("their own:\n")[1])
    read = [compare_parser().read(line[2:]) for line in words]
    assert len(read) == 4
    assert [len(each["learners"]) for each in read] == [0, 2, 1, 3]
