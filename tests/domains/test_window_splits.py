"""No unit is on both sides of a split: series by their values, recordings by their place."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from quickstudy import catalog
from quickstudy.domains.windows.made import (
    MadeSeries,
    make_scenes,
    make_series,
    write_scenes,
    write_series,
)
from quickstudy.errors import UserError

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def series_source(folder: Path, series: list[MadeSeries], **options):
    write_series(folder, series)
    spec = {"name": "windows", "path": folder / "series.csv", "future": folder / "future.csv"}
    return catalog.build_tasks({**spec, "lags": 18, "horizon": 12, **options})


def digests(source, split) -> set[int]:
    """Hashes of the stretches of all values that the tasks of a split may show."""
    stretches = set()
    for unit in source.units[split]:
        timeline = source.timelines[unit]
        whole = timeline.whole if split == "test" else timeline.values
        changes = np.round(np.diff(whole[:, 0]), 6)
        stretches |= {hash(changes[i : i + 20].tobytes()) for i in range(len(changes) - 19)}
    return stretches


def check_apart(source) -> None:
    for one, other in combinations(("train", "valid", "test"), 2):
        assert not digests(source, one) & digests(source, other), (one, other)


def test_series_of_the_splits_share_no_values(tmp_path: Path) -> None:
    for seed in range(3):
        source = series_source(tmp_path, make_series(n=30), seed=seed)
        assert sum(map(len, source.units.values())) == 30
        check_apart(source)
        assert "notes" not in source.describe()


def with_copies() -> list[MadeSeries]:
    """Thirty series, of which S03 is there again as a whole, S07 later and S11 at another level."""
    series = make_series(n=30)
    third, seventh, eleventh = series[2], series[6], series[10]
    return [
        *series,
        third._replace(name="again"),
        MadeSeries("later", np.r_[seventh.values, seventh.future][12:-12], seventh.future),
        MadeSeries("higher", eleventh.values + 100, eleventh.future + 100),
    ]


def splits_of(source) -> Iterator[tuple[str, str]]:
    for split, units in source.units.items():
        for unit in units:
            yield source.timelines[unit].name, split


@pytest.mark.parametrize("options", [{}, {"folds": 5, "fold": 2}])
def test_copies_are_dealt_out_together(tmp_path: Path, options: dict[str, int]) -> None:
    for seed in range(4):
        source = series_source(tmp_path, with_copies(), seed=seed, **options)
        split = dict(splits_of(source))
        assert len(split) == 33
        assert split["S03"] == split["again"]
        assert split["S07"] == split["later"]
        assert split["S11"] == split["higher"]
        check_apart(source)
        (note,) = source.describe()["notes"]
        assert note.endswith(
            "hold the same values (3 such pairs in all), so they are dealt out together"
        )


def test_copies_are_refused_by_name(tmp_path: Path) -> None:
    series = make_series(n=30)
    twice = [*series, series[2]._replace(name="again")]
    with pytest.raises(UserError) as caught:
        series_source(tmp_path, twice, copies="refuse")
    assert str(caught.value) == (
        "windows: no series may tell what is asked of another; received S03 and again of "
        f"{tmp_path / 'series.csv'}, which hold the same values; remove one of each, or say "
        "copies: together, which deals them out to one split."
    )
    series_source(tmp_path, series, copies="refuse")


def test_places_are_apart_and_a_recording_has_one(tmp_path: Path) -> None:
    scenes = make_scenes(n_places=3, n_scenes=2, n_agents=25)
    write_scenes(tmp_path, scenes)
    spec = {"name": "eth_ucy", "path": tmp_path, "hold_out": "street", "valid_place": "square"}
    source = catalog.build_tasks(spec)
    places = {s: {source.scenes[u].place for u in units} for s, units in source.units.items()}
    assert places == {"train": {"station"}, "valid": {"square"}, "test": {"street"}}
    shown = {
        split: {hash(t.positions.tobytes()) for u in units for t in source.scenes[u].tracks}
        for split, units in source.units.items()
    }
    for one, other in combinations(shown.values(), 2):
        assert not one & other
    copied = tmp_path / "station" / "copy.txt"
    copied.write_text((tmp_path / "street" / "street2.txt").read_text())
    with pytest.raises(UserError) as caught:
        catalog.build_tasks(spec)
    assert str(caught.value) == (
        "tracks: recordings of different places must have no tracks in common; received "
        f"station/copy of station and street/street2 of street in {tmp_path}, which have; remove "
        "one, or give both one place."
    )


@pytest.mark.skipif(not (DATA / "m4").exists(), reason="needs the data of M4 in ../shared/data")
def test_copies_in_m4_are_together(tmp_path: Path) -> None:
    """Some series of M4 Weekly are the beginnings of others."""
    for part in ("train", "test"):
        data = gzip.decompress((DATA / "m4" / f"Weekly-{part}.csv.gz").read_bytes())
        lines = data.splitlines(True)
        some = [0, *range(11, 19), 53, *range(221, 224), *range(288, 295)]
        (tmp_path / f"{part}.csv").write_bytes(b"".join(lines[i] for i in some))
    spec = {"name": "windows", "path": tmp_path / "train.csv", "future": tmp_path / "test.csv"}
    for seed in range(3):
        source = catalog.build_tasks({**spec, "horizon": 13, "lags": 52, "seed": seed})
        split = dict(splits_of(source))
        for one, other in [("W15", "W16"), ("W53", "W222"), ("W221", "W291"), ("W290", "W292")]:
            assert split[one] == split[other]
        check_apart(source)
