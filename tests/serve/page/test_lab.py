"""The lab shows a finished run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from on_page import Visit, expect, get, violations
from page_site import Site

from quickstudy.figures import plots
from quickstudy.serve.lab import report, tables
from quickstudy.serve.served import Served

CHARTS = {
    "signs": [
        *("episode_grid", "learning_curve", "baseline_ladder"),
        *("accuracy_by_shots", "reliability"),
    ],
    "sines": [
        *("learning_curve", "layers", "baseline_ladder"),
        *("accuracy_by_shots", "accuracy_by_steps"),
    ],
}


@pytest.mark.parametrize("model", CHARTS)
def test_the_lab_shows_a_run(model: str, visit: Visit, site: Site) -> None:
    """Every chart of a finished run has its numbers as a table, and files to download."""
    page = visit()
    page.goto(f"{site.url}/lab/{model}")
    expect(page.locator("figure").first).to_be_visible()
    figures = page.locator("figure").all()
    assert [figure.get_attribute("id") for figure in figures] == CHARTS[model]
    told = get(f"{site.url}/v1/models/{model}/lab")["pictures"]
    for figure, picture in zip(figures, told, strict=True):
        assert figure.locator("img").evaluate("(image) => image.naturalWidth") > 100
        figure.get_by_text("The numbers").click()
        shown = figure.get_by_role("table")
        assert shown.count() == len(picture["tables"]) >= 1
        for table, numbers in zip(shown.all(), picture["tables"], strict=True):
            assert table.locator("tbody tr").count() == len(numbers["rows"]) > 0
        files = []
        for form in ("SVG", "JSON"):
            with page.expect_download() as download:
                figure.get_by_role("link", name=f"Download {form}").click()
            files.append(Path(download.value.path()).read_text())
        assert files[0] == picture["svg"]
        assert json.loads(files[1]) == picture["data"]
    assert violations(page) == []
    page.set_viewport_size({"width": 360, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not [url for url in page.seen.urls if not url.startswith((site.url, "blob:"))]


def test_the_lab_of_no_model(visit: Visit, site: Site) -> None:
    """What is not there is said to be not there."""
    page = visit()
    page.goto(f"{site.url}/lab/none")
    expect(page.get_by_role("alert")).to_contain_text("There is no such resource")


def test_the_numbers_are_those_of_the_picture() -> None:
    """A table has the records that a picture was drawn from, or what they stand for."""
    rows = [{"name": "a", "accuracy": 0.5, "ci95": 0.1}, {"name": "b", "accuracy": 0.25}]
    assert tables(plots.baseline_ladder(rows))[0].rows[1] == rows[1] | {"ci95": None}
    curves = {"a": [{"n_shot": 1, "accuracy": 0.5}], "b": [{"n_shot": 2, "accuracy": 0.75}]}
    (found,) = tables(plots.accuracy_by_shots(curves))
    assert [(row["method"], row["n_shot"], row["accuracy"]) for row in found.rows] == [
        ("a", 1, 0.5),
        ("b", 2, 0.75),
    ]
    black = np.zeros((1, 4, 4), dtype=np.uint8)
    grid = plots.episode_grid([black, black], black, [1], [0], labels=["cat", "dog"])
    assert tables(grid)[0].rows == [{"query": 1, "is": "cat", "called": "dog", "confidence": None}]


@pytest.mark.parametrize("content", ["", "[]", '{"metric": "accuracy"}', '{"metric": 3}', "null"])
def test_what_is_no_evaluation_is_left_out(content: str, runs: dict[str, Path]) -> None:
    """A file that is none, or holds something else, does not keep the rest from being shown."""
    (runs["waves"] / "evaluation.json").write_text(content)
    try:
        found = report(Served(runs["waves"]))
    finally:
        (runs["waves"] / "evaluation.json").unlink()
    names = {picture["name"] for picture in found["pictures"]}
    assert not names & {"baseline_ladder", "reliability"}
    assert "quickstudy evaluate waves" in found["evaluate"]
