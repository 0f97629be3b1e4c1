"""What goes wrong, and what the page makes of it."""

from __future__ import annotations

import logging
import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path

import numpy as np
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
    settled,
    task_url,
    with_example_task,
)
from page_site import Site, Told
from PIL import Image, ImageDraw

from quickstudy.cli.main import main


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


BAD_FILES = {
    "text named png": ("a.png", lambda: b"not a picture at all", "no picture"),
    "20 MB": ("a.png", lambda: bytes(20_000_000), "at most"),
    "bomb": ("a.png", bomb, "No drawing"),
    "eps": ("a.eps", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "no picture"),
    "empty": ("a.png", lambda: b"", "no picture"),
    "animation": ("a.gif", animation, "No drawing"),
}


def test_a_bad_file_is_told_where_it_was_dropped(visit: Visit, tmp_path: Path) -> None:
    """An alert at the card names the file and says why; all else goes on; nothing is logged."""
    told = Told()
    logging.getLogger().addHandler(told)
    try:
        page = with_example_task(visit)
        class_card = page.locator(".class-card").first
        ask = page.get_by_role("region", name="Ask")
        n = class_card.locator("[data-example]").count()
        for bad, (name, make, why) in BAD_FILES.items():
            path = tmp_path / bad / name
            path.parent.mkdir()
            path.write_bytes(make())
            for place in (class_card, ask):
                place.locator("input[type=file]").set_input_files(path)
                alert = place.get_by_role("alert")
                expect(alert.locator("strong")).to_have_text("1 file was left out")
                expect(alert.locator("li")).to_contain_text(f"{name}: ")
                expect(alert.locator("li")).to_contain_text(why)
            good = {"name": "a.png", "mimeType": "image/png", "buffer": png(CIRCLE)}
            class_card.locator("input[type=file]").set_input_files(good)
            n += 1
            expect(class_card.locator("[data-example]")).to_have_count(n)
            expect(class_card.get_by_role("alert")).to_have_count(0)
            ask.get_by_role("button", name="Dismiss").click()
    finally:
        logging.getLogger().removeHandler(told)
    assert not [line for line in told.lines if "Traceback" in line]


def test_a_drawing_that_is_refused_comes_back(visit: Visit) -> None:
    """It leaves the pad at once, and is there again when the server did not take it."""
    page = visit()
    problem = {"title": "The input cannot be read", "status": 422}
    page.route("**/tasks", lambda route: route.fulfill(status=422, json=problem))
    draw(page, card(page, "Class 1").locator(".pad"), CIRCLE)
    add = card(page, "Class 1").get_by_role("button", name="Add", exact=True)
    add.click()
    expect(card(page, "Class 1").get_by_role("alert")).to_contain_text(problem["title"])
    page.unroute("**/tasks")
    add.click()
    expect(card(page, "Class 1").locator("[data-example]")).to_have_count(1)
    expect(add).to_be_disabled()
    expect(card(page, "Class 1").locator(".pad")).to_be_focused()


def test_a_key_is_asked_for(
    visit: Visit, site: Site, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where the server wants a key, the page asks for it, and again where it was none."""
    page = visit()
    where = ["--data-dir", str(tmp_path)]
    assert main(["keys", "create", "--tenant", "anna", "--scope", "predict,adapt", *where]) == 0
    key = next(word for word in capsys.readouterr().out.split() if word.startswith("qs_"))
    guarded = Site(site.runs, tmp_path)
    try:
        page.goto(guarded.url)
        field = page.get_by_role("dialog").get_by_label("Key")
        for given, wrong in (("qs_none", 0), (key, 1)):
            expect(field).to_have_value("")
            expect(page.get_by_role("dialog").get_by_role("alert")).to_have_count(wrong)
            field.fill(given)
            page.get_by_role("button", name="Continue").click()
        page.get_by_role("button", name="Load example task").first.click()
        settled(page)
        expect(page.locator("#code")).to_contain_text("Bearer $QUICKSTUDY_KEY")
        assert key not in page.content()
    finally:
        page.goto("about:blank")
        guarded.stop()


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
    assert len(get(task_url(first))["examples"]) == second.locator("[data-example]").count()


def test_the_server_goes_and_comes_back(visit: Visit, site: Site) -> None:
    """The page says so, goes on by itself, and answers as before."""
    page = with_example_task(visit)
    before = page.locator(".answer .label").all_inner_texts()
    name = page.locator(".class-card").first.get_attribute("data-label")
    n = card(page, name).locator("[data-example]").count()
    site.stop()
    expect(page.get_by_text("Offline, retrying")).to_be_visible()
    with page.expect_response(re.compile(":predict$")):
        site.start()
    expect(page.get_by_text("Offline, retrying")).to_have_count(0)
    settled(page)
    assert page.locator(".answer .label").all_inner_texts() == before
    site.stop()
    draw(page, card(page, name).locator(".pad"), CIRCLE)
    card(page, name).get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_text("Offline, retrying")).to_be_visible()
    site.start()
    expect(card(page, name).locator("[data-example]")).to_have_count(n + 1)
    assert len(get(task_url(page))["examples"]) == page.locator("[data-example]").count()


def test_a_bad_file_does_not_lose_the_others(visit: Visit) -> None:
    """Good files become examples; each bad one is named, with what to do, in words for people."""
    page = visit()
    blank, photo = BytesIO(), BytesIO()
    Image.new("L", (90, 90), 255).save(blank, "PNG")
    strokes = Image.new("RGB", (3000, 2000), "white")
    noise = np.random.default_rng(0).integers(200, 256, (2000, 3000, 3), dtype=np.uint8)
    strokes.paste(Image.fromarray(noise))
    ImageDraw.Draw(strokes).line([(900, 600), (2000, 1500)], fill="black", width=200)
    strokes.save(photo, "PNG")
    assert len(photo.getvalue()) > 10e6
    heic = b"\0\0\0\x18ftypheic" + bytes(1000)
    good, bad = {"a.png": png(CIRCLE), "b.png": png(CROSS)}, {"IMG_1.HEIC": heic, "note.txt": b"hi"}
    sent = {**bad, **good, "blank.png": blank.getvalue(), "photo.png": photo.getvalue()}
    files = [{"name": n, "mimeType": "image/png", "buffer": b} for n, b in sent.items()]
    first = card(page, "Class 1")
    first.locator("input[type=file]").set_input_files(files)
    expect(first.locator("[data-example]")).to_have_count(3)
    alert = first.get_by_role("alert")
    expect(alert.locator("strong")).to_have_text("3 files were left out")
    lines = alert.locator("li").all_inner_texts()
    assert [line.split(": ")[0] for line in sorted(lines)] == [
        "IMG_1.HEIC",
        "blank.png",
        "note.txt",
    ]
    assert "Save it as JPEG or PNG" in next(line for line in lines if line.startswith("IMG"))
    assert "No drawing can be made out" in next(line for line in lines if line.startswith("blank"))
    stored = first.locator("[data-example] img").last.get_attribute("src")
    assert Image.open(BytesIO(b64decode(stored.split(",")[1]))).size == (1600, 1067)
