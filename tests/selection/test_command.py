"""quickstudy select, from the tables to the answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made import collection, made, written

from quickstudy.cli.main import main
from quickstudy.selection import Selected

PROTOCOL = [
    "--protocol.n-splits", "1", "--protocol.max-splits", "1", "--protocol.folds", "2",
    "--protocol.max-support", "30",
]  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("select")
    tables = written(place / "tables", collection())
    words = ["select", "--train", str(tables), "--out", str(place / "run"), "--folds", "2"]
    assert main([*words, *PROTOCOL, "--training.steps", "50"]) == 0
    return place / "run"


def said(capsys: pytest.CaptureFixture[str], words: list[str], code: int = 0) -> str:
    capsys.readouterr()
    assert main(["select", *words]) == code
    out = capsys.readouterr()
    return out.out if code == 0 else out.err


@pytest.fixture
def support(tmp_path: Path) -> Path:
    return written(tmp_path / "mine", [made("ring", 7, 40)]) / "ring7.csv"


def test_what_is_learned(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert {path.name for path in run.iterdir()} == {
        "selector.safetensors", "judged.json", "scores", "gap_closed.svg", "gap_closed.json",
        "choices.svg", "choices.json",
    }  # fmt: skip
    found = json.loads((run / "judged.json").read_text())
    assert {"methods", "by_table", "date", "command", "machine", "cpu_minutes"} <= set(found)
    assert found["command"].startswith("quickstudy select --train")
    words = ["--train", str(run.parent / "tables"), "--out", str(run.parent / "again")]
    words += [*PROTOCOL, "--store", str(run / "scores"), "--training.steps", "50"]
    out = said(capsys, [*words, "--folds", "2"])
    assert "policy gradient" in out
    assert "learned from 4 tables: 0.0 CPU minutes of measuring" in out
    again = json.loads((run.parent / "again" / "judged.json").read_text())
    assert again["methods"] == found["methods"]
    out = said(capsys, [*words[:-2], "--out", str(run.parent / "third"), "--folds", "0", "--json"])
    assert "methods" not in json.loads(out)


def test_choosing_predicting_and_going_on(
    run: Path, support: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    query = tmp_path / "rows.csv"
    query.write_text("".join(support.read_text().splitlines(keepends=True)[:4]))
    mine = tmp_path / "mine.algorithm"
    words = [str(run), "--support", str(support), "--query", str(query), "--out", str(mine)]
    lines = said(capsys, words).splitlines()
    starts = [line.split(":")[0] for line in lines if ":" in line]
    assert starts[:2] == ["chosen", "runner-up"]
    assert "cost" in starts
    answers = [line for line in lines if line.startswith("row ")]
    assert len(answers) == 3
    assert said(capsys, [str(mine), "--query", str(query)]).splitlines() == answers
    found = json.loads(said(capsys, [*words, "--json"]))
    assert [f"row {i + 1}\t{label}" for i, label in enumerate(found["answers"])] == answers
    assert found["chosen"] == Selected.load(mine).name
    assert said(capsys, [str(mine)]).splitlines()[0] == lines[0]


def test_rows_as_people_write_them(
    run: Path, support: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file of a spreadsheet, with decimal commas and an id."""
    header, *rows = [line.split(",") for line in support.read_text().splitlines()]
    table = [";".join([*header, "id"])]
    table += [";".join([*(c.replace(".", ",") for c in r), f"u{i}"]) for i, r in enumerate(rows)]
    mine = tmp_path / "mine.csv"
    mine.write_bytes("sep=;\r\n".encode("utf-16") + "\r\n".join(table).encode("utf-16-le"))
    words = [str(run), "--support", str(mine)]
    assert "note: the column id holds 40 different words in 40 rows" in said(capsys, words)
    found = json.loads(said(capsys, [*words, "--json"]))["features"]
    assert found["categorical"] == 2 / 8  # one of the table, and the id
    text = support.read_text().replace(",yes", ",", 1)
    mine.write_text(text)
    line = next(i for i, row in enumerate(text.splitlines(), 1) if row.endswith(","))
    assert f"the first in line {line} of {mine}" in said(capsys, words, 2)
    mine.write_text(support.read_text().replace(rows[0][0], "n.a.", 1))
    assert "received 'n.a.' in line 2" in said(capsys, words, 2)
    said(capsys, [*words, "--missing", "n.a."])


def test_bad_usage(
    run: Path, support: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, message in (
        ([], "received neither"),
        ([str(run), "--train", "x"], "received both"),
        (["--train", "x"], "give --out runs/selector"),
        ([str(run)], "give --support rows.csv"),
        ([str(run), "--support", str(support), "--target", "c99"], "has no column 'c99'"),
        ([str(run), "--support", str(support), "--folds", "3"], "received --folds"),
        ([str(run), "--training.steps", "3"], "received --training.steps"),
        (["--train", "x", "--out", "y", "--support", str(support)], "received --support"),
        ([str(support), "--query", str(support), "--out", "y"], "received --out"),
    ):
        assert message in said(capsys, words, 2)
    assert "no such file" in said(capsys, [str(tmp_path / "none")], 3)
    constant = tmp_path / "constant.csv"
    constant.write_text("v,target\n1,a\n2,a\n")
    assert "two classes or more" in said(capsys, [str(run), "--support", str(constant)], 2)
    store = ["--train", str(run.parent / "tables"), "--out", str(tmp_path / "out")]
    store += ["--store", str(run / "scores")]
    assert "measured with another protocol" in said(capsys, store, 3)
