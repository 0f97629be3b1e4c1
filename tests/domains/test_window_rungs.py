"""The simple opponents of forecasts and tracks: what they know, what they are fitted on, files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from quickstudy import build, compare, evaluate
from quickstudy.domains.windows import SeriesTasks, TrackTasks, classical, eth_ucy, windows
from quickstudy.domains.windows.classical import Array
from quickstudy.domains.windows.rungs import (
    PENALTIES,
    ClassicalForecast,
    Histories,
    Moments,
    PooledRidge,
)
from quickstudy.evaluation.scores import score
from quickstudy.inputs import Windows
from quickstudy.task import Task, pad, together
from quickstudy.testing import check_learner

SEASON, HORIZON, LAGS = 4, 3, 8
METHODS = {
    "Theta": classical.theta,
    "Naive2": classical.naive2,
    "SeasonalNaive": classical.seasonal_naive,
    "Drift": classical.drift,
    "Naive": classical.naive,
}


def made_series(n: int = 12) -> list[Array]:
    """Positive series with a trend, a season of four and noise, no two of one length."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(n):
        t = np.arange(50 + 3 * i)
        season = np.array([0.6, 1.0, 1.4, 1.0])[t % 4]
        rows.append((20 + i + 0.1 * t) * season + rng.normal(size=len(t)))
    return rows


def write(path: Path, rows: Sequence[Array]) -> Path:
    """A wide file of series, as M4's."""
    longest = max(map(len, rows))
    lines = ["id," + ",".join(f"V{i}" for i in range(longest))]
    for i, row in enumerate(rows):
        empty = [""] * (longest - len(row))
        lines.append(",".join([f"S{i}", *map(str, row.tolist()), *empty]))
    path.write_text("\n".join(lines) + "\n")
    return path


def series(folder: Path, rows: Sequence[Array] | None = None, **options: Any) -> SeriesTasks:
    """Tasks of made series; what follows each is in a file of its own."""
    rows = made_series() if rows is None else rows
    path = write(folder / "known.csv", [row[:-HORIZON] for row in rows])
    future = write(folder / "future.csv", [row[-HORIZON:] for row in rows])
    options = {"season": SEASON, "lags": LAGS, "seed": 1, **options}
    return windows(path, HORIZON, future=future, **options)


def tracks(folder: Path, **options: Any) -> TrackTasks:
    """Tasks of made pedestrians, who walk on lines that bend a little, in three places."""
    rng = np.random.default_rng(0)
    for place in ("park", "road", "yard"):
        lines = []
        for agent in range(36):
            start, speed, bend = rng.normal(size=2) * 5, rng.normal(size=2), 0.02 * rng.normal()
            for step in range(30):
                x, y = start + speed * step + bend * step**2
                lines.append((10 * (step + 6 * agent), agent, x, y))
        text = "\n".join("\t".join(map(str, line)) for line in sorted(lines))
        (folder / place).mkdir(parents=True, exist_ok=True)
        (folder / place / f"{place}1.txt").write_text(text + "\n")
    return eth_ucy(folder, hold_out="park", **options)


def test_the_ladder_of_series_by_name(tmp_path: Path) -> None:
    names = ["PooledRidge", "RidgeRegression", *METHODS]
    source = series(tmp_path)
    assert list(source.rungs(None)) == list(source.rungs(nn.Identity())) == names
    assert all(rung.kind == "regression" for rung in source.rungs(None).values())
    assert [metric.name for metric in source.metrics] == ["smape", "mase", "owa"]
    names.remove("SeasonalNaive")  # which is the naive one where there is no season
    assert list(series(tmp_path, season=1).rungs(None)) == names


def test_the_ladder_of_tracks_by_name(tmp_path: Path) -> None:
    source = tracks(tmp_path)
    assert list(source.rungs(None)) == [
        "ConstantVelocity",
        "PooledRidge",
        "RidgeRegression",
        "LinearFit",
    ]
    assert [metric.name for metric in source.metrics] == ["ade", "fde"]


@pytest.mark.parametrize("name", METHODS)
def test_a_classical_rung_forecasts_from_the_whole_history(tmp_path: Path, name: str) -> None:
    source, rows = series(tmp_path), made_series()
    rung = source.rungs(None)[name]
    for index in range(source.n_tasks("test")):
        task = source.task("test", index)
        number = int(source.targets.frame(task.query.x).series[0])
        history = rows[number][:-HORIZON]
        expected = METHODS[name](history, HORIZON, SEASON)
        answer = source.targets.restore(rung.respond(task), task.query.x)[0].numpy()
        np.testing.assert_allclose(answer, expected, rtol=1e-5)
        y = source.targets.restore(task.query.y, task.query.x)[0].numpy()
        np.testing.assert_allclose(y, rows[number][-HORIZON:], rtol=1e-5)


def test_no_rung_sees_what_follows(tmp_path: Path) -> None:
    rows = made_series()
    others = [np.concatenate([row[:-HORIZON], 2 * row[-HORIZON:]]) for row in rows]
    ours, theirs = series(tmp_path), series(tmp_path, others)
    for index in range(ours.n_tasks("test")):
        (task, other) = (source.task("test", index) for source in (ours, theirs))
        assert not torch.equal(task.query.y, other.query.y)
        for name, rung in ours.rungs(None).items():
            assert torch.equal(rung.respond(task), theirs.rungs(None)[name].respond(other)), name


def test_in_meta_train_the_history_ends_at_the_window(tmp_path: Path) -> None:
    source, rows = series(tmp_path), made_series()
    task = source.task("train", 0)
    frame = source.targets.frame(task.query.x)
    history = rows[int(frame.series[0])][: int(frame.end[0]) + 1]
    assert len(history) < len(rows[int(frame.series[0])]) - HORIZON
    answer = source.targets.restore(source.rungs(None)["Drift"].respond(task), task.query.x)
    expected = classical.drift(history, HORIZON, SEASON)
    np.testing.assert_allclose(answer[0].numpy(), expected, rtol=1e-5)


def test_a_window_of_no_known_series_is_known_alone(tmp_path: Path) -> None:
    source = series(tmp_path)
    history = 5 + np.arange(40.0) ** 1.5
    x, _ = source.preprocess.encode(history, source.x_shape)
    x = torch.as_tensor(x, dtype=torch.float32)
    answer = source.targets.restore(source.rungs(None)["Drift"].predict({}, x), x)[0].numpy()
    np.testing.assert_allclose(answer, classical.drift(history[-LAGS:], HORIZON, 1), rtol=1e-5)


def test_naive2_has_an_owa_of_1_over_the_series_of_a_split(tmp_path: Path) -> None:
    source = series(tmp_path, test=0.4)
    rungs = source.rungs(None)
    for split in ("test", "valid"):
        tasks = [source.task(split, index) for index in range(source.n_tasks(split))]
        naive2 = score(rungs["Naive2"], tasks, metrics=source.metrics)
        assert naive2.others["owa"].mean() == pytest.approx(1, abs=1e-9)
        theta = score(rungs["Theta"], tasks, metrics=source.metrics)
        parts = [
            theta.mean / naive2.mean,
            theta.others["mase"].mean() / naive2.others["mase"].mean(),
        ]
        assert theta.others["owa"].mean() == pytest.approx(np.mean(parts))


def test_tracks_go_on_as_they_went(tmp_path: Path) -> None:
    source = tracks(tmp_path)
    task, rungs = source.task("test", 0), source.rungs(None)
    x = task.query.x
    own = source.targets.values(x).numpy()
    for name, method in (
        ("ConstantVelocity", classical.constant_velocity),
        ("LinearFit", classical.linear_fit),
    ):
        expected = np.stack([method(window, 12, 1) for window in own])
        answer = source.targets.restore(rungs[name].respond(task), x)
        np.testing.assert_allclose(answer.numpy(), expected.reshape(len(x), -1), atol=1e-4)


def every_unit(source: SeriesTasks | TrackTasks) -> list[Task]:
    """The meta-test task of each unit, of whatever split."""
    units = sorted(unit for units in source.units.values() for unit in units)
    return [source.cut(unit, "test", np.random.default_rng(0)) for unit in units]


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("Hourly", {"horizon": 48, "lags": 168, "season": 24, "stride": 48}, (18.383, 2.395)),
        pytest.param("Weekly", {"horizon": 13, "lags": 52}, (9.161, 2.777), marks=pytest.mark.more),
    ],
)
def test_the_tasks_give_naive2_its_official_row(
    data_dir: Path, name: str, options: dict[str, int], expected: tuple[float, float]
) -> None:
    path, future = (data_dir / "m4" / f"{name}-{part}.csv.gz" for part in ("train", "test"))
    if not path.exists():
        pytest.skip(f"no {path}")
    source = windows(path, future=future, **options)
    rung = ClassicalForecast(classical.naive2, source.histories)
    scores = score(rung, every_unit(source), metrics=source.metrics[:2])
    assert (round(scores.mean, 3), round(scores.others["mase"].mean(), 3)) == expected


def test_constant_velocity_has_its_known_row_on_eth_ucy(data_dir: Path) -> None:
    """As a reader of ten lines gives it: after 20 % of the frames, windows of two or more."""
    if not (data_dir / "eth_ucy").is_dir():
        pytest.skip(f"no {data_dir / 'eth_ucy'}")
    source = eth_ucy(data_dir / "eth_ucy")
    rung = ClassicalForecast(classical.constant_velocity, Histories(source.windows))
    scores = score(rung, every_unit(source), metrics=source.metrics)
    rows = np.stack([scores.per_task, scores.others["fde"]], axis=1).round(3).tolist()
    names = (scene.name for scene in source.scenes)
    assert dict(zip(names, map(tuple, rows), strict=True)) == {
        "biwi_eth": (1.217, 2.852),
        "crowds_zara01": (0.421, 0.930),
        "crowds_zara02": (0.303, 0.674),
        "crowds_zara03": (0.502, 1.137),
        "students001": (0.443, 0.985),
        "uni_examples": (0.570, 1.239),
    }


def by_least_squares(source: SeriesTasks, penalty: float, rows: Sequence[Array]) -> Array:
    """The pooled ridge from one stacked system, with the windows of meta-train cut by hand."""
    z, y = [], []
    units = source.units["train"]
    for unit in units:
        values = rows[unit][:-HORIZON]
        starts = range(len(values) - LAGS - HORIZON + 1)
        root = (1 / len(starts) / len(units)) ** 0.5
        for start in starts:
            lags, future = np.split(values[start : start + LAGS + HORIZON], [LAGS])
            z.append(root * np.append((lags - lags[-1]) / lags.std(), 1))
            y.append(root * (future - lags[-1]) / lags.std())
    system = np.concatenate([z, penalty**0.5 * np.eye(LAGS + 1)])
    targets = np.concatenate([y, np.zeros((LAGS + 1, HORIZON))])
    solution: Array = np.linalg.lstsq(system, targets)[0]
    return solution


def test_the_pooled_ridge_is_of_the_meta_train_series_and_chosen_on_meta_valid(
    tmp_path: Path,
) -> None:
    rows = made_series()
    source = series(tmp_path)
    tasks = [source.task("valid", index) for index in range(source.n_tasks("valid"))]
    candidates = [
        PooledRidge(torch.from_numpy(by_least_squares(source, penalty, rows)).float())
        for penalty in PENALTIES
    ]
    means = [score(model, tasks, metrics=source.metrics).mean for model in candidates]
    place = int(np.argmin(means))
    assert 0 < place < len(PENALTIES) - 1
    pooled = source.rungs(None)["PooledRidge"]
    torch.testing.assert_close(pooled.weight, candidates[place].weight, rtol=1e-3, atol=1e-4)
    tested = set(source.units["test"])
    others = [3 * row[::-1] if i in tested else row for i, row in enumerate(rows)]
    again = series(tmp_path, others)
    assert set(again.units["test"]) == tested
    torch.testing.assert_close(again.rungs(None)["PooledRidge"].weight, pooled.weight)


def test_without_meta_valid_the_penalty_is_that_of_supports_that_forecast_their_queries(
    tmp_path: Path,
) -> None:
    rng = np.random.default_rng(0)
    noise = [100 + rng.normal(size=26) for _ in range(5)]
    source = series(tmp_path, noise, valid=0, n_query=4)
    assert source.splits == ("train", "test")
    n_lags, metrics = source.targets.n_lags, source.metrics
    tasks = [source.task("train", index) for index in range(source.n_tasks("train"))]

    def best(moments: Moments) -> float:
        models = [PooledRidge(moments.solved(penalty)) for penalty in PENALTIES]
        means = [score(model, tasks, metrics=metrics).mean for model in models]
        return PENALTIES[int(np.argmin(means))]

    everything = Moments.of(source.every_window("train"), n_lags)
    penalty = best(Moments.of((task.support for task in tasks), n_lags))
    assert penalty != best(everything), "which has seen the queries"
    pooled = source.rungs(None)["PooledRidge"]
    torch.testing.assert_close(pooled.weight, everything.solved(penalty).float())
    assert pooled.contributions({}, tasks[0].support, tasks[0].query.x) is None


def test_ridge_regression_sees_the_lags_and_not_what_they_carry(tmp_path: Path) -> None:
    source = series(tmp_path)
    task, rung = source.task("test", 0), source.rungs(None)["RidgeRegression"]
    n = source.targets.n_lags
    other = Task(*(part._replace(x=part.x.clone()) for part in task))
    other.support.x[:, n:], other.query.x[:, n:] = 7.0, 9.0
    assert torch.equal(rung.respond(task), rung.respond(other))
    parts = rung.contributions(rung.adapt(task.support), task.support, task.query.x)
    assert parts is not None
    torch.testing.assert_close(parts.parts.sum(dim=1), rung.respond(task), rtol=1e-3, atol=1e-4)


def test_every_rung_keeps_the_contract(tmp_path: Path) -> None:
    source = series(tmp_path)
    for rung in source.rungs(None).values():
        check_learner(rung, source.x_shape, source.n_out)


def test_padding_is_answered_with_numbers_so_that_its_weight_of_0_can_count(
    tmp_path: Path,
) -> None:
    source = series(tmp_path)
    task = source.task("test", 0)
    padded = task._replace(query=pad(task.query, 3, source.n_out))
    for name, rung in source.rungs(None).items():
        torch.testing.assert_close(rung.task_loss(padded), rung.task_loss(task), msg=name)


def test_they_stand_beside_a_learner_in_evaluations_and_comparisons(tmp_path: Path) -> None:
    source = series(tmp_path, test=0.4)
    learner = build("RidgeHead", source)
    result = evaluate(learner, source, n_tasks=50, shots=(), steps=())
    assert list(result["baselines"]) == list(source.rungs(None))
    assert result["metric"] == "smape"
    assert {"mase", "owa", "owa_ci95"} <= set(result)
    rung = source.rungs(None)["Naive2"]
    naive2 = score(rung, list(source.disjoint("test")), metrics=source.metrics)
    assert result["baselines"]["Naive2"]["smape"] == pytest.approx(naive2.mean)
    rows = compare({"mine": learner}, source, n_tasks=4).rows
    assert [row.name for row in rows] == ["mine", *source.rungs(None)]


def test_the_windows_of_a_split_are_all_that_is_known_of_its_units(tmp_path: Path) -> None:
    source = series(tmp_path)
    for unit, part in zip(source.units["train"], source.every_window("train"), strict=True):
        known = len(source.timelines[unit].values)
        assert len(part.x) == known - LAGS - HORIZON + 1
    recordings = tracks(tmp_path / "tracks")
    for index, part in enumerate(recordings.every_window("test")):
        task = together(recordings.task("test", index))
        assert len(part.x) > len(task.x)


def test_a_history_of_two_channels_is_forecast_channel_by_channel() -> None:
    kind = Windows(lags=3, horizon=2, channels=("a", "b"))
    history = np.stack([np.arange(9.0), 50 - 2 * np.arange(9.0)], axis=1)
    x = torch.from_numpy(kind.framed(history[None, 2:5], np.ones(2), 0, 4)).float()
    rung = ClassicalForecast(classical.drift, Histories(kind, [history]))
    answer = kind.scale.restore(rung.predict({}, x), x)
    torch.testing.assert_close(answer.float(), torch.tensor([[5.0, 40.0, 6.0, 38.0]]))
