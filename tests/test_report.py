"""The page holds the numbers it was given, nothing from outside runs, and nothing is fetched."""

from __future__ import annotations

import os
import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from quickstudy.errors import UserError
from quickstudy.figures import plots
from quickstudy.figures.page import Section, write_report

HOSTILE = "\"><script>alert('x')</script>"
EVALUATION: dict[str, Any] = {
    "learner": "PrototypicalNetwork",
    "tasks": "glyphs",
    "split": "test",
    "norm": "population",
    "seed": 0,
    "n_way": 5,
    "n_shot": 1,
    "n_query": 15,
    "n_tasks": 600,
    "metric": "accuracy",
    "accuracy": 0.842,
    "ci95": 0.0046,
    "accuracy_disjoint": 0.838,
    "ci95_disjoint": 0.012,
    "n_tasks_disjoint": 92,
    "ece": 0.031,
    "baselines": {
        "Weak": {"accuracy": 0.44, "ci95": 0.006, "difference": 0.402, "difference_ci95": 0.006},
        "Strong": {"accuracy": 0.9, "ci95": 0.005, "difference": -0.058, "difference_ci95": 0.004},
        "Unmeasured": {"accuracy": None},
    },
    "minutes": 3.41712,
    "machine": {"processor": "CPU of 2 cores"},
    "date": "2025-01-31",
    "command": "quickstudy train --tasks glyphs",
}
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Page(HTMLParser):
    """Tags in order, checked to be balanced, and the text between them."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def written(folder: Path, *evaluations: dict[str, Any], **more: Any) -> tuple[str, Page]:
    arguments: dict[str, Any] = {"title": "A run", "summary": {"outer steps": 2000}} | more
    path = write_report(folder / "report.html", evaluations=evaluations, **arguments)
    source = path.read_text(encoding="utf-8")
    return source, Page(source)


def test_page_is_whole_accessible_and_fetches_nothing(tmp_path: Path) -> None:
    figures = [plots.baseline_ladder([{"name": HOSTILE, "accuracy": 0.5, "ci95": 0.1}])] * 2
    section = Section("Digits", "One.\n\nTwo.", EVALUATION | {"accuracy": 0.71}, figures)
    source, page = written(tmp_path, EVALUATION, figures=figures, sections=[section])
    assert source.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert any(meta.get("name") == "viewport" for meta in page.all("meta"))
    assert "default-src 'none'" in source
    assert "http://" not in source
    assert "https://" not in source
    assert not page.all("script")
    assert len(page.all("figure")) == len(page.all("figcaption")) == len(page.all("img")) == 4
    for image in page.all("img"):
        assert image["alt"] == figures[0].title
        kind, _, content = str(image["src"]).partition(",")
        assert kind == "data:image/svg+xml;base64"
        assert b64decode(content).decode() == figures[0].svg
    assert all(cell.get("scope") in ("row", "col") for cell in page.all("th"))
    identifiers = re.findall(r'\sid="([^"]*)"', source)
    assert len(identifiers) == len(set(identifiers))
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_numbers_are_those_of_the_evaluation(tmp_path: Path) -> None:
    _, page = written(tmp_path, EVALUATION, lead="What this is.", limits="One seed.")
    for words in (
        "What this is.",
        "Accuracy, 5-way 1-shot on glyphs 84.2 ± 0.5 % 95 % confidence interval over 600 tasks",
        "The same over 92 disjoint tasks 83.8 ± 1.2 %",
        "Best baseline: Strong 90.0 ± 0.5 % paired difference −5.8 ± 0.4 points",
        "Calibration error 3.1 %",
        "Weak 44.0 ± 0.6 % +40.2 ± 0.6 points",
        "Unmeasured not measured not measured",
        "queries a class 15",
        "minutes 3.417",
        "machine processor CPU of 2 cores",
        "command quickstudy train --tasks glyphs",
        "outer steps 2000",
        "What this does not show One seed.",
    ):
        assert words in page.text


def test_ladder_is_sorted_with_the_learner_in_its_place(tmp_path: Path) -> None:
    source, _ = written(tmp_path, EVALUATION)
    table = source[source.index('class="ladder"') :]
    names = re.findall(r'<th scope="row">(.*?)</th>', table[: table.index("</table>")])
    assert names == ["Strong", "PrototypicalNetwork", "Weak", "Unmeasured"]
    assert '<tr class="own"><th scope="row">PrototypicalNetwork' in table


def test_regression_is_an_error_where_lower_is_better(tmp_path: Path) -> None:
    evaluation = {
        "learner": "MAML",
        "tasks": "sinusoid",
        "n_shot": 10,
        "metric": "mse",
        "mse": 0.318,
        "ci95": 0.012,
        "mse_disjoint": 0.32,
        "ci95_disjoint": 0.02,
        "baselines": {
            "Bad": {"mse": 3.0, "ci95": 0.2, "difference": -2.682, "difference_ci95": 0.2},
            "Better": {"mse": 1.7, "ci95": 0.1, "difference": -1.382, "difference_ci95": 0.1},
        },
    }
    _, page = written(tmp_path, evaluation)
    assert "Mean squared error, 10-shot on sinusoid 0.318 ± 0.012" in page.text
    assert "Best baseline: Better 1.700 ± 0.100 paired difference −1.382 ± 0.100" in page.text
    assert "lower is better" in page.text
    assert "Calibration" not in page.text
    assert "ways" not in page.text
    assert "support examples 10" in page.text


def test_what_is_missing_is_said_to_be(tmp_path: Path) -> None:
    _, page = written(tmp_path, {"metric": "accuracy", "accuracy": float("nan"), "machine": None})
    assert "Accuracy, evaluation not measured" in page.text
    assert "Calibration error not measured" in page.text
    assert "seed not recorded" in page.text
    assert "machine not recorded" in page.text
    assert "Best baseline" not in page.text


def test_everything_from_outside_is_escaped(tmp_path: Path) -> None:
    row = EVALUATION["baselines"]["Weak"]
    hostile = EVALUATION | dict.fromkeys(("learner", "tasks", "split", "command"), HOSTILE)
    hostile |= {"baselines": {HOSTILE: row}, "machine": {HOSTILE: HOSTILE}}
    source, page = written(
        tmp_path,
        hostile,
        hostile,
        title=HOSTILE,
        summary={HOSTILE: HOSTILE},
        lead=HOSTILE,
        limits=HOSTILE,
        sections=[Section(HOSTILE, HOSTILE, hostile)],
    )
    assert "<script" not in source
    assert page.text.count(HOSTILE) >= 20


def test_same_arguments_same_bytes(tmp_path: Path) -> None:
    assert written(tmp_path, EVALUATION)[0] == written(tmp_path, EVALUATION)[0]


def test_failed_write_keeps_the_old_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, _ = written(tmp_path, EVALUATION)

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        written(tmp_path, EVALUATION, title="Another")
    assert (tmp_path / "report.html").read_text(encoding="utf-8") == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_bad_input_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one evaluation"):
        written(tmp_path)
    with pytest.raises(UserError, match="received 'f1'"):
        written(tmp_path, EVALUATION | {"metric": "f1"})
    assert not list(tmp_path.iterdir())
