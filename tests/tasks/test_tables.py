import gzip

import pytest

from quickstudy.errors import DataError, UserError
from quickstudy.tasks.tables import read_tables, split_tables


def write(folder, name, target="target", rows=("1,a,x", "2,b,y", ",?,x")):
    text = "\n".join([f"width,colour,{target}", *rows]) + "\n"
    path = folder / name
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)


def test_a_folder_of_tables(tmp_path):
    write(tmp_path, "b.csv.gz")
    write(tmp_path, "a.csv")
    (tmp_path / "index.csv").write_text("name,family\na,leaves\n")
    (tmp_path / "schema.json").write_text('{"a": {"categorical": ["width"]}}')
    (tmp_path / "._a.csv").write_bytes(b"\0\5\x16\7 of macOS")
    a, b = read_tables(tmp_path)
    assert (a.name, a.family, b.name, b.family) == ("a", "leaves", "b", "b")
    assert b.columns == ("width", "colour")
    assert b.rows == (("1", "a"), ("2", "b"), ("", ""))
    assert b.y == ("x", "y", "x")
    assert a.numeric == (False, False)
    assert b.numeric == (True, False)


def test_what_columns_hold_may_be_said(tmp_path):
    write(tmp_path, "a.csv", rows=['"1,500",a,x', '"2,250",b,y'])
    write(tmp_path, "b.csv")
    with pytest.raises(UserError, match="column width holds numbers that may mean two values"):
        read_tables(tmp_path)
    (a, _) = read_tables(tmp_path, columns={"width": "comma", "length": "names"})
    assert (a.rows, a.numeric) == ((("1.5", "a"), ("2.25", "b")), (True, False))
    (tmp_path / "schema.json").write_text('{"a": {"columns": {"width": "numbers"}}}')
    assert read_tables(tmp_path, columns={"width": "names"})[0].rows[0] == ("1500.0", "a")
    (tmp_path / "schema.json").write_text('{"a": {"columns": {"width": "text"}}}')
    with pytest.raises(DataError, match="columns are numbers, comma, names"):
        read_tables(tmp_path)


def families(folder, sizes):
    lines = ["name,family"]
    for family, size in sizes.items():
        for number in range(size):
            write(folder, f"{family}{number}.csv")
            lines.append(f"{family}{number},{family}")
    (folder / "index.csv").write_text("\n".join(lines) + "\n")
    return read_tables(folder)


def test_families_stay_together_and_the_folds_have_each_once(tmp_path):
    tables = families(tmp_path, {"a": 2, "b": 1, "c": 3, "d": 1, "e": 1, "f": 1, "g": 2})
    seen = []
    for fold in range(3):
        splits = split_tables(tables, valid=0.2, test=1 / 3, seed=5, fold=fold)
        of = {split: {table.family for table in chosen} for split, chosen in splits.items()}
        assert sum(len(names) for names in of.values()) == len(set.union(*of.values())) == 7
        assert sum(len(chosen) for chosen in splits.values()) == len(tables)
        seen += sorted(of["test"])
    assert sorted(seen) == ["a", "b", "c", "d", "e", "f", "g"]
    assert split_tables(tables, seed=5) == split_tables(tables, seed=5)
    assert split_tables(tables, seed=5) != split_tables(tables, seed=6)
    assert set(split_tables(tables, valid=0, test=0)) == {"train"}


@pytest.mark.parametrize(
    "parts", [{"valid": 0.5, "test": 0.5}, {"valid": -0.1}, {"test": 0.5, "fold": 2}, {"fold": -1}]
)
def test_parts_that_are_none(tmp_path, parts):
    with pytest.raises(UserError, match="at least 0 and below 1 together"):
        split_tables(families(tmp_path, {"a": 1, "b": 1, "c": 1, "d": 1}), **parts)


def test_too_few_families(tmp_path):
    with pytest.raises(UserError, match="every split needs a family; received 1 in all"):
        split_tables(families(tmp_path, {"a": 3}))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["1,a,x", "2,b,x"], r"needs two classes or more; received 1 class"),
        (["1,a,x", "2,b,?", "3,c,y"], r"none in 1 row.* line 3 of .*, written '\?'"),
        ([",,x", "?,nan,y"], r"received missing ones only"),
    ],
)
def test_tables_that_cannot_be_learned(tmp_path, rows, words):
    write(tmp_path, "a.csv", rows=rows)
    with pytest.raises(UserError, match=words):
        read_tables(tmp_path)


def test_a_table_without_the_target(tmp_path):
    write(tmp_path, "a.csv", target="kind")
    with pytest.raises(UserError, match="needs the column 'target'"):
        read_tables(tmp_path)
    assert read_tables(tmp_path, target="kind")[0].columns == ("width", "colour")


def test_folders_that_hold_no_tables(tmp_path):
    with pytest.raises(UserError, match="holds no"):
        read_tables(tmp_path)
    with pytest.raises(DataError, match="must be a folder"):
        read_tables(tmp_path / "none")
    write(tmp_path, "a.csv")
    (tmp_path / "schema.json").write_text("[1]")
    with pytest.raises(DataError, match="JSON object"):
        read_tables(tmp_path)
    (tmp_path / "schema.json").unlink()
    (tmp_path / "index.csv").write_text("name,origin\na,b\n")
    with pytest.raises(UserError, match="needs the columns name and family"):
        read_tables(tmp_path)


def test_the_real_tables(data_dir):
    tables = read_tables(data_dir / "tabular")
    assert len(tables) == 69
    assert len({table.family for table in tables}) < 69
    by_name = {table.name: table for table in tables}
    assert not any(by_name["audiology"].numeric)
    assert len(by_name["iris"].rows) == len(by_name["iris"].y) == 150
