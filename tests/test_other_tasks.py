"""A run is measured on other tasks than those that it was meta-trained on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from small import draw_classes
from test_cli import refused

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.cli.other_tasks import tasks_for
from quickstudy.files.rundir import RunDirectory

SMALL = ["--n-way", "2", "--n-shot", "1", "--n-query", "2"]
FEW = [*SMALL, "--n-tasks", "3", "--baselines", "false", "--curves", "false"]


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    draw_classes(Path("mine"), 12, 4, size=40)


def on_folder(*options: str) -> list[str]:
    return ["evaluate", "drawings", "--tasks.name", "folder", "--tasks.path", "mine", *options]


@pytest.mark.usefixtures("_here")
def test_a_shipped_model_is_measured_on_a_folder() -> None:
    assert main([*on_folder(*FEW), "--json", "out.json"]) == 0
    result = json.loads(Path("out.json").read_text())
    assert result["tasks"] == "folder"
    assert result["accuracy"] > 0.8
    assert (result["n_way"], result["n_shot"], result["n_tasks"]) == (2, 1, 3)


@pytest.mark.usefixtures("_here")
def test_inputs_are_made_as_the_run_makes_its_own() -> None:
    spec = {"name": "glyphs", "n_way": 20, "n_shot": 1, "n_query": 5, "seed": 0}
    model = qs.model("drawings")
    asked = tasks_for(model, spec, {"name": "folder", "path": "mine"})
    assert asked == spec | {"name": "folder", "path": "mine", "size": 28, "mode": "L", "ink": True}
    assert not tasks_for(model, spec, {"name": "folder", "ink": False})["ink"]
    assert tasks_for(model, spec, {"cache_dir": "here"}) == spec | {"cache_dir": "here"}
    assert "n_way" not in tasks_for(model, spec, {"name": "sinusoid"})


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--tasks.size", "20"], "must have the shape of inputs of the run, (1, 28, 28)"),
        (["--tasks.ink", "false"], "must have the inputs of the run"),
    ],
)
def test_inputs_made_otherwise_are_refused(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(capsys, [*on_folder(*FEW), *options], 2)


@pytest.mark.usefixtures("_here")
def test_targets_of_another_kind_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--n-tasks", "3", "--baselines", "false", "--curves", "false"]
    message = refused(capsys, ["evaluate", "drawings", "--tasks.name", "sinusoid", *few], 2)
    assert "must have the targets of the run, classification" in message


@pytest.mark.usefixtures("_here")
def test_classes_that_a_run_was_trained_on_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    train = "--tasks folder --tasks.path mine --n-way 2 --n-query 2 --net.hidden 2 --steps 1"
    assert main(["train", *train.split(), "--valid-tasks", "2", "--out", "run"]) == 0
    splits = RunDirectory("run").read()["data"]["splits"]
    for split, held in (("train", "test"), ("test", "train")):
        for name in splits[held]["names"]:
            shutil.copytree(Path("mine") / name, Path("swapped") / split / name)
    other = ["evaluate", "run", "--tasks.name", "folder", "--tasks.path", "swapped", *FEW]
    assert "must be new to the run" in refused(capsys, other, 2)
