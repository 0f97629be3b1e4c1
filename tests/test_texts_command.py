"""Texts on the command line: adapting to files of them, asking in words, explaining, training."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from words import known_words

from quickstudy.cli.main import main

ROWS = {
    "order": ["where is my parcel", "my parcel is late", "is the parcel here"],
    "refund": ["give my money back", "refund the money", "I want the money"],
}


@pytest.fixture(autouse=True)
def in_a_folder(monkeypatch, tmp_path):
    known_words(monkeypatch, tmp_path / "cache")
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def task(tmp_path, capsys):
    lines = [f"{text},{label}" for label, texts in ROWS.items() for text in texts]
    Path("intents.csv").write_text("\n".join(["text,label", *lines]))
    adapt("intents.csv")
    return "mine.task"


def adapt(support: str, *options: str) -> int:
    words = ["--encoder", "words", "--support", support, "--out", "mine.task", *options]
    return main(["adapt", *words])


def printed(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_texts_are_asked_about_in_words_and_in_files(task, capsys):
    Path("q.txt").write_text("parcel!\r\n\r\nmoney, money\n")
    printed(capsys)
    assert main(["predict", task, "the parcel", "q.txt"]) == 0
    answers = [line.split("\t")[:2] for line in printed(capsys).splitlines()]
    assert answers == [["the parcel", "order"], ["parcel!", "order"], ["money, money", "refund"]]
    assert main(["predict", task, "--text", "q.txt", "--json"]) == 0
    (row,) = json.loads(printed(capsys))
    assert row["input"] == "q.txt"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["none.csv"], "received no such file"),
        (["photo.jpg"], "received no such file"),
        ([], "needs something to predict; received no input"),
        (["a", "--text", "b"], "stands in place of files and words; received 'a' too"),
        (["  "], "needs at least one letter"),
    ],
)
def test_words_that_are_no_texts_are_refused(task, capsys, words, message):
    assert main(["predict", task, *words]) != 0
    assert message in capsys.readouterr().err


def test_an_answer_is_explained_by_its_words(task, capsys):
    printed(capsys)
    question = "where is the parcel, or the money?"
    assert main(["explain", task, question, "--pictures", "why"]) == 0
    said = printed(capsys)
    assert "words for it:" in said
    assert "against it:" in said
    assert Path("why/words.svg").is_file()
    assert main(["explain", task, "--text", question, "--json"]) == 0
    (found,) = json.loads(printed(capsys))
    assert [word["text"] for word in found["words"]["words"]][:2] == ["where", "is"]
    assert main(["explain", task, "a/b: ..?", "parcel", "--pictures", "more"]) == 0
    assert {each.name for each in Path("more").iterdir()} == {"1 a_b", "2 parcel"}


def test_what_is_unusual_is_said(capsys):
    Path("t").mkdir()
    for label, texts in ROWS.items():
        Path(f"t/{label}.txt").write_text("\n".join([*texts, texts[0], "one " * 60]))
    Path("t/more.md").write_text("a")
    assert adapt("t") == 0
    said = printed(capsys)
    assert "note: 1 file(s) that are no .txt are passed over: more.md" in said
    assert "note: 2 of 10 text(s) are longer than the 40 tokens" in said
    assert "note: 3 text(s) are there more than once" in said
    assert "note: 1 of them have more than one label" in said
    assert "no pictures" not in said


def test_texts_are_trained_on(capsys):
    lines = [f"please c{i} c{i} {n},c{i}" for i in range(10) for n in range(6)]
    Path("many.csv").write_text("\n".join(["question,intent", *lines]))
    tasks = ["--tasks", "texts", "--tasks.path", "many.csv", "--tasks.encoder", "words"]
    tasks += ["--tasks.target", "intent", "--n-way", "2", "--n-shot", "2", "--n-query", "2"]
    few = ["--steps", "3", "--valid-tasks", "3", "--meta-batch", "2"]
    learner = ["--learner", "PrototypicalNetwork"]
    assert main(["train", *learner, *tasks, *few, "--out", "run"]) == 0
    assert "'question' is taken" in "".join(capsys.readouterr())
    assert main(["estimate", *learner, *tasks, *few]) == 0
    assert "note: no column of many.csv is called text" in printed(capsys)
    assert main(["evaluate", "run", "--n-tasks", "5"]) == 0
    assert main(["adapt", "run", "--support", "many.csv", "--target", "intent", "--out", "a"]) == 0
    assert main(["predict", "a", "c3 please"]) == 0
    assert printed(capsys).splitlines()[-1].startswith("c3 please\tc3")
