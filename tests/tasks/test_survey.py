"""The columns of a table as they are understood, before anything is trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from quickstudy import tasks
from quickstudy.cli.main import main
from quickstudy.inputs.delimited import read_table
from quickstudy.inputs.frames import Reading
from quickstudy.tasks.survey import survey

HEADER = "customer;visits;plan;active;id;price;seen;same;note;churned"
LINES = [
    f"c{i % 2};{'' if i == 2 else f'{i},5'};{'NA' if i == 3 else 'plus'};{i % 3 == 0};a{i};"
    f"{'1,500' if i == 1 else 900};{'n.a.' if i == 0 else i};3;{'none' if i > 8 else ''};"
    f"{'yes' if i % 4 > 1 else 'no'}"
    for i in range(12)
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "customers.csv"
    path.write_text("\n".join([HEADER, *LINES]))
    return path


def test_what_is_understood_of_each_column(path: Path) -> None:
    found = {column.name: column for column in survey(read_table(path))}
    assert list(found) == HEADER.split(";")
    assert found["visits"][1:6] == (
        "numbers (decimal comma)",
        1,
        "0.5 to 11.5",
        "1 number, standardised",
        "refused",
    )
    assert found["plan"][1:6] == (
        "names",
        0,
        "2: plus (11), NA (1)",
        "2 numbers, one-hot",
        "2 classes",
    )
    assert found["active"][1:4] == ("truth values", 0, "2: False (8), True (4)")
    assert found["id"].note.startswith("the column id holds 12 different words in 12 rows; leave")
    assert found["note"][1:6] == ("names", 9, "1: none (3)", "1 number, one-hot", "refused")
    assert found["same"].note == "the column same is the same in all rows and tells nothing"
    assert (found["price"].holds, found["seen"].holds) == ("refused", "refused")
    assert "may mean two values; received '1,500'" in found["price"].note
    assert "received 'n.a.' in line 2" in found["seen"].note
    said = Reading.of("n.a.", {"price": "comma", "id": "names"})
    found = {column.name: column for column in survey(read_table(path, said))}
    assert found["price"][1:6:2] == ("numbers (decimal comma)", "1.5 to 900", "regression")
    assert found["seen"][1:4] == ("numbers", 1, "1 to 11")


def test_on_the_command_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "table", str(path)]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "note: the column id holds 12 different words" in out
    assert "refused: rows: the column price holds numbers that may mean two values" in out
    words = ["--target", "churned", "--task", "customer", "--missing", "n.a."]
    words += ["--columns.price", "comma"]
    sizes = ["--path", str(path), *words]
    assert main(["data", "table", *sizes]) == 2
    assert "usable groups of customer: every split" in capsys.readouterr().err
    assert main(["data", "glyphs", str(path)]) == 2
    assert "needs other options" in capsys.readouterr().err


def test_many_different_words_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    rows = [f"c{i % 8},u{i},{i % 7},{'ab'[i // 8 % 2]}" for i in range(96)]
    path.write_text("\n".join(["customer,user,day,y", *rows]))
    kind = tasks.table(path, target="y", task="customer").preprocess
    (note,) = kind.notes
    assert note.startswith("the column user holds 96 different words in 96 rows, of which 50 are")
