"""Words of the commands about series: what is refused and why, and what stands on screen."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quickstudy.catalog import build_tasks
from quickstudy.cli.main import main
from quickstudy.metrics import MSE
from quickstudy.training.plan import resolve

TRAIN = ("train", "--tasks", "windows", "--tasks.horizon", "2", "--tasks.lags", "4")


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


def write(name: str, columns: dict[str, Any], step: timedelta = timedelta(hours=1)) -> str:
    """A file with a column for each series, and its name."""
    n = len(next(iter(columns.values())))
    times = [str(datetime(2024, 1, 1) + k * step) for k in range(n)]
    rows = [
        ",".join([time, *(f"{values[k]:.4f}" for values in columns.values())])
        for k, time in enumerate(times)
    ]
    Path(name).write_text("\n".join([",".join(["time", *columns]), *rows]))
    return name


def walks(n: int, length: int = 40) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {f"s{i}": 50 + np.cumsum(rng.normal(size=length)) for i in range(n)}


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(words) == code
    return "".join(capsys.readouterr())


def test_a_run_of_few_series_is_measured_by_all_metrics_and_without_a_nan(
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write("few.csv", walks(4))
    train = (*TRAIN, "--tasks.path", path, "--steps", "2", "--valid-every", "1", "--out", "run")
    printed = said(capsys, *train)
    assert "valid smape" in printed
    assert "nan" not in printed
    assert "PriorHead" in Path("run/run.json").read_text()
    printed = said(capsys, "evaluate", "run", "--json", "out.json")
    assert "further metrics of the same tasks" in printed
    for name in ("mase", "owa", "PriorHead", "Theta"):
        assert name in printed.split("further metrics")[1]
    assert "log-likelihood" not in printed
    assert "nan" not in printed
    assert '"log_likelihood"' in Path("out.json").read_text()
    refused = said(capsys, "evaluate", "run", "--n-shot", "5", code=2)
    assert "ways and shots are fixed by the data; received n_shot=5" in refused


def test_a_half_width_that_is_none_is_left_out() -> None:
    assert MSE.number(2.5, float("nan")) == "2.500"
    assert MSE.number(2.5, 0.25) == "2.500 ± 0.250"


def test_no_wrong_word_stands_for_the_completion_of_shells(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "shtab" not in said(capsys, *TRAIN, "--print-sht", "x", "--out", "run", code=2)


def test_copies_that_count_as_one_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    close, *others = walks(3).values()
    prices = {"open": close - 0.5, "high": close + 1, "low": close - 1, "close": close}
    path = write("prices.csv", prices)
    refused = said(capsys, *TRAIN, "--tasks.path", path, "--out", "run", code=2)
    assert "received 1 in prices.csv, for copies of each other count as one: open, high," in refused
    path = write("two.csv", {**prices, **dict(zip("ab", others, strict=True))})
    assert main([*TRAIN, "--tasks.path", path, "--steps", "1", "--out", "run"]) == 0


def test_runs_of_other_tasks_are_told_apart_by_what_differs(
    capsys: pytest.CaptureFixture[str],
) -> None:
    train = (*TRAIN, "--tasks.path", write("few.csv", walks(4)), "--steps", "1", "--out")
    assert main([*train, "one"]) == 0
    assert main([*train, "other", "--tasks.stride", "2"]) == 0
    refused = said(capsys, "compare", "one", "other", code=2)
    assert "received 'one' with stride=1, and 'other' with stride=2; give --tasks" in refused


def test_times_are_whole_on_a_narrow_screen(capsys: pytest.CaptureFixture[str]) -> None:
    printed = said(capsys, "data", "windows", write("few.csv", walks(4)))
    assert "from: 2024-01-01; to: 2024-01-02T15:00:00" in printed
    assert "…" not in printed
    rows = [
        f"{name},2024-01-{day:02d},{day**2}"
        for name, n in (("a", 9), ("b", 8))
        for day in range(1, n)
    ]
    Path("long.csv").write_text("\n".join(["id,day,sold", *rows]))
    printed = said(capsys, "data", "windows", "long.csv")
    assert "│ 2024-01-08 │" in printed
    assert "step: a day; from: 2024-01-01" in printed


def test_a_season_that_the_times_suggest_is_noted() -> None:
    def notes(step: timedelta, **options: Any) -> list[str]:
        spec = {"name": "windows", "path": write("few.csv", walks(4), step), "horizon": 2}
        found: list[str] = build_tasks({**spec, "lags": 4, **options}).describe().get("notes", [])
        return found

    assert notes(timedelta(days=7)) == [
        "no season is used, as none was said; times that are a week apart suggest 52: "
        "--tasks.season 52"
    ]
    assert notes(timedelta(days=7), season=4) == []
    assert notes(timedelta(days=3)) == []
    waves = [
        f"s{k}," + ",".join(f"{np.sin(t / 2 + 0.3 * k):.4f}" for t in range(60)) for k in range(4)
    ]
    Path("rows.csv").write_text("\n".join(["id" + ",v" * 60, *waves]))
    spec = {"name": "windows", "path": "rows.csv", "horizon": 2, "lags": 4}
    assert build_tasks(spec).describe()["notes"] == [
        "no season is used, as none was said; the values suggest 13: --tasks.season 13"
    ]


def test_one_series_is_for_adapt(capsys: pytest.CaptureFixture[str]) -> None:
    path = write("one.csv", walks(1))
    refused = said(capsys, *TRAIN, "--tasks.path", path, "--out", "run", code=2)
    assert "leave splits out with --tasks.valid 0 --tasks.test 0" in refused
    assert "one series of your own is for quickstudy adapt" in refused
    assert "copies" not in refused
    splits = ("--tasks.valid", "0", "--tasks.test", "0")
    words = (*TRAIN, *splits, "--tasks.path", path, "--steps", "1", "--out", "run")
    assert main(words) == 0


def test_the_default_learner_is_that_of_the_tasks() -> None:
    windows = {"name": "windows", "path": "x", "horizon": 2}
    assert resolve({"tasks": windows})["learner"]["name"] == "PriorHead"
    assert resolve({"tasks": windows, "learner": "MAML"})["learner"]["name"] == "MAML"
    assert resolve({})["learner"]["name"] == "PrototypicalNetwork"
