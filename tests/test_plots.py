"""The figures say what they were given, in the same bytes, and refuse what is no number."""

from __future__ import annotations

import json
import math
import os
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest

from quickstudy.errors import UserError
from quickstudy.figures import plots
from quickstudy.figures.curves import End, label_ends
from quickstudy.figures.episode import episode_grid
from quickstudy.figures.sheet import Figure, drawable, sheet
from quickstudy.metrics import MSE

HOSTILE = '<script>alert("1")</script> & $\\frac{$'


def episode(**changes: Any) -> Figure:
    rng = np.random.default_rng(0)
    arguments: dict[str, Any] = {
        "support": rng.random((3, 2, 6, 6)),
        "query": rng.random((5, 6, 6)),
        "predicted": [0, 1, 2, 2, 0],
        "truth": [0, 1, 2, 0, 0],
        "labels": ["a", HOSTILE, "漢字"],
        "confidence": [0.9, 0.5, 0.8, 0.4, 0.95],
        "ink": True,
    }
    return episode_grid(**arguments | changes)


LEARNING = [
    {"step": 1, "loss": 1.6, "valid_accuracy": None},
    {"step": 2, "loss": 0.9, "valid_accuracy": 0.7},
    {"step": 3, "loss": math.nan, "valid_accuracy": 0.65},
    {"step": 4, "loss": 0.4},
]
SHOTS = {
    "Learner": [{"n_shot": 5, "accuracy": 0.9, "ci95": 0.01}, {"n_shot": 1, "accuracy": 0.8}],
    HOSTILE: [{"n_shot": 1, "accuracy": 0.5, "ci95": 0.02}],
}
STEPS = {"Learner": [{"inner_steps": k, "mse": 1 / (1 + k), "ci95": 0.1} for k in range(3)]}
BINS = [
    {"low": 0.0, "high": 0.5, "count": 0, "confidence": None, "accuracy": None},
    {"low": 0.5, "high": 0.9, "count": 10, "confidence": 0.7, "accuracy": 0.6},
    {"low": 0.9, "high": 1.0, "count": 30, "confidence": 0.95, "accuracy": 0.93},
]
LADDER = [
    {"name": "Worst", "accuracy": 0.3, "ci95": None},
    {"name": "Learner", "accuracy": 0.9, "ci95": 0.01},
    {"name": HOSTILE, "accuracy": 0.6, "ci95": 0.02},
]
X = [0.0, 1.0, 2.0]
FIT = {"support_x": [0.5], "support_y": [1.0], "x": X, "truth": X, "predictions": {0: X, 10: X}}

FIGURES: dict[str, Callable[[], Figure]] = {
    "episode_grid": episode,
    "learning_curve": lambda: plots.learning_curve(LEARNING),
    "accuracy_by_shots": lambda: plots.accuracy_by_shots(SHOTS, chance=0.2),
    "accuracy_by_steps": lambda: plots.accuracy_by_steps(STEPS, metric=MSE),
    "reliability": lambda: plots.reliability(BINS),
    "baseline_ladder": lambda: plots.baseline_ladder(LADDER, chance=0.2, learner="Learner"),
    "regression_fit": lambda: plots.regression_fit([FIT, FIT]),
}


@pytest.mark.parametrize("name", FIGURES)
def test_figure_is_self_contained_deterministic_and_saved_whole(name: str, tmp_path: Path) -> None:
    figure = FIGURES[name]()
    assert figure == FIGURES[name]()
    assert figure.name == name
    root = ET.fromstring(figure.svg)
    assert root.get("aria-label") == figure.title
    assert not root.findall(".//{*}script")
    assert not root.findall(".//{*}metadata")
    outside = re.sub(r'xmlns(:\w+)?="[^"]*"', "", figure.svg)
    assert "http" not in outside
    path = figure.save(tmp_path)
    assert path.read_text(encoding="utf-8") == figure.svg
    assert json.loads((tmp_path / f"{name}.json").read_text()) == figure.data
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{name}.json", f"{name}.svg"]


def test_numbers_that_are_no_python_numbers_become_json(tmp_path: Path) -> None:
    rows = [{"name": "a", "accuracy": np.float32(0.5), "ci95": np.nan, "other": [1]}]
    figure = plots.baseline_ladder(rows)
    assert figure.data["rows"] == [{"name": "a", "accuracy": 0.5, "ci95": None}]
    bins = [BINS[0] | {"accuracy": np.nan}, BINS[1] | {"count": np.int64(10)}]
    assert plots.reliability(bins).data["bins"] == BINS[:2]
    plots.reliability(bins).save(tmp_path)


def test_style_of_the_user_does_not_matter() -> None:
    plain = plots.baseline_ladder(LADDER)
    with matplotlib.rc_context({"font.size": 30, "text.usetex": True, "svg.fonttype": "none"}):
        assert plots.baseline_ladder(LADDER).svg == plain.svg
        assert matplotlib.rcParams["font.size"] == 30


def test_save_leaves_the_old_file_when_writing_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    figure = plots.baseline_ladder(LADDER)
    path = figure.save(tmp_path)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.baseline_ladder(LADDER[:1]).save(tmp_path)
    assert path.read_text(encoding="utf-8") == figure.svg
    assert len(list(tmp_path.iterdir())) == 2


def test_episode_data_are_the_inputs() -> None:
    support = np.arange(3 * 1 * 2 * 2, dtype=np.uint8).reshape(3, 1, 2, 2)
    query = np.full((1, 2, 2), 0.5)
    figure = episode_grid(support, query, [2], [1])
    assert figure.data["support"] == support.tolist()
    assert figure.data["query"] == [[[128, 128], [128, 128]]]
    assert figure.data["predicted"] == [2]
    assert figure.data["truth"] == [1]
    assert figure.data["confidence"] is None
    assert figure.title == "0 of 1 queries go to the right class"
    assert episode().data["labels"] == ["a", HOSTILE, "漢字"]
    assert episode().title == "4 of 5 queries go to the right class"


def test_episode_takes_colour_and_unequal_shots() -> None:
    rng = np.random.default_rng(1)
    support = [rng.random((n, 4, 4, 3)) for n in (1, 3)]
    figure = episode_grid(support, rng.random((2, 4, 4, 3)), [0, 0], [0, 1])
    assert [len(shots) for shots in figure.data["support"]] == [1, 3]


def test_wrong_queries_are_marked_without_colour() -> None:
    right = episode(truth=[0, 1, 2, 2, 0]).svg
    wrong = episode().svg
    assert "<!-- ✕ is" not in right
    assert wrong.count("<!-- ✕ is #1 -->") == 1
    assert re.findall(r"<!-- ✓ (\d+) %", wrong) == ["95", "90", "50", "80"]


def test_learning_curve_keeps_what_was_measured() -> None:
    figure = plots.learning_curve(LEARNING)
    assert figure.data["loss"] == [
        {"step": 1.0, "loss": 1.6},
        {"step": 2.0, "loss": 0.9},
        {"step": 4.0, "loss": 0.4},
    ]
    assert [(r["step"], r["valid_accuracy"]) for r in figure.data["valid"]] == [
        (2, 0.7),
        (3, 0.65),
    ]
    assert "best validation accuracy 70.0 %" in figure.title
    rows = [{"step": k, "loss": 1.0, "valid_mse": 1.0 + k} for k in (1, 2)]
    assert (
        "best validation mean squared error 2.000" in plots.learning_curve(rows, metric=MSE).title
    )


def test_long_learning_curve_is_drawn_from_means_of_groups() -> None:
    rows = [{"step": k, "loss": float(k % 2)} for k in range(1, 1601)]
    figure = plots.learning_curve(rows)
    assert len(figure.data["loss"]) == 400
    assert {r["loss"] for r in figure.data["loss"]} == {0.5}
    assert figure.title == "Loss 0.5 after 1,600 steps"


def test_curves_are_sorted_and_titled_with_their_ends() -> None:
    figure = plots.accuracy_by_shots(SHOTS)
    assert figure.title == "Learner: 80.0 % with 1 shot, 90.0 % with 5 shots"
    assert figure.data["curves"]["Learner"] == [
        {"n_shot": 1, "accuracy": 0.8, "ci95": None},
        {"n_shot": 5, "accuracy": 0.9, "ci95": 0.01},
    ]
    title = plots.accuracy_by_steps(STEPS, metric=MSE).title
    assert title == "Learner: 1.000 with 0 inner steps, 0.333 with 2 inner steps"


def test_reliability_measures_the_gap() -> None:
    figure = plots.reliability(BINS)
    assert figure.data["ece"] == pytest.approx((10 * 0.1 + 30 * 0.02) / 40)
    assert figure.data["bins"] == BINS
    assert figure.title == "Calibration error 4.0 %: on average overconfident by 4.0 points"
    assert "Calibration error 12.0 %" in plots.reliability(BINS, 0.12).title


def test_ladder_has_the_best_on_top() -> None:
    names = [row["name"] for row in plots.baseline_ladder(LADDER).data["rows"]]
    assert names == ["Learner", HOSTILE, "Worst"]
    rows = [{"name": "a", "mse": 2.0, "ci95": 0.1}, {"name": "b", "mse": 1.0, "ci95": 0.1}]
    figure = plots.baseline_ladder(rows, metric=MSE)
    assert [row["name"] for row in figure.data["rows"]] == ["b", "a"]
    assert figure.title == "a 2.000; best baseline b 1.000"


def test_end_labels_do_not_overlap() -> None:
    with sheet(4, "") as canvas:
        axes = canvas.panel(0.5, 0.5, right=2)
        axes.set(xlim=(0, 1), ylim=(0, 1))
        label_ends(axes, [End(1, y, "k", f"name {y}") for y in (0.5, 0.99, 0.505, 0.98, 0.51)])
        heights = sorted(text.get_position()[1] for text in axes.texts if "name" in text.get_text())
        assert np.diff(heights).min() * axes.bbox.height / canvas.dpi > 0.34
        assert heights[-1] <= 1


def test_text_is_made_drawable() -> None:
    assert drawable("a\n b\tc", 9) == "a b c"
    assert drawable("abcdef", 4) == "abc…"
    assert drawable("漢é", 9) == "▯é"


def test_dollars_are_no_formula() -> None:
    figure = plots.baseline_ladder([{"name": "$\\frac{$", "accuracy": 0.5}])
    assert "<!-- $\\frac{$ -->" in figure.svg


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: episode(predicted=[0]), "one length"),
        (lambda: episode(labels=["a"]), "1 labels for 3 classes"),
        (lambda: episode(truth=[0, 1, 2, 3, -1]), r"0 \.\. 2; received \[-1, 3\]"),
        (lambda: episode(query=np.zeros((5, 1, 6, 6))), r"received shape \(5, 1, 6, 6\)"),
        (lambda: episode(query=np.full((5, 6, 6), -2.0)), "undo the standardisation"),
        (lambda: episode(confidence=[0.9, 0.5, 0.8, 0.4, math.nan]), "confidence"),
        (lambda: plots.learning_curve([{"step": 1}]), "received none"),
        (lambda: plots.learning_curve([{"loss": 1.0}]), "'step'"),
        (lambda: plots.accuracy_by_shots({}), "received none"),
        (lambda: plots.accuracy_by_shots({"a": [{"n_shot": 1}]}), "a: row 0 needs .*'accuracy'"),
        (lambda: plots.accuracy_by_shots({"a": [{"n_shot": 1, "accuracy": 93.0}]}), "fraction"),
        (lambda: plots.reliability(BINS[:1]), "received none"),
        (lambda: plots.baseline_ladder([{"name": "a", "accuracy": math.nan}]), "nan"),
        (lambda: plots.regression_fit([]), "1 to 4 tasks"),
        (lambda: plots.regression_fit([FIT | {"truth": [1.0]}]), "of one length"),
        (lambda: plots.regression_fit([FIT | {"predictions": {}}]), "1 to 4 predictions"),
        (lambda: plots.regression_fit([FIT | {"support_y": [math.inf]}]), "finite"),
    ],
)
def test_bad_input_is_refused(draw: Callable[[], Figure], message: str) -> None:
    with pytest.raises(UserError, match=message):
        draw()
