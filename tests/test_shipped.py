"""Models that come with quickstudy: their files, and their names in the place of a run."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pages import check
from small import draw_classes, prototypical, quick
from test_cli import refused

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.cli.models import measured
from quickstudy.files.rundir import RunDirectory
from quickstudy.files.shipped import FOLDER, run_of, shipped
from quickstudy.models.named import by_name, named_models
from quickstudy.tasks import Recorded
from quickstudy.training.plan import resolve

ROOT = Path(__file__).resolve().parents[1]
MOST_BYTES = 3_000_000
NAMES = [*shipped()]


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def run_named_drawings() -> str:
    """A small run in the folder `drawings` of the current folder; the fingerprint of its model."""
    X = np.random.default_rng(0).normal(size=(60, 2))
    tasks = qs.tasks.Episodes(qs.tasks.arrays(X, np.arange(12).repeat(5)), 2, 1, 2)
    quick(tasks, prototypical(tasks), Path("drawings"))
    return qs.load(Path("drawings").resolve()).fingerprint


def test_all_together_are_small() -> None:
    files = [file for file in FOLDER.rglob("*") if file.is_file()]
    assert "drawings" in NAMES
    assert sum(file.stat().st_size for file in files) < MOST_BYTES


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_run_is_whole_and_tells_nothing_of_where_it_was_made(name: str) -> None:
    run = shipped()[name]
    record = RunDirectory(run).read()
    assert record["stopped"] == "steps"
    assert [*record["files"]] == ["weights"]
    named = {entry["name"] for entry in record["files"].values()}
    others = {"run.json", "metrics.jsonl", "evaluation.json", "card.json", "recipe.yaml"}
    assert {file.name for file in run.iterdir()} == named | others
    places = (b"/home/", b"/tmp/", b"/work/", b"/root/")
    for file in run.iterdir():
        assert not [place for place in places if place in file.read_bytes()], file.name


@pytest.mark.parametrize("name", NAMES)
def test_a_card_says_what_was_measured(name: str) -> None:
    model = named_models()[name]
    assert all((model.takes, model.about, model.made, model.licence))
    assert model.takes == qs.model(name).preprocess.modality
    assert model.n_bytes == sum(file.stat().st_size for file in shipped()[name].iterdir())
    assert model.results
    for row in model.results:
        assert {"data", "setting", "n_tasks", "seed", "date", "machine", "command"} <= {*row}
        assert 0 < row["ci95"] < row[row["metric"]] < 1


def test_the_numbers_of_drawings_reach_their_bars() -> None:
    bars = {"Omniglot": (0.90, 0.96), "USPS": (0.785, 0.90), "MNIST": (0.815, 0.92)}
    rows = {(row["data"], row["setting"]): row for row in named_models()["drawings"].results}
    for data, two in bars.items():
        for shots, bar in zip((1, 5), two, strict=True):
            assert rows[data, f"5-way {shots}-shot"]["accuracy"] >= bar


@pytest.mark.skipif("tables" not in NAMES, reason="no run is shipped as tables")
def test_tables_learns_in_its_context_and_the_linear_model_has_a_name_of_its_own() -> None:
    assert type(qs.model("tables").learner).__name__ == "TableEnsemble"
    assert type(qs.model("tables-linear").learner).__name__ == "LinearProbe"


def test_a_copy_without_its_shipped_runs_takes_the_linear_model(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("quickstudy.models.named.shipped", dict)
    for name in ("tables", "tables-linear"):
        assert type(qs.model(name).learner).__name__ == "LinearProbe"
        assert named_models()[name].is_here


def test_the_page_shows_the_recorded_numbers(update_golden: bool) -> None:
    for name, model in named_models().items():
        if not model.results:
            continue
        lines = ["| data | tasks | accuracy |", "| --- | --- | --- |"]
        lines += [
            f"| {row['data']} | {row['setting']} | {measured(row)} |" for row in model.results
        ]
        page = ROOT / "docs" / "models.md"
        check(page, update_golden, **{name: "\n" + "\n".join(lines) + "\n\n"})


@pytest.mark.parametrize("name", NAMES)
def test_the_recipe_made_the_run(name: str) -> None:
    recipe = yaml.safe_load((shipped()[name] / "recipe.yaml").read_text(encoding="utf-8"))
    plan, record = recipe["profiles"]["cpu"], RunDirectory(shipped()[name]).read()
    options = json.loads(json.dumps(resolve(plan["train"] | {"out": name})))
    # Options that came later have their defaults.
    assert options == json.loads(json.dumps(resolve(record["config"])))
    # A bar that was missed stays in the recipe, and is told where its results are.
    for entry in plan["evaluate"] if name == "drawings" else ():
        assert entry["recorded"]["accuracy"] >= entry["expect"]["at_least"]


@pytest.mark.usefixtures("_here")
def test_a_name_stands_for_its_run() -> None:
    fingerprint = qs.load(shipped()["drawings"]).fingerprint
    assert qs.load("drawings").fingerprint == fingerprint
    assert qs.model("drawings").fingerprint == fingerprint
    assert Recorded.of("drawings").counts == {"train": 2870, "valid": 394, "test": 819}


@pytest.mark.usefixtures("_here")
def test_drawings_are_told_apart_from_two_examples_each() -> None:
    folder = draw_classes(Path("lines"), 3, 6, size=40)
    files = sorted(folder.glob("*/*.png"))
    labels = [file.parent.name for file in files]
    support = [place for place in range(18) if place % 6 < 2]
    classifier = qs.model("drawings").adapt(
        [files[p] for p in support], [labels[p] for p in support]
    )
    assert classifier.predict(files).tolist() == labels


@pytest.mark.usefixtures("_here")
def test_a_folder_goes_before_a_name() -> None:
    own = run_named_drawings()
    assert qs.load("drawings").fingerprint == own
    assert by_name("drawings") is None
    assert qs.model("drawings").fingerprint != own


@pytest.mark.usefixtures("_here")
def test_a_folder_that_is_no_run_is_told_with_the_model_of_its_name() -> None:
    Path("drawings").mkdir()
    with pytest.raises(qs.CheckpointError, match=r"stands before the model drawings .* rename"):
        qs.load("drawings")
    Path("mine").mkdir()
    with pytest.raises(qs.CheckpointError, match=r"folder without one; .* of a model: drawings"):
        run_of("mine")


@pytest.mark.usefixtures("_here")
def test_a_file_of_the_name_is_no_run() -> None:
    Path("drawings").write_text("a list of drawings")
    assert run_of("drawings").path == shipped()["drawings"]


def test_what_is_neither_names_the_models() -> None:
    with pytest.raises(qs.CheckpointError, match=r"no such folder; .* of a model: drawings"):
        qs.load("drawing")
    with pytest.raises(qs.UserError, match=r"did you mean drawings\?"):
        qs.model("drawing")


def test_the_model_is_no_task() -> None:
    with pytest.raises(qs.CheckpointError, match="quickstudy adapt drawings"):
        qs.load_task("drawings")


@pytest.mark.usefixtures("_here")
def test_an_estimator_takes_the_name() -> None:
    X = np.zeros((4, 28, 28), dtype=np.uint8)
    X[:2, 4:24, 12:15], X[2:, 12:15, 4:24] = 255, 255
    X[1] = np.roll(X[1], 2, axis=1)
    fitted = qs.FewShotClassifier("drawings").fit(X.reshape(4, -1), ["upright"] * 2 + ["flat"] * 2)
    assert fitted.predict(X.reshape(4, -1)).tolist() == ["upright"] * 2 + ["flat"] * 2


@pytest.mark.usefixtures("_here")
def test_commands_take_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    draw_classes(Path("mine"), 2, 3, size=40)
    assert main(["adapt", "drawings", "--support", "mine", "--out", "mine.task"]) == 0
    capsys.readouterr()
    assert main(["predict", "mine.task", "mine/class01/0.png"]) == 0
    assert "\tclass01\t" in capsys.readouterr().out
    message = refused(capsys, ["train", "--resume", "drawings"], 3)
    assert "of a model" not in message, "a shipped run is not trained further"


@pytest.mark.usefixtures("_here")
def test_a_comparison_takes_the_name(capsys: pytest.CaptureFixture[str]) -> None:
    draw_classes(Path("mine"), 12, 4, size=40)
    words = "compare drawings --tasks folder --tasks.path mine --tasks.ink true --n-way 2"
    few = "--n-shot 1 --n-query 2 --n-tasks 3 --baselines false --json out.json"
    assert main([*words.split(), *few.split()]) == 0
    assert "drawings" in capsys.readouterr().out


@pytest.mark.usefixtures("_here")
def test_a_server_without_a_run_serves_them(monkeypatch: pytest.MonkeyPatch) -> None:
    listening = pytest.importorskip("quickstudy.serve.listen")
    served: list[Any] = []
    monkeypatch.setattr(listening, "listen", lambda app, *_: served.append(app))
    Path("drawings").mkdir()  # of the user, and no run
    assert main(["serve", "--port", "0"]) == 0
    here = [name for name, model in named_models().items() if model.is_here]
    assert {*NAMES, "tables"} <= {*here}
    assert [*served[0].state.server.tasks.models] == here


def test_models_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    text = capsys.readouterr().out
    assert "drawings: " in text
    assert "Apache-2.0" in text
    assert "5-way 1-shot" in text
    assert main(["models", "--json"]) == 0
    by_name = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert by_name.keys() == {
        *("photos", "sentences", "drawings"),
        *("tables", "tables-linear", "tables-numbers"),
    }
    listed = by_name["drawings"]
    assert listed == json.loads(json.dumps(named_models()["drawings"].to_json()))


@pytest.mark.more
def test_the_wheel_holds_them(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path)]
    built = subprocess.run([*command, str(ROOT)], capture_output=True, text=True)
    if "No matching distribution found for hatchling" in built.stderr:
        pytest.skip("hatchling, which builds the wheel, cannot be had here")
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = {*zipfile.ZipFile(wheel).namelist()}
    for run in shipped().values():
        for file in run.iterdir():
            assert file.relative_to(ROOT / "src").as_posix() in inside
