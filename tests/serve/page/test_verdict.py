"""The verdict on a task: in words, before any number, and honest about few examples."""

from __future__ import annotations

from typing import Any

from on_page import CIRCLE, CROSS, Visit, add_drawing, expect, post, task_url, with_example_task

OF = """async ([classes, quality]) => {
  const { verdictOf } = await import("/static/verdict.js");
  return verdictOf(classes, quality);
}"""


def classes(**shots: int) -> list[dict[str, Any]]:
    return [{"label": label, "shots": n} for label, n in shots.items()]


def quality(value: float, low: float, high: float, n: int, *wrong: str) -> dict[str, Any]:
    """A quality, with examples of wrong labels as `label>suggested`."""
    pairs = [pair.split(">") for pair in wrong]
    suspicious = [{"label": label, "suggested": suggested} for label, suggested in pairs]
    return {
        "metric": "accuracy",
        "value": value,
        "low": low,
        "high": high,
        "n": n,
        "suspicious": suspicious,
    }


def test_what_it_can_tell_how_sure_and_what_next(visit: Visit) -> None:
    page = visit()

    def said(*about: Any) -> dict[str, str]:
        return page.evaluate(OF, list(about))

    few = said(classes(cups=3, plates=1), {"value": None, "reason": "", "suspicious": []})
    assert few["tone"] == "none"
    assert "Too few" in few["can"]
    assert few["next"] == "Give each class two or more."
    assert few["label"] == "plates"
    assert "takes a second one" in said(classes(cups=3, plates=0), None)["next"]

    well = said(classes(cups=30, plates=30), quality(0.95, 0.86, 0.98, 60))
    assert well == {
        "tone": "good",
        "can": "It tells “cups” from “plates” well: 57 of 60 right by its own test.",
        "sure": "Of new ones expect 86 % to 98 % right.",
        "next": "Nothing is missing: try it on something new.",
    }
    promising = said(classes(cups=3, plates=3), quality(1, 0.61, 1, 6))
    assert promising["tone"] == "fair"  # all were right, and yet that is not sure
    assert "few to be sure" in promising["sure"]
    assert promising["next"].startswith("Add 3 more of each class")

    three = classes(cups=5, plates=5, bowls=2)
    mixed = said(three, quality(0.75, 0.47, 0.91, 12, "bowls>cups", "cups>bowls", "plates>cups"))
    assert "mostly tells “cups”, “plates”, and “bowls” apart" in mixed["can"]
    assert mixed["next"].startswith("“bowls” and “cups” are mixed up: add 3 more of “bowls”")
    assert mixed["label"] == "bowls"
    once = said(three, quality(0.92, 0.65, 0.99, 12, "plates>cups"))
    assert once["next"].startswith("One of “plates” was taken for “cups”: add 3 more")
    assert said(three, quality(1, 0.76, 1, 12))["next"].startswith("“bowls” has far fewer")

    chance = said(classes(cups=4, plates=4), quality(0.62, 0.31, 0.86, 8, "cups>plates"))
    assert chance["tone"] == "poor"
    assert "cannot tell “cups” from “plates” yet" in chance["can"]
    assert "4 classes apart" in said(classes(a=9, b=9, c=9, d=9), quality(0.9, 0.7, 1, 36))["can"]

    values = {"metric": "mse", "value": 4.0, "low": 1.0, "high": 9.0, "n": 8, "suspicious": []}
    about = said([], values)
    assert about["can"] == "By its own test of 8 examples its values are off by about 2."
    assert about["sure"] == "Of new ones expect it to be off by 1 to 3."


def test_the_verdict_stands_above_the_numbers(visit: Visit) -> None:
    """It is of the server's own test, leads to the class that lacks examples, and follows."""
    page = with_example_task(visit)
    found = post(task_url(page) + ":quality", {})
    verdict = page.get_by_role("region", name="What it can tell")
    right = round(found["value"] * found["n"])
    expect(verdict.get_by_role("status")).to_contain_text(f"{right} of {found['n']} right")
    box, numbers = (
        each.bounding_box()
        for each in (verdict, page.get_by_role("region", name="How good is it?"))
    )
    assert box["y"] + box["height"] < numbers["y"]

    page = visit()
    add_drawing(page, "Class 1", CIRCLE)
    verdict = page.get_by_role("region", name="What it can tell")
    expect(verdict).to_contain_text("takes a second one")
    add_drawing(page, "Class 2", CROSS)
    expect(verdict).to_contain_text("Too few examples to say")
    verdict.get_by_role("button", name="Add to “Class 1”").click()
    expect(page.locator("[data-label='Class 1'] .pad")).to_be_focused()
