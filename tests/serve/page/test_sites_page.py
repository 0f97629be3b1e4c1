"""Sites on the page and in the report: pictures of a new site, the worst one, and the caution."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from on_page import Visit, expect, get
from page_site import Site
from site_folders import site_folder

from quickstudy.cli.main import main
from quickstudy.domains.sites.site_tasks import NO_DEVICE


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of a run on made-up sites, that was evaluated."""
    folder = tmp_path_factory.mktemp("cells")
    cells, run = site_folder(folder / "cells", 4), folder / "cell-sites"
    train = ("train", "--tasks", "sites", "--tasks.path", cells, "--tasks.size", 16, "--net.hidden")
    train = (*train, 8, "--steps", 1, "--meta-batch", 1, "--valid-tasks", 1, "--out", run)
    assert main([*map(str, train)]) == 0
    evaluate = ("evaluate", run, "--n-tasks", 2, "--curves", "false", "--baselines", "false")
    assert main([*map(str, evaluate), "--json", str(run / "evaluation.json")]) == 0
    site = Site([run], folder)
    yield site
    site.stop()


def test_the_page_names_the_worst_site_and_says_what_the_model_is_not(
    visit: Visit, site: Site
) -> None:
    page = visit("/?model=cell-sites")
    card: Any = get(f"{site.url}/v1/models/cell-sites")
    evaluation = json.loads((site.runs[0] / "evaluation.json").read_text())
    worst = evaluation["details"]["data"]["worst_site"]
    assert card["caution"] == NO_DEVICE
    assert card["worst_site"] == worst
    expect(page.locator("#caution")).to_be_visible()
    expect(page.locator("#caution")).to_contain_text("This is not a medical device")
    expect(page.locator("#caution")).to_contain_text(f"it does worst at {worst}.")
    page.locator(".load-example").first.click()
    expect(page.locator("#task-name")).to_have_value(f"Pictures of {worst}")
    for label in ("disc", "ring", "stripes"):
        expect(page.locator(f"#classes [data-label={label}]")).to_be_visible()


def test_the_report_has_each_site_and_each_class(visit: Visit, site: Site) -> None:
    page = visit()
    page.goto(f"{site.url}/lab/cell-sites")
    report = page.locator("#report")
    expect(report).to_contain_text("This is not a medical device")
    expect(report).to_contain_text("worst site: site")
    expect(report.get_by_role("heading", name="balanced accuracy of each site")).to_be_visible()
    expect(report.get_by_role("heading", name="each class")).to_be_visible()
