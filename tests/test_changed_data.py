"""The commands that read the data of a run again, when these changed or moved."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from small import seal_of, write_customers

import quickstudy as qs
from quickstudy.cli.main import main
from quickstudy.files.rundir import RunDirectory
from quickstudy.serve.samples import sample
from quickstudy.serve.served import Served

NAMES = [f"c{i:02d}" for i in range(12)]
TRAIN = (
    "train --tasks table --tasks.path t.csv --tasks.target customer --n-way 2 --n-shot 1 "
    "--n-query 3 --net MLP --net.hidden [4] --steps 2 --meta-batch 2 --valid-tasks 2 --out run"
)
EVALUATE = "evaluate run --n-tasks 5 --baselines false --curves false --json result.json"


def call(words: str) -> int:
    return main(words.split())


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    write_customers(folder / "t.csv", NAMES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert call(TRAIN) == 0
    return folder


@pytest.fixture(autouse=True)
def _in_a_copy(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shutil.copytree(trained, tmp_path / "copy"))


def names(split: str, run: str = "run") -> list[str]:
    return list(RunDirectory(Path(run)).read()["data"]["splits"][split]["names"])


def evaluated(more: str = "") -> dict[str, Any]:
    assert call(f"{EVALUATE} {more}") == 0
    return dict(json.loads(Path("result.json").read_text()))


def test_a_class_that_is_added_is_left_out_of_an_evaluation(capsys: Any) -> None:
    before = evaluated()
    assert before["notes"] == []
    write_customers(Path("t.csv"), ["a0", *NAMES])
    after = evaluated()
    assert after["accuracy"] == before["accuracy"]
    assert after["notes"] == ["new classes, which the run does not know, are left out: a0"]
    assert f"note: {after['notes'][0]}" in capsys.readouterr().out
    with_it = evaluated("--new-classes test")
    assert with_it["notes"] == ["new classes are put to meta-test: a0"]
    assert "--new-classes test" in with_it["command"]


def test_new_classes_are_for_meta_test(capsys: Any) -> None:
    assert call(f"{EVALUATE} --new-classes test --split valid") == 2
    assert "new_classes test is for meta-test" in capsys.readouterr().err


def test_a_class_that_is_gone_ends_an_evaluation(capsys: Any) -> None:
    gone = names("test")[0]
    write_customers(Path("t.csv"), [name for name in NAMES if name != gone])
    assert call(EVALUATE) == 2
    assert f"meta-test lacks {gone}; bring them back" in capsys.readouterr().err


def test_a_run_goes_on_with_the_classes_that_it_began_with(capsys: Any) -> None:
    shutil.copytree("run", "other")
    assert call("train --resume run --steps 4") == 0
    write_customers(Path("t.csv"), ["a0", *NAMES])
    capsys.readouterr()
    assert call("train --resume other --steps 4") == 0
    assert "note: new classes, which the run does not know, are left out: a0" in (
        " ".join(capsys.readouterr().err.split())
    )
    assert seal_of(Path("other")) == seal_of(Path("run"))


def test_a_run_does_not_go_on_with_other_rows(capsys: Any) -> None:
    before = Path("run/run.json").read_bytes()
    with Path("t.csv").open("a") as file:
        file.write(f"{names('train')[0]},1,a\n")
    assert call("train --resume run --steps 4") == 2
    assert f"meta-train has other examples in {names('train')[0]} (9 " in capsys.readouterr().err
    assert Path("run/run.json").read_bytes() == before
    assert evaluated()["notes"][0].startswith("not used here: meta-train has other examples")


def test_data_that_moved_are_told_by_their_new_place(capsys: Any) -> None:
    before = evaluated()
    Path("moved").mkdir()
    shutil.move("t.csv", "moved/t.csv")
    assert call(EVALUATE) == 3
    assert "Where they lie now is told by --tasks.path" in capsys.readouterr().err
    after = evaluated("--tasks.path moved/t.csv")
    assert (after["accuracy"], after["notes"]) == (before["accuracy"], [])
    assert call("train --resume run --steps 4 --tasks.path moved/t.csv") == 0
    assert evaluated()["notes"] == []  # The record of the run has the new place.
    shutil.move("moved/t.csv", "moved/new.csv")
    again = TRAIN.replace("t.csv", "moved/new.csv").replace("--steps 2", "--steps 4")
    assert call(f"{again} --resume auto") == 0
    write_customers(Path("moved/other.csv"), NAMES, scale=0.3048)
    assert call(f"{EVALUATE} --tasks.path moved/other.csv") == 2
    assert "meta-test has other values in all its 2 classes" in capsys.readouterr().err


COMPARED = "--n-tasks 3 --baselines false --json comparison.json"
COMPARE = f"compare run {COMPARED}"


def compared(more: str = "") -> dict[str, Any]:
    assert call(f"{COMPARE} {more}") == 0
    return dict(json.loads(Path("comparison.json").read_text()))


def test_a_comparison_is_on_the_split_of_its_runs(capsys: Any) -> None:
    before = compared()
    assert before["notes"] == []
    write_customers(Path("t.csv"), ["a0", *NAMES])
    after = compared("--learners RidgeHead --steps 1 --valid-tasks 2 --out both")
    assert after["notes"] == ["new classes, which the run does not know, are left out: a0"]
    assert "note: new classes" in capsys.readouterr().out
    old, new = (row["results"][0]["accuracy"] for row in (before["rows"][0], after["rows"][0]))
    assert old == new
    assert after["rows"][0]["notes"] == []
    for split in ("train", "valid", "test"):
        assert names(split, "both/runs/RidgeHead") == names(split)
    assert compared("--new-classes test")["notes"] == ["new classes are put to meta-test: a0"]


def test_a_comparison_on_what_a_run_was_trained_on_is_refused(capsys: Any) -> None:
    write_customers(Path("t.csv"), ["a0", *NAMES])
    assert call(f"{COMPARE} --tasks table --tasks.path t.csv --tasks.target customer") == 2
    error = capsys.readouterr().err
    assert "must be new to all learners; received c" in error
    assert "in another split of the run of 'run'" in error
    tasks = qs.tasks.Episodes(qs.tasks.table(Path("t.csv"), target="customer"), n_way=2, n_query=3)
    with pytest.raises(qs.UserError, match=r"Recorded.of\(run\)"):
        qs.compare({"ours": "run"}, tasks, n_tasks=2)
    recorded = qs.tasks.Recorded.of("run")
    data = qs.tasks.table(Path("t.csv"), target="customer", recorded=recorded)
    tasks = qs.tasks.Episodes(data, n_way=2, n_query=3)
    assert qs.compare({"ours": "run"}, tasks, n_tasks=2, with_baselines=False)["n_tasks"] == 2


def test_runs_of_one_data_set_are_compared_wherever_it_lies(capsys: Any) -> None:
    Path("moved").mkdir()
    shutil.copy("t.csv", "moved/t.csv")
    assert call(TRAIN.replace("t.csv", "moved/t.csv").replace("--out run", "--out other")) == 0
    Path("t.csv").unlink()
    assert call(f"compare run other {COMPARED} --tasks.path moved/t.csv") == 0
    write_customers(Path("moved/t.csv"), ["a0", *NAMES])
    again = TRAIN.replace("t.csv", "moved/t.csv").replace("--out run", "--out third")
    assert call(again) == 0
    assert call(f"compare other third {COMPARED}") == 2
    assert "run third: the data must be those" in capsys.readouterr().err


SEARCH = (
    "search --tasks table --tasks.path {} --tasks.target customer --n-way 2 --n-shot 1 --n-query 3 "
    "--learner RidgeHead --net MLP --net.hidden [4] --steps 2 --meta-batch 2 --valid-tasks 2 "
    "--factor 1 --rungs 1 --final-tasks 0 --store store --out found --trials {}"
)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_a_search_goes_on_with_the_classes_that_it_began_with(capsys: Any) -> None:
    assert call(SEARCH.format("t.csv", 1)) == 0
    Path("moved").mkdir()
    write_customers(Path("moved/t.csv"), ["a0", *NAMES])
    capsys.readouterr()
    assert call(SEARCH.format("moved/t.csv", 2)) == 0
    assert (
        "note: new classes, which the run does not know, are left out: a0"
        in capsys.readouterr().out
    )
    trials = [f"found/trials/{number:04d}" for number in range(2)]
    assert names("train", trials[0]) == names("train", trials[1]) == names("train")
    gone = names("train")[0]
    write_customers(Path("t.csv"), [name for name in NAMES if name != gone])
    assert call(SEARCH.format("t.csv", 3)) == 2
    assert f"meta-train lacks {gone}" in capsys.readouterr().err


def test_a_served_model_shows_tasks_of_its_own_data_only() -> None:
    served = Served(Path("run"))
    before = sample(served)
    assert before is not None
    write_customers(Path("t.csv"), ["a0", *NAMES])
    assert sample(served) == before
    write_customers(Path("t.csv"), [name for name in NAMES if name != names("test")[0]])
    assert sample(served) is None


def test_ways_that_the_data_fix_are_refused_and_not_reported(capsys: Any) -> None:
    """Groups of rows have the classes that they have."""
    rows = [f"c{i // 8},{i % 5},{'ab'[i % 2]}" for i in range(96)]
    Path("groups.csv").write_text("\n".join(["customer,size,y", *rows]) + "\n")
    words = (
        "train --tasks table --tasks.path groups.csv --tasks.target y --tasks.task customer "
        "--learner RidgeHead --net MLP --net.hidden [4] --steps 1 --n-shot 2 --valid-tasks 2 "
        "--out g"
    )
    assert call(words) == 0
    assert call("evaluate g --n-way 7 --n-tasks 3 --baselines false") == 2
    assert "ways and shots are fixed by the data; received n_way=7" in capsys.readouterr().err
    assert call("evaluate g --n-tasks 3 --baselines false --json g.json") == 0
    assert "way" not in capsys.readouterr().out
    assert json.loads(Path("g.json").read_text())["n_way"] is None
