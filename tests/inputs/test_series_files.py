"""Series as people bring them: layouts, times, numbers, and each fault by its place."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quickstudy.errors import DataError, UserError
from quickstudy.inputs.series_files import Series, read_series, series_of

DATA = Path(__file__).resolve().parents[3] / "shared" / "data" / "m4"
LONG = "unique_id,ds,y\n"


def written(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode())
    return path


def plain(series: list[Series]) -> dict[str, list[float]]:
    return {each.name: each.values[:, 0].tolist() for each in series}


WANT = {"ant": [1.5, 2, 4], "bee": [3, 5, 6]}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ("id,V1,V2,V3\nant,1.5,2,4\nbee,3,5,6\n", {}),
        ('"V1","V2","V3","V4"\n"ant","1.5","2","4"\n"bee","3","5","6"\n', {}),
        ("shop,2021,2022,2023\nant,1.5,2,4\nbee,3,5,6\n", {}),
        ("shop,Jan 2021,Feb 2021,Mar 2021\nant,1.5,2,4\nbee,3,5,6\n", {}),
        ("unique_id,ds,y\nant,1,1.5\nant,2,2\nant,3,4\nbee,1,3\nbee,2,5\nbee,3,6\n", {}),
        ("ds,y,unique_id\n1,1.5,ant\n1,3,bee\n2,2,ant\n2,5,bee\n3,4,ant\n3,6,bee\n", {}),
        ("id,value\nant,1.5\nant,2\nant,4\nbee,3\nbee,5\nbee,6\n", {}),
        (
            "shop;day;sold\nant;1.3.24;1,5\nant;2.3.24;2\nant;3.3.24;4\nbee;1.3.24;3\nbee;2.3.24;5\n"
            "bee;3.3.24;6\n",
            {},
        ),
        (
            "a,b,c,d\nx,ant,1,1.5\nx,ant,2,2\nx,ant,3,4\nx,bee,1,3\nx,bee,2,5\nx,bee,3,6\n",
            {"id": "b", "time": "c", "values": ["d"]},
        ),
        ("ant,bee\n1.5,3\n2,5\n4,6\n", {}),
        ("date,ant,bee\n2024-01-01,1.5,3\n2024-01-02,2,5\n2024-01-03,4,6\n", {}),
        ("when,bee,ant\n1,3,1.5\n2,5,2\n3,6,4\n", {"time": "when", "values": ["ant", "bee"]}),
        (
            "\ufeffsep=;\r\nDatum;ant;bee;\r\n03.04.2024;1,5;3,0;\r\n04.04.2024;2,0;5,0;\r\n"
            "05.04.2024;4,0;6,0;\r\n;;;\r\n",
            {},
        ),
    ],
)
def test_layouts(tmp_path: Path, text: str, options: dict[str, Any]) -> None:
    series = read_series(written(tmp_path, text), **options)
    assert plain(series) == WANT
    assert [each.filled for each in series] == [0, 0]


def test_several_values_are_channels(tmp_path: Path) -> None:
    text = "id,time,warm,wet\na,1,1,10\na,2,2,30\na,3,3,20\n"
    (series,) = read_series(written(tmp_path, text))
    assert series.channels == ("warm", "wet")
    assert series.values.tolist() == [[1, 10], [2, 30], [3, 20]]
    assert series.times == ["1", "2", "3"]
    (series,) = read_series(written(tmp_path, text), values=["wet"])
    assert (series.channels, series.values.tolist()) == (("wet",), [[10], [30], [20]])


def test_ragged_rows_and_dates_in_the_header(tmp_path: Path) -> None:
    text = "id,2024-01-01,2024-02-01,2024-03-01\na,1,2\nb,3,4,\nc,5,6,7\n"
    series = read_series(written(tmp_path, text))
    assert plain(series) == {"a": [1, 2], "b": [3, 4], "c": [5, 6, 7]}
    assert series[0].times == ["2024-01-01", "2024-02-01"]
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(text.encode("utf-16")))
    assert plain(read_series(path)) == plain(series)


def test_one_plain_column(tmp_path: Path) -> None:
    assert plain(read_series(written(tmp_path, "5\n6\n\n7\n"))) == {"t": [5, 6, 7]}
    assert plain(read_series(written(tmp_path, "sold\n1,5\n2,5\n"))) == {"sold": [1.5, 2.5]}


def test_numbers_as_people_write_them(tmp_path: Path) -> None:
    text = "date;ant;bee\n2024-01-01;1.234,50 EUR;12 %\n2024-01-02;900,00 EUR;13,5 %\n"
    assert plain(read_series(written(tmp_path, text))) == {"ant": [1234.5, 900], "bee": [12, 13.5]}
    ambiguous = written(tmp_path, 't,ant\n1,"1,500"\n2,"4,250"\n')
    with pytest.raises(UserError, match=r"the column 'ant' of .* '1,500', which is 1.5 or 1500"):
        read_series(ambiguous)
    assert plain(read_series(ambiguous, columns={"ant": "comma"})) == {"ant": [1.5, 4.25]}
    assert plain(read_series(ambiguous, columns={"ant": "numbers"})) == {"ant": [1500, 4250]}


MONTHS = "ds,y\n2024-01-01,1\n2024-02-01,2\n{}2024-05-01,5\n2024-06-01,6\n2024-07-01,8\n"


def test_gaps_are_filled_on_the_straight_line_in_time(tmp_path: Path) -> None:
    (series,) = read_series(written(tmp_path, MONTHS.format("")), gaps="fill")
    assert series.times is not None
    assert series.times[2:4] == ["2024-03-01", "2024-04-01"]
    # 29 and 60 days of 90.
    np.testing.assert_allclose(series.values[:, 0], [1, 2, 2 + 29 / 30, 4, 5, 6, 8])
    assert series.filled == 2
    (series,) = read_series(written(tmp_path, MONTHS.format("")), gaps="ignore")
    assert (series.values[:, 0].tolist(), series.filled) == ([1, 2, 5, 6, 8], 0)
    whole = MONTHS.format("2024-03-01,3\n2024-04-01,4\n")
    assert read_series(written(tmp_path, whole))[0].filled == 0


def test_what_is_missing_is_filled_or_left_out(tmp_path: Path) -> None:
    text = "ds,a,b\n0,,1\n1,10,NA\n2,,2\n5,40,3\n6,70,\n8,60,9\n"
    fill = read_series(written(tmp_path, text), gaps="fill")
    # Nothing is made up before the first value; what is missing inside is, step by step.
    np.testing.assert_allclose(fill[0].values[:, 0], [10, 17.5, 25, 32.5, 40, 70, 65, 60])
    assert fill[0].times == ["1", "2", "3", "4", "5", "6", "7", "8"]
    assert fill[0].filled == 4
    np.testing.assert_allclose(
        fill[1].values[:, 0], [1, 1.5, 2, 2 + 1 / 3, 2 + 2 / 3, 3, 5, 7, 9], rtol=1e-12
    )
    ignore = read_series(written(tmp_path, text), gaps="ignore")
    assert plain(ignore) == {"a": [10, 40, 70, 60], "b": [1, 2, 3, 9]}
    rows = written(tmp_path, "id,V1,V2,V3,V4\na,1,,4,5\nb,7,6,5,4\n")
    assert plain(read_series(rows, gaps="fill"))["a"] == [1, 2.5, 4, 5]
    two = written(tmp_path, "id,t,x,y2\na,1,,5\na,2,3,\na,3,4,6\na,4,5,8\n")
    assert read_series(two, gaps="fill")[0].values.tolist() == [[3, 5.5], [4, 6], [5, 8]]
    assert read_series(written(tmp_path, "a\n1\n9\n-\n"), missing="-", gaps="ignore")[
        0
    ].values.tolist() == [[1], [9]]


def test_hours_and_numbers_are_filled_alike(tmp_path: Path) -> None:
    text = "ds,y\n2024-01-01T22:00,1\n2024-01-01T23:00,2\n2024-01-02T02:00,5\n2024-01-02T03:00,6\n"
    (series,) = read_series(written(tmp_path, text), gaps="fill")
    assert series.times is not None
    assert series.times[2:4] == ["2024-01-02", "2024-01-02T01:00:00"]
    (series,) = read_series(written(tmp_path, "t,y\n.5,1\n1,2\n2,4\n2.5,5\n"), gaps="fill")
    assert series.times == [".5", "1", "1.5", "2", "2.5"]
    assert series.values[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_a_column_that_counts_rows_is_no_series(tmp_path: Path) -> None:
    days = ["2024-01-01", "2024-01-02", "2024-01-03"]
    rows = [f"{k},{day},{v}" for k, day, v in zip((0, 1, 2), days, (5, 7, 6), strict=True)]
    for head in (",Date,Sales", "Unnamed: 0,Date,Sales"):
        (series,) = read_series(written(tmp_path, "\n".join([head, *rows])))
        assert (series.name, series.times) == ("Sales", days)
    long = [f"{k},{name},{k % 3},{k * k}" for k, name in enumerate("aaabbb")]
    every = read_series(written(tmp_path, "\n".join([",id,t,y", *long])))
    assert plain(every) == {"a": [0, 1, 4], "b": [9, 16, 25]}
    # Without another column of times it is that, and what does not count is a series.
    every = read_series(written(tmp_path, ",a,b\n0,5,1\n1,7,2\n2,6,4\n"))
    assert plain(every) == {"a": [5, 7, 6], "b": [1, 2, 4]}
    assert every[0].times == ["0", "1", "2"]
    every = read_series(
        written(tmp_path, "\n".join([",Date,Sales", *rows]).replace("2,2024", "9,2024"))
    )
    assert [each.name for each in every] == ["t", "Sales"]


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("Sales\nDate,Sales\n2024-01-01,5\n2024-01-02,6\n", "'Sales'", "'Date,Sales'"),
        ("Date,Sales\nDate,Sales\n2024-01-01,5\n2024-01-02,6\n", "'Date, Sales'", "'Date, Sales'"),
        ("Report,\nDate,Sales\n2024-01-01,5\n2024-01-02,6\n", "'Report, '", "'Date, Sales'"),
        ("sales\nsales\n5\n6\n", "'sales'", "'sales'"),
    ],
)
def test_a_line_above_the_header_is_to_be_removed(
    tmp_path: Path, text: str, first: str, second: str
) -> None:
    with pytest.raises(UserError) as error:
        read_series(written(tmp_path, text))
    assert f"received {first} in line 1 of" in str(error.value)
    assert f"words alone in line 2, {second}; remove the line above the header." in str(error.value)


FAULTS: list[tuple[str, dict[str, Any], str]] = [
    (
        LONG + "A,2024-01-01,1\nA,2024-01-02,2\nB,2024-01-01,1\nA,2024-01-02,3\nB,2024-01-02,4\n",
        {},
        "series: the series 'A' must have one value a time; received 2024-01-02 in line 3 of "
        "t.csv, column 'y' and again in line 5 of t.csv, column 'y', 1 such value(s) in all; "
        "remove one of them, name the column that tells series apart (id), or write local times "
        "with their offset from UTC (the table was taken as layout long, a row a value; say layout "
        "if it is not).",
    ),
    (
        LONG + "A,2024-01-01,1\nB,2024-01-02,2\nB,2024-01-01,1\nB,2024-01-03,3\nA,2024-01-02,3\n",
        {"layout": "long"},
        "series: the times of the series 'B' must go up; received 2024-01-01 after 2024-01-02 in "
        "line 4 of t.csv, column 'y'; sort the rows by time.",
    ),
    (
        "date,a\n2024-01-03,1\n2024-01-02,2\n2024-01-01,4\n",
        {},
        "line 3 of t.csv, column 'a', the newest first;",
    ),
    (
        MONTHS.format(""),
        {"layout": "columns"},
        "series: the series 'y' must have a value at every step of time; received 1 gap(s), the "
        "first between 2024-02-01 and 2024-05-01 in line 4 of t.csv, column 'y'; add what is "
        "missing, or say gaps (--gaps; in training --tasks.gaps): fill (on the straight line "
        "between neighbours) or ignore (as on business days).",
    ),
    (
        "id,2001,2002,2003,2005,2006\na,1,2,3,4,5\n",
        {"layout": "rows"},
        "1 gap(s), the first between 2003 and 2005 in line 2 of t.csv, column '2005'",
    ),
    (
        "id,V1,V2,V3,V4\na,1,2,3,4\nb,1,2,,4\n",
        {"layout": "rows"},
        "series: the series 'b' must have a value at every step; received 1 without one, the first "
        "in line 3 of t.csv, column 'V3'; fill it in, or say gaps (--gaps; in "
        "training --tasks.gaps): fill (on the straight line between neighbours) or ignore (leave "
        "the steps out).",
    ),
    (
        "ds,y\n2024-01-01,1\n2024-01-02,2\n2024-01-03,1\n2924-01-04,2\n",
        {"layout": "columns", "gaps": "fill"},
        "series: the series 'y' must have more values than are to be filled in; received 328718 "
        "missing steps, most of them between 2024-01-03 and 2924-01-04 in line 5 of t.csv, column "
        "'y'; correct the time, or cut the series there.",
    ),
    ("id,V1,V2\na,,2\n", {"layout": "rows"}, "the first in line 2 of t.csv, column 'V1'"),
    (
        LONG + "A,1,\nA,2,nan\nA,3,5\n",
        {},
        "2 without one, the first in line 2 of t.csv, column 'y'",
    ),
    ("date,a,b\n2024-01-01,,2\n2024-01-02,3,\n", {}, "the series 'a' must have a value at every"),
    (
        "id,V1,V2\na,1,2\nb,3,4 pcs\n",
        {"layout": "rows"},
        "series: the series 'b' must hold numbers; received '4 pcs' in line 3 of t.csv, column "
        "'V2'; correct it, leave it empty and say gaps, or name the word for what is missing "
        "(missing).",
    ),
    ("a\n1\n-\n3\n", {}, "the series 'a' must hold numbers; received '-' in line 3 of t.csv"),
    (
        LONG + "A,1,2\nA,2,-inf\n",
        {},
        "must hold finite numbers; received '-inf' in line 3 of t.csv, column 'y'",
    ),
    (LONG + "A,1,2\nA,2,1e999\n", {}, "received '1e999' in line 3 of t.csv, column 'y'"),
    (
        "id,V1,V2,V3\na,1,2,3\nb,1,2\n",
        {"least": 3},
        "series: the series 'b' must have at least 3 values; received 2 from line 3 of t.csv, "
        "column 'V1' on; give a longer history, leave the series out, or ask for fewer lags or a "
        "shorter horizon.",
    ),
    (
        LONG + "A,1,5\nB,1,2\nB,2,3\n",
        {},
        "the series 'A' must have at least 2 values; received 1 from line 2",
    ),
    (
        "id,V1,V2,V3\na,1,2,3\nb,4,4,4\n",
        {},
        "series: the series 'b' must vary; received 3 times 4 from line 3 of t.csv, column 'V1' "
        "on; leave it out: its forecast is that value.",
    ),
    (
        "id,V1,V2,V3,V4\na,1,2,3,4\nb,1,2,3,5\na,3,2,5,6\n",
        {"layout": "rows"},
        "series: every series of t.csv must have a name of its own; received 'a' in line 2 of "
        "t.csv and in line 4 of t.csv; rename one of them.",
    ),
    ("t,a,a\n1,2,3\n2,3,4\n", {}, "received 'a' in column 2 and in column 3; rename one"),
    ("", {}, "series: t.csv must hold at least one series; received 0 line(s) of cells; give"),
    ("ds,y\n,,\n", {}, "series: t.csv must hold at least one series; received 1 line(s) of cells;"),
    (
        "date\n2024-01-01\n2024-01-02\n",
        {},
        "must hold at least one series; received a column of times alone; add values",
    ),
    (
        "unique_id,ds\nA,1\nA,2\n",
        {},
        "at least one column must hold values; received the columns 'unique_id', 'ds' in",
    ),
    (
        "2024-01-01,5\n2024-01-02,6\n",
        {},
        "series: the first line must be a header that names the columns; received '2024-01-01, 5' "
        "in line 1 of t.csv; write one above it, such as 'time,value' or 'id,time,value'.",
    ),
    (
        "H1,605,586,599\nH2,3,4,5\n",
        {},
        "header that names the columns; received 'H1, 605, 586, 599' in line 1",
    ),
    (
        "A,2024-01-01,5\nA,2024-01-02,6\n",
        {},
        "must be a header that names the columns; received 'A,",
    ),
    (
        LONG + "A,1,2\nA,2,3,4\n",
        {"layout": "long"},
        "series: every row needs as many cells as the header, 3; received 4 in line 3 of t.csv; "
        "quote cells that contain the separator, or fill the row.",
    ),
    (
        "date,a,b\n2024-01-01,1,2\n2024-01-02,1\n",
        {},
        "as the header, 3; received 2 in line 3 of t.csv",
    ),
    (
        "id,V1,V2\na,1,2,3\nb,1,2\n",
        {"layout": "rows"},
        "no row may have more cells than the header, 3; received 4 in line 2",
    ),
    (
        "id,V1,V2\n,1,2\n",
        {"layout": "rows"},
        "must have a name in the first column; received an empty cell in line 2",
    ),
    (
        LONG + "A,1,2\n,2,3\n",
        {"layout": "long"},
        "'unique_id' must name the series of every row; received an empty cell in line 3",
    ),
    (
        "a,b\n1,2\n2,3\n",
        {"layout": "long"},
        "one column must name the series; received the columns 'a', 'b' in t.csv",
    ),
    (
        "a,b\n1,2\n2,3\n",
        {"time": "when"},
        "t.csv must have the column 'when'; received the columns 'a', 'b'; correct",
    ),
    (
        "a\n1\n2\n",
        {"layout": "wide"},
        "layout must be auto, rows, long or columns; received 'wide'; take one",
    ),
    (
        "a\n1\n2\n",
        {"gaps": "drop"},
        "gaps must be refuse, fill or ignore; received 'drop'; take one",
    ),
    (
        "x,kind,part,size\nu,p,q,3\nu,q,p,4\nv,q,p,4\n",
        {},
        "series: the layout of the table must be plain; received the columns 'x', 'kind', 'part', "
        "'size' in t.csv; say layout: rows",
    ),
]


@pytest.mark.parametrize(("text", "options", "words"), FAULTS)
def test_each_fault_is_named_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, options: dict[str, Any], words: str
) -> None:
    monkeypatch.chdir(written(tmp_path, text).parent)
    with pytest.raises(UserError) as caught:
        read_series(Path("t.csv"), **options)
    assert words in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"series: .*none.csv cannot be read; received: .*; check"):
        read_series(tmp_path / "none.csv")


def test_business_days_are_a_gap_until_it_is_said(tmp_path: Path) -> None:
    days = ["2024-01-04", "2024-01-05", "2024-01-08", "2024-01-09", "2024-01-10"]
    path = written(tmp_path, "date,a\n" + "".join(f"{day},{i}\n" for i, day in enumerate(days)))
    with pytest.raises(UserError, match=r"1 gap\(s\), the first between 2024-01-05 and 2024-01-08"):
        read_series(path)
    assert read_series(path, gaps="ignore")[0].times == days


def test_data_frames() -> None:
    pandas = pytest.importorskip("pandas")
    wide = pandas.DataFrame(WANT, index=pandas.date_range("2024-01-01", periods=3, freq="MS"))
    months = ["2024-01-01", "2024-02-01", "2024-03-01"]
    for frame in (wide, wide.rename_axis("ds").reset_index(), wide.tz_localize("Europe/Berlin")):
        series = read_series(frame)
        assert plain(series) == WANT
        assert series[0].times is not None
        assert series[0].times[1][:4] == "2024"
    assert read_series(wide)[0].times == months
    assert plain(read_series(wide.reset_index(drop=True))) == WANT
    assert plain(series_of(wide["ant"])) == {"ant": WANT["ant"]}
    assert plain(read_series(wide.T.reset_index(names="id"))) == WANT
    wide.iloc[1, 0] = float("inf")
    with pytest.raises(UserError, match="finite numbers; received 'inf' in row 1, column 'ant'"):
        read_series(wide)
    polars = pytest.importorskip("polars")
    assert plain(read_series(polars.DataFrame(WANT))) == WANT


def test_arrays() -> None:
    assert plain(series_of(WANT)) == WANT
    assert plain(series_of([1, 2.5])) == {"series 0": [1, 2.5]}
    table = np.arange(6.0).reshape(2, 3)
    assert plain(series_of(table)) == {"series 0": [0, 1, 2], "series 1": [3, 4, 5]}
    assert [len(each.values) for each in series_of([[1, 2], [3, 4, 5]])] == [2, 3]
    (series,) = series_of({"a": table})
    assert (series.values.shape, series.channels) == ((2, 3), ("x0", "x1", "x2"))
    for value, words in [
        ({"a": [1, np.nan]}, "the series 'a' must be finite numbers; received nan at step 1"),
        ({"a": [2, 2]}, "the series 'a' must vary; received 2 times 2"),
        ([3], "the series 'series 0' must have at least 2 values; received 1"),
        ({"a": np.zeros((2, 2, 2))}, "must be an array"),
        ({"a": ["x"]}, "the series 'a' must be numbers of equal steps; received list"),
        ({}, "must hold at least one series; received none"),
    ]:
        with pytest.raises(UserError) as caught:
            series_of(value)
        assert words in str(caught.value)


@pytest.mark.skipif(not DATA.exists(), reason="needs the data of M4 in ../shared/data")
def test_hourly_series_of_m4() -> None:
    series = read_series(DATA / "Hourly-train.csv.gz")
    assert [(each.name, len(each.values)) for each in series[:2]] == [("H1", 700), ("H2", 700)]
    assert len(series) == 414
    assert sum(len(each.values) for each in series) == 353500
    assert series[0].values[:3, 0].tolist() == [605, 586, 586]


def test_what_follows_a_series_may_be_constant(tmp_path):
    file = tmp_path / "future.csv"
    file.write_text("id,a,b\ns1,3,3\ns2,4,5\n")
    assert [each.name for each in read_series(file, varies=False)] == ["s1", "s2"]
    with pytest.raises(UserError, match="'s1' must vary"):
        read_series(file)
