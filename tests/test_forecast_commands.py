"""adapt, predict, explain and data on series as people keep them in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forecasting import HORIZON, LAGS, STD, MeanFuture, forecaster, write_line

from quickstudy.cli.main import main
from quickstudy.inputs.seasons import guessed_season
from quickstudy.models.saved import load_task

TWO = ("east", "north")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files of series; every run is a forecaster that goes on as before."""

    def load(run: Path) -> Any:
        if str(run) == "two":
            return forecaster(channels=TWO)
        return forecaster(season=LAGS if str(run) == "seasonal" else 1)

    def task(path: Path) -> Any:
        return load_task(path, MeanFuture())

    monkeypatch.setattr("quickstudy.cli.adapt.load", load)
    monkeypatch.setattr("quickstudy.cli.predict.load_task", task)
    monkeypatch.setattr("quickstudy.cli.explain.load_task", task)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    write_line(tmp_path / "mine.csv")
    steps = range(12)
    several = [
        f"{name},{','.join(str(k * t + k) for t in steps)}" for k, name in ((1, "a"), (3, "b"))
    ]
    (tmp_path / "several.csv").write_text(
        "\n".join(["id," + ",".join(f"V{t}" for t in steps), *several])
    )
    rows = [f"{t},{t},{10 - t}" for t in steps]
    (tmp_path / "two.csv").write_text("\n".join(["time,east,north", *rows]))
    (tmp_path / "table.csv").write_text("name,colour\nx,red\ny,blue\nz,red\n")
    (tmp_path / "short.csv").write_text("day,sales\n2024-01-01,3\n2024-01-02,4\n")
    return tmp_path


def run(*words: Any) -> int:
    return main([str(word) for word in words])


def predicted(capsys: pytest.CaptureFixture[str], *words: Any) -> list[dict[str, Any]]:
    capsys.readouterr()
    assert run("predict", *words, "--json") == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    return rows


def test_a_series_is_learned_and_goes_on(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("adapt", "runs/any", "--support", "mine.csv", "--out", "mine.task") == 0
    said = capsys.readouterr().out
    assert (
        f"learned from {20 - LAGS - HORIZON + 1} windows of 4 steps and the 3 that follow" in said
    )
    # Three times the last 3 values of a line: the naive forecast is off by 2, 4 and 6.
    assert "on the last 9 values, held back: off by" in said
    assert "100 % within the 80 % interval; the naive forecast by 4" in said
    (row,) = predicted(capsys, "mine.task", "mine.csv", "--coverage", "0.9")
    assert row["input"] == "sales"
    assert row["times"] == ["2024-03-01", "2024-03-02", "2024-03-03"]
    np.testing.assert_allclose(row["prediction"], [41, 43, 45], atol=1e-4)
    assert row["naive"] == [39, 39, 39]
    # The spread of a window of a line of slope 2; 1.645 standard deviations on each side.
    half = 1.6449 * STD * np.std([0, 2, 4, 6])
    np.testing.assert_allclose(np.subtract(row["high"], row["low"]), 2 * half, rtol=1e-3)
    assert row["coverage"] == 0.9


def test_a_forecast_is_a_readable_table(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("adapt", "seasonal", "--support", "mine.csv", "--out", "mine.task")
    capsys.readouterr()
    assert run("predict", "mine.task", "mine.csv", "--pictures", "fan") == 0
    table = capsys.readouterr().out
    lines = [line for line in table.splitlines() if "2024-03-01" in line]
    assert len(lines) == 1
    numbers = [word for word in lines[0].replace("│", " ").split() if "-" not in word]
    assert [float(number) for number in (numbers[0], numbers[-1])] == [41, 33]
    assert "seasonal naive" in table
    figure = json.loads((place / "fan" / "forecast.json").read_text())
    assert figure["forecasts"][0]["times"][-1] == "2024-03-03"
    assert "<svg" in (place / "fan" / "forecast.svg").read_text()


def test_one_of_several_series_is_named(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("adapt", "runs/any", "--support", "several.csv", "--out", "mine.task")
    assert run(*words) == 2
    assert "received no name; name it by --target: a, b." in capsys.readouterr().err
    assert run(*words, "--target", "B") == 2
    assert run(*words, "--target", "b") == 0
    rows = predicted(capsys, "mine.task", "several.csv")
    assert [row["input"] for row in rows] == ["a", "b"]
    np.testing.assert_allclose(rows[1]["prediction"], [39, 42, 45], atol=1e-4)
    assert rows[1]["times"] is None


def test_columns_are_the_channels_of_a_model(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("adapt", "two", "--support", "two.csv", "--out", "two.task") == 0
    (row,) = predicted(capsys, "two.task", "two.csv")
    assert row["channels"] == [*TWO]
    np.testing.assert_allclose(row["prediction"], [[12, -2], [13, -3], [14, -4]], atol=1e-4)
    assert np.shape(row["low"]) == (HORIZON, 2)
    assert run("predict", "two.task", "two.csv") == 0
    table = capsys.readouterr().out
    assert "two.csv, east: 12 values" in table
    assert "two.csv, north: 12 values" in table


@pytest.mark.parametrize(
    ("command", "file", "code", "words"),
    [
        ("adapt", "short.csv", 2, "needs a window of 4 values and the 3 that follow"),
        ("adapt", "table.csv", 2, "series: "),
        ("adapt", "none.csv", 3, "none.csv"),
        ("predict", "short.csv", 2, "needs the last 4 values of a series"),
        ("predict", "table.csv", 2, "series: "),
        ("predict", "none.csv", 3, "none.csv"),
    ],
)
def test_files_that_will_not_do_are_refused_in_a_sentence(
    place: Path,
    capsys: pytest.CaptureFixture[str],
    command: str,
    file: str,
    code: int,
    words: str,
) -> None:
    run("adapt", "runs/any", "--support", "mine.csv", "--out", "mine.task")
    options = ("runs/any", "--support", file, "--out", "x.task")
    capsys.readouterr()
    assert run(command, *(options if command == "adapt" else ("mine.task", file))) == code
    error = capsys.readouterr().err
    assert words in error
    assert error.count("\n") == 1


def test_another_number_of_channels_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("adapt", "two", "--support", "mine.csv", "--out", "x.task") == 2
    assert "takes 2 channel(s), east, north; received 1 in mine.csv" in capsys.readouterr().err


def test_options_of_forecasts_are_for_forecasts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from quickstudy.learners import LogisticRegression
    from quickstudy.models.model import Model

    Model(LogisticRegression(), (1,)).adapt([[0.0], [1.0]], [0, 1]).save(tmp_path / "rows.task")
    monkeypatch.setattr(
        "quickstudy.cli.predict.load_task", lambda path: load_task(path, LogisticRegression())
    )
    assert run("predict", tmp_path / "rows.task", "rows.csv", "--pictures", tmp_path / "why") == 2
    said = capsys.readouterr().err
    assert "--pictures is for forecasts, and --coverage for values with an interval" in said


def test_an_explanation_names_windows_by_their_times(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("adapt", "runs/any", "--support", "several.csv", "--target", "b", "--out", "b.task")
    run("adapt", "runs/any", "--support", "mine.csv", "--out", "mine.task")
    capsys.readouterr()
    assert run("explain", "mine.task", "mine.csv", "--json", "--pictures", "why") == 0
    (why,) = json.loads(capsys.readouterr().out)
    labels = {row["id"]: row["label"] for row in why["influence"]}
    assert labels[0] == "2024-02-10 to 2024-02-13"
    assert labels[13] == "2024-02-23 to 2024-02-26"
    assert why["nearest"]["examples"][0]["label"] in labels.values()
    assert (place / "why" / "influence.svg").exists()
    # Another series: its times say nothing of the windows that were learned from.
    assert run("explain", "b.task", "mine.csv", "--json") == 0
    (why,) = json.loads(capsys.readouterr().out)
    assert why["influence"][0]["label"] == "1 to 4"


def test_an_explanation_has_the_digits_of_a_forecast_and_says_what_its_numbers_are(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_line(place / "large.csv", slope=200.0)
    run("adapt", "runs/any", "--support", "large.csv", "--out", "large.task")
    capsys.readouterr()
    assert run("explain", "large.task", "large.csv") == 0
    said = capsys.readouterr().out
    assert "\t4,001, 4,201, 4,401\n" in said
    assert "by how much each raises or lowers the step that is explained" in said


def test_what_is_understood_of_a_file_is_said(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    t = np.arange(60)
    values = t / 10 + 5 * np.sin(t * 2 * np.pi / 12)
    months = [f"{2019 + k // 12}-{k % 12 + 1:02d}-01" for k in t]
    rows = [f"{m},{v:.3f}" for m, v in zip(months, values, strict=True)]
    del rows[20]
    (place / "monthly.csv").write_text("\n".join(["month,sales", *rows]))
    assert run("data", "windows", "--path", "monthly.csv") == 0
    said = capsys.readouterr().out
    assert "layout: columns, a column a series" in said
    assert "1 series of 60 values" in said
    assert "gaps: 1 value is missing, in sales" in said
    assert "season: 12; --tasks.season 12" in said
    assert "a month" in said
    assert run("data", "windows", "several.csv") == 0
    said = capsys.readouterr().out
    assert "layout: rows, a row a series" in said
    assert "season: none seen" in said


def with_a_gap(path: Path) -> Path:
    """A line of days without one of them."""
    lines = write_line(path).read_text().splitlines()
    path.write_text("\n".join([*lines[:8], *lines[9:]]) + "\n")
    return path


def test_a_gap_is_filled_or_ignored_as_asked(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with_a_gap(place / "gap.csv")
    words = ("adapt", "runs/any", "--support", "gap.csv", "--out", "gap.task")
    assert run(*words) == 2
    assert "say gaps (--gaps; in training --tasks.gaps): fill" in capsys.readouterr().err
    assert run(*words, "--gaps", "fill") == 0
    assert "note: 1 of 20 values were filled in" in capsys.readouterr().out
    assert run("predict", "gap.task", "gap.csv") == 2
    (row,) = predicted(capsys, "gap.task", "gap.csv", "--gaps", "fill")
    np.testing.assert_allclose(row["prediction"], [41, 43, 45], atol=1e-4)
    assert run("explain", "gap.task", "gap.csv", "--gaps", "ignore", "--json") == 0
    table = ("adapt", "--encoder", "tables", "--support", "table.csv", "--out", "x.task")
    assert run(*table, "--gaps", "fill") == 2
    assert "gaps, layout, id and time are for series" in capsys.readouterr().err


def test_words_layouts_and_names_that_training_knew_are_options(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("adapt", "runs/any", "--support", "mine.csv", "--out", "mine.task")
    rows = [f"{shop},{k},{k + 5 * (shop == 'b')}" for shop in "ab" for k in range(9)]
    (place / "shops.csv").write_text("\n".join(["shop,no,sold", *rows]))
    named = ("--layout", "long", "--id", "shop", "--time", "no")
    (row,) = predicted(capsys, "mine.task", "shops.csv", *named, "--target", "b")
    np.testing.assert_allclose(row["prediction"], [14, 15, 16], atol=1e-4)
    assert row["input"] == "b"
    (place / "words.csv").write_text((place / "mine.csv").read_text() + "2024-03-01,soon\n")
    assert len(predicted(capsys, "mine.task", "words.csv", "--missing", "soon", "--gaps", "ignore"))


def test_a_series_is_named_where_a_file_holds_several(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("adapt", "runs/any", "--support", "several.csv", "--target", "a", "--out", "a.task")
    capsys.readouterr()
    assert run("predict", "a.task", "several.csv") == 0
    assert "note: 2 series, each forecast by what this task learned" in capsys.readouterr().out
    (row,) = predicted(capsys, "a.task", "several.csv", "--target", "b")
    assert row["input"] == "b"
    assert run("predict", "a.task", "several.csv", "--target", "B") == 2
    assert "received 'B'; name it by --target: a, b." in capsys.readouterr().err
    assert run("explain", "a.task", "several.csv", "--series", "b", "--json") == 0
    assert [each["input"] for each in json.loads(capsys.readouterr().out)] == ["b"]
    assert run("explain", "a.task", "several.csv", "--series", "c") == 2
    assert "received 'c'; name it by --series: a, b." in capsys.readouterr().err


def test_numbers_and_folders_are_no_files_of_series(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("adapt", "runs/any", "--support", "mine.csv", "--out", "mine.task")
    assert run("predict", "mine.task", "3", "4", "5") == 2
    assert "received the number 3; write the values into a file" in capsys.readouterr().err
    assert run("adapt", "runs/any", "--support", ".", "--out", "x.task") == 2
    assert "series: . must be a file; received a folder; name one" in capsys.readouterr().err


def test_a_constant_history_goes_on_as_it_is(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "still.csv").write_text("\n".join(["sales", *["5"] * 12]))
    (place / "late.csv").write_text("\n".join(["sales", *["5"] * 16, "6", "7", "8", "9"]))
    run("adapt", "runs/any", "--support", "mine.csv", "--out", "mine.task")
    (row,) = predicted(capsys, "mine.task", "still.csv")
    assert row["prediction"] == row["low"] == row["high"] == [5, 5, 5]
    assert run("adapt", "runs/any", "--support", "still.csv", "--out", "x.task") == 2
    # It is tried on the past as far as that varies.
    assert run("adapt", "runs/any", "--support", "late.csv", "--out", "x.task") == 0


def test_a_series_without_a_run_is_told_to_take_one(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("adapt", "--support", "mine.csv", "--out", "x.task") == 2
    error = capsys.readouterr().err
    assert "give --target, or for a series the run of a model that was trained on windows" in error


def test_the_better_naive_forecast_is_called_better(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jumps = [0, 1, 0, 1] * 5 + [50, 51] * 5
    (place / "jump.csv").write_text("\n".join(["sales", *map(str, jumps)]))
    assert run("adapt", "runs/any", "--support", "jump.csv", "--out", "x.task") == 0
    said = capsys.readouterr().out
    assert "on average (mean absolute error, in the units of the series)" in said
    assert "quality: the naive forecast was better here" in said


def test_a_season_is_guessed_from_peaks_of_the_autocorrelation() -> None:
    t = np.arange(96)[:, None]
    rng = np.random.default_rng(0)
    assert guessed_season([np.sin(t * 2 * np.pi / 7) + t]) == 7
    assert guessed_season([rng.normal(size=(96, 1)) for _ in range(5)]) == 1
    daily = np.sin(t * 2 * np.pi / 8) + (t % 24 == 0)
    assert guessed_season([daily], usual=24) == 24
    assert guessed_season([np.ones((96, 1))]) == 1
