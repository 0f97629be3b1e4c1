import numpy as np
import pytest
from PIL import Image

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
    (flat / "class00" / "Thumbs.db").write_text("x")
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


@pytest.mark.parametrize("valid", ["valid", "val", "validation"])
def test_split_folders_are_the_splits(tmp_path, valid):
    for split, classes in (("train", "abc"), (valid, "de"), ("test", "fg")):
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
