"""`quickstudy predict` and `adapt` on folders as people have them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from quickstudy.cli.main import main
from quickstudy.inputs import Pictures
from quickstudy.learners import NearestCentroid
from quickstudy.models.model import Model
from quickstudy.models.saved import load_task

GREY = Model(NearestCentroid(), (1, 8, 8), Pictures(8))


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Dark and light pictures in folders of folders, among what systems and tools leave there."""
    for name, level in (("dark", 40), ("light", 220)):
        for i in range(3):
            path = tmp_path / "new" / name / f"{i}.PNG"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((9, 9), level + i, np.uint8)).save(path)
    for leftover in ("thumbs.db", "dark/._0.PNG", "notes.txt", "dark/0.xml"):
        (tmp_path / "new" / leftover).write_text("x")
    GREY.adapt([np.full((8, 8), level, np.uint8) for level in (40, 220)], ["dark", "light"]).save(
        tmp_path / "grey.task"
    )
    monkeypatch.setattr(
        "quickstudy.cli.predict.load_task", lambda path: load_task(path, NearestCentroid())
    )
    monkeypatch.setattr("quickstudy.cli.adapt.load", lambda run: GREY)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def answers(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[dict[str, str], str]:
    assert main(["predict", "grey.task", *map(str, words), "--json"]) == 0
    out, err = capsys.readouterr()
    return {row["input"]: row["prediction"] for row in json.loads(out)}, err


def test_a_folder_a_pattern_and_files(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = {f"new/{name}/{i}.PNG": name for name in ("dark", "light") for i in range(3)}
    assert answers(capsys, "new") == (every, "")
    assert answers(capsys, "new/**/*.PNG") == (every, "")
    assert answers(capsys, "new/*/0.*", "new/light/1.PNG") == (
        {name: every[name] for name in ("new/dark/0.PNG", "new/light/0.PNG", "new/light/1.PNG")},
        "",
    )
    assert main(["predict", "grey.task", "new/*.jpg"]) == 3
    assert "the pattern new/*.jpg must fit files" in capsys.readouterr().err
    (place / "empty").mkdir()
    assert main(["predict", "grey.task", "empty"]) == 2
    assert "a folder without any" in capsys.readouterr().err


def test_bad_files_are_refused_or_skipped_by_name(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for bad in ("new/dark/8.png", "new/light/9.png"):
        (place / bad).write_text("no picture")
    assert main(["predict", "grey.task", "new"]) == 2
    err = capsys.readouterr().err
    assert "received 2 of 8 that are not" in err
    assert "new/dark/8.png" in err
    assert "new/light/9.png" in err
    found, err = answers(capsys, "new", "--skip-bad")
    assert len(found) == 6
    assert found["new/light/2.PNG"] == "light"
    assert err.count("skipped: ") == 2
    assert err.endswith("skipped 2 of 8 pictures\n")
    assert main(["predict", "grey.task", "new/dark/8.png", "--skip-bad"]) == 2
    assert "received 1 that are not, the first: Pictures: new/dark/8.png" in capsys.readouterr().err

    words = ["adapt", "run", "--support", "new", "--out", "made.task"]
    assert main(words) == 2
    assert "received 2 of 8 that are not" in capsys.readouterr().err
    assert not (place / "made.task").exists()
    assert main([*words, "--skip-bad"]) == 0
    out = capsys.readouterr().out
    assert "learned from 6 examples" in out
    assert "passed over 2 file(s) that are no pictures: dark/0.xml, notes.txt" in out


def test_classes_of_one_text_stay_apart(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    levels = [np.full((8, 8), level, np.uint8) for level in (40, 130, 220)]
    GREY.adapt(levels, [1, "1", "two"]).save(place / "grey.task")
    assert main(["predict", "grey.task", "new/dark/0.PNG", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["prediction"] == 1
    assert row["probabilities"].keys() == {"1", "'1'", "two"}
    assert main(["predict", "grey.task", "new/dark/0.PNG"]) == 0
    assert capsys.readouterr().out.split("\t")[1] == "1"
    Image.fromarray(levels[1]).save(place / "grey.png")
    assert main(["predict", "grey.task", "grey.png"]) == 0
    assert capsys.readouterr().out.split("\t")[1] == "'1'"
