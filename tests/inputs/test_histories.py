"""Histories in files as a model takes them: its channels by name, and gaps as it was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from quickstudy import catalog
from quickstudy.errors import UserError
from quickstudy.inputs import Windows
from quickstudy.inputs.histories import histories, one_history

ONE = Windows(2, 1, channels=("warm",))
TWO = Windows(2, 1, channels=("warm", "wet"))


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_channels_go_by_their_names(tmp_path: Path) -> None:
    text = "id,time,wet,cold,warm\na,1,10,0,1\na,2,30,5,2\na,3,20,2,3\n"
    path = written(tmp_path / "t.csv", text)
    (series,) = histories(TWO, [path])
    assert series.channels == ("warm", "wet")
    assert series.values.tolist() == [[1, 10], [2, 30], [3, 20]]
    assert one_history(ONE, path).values.tolist() == [[1], [2], [3]]
    with pytest.raises(UserError, match=r"takes 2 channel\(s\), warm, dry; received 3 in"):
        histories(replace(TWO, channels=("warm", "dry")), [path])
    # One value by another name is the one channel.
    path = written(tmp_path / "t.csv", "id,time,heat\na,1,1\na,2,2\n")
    assert histories(ONE, [path])[0].values.tolist() == [[1], [2]]


def business_days(n: int) -> list[np.datetime64]:
    return [day for day in np.datetime64("2024-01-01") + np.arange(2 * n) if np.is_busday(day)][:n]


def test_gaps_are_taken_as_in_training(tmp_path: Path) -> None:
    rng, days = np.random.default_rng(0), business_days(40)
    lines = ["day,a,b,c,d,e,f"]
    for day, row in zip(days, rng.normal(size=(40, 6)).cumsum(axis=0).round(3), strict=True):
        lines.append(",".join([str(day), *map(str, row)]))
    path = written(tmp_path / "days.csv", "\n".join(lines))
    spec = {"name": "windows", "path": path, "horizon": 3, "lags": 6}
    with pytest.raises(UserError, match="the first between 2024-01-05 and 2024-01-08 in line 7"):
        catalog.build_tasks(spec)
    kind = catalog.build_tasks({**spec, "gaps": "ignore"}).preprocess
    assert Windows.from_json(kind.to_json()) == kind
    assert [len(each.values) for each in histories(kind, [path])] == [40] * 6
    X, _ = kind.read_labelled(path, "c", "regression")
    assert len(X) == 40 - 9 + 1
    with pytest.raises(UserError, match=r"7 gap\(s\), the first between 2024-01-05 and"):
        histories(replace(kind, gaps="refuse"), [path])
    filled = histories(replace(kind, gaps="fill"), [path])[0]
    assert (len(filled.values), filled.filled) == (54, 14)
