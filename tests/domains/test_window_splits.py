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
    return catalog.build_tasks({**spec, "lags": 18, "horizon": 12, "season": 12, **options})


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


def long_table(series: list[MadeSeries], part: str, first: str) -> str:
    lines = ["shop,day,sold"]
    for each in series:
        values = getattr(each, part)
        days = np.arange(len(values)) + np.datetime64(first)
        lines += [f"{each.name},{day},{value}" for day, value in zip(days, values, strict=True)]
    return "\n".join(lines)


def test_what_follows_is_read_like_the_series_and_begins_after_them(tmp_path: Path) -> None:
    series = [each._replace(values=each.values[:60]) for each in make_series(n=8, horizon=6)]
    known, future = tmp_path / "known.csv", tmp_path / "future.csv"
    known.write_text(long_table(series, "values", "2024-01-01"))
    future.write_text(long_table(series, "future", "2024-03-01"))
    spec = {"name": "windows", "path": known, "future": future, "horizon": 6}
    names = {"id": "shop", "time": "day", "values": ["sold"]}
    source = catalog.build_tasks({**spec, **names})
    assert len(source.timelines) == 8
    np.testing.assert_array_equal(source.timelines[3].future[:, 0], series[3].future)
    future.write_text(long_table(series, "future", "2024-02-29"))
    with pytest.raises(UserError) as caught:
        catalog.build_tasks(spec)
    assert str(caught.value) == (
        f"windows: {future} must begin where each series ends; received 2024-02-29 for 'S1', which "
        "goes on to 2024-02-29; leave out what is known already."
    )
    text = long_table(series, "future", "2024-03-01")
    future.write_text("\n".join(f"{line},{i}" for i, line in enumerate(text.split("\n"))))
    with pytest.raises(
        UserError, match="the channels of each series, sold; received sold, 0 for 'S1'"
    ):
        catalog.build_tasks(spec)


def test_a_total_is_noted_and_words_are_missing_values(tmp_path: Path) -> None:
    series = make_series(n=6, length=60, horizon=6)
    columns = {each.name: [str(value) for value in each.values[:40]] for each in series}
    total = sum(each.values[:40] for each in series)
    columns["Total"] = [f"{value:.2f}" for value in total]
    rows = [",".join(columns), *(",".join(row) for row in zip(*columns.values(), strict=True))]
    path = tmp_path / "shops.csv"
    path.write_text("\n".join(rows))
    spec = {"name": "windows", "path": path, "horizon": 4, "lags": 8, "season": 12}
    assert catalog.build_tasks(spec).describe()["notes"] == [
        "Total is the sum of all other series; leave it out unless it is to be forecast, too"
    ]
    path.write_text("\n".join([*rows[:5], rows[5].replace(columns["S3"][4], "closed"), *rows[6:]]))
    with pytest.raises(UserError, match="must hold numbers; received 'closed' in line 6"):
        catalog.build_tasks(spec)
    source = catalog.build_tasks({**spec, "missing": "closed", "gaps": "fill"})
    filled = (series[2].values[3] + series[2].values[5]) / 2
    assert source.timelines[2].values[4, 0] == pytest.approx(filled)


def test_data_frames_are_series(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas")
    series = make_series(n=6, length=60, horizon=6)
    frame = pandas.DataFrame({each.name: each.values[:40] for each in series})
    source = catalog.build_tasks({"name": "windows", "path": frame, "horizon": 4, "lags": 8})
    assert (source.name, len(source.timelines)) == ("series", 6)


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
