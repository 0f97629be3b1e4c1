"""The split of a run is used again when its data changed, or what changed is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from small import Watched, draw_classes, write_customers, write_tables

from quickstudy import UserError
from quickstudy.catalog import build_tasks
from quickstudy.tasks import (
    Contents,
    Episodes,
    Recorded,
    Sinusoid,
    TaskSource,
    arrays,
    folder,
    table,
    tables,
)
from quickstudy.tasks.recorded import record_of

NAMES = [f"c{i:02d}" for i in range(12)]
Make = Callable[..., TaskSource]


class Kept:
    """A kind of data in a folder, of which names can be added, taken away and changed."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.path = kind, folder / "data"
        self.write(NAMES)

    def write(self, names: Iterable[str], scale: float = 1.0) -> None:
        names = list(names)
        if self.kind == "folder":
            shutil.rmtree(self.path, ignore_errors=True)
            for name in names:
                (self.path / name).mkdir(parents=True)
                for i in range(4):
                    rng = np.random.default_rng([i, *name.encode()])
                    grey = rng.integers(256, size=(6, 6))
                    Image.fromarray(grey.astype(np.uint8)).save(self.path / name / f"{i}.png")
        elif self.kind == "tables":
            shutil.rmtree(self.path, ignore_errors=True)
            write_tables(self.path, names)
        else:
            write_customers(self.path, names, scale)

    def source(self, recorded: Recorded | None = None) -> TaskSource:
        match self.kind:
            case "folder":
                data = folder(self.path, size=6, recorded=recorded)
            case "classes":
                data = table(self.path, target="customer", recorded=recorded)
            case "groups":
                made = table(self.path, target="y", task="customer", n_shot=1, recorded=recorded)
                assert isinstance(made, TaskSource)
                return made
            case "tables":
                return tables(self.path, n_support=(2, 4), n_query=2, recorded=recorded)
            case _:
                rows = [line.split(",") for line in self.path.read_text().splitlines()[1:]]
                X = np.array([[float(row[1]), float(row[2] == "a")] for row in rows])
                data = arrays(X, [row[0] for row in rows], recorded=recorded)
        assert not isinstance(data, TaskSource)
        return Episodes(data, n_way=2, n_shot=1, n_query=2)


KINDS = ("folder", "classes", "groups", "tables", "arrays")


@pytest.fixture(params=KINDS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Kept:
    return Kept(request.param, tmp_path)


def recorded_of(source: TaskSource, **more: Any) -> Recorded:
    contents = source.contents()
    assert contents is not None
    data = json.loads(json.dumps(contents.to_json()))
    return Recorded("run r", Contents.from_json(data), source.preprocess, **more)


def names_of(source: TaskSource, split: Any) -> list[str]:
    contents = source.contents()
    assert contents is not None
    assert contents.splits is not None
    return list(contents.splits[split])


def same_tasks(one: TaskSource, other: TaskSource) -> bool:
    return all(
        torch.equal(a, b)
        for split in ("train", "valid", "test")
        for i in range(5)
        for part in zip(one.task(split, i), other.task(split, i), strict=True)
        for a, b in zip(*part, strict=True)
    )


def test_data_that_did_not_change_are_the_same(kept: Kept) -> None:
    before = kept.source()
    recorded = recorded_of(before)
    after = kept.source(recorded)
    assert recorded.notes(after) == []
    assert recorded.notes(before) == []
    assert same_tasks(before, after)


def test_what_is_new_is_left_out_and_said(kept: Kept) -> None:
    before = kept.source()
    recorded = recorded_of(before)
    kept.write(["a0", *NAMES])
    dealt_anew, after = kept.source(), kept.source(recorded)
    assert not same_tasks(before, dealt_anew)
    assert same_tasks(before, after)
    (note,) = recorded.notes(after)
    assert note.startswith("new ")
    assert note.endswith("are left out: a0")
    # Classes of meta-training that became ones of meta-test are not used in silence.
    with pytest.raises(UserError, match=r"the data must be those .* meta-test .* recorded=quick"):
        recorded.notes(dealt_anew)


def test_what_is_new_is_put_to_meta_test_where_asked(kept: Kept) -> None:
    before = kept.source()
    recorded = recorded_of(before, needs=("train", "valid", "test"), new_classes="test")
    kept.write(["a0", *NAMES])
    after = kept.source(recorded)
    for split in ("train", "valid"):
        assert names_of(after, split) == names_of(before, split)
    assert names_of(after, "test") == [*names_of(before, "test"), "a0"]
    (note,) = recorded.notes(after)
    assert note.endswith("are put to meta-test: a0")


def test_what_is_missing_is_named_or_refused(kept: Kept) -> None:
    before = kept.source()
    first = {split: names_of(before, split)[0] for split in ("train", "test")}
    kept.write(name for name in NAMES if name != first["test"])
    with pytest.raises(UserError, match=f"meta-test lacks {first['test']}; bring"):
        kept.source(recorded_of(before))
    kept.write(name for name in NAMES if name != first["train"])
    after = kept.source(recorded := recorded_of(before))
    assert recorded.notes(after) == [f"not used here: meta-train lacks {first['train']}"]
    assert names_of(after, "test") == names_of(before, "test")
    with pytest.raises(UserError, match=f"meta-train lacks {first['train']}; bring"):
        kept.source(recorded_of(before, needs=("train", "valid")))
    if kept.kind != "tables":
        task, again = before.task("test", 0), after.task("test", 0)
        torch.testing.assert_close(task.query.x, again.query.x, rtol=0, atol=0)


def test_another_name_is_told_from_another_class(tmp_path: Path) -> None:
    kept = Kept("folder", tmp_path)
    before = kept.source()
    name = names_of(before, "train")[0]
    (kept.path / name).rename(kept.path / "a0")
    recorded = recorded_of(before)
    said = recorded.notes(kept.source(recorded))
    assert said == [f"not used here: meta-train calls {name} a0 now"]
    with pytest.raises(UserError, match=f"meta-train calls {name} a0 now; bring"):
        kept.source(recorded_of(before, needs=("train", "valid", "test"), new_classes="test"))


@pytest.mark.parametrize("kind", ["classes", "groups"])
def test_rows_that_changed_are_named(kind: str, tmp_path: Path) -> None:
    kept = Kept(kind, tmp_path)
    before = kept.source()
    name = names_of(before, "test")[0]
    with kept.path.open("a") as file:
        file.write(f"{name},3,a\n")
    with pytest.raises(UserError, match=rf"meta-test has other examples in {name} \(9 .* had 8\)"):
        kept.source(recorded_of(before))


@pytest.mark.parametrize("kind", ["classes", "groups", "arrays"])
def test_another_unit_is_refused(kind: str, tmp_path: Path) -> None:
    kept = Kept(kind, tmp_path)
    before = kept.source()
    kept.write(NAMES, scale=2.54)
    with pytest.raises(UserError, match=r"meta-test has other values in all its 2 .*unit"):
        kept.source(recorded_of(before))
    if kind != "arrays":
        with pytest.raises(UserError, match=r"the column size has a mean of .*, and had "):
            kept.source(recorded_of(before))


def test_columns_keep_their_statistics_and_their_order(tmp_path: Path) -> None:
    """What is not used may differ: the statistics are those that the model was trained with."""
    kept = Kept("classes", tmp_path)
    before = kept.source()
    recorded = recorded_of(before)
    name = names_of(before, "train")[0]
    lines = kept.path.read_text().splitlines()
    turned = [",".join(reversed(line.split(","))) for line in lines]
    kept.path.write_text("\n".join([*turned, f"a,1000000,{name}"]) + "\n")
    after = kept.source(recorded)
    assert after.preprocess == before.preprocess != kept.source().preprocess
    task, again = before.task("test", 0), after.task("test", 0)
    assert torch.equal(task.query.x, again.query.x)
    kept.path.write_text("\n".join(line + ",1" for line in [*lines[:1], *lines[1:]]) + "\n")
    with pytest.raises(UserError, match=r"run r: the table must have the columns .* away 1"):
        kept.source(recorded)


def test_another_order_is_said(tmp_path: Path) -> None:
    kept = Kept("groups", tmp_path)
    recorded = recorded_of(kept.source())
    header, *rows = kept.path.read_text().splitlines()
    kept.path.write_text("\n".join([header, *reversed(rows)]) + "\n")
    (note,) = recorded.notes(kept.source(recorded))
    assert "in another order" in note


def test_a_class_that_was_moved_to_another_split_is_refused(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("test", 4)):
        draw_classes(tmp_path / "all", 8, 3)
        (tmp_path / "d" / split).mkdir(parents=True)
        for i in range(first, first + 4):
            shutil.move(tmp_path / f"all/class{i:02d}", tmp_path / "d" / split)
        shutil.rmtree(tmp_path / "all")
    read = lambda recorded=None: Episodes(  # noqa: E731
        folder(tmp_path / "d", size=6, recorded=recorded), n_way=2, n_query=1
    )
    before = read()
    shutil.move(tmp_path / "d/train/class00", tmp_path / "d/test")
    with pytest.raises(UserError, match="received class00 in test instead of train; move it back"):
        read(recorded_of(before))


def test_many_names_are_compared_by_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("quickstudy.tasks.contents.MANY", 11)
    kept = Kept("groups", tmp_path)
    before = kept.source()
    recorded = recorded_of(before)
    assert recorded.notes(kept.source(recorded)) == []
    kept.write(["a0", *NAMES])
    with pytest.raises(UserError, match="which the record does not name"):
        recorded.notes(kept.source(recorded))


def test_data_of_packages_that_differ_are_answered_with_other_tasks(tmp_path: Path) -> None:
    kept = Kept("classes", tmp_path)
    source = kept.source()
    published = Episodes(replace(source.data, fixed=True), n_way=2, n_query=2)
    record = json.loads(json.dumps(record_of(published)))  # as of a run that ships
    for split in record["data"]["splits"].values():
        del split["names"], split["examples"]
    recorded = Recorded.in_record(record, "run r", ("test",))
    assert recorded.notes(published) == []
    pools = dict(published.data.pools)
    pools["test"] = pools["valid"]
    others = Episodes(replace(published.data, pools=pools), n_way=2, n_query=2)
    with pytest.raises(
        UserError, match=r"which the record does not name.*of your own \(--tasks.name"
    ):
        recorded.notes(others)


def test_data_that_are_drawn_otherwise_are_told(tmp_path: Path) -> None:
    kept = Kept("classes", tmp_path)
    source = kept.source()
    drawn = Episodes(replace(source.data, about={"sha256": "a"}), n_way=2, n_query=2)
    recorded = Recorded.in_record(json.loads(json.dumps(record_of(drawn))), "run r", ("test",))
    assert recorded.notes(drawn) == []
    otherwise = Episodes(replace(source.data, about={"sha256": "b"}), n_way=2, n_query=2)
    (note,) = recorded.notes(otherwise)
    assert "drawn otherwise here" in note


def test_a_run_that_keeps_nothing_of_its_data_says_so(tmp_path: Path) -> None:
    kept = Kept("classes", tmp_path)
    source = kept.source()
    counts = source.describe()["classes"]
    old = Recorded("run r", None, source.preprocess, counts=counts, untold="was begun by x")
    (note,) = old.notes(kept.source(old))
    assert note == "run r was begun by x: whether they are the same cannot be known"
    kept.write(["a0", *NAMES])
    (note,) = old.notes(kept.source(old))
    assert "they are not" in note
    assert "meta-test" in note
    assert Recorded("run r", None).notes(Sinusoid()) == []
    assert isinstance(source, Episodes)
    published = Episodes(replace(source.data, fixed=True), n_way=2, n_query=2)
    assert Recorded("run r", None).notes(published) == []
    with pytest.raises(UserError, match="new classes are put to meta-test where the record"):
        Recorded("run r", None, new_classes="test").notes(source)


def test_a_copy_of_a_class_is_told_from_a_new_one(tmp_path: Path) -> None:
    kept = Kept("folder", tmp_path)
    before = kept.source()
    name = names_of(before, "train")[0]
    shutil.copytree(kept.path / name, kept.path / "a0")
    recorded = recorded_of(before, needs=("train", "valid", "test"), new_classes="test")
    assert recorded.notes(kept.source(recorded)) == [
        "new classes are put to meta-test: a0",
        f"a0, which is new, has the very examples of {name} in meta-train",
    ]


def test_the_record_of_a_run_is_no_option(tmp_path: Path) -> None:
    spec = {"name": "table", "path": str(tmp_path), "target": "y", "recorded": "run"}
    with pytest.raises(UserError, match="unknown option 'recorded'"):
        build_tasks(spec)


def test_a_run_of_tasks_that_tell_nothing_says_so(tmp_path: Path) -> None:
    source = Kept("arrays", tmp_path).source()
    silent = Watched(source, lambda split, index, task: task)
    for record, said in (
        ({"data": None}, "run r is of tasks that do not tell what they hold: whether"),
        ({"version": "0.1.0"}, "run r was begun by quickstudy 0.1.0, which kept no record"),
        ({}, "run r was begun by an earlier quickstudy"),
    ):
        (note,) = Recorded.in_record(record, "run r", ["test"]).notes(source)
        assert note.startswith(said)
    (note,) = recorded_of(source).notes(silent)
    assert "do not tell what they hold" in note


def test_copies_within_the_data_of_a_run_are_its_own() -> None:
    """A class of meta-test that equals one of meta-train was there when the run was made."""
    rng = np.random.default_rng(0)
    X = np.tile(rng.normal(size=(4, 3)).astype(np.float32), (12, 1))  # every class is the same
    names = np.repeat(NAMES, 4)
    tasks = Episodes(arrays(X, names), n_way=2, n_shot=1, n_query=1)
    recorded = Recorded("run", tasks.contents())
    assert recorded.trained_on(tasks, "test") == []
    others = Episodes(arrays(X, np.char.add("new", names)), n_way=2, n_shot=1, n_query=1)
    assert len(recorded.trained_on(others, "test")) >= 2
