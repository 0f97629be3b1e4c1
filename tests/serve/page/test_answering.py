"""What the page answers, and what it says about its answers."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest
from on_page import (
    CIRCLE,
    CROSS,
    Visit,
    add_drawing,
    asked_inputs,
    card,
    confidences,
    draw,
    expect,
    get,
    png,
    post,
    revision,
    settled,
    task_url,
    with_example_task,
)


def test_every_example_refreshes_the_answers(visit: Visit) -> None:
    """One example more is one revision more, and all answers are new, without a button."""
    page = with_example_task(visit)
    before = revision(page)
    said = confidences(page)
    with page.expect_response(re.compile(":predict$")) as answered:
        name = page.locator(".class-card").first.get_attribute("data-label")
        add_drawing(page, name, CROSS)
    assert revision(page) == before + 1
    assert len(json.loads(answered.value.request.post_data)["query"]) == len(said)
    assert answered.value.json()["task_revision"] == before + 1
    settled(page)
    assert confidences(page) != said
    expect(page.locator("#status")).to_contain_text(re.compile(r"adapted in \d+\.\d ms"))


def test_answers_are_those_of_the_server(visit: Visit) -> None:
    """Label, confidence, neighbours and similarity are the API's; not sure is no class."""
    page = with_example_task(visit)
    want = post(task_url(page) + ":predict", {"query": asked_inputs(page)})["predictions"]
    answers = page.locator(".answer").all()
    assert len(answers) == len(want) >= 4
    for answer, prediction in zip(answers, want, strict=True):
        expect(answer.locator(".label span")).to_have_text(prediction["label"] or "not sure")
        meter = answer.get_by_role("meter")
        said = float(meter.get_attribute("aria-valuenow"))
        assert said == pytest.approx(prediction["confidence"], abs=0.01)
        width = meter.evaluate(
            """async (m) => {
              await Promise.all(m.getAnimations({ subtree: true }).map((each) => each.finished));
              return m.firstChild.getBoundingClientRect().width / m.clientWidth;
            }"""
        )
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
    classes = {each["label"] for each in get(task_url(page))["classes"]}
    assert {text.strip() for text in page.locator(".answer .label span").all_inner_texts()} == {
        "not sure"
    }
    assert "not sure" not in classes
    assert get(task_url(page))["min_confidence"] == 1


def test_an_answer_says_why(visit: Visit) -> None:
    """The examples that changed an answer most come first, with what they changed."""
    page = with_example_task(visit)
    least = int(np.argmin(confidences(page)))
    why = post(f"{task_url(page)}:explain", {"query": asked_inputs(page)[least]})
    values = [each["value"] for each in why["influence"]]
    strongest = sorted(values, key=abs, reverse=True)[:6]
    assert abs(strongest[0]) > 0.01
    answer = page.locator(".answer").nth(least)
    answer.get_by_text("Why").click()
    expect(answer.locator(".pulls li").first).to_be_visible()
    shown = [text.replace("−", "-") for text in answer.locator(".pulls small").all_inner_texts()]
    assert [float(text) for text in shown] == [round(value, 2) for value in strongest]
    assert answer.locator(".pulls img").count() == len(strongest)


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


def test_a_class_without_examples_is_never_an_answer(visit: Visit) -> None:
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


def test_quality_with_its_interval(visit: Visit) -> None:
    """Cross-validated accuracy with interval and n; or that the examples are too few."""
    page = with_example_task(visit)
    found = post(task_url(page) + ":quality", {})
    panel = page.get_by_role("region", name="How good is it?")
    expect(panel.locator(".figure")).to_contain_text(f"{100 * found['value']:.0f} %")
    expect(panel).to_contain_text(f"{100 * found['low']:.0f} % to {100 * found['high']:.0f} %")
    expect(panel).to_contain_text(f"{found['n']} examples")
    page = visit()
    add_drawing(page, "Class 1", CIRCLE)
    add_drawing(page, "Class 2", CROSS)
    expect(page.get_by_role("region", name="How good is it?")).to_contain_text(
        "Too few examples to estimate"
    )


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
        seen.add(page.evaluate("document.activeElement.getAttribute('transform')"))
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


def test_what_was_never_taught_is_said(visit: Visit) -> None:
    """An answer whose novelty is above 1 is "none of these?", with the nearest class beside it."""
    page = visit()

    def answer(route: Any) -> None:
        response = route.fetch()
        said = response.json()
        for prediction, novelty in zip(said["predictions"], (0.5, 1.5), strict=True):
            prediction["novelty"] = novelty
        route.fulfill(response=response, json=said)

    for name, strokes in (("Class 1", CIRCLE), ("Class 2", CROSS)):
        add_drawing(page, name, strokes)
    page.route("**/*:predict", answer)
    files = [
        {"name": f"{i}.png", "mimeType": "image/png", "buffer": png(strokes)}
        for i, strokes in enumerate((CIRCLE, CROSS))
    ]
    ask = page.get_by_role("region", name="Ask")
    ask.locator("input[type=file]").set_input_files(files)
    known, novel = ask.locator(".answer").nth(0), ask.locator(".answer").nth(1)
    expect(novel).to_contain_text("none of these?")
    expect(novel).to_contain_text("nearest: Class")
    expect(novel.get_by_role("meter")).to_have_count(0)
    expect(known.locator(".label")).to_contain_text("Class")
    expect(known.get_by_role("meter")).to_have_count(1)
    expect(ask.locator("#spoken")).to_contain_text("Perhaps none of these")
