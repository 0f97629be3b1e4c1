from shutil import rmtree

import numpy as np
import pytest
from PIL import Image

from quickstudy.cli.main import main
from quickstudy.errors import DataError, UserError
from quickstudy.tasks.episodes import Episodes
from quickstudy.tasks.folder import folder


def draw(path, n=6, level=0):
    """n grey pictures of different sizes in a class folder."""
    path.mkdir(parents=True)
    for i in range(n):
        Image.new("RGB", (20 + i, 30), (level, 10 * i, 0)).save(path / f"{i}.png")


@pytest.fixture
def flat(tmp_path):
    root = tmp_path / "pets"
    for i in range(12):
        draw(root / f"class{i:02}", level=20 * i)
    return root


def test_class_folders_are_split(flat):
    (flat / ".hidden").mkdir()
    (flat / "class00" / ".DS_Store").write_text("x")
    for leftover in ("thumbs.db", "Desktop.ini", "._0.png", "~$0.png", "EHTHUMBS.DB", "Icon\r"):
        (flat / "class00" / leftover).write_text("x")
    for leftover in ("__MACOSX", "class00/@eaDir", "#recycle", "$RECYCLE.BIN"):
        draw(flat / leftover / "class00")
    (flat / "README.txt").write_text("about")
    data = folder(flat, size=16, mode="RGB")
    names = [name for pool in data.pools.values() for name in pool.names]
    assert sorted(names) == [f"class{i:02}" for i in range(12)]
    assert data.name == "pets"
    for pool in data.pools.values():
        assert pool.x.shape[1:] == (3, 16, 16)
        assert (pool.counts == 6).all()
        for number, name in enumerate(pool.names):
            assert (pool.x[pool.y == number][:, 0] == 20 * int(name[5:])).all()
    task = Episodes(data, n_way=2, n_query=3).task("test", 0)
    assert task.support.x.shape == (2, 3, 16, 16)
    np.testing.assert_array_equal(
        data.preprocess(flat / "class03" / "4.png"),
        next(
            p.x[p.y == p.names.index("class03")][4]
            for p in data.pools.values()
            if "class03" in p.names
        ),
    )


@pytest.mark.parametrize(
    ("train", "valid", "test"),
    [
        ("train", "valid", "test"), ("Train", "Val", "Test"), ("training", "validation", "testing"),
        ("TRAIN", "Dev", "TEST"),
    ],
)  # fmt: skip
def test_split_folders_are_the_splits(tmp_path, train, valid, test):
    for split, classes in ((train, "abc"), (valid, "de"), (test, "fg")):
        for name in classes:
            draw(tmp_path / split / name)
    pools = folder(tmp_path).pools
    assert {split: list(pool.names) for split, pool in pools.items()} == {
        "train": ["a", "b", "c"], "valid": ["d", "e"], "test": ["f", "g"],
    }  # fmt: skip
    assert pools["test"].x.shape == (12, 1, 28, 28)


def test_a_class_in_two_splits(tmp_path):
    draw(tmp_path / "train" / "cat")
    draw(tmp_path / "test" / "cat")
    with pytest.raises(UserError, match=r"'cat' in test and train|'cat' in train and test"):
        folder(tmp_path)
    draw(tmp_path / "val" / "dog")
    draw(tmp_path / "valid" / "bird")
    with pytest.raises(UserError, match="two folders for one split"):
        folder(tmp_path)


def test_a_split_that_is_missing_is_taken_out_of_train(tmp_path):
    for split, classes in (("train", "abcdefgh"), ("test", "xy")):
        for name in classes:
            draw(tmp_path / split / name)
    pools = folder(tmp_path, valid=0.25).pools
    assert [len(pools[split].names) for split in ("train", "valid", "test")] == [6, 2, 2]
    assert {*pools["train"].names, *pools["valid"].names} == {*"abcdefgh"}
    assert folder(tmp_path, valid=0.25).pools["valid"].names == pools["valid"].names
    assert list(folder(tmp_path, valid=0).pools) == ["train", "test"]
    rmtree(tmp_path / "test")
    assert list(folder(tmp_path).pools) == ["train", "valid"]
    with pytest.raises(
        UserError, match="to take meta-valid from: every split needs at least 2; received"
    ):
        folder(tmp_path, valid=0.9)


def test_where_no_class_can_be_spared_there_is_no_meta_valid(tmp_path):
    """Training goes on to its end, and says that nothing was validated."""
    for name in "abc":
        draw(tmp_path / "train" / name)
    data = folder(tmp_path)
    assert list(data.pools) == ["train"]
    assert "there is no meta-valid: none of the 3 classes" in data.about["notes"][0]
    words = "train --tasks folder --n-way 2 --n-shot 1 --n-query 1 --net.hidden 4 --steps 1"
    place = ["--tasks.path", str(tmp_path), "--out", str(tmp_path / "run")]
    assert main([*words.split(), *place]) == 0


def test_folders_that_are_called_as_splits(tmp_path):
    """A class may be called train; what stands beside splits is named, and nothing is to go."""
    for name in ("train", "bus", "car", "bike", "boat", "plane"):
        draw(tmp_path / "traffic" / name)
    pools = folder(tmp_path / "traffic").pools.values()
    assert "train" in {name for pool in pools for name in pool.names}
    for name in ("train/cat", "train/dog", "test/cow", "test/hen", "unsorted"):
        draw(tmp_path / "pets" / name)
    (tmp_path / "pets" / "annotations").mkdir()
    (tmp_path / "pets" / "annotations" / "boxes.json").write_text("{}")
    with pytest.raises(UserError, match=r"the splits test, train and beside them unsorted"):
        folder(tmp_path / "pets")
    rmtree(tmp_path / "pets" / "unsorted")
    pets = folder(tmp_path / "pets", valid=0)
    assert list(pets.pools) == ["train", "test"]
    assert "passed over: annotations/boxes.json" in pets.about["notes"][0]
    draw(tmp_path / "half" / "test" / "cow")
    with pytest.raises(UserError, match=r"one of them called train.*received the splits test;"):
        folder(tmp_path / "half")


def test_what_is_left_out_is_said_by_name(flat):
    (flat / "class00" / "labels.txt").write_text("x")
    (flat / "class01" / "0.XML").write_text("x")
    (flat / "class02" / "5.png").unlink()
    for name in ("0.png", "1.png"):
        (flat / "class03" / name).write_text("text")
    with pytest.raises(UserError, match=r"received 2 of 71 that are not") as raised:
        folder(flat)
    assert "class03/0.png" in str(raised.value)
    assert "class03/1.png" in str(raised.value)
    data = folder(flat, skip_bad=True)
    assert data.about["notes"] == [
        "2 file(s) that cannot be read are left out: class03/0.png, class03/1.png",
        "2 file(s) that are no pictures are passed over: class00/labels.txt, class01/0.XML",
    ]
    counts = {n: c for p in data.pools.values() for n, c in zip(p.names, p.counts, strict=True)}
    assert (counts["class02"], counts["class03"], counts["class04"]) == (5, 4, 6)
    with pytest.raises(UserError, match=r"class0[23] \([45]\).*min_examples=6"):
        Episodes(data, n_way=2, n_query=5)
    data = folder(flat, skip_bad=True, min_examples=6)
    assert (
        "2 class(es) with fewer than 6 pictures are left out: class02 (5), class03 (4)"
        in (data.about["notes"])
    )
    assert sum(len(pool.names) for pool in data.pools.values()) == 10
    notes = Episodes(data, n_way=2, n_query=5).describe()["notes"]
    assert notes == data.about["notes"]
    with pytest.raises(UserError, match="min_examples must be at least 1"):
        folder(flat, min_examples=0)


def test_names_are_as_people_type_them(tmp_path):
    """macOS writes an accent as a letter of its own."""
    for name in ("cafe\u0301", "b", "c", "d", "e", "f"):
        draw(tmp_path / name, n=1)
    assert "caf\u00e9" in {name for p in folder(tmp_path).pools.values() for name in p.names}


def test_missing_or_empty(tmp_path, flat):
    with pytest.raises(DataError, match="nothing is"):
        folder(tmp_path / "nowhere")
    with pytest.raises(DataError, match="of a file"):
        folder(flat / "class00" / "0.png")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"0 file\(s\) and no folder"):
        folder(tmp_path / "empty")
    with pytest.raises(UserError, match=r"6 file\(s\) and no folder"):
        folder(flat / "class00")
    (flat / "class12").mkdir()
    with pytest.raises(UserError, match="class12 with no picture"):
        folder(flat)
    (flat / "class12" / "more").mkdir()
    with pytest.raises(UserError, match="the folder more in it"):
        folder(flat)


def test_a_file_that_is_no_picture_is_named(flat):
    (flat / "class05" / "notes.png").write_text("not a picture")
    with pytest.raises(UserError, match=r"notes.png is not a picture .*b'not a pictur'"):
        folder(flat)


def test_too_few_classes(tmp_path):
    for name in "abcd":
        draw(tmp_path / "few" / name)
    with pytest.raises(UserError, match="few: classes: every split needs at least 2; received 4"):
        folder(tmp_path / "few")
