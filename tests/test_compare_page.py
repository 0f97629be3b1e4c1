"""The tables, figures and page of a comparison hold its numbers, and say what is missing."""

from __future__ import annotations

import copy
import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
from test_report import HOSTILE, Page

from quickstudy.compare.figures import comparison_figures, headline
from quickstudy.compare.page import lead, write_comparison
from quickstudy.compare.table import Cell, print_comparison, ranked, tables
from quickstudy.figures.scatter import Point, front
from quickstudy.metrics import ACCURACY, MSE

JSON = dict[str, Any]


def found(value: float | None, difference: float | None = 0.0, **more: Any) -> JSON:
    """A result; where there is no value, one of a learner that could not."""
    lower = None if value is None else value - 0.01
    numbers = {"accuracy": value, "ci95": 0.004, "accuracy_disjoint": lower, "ci95_disjoint": 0.012}
    numbers |= {"difference": difference, "difference_ci95": 0.003}
    other = {"not_finite": 0, "adapt_ms": 2.5, "state_bytes": 1728, "reason": None}
    if value is None:
        return {**dict.fromkeys([*numbers, *other]), "reason": "built for 5 ways", **more}
    return {**numbers, **other, **more}


def row(name: str, *results: JSON, **more: Any) -> JSON:
    about: JSON = {"learner": "MAML", "baseline": False, "norm": "support", "transductive": False}
    about |= {"n_meta_parameters": 12345, "steps": 2000, "minutes": 3.25, "cpu_minutes": 0.5}
    about |= {"trained_with": {"cpu": "A"}, "run": f"runs/{name}", "notes": []}
    return {"name": name, **about, "results": list(results), **more}


def setting(n_way: int | None, n_shot: int, reference: str) -> JSON:
    count = {"n_tasks": 600, "n_tasks_disjoint": 92}
    return {"n_way": n_way, "n_shot": n_shot, **count, "reference": reference}


BASELINE = {"baseline": True, "n_meta_parameters": 0, "steps": 0, "minutes": 0.0, "run": None}
RESULT: JSON = {
    "metric": "accuracy",
    "tasks": "glyphs",
    "tasks_options": {"name": "glyphs", "n_way": 5, "n_query": 15, "classes": {"test": 300}},
    "split": "test",
    "seed": 0,
    "n_tasks": 600,
    "reference": None,
    "settings": [setting(5, 1, "best"), setting(5, 5, "best"), setting(20, 1, "second")],
    "rows": [
        row("second", found(0.9, -0.02, adapt_ms=1.0), found(0.95, -0.03), found(0.8)),
        row("best", found(0.92), found(0.98), found(None), transductive=True),
        row(
            "old",
            *(found(0.5, -0.4, not_finite=3), found(0.6, -0.38), found(0.3, -0.5)),
            trained_with={"cpu": "B"},
            notes=["meta-trained on omniglot"],
            minutes=30.0,
        ),
        row(
            "NearestCentroid",
            *(found(0.7, -0.22, adapt_ms=0.1), found(0.8, -0.18), found(0.85, 0.05)),
            **BASELINE,
        ),
    ],
    "timing": {"tasks": 20, "threads": 2},
    "machine": {"cpu": "CPU of 2 cores"},
    "date": "2026-01-31",
    "command": "quickstudy compare a b",
}


def changed(**more: Any) -> JSON:
    return {**copy.deepcopy(RESULT), **more}


def as_mse(result: JSON) -> JSON:
    text = json.dumps(result).replace('"accuracy', '"mse')
    result = json.loads(text)
    for each in result["settings"]:
        each["n_way"] = None
    return result


def one_setting() -> JSON:
    result = changed()
    result["settings"] = result["settings"][:1]
    for each in result["rows"]:
        each["results"] = each["results"][:1]
    return result


# Tables


def test_the_tables_by_hand() -> None:
    outcomes, training, adapting, notes = tables(RESULT)
    assert outcomes.columns == ["5-way 1-shot", "5-way 5-shot", "20-way 1-shot"]
    assert [r.head[0] for r in outcomes.rows] == ["best", "second", "NearestCentroid", "old [1]"]
    assert outcomes.rows[0].head[1:] == ["  on disjoint tasks", "  minus the best"]
    best, second, centroid, old = (r.cells for r in outcomes.rows)
    assert best == [
        Cell(["92.0 ± 0.4", "91.0 ± 1.2", "best"], best=True),
        Cell(["98.0 ± 0.4", "97.0 ± 1.2", "best"], best=True),
        Cell(["– [2]", "–", "–"]),
    ]
    assert second[0] == Cell(["90.0 ± 0.4", "89.0 ± 1.2", "−2.0 ± 0.3"])
    assert second[2] == Cell(["80.0 ± 0.4", "79.0 ± 1.2", "best"]), "of the learners"
    assert centroid[2] == Cell(["85.0 ± 0.4", "84.0 ± 1.2", "+5.0 ± 0.3"], best=True)
    assert old[0].lines[0] == "50.0 ± 0.4 [3]"
    assert notes == [
        "meta-trained on omniglot",
        "built for 5 ways",
        "3 of 600 tasks gave predictions that are not finite",
        "not all were meta-trained on the same machine",
    ]
    assert "92 of each kind" in outcomes.caption
    assert training.columns[-2:] == ["time [4]", "CPU time"]
    assert [cell.lines[0] for cell in training.rows[0].cells] == [
        *("support", "yes", "12,345", "2,000", "3.2 min", "30 s")
    ]
    assert [c.lines[0] for c in training.rows[2].cells[2:]] == ["0", "none", "none", "none"]
    assert training.caption.startswith("NearestCentroid: baselines")
    assert adapting.rows[0].cells[0].lines == ["2.5 ms", "1.73 kB"]
    assert adapting.rows[0].cells[2].lines == ["–", "–"]
    assert "20 tasks, one at a time on 2 threads" in adapting.caption
    assert [r.baseline for r in adapting.rows] == [False, False, True, False]


def test_a_named_reference_and_learners_without_a_run() -> None:
    result = changed(reference="old")
    for each in result["settings"]:
        each["reference"] = "old"
    result["rows"][0] |= {"steps": None, "minutes": None, "cpu_minutes": None, "run": None}
    outcomes, training, *_ = tables(result)
    assert outcomes.rows[0].head[-1] == "  minus old"
    assert outcomes.rows[3].cells[0].lines[-1] == "–"
    assert [cell.lines[0] for cell in training.rows[1].cells[3:]] == ["–", "–", "–"]


def test_lower_is_better_for_an_error() -> None:
    result = as_mse(RESULT)
    assert [r["name"] for r in ranked(result)] == ["old", "NearestCentroid", "second", "best"]
    assert [r["name"] for r in ranked(result, 2)][-1] == "best", "that could not"
    outcomes = tables(result).outcomes
    assert outcomes.columns[0] == "1-shot"
    assert outcomes.rows[0].cells[0] == Cell(
        ["0.500 ± 0.004 [2]", "0.490 ± 0.012", "−0.400 ± 0.003"], True
    )
    assert "Mean squared error" in outcomes.caption


def test_tasks_that_are_all_disjoint_are_shown_once() -> None:
    result = changed()
    for each in result["rows"]:
        for at in each["results"]:
            at |= {"accuracy_disjoint": at["accuracy"], "ci95_disjoint": at["ci95"]}
    outcomes = tables(result).outcomes
    assert len(outcomes.rows[0].head) == len(outcomes.rows[0].cells[0].lines) == 2
    assert "disjoint" not in outcomes.caption


def test_long_times_and_large_states() -> None:
    result = one_setting()
    result["rows"][1]["results"][0] |= {"adapt_ms": 12345.0, "state_bytes": 2_500_000}
    result["rows"][0]["results"][0] |= {"adapt_ms": 0.01234, "state_bytes": 999}
    rows = tables(result).adapting.rows
    assert [r.cells[0].lines for r in rows[:2]] == [["12.3 s", "2.5 MB"], ["0.0123 ms", "999 B"]]


def test_the_terminal_shows_text_as_it_is_and_wraps_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    result = changed()
    name = "[bold]a long name[/bold] that goes on for more than eighty characters, as names may do"
    result["rows"][1] |= {"name": name, "notes": ["a [red]note[/red]"]}
    print_comparison(result)
    lines = capsys.readouterr().out.splitlines()
    assert any(name in line and "92.0 ± 0.4" in line and "– [3]" in line for line in lines)
    assert "[1] a [red]note[/red]" in lines
    assert "glyphs/test, 600 tasks of each kind" in lines[0]


# Figures


def test_figures_are_self_contained_deterministic_and_saved_whole(tmp_path: Path) -> None:
    result = changed()
    result["rows"][0]["name"] = HOSTILE
    made = comparison_figures(result)
    assert made == comparison_figures(result)
    names = ["comparison", "accuracy_by_shots_5-way", "accuracy_by_time", "accuracy_by_training"]
    assert [figure.name for figure in made] == names
    for figure in made:
        root = ET.fromstring(figure.svg)
        assert not root.findall(".//{*}script")
        assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", figure.svg)
        figure.save(tmp_path)
        assert json.loads((tmp_path / f"{figure.name}.json").read_text()) == figure.data


def test_figures_are_drawn_from_the_numbers() -> None:
    dots, shots, time, training = comparison_figures(RESULT)
    assert dots.title == "best is best in 2 of 3 settings"
    assert [s["setting"] for s in dots.data["settings"]] == tables(RESULT).outcomes.columns
    assert [s["chance"] for s in dots.data["settings"]] == [0.2, 0.2, 0.05]
    names = [[r["name"] for r in s["rows"]] for s in dots.data["settings"]]
    assert names == [["best", "second", "NearestCentroid", "old"]] * 2 + [names[0][1:]]
    assert dots.data["settings"][0]["rows"][0] == {"name": "best", "accuracy": 0.92, "ci95": 0.004}
    assert "guessing" not in dots.caption, "it is far off"
    assert list(shots.data["curves"]) == ["best", "second", "NearestCentroid", "old"]
    assert [r["n_shot"] for r in shots.data["curves"]["best"]] == [1, 5]
    assert shots.title.startswith("5-way: best: 92.0 % with 1 shot")
    assert [(r["name"], r["cost"]) for r in time.data["rows"]] == [
        *(("best", 2.5), ("second", 1.0), ("NearestCentroid", 0.1), ("old", 2.5))
    ]
    assert "20 tasks, one at a time, on 2 threads" in time.caption
    assert [(r["name"], r["cost"]) for r in training.data["rows"]] == [
        *(("best", 3.25), ("second", 3.25), ("old", 30.0))
    ]
    for name in ("best", "NearestCentroid"):
        assert f"<!-- {name} -->" in dots.svg
        assert f"<!-- {name} -->" in time.svg


def test_guessing_is_drawn_where_the_numbers_are_near_it() -> None:
    result = one_setting()
    result["rows"][2]["results"][0] |= {"accuracy": 0.15}
    assert "a dashed line is guessing" in comparison_figures(result)[0].caption


def test_figures_of_errors_and_of_little() -> None:
    made = comparison_figures(as_mse(RESULT))
    assert [figure.name for figure in made][1] == "accuracy_by_shots"
    assert "Further left is better" in made[0].caption
    little = one_setting()
    little["rows"] = little["rows"][:1]
    assert [figure.name for figure in comparison_figures(little)] == ["comparison"]
    little["rows"][0]["results"] = [found(None)]
    assert comparison_figures(little) == []


def test_the_front_is_what_no_other_beats_in_both() -> None:
    points = [
        Point(name, False, cost, value, None)
        for name, cost, value in (("a", 1, 0.5), ("b", 2, 0.4), ("c", 3, 0.9), ("d", 3, 0.8))
    ]
    assert [p.name for p in front(points, ACCURACY)] == ["a", "c"]
    assert [p.name for p in front(points, MSE)] == ["a", "b"]


def test_many_learners_fit() -> None:
    result = changed()
    for i in range(12):
        result["rows"].append({**copy.deepcopy(result["rows"][0]), "name": f"learner {i}"})
    for figure in comparison_figures(result):
        assert all(f"<!-- learner {i} -->" in figure.svg for i in range(12)), figure.name


# Words


def test_who_is_best() -> None:
    assert headline(RESULT) == "best is best in 2 of 3 settings"
    assert headline(one_setting()) == "best is best in 5-way 1-shot: 92.0 ± 0.4 %"
    nothing = one_setting()
    for each in nothing["rows"]:
        each["results"] = [found(None)]
    assert headline(nothing) == lead(nothing)[:-1] == "Nothing could be measured"
    assert headline(as_mse(one_setting())) == "old is best in 1-shot: 0.500 ± 0.004"
    every = changed()
    every["rows"] = every["rows"][:1]
    assert headline(every) == "second is best in all 3 settings"


def test_the_lead_says_whether_the_best_is_told_from_the_next() -> None:
    said = lead(RESULT)
    assert "In 5-way 1-shot best is 2.0 ± 0.3 points ahead of second." in said
    close = one_setting()
    close["rows"][0]["results"][0] |= {"difference": -0.002}
    said = lead(close)
    assert "it is 0.2 ± 0.3 points ahead of second, which these tasks cannot tell" in said
    away = changed()
    away["settings"][0]["reference"] = "old"
    assert "ahead" not in lead(away)


# The page


def test_the_page_is_whole_accessible_and_fetches_nothing(tmp_path: Path) -> None:
    figures = comparison_figures(RESULT)
    path = write_comparison(tmp_path / "page.html", RESULT, figures)
    source = path.read_text(encoding="utf-8")
    page = Page(source)
    assert "default-src 'none'" in source
    assert not page.all("script")
    assert "http://" not in source
    assert "https://" not in source
    assert len(page.all("img")) == len(figures)
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    for words in (
        "3 learners compared on glyphs",
        "best is best in 2 of 3 settings.",
        "92.0 ± 0.4 91.0 ± 1.2 best",
        "meta-trained on omniglot built for 5 ways",
        "What this does not show",
        "on these very tasks",
        "differences to the best learner of each setting",
        "machine cpu CPU of 2 cores",
        "run of old runs/old",
        "tasks: classes {'test': 300}",
        "command quickstudy compare a b",
    ):
        assert words in page.text, words
    assert write_comparison(tmp_path / "again.html", RESULT, figures).read_text() == source


def test_everything_from_outside_is_escaped(tmp_path: Path) -> None:
    result = changed(tasks=HOSTILE, command=HOSTILE, machine={HOSTILE: HOSTILE}, split=HOSTILE)
    result["rows"][0] |= {"name": HOSTILE, "norm": HOSTILE, "notes": [HOSTILE], "run": HOSTILE}
    result["rows"][1]["results"][2]["reason"] = HOSTILE
    path = write_comparison(tmp_path / "p.html", result, comparison_figures(result), HOSTILE)
    source = path.read_text(encoding="utf-8")
    assert "<script" not in source
    assert Page(source).text.count(HOSTILE) >= 10


def test_a_named_reference_needs_no_warning(tmp_path: Path) -> None:
    path = write_comparison(tmp_path / "p.html", changed(reference="old"))
    page = Page(path.read_text(encoding="utf-8"))
    assert "on these very tasks" not in page.text
    assert "differences to old" in page.text
