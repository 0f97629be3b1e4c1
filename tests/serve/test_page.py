"""The page in a browser: what a person sees and can do, and what they are told when it fails."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import threading
import time
import urllib.request
from base64 import b64decode
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

pytest.importorskip("fastapi", reason="the server is not installed")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
from served_site import CIRCLE, CROSS, Site, Told, draw, make_signs, make_waves, png  # noqa: E402

COLUMNS = ["length", "width", "colour"]
CHROMIUM = next(
    (path for path in ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
     if Path(path).exists()), None,
)  # fmt: skip
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync",
    "--disable-component-update", "--disable-default-apps", "--no-first-run",
]  # fmt: skip
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
expect = playwright.expect


@pytest.fixture(scope="module")
def site(runs: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    learned = [make_signs(folder / "signs"), make_waves(folder / "sines")]
    site = Site([*learned, runs["flowers"], runs["blobs"]], folder)
    yield site
    site.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


class Seen:
    """What a page asked for and complained about."""

    def __init__(self, page: Any) -> None:
        self.urls: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.urls.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)

    def _console(self, message: Any) -> None:
        # Chromium reports every 4xx so; that is the server's answer and no fault of the page.
        if message.type == "error" and "Failed to load resource" not in message.text:
            self.errors.append(message.text)


Visit = Callable[..., Any]


@pytest.fixture
def visit(browser: Any, site: Site) -> Iterator[Visit]:
    """Opens a page in a browser of its own; afterwards no page may have complained."""
    contexts, pages = [], []

    def opened(path: str = "/", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        context.set_default_timeout(10_000)
        contexts.append(context)
        page = context.new_page()
        page.seen = Seen(page)
        pages.append(page)
        page.goto(site.url + path)
        expect(page.locator(".class-card").first).to_be_visible()
        return page

    yield opened
    complaints = [error for page in pages for error in page.seen.errors]
    for context in contexts:
        context.close()
    assert complaints == []


def card(page: Any, name: str) -> Any:
    return page.get_by_role("region", name=f"Class {name}", exact=True)


def add_drawing(page: Any, name: str, strokes: Any) -> None:
    """Draws an example of a class and adds it."""
    before = card(page, name).locator("[data-example]").count()
    draw(page, card(page, name).locator(".pad"), strokes)
    card(page, name).get_by_role("button", name="Add", exact=True).click()
    expect(card(page, name).locator("[data-example]")).to_have_count(before + 1)


def revision(page: Any) -> int:
    return int(page.locator("main").get_attribute("data-revision"))


def task_url(page: Any, site: Site) -> str:
    model, task = re.search(r"model=([^&]+)&task=([^&]+)", page.url).groups()  # type: ignore[union-attr]
    return f"{site.url}/v1/models/{model}/tasks/{task}"


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
            && n("#quality .figure, #quality .soft") && n(".dot") === n("[data-example]") + n(".answer");
        }"""
    )


def asked_inputs(page: Any) -> list[Any]:
    """What is asked, as the page sends it, in its order."""
    return page.evaluate(
        """() => [...document.querySelectorAll(".answer .asked img")]
             .map((image) => ({ image: { b64: image.src.split(",")[1] } }))"""
    )


def test_the_page_asks_nothing_of_others(visit: Visit, site: Site) -> None:
    """It loads with no request off its origin, no console error, and a strict policy."""
    page = with_example_task(visit)
    assert page.seen.urls
    assert [url for url in page.seen.urls if not url.startswith((site.url, "data:", "blob:"))] == []
    with urllib.request.urlopen(site.url) as response:
        policy = response.headers["Content-Security-Policy"]
        html = response.read().decode()
    assert re.match(r"default-src '(self|none)'", policy)
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon[a-z]+=|https?://", html)


def test_first_paint_and_example_task(visit: Visit) -> None:
    """Model, version, two empty cards and an example task that answers within two seconds."""
    page = visit()
    expect(page.get_by_label("Model", exact=True)).to_have_value("signs")
    expect(page.locator("#version")).to_have_text(re.compile(r"^[0-9a-f]{12}$"))
    expect(page.locator(".class-card")).to_have_count(2)
    assert page.locator("[data-example]").count() == 0
    with_example_task(visit)  # the server has drawn it once
    page.get_by_role("button", name="Load example task").first.click()
    start = time.monotonic()
    expect(page.locator(".answer [role=meter]").first).to_be_visible()
    assert time.monotonic() - start < 2
    for shown in page.locator(".class-card").all():
        assert shown.locator("[data-example] img").count() >= 5


def test_classes_are_named_added_and_removed(visit: Visit) -> None:
    """Classes can be renamed, added and removed, and the focus moves to where one goes on."""
    page = visit()
    page.get_by_label("Name of class Class 1").fill("cat")
    page.get_by_label("Name of class Class 1").press("Enter")
    expect(page.get_by_label("Name of class cat")).to_have_value("cat")
    page.get_by_role("button", name="Add a class").click()
    expect(page.locator(".class-card")).to_have_count(3)
    expect(page.get_by_label("Name of class Class 3")).to_be_focused()
    add_drawing(page, "Class 3", CIRCLE)
    page.get_by_role("button", name="Remove class Class 3").click()
    expect(page.locator(".class-card")).to_have_count(2)
    expect(page.get_by_label("Name of class Class 2")).to_be_focused()
    page.get_by_role("button", name="Undo", exact=True).click()
    expect(card(page, "Class 3").locator("[data-example]")).to_have_count(1)
    page.get_by_label("Name of class Class 2").fill("cat")
    page.get_by_label("Name of class Class 2").press("Enter")
    expect(card(page, "Class 2").get_by_role("alert")).to_contain_text("A class of this name exists")
    expect(page.get_by_label("Name of class Class 2")).to_have_value("Class 2")


def test_pictures_are_drawn_uploaded_dropped_and_pasted(visit: Visit) -> None:
    """A drawing, files, a drop and the clipboard each become examples that look as they should."""
    page = visit()
    add_drawing(page, "Class 1", CIRCLE)
    shown = card(page, "Class 1").locator("[data-example] img").get_attribute("src")
    drawn = Image.open(BytesIO(b64decode(shown.split(",")[1]))).convert("L")
    side = drawn.width
    assert drawn.getpixel((side // 2, side // 2)) > 200
    assert drawn.getpixel((round(0.8 * side), side // 2)) < 100
    files = [
        {"name": f"{i}.png", "mimeType": "image/png", "buffer": png(CROSS)} for i in range(2)
    ]
    card(page, "Class 2").locator("input[type=file]").set_input_files(files)
    expect(card(page, "Class 2").locator("[data-example]")).to_have_count(2)
    give = """(element, [kind, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], "a.png", { type: "image/png" }));
      const init = { bubbles: true, cancelable: true };
      element.dispatchEvent(kind === "drop"
        ? new DragEvent("drop", { ...init, dataTransfer: data })
        : new ClipboardEvent("paste", { ...init, clipboardData: data }));
    }"""
    for n, kind in enumerate(("drop", "paste"), start=3):
        card(page, "Class 2").evaluate(give, [kind, list(png(CROSS))])
        expect(card(page, "Class 2").locator("[data-example]")).to_have_count(n)


def test_rows_are_filled_in_and_pasted(visit: Visit, site: Site) -> None:
    """A model of rows has a form, and takes CSV; what does not fit is said at the card."""
    page = visit("/?model=flowers")
    first = card(page, "Class 1")
    for name, value in zip(COLUMNS, ["1.5", "2", "red"], strict=True):
        first.get_by_label(name, exact=True).fill(value)
    first.get_by_role("button", name="Add", exact=True).click()
    expect(first.locator("[data-example]")).to_have_count(1)
    second = card(page, "Class 2")
    second.get_by_text("Paste CSV rows").click()
    second.get_by_role("textbox", name="paste rows").fill("width,length,colour\n3,4,blue\n,5,blue")
    second.get_by_role("button", name="Add rows").click()
    expect(second.locator("[data-example]")).to_have_count(2)
    rows = [each["input"]["row"] for each in get(task_url(page, site) + "?view=FULL")["examples"]]
    assert rows == [
        {"length": 1.5, "width": 2, "colour": "red"},
        {"length": 4, "width": 3, "colour": "blue"},
        {"length": 5, "width": None, "colour": "blue"},
    ]
    second.get_by_role("textbox", name="paste rows").fill("1,2")
    second.get_by_role("button", name="Add rows").click()
    expect(second.get_by_role("alert")).to_contain_text("Line 1 does not fit")
    ask = page.get_by_role("region", name="Ask")
    for name, value in zip(COLUMNS, ["1.4", "2", "red"], strict=True):
        ask.get_by_label(name, exact=True).fill(value)
    ask.get_by_role("button", name="Ask", exact=True).click()
    expect(ask.get_by_role("meter")).to_have_count(1)


def test_numbers_are_pasted(visit: Visit) -> None:
    """A model of arrays takes pasted numbers, several examples at a time."""
    page = visit("/?model=blobs")
    for name, text in (("Class 1", "0 0\n0.1, 0.1"), ("Class 2", "[[5, 5], [5.1, 5]]")):
        card(page, name).get_by_role("textbox", name="New example").fill(text)
        card(page, name).get_by_role("button", name="Add", exact=True).click()
        expect(card(page, name).locator("[data-example]")).to_have_count(2)
    card(page, "Class 1").get_by_role("textbox", name="New example").fill("1 2 3")
    card(page, "Class 1").get_by_role("button", name="Add", exact=True).click()
    expect(card(page, "Class 1").get_by_role("alert")).to_contain_text("3 numbers")


def test_values_are_taught_and_asked(visit: Visit, site: Site) -> None:
    """A model of values has one card of examples, and a curve."""
    page = visit("/?model=sines")
    page.get_by_role("textbox", name="New example").fill("-1 -0.8\n0 0\n1 0.8")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("[data-example]")).to_have_count(3)
    assert [each["label"] for each in get(task_url(page, site))["examples"]] == [-0.8, 0, 0.8]
    page.get_by_role("textbox", name="What to ask about").fill("0.5")
    page.get_by_role("button", name="Ask", exact=True).click()
    want = post(task_url(page, site) + ":predict", {"query": [{"values": [0.5]}]})["predictions"][0]
    said = page.locator(".answer .label").inner_text().replace("−", "-")
    assert float(said) == pytest.approx(want["label"], rel=1e-3)
    expect(page.get_by_role("img", name="The curve from", exact=False)).to_be_visible()


def test_every_example_refreshes_the_answers(visit: Visit) -> None:
    """One example more is one revision more, and all answers are new, without a button."""
    page = with_example_task(visit)
    before = revision(page)
    texts = page.locator(".answer [role=meter]").evaluate_all(
        "(meters) => meters.map((meter) => meter.getAttribute('aria-valuenow'))"
    )
    with page.expect_response(re.compile(":predict$")) as answered:
        name = page.locator(".class-card").first.get_attribute("data-label")
        add_drawing(page, name, CROSS)
    assert revision(page) == before + 1
    assert len(json.loads(answered.value.request.post_data)["query"]) == len(texts)
    assert answered.value.json()["task_revision"] == before + 1
    settled(page)
    now = page.locator(".answer [role=meter]").evaluate_all(
        "(meters) => meters.map((meter) => meter.getAttribute('aria-valuenow'))"
    )
    assert now != texts
    expect(page.locator("#status")).to_contain_text(re.compile(r"adapted in \d+\.\d ms"))


def test_answers_are_those_of_the_server(visit: Visit, site: Site) -> None:
    """Label, confidence, neighbours and similarity are the API's; not sure is no class."""
    page = with_example_task(visit)
    want = post(task_url(page, site) + ":predict", {"query": asked_inputs(page)})["predictions"]
    answers = page.locator(".answer").all()
    assert len(answers) == len(want) >= 4
    for answer, prediction in zip(answers, want, strict=True):
        expect(answer.locator(".label span")).to_have_text(prediction["label"] or "not sure")
        meter = answer.get_by_role("meter")
        said = float(meter.get_attribute("aria-valuenow"))
        assert said == pytest.approx(prediction["confidence"], abs=0.01)
        width = meter.evaluate("(m) => m.firstChild.getBoundingClientRect().width / m.clientWidth")
        assert width == pytest.approx(said, abs=0.05)
        near = answer.get_by_role("list", name="Closest examples").get_by_role("listitem").all()
        assert [item.locator("small").inner_text() for item in near] == [
            f"{each['similarity']:.2f}" for each in prediction["nearest"]
        ]
        assert all(item.locator("img").count() == 1 for item in near)
    slider = page.get_by_label("Say “not sure” below")
    slider.focus()
    slider.press("End")
    expect(page.locator(".answer.unsure")).to_have_count(len(answers))
    classes = {each["label"] for each in get(task_url(page, site))["classes"]}
    assert {text.strip() for text in page.locator(".answer .label span").all_inner_texts()} == {"not sure"}
    assert "not sure" not in classes
    assert get(task_url(page, site))["min_confidence"] == 1


def test_an_answer_says_why(visit: Visit) -> None:
    """The examples that pulled an answer there are shown with their influence."""
    page = with_example_task(visit)
    answer = page.locator(".answer").first
    answer.get_by_text("Why").click()
    expect(answer.locator(".pulls li").first).to_be_visible()
    sizes = [
        abs(float(text.replace("−", "-"))) for text in answer.locator(".pulls small").all_inner_texts()
    ]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) >= 3


def test_what_is_drawn_is_asked_at_once(visit: Visit) -> None:
    """Every stroke on the pad asks again; what is kept stays, what is cleared goes."""
    page = with_example_task(visit)
    ask = page.get_by_role("region", name="Ask")
    n = page.locator(".answer").count()
    draw(page, ask.locator(".pad"), CROSS[:1])
    expect(page.locator(".answer")).to_have_count(n + 1)
    first = page.locator(".answer .asked img").first.get_attribute("src")
    draw(page, ask.locator(".pad"), CROSS[1:])
    expect(page.locator(".answer .asked img").first).not_to_have_attribute("src", first)
    expect(page.locator(".answer")).to_have_count(n + 1)
    ask.get_by_role("button", name="Keep").click()
    draw(page, ask.locator(".pad"), CIRCLE)
    expect(page.locator(".answer")).to_have_count(n + 2)
    ask.get_by_role("button", name="Clear the pad").click()
    expect(page.locator(".answer")).to_have_count(n + 1)


def test_an_answer_can_be_taught(visit: Visit) -> None:
    """A question becomes an example of the class one chooses."""
    page = with_example_task(visit)
    name = page.locator(".class-card").nth(1).get_attribute("data-label")
    n, asked = card(page, name).locator("[data-example]").count(), page.locator(".answer").count()
    page.locator(".answer").first.get_by_role("button", name="Teach this").click()
    page.get_by_role("dialog").get_by_role("button", name=name).click()
    expect(card(page, name).locator("[data-example]")).to_have_count(n + 1)
    expect(page.locator(".answer")).to_have_count(asked - 1)


def test_a_class_without_examples_is_never_an_answer(visit: Visit, site: Site) -> None:
    """It is marked, never predicted; and with one class only the page explains itself."""
    page = visit()
    for name in ("Class 1", "Class 2"):
        expect(card(page, name)).to_contain_text("needs an example")
    expect(page.locator("#needs")).to_contain_text("two classes")
    add_drawing(page, "Class 1", CIRCLE)
    expect(card(page, "Class 1")).to_contain_text("1 example")
    expect(page.locator("#needs")).to_contain_text("Only “Class 1” has examples")
    draw(page, page.get_by_role("region", name="Ask").locator(".pad"), CROSS)
    expect(page.locator(".answer")).to_contain_text("No answer yet")
    page.get_by_role("button", name="Add a class").click()
    add_drawing(page, "Class 3", CROSS)
    expect(card(page, "Class 2")).to_contain_text("needs an example")
    expect(page.get_by_role("meter")).to_be_visible()
    page.locator(".answer").first.get_by_text("Why").click()
    expect(page.locator(".shares dt")).to_have_text(["Class 3", "Class 1"], use_inner_text=True)


def test_quality_with_its_interval(visit: Visit, site: Site) -> None:
    """Cross-validated accuracy with interval and n; or that the examples are too few."""
    page = with_example_task(visit)
    found = post(task_url(page, site) + ":quality", {})
    panel = page.get_by_role("region", name="How good is it?")
    expect(panel.locator(".figure")).to_contain_text(f"{100 * found['value']:.0f} %")
    expect(panel).to_contain_text(f"{100 * found['low']:.0f} % to {100 * found['high']:.0f} %")
    expect(panel).to_contain_text(f"{found['n']} examples")
    page = visit()
    add_drawing(page, "Class 1", CIRCLE)
    add_drawing(page, "Class 2", CROSS)
    expect(page.get_by_role("region", name="How good is it?")).to_contain_text("Too few examples to estimate")


def test_the_map_leads_to_the_cards(visit: Visit) -> None:
    """A point for every example and question; with focus or under the mouse it lights its card."""
    page = with_example_task(visit)
    dots = page.locator(".dot")
    assert dots.count() == page.locator("[data-example]").count() + page.locator(".answer").count()
    assert page.locator(".dot[tabindex='0']").count() == 1
    page.locator(".dot[tabindex='0']").focus()
    expect(page.locator(".class-card.lit, .answer.lit")).to_have_count(1)
    seen = set()
    for _ in range(dots.count()):
        page.keyboard.press("ArrowRight")
        seen.add(page.evaluate("document.activeElement.getAttribute('aria-label') + document.activeElement.getAttribute('transform')"))
    assert len(seen) == dots.count()
    page.locator(".class-card .name").first.focus()
    expect(page.locator(".lit")).to_have_count(0)
    page.locator(".dot.asked").first.hover(force=True)
    expect(page.locator(".answer.lit")).to_have_count(1)


def test_a_wrong_label_is_found(visit: Visit) -> None:
    """An example moved to a wrong class comes first among those to look at, and goes back."""
    page = with_example_task(visit)
    right = page.locator(".class-card").nth(0).get_attribute("data-label")
    wrong = page.locator(".class-card").nth(1).get_attribute("data-label")
    example = card(page, right).locator("[data-example]").first.get_attribute("data-example")
    card(page, right).locator("[data-example]").first.click()
    page.get_by_role("dialog").get_by_role("button", name=wrong).click()
    expect(card(page, wrong).locator(f"[data-example={example}]")).to_be_focused()
    doubts = page.get_by_role("region", name="Look at these")
    first = doubts.get_by_role("listitem").first
    expect(first.locator(f"[data-doubt={example}]")).to_be_visible()
    first.get_by_role("button", name=f"Move to {right}").click()
    expect(card(page, right).locator(f"[data-example={example}]")).to_be_visible()
    expect(doubts.locator(f"[data-doubt={example}]")).to_have_count(0)


@pytest.mark.parametrize("language", ["curl", "Python"])
def test_the_code_answers_the_same(language: str, visit: Visit, tmp_path: Path) -> None:
    """What is copied gives the label and the confidence that the page shows."""
    page = with_example_task(visit, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_text(language, exact=True).click()
    page.get_by_role("button", name="Copy").click()
    expect(page.locator(".toast")).to_have_text("Copied.")
    copied = page.evaluate("navigator.clipboard.readText()")
    program = ["sh"] if language == "curl" else [sys.executable, "-"]
    ran = subprocess.run(program, input=copied, capture_output=True, text=True, check=True)
    if language == "curl":
        found = json.loads(ran.stdout)["predictions"][0]
        label, confidence = found["label"], found["confidence"]
    else:
        label, _, confidence = ran.stdout.strip().rpartition(" ")
    answer = page.locator(".answer").first
    expect(answer.locator(".label span")).to_have_text("not sure" if label in (None, "None") else label)
    said = float(answer.get_by_role("meter").get_attribute("aria-valuenow"))
    assert float(confidence) == pytest.approx(said, abs=1e-6)


def test_a_task_travels(visit: Visit, site: Site, tmp_path: Path) -> None:
    """Exported, and imported by a fresh server, it answers the same; a reload keeps it."""
    page = with_example_task(visit)
    asked = {"query": asked_inputs(page)}
    want = post(task_url(page, site) + ":predict", asked)["predictions"]
    with page.expect_download() as download:
        page.get_by_role("button", name="Download .task").click()
    download.value.save_as(tmp_path / "mine.task")
    shown = page.locator(".answer .label").all_inner_texts()
    page.reload()
    settled(page)
    assert page.locator(".answer .label").all_inner_texts() == shown
    (tmp_path / "fresh").mkdir()
    fresh = Site(site.runs, tmp_path / "fresh")
    try:
        page.goto(fresh.url)
        expect(page.locator(".class-card").first).to_be_visible()
        page.locator("#import-file").set_input_files(tmp_path / "mine.task")
        expect(page.locator(".class-card [data-example]").first).to_be_visible()
        again = post(task_url(page, fresh) + ":predict", asked)["predictions"]
        for one, other in zip(again, want, strict=True):
            assert (one["label"], one["scores"]) == (other["label"], other["scores"])
    finally:
        page.goto("about:blank")
        fresh.stop()


def test_a_task_is_exported_as_onnx(visit: Visit) -> None:
    """The second format is a file too."""
    pytest.importorskip("onnx")
    pytest.importorskip("onnxscript")
    page = with_example_task(visit)
    with page.expect_download(timeout=60_000) as download:
        page.get_by_role("button", name="Download .onnx").click()
    assert download.value.suggested_filename.endswith(".onnx")
    assert Path(download.value.path()).stat().st_size > 1000


def test_deleted_is_deleted(visit: Visit, site: Site) -> None:
    """After a question back, the task is gone from the server and the address."""
    page = with_example_task(visit)
    url = task_url(page, site)
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Keep it").click()
    assert get(url)["state"] == "READY"
    page.get_by_role("button", name="Delete", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.locator(".toast")).to_have_text("Deleted.")
    assert "task=" not in page.url
    with pytest.raises(urllib.error.HTTPError) as missing:
        get(url)
    assert missing.value.code == 404
    missing.value.close()


def animation() -> bytes:
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    out = BytesIO()
    frames[0].save(out, "GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()


def bomb() -> bytes:
    """A small file of a picture that is huge."""
    out = BytesIO()
    Image.new("1", (20_000, 20_000)).save(out, "PNG")
    return out.getvalue()


UNREADABLE, TOO_LARGE = "The input cannot be read", "Picture too large"
BAD_FILES = {
    "text named png": ("a.png", lambda: b"not a picture at all", UNREADABLE),
    "20 MB": ("a.png", lambda: png(CROSS) + bytes(20_000_000), TOO_LARGE),
    "bomb": ("a.png", bomb, UNREADABLE),
    "eps": ("a.eps", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", UNREADABLE),
    "empty": ("a.png", lambda: b"", UNREADABLE),
    "animation": ("a.gif", animation, UNREADABLE),
}


def test_a_bad_file_is_told_where_it_was_dropped(visit: Visit, tmp_path: Path) -> None:
    """An alert at the card with the problem's title; all else goes on, and nothing is logged."""
    told = Told()
    logging.getLogger().addHandler(told)
    try:
        page = with_example_task(visit)
        class_card = page.locator(".class-card").first
        ask = page.get_by_role("region", name="Ask")
        n = class_card.locator("[data-example]").count()
        for bad, (name, make, title) in BAD_FILES.items():
            path = tmp_path / bad / name
            path.parent.mkdir()
            path.write_bytes(make())
            for place in (class_card, ask):
                place.locator("input[type=file]").set_input_files(path)
                expect(place.get_by_role("alert").locator("strong")).to_have_text(title)
            good = {"name": "a.png", "mimeType": "image/png", "buffer": png(CIRCLE)}
            class_card.locator("input[type=file]").set_input_files(good)
            n += 1
            expect(class_card.locator("[data-example]")).to_have_count(n)
            expect(class_card.get_by_role("alert")).to_have_count(0)
            ask.get_by_role("button", name="Dismiss").click()
    finally:
        logging.getLogger().removeHandler(told)
    assert not [line for line in told.lines if "Traceback" in line]


@pytest.mark.parametrize("choice", ["Reload", "Keep both"])
def test_two_tabs(choice: str, visit: Visit, site: Site) -> None:
    """The second of two changes is not lost and does not overwrite: one is asked."""
    first = with_example_task(visit)
    name = first.locator(".class-card").first.get_attribute("data-label")
    n = card(first, name).locator("[data-example]").count()
    second = visit(first.url.removeprefix(site.url))
    expect(card(second, name).locator("[data-example]")).to_have_count(n)
    add_drawing(first, name, CIRCLE)
    draw(second, card(second, name).locator(".pad"), CROSS)
    card(second, name).get_by_role("button", name="Add", exact=True).click()
    banner = second.get_by_role("alert").filter(has_text="changed elsewhere")
    expect(banner).to_be_visible()
    expect(banner.get_by_role("button", name="Reload")).to_be_focused()
    banner.get_by_role("button", name=choice).click()
    expect(banner).to_have_count(0)
    more = 1 if choice == "Reload" else 2
    expect(card(second, name).locator("[data-example]")).to_have_count(n + more)
    assert len(get(task_url(first, site))["examples"]) == second.locator("[data-example]").count()


def test_the_server_goes_and_comes_back(visit: Visit, site: Site) -> None:
    """The page says so, goes on by itself, and answers as before."""
    page = with_example_task(visit)
    before = page.locator(".answer .label").all_inner_texts()
    name = page.locator(".class-card").first.get_attribute("data-label")
    n = card(page, name).locator("[data-example]").count()
    site.stop()
    expect(page.get_by_text("Offline, retrying")).to_be_visible(timeout=15_000)
    site.start()
    expect(page.get_by_text("Offline, retrying")).to_have_count(0, timeout=15_000)
    settled(page)
    assert page.locator(".answer .label").all_inner_texts() == before
    site.stop()
    draw(page, card(page, name).locator(".pad"), CIRCLE)
    card(page, name).get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Offline, retrying")).to_be_visible()
    site.start()
    expect(card(page, name).locator("[data-example]")).to_have_count(n + 1, timeout=15_000)
    assert len(get(task_url(page, site))["examples"]) == page.locator("[data-example]").count()


def violations(page: Any) -> list[str]:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    found = axe.Axe().run(page).response["violations"]
    return [
        f"{each['id']}: {node['html']} {node['failureSummary']}"
        for each in found
        if each["impact"] in ("serious", "critical")
        for node in each["nodes"]
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way(scheme: str, visit: Visit) -> None:
    """No serious barrier by axe, which includes AA contrast; empty, full, alerted and in a dialog."""
    page = visit(color_scheme=scheme, reduced_motion="reduce")
    assert violations(page) == []
    page = with_example_task(visit, color_scheme=scheme, reduced_motion="reduce")
    page.locator(".answer").first.get_by_text("Why").click()
    expect(page.locator(".pulls li").first).to_be_visible()
    bad = {"name": "a.png", "mimeType": "image/png", "buffer": b"no"}
    page.locator(".class-card input[type=file]").first.set_input_files(bad)
    expect(page.locator(".class-card").first.get_by_role("alert")).to_be_visible()
    page.get_by_role("button", name="Add a class").click()
    page.locator(".dot[tabindex='0']").focus()
    assert violations(page) == []
    page.locator("[data-example]").first.click()
    assert violations(page) == []


def test_all_of_it_by_keyboard(visit: Visit) -> None:
    """Name, draw, add, ask, explain and delete without a pointer, always seeing where one is."""
    page = visit()

    def tab_to(words: str) -> None:
        for _ in range(80):
            page.keyboard.press("Tab")
            focused = page.evaluate(
                """() => {
                  const at = document.activeElement, style = getComputedStyle(at);
                  const where = at.closest("section")?.getAttribute("aria-label") ?? "";
                  const name = at.getAttribute("aria-label") ?? at.textContent;
                  const seen = style.outlineStyle !== "none" || at.matches("body, .dot, .tabs input");
                  return [`${where}: ${name.trim()}`, seen];
                }"""
            )
            assert focused[1], f"no visible focus on {focused[0]!r}"
            if words in focused[0]:
                return
        raise AssertionError(f"{words!r} is not reached")

    def sketch(moves: list[str]) -> None:
        page.keyboard.press("Space")
        for move in moves:
            for _ in range(6):
                page.keyboard.press(f"Arrow{move}")
        page.keyboard.press("Space")

    tab_to("Name of class Class 1")
    page.keyboard.type("hook")
    page.keyboard.press("Enter")
    expect(page.get_by_label("Name of class hook")).to_have_value("hook")
    tab_to("Class hook: New example")
    sketch(["Right", "Down"])
    page.keyboard.press("Enter")
    expect(card(page, "hook").locator("[data-example]")).to_have_count(1)
    tab_to("Class Class 2: New example")
    sketch(["Down", "Left", "Up"])
    page.keyboard.press("Enter")
    expect(card(page, "Class 2").locator("[data-example]")).to_have_count(1)
    tab_to("What to ask about")
    sketch(["Right", "Down"])
    expect(page.get_by_role("meter")).to_be_visible()
    tab_to("Why")
    page.keyboard.press("Enter")
    expect(page.locator(".shares dt").first).to_be_visible()
    card(page, "Class 2").locator("[data-example]").focus()
    page.keyboard.press("Delete")
    expect(card(page, "Class 2").locator("[data-example]")).to_have_count(0)
    expect(page.get_by_label("Name of class Class 2")).to_be_focused()


@pytest.mark.parametrize("size", [(360, 640), (768, 1024), (1440, 900), (2560, 1300)])
def test_it_fits_the_window(size: tuple[int, int], visit: Visit) -> None:
    """No horizontal scrolling, and nothing beside the window, empty or full."""
    for make in (visit, lambda **options: with_example_task(visit, **options)):
        page = make(viewport={"width": size[0], "height": size[1]})
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        outside = page.evaluate(
            """() => [...document.querySelectorAll("main *, header *")].filter((each) => {
                 const box = each.getBoundingClientRect();
                 return box.right > innerWidth + 1 && !each.closest("pre, .scroll, .unseen");
               }).map((each) => each.outerHTML.slice(0, 120))"""
        )
        assert outside == []


def test_motion_is_reduced_where_that_is_asked(visit: Visit) -> None:
    """With prefers-reduced-motion nothing moves."""
    moving = """() => [...document.querySelectorAll("*")].filter((each) => {
      const style = getComputedStyle(each);
      return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0;
    }).length"""
    assert with_example_task(visit).evaluate(moving) > 0
    assert with_example_task(visit, reduced_motion="reduce").evaluate(moving) == 0


def test_the_lab_shows_a_run(visit: Visit, site: Site, tmp_path: Path) -> None:
    """Every chart of a finished run has its numbers as a table, and files to download."""
    charts = {
        "signs": ["episode_grid", "learning_curve", "baseline_ladder", "accuracy_by_shots", "reliability"],
        "sines": ["learning_curve", "layer_changes", "baseline_ladder", "accuracy_by_shots", "accuracy_by_steps"],
    }  # fmt: skip
    for model, names in charts.items():
        page = visit()
        page.goto(f"{site.url}/lab/{model}")
        expect(page.locator("figure").first).to_be_visible(timeout=20_000)
        assert [figure.get_attribute("id") for figure in page.locator("figure").all()] == names
        report = get(f"{site.url}/v1/models/{model}/lab")
        for figure, told in zip(page.locator("figure").all(), report["pictures"], strict=True):
            assert figure.locator("img").evaluate("(image) => image.naturalWidth") > 100
            figure.get_by_text("The numbers").click()
            shown = figure.get_by_role("table")
            assert shown.count() == len(told["tables"]) >= 1
            rows = shown.locator("tbody tr").count()
            assert rows == sum(len(table["rows"]) for table in told["tables"]) > 0
            for form in ("SVG", "JSON"):
                with page.expect_download() as download:
                    figure.get_by_role("link", name=f"Download {form}").click()
                content = Path(download.value.path()).read_text()
                assert content == told["svg"] if form == "SVG" else json.loads(content) == told["data"]
        assert violations(page) == []
        page.set_viewport_size({"width": 360, "height": 640})
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page = visit()
    page.goto(f"{site.url}/lab/none")
    expect(page.get_by_role("alert")).to_contain_text("There is no such resource")


def test_a_hostile_name_is_text(visit: Visit) -> None:
    """A class named like markup is shown as it is written, wherever it is shown."""
    hostile = "<img src=x onerror=alert(1)>"
    page = visit()
    alerts: list[str] = []
    page.on("dialog", lambda dialog: (alerts.append(dialog.message), dialog.dismiss()))
    page.get_by_label("Name of class Class 1").fill(hostile)
    page.get_by_label("Name of class Class 1").press("Enter")
    add_drawing(page, hostile, CIRCLE)
    add_drawing(page, "Class 2", CROSS)
    draw(page, page.get_by_role("region", name="Ask").locator(".pad"), CIRCLE)
    settled(page)
    page.locator(".answer").first.get_by_text("Why").click()
    expect(page.locator(".shares")).to_contain_text(hostile)
    page.locator("[data-example]").first.click()
    expect(page.get_by_role("dialog")).to_contain_text(hostile)
    assert page.locator("img[src=x], [onerror]").count() == 0
    assert alerts == []
