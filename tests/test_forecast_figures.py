"""Figures of forecasts and of tracks show the numbers they were given, and refuse what is wrong."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from quickstudy.errors import UserError
from quickstudy.figures import fan as fans
from quickstudy.figures.fan import Forecast, fan
from quickstudy.figures.sheet import Figure
from quickstudy.figures.tracks import Path as Track
from quickstudy.figures.tracks import tracks

HISTORY = [3.0, 4.0, 6.0, 5.0]
PARTS: dict[str, Any] = {
    "history": HISTORY,
    "values": [5.5, 6.5, 7.5],
    "naive": [5.0, 5.0, 5.0],
    "low": [5.0, 5.0, 6.0],
    "high": [6.0, 8.0, 9.0],
}
OBSERVED = [[0.0, 0.0], [1.0, 0.0]]
WALK = Track(OBSERVED, [[2.0, 1.0], [3.0, 2.0]], [[2.0, 0.0], [3.0, 1.0]], [[2.0, 0.0], [3.0, 0.0]])

FIGURES: dict[str, Callable[[], Figure]] = {
    "forecast": lambda: fan(Forecast(**PARTS, truth=[5.0, 8.5, 9.0], name="<b> & $x$ 漢字")),
    "channels": lambda: fan([Forecast(**PARTS), Forecast(**PARTS, times=[*"abcdefg"])], "channels"),
    "tracks": lambda: tracks([WALK, WALK._replace(truth=None)], scene="<hotel>"),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_one_file_and_the_same_twice(name: str, tmp_path: Path) -> None:
    figure = FIGURES[name]()
    assert figure == FIGURES[name]()
    root = ET.fromstring(figure.svg)
    assert root.get("aria-label") == figure.title
    assert not root.findall(".//{*}script")
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", figure.svg)
    figure.save(tmp_path)
    assert json.loads((tmp_path / f"{name}.json").read_text()) == figure.data


def test_the_title_counts_what_the_interval_holds() -> None:
    figure = fan(Forecast(**PARTS, truth=[5.0, 8.5, 9.0]))
    assert figure.title == "2 of 3 values that came lie in the 80 % interval"
    ahead = fan(Forecast(**PARTS))
    assert ahead.title == "3 steps ahead: from 5.50 to 7.50"


def test_the_numbers_of_a_fan_are_beside_it() -> None:
    (numbers,) = fan(Forecast(**PARTS, coverage=0.9)).data["forecasts"]
    assert {key: numbers[key] for key in PARTS} == PARTS
    assert numbers["coverage"] == 0.9
    assert numbers["truth"] is None


@pytest.mark.parametrize(
    ("values", "text"),
    [((1.0, 1.5), "1.500"), ((10_000.0, 10_400.0), "10,400"), ((1e-9, 2e-9), "2e−09")],
)
def test_numbers_are_written_as_finely_as_they_differ(values: Any, text: str) -> None:
    forecast = Forecast(values[:1], values[1:], values[:1])
    assert fans._writer(forecast)(values[1]) == text


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"naive": [1.0]}, "received 1 in naive"),
        ({"low": None}, "received one of them"),
        ({"low": [9.0, 9.0, 9.0]}, "the other way round"),
        ({"history": []}, "need finite numbers"),
        ({"values": [1.0, float("nan"), 2.0]}, "need finite numbers"),
        ({"times": ["a"]}, "received 1"),
    ],
)
def test_a_fan_refuses_parts_that_do_not_fit(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        fan(Forecast(**PARTS | changes))


def test_tracks_compare_the_errors_before_and_after() -> None:
    figure = tracks([WALK])
    # Distances 1 and 2 before, 0 and 1 after.
    assert figure.data["errors"] == [1.5, 0.5]
    assert figure.title == "1 track: mean error 1.5 m before adapting, 0.5 m after"
    assert tracks([WALK._replace(truth=None)]).data["errors"] == [None, None]


def test_a_metre_is_as_long_in_both_directions(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    from quickstudy.figures import tracks as module

    draw = module._draw
    monkeypatch.setattr(module, "_draw", lambda axes, *rest: (seen.append(axes), draw(axes, *rest)))
    long = Track(np.array([[0, 0], [30, 1]]), np.array([[60, 2]]), np.array([[61, 2]]))
    tracks([long])
    for axes in seen:
        (x0, y0), (x1, y1) = axes.transData.transform([(0, 0), (1, 1)])
        assert x1 - x0 == pytest.approx(y1 - y0)
        assert axes.get_xlim()[0] < 0 < 61 < axes.get_xlim()[1]


@pytest.mark.parametrize(
    "change",
    [{"after": [[0.0, 0.0]]}, {"observed": [0.0, 1.0]}, {"truth": [[np.inf, 0.0], [0.0, 0.0]]}],
)
def test_tracks_refuse_parts_that_do_not_fit(change: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="track 0 needs"):
        tracks([WALK._replace(**change)])
    with pytest.raises(UserError, match="received none"):
        tracks([])
