"""`quickstudy search` from its options to its page."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from quickstudy.cli.main import main
from quickstudy.files.rundir import RunDirectory
from quickstudy.search.figures import search_figures
from quickstudy.search.importance import importance
from quickstudy.search.rows import Row
from quickstudy.search.space import space_of

QUICK = (
    *("search", "--tasks", "sinusoid", "--n-shot", "5", "--n-query", "5", "--steps", "9"),
    *("--meta-batch", "2", "--valid-tasks", "4", "--net", "MLP", "--net.hidden", "[8]"),
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of eight trials."""
    folder = tmp_path_factory.mktemp("search")
    words = ["--trials", "8", "--zoom", "4", "--test-tasks", "5", "--store", str(folder / "store")]
    assert main([*QUICK, *words, "--out", str(folder / "out")]) == 0
    return folder


def test_the_best_configuration_is_ready_to_run(searched: Path, tmp_path: Path) -> None:
    result = json.loads((searched / "out" / "search.json").read_text())
    best = yaml.safe_load((searched / "out" / "best.yaml").read_text())
    assert best == result["best"]["options"]
    run = tmp_path / "run"
    config = str(searched / "out" / "best.yaml")
    assert main(["train", "--config", config, "--out", str(run)]) == 0
    assert RunDirectory(run).read()["best"] == pytest.approx(result["best"]["score"], rel=1e-5)


def test_the_result_says_what_was_tried_and_why(searched: Path) -> None:
    result = json.loads((searched / "out" / "search.json").read_text())
    assert len(result["trials"]) == 8
    assert result["trials"][0]["origin"] == "default"
    assert sum(row["share"] for row in result["importance"]) == pytest.approx(1)
    assert result["words"][0].startswith(f"Trial {result['best']['number']} is the best of 8")
    finals = result["finals"]
    assert finals[0]["number"] == result["best"]["number"]
    assert [final["score"] for final in finals] == sorted(final["score"] for final in finals)
    assert "in the finals of" in result["words"][0]
    assert {"best"} <= result["test"].keys() <= {"best", "default", "best minus default"}
    assert result["test"]["best"]["n_tasks"] == 5
    page = (searched / "out" / "search.html").read_text()
    assert page.count("<img ") == 3
    assert "<h2>The finals</h2>" in page
    assert "http://" not in page
    assert "https://" not in page
    kept = [json.loads(path.read_text()) for path in (searched / "store").glob("*.json")]
    assert [past["score"] for past in kept] == [result["best"]["score"]]


def test_figures_are_functions_of_the_result(searched: Path) -> None:
    result = json.loads((searched / "out" / "search.json").read_text())
    figures = search_figures(result)
    assert [figure.name for figure in figures] == ["course", "tried", "importance"]
    for figure, again in zip(figures, search_figures(result), strict=True):
        assert figure == again
        ElementTree.fromstring(figure.svg)
        saved = searched / "out" / "pictures" / f"{figure.name}.svg"
        assert saved.read_text() == figure.svg


def test_the_same_command_goes_on(searched: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = ("--store", str(searched / "none"), "--zoom", "4")
    out = str(searched / "out")
    assert main([*QUICK, *store, "--trials", "9", "--out", out, "--workers", "2"]) == 0
    assert len(json.loads((searched / "out" / "search.json").read_text())["trials"]) == 9
    assert main([*QUICK, *store, "--trials", "9", "--out", out, "--outer-lr", "0.01"]) == 2
    said = capsys.readouterr().err
    assert "must be of the same space and options" in said
    assert "outer_lr is 0.0001 .. 0.01" in said


def test_the_space_is_printed_and_may_be_narrowed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*QUICK, "--learner", "MAML", "--print-space"]) == 0
    printed = capsys.readouterr().out
    options = [entry["option"] for entry in yaml.safe_load(printed)]
    assert "learner.inner_lr" in options
    assert not {"learner.name", "net.width", "meta_batch"} & {*options}
    narrow = tmp_path / "narrow.yaml"
    narrow.write_text("- {option: outer_lr, values: [0.001, 0.01]}\n")
    words = ["--space", str(narrow), "--learner", "MAML", "--learner.inner-steps", "1"]
    words += ["--learner.inner-lr", "0.01", "--trials", "2", "--store", str(tmp_path / "store")]
    assert main([*QUICK, *words, "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / "search.json").read_text())
    assert [row["choices"].keys() for row in result["trials"]] == [{"outer_lr"}] * 2
    assert result["importance"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "give --out"),
        (["--trials", "0", "--out", "x"], "trials must be at least 1"),
        (["--total-minutes", "-1", "--out", "x"], "total_minutes must be above 0"),
        (["--total-steps", "0", "--out", "x"], "total_steps must be at least 1"),
        (["--seed", "-1", "--out", "x"], "seed must be"),
        (["--steps", "1", "--out", "x"], "halving needs"),
        (["--space", "none.yaml", "--out", "x"], "expected a YAML file"),
        (["--valid-every", "3", "--out", "x"], "unknown option"),
        (["--tasks", "nothing", "--out", "x"], "unknown tasks"),
    ],
)
def test_bad_options(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, *words]) == 2
    assert said in capsys.readouterr().err


def test_a_search_in_which_all_fails_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--learner", "PrototypicalNetwork", "--trials", "2", "--store", str(tmp_path / "s")]
    assert main([*QUICK, *words, "--out", str(tmp_path / "out")]) == 2
    assert "PrototypicalNetwork: is for classification" in capsys.readouterr().err


def test_without_optuna_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    import sys

    # Only those that need it, which now cannot be imported: others would be there twice afterwards.
    for name in ("results", "finals", "importance", "rows", "study", "storage", "sampler"):
        monkeypatch.delitem(sys.modules, f"quickstudy.search.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main([*QUICK, "--out", str(tmp_path / "out")]) == 2
    assert "quickstudy[search]" in capsys.readouterr().err


def test_importance_finds_what_decides() -> None:
    """The metric is that of the learner, plus a little of the rate; the third choice is noise."""
    space = space_of(
        [
            {"option": "learner.name", "values": ["A", "B"]},
            {"option": "outer_lr", "low": 0.0, "high": 1.0},
            {"option": "clip", "low": 0.0, "high": 1.0},
        ]
    )
    trials = []
    for i in range(40):
        rate, noise = (7 * i % 40) / 40, (11 * i % 40) / 40
        score = 1.0 * (i % 2) + 0.3 * rate
        choices = {"learner.name": "AB"[i % 2], "outer_lr": rate, "clip": noise}
        trials.append(Row(i, "whole", "sampler", choices, {}, score, [(1, score)]))
    first, second, third = importance(space, trials, 1)
    assert [row["choice"] for row in (first, second, third)] == ["learner.name", "outer_lr", "clip"]
    assert first["share"] > 0.6
    assert third["share"] < 0.05
    assert first["tendency"] == "best with B"
    assert second["tendency"].startswith("larger values do better")
    reverse = importance(space, [replace(row, score=row.score) for row in trials], -1)
    assert reverse[0]["tendency"] == "best with A"
    assert importance(space, trials[:4], 1) == []
