"""Eyes and hands on a page. Without a server or a browser, the tests that use them are skipped."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from io import BytesIO
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from PIL import Image, ImageDraw

pytest.importorskip("fastapi", reason="fastapi is not installed")
pytest.importorskip("uvicorn", reason="uvicorn is not installed")
expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
PATIENCE = 120_000
"""Milliseconds that a condition may take to come true, on however busy a machine."""
expect.set_options(timeout=PATIENCE)

Visit = Callable[..., Any]
Stroke = list[tuple[float, float]]
CIRCLE: list[Stroke] = [
    [(0.5 + 0.3 * np.cos(a), 0.5 + 0.3 * np.sin(a)) for a in np.linspace(0, 6.5, 14)]
]
CROSS: list[Stroke] = [[(0.2, 0.2), (0.8, 0.8)], [(0.8, 0.2), (0.2, 0.8)]]


def card(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=f"Class {name}", exact=True)


def draw(page: Any, pad: Any, strokes: list[Stroke]) -> None:
    """Draws on a pad with the mouse."""
    pad.scroll_into_view_if_needed()
    box = pad.bounding_box()
    for stroke in strokes:
        points = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*points[0])
        page.mouse.down()
        for point in points[1:]:
            page.mouse.move(*point, steps=2)
        page.mouse.up()


def add_drawing(page: Any, name: str, strokes: Any) -> None:
    """Draws an example of a class and adds it."""
    before = card(page, name).locator("[data-example]").count()
    draw(page, card(page, name).locator(".pad"), strokes)
    card(page, name).get_by_role("button", name="Add", exact=True).click()
    expect(card(page, name).locator("[data-example]")).to_have_count(before + 1)


def png(strokes: list[Stroke], side: int = 96) -> bytes:
    """The file of a drawing."""
    image = Image.new("L", (side, side), 255)
    for stroke in strokes:
        ImageDraw.Draw(image).line([(side * x, side * y) for x, y in stroke], fill=0, width=6)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def revision(page: Any) -> int:
    return int(page.locator("main").get_attribute("data-revision"))


def task_url(page: Any) -> str:
    """The address of the task that is open, in the API."""
    here = urlsplit(page.url)
    asked = parse_qs(here.query)
    return f"http://{here.netloc}/v1/models/{asked['model'][0]}/tasks/{asked['task'][0]}"


def post(url: str, body: Any) -> Any:
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def get(url: str) -> Any:
    with urllib.request.urlopen(url) as response:
        return json.load(response)


def with_example_task(visit: Visit, **options: Any) -> Any:
    """A page with the example task, everything about it answered."""
    page = visit(**options)
    page.get_by_role("button", name="Load example task").first.click()
    settled(page)
    return page


def settled(page: Any) -> None:
    """Waits until every question has an answer, the quality is known and the map is drawn."""
    page.wait_for_function(
        """() => {
          const n = (selector) => document.querySelectorAll(selector).length;
          return n(".answer") && n(".answer [role=meter]") === n(".answer")
            && !document.querySelector("#quality").textContent.includes("Not estimated")
            && n(".dot") === n("[data-example]") + n(".answer");
        }"""
    )


def confidences(page: Any) -> list[float]:
    """What the bars say, in their order."""
    said = page.locator(".answer [role=meter]").evaluate_all(
        "(meters) => meters.map((meter) => Number(meter.getAttribute('aria-valuenow')))"
    )
    return list(said)


def asked_inputs(page: Any) -> list[Any]:
    """What is asked, as the page sends it, in its order."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".answer .asked img")]
             .map((image) => ({ image: { b64: image.src.split(",")[1] } }))"""
    )


def violations(page: Any) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]
