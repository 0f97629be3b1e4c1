"""Copies among series are found, wherever they stand, and nothing else."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from quickstudy.domains.windows.copies import copies_among, families, total_among
from quickstudy.domains.windows.made import make_scenes, make_series
from quickstudy.inputs.series_files import read_series
from quickstudy.inputs.track_files import read_scenes

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def pairs(*series: np.ndarray) -> list[tuple[int, int]]:
    units = [[each.reshape(len(each), -1)] for each in series]
    return [(first, second) for first, second, _ in copies_among(units)]


def test_copies_shifts_and_other_levels_are_found() -> None:
    rng = np.random.default_rng(0)
    a, b, c = np.round(rng.normal(size=(3, 120)).cumsum(axis=1) + 50, 2)
    assert pairs(a, b, a) == [(0, 2)]
    assert pairs(a, b, a[7:90]) == [(0, 2)]
    assert pairs(a[:80], b, a[40:]) == [(0, 2)]  # 40 steps of both are the same.
    assert pairs(a[:80], b, a[70:]) == []
    assert pairs(a, a + 1000, b) == [(0, 1)]
    assert pairs(a, a, a) == [(0, 1), (1, 2)]
    assert pairs(a[:20], a[:20]) == [(0, 1)]
    several = np.stack([a, b], axis=1)
    assert pairs(several, several[3:]) == [(0, 1)]
    assert pairs(several, np.stack([a, c], axis=1)) == []
    assert pairs(several, several[:, ::-1]) == []


def test_what_is_no_copy_or_cannot_be_told() -> None:
    rng = np.random.default_rng(0)
    a = np.round(rng.normal(size=120).cumsum(), 2)
    for other in (2 * a, a + rng.normal(0, 0.01, 120), a[::2], a[::-1]):
        assert pairs(a, other) == []
    line, zeros = np.arange(100.0), np.zeros(100)
    assert pairs(line, line + 5, zeros, zeros, a[:5], a[:5]) == []
    counts = rng.poisson(1.0, size=(40, 200)).astype(float)
    assert pairs(*counts) == []
    assert pairs(*(np.r_[each.values, each.future] for each in make_series(200))) == []
    assert copies_among([]) == []


def test_families() -> None:
    rng = np.random.default_rng(0)
    a, b, c = np.round(rng.normal(size=(3, 120)).cumsum(axis=1), 2)
    units = [[each[:, None]] for each in (a, b, a[5:], c, b[:90], a[9:])]
    assert families(6, copies_among(units)) == [[0, 2, 5], [1, 4], [3]]
    assert families(2, []) == [[0], [1]]


def test_a_total_is_seen() -> None:
    parts = np.round(np.random.default_rng(0).normal(size=(5, 40)) + 9, 2)
    series = [*parts[:2, :, None], parts.sum(axis=0)[:, None], *parts[2:, :, None]]
    assert total_among(series) == 2
    assert total_among(list(parts[..., None])) is None
    series[2] = series[2] + 0.01
    assert total_among(series) is None
    assert total_among([parts[0], parts[0]]) is None
    assert total_among([parts[0], parts[0, :9], parts[1]]) is None


def test_recordings() -> None:
    scenes = make_scenes(n_places=2, n_scenes=2, n_agents=20)
    units = [[track.positions for track in scene.tracks] for scene in scenes]
    assert copies_among(units) == []
    # The same recording elsewhere, with some of its tracks only.
    assert [each[:2] for each in copies_among([*units, units[1][5:]])] == [(1, 4)]


@pytest.mark.skipif(not (DATA / "m4").exists(), reason="needs the data of M4 in ../shared/data")
def test_m4_holds_copies(tmp_path: Path) -> None:
    lines = gzip.decompress((DATA / "m4" / "Weekly-train.csv.gz").read_bytes()).splitlines(True)
    names = ("V1", "W15", "W16", "W17", "W53", "W221", "W222", "W290", "W291", "W292")
    some = [line for line in lines if line.split(b",")[0].strip(b'"').decode() in names]
    (tmp_path / "some.csv").write_bytes(b"".join(some))
    series = read_series(tmp_path / "some.csv")
    of_names = {
        (series[first].name, series[second].name)
        for first, second, _ in copies_among([[each.values] for each in series])
    }
    assert of_names == {("W15", "W16"), ("W53", "W222"), ("W221", "W291"), ("W290", "W292")}
    values = {each.name: each.values for each in series}
    # So that the one holds what follows the other.
    np.testing.assert_array_equal(values["W221"], values["W291"][:-120])


@pytest.mark.skipif(not (DATA / "eth_ucy").exists(), reason="needs ETH/UCY in ../shared/data")
def test_eth_ucy_holds_none() -> None:
    scenes = read_scenes(DATA / "eth_ucy")
    assert copies_among([[track.positions for track in scene.tracks] for scene in scenes]) == []
