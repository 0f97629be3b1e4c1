"""`quickstudy cache`: what is kept, and how it is dropped."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from fake_encoder import FakeEncoder, digests

from quickstudy.cli.cache import size
from quickstudy.cli.main import main


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, with the features of two encoders."""
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path))
    monkeypatch.setenv("QUICKSTUDY_FEATURES", "float32")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("QUICKSTUDY_FEATURES_LIMIT", raising=False)
    FakeEncoder("one").features(digests(300))
    FakeEncoder("two", n_features=9).features(digests(20))
    for path in tmp_path.glob("features/*/*.safetensors"):
        older = b'"one"' in (path.parent / "about.json").read_bytes()
        day = 1_700_000_000 if older else 1_750_000_000
        os.utime(path, (day, day))
    return tmp_path / "features"


def said(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert main(["cache", *words]) == code
    out, err = capsys.readouterr()
    return err if code else out


def test_it_shows_place_size_rows_and_encoders(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = said(capsys)
    assert str(place) in text.replace("\n", "")
    assert "two" in text
    assert text.index("two") < text.index("one")  # the last used comes first
    assert "2023-11-14" in text
    held = json.loads(said(capsys, "--json"))
    encoders = {each["name"]: each for each in held["encoders"]}
    assert {name: each["rows"] for name, each in encoders.items()} == {"one": 300, "two": 20}
    files = [*place.glob("*/*.safetensors")]
    assert held["bytes"] == sum(path.stat().st_size for path in files)
    assert held["place"] == str(place)
    assert 0 < held["limit"] <= 10_000_000_000
    assert encoders["two"]["backend"] == "torch"
    assert encoders["two"]["n_features"] == 9


def test_an_empty_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("QUICKSTUDY_CACHE", str(tmp_path / "nowhere"))
    assert said(capsys).startswith("0 bytes of at most ")
    assert said(capsys, "clear") == "freed 0 bytes\n"
    assert not (tmp_path / "nowhere").exists()


def test_one_encoder_or_all_are_cleared(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (place / "notes.txt").write_text("of someone else")
    assert said(capsys, "clear", "one").startswith("freed ")
    assert [each["name"] for each in json.loads(said(capsys, "--json"))["encoders"]] == ["two"]
    key = json.loads(said(capsys, "--json"))["encoders"][0]["key"]
    assert json.loads(said(capsys, "clear", key, "--json"))["freed"] > 20 * 36
    assert [path.name for path in place.iterdir()] == ["notes.txt"]
    FakeEncoder("one").features(digests(3))
    assert json.loads(said(capsys, "clear", "--json"))["freed"] > 3 * 24
    assert json.loads(said(capsys, "--json"))["bytes"] == 0


def test_a_limit_is_kept_by_all_that_come(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said(capsys, "limit", "5 kB") == "at most 5.0 kB are kept\n"
    held = json.loads(said(capsys, "--json"))
    assert held["limit"] == 5000
    assert [each["name"] for each in held["encoders"]] == ["two"]  # the other is older, and large
    monkeypatch.setenv("QUICKSTUDY_FEATURES_LIMIT", "7MB")
    assert json.loads(said(capsys, "--json"))["limit"] == 7_000_000


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["clear", "three"], "are none (cached: one, two)"),
        (["limit"], "needs a size"),
        (["limit", "lots"], "such as 500MB or 20GB; received 'lots'"),
        (["show", "one"], "received 'one' beside it"),
        (["drop"], "drop"),
    ],
)
def test_wrong_words(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], place: Path
) -> None:
    assert expected in said(capsys, *words, code=2)
    assert len([*place.glob("*/*.safetensors")]) == 2


def test_sizes() -> None:
    sizes = [size(n) for n in (12, 1500, 2_340_000, 10**10)]
    assert sizes == ["12 bytes", "1.5 kB", "2.3 MB", "10.0 GB"]
