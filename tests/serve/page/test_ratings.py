"""Ratings on the page: items are found and rated, and the list follows with its reasons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from item_runs import HOSTILE, make_films
from on_page import Visit, expect, get, post, revision, task_url, violations
from page_site import Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of made-up films."""
    folder = tmp_path_factory.mktemp("ratings")
    site = Site([make_films(folder / "films")], folder)
    yield site
    site.stop()


def rated(page: Any) -> dict[str, float]:
    """What the server has."""
    examples = get(task_url(page) + "?view=FULL")["examples"]
    return {each["input"]["item"]: each["label"] for each in examples}


def rate(page: Any, item: str, stars: int) -> None:
    """Gives an item some stars, and waits for what follows."""
    before = revision(page)
    page.locator(f".items [data-item={item}] label").nth(stars - 1).click()
    page.wait_for_function(
        "(before) => Number(document.querySelector('main').dataset.revision) > before", arg=before
    )
    expect(page.locator("#verdict:not([aria-busy])")).to_be_visible()


def shown(page: Any) -> list[str]:
    return [row.get_attribute("data-item") for row in page.locator("#ranked > li").all()]


def test_films_are_rated_and_the_list_follows(visit: Visit) -> None:
    page = visit("/?model=films")
    model = page.url.split("/?")[0] + "/v1/models/films"
    asked = [each["item"] for each in post(f"{model}:questions", {})["items"]]
    rows = page.locator(".items li")
    expect(rows).to_have_count(len(asked))
    assert [row.get_attribute("data-item") for row in rows.all()] == asked
    everybody = page.locator("#everybody li span:first-child")
    best = [each["title"] for each in get(f"{model}/items")["items"]]
    expect(everybody).to_have_text(best)
    expect(page.locator("#ranked li")).to_have_count(0)
    rate(page, asked[0], 5)
    assert rated(page) == {asked[0]: 5}
    expect(page.locator("#ranked > li")).to_have_count(10)
    first = shown(page)

    box = page.get_by_role("combobox", name="Find something you know")
    box.fill("IMG src")  # a title that would be markup
    option = page.locator("#found [role=option]")
    expect(option).to_have_count(1)
    expect(option).to_contain_text(HOSTILE)
    assert box.get_attribute("aria-activedescendant") == option.get_attribute("id")
    box.press("Enter")
    stars = page.get_by_role("group", name=f"Rating of {HOSTILE}")
    expect(stars.get_by_role("radio").first).to_be_focused()
    for _ in range(2):  # to 2, then to 3: one rating, as it is a choice that moves
        page.keyboard.press("ArrowRight")
    expect(page.get_by_role("button", name=f"Take back the rating of {HOSTILE}")).to_be_visible()
    assert rated(page) == {asked[0]: 5, "f000": 3}
    rate(page, "f000", 1)
    assert rated(page) == {asked[0]: 5, "f000": 1}
    box.fill("nothing like it")
    expect(page.get_by_text("No title has all these words")).to_be_visible()
    box.fill("")

    said = post(task_url(page) + ":recommend", {"n": 50})
    top = said["recommendations"]
    assert shown(page) == [each["item"] for each in top[:10]]
    assert shown(page) != first
    up = [
        item
        for item in shown(page)[:5]
        if item in first and first.index(item) > shown(page).index(item)
    ]
    for item in up:
        move = page.locator(f"#ranked [data-item={item}] .move.up")
        by = first.index(item) - shown(page).index(item)
        expect(move).to_contain_text(f"up {by} place")
    row = page.locator("#ranked > li").first
    expect(row.locator(".expected b")).to_have_text(f"{round(top[0]['rating'], 1):g}")
    low, high = (f"{round(top[0][end], 1):g}" for end in ("low", "high"))
    expect(row.locator(".expected small")).to_have_text(f"80 %: {low} to {high}")
    row.locator("summary").click()
    lines = row.locator(".sum li")
    texts = [text.replace("−", "-") for text in lines.all_text_contents()]
    parts = [top[0]["start"], *(each["value"] for each in top[0]["because"])]
    assert texts[0] == f"Mean of everybody{top[0]['mean']:.2f}"
    for text, value in zip(texts[1:4], parts, strict=True):
        assert abs(float(text[-5:]) - value) < 0.006, (text, value)
    assert texts[4] == f"Expected of you{top[0]['score']:.2f}"
    page.get_by_role("button", name="Show more").click()
    expect(page.locator("#ranked > li")).to_have_count(20)
    assert violations(page) == []

    page.get_by_role("button", name=f"Take back the rating of {HOSTILE}").click()
    expect(page.get_by_text("Took back the rating of")).to_be_visible()
    expect(page.locator(".items [data-item=f000]")).to_have_count(0)
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(page.locator(".items [data-item=f000] .full")).to_have_count(1)
    here = page.url.split("/?")[0]
    assert all(url.startswith((here, "blob:", "data:")) for url in page.seen.urls)


def test_a_phone_in_the_dark(visit: Visit) -> None:
    """Two tabs, nothing wider than the screen, and the example task to begin with."""
    page = visit("/?model=films", viewport={"width": 375, "height": 800}, color_scheme="dark")
    page.get_by_role("button", name="Load example task").first.click()
    expect(page.locator("#verdict .can")).to_contain_text("By its own test on your 5 ratings")
    expect(page.locator(".items .remove")).to_have_count(5)
    assert violations(page) == []
    page.get_by_role("tab", name="Recommended").click()
    expect(page.locator("#ranked > li")).to_have_count(10)
    page.locator("#ranked summary").first.click()
    assert page.evaluate("document.documentElement.scrollWidth <= 375")
    assert violations(page) == []
    expect(page.locator("#code")).to_contain_text(":recommend")

    page.set_viewport_size({"width": 1280, "height": 900})
    page.get_by_role("link", name="API").click()
    page.locator("#recommend_once > summary").click()
    code = page.locator("#recommend_once pre").filter(has_text="curl")
    expect(code).to_contain_text('"item":"f')
