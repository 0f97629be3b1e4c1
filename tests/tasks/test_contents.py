"""A source tells what each split holds, and a run keeps it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small import (
    blobs,
    draw_classes,
    prototypical,
    quick,
    sinusoid,
    write_customers,
    write_tables,
)

from quickstudy.files.rundir import RunDirectory
from quickstudy.tasks import (
    SOURCES,
    Augmented,
    DigitsRuns,
    Episodes,
    GaussianProcess,
    GroupedRows,
    Quadratics,
    TablePrior,
    arrays,
    folder,
    table,
    tables,
)
from quickstudy.tasks import contents as contents_module
from quickstudy.tasks.contents import COMPUTED, Contents, marks_of_rows


@pytest.mark.parametrize(
    "source", [sinusoid(), GaussianProcess(), Quadratics(), TablePrior(), Augmented(sinusoid())]
)
def test_computed_tasks_say_that_nothing_can_change(source: Any) -> None:
    assert source.contents() == COMPUTED
    assert Contents.from_json(json.loads(json.dumps(COMPUTED.to_json()))) == COMPUTED


def test_classes_of_pictures_are_known_by_the_bytes_of_their_files(tmp_path: Path) -> None:
    draw_classes(tmp_path / "c", 8, 3)
    one, small = (folder(tmp_path / "c", size=size).contents() for size in (12, 8))
    assert one == small
    assert [len(names) for names in one.splits.values()] == [4, 2, 2]
    (tmp_path / "c/class00/0.png").write_bytes((tmp_path / "c/class01/0.png").read_bytes())
    other = folder(tmp_path / "c", size=12).contents()
    changed = {
        name
        for split, names in one.splits.items()
        for name, each in names.items()
        if other.splits[split][name] != each
    }
    assert changed == {"class00"}
    assert other.fingerprint != one.fingerprint


def test_rows_are_known_whatever_their_order_and_that_of_the_columns(tmp_path: Path) -> None:
    names = [f"c{i:02d}" for i in range(12)]
    path = write_customers(tmp_path / "t.csv", names)
    read = lambda: table(path, target="y", task="customer", n_shot=1)  # noqa: E731
    contents = read().contents()
    assert isinstance(read(), GroupedRows)
    assert contents.unit == "group"
    assert sorted(n for split in contents.splits.values() for n in split) == names
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *reversed(rows)]))
    other = read().contents()
    assert other.fingerprint == contents.fingerprint
    assert other.order != contents.order
    assert marks_of_rows(["a", "b"], [["1", "2"]]) == marks_of_rows(["b", "a"], [["2 ", "1"]])
    assert marks_of_rows(["a", "b"], [["1", "2"]]) != marks_of_rows(["b", "a"], [["1", "2"]])


def test_tables_are_known_by_their_rows(tmp_path: Path) -> None:
    path = write_tables(tmp_path / "tables", list("abcdefgh"))
    contents = tables(path, n_support=(2, 4)).contents()
    assert contents.unit == "table"
    assert sorted(n for split in contents.splits.values() for n in split) == list("abcdefgh")


def test_labels_of_one_text_are_told_apart() -> None:
    X = np.arange(16.0).reshape(8, 2)
    contents = arrays(X, [1, "1", 2, "2", 1, "1", 2, "2"], valid=0).contents()
    assert sorted(n for split in contents.splits.values() for n in split) == [
        *("'1'", "'2'"),
        *("1", "2"),
    ]


def test_published_data_are_known_by_their_names() -> None:
    glyphs = SOURCES["glyphs"]()
    contents = Episodes(glyphs, n_way=2).contents()
    assert contents.fixed
    assert list(contents.splits["test"]) == list(glyphs.pools["test"].names)
    assert "digests" not in contents.to_json()["splits"]["train"]
    runs = DigitsRuns(n_shot=4, n_query=4).contents()
    assert [each.n for each in runs.splits["test"].values()] == [400, 100]


def test_a_run_keeps_what_its_splits_held(tmp_path: Path) -> None:
    source = blobs()
    quick(source, prototypical(source), tmp_path / "run")
    record = RunDirectory(tmp_path / "run").read()
    assert record["data"]["splits"]["test"]["names"] == list(source.data.pools["test"].names)
    assert Contents.from_json(record["data"]) == source.contents()


def test_of_very_many_names_a_digest_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contents_module, "MANY", 59)
    contents = blobs().contents()
    data = contents.to_json()
    assert "names" not in data["splits"]["train"]
    again = Contents.from_json(data)
    assert again.splits is None
    assert again.digests == contents.digests
    assert again.fingerprint == contents.fingerprint
    assert again.to_json() == data
