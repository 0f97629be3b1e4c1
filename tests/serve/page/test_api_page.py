"""The page of the API: the OpenAPI document, to read, search and try."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
from on_page import Visit, expect, get, violations
from page_site import Site

METHODS = {"get", "post", "put", "patch", "delete"}


def reference(visit: Visit, site: Site, model: str = "blobs", **options: Any) -> Any:
    """The page, with examples for a model."""
    page = visit(**options)
    models = get(f"{site.url}/v1/models")["models"]
    first = [card for card in models if card["id"] == model]
    page.route("**/v1/models", lambda route: route.fulfill(json={"models": first}))
    page.get_by_role("link", name="API").click()
    expect(page.locator(".entry").first).to_be_visible()
    return page


def test_all_of_the_document_is_there_and_found(visit: Visit, site: Site) -> None:
    """Every operation by its tag, with parameters, body and responses; every schema by name."""
    page = reference(visit, site)
    document = get(f"{site.url}/openapi.json")
    operations = [
        (tag, operation["operationId"], path)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if method in METHODS
        for tag in operation["tags"]
    ]
    for tag in document["tags"]:
        shown = page.get_by_role("region", name=tag["name"], exact=True).locator("details")
        ids = shown.evaluate_all("(all) => all.map(({ id }) => id)")
        assert ids == [name for of, name, _ in operations if of == tag["name"]]
    schemas = page.get_by_role("region", name="Schemas").locator("details")
    assert schemas.count() == len(document["components"]["schemas"])

    find = page.get_by_role("searchbox", name="Find")
    find.fill("ROLLBACK revision")
    expect(page.locator("details:visible .path")).to_have_text(
        "/v1/models/{model}/tasks/{task}/revisions/{revision}:rollback"
    )
    expect(page.get_by_role("status").filter(has_text="1 fits")).to_be_visible()
    expect(page.locator("#contents a:visible")).to_have_text("Rollback")
    find.fill("")
    page.locator("#contents").get_by_role("link", name="Predict Once").click()
    opened = page.locator("#predict_once")
    expect(opened.locator("summary")).to_be_focused()
    expect(opened.locator(".responses code.refused").first).to_have_text("400")
    expect(opened.get_by_text("At most", exact=False).first).to_be_visible()
    opened.get_by_role("link", name="list of Example").click()
    expect(page.locator("#schema-Example[open]")).to_contain_text("Exactly one of")
    assert [url for url in page.seen.urls if not url.startswith((site.url, "data:"))] == []


@pytest.mark.parametrize("model", ["blobs", "flowers"])
def test_the_line_of_curl_works(model: str, visit: Visit, site: Site) -> None:
    """As it is copied, with inputs that the model takes."""
    page = reference(visit, site, model, permissions=["clipboard-read", "clipboard-write"])
    page.locator("#predict_once > summary").click()
    page.locator("#predict_once").get_by_role("button", name="Copy").last.click()
    expect(page.locator("#predict_once").get_by_role("status").last).to_have_text("Copied.")
    line = page.evaluate("navigator.clipboard.readText()")
    ran = subprocess.run(["sh"], input=line, capture_output=True, text=True, check=True)
    assert set(json.loads(ran.stdout)["predictions"][0]["scores"]) == {"cat", "dog"}


def test_the_reference_is_for_everybody(visit: Visit, site: Site) -> None:
    """On a phone in the dark and by keyboard: no barrier; all unfolded, no horizontal scrolling."""
    page = reference(visit, site, viewport={"width": 375, "height": 812}, color_scheme="dark")
    page.get_by_role("link", name="Skip to the operations").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.locator(".entry > summary").first).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".entry-body").first).to_be_visible()
    for part in ("create_task", "schema-Input"):
        page.locator(f"#{part} > summary").click()
    assert violations(page) == []
    page.locator("details").evaluate_all("(all) => all.forEach((each) => (each.open = true))")
    expect(page.locator(".entry-body")).to_have_count(page.locator("details").count())
    page.set_viewport_size({"width": 320, "height": 568})
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert not re.search("undefined|\\[object", page.locator("main").inner_text())
