"""What a person teaches: classes and examples, of each kind of model."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from base64 import b64decode
from io import BytesIO

import pytest
from on_page import (
    CIRCLE,
    CROSS,
    Visit,
    add_drawing,
    card,
    draw,
    expect,
    get,
    png,
    post,
    settled,
    task_url,
    with_example_task,
)
from page_site import Site
from PIL import Image

COLUMNS = ["length", "width", "colour"]


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
    """Model, version, two empty cards and an example task that answers."""
    page = visit()
    expect(page.get_by_label("Model", exact=True)).to_have_value("signs")
    expect(page.locator("#version")).to_have_text(re.compile(r"^[0-9a-f]{12}$"))
    expect(page.locator(".class-card")).to_have_count(2)
    assert page.locator("[data-example]").count() == 0
    page.get_by_role("button", name="Load example task").first.click()
    expect(page.locator(".answer [role=meter]").first).to_be_visible()
    for shown in page.locator(".class-card").all():
        assert shown.locator("[data-example] img").count() >= 5


def test_the_page_follows_the_kind_of_the_model(visit: Visit, site: Site) -> None:
    """One chooses in plain words what to teach, and gets a model of it; the way back leads back."""
    page = visit()
    kinds = page.get_by_role("navigation", name="What to teach")
    expect(kinds.get_by_role("link")).to_have_text(
        ["Photos", "Drawings", "Texts", "Tables", "Numbers"]
    )
    models = page.get_by_label("Model", exact=True)
    add_drawing(page, "Class 1", CIRCLE)
    kinds.get_by_role("link", name="Tables").click()
    expect(page.locator(".row-form").first).to_be_visible()
    expect(page.locator("[data-example], .pad")).to_have_count(0)
    expect(models.locator("option")).to_have_text(["flowers", "tables"])
    expect(kinds.locator("[aria-current=page]")).to_have_text("Tables")
    assert "model=flowers" in page.url
    models.select_option("tables")
    kinds.get_by_role("link", name="Numbers").click()
    expect(models).to_have_value("sines")
    kinds.get_by_role("link", name="Tables").click()
    expect(models).to_have_value("tables")  # the one used last
    for _ in range(4):
        page.go_back()
    expect(card(page, "Class 1").locator("[data-example]")).to_have_count(1)
    expect(kinds.locator("[aria-current=page]")).to_have_text("Drawings")
    link = kinds.get_by_role("link", name="Tables").get_attribute("href")
    assert link == f"{site.url}/?model=flowers" or link == f"{site.url}/?model=tables"
    page.route(
        "**/v1/models",
        lambda route: route.fulfill(json={"models": get(f"{site.url}/v1/models")["models"][:1]}),
    )
    page.goto(site.url)
    expect(page.locator(".class-card").first).to_be_visible()
    expect(kinds).to_be_hidden()


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
    expect(card(page, "Class 2").get_by_role("alert")).to_contain_text(
        "A class of this name exists"
    )
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
    files = [{"name": f"{i}.png", "mimeType": "image/png", "buffer": png(CROSS)} for i in range(2)]
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


def test_rows_are_filled_in_and_pasted(visit: Visit) -> None:
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
    rows = [each["input"]["row"] for each in get(task_url(page) + "?view=FULL")["examples"]]
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


def test_rows_with_columns_of_the_task(visit: Visit) -> None:
    """Where the model leaves the columns to the task, the first rows that are pasted name them."""
    page = visit("/?model=tables")
    first, second = card(page, "Class 1"), card(page, "Class 2")
    box = first.get_by_role("textbox", name="paste rows")
    box.fill("1,red\n2,red")
    first.get_by_role("button", name="Add rows").click()
    expect(first.get_by_role("alert")).to_contain_text("names of the columns are missing")
    box.fill("size,colour\n1,red\n2,red\n1.5,blue")
    first.get_by_role("button", name="Add rows").click()
    expect(first.locator("[data-example]")).to_have_count(3)
    other = second.get_by_role("textbox", name="paste rows")
    expect(other).to_have_attribute("placeholder", "size,colour\n…")
    other.fill("7,blue\n8,red\n9,blue")
    second.get_by_role("button", name="Add rows").click()
    expect(second.locator("[data-example]")).to_have_count(3)
    ask = page.get_by_role("region", name="Ask")
    ask.get_by_role("textbox", name="paste rows").fill("colour,size\nred,8.5")
    ask.get_by_role("button", name="Ask rows").click()
    expect(ask.get_by_role("meter")).to_have_count(1)
    asked = get(task_url(page) + "?view=FULL")["examples"][0]["input"]["row"]
    assert asked == {"size": 1, "colour": "red"}
    expect(ask.get_by_role("textbox", name="paste rows")).to_have_value("")
    ask.get_by_role("textbox", name="paste rows").fill("1,2,3")
    ask.get_by_role("button", name="Ask rows").click()
    expect(ask.get_by_role("alert")).to_contain_text("Line 1 does not fit")


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


def test_values_are_taught_and_asked(visit: Visit) -> None:
    """A model of values has one card of examples, and a curve."""
    page = visit("/?model=sines")
    page.get_by_role("textbox", name="New example").fill("-1 -0.8\n0 0\n1 0.8")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator("[data-example]")).to_have_count(3)
    assert [each["label"] for each in get(task_url(page))["examples"]] == [-0.8, 0, 0.8]
    page.get_by_role("textbox", name="What to ask about").fill("0.5")
    page.get_by_role("button", name="Ask", exact=True).click()
    want = post(task_url(page) + ":predict", {"query": [{"values": [0.5]}]})["predictions"][0]
    said = page.locator(".answer .label").inner_text().replace("−", "-")
    assert float(said) == pytest.approx(want["label"], rel=1e-3)
    expect(page.get_by_role("img", name="The curve from", exact=False)).to_be_visible()


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


def test_changes_are_undone_and_redone(visit: Visit) -> None:
    """By buttons and keys, over several steps, and after a reload by the server's revisions."""
    page = visit()
    undo = page.get_by_role("button", name="Undo the last change")
    redo = page.get_by_role("button", name="Redo the change")
    examples = card(page, "Class 1").locator("[data-example]")
    for n in (1, 2, 3):
        file = {"name": "a.png", "mimeType": "image/png", "buffer": png(CIRCLE)}
        card(page, "Class 1").locator("input[type=file]").set_input_files(file)
        expect(examples).to_have_count(n)
    undo.click()
    expect(examples).to_have_count(2)
    page.keyboard.press("Control+z")
    expect(examples).to_have_count(1)
    expect(undo).to_be_disabled()
    page.keyboard.press("Control+Shift+z")
    expect(examples).to_have_count(2)
    redo.click()
    expect(examples).to_have_count(3)
    expect(redo).to_be_disabled()
    page.reload()
    expect(examples).to_have_count(3)
    undo.click()
    expect(examples).to_have_count(2)
    card(page, "Class 2").locator("input[type=file]").set_input_files(file)
    expect(card(page, "Class 2").locator("[data-example]")).to_have_count(1)
    expect(redo).to_be_disabled()
    name = page.get_by_label("Name of class Class 1")
    name.fill("typed")
    name.press("Control+z")  # the field's own
    expect(examples).to_have_count(2)


def test_names_are_compared_as_they_look(visit: Visit) -> None:
    """Blanks at the ends and the encoding of letters make no other name; hidden marks are shown."""
    page = visit()
    for number, name in ((1, " caf\u00e9 "), (2, "cafe\u0301")):
        field = page.get_by_label(f"Name of class Class {number}")
        field.fill(name)
        field.press("Enter")
    expect(page.get_by_label("Name of class caf\u00e9")).to_have_value("caf\u00e9")
    expect(card(page, "Class 2").get_by_role("alert")).to_contain_text(
        "A class of this name exists"
    )
    turned = "\u202egnp.exe"
    page.get_by_label("Name of class Class 2").fill(turned)
    page.get_by_label("Name of class Class 2").press("Enter")
    shown = card(page, "\u27e8U+202E\u27e9gnp.exe")
    expect(shown).to_contain_text("turn the direction of reading: \u27e8U+202E\u27e9gnp.exe")
    assert shown.get_attribute("data-label") == turned
    long = "a name that somebody wrote out in full " * 4
    field = page.get_by_label("Name of class caf\u00e9")
    low = field.bounding_box()["height"]
    field.fill(long)
    field.press("Enter")
    field = page.get_by_label(f"Name of class {long.strip()}")
    assert field.bounding_box()["height"] > 2 * low
    assert field.evaluate("(name) => name.scrollWidth <= name.clientWidth")


def test_the_marks_of_twenty_classes_differ(visit: Visit) -> None:
    """In shape and filling alone, without the colour."""
    looks = visit().evaluate(
        """async () => {
          const { mark } = await import("/static/dom.js");
          return [...Array(20).keys()].map((hue) => {
            const made = mark(hue);
            return made.innerHTML + made.getAttribute("class").replace(/hue-./, "");
          });
        }"""
    )
    assert len(set(looks)) == 20
