"""Made-up series and walkers: the same for a seed, and read back as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from quickstudy import catalog
from quickstudy.cli.main import main
from quickstudy.domains.windows.made import (
    MadeSeries,
    make_scenes,
    make_series,
    write_scenes,
    write_series,
)
from quickstudy.errors import UserError
from quickstudy.inputs.series_files import read_series
from quickstudy.inputs.track_files import read_scenes, windows_of

Array = NDArray[np.float64]
LAGS, HORIZON = 24, 12


def test_series_come_back_as_they_were_written(tmp_path: Path) -> None:
    series = make_series(n=12, length=60, horizon=5, season=7, seed=3)
    known, future = (read_series(path) for path in write_series(tmp_path / "a", series))
    assert [each.name for each in known] == [f"S{i:02d}" for i in range(1, 13)]
    for each, before, after in zip(series, known, future, strict=True):
        assert (each.name, each.name) == (before.name, after.name)
        np.testing.assert_array_equal(before.values[:, 0], each.values)
        np.testing.assert_array_equal(after.values[:, 0], each.future)
    again = write_series(tmp_path / "b", make_series(n=12, length=60, horizon=5, season=7, seed=3))
    for path in again:
        assert path.read_bytes() == (tmp_path / "a" / path.name).read_bytes()
    assert len({len(each.values) for each in series}) > 1
    other = make_series(n=12, length=60, horizon=5, season=7, seed=4)
    assert not np.array_equal(other[0].values[:40], series[0].values[:40])
    # A series is itself, however many there are.
    np.testing.assert_array_equal(make_series(n=9, seed=3)[8].values, make_series(seed=3)[8].values)


def test_the_seasons_are_of_a_few_smooth_shapes() -> None:
    """Seasonal changes have three harmonics, as the shared shapes do; others would have six."""
    parts = []
    for each in make_series(seed=1):
        changes = np.diff(each.values / np.median(each.values))
        season = changes[: len(changes) // 12 * 12].reshape(-1, 12).mean(axis=0)
        power = np.abs(np.fft.rfft(season)) ** 2
        parts.append(power[4:].sum() / power[1:].sum())
    assert np.mean(parts) < 0.1


def test_scenes_come_back_as_they_were_written(tmp_path: Path) -> None:
    scenes = make_scenes(n_places=3, n_scenes=2, n_agents=30, seed=1)
    paths = write_scenes(tmp_path, scenes)
    assert len(paths) == 6
    # A folder is read in the order of its places.
    for made, read in zip(
        sorted(scenes, key=lambda scene: scene.name), read_scenes(tmp_path), strict=True
    ):
        assert (made.name, made.place) == (read.name, read.place)
        np.testing.assert_array_equal(made.frames, read.frames)
        assert len(made.tracks) == len(read.tracks)
        for a, b in zip(made.tracks, read.tracks, strict=True):
            assert (a.agent, a.first) == (b.agent, b.first)
            np.testing.assert_array_equal(a.positions, b.positions)
    windows = [windows_of(scene, 8, 12, min_agents=2) for scene in scenes]
    assert min(len(each.start) for each in windows) > 20
    steps = np.concatenate([np.diff(each.lags, axis=1).reshape(-1, 2) for each in windows])
    speeds = np.linalg.norm(steps, axis=1) / 0.4
    assert 0.7 < np.median(speeds) < 1.5
    assert speeds.max() < 4
    assert (speeds < 0.2).any()  # Some stop.
    with pytest.raises(UserError, match="n_places must be at most 6; received 9; make more"):
        make_scenes(n_places=9)


def fit(X: Array, Y: Array, strength: float, prior: Array) -> Array:
    gram = X.T @ X + strength * np.eye(X.shape[1])
    return prior + np.linalg.solve(gram, X.T @ (Y - X @ prior))


def examples(series: MadeSeries) -> tuple[Array, Array]:
    """The windows of a series, each on a scale of its own, and a constant."""
    whole = np.lib.stride_tricks.sliding_window_view(series.values, LAGS + HORIZON)
    lags, future = whole[:, :LAGS], whole[:, LAGS:]
    last, std = lags[:, -1:], lags.std(axis=1, keepdims=True)
    return np.c_[(lags - last) / std, np.ones(len(lags))], (future - last) / std


def test_related_series_help_and_so_does_the_own_past() -> None:
    """Ridge toward a model of other series beats it, and ridge on the own past alone."""
    errors: dict[str, list[float]] = {"pooled": [], "own": [], "both": []}
    for seed in range(6):
        series = make_series(seed=seed)
        parts = [examples(each) for each in series[:55]]
        zeros = np.zeros((LAGS + 1, HORIZON))
        pooled = fit(*(np.concatenate(part) for part in zip(*parts, strict=True)), 10, zeros)
        for each in series[55:]:
            X, Y = examples(each)
            lags = each.values[-LAGS:]
            last, std = lags[-1], lags.std()
            x = np.r_[(lags - last) / std, 1]
            models = {"pooled": pooled, "own": fit(X, Y, 10, zeros), "both": fit(X, Y, 30, pooled)}
            for name, model in models.items():
                forecast = last + std * (x @ model)
                smape = 200 * np.abs(forecast - each.future) / np.abs(forecast + each.future)
                errors[name].append(float(smape.mean()))
    means = {name: float(np.mean(values)) for name, values in errors.items()}
    assert means["both"] < 0.98 * means["own"], means
    assert means["both"] < 0.9 * means["pooled"], means


@pytest.mark.parametrize("name", ["windows", "eth_ucy"])
def test_a_command_writes_them(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["data", name, "--make", "made"]) == 0
    said = capsys.readouterr().out.splitlines()
    files = [path for path in Path("made").rglob("*") if path.is_file()]
    assert said[0] == f"made-up data in made: {len(files)} files"
    # What is said reads what was written.
    words = said[1].split()
    assert words[:4] == ["quickstudy", "train", "--tasks", name]
    pairs = zip(words[4:-2:2], words[5:-2:2], strict=True)
    options = {key.removeprefix("--tasks."): value for key, value in pairs}
    numbers = {key: int(value) for key, value in options.items() if value.isdigit()}
    source = catalog.build_tasks({"name": name, **options, **numbers})
    assert all(source.n_tasks(split) >= 2 for split in ("train", "valid", "test"))
    assert source.task("test", 0).support.x.shape[0] >= 10
    assert main(["data", name, "--make", "made"]) == 2
    assert (
        "need a folder of their own; received made, which is not empty" in capsys.readouterr().err
    )


def test_the_command_takes_a_seed(tmp_path: Path) -> None:
    for seed in ("0", "1"):
        assert main(["data", "windows", "--make", str(tmp_path / seed), "--seed", seed]) == 0
    write_series(tmp_path, make_series(horizon=12, season=12, seed=0))
    for file in ("series.csv", "future.csv"):
        content = (tmp_path / file).read_bytes()
        assert (tmp_path / "0" / file).read_bytes() == content
        assert (tmp_path / "1" / file).read_bytes() != content


def test_other_data_are_not_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "glyphs", "--make", str(tmp_path / "made")]) == 2
    words = (
        "unknown made-up data: expected one of windows, eth_ucy, ratings, interactions, sites, "
        "assays; received"
    )
    assert words in capsys.readouterr().err
