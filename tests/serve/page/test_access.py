"""Everybody can use the page: with a keyboard, on a phone, in the dark, without motion."""

from __future__ import annotations

import pytest
from on_page import Visit, card, expect, settled, violations, with_example_task


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_stands_in_the_way(scheme: str, visit: Visit) -> None:
    """No serious barrier by axe, contrast included: empty, full, alerted and in a dialog."""
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
                  const width = style.outlineStyle === "none" ? "0" : style.outlineWidth;
                  const seen = parseFloat(width) >= 2 || at.matches("body, .dot, .tabs input");
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


@pytest.mark.parametrize("size", [(320, 568), (375, 812), (768, 1024), (1440, 900), (2560, 1300)])
def test_it_fits_the_window(size: tuple[int, int], visit: Visit) -> None:
    """No horizontal scrolling, and nothing beside the window, empty or full."""
    made = [
        visit(viewport={"width": size[0], "height": size[1]}),
        with_example_task(visit, viewport={"width": size[0], "height": size[1]}),
    ]
    for page in (*made, made[1]):
        assert page.evaluate("document.documentElement.scrollWidth") <= size[0]
        outside = page.evaluate(
            """() => [...document.querySelectorAll("main *, header *")].filter((each) => {
                 const box = each.getBoundingClientRect();
                 return box.right > innerWidth + 1 && !each.closest("pre, .scroll, .unseen");
               }).map((each) => each.outerHTML.slice(0, 120))"""
        )
        assert outside == []
        if size[0] < 960:
            page.get_by_role("tab", name="Ask").click()


def test_teach_and_ask_are_tabs_on_a_phone(visit: Visit) -> None:
    """One at a time, by pointer or arrows; what is in them stays, also when the phone is turned."""
    page = visit(viewport={"width": 375, "height": 812})
    teach, ask = page.get_by_role("tab", name="Teach"), page.get_by_role("tab", name="Ask")
    ask.click()
    page.get_by_role("button", name="Load example task").first.click()
    settled(page)
    teach.click()
    for name in page.locator(".class-card .name").all():  # written while they were not shown
        assert name.bounding_box()["height"] > 20
    expect(teach).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("tabpanel", name="Teach")).to_be_visible()
    expect(page.locator("#ask")).to_be_hidden()
    n = page.locator(".answer").count()
    teach.focus()
    page.keyboard.press("ArrowRight")
    expect(ask).to_be_focused()
    expect(page.get_by_role("tabpanel", name="Ask").locator(".answer").first).to_be_visible()
    expect(page.locator("#examples")).to_be_hidden()
    assert teach.get_attribute("tabindex") == "-1"
    page.locator(".answer").first.get_by_text("Why").click()
    page.keyboard.press("Tab")
    ask.focus()
    page.keyboard.press("Home")
    expect(page.locator("#examples")).to_be_visible()
    ask.click()
    expect(page.locator(".answer [open]")).to_have_count(1)
    assert page.locator(".answer").count() == n
    assert violations(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    expect(page.get_by_role("tablist")).to_be_hidden()
    expect(page.get_by_role("region", name="Ask", exact=True)).to_be_visible()
    expect(page.locator("#examples")).to_be_visible()
    page.set_viewport_size({"width": 375, "height": 812})
    expect(ask).to_have_attribute("aria-selected", "true")
    page.get_by_role("link", name="Skip to the examples").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#examples")).to_be_visible()


def test_motion_is_reduced_where_that_is_asked(visit: Visit) -> None:
    """With prefers-reduced-motion nothing moves."""
    moving = """() => [...document.querySelectorAll("*")].filter((each) => {
      const style = getComputedStyle(each);
      return style.animationName !== "none" || parseFloat(style.transitionDuration) > 0;
    }).length"""
    assert with_example_task(visit).evaluate(moving) > 0
    assert with_example_task(visit, reduced_motion="reduce").evaluate(moving) == 0
