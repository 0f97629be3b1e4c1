"""The lab shows a finished run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from on_page import Visit, expect, violations
from page_site import Site

from quickstudy import catalog
from quickstudy.errors import DataError
from quickstudy.figures.sheet import Figure
from quickstudy.figures.tables import tables
from quickstudy.serve.lab_report import report
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
    for name, figure in zip(CHARTS[model], figures, strict=True):
        title = figure.locator("img").get_attribute("alt")
        assert figure.locator("img").evaluate("(image) => image.naturalWidth") > 100
        files = []
        for form in ("SVG", "JSON"):
            with page.expect_download() as download:
                figure.get_by_role("link", name=f"Download {form}").click()
            assert download.value.suggested_filename == f"{name}.{form.lower()}"
            files.append(Path(download.value.path()).read_text(encoding="utf-8"))
        assert files[0].startswith(f'<svg role="img" aria-label="{title}"')
        numbers = tables(Figure(name, title, "", files[0], json.loads(files[1])))
        figure.get_by_text("The numbers").click()
        shown = figure.get_by_role("table").all()
        assert len(shown) == len(numbers) >= 1
        for table, of in zip(shown, numbers, strict=True):
            assert table.locator("tbody tr").count() == len(of.rows) > 0
            assert table.locator("caption").inner_text() == of.name
    expect(page.get_by_text("quickstudy evaluate")).to_have_count(0)
    settings = page.get_by_role("region", name="How it was meta-trained").get_by_role("table")
    assert settings.get_by_role("row", name="learner").count() == 1
    assert violations(page) == []
    page.set_viewport_size({"width": 360, "height": 640})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert not [url for url in page.seen.urls if not url.startswith((site.url, "blob:"))]


def test_the_lab_of_no_model(visit: Visit, site: Site) -> None:
    """What is not there is said to be not there."""
    page = visit()
    page.goto(f"{site.url}/lab/none")
    expect(page.get_by_role("alert")).to_contain_text("There is no such resource")


@pytest.mark.parametrize("content", ["", "[]", '{"metric": "accuracy"}', '{"metric": 3}', "null"])
def test_what_is_no_evaluation_is_left_out(content: str, runs: dict[str, Path]) -> None:
    """A file that is none, or holds something else, does not keep the rest from being shown."""
    (runs["waves"] / "evaluation.json").write_text(content)
    try:
        found = report(Served(runs["waves"]))
    finally:
        (runs["waves"] / "evaluation.json").unlink()
    assert 'id="learning_curve"' in found
    assert 'id="baseline_ladder"' not in found
    assert "quickstudy evaluate waves" in found


def test_a_run_whose_data_are_elsewhere(
    runs: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What needs the data is left out; what the run directory holds is shown."""

    def away(spec: object, recorded: object) -> None:
        raise DataError("the folder is not on this machine")

    monkeypatch.setattr(catalog, "build_tasks", away)
    found = report(Served(runs["drawn"]))
    assert 'id="learning_curve"' in found
    assert 'id="episode_grid"' not in found
