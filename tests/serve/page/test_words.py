"""The words of the page stand in one file, from which the page has all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from on_page import Visit
from served_runs import Client

from quickstudy.serve.routes.files import PAGE

WORDS = json.loads((PAGE / "en.json").read_text("utf-8"))
SCRIPTS = {path.name: path.read_text("utf-8") for path in sorted(PAGE.glob("*.js"))}
DOCUMENTS = {path.name: path.read_text("utf-8") for path in sorted(PAGE.glob("*.html"))}
STYLE = "".join(path.read_text("utf-8") for path in sorted(PAGE.glob("*.css")))
SENTENCE = re.compile(r"[a-zA-Z]{2,}[.,:;?!]*\s+\W?[a-zA-Z]|[a-z][.?!…](\s|$)|^\s*[A-Z][a-z]+\W?$")
LOOKS = set(re.findall(r"\.([a-z][a-z-]+)", STYLE))
PROTOCOL = {"Bearer ", "Enter", "Escape", "Delete", "Backspace"}
"""Headers and keys of the keyboard, which look like words."""
TOKEN = re.compile(
    r"/\*.*?\*/|//[^\n]*"  # comments, whose quotes are none
    r'|"(?P<text>(?:[^"\\\n]|\\.)*)"|`(?P<template>(?:[^`\\]|\\.)*)`',
    re.DOTALL,
)
ESCAPED = re.compile(r"\\.")
INSERTED = re.compile(r"\$\{(.*?)\}", re.DOTALL)


def texts(script: str) -> Iterator[str]:
    """The texts in a script, without what is inserted into them."""
    for token in TOKEN.finditer(script):
        if token["text"] is not None:
            yield ESCAPED.sub(" ", token["text"])
        elif token["template"] is not None:
            yield ESCAPED.sub(" ", INSERTED.sub("", token["template"]))
            for inserted in INSERTED.findall(token["template"]):
                yield from texts(inserted)


def sentences(script: str) -> list[str]:
    """The texts in a script that a person would read: two words in a row, or a capitalised one."""
    return [
        text
        for text in texts(script)
        if SENTENCE.search(text)
        and not re.search(r"[#\[]|(^|\s)\.\w", text)  # selectors
        and not set(text.split()) <= LOOKS
        and text not in PROTOCOL
    ]


def read(document: str) -> list[str]:
    """What a person reads of a document, or hears."""
    found: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            spoken = ("aria-label", "alt", "lang", "placeholder", "title")
            found.extend(value or "" for name, value in attributes if name in spoken)

        def handle_data(self, data: str) -> None:
            found.append(data)

    Reader(convert_charrefs=True).feed(document)
    return found


def test_every_word_is_there_and_used() -> None:
    used = {key for each in DOCUMENTS.values() for key in re.findall(r"{([\w.]+)}", each)}
    used.discard("root")  # the folder that the links of a page are relative to
    for name, script in SCRIPTS.items():
        if name != "words.js":
            calls = re.findall(r'\bsay\(("[\w.]+")?', script)
            assert all(calls), f"{name}: a key that is not written out cannot be looked up here"
            used |= {json.loads(key) for key in calls}
    assert used | {"language"} == set(WORDS)


def test_no_word_is_elsewhere() -> None:
    for name, document in DOCUMENTS.items():
        for text in read(document):
            assert not re.search("[a-zA-Z]", re.sub(r"{[\w.]+}", "", text)), f"{name}: {text}"
    for name, script in SCRIPTS.items():
        page, *programs = script.split("const snippets")  # programs are no words
        assert sentences(page) == [], name
        assert len(programs) == (name in ("carry.js", "curl.js"))
    assert not re.search(r'content: "\w', STYLE)


@pytest.mark.parametrize(
    "planted",
    [
        'el("p", {}, "Nothing taught yet")',
        "`Name of class ${item.label}`",
        'abstained ? "not sure" : label',
        'button("main", close, "Close")',
        "soft(`${percent(x)} likely by the others`)",
        '`${n ? "needs an example" : ""}`',
    ],
)
def test_a_sentence_in_a_script_is_seen(planted: str) -> None:
    looks = 'el("p", { class: "card class-card" });  // "Said to the reader"'
    assert len(sentences(f"{looks}\n{planted}")) == 1


def test_the_words_are_on_the_page_before_any_script_runs(client: Client) -> None:
    for path, title in {"/": "quickstudy", "/lab/blobs": "Lab – quickstudy"}.items():
        page = client.get(path)
        assert f"<title>{title}</title>" in page.text
        assert '<html lang="en">' in page.text
        assert "{" not in page.text
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert page.headers["cache-control"] == "no-cache"
        assert page.headers["etag"] == client.get(path).headers["etag"]
    assert WORDS["intro.lead"] in client.get("/").text
    assert client.get("/static/en.json").json() == WORDS


def test_words_are_counted_and_take_values_as_they_are(visit: Visit) -> None:
    said = visit().evaluate(
        """async () => {
          const { say } = await import("/static/words.js");
          const counted = [0, 1, 2].map((n) => say("class.removed_with", { n, label: "$& {n}" }));
          return [...counted, say("ask.title")];
        }"""
    )
    counts = ("0 examples.", "1 example.", "2 examples.")
    assert said == [*(f"Removed “$& {{n}}” and its {count}" for count in counts), "Ask"]
