"""CSV files as programs and people write them."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from quickstudy.errors import UserError
from quickstudy.inputs.delimited import labelled_rows, read_rows, read_table
from quickstudy.inputs.frames import Reading
from quickstudy.inputs.rows import Categorical, Columns, Numeric
from quickstudy.inputs.target import classes_of, holds_numbers, values_of

BODY = "".join(f"{i}@x{i}@{'ab'[i % 2]}\n" for i in range(4))
WANT = [{"size": str(i), "note": f"x{i}", "y": "ab"[i % 2]} for i in range(4)]


def written(folder: Path, text: str, encoding: str = "utf-8") -> Path:
    path = folder / "t.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators(tmp_path: Path, separator: str) -> None:
    text = ("size@note@y\n" + BODY).replace("@", separator)
    assert read_rows(written(tmp_path, text)) == WANT
    said = f"sep={separator}\r\n" + text.replace("\n", "\r\n")
    table = read_table(written(tmp_path, said))
    assert list(table) == WANT
    assert table.lines == [3, 4, 5, 6]


def test_separators_are_counted_outside_quotes(tmp_path: Path) -> None:
    text = 'size;"note, in two, or\nthree, words";y\n1;"2;5";a\n'
    assert read_rows(written(tmp_path, text)) == [
        {"size": "1", "note, in two, or\nthree, words": "2;5", "y": "a"}
    ]
    of_decimals = "width, cm;height, cm;y\n1,5;2,5;a\n"
    assert list(read_rows(written(tmp_path, of_decimals))[0]) == ["width, cm", "height, cm", "y"]


def test_empty_columns_without_a_name_are_left_out(tmp_path: Path) -> None:
    assert read_rows(written(tmp_path, "a,y,,\n1,b,,\n2,c, ,\n"))[1] == {"a": "2", "y": "c"}
    with pytest.raises(UserError, match="received the column '' twice"):
        read_rows(written(tmp_path, "a,y,,\n1,b,,3\n2,c,4,\n"))


@pytest.mark.parametrize("mark", ["\u2028", "\u0085", "\x0b", "\x0c", "\x1c", "\x1d", "\x1e"])
def test_rows_end_at_line_ends_alone(tmp_path: Path, mark: str) -> None:
    rows = read_rows(written(tmp_path, f"a,y\none{mark}two,b\n"))
    assert rows == [{"a": f"one{mark}two", "y": "b"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_and_those_in_quotes(tmp_path: Path, end: str) -> None:
    table = read_table(written(tmp_path, f'a,y{end}"one{end}two",b{end}{end}3,c{end}'))
    assert table.column("a") == [f"one{end}two", "3"]
    assert table.lines == [3, 5]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_encodings_by_their_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    text = "größe,y\n1,ü\n"
    assert read_rows(written(tmp_path, text, encoding)) == [{"größe": "1", "y": "ü"}]
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(text.encode(encoding)))
    assert read_rows(tmp_path / "t.csv.gz") == [{"größe": "1", "y": "ü"}]


def test_encodings_that_are_not_said(tmp_path: Path) -> None:
    for text, encoding in (("größe,y\n1,ü\n", "latin-1"), ("size,y\n1,a\n", "utf-16-le")):
        with pytest.raises(UserError, match="in UTF-8, or in UTF-16 with a byte order mark"):
            read_rows(written(tmp_path, text, encoding))


def test_labels_are_stripped_and_numbers_are_one_however_written(tmp_path: Path) -> None:
    path = written(tmp_path, "v,y\n1,stays \n2, stays\n3,leaves\n")
    assert labelled_rows(path, "y", "classification")[1] == ["stays", "stays", "leaves"]
    path = written(tmp_path, "v,y\n1,0\n2,0.0\n3,1\n")
    rows, labels = labelled_rows(path, "y", "classification")
    assert labels == ["0", "0", "1"]
    assert rows.names == ("v",)


@pytest.mark.parametrize("targets", ["classification", "regression"])
@pytest.mark.parametrize("word", ["", " ", "NA", "none", "nan", "?"])
def test_a_missing_label_is_named_with_its_line(tmp_path: Path, targets: str, word: str) -> None:
    path = written(tmp_path, f"v,y\n1,1\n2,{word}\n3,2.5\n")
    with pytest.raises(UserError, match=r"a value of y; received none in 1 row\(s\).*line 3 of"):
        labelled_rows(path, "y", targets)


def test_a_class_may_be_called_none(tmp_path: Path) -> None:
    for word in ("none", "NA", "null"):
        rows = read_table(written(tmp_path, f"v,y\n1,mild\n2,{word}\n3,mild\n"))
        assert classes_of(rows, "y") == ["mild", word, "mild"]
        said = read_table(written(tmp_path, f"v,y\n1,mild\n2,{word}\n"), Reading.of(word))
        with pytest.raises(UserError, match=f"line 3 of .*, written '{word}'.*if '{word}' is a"):
            classes_of(said, "y")
    asked = read_table(written(tmp_path, "v,y\n1,?\n2,b\n"), Reading.of("-"))
    assert classes_of(asked, "y") == ["?", "b"]


def test_values_are_read_as_numbers_are_written(tmp_path: Path) -> None:
    path = written(tmp_path, "v;y\n1;1.500,5 €\n2;-2 €\n")
    assert labelled_rows(path, "y", "regression")[1] == [1500.5, -2.0]
    rows = read_table(path)
    assert holds_numbers(rows, "y")
    assert not holds_numbers(read_table(path, Reading.of(types={"y": "names"})), "y")
    path = written(tmp_path, "v,y\n1,3\n2,many\n")
    with pytest.raises(
        UserError, match=r"every value of y must be a finite number.*'many' in line 3"
    ):
        labelled_rows(path, "y", "regression")
    path = written(tmp_path, 'v,y\n1,"1,500"\n2,"2,250"\n')
    with pytest.raises(UserError, match="may mean two values"):
        values_of(read_table(path), "y")
    assert values_of(read_table(path, Reading.of(types={"y": "comma"})), "y") == [1.5, 2.25]


def test_a_column_that_a_file_lacks_is_named(tmp_path):
    """When a task is learned and when it is asked about; the order of the others is free."""
    columns = Columns({"size": Numeric(1.0, 1.0, 1.0), "plan": Categorical(("basic", "plus"))})
    path = tmp_path / "table.csv"
    path.write_text("plan,y,size\nbasic,a,1\nplus,b,2\n")
    rows, _ = columns.read_labelled(path, "y", "classification")
    assert columns(rows).tolist() == [[0, 1, 0], [1, 0, 1]]
    path.write_text("plan,y\nbasic,a\nplus,b\n")
    rows, _ = columns.read_labelled(path, "y", "classification")
    with pytest.raises(UserError, match=r"table.csv needs the columns size, plan; .*called size"):
        columns(rows)


def test_a_spreadsheet_is_told_as_one(tmp_path):
    for start in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1"):
        path = tmp_path / "table.csv"  # as renamed by hand
        path.write_bytes(start + bytes(500))
        with pytest.raises(UserError, match="received a spreadsheet or an archive; save the sheet"):
            read_table(path)
