"""Photos: from the camera, from a phone, and many at once."""

from __future__ import annotations

import re
from base64 import b64decode
from io import BytesIO
from typing import Any

from on_page import Visit, card, expect, revision, violations
from PIL import Image

WATCHED = """() => {
  window.streams = [];
  const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (which) => {
    const stream = await open(which);
    window.streams.push(stream);
    return stream;
  };
}"""
ON = "() => window.streams.map((s) => s.getTracks().some((t) => t.readyState === 'live'))"


def photo(colour: str, size: tuple[int, int] = (40, 40), **options: Any) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, "JPEG", **options)
    return out.getvalue()


def upload(name: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "mimeType": "image/jpeg", "buffer": content}


def stored(example: Any) -> Image.Image:
    shown = example.locator("img").get_attribute("src")
    return Image.open(BytesIO(b64decode(shown.split(",")[1])))


def test_photos_are_taken_while_a_button_is_held(visit: Visit) -> None:
    """With a pointer several, in one revision; with a key; and what is asked follows the camera."""
    page = visit("/?model=snaps", permissions=["camera"])
    page.evaluate(WATCHED)
    first, second = card(page, "Class 1"), card(page, "Class 2")
    first.get_by_role("button", name="Camera").click()
    hold = first.get_by_role("button", name="Hold to take")
    expect(hold).to_be_focused()
    page.wait_for_function("() => document.querySelector('video').videoWidth > 0")
    hold.hover()
    page.mouse.down()
    expect(first.locator(".taken")).to_have_text(re.compile("[3-9]"))
    page.mouse.up()
    expect(first.locator("[data-example]").nth(2)).to_be_visible()
    assert revision(page) == 1
    taken = stored(first.locator("[data-example]").first)
    assert (taken.format, taken.size) == ("JPEG", (512, 512))
    expect(first.get_by_role("button", name="Turn to the other camera")).to_be_visible()

    second.get_by_role("button", name="Camera").click()
    expect(second.locator("video")).to_be_visible()
    expect(first.locator("video")).to_have_count(0)
    assert page.evaluate(ON) == [False, True]  # one camera at a time
    page.wait_for_function("() => document.querySelector('video').videoWidth > 0")
    second.get_by_role("button", name="Hold to take").press("Space")
    expect(second.locator("[data-example]")).to_have_count(1)
    assert violations(page) == []

    ask = page.get_by_role("region", name="Ask", exact=True)
    ask.get_by_role("button", name="Camera").click()
    expect(ask.get_by_role("meter")).to_have_count(1)
    before = ask.locator(".asked img").get_attribute("src")
    expect(ask.locator(".asked img")).not_to_have_attribute("src", before)
    ask.get_by_role("button", name="Turn to the other camera").click()
    ask.get_by_role("button", name="Keep").click()
    expect(ask.locator(".answer")).to_have_count(2)
    ask.get_by_role("button", name="Close the camera").click()
    expect(ask.locator(".answer")).to_have_count(1)
    expect(ask.get_by_role("button", name="Camera")).to_be_focused()
    page.set_viewport_size({"width": 375, "height": 812})
    page.get_by_role("tab", name="Ask").click()
    page.get_by_role("button", name="Camera").last.click()
    expect(page.locator("video")).to_be_visible()
    page.get_by_role("tab", name="Teach").click()  # where nobody sees it, the camera is off
    expect(page.locator("video")).to_have_count(0)
    assert set(page.evaluate(ON)) == {False}


def test_no_camera_is_told_with_what_to_do(visit: Visit) -> None:
    page = visit("/?model=snaps")
    first = card(page, "Class 1")
    camera = first.get_by_role("button", name="Camera")
    alert = first.get_by_role("alert")
    camera.click()
    expect(alert).to_contain_text("The camera was refused")
    for name, words in {
        "NotFoundError": "There is no camera",
        "NotReadableError": "Another program may be using it",
    }.items():
        page.evaluate(
            """(name) => (navigator.mediaDevices.getUserMedia = () =>
                 Promise.reject(new DOMException("", name)))""",
            name,
        )
        camera.click()
        expect(alert).to_contain_text(words)
    page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
    camera.click()
    expect(alert).to_contain_text("open this page over https")
    expect(first.get_by_role("button", name="Choose pictures")).to_be_visible()


def test_phone_photos_arrive_small_and_upright(visit: Visit) -> None:
    """Of many files at once each bad one is named, the others go on, and one sees how far."""
    page = visit("/?model=snaps")
    first = card(page, "Class 1")
    page.evaluate(
        """() => {
          const shown = document.querySelector(".progress");
          window.told = [];
          const watch = new MutationObserver(() => window.told.push(shown.textContent));
          watch.observe(shown, { childList: true });
        }"""
    )
    held = Image.new("RGB", (3000, 2000), "blue")  # lies on its side: its left is what is above
    held.paste("red", (0, 0, 1000, 2000))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    out = BytesIO()
    held.save(out, "JPEG", exif=exif)
    files = [upload(f"{i}.jpg", photo("green")) for i in range(38)]
    files[3:3] = [
        upload("note.jpg", b"no"),
        upload("IMG_1.HEIC", b"\0\0\0\x18ftypheic" + bytes(99)),
    ]
    files.append(upload("phone.jpg", out.getvalue()))
    with page.expect_request("**/examples") as sent:
        first.locator("input[type=file]").set_input_files(files)
    assert len(sent.value.post_data) < 500_000
    expect(first.locator("[data-example]")).to_have_count(39)
    alert = first.get_by_role("alert")
    expect(alert.locator("strong")).to_have_text("2 files were left out")
    expect(alert.locator("li").first).to_contain_text("note.jpg: This is no picture")
    expect(alert.locator("li").last).to_contain_text("IMG_1.HEIC: This is a HEIC photo")
    assert "Reading 35 of 41…" in page.evaluate("window.told")
    expect(first.locator(".progress")).to_have_text("")
    small = stored(first.locator("[data-example]").last).convert("RGB")
    assert small.size == (342, 512)
    above, below = small.getpixel((171, 20)), small.getpixel((171, 490))

    assert (above[0] > 200, below[2] > 200) == (True, True)
