"""Files and folders of texts, as users have them."""

from __future__ import annotations

import codecs
import gzip
import json
from pathlib import Path

import pytest

from quickstudy.encoders.text import Text
from quickstudy.errors import DataError, UserError
from quickstudy.inputs.files import labelled_files
from quickstudy.inputs.text_files import labelled_texts, query_texts
from quickstudy.inputs.texts import LABEL

WORDS = ["where is my parcel", 'he said "no", twice\nand left', "שלום, עולם 👋", "où est-il ?"]
LABELS = ["order", "talk", "greeting", "order"]
QUOTED = "".join(
    '"{}",{}\r\n'.format(text.replace('"', '""'), label)
    for text, label in zip(WORDS, LABELS, strict=True)
)
OBJECTS = [{"text": text, "label": label} for text, label in zip(WORDS, LABELS, strict=True)]


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


FILES: dict[str, str | bytes] = {
    "a.csv": f"text,label\r\n{QUOTED}\r\n\r\n",
    "bom.csv": codecs.BOM_UTF8 + f"Text,Label\n{QUOTED}".encode(),
    "utf16.csv": f"text,label\n{QUOTED}".encode("utf-16"),
    "a.csv.gz": gzip.compress(f"text,label\n{QUOTED}".encode()),
    "a.jsonl": "\r\n".join(json.dumps(o) for o in OBJECTS) + "\r\n\r\n",
    "lines.json": "\n".join(json.dumps(o, ensure_ascii=False) for o in OBJECTS),
    "a.json": json.dumps(OBJECTS, indent=1),
    "pairs.json": json.dumps(list(zip(WORDS, LABELS, strict=True))),
}


@pytest.mark.parametrize("name", FILES)
def test_every_form_of_file_gives_the_same(tmp_path, name):
    path = written(tmp_path, name, FILES[name])
    texts, labels = labelled_texts(path)
    assert [text for text, _ in texts] == WORDS
    assert labels == LABELS
    assert texts.notes == ()
    assert query_texts([path]) == texts


def test_another_column_is_the_label_and_the_text_is_told(tmp_path):
    path = written(
        tmp_path,
        "a.csv",
        "id;intent;utterance\n1;a;hello there\n2;b;a longer sentence, with a comma\n",
    )
    texts, labels = labelled_texts(path, "intent")
    assert ([t.text for t in texts], labels) == (
        ["hello there", "a longer sentence, with a comma"],
        ["a", "b"],
    )
    assert texts.notes == (
        "no column of a.csv is called text: 'utterance' is taken, as the only other one of words",
    )
    with pytest.raises(UserError, match=r"columns id, intent, utterance; give the name .*--target"):
        labelled_texts(path)
    with pytest.raises(UserError, match=r"no column 'intents'.*did you mean 'intent'"):
        labelled_texts(path, "intents")
    assert "the one with the longest texts" in query_texts([path]).notes[0]


def test_labels_may_be_numbers_and_targets_must(tmp_path):
    path = written(tmp_path, "a.jsonl", '{"text":"a","label":1}\n{"text":"b","label":2.5}')
    assert labelled_texts(path)[1] == ["1", "2.5"]
    assert labelled_texts(path, targets="regression")[1] == [1.0, 2.5]
    table = written(tmp_path, "a.csv", "text,label\na,1\nb,2\n")
    assert labelled_texts(table)[1] == ["1", "2"]
    assert labelled_texts(table, targets="regression")[1] == [1.0, 2.0]


def test_spans_come_with_their_texts(tmp_path):
    marked = [Text("Ada lives in Berlin", ((0, 3), (13, 19))), Text("Bob")]
    lines = '{"text":"Ada lives in Berlin","label":"x","spans":[[0,3],[13,19]]}\n' + (
        '{"text":"Bob","label":"y","spans":null}'
    )
    assert labelled_texts(written(tmp_path, "a.jsonl", lines))[0] == marked
    table = 'text,label,spans\nAda lives in Berlin,x,"[[0,3],[13,19]]"\nBob,y,\n'
    assert labelled_texts(written(tmp_path, "a.csv", table))[0] == marked
    wrong = written(tmp_path, "b.csv", "text,label,spans\nAda,x,0-3\n")
    with pytest.raises(UserError, match=r"received 0-3 in line 2 of .*b.csv"):
        labelled_texts(wrong)


def test_a_folder_of_class_folders(tmp_path):
    written(tmp_path, "order/1.txt", codecs.BOM_UTF8 + b"where is it\r\nand when?\r\n")
    written(tmp_path, "order/2.txt", "parcel")
    written(tmp_path, "order/.hidden.txt", "")
    written(tmp_path, "refund/1.TXT", "money back")
    written(tmp_path, "refund/notes.md", "no text")
    texts, labels = labelled_texts(tmp_path)
    assert [t.text for t in texts] == ["where is it\r\nand when?", "parcel", "money back"]
    assert labels == ["order", "order", "refund"]
    assert texts.notes == ("1 file(s) that are no .txt are passed over: refund/notes.md",)
    assert query_texts([tmp_path]) == texts
    written(tmp_path, "refund/2.txt", " \n")
    with pytest.raises(UserError, match=r"none in 1 of 2: .*refund/2.txt; write"):
        labelled_texts(tmp_path)


def test_a_folder_of_class_files(tmp_path):
    written(tmp_path, "order.txt", "where is it\r\n\r\n  parcel \r\n")
    written(tmp_path, "re\u0301fund.txt", "money back")
    texts, labels = labelled_texts(tmp_path)
    assert [t.text for t in texts] == ["where is it", "parcel", "money back"]
    assert labels == ["order", "order", "r\u00e9fund"]
    assert texts.where(1).startswith("line 3 of ")
    written(tmp_path, "more/1.txt", "a")
    with pytest.raises(UserError, match=r"not both; received the folder more and the file order"):
        labelled_texts(tmp_path)


def test_a_file_of_lines_is_queries(tmp_path):
    path = written(tmp_path, "a.txt", "one\u2028still one\n\n two \rthree")
    texts = query_texts([path])
    assert [t.text for t in texts] == ["one\u2028still one", "two", "three"]
    assert texts.where(1).startswith("line 3 of")
    other = written(tmp_path, "b.csv", "question\nwhat, where; and when?\nwho?\n")
    assert [t.text for t in query_texts([path, other])][3:] == ["what, where; and when?", "who?"]
    with pytest.raises(UserError, match="a text a line and no labels"):
        labelled_texts(path)
    with pytest.raises(UserError, match="hold a text a line; received none"):
        query_texts([written(tmp_path, "empty.txt", "\n\n")])


def test_a_long_text_is_read_whole(tmp_path):
    long = "a word, and " * 900_000
    texts, _ = labelled_texts(written(tmp_path, "a.csv", f'text,label\n"{long}x",a\nb,b\n'))
    assert len(texts[0].text) == len(long) + 1


WRONG = {
    "latin-1": ("text,label\nok,a\noù est-il,b\n".encode("latin-1"), "in line 3 .*'.*où est-il"),
    "empty": ("text,label\na,x\n ,y\n,z\n", "none in 2 of 3: line 3 of .*, line 4 of "),
    "no label": ("text,label\na,x\nb,\n", "needs a value of label.* in line 3 of"),
    "more cells": ("text,label\na, b,x\n", "as the header, 2; received 3 in line 2"),
    "header alone": ("text,label\n", "at least one row"),
}


@pytest.mark.parametrize("case", WRONG)
def test_faults_of_tables_are_told_with_their_line(tmp_path, case):
    content, words = WRONG[case]
    with pytest.raises(UserError, match=words):
        labelled_texts(written(tmp_path, "a.csv", content))


WRONG_JSON = {
    "broken line": ('{"text":"a","label":"x"}\n{"text":', "in line 2: "),
    "a number": ('{"text":"a","label":"x"}\n7', "received 7 in line 2 of"),
    "a number as text": (
        '{"text":7,"label":"x"}',
        "received 7 of type int in line 1 of .*write it",
    ),
    "no text": ('{"text":"a","label":"x"}\n\n{"label":"x"}', "none in 1 of 2: line 3 of"),
    "no label": ('{"text":"a","label":"x"}\n{"text":"b"}', "value of label.*in line 2"),
    "nothing": ("\n", "received none; write some"),
}


@pytest.mark.parametrize("case", WRONG_JSON)
def test_faults_of_json_are_told_with_their_line(tmp_path, case):
    content, words = WRONG_JSON[case]
    with pytest.raises(UserError, match=words):
        labelled_texts(written(tmp_path, "a.jsonl", content), LABEL)


def test_an_object_of_json_is_no_list(tmp_path):
    with pytest.raises(UserError, match="must be a JSON list of texts; received an object"):
        labelled_texts(written(tmp_path, "a.json", '{"texts": []}'))
    with pytest.raises(UserError, match="must hold JSON; received in line 2: "):
        labelled_texts(written(tmp_path, "b.json", '[\n"a",,]'))


def test_pictures_are_told_from_texts(tmp_path):
    photo = written(tmp_path, "cats/1.jpg", b"\xff\xd8\xff")
    with pytest.raises(UserError, match=r"received a picture; .*an encoder of pictures"):
        query_texts([photo])
    with pytest.raises(UserError, match=r"0 such .* among cats .for its pictures choose"):
        labelled_texts(tmp_path)
    with pytest.raises(UserError, match=r"folder without any .for its pictures choose"):
        query_texts([tmp_path])


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(DataError, match="no such file or folder; check the path"):
        labelled_texts(tmp_path / "none.csv")
    with pytest.raises(DataError, match="no such file; check the path"):
        query_texts([tmp_path / "none.csv"])
    with pytest.raises(UserError, match=r"received 0 such class.* among no files; sort"):
        labelled_texts(tmp_path)


def test_texts_are_told_from_pictures(tmp_path):
    table = written(tmp_path, "a.csv", "text,label\na,x\n")
    with pytest.raises(DataError, match=r"received a file; check the path, or for texts choose"):
        labelled_files(table)
    with pytest.raises(DataError, match=r"received no such folder; check the path\.$"):
        labelled_files(tmp_path / "none.csv")
