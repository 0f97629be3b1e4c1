"""Texts: written or pasted, one a line, with classes from a spreadsheet; and asked."""

from __future__ import annotations

from on_page import Visit, card, expect, get, post, revision, task_url, violations

PASTED = (
    "text\tlabel\r\n"
    "will it rain today\tweather\r\n"
    '"snow, or\n""sleet"" this week"\tweather\r\n'
    "wake me at six\talarm\r\n"
    "set an alarm for noon\talarm\r\n"
    "\t\r\n"
)


def test_sentences_are_taught_and_asked(visit: Visit) -> None:
    """A line each; an answer shows the nearest sentences, and marks the words that spoke."""
    page = visit("/?model=sentences")
    for name, lines in {
        "Class 1": "will it rain today\n\n  snow this week ",
        "Class 2": "wake me at six\nset an alarm for noon",
    }.items():
        box = card(page, name).get_by_role("textbox", name="New example")
        box.fill(lines)
        box.press("Control+Enter")
        expect(card(page, name).locator("[data-example]")).to_have_count(2)
        expect(box).to_have_value("")
    task = get(task_url(page) + "?view=FULL")["examples"]
    assert [each["input"]["text"] for each in task[:2]] == ["will it rain today", "snow this week"]
    expect(card(page, "Class 1").get_by_role("button", name="“snow this week”")).to_be_visible()

    ask = page.get_by_role("region", name="Ask", exact=True)
    query = {"text": "will it snow today"}

    box = ask.get_by_role("textbox", name="What to ask about")
    box.fill(query["text"])
    box.press("Enter")
    expect(ask.get_by_role("meter")).to_have_count(1)
    want = post(f"{task_url(page)}:predict", {"query": [query]})["predictions"][0]
    expect(ask.locator(".label span")).to_have_text(want["label"] or "not sure")
    nearest = ask.get_by_role("list", name="Closest examples").get_by_role("listitem")
    texts = {each["id"]: each["input"]["text"] for each in task}
    texts |= {e["id"]: e["input"]["text"] for e in get(task_url(page) + "?view=FULL")["examples"]}
    expect(nearest.locator(".sentence")).to_have_text([texts[n["id"]] for n in want["nearest"]])
    ask.get_by_text("Why").click()
    expect(ask.locator(".spoke")).to_have_text(query["text"])
    words = post(f"{task_url(page)}:explain", {"query": query})["words"]["words"]
    weights = [abs(word["value"]) for word in words]
    notable = [w for w, n in zip(words, weights, strict=True) if n >= max(weights) / 4]
    expect(ask.locator("mark")).to_have_text([word["text"] for word in notable])
    against = [word["text"] for word in notable if word["value"] < 0]
    expect(ask.locator("mark.against")).to_have_text(against)
    strongest = words[weights.index(max(weights))]
    expect(ask.locator("mark.strong").filter(has_text=strongest["text"])).to_be_visible()
    assert 0 < len(notable) < len(words)
    assert violations(page) == []


def test_two_columns_of_a_spreadsheet_make_classes(visit: Visit) -> None:
    """The text and its class; what does not fit is said by its line, and nothing is added."""
    page = visit("/?model=sentences")
    box = card(page, "Class 1").get_by_role("textbox", name="New example")
    box.fill("will it rain today\tweather\nwake me at six")
    card(page, "Class 1").get_by_role("button", name="Add", exact=True).click()
    expect(card(page, "Class 1").get_by_role("alert")).to_contain_text("Line 2 does not fit")
    assert revision(page) == 0
    box.evaluate("(box, text) => (box.value = text)", PASTED)
    card(page, "Class 1").get_by_role("button", name="Add", exact=True).click()
    expect(card(page, "weather").locator("[data-example]")).to_have_count(2)
    expect(card(page, "alarm").locator("[data-example]")).to_have_count(2)
    expect(page.locator(".class-card")).to_have_count(2)  # those without names are gone
    examples = get(task_url(page) + "?view=FULL")["examples"]
    assert [(each["label"], each["input"]["text"]) for each in examples][:2] == [
        ("weather", "will it rain today"),
        ("weather", 'snow, or "sleet" this week'),
    ]
    expect(page.locator(".toast")).to_contain_text("4 texts added to 2 classes")
    box = card(page, "alarm").get_by_role("textbox", name="New example")
    box.fill("pay the rent\tmoney\nwake me early")
    box.fill("pay the rent\tmoney")
    box.press("Control+Enter")
    expect(card(page, "money").locator("[data-example]")).to_have_count(1)
    ask = page.get_by_role("region", name="Ask", exact=True)
    ask.get_by_role("textbox", name="What to ask about").fill("one\ntwo\n\nthree")
    ask.get_by_role("button", name="Ask", exact=True).click()
    expect(ask.locator(".asked")).to_have_text(["one", "two", "three"])


def test_what_is_not_read_whole_is_told(visit: Visit) -> None:
    """Long texts by the server's notes, at the cards and the questions; and marks become spans."""
    page = visit("/?model=sentences")
    long = "one two three four five six seven eight nine ten eleven twelve thirteen"
    for name, text in (("Class 1", "a\nb"), ("Class 2", long)):
        card(page, name).get_by_role("textbox", name="New example").fill(text)
        card(page, name).get_by_role("button", name="Add", exact=True).click()
        expect(card(page, name).locator("[data-example]").first).to_be_visible()
    expect(page.locator("#class-notes li")).to_have_count(1)
    ask = page.get_by_role("region", name="Ask", exact=True)
    ask.get_by_role("textbox", name="What to ask about").fill(long)
    ask.get_by_role("button", name="Ask", exact=True).click()
    expect(page.locator("#ask-notes li")).to_contain_text("longer than the 12 tokens")
    ask.get_by_role("button", name="Remove this question").click()
    expect(page.locator("#ask-notes li")).to_have_count(0)
    spans = """async (text) => {
      const { withSpans } = await import("/static/inputs.js");
      return withSpans(text);
    }"""
    marked = page.evaluate(spans, "[\U0001f600da] met [Bob]! [ [x")
    assert marked == {"text": "\U0001f600da met Bob! [ [x", "spans": [[0, 3], [8, 11]]}
